/* Whether a request for text can be met. */
#include "models/jobs/request.h"
#include "models/generation/kept_text.h"
#include "models/generation/ngrams.h"
#include "models/text/utf8.h"

static enum status check_numbers(const struct generation_request *r, const struct job_options *options,
                                 struct error *err)
{
    const struct { const char *field; double value, low, high; } ranges[] = {
        {"temperature", r->temperature, 0, 100},
        {"top_p", r->top_p, 0, 1},
        {"min_p", r->min_p, 0, 1},
        {"repetition_penalty", r->repetition_penalty, 0.01, 100},
        {"presence_penalty", r->presence_penalty, -100, 100},
        {"frequency_penalty", r->frequency_penalty, -100, 100},
        {"no_repeat_ngram_size", (double)r->no_repeat_ngram_size, 0, NGRAMS_WINDOW},
        {"logprobs", r->logprobs, -1, GENERATION_MAX_LOGPROBS},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum status status = request_check_number(ranges[i].field, ranges[i].value,
                                                  ranges[i].low, ranges[i].high, err);
        if (status != STATUS_OK) return status;
    }
    if (r->n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "n", "n is 0, expected at least 1");
    if (r->best_of < r->n)
        return error_set_param(err, STATUS_BAD_VALUE, "best_of",
                               "best_of is %zu, expected at least n = %zu", r->best_of, r->n);
    if (r->max_tokens < 1 && !r->echo && !options->keeps)
        return error_set_param(err, STATUS_BAD_VALUE, "max_tokens",
                               "max_tokens is 0, expected at least 1 (0 goes with echo or a kept state)");
    return STATUS_OK;
}

static enum status check_stops(const struct generation_request *r, struct error *err)
{
    if (r->n_stops > GENERATION_MAX_STOPS)
        return error_set_param(err, STATUS_BAD_VALUE, "stop", "%zu stop strings, expected at most %d",
                               r->n_stops, GENERATION_MAX_STOPS);
    for (size_t i = 0; i < r->n_stops; i++) {
        if (r->stop_bytes[i] < 1 || r->stop_bytes[i] > GENERATION_MAX_STOP_BYTES)
            return error_set_param(err, STATUS_BAD_VALUE, "stop",
                                   "stop string %zu has %zu bytes, expected 1 to %d", i,
                                   r->stop_bytes[i], GENERATION_MAX_STOP_BYTES);
        if (!utf8_is_valid(r->stops[i], r->stop_bytes[i], NULL))
            return error_set_param(err, STATUS_BAD_FORMAT, "stop", "stop string %zu is not UTF-8",
                                   i);
    }
    return STATUS_OK;
}

static enum status check_biases(const struct generation_request *r, size_t V, struct error *err)
{
    for (size_t i = 0; i < r->n_biases; i++) {
        int32_t id = r->biases[i].id;
        if (id < 0 || (size_t)id >= V)
            return error_set_param(err, STATUS_BAD_VALUE, "logit_bias",
                                   "token %d, expected an id from 0 to %zu", (int)id, V - 1);
        enum status status = request_check_number("logit_bias", (double)r->biases[i].bias,
                                                  -100, 100, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status check_prompts(const struct model *model, const struct generation_request *r,
                                 const struct job_options *options, struct error *err)
{
    if (r->n_prompts < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "prompt", "no prompt, expected at least one");
    for (size_t p = 0; p < r->n_prompts; p++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, "prompt", p, r->n_prompts);
        if (r->prompts[p].n == 0 && !options->from && tokenizer_bos(model->tokenizer) == TOKEN_NONE)
            return error_set_param(err, STATUS_BAD_VALUE, field,
                                   "%s is empty, and this model has no bos_token to begin with: "
                                   "expected at least one token", field);
        enum status status = request_check_tokens(field, &r->prompts[p],
                                                  network_vocabulary_size(model->network), err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status check_state(const struct model *model, const struct generation_request *r,
                               const struct job_options *options, struct error *err)
{
    struct kept_text kept;
    enum status status = request_check_state(model, options, "prompt", r->n_prompts, err);
    if (status != STATUS_OK) return status;
    if (options->keeps && r->best_of > 1)
        return error_set_param(err, STATUS_BAD_VALUE, "n", "%zu choices, expected one: a state is that of "
                                                           "one",
                               r->best_of);
    if (!options->from) return STATUS_OK;
    return kept_text_read(options->from, network_output_size(model->network), &kept, NULL, NULL, err)
               ? STATUS_OK : STATUS_BAD_VALUE;
}

enum status generation_check(const struct model *model, const struct generation_request *request,
                             const struct job_options *options, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_COMPLETE, err);
    if (status == STATUS_OK) status = check_state(model, request, options, err);
    if (status == STATUS_OK) status = check_prompts(model, request, options, err);
    if (status == STATUS_OK) status = check_numbers(request, options, err);
    if (status == STATUS_OK) status = check_stops(request, err);
    if (status == STATUS_OK)
        status = check_biases(request, network_output_size(model->network), err);
    return status;
}
