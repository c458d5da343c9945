/* pace: how fast the sequences that wait for a network are worked off, measured.
 *
 * Only time in which a sequence waits for room aboard counts, and only boardings in that time: a sequence
 * that boards at once says nothing of the throughput. So the measure is unknown until there has been a queue.
 * It is the throughput of the loaded server, whatever bounds it: arithmetic, turns of other networks, or how
 * early sequences leave. Steps are those that a sequence may take at most, so that sequences which leave
 * early are in the measure too. A step of one network is never compared with a step of another.
 *
 * The window forgets: once it holds WINDOW_US of waiting and enough boardings, its contents count half.
 *
 * Caller's storage, zeroed; no allocation, no lock. Instants are monotonic microseconds. */
#ifndef CAROUSEL_CORE_PACE_H
#define CAROUSEL_CORE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
    int64_t stalled_us;   /* since when a sequence waits for room, if not yet in waited_us; 0: none waits */
    int64_t waited_us;    /* the window: time in which a sequence waited for room, */
    uint64_t n_boarded;   /* and the boardings in it */
    uint64_t boarded_steps;
    double fastest_us;    /* a step in the fastest turn so far; 0: none yet */
};

void pace_stall(struct pace *pace, int64_t now);  /* a sequence waits, because there is no room aboard */
void pace_resume(struct pace *pace, int64_t now); /* none waits any more */
void pace_board(struct pace *pace, uint64_t steps); /* one boards */
/* A turn of so many steps, in the sum over its riders, took `us`. */
void pace_turn(struct pace *pace, int64_t us, uint64_t steps);

/* Microseconds until so many waiting steps are worked off; 0 while no sequence waits for room, or as long as
 * nothing is known. */
int64_t pace_wait_us(struct pace *pace, uint64_t steps, int64_t now);
/* Microseconds from one boarding to the next; 0: unknown. */
int64_t pace_each_us(struct pace *pace, int64_t now);
/* Microseconds that so many steps, one after the other, have never been faster than: a step's part of the
 * fastest turn, which many sequences shared. 0 before the first turn. */
int64_t pace_least_us(const struct pace *pace, uint64_t steps);

#endif
