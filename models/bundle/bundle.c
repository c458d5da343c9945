#include "models/bundle/bundle.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/sources.h"
#include "models/text/folder.h"
#include "models/text/hash.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

static const char CONFIG[] = "config.json";

static const char *const precision_names[] = {
#define X(symbol, name, weight_bytes, code_bytes) name,
#include "core/kernels/precision.def"
    NULL
};

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

/* ------------------------------------------------------------------------------------------
 * The keys of config.json: those of every bundle, and the sections that only some tasks have */

enum { MAX_SECTIONS = 32 };

struct config {
    long format_version, task, precision;
    const char *description, *license, *training_data;
    const struct json *sha256, *network;
    const struct section *sections[MAX_SECTIONS]; /* [n_sections] of all tasks */
    const struct json *values[MAX_SECTIONS];      /* [n_sections] NULL if left out */
    size_t n_sections;
};

static const struct field config_fields[] = {
    {.name = "format_version", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1, .required = true,
     .offset = offsetof(struct config, format_version)},
    {.name = "task", .kind = FIELD_CHOICE, .required = true, .offset = offsetof(struct config, task)},
    {.name = "precision", .kind = FIELD_CHOICE, .choices = precision_names,
     .offset = offsetof(struct config, precision)},
    {.name = "description", .kind = FIELD_STRING, .offset = offsetof(struct config, description)},
    {.name = "license", .kind = FIELD_STRING, .offset = offsetof(struct config, license)},
    {.name = "training_data", .kind = FIELD_STRING,
     .offset = offsetof(struct config, training_data)},
    {.name = "sha256", .kind = FIELD_ANY, .offset = offsetof(struct config, sha256)},
    {.name = "network", .kind = FIELD_ANY, .required = true,
     .offset = offsetof(struct config, network)},
};
enum { N_CONFIG_FIELDS = sizeof config_fields / sizeof *config_fields };

/* ------------------------------------------------------------------------------------------
 * network: the keys of each entry come from its layer type */

/* Room for what a layer's keys may hold, each kind in its own C type. */
struct layer_keys {
    const char *type, *prefix;
    const struct json *wiring; /* "name" and "inputs", which sources_read reads */
    long integers[LAYER_MAX_KEYS];
    bool booleans[LAYER_MAX_KEYS];
    double numbers[LAYER_MAX_KEYS];
};

static struct field layer_field(const struct layer_key *key, size_t i, struct layer_keys *keys)
{
    struct field field = {.name = key->name, .required = key->required,
                          .minimum = (double)key->minimum, .maximum = (double)key->maximum,
                          .choices = key->choices};
    switch (key->kind) {
    case KEY_SIZE:
    case KEY_CHOICE:
        field.kind = key->kind == KEY_SIZE ? FIELD_INTEGER : FIELD_CHOICE;
        field.offset = offsetof(struct layer_keys, integers) + i * sizeof *keys->integers;
        keys->integers[i] = key->fallback;
        break;
    case KEY_BOOLEAN:
        field.kind = FIELD_BOOLEAN;
        field.offset = offsetof(struct layer_keys, booleans) + i * sizeof *keys->booleans;
        keys->booleans[i] = key->fallback != 0;
        break;
    case KEY_REAL:
    case KEY_NUMBER:
        field.kind = FIELD_NUMBER;
        field.offset = offsetof(struct layer_keys, numbers) + i * sizeof *keys->numbers;
        keys->numbers[i] = key->real;
        if (key->minimum >= key->maximum) field.minimum = -DBL_MAX, field.maximum = DBL_MAX;
        break;
    }
    return field;
}

static enum status copy_prefix(const char *prefix, struct layer_spec *spec, struct error *err)
{
    size_t bytes = strlen(prefix);
    if (bytes >= sizeof spec->prefix)
        return error_set(err, STATUS_BAD_VALUE, "'prefix' has %zu bytes, expected at most %zu",
                         bytes, sizeof spec->prefix - 1);
    char quoted[QUOTE_BYTES];
    if (!sentence_is_plain(prefix, bytes)) /* it ends in the names of tensors, and they in sentences */
        return error_set(err, STATUS_BAD_VALUE, "'prefix' is %s, expected characters that can be shown",
                         sentence_quote(quoted, prefix, bytes));
    memcpy(spec->prefix, prefix, bytes + 1);
    return STATUS_OK;
}

static enum status read_layer_keys(const struct json *value, bool partial, struct layer_spec *spec,
                                   struct error *err)
{
    struct layer_keys keys = {0};
    struct field fields[LAYER_MAX_KEYS + 4] = {
        {.name = "type", .kind = FIELD_STRING, .offset = offsetof(struct layer_keys, type)},
        {.name = "name", .kind = FIELD_ANY, .offset = offsetof(struct layer_keys, wiring)},
        {.name = "inputs", .kind = FIELD_ANY, .offset = offsetof(struct layer_keys, wiring)},
        {.name = "prefix", .kind = FIELD_STRING, .required = true,
         .offset = offsetof(struct layer_keys, prefix)},
    };
    size_t first = spec->type->has_prefix ? 4 : 3, n = 0;
    const struct layer_key *list = spec->type->keys;
    for (; list && list[n].name && n < LAYER_MAX_KEYS; n++) {
        fields[first + n] = layer_field(&list[n], n, &keys);
        if (partial) fields[first + n].required = false;
    }
    enum status status = json_read(value, fields, first + n, &keys, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++)
        switch (list[i].kind) {
        case KEY_BOOLEAN: spec->values[i] = keys.booleans[i]; break;
        case KEY_REAL: spec->numbers[i] = keys.numbers[i]; break;
        case KEY_NUMBER: break;
        case KEY_SIZE:
        case KEY_CHOICE: spec->values[i] = keys.integers[i]; break;
        }
    return keys.prefix ? copy_prefix(keys.prefix, spec, err) : STATUS_OK;
}

static enum status unknown_type(const char *name, struct error *err)
{
    const char *names[64];
    char quoted[QUOTE_BYTES], hint[JSON_HINT_BYTES], list[1024] = "";
    size_t n = 0, at = 0;
    for (const struct layer_type *const *type = layer_types(); *type && n < 64; type++) {
        names[n++] = (*type)->name;
        if (at < sizeof list)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", n > 1 ? ", " : "",
                                   (*type)->name);
    }
    json_hint(hint, name, names, n);
    sentence_quote(quoted, name, strlen(name));
    if (*hint) return error_set(err, STATUS_BAD_VALUE, "unknown layer type %s%s", quoted, hint);
    return error_set(err, STATUS_BAD_VALUE, "unknown layer type %s, expected one of %s", quoted, list);
}

static const struct json *find_member(const struct json *object, const char *name)
{
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), name) == 0) return m;
    return NULL;
}

static enum status read_layer(const struct json *value, bool partial, struct layer_spec *spec,
                              struct error *err)
{
    if (json_kind(value) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_VALUE, "expected an object");
    const struct json *type = find_member(value, "type");
    if (!type) return error_set(err, STATUS_BAD_VALUE, "'type' is missing");
    const struct field text = {.name = "'type'", .kind = FIELD_STRING};
    const char *name;
    enum status status = json_read_value(type, &text, &name, err);
    if (status != STATUS_OK) return status;
    spec->type = layer_type_find(name);
    return spec->type ? read_layer_keys(value, partial, spec, err) : unknown_type(name, err);
}

enum status bundle_read_layers(const struct json *array, bool partial, struct layer_spec **layers,
                               size_t *n_layers, struct error *err)
{
    size_t n = json_count(array);
    if (n == 0 || n > BUNDLE_MAX_LAYERS)
        return error_set(err, STATUS_BAD_VALUE, "network: %zu layers, expected 1 to %d", n,
                         (int)BUNDLE_MAX_LAYERS);
    *layers = memory_new(n, sizeof **layers);
    if (!*layers) return no_memory(err);
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        struct layer_spec *spec = &(*layers)[*n_layers];
        enum status status = read_layer(v, partial, spec, err);
        if (status != STATUS_OK) {
            if (spec->type) error_prefix(err, "network[%zu] (%s)", *n_layers, spec->type->name);
            else error_prefix(err, "network[%zu]", *n_layers);
            return status;
        }
        ++*n_layers;
    }
    return sources_read(array, *layers, *n_layers, err);
}

static const struct field coder_fields[] = {
    {.name = "encoder", .kind = FIELD_ARRAY, .required = true, .offset = 0},
    {.name = "decoder", .kind = FIELD_ARRAY, .required = true, .offset = sizeof(const struct json *)},
};

/* A list of layers; of a task with two networks, an object of two lists. */
static enum status read_network(const struct json *value, struct bundle *bundle, struct error *err)
{
    const struct json *lists[2] = {value, NULL};
    const struct task *task = bundle->task;
    char found[JSON_DESCRIPTION_BYTES];
    if (json_kind(value) != (task->has_decoder ? JSON_OBJECT : JSON_ARRAY))
        return error_set(err, STATUS_BAD_VALUE, "'network' is %s, expected %s for task '%s'",
                         json_describe(found, value),
                         task->has_decoder ? "an object of 'encoder' and 'decoder'" : "an array of layers",
                         task->name);
    enum status status = task->has_decoder ? json_read(value, coder_fields, 2, lists, err) : STATUS_OK;
    if (status != STATUS_OK) error_prefix(err, "network");
    if (status == STATUS_OK) {
        status = bundle_read_layers(lists[0], false, &bundle->layers, &bundle->n_layers, err);
        if (status != STATUS_OK && task->has_decoder) error_prefix(err, "encoder");
    }
    if (status == STATUS_OK && lists[1]) {
        status = bundle_read_layers(lists[1], false, &bundle->decoder, &bundle->n_decoder, err);
        if (status != STATUS_OK) error_prefix(err, "decoder");
    }
    return status;
}

/* ------------------------------------------------------------------------------------------ */

/* The value of one section, or NULL if it is left out. */
static enum status read_section(const struct section *section, const struct json *value,
                                struct bundle *bundle, struct error *err)
{
    const struct task *task = bundle->task;
    bool required = false, belongs = task_reads(task, section);
    for (size_t i = 0; i < TASK_SECTIONS; i++)
        if (task->sections[i].section == section) required = task->sections[i].required;
    if (!value && required)
        return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, task '%s' needs it", section->name,
                         task->name);
    if (!value) return STATUS_OK;
    if (!belongs)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in a bundle of task '%s'", section->name,
                         task->name);
    enum status status = section->read(value, bundle, err);
    if (status != STATUS_OK) error_prefix(err, "%s", section->name);
    return status;
}

static enum status make_spec(struct bundle *bundle, struct error *err)
{
    const struct task *task = bundle->task;
    bundle->activation = (enum activation)task->activation;
    if (task->spec_bytes == 0) return STATUS_OK;
    bundle->spec = memory_new(1, task->spec_bytes);
    if (!bundle->spec) return no_memory(err);
    if (task->defaults) task->defaults(bundle->spec);
    return STATUS_OK;
}

static enum status read_sha256(const struct json *value, struct bundle *bundle, struct error *err)
{
    char found[JSON_DESCRIPTION_BYTES], length[40] = "";
    const char *text = json_kind(value) == JSON_STRING ? json_string(value) : NULL;
    size_t n = text ? strlen(text) : 0;
    if (n == HASH_HEX_BYTES - 1 && strspn(text, "0123456789abcdef") == n)
        return bundle->sha256 = text, STATUS_OK;
    if (text) snprintf(length, sizeof length, " of %zu bytes", n);
    return error_set(
        err, STATUS_BAD_VALUE,
        "'sha256' is %s%s, expected %d digits of 0-9 and a-f, as sha256sum prints them for model.safetensors",
        json_describe(found, value), length, HASH_HEX_BYTES - 1);
}

/* Read the object by the fixed fields and one field a section. */
static enum status read_keys(const struct json *object, struct config *config, struct error *err)
{
    const char *names[N_TASKS + 1] = {NULL};
    struct field fields[N_CONFIG_FIELDS + MAX_SECTIONS];
    size_t n = 0;
    for (size_t i = 0; i < N_TASKS; i++) names[i] = task_of((enum task_id)i)->name;
    for (; n < N_CONFIG_FIELDS; n++) {
        fields[n] = config_fields[n];
        if (fields[n].offset == offsetof(struct config, task)) fields[n].choices = names;
    }
    for (size_t i = 0; i < config->n_sections; i++)
        fields[n++] = (struct field){
            .name = config->sections[i]->name, .kind = config->sections[i]->kind,
            .offset = offsetof(struct config, values) + i * sizeof *config->values};
    return json_read(object, fields, n, config, err);
}

static enum status read_config(struct bundle *bundle, struct error *err)
{
    struct config config = {
        .precision = PRECISION_AUTO, .description = "", .license = "", .training_data = ""};
    if (json_kind(bundle->_document) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_FORMAT, "expected an object");
    config.n_sections = task_sections(config.sections, MAX_SECTIONS);
    enum status status = read_keys(bundle->_document, &config, err);
    if (status != STATUS_OK) return status;
    bundle->task = task_of((enum task_id)config.task);
    bundle->precision = (enum precision)config.precision;
    bundle->description = config.description;
    bundle->license = config.license;
    bundle->training_data = config.training_data;
    if (config.sha256) status = read_sha256(config.sha256, bundle, err);
    if (status == STATUS_OK) status = read_network(config.network, bundle, err);
    if (status == STATUS_OK) status = make_spec(bundle, err);
    for (size_t i = 0; i < config.n_sections && status == STATUS_OK; i++)
        status = read_section(config.sections[i], config.values[i], bundle, err);
    return status;
}

static struct bundle *bundle_new(struct folder *folder)
{
    struct bundle *bundle = memory_new(1, sizeof *bundle);
    if (!bundle) {
        folder_close(folder);
        return NULL;
    }
    bundle->folder = folder;
    return bundle;
}

enum status bundle_read(const char *config, size_t bytes, struct folder *folder, struct bundle **out,
                        struct error *err)
{
    struct bundle *bundle = bundle_new(folder);
    if (!bundle) return no_memory(err);
    enum status status = json_parse(config, bytes, &bundle->_document, err);
    if (status == STATUS_OK) status = read_config(bundle, err);
    if (status == STATUS_OK) {
        *out = bundle;
        return status;
    }
    error_prefix(err, "%s", CONFIG);
    bundle_close(bundle);
    return status;
}

enum status bundle_open(const char *path, struct bundle **out, struct error *err)
{
    struct folder *folder;
    char *text = NULL;
    size_t bytes;
    enum status status = folder_open(path, &folder, err);
    if (status != STATUS_OK) return status;
    status = folder_read_file(folder, CONFIG, BUNDLE_MAX_CONFIG, &text, &bytes, err);
    if (status == STATUS_NOT_FOUND)
        error_set(
            err, status,
            "'%s' is missing; a bundle is a folder that holds config.json, model.safetensors and golden.json",
            CONFIG);
    if (status == STATUS_OK) status = bundle_read(text, bytes, folder, out, err);
    else folder_close(folder);
    memory_free(text);
    return status;
}

static void free_list(struct bundle_list *list)
{
    memory_free((void *)list->entries);
    memory_free(list->bytes);
    memory_free(list->_text);
}

void bundle_close(struct bundle *bundle)
{
    if (!bundle) return;
    folder_close(bundle->folder);
    memory_free(bundle->layers);
    memory_free(bundle->decoder);
    memory_free((void *)bundle->labels);
    memory_free(bundle->spec);
    memory_free(bundle->mean.values);
    memory_free(bundle->scale.values);
    free_list(&bundle->tokenizer.vocabulary);
    free_list(&bundle->tokenizer.merges);
    free_list(&bundle->target.vocabulary);
    free_list(&bundle->target.merges);
    json_free(bundle->_document);
    memory_free(bundle);
}
