/* patches: values to steps, and outputs to levels. */
#include "models/forecast/patches.h"

#include <float.h>
#include <math.h>
#include <string.h>

size_t patches_read(const struct forecast_spec *spec, size_t n)
{
    if (spec->full_context) n = spec->context_length;
    return (n + spec->patch_length - 1) / spec->patch_length;
}

size_t patches_ahead(const struct forecast_spec *spec, size_t horizon)
{
    return (horizon + spec->patch_length - 1) / spec->patch_length;
}

void patches_features(const struct forecast_spec *spec, const struct series_scale *scale,
                      const double *values, size_t n, size_t ahead, float *features)
{
    size_t p = spec->patch_length, steps = patches_read(spec, n), before = steps * p - n;
    memset(features, 0, (steps + ahead - 1) * 2 * p * sizeof *features);
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i])) continue;
        size_t at = before + i;
        float *step = features + at / p * 2 * p + at % p;
        double z = (values[i] - scale->mean) / scale->scale;
        step[0] = (float)fmin(fmax(z, (double)-FLT_MAX), (double)FLT_MAX);
        step[p] = 1.0f;
    }
}

void patches_levels(const struct forecast_spec *spec, const struct series_scale *scale, size_t i,
                    const float *outputs, double *at)
{
    for (size_t q = 0; q < spec->n_levels; q++) {
        double value = (double)outputs[q * spec->patch_length + i] * scale->scale + scale->mean;
        size_t place = q; /* levels may cross: the smaller value belongs to the lower one */
        for (; place > 0 && at[place - 1] > value; place--) at[place] = at[place - 1];
        at[place] = value;
    }
}
