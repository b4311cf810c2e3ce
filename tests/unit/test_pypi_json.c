#include "daemon/protocol/pypi_json.c"

#include "pypi_kit.h"

static const struct kit_page project = {.reader = &pypi_project_page, .type = PYPI_JSON};
static const struct kit_page root = {.reader = &pypi_root_page,
                                     .type = PYPI_JSON "; charset=utf-8"};
static const struct kit_page release = {.reader = &pypi_release_page,
                                        .type = "application/json",
                                        .url = "https://index.test/pypi/some-name/json",
                                        .link_base = "../../simple/some-name/files/"};

struct rewrite_case {
    const char *body;
    const char *want; /* NULL: refused */
};

/* A project's page with one file; `url` as it is written. */
#define PAGE(file) "{\"meta\":{\"api-version\":\"1.4\"},\"files\":[" file "]}"
#define ONE(url) PAGE("{\"url\":\"" url "\"}")

static const struct rewrite_case hostile_cases[] = {
    {"", NULL},
    {"<html><a href=x>", NULL},
    {"[]", NULL},
    {"null", NULL},
    {"{}", NULL},
    {"{\"message\":\"gone\"}", NULL},
    {"{\"files\":{}}", NULL},
    {"{\"files\":null}", NULL},
    {"{\"files\":[],\"files\":[]}", NULL},
    {"{\"files\":[]}]", NULL},
    {"{\"files\":[", NULL},
    {"{\"files\":[{\"url\":\"x\",\"url\":\"y\"}]}", NULL},
    {"{\"meta\":{\"api-version\":\"2.0\"},\"files\":[]}", NULL},
    {"{\"meta\":{\"api-version\":\"10\"},\"files\":[]}", NULL},
    {"{\"meta\":{\"api-version\":1},\"files\":[]}", NULL},
    {"{\"files\":[],\"meta\":{\"api-version\":\"\"}}", NULL},
    {ONE("file:\\/\\/\\/etc\\/passwd"), ONE("about:invalid")},
    {ONE("javascript:x"), ONE("about:invalid")},
    {ONE("http://h/%2e%2e/x"), ONE("about:invalid")},
    {ONE("http://h/\\u0000x"), ONE("about:invalid")},
    {ONE("http://u:p@h/x"), ONE("about:invalid")},
    {ONE("http://169.254.169.254/x"), ONE("files/169.254.169.254/x")},
};

static const struct rewrite_case project_cases[] = {
    {" { \"files\" : [ ] , \"x\" : 1.0e5 } \n", " { \"files\" : [ ] , \"x\" : 1.0e5 } \n"},
    {"{\"files\":[{\"url\" : \"https:\\/\\/files.test\\/x-1.whl\", \"size\":12345678901234567890,"
     "\"yanked\":\"\\u00e4 \\\"old\\\"\",\"upload-time\":\"2020-01-01T00:00:00.000000Z\","
     "\"core-metadata\":{\"sha256\":\"00\"},\"data-dist-info-metadata\":true,"
     "\"_x\":{\"url\":\"https://h/y\"},\"hashes\":{\"sha256\":\"00\",\"url\":\"z\"}}]}",
     "{\"files\":[{\"url\" : \"files/files.test/x-1.whl\", \"size\":12345678901234567890,"
     "\"yanked\":\"\\u00e4 \\\"old\\\"\",\"upload-time\":\"2020-01-01T00:00:00.000000Z\","
     "\"core-metadata\":{\"sha256\":\"00\"},\"data-dist-info-metadata\":true,"
     "\"_x\":{\"url\":\"https://h/y\"},\"hashes\":{\"sha256\":\"00\",\"url\":\"z\"}}]}"},
    {ONE("../../p/x-1.whl#sha256=00&a=\\u0022"),
     ONE("files/index.test/p/x-1.whl#sha256=00&a=\\\"")},
    {ONE("https://h:8443/x?a=1"), ONE("files/h:8443/x?a=1")},
    {PAGE("{\"url\":\"https://h/x\",\"provenance\":\"https://h/integrity/x/provenance\"},"
          "{\"provenance\":null},{\"provenance\":\"00ff\"},{\"url\":null},[{\"url\":\"x\"}],\"u\""),
     PAGE(
         "{\"url\":\"files/h/x\",\"provenance\":\"files/h/integrity/x/provenance\"},"
         "{\"provenance\":null},{\"provenance\":\"00ff\"},{\"url\":null},[{\"url\":\"x\"}],\"u\"")},
    {"{\"url\":\"https://h/x\",\"alternate-locations\":[\"https://h/\"],\"files\":[],"
     "\"versions\":[\"1\"],\"project-status\":{\"url\":\"https://h/\"},"
     "\"_more\":{\"files\":[{\"url\":\"https://h/x\"}]}}",
     "{\"url\":\"https://h/x\",\"alternate-locations\":[\"https://h/\"],\"files\":[],"
     "\"versions\":[\"1\"],\"project-status\":{\"url\":\"https://h/\"},"
     "\"_more\":{\"files\":[{\"url\":\"https://h/x\"}]}}"},
};

static void test_hostile_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile_cases / sizeof hostile_cases[0]; i++)
        kit_check_rewrite(&project, hostile_cases[i].body, hostile_cases[i].want);
}

static void test_only_links_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof project_cases / sizeof project_cases[0]; i++)
        kit_check_rewrite(&project, project_cases[i].body, project_cases[i].want);
}

static void test_the_root_page_has_names_only(void **state)
{
    const char *page = "{\"meta\":{\"api-version\":\"1.0\"},\"projects\":[{\"name\":\"Foo\","
                       "\"url\":\"https://h/\"}]}";

    (void)state;
    kit_check_rewrite(&root, page, page);
    kit_check_rewrite(&root, "{\"files\":[]}", NULL);
    kit_check_rewrite(&root, "{\"projects\":{}}", NULL);
    kit_check_rewrite(&root, "{\"meta\":{\"api-version\":\"2\"},\"projects\":[]}", NULL);
}

static void test_the_older_json(void **state)
{
    (void)state;
    kit_check_rewrite(&release,
                      "{\"info\":{\"url\":\"https://h/\",\"docs_url\":null},\"releases\":{\"1.0\":"
                      "[{\"url\":\"https://files.test/x-1.whl\"},{\"url\":\"/y\"}],\"2\":[]},"
                      "\"urls\":[{\"digests\":{\"sha256\":\"00\"},\"url\":\"http://h:1/z?q\"}],"
                      "\"vulnerabilities\":[{\"link\":\"https://h/v\",\"url\":\"https://h/v\"}]}",
                      "{\"info\":{\"url\":\"https://h/\",\"docs_url\":null},\"releases\":{\"1.0\":"
                      "[{\"url\":\"../../simple/some-name/files/files.test/x-1.whl\"},"
                      "{\"url\":\"../../simple/some-name/files/index.test/y\"}],\"2\":[]},"
                      "\"urls\":[{\"digests\":{\"sha256\":\"00\"},"
                      "\"url\":\"../../simple/some-name/files/h:1/z?q\"}],"
                      "\"vulnerabilities\":[{\"link\":\"https://h/v\",\"url\":\"https://h/v\"}]}");
    kit_check_rewrite(&release, "{\"releases\":null,\"urls\":[]}",
                      "{\"releases\":null,\"urls\":[]}");
    kit_check_rewrite(&release, "{\"message\":\"Not Found\"}", NULL);
    kit_check_rewrite(&release, "<html>", NULL);
}

#define FILES                                                                                      \
    PAGE("{\"hashes\":{\"md5\":\"00112233445566778899aabbccddeeff\",\"sha256\":\"" KIT_HEX64       \
         "\",\"blake2b_256\":\"00\"},\"size\":42,\"url\":\"https://files.test/p/x-1.whl\","        \
         "\"core-metadata\":{\"sha256\":\"" KIT_OTHER64 "\"},\"dist-info-metadata\":false},"       \
         "{\"url\":\"../../p/x-2.whl?a=1\",\"data-dist-info-metadata\":true,\"gpg-sig\":false,"    \
         "\"size\":-1,\"hashes\":{\"sha256\":\"zz\"},"                                             \
         "\"provenance\":\"https://index.test/integrity/x-2\"},"                                   \
         "{\"url\":\"https://files.test/p/x-3.whl\",\"core-metadata\":false,\"size\":\"7\"},"      \
         "{\"url\":\"file:///x-4.whl\"},{\"filename\":\"x-5.whl\"},{\"url\":\"https://files.test/" \
         "p/x-1.whl.metadata\",\"size\":7}")

static void test_what_a_page_says_of_a_file(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    struct plan_fact fact = kit_find(&project, "files.test/p/x-1.whl", FILES, &a);
    assert_true(fact.found && fact.has_size && fact.size == 42);
    check_slice("url", fact.url, SLICE("https://files.test/p/x-1.whl"));
    kit_check_digest(&fact, "sha256", KIT_HEX64);
    /* A file that is listed itself outdoes the metadata of another. */
    fact = kit_find(&project, "files.test/p/x-1.whl.metadata", FILES, &a);
    assert_true(fact.found && fact.has_size && fact.size == 7);
    assert_int_equal(fact.digest.algo, DIGEST_NONE);
    fact = kit_find(&project, "index.test/p/x-2.whl?a=1", FILES, &a);
    assert_true(fact.found && !fact.has_size && fact.digest.algo == DIGEST_NONE);
    check_slice("relative", fact.url, SLICE("https://index.test/p/x-2.whl?a=1"));
    /* As uv spells it, and as pip does. */
    fact = kit_find(&project, "index.test/p/x-2.whl.metadata?a=1", FILES, &a);
    check_slice("in the path", fact.url, SLICE("https://index.test/p/x-2.whl.metadata?a=1"));
    fact = kit_find(&project, "index.test/p/x-2.whl?a=1.metadata", FILES, &a);
    check_slice("in the query", fact.url, SLICE("https://index.test/p/x-2.whl?a=1.metadata"));
    fact = kit_find(&project, "index.test/integrity/x-2", FILES, &a);
    check_slice("provenance", fact.url, SLICE("https://index.test/integrity/x-2"));
    arena_reset(&a);
}

static void test_what_a_page_does_not_name(void **state)
{
    static const char *const absent[] = {
        "",
        "files.test/p/x-3.whl.metadata",
        "index.test/p/x-2.whl.asc?a=1",
        "index.test/p/x-2.whl",
        "files.test/p/x-4.whl",
        "files.test/p/x-5.whl",
        "/x-4.whl",
    };
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (kit_find(&project, absent[i], FILES, &a).found)
            fail_msg("%s is found", absent[i]);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_pages),
        cmocka_unit_test(test_only_links_change),
        cmocka_unit_test(test_the_root_page_has_names_only),
        cmocka_unit_test(test_the_older_json),
        cmocka_unit_test(test_what_a_page_says_of_a_file),
        cmocka_unit_test(test_what_a_page_does_not_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
