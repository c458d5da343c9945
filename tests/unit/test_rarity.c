/* rarity: made-up scores beside a plain computation in Python (tests/unit/bundles/make_rarity.py), what is
 * always true of a rarity, and that the bounded past forgets. */
#include "models/forecast/rarity.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

static double next_uniform(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return ((double)(*x >> 8) + 0.5) / 16777216.0;
}

static double restless(double u, size_t i)
{
    (void)i;
    return 0.8 * u / (1 - u);
}

static double calm(double u, size_t i)
{
    return i % 211 == 210 ? 4 * u : 0;
}

static double stepped(double u, size_t i)
{
    (void)i;
    return floor(12 * u) / 4;
}

static double shifted(double u, size_t i)
{
    return u * (i < 1500 ? 1 : 6);
}

static const struct {
    const char *name;
    double (*score)(double u, size_t i);
} streams[] = {{"restless", restless}, {"calm", calm}, {"stepped", stepped}, {"shifted", shifted}};
enum { N_STREAMS = sizeof streams / sizeof *streams };

static size_t stream_called(const char *name)
{
    for (size_t i = 0; i < N_STREAMS; i++)
        if (!strcmp(streams[i].name, name)) return i;
    ck_abort_msg("no stream is called %s", name);
    return 0;
}

/* Walk through one stream with one room, beside the file's lines of it. */
static size_t check_stream(size_t stream, size_t room)
{
    FILE *file = fopen("tests/unit/bundles/rarity.txt", "r");
    struct rarity *past = rarity_new(room);
    uint32_t x = 1;
    size_t at = 0, n_checked = 0, its_room, i;
    double expected;
    char name[32];
    ck_assert(file && past);
    while (fscanf(file, "%31s %zu %zu %lf", name, &its_room, &i, &expected) == 4) {
        if (stream_called(name) != stream || its_room != room) continue;
        for (; at < i; at++) rarity_add(past, streams[stream].score(next_uniform(&x), at));
        uint32_t here = x;
        double found = rarity_of(past, streams[stream].score(next_uniform(&here), i));
        if (isnan(expected)) ck_assert(isnan(found));
        else ck_assert_double_eq_tol(found, expected, 1e-11 * (1 + expected));
        n_checked++;
    }
    fclose(file);
    rarity_free(past);
    return n_checked;
}

START_TEST(rarities_are_those_of_a_plain_computation)
{
    size_t n = 0;
    for (size_t stream = 0; stream < N_STREAMS; stream++)
        n += check_stream(stream, 64) + check_stream(stream, RARITY_PAST);
    ck_assert_uint_eq(n, 944); /* the lines of the file */
}
END_TEST

/* Scores of all sizes, in ascending order. */
static double ladder(size_t i)
{
    return i == 0 ? 0 : pow(10, -3 + 0.01 * (double)i);
}

START_TEST(a_rarity_never_falls_and_its_reach_is_where_it_passes)
{
    struct rarity *past = rarity_new(1000);
    uint32_t x = 1;
    for (size_t i = 0; i < 1700; i++) rarity_add(past, streams[_i].score(next_uniform(&x), i));
    double before = 0;
    for (size_t i = 0; i < 1200; i++) {
        double rarity = rarity_of(past, ladder(i));
        ck_assert_double_ge(rarity, before - 1e-12);
        before = rarity;
    }
    for (double level = 0.31; level < 12; level += 0.1) {
        double reach = rarity_reach(past, level);
        ck_assert_double_le(rarity_of(past, reach), level + 1e-9);
        ck_assert_double_gt(rarity_of(past, reach * (1 + 1e-6) + 1e-9), level);
    }
    ck_assert_double_le(rarity_reach(past, 1e6), 1e100);
    rarity_free(past);
}
END_TEST

/* If a share is a whole number of scores, what is beyond the reach is rarer than the level, and only that. */
START_TEST(the_reach_is_where_the_count_passes)
{
    static const double shares[] = {0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001};
    for (size_t n = RARITY_LEAST; n <= RARITY_PAST; n += 25) {
        struct rarity *past = rarity_new(n);
        for (size_t i = 0; i < n; i++) rarity_add(past, 2 + (double)i);
        for (size_t k = 0; k < sizeof shares / sizeof *shares; k++) {
            double level = -log10(shares[k]), reach = rarity_reach(past, level);
            for (size_t i = 0; i < n; i++) {
                double score = 2 + (double)i;
                ck_assert_msg((rarity_of(past, score) > level) == (score > reach),
                              "%zu scores, share %g: %g, but the reach is %g", n, shares[k], score, reach);
            }
        }
        rarity_free(past);
    }
}
END_TEST

START_TEST(a_reach_is_never_beyond_what_it_may_be)
{
    struct rarity *past = rarity_new(RARITY_LEAST);
    for (size_t i = 0; i < RARITY_LEAST; i++) rarity_add(past, 1e308);
    for (double level = 0.5; level < 20; level += 0.5) ck_assert_double_le(rarity_reach(past, level), 1e100);
    rarity_free(past);
}
END_TEST

START_TEST(a_short_past_knows_nothing)
{
    struct rarity *past = rarity_new(RARITY_LEAST);
    for (size_t i = 0; i < RARITY_LEAST; i++) {
        ck_assert(isnan(rarity_of(past, 5)) && isnan(rarity_reach(past, 2)));
        rarity_add(past, 0);
    }
    ck_assert_double_gt(rarity_of(past, 5), 1);
    rarity_free(past);
}
END_TEST

/* A series that grows restless: a score is rare at first, and no longer once it has been seen often. */
START_TEST(what_happens_often_is_no_longer_rare)
{
    struct rarity *past = rarity_new(500);
    uint32_t x = 1;
    for (size_t i = 0; i < 500; i++) rarity_add(past, next_uniform(&x));
    double first = rarity_of(past, 30);
    ck_assert_double_gt(first, 3);
    for (size_t i = 0; i < 20; i++) rarity_add(past, 30);
    double later = rarity_of(past, 30);
    ck_assert_double_lt(later, 2);
    for (size_t i = 0; i < 500; i++) rarity_add(past, next_uniform(&x));
    ck_assert_double_eq_tol(rarity_of(past, 30), first, 0.01); /* forgotten */
    rarity_free(past);
}
END_TEST

START_TEST(no_memory_leaves_nothing_behind)
{
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth);
        ck_assert_ptr_null(rarity_new(10));
    }
    memory_fail_at(0);
    rarity_free(NULL);
}
END_TEST

Suite *rarity_suite(void);

Suite *rarity_suite(void)
{
    Suite *suite = suite_create("rarity");
    TCase *cases = tcase_create("core");
    tcase_add_test(cases, rarities_are_those_of_a_plain_computation);
    tcase_add_loop_test(cases, a_rarity_never_falls_and_its_reach_is_where_it_passes, 0, N_STREAMS);
    tcase_add_test(cases, the_reach_is_where_the_count_passes);
    tcase_add_test(cases, a_reach_is_never_beyond_what_it_may_be);
    tcase_add_test(cases, a_short_past_knows_nothing);
    tcase_add_test(cases, what_happens_often_is_no_longer_rare);
    tcase_add_test(cases, no_memory_leaves_nothing_behind);
    suite_add_tcase(suite, cases);
    return suite;
}
