#include "daemon/upstream/tokens.c"

#include "upstream_kit.h"

enum { T0 = 1000 };

/* A table, and waiters on a reactor of their own. */
struct fixture {
    struct tokens *tokens;
    struct reactor *reactor;
    struct arena arena;
    struct token_waiter waiter;
    unsigned told;
    struct timer end;
};

static struct fixture *fixture_of_waiter(struct token_waiter *w)
{
    return container_of(w, struct fixture, waiter);
}

static void on_outcome(struct token_waiter *w)
{
    fixture_of_waiter(w)->told++;
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    x->tokens = tokens_new();
    assert_int_equal(reactor_new(&x->reactor, NULL), ERR_OK);
    arena_init(&x->arena, NULL, 0, 1 << 20);
    x->waiter.home = x->reactor;
    x->waiter.on_outcome = on_outcome;
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    tokens_free(&x->tokens);
    reactor_free(&x->reactor);
    arena_reset(&x->arena);
    free(x);
    return 0;
}

static struct token_key key_of(unsigned n)
{
    struct token_key k = {.id = {0}};
    memcpy(k.id, &n, sizeof n);
    return k;
}

static enum token_state take(struct fixture *x, unsigned n, int64_t now, struct slice *token)
{
    struct token_key k = key_of(n);
    return tokens_take(x->tokens, &k, now, &x->waiter, &x->arena, token);
}

static void put(struct fixture *x, unsigned n, int64_t now, const char *token, int64_t lifetime)
{
    struct token_key k = key_of(n);
    tokens_put(x->tokens, &k, now, slice_str(token), lifetime);
}

static void fail_with(struct fixture *x, unsigned n, enum token_outcome outcome)
{
    struct token_key k = key_of(n);
    tokens_fail(x->tokens, &k, outcome);
}

static void check_take(struct fixture *x, unsigned n, int64_t now, enum token_state state,
                       const char *token)
{
    struct slice got;
    assert_int_equal(take(x, n, now, &got), state);
    assert_int_equal(got.p != NULL, token != NULL);
    assert_true(slice_eq(got, slice_str(token)));
}

static void end_loop(struct timer *t)
{
    reactor_stop(container_of(t, struct fixture, end)->reactor);
}

/* Lets the mail run that is there. */
static void run_mail(struct fixture *x)
{
    timer_init(&x->end, x->reactor, end_loop);
    timer_set(&x->end, 20);
    reactor_run(x->reactor);
}

static void test_one_leads_and_others_get_it(void **state)
{
    struct fixture *x = *state;
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    check_take(x, 1, T0, TOKEN_WAIT, NULL);
    put(x, 1, T0, "abc", 100);
    assert_int_equal(x->told, 0); /* by mail, not from within */
    run_mail(x);
    assert_int_equal(x->told, 1);
    assert_int_equal(x->waiter.outcome, TOKEN_HERE);
    check_take(x, 1, T0 + 84999, TOKEN_READY, "abc");
    check_take(x, 2, T0, TOKEN_LEAD, NULL);
}

static void test_renewed_early_by_one(void **state)
{
    struct fixture *x = *state;
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    put(x, 1, T0, "abc", 100);
    check_take(x, 1, T0 + 85000, TOKEN_LEAD, "abc");
    check_take(x, 1, T0 + 85000, TOKEN_READY, "abc");
    fail_with(x, 1, TOKEN_FAILED);
    check_take(x, 1, T0 + 99999, TOKEN_LEAD, "abc");
    put(x, 1, T0 + 99999, "def", 100);
    check_take(x, 1, T0 + 100000, TOKEN_READY, "def");
}

static void test_never_given_when_dead(void **state)
{
    struct fixture *x = *state;
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    put(x, 1, T0, "abc", 100);
    check_take(x, 1, T0 + 100000, TOKEN_LEAD, NULL);
    check_take(x, 1, T0 + 100000, TOKEN_WAIT, NULL);
    fail_with(x, 1, TOKEN_REFUSED);
    run_mail(x);
    assert_int_equal(x->waiter.outcome, TOKEN_REFUSED);
}

static void test_leadership_passes_on(void **state)
{
    struct fixture *x = *state;
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    check_take(x, 1, T0, TOKEN_WAIT, NULL);
    fail_with(x, 1, TOKEN_DROPPED);
    run_mail(x);
    assert_int_equal(x->waiter.outcome, TOKEN_DROPPED);
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    assert_int_equal(x->tokens->n, 1);
    fail_with(x, 1, TOKEN_FAILED);
    assert_int_equal(x->tokens->n, 0);
}

static void test_drop_spares_a_newer_one(void **state)
{
    struct fixture *x = *state;
    struct token_key k = key_of(1);
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    put(x, 1, T0, "new", 100);
    tokens_drop(x->tokens, &k, SLICE("old"));
    check_take(x, 1, T0, TOKEN_READY, "new");
    tokens_drop(x->tokens, &k, SLICE("new"));
    assert_int_equal(x->tokens->n, 0);
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    tokens_drop(x->tokens, &k, SLICE("new"));
    check_take(x, 1, T0, TOKEN_WAIT, NULL);
    assert_true(tokens_leave(x->tokens, &k, &x->waiter));
}

static void test_leaving(void **state)
{
    struct fixture *x = *state;
    struct token_key k = key_of(1);
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    check_take(x, 1, T0, TOKEN_WAIT, NULL);
    assert_true(tokens_leave(x->tokens, &k, &x->waiter));
    assert_false(tokens_leave(x->tokens, &k, &x->waiter));
    put(x, 1, T0, "abc", 100);
    run_mail(x);
    assert_int_equal(x->told, 0);
}

static void test_leaving_too_late(void **state)
{
    struct fixture *x = *state;
    struct token_key k = key_of(1);
    check_take(x, 1, T0, TOKEN_LEAD, NULL);
    check_take(x, 1, T0, TOKEN_WAIT, NULL);
    put(x, 1, T0, "abc", 100);
    assert_false(tokens_leave(x->tokens, &k, &x->waiter));
    run_mail(x);
    assert_int_equal(x->told, 1);
}

static void test_number_is_bounded(void **state)
{
    struct fixture *x = *state;
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        check_take(x, i, T0, TOKEN_LEAD, NULL);
        put(x, i, T0, "abc", i == 7 ? 100 : 200);
    }
    /* The one that would die first makes room. */
    check_take(x, TOKENS_MAX, T0, TOKEN_LEAD, NULL);
    assert_int_equal(x->tokens->n, TOKENS_MAX);
    check_take(x, 8, T0, TOKEN_READY, "abc");
    put(x, TOKENS_MAX, T0, "abc", 200);
    check_take(x, 7, T0, TOKEN_LEAD, NULL);
}

static void test_full_of_running_requests(void **state)
{
    struct fixture *x = *state;
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        check_take(x, i, T0, TOKEN_LEAD, NULL);
    check_take(x, TOKENS_MAX, T0, TOKEN_FULL, NULL);
    put(x, TOKENS_MAX, T0, "abc", 100); /* nobody's: forgotten */
    assert_int_equal(x->tokens->n, TOKENS_MAX);
}

static void test_key_depends_on_everything(void **state)
{
    (void)state;
    unsigned ports[] = {1, 2};
    struct upstream_set *plain = set_of(ports, 2, false), *account = set_of(ports, 1, true);
    struct slice r = SLICE("realm"), s = SLICE("service"), c = SLICE("scope");
    struct token_key k[7], same;
    token_key_make(&k[0], &plain->v[0], r, s, c);
    token_key_make(&k[1], &plain->v[1], r, s, c);
    token_key_make(&k[2], &account->v[0], r, s, c);
    token_key_make(&k[3], &plain->v[0], SLICE("realms"), SLICE("ervice"), c);
    token_key_make(&k[4], &plain->v[0], r, SLICE("services"), SLICE("cope"));
    token_key_make(&k[5], &plain->v[0], r, s, SLICE("scope2"));
    token_key_make(&k[6], &plain->v[0], r, s, SLICE(""));
    token_key_make(&same, &plain->v[0], r, s, c);
    assert_memory_equal(k[0].id, same.id, sizeof same.id);
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(k[i].id, k[j].id, sizeof same.id);
    upstream_set_free(&plain);
    upstream_set_free(&account);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_leads_and_others_get_it),
        TEST(test_renewed_early_by_one),
        TEST(test_never_given_when_dead),
        TEST(test_leadership_passes_on),
        TEST(test_drop_spares_a_newer_one),
        TEST(test_leaving),
        TEST(test_leaving_too_late),
        TEST(test_number_is_bounded),
        TEST(test_full_of_running_requests),
        cmocka_unit_test(test_key_depends_on_everything),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
