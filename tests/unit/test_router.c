#include "daemon/server/router.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *hub_names[] = {(char[]){"docker.io"}};
static char *quay_names[] = {(char[]){"quay.io"}};
static char *plain_hosts[] = {(char[]){"registry.example"}};
static char *port_hosts[] = {(char[]){"registry.example:5443"}};

static struct config_route configs[] = {
    {.name = (char[]){"hub"},
     .protocol = (char[]){"oci"},
     .namespaces = {hub_names, 1},
     .is_default = true},
    {.name = (char[]){"quay"}, .protocol = (char[]){"oci"}, .namespaces = {quay_names, 1}},
    {.name = (char[]){"plain"}, .protocol = (char[]){"oci"}, .hosts = {plain_hosts, 1}},
    {.name = (char[]){"port"}, .protocol = (char[]){"oci"}, .hosts = {port_hosts, 1}},
};
enum { ROUTES = sizeof configs / sizeof configs[0] };

static struct route routes[ROUTES];
static struct service service = {.routes = routes, .route_count = ROUTES};
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < ROUTES; i++) {
        routes[i] = (struct route){.cache = {.name = slice_str(configs[i].name)},
                                   .config = &configs[i],
                                   .protocol = protocol_find(SLICE("oci"))};
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
                                     "port (oci; hosts registry.example:5443)")));
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
