/* words: a maximal run of ASCII letters, digits, apostrophes and bytes beyond ASCII is a word; any
 * other character that is not white space is a token of its own. */
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_in_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '\'' || c >= 0x80;
}

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    size_t n = 0;
    uint32_t code;
    while (n < bytes && is_space((unsigned char)text[n])) n++;
    *id = TOKEN_SKIP;
    if (n > 0) return n;
    while (n < bytes && is_in_word((unsigned char)text[n])) {
        size_t length = utf8_decode(text + n, bytes - n, &code);
        if (length == 0) return 0;
        n += length;
    }
    if (n == 0) n = 1;
    *id = tokenizer_look_up(tokenizer, text, n);
    if (*id == TOKEN_NONE && tokenizer->unknown == UNKNOWN_SHAPE)
        *id = tokenizer_look_up_shape(tokenizer, text, n);
    return n;
}

const struct tokenizer_type tokenizer_words = {
    .name = "words",
    .has_vocabulary = true,
    .may_lower = true,
    .unknowns = 1u << UNKNOWN_REFUSE | 1u << UNKNOWN_SHAPE,
    .may_ngram = true,
    .next = next,
    .unit = "word",
    .separator = " ",
};
