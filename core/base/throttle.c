#include "core/base/throttle.h"

#include <stdatomic.h>
#include <time.h>

#include "core/base/clock.h"

enum { BURST_US = 300 };

static void sleep_us(int64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(us / 1000000),
                                 .tv_nsec = (long)(us % 1000000) * 1000}, NULL);
}

static const struct throttle_clock system_clock = {clock_thread_us, sleep_us};

static _Thread_local const struct throttle_clock *clock_in_use = &system_clock;
static _Thread_local unsigned share = 100; /* percent */
static _Thread_local const _Atomic bool *gives_up;
static _Thread_local int64_t burst_at_us;  /* processor time at its beginning */

void throttle_use_clock(const struct throttle_clock *clock)
{
    clock_in_use = clock ? clock : &system_clock;
}

void throttle_set(unsigned percent, const _Atomic bool *given_up)
{
    share = percent;
    gives_up = given_up;
    burst_at_us = clock_in_use->used_us();
}

const _Atomic bool *throttle_given_up(void)
{
    return gives_up;
}

int64_t throttle_rest_us(int64_t burst_us, unsigned percent)
{
    if (percent >= 100 || burst_us < BURST_US) return 0;
    return burst_us * (100 - (int64_t)percent) / (int64_t)percent;
}

bool throttle_is_free(void)
{
    return share >= 100;
}

bool throttle_rest(void)
{
    if (gives_up && atomic_load(gives_up)) return false;
    if (share >= 100) return true;
    int64_t rest_us = throttle_rest_us(clock_in_use->used_us() - burst_at_us, share);
    if (rest_us == 0) return true;
    clock_in_use->sleep_us(rest_us);
    burst_at_us = clock_in_use->used_us();
    return true;
}
