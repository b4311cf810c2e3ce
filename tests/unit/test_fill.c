#include "daemon/cache/fill.c"

#include "engine_kit.h"

#include <dirent.h>
#include <fcntl.h>

enum { SMALL = 5000, LARGE = 300000 };

static const struct act honest;

/* --- the whole way --- */

static void test_a_body_of_any_size_is_delivered_and_stored(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, SMALL, STORE_INLINE_MAX, STORE_INLINE_MAX + 1, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin(sizes[i]);
        struct guest *g = serve_one(0, wants_blob);
        assert_true(g->cache_status.stored && !g->cache_status.hit);
        assert_true(digest_equal(&g->shown, &the_origin.digest));
        assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
        assert_true(serve_one(1, wants_blob)->cache_status.hit);
        assert_int_equal(origin_got(&the_origin), 1);
        kit_end(NULL);
    }
}

static void test_a_herd_costs_one_request(void **state)
{
    (void)state;
    enum { HERD = 24 };
    struct guest *g[HERD];
    begin(LARGE);
    SCRIPT({.holds_head = &head_gate});
    for (int i = 0; i < HERD; i++)
        g[i] = enter(i % SEATS, wants_blob);
    atomic_store(&head_gate, true);
    for (int i = 0; i < HERD; i++)
        check_body_of(g[i], &the_origin);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void wants_sha512(struct guest *g, struct origin *o)
{
    char text[DIGEST_TEXT_MAX];
    struct hasher *h = hasher_new(DIGEST_SHA512);
    wants_blob(g, o);
    hasher_update(h, o->bytes, o->n);
    hasher_digest(h, DIGEST_SHA512, &g->plan.digest);
    hasher_free(&h);
    digest_text(&g->plan.digest, text);
    snprintf(g->names[0], sizeof g->names[0], "a/blobs/%s", text);
    snprintf(g->names[1], sizeof g->names[1], "/v2/a/blobs/%s", text);
    g->plan.resource = slice_str(g->names[0]);
    g->plan.upstream_path = slice_str(g->names[1]);
    snprintf(o->path, sizeof o->path, "%s", g->names[1]);
}

static void test_the_other_algorithm_is_verified_too(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        SCRIPT({.wrong = true}, honest);
        struct guest *g = enter(0, wants_sha512);
        guest_wait_end(g);
        assert_false(g->complete);
        site_settle(&the_site);
        g = serve_one(0, wants_sha512);
        assert_int_equal(g->shown.algo, DIGEST_SHA512);
        assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
        kit_end(NULL);
    }
}

static enum err inspect_no(struct slice body, struct slice content_type)
{
    assert_int_equal(content_type.n, strlen("application/octet-stream"));
    return body.n == SMALL || body.n == LARGE ? ERR_CORRUPT : ERR_OK;
}

static void wants_inspected(struct guest *g, struct origin *o)
{
    wants_tag(g, o);
    g->plan.inspect = inspect_no;
}

/* The digest is right, but this is no manifest. */
static void test_what_does_not_pass_inspection_is_not_stored(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        struct guest *g = enter(0, wants_inspected);
        guest_wait_end(g);
        assert_false(g->complete);
        site_settle(&the_site);
        assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
        kit_end(NULL);
    }
}

/* --- the same answer under its digest --- */

static void test_a_tag_s_answer_is_found_by_its_digest(void **state)
{
    (void)state;
    begin(SMALL);
    struct guest *tag = enter(0, wants_tag);
    check_body_of(tag, &the_origin);
    /* Nobody waits for the index: dockerd asks for the digest as soon as it has the tag. */
    struct guest *digest = enter(1, wants_tagged_digest);
    check_body_of(digest, &the_origin);
    site_settle(&the_site);
    assert_int_equal(origin_got(&the_origin), 1);
    assert_int_equal(stored_for(digest, &the_origin), STORED_RIGHT);
    the_site.route.ttl_ms = 0;
    assert_true(serve_one(0, wants_tagged_digest)->cache_status.hit); /* it never gets old */
    assert_int_equal(origin_got(&the_origin), 1);
}

/* A 404 of the digest that is remembered from before the push must not outlive it. */
static void test_a_tag_s_answer_ends_the_404_of_its_digest(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.status = 404}, honest);
    struct guest *g = new_guest(0, wants_tagged_digest);
    guest_enter(g);
    check_error(g, PLAN_ERR_NOT_FOUND);
    guest_leave(g);
    serve_one(0, wants_tag);
    check_body_of(enter(1, wants_tagged_digest), &the_origin);
}

/* --- an earlier attempt has left bytes --- */

static void leave_some_behind(size_t n, size_t left)
{
    begin(n);
    SCRIPT({.until = left, .ending = STALLS});
    struct guest *g = enter(0, wants_blob);
    await(seen(g, n) == left);
    guest_leave(g);
}

/* The daemon is restarted over the same folder. */
static void restart(int64_t max_size)
{
    char folder[64];
    snprintf(folder, sizeof folder, "%s", the_site.path);
    site_close(&the_site);
    site_open(&the_site, &(struct site_options){
                             .origins = &the_origin, .folder = folder, .max_size = max_size});
}

static void test_a_stop_keeps_what_has_come_and_a_start_goes_on_there(void **state)
{
    (void)state;
    leave_some_behind(LARGE, 200000);
    restart(0);
    SCRIPT(honest);
    struct guest *g = serve_one(1, wants_blob);
    assert_non_null(strstr(the_site.server->heads[0], "\r\nRange: bytes=200000-\r\n"));
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* What is there already need not be waited for. */
static void test_what_was_left_is_served_as_soon_as_the_head_is_in(void **state)
{
    (void)state;
    leave_some_behind(LARGE, 200000);
    restart(0);
    SCRIPT({.until = 200000, .holds_rest = &rest_gate});
    struct guest *g = enter(0, wants_blob);
    await(seen(g, n) == 200000);
    atomic_store(&rest_gate, true);
    check_body_of(g, &the_origin);
}

static void test_an_upstream_that_cannot_resume_sends_all_again(void **state)
{
    (void)state;
    leave_some_behind(LARGE, 200000);
    restart(0);
    SCRIPT({.whole = true});
    struct guest *g = serve_one(1, wants_blob);
    assert_int_equal(origin_got(&the_origin), 1);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* Overwrites bytes of it, or appends to it. */
static void spoil_what_is_left(off_t at)
{
    char path[400];
    snprintf(path, sizeof path, "%s/partial", the_site.path);
    DIR *d = opendir(path);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d))) {
        int fd = e->d_name[0] == '.' ? -1 : openat(dirfd(d), e->d_name, O_WRONLY);
        if (fd < 0)
            continue;
        assert_int_equal(pwrite(fd, "wrong", 5, at), 5);
        close(fd);
    }
    closedir(d);
}

/* A disk that lied at a power cut: one attempt fails, and takes the wrong bytes with it. */
static void test_wrong_bytes_that_were_left_spoil_one_attempt_only(void **state)
{
    (void)state;
    leave_some_behind(LARGE, 200000);
    spoil_what_is_left(1000);
    restart(0);
    SCRIPT(honest);
    struct guest *g = enter(0, wants_blob);
    guest_wait_end(g);
    assert_false(g->complete);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
    assert_int_equal(stored_for(serve_one(1, wants_blob), &the_origin), STORED_RIGHT);
}

/* 416 to what would be the rest: all is asked for, before anything was promised. */
static void test_what_was_left_is_longer_than_the_object(void **state)
{
    (void)state;
    leave_some_behind(LARGE, LARGE - 2);
    spoil_what_is_left(LARGE - 2);
    restart(0);
    SCRIPT(honest);
    struct guest *g = serve_one(1, wants_blob);
    assert_int_equal(origin_got(&the_origin), 2);
    assert_non_null(strstr(the_site.server->heads[0], "\r\nRange: "));
    assert_null(strstr(the_site.server->heads[1], "\r\nRange: "));
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* What was left is more than the store may hold by now. */
static void test_a_store_made_smaller_still_serves(void **state)
{
    (void)state;
    leave_some_behind(3 << 20, 2 << 20);
    restart(1 << 20);
    SCRIPT(honest);
    struct guest *g = enter(0, wants_blob);
    check_body_of(g, &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

/* --- a disk that fails at the end --- */

static void make_unusable(const char *folder)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", the_site.path, folder);
    remove_folder(path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_a_commit_that_fails_fails_no_client(void **state)
{
    (void)state;
    begin(LARGE);
    make_unusable("blobs/sha256");
    struct guest *here = enter(0, wants_blob), *there = enter(1, wants_blob);
    check_body_of(here, &the_origin);
    check_body_of(there, &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(here, &the_origin), STORED_NOTHING);
}

/* --- bounds and ends --- */

static void test_too_many_fills_are_an_honest_refusal(void **state)
{
    (void)state;
    begin(SMALL);
    atomic_fetch_add(&the_site.engine->fills, ENGINE_FILLS_MAX);
    check_error(enter(0, wants_blob), PLAN_ERR_BUSY);
    check_error(enter_for_head(0, wants_blob), PLAN_ERR_BUSY);
    atomic_fetch_sub(&the_site.engine->fills, ENGINE_FILLS_MAX);
    serve_one(0, wants_blob);
}

static void test_an_upstream_without_progress_is_given_up(void **state)
{
    (void)state;
    static struct fill f;
    static struct reactor *reactor;
    assert_int_equal(reactor_new(&reactor, NULL), ERR_OK);
    timer_init(&f.timer, reactor, on_timer);
    f.phase = FILL_ANSWERING;
    f.expected.algo = DIGEST_SHA256;
    f.received = f.progress = 10;
    for (int i = 0; i < FILL_BREAKS_MAX; i++)
        assert_int_equal(broken(&f), STEP_BACKOFF);
    assert_int_equal(broken(&f), STEP_CLOSE);
    assert_int_equal(f.outcome, FILL_FAILED);
    f.received = 11; /* a byte more: all tries anew */
    assert_int_equal(broken(&f), STEP_BACKOFF);
    assert_int_equal(f.breaks, 1);
    timer_clear(&f.timer);
    reactor_free(&reactor);
}

static void test_before_a_head_nothing_is_tried_twice(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.ending = RESETS, .raw = ""});
    check_error(enter(0, wants_blob), PLAN_ERR_UPSTREAM);
    assert_true(origin_got(&the_origin) <= 2); /* libcurl asks again on a connection it reused */
}

static void test_every_step_has_a_function_and_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < STEP_COUNT; i++) {
        assert_non_null(steps[i].name);
        assert_true(steps[i].run != NULL);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_body_of_any_size_is_delivered_and_stored),
        TEST(test_a_herd_costs_one_request),
        TEST(test_the_other_algorithm_is_verified_too),
        TEST(test_what_does_not_pass_inspection_is_not_stored),
        TEST(test_a_tag_s_answer_is_found_by_its_digest),
        TEST(test_a_tag_s_answer_ends_the_404_of_its_digest),
        TEST(test_a_stop_keeps_what_has_come_and_a_start_goes_on_there),
        TEST(test_what_was_left_is_served_as_soon_as_the_head_is_in),
        TEST(test_an_upstream_that_cannot_resume_sends_all_again),
        TEST(test_wrong_bytes_that_were_left_spoil_one_attempt_only),
        TEST(test_what_was_left_is_longer_than_the_object),
        TEST(test_a_store_made_smaller_still_serves),
        TEST(test_a_commit_that_fails_fails_no_client),
        TEST(test_too_many_fills_are_an_honest_refusal),
        TEST(test_an_upstream_without_progress_is_given_up),
        TEST(test_before_a_head_nothing_is_tried_twice),
        TEST(test_every_step_has_a_function_and_a_name),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
