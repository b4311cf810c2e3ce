#include "daemon/protocol/json_splice.c"

#include "http_test.h"

enum { DEPTH = 8, TOKEN = 64, OUT_CAP = 1024 * 1024 };

/* Replaces the members "url"; "bad" is an error; "boom" is what makes a number an error. */
static enum err replace_urls(void *arg, const struct json_event *event, struct slice *other)
{
    unsigned *calls = arg;

    ++*calls;
    if (slice_eq(event->key, SLICE("bad")))
        return ERR_LIMIT;
    if (slice_eq(event->key, SLICE("url")))
        *other = SLICE("new \"value\"");
    if (slice_eq(event->text, SLICE("element")))
        *other = SLICE("never used: no member");
    return ERR_OK;
}

static enum err copy_in_steps(struct slice text, size_t step, struct buf *out)
{
    unsigned calls = 0;
    struct json_splice *s = json_splice_new(DEPTH, TOKEN, replace_urls, &calls);
    enum err result = ERR_OK;

    assert_non_null(s);
    while (text.n && result == ERR_OK) {
        result = json_splice_feed(s, slice_to(text, step), out);
        text = slice_from(text, step);
    }
    enum err end = json_splice_finish(s, out);
    if (result != ERR_OK)
        assert_int_equal(end, result);
    json_splice_free(&s);
    assert_null(s);
    return end;
}

struct splice_case {
    const char *text;
    const char *want;
};

#define NEW "\"new \\\"value\\\"\""

static const struct splice_case splice_cases[] = {
    {"{}", "{}"},
    {" [ ] \n", " [ ] \n"},
    {"\"url\"", "\"url\""},
    {"17 ", "17 "},
    {"{\"url\":\"a\"}", "{\"url\":" NEW "}"},
    {"{ \"url\" \t:\n \"a\\\"b\" , \"x\" : 1 }", "{ \"url\" \t:\n " NEW " , \"x\" : 1 }"},
    {"{\"\\u0075rl\":\"\\u0061\"}", "{\"\\u0075rl\":" NEW "}"},
    {"{\"url\":1,\"url\":null,\"url\":[\"a\"],\"url\":{\"url\":\"\"}}",
     "{\"url\":1,\"url\":null,\"url\":[\"a\"],\"url\":{\"url\":" NEW "}}"},
    {"[\"element\",[1,2.50,-3e4],{\"element\":true}]",
     "[\"element\",[1,2.50,-3e4],{\"element\":true}]"},
    {"{\"a\":\"\xc3\xa4\\u00e4\\/\",\"b\":1.0000000000000000000000001,\"url\":\"\xe2\x82\xac\"}",
     "{\"a\":\"\xc3\xa4\\u00e4\\/\",\"b\":1.0000000000000000000000001,\"url\":" NEW "}"},
    {"{\"\":\"\",\"url\":\"\",\"x\":{\"y\":\"z\"}}",
     "{\"\":\"\",\"url\":" NEW ",\"x\":{\"y\":\"z\"}}"},
};

static void test_only_chosen_strings_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof splice_cases / sizeof splice_cases[0]; i++) {
        const struct splice_case *c = &splice_cases[i];
        for (size_t step = 1; step <= strlen(c->text); step++) {
            struct buf out;
            buf_init(&out, OUT_CAP);
            assert_int_equal(copy_in_steps(slice_str(c->text), step, &out), ERR_OK);
            check_slice(c->text, buf_slice(&out), slice_str(c->want));
            buf_free(&out);
        }
    }
}

static const struct {
    const char *text;
    enum err want;
} broken_cases[] = {
    {"", ERR_CORRUPT},
    {"{", ERR_CORRUPT},
    {"{\"url\":\"a", ERR_CORRUPT},
    {"{\"url\":\"a\"}}", ERR_CORRUPT},
    {"{\"url\" \"a\"}", ERR_CORRUPT},
    {"{\"url\":/* \" */\"a\"}", ERR_CORRUPT},
    {"<html>", ERR_CORRUPT},
    {"[\"a\",00e4\"]", ERR_CORRUPT},
    {"{\"a\":{\"bad\":1},\"url\":\"b\"}", ERR_LIMIT},
    {"[[[[[[[[[1]]]]]]]]]", ERR_LIMIT},
    {"{\"url\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}",
     ERR_LIMIT},
};

static void test_an_error_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken_cases / sizeof broken_cases[0]; i++) {
        size_t n = strlen(broken_cases[i].text);
        for (size_t step = 1; step <= n + 1; step++) {
            struct buf out;
            buf_init(&out, OUT_CAP);
            assert_int_equal(copy_in_steps(slice_str(broken_cases[i].text), step, &out),
                             broken_cases[i].want);
            buf_free(&out);
            assert_int_equal(copy_in_steps(slice_str(broken_cases[i].text), step, NULL),
                             broken_cases[i].want);
        }
    }
}

/* A long text of small members is held in a small buffer; blanks between tokens not at all. */
static void test_what_is_held_is_bounded(void **state)
{
    unsigned calls = 0;
    struct json_splice *s = json_splice_new(DEPTH, TOKEN, replace_urls, &calls);
    struct buf out;
    char blanks[4096];

    (void)state;
    memset(blanks, ' ', sizeof blanks);
    buf_init(&out, OUT_CAP);
    assert_int_equal(json_splice_feed(s, SLICE("["), &out), ERR_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct slice member = SLICE("{\"a\":\"b\",\"url\":\"long enough to count\"},");
        assert_int_equal(json_splice_feed(s, slice_of(blanks, sizeof blanks), &out), ERR_OK);
        assert_int_equal(json_splice_feed(s, member, &out), ERR_OK);
        assert_int_equal(s->held.n, 0);
        assert_int_equal(out.n, (i ? 0 : 1) + sizeof blanks + strlen("{\"a\":\"b\",\"url\":,") +
                                    strlen(NEW) + 1);
        buf_clear(&out);
    }
    assert_true(s->held.cap <= 2 * sizeof blanks);
    assert_int_equal(calls, 1 + 1000 * 4);
    json_splice_free(&s);
    buf_free(&out);
}

/* Blanks without end between a name and its value. */
static void test_a_member_that_does_not_end_is_refused(void **state)
{
    unsigned calls = 0;
    struct json_splice *s = json_splice_new(DEPTH, TOKEN, replace_urls, &calls);
    struct buf out;
    char blanks[4096];
    enum err result;

    (void)state;
    memset(blanks, ' ', sizeof blanks);
    buf_init(&out, OUT_CAP);
    result = json_splice_feed(s, SLICE("{\"url\":"), &out);
    for (unsigned i = 0; i < 100 && result == ERR_OK; i++)
        result = json_splice_feed(s, slice_of(blanks, sizeof blanks), &out);
    assert_int_equal(result, ERR_LIMIT);
    assert_true(s->held.cap <= 2 * TOKEN + PIECE_MAX);
    json_splice_free(&s);
    buf_free(&out);
}

static void test_a_full_output_is_an_error(void **state)
{
    unsigned calls = 0;
    struct json_splice *s = json_splice_new(DEPTH, TOKEN, replace_urls, &calls);
    struct buf out;

    (void)state;
    buf_init(&out, 8);
    assert_int_equal(json_splice_feed(s, SLICE("{\"url\":\"a\"}"), &out), ERR_NOMEM);
    assert_int_equal(json_splice_feed(s, SLICE(" "), &out), ERR_NOMEM);
    assert_int_equal(json_splice_finish(s, &out), ERR_NOMEM);
    json_splice_free(&s);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_chosen_strings_change),
        cmocka_unit_test(test_an_error_stays),
        cmocka_unit_test(test_what_is_held_is_bounded),
        cmocka_unit_test(test_a_member_that_does_not_end_is_refused),
        cmocka_unit_test(test_a_full_output_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
