/*
 * The store on a disk that fails. The system calls that change a disk are defined here, so that
 * both the store's and LMDB's own calls come here, and the n-th fails, for each n in turn.
 */
#include "storage_kit.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* --- the faults --- */

enum call {
    CALL_WRITE = 1,
    CALL_FDATASYNC = 2,
    CALL_FSYNC = 4,
    CALL_RENAME = 8,
    CALL_TRUNCATE = 16,
    CALL_UNLINK = 32,
    CALL_ANY = 63
};

static _Atomic long calls_left = -1; /* until the failure; below 0: none is to come */
static _Atomic long failures_left;   /* so many calls in a row fail then */
static _Atomic long failed;
static int failure;           /* with this errno */
static unsigned failing_kind; /* of these calls only */

static bool fails_now(enum call call)
{
    if (!(call & failing_kind) || atomic_load(&calls_left) < 0)
        return false;
    if (atomic_fetch_sub(&calls_left, 1) > 0)
        return false;
    if (atomic_fetch_sub(&failures_left, 1) > 1)
        atomic_store(&calls_left, 0);
    atomic_fetch_add(&failed, 1);
    errno = failure;
    return true;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return fails_now(CALL_WRITE) ? -1 : syscall(SYS_pwrite64, fd, bytes, n, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_now(CALL_WRITE) ? -1 : syscall(SYS_writev, fd, parts, count);
}

int fdatasync(int fd)
{
    return fails_now(CALL_FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fails_now(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return fails_now(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int ftruncate(int fd, off_t size)
{
    return fails_now(CALL_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int unlinkat(int fd, const char *path, int flags)
{
    return fails_now(CALL_UNLINK) ? -1 : (int)syscall(SYS_unlinkat, fd, path, flags);
}

/* After `n` more calls of these kinds `count` fail. */
static void arm(unsigned kinds, long n, long count, int error)
{
    failing_kind = kinds;
    failure = error;
    atomic_store(&failed, 0);
    atomic_store(&failures_left, count);
    atomic_store(&calls_left, n);
}

/* True when a call failed. */
static bool disarm(void)
{
    atomic_store(&calls_left, -1);
    return atomic_load(&failed) > 0;
}

/* --- what is done meanwhile --- */

/* Thousands of syncs: in memory where that can be had, since no real disk is wanted. */
static int setup(void **state)
{
    (void)state;
    return kit_setup_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

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

/* Not always none: the call that failed may have been the unlink of a file that nobody wants. */
static uint64_t bytes_in_partial(void)
{
    DIR *folder = opendir(kit_file("partial"));
    struct dirent *item;
    struct stat st;
    uint64_t bytes = 0;

    assert_non_null(folder);
    while ((item = readdir(folder)))
        if (item->d_name[0] != '.' && fstatat(dirfd(folder), item->d_name, &st, 0) == 0)
            bytes += (uint64_t)st.st_size;
    closedir(folder);
    return bytes;
}

/* One run with a fault at the n-th call. False when there are not so many calls. */
static bool run_with_fault(long n, long count, int error)
{
    struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);

    kit_wait_scan(store);
    arm(CALL_ANY, n, count, error);
    work(store);
    bool reached = disarm();
    assert_nothing_wrong(store);
    kit_check_files(store);
    assert_works(store);
    store_close(&store);

    store = kit_open_sized(BOUND, KIT_MAP_SIZE);
    kit_wait_scan(store);
    kit_flush(store);
    kit_check_index(store->index);
    kit_check_files(store);
    kit_check_no_orphans(store);
    assert_nothing_wrong(store);
    assert_works(store);
    assert_int_equal(kit_stats(store).partial_bytes, bytes_in_partial());
    assert_true(kit_stats(store).bytes <= BOUND);
    store_close(&store);
    return reached;
}

/*
 * Each `step`-th call is the one that fails in a run of its own; in a quick check (CHECK=1) a tenth
 * of them.
 */
static void run_all(void **state, long step, long count, int error)
{
    long n = 0;

    if (getenv("CHECK"))
        step *= 10;
    while (run_with_fault(n, count, error)) {
        n += step;
        assert_int_equal(kit_teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
    print_message("%ld runs, each with a fault at another call\n", n / step);
    assert_true(n > 60);
}

static void test_one_call_fails_with_no_room(void **state)
{
    run_all(state, 3, 1, ENOSPC);
}

static void test_no_room_for_a_while(void **state)
{
    run_all(state, 7, 12, ENOSPC);
}

static void test_one_call_fails_with_io_error(void **state)
{
    run_all(state, 2, 1, EIO);
}

/* A commit that failed once is tried again, op by op, before anyone is told. */
static void test_a_batch_that_failed_is_tried_again(void **state)
{
    (void)state;
    struct store *store = kit_open();

    kit_wait_scan(store);
    kit_flush(store);
    arm(CALL_ANY, 0, 1, ENOSPC);
    assert_int_equal(kit_put(store, 1, &bodies[1], true), ERR_OK);
    assert_true(disarm());
    assert_true(kit_holds(store, 1, &bodies[1]));
    store_close(&store);
}

/* The disk is full for good: pulls are relayed, what is held is served, and nothing dies. */
static void test_no_room_for_ever(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);
    struct errinfo info = {.msg = ""};

    kit_wait_scan(store);
    assert_int_equal(kit_put(store, 1, &bodies[1], true), ERR_OK);
    arm(CALL_ANY, 0, 1000000, ENOSPC);
    assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_FULL);
    assert_non_null(strstr(info.msg, "No space left"));
    assert_int_equal(kit_put(store, 3, &bodies[3], true), ERR_FULL);
    assert_true(kit_stats(store).failing);
    assert_true(kit_holds(store, 1, &bodies[1]));
    disarm();
    assert_works(store);
    store_close(&store);
}

/* A full disk at the start: what is held is served. */
static void test_start_on_a_full_disk(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct errinfo info;

    assert_int_equal(kit_put(store, 1, &bodies[1], true), ERR_OK);
    assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_OK);
    assert_int_equal(kit_put(store, 0, &bodies[0], false), ERR_OK);
    kit_wait_scan(store);
    store_close(&store);
    arm(CALL_WRITE, 0, 1000000, ENOSPC);
    store = kit_open();
    assert_true(kit_stats(store).failing);
    assert_true(kit_holds(store, 0, &bodies[0]) && kit_holds(store, 1, &bodies[1]));
    assert_true(disarm());
    assert_works(store);
    /* The first change that succeeds marks the store as in use. */
    struct catalog_txn t;
    assert_int_equal(catalog_begin(store->index, &t), ERR_OK);
    assert_false(t.totals.clean);
    catalog_abort(&t);
    store_close(&store);
}

/* The disk is full although the bound is not reached: the oldest goes, and the fill goes on. */
static void test_a_fill_makes_room_on_a_full_disk(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct errinfo info;

    kit_wait_scan(store);
    for (unsigned i = 4; i >= 2; i -= 2) {
        assert_int_equal(kit_fill(store, i, &bodies[i], &info), ERR_OK);
        kit_sleep_ms(2);
    }
    arm(CALL_WRITE, 0, 1, ENOSPC);
    assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_OK);
    assert_true(disarm());
    assert_false(kit_exists(kit_blob_name(&bodies[4].digest)));
    assert_true(kit_exists(kit_blob_name(&bodies[2].digest)));
    assert_true(kit_exists(kit_blob_name(&bodies[0].digest)));
    assert_false(kit_stats(store).failing);
    store_close(&store);
}

/* Law 2: no record before the file's bytes, and its name in the folder, are safe on disk. */
static void test_no_record_without_both_syncs(void **state)
{
    (void)state;
    static const unsigned kinds[] = {CALL_FDATASYNC, CALL_FSYNC};
    struct errinfo info;
    char folder[64];
    uint64_t size;

    for (size_t i = 0; i < 2; i++) {
        struct store *store = kit_open();
        /* A new folder would be synced for its own sake. */
        snprintf(folder, sizeof folder, "%.15s", kit_blob_name(&bodies[0].digest));
        assert_int_equal(mkdir(kit_file(folder), 0700), 0);
        struct store_reader *reader = kit_reader(store);
        kit_wait_scan(store);
        kit_flush(store);
        arm(kinds[i], 0, 1000, EIO);
        assert_int_equal(kit_fill(store, 0, &bodies[0], &info), ERR_IO);
        assert_true(disarm());
        assert_false(store_has_blob(reader, &bodies[0].digest, &size));
        assert_works(store);
        kit_check_no_orphans(store);
        store_reader_free(&reader);
        store_close(&store);
        assert_int_equal(kit_teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
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
    arm(CALL_ANY, 0, 1, EIO);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_call_fails_with_no_room),
        TEST(test_no_room_for_a_while),
        TEST(test_one_call_fails_with_io_error),
        TEST(test_no_room_for_ever),
        TEST(test_a_batch_that_failed_is_tried_again),
        TEST(test_no_record_without_both_syncs),
        TEST(test_start_on_a_full_disk),
        TEST(test_a_fill_makes_room_on_a_full_disk),
        TEST(test_failed_sync_is_not_tried_again),
    };
    return cmocka_run_group_tests(tests, make_bodies, free_bodies);
}
