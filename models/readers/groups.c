#include "models/readers/groups.h"

#include <stdio.h>
#include <string.h>

#include "models/text/sentence.h"

enum { MAX_GROUPS = 1024, NAME_BYTES = 160, DRAFT_BYTES = 240 };

/* The types of config.json. */
static const char *const types[] = {[KIND_OTHER] = "unknown",
                                    [KIND_TABLE] = "embedding",
                                    [KIND_LINEAR] = "linear",
                                    [KIND_LSTM] = "lstm",
                                    [KIND_GRU] = "gru",
                                    [KIND_RNN] = "rnn",
                                    [KIND_BATCH_NORM] = "batch_norm",
                                    [KIND_LAYER_NORM] = "layer_norm",
                                    [KIND_CONV1D] = "conv1d",
                                    [KIND_EMPTY] = "empty"};

const char *group_type(const struct group *group)
{
    return types[group->kind];
}

enum status groups_need_network(const struct groups *groups, struct error *err, const char *why)
{
    char draft[DRAFT_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < groups->n; i++) {
        const struct group *group = &groups->items[i];
        bool plain = sentence_is_plain(group->prefix, strlen(group->prefix)) && !strchr(group->prefix, '"');
        if (group->kind == KIND_OTHER || !plain) continue;
        int bytes = snprintf(draft + n, sizeof draft - n, "%s{\"type\":\"%s\",\"prefix\":\"%s\"}",
                             n ? "," : "", group_type(group), group->prefix);
        if (bytes < 0 || (size_t)bytes >= sizeof draft - n) {
            draft[n] = '\0';
            break;
        }
        n += (size_t)bytes;
    }
    return error_set_param(err, STATUS_BAD_VALUE, "network",
                           "%s; write the layers in the order of forward() into a JSON file, with "
                           "{\"type\":\"relu\"} and {\"type\":\"pooling\",\"mode\":\"last\"} where it has "
                           "them, and give it by --network FILE; this file has [%s]",
                           why, draft);
}

/* ------------------------------------------------------------------------------------------
 * Groups */

const struct tensor *group_member(const struct groups *groups, const struct group *group, const char *suffix)
{
    char name[NAME_BYTES];
    int bytes = snprintf(name, sizeof name, "%s%s%s", group->prefix, *group->prefix ? "." : "", suffix);
    return bytes < NAME_BYTES ? source_find(groups->source, name) : NULL;
}

const struct tensor *group_gates(const struct groups *groups, const struct group *group,
                                        const char *name, size_t layer, const char *end)
{
    char suffix[NAME_BYTES];
    snprintf(suffix, sizeof suffix, "%s_l%zu%s", name, layer, end);
    const struct tensor *found = group_member(groups, group, suffix);
    return found || layer || *end ? found : group_member(groups, group, name);
}

static enum kind recurrent_kind(const struct groups *groups, const struct group *group)
{
    const struct tensor *w = group_gates(groups, group, "weight_hh", 0, "");
    if (!w || w->rank != 2 || w->shape[1] == 0) return KIND_OTHER;
    if (group_gates(groups, group, "weight_hr", 0, "")) return KIND_LSTM;
    size_t gates = w->shape[0] / w->shape[1];
    if (w->shape[0] % w->shape[1]) return KIND_OTHER;
    return gates == 4 ? KIND_LSTM : gates == 3 ? KIND_GRU : gates == 1 ? KIND_RNN : KIND_OTHER;
}

/* Layers under Keras' names, as a script dumps them: kernel [in, out], recurrent_kernel [H, gates * H]. */
static void classify_keras(const struct groups *groups, struct group *group)
{
    const struct tensor *kernel = group_member(groups, group, "kernel");
    const struct tensor *recurrent = group_member(groups, group, "recurrent_kernel");
    const struct tensor *table = group_member(groups, group, "embeddings");
    const struct tensor *gamma = group_member(groups, group, "gamma");
    group->transposed = true;
    if (table && table->rank == 2) {
        group->kind = KIND_TABLE, group->weight = table;
        group->in = table->shape[1], group->out = table->shape[0];
    }
    if (gamma || group_member(groups, group, "moving_mean")) {
        group->kind = group_member(groups, group, "moving_mean") ? KIND_BATCH_NORM : KIND_LAYER_NORM;
        group->weight = gamma, group->bias = group_member(groups, group, "beta");
    }
    if (kernel && kernel->rank == 3) group->kind = KIND_CONV1D, group->weight = kernel;
    if (!kernel || kernel->rank != 2) return;
    group->in = kernel->shape[0], group->out = kernel->shape[1];
    if (!recurrent) {
        group->kind = KIND_LINEAR, group->weight = kernel;
        return;
    }
    if (recurrent->rank != 2 || recurrent->shape[0] == 0) return;
    group->hidden = group->out = recurrent->shape[0];
    size_t gates = recurrent->shape[1] / group->hidden;
    if (recurrent->shape[1] % group->hidden) return;
    if (group_member(groups, group, "kernel_reverse")) group->out *= 2;
    group->kind = gates == 4 ? KIND_LSTM : gates == 3 ? KIND_GRU : gates == 1 ? KIND_RNN : KIND_OTHER;
}

static void classify(const struct groups *groups, struct group *group)
{
    const struct tensor *w = group->weight = group_member(groups, group, "weight");
    group->bias = group_member(groups, group, "bias");
    if (group_gates(groups, group, "weight_ih", 0, "")) {
        const struct tensor *in = group_gates(groups, group, "weight_ih", 0, "");
        const struct tensor *hh = group_gates(groups, group, "weight_hh", 0, "");
        group->kind = recurrent_kind(groups, group);
        group->in = in->rank == 2 ? in->shape[1] : 0;
        group->out = hh && hh->rank == 2 ? hh->shape[1] : 0;
        if (group_gates(groups, group, "weight_ih", 0, "_reverse")) group->out *= 2;
    } else if (group_member(groups, group, "running_mean")) {
        group->kind = KIND_BATCH_NORM;
    } else if (!w) {
        classify_keras(groups, group);
    } else if (w->rank == 2) {
        group->kind = group->bias ? KIND_LINEAR : KIND_TABLE;
        group->in = w->shape[1], group->out = w->shape[0];
    } else if (w->rank == 1) {
        group->kind = KIND_LAYER_NORM;
    } else if (w->rank == 3) {
        group->kind = KIND_CONV1D;
        group->in = w->shape[1], group->out = w->shape[0];
    }
}

bool group_is_recurrent(const struct group *group)
{
    return group->kind == KIND_LSTM || group->kind == KIND_GRU || group->kind == KIND_RNN;
}

struct group *groups_find(const struct groups *groups, const char *prefix, size_t bytes)
{
    for (size_t i = 0; i < groups->n; i++)
        if (strlen(groups->items[i].prefix) == bytes && memcmp(groups->items[i].prefix, prefix, bytes) == 0)
            return &groups->items[i];
    return NULL;
}

/* Tensors that forward() does not compute with: counters, and the weights of a loss. */
static bool is_no_layer(const struct groups *groups, const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot && strcmp(dot, ".num_batches_tracked") == 0) return true;
    const char *why = strcmp(name, "n_averaged") == 0                           ? "a counter of AveragedModel"
                      : strstr(name, "loss.weight") || strstr(name, "criterion.") ? "weights of a loss"
                                                                                : NULL;
    if (why) report_ignored(groups->plan->report, name, why);
    return why != NULL;
}

/* Whether the group may be the table of a file without an order: a recurrent layer reads as many numbers as
 * it has columns, and no other layer gives them. If one does, the name decides. */
static bool feeds_first(const struct groups *groups, const struct group *table)
{
    for (size_t i = 0; i < groups->n; i++) { /* a matrix with a bias shares its bytes: tied weights */
        const struct group *group = &groups->items[i];
        if (group->bias && group->weight && group->weight->data == table->weight->data) return true;
    }
    bool reads = false, fed = false;
    for (size_t i = 0; i < groups->n; i++) {
        const struct group *group = &groups->items[i];
        reads = reads || (group_is_recurrent(group) && group->in == table->in);
        fed = fed || (group_is_recurrent(group) && group->out == table->in);
    }
    return reads && (!fed || strstr(table->prefix, "emb") || strstr(table->prefix, "Emb"));
}

/* A table of ids has as many columns as the layer behind it reads; a matrix has as many rows. */
static void tell_tables(struct groups *groups)
{
    for (size_t i = 0; i < groups->n; i++) {
        struct group *group = &groups->items[i];
        if (group->kind != KIND_TABLE) continue;
        const struct module *module = source_module(groups->source, group->prefix);
        bool reads_ids = i == 0 && groups->n > 1;
        if (!groups->source->is_ordered) reads_ids = feeds_first(groups, group);
        if (groups->source->is_ordered && reads_ids) reads_ids = groups->items[1].in == group->in;
        if (module) reads_ids = strstr(module->class, "Embedding") != NULL;
        if (!reads_ids) group->kind = KIND_LINEAR;
    }
}

enum status groups_make(struct groups *groups, struct error *err)
{
    const struct source *source = groups->source;
    groups->items = pool_take(source->pool, MAX_GROUPS, sizeof *groups->items);
    if (!groups->items) return pool_spent(err);
    for (size_t i = 0; i < source->n; i++) {
        const char *name = source->tensors[i].name, *dot = strrchr(name, '.');
        size_t bytes = dot ? (size_t)(dot - name) : 0;
        if (is_no_layer(groups, name)) continue;
        if (groups_find(groups, name, bytes)) continue;
        if (groups->n == MAX_GROUPS)
            return error_set(err, STATUS_TOO_LONG, "more than %d modules", (int)MAX_GROUPS);
        struct group *group = &groups->items[groups->n++];
        group->prefix = pool_text(source->pool, name, bytes);
        group->first = name;
        if (!group->prefix) return pool_spent(err);
        classify(groups, group);
    }
    tell_tables(groups);
    return STATUS_OK;
}
