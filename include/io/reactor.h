/*
 * An event loop for one thread: descriptors, timers, and a mailbox through which other threads ask
 * it to run something. daemon/io/reactor.c is the only user of libevent.
 *
 * Unless said otherwise a call belongs to the reactor's own thread. A callback may close or clear
 * its own watch or timer, but the memory around it must live until the callback has returned.
 */
#ifndef YT_IO_REACTOR_H
#define YT_IO_REACTOR_H

#include "base/err.h"
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reactor;

YT_MUST_CHECK enum err reactor_new(struct reactor **out, struct errinfo *info);
/* Call after the loop has ended; nothing may be watched any more. */
void reactor_free(struct reactor **r);
/* Runs until reactor_stop. */
void reactor_run(struct reactor *r);
/* From any thread. */
void reactor_stop(struct reactor *r);

/*
 * The two clocks (base/clock.h) as of when this turn of the loop first asked for one of them: for
 * what happens in every turn, often. Whoever waited for its turn meanwhile, waited that long.
 */
int64_t reactor_mono_ms(struct reactor *r);
int64_t reactor_wall_ms(struct reactor *r);

/*
 * A message: embedded in what it is about, so that posting allocates nothing and cannot fail. It
 * may be posted again only after it has run. Runs in the order posted, once per loop turn at most.
 */
struct mail {
    struct mail *next;
    void (*run)(struct mail *m);
};

/* From any thread, the reactor's own included (then it runs in a later turn of the loop). */
void reactor_post(struct reactor *r, struct mail *m);

/* Room for libevent's struct event; reactor.c asserts that it fits. */
struct io_event {
    alignas(8) unsigned char space[152];
};

enum {
    WATCH_READ = 1,
    WATCH_WRITE = 2,
    WATCH_CLOSED = 4, /* the peer has shut down or reset, seen without reading; alone only */
};

struct watch {
    struct io_event event;
    struct reactor *reactor;
    void (*on_ready)(struct watch *w, unsigned what);
    int fd;
    unsigned interest;
};

/* Watches nothing yet. The descriptor stays the caller's. */
void watch_init(struct watch *w, struct reactor *r, int fd,
                void (*on_ready)(struct watch *w, unsigned what));
/* Level-triggered and lasting; 0 stops. Aborts when the kernel refuses memory for it. */
void watch_set(struct watch *w, unsigned interest);

enum { TIMER_GRAIN_MS = 12 };

struct timer {
    struct io_event event;
    struct reactor *reactor;
    void (*on_fire)(struct timer *t);
};

void timer_init(struct timer *t, struct reactor *r, void (*on_fire)(struct timer *t));
/*
 * Fires once after `ms` (0: in the next turn); replaces what was set. Goes by the kernel's coarse
 * clock, up to a tick (TIMER_GRAIN_MS) early or late: an exact timer would cost a system call in
 * each turn.
 */
void timer_set(struct timer *t, int64_t ms);
/* Fires when the callbacks of the present turn have run, before the loop waits again. */
void timer_set_turn_end(struct timer *t);
void timer_clear(struct timer *t);

/*
 * Deadlines of one length for very many objects: a list in order of age and one timer, so that
 * moving a deadline costs a few stores. Fires up to a tick early or a quarter of a second late.
 */
struct deadline {
    struct deadline *prev, *next;
    int64_t due;
};

struct deadline_queue {
    struct timer timer;
    struct deadline head;
    int64_t ms;
    void (*on_due)(struct deadline *d);
};

void deadline_queue_init(struct deadline_queue *q, struct reactor *r, int64_t ms,
                         void (*on_due)(struct deadline *d));
void deadline_queue_close(struct deadline_queue *q);
/* All zero is "not set". Sets it anew to now + q->ms. `d` may be in another queue before. */
void deadline_set(struct deadline_queue *q, struct deadline *d);
void deadline_clear(struct deadline *d);

#endif
