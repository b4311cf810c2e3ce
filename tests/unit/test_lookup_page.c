#include "daemon/cache/lookup_page.c"

#include "page_kit.h"

/* --- what is made from a source: as fresh, as stale, and as wrong as that --- */

static struct guest *served(int seat, wants_f *wants, struct origin *o)
{
    struct guest *g = enter(seat, wants);
    check_body_of(g, o);
    guest_leave(g);
    site_settle(&the_site);
    return g;
}

static struct guest *serve_made(int seat)
{
    return served(seat, wants_made, capitals_of(&the_page));
}

/* The page as it was, and what was made of it, are held and old. */
static void begin_stale(size_t n)
{
    begin_pages(n);
    serve_made(0);
    the_site.route.ttl_ms = 0;
}

static void test_an_unchanged_source_costs_no_body_and_no_making(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin_stale(sizes[i]);
        struct guest *g = serve_made(1);
        assert_string_equal(g->cache_status.fwd, "stale");
        assert_int_equal(g->cache_status.fwd_status, 304);
        assert_true(g->answer.seekable && g->answer.has_size);
        assert_int_equal(g->answer.age_s, 0);
        the_site.route.ttl_ms = 60000;
        assert_true(serve_made(0)->cache_status.hit);
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
        struct guest *g = serve_made(1);
        assert_string_equal(g->cache_status.fwd, "stale");
        the_site.route.ttl_ms = 60000;
        struct guest *again = serve_made(0);
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
    serve_made(0);
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
            serve_made(0);
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

/* --- what a page must name --- */

static void wants_file(struct guest *g, struct origin *o)
{
    (void)o;
    g->plan.resource = SLICE("files/file.whl");
    g->plan.upstream_path = SLICE("/v2/never/asked");
    g->plan.pages[0] = &page_plan;
    g->plan.pages[1] = &other_plan;
    g->plan.find = &finder;
    g->plan.wanted = SLICE("file.whl");
    g->plan.immutable = true;
    g->plan.head = HEAD_ASKS;
    g->plan.content_type = SLICE("application/octet-stream");
}

static void wants_relayed_file(struct guest *g, struct origin *o)
{
    wants_file(g, o);
    g->plan.kind = PLAN_RELAYED;
    g->plan.pages[0] = &relayed_page_plan;
    g->plan.pages[1] = NULL;
}

static void wants_same_bytes(struct guest *g, struct origin *o)
{
    wants_file(g, o);
    g->plan.resource = SLICE("files/same.whl");
    g->plan.wanted = SLICE("same.whl");
}

/* A line for the file as it is now, or with another digest or size. */
static void name_on(struct origin *page, unsigned version, const char *name, const char *digest,
                    size_t size)
{
    char text[DIGEST_TEXT_MAX], line[400];
    digest_text(&the_origin.digest, text);
    snprintf(line, sizeof line, "%s http://127.0.0.1:%u/v2/file %s %zu\n", name,
             the_site.server->port, digest ? digest : text, size);
    page_put(page, version, SMALL, line);
}

static void name_file(struct origin *page, unsigned version)
{
    name_on(page, version, "file.whl", NULL, the_origin.n);
}

static void begin_file(void)
{
    begin_pages(SMALL);
    name_file(&the_page, 1);
}

static struct guest *serve_file(int seat)
{
    return served(seat, wants_file, &the_origin);
}

static enum stored file_is_stored(void)
{
    return stored_under("files/file.whl", "", &the_origin);
}

static void test_a_named_file_is_fetched_and_needs_no_page_afterwards(void **state)
{
    (void)state;
    begin_file();
    struct guest *g = serve_file(0);
    assert_string_equal(g->cache_status.fwd, "uri-miss");
    assert_true(digest_equal(&g->answer.shown, &the_origin.digest));
    assert_int_equal(file_is_stored(), STORED_RIGHT);
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    the_site.route.ttl_ms = 0;
    assert_true(serve_file(1)->cache_status.hit);
    assert_int_equal(origin_got(&the_page), 0);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_a_long_page_names_a_file_too(void **state)
{
    (void)state;
    for (int coded = 0; coded < 2; coded++) {
        char line[300], text[DIGEST_TEXT_MAX];
        begin_pages(SMALL);
        snprintf(line, sizeof line, "file.whl http://127.0.0.1:%u/v2/file %s -\n",
                 the_site.server->port, digest_text(&the_origin.digest, text).p);
        page_put(&the_page, 2, LARGE, line);
        if (coded)
            page_code(&the_page, 3);
        serve_file(0);
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

static void test_a_herd_of_a_file_costs_two_requests(void **state)
{
    (void)state;
    enum { HERD = 16 };
    struct guest *g[HERD];
    begin_file();
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    for (int i = 0; i < HERD; i++)
        g[i] = enter(i % SEATS, wants_file);
    kit_sleep(10);
    atomic_store(&head_gate, true);
    for (int i = 0; i < HERD; i++)
        check_body_of(g[i], &the_origin);
    assert_int_equal(origin_got(&the_page), 1);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_what_no_page_names_is_not_found(void **state)
{
    (void)state;
    begin_pages(SMALL);
    check_error(enter(0, wants_file), PLAN_ERR_NOT_FOUND);
    site_settle(&the_site);
    check_error(enter(1, wants_file), PLAN_ERR_NOT_FOUND);
    assert_int_equal(origin_got(&the_page), 1); /* it is young enough to be believed */
    assert_int_equal(origin_got(&the_origin), 0);
}

/* A page may be fresh by its ttl and yet too old to deny a file. */
static void test_a_page_older_than_a_404_may_be_is_asked_for_anew(void **state)
{
    (void)state;
    begin_pages(SMALL);
    the_site.route.negative_ttl_ms = 0;
    serve_made(0);
    kit_sleep(5);
    check_error(enter(0, wants_file), PLAN_ERR_NOT_FOUND);
    site_settle(&the_site);
    assert_int_equal(origin_got(&the_page), 2);
    name_file(&the_page, 2);
    serve_file(1);
    assert_int_equal(origin_got(&the_page), 3);
}

static void test_a_page_that_is_old_and_cannot_be_asked_for_denies_nothing(void **state)
{
    (void)state;
    begin_pages(SMALL);
    the_site.route.negative_ttl_ms = 0;
    serve_made(0);
    kit_sleep(5);
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    check_error(enter(0, wants_file), PLAN_ERR_UPSTREAM);
}

/* Law 5, the other way: what it names may be fetched from elsewhere. */
static void test_an_old_page_still_names_its_files(void **state)
{
    (void)state;
    begin_file();
    serve_made(0);
    the_site.route.ttl_ms = 0;
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    serve_file(1);
}

static void test_errors_of_the_page(void **state)
{
    (void)state;
    static const struct {
        struct act act;
        enum plan_error error;
    } rows[] = {
        {{.status = 404}, PLAN_ERR_NOT_FOUND},
        {{.status = 401}, PLAN_ERR_DENIED},
        {{.status = 403}, PLAN_ERR_DENIED},
        {{.status = 500}, PLAN_ERR_UPSTREAM},
        {{.raw = "garbage\r\n\r\n"}, PLAN_ERR_UPSTREAM},
        {{.until = 1000, .ending = CUTS, .no_etag = true}, PLAN_ERR_UPSTREAM},
        {{.line = GZIP_LINE}, PLAN_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int relayed = 0; relayed < 2; relayed++) {
            begin_file();
            origin_script(&the_page, &rows[i].act, 1);
            check_error(enter(0, relayed ? wants_relayed_file : wants_file), rows[i].error);
            assert_int_equal(origin_got(&the_origin), 0);
            site_settle(&the_site);
            assert_int_equal(stored_under("page", "plain", &the_page), STORED_NOTHING);
            pages_end(NULL);
        }
    }
}

static void test_a_malformed_page_names_nothing(void **state)
{
    (void)state;
    begin_pages(SMALL);
    page_spoil(&the_page, 2, SMALL, SMALL - 1);
    check_error(enter(0, wants_file), PLAN_ERR_UPSTREAM);
    check_error(enter(1, wants_relayed_file), PLAN_ERR_UPSTREAM);
}

static void test_a_foreign_file_is_refused(void **state)
{
    (void)state;
    begin_pages(SMALL);
    page_put(&the_page, 2, SMALL, "file.whl http://elsewhere.test/file.whl - -\n");
    struct guest *g = enter(0, wants_file);
    check_error(g, PLAN_ERR_FOREIGN);
    assert_true(g->lookup.error_detail.n > 0);
    check_error(enter(1, wants_relayed_file), PLAN_ERR_FOREIGN);
}

static void test_the_page_that_is_held_is_read_first(void **state)
{
    (void)state;
    static const struct plan *const held[] = {&page_plan, &other_plan};
    for (int i = 0; i < 2; i++) {
        begin_file();
        name_file(&the_other_page, 1);
        struct guest *page = new_guest(0, wants_made);
        page->plan.source = held[i];
        guest_enter(page);
        guest_wait_end(page);
        site_settle(&the_site);
        serve_file(1);
        assert_int_equal(origin_got(&the_page), i == 0);
        assert_int_equal(origin_got(&the_other_page), i == 1);
        pages_end(NULL);
    }
}

/* --- the file is not what the page says --- */

static void check_not_served(wants_f *wants)
{
    struct guest *g = enter(0, wants);
    guest_wait_end(g);
    assert_false(g->complete);
    guest_leave(g);
    site_settle(&the_site);
    assert_int_equal(file_is_stored(), STORED_NOTHING);
}

static void test_other_bytes_than_the_page_names_are_not_served(void **state)
{
    (void)state;
    begin_file();
    SCRIPT({.wrong = true});
    check_not_served(wants_file);
    check_not_served(wants_relayed_file);
    SCRIPT(honest);
    serve_file(1);
}

static void test_another_size_than_the_page_names_is_not_served(void **state)
{
    (void)state;
    static const size_t sizes[] = {LARGE - 1, LARGE + 1};
    static const char *const digests[] = {NULL, "-"};
    for (int i = 0; i < 2; i++) {
        for (int d = 0; d < 2; d++) {
            begin_pages(SMALL);
            name_on(&the_page, 2, "file.whl", digests[d], sizes[i]);
            check_not_served(wants_file);
            check_not_served(wants_relayed_file);
            pages_end(NULL);
        }
    }
}

static void test_a_page_that_names_no_digest_is_believed_about_the_place(void **state)
{
    (void)state;
    begin_pages(SMALL);
    name_on(&the_page, 2, "file.whl", "-", LARGE);
    serve_file(0);
    assert_true(serve_file(1)->cache_status.hit);
    assert_int_equal(file_is_stored(), STORED_RIGHT);
}

static void test_errors_of_the_file(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum plan_error error;
    } rows[] = {{404, PLAN_ERR_NOT_FOUND}, {403, PLAN_ERR_DENIED}, {500, PLAN_ERR_UPSTREAM}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_file();
        SCRIPT({.status = rows[i].status});
        check_error(enter(0, wants_file), rows[i].error);
        pages_end(NULL);
    }
}

/* --- bytes that are held already --- */

static void test_bytes_that_a_page_proves_are_not_fetched_again(void **state)
{
    (void)state;
    begin_file();
    serve_file(0);
    name_on(&the_other_page, 2, "same.whl", NULL, LARGE);
    struct guest *g = new_guest(1, wants_same_bytes);
    g->plan.pages[0] = &other_plan;
    g->plan.pages[1] = NULL;
    guest_enter(g);
    check_body_of(g, &the_origin);
    site_settle(&the_site);
    assert_int_equal(origin_got(&the_origin), 1);
    assert_int_equal(origin_headed(&the_origin), 0);
    assert_int_equal(stored_under("files/same.whl", "", &the_origin), STORED_RIGHT);
}

/* Law 7: that the bytes are here is no permission. */
static void test_bytes_that_no_page_names_are_not_given_out(void **state)
{
    (void)state;
    begin_file();
    serve_file(0);
    check_error(enter(1, wants_same_bytes), PLAN_ERR_NOT_FOUND);
}

/* --- relays, HEAD --- */

static void test_a_relayed_file_is_proven_and_stored_nowhere(void **state)
{
    (void)state;
    begin_file();
    struct guest *g = served(0, wants_relayed_file, &the_origin);
    assert_string_equal(g->cache_status.fwd, "bypass");
    served(1, wants_relayed_file, &the_origin);
    assert_int_equal(origin_got(&the_page), 2);
    assert_int_equal(file_is_stored(), STORED_NOTHING);
    assert_int_equal(stored_under("page", "plain", &the_page), STORED_NOTHING);
    name_on(&the_page, 2, "other.whl", NULL, LARGE);
    check_error(enter(0, wants_relayed_file), PLAN_ERR_NOT_FOUND);
}

static void test_head_of_a_file_asks_where_the_page_says(void **state)
{
    (void)state;
    begin_file();
    wants_f *const wants[] = {wants_file, wants_relayed_file};
    for (unsigned i = 0; i < 2; i++) {
        struct guest *g = enter_for_head(0, wants[i]);
        guest_wait_end(g);
        assert_int_equal(g->state, LOOKUP_ANSWER);
        assert_int_equal(g->answer.size, LARGE);
        assert_int_equal(origin_headed(&the_origin), i + 1);
    }
    assert_int_equal(origin_got(&the_origin), 0);
}

/* --- leaving, and the end --- */

static void test_a_guest_may_leave_in_mid_proof(void **state)
{
    (void)state;
    for (int job_out = 0; job_out < 2; job_out++) {
        begin_file();
        origin_script(&the_page, &(struct act){.until = 100, .holds_rest = &rest_gate}, 1);
        atomic_store(&reader_gate, !job_out);
        struct guest *g = enter(0, wants_file);
        await(job_out ? atomic_load(&readers_waiting) == 1 : origin_got(&the_page) == 1);
        guest_leave(g);
        atomic_store(&reader_gate, true);
        atomic_store(&rest_gate, true);
        site_settle(&the_site);
        assert_false(g->ready);
        assert_int_equal(origin_got(&the_origin), 0);
        pages_end(NULL);
    }
}

static void test_a_stop_in_mid_proof_waits_for_the_job_only(void **state)
{
    (void)state;
    for (int job_out = 0; job_out < 2; job_out++) {
        begin_file();
        origin_script(&the_page, &(struct act){.until = 100, .holds_rest = &rest_gate}, 1);
        atomic_store(&reader_gate, !job_out);
        struct guest *here = enter(0, wants_file), *there = enter(1, wants_file);
        await(job_out ? atomic_load(&readers_waiting) == 2 : origin_got(&the_page) == 1);
        guest_leave(here);
        guest_leave(there);
        site_order_stop(&the_site);
        atomic_store(&reader_gate, true);
        site_stop_workers(&the_site);
        assert_false(here->ready || there->ready);
        assert_false(atomic_load(&rest_gate));
        pages_end(NULL);
    }
}

static void test_a_proof_is_waited_for_in_bounds(void **state)
{
    (void)state;
    begin_pages_with(SMALL, (struct site_options){.wait_timeout_ms = 100});
    name_file(&the_page, 2);
    origin_script(&the_page, &(struct act){.until = 100, .holds_rest = &rest_gate}, 1);
    struct guest *g = enter(0, wants_file), *relay = enter(1, wants_relayed_file);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_error(relay, PLAN_ERR_UPSTREAM);
    atomic_store(&rest_gate, true);
    site_settle(&the_site);
    assert_int_equal(g->readies, 1);
    serve_file(1);
}

static void test_without_memory_nothing_is_proven(void **state)
{
    (void)state;
    begin_file();
    atomic_store(&reader_memory_is_out, true);
    check_error(enter(0, wants_file), PLAN_ERR_UPSTREAM);
    site_settle(&the_site);
    atomic_store(&reader_memory_is_out, false);
    serve_file(0);
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
    serve_made(0);
    struct guest *made = new_guest(1, wants_made);
    enter_for_held(made);
    check_made_of(made, &the_page);
    serve_file(0);
    struct guest *file = new_guest(1, wants_file);
    enter_for_held(file);
    check_body_of(file, &the_origin);
}

/* --- credentials --- */

/* Ann may have all, Bob the page, and nobody else anything. */
static bool answer_to_ann(struct visit *v)
{
    bool ann = has_line(v, "\r\nAuthorization: Basic ann\r\n");
    bool bob = has_line(v, "\r\nAuthorization: Basic bob\r\n");
    if (ann || (bob && !asks_for(v, "/v2/file")))
        return answer_from_origins(v);
    return answer_text(v, bob ? "403 x" : "401 x", "WWW-Authenticate: Basic realm=\"x\"\r\n", "no");
}

static void wants_file_of(struct guest *g, const struct plan *page, const char *credential)
{
    wants_file(g, NULL);
    g->plan.pages[0] = page;
    g->plan.pages[1] = NULL;
    g->plan.credential = slice_str(credential);
    g->plan.always_proven = true;
}

static void wants_anns_file(struct guest *g, struct origin *o)
{
    (void)o;
    wants_file_of(g, &anns_page_plan, "Basic ann");
}

static void wants_bobs_file(struct guest *g, struct origin *o)
{
    (void)o;
    wants_file_of(g, &bobs_page_plan, "Basic bob");
}

static void wants_nobodys_file(struct guest *g, struct origin *o)
{
    (void)o;
    wants_file_of(g, &page_plan, "");
}

static void wants_anns_made(struct guest *g, struct origin *o)
{
    wants_made(g, o);
    g->plan.source = &anns_page_plan;
    g->plan.credential = SLICE("Basic ann");
}

static void wants_bobs_made(struct guest *g, struct origin *o)
{
    wants_made(g, o);
    g->plan.source = &bobs_page_plan;
    g->plan.credential = SLICE("Basic bob");
}

static void begin_private(const char *digest)
{
    begin_pages_with(SMALL, (struct site_options){.answer = answer_to_ann});
    the_site.route.passthrough = true;
    name_on(&the_page, 2, "file.whl", digest, LARGE);
}

static void test_who_is_refused_what_is_told_apart(void **state)
{
    (void)state;
    begin_private(NULL);
    check_error(enter(0, wants_made), PLAN_ERR_CREDENTIALS);
    check_error(enter(0, wants_made_relay), PLAN_ERR_CREDENTIALS);
    check_error(enter(0, wants_nobodys_file), PLAN_ERR_CREDENTIALS);
    check_error(enter(0, wants_relayed_file), PLAN_ERR_CREDENTIALS);
    check_error(enter(0, wants_bobs_file), PLAN_ERR_FORBIDDEN);
    the_site.route.passthrough = false;
    check_error(enter(1, wants_made), PLAN_ERR_DENIED);
    check_error(enter(1, wants_made_relay), PLAN_ERR_DENIED);
}

static void test_what_credentials_bring_is_held_for_them_alone(void **state)
{
    (void)state;
    begin_private(NULL);
    struct origin *made = capitals_of(&the_page);
    served(0, wants_anns_made, made);
    assert_true(served(1, wants_anns_made, made)->cache_status.hit);
    assert_int_equal(origin_got(&the_page), 1);
    check_error(enter(0, wants_made), PLAN_ERR_CREDENTIALS);
    assert_false(served(0, wants_bobs_made, made)->cache_status.hit);
    assert_int_equal(origin_got(&the_page), 2);
    assert_int_equal(stored_under("page", "plain", &the_page), STORED_NOTHING);
    assert_int_equal(stored_under("made/page", MADE_VARIANT, made), STORED_NOTHING);
}

/* Bob may not fetch it, but his page names the bytes that Ann has brought. */
static void test_a_page_with_a_digest_gives_a_share_in_the_bytes(void **state)
{
    (void)state;
    begin_private(NULL);
    served(0, wants_anns_file, &the_origin);
    assert_true(served(1, wants_bobs_file, &the_origin)->cache_status.hit);
    assert_int_equal(origin_got(&the_origin), 1);
    check_error(enter(0, wants_nobodys_file), PLAN_ERR_CREDENTIALS);
    assert_int_equal(file_is_stored(), STORED_NOTHING); /* not under a key without a digest */
}

static void test_without_a_digest_there_is_no_share(void **state)
{
    (void)state;
    begin_private("-");
    served(0, wants_anns_file, &the_origin);
    assert_true(served(1, wants_anns_file, &the_origin)->cache_status.hit);
    check_error(enter(0, wants_bobs_file), PLAN_ERR_FORBIDDEN);
    check_error(enter(0, wants_nobodys_file), PLAN_ERR_CREDENTIALS);
}

/* What a page has proven a minute ago it must prove again. */
static void test_proof_is_asked_for_also_of_what_is_held(void **state)
{
    (void)state;
    begin_private(NULL);
    served(0, wants_anns_file, &the_origin);
    the_site.route.ttl_ms = 0; /* the grant of the page is over */
    kit_sleep(2);
    name_on(&the_page, 3, "other.whl", NULL, LARGE);
    check_error(enter(1, wants_anns_file), PLAN_ERR_NOT_FOUND);
    site_settle(&the_site);
    name_on(&the_page, 4, "file.whl", NULL, LARGE);
    assert_true(served(1, wants_anns_file, &the_origin)->cache_status.hit);
}

/* Whether they are still good is for the upstream to say, and for nobody else. */
static void test_a_grant_is_not_stretched_by_a_failure(void **state)
{
    (void)state;
    begin_private(NULL);
    struct origin *made = capitals_of(&the_page);
    served(0, wants_anns_made, made);
    served(0, wants_anns_file, &the_origin);
    the_site.route.ttl_ms = 0;
    kit_sleep(2);
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    check_error(enter(1, wants_anns_made), PLAN_ERR_UPSTREAM);
    check_error(enter(1, wants_anns_file), PLAN_ERR_UPSTREAM);
    origin_script(&the_page, &(struct act){.status = 401}, 1);
    check_error(enter(1, wants_anns_made), PLAN_ERR_FORBIDDEN);
    origin_script(&the_page, &honest, 1);
    served(1, wants_anns_made, made);
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
        TEST(test_a_guest_may_leave_while_the_source_is_awaited),
        TEST(test_a_named_file_is_fetched_and_needs_no_page_afterwards),
        TEST(test_a_long_page_names_a_file_too),
        TEST(test_a_herd_of_a_file_costs_two_requests),
        TEST(test_what_no_page_names_is_not_found),
        TEST(test_a_page_older_than_a_404_may_be_is_asked_for_anew),
        TEST(test_a_page_that_is_old_and_cannot_be_asked_for_denies_nothing),
        TEST(test_an_old_page_still_names_its_files),
        TEST(test_errors_of_the_page),
        TEST(test_a_malformed_page_names_nothing),
        TEST(test_a_foreign_file_is_refused),
        TEST(test_the_page_that_is_held_is_read_first),
        TEST(test_other_bytes_than_the_page_names_are_not_served),
        TEST(test_another_size_than_the_page_names_is_not_served),
        TEST(test_a_page_that_names_no_digest_is_believed_about_the_place),
        TEST(test_errors_of_the_file),
        TEST(test_bytes_that_a_page_proves_are_not_fetched_again),
        TEST(test_bytes_that_no_page_names_are_not_given_out),
        TEST(test_a_relayed_file_is_proven_and_stored_nowhere),
        TEST(test_head_of_a_file_asks_where_the_page_says),
        TEST(test_a_guest_may_leave_in_mid_proof),
        TEST(test_a_stop_in_mid_proof_waits_for_the_job_only),
        TEST(test_a_proof_is_waited_for_in_bounds),
        TEST(test_without_memory_nothing_is_proven),
        TEST(test_who_wants_only_what_is_held_costs_no_request),
        TEST(test_who_is_refused_what_is_told_apart),
        TEST(test_what_credentials_bring_is_held_for_them_alone),
        TEST(test_a_page_with_a_digest_gives_a_share_in_the_bytes),
        TEST(test_without_a_digest_there_is_no_share),
        TEST(test_proof_is_asked_for_also_of_what_is_held),
        TEST(test_a_grant_is_not_stretched_by_a_failure),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
