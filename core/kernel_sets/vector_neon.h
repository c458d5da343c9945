/* The vector vocabulary of kernel_body.h in Advanced SIMD: 4 floats, 32 registers. Only int8
 * differs from one 64-bit Arm to the other: USMMLA, SDOT, or what all have, which is widening to 16 bits. */
#ifndef CAROUSEL_CORE_VECTOR_NEON_H
#define CAROUSEL_CORE_VECTOR_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 4 };

/* Vectors side by side in a tile of 1..6 rows: at most 24 accumulators. */
#define TILE_ROWS_ALONE 6
#define TILE_VECTORS \
    { \
        16, 8, 8, 4, 4, 4 \
    }

/* One line an instruction: */
/* clang-format off */

typedef float32x4_t vector;

static inline vector vector_load(const float *x) { return vld1q_f32(x); }
static inline void vector_store(float *y, vector v) { vst1q_f32(y, v); }
/* n is 1 to 4. A call of memcpy would leave no register to the sums of a tile: all are the callee's. */
static inline vector vector_load_first(const float *x, size_t n)
{
    vector v = vld1q_lane_f32(x, vdupq_n_f32(0), 0);
    if (n > 1) v = vld1q_lane_f32(x + 1, v, 1);
    if (n > 2) v = vld1q_lane_f32(x + 2, v, 2);
    if (n > 3) v = vld1q_lane_f32(x + 3, v, 3);
    return v;
}
static inline void vector_store_first(float *y, vector v, size_t n)
{
    vst1q_lane_f32(y, v, 0);
    if (n > 1) vst1q_lane_f32(y + 1, v, 1);
    if (n > 2) vst1q_lane_f32(y + 2, v, 2);
    if (n > 3) vst1q_lane_f32(y + 3, v, 3);
}
static inline vector vector_load_half(const uint16_t *x)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x)));
}
static inline vector vector_all(float x) { return vdupq_n_f32(x); }
static inline vector vector_add(vector a, vector b) { return vaddq_f32(a, b); }
static inline vector vector_subtract(vector a, vector b) { return vsubq_f32(a, b); }
static inline vector vector_multiply(vector a, vector b) { return vmulq_f32(a, b); }
static inline vector vector_divide(vector a, vector b) { return vdivq_f32(a, b); }
static inline vector vector_min(vector a, vector b) { return vminq_f32(a, b); }
static inline vector vector_max(vector a, vector b) { return vmaxq_f32(a, b); }
static inline vector vector_fma(vector a, vector b, vector c) { return vfmaq_f32(c, a, b); }

static inline vector vector_scale_by_power(vector a, vector n)
{
    int32x4_t shift = vshlq_n_s32(vreinterpretq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), shift));
}

static inline void vector_store_codes(uint8_t *codes, vector v)
{
    int32x4_t rounded = vaddq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(128));
    uint16x4_t words = vqmovun_s32(rounded);
    uint8x8_t bytes = vqmovn_u16(vcombine_u16(words, words));
    memcpy(codes, &bytes, LANES);
}

static inline void vector_store_bfloat16(uint16_t *codes, vector v)
{
    uint32x4_t bits = vreinterpretq_u32_f32(v);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    vst1_u16(codes, vshrn_n_u32(vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7fff)), 16));
}

/* The halves of each lane as floats. */
typedef struct { vector upper, lower; } pair;
typedef pair pair_weights;

static inline pair pair_of(uint32x4_t bits)
{
    return (pair){vreinterpretq_f32_u32(vandq_u32(bits, vdupq_n_u32(0xffff0000))),
                  vreinterpretq_f32_u32(vshlq_n_u32(bits, 16))};
}
static inline pair pair_all(uint32_t codes) { return pair_of(vdupq_n_u32(codes)); }
static inline pair_weights pair_load(const char *w, size_t v)
{
    return pair_of(vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)w + 16 * v)));
}
static inline vector pair_add(vector acc, pair a, pair_weights w)
{
    return vector_fma(a.lower, w.lower, vector_fma(a.upper, w.upper, acc));
}

typedef int32x4_t integers;

static inline integers integers_load(const int32_t *x) { return vld1q_s32(x); }
static inline integers integers_subtract(integers a, integers b) { return vsubq_s32(a, b); }
static inline vector integers_to_vector(integers a) { return vcvtq_f32_s32(a); }

#if defined(__ARM_FEATURE_MATMUL_INT8)

/* One instruction: two rows of eight codes by two outputs of eight weights, 32 products, make four sums. */
#define TILE_SUMS {8, 8, 4, 4, 4, 4}
#define SUM_ROWS   2
#define SUM_INPUTS 8

/* Outputs 0..1 and 2..3: those of the first row, then those of the second. */
typedef struct { int32x4_t low, high; } sums;
typedef uint8x16_t quad;
typedef struct { int8x16_t low, high; } quad_weights;

static inline sums sums_zero(void) { return (sums){vdupq_n_s32(0), vdupq_n_s32(0)}; }
static inline quad quad_all(const uint64_t *codes)
{
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(codes[0]), vcreate_u64(codes[1])));
}
static inline quad_weights quad_load(const char *w, size_t v)
{
    const int8_t *bytes = (const int8_t *)w + 32 * v;
    return (quad_weights){vld1q_s8(bytes), vld1q_s8(bytes + 16)};
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return (sums){vusmmlaq_s32(s.low, a, w.low), vusmmlaq_s32(s.high, a, w.high)};
}
static inline integers sums_finish(sums s)
{
    return vcombine_s32(vget_low_s32(s.low), vget_low_s32(s.high));
}
static inline integers sums_finish_second(sums s)
{
    return vcombine_s32(vget_high_s32(s.low), vget_high_s32(s.high));
}

#elif defined(__ARM_FEATURE_DOTPROD)

/* One instruction: four products added to each 32-bit lane, of signed bytes both. A code less 128 is the
 * code with its upper bit turned, so that nothing is left to correct. Past the last code, weights are 0. */
#define TILE_SUMS TILE_VECTORS
#define SUM_ZERO  0

typedef int32x4_t sums;
typedef int8x16_t quad;
typedef int8x16_t quad_weights;

static inline sums sums_zero(void) { return vdupq_n_s32(0); }
static inline quad quad_all(const uint64_t *codes)
{
    const uint8x16_t four = vreinterpretq_u8_u32(vdupq_n_u32((uint32_t)*codes));
    return vreinterpretq_s8_u8(veorq_u8(four, vdupq_n_u8(0x80)));
}
static inline quad_weights quad_load(const char *w, size_t v) { return vld1q_s8((const int8_t *)w + 16 * v); }
static inline sums sums_add(sums s, quad a, quad_weights w) { return vdotq_s32(s, w, a); }
static inline integers sums_finish(sums s) { return s; }

#else

/* Two half sums a lane, in two registers, joined at the end. A product of a code and a weight
 * fits 16 bits (255 * 127), two of them do not, so products are widened as they are added. */
#define TILE_SUMS {8, 4, 4, 2, 2, 2}

typedef struct { int32x4_t low, high; } sums; /* lanes 0..1 and 2..3, two half sums each */
typedef int16x8_t quad;
typedef struct { int16x8_t low, high; } quad_weights;

static inline sums sums_zero(void) { return (sums){vdupq_n_s32(0), vdupq_n_s32(0)}; }
static inline quad quad_all(const uint64_t *codes)
{
    return vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32((uint32_t)*codes))));
}
static inline quad_weights quad_load(const char *w, size_t v)
{
    int8x16_t bytes = vld1q_s8((const int8_t *)w + 16 * v);
    return (quad_weights){vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))};
}
static inline sums sums_add(sums s, quad a, quad_weights w)
{
    return (sums){vpadalq_s16(s.low, vmulq_s16(a, w.low)), vpadalq_s16(s.high, vmulq_s16(a, w.high))};
}
static inline integers sums_finish(sums s) { return vpaddq_s32(s.low, s.high); }

#endif

#endif
