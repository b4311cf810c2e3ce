/* The upstreams of a route, and what was learned of each one. Shared by all workers. */
#ifndef YT_UPSTREAM_SET_H
#define YT_UPSTREAM_SET_H

#include "address.h"
#include "health.h"
#include "http/challenge.h"
#include "http/url.h"
#include "upstream/upstream.h"
#include <stdatomic.h>

/* How an upstream wants to be authorised, as far as its challenges have told. */
struct upstream_auth {
    enum challenge_scheme scheme;
    struct slice realm; /* Bearer: where tokens are */
    struct slice service;
};

struct upstream {
    char *url;            /* no trailing slash */
    struct http_url base; /* the same in parts; slices into url */
    char *username;
    char *password;
    char *basic; /* "Basic ..." of the cache's own account, or NULL */
    struct config_strings token_realms;
    struct health health;
    /* enum address_reach of where it answered from last; before that as far as the URL tells */
    _Atomic int reach;
    pthread_mutex_t lock; /* of the learned */
    char *learned_realm;
    char *learned_service;
    enum challenge_scheme learned_scheme;
};

struct upstream_set {
    size_t n;
    struct upstream *v;
};

/* What is known, copied into the arena. CHALLENGE_NONE when nothing is, or the arena is full. */
void upstream_auth_known(struct upstream *u, struct arena *a, struct upstream_auth *out);
/* Later fetches come authorised at once. Too long texts are not remembered. */
void upstream_auth_learn(struct upstream *u, const struct upstream_auth *auth);

#endif
