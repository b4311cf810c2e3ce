#include "daemon/upstream/bearer.c"

#include "upstream_kit.h"

struct realm_row {
    const char *upstream;
    const char *listed; /* in token_realms; NULL: none */
    const char *realm;
    enum realm_trust trust;
};

static enum realm_trust trust_of(const struct realm_row *row)
{
    char url[128], listed[128], name[] = "r";
    char *realms[] = {listed};
    const char *why;
    struct upstream_set *set = NULL;
    snprintf(url, sizeof url, "%s", row->upstream);
    snprintf(listed, sizeof listed, "%s", row->listed ? row->listed : "");
    struct config_upstream upstream = {.url = url, .token_realms = {realms, row->listed ? 1 : 0}};
    struct config_route route = {.name = name, .upstreams = &upstream, .upstream_count = 1};
    assert_int_equal(upstream_set_new(&route, &set, NULL), ERR_OK);
    enum realm_trust trust = bearer_realm_trust(&set->v[0], slice_str(row->realm), &why);
    assert_true((trust == REALM_REFUSED) == (why != NULL));
    upstream_set_free(&set);
    return trust;
}

static void test_which_realms_are_trusted(void **state)
{
    (void)state;
    static const struct realm_row rows[] = {
        {"https://reg.example.com", NULL, "https://reg.example.com/token", REALM_RELATED},
        {"https://reg.example.com", NULL, "https://REG.example.com:444/token", REALM_RELATED},
        {"https://registry-1.docker.io", NULL, "https://auth.docker.io/token", REALM_RELATED},
        {"https://reg.example.com", NULL, "http://reg.example.com/token", REALM_REFUSED},
        {"https://reg.example.com", NULL, "https://evil.example.org/token", REALM_REFUSED},
        {"https://reg.example.com", NULL, "https://reg.example.com.evil.org/t", REALM_REFUSED},
        {"https://reg.example.com", NULL, "https://user@reg.example.com/t", REALM_REFUSED},
        {"https://reg.example.com", NULL, "ftp://reg.example.com/t", REALM_REFUSED},
        {"https://reg.example.com", NULL, "/token", REALM_REFUSED},
        {"https://reg.example.com", NULL, "", REALM_REFUSED},
        {"http://10.0.0.1:5000", NULL, "http://10.0.0.1:5001/t", REALM_RELATED},
        {"http://10.0.0.1:5000", NULL, "http://10.0.0.2/t", REALM_REFUSED},
        {"http://reg.example.com", NULL, "https://reg.example.com/t", REALM_RELATED},
        {"https://reg.example.com", "tok.example.org", "https://tok.example.org/t",
         REALM_CONFIGURED},
        {"https://reg.example.com", "tok.example.org", "https://TOK.example.org:8443/t",
         REALM_CONFIGURED},
        {"https://reg.example.com", "tok.example.org:8443", "https://tok.example.org:8443/t",
         REALM_CONFIGURED},
        {"https://reg.example.com", "tok.example.org:8443", "https://tok.example.org/t",
         REALM_REFUSED},
        {"https://reg.example.com", "tok.example.org", "http://tok.example.org/t", REALM_REFUSED},
        {"https://reg.example.com", "tok.example.org", "https://x.tok.example.com/t",
         REALM_RELATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (trust_of(&rows[i]) != rows[i].trust)
            fail_msg("%s for %s", rows[i].realm, rows[i].upstream);
}

static void check_url(const char *realm, const char *service, const char *scope, const char *want)
{
    struct arena a;
    arena_init(&a, NULL, 0, 64 * 1024);
    struct slice url = bearer_url(&a, slice_str(realm), slice_str(service), slice_str(scope));
    assert_non_null(url.p);
    assert_string_equal(url.p, want);
    arena_reset(&a);
}

static void test_token_url(void **state)
{
    (void)state;
    check_url("https://a/t", "s.example", "repository:a/b:pull,push",
              "https://a/t?service=s.example&scope=repository:a/b:pull,push");
    check_url("https://a/t?x=1", "s", "one  two", "https://a/t?x=1&service=s&scope=one&scope=two");
    check_url("https://a/t#f", "", "", "https://a/t");
    check_url("https://a/t", "a b&c=d\r\n\"", "", "https://a/t?service=a%20b%26c%3Dd%0D%0A%22");
    struct arena a;
    arena_init(&a, NULL, 0, 0);
    assert_null(bearer_url(&a, SLICE("https://a/t"), SLICE("s"), SLICE("x")).p);
}

static void check_sorted(const char *scope, const char *want)
{
    struct arena a;
    arena_init(&a, NULL, 0, 64 * 1024);
    struct slice got = bearer_scope_sorted(&a, slice_str(scope));
    if (!got.p || !slice_eq(got, slice_str(want)))
        fail_msg("%s: got %.*s", scope, SLICE_ARG(got));
    arena_reset(&a);
}

static void test_scopes_in_order(void **state)
{
    (void)state;
    check_sorted("", "");
    check_sorted("  ", "");
    check_sorted("repository:a:pull", "repository:a:pull");
    check_sorted("c  a b ", "a b c");
    check_sorted("c\ta \tb\t", "a b c");
    check_sorted("b a b", "a b");
    check_sorted("ab a abc", "a ab abc");
    check_sorted("q p o n m l k j i h g f e d c b a", "q p o n m l k j i h g f e d c b a");
}

struct answer_row {
    const char *body;
    const char *token; /* NULL: refused */
    int64_t lifetime;
};

static void test_answers_of_the_service(void **state)
{
    (void)state;
    static const struct answer_row rows[] = {
        {"{\"token\":\"abc\"}", "abc", 60},
        {"{\"access_token\":\"abc\",\"expires_in\":300}", "abc", 300},
        {"{\"access_token\":\"other\",\"token\":\"abc\",\"expires_in\":10}", "abc", 60},
        {"{\"token\":\"abc\",\"expires_in\":-5}", "abc", 60},
        {"{\"token\":\"abc\",\"expires_in\":1e3}", "abc", 60},
        {"{\"token\":\"abc\",\"expires_in\":99999999999}", "abc", 86400},
        {"{\"token\":\"abc\",\"x\":{\"token\":\"inner\",\"expires_in\":900}}", "abc", 60},
        {"{\"x\":{\"token\":\"inner\"}}", NULL, 0},
        {"[\"token\"]", NULL, 0},
        {"{\"token\":\"\"}", NULL, 0},
        {"{\"token\":7}", NULL, 0},
        {"{\"token\":\"a b\"}", NULL, 0},
        {"{\"token\":\"a\\r\\nX: y\"}", NULL, 0},
        {"{\"token\":\"a\\u0000b\"}", NULL, 0},
        {"{\"token\":\"\\u00e9\"}", NULL, 0},
        {"{\"token\":\"abc\"", NULL, 0},
        {"<html>", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena a;
        struct slice token;
        int64_t lifetime = 0;
        arena_init(&a, NULL, 0, 64 * 1024);
        enum err rc = bearer_parse(slice_str(rows[i].body), &a, &token, &lifetime, NULL);
        if (rc != (rows[i].token ? ERR_OK : ERR_PROTO))
            fail_msg("%s: %s", rows[i].body, err_name(rc));
        if (!rc && (!slice_eq(token, slice_str(rows[i].token)) || lifetime != rows[i].lifetime))
            fail_msg("%s: %.*s, %d s", rows[i].body, SLICE_ARG(token), (int)lifetime);
        arena_reset(&a);
    }
}

static void test_token_length_is_bounded(void **state)
{
    (void)state;
    static char body[TOKEN_LENGTH_MAX + 32];
    for (int extra = 0; extra < 2; extra++) {
        struct arena a;
        struct slice token;
        int64_t lifetime;
        arena_init(&a, NULL, 0, 64 * 1024);
        snprintf(body, sizeof body, "{\"token\":\"%0*d\"}", TOKEN_LENGTH_MAX + extra, 1);
        assert_int_equal(bearer_parse(slice_str(body), &a, &token, &lifetime, NULL),
                         extra ? ERR_PROTO : ERR_OK);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_realms_are_trusted),
        cmocka_unit_test(test_token_url),
        cmocka_unit_test(test_scopes_in_order),
        cmocka_unit_test(test_answers_of_the_service),
        cmocka_unit_test(test_token_length_is_bounded),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
