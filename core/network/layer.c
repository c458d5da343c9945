#include "core/network/layer.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

static const struct layer_type *const types[] = {
#define X(symbol) &layer_##symbol,
#include "core/network/layer.def"
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

enum status layer_take_shape(const struct layer_spec *spec, const struct layer_context *context,
                             const char *name, size_t rank, const size_t *shape, float **out,
                             struct error *err)
{
    char full[LAYER_PREFIX_BYTES + 64];
    struct layer_plan *plan = context->plan;
    snprintf(full, sizeof full, "%s.%s", spec->prefix, name);
    if (!plan) return context->tensors->take(context->tensors, full, rank, shape, out, err);
    uint64_t bytes = sizeof(float);
    for (size_t i = 0; i < rank; i++) bytes *= shape[i];
    if (bytes > plan->largest) plan->largest = bytes;
    *out = NULL;
    return context->tensors->check(context->tensors, full, rank, shape, err);
}

enum status layer_take(const struct layer_spec *spec, const struct layer_context *context,
                       const char *name, size_t rows, size_t columns, float **out,
                       struct error *err)
{
    size_t shape[2] = {rows, columns};
    return layer_take_shape(spec, context, name, columns ? 2 : 1, shape, out, err);
}

enum status layer_expect(const struct layer_spec *spec, const struct layer_context *context, const char *name,
                         size_t rows, size_t columns, struct error *err)
{
    char full[LAYER_PREFIX_BYTES + 64];
    size_t shape[2] = {rows, columns}, rank = columns ? 2 : 1;
    float none;
    snprintf(full, sizeof full, "%s.%s", spec->prefix, name);
    if (context->plan) return context->tensors->check(context->tensors, full, rank, shape, err);
    return context->tensors->read(context->tensors, full, rank, shape, 0, 0, &none, err);
}

void layer_keep(const struct layer_context *context, size_t rows, size_t columns)
{
    if (context->plan) context->plan->kept += (uint64_t)rows * columns * sizeof(float);
}

/* A sentence for matrix_new's failures. */
static enum status packed(const struct layer_spec *spec, const char *name, size_t N, size_t K,
                          enum precision precision, enum status status, struct error *err)
{
    if (status == STATUS_BAD_VALUE)
        return error_set(err, status, "tensor '%s.%s': a weight is too large for %s (at most 65504)",
                         spec->prefix, name, precision_name(precision));
    if (status == STATUS_OK) return status;
    return error_set(err, status, "tensor '%s.%s': cannot pack %zu x %zu weights as %s: %s",
                     spec->prefix, name, N, K, precision_name(precision), status_text(status));
}

static bool is_planned(const struct layer_context *context, size_t N, size_t K, enum precision precision,
                       struct matrix **out)
{
    if (!context->plan) return false;
    context->plan->kept += matrix_planned_bytes(N, K, precision);
    *out = NULL;
    return true;
}

enum status layer_matrix(const struct layer_spec *spec, const struct layer_context *context,
                         const char *name, const float *W, const float *bias, size_t N, size_t K,
                         enum precision precision, struct matrix **out, struct error *err)
{
    if (is_planned(context, N, K, precision, out)) return STATUS_OK;
    return packed(spec, name, N, K, precision, matrix_new(W, bias, N, K, precision, out), err);
}

/* Rows of a tensor, read as a matrix is packed. */
struct tensor_rows {
    struct tensors *tensors;
    const char *name; /* whole */
    size_t shape[2];
    const struct layer_rows *rows;
    struct error *err;
    bool has_failed; /* with a sentence in err */
};

static enum status read_row(void *context, size_t n, float *room, const float **row)
{
    struct tensor_rows *from = context;
    const struct layer_rows *rows = from->rows;
    size_t at = rows->first + (rows->place ? rows->place(rows->context, n) : n), K = from->shape[1];
    *row = room;
    enum status status = from->tensors->read(from->tensors, from->name, 2, from->shape, at * K, K, room,
                                             from->err);
    from->has_failed = status != STATUS_OK;
    return status;
}

enum status layer_matrix_of(const struct layer_spec *spec, const struct layer_context *context,
                            const char *name, const struct layer_rows *rows, const float *bias, size_t K,
                            enum precision precision, struct matrix **out, struct error *err)
{
    char full[LAYER_PREFIX_BYTES + 64];
    struct tensors *tensors = context->tensors;
    struct tensor_rows from = {.tensors = tensors, .name = full, .shape = {rows->tensor_rows, K},
                               .rows = rows, .err = err};
    snprintf(full, sizeof full, "%s.%s", spec->prefix, name);
    if (is_planned(context, rows->n, K, precision, out))
        return tensors->check(tensors, full, 2, from.shape, err);
    enum status status = matrix_new_from(&(struct matrix_source){read_row, &from}, bias, rows->n, K,
                                         precision, out);
    return from.has_failed ? status : packed(spec, name, rows->n, K, precision, status, err);
}

enum precision layer_precision(enum precision wanted, bool bounded, size_t inputs)
{
    if (!precision_code_bytes(wanted)) return wanted;
    bool fits = bounded && (wanted != PRECISION_INT8 || inputs <= INT8_MAX_INPUTS);
    return fits ? wanted : PRECISION_FLOAT16;
}

enum precision layer_precision_after(enum precision wanted, const struct layer *before, size_t inputs)
{
    const bool is_normed = before && before->normed;
    return layer_precision(wanted, (before && before->bounded) || (is_normed && wanted == PRECISION_BFLOAT16),
                           inputs);
}

size_t layer_round(size_t n_floats)
{
    size_t line = MEMORY_ALIGNMENT / sizeof(float);
    return (n_floats + line - 1) / line * line;
}
