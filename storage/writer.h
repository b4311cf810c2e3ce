/*
 * The one thread that changes the index and blobs/. It takes all that is queued, applies it in one
 * LMDB transaction and commits once, so that many changes share the cost of a sync; nothing waits
 * for a timer.
 *
 * Why eviction and a new copy of the same content cannot race: a file comes into blobs/ (rename),
 * is entered, is forgotten and is unlinked by this thread alone, and each batch is over, with its
 * unlinks, before the next begins. So what is in place and entered can only be unlinked after a
 * commit that forgot it, and a later rename of the same content comes after that unlink.
 */
#ifndef YT_STORAGE_WRITER_H
#define YT_STORAGE_WRITER_H

#include "base/err.h"

struct store;

YT_MUST_CHECK enum err writer_start(struct store *s, struct errinfo *info);
/* Finishes what is queued and ends the thread. */
void writer_stop(struct store *s);

#endif
