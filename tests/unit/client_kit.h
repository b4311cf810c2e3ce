/* A client on a socket, for the tests of the server. */
#ifndef YT_TESTS_CLIENT_KIT_H
#define YT_TESTS_CLIENT_KIT_H

#include "scripted_server.h"

#include <errno.h>

static inline int dial_port(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = KIT_WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void tell(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* As many of the bytes as the server takes; returns how many that were. */
static inline size_t tell_bytes(int fd, const char *p, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        ssize_t put = send(fd, p + sent, n - sent, MSG_NOSIGNAL);
        if (put <= 0)
            break;
        sent += (size_t)put;
    }
    return sent;
}

/* A body in chunks of `size`, and its end. */
static inline void tell_chunks(int fd, const char *p, size_t n, size_t size)
{
    char line[32];
    for (size_t at = 0; at < n; at += size) {
        size_t some = n - at < size ? n - at : size;
        snprintf(line, sizeof line, "%zx\r\n", some);
        tell(fd, line);
        assert_int_equal(tell_bytes(fd, p + at, some), some);
        tell(fd, "\r\n");
    }
    tell(fd, "0\r\nX-Trailer: 1\r\n\r\n");
}

struct heard {
    char *p;
    size_t n;
    bool reset; /* it did not end in order */
};

/* All that comes until the connection ends. */
static inline struct heard hear_all(int fd)
{
    struct heard h = {.p = calloc(1, 1 << 20)};
    ssize_t got;
    while ((got = recv(fd, h.p + h.n, ((size_t)1 << 20) - 1 - h.n, 0)) > 0)
        h.n += (size_t)got;
    h.reset = got < 0;
    if (got < 0)
        assert_int_equal(errno, ECONNRESET); /* not a wait that was too long */
    close(fd);
    return h;
}

/* Until `what` has come; the caller frees. */
static inline char *hear_until(int fd, const char *what)
{
    char *p = calloc(1, 8192);
    size_t n = 0;
    ssize_t got = 1;
    while (!strstr(p, what) && got > 0) {
        got = recv(fd, p + n, 8191 - n, 0);
        n += got > 0 ? (size_t)got : 0;
    }
    if (!strstr(p, what))
        fail_msg("\"%s\" did not come: \"%s\"", what, p);
    return p;
}

static inline unsigned count(const struct heard *h, const char *what)
{
    unsigned n = 0;
    for (const char *at = h->p; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static inline const char *body_of(const struct heard *h)
{
    const char *end = strstr(h->p, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static inline void leave(int fd, bool reset)
{
    struct linger now = {.l_onoff = reset, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

#endif
