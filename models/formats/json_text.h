/* json_text: JSON written into a text that grows in a pool. It never fails on its way: a text that had no
 * memory is told at the end. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_JSON_TEXT_H
#define CAROUSEL_MODELS_IMPORT_JSON_TEXT_H

#include <stdbool.h>

#include "models/formats/pool.h"

struct json_text {
    struct pool *pool;
    char *text; /* [n], zero-terminated */
    size_t n, room;
    bool spent;
};

void json_text_put(struct json_text *json, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A string in quotes. */
void json_text_string(struct json_text *json, const char *text);
/* Numbers in brackets, with so many digits. */
void json_text_numbers(struct json_text *json, const double *values, size_t n, int digits);

#endif
