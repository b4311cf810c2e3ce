#include "daemon/server/conn.c"

#include "engine_kit.h"
#include "protocol/protocol.h"

enum { SMALL = 5000, LARGE = 300000 };

/* --- a server in front of the site --- */

static struct config *config;
static struct service *service;
static struct server_worker *server;
static unsigned port;
static atomic_bool server_idle;

static void is_idle(void *arg)
{
    (void)arg;
    atomic_store(&server_idle, true);
}

static void open_server(void *arg)
{
    struct seat *seat = arg;
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd = -1;
    assert_int_equal(server_worker_new(service, seat->reactor, seat->worker, &server), ERR_OK);
    assert_int_equal(listen_socket("127.0.0.1:0", &fd, NULL), ERR_OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    port = ntohs(a.sin_port);
    assert_int_equal(server_worker_listen(server, fd, 0), ERR_OK);
}

static void stop_server(void *arg)
{
    (void)arg;
    server_worker_stop(server, is_idle, NULL);
}

static void abort_server(void *arg)
{
    (void)arg;
    server_worker_abort(server);
}

static void free_server(void *arg)
{
    (void)arg;
    server_worker_free(&server);
}

/* The object is the blob that its digest names in repository "a". */
static void serve_object(size_t n, const char *client_section)
{
    char text[1024], digest[DIGEST_TEXT_MAX];
    struct buf errors;
    begin(n);
    digest_text(&the_origin.digest, digest);
    snprintf(the_origin.path, sizeof the_origin.path, "/v2/a/blobs/%s", digest);
    snprintf(text, sizeof text,
             "listen: [ { address: \"127.0.0.1:5000\" } ]\nlog: { access: false }\n%s"
             "routes: [ { name: r, protocol: oci, default: true,\n"
             "  upstreams: [ { url: \"http://127.0.0.1:%u\" } ] } ]\n",
             client_section, the_site.server->port);
    buf_init(&errors, 4096);
    if (config_parse("test", slice_str(text), protocol_configs, &config, &errors) != ERR_OK)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_free(&errors);
    assert_int_equal(service_new(config, the_site.store, &service, NULL), ERR_OK);
    atomic_store(&server_idle, false);
    call_on(&the_site.seats[0], open_server, &the_site.seats[0]);
}

static int end_server(void **state)
{
    if (server) {
        struct seat *seat = &the_site.seats[0];
        atomic_store(&head_gate, true);
        atomic_store(&rest_gate, true);
        if (!server->stopping)
            call_on(seat, stop_server, NULL);
        call_on(seat, abort_server, NULL);
        await(atomic_load(&server_idle));
        call_on(seat, free_server, NULL);
        site_stop_workers(&the_site);
        for (int i = 0; i < SEATS; i++) {
            the_site.seats[i].worker->stopping = false;
            atomic_store(&the_site.seats[i].idle, false);
        }
    }
    int result = kit_end(state);
    service_free(&service);
    config_free(&config);
    return result;
}

static unsigned connections(void)
{
    return (unsigned)atomic_load(&service->connections);
}

/* --- a client --- */

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = KIT_WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void tell(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void ask_for_object(int fd, const char *version, const char *lines)
{
    char text[600];
    snprintf(text, sizeof text, "GET %s HTTP/%s\r\nHost: x\r\n%s\r\n", the_origin.path, version,
             lines);
    tell(fd, text);
}

struct heard {
    char *p;
    size_t n;
    bool reset; /* it did not end in order */
};

/* All that comes until the connection ends. */
static struct heard hear_all(int fd)
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

static unsigned count(const struct heard *h, const char *what)
{
    unsigned n = 0;
    for (const char *at = h->p; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static const char *body_of(const struct heard *h)
{
    const char *end = strstr(h->p, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void leave(int fd, bool reset)
{
    struct linger now = {.l_onoff = reset, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* --- reading --- */

static void test_pipelined_requests_are_answered_in_their_order(void **state)
{
    (void)state;
    serve_object(SMALL, "");
    int fd = dial();
    tell(fd, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nPUT /v2/a HTTP/1.1\r\nHost: x\r\n"
             "Content-Length: 3\r\n\r\nxyzGET /nothing HTTP/1.1\r\nHost: x\r\n"
             "Connection: close\r\n\r\n");
    struct heard h = hear_all(fd);
    assert_int_equal(count(&h, "HTTP/1.1 "), 3);
    const char *first = strstr(h.p, " 200 OK"), *second = strstr(h.p, " 405 "),
               *third = strstr(h.p, " 404 ");
    assert_true(first && second && third && first < second && second < third);
    free(h.p);
}

/* The second request waits behind an answer that needs the upstream. */
static void test_a_request_behind_one_that_waits_is_not_lost(void **state)
{
    (void)state;
    serve_object(SMALL, "");
    SCRIPT({.holds_head = &head_gate});
    int fd = dial();
    ask_for_object(fd, "1.1", "");
    tell(fd, "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await(origin_got(&the_origin) == 1);
    atomic_store(&head_gate, true);
    struct heard h = hear_all(fd);
    assert_memory_equal(body_of(&h), the_origin.bytes, SMALL);
    assert_non_null(memmem(h.p, h.n, "\r\n\r\n{}", 6));
    free(h.p);
}

static void test_a_head_may_come_byte_by_byte(void **state)
{
    (void)state;
    serve_object(SMALL, "");
    int fd = dial();
    const char *text = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (const char *p = text; *p; p++)
        tell(fd, (char[]){*p, '\0'});
    struct heard h = hear_all(fd);
    assert_int_equal(count(&h, "HTTP/1.1 200 OK"), 1);
    free(h.p);
}

static void test_nonsense_is_refused_and_the_connection_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *status;
    } rows[] = {
        {"\x16\x03\x01\x02", " 400 "},
        {"GET / HTTP/1.1\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n", " 400 "},
        {"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n", " 400 "},
        {"GET / HTTP/3.0\r\nHost: x\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", " 505 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        serve_object(SMALL, "");
        int fd = dial();
        tell(fd, rows[i].text);
        struct heard h = hear_all(fd);
        assert_non_null(strstr(h.p, rows[i].status));
        assert_int_equal(count(&h, "\r\nX-Request-Id: "), 1); /* what follows is not read */
        assert_int_equal(count(&h, "\r\nConnection: close\r\n"), 1);
        free(h.p);
        end_server(NULL);
    }
}

static void test_a_head_without_end_is_refused_at_the_bound(void **state)
{
    (void)state;
    static char filler[HTTP_HEAD_MAX + 100];
    serve_object(SMALL, "");
    int fd = dial();
    memset(filler, 'a', sizeof filler - 1);
    memcpy(filler, "GET / HTTP/1.1\r\nX: ", 19);
    tell(fd, filler);
    struct heard h = hear_all(fd);
    assert_non_null(strstr(h.p, " 431 "));
    free(h.p);
}

/* --- clients that leave --- */

static void check_noticed(bool reset, bool pipelined, bool in_body)
{
    serve_object(LARGE, "");
    SCRIPT({.holds_head = in_body ? NULL : &head_gate,
            .until = 100000,
            .holds_rest = in_body ? &rest_gate : NULL});
    int fd = dial();
    ask_for_object(fd, "1.1", "");
    await(origin_got(&the_origin) == 1);
    if (pipelined)
        tell(fd, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    kit_sleep(30);
    if (in_body && !reset) { /* what is unread would make a reset of the close */
        char some[8192];
        ssize_t got = recv(fd, some, sizeof some, 0);
        assert_true(got > 0);
    }
    leave(fd, reset);
    await(connections() == 0); /* while the upstream still keeps its answer */
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_a_client_that_leaves_while_it_waits_is_noticed(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        check_noticed(i & 1, i & 2, i & 4);
        end_server(NULL);
    }
}

/* --- bodies that break off --- */

/* In no version of the protocol may a client take the fragment for the whole. */
static void test_a_broken_body_does_not_look_complete(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        enum framing framing;
    } rows[] = {{"1.1", BY_LENGTH}, {"1.1", BY_CHUNKS}, {"1.0", BY_CHUNKS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        serve_object(LARGE, "");
        SCRIPT(
            {.wrong = true, .framing = rows[i].framing, .until = 100000, .holds_rest = &rest_gate});
        int fd = dial();
        ask_for_object(fd, rows[i].version, "");
        char some[1024];
        assert_true(recv(fd, some, sizeof some, MSG_PEEK) > 0);
        atomic_store(&rest_gate, true);
        struct heard h = hear_all(fd);
        assert_true(h.reset);
        assert_null(memmem(h.p, h.n, "\r\n0\r\n\r\n", 7));
        free(h.p);
        end_server(NULL);
    }
}

static void test_ranges_of_a_body_under_way_and_of_a_held_one(void **state)
{
    (void)state;
    serve_object(LARGE, "");
    for (int i = 0; i < 2; i++) {
        int fd = dial();
        ask_for_object(fd, "1.1", "Range: bytes=1000-1999\r\nConnection: close\r\n");
        struct heard h = hear_all(fd);
        assert_non_null(strstr(h.p, "HTTP/1.1 206 "));
        assert_non_null(strstr(h.p, "\r\nContent-Range: bytes 1000-1999/300000\r\n"));
        assert_int_equal(h.n - (size_t)(body_of(&h) - h.p), 1000);
        assert_memory_equal(body_of(&h), the_origin.bytes + 1000, 1000);
        free(h.p);
        site_settle(&the_site);
    }
    assert_int_equal(origin_got(&the_origin), 1);
}

/* --- deadlines --- */

/* The connection ends within a second, whatever the client has sent or not. */
static void check_dropped(const char *section, const char *first, const char *second)
{
    serve_object(SMALL, section);
    int fd = dial();
    int64_t began = clock_mono_ms();
    tell(fd, first);
    if (second) {
        kit_sleep(30);
        tell(fd, second);
    }
    struct heard h = hear_all(fd);
    assert_in_range(clock_mono_ms() - began, 100 - TIMER_GRAIN_MS, 5000);
    await(connections() == 0);
    free(h.p);
    end_server(NULL);
}

static void test_every_wait_for_a_client_has_an_end(void **state)
{
    (void)state;
    static const char ping[] = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char half[] = "GET /v2/ HT";
    static const char no_body[] = "POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    static const char short_request[] = "client: { request_timeout: 100ms, idle_timeout: 60s }\n";
    check_dropped(short_request, "", NULL);
    check_dropped(short_request, half, NULL);
    check_dropped(short_request, no_body, NULL);
    check_dropped(short_request, ping, half);
    check_dropped(short_request, ping, no_body);
    check_dropped("client: { request_timeout: 60s, idle_timeout: 100ms }\n", ping, NULL);
}

static void test_a_client_that_does_not_read_is_dropped(void **state)
{
    (void)state;
    serve_object(24 << 20, "client: { send_timeout: 200ms }\n");
    int fd = dial(), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ask_for_object(fd, "1.1", "");
    await(connections() == 1);
    await(connections() == 0);
    close(fd);
}

/* --- bounds and ends --- */

static void test_more_connections_than_allowed_are_refused(void **state)
{
    (void)state;
    serve_object(SMALL, "client: { max_connections: 2 }\n");
    int kept[2] = {dial(), dial()};
    await(connections() == 2);
    struct heard h = hear_all(dial());
    assert_int_equal(count(&h, "HTTP/1.1 503 "), 1);
    free(h.p);
    close(kept[0]);
    close(kept[1]);
    await(connections() == 0);
    int fd = dial();
    tell(fd, "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    h = hear_all(fd);
    assert_int_equal(count(&h, " 200 OK"), 1);
    free(h.p);
}

static void test_a_stop_ends_idle_connections_and_finishes_answers(void **state)
{
    (void)state;
    serve_object(SMALL, "");
    SCRIPT({.holds_head = &head_gate});
    int idle = dial(), busy = dial();
    tell(idle, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    ask_for_object(busy, "1.1", "");
    await(origin_got(&the_origin) == 1);
    kit_sleep(20);
    call_on(&the_site.seats[0], stop_server, NULL);
    struct heard h = hear_all(idle);
    assert_int_equal(count(&h, " 200 OK"), 1);
    free(h.p);
    assert_false(atomic_load(&server_idle));
    atomic_store(&head_gate, true);
    h = hear_all(busy);
    assert_non_null(strstr(h.p, "\r\nConnection: close\r\n"));
    assert_memory_equal(body_of(&h), the_origin.bytes, SMALL);
    free(h.p);
    await(atomic_load(&server_idle));
}

#define TEST(name) cmocka_unit_test_teardown(name, end_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pipelined_requests_are_answered_in_their_order),
        TEST(test_a_request_behind_one_that_waits_is_not_lost),
        TEST(test_a_head_may_come_byte_by_byte),
        TEST(test_nonsense_is_refused_and_the_connection_ends),
        TEST(test_a_head_without_end_is_refused_at_the_bound),
        TEST(test_a_client_that_leaves_while_it_waits_is_noticed),
        TEST(test_a_broken_body_does_not_look_complete),
        TEST(test_ranges_of_a_body_under_way_and_of_a_held_one),
        TEST(test_every_wait_for_a_client_has_an_end),
        TEST(test_a_client_that_does_not_read_is_dropped),
        TEST(test_more_connections_than_allowed_are_refused),
        TEST(test_a_stop_ends_idle_connections_and_finishes_answers),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
