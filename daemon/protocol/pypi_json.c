/*
 * PEP 691 (files[]), with what PEP 700 (size), 714 (metadata) and 740 (provenance) put beside the
 * URL; and the older JSON of /pypi/NAME/json (urls[], releases.*[]).
 */
#include "pypi_reading.h"

static bool is_key(const struct json_event *event, const char *name)
{
    return slice_eq(event->key, slice_str(name));
}

/* --- the top --- */

/* Two lists of files would be two pages in one: readers differ in which they take. */
static enum err begin_list(struct pypi_walk *w, const struct json_event *event)
{
    w->lists++;
    return event->kind == JSON_ARRAY && w->lists == 1 ? ERR_OK : ERR_CORRUPT;
}

static enum err begin_files(struct pypi_walk *w, const struct json_event *event)
{
    w->section = SECTION_FILES;
    w->file_depth = 2;
    return begin_list(w, event);
}

static enum err top_member(struct pypi_reading *r, const struct json_event *event)
{
    struct pypi_walk *w = &r->walk;

    w->section = SECTION_OTHER;
    if (event->kind == JSON_END)
        return ERR_OK;
    if (r->kind == PYPI_KIND_RELEASE) {
        if (is_key(event, "urls"))
            return begin_files(w, event);
        if (is_key(event, "releases") && event->kind == JSON_OBJECT) {
            w->section = SECTION_FILES;
            w->file_depth = 3;
        }
        return ERR_OK;
    }
    if (is_key(event, "meta") && event->kind == JSON_OBJECT)
        w->section = SECTION_META;
    if (r->kind == PYPI_KIND_PROJECT && is_key(event, "files"))
        return begin_files(w, event);
    if (r->kind == PYPI_KIND_ROOT && is_key(event, "projects"))
        return begin_list(w, event);
    return ERR_OK;
}

static enum err meta_member(const struct json_event *event)
{
    if (event->depth != 2 || !is_key(event, "api-version"))
        return ERR_OK;
    return event->kind == JSON_STRING ? pypi_check_version(event->text) : ERR_CORRUPT;
}

/* --- a file --- */

static enum err url_member(struct pypi_reading *r, const struct json_event *event,
                           struct slice *other)
{
    if (r->walk.has_url)
        return ERR_CORRUPT;
    r->walk.has_url = true;
    if (r->of->fact)
        r->file.url = pypi_absolute(r, event->text);
    else
        *other = pypi_link(r, event->text);
    return ERR_OK;
}

/* A URL, by what PyPI does; the text of the PEP makes it a digest. */
static void provenance_member(struct pypi_reading *r, const struct json_event *event,
                              struct slice *other)
{
    struct http_url url;

    if (!http_url_parse(event->text, &url))
        return;
    if (r->of->fact)
        r->file.provenance = pypi_absolute(r, event->text);
    else
        *other = pypi_link(r, event->text);
}

static bool is_metadata(const struct json_event *event)
{
    return is_key(event, "core-metadata") || is_key(event, "data-dist-info-metadata") ||
           is_key(event, "dist-info-metadata");
}

static enum pypi_offer offer_of(const struct json_event *event)
{
    if (event->kind == JSON_OBJECT)
        return OFFER_YES;
    if (event->kind != JSON_BOOL)
        return OFFER_UNKNOWN;
    return slice_eq(event->text, SLICE("true")) ? OFFER_YES : OFFER_NO;
}

static enum err file_member(struct pypi_reading *r, const struct json_event *event,
                            struct slice *other)
{
    r->walk.part = PART_OTHER;
    if (event->kind == JSON_OBJECT && is_key(event, "hashes"))
        r->walk.part = PART_HASHES;
    if (is_metadata(event)) {
        r->walk.part = PART_METADATA;
        if (r->file.metadata != OFFER_YES)
            r->file.metadata = offer_of(event);
    }
    if (is_key(event, "gpg-sig"))
        r->file.signature = offer_of(event);
    if (is_key(event, "size") && event->kind == JSON_NUMBER)
        r->file.has_size = slice_u64(event->text, &r->file.size);
    if (event->kind != JSON_STRING)
        return ERR_OK;
    if (is_key(event, "url"))
        return url_member(r, event, other);
    if (is_key(event, "provenance"))
        provenance_member(r, event, other);
    return ERR_OK;
}

static void hash_member(struct pypi_reading *r, const struct json_event *event)
{
    if (event->kind != JSON_STRING)
        return;
    if (r->walk.part == PART_HASHES)
        pypi_note_digest(&r->file.digest, event->key, event->text);
    if (r->walk.part == PART_METADATA)
        pypi_note_digest(&r->file.metadata_digest, event->key, event->text);
}

static enum err files_event(struct pypi_reading *r, const struct json_event *event,
                            struct slice *other)
{
    struct pypi_walk *w = &r->walk;
    unsigned depth = w->file_depth;

    if (event->depth == depth && event->kind == JSON_END && w->in_file) {
        w->in_file = false;
        return pypi_end_file(r);
    }
    if (event->depth == depth) {
        w->in_file = event->kind == JSON_OBJECT;
        w->has_url = false;
        w->part = PART_OTHER;
        pypi_begin_file(r);
    } else if (w->in_file && event->depth == depth + 1) {
        return file_member(r, event, other);
    } else if (w->in_file && event->depth == depth + 2) {
        hash_member(r, event);
    }
    return ERR_OK;
}

enum err pypi_json_event(void *arg, const struct json_event *event, struct slice *other)
{
    struct pypi_reading *r = arg;

    if (event->depth == 0)
        return event->kind == JSON_OBJECT || event->kind == JSON_END ? ERR_OK : ERR_CORRUPT;
    if (event->depth == 1)
        return top_member(r, event);
    if (r->walk.section == SECTION_META)
        return meta_member(event);
    return r->walk.section == SECTION_FILES ? files_event(r, event, other) : ERR_OK;
}

enum err pypi_json_end(const struct pypi_reading *r)
{
    return r->walk.lists == 1 ? ERR_OK : ERR_CORRUPT;
}
