/* See the head of core/scheduler/scheduler.c for the life of a sequence and the invariants. */
#include "core/scheduler/worker.h"

#include "core/base/clock.h"

enum {
    /* Clients of a lane, in turns' worth, up to which it boards clients that have no rider aboard. */
    NEWCOMER_TURNS = 2,
    /* Bytes of weights from which a team pays: a turn is then long enough to share. */
    TEAM_BYTES = 1 << 20,
    /* How long a thread that has submitted may run turns: no turn begins later. */
    LOAN_US = 500
};

/* ---- boarding ------------------------------------------------------------------------------- */

static void sequence_set_aboard(struct sequence *sequence, struct worker *worker, int64_t now)
{
    sequence->_phase = PHASE_ABOARD;
    sequence->_worker = worker;
    sequence->stats.boarded_us = now;
}

void worker_board_child(struct worker *worker, struct sequence *child)
{
    int64_t now = clock_us();
    child->stats = (struct sequence_stats){.submitted_us = now};
    pthread_mutex_lock(&worker->scheduler->mu);
    sequence_set_aboard(child, worker, now);
    queue_board(&worker->scheduler->queue, child);
    pthread_mutex_unlock(&worker->scheduler->mu);
    list_push(&worker->boarding, child);
}

/* Drop from the queue each sequence that need not ride any more. mu is held. */
static void worker_sweep_queue(struct worker *worker, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    struct sequence_list gone = {0};
    struct sequence *sequence;
    queue_sweep(&s->queue, now, s->stopping, &gone);
    while ((sequence = list_pop(&gone))) aboard_leave(&worker->aboard, sequence, sequence->_reason);
}

/* How many riders this worker may have so as not to be fuller than the others. mu is held. */
static size_t worker_quota(const struct worker *worker)
{
    const struct scheduler *s = worker->scheduler;
    size_t n_workers = s->options.n_workers, riders = s->queue.n;
    for (size_t i = 0; i < n_workers; i++)
        riders += &s->workers[i] == worker ? worker->aboard.n_riders : s->workers[i].n_booked;
    size_t quota = (riders + n_workers - 1) / n_workers;
    return worker->n_helpers && quota < TEAM_RIDERS ? (size_t)TEAM_RIDERS : quota;
}

/* Take from a line up to `room` riders: as many of its networks as a turn serves, and the first of each
 * client that has none aboard. Forks board past the queue, so there may be many more riders than that;
 * therefore the bound on newcomers counts clients. mu is held. */
static void worker_board_line(struct worker *worker, struct queue_line *line, size_t room,
                              struct sequence_list *boarding, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    size_t seats, clients, max = s->options.max_batch;
    lanes_count(&worker->aboard.lanes, line->family, &seats, &clients);
    while (boarding->n < room && (seats < max || clients < NEWCOMER_TURNS * max)) {
        struct sequence *sequence = queue_take(&s->queue, line, seats >= max, now);
        if (!sequence) break;
        sequence_set_aboard(sequence, worker, now);
        list_push(boarding, sequence);
        seats += sequence_seats(sequence);
        clients += sequence->_flow->n_aboard == 1;
    }
    if (line->n && seats >= max) pace_stall(&line->pace, now);
}

/* Take this worker's quota from the queue. The lines take turns at being first. mu is held. */
static void worker_board_queued(struct worker *worker, int64_t now)
{
    struct queue *queue = &worker->scheduler->queue;
    if (!queue->n) return;
    size_t quota = worker_quota(worker);
    if (worker->aboard.n_riders >= quota) return;
    struct sequence_list boarding = {0};
    queue->next++;
    for (size_t i = 0; i < queue->n_lines; i++) {
        struct queue_line *line = queue->lines[(queue->next + i) % queue->n_lines];
        if (line->n) worker_board_line(worker, line, quota - worker->aboard.n_riders, &boarding, now);
    }
    aboard_seat(&worker->aboard, &boarding);
}

/* ---- parking -------------------------------------------------------------------------------- */

/* mu is held. */
static void parked_note(struct scheduler *scheduler, const struct sequence *sequence)
{
    if (sequence->deadline_us && sequence->deadline_us < scheduler->parked_deadline_us)
        scheduler->parked_deadline_us = sequence->deadline_us;
}

/* Park the sequences whose drivers had no step to give, except those that were woken meanwhile or are to
 * leave: their drivers are asked again. mu is held. */
static void worker_park(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    struct sequence_list staying = {0};
    struct sequence *sequence;
    while ((sequence = list_pop(&worker->aboard.parking))) {
        bool stay = sequence->_wake_pending || s->stopping || atomic_load(&sequence->_cancelled);
        sequence->_wake_pending = false;
        if (stay) {
            list_push(&staying, sequence);
            continue;
        }
        sequence->_phase = PHASE_PARKED;
        list_push(&s->parked, sequence);
        parked_note(s, sequence);
    }
    aboard_seat(&worker->aboard, &staying);
}

void worker_unpark(struct sequence *sequence)
{
    struct worker *worker = sequence->_worker;
    list_remove(&worker->scheduler->parked, sequence);
    sequence->_phase = PHASE_ABOARD;
    list_push(&worker->inbox, sequence);
    pthread_cond_signal(&worker->called);
}

/* Send parked sequences that must leave back to their workers. Cancelled ones have gone already. mu is
 * held. */
static void parked_sweep(struct scheduler *scheduler, int64_t now)
{
    struct sequence *next;
    if (now < scheduler->parked_deadline_us && !scheduler->stopping) return;
    scheduler->parked_deadline_us = INT64_MAX;
    for (struct sequence *sequence = scheduler->parked.head; sequence; sequence = next) {
        next = sequence->_next;
        if (scheduler->stopping || sequence_leave_reason(sequence, now) != STATUS_OK)
            worker_unpark(sequence);
        else parked_note(scheduler, sequence);
    }
}

/* ---- the worker ------------------------------------------------------------------------------ */

/* Book what happened since mu was last held: the sequences that left, parked, boarded as forks or were woken.
 * mu is held. */
static void worker_settle(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    struct aboard *aboard = &worker->aboard;
    s->inside += worker->boarding.n;
    s->inside -= worker->n_left;
    worker->n_left = 0;
    queue_note_turn(&s->queue, aboard->last_turn.family, aboard->last_turn.us, aboard->last_turn.steps);
    aboard->last_turn.steps = 0;
    if (s->inside == 0) pthread_cond_broadcast(&s->emptied);
    worker_park(worker);
    aboard_seat(&worker->aboard, &worker->boarding);
    aboard_seat(&worker->aboard, &worker->inbox);
}

/* ---- teams ----------------------------------------------------------------------------------- */

/* true while every rider's network is worth sharing and the riders are few. */
static bool worker_wants_team(const struct worker *worker)
{
    if (worker->aboard.n_riders == 0 || aboard_seats(&worker->aboard) > TEAM_RIDERS) return false;
    for (size_t i = 0; i < worker->aboard.lanes.n; i++)
        if (network_bytes(worker->aboard.lanes.lane[i].network) < TEAM_BYTES) return false;
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

/* Where `helper` sits in the team of `leader`. */
static size_t worker_seat_of(const struct worker *leader, const struct worker *helper)
{
    size_t index = (size_t)(helper - leader->scheduler->workers);
    return helper < leader ? index + 1 : index;
}

/* Call the idle workers to the team, except those that lost their core lately. */
static void worker_recruit(struct worker *worker, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    size_t n_seats = s->options.n_workers < TEAM_MAX ? s->options.n_workers : (size_t)TEAM_MAX;
    size_t most = s->options.team_size ? s->options.team_size : n_seats;
    for (size_t i = 0; i < s->options.n_workers && worker->n_helpers + 1 < most; i++) {
        struct worker *other = &s->workers[i];
        if (!other->idle || worker_seat_of(worker, other) >= n_seats) continue;
        if (!hold_is_rested(&other->hold, now)) continue;
        if (!worker->n_helpers++) team_open(&worker->team, n_seats);
        worker->team_is_open = true;
        other->idle = false;
        other->leader = worker;
        other->helps_since_us = now;
        pthread_cond_signal(&other->called);
    }
}

/* Too many riders for a team, and a worker without any: give it half. mu is held, no turn runs. */
static void worker_share_out(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    struct aboard *aboard = &worker->aboard;
    for (size_t i = 0; i < s->options.n_workers && aboard_seats(aboard) > TEAM_RIDERS; i++) {
        struct worker *other = &s->workers[i];
        if (other == worker || other->inbox.n || (!other->idle && other->leader != worker)) continue;
        if (aboard->n_riders < 2) return;
        for (size_t n = aboard->n_riders / 2; n > 0; n--) {
            struct sequence *sequence = aboard_give(aboard);
            sequence->_worker = other;
            list_push(&other->inbox, sequence);
        }
        other->idle = false;
        pthread_cond_signal(&other->called);
    }
}

/* Keep, dismiss or call helpers. A team that was dismissed opens again when all have left it. mu is held, no
 * turn runs. */
static void worker_update_team(struct worker *worker, int64_t now)
{
    struct scheduler *s = worker->scheduler;
    bool wants = !s->stopping && s->queue.n == 0 && worker_wants_team(worker) &&
                 gain_is_rested(&worker->aboard.gain, now);
    if (wants && !worker_helper_is_needed(worker)) {
        if (worker->team_is_open || !worker->n_helpers) worker_recruit(worker, now);
    } else if (worker->team_is_open) {
        team_dismiss(&worker->team);
        worker->team_is_open = false;
    }
}

/* Help the leader until its team is dismissed, or until this worker has lost its core. mu is held before and
 * after, not meanwhile. */
static void worker_help(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    struct worker *leader = worker->leader;
    pthread_mutex_unlock(&s->mu);
    hold_begin(&worker->hold, worker->helps_since_us, clock_thread_us());
    bool kept = team_join(&leader->team, worker_seat_of(leader, worker), &worker->hold);
    if (!kept) hold_rest(&worker->hold, clock_us());
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
    while (worker->is_lent) {
        worker->is_missed = true;
        pthread_cond_wait(&worker->called, &s->mu);
    }
    worker->is_missed = worker->idle = false;
}

/* Between two turns: let others board, or wait while there is nothing to do. false: stop. */
static bool worker_gather(struct worker *worker)
{
    struct scheduler *s = worker->scheduler;
    pthread_mutex_lock(&s->mu);
    for (;;) {
        int64_t now = clock_us();
        parked_sweep(s, now);
        worker_settle(worker);
        worker_sweep_queue(worker, now);
        if (s->stopping) aboard_clear(&worker->aboard);
        else worker_board_queued(worker, now);
        worker_share_out(worker);
        worker->n_booked = worker->aboard.n_riders;
        worker_update_team(worker, now);
        if (worker->aboard.n_riders || worker->aboard.leaving.n || s->stopping) break;
        worker_wait(worker);
        if (worker->leader) worker_help(worker);
    }
    bool go_on = worker->aboard.n_riders || worker->aboard.leaving.n;
    pthread_mutex_unlock(&s->mu);
    return go_on;
}

/* Finish the sequences that left. mu is not held; a sequence may be gone afterwards. */
static void worker_finish_leaving(struct worker *worker)
{
    struct sequence_list *leaving = &worker->aboard.leaving;
    struct sequence *sequence;
    if (!leaving->n) return;
    pthread_mutex_lock(&worker->scheduler->mu);
    for (sequence = leaving->head; sequence; sequence = sequence->_next) queue_left(sequence);
    pthread_mutex_unlock(&worker->scheduler->mu);
    while ((sequence = list_pop(leaving))) {
        enum status reason = sequence->_reason;
        sequence->stats.finished_us = clock_us();
        counter_add(&worker->scheduler->counters.finished[reason], 1);
        sequence->driver->finish(sequence, reason);
        worker->n_left++;
    }
}

/* ---- loans ----------------------------------------------------------------------------------- */

void worker_lend(struct worker *worker)
{
    worker->idle = false;
    worker->is_lent = true;
    worker_board_queued(worker, clock_us());
    worker->n_booked = worker->aboard.n_riders;
}

/* Between two turns of a loan: book the last one. false: the worker has been given back. */
static bool worker_stays_lent(struct worker *worker, int64_t until_us)
{
    struct scheduler *s = worker->scheduler;
    pthread_mutex_lock(&s->mu);
    worker_settle(worker);
    size_t n = worker->n_booked = worker->aboard.n_riders;
    bool stays = n && !s->queue.n && !s->stopping && !worker->is_missed && clock_us() < until_us;
    if (!stays) {
        worker->is_lent = false;
        worker->idle = !n && !s->queue.n && !worker->is_missed;
        if (!worker->idle) pthread_cond_signal(&worker->called);
    }
    pthread_mutex_unlock(&s->mu);
    return stays;
}

void worker_run_lent(struct worker *worker)
{
    int64_t until_us = clock_us() + LOAN_US;
    do {
        if (worker->aboard.n_riders) aboard_turn(&worker->aboard);
        worker_finish_leaving(worker);
    } while (worker_stays_lent(worker, until_us));
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    while (worker_gather(worker)) {
        worker_finish_leaving(worker);
        if (worker->aboard.n_riders) aboard_turn(&worker->aboard);
        worker_finish_leaving(worker);
    }
    return NULL;
}

enum status worker_start(struct worker *worker, struct scheduler *scheduler)
{
    const struct scheduler_options *options = &scheduler->options;
    const struct turn_limits limits = {options->max_batch, options->chunk_steps, options->max_rows};
    worker->scheduler = scheduler;
    enum status status = aboard_init(&worker->aboard, &limits, worker, &worker->team, &scheduler->counters);
    if (status != STATUS_OK) return status;
    if (pthread_create(&worker->thread, NULL, worker_main, worker)) return STATUS_NO_MEMORY;
    scheduler->n_started++;
    return STATUS_OK;
}

void worker_release(struct worker *worker)
{
    aboard_release(&worker->aboard);
    pthread_cond_destroy(&worker->called);
}
