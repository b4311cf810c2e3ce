/*
 * The state machine of a fill. Each step is one function; it returns the next step, or WAIT to be
 * called again after an event (fetch, job, timer, index, follower). fill_run alone assigns f->step.
 */
#include "fill.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "obey.h"
#include "worker.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILL_MAGIC = 0x46494c4c, RETRY_FIRST_MS = 200, RETRY_LAST_MS = 5000 };

enum step {
    STEP_BEGIN,
    STEP_REOPEN,  /* waits: an earlier partial file is hashed again */
    STEP_CHECK,   /* asks by HEAD whether what is held is right */
    STEP_CHECKED, /* waits for that */
    STEP_ASK,     /* a client's own HEAD */
    STEP_ASKED,
    STEP_GET,
    STEP_RECEIVE, /* waits for the head and the body */
    STEP_ANEW,    /* waits until the bytes of an earlier try are gone */
    STEP_BACKOFF, /* waits before it asks for the rest */
    STEP_MAKE,
    STEP_MAKING, /* waits for what it is made from, read piece by piece */
    STEP_DRAIN,  /* waits for the disk */
    STEP_VERIFY,
    STEP_VERIFIED, /* waits for the hash and the inspection */
    STEP_COMMIT,
    STEP_COMMITTED, /* waits for fsync and rename */
    STEP_INDEX,
    STEP_INDEXED, /* waits for the index */
    STEP_CLOSE,
    STEP_CLOSED, /* waits until the partial file is let go */
    STEP_END,
    STEP_WAIT, /* not a step: stay */
    STEP_COUNT = STEP_WAIT
};

/* --- birth and death --- */

/* What one client takes is no matter of the fill. */
static bool copy_plan_of(struct fill *f, const struct plan *plan)
{
    struct plan request = *plan;
    request.accepted = NULL;
    request.accepted_count = 0;
    return plan_copy(&f->arena, &request, &f->plan);
}

bool fill_rising_number(struct slice value, uint64_t *number)
{
    return value.n && slice_u64(slice_trim(value), number);
}

/* The value of the line with that name in stored lines; p == NULL without. */
static struct slice stored_line(struct slice lines, struct slice name)
{
    while (lines.n) {
        size_t end = slice_find(lines, '\r'); /* each ends in CRLF */
        struct slice line = slice_to(lines, end);
        size_t colon = slice_find(line, ':');
        if (slice_ieq(slice_to(line, colon), name))
            return slice_trim(slice_from(line, colon + 1));
        lines = slice_from(lines, end + 2);
    }
    return slice_of(NULL, 0);
}

static bool copy_held(struct fill *f, const struct store_entry *held)
{
    f->held.shown = held->shown;
    f->held.content = held->content;
    f->held.etag = arena_copy(&f->arena, held->etag);
    f->held.last_modified = arena_copy(&f->arena, held->last_modified);
    if (f->plan.rising_field.n)
        f->held.has_rising =
            fill_rising_number(stored_line(held->fields, f->plan.rising_field), &f->held.rising);
    return f->held.etag.p && f->held.last_modified.p;
}

static void fill_destroy(struct fill *f)
{
    assert(!f->partial && !f->fetch && !f->reading && !f->job_out);
    atomic_fetch_sub(&f->home->engine->fills, 1);
    pipe_reader_leave(&f->body);
    fill_body_free(f);
    hasher_free(&f->hasher);
    arena_reset(&f->arena);
    f->magic = 0;
    free(f);
}

static void on_wake(struct mail *m)
{
    struct fill *f = container_of(m, struct fill, wake_mail);
    pthread_mutex_lock(&f->lock);
    f->wake_posted = false;
    bool ended = f->ended;
    pthread_mutex_unlock(&f->lock);
    if (!ended)
        fill_run(f);
    fill_unref(&f);
}

static void on_timer(struct timer *t)
{
    struct fill *f = container_of(t, struct fill, timer);
    f->timer_out = false;
    fill_run(f);
}

static void on_write_timer(struct timer *t)
{
    struct fill *f = container_of(t, struct fill, write_timer);
    f->write_timer_out = false;
    fill_write_next(f);
}

static void on_indexed(struct mail *m)
{
    struct fill *f = container_of(m, struct fill, indexed_mail);
    f->index_out = false;
    fill_run(f);
}

struct fill *fill_new(struct engine_worker *home, const struct fill_spec *spec)
{
    if (atomic_fetch_add(&home->engine->fills, 1) >= ENGINE_FILLS_MAX) {
        atomic_fetch_sub(&home->engine->fills, 1);
        return NULL;
    }
    struct fill *f = calloc(1, sizeof *f);
    if (!f) {
        atomic_fetch_sub(&home->engine->fills, 1);
        return NULL;
    }
    f->magic = FILL_MAGIC;
    atomic_init(&f->refs, 1);
    f->home = home;
    f->route = spec->route;
    f->purpose = spec->purpose;
    f->storing = spec->purpose != FILL_RELAY && spec->purpose != FILL_ASK;
    f->started_ms = clock_mono_ms();
    f->node.fill = f->alias_node.fill = f;
    f->node.key = *spec->key;
    f->wake_mail.run = on_wake;
    f->indexed_mail.run = on_indexed;
    arena_init(&f->arena, f->arena_first, sizeof f->arena_first, FILL_ARENA_CAP);
    fill_body_init(f);
    timer_init(&f->timer, home->reactor, on_timer);
    timer_init(&f->write_timer, home->reactor, on_write_timer);
    char hex[2 * 6 + 1];
    hex_encode(spec->key->bytes, 6, hex);
    snprintf(f->id, sizeof f->id, "f%s", hex);
    f->proven = spec->proven;
    if (!copy_plan_of(f, spec->plan) || !obey_begin(f, spec) ||
        (spec->held && !copy_held(f, spec->held))) {
        fill_destroy(f);
        return NULL;
    }
    if (spec->content)
        f->content = *spec->content;
    f->held_size = spec->content_size;
    f->body = spec->body;
    f->has_body_length = spec->has_body_length;
    f->body_length = spec->body_length;
    f->expected = f->plan.digest;
    return f;
}

struct fill *fill_ref(struct fill *f)
{
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void fill_unref(struct fill **fp)
{
    struct fill *f = *fp;
    *fp = NULL;
    if (atomic_fetch_sub(&f->refs, 1) == 1)
        fill_destroy(f);
}

static void list_add(struct fill *f)
{
    f->next = f->home->fills;
    if (f->next)
        f->next->prev = f;
    f->home->fills = f;
}

static void list_remove(struct fill *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        f->home->fills = f->next;
    if (f->next)
        f->next->prev = f->prev;
}

void fill_start(struct fill *f)
{
    list_add(f);
    counter_inc(COUNTER_FILLS_STARTED);
    fill_run(f);
}

void fill_withdraw(struct fill *f)
{
    fill_table_remove(f->home->engine->table, &f->node);
    fill_publish(f, FILL_UNCHANGED);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_mutex_unlock(&f->lock);
    fill_unref(&f);
}

void fill_cancel(struct fill *f)
{
    f->cancelled = true;
    fill_run(f);
}

/* --- jobs --- */

static void on_job_done(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_out = false;
    fill_run(f);
}

static void submit(struct fill *f, void (*work)(struct job *j))
{
    assert(!f->job_out);
    f->job_out = true;
    f->job.work = work;
    f->job.done = on_job_done;
    pool_submit(f->home->engine->pool, &f->job, f->home->reactor);
}

static void reopen_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_result = partial_open(f->home->engine->store, &f->node.key, &f->expected, true,
                                 &f->partial, &f->job_offset, &f->job_info);
    if (f->job_result == ERR_OK && f->job_offset == 0)
        partial_free(&f->partial, false); /* nothing to go on with */
}

static void verify_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_result = fill_verify(f);
}

static void restart_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_result = partial_restart(f->partial, &f->job_info);
}

static void commit_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_result = partial_commit(f->partial, &f->content, &f->job_info);
}

static void close_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    partial_free(&f->job_partial, f->keep_partial);
}

/* --- steps --- */

static enum step fail(struct fill *f, enum err code, const char *why)
{
    err_set(&f->info, code, "%s", why);
    f->outcome = FILL_FAILED;
    return STEP_CLOSE;
}

static enum step end_as(struct fill *f, enum fill_phase outcome)
{
    f->outcome = outcome;
    return STEP_CLOSE;
}

static enum step step_begin(struct fill *f)
{
    if (f->purpose == FILL_ASK)
        return STEP_ASK;
    if (f->plan.source)
        return STEP_MAKE;
    if (f->purpose == FILL_CONFIRM && f->proven) {
        f->verdict = VERDICT_UNCHANGED;
        return STEP_INDEX;
    }
    if (f->purpose == FILL_CONFIRM ||
        (f->purpose == FILL_REFRESH && f->plan.refresh == REFRESH_HEAD_DIGEST &&
         f->held.shown.algo != DIGEST_NONE))
        return STEP_CHECK;
    if (f->storing && f->expected.algo != DIGEST_NONE &&
        partial_left(f->home->engine->store, &f->node.key)) {
        submit(f, reopen_work);
        return STEP_REOPEN;
    }
    return STEP_GET;
}

static enum step step_reopen(struct fill *f)
{
    if (f->job_out)
        return STEP_WAIT;
    if (f->job_result != ERR_OK || f->job_offset == 0)
        return STEP_GET;
    pthread_mutex_lock(&f->lock);
    f->read_fd = dup(partial_fd(f->partial));
    f->received = f->file_end = f->window_end = f->job_offset;
    f->mode = MODE_FILE;
    pthread_mutex_unlock(&f->lock);
    if (f->read_fd < 0)
        return fail(f, ERR_IO, "out of descriptors");
    return STEP_GET;
}

static enum step step_check(struct fill *f)
{
    fill_fetch_begin(f, HTTP_HEAD);
    return STEP_CHECKED;
}

/* What one client's credentials do not show may be there for another's. */
static void note_absence(struct fill *f)
{
    struct engine *e = f->home->engine;
    struct store_key own;
    plan_key(e, f->route, &f->plan, &own);
    bool is_shared = memcmp(own.bytes, f->node.key.bytes, sizeof own.bytes) != 0;
    if (!f->plan.credential.n || !is_shared)
        negatives_add(e->negatives, &f->node.key, clock_mono_ms() + f->route->negative_ttl_ms);
}

/* What every answer but a body comes to. */
static enum step end_by_verdict(struct fill *f)
{
    switch (f->verdict) {
    case VERDICT_UNCHANGED:
        return STEP_INDEX;
    case VERDICT_NOT_FOUND:
        note_absence(f);
        return end_as(f, FILL_NOT_FOUND);
    case VERDICT_DENIED:
        return end_as(f, FILL_DENIED);
    default:
        return end_as(f, FILL_FAILED);
    }
}

static void on_index_done(void *arg, enum err result)
{
    struct fill *f = arg;
    f->index_result = result;
    reactor_post(f->home->reactor, &f->indexed_mail);
}

static struct slice entry_name(struct fill *f)
{
    return arena_printf(&f->arena, "%.*s %.*s %.*s", SLICE_ARG(f->route->name),
                        SLICE_ARG(f->plan.resource), SLICE_ARG(f->plan.variant));
}

/*
 * The tag names another digest. If that is held, the tag's entry is pointed at it and no GET is
 * spent (a GET counts against quotas, a HEAD does not).
 */
static enum step follow_move(struct fill *f)
{
    char text[DIGEST_TEXT_MAX];
    struct slice digest = digest_text(&f->moved_to, text);
    struct slice resource =
        arena_printf(&f->arena, "%.*s%.*s", SLICE_ARG(f->plan.alias_prefix), SLICE_ARG(digest));
    struct engine_worker *w = f->home;
    struct store_key key;
    struct store_entry e;
    if (!resource.p || !f->plan.alias_prefix.n)
        return STEP_GET;
    cache_key(f->route->name, resource, slice_of("", 0), &key);
    if (store_lookup(w->reader, &key, &f->arena, &e, NULL) != ERR_OK)
        return STEP_GET;
    e.name = entry_name(f);
    e.immutable = false;
    e.validated_ms = clock_wall_ms();
    f->index_out = true;
    if (store_put(w->engine->store, &f->node.key, &e, slice_of(NULL, 0), on_index_done, f)) {
        f->index_out = false;
        return STEP_GET;
    }
    return STEP_INDEXED;
}

static enum step step_checked(struct fill *f)
{
    if (!f->fetch_over)
        return STEP_WAIT;
    if (f->verdict == VERDICT_NO_HEAD)
        return STEP_GET;
    return f->verdict == VERDICT_MOVED ? follow_move(f) : end_by_verdict(f);
}

static enum step step_ask(struct fill *f)
{
    fill_fetch_begin(f, HTTP_HEAD);
    return STEP_ASKED;
}

static enum step step_asked(struct fill *f)
{
    if (!f->fetch_over)
        return STEP_WAIT;
    if (f->verdict == VERDICT_NO_HEAD) {
        fill_fetch_begin(f, HTTP_GET); /* its body is broken off after the head */
        return STEP_WAIT;
    }
    return f->verdict == VERDICT_ASKED ? end_as(f, FILL_VERIFIED) : end_by_verdict(f);
}

static enum step step_get(struct fill *f)
{
    fill_fetch_begin(f, f->purpose == FILL_RELAY ? f->plan.method : HTTP_GET);
    return STEP_RECEIVE;
}

/* Can the rest be asked for, so that the bytes taken so far are not lost? */
static bool can_resume(const struct fill *f)
{
    if (f->phase != FILL_ANSWERING)
        return false; /* nothing was promised to anybody yet: the next request tries again */
    return fill_can_be_resumed(f) && f->breaks < FILL_BREAKS_MAX;
}

static enum step broken(struct fill *f)
{
    if (f->received > f->progress)
        f->breaks = 0;
    f->progress = f->received;
    if (!can_resume(f))
        return end_as(f, FILL_FAILED);
    int64_t ms = RETRY_FIRST_MS << f->breaks++;
    timer_set(&f->timer, ms < RETRY_LAST_MS ? ms : RETRY_LAST_MS);
    f->timer_out = true;
    log_info("fill_broken", LF_STR("id", f->id), LF_INT("received", f->received),
             LF_STR("reason", f->info.msg));
    return STEP_BACKOFF;
}

static enum step step_receive(struct fill *f)
{
    if (f->paused && fill_has_room(f)) {
        f->paused = false;
        fetch_resume(f->fetch);
    }
    if (!f->fetch_over)
        return STEP_WAIT;
    fill_write_next(f);
    if (f->verdict == VERDICT_COMPLETE)
        return STEP_DRAIN;
    if (f->verdict == VERDICT_ANEW) {
        if (f->job_out)
            return STEP_WAIT;
        submit(f, restart_work);
        return STEP_ANEW;
    }
    if (f->verdict == VERDICT_AGAIN)
        return broken(f);
    if (f->verdict == VERDICT_NONE)
        return broken(f); /* no head at all */
    if (f->verdict != VERDICT_BODY)
        return end_by_verdict(f);
    bool complete = f->fetch_result == ERR_OK && (!f->has_total || f->received == f->total);
    if (!complete && f->fetch_result == ERR_OK)
        err_set(&f->info, ERR_UPSTREAM, "the body ended early");
    return complete ? STEP_DRAIN : broken(f);
}

static enum step step_anew(struct fill *f)
{
    if (f->job_out)
        return STEP_WAIT;
    if (f->job_result != ERR_OK)
        return fail(f, f->job_result, "the bytes of an earlier try cannot be dropped");
    pthread_mutex_lock(&f->lock);
    f->received = f->file_end = f->window_end = f->job_offset = 0;
    f->has_total = false;
    pthread_mutex_unlock(&f->lock);
    return STEP_GET;
}

static enum step step_backoff(struct fill *f)
{
    return f->timer_out ? STEP_WAIT : STEP_GET;
}

static enum step step_make(struct fill *f)
{
    return fill_make_begin(f) ? STEP_MAKING : fail(f, ERR_NOMEM, "out of memory");
}

static enum step step_making(struct fill *f)
{
    if (f->paused && fill_has_room(f)) {
        f->paused = false;
        reading_resume(f->reading);
    }
    if (!f->reading_over)
        return STEP_WAIT;
    fill_write_next(f);
    if (f->reading_result == ERR_OK)
        return STEP_DRAIN;
    f->outcome = fill_make_failure(f);
    return STEP_CLOSE;
}

static enum step step_drain(struct fill *f)
{
    return fill_all_written(f) ? STEP_VERIFY : STEP_WAIT;
}

static enum step step_verify(struct fill *f)
{
    if (f->plan.is_sized && f->received != f->plan.max_size)
        return fail(f, ERR_CORRUPT, "the body is shorter than it must be");
    if (f->partial || f->plan.check)
        submit(f, verify_work);
    else
        f->job_result = fill_verify(f);
    return STEP_VERIFIED;
}

/* The same answer under its digest: found by whoever asks next, before the index has it. */
static void publish_alias(struct fill *f)
{
    if (!f->storing || !f->plan.alias_prefix.n || f->plan.immutable || f->plan.credential.n)
        return;
    char text[DIGEST_TEXT_MAX];
    struct slice shown = digest_text(&f->head_shown, text);
    f->alias_resource =
        arena_printf(&f->arena, "%.*s%.*s", SLICE_ARG(f->plan.alias_prefix), SLICE_ARG(shown));
    if (!f->alias_resource.p)
        return;
    cache_key(f->route->name, f->alias_resource, slice_of("", 0), &f->alias_node.key);
    struct fill *other = fill_table_add(f->home->engine->table, &f->alias_node);
    if (other)
        fill_unref(&other); /* it is on its way there already */
    negatives_remove(f->home->engine->negatives, &f->alias_node.key);
}

static void drop_resource(struct fill *f, const struct plan *outdated, struct slice resource)
{
    struct engine *e = f->home->engine;
    struct plan named = *outdated;
    struct store_key key;
    named.resource = resource;
    plan_key(e, f->route, &named, &key);
    negatives_remove(e->negatives, &key);
    if (store_remove(e->store, &key) != ERR_OK)
        counter_inc(COUNTER_STORE_ERRORS);
}

static void drop(struct fill *f, const struct plan *outdated)
{
    drop_resource(f, outdated, outdated->resource);
    for (size_t i = 0; i < sizeof f->named / sizeof f->named[0]; i++)
        if (f->named[i].p)
            drop_resource(f, outdated, f->named[i]);
}

/*
 * A change has reached the upstream: what is held of it is not current any more, which the client
 * may rely on when it has the answer. The last order in the queue says when the others are done.
 */
static void drop_outdated(struct fill *f)
{
    size_t most = sizeof f->plan.outdates / sizeof f->plan.outdates[0];
    f->outdated = true;
    if (!f->plan.outdates[0] || f->head.status < 200 || f->head.status > 399)
        return;
    for (size_t i = 0; i < most && f->plan.outdates[i]; i++)
        drop(f, f->plan.outdates[i]);
    f->index_out = true;
    if (store_validated(f->home->engine->store, &f->node.key, &f->content, 0, on_index_done, f))
        f->index_out = false;
}

/* A query may be signed. */
static struct slice resource_for_log(const struct fill *f)
{
    return slice_to(f->plan.resource, slice_find(f->plan.resource, '?'));
}

static enum step step_verified(struct fill *f)
{
    if (f->job_out || f->index_out)
        return STEP_WAIT;
    if (f->malformed)
        return fail(f, ERR_CORRUPT, "the upstream's body is not what its type says");
    if (f->job_result == ERR_CORRUPT) {
        counter_inc(COUNTER_DIGEST_MISMATCHES);
        log_error("digest_mismatch", LF_STR("id", f->id), LF_SLICE("route", f->route->name),
                  LF_SLICE("resource", resource_for_log(f)), LF_INT("bytes", f->received));
        return fail(f, ERR_CORRUPT, "the upstream's bytes are not what they must be");
    }
    if (f->job_result != ERR_OK)
        return fail(f, f->job_result, "the body could not be verified");
    if (!f->outdated) {
        drop_outdated(f);
        if (f->index_out)
            return STEP_WAIT;
    }
    f->head_shown = f->expected.algo != DIGEST_NONE ? f->expected : f->content;
    f->total = f->received;
    negatives_remove(f->home->engine->negatives, &f->node.key);
    publish_alias(f);
    obey_complete(f);
    fill_publish(f, FILL_VERIFIED);
    if (!f->storing)
        return end_as(f, FILL_VERIFIED);
    return f->partial ? STEP_COMMIT : STEP_INDEX;
}

static enum step step_commit(struct fill *f)
{
    submit(f, commit_work);
    return STEP_COMMITTED;
}

static enum step step_committed(struct fill *f)
{
    if (f->job_out)
        return STEP_WAIT;
    if (f->job_result == ERR_OK)
        return STEP_INDEX;
    counter_inc(COUNTER_STORE_ERRORS);
    log_error("commit", LF_STR("id", f->id), LF_STR("reason", f->job_info.msg));
    return end_as(f, FILL_VERIFIED); /* the clients have it; the store does not */
}

/* What is made of something without a validator has its own digest for one. */
static struct slice entry_etag(struct fill *f)
{
    char hex[2 * SHA256_BYTES + 1];
    if (!f->plan.source || f->head.etag.n)
        return f->head.etag;
    hex_encode(f->content.bytes, SHA256_BYTES, hex);
    struct slice etag = arena_printf(&f->arena, "\"%s\"", hex);
    return etag.p ? etag : f->head.etag;
}

static void make_entry(struct fill *f, struct store_entry *e)
{
    int64_t now = clock_wall_ms();
    *e = (struct store_entry){
        .name = entry_name(f),
        .status = f->head.status,
        .content_type = f->head.content_type,
        .fields = f->head.fields,
        .etag = entry_etag(f),
        .last_modified = f->head.last_modified,
        .url = f->head.url,
        .gzip = f->head.gzip,
        .made_from = f->made_from,
        .content = f->content,
        .shown = f->plan.digest_field.n ? f->head_shown : (struct digest){.algo = DIGEST_NONE},
        .size = f->received,
        .fetched_ms = now,
        .validated_ms = now,
        .immutable = f->plan.immutable,
    };
    obey_entry(f, e);
}

/* The entry, and the one under its digest; `done` comes for the last that is queued. */
static enum err index_body(struct fill *f)
{
    struct store *store = f->home->engine->store;
    struct slice body = slice_of(NULL, 0);
    if (!f->partial) {
        body = f->small.p ? f->small : fill_small_body(f);
        if (!body.p)
            return ERR_NOMEM;
    }
    struct store_entry e;
    make_entry(f, &e);
    enum err rc = obey_put_names(f);
    if (rc)
        return rc;
    if (f->alias_node.linked) {
        struct store_entry alias = e;
        alias.immutable = true;
        rc = store_put(store, &f->alias_node.key, &alias, body, NULL, NULL);
        if (rc)
            return rc;
    }
    return store_put(store, &f->node.key, &e, body, on_index_done, f);
}

/* The bytes are held under another key: this one may name them too. */
static enum err index_confirmed(struct fill *f)
{
    struct store_entry e;
    f->head_shown = f->plan.digest;
    f->head.status = 200;
    f->head.content_type = f->plan.content_type;
    f->head.url = f->head.fields = f->head.etag = f->head.last_modified = slice_of("", 0);
    make_entry(f, &e);
    e.size = f->held_size;
    return store_put(f->home->engine->store, &f->node.key, &e, slice_of(NULL, 0), on_index_done, f);
}

static enum step step_index(struct fill *f)
{
    enum err rc;
    f->index_out = true;
    if (f->verdict != VERDICT_UNCHANGED)
        rc = index_body(f);
    else if (f->purpose == FILL_CONFIRM)
        rc = index_confirmed(f);
    else if (f->plan.obeys_upstream)
        rc = obey_put_fresh(f, on_index_done);
    else
        rc = store_validated(f->home->engine->store, &f->node.key, &f->held.content,
                             clock_wall_ms(), on_index_done, f);
    if (rc != ERR_OK) {
        f->index_out = false;
        f->index_result = rc;
    }
    return STEP_INDEXED;
}

static enum step step_indexed(struct fill *f)
{
    if (f->index_out)
        return STEP_WAIT;
    if (f->index_result != ERR_OK) {
        counter_inc(COUNTER_STORE_ERRORS);
        log_error("index", LF_STR("id", f->id), LF_STR("reason", err_name(f->index_result)));
    }
    bool by_check = f->verdict == VERDICT_UNCHANGED || f->verdict == VERDICT_MOVED;
    f->stored = f->index_result == ERR_OK;
    if (!by_check)
        return end_as(f, FILL_VERIFIED);
    bool needs_index = f->verdict == VERDICT_MOVED || f->purpose == FILL_CONFIRM;
    if (needs_index && f->index_result != ERR_OK)
        return STEP_GET; /* the bytes went meanwhile: fetch them */
    return end_as(f, f->verdict == VERDICT_MOVED ? FILL_MOVED : FILL_UNCHANGED);
}

/*
 * Followers hear of a failure only when the partial file is free again, so that whoever tries next
 * finds it; those that have the body go on reading.
 */
static enum step step_close(struct fill *f)
{
    timer_clear(&f->timer);
    f->timer_out = false;
    if (f->fetch) {
        fetch_cancel(f->fetch);
        f->fetch = NULL;
    }
    reading_close(&f->reading);
    f->fetch_over = true;
    fill_write_next(f); /* what has come is kept for another try */
    timer_clear(&f->write_timer);
    return STEP_CLOSED;
}

static enum step step_closed(struct fill *f)
{
    if (f->job_out)
        return STEP_WAIT;
    if (!f->partial)
        return STEP_END;
    f->keep_partial = f->outcome == FILL_FAILED && f->info.code != ERR_CORRUPT &&
                      f->expected.algo != DIGEST_NONE && f->storing;
    pthread_mutex_lock(&f->lock); /* followers of a window look at it */
    f->job_partial = f->partial;
    f->partial = NULL;
    pthread_mutex_unlock(&f->lock);
    submit(f, close_work);
    return STEP_WAIT;
}

static void log_end(const struct fill *f)
{
    static const char *const names[] = {
        [FILL_VERIFIED] = "stored", [FILL_UNCHANGED] = "unchanged", [FILL_NOT_FOUND] = "not_found",
        [FILL_DENIED] = "denied",   [FILL_FAILED] = "failed",       [FILL_MOVED] = "moved",
    };
    bool failed = f->outcome == FILL_FAILED;
    if (failed)
        counter_inc(COUNTER_FILLS_FAILED);
    const char *result = names[f->outcome];
    if (f->outcome == FILL_VERIFIED && !f->storing)
        result = "relayed";
    else if (f->outcome == FILL_VERIFIED && !f->stored)
        result = "not_stored";
    LOG_AT(failed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "fill", LF_STR("id", f->id),
           LF_STR("result", result), LF_SLICE("route", f->route->name),
           LF_SLICE("resource", resource_for_log(f)), LF_INT("status", f->upstream_status),
           LF_INT("bytes", f->received), LF_INT("ms", clock_mono_ms() - f->started_ms),
           LF_STR("reason", failed ? f->info.msg : ""));
}

static enum step step_end(struct fill *f)
{
    log_end(f);
    fill_table_remove(f->home->engine->table, &f->node);
    fill_table_remove(f->home->engine->table, &f->alias_node);
    fill_table_remove(f->home->engine->table, &f->plain_node);
    fill_publish(f, f->outcome);
    return STEP_WAIT;
}

static const struct {
    const char *name;
    enum step (*run)(struct fill *f);
} steps[STEP_COUNT] = {
    [STEP_BEGIN] = {"begin", step_begin},
    [STEP_REOPEN] = {"reopen", step_reopen},
    [STEP_CHECK] = {"check", step_check},
    [STEP_CHECKED] = {"checked", step_checked},
    [STEP_ASK] = {"ask", step_ask},
    [STEP_ASKED] = {"asked", step_asked},
    [STEP_GET] = {"get", step_get},
    [STEP_RECEIVE] = {"receive", step_receive},
    [STEP_ANEW] = {"anew", step_anew},
    [STEP_BACKOFF] = {"backoff", step_backoff},
    [STEP_MAKE] = {"make", step_make},
    [STEP_MAKING] = {"making", step_making},
    [STEP_DRAIN] = {"drain", step_drain},
    [STEP_VERIFY] = {"verify", step_verify},
    [STEP_VERIFIED] = {"verified", step_verified},
    [STEP_COMMIT] = {"commit", step_commit},
    [STEP_COMMITTED] = {"committed", step_committed},
    [STEP_INDEX] = {"index", step_index},
    [STEP_INDEXED] = {"indexed", step_indexed},
    [STEP_CLOSE] = {"close", step_close},
    [STEP_CLOSED] = {"closed", step_closed},
    [STEP_END] = {"end", step_end},
};

/* Steps that wait for an upstream and may be left at any moment. */
static bool may_break_off(const struct fill *f)
{
    switch ((enum step)f->step) {
    case STEP_CHECKED:
    case STEP_ASKED:
    case STEP_RECEIVE:
    case STEP_BACKOFF:
    case STEP_MAKING:
        return true;
    default:
        return false;
    }
}

static void leave(struct fill *f)
{
    struct engine_worker *w = f->home;
    list_remove(f);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_mutex_unlock(&f->lock);
    fill_unref(&f);
    engine_worker_fill_gone(w);
}

static void break_off_if_unwanted(struct fill *f)
{
    if (!may_break_off(f) || !(f->cancelled || fill_is_abandoned(f)))
        return;
    err_set(&f->info, ERR_CLOSED, f->cancelled ? "the cache is stopping" : "nobody wants it");
    f->outcome = FILL_FAILED;
    f->step = STEP_CLOSE;
}

void fill_run(struct fill *f)
{
    assert(f->magic == FILL_MAGIC);
    for (;;) {
        break_off_if_unwanted(f);
        enum step now = (enum step)f->step;
        enum step next = steps[now].run(f);
        if (now == STEP_END) {
            leave(f);
            return;
        }
        if (next == STEP_WAIT)
            return;
        log_debug("fill_step", LF_STR("id", f->id), LF_STR("from", steps[now].name),
                  LF_STR("to", steps[next].name));
        f->step = next;
    }
}
