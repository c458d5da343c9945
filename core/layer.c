#include "core/layer.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"

static const struct layer_type *const types[] = {
#define X(symbol) &layer_##symbol,
#include "core/layer.def"
#undef X
    NULL
};

const struct layer_type *const *layer_types(void)
{
    return types;
}

const struct layer_type *layer_type_find(const char *name)
{
    for (size_t i = 0; types[i]; i++)
        if (strcmp(types[i]->name, name) == 0) return types[i];
    return NULL;
}

enum status layer_take(const struct layer_spec *spec, const struct layer_context *context,
                       const char *name, size_t rows, size_t columns, float **out,
                       struct error *err)
{
    char full[LAYER_PREFIX_BYTES + 64];
    size_t shape[2] = {rows, columns};
    snprintf(full, sizeof full, "%s.%s", spec->prefix, name);
    return context->tensors->take(context->tensors, full, columns ? 2 : 1, shape, out, err);
}

enum status layer_matrix(const struct layer_spec *spec, const char *name, const float *W,
                         const float *bias, size_t N, size_t K, enum precision precision,
                         struct matrix **out, struct error *err)
{
    enum status status = matrix_new(W, bias, N, K, precision, out);
    if (status == STATUS_OK) return status;
    if (status == STATUS_BAD_VALUE)
        return error_set(err, status, "tensor '%s.%s': a weight is too large for %s (at most 65504)",
                         spec->prefix, name, precision_name(precision));
    return error_set(err, status, "tensor '%s.%s': cannot pack %zu x %zu weights as %s: %s",
                     spec->prefix, name, N, K, precision_name(precision), status_text(status));
}

enum precision layer_precision(enum precision wanted, bool bounded, size_t inputs)
{
    if (wanted != PRECISION_INT8) return wanted;
    return bounded && inputs <= INT8_MAX_INPUTS ? PRECISION_INT8 : PRECISION_FLOAT16;
}

size_t layer_round(size_t n_floats)
{
    size_t line = MEMORY_ALIGNMENT / sizeof(float);
    return (n_floats + line - 1) / line * line;
}
