#include "tokens.h"
#include "base/container.h"
#include <stdlib.h>

enum { BUCKETS = 256 };

struct token_entry {
    struct token_entry *next;
    struct token_key key;
    char *token; /* NULL: none yet */
    size_t length;
    int64_t renew_at;
    int64_t dead_at;
    bool led; /* somebody asks the service */
    struct token_waiter *waiters;
};

struct tokens {
    pthread_mutex_t lock; /* taken before a reactor's mailbox lock; never held across a callback */
    size_t n;
    struct token_entry *buckets[BUCKETS];
};

struct tokens *tokens_new(void)
{
    struct tokens *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

static void entry_free(struct token_entry *e)
{
    free(e->token);
    free(e);
}

void tokens_free(struct tokens **tp)
{
    struct tokens *t = *tp;
    if (!t)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (t->buckets[i]) {
            struct token_entry *e = t->buckets[i];
            t->buckets[i] = e->next;
            entry_free(e);
        }
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
    *tp = NULL;
}

static void hash_part(struct hasher *h, struct slice part)
{
    uint64_t n = part.n; /* its length first, so that two lists of parts never look alike */
    hasher_update(h, &n, sizeof n);
    hasher_update(h, part.p, part.n);
}

void token_key_make(struct token_key *key, const struct upstream *u, struct slice realm,
                    struct slice service, struct slice scope)
{
    struct hasher *h = hasher_new(DIGEST_NONE);
    struct digest d;
    hash_part(h, slice_str(u->url));
    hash_part(h, slice_str(u->basic));
    hash_part(h, realm);
    hash_part(h, service);
    hash_part(h, scope);
    hasher_digest(h, DIGEST_SHA256, &d);
    hasher_free(&h);
    memcpy(key->id, d.bytes, sizeof key->id);
}

/* The place that points at the entry, or at the end of its bucket. Lock held. */
static struct token_entry **find(struct tokens *t, const struct token_key *key)
{
    struct token_entry **at = &t->buckets[key->id[0]];
    while (*at && memcmp((*at)->key.id, key->id, sizeof key->id) != 0)
        at = &(*at)->next;
    return at;
}

static void unlink_entry(struct tokens *t, struct token_entry **at)
{
    struct token_entry *e = *at;
    *at = e->next;
    t->n--;
    entry_free(e);
}

/* Gives up the token that would die first among those that nobody is asking for. Lock held. */
static bool make_room(struct tokens *t)
{
    struct token_entry **victim = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct token_entry **at = &t->buckets[i]; *at; at = &(*at)->next)
            if (!(*at)->led && (!victim || (*at)->dead_at < (*victim)->dead_at))
                victim = at;
    if (victim)
        unlink_entry(t, victim);
    return victim != NULL;
}

/* Lock held. NULL when all entries are in use or memory is out. */
static struct token_entry *find_or_add(struct tokens *t, const struct token_key *key)
{
    struct token_entry *e = *find(t, key);
    if (e)
        return e;
    if (t->n >= TOKENS_MAX && !make_room(t))
        return NULL;
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->key = *key;
    e->next = t->buckets[key->id[0]];
    t->buckets[key->id[0]] = e;
    t->n++;
    return e;
}

static void on_mail(struct mail *m)
{
    struct token_waiter *w = container_of(m, struct token_waiter, mail);
    w->on_outcome(w);
}

static void enqueue(struct token_entry *e, struct token_waiter *w)
{
    w->mail.run = on_mail;
    w->queued = true;
    w->next = e->waiters;
    e->waiters = w;
}

enum token_state tokens_take(struct tokens *t, const struct token_key *key, int64_t now,
                             struct token_waiter *w, struct arena *a, struct slice *token)
{
    enum token_state state = TOKEN_FULL;
    *token = slice_of(NULL, 0);
    pthread_mutex_lock(&t->lock);
    struct token_entry *e = find_or_add(t, key);
    bool alive = e && e->token && now < e->dead_at;
    if (alive)
        *token = arena_copy(a, slice_of(e->token, e->length));
    if (e && !e->led && !(alive && now < e->renew_at)) {
        e->led = true;
        state = TOKEN_LEAD;
    } else if (token->p) {
        state = TOKEN_READY;
    } else if (e && e->led) {
        enqueue(e, w);
        state = TOKEN_WAIT;
    }
    pthread_mutex_unlock(&t->lock);
    return state;
}

/* Lock held: the mail is posted when the lock is free again, so tokens_leave's answer is exact. */
static void tell_waiters(struct token_entry *e, enum token_outcome outcome)
{
    e->led = false;
    while (e->waiters) {
        struct token_waiter *w = e->waiters;
        e->waiters = w->next;
        w->queued = false;
        w->outcome = outcome;
        reactor_post(w->home, &w->mail);
    }
}

void tokens_put(struct tokens *t, const struct token_key *key, int64_t now, struct slice token,
                int64_t lifetime_s)
{
    pthread_mutex_lock(&t->lock);
    struct token_entry *e = *find(t, key);
    char *copy = e ? malloc(token.n + 1) : NULL;
    if (copy) {
        memcpy(copy, token.p, token.n);
        copy[token.n] = '\0';
        free(e->token);
        e->token = copy;
        e->length = token.n;
        e->renew_at = now + lifetime_s * 850;
        e->dead_at = now + lifetime_s * 1000;
    }
    if (e)
        tell_waiters(e, copy ? TOKEN_HERE : TOKEN_FAILED);
    pthread_mutex_unlock(&t->lock);
}

void tokens_fail(struct tokens *t, const struct token_key *key, enum token_outcome outcome)
{
    pthread_mutex_lock(&t->lock);
    struct token_entry **at = find(t, key);
    if (*at) {
        tell_waiters(*at, outcome);
        if (!(*at)->token)
            unlink_entry(t, at);
    }
    pthread_mutex_unlock(&t->lock);
}

void tokens_drop(struct tokens *t, const struct token_key *key, struct slice token)
{
    pthread_mutex_lock(&t->lock);
    struct token_entry **at = find(t, key);
    struct token_entry *e = *at;
    if (e && e->token && slice_eq(slice_of(e->token, e->length), token)) {
        free(e->token);
        e->token = NULL;
        if (!e->led)
            unlink_entry(t, at);
    }
    pthread_mutex_unlock(&t->lock);
}

bool tokens_leave(struct tokens *t, const struct token_key *key, struct token_waiter *w)
{
    pthread_mutex_lock(&t->lock);
    bool queued = w->queued;
    struct token_entry *e = *find(t, key);
    for (struct token_waiter **at = e ? &e->waiters : NULL; queued && at && *at;
         at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            w->queued = false;
            break;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return queued;
}
