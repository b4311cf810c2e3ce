/* What the workers share: routes and limits. Immutable but for the two atomics. */
#ifndef YT_SERVER_SERVICE_H
#define YT_SERVER_SERVICE_H

#include "protocol/protocol.h"
#include "server/server.h"
#include <stdatomic.h>

struct route {
    struct cache_route cache;
    const struct config_route *config;
    const struct protocol *protocol;
    struct slice upstream_host;
};

struct service {
    const struct config *config;
    struct store *store;
    struct route *routes;
    size_t route_count;
    int64_t started_ms;
    atomic_bool ready;
    atomic_llong connections;
};

struct routing {
    const struct route *route;       /* NULL: nothing is served there */
    const struct protocol *protocol; /* of the route, or the one whose root was asked; or NULL */
    struct slice path;               /* without what selected the route; p == NULL: no memory */
    struct slice namespace;          /* as in struct plan_input */
    struct slice prefix;             /* that selected the route; or empty */
    struct slice base;               /* as in struct plan_input */
};

/*
 * Picks the route of a request (DESIGN: listener, host, namespace, default, prefix). `listen_route`
 * is the name that the listener gives, or NULL. Pure but for the arena.
 */
struct routing route_request(const struct service *s, const char *listen_route,
                             const struct http_request *request, struct arena *a);
/* What is served here, for the body of a 404. */
struct slice route_list(const struct service *s, struct arena *a);
/* The route of that name, or NULL. */
const struct route *route_by_name(const struct service *s, struct slice name);

/* /healthz, /readyz, /metrics. false: no such page. */
bool admin_page(const struct service *s, const struct http_request *request, struct arena *a,
                struct plan_page *page);

#endif
