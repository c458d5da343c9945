/* The layers of the reference that --network alone names, because no reader finds them by itself: what joins
 * several layers, recalls, attends or normalises otherwise. Their tensors have PyTorch's names and layout. */
#include <math.h>
#include <string.h>

#include "models/plan/reference_rows.h"

/* ------------------------------------------------------------------------------------------
 * Keys and tensors of a part */

static const struct layer_key *find_key(const struct part *part, const char *name, size_t *i)
{
    const struct layer_key *keys = part->spec->type->keys;
    for (*i = 0; keys[*i].name; ++*i)
        if (strcmp(keys[*i].name, name) == 0) return &keys[*i];
    return NULL;
}

static long integer_of(const struct part *part, const char *name)
{
    size_t i;
    return find_key(part, name, &i) ? part->spec->values[i] : 0;
}

static double real_of(const struct part *part, const char *name)
{
    size_t i;
    return find_key(part, name, &i) ? part->spec->numbers[i] : 0;
}

static const char *word_of(const struct part *part, const char *name)
{
    size_t i;
    const struct layer_key *key = find_key(part, name, &i);
    return key ? key->choices[part->spec->values[i]] : "";
}

/* The values of "{prefix}.{name}"; NULL: there is no such tensor. */
static const float *tensor_of(const struct part *part, const char *name)
{
    size_t prefix = strlen(part->prefix);
    for (size_t i = 0; i < part->n_weights; i++)
        if (strcmp(part->weights[i].name + prefix + 1, name) == 0) return part->weights[i].values;
    return NULL;
}

/* y [N] = W x + b; a W that is NULL changes nothing. */
static void multiply_by(const float *W, const float *b, const double *x, size_t N, size_t K, double *y)
{
    for (size_t n = 0; n < N; n++) {
        double sum = b ? (double)b[n] : 0;
        for (size_t k = 0; W && k < K; k++) sum += (double)W[n * K + k] * x[k];
        y[n] = W ? sum : x[n];
    }
}

void reference_softmax(double *scores, size_t n)
{
    double most = scores[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n; i++) sum += scores[i] = exp(scores[i] - most);
    for (size_t i = 0; i < n; i++) scores[i] /= sum;
}

/* ------------------------------------------------------------------------------------------
 * The layers */

struct other {
    const struct plan *plan;
    const struct part *part;
    const struct rows *sources; /* [n_sources] */
    size_t n_sources, steps;
    const struct rows *memory;
    struct rows *out; /* values, n and width are set */
};

/* What "last" takes of joined rows: of each direction its own last step. Of a concat only the source that
 * comes last may read from the end; the server then takes the last row. */
static enum status join_final(const struct other *o, bool concat, struct error *err)
{
    double *final = pool_take(o->plan->pool, o->out->width, sizeof *final);
    if (!final) return pool_spent(err);
    for (size_t k = 0, at = 0; k < o->n_sources; at += o->sources[k].width, k++) {
        const struct rows *in = &o->sources[k];
        const double *last = in->values + (in->n - 1) * in->width, *own = in->final ? in->final : last;
        bool differs = memcmp(own, last, in->width * sizeof *own) != 0, is_last = k + 1 == o->n_sources;
        if (concat ? differs && !is_last : !in->final) return STATUS_OK;
        for (size_t j = 0; j < in->width; j++) {
            double *to = &final[concat ? at + j : j];
            bool adds = strcmp(o->part->type, "add") == 0;
            *to = concat || k == 0 ? own[j] : adds ? *to + own[j] : *to * own[j];
        }
    }
    o->out->final = final;
    return STATUS_OK;
}

static enum status join(const struct other *o, struct error *err)
{
    bool concat = strcmp(o->part->type, "concat") == 0, adds = strcmp(o->part->type, "add") == 0;
    for (size_t k = 0, at = 0; k < o->n_sources; at += o->sources[k].width, k++) {
        const struct rows *in = &o->sources[k];
        if (in->n != o->out->n)
            return error_set(err, STATUS_BAD_SHAPE, "%s joins %zu steps and %zu", o->part->origin, o->out->n,
                             in->n);
        for (size_t t = 0; t < in->n; t++)
            for (size_t j = 0; j < in->width; j++) {
                double x = in->values[t * in->width + j];
                double *to = &o->out->values[t * o->out->width + (concat ? at + j : j)];
                *to = concat || k == 0 ? x : adds ? *to + x : *to * x;
            }
    }
    return o->out->n ? join_final(o, concat, err) : STATUS_OK;
}

/* What a later layer gave in the step before, as far as it is known; zeros else. */
static enum status recall(const struct other *o, struct error *err)
{
    const struct rows *later = &o->sources[0];
    if (later->values && later->width != o->out->width)
        return error_set(err, STATUS_BAD_SHAPE, "%s recalls %zu numbers, and %zu are given", o->part->origin,
                         o->out->width, later->width);
    for (size_t t = 1; later->values && t < o->steps && t <= later->n; t++)
        memcpy(o->out->values + t * o->out->width, later->values + (t - 1) * later->width,
               later->width * sizeof *later->values);
    return STATUS_OK;
}

static enum status pool_by_attention(const struct other *o, struct error *err)
{
    size_t A = (size_t)integer_of(o->part, "attention_size"), n = o->sources[0].n, K = o->sources[0].width;
    double *scores = pool_take(o->plan->pool, n + A, sizeof *scores), *inner = scores + n;
    if (!scores) return pool_spent(err);
    for (size_t t = 0; t < n; t++) {
        const double *row = o->sources[0].values + t * K;
        if (A) multiply_by(tensor_of(o->part, "0.weight"), tensor_of(o->part, "0.bias"), row, A, K, inner);
        for (size_t i = 0; i < A; i++) inner[i] = tanh(inner[i]);
        multiply_by(tensor_of(o->part, A ? "2.weight" : "weight"), NULL, A ? inner : row, 1, A ? A : K,
                    &scores[t]);
    }
    reference_softmax(scores, n);
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < K; j++) o->out->values[j] += scores[t] * o->sources[0].values[t * K + j];
    return STATUS_OK;
}

/* e of one query and one row of the memory. */
static double score(const struct other *o, const double *query, const double *row, size_t Q, size_t M,
                    double *scratch)
{
    const struct part *part = o->part;
    const char *kind = word_of(part, "score");
    size_t A = (size_t)integer_of(part, "attention_size");
    double sum = 0, scale = integer_of(part, "scaled") ? 1 / sqrt((double)Q) : 1;
    if (strcmp(kind, "additive")) {
        bool general = strcmp(kind, "general") == 0;
        multiply_by(general ? tensor_of(part, "weight") : NULL, tensor_of(part, "bias"), row, Q, M, scratch);
        for (size_t i = 0; i < Q; i++) sum += query[i] * scratch[i];
        return sum * scale;
    }
    const float *energy = tensor_of(part, "energy.weight");
    multiply_by(tensor_of(part, "query.weight"), tensor_of(part, "query.bias"), query, A, Q, scratch);
    multiply_by(tensor_of(part, "key.weight"), tensor_of(part, "key.bias"), row, A, M, scratch + A);
    for (size_t i = 0; i < A; i++) sum += (double)energy[i] * tanh(scratch[i] + scratch[A + i]);
    return sum;
}

static enum status attend(const struct other *o, struct error *err)
{
    const struct rows *in = &o->sources[0], *memory = o->memory;
    size_t A = (size_t)integer_of(o->part, "attention_size");
    if (!memory)
        return error_set(err, STATUS_BAD_VALUE, "%s: only a decoder has something to attend to",
                         o->part->origin);
    if (memory->width != o->out->width)
        return error_set(err, STATUS_BAD_SHAPE,
                         "%s attends to rows of %zu numbers, but the encoder gives %zu", o->part->origin,
                         o->out->width, memory->width);
    double *scores = pool_take(o->plan->pool, memory->n + 2 * A + in->width, sizeof *scores);
    if (!scores) return pool_spent(err);
    for (size_t t = 0; t < in->n; t++) {
        for (size_t s = 0; s < memory->n; s++)
            scores[s] = score(o, in->values + t * in->width, memory->values + s * memory->width, in->width,
                              memory->width, scores + memory->n);
        reference_softmax(scores, memory->n);
        for (size_t s = 0; s < memory->n; s++)
            for (size_t j = 0; j < memory->width; j++)
                o->out->values[t * memory->width + j] += scores[s] * memory->values[s * memory->width + j];
    }
    return STATUS_OK;
}

/* rms_norm of all numbers of a step, group_norm of each group of neighbours. */
static enum status normalise(const struct other *o, struct error *err)
{
    (void)err;
    bool is_rms = strcmp(o->part->type, "rms_norm") == 0;
    size_t width = o->out->width, n = is_rms ? width : width / (size_t)integer_of(o->part, "num_groups");
    const float *weight = tensor_of(o->part, "weight"), *bias = tensor_of(o->part, "bias");
    for (size_t at = 0; at < o->out->n * width; at += n) {
        const double *x = o->sources[0].values + at;
        double mean = 0, square = 0;
        for (size_t j = 0; j < n && !is_rms; j++) mean += x[j] / (double)n;
        for (size_t j = 0; j < n; j++) square += (x[j] - mean) * (x[j] - mean) / (double)n;
        for (size_t j = 0; j < n; j++) {
            size_t column = (at + j) % width;
            double y = (x[j] - mean) / sqrt(square + real_of(o->part, "eps"));
            o->out->values[at + j] =
                y * (weight ? (double)weight[column] : 1) + (bias ? (double)bias[column] : 0);
        }
    }
    return STATUS_OK;
}

static enum status feed_forward(const struct other *o, struct error *err)
{
    size_t F = (size_t)integer_of(o->part, "hidden_size"), D = o->out->width;
    double (*function)(double x) = reference_function(word_of(o->part, "activation"));
    double *gate = pool_take(o->plan->pool, 2 * F, sizeof *gate), *up = gate + F;
    if (!gate) return pool_spent(err);
    for (size_t t = 0; t < o->out->n; t++) {
        const double *x = o->sources[0].values + t * D;
        multiply_by(tensor_of(o->part, "gate.weight"), tensor_of(o->part, "gate.bias"), x, F, D, gate);
        multiply_by(tensor_of(o->part, "up.weight"), tensor_of(o->part, "up.bias"), x, F, D, up);
        for (size_t i = 0; i < F; i++) up[i] *= function(gate[i]);
        multiply_by(tensor_of(o->part, "down.weight"), tensor_of(o->part, "down.bias"), up, D, F,
                    o->out->values + t * D);
    }
    return STATUS_OK;
}

static enum status pass_on(const struct other *o, struct error *err)
{
    (void)err;
    memcpy(o->out->values, o->sources[0].values, o->out->n * o->out->width * sizeof *o->out->values);
    return STATUS_OK;
}

static const struct {
    const char *type;
    enum status (*run)(const struct other *o, struct error *err);
    bool pools, recalls;
} others[] = {
    {.type = "concat", .run = join},
    {.type = "add", .run = join},
    {.type = "multiply", .run = join},
    {.type = "previous", .run = recall, .recalls = true},
    {.type = "identity", .run = pass_on},
    {.type = "attention_pooling", .run = pool_by_attention, .pools = true},
    {.type = "attention", .run = attend},
    {.type = "rms_norm", .run = normalise},
    {.type = "group_norm", .run = normalise},
    {.type = "gated_feed_forward", .run = feed_forward},
};
enum { N_OTHERS = sizeof others / sizeof *others };

enum status reference_knows(const struct part *part, struct error *err)
{
    for (size_t i = 0; i < N_OTHERS; i++)
        if (!part->spec || strcmp(part->type, others[i].type) == 0) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, "golden",
                           "a layer of type '%s' has no second implementation that could prove it; give your "
                           "model's own inputs and outputs by --golden FILE", part->type);
}

enum status reference_other(const struct plan *plan, const struct part *part, const struct rows *sources,
                            size_t n_sources, size_t steps, const struct rows *memory, struct rows *out,
                            struct error *err)
{
    size_t i = 0;
    while (i < N_OTHERS && strcmp(part->type, others[i].type)) i++;
    if (i == N_OTHERS) return error_set(err, STATUS_INTERNAL, "%s has no reference", part->origin);
    size_t n = others[i].pools ? 1 : others[i].recalls ? steps : sources[0].n;
    *out = (struct rows){pool_take(plan->pool, n * part->out, sizeof *out->values), n, part->out, NULL};
    if (!out->values) return pool_spent(err);
    if (!others[i].recalls && !part->spec->type->joins && sources[0].width != part->in)
        return error_set(err, STATUS_BAD_SHAPE, "%s reads %zu numbers, and %zu are given", part->origin,
                         part->in, sources[0].width);
    const struct other other = {plan, part, sources, n_sources, steps, memory, out};
    return others[i].run(&other, err);
}
