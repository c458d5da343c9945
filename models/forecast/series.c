#include "models/forecast/series.h"

#include <float.h>
#include <math.h>

#include "models/forecast/candidates.h"

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

size_t series_skipped(const struct forecast_spec *spec, size_t n)
{
    return n > spec->context_length ? n - spec->context_length : 0;
}

struct series_scale series_scale_of(const struct forecast_spec *spec, const double *values, size_t n)
{
    return scaling_measure(&spec->scaling, values, n);
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

double series_z(const struct series_past *past, size_t t, size_t lag)
{
    if (t < lag + past->first) return 0;
    size_t i = t - lag - past->first;
    return i < past->n_read ? past->read[i] : past->path[i - past->n_read];
}

static bool has_ratio(const struct series_past *past, size_t t)
{
    return t > 0 && fabs(series_z(past, t, 1)) >= smallest_divisor;
}

/* z[t]^2 / z[t - 1], which goes on a geometric series. */
static double geometric(const struct series_past *past, size_t t)
{
    if (!has_ratio(past, t)) return 0;
    double now = series_z(past, t, 0), before = series_z(past, t, 1);
    double limit = 64 * fmax(fabs(now), fabs(before));
    return clamp(now * (now / before), -limit, limit);
}

static double basis_value(enum forecast_basis kind, size_t lag, const struct series_past *past,
                          size_t t)
{
    const double z = series_z(past, t, 0), z1 = series_z(past, t, 1);
    switch (kind) {
    case BASIS_LAG: return series_z(past, t, lag);
    case BASIS_LINEAR: return 2 * z - z1;
    case BASIS_QUADRATIC: return 3 * z - 3 * z1 + series_z(past, t, 2);
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
    double z = series_z(past, t, 0), size = fabs(z) + fabs(series_z(past, t, 1)) + 1e-6;
    double foretold = basis_value(spec->basis[k].kind, spec->basis[k].lag, past, t - 1);
    return clamp(-log10(fabs(z - foretold) / size + 1e-5) / 5, -1, 1);
}

/* An input that reads a column at step t. What lies before the first value is 0, and not missing. */
static double column_value(const struct forecast_spec *spec, size_t input, const struct series_past *past,
                           size_t t)
{
    size_t column = spec->inputs[input].column, lag = spec->inputs[input].lag;
    bool of_missing = spec->inputs[input].kind == INPUT_COLUMN_MISSING;
    if (t < lag) return 0;
    bool walks = spec->columns[column].role == COLUMN_TARGET && spec->output != OUTPUT_HORIZONS;
    if (!past->columns || (walks && !of_missing)) return of_missing ? 0 : series_z(past, t, lag);
    size_t at = column * past->columns->width + t - lag + spec->inputs[input].lead;
    return of_missing ? past->columns->missing[at] : past->columns->z[at];
}

static double input_value(const struct forecast_spec *spec, size_t input,
                          const struct series_scale *scale, const struct series_past *past,
                          size_t t, bool missing)
{
    const double z = series_z(past, t, 0);
    const size_t lag = spec->inputs[input].lag;
    switch (spec->inputs[input].kind) {
    case INPUT_VALUE: return z;
    case INPUT_MISSING: return missing ? 1 : 0;
    case INPUT_DIFFERENCE: return t > 0 ? z - series_z(past, t, 1) : 0;
    case INPUT_RATIO: return has_ratio(past, t) ? clamp(z / series_z(past, t, 1), -8, 8) : 0;
    case INPUT_ASINH: return asinh(z);
    case INPUT_LOG_SCALE: return log(scale->scale);
    case INPUT_POSITION: return (double)(t < 64 ? t : 64) / 64;
    case INPUT_LAG: return series_z(past, t, lag);
    case INPUT_ERROR: return basis_error(spec, lag, past, t);
    case INPUT_COLUMN:
    case INPUT_COLUMN_MISSING: return column_value(spec, input, past, t);
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

void series_go_on(const struct forecast_spec *spec, const struct series_scale *scale, size_t first,
                  size_t n_before, const double *values, size_t n, const struct series_columns *columns,
                  double *z, float *features)
{
    const struct series_past past = {.read = z, .n_read = n_before + n, .first = first, .columns = columns};
    double *now = z + n_before;
    series_scaled(scale, values, n, now);
    for (size_t t = 0; t < n && isnan(values[t]); t++) /* holes that follow an earlier part */
        if (n_before > 0) now[t] = z[n_before - 1];
    for (size_t t = 0; t < n; t++)
        series_step(spec, scale, &past, first + n_before + t, isnan(values[t]),
                    features + t * spec->n_inputs);
}

void series_features(const struct forecast_spec *spec, const struct series_scale *scale,
                     const double *values, size_t n, double *z, float *features)
{
    series_go_on(spec, scale, 0, 0, values, n, NULL, z, features);
}

/* ---- rules ---- */

bool series_has_holes(const double *values, size_t n)
{
    size_t t = 0;
    while (t < n && !isnan(values[t])) t++;
    return t < n;
}

/* The value that z stands for, as it was sent. */
static double sent(const struct series_scale *scale, double z)
{
    return rules_round(z * scale->scale + scale->mean);
}

bool series_rule(const struct series_scale *scale, const double *z, size_t n, struct rule *out)
{
    double x[RULES_WINDOW];
    size_t first = n > RULES_WINDOW ? n - RULES_WINDOW : 0;
    for (size_t t = first; t < n; t++) x[t - first] = sent(scale, z[t]);
    return rules_find(x, n - first, out);
}

double series_rule_next(const struct rule *rule, const struct series_scale *scale,
                        const struct series_past *past, size_t t)
{
    double last[RULES_SPAN];
    for (size_t k = 0; k < rules_span(rule); k++) last[k] = sent(scale, series_z(past, t - 1, k));
    return (rules_round(rules_next(rule, last)) - scale->mean) / scale->scale;
}

/* ---- outputs to distributions ---- */

static size_t n_locations(const struct forecast_spec *spec)
{
    if (spec->output == OUTPUT_QUANTILES) return spec->n_levels;
    if (spec->output == OUTPUT_CANDIDATES) return N_CANDIDATES + 1 + spec->n_levels;
    if (spec->output == OUTPUT_PATCHES) return spec->n_levels * spec->patch_length;
    if (spec->output == OUTPUT_HORIZONS)
        return spec->horizon * forecast_n_targets(spec) * (spec->n_levels ? spec->n_levels : 1);
    return spec->n_basis > 0 ? spec->n_basis : 1;
}

size_t series_n_inputs(const struct forecast_spec *spec)
{
    if (spec->output == OUTPUT_PATCHES) return 2 * spec->patch_length;
    return spec->output == OUTPUT_CANDIDATES ? CANDIDATE_INPUTS : spec->n_inputs;
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
    const double residual = spec->residual_last ? series_z(past, t, 0) : 0;
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

double series_level(const double *levels, const double *at, size_t n_levels, double level)
{
    if (n_levels == 1) return at[0];
    size_t i = 0;
    while (i + 2 < n_levels && level > levels[i + 1]) i++;
    double slope = (at[i + 1] - at[i]) / (levels[i + 1] - levels[i]);
    return at[i] + (level - levels[i]) * slope;
}

static double inverse(const struct series_distribution *d, double level)
{
    return series_level(d->levels, d->at, d->n_levels, level);
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
    case OUTPUT_QUANTILES:
    case OUTPUT_PATCHES:
    case OUTPUT_HORIZONS:
    case OUTPUT_CANDIDATES: return inverse(d, random_uniform(random));
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
