/*
 * What the databases of the index mean together. Every change keeps these true within its
 * transaction:
 *
 *   - an entry names a content that has a blob record (law 2: the index never names what is gone);
 *   - of an inline content each entry that names it has a copy, and it is gone with the last of
 *     them (so that a lookup needs one search, and a reference costs what it is worth);
 *   - each entry has its line in `ref`, so forgetting a content finds all that name it;
 *   - each blob record has its line in `use`, under the record's last use;
 *   - the totals are the sums.
 *
 * Functions return an error only when the transaction is lost; what is wrong with the request
 * itself goes to *verdict. Writer thread only, but for the two that take an index_txn.
 */
#ifndef YT_STORAGE_CATALOG_H
#define YT_STORAGE_CATALOG_H

#include "index.h"
#include "record.h"

struct catalog_txn {
    struct index_txn index;
    struct totals_record totals; /* .clean: as the transaction found it */
    bool totals_changed;
    bool leave_clean; /* every change of the totals marks the store as in use, but for one */
};

/* ERR_CORRUPT also when the totals cannot be read; the index is then marked as damaged. */
YT_MUST_CHECK enum err catalog_begin(struct index *index, struct catalog_txn *t);
YT_MUST_CHECK enum err catalog_commit(struct catalog_txn *t, struct errinfo *info);
void catalog_abort(struct catalog_txn *t);

/* Marks the store as in use or as closed in order (see totals_record), with the commit. */
void catalog_mark(struct catalog_txn *t, bool clean);

/* --- reading, in a read or a write transaction; records that cannot be read are not found --- */

YT_MUST_CHECK enum err catalog_find_blob(struct index_txn *txn, const struct blob_id *id,
                                         struct blob_record *blob);
/* What is under the key (see entry_value), borrowed. */
YT_MUST_CHECK enum err catalog_find_entry(struct index_txn *txn, const struct store_key *key,
                                          struct slice *value);

/* --- entries --- */

/*
 * Puts an encoded entry (it must decode) under key. `body.p` is NULL, or the bytes for a content
 * that may not be held yet. Verdict: ERR_NOTFOUND when the content is not held and no body is
 * given; ERR_CORRUPT when it is held with another size.
 */
YT_MUST_CHECK enum err catalog_put_entry(struct catalog_txn *t, const struct store_key *key,
                                         struct slice record, struct slice body, int64_t now_ms,
                                         enum err *verdict);
/* Verdict: ERR_NOTFOUND when there is no entry or it names another content. */
YT_MUST_CHECK enum err catalog_validate_entry(struct catalog_txn *t, const struct store_key *key,
                                              const struct blob_id *content, int64_t validated_ms,
                                              enum err *verdict);
YT_MUST_CHECK enum err catalog_remove_entry(struct catalog_txn *t, const struct store_key *key,
                                            enum err *verdict);
/* Removes the entry if it cannot be read, or names a content that is not held. */
YT_MUST_CHECK enum err catalog_check_entry(struct catalog_txn *t, const struct store_key *key);

/* --- contents --- */

/* Enters a body that is in its place in blobs/, or corrects what is known of it. */
YT_MUST_CHECK enum err catalog_enter_file(struct catalog_txn *t, const struct blob_id *id,
                                          uint64_t size, int64_t last_use_ms);
/* Notes a use; an older one than known, or of an unknown content, is dropped. */
YT_MUST_CHECK enum err catalog_touch(struct catalog_txn *t, const struct blob_id *id,
                                     int64_t use_ms);
/* The content that was not used for longest. ERR_NOTFOUND: there is none. */
YT_MUST_CHECK enum err catalog_oldest(struct catalog_txn *t, struct blob_id *id,
                                      int64_t *last_use_ms);
/*
 * Removes the entries that name this content, as many as *budget allows, and takes their number
 * from it; when none is left, the content itself: then *gone is true, and *was says what it was
 * (all zero when its record could not be read).
 */
YT_MUST_CHECK enum err catalog_forget(struct catalog_txn *t, const struct blob_id *id,
                                      size_t *budget, bool *gone, struct blob_record *was);
/* The same for the content that catalog_oldest gives. ERR_NOTFOUND: there is none. */
YT_MUST_CHECK enum err catalog_forget_oldest(struct catalog_txn *t, size_t *budget,
                                             struct blob_id *id, bool *gone,
                                             struct blob_record *was);

#endif
