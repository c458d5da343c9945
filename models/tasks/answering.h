/* answering: the job that reads a question and then the text that it is about (the context), and says which
 * of the model's labels is the answer.
 *
 * The network reads both in one sequence: the tokens of the question, those of the context, with bos and eos
 * around them if the model puts any. Its last output scores the labels. A bundle whose "answering" says
 * "supporting" has one output more at each step: the logit that the answer rests on the sentence that ends
 * there. Pure; any thread. */
#ifndef CAROUSEL_MODELS_ANSWERING_H
#define CAROUSEL_MODELS_ANSWERING_H

#include "models/jobs/reading.h"

/* config.json's "answering". */
struct answering_spec {
    bool supporting; /* the network has the output for sentences */
};
/* Of a model whose task can answer. */
static inline const struct answering_spec *answering_spec_of(const struct model *model)
{
    return model->spec;
}

/* Write the tokens of a question and of its context one behind the other: out[question->n + context->n]. */
void answering_join(const struct token_span *question, const struct token_span *context, int32_t *out);

/* The same for the input of a golden case: {"question": text, "context": text}. task->steps. */
enum status answering_steps(const struct model *model, const struct json *input, struct steps *out,
                            struct error *err) MUST_CHECK;

/* What a reading keeps: a row of the labels' scores, which sum to 1, and behind them, if the model tells it,
 * the probability that the answer rests on the sentence that ends there. Such a model keeps a row a step,
 * others the last one. */
struct reading_want answering_want(const struct model *model);

/* Of the rows of an input: the scores[n_labels] of the answers. */
const float *answering_scores(const struct model *model, const float *rows, size_t n_rows);
/* Of a model that tells it: the probability for the sentence whose last token is at `step`, below n_rows. */
float answering_support(const struct model *model, const float *rows, size_t step);

#endif
