/* classification: a whole sequence to one label. Tasks text-classification and sequence-classification. */
#ifndef CAROUSEL_MODELS_CLASSIFICATION_H
#define CAROUSEL_MODELS_CLASSIFICATION_H

#include "models/generation.h"

struct classification_input {
    struct token_span tokens; /* text-classification: n >= 1, without bos and eos, which the model adds */
    const float *features;    /* sequence-classification: [n_steps, input_size], unscaled, finite */
    size_t n_steps;
};

struct classification;

/* Inputs are copied. STATUS_TOO_LONG where a sequence must ride whole and is longer than max_whole_steps
 * (scheduler_max_rows). */
enum status classification_new(struct model *model, const struct classification_input *inputs,
                               size_t n, size_t max_whole_steps,
                               const struct job_options *options, struct classification **out,
                               struct error *err) MUST_CHECK;
struct job *classification_job(struct classification *classification);
/* Probabilities [n, n_labels] (softmax), once finished. */
const float *classification_scores(const struct classification *classification);

#endif
