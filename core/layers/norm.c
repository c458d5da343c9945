/* norm: what brings the numbers of a step to one scale, each step by itself. w and b are tensors, e is eps.
 *
 *   layer_norm   y = (x - mean) / sqrt(var + e) * w + b          over all numbers of a step (Ba et al., 2016)
 *   group_norm   the same over each group of neighbours          with a group a head, xLSTM's head norm
 *   rms_norm     y = x / sqrt(mean of x^2 + e) * w               (Zhang and Sennrich, 2019)
 *   batch_norm   y = (x - running mean) / sqrt(running var + e) * w + b          (Ioffe and Szegedy, 2015);
 *                at load one factor and one summand a number
 *
 * Variances divide by n, as PyTorch's do. Sums run over eight places in turn, in a fixed order. */
#include "core/network/layer.h"

#include <math.h>
#include <string.h>

#include "core/base/arrays.h"
#include "core/base/memory.h"

enum { SIZE, EPS, AFFINE, BIAS, N_GROUPS }; /* values, in the order of keys */

#define SIZE_KEY(text)                                                                             \
    {.name = text, .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE}
#define EPS_KEY(value) {.name = "eps", .kind = KEY_REAL, .real = value, .minimum = 0, .maximum = 1}

static const struct layer_key layer_norm_keys[] = {
    SIZE_KEY("normalized_shape"), EPS_KEY(1e-5),
    {.name = "elementwise_affine", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = NULL},
};
static const struct layer_key rms_norm_keys[] = {
    SIZE_KEY("normalized_shape"), EPS_KEY(0x1p-23),
    {.name = "elementwise_affine", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = NULL},
};
static const struct layer_key group_norm_keys[] = {
    SIZE_KEY("num_channels"), EPS_KEY(1e-5),
    {.name = "affine", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    SIZE_KEY("num_groups"),
    {.name = NULL},
};
static const struct layer_key batch_norm_keys[] = {
    SIZE_KEY("num_features"), EPS_KEY(1e-5),
    {.name = "affine", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = NULL},
};

struct norm {
    struct layer layer;
    size_t groups;
    float eps;
    float *weight, *bias; /* [N] owned; NULL: 1, 0 */
};

static void norm_free(struct layer *layer)
{
    struct norm *norm = (struct norm *)layer;
    if (!norm) return;
    memory_free(norm->weight);
    memory_free(norm->bias);
    memory_free(norm);
}

static bool is_batch(const struct layer_spec *spec)
{
    return spec->type == &layer_batch_norm;
}

/* factor = w / sqrt(var + e), summand = b - mean factor; in norm->weight and norm->bias. */
static enum status fold_batch(struct norm *norm, const struct layer_spec *spec,
                              const struct layer_context *context, struct error *err)
{
    size_t n = norm->layer.output_size;
    float *mean = NULL, *var = NULL;
    enum status status = layer_take(spec, context, "running_mean", n, 0, &mean, err);
    if (status == STATUS_OK) status = layer_take(spec, context, "running_var", n, 0, &var, err);
    bool needs = status == STATUS_OK && mean && !norm->weight;
    if (needs) {
        norm->weight = memory_new(n, sizeof(float));
        norm->bias = memory_new(n, sizeof(float));
        if (!norm->weight || !norm->bias)
            status = error_set(err, STATUS_NO_MEMORY, "batch_norm '%s': no memory", spec->prefix);
        for (size_t i = 0; status == STATUS_OK && i < n; i++) norm->weight[i] = 1;
    }
    for (size_t i = 0; status == STATUS_OK && mean && i < n; i++) {
        if (!(var[i] >= 0.0f)) {
            status = error_set(err, STATUS_BAD_VALUE,
                               "tensor '%s.running_var': value %zu is %g, expected 0 or more",
                               spec->prefix, i, (double)var[i]);
            break;
        }
        double factor = (double)norm->weight[i] / sqrt((double)var[i] + spec->numbers[EPS]);
        norm->weight[i] = (float)factor;
        norm->bias[i] = (float)((double)norm->bias[i] - (double)mean[i] * factor);
    }
    memory_free(mean);
    memory_free(var);
    return status;
}

/* Whether the type or its keys say that b is there. */
static bool has_bias(const struct layer_spec *spec)
{
    if (spec->type == &layer_rms_norm) return false;
    return is_batch(spec) || spec->values[BIAS];
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t n = (size_t)spec->values[SIZE];
    size_t groups = spec->type == &layer_group_norm ? (size_t)spec->values[N_GROUPS] : 1;
    const char *name = spec->type->name;
    if (n % groups)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s '%s': num_groups is %zu, expected a divisor of num_channels, which is %zu", name,
                         spec->prefix, groups, n);
    struct norm *norm = memory_new(1, sizeof *norm);
    if (!norm) return error_set(err, STATUS_NO_MEMORY, "%s '%s': no memory", name, spec->prefix);
    norm->groups = groups;
    norm->eps = (float)spec->numbers[EPS];
    norm->layer = (struct layer){.type = spec->type, .input_size = n, .output_size = n, .forward_size = n,
                                .normed = !is_batch(spec)};
    if (context->before && context->before->output_size == n)
        norm->layer.forward_size = is_batch(spec) ? context->before->forward_size : n;
    enum status status = STATUS_OK;
    if (spec->values[AFFINE]) {
        status = layer_take(spec, context, "weight", n, 0, &norm->weight, err);
        if (status == STATUS_OK && has_bias(spec))
            status = layer_take(spec, context, "bias", n, 0, &norm->bias, err);
    }
    if (status == STATUS_OK && is_batch(spec)) status = fold_batch(norm, spec, context, err);
    layer_keep(context, 2, n);
    if (status == STATUS_OK) *out = &norm->layer;
    else norm_free(&norm->layer);
    return status;
}

/* One group of n numbers of a row, which begins at number `first` of it. */
static void normalise(const struct norm *norm, const float *x, size_t n, size_t first, float *y)
{
    bool is_rms = norm->layer.type == &layer_rms_norm;
    float mean = is_rms ? 0.0f : arrays_sum(n, x, 0.0f, false) / (float)n;
    float factor = 1.0f / sqrtf(arrays_sum(n, x, mean, true) / (float)n + norm->eps);
    arrays_scale(n, x, mean, factor, y);
    if (norm->weight) arrays_multiply(n, y, norm->weight + first, y);
    if (norm->bias) arrays_add(n, y, norm->bias + first, y);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct norm *norm = (const struct norm *)layer;
    size_t n = layer->output_size / norm->groups;
    (void)scratch;
    for (size_t r = 0; r < turn->R; r++)
        for (size_t first = 0; first < layer->output_size; first += n, in += n, out += n)
            normalise(norm, in, n, first, out);
}

static void run_batch(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                      float *scratch)
{
    const struct norm *norm = (const struct norm *)layer;
    size_t n = layer->output_size;
    (void)scratch;
    for (size_t r = 0; r < turn->R; r++, in += n, out += n)
        for (size_t i = 0; i < n; i++) out[i] = in[i] * norm->weight[i] + norm->bias[i];
}

/* With g for d_out times w, v for what is normalised, and f for the factor of a group:
 * d_in = f (g - mean g - v mean of g v), of an rms_norm without the mean of g. */
static void normalise_backward(const struct norm *norm, const float *x, size_t n, size_t first,
                               const float *d_out, float *d_in)
{
    bool is_rms = norm->layer.type == &layer_rms_norm;
    double mean = is_rms ? 0 : (double)arrays_sum(n, x, 0.0f, false) / (double)n;
    double squares = 0, sum = 0, along = 0;
    for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    double factor = 1 / sqrt(squares / (double)n + (double)norm->eps);
    for (size_t i = 0; i < n; i++) {
        double g = (double)d_out[i] * (norm->weight ? (double)norm->weight[first + i] : 1);
        sum += is_rms ? 0 : g;
        along += g * ((double)x[i] - mean) * factor;
    }
    for (size_t i = 0; i < n; i++) {
        double g = (double)d_out[i] * (norm->weight ? (double)norm->weight[first + i] : 1);
        double v = ((double)x[i] - mean) * factor;
        d_in[i] = (float)(factor * (g - sum / (double)n - v * along / (double)n));
    }
}

static enum status run_backward(const struct layer *layer, const struct passage *p, const float *d_out,
                                float *d_in)
{
    const struct norm *norm = (const struct norm *)layer;
    size_t n = layer->output_size / norm->groups;
    const float *in = p->in;
    for (size_t t = 0; t < p->T; t++)
        for (size_t first = 0; first < layer->output_size; first += n, in += n, d_out += n, d_in += n)
            normalise_backward(norm, in, n, first, d_out, d_in);
    return STATUS_OK;
}

static enum status run_batch_backward(const struct layer *layer, const struct passage *p, const float *d_out,
                                      float *d_in)
{
    const struct norm *norm = (const struct norm *)layer;
    size_t n = layer->output_size;
    for (size_t i = 0; i < p->T * n; i++) d_in[i] = d_out[i] * norm->weight[i % n];
    return STATUS_OK;
}

static size_t bytes(const struct layer *layer)
{
    const struct norm *norm = (const struct norm *)layer;
    size_t rows = (norm->weight ? 1u : 0u) + (norm->bias ? 1u : 0u);
    return rows * layer->output_size * sizeof(float);
}

#define NORM(symbol, runs)                                                                         \
    const struct layer_type layer_##symbol = {                                                     \
        .name = #symbol, .has_prefix = true, .keys = symbol##_keys, .build = build,                \
        .free = norm_free, .run = runs, .bytes = bytes, .backward = runs##_backward}

NORM(layer_norm, run);
NORM(rms_norm, run);
NORM(group_norm, run);
NORM(batch_norm, run_batch);
