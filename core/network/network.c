/* network: one turn of its layers over a packed batch.
 *
 * A turn, in the order of network_run:
 *
 *   pack     places the rides, longest first and otherwise in the order given, without sorting: the
 *            number of rides with more steps than one's own is where those of one's length begin.
 *            Then puts the steps' inputs into rows (drawing in core/network/layer.h).
 *   derive   what attention layers make of a memory, once for each memory.
 *   body     the layers that remember, each into its slot (core/network/network_build.c). All steps of a
 *   layer before the next layer; or all layers step by step, if a layer recalls the output of a later one.
 *   look     copies the rows that are wanted, those that go on into the head first. head     the
 *   remaining layers, on those rows only.
 *
 * The workspace is one block, cut anew each turn for the network at hand:
 *
 *   slots             [rows, width]     inputs, and outputs of the body's and the head's inner layers
 *   looked            [rows, hidden]    what enters the head, and what embeddings tap
 *   outputs           [rows, output]    what leaves the head
 *   scratch           of the layer that wants most */
#include <assert.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/wiring.h"

struct workspace {
    size_t rows, sequences;
    struct team *team;     /* borrowed, or NULL */
    /* of a turn */
    size_t *steps, *ones;  /* [sequences] */
    size_t *order;         /* [sequences] place in the batch -> ride */
    size_t *alive, *first; /* [rows + 1] */
    size_t *place;         /* [rows + 1] steps -> where the next ride of so many steps goes */
    float **states;        /* [sequences] */
    struct memory **memories; /* [sequences] */
    size_t *groups;           /* [sequences] */
    enum ride_role *roles;    /* [sequences] */
    int32_t *tokens;       /* [rows] */
    float *block;          /* [floats] */
    size_t floats;
};

/* Sizes ---------------------------------------------------------------------------------- */

size_t network_input_size(const struct network *network)
{
    return network->input.output_size;
}

size_t network_vocabulary_size(const struct network *network)
{
    return network->input.vocabulary_size;
}

size_t network_output_size(const struct network *network)
{
    return network->layers[network->n_layers - 1]->output_size;
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

size_t network_memory_size(const struct network *network)
{
    return network->memory_size;
}

size_t network_memory_floats(const struct network *network)
{
    return network->memory_floats;
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

bool network_is_chain(const struct network *network)
{
    if (network->memory_size) return false;
    for (size_t i = 0; i < network->n_layers; i++)
        if (network->wires[i].n_sources != 1 || network->wires[i].sources[0] != (int)i - 1) return false;
    return true;
}

bool network_mixes(const struct network *network)
{
    return network->mixes;
}

bool network_has_pooling(const struct network *network)
{
    return network->pools;
}

uint64_t network_serial(const struct network *network)
{
    return network->serial;
}

uint64_t network_family(const struct network *network)
{
    return network->family;
}

void network_join(struct network *network, const struct network *first)
{
    network->family = first->family;
}

enum precision network_precision(const struct network *network)
{
    return network->precision;
}

const struct layer *network_layer(const struct network *network, size_t i)
{
    return i < network->n_layers ? network->layers[i] : NULL;
}

const int *network_sources(const struct network *network, size_t i, size_t *n)
{
    *n = network->wires[i].n_sources;
    return network->wires[i].sources;
}

size_t network_recalled(const struct network *network, size_t i)
{
    size_t k = 0;
    while (network->recalls[k].offset != network->layers[i]->state_offset) k++;
    return network->recalls[k].from;
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
    float *slots, *looked, *outputs, *scratch;
    size_t floats;
};

static struct parts block_cut(const struct network *network, const struct workspace *workspace)
{
    size_t rows = workspace->rows;
    size_t slots = rows * network->width;
    size_t looked = layer_round(rows * network_hidden_size(network));
    size_t outputs = layer_round(rows * network_output_size(network));
    struct parts parts = {.floats = slots + looked + outputs
                                    + scratch_floats(network, rows, workspace->sequences)};
    if (!workspace->block) return parts;
    parts.slots = workspace->block;
    parts.looked = parts.slots + slots;
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
    w->ones = memory_new(sequences, sizeof *w->ones);
    w->states = memory_new(sequences, sizeof *w->states);
    w->memories = memory_new(sequences, sizeof(struct memory *));
    w->groups = memory_new(sequences, sizeof *w->groups);
    w->roles = memory_new(sequences, sizeof *w->roles);
    w->alive = memory_new(rows + 1, sizeof *w->alive);
    w->first = memory_new(rows + 1, sizeof *w->first);
    w->place = memory_new(rows + 1, sizeof *w->place);
    w->tokens = memory_new(rows, sizeof *w->tokens);
    for (size_t i = 0; w->ones && i < sequences; i++) w->ones[i] = 1;
    if (w->steps && w->ones && w->order && w->states && w->memories && w->groups && w->roles && w->alive &&
        w->first && w->place && w->tokens) {
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
    memory_free(workspace->ones);
    memory_free(workspace->states);
    memory_free(workspace->memories);
    memory_free(workspace->groups);
    memory_free(workspace->roles);
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
    size_t a_sequence = 4 * sizeof(size_t) + sizeof(float *) + sizeof(struct memory *)
                        + sizeof(enum ride_role);
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
                          .first = w->first, .states = w->states, .memories = w->memories,
                          .team = w->team};
}

/* Give each ride its place: behind the alive[n_steps] rides that are longer. */
static void place_rides(struct workspace *w, const struct ride *rides, size_t n, size_t T)
{
    size_t left = 0; /* rides of the group at hand */
    memcpy(w->place, w->alive, (T + 1) * sizeof *w->place);
    for (size_t i = 0; i < n; i++) {
        size_t b = w->place[rides[i].n_steps]++;
        w->order[b] = i;
        w->steps[b] = rides[i].n_steps;
        w->states[b] = rides[i].state;
        w->memories[b] = rides[i].memory;
        w->groups[b] = rides[i].n_group ? rides[i].n_group : left == 0;
        w->roles[b] = rides[i].role;
        left = rides[i].n_group ? rides[i].n_group - 1 : left ? left - 1 : 0;
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

/* Layers [begin, end) of a turn, and what enters the first of them. */
struct pass {
    const struct network *network;
    const struct workspace *workspace;
    const struct parts *parts;
    size_t begin, end;
    const float *entry;    /* the network's input, or what the head looks at */
    size_t entry_size;
    float *last;           /* where the last layer writes; NULL: into its slot */
};

static float *slot_rows(const struct pass *pass, size_t slot)
{
    return pass->parts->slots + pass->workspace->rows * pass->network->slots[slot].start;
}

/* What layer i wrote, from row `row` on; SOURCE_INPUT and what lies before the pass: what entered it. */
static struct layer_source source_at(const struct pass *pass, int i, size_t row)
{
    if (i < (int)pass->begin)
        return (struct layer_source){pass->entry + row * pass->entry_size, pass->entry_size};
    size_t size = pass->network->layers[i]->output_size;
    return (struct layer_source){slot_rows(pass, pass->network->wires[i].slot) + row * size, size};
}

/* Keep what layer i gave in this step for the layers that recall it in the next. */
static void keep_recalled(const struct pass *pass, const struct turn *turn, size_t i, const float *rows)
{
    const struct network *network = pass->network;
    size_t size = network->layers[i]->output_size;
    for (size_t k = 0; k < network->n_recalls; k++)
        for (size_t b = 0; network->recalls[k].from == i && b < turn->B; b++)
            memcpy(turn->states[b] + network->recalls[k].offset, rows + b * size, size * sizeof *rows);
}

/* Run the layers of a pass over the rows of `turn`, which are those from row `row` on. */
static void run_layers(const struct pass *pass, const struct turn *turn, size_t row)
{
    const struct network *network = pass->network;
    struct layer_source sources[LAYER_MAX_SOURCES];
    struct turn own = *turn;
    own.sources = sources;
    for (size_t i = pass->begin; i < pass->end; i++) {
        const struct layer *layer = network->layers[i];
        const struct wire *wire = &network->wires[i];
        bool is_last = pass->last && i + 1 == pass->end;
        float *out = is_last ? pass->last : slot_rows(pass, wire->slot) + row * layer->output_size;
        own.n_sources = wire->n_sources;
        for (size_t k = 0; k < wire->n_sources; k++) sources[k] = source_at(pass, wire->sources[k], row);
        layer->type->run(layer, &own, layer->input_size ? sources[0].rows : NULL, out, pass->parts->scratch);
        if (network->n_recalls) keep_recalled(pass, turn, i, out);
    }
}

/* The layers of the body over all rows of the turn; a step at a time if a layer recalls. */
static void run_body(const struct pass *pass, const struct turn *turn)
{
    static const size_t zero = 0;
    if (!pass->network->n_recalls) {
        run_layers(pass, turn, 0);
        return;
    }
    for (size_t t = 0; t < turn->T; t++) {
        struct turn step = *turn;
        step.T = 1;
        step.B = step.R = turn->alive[t];
        step.steps = pass->workspace->ones;
        step.alive = &turn->alive[t];
        step.first = &zero;
        if (turn->tokens) step.tokens = turn->tokens + turn->first[t];
        run_layers(pass, &step, turn->first[t]);
    }
}

/* Let the layers make of each memory what they will read of it, if they have not yet. */
static void derive(const struct network *network, const struct turn *turn)
{
    for (size_t b = 0; b < turn->B; b++) {
        struct memory *memory = turn->memories[b];
        assert(memory && memory->S);
        if (memory->n_derived == memory->S) continue;
        for (size_t i = 0; i < network->n_layers; i++) {
            const struct layer *layer = network->layers[i];
            float *part = memory->derived + memory->S * layer->memory_offset;
            if (layer->memory_floats) layer->type->derive(layer, memory, turn->team, part);
        }
        memory->n_derived = memory->S;
    }
}

/* Copy what ride b of the batch looks at behind the n rows already looked at; returns how many
 * rows that was. */
static size_t look(const struct network *network, const struct turn *turn, size_t b,
                   const struct ride *ride, const float *from, float *to)
{
    size_t size = network_hidden_size(network), steps = turn->steps[b];
    const size_t counts[] = {
        [WANT_NONE] = 0, [WANT_LAST] = 1, [WANT_ALL] = steps, [WANT_TAIL] = ride->n_wanted};
    size_t count = counts[ride->want];
    assert(count <= steps);
    if (count == 0) return 0;
    if (network->pools) {
        memcpy(to, from + b * size, size * sizeof *to);
        return 1;
    }
    for (size_t t = steps - count; t < steps; t++, to += size)
        memcpy(to, from + (turn->first[t] + b) * size, size * sizeof *to);
    return count;
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
        ride->n_outputs = look(network, turn, b, ride, from, to);
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
    const struct pass pass = {network, w, parts, .begin = network->head, .end = network->n_layers,
                              .entry = parts->looked, .entry_size = network_hidden_size(network),
                              .last = parts->outputs};
    run_layers(&pass, &turn, 0);
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
    const struct pass pass = {network, workspace, &parts, .end = network->head, .entry = parts.slots,
                              .entry_size = network_input_size(network)};
    struct turn turn;
    assert(n <= workspace->sequences && parts.floats <= workspace->floats);
    if (n == 0) return;
    count_steps(workspace, rides, n, &turn);
    place_rides(workspace, rides, n, turn.T);
    if (network->mixes) {
        turn.groups = workspace->groups;
        turn.roles = workspace->roles;
    }
    pack_inputs(workspace, rides, &turn, network_input_size(network), parts.slots);
    if (network->memory_size) derive(network, &turn);
    run_body(&pass, &turn);
    const float *body = source_at(&pass, (int)network->head - 1, 0).rows;
    size_t q = look_tap(network, workspace, &turn, rides, TAP_OUTPUT, body, parts.looked, 0);
    look_tap(network, workspace, &turn, rides, TAP_HIDDEN, body, parts.looked, q);
    run_head(network, workspace, &parts, rides, turn.B, q);
}
