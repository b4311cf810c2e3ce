#include "catalog.h"

#include <assert.h>

enum { USE_KEY_BYTES = 8 + SHA256_BYTES, REF_KEY_BYTES = SHA256_BYTES + STORE_KEY_BYTES };

static const struct slice totals_key = {"totals", 6};
static const struct slice no_bytes = {"", 0};

static struct slice bytes_of(const void *p, size_t n)
{
    return slice_of(p, n);
}

static struct slice id_slice(const struct blob_id *id)
{
    return bytes_of(id->bytes, sizeof id->bytes);
}

static struct slice key_slice(const struct store_key *key)
{
    return bytes_of(key->bytes, sizeof key->bytes);
}

/* `why` is what a lookup of something to be changed gave: not to find it is a verdict. */
static enum err not_found_is_verdict(enum err why, enum err *verdict)
{
    if (why != ERR_NOTFOUND)
        return why;
    *verdict = ERR_NOTFOUND;
    return ERR_OK;
}

/* For what may be there or not. */
static enum err delete_if_there(struct catalog_txn *t, enum index_db db, struct slice key)
{
    enum err err = index_delete(&t->index, db, key);

    return err == ERR_NOTFOUND ? ERR_OK : err;
}

/* --- totals --- */

/* A sum that was damaged must not wrap round to "full". */
static void take(uint64_t *sum, uint64_t n)
{
    *sum = *sum > n ? *sum - n : 0;
}

enum err catalog_begin(struct index *index, struct catalog_txn *t)
{
    struct slice record;
    enum err err = index_write_begin(index, &t->index);

    t->totals = (struct totals_record){.clean = false};
    t->totals_changed = false;
    if (err != ERR_OK)
        return err;
    err = index_get(&t->index, INDEX_META, totals_key, &record);
    if (err == ERR_OK)
        err = record_decode_totals(record, &t->totals);
    if (err == ERR_OK || err == ERR_NOTFOUND)
        return ERR_OK;
    index_abort(&t->index);
    return err;
}

enum err catalog_commit(struct catalog_txn *t, struct errinfo *info)
{
    char record[TOTALS_RECORD_BYTES];

    if (t->totals_changed) {
        record_encode_totals(&t->totals, record);
        enum err err =
            index_put(&t->index, INDEX_META, totals_key, slice_of(record, sizeof record));
        if (err != ERR_OK) {
            index_abort(&t->index);
            return err_set(info, err, "index: totals: %s", err_name(err));
        }
    }
    return index_commit(&t->index, info);
}

void catalog_abort(struct catalog_txn *t)
{
    index_abort(&t->index);
}

void catalog_set_clean(struct catalog_txn *t, bool clean)
{
    t->totals.clean = clean;
    t->totals_changed = true;
}

/* --- reading --- */

enum err catalog_find_blob(struct index_txn *txn, const struct blob_id *id,
                           struct blob_record *blob)
{
    struct slice record;
    enum err err = index_get(txn, INDEX_BLOB, id_slice(id), &record);

    if (err == ERR_OK && record_decode_blob(record, blob) != ERR_OK)
        err = ERR_NOTFOUND;
    return err;
}

enum err catalog_find_body(struct index_txn *txn, const struct blob_id *id, struct slice *body)
{
    return index_get(txn, INDEX_BODY, id_slice(id), body);
}

enum err catalog_find_entry(struct index_txn *txn, const struct store_key *key,
                            struct slice *record)
{
    return index_get(txn, INDEX_ENTRY, key_slice(key), record);
}

/* --- last use --- */

/* Big-endian, so that the keys sort by time. */
static struct slice use_key(char out[USE_KEY_BYTES], const struct blob_id *id, int64_t ms)
{
    uint64_t bits = ms < 0 ? 0 : (uint64_t)ms;

    for (int i = 0; i < 8; i++)
        out[i] = (char)(bits >> (56 - 8 * i));
    memcpy(out + 8, id->bytes, sizeof id->bytes);
    return slice_of(out, USE_KEY_BYTES);
}

static int64_t use_key_ms(struct slice key)
{
    uint64_t bits = 0;

    for (int i = 0; i < 8; i++)
        bits = bits << 8 | (unsigned char)key.p[i];
    return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
}

enum err catalog_oldest(struct catalog_txn *t, struct blob_id *id, int64_t *last_use_ms)
{
    struct slice key = no_bytes;
    enum err err = index_seek(&t->index, INDEX_USE, no_bytes, &key);

    if (err != ERR_OK)
        return err;
    if (key.n != USE_KEY_BYTES)
        return ERR_CORRUPT;
    *last_use_ms = use_key_ms(key);
    memcpy(id->bytes, key.p + 8, sizeof id->bytes);
    return ERR_OK;
}

/* Writes the record and its line in `use`. */
static enum err put_blob(struct catalog_txn *t, const struct blob_id *id,
                         const struct blob_record *blob)
{
    char record[BLOB_RECORD_BYTES], key[USE_KEY_BYTES];
    enum err err;

    record_encode_blob(blob, record);
    err = index_put(&t->index, INDEX_BLOB, id_slice(id), slice_of(record, sizeof record));
    if (err == ERR_OK)
        err = index_put(&t->index, INDEX_USE, use_key(key, id, blob->last_use_ms), no_bytes);
    return err;
}

/* Replaces the time of a record that is there. */
static enum err set_last_use(struct catalog_txn *t, const struct blob_id *id,
                             struct blob_record *blob, int64_t ms)
{
    char key[USE_KEY_BYTES];

    if (ms <= blob->last_use_ms)
        return ERR_OK;
    enum err err = delete_if_there(t, INDEX_USE, use_key(key, id, blob->last_use_ms));
    if (err != ERR_OK)
        return err;
    blob->last_use_ms = ms;
    return put_blob(t, id, blob);
}

enum err catalog_touch(struct catalog_txn *t, const struct blob_id *id, int64_t use_ms)
{
    struct blob_record blob;
    enum err err = catalog_find_blob(&t->index, id, &blob);

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    return set_last_use(t, id, &blob, use_ms);
}

/* --- contents --- */

static enum err enter_blob(struct catalog_txn *t, const struct blob_id *id,
                           const struct blob_record *blob)
{
    t->totals.blobs++;
    t->totals.bytes += blob->size;
    t->totals_changed = true;
    return put_blob(t, id, blob);
}

/* Removes the record, its line in `use` and an inline body. */
static enum err drop_blob(struct catalog_txn *t, const struct blob_id *id,
                          const struct blob_record *blob)
{
    char key[USE_KEY_BYTES];
    enum err err = delete_if_there(t, INDEX_USE, use_key(key, id, blob->last_use_ms));

    if (err == ERR_OK && blob->is_inline)
        err = delete_if_there(t, INDEX_BODY, id_slice(id));
    if (err == ERR_OK)
        err = index_delete(&t->index, INDEX_BLOB, id_slice(id));
    take(&t->totals.blobs, 1);
    take(&t->totals.bytes, blob->size);
    t->totals_changed = true;
    return err;
}

enum err catalog_enter_file(struct catalog_txn *t, const struct blob_id *id, uint64_t size,
                            int64_t last_use_ms)
{
    struct blob_record old, blob = {.size = size, .last_use_ms = last_use_ms};
    enum err err = catalog_find_blob(&t->index, id, &old);

    if (err == ERR_OK && old.last_use_ms > last_use_ms)
        blob.last_use_ms = old.last_use_ms;
    if (err == ERR_OK)
        err = drop_blob(t, id, &old);
    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    return enter_blob(t, id, &blob);
}

static enum err enter_inline(struct catalog_txn *t, const struct blob_id *id, struct slice body,
                             int64_t now_ms)
{
    struct blob_record blob = {.size = body.n, .last_use_ms = now_ms, .is_inline = true};
    enum err err = index_put(&t->index, INDEX_BODY, id_slice(id), body);

    return err == ERR_OK ? enter_blob(t, id, &blob) : err;
}

/* --- entries --- */

static struct slice ref_key(char out[REF_KEY_BYTES], const struct blob_id *id,
                            const struct store_key *key)
{
    memcpy(out, id->bytes, sizeof id->bytes);
    memcpy(out + sizeof id->bytes, key->bytes, sizeof key->bytes);
    return slice_of(out, REF_KEY_BYTES);
}

/* Removes the entry and its line in `ref`; `record` is what the entry was. */
static enum err drop_entry(struct catalog_txn *t, const struct store_key *key, struct slice record)
{
    char ref[REF_KEY_BYTES];
    struct store_entry old;
    enum err err = ERR_OK;

    take(&t->totals.entries, 1);
    take(&t->totals.record_bytes, STORE_KEY_BYTES + record.n);
    t->totals_changed = true;
    /* Of a record that cannot be read the line in `ref` stays; forgetting the content skips it. */
    if (record_decode_entry(record, &old) == ERR_OK) {
        struct blob_id id = blob_id_of(&old.content);
        err = delete_if_there(t, INDEX_REF, ref_key(ref, &id, key));
    }
    return err == ERR_OK ? index_delete(&t->index, INDEX_ENTRY, key_slice(key)) : err;
}

/* Writes the entry, which is not there, and its line in `ref`. */
static enum err add_entry(struct catalog_txn *t, const struct store_key *key, struct slice record,
                          const struct blob_id *content)
{
    char ref[REF_KEY_BYTES];
    enum err err = index_put(&t->index, INDEX_ENTRY, key_slice(key), record);

    t->totals.entries++;
    t->totals.record_bytes += STORE_KEY_BYTES + record.n;
    t->totals_changed = true;
    return err == ERR_OK ? index_put(&t->index, INDEX_REF, ref_key(ref, content, key), no_bytes)
                         : err;
}

/* Is the content held with this size? Enters the body if it is not and one is given. */
static enum err hold_content(struct catalog_txn *t, const struct blob_id *id, uint64_t size,
                             struct slice body, int64_t now_ms, enum err *verdict)
{
    struct blob_record blob;
    enum err err = catalog_find_blob(&t->index, id, &blob);

    if (err == ERR_NOTFOUND && body.p && body.n == size)
        return enter_inline(t, id, body, now_ms);
    if (err != ERR_OK)
        return not_found_is_verdict(err, verdict);
    if (blob.size != size) {
        *verdict = ERR_CORRUPT;
        return ERR_OK;
    }
    return set_last_use(t, id, &blob, now_ms);
}

enum err catalog_put_entry(struct catalog_txn *t, const struct store_key *key, struct slice record,
                           struct slice body, int64_t now_ms, enum err *verdict)
{
    struct store_entry entry;
    struct slice old;
    enum err err = record_decode_entry(record, &entry);

    assert(err == ERR_OK);
    struct blob_id id = blob_id_of(&entry.content);
    *verdict = ERR_OK;
    err = hold_content(t, &id, entry.size, body, now_ms, verdict);
    if (err != ERR_OK || *verdict != ERR_OK)
        return err;
    err = catalog_find_entry(&t->index, key, &old);
    if (err == ERR_OK)
        err = drop_entry(t, key, old);
    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    return add_entry(t, key, record, &id);
}

enum err catalog_validate_entry(struct catalog_txn *t, const struct store_key *key,
                                const struct blob_id *content, int64_t validated_ms,
                                enum err *verdict)
{
    char record[STORE_RECORD_MAX];
    size_t n;
    struct store_entry entry;
    struct slice old;
    enum err err = catalog_find_entry(&t->index, key, &old);

    *verdict = ERR_OK;
    if (err != ERR_OK)
        return not_found_is_verdict(err, verdict);
    if (record_decode_entry(old, &entry) != ERR_OK ||
        memcmp(entry.content.bytes, content->bytes, sizeof content->bytes) != 0) {
        *verdict = ERR_NOTFOUND;
        return ERR_OK;
    }
    if (validated_ms <= entry.validated_ms)
        return ERR_OK;
    entry.validated_ms = validated_ms;
    err = record_encode_entry(&entry, record, &n);
    assert(err == ERR_OK && n == old.n);
    return index_put(&t->index, INDEX_ENTRY, key_slice(key), slice_of(record, n));
}

enum err catalog_remove_entry(struct catalog_txn *t, const struct store_key *key, enum err *verdict)
{
    struct slice record;
    enum err err = catalog_find_entry(&t->index, key, &record);

    *verdict = ERR_OK;
    return err == ERR_OK ? drop_entry(t, key, record) : not_found_is_verdict(err, verdict);
}

enum err catalog_check_entry(struct catalog_txn *t, const struct store_key *key)
{
    struct store_entry entry;
    struct blob_record blob;
    struct slice record, body;
    enum err err = catalog_find_entry(&t->index, key, &record);

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    if (record_decode_entry(record, &entry) != ERR_OK)
        return drop_entry(t, key, record);
    struct blob_id id = blob_id_of(&entry.content);
    err = catalog_find_blob(&t->index, &id, &blob);
    if (err == ERR_OK && blob.is_inline)
        err = catalog_find_body(&t->index, &id, &body);
    return err == ERR_NOTFOUND ? drop_entry(t, key, record) : err;
}

/* --- forgetting --- */

/* Removes the entry under `key` if it still names this content, or nothing that can be read. */
static enum err drop_namer(struct catalog_txn *t, const struct blob_id *id,
                           const struct store_key *key)
{
    struct store_entry entry;
    struct slice record;
    enum err err = catalog_find_entry(&t->index, key, &record);

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    if (record_decode_entry(record, &entry) == ERR_OK &&
        memcmp(entry.content.bytes, id->bytes, sizeof id->bytes) != 0)
        return ERR_OK;
    return drop_entry(t, key, record);
}

/* One of those that name this content. ERR_NOTFOUND: nobody does. */
static enum err first_namer(struct catalog_txn *t, const struct blob_id *id, struct store_key *key)
{
    struct slice ref;
    enum err err = index_seek(&t->index, INDEX_REF, id_slice(id), &ref);

    if (err != ERR_OK)
        return err;
    if (ref.n != REF_KEY_BYTES || !slice_starts(ref, id_slice(id)))
        return ERR_NOTFOUND;
    memcpy(key->bytes, ref.p + sizeof id->bytes, sizeof key->bytes);
    return ERR_OK;
}

static enum err drop_namers(struct catalog_txn *t, const struct blob_id *id, size_t *budget)
{
    char ref[REF_KEY_BYTES];
    struct store_key key;
    enum err err = first_namer(t, id, &key);

    while (err == ERR_OK && *budget > 0) {
        --*budget;
        if ((err = drop_namer(t, id, &key)) == ERR_OK &&
            (err = delete_if_there(t, INDEX_REF, ref_key(ref, id, &key))) == ERR_OK)
            err = first_namer(t, id, &key);
    }
    return err;
}

/* Removes a blob record that cannot be read; nobody can tell what its size was. */
static enum err drop_unreadable(struct catalog_txn *t, const struct blob_id *id)
{
    enum err err = index_delete(&t->index, INDEX_BLOB, id_slice(id));

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    take(&t->totals.blobs, 1);
    t->totals_changed = true;
    return delete_if_there(t, INDEX_BODY, id_slice(id));
}

enum err catalog_forget(struct catalog_txn *t, const struct blob_id *id, size_t *budget, bool *gone,
                        struct blob_record *was)
{
    enum err err = drop_namers(t, id, budget);

    *gone = false;
    *was = (struct blob_record){.size = 0};
    if (err != ERR_NOTFOUND)
        return err;
    err = catalog_find_blob(&t->index, id, was);
    if (err == ERR_OK)
        err = drop_blob(t, id, was);
    else if (err == ERR_NOTFOUND)
        err = drop_unreadable(t, id);
    *gone = err == ERR_OK;
    return err;
}

enum err catalog_forget_oldest(struct catalog_txn *t, size_t *budget, struct blob_id *id,
                               bool *gone, struct blob_record *was)
{
    char line[USE_KEY_BYTES];
    struct blob_record blob;
    int64_t ms;
    enum err err = catalog_oldest(t, id, &ms);

    *gone = false;
    if (err != ERR_OK)
        return err;
    err = catalog_find_blob(&t->index, id, &blob);
    bool is_current = err != ERR_OK || blob.last_use_ms == ms;
    if (err == ERR_OK || err == ERR_NOTFOUND)
        err = is_current ? catalog_forget(t, id, budget, gone, was) : ERR_OK;
    /* Also a line that nothing belongs to goes, or it would stay the oldest for ever. */
    if (err == ERR_OK && (*gone || !is_current))
        err = delete_if_there(t, INDEX_USE, use_key(line, id, ms));
    return err;
}
