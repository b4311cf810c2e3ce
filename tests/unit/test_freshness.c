#include "daemon/cache/freshness.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOW = 1000000000, TTL = 5000, AT_ONCE = 1000, STALE = 60000 };

static const struct cache_route route = {
    .ttl_ms = TTL, .stale_while_refreshing_ms = AT_ONCE, .stale_for_ms = STALE};

static enum freshness aged(const struct cache_route *r, int64_t age_ms, int64_t *ttl_ms)
{
    struct store_entry e = {.validated_ms = NOW - age_ms};
    return freshness_of(&e, r, NOW, ttl_ms);
}

static void check(int64_t age_ms, enum freshness want, int64_t want_ttl_ms)
{
    int64_t ttl_ms = 0;
    assert_int_equal(aged(&route, age_ms, &ttl_ms), want);
    assert_int_equal(ttl_ms, want_ttl_ms);
}

static void test_the_ages_of_an_entry(void **state)
{
    (void)state;
    check(0, FRESH, TTL);
    check(TTL - 1, FRESH, 1);
    check(TTL, STALE_SERVABLE, 0);
    check(TTL + AT_ONCE - 1, STALE_SERVABLE, -AT_ONCE + 1);
    check(TTL + AT_ONCE, STALE_WAITING, -AT_ONCE);
    check(TTL + STALE, STALE_WAITING, -STALE);
    check(TTL + STALE + 1, STALE_TOO_OLD, -STALE - 1);
}

static void test_what_never_changes_is_fresh_at_any_age(void **state)
{
    (void)state;
    struct store_entry e = {.validated_ms = 0, .immutable = true};
    int64_t ttl_ms = 0;
    assert_int_equal(freshness_of(&e, &route, INT64_MAX, &ttl_ms), FRESH);
    assert_int_equal(ttl_ms, INT64_MAX);
}

/* Else a tag fetched while the clock was a year ahead would stay as it is for a year. */
static void test_an_entry_from_the_future_is_checked(void **state)
{
    (void)state;
    int64_t ttl_ms = 1;
    assert_int_not_equal(aged(&route, -1, &ttl_ms), FRESH);
    assert_int_equal(ttl_ms, 0);
    assert_int_not_equal(aged(&route, -365 * INT64_C(86400000), &ttl_ms), FRESH);
}

/* ttl 0 and nothing served stale: every request asks the upstream, the very next one too. */
static void test_zero_durations_mean_never(void **state)
{
    (void)state;
    const struct cache_route strict = {
        .ttl_ms = 0, .stale_while_refreshing_ms = 0, .stale_for_ms = STALE};
    int64_t ttl_ms = 1;
    assert_int_equal(aged(&strict, 0, &ttl_ms), STALE_WAITING);
    assert_int_equal(aged(&strict, 1, &ttl_ms), STALE_WAITING);
}

/* By the upstream's word, and never stale without a wait: nobody has agreed to that. */
static void test_an_entry_with_a_lifetime_of_its_own(void **state)
{
    (void)state;
    struct store_entry e = {
        .validated_ms = NOW - TTL, .has_lifetime = true, .lifetime_ms = 2 * TTL};
    int64_t ttl_ms = 0;
    assert_int_equal(freshness_of(&e, &route, NOW, &ttl_ms), FRESH);
    assert_int_equal(ttl_ms, TTL);
    assert_int_equal(freshness_of(&e, &route, NOW + TTL, &ttl_ms), STALE_WAITING);
    assert_int_equal(freshness_of(&e, &route, NOW + TTL + STALE + 1, &ttl_ms), STALE_TOO_OLD);
    e.lifetime_ms = 0;
    e.validated_ms = NOW;
    assert_int_equal(freshness_of(&e, &route, NOW, &ttl_ms), STALE_WAITING);
    e.lifetime_ms = TTL;
    e.validated_ms = NOW + 1; /* from the future */
    assert_int_equal(freshness_of(&e, &route, NOW, &ttl_ms), STALE_WAITING);
}

static void test_what_must_be_validated_is_never_served_stale(void **state)
{
    (void)state;
    struct store_entry e = {
        .validated_ms = NOW, .has_lifetime = true, .lifetime_ms = TTL, .must_revalidate = true};
    int64_t ttl_ms = 0;
    assert_int_equal(freshness_of(&e, &route, NOW, &ttl_ms), FRESH);
    assert_int_equal(freshness_of(&e, &route, NOW + TTL, &ttl_ms), STALE_TOO_OLD);
}

static void test_seconds_as_they_are_shown(void **state)
{
    (void)state;
    assert_int_equal(ttl_seconds(1), 0);
    assert_int_equal(ttl_seconds(1999), 1);
    assert_int_equal(ttl_seconds(0), -1); /* stale: never 0 or more */
    assert_int_equal(ttl_seconds(-1), -1);
    assert_int_equal(ttl_seconds(-1000), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_ages_of_an_entry),
        cmocka_unit_test(test_what_never_changes_is_fresh_at_any_age),
        cmocka_unit_test(test_an_entry_from_the_future_is_checked),
        cmocka_unit_test(test_zero_durations_mean_never),
        cmocka_unit_test(test_an_entry_with_a_lifetime_of_its_own),
        cmocka_unit_test(test_what_must_be_validated_is_never_served_stale),
        cmocka_unit_test(test_seconds_as_they_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
