/* previous: what a later layer gave in the step before; zero in the first step. Input feeding (Luong, Pham,
 * Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015, 3.3) is a concat of
 * this and the embedding.
 *
 * The network writes the later layer's output into this layer's state after each step, and runs the steps
 * of a turn one by one. */
#include <string.h>

#include "core/base/memory.h"
#include "core/network/layer.h"

enum { SIZE }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t n = (size_t)spec->values[SIZE];
    struct layer *layer = memory_new(1, sizeof *layer);
    (void)context;
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "previous: no memory");
    *layer = (struct layer){.type = spec->type, .output_size = n, .state_floats = n, .recalls = n,
                            .forward_size = n};
    *out = layer;
    return STATUS_OK;
}

static void previous_free(struct layer *layer)
{
    memory_free(layer);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    size_t n = layer->output_size;
    (void)in, (void)scratch;
    for (size_t b = 0; b < turn->B; b++)
        memcpy(out + b * n, turn->states[b] + layer->state_offset, n * sizeof *out);
}

const struct layer_type layer_previous = {
    .name = "previous",
    .keys = keys,
    .build = build,
    .free = previous_free,
    .run = run,
};
