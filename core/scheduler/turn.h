/* turn: the sequences aboard one worker, and the turns that they take.
 *
 * A turn asks the driver of each rider for steps, runs them through the network as one packed batch, and
 * hands the outputs back (core/scheduler/sequence.h says what drivers promise). It touches what belongs to
 * the worker's thread alone, and locks nothing. A sequence that leaves or parks is put on a list, and the
 * worker sees to it after the turn (core/scheduler/worker.h). One thread at a time. */
#ifndef CAROUSEL_CORE_TURN_H
#define CAROUSEL_CORE_TURN_H

#include "core/scheduler/gain.h"
#include "core/scheduler/lanes.h"

/* As scheduler.h publishes them. */
enum { TURN_BATCH_BUCKETS = 10 };

/* Of all workers, since the start. */
struct counters {
    atomic_uint_fast64_t turns, rows, steps_prompt, steps_decode, compute_us;
    atomic_uint_fast64_t batch[TURN_BATCH_BUCKETS]; /* not cumulative */
    atomic_uint_fast64_t finished[STATUS_INTERNAL + 1];
};

/* Add to a counter. Any thread. */
void counter_add(atomic_uint_fast64_t *counter, uint64_t n);

/* Bounds of a turn: see struct scheduler_options. */
struct turn_limits {
    size_t max_batch, chunk_steps, max_rows;
};

/* A sequence of a turn, and its rides, which lie behind those of the sequences before it. */
struct seat {
    struct sequence *sequence;
    size_t n_rides;
};

/* Set by aboard_init; the lists and the numbers are the worker's to read and to empty between turns. */
struct aboard {
    struct worker *worker;       /* for drivers, which may board forks */
    struct team *team;           /* the worker's, borrowed */
    struct counters *counters;   /* borrowed */
    struct turn_limits limits;
    struct workspace *workspace;
    struct ride *rides;          /* [max_batch] */
    struct seat *seats;          /* [max_batch] the sequences of the turn, in the order of their rides */
    struct lanes lanes;
    size_t next_lane;
    size_t n_riders;             /* in all lanes */
    struct gain gain;            /* by the team */
    struct sequence_list parking; /* their drivers had no step to give */
    struct sequence_list leaving; /* _reason says why; finish() is due */
    struct {
        uint64_t serial, family; /* the network's */
        uint64_t steps;          /* 0: there was no turn since the worker looked */
        int64_t us;
    } last_turn;
};

enum status aboard_init(struct aboard *aboard, const struct turn_limits *limits, struct worker *worker,
                        struct team *team, struct counters *counters) MUST_CHECK;
void aboard_release(struct aboard *aboard); /* must be empty of sequences */

/* Put `sequence` on the list of those that leave, for `reason`. */
void aboard_leave(struct aboard *aboard, struct sequence *sequence, enum status reason);

/* Put all of `from` into their lanes. A sequence for which there is no memory leaves. */
void aboard_seat(struct aboard *aboard, struct sequence_list *from);

/* Seats that its riders take, in all lanes. */
size_t aboard_seats(const struct aboard *aboard);

/* Take out the next rider of the first lane; there must be one. */
struct sequence *aboard_give(struct aboard *aboard);

/* Run one turn of the next lane, which must exist. Riders that stay line up behind the others of their
 * client. */
void aboard_turn(struct aboard *aboard);

/* All riders leave with STATUS_CLOSING. */
void aboard_clear(struct aboard *aboard);

#endif
