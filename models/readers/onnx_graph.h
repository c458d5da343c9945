/* onnx_graph: the values that flow through a graph while it is followed; for onnx*.c. */
#ifndef CAROUSEL_MODELS_IMPORT_ONNX_GRAPH_H
#define CAROUSEL_MODELS_IMPORT_ONNX_GRAPH_H

#include "models/readers/onnx_file.h"

enum { AXES_BYTES = 8, MAX_ENTRIES = 32 };

enum value_kind {
    VALUE_CONSTANT,  /* tensor */
    VALUE_ZERO,      /* zeros of a shape that depends on the input */
    VALUE_SIZES,     /* a shape that depends on the input */
    VALUE_ROWS,      /* what the last part of the plan gives */
    VALUE_FINAL,     /* h after the last step: one entry a layer and direction along its first axis */
    VALUE_QUANTISED, /* rows in eight bits, or their product with a matrix of eight bits */
    VALUE_SCALE,     /* scale or zero of quantised rows; tensor: times that of a matrix; NULL: alone */
    VALUE_TRUTH,     /* of ids, which are never negative: is_true */
    VALUE_NOTHING    /* what no layer of ours gives: c, for one */
};

/* Axes by letters: B batch, T step, F feature, D direction, N batch and step in one, 1 of size one. */
struct value {
    const char *name;
    enum value_kind kind;
    const struct tensor *tensor;
    char axes[AXES_BYTES];
    size_t part;             /* rows: parts of the plan when they were made; later ones did not see them */
    char before[AXES_BYTES]; /* rows of N and F: the axes that became N */
    size_t window;           /* rows: steps, 0: any */
    bool is_ids, is_reversed, is_true;
    bool is_fed; /* zero: an input of the graph that is a state; tensor: what was recorded, or NULL */
    size_t half; /* rows: 1 + the one direction that they are of; 0: all */
    const struct onnx_node *quantised_by; /* quantised rows and their scale: the node that made both */
    const struct tensor *weight, *zero;   /* quantised: a matrix or table of eight bits; zero NULL: 0 */
    struct {
        size_t part, direction;
    } entries[MAX_ENTRIES]; /* final: [n_entries] */
    size_t n_entries;
};

/* A matrix whose bias may follow as a node of its own. */
struct pending {
    const struct tensor *weight, *bias;
    const char *origin, *prefix;
    bool transposed;
};

struct onnx_graph {
    struct onnx_file file;
    struct plan *plan;
    struct error *err;
    const struct folder *records; /* NULL: none */
    struct value *values;         /* [n_values] */
    size_t n_values, room;
    struct pending pending;     /* weight NULL: none */
    const struct tensor *bytes; /* the table of eight bits that is the first part; NULL: none */
};

/* The value of that name; NULL. */
struct value *onnx_value(struct onnx_graph *graph, const char *name);
/* A new value, of the i-th output of the node; NULL with *err set. */
struct value *onnx_result(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                          enum value_kind kind);
/* The i-th input; NULL if it is left out. */
struct value *onnx_input(struct onnx_graph *graph, const struct onnx_node *node, size_t i);
/* "node 'x' (Op): what". */
MUST_CHECK enum status onnx_refuse(struct onnx_graph *graph, const struct onnx_node *node, const char *what);

/* The integers of a constant; SIZE_MAX if it is none, or has more than `most`. */
size_t onnx_integers(struct onnx_graph *graph, const struct value *value, size_t most, int64_t *out);
/* Axes of a node, from its attribute or its input; SIZE_MAX if they depend on the input. */
size_t onnx_axes(struct onnx_graph *graph, const struct onnx_node *node, size_t input, size_t rank,
                 size_t *out);

/* A prefix for the tensors of a new part: the name of the weight without its end, or the module of the node,
 * or the type; no other part has it. NULL if there is no memory. */
const char *onnx_prefix(struct onnx_graph *graph, const struct onnx_node *node, const struct tensor *weight,
                        const char *type);

/* Whether all that reads the input `name` of the graph begins a layer that reads forwards with it, perhaps by
 * way of nodes that pick one layer's state; `alone`: without such nodes. */
bool onnx_is_state(const struct onnx_file *file, const char *name, bool alone);

/* Compute a node all of whose inputs are constants; *done is false if its operator is not one for constants.
 */
MUST_CHECK enum status onnx_fold(struct onnx_graph *graph, const struct onnx_node *node, bool *done);
/* LSTM, GRU and RNN. */
MUST_CHECK enum status onnx_recurrent(struct onnx_graph *graph, const struct onnx_node *node);
/* A node of quantised rows or weights; *done is false if it is none. */
MUST_CHECK enum status onnx_quantised(struct onnx_graph *graph, const struct onnx_node *node, bool *done);
/* Input i in float32, multiplied by the scales of input `scale`, which is followed by the zeros: one scale,
 * or one an index of `axis`. DynamicQuantizeLSTM's weights [D, in, 4H] as [D, 4H, in]. DequantizeLinear of a
 * constant. NULL with the error set. */
const struct tensor *onnx_dequantised(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                                      size_t scale, size_t axis);
const struct tensor *onnx_dequantised_gates(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                                            size_t scale);
const struct tensor *onnx_dequantised_constant(struct onnx_graph *graph, const struct onnx_node *node);
/* Arithmetic of ids that changes nothing, because none is negative; *done is false if it is none. */
MUST_CHECK enum status onnx_ids(struct onnx_graph *graph, const struct onnx_node *node, bool *done);
/* Everything else that reads rows. */
MUST_CHECK enum status onnx_rows(struct onnx_graph *graph, const struct onnx_node *node);
/* A copy of input i as rows that the next part may read. */
MUST_CHECK enum status onnx_take_rows(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                                      struct value *out);
/* Add the embedding of a table [ids, width]; `ids` becomes what it gives. */
MUST_CHECK enum status onnx_add_table(struct onnx_graph *graph, const struct onnx_node *node,
                                      const struct tensor *table, struct value *ids);
/* Transpose. */
MUST_CHECK enum status onnx_move_axes(struct onnx_graph *graph, const struct onnx_node *node,
                                      struct value *v);
/* Make the part of a matrix that waits for its bias. */
MUST_CHECK enum status onnx_flush(struct onnx_graph *graph);

#endif
