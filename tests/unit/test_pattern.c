#include "daemon/protocol/pattern.c"

#include "http_test.h"

static void check(const char *pattern, const char *path, bool want)
{
    if (pattern_covers(slice_str(pattern), slice_str(path)) != want)
        fail_msg("%s %s %s", pattern, want ? "does not cover" : "covers", path);
}

static void test_literal_paths(void **state)
{
    (void)state;
    check("/a/b", "/a/b", true);
    check("a/b", "/a/b", true);
    check("/a/b", "/a/B", false);
    check("/a/b", "/a/b/", false);
    check("/a/b/", "/a/b/", true);
    check("/a", "/a/b", false);
    check("/a/b", "/a", false);
    check("/", "/", true);
    check("/a%2fb", "/a%2fb", true);
    check("/a.b", "/axb", false);
}

static void test_one_segment(void **state)
{
    (void)state;
    check("/*", "/a", true);
    check("/*", "/", true);
    check("/*", "/a/b", false);
    check("/*.deb", "/a.deb", true);
    check("/*.deb", "/.deb", true);
    check("/*.deb", "/a.deb.gz", false);
    check("/a*c*e", "/abcde", true);
    check("/a*c*e", "/ace", true);
    check("/a*c*e", "/aec", false);
    check("/*a", "/bbbaa", true);
    check("/v?/x", "/v1/x", true);
    check("/v?/x", "/v/x", false);
    check("/v?/x", "/v12/x", false);
    check("/a?b", "/a/b", false);
    check("/***", "/abc", true);
    check("/a**", "/abc", true);
    check("/a**", "/a/bc", false);
}

static void test_any_depth(void **state)
{
    (void)state;
    check("/pool/**", "/pool/main/a/a.deb", true);
    check("/pool/**", "/pool/a", true);
    check("/pool/**", "/pool", true);
    check("/pool/**", "/poolside", false);
    check("**/*.deb", "/a.deb", true);
    check("**/*.deb", "/pool/main/a/a.deb", true);
    check("**/*.deb", "/pool/a.rpm", false);
    check("/pool/**/*.deb", "/pool/a.deb", true);
    check("/pool/**/*.deb", "/pool/main/a/a.deb", true);
    check("/pool/**/*.deb", "/dists/main/a.deb", false);
    check("/**/by-hash/**", "/dists/sid/main/by-hash/SHA256/00", true);
    check("/**/a/**/b", "/a/x/a/y/b", true);
    check("/**/a/**/b", "/a/x/a/y/b/c", false);
    check("/**/a/*/b", "/a/x/a/y/b", true);
    check("/**", "/", true);
    check("**", "", true);
    check("/**/**/a", "/a", true);
}

/* What a hostile path can cost is bounded by pattern times path. */
static void test_a_path_made_to_be_slow(void **state)
{
    (void)state;
    static char path[16 * 1024];
    memset(path, 'a', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 64)
        path[i] = '/';
    struct slice long_path = slice_of(path, sizeof path);
    assert_false(pattern_covers(SLICE("**/*a*a*a*a*a*b/**/*a*a*a*c"), long_path));
    memset(path, 'a', sizeof path);
    assert_false(pattern_covers(SLICE("*a*a*a*a*a*a*a*a*b"), long_path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal_paths),
        cmocka_unit_test(test_one_segment),
        cmocka_unit_test(test_any_depth),
        cmocka_unit_test(test_a_path_made_to_be_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
