/* Requests that may change something, and those that want whatever the upstream says. */
#include "base/container.h"
#include "daemon/upstream/fetch.h"

#include "upstream_kit.h"

#include <poll.h>

/* --- a request with a body, written while the fetch runs --- */

struct upload {
    struct upstream_set *set;
    struct fetch_request request;
    const char *text;                             /* the body; NULL: none */
    enum { ENDS, BREAKS, STAYS_OPEN, NEVER } end; /* NEVER: it comes again and again */
    int64_t after_ms;                             /* so long until it comes */
    struct fetched r;
    struct pipe *writer;
    struct timer timer;
    struct uplink *uplink;
};

static void on_write(struct timer *t)
{
    struct upload *u = container_of(t, struct upload, timer);
    static const char more[PIPE_CAPACITY];
    if (pipe_is_read(u->writer))
        pipe_write(u->writer, slice_str(u->text));
    if (u->end == NEVER) {
        pipe_write(u->writer, slice_of(more, pipe_room(u->writer)));
        u->text = "";
        timer_set(t, 0);
    } else if (u->end != STAYS_OPEN) {
        pipe_end(u->writer, u->end == ENDS);
    }
}

static void upload(struct upload *u)
{
    struct tokens *tokens = tokens_new();
    struct fetched *r = &u->r;
    loop_open(&r->loop);
    buf_init(&r->body, 1 << 20);
    timer_init(&r->resume, r->loop.reactor, kit_resume);
    timer_init(&u->timer, r->loop.reactor, on_write);
    assert_int_equal(uplink_new(r->loop.reactor, tokens, &kit_options, &u->uplink, NULL), ERR_OK);
    u->request.set = u->set;
    if (!u->request.path.p && !u->request.url.p)
        u->request.path = SLICE("/a");
    if (u->text) {
        u->request.body = u->writer = pipe_new();
        timer_set(&u->timer, u->after_ms);
    }
    r->began = clock_mono_ms();
    r->fetch = fetch_start(u->uplink, &u->request, &kit_ops, r);
    reactor_run(r->loop.reactor);
    assert_true(r->done);
    timer_clear(&r->resume);
    timer_clear(&u->timer);
    uplink_free(&u->uplink);
    if (u->writer) {
        assert_false(pipe_is_read(u->writer));
        pipe_writer_leave(&u->writer);
    }
    loop_close(&r->loop);
    tokens_free(&tokens);
}

/* Up to two upstreams; NULL: nobody listens. */
struct site {
    struct server *servers[2];
    struct upstream_set *set;
};

static void site_open(struct site *site, answer_f *first, answer_f *second, bool account)
{
    answer_f *answers[] = {first, second};
    unsigned ports[2];
    for (size_t i = 0; i < 2; i++) {
        site->servers[i] = answers[i] ? server_start(answers[i], NULL) : NULL;
        ports[i] = answers[i] ? site->servers[i]->port : closed_port();
    }
    site->set = set_of(ports, 2, account);
}

static void site_close(struct site *site)
{
    for (size_t i = 0; i < 2; i++)
        if (site->servers[i])
            server_stop(site->servers[i]);
    upstream_set_free(&site->set);
}

static unsigned requests(const struct site *site, size_t i)
{
    return server_requests(site->servers[i]);
}

/* --- servers --- */

/* The status that the path names ("/404"), after the whole request. */
static bool answer_status(struct visit *v)
{
    char status[32];
    const char *slash = strchr(v->head, '/');
    struct heard_body b = hear_body(v, UINT64_MAX);
    snprintf(status, sizeof status, "%.3s x", slash + 1);
    return answer_text(v, status,
                       "Location: /200\r\nWWW-Authenticate: Basic realm=\"r\"\r\n"
                       "Retry-After: 9\r\n",
                       b.whole ? "the page" : "cut") &&
           b.whole;
}

static bool answer_200(struct visit *v)
{
    hear_body(v, UINT64_MAX);
    return answer_text(v, "200 OK", "", "other");
}

static bool answer_503(struct visit *v)
{
    return answer_text(v, "503 x", "", "sorry");
}

static bool answer_404(struct visit *v)
{
    return answer_text(v, "404 x", "", "not here");
}

static bool answer_401(struct visit *v)
{
    return answer_text(v, "401 x", "WWW-Authenticate: Basic realm=\"r\"\r\n", "who are you");
}

static bool leave_without_a_word(struct visit *v)
{
    hear_body(v, UINT64_MAX);
    return false;
}

static bool answer_never(struct visit *v)
{
    char c;
    while (hear_some(v, &c, 1) > 0)
        continue;
    return false;
}

/* --- what is sent --- */

struct method_row {
    enum http_method method;
    const char *other;
    const char *body;
    bool sized;
    const char *begins;
    const char *has, *lacks;
};

static void test_every_method_goes_out_under_its_name(void **state)
{
    (void)state;
    static const struct method_row rows[] = {
        {HTTP_POST, "", "hello", true, "POST /200 HTTP/1.1\r\n", "\r\nContent-Length: 5\r\n",
         "Transfer-Encoding"},
        {HTTP_PUT, "", "hello", false, "PUT /200 ", "\r\nTransfer-Encoding: chunked\r\n",
         "Content-Length"},
        {HTTP_POST, "", NULL, false, "POST /200 ", "\r\nContent-Length: 0\r\n", "chunked"},
        {HTTP_PATCH, "", NULL, false, "PATCH /200 ", "\r\nContent-Length: 0\r\n", "chunked"},
        {HTTP_DELETE, "", NULL, false, "DELETE /200 ", "\r\nVia: ", "Content-Length"},
        {HTTP_OPTIONS, "", NULL, false, "OPTIONS /200 ", "\r\nVia: ", "Content-Length"},
        {HTTP_METHOD_OTHER, "MKCOL", NULL, false, "MKCOL /200 ", "\r\nVia: ", "Content-Length"},
        {HTTP_METHOD_OTHER, "REPORT", "hello", true, "REPORT /200 ", "\r\nContent-Length: 5\r\n",
         "chunked"},
    };
    struct site site;
    site_open(&site, answer_status, NULL, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct method_row *row = &rows[i];
        struct upload u = {.set = site.set,
                           .text = row->body,
                           .request = {.method = row->method,
                                       .method_text = slice_str(row->other),
                                       .path = SLICE("/200"),
                                       .has_body_length = row->sized,
                                       .body_length = 5}};
        upload(&u);
        const char *head = site.servers[0]->heads[i];
        if (u.r.result != ERR_OK || strncmp(head, row->begins, strlen(row->begins)) != 0 ||
            !strstr(head, row->has) || strstr(head, row->lacks) || strstr(head, "Expect"))
            fail_msg("row %zu: %s, \"%s\"", i, u.r.msg, head);
        check_body(&u.r, "the page");
        fetched_free(&u.r);
    }
    site_close(&site);
}

static void test_fields_of_the_request_are_sent_on(void **state)
{
    (void)state;
    static const struct slice lines[] = {SLICE("Content-Type: application/json"),
                                         SLICE("X-Otp:123"), SLICE("X-Blank:  y ")};
    struct site site;
    site_open(&site, answer_200, NULL, false);
    struct upload u = {.set = site.set,
                       .request = {.method = HTTP_POST,
                                   .takes_gzip = true,
                                   .authorization = SLICE("Bearer client"),
                                   .lines = lines,
                                   .line_count = 3}};
    upload(&u);
    const char *head = site.servers[0]->heads[0];
    assert_int_equal(u.r.result, ERR_OK);
    assert_non_null(strstr(head, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(head, "\r\nX-Otp: 123\r\n"));
    assert_non_null(strstr(head, "\r\nX-Blank: y\r\n"));
    assert_non_null(strstr(head, "\r\nAccept-Encoding: gzip\r\n"));
    assert_non_null(strstr(head, "\r\nAuthorization: Bearer client\r\n"));
    fetched_free(&u.r);
    site_close(&site);
}

static void test_nothing_that_would_split_a_request_is_sent(void **state)
{
    (void)state;
    static const struct slice bad[] = {SLICE("X: a\r\nY: b"), SLICE("no colon"), SLICE(": b"),
                                       SLICE("X Y: b"),       SLICE("X\n: b"),   SLICE("")};
    struct site site;
    site_open(&site, answer_200, NULL, false);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct upload u = {.set = site.set,
                           .text = "hello",
                           .request = {.method = HTTP_POST, .lines = &bad[i], .line_count = 1}};
        upload(&u);
        assert_int_equal(u.r.result, ERR_LIMIT);
        fetched_free(&u.r);
    }
    static const struct slice methods[] = {SLICE(""), SLICE("A B"), SLICE("X\r\nY"), SLICE("P/")};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct upload u = {.set = site.set,
                           .request = {.method = HTTP_METHOD_OTHER, .method_text = methods[i]}};
        upload(&u);
        assert_int_equal(u.r.result, ERR_LIMIT);
        fetched_free(&u.r);
    }
    assert_int_equal(requests(&site, 0), 0);
    site_close(&site);
}

/* --- one try --- */

static void test_whatever_comes_is_the_answer(void **state)
{
    (void)state;
    static const char *const paths[] = {"/200", "/201", "/302", "/307", "/400", "/401",
                                        "/403", "/404", "/409", "/500", "/501", "/503"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct site site;
        site_open(&site, answer_status, answer_200, true);
        struct upload u = {.set = site.set,
                           .text = "hello",
                           .request = {.method = HTTP_POST, .path = slice_str(paths[i])}};
        upload(&u);
        if (u.r.result != ERR_OK || u.r.status != atoi(paths[i] + 1))
            fail_msg("%s: %s, status %d", paths[i], u.r.msg, u.r.status);
        check_body(&u.r, "the page");
        assert_int_equal(u.r.refused, u.r.status == 401 || u.r.status == 403);
        assert_int_equal(requests(&site, 0), 1);
        assert_int_equal(requests(&site, 1), 0);
        fetched_free(&u.r);
        site_close(&site);
    }
}

static void test_a_write_that_fails_goes_to_no_other_upstream(void **state)
{
    (void)state;
    answer_f *const answers[] = {NULL, leave_without_a_word, answer_never};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct site site;
        site_open(&site, answers[i], answer_200, false);
        struct upload u = {.set = site.set, .text = "hello", .request = {.method = HTTP_DELETE}};
        upload(&u);
        assert_int_equal(u.r.result, ERR_UPSTREAM);
        assert_false(u.r.has_head);
        assert_int_equal(requests(&site, 1), 0);
        if (answers[i])
            assert_int_equal(requests(&site, 0), 1);
        fetched_free(&u.r);
        site_close(&site);
    }
}

static void test_a_write_goes_to_the_first_that_is_not_down(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_200, answer_status, false);
    health_limited(&site.set->v[0].health, clock_mono_ms(), false, 60000);
    struct upload u = {.set = site.set, .request = {.method = HTTP_POST, .path = SLICE("/201")}};
    upload(&u);
    assert_int_equal(u.r.status, 201);
    assert_int_equal(requests(&site, 0), 0);
    fetched_free(&u.r);
    health_limited(&site.set->v[1].health, clock_mono_ms(), false, 60000);
    struct upload none = {.set = site.set, .text = "x", .request = {.method = HTTP_POST}};
    upload(&none);
    assert_int_equal(none.r.result, ERR_UPSTREAM);
    assert_int_equal(requests(&site, 1), 1);
    fetched_free(&none.r);
    site_close(&site);
}

/* 5xx and silence count; what the client does wrong, and 501, does not. */
static void test_answers_to_writes_tell_the_health(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool down;
    } rows[] = {{"/503", true}, {"/500", true}, {"/429", true}, {"/404", false}, {"/501", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct site site;
        site_open(&site, answer_status, NULL, false);
        site.set->n = 1;
        for (int j = 0; j < HEALTH_FAILURES_MAX && !upstream_set_is_down(site.set); j++) {
            struct upload u = {.set = site.set,
                               .request = {.method = HTTP_POST, .path = slice_str(rows[i].path)}};
            upload(&u);
            check_body(&u.r, "the page");
            fetched_free(&u.r);
        }
        assert_int_equal(upstream_set_is_down(site.set), rows[i].down);
        site.set->n = 2;
        site_close(&site);
    }
}

/* The account is the cache's own; a request that cannot be repeated shows it at once. */
static void test_the_account_comes_unasked_but_never_beside_the_clients(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_200, NULL, true);
    struct upload own = {.set = site.set, .request = {.method = HTTP_POST}};
    upload(&own);
    assert_non_null(strstr(site.servers[0]->heads[0], "\r\nAuthorization: Basic "));
    struct upload clients = {
        .set = site.set, .request = {.method = HTTP_POST, .authorization = SLICE("Bearer client")}};
    upload(&clients);
    assert_non_null(strstr(site.servers[0]->heads[1], "\r\nAuthorization: Bearer client\r\n"));
    assert_null(strstr(site.servers[0]->heads[1], "Basic"));
    fetched_free(&own.r);
    fetched_free(&clients.r);
    site_close(&site);
}

/* --- bodies that end badly, or late --- */

static void test_a_client_that_leaves_is_no_failure_of_the_upstream(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_status, NULL, false);
    for (int i = 0; i < 2 * HEALTH_FAILURES_MAX; i++) {
        struct upload u = {.set = site.set,
                           .text = "half",
                           .end = BREAKS,
                           .request = {.method = HTTP_PUT,
                                       .path = SLICE("/200"),
                                       .has_body_length = i & 1,
                                       .body_length = 9}};
        upload(&u);
        assert_int_equal(u.r.result, ERR_CLOSED);
        assert_false(u.r.has_head);
        fetched_free(&u.r);
    }
    assert_int_equal(health_wait(&site.set->v[0].health, clock_mono_ms()), 0);
    site_close(&site);
}

/* While the client takes its time the upstream is not the one that is silent. */
static void test_a_slow_client_is_no_failure_of_the_upstream(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_status, NULL, false);
    struct upload u = {.set = site.set,
                       .text = "late",
                       .after_ms = kit_options.response_timeout_ms + 300,
                       .request = {.method = HTTP_PUT, .path = SLICE("/200")}};
    upload(&u);
    assert_int_equal(u.r.result, ERR_OK);
    check_body(&u.r, "the page");
    fetched_free(&u.r);
    site_close(&site);
}

static void test_silence_after_the_body_ends_at_the_deadline(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_never, NULL, false);
    for (int sized = 0; sized < 2; sized++) {
        struct upload u = {
            .set = site.set,
            .text = "hello",
            .after_ms = 300,
            .request = {.method = HTTP_PUT, .has_body_length = sized, .body_length = 5}};
        upload(&u);
        assert_int_equal(u.r.result, ERR_UPSTREAM);
        assert_non_null(strstr(u.r.msg, "no answer in time"));
        assert_in_range(u.r.ms, kit_options.response_timeout_ms + 250,
                        kit_options.response_timeout_ms + KIT_LATE_MS);
        fetched_free(&u.r);
    }
    site_close(&site);
}

static bool answer_early(struct visit *v)
{
    hear_body(v, 1);
    return answer_text(v, "413 x", "", "too much");
}

static void test_an_early_answer_does_not_wait_for_the_client(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_early, NULL, false);
    struct upload u = {
        .set = site.set,
        .text = "h",
        .end = STAYS_OPEN,
        .after_ms = 30,
        .request = {.method = HTTP_PUT, .has_body_length = true, .body_length = 1 << 20}};
    upload(&u);
    assert_int_equal(u.r.result, ERR_OK);
    assert_int_equal(u.r.status, 413);
    check_body(&u.r, "too much");
    fetched_free(&u.r);
    site_close(&site);
}

/* Says all there is to say, and takes nothing more. */
static bool answer_and_stop(struct visit *v)
{
    struct pollfd p = {.fd = v->fd, .events = POLLRDHUP};
    hear_body(v, 1);
    answer_text(v, "202 x", "", "fine");
    poll(&p, 1, KIT_WAIT_S * 1000);
    return false;
}

static void test_a_complete_answer_counts_although_the_body_is_not_taken(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_and_stop, NULL, false);
    struct upload u = {.set = site.set, .text = "h", .end = NEVER, .request = {.method = HTTP_PUT}};
    upload(&u);
    assert_int_equal(u.r.result, ERR_OK);
    assert_int_equal(u.r.status, 202);
    check_body(&u.r, "fine");
    assert_true(u.r.ms >= kit_options.stall_timeout_ms);
    fetched_free(&u.r);
    site_close(&site);
}

static void test_a_consumer_that_wants_no_more_ends_the_upload(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_early, NULL, false);
    struct upload u = {
        .set = site.set,
        .text = "h",
        .end = STAYS_OPEN,
        .after_ms = 30,
        .r = {.head_flow = FETCH_ABORT},
        .request = {.method = HTTP_PUT, .has_body_length = true, .body_length = 100}};
    upload(&u);
    assert_int_equal(u.r.result, ERR_CLOSED);
    assert_int_equal(u.r.status, 413);
    fetched_free(&u.r);
    site_close(&site);
}

static void test_a_body_that_cannot_be_sent_is_left(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_200, NULL, false);
    struct upload far = {.set = site.set,
                         .text = "hello",
                         .request = {.method = HTTP_PUT, .url = SLICE("file:///etc/passwd")}};
    upload(&far); /* upload() asserts that the pipe was left */
    assert_int_equal(far.r.result, ERR_FOREIGN);
    fetched_free(&far.r);
    site_close(&site);
}

/* --- any status --- */

struct status_row {
    answer_f *first, *second;
    enum err result;
    int status;
    const char *body;
};

static bool answer_plain_403(struct visit *v)
{
    return answer_text(v, "403 Forbidden", "", "no");
}

/* A redirect without Location. */
static bool answer_nowhere(struct visit *v)
{
    return answer_text(v, "302 Found", "", "where");
}

static void test_any_status_of_the_last_upstream(void **state)
{
    (void)state;
    static const struct status_row rows[] = {
        {answer_503, answer_404, ERR_UPSTREAM, 503, ""}, /* an outage is no 404 */
        {answer_404, answer_503, ERR_OK, 503, "sorry"},
        {answer_503, answer_503, ERR_OK, 503, "sorry"},
        {answer_503, answer_200, ERR_OK, 200, "other"},
        {answer_404, answer_404, ERR_OK, 404, "not here"},
        {NULL, answer_503, ERR_OK, 503, "sorry"},
        {answer_503, NULL, ERR_UPSTREAM, 503, ""},
        {answer_404, answer_plain_403, ERR_OK, 403, "no"},
        {answer_404, answer_nowhere, ERR_OK, 302, "where"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct site site;
        site_open(&site, rows[i].first, rows[i].second, false);
        struct upload u = {.set = site.set, .request = {.any_status = true}};
        upload(&u);
        if (u.r.result != rows[i].result || u.r.status != rows[i].status ||
            !slice_eq(buf_slice(&u.r.body), slice_str(rows[i].body)))
            fail_msg("row %zu: %s, status %d, \"%.*s\"", i, err_name(u.r.result), u.r.status,
                     (int)u.r.body.n, u.r.body.p ? u.r.body.p : "");
        fetched_free(&u.r);
        site_close(&site);
    }
}

static void test_any_status_counts_for_the_health(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_404, answer_503, false);
    for (int i = 0; i < HEALTH_FAILURES_MAX; i++) {
        struct upload u = {.set = site.set, .request = {.any_status = true}};
        upload(&u);
        assert_int_equal(u.r.status, 503);
        fetched_free(&u.r);
    }
    assert_true(health_wait(&site.set->v[1].health, clock_mono_ms()) > 0);
    assert_int_equal(health_wait(&site.set->v[0].health, clock_mono_ms()), 0);
    site_close(&site);
}

/* The one that would be asked next is known to be down: the answer at hand is the last one. */
static void test_the_last_upstream_that_is_left(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_503, answer_200, false);
    health_limited(&site.set->v[1].health, clock_mono_ms(), false, 60000);
    struct upload u = {.set = site.set, .request = {.any_status = true}};
    upload(&u);
    assert_int_equal(u.r.result, ERR_OK);
    check_body(&u.r, "sorry");
    fetched_free(&u.r);
    site_close(&site);
}

/* --- the client's own credentials --- */

static bool answer_by_credentials(struct visit *v)
{
    bool good = strstr(v->head, "\r\nAuthorization: Bearer good\r\n") != NULL;
    return good ? answer_200(v) : answer_401(v);
}

static void test_credentials_that_are_refused_are_not_replaced(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_by_credentials, answer_by_credentials, true);
    /* The account is known to be wanted, and it is the cache's. */
    struct upstream_auth basic = {.scheme = CHALLENGE_BASIC};
    upstream_auth_learn(&site.set->v[0], &basic);
    struct upload bad = {.set = site.set, .request = {.authorization = SLICE("Bearer bad")}};
    upload(&bad);
    assert_int_equal(bad.r.result, ERR_OK);
    assert_int_equal(bad.r.status, 401);
    assert_true(bad.r.refused);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(requests(&site, i), 1);
        assert_null(strstr(site.servers[i]->heads[0], "Basic"));
    }
    struct upload good = {.set = site.set, .request = {.authorization = SLICE("Bearer good")}};
    upload(&good);
    check_body(&good.r, "other");
    assert_int_equal(requests(&site, 0), 2);
    fetched_free(&bad.r);
    fetched_free(&good.r);
    site_close(&site);
}

static bool answer_bearer(struct visit *v)
{
    char lines[200];
    snprintf(lines, sizeof lines,
             "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"s\"\r\n",
             v->server->port);
    return answer_text(v, "401 x", lines, "token!");
}

static void test_no_token_is_asked_for_a_client_that_has_its_own(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, answer_bearer, answer_bearer, true);
    for (int i = 0; i < 2; i++) {
        struct upload u = {
            .set = site.set,
            .request = {.authorization = SLICE("Bearer x"), .scope = SLICE("repository:a:pull")}};
        struct upstream_auth bearer = {.scheme = CHALLENGE_BEARER,
                                       .realm = SLICE("http://127.0.0.1:1/token"),
                                       .service = SLICE("s")};
        upload(&u);
        assert_int_equal(u.r.status, 401);
        assert_int_equal(server_count(site.servers[0], "/token"), 0);
        fetched_free(&u.r);
        upstream_auth_learn(&site.set->v[0], &bearer); /* nor when it is known where */
    }
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_goes_out_under_its_name),
        cmocka_unit_test(test_fields_of_the_request_are_sent_on),
        cmocka_unit_test(test_nothing_that_would_split_a_request_is_sent),
        cmocka_unit_test(test_whatever_comes_is_the_answer),
        cmocka_unit_test(test_a_write_that_fails_goes_to_no_other_upstream),
        cmocka_unit_test(test_a_write_goes_to_the_first_that_is_not_down),
        cmocka_unit_test(test_answers_to_writes_tell_the_health),
        cmocka_unit_test(test_the_account_comes_unasked_but_never_beside_the_clients),
        cmocka_unit_test(test_a_client_that_leaves_is_no_failure_of_the_upstream),
        cmocka_unit_test(test_a_slow_client_is_no_failure_of_the_upstream),
        cmocka_unit_test(test_silence_after_the_body_ends_at_the_deadline),
        cmocka_unit_test(test_an_early_answer_does_not_wait_for_the_client),
        cmocka_unit_test(test_a_complete_answer_counts_although_the_body_is_not_taken),
        cmocka_unit_test(test_a_consumer_that_wants_no_more_ends_the_upload),
        cmocka_unit_test(test_a_body_that_cannot_be_sent_is_left),
        cmocka_unit_test(test_any_status_of_the_last_upstream),
        cmocka_unit_test(test_any_status_counts_for_the_health),
        cmocka_unit_test(test_the_last_upstream_that_is_left),
        cmocka_unit_test(test_credentials_that_are_refused_are_not_replaced),
        cmocka_unit_test(test_no_token_is_asked_for_a_client_that_has_its_own),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
