/* beams: what the routes that write a target by beam search or by draws have in common: the fields of the
 * search, and the numbers of a result. HTTP threads only. */
#ifndef CAROUSEL_SERVER_BEAMS_H
#define CAROUSEL_SERVER_BEAMS_H

#include "models/translation/translation.h"
#include "server/api/codec.h"
#include "server/base/json_writer.h"

/* Begin a request by what the bundle says: the search of its own settings, for one result. */
struct translation_request beams_request(const struct call *call, enum ability ability);

/* Read "num_beams", "max_tokens", "length_penalty", "coverage_penalty", "return_attention", and of draws
 * "temperature", "top_p" and "seed". More results than there are beams widen the search, unless num_beams is
 * given. false with the call's problem filled. */
#define BEAMS_FIELDS \
    "num_beams", "max_tokens", "length_penalty", "coverage_penalty", "return_attention", "temperature", \
    "top_p", "seed"
bool beams_read(const struct call *call, struct translation_request *request);

/* Write "attention" of one result of input i: the tokens of both sides (of the source only if it has
 * tokens), and a row of weights for each token of the target. Nothing if the request keeps none; false: no
 * memory. */
bool beams_put_attention(struct writer *out, const struct translation *translation, size_t i,
                         const struct translation_result *result);

/* Read "n", how many results, and then the same; without num_beams the search becomes as wide as it needs. */
bool beams_read_n(const struct call *call, struct translation_request *request);

/* The text of a result, zero-terminated; the caller's to memory_free. NULL: no memory. */
char *beams_text(const struct tokenizer *tokenizer, const struct translation_result *result);

/* Write "text", what the tokens say. false: no memory. */
bool beams_put_text(struct writer *out, const struct tokenizer *tokenizer,
                    const struct translation_result *result);

/* Write "score", "log_probability" and "finish_reason". */
void beams_put(struct writer *out, const struct translation_result *result);

/* Write "seed", if the results were drawn. */
void beams_put_seed(struct writer *out, const struct translation *translation);

/* Close the answer with its usage, as the request's record has it; end: of an event. */
void beams_end(struct writer *out, const struct work *work, const struct request *request);
void beams_close(struct writer *out, struct work *work, struct request *request, struct reply *reply);

#endif
