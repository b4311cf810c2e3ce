#include "daemon/protocol/oci_link.c"

#include "http_test.h"

#define OWN "/v2/a/b/tags/list"

struct link_case {
    const char *path;  /* of the plan */
    const char *query; /* of the plan */
    const char *value;
    const char *want; /* NULL: left out */
};

static const struct link_case link_cases[] = {
    {OWN, "", "</v2/a/b/tags/list?last=x&n=2>; rel=\"next\"",
     "</v2/a/b/tags/list?last=x&n=2>; rel=\"next\""},
    {OWN, "", "<https://far.test/prefix/v2/a/b/tags/list?n=2&last=x>; rel=next",
     "</v2/a/b/tags/list?n=2&last=x>; rel=\"next\""},
    {OWN, "", "<?n=2&last=x>;rel=\"next\"", "</v2/a/b/tags/list?n=2&last=x>; rel=\"next\""},
    {OWN, "", "<list?n=2#part>; title=\"a;b\"; REL=\"NEXT\"",
     "</v2/a/b/tags/list?n=2>; rel=\"next\""},
    {OWN, "", "<?a>; rel=\"prev\", <?n=2>; rel=\"next\"", "</v2/a/b/tags/list?n=2>; rel=\"next\""},
    {OWN, "", "<?a,b>, <?n=2>; rel=\"next\"", "</v2/a/b/tags/list?n=2>; rel=\"next\""},
    {OWN, "ns=one.test%3A1", "</v2/a/b/tags/list?n=2&ns=evil>; rel=\"next\"",
     "</v2/a/b/tags/list?n=2&ns=one.test%3A1>; rel=\"next\""},
    {"/v2/one.test/a/b/tags/list", "", "</v2/a/b/tags/list?next_page=q%3D>; rel=\"next\"",
     "</v2/one.test/a/b/tags/list?next_page=q%3D>; rel=\"next\""},
    {OWN, "", "<?n=2>; rel=\"prev\"", NULL},
    {OWN, "", "<?n=2>", NULL},
    {OWN, "", "", NULL},
    {OWN, "", "?n=2; rel=\"next\"", NULL},
    {OWN, "", "<?n=2; rel=\"next\"", NULL},
    {OWN, "", "</v2/a/b/tags/list>; rel=\"next\"", NULL},
    {OWN, "", "</v2/a/b/tags/list?ns=x>; rel=\"next\"", NULL},
    {OWN, "", "</v2/a/b/tags/page?n=2>; rel=\"next\"", NULL},
    {OWN, "", "<?n=2 3>; rel=\"next\"", NULL},
    {OWN, "", "<?n=\"<>; rel=\"next\"", NULL},
};

static void test_links_lead_back_here(void **state)
{
    struct arena a;

    (void)state;
    test_arena(&a);
    for (size_t i = 0; i < sizeof link_cases / sizeof link_cases[0]; i++) {
        const struct link_case *c = &link_cases[i];
        const struct plan plan = {.link_path = slice_str(c->path),
                                  .link_query = slice_str(c->query)};
        check_text(c->value, oci_rewrite_link(&plan, &a, slice_str(c->value)), c->want);
    }
    arena_reset(&a);
}

/* Neither with no room at all nor with room for the query only. */
static void test_without_room_the_field_is_left_out(void **state)
{
    const struct plan plan = {.link_path = SLICE(OWN)};

    (void)state;
    for (size_t cap = 0; cap <= 16; cap += 16) {
        struct arena a;
        arena_init(&a, NULL, 0, cap);
        assert_null(oci_rewrite_link(&plan, &a, SLICE("<?n=2>; rel=\"next\"")).p);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_lead_back_here),
        cmocka_unit_test(test_without_room_the_field_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
