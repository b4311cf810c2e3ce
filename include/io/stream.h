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

/* The other end, as accept() saw it. */
struct peer {
    unsigned char ip[16]; /* 4 bytes used unless v6 */
    uint16_t port;
    bool v6;
};
enum { PEER_TEXT_MAX = 64 };
/* "192.0.2.1:80" or "[2001:db8::1]:80" with its NUL. */
void peer_text(const struct peer *peer, char out[PEER_TEXT_MAX]);
struct sockaddr_storage;
struct peer peer_of(const struct sockaddr_storage *address);

/* Takes over the descriptor. */
void stream_open(struct stream *s, struct reactor *r, int fd,
                 void (*on_ready)(struct watch *w, unsigned what));
/* Stops watching and closes; what is in the kernel still goes out. */
void stream_close(struct stream *s);
/* The same, but resets: unsent bytes are dropped, and the peer learns that it was no end. */
void stream_reset(struct stream *s);

/* *moved is the number of bytes when IO_DONE, else 0. */
enum io_result stream_read(struct stream *s, void *p, size_t n, size_t *moved);
/* `more`: further bytes follow at once, hold back a small packet. */
enum io_result stream_writev(struct stream *s, const struct iovec *iov, int count, bool more,
                             size_t *moved);
/* From `fd` at `offset`. IO_ERROR also when the file is shorter than promised. */
enum io_result stream_sendfile(struct stream *s, int fd, uint64_t offset, size_t n, size_t *moved);

#endif
