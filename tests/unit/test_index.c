#include "storage/index.c"

#include "storage_kit.h"

static struct index *open_here(size_t map_size)
{
    struct index *index;
    struct errinfo info = {.msg = ""};

    if (mkdir(kit_file("index"), 0700) != 0)
        assert_int_equal(errno, EEXIST);
    if (index_open(kit_file("index"), map_size, &index, &info) != ERR_OK)
        fail_msg("%s", info.msg);
    return index;
}

static struct slice body_key(const char *text)
{
    static char key[32];

    memset(key, 0, sizeof key);
    memcpy(key, text, strlen(text));
    return slice_of(key, sizeof key);
}

static void put_one(struct index *index, const char *key, struct slice value)
{
    struct index_txn txn;

    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_put(&txn, INDEX_ENTRY, body_key(key), value), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
}

static enum err read_one(struct index_reader *reader, const char *key, struct slice *value)
{
    return index_get(&reader->txn, INDEX_ENTRY, body_key(key), value);
}

static void test_put_get_delete(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    struct index_txn txn;
    struct index_reader reader;
    struct slice value;

    put_one(index, "a", SLICE("one"));
    put_one(index, "a", SLICE("two"));
    put_one(index, "b", SLICE(""));
    assert_int_equal(index_reader_init(index, &reader), ERR_OK);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    assert_int_equal(read_one(&reader, "a", &value), ERR_OK);
    assert_true(slice_eq(value, SLICE("two")));
    assert_int_equal(read_one(&reader, "b", &value), ERR_OK);
    assert_int_equal(value.n, 0);
    assert_int_equal(read_one(&reader, "c", &value), ERR_NOTFOUND);
    index_read_end(&reader);

    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_delete(&txn, INDEX_ENTRY, body_key("a")), ERR_OK);
    assert_int_equal(index_delete(&txn, INDEX_ENTRY, body_key("a")), ERR_NOTFOUND);
    index_abort(&txn);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    assert_int_equal(read_one(&reader, "a", &value), ERR_OK);
    index_read_end(&reader);
    index_reader_free(&reader);
    index_close(&index);
    assert_null(index);
}

static void test_a_reader_sees_one_moment(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    struct index_reader reader;
    struct slice value;

    assert_int_equal(index_reader_init(index, &reader), ERR_OK);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    put_one(index, "new", SLICE("x"));
    assert_int_equal(read_one(&reader, "new", &value), ERR_NOTFOUND);
    index_read_end(&reader);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    assert_int_equal(read_one(&reader, "new", &value), ERR_OK);
    index_read_end(&reader);
    index_reader_free(&reader);
    index_close(&index);
}

static void test_seek(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    struct index_txn txn;
    struct slice key;

    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_seek(&txn, INDEX_META, SLICE("g"), &key), ERR_NOTFOUND);
    assert_int_equal(index_seek(&txn, INDEX_META, SLICE(""), &key), ERR_OK);
    assert_true(slice_eq(key, SLICE("format")));
    assert_int_equal(index_put(&txn, INDEX_META, SLICE("abc"), SLICE("")), ERR_OK);
    assert_int_equal(index_seek(&txn, INDEX_META, SLICE("abd"), &key), ERR_OK);
    assert_true(slice_eq(key, SLICE("format")));
    assert_int_equal(index_seek(&txn, INDEX_META, SLICE("ab"), &key), ERR_OK);
    assert_true(slice_eq(key, SLICE("abc")));
    index_abort(&txn);
    index_close(&index);
}

static void test_full_map_is_full_and_lives_on(void **state)
{
    (void)state;
    static char big[100 * 1024];
    struct index *index = open_here(MAP_MIN);
    struct index_txn txn;
    enum err err = ERR_OK;
    char name[16];
    int n = 0;

    assert_false(index_is_tight(index, 16));
    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    for (; err == ERR_OK && n < 100; n++) {
        snprintf(name, sizeof name, "%d", n);
        err = index_put(&txn, INDEX_ENTRY, body_key(name), slice_of(big, sizeof big));
    }
    assert_int_equal(err, ERR_FULL);
    assert_in_range(n, 5, 12);
    index_abort(&txn);
    for (int i = 0; i < n - 3; i++) {
        snprintf(name, sizeof name, "%d", i);
        put_one(index, name, slice_of(big, sizeof big));
    }
    assert_true(index_is_tight(index, 2));
    assert_false(index_is_tight(index, 50));
    index_close(&index);
}

static void test_freed_pages_are_room(void **state)
{
    (void)state;
    static char big[600 * 1024];
    struct index *index = open_here(MAP_MIN);
    struct index_txn txn;

    put_one(index, "a", slice_of(big, sizeof big));
    assert_true(index_is_tight(index, 2));
    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_delete(&txn, INDEX_ENTRY, body_key("a")), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
    assert_false(index_is_tight(index, 2));
    index_close(&index);
}

static void test_another_format_is_refused(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    struct index_txn txn;
    struct errinfo info;

    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_put(&txn, INDEX_META, format_key, SLICE("\x7f")), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
    index_close(&index);
    assert_int_equal(index_open(kit_file("index"), KIT_MAP_SIZE, &index, &info), ERR_CORRUPT);
    assert_null(index);
    assert_int_equal(index_check(kit_file("index"), KIT_MAP_SIZE, 100), ERR_CORRUPT);
}

static void test_wrong_header_and_short_file(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    static char page[8192];
    struct errinfo info;

    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        put_one(index, name, slice_of(page, sizeof page));
    index_close(&index);
    assert_int_equal(index_check(kit_file("index"), KIT_MAP_SIZE, 100), ERR_OK);
    assert_int_equal(truncate(kit_file("index/data.mdb"), 40000), 0);
    assert_int_equal(index_open(kit_file("index"), KIT_MAP_SIZE, &index, &info), ERR_CORRUPT);
    assert_int_equal(index_check(kit_file("index"), KIT_MAP_SIZE, 100), ERR_CORRUPT);
    kit_write_file("index/data.mdb", page, sizeof page);
    assert_int_equal(index_open(kit_file("index"), KIT_MAP_SIZE, &index, &info), ERR_CORRUPT);
    assert_int_equal(index_check(kit_file("index"), KIT_MAP_SIZE, 100), ERR_CORRUPT);
}

static void test_check_of_an_index_that_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(mkdir(kit_file("index"), 0700), 0);
    assert_int_equal(index_check(kit_file("index"), KIT_MAP_SIZE, 100), ERR_OK);
}

static void test_no_folder_is_an_error_but_no_damage(void **state)
{
    (void)state;
    struct index *index;
    struct errinfo info;

    assert_int_equal(index_open(kit_file("index"), KIT_MAP_SIZE, &index, &info), ERR_IO);
    assert_non_null(strstr(info.msg, "No such file"));
}

static void test_suspend_and_resume_under_a_reader(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);
    struct index_reader reader, later;
    struct index_txn txn;
    struct slice value;

    put_one(index, "a", SLICE("one"));
    assert_int_equal(index_reader_init(index, &reader), ERR_OK);
    assert_false(index_needs_mending(index));
    index_suspend(index);
    index_suspend(index);
    assert_int_equal(index_read_begin(&reader), ERR_AGAIN);
    assert_int_equal(index_reader_init(index, &later), ERR_OK);
    assert_int_equal(index_write_begin(index, &txn), ERR_IO);
    assert_true(index_needs_mending(index));
    assert_false(index_is_tight(index, 2));
    assert_int_equal(index_resume(index, NULL), ERR_OK);
    assert_false(index_needs_mending(index));
    struct index_reader *readers[] = {&reader, &later};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(index_read_begin(readers[i]), ERR_OK);
        assert_int_equal(read_one(readers[i], "a", &value), ERR_OK);
        index_read_end(readers[i]);
        index_reader_free(readers[i]);
    }
    put_one(index, "a", SLICE("two"));
    index_close(&index);
}

static void test_mark_damaged(void **state)
{
    (void)state;
    struct index *index = open_here(KIT_MAP_SIZE);

    assert_false(kit_exists("index.damaged"));
    index_mark_damaged(index);
    assert_true(kit_exists("index.damaged"));
    assert_true(index_needs_mending(index));
    index_close(&index);
}

static void test_less_address_space_than_asked_for(void **state)
{
    (void)state;
    /* More than there is: half as much is tried, and half of that, until it can be had. */
    struct index *index = open_here((size_t)1 << 60);

    put_one(index, "a", SLICE("one"));
    index_close(&index);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_put_get_delete),
        TEST(test_a_reader_sees_one_moment),
        TEST(test_seek),
        TEST(test_full_map_is_full_and_lives_on),
        TEST(test_freed_pages_are_room),
        TEST(test_another_format_is_refused),
        TEST(test_wrong_header_and_short_file),
        TEST(test_check_of_an_index_that_is_not_there),
        TEST(test_no_folder_is_an_error_but_no_damage),
        TEST(test_suspend_and_resume_under_a_reader),
        TEST(test_mark_damaged),
        TEST(test_less_address_space_than_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
