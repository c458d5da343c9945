/* one_hot: a token as a vector with a single 1.
 *
 * If a recurrent layer follows, it gathers the columns of its input weights instead
 * (core/recurrent/recurrent_build.c), and this layer is dropped. */
#include "core/network/layer.h"

#include <string.h>

#include "core/base/memory.h"

enum { NUM_CLASSES }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "num_classes", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t V = (size_t)spec->values[NUM_CLASSES];
    if (context->before)
        return error_set(err, STATUS_BAD_VALUE,
                         "one_hot: reads tokens, expected to be the first layer");
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "one_hot: no memory");
    *layer = (struct layer){.type = spec->type, .vocabulary_size = V, .output_size = V,
                            .bounded = true, .forward_size = V};
    *out = layer;
    return STATUS_OK;
}

static void layer_free(struct layer *layer)
{
    memory_free(layer);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    size_t V = layer->output_size;
    (void)in, (void)scratch;
    memset(out, 0, turn->R * V * sizeof *out);
    for (size_t r = 0; r < turn->R; r++) out[r * V + (size_t)turn->tokens[r]] = 1.0f;
}

/* The derivative by a factor on the token's vector, whose one number is 1. */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    for (size_t t = 0; t < p->T; t++) d_in[t] = d_out[t * layer->output_size + (size_t)p->tokens[t]];
    return STATUS_OK;
}

const struct layer_type layer_one_hot = {
    .name = "one_hot",
    .keys = keys,
    .build = build,
    .free = layer_free,
    .run = run,
    .backward = backward,
};
