/* Vary (RFC 9111 section 4.1): which request fields an answer depends on, and their values. Pure.
 */
#ifndef YT_HTTP_VARY_H
#define YT_HTTP_VARY_H

#include "http/fields.h"

/* An answer that names more is taken for one that fits no other request ("*"). */
enum { HTTP_VARY_MAX = 16 };

/*
 * The names in one form: "accept-language,x-flavour": lower case, in order, each once. Empty: it
 * varies with nothing. "*": with what no request shows, or a name is none. p == NULL: the arena is
 * full.
 */
struct slice http_vary_names(struct arena *a, const struct http_fields *response);

static inline bool http_vary_is_any(struct slice names)
{
    return slice_eq(names, SLICE("*"));
}

/* Two lists of names (neither is "*") as one, in the same form; "*" when it would be too long. */
struct slice http_vary_join(struct arena *a, struct slice names, struct slice more);

/*
 * The values of those fields in a request, for a cache key: requests with the same text get the
 * same answer. Lines are joined, blanks round commas dropped; where RFC 9110 ignores case, so does
 * this. A field that is absent differs from one that is empty. p == NULL: the arena is full.
 */
struct slice http_vary_text(struct arena *a, struct slice names, const struct http_fields *request);

#endif
