/*
 * Random interleavings of guests, faults of the upstream and departures, from fixed seeds. Whatever
 * happens: nobody completes a wrong body, nothing wrong is stored, every fill ends.
 */
#include "engine_kit.h"

enum { ROUNDS = 6, OBJECTS = 50, GUESTS_EACH = 3, SIZE_MAX_EACH = 70000, CASTS = 3 };

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

static struct act random_act(size_t n)
{
    struct act a = {.framing = (enum framing)dice(3)};
    switch (dice(8)) {
    case 0:
        a.wrong = true;
        break;
    case 1:
        a.whole = true;
        break;
    case 2:
        a.shift = 1 + dice(5);
        break;
    case 3:
        a.no_digest = true;
        break;
    case 4:
    case 5:
        a.until = n ? dice((unsigned)n) : 0;
        a.ending = dice(2) ? CUTS : RESETS;
        break;
    default:
        break;
    }
    return a;
}

static struct origin objects[OBJECTS];
static unsigned completed, broken_off;

static void open_round(unsigned round)
{
    begin(1);
    for (unsigned i = 0; i < OBJECTS; i++) {
        struct act acts[CASTS + 1];
        size_t n = dice(4) ? dice(SIZE_MAX_EACH) : dice(3);
        memset(acts, 0, sizeof acts);
        origin_init(&objects[i], 1000 * round + i + 2, n);
        for (int k = 0; k < CASTS; k++)
            acts[k] = random_act(n);
        origin_script(&objects[i], acts, CASTS + 1);
        objects[i].next = i + 1 < OBJECTS ? &objects[i + 1] : NULL;
    }
    the_origin.next = &objects[0]; /* before the first request */
}

static void check_guest(struct guest *g, struct origin *o)
{
    guest_wait_end(g);
    if (!seen(g, complete)) {
        broken_off++;
        return;
    }
    completed++;
    if (g->lookup.head_only)
        return;
    size_t end = g->end ? (size_t)g->end : o->n;
    assert_int_equal(g->n, end - g->first);
    if (g->n)
        assert_memory_equal(g->body, o->bytes + g->first, g->n);
    assert_int_equal(g->readies, 1);
}

static struct guest *random_guest(struct origin *o)
{
    struct guest *g = new_guest((int)dice(SEATS), wants_blob);
    wants_blob(g, o);
    g->lookup.head_only = dice(10) == 0;
    if (o->n > 1 && dice(3) == 0) {
        g->first = dice((unsigned)o->n - 1);
        g->end = g->first + 1 + dice((unsigned)(o->n - g->first));
    }
    return g;
}

static void play_round(void)
{
    static struct guest *guests[OBJECTS][GUESTS_EACH];
    for (int k = 0; k < GUESTS_EACH; k++) {
        for (int i = 0; i < OBJECTS; i++) {
            guests[i][k] = random_guest(&objects[i]);
            guest_enter(guests[i][k]);
            if (k && dice(3) == 0)
                guest_leave(guests[i][k - 1]);
        }
    }
    for (int i = 0; i < OBJECTS; i++)
        for (int k = 0; k < GUESTS_EACH; k++)
            if (guests[i][k]->present)
                check_guest(guests[i][k], &objects[i]);
    site_settle(&the_site);
    for (int i = 0; i < OBJECTS; i++)
        assert_int_not_equal(stored_for(guests[i][0], &objects[i]), STORED_WRONG);
}

static void test_500_objects_in_a_storm(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        dice_state = 20261122 + round;
        open_round(round);
        play_round();
        kit_end(NULL);
        for (int i = 0; i < OBJECTS; i++)
            origin_free(&objects[i]);
    }
    /* It was a storm, and most came through. */
    assert_in_range(broken_off, 20, completed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_500_objects_in_a_storm, kit_end),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
