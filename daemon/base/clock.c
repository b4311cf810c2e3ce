#include "base/clock.h"

#include <time.h>

/* No clock can fail on Linux: all ids are always there and the pointer is good. */
static int64_t now_ms(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
    return now_ms(CLOCK_MONOTONIC);
}

int64_t clock_mono_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_tick_ms(void)
{
    return now_ms(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_wall_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

int64_t clock_wall_s(void)
{
    return time(NULL);
}
