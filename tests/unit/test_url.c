#include "daemon/http/url.c"

#include "http_test.h"

#define LABEL_63 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool https;
        const char *authority, *host;
        bool v6;
        unsigned port;
        const char *path, *query;
    } rows[] = {
        {"http://a", false, "a", "a", false, 80, "/", NULL},
        {"https://a", true, "a", "a", false, 443, "/", NULL},
        {"HTTPS://Example.ORG/Path", true, "Example.ORG", "Example.ORG", false, 443, "/Path", NULL},
        {"http://a:5000/v2/?n=1", false, "a:5000", "a", false, 5000, "/v2/", "n=1"},
        {"http://a?n=1", false, "a", "a", false, 80, "/", "n=1"},
        {"http://a/?", false, "a", "a", false, 80, "/", ""},
        {"http://a/b?c?d/e", false, "a", "a", false, 80, "/b", "c?d/e"},
        {"http://a/b#frag?x", false, "a", "a", false, 80, "/b", NULL},
        {"http://a#frag/x", false, "a", "a", false, 80, "/", NULL},
        {"http://a/b?c#d#e", false, "a", "a", false, 80, "/b", "c"},
        {"http://[::1]:5000/x", false, "[::1]:5000", "::1", true, 5000, "/x", NULL},
        {"https://[2001:DB8::1]", true, "[2001:DB8::1]", "2001:DB8::1", true, 443, "/", NULL},
        {"http://127.0.0.1/", false, "127.0.0.1", "127.0.0.1", false, 80, "/", NULL},
        {"http://a_b-c.d-/", false, "a_b-c.d-", "a_b-c.d-", false, 80, "/", NULL},
        {"http://a.b./x", false, "a.b.", "a.b.", false, 80, "/x", NULL},
        {"http://1a.b2/x", false, "1a.b2", "1a.b2", false, 80, "/x", NULL},
        {"http://a//b/../c", false, "a", "a", false, 80, "//b/../c", NULL},
        {"http://a/x@y:z%zz", false, "a", "a", false, 80, "/x@y:z%zz", NULL},
        {"http://" LABEL_63 ".b/", false, LABEL_63 ".b", LABEL_63 ".b", false, 80, "/", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_url url;
        if (!http_url_parse(slice_str(rows[i].text), &url))
            fail_msg("%s is refused", rows[i].text);
        assert_int_equal(url.https, rows[i].https);
        assert_int_equal(url.v6, rows[i].v6);
        assert_int_equal(url.port, rows[i].port);
        check_text(rows[i].text, url.authority, rows[i].authority);
        check_text(rows[i].text, url.host, rows[i].host);
        check_text(rows[i].text, url.path, rows[i].path);
        check_text(rows[i].text, url.query, rows[i].query);
    }
}

static const struct slice refused_urls[] = {
    SLICE(""),
    SLICE("http"),
    SLICE("http:"),
    SLICE("http:/a"),
    SLICE("http:a"),
    SLICE("http://"),
    SLICE("http:///x"),
    SLICE("http://?x"),
    SLICE("http://#x"),
    SLICE("ftp://a/"),
    SLICE("file:///etc/passwd"),
    SLICE("//a/b"),
    SLICE("/a"),
    SLICE(" http://a/"),
    SLICE("http://a/ "),
    SLICE("http://a b/"),
    SLICE("http://a/\tb"),
    SLICE("http://a/\r\nb"),
    SLICE("http://a/\0b"),
    SLICE("http://a/\x7f"),
    SLICE("http://a/#\n"),
    SLICE("http://a\\b/"),
    SLICE("http://a/b\\c"),
    SLICE("http://user@a/"),
    SLICE("http://user:secret@a/"),
    SLICE("http://a@b@c/"),
    SLICE("http://@a/"),
    SLICE("http://a:80@b/"),
    SLICE("http://a:"),
    SLICE("http://a:/"),
    SLICE("http://a:0/"),
    SLICE("http://a:080/"),
    SLICE("http://a:65536/"),
    SLICE("http://a:99999999999999999999/"),
    SLICE("http://a:+80/"),
    SLICE("http://a:80a/"),
    SLICE("http://a:80:80/"),
    SLICE("http://.a/"),
    SLICE("http://a..b/"),
    SLICE("http://./"),
    SLICE("http://" LABEL_63 "d/"),
    SLICE("http://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 "/"),
    SLICE("http://a%2eb/"),
    SLICE("http://%61/"),
    SLICE("http://\xc3\xa4/"),
    SLICE("http://a/\xc3\xa4"),
    SLICE("http://a!b/"),
    SLICE("http://a,b/"),
    SLICE("http://a;b/"),
    SLICE("http://a|b/"),
    SLICE("http://1/"),
    SLICE("http://127.1/"),
    SLICE("http://2130706433/"),
    SLICE("http://0x7f000001/"),
    SLICE("http://127.0.0.0x1/"),
    SLICE("http://0177.0.0.1/"),
    SLICE("http://1.2.3.4.5/"),
    SLICE("http://256.1.1.1/"),
    SLICE("http://127.0.0.1./"),
    SLICE("http://a.1/"),
    SLICE("http://[]/"),
    SLICE("http://[::1/"),
    SLICE("http://::1/"),
    SLICE("http://[::1]x/"),
    SLICE("http://[::1]:/"),
    SLICE("http://x[::1]/"),
    SLICE("http://[::1%25eth0]/"),
    SLICE("http://[::g]/"),
    SLICE("http://[1:2]/"),
    SLICE("http://[127.0.0.1]/"),
    SLICE("http://[v1.x]/"),
    SLICE("http://[a]/"),
    SLICE("http://[0000:0000:0000:0000:0000:0000:255.255.255.2555]/"),
};

static void test_parse_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_urls / sizeof refused_urls[0]; i++) {
        struct http_url url;
        if (http_url_parse(refused_urls[i], &url))
            fail_msg("%.*s is taken", SLICE_ARG(refused_urls[i]));
    }
}

static void test_length_is_bounded(void **state)
{
    (void)state;
    static char text[HTTP_URL_MAX + 1];
    struct http_url url;
    memset(text, 'a', sizeof text);
    memcpy(text, "http://a/", 9);
    assert_true(http_url_parse(slice_of(text, HTTP_URL_MAX), &url));
    assert_false(http_url_parse(slice_of(text, HTTP_URL_MAX + 1), &url));
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port;
    } rows[] = {
        {"a", "a", 0},
        {"a:1", "a", 1},
        {"a.b:65535", "a.b", 65535},
        {"[::1]", "::1", 0},
        {"[::ffff:1.2.3.4]:443", "::ffff:1.2.3.4", 443},
        {"1.2.3.4:80", "1.2.3.4", 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice host;
        unsigned port = 99;
        assert_true(http_authority_parse(slice_str(rows[i].text), &host, &port));
        check_text(rows[i].text, host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
    static const char *const bad[] = {"",        ":",    ":80",   "a:",   "a:x", "a b",
                                      "a,b",     "[::1", "::1",   "a/b",  "a@b", "[::1]80",
                                      "a:70000", "a:-1", "a: 80", "a%41", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice host = SLICE("untouched");
        unsigned port = 99;
        if (http_authority_parse(slice_str(bad[i]), &host, &port))
            fail_msg("%s is taken", bad[i]);
        check_text(bad[i], host, "untouched");
        assert_int_equal(port, 99);
    }
}

struct resolve_row {
    const char *base, *reference, *want;
};

static void check_resolve(const struct resolve_row *row)
{
    struct arena a;
    struct http_url base, result;
    test_arena(&a);
    assert_true(http_url_parse(slice_str(row->base), &base));
    struct slice got = http_url_resolve(&a, &base, slice_str(row->reference));
    check_text(row->reference, got, row->want);
    if (row->want)
        assert_true(http_url_parse(got, &result));
    arena_reset(&a);
}

/* RFC 3986 section 5.4, with the schemes that are known here. */
static void test_resolve_as_the_rfc_says(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *want;
    } rows[] = {
        {"http://h/g", "http://h/g"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x?y", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_resolve(&(struct resolve_row){"http://a/b/c/d;p?q", rows[i].reference, rows[i].want});
}

static void test_resolve(void **state)
{
    (void)state;
    static const struct resolve_row rows[] = {
        {"http://a", "b", "http://a/b"},
        {"http://a?q", "b", "http://a/b"},
        {"http://a", "?b", "http://a/?b"},
        {"http://a/x?q", "?", "http://a/x?"},
        {"https://a:8443/x", "/y", "https://a:8443/y"},
        {"https://a:443/x", "/y", "https://a/y"},
        {"http://a:443/x", "/y", "http://a:443/y"},
        {"http://[::1]:5000/x", "/y", "http://[::1]:5000/y"},
        {"https://a/x", "//b:81/y?z", "https://b:81/y?z"},
        {"https://a/x", "HTTP://b", "http://b/"},
        {"https://a/x", "http://b:80/../y?s=%2F", "http://b/y?s=%2F"},
        {"https://a/x", "/.//b/y", "https://a//b/y"},
        {"https://a/x", "y:z", NULL},
        {"https://a/x", "./y:z", "https://a/y:z"},
        {"https://a/x", "/y:z", "https://a/y:z"},
        {"https://a/x", "%2e%2e/y", "https://a/%2e%2e/y"},
        {"https://a/x", NULL, NULL},
        {"https://a/x", "http:y", NULL},
        {"https://a/x", "https:/y", NULL},
        {"https://a/x", "ftp://b/", NULL},
        {"https://a/x", "javascript:alert(1)", NULL},
        {"https://a/x", "//", NULL},
        {"https://a/x", "///y", NULL},
        {"https://a/x", "//user@b/y", NULL},
        {"https://a/x", "//b:0/y", NULL},
        {"https://a/x", "https://user:pw@b/y", NULL},
        {"https://a/x", "/a b", NULL},
        {"https://a/x", "/a\r\nX: y", NULL},
        {"https://a/x", "/y#\r\n", NULL},
        {"https://a/x", "\\\\b\\y", NULL},
        {"https://a/x", "/\xc3\xa4", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_resolve(&rows[i]);
}

static void test_resolve_is_bounded(void **state)
{
    (void)state;
    static char text[HTTP_URL_MAX + 1];
    struct arena a;
    struct http_url base;
    test_arena(&a);
    memset(text, 'a', sizeof text);
    assert_true(http_url_parse(SLICE("http://host/"), &base));
    assert_non_null(http_url_resolve(&a, &base, slice_of(text, HTTP_URL_MAX - 12)).p);
    assert_null(http_url_resolve(&a, &base, slice_of(text, HTTP_URL_MAX - 11)).p);
    assert_null(http_url_resolve(&a, &base, slice_of(text, sizeof text)).p);
    memcpy(text, "http://b/", 9);
    assert_non_null(http_url_resolve(&a, &base, slice_of(text, HTTP_URL_MAX)).p);
    arena_reset(&a);
}

/* With every amount of room the result is right or missing, never half. */
static void test_resolve_with_little_room(void **state)
{
    (void)state;
    static const char *const references[] = {"../c?d", "//h/c", "/c", "?d", "http://h/c"};
    struct http_url base;
    assert_true(http_url_parse(SLICE("https://host:99/a/b"), &base));
    for (size_t i = 0; i < sizeof references / sizeof references[0]; i++) {
        struct arena roomy;
        test_arena(&roomy);
        struct slice want = http_url_resolve(&roomy, &base, slice_str(references[i]));
        assert_non_null(want.p);
        size_t refused = 0;
        for (size_t cap = 0; cap < 256; cap += 16) {
            struct arena tight;
            arena_init(&tight, NULL, 0, cap);
            struct slice got = http_url_resolve(&tight, &base, slice_str(references[i]));
            refused += got.p == NULL;
            if (got.p)
                check_slice(references[i], got, want);
            arena_reset(&tight);
        }
        assert_in_range(refused, 1, 15);
        arena_reset(&roomy);
    }
}

static void test_same_origin(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"http://a/x", "http://a/y?z", true},   {"http://a/", "http://A:80/", true},
        {"https://a/", "https://a:443/", true}, {"http://[::1]/", "http://[::1]:80/", true},
        {"http://a/", "https://a/", false},     {"http://a:443/", "https://a:443/", false},
        {"http://a/", "http://a:81/", false},   {"http://a/", "http://b/", false},
        {"http://a/", "http://a.a/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_url a, b;
        assert_true(http_url_parse(slice_str(rows[i].a), &a));
        assert_true(http_url_parse(slice_str(rows[i].b), &b));
        if (http_url_same_origin(&a, &b) != rows[i].same)
            fail_msg("%s and %s are judged wrong", rows[i].a, rows[i].b);
    }
}

static void test_for_log(void **state)
{
    (void)state;
    struct arena a;
    test_arena(&a);
    check_text("signed", http_url_for_log(&a, SLICE("https://a:8443/x/y?sig=secret#f")),
               "https://a:8443/x/y");
    check_text("v6", http_url_for_log(&a, SLICE("http://[::1]:80")), "http://[::1]/");
    check_text("userinfo", http_url_for_log(&a, SLICE("https://user:secret@a/")),
               "(not a usable URL)");
    check_text("no URL", http_url_for_log(&a, SLICE("secret\r\n")), "(not a usable URL)");
    arena_reset(&a);
    full_arena(&a);
    check_text("no room", http_url_for_log(&a, SLICE("http://a/")), NULL);
}

static const struct {
    const char *a, *b;
    bool siblings;
} sibling_rows[] = {
    {"registry-1.docker.io", "auth.docker.io", true},
    {"Registry-1.Docker.IO", "auth.docker.io", true},
    {"docker.io", "auth.docker.io", true},
    {"a.b.example.org", "c.example.org", true},
    {"registry.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", true},
    {"a.example.co.uk", "b.example.co.uk", true},
    {"a.example.com.cn", "example.com.cn", true},
    {"a.example.ac.jp", "b.example.ac.jp", true},
    {"a.io", "a.io", true},
    {"localhost", "LOCALHOST", true},
    {"127.0.0.1", "127.0.0.1", true},
    {"::1", "::1", true},
    {"a.r2.dev", "a.r2.dev", true},

    {"registry-1.docker.io", "auth.docker.io.evil.org", false},
    {"registry-1.docker.io", "evildocker.io", false},
    {"docker.io", "evil.io", false},
    {"example.org", "example.com", false},
    {"example.co.uk", "evil.co.uk", false},
    {"co.uk", "evil.co.uk", false},
    {"a.co.uk", "co.uk", false},
    {"x.com.cn", "y.com.cn", false},
    {"registry", "auth", false},
    {"registry", "a.registry", false},
    {"io", "docker.io", false},
    {"127.0.0.1", "126.0.0.1", false},
    {"10.0.0.1", "11.1.0.1", false},
    {"10.0.0.1", "x.0.1", false},
    {"::1", "::2", false},
    {"::ffff:a.example.org", "a.example.org", false},
    {"a.azurecr.io", "b.azurecr.io", false},
    {"azurecr.io", "b.azurecr.io", false},
    {"1.dkr.ecr.eu-west-1.amazonaws.com", "2.s3.AmazonAWS.com", false},
    {"1.dkr.ecr.cn-north-1.amazonaws.com.cn", "2.s3.cn-north-1.amazonaws.com.cn", false},
    {"a.github.io", "b.github.io", false},
    {"d1.cloudfront.net", "d2.cloudfront.net", false},
    {"a.blob.core.windows.net", "b.blob.core.windows.net", false},
    {"login.windows.net", "evil.blob.core.windows.net", false},
    {"evil.blob.core.windows.net", "login.windows.net", false},
    {"a.r2.dev", "b.r2.dev", false},
    {"europe-docker.pkg.dev", "us-docker.pkg.dev", false},
    {"a.myqcloud.com", "b.myqcloud.com", false},
    {"a.myhuaweicloud.com", "b.myhuaweicloud.com", false},
    {"notr2.dev", "x.notr2.dev", true},
    {"a.docker.io.", "b.docker.io.", false},
    {"a.docker.io", "b.docker.io.", false},
    {"", "", false},
    {"", "a.io", false},
    {".io", "a.io", false},
    {"..io", "a..io", false},
};

static void test_siblings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sibling_rows / sizeof sibling_rows[0]; i++) {
        struct slice a = slice_str(sibling_rows[i].a), b = slice_str(sibling_rows[i].b);
        if (http_hosts_are_siblings(a, b) != sibling_rows[i].siblings ||
            http_hosts_are_siblings(b, a) != sibling_rows[i].siblings)
            fail_msg("%s and %s are judged wrong", sibling_rows[i].a, sibling_rows[i].b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_length_is_bounded),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_resolve_as_the_rfc_says),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_resolve_is_bounded),
        cmocka_unit_test(test_resolve_with_little_room),
        cmocka_unit_test(test_same_origin),
        cmocka_unit_test(test_for_log),
        cmocka_unit_test(test_siblings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
