/* config_parse: what it accepts is whole, what it refuses it explains in at most 20 clean lines. */
#include <assert.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_route(const struct config_route *route)
{
    assert(route->name && route->name[0] && strcmp(route->protocol, "oci") == 0);
    assert(route->upstream_count > 0 && route->line > 0);
    assert(route->ttl_ms >= 0 && route->patience_ms >= 0 && route->stale_for_ms >= 0);
    for (size_t i = 0; i < route->namespaces.n; i++)
        assert(route->namespaces.v[i][0]);
    for (size_t i = 0; i < route->hosts.n; i++)
        assert(route->hosts.v[i][0]);
    for (size_t i = 0; i < route->upstream_count; i++) {
        const struct config_upstream *upstream = &route->upstreams[i];
        assert(slice_starts(slice_str(upstream->url), SLICE("http")));
        assert(!upstream->username == !upstream->password);
    }
}

static void check_config(const struct config *c)
{
    assert(c->listen_count > 0 && c->route_count > 0);
    assert(c->admin_address && c->storage_path && c->storage_max_size > 0);
    assert(c->max_connections > 0 && c->connect_timeout_ms > 0);
    for (size_t i = 0; i < c->listen_count; i++)
        assert(c->listen[i].address && c->listen[i].line > 0);
    for (size_t i = 0; i < c->route_count; i++)
        check_route(&c->routes[i]);
}

static void check_errors(struct slice errors)
{
    size_t lines = 0;

    while (errors.n) {
        size_t end = slice_find(errors, '\n');
        assert(end < errors.n);
        assert(slice_starts(errors, SLICE("fuzz:")));
        for (size_t i = 0; i < end; i++)
            assert((unsigned char)errors.p[i] >= ' ');
        errors = slice_from(errors, end + 1);
        lines++;
    }
    assert(lines > 0 && lines <= 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const protocols[] = {"oci", NULL};
    struct config *config;
    struct buf errors;

    buf_init(&errors, 1 << 16);
    if (config_parse("fuzz", slice_of((const char *)data, n), protocols, &config, &errors) ==
        ERR_OK) {
        check_config(config);
        assert(errors.n == 0);
        config_free(&config);
    } else {
        assert(!config && !errors.failed);
        check_errors(buf_slice(&errors));
    }
    buf_free(&errors);
    return 0;
}
