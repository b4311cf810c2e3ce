#include "storage/scan.c"

#include "storage_kit.h"

/* A file in blobs/ that no record names. */
static void leave_blob(const struct digest *name, const struct kit_body *body)
{
    char folder[64];

    snprintf(folder, sizeof folder, "%.15s", kit_blob_name(name));
    if (mkdir(kit_file(folder), 0700) != 0)
        assert_int_equal(errno, EEXIST);
    kit_write_file(kit_blob_name(name), body->bytes, body->n);
}

static void leave_unclean(void)
{
    struct store *store = kit_open();

    kit_close_unclean(&store);
}

static void test_orphans_are_entered_and_liars_removed(void **state)
{
    (void)state;
    struct kit_body orphan = kit_body_new(1, 30000), empty = kit_body_new(2, 0);
    struct kit_body liar = kit_body_new(3, 30000), other = kit_body_new(4, 20);
    uint64_t size;

    leave_unclean();
    leave_blob(&orphan.digest, &orphan);
    leave_blob(&empty.digest, &empty);
    leave_blob(&liar.digest, &other);
    struct store *store = kit_open();
    kit_wait_scan(store);
    struct store_reader *reader = kit_reader(store);
    assert_true(store_has_blob(reader, &orphan.digest, &size));
    assert_int_equal(size, 30000);
    assert_true(store_has_blob(reader, &empty.digest, &size));
    assert_false(store_has_blob(reader, &liar.digest, &size));
    assert_false(kit_exists(kit_blob_name(&liar.digest)));
    assert_int_equal(kit_stats(store).bytes, 30000);
    assert_int_equal(kit_put(store, 1, &orphan, false), ERR_OK);
    assert_true(kit_holds(store, 1, &orphan));
    store_reader_free(&reader);
    kit_check_index(store->index);
    store_close(&store);
    struct kit_body *all[] = {&orphan, &empty, &liar, &other};
    for (size_t i = 0; i < 4; i++)
        kit_body_free(all[i]);
}

static void test_no_walk_after_an_orderly_close(void **state)
{
    (void)state;
    struct kit_body orphan = kit_body_new(1, 30000);
    uint64_t size;
    struct store *store = kit_open();

    kit_wait_scan(store);
    store_close(&store);
    leave_blob(&orphan.digest, &orphan);
    store = kit_open();
    assert_false(kit_stats(store).scanning);
    struct store_reader *reader = kit_reader(store);
    assert_false(store_has_blob(reader, &orphan.digest, &size));
    store_reader_free(&reader);
    store_close(&store);
    kit_body_free(&orphan);
}

static void test_a_walk_cut_short_is_due_again(void **state)
{
    (void)state;
    enum { BODIES = 6 };
    struct kit_body bodies[BODIES];
    uint64_t size;

    leave_unclean();
    for (unsigned i = 0; i < BODIES; i++) {
        bodies[i] = kit_body_new(i, KIT_BODY_MAX);
        leave_blob(&bodies[i].digest, &bodies[i]);
    }
    struct store *store = kit_open();
    assert_true(kit_stats(store).scanning);
    store_close(&store);
    store = kit_open();
    assert_true(kit_stats(store).scanning);
    kit_wait_scan(store);
    struct store_reader *reader = kit_reader(store);
    for (unsigned i = 0; i < BODIES; i++) {
        assert_true(store_has_blob(reader, &bodies[i].digest, &size));
        kit_body_free(&bodies[i]);
    }
    store_reader_free(&reader);
    assert_int_equal(kit_stats(store).bytes, (uint64_t)BODIES * KIT_BODY_MAX);
    store_close(&store);
}

static void test_file_that_differs_from_its_record(void **state)
{
    (void)state;
    struct kit_body cut = kit_body_new(1, 30000), doubled = kit_body_new(2, 500);
    struct store *store = kit_open();
    struct errinfo info;

    assert_int_equal(kit_fill(store, 1, &cut, &info), ERR_OK);
    assert_int_equal(kit_put(store, 1, &cut, false), ERR_OK);
    assert_int_equal(kit_put(store, 2, &doubled, true), ERR_OK);
    kit_close_unclean(&store);
    assert_int_equal(truncate(kit_file(kit_blob_name(&cut.digest)), 100), 0);
    leave_blob(&doubled.digest, &doubled);
    store = kit_open();
    kit_wait_scan(store);
    kit_flush(store);
    assert_false(kit_exists(kit_blob_name(&cut.digest)));
    assert_false(kit_exists(kit_blob_name(&doubled.digest)));
    assert_int_equal(kit_stats(store).entries, 1);
    assert_true(kit_holds(store, 2, &doubled));
    kit_check_index(store->index);
    store_close(&store);
    kit_body_free(&cut);
    kit_body_free(&doubled);
}

static void test_work_goes_on_during_a_walk(void **state)
{
    (void)state;
    enum { BODIES = 4 };
    struct kit_body bodies[BODIES], meanwhile = kit_body_new(100, 40000);
    struct errinfo info;

    leave_unclean();
    for (unsigned i = 0; i < BODIES; i++) {
        bodies[i] = kit_body_new(i, KIT_BODY_MAX);
        leave_blob(&bodies[i].digest, &bodies[i]);
    }
    struct store *store = kit_open();
    /* The same content may be fetched while its old file waits to be hashed. */
    assert_int_equal(kit_fill(store, 1, &bodies[1], &info), ERR_OK);
    assert_int_equal(kit_fill(store, 2, &meanwhile, &info), ERR_OK);
    assert_int_equal(kit_put(store, 2, &meanwhile, false), ERR_OK);
    assert_true(kit_holds(store, 2, &meanwhile));
    kit_wait_scan(store);
    assert_int_equal(kit_stats(store).blobs, BODIES + 1);
    kit_check_index(store->index);
    store_close(&store);
    for (unsigned i = 0; i < BODIES; i++)
        kit_body_free(&bodies[i]);
    kit_body_free(&meanwhile);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_orphans_are_entered_and_liars_removed),
        TEST(test_no_walk_after_an_orderly_close),
        TEST(test_a_walk_cut_short_is_due_again),
        TEST(test_file_that_differs_from_its_record),
        TEST(test_work_goes_on_during_a_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
