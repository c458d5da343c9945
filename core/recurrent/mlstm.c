/* mlstm: the cell with matrix memory of xLSTM (Beck et al., 2024, section 2.3). One step of one head of d
 * units, with q and k [e] its query and key, v [d] its value, and C, n and m what the sequence remembers:
 *
 *     a_i = w_i [q k v] + b_i    a_f = w_f [q k v] + b_f        one number a head each
 *     log f = log sigmoid(a_f)
 *     m' = max(log f + m, a_i)                                  the stabiliser; a_i at the first step
 *     i = exp(a_i - m')    f = exp(log f + m - m')
 *     C = f C + i v transpose(k) / sqrt(e)                      the covariance update
 *     n = f n + i k / sqrt(e)
 *     h = C q / (max(|n . q|, exp(-m')) + eps)
 *
 * The layer has three sources, q, k and v, each of all heads side by side. A fourth is what the gates read
 * instead of [q k v]; with gate_soft_cap s they are s tanh(a / s), as in the blocks of xLSTM 7B (Beck et al.,
 * 2025). The convolution, the projections and the output gate of a block are layers of their own.
 *
 * State of a sequence: for each head C, as [e of k][d of v], n [e] and m; then one float that is 1 once the
 * sequence has begun. */
#include "core/network/slow.h"
#include "core/recurrent/trace.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"

enum { EMBEDDING_DIM, NUM_HEADS, EPS, QK_DIM, SOFT_CAP }; /* values, in the order of keys */
enum { QUERY, KEY, VALUE, GATES, MAX_SOURCES };           /* the order of sources */
enum { MAX_HEADS = 256, MAX_MEMORY = 4 << 20 }; /* floats of all C: 16 MiB a sequence */

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "num_heads", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_HEADS},
    {.name = "eps", .kind = KEY_REAL, .real = 1e-6, .minimum = 0, .maximum = 1},
    {.name = "qk_dim", .kind = KEY_SIZE, .minimum = 0, .maximum = LAYER_MAX_SIZE},
    {.name = "gate_soft_cap", .kind = KEY_REAL, .real = 0, .minimum = 0, .maximum = 1000},
    {.name = NULL},
};

struct mlstm {
    struct layer layer;
    const struct kernels *kernels;
    size_t D, d, n_heads; /* d: of a head */
    size_t E, e;          /* of queries and keys: all heads, a head */
    float eps, cap;       /* cap: 0, or what gates stay below */
    bool has_gate_source;
    size_t K;             /* numbers that the gates read */
    struct matrix *gates; /* [2 n_heads, K]: a_i of each head, then a_f of each */
};

static void mlstm_free(struct layer *layer)
{
    if (!layer) return;
    matrix_free(((struct mlstm *)layer)->gates);
    memory_free(layer);
}

/* Numbers of all queries of a step, or of all keys. */
static long qk_dim(const struct layer_spec *spec)
{
    return spec->values[QK_DIM] ? spec->values[QK_DIM] : spec->values[EMBEDDING_DIM];
}

static enum status check_sources(const struct layer_spec *spec, const struct layer_context *context,
                                 struct error *err)
{
    if (context->n_sources != GATES && context->n_sources != MAX_SOURCES)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': has %zu inputs, expected 'inputs' to name three: query, key and value; "
                         "or a fourth, which the gates read", spec->prefix, context->n_sources);
    for (size_t i = 0; i < context->n_sources; i++) {
        size_t size = context->sources[i] ? context->sources[i]->output_size : 0;
        long expected = i == VALUE ? spec->values[EMBEDDING_DIM] : qk_dim(spec);
        if (size == 0 || (i < GATES && size != (size_t)expected))
            return error_set(err, STATUS_BAD_SHAPE,
                             "mlstm '%s': input %zu has %zu numbers, expected %s, which is %ld", spec->prefix,
                             i, size, i == VALUE || !spec->values[QK_DIM] ? "embedding_dim" : "qk_dim",
                             expected);
    }
    return STATUS_OK;
}

static enum status check(const struct layer_spec *spec, const struct layer_context *context,
                         struct error *err)
{
    long D = spec->values[EMBEDDING_DIM], N = spec->values[NUM_HEADS], E = qk_dim(spec);
    enum status status = check_sources(spec, context, err);
    if (status != STATUS_OK) return status;
    if (D % N || E % N)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': num_heads is %ld, expected a divisor of %s, which is %ld", spec->prefix,
                         N, D % N ? "embedding_dim" : "qk_dim", D % N ? D : E);
    if (E * (D / N) > MAX_MEMORY)
        return error_set(err, STATUS_BAD_VALUE,
                         "mlstm '%s': %ld heads of %ld x %ld numbers a sequence, expected at most %d in all",
                         spec->prefix, N, E / N, D / N, (int)MAX_MEMORY);
    return STATUS_OK;
}

/* Rows of both gates below each other, [2 n_heads, K], and their biases behind them. */
static enum status take_gates(struct mlstm *mlstm, const struct layer_spec *spec,
                              const struct layer_context *context, struct error *err)
{
    static const char *const weights[] = {"igate.weight", "fgate.weight"};
    static const char *const biases[] = {"igate.bias", "fgate.bias"};
    size_t N = mlstm->n_heads, K = mlstm->K;
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
    size_t D = (size_t)spec->values[EMBEDDING_DIM], N = (size_t)spec->values[NUM_HEADS];
    size_t d = D / N, E = (size_t)qk_dim(spec), e = E / N;
    mlstm->kernels = kernels_active();
    mlstm->D = D;
    mlstm->d = d;
    mlstm->E = E;
    mlstm->e = e;
    mlstm->n_heads = N;
    mlstm->eps = (float)spec->numbers[EPS];
    mlstm->cap = (float)spec->numbers[SOFT_CAP];
    mlstm->has_gate_source = context->n_sources == MAX_SOURCES;
    mlstm->K = mlstm->has_gate_source ? context->sources[GATES]->output_size : 2 * E + D;
    mlstm->layer = (struct layer){.type = spec->type, .input_size = E, .output_size = D, .forward_size = D,
                                  .state_floats = N * (e * d + e + 1) + 1};
    status = take_gates(mlstm, spec, context, err);
    if (status == STATUS_OK) *out = &mlstm->layer;
    else mlstm_free(&mlstm->layer);
    return status;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    (void)B;
    size_t wide = mlstm->has_gate_source ? 0 : R * mlstm->K;
    return layer_round(wide) + layer_round(R * 2 * mlstm->n_heads) + layer_round(mlstm->e);
}

/* One head's step: `state` is its C, n and m; h [d] out; `add` [e] is scratch. */
static void head_step(const struct mlstm *mlstm, bool begins, float a_i, float a_f, const float *q,
                      const float *k, const float *v, float *state, float *add, float *h)
{
    size_t d = mlstm->d, e = mlstm->e;
    float *n = state + e * d, *m = n + e, root = 1.0f / sqrtf((float)e), along = 0;
    float kept = fminf(a_f, 0) - log1pf(expf(-fabsf(a_f))) + *m;
    float largest = begins || a_i > kept ? a_i : kept;
    float in = expf(a_i - largest), keep = begins ? 0 : expf(kept - largest);
    for (size_t j = 0; j < e; j++) {
        add[j] = in * (k[j] * root);
        n[j] = keep * n[j] + add[j];
    }
    for (size_t j = 0; j < e; j++) along += n[j] * q[j];
    mlstm->kernels->mlstm_memory(&(struct mlstm_memory){e, d, keep, q, add, v, state, h});
    *m = largest;
    float scale = 1.0f / (fmaxf(fabsf(along), expf(-largest)) + mlstm->eps);
    for (size_t u = 0; u < d; u++) h[u] *= scale;
}

static void cap_gates(const struct mlstm *mlstm, float *gates, size_t n)
{
    for (size_t i = 0; i < n && mlstm->cap > 0; i++) gates[i] = mlstm->cap * tanhf(gates[i] / mlstm->cap);
}

/* a_i and a_f of all rows and heads: gates [R, 2 n_heads]; `wide` [R, K] is scratch. */
static void read_gates(const struct mlstm *mlstm, const struct turn *turn, float *wide, float *gates)
{
    size_t R = turn->R, K = mlstm->K, n = R * 2 * mlstm->n_heads;
    const size_t widths[GATES] = {mlstm->E, mlstm->E, mlstm->D};
    const float *read = mlstm->has_gate_source ? turn->sources[GATES].rows : wide;
    for (size_t i = 0, at = 0; i < GATES && !mlstm->has_gate_source; at += widths[i++])
        for (size_t r = 0; r < R; r++)
            memcpy(wide + r * K + at, turn->sources[i].rows + r * widths[i], widths[i] * sizeof *wide);
    matrix_multiply(mlstm->gates, R, &(struct operand){.values = read, .values_stride = K},
                    &(struct target){.C = gates, .stride = 2 * mlstm->n_heads});
    cap_gates(mlstm, gates, n);
}

/* All steps of one head of sequence b: its C stays in the nearest cache from step to step. */
static void run_head(const struct mlstm *mlstm, const struct turn *turn, size_t b, size_t head,
                     const float *gates, float *add, float *out)
{
    size_t D = mlstm->D, d = mlstm->d, E = mlstm->E, e = mlstm->e, N = mlstm->n_heads;
    const float *q = turn->sources[QUERY].rows, *k = turn->sources[KEY].rows, *v = turn->sources[VALUE].rows;
    const float *begun = turn->states[b] + mlstm->layer.state_offset + mlstm->layer.state_floats - 1;
    float *state = turn->states[b] + mlstm->layer.state_offset + head * (e * d + e + 1);
    for (size_t t = 0; t < turn->steps[b]; t++) {
        size_t r = turn->first[t] + b, at = r * E + head * e, to = r * D + head * d;
        const float *a = gates + r * 2 * N + head;
        head_step(mlstm, t == 0 && *begun == 0.0f, a[0], a[N], q + at, k + at, v + to, state, add, out + to);
    }
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    float *gates = scratch + layer_round(mlstm->has_gate_source ? 0 : turn->R * mlstm->K);
    float *add = gates + layer_round(turn->R * 2 * mlstm->n_heads);
    (void)in;
    read_gates(mlstm, turn, scratch, gates);
    for (size_t b = 0; b < turn->B; b++) {
        for (size_t head = 0; head < mlstm->n_heads; head++)
            run_head(mlstm, turn, b, head, gates, add, out);
        turn->states[b][layer->state_offset + layer->state_floats - 1] = 1.0f;
    }
}

static size_t bytes(const struct layer *layer)
{
    return matrix_bytes(((const struct mlstm *)layer)->gates);
}

/* The slow path ----------------------------------------------------------------------------
 *
 * C and n written out are sums over the steps so far, so no C is kept. With F(t) for the sum of log f up to
 * t:
 *
 *     w(t,s) = exp(F(t) - F(s) + a_i(s) - m(t))        P(t,s) = w(t,s) q(t) . k(s) / sqrt(e)
 *     h(t) = sum_s P(t,s) v(s) / (max(|sum_s P(t,s)|, exp(-m(t))) + eps)
 *
 * m scales both sums alike, so that the gradient by m is 0. */

/* What is kept of a step: i and f of each unit's head, to look at; then of each head a_i, a_f and m. */
static size_t kept_floats(const struct mlstm *mlstm)
{
    return 2 * mlstm->D + 3 * mlstm->n_heads;
}

static size_t trace_floats(const struct layer *layer, size_t T)
{
    return T * kept_floats((const struct mlstm *)layer);
}

/* a_i, a_f and m of a head at a step, n_heads floats apart. */
static float *kept_gates(const struct mlstm *mlstm, const struct passage *p, size_t t, size_t head)
{
    return p->kept + t * kept_floats(mlstm) + 2 * mlstm->D + head;
}

static double log_sigmoid(double x)
{
    return fmin(x, 0) - log1p(exp(-fabs(x)));
}

/* What the gates of all steps read, [T,K]. NULL: no memory. */
static float *gate_rows(const struct mlstm *mlstm, const struct passage *p)
{
    const size_t widths[MAX_SOURCES] = {mlstm->E, mlstm->E, mlstm->D, mlstm->K};
    size_t K = mlstm->K, first = mlstm->has_gate_source ? GATES : QUERY;
    float *wide = memory_new(p->T, K * sizeof *wide);
    for (size_t i = first, at = 0; wide && at < K; at += widths[i++])
        for (size_t t = 0; t < p->T; t++)
            memcpy(wide + t * K + at, p->sources[i].rows + t * widths[i], widths[i] * sizeof *wide);
    return wide;
}

static void keep(const struct mlstm *mlstm, const struct passage *p, size_t t, size_t head, float m)
{
    size_t d = mlstm->d, N = mlstm->n_heads;
    float *gates = kept_gates(mlstm, p, t, head), *shown = p->kept + t * kept_floats(mlstm) + head * d;
    gates[2 * N] = m;
    for (size_t u = 0; u < d; u++) {
        shown[u] = expf(gates[0] - m);
        shown[mlstm->D + u] = (float)exp(log_sigmoid((double)gates[N]));
    }
}

static enum status trace(const struct layer *layer, const struct passage *p)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    size_t D = mlstm->D, d = mlstm->d, E = mlstm->E, e = mlstm->e, N = mlstm->n_heads, a_head = e * d + e + 1;
    float *wide = gate_rows(mlstm, p), *state = memory_new(N * a_head + e, sizeof *state);
    enum status status = wide && state ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = slow_multiply(mlstm->gates, p->T, wide, mlstm->K, kept_gates(mlstm, p, 0, 0),
                               kept_floats(mlstm), false);
    for (size_t t = 0; status == STATUS_OK && t < p->T; t++) {
        cap_gates(mlstm, kept_gates(mlstm, p, t, 0), 2 * N);
        for (size_t k = 0; k < N; k++) {
            const float *gates = kept_gates(mlstm, p, t, k);
            size_t at = t * E + k * e, to = t * D + k * d;
            float *own = state + k * a_head;
            head_step(mlstm, t == 0, gates[0], gates[N], p->sources[QUERY].rows + at,
                      p->sources[KEY].rows + at, p->sources[VALUE].rows + to, own, state + N * a_head,
                      p->out + to);
            keep(mlstm, p, t, k, own[a_head - 1]);
        }
        if (slow_stops(p)) status = STATUS_CANCELLED;
    }
    memory_free(wide);
    memory_free(state);
    return status;
}

/* One head on the way back. */
struct head_back {
    const struct mlstm *mlstm;
    const struct passage *p;
    size_t head;
    const float *q, *k, *v;   /* [T] rows of e, E floats apart; v: of d, D apart */
    float *d_q, *d_k, *d_v;   /* the same, added to */
    double *F;                /* [T] sums of log f */
    double *d_i, *d_F;        /* [T] gradients of a_i and F */
    double *P;                /* [T] of a step */
};

static double dot(size_t n, const float *x, const float *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* w(t,s) / sqrt(e). */
static double weight_at(const struct head_back *b, size_t t, size_t s)
{
    size_t N = b->mlstm->n_heads;
    double a_i = (double)kept_gates(b->mlstm, b->p, s, b->head)[0];
    double m = (double)kept_gates(b->mlstm, b->p, t, b->head)[2 * N];
    return exp(b->F[t] - b->F[s] + a_i - m) / sqrt((double)b->mlstm->e);
}

/* Go back from h of step t, whose gradient is dh [d], to all steps up to t. */
static void step_backward(const struct head_back *b, size_t t, const float *h, const float *dh)
{
    size_t D = b->mlstm->D, d = b->mlstm->d, E = b->mlstm->E, e = b->mlstm->e, N = b->mlstm->n_heads;
    double sum = 0, low = exp(-(double)kept_gates(b->mlstm, b->p, t, b->head)[2 * N]);
    const float *q = b->q + t * E;
    for (size_t s = 0; s <= t; s++) sum += b->P[s] = weight_at(b, t, s) * dot(e, q, b->k + s * E);
    double below = fmax(fabs(sum), low) + (double)b->mlstm->eps;
    double d_sum = fabs(sum) > low ? (sum > 0 ? -1 : 1) * dot(d, dh, h) / below : 0;
    for (size_t s = 0; s <= t; s++) {
        const float *k = b->k + s * E;
        double d_P = dot(d, dh, b->v + s * D) / below + d_sum, w = weight_at(b, t, s);
        for (size_t u = 0; u < d; u++) b->d_v[s * D + u] += (float)(b->P[s] / below * (double)dh[u]);
        for (size_t u = 0; u < e; u++) {
            b->d_q[t * E + u] += (float)(d_P * w * (double)k[u]);
            b->d_k[s * E + u] += (float)(d_P * w * (double)q[u]);
        }
        b->d_i[s] += d_P * b->P[s];
        b->d_F[t] += d_P * b->P[s];
        b->d_F[s] -= d_P * b->P[s];
    }
}

/* The slope of the soft cap, whose value is a. */
static double cap_slope(const struct mlstm *mlstm, float a)
{
    double part = mlstm->cap > 0 ? (double)(a / mlstm->cap) : 0;
    return 1 - part * part;
}

/* One head: add to d_q, d_k and d_v, and write the gradients of its a_i and a_f into d_gates [T,2N]. */
static enum status head_backward(const struct head_back *b, const float *d_out, float *d_gates)
{
    size_t D = b->mlstm->D, d = b->mlstm->d, N = b->mlstm->n_heads, T = b->p->T;
    double sum = 0;
    for (size_t t = 0; t < T; t++)
        b->F[t] = sum += log_sigmoid((double)kept_gates(b->mlstm, b->p, t, b->head)[N]);
    for (size_t t = 0; t < T; t++) {
        if (slow_stops(b->p)) return STATUS_CANCELLED;
        step_backward(b, t, b->p->out + t * D + b->head * d, d_out + t * D + b->head * d);
    }
    sum = 0;
    for (size_t t = T; t-- > 0;) {
        const float *gates = kept_gates(b->mlstm, b->p, t, b->head);
        double a_f = (double)gates[N];
        sum += b->d_F[t];
        d_gates[t * 2 * N + b->head] = (float)(b->d_i[t] * cap_slope(b->mlstm, gates[0]));
        d_gates[t * 2 * N + N + b->head] = (float)(sum / (1 + exp(a_f)) * cap_slope(b->mlstm, gates[N]));
    }
    return STATUS_OK;
}

static enum status heads_backward(const struct mlstm *mlstm, const struct passage *p, const float *d_out,
                                  float *d_in, float *d_gates)
{
    size_t T = p->T, block = T * mlstm->E;
    enum status status = STATUS_OK;
    for (size_t k = 0; status == STATUS_OK && k < mlstm->n_heads; k++) {
        size_t at = k * mlstm->e, to = k * mlstm->d;
        double *room = memory_new(4 * T, sizeof *room);
        struct head_back b = {.mlstm = mlstm, .p = p, .head = k, .q = p->sources[QUERY].rows + at,
                              .k = p->sources[KEY].rows + at, .v = p->sources[VALUE].rows + to,
                              .d_q = d_in + at, .d_k = d_in + block + at, .d_v = d_in + 2 * block + to,
                              .F = room, .d_i = room + T, .d_F = room + 2 * T, .P = room + 3 * T};
        status = room ? head_backward(&b, d_out, d_gates) : STATUS_NO_MEMORY;
        memory_free(room);
    }
    return status;
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct mlstm *mlstm = (const struct mlstm *)layer;
    const size_t widths[MAX_SOURCES] = {mlstm->E, mlstm->E, mlstm->D, mlstm->has_gate_source ? mlstm->K : 0};
    size_t N = mlstm->n_heads, T = p->T, K = mlstm->K, first = mlstm->has_gate_source ? GATES : QUERY;
    size_t all = widths[QUERY] + widths[KEY] + widths[VALUE] + widths[GATES];
    float *d_gates = memory_new(T, 2 * N * sizeof *d_gates), *wide = memory_new(T, K * sizeof *wide);
    memset(d_in, 0, T * all * sizeof *d_in);
    enum status status = d_gates && wide ? heads_backward(mlstm, p, d_out, d_in, d_gates) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = slow_product(mlstm->gates, T, d_gates, 2 * N, wide, K);
    for (size_t i = 0, before = 0, at = 0; status == STATUS_OK && i < MAX_SOURCES; before += widths[i++]) {
        if (i < first) continue;
        for (size_t t = 0; t < T; t++)
            for (size_t u = 0; u < widths[i]; u++)
                d_in[before * T + t * widths[i] + u] += wide[t * K + at + u];
        at += widths[i];
    }
    memory_free(d_gates);
    memory_free(wide);
    return status;
}

static bool cell(const struct layer *layer, const struct passage *p, size_t k, size_t d,
                 struct trace_cell *out)
{
    static const struct trace_gates has = {.names = "if", .keeper = 'f'};
    size_t D = layer->output_size;
    if (k || d) return false;
    *out = (struct trace_cell){.H = D, .O = D, .n_directions = 1, .has = &has};
    if (!p) return true;
    out->gates = p->kept;
    out->gates_stride = (ptrdiff_t)kept_floats((const struct mlstm *)layer);
    out->h = p->out;
    out->h_stride = (ptrdiff_t)D;
    return true;
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
    .trace_floats = trace_floats,
    .trace = trace,
    .backward = backward,
    .cell = cell,
};
