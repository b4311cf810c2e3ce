#include "daemon/base/counters.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 10000 };

static void test_rows_are_named_as_prometheus_wants(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        size_t n = strlen(row->name);
        bool total = n > 6 && strcmp(row->name + n - 6, "_total") == 0;
        assert_int_equal(strncmp(row->name, "yantian_", 8), 0);
        assert_string_equal(row->kind, total ? "counter" : "gauge");
        assert_true(strlen(row->help) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, counter_rows[j].name);
    }
}

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        counter_inc(COUNTER_REQUESTS);
        counter_add(COUNTER_BYTES_SENT, 3);
    }
    return NULL;
}

static void test_threads_add_up_even_after_their_end(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    counter_add(COUNTER_BYTES_SENT, 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    assert_true(counters_sum(COUNTER_REQUESTS) <= THREADS * ROUNDS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counters_sum(COUNTER_REQUESTS), THREADS * ROUNDS);
    assert_int_equal(counters_sum(COUNTER_BYTES_SENT), 3 * THREADS * ROUNDS + 1);
    assert_int_equal(counters_sum(COUNTER_HITS), 0);
}

static void *dec_open(void *arg)
{
    (void)arg;
    counter_dec(COUNTER_CONNECTIONS_OPEN);
    return NULL;
}

static void test_gauge_may_fall_on_another_thread(void **state)
{
    pthread_t thread;

    (void)state;
    counter_add(COUNTER_CONNECTIONS_OPEN, 2);
    assert_int_equal(pthread_create(&thread, NULL, dec_open, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(counters_sum(COUNTER_CONNECTIONS_OPEN), 1);
}

static void *own_set(void *arg)
{
    *(struct counters **)arg = counters_mine();
    return NULL;
}

static void test_each_thread_has_cache_lines_of_its_own(void **state)
{
    struct counters *other = NULL;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, own_set, &other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(counters_mine(), counters_mine());
    assert_ptr_not_equal(counters_mine(), other);
    assert_int_equal((uintptr_t)other % CACHE_LINE, 0);
    assert_int_equal(sizeof(struct counter_set) % CACHE_LINE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_named_as_prometheus_wants),
        cmocka_unit_test(test_threads_add_up_even_after_their_end),
        cmocka_unit_test(test_gauge_may_fall_on_another_thread),
        cmocka_unit_test(test_each_thread_has_cache_lines_of_its_own),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
