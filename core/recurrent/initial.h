/* initial: where h and c of a network's recurrent layers stand in a sequence's state, so that a caller can
 * begin a sequence from its own. Of lstm, gru and rnn, each of whose num_layers is a row, as in PyTorch's h_0
 * and c_0. Pure; any thread. */
#ifndef CAROUSEL_CORE_INITIAL_H
#define CAROUSEL_CORE_INITIAL_H

#include "core/network/network.h"

struct initial_row {
    size_t h_at, n_h; /* floats of the state (network_state_floats) */
    size_t c_at, n_c; /* the same of c; n_c is 0 if the layer has none */
};

/* Fill in the first `max` rows, in the order of the layers, and return how many there are. A network whose
 * sequences ride whole has none, because it keeps no state. */
size_t initial_rows(const struct network *network, struct initial_row *rows, size_t max);

/* Note in state [network_state_floats] that its h and c are there, so that those of the weights, if a layer
 * has such, are not put in their place. */
void initial_mark(const struct network *network, float *state);

#endif
