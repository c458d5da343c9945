/* search: how one target is found: by a beam, or drawn token by token. Private to models/translation.
 *
 * translation.h says what is found. A struct search is what all targets of a job have in common; a struct
 * beam is one of them. One thread at a time; nothing here allocates or fails. */
#ifndef CAROUSEL_MODELS_SEARCH_H
#define CAROUSEL_MODELS_SEARCH_H

#include "core/network/network.h"
#include "models/generation/sampler.h"
#include "models/generation/transcript.h"
#include "models/translation/translation.h"

struct search {
    size_t B, max_tokens; /* hypotheses; tokens of each */
    size_t V;             /* outputs of the decoder */
    size_t state_floats;  /* of the decoder */
    const struct tokenizer *target;
    double length_penalty, coverage_penalty;
    bool draws;           /* each hypothesis by itself, by the sampler and a stream of its own */
    bool keeps_weights;   /* of the attention */
    bool streams;         /* B is 1, and the text can be read while it is written */
    struct sampler sampler;
    uint64_t seed;
    const int32_t *given; /* [n_given] how the target begins; NULL: nothing is said of that */
    size_t n_given;       /* < max_tokens */
};

/* A continuation of a hypothesis. */
struct candidate {
    double score; /* ln p of all its tokens */
    size_t parent;
    int32_t token;
};

/* The search for one input. Arrays are [B] unless said otherwise. */
struct beam {
    size_t S;                      /* rows that it attends to */
    float *weights;                /* [max_tokens, B, S] of the rows; NULL unless they are kept */
    double *covered;               /* [S] scratch of the coverage; NULL if there is no penalty */
    /* those that go on */
    size_t n_live, n_done; /* n_done: tokens of each */
    double *score;
    int32_t *token;
    float **state, **next_state;   /* blocks of the decoder's state; they change places */
    struct candidate *candidates;  /* [2 B] best first */
    size_t *parents;               /* [max_tokens, B] and tokens: the way back */
    int32_t *tokens;
    /* those that are drawn: the number of each that goes on, and the draws of each number */
    size_t *number;
    struct random *random;
    struct sampler_scratch scratch;
    /* the text as it is written */
    struct transcript *transcript; /* NULL unless it streams */
    char *piece;
    /* those that are finished, best first */
    struct translation_result *results;
    int32_t *texts; /* [B, max_tokens] where results have their tokens */
    size_t n_results;
};

/* Cut the parts of input i, of S steps, from an arena, and prepare them if there is a block. beam: scratch
 * while the arena only measures. */
void beam_lay_out(struct beam *beam, const struct search *search, size_t i, size_t S, struct arena *arena);

/* Begin with one hypothesis without a token, whose state is in beam->state[0]. */
void beam_begin(struct beam *beam, const struct search *search);

/* After a step; rides: of the n_live hypotheses. true if the search goes on. */
bool beam_advance(struct beam *beam, const struct search *search, const struct ride *rides);

/* Where hypothesis k of those that have n tokens comes from, n >= 1: what it was before its last token. */
static inline size_t beam_parent(const struct beam *beam, const struct search *search, size_t n, size_t k)
{
    return beam->parents[(n - 1) * search->B + k];
}

/* The weights with which hypothesis k of those that had n tokens looked for the next one: [S]. */
static inline float *beam_weights(const struct beam *beam, const struct search *search, size_t n, size_t k)
{
    return beam->weights + (n * search->B + k) * beam->S;
}

#endif
