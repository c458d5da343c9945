#include "core/scheduler/pace.h"

enum {
    WINDOW_US = 4000000, WINDOW_BOARDED = 32, /* what the window holds before it forgets half */
    TRUSTED_BOARDED = 8                       /* fewer boardings say too little */
};

static void account(struct pace *pace, int64_t now)
{
    if (!pace->stalled_us || now <= pace->stalled_us) return;
    pace->waited_us += now - pace->stalled_us;
    pace->stalled_us = now;
    if (pace->waited_us < WINDOW_US || pace->n_boarded < WINDOW_BOARDED) return;
    pace->waited_us /= 2;
    pace->n_boarded /= 2;
    pace->boarded_steps /= 2;
}

void pace_stall(struct pace *pace, int64_t now)
{
    if (!pace->stalled_us) pace->stalled_us = now;
}

void pace_resume(struct pace *pace, int64_t now)
{
    account(pace, now);
    pace->stalled_us = 0;
}

void pace_board(struct pace *pace, uint64_t steps)
{
    if (!pace->stalled_us) return;
    pace->n_boarded++;
    pace->boarded_steps += steps;
}

void pace_turn(struct pace *pace, int64_t us, uint64_t steps)
{
    if (us <= 0 || steps == 0) return;
    double each = (double)us / (double)steps;
    if (pace->fastest_us == 0 || each < pace->fastest_us) pace->fastest_us = each;
}

static int64_t scaled(double us)
{
    return us < 1e15 ? (int64_t)us : (int64_t)1e15;
}

static bool is_known(const struct pace *pace)
{
    return pace->n_boarded >= TRUSTED_BOARDED && pace->boarded_steps > 0;
}

int64_t pace_wait_us(struct pace *pace, uint64_t steps, int64_t now)
{
    account(pace, now);
    if (!pace->stalled_us || !is_known(pace)) return 0;
    return scaled((double)steps * (double)pace->waited_us / (double)pace->boarded_steps);
}

int64_t pace_each_us(struct pace *pace, int64_t now)
{
    account(pace, now);
    return is_known(pace) ? scaled((double)pace->waited_us / (double)pace->n_boarded) : 0;
}

int64_t pace_least_us(const struct pace *pace, uint64_t steps)
{
    return scaled((double)steps * pace->fastest_us);
}
