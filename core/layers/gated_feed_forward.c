/* gated_feed_forward: y = W_down (f(W_gate x) * W_up x), f silu (SwiGLU) or another (Shazeer, 2020).
 *
 * The numbers between the products are as large as the weights make them. So if x comes from a norm, a
 * client cannot make any of them large: a bfloat16 network has bfloat16 weights here. An int8 network has
 * int8 weights, and codes of rows that have been scaled (core/network/scaled.h). That leaves no place for
 * biases, and with them the weights are float16. */
#include "core/layers/activation.h"
#include "core/network/layer.h"
#include "core/network/scaled.h"
#include "core/network/slow.h"

#include <stdio.h>
#include <string.h>

#include "core/base/arrays.h"
#include "core/base/memory.h"

enum { EMBEDDING_DIM, HIDDEN_SIZE, ACTIVATION, BIAS }; /* values, in the order of keys */

static const char *const activations[] = {"silu", "gelu", "gelu_tanh", "relu", "sigmoid", NULL};

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "hidden_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "activation", .kind = KEY_CHOICE, .choices = activations},
    {.name = "bias", .kind = KEY_BOOLEAN},
    {.name = NULL},
};

struct gated {
    struct layer layer;
    size_t F;
    activation *apply;
    activation_slope *slope;
    struct matrix *gate, *up; /* [F,D] */
    struct matrix *down;      /* [D,F] */
    bool scales;              /* all three are int8, of scaled rows */
};

static void gated_free(struct layer *layer)
{
    struct gated *gated = (struct gated *)layer;
    if (!gated) return;
    matrix_free(gated->gate);
    matrix_free(gated->up);
    matrix_free(gated->down);
    memory_free(gated);
}

/* "{prefix}.{name}.weight" [N,K] and, if the keys say so, its bias. */
static enum status take(const struct layer_spec *spec, const struct layer_context *context, const char *name,
                        size_t N, size_t K, enum precision precision, struct matrix **out, struct error *err)
{
    char weight_name[32], bias_name[32];
    float *weight = NULL, *bias = NULL;
    snprintf(weight_name, sizeof weight_name, "%s.weight", name);
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    enum status status = layer_take(spec, context, weight_name, N, K, &weight, err);
    if (status == STATUS_OK && spec->values[BIAS])
        status = layer_take(spec, context, bias_name, N, 0, &bias, err);
    if (status == STATUS_OK)
        status = layer_matrix(spec, context, weight_name, weight, bias, N, K, precision, out, err);
    memory_free(weight);
    memory_free(bias);
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t D = (size_t)spec->values[EMBEDDING_DIM], F = (size_t)spec->values[HIDDEN_SIZE];
    const struct layer *before = context->before;
    bool scales = before && before->normed && context->precision == PRECISION_INT8 && !spec->values[BIAS] &&
                  D <= INT8_MAX_INPUTS && F <= INT8_MAX_INPUTS;
    enum precision precision = scales ? PRECISION_INT8 : layer_precision_after(context->precision, before, D);
    bool is_bfloat16 = precision == PRECISION_BFLOAT16 && before->normed;
    enum precision down = layer_precision(context->precision, scales || is_bfloat16, F);
    struct gated *gated = memory_new(1, sizeof *gated);
    if (!gated)
        return error_set(err, STATUS_NO_MEMORY, "gated_feed_forward '%s': no memory", spec->prefix);
    gated->F = F;
    gated->scales = scales;
    gated->apply = activation_named(activations[spec->values[ACTIVATION]]);
    gated->slope = activation_slope_named(activations[spec->values[ACTIVATION]]);
    gated->layer = (struct layer){.type = spec->type, .input_size = D, .output_size = D, .forward_size = D};
    enum status status = take(spec, context, "gate", F, D, precision, &gated->gate, err);
    if (status == STATUS_OK) status = take(spec, context, "up", F, D, precision, &gated->up, err);
    if (status == STATUS_OK) status = take(spec, context, "down", D, F, down, &gated->down, err);
    if (status == STATUS_OK) *out = &gated->layer;
    else gated_free(&gated->layer);
    return status;
}

/* Bytes of the codes of a row of n numbers that a matrix reads, or 0 if it reads floats. */
static size_t row_bytes(const struct matrix *matrix, size_t n)
{
    return n * precision_code_bytes(matrix_precision(matrix));
}

struct scratch {
    float *gate, *up;     /* [R,F], R <= BLOCK_ROWS */
    unsigned char *codes; /* [R, D or F] */
    float *scales;        /* [R] */
    float *room;          /* [D or F], a row before it is encoded */
};

/* So many rows at a time, whose numbers between the products fit in the second cache. */
enum { BLOCK_ROWS = 128 };

static size_t block_of(size_t R)
{
    return R < BLOCK_ROWS ? R : BLOCK_ROWS;
}

static size_t most_codes(const struct gated *gated)
{
    size_t codes = row_bytes(gated->gate, gated->layer.input_size), down = row_bytes(gated->down, gated->F);
    return codes > down ? codes : down;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct gated *gated = (const struct gated *)layer;
    (void)B;
    R = block_of(R);
    size_t scaling = gated->scales ? layer_round(R) + layer_round(layer->input_size + gated->F) : 0;
    return 2 * layer_round(R * gated->F) + layer_round(R * most_codes(gated) / sizeof(float) + 1) + scaling;
}

static struct scratch lay_out(const struct gated *gated, size_t R, float *block)
{
    struct scratch s = {.gate = block, .up = block + layer_round(R * gated->F)};
    float *codes = s.up + layer_round(R * gated->F);
    s.codes = (unsigned char *)codes;
    s.scales = codes + layer_round(R * most_codes(gated) / sizeof(float) + 1);
    s.room = s.scales + layer_round(R);
    return s;
}

/* What a matrix reads of R rows of n values. */
static struct operand encoded(const struct gated *gated, const struct matrix *matrix, size_t R, size_t n,
                              const float *rows, const struct scratch *s)
{
    size_t stride = row_bytes(matrix, n);
    if (gated->scales) scaled_encode(R, n, rows, s->room, s->codes, s->scales);
    else if (stride) matrix_encode(matrix_precision(matrix), R, n, rows, n, s->codes, stride);
    return (struct operand){.values = rows, .values_stride = n, .codes = s->codes, .codes_stride = stride};
}

static void run_block(const struct gated *gated, const struct turn *turn, size_t R, const float *in,
                      float *out, const struct scratch *s)
{
    size_t D = gated->layer.input_size, F = gated->F;
    struct operand x = encoded(gated, gated->gate, R, D, in, s);
    team_multiply(turn->team, gated->gate, R, &x, &(struct target){.C = s->gate, .stride = F});
    team_multiply(turn->team, gated->up, R, &x, &(struct target){.C = s->up, .stride = F});
    if (gated->scales) {
        scaled_restore(R, F, s->scales, s->gate);
        scaled_restore(R, F, s->scales, s->up);
    }
    gated->apply(R * F, s->gate, s->gate);
    arrays_multiply(R * F, s->gate, s->up, s->gate);
    struct operand hidden = encoded(gated, gated->down, R, F, s->gate, s);
    team_multiply(turn->team, gated->down, R, &hidden, &(struct target){.C = out, .stride = D});
    if (gated->scales) scaled_restore(R, D, s->scales, out);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *block)
{
    const struct gated *gated = (const struct gated *)layer;
    const struct scratch s = lay_out(gated, block_of(turn->R), block);
    for (size_t row = 0; row < turn->R; row += BLOCK_ROWS)
        run_block(gated, turn, block_of(turn->R - row), in + row * layer->input_size,
                  out + row * layer->output_size, &s);
}

static size_t bytes(const struct layer *layer)
{
    const struct gated *gated = (const struct gated *)layer;
    return matrix_bytes(gated->gate) + matrix_bytes(gated->up) + matrix_bytes(gated->down);
}

/* With a = W_gate x, u = W_up x and d the gradient of f(a) u: a gets d u f'(a), u gets d f(a). */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct gated *gated = (const struct gated *)layer;
    size_t D = layer->input_size, F = gated->F, n = p->T * F;
    float *a = memory_new(n, sizeof *a), *u = memory_new(n, sizeof *u), *y = memory_new(n, sizeof *y);
    float *d = memory_new(n, sizeof *d);
    enum status status = a && u && y && d 
                             ? slow_multiply(gated->gate, p->T, p->in, D, a, F, false) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = slow_multiply(gated->up, p->T, p->in, D, u, F, false);
    if (status == STATUS_OK) status = slow_product(gated->down, p->T, d_out, D, d, F);
    memset(d_in, 0, p->T * D * sizeof *d_in);
    if (status == STATUS_OK) {
        gated->apply(n, a, y);
        for (size_t i = 0; i < n; i++) {
            a[i] = d[i] * u[i] * (float)gated->slope((double)a[i], (double)y[i]);
            d[i] *= y[i];
        }
        status = slow_product(gated->gate, p->T, a, F, d_in, D);
    }
    if (status == STATUS_OK) status = slow_product(gated->up, p->T, d, F, d_in, D);
    memory_free(a);
    memory_free(u);
    memory_free(y);
    memory_free(d);
    return status;
}

const struct layer_type layer_gated_feed_forward = {
    .name = "gated_feed_forward",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = gated_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
