#include "models/jobs/logits.h"

#include <math.h>

#include <string.h>

#include "models/tokenizers/tokenizer.h"

enum { LANES = 8 }; /* side by side, so that the compiler makes vectors */

static float greatest(const float *x, size_t n)
{
    float max[LANES], most = x[0];
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++) max[k] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) max[k] = x[i + k] > max[k] ? x[i + k] : max[k];
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t k = 0; k < LANES; k++) most = max[k] > most ? max[k] : most;
    return most;
}

double logits_log_sum_exp(const float *logits, size_t n)
{
    double max = (double)greatest(logits, n), sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum);
}

/* sums[k] += exp(x[k] - max), which is below 1. As core/kernels/kernel_units.h does it: exp(x) = 2^n 2^r, n
 * found by adding 1.5 * 2^23, 2^r a polynomial, n added to the exponent. Below exp(-29), exp(-29). */
static void add_exp(const float x[LANES], float max, double sums[LANES])
{
    const float log2_e = 1.44269504088896341f, shift = 0x1.8p23f, least = -29 * 1.44269504088896341f;
    float y[LANES], shifted[LANES], p[LANES];
    uint32_t n[LANES], bits[LANES];
    for (size_t k = 0; k < LANES; k++) y[k] = (x[k] - max) * log2_e;
    for (size_t k = 0; k < LANES; k++) y[k] = y[k] > least ? y[k] : least;
    for (size_t k = 0; k < LANES; k++) {
        shifted[k] = y[k] + shift;
        float r = y[k] - (shifted[k] - shift), q = 0x1.5bba14p-10f;
        q = q * r + 0x1.3cea88p-7f;
        q = q * r + 0x1.c6b752p-5f;
        q = q * r + 0x1.ebf9bcp-3f;
        q = q * r + 0x1.62e42ap-1f;
        p[k] = q * r + 1;
    }
    memcpy(n, shifted, sizeof n);
    memcpy(bits, p, sizeof bits);
    for (size_t k = 0; k < LANES; k++) bits[k] += n[k] << 23; /* the low bits of n are the integer */
    memcpy(p, bits, sizeof p);
    for (size_t k = 0; k < LANES; k++) sums[k] += (double)p[k];
}

double logits_log_sum_fast(const float *logits, size_t n)
{
    const float max = greatest(logits, n);
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) add_exp(logits + i, max, sums);
    for (; i < n; i++) sum += exp((double)logits[i] - (double)max);
    for (size_t k = 0; k < LANES; k++) sum += sums[k];
    return (double)max + log(sum);
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
