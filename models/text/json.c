/* json: see json.h. cJSON accepts more than JSON is and forgets some of it (a \u0000 ends its strings,
 * control characters pass, nesting may go to 1000), so every text is scanned first. */
#include "models/text/json.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"
#include "models/text/utf8.h"

/* struct json is never defined: it is what this file calls a cJSON outside. */
static const cJSON *inside(const struct json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json *outside(const cJSON *item)
{
    return (const struct json *)(const void *)item;
}

/* cJSON gives NULL for bad text and for no memory alike; this tells which it was. */
static _Thread_local bool starved;

static void *allocate(size_t bytes)
{
    void *block = memory_raw(bytes);
    if (!block) starved = true;
    return block;
}

static void set_hooks(void)
{
    cJSON_Hooks hooks = {.malloc_fn = allocate, .free_fn = memory_free};
    cJSON_InitHooks(&hooks);
}

static size_t line_of(const char *text, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++) line += text[i] == '\n';
    return line;
}

/* What the scan is in the middle of. */
struct scan {
    const char *text;
    size_t bytes;
    size_t depth, values;
    bool in_string;
};

static enum status refuse(const struct scan *scan, size_t at, const char *what, struct error *err)
{
    return error_set(err, STATUS_BAD_FORMAT, "line %zu: %s", line_of(scan->text, at), what);
}

/* One byte inside a string; *at is moved over an escape. */
static enum status scan_string(struct scan *scan, size_t *at, struct error *err)
{
    const char *here = scan->text + *at;
    if ((unsigned char)*here < 0x20)
        return refuse(scan, *at, "a control character in a string, expected it escaped", err);
    if (*here == '"') scan->in_string = false;
    if (*here != '\\') return STATUS_OK;
    if (scan->bytes - *at >= 6 && memcmp(here, "\\u0000", 6) == 0)
        return refuse(scan, *at, "the escape \\u0000 is not accepted", err);
    ++*at;
    return STATUS_OK;
}

static enum status scan_plain(struct scan *scan, size_t at, struct error *err)
{
    char here = scan->text[at];
    if ((unsigned char)here < 0x20 && !strchr("\t\n\r", here))
        return refuse(scan, at, "a control character", err);
    if (here == '\0') return refuse(scan, at, "a zero byte", err);
    if (here == '"') scan->in_string = true;
    if (here == '{' || here == '[') scan->depth++;
    if ((here == '}' || here == ']') && scan->depth > 0) scan->depth--;
    if (scan->depth > JSON_MAX_DEPTH) return refuse(scan, at, "nested too deeply", err);
    if (here == ',' || here == '{' || here == '[') scan->values++;
    if (scan->values > JSON_MAX_VALUES)
        return error_set(err, STATUS_TOO_LONG, "more than %d values", (int)JSON_MAX_VALUES);
    return STATUS_OK;
}

static enum status scan_text(const char *text, size_t bytes, struct error *err)
{
    struct scan scan = {.text = text, .bytes = bytes};
    size_t bad;
    if (bytes > JSON_MAX_BYTES)
        return error_set(err, STATUS_TOO_LONG, "%zu bytes, expected at most %d", bytes,
                         (int)JSON_MAX_BYTES);
    if (!utf8_is_valid(text, bytes, &bad)) return refuse(&scan, bad, "not UTF-8", err);
    enum status status = STATUS_OK;
    for (size_t at = 0; at < bytes && status == STATUS_OK; at++)
        status = scan.in_string ? scan_string(&scan, &at, err) : scan_plain(&scan, at, err);
    return status;
}

enum status json_parse(const char *text, size_t bytes, struct json **out, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_hooks);
    enum status status = scan_text(text, bytes, err);
    if (status != STATUS_OK) return status;
    const char *end = text;
    starved = false;
    cJSON *root = cJSON_ParseWithLengthOpts(text, bytes + 1, &end, true);
    if (!root && starved) return error_set(err, STATUS_NO_MEMORY, "no memory");
    if (!root)
        return error_set(err, STATUS_BAD_FORMAT, "line %zu: not JSON",
                         line_of(text, (size_t)(end - text)));
    *out = (struct json *)(void *)root;
    return STATUS_OK;
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)(void *)root);
}

enum json_kind json_kind(const struct json *value)
{
    const cJSON *item = inside(value);
    if (cJSON_IsBool(item)) return JSON_BOOLEAN;
    if (cJSON_IsNumber(item)) return JSON_NUMBER;
    if (cJSON_IsString(item)) return JSON_STRING;
    if (cJSON_IsArray(item)) return JSON_ARRAY;
    if (cJSON_IsObject(item)) return JSON_OBJECT;
    return JSON_NULL;
}

double json_number(const struct json *value)
{
    assert(json_kind(value) == JSON_NUMBER);
    return inside(value)->valuedouble;
}

bool json_boolean(const struct json *value)
{
    assert(json_kind(value) == JSON_BOOLEAN);
    return cJSON_IsTrue(inside(value));
}

const char *json_string(const struct json *value)
{
    assert(json_kind(value) == JSON_STRING);
    return inside(value)->valuestring;
}

const struct json *json_first(const struct json *value)
{
    return outside(inside(value)->child);
}

const struct json *json_next(const struct json *value)
{
    return outside(inside(value)->next);
}

size_t json_count(const struct json *value)
{
    size_t n = 0;
    for (const struct json *v = json_first(value); v; v = json_next(v)) n++;
    return n;
}

const char *json_key(const struct json *member)
{
    return inside(member)->string;
}

const char *json_describe(char out[JSON_DESCRIPTION_BYTES], const struct json *value)
{
    switch (json_kind(value)) {
    case JSON_NULL: return "null";
    case JSON_BOOLEAN: return json_boolean(value) ? "true" : "false";
    case JSON_NUMBER: snprintf(out, JSON_DESCRIPTION_BYTES, "%.10g", json_number(value)); break;
    case JSON_STRING: return sentence_quote(out, json_string(value), strlen(json_string(value)));
    case JSON_ARRAY: return "an array";
    case JSON_OBJECT: return "an object";
    }
    return out;
}

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
