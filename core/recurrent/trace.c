/* trace: the network's layers one after the other over one sequence, forward and back. */
#include "core/recurrent/trace.h"

#include <assert.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/recurrent/way.h"

struct trace {
    const struct network *network;
    struct trace_input input;
    size_t n_layers;
    struct passage *passages; /* [n_layers]; `out` and `kept` are owned */
    float *state;             /* of the layers that run() runs */
};

static const struct recurrent *as_recurrent(const struct layer *layer)
{
    return layer && layer->type->trace == recurrent_trace ? (const struct recurrent *)layer : NULL;
}

/* Sizes ---------------------------------------------------------------------------------- */

static size_t kept_floats(const struct layer *layer, size_t T)
{
    return layer->type->trace_floats ? layer->type->trace_floats(layer, T) : 0;
}

uint64_t trace_bytes(const struct network *network, size_t T)
{
    const struct layer *layer;
    uint64_t a_step = 0;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        a_step += kept_floats(layer, 1) + layer->output_size;
    bool fits = a_step < UINT64_MAX / sizeof(float) && T < UINT64_MAX / (a_step * sizeof(float) + 1);
    return fits ? T * a_step * sizeof(float) : UINT64_MAX;
}

size_t trace_layers(const struct network *network)
{
    const struct layer *layer;
    size_t n = 0;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        if (as_recurrent(layer)) n += as_recurrent(layer)->n_layers;
    return n;
}

size_t trace_layer(const struct network *network, size_t layer, size_t *n_directions,
                   const struct trace_gates **has)
{
    const struct layer *at;
    for (size_t i = 0; (at = network_layer(network, i)); i++) {
        const struct recurrent *net = as_recurrent(at);
        if (net && layer < net->n_layers) {
            *n_directions = net->n_directions;
            *has = &net->kind->slow->has;
            return net->H;
        }
        if (net) layer -= net->n_layers;
    }
    assert(false);
    return 0;
}

size_t trace_units(const struct network *network)
{
    const struct recurrent *net;
    const struct layer *layer;
    size_t n = 0;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        if ((net = as_recurrent(layer))) n += net->n_layers * net->n_directions * net->H;
    return n;
}

const struct layer *trace_unknown(const struct network *network)
{
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        if (layer->untraced || !layer->type->backward) return layer;
    return network_is_chain(network) ? NULL : network_layer(network, 0);
}

/* Forward -------------------------------------------------------------------------------- */

/* Run a layer by its run(): one sequence of one row a step. */
static enum status run_plainly(const struct trace *trace, const struct layer *layer, const struct passage *p)
{
    size_t rows = layer->type->scratch_floats ? layer->type->scratch_floats(layer, p->T, 1) : 0;
    float *scratch = memory_new(rows, sizeof *scratch);
    size_t *ones = memory_new(2 * p->T, sizeof *ones), *first = ones + p->T;
    enum status status = STATUS_NO_MEMORY;
    if (scratch && ones) {
        for (size_t t = 0; t < p->T; t++) {
            ones[t] = 1;
            first[t] = t;
        }
        float *const states[] = {trace->state};
        struct turn turn = {.B = 1, .T = p->T, .R = p->T, .steps = &p->T, .alive = ones, .first = first,
                            .tokens = p->tokens, .states = states};
        layer->type->run(layer, &turn, p->in, p->out, scratch);
        status = STATUS_OK;
    }
    memory_free(scratch);
    memory_free(ones);
    return status;
}

/* Set where layer i reads, and make room for what it writes. */
static bool passage_open(struct trace *trace, size_t i)
{
    const struct layer *layer = network_layer(trace->network, i);
    struct passage *p = &trace->passages[i];
    const struct layer *below = i ? network_layer(trace->network, i - 1) : NULL;
    p->T = !below ? trace->input.T : below->pools ? 1 : trace->passages[i - 1].T;
    p->tokens = layer->input_size ? NULL : trace->input.tokens;
    p->in = !layer->input_size ? NULL : below ? trace->passages[i - 1].out : trace->input.features;
    p->out = memory_new(layer->pools ? 1 : p->T, layer->output_size * sizeof *p->out);
    p->kept = memory_new(kept_floats(layer, p->T), sizeof *p->kept);
    p->stop = trace->input.stop;
    p->context = trace->input.context;
    return p->out && p->kept;
}

static enum status forward(struct trace *trace)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < trace->n_layers; i++) {
        const struct layer *layer = network_layer(trace->network, i);
        struct passage *p = &trace->passages[i];
        if (!passage_open(trace, i)) return STATUS_NO_MEMORY;
        if (p->stop && p->stop(p->context)) return STATUS_CANCELLED;
        status = layer->type->trace ? layer->type->trace(layer, p) : run_plainly(trace, layer, p);
    }
    return status;
}

enum status trace_new(const struct network *network, const struct trace_input *input, struct trace **out)
{
    assert(input->T >= 1);
    if (trace_unknown(network)) return STATUS_UNSUPPORTED;
    struct trace *trace = memory_new(1, sizeof *trace);
    if (!trace) return STATUS_NO_MEMORY;
    trace->network = network;
    trace->input = *input;
    while (network_layer(network, trace->n_layers)) trace->n_layers++;
    trace->passages = memory_new(trace->n_layers, sizeof *trace->passages);
    trace->state = memory_new(network_state_floats(network), sizeof *trace->state);
    enum status status = trace->passages && trace->state ? forward(trace) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) *out = trace;
    else trace_free(trace);
    return status;
}

void trace_free(struct trace *trace)
{
    if (!trace) return;
    for (size_t i = 0; trace->passages && i < trace->n_layers; i++) {
        memory_free(trace->passages[i].out);
        memory_free(trace->passages[i].kept);
    }
    memory_free(trace->passages);
    memory_free(trace->state);
    memory_free(trace);
}

/* What came out --------------------------------------------------------------------------- */

const float *trace_output(const struct trace *trace, size_t *rows)
{
    const struct passage *last = &trace->passages[trace->n_layers - 1];
    *rows = network_layer(trace->network, trace->n_layers - 1)->pools ? 1 : last->T;
    return last->out;
}

bool trace_cell(const struct trace *trace, size_t layer, size_t direction, struct trace_cell *out)
{
    for (size_t i = 0; i < trace->n_layers; i++) {
        const struct recurrent *net = as_recurrent(network_layer(trace->network, i));
        if (!net) continue;
        if (layer >= net->n_layers) {
            layer -= net->n_layers;
            continue;
        }
        if (direction >= net->n_directions) return false;
        const struct trace_gates *has = &net->kind->slow->has;
        struct way_kept kept = way_kept_at(net, &trace->passages[i], layer, direction);
        *out = (struct trace_cell){.H = net->H, .O = net->O, .is_reverse = direction == 1, .has = has,
                                   .gates = kept.gates, .gates_stride = net->kind->n_gates * net->H,
                                   .c = has->has_c ? kept.more : NULL, .h = kept.y + direction * net->O,
                                   .h_stride = net->n_directions * net->O};
        return true;
    }
    return false;
}

/* Backward -------------------------------------------------------------------------------- */

enum status trace_backward(const struct trace *trace, size_t row, const float *d_output, float *d_input)
{
    size_t rows, outputs = network_output_size(trace->network);
    trace_output(trace, &rows);
    assert(row < rows);
    float *d_out = memory_new(rows, outputs * sizeof *d_out);
    if (!d_out) return STATUS_NO_MEMORY;
    memcpy(d_out + row * outputs, d_output, outputs * sizeof *d_out);
    enum status status = STATUS_OK;
    for (size_t i = trace->n_layers; status == STATUS_OK && i-- > 0;) {
        const struct layer *layer = network_layer(trace->network, i);
        const struct passage *p = &trace->passages[i];
        float *d_in = i ? memory_new(p->T, layer->input_size * sizeof *d_in) : d_input;
        status = d_in ? layer->type->backward(layer, p, d_out, d_in) : STATUS_NO_MEMORY;
        memory_free(d_out);
        d_out = d_in;
    }
    if (d_out != d_input) memory_free(d_out);
    return status;
}
