/* dot: the inner product of two rows of n floats, in sums side by side, which the compiler makes vectors of,
 * then added up from the first to the last: one order for every processor. Pure; any thread. */
#ifndef CAROUSEL_CORE_DOT_H
#define CAROUSEL_CORE_DOT_H

#include <stddef.h>

enum { LANES = 16 };

static inline float dot(size_t n, const float *x, const float *y)
{
    float sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) sums[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sums[i % LANES] += x[i] * y[i];
    for (size_t k = 0; k < LANES; k++) sum += sums[k];
    return sum;
}

#endif
