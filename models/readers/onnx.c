#include "models/readers/onnx.h"

#include <string.h>

#include "models/readers/onnx_graph.h"
#include "models/readers/recorded.h"
#include "models/text/sentence.h"

enum { ELEMENT_INT32 = 6, ELEMENT_INT64 = 7, MAX_VALUES = 1 << 13 };

struct value *onnx_value(struct onnx_graph *graph, const char *name)
{
    for (size_t i = graph->n_values; i-- > 0;)
        if (strcmp(graph->values[i].name, name) == 0) return &graph->values[i];
    return NULL;
}

static struct value *add_value(struct onnx_graph *graph, const char *name, enum value_kind kind)
{
    if (graph->n_values == MAX_VALUES) {
        error_set(graph->err, STATUS_TOO_LONG, "the graph has too many values");
        return NULL;
    }
    if (pool_grow(graph->plan->pool, (void **)&graph->values, graph->n_values, &graph->room,
                  sizeof *graph->values, graph->err) != STATUS_OK)
        return NULL;
    struct value *value = &graph->values[graph->n_values++];
    *value = (struct value){.name = name, .kind = kind};
    return value;
}

struct value *onnx_result(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                          enum value_kind kind)
{
    return add_value(graph, i < node->n_outputs ? node->outputs[i] : "", kind);
}

struct value *onnx_input(struct onnx_graph *graph, const struct onnx_node *node, size_t i)
{
    return i < node->n_inputs && *node->inputs[i] ? onnx_value(graph, node->inputs[i]) : NULL;
}

enum status onnx_refuse(struct onnx_graph *graph, const struct onnx_node *node, const char *what)
{
    char name[QUOTE_BYTES];
    const char *shown = *node->name ? node->name : node->n_outputs ? node->outputs[0] : "";
    bool keras = strcmp(graph->file.producer, "tf2onnx") == 0;
    return error_set(graph->err, STATUS_UNSUPPORTED, "node %s (%.40s): %s%s",
                     sentence_quote(name, shown, strlen(shown)), node->type, what,
                     keras ? "; of a model of Keras, import its own file: model.save('model.keras')" : "");
}

/* ------------------------------------------------------------------------------------------
 * Which nodes the first output needs */

static void mark(struct onnx_file *file)
{
    /* Nodes stand after what they read, so one pass from the end is enough. */
    for (size_t n = file->n_nodes; n-- > 0;) {
        struct onnx_node *node = &file->nodes[n];
        for (size_t o = 0; o < node->n_outputs && !node->is_needed; o++) {
            if (!*node->outputs[o]) continue;
            node->is_needed = file->n_outputs > 0 && strcmp(node->outputs[o], file->outputs[0].name) == 0;
            for (size_t later = n + 1; later < file->n_nodes && !node->is_needed; later++)
                for (size_t i = 0; file->nodes[later].is_needed && i < file->nodes[later].n_inputs; i++)
                    node->is_needed =
                        node->is_needed || strcmp(file->nodes[later].inputs[i], node->outputs[o]) == 0;
        }
    }
}

static bool is_read(const struct onnx_file *file, const char *name)
{
    for (size_t n = 0; n < file->n_nodes; n++)
        for (size_t i = 0; file->nodes[n].is_needed && i < file->nodes[n].n_inputs; i++)
            if (strcmp(file->nodes[n].inputs[i], name) == 0) return true;
    return false;
}

/* An initial state that the graph reads as its i-th input: zeros in the bundle, because requests send it. */
static enum status add_state(struct onnx_graph *graph, size_t i)
{
    const char *name = graph->file.inputs[i].name;
    const struct tensor *recorded;
    enum status status = recorded_read(&graph->file, graph->records, "input", i, &recorded, graph->err);
    struct value *value = status == STATUS_OK ? add_value(graph, name, VALUE_ZERO) : NULL;
    if (!value) return graph->err->status;
    value->is_fed = true;
    value->tensor = recorded;
    report_fact(graph->plan->report, name, "a state", "zeros, unless a request has initial_state");
    return STATUS_OK;
}

/* The axes of the first input: B T of ids, B T F of numbers. An LSTM that reads it untransposed turns them.
 */
static enum status add_inputs(struct onnx_graph *graph)
{
    struct onnx_file *file = &graph->file;
    bool found = false;
    for (size_t i = 0; i < file->n_inputs; i++) {
        const struct onnx_port *port = &file->inputs[i];
        char name[QUOTE_BYTES];
        if (onnx_initializer(file, port->name)) continue; /* before version 4, weights are inputs too */
        if (onnx_is_state(file, port->name, graph->records != NULL)) {
            enum status added = add_state(graph, i);
            if (added != STATUS_OK) return added;
            continue;
        }
        bool ids = port->element == ELEMENT_INT32 || port->element == ELEMENT_INT64 || port->rank == 2;
        if (found || !is_read(file, port->name)) {
            sentence_quote(name, port->name, strlen(port->name));
            const struct tensor *constant;
            enum status status = recorded_read(file, graph->records, "input", i, &constant, graph->err);
            if (status != STATUS_OK) return status;
            if (constant) {
                struct value *value = add_value(graph, port->name, VALUE_CONSTANT);
                if (!value) return graph->err->status;
                value->tensor = constant;
                continue;
            }
            if (is_read(file, port->name))
                return error_set(graph->err, STATUS_UNSUPPORTED,
                                 "the graph reads a second input, %s, such as lengths; export it with one "
                                 "input, and perhaps the initial states of its layers",
                                 name);
            report_ignored(graph->plan->report, port->name, "an input that the first output does not need");
            continue;
        }
        if (port->rank != (ids ? 2u : 3u))
            return error_set(graph->err, STATUS_UNSUPPORTED,
                             "the input of the graph has %zu axes, expected batch and step, "
                             "and for numbers features",
                             port->rank);
        struct value *value = add_value(graph, port->name, VALUE_ROWS);
        if (!value) return graph->err->status;
        memcpy(value->axes, ids ? "BT" : "BTF", ids ? 3 : 4);
        value->is_ids = ids;
        value->window = port->shape[1] > 0 ? (size_t)port->shape[1] : 0;
        graph->plan->window = value->window;
        found = true;
    }
    return found ? STATUS_OK : error_set(graph->err, STATUS_UNSUPPORTED, "the graph has no input");
}

/* ------------------------------------------------------------------------------------------ */

/* Operators on what depends on the input's shape alone: initial states of zeros, and sizes for reshapes. */
static enum status follow_shapes(struct onnx_graph *graph, const struct onnx_node *node, bool *done)
{
    bool sizes = strcmp(node->type, "Shape") == 0 || strcmp(node->type, "Size") == 0, zero = false,
         rows = false;
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct value *value = onnx_input(graph, node, i);
        if (!value) continue;
        rows =
            rows || value->kind == VALUE_ROWS || value->kind == VALUE_FINAL || value->kind == VALUE_NOTHING;
        sizes = sizes || value->kind == VALUE_SIZES;
        zero = zero || value->kind == VALUE_ZERO;
    }
    if (strcmp(node->type, "ConstantOfShape") == 0 || strcmp(node->type, "Expand") == 0) {
        const struct onnx_attribute *given = onnx_attribute(node, "value");
        const struct tensor *tensor = given ? given->tensor : NULL;
        const struct value *first = onnx_input(graph, node, 0);
        if (strcmp(node->type, "Expand") == 0) tensor = first ? first->tensor : NULL;
        double *values = NULL;
        bool all_zero = true;
        if (tensor && tensor_doubles(tensor, graph->plan->pool, &values, graph->err) != STATUS_OK)
            return graph->err->status;
        for (size_t i = 0; values && i < tensor->n_values; i++) all_zero = all_zero && values[i] == 0;
        if (rows || !all_zero) return STATUS_OK;
        *done = true;
        return onnx_result(graph, node, 0, VALUE_ZERO) ? STATUS_OK : graph->err->status;
    }
    if ((rows && strcmp(node->type, "Shape")) || (!sizes && !zero)) return STATUS_OK;
    static const char *const allowed[] = {"Shape",    "Size",      "Gather",  "Slice", "Concat", "Unsqueeze",
                                          "Squeeze",  "Cast",      "Add",     "Mul",   "Sub",    "Div",
                                          "Identity", "Transpose", "Reshape", "Equal", "Where"};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !*done; i++)
        *done = strcmp(node->type, allowed[i]) == 0;
    if (!*done) return STATUS_OK;
    return onnx_result(graph, node, 0, zero && !sizes ? VALUE_ZERO : VALUE_SIZES) ? STATUS_OK
                                                                                  : graph->err->status;
}

static bool all_constant(struct onnx_graph *graph, const struct onnx_node *node)
{
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct value *value = onnx_input(graph, node, i);
        if (value ? value->kind != VALUE_CONSTANT : *node->inputs[i] != '\0') return false;
    }
    return true;
}

static enum status follow(struct onnx_graph *graph, const struct onnx_node *node)
{
    bool done = false;
    enum status status = STATUS_OK;
    bool quantised_lstm = !strcmp(node->type, "DynamicQuantizeLSTM");
    if (*node->domain && strcmp(node->domain, "ai.onnx") &&
        !(quantised_lstm && !strcmp(node->domain, "com.microsoft")))
        return onnx_refuse(graph, node,
                           pool_print(graph->plan->pool, "an operator of the domain %.60s, which is not read",
                                      node->domain));
    for (size_t i = 0; i < node->n_inputs; i++)
        if (*node->inputs[i] && !onnx_value(graph, node->inputs[i]))
            return onnx_refuse(graph, node, "it reads a value that nothing before it gives");
    if (all_constant(graph, node)) status = onnx_fold(graph, node, &done);
    if (status == STATUS_OK && !done) status = follow_shapes(graph, node, &done);
    if (status != STATUS_OK || done) return status;
    status = onnx_ids(graph, node, &done);
    if (status == STATUS_OK && !done) status = onnx_quantised(graph, node, &done);
    if (status != STATUS_OK || done) return status;
    if (quantised_lstm || !strcmp(node->type, "LSTM") || !strcmp(node->type, "GRU") ||
        !strcmp(node->type, "RNN"))
        return onnx_recurrent(graph, node);
    return onnx_rows(graph, node);
}

/* An output that is the state after the last step, of one direction. */
static enum status finish_states(struct onnx_graph *graph, const struct value *value)
{
    struct plan *plan = graph->plan;
    if (value->n_entries != 1 || value->entries[0].part != plan->n_parts ||
        plan->parts[plan->n_parts - 1].n_directions != 1)
        return error_set(graph->err, STATUS_UNSUPPORTED,
                         "the output of the graph is a state that is not the last layer's, or one "
                         "of several directions");
    return plan_pooling(plan, "last", "ONNX' output Y_h", graph->err);
}

static enum status finish(struct onnx_graph *graph)
{
    const struct onnx_port *port = &graph->file.outputs[0];
    enum status status = onnx_flush(graph);
    const struct value *value = onnx_value(graph, port->name);
    if (status != STATUS_OK) return status;
    if (value && value->kind == VALUE_FINAL) status = finish_states(graph, value);
    else if (!value || value->kind != VALUE_ROWS || value->part != graph->plan->n_parts ||
             value->is_reversed || value->half)
        return error_set(graph->err, STATUS_UNSUPPORTED,
                         "the output of the graph is not what its last layer gives");
    if (status != STATUS_OK) return status;
    for (size_t i = 1; i < graph->file.n_outputs; i++)
        report_ignored(graph->plan->report, graph->file.outputs[i].name, "an output beside the first");
    return STATUS_OK;
}

/* A layer that its exporter wrote as a loop over the steps, whose body would have to be understood. */
static enum status refuse_loops(struct onnx_graph *graph)
{
    static const char *const loops[] = {"Loop", "Scan", "If"};
    for (size_t i = 0; i < graph->file.n_nodes; i++)
        for (size_t l = 0; l < sizeof loops / sizeof *loops; l++)
            if (graph->file.nodes[i].is_needed && !strcmp(graph->file.nodes[i].type, loops[l]))
                return onnx_refuse(graph, &graph->file.nodes[i],
                                   "the exporter wrote a layer as a loop over the steps, which is not read; "
                                   "expected nodes LSTM, GRU or RNN");
    return STATUS_OK;
}

enum status onnx_read(const uint8_t *file, size_t n, const struct folder *folder,
                      const struct folder *records, struct plan *plan, struct error *err)
{
    struct onnx_graph *graph = pool_take(plan->pool, 1, sizeof *graph);
    if (!graph) return pool_spent(err);
    graph->plan = plan;
    graph->err = err;
    graph->records = records;
    enum status status = onnx_open(file, n, folder, plan->pool, &graph->file, err);
    if (status != STATUS_OK) return status;
    if (graph->file.n_outputs == 0) return error_set(err, STATUS_BAD_FORMAT, "the ONNX graph has no output");
    report_fact(plan->report, "producer", pool_print(plan->pool, "%.40s", graph->file.producer),
                "from the ONNX file");
    plan->graph_is_known = true;
    plan->end = END_RAW;
    mark(&graph->file);
    for (size_t i = 0; i < graph->file.n_tensors && status == STATUS_OK; i++) {
        struct value *value = add_value(graph, graph->file.tensors[i].name, VALUE_CONSTANT);
        if (!value) return err->status;
        value->tensor = &graph->file.tensors[i];
    }
    if (status == STATUS_OK) status = add_inputs(graph);
    if (status == STATUS_OK) status = refuse_loops(graph);
    for (size_t i = 0; i < graph->file.n_nodes && status == STATUS_OK; i++)
        if (graph->file.nodes[i].is_needed) status = follow(graph, &graph->file.nodes[i]);
    if (status == STATUS_OK) status = finish(graph);
    if (status == STATUS_OK)
        status = recorded_read(&graph->file, records, "input", 0, &plan->recorded_input, err);
    if (status == STATUS_OK)
        status = recorded_read(&graph->file, records, "output", 0, &plan->recorded_output, err);
    return status;
}
