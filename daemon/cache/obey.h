/*
 * plan.obeys_upstream in lookups and fills: by http_rules.h an answer is stored or not, under the
 * plan's own key or, when it varies, under one of its variants. Nothing here does anything for
 * other plans.
 *
 * An answer that varies is held twice over: an entry without a body under the plan's own key names
 * the request fields and says since when they decide; the answer itself is under the variant that
 * this request's values make.
 */
#ifndef YT_CACHE_OBEY_H
#define YT_CACHE_OBEY_H

#include "fill.h"
#include "http_rules.h"

/* --- a fill's side; on its home reactor --- */

/* When f->plan is a copy of the plan. false: no room. */
bool obey_begin(struct fill *f, const struct fill_spec *spec);

/*
 * The first head of a body: decides about storing, takes the key of its variant, and keeps the
 * fields. Whoever has joined, or joins, under the plain key finds out by obey_suits. false: no
 * room.
 */
bool obey_head(struct fill *f, const struct fetch_head *head);

/* A refresh was answered with 304: notes in f->fresh what becomes of the entry, if it is there. */
void obey_not_modified(struct fill *f, const struct fetch_head *head);
/* Queues it, with `f` for `done`. ERR_NOTFOUND: it is gone, and whoever looks again will see. */
YT_MUST_CHECK enum err obey_put_fresh(struct fill *f, store_done_f *done);

/*
 * The body is complete: one that is stale as it comes is for those who have asked already. Whoever
 * comes later must ask the upstream.
 */
void obey_complete(struct fill *f);

/* Completes the entry of a body. */
void obey_entry(const struct fill *f, struct store_entry *e);

/* Queues the entry that names the fields, if there is none that does. */
YT_MUST_CHECK enum err obey_put_names(struct fill *f);

/*
 * The answer to a request that may have changed something: notes in f->named by which paths clients
 * know what its Location and Content-Location name.
 */
void obey_note_named(struct fill *f, const struct fetch_head *head);

/* --- a lookup's side --- */

/* Before it looks for the first time. */
void obey_begin_lookup(struct lookup *l);
/* Before it looks anew: the names may have changed. */
void obey_forget_variant(struct lookup *l);

/*
 * A refresh has found what is held current, and has changed its fields and its lifetime. false: it
 * was replaced meanwhile.
 */
bool obey_take_fresh(struct lookup *l);

/* What is held names the fields that decide: goes on to this request's variant. false: no room. */
bool obey_turn(struct lookup *l);

/*
 * Is the answer of this fill, whose head is known, for others than who has started it? Not when it
 * may not be stored: then it was for that one request.
 */
bool obey_may_share(const struct lookup *l, const struct fill *f);
/* Is the answer of this fill, whose head is known, one for this request too? */
bool obey_suits(struct lookup *l, const struct fill *f);
/* If not: goes on to this request's variant by what the fill has learned. false: no room. */
bool obey_turn_by(struct lookup *l, const struct fill *f);

/* How old the answer of this fill is by now. */
int64_t obey_age_s(const struct fill *f);

#endif
