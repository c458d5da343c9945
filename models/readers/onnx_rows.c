/* The operators that read rows: what they do to the axes, and which parts they become. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/readers/onnx_graph.h"

enum { NAME_BYTES = 100 };

const char *onnx_prefix(struct onnx_graph *graph, const struct onnx_node *node, const struct tensor *weight,
                        const char *type)
{
    char base[NAME_BYTES] = "", name[NAME_BYTES + 16];
    const char *end = weight ? strrchr(weight->name, '.') : NULL;
    if (end && strcmp(end, ".weight") == 0)
        snprintf(base, sizeof base, "%.*s", (int)(end - weight->name), weight->name);
    const char *slash = strrchr(node->name, '/');
    if (!*base && node->name[0] == '/' && slash > node->name) {
        snprintf(base, sizeof base, "%.*s", (int)(slash - node->name - 1), node->name + 1);
        for (char *c = base; *c; c++) *c = *c == '/' ? '.' : *c;
    }
    if (!*base) snprintf(base, sizeof base, "%s", type);
    snprintf(name, sizeof name, "%s", base);
    for (size_t n = 1, i = 0; i < graph->plan->n_parts; i++) {
        if (strcmp(graph->plan->parts[i].prefix, name)) continue;
        snprintf(name, sizeof name, "%s_%zu", base, n++);
        i = SIZE_MAX; /* from the beginning */
    }
    return pool_text(graph->plan->pool, name, strlen(name));
}

enum status onnx_flush(struct onnx_graph *graph)
{
    struct pending *p = &graph->pending;
    if (!p->weight) return STATUS_OK;
    enum status status =
        plan_linear(graph->plan, p->prefix, p->origin, p->weight, p->bias, p->transposed, graph->err);
    *p = (struct pending){0};
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows */

/* The recurrent part that is nearest to the end; NULL. */
static const struct part *last_recurrent(const struct plan *plan)
{
    for (size_t i = plan->n_parts; i-- > 0;)
        if (plan->parts[i].n_layers) return &plan->parts[i];
    return NULL;
}

static enum status pool_last(struct onnx_graph *graph, const struct onnx_node *node, struct value *out)
{
    const struct part *part = last_recurrent(graph->plan);
    const char *from =
        pool_print(graph->plan->pool, "ONNX' %s %.80s, of the last step", node->type, node->name);
    const char *mode = part && part->n_directions > 1 ? "last_step" : "last";
    enum status status = plan_pooling(graph->plan, mode, from, graph->err);
    out->part = graph->plan->n_parts;
    return status;
}

/* The states after the last step as the input of a layer: all directions of the last part, forward first. */
static enum status final_to_rows(struct onnx_graph *graph, const struct onnx_node *node, struct value *value)
{
    const struct plan *plan = graph->plan;
    const struct part *part = plan->n_parts ? &plan->parts[plan->n_parts - 1] : NULL;
    bool whole = part && value->n_entries == part->n_directions && !strchr(value->axes, 'D');
    for (size_t i = 0; whole && i < value->n_entries; i++)
        whole = value->entries[i].part == plan->n_parts && value->entries[i].direction == i;
    if (!whole)
        return onnx_refuse(
            graph, node, "it reads states that are not those of all directions of the last layer, in order");
    value->kind = VALUE_ROWS;
    value->part = plan->n_parts + 1;
    return plan_pooling(graph->plan, "last",
                        pool_print(plan->pool, "ONNX' %s %.80s: Y_h", node->type, node->name), graph->err);
}

enum status onnx_take_rows(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                           struct value *out)
{
    enum status status = onnx_flush(graph);
    const struct value *value = onnx_input(graph, node, i);
    if (status != STATUS_OK) return status;
    if (!value || (value->kind != VALUE_ROWS && value->kind != VALUE_FINAL))
        return onnx_refuse(graph, node, "an operator that is not served here");
    *out = *value;
    if (out->kind == VALUE_FINAL) status = final_to_rows(graph, node, out);
    if (status != STATUS_OK) return status;
    if (out->half)
        return onnx_refuse(graph, node, "it reads one direction of a bidirectional layer, expected both");
    if (out->part != graph->plan->n_parts || out->is_reversed)
        return onnx_refuse(graph, node,
                           "it reads an earlier layer than the one before it; a chain of layers is served");
    return STATUS_OK;
}

/* The output, with the axes of `like` and after all parts. */
static enum status give_rows(struct onnx_graph *graph, const struct onnx_node *node, const struct value *like)
{
    struct value *out = onnx_result(graph, node, 0, like->kind);
    if (!out) return graph->err->status;
    const char *name = out->name;
    *out = *like;
    out->name = name;
    return STATUS_OK;
}

static const char *origin_of(struct onnx_graph *graph, const struct onnx_node *node)
{
    return pool_print(graph->plan->pool, "ONNX' %s %.80s", node->type, node->name);
}

static const struct tensor *constant(struct onnx_graph *graph, const struct onnx_node *node, size_t i)
{
    const struct value *value = onnx_input(graph, node, i);
    return value && value->kind == VALUE_CONSTANT ? value->tensor : NULL;
}

/* ------------------------------------------------------------------------------------------
 * Layers */

enum status onnx_add_table(struct onnx_graph *graph, const struct onnx_node *node, const struct tensor *table,
                           struct value *ids)
{
    enum status status = plan_embedding(graph->plan, onnx_prefix(graph, node, table, "embedding"),
                                        origin_of(graph, node), table, graph->err);
    graph->plan->pads = true;
    memcpy(ids->axes, "BTF", 4);
    ids->is_ids = false;
    ids->part = graph->plan->n_parts;
    return status;
}

static enum status look_up(struct onnx_graph *graph, const struct onnx_node *node)
{
    struct value ids;
    enum status status = onnx_take_rows(graph, node, 1, &ids);
    if (status != STATUS_OK) return status;
    if (!ids.is_ids || strcmp(ids.axes, "BT") || graph->plan->n_parts || onnx_integer(node, "axis", 0))
        return onnx_refuse(graph, node, "it looks up what are not the ids of the input");
    status = onnx_add_table(graph, node, constant(graph, node, 0), &ids);
    return status == STATUS_OK ? give_rows(graph, node, &ids) : status;
}

static enum status add_matrix(struct onnx_graph *graph, const struct onnx_node *node, bool gemm)
{
    struct value in;
    const struct tensor *weight = constant(graph, node, 1), *bias = gemm ? constant(graph, node, 2) : NULL;
    const struct onnx_attribute *alpha = onnx_attribute(node, "alpha"), *beta = onnx_attribute(node, "beta");
    enum status status = onnx_take_rows(graph, node, 0, &in);
    if (status != STATUS_OK) return status;
    size_t n = strlen(in.axes);
    if (!weight || weight->rank != 2 || in.is_ids || n == 0 || in.axes[n - 1] != 'F' || (gemm && n != 2) ||
        (gemm && node->n_inputs > 2 && !bias))
        return onnx_refuse(graph, node, "it multiplies what is not features by a constant matrix");
    if ((alpha && fabs(alpha->real - 1) > 0) || (beta && fabs(beta->real - 1) > 0) ||
        onnx_integer(node, "transA", 0))
        return onnx_refuse(graph, node, "alpha, beta or transA is not served");
    if (bias && bias->rank == 2 && bias->shape[0] == 1)
        bias = plan_slice(graph->plan->pool, bias, 0, graph->err);
    graph->pending = (struct pending){.weight = weight,
                                      .bias = bias,
                                      .origin = origin_of(graph, node),
                                      .prefix = onnx_prefix(graph, node, weight, "linear"),
                                      .transposed = !gemm || !onnx_integer(node, "transB", 0)};
    if (!graph->pending.origin || !graph->pending.prefix) return pool_spent(graph->err);
    in.part = graph->plan->n_parts + 1;
    return give_rows(graph, node, &in);
}

/* A bias behind its matrix. */
static enum status add_bias(struct onnx_graph *graph, const struct onnx_node *node)
{
    size_t at = constant(graph, node, 0) ? 1 : 0;
    const struct tensor *bias = constant(graph, node, 1 - at);
    const struct value *found = onnx_input(graph, node, at);
    if (!graph->pending.weight || graph->pending.bias || !bias || !found || found->kind != VALUE_ROWS ||
        found->part != graph->plan->n_parts + 1)
        return onnx_refuse(graph, node,
                           "a sum that is not the bias of a layer; skip connections are not served");
    struct value in = *found;
    while (bias && bias->rank > 1 && bias->shape[0] == 1)
        bias = plan_slice(graph->plan->pool, bias, 0, graph->err);
    if (!bias) return graph->err->status;
    graph->pending.bias = bias;
    enum status status = onnx_flush(graph);
    return status == STATUS_OK ? give_rows(graph, node, &in) : status;
}

static const struct {
    const char *op, *type;
} functions[] = {
    {"Relu", "relu"},         {"Tanh", "tanh"},       {"Sigmoid", "sigmoid"},
    {"Softplus", "softplus"}, {"Softmax", "softmax"}, {"LogSoftmax", "softmax"},
};

static bool is_output(const struct onnx_graph *graph, const struct onnx_node *node)
{
    return node->n_outputs && strcmp(node->outputs[0], graph->file.outputs[0].name) == 0;
}

static enum status add_function(struct onnx_graph *graph, const struct onnx_node *node, const char *type)
{
    struct value in;
    enum status status = onnx_take_rows(graph, node, 0, &in);
    if (status != STATUS_OK) return status;
    bool softmax = strcmp(type, "softmax") == 0;
    int64_t last = (int64_t)strlen(in.axes) - 1,
            axis = onnx_integer(node, "axis", graph->file.opset < 13 ? 1 : -1);
    if (softmax && axis != -1 && axis != last)
        return onnx_refuse(graph, node, "a softmax that is not over the features");
    if (is_output(graph, node) && softmax) graph->plan->end = END_SOFTMAX;
    else if (is_output(graph, node) && strcmp(type, "sigmoid") == 0) graph->plan->end = END_SIGMOID;
    else if (strcmp(node->type, "LogSoftmax") == 0)
        return onnx_refuse(graph, node, "it is not served before other layers");
    else status = plan_plain(graph->plan, type, origin_of(graph, node), graph->err);
    in.part = graph->plan->n_parts;
    return status == STATUS_OK ? give_rows(graph, node, &in) : status;
}

static enum status add_reduction(struct onnx_graph *graph, const struct onnx_node *node, const char *mode)
{
    struct value in;
    size_t axes[TENSOR_MAX_RANK];
    enum status status = onnx_take_rows(graph, node, 0, &in);
    if (status != STATUS_OK) return status;
    size_t n = onnx_axes(graph, node, 1, strlen(in.axes), axes);
    if (n != 1 || in.axes[axes[0]] != 'T')
        return onnx_refuse(graph, node, "it reduces another axis than the steps");
    if (onnx_integer(node, "keepdims", 1)) in.axes[axes[0]] = '1';
    else memmove(in.axes + axes[0], in.axes + axes[0] + 1, strlen(in.axes) - axes[0]);
    status = plan_pooling(graph->plan, mode, origin_of(graph, node), graph->err);
    in.part = graph->plan->n_parts;
    return status == STATUS_OK ? give_rows(graph, node, &in) : status;
}

/* ------------------------------------------------------------------------------------------
 * Axes */

static size_t directions(const struct onnx_graph *graph)
{
    const struct part *part = last_recurrent(graph->plan);
    return part ? part->n_directions : 1;
}

enum status onnx_move_axes(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    const struct onnx_attribute *perm = onnx_attribute(node, "perm");
    size_t n = strlen(v->axes), seen = 0;
    char moved[AXES_BYTES] = "";
    for (size_t i = 0; i < n; i++) {
        int64_t axis = perm && perm->n_integers == n ? perm->integers[i] : (int64_t)(n - 1 - i);
        if (axis < 0 || axis >= (int64_t)n || seen >> axis & 1)
            return onnx_refuse(graph, node, "its perm is no order of axes");
        seen |= (size_t)1 << axis;
        moved[i] = v->axes[axis];
    }
    memcpy(v->axes, moved, sizeof moved);
    return STATUS_OK;
}

static enum status drop_axes(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    size_t axes[TENSOR_MAX_RANK], rank = strlen(v->axes), n = onnx_axes(graph, node, 1, rank, axes);
    size_t wide = v->kind == VALUE_FINAL ? v->n_entries : directions(graph);
    char left[AXES_BYTES] = "";
    for (size_t a = 0; a < rank; a++) {
        bool named = false;
        for (size_t i = 0; n != SIZE_MAX && i < n; i++) named = named || axes[i] == a;
        bool one = v->axes[a] == '1' || (v->axes[a] == 'D' && wide == 1);
        if (n == SIZE_MAX && node->n_inputs < 2) named = one;
        if (named && !one) return onnx_refuse(graph, node, "it drops an axis that has more than one element");
        if (!named) left[strlen(left)] = v->axes[a];
    }
    memcpy(v->axes, left, sizeof left);
    return STATUS_OK;
}

static enum status insert_axes(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    size_t axes[TENSOR_MAX_RANK], rank = strlen(v->axes), n = onnx_axes(graph, node, 1, rank + 1, axes);
    if (n != 1 || rank + 2 > AXES_BYTES)
        return onnx_refuse(graph, node, "it inserts axes in a way that is not read");
    memmove(v->axes + axes[0] + 1, v->axes + axes[0], rank - axes[0] + 1);
    v->axes[axes[0]] = '1';
    return STATUS_OK;
}

static bool is_last(const struct onnx_graph *graph, const struct onnx_node *node)
{
    return node->n_outputs && strcmp(node->outputs[0], graph->file.outputs[0].name) == 0;
}

/* Reshapes that only join or part axes that lie beside each other. */
static enum status reshape(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    int64_t sizes[TENSOR_MAX_RANK];
    size_t rank = strlen(v->axes),
           n = onnx_integers(graph, onnx_input(graph, node, 1), TENSOR_MAX_RANK, sizes);
    const char *joined = strstr(v->axes, "DF");
    bool has_sizes = n != SIZE_MAX;
    size_t width = v->kind == VALUE_ROWS && graph->plan->n_parts ? plan_width(graph->plan) : 0;
    if (joined && (!has_sizes || n + 1 == rank)) { /* both directions become features */
        memmove((char *)joined, joined + 1, strlen(joined));
        return STATUS_OK;
    }
    if (strcmp(v->axes, "NF") == 0 && (!has_sizes || n == 3)) {
        memcpy(v->axes, v->before, sizeof v->axes);
        return STATUS_OK;
    }
    bool keeps_last = has_sizes && n > 0 && width && sizes[n - 1] == (int64_t)width;
    if (rank == 3 && n == 2 && keeps_last && strchr(v->axes, 'T')) { /* every step by itself */
        memcpy(v->before, v->axes, sizeof v->before);
        memcpy(v->axes, "NF", 3);
        return STATUS_OK;
    }
    if (n == rank && (keeps_last || sizes[n - 1] == -1 || sizes[n - 1] == 0) && v->axes[rank - 1] == 'F')
        return STATUS_OK;
    if (has_sizes && n == 2 && rank == 3 && strcmp(v->axes, "B1F") == 0) {
        memcpy(v->axes, "BF", 3);
        return STATUS_OK;
    }
    if (has_sizes && n == 3 && strcmp(v->axes, "BF") == 0 && is_last(graph, node) && sizes[1] > 0 &&
        sizes[2] > 0 && (uint64_t)sizes[1] * (uint64_t)sizes[2] == width) { /* of a forecast */
        graph->plan->split[0] = (size_t)sizes[1], graph->plan->split[1] = (size_t)sizes[2];
        return STATUS_OK;
    }
    return onnx_refuse(graph, node, "it gives the axes another meaning, in a way that is not read");
}

/* One element along an axis: of the steps the last, of states any. -1 or the place. */
static enum status pick(struct onnx_graph *graph, const struct onnx_node *node, struct value *v, size_t axis,
                        int64_t start, int64_t count, bool keep)
{
    char letter = v->axes[axis];
    if (v->kind == VALUE_FINAL && letter == 'D') {
        int64_t n = (int64_t)v->n_entries, first = start < 0 ? start + n : start;
        if (first < 0 || count < 1 || first + count > n)
            return onnx_refuse(graph, node, "it picks a state that is not there");
        memmove(v->entries, v->entries + first, (size_t)count * sizeof *v->entries);
        v->n_entries = (size_t)count;
    } else if (v->kind == VALUE_ROWS && letter == 'D' && count == 1 && !v->half &&
               (start == 0 || start == 1) && directions(graph) == 2) {
        v->half = (size_t)start + 1;
        if (keep) v->axes[axis] = '1';
    } else if (v->kind == VALUE_ROWS && letter == 'T' && count == 1 && v->half) {
        /* The last step of one direction: of the reversed one, that is the first. */
        bool last = v->half == 2 ? start == 0 : start == -1 || (v->window && start == (int64_t)v->window - 1);
        if (!last || v->part != graph->plan->n_parts)
            return onnx_refuse(graph, node, "it picks another step of one direction than its last");
        v->kind = VALUE_FINAL;
        v->entries[0].part = v->part, v->entries[0].direction = v->half - 1;
        v->n_entries = 1;
        v->half = 0;
        if (keep) v->axes[axis] = '1';
    } else if (v->kind == VALUE_ROWS && letter == 'T' && count == 1) {
        bool last = start == -1 || (v->window && start == (int64_t)v->window - 1);
        if (!last || v->part != graph->plan->n_parts || v->is_reversed)
            return onnx_refuse(
                graph, node,
                "it picks another step than the last; a graph that is unrolled over its steps is not read: "
                "import the state_dict, or export by dynamo=False");
        enum status status = pool_last(graph, node, v);
        if (status != STATUS_OK) return status;
        if (keep) v->axes[axis] = '1';
    } else {
        return onnx_refuse(graph, node, "it picks a part of what flows, in a way that is not read");
    }
    if (!keep) memmove(v->axes + axis, v->axes + axis + 1, strlen(v->axes) - axis);
    return STATUS_OK;
}

static enum status pick_index(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    int64_t axis = onnx_integer(node, "axis", 0), index, rank = (int64_t)strlen(v->axes);
    const struct value *indices = onnx_input(graph, node, 1);
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank || onnx_integers(graph, indices, 1, &index) != 1)
        return onnx_refuse(graph, node, "its indices are not one constant");
    return pick(graph, node, v, (size_t)axis, index, 1, indices->tensor->rank > 0);
}

static enum status pick_range(struct onnx_graph *graph, const struct onnx_node *node, struct value *v)
{
    int64_t start, end, axis = 0, step = 1, rank = (int64_t)strlen(v->axes);
    bool good = onnx_integers(graph, onnx_input(graph, node, 1), 1, &start) == 1 &&
                onnx_integers(graph, onnx_input(graph, node, 2), 1, &end) == 1 &&
                (node->n_inputs < 4 || onnx_integers(graph, onnx_input(graph, node, 3), 1, &axis) == 1) &&
                (node->n_inputs < 5 || onnx_integers(graph, onnx_input(graph, node, 4), 1, &step) == 1);
    axis += axis < 0 ? rank : 0;
    if (!good || axis < 0 || axis >= rank || step != 1)
        return onnx_refuse(graph, node, "its range is no constant");
    bool to_end = end > INT32_MAX / 2;
    if (start == 0 && to_end) return STATUS_OK;
    int64_t n = v->kind == VALUE_FINAL && v->axes[axis] == 'D' ? (int64_t)v->n_entries : (int64_t)v->window;
    if (to_end) end = start < 0 ? 0 : n;
    return pick(graph, node, v, (size_t)axis, start, end - start, true);
}

/* Both directions of a layer beside each other, which some exporters part and join again. */
static bool joins_halves(struct onnx_graph *graph, const struct onnx_node *node, struct value *out)
{
    const struct value *a = onnx_input(graph, node, 0), *b = onnx_input(graph, node, 1);
    int64_t rank = a ? (int64_t)strlen(a->axes) : 0, axis = onnx_integer(node, "axis", 0);
    if (node->n_inputs != 2 || !a || !b || a->kind != VALUE_ROWS || b->kind != VALUE_ROWS) return false;
    if (a->half != 1 || b->half != 2 || a->part != b->part || strcmp(a->axes, b->axes)) return false;
    axis += axis < 0 ? rank : 0;
    *out = *a;
    out->half = 0;
    return axis == rank - 1 && a->axes[axis] == 'F';
}

/* States beside each other: layers along their first axis, directions along the features. */
static enum status join(struct onnx_graph *graph, const struct onnx_node *node)
{
    struct value all = {0};
    if (joins_halves(graph, node, &all)) return give_rows(graph, node, &all);
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct value *value = onnx_input(graph, node, i);
        if (!value || value->kind != VALUE_FINAL)
            return onnx_refuse(graph, node,
                               "it joins what are not the states of layers; joined inputs are not served");
        if (i == 0) all = *value, all.n_entries = 0;
        if (strcmp(all.axes, value->axes) || all.n_entries + value->n_entries > MAX_ENTRIES)
            return onnx_refuse(graph, node, "it joins states of different axes");
        memcpy(all.entries + all.n_entries, value->entries, value->n_entries * sizeof *all.entries);
        all.n_entries += value->n_entries;
    }
    int64_t rank = (int64_t)strlen(all.axes), axis = onnx_integer(node, "axis", 0);
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank || (all.axes[axis] != 'D' && all.axes[axis] != 'F') ||
        (all.axes[axis] == 'F' && strchr(all.axes, 'D')))
        return onnx_refuse(graph, node, "it joins states along another axis than layers or features");
    return give_rows(graph, node, &all);
}

/* ------------------------------------------------------------------------------------------ */

/* Nodes that only turn axes, of rows and of states alike. */
static const struct {
    const char *op;
    enum status (*apply)(struct onnx_graph *graph, const struct onnx_node *node, struct value *v);
} turns[] = {
    {"Transpose", onnx_move_axes}, {"Squeeze", drop_axes}, {"Unsqueeze", insert_axes},
    {"Reshape", reshape},     {"Gather", pick_index}, {"Slice", pick_range},
};
static const char *const idle[] = {"Identity", "Dropout", "Cast"};
static const struct {
    const char *op, *mode;
} reductions[] = {{"ReduceMean", "mean"}, {"ReduceMax", "max"}, {"ReduceSum", "sum"}};

static enum status turn(struct onnx_graph *graph, const struct onnx_node *node,
                        enum status (*apply)(struct onnx_graph *graph, const struct onnx_node *node,
                                             struct value *v))
{
    enum status status = onnx_flush(graph);
    const struct value *found = onnx_input(graph, node, 0);
    if (status != STATUS_OK) return status;
    if (!found || (found->kind != VALUE_ROWS && found->kind != VALUE_FINAL))
        return onnx_refuse(graph, node, "it reads what no layer that is served gives");
    struct value v = *found;
    if (apply) status = apply(graph, node, &v);
    return status == STATUS_OK ? give_rows(graph, node, &v) : status;
}

static enum status add_parametric(struct onnx_graph *graph, const struct onnx_node *node)
{
    const struct onnx_attribute *alpha = onnx_attribute(node, "alpha"), *beta = onnx_attribute(node, "beta");
    const struct onnx_attribute *approximate = onnx_attribute(node, "approximate");
    double a = alpha ? alpha->real : 0.2, b = beta ? beta->real : 0.5;
    if (strcmp(node->type, "Gelu") == 0)
        return add_function(
            graph, node,
            approximate && approximate->text && !strcmp(approximate->text, "tanh") ? "gelu_tanh" : "gelu");
    if (strcmp(node->type, "Elu") == 0 && (!alpha || fabs(alpha->real - 1) < 1e-9))
        return add_function(graph, node, "elu");
    if (strcmp(node->type, "HardSigmoid") == 0 && fabs(b - 0.5) < 1e-6) {
        if (fabs(a - 0.2) < 1e-6) return add_function(graph, node, "hard_sigmoid_keras2");
        if (fabs(a - 1.0 / 6) < 1e-6) return add_function(graph, node, "hard_sigmoid");
    }
    return onnx_refuse(graph, node,
                       "this operator is not served; a chain of Gather, LSTM, GRU, RNN, Gemm, MatMul and "
                       "pooling is");
}

enum status onnx_rows(struct onnx_graph *graph, const struct onnx_node *node)
{
    const char *type = node->type;
    if (strcmp(type, "Gather") == 0 && constant(graph, node, 0)) return look_up(graph, node);
    if (strcmp(type, "MatMul") == 0 || strcmp(type, "Gemm") == 0)
        return add_matrix(graph, node, *type == 'G');
    if (strcmp(type, "Add") == 0) return add_bias(graph, node);
    if (strcmp(type, "Concat") == 0) return join(graph, node);
    if (strcmp(type, "Flatten") == 0) {
        const struct value *v = onnx_input(graph, node, 0);
        if (v && strlen(v->axes) == 2) return turn(graph, node, NULL);
    }
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        if (strcmp(type, turns[i].op) == 0) return turn(graph, node, turns[i].apply);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (strcmp(type, idle[i]) == 0) return turn(graph, node, NULL);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(type, functions[i].op) == 0) return add_function(graph, node, functions[i].type);
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        if (strcmp(type, reductions[i].op) == 0) return add_reduction(graph, node, reductions[i].mode);
    return add_parametric(graph, node);
}
