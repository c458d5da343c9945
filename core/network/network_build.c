/* Building a network: its layers, what each of them reads, and where their outputs lie.
 *
 * A spec becomes a layer, or nothing (dropout), or takes the place of the token layer that it reads. So
 * sources, which count specs, are resolved into layers as they are built.
 *
 * Slots. An output must lie in a buffer of its own from when it is written until its last reader has run.
 * Each layer in turn gets the first buffer that is free: two for a chain, one more for each output that is
 * still to be read. Body and head are laid out one after the other, because nothing but the hidden vector
 * crosses. If a turn runs its steps one by one, what enters and what leaves the body are kept for all steps,
 * and no other output lies with them. */
#include <string.h>

#include "core/base/memory.h"
#include "core/network/wiring.h"

/* While it is built. */
struct plan {
    struct network *network;
    const struct layer_spec *specs;
    size_t n;
    struct tensors *tensors;
    struct layer_plan *counts;
    const struct network *encoder; /* NULL: has none */
    int *place;        /* [n] spec -> layer, or SOURCE_INPUT */
    size_t *n_readers; /* [n] specs that read the output of a spec; of one that is left out: of its source */
    struct error *err;
};

static const struct layer_type input_type = {.name = "input"};

static bool reads_tokens(const struct layer *layer)
{
    return layer->input_size == 0 && layer->recalls == 0;
}

static const struct layer *last_layer(const struct network *network)
{
    return network->layers[network->n_layers - 1];
}

static bool remembers(const struct layer *layer)
{
    return layer->state_floats || layer->whole || layer->pools || layer->memory_size || layer->mixes;
}

void network_free(struct network *network)
{
    if (!network) return;
    for (size_t i = 0; i < network->n_layers; i++)
        network->layers[i]->type->free(network->layers[i]);
    memory_free(network->layers);
    memory_free(network->wires);
    memory_free(network->slots);
    memory_free(network->recalls);
    memory_free(network);
}

/* Sources --------------------------------------------------------------------------------- */

/* Source k of spec i, as a spec. */
static int source_of(const struct plan *plan, size_t i, size_t k)
{
    const struct layer_spec *spec = &plan->specs[i];
    return spec->n_sources ? spec->sources[k] : (int)i - 1;
}

static size_t n_sources_of(const struct layer_spec *spec)
{
    return spec->n_sources ? spec->n_sources : 1;
}

static bool is_recall(const struct layer_spec *spec)
{
    return spec->type == &layer_previous;
}

/* Check that the sources of spec i exist and lie where they may. */
static enum status check_sources(const struct plan *plan, size_t i)
{
    const struct layer_spec *spec = &plan->specs[i];
    size_t n = n_sources_of(spec);
    if (n > 1 && !spec->type->joins)
        return error_set(plan->err, STATUS_BAD_VALUE,
                         "%s: 'inputs' names %zu layers, expected one; a concat joins several",
                         spec->type->name, n);
    if (is_recall(spec)) {
        bool is_later = spec->n_sources == 1 && spec->sources[0] > (int)i && spec->sources[0] < (int)plan->n;
        if (is_later) return STATUS_OK;
        return error_set(plan->err, STATUS_BAD_VALUE,
                         "previous: expected 'inputs' to name a layer that comes later");
    }
    for (size_t k = 0; k < n; k++) {
        int source = source_of(plan, i, k);
        if (source < SOURCE_INPUT || source >= (int)i)
            return error_set(plan->err, STATUS_BAD_VALUE,
                             "%s: reads network[%d], expected a layer that comes before it", spec->type->name,
                             source);
    }
    return STATUS_OK;
}

/* The layer that stands for source `place`: as it is, or without its tokens if it must not be replaced. */
static const struct layer *source_layer(const struct plan *plan, int place, bool is_replaceable,
                                        struct layer *plain)
{
    struct network *network = plan->network;
    if (place == SOURCE_INPUT) return network->input.output_size ? &network->input : NULL;
    const struct layer *layer = network->layers[place];
    if (is_replaceable || !reads_tokens(layer)) return layer;
    *plain = *layer;
    plain->input_size = layer->output_size;
    plain->vocabulary_size = 0;
    return plain;
}

/* Order ----------------------------------------------------------------------------------- */

/* What comes in at a layer's first source. */
static enum status check_size(const struct plan *plan, const struct layer *layer, const struct layer *before)
{
    if (!before || layer->recalls || reads_tokens(layer) || layer->input_size == before->output_size)
        return STATUS_OK;
    return error_set(plan->err, STATUS_BAD_SHAPE,
                     "%s: takes %zu inputs, but the layer before it (%s) gives %zu", layer->type->name,
                     layer->input_size, before->type->name, before->output_size);
}

static enum status check_memory(const struct plan *plan, const struct layer *layer)
{
    size_t known = plan->network->memory_size;
    if (!layer->memory_size || !known || layer->memory_size == known) return STATUS_OK;
    return error_set(plan->err, STATUS_BAD_SHAPE,
                     "%s: attends to rows of %zu numbers, a layer before it to %zu", layer->type->name,
                     layer->memory_size, known);
}

/* After pooling there is one vector and no steps: so no layer reads steps any more, or needs them. */
static enum status check_pooling(const struct plan *plan, const struct layer *layer, const struct wire *wire)
{
    const struct network *network = plan->network;
    if (!network->pools) return STATUS_OK;
    if (remembers(layer))
        return error_set(plan->err, STATUS_BAD_VALUE,
                         "%s: cannot follow pooling, which leaves one vector and no steps",
                         layer->type->name);
    int pooling = 0;
    while (!network->layers[pooling]->pools) pooling++;
    for (size_t k = 0; k < wire->n_sources; k++)
        if (wire->sources[k] < pooling)
            return error_set(plan->err, STATUS_BAD_VALUE,
                             "%s: reads steps from before pooling, which leaves one vector and no steps",
                             layer->type->name);
    return STATUS_OK;
}

/* What enters a network is the same for all layers that read it. */
static enum status check_input(const struct plan *plan, const struct layer *layer, const struct wire *wire)
{
    struct network *network = plan->network;
    bool reads_input = false;
    for (size_t k = 0; k < wire->n_sources; k++) reads_input |= wire->sources[k] == SOURCE_INPUT;
    if (!reads_input && !reads_tokens(layer)) return STATUS_OK;
    if (!network->input.type) {
        network->input = (struct layer){.type = &input_type, .output_size = layer->input_size,
                                        .forward_size = layer->input_size,
                                        .vocabulary_size = layer->vocabulary_size};
        return STATUS_OK;
    }
    if (network->input.vocabulary_size != layer->vocabulary_size)
        return error_set(plan->err, STATUS_BAD_SHAPE,
                         layer->vocabulary_size && network->input.vocabulary_size
                             ? "%s: reads another number of tokens than the layers before it"
                             : "%s: either all layers that read the network's input read tokens, or none",
                         layer->type->name);
    return STATUS_OK;
}

/* Layers ---------------------------------------------------------------------------------- */

/* Put a layer at the end, or in the place of the token layer before it, whose tokens it reads. */
static int append(struct network *network, struct layer *layer, const struct wire *wire)
{
    struct wire own = *wire;
    if (reads_tokens(layer) && wire->sources[0] != SOURCE_INPUT) {
        struct layer *taken = network->layers[--network->n_layers];
        own = network->wires[network->n_layers];
        taken->type->free(taken);
    }
    network->layers[network->n_layers] = layer;
    network->wires[network->n_layers] = own;
    network->whole |= layer->whole;
    network->pools |= layer->pools;
    network->mixes |= layer->mixes;
    if (layer->memory_size) network->memory_size = layer->memory_size;
    return (int)network->n_layers++;
}

static enum status check_layer(const struct plan *plan, const struct layer *layer, const struct layer *before,
                               const struct wire *wire)
{
    enum status status = check_size(plan, layer, before);
    if (status == STATUS_OK) status = check_memory(plan, layer);
    if (status == STATUS_OK) status = check_pooling(plan, layer, wire);
    if (status == STATUS_OK) status = check_input(plan, layer, wire);
    return status;
}

static enum status build_layer(struct plan *plan, size_t i)
{
    struct network *network = plan->network;
    const struct layer_spec *spec = &plan->specs[i];
    const struct layer *sources[LAYER_MAX_SOURCES];
    struct wire wire = {.n_sources = is_recall(spec) ? 0 : n_sources_of(spec)};
    struct layer plain[LAYER_MAX_SOURCES];
    enum status status = check_sources(plan, i);
    if (status != STATUS_OK) return status;
    for (size_t k = 0; k < wire.n_sources; k++) {
        int source = source_of(plan, i, k);
        wire.sources[k] = source == SOURCE_INPUT ? SOURCE_INPUT : plan->place[source];
        bool is_last = wire.sources[k] + 1 == (int)network->n_layers && wire.n_sources == 1;
        bool is_replaceable = is_last && source != SOURCE_INPUT && plan->n_readers[source] == 1;
        sources[k] = source_layer(plan, wire.sources[k], is_replaceable, &plain[k]);
    }
    const struct layer *before = wire.n_sources ? sources[0] : NULL;
    struct layer_context context = {.tensors = plan->tensors, .precision = network->precision,
                                    .before = before, .plan = plan->counts, .sources = sources,
                                    .n_sources = wire.n_sources,
                                    .memory_bounded = plan->encoder && last_layer(plan->encoder)->bounded};
    struct layer *layer = NULL;
    status = spec->type->build(spec, &context, &layer, plan->err);
    if (status != STATUS_OK) return status;
    if (layer->identity && layer->input_size) status = check_layer(plan, layer, before, &wire);
    if (layer->identity && status == STATUS_OK) {
        int source = source_of(plan, i, 0);
        plan->place[i] = wire.sources[0];
        if (source != SOURCE_INPUT && plan->n_readers[source] > 1)
            plan->n_readers[i] = plan->n_readers[source];
        spec->type->free(layer);
        return STATUS_OK;
    }
    if (status == STATUS_OK) status = check_layer(plan, layer, before, &wire);
    if (status == STATUS_OK) plan->place[i] = append(network, layer, &wire);
    else spec->type->free(layer);
    return status;
}

/* Join each layer that recalls to the one it recalls. */
static enum status connect_recalls(struct plan *plan)
{
    struct network *network = plan->network;
    for (size_t i = 0; i < plan->n; i++) {
        if (!is_recall(&plan->specs[i])) continue;
        const struct layer *layer = network->layers[plan->place[i]];
        int from = plan->place[plan->specs[i].sources[0]];
        const struct layer *recalled = from == SOURCE_INPUT ? &network->input : network->layers[from];
        if (network->whole || network->pools || network->mixes || from == SOURCE_INPUT)
            return error_set(plan->err, STATUS_BAD_VALUE,
                             "network[%zu]: previous: cannot stand in a network that pools, mixes series or "
                             "reads in both directions, or recall its input", i);
        if (recalled->output_size != layer->recalls)
            return error_set(plan->err, STATUS_BAD_SHAPE,
                             "network[%zu]: previous: 'size' is %zu, but the layer it recalls (%s) gives %zu",
                             i, layer->recalls, recalled->type->name, recalled->output_size);
        network->recalls[network->n_recalls++] = (struct recall){(size_t)from, layer->state_offset};
    }
    return STATUS_OK;
}

/* Layout ---------------------------------------------------------------------------------- */

/* The last layer of [begin, end) that reads `source`; -1: none does. */
static int last_reader(const struct network *network, int source, size_t begin, size_t end)
{
    int last = -1;
    for (size_t i = begin; i < end; i++)
        for (size_t k = 0; k < network->wires[i].n_sources; k++)
            if (network->wires[i].sources[k] == source) last = (int)i;
    return last;
}

/* Each output is read by a layer, recalled, or the network's own. */
static enum status check_readers(const struct network *network, struct error *err)
{
    for (size_t i = 0; i + 1 < network->n_layers; i++) {
        bool is_read = last_reader(network, (int)i, i, network->n_layers) >= 0;
        for (size_t k = 0; k < network->n_recalls; k++) is_read |= network->recalls[k].from == i;
        if (!is_read)
            return error_set(err, STATUS_BAD_VALUE,
                             "network: no layer reads the output of a %s, and it is not the last layer",
                             network->layers[i]->type->name);
    }
    return STATUS_OK;
}

/* Where each layer's state and derived memory lie. */
static void place_states(struct network *network)
{
    for (size_t i = 0; i < network->n_layers; i++) {
        struct layer *layer = network->layers[i];
        layer->state_offset = network->state_floats;
        layer->memory_offset = network->memory_floats;
        network->state_floats += layer->state_floats;
        network->memory_floats += layer->memory_floats;
    }
}

/* The first layer from `head` on that reads something from before layer head - 1; or n_layers. */
static size_t reads_past(const struct network *network, size_t head)
{
    for (size_t i = head; i < network->n_layers; i++)
        for (size_t k = 0; k < network->wires[i].n_sources; k++)
            if (network->wires[i].sources[k] < (int)head - 1) return i;
    return network->n_layers;
}

/* The head begins behind all layers that remember or are recalled, and so far back that its layers read
 * nothing but each other and the layer before the first of them. */
static void find_head(struct network *network)
{
    for (size_t i = 0; i < network->n_layers; i++)
        if (remembers(network->layers[i]) || reads_tokens(network->layers[i])) network->head = i + 1;
    for (size_t k = 0; k < network->n_recalls; k++)
        if (network->recalls[k].from >= network->head) network->head = network->recalls[k].from + 1;
    for (size_t i; (i = reads_past(network, network->head)) < network->n_layers;) network->head = i + 1;
}

/* Give the outputs of layers [begin, end) their slots. until[s] is the last reader of what slot s holds. */
static void assign_slots(struct network *network, size_t begin, size_t end, int *until)
{
    for (size_t i = begin; i < end; i++) {
        size_t s = 0, size = layer_round(network->layers[i]->output_size);
        bool is_kept = network->n_recalls && i + 1 == network->head;
        while (s < network->n_slots && (is_kept || until[s] >= (int)i)) s++;
        if (s == network->n_slots) network->n_slots++;
        until[s] = last_reader(network, (int)i, i, network->n_layers);
        if (until[s] < (int)i) until[s] = (int)i;
        network->wires[i].slot = s;
        if (size > network->slots[s].width) network->slots[s].width = size;
    }
}

static enum status lay_out(struct network *network, struct error *err)
{
    size_t n = network->n_layers, in_head = network->head < n ? n - 1 : n;
    int *until = memory_new(n + 1, sizeof *until);
    if (!until) return error_set(err, STATUS_NO_MEMORY, "network: no memory");
    network->n_slots = 1;
    network->slots[0].width = layer_round(network->input.output_size);
    until[0] = network->n_recalls ? (int)n : last_reader(network, SOURCE_INPUT, 0, network->head);
    assign_slots(network, 0, network->head, until);
    for (size_t s = 0; s <= n; s++) until[s] = -1;
    assign_slots(network, network->head, in_head, until);
    for (size_t s = 0; s < network->n_slots; s++) {
        network->slots[s].start = network->width;
        network->width += network->slots[s].width;
    }
    memory_free(until);
    return STATUS_OK;
}

/* All of it ------------------------------------------------------------------------------- */

static enum status finish(struct plan *plan)
{
    struct network *network = plan->network;
    if (network->n_layers == 0)
        return error_set(plan->err, STATUS_BAD_VALUE,
                         "network: no layer that computes anything, expected at least one");
    if (!network->input.type)
        return error_set(plan->err, STATUS_BAD_VALUE, "network: no layer reads what enters, expected one");
    place_states(network);
    enum status status = connect_recalls(plan);
    if (status == STATUS_OK) status = check_readers(network, plan->err);
    if (status != STATUS_OK) return status;
    find_head(network);
    return lay_out(network, plan->err);
}

static enum status build_layers(struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        for (size_t k = 0; k < n_sources_of(&plan->specs[i]); k++) {
            int source = source_of(plan, i, k);
            if (source >= 0 && source < (int)plan->n) plan->n_readers[source]++;
        }
    for (size_t i = 0; i < plan->n; i++) {
        enum status status = build_layer(plan, i);
        if (status != STATUS_OK) {
            error_prefix(plan->err, "network[%zu]", i);
            return status;
        }
    }
    return finish(plan);
}

static enum status build(const struct network *encoder, const struct layer_spec *specs, size_t n,
                         struct tensors *tensors, enum precision precision, struct layer_plan *counts,
                         struct network **out, struct error *err)
{
    static _Atomic uint64_t n_made;
    struct network *network = memory_new(1, sizeof *network);
    struct plan plan = {.network = network, .specs = specs, .n = n, .tensors = tensors, .counts = counts,
                        .encoder = encoder, .place = memory_new(n, sizeof *plan.place),
                        .n_readers = memory_new(n, sizeof *plan.n_readers), .err = err};
    enum status status = STATUS_NO_MEMORY;
    if (network) {
        network->layers = memory_new(n, sizeof(struct layer *));
        network->wires = memory_new(n, sizeof *network->wires);
        network->slots = memory_new(n + 1, sizeof *network->slots);
        network->recalls = memory_new(n, sizeof *network->recalls);
        network->serial = network->family = ++n_made;
        network->precision = precision;
    }
    if (network && network->layers && network->wires && network->slots && network->recalls && plan.place &&
        plan.n_readers)
        status = build_layers(&plan);
    else error_set(err, status, "network: no memory for %zu layers", n);
    memory_free(plan.place);
    memory_free(plan.n_readers);
    if (status == STATUS_OK) *out = network;
    else network_free(network);
    return status;
}

enum status network_new(const struct layer_spec *specs, size_t n, struct tensors *tensors,
                        enum precision precision, struct network **out, struct error *err)
{
    return build(NULL, specs, n, tensors, precision, NULL, out, err);
}

enum status network_new_decoder(const struct network *encoder, const struct layer_spec *specs, size_t n,
                                struct tensors *tensors, enum precision precision, struct network **out,
                                struct error *err)
{
    enum status status = build(encoder, specs, n, tensors, precision, NULL, out, err);
    if (status == STATUS_OK) network_join(*out, encoder);
    return status;
}

enum status network_plan(const struct layer_spec *specs, size_t n, struct tensors *tensors,
                         enum precision precision, struct network **out, uint64_t *bytes,
                         struct error *err)
{
    struct layer_plan counts = {0};
    enum status status = build(NULL, specs, n, tensors, precision, &counts, out, err);
    *bytes = counts.kept + 2 * counts.largest;
    return status;
}
