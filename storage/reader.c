/* The hot path: finding an entry and its body. No lock is shared with another thread. */
#include "internal.h"
#include "open_files.h"

#include <stdlib.h>

enum {
    FILTER_SLOTS = 4096,
    TOUCH_MINUTES = 5,
    TOUCHES_MAX = 200, /* in a second: each costs the writer as much as a small hit */
    MS_PER_SECOND = 1000,
    MS_PER_MINUTE = 60 * 1000,
};

/* Which content this reader noted a use of, and when. Two that share a slot push each other out. */
struct touch_slot {
    uint32_t tag;
    uint32_t minute;
};

struct store_reader {
    struct store *store;
    struct index_reader index;
    struct open_files open_files;
    struct touch_slot filter[FILTER_SLOTS];
    int64_t touch_second; /* in which so many were queued */
    unsigned touches;
};

enum err store_reader_new(struct store *store, struct store_reader **out, struct errinfo *info)
{
    struct store_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        abort();
    reader->store = store;
    enum err err = index_reader_init(store->index, &reader->index);
    if (err != ERR_OK) {
        free(reader);
        *out = NULL;
        return err_set(info, err, "index: no reader: %s", err_name(err));
    }
    open_files_init(&reader->open_files, &store->files);
    *out = reader;
    return ERR_OK;
}

void store_reader_free(struct store_reader **reader)
{
    if (!*reader)
        return;
    open_files_destroy(&(*reader)->open_files);
    index_reader_free(&(*reader)->index);
    free(*reader);
    *reader = NULL;
}

/* --- lookup --- */

static enum err copy_out(struct arena *arena, struct slice borrowed, struct slice *copy)
{
    *copy = arena_copy(arena, borrowed);
    return copy->p ? ERR_OK : ERR_NOMEM;
}

/* The part within the read transaction. */
static enum err read_entry(struct store_reader *reader, const struct store_key *key,
                           struct arena *arena, struct entry_value *parts, bool with_body)
{
    struct slice value;
    enum err err = catalog_find_entry(&reader->index.txn, key, &value);

    if (err == ERR_OK)
        err = record_split_value(value, parts);
    if (err == ERR_OK)
        err = copy_out(arena, parts->record, &parts->record);
    if (err == ERR_OK && parts->has_body && with_body)
        err = copy_out(arena, parts->body, &parts->body);
    return err;
}

/* ERR_CORRUPT: something is there that cannot be read, or the index itself cannot. */
static enum err read_index(struct store_reader *reader, const struct store_key *key,
                           struct arena *arena, struct store_entry *entry, struct store_body *body)
{
    struct entry_value parts;
    enum err err = index_read_begin(&reader->index);

    if (err != ERR_OK)
        return err == ERR_AGAIN ? ERR_NOTFOUND : err; /* while it is mended it holds nothing */
    err = read_entry(reader, key, arena, &parts, body != NULL);
    index_read_end(&reader->index);
    if (err == ERR_OK)
        err = record_decode_entry(parts.record, entry);
    if (err != ERR_OK || !body || !parts.has_body)
        return err;
    body->is_inline = true;
    body->bytes = parts.body;
    return parts.body.n == entry->size ? ERR_OK : ERR_CORRUPT;
}

/* The writer looks again and removes what is broken; if it is too busy the next lookup asks. */
static void ask_for_check(struct store *s, enum op_kind kind, const struct store_key *key,
                          const struct digest *content)
{
    struct op *op = op_new(kind, slice_of(NULL, 0), slice_of(NULL, 0));

    op->key = *key;
    if (content)
        op->content = blob_id_of(content);
    queue_push_note(&s->queue, op);
}

static enum err open_body(struct store_reader *reader, const struct store_key *key,
                          const struct store_entry *entry, struct store_body *body)
{
    struct blob_id id = blob_id_of(&entry->content);
    enum err err = open_files_get(&reader->open_files, &id, entry->size, &body->file);

    if (err == ERR_OK)
        body->fd = body->file->fd;
    if (err == ERR_NOTFOUND) {
        ask_for_check(reader->store, OP_CHECK_BLOB, key, &entry->content);
        ask_for_check(reader->store, OP_CHECK_ENTRY, key, NULL);
    }
    return err;
}

enum err store_lookup(struct store_reader *reader, const struct store_key *key, struct arena *arena,
                      struct store_entry *entry, struct store_body *body)
{
    *entry = (struct store_entry){.status = 0};
    if (body)
        *body = (struct store_body){.fd = -1};
    enum err err = read_index(reader, key, arena, entry, body);
    if (err == ERR_CORRUPT) {
        ask_for_check(reader->store, OP_CHECK_ENTRY, key, NULL);
        return ERR_NOTFOUND;
    }
    if (err != ERR_OK || !body || body->is_inline)
        return err;
    return open_body(reader, key, entry, body);
}

bool store_has_blob(struct store_reader *reader, const struct digest *content, uint64_t *size)
{
    struct blob_record blob;
    struct blob_id id = blob_id_of(content);
    enum err err = index_read_begin(&reader->index);

    if (err != ERR_OK)
        return false;
    err = catalog_find_blob(&reader->index.txn, &id, &blob);
    index_read_end(&reader->index);
    if (err != ERR_OK)
        return false;
    *size = blob.size;
    return blob.is_inline || files_has_blob(&reader->store->files, &id, blob.size);
}

/* --- bodies in files --- */

void store_body_release(struct store_body *body)
{
    if (body->file)
        open_file_release(body->file);
    body->file = NULL;
    body->fd = -1;
}

struct store_body store_body_share(const struct store_body *body)
{
    open_file_share(body->file);
    return (struct store_body){.fd = body->fd, .file = body->file};
}

void store_body_doubt(struct store_body *body)
{
    open_file_doubt(body->file);
}

bool store_body_in_memory(const struct store_body *body, uint64_t offset, uint64_t *end)
{
    return open_file_in_memory(body->file, offset, end);
}

enum err store_body_read_in(const struct store_body *body, uint64_t offset, uint64_t n,
                            uint64_t ahead)
{
    return files_read_in(body->fd, offset, n, ahead);
}

bool store_reader_tend(struct store_reader *reader)
{
    return open_files_tend(&reader->open_files);
}

/* --- touch --- */

/*
 * Hits that are spread over far more contents than the filter has slots would all be queued. Those
 * that are left out are known to recent.c for a while, and the next hit has its chance again.
 */
static bool may_touch(struct store_reader *reader, int64_t wall_ms)
{
    if (reader->touch_second != wall_ms / MS_PER_SECOND) {
        reader->touch_second = wall_ms / MS_PER_SECOND;
        reader->touches = 0;
    }
    return reader->touches < TOUCHES_MAX;
}

void store_touch(struct store_reader *reader, const struct digest *content, int64_t wall_ms)
{
    struct blob_id id = blob_id_of(content);
    uint32_t tag, minute = (uint32_t)(wall_ms / MS_PER_MINUTE);
    struct touch_slot *slot = &reader->filter[(id.bytes[0] << 8 | id.bytes[1]) % FILTER_SLOTS];

    recent_note(&reader->store->recent, &id, wall_ms);
    memcpy(&tag, id.bytes + 2, sizeof tag);
    /* Unsigned: after the clock was set back a use is noted again. */
    bool noted = slot->tag == tag && minute - slot->minute < TOUCH_MINUTES;
    if (noted || !may_touch(reader, wall_ms))
        return;
    reader->touches++;
    struct op *op = op_new(OP_TOUCH, slice_of(NULL, 0), slice_of(NULL, 0));
    op->content = id;
    op->ms = wall_ms;
    if (queue_push_note(&reader->store->queue, op))
        *slot = (struct touch_slot){tag, minute};
}
