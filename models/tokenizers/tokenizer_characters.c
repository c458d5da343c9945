/* characters: one token a Unicode code point. Entries of several characters are never found in a
 * text, so that names such as <unk> can stand in the vocabulary. */
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    uint32_t code;
    size_t n = utf8_decode(text, bytes, &code);
    if (n > 0) *id = tokenizer_look_up(tokenizer, text, n);
    return n;
}

const struct tokenizer_type tokenizer_characters = {
    .name = "characters",
    .has_vocabulary = true,
    .may_lower = true,
    .unknowns = 1u << UNKNOWN_REFUSE | 1u << UNKNOWN_SKIP | 1u << UNKNOWN_FOLD,
    .may_ngram = true,
    .next = next,
    .unit = "character",
    .separator = "",
};
