#include "oci_body.h"

#include "base/json.h"

enum { JSON_DEPTH_MAX = 64 };

/* Without parameters. */
static struct slice bare_type(struct slice content_type)
{
    return slice_trim(slice_to(content_type, slice_find(content_type, ';')));
}

struct manifest_look {
    struct slice type;
    bool is_object;
    bool wrong;
    unsigned versions;
    unsigned types;
};

/*
 * A member that stands twice means different things to different readers: refused where it matters.
 */
static bool look_at_manifest(void *arg, const struct json_event *event)
{
    struct manifest_look *look = arg;

    if (event->kind == JSON_END || event->depth > 1)
        return true;
    if (event->depth == 0) {
        look->is_object = event->kind == JSON_OBJECT;
    } else if (slice_eq(event->key, SLICE("schemaVersion"))) {
        look->versions++;
        look->wrong |= event->kind != JSON_NUMBER || !slice_eq(event->text, SLICE("2"));
    } else if (slice_eq(event->key, SLICE("mediaType"))) {
        look->types++;
        look->wrong |= event->kind != JSON_STRING || !slice_ieq(event->text, look->type);
    }
    return true;
}

enum err oci_inspect_manifest(struct slice body, struct slice content_type)
{
    struct manifest_look look = {.type = bare_type(content_type)};

    if (json_walk(body, JSON_DEPTH_MAX, look_at_manifest, &look) != ERR_OK)
        return ERR_CORRUPT;
    bool good = look.is_object && !look.wrong && look.versions == 1 && look.types <= 1;
    return good ? ERR_OK : ERR_CORRUPT;
}

struct tags_look {
    bool is_object;
    bool wrong;
    unsigned lists;
};

/* A repository without tags may answer null. */
static bool look_at_tags(void *arg, const struct json_event *event)
{
    struct tags_look *look = arg;

    if (event->kind == JSON_END || event->depth > 1)
        return true;
    if (event->depth == 0) {
        look->is_object = event->kind == JSON_OBJECT;
    } else if (slice_eq(event->key, SLICE("tags"))) {
        look->lists++;
        look->wrong |= event->kind != JSON_ARRAY && event->kind != JSON_NULL;
    }
    return true;
}

enum err oci_inspect_tags(struct slice body, struct slice content_type)
{
    struct tags_look look = {0};

    (void)content_type;
    if (json_walk(body, JSON_DEPTH_MAX, look_at_tags, &look) != ERR_OK)
        return ERR_CORRUPT;
    return look.is_object && !look.wrong && look.lists == 1 ? ERR_OK : ERR_CORRUPT;
}
