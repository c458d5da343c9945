#include "models/forecast/forecast_spec.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "models/bundle/bundle.h"

/* Names in the order of the enums of forecast_spec.h. The last two inputs and the first basis term are
 * written {"lag": k} or {"error": k} and so have no name here. */
static const char *const inputs[] = {"value", "missing", "difference", "ratio", "asinh",
                                     "log_scale", "position", NULL};
static const char *const outputs[] = {"mean", "normal", "student_t", "quantiles", "candidates",
                                      "patches", NULL};
static const char *const terms[] = {"linear", "quadratic", "sum", "geometric", "one", NULL};
static const char *const weightings[] = {"free", "softmax", NULL};
static const char *const residuals[] = {"none", "last", NULL};

enum { DEFAULT_SAMPLES = 100 };

struct keys {
    long context_length, window, num_samples, seasonality, patch_length; /* 0 if left out */
    bool full_context;
    const struct json *scaling, *inputs, *output;
};

static const struct field fields[] = {
    {.name = "context_length", .kind = FIELD_INTEGER, .required = true, .minimum = 1,
     .maximum = FORECAST_MAX_CONTEXT, .offset = offsetof(struct keys, context_length)},
    {.name = "window", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_CONTEXT,
     .offset = offsetof(struct keys, window)},
    {.name = "patch_length", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_PATCH,
     .offset = offsetof(struct keys, patch_length)},
    {.name = "full_context", .kind = FIELD_BOOLEAN, .offset = offsetof(struct keys, full_context)},
    {.name = "scaling", .kind = FIELD_OBJECT,
     .offset = offsetof(struct keys, scaling)},
    {.name = "inputs", .kind = FIELD_ARRAY,
     .offset = offsetof(struct keys, inputs)},
    {.name = "output", .kind = FIELD_OBJECT, .required = true,
     .offset = offsetof(struct keys, output)},
    {.name = "num_samples", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 10000,
     .offset = offsetof(struct keys, num_samples)},
    {.name = "seasonality", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1 << 20,
     .offset = offsetof(struct keys, seasonality)},
};

/* ------------------------------------------------------------------------------------------ */

enum { WRITTEN_LAG = -1, WRITTEN_ERROR = -2 };

struct written_keys {
    long lag, error; /* -1 if left out */
};

/* {"lag": k} or, if `errors`, {"error": k}. */
static enum status read_written(const struct json *value, long least_lag, bool errors,
                                long *choice, size_t *lag, struct error *err)
{
    const struct field both[] = {
        {.name = "lag", .kind = FIELD_INTEGER, .minimum = (double)least_lag,
         .maximum = FORECAST_MAX_LAG, .offset = offsetof(struct written_keys, lag)},
        {.name = "error", .kind = FIELD_INTEGER, .minimum = 0, .maximum = FORECAST_MAX_BASIS - 1,
         .offset = offsetof(struct written_keys, error)},
    };
    struct written_keys keys = {-1, -1};
    enum status status = json_read(value, both, errors ? 2 : 1, &keys, err);
    if (status != STATUS_OK) return status;
    if ((keys.lag < 0) == (keys.error < 0))
        return error_set(err, STATUS_BAD_VALUE, "expected %s",
                         errors ? "either 'lag' or 'error'" : "'lag'");
    *choice = keys.lag < 0 ? WRITTEN_ERROR : WRITTEN_LAG;
    *lag = (size_t)(keys.lag < 0 ? keys.error : keys.lag);
    return STATUS_OK;
}

/* One entry of `inputs` or `basis`: a name of `names`, whose index is *choice, or an object, with
 * WRITTEN_LAG or WRITTEN_ERROR. */
static enum status read_entry(const struct json *value, const char *const *names, long least_lag,
                              long *choice, size_t *lag, struct error *err)
{
    const struct field name = {.name = "the name", .kind = FIELD_CHOICE, .choices = names};
    *lag = 0;
    if (json_kind(value) == JSON_OBJECT)
        return read_written(value, least_lag, names == inputs, choice, lag, err);
    return json_read_value(value, &name, choice, err);
}

static enum status check_count(const struct json *array, const char *what, size_t min, size_t max,
                               struct error *err)
{
    size_t n = json_count(array);
    if (n >= min && n <= max) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "%s: %zu entries, expected %zu to %zu", what, n, min,
                     max);
}

static enum status read_inputs(const struct json *array, struct forecast_spec *spec,
                               struct error *err)
{
    enum status status = check_count(array, "inputs", 1, FORECAST_MAX_INPUTS, err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        long choice;
        size_t lag, i = spec->n_inputs;
        status = read_entry(v, inputs, 1, &choice, &lag, err);
        if (status != STATUS_OK) {
            error_prefix(err, "inputs[%zu]", i);
            return status;
        }
        spec->inputs[i].kind = choice == WRITTEN_LAG     ? INPUT_LAG
                               : choice == WRITTEN_ERROR ? INPUT_ERROR
                                                         : (enum forecast_input)choice;
        spec->inputs[i].lag = lag;
        spec->n_inputs++;
    }
    return STATUS_OK;
}

static enum status read_basis(const struct json *array, struct forecast_spec *spec,
                              struct error *err)
{
    enum status status = check_count(array, "basis", 1, FORECAST_MAX_BASIS, err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        long choice;
        size_t lag, i = spec->n_basis;
        status = read_entry(v, terms, 0, &choice, &lag, err);
        if (status != STATUS_OK) {
            error_prefix(err, "basis[%zu]", i);
            return status;
        }
        spec->basis[i].kind = (enum forecast_basis)(choice == WRITTEN_LAG ? 0 : choice + 1);
        spec->basis[i].lag = lag;
        spec->n_basis++;
    }
    return STATUS_OK;
}

/* Ascending, each above 0 and below 1; two at least, because the tails go on from a pair. */
static enum status read_levels(const struct json *array, struct forecast_spec *spec,
                               struct error *err)
{
    const struct field level = {.name = "a level", .kind = FIELD_NUMBER, .above = true,
                                .minimum = 0, .maximum = 1 - DBL_EPSILON};
    enum status status = check_count(array, "levels", 2, FORECAST_MAX_LEVELS, err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        size_t i = spec->n_levels;
        status = json_read_value(v, &level, &spec->levels[i], err);
        if (status == STATUS_OK && i > 0 && spec->levels[i] <= spec->levels[i - 1])
            status = error_set(err, STATUS_BAD_VALUE, "%g after %g, expected ascending levels",
                               spec->levels[i], spec->levels[i - 1]);
        if (status != STATUS_OK) {
            error_prefix(err, "levels[%zu]", i);
            return status;
        }
        spec->n_levels++;
    }
    return STATUS_OK;
}

/* {"scale", "exponent"}, for a trend with "r2". */
struct width_keys {
    double scale, exponent, r2;
};

static enum status read_width(const struct json *value, bool is_trend, struct forecast_spec *spec,
                              struct error *err)
{
    static const struct field both[] = {
        {.name = "scale", .kind = FIELD_NUMBER, .required = true, .minimum = 0.01, .maximum = 100,
         .offset = offsetof(struct width_keys, scale)},
        {.name = "exponent", .kind = FIELD_NUMBER, .required = true, .minimum = 0, .maximum = 2,
         .offset = offsetof(struct width_keys, exponent)},
        {.name = "r2", .kind = FIELD_NUMBER, .required = true, .minimum = 0, .maximum = 1,
         .offset = offsetof(struct width_keys, r2)},
    };
    const char *name = is_trend ? "trend" : "band";
    struct width_keys keys = {0};
    bool has_median = false;
    if (!value) return STATUS_OK;
    if (spec->output != OUTPUT_PATCHES)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in type '%s', only in 'patches'", name,
                         outputs[spec->output]);
    enum status status = json_read(value, both, is_trend ? 3 : 2, &keys, err);
    if (status != STATUS_OK) {
        error_prefix(err, "%s", name);
        return status;
    }
    for (size_t q = 0; q < spec->n_levels; q++) has_median = has_median || fabs(spec->levels[q] - 0.5) < 1e-9;
    if (!has_median)
        return error_set(err, STATUS_BAD_VALUE, "'%s' needs the level 0.5, from which it measures", name);
    *(is_trend ? &spec->trend : &spec->band) = (struct width){keys.scale, keys.exponent};
    if (is_trend) spec->trend_r2 = keys.r2;
    return STATUS_OK;
}

struct output_keys {
    long type, residual, weights;
    const struct json *levels, *basis, *band, *trend;
    double unseasonal_width; /* 0: left out */
    bool rules;
};

static const struct field output_fields[] = {
    {.name = "type", .kind = FIELD_CHOICE, .choices = outputs, .required = true,
     .offset = offsetof(struct output_keys, type)},
    {.name = "residual", .kind = FIELD_CHOICE, .choices = residuals,
     .offset = offsetof(struct output_keys, residual)},
    {.name = "weights", .kind = FIELD_CHOICE, .choices = weightings,
     .offset = offsetof(struct output_keys, weights)},
    {.name = "levels", .kind = FIELD_ARRAY, .offset = offsetof(struct output_keys, levels)},
    {.name = "basis", .kind = FIELD_ARRAY, .offset = offsetof(struct output_keys, basis)},
    {.name = "rules", .kind = FIELD_BOOLEAN, .offset = offsetof(struct output_keys, rules)},
    {.name = "band", .kind = FIELD_OBJECT, .offset = offsetof(struct output_keys, band)},
    {.name = "trend", .kind = FIELD_OBJECT, .offset = offsetof(struct output_keys, trend)},
    {.name = "unseasonal_width", .kind = FIELD_NUMBER, .minimum = 0.1, .maximum = 10,
     .offset = offsetof(struct output_keys, unseasonal_width)},
};

static enum status read_output(const struct json *value, struct forecast_spec *spec,
                               struct error *err)
{
    struct output_keys keys = {0};
    enum status status = json_read(value, output_fields,
                                   sizeof output_fields / sizeof *output_fields, &keys, err);
    if (status != STATUS_OK) return status;
    spec->output = (enum forecast_output)keys.type;
    spec->residual_last = keys.residual != 0;
    spec->softmax = keys.weights != 0;
    spec->rules = keys.rules;
    if (spec->rules && spec->output != OUTPUT_MEAN && spec->output != OUTPUT_CANDIDATES)
        return error_set(err, STATUS_BAD_VALUE,
                         "'rules' has no place in type '%s', only in 'mean' and 'candidates'",
                         outputs[keys.type]);
    bool levelled = spec->output == OUTPUT_QUANTILES || forecast_is_direct(spec);
    if (levelled && !keys.levels)
        return error_set(err, STATUS_BAD_VALUE, "'levels' is missing, type '%s' needs it",
                         outputs[keys.type]);
    if (!levelled && keys.levels)
        return error_set(err, STATUS_BAD_VALUE, "'levels' has no place in type '%s'",
                         outputs[keys.type]);
    if (levelled && keys.basis)
        return error_set(err, STATUS_BAD_VALUE,
                         "'basis' has no place in type '%s', which has no location", outputs[keys.type]);
    if (forecast_is_direct(spec) && spec->residual_last)
        return error_set(err, STATUS_BAD_VALUE, "'residual' has no place in type '%s'", outputs[keys.type]);
    if (keys.unseasonal_width > 0 && spec->output != OUTPUT_CANDIDATES)
        return error_set(err, STATUS_BAD_VALUE,
                         "'unseasonal_width' has no place in type '%s', only in 'candidates'",
                         outputs[keys.type]);
    spec->unseasonal_width = keys.unseasonal_width > 0 ? keys.unseasonal_width : 1;
    if (spec->softmax && !keys.basis)
        return error_set(err, STATUS_BAD_VALUE, "'weights' has no place without a 'basis'");
    if (keys.levels) status = read_levels(keys.levels, spec, err);
    if (keys.basis) status = read_basis(keys.basis, spec, err);
    if (status == STATUS_OK) status = read_width(keys.band, false, spec, err);
    if (status == STATUS_OK) status = read_width(keys.trend, true, spec, err);
    return status;
}

/* Check that the keys of `forecast` which depend on the output's type are there, and no other. */
static enum status check_keys(const struct keys *keys, const struct forecast_spec *spec, struct error *err)
{
    bool candidates = spec->output == OUTPUT_CANDIDATES, patches = spec->output == OUTPUT_PATCHES;
    bool walks = !candidates && !patches;
    const struct {
        const char *name;
        bool is_there, needed, allowed;
    } rules[] = {{"window", keys->window > 0, candidates, candidates},
                 {"scaling", keys->scaling, !candidates, !candidates},
                 {"inputs", keys->inputs, walks, walks},
                 {"num_samples", keys->num_samples > 0, false, walks},
                 {"patch_length", keys->patch_length > 0, patches, patches},
                 {"full_context", keys->full_context, false, patches}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].needed && !rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, output type '%s' needs it",
                             rules[i].name, outputs[spec->output]);
        if (!rules[i].allowed && rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' has no place with output type '%s'", rules[i].name,
                             outputs[spec->output]);
    }
    if (patches && keys->context_length % keys->patch_length)
        return error_set(err, STATUS_BAD_VALUE,
                         "context_length: %ld, expected a multiple of the patch_length, %ld",
                         keys->context_length, keys->patch_length);
    if (keys->window > keys->context_length)
        return error_set(err, STATUS_BAD_VALUE, "window: %ld, expected at most the context_length, %ld",
                         keys->window, keys->context_length);
    return STATUS_OK;
}

static enum status check_errors(const struct forecast_spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->n_inputs; i++)
        if (spec->inputs[i].kind == INPUT_ERROR && spec->inputs[i].lag >= spec->n_basis)
            return error_set(err, STATUS_BAD_VALUE,
                             "inputs[%zu]: 'error' is %zu, but the basis has %zu entries", i,
                             spec->inputs[i].lag, spec->n_basis);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------ */

static enum status read_forecast(const struct json *object, struct bundle *bundle, struct error *err)
{
    struct forecast_spec *spec = bundle->spec;
    struct keys keys = {0};
    enum status status = json_read(object, fields, sizeof fields / sizeof *fields, &keys, err);
    if (status != STATUS_OK) return status;
    spec->context_length = (size_t)keys.context_length;
    spec->seasonality = keys.seasonality;
    status = read_output(keys.output, spec, err);
    if (status != STATUS_OK) {
        error_prefix(err, "output");
        return status;
    }
    status = check_keys(&keys, spec, err);
    if (status != STATUS_OK) return status;
    spec->window = (size_t)keys.window;
    spec->patch_length = (size_t)keys.patch_length;
    spec->full_context = keys.full_context;
    if (spec->output == OUTPUT_CANDIDATES) {
        spec->scaling.scale = 1;
        return STATUS_OK;
    }
    status = scaling_read(keys.scaling, &spec->scaling, err);
    if (status == STATUS_OK && (spec->scaling.squashes || spec->scaling.spares_binary) &&
        spec->output != OUTPUT_PATCHES)
        status = error_set(err, STATUS_BAD_VALUE,
                           "'%s' has no place with output type '%s', only with 'patches'",
                           spec->scaling.squashes ? "squash" : "binary", outputs[spec->output]);
    if (status != STATUS_OK) {
        error_prefix(err, "scaling");
        return status;
    }
    if (spec->output == OUTPUT_PATCHES) return STATUS_OK;
    spec->num_samples = keys.num_samples > 0 ? (size_t)keys.num_samples : DEFAULT_SAMPLES;
    status = read_inputs(keys.inputs, spec, err);
    return status == STATUS_OK ? check_errors(spec, err) : status;
}

const struct section section_forecast = {"forecast", FIELD_OBJECT, read_forecast};

const char *forecast_input_name(enum forecast_input input)
{
    return input == INPUT_LAG ? "lag" : input == INPUT_ERROR ? "error" : inputs[input];
}

const char *forecast_basis_name(enum forecast_basis term)
{
    return term == BASIS_LAG ? "lag" : terms[term - 1];
}

const char *forecast_output_name(enum forecast_output output)
{
    return outputs[output];
}
