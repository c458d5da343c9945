/* explain_answer: an explanation as JSON, or as a file of safetensors.
 *
 * Both say the same. A safetensors answer (https://huggingface.co/docs/safetensors: 8 bytes with the length
 * of a header in JSON, the header, then numbers) has tensors named as the JSON's members, "forward.c" of
 * shape [units, steps] and so on, and the JSON without those members in its metadata, under "explanation". */
#ifndef CAROUSEL_SERVER_EXPLAIN_ANSWER_H
#define CAROUSEL_SERVER_EXPLAIN_ANSWER_H

#include "models/explain/explanation.h"
#include "server/request/request.h"

/* Fill the reply from an explanation that has run well. */
void explain_answer(const struct explanation *explanation, bool safetensors, const struct request *request,
                    struct reply *reply);

#endif
