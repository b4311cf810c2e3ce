#include "daemon/upstream/egress.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    return 0;
}

/* The proxy for a URL, or "direct". */
static void check(const struct egress *e, const char *text, const char *want)
{
    struct http_url url;
    assert_true(http_url_parse(slice_str(text), &url));
    const char *got = egress_proxy(e, &url);
    if (strcmp(got ? got : "direct", want) != 0)
        fail_msg("%s: got %s, want %s", text, got ? got : "direct", want);
}

static void check_environment(const char *url, const char *want)
{
    struct egress e;
    egress_init(&e, NULL);
    check(&e, url, want);
    egress_close(&e);
}

static void test_environment(void **state)
{
    (void)state;
    check_environment("http://a.example/", "direct");
    setenv("HTTP_PROXY", "http://upper:1", 1);
    check_environment("http://a.example/", "direct");
    setenv("ALL_PROXY", "http://all:2", 1);
    check_environment("http://a.example/", "http://all:2");
    setenv("http_proxy", "http://plain:3", 1);
    check_environment("http://a.example/", "http://plain:3");
    check_environment("https://a.example/", "http://all:2");
    setenv("HTTPS_PROXY", "http://tls:4", 1);
    check_environment("https://a.example/", "http://tls:4");
    setenv("https_proxy", "", 1);
    check_environment("https://a.example/", "http://tls:4");
}

static void test_configured_goes_before_the_environment(void **state)
{
    (void)state;
    struct egress e;
    setenv("http_proxy", "http://plain:3", 1);
    setenv("NO_PROXY", "near.example", 1);
    egress_init(&e, "http://ours:8");
    check(&e, "http://a.example/", "http://ours:8");
    check(&e, "https://a.example/", "http://ours:8");
    check(&e, "https://near.example/", "direct");
    egress_close(&e);
}

struct exempt_row {
    const char *list;
    const char *url;
    bool direct;
};

static void test_no_proxy(void **state)
{
    (void)state;
    static const struct exempt_row rows[] = {
        {"*", "http://a.example/", true},
        {"a.example", "http://a.example/", true},
        {"a.example", "http://A.Example:81/", true},
        {".a.example", "http://a.example/", true},
        {"a.example", "http://x.a.example/", true},
        {"a.example", "http://xa.example/", false},
        {"b.example, a.example", "http://a.example/", true},
        {"b.example a.example", "http://a.example/", true},
        {"b.example,,", "http://a.example/", false},
        {".", "http://a.example/", false},
        {"10.0.0.0/8", "http://10.9.8.7/", true},
        {"10.0.0.0/8", "http://11.9.8.7/", false},
        {"10.0.0.0/12", "http://10.15.0.1/", true},
        {"10.0.0.0/12", "http://10.16.0.1/", false},
        {"10.0.0.0/33", "http://10.0.0.1/", false},
        {"10.0.0.0/x", "http://10.0.0.0/", false},
        {"10.0.0.0/0", "http://99.0.0.1/", true},
        {"10.1.2.3", "http://10.1.2.3:8/", true},
        {"0.1.2.3", "http://10.1.2.3/", false},
        {"::1", "http://[::1]:5/", true},
        {"fd00::/8", "http://[fd12::1]/", true},
        {"fd00::/8", "http://10.0.0.1/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setenv("no_proxy", rows[i].list, 1);
        struct egress e;
        egress_init(&e, "http://ours:8");
        check(&e, rows[i].url, rows[i].direct ? "direct" : "http://ours:8");
        egress_close(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_environment, setup),
        cmocka_unit_test_setup(test_configured_goes_before_the_environment, setup),
        cmocka_unit_test_setup(test_no_proxy, setup),
    };
    return cmocka_run_group_tests(tests, NULL, setup);
}
