#include "daemon/http/accept.c"

#include "http_test.h"

#define INDEX "application/vnd.oci.image.index.v1+json"

static unsigned quality(const struct http_fields *f, struct slice type)
{
    unsigned result = QUALITY_MAX + 1;
    http_accept_qualities(f, &type, 1, &result);
    return result;
}

struct accept_row {
    const char *lines[2];
    bool accepted;
};

static void test_accepts(void **state)
{
    (void)state;
    static const struct accept_row rows[] = {
        {{NULL}, true},
        {{""}, true},
        {{INDEX}, true},
        {{"APPLICATION/vnd.oci.image.INDEX.v1+json"}, true},
        {{"text/html, " INDEX ";q=0.1"}, true},
        {{"text/html", INDEX}, true},
        {{"text/html"}, false},
        {{"application/vnd.oci.image.index.v1"}, false},
        {{INDEX "x"}, false},
        {{"*/*"}, true},
        {{"application/*"}, true},
        {{"APPLICATION/*"}, true},
        {{"text/*"}, false},
        {{"app/*"}, false},
        {{"*"}, false},
        {{"*/json"}, false},
        {{INDEX ";q=0"}, false},
        {{INDEX "; Q=0.000"}, false},
        {{INDEX ";q=0."}, false},
        {{INDEX ";q=0.001"}, true},
        {{INDEX ";q=1"}, true},
        {{INDEX ";q=00"}, true},
        {{INDEX ";quality=0"}, true},
        {{INDEX ";profile=\"a;q=0,b\""}, true},
        {{INDEX ";profile=\"a\";q=0"}, false},
        /* The closest range decides, whatever the order. */
        {{"*/*, " INDEX ";q=0"}, false},
        {{INDEX ";q=0", "*/*"}, false},
        {{"*/*;q=0, " INDEX}, true},
        {{"application/*;q=0, */*"}, false},
        {{"*/*, application/*;q=0"}, false},
        {{INDEX ";q=0, " INDEX}, true},
        {{INDEX, INDEX ";q=0"}, true},
        {{";q=0, */*"}, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena a;
        struct http_fields f = {0};
        test_arena(&a);
        assert_true(http_fields_add(&f, &a, 9, SLICE("Content-Type"), SLICE(INDEX)));
        for (int line = 0; line < 2 && rows[i].lines[line]; line++)
            assert_true(
                http_fields_add(&f, &a, 9, SLICE("Accept"), slice_str(rows[i].lines[line])));
        if ((quality(&f, SLICE(INDEX)) > 0) != rows[i].accepted)
            fail_msg("row %zu (%s) is judged wrong", i, rows[i].lines[0]);
        arena_reset(&a);
    }
}

/* RFC 9110 section 12.5.1, and what clients of package indexes send. */
#define RFC_ACCEPT                                                                                 \
    "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "                                   \
    "text/plain;format=fixed;q=0.4, */*;q=0.5"
#define PIP_ACCEPT                                                                                 \
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "            \
    "text/html; q=0.01"
#define NPM_ACCEPT "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

static unsigned quality_of(const char *const lines[2], struct slice type)
{
    struct arena a;
    struct http_fields f = {0};

    test_arena(&a);
    for (int line = 0; line < 2 && lines[line]; line++)
        assert_true(http_fields_add(&f, &a, 9, SLICE("Accept"), slice_str(lines[line])));
    unsigned result = quality(&f, type);
    arena_reset(&a);
    return result;
}

/* Each type is judged by itself, whatever stands beside it. */
static void test_several_types_at_once(void **state)
{
    (void)state;
    static const struct slice types[] = {SLICE("a/x"), SLICE("b/y"), SLICE("a/z"), SLICE("c/c")};
    unsigned got[4];
    struct arena a;
    struct http_fields f = {0};
    test_arena(&a);
    assert_true(http_fields_add(&f, &a, 9, SLICE("Accept"), SLICE("a/*;q=0.5, b/y;q=0.2, a/z")));
    http_accept_qualities(&f, types, 4, got);
    assert_int_equal(got[0], 500);
    assert_int_equal(got[1], 200);
    assert_int_equal(got[2], 1000);
    assert_int_equal(got[3], 0);
    arena_reset(&a);
}

static void test_quality(void **state)
{
    static const struct {
        const char *lines[2];
        const char *type;
        unsigned quality;
    } rows[] = {
        {{NULL}, "text/html", 1000},
        {{""}, "text/html", 1000},
        {{" , ,"}, "text/html", 1000},
        {{", ;;"}, "text/html", 1000},
        {{"text/html"}, "application/json", 0},
        {{RFC_ACCEPT}, "text/plain", 700},
        {{RFC_ACCEPT}, "text/html", 300},
        {{RFC_ACCEPT}, "image/jpeg", 500},
        {{PIP_ACCEPT}, "application/vnd.pypi.simple.v1+json", 1000},
        {{PIP_ACCEPT}, "application/vnd.pypi.simple.v1+html", 100},
        {{PIP_ACCEPT}, "text/html", 10},
        {{PIP_ACCEPT}, "application/json", 0},
        {{NPM_ACCEPT}, "application/vnd.npm.install-v1+json", 1000},
        {{NPM_ACCEPT}, "application/json", 800},
        {{NPM_ACCEPT}, "text/html", 1000},
        {{"text/html;q=0.2", "*/*;q=0.1"}, "text/html", 200},
        {{"*/*;q=0.1", "text/html;q=0.2"}, "text/html", 200},
        {{"text/html;q=0.2, text/html;q=0.3, text/html;q=0.1"}, "text/html", 300},
        {{"text/html;level=1;q=0.3"}, "text/html", 300},
        {{"text/html;q=0.3;level=1"}, "text/html", 300},
        {{"*/*;level=1;q=0.3"}, "text/html", 300},
        {{"text/html; a=\",q=0;\"; q=0.3"}, "text/html", 300},
        {{"text/html; a=\"\\\"; q=0.1\"; q=0.3"}, "text/html", 300},
        /* A quote that never closes takes all that follows with it. */
        {{"text/html; a=\"; q=0.1, */*;q=0.2"}, "text/html", 1000},
        {{"text/html\t;\tq=0.5\t,*/*;q=0"}, "text/html", 500},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned got = quality_of(rows[i].lines, slice_str(rows[i].type));
        if (got != rows[i].quality)
            fail_msg("row %zu (%s in %s): %u", i, rows[i].type, rows[i].lines[0], got);
    }
}

static void test_weights(void **state)
{
    static const struct {
        const char *text;
        unsigned value;
    } rows[] = {
        {"0", 0},
        {"0.", 0},
        {"0.0", 0},
        {"0.000000", 0},
        {"0.5", 500},
        {"0.05", 50},
        {"0.123", 123},
        {"0.999", 999},
        {"0.99999", 999},
        {"0.0001", 1},
        {".2", 200},
        {"1", 1000},
        {"1.000", 1000},
        {"1.5", 1000},
        {"2", 1000},
        {"", 1000},
        {".", 1000},
        {"-1", 1000},
        {"00", 1000},
        {"0x1", 1000},
        {"0.5x", 1000},
        {"0.-1", 1000},
        {"\"0\"", 1000},
        {"0 .5", 1000},
        {"0,5", 1000},
        {"0..5", 1000},
        {"0.5.5", 1000},
        {"nan", 1000},
        {"1e-3", 1000},
        {" 0.5", 1000},
        {"0.99999999999999999999999999999999999999999999999999999999999999999999999999", 999},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (weight_value(slice_str(rows[i].text)) != rows[i].value)
            fail_msg("q=%s is read as %u", rows[i].text, weight_value(slice_str(rows[i].text)));
}

static void test_accepts_gzip(void **state)
{
    static const struct {
        const char *lines[2];
        bool accepted;
    } rows[] = {
        {{NULL}, false},
        {{""}, false},
        {{"gzip"}, true},
        {{"GZip"}, true},
        {{"x-gzip"}, true},
        {{"X-Gzip;q=0.1"}, true},
        {{"gzip, deflate, br"}, true},
        {{"deflate", "gzip"}, true},
        {{"gzip;q=1.0, identity; q=0.5, *;q=0"}, true},
        {{"*"}, true},
        {{"*;q=0.001"}, true},
        {{"identity"}, false},
        {{"br, zstd"}, false},
        {{"gzip;q=0"}, false},
        {{"gzip; q=0.000"}, false},
        {{"gzip;q=0, *"}, false},
        {{"*", "gzip;q=0"}, false},
        {{"*;q=0, gzip"}, true},
        {{"*;q=0"}, false},
        {{"gzip;q=0, x-gzip"}, true},
        /* Who wants the plain bytes more gets them. */
        {{"identity, gzip;q=0.5"}, false},
        {{"identity;q=0.5, gzip;q=0.5"}, true},
        {{"identity, *;q=0.1"}, false},
        {{"identity;q=0, *;q=0.1"}, true},
        {{"gzipped, xgzip, gzip2, -gzip, \"gzip\""}, false},
        {{"gzi", "p"}, false},
        {{";gzip"}, true}, /* the empty member is skipped, as everywhere in lists */
        {{"identity;a=\",gzip\""}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena a;
        struct http_fields f = {0};
        test_arena(&a);
        assert_true(http_fields_add(&f, &a, 9, SLICE("Accept"), SLICE("gzip")));
        for (int line = 0; line < 2 && rows[i].lines[line]; line++)
            assert_true(http_fields_add(&f, &a, 9, SLICE("Accept-Encoding"),
                                        slice_str(rows[i].lines[line])));
        if (http_accepts_gzip(&f) != rows[i].accepted)
            fail_msg("row %zu (%s) is judged wrong", i, rows[i].lines[0]);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),      cmocka_unit_test(test_several_types_at_once),
        cmocka_unit_test(test_quality),      cmocka_unit_test(test_weights),
        cmocka_unit_test(test_accepts_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
