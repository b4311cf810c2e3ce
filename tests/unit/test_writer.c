#include "storage/writer.c"

#include "storage_kit.h"

#include <lmdb.h>

/* How many transactions were committed so far? LMDB counts them. */
static size_t commits(struct store *store)
{
    struct index_reader reader;

    assert_int_equal(index_reader_init(store->index, &reader), ERR_OK);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    size_t n = mdb_txn_id(reader.txn.mdb);
    index_read_end(&reader);
    index_reader_free(&reader);
    return n;
}

/* Holds the writer in a callback until it is let go. */
struct gate {
    pthread_mutex_t mutex;
    _Atomic bool inside;
};

static void wait_at_gate(void *arg, enum err result)
{
    struct gate *gate = arg;

    (void)result;
    atomic_store(&gate->inside, true);
    pthread_mutex_lock(&gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

static void queue_put(struct store *store, unsigned key, const struct kit_body *body,
                      bool body_inline, store_done_f *done, void *arg)
{
    struct store_entry entry = kit_entry(body);
    struct store_key k = kit_key(key);
    struct slice bytes = slice_of(body_inline ? body->bytes : NULL, body_inline ? body->n : 0);

    assert_int_equal(store_put(store, &k, &entry, bytes, done, arg), ERR_OK);
}

/* The writer stands in the gate when this returns. */
static void close_gate(struct store *store, struct gate *gate, const struct kit_body *body)
{
    *gate = (struct gate){.inside = false};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_mutex_lock(&gate->mutex);
    queue_put(store, 1000000, body, true, wait_at_gate, gate);
    kit_wait_while(!atomic_load(&gate->inside));
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_unlock(&gate->mutex);
}

static void test_what_is_queued_is_committed_at_once(void **state)
{
    (void)state;
    enum { PUTS = 300 };
    struct store *store = kit_open();
    struct kit_body first = kit_body_new(0, 10);
    struct kit_done done[PUTS];
    struct gate gate;

    kit_wait_scan(store);
    close_gate(store, &gate, &first);
    size_t before = commits(store);
    for (unsigned i = 0; i < PUTS; i++) {
        struct kit_body body = kit_body_new(i, 100);
        done[i] = (struct kit_done){.called = false};
        queue_put(store, i, &body, true, kit_on_done, &done[i]);
        kit_body_free(&body);
    }
    assert_int_equal(kit_stats(store).queued, PUTS);
    open_gate(&gate);
    for (unsigned i = 0; i < PUTS; i++) {
        kit_wait_while(!atomic_load(&done[i].called));
        assert_int_equal(done[i].result, ERR_OK);
    }
    assert_int_equal(commits(store), before + 1);
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&first);
}

static void test_an_op_that_fails_takes_no_other(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body held = kit_body_new(1, 100), absent = kit_body_new(2, 30000);
    struct kit_done done[3] = {{.called = false}};
    struct gate gate;

    close_gate(store, &gate, &held);
    queue_put(store, 1, &held, true, kit_on_done, &done[0]);
    queue_put(store, 2, &absent, false, kit_on_done, &done[1]);
    queue_put(store, 3, &held, false, kit_on_done, &done[2]);
    open_gate(&gate);
    kit_flush(store);
    assert_int_equal(done[0].result, ERR_OK);
    assert_int_equal(done[1].result, ERR_NOTFOUND);
    assert_int_equal(done[2].result, ERR_OK);
    assert_true(kit_holds(store, 1, &held) && kit_holds(store, 3, &held));
    assert_false(kit_holds(store, 2, &absent));
    store_close(&store);
    kit_body_free(&held);
    kit_body_free(&absent);
}

static void test_ops_are_applied_in_order(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body one = kit_body_new(1, 100), two = kit_body_new(2, 200);
    struct store_key key = kit_key(1);
    struct gate gate;

    close_gate(store, &gate, &one);
    queue_put(store, 1, &one, true, NULL, NULL);
    assert_int_equal(store_remove(store, &key), ERR_OK);
    queue_put(store, 1, &two, true, NULL, NULL);
    open_gate(&gate);
    kit_flush(store);
    assert_true(kit_holds(store, 1, &two));
    assert_int_equal(store_remove(store, &key), ERR_OK);
    kit_flush(store);
    assert_false(kit_holds(store, 1, &two));
    store_close(&store);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_queue_full(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 100);
    struct store_entry entry = kit_entry(&body);
    struct store_reader *reader = kit_reader(store);
    struct store_key key = kit_key(1);
    struct gate gate;
    unsigned n = 0;

    close_gate(store, &gate, &body);
    while (store_remove(store, &key) == ERR_OK)
        n++;
    assert_int_equal(n, QUEUE_OPS_MAX);
    assert_int_equal(store_put(store, &key, &entry, slice_of(NULL, 0), NULL, NULL), ERR_LIMIT);
    assert_int_equal(store_validated(store, &key, &body.digest, 1, NULL, NULL), ERR_LIMIT);
    /* A use is dropped, and does not count as noted. */
    store_touch(reader, &body.digest, clock_wall_ms());
    assert_int_equal(kit_stats(store).queued, QUEUE_OPS_MAX);
    open_gate(&gate);
    kit_flush(store);
    store_touch(reader, &body.digest, clock_wall_ms());
    assert_int_equal(kit_put(store, 1, &body, true), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&body);
}

static void test_close_finishes_what_is_queued(void **state)
{
    (void)state;
    enum { PUTS = 2000 };
    struct store *store = kit_open();

    for (unsigned i = 0; i < PUTS; i++) {
        struct kit_body body = kit_body_new(i, 100);
        queue_put(store, i, &body, true, NULL, NULL);
        kit_body_free(&body);
    }
    store_close(&store);
    store = kit_open();
    assert_int_equal(kit_stats(store).entries, PUTS);
    kit_check_index(store->index);
    store_close(&store);
}

/*
 * A lost blob is reported and fetched anew within one batch: the check must not take the new file
 * for the lost one.
 */
static void test_check_and_commit_of_one_content(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 30000);
    struct store_key key = kit_key(2);
    struct digest content;
    struct partial *p;
    uint64_t offset;
    struct errinfo info;

    kit_wait_scan(store);
    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_int_equal(truncate(kit_file(kit_blob_name(&body.digest)), 10), 0);
    assert_int_equal(partial_open(store, &key, &body.digest, false, &p, &offset, &info), ERR_OK);
    assert_int_equal(partial_append(p, body.bytes, body.n, &info), ERR_OK);
    assert_int_equal(partial_verify(p, &content), ERR_OK);

    struct op check = {.kind = OP_CHECK_BLOB, .content = blob_id_of(&content), .waited = true};
    struct op commit = {.kind = OP_COMMIT,
                        .key = key,
                        .content = blob_id_of(&content),
                        .size = body.n,
                        .waited = true};
    struct op again = check;
    struct op *batch[] = {&check, &commit, &again};
    run_batch(store, batch, 3);
    assert_true(commit.finished && commit.placed && commit.result == ERR_OK);
    /* run_batch has taken the bytes from partial/, as partial_commit would note. */
    atomic_fetch_add(&store->partial_bytes, body.n);
    partial_free(&p, false);

    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&body);
}

static void test_room_is_made_on_demand(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body bodies[3];
    struct errinfo info;

    struct op nothing = {.kind = OP_ROOM, .size = 1};
    assert_int_equal(queue_call(&store->queue, &nothing), ERR_FULL);
    for (unsigned i = 0; i < 3; i++) {
        bodies[i] = kit_body_new(i, 30000);
        assert_int_equal(kit_fill(store, i, &bodies[i], &info), ERR_OK);
        kit_sleep_ms(2);
    }
    struct op op = {.kind = OP_ROOM, .size = 30001};
    assert_int_equal(queue_call(&store->queue, &op), ERR_OK);
    assert_int_equal(kit_stats(store).blobs, 1);
    assert_true(kit_exists(kit_blob_name(&bodies[2].digest)));
    for (unsigned i = 0; i < 3; i++)
        kit_body_free(&bodies[i]);
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_queued_is_committed_at_once),
        TEST(test_an_op_that_fails_takes_no_other),
        TEST(test_ops_are_applied_in_order),
        TEST(test_queue_full),
        TEST(test_close_finishes_what_is_queued),
        TEST(test_check_and_commit_of_one_content),
        TEST(test_room_is_made_on_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
