#include "models/text/base64.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_room(size_t n)
{
    return n / 4 * 3 + 3;
}

/* The six bits of a letter; -1 for any other character. */
static int bits_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_read(const char *text, size_t n, uint8_t *out, size_t *bytes)
{
    uint32_t held = 0;
    unsigned n_held = 0;
    size_t written = 0;
    if (n % 4 == 0 && n > 0 && text[n - 1] == '=') n -= text[n - 2] == '=' ? 2 : 1;
    if (n % 4 == 1) return false;
    for (size_t i = 0; i < n; i++) {
        int bits = bits_of(text[i]);
        if (bits < 0) return false;
        held = held << 6 | (uint32_t)bits;
        n_held += 6;
        if (n_held < 8) continue;
        n_held -= 8;
        out[written++] = (uint8_t)(held >> n_held);
    }
    *bytes = written;
    return (held & ((1u << n_held) - 1)) == 0;
}

void base64_write(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0u);
        *out++ = letters[three >> 18];
        *out++ = letters[three >> 12 & 63];
        *out++ = left > 1 ? letters[three >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[three & 63] : '=';
    }
    *out = '\0';
}
