#include "storage/evict.c"

#include "storage_kit.h"

enum { SIZE = 20000 };

/* Fills and puts body n under key n, last used at use_ms. */
static struct kit_body add(struct store *store, unsigned n, int64_t use_ms)
{
    struct kit_body body = kit_body_new(n, SIZE);
    struct errinfo info;

    assert_int_equal(kit_fill(store, n, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, n, &body, false), ERR_OK);
    struct op op = {.kind = OP_TOUCH, .content = blob_id_of(&body.digest), .ms = use_ms};
    assert_int_equal(queue_call(&store->queue, &op), ERR_OK);
    return body;
}

/* A time to come, so that it is later than what commit and put have noted. */
static int64_t later(int64_t n)
{
    return clock_wall_ms() + 1000000 + n * 1000;
}

static void test_oldest_use_goes_first_and_the_bound_holds(void **state)
{
    (void)state;
    enum { BODIES = 12, FIT = 5 };
    struct store *store = kit_open_sized(FIT * (SIZE + 1000), KIT_MAP_SIZE);
    struct kit_body bodies[BODIES];

    for (unsigned i = 0; i < BODIES; i++) {
        bodies[i] = add(store, i, later(i == 0 ? 1000 : i));
        assert_true(kit_stats(store).bytes <= FIT * (SIZE + 1000));
    }
    kit_check_index(store->index);
    /* The first one is used again and again; of the others the newest are left. */
    assert_true(kit_holds(store, 0, &bodies[0]));
    for (unsigned i = 1; i < BODIES; i++) {
        bool held = i > BODIES - FIT;
        assert_int_equal(kit_holds(store, i, &bodies[i]), held);
        assert_int_equal(kit_exists(kit_blob_name(&bodies[i].digest)), held);
    }
    assert_int_equal(kit_stats(store).entries, FIT);
    for (unsigned i = 0; i < BODIES; i++)
        kit_body_free(&bodies[i]);
    store_close(&store);
}

/* The index hears of a use in steps of minutes; a content in use since then must not go first. */
static void test_a_use_that_the_index_has_not_heard_of_counts(void **state)
{
    (void)state;
    enum { BODIES = 8, FIT = 4 };
    struct store *store = kit_open_sized(FIT * (SIZE + 1000), KIT_MAP_SIZE);
    struct store_reader *reader = kit_reader(store);
    struct kit_body hot = add(store, 0, later(1));

    store_touch(reader, &hot.digest, later(2));
    store_touch(reader, &hot.digest, later(50));
    for (unsigned i = 1; i < BODIES; i++) {
        struct kit_body body = add(store, i, later(2 + i));
        kit_body_free(&body);
    }
    assert_true(kit_holds(store, 0, &hot));
    assert_true(kit_stats(store).bytes <= FIT * (SIZE + 1000));
    kit_check_index(store->index);
    store_reader_free(&reader);
    kit_body_free(&hot);
    store_close(&store);
}

static void test_who_reads_an_evicted_blob_reads_on(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(2 * SIZE, KIT_MAP_SIZE);
    struct kit_body first = add(store, 1, later(1));
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;

    kit_lookup(reader, 1, &l);
    assert_int_equal(l.err, ERR_OK);
    struct kit_body second = add(store, 2, later(2));
    assert_false(kit_exists(kit_blob_name(&first.digest)));
    assert_true(kit_fd_is(l.body.fd, &first));
    kit_lookup_end(&l);
    kit_lookup(reader, 1, &l);
    assert_int_equal(l.err, ERR_NOTFOUND);
    kit_lookup_end(&l);
    assert_true(kit_holds(store, 2, &second));
    store_reader_free(&reader);
    kit_body_free(&first);
    kit_body_free(&second);
    store_close(&store);
}

static void test_inline_bodies_are_evicted_too(void **state)
{
    (void)state;
    enum { BODIES = 100, INLINE_SIZE = 10000, BOUND = 300000 };
    struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);

    for (unsigned i = 0; i < BODIES; i++) {
        struct kit_body body = kit_body_new(i, INLINE_SIZE);
        assert_int_equal(kit_put(store, i, &body, true), ERR_OK);
        assert_true(kit_holds(store, i, &body));
        kit_body_free(&body);
    }
    struct store_stats stats = kit_stats(store);
    assert_in_range(stats.bytes, BOUND / 2, BOUND);
    assert_int_equal(stats.blobs, stats.bytes / INLINE_SIZE);
    kit_check_index(store->index);
    store_close(&store);
}

static void test_partial_files_give_way_in_their_turn(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(3 * (SIZE + 1000), KIT_MAP_SIZE);
    struct kit_body a = add(store, 1, later(1)), left = kit_body_new(99, SIZE);
    struct store_key key = kit_key(99);
    struct partial *p;
    uint64_t offset;
    struct errinfo info;

    assert_int_equal(partial_open(store, &key, &left.digest, true, &p, &offset, &info), ERR_OK);
    assert_int_equal(partial_append(p, left.bytes, left.n, &info), ERR_OK);
    /* While it is written nothing takes it. */
    struct kit_body b = add(store, 2, later(2)), c = add(store, 3, later(3));
    assert_int_equal(partial_size(p), SIZE);
    assert_int_equal(kit_stats(store).partial_bytes, SIZE);
    assert_false(kit_holds(store, 1, &a));
    partial_free(&p, true);
    assert_true(partial_left(store, &key));
    /* Left alone, it is older than the blobs, whose use is in the time to come. */
    struct kit_body d = add(store, 4, later(4));
    assert_false(partial_left(store, &key));
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    assert_true(kit_holds(store, 2, &b) && kit_holds(store, 3, &c) && kit_holds(store, 4, &d));
    struct kit_body *all[] = {&a, &b, &c, &d, &left};
    for (size_t i = 0; i < 5; i++)
        kit_body_free(all[i]);
    store_close(&store);
}

static void test_fills_push_out_what_is_held(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(4 * SIZE, KIT_MAP_SIZE);
    struct kit_body held = add(store, 1, later(1)), big = kit_body_new(2, 7 * SIZE / 2);
    struct store_key key = kit_key(2);
    struct partial *p;
    uint64_t offset;
    struct errinfo info;

    /* The writer has nothing to do and waits. */
    kit_wait_scan(store);
    kit_flush(store);
    kit_sleep_ms(20);
    assert_int_equal(partial_open(store, &key, &big.digest, true, &p, &offset, &info), ERR_OK);
    assert_int_equal(partial_append(p, big.bytes, big.n, &info), ERR_OK);
    kit_wait_while(kit_stats(store).blobs > 0);
    kit_wait_while(kit_exists(kit_blob_name(&held.digest))); /* after its record */
    partial_free(&p, false);
    kit_body_free(&held);
    kit_body_free(&big);
    store_close(&store);
}

static void test_object_larger_than_the_bound(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(5000, KIT_MAP_SIZE);
    struct kit_body small = kit_body_new(1, 1000), big = kit_body_new(2, 6000);

    assert_int_equal(kit_put(store, 1, &small, true), ERR_OK);
    assert_int_equal(kit_put(store, 2, &big, true), ERR_FULL);
    assert_false(kit_stats(store).failing);
    kit_body_free(&small);
    kit_body_free(&big);
    store_close(&store);
}

static void test_smaller_bound_at_the_next_start(void **state)
{
    (void)state;
    struct store *store = kit_open();
    for (unsigned i = 0; i < 10; i++) {
        struct kit_body body = add(store, i, later(i));
        kit_body_free(&body);
    }
    store_close(&store);
    store = kit_open_sized(3 * (SIZE + 1000), KIT_MAP_SIZE);
    kit_wait_while(kit_stats(store).blobs > 3);
    kit_check_index(store->index);
    assert_int_equal(kit_stats(store).blobs, 3);
    store_close(&store);
}

static void test_content_that_many_entries_name(void **state)
{
    (void)state;
    enum { ENTRIES = STEP_ENTRIES + 100 };
    struct store *store = kit_open_sized(64 * 1024 * 1024, KIT_MAP_SIZE);
    struct kit_body body = kit_body_new(1, 100);
    struct store_entry entry = kit_entry(&body);

    for (unsigned i = 0; i < ENTRIES; i++) {
        struct store_key key = kit_key(i);
        struct slice bytes = slice_of(body.bytes, body.n);
        kit_wait_while(kit_stats(store).queued > QUEUE_OPS_MAX / 2);
        assert_int_equal(store_put(store, &key, &entry, bytes, NULL, NULL), ERR_OK);
    }
    kit_flush(store);
    assert_int_equal(kit_stats(store).entries, ENTRIES);
    store_close(&store);
    /* So small that nothing may stay: it takes more than one transaction. */
    store = kit_open_sized(100, KIT_MAP_SIZE);
    kit_wait_while(kit_stats(store).blobs > 0);
    assert_int_equal(kit_stats(store).entries, 0);
    kit_check_index(store->index);
    kit_body_free(&body);
    store_close(&store);
}

/* The index of a small map: what is evicted makes room in it, and nothing fails for good. */
static void test_full_index_evicts(void **state)
{
    (void)state;
    enum { BODIES = 3000, INLINE_SIZE = 15000 };
    struct store *store = kit_open_sized((int64_t)1 << 30, 16 * 1024 * 1024);

    for (unsigned i = 0; i < BODIES; i++) {
        struct kit_body body = kit_body_new(i, INLINE_SIZE);
        struct store_entry entry = kit_entry(&body);
        struct store_key key = kit_key(i);
        struct slice bytes = slice_of(body.bytes, body.n);
        assert_int_equal(store_put(store, &key, &entry, bytes, NULL, NULL), ERR_OK);
        if (i % 50 == 49) {
            kit_flush(store);
            assert_true(kit_holds(store, i, &body));
        }
        kit_body_free(&body);
    }
    assert_in_range(kit_stats(store).blobs, 300, 1000);
    assert_false(kit_stats(store).failing);
    kit_check_index(store->index);
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_oldest_use_goes_first_and_the_bound_holds),
        TEST(test_a_use_that_the_index_has_not_heard_of_counts),
        TEST(test_who_reads_an_evicted_blob_reads_on),
        TEST(test_inline_bodies_are_evicted_too),
        TEST(test_partial_files_give_way_in_their_turn),
        TEST(test_fills_push_out_what_is_held),
        TEST(test_object_larger_than_the_bound),
        TEST(test_smaller_bound_at_the_next_start),
        TEST(test_content_that_many_entries_name),
        TEST(test_full_index_evicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
