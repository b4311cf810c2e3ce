/*
 * The state machine of one fetch: an upstream is picked, authorised, asked; its answer is delivered
 * or the next one is picked. fetch.c has the dispatcher and the outer steps, fetch_token.c those
 * that get a token, fetch_request.c the request itself, fetch_place.c where it goes. All on the
 * uplink's reactor.
 */
#ifndef YT_UPSTREAM_FETCH_H
#define YT_UPSTREAM_FETCH_H

#include "base/buf.h"
#include "bearer.h"
#include "egress.h"
#include "set.h"
#include "tokens.h"
#include "transfer.h"
#include "verdict.h"

enum {
    UPLINK_FETCHES_MAX = 512,
    REDIRECTS_MAX = 5,
    DISCARD_MAX = 64 * 1024, /* a longer unwanted body costs the connection */
};

struct uplink {
    struct reactor *reactor;
    struct tokens *tokens;
    struct transfers *transfers;
    struct egress egress;
    int64_t response_timeout_ms;
    int64_t stall_timeout_ms;
    struct fetch *fetches; /* all that are not freed */
    size_t fetch_count;
};

/* X(id, function) */
#define FETCH_STEP_ROWS(X)                                                                         \
    X(PICK, pick)                                                                                  \
    X(AUTHORIZE, authorize)                                                                        \
    X(ASK_TOKEN, ask_token)                                                                        \
    X(TOKEN_IN, token_in)                                                                          \
    X(TOKEN_SHARED, token_shared)                                                                  \
    X(REQUEST, request)                                                                            \
    X(ANSWERED, answered)                                                                          \
    X(CONCLUDE, conclude)                                                                          \
    X(FINISH, finish)

enum fetch_step {
#define X(id, name) FETCH_STEP_##id,
    FETCH_STEP_ROWS(X)
#undef X
};

enum step_result {
    STEP_NEXT, /* run f->next */
    STEP_WAIT, /* f->next runs when the transfer, the token or the deadline is in */
    STEP_DONE, /* the fetch is over */
};

/* One upstream being asked; cleared for the next one. */
struct fetch_try {
    struct upstream *upstream; /* NULL: a foreign place */
    struct slice host;         /* for messages */
    bool probe;                /* its health is being found out */
    bool settled;              /* its health was told, or is not to be */

    struct slice url; /* what is asked now, NUL-terminated */
    struct http_url at;
    unsigned redirects;
    bool away; /* foreign, or redirected to another origin: no credentials from there on */

    struct upstream_auth auth;
    bool challenged;
    bool basic_sent;
    struct slice scope;
    struct token_key key;
    struct slice token;
    struct slice old_token; /* still good while it is renewed */
    bool token_fresh;       /* not from the cache */
    bool token_shared;      /* another fetch has just asked for it */
    bool leading;
    bool token_retried;
    bool scope_retried;
    enum realm_trust trust;
};

/* What the running or last transfer has brought. */
struct fetch_exchange {
    struct transfer *transfer; /* NULL: over */
    bool for_token;
    struct slice url;
    int64_t began_ms;
    bool proxied;
    const char *blocked; /* why nothing was sent */
    int status;
    uint64_t received;
    uint64_t discarded;
    enum err result;
    struct errinfo info;
    struct answer_head *head; /* set when it is over */
};

struct fetch {
    struct uplink *uplink;
    struct fetch *prev, *next_fetch;
    struct mail mail;
    bool mailed;
    bool started;
    bool cancelled;
    bool resumed;
    bool closed; /* over; freed when no mail is on its way */
    const struct fetch_ops *ops;
    void *arg;
    struct fetch_request ask;
    bool once;               /* the method may change something: one upstream, one try */
    struct upstream *origin; /* ask.url is there, though not below its base; or NULL */
    bool foreign;            /* ask.url is at no upstream's origin */
    struct arena arena;

    enum fetch_step step;
    enum fetch_step next;
    struct timer deadline;

    size_t tried; /* upstreams */
    struct fetch_try try;
    struct arena try_arena;
    struct fetch_exchange exchange;
    struct token_waiter waiter;
    bool waiting; /* for the waiter's mail */
    struct buf token_answer;

    enum verdict verdict;
    bool delivering; /* on_head was called with a body to come */
    bool held;       /* on_head said pause */
    bool paused;     /* the transfer is */
    bool starved;    /* the upstream waits for more of the request's body */
    bool aborted;    /* the consumer wants no more */
    int64_t last_byte_ms;

    bool failed;                  /* an upstream did */
    struct answer_head *failure;  /* its answer, 429 or 5xx */
    struct slice failure_url;     /* where it came from */
    int negative_status;          /* the answer to give when none is better; 0: none */
    struct answer_head *negative; /* its head; NULL: of the token service, not to be shown */
    struct slice negative_url;
    enum err result;
    struct errinfo info;
};

/* --- fetch.c --- */

/* Runs the steps; the fetch may be freed when it returns. Nothing may be done with it after. */
void fetch_run(struct fetch *f);
/* Anew, after a sign of life. None runs while others than the upstream are slow. */
void fetch_set_deadline(struct fetch *f);
/* Tells the upstream's health what this attempt has shown, once. */
void fetch_tell_success(struct fetch *f);
void fetch_tell_failure(struct fetch *f, const struct answer_head *head);
void fetch_tell_nothing(struct fetch *f);
/* The attempt has failed with f->exchange's result: health, counter, f->info; then the next one. */
enum step_result fetch_try_failed(struct fetch *f);
/* The same of an answer that is delivered all the same. */
void fetch_failed_answer(struct fetch *f, const struct answer_head *head);
/* This upstream has the object not, or not for us; `head` may be NULL. Then the next one. */
enum step_result fetch_try_negative(struct fetch *f, int status, struct answer_head *head);
/* Ends the fetch with an error of our own. */
enum step_result fetch_give_up(struct fetch *f, enum err code, const char *why);

/* --- fetch_place.c --- */

/* Finds out what request->url means. false: it is no place that can be asked. */
bool fetch_place_find(struct fetch *f);
/* A new try and its deadline. false: no room, or not a path that can be asked for. */
bool fetch_place_begin(struct fetch *f, struct upstream *u, bool probe);
bool fetch_place_begin_foreign(struct fetch *f);
/* May what is at this address answer, given where the upstreams themselves are? */
bool fetch_address_allowed(const struct fetch *f, const char *address);
/* The same of the host that is to be asked now, before anything is connected. */
bool fetch_host_allowed(const struct fetch *f);
/* Why not. */
const char *fetch_blocked_text(const struct fetch *f);

/* --- fetch_request.c --- */

/* Begins a transfer; f->next runs when it is over. */
enum step_result fetch_exchange_begin(struct fetch *f, struct slice url,
                                      const struct transfer_request *request,
                                      const struct transfer_ops *ops);
/* For on_done of every transfer: notes the result and runs the next step. */
void fetch_exchange_done(void *arg, enum err result, const struct errinfo *info);
/* Ends a running transfer from outside of its callbacks. */
void fetch_exchange_end(struct fetch *f, enum err result, const char *why);
/* The attempt's line in the log. */
void fetch_exchange_log(struct fetch *f);
/* Room for an unwanted body of that many bytes more? */
bool fetch_exchange_discard(struct fetch *f, uint64_t n);

/* The steps. */
#define X(id, name) enum step_result fetch_step_##name(struct fetch *f);
FETCH_STEP_ROWS(X)
#undef X

/* After a 401 or 403 of the upstream itself: try again with other credentials, or negative. */
enum step_result fetch_meet_challenge(struct fetch *f);
/* The value for Authorization, or an empty slice. */
struct slice fetch_credentials(struct fetch *f);

#endif
