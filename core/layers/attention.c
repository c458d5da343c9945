/* attention: a weighted mean of the rows of a memory, for each step.
 *
 * q is the input row, m_s row s of the sequence's memory (struct memory), S its rows:
 *
 *     dot        e_s = q . m_s                            Luong, Pham, Manning 2015, "dot"
 *     general    e_s = q . (W m_s)                        the same, "general"
 *     additive   e_s = v . tanh(W_q q + W_k m_s)          Bahdanau, Cho, Bengio 2015, A.1.2
 *     a = softmax(e)                                      over s < S
 *     out = sum_s a_s m_s
 *
 * scaled: dot and general divide e by the square root of the query's size, as
 * torch.nn.functional.scaled_dot_product_attention does.
 *
 * W m_s and W_k m_s, the keys, are made once for each memory (derive). The softmax is made in one pass over
 * blocks of rows: the sums so far are scaled down whenever a larger e turns up (Milakov, Gimelshein, "Online
 * normalizer calculation for softmax", 2018), so no row of S scores is kept anywhere. The order of all sums
 * depends on S alone. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/layer.h"
#include "core/network/slow.h"

enum { SCORE, QUERY_SIZE, MEMORY_SIZE, ATTENTION_SIZE, HAS_BIAS, SCALED }; /* keys' order */
enum score { DOT, GENERAL, ADDITIVE };                                    /* index into scores */
enum { BLOCK = 32, LINE_FLOATS = 16 };

static const char *const scores[] = {"dot", "general", "additive", NULL};

static const struct layer_key keys[] = {
    {.name = "score", .kind = KEY_CHOICE, .required = true, .choices = scores},
    {.name = "query_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "memory_size", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = "attention_size", .kind = KEY_SIZE, .maximum = LAYER_MAX_SIZE},
    {.name = "bias", .kind = KEY_BOOLEAN},
    {.name = "scaled", .kind = KEY_BOOLEAN},
    {.name = NULL},
};

struct attention {
    struct layer layer;
    enum score score;
    size_t A;             /* floats of a key */
    float scale;
    struct matrix *query; /* additive: W_q [A, query_size] and bias */
    struct matrix *key;   /* general: W [query_size, memory_size]; additive: W_k [A, memory_size] and bias */
    float *energy;        /* additive: v [A] */
    const struct kernels *kernels; /* active at load */
};

static void attention_free(struct layer *layer)
{
    struct attention *a = (struct attention *)layer;
    if (!a) return;
    matrix_free(a->query);
    matrix_free(a->key);
    memory_free(a->energy);
    memory_free(a);
}

/* Tensors "{stem}weight" [rows, columns] and, if wanted, "{stem}bias", as a matrix that reads any numbers. */
static enum status take(const struct layer_spec *spec, const struct layer_context *context, const char *stem,
                        size_t rows, size_t columns, struct matrix **out, struct error *err)
{
    bool is_query = !strcmp(stem, "query"), is_key = !strcmp(stem, "key");
    const char *weight_name = is_query ? "query.weight" : is_key ? "key.weight" : "weight";
    const char *bias_name = is_query ? "query.bias" : is_key ? "key.bias" : "bias";
    float *weight = NULL, *bias = NULL;
    enum status status = layer_take(spec, context, weight_name, rows, columns, &weight, err);
    if (status == STATUS_OK && spec->values[HAS_BIAS])
        status = layer_take(spec, context, bias_name, rows, 0, &bias, err);
    if (status == STATUS_OK)
        status = layer_matrix(spec, context, weight_name, weight, bias, rows, columns,
                              layer_precision(context->precision, false, columns), out, err);
    memory_free(weight);
    memory_free(bias);
    return status;
}

static enum status check_keys(const struct layer_spec *spec, struct error *err)
{
    const long *v = spec->values;
    const char *wrong = NULL;
    bool is_additive = v[SCORE] == ADDITIVE;
    if (v[SCORE] == DOT && v[QUERY_SIZE] != v[MEMORY_SIZE])
        return error_set(err, STATUS_BAD_VALUE,
                         "attention '%s': query_size is %ld and memory_size %ld, but score 'dot' needs them "
                         "equal", spec->prefix, v[QUERY_SIZE], v[MEMORY_SIZE]);
    if (is_additive && !v[ATTENTION_SIZE]) wrong = "attention_size is missing, which score 'additive' needs";
    if (!is_additive && v[ATTENTION_SIZE]) wrong = "attention_size is given, which only score 'additive' has";
    if (is_additive && v[SCALED]) wrong = "scaled is true, which score 'additive' cannot be";
    if (v[SCORE] == DOT && v[HAS_BIAS]) wrong = "bias is true, but score 'dot' has no weights";
    if (!wrong) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "attention '%s': %s", spec->prefix, wrong);
}

static enum status take_weights(const struct layer_spec *spec, const struct layer_context *context,
                                struct attention *a, struct error *err)
{
    size_t Q = a->layer.input_size, M = a->layer.memory_size;
    if (a->score == DOT) return STATUS_OK;
    if (a->score == GENERAL) return take(spec, context, "", Q, M, &a->key, err);
    enum status status = take(spec, context, "query", a->A, Q, &a->query, err);
    if (status == STATUS_OK) status = take(spec, context, "key", a->A, M, &a->key, err);
    if (status == STATUS_OK) status = layer_take(spec, context, "energy.weight", 1, a->A, &a->energy, err);
    layer_keep(context, 1, a->A);
    return status;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const long *v = spec->values;
    enum status status = check_keys(spec, err);
    if (status != STATUS_OK) return status;
    struct attention *a = memory_new(1, sizeof *a);
    if (!a) return error_set(err, STATUS_NO_MEMORY, "attention '%s': no memory", spec->prefix);
    size_t Q = (size_t)v[QUERY_SIZE], M = (size_t)v[MEMORY_SIZE];
    a->score = (enum score)v[SCORE];
    a->A = a->score == ADDITIVE ? (size_t)v[ATTENTION_SIZE] : Q;
    a->scale = v[SCALED] ? 1.0f / sqrtf((float)Q) : 1.0f;
    a->kernels = kernels_active();
    a->layer = (struct layer){.type = spec->type, .input_size = Q, .output_size = M, .forward_size = M,
                              .memory_size = M, .memory_floats = a->score == DOT ? 0 : a->A,
                              .bounded = context->memory_bounded};
    status = take_weights(spec, context, a, err);
    if (status == STATUS_OK) *out = &a->layer;
    else attention_free(&a->layer);
    return status;
}

static void derive(const struct layer *layer, const struct memory *memory, struct team *team, float *out)
{
    const struct attention *a = (const struct attention *)layer;
    struct operand A = {.values = memory->rows, .values_stride = layer->memory_size};
    struct target C = {.C = out, .stride = a->A};
    team_multiply(team, a->key, memory->S, &A, &C);
}

/* Queries of all rows, then a row for tanh. */
static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    const struct attention *a = (const struct attention *)layer;
    (void)B;
    return a->score == ADDITIVE ? layer_round(R * a->A) + layer_round(a->A) : 0;
}

/* e[s] for n keys [n, A]. `row` [A] is scratch. */
static void score_keys(const struct attention *a, const float *query, const float *keys_at, size_t n,
                       float *row, float *e)
{
    const size_t A = a->A;
    if (a->score != ADDITIVE) {
        a->kernels->dots(&(struct row_block){keys_at, n, A, A}, query, e);
        for (size_t s = 0; s < n; s++) e[s] *= a->scale;
        return;
    }
    for (size_t s = 0; s < n; s++) {
        for (size_t i = 0; i < A; i++) row[i] = query[i] + keys_at[s * A + i];
        a->kernels->tanh(A, row, row);
        a->kernels->dots(&(struct row_block){row, 1, A, A}, a->energy, &e[s]);
    }
}

/* Ask for n floats, all at once: a memory has been in no near cache since the step before, and its lines come
 * together in the time of a few. */
static void bring(const float *from, size_t n)
{
    for (size_t i = 0; i < n; i += LINE_FLOATS) __builtin_prefetch(from + i, 0, 2);
}

/* The mean of the memory's rows for one query. */
static void attend(const struct attention *a, const float *query, const struct memory *memory,
                   const float *keys_at, float *row, float *out)
{
    size_t M = a->layer.memory_size;
    float e[BLOCK], most = -INFINITY, sum = 0;
    for (size_t first = 0; first < memory->S; first += BLOCK) {
        size_t n = memory->S - first < BLOCK ? memory->S - first : BLOCK;
        float before = most;
        bring(keys_at + first * a->A, n * a->A);
        bring(memory->rows + first * M, n * M);
        score_keys(a, query, keys_at + first * a->A, n, row, e);
        for (size_t s = 0; s < n; s++) most = e[s] > most ? e[s] : most;
        if (memory->weights) memcpy(memory->weights + first, e, n * sizeof *e);
        float shrink = first ? expf(before - most) : 0;
        sum *= shrink;
        for (size_t s = 0; s < n; s++) sum += e[s] = expf(e[s] - most);
        a->kernels->weigh(&(struct row_block){memory->rows + first * M, n, M, M}, e, shrink, out);
    }
    for (size_t i = 0; i < M; i++) out[i] /= sum;
    for (size_t s = 0; memory->weights && s < memory->S; s++)
        memory->weights[s] = expf(memory->weights[s] - most) / sum;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct attention *a = (const struct attention *)layer;
    size_t R = turn->R, size = a->A;
    float *row = scratch;
    if (a->query) {
        struct operand A = {.values = in, .values_stride = layer->input_size};
        struct target C = {.C = scratch, .stride = size};
        team_multiply(turn->team, a->query, R, &A, &C);
        in = scratch;
        row = scratch + layer_round(R * size);
    }
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++) {
            const struct memory *memory = turn->memories[b];
            size_t r = turn->first[t] + b;
            const float *keys_at = a->key ? memory->derived + memory->S * layer->memory_offset : memory->rows;
            attend(a, in + r * size, memory, keys_at, row, out + r * layer->output_size);
        }
}

static size_t bytes(const struct layer *layer)
{
    const struct attention *a = (const struct attention *)layer;
    size_t sum = a->energy ? a->A * sizeof(float) : 0;
    if (a->query) sum += matrix_bytes(a->query);
    return a->key ? sum + matrix_bytes(a->key) : sum;
}

/* The slow path. With d for the gradient of `out` and a for the weights:
 *
 *     da_s = d . m_s    de_s = a_s (da_s - sum_r a_r da_r)    m_s gets a_s d
 *     dot and general: q gets de_s k_s, k_s gets de_s q; additive: both get de_s v (1 - tanh^2)
 *
 * and k_s, which is m_s, or W m_s, hands on what it gets. */
struct attention_back {
    const struct attention *a;
    const struct memory *memory;
    const float *keys_at;    /* [S,A] */
    float *weights, *energies; /* [S] */
    float *row;              /* [A] */
    float *d_keys;           /* [S,A] */
    float *d_query;          /* [T,A] of the additive form's W_q q */
};

/* The weights of all rows for one query. */
static void weigh(const struct attention_back *b, const float *query)
{
    size_t S = b->memory->S;
    float most = -INFINITY, sum = 0;
    score_keys(b->a, query, b->keys_at, S, b->row, b->weights);
    for (size_t s = 0; s < S; s++) most = fmaxf(most, b->weights[s]);
    for (size_t s = 0; s < S; s++) sum += b->weights[s] = expf(b->weights[s] - most);
    for (size_t s = 0; s < S; s++) b->weights[s] /= sum;
}

/* One step: add to d_query [A], d_keys and, if it is there, d_memory. */
static void step_backward(const struct attention_back *b, const float *query, const float *d_out,
                          float *d_query, float *d_memory)
{
    size_t S = b->memory->S, A = b->a->A, M = b->a->layer.memory_size;
    double mean = 0;
    weigh(b, query);
    b->a->kernels->dots(&(struct row_block){b->memory->rows, S, M, M}, d_out, b->energies);
    for (size_t s = 0; s < S; s++) mean += (double)b->weights[s] * (double)b->energies[s];
    for (size_t s = 0; s < S; s++) {
        const float *key = b->keys_at + s * A;
        float d_e = b->weights[s] * (b->energies[s] - (float)mean), *d_key = b->d_keys + s * A;
        for (size_t i = 0; d_memory && i < M; i++) d_memory[s * M + i] += b->weights[s] * d_out[i];
        for (size_t i = 0; i < A; i++) b->row[i] = query[i] + key[i];
        if (b->a->score == ADDITIVE) b->a->kernels->tanh(A, b->row, b->row);
        for (size_t i = 0; i < A; i++) {
            bool is_additive = b->a->score == ADDITIVE;
            float both = is_additive ? d_e * b->a->energy[i] * (1 - b->row[i] * b->row[i]) : 0;
            d_query[i] += is_additive ? both : b->a->scale * d_e * key[i];
            d_key[i] += is_additive ? both : b->a->scale * d_e * query[i];
        }
    }
}

static enum status steps_backward(const struct attention_back *b, const struct passage *p,
                                  const float *queries, const float *d_out, float *d_in)
{
    size_t A = b->a->A, Q = b->a->layer.input_size, M = b->a->layer.memory_size, S = b->memory->S;
    float *d_queries = b->a->query ? b->d_query : d_in;
    for (size_t t = 0; t < p->T; t++) {
        if (slow_stops(p)) return STATUS_CANCELLED;
        step_backward(b, queries + t * A, d_out + t * M, d_queries + t * A, p->d_memory);
    }
    enum status status = b->a->query ? slow_product(b->a->query, p->T, b->d_query, A, d_in, Q) : STATUS_OK;
    if (!p->d_memory || status != STATUS_OK) return status;
    if (b->a->key) return slow_product(b->a->key, S, b->d_keys, A, p->d_memory, M);
    for (size_t i = 0; i < S * M; i++) p->d_memory[i] += b->d_keys[i];
    return STATUS_OK;
}

static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    const struct attention *a = (const struct attention *)layer;
    const struct memory *memory = p->memory;
    size_t A = a->A, S = memory->S, T = p->T;
    float *room = memory_new(2 * S + A + S * A + 2 * T * A, sizeof *room);
    if (!room) return STATUS_NO_MEMORY;
    struct attention_back b = {.a = a, .memory = memory, .weights = room, .energies = room + S,
                               .row = room + 2 * S, .d_keys = room + 2 * S + A,
                               .keys_at = a->key ? memory->derived + S * layer->memory_offset : memory->rows};
    float *queries = b.d_keys + S * A;
    b.d_query = queries + T * A;
    enum status status = a->query ? slow_multiply(a->query, T, p->in, layer->input_size, queries, A, false)
                                  : STATUS_OK;
    memset(d_in, 0, T * layer->input_size * sizeof *d_in);
    if (status == STATUS_OK) status = steps_backward(&b, p, a->query ? queries : p->in, d_out, d_in);
    memory_free(room);
    return status;
}

const struct layer_type layer_attention = {
    .name = "attention",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = attention_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .derive = derive,
    .bytes = bytes,
    .backward = backward,
};
