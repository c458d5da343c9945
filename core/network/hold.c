#include "core/network/hold.h"

enum {
    LOOK_US = 250,       /* between two looks: a look is a system call */
    WINDOW_US = 4000,    /* some time slices */
    LOST_US = 800,       /* at once: more than an interrupt or a short turn of another thread takes */
    LOST_PART = 8,       /* of a window: more than this part of it is too much */
    PROBATION_US = 8000, /* two time slices of Linux */
    KEPT_LONG_US = 250 * 1000, /* so much longer than a time slice that a loss hardly counts */
    REST_MIN_US = 250 * 1000,
    REST_MAX_US = 16 * 1000 * 1000,
    MOVES_MAX = 4
};

/* What was lost before does not count any more. */
static void begin_window(struct hold *hold, int64_t now_us, int64_t cpu_us)
{
    hold->_began_us = hold->_seen_us = now_us;
    hold->_began_cpu_us = cpu_us;
}

void hold_begin(struct hold *hold, int64_t now_us, int64_t cpu_us)
{
    begin_window(hold, now_us, cpu_us);
    hold->_moves = 0;
}

bool hold_is_due(const struct hold *hold, int64_t now_us)
{
    return now_us - hold->_seen_us >= LOOK_US;
}

bool hold_look(struct hold *hold, int64_t now_us, int64_t cpu_us)
{
    int64_t window = now_us - hold->_began_us, lost = window - (cpu_us - hold->_began_cpu_us);
    int64_t passed = now_us - hold->_seen_us;
    hold->_seen_us = now_us;
    if (lost >= LOST_US || (window >= WINDOW_US && lost * LOST_PART > window)) return false;
    hold->_kept_us += passed;
    if (window >= WINDOW_US) {
        begin_window(hold, now_us, cpu_us);
        hold->_moves = 0;
    }
    return true;
}

bool hold_move(struct hold *hold, int64_t now_us, int64_t cpu_us)
{
    begin_window(hold, now_us, cpu_us);
    return ++hold->_moves <= MOVES_MAX;
}

bool hold_is_on_probation(const struct hold *hold)
{
    return hold->_kept_us < PROBATION_US;
}

void hold_rest(struct hold *hold, int64_t now_us)
{
    int64_t rest = hold->_kept_us < KEPT_LONG_US ? hold->_rest_us * 2 : 0;
    if (rest < REST_MIN_US) rest = REST_MIN_US;
    if (rest > REST_MAX_US) rest = REST_MAX_US;
    hold->_rest_us = rest;
    hold->_until_us = now_us + rest;
    hold->_kept_us = 0;
}

bool hold_is_rested(const struct hold *hold, int64_t now_us)
{
    return now_us >= hold->_until_us;
}
