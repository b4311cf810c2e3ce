#include "daemon/upstream/fetch_request.c"

#include "upstream_kit.h"

/* A GET of "/v2/a" from the server alone, or from the server with an account. */
static void get_from(struct server *s, bool account, struct fetched *r)
{
    struct upstream_set *set = set_of(&s->port, 1, account);
    get(set, "/v2/a", r);
    upstream_set_free(&set);
}

static void ask(struct server *s, struct fetch_request *request, struct fetched *r)
{
    struct tokens *tokens = tokens_new();
    request->set = set_of(&s->port, 1, false);
    run_fetch(request, &kit_options, tokens, r);
    upstream_set_free(&request->set);
    tokens_free(&tokens);
}

static bool answer_hello(struct visit *v)
{
    return answer_text(v, "200 OK", "", "hello");
}

/* --- what is sent --- */

static void test_plain_request(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    struct fetched r = {.status = 0};
    char want[512];
    get_from(s, true, &r);
    snprintf(want, sizeof want,
             "GET /v2/a HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: yantian/%s\r\n"
             "Via: %s\r\nAccept-Encoding: identity\r\n\r\n",
             s->port, YT_VERSION, instance_via().p);
    assert_string_equal(s->heads[0], want); /* the account is for challenges only */
    fetched_free(&r);
    server_stop(s);
}

static bool answer_304(struct visit *v)
{
    say(v, "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n");
    return true;
}

static void test_conditional_request(void **state)
{
    (void)state;
    struct server *s = server_start(answer_304, NULL);
    struct fetched r = {.status = 0};
    struct fetch_request request = {
        .path = SLICE("/v2/a"),
        .accept = SLICE("application/json, text/plain;q=0.5"),
        .etag = SLICE("\"e\""),
        .last_modified = SLICE("Sun, 22 Nov 2026 21:30:00 GMT"),
    };
    ask(s, &request, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 304);
    assert_non_null(strstr(s->heads[0], "\r\nAccept: application/json, text/plain;q=0.5\r\n"));
    assert_non_null(strstr(s->heads[0], "\r\nIf-None-Match: \"e\"\r\n"));
    assert_non_null(
        strstr(s->heads[0], "\r\nIf-Modified-Since: Sun, 22 Nov 2026 21:30:00 GMT\r\n"));
    assert_null(strstr(s->heads[0], "Range"));
    fetched_free(&r);
    server_stop(s);
}

static void test_304_that_nobody_asked_for(void **state)
{
    (void)state;
    struct server *s = server_start(answer_304, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_false(r.has_head);
    fetched_free(&r);
    server_stop(s);
}

static bool answer_rest(struct visit *v)
{
    return answer_text(v, "206 Partial Content",
                       "Content-Range: bytes 5000000000-5000000001/5000000002\r\n", "xy");
}

static void test_range_request(void **state)
{
    (void)state;
    struct server *s = server_start(answer_rest, NULL);
    struct fetched r = {.status = 0};
    struct fetch_request request = {
        .path = SLICE("/v2/a"), .offset = 5000000000, .if_range = SLICE("\"e\"")};
    ask(s, &request, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 206);
    check_body(&r, "xy");
    assert_non_null(strstr(s->heads[0], "\r\nRange: bytes=5000000000-\r\nIf-Range: \"e\"\r\n"));
    fetched_free(&r);
    server_stop(s);
}

static void test_head_request(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    struct fetched r = {.status = 0};
    struct fetch_request request = {.method = HTTP_HEAD, .path = SLICE("/v2/a")};
    ask(s, &request, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_true(r.has_length && r.framed);
    assert_int_equal(r.length, 5);
    assert_int_equal(r.body.n, 0);
    assert_int_equal(strncmp(s->heads[0], "HEAD /v2/a ", 11), 0);
    fetched_free(&r);
    server_stop(s);
}

static void test_split_fields_are_never_sent(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    struct fetched r = {.status = 0};
    struct fetch_request request = {.path = SLICE("/v2/a"), .etag = SLICE("\"e\"\r\nX: y")};
    ask(s, &request, &r);
    assert_int_equal(r.result, ERR_LIMIT);
    assert_int_equal(server_requests(s), 0);
    fetched_free(&r);
    server_stop(s);
}

/* --- redirects --- */

/* Where the server redirects "/v2/a" to; "/end" is a body. */
static char location[256];

static bool answer_redirect(struct visit *v)
{
    char lines[300];
    if (asks_for(v, "/end"))
        return answer_text(v, "200 OK", "", "the end");
    if (asks_for(v, "/gone"))
        return answer_text(v, "404 Not Found", "", "gone");
    if (asks_for(v, "/forbidden"))
        return answer_text(v, "403 Forbidden", "", "expired");
    snprintf(lines, sizeof lines, "Location: %s\r\n", location);
    return answer_text(v, "307 Temporary Redirect", lines, "see there");
}

static void test_redirect_within_the_upstream(void **state)
{
    (void)state;
    static const char *const places[] = {"/end?sig=1", "../end", "//127.0.0.1:%u/end",
                                         "http://127.0.0.1:%u/end#x"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct server *s = server_start(answer_redirect, NULL);
        struct fetched r = {.status = 0};
        const char *port = strstr(places[i], "%u");
        snprintf(location, sizeof location, "%s", places[i]);
        if (port)
            snprintf(location, sizeof location, "%.*s%u%s", (int)(port - places[i]), places[i],
                     s->port, port + 2);
        get_from(s, false, &r);
        assert_int_equal(r.result, ERR_OK);
        check_body(&r, "the end");
        assert_int_equal(s->connections, 1); /* the unwanted body was read */
        fetched_free(&r);
        server_stop(s);
    }
}

/* "/v2/a" counts down from the number in the test to the end. */
static bool answer_hops(struct visit *v)
{
    unsigned left = (unsigned)(uintptr_t)v->server->arg;
    char lines[64];
    if (server_requests(v->server) > left)
        return answer_hello(v);
    snprintf(lines, sizeof lines, "Location: /hop/%u\r\n", server_requests(v->server));
    return answer_text(v, "302 Found", lines, "");
}

static void test_number_of_redirects_is_bounded(void **state)
{
    (void)state;
    for (unsigned hops = REDIRECTS_MAX; hops <= REDIRECTS_MAX + 1; hops++) {
        struct server *s = server_start(answer_hops, (void *)(uintptr_t)hops);
        struct fetched r = {.status = 0};
        get_from(s, false, &r);
        assert_int_equal(r.result, hops > REDIRECTS_MAX ? ERR_UPSTREAM : ERR_OK);
        assert_int_equal(server_requests(s), REDIRECTS_MAX + 1);
        if (hops > REDIRECTS_MAX)
            assert_string_equal(r.msg, "127.0.0.1: too many redirects");
        fetched_free(&r);
        server_stop(s);
    }
}

/* First challenges for Basic, then redirects to `location`. */
static bool answer_basic_then_redirect(struct visit *v)
{
    bool authorized = strstr(v->head, "\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n") != NULL;
    if (!authorized && asks_for(v, "/v2/a"))
        return answer_text(v, "401 Unauthorized",
                           "Set-Cookie: a=b\r\nWWW-Authenticate: Basic realm=\"r\"\r\n", "");
    return answer_redirect(v);
}

static void test_credentials_stay_with_the_origin(void **state)
{
    (void)state;
    struct server *s = server_start(answer_basic_then_redirect, NULL);
    struct fetched r = {.status = 0};
    snprintf(location, sizeof location, "/end");
    get_from(s, true, &r);
    check_body(&r, "the end");
    assert_int_equal(server_requests(s), 3);
    assert_non_null(strstr(s->heads[2], "Authorization: Basic "));
    assert_null(strstr(s->heads[2], "Cookie"));
    fetched_free(&r);
    server_stop(s);
}

static void test_credentials_go_to_no_other_origin(void **state)
{
    (void)state;
    struct server *s = server_start(answer_basic_then_redirect, NULL);
    struct server *other = server_start(answer_redirect, NULL);
    struct fetched r = {.status = 0};
    snprintf(location, sizeof location, "http://127.0.0.1:%u/end", other->port);
    get_from(s, true, &r);
    check_body(&r, "the end");
    assert_int_equal(server_requests(other), 1);
    assert_null(strstr(other->heads[0], "Authorization"));
    assert_null(strstr(other->heads[0], "Cookie"));
    fetched_free(&r);
    server_stop(other);
    server_stop(s);
}

static bool answer_redirect_back(struct visit *v)
{
    char lines[64];
    snprintf(lines, sizeof lines, "Location: http://127.0.0.1:%u/end\r\n",
             *(unsigned *)v->server->arg);
    return answer_text(v, "302 Found", lines, "");
}

static void test_credentials_do_not_return_with_a_redirect(void **state)
{
    (void)state;
    struct server *s = server_start(answer_basic_then_redirect, NULL);
    struct server *other = server_start(answer_redirect_back, &s->port);
    struct fetched r = {.status = 0};
    snprintf(location, sizeof location, "http://127.0.0.1:%u/back", other->port);
    get_from(s, true, &r);
    check_body(&r, "the end");
    assert_int_equal(server_requests(s), 3);
    assert_int_equal(strncmp(s->heads[2], "GET /end ", 9), 0);
    assert_null(strstr(s->heads[2], "Authorization"));
    fetched_free(&r);
    server_stop(other);
    server_stop(s);
}

/* What a storage service says of a link: 403 is no refusal, 404 is a 404. */
static void test_answers_of_a_redirect_target(void **state)
{
    (void)state;
    struct server *s = server_start(answer_redirect, NULL);
    struct server *other = server_start(answer_redirect, NULL);
    struct fetched r = {.status = 0};
    snprintf(location, sizeof location, "http://127.0.0.1:%u/forbidden", other->port);
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_false(r.has_head);
    fetched_free(&r);
    snprintf(location, sizeof location, "http://127.0.0.1:%u/gone", other->port);
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 404);
    fetched_free(&r);
    server_stop(other);
    server_stop(s);
}

static void test_redirects_to_nowhere(void **state)
{
    (void)state;
    static const char *const places[] = {"",        "ftp://127.0.0.1/x",  "http://u:p@127.0.0.1/",
                                         "http://", "file:///etc/passwd", "http://a b/"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct server *s = server_start(answer_redirect, NULL);
        struct upstream_set *set = set_of(&s->port, 1, false);
        snprintf(location, sizeof location, "%s", places[i]);
        for (int j = 0; j < 2 * HEALTH_FAILURES_MAX; j++) {
            struct fetched r = {.status = 0};
            get(set, "/v2/a", &r);
            if (r.result != ERR_UPSTREAM || r.has_head)
                fail_msg("redirect to \"%s\": %s, status %d", places[i], err_name(r.result),
                         r.status);
            fetched_free(&r);
        }
        /* It is wrong, but it is there. An empty Location is the same place over and over. */
        assert_false(upstream_set_is_down(set));
        upstream_set_free(&set);
        server_stop(s);
    }
}

/* A fetch that has been asked to follow, without a network. */
struct follow_row {
    const char *upstream, *location;
    const char *why; /* NULL: followed */
    bool away;
};

static void check_follow(const struct follow_row *row)
{
    char url[64], name[] = "r";
    struct upstream_set *set = NULL;
    snprintf(url, sizeof url, "%s", row->upstream);
    struct config_upstream upstream = {.url = url};
    struct config_route route = {.name = name, .upstreams = &upstream, .upstream_count = 1};
    assert_int_equal(upstream_set_new(&route, &set, NULL), ERR_OK);
    struct fetch f = {.try = {.upstream = &set->v[0]}, .exchange = {.head = answer_head_new()}};
    struct answer_head *head = f.exchange.head;
    arena_init(&f.try_arena, NULL, 0, 64 * 1024);
    f.try.at = set->v[0].base;
    assert_true(http_fields_add(&head->fields, &head->arena, 9, SLICE("Location"),
                                slice_str(row->location)));
    const char *why = follow(&f);
    if (strcmp(why ? why : "", row->why ? row->why : "") != 0 || (!why && f.try.away != row->away))
        fail_msg("%s to %s: %s", row->upstream, row->location, why ? why : "followed");
    answer_head_free(&f.exchange.head);
    arena_reset(&f.try_arena);
    upstream_set_free(&set);
}

static void test_where_a_redirect_may_lead(void **state)
{
    (void)state;
    static const struct follow_row rows[] = {
        {"https://reg.example", "https://reg.example/x", NULL, false},
        {"https://reg.example", "https://REG.example:443/x", NULL, false},
        {"https://reg.example", "https://reg.example:444/x", NULL, true},
        {"https://reg.example", "https://cdn.reg.example/x", NULL, true},
        {"https://reg.example", "http://reg.example/x", "redirected from https to http", false},
        {"https://reg.example", "http://cdn.example/x", "redirected from https to http", false},
        {"http://reg.example", "https://reg.example/x", NULL, true},
        {"http://reg.example", "http://cdn.example/x", NULL, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_follow(&rows[i]);
}

/* --- addresses --- */

struct address_row {
    bool away, proxied;
    const char *upstream, *target;
    bool allowed;
};

static void test_where_connections_may_lead(void **state)
{
    (void)state;
    static const struct address_row rows[] = {
        {false, false, "1.1.1.1", "10.0.0.1", true}, /* the upstream itself may be anywhere */
        {false, false, "1.1.1.1", "127.0.0.1", true},
        {true, false, "1.1.1.1", "8.8.8.8", true},
        {true, false, "1.1.1.1", "10.0.0.1", false},
        {true, false, "1.1.1.1", "127.0.0.1", false},
        {true, false, "1.1.1.1", "::1", false},
        {true, false, "10.0.0.1", "192.168.0.1", true},
        {true, false, "10.0.0.1", "127.0.0.1", false},
        {true, false, "127.0.0.1", "127.0.0.1", true},
        {true, false, "127.0.0.1", "169.254.169.254", false},
        {true, false, "169.254.0.1", "169.254.169.254", false},
        {true, false, "10.0.0.1", "fe80::1", false},
        {true, true, "1.1.1.1", "10.0.0.1", true}, /* the address is the proxy's */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct address_row *row = &rows[i];
        struct upstream u = {.reach = (int)address_reach(row->upstream)};
        struct fetch f = {.try = {.upstream = &u, .away = row->away},
                          .exchange = {.proxied = row->proxied}};
        if (on_connected(&f, row->target) != row->allowed ||
            (f.exchange.blocked == NULL) != row->allowed)
            fail_msg("%s from %s", row->target, row->upstream);
        if (!row->away)
            assert_int_equal(u.reach, address_reach(row->target));
    }
}

/* An upstream behind a proxy counts as public, and may not lead to this machine. */
static void test_redirect_to_a_local_address(void **state)
{
    (void)state;
    struct server *proxy = server_start(answer_redirect, NULL);
    struct server *local = server_start(answer_redirect, NULL);
    struct uplink_options options = kit_options;
    char url[64], name[] = "r", upstream_url[] = "http://far.example";
    struct config_upstream upstream = {.url = upstream_url};
    struct config_route route = {.name = name, .upstreams = &upstream, .upstream_count = 1};
    struct upstream_set *set = NULL;
    struct fetched r = {.status = 0};
    struct tokens *tokens = tokens_new();
    assert_int_equal(upstream_set_new(&route, &set, NULL), ERR_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", proxy->port);
    snprintf(location, sizeof location, "http://127.0.0.1:%u/end", local->port);
    setenv("no_proxy", "127.0.0.1", 1);
    options.proxy = url;
    struct fetch_request request = {.set = set, .path = SLICE("/v2/a")};
    run_fetch(&request, &options, tokens, &r);
    unsetenv("no_proxy");
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_non_null(strstr(r.msg, "may not lead to"));
    assert_int_equal(server_requests(proxy), 1);
    assert_int_equal(server_requests(local), 0);
    fetched_free(&r);
    tokens_free(&tokens);
    upstream_set_free(&set);
    server_stop(local);
    server_stop(proxy);
}

/* --- bodies --- */

static bool answer_cut(struct visit *v)
{
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    return false;
}

static void test_cut_body_is_an_error_after_the_head(void **state)
{
    (void)state;
    struct server *s = server_start(answer_cut, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.result, ERR_UPSTREAM);
    check_body(&r, "hello");
    fetched_free(&r);
    server_stop(s);
}

static bool answer_unframed(struct visit *v)
{
    say(v, "HTTP/1.1 200 OK\r\n\r\nhello");
    return false;
}

static void test_unframed_body_is_told(void **state)
{
    (void)state;
    struct server *s = server_start(answer_unframed, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_false(r.framed || r.has_length);
    check_body(&r, "hello");
    fetched_free(&r);
    server_stop(s);
}

static bool answer_stall(struct visit *v)
{
    char c;
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    return recv(v->fd, &c, 1, 0) > 0;
}

static void test_stalled_body(void **state)
{
    (void)state;
    struct server *s = server_start(answer_stall, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_string_equal(r.msg, "the body has stalled");
    assert_in_range(r.ms, kit_options.stall_timeout_ms - 20,
                    kit_options.stall_timeout_ms + KIT_LATE_MS);
    fetched_free(&r);
    server_stop(s);
}

/* Each byte comes before the stall deadline; together they take longer. */
static bool answer_drip(struct visit *v)
{
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        usleep(100 * 1000);
        say(v, "%d", i);
    }
    return true;
}

static void test_slow_body_is_no_stalled_one(void **state)
{
    (void)state;
    struct server *s = server_start(answer_drip, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_OK);
    assert_true(r.ms > kit_options.stall_timeout_ms);
    check_body(&r, "012345");
    fetched_free(&r);
    server_stop(s);
}

/* No deadline runs while the consumer pauses, and then it runs again. */
static void test_pause(void **state)
{
    (void)state;
    static const struct fetched rows[] = {
        {.head_flow = FETCH_PAUSE, .resume_after_ms = 900},
        {.body_flow = FETCH_PAUSE, .resume_after_ms = 900},
        {.body_flow = FETCH_PAUSE, .resume_after_ms = 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server *s = server_start(answer_hello, NULL);
        struct fetched r = rows[i];
        get_from(s, false, &r);
        assert_int_equal(r.result, ERR_OK);
        assert_true(r.ms + 10 >= r.resume_after_ms); /* timers go by the coarse clock */
        check_body(&r, "hello");
        fetched_free(&r);
        server_stop(s);
    }
    struct server *s = server_start(answer_stall, NULL);
    struct fetched r = rows[0];
    get_from(s, false, &r);
    assert_string_equal(r.msg, "the body has stalled");
    assert_in_range(r.ms, 1250, 1250 + KIT_LATE_MS);
    fetched_free(&r);
    server_stop(s);
}

/* A redirect whose own body never ends uses up the deadline, not more. */
static bool answer_endless_redirect(struct visit *v)
{
    char c;
    say(v, "HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 100\r\n\r\nwait");
    return recv(v->fd, &c, 1, 0) > 0;
}

static void test_unwanted_body_has_the_deadline_too(void **state)
{
    (void)state;
    struct server *s = server_start(answer_endless_redirect, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_in_range(r.ms, kit_options.response_timeout_ms - 20,
                    kit_options.response_timeout_ms + KIT_LATE_MS);
    fetched_free(&r);
    server_stop(s);
}

static bool answer_huge_redirect(struct visit *v)
{
    char piece[1024];
    if (asks_for(v, "/end"))
        return answer_text(v, "200 OK", "", "the end");
    memset(piece, 'x', sizeof piece);
    say(v, "HTTP/1.1 302 Found\r\nLocation: /end\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (;;) {
        say(v, "400\r\n");
        if (send(v->fd, piece, sizeof piece, MSG_NOSIGNAL) < 0)
            return false;
        say(v, "\r\n");
    }
}

static void test_unwanted_body_is_bounded(void **state)
{
    (void)state;
    struct server *s = server_start(answer_huge_redirect, NULL);
    struct fetched r = {.status = 0};
    get_from(s, false, &r);
    assert_int_equal(r.result, ERR_OK);
    check_body(&r, "the end");
    assert_int_equal(s->connections, 2);
    fetched_free(&r);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_request),
        cmocka_unit_test(test_conditional_request),
        cmocka_unit_test(test_304_that_nobody_asked_for),
        cmocka_unit_test(test_range_request),
        cmocka_unit_test(test_head_request),
        cmocka_unit_test(test_split_fields_are_never_sent),
        cmocka_unit_test(test_redirect_within_the_upstream),
        cmocka_unit_test(test_number_of_redirects_is_bounded),
        cmocka_unit_test(test_credentials_stay_with_the_origin),
        cmocka_unit_test(test_credentials_go_to_no_other_origin),
        cmocka_unit_test(test_credentials_do_not_return_with_a_redirect),
        cmocka_unit_test(test_answers_of_a_redirect_target),
        cmocka_unit_test(test_redirects_to_nowhere),
        cmocka_unit_test(test_where_a_redirect_may_lead),
        cmocka_unit_test(test_where_connections_may_lead),
        cmocka_unit_test(test_redirect_to_a_local_address),
        cmocka_unit_test(test_cut_body_is_an_error_after_the_head),
        cmocka_unit_test(test_unframed_body_is_told),
        cmocka_unit_test(test_stalled_body),
        cmocka_unit_test(test_slow_body_is_no_stalled_one),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_unwanted_body_has_the_deadline_too),
        cmocka_unit_test(test_unwanted_body_is_bounded),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
