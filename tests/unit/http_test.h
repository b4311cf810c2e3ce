/* What the unit tests of daemon/http share. */
#ifndef YT_TESTS_HTTP_TEST_H
#define YT_TESTS_HTTP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

/* Fails with both texts, and the row of a table that was looked at. */
static inline void check_slice(const char *row, struct slice got, struct slice want)
{
    if (!slice_eq(got, want))
        fail_msg("%s: got \"%.*s\", want \"%.*s\"", row, (int)got.n, got.p ? got.p : "",
                 (int)want.n, want.p ? want.p : "");
}

/* `want` NULL: a slice that is not there. */
static inline void check_text(const char *row, struct slice got, const char *want)
{
    if ((got.p == NULL) != (want == NULL))
        fail_msg("%s: a slice is there or missing where the opposite is right", row);
    check_slice(row, got, slice_str(want));
}

/* An arena of the test's own that grows as a request's does. */
static inline void test_arena(struct arena *a)
{
    arena_init(a, NULL, 0, 1024 * 1024);
}

/* An arena that has no room at all. */
static inline void full_arena(struct arena *a)
{
    arena_init(a, NULL, 0, 0);
}

#endif
