/* The request to an upstream and what its answer leads to. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/instance.h"
#include "base/log.h"
#include "fetch.h"
#include <inttypes.h>

enum { OWN_LINES_MAX = 12 }; /* besides those of the request */

/* --- any transfer --- */

enum step_result fetch_exchange_begin(struct fetch *f, struct slice url,
                                      const struct transfer_request *request,
                                      const struct transfer_ops *ops)
{
    struct fetch_exchange *x = &f->exchange;
    struct http_url parts;
    answer_head_free(&x->head);
    *x = (struct fetch_exchange){.url = url, .began_ms = clock_mono_ms()};
    struct transfer_request r = *request;
    r.url = url.p;
    r.proxy = http_url_parse(url, &parts) ? egress_proxy(&f->uplink->egress, &parts) : NULL;
    x->proxied = r.proxy != NULL;
    counter_inc(COUNTER_UPSTREAM_REQUESTS);
    if (transfer_start(f->uplink->transfers, &r, ops, f, &x->transfer) != ERR_OK)
        return fetch_give_up(f, ERR_NOMEM, "no memory for a request");
    return STEP_WAIT;
}

/* `f->exchange.transfer` is over or about to end: keeps what it has brought. */
static void keep_result(struct fetch *f, enum err result, const char *why)
{
    struct fetch_exchange *x = &f->exchange;
    x->head = transfer_take_head(x->transfer);
    x->result = x->blocked ? ERR_FOREIGN : result;
    if (x->result != ERR_OK)
        err_set(&x->info, x->result, "%s", x->blocked ? x->blocked : why);
    fetch_exchange_log(f);
}

void fetch_exchange_done(void *arg, enum err result, const struct errinfo *info)
{
    struct fetch *f = arg;
    keep_result(f, result, info ? info->msg : "");
    f->exchange.transfer = NULL;
    fetch_run(f);
}

void fetch_exchange_end(struct fetch *f, enum err result, const char *why)
{
    keep_result(f, result, why);
    transfer_end(&f->exchange.transfer);
}

static struct slice method_text(const struct fetch *f)
{
    switch (f->ask.method) {
    case HTTP_GET:
        return SLICE("GET");
    case HTTP_HEAD:
        return SLICE("HEAD");
    case HTTP_POST:
        return SLICE("POST");
    case HTTP_PUT:
        return SLICE("PUT");
    case HTTP_PATCH:
        return SLICE("PATCH");
    case HTTP_DELETE:
        return SLICE("DELETE");
    case HTTP_OPTIONS:
        return SLICE("OPTIONS");
    case HTTP_METHOD_OTHER:
        break;
    }
    return f->ask.method_text;
}

void fetch_exchange_log(struct fetch *f)
{
    const struct fetch_exchange *x = &f->exchange;
    if (!log_enabled(LOG_LEVEL_INFO))
        return;
    struct arena a;
    char room[1024];
    arena_init(&a, room, sizeof room, HTTP_URL_MAX);
    const struct log_field fields[] = {
        LF_SLICE("id", f->ask.id),
        LF_STR("purpose", x->for_token ? "token" : "fetch"),
        LF_SLICE("method", x->for_token ? SLICE("GET") : method_text(f)),
        LF_SLICE("url", http_url_for_log(&a, x->url)),
        LF_INT("status", x->status),
        LF_INT("bytes", x->received),
        LF_INT("ms", clock_mono_ms() - x->began_ms),
        LF_STR("error", x->info.msg),
    };
    size_t n = sizeof fields / sizeof fields[0];
    log_event(LOG_LEVEL_INFO, "upstream", fields, x->result == ERR_OK ? n - 1 : n);
    arena_reset(&a);
}

bool fetch_exchange_discard(struct fetch *f, uint64_t n)
{
    f->exchange.discarded += n;
    return f->exchange.discarded <= DISCARD_MAX;
}

/* --- the request --- */

struct lines {
    struct arena *arena;
    struct slice *v;
    size_t n, max;
    bool failed;
};

static void add_field(struct lines *l, struct slice name, struct slice value)
{
    struct slice line = {NULL, 0};
    if (l->n < l->max && http_is_token(name) && http_is_field_value(value))
        line = arena_printf(l->arena, "%.*s: %.*s", SLICE_ARG(name), SLICE_ARG(value));
    l->failed = l->failed || !line.p;
    if (line.p)
        l->v[l->n++] = line;
}

static void add_line(struct lines *l, const char *name, struct slice value)
{
    add_field(l, slice_str(name), value);
}

static void add_line_if(struct lines *l, const char *name, struct slice value)
{
    if (value.n)
        add_line(l, name, value);
}

/* What the request has besides; nothing that would split it gets through. */
static void add_given_lines(const struct fetch_request *ask, struct lines *l)
{
    for (size_t i = 0; i < ask->line_count; i++) {
        size_t colon = slice_find(ask->lines[i], ':');
        add_field(l, slice_to(ask->lines[i], colon),
                  slice_trim(slice_from(ask->lines[i], colon + 1)));
    }
}

/* These methods have a body by their nature: its absence is told (RFC 9110 section 8.6). */
static bool wants_body(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static void add_lines(struct fetch *f, struct lines *l)
{
    const struct fetch_request *ask = &f->ask;
    l->arena = &f->try_arena;
    l->max = OWN_LINES_MAX + ask->line_count;
    l->v = arena_alloc(l->arena, l->max * sizeof *l->v);
    l->failed = !l->v;
    if (l->failed)
        return;
    add_line(l, "User-Agent", SLICE("yantian/" YT_VERSION));
    add_line(l, "Via", instance_via());
    add_line(l, "Accept-Encoding", ask->takes_gzip ? SLICE("gzip") : SLICE("identity"));
    add_line(l, "Accept", ask->accept); /* libcurl would add one; an empty line stops it */
    if (!f->try.away)
        add_line_if(l, "Authorization", fetch_credentials(f));
    add_line_if(l, "If-None-Match", ask->etag);
    add_line_if(l, "If-Modified-Since", ask->last_modified);
    if (ask->offset > 0) {
        add_line(l, "Range", arena_printf(l->arena, "bytes=%" PRIu64 "-", ask->offset));
        add_line_if(l, "If-Range", ask->if_range);
    }
    if (wants_body(ask->method) && !ask->body)
        add_line(l, "Content-Length", SLICE("0"));
    add_given_lines(ask, l);
}

static bool on_connected(void *arg, const char *address)
{
    struct fetch *f = arg;
    if (f->cancelled)
        return false;
    if (!f->try.away) {
        if (!f->exchange.proxied)
            atomic_store(&f->try.upstream->reach, (int)address_reach(address));
        return true;
    }
    if (!fetch_address_allowed(f, address))
        f->exchange.blocked = fetch_blocked_text(f);
    return f->exchange.blocked == NULL;
}

static bool is_refusal(int status)
{
    return status == 401 || status == 403;
}

/* Not the upstream's health: 501 is a matter of the method. */
static bool is_failure(int status)
{
    return status == 429 || (status >= 500 && status != 501);
}

/* The last answer of all is given with its body, unless an earlier one goes before it. */
static bool is_last_word(const struct fetch *f)
{
    return f->tried == f->ask.set->n && !f->failed && !is_refusal(f->negative_status);
}

/* Is there nobody left who could be asked instead? */
static bool is_last_hope(const struct fetch *f)
{
    const struct upstream_set *set = f->ask.set;
    for (size_t i = f->tried; i < set->n; i++)
        if (health_wait(&set->v[i].health, clock_mono_ms()) == 0)
            return false;
    return true;
}

static enum verdict judge(const struct fetch *f, const struct answer_head *head)
{
    struct verdict_input in = {
        .status = head->status,
        .has_location = http_fields_get(&head->fields, HF_LOCATION) != NULL,
        .own_origin = !f->try.away,
        .conditional = f->ask.etag.n || f->ask.last_modified.n,
    };
    enum verdict v = f->once ? VERDICT_FINAL : verdict_of(&in);
    if (v == VERDICT_CHALLENGE && f->ask.authorization.n)
        v = VERDICT_NEGATIVE; /* no others may be tried for this client */
    if (f->foreign && is_refusal(head->status))
        v = VERDICT_NEGATIVE; /* it has no credentials to try, but it is no outage */
    bool is_plain_403 = head->status == 403 && !http_fields_get(&head->fields, HF_WWW_AUTHENTICATE);
    if (v == VERDICT_CHALLENGE && f->ask.any_status && is_plain_403)
        v = VERDICT_NEGATIVE;
    if (v == VERDICT_NEGATIVE && is_last_word(f))
        v = VERDICT_FINAL;
    if (v == VERDICT_FAILURE && f->ask.any_status && head->status >= 300 && is_last_hope(f))
        v = VERDICT_FINAL;
    return v;
}

/* What comes of an unwanted body: read if that keeps the connection, else cut off. */
static enum fetch_flow discard(struct fetch *f, const struct answer_head *head)
{
    bool none = f->ask.method == HTTP_HEAD;
    bool small = head->framed && (!head->has_length || head->length <= DISCARD_MAX);
    bool sending = f->once && f->ask.body; /* it would go on */
    return (none || small) && !sending ? FETCH_CONTINUE : FETCH_ABORT;
}

static enum fetch_flow deliver(struct fetch *f, struct answer_head *head)
{
    struct fetch_head shown = {
        .status = head->status,
        .fields = head->fields,
        .has_length = head->has_length,
        .length = head->length,
        .framed = head->framed,
        .refused = is_refusal(head->status),
        .url = f->try.url,
    };
    if (is_failure(head->status))
        fetch_failed_answer(f, head);
    else
        fetch_tell_success(f);
    f->delivering = true;
    enum fetch_flow flow = f->ops->on_head(f->arg, &shown);
    if (f->cancelled)
        return FETCH_ABORT;
    f->held = flow == FETCH_PAUSE;
    f->aborted = flow == FETCH_ABORT;
    fetch_set_deadline(f);
    return f->aborted ? discard(f, head) : FETCH_CONTINUE;
}

static enum fetch_flow on_head(void *arg, struct answer_head *head)
{
    struct fetch *f = arg;
    if (f->cancelled)
        return FETCH_ABORT;
    f->exchange.status = head->status;
    f->verdict = judge(f, head);
    return f->verdict == VERDICT_FINAL ? deliver(f, head) : discard(f, head);
}

static enum fetch_flow hold_back(struct fetch *f)
{
    f->paused = true;
    fetch_set_deadline(f);
    return FETCH_PAUSE;
}

static enum fetch_flow on_body(void *arg, const void *bytes, size_t n)
{
    struct fetch *f = arg;
    if (f->cancelled)
        return FETCH_ABORT;
    if (!f->delivering || f->aborted)
        return fetch_exchange_discard(f, n) ? FETCH_CONTINUE : FETCH_ABORT;
    if (f->held)
        return hold_back(f);
    enum fetch_flow flow = f->ops->on_body(f->arg, bytes, n);
    if (f->cancelled)
        return FETCH_ABORT;
    if (flow == FETCH_PAUSE)
        return hold_back(f);
    f->aborted = flow == FETCH_ABORT;
    f->last_byte_ms = clock_mono_ms();
    f->exchange.received += n;
    counter_add(COUNTER_UPSTREAM_BYTES, n);
    return flow;
}

/* An upstream that takes the request's body is not silent. */
static void on_upload(void *arg, bool starved)
{
    struct fetch *f = arg;
    f->starved = starved;
    fetch_set_deadline(f);
}

static const struct transfer_ops request_ops = {
    .on_connected = on_connected,
    .on_upload = on_upload,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = fetch_exchange_done,
};

/* An address that is written in the URL need not be connected to. */
static enum step_result blocked(struct fetch *f)
{
    struct fetch_exchange *x = &f->exchange;
    x->blocked = fetch_blocked_text(f);
    x->result = err_set(&x->info, ERR_FOREIGN, "%s", x->blocked);
    return fetch_try_failed(f);
}

enum step_result fetch_step_request(struct fetch *f)
{
    struct lines l = {.n = 0};
    struct slice method = method_text(f);
    if (!fetch_host_allowed(f))
        return blocked(f);
    add_lines(f, &l);
    if (l.failed || !http_is_token(method))
        return fetch_give_up(f, ERR_LIMIT, "a field of the request is not fit to be sent");
    struct transfer_request r = {
        .head = f->ask.method == HTTP_HEAD,
        .method = f->once ? arena_strdup(&f->try_arena, method) : NULL,
        .lines = l.v,
        .line_count = l.n,
        .body = f->once ? f->ask.body : NULL,
        .has_body_length = f->ask.has_body_length,
        .body_length = f->ask.body_length,
    };
    if (f->once && !r.method)
        return fetch_give_up(f, ERR_LIMIT, "no room for the method");
    f->verdict = VERDICT_NONE;
    f->next = FETCH_STEP_ANSWERED;
    return fetch_exchange_begin(f, f->try.url, &r, &request_ops);
}

/* --- the answer --- */

/* Where a redirect leads, or why it is not followed. */
static const char *follow(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    struct http_url to;
    struct slice location = http_fields_value(&f->exchange.head->fields, HF_LOCATION);
    if (t->redirects++ >= REDIRECTS_MAX)
        return "too many redirects";
    struct slice url = http_url_resolve(&f->try_arena, &t->at, location);
    if (!url.p || !http_url_parse(url, &to))
        return "redirected to something that is no http or https URL";
    if (t->at.https && !to.https)
        return "redirected from https to http";
    char *text = arena_strdup(&f->try_arena, url);
    if (!text || !http_url_parse(slice_of(text, url.n), &t->at))
        return "redirected to a URL that is too long";
    t->url = slice_of(text, url.n);
    t->host = t->upstream ? t->host : t->at.host;
    t->away = t->away || !http_url_same_origin(&t->at, &t->upstream->base);
    return NULL;
}

static enum step_result redirected(struct fetch *f)
{
    const char *why = follow(f);
    if (why) {
        fetch_tell_success(f); /* what it says is wrong, but it is up */
        f->exchange.result = err_set(&f->exchange.info, ERR_UPSTREAM, "%s", why);
        return fetch_try_failed(f);
    }
    f->next = FETCH_STEP_REQUEST;
    return STEP_NEXT;
}

static enum step_result delivered(struct fetch *f)
{
    f->result = f->aborted ? ERR_CLOSED : f->exchange.result;
    f->info = f->exchange.info;
    f->next = FETCH_STEP_FINISH;
    return STEP_NEXT;
}

static struct answer_head *take_head(struct fetch *f)
{
    struct answer_head *head = f->exchange.head;
    f->exchange.head = NULL;
    return head;
}

/* The client has left in the middle of what it sent: no word on the upstream. */
static bool body_broke_off(const struct fetch *f)
{
    return f->exchange.result == ERR_CLOSED && f->ask.body &&
           pipe_state(f->ask.body) == PIPE_BROKEN;
}

enum step_result fetch_step_answered(struct fetch *f)
{
    if (body_broke_off(f))
        return fetch_give_up(f, ERR_CLOSED, "the body of the request broke off");
    switch (f->verdict) {
    case VERDICT_FINAL:
        return delivered(f);
    case VERDICT_NEGATIVE:
        return fetch_try_negative(f, f->exchange.status, take_head(f));
    case VERDICT_REDIRECT:
        return redirected(f);
    case VERDICT_CHALLENGE:
        return fetch_meet_challenge(f);
    case VERDICT_NONE:
    case VERDICT_FAILURE:
        break;
    }
    return fetch_try_failed(f);
}
