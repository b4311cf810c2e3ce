#include "http/url.h"
#include "service.h"

const struct route *route_by_name(const struct service *s, struct slice name)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (slice_eq(s->routes[i].cache.name, name))
            return &s->routes[i];
    return NULL;
}

static bool listed(const struct config_strings *names, struct slice name)
{
    for (size_t i = 0; i < names->n; i++)
        if (slice_ieq(slice_str(names->v[i]), name))
            return true;
    return false;
}

static const struct route *route_with_host(const struct service *s, struct slice host)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (listed(&s->routes[i].config->hosts, host))
            return &s->routes[i];
    return NULL;
}

/* By the Host field with its port, else without. */
static const struct route *route_by_host(const struct service *s, struct slice authority)
{
    struct slice host;
    unsigned port;
    if (!authority.n || !http_authority_parse(authority, &host, &port))
        return NULL;
    const struct route *r = route_with_host(s, authority);
    return r ? r : route_with_host(s, host);
}

struct namespace_search {
    const struct service *service;
    const struct protocol *protocol;
};

static const struct route *route_by_namespace(const struct namespace_search *search,
                                              struct slice name)
{
    for (size_t i = 0; i < search->service->route_count; i++) {
        const struct route *r = &search->service->routes[i];
        if (r->protocol == search->protocol && listed(&r->config->namespaces, name))
            return r;
    }
    return NULL;
}

static bool namespace_is_known(void *arg, struct slice name)
{
    return route_by_namespace(arg, name) != NULL;
}

static const struct route *default_route(const struct service *s, const struct protocol *protocol)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (s->routes[i].protocol == protocol && s->routes[i].config->is_default)
            return &s->routes[i];
    return NULL;
}

/* The root itself, or root + "/...". */
static bool under_root(struct slice path, struct slice root)
{
    return root.n && slice_starts(path, root) && (path.n == root.n || path.p[root.n] == '/');
}

/* The protocol whose root the path is under, or NULL. */
static const struct protocol *protocol_of_path(struct slice path)
{
    for (size_t i = 0; protocols[i]; i++)
        if (under_root(path, protocols[i]->root))
            return protocols[i];
    return NULL;
}

static void route_under_root(const struct service *s, const struct http_request *request,
                             struct arena *a, struct routing *out)
{
    struct namespace_search search = {s, out->protocol};
    struct slice name = slice_of(NULL, 0), rest = request->path;
    enum namespace_result named =
        out->protocol->find_namespace(request, a, namespace_is_known, &search, &name, &rest);
    if (named == NAMESPACE_NONE) {
        out->route = default_route(s, out->protocol);
        return;
    }
    out->route = route_by_namespace(&search, name);
    out->namespace = name;
    out->path = rest;
}

struct routing route_request(const struct service *s, const char *listen_route,
                             const struct http_request *request, struct arena *a)
{
    struct routing out = {.path = request->path};
    if (listen_route)
        out.route = route_by_name(s, slice_str(listen_route));
    else
        out.route = route_by_host(s, request->host);
    if (out.route) {
        out.protocol = out.route->protocol;
        return out;
    }
    out.protocol = protocol_of_path(request->path);
    if (out.protocol)
        route_under_root(s, request, a, &out);
    return out;
}

struct slice route_list(const struct service *s, struct arena *a)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, SLICE("served here:"));
    for (size_t i = 0; i < s->route_count; i++) {
        const struct config_route *c = s->routes[i].config;
        buf_addf(&b, "%s %s (%s", i ? "," : "", c->name, c->protocol);
        for (size_t j = 0; j < c->namespaces.n; j++)
            buf_addf(&b, "%s%s", j ? ", " : "; namespaces ", c->namespaces.v[j]);
        for (size_t j = 0; j < c->hosts.n; j++)
            buf_addf(&b, "%s%s", j ? ", " : "; hosts ", c->hosts.v[j]);
        buf_add(&b, c->is_default ? SLICE("; default)") : SLICE(")"));
    }
    struct slice text = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return text;
}
