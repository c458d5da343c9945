/* The scheduler, with drivers that record what they are asked. The network is real but tiny. */
#define _DEFAULT_SOURCE /* usleep */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/scheduler.h"
#include "tests/support/tiny.h"

Suite *scheduler_suite(void);

enum { V = 11, H = 9, MAX_STEPS = 1500, MAX_CHILDREN = 8 };

/* A rider that reads a prompt and then feeds back the largest output, so that every output
 * matters to all later ones. */
struct rider {
    struct sequence sequence;
    struct rider *children[MAX_CHILDREN];
    size_t n_children;
    int32_t tokens[MAX_STEPS]; /* the prompt, then what came out */
    size_t n_prompt, n_target; /* steps */
    size_t n_known, n_fed, largest_room;
    float last[V];
    atomic_size_t park_at;     /* parks before feeding this step; 0: never */
    atomic_size_t n_parked;
    atomic_int finished;       /* times finish() was called */
    enum status reason;
    float *state;
};

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
    ride->look = r->n_fed + ride->n_steps == r->n_known ? LOOK_LAST : LOOK_NONE;
}

static int32_t largest(const float *output)
{
    int32_t best = 0;
    for (int32_t i = 1; i < V; i++)
        if (output[i] > output[best]) best = i;
    return best;
}

static enum verdict rider_take(struct sequence *sequence, struct worker *worker,
                               const struct ride *ride)
{
    struct rider *r = (struct rider *)sequence;
    r->n_fed += ride->n_steps;
    if (!ride->n_outputs) return RIDE_ON;
    memcpy(r->last, ride->output, sizeof r->last);
    if (r->n_known < MAX_STEPS) r->tokens[r->n_known++] = largest(ride->output);
    for (size_t i = 0; i < r->n_children; i++) {
        struct rider *child = r->children[i];
        memcpy(child->state, r->state, network_state_floats(sequence->network) * sizeof(float));
        child->tokens[0] = (int32_t)i;
        scheduler_board(worker, &child->sequence);
    }
    r->n_children = 0;
    return r->n_fed >= r->n_target ? LEAVE : RIDE_ON;
}

static void rider_finish(struct sequence *sequence, enum status reason)
{
    struct rider *r = (struct rider *)sequence;
    r->reason = reason;
    atomic_fetch_add(&r->finished, 1);
}

static const struct driver rider_driver = {rider_feed, rider_take, rider_finish};

static struct rider *rider_new(const struct network *network, size_t seed, size_t prompt,
                               size_t target)
{
    struct rider *r = memory_new(1, sizeof *r);
    r->state = memory_new(network_state_floats(network), sizeof(float));
    r->sequence.driver = &rider_driver;
    r->sequence.network = network;
    r->sequence.state = r->state;
    r->sequence.cost_steps = target;
    r->n_prompt = r->n_known = prompt;
    r->n_target = target;
    for (size_t i = 0; i < prompt; i++) r->tokens[i] = (int32_t)((seed * 7 + i * i + i / 3) % V);
    return r;
}

static void rider_free(struct rider *r)
{
    if (!r) return;
    memory_free(r->state);
    memory_free(r);
}

static struct scheduler *scheduler_with(size_t workers, size_t batch, size_t chunk, size_t queue)
{
    struct scheduler_options options = {.n_workers = workers, .max_batch = batch,
                                        .chunk_steps = chunk, .max_rows = 256,
                                        .queue = {.sequences = queue, .steps = 1000000, .priority_us = 1000000}};
    struct scheduler *s = NULL;
    struct error err;
    ck_assert_int_eq(scheduler_new(&options, &s, &err), STATUS_OK);
    return s;
}

static enum status submit(struct scheduler *s, struct rider *r)
{
    int64_t retry_us;
    return scheduler_submit(s, (struct sequence *const[]){&r->sequence}, 1, &retry_us);
}

static void check_idle(struct scheduler *s)
{
    ck_assert(scheduler_wait_idle(s, 30000));
}

/* Wait until `condition`, at most some seconds. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        for (int tries_ = 0; tries_ < 10000 && !(condition); tries_++) usleep(1000);               \
        ck_assert(condition);                                                                      \
    } while (0)

START_TEST(every_sequence_takes_all_its_steps_and_finishes_once)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(2, 8, 16, 100);
    struct rider *riders[60];
    for (size_t i = 0; i < 60; i++) {
        riders[i] = rider_new(network, i, 1 + i * 5 % 97, 100 + i);
        ck_assert_int_eq(submit(s, riders[i]), STATUS_OK);
    }
    check_idle(s);
    for (size_t i = 0; i < 60; i++) {
        ck_assert_int_eq(riders[i]->finished, 1);
        ck_assert_int_eq(riders[i]->reason, STATUS_OK);
        ck_assert_uint_eq(riders[i]->sequence.stats.steps, 100 + i);
        ck_assert_uint_le(riders[i]->largest_room, 16);
        ck_assert_int_gt(riders[i]->sequence.stats.finished_us, 0);
        rider_free(riders[i]);
    }
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.steps_prompt + stats.steps_decode, 60 * 100 + 59 * 60 / 2);
    ck_assert_uint_eq(stats.finished[STATUS_OK], 60);
    ck_assert_uint_eq(stats.queued + stats.aboard + stats.parked, 0);
    ck_assert_uint_eq(stats.batch[SCHEDULER_BATCH_BUCKETS - 1], stats.turns);
    ck_assert_uint_eq(stats.batch[3], stats.turns); /* never more than 8 in a turn */
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* Hidden units: a network for one worker, and one that is large enough for a team. */
static const size_t sizes[] = {H, 300};

/* Bit for bit the same alone, one step a turn, and among 64 others in other chunks. */
START_TEST(company_does_not_change_a_result)
{
    struct network *network = tiny_generator(V, sizes[_i]);
    struct scheduler *alone = scheduler_with(1, 1, 1, 100);
    struct scheduler *crowded = scheduler_with(2, 64, 37, 200);
    struct rider *a = rider_new(network, 3, 70, 300);
    ck_assert_int_eq(submit(alone, a), STATUS_OK);
    check_idle(alone);
    struct rider *others[65];
    for (size_t i = 0; i < 65; i++) {
        others[i] = i == 31 ? rider_new(network, 3, 70, 300)
                            : rider_new(network, i, 1 + i * 13 % 200, 250 + i);
        ck_assert_int_eq(submit(crowded, others[i]), STATUS_OK);
    }
    check_idle(crowded);
    ck_assert_mem_eq(a->last, others[31]->last, sizeof a->last);
    ck_assert_mem_eq(a->tokens, others[31]->tokens, sizeof a->tokens);
    ck_assert_mem_eq(a->state, others[31]->state, network_state_floats(network) * sizeof(float));
    ck_assert_mem_ne(a->last, others[30]->last, sizeof a->last);
    for (size_t i = 0; i < 65; i++) rider_free(others[i]);
    rider_free(a);
    scheduler_free(alone);
    scheduler_free(crowded);
    network_free(network);
}
END_TEST

START_TEST(forks_go_on_from_a_copy_of_the_state)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(2, 4, 16, 100);
    struct rider *parent = rider_new(network, 1, 40, 40);
    for (size_t i = 0; i < MAX_CHILDREN; i++)
        parent->children[i] = rider_new(network, 0, 1, 50);
    struct rider *children[MAX_CHILDREN];
    memcpy(children, parent->children, sizeof children);
    parent->n_children = MAX_CHILDREN;
    ck_assert_int_eq(submit(s, parent), STATUS_OK);
    check_idle(s);
    struct rider *whole = rider_new(network, 1, 40, 90); /* the same without a fork */
    whole->tokens[40] = 5;
    whole->n_known = 41;
    ck_assert_int_eq(submit(s, whole), STATUS_OK);
    check_idle(s);
    ck_assert_mem_eq(whole->last, children[5]->last, sizeof whole->last);
    for (size_t i = 0; i < MAX_CHILDREN; i++) {
        ck_assert_int_eq(children[i]->finished, 1);
        rider_free(children[i]);
    }
    rider_free(parent);
    rider_free(whole);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* A hundred forks on one worker: half of them go to the idle one, and all arrive. */
START_TEST(many_forks_are_shared_out)
{
    struct network *network = tiny_generator(V, sizes[_i]);
    struct scheduler *s = scheduler_with(2, 64, 16, 100);
    struct rider *parent = rider_new(network, 1, 3, 3), *first[MAX_CHILDREN], *second[64];
    for (size_t i = 0; i < MAX_CHILDREN; i++) {
        parent->children[i] = first[i] = rider_new(network, 0, 1, 2);
        for (size_t j = 0; j < 8; j++)
            first[i]->children[j] = second[i * 8 + j] = rider_new(network, 0, 1, 400);
        first[i]->n_children = 8;
    }
    parent->n_children = MAX_CHILDREN;
    ck_assert_int_eq(submit(s, parent), STATUS_OK);
    check_idle(s);
    size_t largest_batch = 0;
    for (size_t i = 0; i < 64; i++) {
        size_t batch = second[i]->sequence.stats.batch_rows / second[i]->sequence.stats.turns;
        if (batch > largest_batch) largest_batch = batch;
        ck_assert_int_eq(second[i]->finished, 1);
        ck_assert_int_eq(second[i]->reason, STATUS_OK);
    }
    ck_assert_uint_lt(largest_batch, 60);
    for (size_t i = 0; i < 64; i++) rider_free(second[i]);
    for (size_t i = 0; i < MAX_CHILDREN; i++) rider_free(first[i]);
    rider_free(parent);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(networks_take_turns_and_whole_sequences_ride_whole)
{
    struct network *generator = tiny_generator(V, H), *classifier = tiny_classifier(V, H, V);
    struct scheduler *s = scheduler_with(1, 8, 16, 100);
    struct rider *a[10], *b[10];
    for (size_t i = 0; i < 10; i++) {
        a[i] = rider_new(generator, i, 20, 200);
        b[i] = rider_new(classifier, i, 100 + i * 15, 100 + i * 15);
        ck_assert_int_eq(submit(s, a[i]), STATUS_OK);
        ck_assert_int_eq(submit(s, b[i]), STATUS_OK);
    }
    check_idle(s);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(b[i]->sequence.stats.turns, 1);
        ck_assert_int_eq(a[i]->reason, STATUS_OK);
        ck_assert_int_eq(b[i]->reason, STATUS_OK);
        rider_free(a[i]);
        rider_free(b[i]);
    }
    scheduler_free(s);
    network_free(generator);
    network_free(classifier);
}
END_TEST

/* Riders that are parked keep everyone else where the test wants them. */
static struct rider *board_parked(struct scheduler *s, const struct network *network)
{
    struct rider *r = rider_new(network, 1, 4, 20);
    atomic_store(&r->park_at, 2);
    r->n_known = 2;
    ck_assert_int_eq(submit(s, r), STATUS_OK);
    AWAIT(atomic_load(&r->n_parked) > 0);
    return r;
}

START_TEST(a_parked_sequence_wakes_leaves_or_expires)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 8, 16, 100);
    struct rider *woken = board_parked(s, network), *cancelled = board_parked(s, network);
    atomic_store(&woken->park_at, 0);
    scheduler_wake(s, &woken->sequence);
    AWAIT(atomic_load(&woken->finished) == 1);
    ck_assert_int_eq(woken->reason, STATUS_OK);
    scheduler_cancel(s, &cancelled->sequence);
    AWAIT(atomic_load(&cancelled->finished) == 1);
    ck_assert_int_eq(cancelled->reason, STATUS_CANCELLED);
    struct rider *expired = rider_new(network, 1, 2, 20);
    atomic_store(&expired->park_at, 2);
    expired->sequence.deadline_us = clock_us() + 100000;
    ck_assert_int_eq(submit(s, expired), STATUS_OK);
    AWAIT(atomic_load(&expired->finished) == 1);
    ck_assert_int_eq(expired->reason, STATUS_DEADLINE);
    check_idle(s);
    rider_free(woken);
    rider_free(cancelled);
    rider_free(expired);
    scheduler_free(s);
    network_free(network);
}
END_TEST

struct waker {
    struct scheduler *scheduler;
    struct rider *rider;
};

static void *wake_often(void *argument)
{
    struct waker *w = argument;
    while (!atomic_load(&w->rider->finished)) {
        size_t parked = atomic_load(&w->rider->n_parked);
        if (parked == 0) continue;
        size_t at = atomic_load(&w->rider->park_at);
        atomic_store(&w->rider->park_at, at < 1000 ? at + 1 : 0);
        scheduler_wake(w->scheduler, &w->rider->sequence);
        if (at >= 1000) break;
        AWAIT(atomic_load(&w->rider->n_parked) > parked || atomic_load(&w->rider->finished));
    }
    return NULL;
}

/* Parked and woken a thousand times by another thread: a lost wake-up would hang it. */
START_TEST(no_wake_is_lost)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 8, 16, 100);
    struct rider *r = rider_new(network, 1, 1, 1100);
    atomic_store(&r->park_at, 1);
    struct waker waker = {s, r};
    pthread_t thread;
    ck_assert_int_eq(submit(s, r), STATUS_OK);
    pthread_create(&thread, NULL, wake_often, &waker);
    pthread_join(thread, NULL);
    check_idle(s);
    ck_assert_int_eq(r->reason, STATUS_OK);
    rider_free(r);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* A driver that holds its worker inside take() until it is let go: what is submitted meanwhile stays in the queue. */
struct gate {
    struct sequence sequence;
    float *state;
    int32_t token;
    atomic_bool inside, open;
    atomic_int finished;
};

static void gate_feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    (void)room;
    ride->n_steps = 1;
    ride->tokens = &((struct gate *)sequence)->token;
}

static enum verdict gate_take(struct sequence *sequence, struct worker *worker,
                              const struct ride *ride)
{
    (void)worker, (void)ride;
    struct gate *g = (struct gate *)sequence;
    atomic_store(&g->inside, true);
    while (!atomic_load(&g->open)) usleep(200);
    return LEAVE;
}

static void gate_finish(struct sequence *sequence, enum status reason)
{
    (void)reason;
    atomic_fetch_add(&((struct gate *)sequence)->finished, 1);
}

static const struct driver gate_driver = {gate_feed, gate_take, gate_finish};

static struct gate *gate_new(const struct network *network)
{
    struct gate *g = memory_new(1, sizeof *g);
    g->state = memory_new(network_state_floats(network), sizeof(float));
    g->sequence.driver = &gate_driver;
    g->sequence.network = network;
    g->sequence.state = g->state;
    g->sequence.cost_steps = 1;
    return g;
}

static struct gate *gate_shut(struct scheduler *s, const struct network *network)
{
    struct gate *g = gate_new(network);
    int64_t retry_us;
    ck_assert_int_eq(scheduler_submit(s, (struct sequence *const[]){&g->sequence}, 1, &retry_us), STATUS_OK);
    AWAIT(atomic_load(&g->inside));
    return g;
}

static void gate_free(struct gate *g)
{
    memory_free(g->state);
    memory_free(g);
}

/* A long prompt is cut, so that a generation beside it gets an output in each of the many turns it takes. */
START_TEST(a_long_prompt_does_not_stop_the_others)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 8, 10, 100);
    struct gate *gate = gate_shut(s, network);
    struct rider *prompt = rider_new(network, 1, 1400, 1400);
    struct rider *generation = rider_new(network, 2, 1, 1400);
    ck_assert_int_eq(submit(s, prompt), STATUS_OK);
    ck_assert_int_eq(submit(s, generation), STATUS_OK);
    atomic_store(&gate->open, true);
    check_idle(s);
    ck_assert_uint_ge(prompt->sequence.stats.turns, 140);
    ck_assert_uint_ge(generation->sequence.stats.batch_rows,
                      generation->sequence.stats.turns + 140);
    rider_free(prompt);
    rider_free(generation);
    gate_free(gate);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(the_queue_is_bounded_and_takes_all_or_none)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 8, 16, 3);
    struct gate *gate = gate_shut(s, network);
    struct rider *r[5];
    struct sequence *both[2];
    int64_t retry_us = 0;
    for (size_t i = 0; i < 5; i++) r[i] = rider_new(network, i, 1, 10);
    ck_assert_int_eq(submit(s, r[0]), STATUS_OK);
    ck_assert_int_eq(submit(s, r[1]), STATUS_OK);
    both[0] = &r[2]->sequence, both[1] = &r[3]->sequence;
    ck_assert_int_eq(scheduler_submit(s, both, 2, &retry_us), STATUS_QUEUE_FULL);
    r[4]->sequence.cost_steps = 1000000;
    ck_assert_int_eq(submit(s, r[4]), STATUS_QUEUE_FULL);
    ck_assert_int_eq(submit(s, r[2]), STATUS_OK);
    ck_assert_int_eq(submit(s, r[3]), STATUS_QUEUE_FULL);
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued, 3);
    ck_assert_uint_eq(stats.queued_steps, 30);
    atomic_store(&gate->open, true);
    check_idle(s);
    ck_assert_int_eq(r[2]->finished, 1);
    ck_assert_int_eq(r[3]->finished, 0);
    for (size_t i = 0; i < 5; i++) rider_free(r[i]);
    gate_free(gate);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(queued_sequences_leave_when_cancelled_or_late_and_priority_boards_first)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 1, 16, 10);
    struct gate *gate = gate_shut(s, network);
    struct rider *late = rider_new(network, 0, 1, 10), *gone = rider_new(network, 1, 1, 10);
    struct rider *low = rider_new(network, 2, 1, 10), *high = rider_new(network, 3, 1, 10);
    late->sequence.deadline_us = clock_us() + 1000;
    high->sequence.priority = 1;
    ck_assert_int_eq(submit(s, late), STATUS_OK);
    ck_assert_int_eq(submit(s, gone), STATUS_OK);
    ck_assert_int_eq(submit(s, low), STATUS_OK);
    ck_assert_int_eq(submit(s, high), STATUS_OK);
    scheduler_cancel(s, &gone->sequence);
    usleep(3000);
    atomic_store(&gate->open, true);
    check_idle(s);
    ck_assert_int_eq(late->reason, STATUS_DEADLINE);
    ck_assert_int_eq(gone->reason, STATUS_CANCELLED);
    ck_assert_uint_eq(late->sequence.stats.steps + gone->sequence.stats.steps, 0);
    ck_assert_int_le(high->sequence.stats.finished_us, low->sequence.stats.boarded_us);
    struct rider *all[] = {late, gone, low, high};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(all[i]->finished, 1);
        rider_free(all[i]);
    }
    gate_free(gate);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* A driver whose sequence goes on until it is cancelled. */
static enum verdict endless_take(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)sequence, (void)worker, (void)ride;
    return RIDE_ON;
}

static const struct driver endless_driver = {gate_feed, endless_take, gate_finish};

/* One client has a thousand sequences that never end, four of them aboard, where they take all the seats. Another's is
 * the next to board, as a guest, and through before any of those leaves. */
START_TEST(a_thousand_of_one_client_delay_another_by_a_turn)
{
    enum { FLOOD = 1000 };
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 4, 16, 2 * FLOOD);
    static struct gate flood[FLOOD];
    size_t stride = (network_state_floats(network) + 15) / 16 * 16; /* aligned to 64 bytes */
    float *states = memory_new(FLOOD, stride * sizeof(float));
    int64_t retry_us;
    for (size_t i = 0; i < FLOOD; i++) {
        struct sequence *sequence = &flood[i].sequence;
        *sequence = (struct sequence){.driver = &endless_driver, .network = network, .share = 1, .cost_steps = 100};
        sequence->state = states + i * stride;
        ck_assert_int_eq(scheduler_submit(s, &sequence, 1, &retry_us), STATUS_OK);
    }
    struct scheduler_stats stats;
    do scheduler_stats(s, &stats);
    while (stats.aboard < 4);
    struct rider *single = rider_new(network, 5, 1, 12);
    single->sequence.share = 2;
    ck_assert_int_eq(submit(s, single), STATUS_OK);
    AWAIT(atomic_load(&single->finished) == 1);
    ck_assert_uint_eq(single->sequence.stats.turns, 12);
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued, FLOOD - 4);
    for (size_t i = 0; i < FLOOD; i++) scheduler_cancel(s, &flood[i].sequence);
    check_idle(s);
    for (size_t i = 0; i < FLOOD; i++) ck_assert_int_eq(atomic_load(&flood[i].finished), 1);
    rider_free(single);
    memory_free(states);
    scheduler_free(s);
    network_free(network);
}
END_TEST

static void generating_feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    gate_feed(sequence, room, ride);
    ride->look = LOOK_LAST;
}

static const struct driver generating_driver = {generating_feed, endless_take, gate_finish};

/* Beside eight who generate, a prompt of six takes six turns; one of forty goes by chunks of sixteen first. */
START_TEST(a_short_prompt_rides_along_with_those_who_generate)
{
    enum { COMPANY = 8 };
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 16, 16, 100);
    struct gate *company[COMPANY];
    int64_t retry_us;
    for (size_t i = 0; i < COMPANY; i++) {
        company[i] = gate_new(network);
        struct sequence *sequence = &company[i]->sequence;
        sequence->driver = &generating_driver;
        ck_assert_int_eq(scheduler_submit(s, &sequence, 1, &retry_us), STATUS_OK);
    }
    struct scheduler_stats stats;
    AWAIT((scheduler_stats(s, &stats), stats.rows > 10 * COMPANY));
    struct rider *brief = rider_new(network, 1, 6, 8), *lengthy = rider_new(network, 2, 40, 41);
    brief->sequence.least_steps = 6;
    lengthy->sequence.least_steps = 40;
    ck_assert_int_eq(submit(s, brief), STATUS_OK);
    ck_assert_int_eq(submit(s, lengthy), STATUS_OK);
    AWAIT(atomic_load(&brief->finished) && atomic_load(&lengthy->finished));
    ck_assert_uint_eq(brief->sequence.stats.turns, 8);
    ck_assert_uint_eq(lengthy->sequence.stats.turns, 2 + 8 + 1);
    for (size_t i = 0; i < COMPANY; i++) scheduler_cancel(s, &company[i]->sequence);
    check_idle(s);
    for (size_t i = 0; i < COMPANY; i++) gate_free(company[i]);
    rider_free(brief);
    rider_free(lengthy);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(riders_leave_when_cancelled_or_late)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(1, 8, 16, 10);
    struct rider *endless = rider_new(network, 1, 1, SIZE_MAX), *late = rider_new(network, 2, 1, 1);
    endless->sequence.cost_steps = late->sequence.cost_steps = 100;
    late->n_target = SIZE_MAX;
    late->n_known = endless->n_known = 1;
    /* They must never run out of tokens: park them near the end of the buffer instead. */
    atomic_store(&endless->park_at, MAX_STEPS - 1);
    atomic_store(&late->park_at, MAX_STEPS - 1);
    late->sequence.deadline_us = clock_us() + 20000;
    ck_assert_int_eq(submit(s, endless), STATUS_OK);
    ck_assert_int_eq(submit(s, late), STATUS_OK);
    scheduler_cancel(s, &endless->sequence);
    check_idle(s);
    ck_assert_int_eq(endless->reason, STATUS_CANCELLED);
    ck_assert_int_eq(late->reason, STATUS_DEADLINE);
    rider_free(endless);
    rider_free(late);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(closing_finishes_everyone_wherever_they_are)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(2, 1, 16, 100);
    struct rider *parked = board_parked(s, network);
    struct rider *r[20];
    for (size_t i = 0; i < 20; i++) {
        r[i] = rider_new(network, i, 1, 1400);
        ck_assert_int_eq(submit(s, r[i]), STATUS_OK);
    }
    scheduler_drain(s);
    struct rider *refused = rider_new(network, 0, 1, 10);
    ck_assert_int_eq(submit(s, refused), STATUS_CLOSING);
    scheduler_free(s);
    ck_assert_int_eq(parked->reason, STATUS_CLOSING);
    ck_assert_int_eq(refused->finished, 0);
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(r[i]->finished, 1);
        ck_assert(r[i]->reason == STATUS_CLOSING || r[i]->reason == STATUS_OK);
        rider_free(r[i]);
    }
    rider_free(parked);
    rider_free(refused);
    network_free(network);
}
END_TEST

START_TEST(no_step_allocates)
{
    struct network *network = tiny_generator(V, H);
    struct scheduler *s = scheduler_with(2, 16, 8, 100);
    struct rider *warm[2] = {rider_new(network, 0, 1, 500), rider_new(network, 1, 1, 500)};
    for (size_t i = 0; i < 2; i++) ck_assert_int_eq(submit(s, warm[i]), STATUS_OK);
    check_idle(s);
    struct rider *r[40];
    for (size_t i = 0; i < 40; i++) r[i] = rider_new(network, i, 1 + i * 9, 600);
    uint64_t before = memory_allocations();
    for (size_t i = 0; i < 40; i++) ck_assert_int_eq(submit(s, r[i]), STATUS_OK);
    check_idle(s);
    /* A worker that had not met the network yet opens its lane: its lanes and its workspace. */
    ck_assert_uint_le(memory_allocations() - before, 4);
    for (size_t i = 0; i < 40; i++) rider_free(r[i]);
    for (size_t i = 0; i < 2; i++) rider_free(warm[i]);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(a_start_without_memory_fails_cleanly)
{
    struct scheduler_options options = {.n_workers = 3, .max_batch = 4, .chunk_steps = 4,
                                        .max_rows = 64, .queue = {.sequences = 4, .steps = 100}};
    for (uint64_t nth = 1;; nth++) {
        struct scheduler *s = NULL;
        struct error err = {0};
        memory_fail_at(nth);
        enum status status = scheduler_new(&options, &s, &err);
        memory_fail_at(0);
        if (status == STATUS_OK) {
            ck_assert_uint_gt(nth, 4);
            scheduler_free(s);
            break;
        }
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
        ck_assert_str_ne(err.message, "");
    }
}
END_TEST

Suite *scheduler_suite(void)
{
    Suite *suite = suite_create("scheduler");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(core, every_sequence_takes_all_its_steps_and_finishes_once);
    tcase_add_loop_test(core, company_does_not_change_a_result, 0, 2);
    tcase_add_loop_test(core, many_forks_are_shared_out, 0, 2);
    tcase_add_test(core, forks_go_on_from_a_copy_of_the_state);
    tcase_add_test(core, a_long_prompt_does_not_stop_the_others);
    tcase_add_test(core, networks_take_turns_and_whole_sequences_ride_whole);
    tcase_add_test(core, a_parked_sequence_wakes_leaves_or_expires);
    tcase_add_test(core, no_wake_is_lost);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 60);
    tcase_add_test(limits, the_queue_is_bounded_and_takes_all_or_none);
    tcase_add_test(limits, queued_sequences_leave_when_cancelled_or_late_and_priority_boards_first);
    tcase_add_test(limits, a_short_prompt_rides_along_with_those_who_generate);
    tcase_add_test(limits, a_thousand_of_one_client_delay_another_by_a_turn);
    tcase_add_test(limits, riders_leave_when_cancelled_or_late);
    tcase_add_test(limits, closing_finishes_everyone_wherever_they_are);
    tcase_add_test(limits, no_step_allocates);
    tcase_add_test(limits, a_start_without_memory_fails_cleanly);
    suite_add_tcase(suite, limits);
    return suite;
}
