/* network: layers in order, one turn of them over a packed batch.
 *
 * A turn, in the order of network_run:
 *
 *   pack     places the rides, longest first and otherwise in the order given, without sorting: the
 *            number of rides with more steps than one's own is where those of one's length begin.
 *            Then puts the steps' inputs into rows (drawing in core/layer.h).
 *   body     the layers that remember, from one of two buffers into the other.
 *   look     copies the rows that somebody looks at, those that go on into the head first.
 *   head     the remaining layers, on those rows only.
 *
 * The workspace is one block, cut anew each turn for the network at hand:
 *
 *   rows[0], rows[1]  [rows, width]     inputs and outputs of the body's and the head's inner layers
 *   looked            [rows, hidden]    what enters the head, and what embeddings tap
 *   outputs           [rows, output]    what leaves the head
 *   scratch           of the layer that wants most */
#include "core/network.h"

#include <assert.h>
#include <string.h>

#include "core/memory.h"

struct network {
    uint64_t serial;
    enum precision precision;
    struct layer **layers; /* [n_layers] owned */
    size_t n_layers;
    size_t head;           /* the first layer of the head; n_layers where there is none */
    size_t width;          /* floats of the widest row in rows[] */
    size_t state_floats;
    bool whole, pools;
};

struct workspace {
    size_t rows, sequences;
    struct team *team;     /* borrowed, or NULL */
    /* of a turn; the next five share one block */
    size_t *steps;         /* [sequences] */
    size_t *order;         /* [sequences] place in the batch -> ride */
    size_t *alive, *first; /* [rows + 1] */
    size_t *place;         /* [rows + 1] steps -> where the next ride of so many steps goes */
    float **states;        /* [sequences] */
    int32_t *tokens;       /* [rows] */
    float *block;          /* [floats] */
    size_t floats;
};

/* Building ------------------------------------------------------------------------------- */

static bool reads_tokens(const struct layer *layer)
{
    return layer->input_size == 0;
}

static bool remembers(const struct layer *layer)
{
    return layer->state_floats || layer->whole || layer->pools;
}

static const struct layer *last_layer(const struct network *network)
{
    return network->n_layers ? network->layers[network->n_layers - 1] : NULL;
}

void network_free(struct network *network)
{
    if (!network) return;
    for (size_t i = 0; i < network->n_layers; i++)
        network->layers[i]->type->free(network->layers[i]);
    memory_free(network->layers);
    memory_free(network);
}

/* Whether `layer` can stand at the end of the network. */
static enum status check_order(const struct network *network, const struct layer *layer,
                               struct error *err)
{
    const struct layer *before = last_layer(network);
    if (!before || reads_tokens(layer)) return STATUS_OK;
    if (layer->input_size != before->output_size)
        return error_set(err, STATUS_BAD_SHAPE,
                         "%s: takes %zu inputs, but the layer before it (%s) gives %zu",
                         layer->type->name, layer->input_size, before->type->name,
                         before->output_size);
    if (network->pools && remembers(layer))
        return error_set(err, STATUS_BAD_VALUE,
                         "%s: cannot follow pooling, which leaves one vector and no steps",
                         layer->type->name);
    return STATUS_OK;
}

/* Put a layer at the end, or in the place of the token layer before it, whose tokens it reads. */
static void append(struct network *network, struct layer *layer)
{
    if (network->n_layers && reads_tokens(layer)) {
        struct layer *taken = network->layers[--network->n_layers];
        taken->type->free(taken);
    }
    network->layers[network->n_layers++] = layer;
    network->whole |= layer->whole;
    network->pools |= layer->pools;
}

static enum status build_layer(struct network *network, const struct layer_spec *spec,
                               struct tensors *tensors, struct error *err)
{
    struct layer_context context = {tensors, network->precision, last_layer(network)};
    struct layer *layer = NULL;
    enum status status = spec->type->build(spec, &context, &layer, err);
    if (status != STATUS_OK) return status;
    if (!layer->identity) status = check_order(network, layer, err);
    if (status == STATUS_OK && !layer->identity) append(network, layer);
    else spec->type->free(layer);
    return status;
}

/* Once all layers stand: where each one's state lies, where the head begins, how wide rows get. */
static void lay_out(struct network *network)
{
    struct layer **layers = network->layers;
    size_t n = network->n_layers;
    network->width = layers[0]->input_size;
    for (size_t i = 0; i < n; i++) {
        layers[i]->state_offset = network->state_floats;
        network->state_floats += layers[i]->state_floats;
        if (remembers(layers[i]) || reads_tokens(layers[i])) network->head = i + 1;
    }
    for (size_t i = 0; i < n; i++) /* the head's last layer writes elsewhere */
        if ((i + 1 < n || i < network->head) && layers[i]->output_size > network->width)
            network->width = layers[i]->output_size;
}

enum status network_new(const struct layer_spec *specs, size_t n, struct tensors *tensors,
                        enum precision precision, struct network **out, struct error *err)
{
    static _Atomic uint64_t n_made;
    struct network *network = memory_new(1, sizeof *network);
    enum status status = STATUS_OK;
    if (network) network->layers = memory_new(n, sizeof(struct layer *));
    if (!network || !network->layers) {
        network_free(network);
        return error_set(err, STATUS_NO_MEMORY, "network: no memory for %zu layers", n);
    }
    network->serial = ++n_made;
    network->precision = precision;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        status = build_layer(network, &specs[i], tensors, err);
        if (status != STATUS_OK) error_prefix(err, "network[%zu]", i);
    }
    if (status == STATUS_OK && network->n_layers == 0)
        status = error_set(err, STATUS_BAD_VALUE,
                           "network: no layer that computes anything, expected at least one");
    if (status != STATUS_OK) {
        network_free(network);
        return status;
    }
    lay_out(network);
    *out = network;
    return STATUS_OK;
}

/* Sizes ---------------------------------------------------------------------------------- */

size_t network_input_size(const struct network *network)
{
    return network->layers[0]->input_size;
}

size_t network_vocabulary_size(const struct network *network)
{
    return network->layers[0]->vocabulary_size;
}

size_t network_output_size(const struct network *network)
{
    return last_layer(network)->output_size;
}

size_t network_hidden_size(const struct network *network)
{
    return network->head ? network->layers[network->head - 1]->output_size
                         : network_input_size(network);
}

size_t network_state_floats(const struct network *network)
{
    return network->state_floats;
}

size_t network_bytes(const struct network *network)
{
    size_t sum = 0;
    for (size_t i = 0; i < network->n_layers; i++) {
        const struct layer_type *type = network->layers[i]->type;
        if (type->bytes) sum += type->bytes(network->layers[i]);
    }
    return sum;
}

bool network_is_whole(const struct network *network)
{
    return network->whole;
}

bool network_has_pooling(const struct network *network)
{
    return network->pools;
}

uint64_t network_serial(const struct network *network)
{
    return network->serial;
}

enum precision network_precision(const struct network *network)
{
    return network->precision;
}

const struct layer *network_layer(const struct network *network, size_t i)
{
    return i < network->n_layers ? network->layers[i] : NULL;
}

/* The workspace -------------------------------------------------------------------------- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t scratch_floats(const struct network *network, size_t rows, size_t sequences)
{
    size_t most = 0;
    for (size_t i = 0; i < network->n_layers; i++) {
        const struct layer *layer = network->layers[i];
        size_t B = i < network->head ? sequences : rows;
        if (layer->type->scratch_floats)
            most = max_size(most, layer->type->scratch_floats(layer, rows, B));
    }
    return most;
}

/* The workspace's block as cut for a network. */
struct parts {
    float *rows[2], *looked, *outputs, *scratch;
    size_t floats;
};

static struct parts block_cut(const struct network *network, const struct workspace *workspace)
{
    size_t rows = workspace->rows;
    size_t row_floats = layer_round(rows * network->width);
    size_t looked = layer_round(rows * network_hidden_size(network));
    size_t outputs = layer_round(rows * network_output_size(network));
    struct parts parts = {.floats = 2 * row_floats + looked + outputs
                                    + scratch_floats(network, rows, workspace->sequences)};
    if (!workspace->block) return parts;
    parts.rows[0] = workspace->block;
    parts.rows[1] = parts.rows[0] + row_floats;
    parts.looked = parts.rows[1] + row_floats;
    parts.outputs = parts.looked + looked;
    parts.scratch = parts.outputs + outputs;
    return parts;
}

enum status workspace_new(size_t rows, size_t sequences, struct workspace **out)
{
    struct workspace *w = memory_new(1, sizeof *w);
    if (!w) return STATUS_NO_MEMORY;
    w->rows = rows;
    w->sequences = sequences;
    w->steps = memory_new(sequences, sizeof *w->steps);
    w->order = memory_new(sequences, sizeof *w->order);
    w->states = memory_new(sequences, sizeof *w->states);
    w->alive = memory_new(rows + 1, sizeof *w->alive);
    w->first = memory_new(rows + 1, sizeof *w->first);
    w->place = memory_new(rows + 1, sizeof *w->place);
    w->tokens = memory_new(rows, sizeof *w->tokens);
    if (w->steps && w->order && w->states && w->alive && w->first && w->place && w->tokens) {
        *out = w;
        return STATUS_OK;
    }
    workspace_free(w);
    return STATUS_NO_MEMORY;
}

enum status workspace_fit(struct workspace *workspace, const struct network *network)
{
    size_t floats = block_cut(network, workspace).floats;
    if (floats <= workspace->floats) return STATUS_OK;
    float *block = memory_new(floats, sizeof *block);
    if (!block) return STATUS_NO_MEMORY;
    memory_free(workspace->block);
    workspace->block = block;
    workspace->floats = floats;
    return STATUS_OK;
}

void workspace_free(struct workspace *workspace)
{
    if (!workspace) return;
    memory_free(workspace->steps);
    memory_free(workspace->order);
    memory_free(workspace->states);
    memory_free(workspace->alive);
    memory_free(workspace->first);
    memory_free(workspace->place);
    memory_free(workspace->tokens);
    memory_free(workspace->block);
    memory_free(workspace);
}

void workspace_lend(struct workspace *workspace, struct team *team)
{
    workspace->team = team;
}

size_t workspace_rows(const struct workspace *workspace)
{
    return workspace->rows;
}

size_t workspace_bytes(const struct workspace *workspace)
{
    size_t a_sequence = 2 * sizeof(size_t) + sizeof(float *);
    size_t a_row = 3 * sizeof(size_t) + sizeof(int32_t);
    return sizeof *workspace + workspace->sequences * a_sequence + workspace->rows * a_row
           + workspace->floats * sizeof(float);
}

/* One turn ------------------------------------------------------------------------------- */

/* alive, first, T and R of the rides. */
static void count_steps(struct workspace *w, const struct ride *rides, size_t n, struct turn *turn)
{
    size_t T = 0;
    for (size_t i = 0; i < n; i++) {
        assert(rides[i].n_steps >= 1 && rides[i].n_steps <= w->rows);
        T = max_size(T, rides[i].n_steps);
    }
    memset(w->alive, 0, (T + 1) * sizeof *w->alive);
    for (size_t i = 0; i < n; i++) w->alive[rides[i].n_steps - 1]++;
    for (size_t t = T; t-- > 0;) w->alive[t] += w->alive[t + 1];
    size_t R = 0;
    for (size_t t = 0; t < T; t++) {
        w->first[t] = R;
        R += w->alive[t];
    }
    assert(R <= w->rows);
    *turn = (struct turn){.B = n, .T = T, .R = R, .steps = w->steps, .alive = w->alive,
                          .first = w->first, .states = w->states, .team = w->team};
}

/* Give each ride its place: behind the alive[n_steps] rides that are longer. */
static void place_rides(struct workspace *w, const struct ride *rides, size_t n, size_t T)
{
    memcpy(w->place, w->alive, (T + 1) * sizeof *w->place);
    for (size_t i = 0; i < n; i++) {
        size_t b = w->place[rides[i].n_steps]++;
        w->order[b] = i;
        w->steps[b] = rides[i].n_steps;
        w->states[b] = rides[i].state;
    }
}

/* The steps' inputs into rows. */
static void pack_inputs(struct workspace *w, const struct ride *rides, struct turn *turn,
                        size_t input_size, float *rows)
{
    for (size_t b = 0; b < turn->B; b++) {
        const struct ride *ride = &rides[w->order[b]];
        for (size_t t = 0; t < ride->n_steps; t++) {
            size_t row = turn->first[t] + b;
            if (input_size == 0) w->tokens[row] = ride->tokens[t];
            else memcpy(rows + row * input_size, ride->features + t * input_size,
                        input_size * sizeof *rows);
        }
    }
    if (input_size == 0) turn->tokens = w->tokens;
}

/* Run layers [begin, end) over rows `in`, the last one into `last` unless that is NULL. Returns
 * the rows that the last one wrote; `in` where there is no layer. */
static const float *run_layers(const struct network *network, const struct parts *parts,
                               const struct turn *turn, size_t begin, size_t end,
                               const float *in, float *last)
{
    for (size_t i = begin; i < end; i++) {
        const struct layer *layer = network->layers[i];
        float *out = last && i + 1 == end ? last : parts->rows[in == parts->rows[0]];
        layer->type->run(layer, turn, layer->input_size ? in : NULL, out, parts->scratch);
        in = out;
    }
    return in;
}

/* Copy what ride b of the batch looks at behind the n rows already looked at; returns how many
 * rows that was. */
static size_t look(const struct network *network, const struct turn *turn, size_t b,
                   enum look wanted, const float *from, float *to)
{
    size_t size = network_hidden_size(network), steps = turn->steps[b];
    if (wanted == LOOK_NONE) return 0;
    if (network->pools) {
        memcpy(to, from + b * size, size * sizeof *to);
        return 1;
    }
    for (size_t t = wanted == LOOK_ALL ? 0 : steps - 1; t < steps; t++, to += size)
        memcpy(to, from + (turn->first[t] + b) * size, size * sizeof *to);
    return wanted == LOOK_ALL ? steps : 1;
}

/* Gather the looked-at rows of all rides with this tap from row n on; returns the new n. */
static size_t look_tap(const struct network *network, const struct workspace *w,
                       const struct turn *turn, struct ride *rides, enum tap tap,
                       const float *from, float *looked, size_t n)
{
    size_t size = network_hidden_size(network);
    for (size_t b = 0; b < turn->B; b++) {
        struct ride *ride = &rides[w->order[b]];
        if (ride->tap != tap) continue;
        float *to = looked + n * size;
        ride->n_outputs = look(network, turn, b, ride->look, from, to);
        ride->output = ride->n_outputs ? to : NULL;
        n += ride->n_outputs;
    }
    return n;
}

/* The head over the first n looked-at rows; rides that tap the output point there. */
static void run_head(const struct network *network, const struct workspace *w,
                     const struct parts *parts, struct ride *rides, size_t B, size_t n)
{
    size_t size = network_output_size(network);
    const struct turn turn = {.B = n, .R = n, .team = w->team};
    if (network->head == network->n_layers || n == 0) return;
    run_layers(network, parts, &turn, network->head, network->n_layers, parts->looked,
               parts->outputs);
    const float *output = parts->outputs;
    for (size_t b = 0; b < B; b++) {
        struct ride *ride = &rides[w->order[b]];
        if (ride->tap != TAP_OUTPUT || ride->n_outputs == 0) continue;
        ride->output = output;
        output += ride->n_outputs * size;
    }
}

void network_run(const struct network *network, struct workspace *workspace, struct ride *rides,
                 size_t n)
{
    struct parts parts = block_cut(network, workspace);
    struct turn turn;
    assert(n <= workspace->sequences && parts.floats <= workspace->floats);
    if (n == 0) return;
    count_steps(workspace, rides, n, &turn);
    place_rides(workspace, rides, n, turn.T);
    pack_inputs(workspace, rides, &turn, network_input_size(network), parts.rows[0]);
    const float *body = run_layers(network, &parts, &turn, 0, network->head, parts.rows[0], NULL);
    size_t q = look_tap(network, workspace, &turn, rides, TAP_OUTPUT, body, parts.looked, 0);
    look_tap(network, workspace, &turn, rides, TAP_HIDDEN, body, parts.looked, q);
    run_head(network, workspace, &parts, rides, turn.B, q);
}
