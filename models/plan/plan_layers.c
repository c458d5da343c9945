/* The parts of a plan that are no recurrent layers. */
#include <string.h>

#include "models/plan/plan.h"
#include "models/text/json.h"

/* `values`, or the same turned round. */
static enum status matrix_values(struct plan *plan, const struct tensor *t, bool transposed, float **out,
                                 struct error *err)
{
    struct tensor turned = *t;
    if (transposed) {
        turned.shape[0] = t->shape[1], turned.shape[1] = t->shape[0];
        turned.strides[0] = t->strides[1], turned.strides[1] = t->strides[0];
    }
    return tensor_floats(&turned, plan->pool, out, err);
}

enum status plan_linear(struct plan *plan, const char *prefix, const char *origin,
                        const struct tensor *weight, const struct tensor *bias, bool transposed,
                        struct error *err)
{
    float *values;
    struct part *part = plan_add(plan, "linear", prefix, origin, err);
    if (!part) return err->status;
    if (weight->rank != 2)
        return error_set(err, STATUS_BAD_SHAPE, "%s: %s is no matrix", origin, weight->name);
    part->out = weight->shape[transposed ? 1 : 0];
    size_t in = weight->shape[transposed ? 0 : 1];
    if (part->in && part->in != in)
        return error_set(err, STATUS_BAD_SHAPE, "%s reads %zu numbers, but the layer before it gives %zu",
                         origin, in, part->in);
    part->in = in;
    part->weight = weight, part->bias = bias, part->transposed = transposed;
    enum status status = plan_size(plan, "in_features", in, plan_from(plan, weight), err);
    if (status == STATUS_OK)
        status = plan_size(plan, "out_features", part->out, plan_from(plan, weight), err);
    if (status == STATUS_OK && !bias) status = plan_truth(plan, "bias", false, "no tensor of a bias", err);
    if (status == STATUS_OK) status = matrix_values(plan, weight, transposed, &values, err);
    if (status == STATUS_OK) status = plan_weight(plan, "weight", (size_t[]){part->out, in}, 2, values, err);
    if (status != STATUS_OK || !bias) return status;
    status = plan_expect(plan, bias, 1, part->out, 0, err);
    if (status == STATUS_OK) status = tensor_floats(bias, plan->pool, &values, err);
    return status == STATUS_OK ? plan_weight(plan, "bias", (size_t[]){part->out}, 1, values, err) : status;
}

enum status plan_embedding(struct plan *plan, const char *prefix, const char *origin,
                           const struct tensor *weight, struct error *err)
{
    float *values;
    struct part *part = plan_add(plan, "embedding", prefix, origin, err);
    if (!part) return err->status;
    if (weight->rank != 2)
        return error_set(err, STATUS_BAD_SHAPE, "%s: %s is no matrix", origin, weight->name);
    part->in = weight->shape[0], part->out = weight->shape[1];
    part->weight = weight;
    enum status status = plan_size(plan, "num_embeddings", part->in, plan_from(plan, weight), err);
    if (status == STATUS_OK)
        status = plan_size(plan, "embedding_dim", part->out, plan_from(plan, weight), err);
    if (status == STATUS_OK) status = tensor_floats(weight, plan->pool, &values, err);
    return status == STATUS_OK ? plan_weight(plan, "weight", (size_t[]){part->in, part->out}, 2, values, err)
                               : status;
}

enum status plan_plain(struct plan *plan, const char *type, const char *origin, struct error *err)
{
    return plan_add(plan, type, "", origin, err) ? STATUS_OK : err->status;
}

const char *plan_pooling_mode(const char *mode)
{
    const char *const *modes = layer_type_find("pooling")->keys->choices; /* of its only key */
    while (*modes && strcmp(mode, *modes)) modes++;
    return *modes;
}

enum status plan_pooling(struct plan *plan, const char *mode, const char *from, struct error *err)
{
    struct part *part = plan_add(plan, "pooling", "", from, err);
    if (!part) return err->status;
    part->mode = mode;
    plan->pools = true;
    return plan_word(plan, "mode", mode, pool_print(plan->pool, "from %s", from), err);
}

enum status plan_flatten(struct plan *plan, const char *from, struct error *err)
{
    enum { MAX_STEPS = 4096, MAX_WIDTH = 1 << 20 };
    size_t width = plan_width(plan), steps = plan->window;
    if (steps == 0 || steps > MAX_STEPS || width > MAX_WIDTH / steps)
        return error_set(err, STATUS_UNSUPPORTED,
                         "%s: the number of steps is not fixed, or too large; expected an input of at most "
                         "%d steps",
                         from, (int)MAX_STEPS);
    struct part *part = plan_add(plan, "flatten", "", from, err);
    if (!part) return err->status;
    part->mode = "flatten";
    part->kernel = steps, part->dilation = 1;
    part->out = width * steps;
    plan->pools = true;
    return plan_size(plan, "steps", steps, "from the input's shape", err);
}

enum status plan_norm(struct plan *plan, const char *type, const char *prefix, const char *origin,
                      const struct norm_source *source, struct error *err)
{
    const char *eps = pool_print(plan->pool, "%.9g", source->epsilon);
    const struct tensor *named = source->weight ? source->weight : source->mean;
    bool batch = strcmp(type, "batch_norm") == 0;
    float *values;
    struct part *part = plan_add(plan, type, prefix, origin, err);
    if (!part) return err->status;
    if ((batch && (!source->mean || !source->variance || !source->weight != !source->bias)) ||
        (!source->weight && source->bias) || (!named && !part->in))
        return error_set(err, STATUS_UNSUPPORTED, "%s: its tensors are not all there", origin);
    if (!part->in && named->rank == 1) part->in = part->out = named->shape[0];
    if (!eps) return pool_spent(err);
    part->weight = source->weight, part->bias = source->bias;
    part->mean = source->mean, part->variance = source->variance, part->epsilon = source->epsilon;
    enum status status =
        plan_size(plan, batch ? "num_features" : "normalized_shape", part->out,
                  named ? plan_from(plan, named) : "from the layer before it", err);
    if (status == STATUS_OK) status = plan_json(plan, "eps", eps, source->from, err);
    if (status == STATUS_OK && batch && !source->weight)
        status = plan_truth(plan, "affine", false, "no tensor of a scale", err);
    if (status == STATUS_OK && !batch && !source->weight)
        status = plan_truth(plan, "elementwise_affine", false, "no tensor of a scale", err);
    else if (status == STATUS_OK && !batch && !source->bias)
        status = plan_truth(plan, "bias", false, "no tensor of a bias", err);
    const struct {
        const char *name;
        const struct tensor *tensor;
    } tensors[] = {{"weight", source->weight},
                   {"bias", source->bias},
                   {"running_mean", source->mean},
                   {"running_var", source->variance}};
    for (size_t i = 0; i < 4 && status == STATUS_OK; i++) {
        if (!tensors[i].tensor) continue;
        status = plan_expect(plan, tensors[i].tensor, 1, part->out, 0, err);
        if (status == STATUS_OK) status = tensor_floats(tensors[i].tensor, plan->pool, &values, err);
        if (status == STATUS_OK)
            status = plan_weight(plan, tensors[i].name, (size_t[]){part->out}, 1, values, err);
    }
    return status;
}

/* Axes of the source that are out, in and place in the kernel; PyTorch's order in the bundle. */
static enum status conv_values(struct plan *plan, const struct conv_source *source, float **out,
                               struct error *err)
{
    struct tensor turned = *source->weight;
    static const size_t keras[] = {2, 1, 0};
    for (size_t i = 0; source->keras && i < 3; i++) {
        turned.shape[i] = source->weight->shape[keras[i]];
        turned.strides[i] = source->weight->strides[keras[i]];
    }
    return tensor_floats(&turned, plan->pool, out, err);
}

enum status plan_conv(struct plan *plan, const char *prefix, const char *origin,
                      const struct conv_source *source, struct error *err)
{
    float *values;
    const struct tensor *w = source->weight;
    struct part *part = plan_add(plan, "conv1d", prefix, origin, err);
    if (!part) return err->status;
    if (w->rank != 3)
        return error_set(err, STATUS_BAD_SHAPE, "%s: %s is no kernel of three axes", origin, w->name);
    size_t groups = source->groups ? source->groups : 1, in = w->shape[1] * groups;
    size_t kernel = w->shape[source->keras ? 0 : 2], out = w->shape[source->keras ? 2 : 0];
    if (part->in && part->in != in)
        return error_set(err, STATUS_UNSUPPORTED,
                         "%s reads %zu numbers, but the layer before it gives %zu; if it has groups, say so: "
                         "{\"type\":\"conv1d\", ..., \"groups\":2}",
                         origin, in, part->in);
    if (out % groups || (source->keras && groups > 1))
        return error_set(err, STATUS_UNSUPPORTED, "%s: %zu outputs in %zu groups are not imported", origin,
                         out, groups);
    part->groups = groups;
    part->in = in, part->out = out, part->kernel = kernel, part->dilation = source->dilation;
    part->mode = source->padding, part->weight = w, part->bias = source->bias,
    part->transposed = source->keras;
    const char *from = plan_from(plan, w);
    enum status status = plan_size(plan, "in_channels", in, from, err);
    if (status == STATUS_OK) status = plan_size(plan, "out_channels", out, from, err);
    if (status == STATUS_OK) status = plan_size(plan, "kernel_size", kernel, from, err);
    if (status == STATUS_OK) status = plan_word(plan, "padding", source->padding, source->from, err);
    if (status == STATUS_OK && groups > 1) status = plan_size(plan, "groups", groups, source->from, err);
    if (status == STATUS_OK && source->dilation > 1)
        status = plan_size(plan, "dilation", source->dilation, source->from, err);
    if (status == STATUS_OK && !source->bias)
        status = plan_truth(plan, "bias", false, "no tensor of a bias", err);
    if (status == STATUS_OK) status = conv_values(plan, source, &values, err);
    if (status == STATUS_OK)
        status = plan_weight(plan, "weight", (size_t[]){out, in / groups, kernel}, 3, values, err);
    if (status != STATUS_OK || !source->bias) return status;
    status = plan_expect(plan, source->bias, 1, out, 0, err);
    if (status == STATUS_OK) status = tensor_floats(source->bias, plan->pool, &values, err);
    return status == STATUS_OK ? plan_weight(plan, "bias", (size_t[]){out}, 1, values, err) : status;
}

/* ------------------------------------------------------------------------------------------
 * Layers of other types, by what the type itself wants */

/* The value of a key as JSON; NULL if it is neither a number, a text nor a truth. */
static const char *key_json(struct plan *plan, const struct json *value)
{
    if (json_kind(value) == JSON_NUMBER) return pool_print(plan->pool, "%.17g", json_number(value));
    if (json_kind(value) == JSON_STRING) return pool_print(plan->pool, "\"%s\"", json_string(value));
    return json_kind(value) == JSON_BOOLEAN ? json_boolean(value) ? "true" : "false" : NULL;
}

/* Layers that stand for the sources of the last part, and have nothing but their sizes. A source whose size
 * is not known yet, such as the input of a network, stays NULL. */
static size_t stand_in(const struct plan *plan, struct layer stubs[LAYER_MAX_SOURCES],
                       const struct layer *sources[LAYER_MAX_SOURCES])
{
    size_t at = plan->n_parts - 1, n = plan->parts[at].n_sources ? plan->parts[at].n_sources : 1;
    for (size_t k = 0; k < n; k++) {
        int source = plan_source(plan, at, k);
        size_t width = source == SOURCE_INPUT ? plan->parts[at].in : plan->parts[source].out;
        stubs[k] = (struct layer){.output_size = width, .forward_size = width};
        sources[k] = width ? &stubs[k] : NULL;
    }
    return n;
}

enum status plan_other(struct plan *plan, const struct layer_spec *spec, const struct json *entry,
                       const char *origin, struct tensors *tensors, struct error *err)
{
    struct layer stubs[LAYER_MAX_SOURCES], *layer = NULL;
    const struct layer *sources[LAYER_MAX_SOURCES];
    struct layer_plan form = {0};
    struct layer_spec *kept = pool_take(plan->pool, 1, sizeof *kept);
    const char *prefix = pool_text(plan->pool, spec->prefix, strlen(spec->prefix));
    if (!kept || !prefix) return pool_spent(err);
    struct part *part = plan_add(plan, spec->type->name, prefix, origin, err);
    if (!part) return err->status;
    *kept = *spec;
    part->spec = kept;
    for (const struct layer_key *key = spec->type->keys; key && key->name; key++) {
        const struct json *value = json_get(entry, key->name);
        if (!value && key->required)
            return error_set_param(err, STATUS_BAD_VALUE, "network", "%s: '%s' is missing", origin,
                                   key->name);
        enum status status = value ? plan_json(plan, key->name, key_json(plan, value), "from --network", err)
                                   : STATUS_OK;
        if (status != STATUS_OK) return status;
    }
    struct layer_context context = {.tensors = tensors, .precision = PRECISION_FLOAT32, .plan = &form};
    context.n_sources = stand_in(plan, stubs, sources);
    context.sources = sources, context.before = sources[0];
    enum status status = spec->type->build(spec, &context, &layer, err);
    if (status != STATUS_OK) return status;
    if (part->in && !layer->recalls && !spec->type->joins && layer->input_size != part->in)
        status = error_set(err, STATUS_BAD_SHAPE, "%s reads %zu numbers, but the layer before it gives %zu",
                           origin, layer->input_size, part->in);
    part->in = layer->input_size, part->out = layer->output_size;
    plan->pools = plan->pools || layer->pools;
    spec->type->free(layer);
    return status;
}
