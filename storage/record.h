/*
 * The codec of what the index stores. Pure: bytes in, struct out. The bytes come from a disk, so
 * every length is checked, and a record of another version or with bytes left over is refused
 * (ERR_CORRUPT). Numbers are little-endian. ARCHITECTURE.md has the layouts.
 */
#ifndef YT_STORAGE_RECORD_H
#define YT_STORAGE_RECORD_H

#include "storage/store.h"

/* The SHA-256 of a body: its name on disk and in the index. */
struct blob_id {
    unsigned char bytes[SHA256_BYTES];
};

/* Where a body is and when it was last used. */
struct blob_record {
    uint64_t size;
    int64_t last_use_ms; /* wall clock; never negative */
    bool is_inline;      /* the bytes are in the index, not in a file */
};

/* Sums over the whole index, kept in the transactions that change them. */
struct totals_record {
    uint64_t entries;
    uint64_t blobs;
    uint64_t
        bytes;  /* of the blobs in files, and of the entries with their keys and inline bodies */
    bool clean; /* the store was closed in order and blobs/ is known to match */
};

enum {
    ENTRY_VALUE_MAX = STORE_RECORD_MAX + STORE_INLINE_MAX,
    BLOB_RECORD_BYTES = 1 + 1 + 8 + 8,
    TOTALS_RECORD_BYTES = 1 + 1 + 3 * 8,
};

/* What the index keeps under a key: an encoded entry, and behind it the body if that is inline. */
struct entry_value {
    struct slice record;
    struct slice body;
    bool has_body; /* else body is empty, and the bytes are in a file */
};

/* `digest` must be a SHA-256. */
struct blob_id blob_id_of(const struct digest *digest);

/* ERR_LIMIT: the entry does not fit, or its status is none of HTTP's. */
YT_MUST_CHECK enum err record_encode_entry(const struct store_entry *entry,
                                           char out[STORE_RECORD_MAX], size_t *n);
/* The entry's slices point into `record`. ERR_CORRUPT. */
YT_MUST_CHECK enum err record_decode_entry(struct slice record, struct store_entry *entry);

/* Finds the parts of a value without looking at more than its head. ERR_CORRUPT. */
YT_MUST_CHECK enum err record_split_value(struct slice value, struct entry_value *parts);
/* Puts an encoded record and a body (p is NULL without one, else at most STORE_INLINE_MAX). */
size_t record_join_value(struct slice record, struct slice body, char out[ENTRY_VALUE_MAX]);
/* Changes validated_ms of a record in place. */
void record_set_validated(char *record, int64_t validated_ms);

void record_encode_blob(const struct blob_record *blob, char out[BLOB_RECORD_BYTES]);
YT_MUST_CHECK enum err record_decode_blob(struct slice record, struct blob_record *blob);

void record_encode_totals(const struct totals_record *totals, char out[TOTALS_RECORD_BYTES]);
YT_MUST_CHECK enum err record_decode_totals(struct slice record, struct totals_record *totals);

#endif
