#include "daemon/upstream/fetch_token.c"

#include "upstream_kit.h"

#include <fcntl.h>

/*
 * A registry with its token service on one port: "/v2/..." wants "Bearer token-N" where N counts
 * the tokens given, "/token" gives them. What differs from that stands here.
 */
struct registry {
    struct server *server;
    const char *realm;     /* format with the port; NULL: its own /token */
    const char *scope;     /* in the challenge; NULL: none */
    const char *error;     /* in the challenge after a token that does not do; NULL: none */
    const char *challenge; /* the whole field's value instead */
    const char *answer;    /* of the token service: status line and fields and body */
    const char *lifetime;  /* "expires_in" member */
    int refuse_tokens;     /* so many requests with a good token are refused first */
    bool always_refuse;
    bool silent;  /* the token service never answers */
    int delay_ms; /* of the token service */
    unsigned given;
};

static bool answer_token(struct visit *v, struct registry *g)
{
    char body[256];
    char c;
    usleep((useconds_t)g->delay_ms * 1000);
    if (g->silent)
        return recv(v->fd, &c, 1, 0) > 0;
    if (g->answer) {
        say(v, "%s", g->answer);
        return false;
    }
    pthread_mutex_lock(&v->server->lock);
    unsigned n = ++g->given;
    pthread_mutex_unlock(&v->server->lock);
    snprintf(body, sizeof body, "{\"token\":\"token-%u\"%s}", n, g->lifetime ? g->lifetime : "");
    return answer_text(v, "200 OK", "Content-Type: application/json\r\n", body);
}

static bool has_good_token(struct visit *v, struct registry *g)
{
    char want[64];
    bool good = false;
    pthread_mutex_lock(&v->server->lock);
    snprintf(want, sizeof want, "\r\nAuthorization: Bearer token-%u\r\n", g->given);
    good = g->given > 0 && strstr(v->head, want) && !g->always_refuse;
    if (good && g->refuse_tokens > 0) {
        g->refuse_tokens--;
        good = false;
    }
    pthread_mutex_unlock(&v->server->lock);
    return good;
}

static bool answer_challenge(struct visit *v, struct registry *g)
{
    char lines[1024], realm[256];
    bool with_token = strstr(v->head, "Authorization: Bearer") != NULL;
    snprintf(realm, sizeof realm, "http://127.0.0.1:%u/token", v->server->port);
    int n = snprintf(lines, sizeof lines, "WWW-Authenticate: Bearer realm=\"%s\",service=\"svc\"",
                     g->realm ? g->realm : realm);
    if (g->scope)
        n += snprintf(lines + n, sizeof lines - (size_t)n, ",scope=\"%s\"", g->scope);
    if (g->error && with_token)
        n += snprintf(lines + n, sizeof lines - (size_t)n, ",error=\"%s\"", g->error);
    snprintf(lines + n, sizeof lines - (size_t)n, "\r\n");
    if (g->challenge)
        snprintf(lines, sizeof lines, "%s", g->challenge);
    return answer_text(v, "401 Unauthorized", lines, "{\"errors\":[]}");
}

static bool answer_registry(struct visit *v)
{
    struct registry *g = v->server->arg;
    if (asks_for(v, "/token"))
        return answer_token(v, g);
    return has_good_token(v, g) ? answer_text(v, "200 OK", "", "hello") : answer_challenge(v, g);
}

/* A registry with its set and the tokens of one process. */
struct site {
    struct registry registry;
    struct upstream_set *set;
    struct tokens *tokens;
};

static void site_open(struct site *site, bool account)
{
    site->registry.server = server_start(answer_registry, &site->registry);
    site->set = set_of(&site->registry.server->port, 1, account);
    site->tokens = tokens_new();
}

static void site_close(struct site *site)
{
    upstream_set_free(&site->set);
    tokens_free(&site->tokens);
    server_stop(site->registry.server);
}

/* The n-th head that the server has seen. */
static const char *seen(const struct site *site, unsigned n)
{
    assert_true(n < server_requests(site->registry.server));
    return site->registry.server->heads[n];
}

static unsigned requests(const struct site *site)
{
    return server_requests(site->registry.server);
}

#define PULL_A "repository:library/a:pull"

static void ask_for(struct site *site, const char *path, const char *scope, struct fetched *r)
{
    struct fetch_request request = {
        .set = site->set, .path = slice_str(path), .scope = slice_str(scope), .id = SLICE("t")};
    fetched_free(r);
    run_fetch(&request, &kit_options, site->tokens, r);
}

static void ask(struct site *site, struct fetched *r)
{
    ask_for(site, "/v2/library/a/manifests/1", PULL_A, r);
}

static void check_hello(struct fetched *r)
{
    assert_int_equal(r->result, ERR_OK);
    assert_int_equal(r->status, 200);
    check_body(r, "hello");
    fetched_free(r);
}

static void check_refused(struct fetched *r)
{
    assert_int_equal(r->result, ERR_OK);
    assert_int_equal(r->status, 401);
    assert_true(r->refused);
    assert_int_equal(r->body.n, 0);
    fetched_free(r);
}

static void check_failed(struct fetched *r)
{
    assert_int_equal(r->result, ERR_UPSTREAM);
    assert_true(r->status == 0 || r->status == 429 || r->status >= 500);
    fetched_free(r);
}

/* --- the plain way --- */

static void test_challenge_is_met(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 3);
    assert_null(strstr(seen(&site, 0), "Authorization"));
    assert_int_equal(
        strncmp(seen(&site, 1), "GET /token?service=svc&scope=repository:library/a:pull ", 55), 0);
    assert_null(strstr(seen(&site, 1), "Authorization"));
    assert_non_null(strstr(seen(&site, 1), "\r\nAccept-Encoding: identity\r\n"));
    site_close(&site);
}

static void test_scope_of_the_request_when_the_challenge_has_none(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = NULL}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    check_hello(&r);
    assert_non_null(strstr(seen(&site, 1), "scope=repository:library/a:pull "));
    ask_for(&site, "/v2/", "", &r);
    check_hello(&r);
    site_close(&site);
}

static void test_later_fetches_come_with_a_token(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A, .lifetime = ",\"expires_in\":300"}};
    struct fetched r = {.status = 0};
    uint64_t tokens = counters_sum(COUNTER_TOKEN_REQUESTS);
    site_open(&site, false);
    ask(&site, &r);
    ask(&site, &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 4);
    assert_non_null(strstr(seen(&site, 3), "Authorization: Bearer token-1"));
    /* Another scope: its token is fetched without a 401 before it. */
    ask_for(&site, "/v2/library/b/manifests/1", "repository:library/b:pull", &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 6);
    assert_non_null(strstr(seen(&site, 4), "scope=repository:library/b:pull "));
    assert_int_equal(counters_sum(COUNTER_TOKEN_REQUESTS), tokens + 2);
    site_close(&site);
}

static void test_own_account_goes_to_the_token_service_only(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct fetched r = {.status = 0};
    site_open(&site, true);
    ask(&site, &r);
    check_hello(&r);
    assert_null(strstr(seen(&site, 0), "Authorization"));
    assert_non_null(strstr(seen(&site, 1), "\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n"));
    assert_null(strstr(seen(&site, 2), "Basic"));
    site_close(&site);
}

static void test_basic_is_remembered(void **state)
{
    (void)state;
    struct site site = {.registry = {.challenge = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    struct fetched r = {.status = 0};
    site_open(&site, true);
    ask(&site, &r);
    check_refused(&r); /* this registry wants a token all the same */
    assert_int_equal(requests(&site), 2);
    assert_non_null(strstr(seen(&site, 1), "Authorization: Basic dXNlcjpzZWNyZXQ="));
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(requests(&site), 3);
    assert_non_null(strstr(seen(&site, 2), "Authorization: Basic dXNlcjpzZWNyZXQ="));
    site_close(&site);
    site_open(&site, false);
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(requests(&site), 1);
    site_close(&site);
}

/* --- tokens that do not do --- */

static void test_401_after_a_fresh_token_is_final(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A, .always_refuse = true}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(requests(&site), 3);
    assert_false(upstream_set_is_down(site.set));
    site_close(&site);
}

static void test_invalid_token_is_dropped_and_retried_once(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A, .error = "invalid_token"}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    check_hello(&r);
    site.registry.refuse_tokens = 1; /* the server has restarted, say */
    ask(&site, &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 3 + 3);
    assert_int_equal(site.registry.given, 2);
    site.registry.refuse_tokens = 9;
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(requests(&site), 6 + 3);
    site_close(&site);
}

/* Nothing says why: a token from the cache may be too old, one just fetched is not. */
static void test_cached_token_is_retried_without_an_error(void **state)
{
    (void)state;
    static const char *const challenges[] = {NULL, "X-No: challenge\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct site site = {.registry = {.scope = PULL_A}};
        struct fetched r = {.status = 0};
        site_open(&site, false);
        ask(&site, &r);
        check_hello(&r);
        site.registry.challenge = challenges[i];
        site.registry.refuse_tokens = 1;
        ask(&site, &r);
        check_hello(&r);
        assert_int_equal(requests(&site), 3 + 3);
        site_close(&site);
    }
}

static void test_insufficient_scope_asks_for_the_challenged_one(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A, .error = "insufficient_scope"}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    check_hello(&r);
    site.registry.scope = "repository:library/a:pull,delete";
    site.registry.refuse_tokens = 1;
    ask(&site, &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 3 + 3);
    assert_non_null(strstr(seen(&site, 4), "scope=repository:library/a:pull,delete "));
    /* The same scope again would bring the same token. */
    site.registry.refuse_tokens = 9;
    ask(&site, &r);
    check_refused(&r);
    site_close(&site);
}

static void test_no_challenge_at_all(void **state)
{
    (void)state;
    struct site site = {.registry = {.challenge = "X-No: challenge\r\n"}};
    struct fetched r = {.status = 0};
    site_open(&site, true);
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(requests(&site), 1);
    site_close(&site);
}

/* --- realms --- */

static bool answer_anything(struct visit *v)
{
    return answer_text(v, "200 OK", "", "{\"token\":\"stolen\"}");
}

static void test_foreign_realm_gets_nothing(void **state)
{
    (void)state;
    struct server *thief = server_start(answer_anything, NULL);
    char realm[64];
    snprintf(realm, sizeof realm, "http://localhost:%u/token", thief->port);
    struct site site = {.registry = {.scope = PULL_A, .realm = realm}};
    struct fetched r = {.status = 0};
    site_open(&site, true);
    ask(&site, &r);
    check_refused(&r);
    ask(&site, &r);
    check_refused(&r);
    assert_int_equal(thief->connections, 0);
    assert_int_equal(requests(&site), 2);
    site_close(&site);
    server_stop(thief);
}

/* --- the token service fails --- */

struct service_row {
    const char *answer;
    bool refused;
};

static void test_answers_of_the_token_service(void **state)
{
    (void)state;
    static const struct service_row rows[] = {
        {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n", true},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", true},
        {"HTTP/1.1 404 Not Found\r\n\r\n", false},
        {"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n", false},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", false},
        {"HTTP/1.1 302 Found\r\nLocation: /token2\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"token\":\"abc\"}", false},
        {"nonsense\r\n", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct site site = {.registry = {.scope = PULL_A, .answer = rows[i].answer}};
        struct fetched r = {.status = 0};
        site_open(&site, true);
        ask(&site, &r);
        if (r.refused != rows[i].refused)
            fail_msg("row %zu: %s, status %d", i, err_name(r.result), r.status);
        if (rows[i].refused)
            check_refused(&r);
        else
            check_failed(&r);
        /* A used connection without a byte, or with nonsense, says nothing of the request: once
         * more. */
        bool is_http = strncmp(rows[i].answer, "HTTP", 4) == 0;
        assert_int_equal(server_count(site.registry.server, "/token"), is_http ? 1 : 2);
        assert_int_equal(server_count(site.registry.server, "/token2"), 0);
        site_close(&site);
    }
}

static bool answer_endless(struct visit *v)
{
    char piece[1024];
    struct registry *g = v->server->arg;
    if (!asks_for(v, "/token"))
        return answer_challenge(v, g);
    memset(piece, ' ', sizeof piece);
    say(v, "HTTP/1.1 200 OK\r\n\r\n");
    for (size_t n = 0; n < 64 << 20; n += sizeof piece)
        if (send(v->fd, piece, sizeof piece, MSG_NOSIGNAL) < 0)
            break;
    return false;
}

static void test_answer_of_the_token_service_is_bounded(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    site.registry.server->answer = answer_endless;
    ask(&site, &r);
    check_failed(&r);
    site_close(&site);
}

static void test_silent_token_service_ends_at_the_deadline(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A, .silent = true}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    ask(&site, &r);
    assert_in_range(r.ms, kit_options.response_timeout_ms - 20,
                    kit_options.response_timeout_ms + KIT_LATE_MS);
    check_failed(&r);
    site_close(&site);
}

/* --- sharing --- */

struct group {
    struct site *site;
    unsigned left, good, failed, refused;
    struct loop loop;
    struct uplink *uplink;
    struct fetch *first;
    bool cancel_first;
    struct timer cancel;
};

static enum fetch_flow group_head(void *arg, const struct fetch_head *head)
{
    struct group *g = arg;
    g->good += head->status == 200;
    g->refused += head->refused;
    return FETCH_CONTINUE;
}

static enum fetch_flow group_body(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    (void)bytes;
    (void)n;
    return FETCH_CONTINUE;
}

static void group_done(void *arg, enum err result, const struct errinfo *info)
{
    struct group *g = arg;
    (void)info;
    g->failed += result != ERR_OK;
    if (--g->left == 0)
        reactor_stop(g->loop.reactor);
}

static const struct fetch_ops group_ops = {group_head, group_body, group_done};

static void on_cancel_time(struct timer *t)
{
    struct group *g = (struct group *)(void *)((char *)t - offsetof(struct group, cancel));
    fetch_cancel(g->first);
    g->left--;
}

/* As many fetches at once as `left` says, on one uplink. A thread's start function too. */
static void *run_group(void *arg)
{
    struct group *g = arg;
    struct fetch_request request = {
        .set = g->site->set, .path = SLICE("/v2/library/a/manifests/1"), .scope = SLICE(PULL_A)};
    unsigned n = g->left;
    loop_open(&g->loop);
    timer_init(&g->cancel, g->loop.reactor, on_cancel_time);
    assert_int_equal(uplink_new(g->loop.reactor, g->site->tokens, &kit_options, &g->uplink, NULL),
                     ERR_OK);
    for (unsigned i = 0; i < n; i++) {
        struct fetch *f = fetch_start(g->uplink, &request, &group_ops, g);
        g->first = i == 0 ? f : g->first;
    }
    if (g->cancel_first)
        timer_set(&g->cancel, 150);
    reactor_run(g->loop.reactor);
    timer_clear(&g->cancel);
    uplink_free(&g->uplink);
    loop_close(&g->loop);
    return NULL;
}

/* The realm is known, the table is empty: the next fetches need a token before anything else. */
static void know_the_realm(struct site *site)
{
    struct fetched r = {.status = 0};
    ask(site, &r);
    check_hello(&r);
    tokens_free(&site->tokens);
    site->tokens = tokens_new();
}

static void test_one_token_request_for_many_fetches(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    site_open(&site, false);
    know_the_realm(&site);
    site.registry.delay_ms = 100;
    struct group g = {.site = &site, .left = 8};
    run_group(&g);
    assert_int_equal(g.good, 8);
    assert_int_equal(site.registry.given, 2);
    site_close(&site);
}

static void test_one_token_request_for_many_workers(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    pthread_t threads[3];
    struct group groups[3];
    site_open(&site, false);
    know_the_realm(&site);
    site.registry.delay_ms = 200;
    for (size_t i = 0; i < 3; i++) {
        groups[i] = (struct group){.site = &site, .left = 4};
        pthread_create(&threads[i], NULL, run_group, &groups[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(groups[i].good, 4);
    }
    assert_int_equal(site.registry.given, 2);
    site_close(&site);
}

static void test_failure_is_shared_too(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    site_open(&site, false);
    know_the_realm(&site);
    site.registry.delay_ms = 100;
    site.registry.answer = "HTTP/1.1 500 Oops\r\n\r\n";
    struct group failed = {.site = &site, .left = 5};
    run_group(&failed);
    assert_int_equal(failed.failed, 5);
    site.registry.answer = "HTTP/1.1 403 Forbidden\r\n\r\n";
    struct group refused = {.site = &site, .left = 5};
    run_group(&refused);
    assert_int_equal(refused.refused, 5);
    assert_int_equal(server_count(site.registry.server, "/token"), 3);
    site_close(&site);
}

static void test_cancelled_leader_is_followed_by_another(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    site_open(&site, false);
    know_the_realm(&site);
    site.registry.delay_ms = 400;
    struct group g = {.site = &site, .left = 4, .cancel_first = true};
    run_group(&g);
    assert_int_equal(g.good, 3);
    assert_int_equal(server_count(site.registry.server, "/token"), 3);
    site_close(&site);
}

/* --- somebody else asks for the token: this test, which leads as another worker would --- */

struct shared {
    struct site *site;
    struct loop loop;
    struct uplink *uplink;
    struct fetch *fetch;
    struct token_key key;
    struct timer act;
    void (*what)(struct shared *x);
    bool done;
    enum err result;
    int status;
};

static enum fetch_flow shared_head(void *arg, const struct fetch_head *head)
{
    struct shared *x = arg;
    x->status = head->status;
    return FETCH_CONTINUE;
}

static void shared_done(void *arg, enum err result, const struct errinfo *info)
{
    struct shared *x = arg;
    (void)info;
    x->done = true;
    x->result = result;
    reactor_stop(x->loop.reactor);
}

static const struct fetch_ops shared_ops = {shared_head, group_body, shared_done};

static void on_act(struct timer *t)
{
    struct shared *x = (struct shared *)(void *)((char *)t - offsetof(struct shared, act));
    x->what(x);
}

static void shared_key(struct site *site, struct token_key *key)
{
    char realm[64];
    snprintf(realm, sizeof realm, "http://127.0.0.1:%u/token", site->registry.server->port);
    token_key_make(key, &site->set->v[0], slice_str(realm), SLICE("svc"), SLICE(PULL_A));
}

/* Leads for the token that the fetch then waits for; `what` happens after 50 ms. */
static void run_shared(struct shared *x)
{
    struct fetch_request request = {
        .set = x->site->set, .path = SLICE("/v2/library/a/manifests/1"), .scope = SLICE(PULL_A)};
    struct arena a;
    struct slice token;
    know_the_realm(x->site);
    shared_key(x->site, &x->key);
    arena_init(&a, NULL, 0, 1024);
    assert_int_equal(tokens_take(x->site->tokens, &x->key, clock_mono_ms(), NULL, &a, &token),
                     TOKEN_LEAD);
    loop_open(&x->loop);
    timer_init(&x->act, x->loop.reactor, on_act);
    assert_int_equal(uplink_new(x->loop.reactor, x->site->tokens, &kit_options, &x->uplink, NULL),
                     ERR_OK);
    x->fetch = fetch_start(x->uplink, &request, &shared_ops, x);
    timer_set(&x->act, 50);
    reactor_run(x->loop.reactor);
    timer_clear(&x->act);
    uplink_free(&x->uplink);
    loop_close(&x->loop);
}

static void do_nothing(struct shared *x)
{
    assert_false(x->done);
}

static void test_waiting_for_a_token_has_the_deadline(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct shared x = {.site = &site, .what = do_nothing};
    site_open(&site, false);
    run_shared(&x);
    assert_int_equal(x.result, ERR_UPSTREAM);
    assert_int_equal(requests(&site), 3);
    assert_false(upstream_set_is_down(site.set));
    site_close(&site);
}

static void give_token(struct shared *x)
{
    tokens_put(x->site->tokens, &x->key, clock_mono_ms(), SLICE("token-1"), 60);
}

static void test_token_of_another_worker(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct shared x = {.site = &site, .what = give_token};
    site_open(&site, false);
    run_shared(&x);
    assert_int_equal(x.result, ERR_OK);
    assert_int_equal(x.status, 200);
    assert_int_equal(requests(&site), 4);
    site_close(&site);
}

static void stop_when_gone(struct shared *x)
{
    if (x->uplink->fetch_count == 0)
        reactor_stop(x->loop.reactor);
    else
        timer_set(&x->act, 20);
}

static void cancel_waiting(struct shared *x)
{
    fetch_cancel(x->fetch);
    x->what = stop_when_gone;
    timer_set(&x->act, 20);
}

/* The mail with the token is on its way when the fetch is cancelled, before it or behind it. */
static void cancel_then_give(struct shared *x)
{
    cancel_waiting(x);
    give_token(x);
}

static void give_then_cancel(struct shared *x)
{
    give_token(x);
    cancel_waiting(x);
}

static void test_cancel_while_waiting_for_a_token(void **state)
{
    (void)state;
    void (*const ways[])(struct shared *) = {cancel_waiting, cancel_then_give, give_then_cancel};
    for (size_t i = 0; i < 3; i++) {
        struct site site = {.registry = {.scope = PULL_A}};
        struct shared x = {.site = &site, .what = ways[i]};
        site_open(&site, false);
        run_shared(&x);
        assert_false(x.done);
        assert_int_equal(requests(&site), 3);
        site_close(&site);
    }
}

/* --- renewal --- */

/* A token-1 that is good and due for renewal. */
static void hold_an_old_token(struct site *site)
{
    struct token_key key;
    struct arena a;
    struct slice token;
    know_the_realm(site);
    shared_key(site, &key);
    arena_init(&a, NULL, 0, 1024);
    int64_t then = clock_mono_ms() - 900 * 1000;
    assert_int_equal(tokens_take(site->tokens, &key, then, NULL, &a, &token), TOKEN_LEAD);
    tokens_put(site->tokens, &key, then, SLICE("token-1"), 1000);
}

static void test_token_is_renewed_early(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    struct fetched r = {.status = 0};
    site_open(&site, false);
    hold_an_old_token(&site);
    ask(&site, &r);
    check_hello(&r);
    assert_int_equal(requests(&site), 5);
    assert_non_null(strstr(seen(&site, 4), "Bearer token-2"));
    site_close(&site);
}

static void test_old_token_serves_while_the_service_fails(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct site site = {.registry = {.scope = PULL_A}};
        struct fetched r = {.status = 0};
        site_open(&site, false);
        hold_an_old_token(&site);
        site.registry.silent = silent;
        site.registry.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
        ask(&site, &r);
        check_hello(&r);
        assert_int_equal(requests(&site), 5);
        assert_non_null(strstr(seen(&site, 4), "Bearer token-1"));
        site_close(&site);
    }
}

/* --- where the service is --- */

struct address_row {
    enum realm_trust trust;
    enum address_reach upstream;
    const char *address;
    bool allowed;
};

static void test_address_of_the_token_service(void **state)
{
    (void)state;
    static const struct address_row rows[] = {
        {REALM_RELATED, REACH_PUBLIC, "8.8.8.8", true},
        {REALM_RELATED, REACH_PUBLIC, "10.0.0.1", false},
        {REALM_RELATED, REACH_PUBLIC, "169.254.169.254", false},
        {REALM_RELATED, REACH_PRIVATE, "10.0.0.1", true},
        {REALM_CONFIGURED, REACH_PUBLIC, "10.0.0.1", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream u = {.reach = (int)rows[i].upstream};
        struct fetch f = {.try = {.upstream = &u, .trust = rows[i].trust}};
        if (on_connected(&f, rows[i].address) != rows[i].allowed ||
            (f.exchange.blocked == NULL) != rows[i].allowed)
            fail_msg("%s", rows[i].address);
    }
}

/* --- secrets --- */

/* Standard error goes to a file meanwhile; returns what was written. */
static char *log_of(void (*act)(struct site *), struct site *site)
{
    static char text[16384];
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    act(site);
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    fclose(file);
    return text;
}

static void act_all(struct site *site)
{
    struct fetched r = {.status = 0};
    ask_for(site, "/v2/library/a/manifests/1?sig=SIGNED", PULL_A, &r);
    check_hello(&r);
}

static void test_no_secret_is_logged(void **state)
{
    (void)state;
    struct site site = {.registry = {.scope = PULL_A}};
    site_open(&site, true);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    const char *text = log_of(act_all, &site);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    assert_non_null(strstr(text, "purpose=fetch method=GET"));
    assert_non_null(strstr(text, "purpose=token method=GET"));
    assert_non_null(strstr(text, "/v2/library/a/manifests/1 status=401"));
    static const char *const secrets[] = {"token-1", "secret", "dXNlcjpzZWNyZXQ", "SIGNED", "?"};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strstr(text, secrets[i]))
            fail_msg("%s is in the log", secrets[i]);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge_is_met),
        cmocka_unit_test(test_scope_of_the_request_when_the_challenge_has_none),
        cmocka_unit_test(test_later_fetches_come_with_a_token),
        cmocka_unit_test(test_own_account_goes_to_the_token_service_only),
        cmocka_unit_test(test_basic_is_remembered),
        cmocka_unit_test(test_401_after_a_fresh_token_is_final),
        cmocka_unit_test(test_invalid_token_is_dropped_and_retried_once),
        cmocka_unit_test(test_cached_token_is_retried_without_an_error),
        cmocka_unit_test(test_insufficient_scope_asks_for_the_challenged_one),
        cmocka_unit_test(test_no_challenge_at_all),
        cmocka_unit_test(test_foreign_realm_gets_nothing),
        cmocka_unit_test(test_answers_of_the_token_service),
        cmocka_unit_test(test_answer_of_the_token_service_is_bounded),
        cmocka_unit_test(test_silent_token_service_ends_at_the_deadline),
        cmocka_unit_test(test_one_token_request_for_many_fetches),
        cmocka_unit_test(test_one_token_request_for_many_workers),
        cmocka_unit_test(test_failure_is_shared_too),
        cmocka_unit_test(test_cancelled_leader_is_followed_by_another),
        cmocka_unit_test(test_waiting_for_a_token_has_the_deadline),
        cmocka_unit_test(test_token_of_another_worker),
        cmocka_unit_test(test_cancel_while_waiting_for_a_token),
        cmocka_unit_test(test_token_is_renewed_early),
        cmocka_unit_test(test_old_token_serves_while_the_service_fails),
        cmocka_unit_test(test_address_of_the_token_service),
        cmocka_unit_test(test_no_secret_is_logged),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
