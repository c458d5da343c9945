/* Packing, once at load, and the way from a matrix to its set's product.
 *
 * A matrix is one allocation: the struct, then its arrays, each on a cache line. */
#include "core/network/matrix.h"

#include "core/base/half.h"
#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "core/kernels/convert.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TRANSPOSED_LANES = 16 }; /* of a row at a time: their lines of a panel stay in the first cache */

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

/* Inputs that one lane of a panel has weights for, and its bytes: 2, 4 or 8. */
static size_t lane_inputs(const struct kernels *kernels, enum precision precision)
{
    if (precision == PRECISION_INT8)
        return kernels->int8_inputs;
    const size_t code_bytes = precision_code_bytes(precision);
    return code_bytes ? sizeof(uint32_t) / code_bytes : 1;
}

static size_t lane_bytes(const struct kernels *kernels, enum precision precision)
{
    static const size_t sizes[] = {
#define X(name, text, weight_bytes, code_bytes) [PRECISION_##name] = (weight_bytes),
#include "core/kernels/precision.def"
    };
    return lane_inputs(kernels, precision) * sizes[precision];
}

static size_t lanes_of(const struct kernels *kernels, enum precision precision, size_t K)
{
    const size_t together = lane_inputs(kernels, precision);
    return K / together + (K % together != 0);
}

/* Row n in the form in which it is stored, from lane to lane: what a panel then holds column by column. */
static void encode_row(struct matrix *m, size_t n, const float *row, void *codes)
{
    switch (m->precision) {
    case PRECISION_FLOAT32:
        if ((const void *)row != codes)
            memcpy(codes, row, m->K * sizeof *row);
        break;
    case PRECISION_FLOAT16:
        convert_to_float16(row, m->K, codes);
        break;
    case PRECISION_BFLOAT16:
        convert_to_bfloat16(row, m->K, codes);
        break;
    case PRECISION_INT8: {
        const float largest = convert_largest(row, m->K);
        int8_t *bytes = codes;
        int32_t sum = 0;
        if (largest > 0)
            convert_to_int8(row, m->K, largest, bytes);
        else
            memset(bytes, 0, m->K);
        for (size_t k = 0; k < m->K; k++)
            sum += bytes[k];
        m->scale[n] = (float)((double)largest / 127 / CODE_SCALE);
        m->correction[n] = CODE_ZERO * sum;
        break;
    }
    case N_PRECISIONS:
        assert(false);
    }
}

/* Write the lanes of `rows` encoded rows, `stride` bytes apart, column by column into a panel. `bytes` of
 * a lane are a constant wherever this is called, so that a lane is one move. */
static inline void fill_panel(const unsigned char *codes, size_t stride, size_t rows, size_t lanes,
                              size_t bytes, unsigned char *panel)
{
    for (size_t first = 0; first < lanes; first += TRANSPOSED_LANES) {
        const size_t end = first + TRANSPOSED_LANES < lanes ? first + TRANSPOSED_LANES : lanes;
        for (size_t n = 0; n < rows; n++)
            for (size_t k = first; k < end; k++)
                memcpy(panel + (k * PANEL_COLUMNS + n) * bytes, codes + n * stride + k * bytes, bytes);
    }
}

/* Four lanes of four bytes. */
typedef uint32_t lanes4 __attribute__((vector_size(16)));

static inline lanes4 lanes4_load(const unsigned char *from)
{
    lanes4 lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

static inline void lanes4_store(unsigned char *to, lanes4 lanes)
{
    memcpy(to, &lanes, sizeof lanes);
}

/* Four lanes of four rows, which become four rows of the panel. */
static inline void fill_square(const unsigned char *codes, size_t stride, unsigned char *panel)
{
    const size_t line = PANEL_COLUMNS * sizeof(uint32_t);
    const lanes4 row0 = lanes4_load(codes), row1 = lanes4_load(codes + stride);
    const lanes4 row2 = lanes4_load(codes + 2 * stride), row3 = lanes4_load(codes + 3 * stride);
    const lanes4 low01 = __builtin_shufflevector(row0, row1, 0, 4, 1, 5);
    const lanes4 low23 = __builtin_shufflevector(row2, row3, 0, 4, 1, 5);
    const lanes4 high01 = __builtin_shufflevector(row0, row1, 2, 6, 3, 7);
    const lanes4 high23 = __builtin_shufflevector(row2, row3, 2, 6, 3, 7);
    lanes4_store(panel, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
    lanes4_store(panel + line, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
    lanes4_store(panel + 2 * line, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
    lanes4_store(panel + 3 * line, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
}

/* The same as fill_panel, for a panel of all rows and lanes of four bytes. */
static void fill_whole(const unsigned char *codes, size_t stride, size_t lanes, unsigned char *panel)
{
    const size_t bytes = sizeof(uint32_t), whole = lanes / 4 * 4;
    for (size_t k = 0; k < whole; k += 4)
        for (size_t n = 0; n < PANEL_COLUMNS; n += 4)
            fill_square(codes + n * stride + k * bytes, stride, panel + (k * PANEL_COLUMNS + n) * bytes);
    fill_panel(codes + whole * bytes, stride, PANEL_COLUMNS, lanes - whole, bytes,
               panel + whole * PANEL_COLUMNS * bytes);
}

/* What packing needs beside the matrix: a row of floats, and the encoded rows of a panel. */
struct packer {
    float *room;          /* [K] */
    unsigned char *codes; /* [PANEL_COLUMNS, stride] */
    size_t lanes, lane_bytes, stride;
};

/* Pack rows first to first + rows - 1, which make one panel, or the part of it that there is. */
static enum status pack_panel(struct matrix *m, const struct matrix_source *source, const struct packer *p,
                              size_t first, size_t rows)
{
    const float limit = m->precision == PRECISION_FLOAT16 ? 65504.0f : 3.4e38f;
    const bool is_stored = m->precision == PRECISION_FLOAT32; /* as it comes */
    for (size_t n = 0; n < rows; n++) {
        const float *row;
        unsigned char *codes = p->codes + n * p->stride;
        float *room = is_stored ? (void *)codes : p->room;
        enum status status = source->row(source->context, first + n, room, &row);
        if (status != STATUS_OK)
            return status;
        if (!convert_is_within(row, m->K, limit))
            return STATUS_BAD_VALUE;
        if (is_packed(m->kernels, m->precision))
            encode_row(m, first + n, row, codes);
        else
            memcpy((float *)m->weights + (first + n) * m->K, row, m->K * sizeof *row);
    }
    if (!is_packed(m->kernels, m->precision))
        return STATUS_OK;
    unsigned char *panel = (unsigned char *)m->weights + first * p->lanes * p->lane_bytes;
    if (p->lane_bytes == 2)
        fill_panel(p->codes, p->stride, rows, p->lanes, 2, panel);
    else if (p->lane_bytes == 4 && rows == PANEL_COLUMNS)
        fill_whole(p->codes, p->stride, p->lanes, panel);
    else if (p->lane_bytes == 4)
        fill_panel(p->codes, p->stride, rows, p->lanes, 4, panel);
    else
        fill_panel(p->codes, p->stride, rows, p->lanes, 8, panel);
    return STATUS_OK;
}

/* A loader rests at every panel. */
static enum status pack(struct matrix *m, const struct matrix_source *source)
{
    struct packer p = {.lanes = lanes_of(m->kernels, m->precision, m->K),
                       .lane_bytes = lane_bytes(m->kernels, m->precision)};
    p.stride = line_multiple(p.lanes * p.lane_bytes);
    enum status status = STATUS_OK;
    p.room = memory_new(m->K, sizeof *p.room);
    p.codes = memory_new(PANEL_COLUMNS, p.stride);
    if (!p.room || !p.codes)
        status = STATUS_NO_MEMORY;
    for (size_t n = 0; n < m->N && status == STATUS_OK; n += PANEL_COLUMNS) {
        if (!throttle_rest())
            status = STATUS_CLOSING;
        else
            status = pack_panel(m, source, &p, n, m->N - n < PANEL_COLUMNS ? m->N - n : PANEL_COLUMNS);
    }
    memory_free(p.room);
    memory_free(p.codes);
    return status;
}

/* ---- life ---- */

/* Bytes of the weights as stored; false if that does not fit a size_t. */
static bool weight_bytes(const struct kernels *kernels, enum precision precision, size_t N,
                         size_t K, size_t *bytes)
{
    if (is_packed(kernels, precision))
        N = panels_of(N) * PANEL_COLUMNS;
    return size_multiply(N, lanes_of(kernels, precision, K), bytes) &&
           size_multiply(*bytes, lane_bytes(kernels, precision), bytes);
}

/* The one block of a matrix: what is known of it, the weights, then three rows (bias, scale, correction). */
struct block {
    size_t head, weights, body, row; /* bytes; body: weights, rounded up */
    size_t all;
};

/* false if that does not fit a size_t. */
static bool measure(size_t N, size_t K, enum precision precision, struct block *block)
{
    size_t bytes;
    if (N > SIZE_MAX / 64 || !weight_bytes(kernels_active(), precision, N, K, &bytes)) return false;
    *block = (struct block){.head = line_multiple(sizeof(struct matrix)), .weights = bytes,
                            .body = line_multiple(bytes),
                            .row = panels_of(N) * PANEL_COLUMNS * sizeof(float)};
    if (block->body < bytes || block->body > SIZE_MAX - block->head - 3 * block->row) return false;
    block->all = block->head + block->body + 3 * block->row;
    return true;
}

uint64_t matrix_planned_bytes(size_t N, size_t K, enum precision precision)
{
    struct block block;
    return measure(N, K, precision, &block) ? block.all : UINT64_MAX;
}

enum status matrix_new_from(const struct matrix_source *source, const float *bias, size_t N, size_t K,
                            enum precision precision, struct matrix **out)
{
    struct block size;
    if (N == 0 || K == 0)
        return STATUS_BAD_SHAPE;
    if (precision == PRECISION_INT8 && K > INT8_MAX_INPUTS)
        return STATUS_BAD_SHAPE;
    if (!measure(N, K, precision, &size))
        return STATUS_NO_MEMORY;
    unsigned char *block = memory_unset(size.all);
    if (!block)
        return STATUS_NO_MEMORY;
    /* packing writes the rest */
    size_t whole = size.weights;
    if (is_packed(kernels_active(), precision))
        whole = size.weights / panels_of(N) * (N / PANEL_COLUMNS);
    memset(block + size.head + whole, 0, size.all - size.head - whole);
    struct matrix *m = (void *)block;
    *m = (struct matrix){.kernels = kernels_active(),
                         .precision = precision,
                         .N = N,
                         .K = K,
                         .weight_bytes = size.weights,
                         .weights = block + size.head,
                         .bias = bias ? (void *)(block + size.head + size.body) : NULL,
                         .scale = (void *)(block + size.head + size.body + size.row),
                         .correction = (void *)(block + size.head + size.body + 2 * size.row)};
    if (bias)
        memcpy(m->bias, bias, N * sizeof *bias);
    enum status status = pack(m, source);
    if (status != STATUS_OK) {
        matrix_free(m);
        return status;
    }
    *out = m;
    return STATUS_OK;
}

/* A source whose rows lie in memory. */
struct rows {
    const float *W;
    size_t K;
};

static enum status row_of(void *context, size_t n, float *room, const float **row)
{
    const struct rows *rows = context;
    (void)room;
    *row = rows->W + n * rows->K;
    return STATUS_OK;
}

enum status matrix_new(const float *W, const float *bias, size_t N, size_t K,
                       enum precision precision, struct matrix **out)
{
    struct rows rows = {W, K};
    return matrix_new_from(&(struct matrix_source){row_of, &rows}, bias, N, K, precision, out);
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

/* ---- unpacking ---- */

/* Where lane k / count of row n lies, in lanes: those of the same row are PANEL_COLUMNS apart. */
static size_t row_index(size_t count, size_t K, size_t n)
{
    return panel_index((K + count - 1) / count, n, 0);
}

static void unpack_float32(const struct matrix *m, size_t n, float *row)
{
    bool packed = is_packed(m->kernels, m->precision);
    const float *from = (const float *)m->weights + (packed ? row_index(1, m->K, n) : n * m->K);
    for (size_t k = 0; k < m->K; k++) row[k] = from[k * (packed ? PANEL_COLUMNS : 1)];
}

static void unpack_float16(const struct matrix *m, size_t n, float *row)
{
    const uint16_t *from = (const uint16_t *)m->weights + row_index(1, m->K, n);
    for (size_t k = 0; k < m->K; k++) row[k] = half_float(from[k * PANEL_COLUMNS]);
}

static void unpack_bfloat16(const struct matrix *m, size_t n, float *row)
{
    const uint16_t *from = (const uint16_t *)m->weights + 2 * row_index(2, m->K, n);
    for (size_t k = 0; k < m->K; k++)
        row[k] = half_float_of_bits((uint32_t)from[k / 2 * 2 * PANEL_COLUMNS + k % 2] << 16);
}

static void unpack_int8(const struct matrix *m, size_t n, float *row)
{
    const size_t q = m->kernels->int8_inputs;
    const int8_t *from = (const int8_t *)m->weights + q * row_index(q, m->K, n);
    const float scale = m->scale[n] * CODE_SCALE;
    for (size_t k = 0; k < m->K; k++) row[k] = scale * (float)from[k / q * q * PANEL_COLUMNS + k % q];
}

float matrix_row(const struct matrix *matrix, size_t n, float *row)
{
    static void (*const unpack[N_PRECISIONS])(const struct matrix *, size_t, float *) = {
        [PRECISION_FLOAT32] = unpack_float32, [PRECISION_FLOAT16] = unpack_float16,
        [PRECISION_BFLOAT16] = unpack_bfloat16, [PRECISION_INT8] = unpack_int8};
    assert(n < matrix->N);
    unpack[matrix->precision](matrix, n, row);
    return matrix->bias ? matrix->bias[n] : 0;
}

/* ---- products ---- */

void matrix_multiply_panels(const struct matrix *matrix, size_t R, const struct operand *A,
                            const struct target *C, size_t first, size_t last)
{
    const size_t code_bytes = precision_code_bytes(matrix->precision);
    assert(first <= last && last <= matrix_panels(matrix));
    assert(R == 0 || (code_bytes ? A->codes != NULL : A->values != NULL));
    matrix->kernels->product[matrix->precision](
        &(struct product){.R = R,
                          .K = matrix->K,
                          .N = matrix->N,
                          .panel_first = first,
                          .panel_last = last,
                          .A = code_bytes ? A->codes : A->values,
                          .lda = code_bytes ? A->codes_stride / code_bytes : A->values_stride,
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

void matrix_encode(enum precision precision, size_t R, size_t n, const float *values,
                   size_t values_stride, void *codes, size_t codes_stride)
{
    const struct kernels *kernels = kernels_active();
    for (size_t r = 0; r < R; r++)
        kernels->encode[precision](n, values + r * values_stride,
                                   (unsigned char *)codes + r * codes_stride);
}
