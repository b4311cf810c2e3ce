#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "escape.h"

enum { BUF_MIN = 256 };

void buf_init(struct buf *b, size_t max)
{
    /* Half of the address space as the largest maximum: sums of sizes cannot overflow then. */
    *b = (struct buf){.max = max < SIZE_MAX / 2 ? max : SIZE_MAX / 2 - 1};
}

void buf_free(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

/* One byte more than `cap` is allocated: the NUL that vsnprintf insists on. */
static bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap * 2 : BUF_MIN;

    if (cap < need)
        cap = need;
    if (cap > b->max)
        cap = b->max;
    char *p = realloc(b->p, cap + 1);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max - b->n || ((!b->p || n > b->cap - b->n) && !grow(b, b->n + n))) {
        b->failed = true;
        return NULL;
    }
    return b->p + b->n;
}

void buf_add(struct buf *b, struct slice s)
{
    char *room = buf_reserve(b, s.n);

    if (room && s.n) {
        memcpy(room, s.p, s.n);
        b->n += s.n;
    }
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, slice_of(&c, 1));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *room = buf_reserve(b, n < 0 ? SIZE_MAX : (size_t)n);
    if (!room)
        return;
    va_start(args, fmt);
    vsnprintf(room, (size_t)n + 1, fmt, args);
    va_end(args);
    b->n += (size_t)n;
}

void buf_add_json(struct buf *b, struct slice s)
{
    char piece[ESCAPE_MAX];

    while (s.n && !b->failed) {
        size_t plain = escape_plain(s);
        buf_add(b, slice_to(s, plain));
        s = slice_from(s, plain);
        if (s.n)
            buf_add(b, slice_of(piece, escape_next(&s, piece)));
    }
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
