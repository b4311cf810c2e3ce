/* Range requests and their answers (RFC 9110 section 14). Pure. */
#ifndef YT_HTTP_RANGE_H
#define YT_HTTP_RANGE_H

#include "base/arena.h"

enum { HTTP_RANGES_MAX = 1100 }; /* podman asks for 1024 in one field */

struct http_range {
    uint64_t first;
    uint64_t last; /* inclusive, always < size */
};

struct http_ranges {
    struct http_range *v; /* in the arena, in the order asked */
    size_t n;
};

enum range_result {
    /*
     * No Range, another unit, a syntax error, or several ranges that overlap so much that they are
     * more than the body (RFC 9110 section 14.2 allows to ignore them): answer the whole body.
     */
    RANGE_NONE,
    RANGE_OK,            /* at least one satisfiable range; unsatisfiable ones are left out */
    RANGE_UNSATISFIABLE, /* 416 */
    RANGE_TOO_MANY,      /* more than HTTP_RANGES_MAX: 400, so that podman halves its list */
};

/*
 * `value` is the field's value, p == NULL without one. `size` is the size of the whole body; no
 * range of an empty body is satisfiable. An arena without room gives RANGE_NONE.
 */
enum range_result http_range_parse(struct slice value, uint64_t size, struct arena *a,
                                   struct http_ranges *out);

/* Content-Range (section 14.4), as an upstream's 206 and 416 carry it. */
struct http_content_range {
    uint64_t first, last;
    uint64_t size;
    bool has_range; /* false for the form of a 416: bytes <asterisk>/N */
    bool has_size;  /* false for bytes a-b/<asterisk> */
};
/* false for anything else than the three forms, or when first <= last < size does not hold. */
bool http_content_range_parse(struct slice value, struct http_content_range *out);

/*
 * If-Range (RFC 9110 section 13.1.5): may the Range be used? `value` p == NULL: yes. Strong
 * comparison with `etag`; a date only if it equals `last_modified` to the letter.
 */
bool http_if_range_matches(struct slice value, struct slice etag, struct slice last_modified);

/*
 * If-None-Match (section 13.1.2), weak comparison; bare digests without quotes match too. "*"
 * matches whatever is held, tag or no tag.
 */
bool http_if_none_match(struct slice value, struct slice etag);

/*
 * If-Modified-Since (section 13.1.3): is what changed at `last_modified` not changed since? false
 * when one of them is missing or no date.
 */
bool http_if_modified_since(struct slice value, struct slice last_modified);

#endif
