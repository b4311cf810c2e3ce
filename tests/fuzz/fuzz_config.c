/* config_parse: what it accepts is whole, what it refuses it explains in at most 20 clean lines. */
#include "base/config.h"
#include "fuzz_check.h"

/* One protocol with a root, and one with all the keys that such a one does not have. */
static const struct config_protocol oci = {.name = {"oci", 3}, .root = {"/v2", 3}};
static const struct config_protocol pypi = {.name = {"pypi", 4},
                                            .takes_passthrough = true,
                                            .takes_file_hosts = true,
                                            .takes_immutable = true};

static void check_prefix(struct slice prefix)
{
    CHECK(prefix.n > 1 && prefix.p[0] == '/' && prefix.p[prefix.n - 1] != '/');
    CHECK(!slice_starts(prefix, SLICE("/v2/")) && !slice_eq(prefix, SLICE("/v2")));
    CHECK(!slice_ends(prefix, SLICE("/..")) && slice_find(prefix, '%') == prefix.n);
}

static void check_protocol_keys(const struct config_route *route)
{
    if (strcmp(route->protocol, "oci") == 0) {
        CHECK(!route->prefix && !route->passthrough);
        CHECK(route->file_hosts.n == 0 && route->immutable.n == 0);
    } else {
        CHECK(strcmp(route->protocol, "pypi") == 0);
        CHECK(route->namespaces.n == 0 && !route->is_default);
    }
    if (route->prefix)
        check_prefix(slice_str(route->prefix));
    if (route->passthrough)
        CHECK(route->upstream_count == 1 && !route->upstreams[0].username);
}

static void check_route(const struct config_route *route)
{
    CHECK(route->name && route->name[0]);
    check_protocol_keys(route);
    CHECK(route->upstream_count > 0 && route->line > 0);
    CHECK(route->ttl_ms >= 0 && route->patience_ms >= 0 && route->stale_for_ms >= 0);
    for (size_t i = 0; i < route->namespaces.n; i++)
        CHECK(route->namespaces.v[i][0]);
    for (size_t i = 0; i < route->hosts.n; i++)
        CHECK(route->hosts.v[i][0]);
    for (size_t i = 0; i < route->upstream_count; i++) {
        const struct config_upstream *upstream = &route->upstreams[i];
        CHECK(slice_starts(slice_str(upstream->url), SLICE("http")));
        CHECK(!upstream->username == !upstream->password);
    }
}

static void check_config(const struct config *c)
{
    CHECK(c->listen_count > 0 && c->route_count > 0);
    CHECK(c->admin_address && c->storage_path && c->storage_max_size > 0);
    CHECK(c->max_connections > 0 && c->connect_timeout_ms > 0);
    for (size_t i = 0; i < c->listen_count; i++)
        CHECK(c->listen[i].address && c->listen[i].line > 0);
    for (size_t i = 0; i < c->route_count; i++)
        check_route(&c->routes[i]);
}

static void check_errors(struct slice errors)
{
    size_t lines = 0;

    while (errors.n) {
        struct slice line = take_line(&errors);
        CHECK(slice_starts(line, SLICE("fuzz:")));
        for (size_t i = 0; i < line.n; i++)
            CHECK((unsigned char)line.p[i] >= ' ');
        lines++;
    }
    CHECK(lines > 0 && lines <= 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_protocol *const protocols[] = {&oci, &pypi, NULL};
    struct config *config;
    struct buf errors;

    buf_init(&errors, 1 << 16);
    if (config_parse("fuzz", fuzz_input(data, size), protocols, &config, &errors) == ERR_OK) {
        check_config(config);
        CHECK(errors.n == 0);
        config_free(&config);
    } else {
        CHECK(!config && !errors.failed);
        check_errors(buf_slice(&errors));
    }
    buf_free(&errors);
    return 0;
}
