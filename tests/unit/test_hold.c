/* hold: when a thread has lost its core, how long it rests, and what it must show before it is trusted again.
 * Time is an input. */
#include <check.h>

#include "core/network/hold.h"

Suite *hold_suite(void);

enum { LOOK_US = 250, SECOND_US = 1000000, LONG_US = 100 * SECOND_US };

/* A thread's clocks. */
struct clocks {
    int64_t now_us, cpu_us;
};

/* Let `us` pass, of which the thread runs all but `lost_us`, and look. */
static bool pass(struct hold *hold, struct clocks *clocks, int64_t us, int64_t lost_us)
{
    clocks->now_us += us;
    clocks->cpu_us += us - lost_us;
    return hold_look(hold, clocks->now_us, clocks->cpu_us);
}

static bool pass_for(struct hold *hold, struct clocks *clocks, int64_t us, int64_t lost_a_look_us)
{
    for (int64_t passed = 0; passed < us; passed += LOOK_US)
        if (!pass(hold, clocks, LOOK_US, lost_a_look_us)) return false;
    return true;
}

static struct hold begun(struct clocks *clocks)
{
    struct hold hold = {0};
    *clocks = (struct clocks){LONG_US, 5000};
    hold_begin(&hold, clocks->now_us, clocks->cpu_us);
    return hold;
}

START_TEST(a_thread_that_runs_all_the_time_keeps_its_core)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    ck_assert(hold_is_rested(&hold, clocks.now_us));
    ck_assert(pass_for(&hold, &clocks, 10 * SECOND_US, 0));
    ck_assert(pass_for(&hold, &clocks, 10 * SECOND_US, 10)); /* interrupts */
}
END_TEST

START_TEST(a_lost_time_slice_is_noticed_at_once)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    ck_assert(pass_for(&hold, &clocks, 10 * SECOND_US, 0));
    ck_assert(!pass(&hold, &clocks, 3250, 3000));
}
END_TEST

START_TEST(many_small_losses_are_noticed_together)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    ck_assert(pass_for(&hold, &clocks, 10 * SECOND_US, LOOK_US / 10));
    ck_assert(!pass_for(&hold, &clocks, 10000, LOOK_US / 4));
}
END_TEST

START_TEST(time_until_the_thread_ran_first_is_lost)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    hold_begin(&hold, clocks.now_us, clocks.cpu_us);
    ck_assert(!pass(&hold, &clocks, 5000, 4990));
}
END_TEST

START_TEST(a_sleep_to_be_moved_is_not_lost_but_not_many)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    int moves = 0;
    do {
        clocks.now_us += 5000;
        moves++;
    } while (hold_move(&hold, clocks.now_us, clocks.cpu_us));
    ck_assert_int_gt(moves, 1);
    ck_assert_int_lt(moves, 10);
    hold_begin(&hold, clocks.now_us, clocks.cpu_us);
    ck_assert(hold_move(&hold, clocks.now_us + 5000, clocks.cpu_us));
    clocks.now_us += 5000;
    ck_assert(pass(&hold, &clocks, LOOK_US, 0));
}
END_TEST

START_TEST(a_look_is_due_after_a_while)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    ck_assert(!hold_is_due(&hold, clocks.now_us + 1));
    ck_assert(hold_is_due(&hold, clocks.now_us + LOOK_US));
}
END_TEST

/* How long a rest from `now_us` takes, to a millisecond. */
static int64_t rest(struct hold *hold, int64_t now_us)
{
    int64_t us = 0;
    hold_rest(hold, now_us);
    while (!hold_is_rested(hold, now_us + us)) us += 1000;
    return us;
}

START_TEST(each_loss_doubles_the_rest_up_to_a_limit)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    int64_t first = rest(&hold, clocks.now_us), last = first;
    ck_assert_int_ge(first, SECOND_US / 10);
    for (int i = 0; i < 20; i++) {
        int64_t next = rest(&hold, clocks.now_us);
        ck_assert(next == 2 * last || next == last);
        last = next;
    }
    ck_assert_int_ge(last, 10 * SECOND_US);
    ck_assert_int_le(last, 60 * SECOND_US);
}
END_TEST

START_TEST(a_core_that_was_kept_for_long_makes_the_next_rest_short)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    int64_t first = rest(&hold, clocks.now_us);
    while (rest(&hold, clocks.now_us) < 8 * first) continue;
    hold_begin(&hold, clocks.now_us, clocks.cpu_us);
    ck_assert(pass_for(&hold, &clocks, 50000, 0));
    ck_assert_int_eq(rest(&hold, clocks.now_us), 16 * first); /* some time slices are not long */
    for (int stay = 0; stay < 100; stay++) {
        clocks.now_us += SECOND_US;
        hold_begin(&hold, clocks.now_us, clocks.cpu_us);
        ck_assert(pass_for(&hold, &clocks, 10000, 0));
    }
    ck_assert_int_eq(rest(&hold, clocks.now_us), first);
}
END_TEST

/* Probation counts time for which the thread kept a core, over several stays. */
START_TEST(at_first_and_after_a_rest_a_thread_is_on_probation)
{
    struct clocks clocks;
    struct hold hold = begun(&clocks);
    int64_t probation = 0;
    if (_i) clocks.now_us += rest(&hold, clocks.now_us);
    while (hold_is_on_probation(&hold)) {
        hold_begin(&hold, clocks.now_us, clocks.cpu_us);
        ck_assert(pass_for(&hold, &clocks, 2 * LOOK_US, 0));
        probation += 2 * LOOK_US;
        clocks.now_us += SECOND_US; /* and waits to be called again */
        ck_assert_int_lt(probation, SECOND_US);
    }
    ck_assert_int_ge(probation, 4000); /* a time slice */
    hold_rest(&hold, clocks.now_us);
    ck_assert(hold_is_on_probation(&hold));
}
END_TEST

Suite *hold_suite(void)
{
    Suite *suite = suite_create("hold");
    TCase *core = tcase_create("core");
    tcase_add_test(core, a_thread_that_runs_all_the_time_keeps_its_core);
    tcase_add_test(core, a_lost_time_slice_is_noticed_at_once);
    tcase_add_test(core, many_small_losses_are_noticed_together);
    tcase_add_test(core, time_until_the_thread_ran_first_is_lost);
    tcase_add_test(core, a_sleep_to_be_moved_is_not_lost_but_not_many);
    tcase_add_test(core, a_look_is_due_after_a_while);
    tcase_add_test(core, each_loss_doubles_the_rest_up_to_a_limit);
    tcase_add_test(core, a_core_that_was_kept_for_long_makes_the_next_rest_short);
    tcase_add_loop_test(core, at_first_and_after_a_rest_a_thread_is_on_probation, 0, 2);
    suite_add_tcase(suite, core);
    return suite;
}
