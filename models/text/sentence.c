#include "models/text/sentence.h"

#include <stdio.h>
#include <string.h>

#include "models/text/utf8.h"

enum { COMPARED_BYTES = 63 };

/* Controls (C0, DEL, C1), and the marks that turn the direction of writing or break a line. */
bool sentence_is_showable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
    if (code >= 0x200b && code <= 0x200f) return false;
    if (code >= 0x2028 && code <= 0x202e) return false;
    return !(code >= 0x2066 && code <= 0x2069) && code != 0xfeff;
}

bool sentence_is_plain(const char *text, size_t bytes)
{
    uint32_t code;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = utf8_decode(text + at, bytes - at, &code);
        if (n == 0 || !sentence_is_showable(code)) return false;
    }
    return true;
}

/* The next piece of a quoted text, in `piece`; returns how many bytes of text it stands for. */
static size_t quote_one(char piece[8], const char *text, size_t bytes)
{
    uint32_t code;
    size_t n = utf8_decode(text, bytes, &code);
    if (n > 0 && sentence_is_showable(code)) {
        memcpy(piece, text, n);
        piece[n] = '\0';
        return n;
    }
    if (*text == '\n' || *text == '\t') snprintf(piece, 8, "\\%c", *text == '\n' ? 'n' : 't');
    else snprintf(piece, 8, "\\x%02x", (unsigned)(unsigned char)*text);
    return 1;
}

const char *sentence_quote(char out[QUOTE_BYTES], const char *text, size_t bytes)
{
    static const char more[] = "...'";
    size_t at = 1, length;
    char piece[8];
    out[0] = '\'';
    for (size_t i = 0; i < bytes; at += length) {
        i += quote_one(piece, text + i, bytes - i);
        length = strlen(piece);
        if (at + length + sizeof more > QUOTE_BYTES) {
            memcpy(out + at, more, sizeof more);
            return out;
        }
        memcpy(out + at, piece, length);
    }
    memcpy(out + at, "'", 2);
    return out;
}

const char *sentence_character(char out[CHARACTER_BYTES], uint32_t code_point)
{
    char text[UTF8_MAX_BYTES + 1] = "";
    uint32_t c = code_point;
    if (c < 0x80) {
        text[0] = (char)c;
    } else {
        size_t follow = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
        for (size_t i = follow; i > 0; i--, c >>= 6) text[i] = (char)(0x80 | (c & 0x3f));
        text[0] = (char)(lead[follow] | c);
    }
    if (sentence_is_showable(code_point))
        snprintf(out, CHARACTER_BYTES, "'%s' (U+%04X)", text, (unsigned)code_point);
    else
        snprintf(out, CHARACTER_BYTES, "U+%04X", (unsigned)code_point);
    return out;
}

const char *sentence_shape(char out[SHAPE_BYTES], size_t rank, const size_t *shape)
{
    size_t at = (size_t)snprintf(out, SHAPE_BYTES, "[");
    for (size_t i = 0; i < rank && at < SHAPE_BYTES; i++)
        at += (size_t)snprintf(out + at, SHAPE_BYTES - at, "%s%zu", i ? ", " : "", shape[i]);
    if (at < SHAPE_BYTES) snprintf(out + at, SHAPE_BYTES - at, "]");
    return out;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

size_t sentence_distance(const char *a, const char *b)
{
    size_t rows[3][COMPARED_BYTES + 1];
    size_t *two = rows[0], *one = rows[1], *now = rows[2];
    size_t m = strnlen(a, COMPARED_BYTES), n = strnlen(b, COMPARED_BYTES);
    for (size_t j = 0; j <= n; j++) one[j] = two[j] = j;
    for (size_t i = 1; i <= m; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            now[j] = smallest(one[j] + 1, now[j - 1] + 1, one[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && two[j - 2] + 1 < now[j]) now[j] = two[j - 2] + 1;
        }
        size_t *old = two;
        two = one, one = now, now = old;
    }
    return one[n];
}

bool sentence_is_slip(size_t distance, const char *name)
{
    return distance <= 1 + strlen(name) / 4;
}
