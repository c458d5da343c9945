/* json: reading JSON that is not trusted: the files of bundles, and the bodies of requests.
 *
 * A document is parsed whole and then only read; values are borrowed from it until json_free. One pass over
 * the text (models/text/json_scan.h) makes one flat array of it, in which numbers lie as doubles, each
 * rounded exactly. It bounds depth and number of values, and refuses all that RFC 8259 does not allow, bytes
 * that are not UTF-8, lone surrogates, and \u0000, because strings are zero-terminated from here on.
 *
 * The objects of bundles are read by tables (models/text/json_read.c): one struct field a key, saying what it
 * may be and where it goes. A key that is not in the table is an error, except those that begin with '_',
 * which are comments. The fields of requests are read one by one (server/api/document.h).
 * Any thread; one document is shared by threads only to be read. */
#ifndef CAROUSEL_MODELS_JSON_H
#define CAROUSEL_MODELS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "models/text/sentence.h"

/* Of a file. */
enum { JSON_MAX_DEPTH = 16, JSON_MAX_VALUES = 1 << 20, JSON_MAX_BYTES = 1 << 26 };

/* A value of a document, or the document itself: its root. */
struct json;

enum json_kind { JSON_ABSENT, JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_limits {
    size_t depth;     /* levels of arrays and objects, at most 256 */
    size_t values;    /* scalars, arrays and objects together */
    bool checks_keys; /* keys count as values, and no object may hold one twice */
};

enum json_fault_kind {
    JSON_FAULT_NONE,
    JSON_FAULT_SYNTAX, /* `found` at byte `at` ("": the text ends there) where `expected` should be */
    JSON_FAULT_DEPTH,  /* more than limits->depth, at byte `at` */
    JSON_FAULT_VALUES, /* more than limits->values, at byte `at` */
    JSON_FAULT_TWICE,  /* the key `found` stands twice in one object */
    JSON_FAULT_MEMORY
};

/* Why a text was refused. */
struct json_fault {
    enum json_fault_kind kind;
    size_t at;
    char found[QUOTE_BYTES]; /* quoted */
    const char *expected;    /* a constant */
};

/* Parse text[0..bytes). The caller owns the result; NULL with *fault filled. */
struct json *json_parse_within(const char *text, size_t bytes, const struct json_limits *limits,
                               struct json_fault *fault);

/* Parse a file's text[0..bytes), which may begin with a byte order mark. The caller owns *out.
 * STATUS_BAD_FORMAT with the line at which reading stopped, STATUS_TOO_LONG, STATUS_NO_MEMORY. */
MUST_CHECK enum status json_parse(const char *text, size_t bytes, struct json **out,
                                  struct error *err);
void json_free(struct json *root); /* accepts NULL */

enum json_kind json_kind(const struct json *value); /* accepts NULL, which is JSON_ABSENT */
double json_number(const struct json *value);      /* of a JSON_NUMBER; may be infinite */
bool json_boolean(const struct json *value);       /* whether it is true */
const char *json_string(const struct json *value); /* of a JSON_STRING, valid UTF-8; else NULL */
/* An integer in [minimum, maximum] (both within 2^53): false if the value is anything else. */
bool json_is_integer(const struct json *value, int64_t minimum, int64_t maximum, int64_t *integer);
/* The member `name` of an object; NULL if it is absent or null. */
const struct json *json_get(const struct json *object, const char *name);

/* Members of an object or elements of an array, in order: NULL after the last. */
const struct json *json_first(const struct json *value); /* accepts NULL */
const struct json *json_next(const struct json *value);
size_t json_count(const struct json *value); /* accepts NULL; does not walk */
/* Copy the elements of an array of exactly n finite numbers. Return false, with out[0..n) undefined, if the
 * value is anything else. */
bool json_numbers(const struct json *array, double *out, size_t n);
const char *json_key(const struct json *member);

/* A value for a sentence: "null", "3.5", "'text'", "an array"; returns out. */
enum { JSON_DESCRIPTION_BYTES = 96 };
const char *json_describe(char out[JSON_DESCRIPTION_BYTES], const struct json *value);

/* What a key may hold, and the C type that it is stored as. */
enum field_kind {
    FIELD_INTEGER, /* long, in [minimum, maximum] */
    FIELD_NUMBER,  /* double, in [minimum, maximum], or (minimum, maximum] if `above` */
    FIELD_BOOLEAN, /* bool */
    FIELD_STRING,  /* const char *, borrowed; not empty */
    FIELD_CHOICE,  /* long: index into choices[], which NULL ends */
    FIELD_ARRAY,   /* const struct json *, borrowed */
    FIELD_OBJECT,  /* const struct json *, borrowed */
    FIELD_ANY,     /* const struct json *, borrowed */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset; /* of the C variable in the target struct */
    bool required;
    bool above;
    double minimum, maximum;
    const char *const *choices;
};

/* Read `object` into `target` by the table. Keys that are left out leave their variable as it was:
 * set defaults before. On failure the target is partly written. STATUS_BAD_VALUE; the sentence
 * begins with the key, so that callers put the place before it with error_prefix. */
MUST_CHECK enum status json_read(const struct json *object, const struct field *fields, size_t n,
                                 void *target, struct error *err);

/* One value by one row, for values that are not members: `field->name` is what the sentence calls
 * it, `target` the variable itself (offset is not used). */
MUST_CHECK enum status json_read_value(const struct json *value, const struct field *field,
                                       void *target, struct error *err);

/* "; did you mean 'x'?" if one of names[0..n) is a slip away from `name`, else ""; returns out. */
enum { JSON_HINT_BYTES = 128 };
const char *json_hint(char out[JSON_HINT_BYTES], const char *name, const char *const *names,
                      size_t n);

#endif
