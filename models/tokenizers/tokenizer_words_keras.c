/* words_keras: as Keras' Tokenizer splits. Its filters lie between words, and a word that is not in the
 * vocabulary is dropped unless there is an unk_token. Without filters of its own, white space and ASCII
 * punctuation except the apostrophe lie between. */
#include <string.h>

#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

static bool is_between(const struct tokenizer *tokenizer, uint32_t code)
{
    if (!tokenizer->filters)
        return code && code < 0x80 && strchr(" \t\n\v\f\r!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~", (int)code);
    for (size_t i = 0; i < tokenizer->n_filters; i++)
        if (tokenizer->filters[i] == code) return true;
    return false;
}

/* How many bytes of the text lie between words, or are of a word; SIZE_MAX if they are not UTF-8. */
static size_t run_of(const struct tokenizer *tokenizer, const char *text, size_t bytes, bool between)
{
    size_t n = 0;
    uint32_t code;
    while (n < bytes) {
        size_t length = utf8_decode(text + n, bytes - n, &code);
        if (length == 0) return SIZE_MAX;
        if (is_between(tokenizer, code) != between) break;
        n += length;
    }
    return n;
}

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    size_t n = run_of(tokenizer, text, bytes, true);
    *id = TOKEN_SKIP;
    if (n == SIZE_MAX) return 0;
    if (n > 0) return n;
    n = run_of(tokenizer, text, bytes, false);
    if (n == SIZE_MAX) return 0;
    *id = tokenizer_look_up(tokenizer, text, n);
    /* A word that is dropped is still a neighbour of others. */
    if (*id == TOKEN_NONE && tokenizer->unk == TOKEN_NONE && !tokenizer->n_ngrams) *id = TOKEN_SKIP;
    return n;
}

const struct tokenizer_type tokenizer_words_keras = {
    .name = "words_keras",
    .has_vocabulary = true,
    .may_lower = true,
    .may_filter = true,
    .may_ngram = true,
    .drops_unknown = true,
    .next = next,
    .unit = "word",
    .separator = " ",
};
