/*
 * The store on a disk that fails. The system calls that change a disk are defined here, so that
 * both the store's and LMDB's own calls come here, and the n-th fails, for each n in turn.
 */
#include "storage_kit.h"

#include "base/log.h"

#include <sys/syscall.h>
#include <sys/uio.h>

/* --- the faults --- */

/* Calls until the failure; below 0: no failure is to come. */
static _Atomic long calls_left = -1;
static _Atomic long failures; /* how many calls in a row fail then */
static int failure;           /* with this errno */

static bool fails_now(void)
{
    if (atomic_load(&calls_left) < 0)
        return false;
    if (atomic_fetch_sub(&calls_left, 1) > 0)
        return false;
    if (atomic_fetch_sub(&failures, 1) > 1)
        atomic_store(&calls_left, 0);
    errno = failure;
    return true;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return fails_now() ? -1 : syscall(SYS_pwrite64, fd, bytes, n, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_now() ? -1 : syscall(SYS_writev, fd, parts, count);
}

int fdatasync(int fd)
{
    return fails_now() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fails_now() ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return fails_now() ? -1 : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int ftruncate(int fd, off_t size)
{
    return fails_now() ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int unlinkat(int fd, const char *path, int flags)
{
    return fails_now() ? -1 : (int)syscall(SYS_unlinkat, fd, path, flags);
}

static void arm(long n, long count, int error)
{
    failure = error;
    atomic_store(&failures, count);
    atomic_store(&calls_left, n);
}

/* True when the failure was reached. */
static bool disarm(void)
{
    bool reached = atomic_load(&failures) <= 0 || atomic_load(&calls_left) == 0;

    atomic_store(&calls_left, -1);
    return reached;
}

/* --- what is done meanwhile --- */

enum { BODIES = 6, FILE_SIZE = 30000, INLINE_SIZE = 3000, BOUND = 3 * FILE_SIZE };

static struct kit_body bodies[BODIES];

static int make_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BODIES; i++)
        bodies[i] = kit_body_new(i, i % 2 ? INLINE_SIZE : FILE_SIZE + i);
    return 0;
}

static int free_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BODIES; i++)
        kit_body_free(&bodies[i]);
    return 0;
}

/* Fills and puts, evicting the first on the way; any of it may fail, none may go wrong. */
static void work(struct store *store)
{
    struct store_key removed = kit_key(1);
    struct store_reader *reader = kit_reader(store);
    struct op last = {.kind = OP_TOUCH};
    struct errinfo info;

    for (unsigned i = 0; i < BODIES; i++) {
        bool in_file = i % 2 == 0;
        if (in_file && kit_fill(store, i, &bodies[i], &info) != ERR_OK)
            continue;
        if (kit_put(store, i, &bodies[i], !in_file) == ERR_OK)
            assert_true(kit_holds(store, i, &bodies[i]) || i < BODIES - 1);
        store_touch(reader, &bodies[i].digest, clock_wall_ms());
    }
    assert_int_equal(store_remove(store, &removed), ERR_OK);
    /* Returns when all is done, well or not. */
    enum err err = queue_call(&store->queue, &last);
    assert_true(err == ERR_OK || err == ERR_FULL || err == ERR_IO);
    store_reader_free(&reader);
}

/* What can be looked up is right; the rest is a miss. Gives how many there are. */
static unsigned assert_nothing_wrong(struct store *store)
{
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;
    unsigned found = 0;

    for (unsigned i = 0; i < BODIES; i++) {
        kit_lookup(reader, i, &l);
        kit_lookup_end(&l);
        if (l.err == ERR_OK)
            assert_true(kit_holds(store, i, &bodies[i]));
        found += l.err == ERR_OK;
    }
    store_reader_free(&reader);
    return found;
}

static void assert_works(struct store *store)
{
    struct errinfo info;

    assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_OK);
    assert_int_equal(kit_put(store, 0, &bodies[0], false), ERR_OK);
    assert_int_equal(kit_put(store, 1, &bodies[1], true), ERR_OK);
    assert_true(kit_holds(store, 0, &bodies[0]) && kit_holds(store, 1, &bodies[1]));
    assert_false(kit_stats(store).failing);
}

/* One run with a fault at the n-th call. False when there are not so many calls. */
static bool run_with_fault(long n, long count, int error)
{
    struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);

    kit_wait_scan(store);
    arm(n, count, error);
    work(store);
    bool reached = disarm();
    assert_nothing_wrong(store);
    /* LMDB does not go on after a failed write of its header; a restart helps. */
    if (error != EIO)
        assert_works(store);
    store_close(&store);

    store = kit_open_sized(BOUND, KIT_MAP_SIZE);
    kit_wait_scan(store);
    kit_flush(store);
    kit_check_index(store->index);
    assert_nothing_wrong(store);
    assert_works(store);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    assert_true(kit_stats(store).bytes <= BOUND);
    store_close(&store);
    return reached;
}

static void run_all(void **state, long count, int error)
{
    long n = 0;

    while (run_with_fault(n, count, error)) {
        n++;
        assert_int_equal(kit_teardown(state), 0);
        assert_int_equal(kit_setup(state), 0);
    }
    print_message("%ld calls failed in turn\n", n);
    assert_true(n > 30);
}

static void test_one_call_fails_with_no_room(void **state)
{
    run_all(state, 1, ENOSPC);
}

static void test_no_room_for_a_while(void **state)
{
    run_all(state, 12, ENOSPC);
}

static void test_one_call_fails_with_io_error(void **state)
{
    run_all(state, 1, EIO);
}

/* The disk is full for good: pulls are relayed, what is held is served, and nothing dies. */
static void test_no_room_for_ever(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);
    struct errinfo info = {.msg = ""};

    kit_wait_scan(store);
    assert_int_equal(kit_put(store, 1, &bodies[1], true), ERR_OK);
    arm(0, 1000000, ENOSPC);
    assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_FULL);
    assert_non_null(strstr(info.msg, "No space left"));
    assert_int_equal(kit_put(store, 3, &bodies[3], true), ERR_FULL);
    assert_true(kit_stats(store).failing);
    assert_true(kit_holds(store, 1, &bodies[1]));
    disarm();
    assert_works(store);
    store_close(&store);
}

/* What the kernel said once of these bytes it does not say again: the fill is lost. */
static void test_failed_sync_is_not_tried_again(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct store_key key = kit_key(0);
    struct partial *p;
    struct digest content;
    uint64_t offset;
    struct errinfo info;

    kit_wait_scan(store);
    assert_int_equal(partial_open(store, &key, &bodies[0].digest, false, &p, &offset, &info),
                     ERR_OK);
    assert_int_equal(partial_append(p, bodies[0].bytes, bodies[0].n, &info), ERR_OK);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    arm(0, 1, EIO);
    assert_int_equal(partial_commit(p, &content, &info), ERR_IO);
    assert_true(disarm());
    assert_true(kit_stats(store).failing);
    assert_int_equal(partial_commit(p, &content, &info), ERR_IO);
    partial_free(&p, true);
    assert_false(partial_left(store, &key));
    assert_works(store);
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_call_fails_with_no_room),    TEST(test_no_room_for_a_while),
        TEST(test_one_call_fails_with_io_error),   TEST(test_no_room_for_ever),
        TEST(test_failed_sync_is_not_tried_again),
    };
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, make_bodies, free_bodies);
}
