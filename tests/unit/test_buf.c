#include "daemon/base/buf.c"
#include "daemon/base/escape.c"

#include <setjmp.h>

#include <cmocka.h>

static void assert_held(const struct buf *b, const char *expected)
{
    assert_false(b->failed);
    assert_int_equal(b->n, strlen(expected));
    assert_memory_equal(b->p, expected, b->n);
}

static void test_grows_up_to_the_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        buf_addc(&b, 'x');
    assert_int_equal(b.n, 1000);
    assert_false(b.failed);
    buf_addc(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 1000);
    buf_free(&b);
    assert_null(b.p);
    assert_false(b.failed);
    assert_int_equal(b.max, 1000);
}

static void test_failure_sticks_until_cleared(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_add(&b, SLICE("ab"));
    buf_add(&b, SLICE("cde"));
    buf_add(&b, SLICE("c"));
    buf_addf(&b, "%d", 1);
    buf_add_json(&b, SLICE("c"));
    assert_null(buf_reserve(&b, 0));
    assert_true(b.failed);
    assert_int_equal(b.n, 2);
    buf_clear(&b);
    buf_add(&b, SLICE("abcd"));
    assert_held(&b, "abcd");
    buf_free(&b);
}

static void test_format_fills_the_last_byte(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    buf_addf(&b, "%s", "1234");
    buf_addf(&b, "%04d", 56);
    assert_held(&b, "12340056");
    buf_addf(&b, "%s", "");
    assert_held(&b, "12340056");
    buf_addf(&b, "%d", 1);
    assert_true(b.failed);
    buf_free(&b);
}

static void test_reserve(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    assert_non_null(buf_reserve(&b, 0));
    char *room = buf_reserve(&b, 5000);
    assert_non_null(room);
    memset(room, 'r', 5000);
    b.n += 5000;
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_free(&b);
}

static void test_empty_slices_add_nothing(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add(&b, slice_str(NULL));
    buf_add_json(&b, slice_str(NULL));
    assert_false(b.failed);
    assert_int_equal(buf_slice(&b).n, 0);
    buf_free(&b);
}

static void test_consume(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_add(&b, SLICE("abcdef"));
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_held(&b, "cdef");
    buf_consume(&b, 4);
    assert_int_equal(b.n, 0);
    buf_add(&b, SLICE("x"));
    buf_consume(&b, 9);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

struct json_case {
    struct slice in;
    const char *out;
};

static const struct json_case json_cases[] = {
    {{"plain /v2/?n=1", 14}, "plain /v2/?n=1"},
    {{"a\"b\\c", 5}, "a\\\"b\\\\c"},
    {{"\n\r\t\0\x1f\x7f", 6}, "\\n\\r\\t\\u0000\\u001f\\u007f"},
    /* UTF-8 of two, three and four bytes stands as it is */
    {{"\xc2\xa0\xdf\xbf\xe7\x9b\x90\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 18},
     "\xc2\xa0\xdf\xbf\xe7\x9b\x90\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    /* controls of the second kind, which terminals obey */
    {{"\xc2\x9b\xc2\x80", 4}, "\\u009b\\u0080"},
    /* a lone continuation, a cut sequence, a sequence with a foreign byte */
    {{"\x80", 1}, "\\u0080"},
    {{"\xe7\x9b", 2}, "\\u00e7\\u009b"},
    {{"\xe7\x9b"
      "A",
      3},
     "\\u00e7\\u009bA"},
    {{"\xf0\x9f\x98"
      "A",
      4},
     "\\u00f0\\u009f\\u0098A"},
    /* overlong forms, a surrogate, past the last code point, bytes that never occur */
    {{"\xc0\xaf", 2}, "\\u00c0\\u00af"},
    {{"\xc1\xbf", 2}, "\\u00c1\\u00bf"},
    {{"\xe0\x9f\xbf", 3}, "\\u00e0\\u009f\\u00bf"},
    {{"\xf0\x8f\xbf\xbf", 4}, "\\u00f0\\u008f\\u00bf\\u00bf"},
    {{"\xed\xa0\x80", 3}, "\\u00ed\\u00a0\\u0080"},
    {{"\xf4\x90\x80\x80", 4}, "\\u00f4\\u0090\\u0080\\u0080"},
    {{"\xf5\x80\x80\x80\xff\xfe", 6}, "\\u00f5\\u0080\\u0080\\u0080\\u00ff\\u00fe"},
};

static void test_json_escapes(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof json_cases / sizeof json_cases[0]; i++) {
        buf_clear(&b);
        buf_add_json(&b, json_cases[i].in);
        assert_held(&b, json_cases[i].out);
    }
    buf_free(&b);
}

static void test_json_stops_at_the_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    buf_add_json(&b, SLICE("\x01\x01"));
    assert_true(b.failed);
    assert_true(b.n <= 5);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_up_to_the_maximum),
        cmocka_unit_test(test_failure_sticks_until_cleared),
        cmocka_unit_test(test_format_fills_the_last_byte),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_empty_slices_add_nothing),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_json_stops_at_the_maximum),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
