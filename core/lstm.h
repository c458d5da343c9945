/* lstm: what loading makes and running reads. lstm_build.c loads, lstm.c runs; nobody else
 * includes this. The equations and the ideas stand at the head of lstm.c.
 *
 * I inputs, H units, O outputs of a step: H, or proj_size. A built lstm is immutable.
 *
 * Panels. A product makes its outputs in panels of 64 (core/matrix.h). At load the rows of W, U and
 * b, which PyTorch keeps gate below gate, are put in another order, so that a panel holds all four
 * gates of 16 units, and is all it takes to move those units on:
 *
 *     i0..i15 f0..f15 g0..g15 o0..o15 | i16..i31 f16.. g16.. o16.. | ...      (fewer in the last)
 */
#ifndef CAROUSEL_CORE_LSTM_H
#define CAROUSEL_CORE_LSTM_H

#include "core/layer.h"

enum { PANEL_UNITS = PANEL_COLUMNS / 4 };

/* One direction of one layer. */
struct cell {
    size_t I;         /* inputs of a step */
    struct matrix *W; /* [4H,I] and b, panel by panel; NULL where there is a table */
    struct matrix *U; /* [4H,O] panel by panel */
    struct matrix *P; /* [O,H], or NULL: h is o * tanh(c) */
    float *table;     /* [V,4H] W x + b of every token, panel by panel; or NULL */
};

struct lstm {
    struct layer layer;
    const struct kernels *kernels; /* the set active at load, as in the matrices */
    size_t H, O;
    size_t n_layers, n_directions; /* the second 1 or 2 */
    size_t row;         /* floats that hold a row of any layer's inputs or outputs */
    bool keeps_codes;   /* some matrix reads codes of rows */
    struct cell *cells; /* [n_layers * n_directions] owned; forward, then reverse */
};

extern const struct layer_key lstm_keys[];

/* As struct layer_type says. */
enum status lstm_build(const struct layer_spec *spec, const struct layer_context *context,
                       struct layer **out, struct error *err) MUST_CHECK;
void lstm_free(struct layer *layer);

/* Units of a panel: PANEL_UNITS, or fewer in the last. */
static inline size_t lstm_units(size_t H, size_t panel)
{
    size_t left = H - panel * PANEL_UNITS;
    return left < PANEL_UNITS ? left : PANEL_UNITS;
}

/* Whether a product reads codes of its inputs; false for NULL. */
static inline bool lstm_reads_codes(const struct matrix *matrix)
{
    return matrix && matrix_precision(matrix) == PRECISION_INT8;
}

#endif
