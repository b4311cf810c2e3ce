#include "storage/store.h"

/* What the lookup finds in the index may be put in its way by a test. */
static enum err index_lookup(struct store_reader *reader, const struct store_key *key,
                             struct arena *arena, struct store_entry *entry,
                             struct store_body *body);
#define store_lookup index_lookup
#include "daemon/cache/lookup.c"
#undef store_lookup

#include "engine_kit.h"

enum { SMALL = 5000, LARGE = 300000 };

static const struct act honest;

/* --- the index --- */

static atomic_int blind;     /* so many lookups find nothing */
static atomic_int ill;       /* so many fail */
static atomic_bool flickers; /* every other one finds nothing */

static bool take_one(atomic_int *count)
{
    if (atomic_load(count) <= 0)
        return false;
    atomic_fetch_sub(count, 1);
    return true;
}

static enum err index_lookup(struct store_reader *reader, const struct store_key *key,
                             struct arena *arena, struct store_entry *entry,
                             struct store_body *body)
{
    static atomic_uint calls;
    bool fails = take_one(&ill);
    bool is_off = atomic_load(&flickers) && atomic_fetch_add(&calls, 1) % 2 == 0;
    if (!fails && !is_off && !take_one(&blind))
        return store_lookup(reader, key, arena, entry, body);
    *entry = (struct store_entry){.status = 0};
    if (body)
        *body = (struct store_body){.fd = -1};
    return fails ? ERR_IO : ERR_NOTFOUND;
}

/* --- what is held and fresh --- */

static void test_a_hit_asks_nobody(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        serve_one(0, wants_tag);
        struct guest *g = serve_one(1, wants_tag);
        assert_true(g->cache_status.hit && g->cache_status.has_ttl);
        assert_in_range(g->cache_status.ttl, 50, 60);
        assert_null(g->cache_status.fwd);
        assert_true(g->answer.seekable);
        assert_int_equal(origin_got(&the_origin) + origin_headed(&the_origin), 1);
        kit_end(NULL);
    }
}

static void test_a_hit_is_read_from_any_place(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        serve_one(0, wants_blob);
        struct guest *g = new_guest(1, wants_blob);
        g->first = 100;
        g->end = sizes[i] - 100;
        guest_enter(g);
        check_body_of(g, &the_origin);
        kit_end(NULL);
    }
}

static void test_head_of_what_is_held_needs_no_upstream(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_blob);
    struct guest *g = enter_for_head(1, wants_blob);
    guest_wait_end(g);
    assert_true(g->cache_status.hit);
    assert_int_equal(g->answer.size, SMALL);
    assert_int_equal(origin_headed(&the_origin), 0);
}

/* A manifest is small and a GET of its digest follows: it must be found then. */
static void test_head_of_a_tag_fills_and_answers_when_it_is_stored(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.until = 100, .holds_rest = &rest_gate});
    struct guest *g = enter_for_head(0, wants_tag);
    await(origin_got(&the_origin) == 1);
    kit_sleep(20);
    assert_false(seen(g, ready));
    atomic_store(&rest_gate, true);
    guest_wait_end(g);
    assert_int_equal(g->answer.size, SMALL);
    check_body_of(enter(1, wants_tagged_digest), &the_origin);
    assert_int_equal(origin_got(&the_origin), 1);
}

/* --- what is stale --- */

static struct guest *refreshed(int seat)
{
    struct guest *g = enter(seat, wants_tag);
    guest_wait_end(g);
    site_settle(&the_site);
    return g;
}

static void begin_stale(size_t n)
{
    begin(n);
    serve_one(0, wants_tag);
    the_site.route.ttl_ms = 0;
}

static void test_an_unchanged_tag_costs_a_head(void **state)
{
    (void)state;
    begin_stale(SMALL);
    struct guest *g = refreshed(1);
    check_body_of(g, &the_origin);
    assert_int_equal(origin_headed(&the_origin), 1);
    assert_int_equal(origin_got(&the_origin), 1);
    assert_false(g->cache_status.hit);
    assert_string_equal(g->cache_status.fwd, "stale");
    assert_int_equal(g->cache_status.fwd_status, 200);
    assert_false(g->answer.stale_because_of_failure);
    the_site.route.ttl_ms = 60000;
    assert_true(refreshed(0)->cache_status.hit); /* it counts from the check */
}

static void test_a_tag_that_has_moved_is_fetched(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_change(&the_origin, 2, LARGE);
    struct guest *g = refreshed(1);
    check_body_of(g, &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

static void test_a_tag_that_moves_to_a_held_digest_costs_a_head(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_change(&the_origin, 2, SMALL);
    refreshed(1);
    origin_change(&the_origin, 1, SMALL); /* back again */
    struct guest *g = refreshed(0);
    check_body_of(g, &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

static void test_a_registry_without_head_is_asked_by_get(void **state)
{
    (void)state;
    static const struct act refusals[] = {{.status = 405}, {.status = 401}, {.no_digest = true}};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        begin_stale(SMALL);
        origin_change(&the_origin, 2, SMALL);
        origin_heads(&the_origin, refusals[i]);
        struct guest *g = refreshed(1);
        check_body_of(g, &the_origin);
        assert_int_equal(origin_got(&the_origin), 2);
        kit_end(NULL);
    }
}

static void check_served_stale(struct guest *g, int fwd_status)
{
    check_body_of(g, &the_origin);
    assert_true(g->cache_status.hit && g->cache_status.has_ttl && g->cache_status.ttl < 0);
    assert_string_equal(g->cache_status.fwd, "stale");
    assert_int_equal(g->cache_status.fwd_status, fwd_status);
    assert_true(g->answer.stale_because_of_failure);
}

/* Law 5. */
static void test_a_failure_serves_what_is_held_and_says_so(void **state)
{
    (void)state;
    static const struct {
        struct act act;
        int fwd_status;
    } rows[] = {
        {{.status = 500}, 500},
        {{.status = 429}, 429},
        {{.status = 503}, 503},
        {{.raw = "garbage\r\n\r\n"}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_stale(SMALL);
        origin_heads(&the_origin, rows[i].act);
        struct guest *g = refreshed(1);
        check_served_stale(g, rows[i].fwd_status);
        assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
        kit_end(NULL);
    }
}

/* A refresh that breaks off must not break a client for whom a copy is held (law 4). */
static void test_a_refresh_that_brings_a_broken_body_serves_what_is_held(void **state)
{
    (void)state;
    static const struct act broken[] = {
        {.wrong = true},
        {.framing = BY_CHUNKS, .until = 2000, .ending = CUTS, .no_digest = true, .no_etag = true}};
    for (int i = 0; i < 2; i++) {
        begin_stale(SMALL);
        struct guest *held = new_guest(1, wants_tag);
        struct origin old;
        origin_init(&old, 1, SMALL);
        origin_change(&the_origin, 2, SMALL);
        origin_heads(&the_origin, (struct act){.status = 405});
        origin_script(&the_origin, &broken[i], 1);
        guest_enter(held);
        check_body_of(held, &old);
        assert_true(held->answer.stale_because_of_failure);
        site_settle(&the_site);
        assert_int_equal(stored_for(held, &old), STORED_RIGHT);
        origin_free(&old);
        kit_end(NULL);
    }
}

static void test_a_copy_that_is_too_old_is_not_served(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.stale_for_ms = 0;
    kit_sleep(2);
    origin_heads(&the_origin, (struct act){.status = 500});
    check_error(enter(1, wants_tag), PLAN_ERR_UPSTREAM);
}

static void test_a_copy_that_is_too_old_is_still_compared(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.stale_for_ms = 0;
    kit_sleep(2);
    check_body_of(refreshed(1), &the_origin);
    assert_int_equal(origin_got(&the_origin), 1);
}

/* PROTOCOLS section 6: a refusal is for this cache's account; what is held is not for it. */
static void test_a_refusal_is_not_answered_with_what_is_held(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_heads(&the_origin, (struct act){.status = 401});
    SCRIPT({.status = 401});
    struct guest *g = enter(1, wants_tag);
    check_error(g, PLAN_ERR_DENIED);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* --- patience --- */

static void test_patience_ends_and_the_refresh_goes_on(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.patience_ms = 300;
    origin_heads(&the_origin, (struct act){.holds_head = &head_gate});
    int64_t began = clock_mono_ms();
    struct guest *g = enter(1, wants_tag);
    check_served_stale(g, 0);
    assert_in_range(clock_mono_ms() - began, 300 - TIMER_GRAIN_MS, 5000);
    /* Whoever comes now does not wait as long again: the refresh has had its time. */
    began = clock_mono_ms();
    check_served_stale(enter(0, wants_tag), 0);
    assert_true(clock_mono_ms() - began < 250);
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    the_site.route.ttl_ms = 60000;
    assert_true(refreshed(0)->cache_status.hit);
    assert_int_equal(origin_headed(&the_origin), 1);
}

static void test_no_patience_serves_at_once(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.patience_ms = 0;
    origin_heads(&the_origin, (struct act){.holds_head = &head_gate});
    struct guest *g = enter(1, wants_tag);
    assert_true(seen(g, ready)); /* without a turn of the loop */
    check_body_of(g, &the_origin);
    atomic_store(&head_gate, true);
}

static void test_a_little_stale_is_served_at_once_and_refreshed_beside(void **state)
{
    (void)state;
    begin_stale(SMALL);
    the_site.route.stale_while_refreshing_ms = 60000;
    struct guest *g = new_guest(1, wants_tag);
    struct origin old;
    origin_init(&old, 1, SMALL);
    origin_change(&the_origin, 2, SMALL);
    guest_enter(g);
    assert_true(seen(g, ready));
    check_body_of(g, &old);
    assert_false(g->answer.stale_because_of_failure);
    assert_true(g->cache_status.hit && g->cache_status.ttl < 0);
    assert_null(g->cache_status.fwd);
    site_settle(&the_site);
    check_body_of(enter(0, wants_tag), &the_origin);
    origin_free(&old);
}

/* --- not held --- */

static void test_an_upstream_that_says_nothing_is_waited_for_in_bounds(void **state)
{
    (void)state;
    begin_with(SMALL, (struct site_options){.wait_timeout_ms = 100});
    SCRIPT({.holds_head = &head_gate});
    int64_t began = clock_mono_ms();
    struct guest *g = enter(0, wants_blob), *other = enter(1, wants_blob);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_error(other, PLAN_ERR_UPSTREAM);
    assert_in_range(clock_mono_ms() - began, 100 - TIMER_GRAIN_MS, 5000);
    assert_true(g->retry_after_s >= 1);
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    assert_int_equal(g->readies, 1);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* The bound is on the head; a body takes as long as it takes. */
static void test_an_answer_is_given_once_however_long_its_body_takes(void **state)
{
    (void)state;
    begin_with(LARGE, (struct site_options){.wait_timeout_ms = 150});
    SCRIPT({.until = 100000, .holds_rest = &rest_gate});
    struct guest *first = enter(0, wants_blob);
    await(seen(first, n) > 0);
    struct guest *joined = enter(1, wants_blob); /* answered at once: the head is known */
    assert_true(seen(joined, ready));
    kit_sleep(300);
    assert_int_equal(seen(first, readies), 1);
    assert_int_equal(seen(joined, readies), 1);
    atomic_store(&rest_gate, true);
    check_body_of(first, &the_origin);
    check_body_of(joined, &the_origin);
}

static void test_a_404_is_remembered_for_its_time(void **state)
{
    (void)state;
    begin(SMALL);
    the_site.route.negative_ttl_ms = 150;
    SCRIPT({.status = 404}, honest);
    struct guest *g = enter(0, wants_blob);
    check_error(g, PLAN_ERR_NOT_FOUND);
    assert_int_equal(g->cache_status.fwd_status, 404);
    struct guest *again = enter(1, wants_blob);
    check_error(again, PLAN_ERR_NOT_FOUND);
    assert_true(again->cache_status.hit);
    check_error(enter_for_head(1, wants_blob), PLAN_ERR_NOT_FOUND);
    assert_int_equal(origin_got(&the_origin), 1);
    kit_sleep(170);
    check_body_of(enter(0, wants_blob), &the_origin);
}

static void test_a_failure_is_not_remembered_as_a_404(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.status = 500}, honest);
    check_error(enter(0, wants_blob), PLAN_ERR_UPSTREAM);
    site_settle(&the_site);
    check_body_of(enter(1, wants_blob), &the_origin);
}

/* Deleted upstream: believed, at the price of one question for a while. */
static void test_the_404_of_a_held_tag_is_believed_and_remembered(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_heads(&the_origin, (struct act){.status = 404});
    check_error(enter(1, wants_tag), PLAN_ERR_NOT_FOUND);
    site_settle(&the_site);
    check_error(enter(0, wants_tag), PLAN_ERR_NOT_FOUND);
    assert_int_equal(origin_headed(&the_origin), 1);
    assert_int_equal(stored_for(new_guest(0, wants_tag), &the_origin), STORED_RIGHT);
    check_body_of(enter(0, wants_tagged_digest), &the_origin); /* its bytes are as good as ever */
}

/* --- negotiation --- */

static const struct slice only_old[] = {SLICE("application/old")};

static void wants_old_type(struct guest *g, struct origin *o)
{
    wants_tag(g, o);
    g->plan.accept = SLICE("application/new");
    g->plan.accepts_any = false;
    g->plan.accepted = only_old;
    g->plan.accepted_count = 1;
    g->plan.alternate_variant = SLICE("accept=old");
    g->plan.alternate_accept = SLICE("application/old");
}

static void test_a_client_of_another_type_gets_the_alternate(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        begin(SMALL);
        the_origin.type = "application/new";
        if (held)
            serve_one(0, wants_tag);
        struct guest *g = enter(1, wants_old_type);
        check_body_of(g, &the_origin);
        site_settle(&the_site);
        assert_int_equal(origin_got(&the_origin), 2);
        assert_non_null(strstr(the_site.server->heads[1], "\r\nAccept: application/old\r\n"));
        assert_true(slice_eq(g->plan.variant, SLICE("accept=old")));
        assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
        assert_int_equal(stored_for(new_guest(0, wants_tag), &the_origin), STORED_RIGHT);
        kit_end(NULL);
    }
}

/* --- relays --- */

static void wants_relay(struct guest *g, struct origin *o)
{
    wants_list(g, o);
    g->plan.kind = PLAN_RELAYED;
}

static void test_a_relay_is_stored_nowhere_and_shared_by_nobody(void **state)
{
    (void)state;
    begin(LARGE);
    struct guest *here = enter(0, wants_relay), *there = enter(1, wants_relay);
    check_body_of(here, &the_origin);
    check_body_of(there, &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_string_equal(here->cache_status.fwd, "bypass");
    assert_false(here->answer.seekable || here->cache_status.stored);
    struct guest *head = enter_for_head(0, wants_relay);
    guest_wait_end(head);
    assert_int_equal(head->answer.size, LARGE);
    assert_int_equal(origin_headed(&the_origin), 1);
    site_settle(&the_site);
    assert_int_equal(stored_for(here, &the_origin), STORED_NOTHING);
}

/* --- races with the index --- */

static void test_what_was_stored_between_two_looks_is_not_fetched_again(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_blob);
    atomic_store(&blind, 1);
    struct guest *g = serve_one(1, wants_blob);
    assert_true(g->cache_status.hit);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_an_index_that_keeps_changing_is_not_looked_up_for_ever(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_blob);
    atomic_store(&flickers, true);
    check_error(enter(1, wants_blob), PLAN_ERR_BUSY);
    atomic_store(&flickers, false);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_an_index_that_fails_is_no_reason_to_fail(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_blob);
    atomic_store(&ill, 2);
    check_body_of(enter(1, wants_blob), &the_origin);
    assert_int_equal(atomic_load(&ill), 0);
    assert_int_equal(origin_headed(&the_origin), 1); /* the bytes are there: may they be served? */
}

/* Somebody has removed files by hand, or the disk has. */
static void test_a_blob_that_is_lost_on_disk_is_fetched_again(void **state)
{
    (void)state;
    char hex[2 * SHA256_BYTES + 1], path[256];
    begin(LARGE);
    serve_one(0, wants_blob);
    hex_encode(the_origin.digest.bytes, SHA256_BYTES, hex);
    snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s", the_site.path, hex, hex);
    assert_int_equal(unlink(path), 0);
    check_body_of(enter(1, wants_blob), &the_origin);
    site_settle(&the_site);
    assert_int_equal(origin_got(&the_origin), 2);
}

/* --- verdicts of other people's fills --- */

struct withdrawal {
    struct guest *guest;
    struct fill *fill;
};

static void add_idle_fill(void *arg)
{
    struct withdrawal *w = arg;
    struct store_key key;
    cache_key(the_site.route.name, w->guest->plan.resource, SLICE(""), &key);
    struct fill_spec spec = {
        .key = &key, .route = &the_site.route, .plan = &w->guest->plan, .purpose = FILL_FETCH};
    w->fill = fill_new(w->guest->seat->worker, &spec);
    assert_non_null(w->fill);
    assert_null(fill_table_add(the_site.engine->table, &w->fill->node));
}

static void withdraw(void *arg)
{
    struct withdrawal *w = arg;
    fill_withdraw(w->fill);
}

/*
 * A fill that was found needless says "look it up". That is no word of the upstream on the stale
 * copy that this client holds.
 */
static void test_a_withdrawn_fill_does_not_make_a_stale_copy_current(void **state)
{
    (void)state;
    begin_stale(SMALL);
    origin_change(&the_origin, 2, SMALL);
    struct guest *g = new_guest(0, wants_tag);
    struct withdrawal w = {.guest = g};
    call_on(g->seat, add_idle_fill, &w);
    guest_enter(g);
    assert_false(seen(g, ready));
    call_on(g->seat, withdraw, &w);
    check_body_of(g, &the_origin); /* the new one: it has asked */
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_hit_asks_nobody),
        TEST(test_a_hit_is_read_from_any_place),
        TEST(test_head_of_what_is_held_needs_no_upstream),
        TEST(test_head_of_a_tag_fills_and_answers_when_it_is_stored),
        TEST(test_an_unchanged_tag_costs_a_head),
        TEST(test_a_tag_that_has_moved_is_fetched),
        TEST(test_a_tag_that_moves_to_a_held_digest_costs_a_head),
        TEST(test_a_registry_without_head_is_asked_by_get),
        TEST(test_a_failure_serves_what_is_held_and_says_so),
        TEST(test_a_refresh_that_brings_a_broken_body_serves_what_is_held),
        TEST(test_a_copy_that_is_too_old_is_not_served),
        TEST(test_a_copy_that_is_too_old_is_still_compared),
        TEST(test_a_refusal_is_not_answered_with_what_is_held),
        TEST(test_patience_ends_and_the_refresh_goes_on),
        TEST(test_no_patience_serves_at_once),
        TEST(test_a_little_stale_is_served_at_once_and_refreshed_beside),
        TEST(test_an_upstream_that_says_nothing_is_waited_for_in_bounds),
        TEST(test_an_answer_is_given_once_however_long_its_body_takes),
        TEST(test_a_404_is_remembered_for_its_time),
        TEST(test_a_failure_is_not_remembered_as_a_404),
        TEST(test_the_404_of_a_held_tag_is_believed_and_remembered),
        TEST(test_a_client_of_another_type_gets_the_alternate),
        TEST(test_a_relay_is_stored_nowhere_and_shared_by_nobody),
        TEST(test_what_was_stored_between_two_looks_is_not_fetched_again),
        TEST(test_an_index_that_keeps_changing_is_not_looked_up_for_ever),
        TEST(test_an_index_that_fails_is_no_reason_to_fail),
        TEST(test_a_blob_that_is_lost_on_disk_is_fetched_again),
        TEST(test_a_withdrawn_fill_does_not_make_a_stale_copy_current),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
