/* coder: what goes from the encoder of a model to its decoder.
 *
 * The encoder reads the whole source. The decoder attends to the encoder's outputs, one row a step of the
 * source (struct memory), if it has an attention layer. Its own state begins at zero, or where the encoder's
 * ended: then the k-th layer that remembers in the decoder goes on from the k-th in the encoder, as a
 * PyTorch decoder does that is given the encoder's (h_n, c_n). Pure; any thread. */
#ifndef CAROUSEL_MODELS_CODER_H
#define CAROUSEL_MODELS_CODER_H

#include "models/bundle/model.h"

enum initial_state { INITIAL_ZERO, INITIAL_ENCODER, N_INITIAL_STATES };

/* What config.json says of it. The spec of a task with has_decoder begins with this. */
struct coder_spec {
    long initial_state; /* index into initial_state_names */
};
extern const char *const initial_state_names[N_INITIAL_STATES + 1]; /* NULL-terminated */

/* Check that the decoder can go on from the encoder, and depends on it. STATUS_BAD_VALUE or STATUS_BAD_SHAPE
 * with a sentence. */
enum status coder_check(const struct parts *parts, const struct coder_spec *spec,
                        struct error *err) MUST_CHECK;

/* Write the state in which the decoder begins; both are [network_state_floats] of their networks. */
void coder_begin(const struct model *model, const float *encoder, float *decoder);
/* The way back of a gradient: from that by the state in which the decoder begins write that by the encoder's
 * last state. */
void coder_back(const struct model *model, const float *d_decoder, float *d_encoder);

#endif
