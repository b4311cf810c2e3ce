/*
 * Making room: the content that was not used for longest goes first, be it a blob, an inline body
 * or a partial file that nobody writes. The index forgets, and commits, before a file is unlinked
 * (law 2); who has the file open goes on reading it (law 3). Writer thread only, between
 * transactions.
 */
#ifndef YT_STORAGE_EVICT_H
#define YT_STORAGE_EVICT_H

#include <stdbool.h>
#include <stdint.h>

struct store;

/*
 * Evicts if `coming` more bytes would not fit into max_size, and then a little more, so that not
 * each object pays for it. Stops after some work; true: there is more to do.
 */
bool evict_to_bound(struct store *s, uint64_t coming);

/*
 * The disk (or the index) has no room although max_size is not reached: evicts `need` bytes and at
 * least a small share of the whole. False when nothing could be evicted.
 */
bool evict_for_disk(struct store *s, uint64_t need);

/* Evicts while the index is nearly full. Stops after some work; true: there is more to do. */
bool evict_for_index(struct store *s);

#endif
