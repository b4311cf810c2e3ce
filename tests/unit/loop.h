/* A reactor in the test's own thread that runs for a bounded time. */
#ifndef YT_TESTS_LOOP_H
#define YT_TESTS_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/reactor.h"

enum { LOOP_WAIT_S = 10 };

struct loop {
    struct reactor *reactor;
    struct timer guard;
};

static inline void loop_too_long(struct timer *t)
{
    (void)t;
    fail_msg("nothing came within %d seconds", LOOP_WAIT_S);
}

static inline void loop_open(struct loop *l)
{
    assert_int_equal(reactor_new(&l->reactor, NULL), ERR_OK);
    timer_init(&l->guard, l->reactor, loop_too_long);
    timer_set(&l->guard, LOOP_WAIT_S * 1000);
}

static inline void loop_close(struct loop *l)
{
    timer_clear(&l->guard);
    reactor_free(&l->reactor);
}

#endif
