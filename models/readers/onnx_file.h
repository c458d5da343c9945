/* onnx_file: the model of an .onnx file as nodes and tensors (onnx/onnx.proto). Of its fields those are read
 * that an exporter of a chain of layers writes; the rest is passed over. Bounded by ONNX_MAX_*. One thread;
 * all is borrowed from the file and the pool. */
#ifndef CAROUSEL_MODELS_IMPORT_ONNX_FILE_H
#define CAROUSEL_MODELS_IMPORT_ONNX_FILE_H

#include "models/plan/plan.h"
#include "models/text/folder.h"

enum {
    ONNX_MAX_NODES = 1 << 12,
    ONNX_MAX_NAMES = 16,
    ONNX_MAX_ATTRIBUTES = 32,
    ONNX_MAX_DIMENSIONS = 8,
    ONNX_MAX_TENSORS = 1 << 12,
    ONNX_MAX_INPUTS = 64
};

struct onnx_attribute {
    const char *name;
    int64_t integer;
    double real;
    const char *text;
    const struct tensor *tensor;
    const int64_t *integers; /* [n_integers] */
    const double *reals;     /* [n_reals] */
    const char **texts;      /* [n_texts] */
    size_t n_integers, n_reals, n_texts;
};

struct onnx_node {
    const char *type, *name, *domain;
    const char *inputs[ONNX_MAX_NAMES], *outputs[ONNX_MAX_NAMES]; /* "": left out */
    size_t n_inputs, n_outputs;
    struct onnx_attribute *attributes; /* [n_attributes] */
    size_t n_attributes, room;
    bool is_needed; /* for the first output */
};

/* An input or output of the graph. */
struct onnx_port {
    const char *name;
    int element; /* TensorProto.DataType */
    size_t rank;
    int64_t shape[ONNX_MAX_DIMENSIONS]; /* -1: any */
};

struct onnx_file {
    struct pool *pool;
    const char *producer;
    int64_t opset;
    struct onnx_node *nodes; /* [n_nodes] in an order in which values come before they are used */
    size_t n_nodes, nodes_room;
    struct tensor *tensors; /* [n_tensors] the initializers */
    size_t n_tensors, tensors_room;
    struct onnx_port inputs[ONNX_MAX_INPUTS], outputs[ONNX_MAX_INPUTS];
    size_t n_inputs, n_outputs;
    const struct folder *folder; /* that external data lie in; NULL: none */
    const char *external;        /* the one file of external data; NULL: none yet */
    const uint8_t *data;         /* [n_data] its content */
    uint64_t n_data, data_end;   /* the last byte that a tensor uses */
};

/* Read file[0..n). External data are looked for in `folder`, which the caller keeps; NULL: nowhere. */
MUST_CHECK enum status onnx_open(const uint8_t *file, size_t n, const struct folder *folder,
                                 struct pool *pool, struct onnx_file *out, struct error *err);
/* A TensorProto, such as a file of test_data_set_0 holds. */
MUST_CHECK enum status onnx_tensor(struct onnx_file *file, const uint8_t *bytes, size_t n, struct tensor *out,
                                   struct error *err);

/* The attribute of that name; NULL. */
const struct onnx_attribute *onnx_attribute(const struct onnx_node *node, const char *name);
int64_t onnx_integer(const struct onnx_node *node, const char *name, int64_t fallback);
/* The initializer of that name; NULL. */
const struct tensor *onnx_initializer(const struct onnx_file *file, const char *name);

#endif
