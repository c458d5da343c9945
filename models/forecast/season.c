#include "models/forecast/season.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Common rhythms, in steps: tried whether or not the autocorrelation points at them. */
static const size_t usual[] = {4, 5, 6, 7, 8, 10, 12, 13, 14, 24, 26, 28,
                               30, 48, 52, 96, 144, 168, 288, 336, 365};
enum { N_USUAL = sizeof usual / sizeof *usual, N_PEAKS = 8 };

static const double RECENCY = 0.75;     /* the weight of a cycle beside the next one's */
static const double COST_USUAL = 0.5;  /* the share of log(n) that a degree of freedom costs */
static const double COST_OTHER = 2.5;
static const double COST_WEEK = 0.2;   /* of a period of seven of the first: a week beside a day */
static const double MULTIPLE = 1.5;    /* the gain that a multiple of a period must have over it */

size_t season_scratch(size_t n)
{
    return 3 * n + 2 * (SEASON_LONGEST + 1);
}

/* Average one whole cycle around each value: trend[half..n - half). */
static void centred_average(const double *values, size_t n, size_t period, double *trend)
{
    size_t half = period / 2;
    double even = period % 2 == 0 ? 0.5 : 0;
    for (size_t t = half; t + half < n; t++) {
        double sum = 0;
        if (t > half && t % 64 != 0) {
            sum = trend[t - 1] * (double)period;
            sum += even > 0 ? 0.5 * (values[t + half] + values[t + half - 1]) -
                                  0.5 * (values[t - half] + values[t - half - 1])
                            : values[t + half] - values[t - half - 1];
        } else {
            for (size_t i = t - half; i <= t + half; i++) sum += values[i];
            sum -= even * (values[t - half] + values[t + half]);
        }
        trend[t] = sum / (double)period;
    }
}

/* Measure the mean deviation of each phase from the moving average, recent cycles first, shrunk towards
 * nought by the share of its variance that noise explains (James and Stein): index[0..period). */
static void measure(const double *values, size_t n, size_t period, double *trend, double *index)
{
    size_t half = period / 2, first = half, end = n - half;
    double noise = 0, signal = 0, mean = 0, spent = 0, cycles = 0;
    centred_average(values, n, period, trend);
    for (size_t phase = 0; phase < period; phase++) {
        double weight = 1, sum = 0, weights = 0, squares = 0, power = 0, count = 0;
        size_t last = end - 1 - (end - 1 - phase % period + period * n) % period;
        for (size_t t = last + period; t >= first + period; t -= period, weight *= RECENCY) {
            double d = values[t - period] - trend[t - period];
            sum += weight * d, weights += weight, power += weight * weight;
            squares += weight * d * d, count += 1;
        }
        index[phase] = weights > 0 ? sum / weights : 0;
        mean += index[phase] / (double)period;
        if (count < 2) continue;
        double effective = weights * weights / power;
        noise += fmax(0, squares / weights - index[phase] * index[phase]) / (effective - 1);
        spent += 1, cycles += effective;
    }
    for (size_t phase = 0; phase < period; phase++) {
        index[phase] -= mean;
        signal += index[phase] * index[phase] / (double)period;
    }
    double share = spent > 0 && signal > 0 ? fmax(0, 1 - noise / spent / signal) : 1;
    for (size_t phase = 0; phase < period; phase++) index[phase] *= share;
}

/* Return the smallest mean square of simple smoothing's one-step errors on values - index, over four
 * strengths. */
static double smoothing_error(const double *values, size_t n, const double *index, size_t period)
{
    static const double strengths[] = {0.05, 0.2, 0.5, 1};
    double level[4], sum[4] = {0}, least = INFINITY;
    for (size_t k = 0; k < 4; k++) level[k] = values[0] - (period ? index[0] : 0);
    for (size_t t = 1; t < n; t++) {
        double a = values[t] - (period ? index[t % period] : 0);
        for (size_t k = 0; k < 4; k++) {
            double error = a - level[k];
            level[k] += strengths[k] * error;
            sum[k] += error * error;
        }
    }
    for (size_t k = 0; k < 4; k++) least = fmin(least, sum[k] / (double)(n - 1));
    return least;
}

/* Return the gain in likelihood of a season of `period`, less what its degrees of freedom cost; above 0:
 * believe it. */
static double gain_of(const double *values, size_t n, size_t period, double cost, double plain, double *trend,
                      double *index)
{
    measure(values, n, period, trend, index);
    double with = smoothing_error(values, n, index, period), count = (double)n;
    if (!(plain > 0)) return 0;
    double ratio = fmax(with / plain, 1e-12);
    double few = count / fmax(count - (double)period - 1, 1);
    return -count * log(ratio) - cost * (double)(period - 1) * log(count) * few * few;
}

/* Measure the autocorrelations of the differences, lags 2..longest: correlation[0..longest]. */
static void correlate(const double *values, size_t n, size_t longest, double *differences,
                      double *correlation)
{
    for (size_t t = 1; t < n; t++) differences[t] = values[t] - values[t - 1];
    for (size_t lag = 1; lag <= longest; lag++) {
        double sum = 0;
        for (size_t t = lag + 1; t < n; t++) sum += differences[t] * differences[t - lag];
        correlation[lag] = sum / (double)(n - lag);
    }
}

struct search {
    double best;
    size_t period;
};

static void consider(struct search *search, const double *values, size_t n, size_t period, double cost,
                     double plain, double *trend, double *index)
{
    double gain = gain_of(values, n, period, cost, plain, trend, index);
    bool is_multiple = search->period > 0 && period % search->period == 0;
    if (gain > search->best * (is_multiple ? MULTIPLE : 1)) *search = (struct search){gain, period};
}

/* Return the best period of all that are usual or that the autocorrelation points at; 0: none is believed. */
static size_t first_period(const double *values, size_t n, double *scratch)
{
    size_t longest = n / 2 < SEASON_LONGEST ? n / 2 : SEASON_LONGEST;
    double *trend = scratch, *differences = scratch + n, *index = scratch + 3 * n;
    double *correlation = index + SEASON_LONGEST + 1;
    double plain = smoothing_error(values, n, NULL, 0);
    struct search search = {0, 0};
    for (size_t i = 0; i < N_USUAL && usual[i] <= longest; i++)
        consider(&search, values, n, usual[i], COST_USUAL, plain, trend, index);
    if (longest < 3) return search.period;
    correlate(values, n, longest, differences, correlation);
    for (size_t round = 0; round < N_PEAKS; round++) {
        size_t peak = 0;
        for (size_t lag = 2; lag < longest; lag++)
            if (correlation[lag] > 0 && correlation[lag] >= correlation[lag - 1] &&
                correlation[lag] >= correlation[lag + 1] &&
                (!peak || correlation[lag] > correlation[peak] * (1 + 1e-9)))
                peak = lag;
        if (!peak) break;
        consider(&search, values, n, peak, COST_OTHER, plain, trend, index);
        correlation[peak] = -1;
    }
    return search.period;
}

/* Return the best usual period that is a multiple of `base` in what is left of the values without base; 0:
 * none. */
static size_t second_period(const double *values, size_t n, size_t base, double *scratch)
{
    double *trend = scratch, *rest = scratch + 2 * n, *index = scratch + 3 * n;
    struct search search = {0, 0};
    measure(values, n, base, trend, index);
    for (size_t t = 0; t < n; t++) rest[t] = values[t] - index[t % base];
    double plain = smoothing_error(rest, n, NULL, 0);
    for (size_t i = 0; i < N_USUAL && usual[i] <= n / 2; i++)
        if (usual[i] > base && usual[i] % base == 0)
            consider(&search, rest, n, usual[i], usual[i] == 7 * base ? COST_WEEK : COST_USUAL, plain, trend,
                     index);
    return search.period;
}

void season_find(const double *values, size_t n, size_t given, double *scratch, struct season *out)
{
    *out = (struct season){0};
    if (given == 1 || n < 4) return;
    size_t period = given > 1 ? given : first_period(values, n, scratch);
    if (period < 2 || period > SEASON_LONGEST || n < 2 * period) return;
    out->periods[out->n_periods++] = period;
    period = second_period(values, n, period, scratch);
    if (period > 0) out->periods[out->n_periods++] = period;
}

void season_pattern(const double *values, size_t n, const struct season *season, size_t horizon,
                    double *scratch, double *pattern)
{
    double *trend = scratch, *rest = scratch + 2 * n, *index = scratch + 3 * n;
    memcpy(rest, values, n * sizeof *rest);
    memset(pattern, 0, (n + horizon) * sizeof *pattern);
    for (size_t i = 0; i < season->n_periods; i++) {
        size_t period = season->periods[i];
        measure(rest, n, period, trend, index);
        for (size_t t = 0; t < n; t++) rest[t] -= index[t % period];
        for (size_t t = 0; t < n + horizon; t++) pattern[t] += index[t % period];
    }
}
