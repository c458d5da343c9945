/* The scheduler, with drivers that record what they are asked. The network is real but tiny. */
#include <check.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/scheduler/worker.h"
#include "tests/support/await.h"
#include "tests/support/riders.h"
#include "tests/support/tiny.h"

Suite *scheduler_suite(void);

START_TEST(every_sequence_takes_all_its_steps_and_finishes_once)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 8, 16, 100);
    struct rider *riders[60];
    for (size_t i = 0; i < 60; i++) {
        riders[i] = rider_new(network, i, 1 + i * 5 % 97, 100 + i);
        ck_assert_int_eq(rider_submit(s, riders[i]), STATUS_OK);
    }
    riders_settle(s);
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
static const size_t sizes[] = {RIDERS_H, 300};

/* What keeps an idle worker from helping the other one. */
enum obstacle { NONE, TEAM_OF_ONE, HELPERS_REST, TEAM_GAINS_NOTHING, N_OBSTACLES };

static void put_in_the_way(struct scheduler *s, enum obstacle obstacle)
{
    pthread_mutex_lock(&s->mu); /* both workers are idle */
    if (obstacle == TEAM_OF_ONE) s->options.team_size = 1;
    for (size_t i = 0; i < s->options.n_workers; i++) {
        if (obstacle == HELPERS_REST) s->workers[i].hold._until_us = INT64_MAX;
        if (obstacle == TEAM_GAINS_NOTHING) s->workers[i].aboard.gain._until_us = INT64_MAX;
    }
    pthread_mutex_unlock(&s->mu);
}

START_TEST(an_idle_worker_helps_unless_that_is_of_no_use)
{
    struct network *small = tiny_generator(RIDERS_V, sizes[0]), *large = tiny_generator(RIDERS_V, sizes[1]);
    struct scheduler *s = riders_scheduler(2, 8, 16, 100);
    bool helped = false;
    riders_await_both(s, small);
    put_in_the_way(s, (enum obstacle)_i);
    struct rider *rider = rider_new(large, 1, 10, 100);
    ck_assert_int_eq(rider_submit(s, rider), STATUS_OK);
    riders_settle(s);
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < 2; i++) helped |= s->workers[i].helps_since_us != 0;
    pthread_mutex_unlock(&s->mu);
    ck_assert(helped == (_i == NONE));
    rider_free(rider);
    scheduler_free(s);
    network_free(small);
    network_free(large);
}
END_TEST

/* Bit for bit the same alone, one step a turn, and among 64 others in other chunks. */
START_TEST(company_does_not_change_a_result)
{
    struct network *network = tiny_generator(RIDERS_V, sizes[_i]);
    struct scheduler *alone = riders_scheduler(1, 1, 1, 100);
    struct scheduler *crowded = riders_scheduler(2, 64, 37, 200);
    struct rider *a = rider_new(network, 3, 70, 300);
    ck_assert_int_eq(rider_submit(alone, a), STATUS_OK);
    riders_settle(alone);
    struct rider *others[65];
    for (size_t i = 0; i < 65; i++) {
        others[i] = i == 31 ? rider_new(network, 3, 70, 300)
                            : rider_new(network, i, 1 + i * 13 % 200, 250 + i);
        ck_assert_int_eq(rider_submit(crowded, others[i]), STATUS_OK);
    }
    riders_settle(crowded);
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
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 4, 16, 100);
    struct rider *parent = rider_new(network, 1, 40, 40);
    for (size_t i = 0; i < RIDER_CHILDREN; i++)
        parent->children[i] = rider_new(network, 0, 1, 50);
    struct rider *children[RIDER_CHILDREN];
    memcpy(children, parent->children, sizeof children);
    parent->n_children = RIDER_CHILDREN;
    ck_assert_int_eq(rider_submit(s, parent), STATUS_OK);
    riders_settle(s);
    struct rider *whole = rider_new(network, 1, 40, 90); /* the same without a fork */
    whole->tokens[40] = 5;
    whole->n_known = 41;
    ck_assert_int_eq(rider_submit(s, whole), STATUS_OK);
    riders_settle(s);
    ck_assert_mem_eq(whole->last, children[5]->last, sizeof whole->last);
    for (size_t i = 0; i < RIDER_CHILDREN; i++) {
        ck_assert_int_eq(children[i]->finished, 1);
        rider_free(children[i]);
    }
    rider_free(parent);
    rider_free(whole);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* Sixty-four forks on one worker: half of them go to the idle one, and all arrive. */
START_TEST(many_forks_are_shared_out)
{
    struct network *network = tiny_generator(RIDERS_V, sizes[_i]),
                   *small = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 64, 16, 100);
    riders_await_both(s, small);
    struct rider *parent = rider_new(network, 1, 3, 3), *first[RIDER_CHILDREN], *second[64];
    for (size_t i = 0; i < RIDER_CHILDREN; i++) {
        parent->children[i] = first[i] = rider_new(network, 0, 1, 2);
        for (size_t j = 0; j < 8; j++)
            first[i]->children[j] = second[i * 8 + j] = rider_new(network, 0, 1, 400);
        first[i]->n_children = 8;
    }
    parent->n_children = RIDER_CHILDREN;
    ck_assert_int_eq(rider_submit(s, parent), STATUS_OK);
    riders_settle(s);
    size_t largest_batch = 0;
    for (size_t i = 0; i < 64; i++) {
        size_t batch = second[i]->sequence.stats.batch_rows / second[i]->sequence.stats.turns;
        if (batch > largest_batch) largest_batch = batch;
        ck_assert_int_eq(second[i]->finished, 1);
        ck_assert_int_eq(second[i]->reason, STATUS_OK);
    }
    ck_assert_uint_lt(largest_batch, 60);
    for (size_t i = 0; i < 64; i++) rider_free(second[i]);
    for (size_t i = 0; i < RIDER_CHILDREN; i++) rider_free(first[i]);
    rider_free(parent);
    scheduler_free(s);
    network_free(network);
    network_free(small);
}
END_TEST

START_TEST(networks_take_turns_and_whole_sequences_ride_whole)
{
    struct network *generator = tiny_generator(RIDERS_V, RIDERS_H);
    struct network *classifier = tiny_classifier(RIDERS_V, RIDERS_H, RIDERS_V);
    struct scheduler *s = riders_scheduler(1, 8, 16, 100);
    struct gate *gate = gate_shut(s, generator);
    struct rider *a[10], *b[10];
    for (size_t i = 0; i < 10; i++) {
        a[i] = rider_new(generator, i, 20, 200);
        b[i] = rider_new(classifier, i, 100 + i * 15, 100 + i * 15);
        ck_assert_int_eq(rider_submit(s, a[i]), STATUS_OK);
        ck_assert_int_eq(rider_submit(s, b[i]), STATUS_OK);
    }
    atomic_store(&gate->open, true);
    riders_settle(s);
    /* Of either, the first who boarded are under way before the other's are through. */
    ck_assert_int_lt(a[0]->sequence.stats.first_output_us, b[7]->sequence.stats.finished_us);
    ck_assert_int_lt(b[7]->sequence.stats.finished_us, a[0]->sequence.stats.finished_us);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(b[i]->sequence.stats.turns, 1);
        ck_assert_int_eq(a[i]->reason, STATUS_OK);
        ck_assert_int_eq(b[i]->reason, STATUS_OK);
        rider_free(a[i]);
        rider_free(b[i]);
    }
    gate_free(gate);
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
    ck_assert_int_eq(rider_submit(s, r), STATUS_OK);
    AWAIT(atomic_load(&r->n_parked) > 0);
    return r;
}

START_TEST(a_parked_sequence_wakes_leaves_or_expires)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 8, 16, 100);
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
    rider_submit_in_time(s, expired, 50);
    AWAIT(atomic_load(&expired->finished) == 1);
    ck_assert_int_eq(expired->reason, STATUS_DEADLINE);
    riders_settle(s);
    rider_free(woken);
    rider_free(cancelled);
    rider_free(expired);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* Each at its own time, though nobody is aboard who runs turns, and whoever was due first has gone. */
START_TEST(parked_sequences_expire_one_by_one)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 8, 16, 100);
    struct rider *r[4], *patient = board_parked(s, network);
    for (size_t i = 0; i < 4; i++) {
        r[i] = rider_new(network, i, 2, 20);
        atomic_store(&r[i]->park_at, 2);
        rider_submit_in_time(s, r[i], 150 - 30 * (int64_t)i);
    }
    scheduler_cancel(s, &r[3]->sequence);
    for (size_t i = 0; i < 4; i++) AWAIT(atomic_load(&r[i]->finished) == 1);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(r[i]->reason, STATUS_DEADLINE);
        ck_assert_int_ge(r[i]->sequence.stats.finished_us, r[i]->sequence.deadline_us);
    }
    ck_assert_int_eq(atomic_load(&patient->finished), 0);
    scheduler_free(s);
    for (size_t i = 0; i < 4; i++) rider_free(r[i]);
    rider_free(patient);
    network_free(network);
}
END_TEST

/* Processor time of a ride of 1400 turns, in milliseconds. */
static double ride_cpu_ms(struct scheduler *s, const struct network *network)
{
    struct rider *r = rider_new(network, 2, 1, 1400);
    double began_ms = 1e3 * (double)clock() / CLOCKS_PER_SEC;
    ck_assert_int_eq(rider_submit(s, r), STATUS_OK);
    AWAIT(atomic_load(&r->finished) == 1);
    rider_free(r);
    return 1e3 * (double)clock() / CLOCKS_PER_SEC - began_ms;
}

/* Streams that nobody reads: a turn must not look at each of them. */
START_TEST(thousands_who_are_parked_cost_nothing)
{
    enum { PARKED = 4000 };
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 64, 16, 2 * PARKED);
    double alone_ms = ride_cpu_ms(s, network);
    static struct rider *r[PARKED];
    for (size_t i = 0; i < PARKED; i++) {
        r[i] = rider_new(network, i, 1, 10);
        atomic_store(&r[i]->park_at, 1);
        r[i]->sequence.deadline_us = clock_us() + 3600000000;
        ck_assert_int_eq(rider_submit(s, r[i]), STATUS_OK);
    }
    struct scheduler_stats stats;
    AWAIT((scheduler_stats(s, &stats), stats.parked == PARKED));
    ck_assert_double_lt(ride_cpu_ms(s, network), 20 * alone_ms + 50);
    scheduler_free(s);
    for (size_t i = 0; i < PARKED; i++) {
        ck_assert_int_eq(r[i]->reason, STATUS_CLOSING);
        rider_free(r[i]);
    }
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
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 8, 16, 100);
    struct rider *r = rider_new(network, 1, 1, 1100);
    atomic_store(&r->park_at, 1);
    struct waker waker = {s, r};
    pthread_t thread;
    ck_assert_int_eq(rider_submit(s, r), STATUS_OK);
    pthread_create(&thread, NULL, wake_often, &waker);
    pthread_join(thread, NULL);
    riders_settle(s);
    ck_assert_int_eq(r->reason, STATUS_OK);
    rider_free(r);
    scheduler_free(s);
    network_free(network);
}
END_TEST

START_TEST(riders_leave_when_cancelled_or_late)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 8, 16, 10);
    struct rider *endless = rider_new(network, 1, 1, SIZE_MAX), *late = rider_new(network, 2, 1, SIZE_MAX);
    endless->sequence.cost_steps = late->sequence.cost_steps = 100;
    ck_assert_int_eq(rider_submit(s, endless), STATUS_OK);
    rider_submit_in_time(s, late, 20);
    scheduler_cancel(s, &endless->sequence);
    riders_settle(s);
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
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 1, 16, 100);
    struct rider *parked = board_parked(s, network);
    struct rider *r[20];
    for (size_t i = 0; i < 20; i++) {
        r[i] = rider_new(network, i, 1, SIZE_MAX); /* it parks when its buffer is full */
        r[i]->sequence.cost_steps = 1400;
        ck_assert_int_eq(rider_submit(s, r[i]), STATUS_OK);
    }
    scheduler_drain(s);
    struct rider *refused = rider_new(network, 0, 1, 10);
    ck_assert_int_eq(rider_submit(s, refused), STATUS_CLOSING);
    scheduler_free(s);
    ck_assert_int_eq(parked->reason, STATUS_CLOSING);
    ck_assert_int_eq(refused->finished, 0);
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(r[i]->finished, 1);
        ck_assert_int_eq(r[i]->reason, STATUS_CLOSING);
        rider_free(r[i]);
    }
    rider_free(parked);
    rider_free(refused);
    network_free(network);
}
END_TEST

START_TEST(no_step_allocates)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(2, 16, 8, 100);
    struct rider *warm[2] = {rider_new(network, 0, 1, 500), rider_new(network, 1, 1, 500)};
    for (size_t i = 0; i < 2; i++) ck_assert_int_eq(rider_submit(s, warm[i]), STATUS_OK);
    riders_settle(s);
    struct rider *r[40];
    for (size_t i = 0; i < 40; i++) r[i] = rider_new(network, i, 1 + i * 9, 600);
    uint64_t before = memory_allocations();
    for (size_t i = 0; i < 40; i++) ck_assert_int_eq(rider_submit(s, r[i]), STATUS_OK);
    riders_settle(s);
    /* A worker that had not met the network yet opens its lane: its lanes, clients and workspace. */
    ck_assert_uint_le(memory_allocations() - before, 5);
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
    tcase_add_loop_test(core, an_idle_worker_helps_unless_that_is_of_no_use, 0, N_OBSTACLES);
    tcase_add_loop_test(core, company_does_not_change_a_result, 0, 2);
    tcase_add_loop_test(core, many_forks_are_shared_out, 0, 2);
    tcase_add_test(core, forks_go_on_from_a_copy_of_the_state);
    tcase_add_test(core, networks_take_turns_and_whole_sequences_ride_whole);
    tcase_add_test(core, a_parked_sequence_wakes_leaves_or_expires);
    tcase_add_test(core, parked_sequences_expire_one_by_one);
    tcase_add_test(core, thousands_who_are_parked_cost_nothing);
    tcase_add_test(core, no_wake_is_lost);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 60);
    tcase_add_test(limits, riders_leave_when_cancelled_or_late);
    tcase_add_test(limits, closing_finishes_everyone_wherever_they_are);
    tcase_add_test(limits, no_step_allocates);
    tcase_add_test(limits, a_start_without_memory_fails_cleanly);
    suite_add_tcase(suite, limits);
    return suite;
}
