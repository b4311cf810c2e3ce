#include "io/reactor.h"
#include "base/clock.h"
#include "base/container.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct event) <= sizeof(struct io_event), "struct event does not fit");
_Static_assert(alignof(struct event) <= alignof(struct io_event), "struct event is not aligned");

enum {
    DEADLINE_GRAIN_MS = 250,
    SHARE_US = 500, /* of work, then the CPU is offered to others */
};

struct reactor {
    struct event_base *base;
    struct event wake;
    int wake_fd;
    int64_t shared_us; /* when the CPU was last offered */
    bool has_time;     /* of this turn: */
    int64_t mono_ms, wall_ms;
    pthread_mutex_t lock; /* of the two below; never held across a callback */
    struct mail *first;
    struct mail **last;
    bool stopping;
};

static struct event *event_in(struct io_event *space)
{
    return (struct event *)(void *)space->space;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Takes the whole mailbox at once: mail posted while it runs waits for the next turn. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct reactor *r = arg;
    (void)what;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* EAGAIN: an earlier turn took the mail */

    pthread_mutex_lock(&r->lock);
    struct mail *m = r->first;
    r->first = NULL;
    r->last = &r->first;
    bool stop = r->stopping;
    pthread_mutex_unlock(&r->lock);

    while (m) {
        struct mail *next = m->next;
        m->next = NULL;
        m->run(m);
        m = next;
    }
    if (stop)
        event_base_loopbreak(r->base);
}

static void reactor_wake(struct reactor *r)
{
    uint64_t one = 1;
    ssize_t put = write(r->wake_fd, &one, sizeof one);
    (void)put; /* EAGAIN: the counter is full, so the reactor is awake */
}

enum err reactor_new(struct reactor **out, struct errinfo *info)
{
    struct reactor *r = calloc(1, sizeof *r);
    must(r != NULL);
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->wake_fd < 0) {
        free(r);
        return err_sys(info, "eventfd");
    }
    struct event_config *config = event_config_new();
    must(config != NULL);
    /* One thread only touches the base; EV_CLOSED needs a backend that can see it. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_EARLY_CLOSE | EV_FEATURE_ET);
    r->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!r->base) {
        close(r->wake_fd);
        free(r);
        return err_set(info, ERR_IO, "no event backend that sees closed peers");
    }
    must(event_assign(&r->wake, r->base, r->wake_fd, EV_READ | EV_PERSIST, on_wake, r) == 0);
    must(event_add(&r->wake, NULL) == 0);
    *out = r;
    return ERR_OK;
}

void reactor_free(struct reactor **rp)
{
    struct reactor *r = *rp;
    if (!r)
        return;
    event_del(&r->wake);
    event_base_free(r->base);
    close(r->wake_fd);
    pthread_mutex_destroy(&r->lock);
    free(r);
    *rp = NULL;
}

/*
 * On a machine whose CPUs are all busy the kernel ends our turn at a clock tick only, up to 4 ms
 * after somebody else should run; meanwhile answers that were sent lie unread and requests wait.
 * Measured beside wrk on two CPUs: p99 of small hits 7.9 ms without this, 1.4 ms with it.
 */
static void share_cpu(struct reactor *r)
{
    int64_t now = clock_mono_us();
    if (now - r->shared_us < SHARE_US)
        return;
    r->shared_us = now;
    sched_yield();
}

/* What sched_getattr(2) and sched_setattr(2) take, their first version. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/*
 * To offer the CPU is to give away one's slice, some milliseconds by default; meanwhile each answer
 * wakes a client that takes the CPU at once. A slice as long as the share saves 1 to 4 % of the CPU
 * and a sixth of p99 (measured as above). Linux takes it since 6.12; older ones have no use for it,
 * and where it is forbidden things stay as they are.
 */
static void shorten_slice(void)
{
    struct scheduling s;
    if (syscall(SYS_sched_getattr, 0, &s, sizeof s, 0) != 0 || s.policy != SCHED_OTHER)
        return;
    s.runtime_ns = SHARE_US * 1000;
    (void)syscall(SYS_sched_setattr, 0, &s, 0);
}

void reactor_run(struct reactor *r)
{
    shorten_slice();
    while (event_base_loop(r->base, EVLOOP_ONCE) == 0 && !event_base_got_break(r->base)) {
        share_cpu(r);
        r->has_time = false;
    }
}

static void read_clocks(struct reactor *r)
{
    if (r->has_time)
        return;
    r->mono_ms = clock_mono_ms();
    r->wall_ms = clock_wall_ms();
    r->has_time = true;
}

int64_t reactor_mono_ms(struct reactor *r)
{
    read_clocks(r);
    return r->mono_ms;
}

int64_t reactor_wall_ms(struct reactor *r)
{
    read_clocks(r);
    return r->wall_ms;
}

void reactor_stop(struct reactor *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_mutex_unlock(&r->lock);
    reactor_wake(r);
}

void reactor_post(struct reactor *r, struct mail *m)
{
    m->next = NULL;
    pthread_mutex_lock(&r->lock);
    bool was_empty = r->first == NULL;
    *r->last = m;
    r->last = &m->next;
    pthread_mutex_unlock(&r->lock);
    if (was_empty)
        reactor_wake(r);
}

/* Has the peer gone? Bytes that wait to be read before its end do not matter. */
static bool is_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    unsigned got = 0;
    if (what & EV_READ)
        got |= WATCH_READ;
    if (what & EV_WRITE)
        got |= WATCH_WRITE;
    if ((w->interest & WATCH_CLOSED) && ((what & EV_CLOSED) || is_closed(fd)))
        got |= WATCH_CLOSED;
    got &= w->interest;
    if (got)
        w->on_ready(w, got);
}

/*
 * libevent reports a reset as readable and writable, not as closed. So closed means an
 * edge-triggered look at readability too: bytes that stay unread wake us once, not for ever.
 */
static short libevent_flags(unsigned interest)
{
    short what = EV_PERSIST;
    if (interest & WATCH_READ)
        what |= EV_READ;
    if (interest & WATCH_WRITE)
        what |= EV_WRITE;
    if (interest & WATCH_CLOSED)
        what |= EV_CLOSED | EV_READ | EV_ET;
    return what;
}

void watch_init(struct watch *w, struct reactor *r, int fd,
                void (*on_ready)(struct watch *w, unsigned what))
{
    w->reactor = r;
    w->fd = fd;
    w->on_ready = on_ready;
    w->interest = 0;
}

void watch_set(struct watch *w, unsigned interest)
{
    if (interest == w->interest)
        return;
    struct event *e = event_in(&w->event);
    if (w->interest)
        event_del(e);
    w->interest = interest;
    if (!interest)
        return;
    /* WATCH_CLOSED is edge-triggered, the others are not. */
    assert(!(interest & WATCH_CLOSED) || interest == WATCH_CLOSED);
    must(event_assign(e, w->reactor->base, w->fd, libevent_flags(interest), on_watch, w) == 0);
    must(event_add(e, NULL) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    (void)fd;
    (void)what;
    t->on_fire(t);
}

void timer_init(struct timer *t, struct reactor *r, void (*on_fire)(struct timer *t))
{
    t->reactor = r;
    t->on_fire = on_fire;
    must(event_assign(event_in(&t->event), r->base, -1, 0, on_timer, t) == 0);
}

void timer_set(struct timer *t, int64_t ms)
{
    assert(ms >= 0);
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    must(event_add(event_in(&t->event), &tv) == 0);
}

/* libevent runs what is made active meanwhile last, in the order in which it was. */
void timer_set_turn_end(struct timer *t)
{
    event_active(event_in(&t->event), EV_TIMEOUT, 0);
}

void timer_clear(struct timer *t)
{
    event_del(event_in(&t->event));
}

static void on_deadline_tick(struct timer *t)
{
    struct deadline_queue *q = container_of(t, struct deadline_queue, timer);
    int64_t now = clock_mono_ms();
    while (q->head.next != &q->head && q->head.next->due <= now) {
        struct deadline *d = q->head.next;
        deadline_clear(d);
        q->on_due(d);
    }
    if (q->head.next != &q->head)
        timer_set(t, q->head.next->due - now + DEADLINE_GRAIN_MS);
}

void deadline_queue_init(struct deadline_queue *q, struct reactor *r, int64_t ms,
                         void (*on_due)(struct deadline *d))
{
    timer_init(&q->timer, r, on_deadline_tick);
    q->head.next = q->head.prev = &q->head;
    q->ms = ms;
    q->on_due = on_due;
}

void deadline_queue_close(struct deadline_queue *q)
{
    timer_clear(&q->timer);
}

void deadline_set(struct deadline_queue *q, struct deadline *d)
{
    bool idle = q->head.next == &q->head;
    deadline_clear(d);
    d->due = clock_tick_ms() + q->ms;
    d->prev = q->head.prev;
    d->next = &q->head;
    q->head.prev->next = d;
    q->head.prev = d;
    if (idle)
        timer_set(&q->timer, q->ms);
}

void deadline_clear(struct deadline *d)
{
    if (!d->next)
        return;
    d->prev->next = d->next;
    d->next->prev = d->prev;
    d->next = d->prev = NULL;
}
