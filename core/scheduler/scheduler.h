/* scheduler: the carousel. Sequences step on and off at every turn.
 *
 * One bounded queue, fair between clients (core/scheduler/queue.h); each worker thread owns its riders. One
 * turn = up to chunk_steps steps of up to max_batch riders of one network, in one packed batch. Riders of
 * several networks take turns. There is no padding, no equal-length rule and no waiting window. A prompt of
 * at most a chunk runs one step a turn if many others generate, because there its steps come almost for
 * nothing.
 *
 * A worker boards as many riders of a network as one turn serves. A client that has no rider aboard of
 * that network may board one although they are there, until two turns' worth of clients are aboard. The
 * clients of a lane contribute to each turn one after the other (core/scheduler/lanes.h), and forks take
 * their client's seats. So a thousand long sequences of one client, or a thousand forks of one sequence,
 * delay the first of another client by a turn, not by a ride.
 *
 * Functions may be called from any thread unless said otherwise. Nothing here logs or exits. */
#ifndef CAROUSEL_CORE_SCHEDULER_H
#define CAROUSEL_CORE_SCHEDULER_H

#include "core/base/clock.h"
#include "core/scheduler/queue.h"

struct scheduler;

struct scheduler_options {
    size_t n_workers;       /* threads, >= 1 */
    size_t team_size;       /* workers that may share a turn's products, the turn's own included; 0: all */
    size_t max_batch;       /* sequences in one turn of one worker */
    size_t chunk_steps;     /* C: steps of one sequence in one turn: what a prompt can delay others by */
    size_t max_rows;        /* rows of one turn; also the longest sequence that can ride whole */
    struct queue_options queue;
};

/* Histogram of sequences in a turn: bucket i counts turns of at most 2^i, the last one all. */
enum { SCHEDULER_BATCH_BUCKETS = 10 };

/* Counters since start; each by itself right. */
struct scheduler_stats {
    uint64_t turns, rows, steps_prompt, steps_decode; /* rows: sum over turns of sequences aboard */
    uint64_t batch[SCHEDULER_BATCH_BUCKETS];          /* cumulative, as Prometheus has them */
    uint64_t compute_us;                 /* sum over workers of the time spent in turns */
    uint64_t finished[STATUS_INTERNAL + 1];           /* sequences, by reason */
    size_t queued, aboard, parked;                    /* now */
    uint64_t queued_steps;                            /* now */
};

/* Start the workers. The caller owns *out. */
enum status scheduler_new(const struct scheduler_options *options, struct scheduler **out,
                          struct error *err) MUST_CHECK;

/* Take in sequences[0..n), which have one family of networks, client, weight, priority and deadline,
 * together or none:
 * STATUS_CLOSING, STATUS_NO_MEMORY, STATUS_DEADLINE, or STATUS_QUEUE_FULL with the microseconds after which
 * to come back in *retry_us (queue_judge). On success finish() will be called for each, perhaps before this
 * returns. */
enum status scheduler_submit(struct scheduler *scheduler, struct sequence *const *sequences,
                             size_t n, int64_t *retry_us) MUST_CHECK;

/* As scheduler_submit. But if this is short work that boards at once, and a worker is idle, then the calling
 * thread runs that worker's turns itself: that spares two changes of threads, which may take longer than the
 * turns. The caller may be kept for about a millisecond, and must not mind that finish() is called within. */
enum status scheduler_submit_here(struct scheduler *scheduler, struct sequence *const *sequences, size_t n,
                                  int64_t *retry_us) MUST_CHECK;

/* Would this find room now? As scheduler_submit answers: asked for the smallest sequence that a request could
 * be (one, of one step, of its network, client, weight and priority), so that a request that would be refused
 * anyway can be refused before work is put into the request, and no other is. */
enum status scheduler_judge(struct scheduler *scheduler, const struct queue_offer *offer,
                            int64_t *retry_us) MUST_CHECK;

/* From a driver's receive(): put a child on board of the same worker at its next turn, past the queue (its
 * cost was admitted with the parent's). finish() will be called for it. */
void scheduler_board(struct worker *worker, struct sequence *child);

/* Ask a sequence to leave at the next turn, wherever it is: it finishes with STATUS_CANCELLED unless it ends
 * first. May be called as long as the sequence's memory lives: before it is submitted, and it leaves as soon
 * as it is in; once finish() has been called, and nothing happens. */
void scheduler_cancel(struct scheduler *scheduler, struct sequence *sequence);

/* Let a parked sequence go on. Remembered if it is not parked: the next parking is then left out. When: as
 * scheduler_cancel. */
void scheduler_wake(struct scheduler *scheduler, struct sequence *sequence);

size_t scheduler_max_rows(const struct scheduler *scheduler);
size_t scheduler_max_seats(const struct scheduler *scheduler); /* of one sequence: those of a turn */
void scheduler_stats(struct scheduler *scheduler, struct scheduler_stats *out);

/* Refuse new sequences from now on (STATUS_CLOSING); what is inside goes on. */
void scheduler_drain(struct scheduler *scheduler);
/* Wait until nothing is inside, at most timeout_ms; true if empty. */
bool scheduler_wait_idle(struct scheduler *scheduler, int64_t timeout_ms);
/* Drain, finish whatever is still inside with STATUS_CLOSING, join the workers, free. Accepts NULL. */
void scheduler_free(struct scheduler *scheduler);

#endif
