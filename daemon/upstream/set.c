#include "set.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { LEARNED_TEXT_MAX = 2048 };

static char *copy(struct slice s)
{
    char *p = malloc(s.n + 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

/* RFC 4648 section 4 */
static void base64(const unsigned char *in, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; n; in += 3, n -= n < 3 ? n : 3) {
        unsigned v =
            (unsigned)in[0] << 16 | (n > 1 ? (unsigned)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = (char)(n > 1 ? digits[v >> 6 & 63] : '=');
        *out++ = (char)(n > 2 ? digits[v & 63] : '=');
    }
    *out = '\0';
}

/* RFC 7617 section 2 */
static char *basic_credentials(const char *username, const char *password)
{
    size_t n = strlen(username) + 1 + strlen(password);
    char *pair = malloc(n + 1);
    char *out = malloc(sizeof "Basic " + (n + 2) / 3 * 4);
    if (!pair || !out)
        abort();
    snprintf(pair, n + 1, "%s:%s", username, password);
    memcpy(out, "Basic ", sizeof "Basic ");
    base64((const unsigned char *)pair, n, out + 6);
    free(pair);
    return out;
}

static enum err upstream_init(struct upstream *u, const struct config_upstream *config,
                              struct errinfo *info)
{
    struct slice url = slice_str(config->url);
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    u->url = copy(url);
    health_init(&u->health);
    pthread_mutex_init(&u->lock, NULL);
    if (!http_url_parse(slice_str(u->url), &u->base) || u->base.query.p)
        return err_set(info, ERR_CONFIG, "upstream %s: not a usable http or https URL", u->url);
    atomic_init(&u->reach, (int)address_reach_of_host(u->base.host));
    if (config->username && *config->username) {
        u->username = copy(slice_str(config->username));
        u->password = copy(slice_str(config->password));
        u->basic = basic_credentials(u->username, u->password);
    }
    u->token_realms.v = calloc(config->token_realms.n + 1, sizeof *u->token_realms.v);
    if (!u->token_realms.v)
        abort();
    for (; u->token_realms.n < config->token_realms.n; u->token_realms.n++)
        u->token_realms.v[u->token_realms.n] =
            copy(slice_str(config->token_realms.v[u->token_realms.n]));
    return ERR_OK;
}

static void upstream_close(struct upstream *u)
{
    for (size_t i = 0; i < u->token_realms.n; i++)
        free(u->token_realms.v[i]);
    free(u->token_realms.v);
    free(u->url);
    free(u->username);
    free(u->password);
    free(u->basic);
    free(u->learned_realm);
    free(u->learned_service);
    health_close(&u->health);
    pthread_mutex_destroy(&u->lock);
}

enum err upstream_set_new(const struct config_route *route, struct upstream_set **out,
                          struct errinfo *info)
{
    struct upstream_set *set = calloc(1, sizeof *set);
    struct upstream *v = calloc(route->upstream_count + 1, sizeof *v);
    if (!set || !v)
        abort();
    set->v = v;
    enum err rc = ERR_OK;
    if (route->upstream_count == 0)
        rc = err_set(info, ERR_CONFIG, "route %s has no upstream", route->name);
    while (!rc && set->n < route->upstream_count) {
        rc = upstream_init(&set->v[set->n], &route->upstreams[set->n], info);
        set->n++;
    }
    if (rc)
        upstream_set_free(&set);
    *out = set;
    return rc;
}

void upstream_set_free(struct upstream_set **sp)
{
    struct upstream_set *set = *sp;
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++)
        upstream_close(&set->v[i]);
    free(set->v);
    free(set);
    *sp = NULL;
}

struct slice upstream_set_host(const struct upstream_set *set)
{
    return set->v[0].base.host;
}

/* Milliseconds until one of the set may be asked; 0: now. */
static int64_t shortest_wait(const struct upstream_set *set)
{
    int64_t now = clock_mono_ms();
    int64_t shortest = INT64_MAX;
    for (size_t i = 0; i < set->n && shortest > 0; i++) {
        int64_t wait = health_wait(&set->v[i].health, now);
        shortest = wait < shortest ? wait : shortest;
    }
    return shortest;
}

int64_t upstream_set_retry_after(const struct upstream_set *set)
{
    int64_t seconds = (shortest_wait(set) + 999) / 1000;
    return seconds > 0 ? seconds : 1;
}

bool upstream_set_is_down(const struct upstream_set *set)
{
    return shortest_wait(set) > 0;
}

void upstream_auth_known(struct upstream *u, struct arena *a, struct upstream_auth *out)
{
    pthread_mutex_lock(&u->lock);
    out->scheme = u->learned_scheme;
    out->realm = arena_copy(a, slice_str(u->learned_realm));
    out->service = arena_copy(a, slice_str(u->learned_service));
    pthread_mutex_unlock(&u->lock);
    if (!out->realm.p || !out->service.p)
        out->scheme = CHALLENGE_NONE;
}

void upstream_auth_learn(struct upstream *u, const struct upstream_auth *auth)
{
    if (auth->realm.n > LEARNED_TEXT_MAX || auth->service.n > LEARNED_TEXT_MAX)
        return;
    char *realm = copy(auth->realm);
    char *service = copy(auth->service);
    pthread_mutex_lock(&u->lock);
    char *old_realm = u->learned_realm;
    char *old_service = u->learned_service;
    u->learned_scheme = auth->scheme;
    u->learned_realm = realm;
    u->learned_service = service;
    pthread_mutex_unlock(&u->lock);
    free(old_realm);
    free(old_service);
}
