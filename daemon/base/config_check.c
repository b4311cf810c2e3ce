#include "config_check.h"

#include <stdlib.h>

#define FAULT(r, node, key, ...) yaml_tree_fault((r)->faults, (node), (key), __VA_ARGS__)

/* --- given twice --- */

/* Values that must differ from one another, as they stand in the tree. */
struct mentions {
    const struct yaml_node *v[YAML_NODES_MAX];
    size_t n;
};

static void mention(struct mentions *m, const struct yaml_node *node)
{
    if (node && node->kind == NODE_TEXT && node->text.n)
        m->v[m->n++] = node;
}

/* The value of `key` in each map of a list. */
static void mention_values(struct mentions *m, const struct yaml_node *list, const char *key)
{
    for (size_t i = 0; list && i < list->count; i++)
        mention(m, yaml_tree_get(yaml_tree_at(list, i), key));
}

/* The values in the list `key` in each map of a list. */
static void mention_items(struct mentions *m, const struct yaml_node *list, const char *key)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const struct yaml_node *items = yaml_tree_get(yaml_tree_at(list, i), key);
        for (size_t j = 0; items && j < items->count; j++)
            mention(m, yaml_tree_at(items, j));
    }
}

/* Letter case makes no difference in any of these. */
static bool same_text(const struct yaml_node *a, const struct yaml_node *b)
{
    return slice_ieq(a->text, b->text);
}

static int compare_mentions(const void *a, const void *b)
{
    const struct yaml_node *x = *(const struct yaml_node *const *)a;
    const struct yaml_node *y = *(const struct yaml_node *const *)b;
    int order = strcasecmp(x->text.p, y->text.p);

    if (order == 0)
        order = (x->line > y->line) - (x->line < y->line);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Reports what has been mentioned, and forgets it. */
static void refuse_twins(const struct config_reader *r, struct mentions *m)
{
    size_t first = 0;

    qsort(m->v, m->n, sizeof(const struct yaml_node *), compare_mentions);
    for (size_t i = 1; i < m->n; i++) {
        if (same_text(m->v[i], m->v[first]))
            FAULT(r, m->v[i], NULL, "\"%s\" is given already at line %u", m->v[i]->text.p,
                  m->v[first]->line);
        else
            first = i;
    }
    m->n = 0;
}

static void check_twins(const struct config_reader *r, const struct yaml_node *root)
{
    const struct yaml_node *routes = yaml_tree_get(root, "routes");
    struct mentions *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    mention_values(m, yaml_tree_get(root, "listen"), "address");
    mention(m, yaml_tree_get(yaml_tree_get(root, "admin"), "address"));
    refuse_twins(r, m);
    mention_values(m, routes, "name");
    refuse_twins(r, m);
    mention_items(m, routes, "namespaces");
    refuse_twins(r, m);
    mention_items(m, routes, "hosts");
    refuse_twins(r, m);
    free(m);
}

/* --- what does not fit together --- */

static bool is_given(const struct yaml_node *node)
{
    return node && node->kind == NODE_TEXT && node->text.n;
}

static bool is_route(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->route_count; i++)
        if (c->routes[i].name && strcmp(c->routes[i].name, name) == 0)
            return true;
    return false;
}

static void check_listeners(const struct config_reader *r, const struct yaml_node *root,
                            const struct config *c)
{
    bool admin_is_default = !is_given(yaml_tree_get(yaml_tree_get(root, "admin"), "address"));

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *listen = &c->listen[i];
        const struct yaml_node *node = yaml_tree_at(yaml_tree_get(root, "listen"), i);
        if (listen->route && !is_route(c, listen->route))
            FAULT(r, yaml_tree_get(node, "route"), NULL, "no route has the name \"%s\"",
                  listen->route);
        if (admin_is_default && listen->address && c->admin_address &&
            strcmp(listen->address, c->admin_address) == 0)
            FAULT(r, yaml_tree_get(node, "address"), NULL, "is what admin.address is by default");
    }
}

/* The first default route of the same protocol before route `i`, or NULL. */
static const struct config_route *earlier_default(const struct config *c, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (c->routes[j].is_default && c->routes[j].protocol &&
            strcmp(c->routes[j].protocol, c->routes[i].protocol) == 0)
            return &c->routes[j];
    return NULL;
}

static void check_defaults(const struct config_reader *r, const struct yaml_node *root,
                           const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        if (!c->routes[i].is_default || !c->routes[i].protocol)
            continue;
        const struct yaml_node *route = yaml_tree_at(yaml_tree_get(root, "routes"), i);
        const struct config_route *other = earlier_default(c, i);
        if (other)
            FAULT(r, yaml_tree_get(route, "default"), NULL,
                  "the route at line %u is the default of %s already", other->line,
                  other->protocol);
    }
}

/* --- keys that a protocol does not have --- */

static const struct config_protocol *protocol_of(const struct config_reader *r,
                                                 const struct config_route *route)
{
    for (const struct config_protocol *const *p = r->protocols; *p; p++)
        if (route->protocol && slice_eq((*p)->name, slice_str(route->protocol)))
            return *p;
    return NULL;
}

/* What each key that not all protocols have is in this route: given, and of any meaning? */
struct special_key {
    const char *name;
    bool given;
    bool known;
};

static void check_special_keys(const struct config_reader *r, const struct yaml_node *node,
                               const struct config_route *route, const struct config_protocol *p)
{
    const struct special_key keys[] = {
        {"namespaces", route->namespaces.n > 0, p->root.n > 0},
        {"default", route->is_default, p->root.n > 0},
        {"prefix", route->prefix, p->root.n == 0},
        {"auth", route->passthrough, p->takes_passthrough},
        {"file_hosts", route->file_hosts.n > 0, p->takes_file_hosts},
        {"immutable", route->immutable.n > 0, p->takes_immutable},
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].given && !keys[i].known)
            FAULT(r, yaml_tree_get(node, keys[i].name), NULL, "is not for routes of protocol %s",
                  route->protocol);
}

/* --- what selects a route --- */

static bool has_listener(const struct config *c, const struct config_route *route)
{
    for (size_t i = 0; i < c->listen_count; i++)
        if (c->listen[i].route && route->name && strcmp(c->listen[i].route, route->name) == 0)
            return true;
    return false;
}

/* A fault in one of the keys that select a route has been reported: it would have selected. */
static bool is_selected(const struct config *c, const struct config_route *route,
                        const struct yaml_node *node)
{
    return is_given(yaml_tree_get(node, "prefix")) ||
           yaml_tree_at(yaml_tree_get(node, "hosts"), 0) || has_listener(c, route);
}

/* Is `path` the prefix, or a path below it? */
static bool is_under(const char *path, struct slice prefix)
{
    struct slice s = slice_str(path);
    return slice_starts(s, prefix) && (s.n == prefix.n || s.p[prefix.n] == '/');
}

static const struct config_protocol *protocol_above(const struct config_reader *r, const char *path)
{
    for (const struct config_protocol *const *p = r->protocols; *p; p++)
        if ((*p)->root.n && is_under(path, (*p)->root))
            return *p;
    return NULL;
}

/* The first route before route `i` with the same prefix, or NULL. */
static const struct config_route *earlier_prefix(const struct config *c, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (c->routes[j].prefix && strcmp(c->routes[j].prefix, c->routes[i].prefix) == 0)
            return &c->routes[j];
    return NULL;
}

static void check_prefix(const struct config_reader *r, const struct yaml_node *node,
                         const struct config *c, size_t i)
{
    const char *prefix = c->routes[i].prefix;
    const struct config_protocol *above = protocol_above(r, prefix);
    const struct config_route *other = earlier_prefix(c, i);

    if (above)
        FAULT(r, node, NULL, "all that is under %.*s belongs to protocol %.*s",
              SLICE_ARG(above->root), SLICE_ARG(above->name));
    if (other)
        FAULT(r, node, NULL, "the route at line %u has this prefix already", other->line);
}

/* Credentials are meant for one upstream, and never mixed with the cache's own account. */
static void check_passthrough(const struct config_reader *r, const struct yaml_node *route)
{
    const struct yaml_node *upstreams = yaml_tree_get(route, "upstreams");

    if (upstreams && upstreams->count > 1)
        FAULT(r, yaml_tree_get(route, "auth"), NULL,
              "passthrough is for one upstream, to which the credentials belong");
    for (size_t i = 0; upstreams && i < upstreams->count; i++) {
        const struct yaml_node *username = yaml_tree_get(yaml_tree_at(upstreams, i), "username");
        if (is_given(username))
            FAULT(r, username, NULL, "may not be given where auth is passthrough");
    }
}

static void check_routes(const struct config_reader *r, const struct yaml_node *root,
                         const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct config_route *route = &c->routes[i];
        const struct config_protocol *protocol = protocol_of(r, route);
        const struct yaml_node *node = yaml_tree_at(yaml_tree_get(root, "routes"), i);
        if (!protocol)
            continue; /* which has been reported */
        check_special_keys(r, node, route, protocol);
        if (protocol->root.n == 0 && !is_selected(c, route, node))
            FAULT(
                r, node, NULL,
                "nothing selects this route: it needs prefix, hosts, or a listener that names it");
        if (protocol->root.n == 0 && route->prefix)
            check_prefix(r, yaml_tree_get(node, "prefix"), c, i);
        if (protocol->takes_passthrough && route->passthrough)
            check_passthrough(r, node);
    }
}

/* --- accounts --- */

static void check_credentials(const struct config_reader *r, const struct yaml_node *upstream)
{
    const struct yaml_node *username = yaml_tree_get(upstream, "username");
    const struct yaml_node *password_file = yaml_tree_get(upstream, "password_file");

    if (is_given(username) && !password_file)
        FAULT(r, upstream, "password_file", "is missing, although username is given");
    else if (is_given(username) && password_file->kind == NODE_TEXT && !is_given(password_file))
        FAULT(r, password_file, NULL, "is empty, although username is given");
    if (is_given(password_file) && !username)
        FAULT(r, upstream, "username", "is missing, although password_file is given");
    else if (is_given(password_file) && username->kind == NODE_TEXT && !is_given(username))
        FAULT(r, username, NULL, "is empty, although password_file is given");
    /* RFC 7617 section 2 */
    if (is_given(username) && slice_find(username->text, ':') < username->text.n)
        FAULT(r, username, NULL, "must hold no colon");
}

static void check_upstreams(const struct config_reader *r, const struct yaml_node *root)
{
    const struct yaml_node *routes = yaml_tree_get(root, "routes");

    for (size_t i = 0; routes && i < routes->count; i++) {
        const struct yaml_node *upstreams = yaml_tree_get(yaml_tree_at(routes, i), "upstreams");
        for (size_t j = 0; upstreams && j < upstreams->count; j++)
            check_credentials(r, yaml_tree_at(upstreams, j));
    }
}

void config_check(const struct config_reader *r, const struct yaml_node *root,
                  const struct config *config)
{
    check_twins(r, root);
    check_listeners(r, root, config);
    check_defaults(r, root, config);
    check_routes(r, root, config);
    check_upstreams(r, root);
}
