#include "scan.h"

#include "base/clock.h"
#include "base/log.h"
#include "internal.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 128 * 1024,
    STEP_CHUNKS = 32, /* hashed in one step: 4 MiB */
    STEP_FILES = 256, /* looked at in one step */
    FOUND_BYTES_MAX = 64 * 1024 * 1024,
};

enum err scan_start(struct store *s, struct errinfo *info)
{
    struct scan *scan = &s->scan;

    *scan = (struct scan){.due = scan->due, .active = scan->due, .fd = -1};
    if (!scan->due)
        return ERR_OK;
    enum err err = index_reader_init(s->index, &scan->reader);
    if (err != ERR_OK) {
        scan->active = false;
        return err_set(info, err, "index: no reader");
    }
    scan->found = calloc(SCAN_FOUND_MAX, sizeof *scan->found);
    if (!scan->found)
        abort();
    atomic_store(&s->scanning, true);
    return ERR_OK;
}

static void close_file(struct scan *scan)
{
    if (scan->fd >= 0)
        close(scan->fd);
    scan->fd = -1;
    if (scan->hasher)
        hasher_free(&scan->hasher);
}

static void close_folder(struct scan *scan)
{
    if (scan->dir)
        closedir(scan->dir);
    scan->dir = NULL;
}

void scan_stop(struct store *s)
{
    struct scan *scan = &s->scan;

    if (!scan->active)
        return;
    close_file(scan);
    close_folder(scan);
    index_reader_free(&scan->reader);
    free(scan->found);
    scan->found = NULL;
    scan->active = false;
    atomic_store(&s->scanning, false);
}

/* --- entering what was found --- */

static enum err enter_one(struct store *s, struct catalog_txn *t, const struct scan_file *found)
{
    struct blob_record blob;
    enum err err = catalog_find_blob(&t->index, &found->id, &blob);

    /* A fill may have brought the same content while its file was hashed. */
    if (err != ERR_NOTFOUND)
        return err;
    s->scan.entered++;
    /* A time to come would keep it for ever. */
    int64_t now_ms = clock_wall_ms(), modified_ms = found->info.modified_ms;
    return catalog_enter_file(t, &found->id, found->info.size,
                              modified_ms < now_ms ? modified_ms : now_ms);
}

static enum err enter_found(struct store *s, struct errinfo *info)
{
    struct scan *scan = &s->scan;
    struct catalog_txn t;
    enum err err = catalog_begin(s->index, &t);

    if (err != ERR_OK)
        return err_set(info, err, "index: %s", err_name(err));
    for (size_t i = 0; i < scan->found_count && err == ERR_OK; i++)
        err = enter_one(s, &t, &scan->found[i]);
    if (err != ERR_OK) {
        catalog_abort(&t);
        return err_set(info, err, "index: %s", err_name(err));
    }
    if ((err = catalog_commit(&t, info)) != ERR_OK)
        return err;
    store_publish(s, &t.totals);
    scan->found_count = 0;
    scan->found_bytes = 0;
    return ERR_OK;
}

/* --- one file --- */

static void judge(struct store *s)
{
    struct scan *scan = &s->scan;
    struct digest digest;

    hasher_digest(scan->hasher, DIGEST_SHA256, &digest);
    close_file(scan);
    if (memcmp(digest.bytes, scan->file.id.bytes, SHA256_BYTES) == 0) {
        scan->found[scan->found_count++] = scan->file;
        scan->found_bytes += scan->file.info.size;
    } else if (files_remove_blob(&s->files, &scan->file.id) == ERR_OK) {
        scan->removed++;
    }
}

static void hash_on(struct store *s)
{
    struct scan *scan = &s->scan;
    char chunk[CHUNK_BYTES];

    for (int i = 0; i < STEP_CHUNKS; i++) {
        ssize_t n = read(scan->fd, chunk, sizeof chunk);
        if (n < 0) {
            log_warn("blob_unreadable", LF_INT("size", scan->file.info.size));
            close_file(scan);
            return;
        }
        if (n == 0) {
            judge(s);
            return;
        }
        hasher_update(scan->hasher, chunk, (size_t)n);
    }
}

/* Compares the file with its record; one that has none is opened, to be hashed. */
static enum err look_at_file(struct store *s)
{
    struct scan *scan = &s->scan;
    struct blob_record blob;
    enum err err = catalog_find_blob(&scan->reader.txn, &scan->file.id, &blob);

    if (err == ERR_NOTFOUND) {
        if (files_open_blob(&s->files, &scan->file.id, scan->file.info.size, &scan->fd) == ERR_OK)
            scan->hasher = hasher_new(DIGEST_NONE);
        return ERR_OK;
    }
    if (err == ERR_OK && blob.is_inline) {
        if (files_remove_blob(&s->files, &scan->file.id) == ERR_OK)
            scan->removed++;
    } else if (err == ERR_OK && blob.size != scan->file.info.size) {
        struct op *op = op_new(OP_CHECK_BLOB, slice_of(NULL, 0), slice_of(NULL, 0));
        op->content = scan->file.id;
        queue_push_note(&s->queue, op);
    }
    return err;
}

/* --- the walk --- */

/* False when all folders were walked. */
static bool next_file(struct store *s)
{
    struct scan *scan = &s->scan;

    while (scan->folder < FILES_FOLDERS) {
        if (!scan->dir)
            scan->dir = files_open_folder(&s->files, scan->folder);
        if (scan->dir && files_next_blob(scan->dir, &scan->file.id, &scan->file.info))
            return true;
        close_folder(scan);
        scan->folder++;
    }
    return false;
}

static enum err look_at_files(struct store *s)
{
    enum err err = index_read_begin(&s->scan.reader);

    if (err != ERR_OK)
        return err;
    for (int i = 0; i < STEP_FILES && s->scan.fd < 0 && err == ERR_OK && next_file(s); i++)
        err = look_at_file(s);
    index_read_end(&s->scan.reader);
    return err;
}

static void finish(struct store *s)
{
    s->scan.due = false;
    log_info("scan_done", LF_INT("entered", s->scan.entered), LF_INT("removed", s->scan.removed));
    scan_stop(s);
}

void scan_step(struct store *s)
{
    struct scan *scan = &s->scan;
    struct errinfo info = {.msg = ""};
    enum err err = ERR_OK;

    if (scan->fd >= 0)
        hash_on(s);
    else
        err = look_at_files(s);
    bool done = scan->fd < 0 && scan->folder == FILES_FOLDERS;
    if (err == ERR_OK && scan->found_count > 0 &&
        (done || scan->found_count == SCAN_FOUND_MAX || scan->found_bytes > FOUND_BYTES_MAX))
        err = enter_found(s, &info);
    if (err != ERR_OK) {
        log_error("scan_failed", LF_STR("reason", err_name(err)), LF_STR("detail", info.msg));
        scan_stop(s);
    } else if (done) {
        finish(s);
    }
}
