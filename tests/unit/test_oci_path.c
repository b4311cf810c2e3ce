#include "daemon/protocol/oci_path.c"

#include "http_test.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- grammar --- */

static void test_names(void **state)
{
    static const char *const good[] = {"a",    "0",       "library/busybox", "a.b",      "a_b",
                                       "a__b", "a-b",     "a---b",           "a/b/c",    "blobs",
                                       "tags", "1.2/3_4", "a/manifests/b",   "a.b__c--d"};
    static const char *const bad[] = {"",     "/",        "a/",   "/a",   "a//b",   "A",
                                      "a..b", "a___b",    ".a",   "a.",   "-a",     "a-",
                                      "_a",   "a_",       "a._b", "a b",  "a%2fb",  "a:b",
                                      "a@b",  "\xc3\xa4", "a_-b", "a/-b", "a/../b", "a+b"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!oci_name_is_valid(slice_str(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (oci_name_is_valid(slice_str(bad[i])))
            fail_msg("taken: %s", bad[i]);
}

static void test_a_name_has_255_characters_at_most(void **state)
{
    char name[OCI_NAME_MAX + 1];

    (void)state;
    memset(name, 'a', sizeof name);
    assert_true(oci_name_is_valid(slice_of(name, OCI_NAME_MAX)));
    assert_false(oci_name_is_valid(slice_of(name, OCI_NAME_MAX + 1)));
}

static void test_tags(void **state)
{
    static const char *const good[] = {"1", "latest", "V1.0_x-y", "_a", "sha256-" HEX64 ".sig"};
    static const char *const bad[] = {"", ".a", "-a", "a:b", "a/b", "a%41", "a b", "a+b", "\xff"};
    char longest[OCI_TAG_MAX + 1];

    (void)state;
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(oci_tag_is_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(oci_tag_is_valid(slice_str(bad[i])));
    assert_true(oci_tag_is_valid(slice_of(longest, OCI_TAG_MAX)));
    assert_false(oci_tag_is_valid(slice_of(longest, OCI_TAG_MAX + 1)));
}

/* --- the path --- */

struct path_case {
    const char *path;
    enum oci_endpoint endpoint;
    const char *name;
    const char *reference;
};

static const struct path_case path_cases[] = {
    {"/v2", OCI_ENDPOINT_BASE, "", ""},
    {"/v2/", OCI_ENDPOINT_BASE, "", ""},
    {"", OCI_ENDPOINT_UNKNOWN, "", ""},
    {"/", OCI_ENDPOINT_UNKNOWN, "", ""},
    {"/v2x/a/manifests/1", OCI_ENDPOINT_UNKNOWN, "", ""},
    {"/v2/_catalog", OCI_ENDPOINT_CATALOG, "", ""},
    {"/v2/a/manifests/1", OCI_ENDPOINT_MANIFEST, "a", "1"},
    {"/v2/a/b/blobs/x:y", OCI_ENDPOINT_BLOB, "a/b", "x:y"},
    {"/v2/a/tags/list", OCI_ENDPOINT_TAGS, "a", "list"},
    {"/v2/a/referrers/x:y", OCI_ENDPOINT_REFERRERS, "a", "x:y"},
    {"/v2/a/blobs/uploads", OCI_ENDPOINT_UPLOAD, "a", "uploads"},
    {"/v2/a/blobs/uploads/", OCI_ENDPOINT_UPLOAD, "a/blobs", ""},
    {"/v2/a/blobs/uploads/7", OCI_ENDPOINT_UPLOAD, "a/blobs", "7"},
    /* the name is what is left, whatever it is */
    {"/v2/manifests/1", OCI_ENDPOINT_MANIFEST, "", "1"},
    {"/v2//manifests/", OCI_ENDPOINT_MANIFEST, "", ""},
    {"/v2/blobs/tags/tags/list", OCI_ENDPOINT_TAGS, "blobs/tags", "list"},
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof path_cases / sizeof path_cases[0]; i++) {
        const struct path_case *c = &path_cases[i];
        struct oci_target t = oci_parse_path(slice_str(c->path));
        if (t.endpoint != c->endpoint)
            fail_msg("%s: endpoint %d", c->path, t.endpoint);
        check_slice(c->path, t.name, slice_str(c->name));
        check_slice(c->path, t.reference, slice_str(c->reference));
    }
}

/* --- the query --- */

static void test_parameters_are_taken_one_by_one(void **state)
{
    static const char *const names[] = {"n", "ns", "", "last"};
    static const char *const values[] = {"1=2", "", "x", ""};
    struct slice query = SLICE("&n=1=2&&ns&=x&last=");
    struct oci_param p;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(oci_param_next(&query, &p));
        check_slice("name", p.name, slice_str(names[i]));
        check_slice("value", p.value, slice_str(values[i]));
        assert_int_equal(oci_param_is_ns(&p), i == 1);
    }
    assert_false(oci_param_next(&query, &p));
}

static void test_a_query_without_ns(void **state)
{
    static const char *const rows[][2] = {
        {"n=1&ns=a.test&last=%62", "n=1&last=%62"},
        {"ns=a&ns=b", ""},
        {"ns", ""},
        {"", ""},
        {"&&NS=a&&nsx=b", "NS=a&nsx=b"},
    };
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_text(rows[i][0], oci_query_without_ns(&a, slice_str(rows[i][0])), rows[i][1]);
    arena_reset(&a);
}

static void test_which_queries_are_clean(void **state)
{
    static const char *const good[] = {"n=1", "a=%3C&b=c,d;e'", "!", "~"};
    static const char *const bad[] = {"",     "n=1 2", "a<", "a>",   "a\"b",
                                      "a\\b", "\t",    "\n", "\x7f", "\xc3\xa4"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!oci_query_is_clean(slice_str(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (oci_query_is_clean(slice_str(bad[i])))
            fail_msg("taken: %s", bad[i]);
}

static void test_percent_encoding(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    check_text("kept", oci_percent_encode(&a, SLICE("azAZ09-._~")), "azAZ09-._~");
    check_text("encoded", oci_percent_encode(&a, SLICE("a b/+:%\xff")), "a%20b%2F%2B%3A%25%FF");
    check_text("nothing", oci_percent_encode(&a, SLICE("")), "");
    arena_reset(&a);
}

/* --- namespaces --- */

static bool knows_two(void *arg, struct slice name)
{
    (void)arg;
    return slice_eq(name, SLICE("docker.io")) || slice_eq(name, SLICE("corp"));
}

struct namespace_case {
    const char *path;
    const char *query;
    enum namespace_result result;
    const char *name;
    const char *rest;
};

static const struct namespace_case namespace_cases[] = {
    {"/v2/a/manifests/1", NULL, NAMESPACE_NONE, "", "/v2/a/manifests/1"},
    {"/v2/", NULL, NAMESPACE_NONE, "", "/v2/"},
    {"/v2", NULL, NAMESPACE_NONE, "", "/v2"},
    {"/other", NULL, NAMESPACE_NONE, "", "/other"},
    {"/v2/a/manifests/1", "n=1", NAMESPACE_NONE, "", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=docker.io", NAMESPACE_QUERY, "docker.io", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "n=1&ns=Docker.IO", NAMESPACE_QUERY, "docker.io", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=x.test%3A5000", NAMESPACE_QUERY, "x.test:5000", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=", NAMESPACE_QUERY, "", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns", NAMESPACE_QUERY, "", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=%zz", NAMESPACE_QUERY, "", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=a.test&ns=b.test", NAMESPACE_QUERY, "", "/v2/a/manifests/1"},
    {"/v2/a/manifests/1", "ns=a.test&ns=a.test", NAMESPACE_QUERY, "a.test", "/v2/a/manifests/1"},
    {"/v2/docker.io/a/manifests/1", NULL, NAMESPACE_PATH, "docker.io", "/v2/a/manifests/1"},
    {"/v2/Docker.io/a/manifests/1", NULL, NAMESPACE_PATH, "docker.io", "/v2/a/manifests/1"},
    {"/v2/docker.io/", NULL, NAMESPACE_PATH, "docker.io", "/v2/"},
    {"/v2/docker.io", NULL, NAMESPACE_PATH, "docker.io", "/v2"},
    {"/v2/corp/a/b/blobs/x", NULL, NAMESPACE_PATH, "corp", "/v2/a/b/blobs/x"},
    {"/v2/quay.test/a/manifests/1", NULL, NAMESPACE_PATH, "quay.test", "/v2/a/manifests/1"},
    {"/v2/host:5000/a/manifests/1", NULL, NAMESPACE_PATH, "host:5000", "/v2/a/manifests/1"},
    {"/v2/localhost/a/manifests/1", NULL, NAMESPACE_PATH, "localhost", "/v2/a/manifests/1"},
    /* the first component is the whole name */
    {"/v2/my.app/manifests/1", NULL, NAMESPACE_NONE, "", "/v2/my.app/manifests/1"},
    {"/v2/localhost/tags/list", NULL, NAMESPACE_NONE, "", "/v2/localhost/tags/list"},
    {"/v2//a.b/manifests/1", NULL, NAMESPACE_NONE, "", "/v2//a.b/manifests/1"},
    /* the query wins */
    {"/v2/docker.io/a/manifests/1", "ns=corp", NAMESPACE_QUERY, "corp",
     "/v2/docker.io/a/manifests/1"},
};

static void test_namespaces(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof namespace_cases / sizeof namespace_cases[0]; i++) {
        const struct namespace_case *c = &namespace_cases[i];
        struct http_request request = {.path = slice_str(c->path), .query = slice_str(c->query)};
        struct slice name, rest;
        enum namespace_result result =
            oci_find_namespace(&request, &a, knows_two, NULL, &name, &rest);
        if (result != c->result)
            fail_msg("%s?%s: %d", c->path, c->query ? c->query : "", result);
        check_slice(c->path, name, slice_str(c->name));
        check_slice(c->path, rest, slice_str(c->rest));
    }
    arena_reset(&a);
}

static void test_without_room_there_is_no_text(void **state)
{
    struct http_request request = {.path = SLICE("/v2/docker.io/a/manifests/1")};
    struct slice name, rest;
    struct arena a;

    (void)state;
    full_arena(&a);
    assert_null(OCI_JOIN(&a, SLICE("a"), SLICE("b")).p);
    assert_null(oci_query_without_ns(&a, SLICE("n=1")).p);
    assert_null(oci_percent_encode(&a, SLICE("a")).p);
    assert_int_equal(oci_find_namespace(&request, &a, knows_two, NULL, &name, &rest),
                     NAMESPACE_PATH);
    assert_null(rest.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_name_has_255_characters_at_most),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_parameters_are_taken_one_by_one),
        cmocka_unit_test(test_a_query_without_ns),
        cmocka_unit_test(test_which_queries_are_clean),
        cmocka_unit_test(test_percent_encoding),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_without_room_there_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
