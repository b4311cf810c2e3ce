#include "daemon/cache/reading.c"

#include "page_kit.h"

#include <sys/mman.h>

/* --- whoever reads --- */

enum closing { CLOSES_NEVER, CLOSES_ON_ANSWER, CLOSES_ON_OUTPUT, CLOSES_ON_DONE };

/* Lives on seat 0. */
struct user {
    struct reading_spec spec;
    struct reading *reading;
    struct plan plan; /* on whose behalf */
    enum closing closing;
    unsigned refusals; /* so many pieces are not taken at first */
    /* under the site's lock: */
    unsigned answers, calls; /* calls: of any kind */
    unsigned refused;
    bool done;
    enum err result;
    struct buf out;
    struct plan_fact fact;
    char url[256];
    struct digest content;
};

#define noted(u, what)                                                                             \
    __extension__({                                                                                \
        pthread_mutex_lock(&the_site.lock);                                                        \
        __typeof__((u)->what) noted_ = (u)->what;                                                  \
        pthread_mutex_unlock(&the_site.lock);                                                      \
        noted_;                                                                                    \
    })

static void close_at(struct user *u, enum closing now)
{
    if (u->closing == now)
        reading_close(&u->reading);
}

static void on_answer(void *arg)
{
    struct user *u = arg;
    pthread_mutex_lock(&the_site.lock);
    u->calls++;
    u->answers++;
    pthread_mutex_unlock(&the_site.lock);
    close_at(u, CLOSES_ON_ANSWER);
}

static bool on_output(void *arg, struct slice bytes)
{
    struct user *u = arg;
    pthread_mutex_lock(&the_site.lock);
    u->calls++;
    bool takes = u->refused >= u->refusals;
    if (takes)
        buf_add(&u->out, bytes);
    else
        u->refused++;
    pthread_mutex_unlock(&the_site.lock);
    close_at(u, CLOSES_ON_OUTPUT);
    return takes;
}

static void on_done(void *arg, enum err result)
{
    struct user *u = arg;
    pthread_mutex_lock(&the_site.lock);
    u->calls++;
    u->done = true;
    u->result = result;
    u->fact = *reading_fact(u->reading);
    snprintf(u->url, sizeof u->url, "%.*s", SLICE_ARG(u->fact.url));
    if (result == ERR_OK)
        u->content = reading_content(u->reading);
    pthread_mutex_unlock(&the_site.lock);
    close_at(u, CLOSES_ON_DONE);
}

static const struct reading_ops ops = {on_answer, on_output, on_done};

static struct user user_of(const struct plan *page)
{
    struct user u = {
        .spec = {.route = &the_site.route, .object = page, .reader = &shout, .id = SLICE("user")},
        .closing = CLOSES_ON_DONE,
    };
    u.plan.wanted = SLICE("file.whl");
    buf_init(&u.out, 64 << 20);
    return u;
}

static struct user user_who_finds(const struct plan *page)
{
    struct user u = user_of(page);
    u.spec.reader = &finder;
    u.spec.finds = true;
    return u;
}

static void start_user(void *arg)
{
    struct user *u = arg;
    u->spec.plan = &u->plan;
    u->reading = reading_start(the_site.seats[0].worker, &u->spec, &ops, u);
    assert(u->reading);
    assert(u->calls == 0); /* not from within */
}

static void close_user(void *arg)
{
    struct user *u = arg;
    reading_close(&u->reading);
    reading_close(&u->reading); /* a second time does nothing */
}

static void resume_user(void *arg)
{
    struct user *u = arg;
    reading_resume(u->reading);
    reading_resume(u->reading);
}

static void begin_reading(struct user *u)
{
    call_on(&the_site.seats[0], start_user, u);
}

static void end_user(struct user *u)
{
    call_on(&the_site.seats[0], close_user, u);
    buf_free(&u->out);
}

static enum err run_user(struct user *u)
{
    begin_reading(u);
    await(noted(u, done));
    return u->result;
}

static void note_readings(void *arg)
{
    *(unsigned *)arg = the_site.seats[0].worker->readings;
}

/* All that were closed have gone. */
static void await_no_reading(void)
{
    unsigned n = 1;
    for (int ms = 0; n && ms < KIT_WAIT_S * 1000; ms++) {
        call_on(&the_site.seats[0], note_readings, &n);
        kit_sleep(n != 0);
    }
    assert_int_equal(n, 0);
}

static void check_output(struct user *u, const struct origin *page)
{
    const struct origin *made = capitals_of(page);
    assert_true(slice_eq(buf_slice(&u->out), slice_of(made->bytes, made->n)));
    assert_int_equal(u->answers, 1);
}

/* --- a body of any size and coding --- */

static void test_a_body_is_read_while_it_comes_and_when_it_is_held(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,    READING_CODED, READING_CODED + 1, READING_PIECE,
                                   LARGE, SMALL};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        for (int held = 0; held < 2; held++) {
            struct user u = user_of(&page_plan);
            assert_int_equal(run_user(&u), ERR_OK);
            check_output(&u, &the_page);
            assert_true(digest_equal(&u.content, &the_page.digest));
            end_user(&u);
            site_settle(&the_site);
        }
        assert_int_equal(origin_got(&the_page), 1);
        pages_end(NULL);
    }
}

static void test_a_relayed_body_is_read_as_well(void **state)
{
    (void)state;
    begin_pages(LARGE);
    struct user u = user_of(&relayed_page_plan);
    assert_int_equal(run_user(&u), ERR_OK);
    check_output(&u, &the_page);
    assert_true(digest_equal(&u.content, &the_page.digest));
    end_user(&u);
}

static void test_a_coded_body_is_decoded(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, SMALL, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct origin plain;
        page_open(&plain, "", 1, sizes[i]);
        page_code(&the_page, 2);
        for (int held = 0; held < 2; held++) {
            struct user u = user_of(&page_plan);
            assert_int_equal(run_user(&u), ERR_OK);
            check_output(&u, &plain);
            end_user(&u);
            site_settle(&the_site);
        }
        origin_free(&plain);
        pages_end(NULL);
    }
}

static void test_output_comes_before_the_body_ends(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.until = 200000, .holds_rest = &rest_gate}, 1);
    struct user u = user_of(&page_plan);
    begin_reading(&u);
    await(noted(&u, out.n) > 150000);
    assert_false(noted(&u, done));
    atomic_store(&rest_gate, true);
    await(noted(&u, done));
    check_output(&u, &the_page);
    end_user(&u);
}

/* --- a consumer without room --- */

static void test_what_was_not_taken_comes_again(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, SMALL, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        begin_pages(sizes[i]);
        struct user u = user_of(&page_plan);
        u.refusals = 3;
        begin_reading(&u);
        for (unsigned n = 1; n <= 3; n++) {
            await(noted(&u, refused) == n);
            kit_sleep(5);
            assert_int_equal(noted(&u, out.n), 0); /* it waits for the word */
            call_on(&the_site.seats[0], resume_user, &u);
        }
        await(noted(&u, done));
        check_output(&u, &the_page);
        end_user(&u);
        pages_end(NULL);
    }
}

/* --- no body, or a wrong one --- */

static void test_what_goes_wrong_has_a_name(void **state)
{
    (void)state;
    static const struct {
        struct act act;
        enum err result;
        bool has_error; /* of the lookup */
    } rows[] = {
        {{.status = 404}, ERR_UPSTREAM, true},
        {{.status = 500}, ERR_UPSTREAM, true},
        {{.raw = "garbage\r\n\r\n"}, ERR_UPSTREAM, true},
        {{.until = 200000, .ending = CUTS, .no_etag = true}, ERR_UPSTREAM, false},
        {{.framing = BY_CHUNKS, .until = LARGE, .ending = CUTS, .no_etag = true},
         ERR_UPSTREAM,
         false},
        {{.line = GZIP_LINE}, ERR_CORRUPT, false},
        {{.line = "Content-Encoding: br\r\n"}, ERR_UPSTREAM, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_pages(LARGE);
        origin_script(&the_page, &rows[i].act, 1);
        struct user u = user_of(&page_plan);
        u.closing = CLOSES_NEVER;
        assert_int_equal(run_user(&u), rows[i].result);
        assert_int_equal(u.answers, !rows[i].has_error);
        assert_int_equal(reading_lookup(u.reading)->state,
                         rows[i].has_error ? LOOKUP_ERROR : LOOKUP_ANSWER);
        end_user(&u);
        pages_end(NULL);
    }
}

static void test_a_flaw_is_corrupt_wherever_it_is(void **state)
{
    (void)state;
    static const size_t flaws[] = {0, READING_PIECE, LARGE - 1};
    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        begin_pages(LARGE);
        page_spoil(&the_page, 2, LARGE, flaws[i]);
        struct user u = user_of(&relayed_page_plan);
        assert_int_equal(run_user(&u), ERR_CORRUPT);
        end_user(&u);
        pages_end(NULL);
    }
}

static void test_coded_bytes_that_end_too_soon_are_corrupt(void **state)
{
    (void)state;
    begin_pages(LARGE);
    size_t n;
    char *coded = gzip_of(the_page.bytes, the_page.n, &n);
    origin_put(&the_page, coded, n - 5, 2);
    origin_script(&the_page, &(struct act){.line = GZIP_LINE}, 1);
    struct user u = user_of(&relayed_page_plan);
    assert_int_equal(run_user(&u), ERR_CORRUPT);
    end_user(&u);
}

static void test_a_body_that_unfolds_beyond_its_bound_is_refused(void **state)
{
    (void)state;
    begin_pages(0);
    size_t n = 5 << 20, coded_n;
    char *zeros = malloc(n);
    memset(zeros, '\n', n);
    char *coded = gzip_of(zeros, n, &coded_n);
    free(zeros);
    assert_true(coded_n < page_plan.max_size && n > page_plan.max_size);
    origin_put(&the_page, coded, coded_n, 2);
    origin_script(&the_page, &(struct act){.line = GZIP_LINE}, 1);
    struct user relayed = user_of(&relayed_page_plan);
    assert_int_equal(run_user(&relayed), ERR_LIMIT);
    end_user(&relayed);
    /* What is to be stored is checked by its fill too, which may be the first to break off. */
    struct user u = user_of(&page_plan), finds = user_who_finds(&page_plan);
    enum err read = run_user(&u), found = run_user(&finds);
    assert_true(read == ERR_LIMIT || read == ERR_UPSTREAM);
    assert_true(found == ERR_LIMIT || found == ERR_UPSTREAM);
    end_user(&u);
    end_user(&finds);
    site_settle(&the_site);
    assert_int_equal(stored_under("page", "plain", &the_page), STORED_NOTHING);
}

/* Each byte becomes 1000. */
static enum err swell_feed(void *state, struct slice bytes, struct buf *out)
{
    static const char many[1000];
    (void)state;
    for (size_t i = 0; i < bytes.n; i++)
        buf_add(out, slice_of(many, sizeof many));
    return ERR_OK;
}

static void test_what_is_made_of_a_piece_is_bounded(void **state)
{
    (void)state;
    static const struct plan_reader swell = {page_begin, swell_feed, shout_finish, page_free};
    begin_pages(LARGE);
    for (int gzips = 0; gzips < 2; gzips++) {
        struct user u = user_of(&page_plan);
        begin_reading(&u);
        await(noted(&u, done)); /* it is held now: pieces are whole */
        end_user(&u);
        site_settle(&the_site);
        u = user_of(&page_plan);
        u.spec.reader = &swell;
        u.spec.gzips = gzips;
        assert_int_equal(run_user(&u), ERR_LIMIT);
        assert_int_equal(u.out.n, 0);
        end_user(&u);
    }
}

static void test_a_reader_without_memory_is_told_apart(void **state)
{
    (void)state;
    begin_pages(SMALL);
    atomic_store(&reader_memory_is_out, true);
    struct user u = user_of(&page_plan);
    assert_int_equal(run_user(&u), ERR_NOMEM);
    assert_int_equal(u.answers, 0);
    end_user(&u);
    site_settle(&the_site);
    struct slice name = SLICE("text/plain");
    assert_int_equal(reading_check(&page_plan, name, name, false, -1, SLICE("a\n")), ERR_NOMEM);
}

/* A plan that does not fit into a reading's memory. */
static void start_too_large(void *arg)
{
    struct user *u = arg;
    u->spec.plan = &u->plan;
    u->reading = reading_start(the_site.seats[0].worker, &u->spec, &ops, u);
}

static void test_a_plan_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    begin_pages(SMALL);
    struct user u = user_of(&page_plan);
    char *text = calloc(1, READING_ARENA_CAP + 1);
    u.plan.resource = slice_of(text, READING_ARENA_CAP);
    call_on(&the_site.seats[0], start_too_large, &u);
    assert_null(u.reading);
    await_no_reading();
    free(text);
    buf_free(&u.out);
}

/* The disk has lost the end of a file that is being read. */
static void test_a_file_that_has_become_shorter_is_a_broken_body(void **state)
{
    (void)state;
    char hex[2 * SHA256_BYTES + 1], path[256];
    begin_pages(LARGE);
    struct user u = user_of(&page_plan);
    assert_int_equal(run_user(&u), ERR_OK);
    end_user(&u);
    site_settle(&the_site);
    u = user_of(&page_plan);
    u.refusals = 1;
    begin_reading(&u);
    await(noted(&u, refused) == 1);
    hex_encode(the_page.digest.bytes, SHA256_BYTES, hex);
    snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s", the_site.path, hex, hex);
    assert_int_equal(truncate(path, LARGE / 2), 0);
    call_on(&the_site.seats[0], resume_user, &u);
    await(noted(&u, done));
    assert_int_equal(u.result, ERR_UPSTREAM);
    end_user(&u);
}

/* --- facts --- */

static void test_a_fact_lives_as_long_as_the_reading(void **state)
{
    (void)state;
    char line[400], text[DIGEST_TEXT_MAX], url[64];
    begin_pages(SMALL);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v2/file", the_site.server->port);
    snprintf(line, sizeof line, "file.whl %s %s 17\n", url,
             digest_text(&the_origin.digest, text).p);
    page_put(&the_page, 2, LARGE, line);
    struct user u = user_who_finds(&page_plan);
    u.closing = CLOSES_NEVER;
    assert_int_equal(run_user(&u), ERR_OK);
    assert_true(u.fact.found && u.fact.has_size && !u.fact.foreign);
    assert_int_equal(u.fact.size, 17);
    assert_true(digest_equal(&u.fact.digest, &the_origin.digest));
    assert_string_equal(u.url, url);
    assert_true(slice_eq(reading_fact(u.reading)->url, slice_str(url)));
    assert_int_equal(u.out.n, 0);
    end_user(&u);
    struct user other = user_who_finds(&page_plan);
    other.plan.wanted = SLICE("other.whl");
    assert_int_equal(run_user(&other), ERR_OK);
    assert_false(other.fact.found);
    end_user(&other);
}

static void test_only_what_is_held_is_read(void **state)
{
    (void)state;
    begin_pages(SMALL);
    struct user u = user_who_finds(&page_plan);
    u.spec.only_held = true;
    u.closing = CLOSES_NEVER;
    assert_int_equal(run_user(&u), ERR_UPSTREAM);
    assert_int_equal(reading_lookup(u.reading)->error, PLAN_ERR_ONLY_CACHED);
    assert_int_equal(server_requests(the_site.server), 0);
    end_user(&u);
}

static void test_what_is_older_than_allowed_is_asked_for_anew(void **state)
{
    (void)state;
    begin_pages(SMALL);
    for (unsigned i = 0; i < 3; i++) {
        struct user u = user_of(&page_plan);
        u.spec.has_max_age = true;
        u.spec.max_age_ms = i == 1 ? 60000 : 0;
        assert_int_equal(run_user(&u), ERR_OK);
        end_user(&u);
        site_settle(&the_site);
        kit_sleep(2);
        assert_int_equal(origin_got(&the_page), 1 + i / 2);
    }
}

/* --- closing --- */

static void test_nothing_comes_after_the_close(void **state)
{
    (void)state;
    static const enum closing whens[] = {CLOSES_ON_ANSWER, CLOSES_ON_OUTPUT, CLOSES_ON_DONE};
    static const size_t sizes[] = {SMALL, LARGE};
    for (int held = 0; held < 2; held++) {
        for (size_t i = 0; i < 2 * sizeof whens / sizeof whens[0]; i++) {
            begin_pages(sizes[i % 2]);
            struct user first = user_of(&page_plan);
            if (held)
                assert_int_equal(run_user(&first), ERR_OK);
            site_settle(&the_site);
            struct user u = user_of(&page_plan);
            u.closing = whens[i / 2];
            begin_reading(&u);
            await(noted(&u, calls) > 0);
            await_no_reading();
            site_settle(&the_site);
            assert_int_equal(u.answers, 1);
            assert_int_equal(u.done, u.closing == CLOSES_ON_DONE);
            assert_true(u.closing != CLOSES_ON_ANSWER || u.calls == 1);
            assert_true(u.closing != CLOSES_ON_OUTPUT || u.calls == 2);
            buf_free(&u.out);
            buf_free(&first.out);
            pages_end(NULL);
        }
    }
}

static void test_a_close_while_the_upstream_is_awaited(void **state)
{
    (void)state;
    begin_pages(SMALL);
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    struct user u = user_of(&page_plan);
    begin_reading(&u);
    await(origin_got(&the_page) == 1);
    call_on(&the_site.seats[0], close_user, &u);
    await_no_reading();
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    assert_int_equal(u.calls, 0);
    buf_free(&u.out);
}

static void test_a_close_before_the_first_turn(void **state)
{
    (void)state;
    begin_pages(SMALL);
    for (int held = 0; held < 2; held++) {
        struct user u = user_of(&page_plan), other = user_of(&page_plan);
        call_on(&the_site.seats[0], start_user, &u);
        end_user(&u);
        await_no_reading();
        assert_int_equal(run_user(&other), ERR_OK);
        end_user(&other);
        site_settle(&the_site);
    }
}

/* The job has the reader, the file and the buffers until it is back. */
static void test_a_close_while_a_job_is_out(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        begin_pages(LARGE);
        struct user first = user_of(&page_plan);
        if (held)
            assert_int_equal(run_user(&first), ERR_OK);
        site_settle(&the_site);
        origin_script(&the_page, &(struct act){.until = 200000, .holds_rest = &rest_gate}, 1);
        atomic_store(&reader_gate, false);
        struct user u = user_of(&page_plan);
        begin_reading(&u);
        await(atomic_load(&readers_waiting) == 1);
        call_on(&the_site.seats[0], close_user, &u);
        kit_sleep(5);
        unsigned n = 0;
        call_on(&the_site.seats[0], note_readings, &n);
        assert_int_equal(n, 1);
        atomic_store(&reader_gate, true);
        await_no_reading();
        assert_int_equal(u.calls, 1); /* the answer, before */
        buf_free(&u.out);
        buf_free(&first.out);
        pages_end(NULL);
    }
}

/* News of a fill may make a lookup begin another, which nobody would want, at a stop least of all.
 */
static void close_and_look(void *arg)
{
    struct user *u = arg;
    const struct reading *r = u->reading; /* until its mail has run */
    assert(r->look.follower && r->look.timer_set);
    reading_close(&u->reading);
    assert(!r->look.follower && !r->look.timer_set);
}

static void test_a_closed_reading_follows_no_fill(void **state)
{
    (void)state;
    begin_pages(SMALL);
    origin_script(&the_page, &(struct act){.holds_head = &head_gate}, 1);
    struct user u = user_of(&page_plan);
    begin_reading(&u);
    await(origin_got(&the_page) == 1);
    call_on(&the_site.seats[0], close_and_look, &u);
    site_order_stop(&the_site);
    site_stop_workers(&the_site);
    assert_int_equal(origin_got(&the_page), 1);
    assert_int_equal(u.calls, 0);
    buf_free(&u.out);
}

/* Another thread's fill may have news before the mail of the beginning has run. */
static void start_and_have_news(void *arg)
{
    struct user *u = arg;
    start_user(u);
    assert(u->reading->look.state == LOOKUP_ANSWER && !u->reading->answered);
    u->reading->look.on_body(&u->reading->look);
    assert(!u->reading->job_out);
}

static void test_news_of_the_body_before_the_beginning_is_no_beginning(void **state)
{
    (void)state;
    begin_pages(LARGE);
    origin_script(&the_page, &(struct act){.until = 100000, .holds_rest = &rest_gate}, 1);
    struct guest *other = enter(1, wants_made);
    await(seen(other, n) > 0);
    struct user u = user_of(&page_plan);
    call_on(&the_site.seats[0], start_and_have_news, &u);
    atomic_store(&rest_gate, true);
    await(noted(&u, done));
    assert_int_equal(u.result, ERR_OK);
    check_output(&u, &the_page);
    end_user(&u);
}

/* --- a body that is there --- */

static int file_of(const char *bytes, size_t n)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    return fd;
}

static enum err checked(const char *bytes, size_t n, bool gzip, bool in_file)
{
    struct slice url = SLICE("http://127.0.0.1/page"), type = SLICE("text/plain");
    if (!in_file)
        return reading_check(&page_plan, url, type, gzip, -1, slice_of(bytes, n));
    int fd = file_of(bytes, n);
    enum err rc = reading_check(&page_plan, url, type, gzip, fd, slice_of(NULL, 0));
    close(fd);
    return rc;
}

static void test_a_whole_body_is_checked(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, READING_PIECE, READING_PIECE + 1, LARGE};
    atomic_store(&reader_memory_is_out, false);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 2], coded_n;
        bool in_file = i % 2;
        struct origin page;
        page_open(&page, "", 1, n);
        assert_int_equal(checked(page.bytes, n, false, in_file), ERR_OK);
        assert_int_equal(checked(page.bytes, n, true, in_file), ERR_CORRUPT);
        if (n > 2) /* it ends within a line */
            assert_int_equal(checked(page.bytes, n - 2, false, in_file), ERR_CORRUPT);
        char *coded = gzip_of(page.bytes, n, &coded_n);
        assert_int_equal(checked(coded, coded_n, true, in_file), ERR_OK);
        assert_int_equal(checked(coded, coded_n - 1, true, in_file), ERR_CORRUPT);
        free(coded);
        origin_free(&page);
    }
    assert_int_equal(checked("a\001\n", 3, false, true), ERR_CORRUPT);
}

static void test_a_file_that_cannot_be_read_is_no_verdict(void **state)
{
    (void)state;
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    struct slice none = SLICE("");
    assert_int_equal(reading_check(&page_plan, none, none, false, fd, none), ERR_IO);
    close(fd);
}

#define TEST(name) cmocka_unit_test_teardown(name, pages_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_body_is_read_while_it_comes_and_when_it_is_held),
        TEST(test_a_relayed_body_is_read_as_well),
        TEST(test_a_coded_body_is_decoded),
        TEST(test_output_comes_before_the_body_ends),
        TEST(test_what_was_not_taken_comes_again),
        TEST(test_what_goes_wrong_has_a_name),
        TEST(test_a_flaw_is_corrupt_wherever_it_is),
        TEST(test_coded_bytes_that_end_too_soon_are_corrupt),
        TEST(test_a_body_that_unfolds_beyond_its_bound_is_refused),
        TEST(test_what_is_made_of_a_piece_is_bounded),
        TEST(test_a_reader_without_memory_is_told_apart),
        TEST(test_a_plan_that_does_not_fit_is_refused),
        TEST(test_a_file_that_has_become_shorter_is_a_broken_body),
        TEST(test_a_fact_lives_as_long_as_the_reading),
        TEST(test_only_what_is_held_is_read),
        TEST(test_what_is_older_than_allowed_is_asked_for_anew),
        TEST(test_nothing_comes_after_the_close),
        TEST(test_a_close_while_the_upstream_is_awaited),
        TEST(test_a_close_before_the_first_turn),
        TEST(test_a_close_while_a_job_is_out),
        TEST(test_a_closed_reading_follows_no_fill),
        TEST(test_news_of_the_body_before_the_beginning_is_no_beginning),
        TEST(test_a_whole_body_is_checked),
        TEST(test_a_file_that_cannot_be_read_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
