/* Who boards when: the queue before the scheduler, its order between clients, and who rides beside whom. */
#include <check.h>

#include "core/base/memory.h"
#include "tests/support/await.h"
#include "tests/support/riders.h"
#include "tests/support/tiny.h"

Suite *boarding_suite(void);

/* A long prompt is cut, so that a generation beside it gets an output in each of the many turns it takes. */
START_TEST(a_long_prompt_does_not_stop_the_others)
{
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 8, 10, 100);
    struct gate *gate = gate_shut(s, network);
    struct rider *prompt = rider_new(network, 1, 1400, 1400);
    struct rider *generation = rider_new(network, 2, 1, 1400);
    ck_assert_int_eq(rider_submit(s, prompt), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, generation), STATUS_OK);
    atomic_store(&gate->open, true);
    riders_settle(s);
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
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 8, 16, 3);
    struct gate *gate = gate_shut(s, network);
    struct rider *r[5];
    struct sequence *both[2];
    int64_t retry_us = 0;
    for (size_t i = 0; i < 5; i++) r[i] = rider_new(network, i, 1, 10);
    ck_assert_int_eq(rider_submit(s, r[0]), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, r[1]), STATUS_OK);
    both[0] = &r[2]->sequence, both[1] = &r[3]->sequence;
    ck_assert_int_eq(scheduler_submit(s, both, 2, &retry_us), STATUS_QUEUE_FULL);
    r[4]->sequence.cost_steps = 1000000;
    ck_assert_int_eq(rider_submit(s, r[4]), STATUS_QUEUE_FULL);
    ck_assert_int_eq(rider_submit(s, r[2]), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, r[3]), STATUS_QUEUE_FULL);
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued, 3);
    ck_assert_uint_eq(stats.queued_steps, 30);
    atomic_store(&gate->open, true);
    riders_settle(s);
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
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 1, 16, 10);
    struct gate *gate = gate_shut(s, network);
    struct rider *late = rider_new(network, 0, 1, 10), *gone = rider_new(network, 1, 1, 10);
    struct rider *low = rider_new(network, 2, 1, 10), *high = rider_new(network, 3, 1, 10);
    high->sequence.priority = SEQUENCE_PRIORITY_MAX; /* worth ten seconds: more than the others are ahead */
    rider_submit_in_time(s, late, 1);
    ck_assert_int_eq(rider_submit(s, gone), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, low), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, high), STATUS_OK);
    scheduler_cancel(s, &gone->sequence);
    AWAIT(clock_us() > late->sequence.deadline_us);
    atomic_store(&gate->open, true);
    riders_settle(s);
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

/* A client's own work of low priority, which would keep him waiting for longer than may be, does not get him
 * refused at the door with what would board before it. */
START_TEST(who_would_be_next_is_not_refused_at_the_door)
{
    enum { EACH = 20 };
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = NULL;
    struct error err;
    const struct scheduler_options options = {.n_workers = 1, .max_batch = 1, .chunk_steps = 16,
                                              .max_rows = 16,
                                              .queue = {.sequences = 100, .steps = 100000, .wait_us = 1}};
    ck_assert_int_eq(scheduler_new(&options, &s, &err), STATUS_OK);
    struct gate *first = gate_shut(s, network), *second = gate_new(network);
    struct rider *r[2 * EACH];
    int64_t retry_us = 0;
    for (size_t i = 0; i < 2 * EACH; i++) {
        if (i == EACH)
            ck_assert_int_eq(scheduler_submit(s, (struct sequence *const[]){&second->sequence}, 1, &retry_us),
                             STATUS_OK);
        r[i] = rider_new(network, i, 1, 10);
        ck_assert_int_eq(rider_submit(s, r[i]), STATUS_OK);
    }
    atomic_store(&first->open, true);
    AWAIT(atomic_load(&second->inside)); /* half of them have shown the pace */
    struct queue_offer offer = {.network = network, .weight = 1, .n = 1, .steps = 1};
    ck_assert_int_eq(scheduler_judge(s, &offer, &retry_us), STATUS_QUEUE_FULL);
    offer.priority = 1;
    ck_assert_int_eq(scheduler_judge(s, &offer, &retry_us), STATUS_OK);
    atomic_store(&second->open, true);
    riders_settle(s);
    for (size_t i = 0; i < 2 * EACH; i++) rider_free(r[i]);
    gate_free(first);
    gate_free(second);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* A driver whose sequence goes on until it is cancelled. */
static enum next endless_receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)sequence, (void)worker, (void)ride;
    return STAY;
}

static const struct driver endless_driver = {gate_feed, endless_receive, gate_finish};

/* One client has a thousand sequences that never end, four of them aboard, where they take all the seats.
 * Another's is the next to board, as a newcomer, and through before any of those leaves. */
START_TEST(a_thousand_of_one_client_delay_another_by_a_turn)
{
    enum { FLOOD = 1000 };
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 4, 16, 2 * FLOOD);
    static struct gate flood[FLOOD];
    size_t stride = (network_state_floats(network) + 15) / 16 * 16; /* aligned to 64 bytes */
    float *states = memory_new(FLOOD, stride * sizeof(float));
    int64_t retry_us;
    for (size_t i = 0; i < FLOOD; i++) {
        struct sequence *sequence = &flood[i].sequence;
        *sequence = (struct sequence){.driver = &endless_driver, .network = network,
                                      .state = states + i * stride, .client = 1, .cost_steps = 100};
        ck_assert_int_eq(scheduler_submit(s, &sequence, 1, &retry_us), STATUS_OK);
    }
    struct scheduler_stats stats;
    AWAIT((scheduler_stats(s, &stats), stats.aboard == 4));
    struct rider *single = rider_new(network, 5, 1, 12);
    single->sequence.client = 2;
    ck_assert_int_eq(rider_submit(s, single), STATUS_OK);
    AWAIT(atomic_load(&single->finished) == 1);
    ck_assert_uint_eq(single->sequence.stats.turns, 12);
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued, FLOOD - 4);
    for (size_t i = 0; i < FLOOD; i++) scheduler_cancel(s, &flood[i].sequence);
    riders_settle(s);
    for (size_t i = 0; i < FLOOD; i++) ck_assert_int_eq(atomic_load(&flood[i].finished), 1);
    rider_free(single);
    memory_free(states);
    scheduler_free(s);
    network_free(network);
}
END_TEST

/* A sequence of as many steps as it is to take, or without an end (0), whose forks board after its first. */
struct forking {
    struct gate gate; /* first: a sequence is its gate, whose `open` stays true unless the test holds it */
    struct forking *forks;
    size_t n_forks, n_steps;
    struct scheduler *scheduler;
    uint64_t turn_of_end; /* turns of the scheduler when it finished */
};

static enum next forking_receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)ride;
    struct forking *self = (struct forking *)sequence;
    while (self->n_forks) scheduler_board(worker, &self->forks[--self->n_forks].gate.sequence);
    atomic_store(&self->gate.inside, !atomic_load(&self->gate.open));
    while (!atomic_load(&self->gate.open)) sleep_ms(1);
    return self->n_steps && sequence->stats.steps >= self->n_steps ? LEAVE : STAY;
}

static void forking_finish(struct sequence *sequence, enum status reason)
{
    struct forking *self = (struct forking *)sequence;
    struct scheduler_stats stats;
    scheduler_stats(self->scheduler, &stats);
    self->turn_of_end = stats.turns;
    gate_finish(sequence, reason);
}

static const struct driver forking_driver = {gate_feed, forking_receive, forking_finish};

static void forking_init(struct forking *self, struct scheduler *s, const struct network *network,
                         float *state, uint32_t client, size_t n_steps)
{
    *self = (struct forking){.scheduler = s, .n_steps = n_steps};
    self->gate.sequence = (struct sequence){.driver = &forking_driver, .network = network, .state = state,
                                            .client = client, .cost_steps = 100};
    atomic_store(&self->gate.open, true);
}

/* Submit the first n of all together, with so many forks each, which are the next ones. */
static void forking_submit(struct scheduler *s, struct forking *all, size_t n, size_t n_forks)
{
    struct sequence *sequences[4];
    int64_t retry_us;
    for (size_t i = 0; i < n; i++) {
        all[i].forks = &all[n + i * n_forks];
        all[i].n_forks = n_forks;
        sequences[i] = &all[i].gate.sequence;
    }
    ck_assert_int_eq(scheduler_submit(s, sequences, n, &retry_us), STATUS_OK);
}

/* One client's four sequences have forked into thirty-six riders that never end, which is nine turns' worth.
 * Another client's sequence boards at the next turn and rides in each; so does its fork, one turn later. */
START_TEST(the_forks_of_a_client_take_its_own_seats)
{
    enum { PARENTS = 4, FORKS = 8, FLOOD = PARENTS * (1 + FORKS), STEPS = 12 };
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 4, 16, 100);
    static struct forking flood[FLOOD], one[2];
    size_t stride = (network_state_floats(network) + 15) / 16 * 16; /* aligned to 64 bytes */
    float *states = memory_new(FLOOD + 2, stride * sizeof(float));
    for (size_t i = 0; i < FLOOD; i++) forking_init(&flood[i], s, network, states + i * stride, 1, 0);
    for (size_t i = 0; i < 2; i++)
        forking_init(&one[i], s, network, states + (FLOOD + i) * stride, 2, STEPS);
    forking_submit(s, flood, PARENTS, FORKS);
    struct scheduler_stats stats;
    AWAIT((scheduler_stats(s, &stats), stats.aboard == FLOOD));
    atomic_store(&flood[0].gate.open, false);
    AWAIT(atomic_load(&flood[0].gate.inside)); /* the worker is held in a turn, */
    scheduler_stats(s, &stats);
    uint64_t before = stats.turns; /* this one */
    forking_submit(s, one, 1, 1);
    atomic_store(&flood[0].gate.open, true);
    AWAIT(atomic_load(&one[0].gate.finished) && atomic_load(&one[1].gate.finished));
    ck_assert_uint_eq(one[0].turn_of_end - before, STEPS);
    ck_assert_uint_eq(one[1].turn_of_end - before, 1 + STEPS);
    for (size_t i = 0; i < FLOOD; i++) scheduler_cancel(s, &flood[i].gate.sequence);
    riders_settle(s);
    memory_free(states);
    scheduler_free(s);
    network_free(network);
}
END_TEST

static void generating_feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    gate_feed(sequence, room, ride);
    ride->want = WANT_LAST;
}

static const struct driver generating_driver = {generating_feed, endless_receive, gate_finish};

/* Beside eight who generate, a prompt of six takes six turns; one of forty goes by chunks first. */
START_TEST(a_short_prompt_rides_along_with_those_who_generate)
{
    enum { COMPANY = 8 };
    struct network *network = tiny_generator(RIDERS_V, RIDERS_H);
    struct scheduler *s = riders_scheduler(1, 16, 16, 100);
    struct gate *company[COMPANY];
    int64_t retry_us;
    for (size_t i = 0; i < COMPANY; i++) {
        company[i] = gate_new(network);
        struct sequence *sequence = &company[i]->sequence;
        sequence->driver = &generating_driver;
        ck_assert_int_eq(scheduler_submit(s, &sequence, 1, &retry_us), STATUS_OK);
    }
    struct scheduler_stats stats;
    AWAIT((scheduler_stats(s, &stats), stats.aboard == COMPANY));
    uint64_t rows = stats.rows; /* two turns of all of them later, all have given an output */
    AWAIT((scheduler_stats(s, &stats), stats.rows >= rows + 3 * COMPANY));
    struct rider *brief = rider_new(network, 1, 6, 8), *lengthy = rider_new(network, 2, 40, 41);
    brief->sequence.least_steps = 6;
    lengthy->sequence.least_steps = 40;
    ck_assert_int_eq(rider_submit(s, brief), STATUS_OK);
    ck_assert_int_eq(rider_submit(s, lengthy), STATUS_OK);
    AWAIT(atomic_load(&brief->finished) && atomic_load(&lengthy->finished));
    ck_assert_uint_eq(brief->sequence.stats.turns, 8);
    ck_assert_uint_eq(lengthy->sequence.stats.turns, 2 + 8 + 1);
    for (size_t i = 0; i < COMPANY; i++) scheduler_cancel(s, &company[i]->sequence);
    riders_settle(s);
    for (size_t i = 0; i < COMPANY; i++) gate_free(company[i]);
    rider_free(brief);
    rider_free(lengthy);
    scheduler_free(s);
    network_free(network);
}
END_TEST

Suite *boarding_suite(void)
{
    Suite *suite = suite_create("boarding");
    TCase *queue = tcase_create("queue");
    tcase_set_timeout(queue, 60);
    tcase_add_test(queue, the_queue_is_bounded_and_takes_all_or_none);
    tcase_add_test(queue, queued_sequences_leave_when_cancelled_or_late_and_priority_boards_first);
    tcase_add_test(queue, who_would_be_next_is_not_refused_at_the_door);
    tcase_add_test(queue, the_forks_of_a_client_take_its_own_seats);
    tcase_add_test(queue, a_thousand_of_one_client_delay_another_by_a_turn);
    suite_add_tcase(suite, queue);
    TCase *company = tcase_create("company");
    tcase_set_timeout(company, 60);
    tcase_add_test(company, a_long_prompt_does_not_stop_the_others);
    tcase_add_test(company, a_short_prompt_rides_along_with_those_who_generate);
    suite_add_tcase(suite, company);
    return suite;
}
