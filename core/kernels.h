/* kernels: the arithmetic of an LSTM, once per instruction set.
 *
 * A kernel set is a struct of function pointers with a name. One set is chosen at start, by
 * name or as the best that the processor and its operating system can run; the rest of the
 * program calls through it and does not know that instruction sets exist. Callers outside
 * core/ use struct matrix (core/matrix.h), which packs weights and calls the products here.
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
 * 2. All sets with a fused multiply-add (avx512*, avx*, neon) give the same bits, in every
 *    operation. portable performs the same operations in the same order, but rounds the
 *    multiplication too; its integers are the same.
 * 3. Products accumulate in one float32 accumulator an element, k = 0..K-1 in turn. Against the
 *    exact sum: |error| <= (K + 2) * 2^-24 * (|base| + sum_k |a[k] w[k]|), twice that without fma. */
#ifndef CAROUSEL_CORE_KERNELS_H
#define CAROUSEL_CORE_KERNELS_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum precision {
#define X(name, text, bytes) PRECISION_##name,
#include "core/precision.def"
#undef X
    N_PRECISIONS
};

const char *precision_name(enum precision precision);
/* By its name in precision.def; STATUS_BAD_VALUE for any other. */
MUST_CHECK enum status precision_find(const char *name, enum precision *precision);

/* Packed weights come in panels of this many outputs, zero-padded; drawing in core/matrix.h. */
enum { PANEL_COLUMNS = 64 };

/* The weights of an int8 product are divided by scale[n] = max_k |w[n,k]| / 127; activations in
 * [-1,1] are multiplied by CODE_SCALE and shifted by CODE_ZERO into one unsigned byte. K is
 * bounded so that sum_k code * weight fits 32 bits. */
enum { CODE_SCALE = 127, CODE_ZERO = 128, INT8_MAX_INPUTS = 65536 };

/* How a set wants its float32 weights (float16 and int8 always come in panels). */
enum layout {
    LAYOUT_PANELS, /* as drawn in core/matrix.h */
    LAYOUT_ROWS,   /* [N,K] as given: for a BLAS */
};

/* The operands of C = base + A * transpose(W), where base is C itself, the bias, or zero.
 * Outputs panel_first * 64 .. min(panel_last * 64, N) - 1 are computed, the others untouched. */
struct product {
    size_t R, K, N;
    size_t panel_first, panel_last;
    const void *A; /* [R,K] float, or codes of one byte for int8 */
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

struct kernels {
    const char *name; /* as in kernels.def; NULL where the set was not compiled */
    enum layout layout;
    bool is_fused;          /* multiply-add rounds once: the set is one of the bit-equal ones */
    bool batch_independent; /* promise 1 holds */

    /* Indexed by precision.
     * float32: C[r,n] = base + sum_k A[r,k] * W[n,k].
     * float16: the same, with weights stored as IEEE half and widened, exactly, when loaded.
     * int8:    C[r,n] = fma(scale[n], float(sum_k A[r,k] * w[n,k] - correction[n]), base); the
     *          sum is exact, so all sets agree on it. */
    void (*product[N_PRECISIONS])(const struct product *p);

    /* codes[i] = round(127 * x[i]) + 128, ties to even, saturated to 1..255. */
    void (*quantize)(size_t n, const float *x, uint8_t *codes);

    void (*lstm_gates)(const struct gates *g);

    /* y[i] = f(x[i]); y may be x. tanh and sigmoid: |error| <= 3e-7, results within [-1,1] and
     * [0,1], large |x| saturates. relu is exact: max(x, 0). */
    void (*tanh)(size_t n, const float *x, float *y);
    void (*sigmoid)(size_t n, const float *x, float *y);
    void (*relu)(size_t n, const float *x, float *y);
};

/* Choose the active set, "auto" or a row of kernels.def. STATUS_BAD_VALUE for a name that is
 * not in the table, STATUS_UNSUPPORTED for a set that this build or this processor lacks; the
 * active set is then unchanged. Call from main before other threads start. A matrix keeps the
 * set that was active when it was packed. */
MUST_CHECK enum status kernels_select(const char *name, struct error *err);

/* The active set; portable before the first selection. */
const struct kernels *kernels_active(void);

/* The sets that run here, best first: index 0, 1, ... until NULL. For tests, benchmarks and
 * the server's list. */
const struct kernels *kernels_available(size_t index);

/* OpenBLAS picks its own kernels when the library loads, and older releases take newer
 * processors for a Prescott: a quarter of the speed. The core type it runs as, and the value
 * that OPENBLAS_CORETYPE should have had in the environment at start, or NULL where nothing is
 * to be mended. Both NULL in a build without OpenBLAS. */
const char *kernels_openblas_core(void);
const char *kernels_openblas_advice(void);

#endif
