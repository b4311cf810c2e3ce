#include "index.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_READERS = 512,
    MAP_MIN = 1024 * 1024,
    FILE_MODE = 0640,
    KEY_BYTES_MAX = 64,
    /* NORDAHEAD: records are small and their keys are hashes, so neighbours are never wanted. */
    ENV_FLAGS = MDB_NOTLS | MDB_NORDAHEAD,
};

struct index {
    MDB_env *env; /* NULL while suspended */
    MDB_dbi dbi[INDEX_DB_COUNT];
    size_t map_size;
    pthread_mutex_t readers_mutex; /* of the list only */
    struct index_reader *readers;
    _Atomic bool suspended;
    _Atomic bool stuck;
    _Atomic bool marking; /* a thread has begun to mark the damage */
    _Atomic bool damaged; /* it is marked */
    char folder[];
};

struct db_row {
    const char *name;
    size_t key_bytes; /* 0: any */
};

static const struct db_row db_rows[INDEX_DB_COUNT] = {
    [INDEX_ENTRY] = {"entry", 32}, [INDEX_BLOB] = {"blob", 32}, [INDEX_USE] = {"use", 40},
    [INDEX_REF] = {"ref", 64},     [INDEX_META] = {"meta", 0},
};

static const struct slice format_key = {"format", 6};

/* --- errors --- */

static enum err classify(int rc)
{
    switch (rc) {
    case 0:
        return ERR_OK;
    case MDB_NOTFOUND:
        return ERR_NOTFOUND;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case MDB_READERS_FULL:
        return ERR_LIMIT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
        return ERR_CORRUPT;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

static enum err fail(struct errinfo *info, int rc, const char *what)
{
    return err_set(info, classify(rc), "index: %s: %s", what, mdb_strerror(rc));
}

void index_mark_damaged(struct index *index)
{
    char path[PATH_MAX];

    if (atomic_exchange(&index->marking, true))
        return;
    snprintf(path, sizeof path, "%s.damaged", index->folder);
    log_error("index_damaged", LF_STR("index", index->folder),
              LF_STR("help", "a new index is begun"));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd >= 0)
        close(fd);
    /* Last, or the mark could come after the mending that it asks for, and undo it. */
    atomic_store(&index->damaged, true);
}

/* The result of a call on an open index: what needs mending is noted where it is seen. */
static enum err result(const struct index_txn *txn, int rc)
{
    enum err err = classify(rc);

    if (err == ERR_CORRUPT)
        index_mark_damaged(txn->index);
    if (rc == MDB_PANIC)
        atomic_store(&txn->index->stuck, true);
    return err;
}

/* LMDB aborts the process after this: the next start must not walk into the same page again. */
static void on_assert(MDB_env *env, const char *message)
{
    struct index *index = mdb_env_get_userctx(env);

    index_mark_damaged(index);
    log_error("index_assert", LF_STR("reason", message));
}

/* --- open --- */

/* A file shorter than its header says would be a bus error at the first missing page. */
static enum err check_length(const struct index *index, struct errinfo *info)
{
    char path[PATH_MAX];
    struct stat st;
    MDB_envinfo env_info;
    MDB_stat env_stat;

    snprintf(path, sizeof path, "%s/data.mdb", index->folder);
    mdb_env_info(index->env, &env_info);
    mdb_env_stat(index->env, &env_stat);
    /* stat, not open: closing the file would drop LMDB's own locks on it. */
    if (stat(path, &st) != 0)
        return err_sys(info, "%s", path);
    if (env_stat.ms_psize == 0 ||
        (uint64_t)st.st_size / env_stat.ms_psize < env_info.me_last_pgno + 1)
        return err_set(info, ERR_CORRUPT, "index: %s is shorter than it should be", path);
    return ERR_OK;
}

static int open_env(struct index *index, size_t map_size, unsigned flags)
{
    int rc = mdb_env_create(&index->env);

    if (rc != 0)
        return rc;
    mdb_env_set_userctx(index->env, index);
    mdb_env_set_assert(index->env, on_assert);
    if ((rc = mdb_env_set_maxreaders(index->env, MAX_READERS)) == 0 &&
        (rc = mdb_env_set_maxdbs(index->env, INDEX_DB_COUNT)) == 0 &&
        (rc = mdb_env_set_mapsize(index->env, map_size)) == 0)
        rc = mdb_env_open(index->env, index->folder, flags, FILE_MODE);
    if (rc != 0) {
        mdb_env_close(index->env);
        index->env = NULL;
    }
    return rc;
}

static bool can_reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return false;
    munmap(p, bytes);
    return true;
}

/* Address space may be limited (ulimit -v): half as much, then, and so on. */
static int open_env_somehow(struct index *index, size_t map_size, unsigned flags)
{
    int rc = open_env(index, map_size, flags);

    while ((rc == ENOMEM || rc == EFBIG || rc == EINVAL || rc == EOVERFLOW) &&
           map_size / 2 >= MAP_MIN) {
        map_size /= 2;
        rc = open_env(index, map_size, flags);
    }
    /* LMDB maps as much as the file's header asks for. If even the least we ask for is refused
     * although there is space for it, then the header lies. */
    if (rc == ENOMEM && can_reserve(map_size))
        return MDB_CORRUPTED;
    return rc;
}

static enum err open_databases(struct index *index, struct index_txn *txn, unsigned flags)
{
    for (int db = 0; db < INDEX_DB_COUNT; db++) {
        enum err err = classify(mdb_dbi_open(txn->mdb, db_rows[db].name, flags, &index->dbi[db]));
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* A new index gets the format version; another version than ours cannot be used. */
static enum err check_format(struct index_txn *txn, bool may_write)
{
    char ours = INDEX_FORMAT;
    struct slice found = {NULL, 0};
    enum err err = index_get(txn, INDEX_META, format_key, &found);

    if (err == ERR_NOTFOUND && may_write)
        return index_put(txn, INDEX_META, format_key, slice_of(&ours, 1));
    if (err != ERR_OK)
        return err;
    return found.n == 1 && found.p[0] == ours ? ERR_OK : ERR_CORRUPT;
}

static enum err prepare(struct index *index, struct errinfo *info)
{
    struct index_txn txn;
    int stale;
    enum err err = check_length(index, info);

    if (err != ERR_OK)
        return err;
    mdb_reader_check(index->env, &stale);
    if ((err = index_write_begin(index, &txn)) != ERR_OK)
        return err_set(info, err, "index: no write transaction");
    if ((err = open_databases(index, &txn, MDB_CREATE)) != ERR_OK ||
        (err = check_format(&txn, true)) != ERR_OK) {
        index_abort(&txn);
        return err_set(info, err, "index: %s", err_name(err));
    }
    return index_commit(&txn, info);
}

static struct index *new_index(const char *folder, size_t map_size)
{
    size_t n = strlen(folder) + 1;
    struct index *index = calloc(1, sizeof *index + n);

    if (!index)
        abort();
    memcpy(index->folder, folder, n);
    index->map_size = map_size;
    pthread_mutex_init(&index->readers_mutex, NULL);
    return index;
}

static void close_env(struct index *index)
{
    if (index->env)
        mdb_env_close(index->env);
    index->env = NULL;
}

static enum err open_index(struct index *index, struct errinfo *info)
{
    int rc = open_env_somehow(index, index->map_size, ENV_FLAGS);
    enum err err = rc == 0 ? prepare(index, info) : fail(info, rc, index->folder);

    if (err != ERR_OK)
        close_env(index);
    return err;
}

enum err index_open(const char *folder, size_t map_size, struct index **out, struct errinfo *info)
{
    struct index *index = new_index(folder, map_size);
    enum err err = open_index(index, info);

    if (err != ERR_OK)
        index_close(&index);
    *out = index;
    return err;
}

void index_close(struct index **index)
{
    if (!*index)
        return;
    close_env(*index);
    pthread_mutex_destroy(&(*index)->readers_mutex);
    free(*index);
    *index = NULL;
}

/* --- mending --- */

bool index_needs_mending(const struct index *index)
{
    return atomic_load(&index->stuck) || atomic_load(&index->damaged);
}

bool index_is_damaged(const struct index *index)
{
    return atomic_load(&index->damaged);
}

/*
 * A reader sets `busy` before it looks at `suspended`, and here it is the other way round: one of
 * the two sees the other (both are sequentially consistent), so no reader is within when the
 * environment is closed. A read takes microseconds.
 */
void index_suspend(struct index *index)
{
    atomic_store(&index->suspended, true);
    pthread_mutex_lock(&index->readers_mutex);
    for (struct index_reader *r = index->readers; r; r = r->next) {
        while (atomic_load(&r->busy))
            sched_yield();
        if (r->txn.mdb)
            mdb_txn_abort(r->txn.mdb);
        r->txn.mdb = NULL;
    }
    pthread_mutex_unlock(&index->readers_mutex);
    close_env(index);
}

enum err index_resume(struct index *index, struct errinfo *info)
{
    enum err err = open_index(index, info);

    if (err != ERR_OK)
        return err;
    atomic_store(&index->stuck, false);
    atomic_store(&index->damaged, false);
    atomic_store(&index->marking, false);
    atomic_store(&index->suspended, false);
    return ERR_OK;
}

/* --- check --- */

/* LMDB's own list of free pages. */
enum { FREE_DBI = 0 };

/* What a walk compares each pair with. */
struct walk {
    size_t key_bytes; /* 0: any */
    size_t last_page; /* of the file, for lists of free pages; else 0 */
    size_t count;
    char before[KEY_BYTES_MAX];
    size_t before_n;
};

/* Keys come in order, each once. (Those of free pages are numbers, which do not sort as bytes.) */
static bool is_in_order(struct walk *w, const MDB_val *key)
{
    size_t n = key->mv_size < w->before_n ? key->mv_size : w->before_n;
    int order = n ? memcmp(w->before, key->mv_data, n) : -1;
    bool in_order = w->count == 0 || order < 0 || (order == 0 && key->mv_size > w->before_n);

    memcpy(w->before, key->mv_data, key->mv_size);
    w->before_n = key->mv_size;
    return in_order || w->last_page;
}

/* A page that is in use, or is none, must not be handed out. */
static bool is_page_list(const MDB_val *value, size_t last_page)
{
    size_t n, page, words = value->mv_size / sizeof n;
    const char *list = value->mv_data;

    if (words == 0)
        return false;
    memcpy(&n, list, sizeof n);
    if (n != words - 1)
        return false;
    for (size_t i = 1; i < words; i++) {
        memcpy(&page, list + i * sizeof page, sizeof page);
        if (page < 2 || page > last_page)
            return false;
    }
    return true;
}

static bool is_right_pair(struct walk *w, const MDB_val *key, const MDB_val *value)
{
    volatile const char *bytes = value->mv_data;

    if (w->key_bytes ? key->mv_size != w->key_bytes : key->mv_size > KEY_BYTES_MAX)
        return false;
    if (!is_in_order(w, key))
        return false;
    w->count++;
    /* The value's ends are read, so that a page that is not there shows itself. */
    if (value->mv_size) {
        (void)bytes[0];
        (void)bytes[value->mv_size - 1];
    }
    return !w->last_page || is_page_list(value, w->last_page);
}

static enum err check_database(struct index_txn *txn, MDB_dbi dbi, struct walk *w,
                               int64_t deadline_ms)
{
    MDB_cursor *cursor;
    MDB_stat st;
    MDB_val key, value;
    bool right = true, in_time = true;
    int rc = mdb_stat(txn->mdb, dbi, &st);

    if (rc != 0 || (rc = mdb_cursor_open(txn->mdb, dbi, &cursor)) != 0)
        return classify(rc);
    while (right && in_time && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        right = is_right_pair(w, &key, &value);
        in_time = clock_mono_ms() <= deadline_ms;
    }
    mdb_cursor_close(cursor);
    if (!right || (rc == MDB_NOTFOUND && w->count != st.ms_entries))
        return ERR_CORRUPT;
    return rc == MDB_NOTFOUND ? ERR_OK : classify(rc);
}

static enum err check_databases(struct index_txn *txn, int64_t budget_ms)
{
    MDB_stat st;
    MDB_envinfo info;
    int64_t share_ms = budget_ms / (INDEX_DB_COUNT + 1);

    mdb_env_stat(txn->index->env, &st);
    mdb_env_info(txn->index->env, &info);
    if (st.ms_entries == 0)
        return ERR_OK; /* created and never used */
    enum err err = open_databases(txn->index, txn, 0);
    if (err == ERR_OK)
        err = check_format(txn, false);
    for (int db = 0; db < INDEX_DB_COUNT && err == ERR_OK; db++) {
        struct walk w = {.key_bytes = db_rows[db].key_bytes};
        err = check_database(txn, txn->index->dbi[db], &w, clock_mono_ms() + share_ms);
    }
    struct walk free_pages = {.key_bytes = sizeof(size_t), .last_page = info.me_last_pgno};
    if (err == ERR_OK)
        err = check_database(txn, FREE_DBI, &free_pages, clock_mono_ms() + share_ms);
    return err == ERR_NOTFOUND ? ERR_CORRUPT : err;
}

enum err index_check(const char *folder, size_t map_size, int64_t budget_ms)
{
    struct index *index = new_index(folder, map_size);
    struct index_txn txn = {index, NULL};
    MDB_txn *mdb;
    int rc = open_env_somehow(index, map_size, ENV_FLAGS | MDB_RDONLY | MDB_NOLOCK);
    enum err err = rc == 0 ? check_length(index, NULL) : classify(rc);

    if (rc == ENOENT)
        err = ERR_OK; /* nothing there yet */
    else if (err == ERR_OK &&
             (err = classify(mdb_txn_begin(index->env, NULL, MDB_RDONLY, &mdb))) == ERR_OK) {
        txn.mdb = mdb;
        err = check_databases(&txn, budget_ms);
        mdb_txn_abort(mdb);
    }
    index_close(&index);
    return err;
}

/* --- transactions --- */

/* A first transaction for a reader, which later ones renew. */
static int new_read_txn(struct index_reader *reader)
{
    MDB_txn *mdb = NULL;
    int rc = mdb_txn_begin(reader->txn.index->env, NULL, MDB_RDONLY, &mdb);

    reader->txn.mdb = mdb;
    return rc;
}

enum err index_reader_init(struct index *index, struct index_reader *reader)
{
    *reader = (struct index_reader){.txn = {.index = index}};
    enum err err = index_read_begin(reader);
    if (err == ERR_OK)
        index_read_end(reader);
    else if (err != ERR_AGAIN)
        return err;
    pthread_mutex_lock(&index->readers_mutex);
    reader->next = index->readers;
    index->readers = reader;
    pthread_mutex_unlock(&index->readers_mutex);
    return ERR_OK;
}

void index_reader_free(struct index_reader *reader)
{
    struct index *index = reader->txn.index;

    pthread_mutex_lock(&index->readers_mutex);
    struct index_reader **link = &index->readers;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    if (reader->txn.mdb)
        mdb_txn_abort(reader->txn.mdb);
    pthread_mutex_unlock(&index->readers_mutex);
    reader->txn.mdb = NULL;
}

enum err index_read_begin(struct index_reader *reader)
{
    enum err err = ERR_AGAIN;

    atomic_store(&reader->busy, true);
    if (!atomic_load(&reader->txn.index->suspended))
        err = result(&reader->txn,
                     reader->txn.mdb ? mdb_txn_renew(reader->txn.mdb) : new_read_txn(reader));
    if (err != ERR_OK)
        atomic_store(&reader->busy, false);
    return err;
}

void index_read_end(struct index_reader *reader)
{
    mdb_txn_reset(reader->txn.mdb);
    atomic_store_explicit(&reader->busy, false, memory_order_release);
}

enum err index_write_begin(struct index *index, struct index_txn *txn)
{
    MDB_txn *mdb = NULL;
    int rc = index->env ? mdb_txn_begin(index->env, NULL, 0, &mdb) : MDB_PANIC;

    *txn = (struct index_txn){index, mdb};
    return result(txn, rc);
}

/* After a failed write of its header LMDB begins nothing any more, but no commit says so. */
static void note_if_stuck(struct index_txn *txn)
{
    MDB_txn *mdb;
    int rc = mdb_txn_begin(txn->index->env, NULL, MDB_RDONLY, &mdb);

    if (rc == 0)
        mdb_txn_abort(mdb);
    (void)result(txn, rc);
}

enum err index_commit(struct index_txn *txn, struct errinfo *info)
{
    int rc = mdb_txn_commit(txn->mdb);

    txn->mdb = NULL;
    if (rc == 0)
        return ERR_OK;
    (void)fail(info, rc, "commit");
    note_if_stuck(txn);
    return result(txn, rc);
}

void index_abort(struct index_txn *txn)
{
    if (txn->mdb)
        mdb_txn_abort(txn->mdb);
    txn->mdb = NULL;
}

/* --- keys and values --- */

static MDB_val val_of(struct slice s)
{
    /* LMDB reads only, but has no const. */
    union {
        const char *in;
        void *out;
    } p = {s.p};

    return (MDB_val){s.n, p.out};
}

enum err index_get(struct index_txn *txn, enum index_db db, struct slice key, struct slice *value)
{
    MDB_val k = val_of(key), v;
    int rc = mdb_get(txn->mdb, txn->index->dbi[db], &k, &v);

    if (rc == 0)
        *value = slice_of(v.mv_data, v.mv_size);
    return result(txn, rc);
}

enum err index_put(struct index_txn *txn, enum index_db db, struct slice key, struct slice value)
{
    MDB_val k = val_of(key), v = val_of(value);

    return result(txn, mdb_put(txn->mdb, txn->index->dbi[db], &k, &v, 0));
}

enum err index_delete(struct index_txn *txn, enum index_db db, struct slice key)
{
    MDB_val k = val_of(key);

    return result(txn, mdb_del(txn->mdb, txn->index->dbi[db], &k, NULL));
}

enum err index_seek(struct index_txn *txn, enum index_db db, struct slice from, struct slice *key)
{
    MDB_cursor *cursor;
    MDB_val k = val_of(from), v;
    int rc = mdb_cursor_open(txn->mdb, txn->index->dbi[db], &cursor);

    if (rc != 0)
        return result(txn, rc);
    rc = mdb_cursor_get(cursor, &k, &v, from.n ? MDB_SET_RANGE : MDB_FIRST);
    mdb_cursor_close(cursor);
    if (rc == 0)
        *key = slice_of(k.mv_data, k.mv_size);
    return result(txn, rc);
}

/* --- room --- */

/* LMDB keeps the pages it freed as lists in database 0; each begins with its length. */
static size_t freed_pages(MDB_txn *mdb)
{
    MDB_cursor *cursor;
    MDB_val key, list;
    size_t pages = 0, n;

    if (mdb_cursor_open(mdb, FREE_DBI, &cursor) != 0)
        return 0;
    while (mdb_cursor_get(cursor, &key, &list, MDB_NEXT) == 0) {
        memcpy(&n, list.mv_data, sizeof n);
        pages += n;
    }
    mdb_cursor_close(cursor);
    return pages;
}

bool index_is_tight(struct index *index, size_t share)
{
    MDB_envinfo info;
    MDB_stat st;
    MDB_txn *mdb;

    if (!index->env)
        return false;
    mdb_env_info(index->env, &info);
    mdb_env_stat(index->env, &st);
    size_t all = info.me_mapsize / st.ms_psize;
    size_t left = all - (info.me_last_pgno + 1);
    /* Only a read transaction may look into database 0. */
    if (left >= all / share || mdb_txn_begin(index->env, NULL, MDB_RDONLY, &mdb) != 0)
        return false;
    left += freed_pages(mdb);
    mdb_txn_abort(mdb);
    return left < all / share;
}
