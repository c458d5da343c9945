/* tokenizer: text to token ids and back. Immutable, any thread.
 *
 * A tokenizer type (characters, bytes, words, bpe) is one file and one row of tokenizer.def.
 * What each does is specified in docs/bundle-format.md. */
#ifndef CAROUSEL_MODELS_TOKENIZER_H
#define CAROUSEL_MODELS_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct tokenizer;

enum {
    TOKEN_NONE = -1,
    TOKENIZER_MAX_VOCABULARY = 1 << 20,
    TOKENIZER_MAX_PIECE = 1024, /* bytes */
    TOKENIZER_MAX_NGRAM = 5,    /* tokens that one id stands for */
    TOKENIZER_MAX_FILTERS = 256 /* characters */
};

/* What config.json says. Strings are copied. */
struct tokenizer_spec {
    const char *type;              /* a row of tokenizer.def */
    const char *const *vocabulary; /* [n_vocabulary]; NULL for bytes */
    const size_t *vocabulary_bytes; /* [n_vocabulary]: an entry may hold a zero byte */
    size_t n_vocabulary;
    const char *const *merges;     /* [n_merges] "left right", of bpe; NULL: by the order of the vocabulary */
    const size_t *merges_bytes;    /* [n_merges] */
    size_t n_merges;
    const char *unk_token, *bos_token, *eos_token; /* NULL: none */
    bool lowercase;
    const char *unknown;           /* characters that are not in the vocabulary: "refuse", "skip" or "fold" */
    size_t ngrams[TOKENIZER_MAX_NGRAM], n_ngrams; /* lengths of the n-grams, in order; none: single tokens */
    bool accepts_token_ids;        /* from clients; not the tokenizer's own business */
    const char *filters;           /* of words_keras: characters between words; NULL: its own */
    const char *pad_token;         /* NULL: none */
    size_t pad_length;             /* inputs are made so long; not the tokenizer's own business. 0: not */
    bool pads_right;               /* behind them, not before; not the tokenizer's own business */
};

enum status tokenizer_new(const struct tokenizer_spec *spec, struct tokenizer **out,
                          struct error *err) MUST_CHECK;
void tokenizer_free(struct tokenizer *tokenizer); /* accepts NULL */

const char *tokenizer_type(const struct tokenizer *tokenizer);
size_t tokenizer_size(const struct tokenizer *tokenizer); /* ids are in [0, size) */
int32_t tokenizer_bos(const struct tokenizer *tokenizer); /* or TOKEN_NONE */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
int32_t tokenizer_unk(const struct tokenizer *tokenizer);
int32_t tokenizer_pad(const struct tokenizer *tokenizer);

/* The lengths of the n-grams of which ids stand, [return value] of them; 0: of single tokens alone. */
size_t tokenizer_ngrams(const struct tokenizer *tokenizer, const size_t **lengths);

/* What a text had that the vocabulary has not. Offsets count bytes. */
struct tokenizer_loss {
    size_t n_folded, n_skipped;         /* characters that others stand for, and that are left out */
    size_t folded_at, skipped_at;       /* the first of each */
    uint32_t folded_code, skipped_code;
};

/* Write one sentence about what the text `name` has lost into out[room]. Return false if it has lost
 * nothing. */
bool tokenizer_loss_sentence(const struct tokenizer_loss *loss, const char *name, char *out, size_t room);

/* Ids of text[0..bytes), without bos and eos. *ids is the caller's to memory_free, room for at least
 * one more at its end. STATUS_BAD_FORMAT: not UTF-8 (characters, words); STATUS_BAD_VALUE: something
 * is not in the vocabulary and there is no unk_token (the sentence names it and its byte offset);
 * STATUS_TOO_LONG: more than max_tokens. A tokenizer whose `unknown` is skip or fold says in *loss, which may
 * be NULL and is only added to, what it did to such characters. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                             size_t max_tokens, int32_t **ids, size_t *n,
                             struct error *err) MUST_CHECK;
enum status tokenizer_read(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                           size_t max_tokens, int32_t **ids, size_t *n, struct tokenizer_loss *loss,
                           struct error *err) MUST_CHECK;

/* Where tokens stand in a text: bytes [start, end). */
struct text_span {
    size_t start, end;
};

/* Write the places of the tokens of text[0..bytes), which tokenizer_encode has turned into at most `room`
 * ids; return how many. */
size_t tokenizer_places(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                        struct text_span *places, size_t room);

/* The token's own text, borrowed, not zero-terminated. A special token's is its name. */
const char *tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, size_t *bytes);

/* The bytes that token `id` adds to a text when it follows `previous` (TOKEN_NONE: begins it): words put
 * a space between. Special tokens add nothing, unless they are a single character: those may be part of a
 * text.
 * Writes at most tokenizer_max_piece bytes, returns how many. */
size_t tokenizer_append(const struct tokenizer *tokenizer, int32_t previous, int32_t id, char *out);
/* true for what tokenizer_append would add nothing for. */
bool tokenizer_is_silent(const struct tokenizer *tokenizer, int32_t id);
/* Return how many bytes of text[0..bytes) lie before the end of its first token; `bytes` if it has none, 0 if
 * it is not UTF-8. */
size_t tokenizer_first_bytes(const struct tokenizer *tokenizer, const char *text, size_t bytes);
size_t tokenizer_max_piece(const struct tokenizer *tokenizer);

#endif
