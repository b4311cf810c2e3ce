#include "daemon/http/range.c"

#include <stdio.h>

#include "http_test.h"

/* The result in words: "none", "416", "many", or the ranges as "a-b,c-d". */
static void parse_to_text(struct slice value, uint64_t size, char *out, size_t cap)
{
    static const char *const names[] = {
        [RANGE_NONE] = "none",
        [RANGE_UNSATISFIABLE] = "416",
        [RANGE_TOO_MANY] = "many",
    };
    struct arena a;
    struct http_ranges ranges;
    test_arena(&a);
    enum range_result result = http_range_parse(value, size, &a, &ranges);
    if (result == RANGE_OK) {
        size_t n = 0;
        for (size_t i = 0; i < ranges.n; i++)
            n += (size_t)snprintf(out + n, cap - n, "%s%llu-%llu", i ? "," : "",
                                  (unsigned long long)ranges.v[i].first,
                                  (unsigned long long)ranges.v[i].last);
    } else {
        snprintf(out, cap, "%s", names[result]);
    }
    arena_reset(&a);
}

struct range_row {
    const char *value;
    uint64_t size;
    const char *want;
};

static const struct range_row range_rows[] = {
    {NULL, 100, "none"},
    {"", 100, "none"},
    {"bytes", 100, "none"},
    {"bytes=", 100, "none"},
    {"bytes=,", 100, "none"},
    {"items=0-1", 100, "none"},
    {"bytes 0-1", 100, "none"},
    {"bytes=0-1", 100, "0-1"},
    {"BYTES=0-1", 100, "0-1"},
    {"bytes=0-", 100, "0-99"},
    {"bytes=99-", 100, "99-99"},
    {"bytes=0-0", 1, "0-0"},
    {"bytes=10-1000", 100, "10-99"},
    {"bytes=10-99999999999999999999999", 100, "10-99"},
    {"bytes=-1", 100, "99-99"},
    {"bytes=-100", 100, "0-99"},
    {"bytes=-1000", 100, "0-99"},
    {"bytes=-99999999999999999999999", 100, "0-99"},
    {"bytes=0-18446744073709551615", UINT64_MAX, "0-18446744073709551614"},
    {"bytes=-18446744073709551615", UINT64_MAX, "0-18446744073709551614"},
    {"bytes=100-", 100, "416"},
    {"bytes=100-200", 100, "416"},
    {"bytes=99999999999999999999999-", 100, "416"},
    {"bytes=-0", 100, "416"},
    {"bytes=0-", 0, "416"},
    {"bytes=-5", 0, "416"},
    {"bytes=200-,-0,100-150", 100, "416"},
    {"bytes=5-4", 100, "none"},
    {"bytes=200-100", 100, "none"},
    {"bytes=-", 100, "none"},
    {"bytes=1", 100, "none"},
    {"bytes=a-b", 100, "none"},
    {"bytes=+1-2", 100, "none"},
    {"bytes=1--2", 100, "none"},
    {"bytes=--1", 100, "none"},
    {"bytes=0x1-2", 100, "none"},
    {"bytes=1 -2", 100, "none"},
    {"bytes=0-1,x", 100, "none"},
    {"bytes=x,0-1", 100, "none"},
    {"bytes=0-1;2-3", 100, "none"},
    {"bytes=0-1,5-6", 100, "0-1,5-6"},
    {"bytes= 0-1 ,\t5-6 ,, 9-", 12, "0-1,5-6,9-11"},
    {"bytes=5-6,0-1", 100, "5-6,0-1"},
    {"bytes=0-1,200-300,-2", 100, "0-1,98-99"},
    {"bytes=0-1,2-3", 100, "0-1,2-3"},
    {"bytes=0-49,50-99", 100, "0-49,50-99"},
    {"bytes=0-10,5-15", 100, "0-10,5-15"},
    /* More bytes than the body has. */
    {"bytes=0-,0-", 100, "none"},
    {"bytes=0-50,50-99", 100, "none"},
    {"bytes=0-,-1", 100, "none"},
    {"bytes=0-,0-,0-", UINT64_MAX, "none"},
};

static void test_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof range_rows / sizeof range_rows[0]; i++) {
        const struct range_row *row = &range_rows[i];
        char got[256];
        parse_to_text(slice_str(row->value), row->size, got, sizeof got);
        if (strcmp(got, row->want) != 0)
            fail_msg("%s of %llu: %s, want %s", row->value, (unsigned long long)row->size, got,
                     row->want);
    }
}

/* "bytes=" and `n` one-byte ranges with a gap between. */
static struct slice many_ranges(struct arena *a, size_t n)
{
    char *out = arena_alloc(a, n * 16 + 8);
    assert_non_null(out);
    size_t at = (size_t)sprintf(out, "bytes=");
    for (size_t i = 0; i < n; i++)
        at += (size_t)sprintf(out + at, "%s%zu-%zu", i ? "," : "", 2 * i, 2 * i);
    return slice_of(out, at);
}

static void test_many_ranges(void **state)
{
    (void)state;
    struct arena a;
    struct http_ranges ranges;
    test_arena(&a);
    assert_int_equal(http_range_parse(many_ranges(&a, 1024), 10000, &a, &ranges), RANGE_OK);
    assert_int_equal(ranges.n, 1024);
    for (size_t i = 0; i < ranges.n; i++)
        assert_true(ranges.v[i].first == 2 * i && ranges.v[i].last == 2 * i);
    assert_int_equal(http_range_parse(many_ranges(&a, HTTP_RANGES_MAX), 10000, &a, &ranges),
                     RANGE_OK);
    assert_int_equal(ranges.n, HTTP_RANGES_MAX);
    assert_int_equal(http_range_parse(many_ranges(&a, HTTP_RANGES_MAX + 1), 10000, &a, &ranges),
                     RANGE_TOO_MANY);
    /* Unsatisfiable ones count. */
    assert_int_equal(http_range_parse(many_ranges(&a, HTTP_RANGES_MAX + 1), 1, &a, &ranges),
                     RANGE_TOO_MANY);
    arena_reset(&a);
}

static void test_range_needs_room(void **state)
{
    (void)state;
    struct arena a;
    struct http_ranges ranges;
    full_arena(&a);
    assert_int_equal(http_range_parse(SLICE("bytes=0-1"), 100, &a, &ranges), RANGE_NONE);
}

static void test_content_range(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        struct http_content_range want;
    } rows[] = {
        {"bytes 0-9/100", {0, 9, 100, true, true}},
        {"Bytes 99-99/100", {99, 99, 100, true, true}},
        {"bytes 5-9/*", {5, 9, 0, true, false}},
        {"bytes */100", {0, 0, 100, false, true}},
        {"bytes */0", {0, 0, 0, false, true}},
        {"bytes 0-18446744073709551614/18446744073709551615",
         {0, UINT64_MAX - 1, UINT64_MAX, true, true}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_content_range got;
        const struct http_content_range *want = &rows[i].want;
        if (!http_content_range_parse(slice_str(rows[i].value), &got) || got.first != want->first ||
            got.last != want->last || got.size != want->size || got.has_range != want->has_range ||
            got.has_size != want->has_size)
            fail_msg("%s is read wrong", rows[i].value);
    }
}

static void test_content_range_refuses(void **state)
{
    (void)state;
    static const char *const values[] = {
        NULL,
        "",
        "bytes",
        "bytes ",
        "bytes 0-9",
        "bytes=0-9/9",
        "items 0-9/100",
        "bytes */*",
        "bytes 9-0/100",
        "bytes 0-100/100",
        "bytes 0-9/",
        "bytes 0-9/x",
        "bytes -9/100",
        "bytes 0-/100",
        "bytes 0/100",
        "bytes  0-9/100",
        "bytes 0-9/100 ",
        "bytes +0-9/100",
        "bytes 0-9/18446744073709551616",
        "bytes 0-18446744073709551616/*",
        "bytes 0-9/10/10",
        "bytes 0-9,20-29/100",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct http_content_range got;
        if (http_content_range_parse(slice_str(values[i]), &got))
            fail_msg("%s is taken", values[i]);
    }
}

static void test_if_range(void **state)
{
    (void)state;
    const char *date = "Sun, 06 Nov 1994 08:49:37 GMT";
    const struct {
        const char *value, *etag, *last_modified;
        bool matches;
    } rows[] = {
        {NULL, "\"a\"", date, true},
        {NULL, NULL, NULL, true},
        {"\"a\"", "\"a\"", NULL, true},
        {"\"a\"", "\"b\"", NULL, false},
        {"\"a\"", "\"A\"", NULL, false},
        {"\"a\"", NULL, date, false},
        {"W/\"a\"", "W/\"a\"", NULL, false},
        {"W/\"a\"", "\"a\"", NULL, false},
        {"\"a\"", "W/\"a\"", NULL, false},
        {date, "\"a\"", date, true},
        {date, "\"a\"", NULL, false},
        {"Sunday, 06-Nov-94 08:49:37 GMT", "\"a\"", date, false},
        {"a", "\"a\"", date, false},
        {"", "\"a\"", date, false},
        {"", "", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (http_if_range_matches(slice_str(rows[i].value), slice_str(rows[i].etag),
                                  slice_str(rows[i].last_modified)) != rows[i].matches)
            fail_msg("row %zu (%s) is judged wrong", i, rows[i].value);
}

static void test_if_none_match(void **state)
{
    (void)state;
    static const struct {
        const char *value, *etag;
        bool matches;
    } rows[] = {
        {NULL, "\"a\"", false},
        {"", "\"a\"", false},
        {"*", "\"a\"", true},
        {"*", NULL, true},
        {"*, \"b\"", "\"a\"", false},
        {"\"a\"", "\"a\"", true},
        {"\"a\"", "\"b\"", false},
        {"\"a\"", "\"A\"", false},
        {"W/\"a\"", "\"a\"", true},
        {"\"a\"", "W/\"a\"", true},
        {"W/\"a\"", "W/\"a\"", true},
        {"\"x\", W/\"y\" ,\"a\"", "\"a\"", true},
        {"\"x\",, ,\"a\"", "\"a\"", true},
        {"\"x,\\\", \"a\"", "\"a\"", true},
        {"\"a,b\"", "\"a,b\"", true},
        {"\"a,b\"", "\"a\"", false},
        {"\"x\", \"a", "\"a\"", false},
        {"\"\"", "\"\"", true},
        {"\"\"", NULL, false},
        {",", "\"\"", false},
        {"sha256:1f", "\"sha256:1f\"", true},
        {"x, sha256:1f ", "\"sha256:1f\"", true},
        {"\"sha256:1f\"", "\"sha256:1f\"", true},
        {"sha256:1", "\"sha256:1f\"", false},
        {"w/\"a\"", "\"a\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (http_if_none_match(slice_str(rows[i].value), slice_str(rows[i].etag)) !=
            rows[i].matches)
            fail_msg("row %zu (%s) is judged wrong", i, rows[i].value);
}

static void test_if_modified_since(void **state)
{
    (void)state;
    static const struct slice date = SLICE("Sun, 06 Nov 1994 08:49:37 GMT");
    assert_true(http_if_modified_since(date, date));
    assert_true(http_if_modified_since(SLICE("Sunday, 06-Nov-94 08:49:38 GMT"), date));
    assert_false(http_if_modified_since(SLICE("Sun, 06 Nov 1994 08:49:36 GMT"), date));
    assert_false(http_if_modified_since(SLICE("yesterday"), date));
    assert_false(http_if_modified_since(date, SLICE("")));
    assert_false(http_if_modified_since(slice_of(NULL, 0), date));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_many_ranges),
        cmocka_unit_test(test_range_needs_room),
        cmocka_unit_test(test_content_range),
        cmocka_unit_test(test_content_range_refuses),
        cmocka_unit_test(test_if_range),
        cmocka_unit_test(test_if_none_match),
        cmocka_unit_test(test_if_modified_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
