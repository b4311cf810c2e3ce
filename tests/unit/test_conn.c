#include "daemon/server/conn.c"

#include "client_kit.h"
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

static void serve_site(const char *client_section, const struct protocol *protocol)
{
    char text[1024];
    struct buf errors;
    snprintf(text, sizeof text,
             "listen: [ { address: \"127.0.0.1:5000\"%s } ]\nlog: { access: false }\n%s"
             "routes: [ { name: r, protocol: oci, default: true,\n"
             "  upstreams: [ { url: \"http://127.0.0.1:%u\" } ] } ]\n",
             protocol ? ", route: r" : "", client_section, the_site.server->port);
    buf_init(&errors, 4096);
    if (config_parse("test", slice_str(text), protocol_configs, &config, &errors) != ERR_OK)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_free(&errors);
    assert_int_equal(service_new(config, the_site.store, &service, NULL), ERR_OK);
    if (protocol)
        service->routes[0].protocol = protocol;
    atomic_store(&server_idle, false);
    call_on(&the_site.seats[0], open_server, &the_site.seats[0]);
}

/* The object is the blob that its digest names in repository "a". */
static void serve_object(size_t n, const char *client_section)
{
    char digest[DIGEST_TEXT_MAX];
    begin(n);
    digest_text(&the_origin.digest, digest);
    snprintf(the_origin.path, sizeof the_origin.path, "/v2/a/blobs/%s", digest);
    serve_site(client_section, NULL);
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
        site_forget_stop(&the_site);
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
    return dial_port(port);
}

static void ask_for_object(int fd, const char *version, const char *lines)
{
    char text[600];
    snprintf(text, sizeof text, "GET %s HTTP/%s\r\nHost: x\r\n%s\r\n", the_origin.path, version,
             lines);
    tell(fd, text);
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

/* --- requests with a body, through to the upstream --- */

static void render(struct arena *a, enum plan_error error, struct slice detail,
                   struct plan_page *page)
{
    (void)a;
    (void)detail;
    *page = (struct plan_page){.status = error == PLAN_ERR_UPSTREAM ? 503 : 500,
                               .content_type = SLICE("text/plain"),
                               .body = SLICE("no")};
}

/* Everything is passed on. */
static bool relay(const struct plan_input *in, struct arena *a, struct plan *p)
{
    (void)a;
    *p = (struct plan){.kind = PLAN_RELAYED,
                       .render_error = render,
                       .resource = in->path,
                       .variant = SLICE(""),
                       .upstream_path = in->path,
                       .method = in->request->method,
                       .method_text = in->request->method_text,
                       .takes_body = true,
                       .passes_status = true,
                       .accepts_any = true};
    return true;
}

static const struct protocol relaying = {.plan = relay, .render_error = render};

static void serve_relay(answer_f *answer, int64_t wait_timeout_ms)
{
    begin_with(LARGE, (struct site_options){.answer = answer, .wait_timeout_ms = wait_timeout_ms});
    serve_site("", &relaying);
}

/* What the upstream has seen of the body that came last. */
static atomic_uint bodies_whole, bodies_cut;

static bool answer_sum(struct visit *v)
{
    char text[64];
    struct heard_body b = hear_body(v, UINT64_MAX);
    atomic_fetch_add(b.whole ? &bodies_whole : &bodies_cut, 1);
    snprintf(text, sizeof text, "%llu %u", (unsigned long long)b.n, b.sum);
    return b.whole && answer_text(v, "404 x", "Content-Type: text/plain\r\n", text);
}

static void tell_upload(int fd, bool chunked, size_t piece, long pause_ms)
{
    char text[200];
    snprintf(text, sizeof text, "POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
             chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 300000\r\n");
    tell(fd, text);
    if (chunked)
        tell_chunks(fd, the_origin.bytes, LARGE, piece);
    for (size_t at = 0; !chunked && at < LARGE; at += piece) {
        assert_int_equal(tell_bytes(fd, the_origin.bytes + at, piece), piece);
        kit_sleep(pause_ms);
    }
}

/* The body that was sent is the one that came, and the answer is the upstream's. */
static void check_sum(int fd)
{
    char want[64];
    struct heard h = hear_all(fd);
    snprintf(want, sizeof want, "%d %u", LARGE, kit_sum(0, the_origin.bytes, LARGE));
    assert_int_equal(count(&h, "HTTP/1.1 404 "), 1);
    assert_string_equal(body_of(&h), want);
    free(h.p);
}

static void test_a_body_goes_through_to_the_upstream(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        serve_relay(answer_sum, 0);
        int fd = dial();
        tell_upload(fd, chunked, 1000 * 30, 0);
        check_sum(fd);
        bool sized = strstr(the_site.server->heads[0], "\r\nContent-Length: 300000\r\n") != NULL;
        assert_int_equal(sized, !chunked);
        end_server(NULL);
    }
}

static void test_an_upload_may_take_longer_than_any_wait_for_an_answer(void **state)
{
    (void)state;
    serve_relay(answer_sum, 300);
    int fd = dial();
    tell_upload(fd, false, 10000, 30);
    check_sum(fd);
}

static void test_an_upstream_never_takes_a_part_for_the_whole(void **state)
{
    (void)state;
    atomic_store(&bodies_whole, 0);
    for (unsigned i = 0; i < 4; i++) {
        serve_relay(answer_sum, 0);
        int fd = dial();
        tell(fd, i & 1 ? "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "4\r\nhalf\r\n"
                       : "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
        await(server_requests(the_site.server) == 1);
        atomic_store(&bodies_cut, 0);
        leave(fd, i & 2);
        await(atomic_load(&bodies_cut) == 1);
        await(connections() == 0);
        end_server(NULL);
    }
    assert_int_equal(atomic_load(&bodies_whole), 0);
}

static bool answer_413(struct visit *v)
{
    hear_body(v, 1000);
    answer_text(v, "413 x", "", "too much");
    shutdown(v->fd, SHUT_WR);
    hear_body(v, UINT64_MAX);
    return false;
}

static void test_an_early_answer_of_the_upstream_is_passed_on(void **state)
{
    (void)state;
    serve_relay(answer_413, 0);
    int fd = dial();
    tell(fd, "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    assert_int_equal(tell_bytes(fd, the_origin.bytes, 100000), 100000);
    struct heard h = hear_all(fd);
    assert_int_equal(count(&h, "HTTP/1.1 413 "), 1);
    assert_int_equal(count(&h, "\r\nConnection: close\r\n"), 1);
    assert_string_equal(body_of(&h), "too much");
    assert_false(h.reset);
    free(h.p);
}

static bool answer_204(struct visit *v)
{
    hear_body(v, UINT64_MAX);
    say(v, "HTTP/1.1 204 No Content\r\n\r\n");
    return true;
}

static void test_an_answer_without_content_has_no_framing(void **state)
{
    (void)state;
    serve_relay(answer_204, 0);
    int fd = dial();
    tell(fd, "DELETE /up HTTP/1.1\r\nHost: x\r\n\r\n"
             "PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    struct heard h = hear_all(fd);
    assert_int_equal(count(&h, "HTTP/1.1 204 "), 2);
    assert_int_equal(count(&h, "Content-Length"), 0);
    assert_int_equal(count(&h, "Transfer-Encoding"), 0);
    assert_int_equal(strncmp(the_site.server->heads[0], "DELETE /up ", 11), 0);
    free(h.p);
}

/* With a validator that would allow a read to be resumed. */
static bool answer_and_break(struct visit *v)
{
    hear_body(v, UINT64_MAX);
    say(v, "HTTP/1.1 200 OK\r\nETag: \"strong\"\r\nContent-Length: 100\r\n\r\nonly this");
    return false;
}

static void test_a_write_is_not_repeated_to_get_the_rest_of_its_answer(void **state)
{
    (void)state;
    serve_relay(answer_and_break, 0);
    int fd = dial();
    tell(fd, "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    struct heard h = hear_all(fd);
    assert_true(h.reset || count(&h, "HTTP/1.1 503 ") == 1); /* as far as it had come */
    assert_int_equal(server_requests(the_site.server), 1);
    free(h.p);
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
        TEST(test_a_body_goes_through_to_the_upstream),
        TEST(test_an_upload_may_take_longer_than_any_wait_for_an_answer),
        TEST(test_an_upstream_never_takes_a_part_for_the_whole),
        TEST(test_an_early_answer_of_the_upstream_is_passed_on),
        TEST(test_an_answer_without_content_has_no_framing),
        TEST(test_a_write_is_not_repeated_to_get_the_rest_of_its_answer),
        TEST(test_every_wait_for_a_client_has_an_end),
        TEST(test_a_client_that_does_not_read_is_dropped),
        TEST(test_more_connections_than_allowed_are_refused),
        TEST(test_a_stop_ends_idle_connections_and_finishes_answers),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
