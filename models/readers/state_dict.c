#include "models/readers/state_dict.h"

#include <stdio.h>
#include <string.h>

#include "models/readers/groups.h"
#include "models/text/sentence.h"

enum { NAME_BYTES = 160 };

/* ------------------------------------------------------------------------------------------
 * Parts */

static const char *origin_of(const struct groups *groups, const struct group *group, const char *class)
{
    const struct module *module = source_module(groups->source, group->prefix);
    return pool_print(groups->plan->pool, "%s '%s'", module ? module->class : class, group->prefix);
}

static const char *entry_text(const struct json *entry, const char *key)
{
    for (const struct json *m = json_first(entry); m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0 && json_kind(m) == JSON_STRING) return json_string(m);
    return NULL;
}

static const struct {
    const char *type, *class, *gates;
} recurrents[] = {
    [KIND_LSTM] = {"lstm", "torch.nn.LSTM", "ifgo"},
    [KIND_GRU] = {"gru", "torch.nn.GRU", "rzn"},
    [KIND_RNN] = {"rnn", "torch.nn.RNN", "n"},
};

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
    *out = own;
    if (group->kind == KIND_RNN || (!told && !group->transposed)) return STATUS_OK;
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

/* A layer under Keras' names, whose bias may be [gates * H], or [2, gates * H] of a GRU that resets after. */
static enum status fill_keras(const struct groups *groups, const struct group *group, struct part *part,
                              struct error *err)
{
    struct cell *cell = &part->cells[0];
    const struct tensor *bias = group_member(groups, group, "bias");
    cell->w_in = group_member(groups, group, "kernel");
    cell->w_rec = group_member(groups, group, "recurrent_kernel");
    cell->transposed = true;
    cell->in = group->in, cell->hidden = cell->out = group->out;
    cell->b_in = bias;
    part->reset_after = bias && bias->rank == 2 && bias->shape[0] == 2;
    if (part->reset_after) {
        cell->b_in = plan_slice(groups->plan->pool, bias, 0, err);
        cell->b_rec = cell->b_in ? plan_slice(groups->plan->pool, bias, 1, err) : NULL;
        if (!cell->b_rec) return err->status;
    }
    part->n_layers = 1;
    enum status status = find_gates(groups, group, &cell->gates, err);
    return status == STATUS_OK ? plan_recurrent(groups->plan, part, err) : status;
}

static enum status add_recurrent(struct groups *groups, const struct group *group, const char *squash,
                                 struct error *err)
{
    static const char *const ends[] = {"", "_reverse"};
    const char *prefix = *group->prefix ? group->prefix : recurrents[group->kind].type;
    enum status status = STATUS_OK;
    if (group->kind == KIND_RNN) status = find_nonlinearity(groups, group, &squash, err);
    if (status != STATUS_OK) return status;
    struct part *part = plan_add(groups->plan, recurrents[group->kind].type, prefix,
                                 origin_of(groups, group, recurrents[group->kind].class), err);
    if (!part) return err->status;
    part->n_directions = group_gates(groups, group, "weight_ih", 0, "_reverse") ? 2 : 1;
    part->squash = squash;
    part->reset_after = true;
    if (group->transposed) return fill_keras(groups, group, part, err);
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

static enum status refuse(const struct groups *groups, const struct group *group, struct error *err)
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

/* What --network or a pickled module says of a norm or a convolution beside its tensors. */
struct beside {
    const struct json *entry; /* of --network, or */
    const struct module *module;
};

static double number_beside(const struct beside *beside, const char *key, double fallback)
{
    for (const struct json *m = beside->entry ? json_first(beside->entry) : NULL; m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0 && json_kind(m) == JSON_NUMBER) return json_number(m);
    const struct node *state = beside->module ? beside->module->state : NULL;
    for (size_t i = 0; state && i + 1 < state->n_items; i += 2) {
        const struct node *value = state->items[i + 1];
        if (!node_is_text(state->items[i], key)) continue;
        if (node_is(value, NODE_LIST)) value = node_item(value, 0);
        if (node_is(value, NODE_FLOAT)) return value->real;
        if (node_is(value, NODE_INTEGER)) return (double)value->integer;
    }
    return fallback;
}

static enum status add_norm(struct groups *groups, const struct group *group, const struct beside *beside,
                            struct error *err)
{
    bool batch = group->kind == KIND_BATCH_NORM;
    const struct norm_source source = {.weight = group->weight,
                                       .bias = group->bias,
                                       .mean = batch ? group_member(groups, group, "running_mean") : NULL,
                                       .variance = batch ? group_member(groups, group, "running_var") : NULL,
                                       .epsilon = number_beside(beside, "eps", 1e-5),
                                       .from = "from --network or the module, or PyTorch's default"};
    const char *class = batch ? "torch.nn.BatchNorm1d" : "torch.nn.LayerNorm";
    return plan_norm(groups->plan, batch ? "batch_norm" : "layer_norm", group->prefix,
                     origin_of(groups, group, class), &source, err);
}

static enum status add_conv(struct groups *groups, const struct group *group, const struct beside *beside,
                            struct error *err)
{
    const char *padding = beside->entry ? entry_text(beside->entry, "padding") : NULL;
    bool causal = padding && strcmp(padding, "causal") == 0, same = padding && strcmp(padding, "same") == 0;
    double dilation = number_beside(beside, "dilation", 1);
    if (!causal && !same)
        return groups_need_network(
            groups, err,
            "how a convolution is padded is not in the file: {\"type\":\"conv1d\",\"prefix\":\"...\","
                 "\"padding\":\"same\"} or \"causal\"");
    const struct conv_source source = {.weight = group->weight,
                                       .bias = group->bias,
                                       .padding = causal ? "causal" : "same",
                                       .dilation = dilation >= 1 && dilation <= 4096 ? (size_t)dilation : 1,
                                       .from = "from --network"};
    return plan_conv(groups->plan, group->prefix, origin_of(groups, group, "torch.nn.Conv1d"), &source, err);
}

static enum status add_group(struct groups *groups, struct group *group, const char *squash,
                             const struct json *entry, struct error *err)
{
    const char *prefix = *group->prefix ? group->prefix : "layer";
    group->used = true;
    if (group_is_recurrent(group)) return add_recurrent(groups, group, squash, err);
    if (group->kind == KIND_TABLE)
        return plan_embedding(groups->plan, prefix, origin_of(groups, group, "torch.nn.Embedding"),
                              group->weight, err);
    if (group->kind == KIND_LINEAR)
        return plan_linear(groups->plan, prefix, origin_of(groups, group, "torch.nn.Linear"), group->weight,
                           group->bias, group->transposed, err);
    const struct beside beside = {entry, source_module(groups->source, group->prefix)};
    if (entry && (group->kind == KIND_BATCH_NORM || group->kind == KIND_LAYER_NORM))
        return add_norm(groups, group, &beside, err);
    if (entry && group->kind == KIND_CONV1D) return add_conv(groups, group, &beside, err);
    return refuse(groups, group, err);
}

/* ------------------------------------------------------------------------------------------
 * The order by itself */

/* Modules without tensors that compute, if a Sequential says where. */
static const struct {
    const char *class, *type;
} activations[] = {
    {"ReLU", "relu"}, {"Tanh", "tanh"},         {"Sigmoid", "sigmoid"},          {"GELU", "gelu"},
    {"SiLU", "silu"}, {"Softplus", "softplus"}, {"Hardsigmoid", "hard_sigmoid"},
};

static const char *class_name(const struct module *module)
{
    const char *dot = strrchr(module->class, '.');
    return dot ? dot + 1 : module->class;
}

/* The Sequential that holds the module, or NULL. */
static const struct module *sequential_of(const struct source *source, const char *prefix)
{
    char parent[NAME_BYTES];
    const char *dot = strrchr(prefix, '.');
    if (strlen(prefix) >= NAME_BYTES) return NULL;
    snprintf(parent, sizeof parent, "%.*s", dot ? (int)(dot - prefix) : 0, prefix);
    const struct module *module = source_module(source, parent);
    return module && strcmp(class_name(module), "Sequential") == 0 ? module : NULL;
}

/* Add the activations that a Sequential has between the modules `after` and `before` ("": to its end). */
static enum status add_between(struct groups *groups, const char *after, const char *before,
                               struct error *err)
{
    const struct source *source = groups->source;
    const struct module *parent = sequential_of(source, after);
    const struct module *at = source_module(source, after);
    enum status status = STATUS_OK;
    for (size_t i = at ? (size_t)(at - source->modules) + 1 : SIZE_MAX; i < source->n_modules; i++) {
        const struct module *module = &source->modules[i];
        if (strcmp(module->prefix, before) == 0 || sequential_of(source, module->prefix) != parent) break;
        if (strcmp(class_name(module), "Softmax") == 0 || strcmp(class_name(module), "LogSoftmax") == 0)
            groups->plan->end = END_SOFTMAX;
        for (size_t a = 0; a < sizeof activations / sizeof *activations && status == STATUS_OK; a++)
            if (strcmp(class_name(module), activations[a].class) == 0)
                status =
                    plan_plain(groups->plan, activations[a].type,
                               pool_print(groups->plan->pool, "%s '%s'", module->class, module->prefix), err);
    }
    return status;
}

/* The modes of pooling that need nothing else, as config.json spells them; NULL. */
static const char *pooling_mode(const char *mode)
{
    static const char *const modes[] = {"last", "last_step", "middle", "mean", "max", "sum"};
    for (size_t i = 0; mode && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(mode, modes[i]) == 0) return modes[i];
    return NULL;
}

static enum status add_pooling(struct groups *groups, const struct options *options, struct error *err)
{
    const char *mode = pooling_mode(options->pooling);
    if (!options->pooling) return STATUS_OK;
    if (!mode)
        return error_set_param(err, STATUS_BAD_VALUE, "pooling",
                               "--pooling '%.40s' is not known; expected last, last_step, middle, mean, max "
                               "or sum",
                               options->pooling);
    return plan_pooling(groups->plan, mode, "--pooling", err);
}

/* The next group of a file without an order: one that reads as many numbers as the last one gives, recurrent
 * layers first. */
static struct group *next_group(struct groups *groups, size_t width)
{
    for (size_t pass = 0; pass < 3; pass++)
        for (size_t i = 0; i < groups->n; i++) {
            struct group *group = &groups->items[i];
            bool now = pass == 0 ? group->kind == KIND_TABLE : pass == 1 ? group_is_recurrent(group) : true;
            if (!group->used && now && (pass == 0 || width == 0 || group->in == width)) return group;
        }
    return NULL;
}

static enum status check_placing(const struct groups *groups, struct error *err)
{
    size_t n_recurrent = 0, n_linear_after = 0;
    const struct group *last = NULL;
    for (size_t i = 0; i < groups->n; i++) {
        const struct group *group = &groups->items[i];
        if (group->kind == KIND_OTHER || (group->kind >= KIND_BATCH_NORM && group->kind <= KIND_CONV1D))
            return refuse(groups, group, err);
        if (group_is_recurrent(group)) n_recurrent++, n_linear_after = 0;
        if (group->kind != KIND_LINEAR) continue;
        bool told =
            last && groups->source->n_modules && sequential_of(groups->source, group->prefix) &&
            sequential_of(groups->source, group->prefix) == sequential_of(groups->source, last->prefix);
        n_linear_after += !told;
        last = group;
    }
    if (n_recurrent == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the file has no recurrent layer (LSTM, GRU or RNN), and Carousel "
                         "serves nothing else");
    if (n_linear_after > 1)
        return groups_need_network(
            groups, err, "there are several linear layers, and a state_dict does not say what lies between "
                 "them (relu, tanh, nothing)");
    return STATUS_OK;
}

static enum status plan_alone(struct groups *groups, const struct options *options, struct error *err)
{
    enum status status = check_placing(groups, err);
    size_t recurrent_left = 0;
    for (size_t i = 0; i < groups->n; i++) recurrent_left += group_is_recurrent(&groups->items[i]);
    for (size_t i = 0; i < groups->n && status == STATUS_OK; i++) {
        struct group *group =
            groups->source->is_ordered ? &groups->items[i] : next_group(groups, plan_width(groups->plan));
        if (!group)
            return groups_need_network(groups, err,
                                       "the sizes of the layers do not say in which order they come");
        if (plan_width(groups->plan) && group->in && group->in != plan_width(groups->plan))
            return groups_need_network(groups, err,
                                       "the layers do not fit each other in the order of the file");
        status = add_group(groups, group, NULL, NULL, err);
        if (status == STATUS_OK && group_is_recurrent(group) && --recurrent_left == 0)
            status = add_pooling(groups, options, err);
        const char *next = i + 1 < groups->n && groups->source->is_ordered ? groups->items[i + 1].prefix : "";
        if (status == STATUS_OK && sequential_of(groups->source, group->prefix))
            status = add_between(groups, group->prefix, next, err);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The order of --network */

/* Keys of words and truths that a layer of PyTorch has anyway. */
static const struct {
    const char *name, *json;
} usual[] = {
    {"bias", "true"},        {"bidirectional", "false"},      {"reset_after", "true"}, {"affine", "true"},
    {"peepholes", "false"},  {"elementwise_affine", "true"},  {"go_backwards", "false"},
    {"initial_state", "false"}, {"recurrent_activation", "sigmoid"}, {"activation", "tanh"},
};
/* Keys that are read elsewhere, or have no effect. */
static const char *const passed[] = {"type",    "prefix",  "name",        "mode",       "padding",
                                     "dropout", "nonlinearity", "padding_idx", "batch_first"};

/* A word or a truth must be what the tensors are, because nothing but the tensors is imported. */
static enum status check_word(const struct json *m, const struct part *part, size_t at, struct error *err)
{
    const char *key = json_key(m), *found = "";
    char quoted[QUOTE_BYTES];
    if (json_kind(m) == JSON_STRING) found = json_string(m);
    if (json_kind(m) == JSON_BOOLEAN) found = json_boolean(m) ? "true" : "false";
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (strcmp(key, passed[i]) == 0 || key[0] == '_') return STATUS_OK;
    for (size_t i = 0; i < part->n_keys; i++) {
        const char *json = part->keys[i].json;
        size_t quotes = json[0] == '"', n = strlen(json) - 2 * quotes;
        if (strcmp(part->keys[i].name, key)) continue;
        if (strlen(found) == n && memcmp(found, json + quotes, n) == 0) return STATUS_OK;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(usual[i].name, key) == 0 && strcmp(usual[i].json, found) == 0) return STATUS_OK;
    return error_set(err, STATUS_UNSUPPORTED,
                     "--network: layer %zu: the key %s changes what the layer computes, and is not imported; "
                     "write the bundle by hand (docs/bring-your-own-model.md)",
                     at, sentence_quote(quoted, key, strlen(key)));
}

/* Layers that read another one than that before them are no chain. */
static enum status check_chain(const struct json *entry, const char *type, size_t at, struct error *err)
{
    static const char *const known[] = {"embedding", "lstm",       "gru",        "rnn",
                                        "linear",    "batch_norm", "layer_norm", "conv1d"};
    char quoted[QUOTE_BYTES];
    bool is_known = !entry_text(entry, "prefix");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known = is_known || strcmp(type, known[i]) == 0;
    if (is_known && !json_get(entry, "inputs")) return STATUS_OK;
    return error_set(err, STATUS_UNSUPPORTED,
                     "--network: layer %zu: %s %s is not imported; write the bundle by hand "
                     "(docs/bring-your-own-model.md)",
                     at, is_known ? "'inputs' of" : "a layer of type",
                     sentence_quote(quoted, type, strlen(type)));
}

/* What the file says of sizes must be what the tensors are. */
static enum status check_entry(const struct json *entry, const struct part *part, size_t at,
                               struct error *err)
{
    char found[32];
    for (const struct json *m = json_first(entry); m; m = json_next(m)) {
        if (json_kind(m) != JSON_NUMBER) {
            enum status status = check_word(m, part, at, err);
            if (status != STATUS_OK) return status;
            continue;
        }
        snprintf(found, sizeof found, "%.17g", json_number(m));
        for (size_t i = 0; i < part->n_keys; i++)
            if (strcmp(part->keys[i].name, json_key(m)) == 0 && strcmp(part->keys[i].json, found))
                return error_set(err, STATUS_BAD_VALUE,
                                 "--network: layer %zu: %s is %s, but the tensors of '%s' say %s", at,
                                 json_key(m), found, part->prefix, part->keys[i].json);
    }
    return STATUS_OK;
}

static enum status add_named(struct groups *groups, const struct json *entry, const char *type,
                             const char *prefix, struct error *err)
{
    char quoted[QUOTE_BYTES];
    sentence_quote(quoted, prefix, strlen(prefix));
    struct group *group = groups_find(groups, prefix, strlen(prefix));
    if (!group)
        return error_set(err, STATUS_BAD_VALUE, "--network: the file has no tensors under the prefix %s",
                         quoted);
    bool is_matrix = group->kind == KIND_TABLE || group->kind == KIND_LINEAR;
    if (is_matrix && !group->bias) group->kind = strcmp(type, "embedding") ? KIND_LINEAR : KIND_TABLE;
    if (strcmp(group_type(group), type))
        return error_set(err, STATUS_BAD_VALUE,
                         "--network: %s is of type '%s', but its tensors are those of '%s'", quoted, type,
                         group_type(group));
    const char *squash = entry_text(entry, "nonlinearity");
    if (squash) squash = strcmp(squash, "relu") == 0 ? "relu" : "tanh"; /* outlives the JSON */
    return add_group(groups, group, squash, entry, err);
}

static enum status plan_network(struct groups *groups, const struct json *network, struct error *err)
{
    size_t at = 0;
    enum status status = STATUS_OK;
    for (const struct json *entry = json_first(network); entry && status == STATUS_OK;
         entry = json_next(entry), at++) {
        const char *type = json_kind(entry) == JSON_OBJECT ? entry_text(entry, "type") : NULL;
        const char *prefix = type ? entry_text(entry, "prefix") : NULL,
                   *mode = type ? entry_text(entry, "mode") : NULL;
        if (!type)
            return error_set(err, STATUS_BAD_VALUE, "--network: layer %zu is no object with a 'type'", at);
        char *kept = pool_text(groups->plan->pool, type, strlen(type));
        if (!kept) return pool_spent(err);
        status = check_chain(entry, type, at, err);
        if (status != STATUS_OK) return status;
        if (prefix) {
            status = add_named(groups, entry, type, prefix, err);
            if (status == STATUS_OK)
                status = check_entry(entry, &groups->plan->parts[groups->plan->n_parts - 1], at, err);
        } else if (strcmp(type, "pooling") == 0) {
            const char *known = pooling_mode(mode);
            status = known ? plan_pooling(groups->plan, known, "--network", err)
                           : error_set(err, STATUS_BAD_VALUE,
                                       "--network: layer %zu: expected a 'mode' of pooling", at);
        } else {
            status = plan_plain(groups->plan, kept, "--network", err);
        }
    }
    for (size_t i = 0; i < groups->n && status == STATUS_OK; i++)
        if (!groups->items[i].used)
            report_ignored(groups->plan->report, groups->items[i].prefix, "--network does not name it");
    return status;
}

enum status state_dict_plan(const struct source *source, const struct options *options,
                            const struct json *network, struct plan *plan, struct error *err)
{
    struct groups groups = {.source = source, .options = options, .plan = plan};
    enum status status = groups_make(&groups, err);
    if (status != STATUS_OK) return status;
    if (network && json_kind(network) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_VALUE, "--network: expected an array of layers");
    plan->graph_is_known = network != NULL;
    return network ? plan_network(&groups, network, err) : plan_alone(&groups, options, err);
}
