#include "base/counters.h"

#include <pthread.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

/* Aligned, so that two threads' sets share no cache line. */
struct counter_set {
    _Alignas(CACHE_LINE) struct counters counters;
    struct counter_set *next;
};

const struct counter_row counter_rows[COUNTER_COUNT] = {
#define X(id, name, kind, help) [COUNTER_##id] = {name, kind, help},
    COUNTER_ROWS(X)
#undef X
};

static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;
static struct counter_set *sets; /* guarded by sets_lock; only ever grows */
static _Thread_local struct counters *mine;

static struct counters *add_set(void)
{
    struct counter_set *set = aligned_alloc(CACHE_LINE, sizeof *set);

    if (!set)
        abort();
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        atomic_init(&set->counters.v[i], 0);
    pthread_mutex_lock(&sets_lock);
    set->next = sets;
    sets = set;
    pthread_mutex_unlock(&sets_lock);
    return &set->counters;
}

struct counters *counters_mine(void)
{
    if (!mine)
        mine = add_set();
    return mine;
}

uint64_t counters_sum(enum counter_id id)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&sets_lock);
    for (const struct counter_set *set = sets; set; set = set->next)
        sum += atomic_load_explicit(&set->counters.v[id], memory_order_relaxed);
    pthread_mutex_unlock(&sets_lock);
    return sum;
}
