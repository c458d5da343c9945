/* tiny: small networks with made-up weights, for tests that need a real network but not a trained one. */
#ifndef CAROUSEL_TESTS_SUPPORT_TINY_H
#define CAROUSEL_TESTS_SUPPORT_TINY_H

#include "core/network/network.h"

/* Weights in (-0.5, 0.5) that depend on the tensor's name and the element's index alone. */
struct tensors *tiny_tensors(void);

/* one_hot(vocabulary) -> lstm(hidden) -> linear(vocabulary). Aborts the test on failure. */
struct network *tiny_generator(size_t vocabulary, size_t hidden);

/* one_hot(vocabulary) -> bidirectional lstm(hidden) -> pooling mean -> linear(labels). */
struct network *tiny_classifier(size_t vocabulary, size_t hidden, size_t labels);

/* The layer spec of `type`; values in the order of its keys, those not given at their fallback. */
struct layer_spec tiny_layer(const char *type, const char *prefix, size_t n, const long *values);

#endif
