/*
 * One client's way to a body: look up; when stale, refresh for as long as patience lasts; when
 * absent, join the fill or start it. While l->state is LOOKUP_WAITING it follows a fill and has a
 * timer set; whichever comes first decides.
 */
#include "lookup.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "cold_read.h"
#include "freshness.h"
#include "obey.h"

static void count(const struct lookup *l, enum counter_id c)
{
    if (!l->internal)
        counter_inc(c);
}

/* --- results --- */

enum lookup_state lookup_give_error(struct lookup *l, enum plan_error error, const char *detail,
                                    const struct fill_view *view)
{
    l->state = LOOKUP_ERROR;
    l->error = error;
    l->error_detail = slice_str(detail);
    l->error_status = (struct cache_status){
        .fwd = "uri-miss",
        .fwd_status = view ? view->upstream_status : 0,
        .collapsed = l->joined,
    };
    l->retry_after_s = 0;
    if (error == PLAN_ERR_UPSTREAM || error == PLAN_ERR_BUSY) {
        int64_t wish = view ? view->retry_after_s : 0;
        int64_t down = upstream_set_retry_after(l->route->upstreams);
        l->retry_after_s = wish > down ? wish : down;
    }
    return l->state;
}

/* The digest, and in quotes the ETag, which is the upstream's where no digest is shown. */
static void show_digest(struct lookup *l, const struct digest *d, struct slice upstream_etag)
{
    struct answer *a = &l->answer;
    a->etag = upstream_etag;
    if (!l->plan->digest_field.n || d->algo == DIGEST_NONE)
        return;
    char *quoted = arena_alloc(l->arena, DIGEST_TEXT_MAX + 1);
    a->etag = slice_of(NULL, 0);
    if (!quoted)
        return;
    a->shown = digest_text(d, quoted + 1);
    quoted[0] = quoted[1 + a->shown.n] = '"';
    a->etag = slice_of(quoted, a->shown.n + 2);
}

/* What is held becomes the answer. */
enum lookup_state lookup_give_held(struct lookup *l, const struct cache_status *cs)
{
    const struct store_entry *e = &l->held;
    bool is_inline = l->held_body.is_inline;
    l->answer = (struct answer){
        .status = e->status,
        .content_type = e->content_type,
        .fields = e->fields,
        .last_modified = e->last_modified,
        .has_date = l->plan->obeys_upstream,
        .has_size = true,
        .size = e->size,
        .seekable = true,
        .url = e->url,
        .gzip = e->gzip,
        .age_s = e->validated_ms < l->now_ms ? (l->now_ms - e->validated_ms) / 1000 : 0,
        .status_field = *cs,
        .body = is_inline ? BODY_MEMORY : BODY_FILE,
    };
    show_digest(l, &e->shown, e->etag);
    store_touch(l->worker->reader, &e->content, l->now_ms);
    if (!is_inline)
        engine_worker_tend_files(l->worker);
    l->state = LOOKUP_ANSWER;
    return l->state;
}

/*
 * What was brought by somebody's credentials is good for as long as they are, and no longer: not
 * even when the upstream fails.
 */
static enum freshness within_grant(const struct lookup *l, enum freshness how, int64_t *ttl_ms)
{
    int64_t age_ms = l->now_ms - l->held.validated_ms;
    int64_t left_ms = age_ms < 0 ? 0 : PLAN_GRANT_MS - age_ms;
    if (left_ms < *ttl_ms)
        *ttl_ms = left_ms;
    return how == FRESH && left_ms > 0 ? FRESH : STALE_TOO_OLD;
}

/* How old it may be for this lookup. */
static enum freshness how_fresh(const struct lookup *l, int64_t *ttl_ms)
{
    enum freshness how = freshness_of(&l->held, l->route, l->now_ms, ttl_ms);
    if (l->plan->credential.n && !l->shared)
        how = within_grant(l, how, ttl_ms);
    bool may_wait = how == FRESH || how == STALE_SERVABLE;
    if (may_wait && l->has_max_age && !l->held.immutable &&
        l->now_ms - l->held.validated_ms > l->max_age_ms)
        how = STALE_WAITING;
    return how;
}

enum lookup_state lookup_give_stale(struct lookup *l, bool failure, int upstream_status)
{
    int64_t ttl_ms;
    how_fresh(l, &ttl_ms);
    struct cache_status cs = {
        .hit = true,
        .has_ttl = true,
        .ttl = ttl_seconds(ttl_ms),
        .fwd = failure ? "stale" : NULL,
        .fwd_status = upstream_status,
    };
    follower_leave(&l->follower);
    count(l, COUNTER_STALE_HITS);
    lookup_give_held(l, &cs);
    l->answer.stale_because_of_failure = failure;
    return l->state;
}

static enum lookup_state look_again(struct lookup *l);

static enum lookup_state give_revalidated(struct lookup *l, const struct fill_view *view)
{
    struct cache_status cs = {
        .fwd = "stale", .fwd_status = view->upstream_status, .collapsed = l->joined};
    follower_leave(&l->follower);
    count(l, COUNTER_HITS);
    l->now_ms = clock_wall_ms();
    l->held.validated_ms = l->now_ms;
    if (l->plan->obeys_upstream && !obey_take_fresh(l))
        return look_again(l);
    return lookup_give_held(l, &cs);
}

/* A HEAD of what is not held: the GET that follows can have any part of it. */
static bool will_be_seekable(const struct lookup *l, const struct fill_head *h)
{
    return l->head_only && h->has_size && l->plan->kind == PLAN_CACHED &&
           l->follower->fill->purpose == FILL_ASK;
}

/* The body is that of the fill. */
static enum lookup_state give_fill(struct lookup *l, const struct fill_view *view)
{
    const struct fill *f = l->follower->fill;
    const struct fill_head *h = &f->head;
    bool verified = view->phase == FILL_VERIFIED;
    struct digest shown = h->shown;
    if (verified && shown.algo == DIGEST_NONE && f->purpose != FILL_ASK)
        shown = f->head_shown;
    const char *fwd = l->has_held ? "stale" : l->vary.n ? "vary-miss" : "uri-miss";
    bool relay = l->plan->kind == PLAN_RELAYED;
    uint64_t end = view->file_end > view->window_end ? view->file_end : view->window_end;
    struct cache_status cs = {.fwd = relay ? "bypass" : fwd,
                              .fwd_status = view->upstream_status,
                              .stored = h->storing,
                              .collapsed = l->joined};
    if (l->source)
        cs = l->source->answer.status_field; /* the making is no matter of the client's */
    else if (l->joined_whole) /* all of it was here; only the index had not heard of it yet */
        cs = (struct cache_status){.hit = true,
                                   .has_ttl = !l->plan->immutable && !l->plan->obeys_upstream,
                                   .ttl = l->route->ttl_ms / 1000};
    bool complete = verified && f->purpose != FILL_ASK;
    l->answer = (struct answer){
        .status = h->status,
        .url = h->url,
        .gzip = h->gzip,
        .content_type = h->content_type,
        .fields = h->fields,
        .last_modified = h->last_modified,
        .has_date = l->plan->obeys_upstream,
        .has_size = h->has_size || complete,
        .size = complete ? end : h->size,
        .seekable = (view->storing && (h->has_size || complete)) || will_be_seekable(l, h),
        .status_field = cs,
        .body = f->purpose == FILL_ASK ? BODY_NONE : BODY_FILL,
    };
    show_digest(l, &shown, h->etag);
    if (l->source) {
        l->answer.age_s = l->source->answer.age_s;
        l->answer.stale_because_of_failure = l->source->answer.stale_because_of_failure;
    } else if (l->plan->obeys_upstream)
        l->answer.age_s = obey_age_s(f);
    l->state = LOOKUP_ANSWER;
    return l->state;
}

/* --- waiting for a fill --- */

static void stop_timer(struct lookup *l)
{
    if (l->timer_set)
        timer_clear(&l->timer);
    l->timer_set = false;
}

static enum lookup_state look_again(struct lookup *l)
{
    follower_leave(&l->follower);
    if (l->rounds++ >= 3)
        return lookup_give_error(l, PLAN_ERR_BUSY, "the object keeps changing", NULL);
    return lookup_begin(l);
}

/* The type that the fill brings is none that this client takes: ask for the alternate. */
static enum lookup_state turn(struct lookup *l)
{
    struct plan *p = l->plan;
    p->variant = p->alternate_variant;
    p->accept = p->alternate_accept;
    p->accepts_any = true;
    return look_again(l);
}

/* The refresh has found that the entry names other bytes now, which are held as well. */
static enum lookup_state give_moved(struct lookup *l, const struct fill_view *view)
{
    struct cache_status cs = {
        .fwd = "stale", .fwd_status = view->upstream_status, .collapsed = l->joined};
    if (look_again(l) == LOOKUP_ANSWER)
        l->answer.status_field = cs;
    return l->state;
}

static enum lookup_state failed(struct lookup *l, const struct fill_view *view)
{
    if (l->has_held && l->held_usable)
        return lookup_give_stale(l, true, view->upstream_status);
    if (view->foreign)
        return lookup_give_error(l, PLAN_ERR_FOREIGN, "it is at an address that may not be asked",
                                 view);
    return lookup_give_error(l, PLAN_ERR_UPSTREAM, "the upstream cannot be reached or fails", view);
}

/*
 * Is the head enough? Not for HEAD of something to be stored (a GET by digest will follow and must
 * find it), not while a usable copy is held (a refresh that breaks off must not break a client),
 * and not of an empty body, which its head completes.
 */
static bool needs_whole(const struct lookup *l, const struct fill_view *view)
{
    const struct fill_head *h = &l->follower->fill->head;
    return (l->head_only && view->storing) || (l->has_held && l->held_usable) ||
           (h->has_size && h->size == 0);
}

/* Was it the entry that is held here that the refresh found current? */
static bool confirms_held(const struct lookup *l)
{
    const struct fill *f = l->follower->fill;
    return l->has_held && f->purpose == FILL_REFRESH &&
           digest_equal(&l->held.content, &f->held.content);
}

static enum lookup_state look_once(struct lookup *l);
static enum lookup_state start_private(struct lookup *l, enum fill_purpose purpose);

static enum lookup_state ask_alone(struct lookup *l)
{
    follower_leave(&l->follower);
    l->joined = l->joined_whole = false;
    return start_private(l, l->head_only ? FILL_ASK : FILL_RELAY);
}

/* The answer is not for this request, but says what decides: the values of some of its fields. */
static enum lookup_state look_for_variant(struct lookup *l)
{
    if (!obey_turn_by(l, l->follower->fill))
        return lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
    follower_leave(&l->follower);
    lookup_drop_held(l);
    return look_once(l);
}

/* Headed, if this client takes the type and came in time for the first byte. */
static enum lookup_state check_answering(struct lookup *l, const struct fill_view *view)
{
    if (!plan_accepts(l->plan, l->follower->fill->head.content_type))
        return turn(l);
    if (!obey_may_share(l, l->follower->fill))
        return ask_alone(l);
    if (!obey_suits(l, l->follower->fill))
        return look_for_variant(l);
    if (!view->from_start)
        return look_again(l); /* a fill that stores nothing has dropped the beginning */
    if (view->phase != FILL_VERIFIED && needs_whole(l, view))
        return LOOKUP_WAITING;
    return give_fill(l, view);
}

/* To whom the upstream refuses it. */
static enum plan_error refusal_of(const struct lookup *l)
{
    if (l->plan->credential.n)
        return PLAN_ERR_FORBIDDEN;
    return l->route->passthrough ? PLAN_ERR_CREDENTIALS : PLAN_ERR_DENIED;
}

/* It was asked for with somebody else's credentials: a refusal says nothing about this client. */
static bool is_others(const struct lookup *l)
{
    return l->shared && l->joined;
}

static enum lookup_state check_fill(struct lookup *l)
{
    struct fill_view v;
    follower_look(l->follower, &v);
    switch (v.phase) {
    case FILL_STARTING:
        return LOOKUP_WAITING;
    case FILL_ANSWERING:
    case FILL_VERIFIED:
        return check_answering(l, &v);
    case FILL_UNCHANGED:
        return confirms_held(l) ? give_revalidated(l, &v) : look_again(l);
    case FILL_MOVED:
        return give_moved(l, &v);
    case FILL_NOT_FOUND:
        return is_others(l) ? look_again(l) : lookup_give_error(l, PLAN_ERR_NOT_FOUND, "", &v);
    case FILL_DENIED:
        if (is_others(l))
            return look_again(l);
        return lookup_give_error(l, refusal_of(l), "", &v);
    case FILL_FAILED:
        break;
    }
    return failed(l, &v);
}

static void on_fill_change(void *arg)
{
    struct lookup *l = arg;
    if (l->state == LOOKUP_ANSWER) {
        l->on_body(l);
        return;
    }
    if (l->state == LOOKUP_WAITING)
        lookup_woken(l, check_fill(l));
}

void lookup_woken(struct lookup *l, enum lookup_state state)
{
    if (state == LOOKUP_WAITING)
        return;
    stop_timer(l);
    l->on_ready(l);
}

/* Patience with a refresh, or with an upstream that does not answer, is over. */
static void on_patience_over(struct timer *t)
{
    struct lookup *l = container_of(t, struct lookup, timer);
    l->timer_set = false;
    struct fill_view v = {.phase = FILL_STARTING};
    if (l->follower)
        follower_look(l->follower, &v);
    reading_close(&l->proof);
    if (l->has_held && l->held_usable)
        lookup_give_stale(l, true, v.upstream_status);
    else
        lookup_give_error(l, PLAN_ERR_UPSTREAM, "the upstream does not answer in time", &v);
    l->on_ready(l);
}

void lookup_set_patience(struct lookup *l, int64_t ms)
{
    if (l->timer_set)
        return; /* one bound for the whole wait, however often the fill is changed */
    timer_init(&l->timer, l->worker->reactor, on_patience_over);
    timer_set(&l->timer, ms);
    l->timer_set = true;
}

static enum lookup_state follow(struct lookup *l, struct fill *f)
{
    l->follower = follower_new(f, l->worker->reactor, on_fill_change, l);
    return l->follower ? LOOKUP_WAITING
                       : lookup_give_error(l, PLAN_ERR_BUSY, "out of memory", NULL);
}

/* --- starting a fill --- */

static struct fill *make_fill(struct lookup *l, enum fill_purpose purpose)
{
    struct fill_spec spec = {
        .key = &l->key, .route = l->route, .plan = l->plan, .purpose = purpose};
    if (purpose == FILL_REFRESH)
        spec.held = &l->held;
    if (l->vary.n) {
        spec.vary = l->vary;
        spec.vary_since_ms = l->vary_since_ms;
        spec.plain_key = &l->plain_key;
        spec.plain_variant = l->plain_variant;
    }
    if (purpose == FILL_CONFIRM) {
        spec.content = &l->plan->digest;
        spec.content_size = l->confirm_size;
        spec.proven = l->proven;
    }
    if (purpose == FILL_RELAY) {
        spec.body = l->body;
        spec.has_body_length = l->has_body_length;
        spec.body_length = l->body_length;
    }
    struct fill *f = fill_new(l->worker, &spec);
    if (f && purpose == FILL_RELAY)
        l->body = NULL; /* the fill has it */
    return f;
}

/* One that nobody shares: relays and HEAD questions. */
static enum lookup_state start_private(struct lookup *l, enum fill_purpose purpose)
{
    if (l->only_held)
        return lookup_give_error(l, PLAN_ERR_ONLY_CACHED, "", NULL);
    bool uploads = l->body != NULL; /* for as long as client and upstream go on */
    struct fill *f = make_fill(l, purpose);
    if (!f)
        return lookup_give_error(l, PLAN_ERR_BUSY, "too many fills are running", NULL);
    count(l, purpose == FILL_RELAY ? COUNTER_RELAYED : COUNTER_MISSES);
    if (!uploads)
        lookup_set_patience(l, l->worker->engine->wait_timeout_ms);
    enum lookup_state state = follow(l, f);
    fill_start(f);
    return state;
}

/*
 * The fill under this key: the one that runs, or a new one. Sets *started. A fill leaves the table
 * only after the index has its object, so a new one looks once more before it asks the upstream.
 */
static struct fill *join_or_make(struct lookup *l, enum fill_purpose purpose, bool *started)
{
    struct engine *e = l->worker->engine;
    *started = false;
    struct fill *running = fill_table_get(e->table, &l->key);
    if (running)
        return running;
    struct fill *f = make_fill(l, purpose);
    if (!f)
        return NULL;
    running = fill_table_add(e->table, &f->node);
    if (running) {
        fill_unref(&f);
        return running;
    }
    *started = true;
    return f;
}

static bool index_has_it_now(struct lookup *l)
{
    struct store_entry entry;
    struct store_body body;
    if (store_lookup(l->worker->reader, &l->key, l->arena, &entry, &body) != ERR_OK)
        return false;
    if (!body.is_inline)
        engine_worker_tend_files(l->worker);
    store_body_release(&body);
    return true;
}

/* The fill of somebody else may be as good as over. */
static enum lookup_state check_joined(struct lookup *l)
{
    struct fill_view v;
    follower_look(l->follower, &v);
    l->joined_whole = v.phase == FILL_VERIFIED;
    count(l, l->joined_whole ? COUNTER_HITS : COUNTER_COLLAPSED);
    return check_fill(l);
}

/* A remembered 404; false when there is none. */
static bool give_negative(struct lookup *l)
{
    int64_t left_ms = negatives_left(l->worker->engine->negatives, &l->key, clock_mono_ms());
    if (left_ms <= 0)
        return false;
    count(l, COUNTER_NEGATIVE_HITS);
    lookup_give_error(l, PLAN_ERR_NOT_FOUND, "", NULL);
    l->error_status = (struct cache_status){.hit = true, .has_ttl = true, .ttl = left_ms / 1000};
    return true;
}

static enum lookup_state follow_running(struct lookup *l, struct fill *running)
{
    l->joined = true;
    lookup_set_patience(l, l->worker->engine->wait_timeout_ms);
    enum lookup_state state = follow(l, running);
    fill_unref(&running);
    return state == LOOKUP_WAITING ? check_joined(l) : state;
}

/* A page must name it first, unless somebody is fetching it, for whom one did. */
static enum lookup_state miss_unproven(struct lookup *l)
{
    struct fill *running = fill_table_get(l->worker->engine->table, &l->key);
    return running ? follow_running(l, running) : lookup_prove(l);
}

enum lookup_state lookup_follow_or_fill(struct lookup *l, enum fill_purpose purpose)
{
    bool started;
    if (l->only_held)
        return lookup_give_error(l, PLAN_ERR_ONLY_CACHED, "", NULL);
    struct fill *f = join_or_make(l, purpose, &started);
    if (!f)
        return lookup_give_error(l, PLAN_ERR_BUSY, "too many fills are running", NULL);
    if (!started)
        return follow_running(l, f);
    if (!l->plan->source && index_has_it_now(l)) {
        fill_withdraw(f);
        return look_again(l);
    }
    lookup_set_patience(l, l->worker->engine->wait_timeout_ms);
    enum lookup_state state = follow(l, f);
    if (!l->plan->source)
        count(l, COUNTER_MISSES); /* else the source was counted */
    fill_start(f);
    return state;
}

static enum lookup_state miss(struct lookup *l)
{
    if (give_negative(l))
        return l->state;
    if (lookup_needs_proof(l))
        return miss_unproven(l);
    if (l->head_only && l->plan->head == HEAD_ASKS)
        return start_private(l, FILL_ASK);
    enum fill_purpose purpose = FILL_FETCH;
    if (l->plan->digest.algo == DIGEST_SHA256 && l->plan->content_type.n &&
        store_has_blob(l->worker->reader, &l->plan->digest, &l->confirm_size))
        purpose = FILL_CONFIRM;
    return lookup_follow_or_fill(l, purpose);
}

/* --- stale --- */

static enum lookup_state stale(struct lookup *l, enum freshness how)
{
    if (give_negative(l))
        return l->state; /* the upstream has removed it: believed, for a while */
    l->held_usable = how != STALE_TOO_OLD;
    if (l->held_usable && upstream_set_is_down(l->route->upstreams))
        return lookup_give_stale(l, true, 0);
    if (l->only_held)
        return l->held_usable ? lookup_give_stale(l, true, 0)
                              : lookup_give_error(l, PLAN_ERR_ONLY_CACHED, "", NULL);
    if (lookup_needs_proof(l))
        return lookup_prove(l);
    bool started;
    struct fill *f = join_or_make(l, FILL_REFRESH, &started);
    if (!f)
        return l->held_usable
                   ? lookup_give_stale(l, true, 0)
                   : lookup_give_error(l, PLAN_ERR_BUSY, "too many fills are running", NULL);
    int64_t running_ms = clock_mono_ms() - f->started_ms;
    int64_t left_ms =
        l->held_usable ? l->route->patience_ms - running_ms : l->worker->engine->wait_timeout_ms;
    enum lookup_state state = LOOKUP_WAITING;
    if (how == STALE_SERVABLE)
        state = lookup_give_stale(l, false, 0);
    else if (left_ms <= 0)
        state = lookup_give_stale(l, true, 0); /* others have been waiting for it for long enough */
    else
        state = follow(l, f);
    l->joined = !started;
    if (started)
        fill_start(f);
    else
        fill_unref(&f);
    if (state != LOOKUP_WAITING)
        return state;
    lookup_set_patience(l, left_ms);
    return started ? state : check_fill(l);
}

/* --- looking up --- */

void lookup_drop_held(struct lookup *l)
{
    cold_read_leave(l);
    if (l->held_body.file)
        engine_worker_tend_files(l->worker);
    store_body_release(&l->held_body);
    l->has_held = false;
}

static void find_key(struct lookup *l)
{
    if (l->shared)
        cache_key(l->route->name, l->plan->resource, l->plan->variant, &l->key);
    else
        plan_key(l->worker->engine, l->route, l->plan, &l->key);
}

/* What is held names the fields that decide. */
static enum lookup_state look_at_variant(struct lookup *l)
{
    lookup_drop_held(l);
    if (l->vary.n) /* under a variant there are answers only */
        return miss(l);
    return obey_turn(l) ? look_once(l)
                        : lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
}

static enum lookup_state look_once(struct lookup *l)
{
    l->now_ms = reactor_wall_ms(l->worker->reactor);
    l->joined = l->joined_whole = false;
    find_key(l);
    if (l->plan->always_proven && lookup_needs_proof(l))
        return lookup_prove(l);
    enum err rc = store_lookup(l->worker->reader, &l->key, l->arena, &l->held,
                               l->bodiless ? NULL : &l->held_body);
    if (rc == ERR_NOTFOUND)
        return miss(l);
    if (rc == ERR_NOMEM)
        return lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
    if (rc != ERR_OK) {
        counter_inc(COUNTER_STORE_ERRORS);
        return miss(l); /* a broken index is no reason to fail a pull */
    }
    l->has_held = true;
    if (l->held.vary.n)
        return look_at_variant(l);
    if (!plan_accepts(l->plan, l->held.content_type))
        return turn(l);
    int64_t ttl_ms;
    enum freshness how = how_fresh(l, &ttl_ms);
    how = http_rules_demand(l->plan, &l->held, how, ttl_ms, l->now_ms);
    if (how != FRESH)
        return stale(l, how);
    count(l, COUNTER_HITS);
    struct cache_status cs = {
        .hit = true, .has_ttl = !l->held.immutable, .ttl = ttl_seconds(ttl_ms)};
    return lookup_give_held(l, &cs);
}

static enum lookup_state relay(struct lookup *l)
{
    l->now_ms = clock_wall_ms();
    find_key(l);
    if (lookup_needs_proof(l))
        return lookup_prove(l);
    bool asks = l->head_only && !l->plan->source;
    return start_private(l, asks ? FILL_ASK : FILL_RELAY);
}

enum lookup_state lookup_begin(struct lookup *l)
{
    lookup_drop_held(l);
    obey_forget_variant(l);
    if (l->plan->kind == PLAN_RELAYED)
        return relay(l);
    return l->plan->source ? lookup_made(l) : look_once(l);
}

enum lookup_state lookup_start(struct lookup *l)
{
    l->state = LOOKUP_WAITING;
    l->has_held = l->held_usable = l->joined = l->joined_whole = l->timer_set = false;
    l->proven = l->page_checked = l->shared = false;
    l->rounds = 0;
    l->follower = NULL;
    l->source = NULL;
    l->proof = NULL;
    l->made_variant = slice_of(NULL, 0);
    l->held_body = (struct store_body){.fd = -1};
    l->cold_read = NULL;
    l->read_in = l->read_failed = false;
    obey_begin_lookup(l);
    enum lookup_state state = lookup_begin(l);
    if (state != LOOKUP_WAITING)
        stop_timer(l);
    return state;
}

void lookup_end(struct lookup *l)
{
    stop_timer(l);
    follower_leave(&l->follower);
    reading_close(&l->proof);
    if (l->source)
        lookup_end(l->source);
    l->source = NULL;
    lookup_drop_held(l);
}

/* --- the body --- */

static void fill_piece(struct lookup *l, uint64_t pos, uint64_t end, bool last, char *scratch,
                       size_t scratch_size, struct piece *piece)
{
    struct fill_view v;
    follower_look(l->follower, &v);
    bool verified = v.phase == FILL_VERIFIED;
    if (!verified && v.phase != FILL_ANSWERING) {
        piece->kind = PIECE_FAILED;
        return;
    }
    uint64_t have = v.file_end > v.window_end ? v.file_end : v.window_end;
    uint64_t stop = have < end ? have : end;
    /* Law 1: nobody gets the last byte of an answer before the body is known to be right. */
    if (!verified && stop && ((last && stop == end) || (end == UINT64_MAX && stop == have)))
        stop--;
    if (pos >= stop) {
        piece->kind = verified ? (pos >= have ? PIECE_END : PIECE_FAILED) : PIECE_WAIT;
        if (piece->kind == PIECE_WAIT)
            follower_taken(l->follower, pos); /* nothing before it is waited for */
        return;
    }
    if (pos < v.file_end && v.fd >= 0) {
        uint64_t file_stop = v.file_end < stop ? v.file_end : stop;
        *piece =
            (struct piece){.kind = PIECE_FILE, .fd = v.fd, .offset = pos, .n = file_stop - pos};
        return;
    }
    size_t want = stop - pos < scratch_size ? (size_t)(stop - pos) : scratch_size;
    size_t got = follower_copy(l->follower, pos, scratch, want);
    piece->kind = got ? PIECE_MEMORY : PIECE_FAILED;
    piece->bytes = scratch;
    piece->n = got;
}

/* What of a held file can be sent at once. Readings have threads of their own to wait for disks. */
static void file_piece(struct lookup *l, uint64_t pos, uint64_t end, struct piece *piece)
{
    uint64_t stop = end;
    if (l->cold_read || l->read_failed) {
        piece->kind = l->cold_read ? PIECE_WAIT : PIECE_FAILED;
        return;
    }
    bool in_memory = l->internal || store_body_in_memory(&l->held_body, pos, &stop);
    /* What was just read in is sent, even if there is so little memory that it has gone again. */
    if (!in_memory && !l->read_in && cold_read_start(l, pos, end)) {
        piece->kind = PIECE_WAIT;
        return;
    }
    l->read_in = false;
    *piece =
        (struct piece){.kind = PIECE_FILE, .fd = l->held_body.fd, .offset = pos, .n = stop - pos};
}

void lookup_body(struct lookup *l, uint64_t pos, uint64_t end, bool last, char *scratch,
                 size_t scratch_size, struct piece *piece)
{
    *piece = (struct piece){.kind = PIECE_END, .fd = -1};
    switch (l->answer.body) {
    case BODY_NONE:
        return;
    case BODY_MEMORY:
        *piece = (struct piece){
            .kind = PIECE_MEMORY, .bytes = l->held_body.bytes.p + pos, .n = end - pos};
        return;
    case BODY_FILE:
        file_piece(l, pos, end, piece);
        return;
    case BODY_FILL:
        fill_piece(l, pos, end, last, scratch, scratch_size, piece);
        return;
    }
}

void lookup_body_taken(struct lookup *l, uint64_t pos)
{
    if (l->answer.body == BODY_FILL)
        follower_taken(l->follower, pos);
}

void lookup_body_broken(struct lookup *l)
{
    if (l->answer.body == BODY_FILE)
        store_body_doubt(&l->held_body);
}
