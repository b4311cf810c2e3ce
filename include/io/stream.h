/*
 * A connected socket. What reads and writes bytes knows only these calls; TLS will stand behind
 * them. Plain TCP today.
 */
#ifndef YT_IO_STREAM_H
#define YT_IO_STREAM_H

#include "io/reactor.h"
#include <sys/types.h>
#include <sys/uio.h>

enum io_result {
    IO_DONE,  /* some bytes moved */
    IO_AGAIN, /* none now: watch for it */
    IO_EOF,   /* the peer has ended its side */
    IO_ERROR, /* broken; close */
};

struct stream {
    struct watch watch;
};

/* Takes over the descriptor. */
void stream_open(struct stream *s, struct reactor *r, int fd,
                 void (*on_ready)(struct watch *w, unsigned what));
/* Stops watching and closes. */
void stream_close(struct stream *s);

/* *moved is the number of bytes when IO_DONE, else 0. */
enum io_result stream_read(struct stream *s, void *p, size_t n, size_t *moved);
/* `more`: further bytes follow at once, hold back a small packet. */
enum io_result stream_writev(struct stream *s, const struct iovec *iov, int count, bool more,
                             size_t *moved);
/* From `fd` at `offset`. IO_ERROR also when the file is shorter than promised. */
enum io_result stream_sendfile(struct stream *s, int fd, uint64_t offset, size_t n, size_t *moved);
/* The peer's "address:port" for the log. */
void stream_peer(const struct stream *s, char out[64]);

#endif
