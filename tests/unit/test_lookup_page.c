#include "daemon/cache/lookup_page.c"

#include "page_kit.h"

/* --- what is made from a source: as fresh, as stale, and as wrong as that --- */

/* The page as it was, and what was made of it, are held and old. */
static void begin_stale(size_t n)
{
    begin_pages(n);
    serve_made(0, wants_made);
    the_site.route.ttl_ms = 0;
}

static void test_an_unchanged_source_costs_no_body_and_no_making(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_stale(sizes[i]);
        struct guest *g = serve_made(1, wants_made);
        assert_string_equal(g->cache_status.fwd, "stale");
        assert_int_equal(g->cache_status.fwd_status, 304);
        assert_true(g->answer.seekable && g->answer.has_size);
        assert_int_equal(g->answer.age_s, 0);
        the_site.route.ttl_ms = 60000;
        assert_true(serve_made(0, wants_made)->cache_status.hit);
        assert_int_equal(origin_got(&the_page), 2);
        pages_end(NULL);
    }
}

static void test_a_changed_source_is_made_anew(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_stale(sizes[i]);
        page_put(&the_page, 2, sizes[1 - i], "");
        struct guest *g = serve_made(1, wants_made);
        assert_string_equal(g->cache_status.fwd, "stale");
        the_site.route.ttl_ms = 60000;
        struct guest *again = serve_made(0, wants_made);
        assert_true(again->cache_status.hit);
        assert_string_equal(again->etag, g->etag);
        assert_int_equal(stored_under("made/page", MADE_VARIANT, capitals_of(&the_page)),
                         STORED_RIGHT);
        pages_end(NULL);
    }
}

/* Law 5; what was made before, and what was not. */
static void test_a_failing_upstream_serves_the_stale_source(void **state)
{
    (void)state;
    static const struct act failures[] = {
        {.status = 500}, {.status = 429}, {.raw = "garbage\r\n\r\n"}};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        begin_stale(LARGE);
        origin_script(&the_page, &failures[i], 1);
        struct guest *g = enter(1, wants_made);
        check_made_of(g, &the_page);
        assert_true(g->answer.stale_because_of_failure);
        assert_true(g->cache_status.hit && g->cache_status.ttl < 0);
        g = enter(0, wants_made_gzip);
        guest_wait_end(g);
        assert_true(g->complete && g->cache_status.hit);
        assert_true(g->answer.stale_because_of_failure);
        pages_end(NULL);
    }
}

static void test_a_source_that_is_too_old_is_no_source(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.stale_for_ms = 0;
    kit_sleep(2);
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    check_error(enter(1, wants_made), PLAN_ERR_UPSTREAM);
    origin_script(&the_page, &honest, 1);
    serve_made(0, wants_made);
}

/* Law 4: neither the page nor what was made of it is lost. */
static void test_a_source_that_becomes_malformed_changes_nothing(void **state)
{
    (void)state;
    static const size_t flaws[] = {10, LARGE - 10};
    for (int i = 0; i < 2; i++) {
        begin_stale(LARGE);
        struct origin old;
        page_open(&old, "", 1, LARGE);
        page_spoil(&the_page, 2, LARGE, flaws[i]);
        for (int round = 0; round < 2; round++) {
            struct guest *g = enter(1, wants_made);
            check_made_of(g, &old);
            assert_true(g->answer.stale_because_of_failure);
            guest_leave(g);
            site_settle(&the_site);
        }
        assert_int_equal(stored_under("page", "plain", &old), STORED_RIGHT);
        assert_int_equal(stored_under("made/page", MADE_VARIANT, capitals_of(&old)), STORED_RIGHT);
        origin_free(&old);
        pages_end(NULL);
    }
}

static void test_a_source_that_breaks_off_in_a_refresh_changes_nothing(void **state)
{
    (void)state;
    begin_stale(LARGE);
    struct origin old;
    page_open(&old, "", 1, LARGE);
    page_put(&the_page, 2, LARGE, "");
    origin_script(
        &the_page,
        &(struct act){.framing = BY_CHUNKS, .until = 200000, .ending = CUTS, .no_etag = true}, 1);
    check_made_of(enter(1, wants_made), &old);
    origin_free(&old);
}

static void test_patience_with_a_source_is_the_route_s(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.patience_ms = 200;
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    int64_t began = clock_mono_ms();
    struct guest *g = enter(1, wants_made);
    check_made_of(g, &the_page);
    assert_in_range(clock_mono_ms() - began, 200 - TIMER_GRAIN_MS, KIT_LATE_MS);
    assert_true(g->answer.stale_because_of_failure);
    atomic_store(&head_gate, true);
}

static void test_a_source_that_says_nothing_is_waited_for_in_bounds(void **state)
{
    (void)state;
    begin_pages_with(SMALL, (struct site_options){.wait_timeout_ms = 100});
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    struct guest *g = enter(0, wants_made), *relay = enter(1, wants_made_relay);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_error(relay, PLAN_ERR_UPSTREAM);
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    assert_int_equal(g->readies, 1);
}

static void test_errors_are_the_source_s(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum plan_error error;
    } rows[] = {
        {404, PLAN_ERR_NOT_FOUND}, {410, PLAN_ERR_NOT_FOUND}, {401, PLAN_ERR_DENIED},
        {403, PLAN_ERR_DENIED},    {500, PLAN_ERR_UPSTREAM},  {418, PLAN_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_pages(SMALL);
        origin_script(&the_page, &(struct act){.status = rows[i].status}, 1);
        struct guest *g = enter(0, wants_made);
        check_error(g, rows[i].error);
        assert_int_equal(g->cache_status.fwd_status, rows[i].status);
        if (rows[i].error != PLAN_ERR_NOT_FOUND) {
            pages_end(NULL);
            continue;
        }
        g = enter(1, wants_made); /* remembered */
        check_error(g, PLAN_ERR_NOT_FOUND);
        assert_true(g->cache_status.hit);
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

/* Deleted upstream: believed, though what was made is held. */
static void test_the_404_of_a_held_source_is_believed(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_script(&the_page, &(struct act){.status = 404}, 1);
    check_error(enter(1, wants_made), PLAN_ERR_NOT_FOUND);
}

static void test_head_of_a_page_makes_it(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_pages(sizes[i]);
        size_t made = capitals_of(&the_page)->n;
        for (int round = 0; round < 2; round++) {
            struct guest *g = enter_for_head(round, wants_made);
            guest_wait_end(g);
            assert_int_equal(g->state, LOOKUP_ANSWER);
            assert_int_equal(g->answer.size, made);
            assert_int_equal(g->n, 0);
            guest_leave(g);
            site_settle(&the_site);
        }
        struct guest *relay = enter_for_head(0, wants_made_relay);
        guest_wait_end(relay);
        assert_int_equal(relay->state, LOOKUP_ANSWER);
        assert_int_equal(origin_got(&the_page), 2);
        pages_end(NULL);
    }
}

static void test_a_herd_costs_one_request(void **state)
{
    (void)state;
    enum { HERD = 16 };
    struct guest *g[HERD];
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    for (int i = 0; i < HERD; i++)
        g[i] = enter(i % SEATS, wants_made);
    kit_sleep(10);
    atomic_store(&head_gate, true);
    for (int i = 0; i < HERD; i++)
        check_made_of(g[i], &the_page);
    assert_int_equal(origin_got(&the_page), 1);
}

static const struct slice only_old[] = {SLICE("text/old")};

static void wants_old_form(struct guest *g, struct origin *o)
{
    static struct plan source;
    wants_made(g, o);
    source = page_plan;
    source.accepts_any = false;
    source.accepted = only_old;
    source.accepted_count = 1;
    source.alternate_variant = SLICE("old");
    source.alternate_accept = SLICE("text/old");
    g->plan.source = &source;
}

/* What is made of the source's other variant is held as something else. */
static void test_negotiation_is_the_source_s(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        begin_pages(SMALL);
        if (held)
            serve_made(0, wants_made);
        struct origin *made = capitals_of(&the_page);
        struct guest *g = served(1, wants_old_form, made);
        assert_false(g->cache_status.hit);
        assert_int_equal(origin_got(&the_page), 2);
        assert_non_null(strstr(the_site.server->heads[1], "\r\nAccept: text/old\r\n"));
        assert_int_equal(stored_under("made/page", "shout|old", made), STORED_RIGHT);
        assert_true(served(0, wants_old_form, made)->cache_status.hit);
        assert_int_equal(origin_got(&the_page), 2);
        pages_end(NULL);
    }
}

/* The last thing that its callback does may be to end the lookup, and the source's with it. */
static void test_a_guest_may_leave_with_the_answer(void **state)
{
    (void)state;
    const struct act acts[] = {{.status = 0},
                               {.status = 404},
                               {.until = 1000, .ending = CUTS, .no_etag = true},
                               {.holds_head = &head_gate}};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        begin_pages_with(SMALL, (struct site_options){.wait_timeout_ms = 200});
        origin_script(&the_page, &acts[i], 1);
        struct guest *g = new_guest(0, wants_made);
        g->goes_at_once = true;
        guest_enter(g);
        guest_wait_ready(g);
        atomic_store(&head_gate, true);
        site_settle(&the_site);
        assert_int_equal(g->readies, 1);
        pages_end(NULL);
    }
}

static void test_a_guest_may_leave_while_the_source_is_awaited(void **state)
{
    (void)state;
    begin_pages(SMALL);
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    struct guest *g = enter(0, wants_made);
    await(origin_got(&the_page) == 1);
    guest_leave(g);
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    assert_false(g->ready);
    assert_int_equal(stored_under("page", "plain", &the_page), STORED_RIGHT);
}

/* --- only what is held --- */

static void enter_for_held(struct guest *g)
{
    g->only_held = true;
    guest_enter(g);
}

static void test_who_wants_only_what_is_held_costs_no_request(void **state)
{
    (void)state;
    static wants_f *const wants[] = {wants_made, wants_made_relay, wants_file, wants_relayed_file};
    begin_file();
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        struct guest *g = new_guest(0, wants[i]);
        enter_for_held(g);
        check_error(g, PLAN_ERR_ONLY_CACHED);
    }
    assert_int_equal(server_requests(the_site.server), 0);
    serve_made(0, wants_made);
    struct guest *made = new_guest(1, wants_made);
    enter_for_held(made);
    check_made_of(made, &the_page);
    serve_file(0);
    struct guest *file = new_guest(1, wants_file);
    enter_for_held(file);
    check_body_of(file, &the_origin);
}

#define TEST(name) cmocka_unit_test_teardown(name, pages_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_unchanged_source_costs_no_body_and_no_making),
        TEST(test_a_changed_source_is_made_anew),
        TEST(test_a_failing_upstream_serves_the_stale_source),
        TEST(test_a_source_that_is_too_old_is_no_source),
        TEST(test_a_source_that_becomes_malformed_changes_nothing),
        TEST(test_a_source_that_breaks_off_in_a_refresh_changes_nothing),
        TEST(test_patience_with_a_source_is_the_route_s),
        TEST(test_a_source_that_says_nothing_is_waited_for_in_bounds),
        TEST(test_errors_are_the_source_s),
        TEST(test_the_404_of_a_held_source_is_believed),
        TEST(test_head_of_a_page_makes_it),
        TEST(test_a_herd_costs_one_request),
        TEST(test_negotiation_is_the_source_s),
        TEST(test_a_guest_may_leave_with_the_answer),
        TEST(test_a_guest_may_leave_while_the_source_is_awaited),
        TEST(test_who_wants_only_what_is_held_costs_no_request),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
