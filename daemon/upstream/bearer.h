/* Asking a token service (the registry's spec/auth/token.md). Pure. */
#ifndef YT_UPSTREAM_BEARER_H
#define YT_UPSTREAM_BEARER_H

#include "base/err.h"
#include "set.h"

enum {
    TOKEN_LENGTH_MAX = 8 * 1024,
    TOKEN_ANSWER_MAX = 64 * 1024,
    TOKEN_LIFETIME_MIN_S = 60, /* also when the answer names none; clients do the same */
    TOKEN_LIFETIME_MAX_S = 24 * 3600,
};

enum realm_trust {
    REALM_REFUSED,
    REALM_RELATED,    /* the upstream's own host, or a sibling of it */
    REALM_CONFIGURED, /* listed in token_realms: may also be at a private address */
};

/*
 * May this upstream name that realm? A hostile 401 must not choose who gets the credentials. *why
 * is a static text when it may not.
 */
enum realm_trust bearer_realm_trust(const struct upstream *u, struct slice realm, const char **why);

/* realm?service=...&scope=...&scope=...; p == NULL when the arena is full. */
struct slice bearer_url(struct arena *a, struct slice realm, struct slice service,
                        struct slice scope);

/* Scopes apart, sorted, without doubles, joined by one blank; p == NULL when the arena is full. */
struct slice bearer_scope_sorted(struct arena *a, struct slice scope);

/*
 * The service's 200. `token` is copied into the arena and fit for a field value. ERR_PROTO when
 * there is none in it.
 */
YT_MUST_CHECK enum err bearer_parse(struct slice body, struct arena *a, struct slice *token,
                                    int64_t *lifetime_s, struct errinfo *info);

#endif
