#include <stdio.h>
#include <stdlib.h>

/* The walk takes all its memory from realloc; the n-th call can be made to fail. */
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

/* Events as text: "depth key=kind:text;" each. */
struct record {
    struct buf out;
    int stop_after; /* events, or -1 */
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
    buf_addf(&record->out, "=%s:", names[event->kind]);
    buf_add(&record->out, event->text);
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
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
