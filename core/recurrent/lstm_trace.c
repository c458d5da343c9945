/* The slow path of lstm: one sequence, with every gate kept, and the gradients back through time.
 *
 * The weights are unpacked from the served matrices into float32 ones, gates in PyTorch's order (i f g o,
 * each of H rows), and for backward into their transposes. So codes of an int8 matrix count as the numbers
 * they stand for, and inputs are not rounded to codes.
 *
 * With d for the gradient of the chosen number, from the last step to the first:
 *
 *     do = dh tanh(c)            dc += dh o (1 - tanh(c)^2)
 *     di = dc g    dg = dc i     df = dc c(t-1)      dc(t-1) = dc f
 *     a gate's own input: di i (1-i), df f (1-f), dg (1-g^2), do o (1-o)
 *     dx = transpose(W) of those four      dh(t-1) = transpose(U) of them + what comes from above
 *
 * (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; nothing is truncated.) */
#include "core/recurrent/recurrent.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"

/* What is kept ---------------------------------------------------------------------------- */

static size_t width(const struct recurrent *lstm)
{
    return lstm->n_directions * lstm->O;
}

size_t lstm_trace_floats(const struct layer *layer, size_t T)
{
    const struct recurrent *lstm = (const struct recurrent *)layer;
    return T * (lstm->n_layers * lstm->n_directions * 5 * lstm->H + (lstm->n_layers - 1) * width(lstm));
}

struct lstm_kept lstm_kept_at(const struct recurrent *lstm, const struct passage *passage, size_t k, size_t d)
{
    size_t T = passage->T, cells = lstm->n_layers * lstm->n_directions;
    float *gates = passage->kept + (k * lstm->n_directions + d) * 5 * lstm->H * T;
    float *between = passage->kept + cells * 5 * lstm->H * T;
    return (struct lstm_kept){.gates = gates, .c = gates + 4 * lstm->H * T,
                              .y = k + 1 == lstm->n_layers ? passage->out : between + k * width(lstm) * T};
}

/* Unpacking ------------------------------------------------------------------------------- */

/* Find where row `row` of 4H, gate below gate, lies panel by panel. */
static size_t panel_row(size_t H, size_t row)
{
    size_t gate = row / H, unit = row % H, panel = unit / LSTM_BLOCK, left = H - panel * LSTM_BLOCK;
    size_t units = left < LSTM_BLOCK ? left : LSTM_BLOCK;
    return panel * PANEL_COLUMNS + gate * units + unit % LSTM_BLOCK;
}

/* Unpack the weights of a matrix into a float32 one: [N,K] with its bias, or transposed to [K,N] without. H:
 * its rows are gates, panel by panel; 0: they are in order. */
static enum status unpack(const struct matrix *from, size_t H, bool transposed, struct matrix **out)
{
    size_t N = matrix_outputs(from), K = matrix_inputs(from);
    float *weights = memory_new(N * K, sizeof *weights), *row = memory_new(K, sizeof *row);
    float *bias = memory_new(N, sizeof *bias);
    enum status status = STATUS_NO_MEMORY;
    if (weights && row && bias) {
        for (size_t n = 0; n < N; n++) {
            bias[n] = matrix_row(from, H ? panel_row(H, n) : n, row);
            for (size_t k = 0; k < K; k++) weights[transposed ? k * N + n : n * K + k] = row[k];
        }
        status = transposed ? matrix_new(weights, NULL, K, N, PRECISION_FLOAT32, out)
                            : matrix_new(weights, bias, N, K, PRECISION_FLOAT32, out);
    }
    memory_free(weights);
    memory_free(row);
    memory_free(bias);
    return status;
}

/* W, U and P of a cell, or their transposes; NULL where the cell has none. */
struct weights {
    struct matrix *W, *U, *P;
};

static void weights_free(struct weights *weights)
{
    matrix_free(weights->W);
    matrix_free(weights->U);
    matrix_free(weights->P);
}

static enum status weights_unpack(const struct recurrent *lstm, const struct cell *cell, bool transposed,
                                  struct weights *out)
{
    enum status status = unpack(cell->U, lstm->H, transposed, &out->U);
    if (status == STATUS_OK && cell->W) status = unpack(cell->W, lstm->H, transposed, &out->W);
    if (status == STATUS_OK && cell->P) status = unpack(cell->P, 0, transposed, &out->P);
    return status;
}

/* Compute C [R,N] = A [R,K] * transpose(matrix), rows without gaps; or add it to C. */
static void multiply(const struct matrix *matrix, size_t R, const float *A, float *C, bool accumulate)
{
    matrix_multiply(matrix, R, &(struct operand){.values = A, .values_stride = matrix_inputs(matrix)},
                    &(struct target){.C = C, .stride = matrix_outputs(matrix), .accumulate = accumulate});
}

/* Forward --------------------------------------------------------------------------------- */

/* One direction of one layer. */
struct way {
    const struct recurrent *lstm;
    const struct passage *passage;
    const struct cell *cell;
    struct weights weights;
    struct lstm_kept kept;
    const float *x; /* [T,I], or NULL if the cell has a table */
    size_t k, d;
};

/* Return the step that comes `at`-th in the way's own direction. */
static size_t step_at(const struct way *way, size_t at)
{
    return way->d ? way->passage->T - 1 - at : at;
}

static float *h_of(const struct way *way, size_t t)
{
    return way->kept.y + t * width(way->lstm) + way->d * way->lstm->O;
}

static bool gives_up(const struct passage *passage)
{
    return passage->stop && passage->stop(passage->context);
}

/* Write W x + b of all steps into the gates. */
static void project(const struct way *way)
{
    size_t H = way->lstm->H, T = way->passage->T;
    if (way->weights.W) {
        multiply(way->weights.W, T, way->x, way->kept.gates, false);
        return;
    }
    for (size_t t = 0; t < T; t++) {
        const float *row = way->cell->table + (size_t)way->passage->tokens[t] * 4 * H;
        for (size_t n = 0; n < 4 * H; n++) way->kept.gates[t * 4 * H + n] = row[panel_row(H, n)];
    }
}

/* Run one step; `before` is the step before it in this direction, or T. m: [H]. */
static void step_forward(const struct way *way, size_t t, size_t before, float *m)
{
    const struct kernels *kernels = way->lstm->kernels;
    size_t H = way->lstm->H, T = way->passage->T;
    float *gates = way->kept.gates + t * 4 * H, *c = way->kept.c + t * H, *h = h_of(way, t);
    if (before < T) multiply(way->weights.U, 1, h_of(way, before), gates, true);
    kernels->sigmoid(2 * H, gates, gates);
    kernels->tanh(H, gates + 2 * H, gates + 2 * H);
    kernels->sigmoid(H, gates + 3 * H, gates + 3 * H);
    for (size_t u = 0; u < H; u++) {
        float old = before < T ? way->kept.c[before * H + u] : 0;
        c[u] = gates[H + u] * old + gates[u] * gates[2 * H + u];
    }
    kernels->tanh(H, c, m);
    for (size_t u = 0; u < H; u++) m[u] *= gates[3 * H + u];
    if (way->weights.P) multiply(way->weights.P, 1, m, h, false);
    else memcpy(h, m, H * sizeof *h);
}

static enum status way_forward(struct way *way)
{
    float *m = memory_new(way->lstm->H, sizeof *m);
    enum status status = m ? weights_unpack(way->lstm, way->cell, false, &way->weights) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) project(way);
    for (size_t at = 0; status == STATUS_OK && at < way->passage->T; at++) {
        if (gives_up(way->passage)) status = STATUS_CANCELLED;
        else step_forward(way, step_at(way, at), at ? step_at(way, at - 1) : way->passage->T, m);
    }
    weights_free(&way->weights);
    memory_free(m);
    return status;
}

/* Return the rows that layer k reads: what the layer below wrote, or the passage's own. */
static const float *rows_into(const struct recurrent *lstm, const struct passage *passage, size_t k)
{
    return k ? lstm_kept_at(lstm, passage, k - 1, 0).y : passage->in;
}

static struct way way_at(const struct recurrent *lstm, const struct passage *passage, size_t k, size_t d)
{
    return (struct way){.lstm = lstm, .passage = passage, .cell = &lstm->cells[k * lstm->n_directions + d],
                        .kept = lstm_kept_at(lstm, passage, k, d), .x = rows_into(lstm, passage, k),
                        .k = k, .d = d};
}

enum status lstm_trace(const struct layer *layer, const struct passage *passage)
{
    const struct recurrent *lstm = (const struct recurrent *)layer;
    enum status status = STATUS_OK;
    for (size_t k = 0; k < lstm->n_layers; k++)
        for (size_t d = 0; status == STATUS_OK && d < lstm->n_directions; d++) {
            struct way way = way_at(lstm, passage, k, d);
            status = way_forward(&way);
        }
    return status;
}

/* Backward -------------------------------------------------------------------------------- */

/* The gradients of one way. */
struct back {
    float *pre;  /* [T,4H] of the gates' inputs */
    float *dh;   /* [O] what comes from the step after in this direction, then of h */
    float *dm;   /* [H] of o tanh(c) */
    float *dc;   /* [H] */
    float *wide; /* [H] tanh(c) */
};

static void back_free(struct back *back)
{
    memory_free(back->pre);
    memory_free(back->dh);
    memory_free(back->dm);
    memory_free(back->dc);
    memory_free(back->wide);
}

static bool back_new(const struct way *way, struct back *back)
{
    size_t H = way->lstm->H;
    *back = (struct back){.pre = memory_new(way->passage->T, 4 * H * sizeof(float)),
                          .dh = memory_new(way->lstm->O, sizeof(float)),
                          .dm = memory_new(H, sizeof(float)),
                          .dc = memory_new(H, sizeof(float)),
                          .wide = memory_new(H, sizeof(float))};
    return back->pre && back->dh && back->dm && back->dc && back->wide;
}

/* Go back through the gates of step t, whose dh is complete; c of the step before is `old`, or NULL at the
 * first. */
static void gates_backward(const struct way *way, const struct back *back, size_t t, const float *old)
{
    size_t H = way->lstm->H;
    const float *gates = way->kept.gates + t * 4 * H;
    float *pre = back->pre + t * 4 * H;
    way->lstm->kernels->tanh(H, way->kept.c + t * H, back->wide);
    for (size_t u = 0; u < H; u++) {
        float i = gates[u], f = gates[H + u], g = gates[2 * H + u], o = gates[3 * H + u];
        float shown = back->wide[u], dm = back->dm[u];
        float dc = back->dc[u] + dm * o * (1 - shown * shown);
        pre[u] = dc * g * i * (1 - i);
        pre[H + u] = old ? dc * old[u] * f * (1 - f) : 0;
        pre[2 * H + u] = dc * i * (1 - g * g);
        pre[3 * H + u] = dm * shown * o * (1 - o);
        back->dc[u] = dc * f;
    }
}

/* Go back through all steps: d_y [T,width] of this layer's outputs -> back->pre. */
static enum status steps_backward(const struct way *way, const struct back *back, const float *d_y)
{
    size_t H = way->lstm->H, O = way->lstm->O, T = way->passage->T;
    for (size_t at = T; at-- > 0;) {
        size_t t = step_at(way, at);
        const float *from_above = d_y + t * width(way->lstm) + way->d * O;
        if (gives_up(way->passage)) return STATUS_CANCELLED;
        for (size_t i = 0; i < O; i++) back->dh[i] += from_above[i];
        if (way->weights.P) multiply(way->weights.P, 1, back->dh, back->dm, false);
        else memcpy(back->dm, back->dh, H * sizeof(float));
        gates_backward(way, back, t, at ? way->kept.c + step_at(way, at - 1) * H : NULL);
        multiply(way->weights.U, 1, back->pre + t * 4 * H, back->dh, false);
    }
    return STATUS_OK;
}

/* Add what back->pre leads to to d_x [T,I], or [T] if the cell reads tokens: there the token's vector times
 * W is its row of the table without b. */
static void inputs_backward(const struct way *way, const struct back *back, float *d_x)
{
    size_t H = way->lstm->H, T = way->passage->T;
    if (way->weights.W) {
        multiply(way->weights.W, T, back->pre, d_x, true);
        return;
    }
    for (size_t t = 0; t < T; t++) {
        const float *row = way->cell->table + (size_t)way->passage->tokens[t] * 4 * H;
        double sum = 0;
        for (size_t n = 0; n < 4 * H; n++) {
            size_t at = panel_row(H, n);
            double b = way->cell->bias ? (double)way->cell->bias[at] : 0;
            sum += (double)back->pre[t * 4 * H + n] * ((double)row[at] - b);
        }
        d_x[t] += (float)sum;
    }
}

static enum status way_backward(struct way *way, const float *d_y, float *d_x)
{
    struct back back;
    enum status status = STATUS_NO_MEMORY;
    if (back_new(way, &back)) status = weights_unpack(way->lstm, way->cell, true, &way->weights);
    if (status == STATUS_OK) status = steps_backward(way, &back, d_y);
    if (status == STATUS_OK) inputs_backward(way, &back, d_x);
    weights_free(&way->weights);
    back_free(&back);
    return status;
}

enum status lstm_backward(const struct layer *layer, const struct passage *passage, const float *d_out,
                          float *d_in)
{
    const struct recurrent *lstm = (const struct recurrent *)layer;
    size_t row = width(lstm), I = layer->input_size ? layer->input_size : 1, T = passage->T;
    float *d[2] = {memory_new(T, row * sizeof(float)), memory_new(T, row * sizeof(float))};
    enum status status = d[0] && d[1] ? STATUS_OK : STATUS_NO_MEMORY;
    const float *d_y = d_out;
    for (size_t k = lstm->n_layers; status == STATUS_OK && k-- > 0;) {
        float *d_x = k ? d[k % 2] : d_in;
        memset(d_x, 0, T * (k ? row : I) * sizeof *d_x);
        for (size_t i = 0; status == STATUS_OK && i < lstm->n_directions; i++) {
            struct way way = way_at(lstm, passage, k, i);
            status = way_backward(&way, d_y, d_x);
        }
        d_y = d_x;
    }
    memory_free(d[0]);
    memory_free(d[1]);
    return status;
}
