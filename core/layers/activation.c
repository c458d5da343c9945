/* activation: functions value by value, each a layer type and a row of layer.def.
 *
 *   relu                 max(x, 0)
 *   tanh, sigmoid
 *   hard_sigmoid         clip(x / 6 + 1/2, 0, 1), as PyTorch and Keras 3 have it
 *   hard_sigmoid_keras2  clip(0.2 x + 1/2, 0, 1), as Keras 1 and 2 have it
 *   silu                 x sigmoid(x)
 *   gelu                 x (1 + erf(x / sqrt 2)) / 2
 *   gelu_tanh            x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel, 2016)
 *   elu                  x if x > 0, else e^x - 1
 *   leaky_relu           x if x > 0, else 0.01 x
 *   softplus             ln(1 + e^x) */
#include "core/layers/activation.h"

#include <math.h>
#include <string.h>

#include "core/base/arrays.h"
#include "core/base/memory.h"
#include "core/network/layer.h"

enum { CHUNK = 64 };

static float clip01(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

static void hard_sigmoid(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = clip01(x[i] * (1.0f / 6.0f) + 0.5f);
}

static void hard_sigmoid_keras2(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = clip01(0.2f * x[i] + 0.5f);
}

static void silu(size_t n, const float *x, float *y)
{
    float gate[CHUNK];
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK;
        kernels_active()->sigmoid(count, x + first, gate);
        arrays_multiply(count, x + first, gate, y + first);
    }
}

static void gelu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}

static void gelu_tanh(size_t n, const float *x, float *y)
{
    float inner[CHUNK];
    for (size_t first = 0; first < n; first += CHUNK, x += CHUNK, y += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK;
        for (size_t i = 0; i < count; i++)
            inner[i] = 0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        kernels_active()->tanh(count, inner, inner);
        for (size_t i = 0; i < count; i++) y[i] = 0.5f * x[i] * (1.0f + inner[i]);
    }
}

static void elu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? x[i] : expm1f(x[i]);
}

static void leaky_relu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? x[i] : 0.01f * x[i];
}

static void softplus(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = fmaxf(x[i], 0.0f) + log1pf(expf(-fabsf(x[i])));
}

/* Derivatives at x, whose function value is y: for the slow path (core/recurrent/trace.h). */

static double relu_slope(double x, double y)
{
    (void)y;
    return x > 0;
}

static double tanh_slope(double x, double y)
{
    (void)x;
    return 1 - y * y;
}

static double sigmoid_slope(double x, double y)
{
    (void)x;
    return y * (1 - y);
}

static double hard_sigmoid_slope(double x, double y)
{
    (void)x;
    return y > 0 && y < 1 ? 1.0 / 6 : 0;
}

static double hard_sigmoid_keras2_slope(double x, double y)
{
    (void)x;
    return y > 0 && y < 1 ? 0.2 : 0;
}

static double softplus_slope(double x, double y)
{
    (void)y;
    return 1 / (1 + exp(-x));
}

static double silu_slope(double x, double y)
{
    double s = 1 / (1 + exp(-x));
    return s + y * (1 - s);
}

static double gelu_slope(double x, double y)
{
    (void)y;
    return 0.5 * (1 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * x * x);
}

static double gelu_tanh_slope(double x, double y)
{
    const double a = 0.7978845608028654, b = 0.044715, t = tanh(a * (x + b * x * x * x));
    (void)y;
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * a * (1 + 3 * b * x * x);
}

static double elu_slope(double x, double y)
{
    return x > 0 ? 1 : 1 + y;
}

static double leaky_relu_slope(double x, double y)
{
    (void)y;
    return x > 0 ? 1 : 0.01;
}

enum bounds { ALWAYS, NEVER, LIKE_INPUT }; /* when values lie in [-1, 1] */

static const struct row {
    const char *name;
    activation *apply; /* NULL: the kernel set's */
    activation_slope *slope;
    enum bounds bounds;
} rows[] = {
    {"relu", NULL, relu_slope, LIKE_INPUT},
    {"tanh", NULL, tanh_slope, ALWAYS},
    {"sigmoid", NULL, sigmoid_slope, ALWAYS},
    {"hard_sigmoid", hard_sigmoid, hard_sigmoid_slope, ALWAYS},
    {"hard_sigmoid_keras2", hard_sigmoid_keras2, hard_sigmoid_keras2_slope, ALWAYS},
    {"silu", silu, silu_slope, LIKE_INPUT},
    {"gelu", gelu, gelu_slope, LIKE_INPUT},
    {"gelu_tanh", gelu_tanh, gelu_tanh_slope, LIKE_INPUT},
    {"elu", elu, elu_slope, LIKE_INPUT},
    {"leaky_relu", leaky_relu, leaky_relu_slope, LIKE_INPUT},
    {"softplus", softplus, softplus_slope, NEVER},
};

static const struct row *find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

activation *activation_named(const char *name)
{
    const struct row *row = find(name);
    if (!row) return NULL;
    if (row->apply) return row->apply;
    const struct kernels *kernels = kernels_active();
    if (strcmp(name, "relu") == 0) return kernels->relu;
    return strcmp(name, "tanh") == 0 ? kernels->tanh : kernels->sigmoid;
}

activation_slope *activation_slope_named(const char *name)
{
    const struct row *row = find(name);
    return row ? row->slope : NULL;
}

bool activation_is_bounded(const char *name, bool before)
{
    const struct row *row = find(name);
    return row && (row->bounds == ALWAYS || (row->bounds == LIKE_INPUT && before));
}

/* The layers ------------------------------------------------------------------------------ */

static const struct layer_key keys[] = {{.name = NULL}};

struct activation_layer {
    struct layer layer;
    activation *apply;
};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const struct layer *before = context->before;
    if (!before)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s: cannot be the first layer, expected one that gives its input size",
                         spec->type->name);
    struct activation_layer *a = memory_new(1, sizeof *a);
    if (!a) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", spec->type->name);
    a->apply = activation_named(spec->type->name);
    a->layer = (struct layer){.type = spec->type, .input_size = before->output_size,
                              .output_size = before->output_size,
                              .forward_size = before->forward_size,
                              .bounded = activation_is_bounded(spec->type->name, before->bounded)};
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
    ((const struct activation_layer *)layer)->apply(turn->R * layer->output_size, in, out);
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    activation_slope *slope = find(layer->type->name)->slope;
    for (size_t i = 0; i < p->T * layer->output_size; i++)
        d_in[i] = d_out[i] * (float)slope((double)p->in[i], (double)p->out[i]);
    return STATUS_OK;
}

#define ACTIVATION(symbol)                                                                         \
    const struct layer_type layer_##symbol = {                                                     \
        .name = #symbol, .keys = keys, .build = build, .free = activation_free, .run = run,        \
        .backward = backward}

ACTIVATION(relu);
ACTIVATION(tanh);
ACTIVATION(sigmoid);
ACTIVATION(hard_sigmoid);
ACTIVATION(hard_sigmoid_keras2);
ACTIVATION(silu);
ACTIVATION(gelu);
ACTIVATION(gelu_tanh);
ACTIVATION(elu);
ACTIVATION(leaky_relu);
ACTIVATION(softplus);
