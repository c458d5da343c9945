/* trace: the network's layers one after the other over one sequence, forward and back. On the way back each
 * layer adds to the gradients of its sources, which all lie before it.
 *
 * The loop. A layer that recalls gives at step t what a later layer gave at t-1. So the layers from the first
 * that recalls to the last that is recalled go step by step: forward all of them at step 0, then all at step
 * 1; back from the last step, where the gradient by what is recalled at t is added to that of the recalled
 * layer at t-1. Before and behind the loop each layer does all steps at once. */
#include "core/recurrent/trace.h"

#include <assert.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/slow.h"
#include "core/recurrent/initial.h"

/* The layers [first, end) that go step by step; first == end: none. */
struct loop {
    size_t first, end;
};

struct trace {
    const struct network *network;
    struct trace_input input;
    size_t n_layers;
    struct passage *passages; /* [n_layers]; `out` and `kept` are owned */
    struct layer_source *sources; /* [n_layers, LAYER_MAX_SOURCES] of the passages */
    float *state;             /* of the layers that run() runs */
    struct loop loop;
    struct memory memory;     /* `derived` is owned */
};

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

/* Find the layer of the network that holds recurrent layer *k, and its place there; NULL past the end. */
static const struct layer *cell_layer(const struct network *network, size_t *k, size_t *place)
{
    const struct layer *layer;
    struct trace_cell cell;
    for (*place = 0; (layer = network_layer(network, *place)); ++*place) {
        if (!layer->type->cell) continue;
        size_t n = 0;
        while (layer->type->cell(layer, NULL, n, 0, &cell)) n++;
        if (*k < n) return layer;
        *k -= n;
    }
    return NULL;
}

bool trace_cell_of(const struct network *network, size_t layer, size_t direction, struct trace_cell *out)
{
    size_t place;
    const struct layer *at = cell_layer(network, &layer, &place);
    return at && at->type->cell(at, NULL, layer, direction, out);
}

size_t trace_layers(const struct network *network)
{
    struct trace_cell cell;
    size_t n = 0;
    while (trace_cell_of(network, n, 0, &cell)) n++;
    return n;
}

size_t trace_units(const struct network *network)
{
    struct trace_cell cell;
    size_t n = 0;
    for (size_t k = 0; trace_cell_of(network, k, 0, &cell); k++) n += cell.n_directions * cell.H;
    return n;
}

static struct loop loop_of(const struct network *network)
{
    const struct layer *layer;
    struct loop loop = {0, 0};
    for (size_t i = 0; (layer = network_layer(network, i)); i++) {
        if (!layer->recalls) continue;
        size_t end = network_recalled(network, i) + 1;
        if (!loop.end) loop.first = i;
        if (end > loop.end) loop.end = end;
    }
    return loop;
}

static bool is_fixed(const struct layer *layer)
{
    return layer->state_floats && !layer->recalls && !layer->type->hold;
}

const struct layer *trace_fixed(const struct network *network)
{
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        if (is_fixed(layer)) return layer;
    return NULL;
}

const struct layer *trace_unknown(const struct network *network)
{
    const struct layer *layer;
    struct loop loop = loop_of(network);
    for (size_t i = 0; (layer = network_layer(network, i)); i++) {
        bool is_in_loop = i >= loop.first && i < loop.end;
        if ((!layer->type->backward && !layer->recalls) || (is_in_loop && is_fixed(layer))) return layer;
    }
    return NULL;
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
        struct memory own = trace->memory, *const memories[] = {&own};
        struct turn turn = {.B = 1, .T = p->T, .R = p->T, .steps = &p->T, .alive = ones, .first = first,
                            .tokens = p->tokens, .states = states, .memories = memories,
                            .sources = p->sources, .n_sources = p->n_sources};
        layer->type->run(layer, &turn, p->in, p->out, scratch);
        status = STATUS_OK;
    }
    memory_free(scratch);
    memory_free(ones);
    return status;
}

/* Count the rows that a source has; SOURCE_INPUT: the steps. */
static size_t rows_of(const struct trace *trace, int source)
{
    if (source == SOURCE_INPUT) return trace->input.T;
    return network_layer(trace->network, (size_t)source)->pools ? 1 : trace->passages[source].T;
}

/* Count the floats of a row of a gradient by a source: one for tokens. */
static size_t row_floats(const struct trace *trace, int source)
{
    if (source != SOURCE_INPUT) return network_layer(trace->network, (size_t)source)->output_size;
    size_t inputs = network_input_size(trace->network);
    return inputs ? inputs : 1;
}

/* Set what layer i reads, and make room for what it writes. */
static bool passage_open(struct trace *trace, size_t i)
{
    const struct layer *layer = network_layer(trace->network, i);
    struct passage *p = &trace->passages[i];
    struct layer_source *reads = trace->sources + i * LAYER_MAX_SOURCES;
    const int *from = network_sources(trace->network, i, &p->n_sources);
    for (size_t k = 0; k < p->n_sources; k++)
        reads[k] = (struct layer_source){.rows = from[k] == SOURCE_INPUT ? trace->input.features
                                                                        : trace->passages[from[k]].out,
                                         .size = row_floats(trace, from[k])};
    p->sources = reads;
    p->T = p->n_sources ? rows_of(trace, from[0]) : trace->input.T;
    p->to = p->T;
    p->tokens = layer->input_size ? NULL : trace->input.tokens;
    p->in = layer->input_size ? reads[0].rows : NULL;
    p->out = memory_new(layer->pools ? 1 : p->T, layer->output_size * sizeof *p->out);
    p->kept = memory_new(kept_floats(layer, p->T), sizeof *p->kept);
    p->memory = &trace->memory;
    if (trace->input.state && layer->type->hold && layer->state_floats)
        p->begin = trace->input.state + layer->state_offset;
    p->stop = trace->input.stop;
    p->context = trace->input.context;
    return p->out && p->kept;
}

static enum status layer_forward(const struct trace *trace, size_t i, const struct passage *p)
{
    const struct layer *layer = network_layer(trace->network, i);
    if (slow_stops(p)) return STATUS_CANCELLED;
    return layer->type->trace ? layer->type->trace(layer, p) : run_plainly(trace, layer, p);
}

/* Let the layers of the loop unpack what the steps share: *out [n_layers], owned, also after a failure. */
static enum status hold_all(const struct trace *trace, bool is_back, void ***out)
{
    void **held = *out = memory_new(trace->n_layers, sizeof *held);
    enum status status = held ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t i = trace->loop.first; status == STATUS_OK && i < trace->loop.end; i++) {
        const struct layer *layer = network_layer(trace->network, i);
        if (layer->type->hold) status = layer->type->hold(layer, is_back, &held[i]);
    }
    return status;
}

static void release_all(const struct trace *trace, void **held)
{
    for (size_t i = trace->loop.first; held && i < trace->loop.end; i++)
        if (held[i]) network_layer(trace->network, i)->type->release(held[i]);
    memory_free(held);
}

/* Step t of layer i as a passage: of the whole one, or of one row. `reads`: room for its sources. */
static struct passage passage_step(const struct trace *trace, size_t i, size_t t, void *held,
                                   struct layer_source *reads)
{
    const struct layer *layer = network_layer(trace->network, i);
    struct passage p = trace->passages[i];
    if (layer->type->hold) {
        p.from = t;
        p.to = t + 1;
        p.held = held;
        return p;
    }
    p.T = p.to = 1;
    p.out += t * layer->output_size;
    if (p.tokens) p.tokens += t;
    if (p.in) p.in += t * layer->input_size;
    for (size_t k = 0; k < p.n_sources; k++) {
        reads[k] = p.sources[k];
        if (reads[k].rows) reads[k].rows += t * reads[k].size;
    }
    p.sources = reads;
    return p;
}

static enum status step_forward(const struct trace *trace, size_t i, size_t t, void *held)
{
    const struct layer *layer = network_layer(trace->network, i);
    struct layer_source reads[LAYER_MAX_SOURCES];
    struct passage p = passage_step(trace, i, t, held, reads);
    if (!layer->recalls) return layer_forward(trace, i, &p);
    const float *from = trace->passages[network_recalled(trace->network, i)].out;
    if (t) memcpy(p.out, from + (t - 1) * layer->recalls, layer->recalls * sizeof *p.out);
    return STATUS_OK;
}

static enum status loop_forward(struct trace *trace)
{
    void **held;
    for (size_t i = trace->loop.first; i < trace->loop.end; i++)
        if (!passage_open(trace, i)) return STATUS_NO_MEMORY;
    enum status status = hold_all(trace, false, &held);
    for (size_t t = 0; t < trace->input.T; t++)
        for (size_t i = trace->loop.first; status == STATUS_OK && i < trace->loop.end; i++)
            status = step_forward(trace, i, t, held[i]);
    release_all(trace, held);
    return status;
}

static enum status layers_forward(struct trace *trace, size_t first, size_t end)
{
    enum status status = STATUS_OK;
    for (size_t i = first; status == STATUS_OK && i < end; i++)
        status = passage_open(trace, i) ? layer_forward(trace, i, &trace->passages[i]) : STATUS_NO_MEMORY;
    return status;
}

static enum status forward(struct trace *trace)
{
    enum status status = layers_forward(trace, 0, trace->loop.first);
    if (status == STATUS_OK && trace->loop.end) status = loop_forward(trace);
    return status == STATUS_OK ? layers_forward(trace, trace->loop.end, trace->n_layers) : status;
}

/* Let the layers make of the memory what they read of it. */
static bool derive(struct trace *trace)
{
    const struct layer *layer;
    size_t S = trace->input.S, floats = network_memory_floats(trace->network);
    struct memory *memory = &trace->memory;
    *memory = (struct memory){.rows = trace->input.memory, .S = S,
                              .derived = memory_new(S, floats * sizeof(float)), .n_derived = S};
    if (!memory->derived) return false;
    for (size_t i = 0; (layer = network_layer(trace->network, i)); i++)
        if (layer->memory_floats)
            layer->type->derive(layer, memory, NULL, memory->derived + S * layer->memory_offset);
    return true;
}

enum status trace_new(const struct network *network, const struct trace_input *input, struct trace **out)
{
    assert(input->T >= 1 && (input->S || !network_memory_size(network)));
    if (trace_unknown(network)) return STATUS_UNSUPPORTED;
    struct trace *trace = memory_new(1, sizeof *trace);
    if (!trace) return STATUS_NO_MEMORY;
    trace->network = network;
    trace->input = *input;
    trace->loop = loop_of(network);
    while (network_layer(network, trace->n_layers)) trace->n_layers++;
    trace->passages = memory_new(trace->n_layers, sizeof *trace->passages);
    trace->sources = memory_new(trace->n_layers, LAYER_MAX_SOURCES * sizeof *trace->sources);
    trace->state = memory_new(network_state_floats(network), sizeof *trace->state);
    bool there = trace->passages && trace->sources && trace->state && derive(trace);
    enum status status = there ? forward(trace) : STATUS_NO_MEMORY;
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
    memory_free(trace->sources);
    memory_free(trace->state);
    memory_free(trace->memory.derived);
    memory_free(trace);
}

/* What came out --------------------------------------------------------------------------- */

const float *trace_output(const struct trace *trace, size_t *rows)
{
    const struct passage *last = &trace->passages[trace->n_layers - 1];
    *rows = network_layer(trace->network, trace->n_layers - 1)->pools ? 1 : last->T;
    return last->out;
}

void trace_state(const struct trace *trace, float *state)
{
    const struct layer *layer;
    struct trace_cell cell;
    memset(state, 0, network_state_floats(trace->network) * sizeof *state);
    for (size_t i = 0; (layer = network_layer(trace->network, i)); i++) {
        const struct passage *p = &trace->passages[i];
        float *to = state + layer->state_offset;
        if (!layer->type->hold || !layer->state_floats) continue;
        for (size_t k = 0; layer->type->cell(layer, p, k, 0, &cell); k++) {
            ptrdiff_t last = (ptrdiff_t)p->T - 1;
            memcpy(to, cell.h + last * cell.h_stride, cell.O * sizeof *to);
            to += cell.O;
            if (!cell.c) continue;
            memcpy(to, cell.c + last * cell.c_stride, cell.H * sizeof *to);
            to += cell.H;
        }
    }
    initial_mark(trace->network, state);
}

bool trace_cell(const struct trace *trace, size_t layer, size_t direction, struct trace_cell *out)
{
    size_t place;
    const struct layer *at = cell_layer(trace->network, &layer, &place);
    return at && at->type->cell(at, &trace->passages[place], layer, direction, out);
}

/* Backward -------------------------------------------------------------------------------- */

/* The gradients by what layers write, [rows, output_size] of each layer that the output owes something to,
 * and by the input. */
struct gradients {
    const struct trace *trace;
    float **by_layer; /* [n_layers] owned; NULL: none yet */
    float *by_state;  /* [network_state_floats] owned; at first by the state after the last step */
    float *by_input, *by_memory; /* by_memory: NULL if it is not wanted */
};

/* Return the gradient by what a source writes, zeros at first; NULL: no memory. */
static float *gradient_by(struct gradients *g, int source)
{
    if (source == SOURCE_INPUT) return g->by_input;
    float **by = &g->by_layer[source];
    if (!*by) *by = memory_new(network_layer(g->trace->network, (size_t)source)->pools
                                   ? 1 : g->trace->passages[source].T,
                               row_floats(g->trace, source) * sizeof **by);
    return *by;
}

/* Go back through the rows of a passage of layer i, which begin at row `row` of its sources, from the
 * gradient by what it wrote there. */
static enum status rows_backward(struct gradients *g, size_t i, const struct passage *p, size_t row,
                                 const float *d_out)
{
    const struct layer *layer = network_layer(g->trace->network, i);
    size_t n_sources, floats = 0, rows = p->to - p->from;
    const int *from = network_sources(g->trace->network, i, &n_sources);
    for (size_t k = 0; k < n_sources; k++) floats += row_floats(g->trace, from[k]);
    float *d_in = memory_new(rows, floats * sizeof *d_in), *block = d_in;
    enum status status = d_in ? layer->type->backward(layer, p, d_out, d_in) : STATUS_NO_MEMORY;
    for (size_t k = 0; status == STATUS_OK && k < n_sources; k++) {
        size_t size = row_floats(g->trace, from[k]), n = rows * size;
        float *to = gradient_by(g, from[k]);
        for (size_t f = 0; to && f < n; f++) to[row * size + f] += block[f];
        if (!to) status = STATUS_NO_MEMORY;
        block += n;
    }
    memory_free(d_in);
    return status;
}

/* Point the passage at what layer i adds to or changes besides. */
static void passage_aim(const struct gradients *g, size_t i, float *by_memory, struct passage *p)
{
    const struct layer *layer = network_layer(g->trace->network, i);
    p->d_memory = by_memory;
    if (layer->type->hold && layer->state_floats) p->d_state = g->by_state + layer->state_offset;
}

/* Go back through the layers [first, end), each with all steps, and free the gradients by what they wrote. */
static enum status layers_backward(struct gradients *g, size_t first, size_t end)
{
    enum status status = STATUS_OK;
    for (size_t i = end; status == STATUS_OK && i-- > first;) {
        struct passage p = g->trace->passages[i];
        passage_aim(g, i, g->by_memory, &p);
        if (!g->by_layer[i] && !p.d_state) continue;
        const float *d_out = gradient_by(g, (int)i);
        status = d_out ? rows_backward(g, i, &p, 0, d_out) : STATUS_NO_MEMORY;
        memory_free(g->by_layer[i]);
        g->by_layer[i] = NULL;
    }
    return status;
}

static enum status step_backward(struct gradients *g, size_t i, size_t t, void *held)
{
    const struct trace *trace = g->trace;
    const struct layer *layer = network_layer(trace->network, i);
    struct layer_source reads[LAYER_MAX_SOURCES];
    const float *d_out = g->by_layer[i] + t * layer->output_size;
    if (!layer->recalls) {
        struct passage p = passage_step(trace, i, t, held, reads);
        passage_aim(g, i, NULL, &p);
        return slow_stops(&p) ? STATUS_CANCELLED : rows_backward(g, i, &p, t, d_out);
    }
    if (!t) return STATUS_OK;
    float *to = g->by_layer[network_recalled(trace->network, i)] + (t - 1) * layer->recalls;
    for (size_t n = 0; n < layer->recalls; n++) to[n] += d_out[n];
    return STATUS_OK;
}

/* Add to the gradient by the memory. The layers that attend do this for all steps at once, because what they
 * derive from a memory does not change from step to step. */
static enum status loop_memory(struct gradients *g)
{
    enum status status = STATUS_OK;
    const struct loop *loop = &g->trace->loop;
    for (size_t i = loop->first; g->by_memory && status == STATUS_OK && i < loop->end; i++) {
        const struct layer *layer = network_layer(g->trace->network, i);
        struct passage p = g->trace->passages[i];
        if (!layer->memory_size) continue;
        float *unused = memory_new(p.T, layer->input_size * sizeof *unused);
        p.d_memory = g->by_memory;
        status = unused ? layer->type->backward(layer, &p, g->by_layer[i], unused) : STATUS_NO_MEMORY;
        memory_free(unused);
    }
    return status;
}

/* Go back through the loop, step by step. */
static enum status loop_backward(struct gradients *g)
{
    const struct loop *loop = &g->trace->loop;
    void **held;
    for (size_t i = loop->first; i < loop->end; i++)
        if (!gradient_by(g, (int)i)) return STATUS_NO_MEMORY;
    enum status status = hold_all(g->trace, true, &held);
    for (size_t t = g->trace->input.T; t-- > 0;)
        for (size_t i = loop->end; status == STATUS_OK && i-- > loop->first;)
            status = step_backward(g, i, t, held[i]);
    release_all(g->trace, held);
    if (status == STATUS_OK) status = loop_memory(g);
    for (size_t i = loop->first; i < loop->end; i++) {
        memory_free(g->by_layer[i]);
        g->by_layer[i] = NULL;
    }
    return status;
}

/* Go back through all layers from the gradients by the outputs, which are there already, and by the state. */
static enum status backward(struct gradients *g)
{
    const struct loop *loop = &g->trace->loop;
    enum status status = layers_backward(g, loop->end, g->trace->n_layers);
    if (status == STATUS_OK && loop->end) status = loop_backward(g);
    return status == STATUS_OK ? layers_backward(g, 0, loop->first) : status;
}

enum status trace_backward_all(const struct trace *trace, const struct trace_way *way)
{
    const struct network *network = trace->network;
    size_t rows, outputs = network_output_size(network), states = network_state_floats(network);
    trace_output(trace, &rows);
    memset(way->d_input, 0, trace->input.T * row_floats(trace, SOURCE_INPUT) * sizeof(float));
    if (way->d_memory)
        memset(way->d_memory, 0, trace->input.S * network_memory_size(network) * sizeof(float));
    struct gradients g = {.trace = trace, .by_layer = memory_new(trace->n_layers, sizeof *g.by_layer),
                          .by_state = memory_new(states, sizeof *g.by_state), .by_input = way->d_input,
                          .by_memory = way->d_memory};
    float *d_out = g.by_layer && g.by_state ? gradient_by(&g, (int)trace->n_layers - 1) : NULL;
    enum status status = d_out ? STATUS_OK : STATUS_NO_MEMORY;
    if (d_out) {
        memcpy(d_out, way->d_outputs, rows * outputs * sizeof *d_out);
        if (way->d_end) memcpy(g.by_state, way->d_end, states * sizeof *g.by_state);
        status = backward(&g);
    }
    if (status == STATUS_OK && way->d_begin) memcpy(way->d_begin, g.by_state, states * sizeof *g.by_state);
    for (size_t i = 0; g.by_layer && i < trace->n_layers; i++) memory_free(g.by_layer[i]);
    memory_free(g.by_layer);
    memory_free(g.by_state);
    return status;
}

enum status trace_backward(const struct trace *trace, size_t row, const float *d_output, float *d_input)
{
    size_t rows, outputs = network_output_size(trace->network);
    trace_output(trace, &rows);
    assert(row < rows);
    float *all = memory_new(rows, outputs * sizeof *all);
    if (!all) return STATUS_NO_MEMORY;
    memcpy(all + row * outputs, d_output, outputs * sizeof *all);
    const struct trace_way way = {.d_outputs = all, .d_input = d_input};
    enum status status = trace_backward_all(trace, &way);
    memory_free(all);
    return status;
}
