/* gain: a team that is no faster than its leader alone rests. Times are inputs. */
#include <check.h>

#include "core/scheduler/gain.h"

Suite *gain_suite(void);

enum { SECOND_US = 1000000, LONG_US = 100 * SECOND_US };

static const struct gain_turn plain = {.serial = 3, .sequences = 1, .steps = 1};

/* One turn, which takes so long by the team or alone. Return whether it was run alone. */
static bool turn(struct gain *gain, struct gain_turn turn, int64_t shared_us, int64_t alone_us,
                 int64_t now_us)
{
    bool alone = gain_wants_alone(gain);
    turn.us = alone ? alone_us : shared_us;
    gain_note(gain, &turn, alone, now_us);
    return alone;
}

/* Up to `n` turns; gives how many there were until the team had to rest. */
static size_t turns(struct gain *gain, size_t n, int64_t shared_us, int64_t alone_us, int64_t now_us)
{
    size_t done = 0;
    while (done < n && gain_is_rested(gain, now_us)) {
        turn(gain, plain, shared_us, alone_us, now_us);
        done++;
    }
    return done;
}

START_TEST(a_team_that_gains_goes_on_and_is_seldom_asked_to_prove_it)
{
    struct gain gain = {0};
    size_t alone = 0;
    ck_assert_uint_eq(turns(&gain, 1000, 60, 100, LONG_US), 1000);
    for (size_t i = 0; i < 1000; i++) alone += turn(&gain, plain, 60, 100, LONG_US);
    ck_assert_uint_ge(alone, 1);
    ck_assert_uint_le(alone, 10);
}
END_TEST

START_TEST(a_team_that_gains_nothing_rests_longer_each_time)
{
    struct gain gain = {0};
    int64_t now = LONG_US, last = 0;
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_lt(turns(&gain, 1000, _i ? 110 : 100, 100, now), 1000);
        int64_t rest = 0;
        while (!gain_is_rested(&gain, now + rest)) rest += SECOND_US / 2;
        ck_assert_int_gt(rest, 0);
        ck_assert(rest == 2 * last || i == 0 || (rest == last && rest > 10 * SECOND_US));
        ck_assert_int_le(rest, 60 * SECOND_US);
        last = rest;
        now += rest;
    }
}
END_TEST

START_TEST(a_gain_that_goes_away_is_noticed)
{
    struct gain gain = {0};
    turns(&gain, 10000, 60, 100, LONG_US);
    ck_assert_uint_lt(turns(&gain, 10000, 105, 100, LONG_US), 10000);
}
END_TEST

START_TEST(a_team_that_gains_again_is_trusted_again)
{
    struct gain gain = {0};
    int64_t now = LONG_US;
    for (int i = 0; i < 5; i++, now += LONG_US) turns(&gain, 1000, 100, 100, now);
    ck_assert_uint_eq(turns(&gain, 1000, 60, 100, now), 1000);
    turns(&gain, 100000, 100, 100, now);
    ck_assert(!gain_is_rested(&gain, now));
    ck_assert(gain_is_rested(&gain, now + 2 * SECOND_US)); /* the first rest again */
}
END_TEST

START_TEST(interrupted_turns_do_not_decide)
{
    struct gain gain = {0};
    for (size_t i = 0; i < 5000; i++) {
        bool spoilt = i % 5 == 0;
        turn(&gain, plain, spoilt ? 4000 : 60, 100, LONG_US);
        ck_assert(gain_is_rested(&gain, LONG_US));
    }
}
END_TEST

/* A turn that is run alone is larger or of another network than the one before it. */
START_TEST(only_turns_that_are_alike_are_compared)
{
    for (int other = 0; other < 3; other++) {
        struct gain gain = {0};
        for (size_t i = 0; i < 5000; i++) {
            struct gain_turn next = plain;
            if (gain_wants_alone(&gain)) {
                next.serial += other == 0;
                next.sequences += other == 1;
                next.steps += other == 2;
            }
            turn(&gain, next, 100, 50, LONG_US);
            ck_assert(gain_is_rested(&gain, LONG_US));
        }
    }
}
END_TEST

Suite *gain_suite(void)
{
    Suite *suite = suite_create("gain");
    TCase *core = tcase_create("core");
    tcase_add_test(core, a_team_that_gains_goes_on_and_is_seldom_asked_to_prove_it);
    tcase_add_loop_test(core, a_team_that_gains_nothing_rests_longer_each_time, 0, 2);
    tcase_add_test(core, a_gain_that_goes_away_is_noticed);
    tcase_add_test(core, a_team_that_gains_again_is_trusted_again);
    tcase_add_test(core, interrupted_turns_do_not_decide);
    tcase_add_test(core, only_turns_that_are_alike_are_compared);
    suite_add_tcase(suite, core);
    return suite;
}
