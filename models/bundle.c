#include "models/bundle.h"

#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "models/bundle_forecast.h"
#include "models/folder.h"
#include "models/hash.h"
#include "models/json.h"
#include "models/sentence.h"

static const char CONFIG[] = "config.json";

#define TASK(symbol) (1u << TASK_##symbol)

static const char *const task_names[] = {
#define X(symbol, name, input) name,
#include "models/task.def"
#undef X
    NULL
};

static const char *const precision_names[] = {
#define X(symbol, name, bytes) name,
#include "core/precision.def"
#undef X
    NULL
};

const char *task_name(enum task task)
{
    assert((unsigned)task < N_TASKS);
    return task_names[task];
}

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

/* ------------------------------------------------------------------------------------------
 * The keys of config.json, and the tasks that each belongs to */

struct config {
    long format_version, task, precision;
    const char *description, *license, *training_data;
    const struct json *sha256, *network, *tokenizer, *features, *forecast, *labels, *generation;
};

enum {
    TEXT = TASK(TEXT_GENERATION) | TASK(TEXT_CLASSIFICATION),
    CLASSES = TASK(TEXT_CLASSIFICATION) | TASK(SEQUENCE_CLASSIFICATION),
};

static const struct field config_fields[] = {
    {.name = "format_version", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1, .required = true,
     .offset = offsetof(struct config, format_version)},
    {.name = "task", .kind = FIELD_CHOICE, .choices = task_names, .required = true,
     .offset = offsetof(struct config, task)},
    {.name = "precision", .kind = FIELD_CHOICE, .choices = precision_names,
     .offset = offsetof(struct config, precision)},
    {.name = "description", .kind = FIELD_STRING, .offset = offsetof(struct config, description)},
    {.name = "license", .kind = FIELD_STRING, .offset = offsetof(struct config, license)},
    {.name = "training_data", .kind = FIELD_STRING,
     .offset = offsetof(struct config, training_data)},
    {.name = "sha256", .kind = FIELD_ANY, .offset = offsetof(struct config, sha256)},
    {.name = "network", .kind = FIELD_ARRAY, .required = true,
     .offset = offsetof(struct config, network)},
    {.name = "tokenizer", .kind = FIELD_OBJECT, .offset = offsetof(struct config, tokenizer)},
    {.name = "features", .kind = FIELD_OBJECT, .offset = offsetof(struct config, features)},
    {.name = "forecast", .kind = FIELD_OBJECT, .offset = offsetof(struct config, forecast)},
    {.name = "labels", .kind = FIELD_ARRAY, .offset = offsetof(struct config, labels)},
    {.name = "generation", .kind = FIELD_OBJECT, .offset = offsetof(struct config, generation)},
};
enum { N_CONFIG_FIELDS = sizeof config_fields / sizeof *config_fields };

typedef enum status section_reader(const struct json *value, struct bundle *bundle,
                                   struct error *err);

static section_reader read_tokenizer, read_features, read_forecast, read_labels, read_generation;

/* The parts that only some tasks have. */
static const struct section {
    const char *name;
    size_t offset; /* in struct config */
    unsigned tasks, required;
    section_reader *read;
} sections[] = {
    {"tokenizer", offsetof(struct config, tokenizer), TEXT, TEXT, read_tokenizer},
    {"features", offsetof(struct config, features), TASK(SEQUENCE_CLASSIFICATION), 0,
     read_features},
    {"forecast", offsetof(struct config, forecast), TASK(FORECASTING), TASK(FORECASTING),
     read_forecast},
    {"labels", offsetof(struct config, labels), CLASSES, CLASSES, read_labels},
    {"generation", offsetof(struct config, generation), TASK(TEXT_GENERATION), 0,
     read_generation},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

/* ------------------------------------------------------------------------------------------
 * network: the keys of each entry come from its layer type */

/* Room for what a layer's keys may hold, each kind in its own C type. */
struct layer_keys {
    const char *type, *prefix;
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
    case KEY_NUMBER:
        field.kind = FIELD_NUMBER;
        field.offset = offsetof(struct layer_keys, numbers) + i * sizeof *keys->numbers;
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

static enum status read_layer_keys(const struct json *value, struct layer_spec *spec,
                                   struct error *err)
{
    struct layer_keys keys = {0};
    struct field fields[LAYER_MAX_KEYS + 2] = {
        {.name = "type", .kind = FIELD_STRING, .offset = offsetof(struct layer_keys, type)},
        {.name = "prefix", .kind = FIELD_STRING, .required = true,
         .offset = offsetof(struct layer_keys, prefix)},
    };
    size_t first = spec->type->has_prefix ? 2 : 1, n = 0;
    const struct layer_key *list = spec->type->keys;
    for (; list && list[n].name && n < LAYER_MAX_KEYS; n++)
        fields[first + n] = layer_field(&list[n], n, &keys);
    enum status status = json_read(value, fields, first + n, &keys, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++)
        spec->values[i] = list[i].kind == KEY_BOOLEAN  ? keys.booleans[i]
                          : list[i].kind == KEY_NUMBER ? 0
                                                       : keys.integers[i];
    return keys.prefix ? copy_prefix(keys.prefix, spec, err) : STATUS_OK;
}

static enum status unknown_type(const char *name, struct error *err)
{
    const char *names[64];
    char quoted[QUOTE_BYTES], hint[JSON_HINT_BYTES], list[256] = "";
    size_t n = 0, at = 0;
    for (const struct layer_type *const *type = layer_types(); *type && n < 64; type++) {
        names[n++] = (*type)->name;
        if (at < sizeof list)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", n > 1 ? ", " : "",
                                   (*type)->name);
    }
    json_hint(hint, name, names, n);
    return error_set(err, STATUS_BAD_VALUE, "unknown layer type %s, expected one of %s%s",
                     sentence_quote(quoted, name, strlen(name)), list, hint);
}

static const struct json *find_member(const struct json *object, const char *name)
{
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), name) == 0) return m;
    return NULL;
}

static enum status read_layer(const struct json *value, struct layer_spec *spec, struct error *err)
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
    return spec->type ? read_layer_keys(value, spec, err) : unknown_type(name, err);
}

static enum status read_network(const struct json *array, struct bundle *bundle, struct error *err)
{
    size_t n = json_count(array);
    if (n == 0 || n > BUNDLE_MAX_LAYERS)
        return error_set(err, STATUS_BAD_VALUE, "network: %zu layers, expected 1 to %d", n,
                         (int)BUNDLE_MAX_LAYERS);
    bundle->layers = memory_new(n, sizeof *bundle->layers);
    if (!bundle->layers) return no_memory(err);
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        struct layer_spec *spec = &bundle->layers[bundle->n_layers];
        enum status status = read_layer(v, spec, err);
        if (status != STATUS_OK) {
            if (spec->type) error_prefix(err, "network[%zu] (%s)", bundle->n_layers, spec->type->name);
            else error_prefix(err, "network[%zu]", bundle->n_layers);
            return status;
        }
        bundle->n_layers++;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * tokenizer */

struct tokenizer_keys {
    const char *type, *unk_token, *bos_token, *eos_token;
    const struct json *vocabulary;
    bool lowercase;
};

static const struct field tokenizer_fields[] = {
    {.name = "type", .kind = FIELD_STRING, .required = true,
     .offset = offsetof(struct tokenizer_keys, type)},
    {.name = "vocabulary", .kind = FIELD_ANY, .offset = offsetof(struct tokenizer_keys, vocabulary)},
    {.name = "unk_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, unk_token)},
    {.name = "bos_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, bos_token)},
    {.name = "eos_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, eos_token)},
    {.name = "lowercase", .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct tokenizer_keys, lowercase)},
};

static enum status reserve_vocabulary(struct bundle *bundle, size_t n, struct error *err)
{
    bundle->_vocabulary = memory_new(n, sizeof *bundle->_vocabulary);
    bundle->_vocabulary_bytes = memory_new(n, sizeof *bundle->_vocabulary_bytes);
    bundle->tokenizer.vocabulary = bundle->_vocabulary;
    bundle->tokenizer.vocabulary_bytes = bundle->_vocabulary_bytes;
    return bundle->_vocabulary && bundle->_vocabulary_bytes ? STATUS_OK : no_memory(err);
}

static void add_entry(struct bundle *bundle, const char *text, size_t bytes)
{
    size_t i = bundle->tokenizer.n_vocabulary++;
    bundle->_vocabulary[i] = text;
    bundle->_vocabulary_bytes[i] = bytes;
}

static enum status read_vocabulary_array(const struct json *array, struct bundle *bundle,
                                         struct error *err)
{
    enum status status = reserve_vocabulary(bundle, json_count(array), err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        char name[48];
        const char *text;
        snprintf(name, sizeof name, "vocabulary[%zu]", bundle->tokenizer.n_vocabulary);
        const struct field field = {.name = name, .kind = FIELD_STRING};
        status = json_read_value(v, &field, &text, err);
        if (status != STATUS_OK) return status;
        add_entry(bundle, text, strlen(text));
    }
    return STATUS_OK;
}

/* Lines end in \n; the last may end at the end of the file. */
static enum status split_lines(struct bundle *bundle, size_t bytes, struct error *err)
{
    const char *text = bundle->_vocabulary_text, *end = text + bytes;
    size_t n = bytes > 0 && end[-1] != '\n';
    for (const char *c = text; c < end; c++) n += *c == '\n';
    enum status status = reserve_vocabulary(bundle, n, err);
    if (status != STATUS_OK) return status;
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return error_set(err, STATUS_BAD_FORMAT, "begins with a byte order mark");
    for (const char *line = text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        size_t number = bundle->tokenizer.n_vocabulary + 1;
        if (length == 0) return error_set(err, STATUS_BAD_VALUE, "line %zu is empty", number);
        if (length > 1 && line[length - 1] == '\r')
            return error_set(err, STATUS_BAD_FORMAT,
                             "line %zu ends in a carriage return, expected \\n alone", number);
        add_entry(bundle, line, length);
        line += length + 1;
    }
    return STATUS_OK;
}

static enum status read_vocabulary_file(const char *name, struct bundle *bundle, struct error *err)
{
    size_t bytes;
    if (bundle->folder < 0)
        return error_set(err, STATUS_NOT_FOUND, "vocabulary: there is no folder to read it from");
    enum status status = folder_read_file(bundle->folder, name, BUNDLE_MAX_VOCABULARY,
                                          &bundle->_vocabulary_text, &bytes, err);
    if (status != STATUS_OK) {
        error_prefix(err, "vocabulary");
        return status;
    }
    bundle->vocabulary_file = name;
    status = split_lines(bundle, bytes, err);
    if (status != STATUS_OK) error_prefix(err, "vocabulary: '%s'", name);
    return status;
}

static enum status read_vocabulary(const struct json *value, struct bundle *bundle,
                                   struct error *err)
{
    char found[JSON_DESCRIPTION_BYTES];
    if (json_kind(value) == JSON_ARRAY) return read_vocabulary_array(value, bundle, err);
    if (json_kind(value) == JSON_STRING)
        return read_vocabulary_file(json_string(value), bundle, err);
    return error_set(err, STATUS_BAD_VALUE,
                     "'vocabulary' is %s, expected an array of strings or the name of a file",
                     json_describe(found, value));
}

static enum status read_tokenizer(const struct json *value, struct bundle *bundle,
                                  struct error *err)
{
    struct tokenizer_keys keys = {0};
    enum status status = json_read(value, tokenizer_fields, 6, &keys, err);
    if (status != STATUS_OK) return status;
    bundle->has_tokenizer = true;
    bundle->tokenizer.type = keys.type;
    bundle->tokenizer.unk_token = keys.unk_token;
    bundle->tokenizer.bos_token = keys.bos_token;
    bundle->tokenizer.eos_token = keys.eos_token;
    bundle->tokenizer.lowercase = keys.lowercase;
    return keys.vocabulary ? read_vocabulary(keys.vocabulary, bundle, err) : STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * features, labels, generation, forecast */

static enum status read_numbers(const struct json *value, const struct field *field,
                                struct bundle_numbers *out, struct error *err)
{
    bool is_array = json_kind(value) == JSON_ARRAY;
    size_t n = is_array ? json_count(value) : 1;
    if (n == 0) return error_set(err, STATUS_BAD_VALUE, "%s is empty", field->name);
    out->values = memory_new(n, sizeof *out->values);
    if (!out->values) return no_memory(err);
    if (!is_array) value = json_read_value(value, field, out->values, err) ? NULL : value;
    else
        for (const struct json *v = json_first(value); v; v = json_next(v))
            if (json_read_value(v, field, &out->values[out->n++], err)) return STATUS_BAD_VALUE;
    out->n = n;
    return value ? STATUS_OK : STATUS_BAD_VALUE;
}

static enum status read_features(const struct json *value, struct bundle *bundle, struct error *err)
{
    struct { const struct json *mean, *scale; } keys = {NULL, NULL};
    const struct field fields[] = {
        {.name = "mean", .kind = FIELD_ANY, .offset = 0},
        {.name = "scale", .kind = FIELD_ANY, .offset = sizeof keys.mean},
    };
    const struct field mean = {.name = "mean", .kind = FIELD_NUMBER, .minimum = -FLT_MAX,
                               .maximum = FLT_MAX};
    const struct field scale = {.name = "scale", .kind = FIELD_NUMBER, .minimum = FLT_MIN,
                                .maximum = FLT_MAX};
    enum status status = json_read(value, fields, 2, &keys, err);
    if (status == STATUS_OK && keys.mean) status = read_numbers(keys.mean, &mean, &bundle->mean, err);
    if (status == STATUS_OK && keys.scale)
        status = read_numbers(keys.scale, &scale, &bundle->scale, err);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status check_distinct(const char *const *texts, size_t n, struct error *err)
{
    char quoted[QUOTE_BYTES];
    enum status status = STATUS_OK;
    const char **sorted = memory_new(n, sizeof *sorted);
    if (!sorted) return no_memory(err);
    memcpy((void *)sorted, (const void *)texts, n * sizeof *sorted);
    qsort((void *)sorted, n, sizeof *sorted, by_text);
    for (size_t i = 1; i < n && status == STATUS_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = error_set(err, STATUS_BAD_VALUE, "%s is there twice",
                               sentence_quote(quoted, sorted[i], strlen(sorted[i])));
    memory_free((void *)sorted);
    return status;
}

static enum status read_labels(const struct json *array, struct bundle *bundle, struct error *err)
{
    size_t n = json_count(array);
    if (n == 0 || n > BUNDLE_MAX_LABELS)
        return error_set(err, STATUS_BAD_VALUE, "%zu labels, expected 1 to %d", n,
                         (int)BUNDLE_MAX_LABELS);
    bundle->labels = memory_new(n, sizeof *bundle->labels);
    if (!bundle->labels) return no_memory(err);
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        char name[32];
        snprintf(name, sizeof name, "[%zu]", bundle->n_labels);
        const struct field field = {.name = name, .kind = FIELD_STRING};
        enum status status = json_read_value(v, &field, &bundle->labels[bundle->n_labels++], err);
        if (status != STATUS_OK) return status;
    }
    return check_distinct(bundle->labels, n, err);
}

#define GENERATION(field) .name = #field, .offset = offsetof(struct generation_defaults, field)

static const struct field generation_fields[] = {
    {GENERATION(temperature), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 100},
    {GENERATION(top_p), .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1},
    {GENERATION(top_k), .kind = FIELD_INTEGER, .minimum = 0, .maximum = 1 << 20},
    {GENERATION(min_p), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 1},
    {GENERATION(repetition_penalty), .kind = FIELD_NUMBER, .above = true, .minimum = 0,
     .maximum = 100},
    {GENERATION(max_tokens), .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1 << 20},
};

static enum status read_generation(const struct json *value, struct bundle *bundle,
                                   struct error *err)
{
    return json_read(value, generation_fields, sizeof generation_fields / sizeof *generation_fields,
                     &bundle->generation, err);
}

static enum status read_forecast(const struct json *value, struct bundle *bundle, struct error *err)
{
    return bundle_read_forecast(value, &bundle->forecast, &bundle->seasonality, err);
}

/* ------------------------------------------------------------------------------------------ */

static enum status read_section(const struct section *section, const struct config *config,
                                struct bundle *bundle, struct error *err)
{
    unsigned task = 1u << bundle->task;
    const struct json *value;
    memcpy(&value, (const char *)config + section->offset, sizeof value);
    if (!value && section->required & task)
        return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, task '%s' needs it",
                         section->name, task_name(bundle->task));
    if (!value) return STATUS_OK;
    if (!(section->tasks & task))
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in a bundle of task '%s'",
                         section->name, task_name(bundle->task));
    enum status status = section->read(value, bundle, err);
    if (status != STATUS_OK) error_prefix(err, "%s", section->name);
    return status;
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

static enum status read_config(struct bundle *bundle, struct error *err)
{
    struct config config = {
        .precision = PRECISION_AUTO, .description = "", .license = "", .training_data = ""};
    if (json_kind(bundle->_document) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_FORMAT, "expected an object");
    enum status status = json_read(bundle->_document, config_fields, N_CONFIG_FIELDS, &config, err);
    if (status != STATUS_OK) return status;
    bundle->task = (enum task)config.task;
    bundle->precision = (enum precision)config.precision;
    bundle->description = config.description;
    bundle->license = config.license;
    bundle->training_data = config.training_data;
    if (config.sha256) status = read_sha256(config.sha256, bundle, err);
    if (status == STATUS_OK) status = read_network(config.network, bundle, err);
    for (size_t i = 0; i < N_SECTIONS && status == STATUS_OK; i++)
        status = read_section(&sections[i], &config, bundle, err);
    return status;
}

static struct bundle *bundle_new(int folder)
{
    struct bundle *bundle = memory_new(1, sizeof *bundle);
    if (!bundle) {
        if (folder >= 0) close(folder);
        return NULL;
    }
    bundle->folder = folder;
    bundle->generation = (struct generation_defaults){
        .temperature = 1, .top_p = 1, .min_p = 0, .repetition_penalty = 1, .top_k = 0,
        .max_tokens = 256};
    return bundle;
}

enum status bundle_read(const char *config, size_t bytes, int folder, struct bundle **out,
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
    int folder;
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
    else close(folder);
    memory_free(text);
    return status;
}

void bundle_close(struct bundle *bundle)
{
    if (!bundle) return;
    if (bundle->folder >= 0) close(bundle->folder);
    memory_free(bundle->layers);
    memory_free((void *)bundle->labels);
    memory_free(bundle->mean.values);
    memory_free(bundle->scale.values);
    memory_free((void *)bundle->_vocabulary);
    memory_free(bundle->_vocabulary_bytes);
    memory_free(bundle->_vocabulary_text);
    json_free(bundle->_document);
    memory_free(bundle);
}
