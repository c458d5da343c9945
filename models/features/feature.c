#include "models/features/feature.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/json.h"

enum { RAW_MAX_VALUES = 1 << 20 };

#define X(symbol) extern const struct front_type front_##symbol;
#include "models/features/features.def"

static const struct front_type *const types[] = {
#define X(symbol) &front_##symbol,
#include "models/features/features.def"
};
enum { N_TYPES = sizeof types / sizeof *types };

struct front {
    const struct front_type *type;
    void *self;
};

const char *media_name(enum media media)
{
    return media == MEDIA_SOUND ? "sound" : "the strokes of a pen";
}

/* ---- making one ----------------------------------------------------------------------------- */

/* Find the type that an object names. */
static enum status find_type(const struct json *object, const struct front_type **out, struct error *err)
{
    const char *names[N_TYPES + 1] = {NULL};
    const struct json *member = json_first(object);
    for (size_t i = 0; i < N_TYPES; i++) names[i] = types[i]->name;
    while (member && strcmp(json_key(member), "type") != 0) member = json_next(member);
    if (!member) return error_set(err, STATUS_BAD_VALUE, "'type' is missing");
    const struct field field = {.name = "'type'", .kind = FIELD_CHOICE, .choices = names};
    long choice = 0;
    enum status status = json_read_value(member, &field, &choice, err);
    if (status == STATUS_OK) *out = types[choice];
    return status;
}

enum status front_new(const struct json *object, struct front **out, struct error *err)
{
    const struct front_type *type = NULL;
    enum status status = find_type(object, &type, err);
    if (status != STATUS_OK) return status;
    struct front *front = memory_new(1, sizeof *front);
    if (front) front->self = memory_new(1, type->bytes);
    if (!front || !front->self) {
        memory_free(front);
        return error_set(err, STATUS_NO_MEMORY, "no memory");
    }
    front->type = type;
    type->defaults(front->self);
    status = json_read(object, type->fields, type->n_fields, front->self, err);
    if (status == STATUS_OK) status = type->prepare(front->self, err);
    if (status != STATUS_OK) {
        front_free(front);
        return status;
    }
    *out = front;
    return STATUS_OK;
}

void front_free(struct front *front)
{
    if (!front) return;
    if (front->type->release) front->type->release(front->self);
    memory_free(front->self);
    memory_free(front);
}

const char *front_type_name(const struct front *front)
{
    return front->type->name;
}

enum media front_media(const struct front *front)
{
    return front->type->media;
}

size_t front_width(const struct front *front)
{
    return front->type->width(front->self);
}

double front_rate(const struct front *front)
{
    return front->type->rate ? front->type->rate(front->self) : 0;
}

bool front_runs_on(const struct front *front)
{
    return front->type->runs_on && front->type->runs_on(front->self);
}

/* ---- running one ---------------------------------------------------------------------------- */

enum status front_run(const struct front *front, const struct raw *raw, size_t max_steps,
                      struct front_steps *out, struct error *err)
{
    *out = (struct front_steps){0};
    enum status status = front->type->run(front->self, raw, max_steps, out, err);
    size_t n = status == STATUS_OK ? out->n * front_width(front) : 0;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        if (!isfinite(out->values[i]))
            status = error_set(err, STATUS_BAD_VALUE, "its numbers are too large for the front end '%s'",
                               front->type->name);
    if (status == STATUS_OK && !out->n_open) out->n_open = 1;
    if (status == STATUS_OK && !out->n_known) out->keep_from = out->origin[out->n - out->n_open];
    if (status != STATUS_OK) front_steps_free(out);
    return status;
}

void front_steps_free(struct front_steps *steps)
{
    memory_free(steps->values);
    memory_free(steps->origin);
    *steps = (struct front_steps){0};
}

/* ---- inputs of golden cases ----------------------------------------------------------------- */

static enum status read_numbers(const struct json *array, const char *what, size_t n, double *out,
                                struct error *err)
{
    char name[64];
    size_t i = 0;
    if (json_kind(array) != JSON_ARRAY || json_count(array) != n)
        return error_set(err, STATUS_BAD_VALUE, "%s: expected an array of %zu numbers", what, n);
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        snprintf(name, sizeof name, "%s[%zu]", what, i);
        const struct field field = {.name = name, .kind = FIELD_NUMBER, .minimum = -1e9, .maximum = 1e9};
        enum status status = json_read_value(v, &field, &out[i], err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_strokes(const struct json *input, struct raw_owned *out, struct error *err)
{
    size_t n_points = 0, at = 0, k = 0;
    for (const struct json *s = json_first(input); s; s = json_next(s)) {
        if (json_kind(s) != JSON_ARRAY || !json_first(s))
            return error_set(err, STATUS_BAD_VALUE, "'input': expected an array of points a stroke");
        n_points += json_count(s);
    }
    if (n_points > RAW_MAX_VALUES / 2)
        return error_set(err, STATUS_TOO_LONG, "'input' has %zu points, expected at most %d", n_points,
                         RAW_MAX_VALUES / 2);
    out->values = memory_new(n_points, 2 * sizeof *out->values);
    out->ends = memory_new(json_count(input), sizeof *out->ends);
    if (!out->values || !out->ends) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (const struct json *s = json_first(input); s; s = json_next(s)) {
        for (const struct json *p = json_first(s); p; p = json_next(p), at++) {
            enum status status = read_numbers(p, "a point of 'input'", 2, out->values + 2 * at, err);
            if (status != STATUS_OK) return status;
        }
        out->ends[k++] = at;
    }
    out->raw = (struct raw){.media = MEDIA_INK, .values = out->values, .n = at, .ends = out->ends,
                            .n_ends = k};
    return STATUS_OK;
}

enum status raw_read(const struct front *front, const struct json *input, struct raw_owned *out,
                     struct error *err)
{
    *out = (struct raw_owned){.values = NULL};
    if (json_kind(input) != JSON_ARRAY || !json_first(input))
        return error_set(err, STATUS_BAD_VALUE, "'input' is not an array of %s",
                         front_media(front) == MEDIA_INK ? "strokes" : "samples");
    if (front_media(front) == MEDIA_INK) return read_strokes(input, out, err);
    size_t n = json_count(input);
    out->values = memory_new(n, sizeof *out->values);
    if (!out->values) return error_set(err, STATUS_NO_MEMORY, "no memory");
    out->raw = (struct raw){.media = MEDIA_SOUND, .values = out->values, .n = n};
    return read_numbers(input, "'input'", n, out->values, err);
}

void raw_free(struct raw_owned *raw)
{
    memory_free(raw->values);
    memory_free(raw->ends);
    *raw = (struct raw_owned){.values = NULL};
}
