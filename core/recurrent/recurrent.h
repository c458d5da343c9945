/* recurrent: what lstm, gru and rnn share. recurrent_build.c loads, recurrent.c runs, the three types' own
 * files say what one unit computes, and recurrent_trace.c explains them (core/recurrent/way.h). Nothing
 * outside of this folder includes this header.
 *
 * I inputs, H units, O outputs of a step: H, or an lstm's proj_size; G gates of a unit. A built layer is
 * immutable.
 *
 * Blocks. A product makes its outputs in panels of 64 (core/network/matrix.h). At load the rows of W, U and
 * b, which PyTorch keeps gate below gate, are put in another order, so that whole panels hold all gates of
 * a block of units, and are all that is needed to move those units on. An lstm has 16 units a block of one
 * panel, a gru 64 units a block of three panels, an rnn 64 units a block of one:
 *
 *     lstm   i0..i15 f0..f15 g0..g15 o0..o15 | i16..i31 f16.. g16.. o16.. | ...     (fewer in the last)
 *     gru    r0..r63 | z0..z63 | n0..n63 | r64..r127 | ...
 */
#ifndef CAROUSEL_CORE_RECURRENT_H
#define CAROUSEL_CORE_RECURRENT_H

#include "core/layers/activation.h"
#include "core/network/layer.h"

/* One direction of one layer. */
struct cell {
    size_t I;         /* inputs of a step */
    struct matrix *W; /* [GH,I] and b, block by block; NULL if there is a table */
    struct matrix *U; /* [GH,O] block by block; with N [2H,H] of r and z, as PyTorch keeps them */
    struct matrix *N; /* [H,H] gru of the original convention: what reads r * h; else NULL */
    struct matrix *P; /* [O,H], or NULL: h is what the units give */
    float *table;     /* [V,GH] W x + b of every token, block by block; or NULL */
    float *bias;      /* [GH] the b in the table, block by block; NULL without a table or bias */
    float *peephole;  /* [3H] lstm: what i, f and o see of c; or NULL */
    float *initial;   /* [O + cH] h, then c, before the first step; NULL: zero */
};

struct recurrent;

/* The units [unit, unit + n) of R sequences at one step, with their products made. */
struct units {
    size_t R, unit, n;
    const struct cell *cell;
    float *gates;         /* [R,Gn] W x + b, and on top of it U h unless the kind is separate */
    size_t ldg;
    const float *hidden;  /* [R,Gn] U h + b_hh, if the kind is separate */
    size_t ldu;
    const float *before;  /* [R,n] h of the step before, if the kind is separate */
    size_t ldb;
    float *c;             /* [R,n] updated in place, if the kind has c */
    size_t ldc;
    float *h;             /* [R,n] out */
    size_t ldh;
};

enum { LSTM_BLOCK = PANEL_COLUMNS / 4 }; /* units of an lstm's block */

/* What sets one type apart from the others. */
struct cell_kind {
    size_t n_gates;
    size_t block_units, block_panels; /* drawing above */
    bool has_c;       /* c beside h in the state */
    bool is_separate; /* U h + b_hh stays apart from W x + b_ih, and h before is wanted */
    /* Move units on by a step. Any thread. */
    void (*step)(const struct recurrent *layer, const struct units *units);
    /* gru of the original convention: put r * h into units->h, and z where it was; called for all H. */
    void (*reset)(const struct recurrent *layer, const struct units *units);
    const struct slow_kind *slow; /* one step of the slow path (core/recurrent/way.h) */
};

struct recurrent {
    struct layer layer;
    const struct cell_kind *kind;
    const struct kernels *kernels; /* the set active at load, as in the matrices */
    activation *gate;     /* sigmoid, or what Keras puts in its place */
    activation *squash;   /* tanh, or another: of g (n) and, in an lstm, of c */
    activation_slope *gate_slope, *squash_slope; /* their slopes, which their values tell */
    bool is_fused;        /* lstm: the kernel set's own gates */
    size_t H, O;
    size_t n_layers, n_directions; /* the second 1 or 2 */
    bool whole;           /* no state: both directions, or backwards */
    bool is_backwards;    /* the one direction reads the last step first */
    bool has_initial;     /* and then the state's last float is 1 once it was begun */
    size_t layer_state;   /* floats of one layer's h and c */
    size_t row;         /* floats that hold a row of any layer's inputs or outputs */
    enum precision precision; /* asked for: of the matrices that read codes, if it has codes */
    bool keeps_codes;   /* some matrix reads codes of rows */
    struct cell *cells; /* [n_layers * n_directions] owned; forward, then reverse */
};

/* What a type's build says of a layer; the rest stands in the common keys. */
struct cell_options {
    const struct cell_kind *kind;
    size_t proj_size;                 /* 0: none */
    const char *gate, *squash;        /* names of activations */
    bool is_backwards, has_peepholes, has_initial;
};

/* The keys that every recurrent type begins with, and those that it may have without effect. */
enum { INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS, HAS_BIAS, BIDIRECTIONAL, N_RECURRENT_KEYS };
enum { RECURRENT_MAX_LAYERS = 64 };
#define RECURRENT_KEYS                                                                             \
    {.name = "input_size", .kind = KEY_SIZE, .required = true, .minimum = 1,                      \
     .maximum = LAYER_MAX_SIZE},                                                                   \
    {.name = "hidden_size", .kind = KEY_SIZE, .required = true, .minimum = 1,                     \
     .maximum = LAYER_MAX_SIZE},                                                                   \
    {.name = "num_layers", .kind = KEY_SIZE, .fallback = 1, .minimum = 1,                         \
     .maximum = RECURRENT_MAX_LAYERS},                                                             \
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},                                         \
    {.name = "bidirectional", .kind = KEY_BOOLEAN}
#define RECURRENT_KEYS_WITHOUT_EFFECT                                                              \
    {.name = "dropout", .kind = KEY_NUMBER, .minimum = 0, .maximum = 1}, /* in training */        \
    {.name = "batch_first", .kind = KEY_BOOLEAN} /* how the tensors lay in training */

/* Build a layer of options->kind, as struct layer_type says. */
enum status recurrent_build(const struct layer_spec *spec, const struct layer_context *context,
                            const struct cell_options *options, struct layer **out,
                            struct error *err) MUST_CHECK;

/* As struct layer_type says. */
void recurrent_free(struct layer *layer);
size_t recurrent_scratch_floats(const struct layer *layer, size_t R, size_t B);
void recurrent_run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                   float *scratch);
size_t recurrent_bytes(const struct layer *layer);
size_t recurrent_trace_floats(const struct layer *layer, size_t T);
enum status recurrent_trace(const struct layer *layer, const struct passage *passage);
enum status recurrent_backward(const struct layer *layer, const struct passage *passage, const float *d_out,
                               float *d_in);
enum status recurrent_hold(const struct layer *layer, bool is_back, void **out);
void recurrent_release(void *held);
bool recurrent_cell(const struct layer *layer, const struct passage *passage, size_t k, size_t d,
                    struct trace_cell *cell);

#define RECURRENT_TYPE(symbol)                                                                \
    const struct layer_type layer_##symbol = {                                                     \
        .name = #symbol, .has_prefix = true, .keys = keys, .build = build, .free = recurrent_free, \
        .scratch_floats = recurrent_scratch_floats, .run = recurrent_run, .bytes = recurrent_bytes,\
        .trace_floats = recurrent_trace_floats, .trace = recurrent_trace,                          \
        .backward = recurrent_backward, .hold = recurrent_hold, .release = recurrent_release,      \
        .cell = recurrent_cell}

/* Units of a block: block_units, or fewer in the last. */
static inline size_t recurrent_units(const struct cell_kind *kind, size_t H, size_t block)
{
    size_t left = H - block * kind->block_units;
    return left < kind->block_units ? left : kind->block_units;
}

/* Whether a product reads codes of its inputs; false for NULL. */
static inline bool recurrent_reads_codes(const struct matrix *matrix)
{
    return matrix && precision_code_bytes(matrix_precision(matrix)) > 0;
}

#endif
