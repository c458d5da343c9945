#include "core/throttle.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum { BURST_US = 300 };

static _Thread_local unsigned share = 100; /* percent */
static _Thread_local const _Atomic bool *gives_up;
static _Thread_local int64_t burst_at_us;  /* processor time at its beginning */

static int64_t used_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

void throttle_set(unsigned percent, const _Atomic bool *given_up)
{
    share = percent;
    gives_up = given_up;
    burst_at_us = used_us();
}

bool throttle_rest(void)
{
    if (gives_up && atomic_load(gives_up)) return false;
    if (share >= 100) return true;
    int64_t burst_us = used_us() - burst_at_us;
    if (burst_us < BURST_US) return true;
    int64_t rest_us = burst_us * (100 - (int64_t)share) / (int64_t)share;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(rest_us / 1000000),
                                 .tv_nsec = (long)(rest_us % 1000000) * 1000},
              NULL);
    burst_at_us = used_us();
    return true;
}
