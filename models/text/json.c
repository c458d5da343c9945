/* A scan, then cJSON's tree. The position of a fault comes from the scan; cJSON's global error pointer, which
 * threads would share, is never read. */
#include "models/text/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/json_scan.h"

enum { FEW_KEYS = 12 };

/* struct json is never defined: it is what this file calls a cJSON outside. */
static const cJSON *inside(const struct json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json *outside(const cJSON *item)
{
    return (const struct json *)(const void *)item;
}

static void set_hooks(void)
{
    cJSON_Hooks hooks = {.malloc_fn = memory_raw, .free_fn = memory_free};
    cJSON_InitHooks(&hooks);
}

/* ---- long numbers --------------------------------------------------------------------------- */

/* Behind the string that begins at text[at]. */
static size_t string_end(const char *text, size_t at)
{
    while (text[++at] != '"') at += text[at] == '\\';
    return at + 1;
}

/* Write the number that text[0..n) rounds to over it, with blanks behind. Too large ones stay so. */
static void shorten(char *text, size_t n)
{
    char number[32];
    int bytes = snprintf(number, sizeof number, "%.17g", strtod(text, NULL));
    if (!strpbrk(number, "0123456789"))
        bytes = snprintf(number, sizeof number, "%s1e999", *text == '-' ? "-" : "");
    memset(text, ' ', n);
    memcpy(text, number, (size_t)bytes);
}

/* A copy of a text that the scan has taken, with no number longer than cJSON reads. NULL: no memory. */
static char *without_long_numbers(const char *text, size_t bytes)
{
    char *copy = memory_raw(bytes + 1);
    if (!copy) return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    for (size_t at = 0, n; at < bytes; at += n) {
        n = strspn(copy + at, "+-.0123456789eE");
        if (n > JSON_SCAN_NUMBER_BYTES) shorten(copy + at, n);
        if (!n) n = copy[at] == '"' ? string_end(copy, at) - at : 1;
    }
    return copy;
}

/* ---- the tree ------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool duplicate(const char *key, struct json_fault *fault)
{
    *fault = (struct json_fault){.kind = JSON_FAULT_TWICE};
    sentence_quote(fault->found, key, strlen(key));
    return false;
}

/* Few keys pair by pair, many by sorting, so that no object costs the square of its size. */
static bool check_keys(const cJSON *object, struct json_fault *fault)
{
    size_t n = 0;
    for (const cJSON *child = object->child; child; child = child->next, n++)
        for (const cJSON *other = object->child; n < FEW_KEYS && other != child; other = other->next)
            if (!strcmp(other->string, child->string)) return duplicate(child->string, fault);
    if (n <= FEW_KEYS) return true;
    const char **keys = memory_raw(n * sizeof *keys);
    if (!keys) {
        fault->kind = JSON_FAULT_MEMORY;
        return false;
    }
    n = 0;
    for (const cJSON *child = object->child; child; child = child->next) keys[n++] = child->string;
    qsort(keys, n, sizeof *keys, compare_keys);
    bool unique = true;
    for (size_t i = 1; i < n && unique; i++)
        if (!strcmp(keys[i - 1], keys[i])) unique = duplicate(keys[i], fault);
    memory_free(keys);
    return unique;
}

/* Every object of the tree; depth is bounded by the scan. */
static bool check_tree(const cJSON *node, struct json_fault *fault)
{
    if (cJSON_IsObject(node) && !check_keys(node, fault)) return false;
    for (const cJSON *child = node->child; child; child = child->next)
        if (child->child && !check_tree(child, fault)) return false;
    return true;
}

struct json *json_parse_within(const char *text, size_t bytes, const struct json_limits *limits,
                               struct json_fault *fault)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool has_long_number;
    pthread_once(&once, set_hooks);
    if (!json_scan(text, bytes, limits, &has_long_number, fault)) return NULL;
    char *shorter = has_long_number ? without_long_numbers(text, bytes) : NULL;
    cJSON *root = NULL;
    if (shorter || !has_long_number) root = cJSON_ParseWithLength(shorter ? shorter : text, bytes);
    memory_free(shorter);
    if (!root) fault->kind = JSON_FAULT_MEMORY; /* the scan has let it through */
    else if (!limits->checks_keys || check_tree(root, fault)) return (struct json *)(void *)root;
    cJSON_Delete(root);
    return NULL;
}

static size_t line_of(const char *text, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++) line += text[i] == '\n';
    return line;
}

enum status json_parse(const char *text, size_t bytes, struct json **out, struct error *err)
{
    static const struct json_limits limits = {.depth = JSON_MAX_DEPTH, .values = JSON_MAX_VALUES};
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, with which some editors begin a file */
    struct json_fault fault;
    if (bytes > JSON_MAX_BYTES)
        return error_set(err, STATUS_TOO_LONG, "%zu bytes, expected at most %d", bytes, (int)JSON_MAX_BYTES);
    size_t skipped = bytes >= strlen(mark) && !memcmp(text, mark, strlen(mark)) ? strlen(mark) : 0;
    text += skipped;
    *out = json_parse_within(text, bytes - skipped, &limits, &fault);
    if (*out) return STATUS_OK;
    if (fault.kind == JSON_FAULT_MEMORY) return error_set(err, STATUS_NO_MEMORY, "no memory");
    if (fault.kind == JSON_FAULT_VALUES)
        return error_set(err, STATUS_TOO_LONG, "more than %d values", (int)JSON_MAX_VALUES);
    size_t line = line_of(text, fault.at);
    if (fault.kind == JSON_FAULT_DEPTH)
        return error_set(err, STATUS_BAD_FORMAT, "line %zu: nested deeper than %d levels", line,
                         (int)JSON_MAX_DEPTH);
    if (!*fault.found)
        return error_set(err, STATUS_BAD_FORMAT, "line %zu: not JSON: it ends; expected %s", line,
                         fault.expected);
    return error_set(err, STATUS_BAD_FORMAT, "line %zu: not JSON: found %s; expected %s", line, fault.found,
                     fault.expected);
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)(void *)root);
}

/* ---- values --------------------------------------------------------------------------------- */

enum json_kind json_kind(const struct json *value)
{
    if (!value) return JSON_ABSENT;
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
    return inside(value)->valuedouble;
}

bool json_boolean(const struct json *value)
{
    return cJSON_IsTrue(inside(value));
}

const char *json_string(const struct json *value)
{
    return inside(value)->valuestring;
}

bool json_is_integer(const struct json *value, int64_t minimum, int64_t maximum, int64_t *integer)
{
    if (json_kind(value) != JSON_NUMBER) return false;
    double number = json_number(value);
    if (!(fabs(number) <= 9007199254740991.0) || number != floor(number)) return false;
    if (number < (double)minimum || number > (double)maximum) return false;
    *integer = (int64_t)number;
    return true;
}

const struct json *json_get(const struct json *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(inside(object), name);
    return item && !cJSON_IsNull(item) ? outside(item) : NULL;
}

const struct json *json_first(const struct json *value)
{
    return value ? outside(inside(value)->child) : NULL;
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
    case JSON_ABSENT: return "missing";
    case JSON_NULL: return "null";
    case JSON_BOOLEAN: return json_boolean(value) ? "true" : "false";
    case JSON_NUMBER: snprintf(out, JSON_DESCRIPTION_BYTES, "%.10g", json_number(value)); break;
    case JSON_STRING: return sentence_quote(out, json_string(value), strlen(json_string(value)));
    case JSON_ARRAY: return "an array";
    case JSON_OBJECT: return "an object";
    }
    return out;
}
