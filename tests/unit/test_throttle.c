/* throttle: a thread that may use a tenth of a processor takes ten times as long; others do not sleep, nor
 * does one whose work is given up, and whatever rests on its way to a model ends then. */
#include "core/throttle.h"

#include <check.h>
#include <stdatomic.h>
#include <time.h>

#include "core/kernels.h"
#include "core/matrix.h"
#include "core/memory.h"
#include "models/golden.h"
#include "models/model.h"
#include "tests/support/await.h"

Suite *throttle_suite(void);

enum { WORK_MS = 20 };

static _Atomic bool given_up;

/* Where tests share a thread the next one must not rest, nor be given up. */
static void teardown(void)
{
    throttle_set(100, NULL);
    atomic_store(&given_up, false);
}

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
    throttle_set(10, &given_up);
    ck_assert_double_ge(work(), 8 * WORK_MS); /* the last burst is not paid for yet */
    throttle_set(50, &given_up);
    ck_assert_double_ge(work(), 1.6 * WORK_MS);
}
END_TEST

START_TEST(who_has_no_share_or_nothing_to_do_does_not_sleep)
{
    if (_i == 1) throttle_set(100, &given_up);
    if (_i == 2) throttle_set(10, &given_up);
    atomic_store(&given_up, _i == 2);
    ck_assert_int_eq(throttle_rest(), _i != 2);
    AWAIT(work() < 5 * WORK_MS); /* once, on a busy machine: a tenth never gets there */
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
    double difference;
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
    ck_assert_int_eq(golden_check(model, golden, sizeof golden - 1, &difference, &n, &err), STATUS_CLOSING);
    ck_assert_int_eq(model_load(bundle, "m", "1", PRECISION_FLOAT32, &other, &err), STATUS_CLOSING);
    model_drop(model);
}
END_TEST

Suite *throttle_suite(void)
{
    Suite *suite = suite_create("throttle");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, NULL, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_share_is_kept);
    tcase_add_loop_test(core, who_has_no_share_or_nothing_to_do_does_not_sleep, 0, 3);
    tcase_add_test(core, what_is_given_up_ends);
    suite_add_tcase(suite, core);
    return suite;
}
