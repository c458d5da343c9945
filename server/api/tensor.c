#include "server/api/tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/half.h"
#include "models/text/utf8.h"

/* One row a datatype of the protocol. */
#define READER(name, type)                                                                                   \
    static double read_##name(const unsigned char *bytes)                                                    \
    {                                                                                                        \
        type x;                                                                                              \
        memcpy(&x, bytes, sizeof x);                                                                         \
        return (double)x;                                                                                    \
    }
READER(uint8, uint8_t)
READER(uint16, uint16_t)
READER(uint32, uint32_t)
READER(uint64, uint64_t)
READER(int8, int8_t)
READER(int16, int16_t)
READER(int32, int32_t)
READER(int64, int64_t)
READER(fp32, float)
READER(fp64, double)
#undef READER

static double read_fp16(const unsigned char *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return (double)half_float(half);
}

static double read_bf16(const unsigned char *bytes)
{
    const unsigned char whole[4] = {0, 0, bytes[0], bytes[1]};
    return read_fp32(whole);
}

static const struct datatype {
    const char *name;
    size_t bytes; /* 0: BYTES */
    double (*read)(const unsigned char *bytes);
} datatypes[] = {
    {"FP32", 4, read_fp32}, {"FP64", 8, read_fp64}, {"FP16", 2, read_fp16}, {"BF16", 2, read_bf16},
    {"INT8", 1, read_int8}, {"INT16", 2, read_int16}, {"INT32", 4, read_int32}, {"INT64", 8, read_int64},
    {"UINT8", 1, read_uint8}, {"UINT16", 2, read_uint16}, {"UINT32", 4, read_uint32},
    {"UINT64", 8, read_uint64}, {"BOOL", 1, read_uint8}, {"BYTES", 0, NULL},
};

static const struct datatype *find_datatype(const char *name)
{
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (!strcmp(datatypes[i].name, name)) return &datatypes[i];
    return NULL;
}

static bool wrong(const struct tensor *tensor, struct problem *problem, const char *what)
{
    return problem_set(problem, FAULT_INVALID_VALUE, "inputs", "input '%.64s': %s", tensor->name, what);
}

static bool read_shape(const struct json *value, size_t most, struct tensor *tensor, struct problem *problem)
{
    const struct json *shape = json_get(value, "shape");
    if (json_kind(shape) != JSON_ARRAY || json_count(shape) < 1 || json_count(shape) > TENSOR_RANK)
        return wrong(tensor, problem, "expected 'shape' with 1 to 4 sizes");
    tensor->n = 1;
    for (const struct json *v = json_first(shape); v; v = json_next(v)) {
        int64_t size;
        if (!json_is_integer(v, 1, (int64_t)most, &size) || (size_t)size > most / tensor->n)
            return wrong(tensor, problem, "each size of 'shape' is at least 1, and all together are at most "
                                          "limits.json_values");
        tensor->shape[tensor->rank++] = (size_t)size;
        tensor->n *= (size_t)size;
    }
    return true;
}

static char *copy_text(const char *bytes, size_t n)
{
    char *text = malloc(n + 1);
    if (!text) return NULL;
    memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

/* The numbers or texts of a JSON array, which may be nested, in their order. false: too many, or of another
 * kind. */
static bool read_json(const struct json *data, struct tensor *tensor, size_t *at)
{
    for (const struct json *v = json_first(data); v; v = json_next(v)) {
        enum json_kind kind = json_kind(v);
        if (kind == JSON_ARRAY) {
            if (!read_json(v, tensor, at)) return false;
            continue;
        }
        if (*at == tensor->n) return false;
        if (tensor->is_text && kind == JSON_STRING) {
            tensor->texts[*at] = copy_text(json_string(v), strlen(json_string(v)));
            if (!tensor->texts[*at]) return false;
        } else if (!tensor->is_text && kind == JSON_NUMBER) tensor->numbers[*at] = json_number(v);
        else if (!tensor->is_text && kind == JSON_BOOLEAN) tensor->numbers[*at] = json_boolean(v);
        else if (!tensor->is_text && kind == JSON_NULL) tensor->numbers[*at] = NAN;
        else return false;
        ++*at;
    }
    return true;
}

static bool read_texts(const unsigned char *bytes, size_t n_bytes, struct tensor *tensor)
{
    for (size_t i = 0; i < tensor->n; i++) {
        uint32_t n;
        size_t offset;
        if (n_bytes < sizeof n) return false;
        memcpy(&n, bytes, sizeof n);
        bytes += sizeof n;
        n_bytes -= sizeof n;
        if (n > n_bytes || memchr(bytes, 0, n) || !utf8_is_valid((const char *)bytes, n,
                                                                 &offset)) return false;
        tensor->texts[i] = copy_text((const char *)bytes, n);
        if (!tensor->texts[i]) return false;
        bytes += n;
        n_bytes -= n;
    }
    return n_bytes == 0;
}

static bool read_binary(const struct datatype *type, size_t n_bytes, struct tensor_bytes *rest,
                        struct tensor *tensor, struct problem *problem)
{
    const unsigned char *bytes = rest->bytes;
    if (n_bytes > rest->n) return wrong(tensor, problem, "'binary_data_size' is more than follows the JSON");
    rest->bytes += n_bytes;
    rest->n -= n_bytes;
    if (tensor->is_text)
        return read_texts(bytes, n_bytes, tensor) ||
               wrong(tensor, problem, "expected as many texts of UTF-8 as 'shape' says, each after its "
                                      "length");
    if (n_bytes != tensor->n * type->bytes)
        return wrong(tensor, problem, "'binary_data_size' is not what 'shape' and 'datatype' ask for");
    for (size_t i = 0; i < tensor->n; i++) tensor->numbers[i] = type->read(bytes + i * type->bytes);
    return true;
}

bool tensor_read(const struct json *value, struct tensor_bytes *rest, size_t most, struct tensor *out,
                 struct problem *problem)
{
    const char *datatype = "";
    int64_t n_bytes = -1;
    *out = (struct tensor){.name = ""};
    if (json_kind(value) != JSON_OBJECT)
        return problem_set(problem, FAULT_INVALID_VALUE, "inputs", "'inputs' is not an array of objects");
    if (!field_string(value, "name", 256, &out->name, problem) ||
        !field_string(value, "datatype", 16, &datatype, problem) || !read_shape(value, most, out, problem))
        return false;
    const struct datatype *type = find_datatype(datatype);
    if (!type) return wrong(out, problem, "'datatype' is none of the protocol's, such as FP32, INT64 or "
                                          "BYTES");
    out->is_text = !type->bytes;
    if (out->is_text) out->texts = calloc(out->n, sizeof *out->texts);
    else out->numbers = calloc(out->n, sizeof *out->numbers);
    if (!out->texts && !out->numbers) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    const struct json *parameters = json_get(value, "parameters"), *data = json_get(value, "data");
    if (json_kind(parameters) == JSON_OBJECT &&
        !field_integer(parameters, "binary_data_size", 0, INT32_MAX, &n_bytes, problem))
        return false;
    if (n_bytes >= 0 && !data) return read_binary(type, (size_t)n_bytes, rest, out, problem);
    size_t n = 0;
    if (json_kind(data) == JSON_ARRAY && read_json(data, out, &n) && n == out->n) return true;
    return wrong(out, problem, out->is_text ? "expected 'data' with as many texts as 'shape' says"
                                            : "expected 'data' with as many numbers as 'shape' says");
}

void tensor_release(struct tensor *tensor)
{
    for (size_t i = 0; tensor->texts && i < tensor->n; i++) free(tensor->texts[i]);
    free(tensor->texts);
    free(tensor->numbers);
    *tensor = (struct tensor){.name = ""};
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* Return how many bytes were put. */
static size_t put_binary(const struct tensor_out *tensor, struct writer *binary)
{
    size_t before = binary->n;
    for (size_t i = 0; i < tensor->n; i++) {
        if (tensor->texts) {
            uint32_t n = (uint32_t)strlen(tensor->texts[i]);
            put_raw(binary, (const char *)&n, sizeof n);
            put_raw(binary, tensor->texts[i], n);
        } else if (!strcmp(tensor->datatype, "FP64"))
            put_raw(binary, (const char *)&tensor->numbers[i], sizeof(double));
        else {
            float x = (float)tensor->numbers[i];
            put_raw(binary, (const char *)&x, sizeof x);
        }
    }
    return binary->n - before;
}

void tensor_put(const struct tensor_out *tensor, struct writer *out, struct writer *binary)
{
    bool is_float = !strcmp(tensor->datatype, "FP32");
    put_open(out, '{');
    put_named_string(out, "name", tensor->name);
    put_named_string(out, "datatype", tensor->datatype);
    put_name(out, "shape");
    put_open(out, '[');
    for (size_t i = 0; i < tensor->rank; i++) put_integer(out, (int64_t)tensor->shape[i]);
    put_close(out, ']');
    if (binary) {
        put_name(out, "parameters");
        put_open(out, '{');
        put_named_integer(out, "binary_data_size", (int64_t)put_binary(tensor, binary));
        put_close(out, '}');
    } else {
        put_name(out, "data");
        put_open(out, '[');
        for (size_t i = 0; i < tensor->n; i++) {
            if (tensor->texts) put_string(out, tensor->texts[i]);
            else if (is_float) put_float(out, (float)tensor->numbers[i]);
            else put_double(out, tensor->numbers[i]);
        }
        put_close(out, ']');
    }
    put_close(out, '}');
}
