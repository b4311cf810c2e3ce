#include "daemon/http/challenge.c"

#include "http_test.h"

struct challenge_row {
    const char *lines[3];
    enum challenge_scheme scheme;
    const char *realm, *service, *scope, *error;
};

static void check_row(const struct challenge_row *row)
{
    struct arena a;
    struct http_fields f = {0};
    struct challenge c;
    test_arena(&a);
    assert_true(http_fields_add(&f, &a, 9, SLICE("Via"), SLICE("Bearer realm=\"other-field\"")));
    for (size_t i = 0; i < 3 && row->lines[i]; i++)
        assert_true(
            http_fields_add(&f, &a, 9, SLICE("Www-Authenticate"), slice_str(row->lines[i])));
    challenge_find(&f, &a, &c);
    if (c.scheme != row->scheme)
        fail_msg("%s: scheme %d", row->lines[0], (int)c.scheme);
    check_text(row->lines[0], c.realm, row->realm);
    check_text(row->lines[0], c.service, row->service);
    check_text(row->lines[0], c.scope, row->scope);
    check_text(row->lines[0], c.error, row->error);
    arena_reset(&a);
}

static void check_rows(const struct challenge_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_well_formed(void **state)
{
    (void)state;
    static const struct challenge_row rows[] = {
        {{NULL}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"https://auth.example/token\",service=\"registry.example\","
          "scope=\"repository:a/b:pull,push\",error=\"insufficient_scope\""},
         CHALLENGE_BEARER,
         "https://auth.example/token",
         "registry.example",
         "repository:a/b:pull,push",
         "insufficient_scope"},
        {{"bEARER REALM=\"r\", Service=s"}, CHALLENGE_BEARER, "r", "s", NULL, NULL},
        {{"Bearer realm = \"r\" ,\tservice\t=\t\"s\""}, CHALLENGE_BEARER, "r", "s", NULL, NULL},
        {{"Bearer   realm=\"r\",,, service=\"s\" ,"}, CHALLENGE_BEARER, "r", "s", NULL, NULL},
        {{"Bearer realm=\"r\",error_description=\"a, b\",service=\"s\""},
         CHALLENGE_BEARER,
         "r",
         "s",
         NULL,
         NULL},
        {{"Basic realm=\"r\""}, CHALLENGE_BASIC, "r", NULL, NULL, NULL},
        {{"Basic"}, CHALLENGE_BASIC, NULL, NULL, NULL, NULL},
        {{"Basic realm=\"\""}, CHALLENGE_BASIC, "", NULL, NULL, NULL},
        {{"Bearer realm=\"a\\\"b\\\\c\\,d\""}, CHALLENGE_BEARER, "a\"b\\c,d", NULL, NULL, NULL},
        {{"Bearer realm=\"r\",realm=\"evil\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
        {{"Bearer realm=\"r\",scope=\"\",scope=\"x\""}, CHALLENGE_BEARER, "r", NULL, "", NULL},
        {{"Bearer realm=\"r\", scope=\"a:b:pull c:d:pull\""},
         CHALLENGE_BEARER,
         "r",
         NULL,
         "a:b:pull c:d:pull",
         NULL},
    };
    CHECK_ROWS(rows);
}

static void test_choice_among_several(void **state)
{
    (void)state;
    static const struct challenge_row rows[] = {
        {{"Basic realm=\"b\", Bearer realm=\"r\",service=\"s\""},
         CHALLENGE_BEARER,
         "r",
         "s",
         NULL,
         NULL},
        {{"Bearer realm=\"r\", Basic realm=\"b\", service=\"of-basic\""},
         CHALLENGE_BEARER,
         "r",
         NULL,
         NULL,
         NULL},
        {{"Basic realm=\"b\"", "Bearer realm=\"r\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
        {{"Bearer realm=\"r\"", "Bearer realm=\"r2\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
        {{"Basic realm=\"b\", Basic realm=\"b2\""}, CHALLENGE_BASIC, "b", NULL, NULL, NULL},
        {{"Negotiate, NTLM, Basic realm=\"b\""}, CHALLENGE_BASIC, "b", NULL, NULL, NULL},
        {{"Negotiate YII+/abc==, Basic realm=\"b\""}, CHALLENGE_BASIC, "b", NULL, NULL, NULL},
        {{"Negotiate YII=", "Digest realm=\"d\", nonce=\"n\""},
         CHALLENGE_NONE,
         NULL,
         NULL,
         NULL,
         NULL},
        {{"Digest realm=\"d\", qop=\"auth,auth-int\", Bearer realm=\"r\""},
         CHALLENGE_BEARER,
         "r",
         NULL,
         NULL,
         NULL},
        {{"X, Bearer realm=\"r\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
        {{"Bearer, Basic realm=\"b\""}, CHALLENGE_BASIC, "b", NULL, NULL, NULL},
        {{"Bearer error=\"invalid_token\"", "Bearer realm=\"r\""},
         CHALLENGE_BEARER,
         "r",
         NULL,
         NULL,
         NULL},
        {{", , Bearer realm=\"r\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
    };
    CHECK_ROWS(rows);
}

static void test_broken(void **state)
{
    (void)state;
    static const struct challenge_row rows[] = {
        {{""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"\"Bearer\" realm=\"r\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"never closed"}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"r\\"}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"r\\\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"a\rb\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"a\\\x01\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"r\" service=\"s\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"r\"x"}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=https://x/"}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm="}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer realm=\"r\", service="}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer ="}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer=realm"}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        {{"Bearer\trealm=\"r\""}, CHALLENGE_NONE, NULL, NULL, NULL, NULL},
        /* What stood before the break counts, what stands behind it does not. */
        {{"Basic realm=\"b\", Bearer realm=\"never closed"},
         CHALLENGE_BASIC,
         "b",
         NULL,
         NULL,
         NULL},
        {{"Basic realm=\"b\", =, Bearer realm=\"r\""}, CHALLENGE_BASIC, "b", NULL, NULL, NULL},
        {{"Basic realm=\"broken", "Bearer realm=\"r\""}, CHALLENGE_BEARER, "r", NULL, NULL, NULL},
    };
    CHECK_ROWS(rows);
}

static void test_escapes_need_room(void **state)
{
    (void)state;
    struct arena roomy, full;
    struct http_fields f = {0};
    struct challenge c;
    test_arena(&roomy);
    full_arena(&full);
    assert_true(http_fields_add(&f, &roomy, 9, SLICE("WWW-Authenticate"),
                                SLICE("Basic realm=\"b\", Bearer realm=\"a\\b\"")));
    challenge_find(&f, &full, &c);
    assert_int_equal(c.scheme, CHALLENGE_BASIC);
    check_text("before the break", c.realm, "b");
    arena_reset(&roomy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_choice_among_several),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_escapes_need_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
