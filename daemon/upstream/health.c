#include "health.h"

void health_init(struct health *h)
{
    *h = (struct health){.failures = 0};
    pthread_mutex_init(&h->lock, NULL);
}

void health_close(struct health *h)
{
    pthread_mutex_destroy(&h->lock);
}

enum health_pass health_try(struct health *h, int64_t now, int64_t probe_ms)
{
    enum health_pass pass = HEALTH_GO;
    pthread_mutex_lock(&h->lock);
    if (h->open) {
        pass = now < h->open_until || now < h->probe_until ? HEALTH_DOWN : HEALTH_PROBE;
        if (pass == HEALTH_PROBE)
            h->probe_until = now + probe_ms;
    }
    pthread_mutex_unlock(&h->lock);
    return pass;
}

enum health_change health_success(struct health *h, bool probe)
{
    enum health_change change = HEALTH_SAME;
    pthread_mutex_lock(&h->lock);
    if (!h->open || probe) {
        change = h->open ? HEALTH_CAME_BACK : HEALTH_SAME;
        h->failures = 0;
        h->open = false;
        h->open_ms = 0;
        h->probe_until = 0;
    }
    pthread_mutex_unlock(&h->lock);
    return change;
}

/* Lock held. Opens for `ms`, or for twice the last time when ms < 0. */
static enum health_change open_locked(struct health *h, int64_t now, int64_t ms)
{
    enum health_change change = h->open ? HEALTH_SAME : HEALTH_WENT_DOWN;
    h->open_ms = h->open_ms ? h->open_ms * 2 : HEALTH_OPEN_FIRST_MS;
    if (h->open_ms > HEALTH_OPEN_LONGEST_MS)
        h->open_ms = HEALTH_OPEN_LONGEST_MS;
    if (ms > HEALTH_RETRY_AFTER_MAX_MS)
        ms = HEALTH_RETRY_AFTER_MAX_MS;
    h->open = true;
    h->open_until = now + (ms < 0 ? h->open_ms : ms);
    h->probe_until = 0;
    return change;
}

enum health_change health_failure(struct health *h, int64_t now, bool probe)
{
    enum health_change change = HEALTH_SAME;
    pthread_mutex_lock(&h->lock);
    if (probe || (!h->open && ++h->failures >= HEALTH_FAILURES_MAX))
        change = open_locked(h, now, -1);
    pthread_mutex_unlock(&h->lock);
    return change;
}

enum health_change health_limited(struct health *h, int64_t now, bool probe, int64_t retry_after_ms)
{
    enum health_change change = HEALTH_SAME;
    pthread_mutex_lock(&h->lock);
    if (probe || !h->open)
        change = open_locked(h, now, retry_after_ms);
    pthread_mutex_unlock(&h->lock);
    return change;
}

void health_unknown(struct health *h, bool probe)
{
    if (!probe)
        return;
    pthread_mutex_lock(&h->lock);
    h->probe_until = 0;
    pthread_mutex_unlock(&h->lock);
}

int64_t health_wait(struct health *h, int64_t now)
{
    int64_t wait = 0;
    pthread_mutex_lock(&h->lock);
    if (h->open) {
        int64_t until = h->open_until > h->probe_until ? h->open_until : h->probe_until;
        wait = until > now ? until - now : 0;
    }
    pthread_mutex_unlock(&h->lock);
    return wait;
}
