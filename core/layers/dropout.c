/* dropout: the identity at inference. Configurations carry it because the PyTorch module does; the
 * network leaves it out when it is built, so run() exists for no one. */
#include "core/network/layer.h"

#include "core/base/memory.h"

static const struct layer_key keys[] = {
    {.name = "p", .kind = KEY_NUMBER},
    {.name = NULL},
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "dropout: no memory");
    layer->type = spec->type;
    layer->identity = true;
    if (context->before) layer->input_size = layer->output_size = context->before->output_size;
    *out = layer;
    return STATUS_OK;
}

static void layer_free(struct layer *layer)
{
    memory_free(layer);
}

const struct layer_type layer_dropout = {
    .name = "dropout",
    .keys = keys,
    .build = build,
    .free = layer_free,
};
