/* urlencoded: a body of type application/x-www-form-urlencoded as JSON, so that one reader does for both.
 * Pure; any thread. */
#ifndef CAROUSEL_SERVER_URLENCODED_H
#define CAROUSEL_SERVER_URLENCODED_H

#include <stddef.h>

#include "server/base/json_writer.h"

/* Write an object of the form's fields, all of them strings, unescaped ("+" is a space; a "%" that is no
 * escape is itself). A field that is there twice is in it twice, for the parser of JSON to refuse; bytes that
 * are not UTF-8 become U+FFFD. */
void urlencoded_put(const char *body, size_t bytes, struct writer *out);

#endif
