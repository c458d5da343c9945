/* ngrams: runs of tokens that a text must not repeat.
 *
 * `no_repeat_ngram_size` of Hugging Face: with n, a token is barred if it would end a run of n tokens that is
 * in the text already, prompt included. Of the text only the last NGRAMS_WINDOW tokens count, so that a step
 * costs the same however long the text is. One thread at a time. */
#ifndef CAROUSEL_MODELS_NGRAMS_H
#define CAROUSEL_MODELS_NGRAMS_H

#include <stddef.h>
#include <stdint.h>

#include "models/jobs/arena.h"

enum { NGRAMS_WINDOW = 1024 };

struct ngrams {
    size_t n;     /* of a run, 1 to NGRAMS_WINDOW; 0: nothing is barred, and nothing is noted */
    size_t count; /* noted tokens */
    int32_t *ids; /* [2 * NGRAMS_WINDOW], NULL if n is 0 */
};

/* Cut the tokens' place from an arena. */
void ngrams_take(struct ngrams *ngrams, size_t n, struct arena *arena);

/* Note that the text goes on with `id`. */
void ngrams_add(struct ngrams *ngrams, int32_t id);

/* The noted tokens that count, at most NGRAMS_WINDOW, oldest first. */
const int32_t *ngrams_window(const struct ngrams *ngrams, size_t *count);

/* Set x[id] of every barred token to -INFINITY; x [V]. Return how many they are. */
size_t ngrams_bar(const struct ngrams *ngrams, double *x);

#endif
