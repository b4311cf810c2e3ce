#include "io/stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

void stream_open(struct stream *s, struct reactor *r, int fd,
                 void (*on_ready)(struct watch *w, unsigned what))
{
    watch_init(&s->watch, r, fd, on_ready);
}

void stream_close(struct stream *s)
{
    watch_set(&s->watch, 0);
    close(s->watch.fd);
    s->watch.fd = -1;
}

void stream_reset(struct stream *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    stream_close(s);
}

static enum io_result failed(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? IO_AGAIN : IO_ERROR;
}

enum io_result stream_read(struct stream *s, void *p, size_t n, size_t *moved)
{
    *moved = 0;
    ssize_t got = recv(s->watch.fd, p, n, 0);
    if (got < 0)
        return failed();
    if (got == 0)
        return IO_EOF;
    *moved = (size_t)got;
    return IO_DONE;
}

enum io_result stream_writev(struct stream *s, const struct iovec *iov, int count, bool more,
                             size_t *moved)
{
    *moved = 0;
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t put = count == 1 ? send(s->watch.fd, iov->iov_base, iov->iov_len, flags)
                             : sendmsg(s->watch.fd, &m, flags);
    if (put < 0)
        return failed();
    *moved = (size_t)put;
    return IO_DONE;
}

enum io_result stream_sendfile(struct stream *s, int fd, uint64_t offset, size_t n, size_t *moved)
{
    *moved = 0;
    off_t from = (off_t)offset;
    ssize_t put = sendfile(s->watch.fd, fd, &from, n);
    if (put < 0)
        return failed();
    if (put == 0)
        return IO_ERROR; /* the file ends before the bytes that were promised */
    *moved = (size_t)put;
    return IO_DONE;
}

struct peer peer_of(const struct sockaddr_storage *address)
{
    struct peer p = {.v6 = address->ss_family == AF_INET6};
    if (p.v6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(p.ip, &in6->sin6_addr, 16);
        p.port = ntohs(in6->sin6_port);
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        memcpy(p.ip, &in->sin_addr, 4);
        p.port = ntohs(in->sin_port);
    }
    return p;
}

void peer_text(const struct peer *peer, char out[PEER_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    inet_ntop(peer->v6 ? AF_INET6 : AF_INET, peer->ip, host, sizeof host);
    snprintf(out, PEER_TEXT_MAX, peer->v6 ? "[%s]:%u" : "%s:%u", host, peer->port);
}
