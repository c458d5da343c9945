#include "models/text/number.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "models/text/powers.h"

enum {
    FRACTION_BITS = DBL_MANT_DIG - 1,
    BIAS = DBL_MAX_EXP - 1, /* of the exponent in a double's bits */
    INFINITE = 2 * BIAS + 1,
    WORD_BITS = 64
};

/* ---- reading -------------------------------------------------------------------------------- */

const double number_exact_power[NUMBER_EXACT_POWERS] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Below 2^53 the digits are a double, and up to 10^22 the power is: then one operation rounds once. */
static bool round_small(uint64_t digits, int64_t exponent, double *value)
{
    enum { MOST = NUMBER_EXACT_POWERS - 1 };
    const double *exact = number_exact_power;
    if (digits >> DBL_MANT_DIG || exponent < -MOST || exponent > MOST) return false;
    *value = exponent < 0 ? (double)digits / exact[-exponent] : (double)digits * exact[exponent];
    return true;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Multiply by the power's 128 bits. The bits that it leaves out would add less than 2 to the upper two words
 * of the product. So a remainder next to one half decides nothing, unless the power is exact. */
static bool round_product(uint64_t digits, int exponent, double *value)
{
    int zeros = __builtin_clzll(digits);
    wide power = power_of_ten(exponent);
    digits <<= zeros;
    wide low = (wide)digits * (uint64_t)power, high = (wide)digits * (uint64_t)(power >> WORD_BITS);
    high += (uint64_t)(low >> WORD_BITS);
    uint64_t top = (uint64_t)(high >> WORD_BITS);
    int shift = WORD_BITS - DBL_MANT_DIG - !(top >> (WORD_BITS - 1));
    uint64_t mantissa = top >> shift;
    wide rest = high - ((wide)mantissa << (WORD_BITS + shift)), half = (wide)1 << (WORD_BITS + shift - 1);
    bool is_exact = exponent >= POWER_EXACT_LEAST && exponent <= POWER_EXACT_MOST;
    bool is_half = rest == half && !(uint64_t)low;
    if (!is_exact && rest >= half - 1 && rest <= half) return false;
    /* of the lowest bit of the mantissa, in the bits of a double */
    int biased = 2 * WORD_BITS + shift + power_bits(exponent) - 127 - zeros + FRACTION_BITS + BIAS;
    if (biased <= 0) return false;
    mantissa += is_half ? mantissa & 1 : rest >= half;
    biased += (int)(mantissa >> DBL_MANT_DIG); /* it was all ones: the rest is zeros */
    mantissa &= ((uint64_t)1 << FRACTION_BITS) - 1;
    *value = biased < INFINITE ? from_bits((uint64_t)biased << FRACTION_BITS | mantissa) : HUGE_VAL;
    return true;
}

static bool round_digits(uint64_t digits, int64_t exponent, double *value)
{
    if (round_small(digits, exponent, value)) return true;
    *value = exponent < 0 ? 0 : HUGE_VAL;
    if (digits == 0) *value = 0;
    if (digits == 0 || exponent < POWER_LEAST || exponent > DBL_MAX_10_EXP) return true;
    return round_product(digits, (int)exponent, value);
}

bool number_round(const struct decimal *decimal, double *value)
{
    double above;
    if (!round_digits(decimal->digits, decimal->exponent, value)) return false;
    return !decimal->is_cut ||
           (round_digits(decimal->digits + 1, decimal->exponent, &above) && above == *value);
}

/* ---- printing ------------------------------------------------------------------------------- */

/* c * 2^q, and whether the next smaller number is only half as far as the next larger one. */
struct binary {
    uint64_t c;
    int q;
    bool is_edge;
};

struct digits {
    uint64_t digits;
    int exponent; /* of ten */
};

/* The upper bits of power * factor, the last one set if anything lies below: it keeps which side of a
 * boundary the product is on. */
static uint64_t multiply_to_odd(wide power, uint64_t factor)
{
    wide low = (wide)(uint64_t)power * factor, high = (power >> WORD_BITS) * factor;
    high += (uint64_t)(low >> WORD_BITS);
    return (uint64_t)(high >> WORD_BITS) | ((uint64_t)high > 1);
}

/* floor(a / 2^22). */
static int floor_22(int a)
{
    return a >= 0 ? a >> 22 : -((-a + (1 << 22) - 1) >> 22);
}

/* The number and the ends of the interval that rounds to it, in units of 10^k / 4. The interval holds at most
 * one multiple of 10^(k + 1), which is shorter, or else one or two of 10^k. */
static struct digits shortest(const struct binary *number)
{
    enum { LOG10_2 = 1262611, LOG10_4_3 = 524031 }; /* times 2^22 */
    int k = floor_22(number->q * LOG10_2 - (number->is_edge ? LOG10_4_3 : 0));
    int shift = number->q + power_bits(-k) + 1;
    bool is_exact = -k >= POWER_EXACT_LEAST && -k <= POWER_EXACT_MOST, is_odd = number->c & 1;
    wide power = power_of_ten(-k) + !is_exact; /* from above */
    uint64_t lower = multiply_to_odd(power, (4 * number->c - 2 + number->is_edge) << shift) + is_odd;
    uint64_t middle = multiply_to_odd(power, (4 * number->c) << shift);
    uint64_t upper = multiply_to_odd(power, (4 * number->c + 2) << shift) - is_odd;
    uint64_t s = middle / 4, tens = s / 10;
    bool below = lower <= 40 * tens, above = 40 * tens + 40 <= upper;
    if (s >= 10 && below != above) return (struct digits){tens + above, k + 1};
    below = lower <= 4 * s;
    above = 4 * s + 4 <= upper;
    if (below != above) return (struct digits){s + above, k};
    uint64_t half = 4 * s + 2;
    return (struct digits){s + (middle > half || (middle == half && (s & 1))), k};
}

static int print_digits(char *out, uint64_t digits)
{
    char text[24], *end = text + sizeof text, *at = end;
    do *--at = (char)('0' + digits % 10);
    while (digits /= 10);
    memcpy(out, at, (size_t)(end - at));
    return (int)(end - at);
}

/* 1.5e+20; `digits` are n. */
static int print_exponent(char *out, const char *digits, int n, int exponent)
{
    char *at = out;
    *at++ = digits[0];
    if (n > 1) *at++ = '.';
    memcpy(at, digits + 1, (size_t)n - 1);
    at += n - 1;
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) *at++ = '0';
    return (int)(at - out) + print_digits(at, (uint64_t)exponent);
}

/* As %g prints with as many digits, or `least` if that is more. */
static int print_decimal(char *out, struct digits number, int least)
{
    char digits[24];
    while (number.digits % 10 == 0) number = (struct digits){number.digits / 10, number.exponent + 1};
    int n = print_digits(digits, number.digits), exponent = number.exponent + n - 1;
    if (exponent < -4 || exponent >= (n > least ? n : least)) return print_exponent(out, digits, n, exponent);
    int before = exponent >= 0 ? exponent + 1 : 1, zeros = exponent < 0 ? -exponent - 1 : 0;
    int whole = exponent < 0 ? 0 : n < before ? n : before; /* digits before the point */
    memset(out, '0', (size_t)before);
    memcpy(out, digits, (size_t)whole);
    if (whole == n) return before;
    out[before] = '.';
    memset(out + before + 1, '0', (size_t)zeros);
    memcpy(out + before + 1 + zeros, digits + whole, (size_t)(n - whole));
    return before + 1 + zeros + n - whole;
}

/* `least`: up to so many digits before the point, no exponent is written. */
static int print_number(char out[NUMBER_BYTES], bool is_negative, const struct binary *number, int least)
{
    int n = is_negative;
    if (is_negative) out[0] = '-';
    if (number->c) n += print_decimal(out + n, shortest(number), least);
    else out[n++] = '0';
    out[n] = '\0';
    return n;
}

int number_print(char out[NUMBER_BYTES], double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & (((uint64_t)1 << FRACTION_BITS) - 1);
    int biased = (int)(bits >> FRACTION_BITS & INFINITE);
    const struct binary number = {.c = biased ? fraction | (uint64_t)1 << FRACTION_BITS : fraction,
                                  .q = (biased ? biased : 1) - BIAS - FRACTION_BITS,
                                  .is_edge = fraction == 0 && biased > 1};
    return print_number(out, bits >> 63, &number, DBL_DIG);
}

int number_print_float(char out[NUMBER_BYTES], float value)
{
    enum { BITS = FLT_MANT_DIG - 1, FLOAT_BIAS = FLT_MAX_EXP - 1 };
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t fraction = bits & (((uint32_t)1 << BITS) - 1);
    int biased = (int)(bits >> BITS & (2 * FLOAT_BIAS + 1));
    const struct binary number = {.c = biased ? fraction | (uint32_t)1 << BITS : fraction,
                                  .q = (biased ? biased : 1) - FLOAT_BIAS - BITS,
                                  .is_edge = fraction == 0 && biased > 1};
    return print_number(out, bits >> 31, &number, FLT_DIG);
}

int number_print_thousandths(char out[NUMBER_BYTES], double value)
{
    char *end = out + NUMBER_BYTES - 1, *at = end;
    uint64_t rest = (uint64_t)(value * 1000 + 0.5);
    for (int place = 0; place < 3; place++, rest /= 10) *--at = (char)('0' + rest % 10);
    *--at = '.';
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    memmove(out, at, (size_t)(end - at));
    out[end - at] = '\0';
    return (int)(end - at);
}
