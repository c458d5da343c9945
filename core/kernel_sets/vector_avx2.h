/* The vector vocabulary of kernel_body.h in AVX2 with FMA and F16C: 8 floats, 16 registers. */
#ifndef CAROUSEL_CORE_VECTOR_AVX2_H
#define CAROUSEL_CORE_VECTOR_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

/* Vectors side by side in a tile of 1..6 rows: at least 8 chains of fma if the rows allow it, and no
 * more than 12 accumulators, so that weights and activations fit beside them. */
#define TILE_ROWS_ALONE 6
#define TILE_VECTORS \
    { \
        8, 4, 4, 2, 2, 2 \
    }

/* One line an instruction: */
/* clang-format off */

typedef __m256 vector;

static inline __m256i first_lanes(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline vector vector_load(const float *x) { return _mm256_loadu_ps(x); }
static inline void vector_store(float *y, vector v) { _mm256_storeu_ps(y, v); }
static inline vector vector_load_first(const float *x, size_t n)
{
    return _mm256_maskload_ps(x, first_lanes(n));
}
static inline void vector_store_first(float *y, vector v, size_t n)
{
    _mm256_maskstore_ps(y, first_lanes(n), v);
}
static inline vector vector_load_half(const uint16_t *x)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x));
}
static inline vector vector_all(float x) { return _mm256_set1_ps(x); }
static inline vector vector_add(vector a, vector b) { return _mm256_add_ps(a, b); }
static inline vector vector_subtract(vector a, vector b) { return _mm256_sub_ps(a, b); }
static inline vector vector_multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
static inline vector vector_divide(vector a, vector b) { return _mm256_div_ps(a, b); }
static inline vector vector_min(vector a, vector b) { return _mm256_min_ps(a, b); }
static inline vector vector_max(vector a, vector b) { return _mm256_max_ps(a, b); }
static inline vector vector_fma(vector a, vector b, vector c) { return _mm256_fmadd_ps(a, b, c); }

static inline vector vector_scale_by_power(vector a, vector n)
{
    __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), shift));
}

static inline void vector_store_codes(uint8_t *codes, vector v)
{
    __m256i rounded = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(128));
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(rounded),
                                     _mm256_extracti128_si256(rounded, 1));
    _mm_storel_epi64((__m128i *)codes, _mm_packus_epi16(words, words));
}

static inline void vector_store_bfloat16(uint16_t *codes, vector v)
{
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
    const __m256i upper = _mm256_srli_epi32(rounded, 16);
    _mm_storeu_si128((__m128i *)codes, _mm_packus_epi32(_mm256_castsi256_si128(upper),
                                                        _mm256_extracti128_si256(upper, 1)));
}

/* The halves of each lane as floats. */
typedef struct { vector upper, lower; } pair;
typedef pair pair_weights;

static inline pair pair_of(__m256i bits)
{
    return (pair){_mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32((int)0xffff0000))),
                  _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16))};
}
static inline pair pair_all(uint32_t codes) { return pair_of(_mm256_set1_epi32((int)codes)); }
static inline pair_weights pair_load(const char *w, size_t v)
{
    return pair_of(_mm256_loadu_si256((const __m256i *)w + v));
}
static inline vector pair_add(vector acc, pair a, pair_weights w)
{
    return vector_fma(a.lower, w.lower, vector_fma(a.upper, w.upper, acc));
}

typedef __m256i integers;

static inline integers integers_load(const int32_t *x)
{
    return _mm256_loadu_si256((const __m256i *)x);
}
static inline integers integers_subtract(integers a, integers b) { return _mm256_sub_epi32(a, b); }
static inline vector integers_to_vector(integers a) { return _mm256_cvtepi32_ps(a); }

#ifdef __AVXVNNI__

/* One instruction: four products of bytes added to each 32-bit lane. */
#define TILE_SUMS {8, 4, 4, 2, 2, 2}

typedef __m256i sums;
typedef __m256i quad;
typedef __m256i quad_weights;

static inline sums sums_zero(void) { return _mm256_setzero_si256(); }
static inline quad quad_all(const uint64_t *codes) { return _mm256_set1_epi32((int)*codes); }
static inline quad_weights quad_load(const char *w, size_t v)
{
    return _mm256_loadu_si256((const __m256i *)w + v);
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return _mm256_dpbusd_avx_epi32(s, a, w);
}
static inline integers sums_finish(sums s) { return s; }

#else

/* Exact without VNNI (vpmaddubsw would saturate): bytes widened to 16 bits, multiplied and
 * added in pairs; two half sums a lane, in two registers, joined at the end. */
#define TILE_SUMS {4, 2, 2, 1, 1, 1}

typedef struct { __m256i low, high; } sums; /* lanes 0..3 and 4..7, two half sums each */
typedef __m256i quad;
typedef struct { __m256i low, high; } quad_weights;

static inline sums sums_zero(void)
{
    return (sums){_mm256_setzero_si256(), _mm256_setzero_si256()};
}
static inline quad quad_all(const uint64_t *codes)
{
    return _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128((int)*codes)));
}
static inline quad_weights quad_load(const char *w, size_t v)
{
    w += 32 * v;
    return (quad_weights){_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w)),
                          _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w + 1))};
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return (sums){_mm256_add_epi32(s.low, _mm256_madd_epi16(a, w.low)),
                  _mm256_add_epi32(s.high, _mm256_madd_epi16(a, w.high))};
}
static inline integers sums_finish(sums s)
{
    __m256i lanes = _mm256_hadd_epi32(s.low, s.high); /* 0 1 4 5 2 3 6 7 */
    return _mm256_permute4x64_epi64(lanes, 0xd8);
}

#endif

#endif
