#include "daemon/cache/http_rules.c"

#include "http_test.h"

enum { TTL = 600 * 1000 };
#define NOW INT64_C(784111777000) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define AT_NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define MINUTE_EARLIER "Sun, 06 Nov 1994 08:48:37 GMT"
#define LONG_AGO "Sun, 06 Nov 1983 08:49:37 GMT"

static struct arena arena;

static int open_arena(void **state)
{
    (void)state;
    test_arena(&arena);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

/* "Name: value|Name: value" */
static struct http_fields *fields_of(const char *text)
{
    struct http_fields *fields = arena_zalloc(&arena, sizeof *fields);
    struct slice rest = slice_str(text);
    while (rest.n) {
        size_t end = slice_find(rest, '|');
        struct slice line = slice_to(rest, end);
        size_t colon = slice_find(line, ':');
        assert_true(http_fields_add(fields, &arena, HTTP_FIELDS_MAX, slice_to(line, colon),
                                    slice_trim(slice_from(line, colon + 1))));
        rest = slice_from(rest, end + 1);
    }
    return fields;
}

static const struct plan anonymous = {.obeys_upstream = true};

static struct rules_head head_of(int status, const char *fields)
{
    return (struct rules_head){.plan = &anonymous,
                               .status = status,
                               .fields = fields_of(fields),
                               .now_ms = NOW,
                               .ttl_ms = TTL};
}

static struct http_rules judged(int status, const char *fields)
{
    struct rules_head head = head_of(status, fields);
    struct http_rules r;
    assert_true(http_rules_judge(&head, &arena, &r));
    return r;
}

static void test_answers_that_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *fields;
        bool passes;
    } rows[] = {
        {200, "", true},
        {204, "", true},
        {299, "", true},
        {403, "", true},
        {499, "", true},
        {404, "", false},
        {410, "", false},
        {404, "Cache-Control: max-age=60", true},
        {404, "Cache-Control: no-store", true},
        {410, "Last-Modified: " LONG_AGO, true},
        {206, "", false},
        {304, "", false},
        {416, "", false},
        {401, "Cache-Control: max-age=60", false},
        {429, "", false},
        {500, "Cache-Control: max-age=60", false},
        {503, "", false},
        {599, "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (http_rules_passes(rows[i].status, fields_of(rows[i].fields)) != rows[i].passes)
            fail_msg("%d %s", rows[i].status, rows[i].fields);
}

static void test_an_answer_with_a_lifetime(void **state)
{
    (void)state;
    struct http_rules r = judged(200, "Date: " AT_NOW "|Cache-Control: max-age=60|Age: 7");
    assert_true(r.stores);
    assert_false(r.must_revalidate);
    assert_int_equal(r.lifetime_ms, 60 * 1000);
    assert_int_equal(r.validated_ms, NOW - 7 * 1000);
    assert_int_equal(r.vary.n, 0);
}

static void test_the_way_counts_as_age(void **state)
{
    (void)state;
    struct rules_head head = head_of(200, "Cache-Control: max-age=60");
    struct http_rules r;
    head.delay_ms = 3000;
    assert_true(http_rules_judge(&head, &arena, &r));
    assert_int_equal(r.validated_ms, NOW - 3000);
}

static void test_a_guess_is_bounded_by_the_routes_ttl(void **state)
{
    (void)state;
    struct http_rules r = judged(200, "Date: " AT_NOW "|Last-Modified: " LONG_AGO);
    assert_true(r.stores);
    assert_int_equal(r.lifetime_ms, TTL);
    r = judged(200, "Date: " AT_NOW "|Last-Modified: " MINUTE_EARLIER);
    assert_int_equal(r.lifetime_ms, 6000);
}

static void test_what_could_not_be_used_again_is_not_stored(void **state)
{
    (void)state;
    assert_false(judged(200, "").stores);
    assert_true(judged(200, "ETag: \"a\"").stores);
    assert_int_equal(judged(200, "ETag: \"a\"").lifetime_ms, 0);
    assert_false(judged(200, "Cache-Control: max-age=60|Age: 60").stores);
    assert_true(judged(200, "Cache-Control: max-age=60|Age: 60|ETag: \"a\"").stores);
    assert_false(judged(200, "Cache-Control: no-cache").stores);
    assert_true(judged(200, "Cache-Control: no-cache|ETag: \"a\"").stores);
    assert_true(judged(200, "Cache-Control: no-cache|ETag: \"a\"").must_revalidate);
    assert_false(judged(404, "Cache-Control: max-age=0|ETag: \"a\"").stores);
}

/* Or an outage would bring back a 404 that is long over. */
static void test_other_statuses_are_never_served_stale(void **state)
{
    (void)state;
    struct http_rules r = judged(404, "Cache-Control: max-age=60");
    assert_true(r.stores && r.must_revalidate);
    assert_false(judged(203, "Cache-Control: max-age=60").must_revalidate);
}

static void test_what_varies(void **state)
{
    (void)state;
    struct http_rules r = judged(200, "Cache-Control: max-age=60|Vary: Foo, Accept");
    assert_true(r.stores);
    check_text("", r.vary, "accept,foo");
    assert_false(judged(200, "Cache-Control: max-age=60|Vary: *").stores);
}

static void test_answers_to_a_clients_own_credentials(void **state)
{
    (void)state;
    const struct plan own = {.obeys_upstream = true, .credential = SLICE("Basic x")};
    struct rules_head head = head_of(200, "Cache-Control: max-age=60");
    struct http_rules r;
    head.plan = &own;
    assert_true(http_rules_judge(&head, &arena, &r));
    assert_false(r.stores);
    head.fields = fields_of("Cache-Control: max-age=60, public");
    assert_true(http_rules_judge(&head, &arena, &r));
    assert_true(r.stores);
}

static void test_fields_that_are_kept(void **state)
{
    (void)state;
    struct slice lines;
    const struct http_fields *all = fields_of(
        "Date: " AT_NOW "|Server: x|Content-Type: a/b|Content-Length: 5|Content-Encoding: gzip|"
        "Connection: close, A|A: 1|B: 2|Keep-Alive: 5|Transfer-Encoding: chunked|Age: 5|"
        "ETag: \"a\"|Last-Modified: " LONG_AGO "|Set-Cookie: a=b|WWW-Authenticate: Basic realm=x|"
        "Proxy-Authenticate: Basic|Accept-Ranges: bytes|Alt-Svc: h3=\":443\"|Vary: Foo|"
        "Cache-Control: max-age=60|B: 3");
    struct rules_head head = head_of(200, "");
    head.fields = all;
    assert_true(http_rules_keep(&head, &arena, &lines));
    check_text("", lines,
               "Date: " AT_NOW "\r\nServer: x\r\nContent-Encoding: gzip\r\nB: 2\r\nVary: Foo\r\n"
               "Cache-Control: max-age=60\r\nB: 3\r\n");
    head.fields = fields_of("A: 1");
    assert_true(http_rules_keep(&head, &arena, &lines));
    check_text("", lines, "A: 1\r\nDate: " AT_NOW "\r\n");
}

static void test_fields_that_do_not_fit(void **state)
{
    (void)state;
    char *value = arena_alloc(&arena, LINES_MAX);
    struct slice lines;
    memset(value, 'x', LINES_MAX);
    struct http_fields *f = fields_of("A: 1");
    f->v[0].value = slice_of(value, LINES_MAX);
    struct rules_head head = head_of(200, "");
    head.fields = f;
    assert_false(http_rules_keep(&head, &arena, &lines));
}

static struct store_entry held(void)
{
    return (struct store_entry){
        .status = 200,
        .content_type = SLICE("text/plain"),
        .fields = SLICE("Date: " LONG_AGO "\r\nCache-Control: max-age=1\r\nX: old\r\nX: older\r\n"
                        "Y: kept\r\nContent-Encoding: gzip\r\n"),
        .etag = SLICE("\"a\""),
        .last_modified = SLICE(LONG_AGO),
        .has_lifetime = true,
        .lifetime_ms = 1000,
        .validated_ms = 1,
    };
}

static void test_a_304_brings_an_entry_up_to_date(void **state)
{
    (void)state;
    struct rules_head head = head_of(
        304, "Date: " AT_NOW "|Cache-Control: max-age=60, must-revalidate|X: new|Age: 2|"
             "Content-Type: text/html|Content-Length: 9|Content-Encoding: br|Content-MD5: x|"
             "Content-Range: bytes 0-1/2|ETag: \"b\"|Set-Cookie: a=b|Z: more|"
             "Last-Modified: " MINUTE_EARLIER);
    struct store_entry e = held();
    assert_true(http_rules_freshen(&head, &arena, &e));
    check_text("", e.fields,
               "Y: kept\r\nContent-Encoding: gzip\r\nDate: " AT_NOW
               "\r\nCache-Control: max-age=60, must-revalidate\r\nX: new\r\nZ: more\r\n");
    check_text("", e.content_type, "text/html");
    check_text("", e.etag, "\"a\"");
    check_text("", e.last_modified, MINUTE_EARLIER);
    assert_true(e.has_lifetime && e.must_revalidate);
    assert_int_equal(e.lifetime_ms, 60 * 1000);
    assert_int_equal(e.validated_ms, NOW - 2000);
}

/* It has nothing to say but that the bytes are the same: what was said before holds anew. */
static void test_a_bare_304(void **state)
{
    (void)state;
    struct rules_head head = head_of(304, "");
    struct store_entry e = held();
    assert_true(http_rules_freshen(&head, &arena, &e));
    check_text("", e.fields,
               "Cache-Control: max-age=1\r\nX: old\r\nX: older\r\nY: kept\r\n"
               "Content-Encoding: gzip\r\nDate: " AT_NOW "\r\n");
    assert_int_equal(e.lifetime_ms, 1000);
    assert_int_equal(e.validated_ms, NOW);
    assert_false(e.must_revalidate);
    /* Without Cache-Control the guess hangs on the Last-Modified that is stored. */
    e = held();
    e.fields = SLICE("X: 1\r\n");
    assert_true(http_rules_freshen(&head, &arena, &e));
    assert_int_equal(e.lifetime_ms, TTL);
}

static void test_a_304_that_forbids_storage(void **state)
{
    (void)state;
    struct rules_head head = head_of(304, "Cache-Control: no-store, max-age=60");
    struct store_entry e = held();
    assert_true(http_rules_freshen(&head, &arena, &e));
    assert_int_equal(e.lifetime_ms, 0);
    assert_true(e.must_revalidate);
}

static enum freshness demanded(const char *request, enum freshness how, int64_t age_ms,
                               int64_t ttl_ms)
{
    const struct plan p = {.obeys_upstream = true, .request_fields = fields_of(request)};
    const struct store_entry e = {.validated_ms = NOW - age_ms};
    return http_rules_demand(&p, &e, how, ttl_ms, NOW);
}

static void test_demands_on_what_is_fresh(void **state)
{
    (void)state;
    assert_int_equal(demanded("", FRESH, 10000, 5000), FRESH);
    assert_int_equal(demanded("Cache-Control: no-cache", FRESH, 10000, 5000), STALE_WAITING);
    assert_int_equal(demanded("Pragma: no-cache", FRESH, 10000, 5000), STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: no-cache", FRESH, 1000, 5000), FRESH);
    assert_int_equal(demanded("Cache-Control: max-age=0", FRESH, 10000, 5000), STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: max-age=10", FRESH, 10000, 5000), FRESH);
    assert_int_equal(demanded("Cache-Control: max-age=9", FRESH, 10000, 5000), STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: min-fresh=5", FRESH, 10000, 5000), FRESH);
    assert_int_equal(demanded("Cache-Control: min-fresh=6", FRESH, 10000, 5000), STALE_WAITING);
}

static void test_demands_on_what_is_stale(void **state)
{
    (void)state;
    assert_int_equal(demanded("", STALE_WAITING, 10000, -5000), STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: max-stale", STALE_WAITING, 10000, -5000),
                     STALE_SERVABLE);
    assert_int_equal(demanded("Cache-Control: max-stale=5", STALE_WAITING, 10000, -5000),
                     STALE_SERVABLE);
    assert_int_equal(demanded("Cache-Control: max-stale=4", STALE_WAITING, 10000, -5000),
                     STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: max-stale, max-age=9", STALE_WAITING, 10000, -5000),
                     STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: max-stale, no-cache", STALE_WAITING, 10000, -5000),
                     STALE_WAITING);
    assert_int_equal(demanded("Cache-Control: max-stale", STALE_TOO_OLD, 10000, -5000),
                     STALE_TOO_OLD);
}

static void test_demands_that_do_not_count(void **state)
{
    (void)state;
    const struct plan other = {.request_fields = fields_of("Cache-Control: no-cache, no-store")};
    const struct store_entry e = {.validated_ms = 0};
    assert_int_equal(http_rules_demand(&other, &e, FRESH, 1, NOW), FRESH);
    assert_false(http_rules_forbids_storing(&other));
    struct plan obeys = other;
    obeys.obeys_upstream = true;
    const struct store_entry immutable = {.immutable = true};
    assert_int_equal(http_rules_demand(&obeys, &immutable, FRESH, 1, NOW), FRESH);
    assert_true(http_rules_forbids_storing(&obeys));
}

static struct slice variant(const char *vary, int64_t since_ms, const char *request)
{
    return http_rules_variant(&arena, SLICE(""), slice_str(vary), since_ms, fields_of(request));
}

static void test_variants(void **state)
{
    (void)state;
    assert_true(slice_eq(variant("foo", 1, "Foo: 1"), variant("foo", 1, "foo: 1|Bar: 2")));
    assert_false(slice_eq(variant("foo", 1, "Foo: 1"), variant("foo", 1, "Foo: 2")));
    assert_false(slice_eq(variant("foo", 1, "Foo: 1"), variant("foo", 2, "Foo: 1")));
    assert_false(slice_eq(variant("foo", 1, ""), variant("bar", 1, "")));
}

static void check_named(const char *reference, const char *want)
{
    static const struct slice url = SLICE("http://127.0.0.1:8000/base/a/b?x=1");
    check_text(reference,
               http_rules_named_path(&arena, url, SLICE("/a/b?x=1"), slice_str(reference)), want);
}

static void test_what_an_answer_names(void **state)
{
    (void)state;
    check_named("/base/c", "/c");
    check_named("c?d=1", "/a/c?d=1");
    check_named("http://127.0.0.1:8000/base/c#f", "/c");
    check_named("", NULL);
    check_named("/elsewhere", NULL);
    check_named("/based/c", NULL);
    check_named("http://127.0.0.1:8001/base/c", NULL);
    check_named("https://127.0.0.1:8000/base/c", NULL);
    check_named("ftp://x/", NULL);
    assert_null(
        http_rules_named_path(&arena, SLICE("http://127.0.0.1/x"), SLICE("/y"), SLICE("/z")).p);
    check_text("",
               http_rules_named_path(&arena, SLICE("http://127.0.0.1/x"), SLICE("/x"), SLICE("/z")),
               "/z");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_that_are_passed_on),
        TEST(test_an_answer_with_a_lifetime),
        TEST(test_the_way_counts_as_age),
        TEST(test_a_guess_is_bounded_by_the_routes_ttl),
        TEST(test_what_could_not_be_used_again_is_not_stored),
        TEST(test_other_statuses_are_never_served_stale),
        TEST(test_what_varies),
        TEST(test_answers_to_a_clients_own_credentials),
        TEST(test_fields_that_are_kept),
        TEST(test_fields_that_do_not_fit),
        TEST(test_a_304_brings_an_entry_up_to_date),
        TEST(test_a_bare_304),
        TEST(test_a_304_that_forbids_storage),
        TEST(test_demands_on_what_is_fresh),
        TEST(test_demands_on_what_is_stale),
        TEST(test_demands_that_do_not_count),
        TEST(test_variants),
        TEST(test_what_an_answer_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
