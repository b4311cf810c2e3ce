#include "cold_read.h"
#include "base/container.h"
#include "base/counters.h"
#include <stdlib.h>

enum {
    READ_IN = 2 * 1024 * 1024, /* one job, so that many clients take turns at the disk */
    AHEAD = 4 * 1024 * 1024,   /* the disk goes on with this while the client takes the first */
};

struct cold_read {
    struct job job;
    struct engine_worker *worker;
    struct lookup *look; /* NULL when it has left */
    struct store_body body;
    uint64_t pos, n, ahead;
    enum err result;
};

static void work(struct job *j)
{
    struct cold_read *c = container_of(j, struct cold_read, job);
    c->result = store_body_read_in(&c->body, c->pos, c->n, c->ahead);
}

static void done(struct job *j)
{
    struct cold_read *c = container_of(j, struct cold_read, job);
    struct engine_worker *w = c->worker;
    struct lookup *l = c->look;
    if (l) {
        l->cold_read = NULL;
        l->read_in = c->result == ERR_OK;
        l->read_failed = c->result != ERR_OK;
    }
    if (c->result != ERR_OK)
        store_body_doubt(&c->body);
    store_body_release(&c->body);
    free(c);
    w->cold_reads--;
    engine_worker_fill_gone(w);
    if (l)
        l->on_body(l);
}

bool cold_read_start(struct lookup *l, uint64_t pos, uint64_t end)
{
    struct cold_read *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    c->worker = l->worker;
    c->look = l;
    c->body = store_body_share(&l->held_body);
    c->pos = pos;
    c->n = end - pos < READ_IN ? end - pos : READ_IN;
    c->ahead = end - pos - c->n < AHEAD ? end - pos - c->n : AHEAD;
    c->job.work = work;
    c->job.done = done;
    l->cold_read = c;
    counter_inc(COUNTER_COLD_READS);
    l->worker->cold_reads++;
    pool_submit(l->worker->engine->cold_pool, &c->job, l->worker->reactor);
    return true;
}

void cold_read_leave(struct lookup *l)
{
    if (l->cold_read)
        l->cold_read->look = NULL;
    l->cold_read = NULL;
}
