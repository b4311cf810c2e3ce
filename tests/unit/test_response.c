#include "daemon/http/response.c"

#include "http_test.h"

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(http_reason(100), "Continue");
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(206), "Partial Content");
    assert_string_equal(http_reason(416), "Range Not Satisfiable");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(508), "Loop Detected");
    assert_string_equal(http_reason(511), "Network Authentication Required");
    assert_string_equal(http_reason(299), "Unknown");
    assert_string_equal(http_reason(0), "Unknown");
    assert_string_equal(http_reason(-1), "Unknown");
    assert_string_equal(http_reason(1000), "Unknown");
}

static void test_head(void **state)
{
    (void)state;
    char memory[256];
    struct head_writer w;
    head_begin(&w, memory, sizeof memory, 206);
    head_add(&w, SLICE("Content-Type"), SLICE("text/plain"));
    head_add(&w, SLICE("Empty"), slice_of(NULL, 0));
    head_add_own(&w, SLICE("Own"), SLICE("as it is"));
    head_add_u64(&w, SLICE("Content-Length"), UINT64_MAX);
    head_add_u64(&w, SLICE("Age"), 0);
    head_add_raw(&w, SLICE("A: 1\r\nB: 2\r\n"));
    assert_true(head_done(&w));
    check_text("head", slice_of(w.p, w.n),
               "HTTP/1.1 206 Partial Content\r\n"
               "Content-Type: text/plain\r\n"
               "Empty: \r\n"
               "Own: as it is\r\n"
               "Content-Length: 18446744073709551615\r\n"
               "Age: 0\r\n"
               "A: 1\r\nB: 2\r\n"
               "\r\n");
}

/* Every capacity below the head's length fails, and nothing is written behind the capacity. */
static void test_overflow_is_remembered(void **state)
{
    (void)state;
    const size_t length = sizeof "HTTP/1.1 200 OK\r\nA: b\r\nAge: 12\r\nC: d\r\n\r\n" - 1;
    for (size_t cap = 0; cap <= length; cap++) {
        char memory[128];
        struct head_writer w;
        memset(memory, '#', sizeof memory);
        head_begin(&w, memory, cap, 200);
        head_add(&w, SLICE("A"), SLICE("b"));
        head_add_u64(&w, SLICE("Age"), 12);
        head_add_raw(&w, SLICE("C: d\r\n"));
        assert_int_equal(head_done(&w), cap == length);
        for (size_t i = cap; i < sizeof memory; i++)
            assert_int_equal(memory[i], '#');
    }
}

static bool head_with(struct slice name, struct slice value)
{
    char memory[256];
    struct head_writer w;
    head_begin(&w, memory, sizeof memory, 200);
    head_add(&w, name, value);
    head_add(&w, SLICE("Later"), SLICE("fine"));
    return head_done(&w);
}

static void test_split_lines_are_refused(void **state)
{
    (void)state;
    assert_true(head_with(SLICE("A"), SLICE("a b\t\xff")));
    assert_false(head_with(SLICE("A"), SLICE("a\r\nSet-Cookie: b")));
    assert_false(head_with(SLICE("A"), SLICE("a\nb")));
    assert_false(head_with(SLICE("A"), SLICE("a\r")));
    assert_false(head_with(SLICE("A"), SLICE("\0")));
}

static void test_one_byte_is_enough_to_split(void **state)
{
    static const char splits[] = {'\r', '\n', '\0'};
    char value[50];

    (void)state;
    for (size_t n = 1; n < sizeof value; n++)
        for (size_t at = 0; at < n; at++)
            for (size_t i = 0; i < sizeof splits; i++) {
                memset(value, 'v', n);
                assert_true(head_with(SLICE("A"), slice_of(value, n)));
                value[at] = splits[i];
                assert_false(head_with(SLICE("A"), slice_of(value, n)));
            }
}

static void test_status_has_three_digits(void **state)
{
    (void)state;
    char memory[64];
    struct head_writer w;
    head_begin(&w, memory, sizeof memory, 599);
    assert_true(head_done(&w));
    check_text("599", slice_of(w.p, w.n), "HTTP/1.1 599 Unknown\r\n\r\n");
    static const int statuses[] = {-200, 0, 99, 1000};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        head_begin(&w, memory, sizeof memory, statuses[i]);
        assert_false(head_done(&w));
    }
}

static void test_cache_status(void **state)
{
    (void)state;
    static const struct {
        struct cache_status cs;
        const char *text;
    } rows[] = {
        {{.hit = true, .has_ttl = true, .ttl = 12}, "yantian; hit; ttl=12"},
        {{.hit = true}, "yantian; hit"},
        {{.hit = true, .has_ttl = true, .ttl = -17, .fwd = "stale", .fwd_status = 503},
         "yantian; hit; ttl=-17; fwd=stale; fwd-status=503"},
        {{.hit = true, .has_ttl = true, .fwd = "stale"}, "yantian; hit; ttl=0; fwd=stale"},
        {{.fwd = "uri-miss", .fwd_status = 200, .stored = true, .collapsed = true},
         "yantian; fwd=uri-miss; fwd-status=200; stored; collapsed"},
        {{.fwd = "bypass", .ttl = 9}, "yantian; fwd=bypass"},
        {{.fwd = NULL}, "yantian"},
        {{true, true, INT64_MIN, "uri-miss", INT32_MAX, true, true},
         "yantian; hit; ttl=-9223372036854775808; fwd=uri-miss; fwd-status=2147483647; stored; "
         "collapsed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[CACHE_STATUS_MAX];
        struct slice text = cache_status_format(&rows[i].cs, out);
        check_text(rows[i].text, text, rows[i].text);
        assert_ptr_equal(text.p, out);
        assert_int_equal(out[text.n], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_overflow_is_remembered),
        cmocka_unit_test(test_split_lines_are_refused),
        cmocka_unit_test(test_one_byte_is_enough_to_split),
        cmocka_unit_test(test_status_has_three_digits),
        cmocka_unit_test(test_cache_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
