/*
 * serve: start-up and shut-down order. Up: configuration, sockets, store, workers. Down: listeners,
 * answers in flight, fills, reactors, background threads, store.
 */
#include "base/clock.h"
#include "base/container.h"
#include "cli.h"
#include "io/listener.h"
#include "server/server.h"
#include "start_pages.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { POOL_THREADS = 4, COLD_POOL_THREADS = 4, WORKERS_MAX = 64 };

enum order { ORDER_SERVER_STOP, ORDER_SERVER_ABORT, ORDER_ENGINE_STOP, ORDER_COUNT };

struct worker {
    struct daemon *daemon;
    pthread_t thread;
    bool running;
    struct reactor *reactor;
    struct uplink *uplink;
    struct engine_worker *engine;
    struct server_worker *server;
    struct timer log_timer;
    struct mail orders[ORDER_COUNT]; /* one each: an earlier one may not have run yet */
};

struct daemon {
    struct config *config;
    struct store *store;
    struct pool *pool, *cold_pool;
    struct tokens *tokens;
    struct engine *engine;
    struct service *service;
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned idle; /* workers that have done what the last order asked */
};

/* --- up --- */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned count_workers(const struct config *config)
{
    long n = config->workers ? (long)config->workers : sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1)
        n = 1;
    return n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

static enum err probe_addresses(const struct config *config, struct errinfo *info)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        enum err rc = listen_probe(config->listen[i].address, info);
        if (rc)
            return rc;
    }
    return listen_probe(config->admin_address, info);
}

static enum err worker_listen_on(struct worker *w, const char *address, int index,
                                 struct errinfo *info)
{
    int fd;
    enum err rc = listen_socket(address, &fd, info);
    if (rc)
        return rc;
    rc = server_worker_listen(w->server, fd, index);
    if (rc) {
        close(fd);
        return err_set(info, rc, "listen on %s: too many listeners", address);
    }
    return ERR_OK;
}

/* The admin pages live on the first worker. */
static enum err worker_listen(struct worker *w, struct errinfo *info)
{
    const struct config *config = w->daemon->config;
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < config->listen_count; i++)
        rc = worker_listen_on(w, config->listen[i].address, (int)i, info);
    if (rc == ERR_OK && w == &w->daemon->workers[0])
        rc = worker_listen_on(w, config->admin_address, SERVER_ADMIN, info);
    return rc;
}

static enum err worker_make(struct worker *w, struct daemon *d, struct errinfo *info)
{
    const struct config *c = d->config;
    struct uplink_options options = {
        .proxy = c->egress_proxy,
        .ca_file = c->egress_ca_file,
        .connect_timeout_ms = c->connect_timeout_ms,
        .response_timeout_ms = c->response_timeout_ms,
        .stall_timeout_ms = c->stall_timeout_ms,
    };
    w->daemon = d;
    enum err rc = reactor_new(&w->reactor, info);
    if (rc == ERR_OK)
        rc = uplink_new(w->reactor, d->tokens, &options, &w->uplink, info);
    if (rc == ERR_OK)
        rc = engine_worker_new(d->engine, w->reactor, w->uplink, &w->engine, info);
    if (rc == ERR_OK)
        rc = server_worker_new(d->service, w->reactor, w->engine, &w->server);
    return rc ? rc : worker_listen(w, info);
}

static enum err daemon_make(struct daemon *d, struct errinfo *info)
{
    const struct config *c = d->config;
    struct store_options store = {.path = c->storage_path, .max_size = c->storage_max_size};
    enum err rc = probe_addresses(c, info);
    if (rc == ERR_OK)
        rc = uplink_global_init(info);
    if (rc == ERR_OK)
        rc = store_open(&store, &d->store, info);
    if (rc == ERR_OK)
        rc = pool_new(POOL_THREADS, &d->pool, info);
    if (rc == ERR_OK)
        rc = pool_new(COLD_POOL_THREADS, &d->cold_pool, info);
    if (rc == ERR_OK)
        rc = service_new(c, d->store, &d->service, info);
    if (rc)
        return rc;
    d->tokens = tokens_new();
    struct engine_options engine = {.store = d->store,
                                    .pool = d->pool,
                                    .cold_pool = d->cold_pool,
                                    .wait_timeout_ms = c->wait_timeout_ms};
    d->engine = engine_new(&engine);
    unsigned n = count_workers(c);
    while (rc == ERR_OK && d->worker_count < n)
        rc = worker_make(&d->workers[d->worker_count++], d, info);
    return rc;
}

static void on_lines_waiting(void *arg)
{
    struct worker *w = arg;
    timer_set_turn_end(&w->log_timer);
}

static void on_log_timer(struct timer *t)
{
    (void)t;
    log_flush();
}

static void *worker_thread(void *arg)
{
    struct worker *w = arg;
    timer_init(&w->log_timer, w->reactor, on_log_timer);
    log_collect(on_lines_waiting, w);
    reactor_run(w->reactor);
    log_collect_end();
    timer_clear(&w->log_timer);
    return NULL;
}

static enum err daemon_start(struct daemon *d, struct errinfo *info)
{
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct worker *w = &d->workers[i];
        if (pthread_create(&w->thread, NULL, worker_thread, w) != 0)
            return err_set(info, ERR_IO, "cannot start a worker thread");
        w->running = true;
    }
    return ERR_OK;
}

static void log_started(const struct daemon *d)
{
    for (size_t i = 0; i < d->config->listen_count; i++)
        log_info("listening", LF_STR("address", d->config->listen[i].address));
    log_info("listening", LF_STR("address", d->config->admin_address), LF_STR("for", "admin"));
    log_info("started", LF_STR("version", YT_VERSION), LF_INT("workers", d->worker_count),
             LF_STR("storage", d->config->storage_path));
}

/* --- down --- */

static void worker_is_idle(void *arg)
{
    struct worker *w = arg;
    struct daemon *d = w->daemon;
    pthread_mutex_lock(&d->lock);
    d->idle++;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void order_server_stop(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, orders[ORDER_SERVER_STOP]);
    server_worker_stop(w->server, worker_is_idle, w);
}

static void order_server_abort(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, orders[ORDER_SERVER_ABORT]);
    server_worker_abort(w->server);
}

static void order_engine_stop(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, orders[ORDER_ENGINE_STOP]);
    engine_worker_stop(w->engine, worker_is_idle, w);
}

static void order_all(struct daemon *d, enum order order)
{
    static void (*const runs[ORDER_COUNT])(struct mail * m) = {
        [ORDER_SERVER_STOP] = order_server_stop,
        [ORDER_SERVER_ABORT] = order_server_abort,
        [ORDER_ENGINE_STOP] = order_engine_stop,
    };
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct mail *m = &d->workers[i].orders[order];
        m->run = runs[order];
        reactor_post(d->workers[i].reactor, m);
    }
}

/* Until all workers are idle; false when the deadline (CLOCK_REALTIME; NULL: none) passed first. */
static bool wait_for_all(struct daemon *d, const struct timespec *deadline)
{
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    while (d->idle < d->worker_count && rc == 0)
        rc = deadline ? pthread_cond_timedwait(&d->changed, &d->lock, deadline)
                      : pthread_cond_wait(&d->changed, &d->lock);
    bool all = d->idle == d->worker_count;
    pthread_mutex_unlock(&d->lock);
    return all;
}

static void daemon_stop(struct daemon *d)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += d->config->stop_timeout_ms / 1000;
    deadline.tv_nsec += d->config->stop_timeout_ms % 1000 * 1000000;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;

    service_set_ready(d->service, false);
    order_all(d, ORDER_SERVER_STOP);
    if (!wait_for_all(d, &deadline)) {
        log_warn("stop_deadline", LF_STR("note", "answers in flight are cut"));
        order_all(d, ORDER_SERVER_ABORT);
        wait_for_all(d, NULL);
    }
    d->idle = 0; /* every worker has answered: nobody else touches it now */
    order_all(d, ORDER_ENGINE_STOP);
    wait_for_all(d, NULL);
}

static void worker_free(struct worker *w)
{
    server_worker_free(&w->server);
    engine_worker_free(&w->engine);
    uplink_free(&w->uplink);
    reactor_free(&w->reactor);
}

static void daemon_free(struct daemon *d)
{
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct worker *w = &d->workers[i];
        if (!w->running)
            continue;
        reactor_stop(w->reactor);
        pthread_join(w->thread, NULL);
    }
    pool_free(&d->pool);
    pool_free(&d->cold_pool);
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_free(&d->workers[i]);
    engine_free(&d->engine);
    service_free(&d->service);
    tokens_free(&d->tokens);
    store_close(&d->store);
    config_free(&d->config);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
}

static void wait_for_signal(const sigset_t *signals)
{
    int got = 0;
    sigwait(signals, &got);
    log_info("stopping", LF_STR("signal", got == SIGTERM ? "SIGTERM" : "SIGINT"));
}

int cli_serve(int argc, char **argv)
{
    struct daemon d = {.config = cli_load_config(argc, argv)};
    if (!d.config)
        return 1;
    pthread_mutex_init(&d.lock, NULL);
    pthread_cond_init(&d.changed, NULL);
    log_setup(d.config->log_level, d.config->log_format);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    /* Blocked before the first thread, so that only this one takes them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    struct errinfo info = {0};
    int status = 1;
    if (daemon_make(&d, &info) == ERR_OK && daemon_start(&d, &info) == ERR_OK) {
        service_set_ready(d.service, true);
        log_started(&d);
        start_pages_release();
        wait_for_signal(&signals);
        daemon_stop(&d);
        status = 0;
    } else {
        fprintf(stderr, "yantian: %s\n", info.msg);
    }
    daemon_free(&d);
    if (status == 0)
        log_info("stopped", LF_INT("status", status));
    return status;
}
