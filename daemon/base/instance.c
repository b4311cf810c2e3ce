#include "base/instance.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

static char via[32];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char via_protocol[] = "1.1 ";

static void make_name(void)
{
    uint32_t number = 0;
    ssize_t got = getrandom(&number, sizeof number, 0);
    (void)got; /* so early in the boot that there is none: then 0 will do */
    snprintf(via, sizeof via, "%syantian-%08x", via_protocol, number);
}

struct slice instance_via(void)
{
    pthread_once(&once, make_name);
    return slice_str(via);
}

struct slice instance_name(void)
{
    return slice_from(instance_via(), sizeof via_protocol - 1);
}
