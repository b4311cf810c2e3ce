#include "base/err.h"
#include "daemon/protocol/pypi_page.c"

#include "pypi_kit.h"

static const struct kit_page html = {.reader = &pypi_project_page, .type = "text/html"};

static void test_the_type_says_the_format(void **state)
{
    static const char *const json_types[] = {PYPI_JSON, PYPI_JSON "; charset=utf-8"};
    static const char *const html_types[] = {"text/html", PYPI_HTML, "Text/HTML;charset=UTF-8"};
    const struct kit_page release = {.reader = &pypi_release_page, .type = "text/html"};

    (void)state;
    for (size_t i = 0; i < sizeof json_types / sizeof json_types[0]; i++) {
        const struct kit_page page = {.reader = &pypi_project_page, .type = json_types[i]};
        kit_check_rewrite(&page, "{\"files\":[{\"url\":\"http://h/x\"}]}",
                          "{\"files\":[{\"url\":\"files/h/x\"}]}");
        kit_check_rewrite(&page, "<a href=x>", NULL);
    }
    for (size_t i = 0; i < sizeof html_types / sizeof html_types[0]; i++) {
        const struct kit_page page = {.reader = &pypi_project_page, .type = html_types[i]};
        kit_check_rewrite(&page, "<a href=\"http://h/x\">", "<a href=\"files/h/x\">");
    }
    kit_check_rewrite(&release, "{\"urls\":[]}", "{\"urls\":[]}");
}

/* Redirected: relative links are relative to where the page came from. */
static void test_links_are_relative_to_the_page(void **state)
{
    struct kit_page page = html;

    (void)state;
    page.url = "http://[::1]:81/a/b/c?d=e";
    kit_check_rewrite(&page, "<a href=../x>", "<a href=\"files/%5B::1%5D:81/a/x\">");
    page.url = "http://host";
    kit_check_rewrite(&page, "<a href=x>", "<a href=\"files/host/x\">");
}

static void test_a_page_from_nowhere_cannot_be_read(void **state)
{
    const struct plan plan = {.wanted = SLICE("")};
    struct plan_fact fact;
    const struct plan_reading reading = {.plan = &plan,
                                         .url = SLICE("file:///x"),
                                         .content_type = SLICE("text/html"),
                                         .fact = &fact};

    (void)state;
    assert_null(pypi_project_page.begin(&reading));
}

/* A link longer than any URL may be leads nowhere; the page stays readable. */
static void test_links_are_bounded(void **state)
{
    struct buf body, out;

    (void)state;
    buf_init(&body, KIT_OUT_CAP);
    buf_init(&out, KIT_OUT_CAP);
    buf_add(&body, SLICE("<a href=\"https://h/"));
    while (body.n < HTTP_URL_MAX + 100)
        buf_addc(&body, '<');
    buf_add(&body, SLICE("\">x</a><a href=\"https://h/"));
    size_t end = body.n + 5000;
    while (body.n < end)
        buf_addc(&body, '<');
    buf_add(&body, SLICE("\">y</a>"));
    assert_int_equal(kit_read(&html, buf_slice(&body), 999, NULL, NULL, &out), ERR_OK);
    assert_true(slice_starts(buf_slice(&out), SLICE("<a href=\"about:invalid\">x</a>"
                                                    "<a href=\"files/h/%3C%3C")));
    assert_true(slice_ends(buf_slice(&out), SLICE("%3C\">y</a>")));
    buf_free(&body);
    buf_free(&out);
}

static void test_the_place_and_scheme_are_the_routes(void **state)
{
    char upstream_url[] = "https://index.test", listed[] = "files.test:8080";
    char *hosts[] = {listed};
    struct config_upstream upstream = {.url = upstream_url};
    const struct config_route config = {
        .upstreams = &upstream, .upstream_count = 1, .file_hosts = {.v = hosts, .n = 1}};
    struct kit_page page = html;
    struct arena a;

    (void)state;
    test_arena(&a);
    page.config = &config;
    const char *body = "<a href=\"http://files.test:8080/a\"><a href=\"http://files.test/b\">"
                       "<a href=\"http://index.test/c.whl\" data-core-metadata=true>";
    struct plan_fact fact = kit_find(&page, "files.test:8080/a", body, &a);
    assert_true(fact.found && !fact.foreign);
    fact = kit_find(&page, "files.test/b", body, &a);
    assert_true(fact.found && fact.foreign);
    fact = kit_find(&page, "index.test/c.whl.metadata", body, &a);
    assert_true(fact.found && !fact.foreign);
    check_slice("scheme", fact.url, SLICE("https://index.test/c.whl.metadata"));
    arena_reset(&a);
}

/* The first page of a file decides; how a client spells the path does not. */
static void test_spellings_of_a_path_are_one(void **state)
{
    const char *body = "<a href=\"http://h:80/a+b%7e.whl\"><a href=\"http://h/a%2Bb~.whl#md5="
                       "00112233445566778899aabbccddeeff\">";
    struct arena a;

    (void)state;
    test_arena(&a);
    struct slice place = pypi_place(&a, SLICE("h"), SLICE("/a%2bb~.whl"), slice_of(NULL, 0));
    char *wanted = arena_strdup(&a, place);
    struct plan_fact fact = kit_find(&html, wanted, body, &a);
    assert_true(fact.found && fact.digest.algo == DIGEST_NONE);
    check_slice("as the page has it", fact.url, SLICE("http://h/a+b%7e.whl"));
    arena_reset(&a);
}

static void test_without_room_for_the_fact(void **state)
{
    struct kit_page page = html;
    struct plan_fact fact;
    struct arena a;

    (void)state;
    full_arena(&a);
    page.wanted = "h/x";
    assert_int_equal(kit_read(&page, SLICE("<a href=\"http://h/x\">"), 1, &a, &fact, NULL),
                     ERR_NOMEM);
    arena_reset(&a);
}

static void test_the_strongest_hash_is_kept(void **state)
{
    struct digest best = {.algo = DIGEST_NONE};

    (void)state;
    pypi_note_digest(&best, SLICE("blake2b_256"), SLICE(KIT_HEX64));
    assert_int_equal(best.algo, DIGEST_NONE);
    pypi_note_digest(&best, SLICE("SHA256"), SLICE(KIT_HEX64));
    assert_int_equal(best.algo, DIGEST_SHA256);
    pypi_note_digest(&best, SLICE("md5"), SLICE("00112233445566778899aabbccddeeff"));
    pypi_note_digest(&best, SLICE("sha512"), SLICE(KIT_HEX64));
    assert_int_equal(best.algo, DIGEST_SHA256);
    pypi_note_digest(&best, SLICE("sha512"), SLICE(KIT_HEX64 KIT_HEX64));
    assert_int_equal(best.algo, DIGEST_SHA512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_type_says_the_format),
        cmocka_unit_test(test_links_are_relative_to_the_page),
        cmocka_unit_test(test_a_page_from_nowhere_cannot_be_read),
        cmocka_unit_test(test_links_are_bounded),
        cmocka_unit_test(test_the_place_and_scheme_are_the_routes),
        cmocka_unit_test(test_spellings_of_a_path_are_one),
        cmocka_unit_test(test_without_room_for_the_fact),
        cmocka_unit_test(test_the_strongest_hash_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
