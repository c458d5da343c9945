#include "server/api/urlencoded.h"

#include <string.h>

#include "core/base/memory.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Unescape text[0..n) into out[n]; return how many bytes it became. */
static size_t unescape(const char *text, size_t n, char *out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        int high = text[i] == '%' && n - i > 2 ? digit_of(text[i + 1]) : -1,
            low = high >= 0 ? digit_of(text[i + 2]) : -1;
        if (low >= 0) i += 2;
        out[bytes++] = low >= 0 ? (char)(high * 16 + low) : text[i] == '+' ? ' ' : text[i];
    }
    return bytes;
}

void urlencoded_put(const char *body, size_t bytes, struct writer *out)
{
    char *text = memory_new(bytes + 1, 1);
    if (!text) {
        writer_fail(out);
        return;
    }
    put_open(out, '{');
    for (size_t at = 0; at < bytes;) {
        const char *field = body + at, *stop = memchr(field, '&', bytes - at);
        size_t n = stop ? (size_t)(stop - field) : bytes - at;
        const char *equals = memchr(field, '=', n);
        size_t name = equals ? (size_t)(equals - field) : n, value = equals ? n - name - 1 : 0;
        at += n + 1;
        if (!n) continue;
        size_t written = unescape(field, name, text);
        text[written] = '\0';
        put_name(out, text);
        put_string_n(out, text, unescape(field + n - value, value, text));
    }
    put_close(out, '}');
    memory_free(text);
}
