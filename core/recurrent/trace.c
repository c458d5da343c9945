/* trace: the network's layers one after the other over one sequence, forward and back. On the way back each
 * layer adds to the gradients of its sources, which all lie before it. */
#include "core/recurrent/trace.h"

#include <assert.h>
#include <string.h>

#include "core/base/memory.h"

struct trace {
    const struct network *network;
    struct trace_input input;
    size_t n_layers;
    struct passage *passages; /* [n_layers]; `out` and `kept` are owned */
    struct layer_source *sources; /* [n_layers, LAYER_MAX_SOURCES] of the passages */
    float *state;             /* of the layers that run() runs */
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

const struct layer *trace_unknown(const struct network *network)
{
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        if (!layer->type->backward) return layer;
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
    p->T = rows_of(trace, from[0]);
    p->tokens = layer->input_size ? NULL : trace->input.tokens;
    p->in = layer->input_size ? reads[0].rows : NULL;
    p->out = memory_new(layer->pools ? 1 : p->T, layer->output_size * sizeof *p->out);
    p->kept = memory_new(kept_floats(layer, p->T), sizeof *p->kept);
    p->memory = &trace->memory;
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
    float *by_input, *by_memory; /* by_memory: NULL if it is not wanted */
};

/* Add a block of a layer's gradient, of T rows, to what its source has so far. */
static bool add_to(struct gradients *g, int source, size_t T, const float *block)
{
    size_t n = T * row_floats(g->trace, source);
    float **to = source == SOURCE_INPUT ? &g->by_input : &g->by_layer[source];
    if (!*to) *to = memory_new(n, sizeof **to);
    if (!*to) return false;
    for (size_t i = 0; i < n; i++) (*to)[i] += block[i];
    return true;
}

/* Go back through layer i, and free the gradient by what it wrote. */
static enum status layer_backward(struct gradients *g, size_t i)
{
    struct passage own = g->trace->passages[i], *p = &own;
    const struct layer *layer = network_layer(g->trace->network, i);
    p->d_memory = g->by_memory;
    size_t n_sources, floats = 0;
    const int *from = network_sources(g->trace->network, i, &n_sources);
    for (size_t k = 0; k < n_sources; k++) floats += row_floats(g->trace, from[k]);
    float *d_in = memory_new(p->T, floats * sizeof *d_in), *block = d_in;
    enum status status = d_in ? layer->type->backward(layer, p, g->by_layer[i], d_in) : STATUS_NO_MEMORY;
    for (size_t k = 0; status == STATUS_OK && k < n_sources; k++) {
        if (!add_to(g, from[k], p->T, block)) status = STATUS_NO_MEMORY;
        block += p->T * row_floats(g->trace, from[k]);
    }
    memory_free(d_in);
    memory_free(g->by_layer[i]);
    g->by_layer[i] = NULL;
    return status;
}

enum status trace_backward_all(const struct trace *trace, const float *d_outputs, float *d_input,
                               float *d_memory)
{
    size_t rows, outputs = network_output_size(trace->network), last = trace->n_layers - 1;
    trace_output(trace, &rows);
    memset(d_input, 0, trace->input.T * row_floats(trace, SOURCE_INPUT) * sizeof *d_input);
    if (d_memory)
        memset(d_memory, 0, trace->input.S * network_memory_size(trace->network) * sizeof *d_memory);
    struct gradients g = {.trace = trace, .by_layer = memory_new(trace->n_layers, sizeof *g.by_layer),
                          .by_input = d_input, .by_memory = d_memory};
    if (!g.by_layer) return STATUS_NO_MEMORY;
    float *d_out = g.by_layer[last] = memory_new(rows, outputs * sizeof *d_out);
    enum status status = d_out ? STATUS_OK : STATUS_NO_MEMORY;
    if (d_out) memcpy(d_out, d_outputs, rows * outputs * sizeof *d_out);
    for (size_t i = trace->n_layers; status == STATUS_OK && i-- > 0;)
        if (g.by_layer[i]) status = layer_backward(&g, i);
    for (size_t i = 0; i < trace->n_layers; i++) memory_free(g.by_layer[i]);
    memory_free(g.by_layer);
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
    enum status status = trace_backward_all(trace, all, d_input, NULL);
    memory_free(all);
    return status;
}
