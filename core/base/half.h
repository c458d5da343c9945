/* half: float16 (IEEE 754-2008, binary16) as bits. Without branches, so that loops over them become vectors
 * (core/kernels/convert.c). Pure; any thread. */
#ifndef CAROUSEL_CORE_HALF_H
#define CAROUSEL_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t half_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The nearest half, ties to even. |x| <= 65504. A float's magnitude scaled by 2^-112 has the half's exponent.
 * Below 2^-14, the least normal half, adding 0.5 leaves the half's bits at the bottom. */
static inline uint16_t half_of(float x)
{
    const uint32_t bits = half_bits_of_float(x);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    const uint32_t small = half_bits_of_float(half_float_of_bits(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
    return (uint16_t)(sign | (magnitude < 0x38800000 ? small : normal));
}

/* The float that the half is, exactly; infinity and NaN stay what they are. A half has 5 exponent bits with
 * bias 15, a float 8 with bias 127. Moved into place, the exponent is 112 too small, which a product with
 * 2^112 mends, for subnormal numbers too. */
static inline float half_float(uint16_t half)
{
    const uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t full = magnitude >= 0x0f800000 ? 0x7f800000 : 0;
    const uint32_t scaled = half_bits_of_float(half_float_of_bits(magnitude) * 0x1p112f) | full;
    return half_float_of_bits(scaled | (uint32_t)(half & 0x8000) << 16);
}

#endif
