/* flatten: the last `steps` rows of a sequence as one vector, oldest first (torch.nn.Flatten after layers
 * that were trained on windows of that length). A sequence of fewer steps is as if zeros came before its
 * rows. They are kept in the state. */
#include "core/layers/past.h"

#include <string.h>

#include "core/base/memory.h"

enum { STEPS }; /* values, in the order of keys */
enum { FLATTEN_MAX_STEPS = 4096 };

static const struct layer_key keys[] = {
    {.name = "steps", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = FLATTEN_MAX_STEPS},
    {.name = NULL},
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const struct layer *before = context->before;
    size_t steps = (size_t)spec->values[STEPS];
    if (!before)
        return error_set(err, STATUS_BAD_VALUE,
                         "flatten: cannot be the first layer, expected steps to flatten before it");
    if (before->output_size > LAYER_MAX_SIZE / steps)
        return error_set(err, STATUS_BAD_VALUE,
                         "flatten: %zu steps of %zu numbers, expected at most %d in all", steps,
                         before->output_size, (int)LAYER_MAX_SIZE);
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "flatten: no memory");
    size_t n = before->output_size * steps;
    *layer = (struct layer){.type = spec->type, .input_size = before->output_size, .output_size = n,
                            .state_floats = n, .pools = true, .bounded = before->bounded, .forward_size = n};
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
    size_t n = layer->output_size, steps = n / layer->input_size;
    (void)scratch;
    for (size_t b = 0; b < turn->B; b++, out += n) {
        float *state = turn->states[b] + layer->state_offset;
        past_move(turn, in, layer->input_size, state, steps, b);
        memcpy(out, state, n * sizeof *out);
    }
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    size_t n = layer->input_size, steps = layer->output_size / n, T = p->T;
    size_t kept = T < steps ? T : steps;
    memset(d_in, 0, (T - kept) * n * sizeof *d_in);
    memcpy(d_in + (T - kept) * n, d_out + (steps - kept) * n, kept * n * sizeof *d_in);
    return STATUS_OK;
}

const struct layer_type layer_flatten = {
    .name = "flatten",
    .keys = keys,
    .build = build,
    .free = layer_free,
    .run = run,
    .backward = backward,
};
