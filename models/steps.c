#include "models/steps.h"

#include <math.h>
#include <string.h>

#include "models/request.h"

static bool reads_tokens(const struct model *model)
{
    return network_input_size(model->network) == 0;
}

static bool puts_bos(const struct model *model)
{
    return reads_tokens(model) && tokenizer_bos(model->tokenizer) != TOKEN_NONE;
}

/* A generator's eos says that the text is over: nothing to read. */
static bool puts_eos(const struct model *model)
{
    return reads_tokens(model) && model->task == TASK_TEXT_CLASSIFICATION &&
           tokenizer_eos(model->tokenizer) != TOKEN_NONE;
}

static size_t length(const struct model *model, const struct classification_input *input)
{
    if (!reads_tokens(model)) return input->n_steps;
    return input->tokens.n + (puts_bos(model) ? 1 : 0) + (puts_eos(model) ? 1 : 0);
}

static enum status check_one(const struct model *model, const struct classification_input *input,
                             const char *field, size_t max_whole_steps, struct error *err)
{
    size_t given = reads_tokens(model) ? input->tokens.n : input->n_steps;
    if (given < 1 || (!reads_tokens(model) && !input->features))
        return error_set_param(err, STATUS_BAD_VALUE, field, "%s is empty, expected at least one %s",
                               field, reads_tokens(model) ? "token" : "step");
    if (reads_tokens(model)) {
        enum status status = request_check_tokens(field, &input->tokens,
                                                  network_vocabulary_size(model->network), err);
        if (status != STATUS_OK) return status;
    }
    return request_check_length(field, model, length(model, input), max_whole_steps, err);
}

enum status steps_check(const struct model *model, const struct classification_input *inputs,
                        size_t n, size_t max_whole_steps, struct error *err)
{
    if (n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input", "no input, expected at least one");
    for (size_t i = 0; i < n; i++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, "input", i, n);
        enum status status = check_one(model, &inputs[i], field, max_whole_steps, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

void steps_lay_out(struct steps *steps, const struct model *model,
                   const struct classification_input *input, struct arena *arena)
{
    const size_t input_size = network_input_size(model->network);
    steps->n = length(model, input);
    if (reads_tokens(model))
        steps->tokens = arena_take(arena, steps->n, sizeof *steps->tokens);
    else
        steps->features = arena_take(arena, steps->n, input_size * sizeof *steps->features);
}

static void fill_tokens(struct steps *steps, const struct model *model,
                        const struct token_span *span)
{
    size_t n = 0;
    if (puts_bos(model)) steps->tokens[n++] = tokenizer_bos(model->tokenizer);
    memcpy(steps->tokens + n, span->ids, span->n * sizeof *span->ids);
    n += span->n;
    if (puts_eos(model)) steps->tokens[n] = tokenizer_eos(model->tokenizer);
}

/* x' = (x - mean) / scale */
static enum status fill_features(struct steps *steps, const struct model *model, const float *x,
                                 const char *field, struct error *err)
{
    const struct feature_scaling *scaling = &model->features;
    const size_t input_size = network_input_size(model->network);
    for (size_t t = 0; t < steps->n; t++)
        for (size_t i = 0; i < input_size; i++) {
            double mean = scaling->mean ? (double)scaling->mean[i] : 0;
            double scale = scaling->scale ? (double)scaling->scale[i] : 1;
            float value = x[t * input_size + i];
            float scaled = (float)(((double)value - mean) / scale);
            if (!isfinite(scaled))
                return error_set_param(err, STATUS_BAD_VALUE, field,
                                       "%s: feature %zu of step %zu is %g, expected a number that "
                                       "fits the model's scale",
                                       field, i, t, (double)value);
            steps->features[t * input_size + i] = scaled;
        }
    return STATUS_OK;
}

enum status steps_fill(struct steps *steps, const struct model *model,
                       const struct classification_input *input, const char *field,
                       struct error *err)
{
    if (!reads_tokens(model)) return fill_features(steps, model, input->features, field, err);
    fill_tokens(steps, model, &input->tokens);
    return STATUS_OK;
}

void steps_feed(const struct steps *steps, const struct network *network, size_t room,
                enum look look, struct ride *ride)
{
    size_t left = steps->n - steps->n_fed;
    ride->n_steps = left < room ? left : room;
    if (steps->tokens) ride->tokens = steps->tokens + steps->n_fed;
    if (steps->features)
        ride->features = steps->features + steps->n_fed * network_input_size(network);
    if (look == LOOK_ALL)
        ride->look = LOOK_ALL;
    else
        ride->look = left <= room ? LOOK_LAST : LOOK_NONE;
}

bool steps_take(struct steps *steps, const struct ride *ride)
{
    steps->n_fed += ride->n_steps;
    return steps->n_fed == steps->n;
}
