/* patches: values to steps, and outputs to levels. */
#include "models/forecast/patches.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "models/forecast/trend.h"

static const double largest_squashed = 20; /* as in TiRex-2: sinh(20) is 2.4e8 deviations */

size_t patches_read(const struct forecast_spec *spec, size_t n)
{
    if (spec->full_context) n = spec->context_length;
    return (n + spec->patch_length - 1) / spec->patch_length;
}

size_t patches_ahead(const struct forecast_spec *spec, size_t horizon)
{
    return (horizon + spec->patch_length - 1) / spec->patch_length;
}

struct patch_reading patches_reading(const struct forecast_spec *spec, const double *values, size_t n,
                                     double *differences)
{
    struct patch_reading reading = {.trends = trend_is_there(spec, values, n)};
    if (reading.trends) reading.last = trend_differences(values, n, differences);
    reading.scale = series_scale_of(spec, reading.trends ? differences : values, n);
    return reading;
}

void patches_features(const struct forecast_spec *spec, const struct series_scale *scale,
                      const double *values, size_t n, size_t ahead, float *features)
{
    patches_steps(spec, scale, values, n, 0, patches_read(spec, n) + ahead - 1, features);
}

void patches_steps(const struct forecast_spec *spec, const struct series_scale *scale, const double *values,
                   size_t n, size_t n_known, size_t n_steps, float *features)
{
    size_t p = spec->patch_length, before = patches_read(spec, n) * p - n;
    memset(features, 0, n_steps * 2 * p * sizeof *features);
    for (size_t i = 0; i < n + n_known; i++) {
        if (isnan(values[i])) continue;
        size_t at = before + i;
        float *step = features + at / p * 2 * p + at % p;
        double z = (values[i] - scale->mean) / scale->scale;
        if (scale->squashes) z = asinh(z);
        step[0] = (float)fmin(fmax(z, (double)-FLT_MAX), (double)FLT_MAX);
        step[p] = 1.0f;
    }
}

void patches_levels(const struct forecast_spec *spec, const struct series_scale *scale, size_t i,
                    const float *outputs, double *at)
{
    for (size_t q = 0; q < spec->n_levels; q++) {
        double z = (double)outputs[q * spec->patch_length + i];
        if (scale->squashes) z = sinh(fmin(fmax(z, -largest_squashed), largest_squashed));
        at[q] = z * scale->scale + scale->mean;
    }
}
