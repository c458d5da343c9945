/* whitespace: what stands between white space is a token, as Python's text.split() cuts it. */
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

/* As Python's str.isspace() has it. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

/* Return how many bytes at the beginning of the text are white space, or are not, by `space`. *good is false
 * at bytes that are not UTF-8. */
static size_t span(const char *text, size_t bytes, bool space, bool *good)
{
    size_t n = 0, length;
    uint32_t code;
    for (*good = true; n < bytes; n += length) {
        length = utf8_decode(text + n, bytes - n, &code);
        *good = length > 0;
        if (!*good || is_space(code) != space) break;
    }
    return n;
}

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    bool good;
    size_t n = span(text, bytes, true, &good);
    *id = TOKEN_SKIP;
    if (n > 0) return n;
    n = span(text, bytes, false, &good);
    if (!good) return 0;
    *id = tokenizer_look_up(tokenizer, text, n);
    return n;
}

const struct tokenizer_type tokenizer_whitespace = {
    .name = "whitespace",
    .has_vocabulary = true,
    .may_lower = true,
    .may_ngram = true,
    .next = next,
    .unit = "word",
    .separator = " ",
};
