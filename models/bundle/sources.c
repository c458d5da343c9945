#include "models/bundle/sources.h"

#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"

enum { MAX_HINTS = 64 };

static const char input_name[] = "input";

static const struct json *member(const struct json *object, const char *name)
{
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), name) == 0) return m;
    return NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

static enum status read_name(const struct json *layer, const char *const *names, size_t i, const char **out,
                             struct error *err)
{
    const struct field text = {.name = "'name'", .kind = FIELD_STRING};
    const struct json *value = member(layer, "name");
    char quoted[QUOTE_BYTES];
    if (!value) return STATUS_OK;
    enum status status = json_read_value(value, &text, out, err);
    if (status != STATUS_OK) return status;
    size_t bytes = strlen(*out);
    if (bytes >= LAYER_NAME_BYTES || !sentence_is_plain(*out, bytes))
        return error_set(err, STATUS_BAD_VALUE, "'name' is %s, expected at most %d bytes that can be shown",
                         sentence_quote(quoted, *out, bytes), (int)LAYER_NAME_BYTES - 1);
    if (strcmp(*out, input_name) == 0)
        return error_set(err, STATUS_BAD_VALUE, "'name' is 'input', which means what enters the network");
    for (size_t k = 0; k < i; k++)
        if (names[k] && strcmp(names[k], *out) == 0)
            return error_set(err, STATUS_BAD_VALUE, "'name' is '%s', as that of network[%zu]", *out, k);
    return STATUS_OK;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static enum status unknown_name(const char *name, const char *const *names, size_t n, struct error *err)
{
    const char *known[MAX_HINTS];
    char quoted[QUOTE_BYTES], hint[JSON_HINT_BYTES];
    size_t n_known = 0;
    for (size_t i = 0; i < n && n_known < MAX_HINTS; i++)
        if (names[i]) known[n_known++] = names[i];
    return error_set(err, STATUS_BAD_VALUE, "'inputs' names %s, expected the 'name' of a layer, or 'input'%s",
                     sentence_quote(quoted, name, strlen(name)), json_hint(hint, name, known, n_known));
}

/* One entry of "inputs". */
static enum status read_input(const struct json *value, const char *const *names, size_t n,
                              struct layer_spec *spec, struct error *err)
{
    const struct field text = {.name = "an entry of 'inputs'", .kind = FIELD_STRING};
    const char *name;
    enum status status = json_read_value(value, &text, &name, err);
    if (status != STATUS_OK) return status;
    int source = (int)n;
    if (strcmp(name, input_name) == 0) source = SOURCE_INPUT;
    for (size_t i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], name) == 0) source = (int)i;
    if (source == (int)n) return unknown_name(name, names, n, err);
    spec->sources[spec->n_sources++] = source;
    return STATUS_OK;
}

static enum status read_inputs(const struct json *layer, const char *const *names, size_t n,
                               struct layer_spec *spec, struct error *err)
{
    const struct json *value = member(layer, "inputs");
    spec->n_sources = 0;
    if (!value) return STATUS_OK;
    if (json_kind(value) != JSON_ARRAY) return read_input(value, names, n, spec, err);
    size_t count = json_count(value);
    if (count < 1 || count > LAYER_MAX_SOURCES)
        return error_set(err, STATUS_BAD_VALUE, "'inputs' has %zu entries, expected 1 to %d", count,
                         (int)LAYER_MAX_SOURCES);
    enum status status = STATUS_OK;
    for (const struct json *v = json_first(value); v && status == STATUS_OK; v = json_next(v))
        status = read_input(v, names, n, spec, err);
    return status;
}

enum status sources_read(const struct json *network, struct layer_spec *specs, size_t n, struct error *err)
{
    const char **names = memory_new(n, sizeof *names);
    if (!names) return error_set(err, STATUS_NO_MEMORY, "network: no memory for %zu names", n);
    enum status status = STATUS_OK;
    size_t i = 0;
    for (const struct json *v = json_first(network); v && status == STATUS_OK; v = json_next(v), i++)
        status = read_name(v, names, i, &names[i], err);
    if (status == STATUS_OK) i = 0;
    for (const struct json *v = json_first(network); v && status == STATUS_OK; v = json_next(v), i++)
        status = read_inputs(v, names, n, &specs[i], err);
    if (status != STATUS_OK) error_prefix(err, "network[%zu] (%s)", i - 1, specs[i - 1].type->name);
    memory_free(names);
    return status;
}
