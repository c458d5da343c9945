#include "models/forecast/forecast_spec.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "models/bundle/bundle.h"
#include "models/forecast/columns.h"

/* Names in the order of the enums of forecast_spec.h. The last inputs and the first basis term are written as
 * objects and so have no name here. */
static const char *const inputs[] = {"value", "missing", "difference", "ratio", "asinh",
                                     "log_scale", "position", NULL};
static const char *const outputs[] = {"mean", "normal", "student_t", "quantiles", "candidates",
                                      "patches", "horizons", NULL};
static const char *const terms[] = {"linear", "quadratic", "sum", "geometric", "one", NULL};
static const char *const weightings[] = {"free", "softmax", NULL};
static const char *const residuals[] = {"none", "last", NULL};
static const char *const axes[] = {"step", "column", "level", NULL};

enum { DEFAULT_SAMPLES = 100 };

struct keys {
    long context_length, window, num_samples, seasonality, patch_length, future_length; /* 0 if left out */
    bool full_context;
    const struct json *columns, *scaling, *inputs, *output;
};

static const struct field fields[] = {
    {.name = "context_length", .kind = FIELD_INTEGER, .required = true, .minimum = 1,
     .maximum = FORECAST_MAX_CONTEXT, .offset = offsetof(struct keys, context_length)},
    {.name = "window", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_CONTEXT,
     .offset = offsetof(struct keys, window)},
    {.name = "patch_length", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_PATCH,
     .offset = offsetof(struct keys, patch_length)},
    {.name = "future_length", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_CONTEXT,
     .offset = offsetof(struct keys, future_length)},
    {.name = "full_context", .kind = FIELD_BOOLEAN, .offset = offsetof(struct keys, full_context)},
    {.name = "columns", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, columns)},
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

enum { WRITTEN = -1 };

struct written_keys {
    long lag, error, lead; /* -1 if left out */
    const char *column;
    bool missing;
};

static const struct field written_fields[] = {
    {.name = "lag", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_LAG,
     .offset = offsetof(struct written_keys, lag)},
    {.name = "error", .kind = FIELD_INTEGER, .minimum = 0, .maximum = FORECAST_MAX_BASIS - 1,
     .offset = offsetof(struct written_keys, error)},
    {.name = "column", .kind = FIELD_STRING, .offset = offsetof(struct written_keys, column)},
    {.name = "lead", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_STEPS_AHEAD,
     .offset = offsetof(struct written_keys, lead)},
    {.name = "missing", .kind = FIELD_BOOLEAN, .offset = offsetof(struct written_keys, missing)},
};
enum { N_WRITTEN_FIELDS = sizeof written_fields / sizeof *written_fields };

/* {"lag": k} of a basis. */
static enum status read_lag(const struct json *value, size_t *lag, struct error *err)
{
    const struct field field = {.name = "lag", .kind = FIELD_INTEGER, .maximum = FORECAST_MAX_LAG};
    long written = -1;
    enum status status = json_read(value, &field, 1, &written, err);
    if (status != STATUS_OK) return status;
    if (written < 0) return error_set(err, STATUS_BAD_VALUE, "expected 'lag'");
    *lag = (size_t)written;
    return STATUS_OK;
}

/* {"column": name}, with "lag", "lead" or "missing" if wanted: the spec's input i. */
static enum status set_column(const struct written_keys *keys, struct forecast_spec *spec, size_t i,
                              struct error *err)
{
    size_t column = columns_find(spec, keys->column);
    char quoted[QUOTE_BYTES];
    if (column == spec->n_columns)
        return error_set(err, STATUS_BAD_VALUE, "'column' is %s, expected a name of 'columns'",
                         sentence_quote(quoted, keys->column, strlen(keys->column)));
    if (keys->error >= 0)
        return error_set(err, STATUS_BAD_VALUE, "'error' has no place beside 'column'");
    if (keys->lag >= 0 && keys->lead > 0)
        return error_set(err, STATUS_BAD_VALUE, "'lag' and 'lead' are both there, expected one of them");
    if (keys->lead > 0 && spec->columns[column].role != COLUMN_FUTURE)
        return error_set(err, STATUS_BAD_VALUE, "'lead' reads ahead, but column '%s' has the role '%s'",
                         spec->columns[column].name, forecast_role_name(spec->columns[column].role));
    spec->inputs[i].kind = keys->missing ? INPUT_COLUMN_MISSING : INPUT_COLUMN;
    spec->inputs[i].column = column;
    spec->inputs[i].lag = keys->lag > 0 ? (size_t)keys->lag : 0;
    spec->inputs[i].lead = keys->lead > 0 ? (size_t)keys->lead : 0;
    if (spec->inputs[i].lead > spec->ahead) spec->ahead = spec->inputs[i].lead;
    return STATUS_OK;
}

/* {"lag": k}, {"error": k} or {"column": name}: the spec's input i. */
static enum status read_written(const struct json *value, struct forecast_spec *spec, size_t i,
                                struct error *err)
{
    struct written_keys keys = {.lag = -1, .error = -1, .lead = -1};
    enum status status = json_read(value, written_fields, N_WRITTEN_FIELDS, &keys, err);
    if (status != STATUS_OK) return status;
    if (keys.column) return set_column(&keys, spec, i, err);
    if (keys.lead > 0 || keys.missing)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place without 'column'",
                         keys.missing ? "missing" : "lead");
    if ((keys.lag < 0) == (keys.error < 0))
        return error_set(err, STATUS_BAD_VALUE, "expected either 'lag' or 'error', or 'column'");
    spec->inputs[i].kind = keys.lag < 0 ? INPUT_ERROR : INPUT_LAG;
    spec->inputs[i].lag = (size_t)(keys.lag < 0 ? keys.error : keys.lag);
    return STATUS_OK;
}

/* An entry that is a name of `names`, whose index is *choice; or WRITTEN, of an object. */
static enum status read_choice(const struct json *value, const char *const *names, long *choice,
                               struct error *err)
{
    const struct field name = {.name = "the name", .kind = FIELD_CHOICE, .choices = names};
    *choice = WRITTEN;
    return json_kind(value) == JSON_OBJECT ? STATUS_OK : json_read_value(value, &name, choice, err);
}

static enum status check_count(const struct json *array, const char *what, size_t min, size_t max,
                               struct error *err)
{
    size_t n = json_count(array);
    if (n >= min && n <= max) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "%s: %zu entries, expected %zu to %zu", what, n, min,
                     max);
}

/* Without a list, each column is read as it stands. */
static void read_all_columns(struct forecast_spec *spec)
{
    for (size_t i = 0; i < spec->n_columns; i++) {
        spec->inputs[i].kind = INPUT_COLUMN;
        spec->inputs[i].column = i;
    }
    spec->n_inputs = spec->n_columns;
}

static enum status read_inputs(const struct json *array, struct forecast_spec *spec, struct error *err)
{
    if (!array) {
        read_all_columns(spec);
        return STATUS_OK;
    }
    enum status status = check_count(array, "inputs", 1, FORECAST_MAX_INPUTS, err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        long choice;
        size_t i = spec->n_inputs;
        status = read_choice(v, inputs, &choice, err);
        if (status == STATUS_OK && choice == WRITTEN) status = read_written(v, spec, i, err);
        else if (status == STATUS_OK) spec->inputs[i].kind = (enum forecast_input)choice;
        if (status != STATUS_OK) {
            error_prefix(err, "inputs[%zu]", i);
            return status;
        }
        spec->n_inputs++;
    }
    return STATUS_OK;
}

static enum status read_basis(const struct json *array, struct forecast_spec *spec, struct error *err)
{
    enum status status = check_count(array, "basis", 1, FORECAST_MAX_BASIS, err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        long choice;
        size_t i = spec->n_basis;
        status = read_choice(v, terms, &choice, err);
        if (status == STATUS_OK && choice == WRITTEN) status = read_lag(v, &spec->basis[i].lag, err);
        if (status != STATUS_OK) {
            error_prefix(err, "basis[%zu]", i);
            return status;
        }
        spec->basis[i].kind = (enum forecast_basis)(choice == WRITTEN ? BASIS_LAG : choice + 1);
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
    long type, residual, weights, horizon; /* horizon: 0 if left out */
    const struct json *levels, *basis, *shape, *band, *trend;
    double unseasonal_width; /* 0: left out */
    bool rules, roll_on;
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
    {.name = "horizon", .kind = FIELD_INTEGER, .minimum = 1, .maximum = FORECAST_MAX_STEPS_AHEAD,
     .offset = offsetof(struct output_keys, horizon)},
    {.name = "roll_on", .kind = FIELD_BOOLEAN, .offset = offsetof(struct output_keys, roll_on)},
    {.name = "shape", .kind = FIELD_ARRAY, .offset = offsetof(struct output_keys, shape)},
    {.name = "unseasonal_width", .kind = FIELD_NUMBER, .minimum = 0.1, .maximum = 10,
     .offset = offsetof(struct output_keys, unseasonal_width)},
};

/* Read the order of the axes of an output, the last of which moves fastest. */
static enum status read_shape(const struct json *array, struct forecast_spec *spec, struct error *err)
{
    enum { N_AXES = 3 };
    const struct field field = {.name = "the axis", .kind = FIELD_CHOICE, .choices = axes};
    const size_t sizes[N_AXES] = {spec->horizon, forecast_n_targets(spec),
                                  spec->n_levels ? spec->n_levels : 1};
    long order[N_AXES] = {0, 1, 2};
    bool seen[N_AXES] = {!array, !array, !array};
    size_t n = 0, stride = 1;
    enum status status = array ? check_count(array, "shape", 1, N_AXES, err) : STATUS_OK;
    for (const struct json *v = json_first(array); v && status == STATUS_OK; v = json_next(v), n++) {
        status = json_read_value(v, &field, &order[n], err);
        if (status == STATUS_OK && seen[order[n]])
            status = error_set(err, STATUS_BAD_VALUE, "'%s' is there twice", axes[order[n]]);
        if (status == STATUS_OK) seen[order[n]] = true;
        else error_prefix(err, "shape[%zu]", n);
    }
    for (size_t i = 0; i < N_AXES && status == STATUS_OK; i++)
        if (!seen[i] && sizes[i] > 1)
            status = error_set(err, STATUS_BAD_VALUE, "shape: '%s' is missing, of which there are %zu",
                               axes[i], sizes[i]);
    for (size_t i = array ? n : N_AXES; i-- > 0 && status == STATUS_OK;) {
        spec->strides[order[i]] = stride;
        stride *= sizes[order[i]];
    }
    return status;
}

/* Check that the keys of `output` which depend on its type are there, and no other. */
static enum status check_output_keys(const struct output_keys *keys, const struct forecast_spec *spec,
                                     struct error *err)
{
    const char *type = outputs[keys->type];
    bool horizons = spec->output == OUTPUT_HORIZONS, candidates = spec->output == OUTPUT_CANDIDATES;
    bool levelled = spec->output == OUTPUT_QUANTILES || candidates || spec->output == OUTPUT_PATCHES;
    bool located = !levelled && !horizons;
    const struct {
        const char *name;
        bool is_there, needed, allowed;
    } rules[] = {{"levels", keys->levels, levelled, levelled || horizons},
                 {"basis", keys->basis, false, located},
                 {"rules", keys->rules, false, spec->output == OUTPUT_MEAN || candidates},
                 {"residual", keys->residual != 0, false, !candidates && spec->output != OUTPUT_PATCHES},
                 {"unseasonal_width", keys->unseasonal_width > 0, false, candidates},
                 {"horizon", keys->horizon > 0, horizons, horizons},
                 {"roll_on", keys->roll_on, false, horizons},
                 {"shape", keys->shape, false, horizons}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].needed && !rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, type '%s' needs it", rules[i].name,
                             type);
        if (!rules[i].allowed && rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in type '%s'%s", rules[i].name, type,
                             i == 1 ? ", which has no location" : "");
    }
    if (spec->softmax && !keys->basis)
        return error_set(err, STATUS_BAD_VALUE, "'weights' has no place without a 'basis'");
    return STATUS_OK;
}

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
    spec->unseasonal_width = keys.unseasonal_width > 0 ? keys.unseasonal_width : 1;
    spec->horizon = (size_t)keys.horizon;
    spec->rolls_on = keys.roll_on;
    status = check_output_keys(&keys, spec, err);
    if (status == STATUS_OK && keys.levels) status = read_levels(keys.levels, spec, err);
    if (status == STATUS_OK && keys.basis) status = read_basis(keys.basis, spec, err);
    if (status == STATUS_OK && spec->output == OUTPUT_HORIZONS) status = read_shape(keys.shape, spec, err);
    if (status == STATUS_OK) status = read_width(keys.band, false, spec, err);
    if (status == STATUS_OK) status = read_width(keys.trend, true, spec, err);
    return status;
}

/* Check that the keys of `forecast` which depend on the output's type are there, and no other. */
static enum status check_keys(const struct keys *keys, const struct forecast_spec *spec, struct error *err)
{
    bool candidates = spec->output == OUTPUT_CANDIDATES, patches = spec->output == OUTPUT_PATCHES;
    bool steps = !candidates && !patches, walks = steps && spec->output != OUTPUT_HORIZONS;
    bool columns = keys->columns;
    const struct {
        const char *name;
        bool is_there, needed, allowed;
    } rules[] = {{"window", keys->window > 0, candidates, candidates},
                 {"columns", columns, false, steps},
                 {"scaling", keys->scaling, !candidates && !columns, !candidates && !columns},
                 {"inputs", keys->inputs, steps && !columns, steps},
                 {"num_samples", keys->num_samples > 0, false, walks},
                 {"patch_length", keys->patch_length > 0, patches, patches},
                 {"future_length", keys->future_length > 0, false, patches},
                 {"full_context", keys->full_context, false, patches}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].needed && !rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, output type '%s' needs it",
                             rules[i].name, outputs[spec->output]);
        if (!rules[i].allowed && rules[i].is_there && columns && steps)
            return error_set(err, STATUS_BAD_VALUE, "'%s' has no place beside 'columns'%s", rules[i].name,
                             i == 2 ? ", which have their own" : "");
        if (!rules[i].allowed && rules[i].is_there)
            return error_set(err, STATUS_BAD_VALUE, "'%s' has no place with output type '%s'", rules[i].name,
                             outputs[spec->output]);
    }
    if (patches && keys->future_length % keys->patch_length)
        return error_set(err, STATUS_BAD_VALUE,
                         "future_length: %ld, expected a multiple of the patch_length, %ld",
                         keys->future_length, keys->patch_length);
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

/* Check what columns can be with the output. */
static enum status check_columns(const struct forecast_spec *spec, struct error *err)
{
    bool horizons = spec->output == OUTPUT_HORIZONS;
    size_t reach = horizons ? spec->horizon : 1;
    if (!horizons && spec->n_of[COLUMN_TARGET] > 1)
        return error_set(err, STATUS_BAD_VALUE,
                         "columns: %zu have the role 'target', expected one with output type '%s'",
                         spec->n_of[COLUMN_TARGET], outputs[spec->output]);
    if ((!horizons || spec->rolls_on) && spec->n_of[COLUMN_PAST] > 0)
        return error_set(err, STATUS_BAD_VALUE,
                         "columns: %zu have the role 'past', whose values are unknown when a forecast goes "
                         "on from its own; expected 'future'%s",
                         spec->n_of[COLUMN_PAST], horizons ? ", or no 'roll_on'" : "");
    if (spec->ahead > reach)
        return error_set(err, STATUS_BAD_VALUE, "inputs: a 'lead' is %zu, but an output tells of %zu steps",
                         spec->ahead, reach);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------ */

/* Read one section of config.json, whose key is `name`. */
static enum status prefixed(enum status status, const char *name, struct error *err)
{
    if (status != STATUS_OK) error_prefix(err, "%s", name);
    return status;
}

/* A model of steps reads columns, or one series, which is a column too. */
static enum status read_steps(const struct keys *keys, struct forecast_spec *spec, struct error *err)
{
    enum status status = read_inputs(keys->inputs, spec, err);
    if (status == STATUS_OK) status = check_errors(spec, err);
    if (status == STATUS_OK && spec->n_columns) status = check_columns(spec, err);
    if (!spec->n_columns && spec->output == OUTPUT_HORIZONS) {
        spec->columns[0] = (struct forecast_column){.name = "target", .scaling = spec->scaling};
        spec->n_columns = spec->n_of[COLUMN_TARGET] = 1;
    }
    if (spec->output != OUTPUT_HORIZONS)
        spec->num_samples = keys->num_samples > 0 ? (size_t)keys->num_samples : DEFAULT_SAMPLES;
    return status;
}

static enum status read_forecast(const struct json *object, struct bundle *bundle, struct error *err)
{
    struct forecast_spec *spec = bundle->spec;
    struct keys keys = {0};
    enum status status = json_read(object, fields, sizeof fields / sizeof *fields, &keys, err);
    if (status != STATUS_OK) return status;
    spec->context_length = (size_t)keys.context_length;
    spec->seasonality = keys.seasonality;
    spec->window = (size_t)keys.window;
    spec->patch_length = (size_t)keys.patch_length;
    spec->full_context = keys.full_context;
    spec->future_length = (size_t)keys.future_length;
    spec->scaling.scale = 1;
    if (keys.columns) status = prefixed(columns_read(keys.columns, spec, err), "columns", err);
    if (status == STATUS_OK) status = prefixed(read_output(keys.output, spec, err), "output", err);
    if (status == STATUS_OK) status = check_keys(&keys, spec, err);
    if (status == STATUS_OK && keys.scaling)
        status = prefixed(scaling_read(keys.scaling, &spec->scaling, err), "scaling", err);
    if (status == STATUS_OK && (spec->scaling.squashes || spec->scaling.spares_binary) &&
        spec->output != OUTPUT_PATCHES)
        status = error_set(err, STATUS_BAD_VALUE,
                           "scaling: '%s' has no place with output type '%s', only with 'patches'",
                           spec->scaling.squashes ? "squash" : "binary", outputs[spec->output]);
    if (status != STATUS_OK || spec->output == OUTPUT_CANDIDATES || spec->output == OUTPUT_PATCHES)
        return status;
    return read_steps(&keys, spec, err);
}

const struct section section_forecast = {"forecast", FIELD_OBJECT, read_forecast};

const char *forecast_input_name(enum forecast_input input)
{
    if (input == INPUT_COLUMN || input == INPUT_COLUMN_MISSING) return "column";
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
