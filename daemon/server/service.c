#include "service.h"
#include "base/clock.h"
#include <stdlib.h>

static enum err route_init(struct route *r, const struct config_route *c, struct errinfo *info)
{
    r->config = c;
    r->protocol = protocol_find(slice_str(c->protocol));
    if (!r->protocol)
        return err_set(info, ERR_CONFIG, "route %s: unknown protocol %s", c->name, c->protocol);
    r->cache = (struct cache_route){
        .name = slice_str(c->name),
        .ttl_ms = c->ttl_ms,
        .negative_ttl_ms = c->negative_ttl_ms,
        .stale_for_ms = c->stale_for_ms,
        .stale_while_refreshing_ms = c->stale_while_refreshing_ms,
        .patience_ms = c->patience_ms,
        .passthrough = c->passthrough,
    };
    enum err rc = upstream_set_new(c, &r->cache.upstreams, info);
    if (rc == ERR_OK)
        r->upstream_host = upstream_set_host(r->cache.upstreams);
    return rc;
}

enum err service_new(const struct config *config, struct store *store, struct service **out,
                     struct errinfo *info)
{
    struct service *s = calloc(1, sizeof *s);
    struct route *routes = calloc(config->route_count, sizeof *routes);
    if (!s || !routes)
        abort();
    s->config = config;
    s->store = store;
    s->routes = routes;
    s->started_ms = clock_mono_ms();
    for (size_t i = 0; i < config->route_count; i++) {
        enum err rc = route_init(&routes[i], &config->routes[i], info);
        if (rc) {
            service_free(&s);
            return rc;
        }
        s->route_count++;
    }
    *out = s;
    return ERR_OK;
}

void service_free(struct service **sp)
{
    struct service *s = *sp;
    if (!s)
        return;
    for (size_t i = 0; i < s->route_count; i++)
        upstream_set_free(&s->routes[i].cache.upstreams);
    free(s->routes);
    free(s);
    *sp = NULL;
}

void service_set_ready(struct service *s, bool ready)
{
    atomic_store(&s->ready, ready);
}
