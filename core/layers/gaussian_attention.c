/* gaussian_attention: a window that moves along the rows of a memory (Graves, "Generating Sequences With
 * Recurrent Neural Networks", 2013, equations 46 to 51).
 *
 * x is the input row, m_u row u of the sequence's memory (struct memory), u = 1 to U; K Gaussians:
 *
 *     (a, b, k) = W x + bias                       each K numbers
 *     kappa_t   = kappa_(t-1) + exp(k)             the state, 0 at first
 *     phi(u)    = sum_K exp(a) exp(-exp(b) (kappa_t - u)^2)
 *     out       = sum_u phi(u) m_u
 *
 * phi is no distribution: it need not sum to 1. If first_position is 0, rows are counted from 0, as many
 * programs do. The exponents of the model are cut to [-30, 30], which no trained window reaches, so that
 * every output is finite. The order of all sums depends on U and K alone. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/layer.h"

enum { QUERY_SIZE, MEMORY_SIZE, NUM_GAUSSIANS, FIRST_POSITION }; /* keys' order */
enum { MAX_GAUSSIANS = 256 };
#define MAX_EXPONENT 30.0f

static const struct layer_key keys[] = {
    {.name = "query_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "memory_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "num_gaussians", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_GAUSSIANS},
    {.name = "first_position", .kind = KEY_SIZE, .fallback = 1, .minimum = 0, .maximum = 1},
    {.name = NULL},
};

struct window {
    struct layer layer;
    size_t K;
    float first;
    struct matrix *matrix; /* [3 K, query_size] and bias */
};

static void window_free(struct layer *layer)
{
    struct window *w = (struct window *)layer;
    if (!w) return;
    matrix_free(w->matrix);
    memory_free(w);
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const size_t Q = (size_t)spec->values[QUERY_SIZE], M = (size_t)spec->values[MEMORY_SIZE];
    const size_t K = (size_t)spec->values[NUM_GAUSSIANS];
    float *weight = NULL, *bias = NULL;
    struct window *w = memory_new(1, sizeof *w);
    if (!w) return error_set(err, STATUS_NO_MEMORY, "gaussian_attention '%s': no memory", spec->prefix);
    w->K = K;
    w->first = (float)spec->values[FIRST_POSITION];
    w->layer = (struct layer){.type = spec->type, .input_size = Q, .output_size = M, .forward_size = M,
                              .state_floats = K, .memory_size = M};
    enum status status = layer_take(spec, context, "weight", 3 * K, Q, &weight, err);
    if (status == STATUS_OK) status = layer_take(spec, context, "bias", 3 * K, 0, &bias, err);
    /* The window's place is a sum over all steps, in which errors of narrow weights would pile up. */
    if (status == STATUS_OK)
        status = layer_matrix(spec, context, "weight", weight, bias, 3 * K, Q, PRECISION_FLOAT32, &w->matrix,
                              err);
    memory_free(weight);
    memory_free(bias);
    if (status == STATUS_OK) *out = &w->layer;
    else window_free(&w->layer);
    return status;
}

/* What the matrix gives for all rows. */
static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    (void)B;
    return R * 3 * ((const struct window *)layer)->K;
}

static float exponential(float x)
{
    return expf(x > MAX_EXPONENT ? MAX_EXPONENT : x < -MAX_EXPONENT ? -MAX_EXPONENT : x);
}

/* One step: move the window, and read the memory through it. `given` is (a, b, k), of which exponentials are
 * made in place. */
static void look(const struct window *w, const struct memory *memory, float *given, float *kappa, float *out)
{
    const size_t K = w->K, M = w->layer.memory_size;
    float *alpha = given, *beta = given + K, *step = given + 2 * K;
    for (size_t i = 0; i < 3 * K; i++) given[i] = exponential(given[i]);
    for (size_t i = 0; i < K; i++) kappa[i] += step[i];
    memset(out, 0, M * sizeof *out);
    for (size_t u = 0; u < memory->S; u++) {
        const float *row = memory->rows + u * M;
        float phi = 0;
        for (size_t i = 0; i < K; i++) {
            const float d = kappa[i] - ((float)u + w->first);
            phi += alpha[i] * expf(-beta[i] * d * d);
        }
        if (memory->weights) memory->weights[u] = phi;
        for (size_t i = 0; i < M && phi > 0; i++) out[i] += phi * row[i];
    }
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct window *w = (const struct window *)layer;
    struct operand A = {.values = in, .values_stride = layer->input_size};
    struct target C = {.C = scratch, .stride = 3 * w->K};
    team_multiply(turn->team, w->matrix, turn->R, &A, &C);
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++) {
            const size_t r = turn->first[t] + b;
            look(w, turn->memories[b], scratch + r * 3 * w->K, turn->states[b] + layer->state_offset,
                 out + r * layer->output_size);
        }
}

static size_t bytes(const struct layer *layer)
{
    return matrix_bytes(((const struct window *)layer)->matrix);
}

const struct layer_type layer_gaussian_attention = {
    .name = "gaussian_attention",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = window_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
};
