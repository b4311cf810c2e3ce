#include "daemon/cache/engine.c"

#include "engine_kit.h"

enum { SMALL = 5000, LARGE = 300000 };

/* --- keys --- */

static struct store_key key_of(const char *route, const char *resource, const char *variant)
{
    struct store_key key;
    cache_key(slice_str(route), slice_str(resource), slice_str(variant), &key);
    return key;
}

static bool same(struct store_key a, struct store_key b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* Two routes with equal repository names must never mix, however the parts are cut. */
static void test_a_key_depends_on_every_part_and_on_where_each_ends(void **state)
{
    (void)state;
    static const char *const parts[][3] = {
        {"a", "b", "c"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "bc", ""}, {"abc", "", ""},
        {"", "abc", ""}, {"", "", "abc"}, {"a", "", "bc"}, {"b", "a", "c"}, {"", "", ""},
    };
    enum { N = sizeof parts / sizeof parts[0] };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            assert_int_equal(same(key_of(parts[i][0], parts[i][1], parts[i][2]),
                                  key_of(parts[j][0], parts[j][1], parts[j][2])),
                             i == j);
}

/* A key on disk is for years: this one was made with sha256sum. */
static void test_a_key_is_the_sha256_of_the_parts_each_ended_by_nul(void **state)
{
    (void)state;
    char hex[2 * STORE_KEY_BYTES + 1];
    struct store_key key = key_of("dockerhub", "library/busybox/manifests/latest", "");
    hex_encode(key.bytes, sizeof key.bytes, hex);
    assert_string_equal(hex, "56e89595b15d86d285e0f5d5f75571fa9ff39d59a029130905212804684dd8df");
}

static void test_parts_of_any_length_make_a_key(void **state)
{
    (void)state;
    char text[2000];
    struct store_key last = key_of("r", "", "v");
    for (size_t n = 600; n < sizeof text; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        struct store_key key = key_of("r", text, "v");
        assert_false(same(key, last));
        last = key;
    }
    memset(text, 'x', 1500);
    text[1500] = '\0';
    struct store_key a = key_of(text, text, text);
    text[1499] = 'y';
    assert_false(same(a, key_of(text, text, text)));
}

/* --- stopping --- */

/* kit_end stops once more. */
static void check_stop_is_quick(void)
{
    int64_t began = clock_mono_ms();
    site_stop_workers(&the_site);
    assert_true(clock_mono_ms() - began < kit_options.response_timeout_ms);
    site_forget_stop(&the_site);
}

static void test_an_idle_worker_stops_at_once(void **state)
{
    (void)state;
    begin(SMALL);
    check_stop_is_quick();
}

/* SIGTERM while an upstream keeps its answer to itself. */
static void test_a_stop_does_not_wait_for_an_upstream(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.holds_head = &head_gate});
    origin_heads(&the_origin, (struct act){.holds_head = &head_gate});
    guest_leave(enter(0, wants_blob));
    guest_leave(enter(1, wants_tag));
    guest_leave(enter_for_head(1, wants_list));
    check_stop_is_quick();
    atomic_store(&head_gate, true);
}

static void test_a_stop_in_mid_body_does_not_wait_for_the_rest(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.until = 100000, .ending = STALLS});
    struct guest *g = enter(0, wants_blob);
    await(seen(g, n) == 100000);
    guest_leave(g);
    check_stop_is_quick();
    struct store_key key;
    cache_key(the_site.route.name, g->plan.resource, g->plan.variant, &key);
    assert_true(partial_left(the_site.store, &key));
}

/* Between two tries after a break. */
static void test_a_stop_does_not_wait_for_the_next_try(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.until = 100000, .ending = CUTS}, {.until = 100000, .ending = CUTS});
    struct guest *g = enter(0, wants_blob);
    await(origin_got(&the_origin) >= 2);
    guest_leave(g);
    kit_sleep(30);
    check_stop_is_quick();
}

/* What has come whole is not thrown away. */
static void test_a_stop_lets_a_commit_finish(void **state)
{
    (void)state;
    begin(LARGE);
    struct guest *g = enter(0, wants_blob);
    check_body_of(g, &the_origin); /* verified; the commit is under way */
    guest_leave(g);
    check_stop_is_quick();
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_depends_on_every_part_and_on_where_each_ends),
        cmocka_unit_test(test_a_key_is_the_sha256_of_the_parts_each_ended_by_nul),
        cmocka_unit_test(test_parts_of_any_length_make_a_key),
        TEST(test_an_idle_worker_stops_at_once),
        TEST(test_a_stop_does_not_wait_for_an_upstream),
        TEST(test_a_stop_in_mid_body_does_not_wait_for_the_rest),
        TEST(test_a_stop_does_not_wait_for_the_next_try),
        TEST(test_a_stop_lets_a_commit_finish),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
