#include "models/text/utf8.h"

/* Lead bytes by the number of bytes that follow: the range of leads, the bits of the code point
 * that a lead carries, and the smallest code point that needs so many bytes. */
static const struct {
    unsigned char first, last, bits;
    uint32_t smallest;
} leads[UTF8_MAX_BYTES] = {
    {0x00, 0x7f, 0x7f, 0x0},
    {0xc2, 0xdf, 0x1f, 0x80},
    {0xe0, 0xef, 0x0f, 0x800},
    {0xf0, 0xf4, 0x07, 0x10000},
};

size_t utf8_decode(const char *text, size_t bytes, uint32_t *code_point)
{
    if (bytes == 0) return 0;
    unsigned char lead = (unsigned char)text[0];
    size_t follow = 0;
    while (follow < UTF8_MAX_BYTES && (lead < leads[follow].first || lead > leads[follow].last))
        follow++;
    if (follow == UTF8_MAX_BYTES || follow >= bytes) return 0;
    uint32_t code = lead & leads[follow].bits;
    for (size_t i = 1; i <= follow; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80) return 0;
        code = code << 6 | (next & 0x3f);
    }
    if (code < leads[follow].smallest || code > 0x10ffff) return 0;
    if (code >= 0xd800 && code <= 0xdfff) return 0;
    *code_point = code;
    return follow + 1;
}

bool utf8_is_valid(const char *text, size_t bytes, size_t *offset)
{
    uint32_t code;
    for (size_t at = 0; at < bytes;) {
        size_t n = utf8_decode(text + at, bytes - at, &code);
        if (n == 0) {
            if (offset) *offset = at;
            return false;
        }
        at += n;
    }
    return true;
}
