/* softmax: the numbers of a step as shares of one, y[i] = exp(x[i]) / sum_j exp(x[j]), the largest taken off
 * first. A classifier does not end in it: scores are made by the task (`activation` of the bundle). */
#include "core/network/layer.h"

#include <math.h>

#include "core/base/memory.h"

static void softmax(size_t n, const float *x, float *y)
{
    float largest = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) largest = fmaxf(largest, x[i]);
    for (size_t i = 0; i < n; i++) sum += y[i] = expf(x[i] - largest);
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

static const struct layer_key keys[] = {{.name = NULL}};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    if (!context->before)
        return error_set(err, STATUS_BAD_VALUE,
                         "softmax: cannot be the first layer, expected one that gives its input size");
    struct layer *layer = memory_new(1, sizeof *layer);
    if (!layer) return error_set(err, STATUS_NO_MEMORY, "softmax: no memory");
    size_t n = context->before->output_size;
    *layer = (struct layer){.type = spec->type, .input_size = n, .output_size = n, .forward_size = n,
                            .bounded = true};
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
    size_t n = layer->output_size;
    (void)scratch;
    for (size_t r = 0; r < turn->R; r++) softmax(n, in + r * n, out + r * n);
}

/* With d for the gradient by y: d_in[i] = y[i] (d[i] - sum_j d[j] y[j]). */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    size_t n = layer->output_size;
    for (size_t t = 0; t < p->T; t++, d_out += n, d_in += n) {
        const float *y = p->out + t * n;
        float sum = 0;
        for (size_t i = 0; i < n; i++) sum += d_out[i] * y[i];
        for (size_t i = 0; i < n; i++) d_in[i] = y[i] * (d_out[i] - sum);
    }
    return STATUS_OK;
}

const struct layer_type layer_softmax = {
    .name = "softmax",
    .keys = keys,
    .build = build,
    .free = layer_free,
    .run = run,
    .backward = backward,
};
