#include "writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "evict.h"
#include "internal.h"
#include "recover.h"

#include <errno.h>
#include <signal.h>

enum {
    BATCH_MAX = 512,
    FORGET_BUDGET = 4096, /* entries removed with one lost blob */
};

/* A transaction under way, and which folders of blobs/ got a file that must be safe before it. */
struct batch {
    struct catalog_txn txn;
    bool folders[FILES_FOLDERS];
};

/* --- one function for each kind of op --- */

/*
 * Returns an error only when the transaction is lost; what becomes of the op itself is in
 * op->result. An op may be applied again after its transaction was aborted.
 */
typedef enum err apply_f(struct store *s, struct batch *batch, struct op *op);

static enum err apply_put(struct store *s, struct batch *batch, struct op *op)
{
    if (op->record.n + op->body.n > s->max_size) {
        op->result = ERR_FULL;
        return ERR_OK;
    }
    return catalog_put_entry(&batch->txn, &op->key, op->record, op->body, clock_wall_ms(),
                             &op->result);
}

static enum err apply_validate(struct store *s, struct batch *batch, struct op *op)
{
    (void)s;
    return catalog_validate_entry(&batch->txn, &op->key, &op->content, op->ms, &op->result);
}

static enum err apply_remove(struct store *s, struct batch *batch, struct op *op)
{
    (void)s;
    return catalog_remove_entry(&batch->txn, &op->key, &op->result);
}

static enum err apply_touch(struct store *s, struct batch *batch, struct op *op)
{
    (void)s;
    return catalog_touch(&batch->txn, &op->content, op->ms);
}

static bool is_held(struct store *s, const struct blob_id *id, const struct blob_record *blob)
{
    return blob->is_inline || files_has_blob(&s->files, id, blob->size);
}

static enum err apply_commit(struct store *s, struct batch *batch, struct op *op)
{
    struct blob_record blob;
    struct errinfo info;
    int64_t now_ms = clock_wall_ms();
    enum err err = catalog_find_blob(&batch->txn.index, &op->content, &blob);

    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    op->held = err == ERR_OK && !op->placed && is_held(s, &op->content, &blob);
    if (op->held)
        return catalog_touch(&batch->txn, &op->content, now_ms);
    if (!op->placed) {
        op->result = files_place(&s->files, &op->key, &op->content, &info);
        if (op->result != ERR_OK) {
            store_note_write(s, WRITE_BLOB, op->result, &info);
            return ERR_OK;
        }
        op->placed = true;
    }
    batch->folders[op->content.bytes[0]] = true;
    return catalog_enter_file(&batch->txn, &op->content, op->size, now_ms);
}

static enum err apply_check_entry(struct store *s, struct batch *batch, struct op *op)
{
    (void)s;
    return catalog_check_entry(&batch->txn, &op->key);
}

/* A wrong file goes at once: nothing can be served from it, so no commit need come first. */
static enum err apply_check_blob(struct store *s, struct batch *batch, struct op *op)
{
    struct blob_record blob;
    bool gone;
    size_t budget = FORGET_BUDGET;
    enum err err = catalog_find_blob(&batch->txn.index, &op->content, &blob);

    if (err != ERR_OK || is_held(s, &op->content, &blob))
        return err == ERR_NOTFOUND ? ERR_OK : err;
    if (files_remove_blob(&s->files, &op->content) == ERR_IO)
        s->scan.due = true;
    return catalog_forget(&batch->txn, &op->content, &budget, &gone, &blob);
}

/* Room is made before the transaction begins; see make_room. */
static enum err apply_room(struct store *s, struct batch *batch, struct op *op)
{
    (void)s;
    (void)batch;
    (void)op;
    return ERR_OK;
}

static apply_f *const apply_rows[OP_KIND_COUNT] = {
    [OP_PUT] = apply_put,
    [OP_VALIDATE] = apply_validate,
    [OP_REMOVE] = apply_remove,
    [OP_TOUCH] = apply_touch,
    [OP_COMMIT] = apply_commit,
    [OP_CHECK_ENTRY] = apply_check_entry,
    [OP_CHECK_BLOB] = apply_check_blob,
    [OP_ROOM] = apply_room,
};

/* --- a batch --- */

static enum err sync_folders(struct store *s, const struct batch *batch, struct errinfo *info)
{
    enum err err = ERR_OK;

    for (unsigned i = 0; i < FILES_FOLDERS && err == ERR_OK; i++)
        if (batch->folders[i])
            err = files_sync_folder(&s->files, i, info);
    return err;
}

/*
 * The order of law 2: the bytes of a fill were synced before it was queued; here its file is
 * renamed, the folder synced, and only then the record committed.
 */
static enum err run_transaction(struct store *s, struct op **ops, size_t n, struct errinfo *info)
{
    struct batch batch = {.folders = {false}};
    enum err err = catalog_begin(s->index, &batch.txn);

    if (err != ERR_OK)
        return err_set(info, err, "index: %s", err_name(err));
    for (size_t i = 0; i < n && err == ERR_OK; i++)
        err = apply_rows[ops[i]->kind](s, &batch, ops[i]);
    if (err != ERR_OK)
        err_set(info, err, "index: %s", err_name(err));
    else
        err = sync_folders(s, &batch, info);
    if (err != ERR_OK) {
        catalog_abort(&batch.txn);
        return err;
    }
    if ((err = catalog_commit(&batch.txn, info)) == ERR_OK)
        store_publish(s, &batch.txn.totals);
    return err;
}

/*
 * A failed commit may have reached the disk all the same, and then files lie where no record says
 * so; after mending they are looked for.
 */
static void mend_if_needed(struct store *s)
{
    struct errinfo info = {.msg = ""};

    if (!index_needs_mending(s->index))
        return;
    scan_stop(s);
    enum err err = recover_mend(&s->files, s->index, &info);
    if (err == ERR_OK)
        err = store_take_stock(s, &info);
    if (err == ERR_OK) {
        log_info("index_mended", LF_INT("entries", atomic_load(&s->entries)));
        s->scan.due = true;
        err = scan_start(s, &info);
    }
    store_note_write(s, WRITE_INDEX, err, &info);
}

static void run_alone(struct store *s, struct op *op)
{
    struct errinfo info;
    enum err err = run_transaction(s, &op, 1, &info);

    store_note_write(s, WRITE_INDEX, err, &info);
    if (err == ERR_OK)
        return;
    op->result = err;
    if (op->placed && !files_take_back(&s->files, &op->key, &op->content))
        s->scan.due = true;
    op->placed = false;
}

static uint64_t bytes_coming(struct op **ops, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        if (ops[i]->kind == OP_PUT)
            bytes += STORE_KEY_BYTES + ops[i]->record.n + ops[i]->body.n;
    return bytes;
}

/* The bytes of a commit count already: they are in partial/. */
static void make_room(struct store *s, struct op **ops, size_t n)
{
    evict_to_bound(s, bytes_coming(ops, n));
    for (size_t i = 0; i < n; i++)
        if (ops[i]->kind == OP_ROOM)
            ops[i]->result = evict_for_disk(s, ops[i]->size) ? ERR_OK : ERR_FULL;
}

static void finish(struct store *s, struct op *op)
{
    /* Before the totals are looked at again: these bytes now count as a blob's. */
    if (op->placed)
        atomic_fetch_sub(&s->partial_bytes, op->size);
    queue_finish(&s->queue, op);
}

/* If the whole fails, each op is tried alone: one that cannot succeed must not take the others. */
static void run_batch(struct store *s, struct op **ops, size_t n)
{
    struct errinfo info;

    make_room(s, ops, n);
    enum err err = run_transaction(s, ops, n, &info);
    if (err == ERR_OK) {
        store_note_write(s, WRITE_INDEX, err, &info);
    } else {
        mend_if_needed(s);
        if (err == ERR_FULL && !evict_for_index(s))
            evict_for_disk(s, bytes_coming(ops, n));
        for (size_t i = 0; i < n; i++)
            run_alone(s, ops[i]);
    }
    for (size_t i = 0; i < n; i++)
        finish(s, ops[i]);
}

/* --- the thread --- */

static void *writer_main(void *arg)
{
    struct store *s = arg;
    struct op *ops[BATCH_MAX];
    bool stopped = false, more = true; /* more: look at the bound at start */

    while (!stopped) {
        size_t n = queue_take(&s->queue, !more, ops, BATCH_MAX, &stopped);
        mend_if_needed(s);
        if (n)
            run_batch(s, ops, n);
        if (s->scan.active && !stopped)
            scan_step(s);
        more = evict_to_bound(s, 0);
        more |= evict_for_index(s);
        more |= s->scan.active;
    }
    scan_stop(s);
    return NULL;
}

enum err writer_start(struct store *s, struct errinfo *info)
{
    sigset_t all, old;

    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->writer, NULL, writer_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        errno = rc;
        return err_sys(info, "cannot start the writer thread");
    }
    pthread_setname_np(s->writer, "store-writer");
    s->writer_runs = true;
    return ERR_OK;
}

void writer_stop(struct store *s)
{
    if (!s->writer_runs)
        return;
    queue_stop(&s->queue);
    pthread_join(s->writer, NULL);
    s->writer_runs = false;
}
