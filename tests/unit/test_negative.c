#include "daemon/cache/negative.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct negatives *negatives;

static int set_up(void **state)
{
    (void)state;
    negatives = negatives_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    negatives_free(&negatives);
    return negatives ? -1 : 0;
}

/* Two keys with the same `slot` take the same place. */
static struct store_key key(uint32_t slot, unsigned char last)
{
    struct store_key k = {.bytes = {0}};
    memcpy(k.bytes, &slot, sizeof slot);
    k.bytes[STORE_KEY_BYTES - 1] = last;
    return k;
}

static void test_a_404_holds_for_its_time(void **state)
{
    (void)state;
    struct store_key k = key(7, 1);
    assert_int_equal(negatives_left(negatives, &k, 0), 0);
    negatives_add(negatives, &k, 1000);
    assert_int_equal(negatives_left(negatives, &k, 1), 999);
    assert_int_equal(negatives_left(negatives, &k, 999), 1);
    assert_int_equal(negatives_left(negatives, &k, 1000), 0);
    assert_int_equal(negatives_left(negatives, &k, 5000), 0);
}

/* A place is shared by many keys: another one's 404 must not be taken for ours. */
static void test_a_key_in_the_same_place_is_not_mistaken(void **state)
{
    (void)state;
    struct store_key ours = key(7, 1), other = key(7 + NEGATIVE_SLOTS, 1), third = key(7, 2);
    negatives_add(negatives, &ours, 1000);
    assert_int_equal(negatives_left(negatives, &other, 0), 0);
    assert_int_equal(negatives_left(negatives, &third, 0), 0);
    negatives_remove(negatives, &third);
    assert_int_equal(negatives_left(negatives, &ours, 0), 1000);
    negatives_add(negatives, &third, 2000);
    assert_int_equal(negatives_left(negatives, &ours, 0), 0);
    assert_int_equal(negatives_left(negatives, &third, 0), 2000);
}

static void test_what_came_into_being_is_forgotten(void **state)
{
    (void)state;
    struct store_key k = key(0, 0); /* as the empty places look */
    assert_int_equal(negatives_left(negatives, &k, 0), 0);
    negatives_add(negatives, &k, 1000);
    negatives_remove(negatives, &k);
    assert_int_equal(negatives_left(negatives, &k, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_404_holds_for_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_in_the_same_place_is_not_mistaken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_came_into_being_is_forgotten, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
