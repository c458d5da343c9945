/* hdf5: the part of HDF5 that Keras writes, read from memory (HDF5 File Format Specification 3.0).
 *
 * From Keras 1 to 3, h5py writes: superblock version 0 (2 and 3 for files of libver='latest' are refused),
 * groups of symbol tables (a B-tree of version 1, nodes and a local heap), object headers of version 1,
 * attributes in the header, contiguous or compact data, and chunked data if a user asked for compression
 * (one level of B-tree, deflate and shuffle). Anything else is refused by name.
 *
 * Nothing is trusted: every place is checked against the file, every walk has a limit, and a circle of groups
 * ends at HDF5_MAX_DEPTH. One thread; all is borrowed from the file and the pool. */
#ifndef CAROUSEL_MODELS_IMPORT_HDF5_H
#define CAROUSEL_MODELS_IMPORT_HDF5_H

#include <stdbool.h>

#include "models/formats/tensor.h"

enum {
    HDF5_MAX_OBJECTS = 1 << 14,
    HDF5_MAX_DEPTH = 16,
    HDF5_MAX_NAME = 1024,
    HDF5_MAX_MESSAGES = 4096,
    HDF5_MAX_TEXTS = 1 << 16
};

/* A group or a data set, by the place of its header. */
struct hdf5_object {
    const char *name; /* the whole path without a leading slash: "model_weights/dense" */
    uint64_t header;
    bool is_group;
};

struct hdf5 {
    const uint8_t *file; /* [n] borrowed */
    uint64_t n;
    struct pool *pool;
    struct hdf5_object *objects; /* [n_objects] */
    size_t n_objects, room;
    size_t visits; /* of trees, so that circles end */
};

/* Read the tree of file[0..n), which must outlive the result. STATUS_BAD_FORMAT, STATUS_UNSUPPORTED. */
MUST_CHECK enum status hdf5_open(const uint8_t *file, uint64_t n, struct pool *pool, struct hdf5 *out,
                                 struct error *err);
/* The object of that path, "" for the root; NULL. */
const struct hdf5_object *hdf5_find(const struct hdf5 *hdf5, const char *path);

/* The numbers of a data set. */
MUST_CHECK enum status hdf5_tensor(const struct hdf5 *hdf5, const struct hdf5_object *object,
                                   struct tensor *out, struct error *err);
/* The strings of an attribute; a scalar is one. *n is SIZE_MAX if there is no such attribute. */
MUST_CHECK enum status hdf5_texts(const struct hdf5 *hdf5, const struct hdf5_object *object, const char *name,
                                  const char ***texts, size_t *n, struct error *err);

#endif
