/* The powers of five, up and down, in a number of LIMBS words: 10^n has the leading bits of 5^n. */
#include "models/text/powers.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

/* 5^324 has 753 bits. Downwards it begins with 2^1023, of which floor(2^1023 / 5^342) keeps 229 bits. */
enum { LIMBS = 16, WORD_BITS = 64 };

static wide powers[POWER_MOST - POWER_LEAST + 1];

/* Lowest word first. */
static void multiply_by_5(uint64_t number[LIMBS])
{
    uint64_t carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        wide product = (wide)number[i] * 5 + carry;
        number[i] = (uint64_t)product;
        carry = (uint64_t)(product >> WORD_BITS);
    }
}

/* floor(floor(x / a) / b) is floor(x / (a b)), so that step after step gives the floor of the whole. */
static void divide_by_5(uint64_t number[LIMBS])
{
    uint64_t rest = 0;
    for (size_t i = LIMBS; i-- > 0;) {
        wide dividend = (wide)rest << WORD_BITS | number[i];
        number[i] = (uint64_t)(dividend / 5);
        rest = (uint64_t)(dividend % 5);
    }
}

static wide leading_bits(const uint64_t number[LIMBS])
{
    size_t top = LIMBS - 1;
    while (!number[top]) top--;
    int zeros = __builtin_clzll(number[top]);
    uint64_t words[3]; /* highest first */
    for (size_t i = 0; i < 3; i++) words[i] = i <= top ? number[top - i] : 0;
    wide leading = (wide)words[0] << WORD_BITS | words[1];
    return zeros ? leading << zeros | words[2] >> (WORD_BITS - zeros) : leading;
}

static void compute(void)
{
    uint64_t number[LIMBS] = {1};
    for (int exponent = 0; exponent <= POWER_MOST; exponent++) {
        powers[exponent - POWER_LEAST] = leading_bits(number);
        multiply_by_5(number);
    }
    memset(number, 0, sizeof number);
    number[LIMBS - 1] = (uint64_t)1 << (WORD_BITS - 1);
    for (int exponent = -1; exponent >= POWER_LEAST; exponent--) {
        divide_by_5(number);
        powers[exponent - POWER_LEAST] = leading_bits(number);
    }
}

wide power_of_ten(int exponent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compute);
    return powers[exponent - POWER_LEAST];
}

/* 217706 / 2^16 is a little less than log2(10), close enough for each of them. */
int power_bits(int exponent)
{
    int product = exponent * 217706;
    return product >= 0 ? product >> 16 : -((-product + 65535) >> 16);
}
