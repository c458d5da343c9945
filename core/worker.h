/* worker: one thread's riders and the turns it runs. Private to core/scheduler.c and core/worker.c: worker.c
 * runs turns and touches what is the worker's alone; scheduler.c moves sequences between workers, the queue
 * and the parked list under scheduler.mu. */
#ifndef CAROUSEL_CORE_WORKER_H
#define CAROUSEL_CORE_WORKER_H

#include <pthread.h>

#include "core/lanes.h"
#include "core/queue.h"
#include "core/scheduler.h"

enum phase { PHASE_NEW, PHASE_QUEUED, PHASE_ABOARD, PHASE_PARKED };

struct counters {
    atomic_uint_fast64_t turns, rows, steps_prompt, steps_decode, compute_us;
    atomic_uint_fast64_t batch[SCHEDULER_BATCH_BUCKETS]; /* not cumulative */
    atomic_uint_fast64_t finished[STATUS_INTERNAL + 1];
};

struct worker {
    struct scheduler *scheduler;
    pthread_t thread;
    pthread_cond_t called;      /* with scheduler.mu: there is something to do */
    bool idle;                  /* waits on `called` */
    struct sequence_list inbox; /* woken sequences, back to their lanes */
    struct worker *leader;      /* whom this worker helps, in `seat` of its team; or NULL */
    size_t seat;
    size_t n_helpers;           /* who help this worker, or are about to */
    struct team team;
    /* the worker thread's alone */
    struct workspace *workspace;
    struct ride *rides;         /* [max_batch] */
    struct sequence **aboard;   /* [max_batch] who sits in rides[i] */
    struct lanes lanes;
    size_t next_lane;
    size_t n_riders;            /* in all lanes */
    size_t n_booked;            /* n_riders as the others may read it, under scheduler.mu */
    struct sequence_list boarding;       /* forks, until the turn is over */
    struct sequence_list leaving;        /* _reason says why; finish() is due */
    size_t n_left;              /* finished since mu was last held */
    struct {
        uint64_t serial, steps; /* the network's; steps 0: there was none since mu was last held */
        int64_t us;
    } last_turn;
};

struct scheduler {
    struct scheduler_options options;
    pthread_mutex_t mu;
    pthread_cond_t emptied;
    struct queue queue;
    struct sequence_list parked;
    int64_t parked_deadline_us;  /* nobody who is parked expires before this */
    bool draining, stopping;
    size_t inside;
    struct counters counters;
    size_t n_started;
    struct worker *workers;      /* [n_workers] */
};

/* Add to a counter. Any thread. */
void counter_add(atomic_uint_fast64_t *counter, uint64_t n);

/* The following are called by the worker's own thread. */

/* Line `sequence` up to leave for `reason`; worker_finish_leaving calls finish() of all who are (mu not held;
 * a sequence may be gone afterwards). */
void worker_leave(struct worker *worker, struct sequence *sequence, enum status reason);
void worker_finish_leaving(struct worker *worker);

/* Put everyone of `from` into their lanes. Who finds no memory for a lane leaves. */
void worker_seat(struct worker *worker, struct sequence_list *from);

/* One turn of the next lane, which must exist. Riders who stay go to the tail of their lane. */
void worker_turn(struct worker *worker);

/* Everyone in the lanes leaves with STATUS_CLOSING. */
void worker_clear_lanes(struct worker *worker);

/* Park `sequence`, whose driver has no step to give, unless it was woken or is to leave: then false, and its
 * driver is to be asked again. In scheduler.c. */
bool worker_park(struct worker *worker, struct sequence *sequence);

#endif
