#include "storage/recover.c"

#include "storage_kit.h"

enum { BIG = 30000, SMALL = 300, ENTRIES = 500 };

/* A store with ENTRIES small entries and one blob in a file, closed in order. */
static struct kit_body make_store(void)
{
    struct store *store = kit_open();
    struct kit_body big = kit_body_new(1000, BIG);
    struct errinfo info;

    for (unsigned i = 0; i < ENTRIES; i++) {
        struct kit_body body = kit_body_new(i, SMALL);
        struct store_entry entry = kit_entry(&body);
        struct store_key key = kit_key(i);
        struct slice bytes = slice_of(body.bytes, body.n);
        assert_int_equal(store_put(store, &key, &entry, bytes, NULL, NULL), ERR_OK);
        kit_body_free(&body);
    }
    assert_int_equal(kit_fill(store, 1000, &big, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1000, &big, false), ERR_OK);
    kit_wait_scan(store);
    store_close(&store);
    return big;
}

static size_t count_broken(void)
{
    DIR *folder = opendir(kit_path);
    struct dirent *item;
    size_t n = 0;

    while ((item = readdir(folder)))
        n += slice_starts(slice_str(item->d_name), SLICE(BROKEN_PREFIX));
    closedir(folder);
    return n;
}

/* The index was begun anew, the blob is found again, and all works. */
static void assert_rebuilt(const struct kit_body *big)
{
    struct store *store = kit_open();

    kit_wait_scan(store);
    assert_int_equal(count_broken(), 1);
    assert_false(kit_exists(MARK));
    assert_int_equal(kit_stats(store).entries, 0);
    assert_int_equal(kit_stats(store).bytes, BIG);
    assert_int_equal(kit_put(store, 1000, big, false), ERR_OK);
    assert_true(kit_holds(store, 1000, big));
    kit_check_index(store->index);
    store_close(&store);
}

/* Nothing was taken away from a good index. */
static void assert_kept(const struct kit_body *big)
{
    struct store *store = kit_open();

    assert_int_equal(count_broken(), 0);
    assert_int_equal(kit_stats(store).entries, ENTRIES + 1);
    assert_true(kit_holds(store, 1000, big));
    store_close(&store);
}

static off_t file_size(const char *name)
{
    struct stat st;

    assert_int_equal(stat(kit_file(name), &st), 0);
    return st.st_size;
}

/* Overwrites [from, to) of the index; with `byte`, or with noise when it is -1. */
static void spoil(off_t from, off_t to, int byte)
{
    int fd = open(kit_file("index/data.mdb"), O_WRONLY);
    struct kit_body noise = kit_body_new(77, 4096);

    assert_true(fd >= 0);
    if (byte >= 0)
        memset(noise.bytes, byte, noise.n);
    for (off_t at = from; at < to; at += (off_t)noise.n) {
        size_t n = to - at < (off_t)noise.n ? (size_t)(to - at) : noise.n;
        assert_int_equal(pwrite(fd, noise.bytes, n, at), n);
    }
    close(fd);
    kit_body_free(&noise);
}

static void test_good_index_is_kept(void **state)
{
    (void)state;
    struct kit_body big = make_store();

    assert_kept(&big);
    kit_body_free(&big);
}

static void test_spoilt_index_is_begun_anew(void **state)
{
    (void)state;
    static const struct {
        off_t from;
        off_t to; /* 0: the end */
        int byte;
    } rows[] = {
        {0, 8192, 0},     {0, 8192, -1},     {0, 0, 0},         {0, 0, -1},
        {0, 0, 255},      {8192, 0, 0},      {8192, 0, -1},     {8192, 0, 255},
        {8192, 65536, 0}, {8192, 65536, -1}, {20000, 90000, 1}, {8192, 0, 2},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_body big = make_store();
        off_t end = rows[i].to ? rows[i].to : file_size("index/data.mdb");
        spoil(rows[i].from, end, rows[i].byte);
        assert_rebuilt(&big);
        kit_body_free(&big);
        assert_int_equal(kit_teardown(state), 0);
        assert_int_equal(kit_setup(state), 0);
    }
}

static void test_short_index_is_begun_anew(void **state)
{
    (void)state;
    struct kit_body big = make_store();

    assert_int_equal(truncate(kit_file("index/data.mdb"), file_size("index/data.mdb") / 2), 0);
    assert_rebuilt(&big);
    kit_body_free(&big);
}

static void test_lost_index_is_begun_anew(void **state)
{
    (void)state;
    struct kit_body big = make_store();

    assert_int_equal(unlink(kit_file("index/data.mdb")), 0);
    struct store *store = kit_open();
    kit_wait_scan(store);
    assert_int_equal(kit_stats(store).bytes, BIG);
    store_close(&store);
    kit_body_free(&big);
}

static void test_other_format_is_moved_aside(void **state)
{
    (void)state;
    struct kit_body big = make_store();
    struct index *index;
    struct index_txn txn;

    assert_int_equal(index_open(kit_file("index"), KIT_MAP_SIZE, &index, NULL), ERR_OK);
    assert_int_equal(index_write_begin(index, &txn), ERR_OK);
    assert_int_equal(index_put(&txn, INDEX_META, SLICE("format"), SLICE("\x02")), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
    index_close(&index);
    assert_rebuilt(&big);
    kit_body_free(&big);
}

static void test_mark_of_an_earlier_run_counts(void **state)
{
    (void)state;
    struct kit_body big = make_store();
    struct store *store = kit_open();

    index_mark_damaged(store->index);
    store_close(&store);
    assert_rebuilt(&big);
    kit_body_free(&big);
}

/* Damage that is found while the store is in use is mended at once, beside the readers. */
static void test_damage_in_use_is_mended(void **state)
{
    (void)state;
    struct kit_body big = make_store();
    struct store *store = kit_open();
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;

    kit_lookup(reader, 1000, &l);
    assert_int_equal(l.err, ERR_OK);
    kit_lookup_end(&l);
    index_mark_damaged(store->index);
    queue_nudge(&store->queue);
    kit_wait_while(kit_exists(MARK) || kit_stats(store).scanning || kit_stats(store).bytes != BIG);
    assert_int_equal(count_broken(), 1);
    kit_lookup(reader, 1000, &l);
    assert_int_equal(l.err, ERR_NOTFOUND);
    assert_int_equal(kit_put(store, 1000, &big, false), ERR_OK);
    kit_lookup(reader, 1000, &l);
    assert_int_equal(l.err, ERR_OK);
    assert_true(kit_fd_is(l.body.fd, &big));
    kit_lookup_end(&l);
    store_reader_free(&reader);
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&big);
}

static void test_only_the_newest_broken_index_is_kept(void **state)
{
    (void)state;
    struct kit_body big = make_store();

    assert_int_equal(mkdir(kit_file("index.broken-1"), 0700), 0);
    kit_write_file("index.broken-1/data.mdb", "x", 1);
    kit_write_file(MARK, "", 0);
    assert_rebuilt(&big);
    assert_false(kit_exists("index.broken-1"));
    kit_body_free(&big);
}

static void test_an_error_that_is_no_damage_is_reported(void **state)
{
    (void)state;
    struct kit_body big = make_store();
    struct store_options options = {kit_path, 1 << 30, KIT_MAP_SIZE};
    struct store *store;
    struct errinfo info = {.msg = ""};

    /* LMDB cannot open its file: that is not its content's fault. */
    assert_int_equal(rename(kit_file("index/data.mdb"), kit_file("saved")), 0);
    assert_int_equal(mkdir(kit_file("index/data.mdb"), 0700), 0);
    assert_int_equal(store_open(&options, &store, &info), ERR_IO);
    assert_null(store);
    assert_true(strlen(info.msg) > 0);
    assert_int_equal(count_broken(), 0);
    assert_int_equal(rmdir(kit_file("index/data.mdb")), 0);
    assert_int_equal(rename(kit_file("saved"), kit_file("index/data.mdb")), 0);
    assert_kept(&big);
    kit_body_free(&big);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_good_index_is_kept),
        TEST(test_spoilt_index_is_begun_anew),
        TEST(test_short_index_is_begun_anew),
        TEST(test_lost_index_is_begun_anew),
        TEST(test_other_format_is_moved_aside),
        TEST(test_mark_of_an_earlier_run_counts),
        TEST(test_damage_in_use_is_mended),
        TEST(test_only_the_newest_broken_index_is_kept),
        TEST(test_an_error_that_is_no_damage_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
