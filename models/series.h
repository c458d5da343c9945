/* series: values to steps, outputs to distributions: docs/bundle-format.md, "forecast". Pure; any thread. */
#ifndef CAROUSEL_MODELS_SERIES_H
#define CAROUSEL_MODELS_SERIES_H

#include "models/model.h"

/* z = (x - mean) / scale */
struct series_scale {
    double mean, scale;
};

/* The scale of values[0..n), NaN where missing: n >= 1, at least one not missing. */
struct series_scale series_scale_of(const struct forecast_spec *spec, const double *values, size_t n);

/* The steps of values[0..n) (n <= context_length): features [n, n_inputs]. */
void series_features(const struct forecast_spec *spec, const struct series_scale *scale,
                     const double *values, size_t n, float *features);

#endif
