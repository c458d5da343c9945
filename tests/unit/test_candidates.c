/* season and candidates: seasons that are found or told, what each method foretells against numbers from
 * numpy, errors so far, holes, and what the outputs of a network mean. */
#include "models/forecast/candidates.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { N_LONG = 400 };

/* Noise that is the same everywhere: -1 to 1. */
static double noise(size_t t)
{
    uint32_t x = (uint32_t)t * 2654435761u;
    x ^= x >> 15, x *= 2246822519u, x ^= x >> 13;
    return (double)x / 2147483648.0 - 1;
}

static struct season found(const double *values, size_t n, size_t given)
{
    struct season season;
    double *scratch = memory_new(season_scratch(n), sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    season_find(values, n, given, scratch, &season);
    memory_free(scratch);
    return season;
}

/* The caller frees. */
static void *made(const double *values, size_t n, size_t season, size_t horizon, struct candidates *out)
{
    void *memory = memory_new(candidates_bytes(n, horizon), 1);
    ck_assert_ptr_nonnull(memory);
    candidates_make(values, n, season, horizon, memory, out);
    return memory;
}

/* ---- seasons ---- */

static double wave(size_t t) { return sin(6.283185307179586 * (double)t / 24); }
static double noisy_wave(size_t t) { return 50 + 4 * sin(6.283185307179586 * (double)t / 12) + noise(t); }
static double pulse(size_t t) { return t % 24 == 7 ? 9 : 1; }
static double odd_cycle(size_t t) { return (double)(t % 11 * (t % 11)) + (double)t; }
static double line(size_t t) { return (double)t; }
static double flat(size_t t) { return t > 1000 ? 1 : 7; }
static double random_steps(size_t t)
{
    double sum = 100;
    for (size_t i = 0; i < t; i++) sum += noise(i);
    return sum;
}
static double week_of_days(size_t t)
{
    return 20 + 5 * wave(t) + (t % 168 / 24 > 4 ? 4 : 0) + 0.3 * noise(t);
}

static const struct {
    double (*at)(size_t t);
    size_t n, given, periods[2];
} seasons[] = {
    {wave, 72, 0, {24, 0}},       {noisy_wave, 96, 0, {12, 0}}, {pulse, 72, 0, {24, 0}},
    {odd_cycle, 80, 0, {11, 0}},  {line, 50, 0, {0, 0}},        {flat, 50, 0, {0, 0}},
    {random_steps, 200, 0, {0, 0}}, {week_of_days, 400, 0, {24, 168}},
    {noisy_wave, 96, 1, {0, 0}},  {random_steps, 60, 7, {7, 0}}, {wave, 30, 24, {0, 0}},
    {wave, 3, 0, {0, 0}},         {wave, 1, 12, {0, 0}},        {wave, N_LONG, SEASON_LONGEST + 1, {0, 0}},
};

START_TEST(a_season_is_found_or_told)
{
    double values[N_LONG];
    size_t n = seasons[_i].n;
    for (size_t t = 0; t < n; t++) values[t] = seasons[_i].at(t);
    struct season season = found(values, n, seasons[_i].given);
    size_t first = season.n_periods > 0 ? season.periods[0] : 0;
    size_t second = season.n_periods > 1 ? season.periods[1] : 0;
    ck_assert_uint_eq(first, seasons[_i].periods[0]);
    ck_assert_uint_eq(second, seasons[_i].periods[1]);
}
END_TEST

START_TEST(a_pattern_repeats_and_has_no_level)
{
    double values[60], pattern[60 + 24], *scratch = memory_new(season_scratch(60), sizeof *scratch);
    const struct season season = {1, {12}};
    ck_assert_ptr_nonnull(scratch);
    for (size_t t = 0; t < 60; t++) values[t] = 3 * (double)t + 5 * wave(2 * t);
    season_pattern(values, 60, &season, 24, scratch, pattern);
    for (size_t t = 0; t < 84; t++) ck_assert_double_eq_tol(pattern[t], 5 * wave(2 * t), 1e-9);
    memory_free(scratch);
}
END_TEST

/* ---- methods ---- */

static const double sixteen[16] = {10, 14, 9, 13, 11, 15, 8, 12, 13, 16, 11, 14, 15, 12, 17, 13};

/* From numpy: the same formulas on sixteen[] and on its logarithms. */
static const double foretold[N_CANDIDATES][3] = {
    {13, 13, 13}, {13.2, 13.4, 13.6}, {13.5250146862, 13.5250146862, 13.5250146862},
    {14.1002656159, 14.2186479689, 14.3370303218}, {14.7000283754, 14.8102081205, 14.9093698911},
    {14.5331944092, 14.6919649025, 14.8507353959}, {12.6875, 12.6875, 12.6875},
    {14.7, 14.9367647059, 15.1735294118}, {13, 13, 13}, {13, 13, 13},
    {13.2293825743, 13.4628125613, 13.7003613768}, {13.3317836114, 13.3317836114, 13.3317836114},
    {13.9760564392, 14.112457596, 14.2501899777}, {14.5270694114, 14.6533595301, 14.7679590657},
    {14.5210205342, 14.7201415198, 14.9219929724}, {12.4439245528, 12.4439245528, 12.4439245528},
    {14.6778836602, 14.9657831978, 15.2593297445}, {13, 13, 13},
};

START_TEST(methods_give_the_numbers_of_numpy)
{
    struct candidates c;
    void *memory = made(sixteen, 16, 1, 3, &c);
    for (size_t k = 0; k < N_CANDIDATES; k++)
        for (size_t lead = 0; lead < 3; lead++)
            ck_assert_double_eq_tol(c.paths[k * 3 + lead], foretold[k][lead], 1e-9);
    ck_assert_double_eq_tol(c.errors[CANDIDATE_DRIFT * 3], 3.7638469863469863, 1e-9);
    ck_assert_double_eq_tol(c.errors[CANDIDATE_DRIFT * 3 + 1], 3.1415324871207226, 1e-9);
    ck_assert_double_eq(c.errors[CANDIDATE_DRIFT * 3 + 1], c.errors[CANDIDATE_DRIFT * 3 + 2]);
    memory_free(memory);
}
END_TEST

/* Two values grow by a line at most: a ratio of two is no rule. */
START_TEST(two_values_do_not_explode)
{
    const double values[] = {1, 100};
    struct candidates c;
    void *memory = made(values, 2, 0, 12, &c);
    for (size_t i = 0; i < N_CANDIDATES * 12; i++) ck_assert_double_le(c.paths[i], 100 + 12 * 99);
    memory_free(memory);
}
END_TEST

START_TEST(exact_methods_are_exact)
{
    double rising[20], growing[20];
    struct candidates c;
    for (size_t t = 0; t < 20; t++) rising[t] = (double)t, growing[t] = 100 * pow(1.05, (double)t);
    void *memory = made(rising, 20, 0, 30, &c);
    ck_assert(!c.has_logarithms);
    ck_assert_double_eq_tol(c.paths[CANDIDATE_DRIFT * 30 + 29], 49, 1e-9);
    ck_assert_double_eq_tol(c.errors[CANDIDATE_DRIFT * 30 + 29] / c.unit, 1e-7 * pow(1.4, 0), 1e-6);
    ck_assert_double_gt(c.errors[CANDIDATE_LAST * 30], 0.9);
    memory_free(memory);
    memory = made(growing, 20, 0, 12, &c);
    size_t drift = N_CANDIDATE_METHODS + CANDIDATE_DRIFT;
    ck_assert(c.has_logarithms);
    ck_assert_double_eq_tol(c.paths[drift * 12 + 11], 100 * pow(1.05, 31), 1e-6);
    memory_free(memory);
}
END_TEST

/* A line from five values, and the outputs of a network that would rather have the mean: the line is
 * followed, and the network's spread counts a quarter after three tests. */
START_TEST(what_never_erred_is_followed_alone)
{
    static const double rising[] = {1, 2, 3, 4, 5}, levels[] = {0.1, 0.5, 0.9};
    struct candidates c;
    float outputs[N_CANDIDATES + 1 + 3] = {0};
    double at[3];
    void *memory = made(rising, 5, 0, 24, &c);
    ck_assert_uint_eq(c.n_exact, 3);
    for (size_t k = 0; k < N_CANDIDATES; k++) outputs[k] = k == CANDIDATE_MEAN ? 6 : -6;
    outputs[N_CANDIDATES] = -30;
    outputs[N_CANDIDATES + 1] = -1, outputs[N_CANDIDATES + 2] = 1, outputs[N_CANDIDATES + 3] = 2;
    candidates_read(&c, 23, outputs, levels, 3, at);
    double spread = c.errors[CANDIDATE_MEAN * 24 + 23] / 4;
    ck_assert_double_eq_tol(at[1], 29, 1e-6);
    ck_assert_double_eq_tol(at[0], 29 - 2 * spread, 0.01 * spread);
    ck_assert_double_eq_tol(at[2], 29 + spread, 0.01 * spread);
    memory_free(memory);
    memory = made(sixteen, 16, 1, 3, &c);
    ck_assert_uint_eq(c.n_exact, 0);
    memory_free(memory);
}
END_TEST

/* From each origin before the spike, the last value is right four steps later. */
START_TEST(an_error_falls_at_most_to_a_third)
{
    static const double spike[] = {5, 5, 5, 5, 50, 5, 5, 5};
    struct candidates c;
    void *memory = made(spike, 8, 0, 8, &c);
    const double *last = c.errors + CANDIDATE_LAST * 8;
    ck_assert_double_eq_tol(last[0], 15, 1e-9);
    for (size_t lead = 1; lead < 8; lead++) ck_assert_double_ge(last[lead], last[lead - 1] / 3 - 1e-9);
    ck_assert_uint_eq(c.n_exact, 0);
    memory_free(memory);
}
END_TEST

START_TEST(holes_are_bridged)
{
    double values[48];
    struct candidates c;
    for (size_t t = 0; t < 48; t++) values[t] = 10 + pulse(t + 20);
    values[0] = values[13] = values[30] = values[47] = (double)NAN;
    void *memory = made(values, 48, 24, 24, &c);
    for (size_t t = 0; t < 24; t++) {
        ck_assert(isfinite(c.paths[CANDIDATE_SMOOTH * 24 + t]));
        ck_assert_double_eq_tol(c.values[t], 10 + pulse(t + 20), 4);
    }
    ck_assert(c.missing[0] && c.missing[47] && !c.missing[1]);
    memory_free(memory);
    memory = made((const double[]){(double)NAN, 4, (double)NAN, 8, (double)NAN}, 5, 0, 2, &c);
    ck_assert_double_eq(c.values[0], 4);
    ck_assert_double_eq(c.values[2], 6);
    ck_assert_double_eq(c.values[4], 8);
    memory_free(memory);
}
END_TEST

/* Short, flat and extreme series give finite numbers, whatever the horizon. */
START_TEST(every_number_is_finite)
{
    static const double odd[][6] = {{7}, {0, 0}, {1, 1e300}, {-1e-300, 0, 0}, {0, 0, 5, 0, 0, 0},
                                    {1e-200, 1e200, 1, 1e200, 2, 1e-200}};
    static const size_t sizes[] = {1, 2, 2, 3, 6, 6};
    struct candidates c;
    size_t horizon = _i % 2 ? 1 : 300, n = sizes[_i / 2], steps = (n < 4 ? n : 4) + horizon;
    void *memory = made(odd[_i / 2], n, 0, horizon, &c);
    float *features = memory_new(steps * CANDIDATE_INPUTS, sizeof *features);
    ck_assert_ptr_nonnull(features);
    candidates_features(&c, 4, features);
    for (size_t i = 0; i < steps * CANDIDATE_INPUTS; i++) ck_assert(isfinite(features[i]));
    for (size_t i = 0; i < N_CANDIDATES * horizon; i++) ck_assert(c.errors[i] > 0 && isfinite(c.errors[i]));
    memory_free(features);
    memory_free(memory);
}
END_TEST

/* ---- outputs ---- */

static const double thirds[] = {0.25, 0.5, 0.75};

START_TEST(outputs_weigh_candidates)
{
    struct candidates c;
    float outputs[N_CANDIDATES + 1 + 3] = {0};
    double at[3];
    void *memory = made(sixteen, 16, 1, 3, &c);
    for (size_t k = 0; k < N_CANDIDATES; k++) outputs[k] = k == CANDIDATE_LINE ? 100 : 0;
    outputs[N_CANDIDATES] = -30; /* past errors do not matter */
    outputs[N_CANDIDATES + 1] = 2, outputs[N_CANDIDATES + 2] = -1, outputs[N_CANDIDATES + 3] = 0;
    candidates_read(&c, 1, outputs, thirds, 3, at);
    double line_at = c.paths[CANDIDATE_LINE * 3 + 1], error = c.errors[CANDIDATE_LINE * 3 + 1];
    ck_assert_double_eq_tol(at[0], line_at - error, 1e-9);
    ck_assert_double_eq_tol(at[1], line_at, 1e-9);
    ck_assert_double_eq_tol(at[2], line_at + 2 * error, 1e-9);
    memory_free(memory);
}
END_TEST

START_TEST(demands_are_not_negative)
{
    const double demands[] = {0, 3, 0, 0, 2, 0, 0, 1};
    struct candidates c;
    float outputs[N_CANDIDATES + 1 + 2] = {0};
    double at[2];
    void *memory = made(demands, 8, 0, 1, &c);
    outputs[N_CANDIDATES + 1] = -50, outputs[N_CANDIDATES + 2] = 50;
    candidates_read(&c, 0, outputs, thirds, 2, at);
    ck_assert(c.floor);
    ck_assert_double_eq(at[0], 0);
    ck_assert_double_gt(at[1], 0);
    memory_free(memory);
}
END_TEST

START_TEST(intervals_widen_around_the_median)
{
    struct candidates c = {.floor = false};
    const double levels[] = {0.1, 0.4, 0.6, 0.9};
    double at[] = {-2, 1, 3, 10}, demands[] = {0.5, 1, 3, 10};
    candidates_widen(&c, 1.5, levels, 4, at);
    const double expected[] = {-4, 0.5, 3.5, 14};
    for (size_t q = 0; q < 4; q++) ck_assert_double_eq_tol(at[q], expected[q], 1e-12);
    c.floor = true;
    candidates_widen(&c, 2, levels, 4, demands);
    ck_assert_double_eq(demands[0], 0);
    ck_assert_double_eq_tol(demands[3], 18, 1e-12);
}
END_TEST

Suite *candidates_suite(void);

Suite *candidates_suite(void)
{
    Suite *suite = suite_create("candidates");
    TCase *season = tcase_create("season");
    tcase_add_loop_test(season, a_season_is_found_or_told, 0, (int)(sizeof seasons / sizeof *seasons));
    tcase_add_test(season, a_pattern_repeats_and_has_no_level);
    suite_add_tcase(suite, season);
    TCase *methods = tcase_create("methods");
    tcase_add_test(methods, methods_give_the_numbers_of_numpy);
    tcase_add_test(methods, exact_methods_are_exact);
    tcase_add_test(methods, what_never_erred_is_followed_alone);
    tcase_add_test(methods, an_error_falls_at_most_to_a_third);
    tcase_add_test(methods, two_values_do_not_explode);
    tcase_add_test(methods, holes_are_bridged);
    tcase_add_loop_test(methods, every_number_is_finite, 0, 12);
    suite_add_tcase(suite, methods);
    TCase *outputs = tcase_create("outputs");
    tcase_add_test(outputs, outputs_weigh_candidates);
    tcase_add_test(outputs, demands_are_not_negative);
    tcase_add_test(outputs, intervals_widen_around_the_median);
    suite_add_tcase(suite, outputs);
    return suite;
}
