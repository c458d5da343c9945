#include "models/bundle/input.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/golden.h"
#include "models/features/feature.h"
#include "models/text/json.h"

bool input_puts_bos(const struct model *model)
{
    return model->tokenizer && tokenizer_bos(model->tokenizer) != TOKEN_NONE;
}

bool input_puts_eos(const struct model *model)
{
    return model->tokenizer && model->task->reads_eos && tokenizer_eos(model->tokenizer) != TOKEN_NONE;
}

/* Tokens of an input before it is padded or cut. */
static size_t own_steps(const struct model *model, size_t n)
{
    return n + (input_puts_bos(model) ? 1 : 0) + (input_puts_eos(model) ? 1 : 0);
}

size_t input_text_steps(const struct model *model, size_t n)
{
    return model->pad_length ? model->pad_length : own_steps(model, n);
}

void input_text(const struct model *model, const int32_t *ids, size_t n, int32_t *out)
{
    size_t bos = input_puts_bos(model), steps = input_text_steps(model, n), own = own_steps(model, n);
    size_t pads = own < steps ? steps - own : 0;
    for (size_t t = 0; t < pads; t++)
        (model->pads_right ? out + own : out)[t] = tokenizer_pad(model->tokenizer);
    if (!model->pads_right) out += pads;
    for (size_t t = own > steps ? own - steps : 0; t < own; t++)
        *out++ = t < bos       ? tokenizer_bos(model->tokenizer)
                 : t < bos + n ? ids[t - bos]
                               : tokenizer_eos(model->tokenizer);
}

static double scaled(const struct feature_scaling *scaling, double x, size_t i)
{
    return (x - (scaling->mean ? scaling->mean[i] : 0)) / (scaling->scale ? scaling->scale[i] : 1);
}

static bool fits(double number)
{
    return fabs(number) <= (double)FLT_MAX;
}

/* Scale one step, without branches. false: some number does not fit. */
static bool scale_step(const struct feature_scaling *scaling, const double *x, size_t n, float *out)
{
    unsigned outside = 0;
    for (size_t i = 0; i < n; i++) {
        double number = scaled(scaling, x[i], i);
        outside |= !fits(number);
        out[i] = (float)number;
    }
    return !outside;
}

enum status input_features(const struct model *model, const double *x, size_t n_steps, float *out,
                           struct error *err)
{
    const size_t size = network_input_size(model->network);
    for (size_t t = 0; t < n_steps; t++, x += size, out += size) {
        if (scale_step(&model->features, x, size, out)) continue;
        size_t i = 0;
        while (fits(scaled(&model->features, x[i], i))) i++;
        return error_set(err, STATUS_BAD_VALUE, "feature %zu of step %zu is %g, expected a number "
                         "that fits the model's scale", i, t, x[i]);
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * The inputs of golden cases */

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

enum status input_read_number(const struct json *value, const char *what, size_t i, double most, double *x,
                              struct error *err)
{
    char name[64];
    const struct field field = {.name = name, .kind = FIELD_NUMBER, .minimum = -most, .maximum = most};
    snprintf(name, sizeof name, "%s[%zu]", what, i);
    return json_read_value(value, &field, x, err);
}

enum status input_check_steps(size_t n, struct error *err)
{
    if (n >= 1 && n <= GOLDEN_MAX_STEPS) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'input' gives %zu steps, expected 1 to %d", n,
                     (int)GOLDEN_MAX_STEPS);
}

enum status input_text_of(const struct model *model, const struct json *input, struct steps *steps,
                          struct error *err)
{
    const struct tokenizer *tokenizer = model->tokenizer;
    char found[JSON_DESCRIPTION_BYTES];
    int32_t *ids;
    size_t n;
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
    steps->n = input_text_steps(model, n);
    steps->tokens = memory_new(steps->n, sizeof *steps->tokens);
    if (steps->tokens) input_text(model, ids, n, steps->tokens);
    memory_free(ids);
    return steps->tokens ? input_check_steps(steps->n, err) : no_memory(err);
}

static enum status read_row(const struct json *row, size_t t, size_t size, double *x, struct error *err)
{
    char name[32];
    size_t i = 0;
    snprintf(name, sizeof name, "input[%zu]", t);
    if (json_kind(row) != JSON_ARRAY || json_count(row) != size)
        return error_set(err, STATUS_BAD_VALUE, "%s: expected %zu numbers", name, size);
    for (const struct json *v = json_first(row); v; v = json_next(v), i++) {
        enum status status = input_read_number(v, name, i, DBL_MAX, &x[i], err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status input_features_of(const struct model *model, const struct json *input, struct steps *steps,
                              struct error *err)
{
    size_t size = network_input_size(model->network), t = 0;
    if (json_kind(input) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an array of rows");
    steps->n = json_count(input);
    enum status status = input_check_steps(steps->n, err);
    if (status != STATUS_OK) return status;
    double *x = memory_new(steps->n * size, sizeof *x);
    steps->features = memory_new(steps->n * size, sizeof *steps->features);
    if (!x || !steps->features) status = no_memory(err);
    for (const struct json *v = json_first(input); v && status == STATUS_OK; v = json_next(v), t++)
        status = read_row(v, t, size, x + t * size, err);
    if (status == STATUS_OK) status = input_features(model, x, steps->n, steps->features, err);
    memory_free(x);
    return status;
}

enum status input_front_of(const struct model *model, const struct json *input, struct steps *steps,
                           struct error *err)
{
    struct raw_owned raw;
    struct front_steps made = {0};
    if (!model->front) return input_features_of(model, input, steps, err);
    enum status status = raw_read(model->front, input, &raw, err);
    if (status == STATUS_OK) status = front_run(model->front, &raw.raw, GOLDEN_MAX_STEPS, &made, err);
    raw_free(&raw);
    if (status != STATUS_OK) return status;
    steps->n = made.n;
    steps->features = memory_new(steps->n * front_width(model->front), sizeof *steps->features);
    status = steps->features ? input_features(model, made.values, steps->n, steps->features, err)
                             : no_memory(err);
    front_steps_free(&made);
    return status;
}
