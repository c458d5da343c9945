/* Request bodies: a strict scan, then cJSON's tree, then typed getters.
 *
 * cJSON alone is lenient (numbers like 01 and 1., bytes that are not UTF-8, strings cut at a zero byte)
 * and its limits are compile-time constants. So scan() decides what is JSON, in one pass without
 * recursion, and cJSON only builds what has passed. The position of a fault comes from the scan; cJSON's
 * global error pointer, which threads would share, is never read. */
#include "server/api/json.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "models/text/sentence.h"
#include "models/text/utf8.h"

enum { MAX_DEPTH = 256, NUMBER_BYTES = 60, FEW_KEYS = 12 }; /* cJSON cuts numbers at 63 bytes */

struct document {
    cJSON *root;
};

/* ---- the scan ------------------------------------------------------------------------------- */

struct scan {
    const char *text;
    size_t bytes, at;
    const struct document_limits *limits;
    size_t values;
    size_t depth;
    bool has_long_number;
    char open[MAX_DEPTH]; /* '[' or '{' of each level */
    struct problem *problem;
};

static bool fault_at(struct scan *scan, const char *expected)
{
    if (scan->at >= scan->bytes)
        return problem_set(scan->problem, FAULT_INVALID_JSON, NULL,
                           "the body is not valid JSON: it ends at byte %zu; expected %s", scan->bytes,
                           expected);
    char shown[QUOTE_BYTES];
    uint32_t code;
    size_t n = utf8_decode(scan->text + scan->at, scan->bytes - scan->at, &code);
    sentence_quote(shown, scan->text + scan->at, n ? n : 1);
    return problem_set(scan->problem, FAULT_INVALID_JSON, NULL,
                       "the body is not valid JSON: found %s at byte %zu; expected %s", shown, scan->at,
                       expected);
}

static int peek(const struct scan *scan)
{
    return scan->at < scan->bytes ? (unsigned char)scan->text[scan->at] : -1;
}

static void skip_space(struct scan *scan)
{
    int c;
    while ((c = peek(scan)) == ' ' || c == '\t' || c == '\n' || c == '\r') scan->at++;
}

static size_t skip_digits(struct scan *scan)
{
    size_t begin = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9') scan->at++;
    return scan->at - begin;
}

static bool scan_number(struct scan *scan)
{
    size_t begin = scan->at;
    if (peek(scan) == '-') scan->at++;
    size_t digits_at = scan->at, n = skip_digits(scan);
    if (!n) return fault_at(scan, "a digit");
    if (n > 1 && scan->text[digits_at] == '0') {
        scan->at = digits_at + 1;
        return fault_at(scan, "no digit after a leading zero");
    }
    if (peek(scan) == '.') {
        scan->at++;
        if (!skip_digits(scan)) return fault_at(scan, "a digit");
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '-' || peek(scan) == '+') scan->at++;
        if (!skip_digits(scan)) return fault_at(scan, "a digit");
    }
    scan->has_long_number |= scan->at - begin > NUMBER_BYTES;
    return true;
}

static bool scan_hex4(struct scan *scan, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        int c = peek(scan);
        if (c >= '0' && c <= '9') *unit = *unit * 16 + (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f') *unit = *unit * 16 + (unsigned)((c | 32) - 'a') + 10;
        else return fault_at(scan, "four hexadecimal digits after \\u");
    }
    return true;
}

/* After the backslash. */
static bool scan_escape(struct scan *scan)
{
    int c = peek(scan);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || !c) return fault_at(scan, "an escape such as \\n or \\u00e9");
    size_t begin = scan->at++;
    if (c != 'u') return true;
    unsigned unit, low = 0;
    if (!scan_hex4(scan, &unit)) return false;
    if (!unit) {
        scan->at = begin;
        return fault_at(scan, "no \\u0000: texts must not hold a zero character");
    }
    if (unit < 0xd800 || unit > 0xdfff) return true;
    bool paired = unit < 0xdc00 && peek(scan) == '\\' && scan->at + 1 < scan->bytes &&
                  scan->text[scan->at + 1] == 'u';
    if (paired) {
        scan->at += 2;
        if (!scan_hex4(scan, &low)) return false;
    }
    if (low >= 0xdc00 && low <= 0xdfff) return true;
    scan->at = begin;
    return fault_at(scan, "a pair of surrogates");
}

static bool scan_string(struct scan *scan)
{
    if (peek(scan) != '"') return fault_at(scan, "a string");
    scan->at++;
    for (;;) {
        int c = peek(scan);
        if (c == '"') break;
        if (c < 0) return fault_at(scan, "the end of a string");
        if (c < 32) return fault_at(scan, "no control character inside a string (write it as an escape)");
        if (c == '\\') {
            scan->at++;
            if (!scan_escape(scan)) return false;
        } else if (c < 128) scan->at++;
        else {
            uint32_t code;
            size_t n = utf8_decode(scan->text + scan->at, scan->bytes - scan->at, &code);
            if (!n) return fault_at(scan, "UTF-8");
            scan->at += n;
        }
    }
    scan->at++;
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);
    if (scan->bytes - scan->at < n || memcmp(scan->text + scan->at, word, n))
        return fault_at(scan, "a value (object, array, string, number, true, false or null)");
    scan->at += n;
    return true;
}

static bool scan_count(struct scan *scan)
{
    if (++scan->values <= scan->limits->values) return true;
    return problem_set(scan->problem, FAULT_INVALID_JSON, NULL,
                       "the body holds more than %zu values (limits.json_values)", scan->limits->values);
}

static bool scan_open(struct scan *scan)
{
    if (scan->depth >= scan->limits->depth || scan->depth >= MAX_DEPTH)
        return problem_set(scan->problem, FAULT_INVALID_JSON, NULL,
                           "the body nests deeper than %zu levels (limits.json_depth)", scan->limits->depth);
    scan->open[scan->depth++] = scan->text[scan->at++];
    return true;
}

/* "key": of an object's member. */
static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (!scan_count(scan)) return false;
    if (peek(scan) != '"') return fault_at(scan, "a key in double quotes");
    if (!scan_string(scan)) return false;
    skip_space(scan);
    if (peek(scan) != ':') return fault_at(scan, "':'");
    scan->at++;
    return true;
}

/* Refuse what Python's json module and others write for a float that is no number. */
static bool scan_no_number(struct scan *scan)
{
    char shown[QUOTE_BYTES];
    size_t n = peek(scan) == '-' || peek(scan) == '+';
    while (scan->at + n < scan->bytes && isalpha((unsigned char)scan->text[scan->at + n])) n++;
    return problem_set(scan->problem, FAULT_INVALID_JSON, NULL,
                       "the body is not valid JSON: found %s at byte %zu; expected a finite number: send "
                       "null for a missing value",
                       sentence_quote(shown, scan->text + scan->at, n), scan->at);
}

/* NaN, Infinity or inf, in any case and with any sign. */
static bool is_no_number(const struct scan *scan)
{
    const char *text = scan->text + scan->at;
    size_t left = scan->bytes - scan->at, sign = left && (*text == '-' || *text == '+');
    return left >= sign + 3 && (!strncasecmp(text + sign, "nan", 3) || !strncasecmp(text + sign, "inf", 3));
}

/* A value's beginning: a whole scalar or an opening bracket (then *opened). */
static bool scan_value(struct scan *scan, bool *opened)
{
    *opened = false;
    skip_space(scan);
    if (!scan_count(scan)) return false;
    int c = peek(scan);
    if (c == '[' || c == '{') {
        *opened = true;
        return scan_open(scan);
    }
    if (c == '"') return scan_string(scan);
    if (is_no_number(scan)) return scan_no_number(scan);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(scan);
    return scan_word(scan, c == 't' ? "true" : c == 'f' ? "false" : "null");
}

/* After a value: close what ends here; true with *more if a sibling follows. */
static bool scan_after(struct scan *scan, bool *more)
{
    for (*more = false; scan->depth;) {
        skip_space(scan);
        char close = scan->open[scan->depth - 1] == '[' ? ']' : '}';
        int c = peek(scan);
        if (c == ',') {
            scan->at++;
            *more = true;
            return close == ']' || scan_key(scan);
        }
        if (c != close) return fault_at(scan, close == ']' ? "',' or ']'" : "',' or '}'");
        scan->at++;
        scan->depth--;
    }
    return true;
}

static bool scan_document(struct scan *scan)
{
    bool opened, more = true;
    while (more) {
        if (!scan_value(scan, &opened)) return false;
        if (opened) {
            bool array = scan->open[scan->depth - 1] == '[';
            skip_space(scan);
            if (peek(scan) != (array ? ']' : '}')) {
                if (!array && !scan_key(scan)) return false;
                continue;
            }
        }
        if (!scan_after(scan, &more)) return false;
    }
    skip_space(scan);
    return scan->at == scan->bytes || fault_at(scan, "nothing after the value");
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
    char *copy = malloc(bytes + 1);
    if (!copy) return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    for (size_t at = 0, n; at < bytes; at += n) {
        n = strspn(copy + at, "+-.0123456789eE");
        if (n > NUMBER_BYTES) shorten(copy + at, n);
        if (!n) n = copy[at] == '"' ? string_end(copy, at) - at : 1;
    }
    return copy;
}

/* ---- the tree ------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool duplicate(const char *key, struct problem *problem)
{
    char shown[QUOTE_BYTES];
    return problem_set(problem, FAULT_INVALID_JSON, NULL, "the key %s stands twice in one object",
                       sentence_quote(shown, key, strlen(key)));
}

/* Few keys pair by pair, many by sorting, so that no object costs the square of its size. */
static bool check_keys(const cJSON *object, struct problem *problem)
{
    size_t n = 0;
    for (const cJSON *child = object->child; child; child = child->next, n++)
        for (const cJSON *other = object->child; n < FEW_KEYS && other != child; other = other->next)
            if (!strcmp(other->string, child->string)) return duplicate(child->string, problem);
    if (n <= FEW_KEYS) return true;
    const char **keys = malloc(n * sizeof *keys);
    if (!keys) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    n = 0;
    for (const cJSON *child = object->child; child; child = child->next) keys[n++] = child->string;
    qsort(keys, n, sizeof *keys, compare_keys);
    bool unique = true;
    for (size_t i = 1; i < n && unique; i++)
        if (!strcmp(keys[i - 1], keys[i])) unique = duplicate(keys[i], problem);
    free(keys);
    return unique;
}

/* Every object of the tree; depth is bounded by the scan. */
static bool check_tree(const cJSON *node, struct problem *problem)
{
    if (cJSON_IsObject(node) && !check_keys(node, problem)) return false;
    for (const cJSON *child = node->child; child; child = child->next)
        if (child->child && !check_tree(child, problem)) return false;
    return true;
}

struct document *document_parse(const char *text, size_t bytes, const struct document_limits *limits,
                        struct problem *problem)
{
    struct scan scan = {.text = text, .bytes = bytes, .limits = limits, .problem = problem};
    if (!scan_document(&scan)) return NULL;
    char *shorter = scan.has_long_number ? without_long_numbers(text, bytes) : NULL;
    struct document *document = scan.has_long_number && !shorter ? NULL : calloc(1, sizeof *document);
    if (document) document->root = cJSON_ParseWithLength(shorter ? shorter : text, bytes);
    free(shorter);
    if (!document || !document->root) {
        problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        document_free(document);
        return NULL;
    }
    if (check_tree(document->root, problem)) return document;
    document_free(document);
    return NULL;
}

void document_free(struct document *document)
{
    if (!document) return;
    cJSON_Delete(document->root);
    free(document);
}

static const struct value *wrap(const cJSON *node)
{
    return (const struct value *)node;
}

static const cJSON *unwrap(const struct value *value)
{
    return (const cJSON *)value;
}

const struct value *document_root(const struct document *document)
{
    return wrap(document->root);
}

enum json_kind value_kind(const struct value *value)
{
    if (!value) return JSON_ABSENT;
    const cJSON *node = unwrap(value);
    if (cJSON_IsBool(node)) return JSON_BOOLEAN;
    if (cJSON_IsNumber(node)) return JSON_NUMBER;
    if (cJSON_IsString(node)) return JSON_STRING;
    if (cJSON_IsArray(node)) return JSON_ARRAY;
    if (cJSON_IsObject(node)) return JSON_OBJECT;
    return JSON_NULL;
}

const struct value *value_get(const struct value *object, const char *name)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(unwrap(object), name);
    return node && !cJSON_IsNull(node) ? wrap(node) : NULL;
}

const struct value *value_first(const struct value *value)
{
    return value ? wrap(unwrap(value)->child) : NULL;
}

const struct value *value_next(const struct value *value)
{
    return wrap(unwrap(value)->next);
}

const char *value_key(const struct value *value)
{
    return unwrap(value)->string;
}

size_t value_count(const struct value *value)
{
    size_t n = 0;
    for (const struct value *child = value_first(value); child; child = value_next(child)) n++;
    return n;
}

const char *value_text(const struct value *value)
{
    return unwrap(value)->valuestring;
}

double value_number(const struct value *value)
{
    return unwrap(value)->valuedouble;
}

bool value_is_true(const struct value *value)
{
    return cJSON_IsTrue(unwrap(value));
}

/* ---- the getters ---------------------------------------------------------------------------- */

/* What was found, as a sentence has it. */
static const char *found(const struct value *value, char out[QUOTE_BYTES])
{
    switch (value_kind(value)) {
    case JSON_ABSENT: return "missing";
    case JSON_NULL: return "null";
    case JSON_BOOLEAN: return cJSON_IsTrue(unwrap(value)) ? "true" : "false";
    case JSON_NUMBER:
        snprintf(out, QUOTE_BYTES, "%.15g", value_number(value));
        return out;
    case JSON_STRING: return value_text(value)[0] ? "a string" : "an empty string";
    case JSON_ARRAY: return value_first(value) ? "an array" : "an empty array";
    case JSON_OBJECT: return "an object";
    }
    return "missing";
}

bool field_expected(const struct value *value, const char *param, const char *expected,
                   struct problem *problem)
{
    char shown[QUOTE_BYTES];
    return problem_set(problem, FAULT_INVALID_VALUE, param, "'%s' is %s; expected %s", param,
                       found(value, shown), expected);
}

bool value_is_integer(const struct value *value, int64_t minimum, int64_t maximum,
                     int64_t *integer)
{
    if (value_kind(value) != JSON_NUMBER) return false;
    double number = value_number(value);
    if (!(fabs(number) <= 9007199254740991.0) || number != floor(number)) return false;
    if (number < (double)minimum || number > (double)maximum) return false;
    *integer = (int64_t)number;
    return true;
}

bool field_integer(const struct value *object, const char *name, int64_t minimum,
                      int64_t maximum, int64_t *value, struct problem *problem)
{
    const struct value *field = value_get(object, name);
    if (!field || value_is_integer(field, minimum, maximum, value)) return true;
    char expected[96];
    snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)minimum,
             (long long)maximum);
    return field_expected(field, name, expected, problem);
}

bool field_size(const struct value *object, const char *name, size_t minimum,
                   size_t maximum, size_t *value, struct problem *problem)
{
    int64_t integer = (int64_t)*value;
    if (!field_integer(object, name, (int64_t)minimum, (int64_t)maximum, &integer, problem)) return false;
    *value = (size_t)integer;
    return true;
}

bool field_number(const struct value *object, const char *name, double minimum,
                     double maximum, double *value, struct problem *problem)
{
    const struct value *field = value_get(object, name);
    if (!field) return true;
    double number = value_kind(field) == JSON_NUMBER ? value_number(field) : NAN;
    if (number >= minimum && number <= maximum) {
        *value = number;
        return true;
    }
    char expected[96];
    snprintf(expected, sizeof expected, "a number from %g to %g", minimum, maximum);
    return field_expected(field, name, expected, problem);
}

bool field_boolean(const struct value *object, const char *name, bool *value,
                      struct problem *problem)
{
    const struct value *field = value_get(object, name);
    if (!field) return true;
    if (value_kind(field) != JSON_BOOLEAN) return field_expected(field, name, "true or false", problem);
    *value = cJSON_IsTrue(unwrap(field));
    return true;
}

bool field_string(const struct value *object, const char *name, size_t max_bytes,
                     const char **value, struct problem *problem)
{
    const struct value *field = value_get(object, name);
    if (!field) return true;
    if (value_kind(field) != JSON_STRING) return field_expected(field, name, "a string", problem);
    if (strlen(value_text(field)) > max_bytes)
        return problem_set(problem, FAULT_INPUT_TOO_LONG, name,
                           "'%s' is %zu bytes long; expected at most %zu", name, strlen(value_text(field)),
                           max_bytes);
    *value = value_text(field);
    return true;
}
