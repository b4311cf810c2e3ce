#include "daemon/http/target.c"

#include "http_test.h"

#include <stdio.h>

enum { ROOM = 128 };

/*
 * The path behind and before others, at every place that it may have in sixteen bytes: it must be
 * judged as it is alone.
 */
static void check_everywhere(struct slice path, bool clean)
{
    static const char *const tails[] = {"", "/of-one-segment-that-is-plain",
                                        "/a/b/c.d/e/f/g/h/i/j"};
    char text[ROOM];
    for (size_t before = 0; before <= 32; before++)
        for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
            int n = snprintf(text, sizeof text, "/%.*s", (int)before,
                             "xxxxxxxxxxxxxxxx/xxxxx.xxxxxxxxx");
            memcpy(text + n, path.p, path.n);
            n += (int)path.n;
            n += snprintf(text + n, sizeof text - (size_t)n, "%s", tails[i]);
            if (http_path_is_clean(slice_of(text, (size_t)n)) != clean)
                fail_msg("%.*s is %s", n, text, clean ? "refused" : "let through");
        }
}

static void test_clean_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/",
        "/v2/",
        "/v2/library/ubuntu/manifests/22.04",
        "/v2//x",
        "/@scope%2fname",
        "/@scope%2Fname/-/name-1.0.0.tgz",
        "/github.com/!burnt!sushi/toml/@v/list",
        "/a/...",
        "/.../b",
        "/a..b/c.",
        "/..a/.b/b..",
        "/%2e%2ea",
        "/%41%c3%a4%20",
        "/a:b;c=d,e(f)'*+~",
        "/a%25b",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (!http_path_is_clean(slice_str(paths[i])))
            fail_msg("%s is refused", paths[i]);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        check_everywhere(slice_str(paths[i]), true);
}

static void test_unclean_paths(void **state)
{
    (void)state;
    static const struct slice paths[] = {
        SLICE(""),          SLICE("*"),         SLICE("v2/"),
        SLICE("/."),        SLICE("/.."),       SLICE("/a/./b"),
        SLICE("/a/../b"),   SLICE("/a/.."),     SLICE("/%2e"),
        SLICE("/%2E%2e/x"), SLICE("/.%2e/x"),   SLICE("/a/%2e./x"),
        SLICE("/a/..%2fb"), SLICE("/a%2f../b"), SLICE("/a%2F%2e%2E%2fb"),
        SLICE("/a%2f."),    SLICE("/%00"),      SLICE("/a%0d%0ab"),
        SLICE("/%1f"),      SLICE("/%7f"),      SLICE("/%5c"),
        SLICE("/%5Cb"),     SLICE("/a\\b"),     SLICE("/%"),
        SLICE("/%2"),       SLICE("/%zz"),      SLICE("/%2x"),
        SLICE("/a b"),      SLICE("/a\tb"),     SLICE("/a\rb"),
        SLICE("/a\0b"),     SLICE("/a\x7f"),    SLICE("/a\xc3\xa4"),
        SLICE("/a#b"),
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (http_path_is_clean(paths[i]))
            fail_msg("%.*s is let through", SLICE_ARG(paths[i]));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (slice_starts(paths[i], SLICE("/")))
            check_everywhere(paths[i], false);
}

static void test_query_get(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name, *value;
    } rows[] = {
        {"ns=docker.io", "ns", "docker.io"},
        {"n=5&last=x&ns=docker.io&x", "ns", "docker.io"},
        {"ns=a&ns=b", "ns", "a"},
        {"x&ns=", "ns", ""},
        {"x&ns", "ns", ""},
        {"n", "n", ""},
        {"ns=a=b", "ns", "a=b"},
        {"ns=a%26b", "ns", "a%26b"},
        {"&&ns=a&", "ns", "a"},
        {"nsx=a", "ns", NULL},
        {"xns=a", "ns", NULL},
        {"NS=a", "ns", NULL},
        {"a=ns", "ns", NULL},
        {"", "ns", NULL},
        {NULL, "ns", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_text(rows[i].query, http_query_get(slice_str(rows[i].query), slice_str(rows[i].name)),
                   rows[i].value);
}

static void test_percent_decode(void **state)
{
    (void)state;
    struct arena a;
    test_arena(&a);
    check_text("plain", http_percent_decode(&a, SLICE("abc+d")), "abc+d");
    check_text("escapes", http_percent_decode(&a, SLICE("%41b%2f%2Fc%25")), "Ab//c%");
    check_text("twice", http_percent_decode(&a, SLICE("%2541")), "%41");
    check_slice("NUL", http_percent_decode(&a, SLICE("a%00b")), SLICE("a\0b"));
    check_text("empty", http_percent_decode(&a, SLICE("")), "");
    check_text("nothing", http_percent_decode(&a, slice_of(NULL, 0)), "");
    check_text("cut", http_percent_decode(&a, SLICE("abc%2")), NULL);
    check_text("lone", http_percent_decode(&a, SLICE("%")), NULL);
    check_text("no digit", http_percent_decode(&a, SLICE("%4x")), NULL);
    arena_reset(&a);
    full_arena(&a);
    check_text("no room", http_percent_decode(&a, SLICE("a")), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_paths),
        cmocka_unit_test(test_unclean_paths),
        cmocka_unit_test(test_query_get),
        cmocka_unit_test(test_percent_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
