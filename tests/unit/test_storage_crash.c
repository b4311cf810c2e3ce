/*
 * The store under kill -9. A child fills, puts, removes and evicts until it is killed at a random
 * moment; then what the store says it holds must be right, byte for byte, and its books in order.
 */
#include "storage_kit.h"

#include <signal.h>

enum { KILLS = 30, BODIES = 24, BOUND = 500000, LONGEST_MS = 60 };

static struct kit_body bodies[BODIES];

static int make_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BODIES; i++)
        bodies[i] = kit_body_new(i, i % 3 == 0 ? 2000 + i : 20000 * (i % 3) + i);
    return 0;
}

static int free_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BODIES; i++)
        kit_body_free(&bodies[i]);
    return 0;
}

/* --- the child; without assertions, for it is killed anyway --- */

struct shift {
    struct store *store;
    unsigned seed;
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 8;
}

/* In pieces, so that the kill may come between them; resumed where an earlier child was killed. */
static void fill_in_pieces(struct store *store, unsigned i)
{
    struct store_key key = kit_key(i);
    struct partial *p;
    struct digest content;
    uint64_t offset;
    enum err err = partial_open(store, &key, &bodies[i].digest, true, &p, &offset, NULL);

    while (err == ERR_OK && offset < bodies[i].n) {
        size_t n = bodies[i].n - offset < 7000 ? bodies[i].n - offset : 7000;
        err = partial_append(p, bodies[i].bytes + offset, n, NULL);
        offset += n;
    }
    if (err == ERR_OK && partial_verify(p, &content) == ERR_OK)
        err = partial_commit(p, &content, NULL);
    partial_free(&p, true);
}

static void *work_until_killed(void *arg)
{
    struct shift *shift = arg;
    struct store *store = shift->store;

    for (;;) {
        unsigned i = next_random(&shift->seed) % BODIES;
        /* Key i has body i or, after a while, body i + 1: entries are replaced, too. */
        unsigned key = (i + next_random(&shift->seed) % 2) % BODIES;
        struct store_key k = kit_key(key);
        struct store_entry entry = kit_entry(&bodies[i]);
        bool in_file = bodies[i].n > STORE_INLINE_MAX;
        if (in_file)
            fill_in_pieces(store, i);
        enum err err = store_put(
            store, &k, &entry,
            slice_of(in_file ? NULL : bodies[i].bytes, in_file ? 0 : bodies[i].n), NULL, NULL);
        if (next_random(&shift->seed) % 8 == 0)
            err = store_remove(store, &k);
        if (err != ERR_OK)
            kit_sleep_ms(1);
    }
    return NULL;
}

static void be_killed(unsigned seed)
{
    struct store_options options = {kit_path, BOUND, KIT_MAP_SIZE};
    struct store *store;
    pthread_t thread;

    if (store_open(&options, &store, NULL) != ERR_OK)
        _exit(1);
    struct shift shifts[2] = {{store, seed}, {store, seed + 77}};
    if (pthread_create(&thread, NULL, work_until_killed, &shifts[1]) != 0)
        _exit(1);
    work_until_killed(&shifts[0]);
}

/* --- what is looked at afterwards --- */

static const struct kit_body *body_of(const struct digest *digest)
{
    for (unsigned i = 0; i < BODIES; i++)
        if (digest_equal(&bodies[i].digest, digest))
            return &bodies[i];
    return NULL;
}

/* Gives the number of entries, each of which is right. */
static unsigned assert_entries_right(struct store *store)
{
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;
    unsigned found = 0;

    for (unsigned key = 0; key < BODIES; key++) {
        kit_lookup(reader, key, &l);
        if (l.err == ERR_OK) {
            const struct kit_body *body = body_of(&l.entry.content);
            assert_non_null(body);
            if (l.body.is_inline)
                assert_true(slice_eq(l.body.bytes, slice_of(body->bytes, body->n)));
            else
                assert_true(kit_fd_is(l.body.fd, body));
            found++;
        } else {
            assert_int_equal(l.err, ERR_NOTFOUND);
        }
        kit_lookup_end(&l);
    }
    store_reader_free(&reader);
    return found;
}

static void test_kills(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_mono_ms(), entries = 0, files = 0;

    print_message("seed %u\n", seed);
    for (unsigned i = 0; i < KILLS; i++) {
        long ms = (long)(next_random(&seed) % LONGEST_MS);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            be_killed(seed);
        kit_sleep_ms(ms);
        int status;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        struct store *store = kit_open_sized(BOUND, KIT_MAP_SIZE);
        kit_wait_scan(store);
        kit_flush(store);
        kit_check_index(store->index);
        kit_check_files(store);
        entries += assert_entries_right(store);
        files += kit_check_no_orphans(store);
        assert_true(kit_stats(store).bytes + kit_stats(store).partial_bytes <= BOUND);
        /* The next child finds the store closed in order, or not. */
        if (i % 2)
            kit_close_unclean(&store);
        else
            store_close(&store);
    }
    print_message("%u kills; afterwards %u entries and %u files were right\n", KILLS, entries,
                  files);
    assert_true(entries > 0 && files > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kills),
    };
    return cmocka_run_group_tests(tests, make_bodies, free_bodies);
}
