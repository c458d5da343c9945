/* plan: the layers that a reader found, on their way into a bundle: a chain, or what --network wires.
 *
 * A reader makes parts: a layer's type and keys as config.json has them, the tensors of the source, and how
 * the source orders them. plan_* turns those into PyTorch's tensors; models/plan/reference.c computes with
 * the source's own, so that the two prove each other. Everything is borrowed from the pool. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_PLAN_H
#define CAROUSEL_MODELS_IMPORT_PLAN_H

#include "core/network/layer.h"
#include "models/formats/tensor.h"
#include "models/plan/report.h"

enum { PLAN_MAX_PARTS = 256, PLAN_MAX_KEYS = 16, PLAN_MAX_CELLS = 64, PLAN_NAME_BYTES = 128 };

/* One direction of one recurrent layer, in the order and layout of its source. */
struct cell {
    const struct tensor *w_in;     /* [gates * H, in], or [in, gates * H] if transposed */
    const struct tensor *w_rec;    /* [gates * H, out], or the same transposed */
    const struct tensor *b_in;     /* [gates * H]; NULL: none */
    const struct tensor *b_rec;    /* [gates * H]; NULL: none, or included in b_in */
    const struct tensor *proj;     /* [out, H]; NULL: none */
    const struct tensor *peephole; /* [3H]; NULL: none */
    const struct tensor *h0, *c0;  /* [out], [H]; NULL: zero */
    const char *gates;             /* the source's order, of "ifgo", "rzn" or "n" */
    const char *peephole_gates;    /* of "ifo" */
    bool transposed;
    size_t in, hidden, out;
};

/* A tensor of model.safetensors. */
struct weight {
    const char *name;
    size_t rank, shape[4];
    const float *values;
};

struct part {
    const char *type;   /* of core/network/layer.def */
    const char *prefix; /* "" for a type without tensors */
    const char *origin; /* as its framework calls it: "Keras' LSTM(50) 'lstm_1'" */
    const char *name;   /* by which other parts read it; NULL: none */
    int sources[LAYER_MAX_SOURCES]; /* [n_sources] parts that it reads, or SOURCE_INPUT */
    size_t n_sources;               /* 0: the part before it, or of the first of a network the input */
    const struct layer_spec *spec;  /* of a type that plan_other has added: its keys; else NULL */
    struct {
        const char *name, *json;
    } keys[PLAN_MAX_KEYS];
    size_t n_keys;
    struct weight *weights; /* [n_weights] */
    size_t n_weights, weights_room;
    size_t in, out; /* floats of a row before and after; in: ids of a table */
    /* for the reference */
    struct cell cells[PLAN_MAX_CELLS]; /* [n_layers * n_directions] forward, then reverse */
    size_t n_layers, n_directions;
    const struct tensor *fed_h, *fed_c; /* recorded states [1, B, H] that the source reads as inputs, so that
                                           they are no part of the bundle; NULL: none */
    const char *gate, *squash; /* activations of the cells: "sigmoid", "tanh" */
    bool reset_after, backwards;
    const struct tensor *weight, *bias;   /* linear, embedding, norms, conv1d */
    const struct tensor *mean, *variance; /* batch_norm */
    bool transposed;                      /* linear: weight [in, out] */
    double epsilon;
    const char *mode;        /* pooling; padding of conv1d */
    size_t kernel, dilation; /* conv1d; steps of flatten, 1 */
    size_t groups;           /* conv1d */
};

struct node;
struct json;

enum plan_end { END_UNKNOWN, END_RAW, END_SOFTMAX, END_SIGMOID };

struct plan {
    struct pool *pool;
    struct report *report;
    struct part parts[PLAN_MAX_PARTS];
    size_t n_parts;
    size_t n_encoder; /* parts of an encoder, behind which those of its decoder stand; 0: one network */
    bool begins;      /* the decoder goes on from the encoder's states */
    struct {
        const char *name;
        int sources[LAYER_MAX_SOURCES];
        size_t n_sources;
    } next; /* how the next part that is added hangs together with others */
    bool graph_is_known; /* the source says how layers are connected: pooling and activations are facts */
    bool pools;          /* a part is pooling */
    enum plan_end end;   /* what the source applies after the last part */
    const struct node *checkpoint; /* of PyTorch: all that was saved beside the model; NULL: nothing */
    bool step_first;               /* the source's first axis is the step, not the batch */
    const struct tensor *recorded_input, *recorded_output; /* that lay beside it; NULL: none */
    double *recorded_values;                               /* the input's; NULL: not decoded yet */
    size_t window;                                         /* steps that the source was made for; 0: any */
    size_t split[2];                                       /* axes that the last vector gets; 0: none */
    bool masks;                                            /* id 0 is padding, which the source skips */
    bool pads; /* the source was trained on padded input that it does not mask */
};

/* A new part at the end. NULL with *err set if there are too many, or the name is too long. */
struct part *plan_add(struct plan *plan, const char *type, const char *prefix, const char *origin,
                      struct error *err);
/* A key of the last part. */
MUST_CHECK enum status plan_size(struct plan *plan, const char *key, size_t value, const char *from,
                                 struct error *err);
MUST_CHECK enum status plan_word(struct plan *plan, const char *key, const char *word, const char *from,
                                 struct error *err);
MUST_CHECK enum status plan_json(struct plan *plan, const char *key, const char *json, const char *from,
                                 struct error *err);
MUST_CHECK enum status plan_truth(struct plan *plan, const char *key, bool value, const char *from,
                                  struct error *err);

/* Finish the part whose cells, n_layers, n_directions, gate, squash and flags are set: sizes, keys and
 * tensors. Checks every shape. */
MUST_CHECK enum status plan_recurrent(struct plan *plan, struct part *part, struct error *err);
/* Add a linear layer; bias may be NULL. */
MUST_CHECK enum status plan_linear(struct plan *plan, const char *prefix, const char *origin,
                                   const struct tensor *weight, const struct tensor *bias, bool transposed,
                                   struct error *err);
MUST_CHECK enum status plan_embedding(struct plan *plan, const char *prefix, const char *origin,
                                      const struct tensor *weight, struct error *err);
/* Add a layer without tensors: an activation. */
MUST_CHECK enum status plan_plain(struct plan *plan, const char *type, const char *origin, struct error *err);
/* A mode of pooling that needs nothing else, as config.json spells it; NULL if it is not known. */
const char *plan_pooling_mode(const char *mode);
MUST_CHECK enum status plan_pooling(struct plan *plan, const char *mode, const char *from, struct error *err);
/* All rows of plan->window steps in one. STATUS_UNSUPPORTED if the window is not known. */
MUST_CHECK enum status plan_flatten(struct plan *plan, const char *from, struct error *err);

/* A norm: affine if it has a weight, which then has a bias too. */
struct norm_source {
    const struct tensor *weight, *bias, *mean, *variance; /* [features]; the last two of batch_norm alone */
    double epsilon;
    const char *from; /* of epsilon */
};
MUST_CHECK enum status plan_norm(struct plan *plan, const char *type, const char *prefix, const char *origin,
                                 const struct norm_source *source, struct error *err);

/* A convolution over the steps, of stride 1. */
struct conv_source {
    const struct tensor *weight; /* [out, in, kernel], or Keras' [kernel, in, out] */
    const struct tensor *bias;   /* [out]; NULL: none */
    bool keras;
    const char *padding; /* "causal" or "same" */
    size_t dilation, groups; /* groups 0: 1 */
    const char *from; /* of padding */
};
MUST_CHECK enum status plan_conv(struct plan *plan, const char *prefix, const char *origin,
                                 const struct conv_source *source, struct error *err);

/* For plan*.c: a tensor must have this shape; "from tensor"; a tensor "{prefix}.{name}" of the last part. */
MUST_CHECK enum status plan_expect(struct plan *plan, const struct tensor *t, size_t rank, size_t rows,
                                   size_t columns, struct error *err);
const char *plan_from(struct plan *plan, const struct tensor *tensor);
MUST_CHECK enum status plan_weight(struct plan *plan, const char *name, const size_t *shape, size_t rank,
                                   const float *values, struct error *err);

/* A layer of another type: its keys as an entry of --network has them, and the tensors that the type itself
 * asks for, by their names in the source. `tensors` finds them: its `check` is called for each, and adds it
 * by plan_weight. */
MUST_CHECK enum status plan_other(struct plan *plan, const struct layer_spec *spec, const struct json *entry,
                                  const char *origin, struct tensors *tensors, struct error *err);

/* Floats of a row that the last part gives; 0 if there is none, or if a decoder begins behind it. */
size_t plan_width(const struct plan *plan);
/* The first part that reads what enters the network: ids, or rows of part->in numbers. */
const struct part *plan_input(const struct plan *plan);
/* Part i of the plan reads ids. */
bool plan_reads_ids(const struct part *part);
/* The k-th source of part i, or SOURCE_INPUT. */
int plan_source(const struct plan *plan, size_t i, size_t k);

/* A tensor that is row i of the first axis of `whole`; NULL with *err set. */
const struct tensor *plan_slice(struct pool *pool, const struct tensor *whole, size_t i, struct error *err);

#endif
