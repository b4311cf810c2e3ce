/*
 * A byte buffer that grows up to a maximum given at birth. The first failed append sets `failed`
 * and later appends do nothing, so a caller may append many times and test once.
 */
#ifndef YT_BASE_BUF_H
#define YT_BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *p;
    size_t n;   /* bytes held */
    size_t cap; /* bytes allocated */
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer is as after buf_init. */
void buf_free(struct buf *b);
/* Keeps the memory, forgets the bytes and the failure. */
void buf_clear(struct buf *b);
/* Room for `n` more bytes at b->p + b->n, or NULL (and failed) past the maximum. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, struct slice s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* `s` as the inside of a JSON string: quotes, controls and bytes that are not UTF-8 are escaped. */
void buf_add_json(struct buf *b, struct slice s);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}

#endif
