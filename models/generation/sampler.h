/* sampler: from logits to one token.
 *
 * A sampler is what a request asked for; it is immutable and shared by the request's choices. In
 * this order (x are the logits, V of them, in double):
 *
 *   repetition_penalty r  x / r if x > 0, else x * r, for tokens of prompt or output (Keskar et
 *                         al., "CTRL", 2019)
 *   presence, frequency   x - presence - frequency * count, for tokens of the output
 *   logit_bias            x + bias
 *   no_repeat_ngram_size  x = -infinity for tokens that would repeat a run of the text (ngrams.h), unless no
 *                         token would be left
 *   temperature T         w = exp((x - max x) / T): probabilities, not yet divided by their sum
 *   top_k                 only the k greatest
 *   top_p                 of these, best first, the fewest whose sum reaches top_p of theirs
 *                         (Holtzman et al., "The curious case of neural text degeneration", 2020)
 *   min_p                 of these, those with w >= min_p of the greatest (Nguyen et al., 2024)
 *   one draw u            the first token at which the running sum passes u * the sum: in order of
 *                         ids, or best first if top_k or top_p is set
 *
 * Of equal logits the lower id is the greater. Temperatures below 1e-6 are greedy: the greatest,
 * without a draw. A logit that is not finite counts as the least or the greatest float. The
 * same logits, counts and stream give the same token, always. */
#ifndef CAROUSEL_MODELS_SAMPLER_H
#define CAROUSEL_MODELS_SAMPLER_H

#include <stdbool.h>

#include "models/jobs/arena.h"
#include "models/generation/generation.h"
#include "models/jobs/random.h"
#include "models/generation/ngrams.h"

struct sampler {
    size_t V;
    double temperature, top_p, min_p;
    double repetition_penalty, presence_penalty, frequency_penalty;
    size_t top_k;
    size_t no_repeat_ngram_size;     /* 0: runs may be repeated */
    const struct logit_bias *biases; /* [n_biases] */
    size_t n_biases;
};

/* Scratch, one thread at a time. */
struct sampler_candidate {
    double x;
    int32_t id;
};
struct sampler_scratch {
    double *x;                       /* [V] */
    struct sampler_candidate *heap;  /* [V], NULL if nothing is cut */
};

/* Which parts a sampler needs: counts, a heap. */
bool sampler_has_penalties(const struct sampler *sampler);
bool sampler_has_cut(const struct sampler *sampler);

/* Cut scratch for `sampler` from an arena. */
void sampler_scratch_take(const struct sampler *sampler, struct arena *arena,
                          struct sampler_scratch *scratch);

/* What a choice has seen: counts[id] is how often the output has the token, with SAMPLER_PROMPT set
 * if the prompt has it. */
#define SAMPLER_PROMPT 0x80000000u

/* logits [V]; counts [V], or NULL if there are no penalties; `ngrams` is the text so far, and may be NULL.
 * Allocates nothing. */
int32_t sampler_draw(const struct sampler *sampler, const float *logits, const uint32_t *counts,
                     const struct ngrams *ngrams, struct random *random,
                     const struct sampler_scratch *scratch);

#endif
