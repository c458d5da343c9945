/* throttle: how much of a processor a thread may use for work that can wait, and whether it should go on.
 *
 * A thread of low priority still costs those beside it caches, memory bandwidth and turns of the kernel.
 * So the loader works in short bursts: long loops under it call throttle_rest() again and again, which sleeps
 * once a burst has used some of the processor's time, and long enough to keep to the share. A load of minutes
 * must also end when the server is told to stop: the same calls say so. Share and end are the thread's own; a
 * thread that has set none never sleeps and never gives up. */
#ifndef CAROUSEL_CORE_THROTTLE_H
#define CAROUSEL_CORE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* From now on this thread uses about `percent` of one processor, 1 to 100; 100: all it gets. Once *given_up
 * is true, its work is to end soon. The flag is borrowed for as long as the thread rests here; NULL: the work
 * is never given up. */
void throttle_set(unsigned percent, const _Atomic bool *given_up);
/* What this thread's work is given up by, for a thread that helps it; NULL: nothing. */
const _Atomic bool *throttle_given_up(void);
/* Sleep if this thread has used more than its share. Return false, at once, if its work is given up: a
 * function that can fail then does so with STATUS_CLOSING, and one that cannot goes on to a caller that can.
 * */
bool throttle_rest(void);

/* Whether this thread may use all that it gets. */
bool throttle_is_free(void);

/* The decision, by itself. Return the microseconds to sleep after a burst of `burst_us` microseconds of
 * processor time, so that the thread keeps to `percent`, 1 to 100. 0: the burst may go on. */
int64_t throttle_rest_us(int64_t burst_us, unsigned percent);

/* Where this thread's times come from. Tests bring a clock of their own. */
struct throttle_clock {
    int64_t (*used_us)(void);       /* processor time of this thread so far */
    void (*sleep_us)(int64_t us);
};
/* Use `clock` in this thread, from the next throttle_set on; borrowed. NULL: the system's. */
void throttle_use_clock(const struct throttle_clock *clock);

#endif
