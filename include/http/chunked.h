/* Chunked transfer coding, reading side (RFC 9112 section 7.1). Pure and strict. */
#ifndef YT_HTTP_CHUNKED_H
#define YT_HTTP_CHUNKED_H

#include "base/slice.h"

enum chunked_status {
    CHUNKED_MORE,  /* everything was consumed, more is needed */
    CHUNKED_DATA,  /* *data holds body bytes */
    CHUNKED_DONE,  /* the last chunk and the trailers were read */
    CHUNKED_ERROR, /* the framing is broken; nothing behind it can be trusted */
};

struct chunked {
    int state; /* private; all zero is the start */
    uint64_t left;
    unsigned digits;
    unsigned line;       /* bytes of the current size or trailer line; bounded by 8 KiB */
    unsigned extensions; /* bytes of them in the whole body; bounded by 16 KiB */
    unsigned trailers;   /* lines; bounded by 100 */
};

/*
 * Takes bytes off the front of *in. Extensions are skipped, trailers are read and dropped; sizes
 * are plain hex digits (no sign, no blank, no 0x, 16 digits at most); every line ends in CRLF.
 * *data is set for CHUNKED_DATA only, is never empty and points into *in. CHUNKED_DONE and
 * CHUNKED_ERROR are final: later calls return them again and take nothing.
 */
enum chunked_status chunked_read(struct chunked *c, struct slice *in, struct slice *data);

#endif
