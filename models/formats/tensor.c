#include "models/formats/tensor.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"

static const struct {
    size_t bytes;
    const char *name;
} types[N_NUMBER_TYPES] = {
    [NUMBER_F32] = {4, "float32"}, [NUMBER_F16] = {2, "float16"}, [NUMBER_BF16] = {2, "bfloat16"},
    [NUMBER_F64] = {8, "float64"}, [NUMBER_I64] = {8, "int64"},   [NUMBER_I32] = {4, "int32"},
    [NUMBER_I16] = {2, "int16"},   [NUMBER_I8] = {1, "int8"},     [NUMBER_U8] = {1, "uint8"},
    [NUMBER_BOOL] = {1, "bool"},
};

size_t number_bytes(enum number_type type)
{
    return types[type].bytes;
}

const char *number_name(enum number_type type)
{
    return types[type].name;
}

void tensor_set_dense(struct tensor *tensor)
{
    size_t stride = 1;
    for (size_t i = tensor->rank; i-- > 0;) {
        tensor->strides[i] = stride;
        if (!size_multiply(stride, tensor->shape[i], &stride)) stride = 0; /* tensor_make refuses it */
    }
}

enum status tensor_make(struct tensor *tensor, const uint8_t *bytes, uint64_t n_bytes, uint64_t offset,
                        struct error *err)
{
    uint64_t size = number_bytes(tensor->type), elements = n_bytes / size, last = offset;
    char name[QUOTE_BYTES], shape[SHAPE_BYTES];
    bool fits = true, empty = false;
    tensor->n_values = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        size_t reach = 0;
        empty = empty || tensor->shape[i] == 0;
        fits = fits && size_multiply(tensor->n_values, tensor->shape[i], &tensor->n_values) &&
               tensor->n_values <= TENSOR_MAX_VALUES;
        fits = fits &&
               (tensor->shape[i] == 0 || size_multiply(tensor->shape[i] - 1, tensor->strides[i], &reach));
        fits = fits && reach <= elements;
        last = fits ? last + reach : last;
    }
    if (fits && (empty || last < elements) && offset <= elements) {
        tensor->data = bytes + offset * size;
        return STATUS_OK;
    }
    return error_set(err, STATUS_BAD_FORMAT,
                     "tensor %s: shape %s does not fit the %llu bytes that the file has for it; the file is "
                     "damaged or incomplete",
                     sentence_quote(name, tensor->name, strlen(tensor->name)),
                     sentence_shape(shape, tensor->rank, tensor->shape), (unsigned long long)n_bytes);
}

static uint64_t little(const uint8_t *in, size_t bytes)
{
    uint64_t x = 0;
    for (size_t i = bytes; i-- > 0;) x = x << 8 | in[i];
    return x;
}

static double single(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* IEEE 754 binary16: 5 bits of exponent with bias 15. */
static double half(uint32_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double mantissa = (double)(bits & 1023), x;
    if (exponent == 31) x = mantissa > 0 ? (double)NAN : (double)INFINITY;
    else x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -x : x;
}

static double element(enum number_type type, const uint8_t *in)
{
    uint64_t bits = little(in, number_bytes(type));
    double x;
    switch (type) {
    case NUMBER_F32: return single((uint32_t)bits);
    case NUMBER_F16: return half((uint32_t)bits);
    case NUMBER_BF16: return single((uint32_t)bits << 16);
    case NUMBER_F64: memcpy(&x, &bits, sizeof x); return x;
    case NUMBER_I64: return (double)(int64_t)bits;
    case NUMBER_I32: return (double)(int32_t)bits;
    case NUMBER_I16: return (double)(int16_t)bits;
    case NUMBER_I8: return (double)(int8_t)bits;
    case NUMBER_U8:
    case NUMBER_BOOL: return (double)bits;
    case N_NUMBER_TYPES: break;
    }
    return (double)NAN;
}

/* The next index in C's order, and the place of its element. */
static size_t advance(const struct tensor *t, size_t *index, size_t place)
{
    for (size_t axis = t->rank; axis-- > 0;) {
        place += t->strides[axis];
        if (++index[axis] < t->shape[axis]) return place;
        place -= t->strides[axis] * t->shape[axis];
        index[axis] = 0;
    }
    return place;
}

/* One of doubles and floats is NULL. */
static enum status read_values(const struct tensor *t, double *doubles, float *floats, struct error *err)
{
    size_t index[TENSOR_MAX_RANK] = {0}, place = 0, size = number_bytes(t->type);
    char name[QUOTE_BYTES];
    for (size_t i = 0; i < t->n_values; i++, place = advance(t, index, place)) {
        double x = element(t->type, t->data + place * size);
        if (!isfinite(x) || fabs(x) > (double)3.4028234e38f)
            return error_set(err, STATUS_BAD_VALUE,
                             "tensor %s: value %zu is %g, expected finite numbers of float32",
                             sentence_quote(name, t->name, strlen(t->name)), i, x);
        if (doubles) doubles[i] = x;
        else floats[i] = (float)x;
    }
    return STATUS_OK;
}

enum status tensor_doubles(const struct tensor *tensor, struct pool *pool, double **out, struct error *err)
{
    *out = pool_take(pool, tensor->n_values, sizeof **out);
    return *out ? read_values(tensor, *out, NULL, err) : pool_spent(err);
}

enum status tensor_floats(const struct tensor *tensor, struct pool *pool, float **out, struct error *err)
{
    *out = pool_take(pool, tensor->n_values, sizeof **out);
    return *out ? read_values(tensor, NULL, *out, err) : pool_spent(err);
}

const char *tensor_text(const struct tensor *tensor, struct pool *pool)
{
    char shape[SHAPE_BYTES], name[QUOTE_BYTES];
    sentence_quote(name, tensor->name, strlen(tensor->name));
    name[strlen(name) - 1] = '\0'; /* the quotes go */
    const char *text =
        pool_print(pool, "%s %s", name + 1, sentence_shape(shape, tensor->rank, tensor->shape));
    return text ? text : "a tensor";
}
