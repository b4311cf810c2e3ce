/*
 * What the two halves of a lookup share: lookup.c looks for the object itself, lookup_page.c for
 * what it is made from, and for the page that must name it.
 */
#ifndef YT_CACHE_LOOKUP_H
#define YT_CACHE_LOOKUP_H

#include "worker.h"

/* --- lookup.c --- */
enum lookup_state lookup_give_error(struct lookup *l, enum plan_error error, const char *detail,
                                    const struct fill_view *view);
/* What is held becomes the answer. */
enum lookup_state lookup_give_held(struct lookup *l, const struct cache_status *cs);
enum lookup_state lookup_give_stale(struct lookup *l, bool failure, int upstream_status);
/* Lets go of what is held. */
void lookup_drop_held(struct lookup *l);
/* Looks for the object from the start; what was proven stays so. */
enum lookup_state lookup_begin(struct lookup *l);
/* Bounds the whole wait; the first call counts. */
void lookup_set_patience(struct lookup *l, int64_t ms);
/* Follows the fill under l->key, which is started if there is none. */
enum lookup_state lookup_follow_or_fill(struct lookup *l, enum fill_purpose purpose);
/* A wait is over, perhaps: tells the client when it is. */
void lookup_woken(struct lookup *l, enum lookup_state state);

/* --- lookup_page.c --- */
/* The plan has a source: its answer decides what becomes of this. */
enum lookup_state lookup_made(struct lookup *l);
/* A page must name the object, and none was read yet. */
bool lookup_needs_proof(const struct lookup *l);
enum lookup_state lookup_prove(struct lookup *l);

#endif
