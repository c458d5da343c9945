#include "models/golden.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/throttle.h"
#include "models/json.h"
#include "models/series.h"

enum { TURN_STEPS = 32 }; /* as scheduler.chunk_steps is */

static const double DEFAULT_TOLERANCE = 1e-4, FEATURE_TOLERANCE = 1e-5;

static const double allowances[N_PRECISIONS] = {
    [PRECISION_FLOAT16] = GOLDEN_FLOAT16,
    [PRECISION_INT8] = GOLDEN_INT8,
};

struct document {
    double tolerance;
    const struct json *cases;
};

static const struct field document_fields[] = {
    {.name = "tolerance", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = GOLDEN_MAX_TOLERANCE,
     .offset = offsetof(struct document, tolerance)},
    {.name = "cases", .kind = FIELD_ARRAY, .required = true,
     .offset = offsetof(struct document, cases)},
};

struct keys {
    const struct json *input, *tokens, *features, *output;
};

static const struct field case_fields[] = {
    {.name = "input", .kind = FIELD_ANY, .required = true, .offset = offsetof(struct keys, input)},
    {.name = "tokens", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, tokens)},
    {.name = "features", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, features)},
    {.name = "output", .kind = FIELD_ARRAY, .required = true,
     .offset = offsetof(struct keys, output)},
};

/* What the network is fed for one input; one of the two is NULL. */
struct steps {
    size_t n;
    int32_t *tokens; /* [n] */
    float *features; /* [n, input_size] */
};

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

static enum status read_number(const struct json *value, const char *what, size_t i, double *x,
                               struct error *err)
{
    char name[64];
    const struct field field = {.name = name, .kind = FIELD_NUMBER, .minimum = -(double)FLT_MAX,
                                .maximum = (double)FLT_MAX};
    snprintf(name, sizeof name, "%s[%zu]", what, i);
    return json_read_value(value, &field, x, err);
}

static enum status check_n_steps(size_t n, struct error *err)
{
    if (n >= 1 && n <= GOLDEN_MAX_STEPS) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'input' gives %zu steps, expected 1 to %d", n,
                     (int)GOLDEN_MAX_STEPS);
}

/* ------------------------------------------------------------------------------------------
 * Input to steps, as a request's would be */

static enum status text_steps(const struct model *model, const struct json *input,
                              struct steps *steps, struct error *err)
{
    const struct tokenizer *tokenizer = model->tokenizer;
    char found[JSON_DESCRIPTION_BYTES];
    int32_t bos = tokenizer_bos(tokenizer), eos = tokenizer_eos(tokenizer), *ids;
    bool ends = model->task == TASK_TEXT_CLASSIFICATION && eos != TOKEN_NONE;
    size_t n, first = bos != TOKEN_NONE;
    if (json_kind(input) != JSON_STRING)
        return error_set(err, STATUS_BAD_VALUE, "'input' is %s, expected a string",
                         json_describe(found, input));
    const char *text = json_string(input);
    enum status status =
        tokenizer_encode(tokenizer, text, strlen(text), GOLDEN_MAX_STEPS, &ids, &n, err);
    if (status != STATUS_OK) {
        error_prefix(err, "'input'");
        return status;
    }
    steps->n = first + n + ends;
    steps->tokens = memory_new(steps->n, sizeof *steps->tokens);
    if (steps->tokens) {
        if (first) steps->tokens[0] = bos;
        memcpy(steps->tokens + first, ids, n * sizeof *ids);
        if (ends) steps->tokens[first + n] = eos;
    }
    memory_free(ids);
    return steps->tokens ? check_n_steps(steps->n, err) : no_memory(err);
}

static enum status row_steps(const struct json *row, const char *name,
                             const struct feature_scaling *scaling, size_t size, float *out,
                             struct error *err)
{
    size_t i = 0;
    if (json_kind(row) != JSON_ARRAY || json_count(row) != size)
        return error_set(err, STATUS_BAD_VALUE, "%s: expected %zu numbers", name, size);
    for (const struct json *v = json_first(row); v; v = json_next(v), i++) {
        double x = 0;
        enum status status = read_number(v, name, i, &x, err);
        if (status != STATUS_OK) return status;
        out[i] = ((float)x - scaling->mean[i]) / scaling->scale[i];
    }
    return STATUS_OK;
}

static enum status feature_steps(const struct model *model, const struct json *input,
                                 struct steps *steps, struct error *err)
{
    size_t size = network_input_size(model->network), i = 0;
    if (json_kind(input) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an array of rows");
    steps->n = json_count(input);
    enum status status = check_n_steps(steps->n, err);
    if (status != STATUS_OK) return status;
    steps->features = memory_new(steps->n * size, sizeof *steps->features);
    if (!steps->features) return no_memory(err);
    for (const struct json *v = json_first(input); v; v = json_next(v), i++) {
        char name[32];
        snprintf(name, sizeof name, "input[%zu]", i);
        status = row_steps(v, name, &model->features, size, steps->features + i * size, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* The values of a series, NaN for null. */
static enum status read_series(const struct json *input, double *values, struct error *err)
{
    size_t i = 0, n_present = 0;
    for (const struct json *v = json_first(input); v; v = json_next(v), i++) {
        values[i] = (double)NAN;
        if (json_kind(v) == JSON_NULL) continue;
        enum status status = read_number(v, "input", i, &values[i], err);
        if (status != STATUS_OK) return status;
        n_present++;
    }
    if (n_present > 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'input' has no value");
}

static enum status scale_series(const struct model *model, const double *values, size_t n,
                                struct steps *steps, struct error *err)
{
    size_t length = model->forecast.context_length, size = model->forecast.n_inputs;
    if (n > length) values += n - length, n = length;
    bool present = false;
    for (size_t i = 0; i < n; i++) present = present || !isnan(values[i]);
    if (!present)
        return error_set(err, STATUS_BAD_VALUE, "'input' has no value in its last %zu", n);
    steps->n = n;
    steps->features = memory_new(n * size, sizeof *steps->features);
    if (!steps->features) return no_memory(err);
    struct series_scale scale = series_scale_of(&model->forecast, values, n);
    series_features(&model->forecast, &scale, values, n, steps->features);
    return STATUS_OK;
}

static enum status series_steps(const struct model *model, const struct json *input,
                                struct steps *steps, struct error *err)
{
    if (json_kind(input) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an array of numbers");
    size_t n = json_count(input);
    enum status status = check_n_steps(n, err);
    if (status != STATUS_OK) return status;
    double *values = memory_new(n, sizeof *values);
    if (!values) return no_memory(err);
    status = read_series(input, values, err);
    if (status == STATUS_OK) status = scale_series(model, values, n, steps, err);
    memory_free(values);
    return status;
}

static enum status input_steps(const struct model *model, const struct json *input,
                               struct steps *steps, struct error *err)
{
    switch (model->task) {
    case TASK_TEXT_GENERATION:
    case TASK_TEXT_CLASSIFICATION: return text_steps(model, input, steps, err);
    case TASK_SEQUENCE_CLASSIFICATION: return feature_steps(model, input, steps, err);
    case TASK_FORECASTING: return series_steps(model, input, steps, err);
    case N_TASKS: break;
    }
    return error_set(err, STATUS_INTERNAL, "a task that has no steps");
}

/* ------------------------------------------------------------------------------------------
 * The steps that the file expects */

static enum status compare_tokens(const struct json *array, const struct steps *steps,
                                  struct error *err)
{
    size_t n = json_count(array), i = 0;
    if (n != steps->n)
        return error_set(err, STATUS_BAD_GOLDEN, "'input' gives %zu tokens, 'tokens' has %zu",
                         steps->n, n);
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        double expected = 0;
        enum status status = read_number(v, "tokens", i, &expected, err);
        if (status != STATUS_OK) return status;
        if (expected != (double)steps->tokens[i])
            return error_set(err, STATUS_BAD_GOLDEN, "tokens[%zu] of the input is %d, expected %g",
                             i, (int)steps->tokens[i], expected);
    }
    return STATUS_OK;
}

static enum status compare_row(const struct json *row, size_t t, size_t size, const float *found,
                               struct error *err)
{
    char name[32];
    size_t i = 0;
    snprintf(name, sizeof name, "features[%zu]", t);
    if (json_kind(row) != JSON_ARRAY || json_count(row) != size)
        return error_set(err, STATUS_BAD_VALUE, "%s: expected %zu numbers", name, size);
    for (const struct json *v = json_first(row); v; v = json_next(v), i++) {
        double expected = 0, x = (double)found[i];
        enum status status = read_number(v, name, i, &expected, err);
        if (status != STATUS_OK) return status;
        if (!(fabs(x - expected) <= FEATURE_TOLERANCE * fmax(1, fabs(expected))))
            return error_set(err, STATUS_BAD_GOLDEN, "%s[%zu] of the input is %.8g, expected %.8g",
                             name, i, x, expected);
    }
    return STATUS_OK;
}

static enum status compare_features(const struct json *array, const struct steps *steps,
                                    size_t size, struct error *err)
{
    size_t n = json_count(array), t = 0;
    if (n != steps->n)
        return error_set(err, STATUS_BAD_GOLDEN, "'input' gives %zu steps, 'features' has %zu",
                         steps->n, n);
    for (const struct json *v = json_first(array); v; v = json_next(v), t++) {
        enum status status = compare_row(v, t, size, steps->features + t * size, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status compare_steps(const struct model *model, const struct keys *keys,
                                 const struct steps *steps, struct error *err)
{
    bool texts = steps->tokens != NULL;
    const struct json *wanted = texts ? keys->tokens : keys->features;
    const struct json *other = texts ? keys->features : keys->tokens;
    const char *name = texts ? "tokens" : "features";
    if (!wanted) return error_set(err, STATUS_BAD_VALUE, "'%s' is missing", name);
    if (other)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in task '%s'",
                         texts ? "features" : "tokens", task_name(model->task));
    return texts ? compare_tokens(wanted, steps, err)
                 : compare_features(wanted, steps, network_input_size(model->network), err);
}

/* ------------------------------------------------------------------------------------------
 * The outputs */

/* The largest difference, and where it is. */
struct difference {
    double found, expected, largest; /* NaN counts as infinite */
    size_t at;
    double magnitude; /* largest |expected| */
};

static enum status compare_output(const struct json *array, const float *found, size_t size,
                                  struct difference *out, struct error *err)
{
    size_t n = json_count(array), i = 0;
    if (n != size)
        return error_set(err, STATUS_BAD_VALUE, "'output' has %zu numbers, expected %zu", n, size);
    *out = (struct difference){.largest = -1};
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        double expected = 0, x = (double)found[i];
        enum status status = read_number(v, "output", i, &expected, err);
        if (status != STATUS_OK) return status;
        double difference = isfinite(x) ? fabs(x - expected) : (double)INFINITY;
        out->magnitude = fmax(out->magnitude, fabs(expected));
        if (difference <= out->largest) continue;
        out->found = x, out->expected = expected, out->largest = difference, out->at = i;
    }
    return STATUS_OK;
}

static enum status judge(const struct model *model, const struct difference *d, double tolerance,
                         struct error *err)
{
    enum precision precision = network_precision(model->network);
    double bound = tolerance + allowances[precision] * fmax(1, d->magnitude);
    if (d->largest <= bound) return STATUS_OK;
    char in[48] = "";
    if (precision != PRECISION_FLOAT32) snprintf(in, sizeof in, " in %s", precision_name(precision));
    return error_set(err, STATUS_BAD_GOLDEN,
                     "output[%zu] is %.7g, expected %.7g: difference %.3g > tolerance %.3g%s", d->at,
                     d->found, d->expected, d->largest, bound, in);
}

/* Feed the steps in turns as a server does, with rests between; a bidirectional network takes all in one.
 * `ride` has the last turn's output. */
static enum status feed(const struct network *network, struct workspace *workspace, const struct steps *steps,
                        float *state, struct ride *ride)
{
    size_t size = network_input_size(network), room = workspace_rows(workspace);
    for (size_t at = 0; at < steps->n; at += ride->n_steps) {
        size_t left = steps->n - at;
        *ride = (struct ride){.n_steps = left < room ? left : room,
                              .tokens = steps->tokens ? steps->tokens + at : NULL,
                              .features = steps->features ? steps->features + at * size : NULL,
                              .state = state, .look = left <= room ? LOOK_LAST : LOOK_NONE,
                              .tap = TAP_OUTPUT};
        if (!throttle_rest()) return STATUS_CLOSING;
        network_run(network, workspace, ride, 1);
    }
    return STATUS_OK;
}

/* Run the steps and compare. */
static enum status run_steps(const struct model *model, const struct steps *steps,
                             const struct json *output, double tolerance, double *error,
                             struct error *err)
{
    const struct network *network = model->network;
    struct workspace *workspace = NULL;
    struct difference difference = {0};
    float *state = memory_new(network_state_floats(network), sizeof *state);
    struct ride ride;
    size_t room = network_is_whole(network) || steps->n < TURN_STEPS ? steps->n : TURN_STEPS;
    enum status status = state ? workspace_new(room, 1, &workspace) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = workspace_fit(workspace, network);
    if (status == STATUS_OK) status = feed(network, workspace, steps, state, &ride);
    if (status == STATUS_OK) {
        status = compare_output(output, ride.output, network_output_size(network), &difference, err);
        if (status == STATUS_OK) status = judge(model, &difference, tolerance, err);
        if (status == STATUS_OK) *error = fmax(*error, difference.largest);
    } else {
        error_set(err, status, "%s", status_text(status));
    }
    workspace_free(workspace);
    memory_free(state);
    return status;
}

static enum status check_finite(const struct model *model, const struct steps *steps,
                                struct error *err)
{
    size_t size = network_input_size(model->network);
    for (size_t i = 0; steps->features && i < steps->n * size; i++)
        if (!isfinite(steps->features[i]))
            return error_set(err, STATUS_BAD_VALUE, "feature %zu of step %zu is not finite",
                             i % size, i / size);
    return STATUS_OK;
}

static enum status check_case(const struct model *model, const struct json *value,
                              double tolerance, double *error, struct error *err)
{
    struct keys keys = {0};
    struct steps steps = {0};
    if (json_kind(value) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_VALUE, "expected an object");
    enum status status = json_read(value, case_fields, 4, &keys, err);
    if (status == STATUS_OK) status = input_steps(model, keys.input, &steps, err);
    if (status == STATUS_OK) status = check_finite(model, &steps, err);
    if (status == STATUS_OK) status = compare_steps(model, &keys, &steps, err);
    if (status == STATUS_OK)
        status = run_steps(model, &steps, keys.output, tolerance, error, err);
    memory_free(steps.tokens);
    memory_free(steps.features);
    return status;
}

static enum status check_cases(const struct model *model, const struct json *root, double *error,
                               size_t *n, struct error *err)
{
    struct document document = {.tolerance = DEFAULT_TOLERANCE};
    size_t i = 0;
    if (json_kind(root) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_FORMAT, "expected an object");
    enum status status = json_read(root, document_fields, 2, &document, err);
    if (status != STATUS_OK) return status;
    *n = json_count(document.cases);
    if (*n == 0 || *n > GOLDEN_MAX_CASES)
        return error_set(err, STATUS_BAD_VALUE, "%zu cases, expected 1 to %d", *n,
                         (int)GOLDEN_MAX_CASES);
    *error = 0;
    for (const struct json *v = json_first(document.cases); v; v = json_next(v), i++) {
        status = check_case(model, v, document.tolerance, error, err);
        if (status == STATUS_OK) continue;
        error_prefix(err, "cases[%zu]", i);
        return status;
    }
    return STATUS_OK;
}

enum status golden_check(const struct model *model, const char *text, size_t bytes, double *error,
                         size_t *n, struct error *err)
{
    struct json *root = NULL;
    double largest = 0;
    size_t count = 0;
    enum status status = json_parse(text, bytes, &root, err);
    if (status == STATUS_OK) status = check_cases(model, root, &largest, &count, err);
    json_free(root);
    if (status != STATUS_OK) {
        error_prefix(err, "golden.json");
        return status;
    }
    *error = largest;
    *n = count;
    return STATUS_OK;
}
