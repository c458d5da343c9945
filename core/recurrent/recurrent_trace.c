/* The slow path of lstm, gru and rnn: one sequence, with every gate kept, and the gradients back through
 * time. Each type computes its own step (core/recurrent/way.h).
 *
 * The weights are unpacked from the served matrices into float32 ones, gates in PyTorch's order, each of H
 * rows, and for backward into their transposes. So codes of an int8 matrix count as the numbers they stand
 * for, and inputs are not rounded to codes. */
#include <string.h>

#include "core/base/memory.h"
#include "core/network/slow.h"
#include "core/recurrent/way.h"

/* What is kept ---------------------------------------------------------------------------- */

static size_t width(const struct recurrent *net)
{
    return net->n_directions * net->O;
}

/* Floats of the gates of one step, GH. */
static size_t gates_of(const struct recurrent *net)
{
    return net->kind->n_gates * net->H;
}

/* Floats of a step that a direction of a layer keeps. */
static size_t kept_floats(const struct recurrent *net)
{
    return gates_of(net) + (net->kind->slow->keeps_more ? net->H : 0);
}

size_t recurrent_trace_floats(const struct layer *layer, size_t T)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    return T * (net->n_layers * net->n_directions * kept_floats(net) + (net->n_layers - 1) * width(net));
}

struct way_kept way_kept_at(const struct recurrent *net, const struct passage *passage, size_t k, size_t d)
{
    size_t T = passage->T, cells = net->n_layers * net->n_directions;
    float *gates = passage->kept + (k * net->n_directions + d) * kept_floats(net) * T;
    float *between = passage->kept + cells * kept_floats(net) * T;
    return (struct way_kept){.gates = gates, .more = gates + gates_of(net) * T,
                             .y = k + 1 == net->n_layers ? passage->out : between + k * width(net) * T};
}

/* Unpacking ------------------------------------------------------------------------------- */

/* Find where row `row` of GH, gate below gate, lies block by block. */
static size_t block_row(const struct recurrent *net, size_t row)
{
    const struct cell_kind *kind = net->kind;
    size_t gate = row / net->H, unit = row % net->H, block = unit / kind->block_units;
    size_t units = recurrent_units(kind, net->H, block);
    return block * kind->block_units * kind->n_gates + gate * units + unit % kind->block_units;
}

/* Unpack the weights of a matrix into a float32 one: [N,K] with its bias, or transposed to [K,N] without.
 * `net`: its rows are gates, block by block; NULL: they are in order. */
static enum status unpack(const struct matrix *from, const struct recurrent *net, bool transposed,
                          struct matrix **out)
{
    size_t N = matrix_outputs(from), K = matrix_inputs(from);
    float *weights = memory_new(N * K, sizeof *weights), *row = memory_new(K, sizeof *row);
    float *bias = memory_new(N, sizeof *bias);
    enum status status = STATUS_NO_MEMORY;
    if (weights && row && bias) {
        for (size_t n = 0; n < N; n++) {
            bias[n] = matrix_row(from, net ? block_row(net, n) : n, row);
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

static void weights_free(struct weights *weights)
{
    matrix_free(weights->W);
    matrix_free(weights->U);
    matrix_free(weights->N);
    matrix_free(weights->P);
}

static enum status weights_unpack(const struct recurrent *net, const struct cell *cell, bool transposed,
                                  struct weights *out)
{
    enum status status = unpack(cell->U, cell->N ? NULL : net, transposed, &out->U);
    if (status == STATUS_OK && cell->W) status = unpack(cell->W, net, transposed, &out->W);
    if (status == STATUS_OK && cell->N) status = unpack(cell->N, NULL, transposed, &out->N);
    if (status == STATUS_OK && cell->P) status = unpack(cell->P, NULL, transposed, &out->P);
    return status;
}

void way_multiply(const struct matrix *matrix, size_t R, const float *A, float *C, bool accumulate)
{
    matrix_multiply(matrix, R, &(struct operand){.values = A, .values_stride = matrix_inputs(matrix)},
                    &(struct target){.C = C, .stride = matrix_outputs(matrix), .accumulate = accumulate});
}

/* The weights of all cells, for passages of a few rows each. */
struct held {
    size_t n;
    struct weights weights[];
};

enum status recurrent_hold(const struct layer *layer, bool is_back, void **out)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    size_t n = net->n_layers * net->n_directions;
    struct held *held = memory_new(1, sizeof *held + n * sizeof *held->weights);
    if (!held) return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    for (; status == STATUS_OK && held->n < n; held->n++)
        status = weights_unpack(net, &net->cells[held->n], is_back, &held->weights[held->n]);
    if (status == STATUS_OK) *out = held;
    else recurrent_release(held);
    return status;
}

void recurrent_release(void *memory)
{
    struct held *held = memory;
    for (size_t i = 0; held && i < held->n; i++) weights_free(&held->weights[i]);
    memory_free(held);
}

/* A way --------------------------------------------------------------------------------- */

/* One direction of one layer. */
struct way {
    const struct recurrent *net;
    const struct passage *passage;
    const struct cell *cell;
    struct weights weights; /* owned, unless the passage holds them */
    struct way_kept kept;
    const float *x; /* [T,I], or NULL if the cell has a table */
    size_t k, d;
    float *room;    /* [5H] zeros, scratch */
};

/* Return the rows that layer k reads: what the layer below wrote, or the passage's own. */
static const float *rows_into(const struct recurrent *net, const struct passage *passage, size_t k)
{
    return k ? way_kept_at(net, passage, k - 1, 0).y : passage->in;
}

/* The caller ends it with way_close, after a failure too. */
static enum status way_open(const struct recurrent *net, const struct passage *passage, size_t k, size_t d,
                            bool transposed, struct way *way)
{
    *way = (struct way){.net = net, .passage = passage, .cell = &net->cells[k * net->n_directions + d],
                        .kept = way_kept_at(net, passage, k, d), .x = rows_into(net, passage, k),
                        .k = k, .d = d, .room = memory_new(5 * net->H, sizeof(float))};
    if (!way->room) return STATUS_NO_MEMORY;
    const struct held *held = passage->held;
    if (!held) return weights_unpack(net, way->cell, transposed, &way->weights);
    way->weights = held->weights[k * net->n_directions + d];
    return STATUS_OK;
}

static void way_close(struct way *way)
{
    if (!way->passage->held) weights_free(&way->weights);
    memory_free(way->room);
}

/* Return the step that comes `at`-th in the way's own direction. */
static struct slow_step step_at(const struct way *way, size_t at)
{
    size_t H = way->net->H, T = way->passage->T, t = way->d ? T - 1 - at : at;
    size_t before = way->d ? t + 1 : t - 1;
    float *y = way->kept.y + way->d * way->net->O;
    bool keeps = way->net->kind->slow->keeps_more;
    const float *begin = way->passage->begin;
    const float *initial = begin ? begin + way->k * way->net->layer_state : way->cell->initial; /* h, c */
    return (struct slow_step){.net = way->net, .weights = &way->weights,
                              .gates = way->kept.gates + t * gates_of(way->net),
                              .more = keeps ? way->kept.more + t * H : NULL,
                              .h = y + t * width(way->net),
                              .h_before = at ? y + before * width(way->net) : initial ? initial : way->room,
                              .more_before = at && keeps ? way->kept.more + before * H
                                             : initial && way->net->kind->has_c ? initial + way->net->O
                                                                                : way->room,
                              .peephole = way->cell->peephole,
                              .scratch = way->room + H};
}

/* Forward --------------------------------------------------------------------------------- */

/* Write W x + b of the steps at hand into the gates. */
static void project(const struct way *way)
{
    size_t n_gates = gates_of(way->net), from = way->passage->from, to = way->passage->to;
    if (way->weights.W) {
        way_multiply(way->weights.W, to - from, way->x + from * way->cell->I,
                     way->kept.gates + from * n_gates, false);
        return;
    }
    for (size_t t = from; t < to; t++) {
        const float *row = way->cell->table + (size_t)way->passage->tokens[t] * n_gates;
        for (size_t n = 0; n < n_gates; n++) way->kept.gates[t * n_gates + n] = row[block_row(way->net, n)];
    }
}

static enum status way_forward(const struct way *way)
{
    project(way);
    for (size_t at = way->passage->from; at < way->passage->to; at++) {
        struct slow_step step = step_at(way, at);
        if (slow_stops(way->passage)) return STATUS_CANCELLED;
        way->net->kind->slow->forward(&step);
    }
    return STATUS_OK;
}

/* The rows of a layer that reads backwards, in the order in which it reads them. Owned. */
struct turned {
    float *in;
    int32_t *tokens;
    struct passage passage; /* with those for its own */
};

static enum status turn_round(const struct layer *layer, const struct passage *p, struct turned *out)
{
    size_t I = layer->input_size, T = p->T;
    *out = (struct turned){.in = memory_new(T, I * sizeof(float)), .tokens = memory_new(T, sizeof(int32_t)),
                           .passage = *p};
    if (!out->in || !out->tokens) return STATUS_NO_MEMORY;
    for (size_t t = 0; t < T; t++) {
        if (p->tokens) out->tokens[t] = p->tokens[T - 1 - t];
        if (p->in) memcpy(out->in + t * I, p->in + (T - 1 - t) * I, I * sizeof(float));
    }
    if (p->tokens) out->passage.tokens = out->tokens;
    if (p->in) out->passage.in = out->in;
    return STATUS_OK;
}

static void turned_free(struct turned *turned)
{
    memory_free(turned->in);
    memory_free(turned->tokens);
}

static enum status layers_forward(const struct recurrent *net, const struct passage *passage)
{
    enum status status = STATUS_OK;
    for (size_t k = 0; k < net->n_layers; k++)
        for (size_t d = 0; status == STATUS_OK && d < net->n_directions; d++) {
            struct way way;
            status = way_open(net, passage, k, d, false, &way);
            if (status == STATUS_OK) status = way_forward(&way);
            way_close(&way);
        }
    return status;
}

enum status recurrent_trace(const struct layer *layer, const struct passage *passage)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    struct turned turned;
    if (!net->is_backwards) return layers_forward(net, passage);
    enum status status = turn_round(layer, passage, &turned);
    if (status == STATUS_OK) status = layers_forward(net, &turned.passage);
    turned_free(&turned);
    return status;
}

/* Backward -------------------------------------------------------------------------------- */

/* Go back through the n steps at hand: d_y [n,width] of this layer's outputs -> pre [n,GH] of W x + b. dh [O]
 * and dc [H]: by the state, as in struct slow_step. */
static enum status steps_backward(const struct way *way, const float *d_y, float *pre, float *dh, float *dc)
{
    size_t O = way->net->O, from = way->passage->from;
    for (size_t at = way->passage->to; at-- > from;) {
        struct slow_step step = step_at(way, at);
        size_t row = (way->d ? way->passage->T - 1 - at : at) - from;
        const float *from_above = d_y + row * width(way->net) + way->d * O;
        if (slow_stops(way->passage)) return STATUS_CANCELLED;
        for (size_t i = 0; i < O; i++) dh[i] += from_above[i];
        step.pre = pre + row * gates_of(way->net);
        step.dh = dh;
        step.dc = dc;
        way->net->kind->slow->backward(&step);
    }
    return STATUS_OK;
}

/* Add what pre leads to to d_x [n,I], or [n] if the cell reads tokens: there the token's vector times W is
 * its row of the table without b. */
static void inputs_backward(const struct way *way, const float *pre, float *d_x)
{
    size_t n_gates = gates_of(way->net), n_rows = way->passage->to - way->passage->from;
    if (way->weights.W) {
        way_multiply(way->weights.W, n_rows, pre, d_x, true);
        return;
    }
    const int32_t *tokens = way->passage->tokens + way->passage->from;
    for (size_t t = 0; t < n_rows; t++) {
        const float *row = way->cell->table + (size_t)tokens[t] * n_gates;
        double sum = 0;
        for (size_t n = 0; n < n_gates; n++) {
            size_t at = block_row(way->net, n);
            double b = way->cell->bias ? (double)way->cell->bias[at] : 0;
            sum += (double)pre[t * n_gates + n] * ((double)row[at] - b);
        }
        d_x[t] += (float)sum;
    }
}

static enum status way_backward(const struct way *way, const float *d_y, float *d_x)
{
    const struct recurrent *net = way->net;
    const struct passage *p = way->passage;
    float *pre = memory_new(p->to - p->from, gates_of(net) * sizeof *pre);
    float *own = memory_new(net->O + net->H, sizeof *own); /* if no state is wanted */
    float *dh = p->d_state ? p->d_state + way->k * net->layer_state : own;
    float *dc = p->d_state && net->kind->has_c ? dh + net->O : own + net->O;
    enum status status = pre && own ? steps_backward(way, d_y, pre, dh, dc) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) inputs_backward(way, pre, d_x);
    memory_free(pre);
    memory_free(own);
    return status;
}

static enum status layers_backward(const struct recurrent *net, const struct passage *passage,
                                   const float *d_out, float *d_in)
{
    size_t row = width(net), I = net->layer.input_size ? net->layer.input_size : 1;
    size_t n = passage->to - passage->from;
    float *d[2] = {memory_new(n, row * sizeof(float)), memory_new(n, row * sizeof(float))};
    enum status status = d[0] && d[1] ? STATUS_OK : STATUS_NO_MEMORY;
    const float *d_y = d_out;
    for (size_t k = net->n_layers; status == STATUS_OK && k-- > 0;) {
        float *d_x = k ? d[k % 2] : d_in;
        memset(d_x, 0, n * (k ? row : I) * sizeof *d_x);
        for (size_t i = 0; status == STATUS_OK && i < net->n_directions; i++) {
            struct way way;
            status = way_open(net, passage, k, i, true, &way);
            if (status == STATUS_OK) status = way_backward(&way, d_y, d_x);
            way_close(&way);
        }
        d_y = d_x;
    }
    memory_free(d[0]);
    memory_free(d[1]);
    return status;
}

/* Put T rows of n numbers into the opposite order. */
static void reverse(float *rows, size_t T, size_t n)
{
    for (size_t t = 0; t < T / 2; t++)
        for (size_t i = 0; i < n; i++) {
            float *a = &rows[t * n + i], *b = &rows[(T - 1 - t) * n + i], kept = *a;
            *a = *b;
            *b = kept;
        }
}

enum status recurrent_backward(const struct layer *layer, const struct passage *passage, const float *d_out,
                               float *d_in)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    struct turned turned;
    if (!net->is_backwards) return layers_backward(net, passage, d_out, d_in);
    enum status status = turn_round(layer, passage, &turned);
    if (status == STATUS_OK) status = layers_backward(net, &turned.passage, d_out, d_in);
    turned_free(&turned);
    reverse(d_in, passage->T, layer->input_size ? layer->input_size : 1);
    return status;
}

/* What was kept ----------------------------------------------------------------------------- */

bool recurrent_cell(const struct layer *layer, const struct passage *passage, size_t k, size_t d,
                    struct trace_cell *cell)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    if (k >= net->n_layers || d >= net->n_directions) return false;
    const struct trace_gates *has = &net->kind->slow->has;
    *cell = (struct trace_cell){.H = net->H, .O = net->O, .n_directions = net->n_directions, .has = has,
                                .is_reverse = d == 1 || net->is_backwards,
                                .squash = has->has_c ? net->squash : NULL};
    if (!passage) return true;
    struct way_kept kept = way_kept_at(net, passage, k, d);
    /* A layer that reads backwards keeps its rows in the order in which it made them. */
    ptrdiff_t way = net->is_backwards ? -1 : 1, first = net->is_backwards ? (ptrdiff_t)passage->T - 1 : 0;
    ptrdiff_t gates = (ptrdiff_t)gates_of(net), h = (ptrdiff_t)width(net), c = (ptrdiff_t)net->H;
    cell->gates = kept.gates + first * gates;
    cell->gates_stride = way * gates;
    cell->h = kept.y + d * net->O + first * h;
    cell->h_stride = way * h;
    if (has->has_c) cell->c = kept.more + first * c;
    cell->c_stride = way * c;
    return true;
}
