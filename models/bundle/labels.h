/* labels: the names of a network's outputs, and how these become scores: the sections "labels" and
 * "activation" of a config.json; docs/bundle-format.md. Pure; any thread. */
#ifndef CAROUSEL_MODELS_LABELS_H
#define CAROUSEL_MODELS_LABELS_H

#include "models/bundle/task.h"

/* The network gives as many numbers as the labels and the activation need. */
MUST_CHECK enum status labels_check(const struct parts *parts, struct error *err);

#endif
