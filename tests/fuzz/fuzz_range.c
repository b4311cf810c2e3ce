/*
 * Range, Content-Range, If-Range and If-None-Match. The first line is the body's size, the others
 * are a Range value, a Content-Range value, an If-None-Match value and an entity tag.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "fuzz_check.h"
#include "http/fields.h"
#include "http/range.h"

static void print_ranges(const struct http_ranges *ranges, struct buf *out)
{
    buf_add(out, SLICE("bytes="));
    for (size_t i = 0; i < ranges->n; i++)
        buf_addf(out, "%s%" PRIu64 "-%" PRIu64, i ? ", " : "", ranges->v[i].first,
                 ranges->v[i].last);
    CHECK(!out->failed);
}

/* Ranges lie in the body, are no more than it together, and parse to themselves when printed. */
static void check_ranges(struct arena *a, const struct http_ranges *ranges, uint64_t size)
{
    uint64_t left = size;
    CHECK(ranges->n > 0 && ranges->n <= HTTP_RANGES_MAX);
    for (size_t i = 0; i < ranges->n; i++) {
        const struct http_range *r = &ranges->v[i];
        CHECK(r->first <= r->last && r->last < size);
        CHECK(r->last - r->first < left);
        left -= r->last - r->first + 1;
    }
    struct http_ranges again;
    struct buf out;
    buf_init(&out, HTTP_RANGES_MAX * 64);
    print_ranges(ranges, &out);
    CHECK(http_range_parse(buf_slice(&out), size, a, &again) == RANGE_OK);
    CHECK(again.n == ranges->n);
    CHECK(memcmp(again.v, ranges->v, again.n * sizeof *again.v) == 0);
    buf_free(&out);
}

static void check_range(struct slice value, uint64_t size)
{
    struct arena a;
    struct http_ranges ranges;
    arena_init(&a, NULL, 0, 1024 * 1024);
    enum range_result result = http_range_parse(value, size, &a, &ranges);
    if (result == RANGE_OK)
        check_ranges(&a, &ranges, size);
    else
        CHECK(result != RANGE_UNSATISFIABLE || ranges.n == 0);
    /* How many ranges were asked does not depend on the body. */
    if (result == RANGE_UNSATISFIABLE)
        CHECK(http_range_parse(value, UINT64_MAX, &a, &ranges) != RANGE_TOO_MANY);
    arena_reset(&a);
}

static void check_content_range(struct slice value)
{
    struct http_content_range r, again;
    char first[64] = "*", size[32] = "*", text[128];
    if (!http_content_range_parse(value, &r))
        return;
    CHECK(r.has_range || r.has_size);
    CHECK(!r.has_range || r.first <= r.last);
    CHECK(!r.has_range || !r.has_size || r.last < r.size);
    if (r.has_range)
        snprintf(first, sizeof first, "%" PRIu64 "-%" PRIu64, r.first, r.last);
    if (r.has_size)
        snprintf(size, sizeof size, "%" PRIu64, r.size);
    snprintf(text, sizeof text, "bytes %s/%s", first, size);
    CHECK(http_content_range_parse(slice_str(text), &again));
    CHECK(again.first == r.first && again.last == r.last && again.size == r.size);
    CHECK(again.has_range == r.has_range && again.has_size == r.has_size);
}

static bool is_etag_text(struct slice s)
{
    return http_is_field_value(s) && slice_find(s, '"') == s.n && slice_find(s, ' ') == s.n &&
           slice_find(s, '\t') == s.n;
}

static bool contains(struct slice s, struct slice part)
{
    return part.n == 0 || (s.n > 0 && memmem(s.p, s.n, part.p, part.n));
}

/* A tag as the list may spell it: without W/ and quotes, if it has them. */
static struct slice bare(struct slice tag)
{
    if (slice_starts(tag, SLICE("W/\"")))
        tag = slice_from(tag, 2);
    bool quoted = tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"';
    return quoted ? slice_of(tag.p + 1, tag.n - 2) : tag;
}

/* A tag is found alone, weak, and behind any list of tags that is whole. */
static void check_tags(struct slice list, struct slice opaque)
{
    struct arena a;
    arena_init(&a, NULL, 0, 1024 * 1024);
    CHECK(!http_if_none_match(list, opaque) || slice_eq(list, SLICE("*")) ||
          contains(list, bare(opaque)));
    if (is_etag_text(opaque)) {
        struct slice etag = arena_printf(&a, "\"%.*s\"", SLICE_ARG(opaque));
        struct slice weak = arena_printf(&a, "W/%.*s", SLICE_ARG(etag));
        struct slice among = arena_printf(&a, "\"x,\\\", W/\"y\", %.*s", SLICE_ARG(weak));
        CHECK(http_if_none_match(etag, etag) && http_if_none_match(weak, etag));
        CHECK(http_if_none_match(etag, weak) && http_if_none_match(among, etag));
        CHECK(http_if_range_matches(etag, etag, list));
        CHECK(!http_if_range_matches(weak, etag, list) || slice_eq(weak, list));
        CHECK(!http_if_range_matches(etag, weak, list));
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    uint64_t body_size;
    if (!slice_u64(take_line(&in), &body_size))
        return 0;
    check_range(take_line(&in), body_size);
    check_content_range(take_line(&in));
    struct slice list = take_line(&in);
    check_tags(list, take_line(&in));
    return 0;
}
