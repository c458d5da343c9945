/* tensors: where layers get their weights, seen from the floor that knows no files.
 *
 * models/bundle/safetensors implements it over a file; tests implement it over arrays. */
#ifndef CAROUSEL_CORE_TENSORS_H
#define CAROUSEL_CORE_TENSORS_H

#include <stddef.h>

#include "core/base/status.h"

enum { TENSOR_MAX_RANK = 8 };

/* Used by one thread while a model loads. */
struct tensors {
    /* Give tensor `name` as float32, row-major, in a block that the caller owns (memory_free).
     * Its shape must be exactly shape[0..rank). Fails with STATUS_NOT_FOUND, STATUS_BAD_SHAPE,
     * STATUS_BAD_FORMAT (not a float dtype), STATUS_BAD_VALUE (NaN or infinity) or
     * STATUS_NO_MEMORY, with a sentence in `err`. */
    enum status (*take)(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                        float **out, struct error *err) MUST_CHECK;
    /* Write values first to first + n - 1 of the tensor, which the caller knows to be there, to out [n]: for
     * what is read once and kept in another form. Fails as take() does. */
    enum status (*read)(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                        size_t first, size_t n, float *out, struct error *err) MUST_CHECK;
    /* Fail as take() does except for values and memory, and read none: for network_plan and
     * a task's `read`. May be NULL if neither is called. */
    enum status (*check)(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                         struct error *err) MUST_CHECK;
};

#endif
