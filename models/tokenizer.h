/* tokenizer: text to token ids and back. Immutable, any thread.
 *
 * A tokenizer type (characters, bytes, words) is one file and one row of tokenizer.def.
 * What each does is specified in docs/bundle-format.md. */
#ifndef CAROUSEL_MODELS_TOKENIZER_H
#define CAROUSEL_MODELS_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct tokenizer;

enum { TOKEN_NONE = -1 };

/* What config.json says. Strings are copied. */
struct tokenizer_spec {
    const char *type;              /* a row of tokenizer.def */
    const char *const *vocabulary; /* [n_vocabulary]; NULL for bytes */
    const size_t *vocabulary_bytes; /* [n_vocabulary]: an entry may hold a zero byte */
    size_t n_vocabulary;
    const char *unk_token, *bos_token, *eos_token; /* NULL: none */
    bool lowercase;
};

enum status tokenizer_new(const struct tokenizer_spec *spec, struct tokenizer **out,
                          struct error *err) MUST_CHECK;
void tokenizer_free(struct tokenizer *tokenizer); /* takes NULL */

const char *tokenizer_type(const struct tokenizer *tokenizer);
size_t tokenizer_size(const struct tokenizer *tokenizer); /* ids are in [0, size) */
int32_t tokenizer_bos(const struct tokenizer *tokenizer); /* or TOKEN_NONE */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
int32_t tokenizer_unk(const struct tokenizer *tokenizer);

/* Ids of text[0..bytes), without bos and eos. *ids is the caller's to memory_free, room for at least
 * one more at its end. STATUS_BAD_FORMAT: not UTF-8 (characters, words); STATUS_BAD_VALUE: something
 * is not in the vocabulary and there is no unk_token (the sentence names it and its byte offset);
 * STATUS_TOO_LONG: more than max_tokens. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                             size_t max_tokens, int32_t **ids, size_t *n,
                             struct error *err) MUST_CHECK;

/* The token's own text, borrowed, not zero-terminated. A special token's is its name. */
const char *tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, size_t *bytes);

/* The bytes that token `id` adds to a text when it follows `previous` (TOKEN_NONE: begins it): words put
 * a space between. bos and eos add nothing, unless they are a single character: those may be part of a text.
 * Writes at most tokenizer_max_piece bytes, returns how many. */
size_t tokenizer_append(const struct tokenizer *tokenizer, int32_t previous, int32_t id, char *out);
/* true for what tokenizer_append would add nothing for. */
bool tokenizer_is_silent(const struct tokenizer *tokenizer, int32_t id);
size_t tokenizer_max_piece(const struct tokenizer *tokenizer);

#endif
