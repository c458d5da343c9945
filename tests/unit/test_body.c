/* Memory of bodies and answers: what a client may hold of the total, and how a body takes it. */
#include "server/request/body.h"

#include <check.h>
#include <string.h>

Suite *body_suite(void);

enum { LIMIT = 16 << 20, PIECE = 1 << 20, N = 32 };

static struct body_total total;
static struct holding holdings[N];
static struct problem problem;

static void setup(void)
{
    body_total_open(&total, LIMIT, "limits.bodies_bytes");
    memset(holdings, 0, sizeof holdings);
    problem = (struct problem){0};
}

static void teardown(void)
{
    ck_assert_int_eq(atomic_load(&total.bytes), 0);
    body_total_close(&total);
}

static bool hold(size_t i, uint32_t client, size_t bytes)
{
    holdings[i].client = client;
    return body_total_hold(&total, &holdings[i], bytes, &problem);
}

static void give_all(void)
{
    for (size_t i = 0; i < N; i++) body_total_give(&total, &holdings[i]);
}

/* The second client's number falls into the row of the first. */
START_TEST(one_client_gets_half_and_each_other_one_finds_room)
{
    size_t n = 0;
    while (n < N && hold(n, 1, PIECE)) n++;
    ck_assert_uint_eq(n, LIMIT / PIECE / 2);
    ck_assert_int_eq(problem.fault, FAULT_NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(problem.message, "limits.bodies_bytes"));
    ck_assert(hold(n, 1 + BODY_ROWS, LIMIT / 2 - PIECE));
    ck_assert(hold(n + 1, 3, PIECE));
    ck_assert(!hold(n + 2, 4, PIECE));
    body_total_give(&total, &holdings[n]);
    ck_assert(hold(n + 2, 4, PIECE));
    give_all();
}
END_TEST

START_TEST(the_first_of_a_client_may_take_all_that_is_free)
{
    ck_assert(hold(0, 1, LIMIT / 2));
    ck_assert(hold(0, 1, LIMIT));
    ck_assert(!hold(0, 1, LIMIT + 1));
    ck_assert_int_eq(atomic_load(&total.bytes), LIMIT);
    ck_assert(!hold(1, 2, BODY_SMALL_BYTES + 1));
    give_all();
}
END_TEST

START_TEST(what_is_small_always_finds_room)
{
    ck_assert(hold(0, 1, LIMIT));
    for (size_t i = 1; i < N; i++) ck_assert(hold(i, (uint32_t)i % 2, BODY_SMALL_BYTES));
    ck_assert_int_eq(atomic_load(&total.bytes), LIMIT + (N - 1) * BODY_SMALL_BYTES);
    give_all();
}
END_TEST

START_TEST(an_announced_body_takes_its_length_and_never_more)
{
    struct body body = {.room.client = 1};
    static const char bytes[1000] = {0};
    ck_assert(body_reserve(&body, &total, 2500, &problem));
    for (size_t i = 0; i < 2; i++) ck_assert(body_append(&body, &total, bytes, 1000, &problem));
    ck_assert(body_append(&body, &total, bytes, 500, &problem));
    ck_assert_int_eq(atomic_load(&total.bytes), 2500);
    ck_assert_uint_eq(body.n, 2500);
    body_release(&body, &total);
}
END_TEST

START_TEST(a_body_without_a_length_grows_and_keeps_what_it_has)
{
    struct body body = {.room.client = 1};
    ck_assert(hold(0, 2, LIMIT - (128 << 10)));
    size_t n = 0;
    while (body_append(&body, &total, (const char[]){(char)n, 1, 2, 3}, 4, &problem)) n++;
    ck_assert_int_eq(problem.fault, FAULT_NO_MEMORY);
    ck_assert_uint_eq(4 * n, 128 << 10);
    ck_assert_uint_eq(body.n, 4 * n);
    for (size_t i = 0; i < n; i++) ck_assert_int_eq(body.bytes[4 * i], (char)i);
    body_release(&body, &total);
    give_all();
}
END_TEST

Suite *body_suite(void)
{
    Suite *suite = suite_create("body");
    TCase *cases = tcase_create("memory");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, one_client_gets_half_and_each_other_one_finds_room);
    tcase_add_test(cases, the_first_of_a_client_may_take_all_that_is_free);
    tcase_add_test(cases, what_is_small_always_finds_room);
    tcase_add_test(cases, an_announced_body_takes_its_length_and_never_more);
    tcase_add_test(cases, a_body_without_a_length_grows_and_keeps_what_it_has);
    suite_add_tcase(suite, cases);
    return suite;
}
