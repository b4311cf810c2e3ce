#include "daemon/upstream/set.c"

#include "upstream_kit.h"

static void test_base64(void **state)
{
    (void)state;
    /* RFC 4648 section 10 */
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[16];
        base64((const unsigned char *)rows[i][0], strlen(rows[i][0]), out);
        assert_string_equal(out, rows[i][1]);
    }
}

static enum err make(const char *url, struct upstream_set **set, struct errinfo *info)
{
    char text[128], name[] = "r", user[] = "Aladdin", password[] = "open sesame";
    char realm[] = "auth.example:444";
    char *realms[] = {realm};
    snprintf(text, sizeof text, "%s", url);
    struct config_upstream upstream = {
        .url = text, .username = user, .password = password, .token_realms = {realms, 1}};
    struct config_route route = {.name = name, .upstreams = &upstream, .upstream_count = 1};
    return upstream_set_new(&route, set, info);
}

static void test_set_is_a_copy_of_the_configuration(void **state)
{
    (void)state;
    struct upstream_set *set = NULL;
    struct errinfo info;
    assert_int_equal(make("https://reg.example:8443/prefix/", &set, &info), ERR_OK);
    struct upstream *u = &set->v[0];
    assert_string_equal(u->url, "https://reg.example:8443/prefix");
    assert_true(u->base.https && u->base.port == 8443);
    assert_true(slice_eq(upstream_set_host(set), SLICE("reg.example")));
    /* RFC 7617 section 2 */
    assert_string_equal(u->basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_int_equal(u->token_realms.n, 1);
    assert_string_equal(u->token_realms.v[0], "auth.example:444");
    upstream_set_free(&set);
    assert_null(set);
}

static void test_unusable_urls(void **state)
{
    (void)state;
    static const char *const urls[] = {"ftp://reg.example", "https://", "reg.example",
                                       "https://user@reg.example", "https://reg.example/?x=1"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct upstream_set *set = NULL;
        struct errinfo info = {.msg = ""};
        assert_int_equal(make(urls[i], &set, &info), ERR_CONFIG);
        assert_null(set);
        assert_non_null(strstr(info.msg, "not a usable"));
    }
    char name[] = "empty";
    struct config_route route = {.name = name};
    struct upstream_set *set = NULL;
    assert_int_equal(upstream_set_new(&route, &set, NULL), ERR_CONFIG);
    assert_null(set);
}

static void test_what_was_learned(void **state)
{
    (void)state;
    struct upstream_set *set = NULL;
    struct arena a;
    struct upstream_auth auth;
    arena_init(&a, NULL, 0, 64 * 1024);
    assert_int_equal(make("https://reg.example", &set, NULL), ERR_OK);
    upstream_auth_known(&set->v[0], &a, &auth);
    assert_int_equal(auth.scheme, CHALLENGE_NONE);
    auth = (struct upstream_auth){CHALLENGE_BEARER, SLICE("https://a.example/t"), SLICE("s")};
    upstream_auth_learn(&set->v[0], &auth);
    auth = (struct upstream_auth){CHALLENGE_BEARER, SLICE("https://b.example/t"), SLICE("")};
    upstream_auth_learn(&set->v[0], &auth);
    upstream_auth_known(&set->v[0], &a, &auth);
    assert_int_equal(auth.scheme, CHALLENGE_BEARER);
    assert_true(slice_eq(auth.realm, SLICE("https://b.example/t")));
    assert_int_equal(auth.service.n, 0);
    static char too_long[LEARNED_TEXT_MAX + 1];
    memset(too_long, 'x', sizeof too_long);
    struct upstream_auth huge = {CHALLENGE_BEARER, slice_of(too_long, sizeof too_long), SLICE("")};
    upstream_auth_learn(&set->v[0], &huge);
    upstream_auth_known(&set->v[0], &a, &auth);
    assert_true(slice_eq(auth.realm, SLICE("https://b.example/t")));
    arena_reset(&a);
    /* Without room nothing is known, rather than half of it. */
    arena_init(&a, NULL, 0, 0);
    upstream_auth_known(&set->v[0], &a, &auth);
    assert_int_equal(auth.scheme, CHALLENGE_NONE);
    upstream_set_free(&set);
}

static void test_down_when_all_are(void **state)
{
    (void)state;
    unsigned ports[] = {1, 2};
    struct upstream_set *set = set_of(ports, 2, false);
    int64_t now = clock_mono_ms();
    assert_false(upstream_set_is_down(set));
    assert_int_equal(upstream_set_retry_after(set), 1);
    health_limited(&set->v[0].health, now, false, 20000);
    assert_false(upstream_set_is_down(set));
    health_limited(&set->v[1].health, now, false, 7000);
    assert_true(upstream_set_is_down(set));
    assert_in_range(upstream_set_retry_after(set), 6, 7);
    upstream_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_set_is_a_copy_of_the_configuration),
        cmocka_unit_test(test_unusable_urls),
        cmocka_unit_test(test_what_was_learned),
        cmocka_unit_test(test_down_when_all_are),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
