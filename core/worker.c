/* A turn: ask each rider's driver for steps, run them through the network as one packed batch, hand the
 * outputs back. See core/sequence.h for what drivers promise. */
#include "core/worker.h"

#include <assert.h>

/* So many riders who generate make a batch that a prompt's step joins almost for nothing. */
enum { COMPANY_RIDERS = 8 };

void counter_add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- leaving -------------------------------------------------------------------------------- */

void worker_leave(struct worker *worker, struct sequence *sequence, enum status reason)
{
    sequence->_reason = reason;
    list_push(&worker->leaving, sequence);
}

void worker_finish_leaving(struct worker *worker)
{
    struct sequence *sequence;
    if (!worker->leaving.n) return;
    pthread_mutex_lock(&worker->scheduler->mu);
    for (sequence = worker->leaving.head; sequence; sequence = sequence->_next) queue_left(sequence);
    pthread_mutex_unlock(&worker->scheduler->mu);
    while ((sequence = list_pop(&worker->leaving))) {
        enum status reason = sequence->_reason;
        sequence->stats.finished_us = clock_us();
        counter_add(&worker->scheduler->counters.finished[reason], 1);
        sequence->driver->finish(sequence, reason);
        worker->n_left++;
    }
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static void worker_stay(struct worker *worker, struct lane *lane, struct sequence *sequence)
{
    list_push(&lane->riders, sequence);
    worker->n_riders++;
}

/* The network's lane, opened where there is none: the one place where a worker allocates, once for
 * each network it meets. NULL: no memory. */
static struct lane *worker_lane(struct worker *worker, const struct network *network)
{
    struct lane *lane = lanes_find(&worker->lanes, network);
    if (lane || workspace_fit(worker->workspace, network) != STATUS_OK) return lane;
    return lanes_open(&worker->lanes, network);
}

void worker_seat(struct worker *worker, struct sequence_list *from)
{
    struct sequence *sequence;
    while ((sequence = list_pop(from))) {
        struct lane *lane = worker_lane(worker, sequence->network);
        if (lane) worker_stay(worker, lane, sequence);
        else worker_leave(worker, sequence, STATUS_NO_MEMORY);
    }
}

/* ---- a turn --------------------------------------------------------------------------------- */

/* Ask the driver of `sequence` for a ride. false: it took no seat. */
static bool worker_take_seat(struct worker *worker, struct lane *lane, struct sequence *sequence,
                             size_t room, struct ride *ride, int64_t now)
{
    enum status reason = sequence_verdict(sequence, now);
    if (reason != STATUS_OK) {
        worker_leave(worker, sequence, reason);
        return false;
    }
    *ride = (struct ride){.state = sequence->state};
    sequence->driver->feed(sequence, room, ride);
    assert(ride->n_steps <= room);
    if (ride->n_steps == 0 && !worker_park(worker, sequence)) worker_stay(worker, lane, sequence);
    return ride->n_steps > 0;
}

/* true where prompts should ride along with those who generate, one step a turn: their steps beyond the first
 * would stream the recurrent weights for hardly a row. */
static bool worker_has_company(const struct lane *lane, size_t candidates)
{
    size_t n = 0;
    const struct sequence *sequence = lane->riders.head;
    for (; candidates > 0; candidates--, sequence = sequence->_next)
        n += sequence->stats.first_output_us && sequence->stats.steps >= sequence->least_steps;
    return n >= COMPANY_RIDERS;
}

/* The most steps that `sequence` may take of a chunk. A prompt longer than a chunk goes by chunks in any
 * company, so that it need not wait hundreds of turns. */
static size_t sequence_room(const struct sequence *sequence, size_t chunk, bool company)
{
    uint64_t inputs = sequence->least_steps, done = sequence->stats.steps;
    return company && inputs > done && inputs - done <= chunk ? 1 : chunk;
}

/* Fill rides[] from the lane's head; gives their number. */
static size_t worker_fill(struct worker *worker, struct lane *lane)
{
    const struct scheduler_options *options = &worker->scheduler->options;
    bool whole = network_is_whole(lane->network);
    size_t candidates = lane->riders.n < options->max_batch ? lane->riders.n : options->max_batch;
    size_t chunk = options->max_rows / candidates;
    if (chunk > options->chunk_steps) chunk = options->chunk_steps;
    if (chunk == 0) chunk = 1;
    size_t rows_left = options->max_rows, n = 0;
    bool company = !whole && chunk > 1 && worker_has_company(lane, candidates);
    int64_t now = clock_us();
    for (size_t i = 0; i < candidates; i++) {
        struct sequence *sequence = lane->riders.head;
        if (whole && sequence->cost_steps > rows_left) break;
        size_t room = whole || chunk > rows_left ? rows_left : sequence_room(sequence, chunk, company);
        if (room == 0) break;
        list_pop(&lane->riders);
        worker->n_riders--;
        if (!worker_take_seat(worker, lane, sequence, room, &worker->rides[n], now)) continue;
        rows_left -= worker->rides[n].n_steps;
        worker->aboard[n++] = sequence;
    }
    return n;
}

static void worker_count_turn(struct worker *worker, const struct lane *lane, size_t n, int64_t began,
                              int64_t ended)
{
    struct counters *c = &worker->scheduler->counters;
    worker->last_turn.serial = network_serial(lane->network);
    worker->last_turn.us = ended - began;
    for (size_t i = 0; i < n; i++) worker->last_turn.steps += worker->rides[i].n_steps;
    counter_add(&c->turns, 1);
    counter_add(&c->rows, n);
    counter_add(&c->compute_us, (uint64_t)(ended - began));
    size_t bucket = 0;
    while (bucket < SCHEDULER_BATCH_BUCKETS - 1 && n > (size_t)1 << bucket) bucket++;
    counter_add(&c->batch[bucket], 1);
}

/* A ride is a piece of prompt when it is long or nothing has come out yet, else a decoding step. */
static void worker_count_ride(struct worker *worker, struct sequence *sequence,
                              const struct ride *ride, size_t n, int64_t now)
{
    struct counters *c = &worker->scheduler->counters;
    bool prompt = ride->n_steps > 1 || !sequence->stats.first_output_us;
    counter_add(prompt ? &c->steps_prompt : &c->steps_decode, ride->n_steps);
    sequence->stats.turns++;
    sequence->stats.steps += ride->n_steps;
    sequence->stats.batch_rows += n;
    if (ride->n_outputs && !sequence->stats.first_output_us) sequence->stats.first_output_us = now;
}

void worker_turn(struct worker *worker)
{
    if (worker->next_lane >= worker->lanes.n) worker->next_lane = 0;
    struct lane *lane = &worker->lanes.lane[worker->next_lane++];
    size_t n = worker_fill(worker, lane);
    if (n) {
        int64_t began = clock_us();
        network_run(lane->network, worker->workspace, worker->rides, n);
        int64_t ended = clock_us();
        worker_count_turn(worker, lane, n, began, ended);
        for (size_t i = 0; i < n; i++) {
            struct sequence *sequence = worker->aboard[i];
            worker_count_ride(worker, sequence, &worker->rides[i], n, ended);
            if (sequence->driver->take(sequence, worker, &worker->rides[i]) == LEAVE)
                worker_leave(worker, sequence, STATUS_OK);
            else
                worker_stay(worker, lane, sequence);
        }
    }
    if (lane->riders.n == 0) lanes_close(&worker->lanes, lane);
}

void worker_clear_lanes(struct worker *worker)
{
    while (worker->lanes.n) {
        struct lane *lane = &worker->lanes.lane[0];
        struct sequence *sequence;
        while ((sequence = list_pop(&lane->riders))) {
            worker->n_riders--;
            worker_leave(worker, sequence, STATUS_CLOSING);
        }
        lanes_close(&worker->lanes, lane);
    }
}
