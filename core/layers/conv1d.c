/* conv1d: torch.nn.Conv1d over the steps, as many outputs as steps. With k the kernel's size, d its dilation:
 *
 *     causal   y[t] = b + sum_j W_j x[t - (k - 1 - j) d]            the past alone, x zero before the start
 *     same     y[t] = b + sum_j W_j x[t - left + j d]               left = (k - 1) d / 2, x zero outside
 *
 * A causal one keeps the last (k - 1) d rows in the state, so it streams. The other needs the steps to come,
 * so its sequences ride whole. With one group the k rows of a step are put side by side, and W, reordered at
 * load, is one product; with as many groups as channels (depthwise), each channel is summed by itself. */
#include "core/layers/past.h"
#include "core/network/slow.h"

#include <string.h>

#include "core/base/memory.h"

/* Values, in the order of keys. */
enum { IN_CHANNELS, OUT_CHANNELS, KERNEL_SIZE, PADDING, BIAS, DILATION, GROUPS };
enum padding { CAUSAL, SAME };
enum { MAX_KERNEL = 1024, MAX_PAST = 4 << 20 }; /* floats of a sequence: 16 MiB */

static const char *const paddings[] = {"causal", "same", NULL};

static const struct layer_key keys[] = {
    {.name = "in_channels", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "out_channels", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "kernel_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_KERNEL},
    {.name = "padding", .kind = KEY_CHOICE, .required = true, .choices = paddings},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "dilation", .kind = KEY_SIZE, .fallback = 1, .minimum = 1, .maximum = MAX_KERNEL},
    {.name = "groups", .kind = KEY_SIZE, .fallback = 1, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

struct conv1d {
    struct layer layer;
    size_t k, d, before, kept; /* rows before a step that it reads; rows of the state */
    struct matrix *W; /* [O, kI] and bias, owned; NULL if depthwise */
    float *taps;      /* [k, I] depthwise, owned; else NULL */
    float *bias;      /* [I] depthwise, owned; or NULL */
};

static void conv1d_free(struct layer *layer)
{
    struct conv1d *conv = (struct conv1d *)layer;
    if (!conv) return;
    matrix_free(conv->W);
    memory_free(conv->taps);
    memory_free(conv->bias);
    memory_free(conv);
}

/* W [rows, columns, k] -> [rows, k, columns]. */
static void reorder(const float *from, size_t rows, size_t columns, size_t k, float *to)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            for (size_t j = 0; j < k; j++) to[(r * k + j) * columns + c] = from[(r * columns + c) * k + j];
}

/* Pack weight [O,I,k], or [I,1,k] if depthwise; *bias is then kept. */
static enum status pack(struct conv1d *conv, const struct layer_spec *spec,
                        const struct layer_context *context, const float *weight, float **bias,
                        struct error *err)
{
    size_t O = conv->layer.output_size, I = conv->layer.input_size, k = conv->k;
    bool is_deep = spec->values[GROUPS] > 1;
    size_t n = O * k * (is_deep ? 1 : I);
    float *ordered = weight ? memory_new(n, sizeof *ordered) : NULL;
    if (weight && !ordered)
        return error_set(err, STATUS_NO_MEMORY, "conv1d '%s': no memory for %zu weights", spec->prefix, n);
    if (is_deep) {
        layer_keep(context, k + 1, I);
        if (ordered) reorder(weight, 1, I, k, ordered); /* [I,k] -> [k,I] */
        conv->taps = ordered;
        conv->bias = *bias;
        *bias = NULL;
        return STATUS_OK;
    }
    if (ordered) reorder(weight, O, I, k, ordered);
    enum status status = layer_matrix(spec, context, "weight", ordered, *bias, O, k * I,
                                      layer_precision_after(context->precision, context->before, k * I),
                                      &conv->W, err);
    memory_free(ordered);
    return status;
}

static enum status check(const struct layer_spec *spec, struct error *err)
{
    const long *v = spec->values;
    bool is_deep = v[GROUPS] == v[IN_CHANNELS] && v[OUT_CHANNELS] == v[IN_CHANNELS];
    if (v[GROUPS] != 1 && !is_deep)
        return error_set(err, STATUS_BAD_VALUE,
                         "conv1d '%s': groups is %ld, expected 1, or in_channels (%ld) with as many "
                         "out_channels", spec->prefix, v[GROUPS], v[IN_CHANNELS]);
    if ((v[KERNEL_SIZE] - 1) * v[DILATION] > MAX_KERNEL)
        return error_set(err, STATUS_BAD_VALUE,
                         "conv1d '%s': kernel_size %ld with dilation %ld reaches %ld steps, expected at most "
                         "%d", spec->prefix, v[KERNEL_SIZE], v[DILATION], (v[KERNEL_SIZE] - 1) * v[DILATION],
                         (int)MAX_KERNEL);
    if ((v[KERNEL_SIZE] - 1) * v[DILATION] * v[IN_CHANNELS] > MAX_PAST)
        return error_set(err, STATUS_BAD_VALUE,
                         "conv1d '%s': %ld steps of %ld channels are kept, expected at most %d numbers",
                         spec->prefix, (v[KERNEL_SIZE] - 1) * v[DILATION], v[IN_CHANNELS], (int)MAX_PAST);
    if (v[KERNEL_SIZE] * v[IN_CHANNELS] > LAYER_MAX_SIZE)
        return error_set(err, STATUS_BAD_VALUE,
                         "conv1d '%s': kernel_size %ld x in_channels %ld, expected a product of at most %d",
                         spec->prefix, v[KERNEL_SIZE], v[IN_CHANNELS], (int)LAYER_MAX_SIZE);
    return STATUS_OK;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const long *v = spec->values;
    enum status status = check(spec, err);
    if (status != STATUS_OK) return status;
    size_t I = (size_t)v[IN_CHANNELS], O = (size_t)v[OUT_CHANNELS];
    struct conv1d *conv = memory_new(1, sizeof *conv);
    if (!conv) return error_set(err, STATUS_NO_MEMORY, "conv1d '%s': no memory", spec->prefix);
    bool is_causal = v[PADDING] == CAUSAL;
    conv->k = (size_t)v[KERNEL_SIZE];
    conv->d = (size_t)v[DILATION];
    conv->before = (conv->k - 1) * conv->d / (is_causal ? 1 : 2);
    conv->kept = is_causal ? conv->before : 0;
    conv->layer = (struct layer){.type = spec->type, .input_size = I, .output_size = O, .forward_size = O,
                                 .state_floats = conv->kept * I, .whole = !is_causal && conv->k > 1};
    const size_t shape[] = {O, I / (size_t)v[GROUPS], conv->k};
    float *weight = NULL, *bias = NULL;
    status = layer_take_shape(spec, context, "weight", 3, shape, &weight, err);
    if (status == STATUS_OK && v[BIAS]) status = layer_take(spec, context, "bias", O, 0, &bias, err);
    if (status == STATUS_OK) status = pack(conv, spec, context, weight, &bias, err);
    memory_free(weight);
    memory_free(bias);
    if (status == STATUS_OK) *out = &conv->layer;
    else conv1d_free(&conv->layer);
    return status;
}

/* Bytes of a row's codes, or 0 if W reads floats. */
static size_t row_bytes(const struct conv1d *conv)
{
    if (!conv->W) return 0;
    return conv->k * conv->layer.input_size * precision_code_bytes(matrix_precision(conv->W));
}

static size_t wide_floats(const struct conv1d *conv, size_t R)
{
    return conv->taps ? 0 : layer_round(R * conv->k * conv->layer.input_size);
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct conv1d *conv = (const struct conv1d *)layer;
    (void)B;
    return wide_floats(conv, R) + layer_round(R * row_bytes(conv) / sizeof(float) + 1);
}

/* The row that tap j of step t reads; NULL beyond either end. */
static const float *tap_row(const struct conv1d *conv, const struct turn *turn, const float *in, size_t b,
                            size_t t, size_t j)
{
    size_t I = conv->layer.input_size;
    const float *past = conv->kept ? turn->states[b] + conv->layer.state_offset : NULL;
    size_t to = t + j * conv->d; /* counted from `before` rows before the first step */
    if (to >= conv->before + turn->steps[b]) return NULL;
    if (to >= conv->before) return past_row(turn, in, I, past, conv->kept, b, to - conv->before, 0);
    return past ? past_row(turn, in, I, past, conv->kept, b, t, conv->before - j * conv->d) : NULL;
}

/* The k rows of every step side by side. */
static void gather(const struct conv1d *conv, const struct turn *turn, const float *in, float *wide)
{
    size_t I = conv->layer.input_size;
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++)
            for (size_t j = 0; j < conv->k; j++, wide += I) {
                const float *row = tap_row(conv, turn, in, b, t, j);
                if (row) memcpy(wide, row, I * sizeof *wide);
                else memset(wide, 0, I * sizeof *wide);
            }
}

/* Each channel by itself. */
static void sum_taps(const struct conv1d *conv, const struct turn *turn, const float *in, float *out)
{
    size_t I = conv->layer.input_size;
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++, out += I) {
            if (conv->bias) memcpy(out, conv->bias, I * sizeof *out);
            else memset(out, 0, I * sizeof *out);
            for (size_t j = 0; j < conv->k; j++) {
                const float *row = tap_row(conv, turn, in, b, t, j), *tap = conv->taps + j * I;
                for (size_t i = 0; row && i < I; i++) out[i] += tap[i] * row[i];
            }
        }
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct conv1d *conv = (const struct conv1d *)layer;
    size_t R = turn->R, K = conv->k * layer->input_size, stride = row_bytes(conv);
    if (conv->taps) sum_taps(conv, turn, in, out);
    else {
        float *codes = scratch + wide_floats(conv, R);
        gather(conv, turn, in, scratch);
        if (stride) matrix_encode(matrix_precision(conv->W), R, K, scratch, K, codes, stride);
        struct operand A = {.values = scratch, .values_stride = K, .codes = codes, .codes_stride = stride};
        team_multiply(turn->team, conv->W, R, &A, &(struct target){.C = out, .stride = layer->output_size});
    }
    for (size_t b = 0; conv->kept && b < turn->B; b++)
        past_move(turn, in, layer->input_size, turn->states[b] + layer->state_offset, conv->kept, b);
}

static size_t bytes(const struct layer *layer)
{
    const struct conv1d *conv = (const struct conv1d *)layer;
    return conv->W ? matrix_bytes(conv->W) : (conv->k + 1) * layer->input_size * sizeof(float);
}

/* The place in d_in of the row that tap j of step t reads; NULL beyond either end. */
static float *tap_place(const struct conv1d *conv, const struct passage *p, float *d_in, size_t t, size_t j)
{
    size_t to = t + j * conv->d; /* counted from `before` rows before the first step */
    bool inside = to >= conv->before && to < conv->before + p->T;
    return inside ? d_in + (to - conv->before) * conv->layer.input_size : NULL;
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct conv1d *conv = (const struct conv1d *)layer;
    size_t I = layer->input_size, K = conv->k * I, O = layer->output_size;
    float *wide = memory_new(K, sizeof *wide); /* the gradient of the k rows of a step */
    float *weights = conv->W ? slow_weights(conv->W, NULL) : NULL;
    enum status status = wide && (weights || !conv->W) ? STATUS_OK : STATUS_NO_MEMORY;
    memset(d_in, 0, p->T * I * sizeof *d_in);
    for (size_t t = 0; status == STATUS_OK && t < p->T; t++, d_out += O) {
        memset(wide, 0, K * sizeof *wide);
        for (size_t o = 0; conv->W && o < O; o++)
            for (size_t k = 0; k < K; k++) wide[k] += d_out[o] * weights[o * K + k];
        for (size_t k = 0; conv->taps && k < K; k++) wide[k] = d_out[k % I] * conv->taps[k];
        for (size_t j = 0; j < conv->k; j++) {
            float *to = tap_place(conv, p, d_in, t, j);
            for (size_t i = 0; to && i < I; i++) to[i] += wide[j * I + i];
        }
        if (slow_stops(p)) status = STATUS_CANCELLED;
    }
    memory_free(wide);
    memory_free(weights);
    return status;
}

const struct layer_type layer_conv1d = {
    .name = "conv1d",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = conv1d_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
