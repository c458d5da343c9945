/* json: reading the JSON of a bundle, with sentences that a human can act on.
 *
 * A document is parsed whole and then only read; values are borrowed from it until json_free. It is
 * checked before the parser (cJSON, which models/text/json.c alone includes on this floor) sees it: UTF-8,
 * nesting at most JSON_MAX_DEPTH, at most JSON_MAX_VALUES values, no control characters, and no
 * \u0000, because strings are zero-terminated from here on.
 *
 * Objects are read by tables: one struct field a key, saying what it may be and where it goes. A
 * key that is not in the table is an error, except those that begin with '_', which are
 * comments. Any thread; one document is shared by threads only to be read. */
#ifndef CAROUSEL_MODELS_JSON_H
#define CAROUSEL_MODELS_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

enum { JSON_MAX_DEPTH = 16, JSON_MAX_VALUES = 1 << 20, JSON_MAX_BYTES = 1 << 26 };

/* A value of a document, or the document itself: its root. */
struct json;

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Parse text[0..bytes), which is followed by a zero byte. The caller owns *out. STATUS_BAD_FORMAT
 * with the line where reading stopped, STATUS_TOO_LONG, STATUS_NO_MEMORY. */
MUST_CHECK enum status json_parse(const char *text, size_t bytes, struct json **out,
                                  struct error *err);
void json_free(struct json *root); /* takes NULL */

enum json_kind json_kind(const struct json *value);
/* The value as C has it; asserts the kind. Strings are valid UTF-8. */
double json_number(const struct json *value);
bool json_boolean(const struct json *value);
const char *json_string(const struct json *value);

/* Members of an object or elements of an array, in order: NULL after the last. */
const struct json *json_first(const struct json *value);
const struct json *json_next(const struct json *value);
size_t json_count(const struct json *value); /* walks the list: keep it */
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
