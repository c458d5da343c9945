/* The words of a scan (models/text/json_scan.h), read. */
#include "models/text/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/json_scan.h"

enum { FEW_KEYS = 12 };

/* struct json is never defined: it is what this file calls a word outside. */
static const uint64_t *inside(const struct json *value)
{
    return (const uint64_t *)(const void *)value;
}

static const struct json *outside(const uint64_t *word)
{
    return (const struct json *)(const void *)word;
}

static unsigned tag_of(uint64_t word)
{
    return (unsigned)(word >> WORD_TAG_SHIFT);
}

static const char *text_at(const uint64_t *address)
{
    return (const char *)(uintptr_t)*address;
}

/* ---- keys ----------------------------------------------------------------------------------- */

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

static bool check_few(const char *const *keys, size_t n, struct json_fault *fault)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(keys[k], keys[i])) return duplicate(keys[i], fault);
    return true;
}

static bool check_sorted(const char **keys, size_t n, struct json_fault *fault)
{
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(keys[i - 1], keys[i])) return duplicate(keys[i], fault);
    return true;
}

/* Few keys pair by pair, many by sorting, so that no object costs the square of its size. */
static bool check_keys(const struct json *object, struct json_fault *fault)
{
    const char *few[FEW_KEYS];
    size_t n = json_count(object), i = 0;
    bool is_few = n <= FEW_KEYS;
    const char **keys = is_few ? few : memory_raw(n * sizeof *keys);
    if (!keys) {
        fault->kind = JSON_FAULT_MEMORY;
        return false;
    }
    for (const struct json *v = json_first(object); v; v = json_next(v)) keys[i++] = json_key(v);
    bool unique = is_few ? check_few(keys, n, fault) : check_sorted(keys, n, fault);
    if (!is_few) memory_free(keys);
    return unique;
}

/* Whether an array holds nothing but values of one word, which are no objects. */
static bool is_flat(const struct json *value)
{
    enum { WORDS_BESIDE = 3 };
    return json_kind(value) == JSON_ARRAY && inside(value)[1] == json_count(value) + WORDS_BESIDE;
}

/* Every object of the tree; depth is bounded by the scan. */
static bool check_tree(const struct json *node, struct json_fault *fault)
{
    if (json_kind(node) == JSON_OBJECT && !check_keys(node, fault)) return false;
    for (const struct json *child = json_first(node); child; child = json_next(child))
        if (json_first(child) && !is_flat(child) && !check_tree(child, fault)) return false;
    return true;
}

/* ---- documents ------------------------------------------------------------------------------ */

struct json *json_parse_within(const char *text, size_t bytes, const struct json_limits *limits,
                               struct json_fault *fault)
{
    struct json_words *words = json_scan(text, bytes, limits, fault);
    if (!words) return NULL;
    struct json *root = (struct json *)(void *)(words->words + WORDS_BEFORE);
    if (!limits->checks_keys || check_tree(root, fault)) return root;
    json_words_free(words);
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
    enum { BEFORE = offsetof(struct json_words, words) + WORDS_BEFORE * sizeof(uint64_t) };
    if (root) json_words_free((void *)((char *)root - BEFORE));
}

/* ---- values --------------------------------------------------------------------------------- */

enum json_kind json_kind(const struct json *value)
{
    static const enum json_kind kinds[] = {JSON_NULL,   JSON_BOOLEAN, JSON_BOOLEAN,
                                           JSON_STRING, JSON_ARRAY,   JSON_OBJECT};
    if (!value) return JSON_ABSENT;
    unsigned tag = tag_of(*inside(value));
    return tag < WORD_NULL ? JSON_NUMBER : kinds[tag - WORD_NULL];
}

double json_number(const struct json *value)
{
    double number;
    memcpy(&number, inside(value), sizeof number);
    return number;
}

bool json_boolean(const struct json *value)
{
    return tag_of(*inside(value)) == WORD_TRUE;
}

const char *json_string(const struct json *value)
{
    return json_kind(value) == JSON_STRING ? text_at(inside(value) + 1) : NULL;
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
    const struct json *member = json_kind(object) == JSON_OBJECT ? json_first(object) : NULL;
    while (member && strcmp(json_key(member), name)) member = json_next(member);
    return json_kind(member) == JSON_NULL ? NULL : member;
}

/* The value at a word, or behind the key there. */
static const struct json *value_at(const uint64_t *word)
{
    unsigned tag = tag_of(*word);
    if (tag == WORD_END) return NULL;
    return outside(tag == WORD_KEY ? word + 2 : word);
}

const struct json *json_first(const struct json *value)
{
    enum json_kind kind = json_kind(value);
    return kind == JSON_ARRAY || kind == JSON_OBJECT ? value_at(inside(value) + 2) : NULL;
}

const struct json *json_next(const struct json *value)
{
    const uint64_t *word = inside(value);
    switch (tag_of(*word)) {
    case WORD_STRING: return value_at(word + 2);
    case WORD_ARRAY:
    case WORD_OBJECT: return value_at(word + word[1]);
    default: return value_at(word + 1);
    }
}

size_t json_count(const struct json *value)
{
    enum json_kind kind = json_kind(value);
    if (kind != JSON_ARRAY && kind != JSON_OBJECT) return 0;
    return (size_t)(*inside(value) & (((uint64_t)1 << WORD_TAG_SHIFT) - 1));
}

/* The exponent of a word that is no finite number is all ones. */
bool json_numbers(const struct json *array, double *out, size_t n)
{
    static const uint64_t exponent = UINT64_C(0x7ff) << 52;
    uint64_t others = 0;
    if (json_kind(array) != JSON_ARRAY || json_count(array) != n) return false;
    const uint64_t *word = inside(array) + 2;
    for (size_t i = 0; i < n; i++) others |= (word[i] & exponent) == exponent;
    if (n && !others) memcpy(out, word, n * sizeof *out);
    return !others;
}

const char *json_key(const struct json *member)
{
    const uint64_t *word = inside(member) - 2;
    return tag_of(*word) == WORD_KEY ? text_at(word + 1) : NULL;
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
