/* throttle: how much of a processor a thread may use for work that can wait.
 *
 * A thread of low priority still takes caches, memory bandwidth and turns of the kernel from those beside it.
 * So the loader works in short bursts: long loops under it call throttle_rest() again and again, which sleeps
 * once a burst has used some of the processor's time, and long enough to keep to the share. The share is the
 * thread's own; a thread that has set none, as main at start, never sleeps. */
#ifndef CAROUSEL_CORE_THROTTLE_H
#define CAROUSEL_CORE_THROTTLE_H

#include <stdbool.h>

/* From now on this thread uses about `percent` of one processor, 1 to 100; 100: all it gets. Once *hurry is true
 * it takes all, too: borrowed for as long as the thread rests here. */
void throttle_set(unsigned percent, const _Atomic bool *hurry);
/* Sleeps where this thread has used more than its share. */
void throttle_rest(void);

#endif
