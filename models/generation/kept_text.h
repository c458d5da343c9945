/* kept_text: what a state of text-generation keeps beside the network's floats.
 *
 * A text is cut after a token was drawn and before the network has read it. Beside that token the state holds
 * what the next part of the text depends on: the position in the random stream, the last token that has a
 * text (words get a space between them), the bytes that were not shown yet because they may begin a code
 * point or a stop string, how often each token occurred, and the last tokens if the request has a
 * no_repeat_ngram_size. With these the parts of a text, put one after the other, have the bytes of the text
 * in one piece. Pure; any thread. */
#ifndef CAROUSEL_MODELS_KEPT_TEXT_H
#define CAROUSEL_MODELS_KEPT_TEXT_H

#include "models/jobs/random.h"
#include "models/jobs/rest.h"
#include "models/jobs/state.h"
#include "models/generation/generation.h"
#include "models/generation/ngrams.h"

enum { KEPT_TEXT_HELD_BYTES = GENERATION_MAX_STOP_BYTES + 4 };

struct kept_text {
    int32_t last;      /* drawn, or the last of a prompt; not read by the network */
    int32_t previous;  /* the last token that has a text, or TOKEN_NONE */
    uint64_t seed;     /* of `random` */
    struct random random;
    uint32_t n_held;
    char held[KEPT_TEXT_HELD_BYTES]; /* written, not shown */
};

/* Move what stands in *kept, counts[0..V) (models/generation/sampler.h) and *ngrams between them and the
 * rest, by the cursor's use. Tokens that *ngrams does not note are passed over. */
void kept_text_walk(struct rest *rest, struct kept_text *kept, uint32_t *counts, struct ngrams *ngrams,
                    size_t V);

/* Read a state's rest. `counts` and `ngrams` may be NULL. Return false, with one sentence in *err, unless
 * every field is one that a model with V tokens can have written. */
bool kept_text_read(const struct state *state, size_t V, struct kept_text *kept, uint32_t *counts,
                    struct ngrams *ngrams, struct error *err);

#endif
