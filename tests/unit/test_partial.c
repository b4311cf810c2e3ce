#include "storage/partial.c"

#include "storage_kit.h"

#include <openssl/evp.h>

static const struct digest no_digest = {.algo = DIGEST_NONE};

static struct partial *open_partial(struct store *store, unsigned key,
                                    const struct digest *expected, bool resume, uint64_t offset)
{
    struct store_key k = kit_key(key);
    struct partial *p;
    uint64_t found;
    struct errinfo info;

    assert_int_equal(partial_open(store, &k, expected, resume, &p, &found, &info), ERR_OK);
    assert_int_equal(found, offset);
    assert_int_equal(partial_size(p), offset);
    return p;
}

static void append(struct partial *p, const struct kit_body *body, size_t from, size_t to)
{
    struct errinfo info;

    assert_int_equal(partial_append(p, body->bytes + from, to - from, &info), ERR_OK);
}

static void test_append_verify_commit(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 100000);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &body, 0, 60000);
    assert_int_equal(partial_verify(p, &content), ERR_CORRUPT);
    append(p, &body, 60000, 100000);
    assert_int_equal(kit_stats(store).partial_bytes, 100000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_true(digest_equal(&content, &body.digest));
    assert_true(kit_fd_is(partial_fd(p), &body));
    assert_int_equal(partial_commit(p, &content, &info), ERR_OK);
    /* Who follows the fill reads on from the same descriptor. */
    assert_true(kit_fd_is(partial_fd(p), &body));
    partial_free(&p, true);
    assert_null(p);

    assert_int_equal(kit_stats(store).partial_bytes, 0);
    assert_int_equal(store->filling_bytes, 0);
    assert_int_equal(kit_stats(store).bytes, 100000);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static void test_unknown_digest_is_found(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 5000);
    struct partial *p = open_partial(store, 1, &no_digest, false, 0);
    struct digest content;

    append(p, &body, 0, 5000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_true(digest_equal(&content, &body.digest));
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&body);
}

static void try_algorithm(enum digest_algo algo, const EVP_MD *md)
{
    struct store *store = kit_open();
    struct kit_body body = kit_body_new((unsigned)algo, 5000);
    struct digest expected = {.algo = algo}, content;
    struct errinfo info;
    unsigned n;

    EVP_Digest(body.bytes, body.n, expected.bytes, &n, md, NULL);
    assert_int_equal(n, digest_bytes(algo));
    struct partial *p = open_partial(store, 1, &expected, false, 0);
    append(p, &body, 0, 2000);
    partial_free(&p, true);
    p = open_partial(store, 1, &expected, true, 2000);
    append(p, &body, 2000, 5000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_true(digest_equal(&content, &body.digest));
    assert_int_equal(partial_commit(p, &content, &info), ERR_OK);
    partial_free(&p, false);
    assert_true(kit_exists(kit_blob_name(&body.digest)));

    expected.bytes[n - 1] ^= 1;
    p = open_partial(store, 1, &expected, false, 0);
    append(p, &body, 0, 5000);
    assert_int_equal(partial_verify(p, &content), ERR_CORRUPT);
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&body);
}

static void test_any_digest_is_compared_and_sha256_is_the_name(void **state)
{
    (void)state;
    try_algorithm(DIGEST_SHA512, EVP_sha512());
    try_algorithm(DIGEST_SHA384, EVP_sha384());
    try_algorithm(DIGEST_SHA224, EVP_sha224());
    try_algorithm(DIGEST_SHA1, EVP_sha1());
    try_algorithm(DIGEST_MD5, EVP_md5());
}

static void test_restart(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body wrong = kit_body_new(1, 5000), right = kit_body_new(2, 3000);
    struct partial *p = open_partial(store, 1, &right.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &wrong, 0, 5000);
    assert_int_equal(partial_verify(p, &content), ERR_CORRUPT);
    assert_int_equal(partial_restart(p, &info), ERR_OK);
    assert_int_equal(partial_size(p), 0);
    append(p, &right, 0, 3000);
    assert_int_equal(kit_stats(store).partial_bytes, 3000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_true(kit_fd_is(partial_fd(p), &right));
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&wrong);
    kit_body_free(&right);
}

static void test_resume_after_a_restart_of_the_daemon(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 700000);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &body, 0, 400001);
    partial_free(&p, true);
    store_close(&store);
    store = kit_open();
    assert_int_equal(kit_stats(store).partial_bytes, 400001);
    p = open_partial(store, 1, &body.digest, true, 400001);
    append(p, &body, 400001, 700000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_int_equal(partial_commit(p, &content, &info), ERR_OK);
    partial_free(&p, false);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

/* After a power loss the end of the file may never have been written. */
static void test_zeros_at_the_end_are_found_out(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 10000);
    static const char zeros[4096];
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &body, 0, 8192);
    assert_int_equal(pwrite(partial_fd(p), zeros, sizeof zeros, 4096), sizeof zeros);
    partial_free(&p, true);
    p = open_partial(store, 1, &body.digest, true, 8192);
    append(p, &body, 8192, 10000);
    assert_int_equal(partial_verify(p, &content), ERR_CORRUPT);
    assert_int_equal(partial_restart(p, &info), ERR_OK);
    append(p, &body, 0, 10000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&body);
}

static void test_no_resume_when_not_wanted_or_not_provable(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 5000);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);

    append(p, &body, 0, 4000);
    partial_free(&p, true);
    p = open_partial(store, 1, &body.digest, true, 4000);
    partial_free(&p, true);
    p = open_partial(store, 1, &no_digest, true, 0);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    append(p, &body, 0, 4000);
    partial_free(&p, true);
    p = open_partial(store, 1, &body.digest, false, 0);
    append(p, &body, 0, 4000);
    partial_free(&p, false);
    p = open_partial(store, 1, &body.digest, true, 0);
    partial_free(&p, true);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    assert_int_equal(store->partials.count, 0);
    store_close(&store);
    kit_body_free(&body);
}

static void test_one_fill_for_each_key(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 50);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0), *second;
    struct store_key key = kit_key(1);
    uint64_t offset;
    struct errinfo info;

    assert_int_equal(partial_open(store, &key, &body.digest, true, &second, &offset, &info),
                     ERR_LIMIT);
    assert_null(second);
    partial_free(&p, false);
    p = open_partial(store, 1, &body.digest, false, 0);
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&body);
}

static void test_held_content_drops_the_file(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 50000);
    struct errinfo info;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_fill(store, 2, &body, &info), ERR_OK);
    assert_int_equal(kit_stats(store).blobs, 1);
    assert_int_equal(kit_stats(store).bytes, 50000);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    assert_int_equal(store->filling_bytes, 0);
    assert_int_equal(store->partials.count, 0);
    store_close(&store);
    kit_body_free(&body);
}

static void test_lost_file_is_put_back_by_a_commit(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 50000);
    struct errinfo info;

    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    uint64_t bytes = kit_stats(store).bytes;
    assert_int_equal(unlink(kit_file(kit_blob_name(&body.digest))), 0);
    assert_int_equal(kit_fill(store, 1, &body, &info), ERR_OK);
    assert_int_equal(kit_stats(store).bytes, bytes);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static uint64_t blocks_of(const struct partial *p)
{
    struct stat st;

    assert_int_equal(fstat(partial_fd(p), &st), 0);
    assert_int_equal(st.st_size, partial_size(p));
    return (uint64_t)st.st_blocks * 512;
}

enum { BIG = KIT_BODY_MAX, PIECE = 1 << 18 };

static void append_big(struct partial *p, const struct kit_body *body)
{
    for (size_t at = 0; at < BIG; at += PIECE)
        append(p, body, at, at + PIECE);
}

/* A big file gets blocks in advance; none of them outlives the fill. */
static void test_blocks_in_advance_are_given_back(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, BIG);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append_big(p, &body);
    assert_in_range(blocks_of(p), BIG + RESERVE_MIN / 2, BIG + RESERVE_MAX);
    partial_free(&p, true);
    p = open_partial(store, 1, &body.digest, true, BIG);
    assert_in_range(blocks_of(p), BIG, BIG + PIECE);
    assert_int_equal(partial_restart(p, &info), ERR_OK);
    append_big(p, &body);
    assert_in_range(blocks_of(p), BIG + RESERVE_MIN / 2, BIG + RESERVE_MAX);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_int_equal(partial_commit(p, &content, &info), ERR_OK);
    p->size = BIG; /* which the commit has made the blob's */
    assert_in_range(blocks_of(p), BIG, BIG + PIECE);
    p->size = 0;
    partial_free(&p, false);
    assert_int_equal(kit_put(store, 1, &body, false), ERR_OK);
    assert_true(kit_holds(store, 1, &body));
    store_close(&store);
    kit_body_free(&body);
}

static void test_larger_than_the_bound(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(100000, KIT_MAP_SIZE);
    struct kit_body body = kit_body_new(1, 100001);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &body, 0, 60000);
    assert_int_equal(partial_append(p, body.bytes + 60000, 40000, &info), ERR_OK);
    assert_int_equal(partial_append(p, body.bytes + 100000, 1, &info), ERR_FULL);
    /* A bound that was set is no failure of the disk. */
    assert_false(kit_stats(store).failing);
    assert_int_equal(partial_size(p), 100000);
    /* What is relayed is verified all the same, but not kept. */
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_int_equal(partial_commit(p, &content, &info), ERR_FULL);
    partial_free(&p, false);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    store_close(&store);
    kit_body_free(&body);
}

static void test_after_a_failure_bytes_are_hashed_only(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(10000, KIT_MAP_SIZE);
    struct kit_body body = kit_body_new(1, 12000);
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct digest content;
    struct errinfo info;

    append(p, &body, 0, 4000);
    assert_int_equal(partial_append(p, body.bytes + 4000, 7000, &info), ERR_FULL);
    assert_int_equal(partial_append(p, body.bytes + 11000, 1000, &info), ERR_FULL);
    assert_int_equal(partial_size(p), 4000);
    assert_int_equal(partial_verify(p, &content), ERR_OK);
    assert_int_equal(partial_restart(p, &info), ERR_OK);
    append(p, &body, 0, 4000);
    partial_free(&p, false);
    store_close(&store);
    kit_body_free(&body);
}

static void test_fills_together_are_bounded(void **state)
{
    (void)state;
    struct store *store = kit_open_sized(100000, KIT_MAP_SIZE);
    struct kit_body body = kit_body_new(1, 60000);
    struct errinfo info;
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    struct partial *q = open_partial(store, 2, &body.digest, false, 0);
    struct partial *r = open_partial(store, 3, &body.digest, false, 0);

    append(p, &body, 0, 60000);
    append(q, &body, 0, 40000);
    assert_int_equal(partial_append(r, body.bytes, 1, &info), ERR_FULL);
    partial_free(&p, false);
    append(q, &body, 40000, 60000);
    partial_free(&q, false);
    partial_free(&r, false);
    assert_int_equal(store->filling_bytes, 0);
    store_close(&store);
    kit_body_free(&body);
}

static void test_left_says_what_can_be_resumed(void **state)
{
    (void)state;
    struct store *store = kit_open();
    struct kit_body body = kit_body_new(1, 100);
    struct store_key key = kit_key(1);

    assert_false(partial_left(store, &key));
    struct partial *p = open_partial(store, 1, &body.digest, false, 0);
    append(p, &body, 0, 50);
    assert_false(partial_left(store, &key));
    partial_free(&p, true);
    assert_true(partial_left(store, &key));
    store_close(&store);
    store = kit_open();
    assert_true(partial_left(store, &key));
    p = open_partial(store, 1, &body.digest, true, 50);
    partial_free(&p, false);
    assert_false(partial_left(store, &key));
    store_close(&store);
    kit_body_free(&body);
}

struct racer {
    struct store *store;
    const struct kit_body *bodies;
    unsigned count;
    unsigned key;
    enum err result;
};

static void *fill_all(void *arg)
{
    struct racer *racer = arg;
    struct errinfo info;

    for (unsigned i = 0; i < racer->count && racer->result == ERR_OK; i++)
        racer->result = kit_fill(racer->store, racer->key + i, &racer->bodies[i], &info);
    return NULL;
}

static void test_two_threads_commit_the_same_contents(void **state)
{
    (void)state;
    enum { BODIES = 20 };
    struct store *store = kit_open();
    struct kit_body bodies[BODIES];
    for (unsigned i = 0; i < BODIES; i++)
        bodies[i] = kit_body_new(i, 20000 + i);
    struct racer racers[2] = {{store, bodies, BODIES, 0, ERR_OK},
                              {store, bodies, BODIES, 1000, ERR_OK}};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_all, &racers[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].result, ERR_OK);
    }
    assert_int_equal(kit_stats(store).blobs, BODIES);
    assert_int_equal(kit_stats(store).partial_bytes, 0);
    kit_check_index(store->index);
    for (unsigned i = 0; i < BODIES; i++) {
        assert_int_equal(kit_put(store, i, &bodies[i], false), ERR_OK);
        assert_true(kit_holds(store, i, &bodies[i]));
        kit_body_free(&bodies[i]);
    }
    store_close(&store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_append_verify_commit),
        TEST(test_unknown_digest_is_found),
        TEST(test_any_digest_is_compared_and_sha256_is_the_name),
        TEST(test_restart),
        TEST(test_resume_after_a_restart_of_the_daemon),
        TEST(test_zeros_at_the_end_are_found_out),
        TEST(test_no_resume_when_not_wanted_or_not_provable),
        TEST(test_one_fill_for_each_key),
        TEST(test_held_content_drops_the_file),
        TEST(test_lost_file_is_put_back_by_a_commit),
        TEST(test_blocks_in_advance_are_given_back),
        TEST(test_larger_than_the_bound),
        TEST(test_after_a_failure_bytes_are_hashed_only),
        TEST(test_fills_together_are_bounded),
        TEST(test_left_says_what_can_be_resumed),
        TEST(test_two_threads_commit_the_same_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
