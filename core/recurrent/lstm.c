/* lstm: torch.nn.LSTM, and Keras' LSTM with what it may have instead. One step of a layer, x the input, h
 * and c what the sequence remembers:
 *
 *     i = sigmoid(W_i x + U_i h + b_i)     how much of the new is let in
 *     f = sigmoid(W_f x + U_f h + b_f)     how much of the old is kept
 *     g = tanh   (W_g x + U_g h + b_g)     the new
 *     o = sigmoid(W_o x + U_o h + b_o)     how much is shown
 *     c = f * c + i * g                    the constant error carousel
 *     h = o * tanh(c)                      with a projection, h = P (o * tanh(c))
 *
 * W [4H,I] and U [4H,O] hold the gates in PyTorch's order i, f, g, o, b is PyTorch's bias_ih + bias_hh, O,
 * the outputs, is H or proj_size. With peepholes (Gers and Schmidhuber, 2000), i and f see p * c of the step
 * before, and o sees p * c of this step.
 *
 * State of a sequence, one-directional: for each layer h [O], then c [H]. How a turn runs stands in
 * core/recurrent/recurrent.c. */
#include "core/recurrent/way.h"

/* Values, in the order of keys. */
enum { PROJ_SIZE = N_RECURRENT_KEYS, GATE, SQUASH, PEEPHOLES, GO_BACKWARDS, INITIAL_STATE };

static const char *const gates[] = {"sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", NULL};
static const char *const squashes[] = {"tanh", "relu", "sigmoid", NULL};

static const struct layer_key keys[] = {
    RECURRENT_KEYS,
    {.name = "proj_size", .kind = KEY_SIZE, .maximum = LAYER_MAX_SIZE},
    {.name = "recurrent_activation", .kind = KEY_CHOICE, .choices = gates},
    {.name = "activation", .kind = KEY_CHOICE, .choices = squashes},
    {.name = "peepholes", .kind = KEY_BOOLEAN},
    {.name = "go_backwards", .kind = KEY_BOOLEAN},
    {.name = "initial_state", .kind = KEY_BOOLEAN},
    RECURRENT_KEYS_WITHOUT_EFFECT,
    {.name = NULL},
};

/* to += p * c, or nothing without peepholes. */
static void peep(size_t n, const float *p, const float *c, float *to)
{
    for (size_t j = 0; p && j < n; j++) to[j] += p[j] * c[j];
}

/* One row, each function by itself. */
static void row_step(const struct recurrent *lstm, const struct units *u, size_t row)
{
    size_t n = u->n, H = lstm->H;
    float *i = u->gates + row * u->ldg, *f = i + n, *g = f + n, *o = g + n;
    float *c = u->c + row * u->ldc, *h = u->h + row * u->ldh;
    const float *p = u->cell->peephole ? u->cell->peephole + u->unit : NULL;
    peep(n, p, c, i);
    peep(n, p ? p + H : NULL, c, f);
    lstm->gate(2 * n, i, i);
    lstm->squash(n, g, g);
    for (size_t j = 0; j < n; j++) c[j] = f[j] * c[j] + i[j] * g[j];
    peep(n, p ? p + 2 * H : NULL, c, o);
    lstm->gate(n, o, o);
    lstm->squash(n, c, h);
    for (size_t j = 0; j < n; j++) h[j] *= o[j];
}

static void step(const struct recurrent *lstm, const struct units *u)
{
    if (lstm->is_fused)
        lstm->kernels->lstm_gates(&(struct gates){.R = u->R, .H = u->n, .gates = u->gates,
                                                  .ldg = u->ldg, .c = u->c, .ldc = u->ldc,
                                                  .h = u->h, .ldh = u->ldh});
    else
        for (size_t row = 0; row < u->R; row++) row_step(lstm, u, row);
}

static const struct cell_kind kind = {.n_gates = 4, .block_units = LSTM_BLOCK, .block_panels = 1,
                                      .has_c = true, .step = step, .slow = &lstm_slow};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const long *v = spec->values;
    if (v[PROJ_SIZE] >= v[HIDDEN_SIZE] && v[PROJ_SIZE])
        return error_set(err, STATUS_BAD_VALUE,
                         "lstm '%s': proj_size is %ld, expected less than hidden_size, which is %ld",
                         spec->prefix, v[PROJ_SIZE], v[HIDDEN_SIZE]);
    const struct cell_options options = {
        .kind = &kind, .proj_size = (size_t)v[PROJ_SIZE], .gate = gates[v[GATE]],
        .squash = squashes[v[SQUASH]], .is_backwards = v[GO_BACKWARDS],
        .has_peepholes = v[PEEPHOLES], .has_initial = v[INITIAL_STATE]};
    return recurrent_build(spec, context, &options, out, err);
}

RECURRENT_TYPE(lstm);
