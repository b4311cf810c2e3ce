/* Getting leave to ask: Basic, and Bearer tokens from their service. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/instance.h"
#include "base/log.h"
#include "fetch.h"

struct slice fetch_credentials(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    if (f->ask.authorization.n)
        return f->ask.authorization;
    /* A request that is sent once cannot wait to be asked for them. */
    bool unasked = f->once && t->auth.scheme == CHALLENGE_NONE;
    if ((t->auth.scheme == CHALLENGE_BASIC || unasked) && t->upstream->basic) {
        t->basic_sent = true;
        return slice_str(t->upstream->basic);
    }
    if (t->auth.scheme == CHALLENGE_BEARER && t->token.p)
        return arena_printf(&f->try_arena, "Bearer %.*s", SLICE_ARG(t->token));
    return slice_of(NULL, 0);
}

static enum step_result go(struct fetch *f, enum fetch_step next)
{
    f->next = next;
    return STEP_NEXT;
}

/* What was learned earlier spares the first 401; the scope must then be known too. */
enum step_result fetch_step_authorize(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    if (f->ask.authorization.n || t->auth.scheme != CHALLENGE_BEARER ||
        (!t->challenged && !t->scope.n))
        return go(f, FETCH_STEP_REQUEST);
    token_key_make(&t->key, t->upstream, t->auth.realm, t->auth.service, t->scope);
    f->waiter.home = f->uplink->reactor;
    struct slice token;
    enum token_state state =
        tokens_take(f->uplink->tokens, &t->key, clock_mono_ms(), &f->waiter, &f->try_arena, &token);
    switch (state) {
    case TOKEN_READY:
        t->token = token;
        t->token_fresh = t->token_shared;
        return go(f, FETCH_STEP_REQUEST);
    case TOKEN_WAIT:
        f->waiting = true;
        f->next = FETCH_STEP_TOKEN_SHARED;
        return STEP_WAIT;
    case TOKEN_LEAD:
        t->leading = true;
        t->old_token = token;
        break;
    case TOKEN_FULL:
        break;
    }
    return go(f, FETCH_STEP_ASK_TOKEN);
}

/* --- the request to the service --- */

static bool on_connected(void *arg, const char *address)
{
    struct fetch *f = arg;
    bool allowed = f->try.trust == REALM_CONFIGURED || fetch_address_allowed(f, address);
    if (!allowed)
        f->exchange.blocked = "the token service has an address that this upstream may not name";
    return allowed && !f->cancelled;
}

static enum fetch_flow on_head(void *arg, struct answer_head *head)
{
    struct fetch *f = arg;
    f->exchange.status = head->status;
    return f->cancelled ? FETCH_ABORT : FETCH_CONTINUE;
}

static enum fetch_flow on_body(void *arg, const void *bytes, size_t n)
{
    struct fetch *f = arg;
    if (f->exchange.status != 200)
        return fetch_exchange_discard(f, n) ? FETCH_CONTINUE : FETCH_ABORT;
    f->exchange.received += n;
    buf_add(&f->token_answer, slice_of(bytes, n));
    return f->token_answer.failed || f->cancelled ? FETCH_ABORT : FETCH_CONTINUE;
}

static const struct transfer_ops token_ops = {
    .on_connected = on_connected,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = fetch_exchange_done,
};

enum step_result fetch_step_ask_token(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    const char *why;
    t->trust = bearer_realm_trust(t->upstream, t->auth.realm, &why);
    struct slice url = bearer_url(&f->try_arena, t->auth.realm, t->auth.service, t->scope);
    struct slice lines[] = {
        SLICE("User-Agent: yantian/" YT_VERSION),
        arena_printf(&f->try_arena, "Via: %.*s", SLICE_ARG(instance_via())),
        SLICE("Accept: application/json"),
        SLICE("Accept-Encoding: identity"),
        {NULL, 0},
    };
    struct transfer_request r = {.lines = lines, .line_count = 4};
    if (t->upstream->basic) {
        lines[4] = arena_printf(&f->try_arena, "Authorization: %s", t->upstream->basic);
        r.line_count = 5;
    }
    if (!url.p || !lines[1].p || t->trust == REALM_REFUSED || (t->upstream->basic && !lines[4].p))
        return fetch_give_up(f, ERR_LIMIT, "no room for a token request");
    buf_clear(&f->token_answer);
    counter_inc(COUNTER_TOKEN_REQUESTS);
    f->next = FETCH_STEP_TOKEN_IN;
    enum step_result result = fetch_exchange_begin(f, url, &r, &token_ops);
    f->exchange.for_token = true;
    return result;
}

/* Tells those who wait; nothing when this fetch asked for itself alone. */
static void lead_no_more(struct fetch *f, enum token_outcome outcome)
{
    if (f->try.leading)
        tokens_fail(f->uplink->tokens, &f->try.key, outcome);
    f->try.leading = false;
}

static bool token_arrived(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    struct fetch_exchange *x = &f->exchange;
    int64_t lifetime;
    if (x->result != ERR_OK)
        return false;
    if (x->status != 200) {
        x->result = err_set(&x->info, ERR_UPSTREAM, "the token service answered %d", x->status);
        return false;
    }
    x->result =
        bearer_parse(buf_slice(&f->token_answer), &f->try_arena, &t->token, &lifetime, &x->info);
    if (x->result != ERR_OK)
        return false;
    if (t->leading)
        tokens_put(f->uplink->tokens, &t->key, clock_mono_ms(), t->token, lifetime);
    t->leading = false;
    t->token_fresh = true;
    return true;
}

enum step_result fetch_step_token_in(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    int status = f->exchange.status;
    if (token_arrived(f))
        return go(f, FETCH_STEP_REQUEST);
    if (status == 401 || status == 403) {
        lead_no_more(f, TOKEN_REFUSED);
        return fetch_try_negative(f, 401, NULL);
    }
    lead_no_more(f, TOKEN_FAILED);
    if (!t->old_token.p)
        return fetch_try_failed(f);
    t->token = t->old_token;
    t->token_fresh = false;
    timer_set(&f->deadline, f->uplink->response_timeout_ms); /* may have run out */
    return go(f, FETCH_STEP_REQUEST);
}

/* Another fetch has asked, and this is what came of it. */
enum step_result fetch_step_token_shared(struct fetch *f)
{
    switch (f->waiter.outcome) {
    case TOKEN_HERE:
    case TOKEN_DROPPED:
        f->try.token_shared = true;
        return go(f, FETCH_STEP_AUTHORIZE);
    case TOKEN_REFUSED:
        return fetch_try_negative(f, 401, NULL);
    case TOKEN_FAILED:
        break;
    }
    fetch_tell_nothing(f); /* who asked has told the upstream's health */
    f->exchange.result =
        err_set(&f->exchange.info, ERR_UPSTREAM, "the token service gave no token");
    return fetch_try_failed(f);
}

/* --- after a 401 or 403 --- */

static enum step_result refused(struct fetch *f)
{
    struct answer_head *head = f->exchange.head;
    f->exchange.head = NULL;
    return fetch_try_negative(f, f->exchange.status, head);
}

static enum step_result authorize_again(struct fetch *f)
{
    f->try.token = slice_of(NULL, 0);
    f->try.token_shared = false;
    return go(f, FETCH_STEP_AUTHORIZE);
}

/* The token that was sent did not do. One more try if another one may. */
static enum step_result token_rejected(struct fetch *f, const struct challenge *c)
{
    struct fetch_try *t = &f->try;
    struct token_key wanted;
    bool invalid = slice_ieq(c->error, SLICE("invalid_token")) || (!c->error.n && !t->token_fresh);
    if (invalid)
        tokens_drop(f->uplink->tokens, &t->key, t->token);
    token_key_make(&wanted, t->upstream, t->auth.realm, t->auth.service, t->scope);
    if (memcmp(wanted.id, t->key.id, sizeof wanted.id) != 0 && !t->scope_retried) {
        t->scope_retried = true;
        return authorize_again(f);
    }
    if (invalid && !t->token_retried) {
        t->token_retried = true;
        return authorize_again(f);
    }
    return refused(f);
}

static enum step_result meet_bearer(struct fetch *f, const struct challenge *c)
{
    struct fetch_try *t = &f->try;
    const char *why;
    if (bearer_realm_trust(t->upstream, c->realm, &why) == REALM_REFUSED) {
        log_warn("upstream", LF_SLICE("id", f->ask.id), LF_STR("url", t->upstream->url),
                 LF_SLICE("realm", slice_to(c->realm, slice_find(c->realm, '?'))),
                 LF_STR("error", why));
        return refused(f);
    }
    t->auth.scheme = CHALLENGE_BEARER;
    t->auth.realm = arena_copy(&f->try_arena, c->realm);
    t->auth.service = arena_copy(&f->try_arena, c->service);
    t->scope = bearer_scope_sorted(&f->try_arena, c->scope.n ? c->scope : f->ask.scope);
    t->challenged = true;
    if (!t->auth.realm.p || !t->auth.service.p || !t->scope.p)
        return fetch_give_up(f, ERR_LIMIT, "the challenge is too long");
    upstream_auth_learn(t->upstream, &t->auth);
    return t->token.p ? token_rejected(f, c) : go(f, FETCH_STEP_AUTHORIZE);
}

static enum step_result meet_basic(struct fetch *f)
{
    struct fetch_try *t = &f->try;
    if (!t->upstream->basic || t->basic_sent)
        return refused(f);
    t->auth = (struct upstream_auth){.scheme = CHALLENGE_BASIC};
    upstream_auth_learn(t->upstream, &t->auth);
    return go(f, FETCH_STEP_AUTHORIZE);
}

enum step_result fetch_meet_challenge(struct fetch *f)
{
    struct challenge c = {.scheme = CHALLENGE_NONE};
    challenge_find(&f->exchange.head->fields, &f->try_arena, &c);
    bool may_help = f->exchange.status == 401 || slice_ieq(c.error, SLICE("insufficient_scope"));
    if (!may_help)
        return refused(f);
    switch (c.scheme) {
    case CHALLENGE_BEARER:
        return meet_bearer(f, &c);
    case CHALLENGE_BASIC:
        return meet_basic(f);
    case CHALLENGE_NONE:
        break;
    }
    /* Some registries refuse a token that has expired without any challenge. */
    return f->try.token.p ? token_rejected(f, &c) : refused(f);
}
