/*
 * The store: blobs on disk by digest, an LMDB index, bytes on their way in partial/.
 *
 *   path/lock            one process per store (fcntl)
 *   path/index/          LMDB: entry, blob, use, ref, meta (ARCHITECTURE.md has the formats)
 *   path/blobs/sha256/ab/<hex>   exactly the bytes
 *   path/partial/<hex of key>    bytes of a fill that is not complete
 *
 * Threads: store_lookup and store_open_blob may be called from any thread, each with its own
 * struct store_reader, and do not block on other threads. store_put, store_touch and store_remove
 * queue work for the one writer thread. partial_* calls block (disk, hashing) and belong on a
 * background thread; one thread at a time for each partial.
 */
#ifndef YT_STORAGE_STORE_H
#define YT_STORAGE_STORE_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"

enum {
    STORE_KEY_BYTES = 32,
    STORE_INLINE_MAX = 16 * 1024, /* bodies up to this size live in the index */
    STORE_RECORD_MAX = 16 * 1024, /* an encoded entry; a longer one is refused */
};

struct store;
struct store_reader;

/* SHA-256 of what names the object; made by the engine from the plan. */
struct store_key {
    unsigned char bytes[STORE_KEY_BYTES];
};

/*
 * What is remembered of one answer. Slices are borrowed by store_put for the call only; from
 * store_lookup they live in the caller's arena.
 */
struct store_entry {
    struct slice name; /* what the key was made from, for people: "dockerhub library/busybox/..." */
    int status;        /* 200 */
    struct slice content_type;
    struct slice fields; /* further lines for the client, "Name: value\r\n" each */
    struct slice etag;   /* the upstream's validator, as received */
    struct slice last_modified;
    struct slice url;      /* where the body came from, after redirects; may be empty */
    struct digest content; /* SHA-256 of the body; names it in blobs/ or in the index */
    struct digest shown;   /* the digest that the protocol calls it by; may be DIGEST_NONE */
    uint64_t size;
    int64_t fetched_ms;   /* wall clock: when the body was received */
    int64_t validated_ms; /* wall clock: when it was last known to be current */
    bool immutable;
    bool gzip;               /* the body is gzip-coded */
    struct digest made_from; /* the content that it was made from; DIGEST_NONE: from none */
    /* For what obeys its upstream's rules of freshness (RFC 9111); else 0. */
    bool has_lifetime;
    int64_t lifetime_ms;  /* how long it was fresh for, from validated_ms on; may be 0 */
    bool must_revalidate; /* never to be served stale */
    struct slice vary;    /* this entry has no body: it names the request fields that decide */
};

struct store_options {
    const char *path;
    int64_t max_size; /* bytes of blobs, inline bodies, entries and partial files together */
    size_t map_size;  /* LMDB map; 0: 64 GiB or more, reserved, not used */
};

/*
 * Opens or creates; takes the lock (ERR_LIMIT when another process has it), starts the writer
 * thread. An index that is corrupt or of an unknown version is moved aside and begun anew; the
 * blobs found on disk are entered again in the background of the writer thread. Partial files are
 * kept for resumption, unless older than 7 days.
 */
YT_MUST_CHECK enum err store_open(const struct store_options *options, struct store **out,
                                  struct errinfo *info);
/*
 * Finishes what is queued, syncs, releases. Readers and partials must be freed, and no other call
 * may be running.
 */
void store_close(struct store **store);

/* One per thread. */
YT_MUST_CHECK enum err store_reader_new(struct store *store, struct store_reader **out,
                                        struct errinfo *info);
void store_reader_free(struct store_reader **reader);

/* Where a body is. */
struct store_body {
    bool is_inline;
    struct slice bytes; /* inline: in the caller's arena */
    int fd;             /* else: open for reading, until store_body_release; or -1 */
    struct open_file
        *file; /* whose descriptor that is: the reader's, shared by its users; or NULL */
};

/*
 * ERR_OK: *entry and, if `body` is not NULL, *body are filled; the body's size was checked against
 * the entry, now or in the last turn of store_reader_tend. ERR_NOTFOUND: no such entry, or a record
 * that cannot be read, or its bytes are gone (such an entry is also queued for removal). ERR_NOMEM:
 * the arena is full. ERR_IO otherwise.
 * One short LMDB read transaction, over before the call returns.
 */
YT_MUST_CHECK enum err store_lookup(struct store_reader *reader, const struct store_key *key,
                                    struct arena *arena, struct store_entry *entry,
                                    struct store_body *body);

/* Any body that store_lookup has filled, once; on the reader's thread, while the reader is there.
 */
void store_body_release(struct store_body *body);
/* A second hold of a body in a file, to be released too. */
struct store_body store_body_share(const struct store_body *body);
/* The file is not what it was, perhaps: it is looked at before it is used again. */
void store_body_doubt(struct store_body *body);
/*
 * Is what the file has from `offset` up to *end in memory? Then it can be sent without waiting for
 * the disk. Looks at 2 MiB at most, and sets *end to where it stopped. What was found in memory is
 * not looked at again in this turn, whoever asks.
 */
bool store_body_in_memory(const struct store_body *body, uint64_t offset, uint64_t *end);
/*
 * Brings n bytes from `offset` into memory, and lets the disk begin with `ahead` more. Blocks; for
 * a background thread. ERR_IO: they cannot be read.
 */
YT_MUST_CHECK enum err store_body_read_in(const struct store_body *body, uint64_t offset,
                                          uint64_t n, uint64_t ahead);
/*
 * A turn is over: closes files that were not used for two of them, or of which some were evicted.
 * To be called once a second for as long as it returns true, and again once a body is in a file.
 */
bool store_reader_tend(struct store_reader *reader);

/* Are the bytes of this SHA-256 digest held, under whatever key? Gives their size. */
bool store_has_blob(struct store_reader *reader, const struct digest *content, uint64_t *size);

/* Called on the writer thread when the transaction is committed (or failed). Must not block. */
typedef void store_done_f(void *arg, enum err result);

/*
 * Writes the entry under key, replacing an older one, and refers it to its content. The content
 * must be held already (partial_commit done, or store_has_blob) or be given as `inline_body`
 * (p != NULL, at most STORE_INLINE_MAX; its digest is entry->content). Everything is copied.
 * `done` may be NULL; it gets ERR_NOTFOUND when the content is not (or no longer) held, ERR_FULL
 * when there is no room. ERR_LIMIT when the queue or the record is too long, ERR_CORRUPT when the
 * inline body is not what entry->content says: then done is not called.
 */
YT_MUST_CHECK enum err store_put(struct store *store, const struct store_key *key,
                                 const struct store_entry *entry, struct slice inline_body,
                                 store_done_f *done, void *arg);

/*
 * Sets validated_ms of an entry. `done` may be NULL; it gets ERR_NOTFOUND when the entry is gone or
 * has another content by now. ERR_LIMIT: the queue is full, and done is not called.
 */
YT_MUST_CHECK enum err store_validated(struct store *store, const struct store_key *key,
                                       const struct digest *content, int64_t validated_ms,
                                       store_done_f *done, void *arg);

/*
 * Notes a use for eviction. Cheap: one reader queues the same content at most once in 5 minutes,
 * and the note is dropped when the queue is busy.
 */
void store_touch(struct store_reader *reader, const struct digest *content, int64_t wall_ms);

/*
 * Removes the entry. A content in a file stays until it is evicted, an inline one goes with the
 * last entry that names it. ERR_LIMIT: the queue is full.
 */
YT_MUST_CHECK enum err store_remove(struct store *store, const struct store_key *key);

/* --- bytes on their way --- */

struct partial;

/*
 * Opens path/partial/<hex of key>. With `resume` a file that an earlier fill (or process) left is
 * kept and hashed again; *offset is then its length. Else it is emptied. `expected` may have
 * algo DIGEST_NONE: then it is always emptied, since nothing could prove that the bytes belong to
 * the same body. The SHA-256 is always computed. ERR_LIMIT: this key is open already.
 */
YT_MUST_CHECK enum err partial_open(struct store *store, const struct store_key *key,
                                    const struct digest *expected, bool resume,
                                    struct partial **out, uint64_t *offset, struct errinfo *info);
/* Did an earlier fill or process leave bytes under this key? Memory only, does not block. */
bool partial_left(struct store *store, const struct store_key *key);
/* A descriptor for readers of the growing file; stays valid until partial_free. Any thread. */
int partial_fd(const struct partial *p);
/*
 * Appends and hashes. On a full disk it makes room first (eviction). ERR_FULL: there is none, or
 * the bytes would never fit into max_size; ERR_IO: the disk fails. What was appended before stays
 * readable. After a failure further bytes are hashed only (ERR_FULL): partial_verify still answers
 * for the whole body, and partial_commit is refused.
 */
YT_MUST_CHECK enum err partial_append(struct partial *p, const void *bytes, size_t n,
                                      struct errinfo *info);
/* Back to zero bytes: the upstream began anew. */
YT_MUST_CHECK enum err partial_restart(struct partial *p, struct errinfo *info);
uint64_t partial_size(const struct partial *p);
/*
 * Compares with `expected` and gives the SHA-256 of all bytes. ERR_CORRUPT: they differ.
 */
YT_MUST_CHECK enum err partial_verify(struct partial *p, struct digest *content);
/*
 * fsync, rename into blobs/, fsync of the folder, blob record; only after partial_verify. Returns
 * when it is committed, or failed (then the bytes stay readable, and nothing else has changed).
 * When the content is held already the file is dropped instead. Makes room first (eviction).
 */
YT_MUST_CHECK enum err partial_commit(struct partial *p, const struct digest *content,
                                      struct errinfo *info);
/*
 * Closes. `keep`: an uncommitted file stays for a later resume, else it is unlinked. Readers must
 * be done with partial_fd; descriptors that were dup'ed from it stay good.
 */
void partial_free(struct partial **p, bool keep);

/* --- figures for /metrics and readiness --- */
struct store_stats {
    uint64_t entries;
    uint64_t blobs; /* distinct contents, in files and inline */
    uint64_t bytes; /* of blob files, and of entries with their inline bodies */
    uint64_t max_bytes;
    uint64_t queued;        /* writer operations waiting */
    bool failing;           /* the last write failed: the cache relays what it cannot store */
    uint64_t partial_bytes; /* in partial/; they count against max_bytes too */
    bool scanning;          /* blobs without a record are being looked for and entered */
};
void store_stats(struct store *store, struct store_stats *out);

#endif
