/* linear: y = W x + b. In an int8 or bfloat16 network, rows that lie in [-1, 1] are turned into codes
 * first. */
#include "core/network/layer.h"
#include "core/network/slow.h"

#include <string.h>

#include "core/base/memory.h"

enum { IN_FEATURES, OUT_FEATURES, BIAS }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "in_features", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "out_features", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = NULL},
};

struct linear {
    struct layer layer;
    struct matrix *W; /* [out_features, in_features] and bias, owned */
};

static void linear_free(struct layer *layer)
{
    if (!layer) return;
    matrix_free(((struct linear *)layer)->W);
    memory_free(layer);
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t K = (size_t)spec->values[IN_FEATURES], N = (size_t)spec->values[OUT_FEATURES];
    float *bias = NULL;
    struct linear *linear = memory_new(1, sizeof *linear);
    if (!linear) return error_set(err, STATUS_NO_MEMORY, "linear '%s': no memory", spec->prefix);
    linear->layer = (struct layer){.type = spec->type, .input_size = K, .output_size = N,
                                   .forward_size = N};
    enum status status = layer_expect(spec, context, "weight", N, K, err);
    if (status == STATUS_OK && spec->values[BIAS])
        status = layer_take(spec, context, "bias", N, 0, &bias, err);
    if (status == STATUS_OK)
        status = layer_matrix_of(spec, context, "weight", &(struct layer_rows){.tensor_rows = N, .n = N},
                                 bias, K, layer_precision_after(context->precision, context->before, K),
                                 &linear->W, err);
    memory_free(bias);
    if (status == STATUS_OK) *out = &linear->layer;
    else linear_free(&linear->layer);
    return status;
}

/* Bytes of a row's codes, or 0 if W reads floats. */
static size_t row_bytes(const struct linear *linear)
{
    return linear->layer.input_size * precision_code_bytes(matrix_precision(linear->W));
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    (void)B;
    size_t bytes_wanted = R * row_bytes((const struct linear *)layer);
    return layer_round((bytes_wanted + sizeof(float) - 1) / sizeof(float));
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct linear *linear = (const struct linear *)layer;
    size_t R = turn->R, K = layer->input_size, stride = row_bytes(linear);
    if (stride) matrix_encode(matrix_precision(linear->W), R, K, in, K, scratch, stride);
    struct operand A = {.values = in, .values_stride = K, .codes = scratch, .codes_stride = stride};
    struct target C = {.C = out, .stride = layer->output_size};
    team_multiply(turn->team, linear->W, R, &A, &C);
}

static size_t bytes(const struct layer *layer)
{
    return matrix_bytes(((const struct linear *)layer)->W);
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    size_t N = layer->output_size, K = layer->input_size;
    memset(d_in, 0, p->T * K * sizeof *d_in);
    return slow_product(((const struct linear *)layer)->W, p->T, d_out, N, d_in, K);
}

const struct layer_type layer_linear = {
    .name = "linear",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = linear_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
