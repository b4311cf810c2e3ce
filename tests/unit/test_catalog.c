#include "storage/catalog.c"

#include "storage_kit.h"

static struct index *the_index;

static int setup(void **state)
{
    if (kit_setup(state) != 0 || mkdir(kit_file("index"), 0700) != 0)
        return -1;
    return index_open(kit_file("index"), KIT_MAP_SIZE, &the_index, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    index_close(&the_index);
    return kit_teardown(state);
}

static struct catalog_txn begin(void)
{
    struct catalog_txn t;

    assert_int_equal(catalog_begin(the_index, &t), ERR_OK);
    return t;
}

/* Commits and looks whether all still fits together. */
static struct totals_record commit(struct catalog_txn *t)
{
    assert_int_equal(catalog_commit(t, NULL), ERR_OK);
    kit_check_index(the_index);
    return t->totals;
}

static enum err put(struct catalog_txn *t, unsigned key, const struct kit_body *body,
                    bool body_inline, int64_t now_ms)
{
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_key k = kit_key(key);
    struct store_entry entry = kit_entry(body);
    enum err verdict;

    assert_int_equal(record_encode_entry(&entry, record, &n), ERR_OK);
    assert_int_equal(
        catalog_put_entry(t, &k, slice_of(record, n),
                          body_inline ? slice_of(body->bytes, body->n) : slice_of(NULL, 0), now_ms,
                          &verdict),
        ERR_OK);
    return verdict;
}

static enum err find_entry(struct catalog_txn *t, unsigned key, struct store_entry *entry)
{
    struct slice value;
    struct entry_value parts;
    struct store_key k = kit_key(key);
    enum err err = catalog_find_entry(&t->index, &k, &value);

    if (err == ERR_OK)
        err = record_split_value(value, &parts);
    return err == ERR_OK ? record_decode_entry(parts.record, entry) : err;
}

static void test_put_needs_the_content(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest);
    struct catalog_txn t = begin();
    struct store_entry entry;

    assert_int_equal(put(&t, 1, &body, false, 10), ERR_NOTFOUND);
    assert_int_equal(find_entry(&t, 1, &entry), ERR_NOTFOUND);
    assert_int_equal(catalog_enter_file(&t, &id, 50, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &body, false, 20), ERR_OK);
    assert_int_equal(find_entry(&t, 1, &entry), ERR_OK);
    struct totals_record totals = commit(&t);
    assert_int_equal(totals.entries, 1);
    assert_int_equal(totals.blobs, 1);
    kit_body_free(&body);
}

static void test_put_with_another_size_is_refused(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest);
    struct catalog_txn t = begin();

    assert_int_equal(catalog_enter_file(&t, &id, 49, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &body, false, 20), ERR_CORRUPT);
    assert_int_equal(commit(&t).entries, 0);
    kit_body_free(&body);
}

static void test_each_entry_has_its_copy_of_an_inline_body(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct slice value;
    struct entry_value parts;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    assert_int_equal(put(&t, 2, &body, true, 10), ERR_OK);
    /* Without a body it is taken from one that has it. */
    assert_int_equal(put(&t, 3, &body, false, 10), ERR_OK);
    assert_int_equal(put(&t, 3, &body, false, 10), ERR_OK);
    for (unsigned key = 1; key <= 3; key++) {
        struct store_key k = kit_key(key);
        assert_int_equal(catalog_find_entry(&t.index, &k, &value), ERR_OK);
        assert_int_equal(record_split_value(value, &parts), ERR_OK);
        assert_true(parts.has_body && slice_eq(parts.body, slice_of(body.bytes, body.n)));
    }
    struct totals_record totals = commit(&t);
    assert_int_equal(totals.entries, 3);
    assert_int_equal(totals.blobs, 1);
    kit_body_free(&body);
}

static void test_body_of_a_content_in_a_file_is_not_copied(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = kit_key(1);
    struct slice value;
    struct entry_value parts;
    struct catalog_txn t = begin();

    assert_int_equal(catalog_enter_file(&t, &id, 50, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    assert_int_equal(catalog_find_entry(&t.index, &key, &value), ERR_OK);
    assert_int_equal(record_split_value(value, &parts), ERR_OK);
    assert_false(parts.has_body);
    commit(&t);
    kit_body_free(&body);
}

static void test_inline_content_goes_with_the_last_that_names_it(void **state)
{
    (void)state;
    struct kit_body one = kit_body_new(1, 50), two = kit_body_new(2, 60);
    struct store_key key = kit_key(2);
    enum err verdict;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &one, true, 10), ERR_OK);
    assert_int_equal(put(&t, 2, &one, true, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &two, true, 20), ERR_OK);
    assert_int_equal(commit(&t).blobs, 2);
    t = begin();
    assert_int_equal(catalog_remove_entry(&t, &key, &verdict), ERR_OK);
    struct totals_record totals = commit(&t);
    assert_int_equal(totals.blobs, 1);
    t = begin();
    assert_int_equal(put(&t, 2, &one, false, 10), ERR_NOTFOUND);
    commit(&t);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_replace_moves_the_reference(void **state)
{
    (void)state;
    struct kit_body one = kit_body_new(1, 50), two = kit_body_new(2, 60);
    struct blob_id id = blob_id_of(&one.digest);
    struct store_entry entry;
    struct blob_record was;
    size_t budget = 10;
    bool gone;
    struct catalog_txn t = begin();

    assert_int_equal(catalog_enter_file(&t, &id, 50, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &one, false, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &two, true, 20), ERR_OK);
    struct totals_record totals = commit(&t);
    assert_int_equal(totals.entries, 1);
    assert_int_equal(totals.blobs, 2);
    t = begin();
    /* Forgetting the old content leaves the entry, which names the new one. */
    assert_int_equal(catalog_forget(&t, &id, &budget, &gone, &was), ERR_OK);
    assert_true(gone && !was.is_inline && was.size == 50);
    assert_int_equal(find_entry(&t, 1, &entry), ERR_OK);
    assert_true(digest_equal(&entry.content, &two.digest));
    assert_int_equal(commit(&t).blobs, 1);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_forget_takes_all_that_name_it(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50), other = kit_body_new(2, 60);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_entry entry;
    struct blob_record was;
    size_t budget = 3;
    bool gone;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 100, &other, true, 10), ERR_OK);
    for (unsigned key = 0; key < 5; key++)
        assert_int_equal(put(&t, key, &body, true, 10), ERR_OK);
    assert_int_equal(commit(&t).entries, 6);

    t = begin();
    assert_int_equal(catalog_forget(&t, &id, &budget, &gone, &was), ERR_OK);
    assert_false(gone);
    assert_int_equal(budget, 0);
    assert_int_equal(commit(&t).entries, 3);

    t = begin();
    budget = 3;
    assert_int_equal(catalog_forget(&t, &id, &budget, &gone, &was), ERR_OK);
    assert_true(gone);
    assert_int_equal(budget, 1);
    assert_int_equal(find_entry(&t, 100, &entry), ERR_OK);
    assert_int_equal(commit(&t).entries, 1);
    kit_body_free(&body);
    kit_body_free(&other);
}

static void test_oldest_first(void **state)
{
    (void)state;
    struct kit_body bodies[3];
    struct blob_id id;
    int64_t ms;
    struct catalog_txn t = begin();

    assert_int_equal(catalog_oldest(&t, &id, &ms), ERR_NOTFOUND);
    for (unsigned i = 0; i < 3; i++) {
        bodies[i] = kit_body_new(i, 50);
        assert_int_equal(put(&t, i, &bodies[i], true, 1000 * (3 - (int64_t)i)), ERR_OK);
    }
    assert_int_equal(catalog_oldest(&t, &id, &ms), ERR_OK);
    assert_int_equal(ms, 1000);
    assert_memory_equal(id.bytes, bodies[2].digest.bytes, 32);
    assert_int_equal(catalog_touch(&t, &id, 5000), ERR_OK);
    assert_int_equal(catalog_oldest(&t, &id, &ms), ERR_OK);
    assert_int_equal(ms, 2000);
    assert_memory_equal(id.bytes, bodies[1].digest.bytes, 32);
    /* An earlier time than known changes nothing. */
    assert_int_equal(catalog_touch(&t, &id, 1), ERR_OK);
    assert_int_equal(catalog_oldest(&t, &id, &ms), ERR_OK);
    assert_int_equal(ms, 2000);
    commit(&t);
    for (int i = 0; i < 3; i++)
        kit_body_free(&bodies[i]);
}

static void test_touch_of_the_unknown_enters_nothing(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest);
    struct catalog_txn t = begin();

    assert_int_equal(catalog_touch(&t, &id, 5000), ERR_OK);
    assert_int_equal(commit(&t).blobs, 0);
    kit_body_free(&body);
}

static void test_validate(void **state)
{
    (void)state;
    struct kit_body one = kit_body_new(1, 50), two = kit_body_new(2, 60);
    struct blob_id id = blob_id_of(&one.digest), other = blob_id_of(&two.digest);
    struct store_key key = kit_key(1), absent = kit_key(2);
    struct store_entry entry;
    enum err verdict;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &one, true, 10), ERR_OK);
    assert_int_equal(catalog_validate_entry(&t, &key, &id, 1800000000000, &verdict), ERR_OK);
    assert_int_equal(verdict, ERR_OK);
    assert_int_equal(catalog_validate_entry(&t, &key, &other, 1900000000000, &verdict), ERR_OK);
    assert_int_equal(verdict, ERR_NOTFOUND);
    assert_int_equal(catalog_validate_entry(&t, &absent, &id, 1900000000000, &verdict), ERR_OK);
    assert_int_equal(verdict, ERR_NOTFOUND);
    assert_int_equal(find_entry(&t, 1, &entry), ERR_OK);
    assert_true(entry.validated_ms == 1800000000000 && entry.fetched_ms == 1700000000000);
    assert_true(slice_eq(entry.etag, SLICE("\"abc\"")));
    commit(&t);
    kit_body_free(&one);
    kit_body_free(&two);
}

static void test_remove_keeps_a_content_in_a_file(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = kit_key(1);
    enum err verdict;
    struct catalog_txn t = begin();

    assert_int_equal(catalog_enter_file(&t, &id, 50, 10), ERR_OK);
    assert_int_equal(put(&t, 1, &body, false, 10), ERR_OK);
    assert_int_equal(catalog_remove_entry(&t, &key, &verdict), ERR_OK);
    assert_int_equal(verdict, ERR_OK);
    assert_int_equal(catalog_remove_entry(&t, &key, &verdict), ERR_OK);
    assert_int_equal(verdict, ERR_NOTFOUND);
    struct totals_record totals = commit(&t);
    assert_int_equal(totals.entries, 0);
    assert_int_equal(totals.bytes, 50);
    assert_int_equal(totals.blobs, 1);
    kit_body_free(&body);
}

static void test_abort_changes_nothing(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    catalog_abort(&t);
    t = begin();
    assert_int_equal(commit(&t).entries, 0);
    kit_body_free(&body);
}

/* --- records that cannot be read --- */

static void overwrite(enum index_db db, const void *key, struct slice value)
{
    struct index_txn txn;

    assert_int_equal(index_write_begin(the_index, &txn), ERR_OK);
    assert_int_equal(index_put(&txn, db, slice_of(key, 32), value), ERR_OK);
    assert_int_equal(index_commit(&txn, NULL), ERR_OK);
}

static void test_unreadable_entry_is_removed_by_check(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct store_key key = kit_key(1), good = kit_key(2);
    struct blob_id id = blob_id_of(&body.digest);
    struct blob_record was;
    struct store_entry entry;
    size_t budget = 10;
    bool gone;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    assert_int_equal(put(&t, 2, &body, true, 10), ERR_OK);
    commit(&t);
    overwrite(INDEX_ENTRY, key.bytes, SLICE("\x63 of a later version"));
    t = begin();
    assert_int_equal(find_entry(&t, 1, &entry), ERR_CORRUPT);
    assert_int_equal(catalog_check_entry(&t, &key), ERR_OK);
    assert_int_equal(catalog_check_entry(&t, &good), ERR_OK);
    assert_int_equal(find_entry(&t, 1, &entry), ERR_NOTFOUND);
    assert_int_equal(find_entry(&t, 2, &entry), ERR_OK);
    assert_int_equal(t.totals.entries, 1);
    /* Its line in `ref` was left; forgetting the content takes it along. */
    assert_int_equal(catalog_forget(&t, &id, &budget, &gone, &was), ERR_OK);
    assert_true(gone);
    assert_int_equal(budget, 8);
    assert_int_equal(catalog_commit(&t, NULL), ERR_OK);
    t = begin();
    assert_int_equal(kit_count(&t.index, INDEX_REF), 0);
    catalog_abort(&t);
    kit_body_free(&body);
}

static void test_unreadable_blob_record_can_be_forgotten(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id;
    struct blob_record was;
    size_t budget = 10;
    bool gone;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    commit(&t);
    overwrite(INDEX_BLOB, body.digest.bytes, SLICE("?"));
    t = begin();
    assert_int_equal(catalog_forget_oldest(&t, &budget, &id, &gone, &was), ERR_OK);
    assert_true(gone);
    assert_memory_equal(id.bytes, body.digest.bytes, 32);
    assert_int_equal(kit_count(&t.index, INDEX_BLOB), 0);
    assert_int_equal(kit_count(&t.index, INDEX_USE), 0);
    assert_int_equal(kit_count(&t.index, INDEX_ENTRY), 0);
    assert_int_equal(catalog_forget_oldest(&t, &budget, &id, &gone, &was), ERR_NOTFOUND);
    catalog_abort(&t);
    kit_body_free(&body);
}

static void test_stale_use_line_costs_no_content(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct blob_id id = blob_id_of(&body.digest), found;
    struct blob_record was;
    char line[USE_KEY_BYTES];
    size_t budget = 10;
    bool gone = true;
    struct catalog_txn t = begin();

    assert_int_equal(put(&t, 1, &body, true, 1000), ERR_OK);
    assert_int_equal(index_put(&t.index, INDEX_USE, use_key(line, &id, 5), no_bytes), ERR_OK);
    assert_int_equal(catalog_forget_oldest(&t, &budget, &found, &gone, &was), ERR_OK);
    assert_false(gone);
    assert_int_equal(commit(&t).blobs, 1);
    kit_body_free(&body);
}

static void test_clean_mark(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 50);
    struct catalog_txn t = begin();

    assert_false(t.totals.clean);
    catalog_mark(&t, true);
    commit(&t);
    t = begin();
    assert_true(t.totals.clean);
    /* A transaction that changes nothing leaves the mark, any other one takes it away. */
    commit(&t);
    t = begin();
    assert_true(t.totals.clean);
    assert_int_equal(put(&t, 1, &body, true, 10), ERR_OK);
    commit(&t);
    t = begin();
    assert_false(t.totals.clean);
    catalog_abort(&t);
    kit_body_free(&body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_put_needs_the_content),
        TEST(test_put_with_another_size_is_refused),
        TEST(test_each_entry_has_its_copy_of_an_inline_body),
        TEST(test_body_of_a_content_in_a_file_is_not_copied),
        TEST(test_inline_content_goes_with_the_last_that_names_it),
        TEST(test_replace_moves_the_reference),
        TEST(test_forget_takes_all_that_name_it),
        TEST(test_oldest_first),
        TEST(test_touch_of_the_unknown_enters_nothing),
        TEST(test_validate),
        TEST(test_remove_keeps_a_content_in_a_file),
        TEST(test_abort_changes_nothing),
        TEST(test_unreadable_entry_is_removed_by_check),
        TEST(test_unreadable_blob_record_can_be_forgotten),
        TEST(test_stale_use_line_costs_no_content),
        TEST(test_clean_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
