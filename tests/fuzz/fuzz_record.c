/*
 * The codec of what the index stores. The first byte says which kind the rest is. What decodes must
 * encode again to the same bytes; what does not must be refused without a fault.
 */
#include <stdlib.h>

#include "../../storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KIND_ENTRY, KIND_BLOB, KIND_TOTALS, KIND_COUNT };

static void require(bool good)
{
    if (!good)
        abort();
}

static void try_entry(struct slice value)
{
    struct entry_value parts;
    struct store_entry entry;
    char record[STORE_RECORD_MAX], joined[ENTRY_VALUE_MAX];
    size_t n;

    if (record_split_value(value, &parts) != ERR_OK ||
        record_decode_entry(parts.record, &entry) != ERR_OK)
        return;
    require(record_encode_entry(&entry, record, &n) == ERR_OK && n == parts.record.n);
    n = record_join_value(slice_of(record, n), parts.has_body ? parts.body : slice_of(NULL, 0),
                          joined);
    require(slice_eq(slice_of(joined, n), value));
}

static void try_blob(struct slice value)
{
    struct blob_record blob;
    char record[BLOB_RECORD_BYTES];

    if (record_decode_blob(value, &blob) != ERR_OK)
        return;
    record_encode_blob(&blob, record);
    require(slice_eq(slice_of(record, sizeof record), value));
}

static void try_totals(struct slice value)
{
    struct totals_record totals;
    char record[TOTALS_RECORD_BYTES];

    if (record_decode_totals(value, &totals) != ERR_OK)
        return;
    record_encode_totals(&totals, record);
    require(slice_eq(slice_of(record, sizeof record), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice value = slice_of((const char *)data + 1, size - 1);
    switch (data[0] % KIND_COUNT) {
    case KIND_ENTRY:
        try_entry(value);
        break;
    case KIND_BLOB:
        try_blob(value);
        break;
    default:
        try_totals(value);
        break;
    }
    return 0;
}
