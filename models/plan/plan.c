#include "models/plan/plan.h"

#include <string.h>

#include "core/network/layer.h"
#include "models/text/sentence.h"

/* Floats of a row of one source; 0: not known yet. */
static size_t source_width(const struct plan *plan, int source)
{
    if (source != SOURCE_INPUT) return (size_t)source < plan->n_parts ? plan->parts[source].out : 0;
    const struct part *first = plan->n_parts > plan->n_encoder ? &plan->parts[plan->n_encoder] : NULL;
    return first && !plan_reads_ids(first) ? first->in : 0;
}

struct part *plan_add(struct plan *plan, const char *type, const char *prefix, const char *origin,
                      struct error *err)
{
    char quoted[QUOTE_BYTES];
    if (!prefix || !origin) {
        if (pool_spent(err)) return NULL;
    }
    if (plan->n_parts == PLAN_MAX_PARTS) {
        error_set(err, STATUS_TOO_LONG, "more than %d layers", (int)PLAN_MAX_PARTS);
        return NULL;
    }
    if (!layer_type_find(type)) {
        error_set(err, STATUS_UNSUPPORTED,
                  "%.200s needs a layer of type '%s', which this version does not serve", origin, type);
        return NULL;
    }
    if (strlen(prefix) >= LAYER_PREFIX_BYTES) {
        error_set(err, STATUS_TOO_LONG, "the name %s is too long, expected at most %d bytes",
                  sentence_quote(quoted, prefix, strlen(prefix)), (int)LAYER_PREFIX_BYTES - 1);
        return NULL;
    }
    size_t width = plan->next.n_sources ? source_width(plan, plan->next.sources[0]) : plan_width(plan);
    struct part *part = &plan->parts[plan->n_parts++];
    *part = (struct part){.type = type, .prefix = prefix, .origin = origin, .in = width};
    part->out = part->in;
    part->name = plan->next.name;
    part->n_sources = plan->next.n_sources;
    memcpy(part->sources, plan->next.sources, sizeof part->sources);
    plan->next.name = NULL, plan->next.n_sources = 0;
    report_fact(plan->report, type, prefix, pool_print(plan->pool, "from %s", origin));
    return part;
}

size_t plan_width(const struct plan *plan)
{
    return plan->n_parts > plan->n_encoder ? plan->parts[plan->n_parts - 1].out : 0;
}

bool plan_reads_ids(const struct part *part)
{
    return strcmp(part->type, "embedding") == 0 || strcmp(part->type, "one_hot") == 0;
}

int plan_source(const struct plan *plan, size_t i, size_t k)
{
    const struct part *part = &plan->parts[i];
    if (part->n_sources) return part->sources[k];
    return i == 0 || i == plan->n_encoder ? SOURCE_INPUT : (int)i - 1;
}

const struct part *plan_input(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_parts; i++)
        if (plan_source(plan, i, 0) == SOURCE_INPUT) return &plan->parts[i];
    return &plan->parts[0];
}

/* A key that the type does not have cannot be served. */
static enum status add_key(struct plan *plan, const char *key, const char *json, const char *from,
                           struct error *err)
{
    struct part *part = &plan->parts[plan->n_parts - 1];
    const struct layer_key *known = layer_type_find(part->type)->keys;
    while (known && known->name && strcmp(known->name, key)) known++;
    if (!known || !known->name)
        return error_set(err, STATUS_UNSUPPORTED, "%s: %s %s is not served by this version", part->origin,
                         key, json);
    if (!json || !from) return pool_spent(err);
    if (part->n_keys == PLAN_MAX_KEYS) return error_set(err, STATUS_INTERNAL, "too many keys");
    part->keys[part->n_keys].name = key;
    part->keys[part->n_keys++].json = json;
    report_fact(plan->report, pool_print(plan->pool, "  %s", key), json, from);
    return STATUS_OK;
}

enum status plan_size(struct plan *plan, const char *key, size_t value, const char *from, struct error *err)
{
    return add_key(plan, key, pool_print(plan->pool, "%zu", value), from, err);
}

enum status plan_json(struct plan *plan, const char *key, const char *json, const char *from,
                      struct error *err)
{
    return add_key(plan, key, json, from, err);
}

enum status plan_word(struct plan *plan, const char *key, const char *word, const char *from,
                      struct error *err)
{
    return add_key(plan, key, pool_print(plan->pool, "\"%s\"", word), from, err);
}

enum status plan_truth(struct plan *plan, const char *key, bool value, const char *from, struct error *err)
{
    return add_key(plan, key, value ? "true" : "false", from, err);
}

/* ------------------------------------------------------------------------------------------
 * Tensors */

const char *plan_from(struct plan *plan, const struct tensor *tensor)
{
    return pool_print(plan->pool, "from %s", tensor_text(tensor, plan->pool));
}

enum status plan_expect(struct plan *plan, const struct tensor *t, size_t rank, size_t rows, size_t columns,
                        struct error *err)
{
    char found[SHAPE_BYTES], expected[SHAPE_BYTES];
    size_t shape[2] = {rows, columns};
    if (t->rank == rank && t->shape[0] == rows && (rank == 1 || t->shape[1] == columns)) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "%s: tensor %s has shape %s, expected %s",
                     plan->parts[plan->n_parts - 1].origin, t->name, sentence_shape(found, t->rank, t->shape),
                     sentence_shape(expected, rank, shape));
}

enum status plan_weight(struct plan *plan, const char *name, const size_t *shape, size_t rank,
                        const float *values, struct error *err)
{
    struct part *part = &plan->parts[plan->n_parts - 1];
    enum status status = pool_grow(plan->pool, (void **)&part->weights, part->n_weights, &part->weights_room,
                                   sizeof *part->weights, err);
    if (status != STATUS_OK) return status;
    struct weight *weight = &part->weights[part->n_weights++];
    *weight = (struct weight){
        .name = pool_print(plan->pool, "%s.%s", part->prefix, name), .rank = rank, .values = values};
    memcpy(weight->shape, shape, rank * sizeof *shape);
    return weight->name ? STATUS_OK : pool_spent(err);
}

static enum status add_weight(struct plan *plan, const char *name, size_t rows, size_t columns,
                              const float *values, struct error *err)
{
    return plan_weight(plan, name, (size_t[]){rows, columns}, columns ? 2 : 1, values, err);
}

const struct tensor *plan_slice(struct pool *pool, const struct tensor *whole, size_t i, struct error *err)
{
    struct tensor *slice = pool_small(pool, sizeof *slice);
    if (!slice) {
        if (pool_spent(err)) return NULL;
    }
    if (whole->rank == 0 || i >= whole->shape[0]) {
        error_set(err, STATUS_BAD_SHAPE, "tensor %s has no row %zu", whole->name, i);
        return NULL;
    }
    *slice = *whole;
    slice->rank--;
    slice->n_values = whole->n_values / whole->shape[0];
    slice->data += i * whole->strides[0] * number_bytes(whole->type);
    memmove(slice->shape, whole->shape + 1, slice->rank * sizeof *slice->shape);
    memmove(slice->strides, whole->strides + 1, slice->rank * sizeof *slice->strides);
    return slice;
}

/* ------------------------------------------------------------------------------------------
 * Recurrent layers */

static const char *wanted_gates(const char *type)
{
    if (strcmp(type, "lstm") == 0) return "ifgo";
    return strcmp(type, "gru") == 0 ? "rzn" : "n";
}

/* The source's [gates * H, columns], or its transposed, with PyTorch's order of gates. */
static enum status convert_gates(struct plan *plan, const struct cell *cell, const char *wanted,
                                 const struct tensor *source, size_t columns, float **out, struct error *err)
{
    size_t n_gates = strlen(wanted), H = cell->hidden, rows = n_gates * H, K = columns ? columns : 1;
    bool turned = columns && cell->transposed;
    float *values;
    enum status status =
        plan_expect(plan, source, columns ? 2 : 1, turned ? columns : rows, turned ? rows : columns, err);
    if (status == STATUS_OK) status = tensor_floats(source, plan->pool, &values, err);
    if (status != STATUS_OK) return status;
    *out = pool_take(plan->pool, rows * K, sizeof **out);
    if (!*out) return pool_spent(err);
    for (size_t g = 0; g < n_gates; g++) {
        size_t from = (size_t)(strchr(cell->gates, wanted[g]) - cell->gates) * H;
        for (size_t j = 0; j < H; j++)
            for (size_t k = 0; k < K; k++)
                (*out)[(g * H + j) * K + k] =
                    turned ? values[k * rows + from + j] : values[(from + j) * K + k];
    }
    return STATUS_OK;
}

static enum status add_gates(struct plan *plan, const struct cell *cell, const char *wanted, const char *name,
                             const char *suffix, const struct tensor *source, size_t columns,
                             struct error *err)
{
    float *values = NULL;
    char *whole = pool_print(plan->pool, "%s%s", name, suffix);
    enum status status =
        source ? convert_gates(plan, cell, wanted, source, columns, &values, err) : STATUS_OK;
    if (!source) { /* a bias that the source has in one with the other */
        values = pool_take(plan->pool, strlen(wanted) * cell->hidden, sizeof *values);
        if (!values) return pool_spent(err);
    }
    if (status == STATUS_OK && !whole) return pool_spent(err);
    return status == STATUS_OK ? add_weight(plan, whole, strlen(wanted) * cell->hidden, columns, values, err)
                               : status;
}

static enum status add_peephole(struct plan *plan, const struct cell *cell, const char *suffix,
                                struct error *err)
{
    static const char wanted[] = "ifo";
    struct cell three = *cell;
    three.gates = cell->peephole_gates;
    return add_gates(plan, &three, wanted, "weight_ch", suffix, cell->peephole, 0, err);
}

/* A state before the first step; NULL: zeros. */
static enum status add_state(struct plan *plan, const char *name, const char *suffix,
                             const struct tensor *source, size_t n, struct error *err)
{
    char *whole = pool_print(plan->pool, "%s%s", name, suffix);
    float *values = NULL;
    enum status status = source ? plan_expect(plan, source, 1, n, 0, err) : STATUS_OK;
    if (status == STATUS_OK && source) status = tensor_floats(source, plan->pool, &values, err);
    if (status == STATUS_OK && !source) values = pool_take(plan->pool, n, sizeof *values);
    if (status == STATUS_OK && (!values || !whole)) return pool_spent(err);
    return status == STATUS_OK ? add_weight(plan, whole, n, 0, values, err) : status;
}

static enum status add_cell(struct plan *plan, const struct part *part, const struct cell *cell,
                            const char *suffix, struct error *err)
{
    const char *wanted = wanted_gates(part->type);
    enum status status = add_gates(plan, cell, wanted, "weight_ih", suffix, cell->w_in, cell->in, err);
    if (status == STATUS_OK)
        status = add_gates(plan, cell, wanted, "weight_hh", suffix, cell->w_rec, cell->out, err);
    if (status == STATUS_OK && cell->b_in)
        status = add_gates(plan, cell, wanted, "bias_ih", suffix, cell->b_in, 0, err);
    if (status == STATUS_OK && cell->b_in)
        status = add_gates(plan, cell, wanted, "bias_hh", suffix, cell->b_rec, 0, err);
    if (status == STATUS_OK && cell->peephole) status = add_peephole(plan, cell, suffix, err);
    if (status == STATUS_OK && part->cells[0].h0)
        status = add_state(plan, "h0", suffix, cell->h0, cell->out, err);
    if (status == STATUS_OK && part->cells[0].h0 && strcmp(part->type, "lstm") == 0)
        status = add_state(plan, "c0", suffix, cell->c0, cell->hidden, err);
    if (status != STATUS_OK || !cell->proj) return status;
    float *values;
    status = plan_expect(plan, cell->proj, 2, cell->out, cell->hidden, err);
    if (status == STATUS_OK) status = tensor_floats(cell->proj, plan->pool, &values, err);
    char *name = pool_print(plan->pool, "weight_hr%s", suffix);
    if (status == STATUS_OK && !name) return pool_spent(err);
    return status == STATUS_OK ? add_weight(plan, name, cell->out, cell->hidden, values, err) : status;
}

/* The sizes that all cells must agree with. */
static enum status check_cells(struct part *part, size_t width, struct error *err)
{
    const struct cell *first = &part->cells[0];
    for (size_t i = 0; i < part->n_layers * part->n_directions; i++) {
        const struct cell *cell = &part->cells[i];
        size_t in = i < part->n_directions ? first->in : part->n_directions * first->out;
        if (cell->in != in || cell->hidden != first->hidden || cell->out != first->out ||
            !cell->b_in != !first->b_in || !cell->proj != !first->proj)
            return error_set(err, STATUS_BAD_SHAPE, "%s: its layer %zu does not fit the first one",
                             part->origin, i / part->n_directions);
    }
    if (width && width != first->in)
        return error_set(err, STATUS_BAD_SHAPE,
                         "%s reads %zu numbers a step, but the layer before it gives %zu", part->origin,
                         first->in, width);
    return STATUS_OK;
}

/* Keys that differ from PyTorch's defaults. */
static enum status recurrent_options(struct plan *plan, const struct part *part, struct error *err)
{
    const struct cell *first = &part->cells[0];
    bool is_rnn = strcmp(part->type, "rnn") == 0;
    const char *from = plan_from(plan, first->w_rec), *said = pool_print(plan->pool, "from %s", part->origin);
    enum status status = STATUS_OK;
    if (part->n_layers > 1) status = plan_size(plan, "num_layers", part->n_layers, from, err);
    if (status == STATUS_OK && part->n_directions > 1)
        status = plan_truth(plan, "bidirectional", true, from, err);
    if (status == STATUS_OK && !first->b_in)
        status = plan_truth(plan, "bias", false, "from its tensors", err);
    if (status == STATUS_OK && first->proj)
        status = plan_size(plan, "proj_size", first->out, plan_from(plan, first->proj), err);
    if (status == STATUS_OK && first->peephole)
        status = plan_truth(plan, "peepholes", true, plan_from(plan, first->peephole), err);
    if (status == STATUS_OK && first->h0)
        status = plan_truth(plan, "initial_state", true, plan_from(plan, first->h0), err);
    if (status == STATUS_OK && part->backwards) status = plan_truth(plan, "go_backwards", true, said, err);
    if (status == STATUS_OK && strcmp(part->type, "gru") == 0 && !part->reset_after)
        status = plan_truth(plan, "reset_after", false, said, err);
    if (status == STATUS_OK && part->gate && strcmp(part->gate, "sigmoid"))
        status = plan_word(plan, "recurrent_activation", part->gate, said, err);
    if (status == STATUS_OK && part->squash && strcmp(part->squash, "tanh"))
        status = plan_word(plan, is_rnn ? "nonlinearity" : "activation", part->squash, said, err);
    return status;
}

enum status plan_recurrent(struct plan *plan, struct part *part, struct error *err)
{
    const struct cell *first = &part->cells[0];
    enum status status = check_cells(part, part->in, err);
    if (status != STATUS_OK) return status;
    part->in = first->in;
    part->out = part->n_directions * first->out;
    status = plan_size(plan, "input_size", first->in, plan_from(plan, first->w_in), err);
    if (status == STATUS_OK)
        status = plan_size(plan, "hidden_size", first->hidden, plan_from(plan, first->w_rec), err);
    if (status == STATUS_OK) status = recurrent_options(plan, part, err);
    for (size_t i = 0; i < part->n_layers * part->n_directions && status == STATUS_OK; i++) {
        char *suffix = pool_print(plan->pool, "_l%zu%s", i / part->n_directions,
                                  i % part->n_directions ? "_reverse" : "");
        status = suffix ? add_cell(plan, part, &part->cells[i], suffix, err) : pool_spent(err);
    }
    return status;
}
