/* Objects by tables, and the sentences about what does not fit. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/text/json.h"

const char *json_hint(char out[JSON_HINT_BYTES], const char *name, const char *const *names,
                      size_t n)
{
    size_t best = SIZE_MAX, distance = SIZE_MAX;
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; i < n; i++) {
        size_t d = sentence_distance(name, names[i]);
        if (d < distance) best = i, distance = d;
    }
    out[0] = '\0';
    if (best != SIZE_MAX && sentence_is_slip(distance, name))
        snprintf(out, JSON_HINT_BYTES, "; did you mean %s?",
                 sentence_quote(quoted, names[best], strlen(names[best])));
    return out;
}

/* What a field expects, for the sentence. */
static const char *expectation(const struct field *field, char *out, size_t size)
{
    switch (field->kind) {
    case FIELD_INTEGER:
        snprintf(out, size, "an integer from %.0f to %.0f", field->minimum, field->maximum);
        break;
    case FIELD_NUMBER:
        if (field->maximum < (double)FLT_MAX)
            snprintf(out, size, "a number %s %.10g to %.10g", field->above ? "above" : "from",
                     field->minimum, field->maximum);
        else if (field->minimum > -(double)FLT_MAX)
            snprintf(out, size, "a number %s %.10g", field->above ? "above" : "of at least",
                     field->minimum);
        else return "a number";
        break;
    case FIELD_BOOLEAN: return "true or false";
    case FIELD_STRING: return "a string that is not empty";
    case FIELD_CHOICE: {
        size_t at = (size_t)snprintf(out, size, "one of");
        for (size_t i = 0; field->choices[i] && at < size; i++)
            at += (size_t)snprintf(out + at, size - at, "%s '%s'", i ? "," : "", field->choices[i]);
        break;
    }
    case FIELD_ARRAY: return "an array";
    case FIELD_OBJECT: return "an object";
    case FIELD_ANY: return "a value";
    }
    return out;
}

static bool store_number(const struct json *value, const struct field *field, void *target)
{
    if (json_kind(value) != JSON_NUMBER) return false;
    double x = json_number(value);
    if (!isfinite(x) || x < field->minimum || x > field->maximum) return false;
    if (field->above && x == field->minimum) return false;
    if (field->kind == FIELD_INTEGER && x != floor(x)) return false;
    if (field->kind == FIELD_INTEGER) *(long *)target = (long)x;
    else *(double *)target = x;
    return true;
}

static bool store_text(const struct json *value, const struct field *field, void *target)
{
    if (json_kind(value) != JSON_STRING) return false;
    const char *text = json_string(value);
    if (field->kind == FIELD_STRING) {
        *(const char **)target = text;
        return text[0] != '\0';
    }
    for (size_t i = 0; field->choices[i]; i++) {
        if (strcmp(text, field->choices[i]) != 0) continue;
        *(long *)target = (long)i;
        return true;
    }
    return false;
}

static bool store(const struct json *value, const struct field *field, void *target)
{
    enum json_kind kind = json_kind(value);
    switch (field->kind) {
    case FIELD_INTEGER:
    case FIELD_NUMBER: return store_number(value, field, target);
    case FIELD_STRING:
    case FIELD_CHOICE: return store_text(value, field, target);
    case FIELD_BOOLEAN:
        if (kind == JSON_BOOLEAN) *(bool *)target = json_boolean(value);
        return kind == JSON_BOOLEAN;
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        if (kind != (field->kind == FIELD_ARRAY ? JSON_ARRAY : JSON_OBJECT)) return false;
        break;
    case FIELD_ANY: break;
    }
    *(const struct json **)target = value;
    return true;
}

enum status json_read_value(const struct json *value, const struct field *field, void *target,
                            struct error *err)
{
    if (store(value, field, target)) return STATUS_OK;
    char found[JSON_DESCRIPTION_BYTES], expected[256];
    return error_set(err, STATUS_BAD_VALUE, "%s is %s, expected %s", field->name,
                     json_describe(found, value), expectation(field, expected, sizeof expected));
}

static const struct field *find_field(const struct field *fields, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, key) == 0) return &fields[i];
    return NULL;
}

enum { MAX_FIELDS = 32 };

static enum status unknown_key(const char *key, const struct field *fields, size_t n,
                               struct error *err)
{
    const char *names[MAX_FIELDS];
    char quoted[QUOTE_BYTES], hint[JSON_HINT_BYTES];
    for (size_t i = 0; i < n; i++) names[i] = fields[i].name;
    return error_set(err, STATUS_BAD_VALUE, "unknown key %s%s",
                     sentence_quote(quoted, key, strlen(key)), json_hint(hint, key, names, n));
}

static enum status read_member(const struct json *member, const struct field *field, void *target,
                               struct error *err)
{
    char name[QUOTE_BYTES];
    struct field row = *field;
    row.name = sentence_quote(name, field->name, strlen(field->name));
    return json_read_value(member, &row, (char *)target + field->offset, err);
}

enum status json_read(const struct json *object, const struct field *fields, size_t n, void *target,
                      struct error *err)
{
    bool seen[MAX_FIELDS] = {false};
    assert(n <= MAX_FIELDS && json_kind(object) == JSON_OBJECT);
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        const char *key = json_key(member);
        if (key[0] == '_') continue;
        const struct field *field = find_field(fields, n, key);
        if (!field) return unknown_key(key, fields, n, err);
        if (seen[field - fields])
            return error_set(err, STATUS_BAD_VALUE, "'%s' is there twice", field->name);
        seen[field - fields] = true;
        enum status status = read_member(member, field, target, err);
        if (status != STATUS_OK) return status;
    }
    for (size_t i = 0; i < n; i++)
        if (fields[i].required && !seen[i])
            return error_set(err, STATUS_BAD_VALUE, "'%s' is missing", fields[i].name);
    return STATUS_OK;
}
