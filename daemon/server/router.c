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
static const struct route *route_by_host(const struct service *s,
                                         const struct http_request *request)
{
    if (!request->host_name.n)
        return NULL;
    const struct route *r = route_with_host(s, request->host);
    return r ? r : route_with_host(s, request->host_name);
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

/* The path `top` itself, or top + "/..."; nothing is under an empty one. */
static bool is_under(struct slice path, struct slice top)
{
    return top.n && slice_starts(path, top) && (path.n == top.n || path.p[top.n] == '/');
}

/* The protocol whose root the path is under, or NULL. */
static const struct protocol *protocol_of_path(struct slice path)
{
    for (size_t i = 0; protocols[i]; i++)
        if (is_under(path, protocols[i]->config.root))
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

static struct slice prefix_of(const struct route *r)
{
    return slice_str(r->config->prefix);
}

/* The route with the longest prefix that the path is under, or NULL. */
static const struct route *route_by_prefix(const struct service *s, struct slice path)
{
    const struct route *best = NULL;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];
        if (is_under(path, prefix_of(r)) && (!best || prefix_of(r).n > prefix_of(best).n))
            best = r;
    }
    return best;
}

/* "/npm" is asked for as "/npm/". */
static struct slice path_below(struct slice path, struct slice prefix)
{
    return path.n == prefix.n ? SLICE("/") : slice_from(path, prefix.n);
}

static void route_under_prefix(const struct service *s, const struct http_request *request,
                               struct routing *out)
{
    out->route = route_by_prefix(s, request->path);
    if (!out->route)
        return;
    out->protocol = out->route->protocol;
    out->prefix = prefix_of(out->route);
    out->path = path_below(request->path, out->prefix);
}

static void pick_route(const struct service *s, const char *listen_route,
                       const struct http_request *request, struct arena *a, struct routing *out)
{
    if (listen_route)
        out->route = route_by_name(s, slice_str(listen_route));
    else
        out->route = route_by_host(s, request);
    if (out->route) {
        out->protocol = out->route->protocol;
        return;
    }
    out->protocol = protocol_of_path(request->path);
    if (out->protocol)
        route_under_root(s, request, a, out);
    else
        route_under_prefix(s, request, out);
}

/* --- the link base --- */

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

/* How clients reach this cache: the one place that knows. */
static struct slice request_scheme(void)
{
    return SLICE("http://");
}

/*
 * Scheme and authority of the request, and the prefix; empty when it names no host. The host is in
 * lower case, so that its spelling makes no further variants. p == NULL: no memory.
 */
static struct slice base_from_request(const struct http_request *request, struct slice prefix,
                                      struct arena *a)
{
    struct slice scheme = request_scheme();
    if (!request->host_name.n)
        return SLICE("");
    char *p = arena_alloc(a, scheme.n + request->host.n + prefix.n);
    if (!p)
        return slice_of(NULL, 0);
    char *end = mempcpy(p, scheme.p, scheme.n);
    for (size_t i = 0; i < request->host.n; i++)
        *end++ = lower(request->host.p[i]);
    if (prefix.n)
        end = mempcpy(end, prefix.p, prefix.n);
    return slice_of(p, (size_t)(end - p));
}

/* public_url names the listeners on which a prefix selects; a host of its own names itself. */
static struct slice link_base(const struct service *s, const struct http_request *request,
                              struct slice prefix, struct arena *a)
{
    const char *public_url = s->config->public_url;
    if (prefix.n && public_url)
        return arena_printf(a, "%s%.*s", public_url, SLICE_ARG(prefix));
    return base_from_request(request, prefix, a);
}

struct routing route_request(const struct service *s, const char *listen_route,
                             const struct http_request *request, struct arena *a)
{
    struct routing out = {.path = request->path};
    pick_route(s, listen_route, request, a, &out);
    if (out.route && out.protocol->links) {
        out.base = link_base(s, request, out.prefix, a);
        if (!out.base.p)
            out.path.p = NULL;
    }
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
        if (c->prefix)
            buf_addf(&b, "; prefix %s", c->prefix);
        buf_add(&b, c->is_default ? SLICE("; default)") : SLICE(")"));
    }
    struct slice text = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return text;
}
