/* What the files of the engine share and nobody else sees. */
#ifndef YT_CACHE_WORKER_H
#define YT_CACHE_WORKER_H

#include "cache/engine.h"
#include "fill.h"
#include "negative.h"
#include <stdatomic.h>

enum { ENGINE_FILLS_MAX = 4096 };

struct engine {
    struct store *store;
    struct pool *pool;
    struct fill_table *table;
    struct negatives *negatives;
    int64_t wait_timeout_ms;
    uint64_t max_object; /* a longer body is relayed */
    atomic_uint fills;
};

struct engine_worker {
    struct engine *engine;
    struct reactor *reactor;
    struct uplink *uplink;
    struct store_reader *reader;
    struct fill *fills; /* running here */
    bool stopping;
    void (*on_idle)(void *arg);
    void *on_idle_arg;
    struct mail idle_mail;
};

/* SHA-256 over route, resource and variant, each ended by NUL (none of them holds one). */
void cache_key(struct slice route, struct slice resource, struct slice variant,
               struct store_key *key);

/* A fill has left the worker's list. */
void engine_worker_fill_gone(struct engine_worker *w);

#endif
