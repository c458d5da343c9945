/* convert: numbers from one form to another, as bundles hold them and matrices keep them.
 *
 * Loops without branches, so that the compiler makes vectors of them; a load spends its time here. Every form
 * is little-endian, as all machines are on which this runs. Pure; any thread; pointers need no alignment but
 * their type's, and `in` of bytes none. Ranges do not overlap. */
#ifndef CAROUSEL_CORE_CONVERT_H
#define CAROUSEL_CORE_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* IEEE 754 binary16, subnormals included; infinity and NaN stay infinite and NaN. */
void convert_from_float16(const uint8_t *in, size_t n, float *out);
void convert_from_bfloat16(const uint8_t *in, size_t n, float *out);
/* The nearest, ties to even. float16: |x| <= 65504. bfloat16: finite x; what would round to infinity becomes
 * the largest number. */
void convert_to_float16(const float *in, size_t n, uint16_t *out);
void convert_to_bfloat16(const float *in, size_t n, uint16_t *out);
/* The codes round(x * 127 / largest), ties to even, computed in double; |x| <= largest, and largest > 0. */
void convert_to_int8(const float *in, size_t n, float largest, int8_t *out);

/* The largest |x|, or 0 of none; any number if one is NaN. */
float convert_largest(const float *in, size_t n);
/* true if |x| <= limit for all, so none is NaN. */
bool convert_is_within(const float *in, size_t n, float limit);

#endif
