#include "core/recurrent/initial.h"

#include "core/network/layer.h"
#include "core/recurrent/recurrent.h"

/* The layer as a recurrent one that keeps a state, or NULL. */
static const struct recurrent *stateful(const struct layer *layer)
{
    const struct recurrent *net =
        layer->type->trace == recurrent_trace ? (const struct recurrent *)layer : NULL;
    return net && !net->whole ? net : NULL;
}

size_t initial_rows(const struct network *network, struct initial_row *rows, size_t max)
{
    const struct layer *layer;
    size_t n = 0;
    for (size_t i = 0; !network_is_whole(network) && (layer = network_layer(network, i)); i++) {
        const struct recurrent *net = stateful(layer);
        for (size_t k = 0; net && k < net->n_layers; k++, n++) {
            size_t at = layer->state_offset + k * net->layer_state;
            if (n < max)
                rows[n] = (struct initial_row){.h_at = at, .n_h = net->O, .c_at = at + net->O,
                                               .n_c = net->kind->has_c ? net->H : 0};
        }
    }
    return n;
}

void initial_mark(const struct network *network, float *state)
{
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++) {
        const struct recurrent *net = stateful(layer);
        if (net && net->has_initial) state[layer->state_offset + layer->state_floats - 1] = 1;
    }
}
