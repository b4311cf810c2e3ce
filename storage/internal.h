/*
 * What the files of this folder share. Lock order: partials.mutex, then queue.mutex; neither is
 * held over a callback, and queue.mutex not over a system call.
 */
#ifndef YT_STORAGE_INTERNAL_H
#define YT_STORAGE_INTERNAL_H

#include "blob_files.h"
#include "catalog.h"
#include "partials.h"
#include "queue.h"
#include "recent.h"
#include "scan.h"

#include <stdatomic.h>

/* A full disk may still take a small change of the index, so that says nothing of blobs. */
enum write_kind { WRITE_BLOB, WRITE_INDEX, WRITE_KIND_COUNT };

struct store {
    struct blob_files files;
    struct index *index;
    struct queue queue;
    struct partials partials;
    struct recent recent;
    struct scan scan; /* writer thread only */
    pthread_t writer;
    bool writer_runs;
    uint64_t max_size;

    /* The totals of the last commit, for anyone to read. */
    _Atomic uint64_t entries;
    _Atomic uint64_t blobs;
    _Atomic uint64_t bytes;
    /* Of all files in partial/, also of those that nobody writes now. */
    _Atomic uint64_t partial_bytes;
    /* Of those that somebody writes: they cannot be evicted. */
    _Atomic uint64_t filling_bytes;
    _Atomic bool failing[WRITE_KIND_COUNT];
    _Atomic bool scanning;
};

/* What counts against max_size. */
static inline uint64_t store_used(struct store *s)
{
    return atomic_load_explicit(&s->bytes, memory_order_relaxed) +
           atomic_load_explicit(&s->partial_bytes, memory_order_relaxed);
}

void store_publish(struct store *s, const struct totals_record *totals);

/*
 * After the index was opened: publishes the totals, marks the store as in use, and finds out
 * whether a scan is due because it was not closed in order.
 */
YT_MUST_CHECK enum err store_take_stock(struct store *s, struct errinfo *info);

/*
 * The result of a write to the disk, from any thread: it fails until a write of the same kind
 * succeeds. Logs when that changes. `info` may be NULL.
 */
void store_note_write(struct store *s, enum write_kind kind, enum err result,
                      const struct errinfo *info);

#endif
