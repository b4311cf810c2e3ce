#include "daemon/upstream/fetch.c"

#include "upstream_kit.h"

/* --- servers --- */

static bool answer_hello(struct visit *v)
{
    return answer_text(v, "200 OK", "ETag: \"x\"\r\n", "hello");
}

static bool answer_404(struct visit *v)
{
    return answer_text(v, "404 Not Found", "ETag: \"not\"\r\n", "nothing here");
}

static bool answer_403(struct visit *v)
{
    return answer_text(v, "403 Forbidden", "ETag: \"no\"\r\n", "not for you");
}

static bool answer_503(struct visit *v)
{
    return answer_text(v, "503 Unavailable", "Retry-After: 7\r\n", "sorry");
}

static bool answer_429(struct visit *v)
{
    return answer_text(v, "429 Too Many Requests", "Retry-After: 120\r\n", "slow down");
}

static bool answer_never(struct visit *v)
{
    char c;
    return recv(v->fd, &c, 1, 0) > 0;
}

static bool answer_garbage(struct visit *v)
{
    say(v, "\x16\x03\x01 what?\r\n\r\n");
    return false;
}

/* Up to three upstreams with these answers; NULL: nobody listens. */
struct site {
    struct server *servers[3];
    unsigned ports[3];
    size_t n;
    struct upstream_set *set;
};

static void site_open(struct site *site, answer_f *first, answer_f *second, answer_f *third,
                      size_t n)
{
    answer_f *answers[] = {first, second, third};
    *site = (struct site){.n = n};
    for (size_t i = 0; i < n; i++) {
        site->servers[i] = answers[i] ? server_start(answers[i], NULL) : NULL;
        site->ports[i] = site->servers[i] ? site->servers[i]->port : closed_port();
    }
    site->set = set_of(site->ports, n, false);
}

static void site_close(struct site *site)
{
    for (size_t i = 0; i < site->n; i++)
        if (site->servers[i])
            server_stop(site->servers[i]);
    upstream_set_free(&site->set);
}

static unsigned requests(const struct site *site, size_t i)
{
    return server_requests(site->servers[i]);
}

/* --- one upstream --- */

static void test_a_get(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_hello, NULL, NULL, 1);
    get(site.set, "/v2/a?x=1", &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 200);
    assert_true(r.has_length && r.framed && !r.refused);
    assert_int_equal(r.length, 5);
    assert_string_equal(r.etag, "\"x\"");
    check_body(&r, "hello");
    assert_non_null(strstr(site.servers[0]->heads[0], "GET /v2/a?x=1 HTTP/1.1\r\n"));
    fetched_free(&r);
    site_close(&site);
}

static void test_last_404_comes_with_its_body(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_404, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 404);
    assert_false(r.refused);
    check_body(&r, "nothing here");
    assert_false(upstream_set_is_down(site.set));
    fetched_free(&r);
    site_close(&site);
}

static void test_failure_shows_the_head_but_no_body(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_503, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_int_equal(r.status, 503);
    assert_string_equal(r.retry_after, "7");
    assert_true(r.has_length && r.length == 0 && r.body.n == 0);
    assert_string_equal(r.msg, "127.0.0.1 answered 503");
    fetched_free(&r);
    site_close(&site);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    uint64_t failures = counters_sum(COUNTER_UPSTREAM_FAILURES);
    site_open(&site, NULL, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_false(r.has_head);
    assert_int_equal(strncmp(r.msg, "127.0.0.1: ", 11), 0);
    assert_int_equal(counters_sum(COUNTER_UPSTREAM_FAILURES), failures + 1);
    fetched_free(&r);
    site_close(&site);
}

static void test_garbage_is_a_failure(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_garbage, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_false(r.has_head);
    fetched_free(&r);
    site_close(&site);
}

static void test_silence_ends_at_the_deadline(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_never, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_in_range(r.ms, kit_options.response_timeout_ms - 20,
                    kit_options.response_timeout_ms + KIT_LATE_MS);
    assert_string_equal(r.msg, "127.0.0.1: no answer in time");
    fetched_free(&r);
    site_close(&site);
}

static void test_path_that_cannot_be_asked_for(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_hello, NULL, NULL, 1);
    get(site.set, "/v2/a b", &r);
    assert_int_equal(r.result, ERR_PROTO);
    assert_int_equal(requests(&site, 0), 0);
    fetched_free(&r);
    site_close(&site);
}

/* --- several upstreams --- */

struct order_row {
    answer_f *first, *second;
    enum err result;
    int status; /* 0: no head */
    const char *body;
};

static void test_order_of_answers(void **state)
{
    (void)state;
    static const struct order_row rows[] = {
        {answer_hello, answer_404, ERR_OK, 200, "hello"},
        {NULL, answer_hello, ERR_OK, 200, "hello"},
        {answer_503, answer_hello, ERR_OK, 200, "hello"},
        {answer_429, answer_hello, ERR_OK, 200, "hello"},
        {answer_garbage, answer_hello, ERR_OK, 200, "hello"},
        {answer_404, answer_hello, ERR_OK, 200, "hello"},
        {answer_403, answer_hello, ERR_OK, 200, "hello"},
        {answer_404, answer_404, ERR_OK, 404, "nothing here"},
        /* A failure says nothing of what exists: never a 404. */
        {answer_404, answer_503, ERR_UPSTREAM, 503, ""},
        {answer_503, answer_404, ERR_UPSTREAM, 503, ""},
        {answer_404, NULL, ERR_UPSTREAM, 0, ""},
        {NULL, answer_404, ERR_UPSTREAM, 0, ""},
        {NULL, answer_403, ERR_UPSTREAM, 0, ""},
        {answer_503, NULL, ERR_UPSTREAM, 503, ""},
        {answer_503, answer_429, ERR_UPSTREAM, 429, ""},
        /* A refusal goes before a 404; its body is left out. */
        {answer_404, answer_403, ERR_OK, 403, ""},
        {answer_403, answer_404, ERR_OK, 403, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct site site;
        struct fetched r = {.status = 0};
        site_open(&site, rows[i].first, rows[i].second, NULL, 2);
        get(site.set, "/v2/a", &r);
        if (r.result != rows[i].result || r.status != rows[i].status ||
            !slice_eq(buf_slice(&r.body), slice_str(rows[i].body)) ||
            r.refused != (r.status == 403))
            fail_msg("row %zu: %s, status %d, body %.*s", i, err_name(r.result), r.status,
                     (int)r.body.n, r.body.p ? r.body.p : "");
        if (r.status == 403)
            assert_string_equal(r.etag, "\"no\"");
        fetched_free(&r);
        site_close(&site);
    }
}

static void test_three_in_order(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_503, answer_404, answer_hello, 3);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.result, ERR_OK);
    check_body(&r, "hello");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(requests(&site, i), 1);
    fetched_free(&r);
    site_close(&site);
}

/* --- health --- */

static void test_known_down_is_not_asked(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_503, NULL, NULL, 1);
    for (int i = 0; i < HEALTH_FAILURES_MAX; i++) {
        assert_false(upstream_set_is_down(site.set));
        get(site.set, "/v2/a", &r);
        fetched_free(&r);
    }
    assert_true(upstream_set_is_down(site.set));
    get(site.set, "/v2/a", &r);
    assert_int_equal(requests(&site, 0), HEALTH_FAILURES_MAX);
    assert_int_equal(r.result, ERR_UPSTREAM);
    assert_false(r.has_head);
    assert_non_null(strstr(r.msg, "known to be down"));
    fetched_free(&r);
    site_close(&site);
}

static bool hello_from_the_fourth(struct visit *v)
{
    return server_requests(v->server) > HEALTH_FAILURES_MAX ? answer_hello(v) : answer_503(v);
}

static void test_comes_back_by_a_probe(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, hello_from_the_fourth, NULL, NULL, 1);
    for (int i = 0; i < HEALTH_FAILURES_MAX; i++) {
        get(site.set, "/v2/a", &r);
        fetched_free(&r);
    }
    usleep((HEALTH_OPEN_FIRST_MS + 50) * 1000);
    for (int i = 0; i < 2; i++) {
        get(site.set, "/v2/a", &r);
        assert_int_equal(r.result, ERR_OK);
        fetched_free(&r);
    }
    assert_int_equal(requests(&site, 0), HEALTH_FAILURES_MAX + 2);
    site_close(&site);
}

static void test_429_is_obeyed(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_429, answer_hello, NULL, 2);
    for (int i = 0; i < 3; i++) {
        get(site.set, "/v2/a", &r);
        assert_int_equal(r.status, 200);
        fetched_free(&r);
    }
    assert_int_equal(requests(&site, 0), 1);
    assert_int_equal(requests(&site, 1), 3);
    assert_false(upstream_set_is_down(site.set));
    site_close(&site);
    site_open(&site, answer_429, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.status, 429);
    assert_in_range(upstream_set_retry_after(site.set), 118, 120);
    fetched_free(&r);
    site_close(&site);
}

static bool answer_429_for_some_time(struct visit *v)
{
    return answer_text(v, "429 Too Many Requests", "Retry-After: soon\r\n", "");
}

static void test_429_without_a_time(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_429_for_some_time, NULL, NULL, 1);
    get(site.set, "/v2/a", &r);
    assert_true(upstream_set_is_down(site.set));
    assert_int_equal(upstream_set_retry_after(site.set), 1);
    fetched_free(&r);
    site_close(&site);
}

static void test_down_and_404_is_no_404(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    site_open(&site, answer_429, answer_404, NULL, 2);
    for (int i = 0; i < 2; i++) {
        get(site.set, "/v2/a", &r);
        assert_int_equal(r.result, ERR_UPSTREAM);
        assert_int_equal(r.status, i == 0 ? 429 : 0);
        fetched_free(&r);
    }
    site_close(&site);
}

/* --- the consumer's side --- */

static bool answer_long(struct visit *v)
{
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    say(v, "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n");
    for (int i = 0; i < 1024; i++)
        if (send(v->fd, piece, sizeof piece, MSG_NOSIGNAL) < 0)
            return false;
    return true;
}

static void test_abort_of_a_late_head(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.head_flow = FETCH_ABORT};
    site_open(&site, answer_403, answer_404, NULL, 2);
    get(site.set, "/v2/a", &r);
    assert_int_equal(r.status, 403);
    assert_int_equal(r.result, ERR_CLOSED);
    fetched_free(&r);
    site_close(&site);
}

static void test_abort(void **state)
{
    (void)state;
    for (int in_head = 0; in_head < 2; in_head++) {
        struct site site;
        struct fetched r = {.head_flow = in_head ? FETCH_ABORT : FETCH_CONTINUE,
                            .body_flow = FETCH_ABORT};
        site_open(&site, answer_long, NULL, NULL, 1);
        get(site.set, "/v2/a", &r);
        assert_int_equal(r.result, ERR_CLOSED);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.body.n, 0);
        fetched_free(&r);
        site_close(&site);
    }
}

/* Fetches on one uplink, the next one begun from within on_done of the one before. */
struct chain {
    struct loop loop;
    struct uplink *uplink;
    struct fetch_request request;
    enum fetch_flow head_flow;
    int left;
    unsigned heads;
    enum err result;
};

static enum fetch_flow chain_head(void *arg, const struct fetch_head *head)
{
    struct chain *c = arg;
    (void)head;
    c->heads++;
    return c->head_flow;
}

static enum fetch_flow chain_body(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    (void)bytes;
    (void)n;
    return FETCH_CONTINUE;
}

static void chain_done(void *arg, enum err result, const struct errinfo *info);
static const struct fetch_ops chain_ops = {chain_head, chain_body, chain_done};

static void chain_done(void *arg, enum err result, const struct errinfo *info)
{
    struct chain *c = arg;
    (void)info;
    c->result = result;
    if (--c->left > 0)
        fetch_start(c->uplink, &c->request, &chain_ops, c);
    else
        reactor_stop(c->loop.reactor);
}

static void run_chain(struct chain *c, struct upstream_set *set, enum http_method method)
{
    struct tokens *tokens = tokens_new();
    loop_open(&c->loop);
    assert_int_equal(uplink_new(c->loop.reactor, tokens, &kit_options, &c->uplink, NULL), ERR_OK);
    c->request = (struct fetch_request){.set = set, .method = method, .path = SLICE("/v2/a")};
    fetch_start(c->uplink, &c->request, &chain_ops, c);
    reactor_run(c->loop.reactor);
    assert_int_equal(c->uplink->fetch_count, 0);
    uplink_free(&c->uplink);
    loop_close(&c->loop);
    tokens_free(&tokens);
}

/* Whoever only wants the head does not pay with a new connection for each one. */
static void test_connection_outlives_a_small_abort(void **state)
{
    (void)state;
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD};
    for (size_t i = 0; i < 2; i++) {
        struct site site;
        struct chain c = {.head_flow = FETCH_ABORT, .left = 4};
        site_open(&site, answer_hello, NULL, NULL, 1);
        run_chain(&c, site.set, methods[i]);
        assert_int_equal(c.heads, 4);
        assert_int_equal(c.result, ERR_CLOSED);
        assert_int_equal(requests(&site, 0), 4);
        assert_int_equal(site.servers[0]->connections, 1);
        site_close(&site);
    }
}

/* --- cancelling --- */

enum cancel_when { AT_ONCE, WHEN_ASKED, IN_HEAD, IN_BODY, NEVER };

struct cancelling {
    enum cancel_when when;
    struct site *site;
    struct loop loop;
    struct uplink *uplink;
    struct fetch *fetch;
    struct timer look; /* every so often, whether it is time to go on */
    bool cancelled;
    unsigned heads, bodies;
};

static void cancel(struct cancelling *c)
{
    c->cancelled = true;
    fetch_cancel(c->fetch);
}

static enum fetch_flow cancel_head(void *arg, const struct fetch_head *head)
{
    struct cancelling *c = arg;
    (void)head;
    c->heads++;
    if (c->when == IN_HEAD)
        cancel(c);
    return FETCH_CONTINUE;
}

static enum fetch_flow cancel_body(void *arg, const void *bytes, size_t n)
{
    struct cancelling *c = arg;
    (void)bytes;
    (void)n;
    c->bodies++;
    if (c->when == IN_BODY)
        cancel(c);
    return FETCH_CONTINUE;
}

static void cancel_done(void *arg, enum err result, const struct errinfo *info)
{
    (void)arg;
    (void)info;
    fail_msg("on_done after fetch_cancel: %s", err_name(result));
}

static const struct fetch_ops cancel_ops = {cancel_head, cancel_body, cancel_done};

static void on_look(struct timer *t)
{
    struct cancelling *c = container_of(t, struct cancelling, look);
    bool asked = requests(c->site, 0) > 0;
    if (c->when == WHEN_ASKED && asked && !c->cancelled)
        cancel(c);
    if (c->when == NEVER ? asked : c->uplink->fetch_count == 0)
        reactor_stop(c->loop.reactor);
    else
        timer_set(t, 20);
}

/* Ends when the cancelled fetch is gone, or, if it is not cancelled, the server was asked. */
static void run_cancel(struct cancelling *c)
{
    struct tokens *tokens = tokens_new();
    struct fetch_request request = {.set = c->site->set, .path = SLICE("/v2/a")};
    loop_open(&c->loop);
    timer_init(&c->look, c->loop.reactor, on_look);
    assert_int_equal(uplink_new(c->loop.reactor, tokens, &kit_options, &c->uplink, NULL), ERR_OK);
    c->fetch = fetch_start(c->uplink, &request, &cancel_ops, c);
    if (c->when == AT_ONCE)
        cancel(c);
    timer_set(&c->look, 20);
    reactor_run(c->loop.reactor);
    assert_int_equal(c->uplink->fetch_count, c->when == NEVER);
    uplink_free(&c->uplink);
    loop_close(&c->loop);
    tokens_free(&tokens);
}

static void test_cancel_while_waiting(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_never, NULL, NULL, 1);
    struct cancelling at_once = {.when = AT_ONCE, .site = &site};
    run_cancel(&at_once);
    assert_int_equal(requests(&site, 0), 0);
    struct cancelling later = {.when = WHEN_ASKED, .site = &site};
    run_cancel(&later);
    assert_int_equal(requests(&site, 0), 1);
    assert_int_equal(later.heads, 0);
    site_close(&site);
}

static void test_cancel_from_within_a_callback(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_long, NULL, NULL, 1);
    struct cancelling in_head = {.when = IN_HEAD, .site = &site};
    run_cancel(&in_head);
    assert_true(in_head.heads == 1 && in_head.bodies == 0);
    struct cancelling in_body = {.when = IN_BODY, .site = &site};
    run_cancel(&in_body);
    assert_true(in_body.heads == 1 && in_body.bodies == 1);
    assert_false(upstream_set_is_down(site.set));
    site_close(&site);
}

/* A failure's head comes from the dispatcher and not from libcurl. */
static void test_cancel_in_a_late_head(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_503, NULL, NULL, 1);
    struct cancelling c = {.when = IN_HEAD, .site = &site};
    run_cancel(&c);
    assert_int_equal(c.heads, 1);
    site_close(&site);
}

static void test_uplink_free_ends_what_is_left(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_never, NULL, NULL, 1);
    struct cancelling c = {.when = NEVER, .site = &site};
    run_cancel(&c);
    assert_int_equal(c.heads, 0);
    site_close(&site);
}

/* --- bounds --- */

struct crowd {
    struct loop loop;
    unsigned limited, done;
};

static void crowd_done(void *arg, enum err result, const struct errinfo *info)
{
    struct crowd *c = arg;
    (void)info;
    c->done++;
    c->limited += result == ERR_LIMIT;
    if (c->limited == 3)
        reactor_stop(c->loop.reactor);
}

static void test_number_of_fetches_is_bounded(void **state)
{
    (void)state;
    static const struct fetch_ops ops = {chain_head, chain_body, crowd_done};
    struct crowd c = {.done = 0};
    struct uplink *uplink;
    unsigned port = closed_port();
    struct upstream_set *set = set_of(&port, 1, false);
    struct tokens *tokens = tokens_new();
    struct fetch_request request = {.set = set, .path = SLICE("/")};
    /* Down, so that none of them opens a socket. */
    health_limited(&set->v[0].health, clock_mono_ms(), false, 60000);
    loop_open(&c.loop);
    assert_int_equal(uplink_new(c.loop.reactor, tokens, &kit_options, &uplink, NULL), ERR_OK);
    for (int i = 0; i < UPLINK_FETCHES_MAX + 3; i++)
        fetch_start(uplink, &request, &ops, &c);
    reactor_run(c.loop.reactor);
    assert_int_equal(c.limited, 3);
    assert_int_equal(c.done, UPLINK_FETCHES_MAX + 3);
    uplink_free(&uplink);
    loop_close(&c.loop);
    tokens_free(&tokens);
    upstream_set_free(&set);
}

static void test_too_long_a_request(void **state)
{
    (void)state;
    struct site site;
    struct fetched r = {.status = 0};
    static char path[FETCH_ARENA_MAX];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    site_open(&site, answer_hello, NULL, NULL, 1);
    get(site.set, path, &r);
    assert_int_equal(r.result, ERR_LIMIT);
    fetched_free(&r);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_get),
        cmocka_unit_test(test_last_404_comes_with_its_body),
        cmocka_unit_test(test_failure_shows_the_head_but_no_body),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_garbage_is_a_failure),
        cmocka_unit_test(test_silence_ends_at_the_deadline),
        cmocka_unit_test(test_path_that_cannot_be_asked_for),
        cmocka_unit_test(test_order_of_answers),
        cmocka_unit_test(test_three_in_order),
        cmocka_unit_test(test_known_down_is_not_asked),
        cmocka_unit_test(test_comes_back_by_a_probe),
        cmocka_unit_test(test_429_is_obeyed),
        cmocka_unit_test(test_429_without_a_time),
        cmocka_unit_test(test_down_and_404_is_no_404),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_of_a_late_head),
        cmocka_unit_test(test_connection_outlives_a_small_abort),
        cmocka_unit_test(test_cancel_while_waiting),
        cmocka_unit_test(test_cancel_from_within_a_callback),
        cmocka_unit_test(test_cancel_in_a_late_head),
        cmocka_unit_test(test_uplink_free_ends_what_is_left),
        cmocka_unit_test(test_number_of_fetches_is_bounded),
        cmocka_unit_test(test_too_long_a_request),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
