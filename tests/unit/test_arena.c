#include "daemon/base/arena.c"

#include <setjmp.h>

#include <cmocka.h>

static void assert_aligned(const void *p)
{
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
}

static void test_allocations_are_aligned_and_apart(void **state)
{
    _Alignas(16) char first[256];
    struct arena a;
    char *blocks[60];

    (void)state;
    arena_init(&a, first + 3, sizeof first - 3, 1 << 20);
    for (size_t i = 0; i < 60; i++) {
        blocks[i] = arena_alloc(&a, i * 7);
        assert_aligned(blocks[i]);
        memset(blocks[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 60; i++)
        for (size_t j = 0; j < i * 7; j++)
            assert_int_equal(blocks[i][j], i);
    assert_true(blocks[1] > first && blocks[1] < first + sizeof first);
    arena_reset(&a);
}

static void test_first_block_is_used_to_its_end_and_kept(void **state)
{
    _Alignas(16) char first[24];
    struct arena a;

    (void)state;
    arena_init(&a, first, sizeof first, 0);
    for (int round = 0; round < 2; round++) {
        assert_ptr_equal(arena_alloc(&a, 16), first);
        assert_ptr_equal(arena_alloc(&a, 8), first + 16);
        assert_null(arena_alloc(&a, 1));
        assert_null(arena_alloc(&a, 0));
        arena_reset(&a);
    }
}

static void test_cap_bounds_what_is_grown(void **state)
{
    struct arena a;
    size_t total = 0;

    (void)state;
    arena_init(&a, NULL, 0, 100 * 1024);
    while (arena_alloc(&a, 1024))
        total += 1024;
    assert_int_equal(total, 100 * 1024);
    assert_true(a.used <= a.cap);
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 100 * 1024));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
}

static void test_huge_sizes_fail(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 0, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 15));
    assert_null(arena_zalloc(&a, SIZE_MAX / 2 + 1));
    assert_null(arena_copy(&a, slice_of("", SIZE_MAX)).p);
    assert_null(arena_strdup(&a, slice_of("", SIZE_MAX)));
    assert_non_null(arena_alloc(&a, 1));
    arena_reset(&a);
}

static void test_big_block_leaves_the_roomier_tail(void **state)
{
    struct arena a;
    char *small;

    (void)state;
    arena_init(&a, NULL, 0, 1 << 20);
    small = arena_alloc(&a, 16);
    assert_aligned(arena_alloc(&a, 100000));
    assert_ptr_equal(arena_alloc(&a, 16), small + 16);
    arena_reset(&a);
}

static void test_zalloc_clears(void **state)
{
    char first[64];
    struct arena a;
    static const char zero[32];

    (void)state;
    memset(first, 'x', sizeof first);
    arena_init(&a, first, sizeof first, 0);
    assert_memory_equal(arena_zalloc(&a, sizeof zero), zero, sizeof zero);
}

static void test_copies(void **state)
{
    char first[256];
    struct arena a;

    (void)state;
    arena_init(&a, first, sizeof first, 0);
    struct slice copy = arena_copy(&a, SLICE("abc"));
    assert_true(slice_eq(copy, SLICE("abc")));
    struct slice empty = arena_copy(&a, slice_str(NULL));
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    assert_string_equal(arena_strdup(&a, slice_of("abcdef", 3)), "abc");
    assert_string_equal(arena_strdup(&a, slice_str(NULL)), "");
    assert_null(arena_copy(&a, slice_of(first, sizeof first)).p);
    assert_null(arena_strdup(&a, slice_of(first, sizeof first)));
}

static void test_printf(void **state)
{
    char first[64];
    struct arena a;

    (void)state;
    arena_init(&a, first, sizeof first, 0);
    struct slice s = arena_printf(&a, "%s-%d", "x", 12);
    assert_true(slice_eq(s, SLICE("x-12")));
    assert_int_equal(s.p[s.n], '\0');
    assert_null(arena_printf(&a, "%100d", 1).p);
    assert_non_null(arena_printf(&a, "%s", "").p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_aligned_and_apart),
        cmocka_unit_test(test_first_block_is_used_to_its_end_and_kept),
        cmocka_unit_test(test_cap_bounds_what_is_grown),
        cmocka_unit_test(test_huge_sizes_fail),
        cmocka_unit_test(test_big_block_leaves_the_roomier_tail),
        cmocka_unit_test(test_zalloc_clears),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_printf),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
