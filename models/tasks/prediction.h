/* prediction: values or labels at every step of an input, or at its last. Any task whose spec begins with a
 * struct prediction_spec. */
#ifndef CAROUSEL_MODELS_PREDICTION_H
#define CAROUSEL_MODELS_PREDICTION_H

#include "models/jobs/reading.h"
#include "models/tasks/tagging.h"

/* Where the scores of the intents are taken from: of the logits at the first step, the last, or their mean.
 * */
enum intent_from { INTENT_MEAN, INTENT_FIRST, INTENT_LAST };

struct prediction_spec {
    bool all;         /* what a request gets that does not say "return" */
    size_t n_intents; /* the last labels, which are of the whole sequence */
    enum intent_from from;
    char transitions[LAYER_PREFIX_BYTES]; /* before the names of their tensors; "": none */
};
/* Of a model whose task can predict. */
static inline const struct prediction_spec *prediction_spec_of(const struct model *model)
{
    return model->spec;
}

/* The labels of a step, which are the first of model->labels; 0: its outputs are plain values. */
size_t prediction_n_labels(const struct model *model);
/* The numbers in a row that belong to the step: scores of those labels, or values. */
size_t prediction_n_values(const struct model *model);

/* The learned transitions between the labels of steps, borrowed from the model. false: it has none. */
bool prediction_transitions(const struct model *model, struct transitions *out);

/* What a reading keeps: rows of those numbers, as the model's activation says, followed by the logits of the
 * intents. `ability` is PREDICT or TAG; the model's task must have it. */
struct reading_want prediction_want(const struct model *model, enum ability ability, enum reading_rows rows);

/* The scores of the n_intents intents, which sum to 1, from the rows of an input that was read whole. */
void prediction_intents(const struct model *model, const float *rows, size_t n_rows, float *scores);

#endif
