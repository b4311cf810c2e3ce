/*
 * The one user of zlib: gzip coding (RFC 1952) of a body in pieces, with little memory. One thread
 * at a time.
 */
#ifndef YT_BASE_GZIP_H
#define YT_BASE_GZIP_H

#include "base/buf.h"
#include "base/err.h"

struct inflater;
struct deflater;

/* NULL: no memory. More than `max_out` decoded bytes are refused (ERR_LIMIT). */
struct inflater *inflater_new(uint64_t max_out);
/*
 * Appends what the bytes decode to, and gives it to `take` in pieces of at most 64 KiB, so that a
 * little input cannot fill memory. An error of `take` ends it and is returned. ERR_CORRUPT: not
 * gzip, a wrong checksum, or bytes after the end that are no further member.
 */
typedef enum err inflated_f(void *arg, struct slice bytes);
YT_MUST_CHECK enum err inflater_feed(struct inflater *i, struct slice bytes, inflated_f *take,
                                     void *arg);
/* ERR_CORRUPT when the body is not complete. */
YT_MUST_CHECK enum err inflater_finish(struct inflater *i);
void inflater_free(struct inflater **i);

/* NULL: no memory. The result depends on the bytes alone: no name, no time. */
struct deflater *deflater_new(void);
/* Appends what is ready to `out`; the output buffer's own bound is the only one. */
YT_MUST_CHECK enum err deflater_feed(struct deflater *d, struct slice bytes, struct buf *out);
YT_MUST_CHECK enum err deflater_finish(struct deflater *d, struct buf *out);
void deflater_free(struct deflater **d);

#endif
