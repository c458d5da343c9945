/* matrix: the weights of one affine map, packed once at load, multiplied many times.
 *
 * A matrix is immutable once made and may be shared by all threads. It holds its bias, and
 * keeps to the kernel set that was active when it was made.
 *
 * The product is C = base + A * transpose(W), W [N,K] as PyTorch stores a linear layer: N outputs
 * a row each, K inputs. Packed, the outputs stand side by side in panels of 64, so that one
 * step of k reads 64 weights in a row, one cache line after the other, whatever the set:
 *
 *     float32, float16: panels [ceil(N/64)][K][64]      int8: [ceil(N/64)][ceil(K/4)][64][4]
 *                                                       bfloat16: [ceil(N/64)][ceil(K/2)][64][2]
 *     int8 for a set whose int8_inputs is 8: [ceil(N/64)][ceil(K/8)][64][8]
 *
 *              n = 0   1   2  ...  63                       n = 0         1       ...  63
 *       k = 0  w00 w10 w20 ... w63,0                 k = 0  w00 w01 w02 w03 | w10 w11 ...
 *       k = 1  w01 w11 w21 ... w63,1                 k = 4  w04 w05 w06 w07 | w14 w15 ...
 *       ...    panel 0, then panel 1: n = 64..127    ...    four k of an output: one 32-bit lane
 *
 * The last panel is padded with zero weights; the bias is padded likewise; outputs past N are
 * never stored. int8 weights carry a scale an output: w ~ scale[n] * int8, scale = max |w| / 127. */
#ifndef CAROUSEL_CORE_MATRIX_H
#define CAROUSEL_CORE_MATRIX_H

#include "core/kernels/kernels.h"
#include "core/base/status.h"

struct matrix;

/* Pack W [N,K] row-major with `bias` [N] or NULL; both are borrowed for the call only. *out is
 * owned by the caller. STATUS_BAD_SHAPE if N or K is 0, or K is over INT8_MAX_INPUTS in
 * int8; STATUS_BAD_VALUE if a weight is too large for float16 (over 65504) or not finite;
 * STATUS_NO_MEMORY; STATUS_CLOSING if the load is given up (core/base/throttle.h). */
MUST_CHECK enum status matrix_new(const float *W, const float *bias, size_t N, size_t K,
                                  enum precision precision, struct matrix **out);

/* Where rows come from as they are packed, so that no block holds them all. row() sets *row to the K floats
 * of row n, which it may write to room [K]; they stay until the next call. It is called once for each n, in
 * order. */
struct matrix_source {
    enum status (*row)(void *context, size_t n, float *room, const float **row);
    void *context;
};
/* The same from a source, whose failures it passes on. */
MUST_CHECK enum status matrix_new_from(const struct matrix_source *source, const float *bias, size_t N,
                                       size_t K, enum precision precision, struct matrix **out);
void matrix_free(struct matrix *matrix); /* accepts NULL */
/* Bytes that a matrix of that shape will hold; UINT64_MAX if that does not fit. */
uint64_t matrix_planned_bytes(size_t N, size_t K, enum precision precision);

size_t matrix_outputs(const struct matrix *matrix); /* N */
size_t matrix_inputs(const struct matrix *matrix);  /* K */
size_t matrix_panels(const struct matrix *matrix);  /* ceil(N / 64) */
size_t matrix_bytes(const struct matrix *matrix);   /* what one pass over the weights streams */
enum precision matrix_precision(const struct matrix *matrix);

/* Write the weights of output n to row [K], as the product uses them: rounded by the precision, int8 codes
 * times their scale. Return its bias, or 0. For the slow path of core/recurrent/trace.h. Any thread. */
float matrix_row(const struct matrix *matrix, size_t n, float *row);

/* The left operand, rows of K. A float32 or float16 matrix reads `values`. An int8 or bfloat16 matrix
 * reads `codes`, which matrix_encode made from the values (for int8, values in [-1,1], as hidden
 * states are), so that a row is encoded once and used in every product that reads it. The member
 * not read may be NULL. Each has its own stride. */
struct operand {
    const float *values;  /* [R,K] */
    size_t values_stride; /* elements from row to row, >= K */
    const void *codes;    /* [R,K] of precision_code_bytes each, aligned to it */
    size_t codes_stride;  /* bytes from row to row, a multiple of precision_code_bytes */
};

/* The result, [R,N]; must not overlap the operand. */
struct target {
    float *C;
    size_t stride;   /* elements from row to row, >= the width of the panels asked for */
    bool accumulate; /* add to what C holds; otherwise C starts from the bias, or zero */
    bool backwards;  /* read the weights from the last panel to the first: same bits. A caller that runs over
                        one matrix again and again turns round each time, and finds in the
                        cache what it read last */
};

/* C = base + A * transpose(W) for R rows (R = 0 does nothing). Cannot fail. Any thread. */
void matrix_multiply(const struct matrix *matrix, size_t R, const struct operand *A,
                     const struct target *C);

/* The same for outputs first * 64 .. min(last * 64, N) - 1 only, so that threads can share one
 * product: first <= last <= matrix_panels. Bits are those of the whole product. */
void matrix_multiply_panels(const struct matrix *matrix, size_t R, const struct operand *A,
                            const struct target *C, size_t first, size_t last);

/* The codes that a matrix of this precision reads for R rows of n values (struct kernels, encode), by the
 * active set. `values_stride` counts elements, `codes_stride` bytes. The precision has codes. */
void matrix_encode(enum precision precision, size_t R, size_t n, const float *values,
                   size_t values_stride, void *codes, size_t codes_stride);

#endif
