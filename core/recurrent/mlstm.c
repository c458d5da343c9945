/* mlstm: the cell with matrix memory of xLSTM (Beck et al., 2024, section 2.3). One step of one head of d
 * units, with q, k and v its query, key and value, and C, n and m what the sequence remembers:
 *
 *     a_i = w_i [q k v] + b_i    a_f = w_f [q k v] + b_f        one number a head each
 *     log f = log sigmoid(a_f)
 *     m' = max(log f + m, a_i)                                  the stabiliser; a_i at the first step
 *     i = exp(a_i - m')    f = exp(log f + m - m')
 *     C = f C + i v transpose(k) / sqrt(d)                      the covariance update
 *     n = f n + i k / sqrt(d)
 *     h = C q / (max(|n . q|, exp(-m')) + eps)
 *
 * The layer has three sources, q, k and v, each of all heads side by side. The
 * convolution, the projections and the output gate of the original block are layers of their own.
 *
 * State of a sequence: for each head C, as [d of k][d of v], n [d] and m; then one float that is 1 once the
 * sequence has begun. */
#include "core/network/layer.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"

enum { EMBEDDING_DIM, NUM_HEADS, EPS }; /* values, in the order of keys */
enum { QUERY, KEY, VALUE, N_SOURCES };  /* the order of sources */
enum { MAX_HEADS = 256, MAX_MEMORY = 4 << 20 }; /* floats of all C: 16 MiB a sequence */

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "num_heads", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_HEADS},
    {.name = "eps", .kind = KEY_REAL, .real = 1e-6, .minimum = 0, .maximum = 1},
    {.name = NULL},
};

struct mlstm {
    struct layer layer;
    size_t D, d, n_heads; /* d: of a head */
    float eps;
    struct matrix *gates; /* [2 n_heads, 3D]: a_i of each head, then a_f of each */
};

static void mlstm_free(struct layer *layer)
{
    if (!layer) return;
    matrix_free(((struct mlstm *)layer)->gates);
    memory_free(layer);
}

static enum status check(const struct layer_spec *spec, const struct layer_context *context,
                         struct error *err)
{
    long D = spec->values[EMBEDDING_DIM], N = spec->values[NUM_HEADS];
    if (context->n_sources != N_SOURCES)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': has %zu inputs, expected 'inputs' to name three: query, key and value",
                         spec->prefix, context->n_sources);
    for (size_t i = 0; i < N_SOURCES; i++)
        if (!context->sources[i] || context->sources[i]->output_size != (size_t)D)
            return error_set(err, STATUS_BAD_SHAPE,
                             "mlstm '%s': input %zu has %zu numbers, expected embedding_dim, which is %ld",
                             spec->prefix, i, context->sources[i] ? context->sources[i]->output_size : 0, D);
    if (D % N)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': num_heads is %ld, expected a divisor of embedding_dim, which is %ld",
                         spec->prefix, N, D);
    if (D * (D / N) > MAX_MEMORY)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': %ld heads of %ld x %ld numbers a sequence, expected at most %d in all",
                         spec->prefix, N, D / N, D / N, (int)MAX_MEMORY);
    return STATUS_OK;
}

/* Rows of both gates below each other, [2 n_heads, 3D], and their biases behind them. */
static enum status take_gates(struct mlstm *mlstm, const struct layer_spec *spec,
                              const struct layer_context *context, struct error *err)
{
    static const char *const weights[] = {"igate.weight", "fgate.weight"};
    static const char *const biases[] = {"igate.bias", "fgate.bias"};
    size_t N = mlstm->n_heads, K = N_SOURCES * mlstm->D;
    float *all = context->plan ? NULL : memory_new(2 * N * (K + 1), sizeof *all);
    if (!all && !context->plan)
        return error_set(err, STATUS_NO_MEMORY, "mlstm '%s': no memory", spec->prefix);
    float *bias = all ? all + 2 * N * K : NULL;
    enum status status = STATUS_OK;
    for (size_t g = 0; g < 2 && status == STATUS_OK; g++) {
        float *w = NULL, *b = NULL;
        status = layer_take(spec, context, weights[g], N, K, &w, err);
        if (status == STATUS_OK) status = layer_take(spec, context, biases[g], N, 0, &b, err);
        if (w && b) {
            memcpy(all + g * N * K, w, N * K * sizeof *w);
            memcpy(bias + g * N, b, N * sizeof *b);
        }
        memory_free(w);
        memory_free(b);
    }
    if (status == STATUS_OK)
        status = layer_matrix(spec, context, "igate.weight", all, bias, 2 * N, K, PRECISION_FLOAT32,
                              &mlstm->gates, err);
    memory_free(all);
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    enum status status = check(spec, context, err);
    if (status != STATUS_OK) return status;
    struct mlstm *mlstm = memory_new(1, sizeof *mlstm);
    if (!mlstm) return error_set(err, STATUS_NO_MEMORY, "mlstm '%s': no memory", spec->prefix);
    size_t D = (size_t)spec->values[EMBEDDING_DIM], N = (size_t)spec->values[NUM_HEADS], d = D / N;
    mlstm->D = D;
    mlstm->d = d;
    mlstm->n_heads = N;
    mlstm->eps = (float)spec->numbers[EPS];
    mlstm->layer = (struct layer){.type = spec->type, .input_size = D, .output_size = D, .forward_size = D,
                                  .state_floats = N * (d * d + d + 1) + 1};
    status = take_gates(mlstm, spec, context, err);
    if (status == STATUS_OK) *out = &mlstm->layer;
    else mlstm_free(&mlstm->layer);
    return status;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    (void)B;
    return layer_round(R * N_SOURCES * mlstm->D) + layer_round(R * 2 * mlstm->n_heads);
}

/* One head's step: `state` is its C, n and m; h [d] out. */
static void head_step(const struct mlstm *mlstm, bool begins, float a_i, float a_f, const float *q,
                      const float *k, const float *v, float *state, float *h)
{
    size_t d = mlstm->d;
    float *n = state + d * d, *m = n + d, root = 1.0f / sqrtf((float)d), along = 0;
    float kept = fminf(a_f, 0) - log1pf(expf(-fabsf(a_f))) + *m;
    float largest = begins || a_i > kept ? a_i : kept;
    float in = expf(a_i - largest), keep = begins ? 0 : expf(kept - largest);
    memset(h, 0, d * sizeof *h);
    for (size_t j = 0; j < d; j++) {
        float *C = state + j * d, add = in * (k[j] * root);
        n[j] = keep * n[j] + add;
        along += n[j] * q[j];
        for (size_t u = 0; u < d; u++) {
            C[u] = keep * C[u] + add * v[u];
            h[u] += q[j] * C[u];
        }
    }
    *m = largest;
    float scale = 1.0f / (fmaxf(fabsf(along), expf(-largest)) + mlstm->eps);
    for (size_t u = 0; u < d; u++) h[u] *= scale;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    size_t D = mlstm->D, d = mlstm->d, N = mlstm->n_heads, R = turn->R, K = N_SOURCES * D;
    const float *rows[N_SOURCES];
    float *wide = scratch, *gates = scratch + layer_round(R * K);
    (void)in;
    for (size_t i = 0; i < N_SOURCES; i++) {
        rows[i] = turn->sources[i].rows;
        for (size_t r = 0; r < R; r++) memcpy(wide + r * K + i * D, rows[i] + r * D, D * sizeof *wide);
    }
    matrix_multiply(mlstm->gates, R, &(struct operand){.values = wide, .values_stride = K},
                    &(struct target){.C = gates, .stride = 2 * N});
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++) {
            float *state = turn->states[b] + layer->state_offset, *begun = state + layer->state_floats - 1;
            size_t r = turn->first[t] + b;
            for (size_t k = 0; k < N; k++) {
                size_t at = r * D + k * d;
                head_step(mlstm, *begun == 0.0f, gates[r * 2 * N + k], gates[r * 2 * N + N + k],
                          rows[QUERY] + at, rows[KEY] + at, rows[VALUE] + at, state + k * (d * d + d + 1),
                          out + at);
            }
            *begun = 1.0f;
        }
}

static size_t bytes(const struct layer *layer)
{
    return matrix_bytes(((const struct mlstm *)layer)->gates);
}

const struct layer_type layer_mlstm = {
    .name = "mlstm",
    .has_prefix = true,
    .joins = true,
    .keys = keys,
    .build = build,
    .free = mlstm_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
};
