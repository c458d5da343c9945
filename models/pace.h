/* pace: how much of a processor a thread may use for work that can wait.
 *
 * A thread of low priority still takes caches, memory bandwidth and turns of the kernel from those beside it.
 * So the loader works in short bursts: long loops under it call pace_rest() every some ten microseconds,
 * which sleeps once a burst has used BURST_US of processor time, and long enough to keep to the share. The
 * share is the thread's own; a thread that has set none, as main at start, never sleeps. */
#ifndef CAROUSEL_MODELS_PACE_H
#define CAROUSEL_MODELS_PACE_H

/* From now on this thread uses about `percent` of one processor, 1 to 100; 100: all it gets. */
void pace_set(unsigned percent);
void pace_rest(void);

#endif
