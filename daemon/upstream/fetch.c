/* The dispatcher of a fetch, its outer steps, and the calls that others make. */
#include "fetch.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "http/date.h"
#include <stdlib.h>

enum { FETCH_ARENA_MAX = 128 * 1024, TRY_ARENA_MAX = 256 * 1024 };

/* --- health --- */

static void log_change(const struct upstream *u, enum health_change change, const char *why)
{
    if (change == HEALTH_WENT_DOWN)
        log_warn("upstream_down", LF_STR("url", u->url), LF_STR("error", why));
    if (change == HEALTH_CAME_BACK)
        log_info("upstream_up", LF_STR("url", u->url));
}

void fetch_tell_success(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    if (t->settled)
        return;
    t->settled = true;
    log_change(t->upstream, health_success(&t->upstream->health, t->probe), "");
}

static int64_t retry_after_ms(const struct answer_head *head)
{
    int64_t s;
    struct slice text = http_fields_value(&head->fields, HF_RETRY_AFTER);
    if (!text.p || !http_retry_after_parse(text, clock_wall_ms() / 1000, &s))
        return -1;
    return s > HEALTH_RETRY_AFTER_MAX_MS / 1000 ? HEALTH_RETRY_AFTER_MAX_MS : s * 1000;
}

void fetch_tell_failure(struct fetch *f, const struct answer_head *head)
{
    struct fetch_try *t = &f->try;
    if (t->settled)
        return;
    struct health *h = &t->upstream->health;
    int64_t now = clock_mono_ms();
    t->settled = true;
    enum health_change change = head && head->status == 429
                                    ? health_limited(h, now, t->probe, retry_after_ms(head))
                                    : health_failure(h, now, t->probe);
    log_change(t->upstream, change, f->info.msg);
}

void fetch_tell_nothing(struct fetch *f)
{
    if (f->try.upstream && !f->try.settled)
        health_unknown(&f->try.upstream->health, f->try.probe);
    f->try.settled = true;
}

/* --- outcomes of one upstream --- */

enum step_result fetch_try_failed(struct fetch *f)
{
    struct fetch_exchange *x = &f->exchange;
    struct slice host = f->try.host;
    enum err code = x->blocked && f->foreign ? ERR_FOREIGN : ERR_UPSTREAM;
    f->failed = true;
    if (x->result == ERR_OK || x->result == ERR_CLOSED)
        err_set(&f->info, code, "%.*s answered %d", SLICE_ARG(host), x->status);
    else
        err_set(&f->info, code, "%.*s: %s", SLICE_ARG(host), x->info.msg);
    counter_inc(COUNTER_UPSTREAM_FAILURES);
    if (x->blocked)
        fetch_tell_success(f); /* what it says is not to be followed, but it is up */
    else
        fetch_tell_failure(f, x->head);
    if (x->head && x->head->complete && (x->status == 429 || x->status >= 500)) {
        answer_head_free(&f->failure);
        f->failure = x->head;
        f->failure_url = arena_copy(&f->arena, f->try.url);
        x->head = NULL;
    }
    f->next = FETCH_STEP_PICK;
    return STEP_NEXT;
}

void fetch_failed_answer(struct fetch *f, const struct answer_head *head)
{
    err_set(&f->info, ERR_UPSTREAM, "%.*s answered %d", SLICE_ARG(f->try.host), head->status);
    counter_inc(COUNTER_UPSTREAM_FAILURES);
    fetch_tell_failure(f, head);
}

enum step_result fetch_try_negative(struct fetch *f, int status, struct answer_head *head)
{
    bool kept_refusal = f->negative_status == 401 || f->negative_status == 403;
    fetch_tell_success(f);
    if (kept_refusal) {
        answer_head_free(&head);
    } else {
        answer_head_free(&f->negative);
        f->negative = head;
        f->negative_url = arena_copy(&f->arena, f->try.url);
        f->negative_status = status;
    }
    f->next = FETCH_STEP_PICK;
    return STEP_NEXT;
}

enum step_result fetch_give_up(struct fetch *f, enum err code, const char *why)
{
    f->result = err_set(&f->info, code, "%s", why);
    f->next = FETCH_STEP_FINISH;
    return STEP_NEXT;
}

/* --- outer steps --- */

/* There is one such place; when it comes back here, that was it. */
static enum step_result pick_foreign(struct fetch *f)
{
    f->next = f->tried ? FETCH_STEP_CONCLUDE : FETCH_STEP_REQUEST;
    if (!f->tried && !fetch_place_begin_foreign(f))
        return fetch_give_up(f, ERR_LIMIT, "the URL is too long");
    f->tried = f->ask.set->n;
    return STEP_NEXT;
}

enum step_result fetch_step_pick(struct fetch *f)
{
    const struct upstream_set *set = f->ask.set;
    fetch_tell_nothing(f);
    if (f->foreign)
        return pick_foreign(f);
    while (f->tried < set->n) {
        struct upstream *u = &set->v[f->tried++];
        if (f->origin && u != f->origin)
            continue;
        enum health_pass pass =
            health_try(&u->health, clock_mono_ms(), 2 * f->uplink->response_timeout_ms);
        if (pass == HEALTH_DOWN) {
            f->failed = true;
            err_set(&f->info, ERR_UPSTREAM, "%.*s is known to be down", SLICE_ARG(u->base.host));
            continue;
        }
        if (f->once || f->origin)
            f->tried = set->n;
        if (!fetch_place_begin(f, u, pass == HEALTH_PROBE))
            return fetch_give_up(f, ERR_PROTO, "not a path that can be asked for");
        f->next = FETCH_STEP_AUTHORIZE;
        return STEP_NEXT;
    }
    f->next = FETCH_STEP_CONCLUDE;
    return STEP_NEXT;
}

/* No upstream is left. Something that failed must never look like a 404. */
enum step_result fetch_step_conclude(struct fetch *f)
{
    const struct answer_head *head = f->failed ? f->failure : f->negative;
    struct fetch_head shown = {.has_length = true, .framed = true};
    f->result = f->failed ? f->info.code : ERR_OK;
    if (head) {
        shown.fields = head->fields;
        shown.url = f->failed ? f->failure_url : f->negative_url;
    }
    shown.status = f->failed ? (head ? head->status : 0) : f->negative_status;
    shown.refused = shown.status == 401 || shown.status == 403;
    if (shown.status && f->ops->on_head(f->arg, &shown) == FETCH_ABORT)
        f->result = err_set(&f->info, ERR_CLOSED, "ended");
    f->next = FETCH_STEP_FINISH;
    return STEP_NEXT;
}

enum step_result fetch_step_finish(struct fetch *f)
{
    f->ops->on_done(f->arg, f->result, f->result ? &f->info : NULL);
    return STEP_DONE;
}

/* --- the dispatcher --- */

struct step_row {
    const char *name;
    enum step_result (*run)(struct fetch *f);
};

static const struct step_row steps[] = {
#define X(id, name) [FETCH_STEP_##id] = {#name, fetch_step_##name},
    FETCH_STEP_ROWS(X)
#undef X
};

/* Lets go of everything that others hold of the fetch, except mail that is on its way. */
static void close_fetch(struct fetch *f)
{
    f->closed = true;
    if (f->exchange.transfer)
        fetch_exchange_end(f, ERR_CLOSED, "cancelled");
    if (f->try.leading)
        tokens_fail(f->uplink->tokens, &f->try.key, TOKEN_DROPPED);
    f->try.leading = false;
    if (f->waiting && tokens_leave(f->uplink->tokens, &f->try.key, &f->waiter))
        f->waiting = false;
    fetch_tell_nothing(f);
    timer_clear(&f->deadline);
    if (f->ask.body)
        pipe_reader_leave(&f->ask.body);
}

static void free_fetch(struct fetch *f)
{
    if (f->prev)
        f->prev->next_fetch = f->next_fetch;
    else
        f->uplink->fetches = f->next_fetch;
    if (f->next_fetch)
        f->next_fetch->prev = f->prev;
    f->uplink->fetch_count--;
    answer_head_free(&f->exchange.head);
    answer_head_free(&f->failure);
    answer_head_free(&f->negative);
    buf_free(&f->token_answer);
    arena_reset(&f->try_arena);
    arena_reset(&f->arena);
    free(f);
}

static void end_fetch(struct fetch *f)
{
    if (!f->closed)
        close_fetch(f);
    if (!f->mailed && !f->waiting)
        free_fetch(f);
}

void fetch_run(struct fetch *f)
{
    enum step_result r = STEP_NEXT;
    while (r == STEP_NEXT && !f->cancelled) {
        log_debug("fetch_step", LF_SLICE("id", f->ask.id), LF_STR("from", steps[f->step].name),
                  LF_STR("to", steps[f->next].name));
        f->step = f->next;
        r = steps[f->step].run(f);
    }
    if (r == STEP_DONE || f->cancelled)
        end_fetch(f);
}

/* --- what wakes it --- */

void fetch_set_deadline(struct fetch *f)
{
    f->last_byte_ms = clock_mono_ms();
    if (f->held || f->paused || f->starved)
        timer_clear(&f->deadline);
    else
        timer_set(&f->deadline,
                  f->delivering ? f->uplink->stall_timeout_ms : f->uplink->response_timeout_ms);
}

/* An upstream that has said all, and does not take the rest of the request, has not stalled. */
static void end_late(struct fetch *f)
{
    if (transfer_is_answered(f->exchange.transfer))
        fetch_exchange_end(f, ERR_OK, "");
    else
        fetch_exchange_end(f, ERR_UPSTREAM,
                           f->delivering ? "the body has stalled" : "no answer in time");
}

static void on_deadline(struct timer *timer)
{
    struct fetch *f = container_of(timer, struct fetch, deadline);
    int64_t left = f->uplink->stall_timeout_ms - (clock_mono_ms() - f->last_byte_ms);
    if (f->delivering && left > 0) {
        timer_set(timer, left);
        return;
    }
    if (f->waiting && !tokens_leave(f->uplink->tokens, &f->try.key, &f->waiter))
        return; /* its mail comes in this turn or the next */
    if (f->waiting)
        f->waiter.outcome = TOKEN_FAILED;
    f->waiting = false;
    if (f->verdict == VERDICT_REDIRECT || f->verdict == VERDICT_CHALLENGE)
        f->verdict = VERDICT_FAILURE; /* no time is left to follow it */
    if (f->exchange.transfer)
        end_late(f);
    fetch_run(f);
}

static void on_token(struct token_waiter *w)
{
    struct fetch *f = container_of(w, struct fetch, waiter);
    f->waiting = false;
    if (f->closed)
        end_fetch(f);
    else
        fetch_run(f);
}

static void resume(struct fetch *f)
{
    f->resumed = false;
    f->held = false;
    if (!f->delivering || f->aborted)
        return;
    bool paused = f->paused;
    f->paused = false;
    fetch_set_deadline(f);
    if (paused && f->exchange.transfer)
        transfer_resume(f->exchange.transfer); /* the fetch may be gone after it */
}

static void on_mail(struct mail *m)
{
    struct fetch *f = container_of(m, struct fetch, mail);
    f->mailed = false;
    if (f->closed || f->cancelled) {
        end_fetch(f);
    } else if (!f->started) {
        f->started = true;
        fetch_run(f);
    } else if (f->resumed) {
        resume(f);
    }
}

static void post(struct fetch *f)
{
    if (f->mailed)
        return;
    f->mailed = true;
    reactor_post(f->uplink->reactor, &f->mail);
}

/* --- what others call --- */

static bool copy_lines(struct fetch *f)
{
    size_t n = f->ask.line_count;
    struct slice *lines = arena_alloc(&f->arena, (n + 1) * sizeof *lines);
    for (size_t i = 0; lines && i < n; i++) {
        lines[i] = arena_copy(&f->arena, f->ask.lines[i]);
        if (!lines[i].p)
            return false;
    }
    f->ask.lines = lines;
    return lines != NULL;
}

static bool copy_request(struct fetch *f, const struct fetch_request *r)
{
    struct slice *const from[] = {&f->ask.method_text,  &f->ask.path,          &f->ask.url,
                                  &f->ask.scope,        &f->ask.accept,        &f->ask.etag,
                                  &f->ask.id,           &f->ask.last_modified, &f->ask.if_range,
                                  &f->ask.authorization};
    f->ask = *r;
    f->once = r->method != HTTP_GET && r->method != HTTP_HEAD;
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        *from[i] = arena_copy(&f->arena, *from[i]);
        if (!from[i]->p)
            return false;
    }
    return copy_lines(f);
}

struct fetch *fetch_start(struct uplink *uplink, const struct fetch_request *request,
                          const struct fetch_ops *ops, void *arg)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->uplink = uplink;
    f->ops = ops;
    f->arg = arg;
    f->mail.run = on_mail;
    f->waiter.on_outcome = on_token;
    timer_init(&f->deadline, uplink->reactor, on_deadline);
    arena_init(&f->arena, NULL, 0, FETCH_ARENA_MAX);
    arena_init(&f->try_arena, NULL, 0, TRY_ARENA_MAX);
    buf_init(&f->token_answer, TOKEN_ANSWER_MAX);
    f->next_fetch = uplink->fetches;
    if (uplink->fetches)
        uplink->fetches->prev = f;
    uplink->fetches = f;
    f->next = FETCH_STEP_PICK;
    uplink->fetch_count++;
    if (!copy_request(f, request))
        fetch_give_up(f, ERR_LIMIT, "the request is too long");
    else if (uplink->fetch_count > UPLINK_FETCHES_MAX)
        fetch_give_up(f, ERR_LIMIT, "too many fetches at once");
    else if (!fetch_place_find(f))
        fetch_give_up(f, ERR_FOREIGN, "not an http or https URL");
    post(f);
    return f;
}

void fetch_resume(struct fetch *f)
{
    f->resumed = true;
    post(f);
}

void fetch_cancel(struct fetch *f)
{
    f->cancelled = true;
    post(f);
}

/* --- the uplink --- */

enum err uplink_new(struct reactor *reactor, struct tokens *tokens,
                    const struct uplink_options *options, struct uplink **out, struct errinfo *info)
{
    struct uplink *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    enum err rc = transfers_new(reactor, options, &u->transfers, info);
    if (rc) {
        free(u);
        return rc;
    }
    u->reactor = reactor;
    u->tokens = tokens;
    egress_init(&u->egress, options->proxy);
    u->response_timeout_ms = options->response_timeout_ms;
    u->stall_timeout_ms = options->stall_timeout_ms;
    *out = u;
    return ERR_OK;
}

void uplink_free(struct uplink **up)
{
    struct uplink *u = *up;
    if (!u)
        return;
    for (struct fetch *f = u->fetches, *next; f; f = next) {
        next = f->next_fetch;
        close_fetch(f);
        free_fetch(f);
    }
    transfers_free(&u->transfers);
    egress_close(&u->egress);
    free(u);
    *up = NULL;
}
