/*
 * Which files are in partial/, who writes them, and how big they are. Any thread.
 */
#ifndef YT_STORAGE_PARTIALS_H
#define YT_STORAGE_PARTIALS_H

#include "record.h"

#include <pthread.h>

enum { PARTIALS_MAX = 4096 };

struct store;

struct partial_slot {
    struct store_key key;
    uint64_t size;       /* of a file that nobody writes */
    int64_t modified_ms; /* the same */
    bool open;
};

struct partials {
    pthread_mutex_t mutex;
    struct partial_slot *slots;
    size_t count;
};

void partials_init(struct partials *partials);
void partials_destroy(struct partials *partials);

/* Takes stock of partial/ at start, and removes what is older than `litter_ms`. */
YT_MUST_CHECK enum err partials_load(struct store *s, int64_t litter_ms, struct errinfo *info);

/* Is a file there that nobody writes, with bytes in it? */
bool partials_left(struct store *s, const struct store_key *key);
/*
 * Reserves the key for one writer; *size is that of the file that is there, or 0. ERR_LIMIT:
 * someone writes it, or PARTIALS_MAX are written.
 */
YT_MUST_CHECK enum err partials_claim(struct store *s, const struct store_key *key, uint64_t *size);
/* Gives the key back; the file of `size` bytes stays if `keep`, else it is removed. */
void partials_release(struct store *s, const struct store_key *key, uint64_t size, bool keep);

/*
 * Removes the oldest file that nobody writes, if it is older than `before_ms`; gives its size.
 * False when there is none.
 */
bool partials_drop_oldest(struct store *s, int64_t before_ms, uint64_t *size);

#endif
