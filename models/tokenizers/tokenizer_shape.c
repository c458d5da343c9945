/* Entries that stand for words by shape and ending: <Xxxxx:ing> for "Walking", <dd> for "42"; the shape as
 * spaCy (https://spacy.io/api/token, shape_) writes it. docs/bundle-format.md says what they are. */
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

enum { MAX_RUN = 4, MAX_ENDING = 3 };

static char kind_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return 'X';
    if ((c >= 'a' && c <= 'z') || c >= 0x80) return 'x';
    return c >= '0' && c <= '9' ? 'd' : (char)c;
}

/* Write "<" and the shape into out[room]. Return the bytes, or 0 if there is no room. */
static size_t write_shape(const char *text, size_t bytes, char *out, size_t room)
{
    size_t n = 0, run = 0;
    uint32_t code;
    out[n++] = '<';
    for (size_t at = 0; at < bytes; at += utf8_decode(text + at, bytes - at, &code)) {
        char kind = kind_of((unsigned char)text[at]);
        run = at > 0 && kind == out[n - 1] ? run + 1 : 1;
        if (run > MAX_RUN) continue;
        if (n == room) return 0;
        out[n++] = kind;
    }
    return n;
}

/* Return where the last `count` characters begin, or 0 if there are no more. */
static size_t ending(const char *text, size_t bytes, size_t count)
{
    while (bytes > 0 && count > 0)
        if (((unsigned char)text[--bytes] & 0xC0) != 0x80) count--;
    return bytes;
}

int32_t tokenizer_look_up_shape(const struct tokenizer *tokenizer, const char *text, size_t bytes)
{
    enum { ENDING_BYTES = 4 * MAX_ENDING + 2 }; /* with ":" and ">" */
    char entry[TOKENIZER_MAX_PIECE];
    int32_t id = tokenizer_look_up_as(tokenizer, text, bytes, true);
    if (id != TOKEN_NONE) return id;
    size_t n = write_shape(text, bytes, entry, sizeof entry - ENDING_BYTES);
    for (size_t count = MAX_ENDING; n > 0 && id == TOKEN_NONE && count > 0; count--) {
        size_t end = n;
        entry[end++] = ':';
        for (size_t at = ending(text, bytes, count); at < bytes; at++)
            entry[end++] = tokenizer_lower(text[at]);
        entry[end++] = '>';
        id = tokenizer_look_up_as(tokenizer, entry, end, false);
    }
    if (n == 0 || id != TOKEN_NONE) return id;
    entry[n] = '>';
    return tokenizer_look_up_as(tokenizer, entry, n + 1, false);
}
