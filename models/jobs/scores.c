#include "models/jobs/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/jobs/logits.h"

size_t scores_width(enum activation activation, size_t n, size_t n_labels)
{
    return activation == ACTIVATION_SIGMOID && n == 1 && n_labels == 2 ? 2 : n;
}

static float sigmoid(double x)
{
    return (float)(1 / (1 + exp(-x)));
}

void scores_put(enum activation activation, const float *outputs, size_t n, size_t n_labels, float *scores)
{
    switch (activation) {
    case ACTIVATION_SOFTMAX: logits_softmax(outputs, n, scores); return;
    case ACTIVATION_NONE: memcpy(scores, outputs, n * sizeof *scores); return;
    case ACTIVATION_SIGMOID: break;
    }
    if (scores_width(activation, n, n_labels) > n) {
        scores[0] = sigmoid(-(double)outputs[0]);
        scores[1] = sigmoid((double)outputs[0]);
        return;
    }
    for (size_t i = 0; i < n; i++) scores[i] = sigmoid((double)outputs[i]);
}

static int compare_ranks(const void *a, const void *b)
{
    const struct label_rank *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

void scores_rank(const float *scores, size_t n, struct label_rank *ranks)
{
    for (size_t i = 0; i < n; i++) ranks[i] = (struct label_rank){i, scores[i]};
    qsort(ranks, n, sizeof *ranks, compare_ranks);
}
