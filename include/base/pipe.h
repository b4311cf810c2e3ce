/*
 * A bounded way for bytes from one owner to another on the same thread: a client's request body on
 * its way to an upstream. Both ends hold a reference; either may leave first.
 */
#ifndef YT_BASE_PIPE_H
#define YT_BASE_PIPE_H

#include "base/slice.h"

enum { PIPE_CAPACITY = 128 * 1024 };

struct pipe;

/* Has one reference for each end. NULL: no memory. */
struct pipe *pipe_new(void);

/* --- the writing end --- */

/* How many bytes fit now; 0 also when the reader has left. */
size_t pipe_room(const struct pipe *p);
/* At most pipe_room() bytes. */
void pipe_write(struct pipe *p, struct slice bytes);
/* The body is complete (`whole`), or will never be. */
void pipe_end(struct pipe *p, bool whole);
bool pipe_is_read(const struct pipe *p); /* false: the reading end has left */
/* Called when there is room again, or the reader has left; from within the reader's calls. */
void pipe_on_room(struct pipe *p, void (*on_room)(void *arg), void *arg);
/* Leaves; what was not ended is broken. Nulls the pointer. */
void pipe_writer_leave(struct pipe **p);

/* --- the reading end --- */

enum pipe_state {
    PIPE_OPEN,   /* more may come */
    PIPE_WHOLE,  /* what is in it is all there is */
    PIPE_BROKEN, /* it will never be complete */
};
enum pipe_state pipe_state(const struct pipe *p);
/* Takes up to n bytes; 0 when it is empty. */
size_t pipe_read(struct pipe *p, char *out, size_t n);
/* Called when there is something to read or the state has changed; from within the writer's calls.
 */
void pipe_on_bytes(struct pipe *p, void (*on_bytes)(void *arg), void *arg);
void pipe_reader_leave(struct pipe **p);

#endif
