#include <math.h>
#include <string.h>

#include "models/readers/onnx_graph.h"

enum {
    INPUT_X,
    INPUT_W,
    INPUT_R,
    INPUT_B,
    INPUT_LENGTHS,
    INPUT_H,
    INPUT_C,
    INPUT_P,
    INPUT_W_SCALE, /* of DynamicQuantizeLSTM; the zeros follow */
    INPUT_R_SCALE = 10
};

static const struct {
    const char *op, *type, *gates, *torch_gates;
} kinds[] = {{"LSTM", "lstm", "iofg", "ifgo"}, {"GRU", "gru", "zrn", "rzn"}, {"RNN", "rnn", "n", "n"},
             {"DynamicQuantizeLSTM", "lstm", "iofg", "ifgo"}};

/* ONNX' activations by name, with their alpha and beta. */
static const char *activation_of(const char *name, double alpha, double beta)
{
    if (!strcmp(name, "Sigmoid")) return "sigmoid";
    if (!strcmp(name, "Tanh")) return "tanh";
    if (!strcmp(name, "Relu")) return "relu";
    if (strcmp(name, "HardSigmoid") || fabs(beta - 0.5) > 1e-6) return NULL;
    if (fabs(alpha - 0.2) < 1e-6) return "hard_sigmoid_keras2";
    return fabs(alpha - 1.0 / 6) < 1e-6 ? "hard_sigmoid" : NULL;
}

static enum status read_activations(struct onnx_graph *graph, const struct onnx_node *node, struct part *part)
{
    const struct onnx_attribute *names = onnx_attribute(node, "activations");
    const struct onnx_attribute *alpha = onnx_attribute(node, "activation_alpha");
    const struct onnx_attribute *beta = onnx_attribute(node, "activation_beta");
    bool rnn = strcmp(part->type, "rnn") == 0, lstm = strcmp(part->type, "lstm") == 0;
    size_t per = lstm ? 3 : rnn ? 1 : 2, used = 0;
    part->gate = "sigmoid", part->squash = "tanh";
    if (onnx_attribute(node, "clip")) return onnx_refuse(graph, node, "its attribute clip is not served");
    if (onnx_integer(node, "input_forget", 0))
        return onnx_refuse(graph, node, "its attribute input_forget is not served");
    if (!names || names->n_texts == 0) return STATUS_OK;
    if (names->n_texts < per * part->n_directions)
        return onnx_refuse(graph, node, "it has too few activations");
    for (size_t i = 0; i < per * part->n_directions; i++) {
        bool takes = strcmp(names->texts[i], "HardSigmoid") == 0;
        double a = alpha && used < alpha->n_reals ? alpha->reals[used] : 0.2;
        double b = beta && used < beta->n_reals ? beta->reals[used] : 0.5;
        used += takes;
        const char *found = activation_of(names->texts[i], a, b);
        const char **to = !rnn && i % per == 0 ? &part->gate : &part->squash;
        if (!found)
            return onnx_refuse(
                graph, node,
                pool_print(graph->plan->pool, "its activation %.40s is not served", names->texts[i]));
        bool first = i == 0 || (!rnn && i == 1);
        if (!first && strcmp(*to, found))
            return onnx_refuse(graph, node, "its directions or gates differ in activations");
        *to = found;
    }
    return STATUS_OK;
}

/* Whether input i of the node is the initial state of a layer that reads forwards. */
static bool begins_layer(const struct onnx_node *node, size_t i)
{
    const struct onnx_attribute *direction = onnx_attribute(node, "direction");
    bool recurrent = false;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        recurrent = recurrent || strcmp(node->type, kinds[k].op) == 0;
    return recurrent && (i == INPUT_H || i == INPUT_C) && onnx_integer(node, "layout", 0) == 0 &&
           (!direction || !direction->text || strcmp(direction->text, "forward") == 0);
}

static bool is_state(const struct onnx_file *file, const char *name, size_t depth)
{
    static const char *const pickers[] = {"Slice", "Gather", "Squeeze", "Unsqueeze", "Identity"};
    bool read = false;
    for (size_t n = 0; n < file->n_nodes; n++) {
        const struct onnx_node *node = &file->nodes[n];
        for (size_t i = 0; node->is_needed && i < node->n_inputs; i++) {
            if (strcmp(node->inputs[i], name)) continue;
            bool picks = false;
            for (size_t k = 0; k < sizeof pickers / sizeof *pickers; k++)
                picks = picks || (i == 0 && node->n_outputs == 1 && strcmp(node->type, pickers[k]) == 0);
            read = true;
            if (begins_layer(node, i)) continue;
            if (!picks || depth == 0 || !is_state(file, node->outputs[0], depth - 1)) return false;
        }
    }
    return read;
}

bool onnx_is_state(const struct onnx_file *file, const char *name, bool alone)
{
    enum { DEEPEST = 4 };
    return is_state(file, name, alone ? 0 : DEEPEST);
}

/* A state that the graph reads as an input: what was recorded of it. */
static enum status read_fed(struct onnx_graph *graph, const struct onnx_node *node, size_t input,
                            size_t width, const struct tensor **out)
{
    const struct value *value = onnx_input(graph, node, input);
    const struct tensor *t = value && value->is_fed ? value->tensor : NULL;
    if (t && (t->rank != 3 || t->shape[0] != 1 || t->shape[2] != width))
        return onnx_refuse(graph, node, "its recorded initial state has another shape");
    *out = t;
    return STATUS_OK;
}

/* Initial states: nothing, zeros, or numbers of one sequence. */
static enum status read_state(struct onnx_graph *graph, const struct onnx_node *node, size_t input,
                              size_t directions, size_t width, const struct tensor **out)
{
    const struct value *value = onnx_input(graph, node, input);
    double *values;
    *out = NULL;
    if (!value || value->kind == VALUE_ZERO) return STATUS_OK;
    if (value->kind != VALUE_CONSTANT)
        return onnx_refuse(graph, node, "its initial state depends on the input");
    const struct tensor *t = value->tensor;
    /* The exporter of PyTorch 2.5 and later drops the projection of an LSTM with proj_size, and its c tells.
     */
    if (t->rank == 3 && t->shape[2] != width)
        return onnx_refuse(graph, node,
                           pool_print(graph->plan->pool,
                                      "its initial state has %zu numbers, its hidden size is "
                                      "%zu: the exporter left out the projection (proj_size) of an LSTM, and "
                                      "the model is not whole; import the state_dict instead",
                                      t->shape[2], width));
    if (t->rank != 3 || t->shape[0] != directions)
        return onnx_refuse(graph, node, "its initial state has another shape");
    if (tensor_doubles(t, graph->plan->pool, &values, graph->err) != STATUS_OK) return graph->err->status;
    bool zero = true;
    for (size_t i = 0; i < t->n_values; i++) zero = zero && values[i] == 0;
    if (zero) return STATUS_OK;
    if (t->shape[1] != 1) return onnx_refuse(graph, node, "its initial state is of several sequences");
    *out = t;
    return STATUS_OK;
}

/* Direction d of [directions, 1, H]. */
static enum status state_of(struct onnx_graph *graph, const struct tensor *whole, size_t d,
                            const struct tensor **out)
{
    if (!whole) return STATUS_OK;
    const struct tensor *one = plan_slice(graph->plan->pool, whole, d, graph->err);
    *out = one ? plan_slice(graph->plan->pool, one, 0, graph->err) : NULL;
    return *out ? STATUS_OK : graph->err->status;
}

/* [2 * gates * H] is the bias of the input, then the recurrent one. */
static enum status split_bias(struct onnx_graph *graph, const struct tensor *bias, struct cell *cell)
{
    size_t n = strlen(cell->gates) * cell->hidden;
    struct tensor *halves = pool_small(graph->plan->pool, 2 * sizeof *halves);
    if (!halves) return pool_spent(graph->err);
    if (bias->rank != 1 || bias->shape[0] != 2 * n)
        return error_set(graph->err, STATUS_BAD_SHAPE, "tensor '%.80s' is no bias of its layer", bias->name);
    halves[0] = halves[1] = *bias;
    halves[0].shape[0] = halves[1].shape[0] = halves[0].n_values = halves[1].n_values = n;
    halves[1].data += n * bias->strides[0] * number_bytes(bias->type);
    cell->b_in = &halves[0], cell->b_rec = &halves[1];
    return STATUS_OK;
}

static const struct tensor *constant_input(struct onnx_graph *graph, const struct onnx_node *node, size_t i)
{
    const struct value *value = onnx_input(graph, node, i);
    return value && value->kind == VALUE_CONSTANT ? value->tensor : NULL;
}

static enum status read_cells(struct onnx_graph *graph, const struct onnx_node *node, struct part *part)
{
    const struct tensor *W = constant_input(graph, node, INPUT_W), *R = constant_input(graph, node, INPUT_R);
    const struct tensor *B = constant_input(graph, node, INPUT_B), *P = constant_input(graph, node, INPUT_P);
    const struct tensor *h0 = NULL, *c0 = NULL;
    size_t n_gates = strlen(part->cells[0].gates);
    if (!strcmp(node->type, "DynamicQuantizeLSTM")) {
        W = onnx_dequantised_gates(graph, node, INPUT_W, INPUT_W_SCALE);
        R = W ? onnx_dequantised_gates(graph, node, INPUT_R, INPUT_R_SCALE) : NULL;
        if (!R) return graph->err->status;
    }
    if (!W || !R || W->rank != 3 || R->rank != 3 || W->shape[0] != part->n_directions ||
        R->shape[0] != part->n_directions)
        return onnx_refuse(graph, node, "its weights are no constants of the expected shape");
    if (!B && node->n_inputs > INPUT_B && *node->inputs[INPUT_B])
        return onnx_refuse(graph, node, "its bias is no constant");
    if (R->shape[1] != n_gates * R->shape[2])
        return onnx_refuse(graph, node, "its recurrent weights have another shape");
    enum status status = read_state(graph, node, INPUT_H, part->n_directions, R->shape[2], &h0);
    if (status == STATUS_OK && strcmp(part->type, "lstm") == 0)
        status = read_state(graph, node, INPUT_C, part->n_directions, R->shape[2], &c0);
    if (status == STATUS_OK) status = read_fed(graph, node, INPUT_H, R->shape[2], &part->fed_h);
    if (status == STATUS_OK) status = read_fed(graph, node, INPUT_C, R->shape[2], &part->fed_c);
    for (size_t d = 0; d < part->n_directions && status == STATUS_OK; d++) {
        struct cell *cell = &part->cells[d];
        cell->gates = part->cells[0].gates;
        cell->peephole_gates = "iof";
        cell->w_in = plan_slice(graph->plan->pool, W, d, graph->err);
        cell->w_rec = cell->w_in ? plan_slice(graph->plan->pool, R, d, graph->err) : NULL;
        if (!cell->w_rec) return graph->err->status;
        cell->in = W->shape[2], cell->hidden = cell->out = R->shape[2];
        const struct tensor *bias = B ? plan_slice(graph->plan->pool, B, d, graph->err) : NULL;
        if (B && !bias) return graph->err->status;
        if (bias) status = split_bias(graph, bias, cell);
        if (status == STATUS_OK && P && !(cell->peephole = plan_slice(graph->plan->pool, P, d, graph->err)))
            return graph->err->status;
        if (status == STATUS_OK) status = state_of(graph, h0, d, &cell->h0);
        if (status == STATUS_OK) status = state_of(graph, c0, d, &cell->c0);
    }
    return status;
}

static enum status add_results(struct onnx_graph *graph, const struct onnx_node *node, const struct value *in,
                               const struct part *part, bool batch_first)
{
    size_t at = graph->plan->n_parts;
    struct value *y = onnx_result(graph, node, 0, VALUE_ROWS);
    if (!y) return graph->err->status;
    memcpy(y->axes, batch_first ? "BTDF" : "TDBF", 5);
    y->part = at;
    y->window = in->window;
    y->is_reversed = part->backwards;
    struct value *h = onnx_result(graph, node, 1, VALUE_FINAL);
    if (!h) return graph->err->status;
    memcpy(h->axes, batch_first ? "BDF" : "DBF", 4);
    for (size_t d = 0; d < part->n_directions; d++) h->entries[d].part = at, h->entries[d].direction = d;
    h->n_entries = part->n_directions;
    h->part = at;
    return onnx_result(graph, node, 2, VALUE_NOTHING) ? STATUS_OK : graph->err->status;
}

enum status onnx_recurrent(struct onnx_graph *graph, const struct onnx_node *node)
{
    size_t k = 0;
    while (strcmp(kinds[k].op, node->type)) k++;
    const struct onnx_attribute *direction = onnx_attribute(node, "direction");
    const char *way = direction && direction->text ? direction->text : "forward";
    bool batch_first = onnx_integer(node, "layout", 0) == 1;
    enum status status = onnx_flush(graph);
    const struct value *found = onnx_input(graph, node, INPUT_X);
    if (status != STATUS_OK) return status;
    if (!found || found->kind != VALUE_ROWS || found->part != graph->plan->n_parts || found->is_ids ||
        found->is_reversed || found->half)
        return onnx_refuse(graph, node,
                           "its input is not what the layer before it gives; a chain of layers is served");
    struct value in = *found;
    /* An exporter may feed the graph's input as it is: then its first axis is the step. */
    if (graph->plan->n_parts == 0 && !strcmp(in.axes, "BTF") && !batch_first) {
        memcpy(in.axes, "TBF", 4);
        graph->plan->step_first = true;
        in.window = graph->file.inputs[0].shape[0] > 1 ? (size_t)graph->file.inputs[0].shape[0] : 0;
        graph->plan->window = in.window;
    }
    if (strcmp(in.axes, batch_first ? "BTF" : "TBF"))
        return onnx_refuse(graph, node, "the axes of its input are not step, batch, feature");
    if (!strcmp(kinds[k].op, "GRU") && onnx_integer(node, "linear_before_reset", 0) == 0 &&
        strcmp(graph->file.producer, "pytorch") == 0)
        return onnx_refuse(
            graph, node,
            "linear_before_reset is 0, but a GRU of PyTorch has 1: exporters before onnxscript 0.7 "
            "wrote it wrongly (pytorch#189225); export it anew, or import the state_dict");
    const char *lengths = node->n_inputs > INPUT_LENGTHS ? node->inputs[INPUT_LENGTHS] : "";
    if (*lengths)
        report_ignored(graph->plan->report, lengths,
                       "lengths of sequences: nothing is padded when it is served");
    const char *prefix = onnx_prefix(graph, node, NULL, kinds[k].type);
    struct part *part =
        plan_add(graph->plan, kinds[k].type, prefix,
                 pool_print(graph->plan->pool, "ONNX' %s %.80s", node->type, node->name), graph->err);
    if (!part) return graph->err->status;
    part->n_layers = 1;
    part->n_directions = strcmp(way, "bidirectional") == 0 ? 2 : 1;
    part->backwards = strcmp(way, "reverse") == 0;
    part->reset_after = onnx_integer(node, "linear_before_reset", 0) == 1;
    part->cells[0].gates = kinds[k].gates;
    status = read_activations(graph, node, part);
    if (status == STATUS_OK) status = read_cells(graph, node, part);
    if (status == STATUS_OK) status = plan_recurrent(graph->plan, part, graph->err);
    return status == STATUS_OK ? add_results(graph, node, &in, part, batch_first) : status;
}
