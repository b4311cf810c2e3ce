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

#include <arpa/inet.h>
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
    int fd = dup(v->fd);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    return false;
}

static inline bool asks_for(const struct visit *v, const char *path)
{
    const char *at = strchr(v->head, ' ');
    size_t n = strlen(path);
    return at && strncmp(at + 1, path, n) == 0 && (at[1 + n] == ' ' || at[1 + n] == '?');
}

/* Reads one request head. false: the client has gone. */
static inline bool hear(struct visit *v)
{
    size_t n = 0;
    v->head[0] = '\0';
    while (!strstr(v->head, "\r\n\r\n")) {
        ssize_t got = recv(v->fd, v->head + n, sizeof v->head - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        v->head[n] = '\0';
    }
    pthread_mutex_lock(&v->server->lock);
    if (v->server->requests < KIT_REQUESTS_MAX)
        memcpy(v->server->heads[v->server->requests], v->head, n + 1);
    v->server->requests++;
    pthread_mutex_unlock(&v->server->lock);
    return true;
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
