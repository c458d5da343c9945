/* dropout and identity: what enters, unchanged. Configurations carry dropout because the PyTorch module does.
 * identity says how many numbers enter a network whose first layer is a concat, which cannot know. The
 * network leaves both out when it is built, so they have no run(). */
#include "core/network/layer.h"

#include "core/base/memory.h"

static const struct layer_key dropout_keys[] = {
    {.name = "p", .kind = KEY_NUMBER},
    {.name = NULL},
};
static const struct layer_key identity_keys[] = {
    {.name = "size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", spec->type->name);
    layer->type = spec->type;
    layer->identity = true;
    if (spec->type == &layer_identity) layer->input_size = layer->output_size = (size_t)spec->values[0];
    else if (context->before) layer->input_size = layer->output_size = context->before->output_size;
    *out = layer;
    return STATUS_OK;
}

static void layer_free(struct layer *layer)
{
    memory_free(layer);
}

const struct layer_type layer_dropout = {
    .name = "dropout",
    .keys = dropout_keys,
    .build = build,
    .free = layer_free,
};

const struct layer_type layer_identity = {
    .name = "identity",
    .keys = identity_keys,
    .build = build,
    .free = layer_free,
};
