/*
 * Bearer tokens of the whole process, in memory only. One fetch at a time asks for a token (it
 * leads); others that want the same one wait and are told by mail on their own reactor. Any thread.
 */
#ifndef YT_UPSTREAM_TOKENS_H
#define YT_UPSTREAM_TOKENS_H

#include "base/digest.h"
#include "io/reactor.h"
#include "set.h"

enum { TOKENS_MAX = 1024 };

/* A hash over everything that a token depends on, so that no secret stands in the table twice. */
struct token_key {
    unsigned char id[SHA256_BYTES];
};

/* `scope` as bearer_scope_sorted gives it. */
void token_key_make(struct token_key *key, const struct upstream *u, struct slice realm,
                    struct slice service, struct slice scope);

enum token_state {
    TOKEN_READY,
    TOKEN_LEAD, /* the caller asks the service and reports with tokens_put or tokens_fail */
    TOKEN_WAIT, /* somebody asks; on_outcome comes */
    TOKEN_FULL, /* no room: ask for oneself, report nothing */
};

enum token_outcome {
    TOKEN_HERE,    /* take again */
    TOKEN_REFUSED, /* the service said 401 or 403 */
    TOKEN_FAILED,  /* no answer, or nonsense */
    TOKEN_DROPPED, /* who asked has gone: take again, perhaps to lead */
};

struct token_waiter {
    struct mail mail;
    struct reactor *home;
    struct token_waiter *next;
    bool queued; /* in the table; guarded by its lock */
    enum token_outcome outcome;
    void (*on_outcome)(struct token_waiter *w); /* on the home reactor */
};

/*
 * `now` in monotonic milliseconds. A token in the last 15% of its life is renewed by the first who
 * asks: that one leads and has the old one in *token too, while the others get the old one. *token
 * is a copy in the arena, p == NULL without one. `w` must live until its mail has run.
 */
enum token_state tokens_take(struct tokens *t, const struct token_key *key, int64_t now,
                             struct token_waiter *w, struct arena *a, struct slice *token);
void tokens_put(struct tokens *t, const struct token_key *key, int64_t now, struct slice token,
                int64_t lifetime_s);
void tokens_fail(struct tokens *t, const struct token_key *key, enum token_outcome outcome);
/* The upstream refused this token: forget it, unless a newer one came meanwhile. */
void tokens_drop(struct tokens *t, const struct token_key *key, struct slice token);
/* true: the waiter is out of the table; false: its mail is on its way and must be waited for. */
bool tokens_leave(struct tokens *t, const struct token_key *key, struct token_waiter *w);

#endif
