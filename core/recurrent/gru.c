/* gru: torch.nn.GRU and Keras' GRU of either convention (Cho et al., 2014). One step of a layer, x the
 * input, h what the sequence remembers:
 *
 *     r = sigmoid(W_r x + b_ir + U_r h + b_hr)            how much of the old goes into the new
 *     z = sigmoid(W_z x + b_iz + U_z h + b_hz)            how much of the old is kept
 *     n = tanh   (W_n x + b_in + r * (U_n h + b_hn))      the new; reset_after, PyTorch's
 *     n = tanh   (W_n x + b_in + U_n (r * h) + b_hn)      the new; without reset_after, the paper's
 *     h = (1 - z) * n + z * h
 *
 * W [3H,I] and U [3H,H] hold the gates in PyTorch's order r, z, n. With reset_after, U h is kept apart from
 * W x, because r stands between them in n. Without it, a step is two products one after the other: r and z
 * of all units, then what reads r * h.
 *
 * State of a sequence, one-directional: for each layer h [H]. How a turn runs stands in
 * core/recurrent/recurrent.c. */
#include "core/recurrent/way.h"

/* Values, in the order of keys. */
enum { RESET_AFTER = N_RECURRENT_KEYS, GATE, SQUASH, GO_BACKWARDS, INITIAL_STATE };

static const char *const gates[] = {"sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", NULL};
static const char *const squashes[] = {"tanh", "relu", "sigmoid", NULL};

static const struct layer_key keys[] = {
    RECURRENT_KEYS,
    {.name = "reset_after", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "recurrent_activation", .kind = KEY_CHOICE, .choices = gates},
    {.name = "activation", .kind = KEY_CHOICE, .choices = squashes},
    {.name = "go_backwards", .kind = KEY_BOOLEAN},
    {.name = "initial_state", .kind = KEY_BOOLEAN},
    RECURRENT_KEYS_WITHOUT_EFFECT,
    {.name = NULL},
};

enum { BLOCK = PANEL_COLUMNS };

/* h = n + z (h - n) for n units of one row. */
static void blend(size_t n, const float *z, const float *fresh, const float *before, float *h)
{
    for (size_t j = 0; j < n; j++) h[j] = fresh[j] + z[j] * (before[j] - fresh[j]);
}

static void step(const struct recurrent *gru, const struct units *u)
{
    float sum[2 * BLOCK], *r = sum, *z = sum + u->n, fresh[BLOCK];
    size_t n = u->n;
    for (size_t row = 0; row < u->R; row++) {
        const float *x = u->gates + row * u->ldg, *hidden = u->hidden + row * u->ldu;
        for (size_t j = 0; j < 2 * n; j++) sum[j] = x[j] + hidden[j];
        gru->gate(2 * n, sum, sum);
        for (size_t j = 0; j < n; j++) fresh[j] = x[2 * n + j] + r[j] * hidden[2 * n + j];
        gru->squash(n, fresh, fresh);
        blend(n, z, fresh, u->before + row * u->ldb, u->h + row * u->ldh);
    }
}

/* Without reset_after. First r and z of all units: `hidden` holds U h of r [H], then of z [H]. Put r * h
 * into u->h. W x of a block is r, z, n of its units; z takes the place of its own. */
static void reset(const struct recurrent *gru, const struct units *u)
{
    for (size_t row = 0; row < u->R; row++) {
        const float *hidden = u->hidden + row * u->ldu, *before = u->before + row * u->ldb;
        float *x = u->gates + row * u->ldg, *h = u->h + row * u->ldh;
        for (size_t first = 0; first < u->n; first += BLOCK, x += 3 * BLOCK) {
            size_t n = u->n - first < BLOCK ? u->n - first : BLOCK;
            for (size_t j = 0; j < n; j++) {
                x[j] += hidden[first + j];
                x[n + j] += hidden[u->n + first + j];
            }
            gru->gate(2 * n, x, x);
            for (size_t j = 0; j < n; j++) h[first + j] = x[j] * before[first + j];
        }
    }
}

/* Then the rest: `hidden` holds U_n (r * h) [H]. */
static void finish(const struct recurrent *gru, const struct units *u)
{
    float fresh[BLOCK];
    for (size_t row = 0; row < u->R; row++) {
        const float *hidden = u->hidden + row * u->ldu, *before = u->before + row * u->ldb;
        const float *x = u->gates + row * u->ldg;
        float *h = u->h + row * u->ldh;
        for (size_t first = 0; first < u->n; first += BLOCK, x += 3 * BLOCK) {
            size_t n = u->n - first < BLOCK ? u->n - first : BLOCK;
            for (size_t j = 0; j < n; j++) fresh[j] = x[2 * n + j] + hidden[first + j];
            gru->squash(n, fresh, fresh);
            blend(n, x + n, fresh, before + first, h + first);
        }
    }
}

static const struct cell_kind after = {.n_gates = 3, .block_units = BLOCK, .block_panels = 3,
                                       .is_separate = true, .step = step, .slow = &gru_slow};
static const struct cell_kind original = {.n_gates = 3, .block_units = BLOCK, .block_panels = 3,
                                          .is_separate = true, .step = finish, .reset = reset,
                                          .slow = &gru_original_slow};

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const long *v = spec->values;
    const struct cell_options options = {
        .kind = v[RESET_AFTER] ? &after : &original, .gate = gates[v[GATE]],
        .squash = squashes[v[SQUASH]], .is_backwards = v[GO_BACKWARDS],
        .has_initial = v[INITIAL_STATE]};
    return recurrent_build(spec, context, &options, out, err);
}

RECURRENT_TYPE(gru);
