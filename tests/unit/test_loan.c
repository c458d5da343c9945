/* Work that the submitting thread does itself: scheduler_submit_here. */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/scheduler/worker.h"
#include "tests/support/await.h"
#include "tests/support/riders.h"
#include "tests/support/tiny.h"

Suite *loan_suite(void);

/* Hidden units of networks of which STEPS steps are short work, two of them with weights that stay near, and
 * of one of which they are long work. */
enum { TINY, NEAR, SHORT, LONG, N_SIZES };
static const size_t hidden[N_SIZES] = {RIDERS_H, 64, 160, 600};
enum { STEPS = 4 }; /* one turn, which a loan runs however long it takes */

static struct network *networks[N_SIZES];
static struct scheduler *s;

static void open_all(void)
{
    for (size_t i = 0; i < N_SIZES; i++) networks[i] = tiny_generator(RIDERS_V, hidden[i]);
    s = riders_scheduler(2, 8, 16, 100);
    riders_await_both(s, networks[TINY]);
}

static void close_all(void)
{
    scheduler_free(s);
    for (size_t i = 0; i < N_SIZES; i++) network_free(networks[i]);
}

static enum status submit_here(struct rider *rider)
{
    int64_t retry_us;
    return scheduler_submit_here(s, (struct sequence *const[]){&rider->sequence}, 1, &retry_us);
}

/* Drivers have no place for a test's own. */
static const struct driver *rider_driver;
static pthread_t finished_on;

static void note_thread(struct sequence *sequence, enum status reason)
{
    finished_on = pthread_self();
    rider_driver->finish(sequence, reason);
}

/* Submit a rider of `steps` steps, wait for its end, and return whether it ended on this thread. */
static bool is_done_here(size_t size, size_t steps)
{
    struct rider *rider = rider_new(networks[size], 1, steps, steps);
    struct driver noting = *(rider_driver = rider->sequence.driver);
    noting.finish = note_thread;
    rider->sequence.driver = &noting;
    ck_assert_int_eq(submit_here(rider), STATUS_OK);
    AWAIT(atomic_load(&rider->finished));
    ck_assert_int_eq(rider->reason, STATUS_OK);
    ck_assert_uint_eq(rider->sequence.stats.steps, steps);
    ck_assert_int_gt(rider->sequence.stats.boarded_us, 0);
    bool here = pthread_equal(finished_on, pthread_self());
    rider_free(rider);
    return here;
}

START_TEST(short_work_is_done_by_the_thread_that_submits)
{
    ck_assert(is_done_here(TINY, STEPS));
    ck_assert(is_done_here(NEAR, STEPS));
    ck_assert(is_done_here(SHORT, STEPS));
    ck_assert(!is_done_here(LONG, STEPS));
    ck_assert(!is_done_here(NEAR, 100 * STEPS)); /* many steps of a small network */
    riders_settle(s); /* nothing is inside, as after any other work */
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued + stats.aboard + stats.parked, 0);
    ck_assert_uint_ge(stats.finished[STATUS_OK], 5);
}
END_TEST

/* Beside other work short work goes to the workers, which batch it, unless its weights stay near. Behind
 * others in the queue all wait. */
START_TEST(a_thread_does_not_push_in)
{
    struct gate *first = gate_shut(s, networks[TINY]);
    ck_assert(is_done_here(TINY, STEPS));
    ck_assert(is_done_here(NEAR, STEPS));
    ck_assert(!is_done_here(SHORT, STEPS));
    struct gate *second = gate_shut(s, networks[TINY]);
    struct rider *rider = rider_new(networks[TINY], 1, STEPS, STEPS);
    ck_assert_int_eq(submit_here(rider), STATUS_OK); /* it would hang if it ran one of the gates' turns */
    ck_assert_int_eq(atomic_load(&rider->finished), 0);
    atomic_store(&first->open, true);
    atomic_store(&second->open, true);
    riders_settle(s);
    ck_assert_int_eq(atomic_load(&rider->finished), 1);
    rider_free(rider);
    gate_free(first);
    gate_free(second);
}
END_TEST

/* A long generation of a tiny network is short work by its bytes, and may be not by the clock. */
START_TEST(who_does_it_changes_no_bit)
{
    struct rider *there = rider_new(networks[TINY], 3, 20, 60), *here = rider_new(networks[TINY], 3, 20, 60);
    ck_assert_int_eq(rider_submit(s, there), STATUS_OK);
    riders_settle(s);
    ck_assert_int_eq(submit_here(here), STATUS_OK);
    riders_settle(s);
    ck_assert_mem_eq(there->last, here->last, sizeof here->last);
    ck_assert_mem_eq(there->tokens, here->tokens, sizeof here->tokens);
    rider_free(there);
    rider_free(here);
}
END_TEST

/* What a loan leaves aboard, its worker's own thread goes on with. */
START_TEST(a_worker_that_was_lent_goes_on_with_what_is_left)
{
    struct rider *rider = rider_new(networks[TINY], 1, STEPS, 3 * STEPS);
    atomic_store(&rider->park_at, STEPS + 1);
    ck_assert_int_eq(submit_here(rider), STATUS_OK);
    AWAIT(atomic_load(&rider->n_parked));
    ck_assert(is_done_here(TINY, STEPS));
    atomic_store(&rider->park_at, 0);
    scheduler_wake(s, &rider->sequence);
    riders_settle(s);
    ck_assert_int_eq(atomic_load(&rider->finished), 1);
    ck_assert_int_eq(rider->reason, STATUS_OK);
    rider_free(rider);
}
END_TEST

enum { THREADS = 4, RIDERS = 60 };

/* All kinds of work by turns, here and there; every third is cancelled at some time. */
static void *submit_many(void *seed)
{
    for (size_t i = 0; i < RIDERS; i++) {
        struct rider *rider = rider_new(networks[i % 3], *(size_t *)seed + i, 1 + i, 2 * i + 2);
        atomic_store(&rider->park_at, i % 7 ? 0 : i + 1);
        ck_assert_int_eq(i % 5 ? submit_here(rider) : rider_submit(s, rider), STATUS_OK);
        if (i % 3 == 0) scheduler_cancel(s, &rider->sequence);
        if (i % 7 == 0) {
            atomic_store(&rider->park_at, 0);
            scheduler_wake(s, &rider->sequence);
        }
        AWAIT(atomic_load(&rider->finished));
        ck_assert_int_eq(atomic_load(&rider->finished), 1);
        rider_free(rider);
    }
    return NULL;
}

START_TEST(many_threads_borrow_and_call_at_once)
{
    pthread_t threads[THREADS];
    size_t seeds[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_many, &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    riders_settle(s);
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_eq(stats.queued + stats.aboard + stats.parked, 0);
    ck_assert_uint_ge(stats.finished[STATUS_OK] + stats.finished[STATUS_CANCELLED], THREADS * RIDERS);
}
END_TEST

Suite *loan_suite(void)
{
    Suite *suite = suite_create("loan");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_checked_fixture(core, open_all, close_all);
    tcase_add_test(core, short_work_is_done_by_the_thread_that_submits);
    tcase_add_test(core, a_thread_does_not_push_in);
    tcase_add_test(core, who_does_it_changes_no_bit);
    tcase_add_test(core, a_worker_that_was_lent_goes_on_with_what_is_left);
    tcase_add_test(core, many_threads_borrow_and_call_at_once);
    suite_add_tcase(suite, core);
    return suite;
}
