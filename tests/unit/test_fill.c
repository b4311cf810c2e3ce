#include "daemon/cache/fill.c"

#include "engine_kit.h"

enum { SMALL = 5000, LARGE = 300000 };

static void test_a_blob_is_delivered_and_stored(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, SMALL, STORE_INLINE_MAX, STORE_INLINE_MAX + 1, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct origin o;
        struct site s;
        struct guest g;
        origin_init(&o, 1, sizes[i]);
        site_open(&s, &(struct site_options){.origins = &o});
        guest_init(&g, &s, 0);
        guest_wants_blob(&g, &o);
        guest_enter(&g);
        check_body_of(&g, &o);
        guest_leave(&g);
        site_settle(&s);
        assert_int_equal(stored_for(&g, &o), STORED_RIGHT);
        assert_int_equal(origin_got(&o), 1);
        site_end(&s);
        origin_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_blob_is_delivered_and_stored),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
