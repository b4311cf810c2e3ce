#include "daemon/upstream/transfer.c"

#include "upstream_kit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/wait.h>

/* --- a resolver that hangs when told to --- */

static sem_t resolver_gate, resolver_left;

/* Stands before the C library's; "hangs.test" waits until the test lets it go. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || strcmp(name, "hangs.test") != 0)
        return next(name, service, hints, out);
    sem_wait(&resolver_gate);
    sem_post(&resolver_left);
    return EAI_FAIL;
}

/* --- one transfer, run to its end --- */

struct run {
    enum fetch_flow head_flow, body_flow;
    bool refuse_connection;
    int pauses;    /* how often on_body pauses before it takes something */
    int transfers; /* to run one after the other */
    const char *proxy;
    const char *url;
    bool head;
    const char *method;
    uint64_t body_n;                     /* of the request; 0: it has none */
    bool chunked;                        /* it is sent so */
    size_t piece;                        /* so much at a time; 0: as much as there is room */
    size_t stop_at;                      /* not 0: it ends there, */
    enum { SILENT, BROKEN, SHORT } stop; /* so */
    unsigned body_sum;
    unsigned starved;
    unsigned connected;
    int status;
    unsigned long fields;
    struct buf body;
    enum err result;
    struct errinfo info;
    int64_t ms, began;
    struct loop loop;
    struct transfers *transfers_open;
    struct transfer *transfer;
    struct timer resume;
    struct pipe *writer, *reader;
    struct timer write;
    uint64_t written;
};

static void begin(struct run *r);

static bool on_connected(void *arg, const char *address)
{
    struct run *r = arg;
    assert_string_equal(address, "127.0.0.1");
    r->connected++;
    return !r->refuse_connection;
}

static void on_upload(void *arg, bool starved)
{
    struct run *r = arg;
    r->starved += starved;
}

static enum fetch_flow on_head(void *arg, struct answer_head *head)
{
    struct run *r = arg;
    r->status = head->status;
    r->fields = head->fields.n;
    return r->head_flow;
}

static enum fetch_flow on_body(void *arg, const void *bytes, size_t n)
{
    struct run *r = arg;
    if (r->pauses > 0) {
        r->pauses--;
        timer_set(&r->resume, 20);
        return FETCH_PAUSE;
    }
    buf_add(&r->body, slice_of(bytes, n));
    return r->body_flow;
}

static void on_done(void *arg, enum err result, const struct errinfo *info)
{
    struct run *r = arg;
    r->result = result;
    if (info)
        r->info = *info;
    r->transfer = NULL;
    if (r->reader)
        pipe_reader_leave(&r->reader);
    if (--r->transfers > 0)
        begin(r);
    else
        reactor_stop(r->loop.reactor);
}

static void break_body(struct timer *t)
{
    struct run *r = container_of(t, struct run, resume);
    timer_clear(&r->write);
    pipe_end(r->writer, false);
}

static void on_resume(struct timer *t)
{
    transfer_resume(container_of(t, struct run, resume)->transfer);
}

static const struct transfer_ops run_ops = {on_connected, on_upload, on_head, on_body, on_done};

/* The body of the request, a piece in each turn of the loop. */
static void on_write_timer(struct timer *t)
{
    struct run *r = container_of(t, struct run, write);
    char bytes[4096];
    uint64_t end = r->stop_at ? r->stop_at : r->body_n;
    size_t room = pipe_room(r->writer);
    if (r->piece && room > r->piece)
        room = r->piece;
    for (size_t n; room && r->written < end; room -= n, r->written += n) {
        n = room < sizeof bytes ? room : sizeof bytes;
        n = n < end - r->written ? n : (size_t)(end - r->written);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)((r->written + i) * 7 / 3);
        r->body_sum = kit_sum(r->body_sum, bytes, n);
        pipe_write(r->writer, slice_of(bytes, n));
    }
    if (r->written < end)
        timer_set(t, 0);
    else if (!r->stop_at || r->stop != SILENT)
        pipe_end(r->writer, !r->stop_at || r->stop == SHORT);
}

static void begin_body(struct run *r)
{
    r->reader = r->writer = pipe_new();
    timer_init(&r->write, r->loop.reactor, on_write_timer);
    timer_set(&r->write, 10);
}

static void begin(struct run *r)
{
    struct slice lines[] = {SLICE("X-Test: 1"), SLICE("Accept: ")};
    if (r->body_n)
        begin_body(r);
    struct transfer_request request = {.head = r->head,
                                       .method = r->method,
                                       .url = r->url,
                                       .proxy = r->proxy,
                                       .lines = lines,
                                       .line_count = 2,
                                       .body = r->reader,
                                       .has_body_length = !r->chunked,
                                       .body_length = r->body_n};
    assert_int_equal(transfer_start(r->transfers_open, &request, &run_ops, r, &r->transfer),
                     ERR_OK);
}

static void run_open(struct run *r, const struct uplink_options *options)
{
    loop_open(&r->loop);
    buf_init(&r->body, 64 << 20);
    timer_init(&r->resume, r->loop.reactor, on_resume);
    assert_int_equal(transfers_new(r->loop.reactor, options, &r->transfers_open, NULL), ERR_OK);
    r->began = clock_mono_ms();
}

static void run_close(struct run *r)
{
    r->ms = clock_mono_ms() - r->began;
    timer_clear(&r->resume);
    if (r->writer) {
        timer_clear(&r->write);
        pipe_writer_leave(&r->writer);
    }
    transfers_free(&r->transfers_open);
    loop_close(&r->loop);
}

static void run(struct run *r)
{
    run_open(r, &kit_options);
    begin(r);
    reactor_run(r->loop.reactor);
    run_close(r);
}

/* Runs against a server that answers with `answer`; the caller frees r->body. */
static void run_against(answer_f *answer, struct run *r)
{
    char url[64];
    struct server *s = server_start(answer, NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a%%2Fb/../c?x=%%20", s->port);
    r->url = url;
    run(r);
    r->url = NULL;
    server_stop(s);
}

/* --- the wire --- */

static bool answer_hello(struct visit *v)
{
    return answer_text(v, "200 OK", "", "hello");
}

/* Neither answers nor reads. */
static bool answer_never(struct visit *v)
{
    struct pollfd p = {.fd = v->fd, .events = POLLRDHUP};
    poll(&p, 1, KIT_WAIT_S * 1000);
    return false;
}

static void test_what_is_sent(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    char url[64], want[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a%%2Fb/../c?x=%%20", s->port);
    snprintf(want, sizeof want,
             "GET /a%%2Fb/../c?x=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-Test: 1\r\n\r\n",
             s->port);
    struct run r = {.url = url};
    run(&r);
    assert_int_equal(r.result, ERR_OK);
    assert_string_equal(s->heads[0], want);
    assert_int_equal(r.connected, 1);
    buf_free(&r.body);
    server_stop(s);
}

static void test_head_and_connection_reuse(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    struct run r = {.url = url, .head = true, .transfers = 3};
    run(&r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.n, 0);
    assert_int_equal(server_requests(s), 3);
    assert_int_equal(s->connections, 1);
    assert_int_equal(r.connected, 3); /* each use of it is told */
    buf_free(&r.body);
    server_stop(s);
}

/* The second answer begins with what the first one had too much. */
static bool answer_with_surplus(struct visit *v)
{
    if (v->server->requests != 2)
        return answer_hello(v);
    say(v, "the rest of a body\r\n");
    return false;
}

/* Once an upstream that sent more than it had promised spoilt the next, honest, attempt. */
static void test_a_spoilt_connection_does_not_fail_the_next_request(void **state)
{
    (void)state;
    struct server *s = server_start(answer_with_surplus, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    struct run r = {.url = url, .transfers = 2};
    run(&r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 200);
    assert_int_equal(server_requests(s), 3);
    assert_int_equal(s->connections, 2);
    buf_free(&r.body);
    server_stop(s);
}

static bool answer_gzip(struct visit *v)
{
    return answer_text(v, "200 OK", "Content-Encoding: gzip\r\n", "not really gzip");
}

static void test_bytes_are_not_decoded(void **state)
{
    (void)state;
    struct run r = {.url = NULL};
    run_against(answer_gzip, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_true(slice_eq(buf_slice(&r.body), SLICE("not really gzip")));
    buf_free(&r.body);
}

enum { LONG_BODY = 3 << 20 };

static bool answer_long(struct visit *v)
{
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LONG_BODY);
    for (size_t n = 0; n < LONG_BODY; n += sizeof piece)
        if (send(v->fd, piece, sizeof piece, MSG_NOSIGNAL) < 0)
            return false;
    return true;
}

static void test_paused_bytes_come_again(void **state)
{
    (void)state;
    struct run r = {.pauses = 3};
    run_against(answer_long, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.body.n, LONG_BODY);
    assert_int_equal(r.pauses, 0);
    assert_true(r.ms >= 60);
    buf_free(&r.body);
}

/* Here libcurl tells by the result of the call that unpauses. */
static void test_abort_on_resume(void **state)
{
    (void)state;
    struct run r = {.pauses = 1, .body_flow = FETCH_ABORT};
    run_against(answer_long, &r);
    assert_int_equal(r.result, ERR_CLOSED);
    assert_true(r.body.n > 0 && r.body.n <= 16 * 1024);
    buf_free(&r.body);
}

static bool answer_chunked(struct visit *v)
{
    say(v, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
           "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n");
    return true;
}

static void test_chunks_and_trailers(void **state)
{
    (void)state;
    struct run r = {.transfers = 2};
    run_against(answer_chunked, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.fields, 2);
    assert_true(slice_eq(buf_slice(&r.body), SLICE("abcdeabcde")));
    buf_free(&r.body);
}

/* --- broken answers --- */

static const char *broken_text;

static bool answer_broken(struct visit *v)
{
    say(v, "%s", broken_text);
    return false;
}

struct broken_row {
    const char *text;
    enum err result;
    int status; /* what on_head saw; 0: it was not called */
};

static void test_broken_answers(void **state)
{
    (void)state;
    static const struct broken_row rows[] = {
        {"", ERR_UPSTREAM, 0},
        {"hello\r\n\r\n", ERR_PROTO, 0},
        {"HTTP/1.1 200 OK\r\nContent-Le", ERR_PROTO, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", ERR_UPSTREAM, 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", ERR_UPSTREAM, 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel", ERR_UPSTREAM, 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", ERR_PROTO, 0},
        {"HTTP/1.1 200 OK\r\nBad Name: 5\r\n\r\nhello", ERR_PROTO, 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ERR_PROTO, 0},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", ERR_OK, 200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r = {.url = NULL};
        broken_text = rows[i].text;
        run_against(answer_broken, &r);
        if (r.result != rows[i].result || r.status != rows[i].status)
            fail_msg("row %zu: %s (%s), status %d", i, err_name(r.result), r.info.msg, r.status);
        buf_free(&r.body);
    }
}

static bool answer_endless_head(struct visit *v)
{
    say(v, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100; i++)
        say(v, "X: %01000d\r\n", i);
    return false;
}

static void test_head_is_bounded(void **state)
{
    (void)state;
    struct run r = {.url = NULL};
    run_against(answer_endless_head, &r);
    assert_int_equal(r.result, ERR_LIMIT);
    assert_int_equal(r.status, 0);
    buf_free(&r.body);
}

/* --- requests with a body --- */

static bool answer_sum(struct visit *v)
{
    char text[64];
    struct heard_body b = hear_body(v, UINT64_MAX);
    snprintf(text, sizeof text, "%s %llu %u", b.whole ? "whole" : "cut", (unsigned long long)b.n,
             b.sum);
    return answer_text(v, "201 Created", "", text) && b.whole;
}

static void test_a_body_is_sent_as_it_comes(void **state)
{
    (void)state;
    static const struct run rows[] = {
        {.method = "POST", .body_n = 1},
        {.method = "POST", .body_n = 3 << 20},
        {.method = "PUT", .body_n = 3 << 20, .chunked = true},
        {.method = "PATCH", .body_n = 70000, .piece = 700},
        {.method = "REPORT", .body_n = 70000, .piece = 700, .chunked = true},
        {.method = "DELETE", .body_n = 10, .chunked = true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r = rows[i];
        char want[64];
        run_against(answer_sum, &r);
        snprintf(want, sizeof want, "whole %llu %u", (unsigned long long)r.body_n, r.body_sum);
        if (r.result != ERR_OK || r.status != 201 || !slice_eq(buf_slice(&r.body), slice_str(want)))
            fail_msg("row %zu: %s, %s, \"%.*s\"", i, err_name(r.result), r.info.msg, (int)r.body.n,
                     r.body.p);
        assert_true(r.starved > 0);
        buf_free(&r.body);
    }
}

static void test_the_head_of_a_request_with_a_body(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct server *s = server_start(answer_sum, NULL);
        char url[64], want[256];
        snprintf(url, sizeof url, "http://127.0.0.1:%u/x", s->port);
        snprintf(want, sizeof want,
                 "PUT /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%sX-Test: 1\r\n%s\r\n", s->port,
                 chunked ? "Transfer-Encoding: chunked\r\n" : "",
                 chunked ? "" : "Content-Length: 2097152\r\n");
        struct run r = {.url = url, .method = "PUT", .body_n = 2 << 20, .chunked = chunked};
        run(&r);
        assert_int_equal(r.result, ERR_OK);
        assert_string_equal(s->heads[0], want); /* no Expect, no Content-Type */
        buf_free(&r.body);
        server_stop(s);
    }
}

static void test_a_body_that_breaks_off_ends_the_transfer(void **state)
{
    (void)state;
    static const struct run rows[] = {
        {.body_n = 90000, .stop_at = 40000, .stop = BROKEN},
        {.body_n = 90000, .stop_at = 40000, .stop = BROKEN, .chunked = true},
        {.body_n = 90000, .stop_at = 40000, .stop = SHORT},
        {.body_n = 90000, .stop_at = 1, .stop = SHORT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r = rows[i];
        r.method = "POST";
        run_against(answer_sum, &r);
        assert_int_equal(r.result, ERR_CLOSED);
        assert_string_equal(r.info.msg, "the body of the request broke off");
        assert_int_equal(r.status, 0);
        assert_true(r.ms < KIT_LATE_MS);
        buf_free(&r.body);
    }
}

/* The upstream takes nothing, so that libcurl has no reason to ask for more. */
static void test_a_broken_body_is_noticed_while_the_socket_is_full(void **state)
{
    (void)state;
    struct run r = {.method = "POST", .body_n = 64 << 20, .stop_at = 32 << 20, .stop = BROKEN};
    struct server *s = server_start(answer_never, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    r.url = url;
    run_open(&r, &kit_options);
    begin(&r);
    timer_init(&r.resume, r.loop.reactor, break_body);
    timer_set(&r.resume, 300);
    reactor_run(r.loop.reactor);
    run_close(&r);
    assert_int_equal(r.result, ERR_CLOSED);
    assert_true(r.written < r.stop_at);
    server_stop(s);
}

static bool answer_413(struct visit *v)
{
    return answer_text(v, "413 Content Too Large", "", "too much") && false;
}

/* Reads a part and answers; the rest is not wanted. */
static bool answer_413_in_the_middle(struct visit *v)
{
    hear_body(v, 100000);
    answer_text(v, "413 Content Too Large", "Connection: close\r\n", "too much");
    shutdown(v->fd, SHUT_WR);
    hear_body(v, UINT64_MAX);
    return false;
}

static void test_an_early_refusal_is_the_answer(void **state)
{
    (void)state;
    static const struct run rows[] = {
        {.body_n = 90000, .stop_at = 4000}, /* the client would never have gone on */
        {.body_n = 90000, .stop_at = 4000, .chunked = true},
        {.body_n = 8 << 20, .chunked = true},
        {.body_n = 8 << 20, .piece = 3000},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct run r = rows[i / 2];
        r.method = "PUT";
        bool at_once = r.stop_at || i % 2;
        run_against(at_once && r.stop_at ? answer_413 : answer_413_in_the_middle, &r);
        if (r.result != ERR_OK || r.status != 413)
            fail_msg("row %zu: %s (%s), status %d", i, err_name(r.result), r.info.msg, r.status);
        assert_true(slice_eq(buf_slice(&r.body), SLICE("too much")));
        buf_free(&r.body);
    }
}

/* It has said all that it will say, and takes nothing more. */
static bool answer_202_and_leave(struct visit *v)
{
    answer_text(v, "202 Accepted", "", "fine");
    hear_body(v, 50000);
    return reset_connection(v);
}

static void test_an_early_success_is_the_answer(void **state)
{
    (void)state;
    struct run r = {.method = "POST", .body_n = 8 << 20, .piece = 30000};
    run_against(answer_202_and_leave, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 202);
    assert_true(slice_eq(buf_slice(&r.body), SLICE("fine")));
    buf_free(&r.body);
}

static bool answer_long_and_take(struct visit *v)
{
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LONG_BODY);
    for (size_t n = 0; n < LONG_BODY; n += sizeof piece)
        if (!say_bytes(v, piece, sizeof piece))
            return false;
    return hear_body(v, UINT64_MAX).whole;
}

/* A pause of one direction leaves the other one alone. */
static void test_both_directions_pause_by_themselves(void **state)
{
    (void)state;
    struct run r = {.method = "POST", .body_n = 100000, .piece = 500, .pauses = 3};
    run_against(answer_long_and_take, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.body.n, LONG_BODY);
    assert_int_equal(r.written, 100000);
    assert_int_equal(r.pauses, 0);
    buf_free(&r.body);
}

static bool take_and_leave(struct visit *v)
{
    hear_body(v, UINT64_MAX);
    return false;
}

/* Nobody can tell whether the first one has changed something. */
static void test_what_may_change_something_is_never_sent_twice(void **state)
{
    (void)state;
    static const uint64_t bodies[] = {0, 5000};
    for (size_t i = 0; i < 2; i++) {
        struct server *s = server_start(take_and_leave, NULL);
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
        struct run r = {.url = url, .method = "DELETE", .body_n = bodies[i]};
        run(&r);
        assert_int_equal(r.result, ERR_UPSTREAM);
        assert_int_equal(server_requests(s), 1);
        buf_free(&r.body);
        server_stop(s);
    }
}

static bool hello_once_for_each_connection(struct visit *v)
{
    if (server_requests(v->server) > 3)
        return false; /* as if it had been idle for too long */
    return answer_hello(v);
}

/* A kept connection may be a dead one. */
static void test_what_may_change_something_goes_on_a_new_connection(void **state)
{
    (void)state;
    struct server *s = server_start(hello_once_for_each_connection, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    struct run r = {.url = url, .method = "POST", .transfers = 4};
    run(&r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_int_equal(server_connections(s), 4);
    assert_int_equal(server_requests(s), 4);
    buf_free(&r.body);
    server_stop(s);
}

/* --- ended by the caller --- */

static void test_refused_connection_sends_nothing(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    struct run r = {.url = url, .refuse_connection = true};
    run(&r);
    assert_int_equal(r.result, ERR_CLOSED);
    assert_int_equal(server_requests(s), 0);
    buf_free(&r.body);
    server_stop(s);
}

static void test_aborted_by_on_head(void **state)
{
    (void)state;
    struct run r = {.head_flow = FETCH_ABORT};
    run_against(answer_long, &r);
    assert_int_equal(r.result, ERR_CLOSED);
    assert_int_equal(r.body.n, 0);
    buf_free(&r.body);
}

static void end_all(struct timer *t)
{
    struct run *r = container_of(t, struct run, resume);
    transfer_end(&r->transfer);
    assert_null(r->transfer);
    reactor_stop(r->loop.reactor);
}

static void test_end_from_outside(void **state)
{
    (void)state;
    char url[64];
    struct server *s = server_start(answer_never, NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
    struct run r = {.url = url};
    run_open(&r, &kit_options);
    timer_init(&r.resume, r.loop.reactor, end_all);
    begin(&r);
    timer_set(&r.resume, 50);
    reactor_run(r.loop.reactor);
    run_close(&r);
    assert_int_equal(r.connected, 1);
    assert_int_equal(r.status, 0);
    server_stop(s);
}

/* --- name resolution must never hold up the reactor --- */

static void let_resolver_go(void)
{
    sem_post(&resolver_gate);
    sem_wait(&resolver_left);
}

static void test_end_while_resolving_does_not_block(void **state)
{
    (void)state;
    struct run r = {.url = "http://hangs.test/"};
    run_open(&r, &kit_options);
    timer_init(&r.resume, r.loop.reactor, end_all);
    begin(&r);
    timer_set(&r.resume, 50);
    reactor_run(r.loop.reactor);
    run_close(&r);
    assert_in_range(r.ms, 50 - TIMER_GRAIN_MS, KIT_LATE_MS);
    let_resolver_go();
}

static void test_connect_timeout_covers_resolving(void **state)
{
    (void)state;
    struct uplink_options options = kit_options;
    options.connect_timeout_ms = 200;
    struct run r = {.url = "http://hangs.test/"};
    run_open(&r, &options);
    begin(&r);
    reactor_run(r.loop.reactor);
    run_close(&r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_in_range(r.ms, 190, KIT_LATE_MS);
    let_resolver_go();
}

static void test_nobody_listens(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", closed_port());
    struct run r = {.url = url};
    run(&r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_true(strlen(r.info.msg) > 0);
    assert_int_equal(r.connected, 0);
}

static void test_only_http(void **state)
{
    (void)state;
    static const char *const urls[] = {"file:///etc/hostname", "ftp://127.0.0.1/", "gopher://x/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct run r = {.url = urls[i]};
        run(&r);
        assert_int_not_equal(r.result, ERR_OK);
        assert_int_equal(r.body.n, 0);
    }
}

static void test_proxy(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", s->port);
    setenv("no_proxy", "*", 1);
    struct run r = {.url = "http://far.example/x", .proxy = proxy};
    run(&r);
    unsetenv("no_proxy");
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(strncmp(s->heads[0], "GET http://far.example/x HTTP/1.1\r\n", 35), 0);
    buf_free(&r.body);
    server_stop(s);
}

static void test_environment_is_not_asked_for_a_proxy(void **state)
{
    (void)state;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", closed_port());
    setenv("http_proxy", proxy, 1);
    struct run r = {.url = NULL};
    run_against(answer_hello, &r);
    unsetenv("http_proxy");
    assert_int_equal(r.result, ERR_OK);
    buf_free(&r.body);
}

/* --- TLS, against openssl's test server --- */

struct tls_server {
    char dir[32];
    char certificate[64];
    unsigned port;
    pid_t pid;
};

static bool tls_start(struct tls_server *t)
{
    char command[600];
    strcpy(t->dir, "/tmp/yt-tls-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    snprintf(t->certificate, sizeof t->certificate, "%s/c.pem", t->dir);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
             "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s/k.pem -out %s "
             "2>/dev/null",
             t->dir, t->certificate);
    if (system(command) != 0)
        return false;
    t->port = closed_port();
    t->pid = fork();
    if (t->pid == 0) {
        snprintf(command, sizeof command,
                 "exec openssl s_server -quiet -www -accept 127.0.0.1:%u -key %s/k.pem -cert %s "
                 ">/dev/null 2>&1 </dev/null",
                 t->port, t->dir, t->certificate);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)t->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 200; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (up)
            return true;
        usleep(20000);
    }
    return false;
}

static void tls_stop(struct tls_server *t)
{
    char command[80];
    if (t->pid > 0) {
        kill(t->pid, SIGTERM);
        waitpid(t->pid, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -r %s", t->dir);
    assert_int_equal(system(command), 0);
}

static void run_tls(const char *host, unsigned port, const char *ca_file, struct run *r)
{
    char url[64];
    struct uplink_options options = kit_options;
    options.ca_file = ca_file;
    snprintf(url, sizeof url, "https://%s:%u/", host, port);
    r->url = url;
    run_open(r, &options);
    begin(r);
    reactor_run(r->loop.reactor);
    run_close(r);
    r->url = NULL;
    buf_free(&r->body);
}

static void test_tls_is_verified(void **state)
{
    (void)state;
    struct tls_server t = {.pid = 0};
    bool up = tls_start(&t);
    struct run trusted = {.url = NULL}, unknown = {.url = NULL}, other = {.url = NULL};
    if (up) {
        run_tls("localhost", t.port, t.certificate, &trusted);
        run_tls("localhost", t.port, NULL, &unknown);
        run_tls("127.0.0.1", t.port, t.certificate, &other);
    }
    tls_stop(&t);
    assert_true(up); /* the openssl command is among what `make deps-test` installs */
    assert_int_equal(trusted.result, ERR_OK);
    assert_int_equal(trusted.status, 200);
    assert_int_equal(unknown.result, ERR_UPSTREAM);
    assert_int_equal(unknown.connected, 0);
    assert_int_equal(other.result, ERR_UPSTREAM); /* the certificate does not name it */
    assert_int_equal(other.connected, 0);
}

static void test_ca_file_that_cannot_be_read(void **state)
{
    (void)state;
    struct uplink_options options = kit_options;
    struct reactor *reactor;
    struct transfers *ts = NULL;
    struct errinfo info;
    assert_int_equal(reactor_new(&reactor, NULL), ERR_OK);
    options.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(transfers_new(reactor, &options, &ts, &info), ERR_IO);
    assert_null(ts);
    assert_int_equal(strncmp(info.msg, "cannot read /nonexistent/ca.pem: ", 33), 0);
    reactor_free(&reactor);
}

static int setup(void **state)
{
    sem_init(&resolver_gate, 0, 0);
    sem_init(&resolver_left, 0, 0);
    return kit_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_head_and_connection_reuse),
        cmocka_unit_test(test_a_spoilt_connection_does_not_fail_the_next_request),
        cmocka_unit_test(test_bytes_are_not_decoded),
        cmocka_unit_test(test_paused_bytes_come_again),
        cmocka_unit_test(test_abort_on_resume),
        cmocka_unit_test(test_chunks_and_trailers),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_head_is_bounded),
        cmocka_unit_test(test_refused_connection_sends_nothing),
        cmocka_unit_test(test_aborted_by_on_head),
        cmocka_unit_test(test_a_body_is_sent_as_it_comes),
        cmocka_unit_test(test_the_head_of_a_request_with_a_body),
        cmocka_unit_test(test_a_body_that_breaks_off_ends_the_transfer),
        cmocka_unit_test(test_a_broken_body_is_noticed_while_the_socket_is_full),
        cmocka_unit_test(test_an_early_refusal_is_the_answer),
        cmocka_unit_test(test_an_early_success_is_the_answer),
        cmocka_unit_test(test_both_directions_pause_by_themselves),
        cmocka_unit_test(test_what_may_change_something_is_never_sent_twice),
        cmocka_unit_test(test_what_may_change_something_goes_on_a_new_connection),
        cmocka_unit_test(test_end_from_outside),
        cmocka_unit_test(test_end_while_resolving_does_not_block),
        cmocka_unit_test(test_connect_timeout_covers_resolving),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_only_http),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_environment_is_not_asked_for_a_proxy),
        cmocka_unit_test(test_tls_is_verified),
        cmocka_unit_test(test_ca_file_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
