/* Tensors of one module as a part of a plan. */
#include "models/readers/parts.h"

#include <stdio.h>
#include <string.h>

#include "models/readers/keras_layers.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

static const char *origin_of(const struct groups *groups, const struct group *group, const char *class)
{
    const struct module *module = source_module(groups->source, group->prefix);
    return pool_print(groups->plan->pool, "%s '%s'", module ? module->class : class, group->prefix);
}

/* ------------------------------------------------------------------------------------------
 * What --network says */

static const struct layer_key *find_key(const struct told *told, const char *name, size_t *i)
{
    const struct layer_key *keys = told ? told->spec->type->keys : NULL;
    if (!keys || !json_get(told->entry, name)) return NULL;
    for (*i = 0; keys[*i].name; ++*i)
        if (strcmp(keys[*i].name, name) == 0) return &keys[*i];
    return NULL;
}

bool told_has(const struct told *told, const char *key)
{
    size_t i;
    return find_key(told, key, &i) != NULL;
}

const char *told_word(const struct told *told, const char *key)
{
    size_t i;
    const struct layer_key *found = find_key(told, key, &i);
    return found && found->choices ? found->choices[told->spec->values[i]] : NULL;
}

long told_integer(const struct told *told, const char *key, long fallback)
{
    size_t i;
    return find_key(told, key, &i) ? told->spec->values[i] : fallback;
}

double told_real(const struct told *told, const char *key, double fallback)
{
    size_t i;
    return find_key(told, key, &i) ? told->spec->numbers[i] : fallback;
}

/* ------------------------------------------------------------------------------------------
 * Recurrent layers */

static const struct {
    const char *type, *class, *gates;
} recurrents[] = {
    [KIND_LSTM] = {"lstm", "torch.nn.LSTM", "ifgo"},
    [KIND_GRU] = {"gru", "torch.nn.GRU", "rzn"},
    [KIND_RNN] = {"rnn", "torch.nn.RNN", "n"},
};
static const char *const keras_classes[] = {
    [KIND_LSTM] = "Keras' LSTM", [KIND_GRU] = "Keras' GRU", [KIND_RNN] = "Keras' SimpleRNN"};

/* PyTorch's modes of torch.nn.RNN; a state_dict does not say which. */
static enum status find_nonlinearity(const struct groups *groups, const struct group *group,
                                     const char **squash, struct error *err)
{
    const struct module *module = source_module(groups->source, group->prefix);
    const struct node *mode = NULL;
    for (size_t i = 0; module && i + 1 < module->state->n_items; i += 2)
        if (node_is_text(module->state->items[i], "mode") ||
            node_is_text(module->state->items[i], "nonlinearity"))
            mode = module->state->items[i + 1];
    if (*squash) return STATUS_OK;
    if (!node_is(mode, NODE_TEXT))
        return groups_need_network(groups, err, "torch.nn.RNN may use tanh or relu, which a state_dict does "
                                               "not say: "
                                 "{\"type\":\"rnn\",\"prefix\":\"...\",\"nonlinearity\":\"tanh\"}");
    *squash = strstr(mode->text, "RELU") || strstr(mode->text, "relu") ? "relu" : "tanh";
    return STATUS_OK;
}

/* Read one order of gates, such as "ifco", in the letters of `own`; c and h are the candidate too. */
static bool read_gates(const char *told, size_t n, const char *own, char *letters)
{
    size_t seen = 0;
    for (size_t i = 0; i < n && n == strlen(own); i++) {
        char letter = told[i] == 'c' || told[i] == 'h' ? (n == 4 ? 'g' : 'n') : told[i];
        const char *at = strchr(own, letter);
        if (at) seen |= (size_t)1 << (at - own);
        letters[i] = letter;
    }
    return seen == ((size_t)1 << strlen(own)) - 1;
}

/* The order of gates: PyTorch's, or of --gates, which may name one for each kind of layer. */
static enum status find_gates(const struct groups *groups, const struct group *group, const char **out,
                              struct error *err)
{
    const char *own = recurrents[group->kind].gates, *told = groups->options->gates;
    char letters[8] = "";
    *out = groups->source->is_keras && group->kind == KIND_GRU ? "zrn" : own; /* Keras' LSTM has PyTorch's */
    if (group->kind == KIND_RNN || groups->source->is_keras || (!told && !group->transposed))
        return STATUS_OK;
    for (const char *at = told; at; at = *at ? at + 1 : NULL) {
        size_t n = strcspn(at, ",");
        if (read_gates(at, n, own, letters)) {
            *out = pool_text(groups->plan->pool, letters, n);
            return *out ? STATUS_OK : pool_spent(err);
        }
        at += n;
    }
    return error_set_param(err, STATUS_BAD_VALUE, "gates",
                           "the order of the gates of '%.60s' is not in the file; expected --gates with the "
                           "letters %s in the order of its weights (of Keras: %s)",
                           group->prefix, own, group->kind == KIND_GRU ? "zrn" : own);
}

static enum status fill_cell(const struct groups *groups, const struct group *group, size_t layer,
                             const char *end, struct cell *cell, struct error *err)
{
    cell->w_in = group_gates(groups, group, "weight_ih", layer, end);
    cell->w_rec = group_gates(groups, group, "weight_hh", layer, end);
    cell->b_in = group_gates(groups, group, "bias_ih", layer, end);
    cell->b_rec = group_gates(groups, group, "bias_hh", layer, end);
    cell->proj = group_gates(groups, group, "weight_hr", layer, end);
    cell->peephole = group_gates(groups, group, "weight_ch", layer, end);
    cell->peephole_gates = "ifo";
    cell->h0 = group_gates(groups, group, "h0", layer, end);
    cell->c0 = group_gates(groups, group, "c0", layer, end);
    enum status status = find_gates(groups, group, &cell->gates, err);
    if (status != STATUS_OK) return status;
    if (!cell->w_rec || cell->w_in->rank != 2 || cell->w_rec->rank != 2 || !cell->b_in != !cell->b_rec)
        return error_set(err, STATUS_BAD_SHAPE, "%s: the tensors of layer %zu%s are not all there",
                         group->prefix, layer, end);
    cell->in = cell->w_in->shape[1];
    cell->out = cell->w_rec->shape[1];
    cell->hidden = cell->w_rec->shape[0] / strlen(cell->gates);
    return STATUS_OK;
}

/* A layer under Keras' names. The shape of the bias says whether a GRU resets after, and whether cuDNN laid
 * the weights out; a GRU without a bias says neither. */
static enum status fill_keras(const struct groups *groups, const struct group *group,
                              const struct told *told, struct part *part, struct error *err)
{
    static const char *const names[2][3] = {{"kernel", "recurrent_kernel", "bias"},
                                            {"kernel_reverse", "recurrent_kernel_reverse", "bias_reverse"}};
    enum status status = STATUS_OK;
    part->n_layers = 1;
    for (size_t d = 0; d < part->n_directions && status == STATUS_OK; d++) {
        const struct tensor *weights[3];
        struct cell *cell = &part->cells[d];
        for (size_t i = 0; i < 3; i++) weights[i] = group_member(groups, group, names[d][i]);
        status = find_gates(groups, group, &cell->gates, err);
        if (status != STATUS_OK) return status;
        if (!weights[0] || !weights[1])
            return error_set(err, STATUS_BAD_SHAPE, "%s: its tensors are not all there", group->prefix);
        const struct tensor *bias = weights[2];
        size_t twice = 2 * strlen(cell->gates) * group->hidden;
        bool cudnn = bias && group->kind != KIND_RNN && bias->rank == 1 && bias->shape[0] == twice;
        if (groups->source->is_old_keras && group->kind != KIND_RNN && !cudnn &&
            !told_has(told, "recurrent_activation"))
            return groups_need_network(
                groups, err,
                "these weights do not show the recurrent_activation, which was "
                "hard_sigmoid_keras2 in Keras 1 and 2 unless you chose another, and sigmoid in "
                "tf.keras: {\"type\":\"lstm\",\"prefix\":\"...\","
                "\"recurrent_activation\":\"sigmoid\"}");
        part->reset_after = bias ? cudnn || bias->rank == 2 : told_integer(told, "reset_after", 1);
        if (!bias && group->kind == KIND_GRU && !told_has(told, "reset_after"))
            return groups_need_network(groups, err,
                                       "a GRU of Keras without a bias does not show its reset_after: "
                                       "{\"type\":\"gru\",\"prefix\":\"...\",\"reset_after\":true}");
        status = keras_fill_cell(groups->plan, cell, weights, bias != NULL, cudnn, err);
    }
    return status == STATUS_OK ? plan_recurrent(groups->plan, part, err) : status;
}

static enum status add_recurrent(struct groups *groups, const struct group *group,
                                 const struct told *told, struct error *err)
{
    static const char *const ends[] = {"", "_reverse"};
    const char *prefix = *group->prefix ? group->prefix : recurrents[group->kind].type;
    const char *squash = told_word(told, group->kind == KIND_RNN ? "nonlinearity" : "activation");
    enum status status = STATUS_OK;
    if (group->kind == KIND_RNN) status = find_nonlinearity(groups, group, &squash, err);
    if (status != STATUS_OK) return status;
    struct part *part = plan_add(groups->plan, recurrents[group->kind].type, prefix,
                                 origin_of(groups, group,
                                           group->transposed ? keras_classes[group->kind]
                                                             : recurrents[group->kind].class), err);
    if (!part) return err->status;
    part->n_directions = group_gates(groups, group, "weight_ih", 0, "_reverse") ||
                                 group_member(groups, group, "kernel_reverse") ? 2 : 1;
    part->squash = squash;
    part->gate = told_word(told, "recurrent_activation");
    part->backwards = told_integer(told, "go_backwards", 0);
    part->reset_after = told_integer(told, "reset_after", 1);
    if (group->transposed) return fill_keras(groups, group, told, part, err);
    while (group_gates(groups, group, "weight_ih", part->n_layers, "") && status == STATUS_OK) {
        if ((part->n_layers + 1) * part->n_directions > PLAN_MAX_CELLS)
            return error_set(err, STATUS_TOO_LONG, "%s: more than %d layers", prefix, (int)PLAN_MAX_CELLS);
        for (size_t d = 0; d < part->n_directions && status == STATUS_OK; d++)
            status = group_gates(groups, group, "weight_ih", part->n_layers, ends[d])
                         ? fill_cell(groups, group, part->n_layers, ends[d],
                                     &part->cells[part->n_layers * part->n_directions + d], err)
                         : error_set(err, STATUS_BAD_SHAPE, "%s: a direction is missing", prefix);
        part->n_layers++;
    }
    return status == STATUS_OK ? plan_recurrent(groups->plan, part, err) : status;
}

/* Whether weights are computed from other tensors, as by weight_norm. */
static bool is_computed(const struct groups *groups)
{
    for (size_t i = 0; i < groups->source->n; i++) {
        const char *name = groups->source->tensors[i].name;
        if (strstr(name, "parametrizations.") || strstr(name, "weight_g") || strstr(name, "weight_v"))
            return true;
    }
    return false;
}

enum status parts_refuse(const struct groups *groups, const struct group *group, struct error *err)
{
    char quoted[QUOTE_BYTES];
    const char *name = group->first;
    sentence_quote(quoted, name, strlen(name));
    if (group->kind == KIND_BATCH_NORM || group->kind == KIND_LAYER_NORM || group->kind == KIND_CONV1D)
        return groups_need_network(groups, err,
                                   pool_print(groups->plan->pool, "import does not place the %s %s by itself",
                                              group_type(group), quoted));
    if (is_computed(groups))
        return error_set(err, STATUS_UNSUPPORTED,
                         "the tensor %s is of a weight that is computed from others, such as by weight_norm; "
                         "fold it before saving: torch.nn.utils.parametrize.remove_parametrizations(layer, "
                         "'weight'), or torch.nn.utils.remove_weight_norm(layer)",
                         quoted);
    return error_set(err, STATUS_UNSUPPORTED,
                     "the tensor %s is of a layer that is not served, such as attention; remove it from the "
                     "model, or name the layers that are wanted by --network FILE",
                     quoted);
}

/* ------------------------------------------------------------------------------------------
 * Norms and convolutions */

/* A real number of --network or of a pickled module. */
static double real_of(const struct groups *groups, const struct group *group, const struct told *told,
                      const char *key, double fallback)
{
    const struct module *module = source_module(groups->source, group->prefix);
    const struct node *state = module ? module->state : NULL;
    if (told_has(told, key)) return told_real(told, key, fallback);
    for (size_t i = 0; state && i + 1 < state->n_items; i += 2) {
        const struct node *value = state->items[i + 1];
        if (!node_is_text(state->items[i], key)) continue;
        if (node_is(value, NODE_FLOAT)) return value->real;
        if (node_is(value, NODE_INTEGER)) return (double)value->integer;
    }
    return fallback;
}

static enum status add_norm(struct groups *groups, const struct group *group, const struct told *told,
                            struct error *err)
{
    bool batch = group->kind == KIND_BATCH_NORM, keras = group->transposed;
    const struct norm_source source = {
        .weight = group->weight,
        .bias = group->bias,
        .mean = batch ? group_member(groups, group, keras ? "moving_mean" : "running_mean") : NULL,
        .variance = batch ? group_member(groups, group, keras ? "moving_variance" : "running_var") : NULL,
        .epsilon = real_of(groups, group, told, "eps", 1e-5),
        .from = "from --network or the module, or PyTorch's default"};
    const char *class = batch ? "torch.nn.BatchNorm1d" : "torch.nn.LayerNorm";
    if (keras && !told_has(told, "eps"))
        return groups_need_network(
            groups, err,
            "the weights of a norm of Keras do not show its epsilon, which is 0.001 unless "
            "you chose another: {\"type\":\"batch_norm\",\"prefix\":\"...\","
            "\"eps\":0.001}");
    return plan_norm(groups->plan, batch ? "batch_norm" : "layer_norm", group->prefix,
                     origin_of(groups, group, keras ? "Keras' norm" : class), &source, err);
}

static enum status add_conv(struct groups *groups, const struct group *group, const struct told *told,
                            struct error *err)
{
    const char *padding = told_word(told, "padding");
    if (!padding)
        return groups_need_network(groups, err,
                                   "how a convolution is padded is not in the file: {\"type\":\"conv1d\","
                                   "\"prefix\":\"...\",\"padding\":\"same\"} or \"causal\"");
    const struct conv_source source = {.weight = group->weight,
                                       .bias = group->bias,
                                       .keras = group->transposed,
                                       .padding = padding,
                                       .dilation = (size_t)told_integer(told, "dilation", 1),
                                       .groups = (size_t)told_integer(told, "groups", 1),
                                       .from = "from --network"};
    return plan_conv(groups->plan, group->prefix,
                     origin_of(groups, group, group->transposed ? "Keras' Conv1D" : "torch.nn.Conv1d"),
                     &source, err);
}

enum status parts_add(struct groups *groups, struct group *group, const struct told *told, struct error *err)
{
    const char *prefix = *group->prefix ? group->prefix : "layer";
    group->used = true;
    if (group_is_recurrent(group)) return add_recurrent(groups, group, told, err);
    /* Keras keeps mask_zero in the configuration. */
    if (group->kind == KIND_TABLE) groups->plan->pads = groups->plan->pads || group->transposed;
    if (group->kind == KIND_TABLE)
        return plan_embedding(
            groups->plan, prefix,
            origin_of(groups, group, group->transposed ? "Keras' Embedding" : "torch.nn.Embedding"),
            group->weight, err);
    if (group->kind == KIND_LINEAR)
        return plan_linear(groups->plan, prefix,
                           origin_of(groups, group, group->transposed ? "Keras' Dense" : "torch.nn.Linear"),
                           group->weight, group->bias, group->transposed, err);
    if (told && (group->kind == KIND_BATCH_NORM || group->kind == KIND_LAYER_NORM))
        return add_norm(groups, group, told, err);
    if (told && group->kind == KIND_CONV1D) return add_conv(groups, group, told, err);
    return parts_refuse(groups, group, err);
}
