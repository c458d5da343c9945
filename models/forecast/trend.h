/* trend: what TiRex-2 does around its network (arXiv 2607.01204; the constants are those of its package).
 *
 * A series with a trend is read as differences: the first is 0, and one beside a missing value is missing.
 * What the network then foretells are differences, which are summed up from the last value. The distances of
 * the levels from the median are independent from step to step, so their squares are summed up. Distances of
 * any series may be made wider or narrower by a `width` of the spec. Pure; any thread. */
#ifndef CAROUSEL_MODELS_TREND_H
#define CAROUSEL_MODELS_TREND_H

#include "models/forecast/forecast_spec.h"

/* Return true if values[0..n), NaN if missing, have a trend: four of them are there at least, and a line
 * explains the part spec->trend_r2 of their variance. */
bool trend_is_there(const struct forecast_spec *spec, const double *values, size_t n);

/* Write the differences of values[0..n) to out[0..n). Return the last value that is there, or 0. */
double trend_differences(const double *values, size_t n, double *out);

/* The levels at[horizon, n_levels] as the network gave them, to those of the series, ascending: widths, and
 * with `trends` sums of the differences from `last` on. */
void trend_finish(const struct forecast_spec *spec, bool trends, double last, double *at, size_t horizon);

#endif
