/* tagging: the labels of tokens as entities, spans of tokens that belong together. Pure; any thread.
 *
 * "B-x" begins an entity of kind x, "I-x" goes on with one, "O" is none (Ramshaw and Marcus, "Text chunking
 * using transformation-based learning", 1995, as BIO or IOB2). A label of another form is an entity of that
 * kind, and equal neighbours are one. */
#ifndef CAROUSEL_MODELS_TAGGING_H
#define CAROUSEL_MODELS_TAGGING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

enum {
    TAGS_MAX_LABELS = 4096, /* of a model; finding the pairs takes time by their square */
    TAGS_MAX_LEARNED = 256  /* of a model with transitions: each step takes time by their square */
};

/* What a conditional random field (Lafferty, McCallum and Pereira, 2001) has learned of n labels. Each adds
 * to the logarithm of a path's probability. */
struct transitions {
    const float *between;     /* [n, n]: of label j after label i at i * n + j */
    const float *start, *end; /* [n] of a first label, of a last one */
};

/* The kinds of n labels, and what was learned of them: at most TAGS_MAX_LEARNED then; NULL: nothing. Both are
 * borrowed until tags_free. STATUS_NO_MEMORY. */
struct tags;
enum status tags_new(const char *const *labels, size_t n, const struct transitions *learned,
                     struct tags **out) MUST_CHECK;
void tags_free(struct tags *tags); /* accepts NULL */

/* Find the likeliest labels of n steps (Viterbi, 1967): by what was learned, or, if nothing was, those that
 * keep the rule that "I-x" follows "B-x" or "I-x", if "B-x" is a label. If the best labels of all steps keep
 * it, they are then the result. `scores` are probabilities, a row of `width` floats a step, of which the
 * first belong to the labels. Of equal ones the first label wins. path[n]. STATUS_NO_MEMORY. */
enum status tags_path(const struct tags *tags, const float *scores, size_t width, size_t n,
                      size_t *path) MUST_CHECK;

struct entity {
    const char *kind;  /* borrowed from the labels */
    size_t first, end; /* steps [first, end) */
    double score;      /* mean probability of its steps' labels */
};

/* Find the next entity of path[0..n) that begins at step *at or later; *at moves behind it. false: none is
 * left. */
bool tags_next(const struct tags *tags, const size_t *path, const float *scores, size_t width, size_t n,
               size_t *at, struct entity *out);

#endif
