/* kernels: the arithmetic of an LSTM, once per instruction set.
 *
 * A kernel set is a struct of function pointers with a name. One set is chosen at start, by
 * name or as the best that the processor and its operating system can run; the rest of the
 * program calls through it and does not know that instruction sets exist. Callers outside
 * core/ use struct matrix (core/network/matrix.h), which packs weights and calls the products here.
 *
 * Everything is float32 and row-major, shapes slowest first. R rows (one per sequence or per
 * step), K inputs, N outputs, H hidden units. Strides count elements, not bytes. Pointers need
 * the alignment of their type and no more, except packed weights (64 bytes). Outputs do not
 * overlap inputs unless said. Nothing is read or written outside the shapes given, so a buffer
 * may end where a page ends. No function here can fail, allocates, or keeps anything between
 * calls: any thread, any number at a time. Inputs are finite (NaN is not handled).
 *
 * What the results promise:
 * 1. A row's result depends on that row and the weights alone: not on R, on the row's place or on
 *    the panels asked for. (openblas is the exception.)
 * 2. All sets with a fused multiply-add (amx, avx512*, avx*, neon*) give the same bits, in every
 *    operation but the bfloat16 products of amx (4). portable performs the same operations in the same
 *    order, but rounds the multiplication too; its integers and its bfloat16 products are the same.
 * 3. Products accumulate in one float32 accumulator an element, k = 0..K-1 in turn. Against the
 *    exact sum: |error| <= (K + 2) * 2^-24 * (|base| + sum_k |a[k] w[k]|), twice that without fma.
 * 4. bfloat16 products take the inputs in pairs and in each pair the second first: k = 1, 0, 3, 2, ...
 *    This is the order of the processor's instruction, VDPBF16PS. It rounds to nearest, ties to
 *    even, after each of the two additions, whatever the rounding mode. A product of two codes
 *    has 16 bits and is exact in float32, so sets without that instruction, and without a fused
 *    multiply-add, give the same bits. The bound is that of 3, without fma too. The instruction
 *    reads numbers below 2^-126 as zero, which other sets add: 1 and 2 hold for sums without such
 *    numbers, and the bound grows by (K + 2) * 2^-126.
 *    The set amx has another order, and so other bits: that of its instruction, TDPBF16PS. Of each block
 *    of 32 inputs, the products of even k are summed from zero, in turn, and those of odd k likewise. The
 *    sum of both is added to the accumulator. */
#ifndef CAROUSEL_CORE_KERNELS_H
#define CAROUSEL_CORE_KERNELS_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum precision {
#define X(name, text, weight_bytes, code_bytes) PRECISION_##name,
#include "core/kernels/precision.def"
    N_PRECISIONS
};

const char *precision_name(enum precision precision);
/* By its name in precision.def; STATUS_BAD_VALUE for any other. */
MUST_CHECK enum status precision_find(const char *name, enum precision *precision);

/* Bytes of the code that stands for an input of a product, or 0 if the product reads floats. */
size_t precision_code_bytes(enum precision precision);

/* Packed weights come in panels of this many outputs, zero-padded; drawing in core/network/matrix.h. */
enum { PANEL_COLUMNS = 64 };

/* A bfloat16 is the upper half of a float32: 8 bits of exponent, 8 of precision. Weights and
 * inputs are rounded to the nearest, ties to even: |error| <= 2^-9 |x|. Beyond the largest, it
 * stands for the number: no infinity is made. */
#define BFLOAT16_LARGEST 0x1.fep127f

/* The weights of an int8 product are divided by scale[n] = max_k |w[n,k]| / 127; activations in
 * [-1,1] are multiplied by CODE_SCALE and shifted by CODE_ZERO into one unsigned byte. K is
 * bounded so that sum_k code * weight fits 32 bits. */
enum { CODE_SCALE = 127, CODE_ZERO = 128, INT8_MAX_INPUTS = 65536 };

/* How a set wants its float32 weights (those of other precisions always come in panels). */
enum layout {
    LAYOUT_PANELS, /* as drawn in core/network/matrix.h */
    LAYOUT_ROWS,   /* [N,K] as given: for a BLAS */
};

/* The operands of C = base + A * transpose(W), where base is C itself, the bias, or zero.
 * Outputs panel_first * 64 .. min(panel_last * 64, N) - 1 are computed, the others untouched. */
struct product {
    size_t R, K, N;
    size_t panel_first, panel_last;
    const void *A; /* [R,K] float, or codes: of one byte for int8, of two for bfloat16 */
    size_t lda;
    const void *W;             /* packed [N,K], by struct matrix */
    const float *bias;         /* [N padded to panels], or NULL for zero */
    const float *scale;        /* int8: [N padded] scale[n] / CODE_SCALE */
    const int32_t *correction; /* int8: [N padded] CODE_ZERO * sum_k w[n,k] */
    float *C;                  /* [R,N] */
    size_t ldc;
    bool accumulate; /* base is C; bias is not added */
    bool backwards;  /* take the panels from the last to the first: same bits, other cache lines */
};

/* One step of R cells of H units, between the products: i, f, g, o are the quarters of a row
 * of `gates`, in that order, before their activation.
 *     c = sigmoid(f) * c + sigmoid(i) * tanh(g)
 *     h = sigmoid(o) * tanh(c)
 * Against exact arithmetic, for |c| <= 1e4 on entry and gates of any size:
 * |error of c| <= 5e-7 * max(1, |c before|, |c after|), |error of h| <= 5e-7 + the error of c. */
struct gates {
    size_t R, H;
    const float *gates; /* [R,4H] */
    size_t ldg;
    float *c; /* [R,H] updated in place */
    size_t ldc;
    float *h; /* [R,H] output; may not overlap the others */
    size_t ldh;
};

/* One step of d cells of an sLSTM (Beck et al., 2024, section 2.2): i, f, z, o are the quarters of `gates`,
 * in that order, before their activation.
 *     log f = log sigmoid(f), or f if forgets_exp            m' = max(log f + m, i); i if n is 0
 *     n = exp(log f + m - m') n + exp(i - m')                c = exp(log f + m - m') c + exp(i - m') tanh(z)
 *     h = sigmoid(o) c / n
 * For |c| <= n, |error of h| <= 1e-6 + 2^-23 (|i| + |log f + m|) against exact arithmetic from the same c, n
 * and m. An exponential below exp(-29) is taken for exp(-29). */
struct slstm_gates {
    size_t d;
    const float *gates; /* [4d] */
    float *c, *n, *m;   /* [d] updated in place; n is 0 before the first step, and at least 1 afterwards */
    float *h;           /* [d] output; may not overlap the others */
    bool forgets_exp;
};

/* One step of the matrix memory of an mLSTM head (Beck et al., 2024, section 2.3), e keys by d values:
 *     C[j,u] = keep C[j,u] + add[j] v[u]        h[u] = q[0] C[0,u] + q[1] C[1,u] + ...      in this order */
struct mlstm_memory {
    size_t e, d;
    float keep;
    const float *q, *add; /* [e] */
    const float *v;       /* [d] */
    float *C;             /* [e,d] updated in place */
    float *h;             /* [d] output; may not overlap the others */
};

/* R rows of n floats, `stride` apart. */
struct row_block {
    const float *rows;
    size_t R, n, stride;
};

struct kernels {
    const char *name; /* as in kernels.def; NULL if the set was not compiled */
    enum layout layout;
    size_t int8_inputs;     /* of an output, whose int8 weights lie together: 4 or 8 */
    size_t bfloat16_block;  /* 32 for the order of amx (promise 4), 0 for that of the others */
    bool is_fused;          /* multiply-add rounds once: the set is one of the bit-equal ones */
    bool batch_independent; /* promise 1 holds */

    /* Indexed by precision.
     * float32: C[r,n] = base + sum_k A[r,k] * W[n,k].
     * float16: the same, with weights stored as IEEE half and widened, exactly, when loaded.
     * bfloat16: the same, with weights and A in bfloat16.
     * int8:    C[r,n] = fma(scale[n], float(sum_k A[r,k] * w[n,k] - correction[n]), base); the
     *          sum is exact, so all sets agree on it. */
    void (*product[N_PRECISIONS])(const struct product *p);

    /* The codes of n inputs, ties to even; NULL for a precision whose product reads floats.
     * bfloat16: uint16_t codes[i], the upper half of the float that is nearest to x[i].
     * int8:     uint8_t codes[i] = round(127 * x[i]) + 128, saturated to 1..255. */
    void (*encode[N_PRECISIONS])(size_t n, const float *x, void *codes);

    void (*lstm_gates)(const struct gates *g);
    void (*slstm_gates)(const struct slstm_gates *g);
    void (*mlstm_memory)(const struct mlstm_memory *m);

    /* y[i] = f(x[i]); y may be x. tanh and sigmoid: |error| <= 3e-7, results within [-1,1] and
     * [0,1], large |x| saturates. relu is exact: max(x, 0). */
    void (*tanh)(size_t n, const float *x, float *y);
    void (*sigmoid)(size_t n, const float *x, float *y);
    void (*relu)(size_t n, const float *x, float *y);

    /* y[r] = x . row r. Value i is added to sum i % 16, in order; then sum k + 8 to sum k, k + 4 to k, k + 2
     * to k and k + 1 to k. |error| <= (n / 16 + 6) * 2^-24 * sum_i |x[i] row[r,i]|, twice that without
     * fma. */
    void (*dots)(const struct row_block *rows, const float *x, float *y);
    /* y[i] = keep y[i] + weights[0] row[0,i] + weights[1] row[1,i] + ...      in this order; i < n.
     * y is not read if keep is 0. */
    void (*weigh)(const struct row_block *rows, const float *weights, float keep, float *y);
    /* The greatest of n >= 1 values. */
    float (*greatest)(size_t n, const float *x);
    /* sum_i exp(x[i] - offset), offset the greatest value: |error| <= 2e-6 times the sum. Terms below
     * exp(-29) are taken for exp(-29). */
    double (*exp_sum)(size_t n, const float *x, float offset);
};

/* Choose the active set, "auto" or a row of kernels.def. STATUS_BAD_VALUE for a name that is
 * not in the table, STATUS_UNSUPPORTED for a set that this build or this processor lacks, or whose
 * library cannot be loaded; the active set is then unchanged. Call from main before other threads
 * start. A matrix keeps the set that was active when it was packed. */
MUST_CHECK enum status kernels_select(const char *name, struct error *err);

/* The active set; portable before the first selection. */
const struct kernels *kernels_active(void);

/* The sets that run here, best first: index 0, 1, ... until NULL. Loads OpenBLAS: for tests and
 * benchmarks, on one thread. */
const struct kernels *kernels_available(size_t index);

/* The names of the sets that were compiled and that this processor runs, in the same order. Loads nothing,
 * so openblas is named though its library may not be installed. Any thread. */
const char *kernels_available_name(size_t index);

/* OpenBLAS picks its own kernels when the library loads, and older releases take newer
 * processors for a Prescott: a quarter of the speed. The core type it runs as, and the value
 * that OPENBLAS_CORETYPE should have had in the environment at start, or NULL if nothing is
 * to be mended. Both load the library, and are NULL if that fails. On one thread. */
const char *kernels_openblas_core(void);
const char *kernels_openblas_advice(void);

#endif
