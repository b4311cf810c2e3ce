#include "daemon/cache/fill_fetch.c"

#include "engine_kit.h"

enum { SMALL = 5000, LARGE = 300000 };

static const struct act honest;

static void check_nothing_stored(struct guest *g)
{
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

/* The upstream has come to its senses: whoever asks now gets it, and it is stored. */
static void check_next_honest_attempt(wants_f *wants)
{
    SCRIPT(honest);
    struct guest *g = serve_one(1, wants);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* --- answers without a body --- */

static void test_what_a_status_means(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum plan_error error;
    } rows[] = {
        {404, PLAN_ERR_NOT_FOUND}, {410, PLAN_ERR_NOT_FOUND}, {401, PLAN_ERR_DENIED},
        {403, PLAN_ERR_DENIED},    {429, PLAN_ERR_UPSTREAM},  {500, PLAN_ERR_UPSTREAM},
        {503, PLAN_ERR_UPSTREAM},  {204, PLAN_ERR_UPSTREAM},  {206, PLAN_ERR_UPSTREAM},
        {301, PLAN_ERR_UPSTREAM},  {304, PLAN_ERR_UPSTREAM},  {416, PLAN_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct act act = {.status = rows[i].status};
        begin(SMALL);
        origin_script(&the_origin, &act, 1);
        struct guest *g = enter(0, wants_blob);
        check_error(g, rows[i].error);
        check_nothing_stored(g);
        kit_end(NULL);
    }
}

/* RFC 9110 section 10.2.3; the client hears of it. */
static void test_the_wish_to_be_left_alone_is_passed_on(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.status = 503, .line = "Retry-After: 77\r\n"});
    struct guest *g = enter(0, wants_blob);
    check_error(g, PLAN_ERR_UPSTREAM);
    assert_int_equal(g->retry_after_s, 77);
    assert_int_equal(g->cache_status.fwd_status, 503);
}

static void test_garbage_is_an_upstream_that_fails(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "\x16\x03\x01", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct act act = {.raw = garbage[i]};
        begin(5);
        origin_script(&the_origin, &act, 1);
        struct guest *g = enter(0, wants_blob);
        check_error(g, PLAN_ERR_UPSTREAM);
        check_nothing_stored(g);
        kit_end(NULL);
    }
}

/* --- digests --- */

/* Nobody gets even the head of it. */
static void test_a_digest_field_that_contradicts_the_request_is_refused(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.no_digest = true,
            .line = "Docker-Content-Digest: sha256:"
                    "0000000000000000000000000000000000000000000000000000000000000000\r\n"});
    struct guest *g = enter(0, wants_blob);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_nothing_stored(g);
    check_next_honest_attempt(wants_blob);
}

/* PROTOCOLS 1.3: another algorithm than that of the request is allowed, and says nothing. */
static void test_a_digest_field_that_says_nothing_usable_is_passed_over(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.no_digest = true,
            .line = "Docker-Content-Digest: sha512:"
                    "0000000000000000000000000000000000000000000000000000000000000000"
                    "0000000000000000000000000000000000000000000000000000000000000000\r\n"},
           {.no_digest = true, .line = "Docker-Content-Digest: nonsense\r\n"});
    struct guest *g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
    origin_change(&the_origin, 2, SMALL);
    g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* Law 1 over every framing and size, for whole bodies and for pieces of them. */
static void test_no_guest_completes_a_wrong_body(void **state)
{
    (void)state;
    static const struct act lies[] = {
        {.wrong = true},
        {.wrong = true, .framing = BY_CHUNKS},
        {.wrong = true, .framing = BY_END},
        {.wrong = true, .no_digest = true},
        {.surplus = 1, .framing = BY_CHUNKS},
        {.surplus = 40000, .framing = BY_CHUNKS},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        for (size_t n = SMALL; n <= LARGE; n += LARGE - SMALL) {
            begin(n);
            origin_script(&the_origin, &lies[i], 1);
            struct guest *whole = new_guest(0, wants_blob), *middle = new_guest(1, wants_blob);
            middle->first = 10;
            middle->end = 20;
            guest_enter(whole);
            guest_enter(middle);
            guest_wait_end(whole);
            guest_wait_end(middle);
            assert_false(whole->complete);
            assert_false(middle->complete && memcmp(middle->body, the_origin.bytes + 10, 10) != 0);
            check_nothing_stored(whole);
            check_next_honest_attempt(wants_blob);
            kit_end(NULL);
        }
    }
}

/* What a tag is said to be, it must be: else its alias would be wrong for ever. */
static void test_a_tag_whose_body_is_not_what_its_digest_field_says(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.wrong = true});
    struct guest *g = enter(0, wants_tag);
    guest_wait_end(g);
    assert_false(g->complete);
    check_nothing_stored(g);
    assert_int_equal(stored_for(new_guest(0, wants_tagged_digest), &the_origin), STORED_NOTHING);
    check_next_honest_attempt(wants_tag);
}

/* The head alone would complete it. */
static void test_an_empty_body_is_not_shown_before_it_is_verified(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.nothing = true});
    struct guest *g = enter(0, wants_blob);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_nothing_stored(g);
    check_next_honest_attempt(wants_blob);
}

/* --- lengths --- */

static void test_the_end_of_a_connection_ends_only_what_a_digest_proves(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.framing = BY_END});
    struct guest *g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
    SCRIPT({.framing = BY_END});
    g = enter(0, wants_list);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_nothing_stored(g);
}

static void wants_short_list(struct guest *g, struct origin *o)
{
    wants_list(g, o);
    g->plan.max_size = SMALL - 1;
}

static void wants_short_blob(struct guest *g, struct origin *o)
{
    wants_blob(g, o);
    g->plan.max_size = LARGE / 2;
}

static void test_a_body_longer_than_the_resource_may_be(void **state)
{
    (void)state;
    begin(SMALL);
    struct guest *g = enter(0, wants_short_list);
    check_error(g, PLAN_ERR_UPSTREAM); /* the length says so at once */
    check_nothing_stored(g);
    SCRIPT({.framing = BY_CHUNKS});
    g = enter(0, wants_short_list);
    guest_wait_end(g);
    assert_false(g->complete);
    check_nothing_stored(g);
}

/* Else the next, honest attempt would go on behind bytes of an endless lie. */
static void test_of_an_overlong_body_nothing_is_kept(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.framing = BY_CHUNKS, .wrong = true});
    struct guest *g = enter(0, wants_short_blob);
    guest_wait_end(g);
    assert_false(g->complete);
    check_nothing_stored(g);
    check_next_honest_attempt(wants_blob);
    assert_int_equal(origin_got(&the_origin), 1);
}

/* --- types --- */

static const struct slice good_types[] = {SLICE("application/good")};
static const struct slice relayed_types[] = {SLICE("application/old")};

static void wants_typed(struct guest *g, struct origin *o)
{
    wants_tag(g, o);
    g->plan.types = good_types;
    g->plan.type_count = 1;
    g->plan.relayed_types = relayed_types;
    g->plan.relayed_type_count = 1;
}

static void test_a_type_that_the_resource_cannot_have_is_refused(void **state)
{
    (void)state;
    begin(SMALL);
    the_origin.type = "text/html";
    struct guest *g = enter(0, wants_typed);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_nothing_stored(g);
}

static void test_parameters_of_a_type_are_cut_where_the_plan_says_so(void **state)
{
    (void)state;
    begin(SMALL);
    the_origin.type = "application/good; charset=utf-8";
    struct guest *g = serve_one(0, wants_typed);
    assert_string_equal(g->type, "application/good");
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* Signed schema 1: its digest is not that of the bytes. */
static void test_a_relayed_type_is_neither_verified_nor_stored(void **state)
{
    (void)state;
    begin(SMALL);
    the_origin.type = "application/old";
    SCRIPT({.no_digest = true,
            .line = "Docker-Content-Digest: sha256:"
                    "0000000000000000000000000000000000000000000000000000000000000000\r\n"});
    struct guest *g = enter(0, wants_typed);
    check_body_of(g, &the_origin);
    assert_false(g->cache_status.stored);
    assert_false(g->answer.seekable);
    check_nothing_stored(g);
}

/* --- the rest of a broken body --- */

static void check_broken_then(const struct act *then, size_t n, enum framing framing, bool resets)
{
    const struct act acts[] = {
        {.until = 100000, .ending = resets ? RESETS : CUTS, .framing = framing}, *then, honest};
    begin(n);
    origin_script(&the_origin, acts, 3);
    struct guest *g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

static void test_the_rest_is_asked_for_after_a_break(void **state)
{
    (void)state;
    check_broken_then(&honest, LARGE, BY_LENGTH, false);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_non_null(strstr(the_site.server->heads[1], "\r\nRange: bytes="));
}

static void test_the_rest_is_asked_for_after_a_reset(void **state)
{
    (void)state;
    check_broken_then(&honest, LARGE, BY_LENGTH, true);
    assert_int_equal(origin_got(&the_origin), 2);
}

static void test_the_rest_of_a_chunked_body_is_asked_for(void **state)
{
    (void)state;
    check_broken_then(&honest, LARGE, BY_CHUNKS, false);
}

static void test_an_upstream_that_ignores_range_is_not_taken_twice(void **state)
{
    (void)state;
    check_broken_then(&(struct act){.whole = true}, LARGE, BY_LENGTH, false);
    assert_int_equal(origin_got(&the_origin), 2);
}

static void test_an_upstream_that_ignores_range_and_breaks_again(void **state)
{
    (void)state;
    check_broken_then(&(struct act){.whole = true, .until = 50000, .ending = CUTS}, LARGE,
                      BY_LENGTH, false);
    assert_int_equal(origin_got(&the_origin), 3);
}

/* Bytes from elsewhere in the object must not be put here. */
static void test_a_wrong_range_is_not_glued_on(void **state)
{
    (void)state;
    check_broken_then(&(struct act){.shift = 7}, LARGE, BY_LENGTH, false);
    assert_int_equal(origin_got(&the_origin), 3);
}

static void test_a_failure_while_the_rest_is_asked_for_is_passing(void **state)
{
    (void)state;
    check_broken_then(&(struct act){.status = 404}, LARGE, BY_LENGTH, false);
    assert_int_equal(origin_got(&the_origin), 3);
}

/* All bytes came, and then no end: 416 says that there are no more. */
static void test_416_to_the_rest_of_a_whole_body_completes_it(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.framing = BY_CHUNKS, .until = LARGE, .ending = CUTS});
    struct guest *g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
    assert_int_equal(origin_got(&the_origin), 2);
}

/* Without a digest nothing else would tell that two halves belong together. */
static void check_list_broken_by(const struct act *first, bool completes)
{
    const struct act acts[] = {*first, honest};
    begin(LARGE);
    origin_script(&the_origin, acts, 2);
    struct guest *g = enter(0, wants_list);
    guest_wait_end(g);
    assert_int_equal(seen(g, complete), completes);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), completes ? STORED_RIGHT : STORED_NOTHING);
}

static void test_a_list_is_resumed_under_its_strong_validator(void **state)
{
    (void)state;
    check_list_broken_by(&(struct act){.until = 100000, .ending = CUTS}, true);
    assert_non_null(strstr(the_site.server->heads[1], "\r\nIf-Range: \"v1-300000\"\r\n"));
}

static void test_two_versions_of_a_list_are_never_glued(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.until = 100000, .ending = CUTS}, {.status = 503}, honest);
    struct guest *g = enter(0, wants_list);
    await(seen(g, n) > 0);
    await(origin_got(&the_origin) >= 2);
    origin_change(&the_origin, 2, LARGE); /* as long as before: only the validator tells */
    guest_wait_end(g);
    assert_false(g->complete);
    check_nothing_stored(g);
}

static void test_a_list_under_a_weak_validator_is_not_resumed(void **state)
{
    (void)state;
    check_list_broken_by(
        &(struct act){
            .until = 100000, .ending = CUTS, .no_etag = true, .line = "ETag: W/\"v1-300000\"\r\n"},
        false);
    assert_int_equal(origin_got(&the_origin), 1);
}

/* --- conditional requests --- */

static void test_304_keeps_what_is_held(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_list);
    the_site.route.ttl_ms = 0;
    struct guest *g = serve_one(1, wants_list);
    assert_int_equal(g->cache_status.fwd_status, 304);
    assert_non_null(strstr(the_site.server->heads[1], "\r\nIf-None-Match: \"v1-5000\"\r\n"));
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

static void test_a_list_that_has_changed_is_fetched_by_the_same_request(void **state)
{
    (void)state;
    begin(SMALL);
    serve_one(0, wants_list);
    the_site.route.ttl_ms = 0;
    origin_change(&the_origin, 2, SMALL + 1);
    struct guest *g = serve_one(1, wants_list);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* --- fields --- */

static struct slice lead_home(const struct plan *plan, struct arena *a, struct slice value)
{
    if (slice_eq(value, SLICE("<drop>")))
        return slice_of(NULL, 0);
    return arena_printf(a, "<%.*s?%.*s>", SLICE_ARG(plan->link_path), SLICE_ARG(plan->link_query));
}

static void wants_linked_list(struct guest *g, struct origin *o)
{
    static const enum http_field_id kept[] = {HF_LINK, HF_OCI_FILTERS_APPLIED};
    wants_list(g, o);
    g->plan.kept_fields = kept;
    g->plan.kept_field_count = 2;
    g->plan.rewrite_link = lead_home;
    g->plan.link_path = SLICE("/home");
    g->plan.link_query = SLICE("ns=x");
}

static void test_links_lead_back_and_other_fields_stay_behind(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.line = "Link: <https://elsewhere/next>\r\nLink: <drop>\r\nX-Secret: 1\r\n"
                    "OCI-Filters-Applied: artifactType\r\n"});
    struct guest *g = serve_one(0, wants_linked_list);
    assert_string_equal(g->fields, "Link: </home?ns=x>\r\nOCI-Filters-Applied: artifactType\r\n");
    struct guest *again = serve_one(1, wants_linked_list);
    assert_true(again->cache_status.hit);
    assert_string_equal(again->fields, g->fields);
}

static void test_fields_that_are_too_long_to_keep_are_a_failure(void **state)
{
    (void)state;
    static char line[STORE_RECORD_MAX / 2 + 100];
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "OCI-Filters-Applied: ", 21);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    char *lines = malloc(sizeof line);
    memcpy(lines, line, sizeof line);
    struct act act = {.line = lines};
    begin(SMALL);
    origin_script(&the_origin, &act, 1);
    struct guest *g = enter(0, wants_linked_list);
    check_error(g, PLAN_ERR_UPSTREAM);
    check_nothing_stored(g);
    free(lines);
}

/* --- questions by HEAD --- */

static void test_a_question_is_answered_without_a_fill(void **state)
{
    (void)state;
    begin(LARGE);
    struct guest *g = enter_for_head(0, wants_blob);
    guest_wait_end(g);
    assert_int_equal(g->state, LOOKUP_ANSWER);
    assert_true(g->answer.has_size && g->answer.size == LARGE);
    assert_true(digest_equal(&g->shown, &the_origin.digest));
    assert_int_equal(origin_got(&the_origin), 0);
    check_nothing_stored(g);
}

/* Public ECR refuses HEAD of a blob and answers GET (PROTOCOLS 1.4). */
static void test_a_refused_head_is_asked_again_by_get(void **state)
{
    (void)state;
    static const int statuses[] = {401, 403, 405};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        begin(LARGE);
        origin_heads(&the_origin, (struct act){.status = statuses[i]});
        struct guest *g = enter_for_head(0, wants_blob);
        guest_wait_end(g);
        assert_int_equal(g->state, LOOKUP_ANSWER);
        assert_int_equal(g->answer.size, LARGE);
        check_nothing_stored(g);
        kit_end(NULL);
    }
}

static void test_a_question_may_be_answered_with_no(void **state)
{
    (void)state;
    static const struct {
        struct act act;
        enum plan_error error;
    } rows[] = {
        {{.status = 404}, PLAN_ERR_NOT_FOUND},
        {{.status = 503}, PLAN_ERR_UPSTREAM},
        {{.no_digest = true,
          .line = "Docker-Content-Digest: sha256:"
                  "0000000000000000000000000000000000000000000000000000000000000000\r\n"},
         PLAN_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(SMALL);
        origin_heads(&the_origin, rows[i].act);
        check_error(enter_for_head(0, wants_blob), rows[i].error);
        kit_end(NULL);
    }
}

/* --- bytes that are held under another name --- */

static void wants_elsewhere(struct guest *g, struct origin *o)
{
    char resource[160], text[DIGEST_TEXT_MAX];
    wants_blob(g, o);
    digest_text(&g->plan.digest, text);
    snprintf(resource, sizeof resource, "b/blobs/%s", text);
    guest_wants(g, o, resource);
}

/* Bytes are shared by digest, permission is not (law 7). */
static void test_held_bytes_are_served_elsewhere_only_when_the_upstream_agrees(void **state)
{
    (void)state;
    begin(LARGE);
    serve_one(0, wants_blob);
    struct guest *g = serve_one(1, wants_elsewhere);
    assert_int_equal(origin_headed(&the_origin), 1);
    assert_int_equal(origin_got(&the_origin), 1);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

static void test_held_bytes_are_not_served_where_they_are_not(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum plan_error error;
    } rows[] = {{404, PLAN_ERR_NOT_FOUND}, {503, PLAN_ERR_UPSTREAM}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(LARGE);
        serve_one(0, wants_blob);
        origin_heads(&the_origin, (struct act){.status = rows[i].status});
        struct guest *g = enter(1, wants_elsewhere);
        check_error(g, rows[i].error);
        check_nothing_stored(g);
        kit_end(NULL);
    }
}

static void test_where_head_says_nothing_held_bytes_are_fetched_again(void **state)
{
    (void)state;
    begin(LARGE);
    serve_one(0, wants_blob);
    origin_heads(&the_origin, (struct act){.status = 401});
    struct guest *g = serve_one(1, wants_elsewhere);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_status_means),
        TEST(test_the_wish_to_be_left_alone_is_passed_on),
        TEST(test_garbage_is_an_upstream_that_fails),
        TEST(test_a_digest_field_that_contradicts_the_request_is_refused),
        TEST(test_a_digest_field_that_says_nothing_usable_is_passed_over),
        TEST(test_no_guest_completes_a_wrong_body),
        TEST(test_a_tag_whose_body_is_not_what_its_digest_field_says),
        TEST(test_an_empty_body_is_not_shown_before_it_is_verified),
        TEST(test_the_end_of_a_connection_ends_only_what_a_digest_proves),
        TEST(test_a_body_longer_than_the_resource_may_be),
        TEST(test_of_an_overlong_body_nothing_is_kept),
        TEST(test_a_type_that_the_resource_cannot_have_is_refused),
        TEST(test_parameters_of_a_type_are_cut_where_the_plan_says_so),
        TEST(test_a_relayed_type_is_neither_verified_nor_stored),
        TEST(test_the_rest_is_asked_for_after_a_break),
        TEST(test_the_rest_is_asked_for_after_a_reset),
        TEST(test_the_rest_of_a_chunked_body_is_asked_for),
        TEST(test_an_upstream_that_ignores_range_is_not_taken_twice),
        TEST(test_an_upstream_that_ignores_range_and_breaks_again),
        TEST(test_a_wrong_range_is_not_glued_on),
        TEST(test_a_failure_while_the_rest_is_asked_for_is_passing),
        TEST(test_416_to_the_rest_of_a_whole_body_completes_it),
        TEST(test_a_list_is_resumed_under_its_strong_validator),
        TEST(test_two_versions_of_a_list_are_never_glued),
        TEST(test_a_list_under_a_weak_validator_is_not_resumed),
        TEST(test_304_keeps_what_is_held),
        TEST(test_a_list_that_has_changed_is_fetched_by_the_same_request),
        TEST(test_links_lead_back_and_other_fields_stay_behind),
        TEST(test_fields_that_are_too_long_to_keep_are_a_failure),
        TEST(test_a_question_is_answered_without_a_fill),
        TEST(test_a_refused_head_is_asked_again_by_get),
        TEST(test_a_question_may_be_answered_with_no),
        TEST(test_held_bytes_are_served_elsewhere_only_when_the_upstream_agrees),
        TEST(test_held_bytes_are_not_served_where_they_are_not),
        TEST(test_where_head_says_nothing_held_bytes_are_fetched_again),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
