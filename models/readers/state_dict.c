#include "models/readers/state_dict.h"

#include <stdio.h>
#include <string.h>

#include "models/readers/wired.h"
#include "models/readers/parts.h"

enum { NAME_BYTES = 160 };

/* ------------------------------------------------------------------------------------------
 * The order by itself, docs/bring-your-own-model.md */

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

static enum status add_pooling(struct groups *groups, const struct options *options, struct error *err)
{
    const char *mode = options->pooling ? plan_pooling_mode(options->pooling) : NULL;
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
            return parts_refuse(groups, group, err);
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
    if (groups->source->is_keras)
        return groups_need_network(groups, err,
                                   "the file holds weights without the model, as save_weights() writes");
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
        status = parts_add(groups, group, NULL, err);
        if (status == STATUS_OK && group_is_recurrent(group) && --recurrent_left == 0)
            status = add_pooling(groups, options, err);
        const char *next = i + 1 < groups->n && groups->source->is_ordered ? groups->items[i + 1].prefix : "";
        if (status == STATUS_OK && sequential_of(groups->source, group->prefix))
            status = add_between(groups, group->prefix, next, err);
    }
    return status;
}

enum status state_dict_plan(const struct source *source, const struct options *options,
                            const struct json *network, struct plan *plan, struct error *err)
{
    struct groups groups = {.source = source, .options = options, .plan = plan};
    enum status status = groups_make(&groups, err);
    if (status != STATUS_OK) return status;
    plan->graph_is_known = network != NULL;
    return network ? wired_plan(&groups, network, err) : plan_alone(&groups, options, err);
}
