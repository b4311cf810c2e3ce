#include "storage/recent.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct recent recent;
static const int64_t now_ms = INT64_C(1795390000000);

static struct blob_id id_of(unsigned char slot, unsigned char tag)
{
    struct blob_id id;
    memset(&id, 0, sizeof id);
    id.bytes[1] = slot;
    id.bytes[4] = tag;
    return id;
}

static int empty(void **state)
{
    (void)state;
    memset(&recent, 0, sizeof recent);
    return 0;
}

static void test_a_use_is_known_to_the_millisecond(void **state)
{
    (void)state;
    struct blob_id a = id_of(1, 1), b = id_of(2, 1);
    recent_note(&recent, &a, now_ms);
    recent_note(&recent, &b, now_ms + 5);
    assert_int_equal(recent_use_ms(&recent, &a), now_ms);
    assert_int_equal(recent_use_ms(&recent, &b), now_ms + 5);
    recent_note(&recent, &a, now_ms + GRAIN_MS);
    assert_int_equal(recent_use_ms(&recent, &a), now_ms + GRAIN_MS);
}

static void test_what_was_never_used_is_unknown(void **state)
{
    (void)state;
    struct blob_id none = id_of(0, 0), other = id_of(3, 1);
    assert_int_equal(recent_use_ms(&recent, &none), 0);
    recent_note(&recent, &other, now_ms);
    struct blob_id neighbour = id_of(3, 2);
    assert_int_equal(recent_use_ms(&recent, &neighbour), 0);
}

static void test_uses_close_together_are_one(void **state)
{
    (void)state;
    struct blob_id a = id_of(1, 1);
    recent_note(&recent, &a, now_ms);
    recent_note(&recent, &a, now_ms + GRAIN_MS - 1);
    assert_int_equal(recent_use_ms(&recent, &a), now_ms);
}

static void test_a_clock_that_is_set_back_is_followed(void **state)
{
    (void)state;
    struct blob_id a = id_of(1, 1);
    recent_note(&recent, &a, now_ms);
    recent_note(&recent, &a, now_ms - 3600000);
    assert_int_equal(recent_use_ms(&recent, &a), now_ms - 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_use_is_known_to_the_millisecond, empty),
        cmocka_unit_test_setup(test_what_was_never_used_is_unknown, empty),
        cmocka_unit_test_setup(test_uses_close_together_are_one, empty),
        cmocka_unit_test_setup(test_a_clock_that_is_set_back_is_followed, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
