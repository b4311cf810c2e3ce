#include "bearer.h"
#include "base/buf.h"
#include "base/json.h"
#include <stdlib.h>

enum { SCOPES_MAX = 16, JSON_DEPTH_MAX = 16 };

static bool is_configured(const struct upstream *u, const struct http_url *realm)
{
    for (size_t i = 0; i < u->token_realms.n; i++) {
        struct slice host;
        unsigned port;
        if (http_authority_parse(slice_str(u->token_realms.v[i]), &host, &port) &&
            slice_ieq(host, realm->host) && (port == 0 || port == realm->port))
            return true;
    }
    return false;
}

enum realm_trust bearer_realm_trust(const struct upstream *u, struct slice realm, const char **why)
{
    struct http_url url;
    *why = NULL;
    if (!http_url_parse(realm, &url)) {
        *why = "the challenge names no usable realm";
        return REALM_REFUSED;
    }
    if (u->base.https && !url.https) {
        *why = "the challenge names a realm without TLS";
        return REALM_REFUSED;
    }
    if (is_configured(u, &url))
        return REALM_CONFIGURED;
    if (slice_ieq(u->base.host, url.host) || http_hosts_are_siblings(u->base.host, url.host))
        return REALM_RELATED;
    *why = "the challenge names a foreign realm; token_realms can allow it";
    return REALM_REFUSED;
}

/* RFC 3986 section 2.3: unreserved characters stay; so do ':', '/' and ',', which a query may hold.
 */
static void add_escaped(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~:/,", c));
        if (plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

static void add_parameter(struct buf *b, char *separator, const char *name, struct slice value)
{
    buf_addc(b, *separator);
    *separator = '&';
    buf_addf(b, "%s=", name);
    add_escaped(b, value);
}

/* Takes the next scope off a list that blanks separate. */
static bool next_scope(struct slice *list, struct slice *scope)
{
    *list = slice_trim(*list);
    size_t blank = slice_find(*list, ' '), tab = slice_find(*list, '\t');
    *scope = slice_to(*list, blank < tab ? blank : tab);
    *list = slice_from(*list, scope->n);
    return scope->n > 0;
}

struct slice bearer_url(struct arena *a, struct slice realm, struct slice service,
                        struct slice scope)
{
    struct buf b;
    struct slice one, url = {NULL, 0};
    realm = slice_to(realm, slice_find(realm, '#'));
    char separator = slice_find(realm, '?') < realm.n ? '&' : '?';
    buf_init(&b, HTTP_URL_MAX);
    buf_add(&b, realm);
    if (service.n)
        add_parameter(&b, &separator, "service", service);
    while (next_scope(&scope, &one))
        add_parameter(&b, &separator, "scope", one);
    if (!b.failed)
        url = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return url;
}

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = memcmp(x->p, y->p, n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

struct slice bearer_scope_sorted(struct arena *a, struct slice scope)
{
    struct slice v[SCOPES_MAX];
    size_t n = 0, length = 0;
    struct slice rest = scope;
    while (n < SCOPES_MAX && next_scope(&rest, &v[n]))
        n++;
    if (slice_trim(rest).n)
        return arena_copy(a, scope); /* more than anybody asks for: taken as it is */
    qsort(v, n, sizeof v[0], compare);
    char *out = arena_alloc(a, scope.n + 1);
    for (size_t i = 0; out && i < n; i++) {
        if (i > 0 && slice_eq(v[i], v[i - 1]))
            continue;
        if (length)
            out[length++] = ' ';
        memcpy(out + length, v[i].p, v[i].n);
        length += v[i].n;
    }
    return slice_of(out, length);
}

struct token_answer {
    struct arena *arena;
    struct slice token;
    struct slice access_token;
    uint64_t expires_in;
};

static bool on_member(void *arg, const struct json_event *event)
{
    struct token_answer *answer = arg;
    if (event->depth != 1)
        return true;
    if (event->kind == JSON_STRING && slice_eq(event->key, SLICE("token")))
        answer->token = arena_copy(answer->arena, event->text);
    if (event->kind == JSON_STRING && slice_eq(event->key, SLICE("access_token")))
        answer->access_token = arena_copy(answer->arena, event->text);
    if (event->kind == JSON_NUMBER && slice_eq(event->key, SLICE("expires_in")) &&
        !slice_u64(event->text, &answer->expires_in))
        answer->expires_in = 0;
    return true;
}

/* One word of visible ASCII: anything else could break the field that it will stand in. */
static bool is_token_text(struct slice token)
{
    if (token.n == 0 || token.n > TOKEN_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return false;
    return true;
}

enum err bearer_parse(struct slice body, struct arena *a, struct slice *token, int64_t *lifetime_s,
                      struct errinfo *info)
{
    struct token_answer answer = {.arena = a};
    if (json_walk(body, JSON_DEPTH_MAX, on_member, &answer) != ERR_OK)
        return err_set(info, ERR_PROTO, "the token service did not answer with JSON");
    *token = answer.token.n ? answer.token : answer.access_token;
    if (!is_token_text(*token))
        return err_set(info, ERR_PROTO, "the token service's answer has no usable token");
    uint64_t s = answer.expires_in;
    s = s < TOKEN_LIFETIME_MIN_S ? TOKEN_LIFETIME_MIN_S : s;
    *lifetime_s = (int64_t)(s > TOKEN_LIFETIME_MAX_S ? TOKEN_LIFETIME_MAX_S : s);
    return ERR_OK;
}
