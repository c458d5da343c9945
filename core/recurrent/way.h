/* way: one direction of one recurrent layer on the slow path (core/recurrent/trace.h). recurrent_trace.c runs
 * the steps, there and back; what one step computes is in lstm_trace.c, gru_trace.c and rnn_trace.c. The
 * files of the recurrent layers and trace.c include this header, and nothing else does. */
#ifndef CAROUSEL_CORE_WAY_H
#define CAROUSEL_CORE_WAY_H

#include "core/recurrent/recurrent.h"
#include "core/recurrent/trace.h"

/* The weights of a cell in float32, gates in PyTorch's order; or their transposes. NULL if it has none. */
struct weights {
    struct matrix *W, *U, *N, *P;
};

/* One step. H units, O outputs, G gates. */
struct slow_step {
    const struct recurrent *net;
    const struct weights *weights;
    float *gates;             /* [G,H] before: W x + b; then as they act */
    float *more;              /* [H] what the type keeps besides: c of an lstm */
    float *h;                 /* [O] */
    const float *h_before;    /* [O] of the step before in this direction; what it begins with at the first */
    const float *more_before; /* [H] the same of `more` */
    const float *peephole;    /* [3H] lstm, or NULL */
    float *scratch;           /* [4H] of no meaning between steps */
    /* The way back has transposed weights, and: */
    float *pre; /* [G,H] out: the gradient of W x + b */
    float *dh;  /* [O] in: the gradient of h; out: of h_before */
    float *dc;  /* [H] the same of c, for types that have it; zeros at the last step */
};

/* What a type computes, and how it is told. */
struct slow_kind {
    struct trace_gates has;
    bool keeps_more; /* `more` is kept of each step */
    void (*forward)(const struct slow_step *step);
    void (*backward)(const struct slow_step *step);
};

extern const struct slow_kind lstm_slow, gru_slow, gru_original_slow, rnn_slow;

/* Compute C [R,N] = A [R,K] * transpose(matrix) + bias, rows without gaps; or add it to C. */
void way_multiply(const struct matrix *matrix, size_t R, const float *A, float *C, bool accumulate);

/* What recurrent_trace kept of layer k, direction d, of T steps, in the order of the sequence. */
struct way_kept {
    float *gates; /* [T,G,H] */
    float *more;  /* [T,H], if the type keeps it */
    float *y;     /* [T, n_directions * O]: this direction's h begins at d * O */
};
struct way_kept way_kept_at(const struct recurrent *net, const struct passage *passage, size_t k, size_t d);

#endif
