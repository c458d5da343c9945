/* hold: whether a thread keeps the core it runs on, and how long it should rest if it does not.
 *
 * A member of a team (core/network/team.h) helps only while it runs without interruption. If it loses its
 * core to another process in the middle of a part, the leader waits for a whole time slice, which is as long
 * as a hundred steps. The time that a spinning thread did not run is its time by the clock less its
 * processor time. A thread that lost its core leaves, rests, and tries again later. The rest doubles each
 * time, unless the thread kept its core for long in between.
 *
 * At first and after a rest the thread is on probation: it spins for a time slice or two and makes no parts.
 * So a core that is contended is noticed before the leader depends on it.
 *
 * One thread at a time. Times are in microseconds (core/base/clock.h). */
#ifndef CAROUSEL_CORE_HOLD_H
#define CAROUSEL_CORE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

/* A struct that is all zero is a new thread: rested, and on probation. Fields are private. */
struct hold {
    int64_t _began_us, _began_cpu_us; /* of the present window */
    int64_t _seen_us;                 /* the last look */
    int64_t _rest_us;                 /* the length of the last rest; 0: none */
    int64_t _until_us;                /* the end of that rest */
    int64_t _kept_us;                 /* for so long it has kept its core since then */
    unsigned _moves;                  /* of late */
};

/* The thread was called at `now_us` and begins to spin: what it lost before does not count. `cpu_us` is the
 * processor time that it has used so far, here and below. */
void hold_begin(struct hold *hold, int64_t now_us, int64_t cpu_us);

/* Whether enough time has passed since the last look for another one. */
bool hold_is_due(const struct hold *hold, int64_t now_us);

/* Look whether the thread has lost its core. Return false if it has. */
bool hold_look(struct hold *hold, int64_t now_us, int64_t cpu_us);

/* The thread has slept, to be moved to another core. Return false if it did so too often. */
bool hold_move(struct hold *hold, int64_t now_us, int64_t cpu_us);

/* Whether the thread is to spin only. */
bool hold_is_on_probation(const struct hold *hold);

/* Rest from now on: longer than the last time, unless the core was kept for long since. */
void hold_rest(struct hold *hold, int64_t now_us);

/* Whether the thread may try again. */
bool hold_is_rested(const struct hold *hold, int64_t now_us);

#endif
