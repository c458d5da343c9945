/* embedding: the hidden vector that enters a network's head, as a representation of a sequence. Any task that
 * reads tokens or features. */
#ifndef CAROUSEL_MODELS_EMBEDDING_H
#define CAROUSEL_MODELS_EMBEDDING_H

#include "models/classification.h"

/* a network that pools has only its own: either gives that */
enum embedding_pooling { EMBEDDING_LAST, EMBEDDING_MEAN };

struct embedding;

enum status embedding_new(struct model *model, const struct classification_input *inputs, size_t n,
                          enum embedding_pooling pooling, size_t max_whole_steps,
                          const struct job_options *options, struct embedding **out,
                          struct error *err) MUST_CHECK;
struct job *embedding_job(struct embedding *embedding);
/* [n, network_hidden_size], once finished. */
const float *embedding_vectors(const struct embedding *embedding);

#endif
