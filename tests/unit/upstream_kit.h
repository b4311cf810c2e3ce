/*
 * What the unit tests of daemon/upstream share: a server on 127.0.0.1 whose answers a function of
 * the test writes byte by byte, and fetches that are run to their end. Every wait is bounded.
 */
#ifndef YT_TESTS_UPSTREAM_KIT_H
#define YT_TESTS_UPSTREAM_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "upstream/upstream.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KIT_CONNECTIONS_MAX = 64, KIT_REQUESTS_MAX = 64, KIT_REQUEST_MAX = 8192, KIT_WAIT_S = 10 };

/* --- the server --- */

struct server;

/* One request that a client has sent. */
struct visit {
    struct server *server;
    int fd;
    unsigned connection; /* which one, from 0 */
    char head[KIT_REQUEST_MAX];
};

/* Writes an answer; false closes the connection. Runs on a thread of its own per connection. */
typedef bool answer_f(struct visit *v);

struct server {
    int fd;
    unsigned port;
    answer_f *answer;
    void *arg;
    pthread_t acceptor;
    pthread_mutex_t lock;
    unsigned connections;
    int fds[KIT_CONNECTIONS_MAX];
    pthread_t threads[KIT_CONNECTIONS_MAX];
    unsigned requests;
    char heads[KIT_REQUESTS_MAX][KIT_REQUEST_MAX];
};

static inline void say(struct visit *v, const char *fmt, ...)
{
    char text[KIT_REQUEST_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ssize_t put = send(v->fd, text, (size_t)n, MSG_NOSIGNAL);
    (void)put; /* a client may leave at any time */
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
    free(v);
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
        unsigned i = s->connections++;
        *v = (struct visit){.server = s, .fd = fd, .connection = i};
        s->fds[i] = fd;
        pthread_create(&s->threads[i], NULL, serve_connection, v);
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
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
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
    for (unsigned i = 0; i < s->connections; i++)
        shutdown(s->fds[i], SHUT_RDWR);
    for (unsigned i = 0; i < s->connections; i++) {
        pthread_join(s->threads[i], NULL);
        close(s->fds[i]);
    }
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* How many requests for that path came. */
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

/* --- a reactor that runs for a bounded time --- */

struct loop {
    struct reactor *reactor;
    struct timer guard;
};

static inline void loop_too_long(struct timer *t)
{
    (void)t;
    fail_msg("nothing came within %d seconds", KIT_WAIT_S);
}

static inline void loop_open(struct loop *l)
{
    assert_int_equal(reactor_new(&l->reactor, NULL), ERR_OK);
    timer_init(&l->guard, l->reactor, loop_too_long);
    timer_set(&l->guard, KIT_WAIT_S * 1000);
}

static inline void loop_close(struct loop *l)
{
    timer_clear(&l->guard);
    reactor_free(&l->reactor);
}

/* --- upstreams --- */

/* A set of servers on 127.0.0.1, with the account user:secret when `account`. */
static inline struct upstream_set *set_of(const unsigned *ports, size_t n, bool account)
{
    struct config_upstream config[4];
    char urls[4][64];
    char user[] = "user", password[] = "secret", name[] = "test";
    assert_true(n <= 4);
    memset(config, 0, sizeof config);
    for (size_t i = 0; i < n; i++) {
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%u", ports[i]);
        config[i].url = urls[i];
        config[i].username = account ? user : NULL;
        config[i].password = account ? password : NULL;
    }
    struct config_route route = {.name = name, .upstreams = config, .upstream_count = n};
    struct upstream_set *set = NULL;
    struct errinfo info;
    assert_int_equal(upstream_set_new(&route, &set, &info), ERR_OK);
    return set;
}

static const struct uplink_options kit_options = {
    .connect_timeout_ms = 1000,
    .response_timeout_ms = 1500,
    .stall_timeout_ms = 400,
};

/* --- one fetch, run to its end --- */

struct fetched {
    /* what the consumer wants */
    enum fetch_flow head_flow;
    enum fetch_flow body_flow;
    int64_t resume_after_ms; /* after a pause */
    /* what came */
    bool has_head;
    int status;
    bool refused, framed, has_length;
    uint64_t length;
    char retry_after[64];
    char etag[64];
    struct buf body;
    bool done;
    enum err result;
    char msg[200];
    int64_t ms; /* from the start to on_done */
    /* private */
    struct loop loop;
    struct fetch *fetch;
    struct timer resume;
    int64_t began;
};

static inline void kit_text(char out[64], struct slice value)
{
    snprintf(out, 64, "%.*s", (int)value.n, value.p ? value.p : "");
}

static inline void kit_resume(struct timer *t)
{
    struct fetched *r = (struct fetched *)(void *)((char *)t - offsetof(struct fetched, resume));
    r->head_flow = r->body_flow = FETCH_CONTINUE;
    fetch_resume(r->fetch);
}

static inline enum fetch_flow kit_flow(struct fetched *r, enum fetch_flow flow)
{
    if (flow == FETCH_PAUSE)
        timer_set(&r->resume, r->resume_after_ms);
    return flow;
}

static inline enum fetch_flow kit_head(void *arg, const struct fetch_head *head)
{
    struct fetched *r = arg;
    assert_false(r->has_head);
    r->has_head = true;
    r->status = head->status;
    r->refused = head->refused;
    r->framed = head->framed;
    r->has_length = head->has_length;
    r->length = head->length;
    kit_text(r->retry_after, http_fields_value(&head->fields, HF_RETRY_AFTER));
    kit_text(r->etag, http_fields_value(&head->fields, HF_ETAG));
    return kit_flow(r, r->head_flow);
}

static inline enum fetch_flow kit_body(void *arg, const void *bytes, size_t n)
{
    struct fetched *r = arg;
    assert_true(r->has_head);
    if (r->body_flow == FETCH_CONTINUE)
        buf_add(&r->body, slice_of(bytes, n));
    return kit_flow(r, r->body_flow);
}

static inline void kit_done(void *arg, enum err result, const struct errinfo *info)
{
    struct fetched *r = arg;
    assert_false(r->done);
    r->done = true;
    r->result = result;
    r->ms = clock_mono_ms() - r->began;
    snprintf(r->msg, sizeof r->msg, "%s", info ? info->msg : "");
    assert_true((result == ERR_OK) == (info == NULL));
    reactor_stop(r->loop.reactor);
}

static const struct fetch_ops kit_ops = {kit_head, kit_body, kit_done};

/* Runs one fetch with an uplink of its own; the caller frees with fetched_free. */
static inline void run_fetch(const struct fetch_request *request,
                             const struct uplink_options *options, struct tokens *tokens,
                             struct fetched *r)
{
    struct uplink *uplink = NULL;
    loop_open(&r->loop);
    buf_init(&r->body, 64 << 20);
    timer_init(&r->resume, r->loop.reactor, kit_resume);
    assert_int_equal(uplink_new(r->loop.reactor, tokens, options, &uplink, NULL), ERR_OK);
    r->began = clock_mono_ms();
    r->fetch = fetch_start(uplink, request, &kit_ops, r);
    assert_false(r->has_head || r->done);
    reactor_run(r->loop.reactor);
    assert_true(r->done);
    assert_true(r->has_head || r->result != ERR_OK);
    timer_clear(&r->resume);
    uplink_free(&uplink);
    loop_close(&r->loop);
}

/* A GET of `path` with tokens of its own. */
static inline void get(struct upstream_set *set, const char *path, struct fetched *r)
{
    struct fetch_request request = {.set = set, .path = slice_str(path), .id = SLICE("t")};
    struct tokens *tokens = tokens_new();
    run_fetch(&request, &kit_options, tokens, r);
    tokens_free(&tokens);
}

static inline void fetched_free(struct fetched *r)
{
    buf_free(&r->body);
    *r = (struct fetched){.fetch = NULL};
}

static inline void check_body(const struct fetched *r, const char *want)
{
    if (!slice_eq(buf_slice(&r->body), slice_str(want)))
        fail_msg("got \"%.*s\", want \"%s\"", (int)r->body.n, r->body.p ? r->body.p : "", want);
}

/* Group set-up: no proxy of the environment comes between, and a closed peer is no signal. */
static inline int kit_setup(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    signal(SIGPIPE, SIG_IGN);
    return uplink_global_init(NULL) == ERR_OK ? 0 : -1;
}

#endif
