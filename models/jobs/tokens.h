/* tokens: a text as the ids of its tokens, and what a model says of one of them. */
#ifndef CAROUSEL_MODELS_TOKENS_H
#define CAROUSEL_MODELS_TOKENS_H

#include <stddef.h>
#include <stdint.h>

struct token_span {
    const int32_t *ids; /* [n], borrowed */
    size_t n;
};

struct token_logprob {
    int32_t id;
    float logprob; /* ln p, natural logarithm */
};

#endif
