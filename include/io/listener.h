/* Listening sockets. */
#ifndef YT_IO_LISTENER_H
#define YT_IO_LISTENER_H

#include "io/stream.h"

struct listener;

/*
 * Opens a listening socket on "host:port" or "[v6]:port" with SO_REUSEPORT, so that each reactor
 * has its own and the kernel spreads the connections. ERR_IO with a text that names the address.
 * Any thread.
 */
YT_MUST_CHECK enum err listen_socket(const char *address, int *fd, struct errinfo *info);

/*
 * SO_REUSEPORT would let a second daemon share our port unseen; this finds out whether somebody
 * listens on the address already.
 */
YT_MUST_CHECK enum err listen_probe(const char *address, struct errinfo *info);

/* `fd` is the caller's accepted socket: non-blocking, close-on-exec, TCP_NODELAY. */
typedef void listener_accept_f(void *arg, int fd, const struct peer *peer);

/* Takes over `fd`. When descriptors run out, accepting pauses for a moment and goes on. */
YT_MUST_CHECK enum err listener_new(struct reactor *r, int fd, listener_accept_f *on_accept,
                                    void *arg, struct listener **out);
/* Closes the socket. */
void listener_free(struct listener **l);

#endif
