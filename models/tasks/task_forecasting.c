/* forecasting: values to come, from those of a series so far. Requests: forecasting.h. */
#include <float.h>
#include <math.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/forecast/candidates.h"
#include "models/forecast/columns.h"
#include "models/forecast/patched.h"
#include "models/forecast/patches.h"
#include "models/forecast/series.h"
#include "models/text/number.h"

enum { GOLDEN_MAX_VALUES = 1 << 20 }; /* of all rows of an input */
enum { GOLDEN_HORIZON = 4 }; /* the steps to come of a golden case of a bundle with candidates */

static enum status check(const struct parts *parts, struct error *err)
{
    const struct forecast_spec *spec = parts->bundle->spec;
    size_t inputs = network_input_size(parts->network), outputs = network_output_size(parts->network);
    enum status status = task_check_numbers(parts, &task_forecasting, err);
    if (status != STATUS_OK) return status;
    if (inputs != series_n_inputs(spec))
        return error_set(err, STATUS_BAD_SHAPE,
                         "the network reads %zu numbers a step, 'forecast' lists %zu inputs", inputs,
                         series_n_inputs(spec));
    if (outputs != series_n_outputs(spec))
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, 'forecast' needs %zu",
                         outputs, series_n_outputs(spec));
    if (spec->output == OUTPUT_HORIZONS && !spec->rolls_on) return STATUS_OK; /* of one whole series */
    return task_check_causal(parts, &task_forecasting, err);
}

/* ------------------------------------------------------------------------------------------
 * The inputs of golden cases */

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

/* The values of a series, NaN for null. */
static enum status read_series(const struct json *input, double *values, struct error *err)
{
    size_t i = 0, n_present = 0;
    for (const struct json *v = json_first(input); v; v = json_next(v), i++) {
        values[i] = (double)NAN;
        if (json_kind(v) == JSON_NULL) continue;
        enum status status = input_read_number(v, "input", i, FLT_MAX, &values[i], err);
        if (status != STATUS_OK) return status;
        n_present++;
    }
    if (n_present > 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'input' has no value");
}

/* Make the steps of a bundle with candidates: the last values, then GOLDEN_HORIZON to come. */
static enum status candidate_steps(const struct model *model, const double *values, size_t n,
                                   struct steps *steps, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    struct candidates candidates;
    void *memory = memory_new(candidates_bytes(n, GOLDEN_HORIZON), 1);
    steps->n = (n < spec->window ? n : spec->window) + GOLDEN_HORIZON;
    steps->features = memory_new(steps->n * CANDIDATE_INPUTS, sizeof *steps->features);
    bool there = memory && steps->features;
    if (there) {
        candidates_make(values, n, 0, GOLDEN_HORIZON, memory, &candidates);
        candidates_features(&candidates, spec->window, steps->features);
    }
    memory_free(memory);
    return there ? STATUS_OK : no_memory(err);
}

/* Make the steps of a bundle with patches: the context, then one patch to come. */
static enum status patch_steps(const struct forecast_spec *spec, const double *values, size_t n,
                               struct steps *steps, struct error *err)
{
    double *differences = memory_new(n, sizeof *differences);
    steps->n = patches_read(spec, n) + 1;
    steps->features = memory_new(steps->n * 2 * spec->patch_length, sizeof *steps->features);
    bool there = differences && steps->features;
    if (there) {
        struct patch_reading reading = patches_reading(spec, values, n, differences);
        patches_features(spec, &reading.scale, reading.trends ? differences : values, n, 2, steps->features);
    }
    memory_free(differences);
    return there ? STATUS_OK : no_memory(err);
}

/* Make the steps of a bundle with columns: those of the values that are read. */
static enum status column_steps(const struct forecast_spec *spec, const struct rows *rows,
                                const double *tail, size_t n, size_t ahead, struct steps *steps,
                                struct error *err)
{
    size_t width = n + ahead, first = 0;
    double *z = memory_new(spec->n_columns * width, sizeof *z);
    bool *missing = memory_new(spec->n_columns * width, sizeof *missing);
    struct series_scale *scales = memory_new(spec->n_columns, sizeof *scales);
    const struct series_columns columns = {.width = width, .z = z, .missing = missing};
    steps->n = n;
    steps->features = memory_new(n * spec->n_inputs, sizeof *steps->features);
    bool there = z && missing && scales && steps->features;
    while (spec->columns[first].role != COLUMN_TARGET) first++;
    if (there) {
        columns_scale(spec, rows, tail, n, ahead, z, missing, scales);
        const struct series_past past = {.read = z + first * width, .n_read = width, .columns = &columns};
        for (size_t t = 0; t < n; t++)
            series_step(spec, &scales[first], &past, t, missing[first * width + t],
                        steps->features + t * spec->n_inputs);
    }
    memory_free(z);
    memory_free(missing);
    memory_free(scales);
    return there ? STATUS_OK : no_memory(err);
}

/* The steps of an input that is an object of rows, as a request has it. */
static enum status rows_steps(const struct model *model, const struct json *input, struct steps *steps,
                              struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    size_t horizon = spec->output == OUTPUT_HORIZONS ? spec->horizon : 1, most = GOLDEN_MAX_VALUES;
    struct rows rows;
    enum status status = rows_read(input, "input", horizon, most, 0, &rows, err);
    if (status == STATUS_OK) status = input_check_steps(rows.n, err);
    if (status == STATUS_OK) status = columns_check(model, &rows, "input", err);
    if (status == STATUS_OK) {
        size_t skipped = series_skipped(spec, rows.n), n = rows.n - skipped;
        const char *sentence = columns_judge(spec, &rows, rows.targets + skipped, n);
        status = sentence ? error_set(err, STATUS_BAD_VALUE, "'input': %s", sentence)
                          : column_steps(spec, &rows, rows.targets + skipped, n, horizon, steps, err);
    }
    rows_free(&rows);
    return status;
}

/* Make the steps of rows that a network mixes: a seat a row, or two; the context and one patch to come, or
 * future_length if a covariate is known ahead. */
static enum status group_features(const struct forecast_spec *spec, const struct rows *rows, size_t n,
                                  struct steps *steps, struct error *err)
{
    size_t seats = patched_seats(rows), run = patched_steps(spec, rows, n, spec->patch_length + 1);
    size_t each = run * series_n_inputs(spec);
    enum status status = input_check_steps(seats * run, err);
    if (status != STATUS_OK) return status;
    struct patched *seat = memory_new(seats, sizeof *seat);
    double *differences = memory_new(seats * n, sizeof *differences);
    steps->n = run;
    steps->n_seats = seats;
    steps->features = memory_new(seats * each, sizeof *steps->features);
    steps->roles = memory_new(seats, sizeof *steps->roles);
    bool there = seat && differences && steps->features && steps->roles;
    for (size_t i = 0; there && i < seats; i++) {
        seat[i].features = steps->features + i * each;
        seat[i].differences = differences + i * n;
    }
    if (there) patched_read(spec, &(struct patched_series){rows, rows->targets, n, run}, seat);
    for (size_t i = 0; there && i < seats; i++) steps->roles[i] = seat[i].role;
    memory_free(seat);
    memory_free(differences);
    return there ? STATUS_OK : no_memory(err);
}

/* The same of an input that is an object of rows, as a request has it. */
static enum status group_steps(const struct model *model, const struct json *input, struct steps *steps,
                               struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    struct rows rows;
    if (!network_mixes(model->network))
        return error_set(err, STATUS_BAD_VALUE,
                         "'input' has rows, but the network mixes no series; expected an array of numbers");
    enum status status = rows_read(input, "input", 1, GOLDEN_MAX_VALUES, 0, &rows, err);
    if (status == STATUS_OK) status = input_check_steps(rows.n, err);
    if (status == STATUS_OK) {
        size_t n = rows.n - series_skipped(spec, rows.n);
        const char *sentence = patched_judge(spec, &rows, n);
        status = sentence ? error_set(err, STATUS_BAD_VALUE, "'input': %s", sentence)
                          : group_features(spec, &rows, n, steps, err);
    }
    rows_free(&rows);
    return status;
}

static enum status scale_series(const struct model *model, const double *values, size_t n,
                                struct steps *steps, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    size_t skipped = series_skipped(spec, n);
    bool present = false;
    values += skipped;
    n -= skipped;
    for (size_t i = 0; i < n; i++) present = present || !isnan(values[i]);
    if (!present)
        return error_set(err, STATUS_BAD_VALUE, "'input' has no value in its last %zu", n);
    if (spec->output == OUTPUT_CANDIDATES) return candidate_steps(model, values, n, steps, err);
    if (spec->output == OUTPUT_PATCHES) return patch_steps(spec, values, n, steps, err);
    if (spec->output == OUTPUT_HORIZONS) return column_steps(spec, NULL, values, n, 0, steps, err);
    steps->n = n;
    steps->features = memory_new(n * spec->n_inputs, sizeof *steps->features);
    double *z = memory_new(n, sizeof *z);
    if (steps->features && z) {
        struct series_scale scale = series_scale_of(spec, values, n);
        series_features(spec, &scale, values, n, z, steps->features);
    }
    memory_free(z);
    return steps->features && z ? STATUS_OK : no_memory(err);
}

static enum status series_steps(const struct model *model, const struct json *input,
                                struct steps *steps, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    if (spec->n_columns && json_kind(input) == JSON_OBJECT) return rows_steps(model, input, steps, err);
    if (spec->output == OUTPUT_PATCHES && json_kind(input) == JSON_OBJECT)
        return group_steps(model, input, steps, err);
    if (spec->n_columns > 1)
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an object with 'target' and covariates");
    if (json_kind(input) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an array of numbers");
    size_t n = json_count(input);
    enum status status = input_check_steps(n, err);
    if (status != STATUS_OK) return status;
    double *values = memory_new(n, sizeof *values);
    if (!values) return no_memory(err);
    status = read_series(input, values, err);
    if (status == STATUS_OK) status = scale_series(model, values, n, steps, err);
    memory_free(values);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * What people see */

static void print_scaling(const struct view *view)
{
    const struct forecast_spec *f = forecast_spec_of(view->model);
    char mean[NUMBER_BYTES], scale[NUMBER_BYTES];
    number_print(mean, f->scaling.mean);
    number_print(scale, f->scaling.scale);
    switch (f->scaling.type) {
    case SCALING_NONE: inspect_line(view, "scaling", "none"); break;
    case SCALING_CONSTANT:
    case SCALING_MINMAX: inspect_line(view, "scaling", "(x - %s) / %s", mean, scale); break;
    case SCALING_MEAN_ABS:
        inspect_line(view, "scaling", "x / mean absolute value read, at least %g", f->scaling.minimum);
        if (f->scaling.level > 0)
            inspect_line(view, "",
                         "the least value is subtracted if the values span less than %g of the largest",
                         f->scaling.level);
        break;
    case SCALING_STANDARD:
        inspect_line(view, "scaling", "(x - mean) / standard deviation of the values read, at least %g",
                     f->scaling.minimum);
        break;
    }
    if (f->scaling.squashes)
        inspect_line(view, "", "asinh of it%s",
                     f->scaling.spares_binary ? ", unless all values are 0 or 1" : "");
}

static void print_inputs(const struct view *view)
{
    const struct forecast_spec *f = forecast_spec_of(view->model);
    fprintf(view->out, "%-*s", INSPECT_COLUMN, "inputs");
    for (size_t i = 0; i < f->n_inputs; i++) {
        fprintf(view->out, "%s %s", i ? "," : "", forecast_input_name(f->inputs[i].kind));
        bool is_column = f->inputs[i].kind == INPUT_COLUMN || f->inputs[i].kind == INPUT_COLUMN_MISSING;
        if (is_column) fprintf(view->out, " %s", f->columns[f->inputs[i].column].name);
        if (is_column && f->inputs[i].lag) fprintf(view->out, " lag %zu", f->inputs[i].lag);
        if (f->inputs[i].lead) fprintf(view->out, " lead %zu", f->inputs[i].lead);
        if (f->inputs[i].kind == INPUT_COLUMN_MISSING) fputs(" missing", view->out);
        if (f->inputs[i].kind == INPUT_LAG || f->inputs[i].kind == INPUT_ERROR)
            fprintf(view->out, " %zu", f->inputs[i].lag);
    }
    fputc('\n', view->out);
}

static void print_basis(const struct view *view)
{
    const struct forecast_spec *f = forecast_spec_of(view->model);
    for (size_t i = 0; i < f->n_basis; i++) {
        fputs(i ? ", " : f->softmax ? " chosen among " : " of a combination of ", view->out);
        fputs(forecast_basis_name(f->basis[i].kind), view->out);
        if (f->basis[i].kind == BASIS_LAG) fprintf(view->out, " %zu", f->basis[i].lag);
    }
}

/* A line a role: the names of its columns, and the scale of each that has a fixed one. */
static void print_columns(const struct view *view)
{
    const struct forecast_spec *f = forecast_spec_of(view->model);
    for (enum column_role role = 0; role < N_COLUMN_ROLES; role++) {
        if (f->n_of[role] == 0) continue;
        fprintf(view->out, "%-*s", INSPECT_COLUMN, forecast_role_name(role));
        bool first = true;
        for (size_t i = 0; i < f->n_columns; i++) {
            const struct forecast_column *column = &f->columns[i];
            char mean[NUMBER_BYTES], scale[NUMBER_BYTES];
            if (column->role != role) continue;
            fprintf(view->out, "%s %s", first ? "" : ",", column->name);
            first = false;
            number_print(mean, column->scaling.mean);
            number_print(scale, column->scaling.scale);
            if (column->scaling.type == SCALING_CONSTANT || column->scaling.type == SCALING_MINMAX)
                fprintf(view->out, " (x - %s) / %s", mean, scale);
            else if (column->scaling.type != SCALING_NONE) fputs(" on its own scale", view->out);
        }
        fputc('\n', view->out);
    }
}

static void inspect(const struct view *view)
{
    const struct forecast_spec *f = forecast_spec_of(view->model);
    inspect_line(view, "context", "the last %zu values", f->context_length);
    if (f->output == OUTPUT_CANDIDATES) {
        inspect_line(view, "window", "the network reads the last %zu", f->window);
    } else if (f->output == OUTPUT_PATCHES) {
        print_scaling(view);
        inspect_line(view, "patches", "of %zu values%s", f->patch_length,
                     f->full_context ? ", the context always whole" : "");
        if (f->trend.scale > 0)
            inspect_line(view, "trend", "read as differences if a line explains %g of the variance",
                         f->trend_r2);
    } else {
        if (f->n_columns) print_columns(view);
        else print_scaling(view);
        print_inputs(view);
    }
    fprintf(view->out, "%-*s %s", INSPECT_COLUMN, "output", forecast_output_name(f->output));
    for (size_t i = 0; i < f->n_levels; i++)
        fprintf(view->out, "%s %g", i ? "," : "", f->levels[i]);
    print_basis(view);
    if (f->horizon)
        fprintf(view->out, ", %zu steps ahead%s", f->horizon,
                f->rolls_on ? ", longer ones go on from these" : "");
    if (f->rules) fputs(", by a rule if one is exact", view->out);
    fputs(f->residual_last ? ", added to the last value\n" : "\n", view->out);
    if (f->num_samples > 0) inspect_line(view, "num_samples", "%zu", f->num_samples);
    if (f->seasonality) inspect_line(view, "seasonality", "%ld", f->seasonality);
}

static size_t facts(const struct model *model, struct fact *facts)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    facts[0] = (struct fact){"context_length", (double)spec->context_length};
    if (spec->horizon) facts[1] = (struct fact){"horizon", (double)spec->horizon};
    return spec->horizon ? 2 : 1;
}

const struct task task_forecasting = {
    .name = "forecasting",
    .abilities = CAN(FORECAST) | CAN(EXPLAIN),
    .sections = {{&section_forecast, true}},
    .spec_bytes = sizeof(struct forecast_spec),
    .check = check,
    .steps = series_steps,
    .inspect = inspect,
    .facts = facts,
};
