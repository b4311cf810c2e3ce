#include "daemon/protocol/pypi_html.c"

#include "pypi_kit.h"

static const struct kit_page project = {.reader = &pypi_project_page, .type = "text/html"};
static const struct kit_page root = {
    .reader = &pypi_root_page, .type = "text/html", .url = "https://index.test/simple/"};

struct rewrite_case {
    const char *body;
    const char *want; /* NULL: refused */
};

#define HASH "#sha256=" KIT_HEX64
#define OTHERS                                                                                     \
    " data-requires-python=\"&gt;=3.8\" data-yanked=\"broken &amp; old\" data-core-metadata=\""    \
    "sha256=" KIT_HEX64 "\" data-dist-info-metadata='true' data-gpg-sig=false" /* as they are */

static const struct rewrite_case hostile_cases[] = {
    {"<a href=\"file:///etc/passwd\">x</a>", "<a href=\"about:invalid\">x</a>"},
    {"<a href='javascript:alert(1)'>x</a>", "<a href=\"about:invalid\">x</a>"},
    {"<a href=ftp://h/x.whl>x</a>", "<a href=\"about:invalid\">x</a>"},
    {"<a href=javascript&colon;x>", "<a href=\"about:invalid\">"},
    {"<a href=\"http://u:p@h/x.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"http:///x\">", "<a href=\"about:invalid\">"},
    {"<a href=\"http://h\\@evil/x\">", "<a href=\"about:invalid\">"},
    {"<a href=\"http://127.1/x\">", "<a href=\"about:invalid\">"},
    {"<a href=\"https://h/%2e%2e/%2e%2e/x.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"https://h/a/..%2fx.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"https://h/a%00.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"https://h/a&#10;b.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"https://h/a%zz.whl\">", "<a href=\"about:invalid\">"},
    {"<a href=\"../../../../../x.whl\">", "<a href=\"files/index.test/x.whl\">"},
    {"<a href=\"http://169.254.169.254/latest/\">", "<a href=\"files/169.254.169.254/latest/\">"},
    {"<a href=\"//evil.test/x.whl\">", "<a href=\"files/evil.test/x.whl\">"},
    {"<a href=x href=y>", NULL},
    {"<a HREF=x href=x>", NULL},
    {"<base href=x href=y>", NULL},
    {"<base href=\"file:///\"><a href=x>", NULL},
    {"<a href=x.whl><base href=\"https://evil.test/\">", NULL},
    {"<meta name=\"pypi:repository-version\" content=\"2.0\">", NULL},
    {"<meta content=x name=pypi:repository-version>", NULL},
    {"<meta name=pypi:repository-version>", NULL},
    {"<a href=\"x.whl", NULL},
    {"<!-- <a href=x>", NULL},
    {"<script><a href=x>", NULL},
};

static const struct rewrite_case project_cases[] = {
    {"", ""},
    {"<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.3\">"
     "<meta charset=utf-8><title>Links</title></head>\n<body>\n",
     "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.3\">"
     "<meta charset=utf-8><title>Links</title></head>\n<body>\n"},
    {"<a href=\"https://files.test/p/ab/x-1.whl" HASH "\"" OTHERS ">x-1.whl</a><br/>\r\n",
     "<a href=\"files/files.test/p/ab/x-1.whl" HASH "\"" OTHERS ">x-1.whl</a><br/>\r\n"},
    {"<A data-yanked HREF = '../../p/x.tar.gz#md5=00&amp;egg=x-1' >x</A>",
     "<A data-yanked HREF = \"files/index.test/p/x.tar.gz#md5=00&amp;egg=x-1\" >x</A>"},
    {"<a href=x-1.zip>", "<a href=\"files/index.test/simple/some-name/x-1.zip\">"},
    {"<a href=/x-1.zip#egg=x&sub=y>", "<a href=\"files/index.test/x-1.zip#egg=x&amp;sub=y\">"},
    {"<a href=\" \n https://files.test/x.whl \t\">", "<a href=\"files/files.test/x.whl\">"},
    {"<a href=\"https&#58;&sol;/files.test&#x2f;x.whl\">", "<a href=\"files/files.test/x.whl\">"},
    {"<a href=\"http://[::1]:8080/x.whl?a=1&amp;b=2#c\">",
     "<a href=\"files/%5B::1%5D:8080/x.whl?a=1&amp;b=2#c\">"},
    {"<a href=\"HTTPS://Files.test:443/A%2Bb+c%7E.whl\">",
     "<a href=\"files/Files.test/A%2Bb+c%7E.whl\">"},
    {"<a href=\"https://files.test:80/x y\xc3\xa4.whl\">",
     "<a href=\"files/files.test:80/x%20y%C3%A4.whl\">"},
    {"<a href=\"a/./b/../c.whl\">", "<a href=\"files/index.test/simple/some-name/a/c.whl\">"},
    {"<a href=\"?x\">", "<a href=\"files/index.test/simple/some-name/?x\">"},
    {"<a href=\"#top\"><a href=\"\"><a href><a name=x>",
     "<a href=\"#top\"><a href=\"\"><a href><a name=x>"},
    {"<head><base target=_blank><base HREF=\"https://cdn.test/d/x\"/><base href=/y></head>"
     "<a href=z.whl>",
     "<head></head><a href=\"files/cdn.test/d/z.whl\">"},
    {"<base href=\"../../other/\"><a href=z.whl>", "<a href=\"files/index.test/other/z.whl\">"},
    {"<!-- <a href=x> --><script>'<a href=x>'</script><abbr href=x><link href=x>",
     "<!-- <a href=x> --><script>'<a href=x>'</script><abbr href=x><link href=x>"},
};

static void test_hostile_links(void **state)
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

static void test_links_of_the_root_page_name_projects(void **state)
{
    static const struct rewrite_case cases[] = {
        {"<a href=\"/simple/foo/\">foo</a>", "<a href=\"foo/\">foo</a>"},
        {"<a href=Foo_Bar>", "<a href=\"foo-bar/\">"},
        {"<a href=\"https://evil.test/x/zope.interface//#x\">", "<a href=\"zope-interface/\">"},
        {"<a href=\"/\"><a href=..><a href=\"/a%20b/\"><a href=\"file:///foo\">",
         "<a href=\"about:invalid\"><a href=\"about:invalid\"><a href=\"about:invalid\">"
         "<a href=\"about:invalid\">"},
        {"<base href=/x/><a href=foo/>", "<a href=\"foo/\">"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        kit_check_rewrite(&root, cases[i].body, cases[i].want);
}

#define FILES                                                                                      \
    "<base href=\"https://files.test/p/\">"                                                        \
    "<a href=\"x-1.whl#sha1=0123456789012345678901234567890123456789&amp;sha256=" KIT_HEX64        \
    "&amp;blake9=00\" data-core-metadata=\"sha256=" KIT_OTHER64 "\">x</a>"                         \
    "<a href=\"x-2.whl\" data-dist-info-metadata=true data-gpg-sig=\"false\" "                     \
    "data-provenance=\"https://index.test/integrity/x-2\">"                                        \
    "<a href=\"x-3.whl#sha256=zz\" data-core-metadata=false>"                                      \
    "<!-- <a href=\"x-4.whl\"> --><a>"

static void test_what_a_page_says_of_a_file(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    struct plan_fact fact = kit_find(&project, "files.test/p/x-1.whl", FILES, &a);
    assert_true(fact.found && !fact.has_size && !fact.foreign);
    check_slice("url", fact.url, SLICE("https://files.test/p/x-1.whl"));
    kit_check_digest(&fact, "sha256", KIT_HEX64);
    fact = kit_find(&project, "files.test/p/x-1.whl.metadata", FILES, &a);
    assert_true(fact.found);
    check_slice("metadata", fact.url, SLICE("https://files.test/p/x-1.whl.metadata"));
    kit_check_digest(&fact, "sha256", KIT_OTHER64);
    fact = kit_find(&project, "files.test/p/x-2.whl.metadata", FILES, &a);
    assert_true(fact.found && fact.digest.algo == DIGEST_NONE);
    fact = kit_find(&project, "index.test/integrity/x-2", FILES, &a);
    assert_true(fact.found && fact.digest.algo == DIGEST_NONE);
    fact = kit_find(&project, "files.test/p/x-3.whl", FILES, &a);
    assert_true(fact.found && fact.digest.algo == DIGEST_NONE);
    fact = kit_find(&project, "files.test/p/x-1.whl.asc", FILES, &a);
    assert_true(fact.found && fact.digest.algo == DIGEST_NONE);
    arena_reset(&a);
}

static void test_what_a_page_does_not_name(void **state)
{
    static const char *const absent[] = {
        "",
        "files.test/p/x-4.whl",
        "files.test/p/x-3.whl.metadata",
        "files.test/p/x-2.whl.asc",
        "files.test/p/x-1.whl.metadata.metadata",
        "files.test:443/p/x-1.whl",
        "index.test/p/x-1.whl",
        "files.test/p/X-1.whl",
        "files.test/p/x-1.whl?",
        "files.test/p/",
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
        cmocka_unit_test(test_hostile_links),
        cmocka_unit_test(test_only_links_change),
        cmocka_unit_test(test_links_of_the_root_page_name_projects),
        cmocka_unit_test(test_what_a_page_says_of_a_file),
        cmocka_unit_test(test_what_a_page_does_not_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
