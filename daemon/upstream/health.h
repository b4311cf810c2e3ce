/*
 * What is known of one upstream's health: a breaker that opens after failures in a row, and after a
 * while lets one request through to find out. Shared by all workers; any thread. Times are
 * monotonic milliseconds, given by the caller.
 */
#ifndef YT_UPSTREAM_HEALTH_H
#define YT_UPSTREAM_HEALTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    HEALTH_FAILURES_MAX = 3, /* in a row, then it opens */
    HEALTH_OPEN_FIRST_MS = 1000,
    HEALTH_OPEN_LONGEST_MS = 30 * 1000,
    HEALTH_RETRY_AFTER_MAX_MS = 5 * 60 * 1000,
};

struct health {
    pthread_mutex_t lock;
    unsigned failures;
    bool open;
    int64_t open_until;
    int64_t open_ms;     /* how long it was opened last; doubles */
    int64_t probe_until; /* somebody is finding out, and has time until then */
};

enum health_pass {
    HEALTH_GO,
    HEALTH_PROBE, /* this request finds out; its result must be told with probe = true */
    HEALTH_DOWN,  /* do not ask */
};

/* What a report changed, so that it is logged once. */
enum health_change { HEALTH_SAME, HEALTH_WENT_DOWN, HEALTH_CAME_BACK };

void health_init(struct health *h);
void health_close(struct health *h);

/* May a request be sent? A probe that is never reported on is given up after `probe_ms`. */
enum health_pass health_try(struct health *h, int64_t now, int64_t probe_ms);
/* An answer came. While open only the probe's counts: others were sent before it opened. */
enum health_change health_success(struct health *h, bool probe);
enum health_change health_failure(struct health *h, int64_t now, bool probe);
/* 429: opens at once; `retry_after_ms` < 0: the upstream did not say for how long. */
enum health_change health_limited(struct health *h, int64_t now, bool probe,
                                  int64_t retry_after_ms);
/* The request ended without telling anything of the upstream. */
void health_unknown(struct health *h, bool probe);

/* Milliseconds until it may be asked again; 0: now. */
int64_t health_wait(struct health *h, int64_t now);

#endif
