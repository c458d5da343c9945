/* sequence: one rider of the carousel, and the driver that sits on it.
 *
 * The scheduler knows no task. At each turn it asks a sequence's driver two things: which inputs
 * are known now, and of which steps the output is wanted (feed); after the turn it hands the
 * outputs back (take); at the end it says why it ended (finish). A prompt, a score, a generation
 * and a forecast are the same thing to it.
 *
 * A sequence lives in its job's memory. The creator owns it until scheduler_submit takes it in;
 * from then on the scheduler has it until finish() is called, exactly once, which gives it back. */
#ifndef CAROUSEL_CORE_SEQUENCE_H
#define CAROUSEL_CORE_SEQUENCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/network.h"

struct sequence;
struct worker;
struct queue_flow;

enum { SEQUENCE_PRIORITY_MIN = -10, SEQUENCE_PRIORITY_MAX = 10 };

enum verdict { RIDE_ON, LEAVE };

/* All three run on the worker's thread, never two at once for one sequence; they must not block or
 * allocate, and feed and take must not fail: a driver that finds a fault ends with LEAVE. */
struct driver {
    /* Fill the in-fields of *ride except state: 1 to `room` steps, or n_steps = 0 to be parked
     * until scheduler_wake. Where the network is whole, all steps at once (they fit: job creation checked
     * scheduler_max_rows). What tokens and features point to stays until take. */
    void (*feed)(struct sequence *sequence, size_t room, struct ride *ride);
    /* The ride is over; its outputs are valid during the call. To fork, copy sequence->state into
     * children's states and scheduler_board each. */
    enum verdict (*take)(struct sequence *sequence, struct worker *worker,
                         const struct ride *ride);
    /* STATUS_OK after LEAVE, else STATUS_CANCELLED, STATUS_DEADLINE, STATUS_CLOSING or
     * STATUS_NO_MEMORY. The last call; the sequence may be freed in it. */
    void (*finish)(struct sequence *sequence, enum status reason);
};

/* What a sequence cost, for timings and metrics. Instants are monotonic microseconds; 0: not yet. */
struct sequence_stats {
    int64_t submitted_us, boarded_us, first_output_us, finished_us;
    uint64_t turns, steps;
    uint64_t batch_rows; /* sum over turns of the sequences aboard in them: / turns = mean batch */
};

struct sequence {
    /* set by the creator before submit */
    const struct driver *driver;
    const struct network *network; /* borrowed until finish */
    float *state;                  /* [network_state_floats], 64-byte aligned; the creator's */
    uint32_t share;                /* whose work it is: the queue serves shares alike, (core/queue.h) */
    uint32_t weight;               /* or by their weights; 0 is 1 */
    int priority;                  /* higher boards first within its share; 0 is ordinary */
    int64_t deadline_us;           /* monotonic; 0: none */
    uint64_t cost_steps;           /* steps this sequence will take at most, forks included */
    uint64_t least_steps;          /* and at least, one after the other, unless it fails; 0: unknown */
    /* readable in finish() */
    struct sequence_stats stats;
    /* the scheduler's own */
    atomic_bool _cancelled;
    int _phase;                    /* see scheduler.c */
    bool _wake_pending;
    enum status _reason;
    struct worker *_worker;
    struct queue_flow *_flow;      /* where it waits, or waited before it boarded; or NULL */
    struct sequence *_next, *_previous;
};

#endif
