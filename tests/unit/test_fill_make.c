#include "daemon/cache/fill_make.c"

#include "page_kit.h"

static enum stored made_is_stored(void)
{
    return stored_under("made/page", MADE_VARIANT, capitals_of(&the_page));
}

static enum stored page_is_stored(void)
{
    return stored_under("page", "plain", &the_page);
}

/* --- the whole way --- */

static void test_a_page_of_any_size_is_made_and_stored(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, SMALL, STORE_INLINE_MAX, STORE_INLINE_MAX + 1, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct guest *g = serve_made(0, wants_made);
        assert_string_equal(g->cache_status.fwd, "uri-miss");
        assert_int_equal(g->answer.status, 200);
        assert_string_equal(g->type, "text/plain");
        assert_int_equal(made_is_stored(), STORED_RIGHT);
        assert_int_equal(page_is_stored(), STORED_RIGHT);
        struct guest *again = serve_made(1, wants_made);
        assert_true(again->cache_status.hit && again->answer.seekable);
        assert_string_equal(again->etag, g->etag);
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

/* The client need not wait for the end of the page. */
static void test_the_head_goes_out_with_the_first_bytes(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.until = 200000, .holds_rest = &rest_gate}, 1);
    struct guest *g = enter(0, wants_made), *there = enter(1, wants_made);
    await(seen(g, n) > 100000);
    await(seen(there, n) > 100000);
    assert_false(g->answer.has_size);
    atomic_store(&rest_gate, true);
    check_made_of(g, &the_page);
    check_made_of(there, &the_page);
    assert_int_equal(origin_got(&the_page), 1);
}

static void test_a_page_without_a_length_is_made_too(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.framing = BY_CHUNKS}, 1);
    serve_made(0, wants_made);
    assert_int_equal(made_is_stored(), STORED_RIGHT);
}

static void test_what_comes_gzip_coded_is_made_of_what_it_decodes_to(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, SMALL, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct origin *made = capitals_of(&the_page);
        page_code(&the_page, 2);
        check_body_of(enter(0, wants_made), made);
        site_settle(&the_site);
        check_body_of(enter(1, wants_made), made);
        assert_int_equal(stored_under("made/page", MADE_VARIANT, made), STORED_RIGHT);
        assert_int_equal(page_is_stored(), STORED_RIGHT);
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

static enum err take_decoded(void *arg, struct slice bytes)
{
    buf_add(arg, bytes);
    return ERR_OK;
}

static void check_gzip_made(struct guest *g)
{
    struct buf plain;
    struct origin *made = capitals_of(&the_page);
    guest_wait_end(g);
    assert_true(g->complete);
    assert_non_null(strstr(g->fields, GZIP_LINE));
    buf_init(&plain, 1 << 20);
    struct inflater *i = inflater_new(1 << 20);
    assert_int_equal(inflater_feed(i, slice_of(g->body, g->n), take_decoded, &plain), ERR_OK);
    assert_int_equal(inflater_finish(i), ERR_OK);
    assert_true(slice_eq(buf_slice(&plain), slice_of(made->bytes, made->n)));
    inflater_free(&i);
    buf_free(&plain);
}

static void test_who_takes_gzip_gets_a_variant_of_its_own(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, SMALL, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct guest *coded = enter(0, wants_made_gzip), *plain = enter(1, wants_made);
        check_gzip_made(coded);
        check_made_of(plain, &the_page);
        assert_null(strstr(plain->fields, "gzip"));
        assert_string_not_equal(plain->etag, coded->etag);
        site_settle(&the_site);
        check_gzip_made(enter(1, wants_made_gzip));
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

/* --- validators --- */

static void test_the_etag_changes_with_the_source_s(void **state)
{
    (void)state;
    begin_pages(SMALL);
    struct guest *g = serve_made(0, wants_made);
    assert_int_equal(strlen(g->etag), 34);
    assert_string_not_equal(g->etag, the_page.etag);
    page_put(&the_page, 2, SMALL, "");
    the_site.route.ttl_ms = 0;
    assert_string_not_equal(serve_made(1, wants_made)->etag, g->etag);
}

static void test_a_weak_validator_stays_weak(void **state)
{
    (void)state;
    begin_pages(SMALL);
    snprintf(the_page.etag, sizeof the_page.etag, "W/\"v1\"");
    assert_memory_equal(serve_made(0, wants_made)->etag, "W/\"", 3);
}

/* Without one: none is known before the end, then it is the digest. */
static void test_without_a_validator_the_digest_is_one(void **state)
{
    (void)state;
    char hex[2 * SHA256_BYTES + 1], etag[2 * SHA256_BYTES + 3];
    begin_pages(SMALL);
    origin_script(&the_page, &(struct act){.no_etag = true}, 1);
    assert_string_equal(serve_made(0, wants_made)->etag, "");
    hex_encode(capitals_of(&the_page)->digest.bytes, SHA256_BYTES, hex);
    snprintf(etag, sizeof etag, "\"%s\"", hex);
    assert_string_equal(serve_made(1, wants_made)->etag, etag);
}

static const enum http_field_id kept[] = {HF_LAST_MODIFIED};

static void wants_kept(struct guest *g, struct origin *o)
{
    static struct plan source;
    wants_made(g, o);
    source = page_plan;
    source.kept_fields = kept;
    source.kept_field_count = 1;
    g->plan.source = &source;
    g->plan.content_type = SLICE("application/x-shout");
}

static void test_fields_are_the_source_s_and_the_type_the_plan_s(void **state)
{
    (void)state;
    begin_pages(SMALL);
    origin_script(&the_page,
                  &(struct act){.line = "Last-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\n"}, 1);
    for (int seat = 0; seat < SEATS; seat++) {
        struct guest *g = serve_made(seat, wants_kept);
        assert_string_equal(g->fields, "Last-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\n");
        assert_string_equal(g->type, "application/x-shout");
    }
}

/* --- what goes wrong --- */

/* Nothing has gone out yet: an error, and no broken body. */
static void test_a_flaw_in_the_first_bytes_is_an_error(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_pages(sizes[i]);
        page_spoil(&the_page, 2, sizes[i], 10);
        check_error(enter(0, wants_made), PLAN_ERR_UPSTREAM);
        site_settle(&the_site);
        assert_int_equal(made_is_stored(), STORED_NOTHING);
        assert_int_equal(page_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

static void test_a_flaw_further_on_breaks_the_body(void **state)
{
    (void)state;
    begin_pages(LARGE);
    page_spoil(&the_page, 2, LARGE, LARGE - 10);
    struct guest *g = enter(0, wants_made);
    guest_wait_end(g);
    assert_false(g->complete);
    site_settle(&the_site);
    assert_int_equal(made_is_stored(), STORED_NOTHING);
    assert_int_equal(page_is_stored(), STORED_NOTHING);
    page_put(&the_page, 3, LARGE, "");
    serve_made(1, wants_made);
}

/* The last byte waits for the proof that the page was whole. */
static void test_a_page_that_breaks_off_is_completed_by_nobody(void **state)
{
    (void)state;
    static const struct act breaks[] = {
        {.framing = BY_CHUNKS, .until = 250000, .ending = CUTS, .no_etag = true},
        {.framing = BY_CHUNKS, .until = LARGE, .ending = CUTS, .no_etag = true},
        {.until = 250000, .ending = RESETS, .no_etag = true},
    };
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        begin_pages(LARGE);
        origin_script(&the_page, &breaks[i], 1);
        struct guest *g = enter(0, wants_made);
        guest_wait_end(g);
        assert_false(g->complete);
        site_settle(&the_site);
        assert_int_equal(made_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

static void test_bad_gzip_is_no_page(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_pages(sizes[i]); /* letters, said to be gzip */
        origin_script(&the_page, &(struct act){.line = GZIP_LINE}, 1);
        check_error(enter(0, wants_made), PLAN_ERR_UPSTREAM);
        site_settle(&the_site);
        assert_int_equal(page_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

static void test_without_memory_it_is_an_error(void **state)
{
    (void)state;
    begin_pages(SMALL);
    serve_made(0, wants_made);
    atomic_store(&reader_memory_is_out, true);
    check_error(enter(1, wants_made_gzip), PLAN_ERR_UPSTREAM);
    site_settle(&the_site);
    atomic_store(&reader_memory_is_out, false);
    check_gzip_made(enter(0, wants_made_gzip));
}

/* --- who leaves, who is slow --- */

static void test_a_slow_client_holds_up_nobody(void **state)
{
    (void)state;
    begin_pages(3 << 20);
    struct guest *slow = new_guest(0, wants_made);
    slow->appetite = 1000;
    guest_enter(slow);
    serve_made(1, wants_made);
    assert_int_equal(made_is_stored(), STORED_RIGHT);
    assert_int_equal(seen(slow, n), 1000);
    guest_eats(slow, UINT64_MAX);
    check_made_of(slow, &the_page);
}

static void test_what_is_stored_is_made_though_the_client_has_left(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.until = 200000, .holds_rest = &rest_gate}, 1);
    struct guest *g = enter(0, wants_made);
    await(seen(g, n) > 100000);
    guest_leave(g);
    atomic_store(&rest_gate, true);
    site_settle(&the_site);
    assert_int_equal(made_is_stored(), STORED_RIGHT);
}

/* Whatever the fill is doing at that moment: a byte of the page, a job, nothing. */
static void test_a_stop_ends_what_is_being_made(void **state)
{
    (void)state;
    for (int job_out = 0; job_out < 2; job_out++) {
        begin_pages(LARGE);
        origin_script(&the_page, &(struct act){.until = 200000, .holds_rest = &rest_gate}, 1);
        atomic_store(&reader_gate, !job_out);
        struct guest *g = enter(0, wants_made), *there = enter(1, wants_made_gzip);
        await(job_out ? atomic_load(&readers_waiting) == 2 : seen(g, n) > 100000);
        guest_leave(g);
        guest_leave(there);
        site_order_stop(&the_site);
        atomic_store(&reader_gate, true);
        site_stop_workers(&the_site);
        assert_int_equal(made_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

/* --- relays --- */

static void test_a_relayed_page_is_made_and_stored_nowhere(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, SMALL, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct guest *here = enter(0, wants_made_relay), *there = enter(1, wants_made_relay);
        check_made_of(here, &the_page);
        check_made_of(there, &the_page);
        assert_string_equal(here->cache_status.fwd, "bypass");
        assert_false(here->cache_status.stored || here->answer.seekable);
        assert_int_equal(origin_got(&the_page), 2);
        site_settle(&the_site);
        assert_int_equal(made_is_stored(), STORED_NOTHING);
        assert_int_equal(stored_under("made/page", "shout", &the_page), STORED_NOTHING);
        assert_int_equal(page_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

/* As fast as the client, in bounded memory. */
static void test_a_relay_waits_for_its_client(void **state)
{
    (void)state;
    begin_pages(3 << 20);
    struct guest *slow = new_guest(0, wants_made_relay);
    slow->appetite = 1000;
    guest_enter(slow);
    await(seen(slow, n) == 1000);
    kit_sleep(100);
    for (uint64_t n = 200000; n < 3 << 20; n += 400000) {
        guest_eats(slow, n);
        await(seen(slow, n) == n);
    }
    guest_eats(slow, UINT64_MAX);
    check_made_of(slow, &the_page);
}

static void test_a_relay_ends_with_its_client(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.until = 100000, .holds_rest = &rest_gate}, 1);
    struct guest *g = enter(0, wants_made_relay);
    await(seen(g, n) > 50000);
    guest_leave(g);
    site_settle(&the_site); /* before the page is whole */
    assert_false(atomic_load(&rest_gate));
}

static void test_errors_of_a_relayed_page(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum plan_error error;
    } rows[] = {
        {404, PLAN_ERR_NOT_FOUND}, {401, PLAN_ERR_DENIED},   {403, PLAN_ERR_DENIED},
        {500, PLAN_ERR_UPSTREAM},  {429, PLAN_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_pages(SMALL);
        origin_script(&the_page,
                      &(struct act){.status = rows[i].status, .line = "Retry-After: 7\r\n"}, 1);
        struct guest *g = enter(0, wants_made_relay);
        check_error(g, rows[i].error);
        assert_int_equal(g->cache_status.fwd_status, rows[i].status);
        if (rows[i].error == PLAN_ERR_UPSTREAM)
            assert_in_range(g->retry_after_s, 6, 7);
        pages_end(NULL);
    }
}

/* --- no room --- */

/* Law 9: neither the page nor what is made of it can be kept, and both are served. */
static void test_a_full_store_makes_it_all_the_same(void **state)
{
    (void)state;
    static const struct act acts[] = {{.framing = BY_LENGTH}, {.framing = BY_CHUNKS}};
    for (int i = 0; i < 2; i++) {
        begin_pages_with(2 << 20, (struct site_options){.max_size = 1 << 20});
        origin_script(&the_page, &acts[i], 1);
        struct guest *here = enter(0, wants_made), *there = enter(1, wants_made);
        check_made_of(here, &the_page);
        check_made_of(there, &the_page);
        site_settle(&the_site);
        assert_int_equal(made_is_stored(), STORED_NOTHING);
        pages_end(NULL);
    }
}

/* Both threads of the pool are held: who needs one waits in bounds, who needs none does not wait.
 */
static void test_a_busy_pool_holds_up_no_hit(void **state)
{
    (void)state;
    begin_pages_with(SMALL, (struct site_options){.wait_timeout_ms = 300});
    serve_made(0, wants_made);
    atomic_store(&reader_gate, false);
    struct guest *coded = enter(0, wants_made_gzip), *relay = enter(1, wants_made_relay);
    await(atomic_load(&readers_waiting) == 2);
    assert_true(enter(1, wants_made)->complete); /* without a turn of the loop */
    struct guest *late = enter(0, wants_made_relay);
    check_error(coded, PLAN_ERR_UPSTREAM);
    check_error(relay, PLAN_ERR_UPSTREAM);
    check_error(late, PLAN_ERR_UPSTREAM);
    atomic_store(&reader_gate, true);
    site_settle(&the_site);
    check_gzip_made(enter(1, wants_made_gzip));
}

static void test_too_many_fills_are_an_honest_refusal(void **state)
{
    (void)state;
    begin_pages(SMALL);
    serve_made(0, wants_made);
    atomic_fetch_add(&the_site.engine->fills, ENGINE_FILLS_MAX);
    check_error(enter(0, wants_made_gzip), PLAN_ERR_BUSY);
    check_error(enter(0, wants_made_relay), PLAN_ERR_BUSY);
    atomic_fetch_sub(&the_site.engine->fills, ENGINE_FILLS_MAX);
    check_gzip_made(enter(0, wants_made_gzip));
}

#define TEST(name) cmocka_unit_test_teardown(name, pages_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_page_of_any_size_is_made_and_stored),
        TEST(test_the_head_goes_out_with_the_first_bytes),
        TEST(test_a_page_without_a_length_is_made_too),
        TEST(test_what_comes_gzip_coded_is_made_of_what_it_decodes_to),
        TEST(test_who_takes_gzip_gets_a_variant_of_its_own),
        TEST(test_the_etag_changes_with_the_source_s),
        TEST(test_a_weak_validator_stays_weak),
        TEST(test_without_a_validator_the_digest_is_one),
        TEST(test_fields_are_the_source_s_and_the_type_the_plan_s),
        TEST(test_a_flaw_in_the_first_bytes_is_an_error),
        TEST(test_a_flaw_further_on_breaks_the_body),
        TEST(test_a_page_that_breaks_off_is_completed_by_nobody),
        TEST(test_bad_gzip_is_no_page),
        TEST(test_without_memory_it_is_an_error),
        TEST(test_a_slow_client_holds_up_nobody),
        TEST(test_what_is_stored_is_made_though_the_client_has_left),
        TEST(test_a_stop_ends_what_is_being_made),
        TEST(test_a_relayed_page_is_made_and_stored_nowhere),
        TEST(test_a_relay_waits_for_its_client),
        TEST(test_a_relay_ends_with_its_client),
        TEST(test_errors_of_a_relayed_page),
        TEST(test_a_full_store_makes_it_all_the_same),
        TEST(test_a_busy_pool_holds_up_no_hit),
        TEST(test_too_many_fills_are_an_honest_refusal),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
