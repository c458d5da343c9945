/* The team: every task reaches every member once, and a shared product has the bits of a lonely one. */
#define _DEFAULT_SOURCE /* usleep */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/team.h"

Suite *team_suite(void);

enum { MEMBERS = 4 };

struct member {
    pthread_t thread;
    struct team *team;
    size_t seat;
};

static void *member_main(void *argument)
{
    struct member *member = argument;
    team_join(member->team, member->seat);
    return NULL;
}

static void members_start(struct team *team, struct member *members, size_t n)
{
    team_open(team);
    for (size_t i = 1; i < n; i++) {
        members[i] = (struct member){.team = team, .seat = i};
        ck_assert_int_eq(pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
    }
}

static void members_stop(struct team *team, struct member *members, size_t n)
{
    team_dismiss(team);
    for (size_t i = 1; i < n; i++) pthread_join(members[i].thread, NULL);
}

/* Plain fields on purpose: the team itself must order them. */
struct tally {
    size_t runs[MEMBERS], n_members;
};

static void tally_task(void *argument, size_t member, size_t n_members)
{
    struct tally *tally = argument;
    tally->runs[member]++;
    if (member == 0) tally->n_members = n_members;
}

START_TEST(each_task_runs_once_on_each_who_is_there)
{
    static struct team team;
    struct member members[MEMBERS];
    struct tally tally = {0};
    size_t expected = 0;
    members_start(&team, members, MEMBERS);
    for (int full = 0; full < 100; full += tally.n_members == MEMBERS) {
        team_run(&team, tally_task, &tally);
        expected += tally.n_members;
        if (full == 0) usleep(100); /* they begin when the machine lets them */
    }
    members_stop(&team, members, MEMBERS);
    size_t runs = 0;
    for (size_t i = 0; i < MEMBERS; i++) runs += tally.runs[i];
    ck_assert_uint_eq(runs, expected);
}
END_TEST

START_TEST(a_team_without_members_is_its_leader)
{
    static struct team team;
    struct tally tally = {0};
    team_run(&team, tally_task, &tally);
    ck_assert_uint_eq(tally.runs[0], 1);
    ck_assert_uint_eq(tally.n_members, 1);
}
END_TEST

START_TEST(members_come_back_after_a_dismissal)
{
    static struct team team;
    struct member members[2];
    for (int round = 0; round < 20; round++) {
        struct tally tally = {0};
        members_start(&team, members, 2);
        while (tally.runs[1] < 3) {
            team_run(&team, tally_task, &tally);
            usleep(100);
        }
        members_stop(&team, members, 2);
        team_run(&team, tally_task, &tally);
        ck_assert_uint_eq(tally.n_members, 1);
    }
}
END_TEST

START_TEST(a_shared_product_has_the_same_bits)
{
    enum { N = 777, K = 300, R = 5 };
    static struct team team;
    struct member members[MEMBERS];
    float *W = memory_new(N * K, sizeof *W), *x = memory_new(R * K, sizeof *x);
    float *alone = memory_new(R * N, sizeof *alone), *shared = memory_new(R * N, sizeof *shared);
    for (size_t i = 0; i < N * K; i++) W[i] = (float)((i * 7919) % 1000) / 500.0f - 1.0f;
    for (size_t i = 0; i < R * K; i++) x[i] = (float)((i * 104729) % 1000) / 500.0f - 1.0f;
    struct matrix *matrix = NULL;
    ck_assert_int_eq(matrix_new(W, NULL, N, K, PRECISION_FLOAT32, &matrix), STATUS_OK);
    struct operand A = {.values = x, .values_stride = K};
    matrix_multiply(matrix, R, &A, &(struct target){.C = alone, .stride = N});
    members_start(&team, members, MEMBERS);
    struct tally tally = {0};
    for (; tally.n_members < MEMBERS; usleep(100)) team_run(&team, tally_task, &tally);
    for (int i = 0; i < 200; i++) { /* all members have part in each of them */
        memset(shared, 0, R * N * sizeof *shared);
        team_multiply(&team, matrix, R, &A, &(struct target){.C = shared, .stride = N});
        ck_assert_mem_eq(alone, shared, R * N * sizeof *shared);
    }
    members_stop(&team, members, MEMBERS);
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
    tcase_add_test(core, each_task_runs_once_on_each_who_is_there);
    tcase_add_test(core, a_team_without_members_is_its_leader);
    tcase_add_test(core, members_come_back_after_a_dismissal);
    tcase_add_test(core, a_shared_product_has_the_same_bits);
    suite_add_tcase(suite, core);
    return suite;
}
