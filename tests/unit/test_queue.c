#include "storage/queue.c"

#include "storage_kit.h"

static struct queue the_queue;

static int setup(void **state)
{
    (void)state;
    queue_init(&the_queue);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    queue_destroy(&the_queue);
    return 0;
}

static struct op *new_op(int64_t ms)
{
    struct op *op = op_new(OP_TOUCH, slice_of(NULL, 0), slice_of(NULL, 0));

    op->ms = ms;
    return op;
}

/* Takes and finishes all; gives their number. */
static size_t drain(void)
{
    struct op *ops[64];
    bool stopped;
    size_t n, all = 0;

    while ((n = queue_take(&the_queue, false, ops, 64, &stopped))) {
        for (size_t i = 0; i < n; i++)
            queue_finish(&the_queue, ops[i]);
        all += n;
    }
    return all;
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    struct op *ops[3];
    bool stopped;

    for (int i = 0; i < 5; i++)
        assert_int_equal(queue_push(&the_queue, new_op(i)), ERR_OK);
    assert_int_equal(queue_length(&the_queue), 5);
    assert_int_equal(queue_take(&the_queue, true, ops, 3, &stopped), 3);
    assert_false(stopped);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ops[i]->ms, i);
        queue_finish(&the_queue, ops[i]);
    }
    assert_int_equal(queue_take(&the_queue, true, ops, 3, &stopped), 2);
    assert_int_equal(ops[0]->ms, 3);
    queue_finish(&the_queue, ops[0]);
    queue_finish(&the_queue, ops[1]);
    assert_int_equal(queue_length(&the_queue), 0);
}

static void test_op_has_its_own_bytes(void **state)
{
    (void)state;
    char record[] = "record", body[] = "body";
    struct op *op = op_new(OP_PUT, slice_str(record), slice_str(body));

    memset(record, 'x', 6);
    memset(body, 'x', 4);
    assert_true(slice_eq(op->record, SLICE("record")));
    assert_true(slice_eq(op->body, SLICE("body")));
    free(op);
    /* An empty body is not the same as none. */
    op = op_new(OP_PUT, SLICE("r"), SLICE(""));
    assert_non_null(op->body.p);
    free(op);
    op = op_new(OP_PUT, SLICE("r"), slice_of(NULL, 0));
    assert_null(op->body.p);
    free(op);
}

static void test_full_by_count_and_notes_by_half(void **state)
{
    (void)state;
    size_t n = 0;

    while (queue_push_note(&the_queue, new_op(0)))
        n++;
    assert_int_equal(n, QUEUE_OPS_MAX / 2);
    while (queue_push(&the_queue, new_op(0)) == ERR_OK)
        n++;
    assert_int_equal(n, QUEUE_OPS_MAX);
    assert_int_equal(drain(), n);
    assert_true(queue_push_note(&the_queue, new_op(0)));
    assert_int_equal(drain(), 1);
}

static void test_full_by_bytes(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 1024 * 1024);
    size_t n = 0;

    while (queue_push(&the_queue, op_new(OP_PUT, slice_of(body.bytes, body.n), SLICE(""))) ==
           ERR_OK)
        n++;
    assert_int_equal(n, QUEUE_BYTES_MAX / body.n - 1);
    assert_int_equal(drain(), n);
    kit_body_free(&body);
}

static void test_done_gets_the_result(void **state)
{
    (void)state;
    struct op *op = new_op(0);
    struct kit_done done = {.called = false};

    op->done = kit_on_done;
    op->arg = &done;
    op->result = ERR_FULL;
    queue_finish(&the_queue, op);
    assert_true(done.called);
    assert_int_equal(done.result, ERR_FULL);
}

static void *finish_with_full(void *arg)
{
    struct op *ops[QUEUE_OPS_MAX];
    bool stopped = false;

    (void)arg;
    while (!stopped) {
        size_t n = queue_take(&the_queue, true, ops, QUEUE_OPS_MAX, &stopped);
        for (size_t i = 0; i < n; i++) {
            ops[i]->result = ERR_FULL;
            queue_finish(&the_queue, ops[i]);
        }
    }
    return NULL;
}

static void test_call_waits_for_room_and_result(void **state)
{
    (void)state;
    pthread_t thread;
    struct op op = {.kind = OP_ROOM};

    while (queue_push(&the_queue, new_op(0)) == ERR_OK)
        continue;
    assert_int_equal(pthread_create(&thread, NULL, finish_with_full, NULL), 0);
    assert_int_equal(queue_call(&the_queue, &op), ERR_FULL);
    queue_stop(&the_queue);
    pthread_join(thread, NULL);
}

static void test_nudge_wakes_without_work(void **state)
{
    (void)state;
    struct op *ops[1];
    bool stopped;

    queue_nudge(&the_queue);
    assert_int_equal(queue_take(&the_queue, true, ops, 1, &stopped), 0);
    assert_false(stopped);
}

static void test_stop_comes_after_what_is_queued(void **state)
{
    (void)state;
    struct op *ops[1];
    bool stopped;

    assert_int_equal(queue_push(&the_queue, new_op(1)), ERR_OK);
    assert_int_equal(queue_push(&the_queue, new_op(2)), ERR_OK);
    queue_stop(&the_queue);
    assert_int_equal(queue_take(&the_queue, true, ops, 1, &stopped), 1);
    assert_false(stopped);
    queue_finish(&the_queue, ops[0]);
    assert_int_equal(queue_take(&the_queue, true, ops, 1, &stopped), 1);
    assert_true(stopped);
    queue_finish(&the_queue, ops[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_in_first_out),
        TEST(test_op_has_its_own_bytes),
        TEST(test_full_by_count_and_notes_by_half),
        TEST(test_full_by_bytes),
        TEST(test_done_gets_the_result),
        TEST(test_call_waits_for_room_and_result),
        TEST(test_nudge_wakes_without_work),
        TEST(test_stop_comes_after_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
