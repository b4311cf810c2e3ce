/* One fill's bytes on their way: append, hash, verify, commit. */
#include "base/clock.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HASH_CHUNK = 128 * 1024,
    WRITEBACK_BYTES = 8 * 1024 * 1024,
    WRITEBACK_MS = 25, /* for so many bytes: 320 MiB/s */
    RESERVE_MIN = 512 * 1024,
    RESERVE_MAX = 16 * 1024 * 1024,
};

struct partial {
    struct store *store;
    struct store_key key;
    struct digest expected;
    struct hasher *hasher;
    int fd;
    uint64_t size;     /* appended and hashed; the file has just as many bytes */
    bool full;         /* the disk took no more: what comes is hashed only */
    uint64_t reserved; /* up to here the file has its blocks; may be less than `size` */
    bool never_reserves;
    uint64_t writing_out;    /* up to here the kernel was told to begin writing */
    uint64_t next_writeback; /* the size at which that is thought of again */
    int64_t last_writeback_ms;
    bool verified;
    bool committed;
    bool sync_failed; /* what the kernel then says of these bytes cannot be trusted again */
};

static void count_bytes(struct partial *p, uint64_t size)
{
    atomic_fetch_add(&p->store->partial_bytes, size - p->size);
    atomic_fetch_add(&p->store->filling_bytes, size - p->size);
    p->size = size;
}

/* Forgets the bytes that are there. */
static enum err empty(struct partial *p, struct errinfo *info)
{
    if (ftruncate(p->fd, 0) != 0)
        return err_sys(info, "cannot truncate");
    hasher_free(&p->hasher);
    p->hasher = hasher_new(p->expected.algo);
    p->verified = false;
    p->full = false;
    p->reserved = 0;
    p->writing_out = 0;
    p->next_writeback = WRITEBACK_BYTES;
    p->last_writeback_ms = clock_mono_ms();
    count_bytes(p, 0);
    return ERR_OK;
}

/* Hashes what an earlier fill left. */
static enum err hash_prefix(struct partial *p, struct errinfo *info)
{
    char chunk[HASH_CHUNK];
    uint64_t offset = 0;

    for (;;) {
        ssize_t n = pread(p->fd, chunk, sizeof chunk, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(info, "cannot read");
        if (n == 0)
            break;
        hasher_update(p->hasher, chunk, (size_t)n);
        offset += (uint64_t)n;
    }
    p->next_writeback = offset + WRITEBACK_BYTES;
    p->last_writeback_ms = clock_mono_ms();
    count_bytes(p, offset);
    return ERR_OK;
}

/*
 * After a power loss the end of the file may be zeros that nobody wrote; then the digest will be
 * wrong, and the engine begins anew.
 */
static enum err take_up(struct partial *p, bool resume, struct errinfo *info)
{
    struct stat st;

    if (!resume || p->expected.algo == DIGEST_NONE)
        return empty(p, info);
    if (fstat(p->fd, &st) != 0)
        return err_sys(info, "cannot stat");
    if ((uint64_t)st.st_size > p->store->max_size || hash_prefix(p, info) != ERR_OK)
        return empty(p, info);
    return ERR_OK;
}

enum err partial_open(struct store *store, const struct store_key *key,
                      const struct digest *expected, bool resume, struct partial **out,
                      uint64_t *offset, struct errinfo *info)
{
    uint64_t left;
    enum err err = partials_claim(store, key, &left);

    *out = NULL;
    if (err != ERR_OK)
        return err_set(info, err, "another fill of this object is under way");
    struct partial *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    *p = (struct partial){.store = store, .key = *key, .expected = *expected, .size = left};
    atomic_fetch_add(&store->filling_bytes, left);
    p->hasher = hasher_new(expected->algo);
    if ((err = files_open_partial(&store->files, key, &p->fd, info)) == ERR_OK)
        err = take_up(p, resume, info);
    if (err != ERR_OK) {
        store_note_write(store, WRITE_BLOB, err, info);
        partial_free(&p, true);
        return err;
    }
    *out = p;
    *offset = p->size;
    return ERR_OK;
}

bool partial_left(struct store *store, const struct store_key *key)
{
    return partials_left(store, key);
}

int partial_fd(const struct partial *p)
{
    return p->fd;
}

uint64_t partial_size(const struct partial *p)
{
    return p->size;
}

/* --- append --- */

static bool ask_for_room(struct store *store, uint64_t bytes)
{
    struct op op = {.kind = OP_ROOM, .size = bytes};

    return queue_call(&store->queue, &op) == ERR_OK;
}

/* May `n` more bytes come? What is stored gives way to them, but not what other fills write. */
static enum err check_bound(const struct partial *p, size_t n, struct errinfo *info)
{
    struct store *s = p->store;

    if (p->size + n > s->max_size)
        return err_set(info, ERR_FULL, "larger than storage.max_size");
    if (atomic_load_explicit(&s->filling_bytes, memory_order_relaxed) + n > s->max_size)
        return err_set(info, ERR_FULL, "fills under way take all of storage.max_size");
    return ERR_OK;
}

static bool is_disk_full(const struct errinfo *info)
{
    return info->sys == ENOSPC || info->sys == EDQUOT;
}

/*
 * Blocks for a big file in advance, a quarter of what it has: a write that must find each of its
 * blocks takes half as long again (measured, ext4). A refusal is no failure: the write decides.
 */
static void reserve_blocks(struct partial *p, size_t n)
{
    uint64_t ahead = p->size / 4 < RESERVE_MAX ? p->size / 4 : RESERVE_MAX;

    if (p->never_reserves || p->size + n <= p->reserved || ahead < RESERVE_MIN)
        return;
    if (files_reserve(p->fd, p->size, n + ahead))
        p->reserved = p->size + n + ahead;
    else
        p->never_reserves = true;
}

/* Gives back what was reserved too much. */
static enum err trim(struct partial *p, struct errinfo *info)
{
    if (p->reserved > p->size && ftruncate(p->fd, (off_t)p->size) != 0)
        return err_sys(info, "cannot truncate");
    p->reserved = 0;
    return ERR_OK;
}

static enum err write_bytes(struct partial *p, const void *bytes, size_t n, struct errinfo *info)
{
    reserve_blocks(p, n);
    enum err err = files_write(p->fd, bytes, n, p->size, info);

    if (err == ERR_FULL && is_disk_full(info) && ask_for_room(p->store, n))
        err = files_write(p->fd, bytes, n, p->size, info);
    return err;
}

/*
 * Lets the disk begin now, so that the sync at the end is short (measured for 512 MiB: 12 ms for
 * 200) and does not stall the index's. It costs the filling thread half as much time as the writing
 * itself: a link slower than the disk has that to spare, a faster one is not held up.
 */
static void begin_writeback(struct partial *p)
{
    if (p->size < p->next_writeback)
        return;
    int64_t now_ms = clock_mono_ms();
    bool spare = now_ms - p->last_writeback_ms >= WRITEBACK_MS;
    p->last_writeback_ms = now_ms;
    p->next_writeback = p->size + WRITEBACK_BYTES;
    if (!spare)
        return;
    (void)sync_file_range(p->fd, (off_t)p->writing_out, (off_t)(p->size - p->writing_out),
                          SYNC_FILE_RANGE_WRITE);
    p->writing_out = p->size;
}

static enum err append_to_file(struct partial *p, const void *bytes, size_t n, struct errinfo *info)
{
    enum err err = check_bound(p, n, info);

    if (err != ERR_OK)
        return err;
    err = write_bytes(p, bytes, n, info);
    store_note_write(p->store, WRITE_BLOB, err, info);
    if (err != ERR_OK) {
        /* A part may have been written; what is read and resumed ends at `size`. */
        if (ftruncate(p->fd, (off_t)p->size) != 0)
            p->sync_failed = true;
        return err;
    }
    count_bytes(p, p->size + n);
    /* Only now that they count can the writer see that it must evict. */
    if (store_used(p->store) > p->store->max_size)
        queue_nudge(&p->store->queue);
    begin_writeback(p);
    return ERR_OK;
}

enum err partial_append(struct partial *p, const void *bytes, size_t n, struct errinfo *info)
{
    struct errinfo local;

    /* The hash goes on even when the disk does not: the engine still verifies what it relays. */
    hasher_update(p->hasher, bytes, n);
    p->verified = false;
    if (p->full)
        return err_set(info, ERR_FULL, "the bytes before these were not written");
    enum err err = append_to_file(p, bytes, n, info ? info : &local);
    p->full = err != ERR_OK;
    return err;
}

enum err partial_restart(struct partial *p, struct errinfo *info)
{
    enum err err = empty(p, info);

    if (err != ERR_OK)
        store_note_write(p->store, WRITE_BLOB, err, info);
    return err;
}

/* --- the end --- */

enum err partial_verify(struct partial *p, struct digest *content)
{
    struct digest found;

    hasher_digest(p->hasher, DIGEST_SHA256, content);
    if (p->expected.algo != DIGEST_NONE) {
        hasher_digest(p->hasher, p->expected.algo, &found);
        if (!digest_equal(&found, &p->expected))
            return ERR_CORRUPT;
    }
    p->verified = true;
    return ERR_OK;
}

static enum err sync_bytes(struct partial *p, struct errinfo *info)
{
    if (p->sync_failed)
        return err_set(info, ERR_IO, "these bytes could not be synced before");
    enum err err = trim(p, info);
    if (err == ERR_OK)
        err = files_sync(p->fd, info);
    if (err != ERR_OK) {
        p->sync_failed = true;
        store_note_write(p->store, WRITE_BLOB, err, info);
    }
    return err;
}

enum err partial_commit(struct partial *p, const struct digest *content, struct errinfo *info)
{
    assert(p->verified && !p->committed);
    if (p->full)
        return err_set(info, ERR_FULL, "not all bytes were written");
    enum err err = sync_bytes(p, info);
    if (err != ERR_OK)
        return err;
    struct op op = {
        .kind = OP_COMMIT, .key = p->key, .content = blob_id_of(content), .size = p->size};
    err = queue_call(&p->store->queue, &op);
    if (err != ERR_OK)
        return err_set(info, err, "cannot commit the blob: %s", err_name(err));
    p->committed = true;
    /* The writer moved the file, and its bytes count as a blob's now; else partial_free drops it.
     */
    if (op.placed) {
        atomic_fetch_sub(&p->store->filling_bytes, p->size);
        p->size = 0;
    }
    return ERR_OK;
}

void partial_free(struct partial **p, bool keep)
{
    struct partial *old = *p;

    if (!old)
        return;
    keep = keep && !old->committed && !old->sync_failed && old->size > 0;
    if (keep && trim(old, NULL) != ERR_OK)
        keep = false;
    if (old->fd >= 0)
        close(old->fd);
    atomic_fetch_sub(&old->store->filling_bytes, old->size);
    partials_release(old->store, &old->key, old->size, keep);
    hasher_free(&old->hasher);
    free(old);
    *p = NULL;
}
