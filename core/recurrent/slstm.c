/* slstm: the cell with scalar memory and exponential gates of xLSTM (Beck et al., 2024, section 2.2). One
 * step of one head, x its inputs, h, c, n and m what the sequence remembers:
 *
 *     a_g = W_g x + R_g h + b_g            for the four gates g = i, f, z, o
 *     log f = log sigmoid(a_f), or a_f     forget_gate sigmoid, or exp
 *     m' = max(log f + m, a_i)             the stabiliser: the largest exponent so far
 *     i = exp(a_i - m')    f = exp(log f + m - m')
 *     c = f c + i tanh(a_z)                the cell
 *     n = f n + i                          the normaliser: c / n is a weighted mean of tanh(a_z)
 *     h = sigmoid(a_o) c / n               so it lies in [-1, 1]
 *
 * h and c / n do not depend on m, so at the first step, when n is 0, m' is a_i.
 *
 * Each head reads its own part of x and of h, so W and R are small products, one a head. W x + b of all rows
 * of a turn is made first, then R h step by step. Within a head's columns the gates follow each other: i f z
 * o. In the original blocks i and f read a convolution of x: such a layer has two sources, first what i and f
 * read, then what z and o read.
 *
 * State of a sequence: h, c, n and m, [embedding_dim] each. */
#include "core/network/slow.h"
#include "core/recurrent/trace.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"

enum { EMBEDDING_DIM, NUM_HEADS, FORGET_GATE }; /* values, in the order of keys */
enum forget_gate { FORGET_SIGMOID, FORGET_EXP };
enum { MAX_HEADS = 256 };

static const char *const forget_gates[] = {"sigmoid", "exp", NULL};

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "num_heads", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = MAX_HEADS},
    {.name = "forget_gate", .kind = KEY_CHOICE, .choices = forget_gates},
    {.name = NULL},
};

struct head {
    struct matrix *W_if, *W_zo; /* [2d,d] and biases */
    struct matrix *R;           /* [4d,d] */
};

struct slstm {
    struct layer layer;
    const struct kernels *kernels;
    size_t D, d, n_heads; /* d: of a head */
    enum forget_gate forget_gate;
    struct head *heads; /* [n_heads] owned */
};

static void slstm_free(struct layer *layer)
{
    struct slstm *slstm = (struct slstm *)layer;
    if (!slstm) return;
    for (size_t k = 0; slstm->heads && k < slstm->n_heads; k++) {
        matrix_free(slstm->heads[k].W_if);
        matrix_free(slstm->heads[k].W_zo);
        matrix_free(slstm->heads[k].R);
    }
    memory_free(slstm->heads);
    memory_free(slstm);
}

/* The tensors as the file has them, and room to put two gates of a head together. */
struct parts {
    float *gates[4];  /* i f z o, each [n_heads, d, d] */
    float *recurrent; /* [n_heads, 4d, d] */
    float *bias;      /* [4, n_heads, d] */
    float *pair;      /* [2d, d] */
    float *pair_bias; /* [2d] */
};

static void parts_free(struct parts *parts)
{
    for (size_t g = 0; g < 4; g++) memory_free(parts->gates[g]);
    memory_free(parts->recurrent);
    memory_free(parts->bias);
    memory_free(parts->pair);
    memory_free(parts->pair_bias);
}

static enum status take_parts(const struct slstm *slstm, const struct layer_spec *spec,
                              const struct layer_context *context, struct parts *parts, struct error *err)
{
    static const char *const names[] = {"igate.weight", "fgate.weight", "zgate.weight", "ogate.weight"};
    size_t d = slstm->d, N = slstm->n_heads;
    enum status status = STATUS_OK;
    for (size_t g = 0; g < 4 && status == STATUS_OK; g++)
        status = layer_take_shape(spec, context, names[g], 3, (size_t[]){N, d, d}, &parts->gates[g], err);
    if (status == STATUS_OK)
        status = layer_take_shape(spec, context, "recurrent", 3, (size_t[]){N, 4 * d, d}, &parts->recurrent,
                                  err);
    if (status == STATUS_OK) status = layer_take(spec, context, "bias", 4 * slstm->D, 0, &parts->bias, err);
    if (status != STATUS_OK || context->plan) return status;
    parts->pair = memory_new(2 * d * d, sizeof(float));
    parts->pair_bias = memory_new(2 * d, sizeof(float));
    if (parts->pair && parts->pair_bias) return STATUS_OK;
    return error_set(err, STATUS_NO_MEMORY, "slstm '%s': no memory", spec->prefix);
}

/* Gates `first` and the next of head k as one matrix. */
static enum status pack_pair(const struct slstm *slstm, const struct layer_spec *spec,
                             const struct layer_context *context, const struct parts *parts, size_t first,
                             size_t k, struct matrix **out, struct error *err)
{
    size_t d = slstm->d;
    const struct layer *source = context->sources[first && context->n_sources > 1 ? 1 : 0];
    for (size_t g = 0; g < 2 && parts->pair; g++) {
        memcpy(parts->pair + g * d * d, parts->gates[first + g] + k * d * d, d * d * sizeof(float));
        memcpy(parts->pair_bias + g * d, parts->bias + (first + g) * slstm->D + k * d, d * sizeof(float));
    }
    return layer_matrix(spec, context, first ? "zgate.weight" : "igate.weight", parts->pair,
                        parts->pair_bias, 2 * d, d,
                        layer_precision_after(context->precision, source, d), out, err);
}

static enum status pack_heads(struct slstm *slstm, const struct layer_spec *spec,
                              const struct layer_context *context, const struct parts *parts,
                              struct error *err)
{
    size_t d = slstm->d;
    enum status status = STATUS_OK;
    for (size_t k = 0; k < slstm->n_heads && status == STATUS_OK; k++) {
        struct head *head = &slstm->heads[k];
        const float *R = parts->recurrent ? parts->recurrent + k * 4 * d * d : NULL;
        status = pack_pair(slstm, spec, context, parts, 0, k, &head->W_if, err);
        if (status == STATUS_OK) status = pack_pair(slstm, spec, context, parts, 2, k, &head->W_zo, err);
        if (status == STATUS_OK)
            status = layer_matrix(spec, context, "recurrent", R, NULL, 4 * d, d,
                                  layer_precision(context->precision, true, d), &head->R, err);
    }
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t D = (size_t)spec->values[EMBEDDING_DIM], N = (size_t)spec->values[NUM_HEADS];
    if (D % N)
        return error_set(err, STATUS_BAD_VALUE,
                         "slstm '%s': num_heads is %zu, expected a divisor of embedding_dim, which is %zu",
                         spec->prefix, N, D);
    const struct layer *second = context->n_sources > 1 ? context->sources[1] : NULL;
    if (context->n_sources > 2 || (second && second->output_size != D))
        return error_set(err, STATUS_BAD_SHAPE,
                         "slstm '%s': expected one input or two, each of %zu numbers: what i and f read, "
                         "then what z and o read", spec->prefix, D);
    struct parts parts = {0};
    struct slstm *slstm = memory_new(1, sizeof *slstm);
    if (slstm) slstm->heads = memory_new(N, sizeof *slstm->heads);
    if (!slstm || !slstm->heads) {
        slstm_free((struct layer *)slstm);
        return error_set(err, STATUS_NO_MEMORY, "slstm '%s': no memory", spec->prefix);
    }
    slstm->kernels = kernels_active();
    slstm->D = D;
    slstm->d = D / N;
    slstm->n_heads = N;
    slstm->forget_gate = (enum forget_gate)spec->values[FORGET_GATE];
    slstm->layer = (struct layer){.type = spec->type, .input_size = D, .output_size = D, .forward_size = D,
                                  .state_floats = 4 * D, .bounded = true};
    enum status status = take_parts(slstm, spec, context, &parts, err);
    if (status == STATUS_OK) status = pack_heads(slstm, spec, context, &parts, err);
    parts_free(&parts);
    if (status == STATUS_OK) *out = &slstm->layer;
    else slstm_free(&slstm->layer);
    return status;
}

/* Running --------------------------------------------------------------------------------- */

struct scratch {
    float *gates;      /* [R, 4D] head by head, i f z o within a head */
    float *h;          /* [B, D] h as the turn begins */
    unsigned char *codes; /* [R, D] of the inputs, then [B, D] of h */
};

/* Bytes of the codes of a row that a matrix reads; 0: it reads floats. */
static size_t row_bytes(const struct slstm *slstm, const struct matrix *matrix)
{
    return slstm->D * precision_code_bytes(matrix_precision(matrix));
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct slstm *slstm = (const struct slstm *)layer;
    return layer_round(R * 4 * slstm->D) + layer_round(B * slstm->D) + layer_round(R * slstm->D);
}

/* W x + b of one pair of gates of every head, for all rows, from column `column` of a head on. */
static void project(const struct slstm *slstm, const struct turn *turn, const float *in, bool is_zo,
                    const struct scratch *s)
{
    size_t D = slstm->D, d = slstm->d, R = turn->R;
    const struct matrix *first = is_zo ? slstm->heads[0].W_zo : slstm->heads[0].W_if;
    size_t stride = row_bytes(slstm, first);
    if (stride) matrix_encode(matrix_precision(first), R, D, in, D, s->codes, stride);
    for (size_t k = 0; k < slstm->n_heads; k++) {
        const struct head *head = &slstm->heads[k];
        struct operand x = {.values = in + k * d, .values_stride = D,
                            .codes = s->codes + k * d * (stride / D), .codes_stride = stride};
        struct target to = {.C = s->gates + k * 4 * d + (is_zo ? 2 * d : 0), .stride = 4 * D};
        team_multiply(turn->team, is_zo ? head->W_zo : head->W_if, R, &x, &to);
    }
}

/* R h of n sequences on top of their gates, which begin at row `row`. */
static void add_recurrent(const struct slstm *slstm, const struct turn *turn, size_t row, size_t n,
                          const float *h, const struct scratch *s)
{
    size_t D = slstm->D, d = slstm->d;
    const struct matrix *first = slstm->heads[0].R;
    size_t stride = row_bytes(slstm, first);
    if (stride) matrix_encode(matrix_precision(first), n, D, h, D, s->codes, stride);
    for (size_t k = 0; k < slstm->n_heads; k++) {
        struct operand x = {.values = h + k * d, .values_stride = D,
                            .codes = s->codes + k * d * (stride / D), .codes_stride = stride};
        struct target to = {.C = s->gates + row * 4 * D + k * 4 * d, .stride = 4 * D, .accumulate = true};
        team_multiply(turn->team, slstm->heads[k].R, n, &x, &to);
    }
}

/* One step of all heads of a sequence: its gates [4D], head by head, its state, and h [D] out. */
static void step(const struct slstm *slstm, const float *gates, float *state, float *h)
{
    size_t D = slstm->D, d = slstm->d;
    struct slstm_gates cells = {.d = d, .forgets_exp = slstm->forget_gate == FORGET_EXP};
    for (size_t at = 0; at < D; at += d) {
        cells.gates = gates + 4 * at;
        cells.c = state + D + at;
        cells.n = cells.c + D;
        cells.m = cells.n + D;
        cells.h = h + at;
        slstm->kernels->slstm_gates(&cells);
    }
    memcpy(state, h, D * sizeof *h);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *block)
{
    const struct slstm *slstm = (const struct slstm *)layer;
    size_t D = slstm->D;
    struct scratch s = {.gates = block, .h = block + layer_round(turn->R * 4 * D)};
    s.codes = (unsigned char *)(s.h + layer_round(turn->B * D));
    project(slstm, turn, in, false, &s);
    project(slstm, turn, turn->n_sources > 1 ? turn->sources[1].rows : in, true, &s);
    for (size_t b = 0; b < turn->B; b++)
        memcpy(s.h + b * D, turn->states[b] + layer->state_offset, D * sizeof(float));
    const float *h = s.h;
    for (size_t t = 0; t < turn->T; t++) {
        size_t row = turn->first[t], n = turn->alive[t];
        add_recurrent(slstm, turn, row, n, h, &s);
        for (size_t b = 0; b < n; b++)
            step(slstm, s.gates + (row + b) * 4 * D, turn->states[b] + layer->state_offset,
                 out + (row + b) * D);
        h = out + row * D;
    }
}

static size_t bytes(const struct layer *layer)
{
    const struct slstm *slstm = (const struct slstm *)layer;
    size_t sum = 0;
    for (size_t k = 0; k < slstm->n_heads; k++) {
        const struct head *head = &slstm->heads[k];
        sum += matrix_bytes(head->W_if) + matrix_bytes(head->W_zo) + matrix_bytes(head->R);
    }
    return sum;
}

/* The slow path ----------------------------------------------------------------------------
 *
 * h depends on c / n alone, and m scales both alike: so the gradient by m is 0. With d for the gradient of
 * the chosen number, from the last step to the first:
 *
 *     dc += dh o / n    dn -= dh o c / n^2    do = dh c / n    di = dc z + dn    df = dc c(t-1) + dn n(t-1)
 *     a gate's own input: di i, df f (1 - sigmoid(a_f)) or df f, dc i (1-z^2), do o (1-o)
 *     dc(t-1) = dc f    dn(t-1) = dn f    dh(t-1) = transpose(R) of those four */

/* What is kept of a step, rows of D: i/n, f n(t-1)/n, z, o; then c/n, n, and the slope of log f. */
enum { KEPT_I, KEPT_F, KEPT_Z, KEPT_O, N_GATES, KEPT_C = N_GATES, KEPT_N, KEPT_SLOPE, N_KEPT };

static size_t trace_floats(const struct layer *layer, size_t T)
{
    return T * N_KEPT * layer->output_size;
}

/* The same of each row of a step's block. */
static float *kept_row(const struct passage *p, size_t D, size_t t, size_t which)
{
    return p->kept + (t * N_KEPT + which) * D;
}

/* A unit's step: a[g] what its gates get; `old`: c, n and m, moved on. */
static void unit_forward(const struct slstm *slstm, const float *a, double *old, float *const *kept, size_t u,
                         float *h)
{
    bool is_exp = slstm->forget_gate == FORGET_EXP;
    double i = (double)a[KEPT_I], f = (double)a[KEPT_F];
    double log_f = is_exp ? f : fmin(f, 0) - log1p(exp(-fabs(f))), before = old[1];
    double m = old[1] == 0 ? i : fmax(log_f + old[2], i);
    i = exp(i - m);
    f = exp(log_f + old[2] - m);
    double z = tanh((double)a[KEPT_Z]), o = 1 / (1 + exp(-(double)a[KEPT_O]));
    old[0] = f * old[0] + i * z;
    old[1] = f * old[1] + i;
    old[2] = m;
    const double all[N_KEPT] = {i / old[1], f * before / old[1], z, o, old[0] / old[1], old[1],
                                is_exp ? 1 : 1 / (1 + exp((double)a[KEPT_F]))};
    for (size_t k = 0; k < N_KEPT; k++) kept[k][u] = (float)all[k];
    *h = (float)(o * old[0] / old[1]);
}

static enum status trace(const struct layer *layer, const struct passage *p)
{
    const struct slstm *slstm = (const struct slstm *)layer;
    size_t D = slstm->D, d = slstm->d;
    const float *zo = p->n_sources > 1 ? p->sources[1].rows : p->in;
    float *products = memory_new(p->T * 4, d * sizeof *products), *kept[N_KEPT];
    double *state = memory_new(3 * D, sizeof *state);
    enum status status = products && state ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t k = 0; status == STATUS_OK && k < slstm->n_heads; k++) {
        const struct head *head = &slstm->heads[k];
        status = slow_multiply(head->W_if, p->T, p->in + k * d, D, products, 4 * d, false);
        if (status == STATUS_OK)
            status = slow_multiply(head->W_zo, p->T, zo + k * d, D, products + 2 * d, 4 * d, false);
        for (size_t t = 0; status == STATUS_OK && t < p->T; t++) {
            float *a = products + t * 4 * d;
            if (t) status = slow_multiply(head->R, 1, p->out + (t - 1) * D + k * d, D, a, 4 * d, true);
            for (size_t which = 0; which < N_KEPT; which++) kept[which] = kept_row(p, D, t, which);
            for (size_t u = 0; u < d; u++)
                unit_forward(slstm, (const float[]){a[u], a[d + u], a[2 * d + u], a[3 * d + u]},
                             state + 3 * (k * d + u), kept, k * d + u, p->out + t * D + k * d + u);
            if (slow_stops(p)) status = STATUS_CANCELLED;
        }
    }
    memory_free(products);
    memory_free(state);
    return status;
}

/* A unit's step back: dh in, `d`: the gradients of c and n, moved back; `pre` [4], d floats apart, out. */
static void unit_backward(const struct passage *p, size_t D, size_t t, size_t u, double dh, double *d,
                          float *pre, size_t stride)
{
    double now[N_KEPT];
    for (size_t k = 0; k < N_KEPT; k++) now[k] = (double)kept_row(p, D, t, k)[u];
    double n = now[KEPT_N], z = now[KEPT_Z], o = now[KEPT_O], i = now[KEPT_I] * n;
    double n_before = t ? (double)kept_row(p, D, t - 1, KEPT_N)[u] : 0;
    double c_before = t ? (double)kept_row(p, D, t - 1, KEPT_C)[u] * n_before : 0;
    double f = t ? now[KEPT_F] * n / n_before : 0;
    d[0] += dh * o / n;
    d[1] -= dh * o * now[KEPT_C] / n;
    pre[0] = (float)((d[0] * z + d[1]) * i);
    pre[stride] = (float)((d[0] * c_before + d[1] * n_before) * f * now[KEPT_SLOPE]);
    pre[2 * stride] = (float)(d[0] * i * (1 - z * z));
    pre[3 * stride] = (float)(dh * now[KEPT_C] * o * (1 - o));
    d[0] *= f;
    d[1] *= f;
}

/* One head: pre [T,4d] from d_out. `room`: [2d] of the gradients of c and n, zeros. */
static enum status head_backward(const struct slstm *slstm, const struct passage *p, size_t k,
                                 const float *d_out, double *room, float *pre)
{
    size_t D = slstm->D, d = slstm->d;
    float *R = slow_weights(slstm->heads[k].R, NULL), *dh = memory_new(d, sizeof *dh);
    enum status status = R && dh ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t t = p->T; status == STATUS_OK && t-- > 0;) {
        float *row = pre + t * 4 * d;
        for (size_t u = 0; u < d; u++)
            unit_backward(p, D, t, k * d + u, (double)(dh[u] + d_out[t * D + k * d + u]), room + 2 * u,
                          row + u, d);
        memset(dh, 0, d * sizeof *dh);
        for (size_t n = 0; n < 4 * d; n++)
            for (size_t u = 0; u < d; u++) dh[u] += row[n] * R[n * d + u];
        if (slow_stops(p)) status = STATUS_CANCELLED;
    }
    memory_free(R);
    memory_free(dh);
    return status;
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct slstm *slstm = (const struct slstm *)layer;
    size_t D = slstm->D, d = slstm->d, block = p->T * D;
    float *zo = p->n_sources > 1 ? d_in + block : d_in;
    enum status status = STATUS_OK;
    memset(d_in, 0, p->n_sources * block * sizeof *d_in);
    for (size_t k = 0; status == STATUS_OK && k < slstm->n_heads; k++) {
        const struct head *head = &slstm->heads[k];
        float *pre = memory_new(p->T * 4, d * sizeof *pre);
        double *room = memory_new(2 * d, sizeof *room);
        status = pre && room ? head_backward(slstm, p, k, d_out, room, pre) : STATUS_NO_MEMORY;
        if (status == STATUS_OK) status = slow_product(head->W_if, p->T, pre, 4 * d, d_in + k * d, D);
        if (status == STATUS_OK) status = slow_product(head->W_zo, p->T, pre + 2 * d, 4 * d, zo + k * d, D);
        memory_free(pre);
        memory_free(room);
    }
    return status;
}

static bool cell(const struct layer *layer, const struct passage *p, size_t k, size_t d,
                 struct trace_cell *out)
{
    static const struct trace_gates has = {.names = "ifzo", .keeper = 'f', .has_c = true};
    size_t D = layer->output_size;
    if (k || d) return false;
    *out = (struct trace_cell){.H = D, .O = D, .n_directions = 1, .has = &has};
    if (!p) return true;
    out->gates = p->kept;
    out->c = p->kept + KEPT_C * D;
    out->gates_stride = out->c_stride = (ptrdiff_t)(N_KEPT * D);
    out->h = p->out;
    out->h_stride = (ptrdiff_t)D;
    return true;
}

const struct layer_type layer_slstm = {
    .name = "slstm",
    .has_prefix = true,
    .joins = true,
    .keys = keys,
    .build = build,
    .free = slstm_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .trace_floats = trace_floats,
    .trace = trace,
    .backward = backward,
    .cell = cell,
};
