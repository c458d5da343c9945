#include "tests/support/tiny.h"

#include <check.h>
#include <string.h>

#include "core/base/memory.h"

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

static enum status tiny_read(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                             size_t first,
                             size_t n, float *out, struct error *err)
{
    (void)self, (void)rank, (void)shape, (void)err;
    uint64_t seed = 0;
    for (const char *c = name; *c; c++) seed = mix(seed ^ (uint64_t)(unsigned char)*c);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(mix(seed + first + i) >> 40) / (float)(1 << 24) - 0.5f;
    return STATUS_OK;
}

static enum status tiny_take(struct tensors *self, const char *name, size_t rank,
                             const size_t *shape, float **out, struct error *err)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= shape[i];
    float *values = memory_new(n, sizeof *values);
    if (!values) return error_set(err, STATUS_NO_MEMORY, "tensor '%s': out of memory", name);
    *out = values;
    return tiny_read(self, name, rank, shape, 0, n, values, err);
}

struct tensors *tiny_tensors(void)
{
    static struct tensors tensors = {.take = tiny_take, .read = tiny_read};
    return &tensors;
}

struct layer_spec tiny_layer(const char *type, const char *prefix, size_t n, const long *values)
{
    struct layer_spec spec = {.type = layer_type_find(type)};
    ck_assert_ptr_nonnull(spec.type);
    ck_assert_uint_lt(strlen(prefix), sizeof spec.prefix);
    strcpy(spec.prefix, prefix);
    for (size_t i = 0; spec.type->keys && spec.type->keys[i].name; i++) {
        spec.values[i] = i < n ? values[i] : spec.type->keys[i].fallback;
        spec.numbers[i] = spec.type->keys[i].real;
    }
    return spec;
}

static struct network *tiny_build(const struct layer_spec *specs, size_t n)
{
    struct network *network = NULL;
    struct error err = {0};
    enum status status = network_new(specs, n, tiny_tensors(), PRECISION_FLOAT32, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

struct network *tiny_generator(size_t vocabulary, size_t hidden)
{
    long v = (long)vocabulary, h = (long)hidden;
    struct layer_spec specs[] = {
        tiny_layer("one_hot", "", 1, (long[]){v}),
        tiny_layer("lstm", "lstm", 2, (long[]){v, h}),
        tiny_layer("linear", "head", 2, (long[]){h, v}),
    };
    return tiny_build(specs, 3);
}

struct network *tiny_classifier(size_t vocabulary, size_t hidden, size_t labels)
{
    long v = (long)vocabulary, h = (long)hidden;
    struct layer_spec specs[] = {
        tiny_layer("one_hot", "", 1, (long[]){v}),
        tiny_layer("lstm", "lstm", 5, (long[]){v, h, 1, 1, 1}),
        tiny_layer("pooling", "", 1, (long[]){1}),
        tiny_layer("linear", "head", 2, (long[]){2 * h, (long)labels}),
    };
    return tiny_build(specs, 4);
}
