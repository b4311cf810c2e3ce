#include "daemon/http/fields.c"

#include <stdio.h>

#include "http_test.h"

static void add(struct http_fields *f, struct arena *a, const char *name, const char *value)
{
    assert_true(http_fields_add(f, a, 100, slice_str(name), slice_str(value)));
}

static void test_every_row_is_found_in_any_case(void **state)
{
    (void)state;
    for (int id = 1; id < HF_COUNT; id++) {
        struct slice name = http_field_name((enum http_field_id)id);
        assert_true(name.n > 0);
        char upper[64];
        for (size_t i = 0; i < name.n; i++)
            upper[i] = name.p[i] >= 'a' && name.p[i] <= 'z' ? (char)(name.p[i] - 32) : name.p[i];
        assert_int_equal(http_field_id(name), id);
        assert_int_equal(http_field_id(slice_of(upper, name.n)), id);
    }
    check_text("last row", http_field_name(HF_WWW_AUTHENTICATE), "www-authenticate");
}

static void test_other_names_have_no_id(void **state)
{
    (void)state;
    static const char *const names[] = {
        "x", "hosts", "hos", "hxst", "content-lengtx", "content_length", "x-forwarded-for", "ttps",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(http_field_id(slice_str(names[i])), HF_OTHER);
    assert_int_equal(http_field_id(SLICE("")), HF_OTHER);
    /* A blank is not the capital of NUL, nor '\r' that of '-'. */
    assert_int_equal(http_field_id(SLICE("content\rlength")), HF_OTHER);
    /* A length that would be another row's if it were cut to a byte. */
    char name[256 + 4];
    memset(name, 'h', sizeof name);
    name[sizeof name - 1] = 't';
    assert_int_equal(http_field_id(slice_of(name, sizeof name)), HF_OTHER);
}

static void test_add_grows_and_keeps_order(void **state)
{
    (void)state;
    struct arena a;
    struct http_fields f = {0};
    char names[100][16];
    test_arena(&a);
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        add(&f, &a, names[i], "value");
    }
    assert_int_equal(f.n, 100);
    for (int i = 0; i < 100; i++)
        check_text("order", f.v[i].name, names[i]);
    assert_false(http_fields_add(&f, &a, 100, SLICE("one"), SLICE("more")));
    assert_int_equal(f.n, 100);
    arena_reset(&a);
}

static void test_add_fails_without_room(void **state)
{
    (void)state;
    struct arena a;
    struct http_fields f = {0};
    full_arena(&a);
    assert_false(http_fields_add(&f, &a, 100, SLICE("a"), SLICE("b")));
    assert_int_equal(f.n, 0);
}

static void test_lookups(void **state)
{
    (void)state;
    struct arena a;
    struct http_fields f = {0};
    test_arena(&a);
    assert_null(http_fields_get(&f, HF_HOST));
    add(&f, &a, "Accept", "first");
    add(&f, &a, "X-Own", "own");
    add(&f, &a, "ACCEPT", "second");
    add(&f, &a, "Age", "");
    assert_ptr_equal(http_fields_get(&f, HF_ACCEPT), &f.v[0]);
    check_text("first of two", http_fields_value(&f, HF_ACCEPT), "first");
    check_text("empty but there", http_fields_value(&f, HF_AGE), "");
    check_text("missing", http_fields_value(&f, HF_DATE), NULL);
    assert_int_equal(http_fields_count(&f, HF_ACCEPT), 2);
    assert_int_equal(http_fields_count(&f, HF_DATE), 0);
    assert_ptr_equal(http_fields_find(&f, SLICE("x-own")), &f.v[1]);
    assert_ptr_equal(http_fields_find(&f, SLICE("accept")), &f.v[0]);
    assert_null(http_fields_find(&f, SLICE("x-ow")));
    arena_reset(&a);
}

static void test_token_and_value(void **state)
{
    (void)state;
    assert_true(http_is_token(SLICE("X-a_b.c~1")));
    assert_false(http_is_token(SLICE("")));
    assert_false(http_is_token(SLICE("a b")));
    assert_false(http_is_token(SLICE("a:")));
    assert_false(http_is_token(SLICE("\xc3\xa4")));
    assert_true(http_is_field_value(SLICE("")));
    assert_true(http_is_field_value(SLICE("a\tb \xff~")));
    assert_false(http_is_field_value(SLICE("a\0b")));
    assert_false(http_is_field_value(SLICE("a\rb")));
    assert_false(http_is_field_value(SLICE("a\nb")));
    assert_false(http_is_field_value(SLICE("a\x7f")));
}

struct list_row {
    const char *list;
    const char *elements[5];
};

static void check_split(const struct list_row *row, bool (*next)(struct slice *, struct slice *))
{
    struct slice list = slice_str(row->list), element;
    size_t i = 0;
    for (; next(&list, &element); i++) {
        assert_true(i < 4 && row->elements[i]);
        check_text(row->list, element, row->elements[i]);
    }
    assert_null(row->elements[i]);
}

static void test_list_elements(void **state)
{
    (void)state;
    static const struct list_row rows[] = {
        {"", {NULL}},
        {" , ,\t,", {NULL}},
        {"a", {"a"}},
        {"a,b", {"a", "b"}},
        {" a ,\tb\t, ,c ", {"a", "b", "c"}},
        {"a;x=\"1,2\",b", {"a;x=\"1,2\"", "b"}},
        {"\"a\\\",b\",c", {"\"a\\\",b\"", "c"}},
        {"\"\\\\\",b", {"\"\\\\\"", "b"}},
        {"a\\,b", {"a\\", "b"}},
        {"\"never closed, b", {"\"never closed, b"}},
        {"\"ends in a backslash\\", {"\"ends in a backslash\\"}},
        {"a,b,", {"a", "b"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_split(&rows[i], http_list_next);
    struct slice none = {NULL, 0}, element;
    assert_false(http_list_next(&none, &element));
}

static void test_params(void **state)
{
    (void)state;
    static const struct list_row rows[] = {
        {"text/html", {"text/html"}},
        {"text/html ; q=0.5;level=1", {"text/html", "q=0.5", "level=1"}},
        {"a;b=\"x;y\";c", {"a", "b=\"x;y\"", "c"}},
        {";;", {NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_split(&rows[i], http_params_next);
}

struct collected {
    char text[64];
    int stop_after;
};

static bool collect(void *arg, struct slice element)
{
    struct collected *c = arg;
    size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof c->text - n, "[%.*s]", SLICE_ARG(element));
    return --c->stop_after != 0;
}

static void test_each_element_over_lines(void **state)
{
    (void)state;
    struct arena a;
    struct http_fields f = {0};
    test_arena(&a);
    add(&f, &a, "Accept", "a, b");
    add(&f, &a, "Host", "x, y");
    add(&f, &a, "accept", "");
    add(&f, &a, "Accept", "c");
    struct collected all = {.stop_after = -1}, two = {.stop_after = 2};
    http_fields_each_element(&f, HF_ACCEPT, collect, &all);
    assert_string_equal(all.text, "[a][b][c]");
    http_fields_each_element(&f, HF_ACCEPT, collect, &two);
    assert_string_equal(two.text, "[a][b]");
    arena_reset(&a);
}

static void test_end_to_end(void **state)
{
    (void)state;
    static const char *const kept[] = {"Host", "Accept", "X-Own", "Proxy", "Tea", "Keep-Alives"};
    static const char *const dropped[] = {
        "Connection",
        "keep-alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Connection",
        "Proxy-Authorization",
        "proxy-authenticate",
        "X-Hop",
        "x-SECOND",
    };
    struct arena a;
    struct http_fields f = {0};
    test_arena(&a);
    add(&f, &a, "Connection", "close, X-Hop");
    add(&f, &a, "Accept", "Host");
    add(&f, &a, "connection", "x-second");
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        add(&f, &a, kept[i], "");
        assert_true(http_field_is_end_to_end(&f, &f.v[f.n - 1]));
    }
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        add(&f, &a, dropped[i], "");
        assert_false(http_field_is_end_to_end(&f, &f.v[f.n - 1]));
    }
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_found_in_any_case),
        cmocka_unit_test(test_other_names_have_no_id),
        cmocka_unit_test(test_add_grows_and_keeps_order),
        cmocka_unit_test(test_add_fails_without_room),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_token_and_value),
        cmocka_unit_test(test_list_elements),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_each_element_over_lines),
        cmocka_unit_test(test_end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
