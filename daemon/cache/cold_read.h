/*
 * Bytes of a held file that are not in memory are read in by a background thread, so that nobody
 * else of the worker waits for the disk.
 */
#ifndef YT_CACHE_COLD_READ_H
#define YT_CACHE_COLD_READ_H

#include "worker.h"

struct cold_read;

/*
 * Reads in what the lookup's held file has from `pos` on, up to `end` at most; l->on_body comes
 * afterwards. false: no memory for that.
 */
bool cold_read_start(struct lookup *l, uint64_t pos, uint64_t end);
/* The lookup leaves; nothing comes any more. */
void cold_read_leave(struct lookup *l);

#endif
