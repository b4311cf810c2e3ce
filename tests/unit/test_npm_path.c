#include "http_test.h"

#include "daemon/protocol/npm_path.c"

/* --- grammar --- */

static const char *const bad_names[] = {
    "",         ".",     "..",     ".a",    "_a",    "a/b",    "a b",          "a\\b",
    "a%2fb",    "a\nb",  "a\"b",   "a:b",   "a?b",   "a#b",    "a@b",          "a+b",
    "\xc3\xa9", "@",     "@/",     "@s",    "@s/",   "@/n",    "@s//n",        "@s/../n",
    "@s/..",    "@../n", "@s/n/m", "@@s/n", "@s/@n", "@s%2fn", "node_modules", "favicon.ico",
};

static const char *const good_names[] = {
    "a",           "-",    "lodash",  "JSONStream", "a.b_c-d", "0",    "a..b",
    "crazy!~*'()", "@s/n", "@S/N.js", "@s/_n",      "@_s/n",   "@s/-", "@types/node",
};

static void test_names(void **state)
{
    char longest[NAME_MAX_BYTES + 1];

    (void)state;
    memset(longest, 'a', sizeof longest);
    assert_true(npm_name_is_valid(slice_of(longest, NAME_MAX_BYTES)));
    assert_false(npm_name_is_valid(slice_of(longest, NAME_MAX_BYTES + 1)));
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++)
        if (npm_name_is_valid(slice_str(bad_names[i])))
            fail_msg("taken for a name: %s", bad_names[i]);
    for (size_t i = 0; i < sizeof good_names / sizeof good_names[0]; i++)
        if (!npm_name_is_valid(slice_str(good_names[i])))
            fail_msg("taken for no name: %s", good_names[i]);
}

static void test_versions_and_files(void **state)
{
    static const char *const bad[] = {"",     ".",    "..",  "../1", "1/2",     "1 2",
                                      "1%2e", "^1.0", "1\"", "a\\b", "1.0\r\n", "1@2"};
    static const char *const good[] = {"1.0.0", "1.0.0-rc.1+b.2", "latest", "ts4.8", "*", "-"};
    char longest[VERSION_MAX + 1];

    (void)state;
    memset(longest, '1', sizeof longest);
    assert_true(npm_version_is_valid(slice_of(longest, VERSION_MAX)));
    assert_false(npm_version_is_valid(slice_of(longest, VERSION_MAX + 1)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (npm_version_is_valid(slice_str(bad[i])))
            fail_msg("taken for a version: %s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!npm_version_is_valid(slice_str(good[i])))
            fail_msg("taken for no version: %s", good[i]);

    assert_true(npm_file_is_valid(SLICE("lodash-4.17.21.tgz")));
    assert_true(npm_file_is_valid(SLICE("a-1.0.0+b.tgz")));
    assert_false(npm_file_is_valid(SLICE(".tgz")));
    assert_false(npm_file_is_valid(SLICE("..tgz")));
    assert_false(npm_file_is_valid(SLICE("a.tar.gz")));
    assert_false(npm_file_is_valid(SLICE("a/b.tgz")));
    assert_false(npm_file_is_valid(SLICE("a.tgz?x=.tgz")));
    assert_false(npm_file_is_valid(SLICE("")));
}

static void check_file(const char *name, const char *version, const char *want)
{
    struct buf b;

    buf_init(&b, 1024);
    npm_add_file(&b, slice_str(name), slice_str(version));
    check_text(name, buf_slice(&b), want);
    buf_free(&b);
}

static void test_file_names_are_as_clients_derive_them(void **state)
{
    (void)state;
    check_file("lodash", "4.17.21", "lodash-4.17.21.tgz");
    check_file("@types/node", "1.0.0-rc.1", "node-1.0.0-rc.1.tgz");
    check_file("@s/n", "1.0.0+build.5", "n-1.0.0.tgz");
    check_file("-", "0.0.1", "--0.0.1.tgz");
}

static void test_escaped_names(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    npm_add_escaped(&b, SLICE("@s/n"));
    buf_addc(&b, ' ');
    npm_add_escaped(&b, SLICE("lodash"));
    check_text("escaped", buf_slice(&b), "@s%2fn lodash");
    buf_free(&b);
}

/* --- the path --- */

struct path_case {
    const char *path;
    enum npm_endpoint endpoint;
    const char *name;
    const char *item;
};

static const struct path_case path_cases[] = {
    {"/lodash", NPM_PACKUMENT, "lodash", ""},
    {"/lodash/", NPM_PACKUMENT, "lodash", ""},
    {"/-", NPM_PACKUMENT, "-", ""},
    {"/@s/n", NPM_PACKUMENT, "@s/n", ""},
    {"/@s%2fn", NPM_PACKUMENT, "@s/n", ""},
    {"/@s%2Fn", NPM_PACKUMENT, "@s/n", ""},
    {"/%40s/n", NPM_PACKUMENT, "@s/n", ""},
    {"/%40s%2Fn", NPM_PACKUMENT, "@s/n", ""},
    {"/@s", NPM_PACKUMENT, "@s", ""},
    {"/@s%252fn", NPM_PACKUMENT, "@s%2fn", ""},
    {"/..", NPM_PACKUMENT, "..", ""},
    {"/lodash/4.17.21", NPM_VERSION, "lodash", "4.17.21"},
    {"/@s/n/latest", NPM_VERSION, "@s/n", "latest"},
    {"/@s%2fn/1.0.0%2Bb", NPM_VERSION, "@s/n", "1.0.0+b"},
    {"/lodash/-", NPM_VERSION, "lodash", "-"},
    {"/lodash/-/lodash-1.tgz", NPM_TARBALL, "lodash", "lodash-1.tgz"},
    {"/@s/n/-/n-1.tgz", NPM_TARBALL, "@s/n", "n-1.tgz"},
    {"/@s%2fn/-/n-1.tgz", NPM_TARBALL, "@s/n", "n-1.tgz"},
    {"/-/-/--0.0.1.tgz", NPM_TARBALL, "-", "--0.0.1.tgz"},
    {"/lodash/-/a/b.tgz", NPM_PACKAGE, "lodash", "-/a/b.tgz"},
    {"/lodash/-/..%2fb.tgz", NPM_PACKAGE, "lodash", "-/../b.tgz"},
    {"/lodash/-rev/1-2", NPM_PACKAGE, "lodash", "-rev/1-2"},
    {"/lodash/-/x.tgz/-rev/1", NPM_PACKAGE, "lodash", "-/x.tgz/-rev/1"},
    {"//lodash", NPM_VERSION, "", "lodash"},
    {"/@s//n", NPM_VERSION, "@s/", "n"},
    {"/-/ping", NPM_PING, "", ""},
    {"/-/ping/", NPM_PING, "", ""},
    {"/-/v1/search", NPM_SEARCH, "", ""},
    {"/-/npm/v1/keys", NPM_KEYS, "", ""},
    {"/-/npm/v1/security/advisories/bulk", NPM_AUDIT, "", ""},
    {"/-/npm/v1/security/audits", NPM_AUDIT, "", ""},
    {"/-/npm/v1/security/audits/quick", NPM_AUDIT, "", ""},
    {"/-/npm/v1/attestations/a@1.0.0", NPM_ATTESTATIONS, "a", "1.0.0"},
    {"/-/npm/v1/attestations/@s%2fn@1.0.0", NPM_ATTESTATIONS, "@s/n", "1.0.0"},
    {"/-/npm/v1/attestations/@s/n@1.0.0", NPM_ATTESTATIONS, "@s/n", "1.0.0"},
    {"/-/npm/v1/attestations/a", NPM_ATTESTATIONS, "a", ""},
    {"/-/npm/v1/attestations/@1", NPM_ATTESTATIONS, "", "1"},
    {"/-/package/@s%2fn/dist-tags", NPM_DIST_TAGS, "@s/n", ""},
    {"/-/package/@s/n/dist-tags/next", NPM_DIST_TAGS, "@s/n", "next"},
    {"/-/package/a/dist-tags/", NPM_DIST_TAGS, "a", ""},
    {"/-/package/a/access", NPM_ACCOUNT, "", ""},
    {"/-/package/", NPM_UNKNOWN, "", ""},
    {"/-/whoami", NPM_ACCOUNT, "", ""},
    {"/-/v1/login", NPM_ACCOUNT, "", ""},
    {"/-/user/org.couchdb.user:a", NPM_ACCOUNT, "", ""},
    {"/-/user/token/abc", NPM_ACCOUNT, "", ""},
    {"/-/npm/v1/tokens", NPM_ACCOUNT, "", ""},
    {"/-/npm/v1/tokens/token/x", NPM_ACCOUNT, "", ""},
    {"/-/npm/v1/user", NPM_ACCOUNT, "", ""},
    {"/-/org/o/user", NPM_ACCOUNT, "", ""},
    {"/-/all", NPM_UNKNOWN, "", ""},
    {"/-/whoamI", NPM_UNKNOWN, "", ""},
    {"/", NPM_UNKNOWN, "", ""},
    {"", NPM_UNKNOWN, "", ""},
    {"/%zz", NPM_UNKNOWN, "", ""},
};

static void test_paths(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof path_cases / sizeof path_cases[0]; i++) {
        const struct path_case *c = &path_cases[i];
        struct npm_target t = npm_parse_path(&a, slice_str(c->path));
        if (t.endpoint != c->endpoint)
            fail_msg("%s: endpoint %d", c->path, t.endpoint);
        check_slice(c->path, t.name, slice_str(c->name));
        check_slice(c->path, t.item, slice_str(c->item));
    }
    arena_reset(&a);
}

/* --- the query --- */

static void test_queries_have_one_form(void **state)
{
    static const struct {
        const char *query, *want;
    } cases[] = {
        {"", ""},
        {"&&", ""},
        {"=x", ""},
        {"text=a", "text=a"},
        {"text=a&size=20&from=0", "from=0&size=20&text=a"},
        {"from=0&text=%61&size=20", "from=0&size=20&text=a"},
        {"text=a+b", "text=a%20b"},
        {"text=a%20b", "text=a%20b"},
        {"text=a%2Bb", "text=a%2Bb"},
        {"text=@s/n", "text=%40s%2Fn"},
        {"b=2&a=1&b=1", "a=1&b=2&b=1"},
        {"ab=1&a=2", "a=2&ab=1"},
        {"text", "text="},
        {"text=%0d%0aX:y", "text=%0D%0AX%3Ay"},
        {"text=%", NULL},
        {"%zz=1", NULL},
        {"a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=&l=&m=&n=&o=&p=&q=", NULL},
    };
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_text(cases[i].query, npm_normal_query(&a, slice_str(cases[i].query)), cases[i].want);
    arena_reset(&a);
    full_arena(&a);
    check_text("full", npm_normal_query(&a, SLICE("a=b")), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_versions_and_files),
        cmocka_unit_test(test_file_names_are_as_clients_derive_them),
        cmocka_unit_test(test_escaped_names),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_queries_have_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
