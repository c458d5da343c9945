/* initial_state: h and c of a model's recurrent layers before the first step, as requests and golden cases
 * write them.
 *
 *   {"h": [[0.1, 0.2], [0.3, 0.4]], "c": [[0, 0], [0, 0]]}
 *
 * A row for each of the num_layers of every lstm, gru and rnn, in their order; c has rows of the lstm layers
 * alone. If there is one row, it may stand without the brackets around it. Pure; any thread. */
#ifndef CAROUSEL_MODELS_INITIAL_STATE_H
#define CAROUSEL_MODELS_INITIAL_STATE_H

#include "core/network/network.h"
#include "models/text/json.h"

/* The field's name, in requests and in golden.json. */
#define INITIAL_STATE "initial_state"

/* Write h and c into state [network_state_floats], which is zero. STATUS_BAD_VALUE with the place in
 * err->param, "initial_state.h[1]"; STATUS_UNSUPPORTED if the network keeps no such state. */
MUST_CHECK enum status initial_state_read(const struct network *network, const struct json *object,
                                          float *state, struct error *err);

#endif
