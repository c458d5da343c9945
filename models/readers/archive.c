/* Archives that hold tensors in other ways than torch.save: programs of torch.export and NumPy's .npz. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/formats/zip.h"
#include "models/readers/source.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

#define WEIGHTS "data/weights/"
static const char numpy_magic[] = "\x93NUMPY";
enum { NUMPY_HEAD = 10, NUMPY_HEAD_2 = 12, MAX_NUMPY_HEADER = 4096 };

/* ---- torch.export ---- */

/* ScalarType of torch/_export/serde/schema.py. */
static const enum number_type export_types[] = {
    N_NUMBER_TYPES, NUMBER_U8,  NUMBER_I8,  NUMBER_I16,     NUMBER_I32,     NUMBER_I64,     NUMBER_F16,
    NUMBER_F32,     NUMBER_F64, N_NUMBER_TYPES, N_NUMBER_TYPES, N_NUMBER_TYPES, NUMBER_BOOL, NUMBER_BF16,
};

static const struct json *member(const struct json *object, const char *key, enum json_kind kind)
{
    for (const struct json *m = object ? json_first(object) : NULL; m; m = json_next(m))
        if (!strcmp(json_key(m), key)) return json_kind(m) == kind ? m : NULL;
    return NULL;
}

/* A whole number, which schema.py wraps as {"as_int": n}. */
static bool wrapped_size(const struct json *wrapper, size_t *out)
{
    const struct json *number = member(wrapper, "as_int", JSON_NUMBER);
    double x = number ? json_number(number) : -1;
    if (!(x >= 0) || x > 9e15) return false;
    *out = (size_t)x;
    return true;
}

static bool wrapped_sizes(const struct json *list, size_t *n, size_t out[TENSOR_MAX_RANK])
{
    *n = 0;
    if (!list) return false;
    for (const struct json *one = json_first(list); one; one = json_next(one))
        if (*n == TENSOR_MAX_RANK || json_kind(one) != JSON_OBJECT || !wrapped_size(one, &out[(*n)++]))
            return false;
    return true;
}

/* One entry of model_weights_config.json: its bytes lie in a file of their own beside it. */
static enum status read_weight(const struct zip *zip, const struct json *entry, struct source *source,
                               struct error *err)
{
    struct pool *pool = source->pool;
    const char *key = json_key(entry);
    char quoted[QUOTE_BYTES];
    struct tensor tensor = {.name = pool_text(pool, key, strlen(key)), .type = N_NUMBER_TYPES};
    const struct json *meta = member(entry, "tensor_meta", JSON_OBJECT);
    const struct json *path = member(entry, "path_name", JSON_STRING);
    const struct json *dtype = member(meta, "dtype", JSON_NUMBER);
    const struct json *pickled = member(entry, "use_pickle", JSON_BOOLEAN);
    size_t n_strides, offset;
    if (!tensor.name) return pool_spent(err);
    sentence_quote(quoted, key, strlen(key));
    double code = dtype ? json_number(dtype) : 0;
    if (code >= 0 && code < (double)(sizeof export_types / sizeof *export_types))
        tensor.type = export_types[(size_t)code];
    if ((pickled && json_boolean(pickled)) || !path || tensor.type == N_NUMBER_TYPES ||
        !wrapped_sizes(member(meta, "sizes", JSON_ARRAY), &tensor.rank, tensor.shape) ||
        !wrapped_sizes(member(meta, "strides", JSON_ARRAY), &n_strides, tensor.strides) ||
        n_strides != tensor.rank || !wrapped_size(member(meta, "storage_offset", JSON_OBJECT), &offset))
        return error_set(err, STATUS_UNSUPPORTED,
                         "tensor %s is described in an unknown way; save the weights: "
                         "torch.save(torch.export.load(path).state_dict, 'weights.pt')", quoted);
    char *name = pool_print(pool, WEIGHTS "%s", json_string(path));
    struct zip_entry *file = name ? zip_find(zip, name) : NULL;
    if (!file) return error_set(err, STATUS_BAD_FORMAT, "the file with tensor %s is missing", quoted);
    enum status status = zip_read(zip, file, pool, err);
    if (status == STATUS_OK) status = tensor_make(&tensor, file->content, file->bytes, offset, err);
    return status == STATUS_OK ? source_add(source, &tensor, err) : status;
}

enum status export_read(const struct zip *zip, struct source *source, struct error *err)
{
    struct json *root;
    struct zip_entry *entry = zip_find(zip, WEIGHTS "model_weights_config.json");
    struct zip_entry *whole = zip_find(zip, "serialized_state_dict.pt"); /* before PyTorch 2.8 */
    if (!entry && !whole)
        return error_set(err, STATUS_UNSUPPORTED,
                         "this is a program of torch.export whose weights are kept in an unknown way; save "
                         "them: torch.save(torch.export.load(path).state_dict, 'weights.pt')");
    if (!entry) entry = whole;
    enum status status = zip_read(zip, entry, source->pool, err);
    if (status != STATUS_OK) return status;
    if (entry == whole) return torch_read_zip(entry->content, (size_t)entry->bytes, source, err);
    char *text = pool_text(source->pool, (const char *)entry->content, (size_t)entry->bytes);
    if (!text) return pool_spent(err);
    status = json_parse(text, (size_t)entry->bytes, &root, err);
    if (status != STATUS_OK) return status;
    const struct json *config = member(root, "config", JSON_OBJECT);
    if (!config) status = error_set(err, STATUS_BAD_FORMAT, "the list of weights is damaged");
    for (const struct json *m = config ? json_first(config) : NULL; m && status == STATUS_OK;
         m = json_next(m))
        status = read_weight(zip, m, source, err);
    json_free(root);
    source->is_ordered = true;
    return status;
}

/* ---- NumPy (numpy/lib/format.py) ---- */

static const struct {
    const char *descr;
    enum number_type type;
} numpy_types[] = {
    {"<f4", NUMBER_F32}, {"<f2", NUMBER_F16}, {"<f8", NUMBER_F64}, {"<i8", NUMBER_I64}, {"<i4", NUMBER_I32},
    {"<i2", NUMBER_I16}, {"|i1", NUMBER_I8},  {"|u1", NUMBER_U8},  {"|b1", NUMBER_BOOL},
};

/* What follows a key of the header's dictionary, such as "'shape': "; NULL. */
static const char *after(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), " ") : NULL;
}

/* "(32, 3)", "(32,)" or "()". */
static bool read_shape(const char *text, struct tensor *tensor)
{
    if (!text || *text++ != '(') return false;
    for (tensor->rank = 0; *text != ')';) {
        char *end;
        unsigned long long size = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
        if (*text < '0' || *text > '9' || tensor->rank == TENSOR_MAX_RANK) return false;
        tensor->shape[tensor->rank++] = (size_t)size;
        text = end + strspn(end, ", ");
    }
    return true;
}

static bool read_header(const char *header, struct tensor *tensor)
{
    const char *descr = after(header, "'descr':"), *order = after(header, "'fortran_order':");
    tensor->type = N_NUMBER_TYPES;
    for (size_t i = 0; descr && i < sizeof numpy_types / sizeof *numpy_types; i++)
        if (descr[0] == '\'' && !strncmp(descr + 1, numpy_types[i].descr, 3) && descr[4] == '\'')
            tensor->type = numpy_types[i].type;
    if (tensor->type == N_NUMBER_TYPES || !order || !read_shape(after(header, "'shape':"), tensor))
        return false;
    tensor_set_dense(tensor);
    size_t stride = 1;
    for (size_t axis = 0; !strncmp(order, "True", 4) && axis < tensor->rank; axis++) {
        tensor->strides[axis] = stride;
        if (!size_multiply(stride, tensor->shape[axis], &stride)) return false;
    }
    return true;
}

static enum status read_array(const uint8_t *file, size_t n, const char *name, struct source *source,
                              struct error *err)
{
    struct tensor tensor = {.name = name};
    char quoted[QUOTE_BYTES];
    size_t head = n > 6 && file[6] == 1 ? NUMPY_HEAD : NUMPY_HEAD_2, length = 0;
    sentence_quote(quoted, name, strlen(name));
    if (n < NUMPY_HEAD_2 || memcmp(file, numpy_magic, sizeof numpy_magic - 1))
        return error_set(err, STATUS_BAD_FORMAT, "array %s is none of NumPy's", quoted);
    for (size_t i = head; i-- > 8;) length = length << 8 | file[i];
    if (length > n - head || length > MAX_NUMPY_HEADER)
        return error_set(err, STATUS_BAD_FORMAT, "array %s is cut off", quoted);
    char *header = pool_text(source->pool, (const char *)file + head, length);
    if (!header) return pool_spent(err);
    if (!read_header(header, &tensor))
        return error_set(err, STATUS_UNSUPPORTED,
                         "array %s is not of plain little-endian numbers; expected float32, float16 or "
                         "float64: array.astype('<f4')", quoted);
    enum status status = tensor_make(&tensor, file + head + length, n - head - length, 0, err);
    return status == STATUS_OK ? source_add(source, &tensor, err) : status;
}

bool is_numpy(const struct zip *zip)
{
    for (size_t i = 0; i < zip->n; i++) {
        const char *end = strrchr(zip->entries[i].name, '.');
        if (!end || strcmp(end, ".npy")) return false;
    }
    return zip->n > 0;
}

enum status numpy_read(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    struct zip zip;
    enum status status = zip_open(file, n, source->pool, &zip, err);
    for (size_t i = 0; status == STATUS_OK && i < zip.n; i++) {
        struct zip_entry *entry = &zip.entries[i];
        char *name = pool_text(source->pool, entry->name, strlen(entry->name) - strlen(".npy"));
        if (!name) return pool_spent(err);
        for (char *c = name; *c; c++) /* Keras' paths: "lstm/kernel:0" */
            *c = *c == '/' ? '.' : *c == ':' ? '\0' : *c;
        status = zip_read(&zip, entry, source->pool, err);
        if (status == STATUS_OK)
            status = read_array(entry->content, (size_t)entry->bytes, name, source, err);
    }
    source->is_ordered = true;
    return status;
}
