#include "daemon/protocol/refusal.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_a_refusal_is_a_plan(void **state)
{
    (void)state;
    struct plan plan = {.kind = PLAN_CACHED};
    assert_true(plan_refuse(&plan, PLAN_ERR_METHOD, SLICE("why")));
    assert_int_equal(plan.kind, PLAN_REFUSED);
    assert_int_equal(plan.refusal, PLAN_ERR_METHOD);
    assert_true(slice_eq(plan.refusal_detail, SLICE("why")));
}

static void test_a_text_says_what_and_why(void **state)
{
    (void)state;
    struct arena a;
    struct plan_page page;
    arena_init(&a, NULL, 0, 64 * 1024);
    refusal_text(&a, 403, "no", SLICE("because"), SLICE("Allow: GET\r\n"), &page);
    assert_int_equal(page.status, 403);
    assert_true(slice_eq(page.body, SLICE("no: because\n")));
    assert_true(slice_eq(page.fields, SLICE("Allow: GET\r\n")));
    refusal_text(&a, 404, "no", SLICE(""), SLICE(""), &page);
    assert_true(slice_eq(page.body, SLICE("no\n")));
    arena_reset(&a);
}

static void test_a_long_detail_is_cut(void **state)
{
    (void)state;
    struct arena a;
    struct plan_page page;
    static char detail[3 * DETAIL_MAX];
    arena_init(&a, NULL, 0, 64 * 1024);
    memset(detail, 'x', sizeof detail);
    refusal_text(&a, 404, "no", slice_of(detail, sizeof detail), SLICE(""), &page);
    assert_int_equal(page.body.n, strlen("no: \n") + DETAIL_MAX);
    arena_reset(&a);
}

static void test_without_room_there_is_still_an_answer(void **state)
{
    (void)state;
    struct arena a;
    struct plan_page page;
    arena_init(&a, NULL, 0, 1);
    refusal_text(&a, 404, "no", SLICE("because"), SLICE(""), &page);
    assert_int_equal(page.status, 404);
    assert_true(slice_eq(page.body, SLICE("out of room\n")));
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refusal_is_a_plan),
        cmocka_unit_test(test_a_text_says_what_and_why),
        cmocka_unit_test(test_a_long_detail_is_cut),
        cmocka_unit_test(test_without_room_there_is_still_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
