/*
 * A server on 127.0.0.1 whose answers a function of the test writes byte by byte. One thread for
 * each connection; every wait is bounded.
 */
#ifndef YT_TESTS_SCRIPTED_SERVER_H
#define YT_TESTS_SCRIPTED_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "http/chunked.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KIT_REQUESTS_MAX = 64, KIT_REQUEST_MAX = 8192, KIT_WAIT_S = 10 };

struct server;

/* A connection, and the request that came last on it. */
struct visit {
    struct visit *next;
    struct server *server;
    pthread_t thread;
    int fd;
    unsigned connection; /* which one, from 0 */
    char head[KIT_REQUEST_MAX];
    char rest[KIT_REQUEST_MAX]; /* read behind the head and not yet used */
    size_t rest_n;
};

/* Writes an answer; false closes the connection. Runs on the connection's thread. */
typedef bool answer_f(struct visit *v);

struct server {
    int fd;
    unsigned port;
    answer_f *answer;
    void *arg;
    pthread_t acceptor;
    pthread_mutex_t lock;
    unsigned connections;
    struct visit *visits;
    unsigned requests;
    char heads[KIT_REQUESTS_MAX][KIT_REQUEST_MAX]; /* of the first ones */
};

/* false: the client has left. */
static inline bool say_bytes(struct visit *v, const char *p, size_t n)
{
    while (n) {
        ssize_t put = send(v->fd, p, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static inline void YT_PRINTF(2, 3) say(struct visit *v, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n > 0)
        (void)say_bytes(v, text, (size_t)n); /* a client may leave at any time */
    free(text);
}

/* A whole answer with a body. */
static inline bool answer_text(struct visit *v, const char *status, const char *lines,
                               const char *body)
{
    bool head = strncmp(v->head, "HEAD ", 5) == 0;
    say(v, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, lines, strlen(body),
        head ? "" : body);
    return true;
}

/* For the end of an answer_f: the connection ends with a reset. */
static inline bool reset_connection(struct visit *v)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsockopt(v->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    dup2(nothing, v->fd); /* the number stays the visit's */
    close(nothing);
    return false;
}

static inline bool asks_for(const struct visit *v, const char *path)
{
    const char *at = strchr(v->head, ' ');
    size_t n = strlen(path);
    return at && strncmp(at + 1, path, n) == 0 && (at[1 + n] == ' ' || at[1 + n] == '?');
}

/* What was read before comes first. 0 or less: the client has gone, or is silent. */
static inline ssize_t hear_some(struct visit *v, char *p, size_t n)
{
    if (!v->rest_n)
        return recv(v->fd, p, n, 0);
    n = n < v->rest_n ? n : v->rest_n;
    memcpy(p, v->rest, n);
    v->rest_n -= n;
    memmove(v->rest, v->rest + n, v->rest_n);
    return (ssize_t)n;
}

/* Reads one request head. false: the client has gone. */
static inline bool hear(struct visit *v)
{
    size_t n = 0;
    char *end;
    v->head[0] = '\0';
    while (!(end = strstr(v->head, "\r\n\r\n"))) {
        ssize_t got = hear_some(v, v->head + n, sizeof v->head - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        v->head[n] = '\0';
    }
    size_t head = (size_t)(end + 4 - v->head);
    v->rest_n = n - head;
    memcpy(v->rest, v->head + head, v->rest_n);
    v->head[head] = '\0';
    n = head;
    pthread_mutex_lock(&v->server->lock);
    if (v->server->requests < KIT_REQUESTS_MAX)
        memcpy(v->server->heads[v->server->requests], v->head, n + 1);
    v->server->requests++;
    pthread_mutex_unlock(&v->server->lock);
    return true;
}

/* What a request's body has been so far. */
struct heard_body {
    uint64_t n;
    unsigned sum; /* of its bytes, by kit_sum */
    bool whole;
};

static inline unsigned kit_sum(unsigned sum, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

/* Reads the body of the request, of `most` bytes at most, by its framing. */
static inline struct heard_body hear_body(struct visit *v, uint64_t most)
{
    struct heard_body b = {.n = 0};
    struct chunked chunked = {.state = 0};
    char piece[KIT_REQUEST_MAX];
    const char *field = strstr(v->head, "\r\nContent-Length: ");
    uint64_t length = field ? strtoull(field + 18, NULL, 10) : UINT64_MAX;
    b.whole = field ? length == 0 : !strstr(v->head, "\r\nTransfer-Encoding: chunked\r\n");
    while (!b.whole && b.n < most) {
        uint64_t left = length - b.n;
        ssize_t got = hear_some(v, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (got <= 0)
            break;
        struct slice in = slice_of(piece, (size_t)got), data = in;
        enum chunked_status status = CHUNKED_DATA;
        while (field ? data.n > 0 : (status = chunked_read(&chunked, &in, &data)) == CHUNKED_DATA) {
            b.sum = kit_sum(b.sum, data.p, data.n);
            b.n += data.n;
            data.n = 0;
        }
        b.whole = field ? b.n == length : status == CHUNKED_DONE;
    }
    return b;
}

static inline void *serve_connection(void *arg)
{
    struct visit *v = arg;
    while (hear(v) && v->server->answer(v))
        continue;
    shutdown(v->fd, SHUT_RDWR);
    return NULL;
}

static inline void *serve(void *arg)
{
    struct server *s = arg;
    int fd;
    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct timeval wait = {.tv_sec = KIT_WAIT_S};
        struct visit *v = calloc(1, sizeof *v);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        pthread_mutex_lock(&s->lock);
        *v = (struct visit){
            .next = s->visits, .server = s, .fd = fd, .connection = s->connections++};
        s->visits = v;
        pthread_create(&v->thread, NULL, serve_connection, v);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static inline struct server *server_start(answer_f *answer, void *arg)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->answer = answer;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    pthread_create(&s->acceptor, NULL, serve, s);
    return s;
}

static inline void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    for (struct visit *v = s->visits; v; v = v->next)
        shutdown(v->fd, SHUT_RDWR);
    for (struct visit *v = s->visits, *next; v; v = next) {
        next = v->next;
        pthread_join(v->thread, NULL);
        close(v->fd);
        free(v);
    }
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static inline unsigned server_requests(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static inline unsigned server_connections(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* How many requests for that path came, among the first KIT_REQUESTS_MAX. */
static inline unsigned server_count(struct server *s, const char *path)
{
    unsigned count = 0;
    struct visit v = {.server = s};
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->requests && i < KIT_REQUESTS_MAX; i++) {
        memcpy(v.head, s->heads[i], sizeof v.head);
        count += asks_for(&v, path);
    }
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* A port on which nobody listens. */
static inline unsigned closed_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

#endif
