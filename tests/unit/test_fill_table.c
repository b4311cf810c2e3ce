#include "daemon/cache/fill_table.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 2000 };

static struct fill_table *table;
static struct fill fills[THREADS];

static int set_up(void **state)
{
    (void)state;
    table = fill_table_new();
    memset(fills, 0, sizeof fills);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fill_table_free(&table);
    return table ? -1 : 0;
}

/* In one bucket, told apart by the last byte. */
static struct table_node node(struct fill *f, unsigned char last)
{
    struct table_node n = {.fill = f};
    n.key.bytes[STORE_KEY_BYTES - 1] = last;
    return n;
}

static void test_the_first_wins_and_the_second_gets_it(void **state)
{
    (void)state;
    struct table_node a = node(&fills[0], 1), b = node(&fills[1], 1);
    assert_null(fill_table_get(table, &a.key));
    assert_null(fill_table_add(table, &a));
    assert_int_equal(atomic_load(&fills[0].refs), 0);
    assert_ptr_equal(fill_table_add(table, &b), &fills[0]);
    assert_ptr_equal(fill_table_get(table, &b.key), &fills[0]);
    assert_int_equal(atomic_load(&fills[0].refs), 2); /* one for each who got it */
    assert_true(a.linked);
    assert_false(b.linked);
}

static void test_one_that_was_not_added_is_not_removed(void **state)
{
    (void)state;
    struct table_node a = node(&fills[0], 1), b = node(&fills[1], 1);
    assert_null(fill_table_add(table, &a));
    assert_non_null(fill_table_add(table, &b));
    fill_table_remove(table, &b);
    assert_ptr_equal(fill_table_get(table, &a.key), &fills[0]);
    fill_table_remove(table, &a);
    fill_table_remove(table, &a);
    assert_null(fill_table_get(table, &a.key));
}

static void test_keys_of_one_bucket_are_told_apart(void **state)
{
    (void)state;
    struct table_node nodes[3];
    for (unsigned char i = 0; i < 3; i++) {
        nodes[i] = node(&fills[i], i);
        assert_null(fill_table_add(table, &nodes[i]));
    }
    fill_table_remove(table, &nodes[1]);
    assert_ptr_equal(fill_table_get(table, &nodes[0].key), &fills[0]);
    assert_null(fill_table_get(table, &nodes[1].key));
    assert_ptr_equal(fill_table_get(table, &nodes[2].key), &fills[2]);
    assert_null(fill_table_add(table, &nodes[1]));
    assert_ptr_equal(fill_table_get(table, &nodes[1].key), &fills[1]);
}

static atomic_uint inside;
static atomic_bool two_at_once;

/* Who is in the table is alone, as a fill is. */
static void *fight(void *arg)
{
    struct fill *f = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct table_node n = node(f, 9);
        if (fill_table_add(table, &n))
            continue;
        if (atomic_fetch_add(&inside, 1) != 0)
            atomic_store(&two_at_once, true);
        atomic_fetch_sub(&inside, 1);
        fill_table_remove(table, &n);
    }
    return NULL;
}

static void test_one_flight_at_a_time_over_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, fight, &fills[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&two_at_once));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_wins_and_the_second_gets_it),
        TEST(test_one_that_was_not_added_is_not_removed),
        TEST(test_keys_of_one_bucket_are_told_apart),
        TEST(test_one_flight_at_a_time_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
