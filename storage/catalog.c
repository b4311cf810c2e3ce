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
    t->leave_clean = false;
    if (err != ERR_OK)
        return err;
    err = index_get(&t->index, INDEX_META, totals_key, &record);
    if (err == ERR_OK && (err = record_decode_totals(record, &t->totals)) != ERR_OK)
        index_mark_damaged(index);
    if (err == ERR_OK || err == ERR_NOTFOUND)
        return ERR_OK;
    index_abort(&t->index);
    return err;
}

enum err catalog_commit(struct catalog_txn *t, struct errinfo *info)
{
    char record[TOTALS_RECORD_BYTES];

    if (t->totals_changed) {
        t->totals.clean = t->leave_clean;
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

void catalog_mark(struct catalog_txn *t, bool clean)
{
    t->leave_clean = clean;
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

enum err catalog_find_entry(struct index_txn *txn, const struct store_key *key, struct slice *value)
{
    return index_get(txn, INDEX_ENTRY, key_slice(key), value);
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

/* Bytes of inline bodies are counted with the entries that have them. */
static uint64_t counted_bytes(const struct blob_record *blob)
{
    return blob->is_inline ? 0 : blob->size;
}

static enum err enter_blob(struct catalog_txn *t, const struct blob_id *id,
                           const struct blob_record *blob)
{
    t->totals.blobs++;
    t->totals.bytes += counted_bytes(blob);
    t->totals_changed = true;
    return put_blob(t, id, blob);
}

/* Removes the record and its line in `use`. */
static enum err drop_blob(struct catalog_txn *t, const struct blob_id *id,
                          const struct blob_record *blob)
{
    char key[USE_KEY_BYTES];
    enum err err = delete_if_there(t, INDEX_USE, use_key(key, id, blob->last_use_ms));

    if (err == ERR_OK)
        err = index_delete(&t->index, INDEX_BLOB, id_slice(id));
    take(&t->totals.blobs, 1);
    take(&t->totals.bytes, counted_bytes(blob));
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

/* --- who names a content --- */

static struct slice ref_key(char out[REF_KEY_BYTES], const struct blob_id *id,
                            const struct store_key *key)
{
    memcpy(out, id->bytes, sizeof id->bytes);
    memcpy(out + sizeof id->bytes, key->bytes, sizeof key->bytes);
    return slice_of(out, REF_KEY_BYTES);
}

/* One of those that name this content. ERR_NOTFOUND: nobody does. */
static enum err first_namer(struct catalog_txn *t, const struct blob_id *id, struct store_key *key)
{
    struct slice ref = no_bytes;
    enum err err = index_seek(&t->index, INDEX_REF, id_slice(id), &ref);

    if (err != ERR_OK)
        return err;
    if (ref.n != REF_KEY_BYTES || !slice_starts(ref, id_slice(id)))
        return ERR_NOTFOUND;
    memcpy(key->bytes, ref.p + sizeof id->bytes, sizeof key->bytes);
    return ERR_OK;
}

/* After an entry has gone: an inline content is held no longer than somebody names it. */
static enum err release_content(struct catalog_txn *t, const struct blob_id *id)
{
    struct store_key namer;
    struct blob_record blob;
    enum err err = catalog_find_blob(&t->index, id, &blob);

    if (err == ERR_OK && blob.is_inline) {
        err = first_namer(t, id, &namer);
        return err == ERR_NOTFOUND ? drop_blob(t, id, &blob) : err;
    }
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

/* --- entries --- */

/* False when the entry cannot be read. */
static bool content_of(struct slice value, struct blob_id *id)
{
    struct entry_value parts;
    struct store_entry entry;

    if (record_split_value(value, &parts) != ERR_OK ||
        record_decode_entry(parts.record, &entry) != ERR_OK ||
        (parts.has_body && parts.body.n != entry.size))
        return false;
    *id = blob_id_of(&entry.content);
    return true;
}

static bool same_id(const struct blob_id *a, const struct blob_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void count_entry_out(struct catalog_txn *t, struct slice value)
{
    take(&t->totals.entries, 1);
    take(&t->totals.bytes, STORE_KEY_BYTES + value.n);
    t->totals_changed = true;
}

/* Removes the entry and its line in `ref`; `value` is what the entry was. */
static enum err drop_entry(struct catalog_txn *t, const struct store_key *key, struct slice value)
{
    char ref[REF_KEY_BYTES];
    struct blob_id id;
    enum err err = ERR_OK;

    count_entry_out(t, value);
    /* Of a record that cannot be read the line in `ref` stays; forgetting the content skips it. */
    if (content_of(value, &id))
        err = delete_if_there(t, INDEX_REF, ref_key(ref, &id, key));
    return err == ERR_OK ? index_delete(&t->index, INDEX_ENTRY, key_slice(key)) : err;
}

static enum err drop_entry_and_release(struct catalog_txn *t, const struct store_key *key,
                                       struct slice value)
{
    struct blob_id id;
    bool readable = content_of(value, &id);
    enum err err = drop_entry(t, key, value);

    return err == ERR_OK && readable ? release_content(t, &id) : err;
}

/* Writes the value in the place of an older one, if there is one, and its line in `ref`. */
static enum err write_entry(struct catalog_txn *t, const struct store_key *key,
                            const struct blob_id *content, struct slice value)
{
    char ref[REF_KEY_BYTES];
    struct slice old;
    struct blob_id old_content = *content;
    enum err err = catalog_find_entry(&t->index, key, &old);
    bool replaces =
        err == ERR_OK && content_of(old, &old_content) && !same_id(&old_content, content);

    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    if (err == ERR_OK)
        count_entry_out(t, old);
    t->totals.entries++;
    t->totals.bytes += STORE_KEY_BYTES + value.n;
    t->totals_changed = true;
    err = index_put(&t->index, INDEX_ENTRY, key_slice(key), value);
    if (err == ERR_OK)
        err = index_put(&t->index, INDEX_REF, ref_key(ref, content, key), no_bytes);
    if (err != ERR_OK || !replaces)
        return err;
    err = delete_if_there(t, INDEX_REF, ref_key(ref, &old_content, key));
    return err == ERR_OK ? release_content(t, &old_content) : err;
}

/* The body of a content that is held inline: each of those that name it has one. */
static enum err borrow_body(struct catalog_txn *t, const struct blob_id *id, uint64_t size,
                            struct slice *body)
{
    struct store_key namer;
    struct slice value;
    struct entry_value parts;
    enum err err = first_namer(t, id, &namer);

    if (err == ERR_OK)
        err = catalog_find_entry(&t->index, &namer, &value);
    if (err != ERR_OK)
        return err;
    if (record_split_value(value, &parts) != ERR_OK || !parts.has_body || parts.body.n != size)
        return ERR_NOTFOUND;
    *body = parts.body;
    return ERR_OK;
}

/*
 * Finds out how a new entry comes to its content, without writing. *body is what was given (or not)
 * and becomes what the entry is to have inline. *blob is what is held, or is to be entered when
 * *is_new.
 */
static enum err find_content(struct catalog_txn *t, const struct blob_id *id, uint64_t size,
                             struct slice *body, struct blob_record *blob, bool *is_new,
                             enum err *verdict)
{
    enum err err = catalog_find_blob(&t->index, id, blob);

    *verdict = ERR_OK;
    *is_new = err == ERR_NOTFOUND && body->p && body->n == size;
    if (*is_new) {
        *blob = (struct blob_record){.size = size, .is_inline = true};
        return ERR_OK;
    }
    if (err != ERR_OK)
        return not_found_is_verdict(err, verdict);
    if (blob->size != size)
        *verdict = ERR_CORRUPT;
    else if (!blob->is_inline)
        *body = slice_of(NULL, 0);
    else if (!body->p)
        return not_found_is_verdict(borrow_body(t, id, size, body), verdict);
    return ERR_OK;
}

enum err catalog_put_entry(struct catalog_txn *t, const struct store_key *key, struct slice record,
                           struct slice body, int64_t now_ms, enum err *verdict)
{
    char value[ENTRY_VALUE_MAX];
    struct store_entry entry;
    struct blob_record blob;
    bool is_new;
    enum err err = record_decode_entry(record, &entry);

    assert(err == ERR_OK);
    struct blob_id id = blob_id_of(&entry.content);
    err = find_content(t, &id, entry.size, &body, &blob, &is_new, verdict);
    if (err != ERR_OK || *verdict != ERR_OK)
        return err;
    /* A borrowed body must be copied before anything is written. */
    size_t n = record_join_value(record, body, value);
    if (is_new) {
        blob.last_use_ms = now_ms;
        err = enter_blob(t, &id, &blob);
    } else {
        err = set_last_use(t, &id, &blob, now_ms);
    }
    return err == ERR_OK ? write_entry(t, key, &id, slice_of(value, n)) : err;
}

enum err catalog_validate_entry(struct catalog_txn *t, const struct store_key *key,
                                const struct blob_id *content, int64_t validated_ms,
                                enum err *verdict)
{
    char copy[ENTRY_VALUE_MAX];
    struct blob_id found;
    struct slice value;
    enum err err = catalog_find_entry(&t->index, key, &value);

    *verdict = ERR_OK;
    if (err != ERR_OK)
        return not_found_is_verdict(err, verdict);
    if (!content_of(value, &found) || !same_id(&found, content)) {
        *verdict = ERR_NOTFOUND;
        return ERR_OK;
    }
    memcpy(copy, value.p, value.n);
    record_set_validated(copy, validated_ms);
    return index_put(&t->index, INDEX_ENTRY, key_slice(key), slice_of(copy, value.n));
}

enum err catalog_remove_entry(struct catalog_txn *t, const struct store_key *key, enum err *verdict)
{
    struct slice value;
    enum err err = catalog_find_entry(&t->index, key, &value);

    *verdict = ERR_OK;
    return err == ERR_OK ? drop_entry_and_release(t, key, value)
                         : not_found_is_verdict(err, verdict);
}

enum err catalog_check_entry(struct catalog_txn *t, const struct store_key *key)
{
    struct blob_record blob;
    struct blob_id id;
    struct slice value;
    enum err err = catalog_find_entry(&t->index, key, &value);

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    if (!content_of(value, &id))
        return drop_entry(t, key, value);
    err = catalog_find_blob(&t->index, &id, &blob);
    return err == ERR_NOTFOUND ? drop_entry(t, key, value) : err;
}

/* --- forgetting --- */

/* Removes the entry under `key` if it still names this content, or nothing that can be read. */
static enum err drop_namer(struct catalog_txn *t, const struct blob_id *id,
                           const struct store_key *key)
{
    struct blob_id found;
    struct slice value;
    enum err err = catalog_find_entry(&t->index, key, &value);

    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    if (content_of(value, &found) && !same_id(&found, id))
        return ERR_OK;
    return drop_entry(t, key, value);
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
    return ERR_OK;
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
