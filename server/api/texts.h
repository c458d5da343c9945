/* texts: the texts of a request, kept until its answer is printed, and where their tokens stand in them.
 *
 * Offsets are counted in code points, and beside them in UTF-16 units, which browsers count. HTTP threads. */
#ifndef CAROUSEL_SERVER_TEXTS_H
#define CAROUSEL_SERVER_TEXTS_H

#include "models/tokenizers/tokenizer.h"
#include "server/api/codec.h"

struct kept_texts {
    char **texts; /* [n] owned; NULL for one that came as token ids */
    size_t n;
};

/* Copy the texts. false: no memory. */
bool texts_keep(const struct spans *spans, struct kept_texts *out);
void texts_free(struct kept_texts *texts);

/* Where a token, or a sentence, begins and ends. */
struct text_place {
    size_t start_byte, end_byte;
    size_t start, end;             /* code points */
    size_t start_utf16, end_utf16;
};

/* The places of the n tokens of text i: *places is the caller's to memory_free, *n_places is n, or 0 if the
 * input came as token ids. false: no memory. */
bool texts_places(const struct kept_texts *texts, const struct tokenizer *tokenizer, size_t i, size_t n,
                  struct text_place **places, size_t *n_places);

/* The places of the n pieces of a text, which follow each other: places[n]. */
void texts_pieces(const char *text, const struct piece_of *pieces, size_t n, struct text_place *places);

/* Refuse texts with characters that the model's tokenizer would leave out: what is made of half a word is
 * wrong. The sentence names them, and expects `kind` without them. */
bool texts_check_letters(const struct call *call, const char *field, const struct spans *spans,
                         const char *kind);

#endif
