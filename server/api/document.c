/* Sentences for a client, about what the scan or a getter has found. */
#include "server/api/document.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct json *document_parse(const char *text, size_t bytes, const struct json_limits *limits,
                            struct problem *problem)
{
    struct json_limits strict = *limits;
    struct json_fault fault;
    strict.checks_keys = true;
    struct json *document = json_parse_within(text, bytes, &strict, &fault);
    if (document) return document;
    switch (fault.kind) {
    case JSON_FAULT_VALUES:
        problem_set(problem, FAULT_INVALID_JSON, NULL,
                    "the body holds more than %zu values (limits.json_values)", limits->values);
        break;
    case JSON_FAULT_DEPTH:
        problem_set(problem, FAULT_INVALID_JSON, NULL,
                    "the body nests deeper than %zu levels (limits.json_depth)", limits->depth);
        break;
    case JSON_FAULT_TWICE:
        problem_set(problem, FAULT_INVALID_JSON, NULL, "the key %s stands twice in one object", fault.found);
        break;
    case JSON_FAULT_SYNTAX:
        if (*fault.found)
            problem_set(problem, FAULT_INVALID_JSON, NULL,
                        "the body is not valid JSON: found %s at byte %zu; expected %s", fault.found,
                        fault.at, fault.expected);
        else
            problem_set(problem, FAULT_INVALID_JSON, NULL,
                        "the body is not valid JSON: it ends at byte %zu; expected %s", bytes,
                        fault.expected);
        break;
    case JSON_FAULT_NONE:
    case JSON_FAULT_MEMORY: problem_set(problem, FAULT_NO_MEMORY, NULL, NULL); break;
    }
    return NULL;
}

/* What was found, as a sentence has it. */
static const char *found(const struct json *value, char out[QUOTE_BYTES])
{
    switch (json_kind(value)) {
    case JSON_ABSENT: return "missing";
    case JSON_NULL: return "null";
    case JSON_BOOLEAN: return json_boolean(value) ? "true" : "false";
    case JSON_NUMBER:
        snprintf(out, QUOTE_BYTES, "%.15g", json_number(value));
        return out;
    case JSON_STRING: return json_string(value)[0] ? "a string" : "an empty string";
    case JSON_ARRAY: return json_first(value) ? "an array" : "an empty array";
    case JSON_OBJECT: return "an object";
    }
    return "missing";
}

bool field_expected(const struct json *value, const char *param, const char *expected,
                    struct problem *problem)
{
    char shown[QUOTE_BYTES];
    return problem_set(problem, FAULT_INVALID_VALUE, param, "'%s' is %s; expected %s", param,
                       found(value, shown), expected);
}

bool field_word_expected(const struct json *value, const char *param, const char *expected,
                         struct problem *problem)
{
    char shown[QUOTE_BYTES];
    const char *word = json_kind(value) == JSON_STRING ? json_string(value) : "";
    if (!*word) return field_expected(value, param, expected, problem);
    return problem_set(problem, FAULT_INVALID_VALUE, param, "'%s' is %s; expected %s", param,
                       sentence_quote(shown, word, strlen(word)), expected);
}

bool field_integer(const struct json *object, const char *name, int64_t minimum, int64_t maximum,
                   int64_t *value, struct problem *problem)
{
    const struct json *field = json_get(object, name);
    if (!field || json_is_integer(field, minimum, maximum, value)) return true;
    char expected[96];
    snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)minimum,
             (long long)maximum);
    return field_expected(field, name, expected, problem);
}

bool field_size(const struct json *object, const char *name, size_t minimum, size_t maximum, size_t *value,
                struct problem *problem)
{
    int64_t integer = (int64_t)*value;
    if (!field_integer(object, name, (int64_t)minimum, (int64_t)maximum, &integer, problem)) return false;
    *value = (size_t)integer;
    return true;
}

bool field_number(const struct json *object, const char *name, double minimum, double maximum, double *value,
                  struct problem *problem)
{
    const struct json *field = json_get(object, name);
    if (!field) return true;
    double number = json_kind(field) == JSON_NUMBER ? json_number(field) : NAN;
    if (number >= minimum && number <= maximum) {
        *value = number;
        return true;
    }
    char expected[96];
    snprintf(expected, sizeof expected, "a number from %g to %g", minimum, maximum);
    return field_expected(field, name, expected, problem);
}

bool field_boolean(const struct json *object, const char *name, bool *value, struct problem *problem)
{
    const struct json *field = json_get(object, name);
    if (!field) return true;
    if (json_kind(field) != JSON_BOOLEAN) return field_expected(field, name, "true or false", problem);
    *value = json_boolean(field);
    return true;
}

bool field_string(const struct json *object, const char *name, size_t max_bytes, const char **value,
                  struct problem *problem)
{
    const struct json *field = json_get(object, name);
    if (!field) return true;
    if (json_kind(field) != JSON_STRING) return field_expected(field, name, "a string", problem);
    if (strlen(json_string(field)) > max_bytes)
        return problem_set(problem, FAULT_INPUT_TOO_LONG, name,
                           "'%s' is %zu bytes long; expected at most %zu", name, strlen(json_string(field)),
                           max_bytes);
    *value = json_string(field);
    return true;
}
