/* concat, add and multiply: several sources into one row. One contract, three rows of layer.def.
 *
 * concat puts the sources side by side, in the order named: torch.cat(..., dim=-1). add and multiply go
 * value by value, from the first source to the last, over sources of one size: a residual connection, a
 * gate. */
#include <string.h>

#include "core/base/arrays.h"
#include "core/base/memory.h"
#include "core/network/layer.h"

static const struct layer_key keys[] = {{.name = NULL}};

/* The columns that know the past come first, if those of all sources do; side by side they may lie apart, and
 * then the last row is the last, as after a linear layer. */
static size_t forward_size(const struct layer_context *context, bool is_concat, size_t size)
{
    size_t forward = 0;
    for (size_t k = 0; k < context->n_sources; k++) {
        const struct layer *source = context->sources[k];
        bool is_last = k + 1 == context->n_sources, is_mixed = source->forward_size < source->output_size;
        if (is_concat && is_mixed && !is_last) return size;
        if (!is_concat && source->forward_size != context->sources[0]->forward_size) return size;
        forward = is_concat ? forward + source->forward_size : source->forward_size;
    }
    return forward;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const char *name = spec->type->name;
    bool is_concat = spec->type == &layer_concat;
    size_t size = 0;
    if (context->n_sources < 2)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s: has one input, expected 'inputs' to name two or more", name);
    for (size_t k = 0; k < context->n_sources; k++) {
        const struct layer *source = context->sources[k];
        if (!source)
            return error_set(err, STATUS_BAD_VALUE,
                             "%s: cannot be the first layer that reads the network's input, expected one "
                             "that gives its size", name);
        if (!is_concat && k && source->output_size != size)
            return error_set(err, STATUS_BAD_SHAPE,
                             "%s: its inputs have %zu and %zu numbers, expected equally many", name, size,
                             source->output_size);
        size = is_concat ? size + source->output_size : source->output_size;
    }
    if (size > LAYER_MAX_SIZE)
        return error_set(err, STATUS_BAD_SHAPE,
                         "%s: its inputs have %zu numbers together, expected at most %d", name, size,
                         (int)LAYER_MAX_SIZE);
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", name);
    bool bounded = spec->type != &layer_add;
    for (size_t k = 0; k < context->n_sources; k++) bounded &= context->sources[k]->bounded;
    *layer = (struct layer){.type = spec->type, .input_size = context->sources[0]->output_size,
                            .output_size = size, .bounded = bounded,
                            .forward_size = forward_size(context, is_concat, size)};
    *out = layer;
    return STATUS_OK;
}

static void layer_free(struct layer *layer)
{
    memory_free(layer);
}

static void concat(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                   float *scratch)
{
    (void)in, (void)scratch;
    for (size_t k = 0; k < turn->n_sources; k++) {
        const struct layer_source *source = &turn->sources[k];
        for (size_t r = 0; r < turn->R; r++)
            memcpy(out + r * layer->output_size, source->rows + r * source->size, source->size * sizeof *out);
        out += source->size;
    }
}

static void add(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    size_t n = turn->R * layer->output_size;
    (void)scratch;
    for (size_t k = 1; k < turn->n_sources; k++, in = out)
        arrays_add(n, in, turn->sources[k].rows, out);
}

static void multiply(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                     float *scratch)
{
    size_t n = turn->R * layer->output_size;
    (void)scratch;
    for (size_t k = 1; k < turn->n_sources; k++, in = out)
        arrays_multiply(n, in, turn->sources[k].rows, out);
}

/* Back: each source gets its part of the gradient. */
static enum status concat_backward(const struct layer *layer, const struct passage *p, const float *d_out,
                                   float *d_in)
{
    for (size_t k = 0; k < p->n_sources; k++) {
        size_t size = p->sources[k].size;
        for (size_t t = 0; t < p->T; t++, d_in += size)
            memcpy(d_in, d_out + t * layer->output_size, size * sizeof *d_in);
        d_out += size;
    }
    return STATUS_OK;
}

static enum status add_backward(const struct layer *layer, const struct passage *p, const float *d_out,
                                float *d_in)
{
    size_t n = p->T * layer->output_size;
    for (size_t k = 0; k < p->n_sources; k++, d_in += n) memcpy(d_in, d_out, n * sizeof *d_in);
    return STATUS_OK;
}

static enum status multiply_backward(const struct layer *layer, const struct passage *p, const float *d_out,
                                     float *d_in)
{
    size_t n = p->T * layer->output_size;
    for (size_t k = 0; k < p->n_sources; k++, d_in += n) {
        memcpy(d_in, d_out, n * sizeof *d_in);
        for (size_t j = 0; j < p->n_sources; j++)
            for (size_t i = 0; j != k && i < n; i++) d_in[i] *= p->sources[j].rows[i];
    }
    return STATUS_OK;
}

#define JOIN(symbol)                                                                                         \
    const struct layer_type layer_##symbol = {                                                               \
        .name = #symbol, .keys = keys, .joins = true, .build = build, .free = layer_free,                    \
        .run = symbol, .backward = symbol##_backward}

JOIN(concat);
JOIN(add);
JOIN(multiply);
