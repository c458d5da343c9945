/* scoring: how likely a model finds a given text. Task text-generation.
 *
 * The log-likelihood is the sum of ln p(token t | tokens before t). Without a bos_token the first token of a
 * text has nothing before it and is not scored. */
#ifndef CAROUSEL_MODELS_SCORING_H
#define CAROUSEL_MODELS_SCORING_H

#include "models/generation/generation.h"

struct scoring_item {
    struct token_span context; /* read but not scored; may be empty */
    struct token_span text;    /* scored, at least one token that has one before it */
};

struct scoring_result {
    double log_likelihood; /* nats */
    size_t n_scored;       /* tokens in the sum */
};

struct scoring;

/* Score items[0..n). `n_choices`: 0 if each item is an input; else the items are so many choices for each
 * input, input by input. An error names the element of 'input' or 'choices' that is at fault. */
enum status scoring_new(struct model *model, const struct scoring_item *items, size_t n, size_t n_choices,
                        const struct job_options *options, struct scoring **out,
                        struct error *err) MUST_CHECK;
struct job *scoring_job(struct scoring *scoring);
const struct scoring_result *scoring_results(const struct scoring *scoring); /* [n], once finished */

#endif
