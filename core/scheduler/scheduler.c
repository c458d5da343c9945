/* The carousel.
 *
 * Life of a sequence (the function on each arrow):
 *
 *   NEW --scheduler_submit--> QUEUED --worker_board_queued--> ABOARD --LEAVE of receive--> left
 *   NEW --scheduler_board---------------------------------->  ABOARD
 *   ABOARD --feed gives no step: worker_park--> PARKED --scheduler_wake--> ABOARD
 *   QUEUED, ABOARD, PARKED --cancelled, past its deadline, closing--> left
 *
 * Three files in one direction: scheduler.c starts the workers and hands them work, worker.c is a worker
 * between its turns, and turn.c runs the turns. The queue decides which sequence boards next
 * (core/scheduler/queue.h). A worker keeps its riders in lanes, one lane a network. A turn serves up to
 * max_batch riders of one lane, to which the lane's clients contribute one after the other
 * (core/scheduler/lanes.h), and the next turn serves the next lane. While a worker has few riders of a large
 * network, idle workers help it with its products (core/network/team.h); when it has many, it gives half of
 * them to an idle one.
 *
 * Invariants.
 * 1. scheduler.mu guards the queue, the parked list, the inboxes, all phases and the counts of
 *    sequences in each place. Lanes belong to their worker alone. No driver is called with mu held.
 * 2. A sequence is in exactly one place: the queue, a lane, the parked list, an inbox or a
 *    worker's `boarding`, `parking` or `leaving` list; _next links it there.
 * 3. `inside` counts sequences whose finish() has not returned.
 * 4. A lane exists while it has riders, so no network is looked at after its last rider left. */
#include "core/scheduler/scheduler.h"

#include <assert.h>

#include "core/base/memory.h"
#include "core/scheduler/worker.h"

enum {
    NEAR_BYTES = 1 << 18, /* of weights that stay in a core's own cache */
    SHORT_BYTES = 1 << 22 /* of weights that work streams, step by step: some tenths of a millisecond */
};

_Static_assert((int)SCHEDULER_BATCH_BUCKETS == (int)TURN_BATCH_BUCKETS, "one histogram");

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum status scheduler_new(const struct scheduler_options *options, struct scheduler **out,
                          struct error *err)
{
    assert(options->n_workers && options->max_batch && options->chunk_steps);
    assert(options->max_rows >= options->max_batch);
    enum status status = STATUS_NO_MEMORY;
    struct scheduler *s = memory_new(1, sizeof *s);
    if (!s) goto out;
    s->options = *options;
    s->parked_deadline_us = INT64_MAX;
    queue_init(&s->queue, &options->queue);
    pthread_mutex_init(&s->mu, NULL);
    condition_init(&s->emptied);
    s->workers = memory_new(options->n_workers, sizeof *s->workers);
    if (!s->workers) goto out;
    for (size_t i = 0; i < options->n_workers; i++) condition_init(&s->workers[i].called);
    for (size_t i = 0; i < options->n_workers; i++) {
        status = worker_start(&s->workers[i], s);
        if (status != STATUS_OK) goto out;
    }
    *out = s;
    return STATUS_OK;
out:
    scheduler_free(s);
    return error_set(err, status, "cannot start %zu workers: %s", options->n_workers,
                     status_text(status));
}

/* Call up to n workers that are waiting. mu is held. */
static void scheduler_call(struct scheduler *scheduler, size_t n)
{
    for (size_t i = 0; i < scheduler->options.n_workers && n; i++) {
        struct worker *worker = &scheduler->workers[i];
        if (!worker->idle) continue;
        worker->idle = false;
        pthread_cond_signal(&worker->called);
        n--;
    }
}

static enum status scheduler_consider(struct scheduler *scheduler, const struct queue_offer *offer,
                                      int64_t now, int64_t *retry_us)
{
    if (scheduler->draining) return STATUS_CLOSING;
    return queue_judge(&scheduler->queue, offer, now, retry_us);
}

enum status scheduler_judge(struct scheduler *scheduler, const struct queue_offer *offer, int64_t *retry_us)
{
    pthread_mutex_lock(&scheduler->mu);
    enum status status = scheduler_consider(scheduler, offer, clock_us(), retry_us);
    pthread_mutex_unlock(&scheduler->mu);
    return status;
}

static struct queue_offer offer_of(struct sequence *const *sequences, size_t n)
{
    struct queue_offer offer = {.network = sequences[0]->network, .client = sequences[0]->client,
                                .weight = sequences[0]->weight, .n = n,
                                .priority = sequences[0]->priority, .deadline_us = sequences[0]->deadline_us};
    for (size_t i = 0; i < n; i++) {
        offer.steps += sequences[i]->cost_steps;
        if (sequences[i]->least_steps > offer.least_steps) offer.least_steps = sequences[i]->least_steps;
    }
    return offer;
}

/* An idle worker for the submitting thread to run short work, if that is better than to call it. If weights
 * are near, a batch gains less than the call costs. Else work is done at once only if no other work is:
 * beside others it is better batched by the workers. mu is held. */
static struct worker *scheduler_lender(struct scheduler *scheduler, const struct queue_offer *offer)
{
    size_t n_workers = scheduler->options.n_workers, n_idle = 0;
    uint64_t step_bytes = network_bytes(offer->network);
    struct worker *idle = NULL;
    if (offer->steps > SHORT_BYTES / (step_bytes + 1)) return NULL;
    for (size_t i = 0; i < n_workers; i++) {
        if (!scheduler->workers[i].idle) continue;
        n_idle++;
        idle = &scheduler->workers[i];
    }
    return n_idle == n_workers || step_bytes <= NEAR_BYTES ? idle : NULL;
}

static enum status submit(struct scheduler *scheduler, struct sequence *const *sequences, size_t n, bool here,
                          int64_t *retry_us)
{
    const struct queue_offer offer = offer_of(sequences, n);
    struct worker *lent = NULL;
    int64_t now = clock_us();
    pthread_mutex_lock(&scheduler->mu);
    bool boards_at_once = scheduler->queue.n == 0;
    enum status status = scheduler_consider(scheduler, &offer, now, retry_us);
    if (status == STATUS_OK) status = queue_push(&scheduler->queue, sequences, n, now);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++) {
            assert(sequence_seats(sequences[i]) <= scheduler->options.max_batch);
            sequences[i]->_phase = PHASE_QUEUED;
        }
        scheduler->inside += n;
        if (here && boards_at_once) lent = scheduler_lender(scheduler, &offer);
        if (lent) worker_lend(lent);
        scheduler_call(scheduler, scheduler->queue.n < n ? scheduler->queue.n : n);
    }
    pthread_mutex_unlock(&scheduler->mu);
    if (lent) worker_run_lent(lent);
    return status;
}

enum status scheduler_submit(struct scheduler *scheduler, struct sequence *const *sequences, size_t n,
                             int64_t *retry_us)
{
    return submit(scheduler, sequences, n, false, retry_us);
}

enum status scheduler_submit_here(struct scheduler *scheduler, struct sequence *const *sequences, size_t n,
                                  int64_t *retry_us)
{
    return submit(scheduler, sequences, n, true, retry_us);
}

void scheduler_board(struct worker *worker, struct sequence *child)
{
    worker_board_child(worker, child);
}

void scheduler_cancel(struct scheduler *scheduler, struct sequence *sequence)
{
    pthread_mutex_lock(&scheduler->mu);
    atomic_store_explicit(&sequence->_cancelled, true, memory_order_release);
    if (sequence->_phase == PHASE_PARKED) worker_unpark(sequence);
    if (sequence->_phase == PHASE_QUEUED) scheduler->queue.changed = true;
    pthread_mutex_unlock(&scheduler->mu);
}

void scheduler_wake(struct scheduler *scheduler, struct sequence *sequence)
{
    pthread_mutex_lock(&scheduler->mu);
    if (sequence->_phase == PHASE_PARKED) worker_unpark(sequence);
    else sequence->_wake_pending = true;
    pthread_mutex_unlock(&scheduler->mu);
}

size_t scheduler_max_rows(const struct scheduler *scheduler)
{
    return scheduler->options.max_rows;
}

size_t scheduler_max_seats(const struct scheduler *scheduler)
{
    return scheduler->options.max_batch;
}

static uint64_t counted(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void scheduler_stats(struct scheduler *scheduler, struct scheduler_stats *out)
{
    struct counters *c = &scheduler->counters;
    *out = (struct scheduler_stats){
        .turns = counted(&c->turns),
        .rows = counted(&c->rows),
        .steps_prompt = counted(&c->steps_prompt),
        .steps_decode = counted(&c->steps_decode),
        .compute_us = counted(&c->compute_us),
    };
    for (size_t i = 0; i < SCHEDULER_BATCH_BUCKETS; i++)
        out->batch[i] = counted(&c->batch[i]) + (i ? out->batch[i - 1] : 0);
    for (size_t i = 0; i <= STATUS_INTERNAL; i++) out->finished[i] = counted(&c->finished[i]);
    pthread_mutex_lock(&scheduler->mu);
    out->queued = scheduler->queue.n;
    out->parked = scheduler->parked.n;
    out->queued_steps = scheduler->queue.steps;
    for (size_t i = 0; i < scheduler->options.n_workers; i++)
        out->aboard += scheduler->workers[i].n_booked + scheduler->workers[i].inbox.n;
    pthread_mutex_unlock(&scheduler->mu);
}

void scheduler_drain(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->mu);
    scheduler->draining = true;
    pthread_mutex_unlock(&scheduler->mu);
}

bool scheduler_wait_idle(struct scheduler *scheduler, int64_t timeout_ms)
{
    struct timespec until = clock_timespec_in(timeout_ms);
    pthread_mutex_lock(&scheduler->mu);
    while (scheduler->inside)
        if (pthread_cond_timedwait(&scheduler->emptied, &scheduler->mu, &until)) break;
    bool idle = scheduler->inside == 0;
    pthread_mutex_unlock(&scheduler->mu);
    return idle;
}

void scheduler_free(struct scheduler *scheduler)
{
    if (!scheduler) return;
    pthread_mutex_lock(&scheduler->mu);
    scheduler->draining = scheduler->stopping = true;
    for (size_t i = 0; i < scheduler->n_started; i++)
        pthread_cond_signal(&scheduler->workers[i].called);
    pthread_mutex_unlock(&scheduler->mu);
    for (size_t i = 0; i < scheduler->n_started; i++)
        pthread_join(scheduler->workers[i].thread, NULL);
    if (scheduler->workers)
        for (size_t i = 0; i < scheduler->options.n_workers; i++)
            worker_release(&scheduler->workers[i]);
    memory_free(scheduler->workers);
    queue_release(&scheduler->queue);
    pthread_cond_destroy(&scheduler->emptied);
    pthread_mutex_destroy(&scheduler->mu);
    memory_free(scheduler);
}
