#include "daemon/base/slice.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_slice(struct slice s, const char *expected)
{
    assert_int_equal(s.n, strlen(expected));
    assert_memory_equal(s.p, expected, s.n);
}

static void test_equality(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("ab"), slice_of("abc", 2)));
    assert_false(slice_eq(SLICE("ab"), SLICE("aB")));
    assert_false(slice_eq(SLICE("ab"), SLICE("abc")));
    assert_true(slice_eq(slice_str(NULL), SLICE("")));
    assert_true(slice_ieq(SLICE("Host"), SLICE("hOST")));
    assert_false(slice_ieq(SLICE("Host"), SLICE("Most")));
    assert_false(slice_ieq(SLICE("Host"), SLICE("Hos")));
}

static void test_starts_and_ends(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("/v2/x"), SLICE("/v2/")));
    assert_true(slice_starts(SLICE("/v2/"), SLICE("")));
    assert_false(slice_starts(SLICE("/v2"), SLICE("/v2/")));
    assert_true(slice_ends(SLICE("a.whl"), SLICE(".whl")));
    assert_true(slice_ends(slice_str(NULL), SLICE("")));
    assert_false(slice_ends(SLICE("whl"), SLICE(".whl")));
}

static void test_parts(void **state)
{
    struct slice s = SLICE("abcdef");

    (void)state;
    assert_slice(slice_from(s, 0), "abcdef");
    assert_slice(slice_from(s, 4), "ef");
    assert_slice(slice_from(s, 6), "");
    assert_slice(slice_from(s, 100), "");
    assert_ptr_equal(slice_from(s, 100).p, s.p + 6);
    assert_slice(slice_to(s, 2), "ab");
    assert_slice(slice_to(s, 100), "abcdef");
    assert_int_equal(slice_from(slice_str(NULL), 3).n, 0);
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("a:b:c"), ':'), 1);
    assert_int_equal(slice_rfind(SLICE("a:b:c"), ':'), 3);
    assert_int_equal(slice_find(SLICE("abc"), ':'), 3);
    assert_int_equal(slice_rfind(SLICE("abc"), ':'), 3);
    assert_int_equal(slice_find(slice_str(NULL), ':'), 0);
    assert_int_equal(slice_rfind(slice_str(NULL), ':'), 0);
}

static void test_trim(void **state)
{
    (void)state;
    assert_slice(slice_trim(SLICE(" \t a b\t ")), "a b");
    assert_slice(slice_trim(SLICE(" \t ")), "");
    assert_slice(slice_trim(SLICE("\na\r")), "\na\r");
}

static void test_u64(void **state)
{
    static const char *const bad[] = {"",
                                      "+1",
                                      "-1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "1/",
                                      "1:"};
    uint64_t v = 7;

    (void)state;
    assert_true(slice_u64(SLICE("0"), &v));
    assert_int_equal(v, 0);
    assert_true(slice_u64(SLICE("007"), &v));
    assert_int_equal(v, 7);
    assert_true(slice_u64(SLICE("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    v = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_u64(slice_str(bad[i]), &v));
    assert_int_equal(v, 7);
}

static void test_decimal(void **state)
{
    char room[DECIMAL_MAX];

    (void)state;
    assert_slice(slice_decimal(0, room), "0");
    assert_slice(slice_decimal(9, room), "9");
    assert_slice(slice_decimal(10, room), "10");
    assert_slice(slice_decimal(UINT64_MAX, room), "18446744073709551615");
    for (uint64_t power = 10; power <= UINT64_MAX / 10; power *= 10)
        for (uint64_t value = power - 1; value <= power + 11; value++) {
            char expected[DECIMAL_MAX + 1];
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
            assert_slice(slice_decimal(value, room), expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality), cmocka_unit_test(test_starts_and_ends),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_find),
        cmocka_unit_test(test_trim),     cmocka_unit_test(test_u64),
        cmocka_unit_test(test_decimal),
    };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
