#include "models/tasks/prediction.h"

#include <string.h>

#include "models/jobs/logits.h"
#include "models/jobs/scores.h"

/* The outputs that belong to a step; those of the intents follow them. */
static size_t n_outputs(const struct model *model)
{
    return network_output_size(model->network) - prediction_spec_of(model)->n_intents;
}

size_t prediction_n_labels(const struct model *model)
{
    return model->n_labels - prediction_spec_of(model)->n_intents;
}

size_t prediction_n_values(const struct model *model)
{
    return scores_width(model->activation, n_outputs(model), prediction_n_labels(model));
}

bool prediction_transitions(const struct model *model, struct transitions *out)
{
    size_t n = prediction_n_labels(model);
    if (!model->numbers) return false;
    *out = (struct transitions){model->numbers, model->numbers + n * n, model->numbers + n * n + n};
    return true;
}

static void put(const struct model *model, const float *output, float *row)
{
    size_t n = n_outputs(model), n_intents = prediction_spec_of(model)->n_intents;
    scores_put(model->activation, output, n, prediction_n_labels(model), row);
    memcpy(row + prediction_n_values(model), output + n, n_intents * sizeof *row);
}

struct reading_want prediction_want(const struct model *model, enum ability ability, enum reading_rows rows)
{
    size_t width = prediction_n_values(model) + prediction_spec_of(model)->n_intents;
    return (struct reading_want){.ability = ability, .rows = rows, .put = put, .width = width};
}

void prediction_intents(const struct model *model, const float *rows, size_t n_rows, float *scores)
{
    const struct prediction_spec *spec = prediction_spec_of(model);
    size_t n = prediction_n_values(model), width = n + spec->n_intents;
    size_t first = spec->from == INTENT_LAST ? n_rows - 1 : 0;
    size_t end = spec->from == INTENT_FIRST ? 1 : n_rows;
    for (size_t k = 0; k < spec->n_intents; k++) {
        double sum = 0;
        for (size_t t = first; t < end; t++) sum += (double)rows[t * width + n + k];
        scores[k] = (float)(sum / (double)(end - first));
    }
    logits_softmax(scores, spec->n_intents, scores);
}
