/*
 * PEP 503: every <a> of a project's page is a file. Attributes beside the link: PEP 658 and 714
 * (metadata), 740 (provenance).
 */
#include "html_text.h"
#include "pypi_reading.h"

/* The first attribute of that name, as the standard has it; tag->count when there is none. */
static size_t find_attribute(const struct html_tag *tag, struct slice name)
{
    size_t i = 0;

    while (i < tag->count && !slice_ieq(tag->attributes[i].name, name))
        i++;
    return i;
}

/* What the attribute means, until the next call; p == NULL when it is not there. */
static struct slice attribute(struct pypi_reading *r, const struct html_tag *tag, struct slice name)
{
    size_t i = find_attribute(tag, name);

    if (i == tag->count)
        return slice_of(NULL, 0);
    buf_clear(&r->text);
    html_decode(tag->attributes[i].value, &r->text);
    return r->text.n ? buf_slice(&r->text) : SLICE("");
}

/* Of two the standard takes the first and Python's parser the last: refused where it leads. */
static enum err link_of(struct pypi_reading *r, const struct html_tag *tag, struct slice *href)
{
    unsigned count = 0;

    for (size_t i = 0; i < tag->count; i++)
        count += slice_ieq(tag->attributes[i].name, SLICE("href"));
    if (count > 1)
        return ERR_CORRUPT;
    *href = attribute(r, tag, SLICE("href"));
    return r->text.failed ? ERR_NOMEM : ERR_OK;
}

/*
 * The tag goes: all links are absolute or relative to the page here. One behind a link would mean
 * another file to a reader that looks at the whole page first.
 */
static enum err base_tag(struct pypi_reading *r, const struct html_tag *tag, struct html_edit *edit)
{
    struct slice href;
    enum err error = link_of(r, tag, &href);

    edit->drop = true;
    if (error != ERR_OK || !href.p || r->has_base)
        return error;
    if (r->has_links)
        return ERR_CORRUPT;
    pypi_begin_file(r);
    struct slice url = pypi_absolute(r, href);
    if (!url.p)
        return ERR_CORRUPT;
    url = arena_copy(&r->kept, url);
    if (!url.p)
        return ERR_NOMEM;
    r->has_base = true;
    return http_url_parse(url, &r->base) ? ERR_OK : ERR_CORRUPT;
}

/* PEP 629. */
static enum err meta_tag(struct pypi_reading *r, const struct html_tag *tag)
{
    if (!slice_ieq(attribute(r, tag, SLICE("name")), SLICE("pypi:repository-version")))
        return ERR_OK;
    return pypi_check_version(attribute(r, tag, SLICE("content")));
}

/* "sha256=...&egg=..." */
static void note_fragment(struct pypi_reading *r, struct slice href)
{
    struct slice rest = slice_from(href, slice_find(href, '#') + 1);

    while (rest.n) {
        struct slice part = slice_to(rest, slice_find(rest, '&'));
        size_t mark = slice_find(part, '=');
        pypi_note_digest(&r->file.digest, slice_to(part, mark), slice_from(part, mark + 1));
        rest = slice_from(rest, part.n + 1);
    }
}

/* "true", or a hash as in a fragment. */
static void note_metadata(struct pypi_file *file, struct slice value)
{
    size_t mark = slice_find(value, '=');

    if (!value.n || slice_ieq(value, SLICE("false")))
        return;
    file->metadata = OFFER_YES;
    pypi_note_digest(&file->metadata_digest, slice_to(value, mark), slice_from(value, mark + 1));
}

static enum err look_at_link(struct pypi_reading *r, const struct html_tag *tag, struct slice href)
{
    r->file.url = pypi_absolute(r, href);
    note_fragment(r, href);
    note_metadata(&r->file, attribute(r, tag, SLICE("data-core-metadata")));
    note_metadata(&r->file, attribute(r, tag, SLICE("data-dist-info-metadata")));
    if (slice_ieq(attribute(r, tag, SLICE("data-gpg-sig")), SLICE("false")))
        r->file.signature = OFFER_NO;
    struct slice provenance = attribute(r, tag, SLICE("data-provenance"));
    if (provenance.n)
        r->file.provenance = pypi_absolute(r, provenance);
    return pypi_end_file(r);
}

static enum err link_tag(struct pypi_reading *r, const struct html_tag *tag, struct html_edit *edit)
{
    struct slice href;
    enum err error = link_of(r, tag, &href);

    if (error != ERR_OK || !href.p)
        return error;
    r->has_links = true;
    pypi_begin_file(r);
    if (r->of->fact)
        return look_at_link(r, tag, href);
    edit->attribute = find_attribute(tag, SLICE("href"));
    edit->value = pypi_link(r, href);
    return ERR_OK;
}

enum err pypi_html_tag(void *arg, const struct html_tag *tag, struct html_edit *edit)
{
    if (slice_ieq(tag->name, SLICE("a")))
        return link_tag(arg, tag, edit);
    if (slice_ieq(tag->name, SLICE("base")))
        return base_tag(arg, tag, edit);
    return slice_ieq(tag->name, SLICE("meta")) ? meta_tag(arg, tag) : ERR_OK;
}
