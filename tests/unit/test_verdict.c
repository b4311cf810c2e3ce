#include "daemon/upstream/verdict.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    struct verdict_input in;
    enum verdict verdict;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (verdict_of(&rows[i].in) != rows[i].verdict)
            fail_msg("row %zu, status %d: got %d", i, rows[i].in.status,
                     (int)verdict_of(&rows[i].in));
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

/* {status, has_location, own_origin, conditional} */
static void test_answers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{200, false, true, false}, VERDICT_FINAL},
        {{206, false, false, false}, VERDICT_FINAL},
        {{204, true, true, false}, VERDICT_FINAL},
        {{304, false, true, true}, VERDICT_FINAL},
        {{416, false, true, false}, VERDICT_FINAL},
        {{404, false, true, false}, VERDICT_NEGATIVE},
        {{410, false, true, false}, VERDICT_NEGATIVE},
        {{400, false, true, false}, VERDICT_NEGATIVE},
        {{404, false, false, false}, VERDICT_NEGATIVE},
        {{451, false, true, false}, VERDICT_NEGATIVE},
    };
    CHECK(rows);
}

static void test_failures(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{429, false, true, false}, VERDICT_FAILURE}, {{500, false, true, false}, VERDICT_FAILURE},
        {{503, true, true, false}, VERDICT_FAILURE},  {{599, false, true, false}, VERDICT_FAILURE},
        {{408, false, true, false}, VERDICT_FAILURE}, {{407, false, true, false}, VERDICT_FAILURE},
        {{304, false, true, false}, VERDICT_FAILURE}, {{300, true, true, false}, VERDICT_FAILURE},
        {{305, true, true, false}, VERDICT_FAILURE},  {{999, false, true, false}, VERDICT_FAILURE},
    };
    CHECK(rows);
}

static void test_redirects_need_a_location(void **state)
{
    (void)state;
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct row rows[] = {{{statuses[i], true, true, false}, VERDICT_REDIRECT},
                             {{statuses[i], false, true, false}, VERDICT_FAILURE}};
        CHECK(rows);
    }
}

/* What a storage service says of a link is no word of the upstream. */
static void test_refusals_count_from_the_upstream_only(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{401, false, true, false}, VERDICT_CHALLENGE},
        {{403, false, true, false}, VERDICT_CHALLENGE},
        {{401, false, false, false}, VERDICT_FAILURE},
        {{403, false, false, false}, VERDICT_FAILURE},
    };
    CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_redirects_need_a_location),
        cmocka_unit_test(test_refusals_count_from_the_upstream_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
