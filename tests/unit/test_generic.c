#include "daemon/protocol/generic.c"

#include "http_test.h"

enum { ARENA_CAP = 256 * 1024 };

struct fixture {
    struct arena arena;
    struct http_request request;
    struct plan_input in;
    struct config_upstream upstream;
    struct config_route config;
    struct plan plan;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    arena_init(&f->arena, NULL, 0, ARENA_CAP);
    f->config =
        (struct config_route){.cache = true, .upstreams = &f->upstream, .upstream_count = 1};
    f->in = (struct plan_input){.request = &f->request, .config = &f->config};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_reset(&f->arena);
    test_free(f);
    return 0;
}

static void field(struct fixture *f, const char *name, const char *value)
{
    assert_true(http_fields_add(&f->request.fields, &f->arena, HTTP_FIELDS_MAX, slice_str(name),
                                slice_str(value)));
}

static void method(struct fixture *f, enum http_method id, const char *text)
{
    f->request.method = id;
    f->request.method_text = slice_str(text);
}

static const struct plan *plan_of(struct fixture *f, const char *path, const char *query)
{
    f->request.path = f->in.path = slice_str(path);
    f->request.query = slice_str(query);
    assert_true(plan_request(&f->in, &f->arena, &f->plan));
    return &f->plan;
}

/* The lines that go upstream, each with LF. */
static struct slice lines_of(struct fixture *f)
{
    struct slice all = SLICE("");
    for (size_t i = 0; i < f->plan.line_count; i++)
        all = arena_printf(&f->arena, "%.*s%.*s\n", SLICE_ARG(all), SLICE_ARG(f->plan.lines[i]));
    return all;
}

static void test_a_get_is_cached_as_the_upstream_says(void **state)
{
    struct fixture *f = *state;
    const struct plan *p = plan_of(f, "/debian/dists/sid/InRelease", NULL);
    assert_int_equal(p->kind, PLAN_CACHED);
    assert_true(p->obeys_upstream && p->passes_status && p->accepts_any);
    assert_false(p->immutable);
    assert_int_equal(p->refresh, REFRESH_CONDITIONAL);
    assert_int_equal(p->head, HEAD_ASKS);
    check_text("", p->resource, "/debian/dists/sid/InRelease");
    check_text("", p->upstream_path, "/debian/dists/sid/InRelease");
    check_text("", p->variant, "");
    check_text("", p->accept, "");
    assert_int_equal(p->credential.n, 0);
}

static void test_the_query_is_part_of_the_name(void **state)
{
    struct fixture *f = *state;
    check_text("", plan_of(f, "/a", "b=1")->resource, "/a?b=1");
    check_text("", plan_of(f, "/a", "")->resource, "/a?");
    check_text("", plan_of(f, "", NULL)->upstream_path, "/");
    check_text("", plan_of(f, "/%7Ea%2Fb", "x")->upstream_path, "/%7Ea%2Fb?x");
}

static void test_what_matches_a_pattern_is_immutable(void **state)
{
    struct fixture *f = *state;
    char *patterns[] = {(char *)(uintptr_t) "/pool/**", (char *)(uintptr_t) "/**/by-hash/**"};
    f->config.immutable = (struct config_strings){patterns, 2};
    field(f, "Cache-Control", "max-age=0");
    const struct plan *p = plan_of(f, "/pool/main/a/a_1_all.deb", NULL);
    assert_true(p->immutable);
    assert_false(p->obeys_upstream || p->passes_status);
    assert_int_equal(p->line_count, 0);
    check_text("", p->accept, "*/*");
    check_text("", p->fields, "Cache-Control: public, max-age=31536000, immutable\r\n");
    assert_true(plan_of(f, "/dists/sid/main/by-hash/SHA256/00", NULL)->immutable);
    assert_false(plan_of(f, "/dists/sid/InRelease", NULL)->immutable);
}

/* The grant to see it ends, so it must be asked for again. */
static void test_nothing_is_immutable_with_credentials(void **state)
{
    struct fixture *f = *state;
    char *patterns[] = {(char *)(uintptr_t) "**"};
    f->config.immutable = (struct config_strings){patterns, 1};
    f->config.passthrough = true;
    field(f, "Authorization", "Basic eA==");
    const struct plan *p = plan_of(f, "/a", NULL);
    assert_false(p->immutable);
    assert_true(p->obeys_upstream);
    check_text("", p->credential, "Basic eA==");
}

static void test_credentials_go_nowhere_unasked(void **state)
{
    struct fixture *f = *state;
    field(f, "Authorization", "Basic eA==");
    assert_int_equal(plan_of(f, "/a", NULL)->credential.n, 0);
    assert_int_equal(f->plan.line_count, 0);
}

static void test_fields_that_go_upstream(void **state)
{
    struct fixture *f = *state;
    static const char *const pairs[][2] = {
        {"Host", "cache.test"},
        {"Accept", "text/html"},
        {"Accept-Encoding", "gzip"},
        {"User-Agent", "x/1"},
        {"Cookie", "a=b"},
        {"Authorization", "Basic eA=="},
        {"Referer", "http://x/"},
        {"Connection", "close, Q"},
        {"Q", "1"},
        {"Keep-Alive", "5"},
        {"TE", "trailers"},
        {"Via", "1.1 other"},
        {"If-None-Match", "\"a\""},
        {"If-Modified-Since", "then"},
        {"If-Match", "*"},
        {"Range", "bytes=0-1"},
        {"If-Range", "\"a\""},
        {"X-Forwarded-Host", "evil.test"},
        {"Forwarded", "for=1"},
        {"X-Original-URL", "/admin"},
        {"X-HTTP-Method-Override", "PUT"},
        {"Proxy-Authorization", "Basic eA=="},
        {"Cache-Control", "no-cache"},
        {"Foo", "1"},
        {"foo", "2"},
        {"Accept", "a/b"},
        {"Accept-Language", "en"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        field(f, pairs[i][0], pairs[i][1]);
    const struct plan *p = plan_of(f, "/a", NULL);
    check_text("", lines_of(f), "Cache-Control: no-cache\nFoo: 1\nfoo: 2\nAccept-Language: en\n");
    check_text("", p->accept, "text/html, a/b");
    /* Vary is judged by what is sent: all clients get the answer to a request without a cookie. */
    assert_null(http_fields_get(p->request_fields, HF_COOKIE));
    assert_null(http_fields_get(p->request_fields, HF_USER_AGENT));
    check_text("", http_fields_value(p->request_fields, HF_ACCEPT), "text/html, a/b");
    assert_non_null(http_fields_find(p->request_fields, SLICE("FOO")));
    assert_int_equal(p->request_fields->n, 5);
}

static void test_a_change_is_passed_on_once(void **state)
{
    struct fixture *f = *state;
    method(f, HTTP_PUT, "PUT");
    f->request.framing = HTTP_LENGTH;
    field(f, "Content-Type", "text/plain");
    field(f, "Content-Length", "3");
    field(f, "If-Match", "\"a\"");
    field(f, "Expect", "100-continue");
    field(f, "Cookie", "a=b");
    const struct plan *p = plan_of(f, "/a", "b");
    assert_int_equal(p->kind, PLAN_RELAYED);
    assert_int_equal(p->method, HTTP_PUT);
    assert_true(p->takes_body && p->passes_status && p->obeys_upstream);
    check_text("", lines_of(f), "Content-Type: text/plain\nIf-Match: \"a\"\n");
    assert_non_null(p->outdates[0]);
    check_text("", p->outdates[0]->resource, "/a?b");
    check_text("", p->outdates[0]->variant, "");
    assert_null(p->outdates[1]);
}

static void test_a_change_with_credentials_outdates_both_copies(void **state)
{
    struct fixture *f = *state;
    f->config.passthrough = true;
    method(f, HTTP_DELETE, "DELETE");
    field(f, "Authorization", "Basic eA==");
    const struct plan *p = plan_of(f, "/a", NULL);
    assert_false(p->takes_body);
    assert_int_equal(p->outdates[0]->credential.n, 0);
    check_text("", p->outdates[1]->credential, "Basic eA==");
    check_text("", p->outdates[1]->resource, "/a");
}

static void test_other_methods(void **state)
{
    struct fixture *f = *state;
    method(f, HTTP_OPTIONS, "OPTIONS");
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_RELAYED);
    assert_null(f->plan.outdates[0]);
    method(f, HTTP_METHOD_OTHER, "M-SEARCH");
    check_text("", plan_of(f, "/a", NULL)->method_text, "M-SEARCH");
    assert_non_null(f->plan.outdates[0]);
    method(f, HTTP_METHOD_OTHER, "TRACE");
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_REFUSED);
    assert_int_equal(f->plan.refusal, PLAN_ERR_METHOD);
}

/* Or anybody could change things with the rights of the cache. */
static void test_an_account_of_the_cache_only_reads(void **state)
{
    struct fixture *f = *state;
    f->upstream.username = (char *)(uintptr_t) "cache";
    method(f, HTTP_POST, "POST");
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_REFUSED);
    assert_int_equal(f->plan.refusal, PLAN_ERR_METHOD);
    method(f, HTTP_GET, "GET");
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_CACHED);
    method(f, HTTP_OPTIONS, "OPTIONS");
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_RELAYED);
}

static void test_a_route_that_stores_nothing(void **state)
{
    struct fixture *f = *state;
    f->config.cache = false;
    const struct plan *p = plan_of(f, "/a", NULL);
    assert_int_equal(p->kind, PLAN_RELAYED);
    assert_int_equal(p->method, HTTP_GET);
    assert_true(p->obeys_upstream && p->passes_status);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    struct plan_page page;
    for (int error = 0; error < PLAN_ERR_COUNT; error++) {
        render_error(&f->arena, error, SLICE(""), &page);
        assert_in_range(page.status, 400, 504);
        assert_true(page.body.n > 1);
    }
    render_error(&f->arena, PLAN_ERR_CREDENTIALS, SLICE(""), &page);
    assert_int_equal(page.status, 401);
    assert_true(slice_starts(page.fields, SLICE("WWW-Authenticate: Basic ")));
    render_error(&f->arena, PLAN_ERR_NOT_FOUND, SLICE("/a"), &page);
    check_text("", page.body, "the upstream does not have it: /a\n");
    render_error(&f->arena, PLAN_ERR_ONLY_CACHED, SLICE(""), &page);
    assert_int_equal(page.status, 504);
}

static void test_without_room(void **state)
{
    struct fixture *f = *state;
    struct arena none;
    struct plan_page page;
    full_arena(&none);
    field(f, "Foo", "1");
    f->request.path = f->in.path = SLICE("/a");
    assert_false(plan_request(&f->in, &none, &f->plan));
    render_error(&none, PLAN_ERR_BUSY, SLICE("x"), &page);
    assert_int_equal(page.status, 503);
    check_text("", page.body, "out of room\n");
}

static void test_without_a_route(void **state)
{
    struct fixture *f = *state;
    f->in.config = NULL;
    assert_int_equal(plan_of(f, "/a", NULL)->kind, PLAN_REFUSED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_get_is_cached_as_the_upstream_says),
        TEST(test_the_query_is_part_of_the_name),
        TEST(test_what_matches_a_pattern_is_immutable),
        TEST(test_nothing_is_immutable_with_credentials),
        TEST(test_credentials_go_nowhere_unasked),
        TEST(test_fields_that_go_upstream),
        TEST(test_a_change_is_passed_on_once),
        TEST(test_a_change_with_credentials_outdates_both_copies),
        TEST(test_other_methods),
        TEST(test_an_account_of_the_cache_only_reads),
        TEST(test_a_route_that_stores_nothing),
        TEST(test_errors),
        TEST(test_without_room),
        TEST(test_without_a_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
