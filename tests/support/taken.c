#include "tests/support/taken.h"

#include <string.h>

#include "core/base/memory.h"

enum status taken_read(struct tensors *self, const char *name, size_t rank, const size_t *shape, size_t first,
                       size_t n, float *out, struct error *err)
{
    float *values;
    enum status status = self->take(self, name, rank, shape, &values, err);
    if (status != STATUS_OK) return status;
    memcpy(out, values + first, n * sizeof *out);
    memory_free(values);
    return STATUS_OK;
}
