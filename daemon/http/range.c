#include "http/range.h"

#include "chars.h"
#include "http/date.h"
#include "http/fields.h"

/* Digits of any length; what is too large for 64 bits becomes the largest number. */
static bool position_parse(struct slice s, uint64_t *value)
{
    if (s.n == 0 || !http_chars_all(s, HTTP_CHAR_DIGIT))
        return false;
    if (!slice_u64(s, value))
        *value = UINT64_MAX;
    return true;
}

enum spec { SPEC_BROKEN, SPEC_OUTSIDE, SPEC_INSIDE };

/* "-N": the last N bytes. */
static enum spec suffix_parse(struct slice text, uint64_t size, struct http_range *r)
{
    uint64_t n;
    if (!position_parse(text, &n))
        return SPEC_BROKEN;
    if (n == 0 || size == 0)
        return SPEC_OUTSIDE;
    *r = (struct http_range){n < size ? size - n : 0, size - 1};
    return SPEC_INSIDE;
}

/* "N-M", "N-" or "-N" against a body of `size` bytes. */
static enum spec spec_parse(struct slice text, uint64_t size, struct http_range *r)
{
    size_t dash = slice_find(text, '-');
    if (dash == text.n)
        return SPEC_BROKEN;
    struct slice from = slice_to(text, dash), to = slice_from(text, dash + 1);
    if (from.n == 0)
        return suffix_parse(to, size, r);

    uint64_t first, last = UINT64_MAX;
    if (!position_parse(from, &first) || (to.n > 0 && !position_parse(to, &last)) || last < first)
        return SPEC_BROKEN;
    if (first >= size)
        return SPEC_OUTSIDE;
    *r = (struct http_range){first, last < size ? last : size - 1};
    return SPEC_INSIDE;
}

/* The list behind "bytes="; the unit in any case. */
static bool unit_is_bytes(struct slice value, struct slice *list)
{
    const struct slice unit = SLICE("bytes=");
    *list = slice_from(value, unit.n);
    return slice_ieq(slice_to(value, unit.n), unit);
}

/* Room for as many ranges as the list can have. */
static bool ranges_reserve(struct slice list, struct arena *a, struct http_ranges *out)
{
    size_t n = 1;
    for (size_t i = 0; i < list.n && n < HTTP_RANGES_MAX; i++)
        n += list.p[i] == ',';
    *out = (struct http_ranges){.v = arena_alloc(a, n * sizeof *out->v)};
    return out->v != NULL;
}

enum range_result http_range_parse(struct slice value, uint64_t size, struct arena *a,
                                   struct http_ranges *out)
{
    *out = (struct http_ranges){NULL, 0};
    struct slice list, text;
    if (!value.p || !unit_is_bytes(value, &list) || !ranges_reserve(list, a, out))
        return RANGE_NONE;

    size_t specs = 0;
    uint64_t asked = 0;    /* bytes of all ranges, never above size */
    bool overlaps = false; /* more bytes asked than there are */
    while (http_list_next(&list, &text)) {
        if (++specs > HTTP_RANGES_MAX)
            return RANGE_TOO_MANY;
        struct http_range *r = &out->v[out->n];
        enum spec spec = spec_parse(text, size, r);
        if (spec == SPEC_BROKEN)
            return RANGE_NONE;
        if (spec == SPEC_OUTSIDE)
            continue;
        out->n++;
        uint64_t more = r->last - r->first;
        overlaps = overlaps || more >= size - asked;
        asked += overlaps ? 0 : more + 1;
    }
    if (specs == 0 || overlaps)
        return RANGE_NONE;
    return out->n > 0 ? RANGE_OK : RANGE_UNSATISFIABLE;
}

/* "a-b" of a Content-Range. */
static bool interval_parse(struct slice text, struct http_content_range *out)
{
    size_t dash = slice_find(text, '-');
    out->has_range = true;
    return dash < text.n && slice_u64(slice_to(text, dash), &out->first) &&
           slice_u64(slice_from(text, dash + 1), &out->last) && out->first <= out->last;
}

bool http_content_range_parse(struct slice value, struct http_content_range *out)
{
    const struct slice unit = SLICE("bytes "), any = SLICE("*");
    *out = (struct http_content_range){0};
    if (!slice_ieq(slice_to(value, unit.n), unit))
        return false;
    value = slice_from(value, unit.n);
    size_t slash = slice_find(value, '/');
    if (slash == value.n)
        return false;
    struct slice interval = slice_to(value, slash), size = slice_from(value, slash + 1);
    if (!slice_eq(interval, any) && !interval_parse(interval, out))
        return false;
    if (slice_eq(size, any))
        return out->has_range;
    out->has_size = true;
    return slice_u64(size, &out->size) && (!out->has_range || out->last < out->size);
}

bool http_if_range_matches(struct slice value, struct slice etag, struct slice last_modified)
{
    if (!value.p)
        return true;
    if (value.n == 0)
        return false;
    /* A weak tag begins with W/ on either side and so never equals a strong one. */
    return value.p[0] == '"' ? slice_eq(value, etag) : slice_eq(value, last_modified);
}

/* What a tag compares by when weakness does not count: without W/ and without quotes. */
static struct slice etag_opaque(struct slice tag)
{
    if (slice_starts(tag, SLICE("W/\"")))
        tag = slice_from(tag, 2);
    if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        tag = slice_of(tag.p + 1, tag.n - 2);
    return tag;
}

/*
 * Takes the next tag off the list. Not http_list_next: a backslash in an entity tag is a plain
 * character (RFC 9110 section 8.8.3), in a quoted string it is not.
 */
static bool etag_next(struct slice *list, struct slice *tag)
{
    while (list->n > 0 && (list->p[0] == ',' || list->p[0] == ' ' || list->p[0] == '\t'))
        *list = slice_from(*list, 1);
    if (list->n == 0)
        return false;
    size_t begin = slice_starts(*list, SLICE("W/\"")) ? 2 : 0;
    size_t end;
    if (list->p[begin] == '"') {
        end = begin + 1 + slice_find(slice_from(*list, begin + 1), '"') + 1;
        if (end > list->n)
            return false; /* the quote is never closed */
    } else {
        end = slice_find(*list, ',');
    }
    *tag = slice_trim(slice_to(*list, end));
    *list = slice_from(*list, end);
    return true;
}

bool http_if_none_match(struct slice value, struct slice etag)
{
    if (slice_eq(value, SLICE("*")))
        return true;
    struct slice tag, wanted = etag_opaque(etag);
    if (etag.n == 0)
        return false;
    while (etag_next(&value, &tag))
        if (slice_eq(etag_opaque(tag), wanted))
            return true;
    return false;
}

bool http_if_modified_since(struct slice value, struct slice last_modified)
{
    int64_t since, changed;
    return http_date_parse(value, &since) && http_date_parse(last_modified, &changed) &&
           changed <= since;
}
