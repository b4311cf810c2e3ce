#include "storage/store.c"

#include "storage_kit.h"

static void test_open_close_open(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body one = kit_body_new(1, 100), two = kit_body_new(2, 30000);
    struct errinfo info;

    assert_int_equal(kit_put(store, 1, &one, true), ERR_OK);
    assert_int_equal(kit_fill(store, 2, &two, &info), ERR_OK);
    assert_int_equal(kit_put(store, 2, &two, false), ERR_OK);
    struct store_stats before = kit_stats(store), after;
    assert_int_equal(before.entries, 2);
    assert_int_equal(before.blobs, 2);
    /* The bodies, and what the two entries take. */
    assert_in_range(before.bytes, 30100 + 2 * STORE_KEY_BYTES, 30100 + 1000);
    assert_int_equal(before.max_bytes, 1 << 30);
    store_close(&store);
    assert_null(store);
    store_close(&store);
    store = kit_open();
    after = kit_stats(store);
    assert_int_equal(after.entries, before.entries);
    assert_int_equal(after.blobs, before.blobs);
    assert_int_equal(after.bytes, before.bytes);
    assert_true(kit_holds(store, 1, &one) && kit_holds(store, 2, &two));
    store_close(&store);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void spoil_totals(void)
{
    struct index *index;
    struct index_txn txn;

    assert_int_equal(index_open(kit_file("/index"), KIT_MAP_SIZE, &index, NULL), ERR_OK);
    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_put(&txn, INDEX_META, SLICE("totals"), SLICE("no totals")), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
    index_close(&index);
}

/* Once an index that LMDB found whole, but whose totals were of another shape, forbade the start.
 */
static void test_unreadable_totals_begin_a_new_index(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 30000);
    struct errinfo info;
    uint64_t size = 0;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    store_close(&store);
    spoil_totals();
    store = kit_open();
    kit_wait_scan(store);
    assert_int_equal(kit_stats(store).entries, 0);
    struct store_reader *reader = kit_reader(store);
    assert_true(store_has_blob(reader, &body.digest, &size));
    assert_int_equal(size, 30000);
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static int open_second(void)
{
    struct store_options options = {kit_path, 1 << 30, KIT_MAP_SIZE};
    struct store *second;
    enum err err = store_open(&options, &second, NULL);

    return second ? 100 : (int)err;
}

static void test_another_process_is_refused(void **state)
{
    (void)state;
    struct store *store = kit_open();

    assert_int_equal(kit_in_child(open_second), ERR_LIMIT);
    store_close(&store);
    store = kit_open();
    store_close(&store);
}

static void test_map_of_the_usual_size(void **state)
{
    (void)state;
    struct store *store = kit_open_sized((int64_t)100 << 30, 0);
    struct kit_body body = kit_body_new(1, 100);

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static void test_no_such_place(void **state)
{
    (void)state;
    struct store_options options = {kit_file("none/store"), 1 << 30, KIT_MAP_SIZE};
    struct store *store;
    struct errinfo info = {.msg = ""};

    assert_int_equal(store_open(&options, &store, &info), ERR_IO);
    assert_non_null(strstr(info.msg, "No such file"));
}

static void test_replace_and_remove(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body one = kit_body_new(1, 100), two = kit_body_new(2, 200);
    struct store_key key = kit_key(1);

    assert_int_equal(kit_put(store, 1, &one, true), ERR_OK);
    assert_int_equal(kit_put(store, 2, &one, true), ERR_OK);
    assert_int_equal(kit_put(store, 1, &two, true), ERR_OK);
    assert_true(kit_holds(store, 1, &two) && kit_holds(store, 2, &one));
    assert_int_equal(kit_stats(store).entries, 2);
    assert_int_equal(store_remove(store, &key), ERR_OK);
    kit_flush(store);
    assert_false(kit_holds(store, 1, &two));
    assert_true(kit_holds(store, 2, &one));
    assert_int_equal(kit_stats(store).entries, 1);
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_wrong_puts(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body one = kit_body_new(1, 100), two = kit_body_new(2, 100);
    struct kit_body large = kit_body_new(3, STORE_INLINE_MAX + 1);
    struct store_entry entry = kit_entry(&one);
    struct store_key key = kit_key(1);
    static char long_name[STORE_RECORD_MAX];

    /* Law 1: what is not what its digest says does not get in. */
    assert_int_equal(store_put(store, &key, &entry, slice_of(two.bytes, two.n), kit_on_done, NULL),
                     ERR_CORRUPT);
    assert_int_equal(store_put(store, &key, &entry, slice_of(one.bytes, 99), kit_on_done, NULL),
                     ERR_CORRUPT);
    assert_int_equal(kit_put(store, 1, &large, true), ERR_LIMIT);
    entry.name = slice_of(long_name, sizeof long_name);
    assert_int_equal(store_put(store, &key, &entry, slice_of(one.bytes, 100), kit_on_done, NULL),
                     ERR_LIMIT);
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, 0);
    store_close(&store);
    kit_body_free(&one);
    kit_body_free(&two);
    kit_body_free(&large);
}

static enum err validate(struct store *store, unsigned key, const struct digest *content,
                         int64_t ms)
{
    struct store_key k = kit_key(key);
    struct kit_done done = {.called = false};

    assert_int_equal(store_validated(store, &k, content, ms, kit_on_done, &done), ERR_OK);
    kit_wait_while(!atomic_load(&done.called));
    return done.result;
}

static void test_validated(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body one = kit_body_new(1, 100), two = kit_body_new(2, 200);
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;
    int64_t later = 1800000000000;

    assert_int_equal(validate(store, 1, &one.digest, later), ERR_NOTFOUND);
    assert_int_equal(kit_put(store, 1, &one, true), ERR_OK);
    assert_int_equal(validate(store, 1, &two.digest, later), ERR_NOTFOUND);
    kit_lookup(reader, 1, &l);
    assert_true(l.entry.validated_ms == 1700000000000);
    assert_int_equal(validate(store, 1, &one.digest, later), ERR_OK);
    kit_lookup(reader, 1, &l);
    assert_true(l.entry.validated_ms == later);
    kit_lookup_end(&l);
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_old_partial_files_are_litter(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 1000);
    struct timespec old[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - 8 * 24 * 3600}};
    struct errinfo info;
    char name[128], hex[2 * STORE_KEY_BYTES + 1];

    for (unsigned i = 0; i < 2; i++) {
        struct store_key key = kit_key(i);
        struct partial *p;
        uint64_t offset;
        assert_int_equal(partial_open(store, &key, &body.digest, true, &p, &offset, &info), ERR_OK);
        assert_int_equal(partial_append(p, body.bytes, 500, &info), ERR_OK);
        if (i == 0)
            assert_int_equal(futimens(partial_fd(p), old), 0);
        partial_free(&p, true);
    }
    store_close(&store);
    store = kit_open();
    for (unsigned i = 0; i < 2; i++) {
        struct store_key key = kit_key(i);
        hex_encode(key.bytes, sizeof key.bytes, hex);
        snprintf(name, sizeof name, "partial/%s", hex);
        assert_int_equal(kit_exists(name), i == 1);
    }
    assert_int_equal(kit_stats(store).partial_bytes, 500);
    store_close(&store);
    kit_body_free(&body);
}

static void test_failing_is_set_and_cleared(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct errinfo info = {.msg = "as a test wants it"};

    kit_wait_scan(store);
    assert_false(kit_stats(store).failing);
    store_note_write(store, WRITE_BLOB, ERR_IO, &info);
    assert_true(kit_stats(store).failing);
    /* That the index can be written says nothing of blobs. */
    store_note_write(store, WRITE_INDEX, ERR_OK, NULL);
    assert_true(kit_stats(store).failing);
    store_note_write(store, WRITE_BLOB, ERR_OK, NULL);
    assert_false(kit_stats(store).failing);
    store_close(&store);
}

/* --- figures --- */

static void put_many(struct store *store, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct kit_body body = kit_body_new(i, 200);
        struct store_entry entry = kit_entry(&body);
        struct store_key key = kit_key(i);
        struct slice bytes = slice_of(body.bytes, body.n);
        while (store_put(store, &key, &entry, bytes, NULL, NULL) == ERR_LIMIT)
            kit_sleep_ms(1);
        kit_body_free(&body);
    }
    kit_flush(store);
}

/* Nanoseconds of CPU for each lookup with its inline body, over all keys. */
static int64_t time_lookups(struct store *store, unsigned count)
{
    enum { LOOKUPS = 20000 };
    static struct store_key keys[LOOKUPS];
    struct store_reader *reader = kit_reader(store);
    struct arena arena;
    struct store_entry entry;
    struct store_body body;
    char memory[2048];
    struct timespec from, to;

    for (unsigned i = 0; i < LOOKUPS; i++)
        keys[i] = kit_key((unsigned)((uint64_t)i * 7919 % count));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        arena_init(&arena, memory, sizeof memory, 0);
        assert_int_equal(store_lookup(reader, &keys[i], &arena, &entry, &body), ERR_OK);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    store_reader_free(&reader);
    return ((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec) / LOOKUPS;
}

/* Start-up must not depend on what is held, and a lookup hardly (budgets in the design). */
static void test_figures(void **state)
{
    (void)state;
    const char *wanted = getenv("STORE_TEST_ENTRIES");
    unsigned few = 1000, many = wanted ? (unsigned)atoi(wanted) : 20000;
    struct store *store = kit_open_sized((int64_t)4 << 30, (size_t)4 << 30);

    put_many(store, 0, few);
    int64_t lookup_few = time_lookups(store, few);
    int64_t start = clock_mono_ms();
    put_many(store, few, many);
    int64_t put_ms = clock_mono_ms() - start;
    kit_wait_scan(store);
    store_close(&store);

    start = clock_mono_ms();
    store = kit_open_sized((int64_t)4 << 30, (size_t)4 << 30);
    int64_t open_ms = clock_mono_ms() - start;
    assert_int_equal(kit_stats(store).entries, many);
    int64_t lookup_many = time_lookups(store, many);
    print_message("%u entries: put %lld ms, open %lld ms, lookup %lld ns (%lld ns at %u)\n", many,
                  (long long)put_ms, (long long)open_ms, (long long)lookup_many,
                  (long long)lookup_few, few);
    assert_true(open_ms <= 1000);
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_open_close_open),
        TEST(test_unreadable_totals_begin_a_new_index),
        TEST(test_another_process_is_refused),
        TEST(test_map_of_the_usual_size),
        TEST(test_no_such_place),
        TEST(test_replace_and_remove),
        TEST(test_wrong_puts),
        TEST(test_validated),
        TEST(test_old_partial_files_are_litter),
        TEST(test_failing_is_set_and_cleared),
        TEST(test_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
