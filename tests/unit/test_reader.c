#include "storage/reader.c"

#include "storage_kit.h"

static void test_inline_body(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, STORE_INLINE_MAX);
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;

    kit_lookup(reader, 1, &l);
    assert_int_equal(l.err, ERR_NOTFOUND);
    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    kit_lookup(reader, 1, &l);
    assert_int_equal(l.err, ERR_OK);
    assert_true(l.body.is_inline && l.body.fd == -1);
    assert_true(slice_eq(l.body.bytes, slice_of(body.bytes, body.n)));
    assert_true(digest_equal(&l.entry.content, &body.digest));
    assert_true(slice_eq(l.entry.name, SLICE("dockerhub library/busybox manifests/latest")));
    assert_int_equal(l.entry.status, 200);
    kit_lookup_end(&l);
    store_reader_free(&reader);
    assert_null(reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_empty_body(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 0);

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

/* What says only by which request fields the real keys differ; all of them have the same bytes. */
static void test_entries_without_a_body_name_fields(void **state)
{
    (void)state;
    static const struct slice fields[] = {{"accept", 6}, {"accept-language, cookie", 23}};
    struct store *store = kit_open();
    struct store_reader *reader = kit_reader(store);
    struct kit_body body = kit_body_new(1, 0);
    struct kit_lookup l;

    for (unsigned i = 0; i < 2; i++) {
        struct store_entry entry = {.status = 200, .content = body.digest, .vary = fields[i]};
        struct store_key key = kit_key(i);
        assert_int_equal(store_put(store, &key, &entry, SLICE(""), NULL, NULL), ERR_OK);
    }
    kit_flush(store);
    for (unsigned i = 0; i < 2; i++) {
        kit_lookup(reader, i, &l);
        assert_int_equal(l.err, ERR_OK);
        assert_true(slice_eq(l.entry.vary, fields[i]));
        assert_true(l.entry.status == 200 && l.entry.size == 0);
        assert_true(l.body.is_inline && l.body.bytes.n == 0);
        kit_lookup_end(&l);
    }
    struct store_key first = kit_key(0);
    assert_int_equal(store_remove(store, &first), ERR_OK);
    kit_flush(store);
    assert_false(kit_holds(store, 0, &body));
    assert_true(kit_holds(store, 1, &body));
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_body_in_a_file(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body big = kit_body_new(1, 300000), small = kit_body_new(2, 100);
    struct store_reader *reader = kit_reader(store);
    struct store_entry entry;
    struct store_key key = kit_key(1);
    struct kit_lookup l;
    struct errinfo info;
    uint64_t size;

    assert_false(store_has_blob(reader, &big.digest, &size));
    assert_int_equal(kit_put(store, 1, &big, false), ERR_NOTFOUND);
    assert_int_equal(kit_fill(store, 1, &big, &info), ERR_OK);
    assert_int_equal(kit_fill(store, 2, &small, &info), ERR_OK);
    assert_true(store_has_blob(reader, &big.digest, &size));
    assert_int_equal(size, 300000);
    assert_int_equal(kit_put(store, 1, &big, false), ERR_OK);
    assert_int_equal(kit_put(store, 2, &small, false), ERR_OK);
    kit_lookup(reader, 1, &l);
    assert_int_equal(l.err, ERR_OK);
    assert_false(l.body.is_inline);
    assert_true(kit_fd_is(l.body.fd, &big));
    kit_lookup_end(&l);
    /* A small body may be in a file too. */
    assert_true(kit_holds(store, 2, &small));
    /* Only the entry is wanted: no file is opened. */
    arena_init(&l.arena, l.memory, sizeof l.memory, 0);
    assert_int_equal(store_lookup(reader, &key, &l.arena, &entry, NULL), ERR_OK);
    assert_int_equal(entry.size, 300000);
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&big);
    kit_body_free(&small);
}

static void test_full_arena(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 5000);
    struct store_reader *reader = kit_reader(store);
    struct store_key key = kit_key(1);
    struct store_entry entry;
    struct store_body where;
    struct arena arena;
    char memory[2000];

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    arena_init(&arena, memory, 100, 0);
    assert_int_equal(store_lookup(reader, &key, &arena, &entry, NULL), ERR_NOMEM);
    arena_init(&arena, memory, sizeof memory, 0);
    assert_int_equal(store_lookup(reader, &key, &arena, &entry, NULL), ERR_OK);
    assert_int_equal(store_lookup(reader, &key, &arena, &entry, &where), ERR_NOMEM);
    assert_true(kit_holds(store, 1, &body));
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_lost_file_is_a_miss_and_is_forgotten(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 20000);
    struct store_reader *reader = kit_reader(store);
    struct errinfo info;
    uint64_t size;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_int_equal(kit_put(store, 2, &body, false), ERR_OK);
    assert_int_equal(unlink(kit_file(kit_blob_name(&body.digest))), 0);
    assert_false(store_has_blob(reader, &body.digest, &size));
    assert_int_equal(kit_stats(store).entries, 2);
    assert_false(kit_holds(store, 1, &body));
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, 0);
    assert_int_equal(kit_stats(store).bytes, 0);
    kit_check_index(store->index);
    /* It can be fetched again. */
    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_file_of_wrong_size_is_a_miss_and_is_removed(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 20000);
    struct errinfo info;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_int_equal(truncate(kit_file(kit_blob_name(&body.digest)), 19999), 0);
    assert_false(kit_holds(store, 1, &body));
    kit_flush(store);
    assert_false(kit_exists(kit_blob_name(&body.digest)));
    assert_int_equal(kit_stats(store).entries, 0);
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&body);
}

/* Changes the index behind the store's back, on the writer's side of things: nothing is queued. */
static void overwrite(struct store *store, enum index_db db, const void *key, struct slice value)
{
    struct index_txn txn;

    assert_int_equal(index_write_begin(store->index, &txn), ERR_OK);
    if (value.p)
        assert_int_equal(index_put(&txn, db, slice_of(key, 32), value), ERR_OK);
    else
        assert_int_equal(index_delete(&txn, db, slice_of(key, 32)), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
}

static void test_unreadable_entry_is_a_miss_and_is_removed(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 200);
    struct store_key key = kit_key(1);

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    overwrite(store, INDEX_ENTRY, key.bytes, SLICE("\x09 what a later version wrote"));
    assert_false(kit_holds(store, 1, &body));
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, 0);
    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static void test_short_inline_body_is_a_miss_and_is_removed(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 200);
    struct store_entry entry = kit_entry(&body);
    struct store_key key = kit_key(1);
    char record[STORE_RECORD_MAX], value[ENTRY_VALUE_MAX];
    size_t n;

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_int_equal(record_encode_entry(&entry, record, &n), ERR_OK);
    n = record_join_value(slice_of(record, n), slice_of(body.bytes, 199), value);
    overwrite(store, INDEX_ENTRY, key.bytes, slice_of(value, n));
    assert_false(kit_holds(store, 1, &body));
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, 0);
    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static void test_entry_whose_content_is_not_held(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 30000);
    struct errinfo info;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    overwrite(store, INDEX_BLOB, body.digest.bytes, slice_of(NULL, 0));
    assert_int_equal(unlink(kit_file(kit_blob_name(&body.digest))), 0);
    assert_false(kit_holds(store, 1, &body));
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, 0);
    store_close(&store);
    kit_body_free(&body);
}

static int64_t last_use_of(struct store *store, const struct kit_body *body)
{
    struct store_reader *reader = kit_reader(store);
    struct blob_id id = blob_id_of(&body->digest);
    struct blob_record blob;

    assert_int_equal(index_read_begin(&reader->index), ERR_OK);
    assert_int_equal(catalog_find_blob(&reader->index.txn, &id, &blob), ERR_OK);
    index_read_end(&reader->index);
    store_reader_free(&reader);
    return blob.last_use_ms;
}

static void test_touch_is_noted_once_in_five_minutes(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 200);
    struct store_reader *reader = kit_reader(store);
    int64_t start = (clock_wall_ms() / 60000 + 60) * 60000, minute = 60000;
    static const struct {
        int64_t minute;
        int64_t noted;
    } rows[] = {{0, 0}, {1, 0}, {4, 0}, {5, 5}, {9, 5}, {12, 12}};

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        store_touch(reader, &body.digest, start + rows[i].minute * minute);
        kit_flush(store);
        assert_true(last_use_of(store, &body) == start + rows[i].noted * minute);
    }
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

/* A store of very many contents that are all in use must not keep the writer busy with that. */
static void test_touches_are_bounded_in_each_second(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 200);
    struct store_reader *reader = kit_reader(store);
    struct digest other = {.algo = DIGEST_SHA256};
    int64_t second = (clock_wall_ms() / 1000 + 3600) * 1000;

    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    int64_t before = last_use_of(store, &body);
    for (unsigned i = 0; i < TOUCHES_MAX; i++) {
        sha256(&i, sizeof i, other.bytes);
        store_touch(reader, &other, second + i % 900);
        if (i % 100 == 0)
            kit_flush(store); /* so that the queue is never busy */
    }
    store_touch(reader, &body.digest, second + 999);
    kit_flush(store);
    assert_true(last_use_of(store, &body) == before);
    store_touch(reader, &body.digest, second + 1000);
    kit_flush(store);
    assert_true(last_use_of(store, &body) == second + 1000);
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_readers_are_bounded(void **state)
{
    (void)state;
    enum { MORE = 600 };
    struct store *store = kit_open();
    struct store_reader *readers[MORE];
    struct errinfo info;
    enum err err = ERR_OK;
    int n = 0;

    while (n < MORE && err == ERR_OK)
        err = store_reader_new(store, &readers[n++], &info);
    assert_int_equal(err, ERR_LIMIT);
    assert_in_range(n, 500, 513);
    for (int i = 0; i < n; i++)
        store_reader_free(&readers[i]);
    store_close(&store);
}

struct hammer {
    struct store *store;
    const struct kit_body *bodies;
    unsigned count;
    _Atomic bool stop;
    unsigned long hits;
    bool wrong;
};

static void *look_up_and_compare(void *arg)
{
    struct hammer *h = arg;
    struct store_reader *reader = kit_reader(h->store);
    struct kit_lookup l;

    for (unsigned i = 0; !atomic_load(&h->stop); i++) {
        const struct kit_body *body = &h->bodies[i % h->count];
        kit_lookup(reader, i % h->count, &l);
        if (l.err == ERR_OK) {
            h->hits++;
            h->wrong |= l.body.is_inline ? !slice_eq(l.body.bytes, slice_of(body->bytes, body->n))
                                         : !kit_fd_is(l.body.fd, body);
            store_touch(reader, &body->digest, clock_wall_ms());
        }
        kit_lookup_end(&l);
    }
    store_reader_free(&reader);
    return NULL;
}

/* The store is too small for all: what is found must be right while the writer evicts and fetches.
 */
static void test_readers_beside_eviction(void **state)
{
    (void)state;
    enum { BODIES = 40 };
    struct store *store = kit_open_sized(20 * 20000, KIT_MAP_SIZE);
    struct kit_body bodies[BODIES];
    struct hammer hammers[2];
    pthread_t threads[2];
    struct errinfo info;

    for (unsigned i = 0; i < BODIES; i++)
        bodies[i] = kit_body_new(i, i % 2 ? 10000 : 30000);
    for (int i = 0; i < 2; i++) {
        hammers[i] = (struct hammer){.store = store, .bodies = bodies, .count = BODIES};
        assert_int_equal(pthread_create(&threads[i], NULL, look_up_and_compare, &hammers[i]), 0);
    }
    for (unsigned i = 0; i < 3 * BODIES; i++) {
        const struct kit_body *body = &bodies[i % BODIES];
        if (i % 2 == 0)
            assert_int_equal(kit_fill(store, i % BODIES, body, &info), ERR_OK);
        assert_int_equal(kit_put(store, i % BODIES, body, i % 2), ERR_OK);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&hammers[i].stop, true);
        pthread_join(threads[i], NULL);
        assert_false(hammers[i].wrong);
        assert_true(hammers[i].hits > 0);
    }
    kit_flush(store);
    kit_check_index(store->index);
    for (unsigned i = 0; i < BODIES; i++)
        kit_body_free(&bodies[i]);
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_inline_body),
        TEST(test_empty_body),
        TEST(test_entries_without_a_body_name_fields),
        TEST(test_body_in_a_file),
        TEST(test_full_arena),
        TEST(test_lost_file_is_a_miss_and_is_forgotten),
        TEST(test_file_of_wrong_size_is_a_miss_and_is_removed),
        TEST(test_unreadable_entry_is_a_miss_and_is_removed),
        TEST(test_short_inline_body_is_a_miss_and_is_removed),
        TEST(test_entry_whose_content_is_not_held),
        TEST(test_touch_is_noted_once_in_five_minutes),
        TEST(test_touches_are_bounded_in_each_second),
        TEST(test_readers_are_bounded),
        TEST(test_readers_beside_eviction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
