/* tokenizer_type: what a tokenizer is inside; for models/tokenizer*.c only.
 *
 * All types share one vocabulary: pieces by id, and the same pieces sorted by their bytes, in which
 * texts are looked up by bisection: log2(n) comparisons, whatever a hostile vocabulary holds. */
#ifndef CAROUSEL_MODELS_TOKENIZER_TYPE_H
#define CAROUSEL_MODELS_TOKENIZER_TYPE_H

#include "models/tokenizer.h"

struct piece {
    const char *text; /* [bytes] in the tokenizer's own block */
    size_t bytes;
    int32_t id;
};

struct tokenizer_type {
    const char *name;
    bool has_vocabulary;
    bool may_lower; /* has a use for `lowercase` */
    /* Where the vocabulary is the type's own. Called instead of reading spec->vocabulary. */
    enum status (*fill)(struct tokenizer *tokenizer, struct error *err);
    /* How many bytes the next token takes of text[0..bytes), bytes >= 1, and its id or
     * TOKEN_NONE where it is not in the vocabulary; *id = TOKEN_SKIP where the bytes are no token at
     * all. 0 where the text is not UTF-8. */
    size_t (*next)(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id);
    /* What a missing token is called: "character", "word". */
    const char *unit;
    const char *separator; /* put between pieces when they are joined again */
};

enum { TOKEN_SKIP = -2 };

#define X(symbol) extern const struct tokenizer_type tokenizer_##symbol;
#include "models/tokenizer.def"
#undef X

struct tokenizer {
    const struct tokenizer_type *type;
    char *text;           /* all pieces, one after the other; owned */
    struct piece *pieces; /* [n] by id; owned */
    struct piece *sorted; /* [n] by bytes; owned */
    size_t n;
    size_t max_piece;
    int32_t bos, eos, unk;
    bool lowercase;
};

/* Make room for n pieces of `bytes` bytes together, to be filled in by id. */
MUST_CHECK enum status tokenizer_reserve(struct tokenizer *tokenizer, size_t n, size_t bytes,
                                         struct error *err);

/* The id of exactly text[0..bytes), or TOKEN_NONE. Where the tokenizer lowers, so is the text. A special
 * token of more than one character is not found: its name in a text is only text. */
int32_t tokenizer_look_up(const struct tokenizer *tokenizer, const char *text, size_t bytes);

#endif
