/* The team: each part of a task is made once, whichever thread makes it; the leader waits for no member that
 * has not begun; a shared product has the bits of one that was made alone. */
#include <check.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "tests/support/crew.h"

Suite *team_suite(void);

enum { PARTS = 37 };

/* Plain fields on purpose: the team itself must order them. */
struct tally {
    size_t times[PARTS];      /* that a part was made */
    size_t by_seat[CREW_MAX]; /* parts that each thread made */
};

static void tally_task(void *argument, size_t first, size_t end)
{
    struct tally *tally = argument;
    tally->by_seat[crew_seat()] += end - first;
    for (; first < end; first++) tally->times[first]++;
    sched_yield(); /* so that all make some on a machine of one core too */
}

static void assert_each_made(const struct tally *tally, size_t times)
{
    for (size_t part = 0; part < PARTS; part++) ck_assert_uint_eq(tally->times[part], times);
}

static bool all_made_some(const struct tally *tally)
{
    for (size_t seat = 0; seat < CREW_MAX; seat++)
        if (!tally->by_seat[seat]) return false;
    return true;
}

START_TEST(each_part_is_made_once)
{
    static struct crew crew;
    struct tally tally = {.times = {0}};
    size_t tasks = 0;
    crew_start(&crew, CREW_MAX);
    for (; tasks < 2000 || !all_made_some(&tally); tasks++) {
        team_run(&crew.team, tally_task, &tally, PARTS, tasks % 2);
        assert_each_made(&tally, tasks + 1);
    }
    crew_stop(&crew);
}
END_TEST

START_TEST(a_team_without_members_is_its_leader)
{
    static struct team team;
    struct tally tally = {.times = {0}};
    team_run(&team, tally_task, &tally, PARTS, false);
    assert_each_made(&tally, 1);
    ck_assert_uint_eq(tally.by_seat[0], PARTS);
    ck_assert_uint_eq(team_size(&team), 1);
}
END_TEST

START_TEST(members_come_back_after_a_dismissal)
{
    static struct crew crew;
    for (int round = 0; round < 20; round++) {
        struct tally tally = {.times = {0}};
        size_t tasks = 0;
        crew_start(&crew, CREW_MAX);
        for (; !all_made_some(&tally); tasks++) team_run(&crew.team, tally_task, &tally, PARTS, false);
        crew_stop(&crew);
        ck_assert_uint_eq(team_size(&crew.team), 1);
        team_run(&crew.team, tally_task, &tally, PARTS, false);
        assert_each_made(&tally, tasks + 1);
    }
}
END_TEST

/* A seat that is taken by no thread is a member that the system does not let run. */
START_TEST(a_member_that_never_begins_is_not_waited_for)
{
    static struct team team;
    struct tally tally = {.times = {0}};
    team_open(&team, CREW_MAX);
    for (size_t seat = 1; seat < CREW_MAX; seat++) atomic_store(&team._seats[seat]._taken, true);
    ck_assert_uint_eq(team_size(&team), CREW_MAX);
    team_run(&team, tally_task, &tally, PARTS, _i);
    assert_each_made(&tally, 1);
    ck_assert_uint_eq(tally.by_seat[0], PARTS);
}
END_TEST

/* A member claims parts and does not go on until the leader has made everything else. */
struct stall {
    struct tally tally;
    sem_t begun, may_go_on;
    size_t held, made; /* parts: that the member holds, that the leader has made */
    bool leader_knows;
};

static void stall_task(void *argument, size_t first, size_t end)
{
    struct stall *stall = argument;
    for (size_t part = first; part < end; part++) stall->tally.times[part]++;
    stall->tally.by_seat[crew_seat()] += end - first;
    if (crew_seat()) {
        if (stall->held) return;
        stall->held = end - first;
        sem_post(&stall->begun);
        sem_wait(&stall->may_go_on);
        return;
    }
    if (!stall->leader_knows) sem_wait(&stall->begun);
    stall->leader_knows = true;
    stall->made += end - first;
    if (stall->made + stall->held == PARTS) sem_post(&stall->may_go_on);
}

START_TEST(a_member_that_stalls_holds_up_only_what_it_has_claimed)
{
    static struct crew crew;
    struct stall stall = {.held = 0};
    sem_init(&stall.begun, 0, 0);
    sem_init(&stall.may_go_on, 0, 0);
    crew_start(&crew, 2);
    crew_wait(&crew);
    team_run(&crew.team, stall_task, &stall, PARTS, _i);
    assert_each_made(&stall.tally, 1);
    ck_assert_uint_eq(stall.tally.by_seat[1], stall.held);
    ck_assert_uint_eq(stall.tally.by_seat[0], PARTS - stall.held);
    crew_stop(&crew);
    sem_destroy(&stall.begun);
    sem_destroy(&stall.may_go_on);
}
END_TEST

/* The member was called long ago, runs only now, and has moved too often: it stays neither beside the
 * leader nor on a core of its own. */
START_TEST(a_member_that_lost_its_core_leaves)
{
    static struct team team;
    struct hold hold = {._moves = 1000};
    hold._began_us = hold._seen_us = clock_us() - 10000000;
    hold._began_cpu_us = clock_thread_us();
    team_open(&team, 2);
    ck_assert(!team_join(&team, 1, &hold));
    ck_assert_uint_eq(team_size(&team), 1);
}
END_TEST

START_TEST(a_dismissed_member_has_not_lost_its_core)
{
    static struct team team;
    struct hold hold = {0};
    hold_begin(&hold, clock_us(), clock_thread_us());
    team_open(&team, 2);
    team_dismiss(&team);
    ck_assert(team_join(&team, 1, &hold));
}
END_TEST

START_TEST(a_shared_product_has_the_same_bits)
{
    enum { N = 777, K = 300, R = 5 };
    static struct crew crew;
    float *W = memory_new(N * K, sizeof *W), *x = memory_new(R * K, sizeof *x);
    float *alone = memory_new(R * N, sizeof *alone), *shared = memory_new(R * N, sizeof *shared);
    for (size_t i = 0; i < N * K; i++) W[i] = (float)((i * 7919) % 1000) / 500.0f - 1.0f;
    for (size_t i = 0; i < R * K; i++) x[i] = (float)((i * 104729) % 1000) / 500.0f - 1.0f;
    struct matrix *matrix = NULL;
    ck_assert_int_eq(matrix_new(W, NULL, N, K, PRECISION_FLOAT32, &matrix), STATUS_OK);
    struct operand A = {.values = x, .values_stride = K};
    matrix_multiply(matrix, R, &A, &(struct target){.C = alone, .stride = N});
    crew_start(&crew, CREW_MAX);
    crew_wait(&crew);
    for (int i = 0; i < 200; i++) {
        struct target C = {.C = shared, .stride = N, .backwards = i % 2};
        memset(shared, 0, R * N * sizeof *shared);
        team_multiply(&crew.team, matrix, R, &A, &C);
        ck_assert_mem_eq(alone, shared, R * N * sizeof *shared);
    }
    crew_stop(&crew);
    matrix_free(matrix);
    memory_free(W);
    memory_free(x);
    memory_free(alone);
    memory_free(shared);
}
END_TEST

Suite *team_suite(void)
{
    Suite *suite = suite_create("team");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(core, each_part_is_made_once);
    tcase_add_test(core, a_team_without_members_is_its_leader);
    tcase_add_test(core, members_come_back_after_a_dismissal);
    tcase_add_loop_test(core, a_member_that_never_begins_is_not_waited_for, 0, 2);
    tcase_add_loop_test(core, a_member_that_stalls_holds_up_only_what_it_has_claimed, 0, 2);
    tcase_add_test(core, a_member_that_lost_its_core_leaves);
    tcase_add_test(core, a_dismissed_member_has_not_lost_its_core);
    tcase_add_test(core, a_shared_product_has_the_same_bits);
    suite_add_tcase(suite, core);
    return suite;
}
