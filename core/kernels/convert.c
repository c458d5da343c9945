#include "core/kernels/convert.h"

#include <math.h>
#include <string.h>

#include "core/base/half.h"

void convert_from_float16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, in + 2 * i, sizeof half);
        out[i] = half_float(half);
    }
}

void convert_from_bfloat16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, in + 2 * i, sizeof code);
        out[i] = half_float_of_bits((uint32_t)code << 16);
    }
}

void convert_to_float16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = half_of(in[i]);
}

void convert_to_bfloat16(const float *in, size_t n, uint16_t *out)
{
    const uint32_t largest = 0x7f7f0000; /* the largest finite bfloat16, as a float's bits */
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = half_bits_of_float(in[i]), sign = bits & 0x80000000;
        uint32_t magnitude = bits & 0x7fffffff;
        magnitude = magnitude > largest ? largest : magnitude;
        out[i] = (uint16_t)((sign | (magnitude + 0x7fff + (magnitude >> 16 & 1))) >> 16);
    }
}

/* Adding and taking off 1.5 * 2^52 rounds a double to a whole number, ties to even. */
void convert_to_int8(const float *in, size_t n, float largest, int8_t *out)
{
    const double divisor = (double)largest;
    for (size_t i = 0; i < n; i++)
        out[i] = (int8_t)(int32_t)((double)in[i] * 127 / divisor + 0x1.8p52 - 0x1.8p52);
}

float convert_largest(const float *in, size_t n)
{
    uint32_t largest = 0; /* magnitudes are in the order of their bits */
    for (size_t i = 0; i < n; i++) {
        const uint32_t magnitude = half_bits_of_float(in[i]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    return half_float_of_bits(largest);
}

bool convert_is_within(const float *in, size_t n, float limit)
{
    unsigned outside = 0;
    for (size_t i = 0; i < n; i++) outside |= !(fabsf(in[i]) <= limit);
    return !outside;
}
