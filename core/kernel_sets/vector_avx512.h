/* The vector vocabulary of kernel_body.h in AVX-512: 16 floats, 32 registers. */
#ifndef CAROUSEL_CORE_VECTOR_AVX512_H
#define CAROUSEL_CORE_VECTOR_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

/* Vectors side by side in a tile of 1..14 rows: 6 x 4 or 14 x 2 accumulators, and the weights. */
#define TILE_ROWS_ALONE 14
#define TILE_VECTORS \
    { \
        4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2 \
    }

/* One line an instruction: */
/* clang-format off */

typedef __m512 vector;

static inline __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static inline vector vector_load(const float *x) { return _mm512_loadu_ps(x); }
static inline void vector_store(float *y, vector v) { _mm512_storeu_ps(y, v); }
static inline vector vector_load_first(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), x);
}
static inline void vector_store_first(float *y, vector v, size_t n)
{
    _mm512_mask_storeu_ps(y, first_lanes(n), v);
}
static inline vector vector_load_half(const uint16_t *x)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x));
}
static inline vector vector_all(float x) { return _mm512_set1_ps(x); }
static inline vector vector_add(vector a, vector b) { return _mm512_add_ps(a, b); }
static inline vector vector_subtract(vector a, vector b) { return _mm512_sub_ps(a, b); }
static inline vector vector_multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
static inline vector vector_divide(vector a, vector b) { return _mm512_div_ps(a, b); }
static inline vector vector_min(vector a, vector b) { return _mm512_min_ps(a, b); }
static inline vector vector_max(vector a, vector b) { return _mm512_max_ps(a, b); }
static inline vector vector_fma(vector a, vector b, vector c) { return _mm512_fmadd_ps(a, b, c); }

static inline vector vector_scale_by_power(vector a, vector n)
{
    __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), shift));
}

static inline void vector_store_codes(uint8_t *codes, vector v)
{
    __m512i rounded = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(128));
    _mm_storeu_si128((__m128i *)codes, _mm512_cvtepi32_epi8(rounded));
}

#ifdef __AVX512BF16__

static inline void vector_store_bfloat16(uint16_t *codes, vector v)
{
    _mm256_storeu_si256((__m256i *)codes, (__m256i)_mm512_cvtneps_pbh(v));
}

/* One instruction: two products added to each lane, that of the upper halves first. */
typedef __m512i pair;
typedef __m512i pair_weights;

static inline pair pair_all(uint32_t codes) { return _mm512_set1_epi32((int)codes); }
static inline pair_weights pair_load(const char *w, size_t v) { return _mm512_loadu_si512(w + 64 * v); }
static inline vector pair_add(vector acc, pair a, pair_weights w)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)w);
}

#else

static inline void vector_store_bfloat16(uint16_t *codes, vector v)
{
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    _mm256_storeu_si256((__m256i *)codes, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

/* The halves of each lane as floats. */
typedef struct { vector upper, lower; } pair;
typedef pair pair_weights;

static inline pair pair_of(__m512i bits)
{
    return (pair){_mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000))),
                  _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
}
static inline pair pair_all(uint32_t codes) { return pair_of(_mm512_set1_epi32((int)codes)); }
static inline pair_weights pair_load(const char *w, size_t v)
{
    return pair_of(_mm512_loadu_si512(w + 64 * v));
}
static inline vector pair_add(vector acc, pair a, pair_weights w)
{
    return vector_fma(a.lower, w.lower, vector_fma(a.upper, w.upper, acc));
}

#endif

typedef __m512i integers;

static inline integers integers_load(const int32_t *x) { return _mm512_loadu_si512(x); }
static inline integers integers_subtract(integers a, integers b) { return _mm512_sub_epi32(a, b); }
static inline vector integers_to_vector(integers a) { return _mm512_cvtepi32_ps(a); }

#ifdef __AVX512VNNI__

/* One instruction: four products of bytes added to each 32-bit lane. */
#define TILE_SUMS TILE_VECTORS

typedef __m512i sums;
typedef __m512i quad;
typedef __m512i quad_weights;

static inline sums sums_zero(void) { return _mm512_setzero_si512(); }
static inline quad quad_all(const uint64_t *codes) { return _mm512_set1_epi32((int)*codes); }
static inline quad_weights quad_load(const char *w, size_t v) { return _mm512_loadu_si512(w + 64 * v); }
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return _mm512_dpbusd_epi32(s, a, w);
}
static inline integers sums_finish(sums s) { return s; }

#else

/* Exact without VNNI: bytes widened to 16 bits, multiplied and added in pairs; two half sums
 * a lane, in two registers, joined at the end. */
#define TILE_SUMS {4, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1}

typedef struct { __m512i low, high; } sums; /* lanes 0..7 and 8..15, two half sums each */
typedef __m512i quad;
typedef struct { __m512i low, high; } quad_weights;

static inline sums sums_zero(void)
{
    return (sums){_mm512_setzero_si512(), _mm512_setzero_si512()};
}
static inline quad quad_all(const uint64_t *codes)
{
    __m128i wide = _mm_cvtepu8_epi16(_mm_cvtsi32_si128((int)*codes));
    return _mm512_broadcastq_epi64(wide);
}
static inline quad_weights quad_load(const char *w, size_t v)
{
    w += 64 * v;
    return (quad_weights){_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)w)),
                          _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(w + 32)))};
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return (sums){_mm512_add_epi32(s.low, _mm512_madd_epi16(a, w.low)),
                  _mm512_add_epi32(s.high, _mm512_madd_epi16(a, w.high))};
}
static inline integers sums_finish(sums s)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_add_epi32(_mm512_permutex2var_epi32(s.low, even, s.high),
                            _mm512_permutex2var_epi32(s.low, odd, s.high));
}

#endif

#endif
