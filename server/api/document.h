/* document: the JSON of a request's body (models/text/json.h), with answers to what is wrong with it.
 *
 * A key that an object names twice is refused: which one counts would be a guess.
 *
 * The getters read one field each and fill a struct problem with the exact 400: which field, what was
 * found, what was expected. They return false on failure and true otherwise, with *value left as
 * it was if the field is absent. A null counts as absent, as OpenAI's clients have it.
 *
 * A document is owned by its caller and used by one thread; values and texts are borrowed from it
 * until json_free. */
#ifndef CAROUSEL_SERVER_DOCUMENT_H
#define CAROUSEL_SERVER_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/text/json.h"
#include "server/base/errors.h"

/* NULL with *problem filled (invalid_json, and the byte at fault) if text[0..bytes) is not one JSON value
 * within the limits; keys are checked in any case. The caller owns the result. */
struct json *document_parse(const char *text, size_t bytes, const struct json_limits *limits,
                            struct problem *problem);

/* The field getters. Ranges are inclusive. */
bool field_integer(const struct json *object, const char *name, int64_t minimum, int64_t maximum,
                   int64_t *value, struct problem *problem);
bool field_size(const struct json *object, const char *name, size_t minimum, size_t maximum, size_t *value,
                struct problem *problem);
bool field_number(const struct json *object, const char *name, double minimum, double maximum, double *value,
                  struct problem *problem);
bool field_boolean(const struct json *object, const char *name, bool *value, struct problem *problem);
bool field_string(const struct json *object, const char *name, size_t max_bytes, const char **value,
                  struct problem *problem);

/* false, with a problem that names `param` and says what it is and what was expected: "'stop' is a
 * number; expected a string or an array of strings". */
bool field_expected(const struct json *value, const char *param, const char *expected,
                    struct problem *problem);
/* The same if a string is one of a few words: "'align' is 'middle'; expected 'left', 'center' or 'right'". */
bool field_word_expected(const struct json *value, const char *param, const char *expected,
                         struct problem *problem);

#endif
