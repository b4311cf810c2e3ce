#include "daemon/upstream/health.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { T0 = 5000, PROBE_MS = 20000 };

static int setup(void **state)
{
    static struct health h;
    health_init(&h);
    *state = &h;
    return 0;
}

static int teardown(void **state)
{
    health_close(*state);
    return 0;
}

/* Three failures at T0. */
static void go_down(struct health *h)
{
    for (int i = 0; i < HEALTH_FAILURES_MAX - 1; i++)
        assert_int_equal(health_failure(h, T0, false), HEALTH_SAME);
    assert_int_equal(health_failure(h, T0, false), HEALTH_WENT_DOWN);
}

static void test_opens_after_failures_in_a_row(void **state)
{
    struct health *h = *state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(health_failure(h, T0, false), HEALTH_SAME);
        assert_int_equal(health_failure(h, T0, false), HEALTH_SAME);
        assert_int_equal(health_success(h, false), HEALTH_SAME);
        assert_int_equal(health_try(h, T0, PROBE_MS), HEALTH_GO);
    }
    go_down(h);
    assert_int_equal(health_try(h, T0, PROBE_MS), HEALTH_DOWN);
    assert_int_equal(health_try(h, T0 + 999, PROBE_MS), HEALTH_DOWN);
    assert_int_equal(health_wait(h, T0), 1000);
    assert_int_equal(health_wait(h, T0 + 1000), 0);
}

static void test_one_probe_at_a_time(void **state)
{
    struct health *h = *state;
    go_down(h);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_PROBE);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_DOWN);
    assert_int_equal(health_wait(h, T0 + 1000), PROBE_MS);
    /* One that is never reported on does not lock the upstream out. */
    assert_int_equal(health_try(h, T0 + 1000 + PROBE_MS, PROBE_MS), HEALTH_PROBE);
    health_unknown(h, true);
    assert_int_equal(health_try(h, T0 + 1001 + PROBE_MS, PROBE_MS), HEALTH_PROBE);
}

static void test_probe_brings_it_back(void **state)
{
    struct health *h = *state;
    go_down(h);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_PROBE);
    assert_int_equal(health_success(h, true), HEALTH_CAME_BACK);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_GO);
    /* It takes a whole row of failures again, and the first time is short again. */
    go_down(h);
    assert_int_equal(health_wait(h, T0), HEALTH_OPEN_FIRST_MS);
}

static void test_time_doubles_to_the_longest(void **state)
{
    struct health *h = *state;
    int64_t now = T0;
    go_down(h);
    for (int64_t ms = 1000; ms < 100000; ms *= 2) {
        int64_t want = ms > HEALTH_OPEN_LONGEST_MS ? HEALTH_OPEN_LONGEST_MS : ms;
        assert_int_equal(health_wait(h, now), want);
        now += want;
        assert_int_equal(health_try(h, now, PROBE_MS), HEALTH_PROBE);
        assert_int_equal(health_failure(h, now, true), HEALTH_SAME);
    }
    assert_int_equal(health_wait(h, now), HEALTH_OPEN_LONGEST_MS);
}

static void test_late_reports_change_nothing_while_open(void **state)
{
    struct health *h = *state;
    go_down(h);
    assert_int_equal(health_failure(h, T0 + 500, false), HEALTH_SAME);
    assert_int_equal(health_limited(h, T0 + 500, false, 60000), HEALTH_SAME);
    assert_int_equal(health_success(h, false), HEALTH_SAME);
    assert_int_equal(health_wait(h, T0 + 500), 500);
}

static void test_limited_obeys_retry_after(void **state)
{
    struct health *h = *state;
    assert_int_equal(health_limited(h, T0, false, 7000), HEALTH_WENT_DOWN);
    assert_int_equal(health_wait(h, T0), 7000);
    assert_int_equal(health_try(h, T0 + 7000, PROBE_MS), HEALTH_PROBE);
    assert_int_equal(health_limited(h, T0 + 7000, true, 86400 * 1000), HEALTH_SAME);
    assert_int_equal(health_wait(h, T0 + 7000), HEALTH_RETRY_AFTER_MAX_MS);
}

static void test_limited_without_a_time_doubles(void **state)
{
    struct health *h = *state;
    assert_int_equal(health_limited(h, T0, false, -1), HEALTH_WENT_DOWN);
    assert_int_equal(health_wait(h, T0), 1000);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_PROBE);
    assert_int_equal(health_limited(h, T0 + 1000, true, -1), HEALTH_SAME);
    assert_int_equal(health_wait(h, T0 + 1000), 2000);
}

static void test_unknown_of_others_keeps_the_probe(void **state)
{
    struct health *h = *state;
    go_down(h);
    assert_int_equal(health_try(h, T0 + 1000, PROBE_MS), HEALTH_PROBE);
    health_unknown(h, false);
    assert_int_equal(health_try(h, T0 + 1001, PROBE_MS), HEALTH_DOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_opens_after_failures_in_a_row),
        TEST(test_one_probe_at_a_time),
        TEST(test_probe_brings_it_back),
        TEST(test_time_doubles_to_the_longest),
        TEST(test_late_reports_change_nothing_while_open),
        TEST(test_limited_obeys_retry_after),
        TEST(test_limited_without_a_time_doubles),
        TEST(test_unknown_of_others_keeps_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
