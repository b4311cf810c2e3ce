/*
 * Lookups that depend on another object: what is made from a page, and a file that a page must
 * name.
 */
#include "base/container.h"
#include "lookup.h"

/* --- made from a source --- */

struct source_lookup {
    struct lookup look;
    struct lookup *owner;
};

static enum lookup_state pass_error(struct lookup *l, const struct lookup *from)
{
    l->state = LOOKUP_ERROR;
    l->error = from->error;
    l->error_detail = arena_copy(l->arena, from->error_detail);
    l->error_status = from->error_status;
    l->retry_after_s = from->retry_after_s;
    return l->state;
}

struct digest lookup_content(const struct lookup *l)
{
    struct digest none = {.algo = DIGEST_NONE};
    if (l->state != LOOKUP_ANSWER)
        return none;
    if (l->answer.body != BODY_FILL)
        return l->held.content;
    struct fill_view v;
    follower_look(l->follower, &v);
    return v.phase == FILL_VERIFIED ? l->follower->fill->content : none;
}

/* What was made of this source before, if it is held. */
static bool find_made(struct lookup *l, const struct digest *content)
{
    if (content->algo == DIGEST_NONE ||
        store_lookup(l->worker->reader, &l->key, l->arena, &l->held, &l->held_body) != ERR_OK)
        return false;
    l->has_held = true;
    return digest_equal(&l->held.made_from, content);
}

static enum lookup_state give_made(struct lookup *l)
{
    const struct answer *source = &l->source->answer;
    lookup_give_held(l, &source->status_field);
    l->answer.age_s = source->age_s;
    l->answer.stale_because_of_failure = source->stale_because_of_failure;
    return l->state;
}

/* The source has answered: with a body, held or on its way, or with an error. */
static enum lookup_state source_answered(struct lookup *l)
{
    struct lookup *s = l->source;
    if (s->state == LOOKUP_ERROR)
        return pass_error(l, s);
    s->plan->accepts_any = true; /* what is made is of the form that was found */
    l->plan->source = s->plan;
    l->plan->variant = arena_printf(l->arena, "%.*s|%.*s", SLICE_ARG(l->made_variant),
                                    SLICE_ARG(s->plan->variant));
    if (!l->plan->variant.p)
        return lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
    plan_key(l->worker->engine, l->route, l->plan, &l->key);
    l->now_ms = s->now_ms;
    struct digest content = lookup_content(s);
    if (find_made(l, &content))
        return give_made(l);
    lookup_drop_held(l);
    enum lookup_state state = lookup_follow_or_fill(l, FILL_FETCH);
    follower_leave(&s->follower); /* the fill reads it now; a window must not wait for this one */
    return state;
}

static void on_source_ready(struct lookup *s)
{
    struct lookup *l = container_of(s, struct source_lookup, look)->owner;
    lookup_woken(l, source_answered(l));
}

/* The fill reads the source's body, not this lookup. */
static void on_source_body(struct lookup *s)
{
    (void)s;
}

enum lookup_state lookup_made(struct lookup *l)
{
    struct source_lookup *s = arena_zalloc(l->arena, sizeof *s);
    struct plan *source = arena_alloc(l->arena, sizeof *source);
    if (!s || !source)
        return lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
    if (l->source)
        lookup_end(l->source);
    else
        l->made_variant = l->plan->variant;
    *source = *l->plan->source;
    l->plan->accepts_any = true; /* negotiation is the source's */
    s->owner = l;
    s->look = (struct lookup){
        .worker = l->worker,
        .route = l->route,
        .plan = source,
        .arena = l->arena,
        .id = l->id,
        .internal = l->internal,
        .only_held = l->only_held,
        .has_max_age = l->has_max_age,
        .max_age_ms = l->max_age_ms,
        .bodiless = true,
        .on_ready = on_source_ready,
        .on_body = on_source_body,
    };
    l->source = &s->look;
    return lookup_start(l->source) == LOOKUP_WAITING ? LOOKUP_WAITING : source_answered(l);
}

/* --- named by a page --- */

bool lookup_needs_proof(const struct lookup *l)
{
    return l->plan->pages[0] && !l->proven;
}

/* The first of the pages that is held, else the first. */
static const struct plan *page_to_read(const struct lookup *l)
{
    const struct plan *const *pages = l->plan->pages;
    size_t most = sizeof l->plan->pages / sizeof l->plan->pages[0];
    for (size_t i = 0; i < most && pages[i] && pages[i]->kind == PLAN_CACHED; i++) {
        struct store_key key;
        struct store_entry entry;
        plan_key(l->worker->engine, l->route, pages[i], &key);
        if (store_lookup(l->worker->reader, &key, l->arena, &entry, NULL) == ERR_OK)
            return pages[i];
    }
    return pages[0];
}

/*
 * Bytes whose digest the page names are under a key of their own, that has the digest in it: who
 * has a page that names them may have them, whoever brought them.
 */
static bool share_by_digest(struct lookup *l)
{
    char text[DIGEST_TEXT_MAX];
    if (!l->plan->always_proven)
        return true;
    if (l->plan->digest.algo == DIGEST_NONE) {
        l->plan->immutable = l->plan->immutable && !l->plan->credential.n;
        return true;
    }
    l->shared = true;
    l->plan->variant = arena_copy(l->arena, digest_text(&l->plan->digest, text));
    return l->plan->variant.p != NULL;
}

static enum lookup_state proven(struct lookup *l, const struct plan_fact *fact)
{
    l->proven = true;
    l->plan->url = arena_copy(l->arena, fact->url);
    l->plan->digest = fact->digest;
    if (fact->has_size && fact->size) {
        l->plan->max_size = fact->size;
        l->plan->is_sized = true;
    }
    reading_close(&l->proof);
    if (!l->plan->url.p || !share_by_digest(l))
        return lookup_give_error(l, PLAN_ERR_BUSY, "the request is too large", NULL);
    return lookup_begin(l);
}

/* The page does not name it: perhaps a newer one does. */
static enum lookup_state not_named(struct lookup *l)
{
    bool is_old = reading_lookup(l->proof)->answer.stale_because_of_failure;
    reading_close(&l->proof);
    if (!l->page_checked && l->plan->kind == PLAN_CACHED) {
        l->page_checked = true;
        return lookup_prove(l);
    }
    if (is_old)
        return lookup_give_error(l, PLAN_ERR_UPSTREAM,
                                 "the page that may name it cannot be refreshed", NULL);
    return lookup_give_error(l, PLAN_ERR_NOT_FOUND, "", NULL);
}

static enum lookup_state page_failed(struct lookup *l)
{
    const struct lookup *page = reading_lookup(l->proof);
    bool has_error = page->state == LOOKUP_ERROR;
    bool fails = !has_error || page->error == PLAN_ERR_UPSTREAM || page->error == PLAN_ERR_BUSY;
    enum lookup_state state;
    if (fails && l->has_held && l->held_usable)
        state = lookup_give_stale(l, true, 0);
    else if (has_error)
        state = pass_error(l, page);
    else
        state =
            lookup_give_error(l, PLAN_ERR_UPSTREAM, "the page that names it cannot be read", NULL);
    reading_close(&l->proof);
    return state;
}

static enum lookup_state judge_proof(struct lookup *l, enum err result)
{
    const struct plan_fact *fact = reading_fact(l->proof);
    if (result != ERR_OK)
        return page_failed(l);
    if (fact->foreign) {
        reading_close(&l->proof);
        return lookup_give_error(l, PLAN_ERR_FOREIGN,
                                 "the page links to a host that is not among this route's "
                                 "upstreams and file_hosts",
                                 NULL);
    }
    return fact->found ? proven(l, fact) : not_named(l);
}

static void on_page(void *arg)
{
    (void)arg; /* what it says is known when all of it was read */
}

static void on_proof(void *arg, enum err result)
{
    struct lookup *l = arg;
    lookup_woken(l, judge_proof(l, result));
}

static const struct reading_ops proof_ops = {.on_answer = on_page, .on_done = on_proof};

enum lookup_state lookup_prove(struct lookup *l)
{
    struct reading_spec spec = {
        .route = l->route,
        .object = page_to_read(l),
        .plan = l->plan,
        .reader = l->plan->find,
        .finds = true,
        .id = l->id,
        .only_held = l->only_held,
        .has_max_age = l->page_checked,
        .max_age_ms = l->route->negative_ttl_ms,
    };
    l->proof = reading_start(l->worker, &spec, &proof_ops, l);
    if (!l->proof)
        return lookup_give_error(l, PLAN_ERR_BUSY, "out of memory", NULL);
    lookup_set_patience(l, l->worker->engine->wait_timeout_ms);
    return LOOKUP_WAITING;
}
