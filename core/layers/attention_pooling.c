/* attention_pooling: a weighted average of all steps; the network itself says how much each step counts.
 *
 *     s[t] = v tanh(W y[t] + b) + c       attention_size rows of W; or, without it, s[t] = v y[t] + c
 *     out  = sum_t softmax(s)[t] y[t]
 *
 * (Bahdanau et al., 2015, without a query; Yang et al., 2016.) The sums go on from step to step and from turn
 * to turn: the state holds sum exp(s - m) y, m, which is the largest s so far, and sum exp(s - m). A larger s
 * scales both sums down. c changes nothing, because softmax does not see it; it is only taken so that no
 * tensor is left over. */
#include "core/network/layer.h"
#include "core/network/slow.h"

#include <math.h>
#include <stdio.h>

#include "core/base/memory.h"

/* Values, in the order of keys. */
enum { INPUT_SIZE, ATTENTION_SIZE, BIAS, SCORE_BIAS };

static const struct layer_key keys[] = {
    {.name = "input_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "attention_size", .kind = KEY_SIZE, .maximum = LAYER_MAX_SIZE},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "score_bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = NULL},
};

struct attention_pooling {
    struct layer layer;
    const struct kernels *kernels;
    struct matrix *W; /* [attention_size, input_size], or NULL */
    struct matrix *v; /* [1, attention_size or input_size] */
};

static void pooling_free(struct layer *layer)
{
    struct attention_pooling *pooling = (struct attention_pooling *)layer;
    if (!pooling) return;
    matrix_free(pooling->W);
    matrix_free(pooling->v);
    memory_free(pooling);
}

/* Take a linear layer [N,K] called `name`, in float32: v has one row, W is small beside the layers below. */
static enum status take_linear(const struct layer_spec *spec, const struct layer_context *context,
                               const char *name, size_t N, size_t K, bool has_bias, struct matrix **out,
                               struct error *err)
{
    char weight_name[16], bias_name[16];
    float *weight = NULL, *bias = NULL;
    snprintf(weight_name, sizeof weight_name, "%sweight", name);
    snprintf(bias_name, sizeof bias_name, "%sbias", name);
    enum status status = layer_take(spec, context, weight_name, N, K, &weight, err);
    if (status == STATUS_OK && has_bias) status = layer_take(spec, context, bias_name, N, 0, &bias, err);
    if (status == STATUS_OK)
        status = layer_matrix(spec, context, weight_name, weight, bias, N, K, PRECISION_FLOAT32, out, err);
    memory_free(weight);
    memory_free(bias);
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const long *v = spec->values;
    size_t n = (size_t)v[INPUT_SIZE], A = (size_t)v[ATTENTION_SIZE];
    if (!context->before)
        return error_set(err, STATUS_BAD_VALUE,
                         "attention_pooling: cannot be the first layer, expected steps to pool before it");
    struct attention_pooling *pooling = memory_new(1, sizeof *pooling);
    if (!pooling)
        return error_set(err, STATUS_NO_MEMORY, "attention_pooling '%s': no memory", spec->prefix);
    pooling->kernels = kernels_active();
    pooling->layer = (struct layer){.type = spec->type, .input_size = n, .output_size = n,
                                    .state_floats = n + 2, .pools = true, .forward_size = n,
                                    .bounded = context->before->bounded};
    enum status status = STATUS_OK;
    if (A) status = take_linear(spec, context, "0.", A, n, v[BIAS], &pooling->W, err);
    if (status == STATUS_OK)
        status = take_linear(spec, context, A ? "2." : "", 1, A ? A : n, v[SCORE_BIAS], &pooling->v, err);
    if (status == STATUS_OK) *out = &pooling->layer;
    else pooling_free(&pooling->layer);
    return status;
}

static size_t inner_size(const struct attention_pooling *pooling)
{
    return pooling->W ? matrix_outputs(pooling->W) : 0;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    (void)B;
    return layer_round(R) + layer_round(R * inner_size((const struct attention_pooling *)layer));
}

/* s of every row. */
static void score_rows(const struct attention_pooling *pooling, const struct turn *turn, const float *in,
                       float *scores, float *inner)
{
    size_t R = turn->R, n = pooling->layer.input_size, A = inner_size(pooling);
    struct operand rows = {.values = in, .values_stride = n};
    if (pooling->W) {
        team_multiply(turn->team, pooling->W, R, &rows, &(struct target){.C = inner, .stride = A});
        pooling->kernels->tanh(R * A, inner, inner);
        rows = (struct operand){.values = inner, .values_stride = A};
    }
    matrix_multiply(pooling->v, R, &rows, &(struct target){.C = scores, .stride = 1});
}

/* Take a step of score s into the state: the sum of exp(s - m) y [n], m, and the sum of exp(s - m). */
static void absorb(float *state, size_t n, const float *row, float s)
{
    float *m = state + n, *sum = m + 1;
    if (*sum == 0.0f) *m = s;
    float old = s > *m ? expf(*m - s) : 1.0f;
    if (s > *m) *m = s;
    float share = expf(s - *m);
    for (size_t i = 0; i < n; i++) state[i] = state[i] * old + row[i] * share;
    *sum = *sum * old + share;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct attention_pooling *pooling = (const struct attention_pooling *)layer;
    size_t n = layer->output_size;
    score_rows(pooling, turn, in, scratch, scratch + layer_round(turn->R));
    for (size_t b = 0; b < turn->B; b++, out += n) {
        float *state = turn->states[b] + layer->state_offset;
        for (size_t t = 0; t < turn->steps[b]; t++) {
            size_t row = turn->first[t] + b;
            absorb(state, n, in + row * n, scratch[row]);
        }
        for (size_t i = 0; i < n; i++) out[i] = state[i] / state[n + 1];
    }
}

static size_t bytes(const struct layer *layer)
{
    const struct attention_pooling *pooling = (const struct attention_pooling *)layer;
    return matrix_bytes(pooling->v) + (pooling->W ? matrix_bytes(pooling->W) : 0);
}

/* Put softmax(s) into `shares` [T]. */
static void share(const float *scores, size_t T, double *shares)
{
    double most = (double)scores[0], sum = 0;
    for (size_t t = 1; t < T; t++) most = fmax(most, (double)scores[t]);
    for (size_t t = 0; t < T; t++) sum += shares[t] = exp((double)scores[t] - most);
    for (size_t t = 0; t < T; t++) shares[t] /= sum;
}

/* With d for d_out and a for the shares: y[t] gets a[t] d directly, and by its score, whose gradient is
 * a[t] d (y[t] - out). `inner` [T,A] holds tanh(W y + b), and then the gradient before tanh. */
static enum status rows_backward(const struct attention_pooling *pooling, const struct passage *p,
                                 const double *shares, const float *v, const float *d_out, float *inner,
                                 float *d_in)
{
    size_t n = pooling->layer.input_size, A = inner_size(pooling);
    for (size_t t = 0; t < p->T; t++) {
        double along = 0;
        for (size_t i = 0; i < n; i++)
            along += (double)d_out[i] * ((double)p->in[t * n + i] - (double)p->out[i]);
        float d_score = (float)(shares[t] * along), *row = inner + t * A;
        for (size_t i = 0; i < n; i++)
            d_in[t * n + i] = (float)shares[t] * d_out[i] + (A ? 0.0f : d_score * v[i]);
        for (size_t i = 0; i < A; i++) row[i] = d_score * v[i] * (1 - row[i] * row[i]);
    }
    return A ? slow_product(pooling->W, p->T, inner, A, d_in, n) : STATUS_OK;
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct attention_pooling *pooling = (const struct attention_pooling *)layer;
    struct turn turn = {.R = p->T};
    float *scores = memory_new(p->T, sizeof *scores), *v = slow_weights(pooling->v, NULL);
    float *inner = memory_new(p->T, inner_size(pooling) * sizeof *inner);
    double *shares = memory_new(p->T, sizeof *shares);
    enum status status = STATUS_NO_MEMORY;
    if (scores && v && inner && shares) {
        score_rows(pooling, &turn, p->in, scores, inner);
        share(scores, p->T, shares);
        status = rows_backward(pooling, p, shares, v, d_out, inner, d_in);
    }
    memory_free(scores);
    memory_free(v);
    memory_free(inner);
    memory_free(shares);
    return status;
}

const struct layer_type layer_attention_pooling = {
    .name = "attention_pooling",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = pooling_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
