#include "daemon/http/vary.c"

#include "http_test.h"

static struct arena arena;

static int open_arena(void **state)
{
    (void)state;
    test_arena(&arena);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

/* "Name: value|Name: value" */
static struct http_fields fields_of(const char *text)
{
    struct http_fields fields = {0};
    struct slice rest = slice_str(text);
    while (rest.n) {
        size_t end = slice_find(rest, '|');
        struct slice line = slice_to(rest, end);
        size_t colon = slice_find(line, ':');
        assert_true(http_fields_add(&fields, &arena, 64, slice_to(line, colon),
                                    slice_trim(slice_from(line, colon + 1))));
        rest = slice_from(rest, end + 1);
    }
    return fields;
}

static void check_names(const char *response, const char *want)
{
    struct http_fields f = fields_of(response);
    check_text(response, http_vary_names(&arena, &f), want);
}

static void test_names_have_one_form(void **state)
{
    (void)state;
    check_names("", "");
    check_names("Vary: ", "");
    check_names("Vary: Foo", "foo");
    check_names("Vary: Foo, Bar,,bAr", "bar,foo");
    check_names("Vary: Foo|Vary: Accept, Foo-Bar", "accept,foo,foo-bar");
    check_names("Vary: fo, foo, f", "f,fo,foo");
}

static void test_what_fits_no_other_request(void **state)
{
    (void)state;
    check_names("Vary: *", "*");
    check_names("Vary: *, *", "*");
    check_names("Vary: , *", "*");
    check_names("Vary: Foo|Vary: *", "*");
    check_names("Vary: *, Foo", "*");
    check_names("Vary: a b", "*");
    check_names("Vary: \"a\"", "*");
    check_names("Vary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p");
    check_names("Vary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "*");
    check_names("Vary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,a", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p");
}

static void test_lists_joined(void **state)
{
    (void)state;
    check_text("", http_vary_join(&arena, SLICE(""), SLICE("b")), "b");
    check_text("", http_vary_join(&arena, SLICE("b,c"), SLICE("a,c")), "a,b,c");
    check_text("", http_vary_join(&arena, SLICE("a,b,c,d,e,f,g,h"), SLICE("i,j,k,l,m,n,o,p,q")),
               "*");
}

static struct slice text_of(const char *names, const char *request)
{
    struct http_fields f = fields_of(request);
    return http_vary_text(&arena, slice_str(names), &f);
}

static void check_same(const char *names, const char *left, const char *right, bool want)
{
    struct slice a = text_of(names, left), b = text_of(names, right);
    assert_non_null(a.p);
    if (slice_eq(a, b) != want)
        fail_msg("%s: \"%s\" and \"%s\" are %s", names, left, right, want ? "other" : "the same");
}

static void test_requests_that_get_the_same_answer(void **state)
{
    (void)state;
    check_same("foo", "Foo: 1", "foo: 1|bar: 2", true);
    check_same("foo", "Foo: 1,2", "Foo: 1 , 2", true);
    check_same("foo", "Foo: 1|Foo: 2", "Foo: 1, 2", true);
    check_same("accept-language", "Accept-Language: EN, de", "accept-language: en,de", true);
    check_same("", "Foo: 1", "Foo: 2", true);
}

static void test_requests_that_do_not(void **state)
{
    (void)state;
    check_same("foo", "Foo: 1", "Foo: 2", false);
    check_same("foo", "Foo: 1", "", false);
    check_same("foo", "Foo: ", "", false);
    check_same("foo", "Foo: a", "Foo: A", false);
    check_same("foo", "Foo: 1, 2", "Foo: 2, 1", false);
    check_same("bar,foo", "Foo: 1|Bar: 2", "Foo: 2|Bar: 1", false);
    check_same("bar,foo", "Bar: 1", "Bar: 1|Foo: 1", false);
    check_same("foo", "Foo: \"1,2\"", "Foo: \"1, 2\"", false);
}

/* Or one value could be written so that it looks like two fields. */
static void test_no_value_looks_like_two_fields(void **state)
{
    (void)state;
    check_same("a,b", "A: 1 b=2", "A: 1|B: 2", false);
    check_text("", text_of("a,b", "A: 1|B: 2"), "a=1\nb=2\n");
    check_text("", text_of("a,b", "B: 2"), "a\nb=2\n");
}

static void test_without_room(void **state)
{
    (void)state;
    struct arena none;
    struct http_fields f = fields_of("Vary: Foo|Foo: 1");
    full_arena(&none);
    assert_null(http_vary_names(&none, &f).p);
    assert_null(http_vary_text(&none, SLICE("foo"), &f).p);
    assert_null(http_vary_join(&none, SLICE("a"), SLICE("b")).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_have_one_form, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_what_fits_no_other_request, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_lists_joined, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_requests_that_get_the_same_answer, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(test_requests_that_do_not, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_no_value_looks_like_two_fields, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(test_without_room, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
