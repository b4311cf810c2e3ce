/*
 * When contents were last used, in memory: what a hit may note without a write. The index hears of
 * uses in steps of minutes; before something is evicted as the oldest, this is asked. Small, lossy:
 * two contents that share a slot push each other out. Any thread.
 */
#ifndef YT_STORAGE_RECENT_H
#define YT_STORAGE_RECENT_H

#include "record.h"

#include <stdatomic.h>

enum { RECENT_SLOTS = 8192 };

/* All zero is empty. */
struct recent {
    _Atomic uint64_t slots[RECENT_SLOTS]; /* tag(24) | ms since 2020(40) */
};

/* A use that follows another one within a few ms may be left out. */
void recent_note(struct recent *recent, const struct blob_id *id, int64_t wall_ms);
/* Wall clock in ms, or 0 when nothing is known. */
int64_t recent_use_ms(struct recent *recent, const struct blob_id *id);

#endif
