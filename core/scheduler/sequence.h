/* sequence: one client's steps through a network, and the driver that feeds them.
 *
 * The scheduler knows no task. At each turn it asks a sequence's driver two things: which inputs
 * are known now, and of which steps the output is wanted (feed). After the turn it hands the
 * outputs back (receive). At the end it says why the sequence ended (finish). A prompt, a score, a
 * generation and a forecast are the same thing to it.
 *
 * A sequence lives in its job's memory. The creator owns it until scheduler_submit accepts it;
 * from then on the scheduler has it until finish() is called, exactly once, which gives it back. */
#ifndef CAROUSEL_CORE_SEQUENCE_H
#define CAROUSEL_CORE_SEQUENCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/network/network.h"

struct sequence;
struct worker;
struct queue_flow;

enum { SEQUENCE_PRIORITY_MIN = -10, SEQUENCE_PRIORITY_MAX = 10 };

enum next { STAY, LEAVE };

/* All three run on the worker's thread, never two at once for one sequence; they must not block or
 * allocate, and feed and receive must not fail: a driver that finds a fault ends with LEAVE. */
struct driver {
    /* Fill the in-fields of rides[0] except state: 1 to `room` steps, or n_steps = 0 to be parked
     * until scheduler_wake. If the network or the sequence is whole, all steps at once (they fit: the job
     * checked scheduler_max_rows when it was made). The memory behind tokens and features stays until
     * receive.
     *
     * A sequence with several seats may fill as many rides, from rides[0] on; the first without steps ends
     * them. Each names its own state, which is sequence->state unless the driver says otherwise, and has
     * `room` for itself. All of them are in one turn. */
    void (*feed)(struct sequence *sequence, size_t room, struct ride *rides);
    /* The rides that feed filled are over; their outputs are valid during the call. To fork, copy
     * sequence->state into children's states and scheduler_board each.
     *
     * The driver may change the sequence's network (within its family), state, whole_steps and seats here,
     * and nowhere else: so an encoder's sequence goes on into the decoder, and a beam widens. */
    enum next (*receive)(struct sequence *sequence, struct worker *worker,
                         const struct ride *rides);
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
    uint32_t client;               /* the client; the queue serves clients alike (core/scheduler/queue.h), */
    uint32_t weight;               /* or by their weights; 0 is 1 */
    uint32_t seats;                /* rides that it may take in a turn, <= scheduler_max_seats; 0 is 1 */
    int priority;                  /* higher boards first among its client's; 0 is ordinary */
    int64_t deadline_us;           /* monotonic; 0: none */
    uint64_t cost_steps;           /* steps this sequence will take at most, all seats and forks included */
    uint64_t whole_steps;          /* steps of its ride through a network that is whole; 0: cost_steps */
    uint64_t turn_steps;           /* that a turn may take, if more than a chunk; 0: a chunk */
    bool rides_whole;              /* although its network is not: a group of rides with a mirror */
    uint64_t least_steps;          /* and at least, one after the other, unless it fails; 0: unknown */
    /* readable in finish() */
    struct sequence_stats stats;
    /* the scheduler's own */
    atomic_bool _cancelled;
    int _phase;                    /* see worker.h */
    bool _wake_pending;
    enum status _reason;
    struct worker *_worker;
    struct queue_flow *_flow;      /* in which it waits, or waited before it boarded; or NULL */
    int64_t _credit;               /* its client's, before this sequence took a seat of the turn */
    struct sequence *_next, *_previous;
};

static inline size_t sequence_seats(const struct sequence *sequence)
{
    return sequence->seats ? sequence->seats : 1;
}

#endif
