/* Opening, closing, and what callers queue for the writer. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "internal.h"
#include "recover.h"
#include "writer.h"

#include <assert.h>
#include <stdlib.h>

#define MAP_SIZE_MIN ((size_t)64 << 30)
#define LITTER_MS (INT64_C(7) * 24 * 3600 * 1000)

/* --- what the parts of the store tell each other --- */

void store_publish(struct store *s, const struct totals_record *totals)
{
    atomic_store_explicit(&s->entries, totals->entries, memory_order_relaxed);
    atomic_store_explicit(&s->blobs, totals->blobs, memory_order_relaxed);
    atomic_store_explicit(&s->bytes, totals->bytes, memory_order_relaxed);
}

void store_note_write(struct store *s, enum write_kind kind, enum err result,
                      const struct errinfo *info)
{
    static const char *const names[WRITE_KIND_COUNT] = {"blob", "index"};
    bool fails = result != ERR_OK;

    if (fails)
        counter_inc(COUNTER_STORE_ERRORS);
    if (atomic_load_explicit(&s->failing[kind], memory_order_relaxed) == fails ||
        atomic_exchange(&s->failing[kind], fails) == fails)
        return;
    if (fails)
        log_error("store_failing", LF_STR("what", names[kind]),
                  LF_STR("reason", info ? info->msg : err_name(result)));
    else
        log_info("store_works_again", LF_STR("what", names[kind]));
}

/* --- open and close --- */

enum err store_take_stock(struct store *s, struct errinfo *info)
{
    struct catalog_txn t;
    enum err err = catalog_begin(s->index, &t);

    if (err != ERR_OK)
        return err_set(info, err, "index: %s", err_name(err));
    s->scan.due = !t.totals.clean;
    store_publish(s, &t.totals);
    catalog_mark(&t, false);
    err = catalog_commit(&t, info);
    store_note_write(s, WRITE_INDEX, err, info);
    /* On a full disk what is held can be served all the same; the next commit sets the mark. */
    return err == ERR_FULL ? ERR_OK : err;
}

/* A crash may leave a file that no record names; a store that was closed in order has none. */
static void mark_clean(struct store *s)
{
    struct catalog_txn t;
    struct errinfo info = {.msg = ""};

    if (!s->index || s->scan.due)
        return;
    enum err err = catalog_begin(s->index, &t);
    if (err == ERR_OK) {
        catalog_mark(&t, true);
        err = catalog_commit(&t, &info);
    }
    if (err != ERR_OK)
        log_warn("store_not_marked_clean", LF_STR("reason", info.msg));
}

/*
 * Address space costs nothing. All that is in the index counts against max_size, and its pages are
 * less than four times that, so such a map is never full.
 */
static size_t choose_map_size(const struct store_options *options)
{
    size_t for_all = 4 * (size_t)options->max_size;

    if (options->map_size)
        return options->map_size;
    return for_all > MAP_SIZE_MIN ? for_all : MAP_SIZE_MIN;
}

/* LMDB may find an index whole whose totals cannot be read: that, too, is damage. */
static enum err take_stock_of_any(struct store *s, struct errinfo *info)
{
    enum err err = store_take_stock(s, info);

    if (err == ERR_CORRUPT && (err = recover_mend(&s->files, s->index, info)) == ERR_OK)
        err = store_take_stock(s, info);
    return err;
}

static enum err open_parts(struct store *s, const struct store_options *options,
                           struct errinfo *info)
{
    enum err err = files_open(&s->files, options->path, info);

    if (err == ERR_OK)
        err = partials_load(s, clock_wall_ms() - LITTER_MS, info);
    if (err == ERR_OK)
        err = recover_index(&s->files, options->path, choose_map_size(options), &s->index, info);
    if (err == ERR_OK)
        err = take_stock_of_any(s, info);
    if (err == ERR_OK)
        err = scan_start(s, info);
    return err == ERR_OK ? writer_start(s, info) : err;
}

static void release(struct store *s)
{
    scan_stop(s);
    index_close(&s->index);
    files_close(&s->files);
    partials_destroy(&s->partials);
    queue_destroy(&s->queue);
    free(s);
}

enum err store_open(const struct store_options *options, struct store **out, struct errinfo *info)
{
    struct store *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->files = (struct blob_files){.root = -1, .lock = -1};
    s->max_size = options->max_size > 0 ? (uint64_t)options->max_size : 0;
    queue_init(&s->queue);
    partials_init(&s->partials);
    enum err err = open_parts(s, options, info);
    if (err != ERR_OK) {
        release(s);
        s = NULL;
    }
    *out = s;
    return err;
}

void store_close(struct store **store)
{
    struct store *s = *store;

    if (!s)
        return;
    writer_stop(s);
    mark_clean(s);
    release(s);
    *store = NULL;
}

/* --- queued work --- */

static enum err check_inline_body(const struct store_entry *entry, struct slice body)
{
    unsigned char found[SHA256_BYTES];

    if (body.n > STORE_INLINE_MAX)
        return ERR_LIMIT;
    sha256(body.p, body.n, found);
    if (body.n != entry->size || memcmp(found, entry->content.bytes, sizeof found) != 0)
        return ERR_CORRUPT;
    return ERR_OK;
}

enum err store_put(struct store *store, const struct store_key *key,
                   const struct store_entry *entry, struct slice inline_body, store_done_f *done,
                   void *arg)
{
    char record[STORE_RECORD_MAX];
    size_t n;
    enum err err = inline_body.p ? check_inline_body(entry, inline_body) : ERR_OK;

    if (err == ERR_OK)
        err = record_encode_entry(entry, record, &n);
    if (err != ERR_OK)
        return err;
    struct op *op = op_new(OP_PUT, slice_of(record, n), inline_body);
    op->key = *key;
    op->done = done;
    op->arg = arg;
    return queue_push(&store->queue, op);
}

enum err store_validated(struct store *store, const struct store_key *key,
                         const struct digest *content, int64_t validated_ms, store_done_f *done,
                         void *arg)
{
    struct op *op = op_new(OP_VALIDATE, slice_of(NULL, 0), slice_of(NULL, 0));

    op->done = done;
    op->arg = arg;
    op->key = *key;
    op->content = blob_id_of(content);
    op->ms = validated_ms;
    return queue_push(&store->queue, op);
}

enum err store_remove(struct store *store, const struct store_key *key)
{
    struct op *op = op_new(OP_REMOVE, slice_of(NULL, 0), slice_of(NULL, 0));

    op->key = *key;
    return queue_push(&store->queue, op);
}

/* --- figures --- */

void store_stats(struct store *store, struct store_stats *out)
{
    *out = (struct store_stats){
        .entries = atomic_load_explicit(&store->entries, memory_order_relaxed),
        .blobs = atomic_load_explicit(&store->blobs, memory_order_relaxed),
        .bytes = atomic_load_explicit(&store->bytes, memory_order_relaxed),
        .max_bytes = store->max_size,
        .queued = queue_length(&store->queue),
        .failing = atomic_load_explicit(&store->failing[WRITE_BLOB], memory_order_relaxed) ||
                   atomic_load_explicit(&store->failing[WRITE_INDEX], memory_order_relaxed),
        .partial_bytes = atomic_load_explicit(&store->partial_bytes, memory_order_relaxed),
        .scanning = atomic_load_explicit(&store->scanning, memory_order_relaxed),
    };
}
