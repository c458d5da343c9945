/* clock: monotonic time, the only kind the scheduler and deadlines use. Any thread. */
#ifndef CAROUSEL_CORE_CLOCK_H
#define CAROUSEL_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds since some fixed instant; never 0, so that 0 can mean "not yet". */
int64_t clock_us(void);
/* Microseconds for which this thread has run on a processor. */
int64_t clock_thread_us(void);
/* Milliseconds since such an instant. */
double clock_ms_since(int64_t began_us);

/* The instant `ms` milliseconds from now, for pthread_cond_timedwait on a condition that uses
 * CLOCK_MONOTONIC. */
struct timespec clock_timespec_in(int64_t ms);

#endif
