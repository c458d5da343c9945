/* Packing, once at load, and the way from a matrix to its set's product.
 *
 * A matrix is one allocation: the struct, then its arrays, each on a cache line. */
#include "core/matrix.h"

#include "core/memory.h"
#include "core/throttle.h"

#include <assert.h>
#include <math.h>
#include <string.h>

struct matrix {
    const struct kernels *kernels; /* those active when the matrix was made */
    enum precision precision;
    size_t N, K;
    size_t weight_bytes;
    void *weights;       /* as drawn in matrix.h, or [N,K] float for LAYOUT_ROWS */
    float *bias;         /* [N padded], or NULL */
    float *scale;        /* int8: [N padded] */
    int32_t *correction; /* int8: [N padded] */
};

static size_t line_multiple(size_t bytes)
{
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

static size_t panels_of(size_t N)
{
    return N / PANEL_COLUMNS + (N % PANEL_COLUMNS != 0);
}

static bool is_packed(const struct kernels *kernels, enum precision precision)
{
    return precision != PRECISION_FLOAT32 || kernels->layout == LAYOUT_PANELS;
}

/* ---- packing ---- */

/* Where W[n,k] lies: in 32-bit floats, in halves, in bytes. */
static size_t panel_index(size_t K, size_t n, size_t k)
{
    return (n / PANEL_COLUMNS * K + k) * PANEL_COLUMNS + n % PANEL_COLUMNS;
}

static size_t quad_index(size_t K, size_t n, size_t k)
{
    return panel_index((K + 3) / 4, n, k / 4) * 4 + k % 4;
}

/* Before row n is packed: a loader rests here at every panel. false: nobody wants the rows any more. */
static bool rest_at(size_t n)
{
    return n % PANEL_COLUMNS != 0 || throttle_rest();
}

static void pack_float32(struct matrix *m, const float *W)
{
    float *to = m->weights;
    for (size_t n = 0; n < m->N && rest_at(n); n++) {
        for (size_t k = 0; k < m->K; k++)
            to[panel_index(m->K, n, k)] = W[n * m->K + k];
    }
}

/* The nearest half, ties to even. |x| <= 65504. A float's magnitude scaled by 2^-112 has the
 * half's exponent; where that is subnormal, adding 0.5 leaves the half's bits at the bottom. */
static uint16_t half_of(float x)
{
    uint32_t bits, magnitude;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000;
    magnitude = bits & 0x7fffffff;
    if (magnitude < 0x38800000) { /* below 2^-14, the least normal half */
        float small = fabsf(x) + 0.5f;
        memcpy(&magnitude, &small, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3f000000));
    }
    magnitude += 0xfff + (magnitude >> 13 & 1) - (112u << 23);
    return (uint16_t)(sign | magnitude >> 13);
}

static void pack_float16(struct matrix *m, const float *W)
{
    uint16_t *to = m->weights;
    for (size_t n = 0; n < m->N && rest_at(n); n++) {
        for (size_t k = 0; k < m->K; k++)
            to[panel_index(m->K, n, k)] = half_of(W[n * m->K + k]);
    }
}

static void pack_int8(struct matrix *m, const float *W)
{
    int8_t *to = m->weights;
    for (size_t n = 0; n < m->N && rest_at(n); n++) {
        const float *row = W + n * m->K;
        float largest = 0;
        int32_t sum = 0;
        for (size_t k = 0; k < m->K; k++)
            largest = fmaxf(largest, fabsf(row[k]));
        for (size_t k = 0; k < m->K && largest > 0; k++) {
            long w = lrint((double)row[k] * 127 / (double)largest);
            to[quad_index(m->K, n, k)] = (int8_t)w;
            sum += (int32_t)w;
        }
        m->scale[n] = (float)((double)largest / 127 / CODE_SCALE);
        m->correction[n] = CODE_ZERO * sum;
    }
}

static void pack(struct matrix *m, const float *W, const float *bias)
{
    if (bias)
        memcpy(m->bias, bias, m->N * sizeof *bias);
    switch (m->precision) {
    case PRECISION_FLOAT32:
        if (is_packed(m->kernels, m->precision))
            pack_float32(m, W);
        else
            memcpy(m->weights, W, m->weight_bytes);
        break;
    case PRECISION_FLOAT16:
        pack_float16(m, W);
        break;
    case PRECISION_INT8:
        pack_int8(m, W);
        break;
    case N_PRECISIONS:
        assert(false);
    }
}

/* ---- life ---- */

/* Bytes of the weights as stored; false where that does not fit a size_t. */
static bool weight_bytes(const struct kernels *kernels, enum precision precision, size_t N,
                         size_t K, size_t *bytes)
{
    static const size_t sizes[] = {
#define X(name, text, bytes) [PRECISION_##name] = (bytes),
#include "core/precision.def"
#undef X
    };
    if (is_packed(kernels, precision))
        N = panels_of(N) * PANEL_COLUMNS;
    if (precision == PRECISION_INT8)
        K = (K + 3) / 4 * 4;
    return size_multiply(N, K, bytes) && size_multiply(*bytes, sizes[precision], bytes);
}

static enum status check_weights(const float *W, size_t count, enum precision precision)
{
    const float limit = precision == PRECISION_FLOAT16 ? 65504.0f : 3.4e38f;
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(W[i]) <= limit))
            return STATUS_BAD_VALUE;
    }
    return STATUS_OK;
}

enum status matrix_new(const float *W, const float *bias, size_t N, size_t K,
                       enum precision precision, struct matrix **out)
{
    const struct kernels *kernels = kernels_active();
    size_t bytes;
    if (N == 0 || K == 0)
        return STATUS_BAD_SHAPE;
    if (precision == PRECISION_INT8 && K > INT8_MAX_INPUTS)
        return STATUS_BAD_SHAPE;
    if (N > SIZE_MAX / 64 || !weight_bytes(kernels, precision, N, K, &bytes))
        return STATUS_NO_MEMORY;
    enum status status = check_weights(W, N * K, precision);
    if (status != STATUS_OK)
        return status;

    const size_t head = line_multiple(sizeof(struct matrix)), body = line_multiple(bytes);
    const size_t row = panels_of(N) * PANEL_COLUMNS * sizeof(float); /* bias, scale, correction */
    if (body < bytes || body > SIZE_MAX - head - 3 * row)
        return STATUS_NO_MEMORY;
    unsigned char *block = memory_new(head + body + 3 * row, 1);
    if (!block)
        return STATUS_NO_MEMORY;
    struct matrix *m = (void *)block;
    *m = (struct matrix){.kernels = kernels,
                         .precision = precision,
                         .N = N,
                         .K = K,
                         .weight_bytes = bytes,
                         .weights = block + head,
                         .bias = bias ? (void *)(block + head + body) : NULL,
                         .scale = (void *)(block + head + body + row),
                         .correction = (void *)(block + head + body + 2 * row)};
    pack(m, W, bias);
    if (!throttle_rest()) {
        matrix_free(m);
        return STATUS_CLOSING;
    }
    *out = m;
    return STATUS_OK;
}

void matrix_free(struct matrix *matrix)
{
    memory_free(matrix);
}

size_t matrix_outputs(const struct matrix *matrix)
{
    return matrix->N;
}

size_t matrix_inputs(const struct matrix *matrix)
{
    return matrix->K;
}

size_t matrix_panels(const struct matrix *matrix)
{
    return panels_of(matrix->N);
}

size_t matrix_bytes(const struct matrix *matrix)
{
    return matrix->weight_bytes;
}

enum precision matrix_precision(const struct matrix *matrix)
{
    return matrix->precision;
}

/* ---- products ---- */

void matrix_multiply_panels(const struct matrix *matrix, size_t R, const struct operand *A,
                            const struct target *C, size_t first, size_t last)
{
    const bool coded = matrix->precision == PRECISION_INT8;
    assert(first <= last && last <= matrix_panels(matrix));
    assert(R == 0 || (coded ? A->codes != NULL : A->values != NULL));
    matrix->kernels->product[matrix->precision](
        &(struct product){.R = R,
                          .K = matrix->K,
                          .N = matrix->N,
                          .panel_first = first,
                          .panel_last = last,
                          .A = coded ? (const void *)A->codes : A->values,
                          .lda = coded ? A->codes_stride : A->values_stride,
                          .W = matrix->weights,
                          .bias = matrix->bias,
                          .scale = matrix->scale,
                          .correction = matrix->correction,
                          .C = C->C,
                          .ldc = C->stride,
                          .accumulate = C->accumulate,
                          .backwards = C->backwards});
}

void matrix_multiply(const struct matrix *matrix, size_t R, const struct operand *A,
                     const struct target *C)
{
    matrix_multiply_panels(matrix, R, A, C, 0, matrix_panels(matrix));
}

void matrix_quantize(size_t R, size_t n, const float *values, size_t values_stride, uint8_t *codes,
                     size_t codes_stride)
{
    const struct kernels *kernels = kernels_active();
    for (size_t r = 0; r < R; r++)
        kernels->quantize(n, values + r * values_stride, codes + r * codes_stride);
}
