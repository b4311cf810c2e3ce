#include "storage/partials.c"

#include "storage_kit.h"

static struct store the_store;

static int setup(void **state)
{
    if (kit_setup(state) != 0)
        return -1;
    memset(&the_store, 0, sizeof the_store);
    partials_init(&the_store.partials);
    return files_open(&the_store.files, kit_path, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    partials_destroy(&the_store.partials);
    files_close(&the_store.files);
    return kit_teardown(state);
}

static const char *name_of(unsigned n)
{
    static char name[80];
    char hex[2 * STORE_KEY_BYTES + 1];
    struct store_key key = kit_key(n);

    hex_encode(key.bytes, sizeof key.bytes, hex);
    snprintf(name, sizeof name, "partial/%s", hex);
    return name;
}

/* A file of so many bytes that nobody writes, last changed `age_s` seconds ago. */
static void leave_file(unsigned n, size_t size, long age_s)
{
    struct kit_body body = kit_body_new(n, size);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age_s}};

    kit_write_file(name_of(n), body.bytes, body.n);
    assert_int_equal(utimensat(AT_FDCWD, kit_file(name_of(n)), times, 0), 0);
    kit_body_free(&body);
}

static void load(void)
{
    assert_int_equal(partials_load(&the_store, clock_wall_ms() - 1000 * 1000, NULL), ERR_OK);
}

static void test_load_counts_and_removes_litter(void **state)
{
    (void)state;
    leave_file(1, 100, 0);
    leave_file(2, 20, 500);
    leave_file(3, 3, 2000);
    load();
    assert_int_equal(the_store.partials.count, 2);
    assert_int_equal(the_store.partial_bytes, 120);
    assert_false(kit_exists(name_of(3)));
}

static void test_one_writer_for_each_key(void **state)
{
    (void)state;
    struct store_key key = kit_key(1), other = kit_key(2);
    uint64_t size;

    leave_file(1, 100, 0);
    load();
    assert_int_equal(partials_claim(&the_store, &key, &size), ERR_OK);
    assert_int_equal(size, 100);
    assert_int_equal(partials_claim(&the_store, &key, &size), ERR_LIMIT);
    assert_int_equal(partials_claim(&the_store, &other, &size), ERR_OK);
    assert_int_equal(size, 0);
    partials_release(&the_store, &key, 100, true);
    assert_int_equal(partials_claim(&the_store, &key, &size), ERR_OK);
    partials_release(&the_store, &key, 100, false);
    assert_false(kit_exists(name_of(1)));
    assert_int_equal(the_store.partial_bytes, 0);
    assert_int_equal(partials_claim(&the_store, &key, &size), ERR_OK);
    assert_int_equal(size, 0);
}

static void test_drop_oldest_takes_no_open_one(void **state)
{
    (void)state;
    struct store_key oldest = kit_key(3);
    uint64_t size;
    int64_t now_ms = clock_wall_ms();

    leave_file(1, 100, 100);
    leave_file(2, 20, 200);
    leave_file(3, 3, 300);
    load();
    assert_int_equal(partials_claim(&the_store, &oldest, &size), ERR_OK);
    assert_false(partials_drop_oldest(&the_store, now_ms - 250 * 1000, &size));
    assert_true(partials_drop_oldest(&the_store, now_ms - 150 * 1000, &size));
    assert_int_equal(size, 20);
    assert_false(kit_exists(name_of(2)));
    assert_false(partials_drop_oldest(&the_store, now_ms - 150 * 1000, &size));
    assert_true(partials_drop_oldest(&the_store, now_ms, &size));
    assert_int_equal(size, 100);
    assert_false(partials_drop_oldest(&the_store, INT64_MAX, &size));
    assert_true(kit_exists(name_of(3)));
    assert_int_equal(the_store.partial_bytes, 3);
}

static void test_the_table_is_bounded(void **state)
{
    (void)state;
    uint64_t size;
    struct store_key key;

    leave_file(PARTIALS_MAX, 10, 50);
    load();
    for (unsigned n = 0; n < PARTIALS_MAX; n++) {
        key = kit_key(n);
        assert_int_equal(partials_claim(&the_store, &key, &size), ERR_OK);
    }
    /* The idle file had to go for the last of them. */
    assert_false(kit_exists(name_of(PARTIALS_MAX)));
    assert_int_equal(the_store.partial_bytes, 0);
    key = kit_key(PARTIALS_MAX);
    assert_int_equal(partials_claim(&the_store, &key, &size), ERR_LIMIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_load_counts_and_removes_litter),
        TEST(test_one_writer_for_each_key),
        TEST(test_drop_oldest_takes_no_open_one),
        TEST(test_the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
