#include "storage/record.c"

#include "storage_kit.h"

/* An entry that uses every field. */
static struct store_entry full_entry(void)
{
    struct kit_body body = kit_body_new(1, 100);
    struct store_entry entry = kit_entry(&body);

    entry.status = 203;
    entry.immutable = true;
    entry.size = UINT64_MAX;
    entry.fetched_ms = INT64_MAX;
    entry.validated_ms = 1;
    entry.shown.algo = DIGEST_SHA512;
    memset(entry.shown.bytes, 0xa5, sizeof entry.shown.bytes);
    entry.made_from.algo = DIGEST_SHA256;
    memset(entry.made_from.bytes, 0x5a, SHA256_BYTES);
    entry.url = SLICE("https://files.example.com/a/b.tgz?x=1");
    entry.gzip = true;
    entry.has_lifetime = true;
    entry.lifetime_ms = 3600 * 1000;
    entry.must_revalidate = true;
    entry.vary = SLICE("accept, accept-encoding");
    kit_body_free(&body);
    return entry;
}

static void assert_same_entry(const struct store_entry *a, const struct store_entry *b)
{
    assert_int_equal(a->status, b->status);
    assert_true(a->size == b->size && a->immutable == b->immutable);
    assert_true(a->fetched_ms == b->fetched_ms && a->validated_ms == b->validated_ms);
    assert_true(digest_equal(&a->content, &b->content));
    assert_true(digest_equal(&a->shown, &b->shown));
    assert_true(digest_equal(&a->made_from, &b->made_from));
    assert_true(a->gzip == b->gzip && a->must_revalidate == b->must_revalidate);
    assert_true(a->has_lifetime == b->has_lifetime && a->lifetime_ms == b->lifetime_ms);
    assert_true(slice_eq(a->url, b->url) && slice_eq(a->vary, b->vary));
    assert_true(slice_eq(a->name, b->name) && slice_eq(a->content_type, b->content_type));
    assert_true(slice_eq(a->fields, b->fields) && slice_eq(a->etag, b->etag));
    assert_true(slice_eq(a->last_modified, b->last_modified));
}

static void test_entry_round_trip(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry(), out;

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    assert_same_entry(&in, &out);
}

static void test_entry_with_nothing_optional(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = {.status = 200, .content = {.algo = DIGEST_SHA256}}, out;

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    assert_same_entry(&in, &out);
}

static void test_every_flag_stands_for_itself(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry out;

    for (unsigned bits = 0; bits < 16; bits++) {
        struct store_entry in = full_entry();
        in.immutable = bits & 1;
        in.gzip = bits & 2;
        in.has_lifetime = bits & 4;
        in.lifetime_ms = in.has_lifetime ? 77 : 0;
        in.must_revalidate = bits & 8;
        assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
        assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
        assert_same_entry(&in, &out);
    }
}

static void test_lifetime_of_zero_is_not_none(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry(), out;

    in.lifetime_ms = 0;
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    assert_true(out.has_lifetime && out.lifetime_ms == 0);
    in.lifetime_ms = -1; /* as times are */
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    assert_true(out.has_lifetime && out.lifetime_ms == 0);
}

static void test_digests_of_every_algorithm(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry(), out;

    for (int algo = DIGEST_NONE; algo <= DIGEST_MD5; algo++) {
        in.shown.algo = (enum digest_algo)algo;
        in.made_from.algo = (enum digest_algo)(DIGEST_MD5 - algo);
        assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
        assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
        assert_same_entry(&in, &out);
    }
}

/* The bytes after the end are not the record's: a copy of exact size lets ASan see to that. */
static enum err decode_exact(const char *record, size_t n)
{
    struct store_entry out;
    char *copy = malloc(n);

    if (n)
        memcpy(copy, record, n);
    enum err err = record_decode_entry(slice_of(copy, n), &out);
    free(copy);
    return err;
}

static void test_entry_every_truncation_and_one_byte_more(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX + 1] = {0};
    size_t n;
    struct store_entry in = full_entry();

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(decode_exact(record, i), ERR_CORRUPT);
    assert_int_equal(decode_exact(record, n), ERR_OK);
    assert_int_equal(decode_exact(record, n + 1), ERR_CORRUPT);
}

static void test_entry_wrong_values(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        unsigned char value;
    } rows[] = {
        {0, 0},               /* version */
        {0, 1},               /* an earlier version */
        {0, 3},               /* a later version */
        {1, 32},              /* an unknown flag */
        {1, 0},               /* a lifetime that no flag tells of */
        {2, 1},               /* another length */
        {4, 99},              /* status 99 */
        {5, 0xff},            /* status 65000 */
        {21, 0xff},           /* a time before 1970 */
        {37, 0xff},           /* a negative lifetime */
        {38, 0},              /* no content digest */
        {38, 2},              /* content not SHA-256 */
        {38, 7},              /* unknown algorithm */
        {71, 7},              /* shown: unknown algorithm */
        {71, 255},  {136, 7}, /* made_from: unknown algorithm */
    };
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry();

    in.status = 200;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
        record[rows[i].offset] = (char)rows[i].value;
        if (rows[i].offset == 4)
            record[5] = 0;
        assert_int_equal(decode_exact(record, n), ERR_CORRUPT);
    }
}

static void test_entry_too_long(void **state)
{
    (void)state;
    static char text[70000];
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry();
    size_t lengths[] = {STORE_RECORD_MAX, 65536, 70000};

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        in.fields = slice_of(text, lengths[i]);
        assert_int_equal(record_encode_entry(&in, record, &n), ERR_LIMIT);
    }
    in.fields = slice_of(text, 8000);
    in.name = slice_of(text, 8500);
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_LIMIT);
    in.name = slice_of(text, 7000);
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
}

static void test_entry_status_that_is_none(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry();

    in.status = 600;
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_LIMIT);
    in.status = 99;
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_LIMIT);
}

static void test_negative_times_become_zero(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry(), out;

    in.fetched_ms = -5;
    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    assert_true(out.fetched_ms == 0);
}

static enum err split_exact(const char *value, size_t n, struct entry_value *parts)
{
    char *copy = malloc(n);

    if (n)
        memcpy(copy, value, n);
    enum err err = record_split_value(slice_of(copy, n), parts);
    free(copy);
    return err;
}

static void test_value_round_trip(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX], value[ENTRY_VALUE_MAX];
    static char large[STORE_INLINE_MAX];
    const struct slice bodies[] = {{NULL, 0}, {"", 0}, {"x", 1}, {large, sizeof large}};
    size_t n;
    struct store_entry in = full_entry(), out;
    struct entry_value parts;

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        size_t all = record_join_value(slice_of(record, n), bodies[i], value);
        assert_int_equal(all, n + bodies[i].n);
        assert_int_equal(record_split_value(slice_of(value, all), &parts), ERR_OK);
        assert_int_equal(parts.has_body, bodies[i].p != NULL);
        assert_true(slice_eq(parts.body, bodies[i]));
        assert_int_equal(record_decode_entry(parts.record, &out), ERR_OK);
        assert_same_entry(&in, &out);
    }
}

static void test_value_that_is_none(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX], value[ENTRY_VALUE_MAX + 1] = {0};
    size_t n;
    struct store_entry in = full_entry();
    struct entry_value parts;

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    size_t all = record_join_value(slice_of(record, n), slice_of(NULL, 0), value);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(split_exact(value, i, &parts), ERR_CORRUPT);
    /* Bytes behind a record that has no body. */
    assert_int_equal(split_exact(value, all + 1, &parts), ERR_CORRUPT);
    /* A body longer than any may be. */
    record_join_value(slice_of(record, n), SLICE("x"), value);
    assert_int_equal(split_exact(value, n + STORE_INLINE_MAX, &parts), ERR_OK);
    assert_int_equal(split_exact(value, n + STORE_INLINE_MAX + 1, &parts), ERR_CORRUPT);
    value[AT_LENGTH] = 5;
    value[AT_LENGTH + 1] = 0;
    assert_int_equal(split_exact(value, n + 1, &parts), ERR_CORRUPT);
}

static void test_set_validated(void **state)
{
    (void)state;
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry in = full_entry(), out;

    assert_int_equal(record_encode_entry(&in, record, &n), ERR_OK);
    record_set_validated(record, 1234567890123);
    assert_int_equal(record_decode_entry(slice_of(record, n), &out), ERR_OK);
    in.validated_ms = 1234567890123;
    assert_same_entry(&in, &out);
}

static void test_blob_record(void **state)
{
    (void)state;
    char record[BLOB_RECORD_BYTES + 1] = {0};
    struct blob_record in = {UINT64_C(0x0102030405060708), 1700000000123, true}, out;

    record_encode_blob(&in, record);
    assert_int_equal(record_decode_blob(slice_of(record, BLOB_RECORD_BYTES), &out), ERR_OK);
    assert_true(out.size == in.size && out.last_use_ms == in.last_use_ms && out.is_inline);
    for (size_t n = 0; n < BLOB_RECORD_BYTES; n++)
        assert_int_equal(record_decode_blob(slice_of(record, n), &out), ERR_CORRUPT);
    assert_int_equal(record_decode_blob(slice_of(record, sizeof record), &out), ERR_CORRUPT);
    record[1] = 2;
    assert_int_equal(record_decode_blob(slice_of(record, BLOB_RECORD_BYTES), &out), ERR_CORRUPT);
    record[1] = 0;
    record[0] = 2;
    assert_int_equal(record_decode_blob(slice_of(record, BLOB_RECORD_BYTES), &out), ERR_CORRUPT);
}

static void test_totals_record(void **state)
{
    (void)state;
    char record[TOTALS_RECORD_BYTES + 1] = {0};
    struct totals_record in = {1, 2, 3, true}, out;

    record_encode_totals(&in, record);
    assert_int_equal(record_decode_totals(slice_of(record, TOTALS_RECORD_BYTES), &out), ERR_OK);
    assert_true(out.entries == 1 && out.blobs == 2 && out.bytes == 3 && out.clean);
    for (size_t n = 0; n < TOTALS_RECORD_BYTES; n++)
        assert_int_equal(record_decode_totals(slice_of(record, n), &out), ERR_CORRUPT);
    assert_int_equal(record_decode_totals(slice_of(record, sizeof record), &out), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_round_trip),
        cmocka_unit_test(test_entry_with_nothing_optional),
        cmocka_unit_test(test_every_flag_stands_for_itself),
        cmocka_unit_test(test_lifetime_of_zero_is_not_none),
        cmocka_unit_test(test_digests_of_every_algorithm),
        cmocka_unit_test(test_entry_every_truncation_and_one_byte_more),
        cmocka_unit_test(test_entry_wrong_values),
        cmocka_unit_test(test_entry_too_long),
        cmocka_unit_test(test_entry_status_that_is_none),
        cmocka_unit_test(test_negative_times_become_zero),
        cmocka_unit_test(test_value_round_trip),
        cmocka_unit_test(test_value_that_is_none),
        cmocka_unit_test(test_set_validated),
        cmocka_unit_test(test_blob_record),
        cmocka_unit_test(test_totals_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
