/* What the tests of storage/ share: a folder, bodies with their digests, entries, and a checker. */
#ifndef YT_TESTS_STORAGE_KIT_H
#define YT_TESTS_STORAGE_KIT_H

#include "base/clock.h"
#include "base/log.h"
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { KIT_MAP_SIZE = 64 * 1024 * 1024, KIT_BODY_MAX = 4 * 1024 * 1024 };

static char kit_path[512];

/* --- folders; as cmocka's set-up and tear-down --- */

static inline int kit_setup_in(const char *parent)
{
    const char *tmp = getenv("TMPDIR");

    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    snprintf(kit_path, sizeof kit_path, "%s/yantian-test-XXXXXX", tmp ? tmp : parent);
    return mkdtemp(kit_path) ? 0 : -1;
}

static inline int kit_setup(void **state)
{
    (void)state;
    return kit_setup_in("/tmp");
}

static inline int kit_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int kit_teardown(void **state)
{
    (void)state;
    return nftw(kit_path, kit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What a function gives in a process of its own, as its exit code. */
static inline int kit_in_child(int (*function)(void))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(function());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* kit_path/<suffix>; valid until the next call but three. */
static inline const char *kit_file(const char *suffix)
{
    static char paths[4][1024];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", kit_path, suffix);
    return path;
}

static inline bool kit_exists(const char *suffix)
{
    struct stat st;

    return lstat(kit_file(suffix), &st) == 0;
}

static inline void kit_write_file(const char *suffix, const void *bytes, size_t n)
{
    int fd = open(kit_file(suffix), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

/* --- bodies: the n-th is always the same, of the size that is asked for --- */

struct kit_body {
    char *bytes;
    size_t n;
    struct digest digest;
};

static inline struct kit_body kit_body_new(unsigned seed, size_t n)
{
    struct kit_body body = {malloc(n + 1), n, {.algo = DIGEST_SHA256}};
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    assert_true(n <= KIT_BODY_MAX && body.bytes);
    for (size_t i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        body.bytes[i] = (char)(x >> 56);
    }
    sha256(body.bytes, n, body.digest.bytes);
    return body;
}

static inline void kit_body_free(struct kit_body *body)
{
    free(body->bytes);
    body->bytes = NULL;
}

/* "blobs/sha256/ab/<hex>" */
static inline const char *kit_blob_name(const struct digest *digest)
{
    static char name[128];
    char hex[2 * SHA256_BYTES + 1];

    hex_encode(digest->bytes, SHA256_BYTES, hex);
    snprintf(name, sizeof name, "blobs/sha256/%.2s/%s", hex, hex);
    return name;
}

static inline struct store_key kit_key(unsigned n)
{
    struct store_key key;
    char text[32];

    snprintf(text, sizeof text, "key %u", n);
    sha256(text, strlen(text), key.bytes);
    return key;
}

static inline struct store_entry kit_entry(const struct kit_body *body)
{
    return (struct store_entry){
        .name = SLICE("dockerhub library/busybox manifests/latest"),
        .status = 200,
        .content_type = SLICE("application/vnd.oci.image.manifest.v1+json"),
        .fields = SLICE("Docker-Distribution-Api-Version: registry/2.0\r\n"),
        .etag = SLICE("\"abc\""),
        .last_modified = SLICE("Mon, 02 Nov 2026 10:00:00 GMT"),
        .content = body->digest,
        .shown = body->digest,
        .size = body->n,
        .fetched_ms = 1700000000000,
        .validated_ms = 1700000000000,
    };
}

/* --- stores --- */

static inline struct store *kit_open_sized(int64_t max_size, size_t map_size)
{
    struct store_options options = {kit_path, max_size, map_size};
    struct store *store;
    struct errinfo info = {.msg = ""};
    enum err err = store_open(&options, &store, &info);

    if (err != ERR_OK)
        fail_msg("store_open: %s", info.msg);
    return store;
}

static inline struct store *kit_open(void)
{
    return kit_open_sized((int64_t)1 << 30, KIT_MAP_SIZE);
}

static inline void kit_sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Waits until `what` is false, 10 seconds at most. */
#define kit_wait_while(what)                                                                       \
    do {                                                                                           \
        int64_t kit_deadline_ = clock_mono_ms() + 10000;                                           \
        while (what) {                                                                             \
            assert_true(clock_mono_ms() < kit_deadline_);                                          \
            kit_sleep_ms(1);                                                                       \
        }                                                                                          \
    } while (0)

static inline struct store_stats kit_stats(struct store *store)
{
    struct store_stats stats;

    store_stats(store, &stats);
    return stats;
}

static inline void kit_wait_scan(struct store *store)
{
    kit_wait_while(kit_stats(store).scanning);
}

/* As a crash leaves it: the next start looks for files that no record names. */
static inline void kit_close_unclean(struct store **store)
{
    kit_wait_scan(*store);
    (*store)->scan.due = true;
    store_close(store);
}

/* --- waiting for a queued op --- */

struct kit_done {
    _Atomic bool called;
    enum err result;
};

static inline void kit_on_done(void *arg, enum err result)
{
    struct kit_done *done = arg;

    done->result = result;
    atomic_store(&done->called, true);
}

/* Puts and waits; with an inline body when `body_inline`. */
static inline enum err kit_put(struct store *store, unsigned key, const struct kit_body *body,
                               bool body_inline)
{
    struct store_entry entry = kit_entry(body);
    struct store_key k = kit_key(key);
    struct kit_done done = {.called = false};
    enum err err = store_put(store, &k, &entry,
                             body_inline ? slice_of(body->bytes, body->n) : slice_of(NULL, 0),
                             kit_on_done, &done);

    if (err != ERR_OK)
        return err;
    kit_wait_while(!atomic_load(&done.called));
    return done.result;
}

/* Returns when everything queued before is done. */
static inline void kit_flush(struct store *store)
{
    struct op op = {.kind = OP_TOUCH};

    assert_int_equal(queue_call(&store->queue, &op), ERR_OK);
}

/* A fill from the first byte to the commit, under a partial key of its own. */
static inline enum err kit_fill(struct store *store, unsigned key, const struct kit_body *body,
                                struct errinfo *info)
{
    struct store_key k = kit_key(key);
    struct partial *p;
    struct digest content;
    uint64_t offset;
    enum err err = partial_open(store, &k, &body->digest, true, &p, &offset, info);

    if (err != ERR_OK)
        return err;
    err = partial_append(p, body->bytes + offset, body->n - offset, info);
    if (err == ERR_OK)
        err = partial_verify(p, &content);
    if (err == ERR_OK)
        err = partial_commit(p, &content, info);
    partial_free(&p, false);
    return err;
}

/* --- lookups --- */

struct kit_lookup {
    enum err err;
    struct store_entry entry;
    struct store_body body;
    struct arena arena;
    char memory[64 * 1024];
};

/* With its body; to be ended with kit_lookup_end. */
static inline void kit_lookup(struct store_reader *reader, unsigned key, struct kit_lookup *l)
{
    struct store_key k = kit_key(key);

    arena_init(&l->arena, l->memory, sizeof l->memory, 0);
    l->err = store_lookup(reader, &k, &l->arena, &l->entry, &l->body);
}

static inline void kit_lookup_end(struct kit_lookup *l)
{
    store_body_release(&l->body);
    arena_reset(&l->arena);
}

static inline struct store_reader *kit_reader(struct store *store)
{
    struct store_reader *reader;

    assert_int_equal(store_reader_new(store, &reader, NULL), ERR_OK);
    return reader;
}

/* Is the body that a descriptor gives this one, byte for byte? */
static inline bool kit_fd_is(int fd, const struct kit_body *body)
{
    char *found = malloc(body->n + 1);
    ssize_t n = pread(fd, found, body->n + 1, 0);
    bool same = n == (ssize_t)body->n && memcmp(found, body->bytes, body->n) == 0;

    free(found);
    return same;
}

/* Does the store hold this body under the key? */
static inline bool kit_holds(struct store *store, unsigned key, const struct kit_body *body)
{
    struct store_reader *reader = kit_reader(store);
    struct kit_lookup l;

    kit_lookup(reader, key, &l);
    bool held = l.err == ERR_OK && digest_equal(&l.entry.content, &body->digest);
    if (held && l.body.is_inline)
        held = slice_eq(l.body.bytes, slice_of(body->bytes, body->n));
    else if (held)
        held = kit_fd_is(l.body.fd, body);
    kit_lookup_end(&l);
    store_reader_free(&reader);
    return held;
}

/* --- the invariants that catalog.h names --- */

/* The first key above `key`; false at the end. */
static inline bool kit_next_key(struct index_txn *txn, enum index_db db, char key[65], size_t *n)
{
    struct slice found;
    enum err err;

    if (*n)
        key[(*n)++] = '\0';
    err = index_seek(txn, db, slice_of(key, *n), &found);
    assert_true(err == ERR_OK || err == ERR_NOTFOUND);
    if (err != ERR_OK)
        return false;
    assert_true(found.n <= 64);
    memcpy(key, found.p, found.n);
    *n = found.n;
    return true;
}

static inline void kit_check_entries(struct index_txn *txn, struct totals_record *sum)
{
    char key[65], ref[64];
    size_t n = 0;
    struct slice value, empty;

    while (kit_next_key(txn, INDEX_ENTRY, key, &n)) {
        struct store_entry entry;
        struct entry_value parts;
        struct blob_record blob;
        assert_int_equal(index_get(txn, INDEX_ENTRY, slice_of(key, n), &value), ERR_OK);
        assert_int_equal(record_split_value(value, &parts), ERR_OK);
        assert_int_equal(record_decode_entry(parts.record, &entry), ERR_OK);
        struct blob_id id = blob_id_of(&entry.content);
        assert_int_equal(catalog_find_blob(txn, &id, &blob), ERR_OK);
        assert_true(blob.size == entry.size && blob.is_inline == parts.has_body);
        if (parts.has_body) {
            unsigned char digest[SHA256_BYTES];
            sha256(parts.body.p, parts.body.n, digest);
            assert_memory_equal(digest, entry.content.bytes, sizeof digest);
        }
        memcpy(ref, id.bytes, 32);
        memcpy(ref + 32, key, 32);
        assert_int_equal(index_get(txn, INDEX_REF, slice_of(ref, 64), &empty), ERR_OK);
        sum->entries++;
        sum->bytes += n + value.n;
    }
}

static inline void kit_check_blobs(struct index_txn *txn, struct totals_record *sum)
{
    char key[65], use[40];
    size_t n = 0;
    struct slice record;

    while (kit_next_key(txn, INDEX_BLOB, key, &n)) {
        struct blob_record blob;
        assert_int_equal(index_get(txn, INDEX_BLOB, slice_of(key, n), &record), ERR_OK);
        assert_int_equal(record_decode_blob(record, &blob), ERR_OK);
        for (int i = 0; i < 8; i++)
            use[i] = (char)((uint64_t)blob.last_use_ms >> (56 - 8 * i));
        memcpy(use + 8, key, 32);
        assert_int_equal(index_get(txn, INDEX_USE, slice_of(use, 40), &record), ERR_OK);
        sum->blobs++;
        sum->bytes += blob.is_inline ? 0 : blob.size;
    }
}

static inline size_t kit_count(struct index_txn *txn, enum index_db db)
{
    char key[65];
    size_t n = 0, count = 0;

    while (kit_next_key(txn, db, key, &n))
        count++;
    return count;
}

static inline void kit_check_index(struct index *index)
{
    struct index_reader reader;
    struct totals_record sum = {.clean = false}, totals = {.clean = false};
    struct slice record;

    assert_int_equal(index_reader_init(index, &reader), ERR_OK);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    kit_check_entries(&reader.txn, &sum);
    kit_check_blobs(&reader.txn, &sum);
    assert_int_equal(kit_count(&reader.txn, INDEX_REF), sum.entries);
    assert_int_equal(kit_count(&reader.txn, INDEX_USE), sum.blobs);
    if (index_get(&reader.txn, INDEX_META, SLICE("totals"), &record) == ERR_OK)
        assert_int_equal(record_decode_totals(record, &totals), ERR_OK);
    assert_int_equal(totals.entries, sum.entries);
    assert_int_equal(totals.blobs, sum.blobs);
    assert_int_equal(totals.bytes, sum.bytes);
    index_read_end(&reader);
    index_reader_free(&reader);
}

/* Law 2: for each blob record there is a file of its size. */
static inline void kit_check_files(struct store *store)
{
    struct index_reader reader;
    struct blob_record blob;
    struct blob_id id;
    char key[65];
    size_t n = 0;

    assert_int_equal(index_reader_init(store->index, &reader), ERR_OK);
    assert_int_equal(index_read_begin(&reader), ERR_OK);
    while (kit_next_key(&reader.txn, INDEX_BLOB, key, &n)) {
        memcpy(id.bytes, key, sizeof id.bytes);
        assert_int_equal(catalog_find_blob(&reader.txn, &id, &blob), ERR_OK);
        assert_true(blob.is_inline || files_has_blob(&store->files, &id, blob.size));
    }
    index_read_end(&reader);
    index_reader_free(&reader);
}

/* Every file in blobs/ has a record of its size. Gives their number. */
static inline unsigned kit_check_no_orphans(struct store *store)
{
    struct store_reader *reader = kit_reader(store);
    struct digest digest = {.algo = DIGEST_SHA256};
    struct blob_id id;
    struct file_info info;
    uint64_t size;
    unsigned count = 0;

    for (unsigned i = 0; i < FILES_FOLDERS; i++) {
        DIR *folder = files_open_folder(&store->files, i);
        while (folder && files_next_blob(folder, &id, &info)) {
            memcpy(digest.bytes, id.bytes, sizeof id.bytes);
            assert_true(store_has_blob(reader, &digest, &size));
            assert_int_equal(size, info.size);
            count++;
        }
        if (folder)
            closedir(folder);
    }
    store_reader_free(&reader);
    return count;
}

#endif
