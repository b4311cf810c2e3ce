/* A borrowed run of bytes. It owns nothing and is not NUL-terminated; the bytes must outlive it. */
#ifndef YT_BASE_SLICE_H
#define YT_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *p, size_t n)
{
    return (struct slice){p, n};
}

/* A NULL string gives an empty slice. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case is ignored. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The bytes from offset `from` on; empty when `from` is past the end. s.p may be NULL if s.n is 0.
 */
static inline struct slice slice_from(struct slice s, size_t from)
{
    size_t skip = from < s.n ? from : s.n;
    return skip ? slice_of(s.p + skip, s.n - skip) : s;
}

static inline struct slice slice_to(struct slice s, size_t n)
{
    return slice_of(s.p, n < s.n ? n : s.n);
}

/* Offset of the first or last `c`, or s.n when there is none. */
static inline size_t slice_find(struct slice s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : s.n;
}

static inline size_t slice_rfind(struct slice s, char c)
{
    const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : s.n;
}

/* Without blanks and tabs at both ends (RFC 9110 section 5.6.3, OWS). */
static inline struct slice slice_trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_of(s.p + 1, s.n - 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/*
 * Decimal digits only, no sign, no blank; false on anything else or on overflow.
 */
bool slice_u64(struct slice s, uint64_t *value);

enum { DECIMAL_MAX = 20 };
/* The other way: the digits stand in `room`. */
struct slice slice_decimal(uint64_t value, char room[DECIMAL_MAX]);

#endif
