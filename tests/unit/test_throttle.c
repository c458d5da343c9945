/* throttle: a thread that may use a tenth of a processor sleeps nine tenths of the time. Other threads do not
 * sleep, nor does one whose work is given up; a load that is given up ends. */
#include "core/base/throttle.h"

#include <check.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/kernels/kernels.h"
#include "core/network/matrix.h"
#include "core/base/memory.h"
#include "models/bundle/golden.h"
#include "models/bundle/model.h"

Suite *throttle_suite(void);

static _Atomic bool given_up;

/* A clock by which each look at it takes a while of processor time, so that work is the number of looks. */
enum { LOOK_US = 5, WORK_US = 100000 };

static int64_t used, slept;

static int64_t fake_used_us(void)
{
    return used += LOOK_US;
}

static void fake_sleep_us(int64_t us)
{
    ck_assert_int_gt(us, 0);
    slept += us;
}

static void setup(void)
{
    static const struct throttle_clock fake = {fake_used_us, fake_sleep_us};
    used = slept = 0;
    throttle_use_clock(&fake);
}

/* If tests share a thread, the next one must not rest, nor be given up. */
static void teardown(void)
{
    throttle_use_clock(NULL);
    throttle_set(100, NULL);
    atomic_store(&given_up, false);
}

START_TEST(a_rest_makes_up_for_a_burst)
{
    ck_assert_int_eq(throttle_rest_us(299, 10), 0); /* too short to sleep after */
    ck_assert_int_eq(throttle_rest_us(300, 10), 2700);
    ck_assert_int_eq(throttle_rest_us(1000, 1), 99000);
    ck_assert_int_eq(throttle_rest_us(1000, 50), 1000);
    ck_assert_int_eq(throttle_rest_us(1000, 99), 10);
    ck_assert_int_eq(throttle_rest_us(1000000, 100), 0);
}
END_TEST

/* Of all the time that passes, the thread works for its share. The last burst and the look after each sleep
 * are not made up for. */
START_TEST(a_share_is_kept)
{
    static const unsigned shares[] = {1, 10, 50, 90};
    unsigned percent = shares[_i];
    throttle_set(percent, &given_up);
    while (used < WORK_US) ck_assert(throttle_rest());
    double share = (double)used / (double)(used + slept);
    ck_assert_double_ge(share, percent / 100.0);
    ck_assert_double_le(share, 1.03 * percent / 100.0);
}
END_TEST

START_TEST(a_thread_without_a_share_or_with_nothing_to_do_does_not_sleep)
{
    if (_i == 1) throttle_set(100, &given_up);
    if (_i == 2) throttle_set(10, &given_up);
    atomic_store(&given_up, _i == 2);
    for (int i = 0; i < 1000; i++) {
        used += 1000;
        ck_assert_int_eq(throttle_rest(), _i != 2);
    }
    ck_assert_int_eq(slept, 0);
}
END_TEST

/* The system's clock moves with work, and its sleep ends. */
START_TEST(the_clock_of_the_system_is_the_default)
{
    throttle_use_clock(NULL);
    throttle_set(90, NULL);
    int64_t began_us = clock_thread_us();
    while (clock_thread_us() - began_us < 2000) ck_assert(throttle_rest());
    ck_assert_int_eq(slept, 0);
}
END_TEST

static const char bundle[] = "tests/http/bundles/tiny-characters";

/* Each place by itself: what comes before it would end a load first. */
START_TEST(what_is_given_up_ends)
{
    static const float W[4] = {1, 2, 3, 4};
    static const char golden[] = "{\"cases\":[{\"input\":\"ab\",\"tokens\":[2,3],\"output\":[0]}]}";
    struct matrix *matrix;
    struct model *model, *other;
    struct error err = {.message = ""};
    struct golden_proof proof;
    size_t n;
    ck_assert_int_eq(kernels_select("auto", &err), STATUS_OK);
    ck_assert_int_eq(model_load(bundle, "m", "1", PRECISION_FLOAT32, &model, &err), STATUS_OK);
    atomic_store(&given_up, true);
    throttle_set(100, &given_up);
    void *small = memory_new(1, 64);
    ck_assert_ptr_nonnull(small);
    memory_free(small);
    ck_assert_ptr_null(memory_new(1, 1 << 20));
    for (enum precision precision = 0; precision < N_PRECISIONS; precision++)
        ck_assert_int_eq(matrix_new(W, NULL, 2, 2, precision, &matrix), STATUS_CLOSING);
    ck_assert_int_eq(golden_check(model, golden, sizeof golden - 1, &proof, &n, &err), STATUS_CLOSING);
    ck_assert_int_eq(model_load(bundle, "m", "1", PRECISION_FLOAT32, &other, &err), STATUS_CLOSING);
    model_drop(model);
}
END_TEST

Suite *throttle_suite(void)
{
    Suite *suite = suite_create("throttle");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_rest_makes_up_for_a_burst);
    tcase_add_loop_test(core, a_share_is_kept, 0, 4);
    tcase_add_loop_test(core, a_thread_without_a_share_or_with_nothing_to_do_does_not_sleep, 0, 3);
    tcase_add_test(core, the_clock_of_the_system_is_the_default);
    tcase_add_test(core, what_is_given_up_ends);
    suite_add_tcase(suite, core);
    return suite;
}
