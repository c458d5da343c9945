/* Keras' embedding reads ids from the end if they are negative: Less, Not, Cast, Mul and Add before the
 * Gather. No id that is served is negative, so this leaves ids as they are. */
#include <string.h>

#include "models/readers/onnx_graph.h"

static bool is_ids(const struct value *value)
{
    return value && value->kind == VALUE_ROWS && value->is_ids;
}

static bool is_truth(const struct value *value, bool truth)
{
    return value && value->kind == VALUE_TRUTH && value->is_true == truth;
}

static enum status give(struct onnx_graph *graph, const struct onnx_node *node, enum value_kind kind,
                        const struct value *like, bool is_true)
{
    struct value *out = onnx_result(graph, node, 0, kind);
    if (!out) return graph->err->status;
    const char *name = out->name;
    if (like) *out = *like;
    out->name = name;
    out->kind = kind;
    out->is_true = is_true;
    return STATUS_OK;
}

enum status onnx_ids(struct onnx_graph *graph, const struct onnx_node *node, bool *done)
{
    const struct value *a = onnx_input(graph, node, 0), *b = onnx_input(graph, node, 1);
    int64_t number;
    *done = true;
    if (!strcmp(node->type, "Less") && is_ids(a) && onnx_integers(graph, b, 1, &number) == 1 && number == 0)
        return give(graph, node, VALUE_TRUTH, NULL, false);
    if (!strcmp(node->type, "Not") && a && a->kind == VALUE_TRUTH)
        return give(graph, node, VALUE_TRUTH, NULL, !a->is_true);
    if (!strcmp(node->type, "Cast") && a && a->kind == VALUE_TRUTH)
        return give(graph, node, VALUE_TRUTH, NULL, a->is_true);
    for (size_t turn = 0; turn < 2; turn++) {
        const struct value *x = turn ? b : a, *y = turn ? a : b;
        if (!strcmp(node->type, "Mul") && is_truth(x, false))
            return give(graph, node, VALUE_TRUTH, NULL, false);
        if (!strcmp(node->type, "Mul") && is_truth(x, true) && is_ids(y))
            return give(graph, node, VALUE_ROWS, y, false);
        if (!strcmp(node->type, "Add") && is_truth(x, false) && is_ids(y))
            return give(graph, node, VALUE_ROWS, y, false);
        if (!strcmp(node->type, "Add") && is_ids(x) && y && y->kind == VALUE_CONSTANT)
            return give(graph, node, VALUE_NOTHING, NULL, false);
    }
    if (!strcmp(node->type, "Where") && is_truth(a, false) && is_ids(onnx_input(graph, node, 2)))
        return give(graph, node, VALUE_ROWS, onnx_input(graph, node, 2), false);
    *done = false;
    return STATUS_OK;
}
