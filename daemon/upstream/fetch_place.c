/* Where a fetch asks: below an upstream's base, or in a foreign place; and who may answer there. */
#include "fetch.h"
#include "http/request.h"

/* --- what the request names --- */

/* The path below the upstream's base; p == NULL: it is somewhere else. */
static struct slice path_below(const struct upstream *u, const struct http_url *url)
{
    struct slice base = u->base.path;
    if (slice_ends(base, SLICE("/"))) /* of a URL without path */
        base.n--;
    bool below = http_url_same_origin(url, &u->base) && slice_starts(url->path, base) &&
                 url->path.n > base.n && url->path.p[base.n] == '/';
    /* With ".." it would lead out of the base again. */
    if (!below || !http_path_is_clean(url->path))
        return slice_of(NULL, 0);
    return slice_from(url->path, base.n);
}

/* Whose origin the URL is at, outside of the base; NULL: nobody's. */
static struct upstream *upstream_at(const struct upstream_set *set, const struct http_url *url)
{
    for (size_t i = 0; i < set->n; i++)
        if (http_url_same_origin(url, &set->v[i].base) && http_path_is_clean(url->path))
            return &set->v[i];
    return NULL;
}

bool fetch_place_find(struct fetch *f)
{
    const struct upstream_set *set = f->ask.set;
    struct http_url url;
    if (!f->ask.url.n)
        return true;
    f->ask.url = slice_to(f->ask.url, slice_find(f->ask.url, '#'));
    if (!http_url_parse(f->ask.url, &url))
        return false;
    for (size_t i = 0; i < set->n; i++) {
        struct slice path = path_below(&set->v[i], &url);
        if (path.p) {
            f->ask.path = arena_printf(&f->arena, "%.*s%s%.*s", SLICE_ARG(path),
                                       url.query.p ? "?" : "", SLICE_ARG(url.query));
            return f->ask.path.p != NULL;
        }
    }
    f->origin = upstream_at(set, &url);
    f->foreign = !f->origin;
    return true;
}

/* --- one place being asked --- */

/* Time runs from here until the answer's head is in. */
static bool begin_at(struct fetch *f, struct slice url)
{
    f->try.url = url;
    timer_set(&f->deadline, f->uplink->response_timeout_ms);
    return url.p && http_url_parse(url, &f->try.at);
}

bool fetch_place_begin(struct fetch *f, struct upstream *u, bool probe)
{
    struct fetch_try *t = &f->try;
    arena_reset(&f->try_arena);
    *t = (struct fetch_try){.upstream = u, .host = u->base.host, .probe = probe};
    t->scope = bearer_scope_sorted(&f->try_arena, f->ask.scope);
    upstream_auth_known(u, &f->try_arena, &t->auth);
    struct slice url = f->origin
                           ? arena_printf(&f->try_arena, "%.*s", SLICE_ARG(f->ask.url))
                           : arena_printf(&f->try_arena, "%s%.*s", u->url, SLICE_ARG(f->ask.path));
    return begin_at(f, url) && t->scope.p;
}

bool fetch_place_begin_foreign(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    *t = (struct fetch_try){.away = true, .settled = true};
    bool ok = begin_at(f, arena_printf(&f->try_arena, "%.*s", SLICE_ARG(f->ask.url)));
    t->host = t->at.host;
    return ok;
}

/* --- who may answer --- */

/* The widest reach from which this fetch is led: what the upstreams can name themselves. */
static int reach_of_upstreams(const struct fetch *f)
{
    const struct upstream_set *set = f->ask.set;
    int widest = REACH_PUBLIC;
    if (!f->foreign)
        return atomic_load(&f->try.upstream->reach);
    for (size_t i = 0; i < set->n; i++) {
        int reach = atomic_load(&set->v[i].reach);
        widest = reach != REACH_FORBIDDEN && reach > widest ? reach : widest;
    }
    return widest;
}

static bool reach_allowed(const struct fetch *f, enum address_reach reach)
{
    return reach != REACH_FORBIDDEN && (int)reach <= reach_of_upstreams(f);
}

bool fetch_address_allowed(const struct fetch *f, const char *address)
{
    return f->exchange.proxied || reach_allowed(f, address_reach(address));
}

bool fetch_host_allowed(const struct fetch *f)
{
    return !f->try.away || reach_allowed(f, address_reach_of_host(f->try.at.host));
}

const char *fetch_blocked_text(const struct fetch *f)
{
    return f->foreign ? "it has an address that this route may not fetch from"
                      : "redirected to an address that it may not lead to";
}
