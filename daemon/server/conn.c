/*
 * A client connection. The reading half (c->in) and the answering half (c->out) are separate; while
 * an answer is in the making nothing is read but the body of its request (upload.c), but a client
 * that leaves is noticed.
 */
#include "conn.h"
#include "base/container.h"
#include "base/counters.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void take_input(struct conn *c, struct slice data);

/* --- life --- */

void conn_set_deadline(struct conn *c, struct deadline_queue *q)
{
    deadline_set(q, &c->deadline);
    c->deadline_queue = q;
}

static void conn_free(struct conn *c)
{
    struct server_worker *w = c->worker;
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c->pending);
    free(c);
    atomic_fetch_sub(&w->service->connections, 1);
    counter_dec(COUNTER_CONNECTIONS_OPEN);
    worker_conn_gone(w);
}

static void end(struct conn *c, void (*close_stream)(struct stream *s))
{
    if (c->dying)
        return;
    c->dying = true;
    deadline_clear(&c->deadline);
    if (c->exchange) {
        c->exchange->aborted = true; /* else it would have ended before */
        exchange_free(c->exchange);
    }
    c->exchange = NULL;
    close_stream(&c->stream);
}

void conn_close(struct conn *c)
{
    end(c, stream_close);
}

void conn_break(struct conn *c)
{
    end(c, stream_reset);
}

void conn_enter(struct conn *c)
{
    c->depth++;
}

void conn_leave(struct conn *c)
{
    if (--c->depth == 0 && c->dying)
        conn_free(c);
}

/* --- what is watched in each state --- */

static bool has_deadline(const struct conn *c, const struct deadline_queue *q)
{
    return c->deadline.next && c->deadline_queue == q;
}

/* The client's turn, if it is its body that is waited for; else the engine's. */
static void await_one(struct conn *c, bool for_body)
{
    watch_set(&c->stream.watch, for_body ? WATCH_READ : WATCH_CLOSED);
    if (!for_body)
        deadline_clear(&c->deadline);
    else if (!has_deadline(c, &c->worker->request))
        upload_set_deadline(c);
}

void conn_set_out(struct conn *c, enum conn_out out)
{
    unsigned body = upload_wants(c) ? WATCH_READ : 0;
    c->out = out;
    switch (out) {
    case OUT_IDLE:
    case OUT_LINGER:
        watch_set(&c->stream.watch, WATCH_READ);
        break;
    case OUT_WAIT:
        await_one(c, body);
        break;
    case OUT_SEND:
        watch_set(&c->stream.watch, WATCH_WRITE | body);
        if (!has_deadline(c, &c->worker->send)) {
            c->sent_mark = c->exchange->sent;
            conn_set_deadline(c, &c->worker->send);
        }
        break;
    }
}

/* --- reading --- */

/* Keeps what was not used; frees the buffer when nothing is left, so that idle costs nothing. */
static bool keep(struct conn *c, struct slice rest)
{
    if (rest.n == 0) {
        free(c->pending);
        c->pending = NULL;
        c->pending_n = c->pending_cap = 0;
        return true;
    }
    if (c->pending && rest.p >= c->pending && rest.p <= c->pending + c->pending_n) {
        memmove(c->pending, rest.p, rest.n);
    } else {
        char *p = malloc(rest.n);
        if (!p)
            return false;
        memcpy(p, rest.p, rest.n);
        free(c->pending);
        c->pending = p;
        c->pending_cap = rest.n;
    }
    c->pending_n = rest.n;
    return true;
}

/* Room behind the pending bytes, up to one head and a little. */
static bool grow_pending(struct conn *c)
{
    if (c->pending_cap - c->pending_n >= 1024)
        return true;
    size_t cap = c->pending_cap * 2 < 4096 ? 4096 : c->pending_cap * 2;
    if (cap > HTTP_HEAD_MAX + 4096)
        cap = HTTP_HEAD_MAX + 4096;
    if (cap <= c->pending_n)
        return false;
    char *p = realloc(c->pending, cap);
    if (!p)
        return false;
    c->pending = p;
    c->pending_cap = cap;
    return true;
}

static void reject(struct conn *c, int status, const char *why)
{
    counter_inc(COUNTER_REQUESTS_REJECTED);
    c->close_after = true;
    if (!c->exchange)
        c->exchange = exchange_new(c);
    if (!c->exchange) {
        conn_close(c);
        return;
    }
    exchange_reject(c->exchange, status, why);
}

/* A request has begun: head and body must be in by one deadline. */
static void request_is_coming(struct conn *c)
{
    if (!has_deadline(c, &c->worker->request))
        conn_set_deadline(c, &c->worker->request);
}

/* The request is run while its body comes. */
static void begin_upload(struct conn *c)
{
    if (!upload_begin(c)) {
        conn_close(c);
        return;
    }
    exchange_run(c->exchange);
    bool invited = c->in == IN_UPLOAD && c->out == OUT_WAIT && !c->dying;
    if (invited && c->exchange->request.expect_continue)
        upload_invite(c);
}

/* How much of an unwanted body is read, if it is worth that to keep the connection. */
static void begin_body(struct conn *c, const struct http_request *r)
{
    bool skip = r->framing != HTTP_NO_BODY && !r->expect_continue &&
                (r->framing == HTTP_CHUNKED || r->content_length <= DISCARD_MAX);
    c->close_after = !r->keep_alive || c->worker->stopping;
    c->skipped = 0;
    c->body_left = r->content_length;
    memset(&c->chunked, 0, sizeof c->chunked);
    if (r->framing != HTTP_NO_BODY && exchange_takes_body(c->exchange)) {
        begin_upload(c);
    } else if (skip) {
        c->in = IN_BODY;
        request_is_coming(c);
    } else {
        c->close_after = c->close_after || r->framing != HTTP_NO_BODY;
        exchange_run(c->exchange);
    }
}

/* A method begins with a letter; a TLS hello on a plain port, say, need not wait for its end. */
static bool may_be_request(struct slice data)
{
    while (data.n && (data.p[0] == '\r' || data.p[0] == '\n'))
        data = slice_from(data, 1);
    return data.n == 0 || http_is_token(slice_to(data, 1));
}

/* Returns the bytes used; 0: the head is not complete, or refused. */
static size_t take_head(struct conn *c, struct slice data)
{
    size_t n = http_head_length(data, &c->scanned);
    if (n > HTTP_HEAD_MAX || (n == 0 && data.n >= HTTP_HEAD_MAX)) {
        reject(c, 431, "the request head is too large");
        return data.n;
    }
    if (!may_be_request(data)) {
        reject(c, 400, "this is no HTTP request");
        return data.n;
    }
    if (n == 0) {
        request_is_coming(c);
        return 0;
    }
    c->scanned = 0;
    struct exchange *x = c->exchange = exchange_new(c);
    if (!x) {
        conn_close(c);
        return data.n;
    }
    const char *why = "";
    struct slice head = arena_copy(&x->arena, slice_to(data, n));
    int status = head.p ? http_request_parse(head, &x->arena, &x->request, &why) : 503;
    if (status)
        reject(c, status, why);
    else
        begin_body(c, &x->request);
    return n;
}

static void body_complete(struct conn *c)
{
    c->in = IN_HEAD;
    exchange_run(c->exchange);
}

static size_t take_sized_body(struct conn *c, struct slice data)
{
    size_t n = data.n < c->body_left ? data.n : (size_t)c->body_left;
    c->body_left -= n;
    if (c->body_left == 0)
        body_complete(c);
    return n;
}

static size_t take_chunked_body(struct conn *c, struct slice data)
{
    struct slice in = data, bytes;
    enum chunked_status status;
    while ((status = chunked_read(&c->chunked, &in, &bytes)) == CHUNKED_DATA)
        c->skipped += bytes.n;
    if (status == CHUNKED_ERROR) {
        c->in = IN_HEAD;
        reject(c, 400, "the chunked body is malformed");
        return data.n;
    }
    if (status == CHUNKED_DONE) {
        body_complete(c);
    } else if (c->skipped > DISCARD_MAX) {
        c->close_after = true;
        body_complete(c);
        return data.n;
    }
    return data.n - in.n;
}

static size_t take_upload(struct conn *c, struct slice data)
{
    bool malformed;
    size_t used = upload_take(c, data, &malformed);
    if (!malformed)
        return used;
    c->in = IN_HEAD;
    if (exchange_abandon(c->exchange))
        reject(c, 400, "the chunked body is malformed");
    else
        conn_break(c);
    return data.n;
}

static size_t take_body(struct conn *c, struct slice data)
{
    if (c->in == IN_UPLOAD)
        return take_upload(c, data);
    if (c->exchange->request.framing == HTTP_CHUNKED)
        return take_chunked_body(c, data);
    return take_sized_body(c, data);
}

/* Uses as many bytes as the state allows: several pipelined requests if they are answered at once.
 */
static void take_input(struct conn *c, struct slice data)
{
    c->taking = true;
    while (data.n && !c->dying && (c->out == OUT_IDLE || upload_wants(c))) {
        size_t used = c->in == IN_HEAD ? take_head(c, data) : take_body(c, data);
        if (used == 0)
            break;
        data = slice_from(data, used);
    }
    c->taking = false;
    if (c->dying)
        return;
    if (!keep(c, c->out == OUT_LINGER ? slice_of(NULL, 0) : data))
        conn_close(c);
}

static void client_left(struct conn *c)
{
    counter_inc(COUNTER_CLIENT_ABORTS);
    conn_close(c);
}

static void on_input(struct conn *c)
{
    char *into = c->worker->read_buffer;
    size_t room = READ_SIZE, got;
    if (c->pending) {
        if (!grow_pending(c)) {
            conn_close(c);
            return;
        }
        into = c->pending + c->pending_n;
        room = c->pending_cap - c->pending_n;
    }
    if (c->in == IN_UPLOAD && room > pipe_room(c->exchange->upload))
        room = pipe_room(c->exchange->upload); /* so that all of it can be used */
    switch (stream_read(&c->stream, into, room, &got)) {
    case IO_DONE:
        break;
    case IO_AGAIN:
        return;
    case IO_EOF:
    case IO_ERROR:
        if (c->in == IN_UPLOAD)
            client_left(c);
        else
            conn_close(c);
        return;
    }
    if (c->out == OUT_LINGER) {
        c->skipped += got;
        if (c->skipped > LINGER_MAX)
            conn_close(c);
        return;
    }
    if (c->pending)
        c->pending_n += got;
    take_input(c, c->pending ? slice_of(c->pending, c->pending_n) : slice_of(into, got));
}

/* --- answering --- */

/* No more requests: let the client read the answer before the connection goes. */
static void linger(struct conn *c)
{
    if (shutdown(c->stream.watch.fd, SHUT_WR) != 0) {
        conn_close(c);
        return;
    }
    c->skipped = 0;
    conn_set_out(c, OUT_LINGER);
    conn_set_deadline(c, &c->worker->linger);
}

void conn_exchange_over(struct conn *c, bool broken)
{
    if (broken) {
        conn_break(c);
        return;
    }
    c->close_after = c->close_after || c->in == IN_UPLOAD; /* the rest is not read */
    c->in = IN_HEAD;
    exchange_free(c->exchange);
    c->exchange = NULL;
    if (c->close_after || c->worker->stopping) {
        linger(c);
        return;
    }
    conn_set_out(c, OUT_IDLE);
    conn_set_deadline(c, &c->worker->idle);
    if (c->pending_n && !c->taking)
        take_input(c, slice_of(c->pending, c->pending_n));
}

void conn_send(struct conn *c)
{
    switch (deliver(c->exchange)) {
    case DELIVER_DONE:
        conn_exchange_over(c, false);
        break;
    case DELIVER_BROKEN:
        conn_exchange_over(c, true);
        break;
    case DELIVER_BLOCKED:
        conn_set_out(c, OUT_SEND);
        break;
    case DELIVER_STARVED:
        conn_set_out(c, OUT_WAIT);
        break;
    }
}

static void on_ready(struct watch *w, unsigned what)
{
    struct conn *c = container_of(w, struct conn, stream.watch);
    conn_enter(c);
    if (what & WATCH_CLOSED)
        client_left(c);
    if (what & WATCH_READ)
        on_input(c);
    if ((what & WATCH_WRITE) && !c->dying)
        conn_send(c);
    conn_leave(c);
}

/* --- deadlines --- */

/* The send deadline is a minimum rate: enough was taken, or the client is dropped. */
static bool took_enough(const struct conn *c)
{
    uint64_t least = (uint64_t)(c->worker->send.ms * SEND_RATE_MIN / 1000);
    return c->exchange->sent - c->sent_mark >= least;
}

void conn_on_deadline(struct deadline *d)
{
    struct conn *c = container_of(d, struct conn, deadline);
    conn_enter(c);
    if (c->out == OUT_SEND && took_enough(c)) {
        c->sent_mark = c->exchange->sent;
        conn_set_deadline(c, &c->worker->send);
    } else if (c->out == OUT_WAIT && upload_is_steady(c)) {
        upload_set_deadline(c);
    } else {
        bool idle = c->out == OUT_LINGER || (c->out == OUT_IDLE && !c->exchange && !c->pending);
        if (!idle)
            counter_inc(COUNTER_CLIENT_TIMEOUTS);
        if (c->out == OUT_SEND || c->out == OUT_WAIT)
            conn_break(c);
        else
            conn_close(c);
    }
    conn_leave(c);
}

/* --- birth --- */

/* At the bound: an honest status, as far as that goes without waiting for the request. */
static void refuse(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                 "Retry-After: 1\r\nConnection: close\r\n\r\n";
    char unread[4096];
    counter_inc(COUNTER_CONNECTIONS_REFUSED);
    ssize_t put = send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    /* What came with the connection must not turn the close into a reset. */
    ssize_t got = recv(fd, unread, sizeof unread, MSG_DONTWAIT);
    (void)put;
    (void)got;
    close(fd);
}

void conn_accept(void *arg, int fd, const struct peer *peer)
{
    const struct listen_point *point = arg;
    struct server_worker *w = point->worker;
    struct service *s = w->service;
    counter_inc(COUNTER_CONNECTIONS_ACCEPTED);
    if (atomic_fetch_add(&s->connections, 1) >= s->config->max_connections && !point->admin) {
        atomic_fetch_sub(&s->connections, 1);
        refuse(fd);
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        atomic_fetch_sub(&s->connections, 1);
        close(fd);
        return;
    }
    c->worker = w;
    c->point = point;
    peer_text(peer, c->peer);
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    counter_inc(COUNTER_CONNECTIONS_OPEN);
    stream_open(&c->stream, w->reactor, fd, on_ready);
    conn_set_out(c, OUT_IDLE);
    conn_set_deadline(c, &w->request);
}
