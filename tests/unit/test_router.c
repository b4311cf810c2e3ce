#include "daemon/server/router.c"

#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *hub_names[] = {(char[]){"docker.io"}};
static char *quay_names[] = {(char[]){"quay.io"}};
static char *plain_hosts[] = {(char[]){"registry.example"}};
static char *port_hosts[] = {(char[]){"registry.example:5443"}};
static char *own_hosts[] = {(char[]){"own.example"}};

static struct config_route configs[] = {
    {.name = (char[]){"hub"},
     .protocol = (char[]){"oci"},
     .namespaces = {hub_names, 1},
     .is_default = true},
    {.name = (char[]){"quay"}, .protocol = (char[]){"oci"}, .namespaces = {quay_names, 1}},
    {.name = (char[]){"plain"}, .protocol = (char[]){"oci"}, .hosts = {plain_hosts, 1}},
    {.name = (char[]){"port"}, .protocol = (char[]){"oci"}, .hosts = {port_hosts, 1}},
    {.name = (char[]){"npm"}, .protocol = (char[]){"toy"}, .prefix = (char[]){"/npm"}},
    {.name = (char[]){"team"}, .protocol = (char[]){"toy"}, .prefix = (char[]){"/npm/team"}},
    {.name = (char[]){"own"},
     .protocol = (char[]){"toy"},
     .prefix = (char[]){"/own"},
     .hosts = {own_hosts, 1}},
};
enum { ROUTES = sizeof configs / sizeof configs[0] };

/* Without a root: its routes are picked by prefix. Never asked for a plan here. */
static const struct protocol toy = {.config = {.name = {"toy", 3}}, .links = true};

static struct route routes[ROUTES];
static struct config config;
static struct service service = {.config = &config, .routes = routes, .route_count = ROUTES};
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    config.public_url = NULL;
    for (int i = 0; i < ROUTES; i++) {
        const struct protocol *oci = protocol_find(SLICE("oci"));
        routes[i] =
            (struct route){.cache = {.name = slice_str(configs[i].name)},
                           .config = &configs[i],
                           .protocol = strcmp(configs[i].protocol, "oci") == 0 ? oci : &toy};
    }
    arena_init(&arena, NULL, 0, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static struct routing ask(const char *listener, const char *host, const char *path,
                          const char *query)
{
    struct http_request r = {
        .host = slice_str(host), .path = slice_str(path), .query = slice_str(query)};
    unsigned port;
    if (!http_authority_parse(r.host, &r.host_name, &port))
        r.host_name = SLICE("");
    return route_request(&service, listener, &r, &arena);
}

static void check(const char *listener, const char *host, const char *target, const char *query,
                  const char *want)
{
    struct routing r = ask(listener, host, target, query);
    assert_string_equal(r.route ? r.route->config->name : "none", want);
}

static void test_the_listener_goes_before_all(void **state)
{
    (void)state;
    check("quay", "registry.example", "/v2/docker.io/a/tags/list", "ns=docker.io", "quay");
}

static void test_the_host_goes_before_the_namespace(void **state)
{
    (void)state;
    check(NULL, "registry.example", "/v2/a/tags/list", "ns=quay.io", "plain");
    check(NULL, "REGISTRY.example", "/v2/", NULL, "plain");
    check(NULL, "registry.example:80", "/v2/", NULL, "plain");
}

/* Also when the route without a port stands first. */
static void test_a_host_with_its_port_goes_before_the_same_without(void **state)
{
    (void)state;
    check(NULL, "registry.example:5443", "/v2/", NULL, "port");
}

static void test_a_namespace_is_closed_the_default_is_for_none(void **state)
{
    (void)state;
    check(NULL, "x", "/v2/a/tags/list", "ns=quay.io", "quay");
    check(NULL, "x", "/v2/a/tags/list", "ns=QUAY.io", "quay");
    check(NULL, "x", "/v2/a/tags/list", NULL, "hub");
    check(NULL, "x", "/v2/a/tags/list", "ns=evil.example", "none");
    check(NULL, "x", "/v2/a/tags/list", "ns=quay.io&ns=docker.io", "none");
    check(NULL, "x", "/v2/evil.example/a/tags/list", NULL, "none");
    check(NULL, "registry.example.evil", "/v2/", NULL, "hub");
    check(NULL, "", "/v2/", NULL, "hub");
}

static void test_a_namespace_in_the_path_is_taken_off(void **state)
{
    (void)state;
    struct routing r = ask(NULL, "x", "/v2/quay.io/a/b/tags/list", NULL);
    assert_string_equal(r.route->config->name, "quay");
    assert_true(slice_eq(r.path, SLICE("/v2/a/b/tags/list")));
    assert_true(slice_eq(r.namespace, SLICE("quay.io")));
}

/* "/v2x" and "/v" are no registry; whoever asks for them learns what is served. */
static void test_only_what_is_under_the_root_belongs_to_it(void **state)
{
    (void)state;
    static const char *const others[] = {"/", "/v", "/v2x", "/v22/", "/V2/", "/metrics"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct routing r = ask(NULL, "x", others[i], NULL);
        assert_null(r.route);
        assert_null(r.protocol);
    }
    check(NULL, "x", "/v2", NULL, "hub");
    check(NULL, "x", "/v2/", NULL, "hub");
}

static void test_what_is_served_is_listed(void **state)
{
    (void)state;
    struct slice text = route_list(&service, &arena);
    assert_true(slice_eq(text, SLICE("served here: hub (oci; namespaces docker.io; default), "
                                     "quay (oci; namespaces quay.io), "
                                     "plain (oci; hosts registry.example), "
                                     "port (oci; hosts registry.example:5443), "
                                     "npm (toy; prefix /npm), "
                                     "team (toy; prefix /npm/team), "
                                     "own (toy; hosts own.example; prefix /own)")));
}

/* --- prefixes --- */

static void check_path(const char *host, const char *target, const char *route, const char *path)
{
    struct routing r = ask(NULL, host, target, NULL);
    check(NULL, host, target, NULL, route);
    if (!slice_eq(r.path, slice_str(path)))
        fail_msg("%s: the path is %.*s", target, SLICE_ARG(r.path));
}

static void test_a_prefix_is_taken_off(void **state)
{
    (void)state;
    check_path("x", "/npm/lodash", "npm", "/lodash");
    check_path("x", "/npm/@a%2fb", "npm", "/@a%2fb");
    check_path("x", "/npm//lodash", "npm", "//lodash");
    check_path("x", "/npm/npm/x", "npm", "/npm/x");
    check_path("x", "/npm/v2/", "npm", "/v2/");
    check_path("", "/npm/lodash", "npm", "/lodash");
}

static void test_a_prefix_without_slash_is_the_same_with_one(void **state)
{
    (void)state;
    check_path("x", "/npm/", "npm", "/");
    check_path("x", "/npm", "npm", "/");
    check_path("x", "/npm/team", "team", "/");
}

static void test_the_longest_prefix_wins(void **state)
{
    (void)state;
    check_path("x", "/npm/team/x", "team", "/x");
    check_path("x", "/npm/teams/x", "npm", "/teams/x");
    check_path("x", "/npm/tea", "npm", "/tea");
}

/* Nothing is folded: a planner gets the bytes that the client has sent. */
static void test_a_prefix_ends_where_a_segment_ends(void **state)
{
    (void)state;
    static const char *const others[] = {"/npmx",   "/np",    "/NPM/x",   "/%6epm/x",
                                         "//npm/x", "/x/npm", "/npm%2fx", "/"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check_path("x", others[i], "none", others[i]);
}

static void test_listener_host_and_root_go_before_the_prefix(void **state)
{
    (void)state;
    check("quay", "x", "/npm/lodash", NULL, "quay");
    check_path("own.example", "/npm/lodash", "own", "/npm/lodash");
    check_path("own.example", "/own/a", "own", "/own/a");
    check_path("x", "/own/a", "own", "/a");
    check(NULL, "x", "/v2/npm/tags/list", NULL, "hub");
}

static void check_base(const char *listener, const char *host, const char *target, const char *base)
{
    struct routing r = ask(listener, host, target, NULL);
    if (!slice_eq(r.base, slice_str(base)))
        fail_msg("%s at \"%s\": the base is %.*s", target, host, SLICE_ARG(r.base));
}

static void test_the_base_is_what_the_client_has_asked(void **state)
{
    (void)state;
    check_base(NULL, "cache:5000", "/npm/lodash", "http://cache:5000/npm");
    check_base(NULL, "cache:5000", "/npm", "http://cache:5000/npm");
    check_base(NULL, "Cache.EXAMPLE", "/npm/team/x", "http://cache.example/npm/team");
    check_base(NULL, "[::1]:5000", "/npm/x", "http://[::1]:5000/npm");
    check_base(NULL, "Own.example:80", "/x", "http://own.example:80");
    check_base("npm", "cache:4873", "/lodash", "http://cache:4873");
    check_base("npm", "cache:4873", "/npm/lodash", "http://cache:4873");
    check_base(NULL, "cache:5000", "/nobody", "");
    check_base(NULL, "cache:5000", "/v2/", ""); /* whose protocol has no links */
}

static void test_a_host_that_is_none_gives_no_base(void **state)
{
    (void)state;
    static const char *const hosts[] = {"",    "a b",      "a/b",  "a:b",  "a:0",  "a:99999",
                                        "u@a", "a\"b",     "a\\b", "a\nb", "a<b>", "[::1",
                                        "::1", "http://a", "a,b",  "a?b",  "a#b",  "a:80:80"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        check_base(NULL, hosts[i], "/npm/x", "");
        check_base("npm", hosts[i], "/x", "");
    }
}

static void test_the_public_url_is_for_prefixes(void **state)
{
    (void)state;
    config.public_url = (char[]){"https://public.example/mirror"};
    check_base(NULL, "cache:5000", "/npm/lodash", "https://public.example/mirror/npm");
    check_base(NULL, "", "/npm/lodash", "https://public.example/mirror/npm");
    check_base(NULL, "own.example", "/lodash", "http://own.example");
    check_base("npm", "cache:4873", "/lodash", "http://cache:4873");
}

static void test_no_memory_is_told_by_the_path(void **state)
{
    (void)state;
    struct arena full;
    struct http_request r = {
        .host = SLICE("cache"), .host_name = SLICE("cache"), .path = SLICE("/npm/x")};
    arena_init(&full, NULL, 0, 0);
    assert_null(route_request(&service, NULL, &r, &full).path.p);
    config.public_url = (char[]){"https://public.example"};
    assert_null(route_request(&service, NULL, &r, &full).path.p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_listener_goes_before_all),
        TEST(test_the_host_goes_before_the_namespace),
        TEST(test_a_host_with_its_port_goes_before_the_same_without),
        TEST(test_a_namespace_is_closed_the_default_is_for_none),
        TEST(test_a_namespace_in_the_path_is_taken_off),
        TEST(test_only_what_is_under_the_root_belongs_to_it),
        TEST(test_what_is_served_is_listed),
        TEST(test_a_prefix_is_taken_off),
        TEST(test_a_prefix_without_slash_is_the_same_with_one),
        TEST(test_the_longest_prefix_wins),
        TEST(test_a_prefix_ends_where_a_segment_ends),
        TEST(test_listener_host_and_root_go_before_the_prefix),
        TEST(test_the_base_is_what_the_client_has_asked),
        TEST(test_a_host_that_is_none_gives_no_base),
        TEST(test_the_public_url_is_for_prefixes),
        TEST(test_no_memory_is_told_by_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
