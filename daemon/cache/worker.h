/* What the files of the engine share and nobody else sees. */
#ifndef YT_CACHE_WORKER_H
#define YT_CACHE_WORKER_H

#include "cache/engine.h"
#include "fill.h"
#include "negative.h"
#include "reading.h"
#include <stdatomic.h>

enum { ENGINE_FILLS_MAX = 4096 };

struct engine {
    struct store *store;
    struct pool *pool;
    struct pool *cold_pool;
    struct fill_table *table;
    struct negatives *negatives;
    int64_t wait_timeout_ms;
    uint64_t max_object; /* a longer body is relayed */
    atomic_uint fills;
    unsigned char secret[SHA256_BYTES]; /* of this process: credentials become part of keys by it */
};

struct engine_worker {
    struct engine *engine;
    struct reactor *reactor;
    struct uplink *uplink;
    struct store_reader *reader;
    struct fill *fills; /* running here */
    unsigned readings;  /* not released */
    unsigned cold_reads;
    struct timer files_timer; /* for store_reader_tend */
    bool files_timer_set;
    bool stopping;
    void (*on_idle)(void *arg);
    void *on_idle_arg;
    struct mail idle_mail;
};

/* SHA-256 over route, resource and variant, each ended by NUL (none of them holds one). */
void cache_key(struct slice route, struct slice resource, struct slice variant,
               struct store_key *key);

/*
 * The key of what the plan names. A client's own credentials are part of it, in a form that cannot
 * be guessed: what they bring is held for them alone.
 */
void plan_key(const struct engine *e, const struct cache_route *route, const struct plan *plan,
              struct store_key *key);

/* A copy whose texts live in the arena. `pages` are left out. false: the arena is full. */
bool plan_copy(struct arena *a, const struct plan *plan, struct plan *out);

/* The SHA-256 of the body that the lookup has answered with, when it is complete. */
struct digest lookup_content(const struct lookup *l);

/* A fill, a reading or a cold read has gone. */
void engine_worker_fill_gone(struct engine_worker *w);

/* The reader may have files open: sees to it that they are closed in time. */
void engine_worker_tend_files(struct engine_worker *w);

#endif
