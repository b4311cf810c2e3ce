#include "http_test.h"

#include "daemon/protocol/file_host.c"

/* Writable, as a configuration's texts are. */
static char any_port[] = "files.test", one_port[] = "cdn.test:8443", v6[] = "[2001:db8::1]:80";
static char below_base[] = "https://registry.test/npm", internal[] = "http://10.0.0.5:4873";
static char plain[] = "http://plain.test";

static char *listed[] = {any_port, one_port, v6};
static struct config_upstream upstreams[] = {
    {.url = below_base}, {.url = internal}, {.url = plain}};
static const struct config_route route = {
    .file_hosts = {listed, 3}, .upstreams = upstreams, .upstream_count = 3};

static void test_hosts(void **state)
{
    static const struct {
        const char *url;
        bool allowed;
    } cases[] = {
        {"https://registry.test/a.tgz", true},
        {"https://REGISTRY.test:443/a.tgz", true},
        {"http://registry.test/a.tgz", true},
        {"https://registry.test:8443/a.tgz", false},
        {"https://evil.registry.test/a.tgz", false},
        {"https://registry.test.evil.test/a.tgz", false},
        {"http://10.0.0.5:4873/a.tgz", true},
        {"http://10.0.0.5/a.tgz", false},
        {"http://10.0.0.5:9200/a.tgz", false},
        {"http://169.254.169.254/a.tgz", false},
        {"http://files.test:81/a.tgz", true},
        {"https://files.test/a.tgz", true},
        {"https://cdn.test:8443/a.tgz", true},
        {"https://cdn.test/a.tgz", false},
        {"http://[2001:db8::1]/a.tgz", true},
        {"http://[2001:db8::1]:81/a.tgz", false},
    };
    struct http_url url;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(http_url_parse(slice_str(cases[i].url), &url));
        if (file_host_is_allowed(&route, &url) != cases[i].allowed)
            fail_msg("%s", cases[i].url);
    }
}

static void test_old_links_to_the_upstream_use_its_scheme(void **state)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        {"http://registry.test/npm/a?b=c", "https://registry.test/npm/a?b=c"},
        {"http://Registry.test:80", "https://registry.test/"},
        {"https://registry.test/a", "https://registry.test/a"},
        {"https://plain.test/a", "http://plain.test/a"},
        {"http://10.0.0.5:4873/a", "http://10.0.0.5:4873/a"},
        {"http://files.test/a", "http://files.test/a"},
        {"nonsense", "nonsense"},
    };
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_text(cases[i].url, file_host_as_upstream(&route, &a, slice_str(cases[i].url)),
                   cases[i].want);
    arena_reset(&a);
    full_arena(&a);
    check_text("full", file_host_as_upstream(&route, &a, SLICE("http://registry.test/")), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_old_links_to_the_upstream_use_its_scheme),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
