/* series: values to steps, outputs to distributions: docs/bundle-format.md, "forecast". Pure; any thread.
 *
 * Values x are a series' own, z = (x - mean) / scale what the network sees; a missing value (NaN) becomes
 * the z before it, or 0 at the start. All in double up to the float that enters the network. */
#ifndef CAROUSEL_MODELS_SERIES_H
#define CAROUSEL_MODELS_SERIES_H

#include "models/jobs/random.h"
#include "models/forecast/forecast_spec.h"
#include "models/forecast/rules.h"

/* How many of n values are not read, because context_length values follow them. */
size_t series_skipped(const struct forecast_spec *spec, size_t n);

/* The scale of values[0..n) by scaling_measure: n >= 1, at least one not missing. */
struct series_scale series_scale_of(const struct forecast_spec *spec, const double *values, size_t n);

/* z[0..n) of values[0..n), holes filled. */
void series_scaled(const struct series_scale *scale, const double *values, size_t n, double *z);

/* The scaled rows of a series that has several (models/forecast/columns.h). */
struct series_columns {
    size_t width;  /* values of a row, those that are known ahead included */
    double *z;     /* [n_columns, width] */
    bool *missing; /* [n_columns, width] */
};

/* What a step can look back on: z[first..first + n_read) of the values read, then a path's own z. */
struct series_past {
    const double *read; /* [n_read] */
    size_t n_read;
    const double *path; /* path[i] is z[first + n_read + i] */
    size_t first;       /* values before these, at which no step looks back */
    const struct series_columns *columns; /* NULL: the series is all there is */
};

/* Return true if one of values[0..n) is missing. */
bool series_has_holes(const double *values, size_t n);

/* z[t - lag], or 0 before the start. */
double series_z(const struct series_past *past, size_t t, size_t lag);

/* The inputs of step t, whose z and all before it are in the past: features [n_inputs]. A feature
 * too large for float becomes the greatest float. */
void series_step(const struct forecast_spec *spec, const struct series_scale *scale,
                 const struct series_past *past, size_t t, bool missing, float *features);

/* Go on with a series: z[0..n_before) are there, of which z[0] is that of step `first`. Write z[n_before..)
 * of values[0..n) and the steps of them: features [n, n_inputs]. `columns` may be NULL if no input reads
 * one. */
void series_go_on(const struct forecast_spec *spec, const struct series_scale *scale, size_t first,
                  size_t n_before, const double *values, size_t n, const struct series_columns *columns,
                  double *z, float *features);

/* Write z[0..n) of values[0..n) and the steps of them: features [n, n_inputs]. */
void series_features(const struct forecast_spec *spec, const struct series_scale *scale,
                     const double *values, size_t n, double *z, float *features);

/* Return true, and the rule that the last RULES_WINDOW of z[0..n) follow in their own units. */
bool series_rule(const struct series_scale *scale, const double *z, size_t n, struct rule *out);
/* z[t] by the rule. */
double series_rule_next(const struct rule *rule, const struct series_scale *scale,
                        const struct series_past *past, size_t t);

/* The distribution of z[t + 1]. */
struct series_distribution {
    enum forecast_output kind;
    double location;             /* except for quantiles */
    double scale, df;            /* normal, student_t; df: student_t */
    const double *levels;        /* [n_levels] ascending, the spec's */
    size_t n_levels;
    double at[FORECAST_MAX_LEVELS]; /* z at each level, ascending */
};

/* How many inputs and outputs the network must have. */
size_t series_n_inputs(const struct forecast_spec *spec);
size_t series_n_outputs(const struct forecast_spec *spec);

/* From the network's outputs after step t. */
void series_distribution_read(const struct forecast_spec *spec, const struct series_past *past,
                              size_t t, const float *outputs, struct series_distribution *out);

/* The point that the mean path goes on with: the location, or the median of quantiles. */
double series_distribution_mean(const struct series_distribution *distribution);
double series_distribution_draw(const struct series_distribution *distribution,
                                struct random *random);

/* The inverse distribution function given by the values at[0..n_levels) of ascending levels: linear
 * between levels; the outermost lines go on. A single level stands for all. */
double series_level(const double *levels, const double *at, size_t n_levels, double level);

/* The q-th quantile of sorted[0..n), n >= 1: linear between the two nearest, at (n - 1) q, as numpy's
 * default (type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", 1996). */
double series_quantile(const double *sorted, size_t n, double q);

#endif
