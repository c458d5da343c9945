/* rnn: torch.nn.RNN, Keras' SimpleRNN (Elman, 1990). One step of a layer, f tanh or relu:
 *
 *     h = f(W x + U h + b)
 *
 * W [H,I], U [H,H], b PyTorch's bias_ih + bias_hh. State of a sequence, one-directional: for each layer
 * h [H]. How a turn runs stands in core/recurrent/recurrent.c. */
#include "core/recurrent/way.h"

enum { NONLINEARITY = N_RECURRENT_KEYS, GO_BACKWARDS, INITIAL_STATE }; /* values, in the order of keys */

static const char *const nonlinearities[] = {"tanh", "relu", NULL};

static const struct layer_key keys[] = {
    RECURRENT_KEYS,
    {.name = "nonlinearity", .kind = KEY_CHOICE, .choices = nonlinearities},
    {.name = "go_backwards", .kind = KEY_BOOLEAN},
    {.name = "initial_state", .kind = KEY_BOOLEAN},
    RECURRENT_KEYS_WITHOUT_EFFECT,
    {.name = NULL},
};

static void step(const struct recurrent *rnn, const struct units *u)
{
    for (size_t r = 0; r < u->R; r++) rnn->squash(u->n, u->gates + r * u->ldg, u->h + r * u->ldh);
}

static const struct cell_kind kind = {.n_gates = 1, .block_units = PANEL_COLUMNS, .block_panels = 1,
                                      .step = step, .slow = &rnn_slow};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const struct cell_options options = {
        .kind = &kind, .squash = nonlinearities[spec->values[NONLINEARITY]],
        .is_backwards = spec->values[GO_BACKWARDS], .has_initial = spec->values[INITIAL_STATE]};
    return recurrent_build(spec, context, &options, out, err);
}

RECURRENT_TYPE(rnn);
