/* One request and its answer: plan, look up, respond, deliver, and one end for all of it. */
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/instance.h"
#include "base/log.h"
#include "conn.h"
#include <stdlib.h>

/* --- life --- */

struct exchange *exchange_new(struct conn *c)
{
    struct server_worker *w = c->worker;
    struct exchange *x = w->spare;
    if (x) {
        w->spare = x->next_spare;
        w->spare_count--;
    } else {
        x = malloc(sizeof *x);
        if (!x)
            return NULL;
    }
    memset(x, 0, offsetof(struct exchange, plan));
    x->conn = c;
    x->started_ms = reactor_mono_ms(w->reactor);
    arena_init(&x->arena, x->arena_first, sizeof x->arena_first, EXCHANGE_ARENA_CAP);
    uint64_t id = w->next_id++;
    hex_encode((const unsigned char *)&id, sizeof id, x->id);
    return x;
}

/* The query is left out: it may be signed or hold a token. */
static void access_log(const struct exchange *x)
{
    const struct http_request *r = &x->request;
    log_info("request", LF_WORD("id", slice_of(x->id, REQUEST_ID_LENGTH)),
             LF_WORD("client", slice_str(x->conn->peer)), LF_SLICE("method", r->method_text),
             LF_SLICE("target", r->path), LF_INT("status", x->status), LF_INT("bytes", x->sent),
             LF_SLICE("route", x->routing.route ? x->routing.route->cache.name : SLICE("")),
             LF_WORD("cache", x->cache ? slice_str(x->cache) : SLICE("none")),
             LF_INT("ms", clock_mono_ms() - x->started_ms),
             LF_WORD("end", x->aborted ? SLICE("aborted") : SLICE("complete")));
}

void exchange_free(struct exchange *x)
{
    struct server_worker *w = x->conn->worker;
    counter_inc(COUNTER_REQUESTS);
    counter_add(COUNTER_BYTES_SENT, x->sent);
    if (w->service->config->log_access && !x->conn->point->admin)
        access_log(x);
    if (x->looked_up)
        lookup_end(&x->lookup);
    upload_end(x);
    arena_reset(&x->arena);
    if (w->spare_count >= SPARE_EXCHANGES) {
        free(x);
        return;
    }
    x->next_spare = w->spare;
    w->spare = x;
    w->spare_count++;
}

/* --- ends --- */

/* The parts are made: send. Memory that is not there ends the connection. */
static void send_made(struct exchange *x, bool made)
{
    if (!made) {
        conn_exchange_over(x->conn, true);
        return;
    }
    x->pos = x->parts[0].first;
    conn_send(x->conn);
}

static void plain_error(struct arena *a, enum plan_error error, struct slice detail,
                        struct plan_page *page)
{
    static const struct {
        int status;
        const char *text;
    } rows[PLAN_ERR_COUNT] = {
        [PLAN_ERR_BAD_REQUEST] = {400, "bad request"},
        [PLAN_ERR_BAD_NAME] = {400, "bad name"},
        [PLAN_ERR_BAD_DIGEST] = {400, "bad digest"},
        [PLAN_ERR_NO_ROUTE] = {404, "nothing is served here"},
        [PLAN_ERR_NOT_FOUND] = {404, "not found"},
        [PLAN_ERR_DENIED] = {404, "not found"},
        [PLAN_ERR_METHOD] = {405, "this is read-only"},
        [PLAN_ERR_UNSUPPORTED] = {404, "not supported by a cache"},
        [PLAN_ERR_CREDENTIALS] = {401, "credentials are needed"},
        [PLAN_ERR_FORBIDDEN] = {403, "refused"},
        [PLAN_ERR_FOREIGN] = {403, "not to be fetched from there"},
        [PLAN_ERR_ONLY_CACHED] = {504, "not held"},
        [PLAN_ERR_UPSTREAM] = {503, "the upstream fails"},
        [PLAN_ERR_BUSY] = {503, "the cache is busy"},
    };
    page->status = rows[error].status;
    page->content_type = SLICE("text/plain; charset=utf-8");
    page->body =
        arena_printf(a, "%s%s%.*s\n", rows[error].text, detail.n ? ": " : "", SLICE_ARG(detail));
}

static void answer_error(struct exchange *x, enum plan_error error, struct slice detail,
                         const struct cache_status *cs, int64_t retry_after_s)
{
    struct plan_page page = {0};
    const struct protocol *protocol = x->routing.protocol;
    plan_error_f *render = protocol ? protocol->render_error : plain_error;
    if (x->planned)
        render = x->plan.render_error;
    render(&x->arena, error, detail, &page);
    send_made(x, page.body.p && respond_page(x, &page, cs, retry_after_s));
}

void exchange_reject(struct exchange *x, int status, const char *why)
{
    struct plan_page page = {
        .status = status,
        .content_type = SLICE("text/plain; charset=utf-8"),
        .body = arena_printf(&x->arena, "%s\n", why),
    };
    send_made(x, page.body.p && respond_page(x, &page, NULL, 0));
}

/* --- the engine's callbacks --- */

/* Is it about the resource itself? Then that is the error's detail. */
static bool names_resource(enum plan_error error)
{
    return error == PLAN_ERR_NOT_FOUND || error == PLAN_ERR_DENIED ||
           error == PLAN_ERR_CREDENTIALS || error == PLAN_ERR_FORBIDDEN;
}

static void answer_lookup(struct exchange *x)
{
    struct lookup *l = &x->lookup;
    /* An answer before its time: whether the rest of the body is ever read is not known. */
    if (x->conn->in == IN_UPLOAD)
        x->conn->close_after = true;
    if (l->state == LOOKUP_ANSWER) {
        send_made(x, respond_answer(x));
        return;
    }
    answer_error(x, l->error, names_resource(l->error) ? x->plan.resource : l->error_detail,
                 &l->error_status, l->retry_after_s);
}

static void on_lookup_ready(struct lookup *l)
{
    struct exchange *x = container_of(l, struct exchange, lookup);
    struct conn *c = x->conn;
    conn_enter(c);
    answer_lookup(x);
    conn_leave(c);
}

static void on_lookup_body(struct lookup *l)
{
    struct exchange *x = container_of(l, struct exchange, lookup);
    struct conn *c = x->conn;
    if (c->out != OUT_WAIT)
        return; /* the socket is the bottleneck; it will ask for itself */
    conn_enter(c);
    conn_send(c);
    conn_leave(c);
}

/* --- running --- */

static void look_up(struct exchange *x)
{
    struct lookup *l = &x->lookup;
    l->worker = x->conn->worker->engine;
    l->route = &x->routing.route->cache;
    l->plan = &x->plan;
    l->arena = &x->arena;
    l->id = slice_str(x->id);
    l->head_only = x->request.method == HTTP_HEAD;
    l->on_ready = on_lookup_ready;
    l->on_body = on_lookup_body;
    x->looked_up = true;
    if (lookup_start(l) == LOOKUP_WAITING)
        conn_set_out(x->conn, OUT_WAIT);
    else
        answer_lookup(x);
}

/*
 * Nobody serves this path; but what a protocol answers by itself (the base of its API, which
 * clients ask for before they name anything) it answers without a route.
 */
static void run_without_route(struct exchange *x)
{
    struct plan_input in = {.request = &x->request, .path = x->routing.path};
    const struct protocol *protocol = x->routing.protocol;
    bool asks = protocol && x->routing.namespace.n == 0;
    if (asks && protocol->plan(&in, &x->arena, &x->plan) && x->plan.kind == PLAN_LOCAL)
        send_made(x, respond_page(x, &x->plan.page, NULL, 0));
    else
        answer_error(x, PLAN_ERR_NO_ROUTE, route_list(x->conn->worker->service, &x->arena), NULL,
                     0);
}

static bool make_plan(struct exchange *x)
{
    const struct route *r = x->routing.route;
    struct plan_input in = {
        .request = &x->request,
        .path = x->routing.path,
        .namespace = x->routing.namespace,
        .base = x->routing.base,
        .upstream_host = r->upstream_host,
        .config = r->config,
    };
    x->planned = x->planned || r->protocol->plan(&in, &x->arena, &x->plan);
    return x->planned;
}

static void run_plan(struct exchange *x)
{
    if (!make_plan(x)) {
        conn_exchange_over(x->conn, true);
        return;
    }
    switch (x->plan.kind) {
    case PLAN_LOCAL:
        send_made(x, respond_page(x, &x->plan.page, NULL, 0));
        break;
    case PLAN_REFUSED:
        answer_error(x, x->plan.refusal, x->plan.refusal_detail, NULL, 0);
        break;
    case PLAN_CACHED:
    case PLAN_RELAYED:
        look_up(x);
        break;
    }
}

static bool names_us(void *arg, struct slice element)
{
    bool *found = arg;
    size_t blank = slice_find(element, ' ');
    *found = slice_eq(slice_trim(slice_from(element, blank)), instance_name());
    return !*found;
}

/* A request that passed through here already would go round for ever (RFC 9110 section 7.6.3). */
static bool is_loop(const struct http_request *r)
{
    bool found = false;
    http_fields_each_element(&r->fields, HF_VIA, names_us, &found);
    return found;
}

static void run_admin(struct exchange *x)
{
    struct plan_page page;
    bool reads = x->request.method == HTTP_GET || x->request.method == HTTP_HEAD;
    if (!reads)
        answer_error(x, PLAN_ERR_METHOD, SLICE(""), NULL, 0);
    else if (admin_page(x->conn->worker->service, &x->request, &x->arena, &page))
        send_made(x, respond_page(x, &page, NULL, 0));
    else
        answer_error(x, PLAN_ERR_NO_ROUTE, SLICE("see /healthz, /readyz, /metrics"), NULL, 0);
}

void exchange_run(struct exchange *x)
{
    const struct service *s = x->conn->worker->service;
    if (x->conn->point->admin) {
        run_admin(x);
    } else if (is_loop(&x->request)) {
        exchange_reject(x, 508, "this request has passed through this cache before");
    } else if (!http_path_is_clean(x->request.path)) {
        answer_error(x, PLAN_ERR_BAD_REQUEST, SLICE("the path is malformed"), NULL, 0);
    } else {
        if (!x->planned)
            x->routing = route_request(s, x->conn->point->route, &x->request, &x->arena);
        if (!x->routing.path.p)
            conn_exchange_over(x->conn, true); /* no memory left for this request */
        else if (x->routing.route)
            run_plan(x);
        else
            run_without_route(x);
    }
}

bool exchange_takes_body(struct exchange *x)
{
    const struct listen_point *point = x->conn->point;
    if (point->admin || is_loop(&x->request) || !http_path_is_clean(x->request.path))
        return false;
    x->routing = route_request(x->conn->worker->service, point->route, &x->request, &x->arena);
    if (!x->routing.path.p || !x->routing.route || !make_plan(x))
        return false;
    return x->plan.kind == PLAN_RELAYED && x->plan.takes_body;
}

bool exchange_abandon(struct exchange *x)
{
    if (x->looked_up)
        lookup_end(&x->lookup);
    x->looked_up = false;
    upload_end(x);
    return x->part_count == 0;
}
