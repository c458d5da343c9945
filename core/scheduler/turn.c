#include "core/scheduler/turn.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/base/memory.h"

/* So many sequences that generate make a batch that a prompt's step joins almost for nothing. */
enum { COMPANY_RIDERS = 8 };

void counter_add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

enum status aboard_init(struct aboard *aboard, const struct turn_limits *limits, struct worker *worker,
                        struct team *team, struct counters *counters)
{
    aboard->worker = worker;
    aboard->team = team;
    aboard->counters = counters;
    aboard->limits = *limits;
    aboard->rides = memory_new(limits->max_batch, sizeof *aboard->rides);
    aboard->seats = memory_new(limits->max_batch, sizeof *aboard->seats);
    if (!aboard->rides || !aboard->seats) return STATUS_NO_MEMORY;
    return workspace_new(limits->max_rows, limits->max_batch, &aboard->workspace);
}

void aboard_release(struct aboard *aboard)
{
    workspace_free(aboard->workspace);
    memory_free(aboard->rides);
    memory_free(aboard->seats);
    lanes_release(&aboard->lanes);
}

void aboard_leave(struct aboard *aboard, struct sequence *sequence, enum status reason)
{
    sequence->_reason = reason;
    list_push(&aboard->leaving, sequence);
}

/* ---- lanes ---------------------------------------------------------------------------------- */

/* Put `sequence` back into its lane, which knows its client until the turn is over. */
static void aboard_stay(struct aboard *aboard, struct lane *lane, struct sequence *sequence)
{
    bool seated = lane_seat(lane, sequence);
    assert(seated);
    (void)seated;
    aboard->n_riders++;
}

/* The network's lane, opened if there is none. NULL: no memory. */
static struct lane *aboard_lane(struct aboard *aboard, const struct network *network)
{
    struct lane *lane = lanes_find(&aboard->lanes, network);
    if (lane || workspace_fit(aboard->workspace, network) != STATUS_OK) return lane;
    return lanes_open(&aboard->lanes, network);
}

/* The one place where a worker allocates: once for each network it meets, and for more clients at a time than
 * it has met so far. */
void aboard_seat(struct aboard *aboard, struct sequence_list *from)
{
    struct sequence *sequence;
    while ((sequence = list_pop(from))) {
        struct lane *lane = aboard_lane(aboard, sequence->network);
        if (lane && lane_seat(lane, sequence)) aboard->n_riders++;
        else aboard_leave(aboard, sequence, STATUS_NO_MEMORY);
        if (lane && !lane->n) lanes_close(&aboard->lanes, lane);
    }
}

size_t aboard_seats(const struct aboard *aboard)
{
    size_t seats = 0;
    for (size_t i = 0; i < aboard->lanes.n; i++) seats += aboard->lanes.lane[i].n_seats;
    return seats;
}

struct sequence *aboard_give(struct aboard *aboard)
{
    struct lane *lane = &aboard->lanes.lane[0];
    struct sequence *sequence = lane_pop(lane);
    aboard->n_riders--;
    lane_tidy(lane);
    if (lane->n == 0) lanes_close(&aboard->lanes, lane);
    return sequence;
}

/* ---- a turn --------------------------------------------------------------------------------- */

/* Ask the driver of `sequence` for its rides; returns their number. 0: it is not in this turn. */
static size_t aboard_ask(struct aboard *aboard, struct sequence *sequence, size_t room, struct ride *rides,
                         int64_t now)
{
    enum status reason = sequence_leave_reason(sequence, now);
    if (reason != STATUS_OK) {
        aboard_leave(aboard, sequence, reason);
        return 0;
    }
    size_t seats = sequence_seats(sequence), n = 0;
    for (size_t i = 0; i < seats; i++) rides[i] = (struct ride){.state = sequence->state};
    sequence->driver->feed(sequence, room, rides);
    for (; n < seats && rides[n].n_steps; n++) assert(rides[n].n_steps <= room);
    if (n == 0) list_push(&aboard->parking, sequence);
    return n;
}

/* true if prompts should ride along with sequences that generate, one step a turn: their steps beyond the
 * first would stream the recurrent weights for hardly a row. */
static bool candidates_have_company(const struct sequence_list *candidates)
{
    size_t n = 0;
    for (const struct sequence *sequence = candidates->head; sequence; sequence = sequence->_next)
        n += sequence->stats.first_output_us && sequence->stats.steps >= sequence->least_steps;
    return n >= COMPANY_RIDERS;
}

/* The most steps that `sequence` may take in a turn. A prompt longer than a chunk goes by chunks in any
 * company, so that it need not wait hundreds of turns. */
static size_t sequence_room(const struct sequence *sequence, size_t chunk, bool company)
{
    uint64_t inputs = sequence->least_steps, done = sequence->stats.steps;
    if (company && inputs > done && inputs - done <= chunk) return 1;
    return sequence->turn_steps > chunk ? sequence->turn_steps : chunk;
}

/* Take riders out of the lane while a turn has seats for them; returns the seats. A rider that finds too few
 * left is the first of the next turn. */
static size_t pop_candidates(struct lane *lane, size_t max_seats, struct sequence_list *candidates)
{
    size_t seats = 0;
    while (seats < max_seats && lane->n) {
        struct sequence *sequence = lane_pop(lane);
        struct sequence_list one = {0};
        if (seats + sequence_seats(sequence) > max_seats) {
            list_push(&one, sequence);
            lane_put_back(lane, &one);
            break;
        }
        list_push(candidates, sequence);
        seats += sequence_seats(sequence);
    }
    return seats;
}

/* Fill rides[] and seats[] from the lane, in the order of its clients' turns. Returns the number of
 * sequences, and that of their rides in *n_rides. */
static size_t aboard_fill(struct aboard *aboard, struct lane *lane, size_t *n_rides)
{
    const struct turn_limits *limits = &aboard->limits;
    bool is_whole = network_is_whole(lane->network);
    struct sequence_list candidates = {0};
    size_t chunk = limits->max_rows / pop_candidates(lane, limits->max_batch, &candidates);
    if (chunk > limits->chunk_steps) chunk = limits->chunk_steps;
    if (chunk == 0) chunk = 1;
    size_t rows_left = limits->max_rows, n = 0;
    bool company = !is_whole && chunk > 1 && candidates_have_company(&candidates);
    int64_t now = clock_us();
    struct sequence *sequence;
    for (*n_rides = 0; (sequence = candidates.head);) {
        size_t most = rows_left / sequence_seats(sequence);
        bool whole = is_whole || sequence->rides_whole;
        if (whole && (sequence->whole_steps ? sequence->whole_steps : sequence->cost_steps) > most) break;
        size_t room = whole ? most : sequence_room(sequence, chunk, company);
        if (room > most) room = most;
        if (room == 0) break;
        list_pop(&candidates);
        aboard->n_riders--;
        struct ride *rides = &aboard->rides[*n_rides];
        size_t taken = aboard_ask(aboard, sequence, room, rides, now);
        if (taken == 0) continue;
        for (size_t i = 0; i < taken; i++) rows_left -= rides[i].n_steps;
        *n_rides += taken;
        aboard->seats[n++] = (struct seat){sequence, taken};
    }
    lane_put_back(lane, &candidates);
    return n;
}

static void aboard_count_turn(struct aboard *aboard, const struct lane *lane, size_t n, int64_t began,
                              int64_t ended)
{
    struct counters *c = aboard->counters;
    aboard->last_turn.serial = network_serial(lane->network);
    aboard->last_turn.family = network_family(lane->network);
    aboard->last_turn.us = ended - began;
    for (size_t i = 0; i < n; i++) aboard->last_turn.steps += aboard->rides[i].n_steps;
    counter_add(&c->turns, 1);
    counter_add(&c->rows, n);
    counter_add(&c->compute_us, (uint64_t)(ended - began));
    size_t bucket = 0;
    while (bucket < TURN_BATCH_BUCKETS - 1 && n > (size_t)1 << bucket) bucket++;
    counter_add(&c->batch[bucket], 1);
}

/* A ride is a piece of prompt when it is long or nothing has come out yet, else a decoding step. `n` is the
 * number of rides in the turn. */
static void aboard_count_rides(struct aboard *aboard, const struct seat *seat, const struct ride *rides,
                               size_t n, int64_t now)
{
    struct counters *c = aboard->counters;
    struct sequence_stats *stats = &seat->sequence->stats;
    bool has_output = false;
    for (size_t i = 0; i < seat->n_rides; i++) {
        bool prompt = rides[i].n_steps > 1 || !stats->first_output_us;
        counter_add(prompt ? &c->steps_prompt : &c->steps_decode, rides[i].n_steps);
        stats->steps += rides[i].n_steps;
        has_output |= rides[i].n_outputs > 0;
    }
    stats->turns++;
    stats->batch_rows += n;
    if (has_output && !stats->first_output_us) stats->first_output_us = now;
}

/* Run the network over rides[0, n); gives the time when that ended. Now and then that is done alone although
 * there is a team, to see what the team gains. */
static int64_t aboard_run(struct aboard *aboard, const struct lane *lane, size_t n)
{
    bool has_team = team_size(aboard->team) > 1, alone = has_team && gain_wants_alone(&aboard->gain);
    workspace_lend(aboard->workspace, alone ? NULL : aboard->team);
    int64_t began = clock_us();
    network_run(lane->network, aboard->workspace, aboard->rides, n);
    int64_t ended = clock_us();
    aboard_count_turn(aboard, lane, n, began, ended);
    struct gain_turn turn = {.serial = aboard->last_turn.serial, .sequences = n,
                             .steps = aboard->last_turn.steps, .us = ended - began};
    if (has_team) gain_note(&aboard->gain, &turn, alone, ended);
    return ended;
}

/* Hand its rides back to a sequence. If it goes on into another network, it boards that one's lane when the
 * turn is over, and what came out so far was for its own use. */
static void aboard_return(struct aboard *aboard, struct lane *lane, struct sequence *sequence,
                          const struct ride *rides, struct sequence_list *changing)
{
    if (sequence->driver->receive(sequence, aboard->worker, rides) == LEAVE) {
        aboard_leave(aboard, sequence, STATUS_OK);
    } else if (sequence->network == lane->network) {
        aboard_stay(aboard, lane, sequence);
    } else {
        assert(network_family(sequence->network) == network_family(lane->network));
        sequence->stats.first_output_us = 0;
        list_push(changing, sequence);
    }
}

void aboard_turn(struct aboard *aboard)
{
    if (aboard->next_lane >= aboard->lanes.n) aboard->next_lane = 0;
    struct lane *lane = &aboard->lanes.lane[aboard->next_lane++];
    struct sequence_list changing = {0};
    size_t n_rides, n = aboard_fill(aboard, lane, &n_rides);
    const struct ride *rides = aboard->rides;
    if (n) {
        int64_t ended = aboard_run(aboard, lane, n_rides);
        for (size_t i = 0; i < n; i++) {
            const struct seat *seat = &aboard->seats[i];
            aboard_count_rides(aboard, seat, rides, n_rides, ended);
            aboard_return(aboard, lane, seat->sequence, rides, &changing);
            rides += seat->n_rides;
        }
    }
    lane_tidy(lane);
    if (lane->n == 0) lanes_close(&aboard->lanes, lane);
    aboard_seat(aboard, &changing);
}

void aboard_clear(struct aboard *aboard)
{
    while (aboard->lanes.n) {
        struct lane *lane = &aboard->lanes.lane[0];
        struct sequence *sequence;
        while ((sequence = lane_pop(lane))) {
            aboard->n_riders--;
            aboard_leave(aboard, sequence, STATUS_CLOSING);
        }
        lanes_close(&aboard->lanes, lane);
    }
}
