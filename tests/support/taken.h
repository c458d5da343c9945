/* taken: the read() of a test's tensors, by its take(). */
#ifndef CAROUSEL_TESTS_SUPPORT_TAKEN_H
#define CAROUSEL_TESTS_SUPPORT_TAKEN_H

#include "core/network/tensors.h"

enum status taken_read(struct tensors *self, const char *name, size_t rank, const size_t *shape, size_t first,
                       size_t n, float *out, struct error *err);

#endif
