/* pooling: one vector for the whole sequence, out of the outputs of all its steps.
 *
 *   last   the final outputs: of the last step for columns that know the past, of the first step
 *          for columns of a reverse direction (PyTorch's h_n of a bidirectional LSTM). After a
 *          linear layer, which mixes the directions, it is the last step's row
 *   last_step  the last step's row, also of a reverse direction, which has seen one step there: out[:, -1]
 *   middle     the row of step T / 2, rounded down, of a sequence of T steps, counted from 0
 *   mean   the sum of all rows, in the order of the steps, times 1 / count
 *   sum    without the factor
 *   max    column by column
 *
 * mean, sum and max go on across turns: the state holds the sum or maximum so far and, in its last
 * float, the count (exact up to 2^24 steps). Adding in the order of the steps makes the result the
 * same however the sequence was cut. A turn writes what the pooled vector would be if the sequence
 * ended there; only the last one is looked at. middle needs the whole sequence in one turn, because the
 * length says which row it is. */
#include "core/network/layer.h"

#include <string.h>

#include "core/base/memory.h"

enum { MODE };                /* values, in the order of keys */
enum mode { LAST, MEAN, MAX, SUM, LAST_STEP, MIDDLE }; /* index into modes */

static const char *const modes[] = {"last", "mean", "max", "sum", "last_step", "middle", NULL};

static const struct layer_key keys[] = {
    {.name = "mode", .kind = KEY_CHOICE, .required = true, .choices = modes},
    {.name = NULL},
};

struct pooling {
    struct layer layer;
    enum mode mode;
};

/* Whether a mode needs more than one row. */
static bool keeps(enum mode mode)
{
    return mode == MEAN || mode == MAX || mode == SUM;
}

/* The step whose row a mode gives, of T. */
static size_t step_of(enum mode mode, size_t T)
{
    return mode == MIDDLE ? T / 2 : T - 1;
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    const struct layer *before = context->before;
    if (!before)
        return error_set(err, STATUS_BAD_VALUE,
                         "pooling: cannot be the first layer, expected steps to pool before it");
    struct pooling *pooling = memory_new(1, sizeof *pooling);
    if (!pooling) return error_set(err, STATUS_NO_MEMORY, "pooling: no memory");
    size_t n = before->output_size;
    pooling->mode = (enum mode)spec->values[MODE];
    pooling->layer = (struct layer){.type = spec->type, .input_size = n, .output_size = n,
                                    .state_floats = keeps(pooling->mode) ? n + 1 : 0,
                                    .pools = true, .whole = pooling->mode == MIDDLE,
                                    .bounded = before->bounded && pooling->mode != SUM,
                                    .forward_size = before->forward_size};
    *out = &pooling->layer;
    return STATUS_OK;
}

static void pooling_free(struct layer *layer)
{
    memory_free(layer);
}

static const float *step_row(const struct layer *layer, const struct turn *turn, const float *in,
                             size_t t, size_t b)
{
    return in + (turn->first[t] + b) * layer->input_size;
}

static void take_last(const struct layer *layer, const struct turn *turn, const float *in,
                      size_t b, float *out)
{
    size_t forward = layer->forward_size, reverse = layer->output_size - forward;
    const float *last = step_row(layer, turn, in, turn->steps[b] - 1, b);
    memcpy(out, last, forward * sizeof *out);
    memcpy(out + forward, step_row(layer, turn, in, 0, b) + forward, reverse * sizeof *out);
}

/* Take a row into the state: the sum or maximum [n], then the count. */
static void absorb(enum mode mode, const float *row, size_t n, float *state)
{
    if (state[n] == 0.0f) memcpy(state, row, n * sizeof *state);
    else if (mode != MAX)
        for (size_t i = 0; i < n; i++) state[i] += row[i];
    else
        for (size_t i = 0; i < n; i++) state[i] = row[i] > state[i] ? row[i] : state[i];
    state[n] += 1.0f;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    enum mode mode = ((const struct pooling *)layer)->mode;
    size_t n = layer->output_size;
    (void)scratch;
    for (size_t b = 0; b < turn->B; b++, out += n) {
        if (mode == LAST) take_last(layer, turn, in, b, out);
        if (mode == LAST_STEP || mode == MIDDLE)
            memcpy(out, step_row(layer, turn, in, step_of(mode, turn->steps[b]), b), n * sizeof *out);
        if (!keeps(mode)) continue;
        float *state = turn->states[b] + layer->state_offset;
        for (size_t t = 0; t < turn->steps[b]; t++)
            absorb(mode, step_row(layer, turn, in, t, b), n, state);
        float scale = mode == MEAN ? 1.0f / state[n] : 1.0f;
        for (size_t i = 0; i < n; i++) out[i] = state[i] * scale;
    }
}

/* The step with the largest value of a column, the first of equals. */
static size_t largest(const struct passage *p, size_t n, size_t column)
{
    size_t best = 0;
    for (size_t t = 1; t < p->T; t++)
        if (p->in[t * n + column] > p->in[best * n + column]) best = t;
    return best;
}

/* A column's gradient goes to the step it was taken from; that of a mean or sum to all alike. */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    enum mode mode = ((const struct pooling *)layer)->mode;
    size_t n = layer->output_size;
    memset(d_in, 0, p->T * n * sizeof *d_in);
    for (size_t i = 0; i < n; i++) {
        if (mode == MEAN || mode == SUM)
            for (size_t t = 0; t < p->T; t++)
                d_in[t * n + i] = mode == SUM ? d_out[i] : d_out[i] / (float)p->T;
        else {
            bool is_first = mode == LAST && i >= layer->forward_size;
            size_t step = is_first ? 0 : step_of(mode, p->T);
            d_in[(mode == MAX ? largest(p, n, i) : step) * n + i] = d_out[i];
        }
    }
    return STATUS_OK;
}

const struct layer_type layer_pooling = {
    .name = "pooling",
    .keys = keys,
    .build = build,
    .free = pooling_free,
    .run = run,
    .backward = backward,
};
