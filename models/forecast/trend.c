#include "models/forecast/trend.h"

#include <math.h>

enum { LEAST_VALUES = 4 };
static const double least_deviation = 1e-12; /* a series that moves less is constant */

bool trend_is_there(const struct forecast_spec *spec, const double *values, size_t n)
{
    double n_there = 0, sum_t = 0, sum_x = 0, tt = 0, xx = 0, tx = 0;
    if (!(spec->trend.scale > 0)) return false;
    for (size_t t = 0; t < n; t++) {
        if (isnan(values[t])) continue;
        n_there++;
        sum_t += (double)t;
        sum_x += values[t];
    }
    if (n_there < LEAST_VALUES) return false;
    for (size_t t = 0; t < n; t++) {
        if (isnan(values[t])) continue;
        double dt = (double)t - sum_t / n_there, dx = values[t] - sum_x / n_there;
        tt += dt * dt;
        xx += dx * dx;
        tx += dt * dx;
    }
    if (sqrt(xx / (n_there - 1)) < least_deviation) return false;
    return tx / tt * (tx / xx) >= spec->trend_r2;
}

double trend_differences(const double *values, size_t n, double *out)
{
    double last = 0;
    for (size_t t = n; t-- > 1;) out[t] = values[t] - values[t - 1];
    out[0] = 0;
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t])) last = values[t];
    return last;
}

static size_t median_of(const struct forecast_spec *spec)
{
    size_t q = 0;
    while (q + 1 < spec->n_levels && spec->levels[q] < 0.5 - 1e-9) q++;
    return q;
}

static double factor(const struct width *width, size_t t)
{
    return sqrt(width->scale) * pow((double)(t + 1), width->exponent - 0.5);
}

/* Sum one level of a series of differences up. Its side of the median is that of most of its distances. */
static void sum_level(const struct forecast_spec *spec, double last, size_t q, double *at, size_t horizon)
{
    size_t N = spec->n_levels, median = median_of(spec);
    double side = 0, squares = 0, sum = 0;
    for (size_t t = 0; t < horizon; t++) side += at[t * N + q] - at[t * N + median];
    side = (side > 0) - (side < 0);
    for (size_t t = 0; t < horizon; t++) {
        double distance = at[t * N + q] - at[t * N + median];
        squares += distance * distance;
        sum += at[t * N + median];
        at[t * N + q] = last + sum + side * sqrt(squares) * factor(&spec->trend, t);
    }
}

static void sort(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double moving = x[i];
        size_t place = i;
        for (; place > 0 && x[place - 1] > moving; place--) x[place] = x[place - 1];
        x[place] = moving;
    }
}

void trend_finish(const struct forecast_spec *spec, bool trends, double last, double *at, size_t horizon)
{
    size_t N = spec->n_levels, median = median_of(spec);
    for (size_t q = 0; q < N && trends; q++)
        if (q != median) sum_level(spec, last, q, at, horizon);
    if (trends) sum_level(spec, last, median, at, horizon); /* at the end, because all others read it */
    for (size_t t = 0; t < horizon; t++) {
        double *row = at + t * N, by = trends || !(spec->band.scale > 0) ? 1 : factor(&spec->band, t);
        double middle = row[median];
        for (size_t q = 0; q < N && by != 1; q++) row[q] = middle + by * (row[q] - middle);
        sort(row, N);
    }
}
