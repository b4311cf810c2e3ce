#include "base/bytes16.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool all_are_visible(bytes16 v)
{
    return bytes16_all(bytes16_visible(v));
}

static void test_how_many_are_true_before_the_first_that_is_not(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 16; n++)
        for (unsigned more = 0; more < 2; more++) {
            char text[] = "0123456789abcdef";
            text[n] = ' ';
            if (more)
                text[15] = ' ';
            assert_int_equal(bytes16_leading(bytes16_visible(bytes16_at(text))), n);
        }
}

static void test_each_of_any_number_is_looked_at(void **state)
{
    char text[100];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t n = 16; n <= sizeof text; n++) {
        assert_true(bytes16_each(text, n, all_are_visible));
        for (size_t at = 0; at < sizeof text; at++) {
            text[at] = ' ';
            assert_int_equal(bytes16_each(text, n, all_are_visible), at >= n);
            text[at] = 'x';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_many_are_true_before_the_first_that_is_not),
        cmocka_unit_test(test_each_of_any_number_is_looked_at),
    };
    return cmocka_run_group_tests_name("bytes16", tests, NULL, NULL);
}
