/* initial: the field `initial_state` of a request: h and c of the model's recurrent layers before the first
 * step.
 *
 *   {"h": [[0.1, 0.2], [0.3, 0.4]], "c": [[0, 0], [0, 0]]}
 *
 * A row for each of the num_layers of every lstm, gru and rnn, in their order; c has rows of the lstm layers
 * alone. If there is one row, it may stand without the brackets around it. On the request's thread. */
#ifndef CAROUSEL_SERVER_INITIAL_H
#define CAROUSEL_SERVER_INITIAL_H

#include "server/api/codec.h"

/* Read the field into *state [network_state_floats], from memory_new and the caller's, also after a failure;
 * NULL if the field is absent. Return false with the call's problem filled. */
bool initial_read(const struct call *call, float **state);

#endif
