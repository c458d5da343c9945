/* scores: a network's outputs as a bundle wants them read: raw, as probabilities that sum to 1, or each by
 * itself. One output by sigmoid with two labels scores both: a high output means the second. Pure; any
 * thread. */
#ifndef CAROUSEL_MODELS_SCORES_H
#define CAROUSEL_MODELS_SCORES_H

#include "models/bundle/model.h"

/* How many scores n outputs give for n_labels labels (0: they have none): n, or 2. */
size_t scores_width(enum activation activation, size_t n, size_t n_labels);

/* Write those scores. */
void scores_put(enum activation activation, const float *outputs, size_t n, size_t n_labels, float *scores);

struct label_rank {
    size_t label; /* its index in model.labels */
    float score;
};
/* Order n scores into ranks[n]: the best first, equal scores in the order of the labels. */
void scores_rank(const float *scores, size_t n, struct label_rank *ranks);

#endif
