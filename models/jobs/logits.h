/* logits: what a network's last layer says, as probabilities. Arithmetic in double, in the order of
 * the elements, so that a result depends on the values alone. Pure; any thread. */
#ifndef CAROUSEL_MODELS_LOGITS_H
#define CAROUSEL_MODELS_LOGITS_H

#include <stddef.h>

#include "models/jobs/tokens.h"

/* The greatest of n >= 1. */
float logits_greatest(const float *logits, size_t n);

/* ln sum_i exp(logits[i]), without overflow: max + ln sum exp(logits[i] - max). n >= 1. Then
 * logits[i] less this is ln p(i). */
double logits_log_sum_exp(const float *logits, size_t n);

/* The same in float32, several times as fast: the error is 2e-6 at most. */
double logits_log_sum_fast(const float *logits, size_t n);

/* p[i] = exp(logits[i]) / sum_j exp(logits[j]); p may be logits. */
void logits_softmax(const float *logits, size_t n, float *p);

/* The n_top likeliest of n, best first, of equals the lower id first; log_sum is
 * logits_log_sum_exp's. If n < n_top the rest have id TOKEN_NONE and NaN. */
void logits_top(const float *logits, size_t n, double log_sum, size_t n_top,
                struct token_logprob *top);

#endif
