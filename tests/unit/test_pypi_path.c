#include "daemon/protocol/pypi_path.c"

#include "http_test.h"

struct text_case {
    const char *text;
    const char *want; /* NULL: refused */
};

static const struct text_case name_cases[] = {
    {"a", "a"},
    {"Some.Name", "some-name"},
    {"A-_.b__c", "a-b-c"},
    {"some%2Dname", "some-name"},
    {"Z9", "z9"},
    {"", NULL},
    {"-a", NULL},
    {"a.", NULL},
    {"..", NULL},
    {"%2e%2e", NULL},
    {"a b", NULL},
    {"a%20b", NULL},
    {"a%2fb", NULL},
    {"a%00b", NULL},
    {"a%", NULL},
    {"a%zz", NULL},
    {"\xc3\xa4", NULL},
    {"a:b", NULL},
};

static void test_names_have_one_form(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof name_cases / sizeof name_cases[0]; i++)
        check_text(name_cases[i].text, pypi_normal_name(&a, slice_str(name_cases[i].text)),
                   name_cases[i].want);
    char longest[NAME_MAX_LENGTH + 1];
    memset(longest, 'a', sizeof longest);
    assert_non_null(pypi_normal_name(&a, slice_of(longest, NAME_MAX_LENGTH)).p);
    assert_null(pypi_normal_name(&a, slice_of(longest, sizeof longest)).p);
    arena_reset(&a);
}

static const struct text_case version_cases[] = {
    {"1.0", "1.0"},       {"1%2e0", "1.0"},  {"1!2.0.post1+cpu.x", "1!2.0.post1+cpu.x"},
    {"1%2Bcpu", "1+cpu"}, {"", NULL},        {".", NULL},
    {"..", NULL},         {"1/2", NULL},     {"1%2f2", NULL},
    {"1?x", NULL},        {"1%0d%0a", NULL}, {"%31%", NULL},
};

static void test_versions_hold_what_versions_hold(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof version_cases / sizeof version_cases[0]; i++)
        check_text(version_cases[i].text, pypi_version(&a, slice_str(version_cases[i].text)),
                   version_cases[i].want);
    arena_reset(&a);
}

static const struct {
    const char *path;
    enum pypi_endpoint endpoint;
    const char *name;
    const char *second; /* version, or host */
    const char *third;  /* a file's path */
    bool wrong;
    unsigned slashes;
} path_cases[] = {
    {"/simple/", PYPI_ENDPOINT_ROOT, "", "", "", false, 0},
    {"/simple", PYPI_ENDPOINT_ROOT, "", "", "", true, 0},
    {"/simple/foo/", PYPI_ENDPOINT_PROJECT, "foo", "", "", false, 1},
    {"/simple/foo", PYPI_ENDPOINT_PROJECT, "foo", "", "", true, 0},
    {"/simple/f/files/h:80/p/x", PYPI_ENDPOINT_FILE, "f", "h:80", "/p/x", false, 4},
    {"/simple/f/files/h/", PYPI_ENDPOINT_UNKNOWN, "f", "h", "/", false, 3},
    {"/simple/f/files/h", PYPI_ENDPOINT_UNKNOWN, "f", "h", "", false, 2},
    {"/simple/f/files//x", PYPI_ENDPOINT_UNKNOWN, "f", "", "/x", false, 3},
    {"/simple/f/files", PYPI_ENDPOINT_UNKNOWN, "f", "", "", false, 1},
    {"/simple/f/other/h/x", PYPI_ENDPOINT_UNKNOWN, "f", "", "", false, 3},
    {"/simple//", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 1},
    {"/pypi/foo/json", PYPI_ENDPOINT_JSON, "foo", "", "", false, 1},
    {"/pypi/foo/json/", PYPI_ENDPOINT_JSON, "foo", "", "", true, 2},
    {"/pypi/foo/1.0/json", PYPI_ENDPOINT_RELEASE, "foo", "1.0", "", false, 2},
    {"/pypi/foo/1.0/json/", PYPI_ENDPOINT_RELEASE, "foo", "1.0", "", true, 3},
    {"/pypi/foo/1.0/json/x", PYPI_ENDPOINT_UNKNOWN, "foo", "1.0", "", true, 3},
    {"/pypi/foo/1.0/xml", PYPI_ENDPOINT_UNKNOWN, "foo", "1.0", "", false, 2},
    {"/pypi/json", PYPI_ENDPOINT_UNKNOWN, "json", "", "", false, 0},
    {"/pypi/", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 0},
    {"/pypi", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 0},
    {"/", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 0},
    {"", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 0},
    {"/simplex/foo/", PYPI_ENDPOINT_UNKNOWN, "", "", "", false, 0},
};

static void test_paths_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof path_cases / sizeof path_cases[0]; i++) {
        const char *path = path_cases[i].path;
        struct pypi_target t = pypi_parse_path(slice_str(path));
        if (t.endpoint != path_cases[i].endpoint)
            fail_msg("%s: endpoint %d", path, (int)t.endpoint);
        if (t.endpoint == PYPI_ENDPOINT_UNKNOWN)
            continue;
        bool is_file = t.endpoint == PYPI_ENDPOINT_FILE;
        check_slice(path, t.name, slice_str(path_cases[i].name));
        check_slice(path, is_file ? t.host : t.version, slice_str(path_cases[i].second));
        check_slice(path, t.path, slice_str(path_cases[i].third));
        assert_int_equal(t.slash_count, path_cases[i].slashes);
        if (!is_file)
            assert_int_equal(t.is_spelt_wrong, path_cases[i].wrong);
    }
}

static const struct {
    const char *host;
    const char *path;
    const char *query;
    const char *want; /* NULL: refused */
} place_cases[] = {
    {"Files.test", "/A/b.whl", NULL, "files.test/A/b.whl"},
    {"h:8080", "/x", "", "h:8080/x?"},
    {"h%3A8080", "/x", "a=%2B&b", "h:8080/x?a=%2B&b"},
    {"%5B::1%5D:1", "/x", NULL, "[::1]:1/x"},
    {"[::1]", "/x", NULL, "[::1]/x"},
    {"h", "/a+b%2Bc%2bd", NULL, "h/a+b+c+d"},
    {"h", "/a%7Eb%3a%40/%41", NULL, "h/a~b:@/A"},
    {"h", "/a%2Fb/%2f", NULL, "h/a%2Fb/%2F"},
    {"h", "/%c3%a4%20%25", NULL, "h/%C3%A4%20%25"},
    {"h", "/a//b/", NULL, "h/a//b/"},
    {"h", "/<x>[y]", NULL, "h/%3Cx%3E%5By%5D"},
    {"h", "/../x", NULL, NULL},
    {"h", "/%2e%2e/x", NULL, NULL},
    {"h", "/.%2E%2fx", NULL, NULL},
    {"h", "/a%00", NULL, NULL},
    {"h", "/a%5cb", NULL, NULL},
    {"h", "/a%5", NULL, NULL},
    {"h", "x", NULL, NULL},
    {"", "/x", NULL, NULL},
    {"h:", "/x", NULL, NULL},
    {"h:0", "/x", NULL, NULL},
    {"h:99999", "/x", NULL, NULL},
    {"u@h", "/x", NULL, NULL},
    {"u%40h", "/x", NULL, NULL},
    {"h%2fx", "/x", NULL, NULL},
    {"127.1", "/x", NULL, NULL},
    {"0x7f.1", "/x", NULL, NULL},
    {"..", "/x", NULL, NULL},
};

static void test_places_have_one_form(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof place_cases / sizeof place_cases[0]; i++) {
        struct slice query = slice_str(place_cases[i].query);
        check_text(
            place_cases[i].path,
            pypi_place(&a, slice_str(place_cases[i].host), slice_str(place_cases[i].path), query),
            place_cases[i].want);
    }
    arena_reset(&a);
}

static void test_references_are_escaped(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    check_text("plain", pypi_escape_reference(&a, SLICE("../a%20b?c#d&e+f")), "../a%20b?c#d&e+f");
    check_text("odd", pypi_escape_reference(&a, SLICE("a b\xc3\xa4\"<>\x7f\t")),
               "a%20b%C3%A4%22%3C%3E%7F%09");
    check_text("zero", pypi_escape_reference(&a, SLICE("a\0b")), "a%00b");
    arena_reset(&a);
}

static void test_suffixes(void **state)
{
    struct slice text = SLICE("/a.whl.metadata");

    (void)state;
    assert_int_equal(pypi_take_suffix(&text), PYPI_METADATA);
    check_slice("metadata", text, SLICE("/a.whl"));
    assert_int_equal(pypi_take_suffix(&text), PYPI_FILE);
    check_slice("file", text, SLICE("/a.whl"));
    text = SLICE("a.asc");
    assert_int_equal(pypi_take_suffix(&text), PYPI_SIGNATURE);
    text = SLICE("a.provenance");
    assert_int_equal(pypi_take_suffix(&text), PYPI_PROVENANCE);
    assert_true(pypi_is_distribution(SLICE("/a-1-py3-none-any.whl")));
    assert_true(pypi_is_distribution(SLICE("/a-1.tar.gz")));
    assert_false(pypi_is_distribution(SLICE("/a-1.whl.metadata")));
    assert_false(pypi_is_distribution(SLICE("/whl")));
    assert_false(pypi_is_distribution(SLICE("/")));
}

static void test_without_room_nothing_is_given(void **state)
{
    struct arena a;

    (void)state;
    full_arena(&a);
    assert_null(pypi_normal_name(&a, SLICE("name")).p);
    assert_null(pypi_version(&a, SLICE("1.0")).p);
    assert_null(pypi_normal_path(&a, SLICE("/x")).p);
    assert_null(pypi_escape_reference(&a, SLICE("x")).p);
    assert_null(pypi_place(&a, SLICE("h"), SLICE("/x"), SLICE("")).p);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_have_one_form),
        cmocka_unit_test(test_versions_hold_what_versions_hold),
        cmocka_unit_test(test_paths_are_taken_apart),
        cmocka_unit_test(test_places_have_one_form),
        cmocka_unit_test(test_references_are_escaped),
        cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_without_room_nothing_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
