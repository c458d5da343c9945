/* classification: whole sequences to labels. */
#ifndef CAROUSEL_MODELS_CLASSIFICATION_H
#define CAROUSEL_MODELS_CLASSIFICATION_H

#include "models/jobs/reading.h"

/* What a reading keeps: the probabilities of the labels, one row an input. A row sums to 1, except by sigmoid
 * with an output a label: there each label has a probability of its own. */
struct reading_want classification_want(const struct model *model);

#endif
