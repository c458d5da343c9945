/* activation: relu, tanh and sigmoid, value by value; one contract, three rows of layer.def. */
#include "core/layer.h"

#include "core/memory.h"

static const struct layer_key keys[] = {{.name = NULL}};

struct activation {
    struct layer layer;
    void (*apply)(size_t n, const float *x, float *y); /* of the kernel set active at load */
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const struct layer *before = context->before;
    if (!before)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s: cannot be the first layer, expected one that gives its input size",
                         spec->type->name);
    struct activation *a = memory_new(1, sizeof *a);
    if (!a) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", spec->type->name);
    const struct kernels *kernels = kernels_active();
    bool is_relu = spec->type == &layer_relu;
    a->apply = is_relu ? kernels->relu
             : spec->type == &layer_tanh ? kernels->tanh : kernels->sigmoid;
    a->layer = (struct layer){.type = spec->type, .input_size = before->output_size,
                              .output_size = before->output_size,
                              .forward_size = before->forward_size,
                              .bounded = !is_relu || before->bounded};
    *out = &a->layer;
    return STATUS_OK;
}

static void activation_free(struct layer *layer)
{
    memory_free(layer);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    (void)scratch;
    ((const struct activation *)layer)->apply(turn->R * layer->output_size, in, out);
}

#define ACTIVATION(symbol)                                                                         \
    const struct layer_type layer_##symbol = {                                                     \
        .name = #symbol, .keys = keys, .build = build, .free = activation_free, .run = run}

ACTIVATION(relu);
ACTIVATION(tanh);
ACTIVATION(sigmoid);
