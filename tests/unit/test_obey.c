#include "daemon/cache/obey.c"

#include "engine_kit.h"

enum { SMALL = 5000, LARGE = 300000 };

static const struct act fresh = {.line = "Cache-Control: max-age=60\r\n"};
static const struct act always_asked = {.line = "Cache-Control: max-age=0\r\n"};
static const struct act not_stored = {.line = "Cache-Control: no-store\r\n"};
static const struct act varies = {.line = "Cache-Control: max-age=60\r\nVary: Flavour\r\n"};

/* What each kind of guest sends. */
static struct http_field plain_rows[1], sweet_rows[1], sour_rows[1], no_store_rows[1], held_rows[1];
static struct http_fields plain = {.v = plain_rows};
static struct http_fields sweet = {.v = sweet_rows, .n = 1};
static struct http_fields sour = {.v = sour_rows, .n = 1};
static struct http_fields no_store = {.v = no_store_rows, .n = 1};
static struct http_fields only_held = {.v = held_rows, .n = 1};

static void set_fields(void)
{
    sweet_rows[0] = (struct http_field){SLICE("Flavour"), SLICE("sweet"), HF_OTHER};
    sour_rows[0] = (struct http_field){SLICE("Flavour"), SLICE("sour"), HF_OTHER};
    no_store_rows[0] =
        (struct http_field){SLICE("Cache-Control"), SLICE("no-store"), HF_CACHE_CONTROL};
    held_rows[0] =
        (struct http_field){SLICE("Cache-Control"), SLICE("only-if-cached"), HF_CACHE_CONTROL};
}

static void wants_page(struct guest *g, struct origin *o)
{
    guest_wants(g, o, "page");
    g->plan.refresh = REFRESH_CONDITIONAL;
    g->plan.head = HEAD_ASKS;
    g->plan.obeys_upstream = g->plan.passes_status = true;
    g->plan.request_fields = &plain;
}

static void wants_sweet(struct guest *g, struct origin *o)
{
    wants_page(g, o);
    g->plan.request_fields = &sweet;
}

static void wants_sour(struct guest *g, struct origin *o)
{
    wants_page(g, o);
    g->plan.request_fields = &sour;
}

static void wants_no_trace(struct guest *g, struct origin *o)
{
    wants_page(g, o);
    g->plan.request_fields = &no_store;
}

static void wants_what_is_held(struct guest *g, struct origin *o)
{
    wants_page(g, o);
    g->plan.request_fields = &only_held;
}

/* A change of `resource`. */
static void wants_change_of(struct guest *g, struct origin *o, const char *resource)
{
    static struct plan outdated;
    guest_wants(g, o, resource);
    g->plan.kind = PLAN_RELAYED;
    g->plan.method = HTTP_PUT;
    g->plan.obeys_upstream = g->plan.passes_status = true;
    g->plan.request_fields = &plain;
    outdated = (struct plan){.resource = g->plan.resource, .variant = SLICE("")};
    g->plan.outdates[0] = &outdated;
}

static void wants_change(struct guest *g, struct origin *o)
{
    wants_change_of(g, o, "page");
}

static void wants_other_change(struct guest *g, struct origin *o)
{
    wants_change_of(g, o, "other");
}

static void test_what_is_fresh_by_its_own_word(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        SCRIPT(fresh);
        struct guest *first = serve_one(0, wants_page);
        assert_true(first->answer.has_date);
        assert_non_null(strstr(first->fields, "Cache-Control: max-age=60\r\n"));
        struct guest *g = serve_one(1, wants_page);
        assert_true(g->cache_status.hit);
        assert_in_range(g->cache_status.ttl, 50, 60);
        assert_string_equal(g->fields, first->fields);
        assert_int_equal(origin_got(&the_origin), 1);
        kit_end(NULL);
    }
}

static void test_what_is_stale_at_once_is_validated(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(always_asked);
    serve_one(0, wants_page);
    struct guest *g = serve_one(1, wants_page);
    assert_string_equal(g->cache_status.fwd, "stale");
    assert_int_equal(g->cache_status.fwd_status, 304);
    assert_non_null(strstr(g->fields, "Cache-Control: max-age=0\r\n"));
    assert_int_equal(origin_got(&the_origin), 2);
}

static void test_what_may_not_be_stored_is_not(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT(not_stored);
    struct guest *g = serve_one(0, wants_page);
    assert_false(g->cache_status.stored);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
    serve_one(1, wants_page);
    assert_int_equal(origin_got(&the_origin), 2);
}

/* Two who wait for one answer: it turns out to be for the first alone. */
static void test_what_may_not_be_stored_is_not_shared(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.line = "Cache-Control: private\r\n", .holds_head = &head_gate}, not_stored);
    struct guest *first = enter(0, wants_page);
    await(origin_got(&the_origin) == 1);
    struct guest *second = enter(1, wants_page);
    atomic_store(&head_gate, true);
    check_body_of(first, &the_origin);
    check_body_of(second, &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_false(second->cache_status.collapsed);
}

static void test_a_request_that_wants_no_trace(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(fresh);
    struct guest *g = serve_one(0, wants_no_trace);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

static void test_a_request_for_what_is_held_only(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(fresh);
    check_error(enter(0, wants_what_is_held), PLAN_ERR_ONLY_CACHED);
    assert_int_equal(origin_got(&the_origin), 0);
    serve_one(0, wants_page);
    assert_true(serve_one(1, wants_what_is_held)->cache_status.hit);
}

static void test_variants_are_held_side_by_side(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(varies);
    serve_one(0, wants_sweet);
    struct guest *other = serve_one(1, wants_sour);
    assert_string_equal(other->cache_status.fwd, "vary-miss");
    assert_int_equal(origin_got(&the_origin), 2);
    assert_true(serve_one(1, wants_sweet)->cache_status.hit);
    assert_true(serve_one(0, wants_sour)->cache_status.hit);
    serve_one(0, wants_page);
    assert_int_equal(origin_got(&the_origin), 3);
}

/* Two wait for one answer, and what it varies with tells them apart. */
static void test_a_variant_is_not_shared_with_who_wants_another(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.line = varies.line, .holds_head = &head_gate}, varies);
    struct guest *first = enter(0, wants_sweet);
    await(origin_got(&the_origin) == 1);
    struct guest *same = enter(1, wants_sweet), *other = enter(1, wants_sour);
    atomic_store(&head_gate, true);
    check_body_of(first, &the_origin);
    check_body_of(same, &the_origin);
    check_body_of(other, &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_true(same->cache_status.collapsed || same->cache_status.hit);
    site_settle(&the_site);
    assert_true(serve_one(0, wants_sour)->cache_status.hit);
    assert_true(serve_one(0, wants_sweet)->cache_status.hit);
}

static void test_new_names_make_new_variants(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(varies, {.line = "Cache-Control: max-age=60\r\nVary: Flavour, Size\r\n"});
    serve_one(0, wants_sweet);
    serve_one(0, wants_sour);
    assert_true(serve_one(1, wants_sour)->cache_status.hit);
    assert_false(serve_one(1, wants_sweet)->cache_status.hit); /* of which size? */
    assert_true(serve_one(0, wants_sweet)->cache_status.hit);
    assert_int_equal(origin_got(&the_origin), 3);
}

/* When the client has the answer to its change, nobody gets what was before. */
static void test_a_change_outdates_what_is_held(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(fresh);
    serve_one(0, wants_page);
    struct guest *g = enter(1, wants_change);
    check_body_of(g, &the_origin);
    assert_false(serve_one(1, wants_page)->cache_status.hit);
    assert_int_equal(origin_got(&the_origin), 3);
}

static void test_a_change_that_failed_outdates_nothing(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(fresh, {.status = 409});
    serve_one(0, wants_page);
    struct guest *g = enter(1, wants_change);
    guest_wait_end(g);
    assert_int_equal(g->answer.status, 409);
    assert_true(serve_one(1, wants_page)->cache_status.hit);
}

/* Here the resource is not the path, so what is named is what the path would be. */
static void test_a_change_outdates_what_its_answer_names(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT(fresh, {.line = "Content-Location: /v2/page\r\n"}, fresh);
    struct guest *page = new_guest(0, wants_page);
    page->plan.resource = SLICE("/v2/page");
    guest_enter(page);
    check_body_of(page, &the_origin);
    site_settle(&the_site);
    check_body_of(enter(1, wants_other_change), &the_origin);
    struct guest *again = new_guest(1, wants_page);
    again->plan.resource = SLICE("/v2/page");
    guest_enter(again);
    check_body_of(again, &the_origin);
    assert_false(again->cache_status.hit);
}

static void test_another_status_is_the_answer(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.status = 423});
    struct guest *g = enter(0, wants_page);
    guest_wait_end(g);
    assert_int_equal(g->state, LOOKUP_ANSWER);
    assert_int_equal(g->answer.status, 423);
    assert_int_equal(g->n, 3);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

/* Its end cannot be told from a broken connection, so nobody gets it a second time. */
static void test_a_body_without_framing_is_passed_on(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.line = fresh.line, .framing = BY_END});
    struct guest *g = serve_one(0, wants_page);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

static void test_a_head_that_is_too_long_to_store(void **state)
{
    (void)state;
    static char line[STORE_RECORD_MAX];
    snprintf(line, sizeof line, "Cache-Control: max-age=60\r\nX: %0*d\r\n", STORE_RECORD_MAX / 2,
             1);
    begin(SMALL);
    SCRIPT({.line = line});
    struct guest *g = serve_one(0, wants_page);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

#define TEST(f) cmocka_unit_test_teardown(f, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_fresh_by_its_own_word),
        TEST(test_what_is_stale_at_once_is_validated),
        TEST(test_what_may_not_be_stored_is_not),
        TEST(test_what_may_not_be_stored_is_not_shared),
        TEST(test_a_request_that_wants_no_trace),
        TEST(test_a_request_for_what_is_held_only),
        TEST(test_variants_are_held_side_by_side),
        TEST(test_a_variant_is_not_shared_with_who_wants_another),
        TEST(test_new_names_make_new_variants),
        TEST(test_a_change_outdates_what_is_held),
        TEST(test_a_change_that_failed_outdates_nothing),
        TEST(test_a_change_outdates_what_its_answer_names),
        TEST(test_another_status_is_the_answer),
        TEST(test_a_body_without_framing_is_passed_on),
        TEST(test_a_head_that_is_too_long_to_store),
    };
    set_fields();
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
