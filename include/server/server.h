/*
 * The HTTP server: listeners, client connections, one exchange for each request, routing, the
 * admin pages. One `struct server_worker` on each reactor; what they share is in `struct service`,
 * which does not change after start-up.
 */
#ifndef YT_SERVER_SERVER_H
#define YT_SERVER_SERVER_H

#include "base/config.h"
#include "cache/engine.h"
#include "io/reactor.h"

struct service;
struct server_worker;

/*
 * Builds the routes. Keeps `config` and `store` for as long as it lives. ERR_CONFIG with a text
 * when a route cannot be made.
 */
YT_MUST_CHECK enum err service_new(const struct config *config, struct store *store,
                                   struct service **out, struct errinfo *info);
void service_free(struct service **service);
/* All workers run: /readyz says so from now on. false: it says 503 (stopping). Any thread. */
void service_set_ready(struct service *service, bool ready);

YT_MUST_CHECK enum err server_worker_new(struct service *service, struct reactor *reactor,
                                         struct engine_worker *engine, struct server_worker **out);
/*
 * Takes over a listening socket. `listen` is an index into config->listen, or SERVER_ADMIN. On the
 * reactor, or before it runs.
 */
enum { SERVER_ADMIN = -1 };
YT_MUST_CHECK enum err server_worker_listen(struct server_worker *w, int fd, int listen);
/*
 * Closes listeners and idle connections, lets answers in flight finish and calls on_idle when the
 * last connection is gone. server_worker_abort then ends what is left at once. On the reactor.
 */
void server_worker_stop(struct server_worker *w, void (*on_idle)(void *arg), void *arg);
void server_worker_abort(struct server_worker *w);
void server_worker_free(struct server_worker **w);

#endif
