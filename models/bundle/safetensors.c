#include "models/bundle/safetensors.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/kernels/convert.h"
#include "models/text/folder.h"
#include "models/text/json.h"
#include "models/text/sentence.h"
#include "core/base/throttle.h"

static const char FILE_NAME[] = "model.safetensors";

enum { LENGTH_BYTES = 8, CHUNK_VALUES = 16 * 1024 };

static uint32_t read_u16(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8;
}

static uint32_t read_u32(const uint8_t *in)
{
    return read_u16(in) | read_u16(in + 2) << 16;
}

static void decode_f32(const uint8_t *in, size_t n, float *out)
{
    memcpy(out, in, n * sizeof *out);
}

/* The dtypes of the format; those without a decoder are known only by their size. */
struct dtype {
    const char *name;
    size_t bytes;
    void (*decode)(const uint8_t *in, size_t n, float *out);
};

static const struct dtype dtypes[] = {
    {"F32", 4, decode_f32}, {"F16", 2, convert_from_float16}, {"BF16", 2, convert_from_bfloat16},
    {"F64", 8, NULL},       {"F8_E5M2", 1, NULL},   {"F8_E4M3", 1, NULL},
    {"I64", 8, NULL},       {"U64", 8, NULL},       {"I32", 4, NULL},
    {"U32", 4, NULL},       {"I16", 2, NULL},       {"U16", 2, NULL},
    {"I8", 1, NULL},        {"U8", 1, NULL},        {"BOOL", 1, NULL},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

struct tensor {
    const char *name; /* borrowed from the header */
    const struct dtype *dtype;
    size_t rank, shape[TENSOR_MAX_RANK];
    size_t n_values;
    uint64_t begin, end; /* in the data */
    bool taken;
};

struct safetensors {
    struct tensors tensors; /* first: what take() is given */
    const uint8_t *content; /* borrowed; NULL if the header alone is known, from fd */
    int fd;                 /* while it is opened */
    uint64_t data_at;       /* offset of the data in the file */
    uint64_t data_bytes;
    struct json *header;
    struct tensor *entries; /* [n] by name */
    size_t n;
};

static enum status tensor_error(const struct tensor *t, enum status status, const char *what,
                                struct error *err)
{
    char name[QUOTE_BYTES];
    return error_set(err, status, "tensor %s: %s", sentence_quote(name, t->name, strlen(t->name)),
                     what);
}

/* ------------------------------------------------------------------------------------------
 * The header */

struct entry_keys {
    const char *dtype;
    const struct json *shape, *offsets;
};

static const struct field entry_fields[] = {
    {.name = "dtype", .kind = FIELD_STRING, .offset = offsetof(struct entry_keys, dtype),
     .required = true},
    {.name = "shape", .kind = FIELD_ARRAY, .offset = offsetof(struct entry_keys, shape),
     .required = true},
    {.name = "data_offsets", .kind = FIELD_ARRAY, .offset = offsetof(struct entry_keys, offsets),
     .required = true},
};

/* Integers of an array into out[0..max); how many there are. */
static enum status read_sizes(const struct json *array, const char *what, size_t max, size_t *out,
                              size_t *n, struct error *err)
{
    const struct field size = {.name = what, .kind = FIELD_INTEGER,
                               .maximum = (double)SAFETENSORS_MAX_BYTES};
    *n = 0;
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        long value;
        if (*n == max)
            return error_set(err, STATUS_BAD_VALUE, "%s has more than %zu numbers", what, max);
        enum status status = json_read_value(v, &size, &value, err);
        if (status != STATUS_OK) return status;
        out[(*n)++] = (size_t)value;
    }
    return STATUS_OK;
}

static enum status read_dtype(const char *name, struct tensor *t, struct error *err)
{
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) t->dtype = &dtypes[i];
    if (t->dtype) return STATUS_OK;
    return error_set(err, STATUS_BAD_FORMAT, "dtype %s is unknown, expected F32, F16 or BF16",
                     sentence_quote(quoted, name, strlen(name)));
}

/* Shape, dtype and offsets must agree; all sizes are bounded by the file's. */
static enum status check_extent(struct tensor *t, uint64_t data_bytes, struct error *err)
{
    char shape[SHAPE_BYTES];
    size_t bytes;
    bool fits = true;
    t->n_values = 1;
    for (size_t i = 0; i < t->rank; i++)
        fits = fits && size_multiply(t->n_values, t->shape[i], &t->n_values);
    fits = fits && size_multiply(t->n_values, t->dtype->bytes, &bytes);
    sentence_shape(shape, t->rank, t->shape);
    if (!fits) return error_set(err, STATUS_BAD_SHAPE, "shape %s is too large", shape);
    if (t->begin > t->end || t->end > data_bytes)
        return error_set(err, STATUS_BAD_FORMAT,
                         "data_offsets [%llu, %llu] lie outside the %llu bytes of data",
                         (unsigned long long)t->begin, (unsigned long long)t->end,
                         (unsigned long long)data_bytes);
    if (t->end - t->begin != bytes)
        return error_set(err, STATUS_BAD_FORMAT, "%llu bytes of data, expected %zu for %s %s",
                         (unsigned long long)(t->end - t->begin), bytes, t->dtype->name, shape);
    return STATUS_OK;
}

static enum status read_entry(const struct json *value, uint64_t data_bytes, struct tensor *t,
                              struct error *err)
{
    struct entry_keys keys;
    size_t offsets[2], n;
    if (json_kind(value) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_FORMAT, "expected an object");
    enum status status = json_read(value, entry_fields, 3, &keys, err);
    if (status == STATUS_OK) status = read_dtype(keys.dtype, t, err);
    if (status == STATUS_OK)
        status = read_sizes(keys.shape, "shape", TENSOR_MAX_RANK, t->shape, &t->rank, err);
    if (status == STATUS_OK) status = read_sizes(keys.offsets, "data_offsets", 2, offsets, &n, err);
    if (status == STATUS_OK && n != 2)
        status = error_set(err, STATUS_BAD_FORMAT, "data_offsets has %zu numbers, expected 2", n);
    if (status != STATUS_OK) return status;
    t->begin = offsets[0];
    t->end = offsets[1];
    return check_extent(t, data_bytes, err);
}

static bool is_metadata(const struct json *member)
{
    return strcmp(json_key(member), "__metadata__") == 0;
}

static enum status read_entries(struct safetensors *file, struct error *err)
{
    size_t n = 0;
    for (const struct json *m = json_first(file->header); m; m = json_next(m)) n += !is_metadata(m);
    if (n > SAFETENSORS_MAX_TENSORS)
        return error_set(err, STATUS_TOO_LONG, "%zu tensors, expected at most %d", n,
                         (int)SAFETENSORS_MAX_TENSORS);
    file->entries = memory_new(n, sizeof *file->entries);
    if (!file->entries) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (const struct json *m = json_first(file->header); m; m = json_next(m)) {
        if (is_metadata(m)) continue;
        struct tensor *t = &file->entries[file->n++];
        char name[QUOTE_BYTES];
        t->name = json_key(m);
        enum status status = read_entry(m, file->data_bytes, t, err);
        if (status == STATUS_OK) continue;
        error_prefix(err, "tensor %s", sentence_quote(name, t->name, strlen(t->name)));
        return status;
    }
    return STATUS_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* In order of their place, each tensor begins where the one before ends, the last at the file's end. */
static enum status check_places(struct safetensors *file, struct error *err)
{
    uint64_t at = 0;
    char name[QUOTE_BYTES];
    qsort(file->entries, file->n, sizeof *file->entries, by_place);
    for (size_t i = 0; i < file->n; i++) {
        const struct tensor *t = &file->entries[i];
        if (t->begin != at)
            return error_set(err, STATUS_BAD_FORMAT,
                             "tensor %s: data begin at byte %llu, expected %llu: %s",
                             sentence_quote(name, t->name, strlen(t->name)),
                             (unsigned long long)t->begin, (unsigned long long)at,
                             t->begin < at ? "they overlap another tensor's"
                                           : "a gap that belongs to no tensor");
        at = t->end;
    }
    if (at == file->data_bytes) return STATUS_OK;
    return error_set(err, STATUS_BAD_FORMAT, "%llu bytes of data, but the tensors need %llu",
                     (unsigned long long)file->data_bytes, (unsigned long long)at);
}

static enum status check_names(struct safetensors *file, struct error *err)
{
    qsort(file->entries, file->n, sizeof *file->entries, by_name);
    for (size_t i = 1; i < file->n; i++)
        if (by_name(&file->entries[i - 1], &file->entries[i]) == 0)
            return tensor_error(&file->entries[i], STATUS_BAD_FORMAT, "is there twice", err);
    return STATUS_OK;
}

static enum status read_bytes(const struct safetensors *file, const char *what, size_t at, void *out,
                              size_t n, struct error *err)
{
    if (!file->content) return file_read(file->fd, what, at, out, n, err);
    memcpy(out, file->content + at, n);
    return STATUS_OK;
}

static uint64_t header_length(const uint8_t *begin)
{
    return read_u32(begin) | (uint64_t)read_u32(begin + 4) << 32;
}

/* How files of other kinds begin, and what to do with each. */
static const struct kind {
    const char *magic;
    size_t bytes;
    const char *what;
} kinds[] = {
#define KIND(magic, what) {magic, sizeof magic - 1, what}
#define RESAVE ": save its tensors by safetensors.torch.save_file"
#define REFETCH "a page of HTML, perhaps a site's answer in place of the file: fetch it again"
    KIND("version https://git-lfs", "a Git LFS pointer, not the file it stands for: run git lfs pull"),
    KIND("PK\3\4", "a zip archive, as torch.save writes" RESAVE),
    KIND("\x80\2", "a pickle, as torch.save wrote it formerly" RESAVE),
    KIND("\x80\4", "a pickle" RESAVE),
    KIND("\x89HDF\r\n", "an HDF5 file, as Keras writes" RESAVE),
    KIND("\x93NUMPY", "an array of NumPy" RESAVE),
    KIND("\x08\7\x12", "protobuf, as ONNX is" RESAVE),
    KIND("\x08\x08\x12", "protobuf, as ONNX is" RESAVE),
    KIND("\x1f\x8b", "compressed by gzip: unpack it"),
    KIND("<!DOCTYPE", REFETCH), KIND("<!doctype", REFETCH), KIND("<html", REFETCH),
    KIND("{", "JSON without the eight bytes of length that a safetensors file begins with"),
#undef KIND
#undef RESAVE
#undef REFETCH
};

/* What the file is, if it is known to be none of ours; NULL. One of ours begins with the length of its
 * header, which is too long if it is read from another kind of file. */
static const char *foreign_kind(const struct safetensors *file, uint64_t bytes)
{
    enum { MOST = 32 };
    char begin[MOST] = {0};
    size_t n = bytes < MOST ? (size_t)bytes : MOST;
    if (read_bytes(file, "the file", 0, begin, n, NULL) != STATUS_OK) return NULL;
    if (header_length((const uint8_t *)begin) <= SAFETENSORS_MAX_HEADER) return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].bytes <= n && memcmp(begin, kinds[i].magic, kinds[i].bytes) == 0) return kinds[i].what;
    return NULL;
}

const char *safetensors_foreign_kind(int fd, uint64_t bytes)
{
    return foreign_kind(&(struct safetensors){.fd = fd}, bytes);
}

static enum status read_length(const struct safetensors *file, uint64_t bytes, size_t *length,
                               struct error *err)
{
    uint8_t raw[LENGTH_BYTES];
    if (bytes < LENGTH_BYTES)
        return error_set(err, STATUS_BAD_FORMAT, "%llu bytes, too short to be a safetensors file",
                         (unsigned long long)bytes);
    enum status status = read_bytes(file, "the file", 0, raw, sizeof raw, err);
    if (status != STATUS_OK) return status;
    uint64_t n = header_length(raw);
    const char *kind = foreign_kind(file, bytes);
    if (kind) return error_set(err, STATUS_BAD_FORMAT, "this is %s", kind);
    if (n > SAFETENSORS_MAX_HEADER)
        return error_set(err, STATUS_TOO_LONG, "a header of %llu bytes, expected at most %d",
                         (unsigned long long)n, (int)SAFETENSORS_MAX_HEADER);
    if (n > bytes - LENGTH_BYTES)
        return error_set(err, STATUS_BAD_FORMAT,
                         "truncated: a header of %llu bytes in a file of %llu",
                         (unsigned long long)n, (unsigned long long)bytes);
    *length = (size_t)n;
    return STATUS_OK;
}

static enum status read_header(struct safetensors *file, size_t length, struct error *err)
{
    char *text = memory_new(length + 1, 1);
    if (!text) return error_set(err, STATUS_NO_MEMORY, "no memory");
    enum status status = read_bytes(file, "the header", LENGTH_BYTES, text, length, err);
    if (status == STATUS_OK && text[0] != '{')
        status = error_set(err, STATUS_BAD_FORMAT, "the header does not begin with '{'");
    if (status == STATUS_OK) {
        status = json_parse(text, length, &file->header, err);
        if (status != STATUS_OK) error_prefix(err, "header");
    }
    memory_free(text);
    return status;
}

static enum status open_all(struct safetensors *file, uint64_t bytes, struct error *err)
{
    size_t length = 0;
    enum status status = read_length(file, bytes, &length, err);
    if (status == STATUS_OK) status = read_header(file, length, err);
    if (status != STATUS_OK) return status;
    file->data_at = LENGTH_BYTES + length;
    file->data_bytes = bytes - file->data_at;
    status = read_entries(file, err);
    if (status == STATUS_OK) status = check_places(file, err);
    if (status == STATUS_OK) status = check_names(file, err);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Taking */

static struct tensor *find(struct safetensors *file, const char *name)
{
    const struct tensor key = {.name = name};
    return bsearch(&key, file->entries, file->n, sizeof key, by_name);
}

/* Whether `whole` is `end` with words and a dot before it, as wrapping a module makes names. */
static bool is_wrapped(const char *whole, const char *end)
{
    size_t n = strlen(whole), m = strlen(end);
    return n > m + 1 && whole[n - m - 1] == '.' && strcmp(whole + n - m, end) == 0;
}

/* The sentence for a tensor that is there with words more or fewer before its name; false if there is none.
 * */
static bool suggest_prefix(const struct safetensors *file, const char *name, struct error *err)
{
    char wanted[QUOTE_BYTES], found[QUOTE_BYTES];
    sentence_quote(wanted, name, strlen(name));
    for (size_t i = 0; i < file->n; i++) {
        const char *other = file->entries[i].name;
        bool longer = is_wrapped(other, name);
        if (!longer && !is_wrapped(name, other)) continue;
        size_t n = longer ? strlen(other) - strlen(name) : strlen(name) - strlen(other);
        char words[QUOTE_BYTES];
        sentence_quote(words, longer ? other : name, n);
        error_set(err, STATUS_NOT_FOUND, "tensor %s is missing, but %s is there: %s %s %s 'prefix' in "
                  "config.json",
                  wanted, sentence_quote(found, other, strlen(other)), longer ? "put" : "take", words,
                  longer ? "before" : "out of");
        return true;
    }
    return false;
}

static enum status missing(const struct safetensors *file, const char *name, struct error *err)
{
    char hint[JSON_HINT_BYTES] = "", quoted[QUOTE_BYTES];
    if (suggest_prefix(file, name, err)) return STATUS_NOT_FOUND;
    const char **names = memory_new(file->n, sizeof *names);
    for (size_t i = 0; names && i < file->n; i++) names[i] = file->entries[i].name;
    if (names) json_hint(hint, name, names, file->n);
    memory_free((void *)names);
    return error_set(err, STATUS_NOT_FOUND, "tensor %s is missing%s",
                     sentence_quote(quoted, name, strlen(name)), hint);
}

static enum status check_shape(const struct tensor *t, size_t rank, const size_t *shape,
                               struct error *err)
{
    char name[QUOTE_BYTES], found[SHAPE_BYTES], expected[SHAPE_BYTES];
    bool same = rank == t->rank;
    for (size_t i = 0; same && i < rank; i++) same = shape[i] == t->shape[i];
    if (same) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "tensor %s: shape %s, expected %s",
                     sentence_quote(name, t->name, strlen(t->name)),
                     sentence_shape(found, t->rank, t->shape),
                     sentence_shape(expected, rank, shape));
}

static enum status check_finite(const struct tensor *t, const float *values, size_t first, size_t n,
                                struct error *err)
{
    char name[QUOTE_BYTES];
    if (convert_is_within(values, n, FLT_MAX)) return STATUS_OK;
    while (isfinite(*values)) values++, first++;
    return error_set(err, STATUS_BAD_VALUE, "tensor %s: value %zu is %s, expected finite numbers",
                     sentence_quote(name, t->name, strlen(t->name)), first,
                     isnan(*values) ? "NaN" : "infinite");
}

/* Values first to first + n - 1. */
static enum status read_values(const struct safetensors *file, const struct tensor *t, size_t first, size_t n,
                               float *out, struct error *err)
{
    const uint8_t *data = file->content + file->data_at + t->begin;
    for (size_t at = first, part; at < first + n; at += part, out += part) {
        part = first + n - at < CHUNK_VALUES ? first + n - at : CHUNK_VALUES;
        t->dtype->decode(data + at * t->dtype->bytes, part, out);
        enum status status = check_finite(t, out, at, part, err);
        if (status != STATUS_OK) return status;
        if (!throttle_rest()) return tensor_error(t, STATUS_CLOSING, "the load was given up", err);
    }
    return STATUS_OK;
}

/* Find the tensor; its dtype and shape are as expected. */
static enum status expect(struct safetensors *file, const char *name, size_t rank, const size_t *shape,
                          struct tensor **out, struct error *err)
{
    struct tensor *t = find(file, name);
    if (!t) return missing(file, name, err);
    if (!t->dtype->decode) {
        error_set(err, STATUS_BAD_FORMAT, "dtype %s, expected F32, F16 or BF16", t->dtype->name);
        error_prefix(err, "tensor '%s'", name);
        return STATUS_BAD_FORMAT;
    }
    *out = t;
    return check_shape(t, rank, shape, err);
}

static enum status check(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                         struct error *err)
{
    struct tensor *t;
    enum status status = expect((struct safetensors *)self, name, rank, shape, &t, err);
    if (status == STATUS_OK) t->taken = true;
    return status;
}

static enum status expect_values(struct safetensors *file, const char *name, size_t rank, const size_t *shape,
                                 struct tensor **out, struct error *err)
{
    enum status status = expect(file, name, rank, shape, out, err);
    if (status == STATUS_OK && !file->content)
        return tensor_error(*out, STATUS_INTERNAL, "its file was opened for the header alone", err);
    return status;
}

static enum status read_part(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                             size_t first, size_t n, float *out, struct error *err)
{
    struct safetensors *file = (struct safetensors *)self;
    struct tensor *t;
    enum status status = expect_values(file, name, rank, shape, &t, err);
    if (status == STATUS_OK) status = read_values(file, t, first, n, out, err);
    if (status == STATUS_OK) t->taken = true;
    return status;
}

static enum status take(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                        float **out, struct error *err)
{
    struct safetensors *file = (struct safetensors *)self;
    struct tensor *t;
    enum status status = expect_values(file, name, rank, shape, &t, err);
    if (status != STATUS_OK) return status;
    float *values = memory_new(t->n_values, sizeof *values);
    if (values) status = read_values(file, t, 0, t->n_values, values, err);
    else status = tensor_error(t, STATUS_NO_MEMORY, "no memory", err);
    if (status != STATUS_OK) {
        memory_free(values);
        return status;
    }
    t->taken = true;
    *out = values;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------ */

static enum status open_from(const void *content, int fd, uint64_t bytes, struct safetensors **out,
                             struct error *err)
{
    struct safetensors *file = memory_new(1, sizeof *file);
    enum status status = STATUS_NO_MEMORY;
    if (!file) {
        error_set(err, status, "no memory");
    } else {
        file->tensors = (struct tensors){.take = take, .read = read_part, .check = check};
        file->content = content;
        file->fd = fd;
        status = open_all(file, bytes, err);
    }
    if (status != STATUS_OK) {
        error_prefix(err, "%s", FILE_NAME);
        safetensors_free(file);
        return status;
    }
    *out = file;
    return STATUS_OK;
}

enum status safetensors_open(const void *content, uint64_t bytes, struct safetensors **out, struct error *err)
{
    return open_from(content, -1, bytes, out, err);
}

enum status safetensors_open_header(int fd, uint64_t bytes, struct safetensors **out, struct error *err)
{
    return open_from(NULL, fd, bytes, out, err);
}

void safetensors_free(struct safetensors *file)
{
    if (!file) return;
    json_free(file->header);
    memory_free(file->entries);
    memory_free(file);
}

struct tensors *safetensors_tensors(struct safetensors *file)
{
    return &file->tensors;
}

enum status safetensors_check_taken(const struct safetensors *file, struct error *err)
{
    for (size_t i = 0; i < file->n; i++)
        if (!file->entries[i].taken)
            return tensor_error(&file->entries[i], STATUS_BAD_VALUE,
                                "belongs to no layer of the network", err);
    return STATUS_OK;
}

size_t safetensors_n_tensors(const struct safetensors *file)
{
    return file->n;
}

uint64_t safetensors_n_values(const struct safetensors *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < file->n; i++) sum += file->entries[i].n_values;
    return sum;
}

const char *safetensors_dtype(const struct safetensors *file)
{
    size_t count[N_DTYPES] = {0}, best = 0;
    for (size_t i = 0; i < file->n; i++) count[file->entries[i].dtype - dtypes]++;
    for (size_t d = 0; d < N_DTYPES; d++)
        if (count[d] > count[best]) best = d;
    return file->n ? dtypes[best].name : "";
}
