/* Weights of Keras by the names of their layers, for --network. */
#include <stdio.h>
#include <string.h>

#include "models/readers/keras_model.h"
#include "models/readers/source.h"
#include "models/text/sentence.h"

enum { PATH_BYTES = 1024, MAX_VARIABLES = 8 };

struct keras_models {
    struct keras keras;
    struct json *config;  /* NULL: weights alone */
    const char *expected; /* the activation of the layer that was added last; NULL: none */
};

/* ------------------------------------------------------------------------------------------
 * Tensors */

static enum status add_tensor(struct keras *keras, struct source *source, const struct hdf5_object *object,
                              const char *layer, const char *variable, bool reverse, struct error *err)
{
    struct tensor tensor = {0};
    char quoted[QUOTE_BYTES];
    enum status status = hdf5_tensor(&keras->hdf5, object, &tensor, err);
    if (status != STATUS_OK) return status;
    tensor.name = pool_print(source->pool, "%s.%s%s", layer, variable, reverse ? "_reverse" : "");
    if (!tensor.name) return pool_spent(err);
    if (source_find(source, tensor.name))
        return error_set(err, STATUS_UNSUPPORTED,
                         "there are several layers with a tensor %s, so their names do not tell them apart",
                         sentence_quote(quoted, tensor.name, strlen(tensor.name)));
    return source_add(source, &tensor, err);
}

/* What the variables of one layer are, which Keras 3 numbers: by their ranks. Names of no meaning are of a
 * layer that import does not know. */
static const char *variable_name(const char *folder, const struct tensor *all, size_t n, bool is_cell,
                                 size_t i)
{
    static const char *const cell[] = {"kernel", "recurrent_kernel", "bias"};
    static const char *const norm[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    static const char *const none[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    size_t n_vectors = 0;
    if (n == 1 && strncmp(folder, "embedding", 9) == 0) return "embeddings";
    for (size_t k = 0; k < n; k++) n_vectors += all[k].rank == 1;
    if (n <= 3 && (is_cell || (n >= 2 && all[1].rank == 2))) return cell[i];
    if (n <= 2 && all[0].rank >= 2 && n_vectors == n - 1) return i ? "bias" : "kernel";
    if (n == 1 && n_vectors == 1) return "scale";
    if ((n == 2 || n == 4) && n_vectors == n) return norm[i];
    return none[i];
}

/* The layer's own name, which newer files keep as an attribute; else the configuration's, else the folder's.
 */
static enum status layer_name(struct keras_models *models, const char *root, const char *folder,
                              const char **out, struct error *err)
{
    struct keras *keras = &models->keras;
    char path[PATH_BYTES], own[KERAS_FOLDER_BYTES];
    const char **names = NULL;
    size_t n = SIZE_MAX;
    *out = folder;
    for (size_t i = 0; models->config && i < keras->n; i++) {
        keras_zip_folder(keras, i, own);
        if (strcmp(own, folder) == 0) *out = keras_name(keras->layers[i]);
    }
    if (snprintf(path, sizeof path, "%s%s/vars", root, folder) >= PATH_BYTES) return STATUS_OK;
    const struct hdf5_object *group = hdf5_find(&keras->hdf5, path);
    enum status status = group ? hdf5_texts(&keras->hdf5, group, "name", &names, &n, err) : STATUS_OK;
    if (status == STATUS_OK && n == 1) *out = names[0];
    return status;
}

/* The numbered variables of the group `path`, which ends in "/vars". */
static enum status add_numbered(struct keras_models *models, struct source *source, const char *path,
                                struct error *err)
{
    static const char *const roots[] = {"layers/", "_layer_checkpoint_dependencies/"};
    struct tensor all[MAX_VARIABLES];
    const struct hdf5_object *objects[MAX_VARIABLES];
    char whole[PATH_BYTES], root[PATH_BYTES] = "", folder[PATH_BYTES];
    const char *begin = NULL, *layer;
    size_t n = 0;
    for (size_t r = 0; r < 2; r++) /* of nested models the innermost */
        for (const char *at = path; (at = strstr(at, roots[r])); at += strlen(roots[r]))
            if (!begin || at + strlen(roots[r]) > begin) begin = at + strlen(roots[r]);
    if (!begin || strstr(path, "seed_generator") || strlen(path) >= PATH_BYTES - 8) return STATUS_OK;
    snprintf(root, sizeof root, "%.*s", (int)(begin - path), path);
    snprintf(folder, sizeof folder, "%.*s", (int)strcspn(begin, "/"), begin);
    for (; n < MAX_VARIABLES; n++) {
        snprintf(whole, sizeof whole, "%s/%zu", path, n);
        objects[n] = hdf5_find(&models->keras.hdf5, whole);
        if (!objects[n]) break;
        enum status status = hdf5_tensor(&models->keras.hdf5, objects[n], &all[n], err);
        if (status != STATUS_OK) return status;
    }
    if (n == 0) return STATUS_OK;
    enum status status = layer_name(models, root, folder, &layer, err);
    bool is_cell = strstr(begin, "/cell/vars") != NULL, reverse = strstr(begin, "/backward_layer/") != NULL;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = add_tensor(&models->keras, source, objects[i], layer,
                            variable_name(folder, all, n, is_cell, i), reverse, err);
    return status;
}

/* A weight that has a name, as in .h5 files: "lstm_1/lstm_1/lstm_cell/kernel:0". */
static enum status add_weight(struct keras_models *models, struct source *source,
                              const struct hdf5_object *object, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t first = strcspn(path, "/");
    if (!slash || strncmp(path, "optimizer", 9) == 0) return STATUS_OK;
    const char *layer = pool_text(source->pool, path, first);
    const char *variable = pool_text(source->pool, slash + 1, strcspn(slash + 1, ":"));
    if (!layer || !variable) return pool_spent(err);
    bool reverse = false;
    for (const char *at = path + first; (at = strchr(at, '/')) && at < slash; at++)
        reverse = reverse || (strncmp(at, "/backward_", 10) == 0 &&
                              (strncmp(at + 1, path, first) || at[1 + first] != '/'));
    return add_tensor(&models->keras, source, object, layer, variable, reverse, err);
}

static enum status add_all(struct keras_models *models, struct source *source, struct error *err)
{
    static const char root[] = "model_weights/";
    const struct hdf5 *hdf5 = &models->keras.hdf5;
    enum status status = STATUS_OK;
    bool numbered = false;
    for (size_t i = 0; i < hdf5->n_objects; i++)
        numbered = numbered || (!hdf5->objects[i].is_group && strstr(hdf5->objects[i].name, "/vars/"));
    source->is_old_keras = !numbered && models->keras.version < 3;
    for (size_t i = 0; i < hdf5->n_objects && status == STATUS_OK; i++) {
        const struct hdf5_object *object = &hdf5->objects[i];
        const char *path = object->name;
        size_t bytes = strlen(path);
        if (strncmp(path, root, sizeof root - 1) == 0) path += sizeof root - 1;
        if (numbered && object->is_group && bytes > 5 && strcmp(object->name + bytes - 5, "/vars") == 0)
            status = add_numbered(models, source, object->name, err);
        if (!numbered && !object->is_group) status = add_weight(models, source, object, path, err);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Files */

static enum status read_named(const uint8_t *file, size_t n, bool is_zip, struct source *source,
                              struct error *err)
{
    struct keras_models *models = pool_take(source->pool, 1, sizeof *models);
    struct plan *scratch = pool_take(source->pool, 1, sizeof *scratch); /* of the reader's report */
    const char *config = NULL;
    if (!models || !scratch) return pool_spent(err);
    scratch->pool = source->pool, scratch->report = source->report;
    models->keras.plan = scratch;
    source->is_keras = true;
    enum status status = is_zip ? keras_open_zip(&models->keras, file, n, &config, err)
                                : keras_open_h5(&models->keras, file, n, &config, err);
    if (status == STATUS_OK && config) {
        status = json_parse(config, strlen(config), &models->config, err);
        source->keras = models; /* so that it is released */
        if (status == STATUS_OK) status = keras_list_layers(&models->keras, models->config, false, err);
    }
    return status == STATUS_OK ? add_all(models, source, err) : status;
}

enum status keras_tensors_h5(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    return read_named(file, n, false, source, err);
}

enum status keras_tensors_zip(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    return read_named(file, n, true, source, err);
}

void keras_release(const struct keras_models *models)
{
    if (models) json_free(models->config);
}

/* ------------------------------------------------------------------------------------------
 * Layers, as their configuration says */

static size_t find_layer(const struct keras_models *models, const char *name)
{
    size_t i = 0;
    while (i < models->keras.n && strcmp(keras_name(models->keras.layers[i]), name)) i++;
    return i;
}

bool keras_knows(const struct keras_models *models, const char *name)
{
    return find_layer(models, name) < models->keras.n;
}

/* Take back what a layer of Keras adds behind its first part: --network has it as a layer of its own. */
static void cut_behind(struct plan *plan, size_t n_parts, size_t n_lines)
{
    struct report *report = plan->report;
    const char *type = plan->n_parts > n_parts + 1 ? plan->parts[n_parts + 1].type : NULL;
    for (size_t i = n_lines + 1; type && i < report->n; i++)
        if (report->lines[i].name && strcmp(report->lines[i].name, type) == 0) report->n = i;
    plan->n_parts = n_parts + 1;
}

enum status keras_add_named(struct keras_models *models, const char *name, const char *type,
                            struct plan *plan, struct error *err)
{
    const struct plan before = {.pools = plan->pools, .end = plan->end, .window = plan->window};
    size_t n = plan->n_parts, n_lines = plan->report->n;
    struct keras_layer layer;
    enum status status = keras_layer_at(&models->keras, find_layer(models, name), &layer, err);
    layer.is_named = true;
    layer.is_last = true; /* softmax is an end for it, wherever the layer stands */
    if (status == STATUS_OK) status = keras_add_layer(plan, &layer, err);
    if (status != STATUS_OK) return status;
    if (plan->n_parts == n || strcmp(plan->parts[n].type, type))
        return error_set(err, STATUS_BAD_VALUE, "'%s' is a %s in the file", name, layer.class);
    const char *behind = plan->n_parts > n + 1 ? plan->parts[n + 1].type : NULL;
    if (plan->end != before.end) behind = plan->end == END_SOFTMAX ? "softmax" : "sigmoid";
    models->expected = behind && strcmp(behind, "pooling") ? behind : NULL;
    cut_behind(plan, n, n_lines);
    plan->pools = before.pools, plan->end = before.end, plan->window = before.window;
    return STATUS_OK;
}

enum status keras_expect_next(struct keras_models *models, const struct json *next, struct plan *plan,
                              struct error *err)
{
    const char *expected = models->expected, *type = next ? keras_text(next, "type") : NULL;
    models->expected = NULL;
    if (!expected || (type && strcmp(type, expected) == 0)) return STATUS_OK;
    if (!next && strcmp(expected, "softmax") == 0) plan->end = END_SOFTMAX;
    else if (!next && strcmp(expected, "sigmoid") == 0) plan->end = END_SIGMOID;
    else
        return error_set_param(err, STATUS_BAD_VALUE, "network",
                               "--network: %s has the activation %s: {\"type\":\"%s\"} must follow it",
                               plan->parts[plan->n_parts - 1].origin, expected, expected);
    return STATUS_OK;
}
