/* WWW-Authenticate challenges (RFC 9110 section 11.6.1; Bearer: the registry's spec/auth/token.md).
 */
#ifndef YT_HTTP_CHALLENGE_H
#define YT_HTTP_CHALLENGE_H

#include "http/fields.h"

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
    enum challenge_scheme scheme;
    struct slice realm;
    struct slice service;
    struct slice scope; /* several, separated by blanks; commas occur inside */
    struct slice error; /* invalid_token, insufficient_scope, ... */
};

/*
 * Finds the challenge to use among all lines and all challenges of each line: Bearer before Basic,
 * the first of its kind. Schemes and parameter names in any case, quoted-string escapes resolved
 * into the arena, token values without quotes accepted. A Bearer challenge without a realm is
 * passed over: there is no place to ask. Of a parameter that stands twice the first counts. Broken
 * text spoils the challenge it stands in and the rest of its line, nothing before. Slices point
 * into the fields' values or into the arena and hold no controls; unset ones have p == NULL.
 */
void challenge_find(const struct http_fields *fields, struct arena *a, struct challenge *out);

#endif
