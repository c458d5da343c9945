#include "models/jobs/request.h"

#include <stdio.h>

const char *request_field(char out[ERROR_PARAM_BYTES], const char *name, size_t i, size_t n)
{
    if (n > 1)
        (void)snprintf(out, ERROR_PARAM_BYTES, "%s[%zu]", name, i);
    else
        (void)snprintf(out, ERROR_PARAM_BYTES, "%s", name);
    return out;
}

enum status request_check_ability(const struct model *model, enum ability ability, struct error *err)
{
    if (task_can(model->task, ability)) return STATUS_OK;
    return error_set_param(err, STATUS_UNSUPPORTED, "model", "model '%s' (%s) cannot %s", model->name,
                           model->task->name, ability_text(ability));
}

enum status request_check_number(const char *field, double value, double low, double high,
                                 struct error *err)
{
    if (value >= low && value <= high) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, field, "%s: %g, expected %g to %g", field, value,
                           low, high);
}

enum status request_check_tokens(const char *field, const struct token_span *tokens, size_t V,
                                 struct error *err)
{
    for (size_t i = 0; i < tokens->n; i++) {
        int32_t id = tokens->ids[i];
        if (id >= 0 && (size_t)id < V) continue;
        return error_set_param(err, STATUS_BAD_VALUE, field,
                               "%s: token %zu is %ld, expected an id from 0 to %zu", field, i,
                               (long)id, V - 1);
    }
    return STATUS_OK;
}

enum status request_check_length(const char *field, const struct model *model, size_t n,
                                 size_t max_whole_steps, struct error *err)
{
    if (!network_is_whole(model->network) || n <= max_whole_steps) return STATUS_OK;
    return error_set_param(err, STATUS_TOO_LONG, field,
                           "%s: %zu steps, and this model must read a sequence at once: at most %zu",
                           field, n, max_whole_steps);
}

enum status request_check_state(const struct model *model, const struct job_options *options,
                                const char *field, size_t n_inputs, struct error *err)
{
    const struct state *from = options->from;
    if (!from && !options->keeps) return STATUS_OK;
    if (network_is_whole(model->network))
        return error_set(err, STATUS_UNSUPPORTED, "model '%s' reads whole inputs and cannot go on from one",
                         model->name);
    if (model->pad_length)
        return error_set(err, STATUS_UNSUPPORTED, "model '%s' pads its inputs and cannot go on from one",
                         model->name);
    const size_t *lengths;
    if (model->tokenizer && tokenizer_ngrams(model->tokenizer, &lengths))
        return error_set(err, STATUS_UNSUPPORTED,
                         "model '%s' reads n-grams of whole texts and cannot go on from one", model->name);
    if (n_inputs > 1)
        return error_set_param(err, STATUS_BAD_VALUE, field,
                               "%s has %zu elements, expected one: a state is that of one", field, n_inputs);
    if (from && from->n_floats != network_state_floats(model->network))
        return error_set(err, STATUS_BAD_VALUE, "the state has %zu floats, expected the %zu of model '%s'",
                         from->n_floats, network_state_floats(model->network), model->name);
    return STATUS_OK;
}
