/* The carousel.
 *
 * Life of a sequence (the function on each arrow):
 *
 *   NEW --scheduler_submit--> QUEUED --worker_board_queued--> ABOARD --verdict LEAVE--> left
 *   NEW --scheduler_board---------------------------------->  ABOARD
 *   ABOARD --feed gives no step: worker_park--> PARKED --scheduler_wake--> ABOARD
 *   QUEUED, ABOARD, PARKED --cancelled, past its deadline, closing--> left
 *
 * Who boards next is the queue's to say (core/queue.h). A worker keeps its riders in lanes, one lane a
 * network; a turn serves the first max_batch riders of one lane, who then stand in line again at its tail,
 * and the next turn serves the next lane. While a worker has few riders of a large network, idle workers help
 * it with its products (core/team.h); when it has many, it gives half of them to an idle one.
 *
 * Invariants.
 * 1. scheduler.mu guards the queue, the parked list, the inboxes, all phases and the counts of
 *    who is where. Lanes belong to their worker alone. No driver is called with mu held.
 * 2. A sequence is in exactly one place: the queue, a lane, the parked list, an inbox or a
 *    worker's `boarding` or `leaving` list; _next links it there.
 * 3. `inside` counts sequences whose finish() has not returned.
 * 4. A lane exists while it has riders, so no network is looked at after its last rider left. */
#include "core/scheduler.h"

#include <assert.h>

#include "core/memory.h"
#include "core/worker.h"

enum {
    /* Riders of a lane, in turns' worth, up to which it takes in clients who have nobody aboard. */
    GUEST_TURNS = 2,
    /* Riders of a worker up to which it rather borrows the other cores than shares out its riders: so few
     * rows cost little more than the weights they stream, which a team streams once for all of them. */
    TEAM_RIDERS = 16,
    /* Bytes of weights from which that pays: a turn then takes long enough to share. */
    TEAM_BYTES = 1 << 20
};

/* ---- boarding ------------------------------------------------------------------------------- */

static void sequence_set_aboard(struct sequence *sequence, struct worker *worker, int64_t now)
{
    sequence->_phase = PHASE_ABOARD;
    sequence->_worker = worker;
    sequence->stats.boarded_us = now;
}

void scheduler_board(struct worker *worker, struct sequence *child)
{
    int64_t now = clock_us();
    child->stats = (struct sequence_stats){.submitted_us = now};
    pthread_mutex_lock(&worker->scheduler->mu);
    sequence_set_aboard(child, worker, now);
    queue_board(&worker->scheduler->queue, child);
    pthread_mutex_unlock(&worker->scheduler->mu);
    list_push(&worker->boarding, child);
}

/* Drop from the queue whoever need not ride any more. mu is held. */
static void worker_sweep_queue(struct worker *worker, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    struct sequence_list gone = {0};
    struct sequence *sequence;
    queue_sweep(&s->queue, now, s->stopping, &gone);
    while ((sequence = list_pop(&gone))) worker_leave(worker, sequence, sequence->_reason);
}

/* How many riders this worker may have so as not to be fuller than the others. mu is held. */
static size_t worker_quota(const struct worker *worker)
{
    const struct scheduler *s = worker->scheduler;
    size_t n_workers = s->options.n_workers, riders = s->queue.n;
    for (size_t i = 0; i < n_workers; i++)
        riders += &s->workers[i] == worker ? worker->n_riders : s->workers[i].n_booked;
    size_t quota = (riders + n_workers - 1) / n_workers;
    return worker->n_helpers && quota < TEAM_RIDERS ? (size_t)TEAM_RIDERS : quota;
}

/* Take from a line up to `room` riders: as many of its network as a turn serves, and guests. mu is held. */
static void worker_board_line(struct worker *worker, struct queue_line *line, size_t room,
                              struct sequence_list *boarding, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    const struct lane *lane = lanes_find(&worker->lanes, line->network);
    size_t riders = lane ? lane->riders.n : 0, max = s->options.max_batch;
    while (boarding->n < room && riders < GUEST_TURNS * max) {
        struct sequence *sequence = queue_take(&s->queue, line, riders >= max, now);
        if (!sequence) break;
        sequence_set_aboard(sequence, worker, now);
        list_push(boarding, sequence);
        riders++;
    }
    if (line->n && riders >= max) pace_stall(&line->pace, now);
}

/* Take this worker's quota from the queue. The lines take turns at being first. mu is held. */
static void worker_board_queued(struct worker *worker, int64_t now)
{
    struct queue *queue = &worker->scheduler->queue;
    if (!queue->n) return;
    size_t quota = worker_quota(worker);
    if (worker->n_riders >= quota) return;
    struct sequence_list boarding = {0};
    queue->next++;
    for (size_t i = 0; i < queue->n_lines; i++) {
        struct queue_line *line = queue->lines[(queue->next + i) % queue->n_lines];
        if (line->n) worker_board_line(worker, line, quota - worker->n_riders, &boarding, now);
    }
    worker_seat(worker, &boarding);
}

/* ---- parking -------------------------------------------------------------------------------- */

/* mu is held. */
static void scheduler_note_parked(struct scheduler *scheduler, const struct sequence *sequence)
{
    if (sequence->deadline_us && sequence->deadline_us < scheduler->parked_deadline_us)
        scheduler->parked_deadline_us = sequence->deadline_us;
}

bool worker_park(struct worker *worker, struct sequence *sequence)
{
    struct scheduler *s = worker->scheduler;
    pthread_mutex_lock(&s->mu);
    bool stay = sequence->_wake_pending || s->stopping || atomic_load(&sequence->_cancelled);
    sequence->_wake_pending = false;
    if (!stay) {
        sequence->_phase = PHASE_PARKED;
        list_push(&s->parked, sequence);
        scheduler_note_parked(s, sequence);
    }
    pthread_mutex_unlock(&s->mu);
    return !stay;
}

/* Parked -> its worker's inbox. mu is held. */
static void scheduler_unpark(struct scheduler *scheduler, struct sequence *sequence)
{
    list_remove(&scheduler->parked, sequence);
    sequence->_phase = PHASE_ABOARD;
    list_push(&sequence->_worker->inbox, sequence);
    pthread_cond_signal(&sequence->_worker->called);
}

/* Send parked sequences that must leave back to their workers: who is cancelled has gone already. mu is
 * held. */
static void scheduler_sweep_parked(struct scheduler *scheduler, int64_t now)
{
    struct sequence *next;
    if (now < scheduler->parked_deadline_us && !scheduler->stopping) return;
    scheduler->parked_deadline_us = INT64_MAX;
    for (struct sequence *sequence = scheduler->parked.head; sequence; sequence = next) {
        next = sequence->_next;
        if (scheduler->stopping || sequence_verdict(sequence, now) != STATUS_OK)
            scheduler_unpark(scheduler, sequence);
        else scheduler_note_parked(scheduler, sequence);
    }
}

/* ---- the worker ------------------------------------------------------------------------------ */

/* Book what happened since mu was last held: who left, who boarded as a fork, who was woken. */
static void worker_settle(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    s->inside += worker->boarding.n;
    s->inside -= worker->n_left;
    worker->n_left = 0;
    queue_note_turn(&s->queue, worker->last_turn.serial, worker->last_turn.us, worker->last_turn.steps);
    worker->last_turn.steps = 0;
    if (s->inside == 0) pthread_cond_broadcast(&s->emptied);
    worker_seat(worker, &worker->boarding);
    worker_seat(worker, &worker->inbox);
}

/* ---- teams ----------------------------------------------------------------------------------- */

/* true while every rider's network is worth sharing and the riders are few. */
static bool worker_wants_team(const struct worker *worker)
{
    if (worker->n_riders == 0 || worker->n_riders > TEAM_RIDERS) return false;
    for (size_t i = 0; i < worker->lanes.n; i++)
        if (network_bytes(worker->lanes.lane[i].network) < TEAM_BYTES) return false;
    return true;
}

/* Some helper has riders of its own to see to. */
static bool worker_helper_is_needed(const struct worker *worker)
{
    const struct scheduler *s = worker->scheduler;
    for (size_t i = 0; i < s->options.n_workers; i++)
        if (s->workers[i].leader == worker && s->workers[i].inbox.n) return true;
    return false;
}

/* Send the idle workers to the team's seats. */
static void worker_recruit(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    team_open(&worker->team);
    for (size_t i = 0; i < s->options.n_workers && worker->n_helpers + 1 < TEAM_MAX; i++) {
        struct worker *other = &s->workers[i];
        if (!other->idle) continue;
        other->idle = false;
        other->leader = worker;
        other->seat = ++worker->n_helpers;
        pthread_cond_signal(&other->called);
    }
}

/* Take out the first rider of the first lane. */
static struct sequence *worker_give(struct worker *worker)
{
    struct lane *lane = &worker->lanes.lane[0];
    struct sequence *sequence = list_pop(&lane->riders);
    worker->n_riders--;
    if (lane->riders.n == 0) lanes_close(&worker->lanes, lane);
    return sequence;
}

/* Too many riders for a team, and a worker without any: give it half. mu is held, no turn runs. */
static void worker_share_out(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    for (size_t i = 0; i < s->options.n_workers && worker->n_riders > TEAM_RIDERS; i++) {
        struct worker *other = &s->workers[i];
        if (other == worker || other->inbox.n || (!other->idle && other->leader != worker)) continue;
        for (size_t n = worker->n_riders / 2; n > 0; n--) {
            struct sequence *sequence = worker_give(worker);
            sequence->_worker = other;
            list_push(&other->inbox, sequence);
        }
        other->idle = false;
        pthread_cond_signal(&other->called);
    }
}

/* Keep, dismiss or call helpers. mu is held, no turn runs. */
static void worker_update_team(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    bool wants = !s->stopping && s->queue.n == 0 && worker_wants_team(worker);
    if (worker->n_helpers == 0) {
        if (wants) worker_recruit(worker);
    } else if (!wants || worker_helper_is_needed(worker)) {
        team_dismiss(&worker->team);
    }
}

/* Help the leader until its team is dismissed. mu is held before and after, not meanwhile. */
static void worker_help(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    struct worker *leader = worker->leader;
    pthread_mutex_unlock(&s->mu);
    team_join(&leader->team, worker->seat);
    pthread_mutex_lock(&s->mu);
    worker->leader = NULL;
    leader->n_helpers--;
}

/* Until called, or until a parked sequence expires: the worker that parked it waits here for that, or runs
 * turns and sees to it between them. mu is held. */
static void worker_wait(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    worker->idle = true;
    if (s->parked_deadline_us < INT64_MAX) {
        int64_t left_us = s->parked_deadline_us - clock_us();
        struct timespec until = clock_timespec_in(left_us > 0 ? left_us / 1000 + 1 : 0);
        pthread_cond_timedwait(&worker->called, &s->mu, &until);
    } else {
        pthread_cond_wait(&worker->called, &s->mu);
    }
    worker->idle = false;
}

/* Between two turns: let others board, or wait while there is nothing to do. false: stop. */
static bool worker_gather(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    pthread_mutex_lock(&s->mu);
    for (;;) {
        int64_t now = clock_us();
        scheduler_sweep_parked(s, now);
        worker_settle(worker);
        worker_sweep_queue(worker, now);
        if (s->stopping) worker_clear_lanes(worker);
        else worker_board_queued(worker, now);
        worker_share_out(worker);
        worker->n_booked = worker->n_riders;
        worker_update_team(worker);
        if (worker->n_riders || worker->leaving.n || s->stopping) break;
        worker_wait(worker);
        if (worker->leader) worker_help(worker);
    }
    bool go_on = worker->n_riders || worker->leaving.n;
    pthread_mutex_unlock(&s->mu);
    return go_on;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    while (worker_gather(worker)) {
        worker_finish_leaving(worker);
        if (worker->n_riders) worker_turn(worker);
        worker_finish_leaving(worker);
    }
    return NULL;
}

static enum status worker_start(struct worker *worker, struct scheduler *scheduler)
{
    const struct scheduler_options *options = &scheduler->options;
    worker->scheduler = scheduler;
    worker->rides = memory_new(options->max_batch, sizeof *worker->rides);
    worker->aboard = memory_new(options->max_batch, sizeof(struct sequence *));
    if (!worker->rides || !worker->aboard) return STATUS_NO_MEMORY;
    enum status status = workspace_new(options->max_rows, options->max_batch, &worker->workspace);
    if (status != STATUS_OK) return status;
    workspace_lend(worker->workspace, &worker->team);
    if (pthread_create(&worker->thread, NULL, worker_main, worker)) return STATUS_NO_MEMORY;
    scheduler->n_started++;
    return STATUS_OK;
}

static void worker_release(struct worker *worker)
{
    workspace_free(worker->workspace);
    memory_free(worker->rides);
    memory_free(worker->aboard);
    lanes_release(&worker->lanes);
    pthread_cond_destroy(&worker->called);
}

/* ---- the scheduler ---------------------------------------------------------------------------- */

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
    struct queue_offer offer = {.network = sequences[0]->network, .share = sequences[0]->share,
                                .weight = sequences[0]->weight, .n = n,
                                .priority = sequences[0]->priority, .deadline_us = sequences[0]->deadline_us};
    for (size_t i = 0; i < n; i++) {
        offer.steps += sequences[i]->cost_steps;
        if (sequences[i]->least_steps > offer.least_steps) offer.least_steps = sequences[i]->least_steps;
    }
    return offer;
}

enum status scheduler_submit(struct scheduler *scheduler, struct sequence *const *sequences,
                             size_t n, int64_t *retry_us)
{
    const struct queue_offer offer = offer_of(sequences, n);
    int64_t now = clock_us();
    pthread_mutex_lock(&scheduler->mu);
    enum status status = scheduler_consider(scheduler, &offer, now, retry_us);
    if (status == STATUS_OK) status = queue_push(&scheduler->queue, sequences, n, now);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++) sequences[i]->_phase = PHASE_QUEUED;
        scheduler->inside += n;
        scheduler_call(scheduler, n);
    }
    pthread_mutex_unlock(&scheduler->mu);
    return status;
}

void scheduler_cancel(struct scheduler *scheduler, struct sequence *sequence)
{
    pthread_mutex_lock(&scheduler->mu);
    atomic_store_explicit(&sequence->_cancelled, true, memory_order_release);
    if (sequence->_phase == PHASE_PARKED) scheduler_unpark(scheduler, sequence);
    if (sequence->_phase == PHASE_QUEUED) scheduler->queue.changed = true;
    pthread_mutex_unlock(&scheduler->mu);
}

void scheduler_wake(struct scheduler *scheduler, struct sequence *sequence)
{
    pthread_mutex_lock(&scheduler->mu);
    if (sequence->_phase == PHASE_PARKED) scheduler_unpark(scheduler, sequence);
    else sequence->_wake_pending = true;
    pthread_mutex_unlock(&scheduler->mu);
}

size_t scheduler_max_rows(const struct scheduler *scheduler)
{
    return scheduler->options.max_rows;
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
