/* Models that onnxruntime.quantization.quantize_dynamic wrote: weights in eight bits, which are multiplied
 * out, w = (q - zero) * scale, once and for all. What the runtime does to the activations, to round them to
 * eight bits before each product, is left out: the results differ by that rounding, and are the nearer ones.
 *
 * A product is five nodes: DynamicQuantizeLinear of the rows, MatMulInteger with the weights, Cast, and two
 * Mul by the scales of the rows and of the weights. An embedding is two: Gather of bytes, and
 * DequantizeLinear. An LSTM is one: DynamicQuantizeLSTM. */
#include <string.h>

#include "models/readers/onnx_graph.h"

/* Values of the weights, in float32, for scales (and zeros) of one element, one an index of `axis`, or, of
 * rank 2, one an index of the first and the last axis. `zero` may be NULL. NULL with the error set. */
static const struct tensor *dequantise(struct onnx_graph *graph, const struct onnx_node *node,
                                       const struct tensor *q, const struct tensor *scale,
                                       const struct tensor *zero, size_t axis)
{
    struct pool *pool = graph->plan->pool;
    double *values, *scales, *zeros = NULL;
    size_t last = q->rank - 1;
    bool eight = q->type == NUMBER_I8 || q->type == NUMBER_U8;
    bool fits = scale->n_values == 1 ||
                (scale->rank == 1 && axis < q->rank && scale->n_values == q->shape[axis]) ||
                (scale->rank == 2 && q->rank == 3 && scale->shape[0] == q->shape[0] &&
                 scale->shape[1] == q->shape[last]);
    fits = fits && (!zero || zero->n_values == 1 || zero->n_values == scale->n_values);
    if (q->rank == 0 || !eight || !fits) {
        (void)!onnx_refuse(graph, node, "its weights are quantised in a way that is not read; expected eight "
                                        "bits, and scales of the whole, or of each column");
        return NULL;
    }
    if (tensor_doubles(q, pool, &values, graph->err) != STATUS_OK ||
        tensor_doubles(scale, pool, &scales, graph->err) != STATUS_OK ||
        (zero && tensor_doubles(zero, pool, &zeros, graph->err) != STATUS_OK))
        return NULL;
    struct tensor *t = pool_small(pool, sizeof *t);
    float *floats = pool_take(pool, q->n_values, sizeof *floats);
    if (!t || !floats) {
        (void)!pool_spent(graph->err);
        return NULL;
    }
    size_t after = 1;
    for (size_t a = axis + 1; a < q->rank; a++) after *= q->shape[a];
    for (size_t i = 0; i < q->n_values; i++) {
        size_t at = 0;
        if (scale->n_values > 1 && scale->rank == 2)
            at = i / (q->n_values / q->shape[0]) * q->shape[last] + i % q->shape[last];
        else if (scale->n_values > 1) at = i / after % q->shape[axis];
        double z = !zeros ? 0 : zeros[zero->n_values == 1 ? 0 : at];
        floats[i] = (float)((values[i] - z) * scales[at]);
    }
    *t = *q;
    t->type = NUMBER_F32;
    tensor_set_dense(t);
    report_fact(graph->plan->report, "dequantised", tensor_text(q, pool), number_name(q->type));
    return tensor_make(t, (const uint8_t *)floats, t->n_values * sizeof *floats, 0, graph->err) == STATUS_OK
               ? t
               : NULL;
}

static const struct tensor *constant(struct onnx_graph *graph, const struct onnx_node *node, size_t i)
{
    const struct value *value = onnx_input(graph, node, i);
    return value && value->kind == VALUE_CONSTANT ? value->tensor : NULL;
}

const struct tensor *onnx_dequantised(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                                      size_t scale, size_t axis)
{
    const struct tensor *q = constant(graph, node, i), *scales = constant(graph, node, scale);
    const struct tensor *zeros = constant(graph, node, scale + 1);
    bool has_zero = node->n_inputs > scale + 1 && *node->inputs[scale + 1];
    if (q && scales && (zeros || !has_zero)) return dequantise(graph, node, q, scales, zeros, axis);
    (void)!onnx_refuse(graph, node, "its weights or their scales are no constants");
    return NULL;
}

const struct tensor *onnx_dequantised_gates(struct onnx_graph *graph, const struct onnx_node *node, size_t i,
                                            size_t scale)
{
    const struct tensor *t = onnx_dequantised(graph, node, i, scale, 0);
    if (!t || t->rank != 3) return t;
    struct tensor *turned = pool_small(graph->plan->pool, sizeof *turned);
    if (!turned) {
        (void)!pool_spent(graph->err);
        return NULL;
    }
    *turned = *t;
    turned->shape[1] = t->shape[2], turned->shape[2] = t->shape[1];
    turned->strides[1] = t->strides[2], turned->strides[2] = t->strides[1];
    return turned;
}

/* ------------------------------------------------------------------------------------------
 * The nodes of a product */

static enum status give(struct onnx_graph *graph, const struct onnx_node *node, size_t output,
                        enum value_kind kind, const struct value *like)
{
    struct value *out = onnx_result(graph, node, output, kind);
    if (!out) return graph->err->status;
    const char *name = out->name;
    *out = *like;
    out->name = name;
    out->kind = kind;
    return STATUS_OK;
}

/* DynamicQuantizeLinear: rows in eight bits, their scale and their zero. */
static enum status quantise_rows(struct onnx_graph *graph, const struct onnx_node *node)
{
    struct value rows;
    enum status status = onnx_take_rows(graph, node, 0, &rows);
    rows.quantised_by = node;
    for (size_t i = 0; i < 3 && status == STATUS_OK; i++)
        status = give(graph, node, i, i ? VALUE_SCALE : VALUE_QUANTISED, &rows);
    return status;
}

static enum status multiply_integers(struct onnx_graph *graph, const struct onnx_node *node)
{
    const struct value *found = onnx_input(graph, node, 0), *zero = onnx_input(graph, node, 2);
    bool has_zero = node->n_inputs > 3 && *node->inputs[3];
    if (!found || found->kind != VALUE_QUANTISED || found->weight || !zero || zero->kind != VALUE_SCALE ||
        zero->quantised_by != found->quantised_by || !constant(graph, node, 1) ||
        (has_zero && !constant(graph, node, 3)))
        return onnx_refuse(graph, node, "it multiplies what are not quantised rows by a constant matrix");
    struct value product = *found;
    product.weight = constant(graph, node, 1);
    product.zero = has_zero ? constant(graph, node, 3) : NULL;
    return give(graph, node, 0, VALUE_QUANTISED, &product);
}

/* The last node of a product: the matrix waits for its bias. */
static enum status scale_product(struct onnx_graph *graph, const struct onnx_node *node,
                                 const struct value *product, const struct value *scale)
{
    struct value rows = *product;
    size_t n = strlen(rows.axes);
    if (!product->weight || !scale->tensor || product->quantised_by != scale->quantised_by ||
        product->weight->rank != 2 || rows.part != graph->plan->n_parts || rows.is_ids || n == 0 ||
        rows.axes[n - 1] != 'F')
        return onnx_refuse(graph, node, "it scales what is not the product of quantised rows and a matrix");
    const struct tensor *weight = dequantise(graph, node, product->weight, scale->tensor, product->zero, 1);
    if (!weight) return graph->err->status;
    graph->pending = (struct pending){.weight = weight,
                                      .origin = pool_print(graph->plan->pool, "ONNX' MatMulInteger %.80s",
                                                           product->weight->name),
                                      .prefix = onnx_prefix(graph, node, weight, "linear"),
                                      .transposed = true};
    if (!graph->pending.origin || !graph->pending.prefix) return pool_spent(graph->err);
    rows.part = graph->plan->n_parts + 1;
    rows.quantised_by = NULL, rows.weight = rows.zero = NULL;
    return give(graph, node, 0, VALUE_ROWS, &rows);
}

/* Mul: of two scales, of which one is the weights'; or of a product and its scale. */
static enum status multiply_scales(struct onnx_graph *graph, const struct onnx_node *node)
{
    const struct value *a = onnx_input(graph, node, 0), *b = onnx_input(graph, node, 1);
    if (a && b && a->kind != VALUE_SCALE) {
        const struct value *swap = a;
        a = b, b = swap;
    }
    if (!a || !b || a->kind != VALUE_SCALE || (b->kind == VALUE_CONSTANT && a->tensor))
        return onnx_refuse(graph, node, "it multiplies quantised rows in a way that is not read");
    if (b->kind == VALUE_QUANTISED) return scale_product(graph, node, b, a);
    if (b->kind != VALUE_CONSTANT)
        return onnx_refuse(graph, node, "it multiplies quantised rows in a way that is not read");
    struct value scale = *a;
    scale.tensor = b->tensor;
    return give(graph, node, 0, VALUE_SCALE, &scale);
}

/* ------------------------------------------------------------------------------------------
 * An embedding */

static enum status look_up(struct onnx_graph *graph, const struct onnx_node *node)
{
    struct value ids;
    enum status status = onnx_take_rows(graph, node, 1, &ids);
    if (status != STATUS_OK) return status;
    if (!ids.is_ids || strcmp(ids.axes, "BT") || graph->plan->n_parts || onnx_integer(node, "axis", 0))
        return onnx_refuse(graph, node, "it looks up what are not the ids of the input");
    ids.weight = constant(graph, node, 0);
    ids.is_ids = false;
    memcpy(ids.axes, "BTF", 4);
    return give(graph, node, 0, VALUE_QUANTISED, &ids);
}

/* The axes of bytes may be turned before they are scaled. */
static enum status turn_bytes(struct onnx_graph *graph, const struct onnx_node *node,
                              const struct value *found)
{
    struct value turned = *found;
    enum status status = onnx_move_axes(graph, node, &turned);
    return status == STATUS_OK ? give(graph, node, 0, VALUE_QUANTISED, &turned) : status;
}

/* Exporters scale the same rows twice if two nodes read them; the table is added once. */
static enum status add_table(struct onnx_graph *graph, const struct onnx_node *node,
                             const struct value *found)
{
    struct value rows = *found, ids = *found;
    const struct tensor *scale = constant(graph, node, 1), *zero = constant(graph, node, 2);
    bool is_there = graph->plan->n_parts == 1 && graph->bytes == found->weight;
    if (found->quantised_by || !found->weight || !scale || scale->n_values != 1 ||
        (graph->plan->n_parts && !is_there))
        return onnx_refuse(graph, node, "it scales what is not a row of a quantised embedding");
    if (!is_there) {
        const struct tensor *table = dequantise(graph, node, found->weight, scale, zero, 0);
        if (!table) return graph->err->status;
        enum status status = onnx_add_table(graph, node, table, &ids);
        if (status != STATUS_OK) return status;
        graph->bytes = found->weight;
    }
    rows.part = graph->plan->n_parts;
    rows.weight = NULL;
    return give(graph, node, 0, VALUE_ROWS, &rows);
}

/* ------------------------------------------------------------------------------------------ */

enum status onnx_quantised(struct onnx_graph *graph, const struct onnx_node *node, bool *done)
{
    const struct value *first = onnx_input(graph, node, 0), *second = onnx_input(graph, node, 1);
    bool quantised = (first && (first->kind == VALUE_QUANTISED || first->kind == VALUE_SCALE)) ||
                     (second && (second->kind == VALUE_QUANTISED || second->kind == VALUE_SCALE));
    const struct tensor *table = constant(graph, node, 0);
    *done = true;
    if (!strcmp(node->type, "DynamicQuantizeLinear")) return quantise_rows(graph, node);
    if (!strcmp(node->type, "MatMulInteger")) return multiply_integers(graph, node);
    if (!strcmp(node->type, "Gather") && table && (table->type == NUMBER_I8 || table->type == NUMBER_U8))
        return look_up(graph, node);
    if (quantised && !strcmp(node->type, "Mul")) return multiply_scales(graph, node);
    if (first && first->kind == VALUE_QUANTISED && !first->quantised_by && !strcmp(node->type, "Transpose"))
        return turn_bytes(graph, node, first);
    if (quantised && !strcmp(node->type, "DequantizeLinear") && first && first->kind == VALUE_QUANTISED)
        return add_table(graph, node, first);
    if (quantised && !strcmp(node->type, "Cast")) return give(graph, node, 0, first->kind, first);
    if (quantised) return onnx_refuse(graph, node, "it reads quantised rows in a way that is not read");
    *done = false;
    return STATUS_OK;
}

const struct tensor *onnx_dequantised_constant(struct onnx_graph *graph, const struct onnx_node *node)
{
    const struct tensor *q = constant(graph, node, 0);
    int64_t axis = onnx_integer(node, "axis", 1);
    if (q && axis < 0) axis += (int64_t)q->rank;
    return onnx_dequantised(graph, node, 0, 1, axis < 0 ? 0 : (size_t)axis);
}
