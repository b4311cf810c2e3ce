#include <stdio.h>
#include <stdlib.h>

/* yajl takes all its memory from realloc; the n-th call can be made to fail. */
static int allocations_left = -1;

static void *failing_realloc(void *p, size_t n)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return realloc(p, n);
}

#define realloc failing_realloc
#include "daemon/base/json.c"
#undef realloc

#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

/* Events as text: "depth key=kind:text;" each, with offsets "depth key@key_end=kind:text@end;". */
struct record {
    struct buf out;
    int stop_after; /* events, or -1 */
    bool with_offsets;
};

static bool note_event(void *arg, const struct json_event *event)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "bool",  [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_OBJECT] = "map", [JSON_ARRAY] = "list",
        [JSON_END] = "end",
    };
    struct record *record = arg;

    buf_addf(&record->out, "%u ", event->depth);
    buf_add(&record->out, event->key);
    if (record->with_offsets)
        buf_addf(&record->out, "@%d", (int)event->key_end);
    buf_addf(&record->out, "=%s:", names[event->kind]);
    buf_add(&record->out, event->text);
    if (record->with_offsets)
        buf_addf(&record->out, "@%d", (int)event->end);
    buf_addc(&record->out, ';');
    return record->stop_after < 0 || --record->stop_after > 0;
}

static enum err walk_text(struct slice text, unsigned max_depth, struct record *record)
{
    /* On the heap and without a NUL, so that reading past the end is seen. */
    char *copy = malloc(text.n ? text.n : 1);
    memcpy(copy, text.p, text.n);
    enum err err = json_walk(slice_of(copy, text.n), max_depth, note_event, record);
    free(copy);
    return err;
}

/* The same: a piece that was fed is gone. */
static enum err feed_copy(struct json_stream *s, struct slice piece)
{
    char *copy = malloc(piece.n ? piece.n : 1);
    if (piece.n)
        memcpy(copy, piece.p, piece.n);
    enum err err = json_stream_feed(s, slice_of(copy, piece.n));
    free(copy);
    return err;
}

/* In pieces that end at `first`, `second` and the end. */
static enum err stream_text(struct slice text, size_t first, size_t second, size_t max_token,
                            struct record *record)
{
    struct json_stream *s = json_stream_new(8, max_token, note_event, record);
    assert_non_null(s);
    enum err err = feed_copy(s, slice_to(text, first));
    if (err == ERR_OK)
        err = feed_copy(s, slice_from(slice_to(text, second), first));
    if (err == ERR_OK)
        err = feed_copy(s, slice_from(text, second));
    if (err == ERR_OK)
        err = json_stream_finish(s);
    assert_int_equal(json_stream_finish(s), err); /* an error stays, and so does success */
    json_stream_free(&s);
    assert_null(s);
    return err;
}

static void assert_walk(const char *text, unsigned max_depth, enum err expected, const char *events)
{
    struct record record = {.stop_after = -1};

    buf_init(&record.out, 1 << 20);
    assert_int_equal(walk_text(slice_str(text), max_depth, &record), expected);
    buf_addc(&record.out, '\0');
    assert_string_equal(record.out.p, events);
    buf_free(&record.out);
}

static void test_kinds_keys_and_depths(void **state)
{
    (void)state;
    assert_walk("{\"a\":null,\"b\":[true,-1.5e3,\"x\"],\"c\":{\"d\":false},\"e\":{}}", 8, ERR_OK,
                "0 =map:;1 a=null:;1 b=list:;2 =bool:true;2 =number:-1.5e3;2 =string:x;1 =end:;"
                "1 c=map:;2 d=bool:false;1 =end:;1 e=map:;1 =end:;0 =end:;");
    assert_walk(" \"top\" ", 0, ERR_OK, "0 =string:top;");
    assert_walk("123", 0, ERR_OK, "0 =number:123;");
    assert_walk("1e400", 0, ERR_OK, "0 =number:1e400;");
}

static void test_strings_are_unescaped(void **state)
{
    (void)state;
    assert_walk("\"a\\n\\u76d0\\ud83d\\ude00\\\"\"", 1, ERR_OK,
                "0 =string:a\n\xe7\x9b\x90\xf0\x9f\x98\x80\";");
}

/* A key and its value both stand in yajl's one scratch buffer when both have escapes. */
static void test_escaped_key_outlives_its_value(void **state)
{
    (void)state;
    assert_walk("{\"k\\u0065y\":\"v\\u0061lue\",\"x\":1,\"\\u0061\":{\"\\u0062\":2},\"\":3}", 2,
                ERR_OK,
                "0 =map:;1 key=string:value;1 x=number:1;1 a=map:;2 b=number:2;1 =end:;"
                "1 =number:3;0 =end:;");
}

static void test_duplicate_keys_come_as_they_stand(void **state)
{
    (void)state;
    assert_walk("{\"a\":1,\"a\":2}", 1, ERR_OK, "0 =map:;1 a=number:1;1 a=number:2;0 =end:;");
}

static void test_not_json(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "nul",
        "NaN",
        "Infinity",
        "01",
        "+1",
        "1.",
        ".5",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "{\"\xff\":1}",
        "[\"\xe7\x9b\"]",
        "\xef\xbb\xbf{}",
        "{} {}",
        "1 2",
        "[] x",
        "// c\n1",
        "]",
        "}",
        "[}",
        "tru",
        "-",
        "1e",
        "[1,\f2]",
        "[\x01]",
        "\v1",
        "{\"a\"\v:1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct record record = {.stop_after = -1};
        buf_init(&record.out, 1000);
        enum err err = walk_text(slice_str(bad[i]), 8, &record);
        buf_free(&record.out);
        if (err != ERR_PROTO)
            fail_msg("%s: %s", bad[i], err_name(err));
    }
    assert_int_equal(json_walk(slice_str(NULL), 8, note_event, NULL), ERR_PROTO);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    assert_walk("[]", 0, ERR_LIMIT, "");
    assert_walk("[{}]", 2, ERR_OK, "0 =list:;1 =map:;1 =end:;0 =end:;");
    assert_walk("[{\"a\":[]}]", 2, ERR_LIMIT, "0 =list:;1 =map:;");
}

static void test_no_depth_past_64(void **state)
{
    char nested[1000];
    struct record record = {.stop_after = -1};

    (void)state;
    buf_init(&record.out, 1 << 20);
    memset(nested, '[', 65);
    memset(nested + 65, ']', 65);
    assert_int_equal(walk_text(slice_of(nested + 1, 128), 1000, &record), ERR_OK);
    assert_int_equal(walk_text(slice_of(nested, 130), 1000, &record), ERR_LIMIT);
    memset(nested, '[', sizeof nested);
    assert_int_equal(walk_text(slice_of(nested, sizeof nested), 64, &record), ERR_LIMIT);
    buf_free(&record.out);
}

static void test_stopping_early_is_success(void **state)
{
    struct record record = {.stop_after = 2};

    (void)state;
    buf_init(&record.out, 1000);
    assert_int_equal(walk_text(SLICE("{\"a\":1,\"b\":2} garbage"), 1, &record), ERR_OK);
    assert_true(slice_eq(buf_slice(&record.out), SLICE("0 =map:;1 a=number:1;")));
    /* A top number is known to be complete only at the end of the text. */
    record.stop_after = 1;
    assert_int_equal(walk_text(SLICE("12"), 1, &record), ERR_OK);
    buf_free(&record.out);
}

static enum err walk_with_allocations(struct slice text, int allocations)
{
    struct record record = {.stop_after = -1};

    buf_init(&record.out, 1 << 20);
    allocations_left = allocations;
    enum err err = walk_text(text, 8, &record);
    allocations_left = -1;
    buf_free(&record.out);
    return err;
}

/* Each allocation in turn fails; nothing leaks, says the sanitizer. */
static void test_out_of_memory(void **state)
{
    char text[8000];
    size_t n =
        (size_t)snprintf(text, sizeof text, "{\"\\u0061\":[{},\"\\n%06000d\"],\"b\\t\":1}", 0);
    int needed = 0;

    (void)state;
    while (walk_with_allocations(slice_of(text, n), needed) == ERR_NOMEM)
        needed++;
    assert_true(needed > 5);
    assert_int_equal(walk_with_allocations(slice_of(text, n), needed), ERR_OK);
}

/* Offsets in {"a" : 1 , "b":[true,"x"],"c":{},"d":12.5}: counted by hand. */
static void test_offsets_of_keys_and_values(void **state)
{
    struct record record = {.stop_after = -1, .with_offsets = true};

    (void)state;
    buf_init(&record.out, 1 << 20);
    assert_int_equal(
        walk_text(SLICE(" {\"a\" : 1 , \"b\":[true,\"x\"],\"c\\t\":{},\"d\":12.5}"), 8, &record),
        ERR_OK);
    buf_addc(&record.out, '\0');
    assert_string_equal(record.out.p,
                        "0 @0=map:@2;1 a@5=number:1@9;1 b@15=list:@17;2 @0=bool:true@21;"
                        "2 @0=string:x@25;1 @0=end:@26;1 c\t@32=map:@34;1 @0=end:@35;"
                        "1 d@39=number:12.5@44;0 @0=end:@45;");
    buf_free(&record.out);
}

static const char *const pieces_of[] = {
    "{\"name\":\"x\",\"versions\":{\"1.0.0\":{\"dist\":{\"tarball\":\"http://h/"
    "x.tgz\"}}},\"n\":12}",
    " { \"k\\u0065y\" : [ 1 , -2.5e+3 ,true , false,null, [] , {} ] , \"\" : \"\" } \r\n\t",
    "[\"\\\\\",\"\\\"\",\"a\\n\\u76d0\\ud83d\\ude00\\\"\\\\\\\\\","
    "\"\xf0\x9f\x98\x80\xe7\x9b\x90\"]",
    "{\"\\\"\\\\\":{\"a\\u0041\":\"b\\u0042\"},\"x\":\"\\u0000\"}",
    "12.25",
    "[0,00]",
    "[1\"a\"]",
    "[\"a\"\"b\"]",
    "[\"\\ud83d\",\"\\ude00\",\"\\udc00\\ud800\"]",
    "{\"a\":\"\xc0\xaf\",\"b\":1}",
    "{\"a\":\"\\x\",\"b\":1}",
    "[nulll]",
    "[1,\f2]",
    "{\"a\":1}}",
    "[[[[[[[[[1]]]]]]]]]",
    "[\"1234567890123456789012345678901234\",\"12345678901234567890123456789012345\",1]",
    "[123456789012345678901234567890123456,12345678901234567890123456789012345678]",
    "[1,\"open",
    "tru",
    "",
};

static void test_any_two_cuts_make_no_difference(void **state)
{
    enum { MAX_TOKEN = 36 };

    (void)state;
    for (size_t i = 0; i < sizeof pieces_of / sizeof pieces_of[0]; i++) {
        struct slice text = slice_str(pieces_of[i]);
        struct record whole = {.stop_after = -1, .with_offsets = true};
        struct record parts = whole;
        buf_init(&whole.out, 1 << 20);
        buf_init(&parts.out, 1 << 20);
        enum err err = stream_text(text, text.n, text.n, MAX_TOKEN, &whole);
        for (size_t first = 0; first <= text.n; first++) {
            for (size_t second = first; second <= text.n; second++) {
                buf_clear(&parts.out);
                assert_int_equal(stream_text(text, first, second, MAX_TOKEN, &parts), err);
                assert_true(slice_eq(buf_slice(&parts.out), buf_slice(&whole.out)));
            }
        }
        buf_clear(&parts.out);
        if (err != ERR_LIMIT) { /* which the walk does not have for tokens */
            assert_int_equal(walk_text(text, 8, &parts), err);
            assert_true(slice_eq(buf_slice(&parts.out), buf_slice(&whole.out)));
        }
        buf_free(&whole.out);
        buf_free(&parts.out);
    }
}

static void test_byte_by_byte(void **state)
{
    struct slice text = slice_str(pieces_of[1]);
    struct record whole = {.stop_after = -1, .with_offsets = true};
    struct record parts = whole;
    struct json_stream *s = json_stream_new(8, 100, note_event, &parts);

    (void)state;
    buf_init(&whole.out, 1 << 20);
    buf_init(&parts.out, 1 << 20);
    assert_int_equal(walk_text(text, 8, &whole), ERR_OK);
    for (size_t i = 0; i < text.n; i++) {
        assert_int_equal(json_stream_feed(s, slice_of(NULL, 0)), ERR_OK);
        assert_int_equal(feed_copy(s, slice_of(text.p + i, 1)), ERR_OK);
    }
    assert_int_equal(json_stream_finish(s), ERR_OK);
    assert_true(slice_eq(buf_slice(&parts.out), buf_slice(&whole.out)));
    json_stream_free(&s);
    json_stream_free(&s);
    buf_free(&whole.out);
    buf_free(&parts.out);
}

/* A raw token of exactly max_token is the longest, whether it comes whole or in pieces. */
static void test_length_of_a_token_is_bounded(void **state)
{
    static const struct {
        const char *text;
        size_t longest;
    } rows[] = {
        {"[\"12345\"]", 7}, {"{\"12345\":1}", 7},         {"[\"\\u0041\"]", 8},
        {"[12345]", 5},     {"{\"a\":{\"b\":false}}", 5}, {"123456", 6},
    };
    struct record record = {.stop_after = -1};

    (void)state;
    buf_init(&record.out, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice text = slice_str(rows[i].text);
        for (size_t cut = 0; cut <= text.n; cut++) {
            assert_int_equal(stream_text(text, cut, cut, rows[i].longest, &record), ERR_OK);
            assert_int_equal(stream_text(text, cut, cut, rows[i].longest - 1, &record), ERR_LIMIT);
        }
    }
    buf_free(&record.out);
}

/* What is between tokens is not held, however much it is; an endless token is refused early. */
static void test_endless_parts(void **state)
{
    char part[1000];
    struct record record = {.stop_after = -1};
    struct json_stream *s = json_stream_new(8, 2500, note_event, &record);

    (void)state;
    buf_init(&record.out, 1 << 20);
    memset(part, ' ', sizeof part);
    assert_int_equal(json_stream_feed(s, SLICE("[")), ERR_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed_copy(s, slice_of(part, sizeof part)), ERR_OK);
    assert_true(s->held.n == 0);
    assert_int_equal(json_stream_feed(s, SLICE("1,\"")), ERR_OK);
    assert_int_equal(feed_copy(s, slice_of(part, sizeof part)), ERR_OK);
    assert_int_equal(feed_copy(s, slice_of(part, sizeof part)), ERR_OK);
    assert_int_equal(feed_copy(s, slice_of(part, sizeof part)), ERR_LIMIT);
    assert_int_equal(json_stream_feed(s, SLICE("\"]")), ERR_LIMIT);
    assert_int_equal(json_stream_finish(s), ERR_LIMIT);
    assert_true(slice_eq(buf_slice(&record.out), SLICE("0 =list:;1 =number:1;")));
    json_stream_free(&s);
    buf_free(&record.out);
}

static void test_stopped_stream_takes_bytes_and_looks_at_none(void **state)
{
    struct record record = {.stop_after = 2};
    struct json_stream *s = json_stream_new(8, 10, note_event, &record);

    (void)state;
    buf_init(&record.out, 1000);
    assert_int_equal(json_stream_feed(s, SLICE("{\"a\":1,\"b\":2} \"0123456789ab")), ERR_OK);
    assert_int_equal(json_stream_feed(s, SLICE("garbage that is longer than any token")), ERR_OK);
    assert_int_equal(json_stream_finish(s), ERR_OK);
    assert_true(slice_eq(buf_slice(&record.out), SLICE("0 =map:;1 a=number:1;")));
    json_stream_free(&s);
    /* By a number, which only what comes next completes. */
    buf_clear(&record.out);
    record.stop_after = 1;
    s = json_stream_new(8, 10, note_event, &record);
    assert_int_equal(json_stream_feed(s, SLICE("12")), ERR_OK);
    assert_int_equal(json_stream_feed(s, SLICE(" x")), ERR_OK);
    assert_int_equal(json_stream_finish(s), ERR_OK);
    assert_true(slice_eq(buf_slice(&record.out), SLICE("0 =number:12;")));
    json_stream_free(&s);
    buf_free(&record.out);
}

static void test_half_of_a_surrogate_pair(void **state)
{
    (void)state;
    assert_walk("[\"a\\ude00b\",\"\\udc00\\udfff\",\"\\ud7ff\\ue000\"]", 8, ERR_OK,
                "0 =list:;1 =string:a\xef\xbf\xbd"
                "b;1 =string:\xef\xbf\xbd\xef\xbf\xbd;1 =string:\xed\x9f\xbf\xee\x80\x80;0 =end:;");
    assert_walk("{\"\\ude00\":\"\\ud83d\"}", 8, ERR_OK, "0 =map:;1 \xef\xbf\xbd=string:?;0 =end:;");
}

/* Each allocation in turn fails, at birth and in a piece; the error stays. */
static void test_stream_out_of_memory(void **state)
{
    static const char *const pieces[] = {"{\"\\u0061\":[{},", "\"\\n\\", "t\"],\"b\\t\":", "1",
                                         "}"};
    struct record record = {.stop_after = -1};
    enum err err = ERR_NOMEM;

    (void)state;
    buf_init(&record.out, 1 << 20);
    for (int needed = 0; err != ERR_OK; needed++) {
        allocations_left = needed;
        struct json_stream *s = json_stream_new(8, 100, note_event, &record);
        err = s ? ERR_OK : ERR_NOMEM;
        for (size_t i = 0; s && i < sizeof pieces / sizeof pieces[0]; i++)
            err = json_stream_feed(s, slice_str(pieces[i]));
        if (s)
            err = json_stream_finish(s);
        allocations_left = -1;
        assert_true(err == ERR_OK || err == ERR_NOMEM);
        assert_true(err == ERR_NOMEM || needed > 5);
        json_stream_free(&s);
    }
    buf_free(&record.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_keys_and_depths),
        cmocka_unit_test(test_strings_are_unescaped),
        cmocka_unit_test(test_escaped_key_outlives_its_value),
        cmocka_unit_test(test_duplicate_keys_come_as_they_stand),
        cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_no_depth_past_64),
        cmocka_unit_test(test_stopping_early_is_success),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_offsets_of_keys_and_values),
        cmocka_unit_test(test_any_two_cuts_make_no_difference),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_length_of_a_token_is_bounded),
        cmocka_unit_test(test_endless_parts),
        cmocka_unit_test(test_stopped_stream_takes_bytes_and_looks_at_none),
        cmocka_unit_test(test_half_of_a_surrogate_pair),
        cmocka_unit_test(test_stream_out_of_memory),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
