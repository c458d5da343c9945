#include "models/formats/json_text.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 4096, PIECE_BYTES = 512 };

static void append(struct json_text *json, const char *text, size_t bytes)
{
    if (json->spent || bytes > SIZE_MAX / 4 - json->n) {
        json->spent = true;
        return;
    }
    if (json->n + bytes + 1 > json->room) {
        size_t room = json->room ? json->room : FIRST_ROOM;
        while (room < json->n + bytes + 1) room *= 2;
        char *grown = pool_take(json->pool, room, 1);
        if (!grown) {
            json->spent = true;
            return;
        }
        if (json->n) memcpy(grown, json->text, json->n);
        json->text = grown;
        json->room = room;
    }
    memcpy(json->text + json->n, text, bytes);
    json->n += bytes;
    json->text[json->n] = '\0';
}

void json_text_put(struct json_text *json, const char *format, ...)
{
    char piece[PIECE_BYTES];
    va_list list;
    va_start(list, format);
    int bytes = vsnprintf(piece, sizeof piece, format, list);
    va_end(list);
    if (bytes < 0 || bytes >= PIECE_BYTES) json->spent = true;
    else append(json, piece, (size_t)bytes);
}

void json_text_string(struct json_text *json, const char *text)
{
    append(json, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') json_text_put(json, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f) json_text_put(json, "\\u%04x", (unsigned)*c);
        else append(json, c, 1);
    }
    append(json, "\"", 1);
}

void json_text_numbers(struct json_text *json, const double *values, size_t n, int digits)
{
    append(json, "[", 1);
    for (size_t i = 0; i < n; i++) json_text_put(json, "%s%.*g", i ? ", " : "", digits, values[i]);
    append(json, "]", 1);
}
