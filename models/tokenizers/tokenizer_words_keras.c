/* words_keras: as Keras' Tokenizer splits with its default filters. White space and ASCII punctuation except
 * the apostrophe lie between words, and a word that is not in the vocabulary is dropped unless there is an
 * unk_token. */
#include <string.h>

#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

static bool is_between(unsigned char c)
{
    return c != '\0' && strchr(" \t\n\v\f\r!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~", c);
}

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    size_t n = 0;
    uint32_t code;
    while (n < bytes && is_between((unsigned char)text[n])) n++;
    *id = TOKEN_SKIP;
    if (n > 0) return n;
    while (n < bytes && !is_between((unsigned char)text[n])) {
        size_t length = utf8_decode(text + n, bytes - n, &code);
        if (length == 0) return 0;
        n += length;
    }
    *id = tokenizer_look_up(tokenizer, text, n);
    /* A word that is dropped is still a neighbour of others. */
    if (*id == TOKEN_NONE && tokenizer->unk == TOKEN_NONE && !tokenizer->n_ngrams) *id = TOKEN_SKIP;
    return n;
}

const struct tokenizer_type tokenizer_words_keras = {
    .name = "words_keras",
    .has_vocabulary = true,
    .may_lower = true,
    .may_ngram = true,
    .drops_unknown = true,
    .next = next,
    .unit = "word",
    .separator = " ",
};
