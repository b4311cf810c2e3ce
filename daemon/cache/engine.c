#include "cache/engine.h"
#include "base/container.h"
#include "worker.h"
#include <assert.h>
#include <stdlib.h>

enum { FILES_TURN_MS = 1000 };

struct engine *engine_new(const struct engine_options *options)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->store = options->store;
    e->pool = options->pool;
    e->cold_pool = options->cold_pool;
    e->wait_timeout_ms = options->wait_timeout_ms;
    e->table = fill_table_new();
    e->negatives = negatives_new();
    struct store_stats stats;
    store_stats(e->store, &stats);
    e->max_object = stats.max_bytes;
    random_bytes(e->secret, sizeof e->secret);
    return e;
}

void engine_free(struct engine **e)
{
    if (!*e)
        return;
    fill_table_free(&(*e)->table);
    negatives_free(&(*e)->negatives);
    free(*e);
    *e = NULL;
}

/* --- open files --- */

static void on_files_turn(struct timer *t)
{
    struct engine_worker *w = container_of(t, struct engine_worker, files_timer);
    w->files_timer_set = store_reader_tend(w->reader);
    if (w->files_timer_set)
        timer_set(t, FILES_TURN_MS);
}

void engine_worker_tend_files(struct engine_worker *w)
{
    if (w->files_timer_set)
        return;
    w->files_timer_set = true;
    timer_set(&w->files_timer, FILES_TURN_MS);
}

/* --- life of a worker --- */

enum err engine_worker_new(struct engine *engine, struct reactor *reactor, struct uplink *uplink,
                           struct engine_worker **out, struct errinfo *info)
{
    struct engine_worker *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->engine = engine;
    w->reactor = reactor;
    w->uplink = uplink;
    enum err rc = store_reader_new(engine->store, &w->reader, info);
    if (rc) {
        free(w);
        return rc;
    }
    timer_init(&w->files_timer, reactor, on_files_turn);
    *out = w;
    return ERR_OK;
}

void engine_worker_free(struct engine_worker **wp)
{
    struct engine_worker *w = *wp;
    if (!w)
        return;
    assert(!w->fills && !w->readings && !w->cold_reads);
    timer_clear(&w->files_timer);
    store_reader_free(&w->reader);
    free(w);
    *wp = NULL;
}

static void on_idle_mail(struct mail *m)
{
    struct engine_worker *w = container_of(m, struct engine_worker, idle_mail);
    w->on_idle(w->on_idle_arg);
}

void engine_worker_fill_gone(struct engine_worker *w)
{
    if (w->stopping && !w->fills && !w->readings && !w->cold_reads)
        reactor_post(w->reactor, &w->idle_mail);
}

void engine_worker_stop(struct engine_worker *w, void (*on_idle)(void *arg), void *arg)
{
    assert(!w->stopping);
    w->on_idle = on_idle;
    w->on_idle_arg = arg;
    w->idle_mail.run = on_idle_mail;
    for (struct fill *f = w->fills, *next; f; f = next) {
        next = f->next; /* a cancelled fill may leave the list at once */
        fill_cancel(f);
    }
    w->stopping = true;
    engine_worker_fill_gone(w);
}

/* --- keys --- */

void cache_key(struct slice route, struct slice resource, struct slice variant,
               struct store_key *key)
{
    enum { PART_MAX = 640 };
    char text[3 * (PART_MAX + 1)];
    const struct slice parts[] = {route, resource, variant};
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].n > PART_MAX) {
            /* A long part stands in as its hash. */
            sha256(parts[i].p, parts[i].n, (unsigned char *)text + n);
            n += SHA256_BYTES;
        } else if (parts[i].n) {
            memcpy(text + n, parts[i].p, parts[i].n);
            n += parts[i].n;
        }
        text[n++] = '\0';
    }
    sha256(text, n, key->bytes);
}

void plan_key(const struct engine *e, const struct cache_route *route, const struct plan *plan,
              struct store_key *key)
{
    cache_key(route->name, plan->resource, plan->variant, key);
    if (!plan->credential.n)
        return;
    unsigned char who[SHA256_BYTES];
    unsigned char both[STORE_KEY_BYTES + SHA256_BYTES];
    hmac_sha256(e->secret, plan->credential, who);
    memcpy(both, key->bytes, STORE_KEY_BYTES);
    memcpy(both + STORE_KEY_BYTES, who, SHA256_BYTES);
    sha256(both, sizeof both, key->bytes);
}
