#include "models/jobs/logits.h"

#include <math.h>

#include "core/kernels/kernels.h"
#include "models/tokenizers/tokenizer.h"

float logits_greatest(const float *logits, size_t n)
{
    return kernels_active()->greatest(n, logits);
}

double logits_log_sum_exp(const float *logits, size_t n)
{
    double max = (double)logits_greatest(logits, n), sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum);
}

double logits_log_sum_fast(const float *logits, size_t n)
{
    const float max = logits_greatest(logits, n);
    return (double)max + log(kernels_active()->exp_sum(n, logits, max));
}

void logits_softmax(const float *logits, size_t n, float *p)
{
    double log_sum = logits_log_sum_exp(logits, n);
    for (size_t i = 0; i < n; i++) p[i] = (float)exp((double)logits[i] - log_sum);
}

void logits_top(const float *logits, size_t n, double log_sum, size_t n_top,
                struct token_logprob *top)
{
    size_t n_found = 0;
    for (size_t i = 0; i < n && n_top > 0; i++) {
        if (n_found == n_top && !(logits[i] > logits[top[n_top - 1].id])) continue;
        size_t at = n_found < n_top ? n_found++ : n_top - 1;
        for (; at > 0 && logits[i] > logits[top[at - 1].id]; at--) top[at] = top[at - 1];
        top[at].id = (int32_t)i;
    }
    for (size_t j = 0; j < n_found; j++)
        top[j].logprob = (float)((double)logits[top[j].id] - log_sum);
    for (size_t j = n_found; j < n_top; j++)
        top[j] = (struct token_logprob){.id = TOKEN_NONE, .logprob = NAN};
}
