/* arrays: plain arithmetic on rows of floats, eight at a time, with the bits of one at a time.
 *
 * The compiler may not do this by itself, because a result may overlap an input as far as it knows. Here a
 * result y may be an input, or lie apart from it. Any thread. */
#ifndef CAROUSEL_CORE_BASE_ARRAYS_H
#define CAROUSEL_CORE_BASE_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>

enum { OCTET = 8 };
typedef float octet __attribute__((vector_size(4 * OCTET), aligned(4), may_alias));

/* Macros: a function that gives so wide a vector would depend on the instructions that it is compiled for. */
#define OCTET_AT(x)         (*(const octet *)(const void *)(x))
#define OCTET_TO(y, values) (*(octet *)(void *)(y) = (values))

/* y[i] = a[i] + b[i] */
static inline void arrays_add(size_t n, const float *a, const float *b, float *y)
{
    size_t i = 0;
    for (; i + OCTET <= n; i += OCTET) OCTET_TO(y + i, OCTET_AT(a + i) + OCTET_AT(b + i));
    for (; i < n; i++) y[i] = a[i] + b[i];
}

/* y[i] = a[i] * b[i] */
static inline void arrays_multiply(size_t n, const float *a, const float *b, float *y)
{
    size_t i = 0;
    for (; i + OCTET <= n; i += OCTET) OCTET_TO(y + i, OCTET_AT(a + i) * OCTET_AT(b + i));
    for (; i < n; i++) y[i] = a[i] * b[i];
}

/* y[i] = (x[i] - mean) * factor */
static inline void arrays_scale(size_t n, const float *x, float mean, float factor, float *y)
{
    size_t i = 0;
    for (; i + OCTET <= n; i += OCTET) OCTET_TO(y + i, (OCTET_AT(x + i) - mean) * factor);
    for (; i < n; i++) y[i] = (x[i] - mean) * factor;
}

/* The sum of x[i] - offset, or of its squares. Value i is added to sum i % 8, in order; then sum k + 4 to sum
 * k, k + 2 to k and k + 1 to k. */
static inline float arrays_sum(size_t n, const float *x, float offset, bool squares)
{
    octet sums = {0};
    size_t i = 0;
    for (; i + OCTET <= n; i += OCTET) {
        octet values = OCTET_AT(x + i) - offset;
        if (squares) values *= values;
        sums += values;
    }
    for (size_t k = 0; i < n; i++, k++) {
        const float value = x[i] - offset;
        sums[k] += squares ? value * value : value;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

#endif
