/* The request to an upstream and what its answer leads to. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/instance.h"
#include "base/log.h"
#include "fetch.h"
#include <inttypes.h>

enum { LINES_MAX = 12 };

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
    x->result = x->blocked ? ERR_UPSTREAM : result;
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

void fetch_exchange_log(struct fetch *f)
{
    const struct fetch_exchange *x = &f->exchange;
    if (!log_enabled(LOG_LEVEL_INFO))
        return;
    struct arena a;
    char room[1024];
    arena_init(&a, room, sizeof room, HTTP_URL_MAX);
    bool head = f->ask.method == HTTP_HEAD && !x->for_token;
    const struct log_field fields[] = {
        LF_SLICE("id", f->ask.id),
        LF_STR("purpose", x->for_token ? "token" : "fetch"),
        LF_STR("method", head ? "HEAD" : "GET"),
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

bool fetch_address_allowed(const struct fetch *f, const char *address)
{
    enum address_reach reach = address_reach(address);
    int upstream = atomic_load(&f->try.upstream->reach);
    return f->exchange.proxied || (reach != REACH_FORBIDDEN && (int)reach <= upstream);
}

/* --- the request --- */

struct lines {
    struct arena *arena;
    struct slice v[LINES_MAX];
    size_t n;
    bool failed;
};

static void add_line(struct lines *l, const char *name, struct slice value)
{
    struct slice line = {NULL, 0};
    if (l->n < LINES_MAX && http_is_field_value(value))
        line = arena_printf(l->arena, "%s: %.*s", name, SLICE_ARG(value));
    l->failed = l->failed || !line.p;
    if (line.p)
        l->v[l->n++] = line;
}

static void add_line_if(struct lines *l, const char *name, struct slice value)
{
    if (value.n)
        add_line(l, name, value);
}

static void add_lines(struct fetch *f, struct lines *l)
{
    const struct fetch_request *ask = &f->ask;
    add_line(l, "User-Agent", SLICE("yantian/" YT_VERSION));
    add_line(l, "Via", instance_via());
    add_line(l, "Accept-Encoding", SLICE("identity"));
    add_line(l, "Accept", ask->accept); /* libcurl would add one; an empty line stops it */
    if (!f->try.away)
        add_line_if(l, "Authorization", fetch_credentials(f));
    add_line_if(l, "If-None-Match", ask->etag);
    add_line_if(l, "If-Modified-Since", ask->last_modified);
    if (ask->offset > 0) {
        add_line(l, "Range", arena_printf(l->arena, "bytes=%" PRIu64 "-", ask->offset));
        add_line_if(l, "If-Range", ask->if_range);
    }
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
        f->exchange.blocked = "redirected to an address that it may not lead to";
    return f->exchange.blocked == NULL;
}

static bool is_refusal(int status)
{
    return status == 401 || status == 403;
}

/* The last answer of all is given with its body, unless an earlier one goes before it. */
static bool is_last_word(const struct fetch *f)
{
    return f->tried == f->ask.set->n && !f->failed && !is_refusal(f->negative_status);
}

static enum verdict judge(const struct fetch *f, const struct answer_head *head)
{
    struct verdict_input in = {
        .status = head->status,
        .has_location = http_fields_get(&head->fields, HF_LOCATION) != NULL,
        .own_origin = !f->try.away,
        .conditional = f->ask.etag.n || f->ask.last_modified.n,
    };
    enum verdict v = verdict_of(&in);
    return v == VERDICT_NEGATIVE && is_last_word(f) ? VERDICT_FINAL : v;
}

/* What comes of an unwanted body: read if that keeps the connection, else cut off. */
static enum fetch_flow discard(struct fetch *f, const struct answer_head *head)
{
    bool none = f->ask.method == HTTP_HEAD;
    bool small = head->framed && (!head->has_length || head->length <= DISCARD_MAX);
    return none || small ? FETCH_CONTINUE : FETCH_ABORT;
}

static enum fetch_flow deliver(struct fetch *f, struct answer_head *head)
{
    struct fetch_head shown = {
        .status = head->status,
        .fields = head->fields,
        .has_length = head->has_length,
        .length = head->length,
        .framed = head->framed,
    };
    fetch_tell_success(f);
    f->delivering = true;
    enum fetch_flow flow = f->ops->on_head(f->arg, &shown);
    if (f->cancelled)
        return FETCH_ABORT;
    f->held = flow == FETCH_PAUSE;
    f->aborted = flow == FETCH_ABORT;
    f->last_byte_ms = clock_mono_ms();
    if (f->held)
        timer_clear(&f->deadline);
    else
        timer_set(&f->deadline, f->uplink->stall_timeout_ms);
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

/* While the consumer pauses no deadline runs: it is not the upstream that is slow. */
static enum fetch_flow hold_back(struct fetch *f)
{
    f->paused = true;
    timer_clear(&f->deadline);
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

static const struct transfer_ops request_ops = {
    .on_connected = on_connected,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = fetch_exchange_done,
};

enum step_result fetch_step_request(struct fetch *f)
{
    struct lines l = {.arena = &f->try_arena};
    add_lines(f, &l);
    if (l.failed)
        return fetch_give_up(f, ERR_LIMIT, "a field of the request is not fit to be sent");
    struct transfer_request r = {
        .head = f->ask.method == HTTP_HEAD,
        .lines = l.v,
        .line_count = l.n,
    };
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

enum step_result fetch_step_answered(struct fetch *f)
{
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
