/* throttle: how much of a processor a thread may use for work that can wait, and whether it should go on at
 * all.
 *
 * A thread of low priority still takes caches, memory bandwidth and turns of the kernel from those beside it.
 * So the loader works in short bursts: long loops under it call throttle_rest() again and again, which sleeps
 * once a burst has used some of the processor's time, and long enough to keep to the share. A load of minutes
 * must also end when the server is told to stop: the same calls say so. Share and end are the thread's own; a
 * thread that has set none never sleeps and never gives up. */
#ifndef CAROUSEL_CORE_THROTTLE_H
#define CAROUSEL_CORE_THROTTLE_H

#include <stdbool.h>

/* From now on this thread uses about `percent` of one processor, 1 to 100; 100: all it gets. Once *given_up
 * is true its work is to end soon: borrowed for as long as the thread rests here; NULL where nobody gives it
 * up. */
void throttle_set(unsigned percent, const _Atomic bool *given_up);
/* Sleeps where this thread has used more than its share. false, and never asleep, where its work is given up:
 * who can fail then does so with STATUS_CLOSING; who cannot goes on to where one can. */
bool throttle_rest(void);

#endif
