/* Nodes that depend on no input: what exporters leave to the runtime, such as the reordering of gates in a
 * model that was exported in training mode. Most are other views of the same bytes. */
#include <string.h>

#include "models/readers/onnx_graph.h"

enum { MAX_FOLDED = 1 << 26 };

size_t onnx_integers(struct onnx_graph *graph, const struct value *value, size_t most, int64_t *out)
{
    double *values;
    struct error err;
    if (!value || value->kind != VALUE_CONSTANT || value->tensor->n_values > most) return SIZE_MAX;
    if (tensor_doubles(value->tensor, graph->plan->pool, &values, &err) != STATUS_OK) return SIZE_MAX;
    for (size_t i = 0; i < value->tensor->n_values; i++) {
        double x = values[i];
        out[i] = x > 4e18 ? INT64_MAX : x < -4e18 ? INT64_MIN : (int64_t)x;
    }
    return value->tensor->n_values;
}

size_t onnx_axes(struct onnx_graph *graph, const struct onnx_node *node, size_t input, size_t rank,
                 size_t *out)
{
    const struct onnx_attribute *attribute = onnx_attribute(node, "axes");
    int64_t axes[TENSOR_MAX_RANK];
    size_t n = SIZE_MAX;
    if (attribute && attribute->n_integers <= TENSOR_MAX_RANK) {
        n = attribute->n_integers;
        for (size_t i = 0; i < n; i++) axes[i] = attribute->integers[i];
    } else if (!attribute) {
        n = onnx_integers(graph, onnx_input(graph, node, input), TENSOR_MAX_RANK, axes);
    }
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + (int64_t)rank : axes[i];
        if (axis < 0 || axis >= (int64_t)rank) return SIZE_MAX;
        out[i] = (size_t)axis;
    }
    return n;
}

/* A tensor in the pool that is another view of `from`. */
static struct tensor *view_of(struct onnx_graph *graph, const struct tensor *from)
{
    struct tensor *view = pool_small(graph->plan->pool, sizeof *view);
    if (view) *view = *from;
    return view;
}

static void remove_axis(struct tensor *t, size_t axis)
{
    t->rank--;
    memmove(t->shape + axis, t->shape + axis + 1, (t->rank - axis) * sizeof *t->shape);
    memmove(t->strides + axis, t->strides + axis + 1, (t->rank - axis) * sizeof *t->strides);
}

static bool squeeze(struct onnx_graph *graph, const struct onnx_node *node, struct tensor *t)
{
    size_t axes[TENSOR_MAX_RANK], n = onnx_axes(graph, node, 1, t->rank, axes);
    bool all = node->n_inputs < 2 && !onnx_attribute(node, "axes");
    for (size_t axis = t->rank; axis-- > 0;) {
        bool named = all && t->shape[axis] == 1;
        for (size_t i = 0; !all && n != SIZE_MAX && i < n; i++) named = named || axes[i] == axis;
        if (named && t->shape[axis] != 1) return false;
        if (named) remove_axis(t, axis);
    }
    return all || n != SIZE_MAX;
}

static bool unsqueeze(struct onnx_graph *graph, const struct onnx_node *node, struct tensor *t)
{
    size_t axes[TENSOR_MAX_RANK], n = SIZE_MAX, rank = t->rank;
    for (size_t more = 1; more <= TENSOR_MAX_RANK - rank && n == SIZE_MAX; more++) {
        n = onnx_axes(graph, node, 1, rank + more, axes);
        if (n != more) n = SIZE_MAX;
    }
    if (n == SIZE_MAX) return false;
    for (size_t axis = 0; axis < rank + n; axis++)
        for (size_t i = 0; i < n; i++) {
            if (axes[i] != axis || axis > t->rank) continue;
            memmove(t->shape + axis + 1, t->shape + axis, (t->rank - axis) * sizeof *t->shape);
            memmove(t->strides + axis + 1, t->strides + axis, (t->rank - axis) * sizeof *t->strides);
            t->shape[axis] = 1, t->strides[axis] = 0;
            t->rank++;
        }
    return t->rank == rank + n;
}

static bool transpose(const struct onnx_node *node, const struct tensor *from, struct tensor *t)
{
    const struct onnx_attribute *perm = onnx_attribute(node, "perm");
    size_t seen = 0;
    if (perm && perm->n_integers != t->rank) return false;
    for (size_t i = 0; i < t->rank; i++) {
        int64_t axis = perm ? perm->integers[i] : (int64_t)(t->rank - 1 - i);
        if (axis < 0 || axis >= (int64_t)t->rank || seen >> axis & 1) return false;
        seen |= (size_t)1 << axis;
        t->shape[i] = from->shape[axis];
        t->strides[i] = from->strides[axis];
    }
    return true;
}

static bool slice(struct onnx_graph *graph, const struct onnx_node *node, struct tensor *t)
{
    int64_t starts[TENSOR_MAX_RANK], ends[TENSOR_MAX_RANK], axes[TENSOR_MAX_RANK], steps[TENSOR_MAX_RANK];
    size_t n = onnx_integers(graph, onnx_input(graph, node, 1), TENSOR_MAX_RANK, starts);
    size_t m = onnx_integers(graph, onnx_input(graph, node, 2), TENSOR_MAX_RANK, ends);
    size_t a = onnx_integers(graph, onnx_input(graph, node, 3), TENSOR_MAX_RANK, axes);
    size_t s = onnx_integers(graph, onnx_input(graph, node, 4), TENSOR_MAX_RANK, steps);
    if (n == SIZE_MAX || n != m || (node->n_inputs > 3 && a != n)) return false;
    for (size_t i = 0; i < n; i++) {
        int64_t axis = node->n_inputs > 3 ? axes[i] : (int64_t)i;
        axis += axis < 0 ? (int64_t)t->rank : 0;
        if (axis < 0 || axis >= (int64_t)t->rank || (node->n_inputs > 4 && (s != n || steps[i] != 1)))
            return false;
        int64_t size = (int64_t)t->shape[axis], start = starts[i] < 0 ? starts[i] + size : starts[i];
        int64_t end = ends[i] < 0 ? ends[i] + size : ends[i];
        start = start < 0 ? 0 : start > size ? size : start;
        end = end < start ? start : end > size ? size : end;
        if (end > start) t->data += (size_t)start * t->strides[axis] * number_bytes(t->type);
        t->shape[axis] = (size_t)(end - start);
    }
    t->n_values = 1;
    for (size_t i = 0; i < t->rank; i++) t->n_values *= t->shape[i];
    return true;
}

/* The values in C's order, as a new tensor. */
static bool make_dense(struct onnx_graph *graph, const struct tensor *from, struct tensor *out)
{
    size_t size = number_bytes(from->type), index[TENSOR_MAX_RANK] = {0}, place = 0;
    if (from->n_values > MAX_FOLDED) return false;
    uint8_t *bytes = pool_take(graph->plan->pool, from->n_values + 1, size);
    if (!bytes) return false;
    for (size_t i = 0; i < from->n_values; i++) {
        memcpy(bytes + i * size, from->data + place * size, size);
        for (size_t axis = from->rank; axis-- > 0;) {
            place += from->strides[axis];
            if (++index[axis] < from->shape[axis]) break;
            place -= from->strides[axis] * from->shape[axis];
            index[axis] = 0;
        }
    }
    struct error err;
    *out = *from;
    tensor_set_dense(out);
    return tensor_make(out, bytes, from->n_values * size, 0, &err) == STATUS_OK;
}

static bool reshape(struct onnx_graph *graph, const struct onnx_node *node, const struct tensor *from,
                    struct tensor *t)
{
    int64_t sizes[TENSOR_MAX_RANK];
    size_t n = onnx_integers(graph, onnx_input(graph, node, 1), TENSOR_MAX_RANK, sizes), known = 1,
           open = SIZE_MAX;
    if (n == SIZE_MAX || !make_dense(graph, from, t)) return false;
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] == 0 && i < from->rank) sizes[i] = (int64_t)from->shape[i];
        if (sizes[i] < 0) open = i;
        else if (sizes[i] > TENSOR_MAX_VALUES || known > TENSOR_MAX_VALUES) return false;
        else known *= (size_t)sizes[i];
    }
    if (open != SIZE_MAX && known)
        sizes[open] = (int64_t)(from->n_values / known), known *= (size_t)sizes[open];
    if (known != from->n_values) return false;
    t->rank = n;
    for (size_t i = 0; i < n; i++) t->shape[i] = (size_t)sizes[i];
    tensor_set_dense(t);
    return true;
}

static bool gather(struct onnx_graph *graph, const struct onnx_node *node, struct tensor *t)
{
    int64_t index, axis = onnx_integer(node, "axis", 0);
    const struct value *indices = onnx_input(graph, node, 1);
    axis += axis < 0 ? (int64_t)t->rank : 0;
    if (axis < 0 || axis >= (int64_t)t->rank || onnx_integers(graph, indices, 1, &index) != 1) return false;
    index += index < 0 ? (int64_t)t->shape[axis] : 0;
    if (index < 0 || index >= (int64_t)t->shape[axis]) return false;
    t->data += (size_t)index * t->strides[axis] * number_bytes(t->type);
    t->n_values /= t->shape[axis];
    if (indices->tensor->rank == 0) remove_axis(t, (size_t)axis);
    else t->shape[axis] = 1;
    return true;
}

/* Tensors side by side along an axis. */
static bool concatenate(struct onnx_graph *graph, const struct onnx_node *node, struct tensor *t)
{
    int64_t axis = onnx_integer(node, "axis", 0);
    size_t total = 0, before = 1, after = 1;
    axis += axis < 0 ? (int64_t)t->rank : 0;
    if (axis < 0 || axis >= (int64_t)t->rank) return false;
    struct tensor parts[ONNX_MAX_NAMES];
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct value *value = onnx_input(graph, node, i);
        if (!value || value->tensor->type != t->type || value->tensor->rank != t->rank) return false;
        for (size_t a = 0; a < t->rank; a++)
            if (a != (size_t)axis && value->tensor->shape[a] != t->shape[a]) return false;
        if (!make_dense(graph, value->tensor, &parts[i])) return false;
        total += parts[i].shape[axis];
    }
    for (size_t a = 0; a < t->rank; a++)
        *(a < (size_t)axis ? &before : &after) *= a == (size_t)axis ? 1 : t->shape[a];
    size_t size = number_bytes(t->type), row = after * size;
    if (total > MAX_FOLDED || before * total > MAX_FOLDED || before * total * after > MAX_FOLDED)
        return false;
    uint8_t *bytes = pool_take(graph->plan->pool, before * total * after + 1, size), *at = bytes;
    if (!bytes) return false;
    for (size_t b = 0; b < before; b++)
        for (size_t i = 0; i < node->n_inputs; i++) {
            size_t n = parts[i].shape[axis] * row;
            memcpy(at, parts[i].data + b * n, n);
            at += n;
        }
    struct error err;
    t->shape[axis] = total;
    tensor_set_dense(t);
    return tensor_make(t, bytes, before * total * row, 0, &err) == STATUS_OK;
}

enum status onnx_fold(struct onnx_graph *graph, const struct onnx_node *node, bool *done)
{
    const struct onnx_attribute *given = onnx_attribute(node, "value");
    const struct value *first = onnx_input(graph, node, 0);
    const struct tensor *from = first                                          ? first->tensor
                                : strcmp(node->type, "Constant") == 0 && given ? given->tensor
                                                                               : NULL;
    bool folded = false;
    *done = false;
    if (!from) {
        if (node->n_inputs == 0) return onnx_refuse(graph, node, "a constant of a kind that is not read");
        return STATUS_OK;
    }
    struct tensor *t = view_of(graph, from);
    if (!t) return pool_spent(graph->err);
    const char *type = node->type;
    if (!strcmp(type, "Constant") || !strcmp(type, "Identity")) folded = true;
    else if (!strcmp(type, "Cast")) folded = true; /* values are read as doubles in any case */
    else if (!strcmp(type, "Squeeze")) folded = squeeze(graph, node, t);
    else if (!strcmp(type, "Unsqueeze")) folded = unsqueeze(graph, node, t);
    else if (!strcmp(type, "Transpose")) folded = transpose(node, from, t);
    else if (!strcmp(type, "Slice") && node->n_inputs > 2) folded = slice(graph, node, t);
    else if (!strcmp(type, "Reshape")) folded = reshape(graph, node, from, t);
    else if (!strcmp(type, "Gather")) folded = gather(graph, node, t);
    else if (!strcmp(type, "Concat")) folded = concatenate(graph, node, t);
    else if (!strcmp(type, "DequantizeLinear")) {
        const struct tensor *whole = onnx_dequantised_constant(graph, node);
        if (!whole) return graph->err->status;
        *t = *whole, folded = true;
    } else return STATUS_OK;
    if (!folded) return onnx_refuse(graph, node, "it computes a constant in a way that is not read");
    struct value *value = onnx_result(graph, node, 0, VALUE_CONSTANT);
    if (!value) return graph->err->status;
    value->tensor = t;
    *done = true;
    return STATUS_OK;
}
