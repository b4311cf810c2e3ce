/* Writing response heads. Pure. */
#ifndef YT_HTTP_RESPONSE_H
#define YT_HTTP_RESPONSE_H

#include "base/slice.h"

/* "OK" for 200; "Unknown" for a code that has no registered phrase here. */
const char *http_reason(int status);

/*
 * A head under construction in memory that the caller gives; overflow is remembered and tested once
 * (head_done). Names are our own literals. A value with CR, LF or NUL sets the flag too, so that
 * nothing split can ever be sent.
 */
struct head_writer {
    char *p;
    size_t n;
    size_t cap;
    bool failed;
};

/* `status` has three digits; `memory` is the caller's and outlives the writer. */
void head_begin(struct head_writer *w, char *memory, size_t cap, int status);
void head_add(struct head_writer *w, struct slice name, struct slice value);
/*
 * A value that was made here and cannot split the line: it is not looked through. Inline, so that a
 * literal name costs no call.
 */
static inline void head_add_own(struct head_writer *w, struct slice name, struct slice value)
{
    const size_t around = sizeof ": \r\n" - 1;
    if (w->failed || name.n + value.n + around > w->cap - w->n) {
        w->failed = true;
        return;
    }
    char *p = mempcpy(w->p + w->n, name.p, name.n);
    p = mempcpy(p, ": ", 2);
    if (value.n > 0)
        p = mempcpy(p, value.p, value.n);
    p = mempcpy(p, "\r\n", 2);
    w->n = (size_t)(p - w->p);
}

static inline void head_add_u64(struct head_writer *w, struct slice name, uint64_t value)
{
    char digits[DECIMAL_MAX];
    head_add_own(w, name, slice_decimal(value, digits));
}

/* Lines made earlier, each with its CRLF; not checked again. */
void head_add_raw(struct head_writer *w, struct slice lines);
/* Adds the empty line. false when anything did not fit or was refused; w->p, w->n is the head. */
bool head_done(struct head_writer *w);

/* Cache-Status of this cache (RFC 9211). */
struct cache_status {
    bool hit;
    bool has_ttl;
    int64_t ttl;     /* seconds, negative when stale */
    const char *fwd; /* "uri-miss", "vary-miss", "stale", "bypass"; NULL when not forwarded */
    int fwd_status;  /* 0: none received */
    bool stored;
    bool collapsed;
};
enum { CACHE_STATUS_MAX = 128 }; /* suffices for every combination */
/* Writes the value ("yantian; hit; ttl=12") with its NUL; returns it without. */
struct slice cache_status_format(const struct cache_status *cs, char out[CACHE_STATUS_MAX]);

#endif
