#include "daemon/upstream/fetch_place.c"

#include "upstream_kit.h"

/* --- which URL is below which base --- */

struct below_row {
    const char *base, *url;
    const char *path; /* NULL: not below it */
    bool at_origin;   /* though not below the base */
};

/* A set of up to two upstreams at these URLs. */
static struct upstream_set *set_at(const char *first, const char *second)
{
    char urls[2][128], name[] = "r";
    snprintf(urls[0], sizeof urls[0], "%s", first);
    snprintf(urls[1], sizeof urls[1], "%s", second ? second : "");
    struct config_upstream upstreams[2] = {{.url = urls[0]}, {.url = urls[1]}};
    struct config_route route = {
        .name = name, .upstreams = upstreams, .upstream_count = second ? 2 : 1};
    struct upstream_set *set = NULL;
    assert_int_equal(upstream_set_new(&route, &set, NULL), ERR_OK);
    return set;
}

static void test_what_is_below_a_base(void **state)
{
    (void)state;
    static const struct below_row rows[] = {
        {"https://h.test", "https://h.test/a/b?c=d#e", "/a/b?c=d", false},
        {"https://h.test/", "https://h.test/", "/", false},
        {"https://h.test", "https://h.test", "/", false},
        {"https://h.test", "https://h.test?x", "/?x", false},
        {"https://h.test", "https://H.test:443/a", "/a", false},
        {"https://h.test/base", "https://h.test/base/a%2Fb", "/a%2Fb", false},
        {"https://h.test/base/", "https://h.test/base/a", "/a", false},
        {"https://h.test/base", "https://h.test/base", NULL, true},
        {"https://h.test/base", "https://h.test/base?x", NULL, true},
        {"https://h.test/base", "https://h.test/based/a", NULL, true},
        {"https://h.test/base", "https://h.test/Base/a", NULL, true},
        {"https://h.test/base", "https://h.test/base/../a", NULL, false},
        {"https://h.test/base", "https://h.test/base/%2e%2E/a", NULL, false},
        {"https://h.test/base", "https://h.test/base/x/..%2fa", NULL, false},
        {"https://h.test/base", "https://h.test/a?/base/", NULL, true},
        {"https://h.test", "http://h.test/a", NULL, false},
        {"https://h.test", "https://h.test:444/a", NULL, false},
        {"https://h.test", "https://h.test.evil.test/a", NULL, false},
        {"https://h.test", "https://h.tes/t/a", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct below_row *row = &rows[i];
        struct upstream_set *set = set_at("http://other.test", row->base);
        struct fetch f = {.ask = {.set = set, .url = slice_str(row->url)}};
        arena_init(&f.arena, NULL, 0, 4096);
        assert_true(fetch_place_find(&f));
        if (f.foreign != (!row->path && !row->at_origin) || (f.origin != NULL) != row->at_origin ||
            (row->path && !slice_eq(f.ask.path, slice_str(row->path))))
            fail_msg("%s below %s: %.*s", row->url, row->base, SLICE_ARG(f.ask.path));
        arena_reset(&f.arena);
        upstream_set_free(&set);
    }
}

static void test_what_is_no_place(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "file:///etc/passwd",  "/a",           "//h.test/a",        "ftp://h.test/",
        "http://u:p@h.test/",  "http://",      "http://127.1/",     "http://0x7f000001/",
        "http://h.test/\r\nX", "javascript:1", "http://h.test:0/a",
    };
    struct upstream_set *set = set_at("http://h.test", NULL);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct fetch_request request = {.set = set, .url = slice_str(urls[i])};
        struct fetched r = {.status = 0};
        struct tokens *tokens = tokens_new();
        run_fetch(&request, &kit_options, tokens, &r);
        assert_int_equal(r.result, ERR_FOREIGN);
        assert_false(r.has_head);
        fetched_free(&r);
        tokens_free(&tokens);
    }
    upstream_set_free(&set);
}

/* --- who may answer --- */

struct reach_row {
    const char *first, *second; /* upstreams */
    const char *address;        /* of a foreign place */
    bool allowed;
};

static void test_where_foreign_places_may_be(void **state)
{
    (void)state;
    static const struct reach_row rows[] = {
        {"http://h.test", NULL, "8.8.8.8", true},
        {"http://h.test", NULL, "10.0.0.1", false},
        {"http://h.test", NULL, "127.0.0.1", false},
        {"http://h.test", NULL, "::1", false},
        {"http://h.test", NULL, "::ffff:127.0.0.1", false},
        {"http://h.test", NULL, "169.254.169.254", false},
        {"http://10.0.0.9", NULL, "192.168.3.4", true},
        {"http://10.0.0.9", NULL, "127.0.0.1", false},
        {"http://127.0.0.1", NULL, "127.0.0.1", true},
        {"http://localhost", NULL, "127.0.0.1", true},
        {"http://LOCALHOST:81", NULL, "10.0.0.1", true},
        {"http://[::1]", NULL, "127.0.0.1", true},
        {"http://[fd00::1]", NULL, "10.0.0.1", true},
        {"http://localhost.h.test", NULL, "127.0.0.1", false},
        {"http://h.test", "http://10.0.0.9", "10.0.0.1", true}, /* one of them is enough */
        {"http://127.0.0.1", NULL, "169.254.169.254", false},
        {"http://169.254.0.1", NULL, "169.254.169.254", false},
        {"http://169.254.0.1", NULL, "10.0.0.1", false}, /* that one leads nowhere */
        {"http://127.0.0.1", NULL, "fe80::1%eth0", false},
        {"http://127.0.0.1", NULL, "not an address", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_set *set = set_at(rows[i].first, rows[i].second);
        struct fetch f = {.ask = {.set = set}, .foreign = true, .try = {.away = true}};
        if (fetch_address_allowed(&f, rows[i].address) != rows[i].allowed)
            fail_msg("%s from %s", rows[i].address, rows[i].first);
        upstream_set_free(&set);
    }
}

/* Where an upstream was found counts for more than its name. */
static void test_reach_is_learned(void **state)
{
    (void)state;
    struct upstream_set *set = set_at("http://h.test", NULL);
    struct fetch f = {.ask = {.set = set}, .foreign = true, .try = {.away = true}};
    assert_false(fetch_address_allowed(&f, "10.0.0.1"));
    atomic_store(&set->v[0].reach, REACH_PRIVATE);
    assert_true(fetch_address_allowed(&f, "10.0.0.1"));
    f.exchange.proxied = true;
    assert_true(fetch_address_allowed(&f, "127.0.0.1")); /* the proxy's own */
    f.try.at.host = SLICE("127.0.0.1");
    assert_false(fetch_host_allowed(&f)); /* but this is what it would be asked for */
    upstream_set_free(&set);
}

/* --- over the wire --- */

/* Where "/away" leads. */
static char location[256];

static bool answer_place(struct visit *v)
{
    char lines[300];
    snprintf(lines, sizeof lines, "Location: %s\r\n", location);
    if (asks_for(v, "/away"))
        return answer_text(v, "302 Found", lines, "");
    if (asks_for(v, "/401"))
        return answer_text(v, "401 x", "WWW-Authenticate: Basic realm=\"r\"\r\n", "");
    if (asks_for(v, "/404"))
        return answer_text(v, "404 x", "", "no");
    if (asks_for(v, "/503"))
        return answer_text(v, "503 x", "", "sorry");
    return answer_text(v, "200 OK", "", "here");
}

struct places {
    struct server *upstream, *foreign;
    struct upstream_set *set;
    struct fetched r;
};

static void places_open(struct places *p)
{
    *p = (struct places){.upstream = server_start(answer_place, NULL)};
    p->foreign = server_start(answer_place, NULL);
    p->set = set_of(&p->upstream->port, 1, true);
}

static void places_close(struct places *p)
{
    upstream_set_free(&p->set);
    server_stop(p->foreign);
    server_stop(p->upstream);
}

/* `url` with %u for the server's port. */
static void ask_at(struct places *p, struct server *s, const char *host, const char *path)
{
    char url[300];
    snprintf(url, sizeof url, "http://%s:%u%s", host, s->port, path);
    struct fetch_request request = {
        .set = p->set, .url = slice_str(url), .authorization = SLICE("Bearer client")};
    struct tokens *tokens = tokens_new();
    fetched_free(&p->r);
    run_fetch(&request, &kit_options, tokens, &p->r);
    tokens_free(&tokens);
}

static void test_an_upstreams_own_url_is_asked_as_its_path(void **state)
{
    (void)state;
    struct places p;
    char url[64];
    places_open(&p);
    ask_at(&p, p.upstream, "127.0.0.1", "/a?b#c");
    check_body(&p.r, "here");
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a?b", p.upstream->port);
    assert_string_equal(p.r.url, url);
    assert_non_null(strstr(p.upstream->heads[0], "GET /a?b HTTP"));
    assert_non_null(strstr(p.upstream->heads[0], "\r\nAuthorization: Bearer client\r\n"));
    fetched_free(&p.r);
    places_close(&p);
}

/* Some keep files beside their index: the credentials are for the whole of the origin. */
static void test_a_url_beside_the_base_gets_credentials(void **state)
{
    (void)state;
    struct server *s = server_start(answer_place, NULL);
    char base[64], url[64];
    snprintf(base, sizeof base, "http://127.0.0.1:%u/index", s->port);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/files/a", s->port);
    struct upstream_set *set = set_at("http://127.0.0.1:1", base);
    struct tokens *tokens = tokens_new();
    struct fetched r = {.status = 0};
    struct fetch_request request = {
        .set = set, .url = slice_str(url), .authorization = SLICE("Bearer client")};
    run_fetch(&request, &kit_options, tokens, &r);
    check_body(&r, "here");
    assert_int_equal(server_requests(s), 1);
    assert_non_null(strstr(s->heads[0], "GET /files/a HTTP"));
    assert_non_null(strstr(s->heads[0], "\r\nAuthorization: Bearer client\r\n"));
    fetched_free(&r);
    tokens_free(&tokens);
    upstream_set_free(&set);
    server_stop(s);
}

static void test_a_foreign_place_gets_no_credentials(void **state)
{
    (void)state;
    struct places p;
    places_open(&p);
    ask_at(&p, p.foreign, "127.0.0.1", "/a?b=c");
    assert_int_equal(p.r.result, ERR_OK);
    check_body(&p.r, "here");
    assert_non_null(strstr(p.foreign->heads[0], "GET /a?b=c HTTP"));
    assert_null(strstr(p.foreign->heads[0], "Authorization"));
    ask_at(&p, p.foreign, "127.0.0.1", "/401"); /* nor when it asks for them */
    assert_int_equal(p.r.result, ERR_OK);
    assert_int_equal(p.r.status, 401);
    assert_true(p.r.refused);
    assert_int_equal(server_requests(p.foreign), 2);
    assert_null(strstr(p.foreign->heads[1], "Authorization"));
    assert_int_equal(server_requests(p.upstream), 0);
    fetched_free(&p.r);
    places_close(&p);
}

/* Led back to the upstream, it is still a link that anybody may have written. */
static void test_credentials_do_not_come_back_by_a_redirect(void **state)
{
    (void)state;
    struct places p;
    places_open(&p);
    snprintf(location, sizeof location, "http://127.0.0.1:%u/end?s=1", p.upstream->port);
    ask_at(&p, p.foreign, "127.0.0.1", "/away");
    check_body(&p.r, "here");
    assert_string_equal(p.r.url, location);
    assert_null(strstr(p.upstream->heads[0], "Authorization"));
    snprintf(location, sizeof location, "http://127.0.0.1:%u/end", p.foreign->port);
    ask_at(&p, p.upstream, "127.0.0.1", "/away");
    check_body(&p.r, "here");
    assert_non_null(strstr(p.upstream->heads[1], "\r\nAuthorization: Bearer client\r\n"));
    assert_null(strstr(p.foreign->heads[1], "Authorization"));
    fetched_free(&p.r);
    places_close(&p);
}

static void test_a_foreign_place_tells_nothing_about_the_upstreams(void **state)
{
    (void)state;
    struct places p;
    places_open(&p);
    for (int i = 0; i < 2 * HEALTH_FAILURES_MAX; i++) {
        ask_at(&p, p.foreign, "127.0.0.1", "/503");
        assert_int_equal(p.r.result, ERR_UPSTREAM);
        assert_int_equal(p.r.status, 503);
        assert_string_equal(p.r.msg, "127.0.0.1 answered 503");
    }
    assert_false(upstream_set_is_down(p.set));
    ask_at(&p, p.foreign, "127.0.0.1", "/404");
    assert_int_equal(p.r.result, ERR_OK);
    assert_int_equal(p.r.status, 404);
    check_body(&p.r, "no");
    assert_int_equal(server_requests(p.upstream), 0);
    /* A good answer is no sign of life of the upstream either. */
    health_limited(&p.set->v[0].health, clock_mono_ms(), false, 60000);
    ask_at(&p, p.foreign, "127.0.0.1", "/a");
    assert_int_equal(p.r.result, ERR_OK);
    assert_true(upstream_set_is_down(p.set));
    fetched_free(&p.r);
    places_close(&p);
}

/* The upstream counts as public: neither a link nor a redirect leads to this machine. */
static void test_a_public_upstream_leads_to_no_local_place(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "local.test"};
    struct places p;
    places_open(&p);
    atomic_store(&p.set->v[0].reach, REACH_PUBLIC);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        ask_at(&p, p.foreign, hosts[i], "/a");
        assert_int_equal(p.r.result, strcmp(hosts[i], "local.test") ? ERR_FOREIGN : ERR_UPSTREAM);
        assert_false(p.r.has_head);
    }
    assert_int_equal(p.foreign->connections, 0);
    fetched_free(&p.r);
    places_close(&p);
}

static void test_no_redirect_leads_from_a_foreign_place_to_a_forbidden_one(void **state)
{
    (void)state;
    static const char *const places[] = {"http://169.254.169.254/latest/", "http://[fe80::1]/",
                                         "http://[::ffff:169.254.169.254]/"};
    struct places p;
    places_open(&p);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(location, sizeof location, "%s", places[i]);
        ask_at(&p, p.foreign, "127.0.0.1", "/away");
        assert_int_equal(p.r.result, ERR_FOREIGN);
        assert_true(p.r.ms < kit_options.connect_timeout_ms); /* nothing was connected */
        assert_non_null(strstr(p.r.msg, "may not fetch from"));
        assert_false(p.r.has_head);
    }
    fetched_free(&p.r);
    places_close(&p);
}

/* What a proxy would be asked to fetch is judged as far as the URL tells. */
static void test_a_proxy_is_not_asked_for_local_places(void **state)
{
    (void)state;
    struct server *proxy = server_start(answer_place, NULL);
    struct upstream_set *set = set_at("http://far.test", NULL);
    struct uplink_options options = kit_options;
    char proxy_url[64];
    snprintf(proxy_url, sizeof proxy_url, "http://127.0.0.1:%u", proxy->port);
    options.proxy = proxy_url;
    static const struct {
        const char *url;
        enum err result;
    } rows[] = {
        {"http://169.254.169.254/a", ERR_FOREIGN},
        {"http://10.0.0.1/a", ERR_FOREIGN},
        {"http://localhost/a", ERR_FOREIGN},
        {"http://files.test/a", ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fetch_request request = {.set = set, .url = slice_str(rows[i].url)};
        struct tokens *tokens = tokens_new();
        struct fetched r = {.status = 0};
        run_fetch(&request, &options, tokens, &r);
        assert_int_equal(r.result, rows[i].result);
        fetched_free(&r);
        tokens_free(&tokens);
    }
    assert_int_equal(server_requests(proxy), 1);
    upstream_set_free(&set);
    server_stop(proxy);
}

/* The first upstream fails, the second one has it. */
static void test_a_url_below_a_base_goes_round_all_upstreams(void **state)
{
    (void)state;
    struct server *s = server_start(answer_place, NULL);
    unsigned ports[2] = {closed_port(), s->port};
    struct upstream_set *set = set_of(ports, 2, false);
    struct tokens *tokens = tokens_new();
    struct fetched r = {.status = 0};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/files/a", ports[0]);
    struct fetch_request request = {.set = set, .url = slice_str(url)};
    run_fetch(&request, &kit_options, tokens, &r);
    assert_int_equal(r.result, ERR_OK);
    check_body(&r, "here");
    assert_int_equal(server_count(s, "/files/a"), 1);
    fetched_free(&r);
    tokens_free(&tokens);
    upstream_set_free(&set);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_below_a_base),
        cmocka_unit_test(test_what_is_no_place),
        cmocka_unit_test(test_where_foreign_places_may_be),
        cmocka_unit_test(test_reach_is_learned),
        cmocka_unit_test(test_an_upstreams_own_url_is_asked_as_its_path),
        cmocka_unit_test(test_a_url_beside_the_base_gets_credentials),
        cmocka_unit_test(test_a_foreign_place_gets_no_credentials),
        cmocka_unit_test(test_credentials_do_not_come_back_by_a_redirect),
        cmocka_unit_test(test_a_foreign_place_tells_nothing_about_the_upstreams),
        cmocka_unit_test(test_a_public_upstream_leads_to_no_local_place),
        cmocka_unit_test(test_no_redirect_leads_from_a_foreign_place_to_a_forbidden_one),
        cmocka_unit_test(test_a_proxy_is_not_asked_for_local_places),
        cmocka_unit_test(test_a_url_below_a_base_goes_round_all_upstreams),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
