#include "http_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/protocol/npm_packument.c"

#define BASE "http://cache.test:5000/npm"
#define PAGE_URL "https://registry.test/@s%2fn"
/* Of the empty input. */
#define SHA1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SRI_SHA512                                                                                 \
    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/"                                                    \
    "SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="

enum { OUT_MAX = 1024 * 1024 };

static char upstream_url[] = "https://registry.test";
static char other_host[] = "files.test";
static char *hosts[] = {other_host};
static struct config_upstream upstream = {.url = upstream_url};
static const struct config_route route = {
    .file_hosts = {hosts, 1}, .upstreams = &upstream, .upstream_count = 1};

static struct plan plan_for(const char *name, const char *wanted)
{
    return (struct plan){.page_name = slice_str(name),
                         .wanted = slice_str(wanted),
                         .link_base = SLICE(BASE),
                         .config = &route};
}

/* Feeds the text in two pieces, cut at `cut`. */
static enum err read_cut(const struct plan_reader *reader, const struct plan_reading *reading,
                         struct slice text, size_t cut, struct buf *out)
{
    void *state = reader->begin(reading);

    assert_non_null(state);
    enum err result = reader->feed(state, slice_to(text, cut), out);
    if (result == ERR_OK)
        result = reader->feed(state, slice_from(text, cut), out);
    if (result == ERR_OK)
        result = reader->finish(state, out);
    reader->end(state);
    return result;
}

static enum err rewrite_of(const struct plan_reader *reader, const char *name, struct slice text,
                           size_t cut, struct buf *out)
{
    struct plan plan = plan_for(name, NULL);
    struct plan_reading reading = {.plan = &plan, .url = SLICE(PAGE_URL)};

    return read_cut(reader, &reading, text, cut, out);
}

/* Whatever the pieces, the result is the same. */
static void check_rewrite(const struct plan_reader *reader, const char *name, const char *text,
                          const char *want)
{
    struct slice in = slice_str(text);
    struct buf out;

    for (size_t cut = 0; cut <= in.n; cut++) {
        buf_init(&out, OUT_MAX);
        assert_int_equal(rewrite_of(reader, name, in, cut, &out), ERR_OK);
        check_slice(text, buf_slice(&out), slice_str(want));
        buf_free(&out);
    }
}

static enum err find_in(const char *name, const char *wanted, struct slice text,
                        struct arena *arena, struct plan_fact *fact)
{
    struct plan plan = plan_for(name, wanted);
    struct plan_reading reading = {
        .plan = &plan, .url = SLICE(PAGE_URL), .arena = arena, .fact = fact};

    *fact = (struct plan_fact){.found = false};
    return read_cut(&npm_packument_reader, &reading, text, text.n / 2, NULL);
}

/* --- what is refused --- */

static void test_what_is_no_packument(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[]",
        "null",
        "\"versions\"",
        "{}",
        "[{\"name\":\"@s/n\"}]",
        "<!DOCTYPE html><html></html>",
        "{\"name\":\"@s/n\"} {\"name\":\"@s/n\"}",
        "{\"name\":\"@s/n\",}",
        "{\"name\":\"@s/n\"",
        "{\"name\":\"@s/m\"}",
        "{\"name\":\"n\",\"versions\":{}}",
        "{\"versions\":{},\"name\":\"other\"}",
        "{\"error\":\"not_found\"}",
        "{\"versions\":[]}",
        "{\"name\":\"@s/n\",\"x\":\"\xff\"}",
        "{\"name\":\"@s/n\",\"versions\":{\"1\":{\"dist\":{\"tarball\":\"a}}}",
    };
    struct arena a;
    struct buf out;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plan_fact fact;
        struct slice text = slice_str(bad[i]);
        buf_init(&out, OUT_MAX);
        if (rewrite_of(&npm_packument_reader, "@s/n", text, 0, &out) != ERR_CORRUPT ||
            find_in("@s/n", "", text, &a, &fact) != ERR_CORRUPT)
            fail_msg("taken for a packument: %s", bad[i]);
        buf_free(&out);
    }
    arena_reset(&a);
}

static void test_nesting_and_long_strings_are_bounded(void **state)
{
    enum { LONG = TOKEN_MAX + 100, DEEP = 100 };
    char *text = malloc(LONG + 100);
    struct buf out;

    (void)state;
    assert_non_null(text);
    int n = sprintf(text, "{\"name\":\"a\",\"readme\":\"");
    memset(text + n, 'x', LONG);
    memcpy(text + n + LONG, "\"}", 2);
    buf_init(&out, 2 * LONG);
    assert_int_equal(
        rewrite_of(&npm_packument_reader, "a", slice_of(text, (size_t)n + LONG + 2), 7, &out),
        ERR_LIMIT);
    n = sprintf(text, "{\"name\":\"a\",\"x\":");
    memset(text + n, '[', DEEP);
    assert_int_equal(
        rewrite_of(&npm_packument_reader, "a", slice_of(text, (size_t)n + DEEP), 7, &out),
        ERR_LIMIT);
    buf_free(&out);
    free(text);
}

static void test_other_documents_need_only_be_objects(void **state)
{
    static const struct {
        const char *text;
        enum err want;
    } cases[] = {
        {"{}", ERR_OK},
        {"{\"name\":\"x\",\"dist\":{\"tarball\":\"y\"},\"keys\":[{\"a\":{}}]}", ERR_OK},
        {"[]", ERR_CORRUPT},
        {"<html>", ERR_CORRUPT},
        {"{\"a\":1", ERR_CORRUPT},
        {"", ERR_CORRUPT},
    };
    struct plan plan = plan_for("", NULL);
    struct plan_fact fact = {.found = false};
    struct plan_reading reading = {.plan = &plan, .url = SLICE(PAGE_URL), .fact = &fact};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(read_cut(&npm_object_reader, &reading, slice_str(cases[i].text), 1, NULL),
                         cases[i].want);
}

static void test_without_memory_for_the_output(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 10);
    assert_int_equal(
        rewrite_of(&npm_packument_reader, "a", SLICE("{\"name\":\"a\",\"b\":[1]}"), 3, &out),
        ERR_NOMEM);
    buf_free(&out);
}

/* --- what is written --- */

static void test_only_the_links_to_tarballs_change(void **state)
{
    (void)state;
    check_rewrite(
        &npm_packument_reader, "@s/n",
        " {\"_id\":\"x\", \"name\" :\"@s/n\",\"tarball\":\"top\",\n"
        "\"dist\":{\"tarball\":\"no\"},\"dist-tags\":{\"latest\":\"1.0.0\"},\"versions\":{"
        "\"1.0.0\":{\"name\":\"@s/n\",\"tarball\":\"kept\",\"dist\":{ \"shasum\":\"" SHA1
        "\",\t\"tarball\" :\r\n\"https://registry.test/@s/n/-/n-1.0.0.tgz\" ,"
        "\"attestations\":{\"url\":\"https://registry.test/-/npm/v1/attestations/x\","
        "\"tarball\":\"deep\"},\"integrity\":\"" SRI_SHA512 "\",\"signatures\":[{"
        "\"tarball\":\"in a list\"}]},\"x\":{\"dist\":{\"tarball\":\"deeper\"}}},"
        "\"2.0.0-rc.1+b.5\":{\"dist\":{\"tarball\":\"\"}},"
        "\"3.0.0\":{\"dist\":{\"tarball\":null}},\"4\":[{\"dist\":{\"tarball\":\"l\"}}],"
        "\"5\":{\"dist\":[{\"tarball\":\"l\"}]}},"
        "\"time\":{\"1.0.0\":\"\\u00e9\\/\\ud83d\"},\"n\":1.50e+02,\"versions2\":{\"1\":{"
        "\"dist\":{\"tarball\":\"z\"}}}} \n",
        " {\"_id\":\"x\", \"name\" :\"@s/n\",\"tarball\":\"top\",\n"
        "\"dist\":{\"tarball\":\"no\"},\"dist-tags\":{\"latest\":\"1.0.0\"},\"versions\":{"
        "\"1.0.0\":{\"name\":\"@s/n\",\"tarball\":\"kept\",\"dist\":{ \"shasum\":\"" SHA1
        "\",\t\"tarball\" :\r\n\"" BASE "/@s/n/-/n-1.0.0.tgz\" ,"
        "\"attestations\":{\"url\":\"https://registry.test/-/npm/v1/attestations/x\","
        "\"tarball\":\"deep\"},\"integrity\":\"" SRI_SHA512 "\",\"signatures\":[{"
        "\"tarball\":\"in a list\"}]},\"x\":{\"dist\":{\"tarball\":\"deeper\"}}},"
        "\"2.0.0-rc.1+b.5\":{\"dist\":{\"tarball\":\"" BASE "/@s/n/-/n-2.0.0-rc.1.tgz\"}},"
        "\"3.0.0\":{\"dist\":{\"tarball\":null}},\"4\":[{\"dist\":{\"tarball\":\"l\"}}],"
        "\"5\":{\"dist\":[{\"tarball\":\"l\"}]}},"
        "\"time\":{\"1.0.0\":\"\\u00e9\\/\\ud83d\"},\"n\":1.50e+02,\"versions2\":{\"1\":{"
        "\"dist\":{\"tarball\":\"z\"}}}} \n");
}

static void test_names_that_are_escaped_in_the_document_are_the_same(void **state)
{
    (void)state;
    check_rewrite(
        &npm_packument_reader, "a",
        "{\"ver\\u0073ions\":{\"1\\u002e0.0\":{\"d\\u0069st\":{\"tarb\\u0061ll\":\"x\"}}}}",
        "{\"ver\\u0073ions\":{\"1\\u002e0.0\":{\"d\\u0069st\":{\"tarb\\u0061ll\":\"" BASE
        "/a/-/a-1.0.0.tgz\"}}}}");
}

static void test_every_one_of_several_equal_members_is_written(void **state)
{
    (void)state;
    check_rewrite(
        &npm_packument_reader, "a",
        "{\"versions\":{\"1\":{\"dist\":{\"tarball\":\"x\",\"tarball\":\"y\"},"
        "\"dist\":{\"tarball\":\"z\"}}},\"versions\":{\"2\":{\"dist\":{\"tarball\":\"w\"}}}}",
        "{\"versions\":{\"1\":{\"dist\":{\"tarball\":\"" BASE "/a/-/a-1.tgz\",\"tarball\":\"" BASE
        "/a/-/a-1.tgz\"},"
        "\"dist\":{\"tarball\":\"" BASE "/a/-/a-1.tgz\"}}},\"versions\":{\"2\":{\"dist\":{"
        "\"tarball\":\"" BASE "/a/-/a-2.tgz\"}}}}");
}

static void test_versions_that_no_file_can_be_named_after(void **state)
{
    (void)state;
    check_rewrite(
        &npm_packument_reader, "a",
        "{\"versions\":{\"../1\":{\"dist\":{\"tarball\":\"http://x.test/old.tgz?a/b#c\"}},"
        "\"\":{\"dist\":{\"tarball\":\"http://x.test/..%2f..tgz\"}},"
        "\"1 \\\"2\":{\"dist\":{\"tarball\":\"file:///etc/passwd\"}}}}",
        "{\"versions\":{\"../1\":{\"dist\":{\"tarball\":\"" BASE "/a/-/old.tgz\"}},"
        "\"\":{\"dist\":{\"tarball\":\"about:invalid\"}},"
        "\"1 \\\"2\":{\"dist\":{\"tarball\":\"about:invalid\"}}}}");
}

static void test_a_document_of_one_version(void **state)
{
    (void)state;
    check_rewrite(&npm_version_reader, "a",
                  "{\"name\":\"a\",\"version\":\"1.0.0+b\",\"versions\":{\"1\":{\"dist\":{"
                  "\"tarball\":\"no\"}}},\"dist\":{\"tarball\":\"http://x.test/y\",\"z\":{"
                  "\"tarball\":\"no\"}}}",
                  "{\"name\":\"a\",\"version\":\"1.0.0+b\",\"versions\":{\"1\":{\"dist\":{"
                  "\"tarball\":\"no\"}}},\"dist\":{\"tarball\":\"" BASE
                  "/a/-/a-1.0.0.tgz\",\"z\":{\"tarball\":\"no\"}}}");
    check_rewrite(&npm_version_reader, "a",
                  "{\"dist\":{\"tarball\":\"http://x.test/a/-/a-1.tgz\"},\"version\":\"1\"}",
                  "{\"dist\":{\"tarball\":\"" BASE "/a/-/a-1.tgz\"},\"version\":\"1\"}");
}

/* --- what is found --- */

#define VERSION(v, members) "\"" v "\":{\"dist\":{" members "}}"
#define PACKUMENT(versions) SLICE("{\"name\":\"@s/n\",\"versions\":{" versions "}}")

struct find_case {
    struct slice text;
    const char *wanted;
    const char *url; /* NULL: not found; "": foreign */
    enum digest_algo algo;
};

static const struct find_case find_cases[] = {
    {PACKUMENT(VERSION("1.0.0", "\"tarball\":\"https://registry.test/@s/n/-/n-1.0.0.tgz\","
                                "\"shasum\":\"" SHA1 "\",\"integrity\":\"" SRI_SHA512 "\"")),
     "n-1.0.0.tgz", "https://registry.test/@s/n/-/n-1.0.0.tgz", DIGEST_SHA512},
    /* the strongest hash that can be computed, whichever comes first */
    {PACKUMENT(VERSION("1", "\"integrity\":\"" SRI_SHA512 "\",\"shasum\":\"" SHA1
                            "\",\"tarball\":\"http://registry.test/odd?x=1#f\"")),
     "n-1.tgz", "https://registry.test/odd?x=1", DIGEST_SHA512},
    {PACKUMENT(VERSION("1", "\"integrity\":\"sha3-abcd\",\"shasum\":\"" SHA1
                            "\",\"tarball\":\"http://files.test/odd\"")),
     "n-1.tgz", "http://files.test/odd", DIGEST_SHA1},
    {PACKUMENT(VERSION("1", "\"integrity\":\"nonsense\",\"shasum\":\"12\",\"tarball\":\"/odd\"")),
     "n-1.tgz", "https://registry.test/odd", DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"shasum\":7,\"tarball\":\"n/-/n-1.tgz\"")), "n-1.tgz",
     "https://registry.test/n/-/n-1.tgz", DIGEST_NONE},
    /* by the name that the file has upstream */
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://registry.test/a/other-name.tgz?x\"")),
     "other-name.tgz", "https://registry.test/a/other-name.tgz?x", DIGEST_NONE},
    /* a derived name goes before one upstream */
    {PACKUMENT(VERSION("1", "\"tarball\":\"/a/n-2.tgz\"") "," VERSION("2", "\"tarball\":\"/b\"")),
     "n-2.tgz", "https://registry.test/b", DIGEST_NONE},
    {PACKUMENT(VERSION("2", "\"tarball\":\"/b\"") "," VERSION("1", "\"tarball\":\"/a/n-2.tgz\"")),
     "n-2.tgz", "https://registry.test/b", DIGEST_NONE},
    {PACKUMENT(VERSION("1.0.0+b", "\"tarball\":\"/b\"")), "n-1.0.0.tgz", "https://registry.test/b",
     DIGEST_NONE},
    /* one version's hash is not another's */
    {PACKUMENT(
         VERSION("1", "\"integrity\":\"" SRI_SHA512 "\"") "," VERSION("2", "\"tarball\":\"/b\"")),
     "n-2.tgz", "https://registry.test/b", DIGEST_NONE},
    /* not there */
    {PACKUMENT(VERSION("1", "\"tarball\":\"/a/n-1.tgz\"")), "n-2.tgz", NULL, DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"\"")), "n-1.tgz", NULL, DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"shasum\":\"" SHA1 "\"")), "n-1.tgz", NULL, DIGEST_NONE},
    {PACKUMENT(""), "n-1.tgz", NULL, DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"x\":{\"tarball\":\"/n-1.tgz\"}")), "n-1.tgz", NULL, DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"/a/n-1.tgz\"")), "", NULL, DIGEST_NONE},
    /* from where nothing is fetched */
    {PACKUMENT(VERSION("1", "\"tarball\":\"http://169.254.169.254/latest/n-1.tgz\"")), "n-1.tgz",
     "", DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"file:///etc/passwd\"")), "n-1.tgz", "", DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"git+ssh://registry.test/n-1.tgz\"")), "n-1.tgz", "",
     DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"//evil.test/n-1.tgz\"")), "n-1.tgz", "", DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://registry.test:22/n-1.tgz\"")), "n-1.tgz", "",
     DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://u:p@registry.test/n-1.tgz\"")), "n-1.tgz", "",
     DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://registry.test/a/%2e%2e/%2e%2e/n-1.tgz\"")),
     "n-1.tgz", "", DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://registry.test/a/..%2fn-1.tgz\"")), "n-1.tgz", "",
     DIGEST_NONE},
    {PACKUMENT(VERSION("1", "\"tarball\":\"https://registry.test/a\\r\\nX: y\"")), "n-1.tgz", "",
     DIGEST_NONE},
};

static void test_find(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof find_cases / sizeof find_cases[0]; i++) {
        const struct find_case *c = &find_cases[i];
        struct plan_fact fact;
        assert_int_equal(find_in("@s/n", c->wanted, c->text, &a, &fact), ERR_OK);
        if (fact.found != (c->url != NULL) || fact.foreign != (c->url && !*c->url))
            fail_msg("%.*s: found %d, foreign %d", SLICE_ARG(c->text), fact.found, fact.foreign);
        check_slice(c->text.p, fact.url, slice_str(c->url));
        assert_int_equal(fact.digest.algo, c->algo);
        assert_false(fact.has_size);
    }
    arena_reset(&a);
}

static void test_the_url_is_that_of_a_redirect_too(void **state)
{
    struct plan plan = plan_for("a", "a-1.tgz");
    struct plan_fact fact = {.found = false};
    struct arena a;
    struct plan_reading reading = {
        .plan = &plan, .url = SLICE("https://files.test/deep/a"), .arena = &a, .fact = &fact};
    struct slice text = SLICE("{\"versions\":{\"1\":{\"dist\":{\"tarball\":\"-/a-1.tgz\"}}}}");

    (void)state;
    test_arena(&a);
    assert_int_equal(read_cut(&npm_packument_reader, &reading, text, 9, NULL), ERR_OK);
    check_text("relative", fact.url, "https://files.test/deep/-/a-1.tgz");
    reading.url = SLICE("nonsense");
    assert_int_equal(read_cut(&npm_packument_reader, &reading, text, 9, NULL), ERR_CORRUPT);
    arena_reset(&a);
}

static void test_a_url_that_is_too_long_names_nothing(void **state)
{
    char *text = malloc(2 * HTTP_URL_MAX);
    struct plan_fact fact;
    struct arena a;

    (void)state;
    assert_non_null(text);
    test_arena(&a);
    int n = sprintf(text, "{\"name\":\"a\",\"versions\":{\"1\":{\"dist\":{\"tarball\":\"/");
    memset(text + n, 'x', HTTP_URL_MAX);
    n += HTTP_URL_MAX;
    n += sprintf(text + n, "\"}},\"2\":{\"dist\":{\"tarball\":\"/b\"}}}}");
    assert_int_equal(find_in("a", "a-1.tgz", slice_of(text, (size_t)n), &a, &fact), ERR_OK);
    assert_false(fact.found);
    assert_int_equal(find_in("a", "a-2.tgz", slice_of(text, (size_t)n), &a, &fact), ERR_OK);
    check_text("the next", fact.url, "https://registry.test/b");
    arena_reset(&a);
    free(text);
}

/* --- memory --- */

enum { BIG = 40 * 1024 * 1024, PIECE = 64 * 1024, README = 256 * 1024 };

/* What is allocated, told by the sanitizers' hooks (sanitizer/allocator_interface.h). */
static size_t allocated, most_allocated;

size_t __sanitizer_get_allocated_size(const volatile void *p) __attribute__((weak));
void __sanitizer_malloc_hook(const volatile void *p, size_t n);
void __sanitizer_free_hook(const volatile void *p);

void __sanitizer_malloc_hook(const volatile void *p, size_t n)
{
    (void)p;
    allocated += n;
    if (allocated > most_allocated)
        most_allocated = allocated;
}

void __sanitizer_free_hook(const volatile void *p)
{
    allocated -= p ? __sanitizer_get_allocated_size(p) : 0;
}

static void make_version(struct buf *b, unsigned number)
{
    buf_clear(b);
    buf_addf(b, ",\"%u.0.0\":{\"dist\":{\"tarball\":\"/b/%u\"},\"readme\":\"", number, number);
    memset(buf_reserve(b, README), 'r', README);
    b->n += README;
    buf_add(b, SLICE("\"}"));
}

static enum err feed_in_pieces(const struct plan_reader *reader, void *document, struct slice text,
                               struct buf *out, uint64_t *written)
{
    enum err result = ERR_OK;

    for (; text.n && result == ERR_OK; text = slice_from(text, PIECE)) {
        result = reader->feed(document, slice_to(text, PIECE), out);
        if (!out)
            continue;
        *written += out->n;
        buf_clear(out);
    }
    return result;
}

/* Makes a packument of BIG bytes, a version at a time, and lets it be read. */
static void read_big(const struct plan_reading *reading, struct buf *out, uint64_t *written)
{
    const struct plan_reader *reader = &npm_packument_reader;
    void *document = reader->begin(reading);
    struct buf version;
    uint64_t read = 0;

    buf_init(&version, OUT_MAX);
    buf_add(&version, SLICE("{\"name\":\"big\",\"versions\":{\"0\":{}"));
    for (unsigned i = 1; read < BIG; i++) {
        read += version.n;
        assert_int_equal(feed_in_pieces(reader, document, buf_slice(&version), out, written),
                         ERR_OK);
        make_version(&version, i);
    }
    assert_int_equal(feed_in_pieces(reader, document, SLICE("}}"), out, written), ERR_OK);
    assert_int_equal(reader->finish(document, out), ERR_OK);
    reader->end(document);
    buf_free(&version);
}

/* Some copies of the longest string, and none of the document. */
static void check_memory(const struct plan_reading *reading, struct buf *out, uint64_t *written)
{
    enum { ALLOWED = 3 * 1024 * 1024 };
    size_t before = allocated;

    most_allocated = allocated;
    read_big(reading, out, written);
    assert_true(most_allocated > before + README);
    assert_true(most_allocated < before + ALLOWED);
}

static void test_memory_does_not_grow_with_the_document(void **state)
{
    struct plan plan = plan_for("big", "big-7.0.0.tgz");
    struct plan_fact fact = {.found = false};
    struct plan_reading reading = {.plan = &plan, .url = SLICE(PAGE_URL)};
    uint64_t written = 0;
    struct arena a;
    struct buf out;

    (void)state;
    if (!__sanitizer_get_allocated_size)
        skip(); /* allocations are counted by the sanitizer's hooks */
    buf_init(&out, OUT_MAX);
    check_memory(&reading, &out, &written);
    assert_true(written > BIG);
    buf_free(&out);

    test_arena(&a);
    reading.arena = &a;
    reading.fact = &fact;
    check_memory(&reading, NULL, &written);
    check_text("found in it", fact.url, "https://registry.test/b/7");
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_packument),
        cmocka_unit_test(test_nesting_and_long_strings_are_bounded),
        cmocka_unit_test(test_other_documents_need_only_be_objects),
        cmocka_unit_test(test_without_memory_for_the_output),
        cmocka_unit_test(test_only_the_links_to_tarballs_change),
        cmocka_unit_test(test_names_that_are_escaped_in_the_document_are_the_same),
        cmocka_unit_test(test_every_one_of_several_equal_members_is_written),
        cmocka_unit_test(test_versions_that_no_file_can_be_named_after),
        cmocka_unit_test(test_a_document_of_one_version),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_the_url_is_that_of_a_redirect_too),
        cmocka_unit_test(test_a_url_that_is_too_long_names_nothing),
        cmocka_unit_test(test_memory_does_not_grow_with_the_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
