/*
 * The one user of LMDB: an environment with five databases of plain keys and values. It knows
 * nothing of what they mean (catalog.h does).
 *
 * Threads: any number of readers, each used by one thread at a time; one write transaction at a
 * time, begun and ended by the same thread. What a get or a seek gives is borrowed: it is valid
 * until the transaction ends or writes.
 *
 * ERR_CORRUPT from any call means that the index itself is damaged; it is then marked by a file
 * FOLDER.damaged, which makes the next start (or index_suspend's caller) begin a new one.
 */
#ifndef YT_STORAGE_INDEX_H
#define YT_STORAGE_INDEX_H

#include "base/err.h"
#include "base/slice.h"

#include <stdatomic.h>

enum index_db {
    INDEX_ENTRY, /* key(32) -> entry record, and behind it the body if that is inline */
    INDEX_BLOB,  /* digest(32) -> blob record */
    INDEX_USE,   /* big-endian last use in ms(8) | digest(32) -> nothing: oldest first */
    INDEX_REF,   /* digest(32) | key(32) -> nothing: who names this content */
    INDEX_META,  /* "format" -> version, "totals" -> totals record */
    INDEX_DB_COUNT
};

enum { INDEX_FORMAT = 1 }; /* raised when the meaning of the databases changes */

struct index;

/* A read or a write transaction. */
struct index_txn {
    struct index *index;
    void *mdb;
};

/* A thread's own; its owner keeps it in place. */
struct index_reader {
    struct index_txn txn;
    struct index_reader *next;
    _Atomic bool busy; /* within a read transaction */
};

/*
 * `folder` must exist. `map_size` bytes of address space are reserved; where that much cannot be
 * had, less. ERR_CORRUPT: this is no index, or a damaged one, or of another format version.
 */
YT_MUST_CHECK enum err index_open(const char *folder, size_t map_size, struct index **out,
                                  struct errinfo *info);
/* All readers must be freed. */
void index_close(struct index **index);

/*
 * Walks the databases of a closed index, for `budget_ms` at most, and touches what it passes. On a
 * damaged index this can crash: run it in a process of its own. ERR_CORRUPT, or ERR_IO when the
 * index cannot be opened for another reason.
 */
YT_MUST_CHECK enum err index_check(const char *folder, size_t map_size, int64_t budget_ms);

/* Creates FOLDER.damaged. Any thread. */
void index_mark_damaged(struct index *index);

/* Does LMDB refuse to go on (it does so after a failed write of its header), or is it damaged? */
bool index_needs_mending(const struct index *index);
bool index_is_damaged(const struct index *index);
/*
 * Keeps readers out (their begin gives ERR_AGAIN), waits for those within, and closes LMDB's files;
 * may be called again. Then, when the folder is as it should be, opens it again. Writer thread
 * only.
 */
void index_suspend(struct index *index);
YT_MUST_CHECK enum err index_resume(struct index *index, struct errinfo *info);

/* A reader holds its slot in LMDB's table until it is freed; begin and end cost no lock. */
YT_MUST_CHECK enum err index_reader_init(struct index *index, struct index_reader *reader);
void index_reader_free(struct index_reader *reader);
YT_MUST_CHECK enum err index_read_begin(struct index_reader *reader);
void index_read_end(struct index_reader *reader);

/* After any error of a put or a delete but ERR_NOTFOUND the transaction can only be aborted. */
YT_MUST_CHECK enum err index_write_begin(struct index *index, struct index_txn *txn);
YT_MUST_CHECK enum err index_commit(struct index_txn *txn, struct errinfo *info);
void index_abort(struct index_txn *txn);

YT_MUST_CHECK enum err index_get(struct index_txn *txn, enum index_db db, struct slice key,
                                 struct slice *value);
YT_MUST_CHECK enum err index_put(struct index_txn *txn, enum index_db db, struct slice key,
                                 struct slice value);
/* ERR_NOTFOUND when there is no such key. */
YT_MUST_CHECK enum err index_delete(struct index_txn *txn, enum index_db db, struct slice key);
/* The first key that is not below `from` (empty: the first of all). ERR_NOTFOUND: none. */
YT_MUST_CHECK enum err index_seek(struct index_txn *txn, enum index_db db, struct slice from,
                                  struct slice *key);

/*
 * Is less than 1/`share` of the map left, counting pages that were freed? Costs more than a look
 * only when the map has been used that far once.
 */
bool index_is_tight(struct index *index, size_t share);

#endif
