/* throttle: a thread that may use a tenth of a processor takes ten times as long; others, and one in a hurry, do not
 * sleep. */
#include "core/throttle.h"

#include <check.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/support/await.h"

Suite *throttle_suite(void);

enum { WORK_MS = 20 };

static _Atomic bool hurry;

static double used_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

/* Milliseconds on the wall for WORK_MS of processor time. */
static double work(void)
{
    double began_ms = now_ms(), used = used_ms();
    while (used_ms() - used < WORK_MS) throttle_rest();
    return now_ms() - began_ms;
}

START_TEST(a_share_is_kept)
{
    throttle_set(10, &hurry);
    ck_assert_double_ge(work(), 8 * WORK_MS); /* the last burst is not paid for yet */
    throttle_set(50, &hurry);
    ck_assert_double_ge(work(), 1.6 * WORK_MS);
}
END_TEST

START_TEST(who_has_no_share_or_no_time_does_not_sleep)
{
    if (_i == 1) throttle_set(100, &hurry);
    if (_i == 2) throttle_set(10, &hurry);
    atomic_store(&hurry, _i == 2);
    AWAIT(work() < 5 * WORK_MS); /* once, on a busy machine: a tenth never gets there */
}
END_TEST

Suite *throttle_suite(void)
{
    Suite *suite = suite_create("throttle");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_share_is_kept);
    tcase_add_loop_test(core, who_has_no_share_or_no_time_does_not_sleep, 0, 3);
    suite_add_tcase(suite, core);
    return suite;
}
