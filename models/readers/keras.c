#include "models/readers/keras.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/formats/zip.h"
#include "models/readers/keras_model.h"
#include "models/text/sentence.h"

enum { PATH_BYTES = 1024, MAX_CONFIG = 1 << 24, SOURCES_DEPTH = 12 };

const char *keras_class(const struct json *layer)
{
    const char *class = keras_text(layer, "class_name");
    return class ? class : "";
}

const char *keras_name(const struct json *layer)
{
    const char *name = keras_text(keras_member(layer, "config"), "name");
    if (!name) name = keras_text(layer, "name");
    return name ? name : "";
}

/* ------------------------------------------------------------------------------------------
 * The graph */

/* The names of the layers that a value of inbound_nodes comes from: of Keras 3 the first element of each
 * keras_history, of Keras 1 and 2 the first element of each [name, node, tensor, ...]. */
struct sources {
    const char *name;
    size_t n;
};

static void find_sources(const struct json *value, size_t depth, struct sources *out)
{
    if (depth == 0 || (json_kind(value) != JSON_ARRAY && json_kind(value) != JSON_OBJECT)) return;
    const struct json *history =
        json_kind(value) == JSON_OBJECT ? keras_member(value, "keras_history") : value;
    const struct json *first = history && json_kind(history) == JSON_ARRAY ? json_first(history) : NULL;
    const struct json *second = first ? json_next(first) : NULL;
    if (first && second && json_kind(first) == JSON_STRING && json_kind(second) == JSON_NUMBER) {
        out->name = json_string(first);
        out->n++;
        return;
    }
    for (const struct json *m = json_first(value); m; m = json_next(m))
        if (json_kind(value) == JSON_ARRAY || strcmp(json_key(m), "mask")) find_sources(m, depth - 1, out);
}

static enum status refuse_graph(const struct json *layer, const char *what, struct error *err)
{
    char name[QUOTE_BYTES];
    return error_set(
        err, STATUS_UNSUPPORTED,
        "Keras' %.60s %s %s, and only a chain of layers is followed; write the layers, with their "
        "inputs, into a JSON file and give it by --network FILE",
        keras_class(layer), sentence_quote(name, keras_name(layer), strlen(keras_name(layer))), what);
}

/* Follow the chain from its input. */
static enum status order_graph(struct keras *keras, const struct json *layers, struct error *err)
{
    const char *at = NULL;
    size_t n_all = json_count(layers), n_inputs = 0;
    if (n_all > KERAS_MAX_LAYERS)
        return error_set(err, STATUS_TOO_LONG, "more than %d layers", (int)KERAS_MAX_LAYERS);
    for (const struct json *layer = json_first(layers); layer; layer = json_next(layer)) {
        struct sources sources = {0};
        const struct json *nodes = keras_member(layer, "inbound_nodes");
        if (nodes) find_sources(nodes, SOURCES_DEPTH, &sources);
        if (sources.n > 1) return refuse_graph(layer, "has several inputs", err);
        if (sources.n == 1) continue;
        if (n_inputs++)
            return error_set(
                err, STATUS_UNSUPPORTED,
                "Keras' InputLayer '%.80s' is a second input, and a network has one; join the numbers "
                "of a step before it, or, of an encoder and a decoder, name both by --network FILE",
                keras_name(layer));
        keras->layers[keras->n++] = layer;
        at = keras_name(layer);
    }
    for (bool more = at != NULL; more;) {
        const struct json *next = NULL;
        for (const struct json *layer = json_first(layers); layer; layer = json_next(layer)) {
            struct sources sources = {0};
            const struct json *nodes = keras_member(layer, "inbound_nodes");
            if (nodes) find_sources(nodes, SOURCES_DEPTH, &sources);
            if (sources.n != 1 || strcmp(sources.name, at)) continue;
            if (next) return refuse_graph(layer, "branches off", err);
            next = layer;
        }
        if (next && keras->n == n_all) return refuse_graph(next, "is part of a circle", err);
        more = next != NULL;
        if (next) keras->layers[keras->n++] = next, at = keras_name(next);
    }
    if (keras->n != n_all)
        return error_set(err, STATUS_UNSUPPORTED, "the layers of the model are not one chain");
    return STATUS_OK;
}

enum status keras_list_layers(struct keras *keras, const struct json *model, bool as_chain, struct error *err)
{
    const struct json *config = keras_member(model, "config");
    const struct json *layers =
        config && json_kind(config) == JSON_ARRAY ? config : keras_member(config, "layers");
    if (!layers || json_kind(layers) != JSON_ARRAY)
        return error_set(err, STATUS_BAD_FORMAT, "the configuration of the model has no layers");
    if (as_chain && strcmp(keras_class(model), "Sequential")) return order_graph(keras, layers, err);
    for (const struct json *layer = json_first(layers); layer; layer = json_next(layer)) {
        if (keras->n == KERAS_MAX_LAYERS)
            return error_set(err, STATUS_TOO_LONG, "more than %d layers", (int)KERAS_MAX_LAYERS);
        keras->layers[keras->n++] = layer;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Weights */

static enum status add_weight(struct keras *keras, const char *path, struct keras_layer *layer,
                              struct error *err)
{
    const struct hdf5_object *object = hdf5_find(&keras->hdf5, path);
    struct tensor *tensor = pool_small(keras->plan->pool, sizeof *tensor);
    char quoted[QUOTE_BYTES];
    if (!tensor) return pool_spent(err);
    if (!object || object->is_group)
        return error_set(err, STATUS_BAD_FORMAT, "the weights %s are missing",
                         sentence_quote(quoted, path, strlen(path)));
    if (layer->n_weights == KERAS_MAX_WEIGHTS)
        return error_set(err, STATUS_UNSUPPORTED, "a layer of too many weights");
    enum status status = hdf5_tensor(&keras->hdf5, object, tensor, err);
    if (status == STATUS_OK) layer->weights[layer->n_weights++] = tensor;
    return status;
}

/* An .h5 file lists the weights of each layer in an attribute, and their paths begin at the layer's group. */
static enum status h5_weights(struct keras *keras, struct keras_layer *layer, struct error *err)
{
    char path[PATH_BYTES], whole[2 * PATH_BYTES];
    const char **names = NULL;
    size_t n = 0;
    if (snprintf(path, sizeof path, "%s/%s", keras->weights_root, layer->name) >= PATH_BYTES)
        return error_set(err, STATUS_TOO_LONG, "the name of a layer is too long");
    const struct hdf5_object *group = hdf5_find(&keras->hdf5, path);
    if (!group) return STATUS_OK; /* a layer without weights */
    enum status status = hdf5_texts(&keras->hdf5, group, "weight_names", &names, &n, err);
    for (size_t i = 0; status == STATUS_OK && n != SIZE_MAX && i < n; i++) {
        if (snprintf(whole, sizeof whole, "%s/%s", path, names[i]) >= 2 * PATH_BYTES)
            return error_set(err, STATUS_TOO_LONG, "the name of a weight is too long");
        status = add_weight(keras, whole, layer, err);
    }
    return status;
}

/* The class as the .keras format spells it: "TimeDistributed" is time_distributed. */
static void snake_case(const char *class, char out[64])
{
    size_t n = 0;
    for (size_t i = 0; class[i] && n < 62; i++) {
        bool upper = class[i] >= 'A' && class[i] <= 'Z';
        bool after = i && class[i - 1] >= 'a' && class[i - 1] <= 'z';
        bool before_lower = i && upper && class[i + 1] >= 'a' && class[i + 1] <= 'z';
        if (upper && (after || before_lower)) out[n++] = '_';
        out[n++] = upper ? (char)(class[i] - 'A' + 'a') : class[i];
    }
    out[n] = '\0';
}

/* Variables lie under "vars", numbered from 0. */
static enum status zip_variables(struct keras *keras, const char *folder, struct keras_layer *layer,
                                 struct error *err)
{
    char path[2 * PATH_BYTES];
    enum status status = STATUS_OK;
    for (size_t i = 0; i < KERAS_MAX_WEIGHTS && status == STATUS_OK; i++) {
        snprintf(path, sizeof path, "%s/vars/%zu", folder, i);
        if (!hdf5_find(&keras->hdf5, path)) break;
        status = add_weight(keras, path, layer, err);
    }
    return status;
}

void keras_zip_folder(const struct keras *keras, size_t at, char out[KERAS_FOLDER_BYTES])
{
    const char *class = keras_class(keras->layers[at]);
    size_t before = 0;
    char snake[64];
    for (size_t i = 0; i < at; i++) before += strcmp(keras_class(keras->layers[i]), class) == 0;
    snake_case(class, snake);
    if (before) snprintf(out, KERAS_FOLDER_BYTES, "%s_%zu", snake, before);
    else snprintf(out, KERAS_FOLDER_BYTES, "%s", snake);
}

/* A .keras file names weights by class, counted in the order of the layers, whatever the layers are called.
 */
static enum status zip_weights(struct keras *keras, size_t at, struct keras_layer *layer, struct error *err)
{
    static const char *const roots[] = {"layers", "_layer_checkpoint_dependencies"};
    static const char *const inside[] = {"", "/cell", "/forward_layer/cell", "/backward_layer/cell",
                                         "/layer"};
    char folder[KERAS_FOLDER_BYTES], path[PATH_BYTES];
    enum status status = STATUS_OK;
    keras_zip_folder(keras, at, folder);
    for (size_t r = 0; r < 2 && layer->n_weights == 0 && status == STATUS_OK; r++)
        for (size_t i = 0; i < sizeof inside / sizeof *inside && status == STATUS_OK; i++) {
            snprintf(path, sizeof path, "%s/%s%s", roots[r], folder, inside[i]);
            status = zip_variables(keras, path, layer, err);
        }
    return status;
}

/* ------------------------------------------------------------------------------------------ */

/* The number of steps of the input, if it is fixed. */
static void read_window(struct keras *keras, const struct json *config)
{
    static const char *const keys[] = {"batch_shape", "batch_input_shape"};
    for (size_t i = 0; i < 2; i++) {
        const struct json *shape = keras_member(config, keys[i]);
        const struct json *second = shape && json_kind(shape) == JSON_ARRAY && json_first(shape)
                                        ? json_next(json_first(shape))
                                        : NULL;
        if (second && json_kind(second) == JSON_NUMBER && json_number(second) >= 1 &&
            json_number(second) <= 1e6)
            keras->plan->window = (size_t)json_number(second);
    }
}

enum status keras_layer_at(struct keras *keras, size_t at, struct keras_layer *layer, struct error *err)
{
    const struct json *json = keras->layers[at];
    const struct json *config = keras_member(json, "config");
    *layer = (struct keras_layer){.class = keras_class(json), .config = config, .version = keras->version};
    const struct json *inner = keras_member(config, "layer");
    layer->name = pool_text(keras->plan->pool, keras_name(json), strlen(keras_name(json)));
    layer->class = pool_text(keras->plan->pool, layer->class, strlen(layer->class));
    if (!layer->name || !layer->class) return pool_spent(err);
    layer->inner = inner ? keras_member(inner, "config") : NULL;
    layer->inner_class = inner ? keras_class(inner) : NULL;
    layer->is_last = true;
    for (size_t i = at + 1; i < keras->n; i++)
        layer->is_last = layer->is_last && strstr(keras_class(keras->layers[i]), "Dropout") != NULL;
    if (strcmp(layer->class, "InputLayer") == 0) return STATUS_OK;
    return keras->is_zip ? zip_weights(keras, at, layer, err) : h5_weights(keras, layer, err);
}

static enum status add_layer(struct keras *keras, size_t at, struct error *err)
{
    struct keras_layer layer;
    enum status status = keras_layer_at(keras, at, &layer, err);
    read_window(keras, layer.config);
    if (status != STATUS_OK || strcmp(layer.class, "InputLayer") == 0) return status;
    return keras_add_layer(keras->plan, &layer, err);
}

static enum status read_model(struct keras *keras, const char *config, size_t bytes, struct error *err)
{
    struct json *model;
    enum status status = json_parse(config, bytes, &model, err);
    if (status != STATUS_OK) {
        error_prefix(err, "the configuration of the model");
        return status;
    }
    keras->plan->graph_is_known = true;
    keras->plan->end = END_RAW;
    status = keras_list_layers(keras, model, true, err);
    for (size_t i = 0; i < keras->n && status == STATUS_OK; i++) status = add_layer(keras, i, err);
    json_free(model);
    return status;
}

static int major_version(const char *text)
{
    return text && *text >= '1' && *text <= '3' ? *text - '0' : 0;
}

enum status keras_open_h5(struct keras *keras, const uint8_t *file, size_t n, const char **config,
                          struct error *err)
{
    const char **texts = NULL, **versions = NULL;
    size_t n_texts = 0, n_versions = 0;
    enum status status = hdf5_open(file, n, keras->plan->pool, &keras->hdf5, err);
    if (status != STATUS_OK) return status;
    const struct hdf5_object *root = hdf5_find(&keras->hdf5, "");
    keras->weights_root = "model_weights";
    status = hdf5_texts(&keras->hdf5, root, "model_config", &texts, &n_texts, err);
    if (status == STATUS_OK)
        status = hdf5_texts(&keras->hdf5, root, "keras_version", &versions, &n_versions, err);
    if (status != STATUS_OK) return status;
    *config = n_texts == 1 ? texts[0] : NULL;
    keras->version = n_versions == 1 ? major_version(versions[0]) : 1;
    if (!*config) return STATUS_OK;
    if (!keras->version)
        return error_set(err, STATUS_UNSUPPORTED, "a version of Keras that is not 1, 2 or 3");
    report_fact(keras->plan->report, "keras", n_versions == 1 ? versions[0] : "1", "from keras_version");
    return STATUS_OK;
}

enum status keras_open_zip(struct keras *keras, const uint8_t *file, size_t n, const char **config,
                           struct error *err)
{
    static const char *const names[] = {"model.weights.h5", "config.json", "metadata.json"};
    struct zip_entry *entries[3];
    struct zip zip;
    struct pool *pool = keras->plan->pool;
    struct json *metadata = NULL;
    keras->is_zip = true;
    enum status status = zip_open(file, n, pool, &zip, err);
    for (size_t i = 0; i < 3 && status == STATUS_OK; i++) {
        entries[i] = zip_find_exactly(&zip, names[i]);
        status = entries[i] ? zip_read(&zip, entries[i], pool, err)
                            : error_set(err, STATUS_BAD_FORMAT, "the .keras file has no %s", names[i]);
        if (status == STATUS_OK && i > 0 && entries[i]->bytes > MAX_CONFIG)
            status = error_set(err, STATUS_TOO_LONG, "%s is too long", names[i]);
    }
    if (status == STATUS_OK)
        status = hdf5_open(entries[0]->content, entries[0]->bytes, pool, &keras->hdf5, err);
    if (status != STATUS_OK) return status;
    *config = pool_text(pool, (const char *)entries[1]->content, (size_t)entries[1]->bytes);
    char *about = pool_text(pool, (const char *)entries[2]->content, (size_t)entries[2]->bytes);
    if (!*config || !about) return pool_spent(err);
    status = json_parse(about, (size_t)entries[2]->bytes, &metadata, err);
    if (status != STATUS_OK) return status;
    const char *version = keras_text(metadata, "keras_version");
    keras->version = major_version(version);
    report_fact(keras->plan->report, "keras", pool_print(pool, "%.20s", version ? version : ""),
                "from metadata.json");
    json_free(metadata);
    if (!keras->version)
        return error_set(err, STATUS_UNSUPPORTED, "a version of Keras that is not 1, 2 or 3");
    return STATUS_OK;
}

enum status keras_read_h5(const uint8_t *file, size_t n, struct plan *plan, struct error *err)
{
    struct keras *keras = pool_take(plan->pool, 1, sizeof *keras);
    const char *config = NULL;
    if (!keras) return pool_spent(err);
    keras->plan = plan;
    enum status status = keras_open_h5(keras, file, n, &config, err);
    if (status != STATUS_OK) return status;
    if (config) return read_model(keras, config, strlen(config), err);
    return error_set(err, STATUS_NOT_FOUND, "the file holds weights without the model");
}

enum status keras_read_zip(const uint8_t *file, size_t n, struct plan *plan, struct error *err)
{
    struct keras *keras = pool_take(plan->pool, 1, sizeof *keras);
    const char *config = NULL;
    if (!keras) return pool_spent(err);
    keras->plan = plan;
    enum status status = keras_open_zip(keras, file, n, &config, err);
    return status == STATUS_OK ? read_model(keras, config, strlen(config), err) : status;
}
