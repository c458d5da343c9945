/* The vector vocabulary of kernel_body.h in C with the vector types of gcc and clang: 4
 * floats, whatever the machine. The multiply-add rounds twice. */
#ifndef CAROUSEL_CORE_VECTOR_PORTABLE_H
#define CAROUSEL_CORE_VECTOR_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 4 };

/* Vectors side by side in a tile of 1..6 rows, for 16 registers. */
#define TILE_ROWS_ALONE 6
#define TILE_VECTORS \
    { \
        8, 4, 4, 2, 2, 2 \
    }
#define TILE_SUMS \
    { \
        4, 4, 4, 2, 2, 2 \
    }

/* One line an instruction: */
/* clang-format off */

typedef float vector __attribute__((vector_size(16)));
typedef int32_t integers __attribute__((vector_size(16)));
typedef uint32_t bits __attribute__((vector_size(16)));

static inline vector vector_load(const float *x)
{
    vector v;
    memcpy(&v, x, sizeof v);
    return v;
}
static inline void vector_store(float *y, vector v) { memcpy(y, &v, sizeof v); }
static inline vector vector_load_first(const float *x, size_t n)
{
    vector v = {0};
    memcpy(&v, x, n * sizeof *x);
    return v;
}
static inline void vector_store_first(float *y, vector v, size_t n)
{
    memcpy(y, &v, n * sizeof *y);
}

/* Half to float, exactly: the exponent is moved by multiplying with a power of two, which also
 * normalises subnormal halves. Infinities do not occur (struct matrix refuses them). */
static inline vector vector_load_half(const uint16_t *x)
{
    const vector power = {0x1p112f, 0x1p112f, 0x1p112f, 0x1p112f};
    uint16_t __attribute__((vector_size(8))) four;
    memcpy(&four, x, sizeof four);
    const integers half = __builtin_convertvector(four, integers);
    integers magnitude = (half & 0x7fff) << 13;
    integers sign = (integers)(((half & 0x8000) != 0) & INT32_MIN);
    return (vector)((integers)((vector)magnitude * power) | sign);
}
static inline vector vector_all(float x) { return (vector){x, x, x, x}; }
static inline vector vector_add(vector a, vector b) { return a + b; }
static inline vector vector_subtract(vector a, vector b) { return a - b; }
static inline vector vector_multiply(vector a, vector b) { return a * b; }
static inline vector vector_divide(vector a, vector b) { return a / b; }
static inline vector vector_select(integers mask, vector a, vector b)
{
    return (vector)((mask & (integers)a) | (~mask & (integers)b));
}
static inline vector vector_min(vector a, vector b)
{
    return vector_select((integers)(a < b), a, b);
}
static inline vector vector_max(vector a, vector b)
{
    return vector_select((integers)(a > b), a, b);
}
static inline vector vector_fma(vector a, vector b, vector c) { return a * b + c; }

static inline vector vector_scale_by_power(vector a, vector n)
{
    return (vector)((bits)a + ((bits)n << 23));
}

static inline void vector_store_codes(uint8_t *codes, vector v)
{
    for (size_t i = 0; i < LANES; i++) codes[i] = (uint8_t)(lrintf(v[i]) + 128);
}

static inline void vector_store_bfloat16(uint16_t *codes, vector v)
{
    typedef uint16_t halves __attribute__((vector_size(8)));
    const bits whole = (bits)v, rounded = whole + (whole >> 16 & 1) + 0x7fff;
    const halves upper = __builtin_convertvector(rounded >> 16, halves);
    memcpy(codes, &upper, sizeof upper);
}

/* The halves of each lane as floats. */
typedef struct { vector upper, lower; } pair;
typedef pair pair_weights;

static inline pair pair_of(bits both)
{
    return (pair){(vector)(both & 0xffff0000), (vector)(both << 16)};
}
static inline pair pair_all(uint32_t codes)
{
    return pair_of((bits){codes, codes, codes, codes});
}
static inline pair_weights pair_load(const char *w, size_t v)
{
    bits both;
    memcpy(&both, w + sizeof both * v, sizeof both);
    return pair_of(both);
}
static inline vector pair_add(vector acc, pair a, pair_weights w)
{
    return vector_fma(a.lower, w.lower, vector_fma(a.upper, w.upper, acc));
}

static inline integers integers_load(const int32_t *x)
{
    integers v;
    memcpy(&v, x, sizeof v);
    return v;
}
static inline integers integers_subtract(integers a, integers b) { return a - b; }
static inline vector integers_to_vector(integers a)
{
    return __builtin_convertvector(a, vector);
}

/* A product of a code and a weight fits 16 bits (255 * 127), two of them do not: products of pairs
 * are widened by shifts as they are added. Two half sums a lane, in two vectors, joined at the end. */
typedef int16_t words __attribute__((vector_size(16)));
typedef int8_t eight_bytes __attribute__((vector_size(8)));
typedef struct { integers low, high; } sums; /* lanes 0..1 and 2..3, two half sums each */
typedef words quad;
typedef struct { words low, high; } quad_weights;

static inline sums sums_zero(void) { return (sums){{0}, {0}}; }
static inline quad quad_all(const uint64_t *codes)
{
    const int16_t a = *codes & 0xff, b = *codes >> 8 & 0xff, c = *codes >> 16 & 0xff,
                  d = (int16_t)(*codes >> 24);
    return (quad){a, b, c, d, a, b, c, d};
}
static inline words words_load(const char *w)
{
    eight_bytes bytes;
    memcpy(&bytes, w, sizeof bytes);
    return __builtin_convertvector(bytes, words);
}
static inline quad_weights quad_load(const char *w, size_t v)
{
    w += 16 * v;
    return (quad_weights){words_load(w), words_load(w + 8)};
}
static inline integers pairs_sum(words a)
{
    const integers two = (integers)a;
    return ((two << 16) >> 16) + (two >> 16);
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return (sums){s.low + pairs_sum(a * w.low), s.high + pairs_sum(a * w.high)};
}
static inline integers sums_finish(sums s)
{
    return (integers){s.low[0] + s.low[1], s.low[2] + s.low[3], s.high[0] + s.high[1],
                      s.high[2] + s.high[3]};
}

#endif
