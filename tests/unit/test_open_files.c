#include "storage/open_files.c"

#include "storage_kit.h"

enum { FILE_SIZE = 5000 };

static struct blob_files files;
static struct open_files of;

/* Blob `n` is a file of FILE_SIZE bytes; its digest is made up. */
static struct blob_id id_of(unsigned n)
{
    struct blob_id id = {.bytes = {0}};

    memcpy(id.bytes, &n, sizeof n);
    return id;
}

static const char *path_of(unsigned n)
{
    struct digest digest = {.algo = DIGEST_SHA256};
    struct blob_id id = id_of(n);

    memcpy(digest.bytes, id.bytes, sizeof id.bytes);
    return kit_blob_name(&digest);
}

static void make_blob(unsigned n, size_t size)
{
    char folder[32], *bytes = calloc(1, size);

    snprintf(folder, sizeof folder, "blobs/sha256/%02x", n & 0xff);
    mkdir(kit_file(folder), 0700);
    memset(bytes, (int)n, size);
    kit_write_file(path_of(n), bytes, size);
    free(bytes);
}

static int set_up(void **state)
{
    int rc = kit_setup(state);

    assert_int_equal(files_open(&files, kit_path, NULL), ERR_OK);
    open_files_init(&of, &files);
    return rc;
}

static int tear_down(void **state)
{
    open_files_destroy(&of);
    files_close(&files);
    return kit_teardown(state);
}

static struct open_file *get_sized(unsigned n, size_t size)
{
    struct blob_id id = id_of(n);
    struct open_file *file;

    return open_files_get(&of, &id, size, &file) == ERR_OK ? file : NULL;
}

static struct open_file *get(unsigned n)
{
    return get_sized(n, FILE_SIZE);
}

/* Opened and given back. */
static void use(unsigned n)
{
    struct open_file *file = get(n);

    assert_non_null(file);
    open_file_release(file);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_users_share_one_descriptor(void **state)
{
    (void)state;
    make_blob(1, FILE_SIZE);
    make_blob(2, FILE_SIZE);
    struct open_file *a = get(1), *b = get(1), *other = get(2);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_int_equal(of.count, 2);
    open_file_share(a);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(of.idle_count, 0);
        open_file_release(a);
    }
    assert_int_equal(of.idle_count, 1);
    assert_ptr_equal(get(1), a);
    assert_int_equal(of.idle_count, 0);
    open_file_release(a);
    open_file_release(other);
}

static void test_what_is_not_there_is_not_found(void **state)
{
    (void)state;
    make_blob(1, FILE_SIZE);
    assert_null(get(2));
    assert_null(get_sized(1, FILE_SIZE + 1));
    assert_int_equal(of.count, 0);
    /* One that is open already is compared too. */
    use(1);
    assert_null(get_sized(1, FILE_SIZE - 1));
    use(1);
}

/* Digests that begin alike share a bucket. */
static void test_many_in_one_bucket(void **state)
{
    enum { FILES = 5 };
    (void)state;
    struct open_file *held[FILES];
    for (unsigned i = 0; i < FILES; i++) {
        make_blob(i * OPEN_FILES_BUCKETS, FILE_SIZE);
        held[i] = get(i * OPEN_FILES_BUCKETS);
    }
    assert_ptr_equal(held[0]->next, NULL);
    static const unsigned order[FILES] = {2, 0, 4, 1, 3};
    for (unsigned i = 0; i < FILES; i++) {
        struct open_file *file = held[order[i]];
        assert_ptr_equal(get(order[i] * OPEN_FILES_BUCKETS), file);
        open_file_release(file);
        unlist(file);
        open_file_release(file); /* closes it */
        assert_int_equal(of.count, FILES - 1 - i);
    }
}

static void test_idle_files_are_bounded_and_the_oldest_goes_first(void **state)
{
    (void)state;
    of.idle_max = 3;
    for (unsigned n = 1; n <= 4; n++)
        make_blob(n, FILE_SIZE);
    struct open_file *first = get(1);
    for (unsigned n = 2; n <= 4; n++)
        use(n);
    assert_int_equal(of.count, 4); /* what is in use does not count */
    use(2);                        /* now 3 is the oldest */
    int third = of.oldest->fd;
    assert_int_equal(of.oldest->id.bytes[0], 3);
    open_file_release(first);
    assert_int_equal(of.idle_count, 3);
    assert_false(is_open(third));
    assert_int_equal(of.oldest->id.bytes[0], 4);
    assert_int_equal(of.newest->id.bytes[0], 1);
}

static void test_the_bound_follows_the_limit_of_the_process(void **state)
{
    (void)state;
    struct rlimit was, low = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    struct open_files other;
    low = was;
    static const struct {
        rlim_t limit;
        unsigned idle;
    } rows[] = {{1024, 16}, {256, 8}, {20000, 312}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        low.rlim_cur = rows[i].limit;
        if (low.rlim_cur > was.rlim_max)
            continue;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        open_files_init(&other, &files);
        assert_int_equal(other.idle_max, rows[i].idle);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void test_idle_files_make_room_when_descriptors_run_out(void **state)
{
    (void)state;
    struct rlimit was, low;
    make_blob(1, FILE_SIZE);
    make_blob(2, FILE_SIZE);
    use(1);
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = was;
    low.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct open_file *file = get(2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_non_null(file);
    assert_int_equal(of.count, 1);
    open_file_release(file);
}

static void test_what_nobody_uses_is_closed_after_two_turns(void **state)
{
    (void)state;
    make_blob(1, FILE_SIZE);
    make_blob(2, FILE_SIZE);
    assert_false(open_files_tend(&of));
    struct open_file *used = get(1);
    use(2);
    assert_true(open_files_tend(&of));
    assert_int_equal(of.count, 2);
    use(2);
    assert_true(open_files_tend(&of));
    assert_int_equal(of.count, 2);
    assert_true(open_files_tend(&of));
    assert_int_equal(of.count, 1); /* the one in use stays, for as long as it takes */
    for (int i = 0; i < 5; i++)
        assert_true(open_files_tend(&of));
    assert_true(is_open(used->fd));
    open_file_release(used);
    assert_true(open_files_tend(&of));
    assert_false(open_files_tend(&of));
    assert_int_equal(of.count, 0);
}

/* The store evicts something. Its space is not free before everybody has closed it. */
static void test_a_removal_closes_what_is_idle(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++)
        make_blob(n, FILE_SIZE);
    struct blob_id evicted = id_of(2);
    struct open_file *used = get(1);
    use(2);
    use(3);
    assert_int_equal(files_remove_blob(&files, &evicted), ERR_OK);
    assert_ptr_equal(get(1), used);
    assert_int_equal(of.count, 1);
    open_file_release(used);
    assert_null(get(2));
    open_file_release(used);
}

/* Law 3: a user keeps what was removed; nobody new gets it. */
static void test_what_is_removed_while_in_use_is_read_on_and_not_shared(void **state)
{
    (void)state;
    make_blob(1, FILE_SIZE);
    struct blob_id evicted = id_of(1);
    struct open_file *used = get(1);
    char byte;
    assert_int_equal(files_remove_blob(&files, &evicted), ERR_OK);
    assert_null(get(1));
    assert_int_equal(pread(used->fd, &byte, 1, FILE_SIZE - 1), 1);
    assert_int_equal(byte, 1);
    make_blob(1, FILE_SIZE); /* fetched again */
    struct open_file *fresh = get(1);
    assert_ptr_not_equal(fresh, used);
    int fd = used->fd;
    open_file_release(used);
    assert_false(is_open(fd)); /* at once, its space is free */
    assert_ptr_equal(get(1), fresh);
    open_file_release(fresh);
    open_file_release(fresh);
}

/* By somebody else, who does not tell us. */
static void test_a_removed_or_shortened_file_is_noticed_in_the_next_turn(void **state)
{
    (void)state;
    for (int shortened = 0; shortened < 2; shortened++) {
        make_blob(1, FILE_SIZE);
        use(1);
        if (shortened)
            assert_int_equal(truncate(kit_file(path_of(1)), 10), 0);
        else
            assert_int_equal(unlink(kit_file(path_of(1))), 0);
        assert_int_equal(of.count, 1);
        open_files_tend(&of);
        assert_null(get(1));
        assert_int_equal(of.count, 0);
    }
}

/* A user found it shorter: nobody else is to make that experience. */
static void test_a_doubted_file_is_looked_at_at_once(void **state)
{
    (void)state;
    make_blob(1, FILE_SIZE);
    struct open_file *file = get(1);
    open_file_doubt(file);
    assert_ptr_equal(get(1), file); /* it was right */
    open_file_release(file);
    assert_int_equal(truncate(kit_file(path_of(1)), 10), 0);
    assert_ptr_equal(get(1), file); /* looked at in this turn already */
    open_file_release(file);
    open_file_doubt(file);
    assert_null(get(1));
    open_file_release(file);
    assert_int_equal(of.count, 0);
}

/* --- in memory? --- */

/* Lets its pages go; false where that cannot be done, in a file system that is memory. */
static bool make_cold(int fd)
{
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return !files_in_memory(fd, 0, 1);
}

static void test_memory_is_looked_at_block_by_block(void **state)
{
    enum { SIZE = OPEN_FILES_LOOK + 300 };
    (void)state;
    make_blob(1, SIZE);
    struct open_file *file = get_sized(1, SIZE);
    static const struct {
        uint64_t from, end, stop;
    } rows[] = {
        {0, SIZE, OPEN_FILES_LOOK},     {10, 20, 20},
        {1, SIZE, 1 + OPEN_FILES_LOOK}, {OPEN_FILES_BLOCK - 1, SIZE, SIZE},
        {OPEN_FILES_BLOCK, SIZE, SIZE}, {OPEN_FILES_LOOK, SIZE, SIZE},
        {SIZE - 1, SIZE, SIZE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t end = rows[i].end;
        assert_true(open_file_in_memory(file, rows[i].from, &end));
        assert_int_equal(end, rows[i].stop);
    }
    open_file_release(file);
}

static void test_what_was_in_memory_is_not_looked_at_again_in_this_turn(void **state)
{
    enum { SIZE = 2 * OPEN_FILES_BLOCK };
    (void)state;
    make_blob(1, SIZE);
    struct open_file *file = get_sized(1, SIZE);
    uint64_t end = OPEN_FILES_BLOCK, part = 10;
    assert_true(open_file_in_memory(file, 0, &end));
    if (make_cold(file->fd)) {
        end = SIZE;
        assert_true(open_file_in_memory(file, 0, &end));
        assert_int_equal(end, OPEN_FILES_BLOCK); /* the next one is not there */
        assert_true(open_file_in_memory(file, 4096, &part));
        end = SIZE;
        assert_false(open_file_in_memory(file, OPEN_FILES_BLOCK, &end));
        open_files_tend(&of);
        end = OPEN_FILES_BLOCK;
        assert_false(open_file_in_memory(file, 0, &end));
    } else {
        print_message("this file system is memory: nothing can be cold here\n");
    }
    open_file_release(file);
}

/* A part of a block that is in memory says nothing about the rest of it. */
static void test_a_part_is_not_taken_for_its_block(void **state)
{
    enum { HALF = OPEN_FILES_BLOCK / 2 };
    (void)state;
    make_blob(1, OPEN_FILES_BLOCK);
    struct open_file *file = get_sized(1, OPEN_FILES_BLOCK);
    uint64_t end = HALF;
    fsync(file->fd);
    posix_fadvise(file->fd, HALF, HALF, POSIX_FADV_DONTNEED);
    bool half_is_cold = !files_in_memory(file->fd, HALF, HALF + 1);
    assert_true(open_file_in_memory(file, 0, &end));
    assert_int_equal(file->seen[0], half_is_cold ? 0 : 1);
    end = OPEN_FILES_BLOCK;
    assert_int_equal(open_file_in_memory(file, HALF, &end), !half_is_cold);
    open_file_release(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_users_share_one_descriptor),
        TEST(test_what_is_not_there_is_not_found),
        TEST(test_many_in_one_bucket),
        TEST(test_idle_files_are_bounded_and_the_oldest_goes_first),
        TEST(test_the_bound_follows_the_limit_of_the_process),
        TEST(test_idle_files_make_room_when_descriptors_run_out),
        TEST(test_what_nobody_uses_is_closed_after_two_turns),
        TEST(test_a_removal_closes_what_is_idle),
        TEST(test_what_is_removed_while_in_use_is_read_on_and_not_shared),
        TEST(test_a_removed_or_shortened_file_is_noticed_in_the_next_turn),
        TEST(test_a_doubted_file_is_looked_at_at_once),
        TEST(test_memory_is_looked_at_block_by_block),
        TEST(test_what_was_in_memory_is_not_looked_at_again_in_this_turn),
        TEST(test_a_part_is_not_taken_for_its_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
