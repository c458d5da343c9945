/* wired: the layers of --network, filled with the tensors of a file. One thread. */
#ifndef CAROUSEL_MODELS_READERS_WIRED_H
#define CAROUSEL_MODELS_READERS_WIRED_H

#include "models/readers/groups.h"
#include "models/text/json.h"

/* Fill the plan from `network`: an array of layers as config.json has it, or an object of two such arrays,
 * "encoder" and "decoder". Sizes that the tensors show may be left out. */
MUST_CHECK enum status wired_plan(struct groups *groups, const struct json *network, struct error *err);

#endif
