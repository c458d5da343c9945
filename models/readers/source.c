#include "models/readers/source.h"

#include <string.h>

#include "models/text/json.h"
#include "models/text/sentence.h"

enum { LENGTH_BYTES = 8, MAX_HEADER = 1 << 24 };

enum status source_add(struct source *source, const struct tensor *tensor, struct error *err)
{
    if (source->n == SOURCE_MAX_TENSORS)
        return error_set(err, STATUS_TOO_LONG, "more than %d tensors", (int)SOURCE_MAX_TENSORS);
    enum status status = pool_grow(source->pool, (void **)&source->tensors, source->n, &source->room,
                                   sizeof *source->tensors, err);
    if (status == STATUS_OK) source->tensors[source->n++] = *tensor;
    return status;
}

const struct tensor *source_find(const struct source *source, const char *name)
{
    for (size_t i = 0; i < source->n; i++)
        if (strcmp(source->tensors[i].name, name) == 0) return &source->tensors[i];
    return NULL;
}

const struct module *source_module(const struct source *source, const char *prefix)
{
    for (size_t i = 0; i < source->n_modules; i++)
        if (strcmp(source->modules[i].prefix, prefix) == 0) return &source->modules[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------------
 * safetensors (https://github.com/huggingface/safetensors): eight bytes, the length of a JSON header with
 * name -> {dtype, shape, data_offsets}, then the data. Wider than the server's own reader: every dtype that
 * holds floats, and tensors that no layer needs. */

static const struct {
    const char *name;
    enum number_type type;
} dtypes[] = {
    {"F32", NUMBER_F32}, {"F16", NUMBER_F16},   {"BF16", NUMBER_BF16}, {"F64", NUMBER_F64},
    {"I64", NUMBER_I64}, {"I32", NUMBER_I32},   {"I16", NUMBER_I16},   {"I8", NUMBER_I8},
    {"U8", NUMBER_U8},   {"BOOL", NUMBER_BOOL},
};

static bool member_text(const struct json *object, const char *key, const char **out)
{
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0 && json_kind(m) == JSON_STRING) {
            *out = json_string(m);
            return true;
        }
    return false;
}

/* At most `most` whole numbers of the array `key`; how many there are, or SIZE_MAX. */
static size_t member_sizes(const struct json *object, const char *key, size_t most, size_t *out)
{
    size_t n = 0;
    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        if (strcmp(json_key(m), key) || json_kind(m) != JSON_ARRAY) continue;
        for (const struct json *v = json_first(m); v; v = json_next(v)) {
            double x = json_kind(v) == JSON_NUMBER ? json_number(v) : -1;
            if (n == most || !(x >= 0) || x > 9e15) return SIZE_MAX;
            out[n++] = (size_t)x;
        }
        return n;
    }
    return SIZE_MAX;
}

static enum status read_entry(const struct json *entry, const uint8_t *data, size_t n_data,
                              struct source *source, struct error *err)
{
    const char *key = json_key(entry), *dtype = "";
    struct tensor tensor = {.name = pool_text(source->pool, key, strlen(key)), .type = N_NUMBER_TYPES};
    char quoted[QUOTE_BYTES];
    size_t offsets[2];
    if (!tensor.name) return pool_spent(err);
    sentence_quote(quoted, key, strlen(key));
    if (json_kind(entry) != JSON_OBJECT || !member_text(entry, "dtype", &dtype))
        return error_set(err, STATUS_BAD_FORMAT, "tensor %s has no dtype", quoted);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) tensor.type = dtypes[i].type;
    tensor.rank = member_sizes(entry, "shape", TENSOR_MAX_RANK, tensor.shape);
    if (tensor.type == N_NUMBER_TYPES || tensor.rank == SIZE_MAX)
        return error_set(err, STATUS_UNSUPPORTED, "tensor %s: its dtype or shape is not known", quoted);
    if (member_sizes(entry, "data_offsets", 2, offsets) != 2 || offsets[0] > offsets[1] ||
        offsets[1] > n_data)
        return error_set(err, STATUS_BAD_FORMAT, "tensor %s lies outside of the file", quoted);
    tensor_set_dense(&tensor);
    enum status status = tensor_make(&tensor, data + offsets[0], offsets[1] - offsets[0], 0, err);
    return status == STATUS_OK ? source_add(source, &tensor, err) : status;
}

/* Tensors that share their bytes are kept once; save_model() writes the other name beside the first. */
static enum status add_tied(const struct json *metadata, struct source *source, struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct json *m = json_first(metadata); m && status == STATUS_OK; m = json_next(m)) {
        const char *key = json_key(m);
        const struct tensor *same = json_kind(m) == JSON_STRING ? source_find(source, json_string(m)) : NULL;
        if (!same || source_find(source, key)) continue;
        struct tensor tied = *same;
        tied.name = pool_text(source->pool, key, strlen(key));
        status = tied.name ? source_add(source, &tied, err) : pool_spent(err);
    }
    return status;
}

enum status foreign_read(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    uint64_t length = 0;
    struct json *header;
    if (n < LENGTH_BYTES) return error_set(err, STATUS_BAD_FORMAT, "the file is too short");
    for (size_t i = LENGTH_BYTES; i-- > 0;) length = length << 8 | file[i];
    if (length > n - LENGTH_BYTES || length > MAX_HEADER)
        return error_set(err, STATUS_BAD_FORMAT,
                         "a header of %llu bytes in a file of %zu; the file is incomplete",
                         (unsigned long long)length, n);
    char *text = pool_text(source->pool, (const char *)file + LENGTH_BYTES, (size_t)length);
    if (!text) return pool_spent(err);
    enum status status = json_parse(text, (size_t)length, &header, err);
    if (status != STATUS_OK) return status;
    const uint8_t *data = file + LENGTH_BYTES + length;
    if (json_kind(header) != JSON_OBJECT)
        status = error_set(err, STATUS_BAD_FORMAT, "the header is no object");
    for (const struct json *m = status == STATUS_OK ? json_first(header) : NULL; m && status == STATUS_OK;
         m = json_next(m))
        if (strcmp(json_key(m), "__metadata__"))
            status = read_entry(m, data, n - LENGTH_BYTES - (size_t)length, source, err);
    for (const struct json *m = status == STATUS_OK ? json_first(header) : NULL; m && status == STATUS_OK;
         m = json_next(m))
        if (strcmp(json_key(m), "__metadata__") == 0 && json_kind(m) == JSON_OBJECT)
            status = add_tied(m, source, err);
    json_free(header);
    return status;
}
