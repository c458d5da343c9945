#include "models/readers/wired.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/readers/keras.h"
#include "models/readers/parts.h"
#include "models/text/sentence.h"

/* ------------------------------------------------------------------------------------------
 * Layers whose tensors a reader converts */

/* Keys that have no effect in a server. */
static const char *const idle[] = {"dropout", "batch_first", "padding_idx", "p"};

/* A key of the file must be what the tensors or the configuration say, because nothing else is imported. */
static enum status check_key(const struct told *told, const struct layer_key *key, size_t i,
                             const struct part *part, struct error *err)
{
    char found[80], expected[80];
    const char *shown = NULL;
    long value = told->spec->values[i];
    for (size_t k = 0; k < sizeof idle / sizeof *idle; k++)
        if (strcmp(key->name, idle[k]) == 0) return STATUS_OK;
    for (size_t k = 0; k < part->n_keys; k++)
        if (strcmp(part->keys[k].name, key->name) == 0) shown = part->keys[k].json;
    switch (key->kind) {
    case KEY_SIZE:
        snprintf(found, sizeof found, "%ld", value);
        snprintf(expected, sizeof expected, "%ld", key->fallback);
        break;
    case KEY_BOOLEAN:
        snprintf(found, sizeof found, "%s", value ? "true" : "false");
        snprintf(expected, sizeof expected, "%s", key->fallback ? "true" : "false");
        break;
    case KEY_CHOICE:
        snprintf(found, sizeof found, "\"%s\"", key->choices[value]);
        snprintf(expected, sizeof expected, "\"%s\"", key->choices[key->fallback]);
        break;
    case KEY_REAL:
        snprintf(found, sizeof found, "%.9g", told->spec->numbers[i]);
        snprintf(expected, sizeof expected, "%.9g", key->real);
        break;
    case KEY_NUMBER: return STATUS_OK;
    }
    if (strcmp(found, shown ? shown : expected) == 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "%s is %s, but the file says %s of '%s'", key->name, found,
                     shown ? shown : expected, part->prefix);
}

static enum status check_keys(const struct told *told, const struct part *part, struct error *err)
{
    enum status status = STATUS_OK;
    const struct layer_key *keys = told->spec->type->keys;
    for (size_t i = 0; keys && keys[i].name && status == STATUS_OK; i++)
        if (told_has(told, keys[i].name)) status = check_key(told, &keys[i], i, part, err);
    return status;
}

static const char *const converted[] = {"embedding", "lstm",       "gru",        "rnn",
                                        "linear",    "batch_norm", "layer_norm", "conv1d"};

/* A layer whose tensors are found by its prefix, and turned into PyTorch's. */
static enum status add_converted(struct groups *groups, const struct told *told, struct error *err)
{
    const char *type = told->spec->type->name, *prefix = told->spec->prefix;
    char quoted[QUOTE_BYTES];
    struct group *group = groups_find(groups, prefix, strlen(prefix));
    sentence_quote(quoted, prefix, strlen(prefix));
    if (!group && strcmp(type, "layer_norm") == 0 && !told_integer(told, "elementwise_affine", 1)) {
        const struct norm_source source = {.epsilon = told_real(told, "eps", 1e-5), .from = "from --network"};
        const char *kept = pool_text(groups->plan->pool, prefix, strlen(prefix));
        return plan_norm(groups->plan, type, kept, "--network", &source, err);
    }
    if (!group)
        return error_set(err, STATUS_BAD_VALUE, "the file has no tensors under the prefix %s", quoted);
    group->used = true;
    if (groups->source->keras && keras_knows(groups->source->keras, prefix))
        return keras_add_named(groups->source->keras, prefix, type, groups->plan, err);
    bool is_matrix = group->kind == KIND_TABLE || group->kind == KIND_LINEAR;
    if (is_matrix && !group->bias) group->kind = strcmp(type, "embedding") ? KIND_LINEAR : KIND_TABLE;
    if (strcmp(group_type(group), type))
        return error_set(err, STATUS_BAD_VALUE, "%s is of type '%s', but its tensors are those of '%s'",
                         quoted, type, group_type(group));
    return parts_add(groups, group, told, err);
}

/* ------------------------------------------------------------------------------------------
 * Layers of all other types ask for their tensors by PyTorch's names */

struct finder {
    struct tensors base;
    struct groups *groups;
    const struct layer_spec *spec;
};

static enum status add_found(const struct finder *finder, const struct tensor *tensor, const char *name,
                             const size_t *shape, size_t rank, struct error *err)
{
    float *values;
    enum status status = tensor_floats(tensor, finder->groups->plan->pool, &values, err);
    const char *kept = pool_text(finder->groups->plan->pool, name, strlen(name));
    if (status == STATUS_OK && !kept) return pool_spent(err);
    return status == STATUS_OK ? plan_weight(finder->groups->plan, kept, shape, rank, values, err) : status;
}

/* Keras' AdditiveAttention has no matrices of its own: scale alone, and queries and keys as they are. */
static bool is_plain_additive(const struct finder *finder, const struct tensor *only, const char *name,
                              const size_t *shape, size_t rank)
{
    return strcmp(finder->spec->type->name, "attention") == 0 && rank == 2 && shape[0] == shape[1] &&
           (strcmp(name, "query.weight") == 0 || strcmp(name, "key.weight") == 0) && only->rank == 1 &&
           only->shape[0] == shape[0] && strrchr(only->name, '.') &&
           strcmp(strrchr(only->name, '.'), ".scale") == 0;
}

/* The only tensor of a layer of Keras, under any name; NULL. */
static const struct tensor *only_tensor(const struct finder *finder)
{
    const struct source *source = finder->groups->source;
    const struct tensor *found = NULL;
    size_t n = strlen(finder->spec->prefix);
    for (size_t i = 0; source->is_keras && i < source->n; i++) {
        const char *name = source->tensors[i].name, *dot = strrchr(name, '.');
        if (!dot || (size_t)(dot - name) != n || memcmp(name, finder->spec->prefix, n)) continue;
        if (found) return NULL;
        found = &source->tensors[i];
    }
    return found;
}

/* A layer of Keras that has one tensor, if a type wants one: a vector, whichever way it lies. */
static enum status find_keras(const struct finder *finder, const char *name, size_t rank, const size_t *shape,
                              bool *found, struct error *err)
{
    const struct tensor *only = only_tensor(finder);
    size_t n = 1, wide = 0;
    *found = false;
    for (size_t i = 0; i < rank; i++) n *= shape[i], wide += shape[i] > 1;
    if (!only) return STATUS_OK;
    if (is_plain_additive(finder, only, name, shape, rank)) {
        float *unit = pool_take(finder->groups->plan->pool, n, sizeof *unit);
        if (!unit) return pool_spent(err);
        for (size_t i = 0; i < shape[0]; i++) unit[i * shape[0] + i] = 1;
        *found = true;
        return plan_weight(finder->groups->plan, strcmp(name, "query.weight") ? "key.weight" : "query.weight",
                           shape, rank, unit, err);
    }
    size_t axes = 0;
    for (size_t i = 0; i < only->rank; i++) axes += only->shape[i] > 1;
    if (wide > 1 || axes > 1 || only->n_values != n) return STATUS_OK;
    *found = true;
    return add_found(finder, only, name, shape, rank, err);
}

static enum status find_tensor(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                               struct error *err)
{
    struct finder *finder = (struct finder *)self;
    const char *suffix = name + strlen(finder->spec->prefix) + 1;
    const struct tensor *tensor = source_find(finder->groups->source, name);
    char expected[SHAPE_BYTES], found[SHAPE_BYTES], quoted[QUOTE_BYTES];
    bool fits = tensor && tensor->rank == rank, done;
    for (size_t i = 0; fits && i < rank; i++) fits = tensor->shape[i] == shape[i];
    size_t bytes = strrchr(name, '.') ? (size_t)(strrchr(name, '.') - name) : 0;
    struct group *group = groups_find(finder->groups, name, bytes);
    if (!group) group = groups_find(finder->groups, finder->spec->prefix, strlen(finder->spec->prefix));
    if (group) group->used = true;
    if (fits) return add_found(finder, tensor, suffix, shape, rank, err);
    enum status status = find_keras(finder, suffix, rank, shape, &done, err);
    if (status != STATUS_OK || done) return status;
    sentence_quote(quoted, name, strlen(name));
    sentence_shape(expected, rank, shape);
    if (!tensor)
        return error_set(err, STATUS_NOT_FOUND,
                         "the file has no tensor %s %s; name the tensors so before you save them "
                         "(docs/bundle-format.md, Layers)", quoted, expected);
    return error_set(err, STATUS_BAD_SHAPE, "tensor %s has shape %s, expected %s", quoted,
                     sentence_shape(found, tensor->rank, tensor->shape), expected);
}

/* ------------------------------------------------------------------------------------------ */

/* Tell the plan how the next part hangs together with others; layers of this list begin at part `base`. */
static enum status wire(struct groups *groups, const struct told *told, size_t i, size_t base,
                        struct error *err)
{
    struct plan *plan = groups->plan;
    const struct json *name = json_get(told->entry, "name");
    bool recalls = strcmp(told->spec->type->name, "previous") == 0;
    plan->next.name = name ? pool_text(plan->pool, json_string(name), strlen(json_string(name))) : NULL;
    if (name && !plan->next.name) return pool_spent(err);
    plan->next.n_sources = told->spec->n_sources;
    for (size_t k = 0; k < told->spec->n_sources; k++) {
        int source = told->spec->sources[k];
        if (source != SOURCE_INPUT && (recalls ? (size_t)source <= i : (size_t)source >= i))
            return error_set(err, STATUS_BAD_VALUE,
                             "'inputs' names a layer that comes %s, expected one %s it",
                             recalls ? "before" : "after", recalls ? "behind" : "before");
        if (source == SOURCE_INPUT && recalls)
            return error_set(err, STATUS_BAD_VALUE, "'inputs' names what enters, expected a layer behind it");
        plan->next.sources[k] = source == SOURCE_INPUT ? SOURCE_INPUT : source + (int)base;
    }
    if (!recalls && !told->spec->type->joins && told->spec->n_sources > 1)
        return error_set(err, STATUS_BAD_VALUE, "'inputs' has %zu entries, expected one",
                         told->spec->n_sources);
    return STATUS_OK;
}

static enum status add_entry(struct groups *groups, const struct told *told, struct error *err)
{
    struct plan *plan = groups->plan;
    const char *type = told->spec->type->name;
    struct finder finder = {.base.check = find_tensor, .groups = groups, .spec = told->spec};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof converted / sizeof *converted; i++) {
        if (strcmp(type, converted[i])) continue;
        status = add_converted(groups, told, err);
        return status == STATUS_OK ? check_keys(told, &plan->parts[plan->n_parts - 1], err) : status;
    }
    if (strcmp(type, "pooling") == 0) {
        if (told_word(told, "mode")) return plan_pooling(plan, told_word(told, "mode"), "--network", err);
        return error_set(err, STATUS_BAD_VALUE, "expected a 'mode' of pooling");
    }
    if (strcmp(type, "flatten") == 0) {
        plan->window = (size_t)told_integer(told, "steps", 0);
        return plan_flatten(plan, "--network", err);
    }
    bool has_keys = told->spec->type->keys && told->spec->type->keys[0].name;
    if (strcmp(type, "one_hot") == 0) {
        size_t n = (size_t)told_integer(told, "num_classes", 0);
        if (n == 0) return error_set(err, STATUS_BAD_VALUE, "'num_classes' is missing");
        status = plan_plain(plan, type, "--network", err);
        if (status != STATUS_OK) return status;
        plan->parts[plan->n_parts - 1].in = plan->parts[plan->n_parts - 1].out = n;
        return plan_size(plan, "num_classes", n, "from --network", err);
    }
    if (strcmp(type, "dropout") == 0 || (!has_keys && !told->spec->type->joins))
        return plan_plain(plan, type, "--network", err);
    const char *origin = *told->spec->prefix
                             ? pool_print(plan->pool, "%s '%s' of --network", type, told->spec->prefix)
                             : pool_print(plan->pool, "%s of --network", type);
    return plan_other(plan, told->spec, told->entry, origin, &finder.base, err);
}

/* The sizes of layers that give what they read, if the first layers of a network are such. */
static void settle_widths(struct plan *plan, size_t base)
{
    size_t i = base;
    while (i < plan->n_parts && plan->parts[i].in == 0) i++;
    for (size_t k = base; k < i && i < plan->n_parts; k++)
        plan->parts[k].in = plan->parts[k].out = plan->parts[i].in;
}

static enum status add_list(struct groups *groups, const struct json *array, const char *what,
                            struct error *err)
{
    struct layer_spec *specs = NULL;
    size_t n = 0, i = 0, base = groups->plan->n_parts;
    enum status status = bundle_read_layers(array, true, &specs, &n, err);
    if (status != STATUS_OK) error_prefix(err, "--network%s", what);
    for (const struct json *entry = json_first(array); entry && i < n && status == STATUS_OK;
         entry = json_next(entry), i++) {
        const struct told told = {entry, &specs[i]};
        status = wire(groups, &told, i, base, err);
        if (status == STATUS_OK) status = add_entry(groups, &told, err);
        if (status == STATUS_OK && groups->source->keras)
            status = keras_expect_next(groups->source->keras, json_next(entry), groups->plan, err);
        if (status != STATUS_OK && !*err->param)
            error_prefix(err, "--network%s: layer %zu (%s)", what, i, specs[i].type->name);
    }
    if (status == STATUS_OK) settle_widths(groups->plan, base);
    memory_free(specs);
    return status;
}

enum status wired_plan(struct groups *groups, const struct json *network, struct error *err)
{
    const struct json *encoder = json_get(network, "encoder"), *decoder = json_get(network, "decoder");
    bool two = json_kind(encoder) == JSON_ARRAY && json_kind(decoder) == JSON_ARRAY;
    enum status status;
    if (json_kind(network) != JSON_ARRAY && !two)
        return error_set(
            err, STATUS_BAD_VALUE,
            "--network: expected an array of layers, or {\"encoder\": [...], \"decoder\": [...]}");
    status = add_list(groups, two ? encoder : network, two ? ": encoder" : "", err);
    if (status == STATUS_OK && two) {
        groups->plan->n_encoder = groups->plan->n_parts;
        status = add_list(groups, decoder, ": decoder", err);
    }
    for (size_t i = 0; i < groups->n && status == STATUS_OK; i++)
        if (!groups->items[i].used)
            report_ignored(groups->plan->report, groups->items[i].prefix, "--network does not name it");
    return status;
}
