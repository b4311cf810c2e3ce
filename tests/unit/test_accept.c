#include "daemon/http/accept.c"

#include "http_test.h"

#define INDEX "application/vnd.oci.image.index.v1+json"

struct accept_row {
    const char *lines[2];
    bool accepted;
};

static void test_accepts(void **state)
{
    (void)state;
    static const struct accept_row rows[] = {
        {{NULL}, false},
        {{""}, false},
        {{INDEX}, true},
        {{"APPLICATION/vnd.oci.image.INDEX.v1+json"}, true},
        {{"text/html, " INDEX ";q=0.1"}, true},
        {{"text/html", INDEX}, true},
        {{"text/html"}, false},
        {{"application/vnd.oci.image.index.v1"}, false},
        {{INDEX "x"}, false},
        {{"*/*"}, true},
        {{"application/*"}, true},
        {{"APPLICATION/*"}, true},
        {{"text/*"}, false},
        {{"app/*"}, false},
        {{"*"}, false},
        {{"*/json"}, false},
        {{INDEX ";q=0"}, false},
        {{INDEX "; Q=0.000"}, false},
        {{INDEX ";q=0."}, false},
        {{INDEX ";q=0.001"}, true},
        {{INDEX ";q=1"}, true},
        {{INDEX ";q=00"}, true},
        {{INDEX ";quality=0"}, true},
        {{INDEX ";profile=\"a;q=0,b\""}, true},
        {{INDEX ";profile=\"a\";q=0"}, false},
        /* The closest range decides, whatever the order. */
        {{"*/*, " INDEX ";q=0"}, false},
        {{INDEX ";q=0", "*/*"}, false},
        {{"*/*;q=0, " INDEX}, true},
        {{"application/*;q=0, */*"}, false},
        {{"*/*, application/*;q=0"}, false},
        {{INDEX ";q=0, " INDEX}, true},
        {{INDEX, INDEX ";q=0"}, true},
        {{";q=0, */*"}, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena a;
        struct http_fields f = {0};
        test_arena(&a);
        assert_true(http_fields_add(&f, &a, 9, SLICE("Content-Type"), SLICE(INDEX)));
        for (int line = 0; line < 2 && rows[i].lines[line]; line++)
            assert_true(
                http_fields_add(&f, &a, 9, SLICE("Accept"), slice_str(rows[i].lines[line])));
        if (http_accepts(&f, SLICE(INDEX)) != rows[i].accepted)
            fail_msg("row %zu (%s) is judged wrong", i, rows[i].lines[0]);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
