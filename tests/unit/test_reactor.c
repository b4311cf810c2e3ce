#include <sched.h>

static int offers;

static int count_offer(void)
{
    offers++;
    return 0;
}
#define sched_yield count_offer
#include "daemon/io/reactor.c"

#include "loop.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

static struct loop loop;

static int set_up(void **state)
{
    (void)state;
    loop_open(&loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_close(&loop);
    return 0;
}

static void run(void)
{
    reactor_run(loop.reactor);
}

static void stop(void)
{
    reactor_stop(loop.reactor);
}

/* --- mail --- */

static char seen[32];

static void note(char c)
{
    size_t n = strlen(seen);
    assert_true(n + 1 < sizeof seen);
    seen[n] = c;
    seen[n + 1] = '\0';
}

static void forget(void)
{
    seen[0] = '\0';
}

struct letter {
    struct mail mail;
    char c;
    struct letter *posts; /* when it runs for the first time */
    bool stops;
};

static void on_letter(struct mail *m)
{
    struct letter *l = container_of(m, struct letter, mail);
    note(l->c);
    if (l->posts)
        reactor_post(loop.reactor, &l->posts->mail);
    else if (l->stops)
        stop();
    l->posts = NULL;
}

static struct letter letter(char c)
{
    return (struct letter){.mail = {.run = on_letter}, .c = c};
}

static void test_mail_runs_in_the_order_posted(void **state)
{
    (void)state;
    struct letter a = letter('a'), b = letter('b'), c = letter('c');
    forget();
    c.stops = true;
    reactor_post(loop.reactor, &a.mail);
    reactor_post(loop.reactor, &b.mail);
    reactor_post(loop.reactor, &c.mail);
    run();
    assert_string_equal(seen, "abc");
}

/* Else two that answer each other would starve every descriptor. */
static void test_mail_posted_by_mail_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct letter a = letter('a'), b = letter('b'), late = letter('z');
    forget();
    a.posts = &late;
    late.stops = true;
    reactor_post(loop.reactor, &a.mail);
    reactor_post(loop.reactor, &b.mail);
    run();
    assert_string_equal(seen, "abz");
}

static void test_mail_may_be_posted_again_by_its_own_run(void **state)
{
    (void)state;
    struct letter a = letter('a');
    forget();
    a.posts = &a;
    a.stops = true;
    reactor_post(loop.reactor, &a.mail);
    run();
    assert_string_equal(seen, "aa");
}

static void on_self_freed(struct mail *m)
{
    free(container_of(m, struct letter, mail));
    note('f');
}

static void test_mail_may_free_itself(void **state)
{
    (void)state;
    forget();
    for (int i = 0; i < 3; i++) {
        struct letter *l = calloc(1, sizeof *l);
        l->mail.run = on_self_freed;
        reactor_post(loop.reactor, &l->mail);
    }
    struct letter end = letter('.');
    end.stops = true;
    reactor_post(loop.reactor, &end.mail);
    run();
    assert_string_equal(seen, "fff.");
}

/* At shutdown what others have sent must not be lost: it may hold references. */
static void test_what_was_posted_before_the_stop_still_runs(void **state)
{
    (void)state;
    struct letter a = letter('a'), b = letter('b');
    forget();
    reactor_post(loop.reactor, &a.mail);
    stop();
    reactor_post(loop.reactor, &b.mail);
    run();
    assert_string_equal(seen, "ab");
}

enum { SENDERS = 4, LETTERS = 500 };

struct sender {
    pthread_t thread;
    struct mail mails[LETTERS];
};

static unsigned arrived;
static pthread_t reactor_thread;

static void on_arrival(struct mail *m)
{
    (void)m;
    assert_true(pthread_equal(pthread_self(), reactor_thread));
    if (++arrived == SENDERS * LETTERS)
        stop();
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < LETTERS; i++) {
        s->mails[i].run = on_arrival;
        reactor_post(loop.reactor, &s->mails[i]);
    }
    return NULL;
}

static void test_mail_from_other_threads_all_arrives(void **state)
{
    (void)state;
    static struct sender senders[SENDERS];
    arrived = 0;
    reactor_thread = pthread_self();
    for (int i = 0; i < SENDERS; i++)
        pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
    run();
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    assert_int_equal(arrived, SENDERS * LETTERS);
}

/* --- the CPU --- */

enum { WORK_US = 20000 };

struct work {
    struct mail mail;
    int64_t until_us;
};

static void on_work(struct mail *m)
{
    struct work *w = container_of(m, struct work, mail);
    if (clock_mono_us() < w->until_us)
        reactor_post(loop.reactor, m);
    else
        stop();
}

/* How often the CPU is offered during work without a pause; and how long that took. */
static int64_t offers_of_work(void)
{
    int64_t start = clock_mono_us();
    struct work w = {.mail.run = on_work, .until_us = start + WORK_US};
    offers = 0;
    reactor_post(loop.reactor, &w.mail);
    run();
    return clock_mono_us() - start;
}

static void test_long_work_offers_the_cpu_now_and_then(void **state)
{
    (void)state;
    int64_t took = offers_of_work();
    assert_true(offers >= 2);
    assert_true(offers <= took / SHARE_US + 1);
}

static struct scheduling scheduling_of_this_thread(void)
{
    struct scheduling s = {0};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &s, sizeof s, 0), 0);
    return s;
}

static void *in_a_thread_of_its_own(void *arg)
{
    struct scheduling *seen_there = arg; /* as it was, as a reactor has it */
    assert_int_not_equal(nice(3), -1);
    seen_there[0] = scheduling_of_this_thread();
    shorten_slice();
    seen_there[1] = scheduling_of_this_thread();
    return NULL;
}

/* Linux 6.12 and later show the slice as the runtime; before, it is 0 and stays so. */
static void test_the_slice_is_as_long_as_the_share_and_nothing_else_changes(void **state)
{
    (void)state;
    struct scheduling s[2];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, in_a_thread_of_its_own, s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(s[1].policy, s[0].policy);
    assert_int_equal(s[1].flags, s[0].flags);
    assert_int_equal(s[1].nice, s[0].nice);
    assert_int_equal(s[1].priority, s[0].priority);
    assert_int_equal(s[1].runtime_ns, s[0].runtime_ns ? SHARE_US * 1000 : 0);
}

/* --- the time of a turn --- */

struct look {
    struct mail mail;
    int64_t before, mono, wall, mono_later, wall_later;
    struct look *next; /* in the next turn */
};

static void on_look(struct mail *m)
{
    struct look *l = container_of(m, struct look, mail);
    l->before = clock_mono_ms();
    l->mono = reactor_mono_ms(loop.reactor);
    l->wall = reactor_wall_ms(loop.reactor);
    usleep(30 * 1000);
    l->mono_later = reactor_mono_ms(loop.reactor);
    l->wall_later = reactor_wall_ms(loop.reactor);
    if (l->next)
        reactor_post(loop.reactor, &l->next->mail);
    else
        stop();
}

static void test_the_time_stands_within_a_turn_and_goes_on_with_the_next(void **state)
{
    (void)state;
    struct look second = {.mail.run = on_look}, first = {.mail.run = on_look, .next = &second};
    int64_t off = clock_wall_ms() - clock_mono_ms();
    reactor_post(loop.reactor, &first.mail);
    run();
    for (struct look *l = &first; l; l = l->next) {
        assert_true(l->mono >= l->before);
        assert_true(llabs(l->wall - l->mono - off) < 1000);
        assert_int_equal(l->mono_later, l->mono);
        assert_int_equal(l->wall_later, l->wall);
    }
    assert_true(second.mono >= first.mono + 30);
    assert_true(second.wall >= first.wall + 29);
}

/* --- timers --- */

struct alarm {
    struct timer timer;
    char c;
    int64_t again_ms; /* > 0: set anew when it fires, once */
    struct alarm *clears;
    struct alarm *before_waiting; /* set for the end of the turn when it fires */
    bool stops;
};

static void on_alarm(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    note(a->c);
    if (a->again_ms)
        timer_set(t, a->again_ms);
    a->again_ms = 0;
    if (a->clears)
        timer_clear(&a->clears->timer);
    if (a->before_waiting)
        timer_set_turn_end(&a->before_waiting->timer);
    if (a->stops)
        stop();
}

static void alarm_init(struct alarm *a, char c)
{
    *a = (struct alarm){.c = c};
    timer_init(&a->timer, loop.reactor, on_alarm);
}

static void test_a_timer_fires_once_when_it_is_due(void **state)
{
    (void)state;
    struct alarm a, end;
    forget();
    alarm_init(&a, 'a');
    alarm_init(&end, '.');
    end.stops = true;
    timer_set(&a.timer, 20);
    timer_set(&end.timer, 80);
    int64_t began = clock_mono_ms();
    run();
    assert_string_equal(seen, "a.");
    assert_in_range(clock_mono_ms() - began, 80 - TIMER_GRAIN_MS, 5000);
}

/* Both are due in one turn: what the first one asks for comes behind the second. */
static void test_the_end_of_a_turn_comes_after_its_callbacks(void **state)
{
    (void)state;
    struct alarm first, second, last;
    forget();
    alarm_init(&first, 'a');
    alarm_init(&second, 'b');
    alarm_init(&last, 'c');
    first.before_waiting = &last;
    last.stops = true;
    timer_set(&first.timer, 0);
    timer_set(&second.timer, 0);
    run();
    assert_string_equal(seen, "abc");
}

static void test_setting_a_timer_replaces_what_was_set(void **state)
{
    (void)state;
    struct alarm a, end;
    forget();
    alarm_init(&a, 'a');
    alarm_init(&end, '.');
    end.stops = true;
    timer_set(&a.timer, 1);
    timer_set(&a.timer, 5000);
    timer_set(&end.timer, 40);
    run();
    assert_string_equal(seen, ".");
    timer_clear(&a.timer);
}

static void test_a_timer_may_set_itself_anew(void **state)
{
    (void)state;
    struct alarm a, end;
    forget();
    alarm_init(&a, 'a');
    alarm_init(&end, '.');
    a.again_ms = 10;
    end.stops = true;
    timer_set(&a.timer, 0);
    timer_set(&end.timer, 60);
    run();
    assert_string_equal(seen, "aa.");
}

/* Both are due in one turn: what the first clears must not fire any more. */
static void test_a_cleared_timer_that_is_due_does_not_fire(void **state)
{
    (void)state;
    struct alarm a, b, end;
    forget();
    alarm_init(&a, 'a');
    alarm_init(&b, 'b');
    alarm_init(&end, '.');
    a.clears = &b;
    end.stops = true;
    timer_set(&a.timer, 1);
    timer_set(&b.timer, 2);
    timer_set(&end.timer, 30);
    struct timespec past_both = {.tv_nsec = 10 * 1000000};
    nanosleep(&past_both, NULL);
    run();
    assert_string_equal(seen, "a.");
}

/* --- watches --- */

struct pair {
    struct watch watch;
    int ours, theirs;
    struct pair *other; /* not to be watched any more when this one is ready */
    unsigned calls;
    unsigned got;
    bool stops;
};

/* A TCP connection: socketpair() knows no reset. */
static void pair_open(struct pair *p, void (*on_ready)(struct watch *w, unsigned what))
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *p = (struct pair){.theirs = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(connect(p->theirs, (struct sockaddr *)&a, n), 0);
    p->ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(p->ours >= 0);
    close(listener);
    watch_init(&p->watch, loop.reactor, p->ours, on_ready);
}

static void pair_close(struct pair *p)
{
    watch_set(&p->watch, 0);
    close(p->ours);
    if (p->theirs >= 0)
        close(p->theirs);
}

static void peer_sends(const struct pair *p)
{
    assert_int_equal(write(p->theirs, "x", 1), 1);
}

static void peer_leaves(struct pair *p, bool reset)
{
    struct linger now = {.l_onoff = reset, .l_linger = 0};
    setsockopt(p->theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(p->theirs);
    p->theirs = -1;
}

static void on_pair(struct watch *w, unsigned what)
{
    struct pair *p = container_of(w, struct pair, watch);
    p->calls++;
    p->got |= what;
    if (p->other)
        watch_set(&p->other->watch, 0);
    if (p->stops) {
        watch_set(w, 0);
        stop();
    }
}

/* Runs for `ms` and returns the processor time that this took, in ms. */
static int64_t run_for(int64_t ms)
{
    struct alarm end;
    struct timespec before, after;
    alarm_init(&end, '.');
    end.stops = true;
    timer_set(&end.timer, ms);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    run();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
}

static void on_read_twice(struct watch *w, unsigned what)
{
    struct pair *p = container_of(w, struct pair, watch);
    assert_int_equal(what, WATCH_READ);
    if (++p->calls < 2)
        return; /* nothing was read: it must be called again */
    watch_set(w, 0);
    stop();
}

static void test_readability_is_level_triggered(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, on_read_twice);
    peer_sends(&p);
    watch_set(&p.watch, WATCH_READ);
    run();
    assert_int_equal(p.calls, 2);
    pair_close(&p);
}

/* A connection that closes another one must not leave a call to freed memory behind. */
static void test_a_watch_that_is_ended_in_the_same_turn_is_not_called(void **state)
{
    (void)state;
    struct pair a, b;
    pair_open(&a, on_pair);
    pair_open(&b, on_pair);
    a.other = &b;
    b.other = &a;
    a.stops = b.stops = true;
    peer_sends(&a);
    peer_sends(&b);
    watch_set(&a.watch, WATCH_READ);
    watch_set(&b.watch, WATCH_READ);
    run();
    assert_int_equal(a.calls + b.calls, 1);
    pair_close(&a);
    pair_close(&b);
}

static void on_change_of_interest(struct watch *w, unsigned what)
{
    struct pair *p = container_of(w, struct pair, watch);
    p->calls++;
    p->got |= what;
    watch_set(w, what == WATCH_READ ? WATCH_WRITE : 0);
    if (what == WATCH_WRITE)
        stop();
}

static void test_interest_may_change_within_the_callback(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, on_change_of_interest);
    peer_sends(&p);
    watch_set(&p.watch, WATCH_READ);
    run();
    assert_int_equal(p.calls, 2);
    assert_int_equal(p.got, WATCH_READ | WATCH_WRITE);
    pair_close(&p);
}

/* What is waited for here happens or not: `sends` unread bytes first, then the peer leaves. */
static void check_closed_is_seen(bool sends, bool reset)
{
    struct pair p;
    pair_open(&p, on_pair);
    p.stops = true;
    if (sends)
        peer_sends(&p);
    watch_set(&p.watch, WATCH_CLOSED);
    peer_leaves(&p, reset);
    run();
    assert_int_equal(p.got, WATCH_CLOSED);
    pair_close(&p);
}

static void test_an_orderly_end_is_seen_without_reading(void **state)
{
    (void)state;
    check_closed_is_seen(false, false);
}

static void test_an_orderly_end_behind_unread_bytes_is_seen(void **state)
{
    (void)state;
    check_closed_is_seen(true, false);
}

static void test_a_reset_is_seen_without_reading(void **state)
{
    (void)state;
    check_closed_is_seen(false, true);
}

static void test_a_reset_behind_unread_bytes_is_seen(void **state)
{
    (void)state;
    check_closed_is_seen(true, true);
}

/* A pipelined request waits in the socket while the one before it is answered: no busy loop. */
static void test_unread_bytes_do_not_spin_while_only_the_end_matters(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, on_pair);
    peer_sends(&p);
    watch_set(&p.watch, WATCH_CLOSED);
    assert_in_range(run_for(300), 0, 60);
    assert_int_equal(p.calls, 0);
    pair_close(&p);
}

static void test_the_end_is_seen_when_it_comes_after_unread_bytes_were_looked_at(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct pair p;
        pair_open(&p, on_pair);
        peer_sends(&p);
        watch_set(&p.watch, WATCH_CLOSED);
        p.stops = true;
        struct alarm later;
        alarm_init(&later, 'l');
        timer_set(&later.timer, 20);
        later.stops = true;
        run();
        assert_int_equal(p.calls, 0);
        loop.reactor->stopping = false;
        peer_leaves(&p, reset);
        run();
        assert_int_equal(p.got, WATCH_CLOSED);
        loop.reactor->stopping = false;
        pair_close(&p);
    }
}

/* --- deadlines --- */

struct due {
    struct deadline deadline;
    char c;
    struct deadline_queue *again; /* set there when it is due, once */
    struct due *clears;
    bool stops;
};

static void on_due(struct deadline *d)
{
    struct due *u = container_of(d, struct due, deadline);
    note(u->c);
    if (u->again)
        deadline_set(u->again, d);
    u->again = NULL;
    if (u->clears)
        deadline_clear(&u->clears->deadline);
    if (u->stops)
        stop();
}

static void queue_init(struct deadline_queue *q, int64_t ms)
{
    deadline_queue_init(q, loop.reactor, ms, on_due);
}

static void test_deadlines_fire_in_their_order_and_not_early(void **state)
{
    (void)state;
    struct deadline_queue q;
    struct due a = {.c = 'a'}, b = {.c = 'b', .stops = true};
    forget();
    queue_init(&q, 30);
    deadline_set(&q, &a.deadline);
    deadline_set(&q, &b.deadline);
    int64_t began = clock_mono_ms();
    run();
    assert_string_equal(seen, "ab");
    assert_in_range(clock_mono_ms() - began, 30 - TIMER_GRAIN_MS, 30 + DEADLINE_GRAIN_MS + 2000);
    deadline_queue_close(&q);
}

static void test_a_deadline_that_is_moved_on_does_not_fire(void **state)
{
    (void)state;
    struct deadline_queue brief, distant;
    struct due a = {.c = 'a'}, b = {.c = 'b'}, end = {.c = '.', .stops = true};
    forget();
    queue_init(&brief, 20);
    queue_init(&distant, 60000);
    deadline_set(&brief, &a.deadline);
    deadline_set(&brief, &b.deadline);
    deadline_set(&brief, &end.deadline);
    deadline_set(&distant, &a.deadline);
    deadline_clear(&b.deadline);
    run();
    assert_string_equal(seen, ".");
    deadline_clear(&a.deadline);
    deadline_queue_close(&brief);
    deadline_queue_close(&distant);
}

static void test_a_deadline_may_be_set_anew_when_it_is_due(void **state)
{
    (void)state;
    struct deadline_queue q;
    struct due a = {.c = 'a', .again = &q}, b = {.c = 'b'};
    forget();
    queue_init(&q, 10);
    deadline_set(&q, &a.deadline);
    run_for(400);
    assert_string_equal(seen, "aa.");
    loop.reactor->stopping = false;
    deadline_set(&q, &b.deadline); /* the queue ran empty: its timer must start again */
    run_for(400);
    assert_string_equal(seen, "aa.b.");
    deadline_queue_close(&q);
}

static void test_a_due_deadline_may_clear_the_next_one(void **state)
{
    (void)state;
    struct deadline_queue q;
    struct due b = {.c = 'b'}, a = {.c = 'a', .clears = &b}, c = {.c = 'c', .stops = true};
    forget();
    queue_init(&q, 5);
    deadline_set(&q, &a.deadline);
    deadline_set(&q, &b.deadline);
    deadline_set(&q, &c.deadline);
    run();
    assert_string_equal(seen, "ac");
    deadline_queue_close(&q);
}

static void on_due_free(struct deadline *d)
{
    free(container_of(d, struct due, deadline));
    note('f');
}

static void test_what_is_due_may_be_freed(void **state)
{
    (void)state;
    struct deadline_queue q;
    forget();
    deadline_queue_init(&q, loop.reactor, 5, on_due_free);
    for (int i = 0; i < 3; i++) {
        struct due *u = calloc(1, sizeof *u);
        deadline_set(&q, &u->deadline);
    }
    run_for(50);
    assert_string_equal(seen, "fff.");
    deadline_queue_close(&q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mail_runs_in_the_order_posted),
        TEST(test_mail_posted_by_mail_waits_for_the_next_turn),
        TEST(test_mail_may_be_posted_again_by_its_own_run),
        TEST(test_mail_may_free_itself),
        TEST(test_what_was_posted_before_the_stop_still_runs),
        TEST(test_mail_from_other_threads_all_arrives),
        TEST(test_long_work_offers_the_cpu_now_and_then),
        TEST(test_the_slice_is_as_long_as_the_share_and_nothing_else_changes),
        TEST(test_the_time_stands_within_a_turn_and_goes_on_with_the_next),
        TEST(test_a_timer_fires_once_when_it_is_due),
        TEST(test_the_end_of_a_turn_comes_after_its_callbacks),
        TEST(test_setting_a_timer_replaces_what_was_set),
        TEST(test_a_timer_may_set_itself_anew),
        TEST(test_a_cleared_timer_that_is_due_does_not_fire),
        TEST(test_readability_is_level_triggered),
        TEST(test_a_watch_that_is_ended_in_the_same_turn_is_not_called),
        TEST(test_interest_may_change_within_the_callback),
        TEST(test_an_orderly_end_is_seen_without_reading),
        TEST(test_an_orderly_end_behind_unread_bytes_is_seen),
        TEST(test_a_reset_is_seen_without_reading),
        TEST(test_a_reset_behind_unread_bytes_is_seen),
        TEST(test_unread_bytes_do_not_spin_while_only_the_end_matters),
        TEST(test_the_end_is_seen_when_it_comes_after_unread_bytes_were_looked_at),
        TEST(test_deadlines_fire_in_their_order_and_not_early),
        TEST(test_a_deadline_that_is_moved_on_does_not_fire),
        TEST(test_a_deadline_may_be_set_anew_when_it_is_due),
        TEST(test_a_due_deadline_may_clear_the_next_one),
        TEST(test_what_is_due_may_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
