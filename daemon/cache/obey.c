#include "obey.h"

#include "base/clock.h"
#include "http/vary.h"
#include "worker.h"

/* --- a fill's side --- */

bool obey_begin(struct fill *f, const struct fill_spec *spec)
{
    f->plain_node = (struct table_node){.fill = f, .key = *spec->key};
    if (!f->plan.obeys_upstream)
        return true;
    f->storing = f->storing && !http_rules_forbids_storing(&f->plan);
    f->plain_variant = f->plan.variant;
    if (!spec->vary.n)
        return true;
    f->vary_since_ms = spec->vary_since_ms;
    f->plain_node.key = *spec->plain_key;
    f->vary = arena_copy(&f->arena, spec->vary);
    f->plain_variant = arena_copy(&f->arena, spec->plain_variant);
    return f->vary.p && f->plain_variant.p;
}

/* Unless another fill has the key by now, which then answers for it. */
static void link_node(struct fill_table *table, struct table_node *node)
{
    struct fill *other = fill_table_add(table, node);
    if (other)
        fill_unref(&other);
}

/* The answer depends on fields that its key does not hold: it moves to the key of its variant. */
static bool move_to_variant(struct fill *f, struct slice vary)
{
    struct fill_table *table = f->home->engine->table;
    f->vary = vary;
    f->vary_since_ms = clock_wall_ms();
    f->names_vary = true;
    f->plan.variant = http_rules_variant(&f->arena, f->plain_variant, vary, f->vary_since_ms,
                                         f->plan.request_fields);
    if (!f->plan.variant.p)
        return false;
    fill_table_remove(table, &f->node);
    plan_key(f->home->engine, f->route, &f->plan, &f->node.key);
    link_node(table, &f->node);
    link_node(table, &f->plain_node);
    return true;
}

static bool follow_vary(struct fill *f)
{
    if (!f->storing || !f->rules.vary.n)
        return true;
    struct slice all = http_vary_join(&f->arena, f->vary, f->rules.vary);
    if (http_vary_is_any(all))
        f->storing = false;
    if (!all.p || !f->storing || slice_eq(all, f->vary))
        return all.p != NULL;
    return move_to_variant(f, all);
}

static struct rules_head rules_head_of(const struct fill *f, const struct fetch_head *head)
{
    return (struct rules_head){
        .plan = &f->plan,
        .status = head->status,
        .fields = &head->fields,
        .now_ms = clock_wall_ms(),
        .delay_ms = clock_mono_ms() - f->started_ms,
        .ttl_ms = f->route->ttl_ms,
    };
}

bool obey_head(struct fill *f, const struct fetch_head *head)
{
    if (!f->plan.obeys_upstream)
        return true;
    const struct rules_head h = rules_head_of(f, head);
    if (!http_rules_judge(&h, &f->arena, &f->rules))
        return false;
    if (!http_rules_keep(&h, &f->arena, &f->head.fields))
        return false;
    bool fits = f->head.fields.n <= STORE_RECORD_MAX / 2;
    f->storing = f->storing && f->rules.stores && head->framed && fits;
    return follow_vary(f);
}

void obey_not_modified(struct fill *f, const struct fetch_head *head)
{
    if (!f->plan.obeys_upstream)
        return;
    const struct rules_head h = rules_head_of(f, head);
    struct arena *a = &f->arena;
    f->has_fresh = store_lookup(f->home->reader, &f->node.key, a, &f->fresh, NULL) == ERR_OK &&
                   digest_equal(&f->fresh.content, &f->held.content) &&
                   http_rules_freshen(&h, a, &f->fresh);
}

enum err obey_put_fresh(struct fill *f, store_done_f *done)
{
    if (!f->has_fresh)
        return ERR_NOTFOUND;
    return store_put(f->home->engine->store, &f->node.key, &f->fresh, slice_of(NULL, 0), done, f);
}

void obey_complete(struct fill *f)
{
    struct fill_table *table = f->home->engine->table;
    if (!f->plan.obeys_upstream || f->rules.lifetime_ms > clock_wall_ms() - f->rules.validated_ms)
        return;
    fill_table_remove(table, &f->node);
    fill_table_remove(table, &f->plain_node);
}

void obey_entry(const struct fill *f, struct store_entry *e)
{
    if (!f->plan.obeys_upstream)
        return;
    e->has_lifetime = true;
    e->lifetime_ms = f->rules.lifetime_ms;
    e->must_revalidate = f->rules.must_revalidate;
    e->validated_ms = f->rules.validated_ms;
}

enum err obey_put_names(struct fill *f)
{
    if (!f->names_vary)
        return ERR_OK;
    struct store_entry e = {
        .name = arena_printf(&f->arena, "%.*s %.*s", SLICE_ARG(f->route->name),
                             SLICE_ARG(f->plan.resource)),
        .status = 200,
        .fetched_ms = f->vary_since_ms,
        .validated_ms = f->vary_since_ms,
        .content.algo = DIGEST_SHA256,
        .vary = f->vary,
    };
    sha256("", 0, e.content.bytes);
    return store_put(f->home->engine->store, &f->plain_node.key, &e, slice_of("", 0), NULL, NULL);
}

static struct slice named_by(struct fill *f, const struct fetch_head *head, enum http_field_id id)
{
    return http_rules_named_path(&f->arena, head->url, f->plan.upstream_path,
                                 http_fields_value(&head->fields, id));
}

void obey_note_named(struct fill *f, const struct fetch_head *head)
{
    if (!f->plan.obeys_upstream || !f->plan.outdates[0])
        return;
    f->named[0] = named_by(f, head, HF_LOCATION);
    f->named[1] = named_by(f, head, HF_CONTENT_LOCATION);
}

/* --- a lookup's side --- */

void obey_begin_lookup(struct lookup *l)
{
    l->vary = slice_of(NULL, 0);
    l->only_held = l->only_held || http_rules_only_held(l->plan);
}

void obey_forget_variant(struct lookup *l)
{
    if (l->vary.n)
        l->plan->variant = l->plain_variant;
    l->vary = slice_of(NULL, 0);
}

/* The plan's variant without values; before the first turn it is what the plan came with. */
static struct slice plain_variant(const struct lookup *l)
{
    return l->vary.n ? l->plain_variant : l->plan->variant;
}

static bool turn(struct lookup *l, struct slice vary, int64_t since_ms)
{
    struct slice plain = plain_variant(l);
    struct slice own = http_rules_variant(l->arena, plain, vary, since_ms, l->plan->request_fields);
    if (!own.p)
        return false;
    if (!l->vary.n)
        l->plain_key = l->key;
    l->plain_variant = plain;
    l->vary = vary;
    l->vary_since_ms = since_ms;
    l->plan->variant = own;
    return true;
}

bool obey_take_fresh(struct lookup *l)
{
    struct store_entry e;
    bool is_there = store_lookup(l->worker->reader, &l->key, l->arena, &e, NULL) == ERR_OK &&
                    digest_equal(&e.content, &l->held.content);
    if (is_there)
        l->held = e;
    return is_there;
}

bool obey_turn(struct lookup *l)
{
    /* All such entries share one content, which must not be evicted as the oldest. */
    store_touch(l->worker->reader, &l->held.content, l->now_ms);
    return turn(l, l->held.vary, l->held.fetched_ms);
}

bool obey_turn_by(struct lookup *l, const struct fill *f)
{
    struct slice vary = arena_copy(l->arena, f->vary); /* the fill may be over before the lookup */
    return vary.p && turn(l, vary, f->vary_since_ms);
}

bool obey_may_share(const struct lookup *l, const struct fill *f)
{
    return !f->plan.obeys_upstream || !l->joined || f->head.storing;
}

bool obey_suits(struct lookup *l, const struct fill *f)
{
    if (!f->vary.n || slice_eq(l->plan->variant, f->plan.variant))
        return true;
    struct slice own = http_rules_variant(l->arena, plain_variant(l), f->vary, f->vary_since_ms,
                                          l->plan->request_fields);
    return own.p && slice_eq(own, f->plan.variant);
}

int64_t obey_age_s(const struct fill *f)
{
    int64_t age_ms = clock_wall_ms() - f->rules.validated_ms;
    return age_ms > 0 ? age_ms / 1000 : 0;
}
