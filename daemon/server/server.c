#include "base/container.h"
#include "conn.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

static void on_idle_mail(struct mail *m)
{
    struct server_worker *w = container_of(m, struct server_worker, idle_mail);
    w->on_idle(w->on_idle_arg);
}

enum err server_worker_new(struct service *service, struct reactor *reactor,
                           struct engine_worker *engine, struct server_worker **out)
{
    const struct config *config = service->config;
    struct server_worker *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->read_buffer = malloc(READ_SIZE);
    w->scratch = malloc(SCRATCH_SIZE);
    if (!w->read_buffer || !w->scratch) {
        free(w->read_buffer);
        free(w->scratch);
        free(w);
        return ERR_NOMEM;
    }
    w->service = service;
    w->reactor = reactor;
    w->engine = engine;
    w->idle_mail.run = on_idle_mail;
    ssize_t got = getrandom(&w->next_id, sizeof w->next_id, 0);
    (void)got; /* any start will do: the ids need only differ between runs and workers */
    deadline_queue_init(&w->idle, reactor, config->idle_timeout_ms, conn_on_deadline);
    deadline_queue_init(&w->request, reactor, config->request_timeout_ms, conn_on_deadline);
    deadline_queue_init(&w->send, reactor, config->send_timeout_ms, conn_on_deadline);
    deadline_queue_init(&w->linger, reactor, LINGER_MS, conn_on_deadline);
    *out = w;
    return ERR_OK;
}

enum err server_worker_listen(struct server_worker *w, int fd, int listen)
{
    if (w->listen_count == LISTENERS_MAX)
        return ERR_LIMIT;
    struct listen_point *p = &w->listen[w->listen_count];
    p->worker = w;
    p->admin = listen == SERVER_ADMIN;
    p->route = p->admin ? NULL : w->service->config->listen[listen].route;
    enum err rc = listener_new(w->reactor, fd, conn_accept, p, &p->listener);
    if (rc == ERR_OK)
        w->listen_count++;
    return rc;
}

void worker_conn_gone(struct server_worker *w)
{
    if (w->stopping && !w->conns)
        reactor_post(w->reactor, &w->idle_mail);
}

static void close_if(struct server_worker *w, bool all)
{
    for (struct conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        conn_enter(c);
        if (all || (c->out == OUT_IDLE && !c->exchange && !c->pending))
            conn_close(c);
        conn_leave(c);
    }
}

void server_worker_stop(struct server_worker *w, void (*on_idle)(void *arg), void *arg)
{
    assert(!w->stopping);
    w->on_idle = on_idle;
    w->on_idle_arg = arg;
    for (size_t i = 0; i < w->listen_count; i++)
        listener_free(&w->listen[i].listener);
    close_if(w, false);
    w->stopping = true;
    worker_conn_gone(w);
}

void server_worker_abort(struct server_worker *w)
{
    close_if(w, true);
}

void server_worker_free(struct server_worker **wp)
{
    struct server_worker *w = *wp;
    if (!w)
        return;
    assert(!w->conns);
    for (size_t i = 0; i < w->listen_count; i++)
        listener_free(&w->listen[i].listener);
    deadline_queue_close(&w->idle);
    deadline_queue_close(&w->request);
    deadline_queue_close(&w->send);
    deadline_queue_close(&w->linger);
    for (struct exchange *x = w->spare, *next; x; x = next) {
        next = x->next_spare;
        free(x);
    }
    free(w->read_buffer);
    free(w->scratch);
    free(w);
    *wp = NULL;
}
