/* Who waits, who is next, who is refused, and what is expected of the wait. No threads: time is a number. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/scheduler/queue.h"
#include "tests/support/tiny.h"

Suite *queue_suite(void);

enum { N = 2000 };

static struct network *network, *other;
static struct queue queue;
static struct sequence sequences[N];

static void setup(void)
{
    const struct queue_options options = {.sequences = 1024, .steps = 1000000, .priority_us = 1000};
    network = tiny_generator(5, 3);
    other = tiny_generator(5, 3);
    queue_init(&queue, &options);
    memset(sequences, 0, sizeof sequences);
}

static void teardown(void)
{
    queue_release(&queue);
    network_free(network);
    network_free(other);
}

static struct sequence *wait_in_line(size_t i, uint32_t client, uint64_t steps, int priority, int64_t now)
{
    struct sequence *sequence = &sequences[i];
    if (!sequence->network) sequence->network = network;
    sequence->client = client;
    sequence->cost_steps = steps;
    sequence->priority = priority;
    ck_assert_int_eq(queue_push(&queue, &sequence, 1, now), STATUS_OK);
    return sequence;
}

static size_t number(const struct sequence *sequence)
{
    return (size_t)(sequence - sequences);
}

/* Takes one, who leaves at once. */
static size_t take(int64_t now)
{
    struct sequence *sequence = queue_take(&queue, queue.lines[0], false, now);
    ck_assert_ptr_nonnull(sequence);
    queue_left(sequence);
    return number(sequence);
}

static struct queue_offer offer(uint32_t client, uint64_t steps)
{
    return (struct queue_offer){.network = network, .client = client, .n = 1, .steps = steps};
}

START_TEST(one_share_is_first_come_first_served)
{
    for (size_t i = 0; i < 100; i++) wait_in_line(i, 7, 1 + i % 9, 0, 10 + (int64_t)i);
    ck_assert_uint_eq(queue.n, 100);
    for (size_t i = 0; i < 100; i++) ck_assert_uint_eq(take(200), i);
    ck_assert_uint_eq(queue.n, 0);
    ck_assert_uint_eq(queue.steps, 0);
    ck_assert_ptr_null(queue_take(&queue, queue.lines[0], false, 200));
}
END_TEST

START_TEST(a_newcomer_is_next_before_a_thousand_of_another)
{
    for (size_t i = 0; i < 1000; i++) wait_in_line(i, 1, 50, 0, 1);
    for (size_t i = 0; i < 300; i++) ck_assert_uint_eq(take(2), i);
    wait_in_line(1000, 2, 50, 0, 3);
    ck_assert_uint_eq(take(4), 1000);
    ck_assert_uint_eq(take(4), 300);
}
END_TEST

/* Three clients with work to do: each gets the same number of steps, whatever its sequences cost. */
START_TEST(shares_get_the_same_number_of_steps)
{
    static const uint64_t cost[] = {10, 30, 100};
    uint64_t steps[3] = {0};
    for (size_t i = 0; i < 1800; i++) wait_in_line(i, (uint32_t)(i / 600), cost[i / 600], 0, 1);
    for (size_t i = 0; i < 600; i++) {
        size_t client = take(2) / 600;
        steps[client] += cost[client];
        for (size_t k = 0; i > 10 && k < 3; k++) {
            uint64_t most = steps[k] > steps[client] ? steps[k] - steps[client] : steps[client] - steps[k];
            ck_assert_uint_le(most, 100 + cost[k]);
        }
    }
}
END_TEST

START_TEST(steps_are_in_proportion_to_the_weights)
{
    size_t heavy = 0;
    for (size_t i = 0; i < 1000; i++) {
        sequences[i].weight = i < 500 ? 3 : 1;
        wait_in_line(i, i < 500, 10, 0, 1);
    }
    for (size_t i = 0; i < 400; i++) heavy += take(2) < 500;
    ck_assert_uint_ge(heavy, 299);
    ck_assert_uint_le(heavy, 301);
}
END_TEST

/* A client that keeps no more than one waiting must not be served each time it comes back. */
START_TEST(coming_back_does_not_begin_anew)
{
    size_t back = 0;
    for (size_t i = 0; i < 1000; i++) wait_in_line(i, 1, 10, 0, 1);
    wait_in_line(1000, 2, 100, 0, 1);
    for (size_t i = 0; i < 110; i++) {
        if (take(2) < 1000) continue;
        back++;
        wait_in_line(1000 + back, 2, 100, 0, 2);
    }
    ck_assert_uint_ge(back, 9);
    ck_assert_uint_le(back, 11);
}
END_TEST

START_TEST(a_level_of_priority_is_worth_some_time)
{
    wait_in_line(0, 1, 10, -1, 100000);
    wait_in_line(1, 1, 10, 0, 100500); /* a level more: as if at 99500 */
    wait_in_line(2, 1, 10, 0, 101500); /* as if at 100500 */
    wait_in_line(3, 1, 10, 10, 103000);
    wait_in_line(4, 1, 10, 10, 103001);
    static const size_t expected[] = {3, 4, 1, 0, 2};
    for (size_t i = 0; i < 5; i++) ck_assert_uint_eq(take(200000), expected[i]);
}
END_TEST

START_TEST(priority_takes_nothing_from_another_share)
{
    for (size_t i = 0; i < 10; i++) wait_in_line(i, 1, 10, 10, 1);
    for (size_t i = 10; i < 20; i++) wait_in_line(i, 2, 10, -10, 1);
    size_t low = 0;
    for (size_t i = 0; i < 10; i++) low += take(2) >= 10;
    ck_assert_uint_eq(low, 5);
}
END_TEST

START_TEST(guests_are_those_with_nobody_aboard)
{
    for (size_t i = 0; i < 3; i++) wait_in_line(i, 1, 10, 0, 1);
    for (size_t i = 3; i < 6; i++) wait_in_line(i, 2, 10, 0, 1);
    struct sequence *first = queue_take(&queue, queue.lines[0], false, 2);
    struct sequence *newcomer = queue_take(&queue, queue.lines[0], true, 2);
    ck_assert_uint_eq(number(first), 0);
    ck_assert_uint_eq(number(newcomer), 3);
    ck_assert_ptr_null(queue_take(&queue, queue.lines[0], true, 2));
    queue_left(first);
    ck_assert_uint_eq(number(queue_take(&queue, queue.lines[0], true, 2)), 1);
}
END_TEST

START_TEST(a_fork_counts_as_aboard)
{
    wait_in_line(0, 1, 10, 0, 1);
    wait_in_line(1, 1, 10, 0, 1);
    sequences[2].network = network;
    sequences[2].client = 1;
    struct sequence *parent = queue_take(&queue, queue.lines[0], false, 2);
    queue_board(&queue, &sequences[2]);
    queue_left(parent);
    ck_assert_ptr_null(queue_take(&queue, queue.lines[0], true, 2));
    queue_left(&sequences[2]);
    ck_assert_ptr_nonnull(queue_take(&queue, queue.lines[0], true, 2));
}
END_TEST

START_TEST(networks_wait_in_lines_of_their_own)
{
    sequences[1].network = other;
    wait_in_line(0, 1, 10, 0, 1);
    wait_in_line(1, 1, 10, 0, 1);
    ck_assert_uint_eq(queue.n_lines, 2);
    ck_assert_uint_eq(queue.lines[1]->family, network_family(other));
    ck_assert_uint_eq(number(queue_take(&queue, queue.lines[1], false, 2)), 1);
    ck_assert_uint_eq(number(queue_take(&queue, queue.lines[0], false, 2)), 0);
}
END_TEST

START_TEST(the_networks_of_a_family_share_a_line)
{
    network_join(other, network);
    sequences[1].network = other;
    wait_in_line(0, 1, 10, 0, 1);
    wait_in_line(1, 1, 10, 0, 1);
    ck_assert_uint_eq(queue.n_lines, 1);
    ck_assert_uint_eq(number(queue_take(&queue, queue.lines[0], false, 2)), 0);
    ck_assert_uint_eq(number(queue_take(&queue, queue.lines[0], false, 2)), 1);
}
END_TEST

/* One client finds no room after eight ninths; another one does; tiny queues can be filled. */
START_TEST(no_share_fills_the_queue_alone)
{
    int64_t retry_us = 0;
    size_t n = 0;
    struct queue_offer flood = offer(1, 1), small = offer(2, 1);
    for (; queue_judge(&queue, &flood, 1, &retry_us) == STATUS_OK; n++) wait_in_line(n, 1, 1, 0, 1);
    ck_assert_uint_ge(n, 1024 * 8 / 9 - 1);
    ck_assert_uint_le(n, 1024 * 8 / 9 + 1);
    ck_assert_int_ge(retry_us, 1000000);
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(queue_judge(&queue, &small, 1, &retry_us), STATUS_OK);
        wait_in_line(n++, 2, 1, 0, 1);
    }
    flood.n = 1024 - n + 1;
    flood.client = 3;
    ck_assert_int_eq(queue_judge(&queue, &flood, 1, &retry_us), STATUS_QUEUE_FULL);
}
END_TEST

START_TEST(bounds_hold_to_the_last_place)
{
    int64_t retry_us = 0;
    queue.options.sequences = 3;
    queue.options.steps = 100;
    struct queue_offer one = offer(1, 10);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(queue_judge(&queue, &one, 1, &retry_us), STATUS_OK);
        wait_in_line(i, 1, 10, 0, 1);
    }
    ck_assert_int_eq(queue_judge(&queue, &one, 1, &retry_us), STATUS_QUEUE_FULL);
    take(2);
    one.steps = 81;
    ck_assert_int_eq(queue_judge(&queue, &one, 1, &retry_us), STATUS_QUEUE_FULL);
    one.steps = 80;
    ck_assert_int_eq(queue_judge(&queue, &one, 1, &retry_us), STATUS_OK);
}
END_TEST

START_TEST(an_empty_queue_takes_what_is_larger_than_its_bounds)
{
    int64_t retry_us = 0;
    struct queue_offer large = offer(1, 1000001), small = offer(2, 1);
    large.n = 1025;
    ck_assert_int_eq(queue_judge(&queue, &large, 1, &retry_us), STATUS_OK);
    for (size_t i = 0; i < 1025; i++) wait_in_line(i, 1, 1000, 0, 1);
    ck_assert_int_eq(queue_judge(&queue, &small, 1, &retry_us), STATUS_QUEUE_FULL);
}
END_TEST

/* A line that boards one sequence of 10 steps every millisecond, as long as somebody waits. */
static void work_off(int64_t *now, size_t n)
{
    pace_stall(&queue.lines[0]->pace, *now);
    for (size_t i = 0; i < n; i++) {
        *now += 1000;
        take(*now);
    }
}

START_TEST(nothing_is_refused_for_its_deadline_before_a_pace_is_known)
{
    int64_t retry_us = 0;
    struct queue_offer hurried = offer(1, 10);
    hurried.deadline_us = 2;
    hurried.least_steps = 10;
    for (size_t i = 0; i < 500; i++) wait_in_line(i, 1, 10, 0, 1);
    ck_assert_int_eq(queue_judge(&queue, &hurried, 1, &retry_us), STATUS_OK);
    hurried.deadline_us = 1;
    ck_assert_int_eq(queue_judge(&queue, &hurried, 1, &retry_us), STATUS_DEADLINE);
}
END_TEST

START_TEST(who_cannot_board_in_time_is_told_when_to_come_back)
{
    int64_t now = 1, retry_us = 0;
    for (size_t i = 0; i < 700; i++) wait_in_line(i, 1, 10, 0, now);
    work_off(&now, 100);
    struct queue_offer hurried = offer(1, 10); /* 600 before it: 600 ms */
    hurried.deadline_us = now + 390000;
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_QUEUE_FULL);
    ck_assert_int_eq(retry_us, 1000000); /* never sooner */
    hurried.deadline_us = now + 410000;  /* not clearly too late: half as much again is allowed */
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_OK);
    hurried.client = 2; /* another client is next */
    hurried.deadline_us = now + 5000;
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_OK);
    hurried.client = 1;
    hurried.priority = 1; /* and so is who has a higher priority */
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_OK);
    hurried.priority = 0;
    hurried.deadline_us = 0;
    queue.options.wait_us = 500000;
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_QUEUE_FULL);
    queue.options.wait_us = 700000;
    ck_assert_int_eq(queue_judge(&queue, &hurried, now, &retry_us), STATUS_OK);
}
END_TEST

/* Those who are refused are told instants one after the other, as far apart as boardings are, and at most a
 * minute. */
START_TEST(places_are_promised_one_after_the_other)
{
    int64_t now = 1, retry_us = 0, last_us = 0;
    queue.options.sequences = 600;
    struct queue_offer late = offer(1, 10);
    for (size_t i = 0; i < 700; i++) wait_in_line(i, 1, 10, 0, now);
    work_off(&now, 60);
    for (size_t i = 0; i < 3000; i++) {
        ck_assert_int_eq(queue_judge(&queue, &late, now, &retry_us), STATUS_QUEUE_FULL);
        ck_assert_int_ge(retry_us, last_us);
        last_us = retry_us;
    }
    ck_assert_int_ge(last_us, 2990000);
    ck_assert_int_le(last_us, 3010000);
    for (size_t i = 0; i < 100000; i++)
        ck_assert_int_eq(queue_judge(&queue, &late, now, &retry_us), STATUS_QUEUE_FULL);
    ck_assert_int_eq(retry_us, 60000000);
}
END_TEST

START_TEST(what_not_even_an_empty_server_could_do_is_past_its_deadline)
{
    int64_t retry_us = 0;
    struct queue_offer long_one = offer(1, 1000);
    wait_in_line(0, 1, 10, 0, 1);
    take(1);
    queue_note_turn(&queue, network_family(network), 400, 100);
    queue_note_turn(&queue, network_family(network), 200, 100);
    queue_note_turn(&queue, network_family(network), 900, 100);
    long_one.least_steps = 1000; /* 2 us each at best */
    long_one.deadline_us = 1 + 1990;
    ck_assert_int_eq(queue_judge(&queue, &long_one, 1, &retry_us), STATUS_DEADLINE);
    long_one.deadline_us = 1 + 2010;
    ck_assert_int_eq(queue_judge(&queue, &long_one, 1, &retry_us), STATUS_OK);
}
END_TEST

/* Only waiting for room counts: what boards at once, however fast, says nothing. */
START_TEST(the_pace_is_that_of_the_full_server)
{
    struct pace pace = {0};
    int64_t now = 1000;
    for (size_t i = 0; i < 1000; i++) pace_board(&pace, 1000000);
    ck_assert_int_eq(pace_wait_us(&pace, 100, now), 0);
    pace_stall(&pace, now);
    for (size_t i = 0; i < 7; i++) {
        now += 1000;
        pace_board(&pace, 10);
    }
    ck_assert_int_eq(pace_wait_us(&pace, 100, now), 0); /* too few to say */
    pace_board(&pace, 10);
    ck_assert_int_eq(pace_wait_us(&pace, 100, now + 1000), 10000);
    ck_assert_int_eq(pace_wait_us(&pace, 100, now + 9000), 20000); /* nobody boards: slower by the minute */
    pace_resume(&pace, now + 9000);
    ck_assert_int_eq(pace_wait_us(&pace, 100, now + 99000), 0);    /* nobody waits */
    ck_assert_int_eq(pace_each_us(&pace, now + 99000), 2000);
}
END_TEST

START_TEST(the_pace_follows_a_change)
{
    struct pace pace = {0};
    int64_t now = 1000;
    pace_stall(&pace, now);
    for (size_t i = 0; i < 20000; i++) {
        now += 1000;
        pace_board(&pace, 10);
        pace_wait_us(&pace, 1, now);
    }
    ck_assert_int_eq(pace_each_us(&pace, now), 1000);
    for (size_t i = 0; i < 2000; i++) {
        now += 10000;
        pace_board(&pace, 10);
        pace_wait_us(&pace, 1, now);
    }
    ck_assert_int_ge(pace_each_us(&pace, now), 8000);
}
END_TEST

START_TEST(who_is_cancelled_late_or_closed_out_leaves_the_queue)
{
    struct sequence_list gone = {0};
    for (size_t i = 0; i < 30; i++) {
        sequences[i].deadline_us = i % 3 == 1 ? 50 : 0;
        wait_in_line(i, (uint32_t)i % 4, 10, (int)(i % 5), 1);
        if (i % 3 == 0) atomic_store(&sequences[i]._cancelled, true);
    }
    queue_sweep(&queue, 40, false, &gone);
    ck_assert_uint_eq(gone.n, 0); /* it was not told of a change, and nobody is late */
    queue.changed = true;
    queue_sweep(&queue, 40, false, &gone);
    ck_assert_uint_eq(gone.n, 10);
    ck_assert_int_eq(gone.head->_reason, STATUS_CANCELLED);
    queue_sweep(&queue, 50, false, &gone);
    ck_assert_uint_eq(gone.n, 20);
    ck_assert_int_eq(gone.tail->_reason, STATUS_DEADLINE);
    ck_assert_uint_eq(queue.n, 10);
    ck_assert_uint_eq(queue.steps, 100);
    ck_assert_int_eq(queue.deadline_us, INT64_MAX);
    queue_sweep(&queue, 50, true, &gone);
    ck_assert_uint_eq(gone.n, 30);
    ck_assert_int_eq(gone.tail->_reason, STATUS_CLOSING);
    ck_assert_uint_eq(queue.n + queue.steps, 0);
}
END_TEST

/* Thousands of clients and models, one after the other, take no more memory than those who wait at one
 * time. */
START_TEST(what_is_remembered_is_bounded)
{
    for (uint32_t client = 0; client < 5000; client++) {
        wait_in_line(0, client, 10, 0, 1);
        wait_in_line(1, client + 100000, 10, 0, 1);
        take(1);
        take(1);
    }
    ck_assert_uint_le(queue.lines[0]->n_flows, 3);
    for (size_t i = 0; i < 500; i++) wait_in_line(10 + i, 1, 1, 0, 1);
    for (uint32_t client = 0; client < 500; client++) {
        /* each has had more than its part, which is remembered a while */
        wait_in_line(0, 200000 + client, 1000, 0, 1);
        take(1);
        take(1);
    }
    ck_assert_uint_eq(queue.n, 0);
    ck_assert_uint_ge(queue.lines[0]->n_flows, 64);
    ck_assert_uint_le(queue.lines[0]->n_flows, 70);
    for (size_t i = 0; i < 200; i++) {
        struct network *brief = tiny_generator(5, 3);
        sequences[2].network = brief;
        wait_in_line(2, 1, 10, 0, 1);
        for (size_t k = 0; k < queue.n_lines; k++)
            if (queue.lines[k]->n) queue_left(queue_take(&queue, queue.lines[k], false, 1));
        network_free(brief);
    }
    ck_assert_uint_le(queue.n_lines, 64);
}
END_TEST

START_TEST(without_memory_nobody_is_taken_in)
{
    struct sequence *both[] = {&sequences[0], &sequences[1]};
    sequences[0].network = sequences[1].network = network;
    uint64_t nth = 1;
    enum status status;
    do {
        memory_fail_at(nth++);
        status = queue_push(&queue, both, 2, 1);
        memory_fail_at(0);
        ck_assert(status == STATUS_OK || status == STATUS_NO_MEMORY);
        ck_assert_uint_eq(queue.n, status == STATUS_OK ? 2 : 0);
    } while (status != STATUS_OK);
    ck_assert_uint_ge(nth, 5);
}
END_TEST

Suite *queue_suite(void)
{
    Suite *suite = suite_create("queue");
    TCase *order = tcase_create("order");
    tcase_add_checked_fixture(order, setup, teardown);
    tcase_set_timeout(order, 60);
    tcase_add_test(order, one_share_is_first_come_first_served);
    tcase_add_test(order, a_newcomer_is_next_before_a_thousand_of_another);
    tcase_add_test(order, shares_get_the_same_number_of_steps);
    tcase_add_test(order, steps_are_in_proportion_to_the_weights);
    tcase_add_test(order, coming_back_does_not_begin_anew);
    tcase_add_test(order, a_level_of_priority_is_worth_some_time);
    tcase_add_test(order, priority_takes_nothing_from_another_share);
    tcase_add_test(order, guests_are_those_with_nobody_aboard);
    tcase_add_test(order, a_fork_counts_as_aboard);
    tcase_add_test(order, networks_wait_in_lines_of_their_own);
    tcase_add_test(order, the_networks_of_a_family_share_a_line);
    suite_add_tcase(suite, order);
    TCase *limits = tcase_create("limits");
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_set_timeout(limits, 60);
    tcase_add_test(limits, no_share_fills_the_queue_alone);
    tcase_add_test(limits, bounds_hold_to_the_last_place);
    tcase_add_test(limits, an_empty_queue_takes_what_is_larger_than_its_bounds);
    tcase_add_test(limits, nothing_is_refused_for_its_deadline_before_a_pace_is_known);
    tcase_add_test(limits, who_cannot_board_in_time_is_told_when_to_come_back);
    tcase_add_test(limits, places_are_promised_one_after_the_other);
    tcase_add_test(limits, what_not_even_an_empty_server_could_do_is_past_its_deadline);
    tcase_add_test(limits, the_pace_is_that_of_the_full_server);
    tcase_add_test(limits, the_pace_follows_a_change);
    tcase_add_test(limits, who_is_cancelled_late_or_closed_out_leaves_the_queue);
    tcase_add_test(limits, what_is_remembered_is_bounded);
    tcase_add_test(limits, without_memory_nobody_is_taken_in);
    suite_add_tcase(suite, limits);
    return suite;
}
