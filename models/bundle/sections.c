/* sections: the "tokenizer" and the "features" of a config.json; docs/bundle-format.md. */
#include <float.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/text/folder.h"

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

/* ------------------------------------------------------------------------------------------
 * "tokenizer" */

struct tokenizer_keys {
    const char *type, *unk_token, *bos_token, *eos_token, *unknown, *filters;
    const struct json *vocabulary, *merges, *ngrams;
    const char *pad_token;
    long pad_length; /* 0 if left out */
    long pad_side;
    bool lowercase, accepts_token_ids;
};

static const char *const pad_sides[] = {"left", "right", NULL};

static const struct field tokenizer_fields[] = {
    {.name = "type", .kind = FIELD_STRING, .required = true,
     .offset = offsetof(struct tokenizer_keys, type)},
    {.name = "vocabulary", .kind = FIELD_ANY, .offset = offsetof(struct tokenizer_keys, vocabulary)},
    {.name = "merges", .kind = FIELD_ANY, .offset = offsetof(struct tokenizer_keys, merges)},
    {.name = "ngrams", .kind = FIELD_ANY, .offset = offsetof(struct tokenizer_keys, ngrams)},
    {.name = "unk_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, unk_token)},
    {.name = "bos_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, bos_token)},
    {.name = "eos_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, eos_token)},
    {.name = "lowercase", .kind = FIELD_BOOLEAN, .offset = offsetof(struct tokenizer_keys, lowercase)},
    {.name = "filters", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, filters)},
    {.name = "unknown", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, unknown)},
    {.name = "pad_token", .kind = FIELD_STRING, .offset = offsetof(struct tokenizer_keys, pad_token)},
    {.name = "pad_length", .kind = FIELD_INTEGER, .minimum = 1, .maximum = BUNDLE_MAX_PAD,
     .offset = offsetof(struct tokenizer_keys, pad_length)},
    {.name = "pad_side", .kind = FIELD_CHOICE, .choices = pad_sides,
     .offset = offsetof(struct tokenizer_keys, pad_side)},
    {.name = "accepts_token_ids", .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct tokenizer_keys, accepts_token_ids)},
};

static enum status reserve_list(struct bundle_list *list, size_t n, struct error *err)
{
    list->entries = memory_new(n, sizeof *list->entries);
    list->bytes = memory_new(n, sizeof *list->bytes);
    return list->entries && list->bytes ? STATUS_OK : no_memory(err);
}

static void add_entry(struct bundle_list *list, const char *text, size_t bytes)
{
    list->entries[list->n] = text;
    list->bytes[list->n++] = bytes;
}

static enum status read_array(const struct json *array, const char *key, struct bundle_list *list,
                              struct error *err)
{
    enum status status = reserve_list(list, json_count(array), err);
    if (status != STATUS_OK) return status;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        char name[48];
        const char *text;
        snprintf(name, sizeof name, "%s[%zu]", key, list->n);
        const struct field field = {.name = name, .kind = FIELD_STRING};
        status = json_read_value(v, &field, &text, err);
        if (status != STATUS_OK) return status;
        add_entry(list, text, strlen(text));
    }
    return STATUS_OK;
}

/* Lines end in \n; the last may end at the end of the file. */
static enum status split_lines(struct bundle_list *list, size_t bytes, struct error *err)
{
    const char *text = list->_text, *end = text + bytes;
    size_t n = bytes > 0 && end[-1] != '\n';
    for (const char *c = text; c < end; c++) n += *c == '\n';
    enum status status = reserve_list(list, n, err);
    if (status != STATUS_OK) return status;
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return error_set(err, STATUS_BAD_FORMAT, "begins with a byte order mark");
    for (const char *line = text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line), number = list->n + 1;
        if (length == 0) return error_set(err, STATUS_BAD_VALUE, "line %zu is empty", number);
        if (length > 1 && line[length - 1] == '\r')
            return error_set(err, STATUS_BAD_FORMAT,
                             "line %zu ends in a carriage return, expected \\n alone", number);
        add_entry(list, line, length);
        line += length + 1;
    }
    return STATUS_OK;
}

static enum status read_file(const char *name, const char *key, const struct folder *folder,
                             struct bundle_list *list, struct error *err)
{
    size_t bytes;
    if (!folder) return error_set(err, STATUS_NOT_FOUND, "%s: there is no folder to read it from", key);
    enum status status = folder_read_file(folder, name, BUNDLE_MAX_VOCABULARY, &list->_text, &bytes, err);
    if (status != STATUS_OK) {
        error_prefix(err, "%s", key);
        return status;
    }
    list->file = name;
    status = split_lines(list, bytes, err);
    if (status != STATUS_OK) error_prefix(err, "%s: '%s'", key, name);
    return status;
}

static enum status read_list(const struct json *value, const char *key, const struct folder *folder,
                             struct bundle_list *list, struct error *err)
{
    char found[JSON_DESCRIPTION_BYTES];
    if (!value) return STATUS_OK;
    if (json_kind(value) == JSON_ARRAY) return read_array(value, key, list, err);
    if (json_kind(value) == JSON_STRING) return read_file(json_string(value), key, folder, list, err);
    return error_set(err, STATUS_BAD_VALUE, "'%s' is %s, expected an array of strings or the name of a file",
                     key, json_describe(found, value));
}

/* A number N: n-grams of 1 to N tokens; or an array of their lengths. */
static enum status read_ngrams(const struct json *value, struct tokenizer_spec *spec, struct error *err)
{
    const struct field field = {.name = "ngrams", .kind = FIELD_INTEGER, .minimum = 1,
                                .maximum = TOKENIZER_MAX_NGRAM};
    bool listed = value && json_kind(value) == JSON_ARRAY;
    long length = 0;
    if (!value) return STATUS_OK;
    if (listed && (json_count(value) < 1 || json_count(value) > TOKENIZER_MAX_NGRAM))
        return error_set(err, STATUS_BAD_VALUE, "'ngrams' has %zu entries, expected 1 to %d",
                         json_count(value), (int)TOKENIZER_MAX_NGRAM);
    for (const struct json *v = listed ? json_first(value) : value; v; v = listed ? json_next(v) : NULL) {
        enum status status = json_read_value(v, &field, &length, err);
        if (status != STATUS_OK) return status;
        spec->ngrams[spec->n_ngrams++] = (size_t)length;
    }
    if (listed) return STATUS_OK;
    for (spec->n_ngrams = 0; spec->n_ngrams < (size_t)length; spec->n_ngrams++)
        spec->ngrams[spec->n_ngrams] = spec->n_ngrams + 1;
    return STATUS_OK;
}

static enum status read_keys(const struct json *value, const struct folder *folder,
                             struct bundle_tokenizer *t, struct error *err)
{
    struct tokenizer_keys keys = {0};
    const size_t n_fields = sizeof tokenizer_fields / sizeof *tokenizer_fields;
    enum status status = json_read(value, tokenizer_fields, n_fields, &keys, err);
    if (status != STATUS_OK) return status;
    t->is_given = true;
    status = read_list(keys.vocabulary, "vocabulary", folder, &t->vocabulary, err);
    if (status == STATUS_OK) status = read_list(keys.merges, "merges", folder, &t->merges, err);
    t->spec = (struct tokenizer_spec){
        .type = keys.type, .vocabulary = t->vocabulary.entries, .vocabulary_bytes = t->vocabulary.bytes,
        .n_vocabulary = t->vocabulary.n, .merges = t->merges.entries, .merges_bytes = t->merges.bytes,
        .n_merges = t->merges.n, .unk_token = keys.unk_token, .bos_token = keys.bos_token,
        .eos_token = keys.eos_token, .lowercase = keys.lowercase, .unknown = keys.unknown,
        .filters = keys.filters, .accepts_token_ids = keys.accepts_token_ids, .pad_token = keys.pad_token,
        .pad_length = (size_t)keys.pad_length, .pads_right = keys.pad_side != 0};
    if (status == STATUS_OK) status = read_ngrams(keys.ngrams, &t->spec, err);
    if (status == STATUS_OK && !keys.pad_token != !keys.pad_length)
        return error_set(err, STATUS_BAD_VALUE, "'%s' is there without '%s', expected both or neither",
                         keys.pad_token ? "pad_token" : "pad_length",
                         keys.pad_token ? "pad_length" : "pad_token");
    if (status == STATUS_OK && keys.pad_side && !keys.pad_length)
        return error_set(err, STATUS_BAD_VALUE, "'pad_side' is there without 'pad_length'");
    return status;
}

static enum status read_tokenizer(const struct json *value, struct bundle *bundle, struct error *err)
{
    enum status status = read_keys(value, bundle->folder, &bundle->tokenizer, err);
    const struct tokenizer_spec *spec = &bundle->tokenizer.spec;
    bool pads = spec->pad_length && !bundle->task->may_pad,
         grams = spec->n_ngrams && !bundle->task->may_ngram;
    if (status != STATUS_OK || !(pads || grams)) return status;
    return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in task '%s'", pads ? "pad_length" : "ngrams",
                     bundle->task->name);
}

static enum status read_target(const struct json *value, struct bundle *bundle, struct error *err)
{
    enum status status = read_keys(value, bundle->folder, &bundle->target, err);
    const struct tokenizer_spec *spec = &bundle->target.spec;
    if (status != STATUS_OK || !(spec->pad_length || spec->n_ngrams)) return status;
    return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in a target",
                     spec->pad_length ? "pad_length" : "ngrams");
}

const struct section section_tokenizer = {"tokenizer", FIELD_OBJECT, read_tokenizer},
                     section_target_tokenizer = {"target_tokenizer", FIELD_OBJECT, read_target};

/* ------------------------------------------------------------------------------------------
 * "features" */

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

enum features_type { FEATURES_ROWS, FEATURES_PICTURE };
static const char *const feature_types[] = {"rows", "picture", NULL};

/* What the section holds besides mean and scale. */
struct features_keys {
    const struct json *mean, *scale;
    long type;
    struct picture_spec picture;
};

/* The keys of a front end; the first two are of every type. */
static const struct field features_fields[] = {
#define PICTURE(member) offsetof(struct features_keys, picture.member)
    {.name = "mean", .kind = FIELD_ANY, .offset = offsetof(struct features_keys, mean)},
    {.name = "scale", .kind = FIELD_ANY, .offset = offsetof(struct features_keys, scale)},
    {.name = "type", .kind = FIELD_CHOICE, .choices = feature_types,
     .offset = offsetof(struct features_keys, type)},
    {.name = "width", .kind = FIELD_INTEGER, .minimum = 1, .maximum = PICTURE_MAX_SIDE,
     .offset = PICTURE(width)},
    {.name = "height", .kind = FIELD_INTEGER, .minimum = 1, .maximum = PICTURE_MAX_SIDE,
     .offset = PICTURE(height)},
    {.name = "patch", .kind = FIELD_INTEGER, .minimum = 1, .maximum = PICTURE_MAX_SIDE,
     .offset = PICTURE(patch)},
    {.name = "channels", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 3, .offset = PICTURE(channels)},
    {.name = "frames", .kind = FIELD_INTEGER, .minimum = 1, .maximum = PICTURE_MAX_FRAMES,
     .offset = PICTURE(frames)},
    {.name = "fit", .kind = FIELD_CHOICE, .choices = picture_fit_names, .offset = PICTURE(fit)},
    {.name = "coordinates", .kind = FIELD_BOOLEAN, .offset = PICTURE(coordinates)},
#undef PICTURE
};
static enum status check_picture(const struct features_keys *keys, struct error *err)
{
    const struct picture_spec *p = &keys->picture;
    bool is_picture = keys->type == FEATURES_PICTURE;
    if (!is_picture && (p->width || p->height || p->patch || p->frames || p->fit || p->coordinates))
        return error_set(err, STATUS_BAD_VALUE,
                         "the keys of a picture are there, but 'type' is not; expected "
                         "\"type\": \"picture\"");
    if (!is_picture) return STATUS_OK;
    if (!p->width || !p->height)
        return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, type 'picture' needs it",
                         p->width ? "height" : "width");
    return picture_check(p, err);
}

/* Whether the section describes a front end of models/features/features.def. */
static bool names_front(const struct json *value)
{
    for (const struct json *member = json_first(value); member; member = json_next(member)) {
        if (strcmp(json_key(member), "type") || json_kind(member) != JSON_STRING) continue;
        for (size_t i = 0; feature_types[i]; i++)
            if (!strcmp(json_string(member), feature_types[i])) return false;
        return true;
    }
    return false;
}

static enum status read_features(const struct json *value, struct bundle *bundle, struct error *err)
{
    if (names_front(value)) { /* models/bundle/model.c makes it */
        bundle->front = value;
        return STATUS_OK;
    }
    struct features_keys keys = {.picture.channels = 3};
    const struct field mean = {.name = "mean", .kind = FIELD_NUMBER, .minimum = -DBL_MAX,
                               .maximum = DBL_MAX};
    const struct field scale = {.name = "scale", .kind = FIELD_NUMBER, .minimum = DBL_MIN,
                                .maximum = DBL_MAX};
    const size_t n_all = sizeof features_fields / sizeof *features_fields;
    enum status status = json_read(value, features_fields, n_all, &keys, err);
    if (status == STATUS_OK && keys.mean) status = read_numbers(keys.mean, &mean, &bundle->mean, err);
    if (status == STATUS_OK && keys.scale)
        status = read_numbers(keys.scale, &scale, &bundle->scale, err);
    if (status == STATUS_OK) status = check_picture(&keys, err);
    if (status == STATUS_OK && keys.type == FEATURES_PICTURE) bundle->picture = keys.picture;
    return status;
}

const struct section section_features = {"features", FIELD_OBJECT, read_features};
