#include "models/bundle/coder.h"

#include <string.h>

const char *const initial_state_names[N_INITIAL_STATES + 1] = {"zero", "encoder", NULL};

/* The next layer from i on whose state an encoder may give; NULL: none. What a decoder recalls of itself
 * begins at zero. */
static const struct layer *next_state(const struct network *network, size_t *i)
{
    const struct layer *layer;
    while ((layer = network_layer(network, (*i)++)))
        if (layer->state_floats && !layer->recalls) return layer;
    return NULL;
}

static enum status check_states(const struct parts *parts, struct error *err)
{
    const struct layer *from, *to;
    size_t i = 0, k = 0, n = 0;
    do {
        from = next_state(parts->network, &i);
        to = next_state(parts->decoder, &k);
        if (from && to && (from->type != to->type || from->state_floats != to->state_floats))
            return error_set(err, STATUS_BAD_SHAPE,
                             "initial_state is 'encoder', but layer %zu that remembers is a %s with a state "
                             "of %zu numbers in the encoder, and a %s of %zu in the decoder", n,
                             from->type->name, from->state_floats, to->type->name, to->state_floats);
        if (!from != !to)
            return error_set(err, STATUS_BAD_SHAPE,
                             "initial_state is 'encoder', but the %s has more layers that remember than the "
                             "%s: a layer that reads in both directions has no state to give",
                             from ? "encoder" : "decoder", from ? "decoder" : "encoder");
        n++;
    } while (from);
    return STATUS_OK;
}

enum status coder_check(const struct parts *parts, const struct coder_spec *spec, struct error *err)
{
    size_t memory = network_memory_size(parts->decoder), outputs = network_output_size(parts->network);
    bool begins = spec->initial_state == INITIAL_ENCODER;
    if (memory && memory != outputs)
        return error_set(err, STATUS_BAD_SHAPE,
                         "the decoder attends to rows of %zu numbers, the encoder gives %zu a step", memory,
                         outputs);
    if (!memory && !begins)
        return error_set(err, STATUS_BAD_VALUE,
                         "the decoder does not depend on the encoder: expected an attention layer, or "
                         "initial_state 'encoder'");
    return begins ? check_states(parts, err) : STATUS_OK;
}

void coder_begin(const struct model *model, const float *encoder, float *decoder)
{
    const struct coder_spec *spec = model->spec;
    const struct layer *from, *to;
    size_t i = 0, k = 0;
    memset(decoder, 0, network_state_floats(model->decoder) * sizeof *decoder);
    if (spec->initial_state != INITIAL_ENCODER) return;
    while ((from = next_state(model->network, &i)) && (to = next_state(model->decoder, &k)))
        memcpy(decoder + to->state_offset, encoder + from->state_offset, to->state_floats * sizeof *decoder);
}

void coder_back(const struct model *model, const float *d_decoder, float *d_encoder)
{
    const struct coder_spec *spec = model->spec;
    const struct layer *from, *to;
    size_t i = 0, k = 0;
    memset(d_encoder, 0, network_state_floats(model->network) * sizeof *d_encoder);
    if (spec->initial_state != INITIAL_ENCODER) return;
    while ((from = next_state(model->decoder, &i)) && (to = next_state(model->network, &k)))
        memcpy(d_encoder + to->state_offset, d_decoder + from->state_offset,
               to->state_floats * sizeof *d_encoder);
}
