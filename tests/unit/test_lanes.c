/* Who of a lane's riders rides next: clients in turn, by their weights, however many riders each has. */
#include <check.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/scheduler/lanes.h"

Suite *lanes_suite(void);

enum { N = 40 };

static struct lanes lanes;
static struct lane *lane;
static struct sequence riders[N];

static void setup(void)
{
    memset(riders, 0, sizeof riders);
    lane = lanes_open(&lanes, NULL);
    ck_assert_ptr_nonnull(lane);
}

static void teardown(void)
{
    lanes_release(&lanes);
}

/* Seat riders[first..first + n). */
static void seat(size_t first, size_t n, uint32_t client, uint32_t weight)
{
    for (size_t i = first; i < first + n; i++) {
        riders[i].client = client;
        riders[i].weight = weight;
        ck_assert(lane_seat(lane, &riders[i]));
    }
}

static void expect(const size_t *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) ck_assert_uint_eq((size_t)(lane_pop(lane) - riders), expected[i]);
}

START_TEST(clients_give_a_rider_each_in_turn)
{
    seat(0, 4, 1, 0);
    seat(4, 2, 2, 0);
    seat(6, 1, 3, 1);
    static const size_t expected[] = {0, 4, 6, 1, 5, 2, 3};
    ck_assert_uint_eq(lane->n, 7);
    expect(expected, 7);
    ck_assert_uint_eq(lane->n, 0);
    ck_assert_ptr_null(lane_pop(lane));
}
END_TEST

START_TEST(a_client_gives_as_many_as_its_weight_says)
{
    seat(0, 7, 1, 3);
    seat(7, 3, 2, 1);
    static const size_t expected[] = {0, 1, 2, 7, 3, 4, 5, 8, 6, 9};
    expect(expected, 10);
}
END_TEST

/* The clients fill seats by their weights: a rider of four seats is as good as four of one. */
START_TEST(a_rider_of_several_seats_counts_as_so_many)
{
    seat(0, 2, 1, 0);
    seat(2, 6, 2, 0);
    riders[0].seats = riders[1].seats = 4;
    lane->n_seats += 6;
    static const size_t expected[] = {0, 2, 3, 4, 5, 1, 6, 7};
    ck_assert_uint_eq(lane->n_seats, 14);
    expect(expected, 8);
    ck_assert_uint_eq(lane->n_seats, 0);
}
END_TEST

/* A rider that does not fit is put back, and is the first of the next turn with the same credit as before. */
START_TEST(a_rider_that_is_put_back_is_the_next)
{
    struct sequence_list back = {0};
    seat(0, 1, 1, 0);
    seat(1, 3, 2, 0);
    riders[0].seats = 3;
    lane->n_seats += 2;
    for (int i = 0; i < 5; i++) {
        list_push(&back, lane_pop(lane));
        ck_assert_ptr_eq(back.head, &riders[0]);
        lane_put_back(lane, &back);
        ck_assert_uint_eq(lane->n_seats, 6);
    }
    static const size_t expected[] = {0, 1, 2, 3};
    expect(expected, 4);
}
END_TEST

/* A turn of two seats: the next one goes on with the client whose turn was cut, and where it was cut. */
START_TEST(a_turn_goes_on_where_the_last_one_ended)
{
    seat(0, 3, 1, 3);
    seat(3, 3, 2, 1);
    static const size_t expected[][2] = {{0, 1}, {2, 3}, {0, 1}, {2, 4}};
    for (size_t i = 0; i < 4; i++) {
        expect(expected[i], 2);
        for (size_t k = 0; k < 2; k++) ck_assert(lane_seat(lane, &riders[expected[i][k]]));
        lane_tidy(lane);
    }
}
END_TEST

START_TEST(what_is_put_back_is_next_in_the_same_order)
{
    seat(0, 5, 1, 3);
    seat(5, 5, 2, 1);
    static const size_t served[] = {0, 1}, expected[] = {2, 5, 3, 4, 6, 7, 8, 9};
    expect(served, 2);
    struct sequence_list back = {0};
    while (back.n < 3) list_push(&back, lane_pop(lane));
    lane_put_back(lane, &back);
    ck_assert_uint_eq(back.n, 0);
    ck_assert_uint_eq(lane->n, 8);
    expect(expected, 8);
}
END_TEST

START_TEST(a_client_without_riders_is_forgotten_and_the_turn_is_kept)
{
    seat(0, 1, 1, 0);
    seat(1, 2, 2, 0);
    seat(3, 2, 3, 0);
    static const size_t before[] = {0, 1}, after[] = {3, 2, 4};
    expect(before, 2);
    lane_tidy(lane);
    ck_assert_uint_eq(lane->n_clients, 2);
    expect(after, 3);
    lane_tidy(lane);
    ck_assert_uint_eq(lane->n_clients, 0);
}
END_TEST

/* Lanes that are opened again use the memory of those that were closed. */
START_TEST(a_closed_lane_leaves_the_others_and_its_memory)
{
    static const char networks[3]; /* only their addresses are compared */
    const struct network *other = (const void *)&networks[1], *another = (const void *)&networks[2];
    for (size_t i = 0; i < 2; i++) {
        lane = lanes_open(&lanes, i ? another : other);
        seat(i, 1, 1, 0);
    }
    uint64_t before = memory_allocations();
    lane = lanes_find(&lanes, other);
    ck_assert_uint_eq((size_t)(lane_pop(lane) - riders), 0);
    lanes_close(&lanes, lane);
    ck_assert_ptr_null(lanes_find(&lanes, other));
    lane = lanes_open(&lanes, other);
    ck_assert_uint_eq(lane->n, 0);
    seat(0, 1, 2, 0);
    ck_assert_uint_eq(memory_allocations(), before);
    ck_assert_uint_eq((size_t)(lane_pop(lanes_find(&lanes, another)) - riders), 1);
}
END_TEST

START_TEST(without_memory_a_new_client_finds_no_seat_and_the_others_keep_theirs)
{
    size_t n = 0;
    memory_fail_at(1);
    riders[N - 1].client = N;
    ck_assert(!lane_seat(lane, &riders[N - 1]));
    memory_fail_at(0);
    do seat(n, 1, (uint32_t)n, 0);
    while (++n < lane->room);
    memory_fail_at(1);
    ck_assert(!lane_seat(lane, &riders[N - 1]));
    memory_fail_at(0);
    ck_assert_uint_eq(lane->n, n);
    for (size_t i = 0; i < n; i++) ck_assert_uint_eq((size_t)(lane_pop(lane) - riders), i);
}
END_TEST

Suite *lanes_suite(void)
{
    Suite *suite = suite_create("lanes");
    TCase *turns = tcase_create("turns");
    tcase_add_checked_fixture(turns, setup, teardown);
    tcase_add_test(turns, clients_give_a_rider_each_in_turn);
    tcase_add_test(turns, a_client_gives_as_many_as_its_weight_says);
    tcase_add_test(turns, a_rider_of_several_seats_counts_as_so_many);
    tcase_add_test(turns, a_rider_that_is_put_back_is_the_next);
    tcase_add_test(turns, a_turn_goes_on_where_the_last_one_ended);
    tcase_add_test(turns, what_is_put_back_is_next_in_the_same_order);
    tcase_add_test(turns, a_client_without_riders_is_forgotten_and_the_turn_is_kept);
    tcase_add_test(turns, a_closed_lane_leaves_the_others_and_its_memory);
    tcase_add_test(turns, without_memory_a_new_client_finds_no_seat_and_the_others_keep_theirs);
    suite_add_tcase(suite, turns);
    return suite;
}
