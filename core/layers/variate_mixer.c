/* variate_mixer: attention across the series of a group, at each step (TiRex-2, arXiv 2607.01204). x_a is the
 * row of series a, of D numbers:
 *
 *     q k v = W_q r  W_k r  W_v r           r = rms(x_a) w_1; each head of q and k divided by its own rms
 *     o_a = sum_b softmax_b(q_a . k_b / sqrt(d)) v_b          one sum a head, of d = D / num_heads numbers
 *     x_a = x_a + W_o o_a
 *     x_a = x_a + W_down silu(W_up (rms(x_a) w_2))
 *
 * A target reads all series of its group, a covariate reads covariates. A series without others stays as it
 * is. A series that rides backwards too (RIDE_MIRROR) is one series: its mirror gets the same rows, from the
 * last step to the first.
 *
 * Steps of a group are gathered into rows that lie together, so that products run over series that are mixed
 * and no others. The sums of a row depend on its group alone. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/layers/activation.h"
#include "core/network/layer.h"

enum { EMBEDDING_DIM, NUM_HEADS, HIDDEN_SIZE, EPS }; /* values, in the order of keys */
enum { MAX_HEADS = 256 };
static const float head_eps = 0x1p-23f; /* as torch.nn.functional.rms_norm adds in float32 */

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "num_heads", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_HEADS},
    {.name = "hidden_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "eps", .kind = KEY_REAL, .real = 1e-6, .minimum = 0, .maximum = 1},
    {.name = NULL},
};

enum { QUERY, KEY, VALUE, OUT, UP, DOWN, N_MATRICES };
static const char *const weights[N_MATRICES] = {"query.weight", "key.weight", "value.weight",
                                                "out.weight", "up.weight", "down.weight"};

struct mixer {
    struct layer layer;
    size_t n_heads, F; /* F: of the hidden layer */
    float eps;
    float *attention_norm, *hidden_norm; /* w_1, w_2 [D] */
    struct matrix *W[N_MATRICES];
    activation *silu;
    const struct kernels *kernels; /* active at load */
};

static void mixer_free(struct layer *layer)
{
    struct mixer *mixer = (struct mixer *)layer;
    if (!mixer) return;
    for (size_t i = 0; i < N_MATRICES; i++) matrix_free(mixer->W[i]);
    memory_free(mixer->attention_norm);
    memory_free(mixer->hidden_norm);
    memory_free(mixer);
}

static enum status take(struct mixer *mixer, const struct layer_spec *spec,
                        const struct layer_context *context, struct error *err)
{
    size_t D = mixer->layer.input_size, F = mixer->F;
    enum status status =
        layer_take(spec, context, "attention_norm.weight", D, 0, &mixer->attention_norm, err);
    for (size_t i = 0; i < N_MATRICES && status == STATUS_OK; i++) {
        size_t N = i == UP ? F : D, K = i == DOWN ? F : D;
        status = layer_matrix_of(spec, context, weights[i], &(struct layer_rows){.tensor_rows = N, .n = N},
                                 NULL, K, layer_precision(context->precision, false, K), &mixer->W[i], err);
    }
    if (status == STATUS_OK)
        status = layer_take(spec, context, "hidden_norm.weight", D, 0, &mixer->hidden_norm, err);
    layer_keep(context, 2, D);
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t D = (size_t)spec->values[EMBEDDING_DIM], N = (size_t)spec->values[NUM_HEADS];
    if (D % N)
        return error_set(err, STATUS_BAD_VALUE,
                         "variate_mixer '%s': num_heads is %zu, expected a divisor of embedding_dim, which "
                         "is %zu", spec->prefix, N, D);
    struct mixer *mixer = memory_new(1, sizeof *mixer);
    if (!mixer) return error_set(err, STATUS_NO_MEMORY, "variate_mixer '%s': no memory", spec->prefix);
    mixer->n_heads = N;
    mixer->F = (size_t)spec->values[HIDDEN_SIZE];
    mixer->eps = (float)spec->numbers[EPS];
    mixer->kernels = kernels_active();
    mixer->silu = activation_named("silu");
    mixer->layer = (struct layer){.type = spec->type, .input_size = D, .output_size = D, .forward_size = D,
                                  .mixes = true};
    enum status status = take(mixer, spec, context, err);
    if (status == STATUS_OK) *out = &mixer->layer;
    else mixer_free(&mixer->layer);
    return status;
}

/* ---- arithmetic ---- */

/* y = x / rms(x), times w unless that is NULL. */
static void rms(const struct kernels *kernels, size_t n, float eps, const float *w, const float *x, float *y)
{
    float square;
    kernels->dots(&(struct row_block){x, 1, n, n}, x, &square);
    float factor = 1.0f / sqrtf(square / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = w ? x[i] * factor * w[i] : x[i] * factor;
}

/* One head of one series: o [d] from its q, and k and v of the series [from, n), whose rows are D floats
 * apart. scores [n] is scratch. */
static void attend(const struct mixer *mixer, const float *q, const float *k, const float *v, size_t from,
                   size_t n, float *scores, float *o)
{
    const size_t D = mixer->layer.input_size, d = D / mixer->n_heads, R = n - from;
    float most = -INFINITY, sum = 0, root = 1.0f / sqrtf((float)d);
    mixer->kernels->dots(&(struct row_block){k + from * D, R, d, D}, q, scores);
    for (size_t b = 0; b < R; b++) {
        scores[b] *= root;
        most = scores[b] > most ? scores[b] : most;
    }
    for (size_t b = 0; b < R; b++) sum += scores[b] = expf(scores[b] - most);
    mixer->kernels->weigh(&(struct row_block){v + from * D, R, d, D}, scores, 0, o);
    for (size_t i = 0; i < d; i++) o[i] /= sum;
}

/* ---- a turn ---- */

/* Rows of mixed series: for each group and each of its steps, the targets, then the covariates. */
struct mixed {
    float *x, *normed;  /* [R,D] */
    float *q, *k, *v;   /* [R,D] */
    float *hidden;      /* [R,F] in the place of q, k and v */
    float *scores;      /* [B] */
    size_t R;
};

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct mixer *mixer = (const struct mixer *)layer;
    size_t D = layer->input_size;
    return 2 * layer_round(R * D) + most(3 * layer_round(R * D), layer_round(R * mixer->F)) + layer_round(B);
}

static struct mixed lay_out(const struct mixer *mixer, size_t R, float *block)
{
    size_t rows = layer_round(R * mixer->layer.input_size);
    struct mixed m = {.x = block, .normed = block + rows, .q = block + 2 * rows, .k = block + 3 * rows,
                      .v = block + 4 * rows, .hidden = block + 2 * rows};
    m.scores = block + 2 * rows + most(3 * rows, layer_round(R * mixer->F));
    return m;
}

/* Series of the group that begins at place b of the batch; all but the mirrors, which stand behind the series
 * that they mirror. `targets` may be NULL. */
static size_t count_series(const struct turn *turn, size_t b, size_t *targets)
{
    size_t n = 0, n_targets = 0;
    for (size_t i = b; i < b + turn->groups[b]; i++) {
        n += turn->roles[i] != RIDE_MIRROR;
        n_targets += turn->roles[i] == RIDE_TARGET;
    }
    if (targets) *targets = n_targets;
    return n;
}

/* Whether the ride at place b is the first of a group of several. */
static bool begins_group(const struct turn *turn, size_t b)
{
    return turn->groups && turn->groups[b] > 1;
}

/* Copy the rows of all groups together, or with `back` those that came of them to their places in `rows`. */
static size_t move(const struct turn *turn, size_t D, float *rows, float *x, bool back)
{
    float *at = x;
    for (size_t b = 0; b < turn->B; b++) {
        if (!begins_group(turn, b)) continue;
        size_t T = turn->steps[b];
        for (size_t t = 0; t < T; t++)
            for (size_t i = b; i < b + turn->groups[b]; i++) {
                bool mirrors = turn->roles[i] == RIDE_MIRROR;
                float *own = rows + (turn->first[mirrors ? T - 1 - t : t] + i) * D;
                if (mirrors && back) memcpy(own, at - D, D * sizeof *own);
                if (mirrors) continue;
                memcpy(back ? own : at, back ? at : own, D * sizeof *own);
                at += D;
            }
    }
    return (size_t)(at - x) / D;
}

static void multiply(const struct mixer *mixer, const struct turn *turn, size_t which, size_t R,
                     const float *in, bool adds, float *out)
{
    const struct matrix *W = mixer->W[which];
    struct operand A = {.values = in, .values_stride = matrix_inputs(W)};
    struct target C = {.C = out, .stride = matrix_outputs(W), .accumulate = adds};
    team_multiply(turn->team, W, R, &A, &C);
}

/* The attention of all groups, from q, k and v into `normed`. */
static void attend_all(const struct mixer *mixer, const struct turn *turn, const struct mixed *m)
{
    size_t D = mixer->layer.input_size, d = D / mixer->n_heads, at = 0, n_targets;
    for (size_t r = 0; r < m->R * mixer->n_heads; r++) {
        rms(mixer->kernels, d, head_eps, NULL, m->q + r * d, m->q + r * d);
        rms(mixer->kernels, d, head_eps, NULL, m->k + r * d, m->k + r * d);
    }
    for (size_t b = 0; b < turn->B; b++) {
        if (!begins_group(turn, b)) continue;
        size_t n = count_series(turn, b, &n_targets);
        for (size_t t = 0; t < turn->steps[b]; t++, at += n * D)
            for (size_t a = 0; a < n; a++)
                for (size_t i = 0; i < D; i += d)
                    attend(mixer, m->q + at + a * D + i, m->k + at + i, m->v + at + i,
                           a < n_targets ? 0 : n_targets, n, m->scores, m->normed + at + a * D + i);
    }
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct mixer *mixer = (const struct mixer *)layer;
    size_t D = layer->input_size;
    struct mixed m = lay_out(mixer, turn->R, scratch);
    memcpy(out, in, turn->R * D * sizeof *out);
    m.R = move(turn, D, out, m.x, false);
    if (m.R == 0) return;
    for (size_t r = 0; r < m.R; r++)
        rms(mixer->kernels, D, mixer->eps, mixer->attention_norm, m.x + r * D, m.normed + r * D);
    multiply(mixer, turn, QUERY, m.R, m.normed, false, m.q);
    multiply(mixer, turn, KEY, m.R, m.normed, false, m.k);
    multiply(mixer, turn, VALUE, m.R, m.normed, false, m.v);
    attend_all(mixer, turn, &m);
    multiply(mixer, turn, OUT, m.R, m.normed, true, m.x);
    for (size_t r = 0; r < m.R; r++)
        rms(mixer->kernels, D, mixer->eps, mixer->hidden_norm, m.x + r * D, m.normed + r * D);
    multiply(mixer, turn, UP, m.R, m.normed, false, m.hidden);
    mixer->silu(m.R * mixer->F, m.hidden, m.hidden);
    multiply(mixer, turn, DOWN, m.R, m.hidden, true, m.x);
    move(turn, D, out, m.x, true);
}

static size_t bytes(const struct layer *layer)
{
    const struct mixer *mixer = (const struct mixer *)layer;
    size_t sum = 2 * layer->input_size * sizeof(float);
    for (size_t i = 0; i < N_MATRICES; i++) sum += matrix_bytes(mixer->W[i]);
    return sum;
}

/* The slow path has one sequence, which stays as it is. */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    memcpy(d_in, d_out, p->T * layer->input_size * sizeof *d_in);
    return STATUS_OK;
}

const struct layer_type layer_variate_mixer = {
    .name = "variate_mixer",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = mixer_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
