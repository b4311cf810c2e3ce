#include "daemon/cache/lookup_page.c"

#include "page_kit.h"

/* --- what a page must name --- */

static void wants_same_bytes(struct guest *g, struct origin *o)
{
    wants_file(g, o);
    g->plan.resource = SLICE("files/same.whl");
    g->plan.wanted = SLICE("same.whl");
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
    serve_made(0, wants_made);
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
    serve_made(0, wants_made);
    kit_sleep(5);
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    check_error(enter(0, wants_file), PLAN_ERR_UPSTREAM);
}

/* Law 5, the other way: what it names may be fetched from elsewhere. */
static void test_an_old_page_still_names_its_files(void **state)
{
    (void)state;
    begin_file();
    serve_made(0, wants_made);
    the_site.route.ttl_ms = 0;
    origin_script(&the_page, &(struct act){.status = 500}, 1);
    serve_file(1);
}

static void wants_changing_file(struct guest *g, struct origin *o)
{
    wants_file(g, o);
    g->plan.immutable = false;
    g->plan.refresh = REFRESH_CONDITIONAL;
}

/* What may change is proven again before it is refreshed; a failure of the page is one of both. */
static void test_a_stale_file_is_as_good_as_its_page(void **state)
{
    (void)state;
    static const struct {
        int status;
        bool served;
    } rows[] = {{0, true}, {500, true}, {404, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_file();
        served(0, wants_changing_file, &the_origin);
        the_site.route.ttl_ms = the_site.route.negative_ttl_ms = 0;
        kit_sleep(2);
        origin_script(&the_page, &(struct act){.status = rows[i].status}, 1);
        struct guest *g = enter(1, wants_changing_file);
        if (rows[i].served)
            check_body_of(g, &the_origin);
        else
            check_error(g, PLAN_ERR_NOT_FOUND);
        pages_end(NULL);
    }
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

static void test_a_guest_may_leave_with_the_answer(void **state)
{
    (void)state;
    static wants_f *const wants[] = {wants_file, wants_relayed_file, wants_same_bytes};
    const struct act acts[] = {{.status = 0},
                               {.status = 404},
                               {.until = 1000, .ending = CUTS, .no_etag = true},
                               {.holds_head = &head_gate}};
    for (size_t i = 0; i < 3 * sizeof acts / sizeof acts[0]; i++) {
        begin_pages_with(SMALL, (struct site_options){.wait_timeout_ms = 200});
        name_file(&the_page, 1);
        origin_script(&the_page, &acts[i / 3], 1);
        struct guest *g = new_guest(0, wants[i % 3]);
        g->goes_at_once = true;
        guest_enter(g);
        guest_wait_ready(g);
        atomic_store(&head_gate, true);
        site_settle(&the_site);
        assert_int_equal(g->readies, 1);
        pages_end(NULL);
    }
}

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

/* --- credentials --- */

/* While it is shut, Bob waits for his refusals. They may say that there is nothing. */
static atomic_bool refusal_gate = true, refusals_hide;

/* Ann may have all, Bob the page, and nobody else anything. */
static bool answer_to_ann(struct visit *v)
{
    bool ann = has_line(v, "\r\nAuthorization: Basic ann\r\n");
    bool bob = has_line(v, "\r\nAuthorization: Basic bob\r\n");
    if (ann || (bob && !asks_for(v, "/v2/file")))
        return answer_from_origins(v);
    if (bob)
        wait_open(&refusal_gate);
    if (bob && atomic_load(&refusals_hide))
        return answer_text(v, "404 x", "", "no");
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
    atomic_store(&refusals_hide, false);
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

/* They share a fill; it is Bob, with whose credentials it asks, who is refused. */
static void test_a_refusal_to_one_is_none_to_another(void **state)
{
    (void)state;
    for (int hides = 0; hides < 2; hides++) {
        begin_private(NULL);
        atomic_store(&refusals_hide, hides);
        atomic_store(&refusal_gate, false);
        struct guest *bob = enter(0, wants_bobs_file);
        await(server_count(the_site.server, "/v2/file") == 1);
        struct guest *ann = enter(1, wants_anns_file);
        await(origin_got(&the_page) == 2);
        kit_sleep(50); /* her page is read */
        atomic_store(&refusal_gate, true);
        check_error(bob, hides ? PLAN_ERR_NOT_FOUND : PLAN_ERR_FORBIDDEN);
        check_body_of(ann, &the_origin);
        pages_end(NULL);
    }
}

static void test_a_404_to_one_is_not_remembered_for_another(void **state)
{
    (void)state;
    begin_private(NULL);
    atomic_store(&refusals_hide, true);
    check_error(enter(0, wants_bobs_file), PLAN_ERR_NOT_FOUND);
    site_settle(&the_site);
    served(1, wants_anns_file, &the_origin);
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
        TEST(test_a_named_file_is_fetched_and_needs_no_page_afterwards),
        TEST(test_a_long_page_names_a_file_too),
        TEST(test_a_herd_of_a_file_costs_two_requests),
        TEST(test_what_no_page_names_is_not_found),
        TEST(test_a_page_older_than_a_404_may_be_is_asked_for_anew),
        TEST(test_a_page_that_is_old_and_cannot_be_asked_for_denies_nothing),
        TEST(test_an_old_page_still_names_its_files),
        TEST(test_a_stale_file_is_as_good_as_its_page),
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
        TEST(test_a_guest_may_leave_with_the_answer),
        TEST(test_a_guest_may_leave_in_mid_proof),
        TEST(test_a_stop_in_mid_proof_waits_for_the_job_only),
        TEST(test_a_proof_is_waited_for_in_bounds),
        TEST(test_without_memory_nothing_is_proven),
        TEST(test_who_is_refused_what_is_told_apart),
        TEST(test_what_credentials_bring_is_held_for_them_alone),
        TEST(test_a_page_with_a_digest_gives_a_share_in_the_bytes),
        TEST(test_without_a_digest_there_is_no_share),
        TEST(test_proof_is_asked_for_also_of_what_is_held),
        TEST(test_a_refusal_to_one_is_none_to_another),
        TEST(test_a_404_to_one_is_not_remembered_for_another),
        TEST(test_a_grant_is_not_stretched_by_a_failure),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
