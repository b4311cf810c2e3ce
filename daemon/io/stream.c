#include "io/stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
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
    ssize_t put = sendmsg(s->watch.fd, &m, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
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

void stream_peer(const struct stream *s, char out[64])
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (getpeername(s->watch.fd, (struct sockaddr *)&a, &n) != 0)
        a.ss_family = AF_UNSPEC;
    if (a.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
        snprintf(out, 64, "%s:%u", host, port);
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        port = ntohs(in6->sin6_port);
        snprintf(out, 64, "[%s]:%u", host, port);
    } else {
        snprintf(out, 64, "?");
    }
}
