/* JSON text into one growing buffer. */
#include "server/base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/number.h"
#include "models/text/utf8.h"

enum { FIRST_BYTES = 1024 };

void writer_init(struct writer *writer, size_t limit)
{
    *writer = (struct writer){.limit = limit};
}

void writer_release(struct writer *writer)
{
    free(writer->text);
    *writer = (struct writer){.limit = writer->limit};
}

void writer_clear(struct writer *writer)
{
    writer->n = 0;
    writer->need_comma = writer->failed = writer->is_over = false;
}

bool writer_failed(const struct writer *writer)
{
    return writer->failed;
}

void writer_fail(struct writer *writer)
{
    writer->failed = true;
}

/* Room for `bytes` more and a zero byte. */
static bool reserve(struct writer *writer, size_t bytes)
{
    if (writer->failed) return false;
    if (bytes > writer->limit || writer->n > writer->limit - bytes) {
        writer->failed = writer->is_over = true;
        return false;
    }
    size_t needed = writer->n + bytes + 1;
    if (needed <= writer->capacity) return true;
    size_t capacity = writer->capacity ? writer->capacity : FIRST_BYTES;
    while (capacity < needed) capacity *= 2;
    char *text = realloc(writer->text, capacity);
    if (!text) {
        writer->failed = true;
        return false;
    }
    writer->text = text;
    writer->capacity = capacity;
    return true;
}

char *writer_take(struct writer *writer, size_t *bytes)
{
    char *text = NULL;
    if (reserve(writer, 0)) {
        text = writer->text;
        text[writer->n] = '\0';
        *bytes = writer->n;
        writer->text = NULL;
    }
    writer_release(writer);
    return text;
}

void put_raw(struct writer *writer, const char *text, size_t bytes)
{
    if (!reserve(writer, bytes)) return;
    if (bytes) memcpy(writer->text + writer->n, text, bytes);
    writer->n += bytes;
}

/* A value or a name begins. */
static void separate(struct writer *writer)
{
    if (writer->need_comma) put_raw(writer, ",", 1);
    writer->need_comma = true;
}

void put_open(struct writer *writer, char bracket)
{
    separate(writer);
    put_raw(writer, &bracket, 1);
    writer->need_comma = false;
}

void put_close(struct writer *writer, char bracket)
{
    put_raw(writer, &bracket, 1);
    writer->need_comma = true;
}

static void write_escaped(struct writer *writer, unsigned char c)
{
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\", hex[] = "0123456789abcdef";
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) put_raw(writer, (const char[]){'\\', names[letter - letters]}, 2);
    else put_raw(writer, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* How many bytes from the first one on are ASCII and stand for themselves. */
static size_t plain_bytes(const char *text, size_t bytes)
{
    size_t n = 0;
    for (unsigned char c; n < bytes && (c = (unsigned char)text[n]) >= 32 && c < 127; n++)
        if (c == '"' || c == '\\') break;
    return n;
}

void put_string_n(struct writer *writer, const char *text, size_t bytes)
{
    separate(writer);
    size_t begin = 0, i = plain_bytes(text, bytes);
    if (i == bytes && reserve(writer, bytes + 2)) { /* as nearly all are, and all names */
        char *to = writer->text + writer->n;
        to[0] = to[bytes + 1] = '"';
        if (bytes) memcpy(to + 1, text, bytes);
        writer->n += bytes + 2;
        return;
    }
    put_raw(writer, "\"", 1);
    while (i < bytes) {
        unsigned char c = (unsigned char)text[i];
        uint32_t code;
        size_t n = c < 128 ? 1 : utf8_decode(text + i, bytes - i, &code);
        if (n && c >= 32 && c != '"' && c != '\\' && c != 127) {
            i += n;
            continue;
        }
        put_raw(writer, text + begin, i - begin);
        if (n) write_escaped(writer, c);
        else put_raw(writer, "\xef\xbf\xbd", 3);
        begin = ++i;
    }
    put_raw(writer, text + begin, bytes - begin);
    put_raw(writer, "\"", 1);
}

void put_string(struct writer *writer, const char *text)
{
    put_string_n(writer, text, strlen(text));
}

void put_base64(struct writer *writer, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    separate(writer);
    put_raw(writer, "\"", 1);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < n ? bytes[i + 2] : 0);
        char text[4];
        for (int k = 0; k < 4; k++) text[k] = i + (size_t)k > n ? '=' : digits[group >> (18 - 6 * k) & 63];
        put_raw(writer, text, sizeof text);
    }
    put_raw(writer, "\"", 1);
}

void put_name(struct writer *writer, const char *name)
{
    put_string(writer, name);
    put_raw(writer, ":", 1);
    writer->need_comma = false;
}

static void write_text(struct writer *writer, const char *text, int n)
{
    separate(writer);
    put_raw(writer, text, (size_t)n);
}

void put_integer(struct writer *writer, int64_t value)
{
    char text[32], *end = text + sizeof text, *at = end;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    write_text(writer, at, (int)(end - at));
}

void put_null(struct writer *writer)
{
    write_text(writer, "null", 4);
}

void put_boolean(struct writer *writer, bool value)
{
    write_text(writer, value ? "true" : "false", value ? 4 : 5);
}

void put_double(struct writer *writer, double value)
{
    char text[NUMBER_BYTES];
    if (isfinite(value)) write_text(writer, text, number_print(text, value));
    else put_null(writer);
}

void put_float(struct writer *writer, float value)
{
    char text[NUMBER_BYTES];
    if (isfinite(value)) write_text(writer, text, number_print_float(text, value));
    else put_null(writer);
}

/* Write `n` digits of a number, with zeros before it. */
static void print_places(char *out, uint64_t number, int n)
{
    for (int i = n; i-- > 0; number /= 10) out[i] = (char)('0' + number % 10);
}

void put_rounded(struct writer *writer, double value)
{
    enum { PLACES = 3, SCALE = 1000 };
    if (!isfinite(value) || fabs(value) > 1e12) {
        put_double(writer, value);
        return;
    }
    int64_t scaled = llround(value * SCALE), size = scaled < 0 ? -scaled : scaled;
    char text[PLACES + 1] = ".";
    int n = PLACES + 1;
    print_places(text + 1, (uint64_t)(size % SCALE), PLACES);
    while (n > 0 && (text[n - 1] == '0' || text[n - 1] == '.')) n--;
    if (scaled < 0) {
        separate(writer);
        put_raw(writer, "-", 1);
        writer->need_comma = false;
    }
    put_integer(writer, size / SCALE);
    put_raw(writer, text, (size_t)n);
}

void put_named_string(struct writer *writer, const char *name, const char *text)
{
    put_name(writer, name);
    put_string(writer, text);
}

void put_named_integer(struct writer *writer, const char *name, int64_t value)
{
    put_name(writer, name);
    put_integer(writer, value);
}

void put_named_rounded(struct writer *writer, const char *name, double value)
{
    put_name(writer, name);
    put_rounded(writer, value);
}

void put_named_boolean(struct writer *writer, const char *name, bool value)
{
    put_name(writer, name);
    put_boolean(writer, value);
}
