/* tensor: an array of numbers that lies somewhere in a file, as its framework described it.
 *
 * A tensor is a view: a data type, a shape, and for each axis how many elements lie between neighbours
 * (torch.Tensor.stride()). tensor_make checks once that every element lies within the bytes; after that
 * nothing here can read beyond them. One thread; values are borrowed from the file and the pool. */
#ifndef CAROUSEL_MODELS_IMPORT_TENSOR_H
#define CAROUSEL_MODELS_IMPORT_TENSOR_H

#include <stdbool.h>

#include "core/network/tensors.h"
#include "models/formats/pool.h"

enum number_type {
    NUMBER_F32,
    NUMBER_F16,
    NUMBER_BF16,
    NUMBER_F64,
    NUMBER_I64,
    NUMBER_I32,
    NUMBER_I16,
    NUMBER_I8,
    NUMBER_U8,
    NUMBER_BOOL,
    N_NUMBER_TYPES
};
/* Bytes of an element, and PyTorch's name such as "float32". */
size_t number_bytes(enum number_type type);
const char *number_name(enum number_type type);

struct tensor {
    const char *name;
    enum number_type type;
    size_t rank, shape[TENSOR_MAX_RANK];
    size_t strides[TENSOR_MAX_RANK]; /* elements */
    size_t n_values;
    const uint8_t *data; /* of element 0; not aligned */
};

enum { TENSOR_MAX_VALUES = 1 << 29 };

/* Fill `tensor`, whose name, type, rank, shape and strides are set: element 0 lies `offset` elements after
 * bytes[0], and all of them within bytes[0..n_bytes). STATUS_BAD_FORMAT. */
MUST_CHECK enum status tensor_make(struct tensor *tensor, const uint8_t *bytes, uint64_t n_bytes,
                                   uint64_t offset, struct error *err);
/* Set the strides of a tensor in C's order (the last axis is dense). */
void tensor_set_dense(struct tensor *tensor);

/* All values in C's order, as doubles or rounded to float, borrowed from the pool. STATUS_BAD_VALUE with
 * the tensor's name if one is not finite. */
MUST_CHECK enum status tensor_doubles(const struct tensor *tensor, struct pool *pool, double **out,
                                      struct error *err);
MUST_CHECK enum status tensor_floats(const struct tensor *tensor, struct pool *pool, float **out,
                                     struct error *err);

/* "rnn.weight_hh_l0 [768, 192]", for sentences; borrowed from the pool, never NULL. */
const char *tensor_text(const struct tensor *tensor, struct pool *pool);

#endif
