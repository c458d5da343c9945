#include "models/series.h"

#include <float.h>
#include <math.h>

static const double smallest_divisor = 1e-6; /* of a ratio; smaller ones give 0 */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* ln(1 + e^x) without overflow. */
static double softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

/* ---- values to steps ---- */

/* Mean absolute value, or mean and standard deviation (divided by n), of what is there. */
struct series_scale series_scale_of(const struct forecast_spec *spec, const double *values, size_t n)
{
    if (spec->scaling == SCALING_NONE) return (struct series_scale){.mean = 0, .scale = 1};
    if (spec->scaling == SCALING_CONSTANT)
        return (struct series_scale){.mean = spec->mean, .scale = spec->scale};
    double sum = 0, sum_abs = 0, squares = 0;
    size_t n_there = 0;
    for (size_t t = 0; t < n; t++) {
        if (isnan(values[t])) continue;
        sum += values[t];
        sum_abs += fabs(values[t]);
        n_there++;
    }
    struct series_scale scale = {.mean = 0, .scale = sum_abs / (double)n_there};
    if (spec->scaling == SCALING_STANDARD) {
        scale.mean = sum / (double)n_there;
        for (size_t t = 0; t < n; t++)
            if (!isnan(values[t])) squares += (values[t] - scale.mean) * (values[t] - scale.mean);
        scale.scale = sqrt(squares / (double)n_there);
    }
    if (scale.scale < spec->minimum) scale.scale = spec->minimum;
    return scale;
}

void series_scaled(const struct series_scale *scale, const double *values, size_t n, double *z)
{
    for (size_t t = 0; t < n; t++) {
        if (!isnan(values[t]))
            z[t] = (values[t] - scale->mean) / scale->scale;
        else
            z[t] = t > 0 ? z[t - 1] : 0;
    }
}

/* z[t - lag], or 0 before the start. */
static double z_at(const struct series_past *past, size_t t, size_t lag)
{
    if (t < lag) return 0;
    size_t i = t - lag;
    return i < past->n_read ? past->read[i] : past->path[i - past->n_read];
}

static bool has_ratio(const struct series_past *past, size_t t)
{
    return t > 0 && fabs(z_at(past, t, 1)) >= smallest_divisor;
}

/* z[t]^2 / z[t - 1], which goes on a geometric series. */
static double geometric(const struct series_past *past, size_t t)
{
    if (!has_ratio(past, t)) return 0;
    double now = z_at(past, t, 0), before = z_at(past, t, 1);
    double limit = 64 * fmax(fabs(now), fabs(before));
    return clamp(now * (now / before), -limit, limit);
}

static double basis_value(enum forecast_basis kind, size_t lag, const struct series_past *past,
                          size_t t)
{
    const double z = z_at(past, t, 0), z1 = z_at(past, t, 1);
    switch (kind) {
    case BASIS_LAG: return z_at(past, t, lag);
    case BASIS_LINEAR: return 2 * z - z1;
    case BASIS_QUADRATIC: return 3 * z - 3 * z1 + z_at(past, t, 2);
    case BASIS_SUM: return z + z1;
    case BASIS_GEOMETRIC: return geometric(past, t);
    case BASIS_ONE: return 1;
    }
    return 0;
}

/* How many values basis_value looks at. */
static size_t basis_span(enum forecast_basis kind, size_t lag)
{
    if (kind == BASIS_LAG) return lag + 1;
    if (kind == BASIS_ONE) return 1;
    return kind == BASIS_QUADRATIC ? 3 : 2;
}

/* How well basis term k foretold z[t]: 1 exactly, 0 no better than the size of the numbers. */
static double basis_error(const struct forecast_spec *spec, size_t k,
                          const struct series_past *past, size_t t)
{
    if (t < basis_span(spec->basis[k].kind, spec->basis[k].lag)) return 0;
    double z = z_at(past, t, 0), size = fabs(z) + fabs(z_at(past, t, 1)) + 1e-6;
    double foretold = basis_value(spec->basis[k].kind, spec->basis[k].lag, past, t - 1);
    return clamp(-log10(fabs(z - foretold) / size + 1e-5) / 5, -1, 1);
}

static double input_value(const struct forecast_spec *spec, size_t input,
                          const struct series_scale *scale, const struct series_past *past,
                          size_t t, bool missing)
{
    const double z = z_at(past, t, 0);
    const size_t lag = spec->inputs[input].lag;
    switch (spec->inputs[input].kind) {
    case INPUT_VALUE: return z;
    case INPUT_MISSING: return missing ? 1 : 0;
    case INPUT_DIFFERENCE: return t > 0 ? z - z_at(past, t, 1) : 0;
    case INPUT_RATIO: return has_ratio(past, t) ? clamp(z / z_at(past, t, 1), -8, 8) : 0;
    case INPUT_ASINH: return asinh(z);
    case INPUT_LOG_SCALE: return log(scale->scale);
    case INPUT_POSITION: return (double)(t < 64 ? t : 64) / 64;
    case INPUT_LAG: return z_at(past, t, lag);
    case INPUT_ERROR: return basis_error(spec, lag, past, t);
    }
    return 0;
}

void series_step(const struct forecast_spec *spec, const struct series_scale *scale,
                 const struct series_past *past, size_t t, bool missing, float *features)
{
    for (size_t i = 0; i < spec->n_inputs; i++) {
        double value = input_value(spec, i, scale, past, t, missing);
        features[i] = (float)clamp(value, -FLT_MAX, FLT_MAX);
    }
}

void series_features(const struct forecast_spec *spec, const struct series_scale *scale,
                     const double *values, size_t n, float *features)
{
    double z[FORECAST_MAX_CONTEXT];
    series_scaled(scale, values, n, z);
    const struct series_past past = {.read = z, .n_read = n};
    for (size_t t = 0; t < n; t++)
        series_step(spec, scale, &past, t, isnan(values[t]), features + t * spec->n_inputs);
}

/* ---- outputs to distributions ---- */

static size_t n_locations(const struct forecast_spec *spec)
{
    if (spec->output == OUTPUT_QUANTILES) return spec->n_levels;
    return spec->n_basis > 0 ? spec->n_basis : 1;
}

size_t series_n_outputs(const struct forecast_spec *spec)
{
    size_t more = spec->output == OUTPUT_NORMAL ? 1 : spec->output == OUTPUT_STUDENT_T ? 2 : 0;
    return n_locations(spec) + more;
}

static double location(const struct forecast_spec *spec, const struct series_past *past, size_t t,
                       const float *outputs)
{
    if (spec->n_basis == 0) return (double)outputs[0];
    double sum = 0, weights = 0, greatest = -DBL_MAX;
    for (size_t k = 0; k < spec->n_basis; k++) greatest = fmax(greatest, (double)outputs[k]);
    for (size_t k = 0; k < spec->n_basis; k++) {
        double weight = spec->softmax ? exp((double)outputs[k] - greatest) : (double)outputs[k];
        weights += weight;
        sum += weight * basis_value(spec->basis[k].kind, spec->basis[k].lag, past, t);
    }
    return spec->softmax ? sum / weights : sum;
}

static void sort(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double moving = x[i];
        size_t at = i;
        for (; at > 0 && x[at - 1] > moving; at--) x[at] = x[at - 1];
        x[at] = moving;
    }
}

void series_distribution_read(const struct forecast_spec *spec, const struct series_past *past,
                              size_t t, const float *outputs, struct series_distribution *out)
{
    const double residual = spec->residual_last ? z_at(past, t, 0) : 0;
    out->kind = spec->output;
    if (spec->output == OUTPUT_QUANTILES) {
        out->levels = spec->levels;
        out->n_levels = spec->n_levels;
        for (size_t i = 0; i < spec->n_levels; i++) out->at[i] = (double)outputs[i] + residual;
        sort(out->at, spec->n_levels);
        return;
    }
    const float *rest = outputs + n_locations(spec);
    out->location = location(spec, past, t, outputs) + residual;
    if (spec->output != OUTPUT_MEAN) out->scale = softplus((double)rest[0]) + 1e-6;
    if (spec->output == OUTPUT_STUDENT_T) out->df = 2 + softplus((double)rest[1]);
}

/* The inverse distribution function: linear between levels, the outermost lines go on. */
static double inverse(const struct series_distribution *d, double level)
{
    if (d->n_levels == 1) return d->at[0];
    size_t i = 0;
    while (i + 2 < d->n_levels && level > d->levels[i + 1]) i++;
    double slope = (d->at[i + 1] - d->at[i]) / (d->levels[i + 1] - d->levels[i]);
    return d->at[i] + (level - d->levels[i]) * slope;
}

double series_distribution_mean(const struct series_distribution *distribution)
{
    if (distribution->kind == OUTPUT_QUANTILES) return inverse(distribution, 0.5);
    return distribution->location;
}

double series_distribution_draw(const struct series_distribution *distribution,
                                struct random *random)
{
    const struct series_distribution *d = distribution;
    switch (d->kind) {
    case OUTPUT_MEAN: return d->location;
    case OUTPUT_NORMAL: return d->location + d->scale * random_normal(random);
    case OUTPUT_STUDENT_T: return d->location + d->scale * random_student_t(random, d->df);
    case OUTPUT_QUANTILES: return inverse(d, random_uniform(random));
    }
    return d->location;
}

/* Between a and b from the nearer end, so that equal ends give exactly themselves, as numpy does. */
double series_quantile(const double *sorted, size_t n, double q)
{
    double at = (double)(n - 1) * q;
    size_t i = (size_t)at;
    if (i + 1 >= n) return sorted[n - 1];
    double part = at - (double)i, a = sorted[i], b = sorted[i + 1];
    return part < 0.5 ? a + (b - a) * part : b - (b - a) * (1 - part);
}
