/* worker: one thread, between its turns.
 *
 * Private to core/scheduler/: scheduler.c starts the workers and gives them work, worker.c moves sequences
 * between the queue, the parked list and the sequences aboard, and turn.c runs the turns. Each includes the
 * next, and none calls back. struct scheduler is what the workers share. */
#ifndef CAROUSEL_CORE_WORKER_H
#define CAROUSEL_CORE_WORKER_H

#include <pthread.h>

#include "core/scheduler/queue.h"
#include "core/scheduler/scheduler.h"
#include "core/scheduler/turn.h"

enum phase { PHASE_NEW, PHASE_QUEUED, PHASE_ABOARD, PHASE_PARKED };

struct worker {
    struct scheduler *scheduler;
    pthread_t thread;
    pthread_cond_t called;      /* with scheduler.mu: there is something to do */
    bool idle;                  /* waits on `called`, and is not lent */
    bool is_lent;               /* a thread that has submitted runs its turns (worker_lend) */
    bool is_missed;             /* its own thread waits for the end of that */
    struct sequence_list inbox; /* woken sequences, back to their lanes */
    struct worker *leader;      /* the worker that this one helps, in `seat` of its team; or NULL */
    int64_t helps_since_us;     /* when it was called to help */
    struct hold hold;           /* of its core, while it helps */
    size_t n_helpers;           /* workers that help this one, or are about to */
    bool team_is_open;          /* to helpers */
    struct team team;
    size_t n_booked;            /* aboard.n_riders as the others may read it, under scheduler.mu */
    /* the worker thread's alone */
    struct aboard aboard;
    struct sequence_list boarding; /* forks, until the turn is over */
    size_t n_left;              /* finished since mu was last held */
};

struct scheduler {
    struct scheduler_options options;
    pthread_mutex_t mu;
    pthread_cond_t emptied;
    struct queue queue;
    struct sequence_list parked;
    int64_t parked_deadline_us;  /* no parked sequence expires before this */
    bool draining, stopping;
    size_t inside;
    struct counters counters;
    size_t n_started;
    struct worker *workers;      /* [n_workers] */
};

/* Start the thread of `worker`, which is zeroed except for `called`. */
enum status worker_start(struct worker *worker, struct scheduler *scheduler) MUST_CHECK;
/* Free what a worker holds, after its thread has ended or if it never began. */
void worker_release(struct worker *worker);

/* Board `child` at the worker's next turn. The worker's own thread; mu is not held. */
void worker_board_child(struct worker *worker, struct sequence *child);

/* Lend an idle worker to the calling thread, and board what waits in the queue. mu is held. */
void worker_lend(struct worker *worker);
/* Run the turns of a worker that was lent, until its riders have left, others wait in the queue, or the time
 * of a loan is up; then give it back to its own thread, which goes on with what is left. The borrower; mu is
 * not held. */
void worker_run_lent(struct worker *worker);

/* Send a parked sequence back to its worker. mu is held. */
void worker_unpark(struct sequence *sequence);

#endif
