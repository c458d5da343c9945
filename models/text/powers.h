/* powers: the powers of ten as 128 leading bits, for reading and printing numbers (models/text/number.h).
 *
 * They are computed once, in whole numbers, by the first call. Pure afterwards; any thread. */
#ifndef CAROUSEL_MODELS_POWERS_H
#define CAROUSEL_MODELS_POWERS_H

#include <stdint.h>

/* Below, the product with 19 digits is no double but 0; above, no double needs one. */
enum { POWER_LEAST = -342, POWER_MOST = 324 };

/* Powers of ten that are whole and fit into 128 bits beside their powers of two. */
enum { POWER_EXACT_LEAST = 0, POWER_EXACT_MOST = 55 };

__extension__ typedef unsigned __int128 wide;

/* floor(10^exponent / 2^b), in [2^127, 2^128), where b is power_bits(exponent) - 127. It is the power
 * itself from POWER_EXACT_LEAST to POWER_EXACT_MOST, and otherwise less than it, by less than 1.
 * POWER_LEAST <= exponent <= POWER_MOST. */
wide power_of_ten(int exponent);

/* floor(log2(10^exponent)), for |exponent| <= 1000. */
int power_bits(int exponent);

#endif
