#include "tests/support/riders.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/support/await.h"

static void rider_feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct rider *r = (struct rider *)sequence;
    if (room > r->largest_room) r->largest_room = room;
    if (atomic_load(&r->park_at) && r->n_fed >= atomic_load(&r->park_at)) {
        atomic_fetch_add(&r->n_parked, 1);
        return;
    }
    size_t n = r->n_known - r->n_fed;
    ride->n_steps = n < room ? n : room;
    ride->tokens = r->tokens + r->n_fed;
    ride->want = r->n_fed + ride->n_steps == r->n_known ? WANT_LAST : WANT_NONE;
}

static int32_t largest(const float *output)
{
    int32_t best = 0;
    for (int32_t i = 1; i < RIDERS_V; i++)
        if (output[i] > output[best]) best = i;
    return best;
}

static enum next rider_receive(struct sequence *sequence, struct worker *worker,
                               const struct ride *ride)
{
    struct rider *r = (struct rider *)sequence;
    r->n_fed += ride->n_steps;
    if (!ride->n_outputs) return STAY;
    memcpy(r->last, ride->output, sizeof r->last);
    if (r->n_known < RIDER_STEPS) r->tokens[r->n_known++] = largest(ride->output);
    for (size_t i = 0; i < r->n_children; i++) {
        struct rider *child = r->children[i];
        memcpy(child->state, r->state, network_state_floats(sequence->network) * sizeof(float));
        child->tokens[0] = (int32_t)i;
        scheduler_board(worker, &child->sequence);
    }
    r->n_children = 0;
    return r->n_fed >= r->n_target ? LEAVE : STAY;
}

static void rider_finish(struct sequence *sequence, enum status reason)
{
    struct rider *r = (struct rider *)sequence;
    r->reason = reason;
    atomic_fetch_add(&r->finished, 1);
}

static const struct driver rider_driver = {rider_feed, rider_receive, rider_finish};

struct rider *rider_new(const struct network *network, size_t seed, size_t prompt, size_t target)
{
    struct rider *r = memory_new(1, sizeof *r);
    r->state = memory_new(network_state_floats(network), sizeof(float));
    r->sequence.driver = &rider_driver;
    r->sequence.network = network;
    r->sequence.state = r->state;
    r->sequence.cost_steps = target;
    r->n_known = prompt;
    r->n_target = target;
    for (size_t i = 0; i < prompt; i++) r->tokens[i] = (int32_t)((seed * 7 + i * i + i / 3) % RIDERS_V);
    return r;
}

void rider_free(struct rider *r)
{
    if (!r) return;
    memory_free(r->state);
    memory_free(r);
}

enum status rider_submit(struct scheduler *s, struct rider *r)
{
    int64_t retry_us;
    return scheduler_submit(s, (struct sequence *const[]){&r->sequence}, 1, &retry_us);
}

void rider_submit_in_time(struct scheduler *s, struct rider *r, int64_t ms)
{
    enum status status;
    do {
        r->sequence.deadline_us = clock_us() + ms * 1000;
        status = rider_submit(s, r);
    } while (status == STATUS_DEADLINE);
    ck_assert_int_eq(status, STATUS_OK);
}

void gate_feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    (void)room;
    ride->n_steps = 1;
    ride->tokens = &((struct gate *)sequence)->token;
}

static enum next gate_receive(struct sequence *sequence, struct worker *worker,
                              const struct ride *ride)
{
    (void)worker, (void)ride;
    struct gate *g = (struct gate *)sequence;
    atomic_store(&g->inside, true);
    while (!atomic_load(&g->open)) sleep_ms(1);
    return LEAVE;
}

void gate_finish(struct sequence *sequence, enum status reason)
{
    (void)reason;
    atomic_fetch_add(&((struct gate *)sequence)->finished, 1);
}

static const struct driver gate_driver = {gate_feed, gate_receive, gate_finish};

struct gate *gate_new(const struct network *network)
{
    struct gate *g = memory_new(1, sizeof *g);
    g->state = memory_new(network_state_floats(network), sizeof(float));
    g->sequence.driver = &gate_driver;
    g->sequence.network = network;
    g->sequence.state = g->state;
    g->sequence.cost_steps = 1;
    return g;
}

struct gate *gate_shut(struct scheduler *s, const struct network *network)
{
    struct gate *g = gate_new(network);
    int64_t retry_us;
    ck_assert_int_eq(scheduler_submit(s, (struct sequence *const[]){&g->sequence}, 1, &retry_us), STATUS_OK);
    AWAIT(atomic_load(&g->inside));
    return g;
}

void gate_free(struct gate *g)
{
    memory_free(g->state);
    memory_free(g);
}

struct scheduler *riders_scheduler(size_t workers, size_t batch, size_t chunk, size_t queue)
{
    struct scheduler_options options = {.n_workers = workers, .max_batch = batch,
                                        .chunk_steps = chunk, .max_rows = 256,
                                        .queue = {.sequences = queue, .steps = 1000000,
                                                  .priority_us = 1000000}};
    struct scheduler *s = NULL;
    struct error err;
    ck_assert_int_eq(scheduler_new(&options, &s, &err), STATUS_OK);
    return s;
}

void riders_settle(struct scheduler *s)
{
    ck_assert(scheduler_wait_idle(s, 300000));
}

/* While one worker is held the other must take the second gate; and a worker is idle from when it leaves off
 * counting its last rider. */
void riders_await_both(struct scheduler *s, const struct network *small)
{
    struct gate *gates[] = {gate_shut(s, small), gate_shut(s, small)};
    for (size_t i = 0; i < 2; i++) atomic_store(&gates[i]->open, true);
    riders_settle(s);
    for (size_t i = 0; i < 2; i++) gate_free(gates[i]);
}
