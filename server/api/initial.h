/* initial: the field `initial_state` of a request: h and c of the model's recurrent layers before the first
 * step, as models/bundle/initial_state.h has them. On the request's thread. */
#ifndef CAROUSEL_SERVER_INITIAL_H
#define CAROUSEL_SERVER_INITIAL_H

#include "server/api/codec.h"

/* Read the field into *state [network_state_floats], from memory_new and the caller's, also after a failure;
 * NULL if the field is absent. Return false with the call's problem filled. */
bool initial_read(const struct call *call, float **state);

#endif
