/* tokenizer_type: what a tokenizer is inside; for models/tokenizer*.c only.
 *
 * All types share one vocabulary: pieces by id, and the same pieces sorted by their bytes, in which
 * texts are looked up by bisection: log2(n) comparisons, whatever a hostile vocabulary holds. */
#ifndef CAROUSEL_MODELS_TOKENIZER_TYPE_H
#define CAROUSEL_MODELS_TOKENIZER_TYPE_H

#include "models/text/fold.h"
#include "models/tokenizers/tokenizer.h"

struct piece {
    const char *text; /* [bytes] in the tokenizer's own block */
    size_t bytes;
    int32_t id;
};

/* The most tokens of one place of a text, such as a word of bpe. Other types have one, or those that stand
 * for it. */
enum { READING_TOKENS = 256 };

/* An ASCII letter as a small one, any other byte as it is. */
static inline char tokenizer_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* What becomes of what is not in the vocabulary. */
enum unknown { UNKNOWN_REFUSE, UNKNOWN_SKIP, UNKNOWN_FOLD, UNKNOWN_SHAPE };

/* What is read at one place of a text. */
struct reading {
    size_t bytes; /* of the text; 0: it is not UTF-8 */
    size_t n;
    int32_t ids[READING_TOKENS]; /* TOKEN_NONE alone: places[0] is not in the vocabulary, and refused */
    struct text_span places[READING_TOKENS];
};

/* Two neighbours that become one. */
struct merge {
    int32_t left, right, rank, id;
};

struct tokenizer_type {
    const char *name;
    bool has_vocabulary;
    bool may_lower;   /* has a use for `lowercase` */
    unsigned unknowns; /* 1 << enum unknown for each that it has a use for, or 0 */
    bool may_merge;   /* has a use for `merges` */
    bool may_filter;  /* has a use for `filters` */
    bool may_ngram;   /* has a use for `ngrams`; has `next` and no `read` */
    bool drops_unknown; /* what is not in the vocabulary is left out if there is no unk_token */
    /* If the vocabulary is the type's own. Called instead of reading spec->vocabulary. */
    enum status (*fill)(struct tokenizer *tokenizer, struct error *err);
    /* How many bytes of text[0..bytes) the next token has, bytes >= 1, and its id or
     * TOKEN_NONE if it is not in the vocabulary; *id = TOKEN_SKIP if the bytes are no token at
     * all. 0 if the text is not UTF-8. */
    size_t (*next)(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id);
    /* In place of `next`, if a place gives several tokens. text[0..at) has been read. */
    void (*read)(const struct tokenizer *tokenizer, const char *text, size_t bytes, size_t at,
                 struct tokenizer_loss *loss, struct reading *out);
    /* In place of the separator: tokenizer_append for a token that is not silent. May be NULL. */
    size_t (*append)(const struct tokenizer *tokenizer, int32_t previous, int32_t id, char *out);
    /* What a missing token is called: "character", "word". */
    const char *unit;
    const char *separator; /* put between pieces when they are joined again */
};

enum { TOKEN_SKIP = -2 };

#define X(symbol) extern const struct tokenizer_type tokenizer_##symbol;
#include "models/tokenizers/tokenizer.def"

struct tokenizer {
    const struct tokenizer_type *type;
    char *text;           /* all pieces, one after the other; owned */
    struct piece *pieces; /* [n] by id; owned */
    struct piece *sorted; /* [n] by bytes; owned */
    size_t n;
    size_t max_piece;
    struct merge *merges; /* [n_merges] by left and right; owned; NULL: none */
    size_t n_merges;
    int32_t bos, eos, unk, pad;
    bool lowercase;
    enum unknown unknown;
    size_t ngrams[TOKENIZER_MAX_NGRAM], n_ngrams;
    uint32_t *filters; /* [n_filters] owned; of words_keras, if they are given */
    size_t n_filters;
};

/* Make room for n pieces of `bytes` bytes together, to be filled in by id. */
MUST_CHECK enum status tokenizer_reserve(struct tokenizer *tokenizer, size_t n, size_t bytes,
                                         struct error *err);

/* For bpe: check that words can begin, and turn spec->merges, if they are given, into ids. */
MUST_CHECK enum status tokenizer_set_merges(struct tokenizer *tokenizer, const struct tokenizer_spec *spec,
                                            struct error *err);

/* Take spec->ngrams over. */
MUST_CHECK enum status tokenizer_set_ngrams(struct tokenizer *tokenizer, const struct tokenizer_spec *spec,
                                            struct error *err);
/* Write at most `room` ids of n-grams of text[0..bytes), and where they stand; either may be NULL. Fails as
 * tokenizer_encode does; *n is set also then. */
MUST_CHECK enum status tokenizer_put_ngrams(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                                            size_t room, int32_t *ids, struct text_span *places, size_t *n,
                                            struct error *err);
/* The refusal of text[0..bytes), which stands at byte `at`. */
MUST_CHECK enum status tokenizer_not_found(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                                           size_t at, struct error *err);

/* Write the ids that stand for the character text[0..bytes), which is not in the vocabulary, by `unknown`,
 * and count it in *loss, which may be NULL. Return how many they are, 0 to FOLD_CHARACTERS. */
size_t tokenizer_replace(const struct tokenizer *tokenizer, const char *text, size_t bytes, size_t at,
                         struct tokenizer_loss *loss, int32_t ids[FOLD_CHARACTERS]);

/* The id of exactly text[0..bytes), or TOKEN_NONE. If the tokenizer lowers, so is the text. A special
 * token of more than one character is not found: its name in a text is only text. */
int32_t tokenizer_look_up(const struct tokenizer *tokenizer, const char *text, size_t bytes);
/* The same for the text as it is, or in small ASCII letters, whatever the tokenizer does. */
int32_t tokenizer_look_up_as(const struct tokenizer *tokenizer, const char *text, size_t bytes, bool lowered);
/* The id of the nearest entry that stands for words like text[0..bytes), which is UTF-8 and no entry itself,
 * by shape and ending; or TOKEN_NONE (UNKNOWN_SHAPE; docs/bundle-format.md). */
int32_t tokenizer_look_up_shape(const struct tokenizer *tokenizer, const char *text, size_t bytes);

#endif
