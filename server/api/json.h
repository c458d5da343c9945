/* json: request bodies, read with suspicion. This is the only part of server/ that knows cJSON.
 *
 * A body is first scanned by a grammar of our own (RFC 8259, nothing more lenient), which bounds depth and
 * number of values and refuses bytes that are not UTF-8, trailing bytes, lone surrogates and \u0000 (the
 * tree's strings end at a zero byte, so the rest would be lost in silence). Only then is the tree
 * built. A key that an object names twice is refused: which one counts would be a guess.
 *
 * The getters read one field each and fill a struct problem with the exact 400: which field, what was
 * found, what was expected. They return false on failure and true otherwise, with *value left as
 * it was if the field is absent. A null counts as absent, as OpenAI's clients have it.
 *
 * A document is owned by its caller and used by one thread; values and texts are borrowed from it
 * until document_free. */
#ifndef CAROUSEL_SERVER_JSON_H
#define CAROUSEL_SERVER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/errors.h"

struct document;       /* a document */
struct value; /* a node of it */

struct document_limits {
    size_t depth;  /* levels of arrays and objects */
    size_t values; /* scalars, arrays, objects and keys together */
};

enum json_kind { JSON_ABSENT, JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* NULL with *problem filled (invalid_json, and the byte at fault) if text[0..bytes) is not one
 * JSON value within the limits. The caller owns the result. */
struct document *document_parse(const char *text, size_t bytes, const struct document_limits *limits,
                        struct problem *problem);
void document_free(struct document *document); /* takes NULL */
const struct value *document_root(const struct document *document);

/* Nodes. value_get: the member `name` of an object, NULL if absent or null. value_kind takes NULL.
 * Children of arrays and objects in order, NULL past the end. value_key: the name under which a
 * child stands in its object. value_count walks the children. */
enum json_kind value_kind(const struct value *value);
const struct value *value_get(const struct value *object, const char *name);
const struct value *value_first(const struct value *value);
const struct value *value_next(const struct value *value);
const char *value_key(const struct value *value);
size_t value_count(const struct value *value);
const char *value_text(const struct value *value); /* of a JSON_STRING */
double value_number(const struct value *value);    /* of a JSON_NUMBER; may be infinite */
bool value_is_true(const struct value *value);     /* of a JSON_BOOLEAN */

/* An integer in [minimum, maximum] (both within 2^53): false if the value is anything else. */
bool value_is_integer(const struct value *value, int64_t minimum, int64_t maximum,
                     int64_t *integer);

/* The field getters. Ranges are inclusive. */
bool field_integer(const struct value *object, const char *name, int64_t minimum,
                      int64_t maximum, int64_t *value, struct problem *problem);
bool field_size(const struct value *object, const char *name, size_t minimum,
                   size_t maximum, size_t *value, struct problem *problem);
bool field_number(const struct value *object, const char *name, double minimum,
                     double maximum, double *value, struct problem *problem);
bool field_boolean(const struct value *object, const char *name, bool *value,
                      struct problem *problem);
bool field_string(const struct value *object, const char *name, size_t max_bytes,
                     const char **value, struct problem *problem);

/* false, with a problem that names `param` and says what it is and what was expected: "'stop' is a
 * number; expected a string or an array of strings". */
bool field_expected(const struct value *value, const char *param, const char *expected,
                   struct problem *problem);

#endif
