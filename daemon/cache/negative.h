/*
 * Remembered 404s: a small table in memory, bounded, lossy, forgotten at a restart. An upstream's
 * failure never gets in here (law 5). Any thread.
 */
#ifndef YT_CACHE_NEGATIVE_H
#define YT_CACHE_NEGATIVE_H

#include "storage/store.h"

struct negatives;

struct negatives *negatives_new(void);
void negatives_free(struct negatives **n);
/* until_ms: monotonic clock. */
void negatives_add(struct negatives *n, const struct store_key *key, int64_t until_ms);
void negatives_remove(struct negatives *n, const struct store_key *key);
/* Milliseconds that it still holds, or 0. */
int64_t negatives_left(struct negatives *n, const struct store_key *key, int64_t now_ms);

#endif
