/* gain: whether a worker's team makes its turns any faster.
 *
 * Two cores may share what a turn needs most: the units of one core, if they are its two hyperthreads, or
 * the way to memory. Then a team burns time for nothing. So now and then a turn is run alone although the
 * team is there, and is compared with the turn before it, which the team shared. After some such pairs the
 * team rests if it did not win clearly more than half of them. Each rest is twice as long as the one
 * before. A pair counts only if both turns are alike: of one network, with as many sequences and steps.
 *
 * Comparing pairs, and only which of the two was faster, needs few turns and no scale, and one turn that was
 * interrupted spoils one pair at most. While a team is new, one turn in 16 is run alone; once it has
 * proved itself, one in 128.
 *
 * One thread at a time. Times are in microseconds (core/base/clock.h). */
#ifndef CAROUSEL_CORE_GAIN_H
#define CAROUSEL_CORE_GAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was run. */
struct gain_turn {
    uint64_t serial; /* of the network */
    size_t sequences, steps;
    int64_t us;
};

/* Zero is a team that has proved nothing yet. Fields are private. */
struct gain {
    struct gain_turn _shared; /* the last turn that the team shared */
    unsigned _turns;          /* shared since the last one that was run alone */
    unsigned _pairs, _wins;
    bool _has_proved;
    int64_t _rest_us, _until_us;
};

/* Whether the next turn is to be run alone although there is a team. */
bool gain_wants_alone(const struct gain *gain);

/* Note a turn that was run while there was a team, either by it or alone. */
void gain_note(struct gain *gain, const struct gain_turn *turn, bool alone, int64_t now_us);

/* Whether there may be a team now. */
bool gain_is_rested(const struct gain *gain, int64_t now_us);

#endif
