#include "daemon/server/upload.c"

#include "base/config.h"
#include "client_kit.h"
#include "engine_kit.h"

/*
 * The server on a thread of its own, with a protocol of the test and, in place of the engine, a
 * reader that takes the body as fast as the test allows and answers when it is told to.
 */

enum { BODY = 300000 };

/* --- in place of the engine --- */

enum when {
    WHEN_WHOLE, /* answers when the body is in */
    WHEN_SOME,  /* answers when it has `some` bytes, and goes on reading */
    WHEN_LEFT,  /* leaves the body when it has `some` bytes, and answers */
    AT_ONCE,    /* fails before it returns */
};

/* Shared with the test's thread: the rest belongs to the server's. */
static struct {
    enum when when;
    uint64_t some;
    int status;
    atomic_bool hungry;    /* takes what comes */
    atomic_uint lookups;   /* that were begun */
    atomic_uint running;   /* and not ended */
    atomic_ullong taken;   /* bytes of the body */
    atomic_ullong largest; /* that were in the pipe at once */
    atomic_uint sum;
    atomic_int state; /* enum pipe_state, as the reader has seen it */
    atomic_bool has_body, has_length;
    atomic_ullong length;
    struct pipe *body;
    struct lookup *lookup;
    struct timer timer;
    bool answered;
} fake;

static struct seat seat;

static void fake_answer(void)
{
    struct lookup *l = fake.lookup;
    if (!l || fake.answered)
        return;
    fake.answered = true;
    l->answer = (struct answer){.status = fake.status,
                                .content_type = SLICE("text/plain"),
                                .has_size = true,
                                .size = 4,
                                .body = BODY_MEMORY};
    l->held_body.bytes = SLICE("done");
    l->state = LOOKUP_ANSWER;
    l->on_ready(l);
}

static void fake_read(void)
{
    char piece[10000];
    size_t room = PIPE_CAPACITY - pipe_room(fake.body), n;
    if (room > atomic_load(&fake.largest))
        atomic_store(&fake.largest, room);
    while (atomic_load(&fake.hungry) && (n = pipe_read(fake.body, piece, sizeof piece)) > 0) {
        atomic_store(&fake.sum, kit_sum(atomic_load(&fake.sum), piece, n));
        atomic_fetch_add(&fake.taken, n);
    }
    atomic_store(&fake.state, pipe_state(fake.body));
}

/* Never from within the writer's calls, as libcurl. */
static void fake_turn(struct timer *t)
{
    (void)t;
    if (!fake.body)
        return;
    fake_read();
    bool some = fake.when != WHEN_WHOLE && atomic_load(&fake.taken) >= fake.some;
    if (some && fake.when == WHEN_LEFT)
        pipe_reader_leave(&fake.body);
    if (some || (pipe_state(fake.body) == PIPE_WHOLE && pipe_room(fake.body) == PIPE_CAPACITY))
        fake_answer();
}

static void on_fake_bytes(void *arg)
{
    (void)arg;
    timer_set(&fake.timer, 0);
}

enum lookup_state lookup_start(struct lookup *l)
{
    atomic_fetch_add(&fake.lookups, 1);
    atomic_fetch_add(&fake.running, 1);
    l->state = LOOKUP_WAITING;
    if (fake.when == AT_ONCE) {
        l->error = PLAN_ERR_BUSY;
        l->state = LOOKUP_ERROR;
        return l->state;
    }
    fake.lookup = l;
    fake.answered = false;
    atomic_store(&fake.has_body, l->body != NULL);
    atomic_store(&fake.has_length, l->has_body_length);
    atomic_store(&fake.length, l->body_length);
    if (fake.body) /* of the request before */
        pipe_reader_leave(&fake.body);
    fake.body = l->body;
    l->body = NULL;
    if (fake.body)
        pipe_on_bytes(fake.body, on_fake_bytes, NULL);
    timer_set(&fake.timer, 0);
    return l->state;
}

void lookup_end(struct lookup *l)
{
    atomic_fetch_sub(&fake.running, 1);
    if (fake.lookup == l)
        fake.lookup = NULL;
}

void lookup_body(struct lookup *l, uint64_t pos, uint64_t end, bool last, char *scratch,
                 size_t scratch_size, struct piece *piece)
{
    (void)last;
    (void)scratch;
    (void)scratch_size;
    *piece =
        (struct piece){.kind = PIECE_MEMORY, .bytes = l->held_body.bytes.p + pos, .n = end - pos};
}

void lookup_body_taken(struct lookup *l, uint64_t pos)
{
    (void)l;
    (void)pos;
}

void lookup_body_broken(struct lookup *l)
{
    (void)l;
}

/* --- a protocol that takes bodies --- */

static void render(struct arena *a, enum plan_error error, struct slice detail,
                   struct plan_page *page)
{
    (void)a;
    (void)detail;
    *page = (struct plan_page){.status = error == PLAN_ERR_BUSY ? 503 : 400,
                               .content_type = SLICE("text/plain"),
                               .body = SLICE("no")};
}

/* "/take" takes a body; everything else is a page. */
static bool plan(const struct plan_input *in, struct arena *a, struct plan *p)
{
    bool takes = slice_eq(in->path, SLICE("/take"));
    (void)a;
    *p = (struct plan){
        .kind = takes ? PLAN_RELAYED : PLAN_LOCAL,
        .render_error = render,
        .method = in->request->method,
        .takes_body = takes,
        .page = {.status = 200, .content_type = SLICE("text/plain"), .body = SLICE("a page")}};
    return true;
}

static const struct protocol protocol = {
    .config = {.name = SLICE("test")}, .plan = plan, .render_error = render};

/* --- the server --- */

static struct config config;
static struct service service;
static struct server_worker *server;
static unsigned port;
static atomic_bool server_idle;

static void open_server(void *arg)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd = -1;
    (void)arg;
    timer_init(&fake.timer, seat.reactor, fake_turn);
    assert_int_equal(server_worker_new(&service, seat.reactor, NULL, &server), ERR_OK);
    assert_int_equal(listen_socket("127.0.0.1:0", &fd, NULL), ERR_OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    port = ntohs(a.sin_port);
    assert_int_equal(server_worker_listen(server, fd, 0), ERR_OK);
}

static void is_idle(void *arg)
{
    (void)arg;
    atomic_store(&server_idle, true);
}

static void stop_server(void *arg)
{
    (void)arg;
    server_worker_stop(server, is_idle, NULL);
    server_worker_abort(server);
}

static void free_server(void *arg)
{
    (void)arg;
    timer_clear(&fake.timer);
    if (fake.body)
        pipe_reader_leave(&fake.body);
    server_worker_free(&server);
}

static int begin_server(void **state)
{
    static char name[] = "r", address[] = "127.0.0.1:0";
    static struct config_listen listen = {.address = address, .route = name};
    static struct config_route route_config = {.name = name};
    static struct route route;
    (void)state;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    config = (struct config){.listen = &listen,
                             .listen_count = 1,
                             .max_connections = 10,
                             .idle_timeout_ms = 60000,
                             .request_timeout_ms = 60000,
                             .send_timeout_ms = 60000};
    route = (struct route){
        .cache = {.name = SLICE("r")}, .config = &route_config, .protocol = &protocol};
    memset(&service, 0, sizeof service);
    service.config = &config;
    service.routes = &route;
    service.route_count = 1;
    memset(&fake, 0, sizeof fake);
    atomic_store(&fake.hungry, true);
    fake.status = 201;
    return 0;
}

/* What differs from begin_server is set before. */
static void serve_uploads(void)
{
    atomic_store(&server_idle, false);
    assert_int_equal(reactor_new(&seat.reactor, NULL), ERR_OK);
    pthread_create(&seat.thread, NULL, run_seat, &seat);
    call_on(&seat, open_server, NULL);
}

static int end_server(void **state)
{
    (void)state;
    if (!server)
        return 0;
    call_on(&seat, stop_server, NULL);
    await(atomic_load(&server_idle));
    call_on(&seat, free_server, NULL);
    reactor_stop(seat.reactor);
    pthread_join(seat.thread, NULL);
    reactor_free(&seat.reactor);
    assert_int_equal(atomic_load(&fake.running), 0);
    return 0;
}

static unsigned connections(void)
{
    return (unsigned)atomic_load(&service.connections);
}

static void do_nothing(void *arg)
{
    fake_turn(arg);
}

static void feed(bool hungry)
{
    atomic_store(&fake.hungry, hungry);
    call_on(&seat, do_nothing, NULL);
}

/* --- a client --- */

static int dial(void)
{
    return dial_port(port);
}

static void tell_head(int fd, const char *lines)
{
    char text[400];
    snprintf(text, sizeof text, "PUT /take HTTP/1.1\r\nHost: x\r\n%s\r\n", lines);
    tell(fd, text);
}

static char noise[BODY];
static unsigned noise_sum;

static size_t tell_noise(int fd, size_t from, size_t to)
{
    return from + tell_bytes(fd, noise + from, to - from);
}

static void expect(int fd, const char *what)
{
    free(hear_until(fd, what));
}

/* Nothing more comes, and the connection ends. */
static void expect_end(int fd)
{
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void check_taken(void)
{
    assert_int_equal(atomic_load(&fake.taken), BODY);
    assert_int_equal(atomic_load(&fake.sum), noise_sum);
    assert_int_equal(atomic_load(&fake.state), PIPE_WHOLE);
}

/* --- bodies that arrive --- */

static void test_a_sized_body_reaches_the_engine(void **state)
{
    (void)state;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 300000\r\n");
    await(atomic_load(&fake.lookups) == 1); /* before any of the body */
    assert_int_equal(tell_noise(fd, 0, BODY), BODY);
    char *answer = hear_until(fd, "done");
    assert_non_null(strstr(answer, "HTTP/1.1 201 "));
    assert_null(strstr(answer, "Connection: close"));
    free(answer);
    check_taken();
    assert_true(atomic_load(&fake.has_length));
    assert_int_equal(atomic_load(&fake.length), BODY);
    close(fd);
}

static void test_a_chunked_body_is_decoded(void **state)
{
    (void)state;
    static const size_t sizes[] = {BODY, 70000, 997};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_server(NULL);
        serve_uploads();
        int fd = dial();
        tell_head(fd, "Transfer-Encoding: chunked\r\n");
        tell_chunks(fd, noise, BODY, sizes[i]);
        expect(fd, "done");
        check_taken();
        assert_false(atomic_load(&fake.has_length));
        close(fd);
        end_server(NULL);
    }
}

static void test_a_body_may_come_with_its_head_and_before_the_next_request(void **state)
{
    (void)state;
    serve_uploads();
    int fd = dial();
    tell(fd, "PUT /take HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
             "POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\nwor\r\n2\r\nld\r\n0\r\n\r\n"
             "GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *answer = hear_until(fd, "a page");
    assert_int_equal(atomic_load(&fake.lookups), 2);
    assert_int_equal(atomic_load(&fake.taken), 10);
    assert_int_equal(atomic_load(&fake.sum), kit_sum(0, "helloworld", 10));
    free(answer);
    expect_end(fd);
}

static void test_no_body_is_no_body(void **state)
{
    (void)state;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 0\r\n");
    await(atomic_load(&fake.lookups) == 1);
    assert_false(atomic_load(&fake.has_body));
    close(fd);
}

static void test_a_body_that_nobody_takes_is_skipped(void **state)
{
    (void)state;
    serve_uploads();
    int fd = dial();
    tell(fd, "PUT /page HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
             "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *answer = hear_until(fd, "Connection: close");
    assert_non_null(strstr(answer, "a page")); /* of the first one */
    free(answer);
    assert_int_equal(atomic_load(&fake.lookups), 0);
    close(fd);
}

/* --- no faster than it is taken --- */

static void test_a_full_pipe_stops_the_client(void **state)
{
    (void)state;
    atomic_store(&fake.hungry, false);
    serve_uploads();
    int fd = dial(), small = 8192;
    struct timeval wait = {.tv_usec = 200 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    tell_head(fd, "Content-Length: 50000000\r\n");
    size_t sent = 0, round;
    while ((round = tell_noise(fd, 0, BODY)) == BODY) /* until nothing goes for a while */
        sent += round;
    sent += round;
    assert_true(sent >= PIPE_CAPACITY && sent < 20000000);
    assert_int_equal(atomic_load(&fake.taken), 0);
    assert_int_equal(atomic_load(&fake.largest), PIPE_CAPACITY);
    feed(true);
    await(atomic_load(&fake.taken) == sent);
    tell(fd, "more");
    await(atomic_load(&fake.taken) == sent + 4);
    close(fd);
    await(connections() == 0);
    await(atomic_load(&fake.running) == 0);
}

/* --- Expect: 100-continue --- */

static void test_a_client_that_asks_is_told_to_go_on(void **state)
{
    (void)state;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 5\r\nExpect: 100-continue\r\n");
    char *answer = hear_until(fd, "\r\n\r\n");
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    free(answer);
    tell(fd, "hello");
    answer = hear_until(fd, "done");
    assert_int_equal(strncmp(answer, "HTTP/1.1 201 ", 13), 0);
    free(answer);
    close(fd);
}

static void test_a_refused_body_is_not_asked_for(void **state)
{
    (void)state;
    fake.when = AT_ONCE;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 5\r\nExpect: 100-continue\r\n");
    char *answer = hear_until(fd, "no");
    assert_int_equal(strncmp(answer, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    free(answer);
    expect_end(fd);
    fd = dial();
    tell(fd, "PUT /page HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    answer = hear_until(fd, "a page");
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    free(answer);
    expect_end(fd);
}

/* --- early answers --- */

static void check_early(enum when when, bool chunked)
{
    begin_server(NULL);
    fake.when = when;
    fake.some = 100000;
    fake.status = 413;
    serve_uploads();
    int fd = dial();
    tell_head(fd, chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 300000\r\n");
    if (chunked)
        tell(fd, "493e0\r\n"); /* 300000 */
    assert_int_equal(tell_noise(fd, 0, 200000), 200000);
    char *answer = hear_until(fd, "done");
    assert_non_null(strstr(answer, "HTTP/1.1 413 "));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    free(answer);
    tell_noise(fd, 200000, BODY); /* lingering: it does not turn the end into a reset */
    tell(fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    await(atomic_load(&fake.running) == 0);
    end_server(NULL);
}

static void test_an_early_answer_ends_the_connection(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        check_early(WHEN_LEFT, chunked);
        check_early(WHEN_SOME, chunked);
    }
}

/* --- clients that fail --- */

static void check_broken(const char *lines, const char *text, bool reset)
{
    begin_server(NULL);
    serve_uploads();
    int fd = dial();
    tell_head(fd, lines);
    tell(fd, text);
    await(atomic_load(&fake.taken) > 0);
    leave(fd, reset);
    await(connections() == 0);
    await(atomic_load(&fake.state) == PIPE_BROKEN);
    await(atomic_load(&fake.running) == 0);
    end_server(NULL);
}

static void test_a_client_that_leaves_breaks_the_body(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        check_broken("Content-Length: 9\r\n", "half", reset);
        check_broken("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n", reset);
        check_broken("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n0\r\n", reset);
    }
}

/* An end in order is seen behind what is unread, if that is no more than the kernel holds. */
static void test_a_client_that_leaves_while_the_pipe_is_full_is_noticed(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        begin_server(NULL);
        atomic_store(&fake.hungry, false);
        serve_uploads();
        int fd = dial();
        tell_head(fd, "Content-Length: 50000000\r\n");
        tell_noise(fd, 0, reset ? BODY : PIPE_CAPACITY + 20000);
        await(atomic_load(&fake.largest) == PIPE_CAPACITY);
        kit_sleep(30);
        leave(fd, reset);
        await(connections() == 0);
        await(atomic_load(&fake.running) == 0);
        end_server(NULL);
    }
}

static void test_malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"4\r\nhalfX", "4\r\nhalf\r\n-1\r\n",
                                         "4\r\nhalf\r\n0x1\r\n", "4\r\nhalf\r\n0\r\nno colon\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        begin_server(NULL);
        serve_uploads();
        int fd = dial();
        tell_head(fd, "Transfer-Encoding: chunked\r\n");
        tell(fd, bodies[i]);
        tell(fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
        char *answer = hear_until(fd, "malformed");
        assert_int_equal(strncmp(answer, "HTTP/1.1 400 ", 13), 0);
        assert_null(strstr(answer, "a page"));
        free(answer);
        expect_end(fd);
        await(atomic_load(&fake.state) == PIPE_BROKEN);
        await(atomic_load(&fake.running) == 0);
        end_server(NULL);
    }
}

/* --- deadlines --- */

static void test_a_client_that_sends_nothing_is_dropped(void **state)
{
    (void)state;
    config.request_timeout_ms = 200;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 300000\r\n");
    tell(fd, "a little");
    int64_t began = clock_mono_ms();
    expect_end(fd);
    assert_in_range(clock_mono_ms() - began, 200 - TIMER_GRAIN_MS - 50, KIT_LATE_MS);
    await(atomic_load(&fake.state) == PIPE_BROKEN);
}

/* Slower than that, but all the time. */
static void test_a_client_that_drips_is_dropped(void **state)
{
    (void)state;
    config.request_timeout_ms = 400; /* 409 bytes are due in that time */
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 300000\r\n");
    int64_t began = clock_mono_ms();
    while (connections() > 0 || clock_mono_ms() - began < 100) {
        ssize_t put = send(fd, "drip", 4, MSG_NOSIGNAL);
        (void)put;
        assert_true(clock_mono_ms() - began < KIT_LATE_MS);
        kit_sleep(20);
    }
    close(fd);
}

static void test_a_long_steady_upload_is_not_dropped(void **state)
{
    (void)state;
    config.request_timeout_ms = 200;
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 300000\r\n");
    for (size_t at = 0; at < BODY; at += 10000) {
        assert_int_equal(tell_noise(fd, at, at + 10000), at + 10000);
        kit_sleep(40);
    }
    expect(fd, "done");
    check_taken();
    close(fd);
}

/* The client is not to blame while there is no room for what it sends. */
static void test_an_upload_that_waits_for_the_upstream_is_not_dropped(void **state)
{
    (void)state;
    config.request_timeout_ms = 150;
    atomic_store(&fake.hungry, false);
    serve_uploads();
    int fd = dial();
    tell_head(fd, "Content-Length: 300000\r\n");
    tell_noise(fd, 0, BODY);
    await(atomic_load(&fake.largest) == PIPE_CAPACITY);
    kit_sleep(800);
    assert_int_equal(connections(), 1);
    feed(true);
    expect(fd, "done");
    check_taken();
    close(fd);
}

static int make_noise(void **state)
{
    (void)state;
    fill_with_noise(noise, BODY, 7);
    noise_sum = kit_sum(0, noise, BODY);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_server, end_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_sized_body_reaches_the_engine),
        TEST(test_a_chunked_body_is_decoded),
        TEST(test_a_body_may_come_with_its_head_and_before_the_next_request),
        TEST(test_no_body_is_no_body),
        TEST(test_a_body_that_nobody_takes_is_skipped),
        TEST(test_a_full_pipe_stops_the_client),
        TEST(test_a_client_that_asks_is_told_to_go_on),
        TEST(test_a_refused_body_is_not_asked_for),
        TEST(test_an_early_answer_ends_the_connection),
        TEST(test_a_client_that_leaves_breaks_the_body),
        TEST(test_a_client_that_leaves_while_the_pipe_is_full_is_noticed),
        TEST(test_malformed_chunks_are_refused),
        TEST(test_a_client_that_sends_nothing_is_dropped),
        TEST(test_a_client_that_drips_is_dropped),
        TEST(test_a_long_steady_upload_is_not_dropped),
        TEST(test_an_upload_that_waits_for_the_upstream_is_not_dropped),
    };
    return cmocka_run_group_tests(tests, make_noise, NULL);
}
