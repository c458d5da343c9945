#include "tests/support/gold.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

static long key_value(const struct layer_key *key, const char *text)
{
    if (key->kind == KEY_NUMBER) return 0;
    if (key->kind != KEY_CHOICE) return strtol(text, NULL, 10);
    for (long i = 0; key->choices[i]; i++)
        if (strcmp(key->choices[i], text) == 0) return i;
    ck_abort_msg("'%s' is not a choice of %s", text, key->name);
    return -1;
}

static void read_sources(struct layer_spec *spec, char *list)
{
    char *rest;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        spec->sources[spec->n_sources++] = (int)strtol(word, NULL, 10);
}

static void read_key(struct layer_spec *spec, char *word)
{
    char *value = strchr(word, '=');
    ck_assert_ptr_nonnull(value);
    *value++ = '\0';
    if (!strcmp(word, "inputs")) {
        read_sources(spec, value);
        return;
    }
    const struct layer_key *keys = spec->type->keys;
    for (size_t i = 0; keys[i].name; i++)
        if (strcmp(keys[i].name, word) == 0) {
            if (keys[i].kind == KEY_REAL) spec->numbers[i] = strtod(value, NULL);
            else spec->values[i] = key_value(&keys[i], value);
            return;
        }
    ck_abort_msg("%s has no key '%s'", spec->type->name, word);
}

static void read_layer(struct gold *gold, char *line)
{
    char *rest;
    struct layer_spec *spec = &gold->specs[gold->n_specs++];
    ck_assert_uint_le(gold->n_specs, MAX_SPECS);
    spec->type = layer_type_find(strtok_r(line, " ", &rest));
    ck_assert_ptr_nonnull(spec->type);
    char *prefix = strtok_r(NULL, " ", &rest);
    snprintf(spec->prefix, sizeof spec->prefix, "%s", strcmp(prefix, "-") ? prefix : "");
    for (size_t i = 0; spec->type->keys[i].name; i++) {
        spec->values[i] = spec->type->keys[i].fallback;
        spec->numbers[i] = spec->type->keys[i].real;
    }
    for (char *word; (word = strtok_r(NULL, " ", &rest));) read_key(spec, word);
}

static void read_tensor(struct gold *gold, char *line)
{
    struct tensor *tensor = &gold->tensor[gold->n_tensors++];
    ck_assert_uint_le(gold->n_tensors, MAX_TENSORS);
    int n = sscanf(line, "%127s %zu %zu %zu", tensor->name, &tensor->shape[0], &tensor->shape[1],
                   &tensor->shape[2]);
    ck_assert_int_ge(n, 2);
    tensor->rank = (size_t)n - 1;
    tensor->n = 1;
    for (size_t i = 0; i < tensor->rank; i++) tensor->n *= tensor->shape[i];
}

static void read_lengths(struct gold *gold, const char *line)
{
    char *end;
    for (size_t n; (n = strtoul(line, &end, 10)) > 0; line = end) {
        ck_assert_uint_lt(gold->B, MAX_SEQUENCES);
        gold->lengths[gold->B++] = n;
        gold->steps += n;
    }
}

static void read_memory(struct gold *gold, const char *line)
{
    char *end;
    size_t b = 0;
    gold->memory_size = strtoul(line, &end, 10);
    for (size_t n; (n = strtoul(line = end, &end, 10)) > 0; gold->spanned += n) {
        ck_assert_uint_lt(b, gold->B);
        gold->spans[b++] = n;
    }
    ck_assert_uint_eq(b, gold->B);
}

/* The sizes of groups, which hold all sequences one behind the other. */
static void read_groups(struct gold *gold, const char *line)
{
    char *end;
    size_t b = 0;
    for (size_t n; (n = strtoul(line, &end, 10)) > 0; line = end, b += n) {
        ck_assert_uint_lt(b, gold->B);
        gold->groups[b] = n;
    }
    ck_assert_uint_eq(b, gold->B);
    gold->is_grouped = true;
}

static void read_roles(struct gold *gold, const char *line)
{
    for (size_t b = 0; b < gold->B; b++) {
        char *end;
        gold->roles[b] = (enum ride_role)strtoul(line, &end, 10);
        ck_assert_ptr_ne(line, end);
        line = end;
    }
}

static void read_line(struct gold *gold, char *line)
{
    char *rest = strchr(line, ' ');
    ck_assert_ptr_nonnull(rest);
    *rest++ = '\0';
    if (!strcmp(line, "case")) snprintf(gold->name, sizeof gold->name, "%s", rest);
    else if (!strcmp(line, "layer")) read_layer(gold, rest);
    else if (!strcmp(line, "tensor")) read_tensor(gold, rest);
    else if (!strcmp(line, "input")) sscanf(rest, "features %zu", &gold->input_size);
    else if (!strcmp(line, "lengths")) read_lengths(gold, rest);
    else if (!strcmp(line, "groups")) read_groups(gold, rest);
    else if (!strcmp(line, "roles")) read_roles(gold, rest);
    else if (!strcmp(line, "memory")) read_memory(gold, rest);
    else if (!strcmp(line, "output")) sscanf(rest, "%zu %zu", &gold->output_size, &gold->rows);
    else if (!strcmp(line, "state")) sscanf(rest, "%zu", &gold->state_floats);
    else if (!strcmp(line, "gradient")) sscanf(rest, "%zu", &gold->gradient_floats);
    else ck_abort_msg("unknown line '%s'", line);
}

static void *read_numbers(FILE *file, size_t n, size_t size)
{
    void *values = memory_new(n, size);
    ck_assert_ptr_nonnull(values);
    ck_assert_uint_eq(fread(values, size, n, file), n);
    return values;
}

static enum status gold_take(struct tensors *self, const char *name, size_t rank,
                             const size_t *shape, float **out, struct error *err)
{
    struct gold *gold = (struct gold *)self;
    for (size_t i = 0; i < gold->n_tensors; i++) {
        const struct tensor *tensor = &gold->tensor[i];
        if (strcmp(tensor->name, name)) continue;
        if (rank != tensor->rank || memcmp(shape, tensor->shape, rank * sizeof *shape))
            return error_set(err, STATUS_BAD_SHAPE, "tensor '%s': wrong shape", name);
        *out = memory_new(tensor->n, sizeof **out);
        if (!*out) return error_set(err, STATUS_NO_MEMORY, "no memory");
        memcpy(*out, tensor->values, tensor->n * sizeof **out);
        return STATUS_OK;
    }
    return error_set(err, STATUS_NOT_FOUND, "tensor '%s': not found", name);
}

struct gold *gold_load(const char *path)
{
    char line[MAX_LINE];
    struct gold *gold = memory_new(1, sizeof *gold);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(gold);
    ck_assert_msg(file != NULL, "cannot open %s", path);
    gold->tensors.take = gold_take;
    gold->tensors.read = taken_read;
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "carousel golden 1\n");
    while (fgets(line, sizeof line, file) && strcmp(line, "data\n")) {
        line[strcspn(line, "\n")] = '\0';
        read_line(gold, line);
    }
    for (size_t i = 0; i < gold->n_tensors; i++)
        gold->tensor[i].values = read_numbers(file, gold->tensor[i].n, sizeof(float));
    if (gold->input_size)
        gold->features = read_numbers(file, gold->steps * gold->input_size, sizeof(float));
    else gold->tokens = read_numbers(file, gold->steps, sizeof(int32_t));
    gold->memories = read_numbers(file, gold->spanned * gold->memory_size, sizeof(float));
    gold->outputs = read_numbers(file, gold->rows * gold->output_size, sizeof(float));
    gold->states = read_numbers(file, gold->B * gold->state_floats, sizeof(float));
    gold->gradients = read_numbers(file, gold->steps * gold->gradient_floats, sizeof(float));
    gold->memory_gradients = read_numbers(file, gold->gradient_floats ? gold->spanned * gold->memory_size : 0,
                                          sizeof(float));
    ck_assert_int_eq(fgetc(file), EOF);
    fclose(file);
    return gold;
}

void gold_free(struct gold *gold)
{
    for (size_t i = 0; i < gold->n_tensors; i++) memory_free(gold->tensor[i].values);
    memory_free(gold->features);
    memory_free(gold->tokens);
    memory_free(gold->memories);
    memory_free(gold->outputs);
    memory_free(gold->states);
    memory_free(gold->gradients);
    memory_free(gold->memory_gradients);
    memory_free(gold);
}
