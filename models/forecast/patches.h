/* patches: a series in pieces of patch_length values, for a network that reads and foretells a piece a step
 * (output type "patches" of docs/bundle-format.md). Pure; any thread.
 *
 * A step is [2 patch_length]: the scaled values, 0 for one that is missing, then 1 for each value that is
 * there and 0 for one that is missing. The output of a step tells of the patch that comes after it, so a
 * horizon of k patches is the context and k - 1 patches with nothing there. */
#ifndef CAROUSEL_MODELS_PATCHES_H
#define CAROUSEL_MODELS_PATCHES_H

#include "models/forecast/series.h"

/* Patches in which n values are read; n <= context_length, >= 1. */
size_t patches_read(const struct forecast_spec *spec, size_t n);

/* Patches of a horizon, >= 1. */
size_t patches_ahead(const struct forecast_spec *spec, size_t horizon);

/* How a series is read. */
struct patch_reading {
    struct series_scale scale; /* of the values, or of their differences */
    bool trends;               /* read as differences */
    double last;               /* if so, the value that they go on from */
};

/* How values[0..n) are read; n >= 1, at least one not missing. If they have a trend, `differences` [n], which
 * may be NULL if the spec has no trend, receives what to give patches_features() in their place. */
struct patch_reading patches_reading(const struct forecast_spec *spec, const double *values, size_t n,
                                     double *differences);

/* The steps of values[0..n) (NaN if missing) and of `ahead` patches to come: features
 * [patches_read + ahead - 1, 2 patch_length]. What is missing of the first patch lies before its values. */
void patches_features(const struct forecast_spec *spec, const struct series_scale *scale,
                      const double *values, size_t n, size_t ahead, float *features);

/* The same for n_steps steps, of which those behind the values read hold the n_known values after them:
 * values[0..n + n_known), features [n_steps, 2 patch_length]. */
void patches_steps(const struct forecast_spec *spec, const struct series_scale *scale, const double *values,
                   size_t n, size_t n_known, size_t n_steps, float *features);

/* The levels [n_levels] of value `i` of a patch, from the outputs [n_levels, patch_length] of the step before
 * it. They may cross until trend_finish() has all of them. */
void patches_levels(const struct forecast_spec *spec, const struct series_scale *scale, size_t i,
                    const float *outputs, double *at);

#endif
