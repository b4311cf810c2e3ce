#include "daemon/cache/fill_body.c"

#include "engine_kit.h"

#include <signal.h>
#include <sys/resource.h>

enum { SMALL = 5000, LARGE = 300000, HUGE_BODY = 2 << 20 };

/* --- a look into a running fill --- */

struct look {
    struct seat *seat;
    bool found;
    size_t queued;
    enum fill_mode mode;
    bool storing;
    uint64_t file_end;
    bool job_out;
};

static void look_at_fill(void *arg)
{
    struct look *l = arg;
    struct fill *f = l->seat->worker->fills;
    l->found = f != NULL;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    l->queued = f->queued;
    l->mode = f->mode;
    l->storing = f->storing;
    l->file_end = f->file_end;
    l->job_out = f->job_out;
    pthread_mutex_unlock(&f->lock);
}

static struct look look(int seat)
{
    struct look l = {.seat = &the_site.seats[seat]};
    call_on(l.seat, look_at_fill, &l);
    return l;
}

/* --- the last byte --- */

/*
 * The upstream has sent every byte but not the end: nobody may have the last byte of what he asked
 * for, be it all of the object or a piece from its middle.
 */
static void check_last_byte_withheld(size_t n)
{
    static const struct {
        uint64_t first, end;
    } pieces[] = {{0, 0}, {0, 100}, {100, 101}, {1000, 0}};
    enum { PIECES = sizeof pieces / sizeof pieces[0] };
    struct guest *g[PIECES];
    begin(n);
    SCRIPT({.framing = BY_CHUNKS, .until = n, .holds_rest = &rest_gate});
    for (int i = 0; i < PIECES; i++) {
        g[i] = new_guest(i % SEATS, wants_blob);
        g[i]->first = pieces[i].first;
        g[i]->end = pieces[i].end;
        guest_enter(g[i]);
    }
    for (int i = 0; i < PIECES; i++) {
        size_t all = (pieces[i].end ? pieces[i].end : n) - pieces[i].first;
        await(seen(g[i], n) == all - 1);
    }
    kit_sleep(20);
    for (int i = 0; i < PIECES; i++)
        assert_false(seen(g[i], complete));
    atomic_store(&rest_gate, true);
    for (int i = 0; i < PIECES; i++)
        check_body_of(g[i], &the_origin);
}

static void test_the_last_byte_is_withheld_of_what_is_in_memory(void **state)
{
    (void)state;
    check_last_byte_withheld(SMALL);
}

static void test_the_last_byte_is_withheld_of_what_is_on_disk(void **state)
{
    (void)state;
    check_last_byte_withheld(LARGE);
}

static void wants_relay(struct guest *g, struct origin *o)
{
    wants_blob(g, o);
    g->plan.kind = PLAN_RELAYED;
}

/* A route that caches nothing still verifies what it can. */
static void test_the_last_byte_of_a_relay_is_withheld(void **state)
{
    (void)state;
    begin(SMALL);
    SCRIPT({.framing = BY_CHUNKS, .until = SMALL, .holds_rest = &rest_gate, .wrong = true});
    struct guest *g = enter(0, wants_relay);
    await(seen(g, n) == SMALL - 1);
    atomic_store(&rest_gate, true);
    guest_wait_end(g);
    assert_true(g->broken);
    assert_int_equal(g->n, SMALL - 1);
}

/* --- chunks --- */

/* As after a resume, in pieces that do not fit: what one write brings ends at a boundary. */
static void test_chunks_of_the_file_end_at_multiples_of_their_size(void **state)
{
    (void)state;
    enum { BEGIN = 1000, PIECE = 10000, PIECES = 100 };
    static const char piece[PIECE];
    struct fill f = {.mode = MODE_FILE, .received = BEGIN, .job_out = true};
    fill_body_init(&f);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(fill_take(&f, piece, PIECE), ERR_OK);
    assert_int_equal(f.received, BEGIN + PIECES * PIECE);
    uint64_t at = BEGIN;
    for (const struct chunk *c = f.chunks; c; c = c->next) {
        assert_int_equal(c->offset, at);
        at += c->n;
        assert_true(at % FILL_CHUNK == 0 || !c->next);
        assert_true(c->n <= FILL_CHUNK);
    }
    assert_int_equal(at, f.received);
    fill_body_free(&f);
}

struct gift {
    struct seat *seat;
    size_t n;
    bool is_last;
    enum err result;
    bool job_out;
};

static void take_gift(void *arg)
{
    struct gift *gift = arg;
    struct fill *f = gift->seat->worker->fills;
    uint64_t given = f->skip; /* the upstream's own copy of them is ignored */
    f->skip = 0;
    f->written_ms = clock_mono_ms();
    f->fetch_over = gift->is_last;
    gift->result = fill_take(f, the_origin.bytes + f->received, gift->n);
    f->skip = given + gift->n;
    gift->job_out = f->job_out;
    f->fetch_over = false;
}

/* Bytes that come before the upstream sends them. Have they gone to the disk at once? */
static bool is_written_at_once(size_t n, bool is_last)
{
    struct gift gift = {.seat = &the_site.seats[0], .n = n, .is_last = is_last};
    call_on(gift.seat, take_gift, &gift);
    assert_int_equal(gift.result, ERR_OK);
    return gift.job_out;
}

/* What is less than a chunk waits a little for more, unless it is the last. */
static void test_small_pieces_are_written_together(void **state)
{
    (void)state;
    enum { FIRST = 1000, MORE = 2000, FULL = FILL_CHUNK - FIRST - MORE, LAST = 100 };
    begin(LARGE);
    SCRIPT({.until = FIRST, .holds_rest = &rest_gate});
    struct guest *g = enter(0, wants_blob);
    await(seen(g, n) == FIRST && !look(0).job_out);
    assert_false(is_written_at_once(MORE, false));
    await(seen(g, n) == FIRST + MORE && !look(0).job_out);
    assert_true(is_written_at_once(FULL, false));
    await(seen(g, n) == FILL_CHUNK && !look(0).job_out);
    assert_true(is_written_at_once(LAST, true));
    atomic_store(&rest_gate, true);
    check_body_of(g, &the_origin);
    assert_int_equal(origin_got(&the_origin), 1);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* --- followers --- */

static void test_bytes_are_passed_on_before_the_body_is_complete(void **state)
{
    (void)state;
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        begin(sizes[i]);
        SCRIPT({.until = 4000, .holds_rest = &rest_gate});
        struct guest *here = enter(0, wants_blob), *there = enter(1, wants_blob);
        await(seen(here, n) == 4000 && seen(there, n) == 4000);
        assert_true(seen(here, ready) && seen(there, ready));
        atomic_store(&rest_gate, true);
        check_body_of(here, &the_origin);
        check_body_of(there, &the_origin);
        assert_int_equal(origin_got(&the_origin), 1);
        assert_true(here->cache_status.collapsed + there->cache_status.collapsed == 1);
        kit_end(NULL);
    }
}

static void test_a_slow_follower_does_not_slow_the_fill(void **state)
{
    (void)state;
    begin(HUGE_BODY);
    struct guest *slow = new_guest(1, wants_blob);
    slow->appetite = 1000;
    guest_enter(slow);
    struct guest *quick = enter(0, wants_blob);
    check_body_of(quick, &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(quick, &the_origin), STORED_RIGHT);
    guest_eats(slow, UINT64_MAX);
    check_body_of(slow, &the_origin);
}

/* Half of them leave at every moment there is; the others and the store get all of it. */
static void test_followers_may_leave_at_any_moment(void **state)
{
    (void)state;
    enum { GUESTS = 16 };
    struct guest *g[GUESTS];
    begin(LARGE);
    SCRIPT({.holds_head = &head_gate, .until = LARGE / 2, .holds_rest = &rest_gate});
    for (int i = 0; i < GUESTS; i++)
        g[i] = enter(i % SEATS, wants_blob);
    guest_leave(g[0]);
    guest_leave(g[1]);
    atomic_store(&head_gate, true);
    for (int i = 2; i < GUESTS; i++)
        await(seen(g[i], n) >= LARGE / 2 - 20000);
    for (int i = 2; i < GUESTS / 2; i++)
        guest_leave(g[i]);
    atomic_store(&rest_gate, true);
    for (int i = GUESTS / 2; i < GUESTS; i++)
        check_body_of(g[i], &the_origin);
    for (int i = GUESTS / 2; i < GUESTS; i++)
        guest_leave(g[i]);
    site_settle(&the_site);
    assert_int_equal(stored_for(g[0], &the_origin), STORED_RIGHT);
    assert_int_equal(origin_got(&the_origin), 1);
}

static void test_a_fill_goes_on_when_all_have_left(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.holds_head = &head_gate});
    struct guest *g = enter(0, wants_blob);
    guest_leave(g);
    atomic_store(&head_gate, true);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
}

/* --- what is not stored --- */

static void test_a_relay_that_nobody_wants_any_more_ends_at_the_upstream(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.until = 4000, .ending = STALLS});
    struct guest *g = enter(0, wants_relay);
    await(seen(g, n) == 4000);
    int64_t began = clock_mono_ms();
    guest_leave(g);
    site_settle(&the_site);
    assert_true(clock_mono_ms() - began < kit_options.stall_timeout_ms);
}

/* It would be asked for by nobody, and hold a transfer until the upstream answers. */
static void test_a_relay_that_is_left_before_its_head_ends_too(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.holds_head = &head_gate});
    struct guest *g = enter(0, wants_relay);
    int64_t began = clock_mono_ms();
    guest_leave(g);
    site_settle(&the_site);
    assert_true(clock_mono_ms() - began < kit_options.response_timeout_ms);
    atomic_store(&head_gate, true);
}

static void test_a_relay_holds_no_more_than_its_window(void **state)
{
    (void)state;
    begin(HUGE_BODY);
    struct guest *g = new_guest(0, wants_relay);
    g->appetite = 1;
    guest_enter(g);
    await(look(0).queued >= FILL_WINDOW_MAX);
    kit_sleep(50);
    assert_in_range(look(0).queued, FILL_WINDOW_MAX, FILL_WINDOW_MAX + 64 * 1024);
    assert_false(seen(g, complete));
    guest_eats(g, UINT64_MAX);
    check_body_of(g, &the_origin);
    assert_int_equal(stored_for(g, &the_origin), STORED_NOTHING);
}

/* --- the disk --- */

/* The disk is slower than the link: what waits for it is bounded. */
static void test_a_slow_disk_slows_the_upstream(void **state)
{
    (void)state;
    struct held_disk disk;
    begin(HUGE_BODY);
    disk_stop(&disk, the_site.pool, 2, the_site.seats[1].reactor);
    struct guest *g = enter(0, wants_blob);
    await(look(0).queued >= FILL_QUEUE_MAX);
    kit_sleep(50);
    assert_in_range(look(0).queued, FILL_QUEUE_MAX, FILL_QUEUE_MAX + 64 * 1024);
    assert_int_equal(seen(g, n), 0);
    disk_go(&disk);
    check_body_of(g, &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
    kit_end(NULL);
    disk_end(&disk);
}

static sem_t home_is_held, home_goes_on;

static void hold_home(struct mail *m)
{
    (void)m;
    sem_post(&home_is_held);
    while (sem_wait(&home_goes_on) != 0)
        continue;
}

/* Home has other things to do: what is received is written, and readable elsewhere, without it. */
static void test_writing_does_not_wait_for_home(void **state)
{
    (void)state;
    struct held_disk disk;
    struct mail hold = {.run = hold_home};
    sem_init(&home_is_held, 0, 0);
    sem_init(&home_goes_on, 0, 0);
    begin(HUGE_BODY);
    disk_stop(&disk, the_site.pool, 2, the_site.seats[1].reactor);
    struct guest *here = enter(0, wants_blob);
    await(look(0).queued >= FILL_QUEUE_MAX);
    struct guest *there = enter(1, wants_blob);
    await(seen(there, ready));
    reactor_post(the_site.seats[0].reactor, &hold);
    while (sem_wait(&home_is_held) != 0)
        continue;
    disk_go(&disk);
    for (int i = 0; i < 500 && seen(there, n) < FILL_QUEUE_MAX; i++)
        kit_sleep(10);
    bool is_written = seen(there, n) >= FILL_QUEUE_MAX, was_held = seen(here, n) == 0;
    sem_post(&home_goes_on);
    assert_true(is_written && was_held);
    check_body_of(here, &the_origin);
    check_body_of(there, &the_origin);
    kit_end(NULL);
    disk_end(&disk);
    sem_destroy(&home_is_held);
    sem_destroy(&home_goes_on);
}

/* Of unknown length: kept in memory for the index, until it is too long for that. */
static void test_a_body_that_outgrows_the_index_moves_to_the_disk(void **state)
{
    (void)state;
    begin(LARGE);
    SCRIPT({.framing = BY_CHUNKS, .until = STORE_INLINE_MAX - 1, .holds_rest = &rest_gate});
    struct guest *early = enter(0, wants_blob);
    await(seen(early, n) == STORE_INLINE_MAX - 2);
    assert_int_equal(look(0).mode, MODE_MEMORY);
    atomic_store(&rest_gate, true);
    struct guest *late = enter(1, wants_blob);
    check_body_of(early, &the_origin);
    check_body_of(late, &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(early, &the_origin), STORED_RIGHT);
}

static void test_a_body_of_unknown_length_that_fits_the_index_goes_there(void **state)
{
    (void)state;
    begin(STORE_INLINE_MAX);
    SCRIPT({.framing = BY_CHUNKS});
    struct guest *g = serve_one(0, wants_blob);
    assert_int_equal(stored_for(g, &the_origin), STORED_RIGHT);
    assert_true(serve_one(0, wants_blob)->answer.body == BODY_MEMORY);
}

/* --- the store is full (law 9): everybody still gets everything --- */

enum { TINY_STORE = 1 << 20 };

static void test_what_is_larger_than_the_store_is_relayed_to_each(void **state)
{
    (void)state;
    begin_with(HUGE_BODY, (struct site_options){.max_size = TINY_STORE});
    struct guest *first = new_guest(0, wants_blob);
    first->appetite = HUGE_BODY / 2;
    guest_enter(first);
    await(seen(first, n) == HUGE_BODY / 2);
    struct guest *second = enter(1, wants_blob); /* the beginning is gone for him */
    check_body_of(second, &the_origin);
    guest_eats(first, UINT64_MAX);
    check_body_of(first, &the_origin);
    assert_false(first->cache_status.stored);
    assert_int_equal(stored_for(first, &the_origin), STORED_NOTHING);
}

static void test_what_grows_larger_than_the_store_is_relayed_from_there_on(void **state)
{
    (void)state;
    begin_with(HUGE_BODY, (struct site_options){.max_size = TINY_STORE});
    SCRIPT({.framing = BY_CHUNKS, .until = 100000, .holds_rest = &rest_gate},
           {.framing = BY_CHUNKS});
    struct guest *early = enter(0, wants_blob), *other = enter(1, wants_blob);
    await(seen(early, n) >= 99999 && seen(other, n) >= 99999);
    assert_true(look(0).storing);
    atomic_store(&rest_gate, true);
    check_body_of(early, &the_origin);
    check_body_of(other, &the_origin);
    check_body_of(enter(1, wants_blob), &the_origin);
    site_settle(&the_site);
    assert_int_equal(stored_for(early, &the_origin), STORED_NOTHING);
}

/* He waits for bytes far ahead; those before them must not be kept for him for ever. */
static void test_a_reader_far_ahead_does_not_block_a_relay(void **state)
{
    (void)state;
    begin_with(HUGE_BODY, (struct site_options){.max_size = TINY_STORE});
    SCRIPT({.framing = BY_CHUNKS, .until = 100000, .holds_rest = &rest_gate});
    struct guest *all = enter(0, wants_blob), *ahead = new_guest(1, wants_blob);
    ahead->first = HUGE_BODY - 1000;
    guest_enter(ahead);
    await(seen(all, n) >= 99999 && seen(ahead, ready));
    atomic_store(&rest_gate, true);
    check_body_of(all, &the_origin);
    check_body_of(ahead, &the_origin);
}

static void test_a_wrong_body_larger_than_the_store_is_not_completed(void **state)
{
    (void)state;
    begin_with(HUGE_BODY, (struct site_options){.max_size = TINY_STORE});
    SCRIPT({.framing = BY_CHUNKS, .wrong = true});
    struct guest *g = enter(0, wants_blob);
    guest_wait_end(g);
    assert_true(g->broken);
    assert_int_equal(g->n, HUGE_BODY - 1);
}

/* Every file of the process may be so long; a pwrite beyond it fails as a full disk does. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_disk_that_fills_up_in_mid_body_fails_nobody(void **state)
{
    (void)state;
    begin(HUGE_BODY);
    limit_files(1 << 20);
    struct guest *g[4];
    for (int i = 0; i < 4; i++) {
        g[i] = new_guest(i % SEATS, wants_blob);
        g[i]->first = (uint64_t)i * 500000;
        guest_enter(g[i]);
    }
    for (int i = 0; i < 4; i++)
        check_body_of(g[i], &the_origin);
    site_settle(&the_site);
    limit_files(RLIM_INFINITY);
    assert_int_equal(stored_for(g[0], &the_origin), STORED_NOTHING);
    assert_int_equal(stored_for(serve_one(0, wants_blob), &the_origin), STORED_RIGHT);
}

static void test_a_disk_that_takes_nothing_fails_nobody(void **state)
{
    (void)state;
    begin(LARGE);
    limit_files(10);
    struct guest *here = enter(0, wants_blob), *there = enter(1, wants_blob);
    check_body_of(here, &the_origin);
    check_body_of(there, &the_origin);
    site_settle(&the_site);
    limit_files(RLIM_INFINITY);
    assert_int_equal(stored_for(here, &the_origin), STORED_NOTHING);
}

/* Not even a partial file can be made. */
static void test_a_lost_folder_fails_nobody(void **state)
{
    (void)state;
    static const enum framing framings[] = {BY_LENGTH, BY_CHUNKS};
    for (int i = 0; i < 2; i++) {
        char folder[128];
        begin(HUGE_BODY);
        SCRIPT({.framing = framings[i]});
        snprintf(folder, sizeof folder, "%s/partial", the_site.path);
        remove_folder(folder);
        struct guest *here = enter(0, wants_blob), *there = enter(1, wants_blob);
        check_body_of(here, &the_origin);
        check_body_of(there, &the_origin);
        site_settle(&the_site);
        assert_int_equal(stored_for(here, &the_origin), STORED_NOTHING);
        kit_end(NULL);
    }
}

/* --- copies out of the chunks --- */

struct bench {
    struct fill fill;
    struct follower follower;
};

static void bench_add(struct bench *b, uint64_t offset, const char *text)
{
    struct chunk *c = malloc(sizeof *c + strlen(text));
    *c = (struct chunk){.offset = offset, .n = strlen(text), .cap = strlen(text)};
    memcpy(c->bytes, text, c->n);
    *b->fill.chunks_last = c;
    b->fill.chunks_last = &c->next;
}

static void test_copies_from_chunks(void **state)
{
    (void)state;
    static struct bench b;
    char out[16] = "";
    fill_body_init(&b.fill);
    b.follower.fill = &b.fill;
    assert_int_equal(follower_copy(&b.follower, 0, out, 4), 0);
    bench_add(&b, 10, "abc");
    bench_add(&b, 13, "defg");
    assert_int_equal(follower_copy(&b.follower, 9, out, 4), 0); /* gone */
    assert_int_equal(follower_copy(&b.follower, 10, out, 2), 2);
    assert_memory_equal(out, "ab", 2);
    assert_int_equal(follower_copy(&b.follower, 12, out, 10), 5);
    assert_memory_equal(out, "cdefg", 5);
    assert_int_equal(follower_copy(&b.follower, 17, out, 4), 0); /* not here yet */
    fill_body_free(&b.fill);
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_last_byte_is_withheld_of_what_is_in_memory),
        TEST(test_the_last_byte_is_withheld_of_what_is_on_disk),
        TEST(test_the_last_byte_of_a_relay_is_withheld),
        TEST(test_chunks_of_the_file_end_at_multiples_of_their_size),
        TEST(test_small_pieces_are_written_together),
        TEST(test_bytes_are_passed_on_before_the_body_is_complete),
        TEST(test_a_slow_follower_does_not_slow_the_fill),
        TEST(test_followers_may_leave_at_any_moment),
        TEST(test_a_fill_goes_on_when_all_have_left),
        TEST(test_a_relay_that_nobody_wants_any_more_ends_at_the_upstream),
        TEST(test_a_relay_that_is_left_before_its_head_ends_too),
        TEST(test_a_relay_holds_no_more_than_its_window),
        TEST(test_a_slow_disk_slows_the_upstream),
        TEST(test_writing_does_not_wait_for_home),
        TEST(test_a_body_that_outgrows_the_index_moves_to_the_disk),
        TEST(test_a_body_of_unknown_length_that_fits_the_index_goes_there),
        TEST(test_what_is_larger_than_the_store_is_relayed_to_each),
        TEST(test_what_grows_larger_than_the_store_is_relayed_from_there_on),
        TEST(test_a_reader_far_ahead_does_not_block_a_relay),
        TEST(test_a_wrong_body_larger_than_the_store_is_not_completed),
        TEST(test_a_disk_that_fills_up_in_mid_body_fails_nobody),
        TEST(test_a_disk_that_takes_nothing_fails_nobody),
        TEST(test_a_lost_folder_fails_nobody),
        TEST(test_copies_from_chunks),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
