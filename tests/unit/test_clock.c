#include "daemon/base/clock.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_mono_counts_milliseconds(void **state)
{
    static const struct timespec pause = {.tv_nsec = 20 * 1000000};
    int64_t before = clock_mono_ms();

    (void)state;
    nanosleep(&pause, NULL);
    int64_t passed = clock_mono_ms() - before;
    /* Rounding takes less than one; the upper bound only tells units apart. */
    assert_in_range(passed, 19, 15000);
}

static void test_wall_is_unix_time(void **state)
{
    int64_t before = time(NULL);
    int64_t now = clock_wall_ms();
    int64_t after = time(NULL);

    (void)state;
    /* time() may lag by a tick behind the clock. */
    assert_in_range(now, before * 1000, after * 1000 + 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mono_counts_milliseconds),
        cmocka_unit_test(test_wall_is_unix_time),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
