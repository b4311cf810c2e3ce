#include "base/pipe.h"

#include <assert.h>
#include <stdlib.h>

/* One of the two who are told of changes. */
struct listener {
    void (*call)(void *arg);
    void *arg;
};

struct pipe {
    unsigned references;
    bool is_read; /* the reading end is still there */
    enum pipe_state state;
    struct listener writer, reader;
    size_t first; /* offset of the oldest byte */
    size_t held;
    char bytes[PIPE_CAPACITY];
};

struct pipe *pipe_new(void)
{
    struct pipe *p = malloc(sizeof *p);

    if (!p)
        return NULL;
    p->references = 2;
    p->is_read = true;
    p->state = PIPE_OPEN;
    p->writer = p->reader = (struct listener){NULL, NULL};
    p->first = p->held = 0;
    return p;
}

static void unref(struct pipe *p)
{
    if (--p->references == 0)
        free(p);
}

/* The last thing that a caller does with the pipe: the one who is told may leave. */
static void tell(const struct listener *listener)
{
    if (listener->call)
        listener->call(listener->arg);
}

/* --- the writing end --- */

size_t pipe_room(const struct pipe *p)
{
    return p->is_read ? PIPE_CAPACITY - p->held : 0;
}

void pipe_write(struct pipe *p, struct slice bytes)
{
    assert(p->state == PIPE_OPEN && bytes.n <= pipe_room(p));
    if (bytes.n == 0)
        return;
    size_t end = (p->first + p->held) % PIPE_CAPACITY;
    struct slice until_wrap = slice_to(bytes, PIPE_CAPACITY - end);
    struct slice rest = slice_from(bytes, until_wrap.n);
    memcpy(p->bytes + end, until_wrap.p, until_wrap.n);
    memcpy(p->bytes, rest.p, rest.n);
    p->held += bytes.n;
    tell(&p->reader);
}

void pipe_end(struct pipe *p, bool whole)
{
    if (p->state != PIPE_OPEN)
        return;
    p->state = whole ? PIPE_WHOLE : PIPE_BROKEN;
    tell(&p->reader);
}

bool pipe_is_read(const struct pipe *p)
{
    return p->is_read;
}

void pipe_on_room(struct pipe *p, void (*on_room)(void *arg), void *arg)
{
    p->writer = (struct listener){on_room, arg};
}

void pipe_writer_leave(struct pipe **p)
{
    struct pipe *left = *p;

    if (!left)
        return;
    *p = NULL;
    left->writer.call = NULL;
    pipe_end(left, false);
    unref(left);
}

/* --- the reading end --- */

enum pipe_state pipe_state(const struct pipe *p)
{
    return p->state;
}

size_t pipe_read(struct pipe *p, char *out, size_t n)
{
    if (n > p->held)
        n = p->held;
    if (n == 0)
        return 0;
    size_t until_wrap = PIPE_CAPACITY - p->first;
    if (until_wrap > n)
        until_wrap = n;
    memcpy(out, p->bytes + p->first, until_wrap);
    memcpy(out + until_wrap, p->bytes, n - until_wrap);
    p->first = (p->first + n) % PIPE_CAPACITY;
    p->held -= n;
    tell(&p->writer);
    return n;
}

void pipe_on_bytes(struct pipe *p, void (*on_bytes)(void *arg), void *arg)
{
    p->reader = (struct listener){on_bytes, arg};
}

void pipe_reader_leave(struct pipe **p)
{
    struct pipe *left = *p;

    if (!left)
        return;
    *p = NULL;
    left->reader.call = NULL;
    left->is_read = false;
    tell(&left->writer);
    unref(left);
}
