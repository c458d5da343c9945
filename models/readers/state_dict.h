/* state_dict: from the names and shapes of PyTorch's tensors to a chain of layers.
 *
 * A state_dict says what layers there are, and not how forward() connects them. So nothing is guessed that
 * changes an answer: pooling comes from --pooling, and what lies between several linear layers from
 * --network, unless a torch.nn.Sequential of a pickled module says it. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_STATE_DICT_H
#define CAROUSEL_MODELS_IMPORT_STATE_DICT_H

#include "models/plan/options.h"
#include "models/plan/plan.h"
#include "models/readers/source.h"
#include "models/text/json.h"

/* Fill the plan. `network` is the array of --network, or NULL. If a fact is missing, err->param is the flag
 * that gives it. */
MUST_CHECK enum status state_dict_plan(const struct source *source, const struct options *options,
                                       const struct json *network, struct plan *plan, struct error *err);

#endif
