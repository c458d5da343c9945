/* Loading a recurrent layer: tensors into blocks, biases added, and the table of a token network.
 *
 * The table. If embedding or one_hot comes before, W x + b has as many values as there are
 * tokens. That layer and the product make them all at load, the layer is dropped, and a turn only
 * gathers rows. Bits are those of the float32 product.
 *
 * int8 and bfloat16. If the activation is tanh, h lies in [-1,1] by construction, so codes stand for it,
 * in U and in W of the layer above. With a projection h is a sum of H products, and with relu it grows; what
 * reads it stays float16, while P itself, which reads o * tanh(c), is coded. The same goes for W of the first
 * layer, unless the layer before is bounded, or is a norm and the network bfloat16. */
#include "core/recurrent/recurrent.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"

enum {
    TABLE_ROWS = 64, /* tokens taken at a time while the table is made */
    /* Bytes of a table beyond which W stays a matrix, unless the table is the smaller of the two.
     * It costs memory and, at load, V * GH * I products (4M table entries of 256 inputs: about
     * 20 ms); it saves a turn I/O of the time of U h. */
    TABLE_MAX_BYTES = 16 << 20
};

void recurrent_free(struct layer *layer)
{
    struct recurrent *net = (struct recurrent *)layer;
    if (!net) return;
    for (size_t i = 0; net->cells && i < net->n_layers * net->n_directions; i++) {
        matrix_free(net->cells[i].W);
        matrix_free(net->cells[i].U);
        matrix_free(net->cells[i].N);
        matrix_free(net->cells[i].P);
        memory_free(net->cells[i].table);
        memory_free(net->cells[i].bias);
        memory_free(net->cells[i].peephole);
        memory_free(net->cells[i].initial);
    }
    memory_free(net->cells);
    memory_free(net);
}

/* What every step of building a cell needs. */
struct builder {
    struct recurrent *net;
    const struct layer_spec *spec;
    const struct layer_context *context;
    const struct cell_options *options;
    bool h_bounded; /* what the layer gives lies in [-1,1] */
    bool u_bounded; /* and what U reads */
    size_t k, d; /* layer, direction */
    struct error *err;
};

enum { NAME_BYTES = 48 };

/* "weight_ih" -> "weight_ih_l0_reverse". */
static const char *tensor_name(const struct builder *b, const char *stem, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s_l%zu%s", stem, b->k, b->d ? "_reverse" : "");
    return name;
}

static enum status take(const struct builder *b, const char *stem, size_t rows, size_t columns,
                        float **out)
{
    char name[NAME_BYTES];
    return layer_take(b->spec, b->context, tensor_name(b, stem, name), rows, columns, out, b->err);
}

static enum status no_memory(const struct builder *b, size_t n)
{
    return error_set(b->err, STATUS_NO_MEMORY, "%s '%s': no memory for %zu weights",
                     b->spec->type->name, b->spec->prefix, n);
}

/* Where row n of the matrix lies in the tensor: the blocks of the matrix have the gates below each other. */
static size_t gate_row(const void *context, size_t n)
{
    const struct recurrent *net = context;
    size_t block_rows = net->kind->block_units * net->kind->n_gates, block = n / block_rows;
    size_t units = recurrent_units(net->kind, net->H, block), row = n % block_rows;
    return row / units * net->H + block * net->kind->block_units + row % units;
}

/* Pack the gates' rows [GH,K] with b (or NULL). */
static enum status take_gate_matrix(const struct builder *b, const char *stem, const float *bias,
                                    size_t K, enum precision precision, struct matrix **out)
{
    char name[NAME_BYTES];
    size_t N = b->net->kind->n_gates * b->net->H;
    struct layer_rows rows = {.tensor_rows = N, .n = N, .place = gate_row, .context = b->net};
    return layer_matrix_of(b->spec, b->context, tensor_name(b, stem, name), &rows, bias, K, precision, out,
                           b->err);
}

/* Pack the projection [O,H], whose inputs lie in [-1,1] unless the activation says otherwise. */
static enum status take_projection(const struct builder *b, struct matrix **out)
{
    char name[NAME_BYTES];
    size_t O = b->net->O, H = b->net->H;
    bool bounded = activation_is_bounded(b->options->squash, false);
    struct layer_rows rows = {.tensor_rows = O, .n = O};
    return layer_matrix_of(b->spec, b->context, tensor_name(b, "weight_hr", name), &rows, NULL, H,
                           layer_precision(b->context->precision, bounded, H), out, b->err);
}

/* U of a gru that resets first: [2H,H] of r and z, and [H,H] of n, as PyTorch keeps them. */
static enum status take_original(const struct builder *b, struct cell *cell)
{
    char name[NAME_BYTES];
    size_t H = b->net->H;
    enum precision precision = layer_precision(b->context->precision, b->u_bounded, H);
    struct layer_rows first = {.tensor_rows = 3 * H, .n = 2 * H};
    struct layer_rows last = {.tensor_rows = 3 * H, .first = 2 * H, .n = H};
    tensor_name(b, "weight_hh", name);
    enum status status = layer_matrix_of(b->spec, b->context, name, &first, NULL, H, precision, &cell->U,
                                         b->err);
    if (status != STATUS_OK) return status;
    return layer_matrix_of(b->spec, b->context, name, &last, NULL, H, precision, &cell->N, b->err);
}

/* Take a bias [GH] block by block, as the matrices have their rows. *out is NULL if a network is planned. */
static enum status take_bias(const struct builder *b, const char *stem, float **out)
{
    size_t N = b->net->kind->n_gates * b->net->H;
    float *values;
    *out = NULL;
    enum status status = take(b, stem, N, 0, &values);
    if (status != STATUS_OK || !values) return status;
    *out = memory_new(N, sizeof **out);
    for (size_t n = 0; *out && n < N; n++) (*out)[n] = values[gate_row(b->net, n)];
    memory_free(values);
    return *out ? STATUS_OK : no_memory(b, N);
}

/* bias_ih and bias_hh, or NULL if the layer has none or is only planned. If one sum holds both they are
 * added, and *hh is NULL. */
static enum status take_biases(const struct builder *b, float **ih, float **hh)
{
    size_t n = b->net->kind->n_gates * b->net->H;
    *ih = *hh = NULL;
    if (!b->spec->values[HAS_BIAS]) return STATUS_OK;
    enum status status = take_bias(b, "bias_ih", ih);
    if (status == STATUS_OK) status = take_bias(b, "bias_hh", hh);
    if (status == STATUS_OK && b->net->kind->is_separate && !b->net->kind->reset) return status;
    for (size_t i = 0; *ih && *hh && i < n; i++) (*ih)[i] += (*hh)[i];
    memory_free(*hh);
    *hh = NULL;
    return status;
}

/* What an lstm may have beside its matrices, and what h and c begin with. */
static enum status take_extras(const struct builder *b, struct cell *cell)
{
    const struct recurrent *net = b->net;
    size_t H = net->H, O = net->O, c = net->kind->has_c ? H : 0;
    float *h0 = NULL, *c0 = NULL;
    enum status status = STATUS_OK;
    if (b->options->has_peepholes) {
        status = take(b, "weight_ch", 3 * H, 0, &cell->peephole);
        layer_keep(b->context, 3, H);
    }
    if (!net->has_initial || status != STATUS_OK) return status;
    status = take(b, "h0", O, 0, &h0);
    if (status == STATUS_OK && c) status = take(b, "c0", H, 0, &c0);
    layer_keep(b->context, 1, O + c);
    if (status == STATUS_OK && h0) {
        cell->initial = memory_new(O + c, sizeof *cell->initial);
        if (!cell->initial) status = no_memory(b, O + c);
        else {
            memcpy(cell->initial, h0, O * sizeof *h0);
            if (c) memcpy(cell->initial + O, c0, H * sizeof *c0);
        }
    }
    memory_free(h0);
    memory_free(c0);
    return status;
}

/* Whether cells of the first layer read a table instead of `before`'s rows. */
static bool wants_table(const struct layer *before, size_t I, size_t gates)
{
    if (!before || before->input_size || before->output_size != I) return false;
    if (before->state_floats || before->whole) return false; /* it has a table of its own */
    size_t V = before->vocabulary_size;
    return V <= I || V * gates <= TABLE_MAX_BYTES / sizeof(float);
}

/* Run every token through `before` and W: rows of the table. x [TABLE_ROWS,I]. */
static void table_fill(const struct layer *before, const struct matrix *W, float *x, float *table)
{
    size_t V = before->vocabulary_size, I = before->output_size, N = matrix_outputs(W);
    for (size_t v = 0; v < V && throttle_rest(); v += TABLE_ROWS) {
        int32_t tokens[TABLE_ROWS];
        size_t n = V - v < TABLE_ROWS ? V - v : TABLE_ROWS;
        for (size_t i = 0; i < n; i++) tokens[i] = (int32_t)(v + i);
        before->type->run(before, &(struct turn){.R = n, .tokens = tokens}, NULL, x, NULL);
        matrix_multiply(W, n, &(struct operand){.values = x, .values_stride = I},
                        &(struct target){.C = table + v * N, .stride = N});
    }
}

/* The table, through a float32 W that is not kept: nothing is gained by rounding it. */
static enum status build_table(const struct builder *b, struct cell *cell, const float *bias)
{
    const struct layer *before = b->context->before;
    size_t N = b->net->kind->n_gates * b->net->H, V = before->vocabulary_size;
    struct matrix *W = NULL;
    enum status status = take_gate_matrix(b, "weight_ih", bias, cell->I, PRECISION_FLOAT32, &W);
    layer_keep(b->context, V + 1, N);
    if (status != STATUS_OK || b->context->plan) return status;
    float *x = memory_new(TABLE_ROWS * cell->I, sizeof *x);
    cell->table = memory_new(V * N, sizeof *cell->table);
    if (x && cell->table) table_fill(before, W, x, cell->table);
    else status = error_set(b->err, STATUS_NO_MEMORY,
                            "%s '%s': no memory for a table of %zu tokens x %zu gates",
                            b->spec->type->name, b->spec->prefix, V, N);
    memory_free(x);
    matrix_free(W);
    return status;
}

static enum status take_matrices(const struct builder *b, struct cell *cell, const float *ih, const float *hh)
{
    const struct recurrent *net = b->net;
    const struct layer *before = b->context->before;
    enum precision wanted = b->context->precision;
    size_t O = net->O;
    enum precision input = b->k ? layer_precision(wanted, b->h_bounded, cell->I)
                                : layer_precision_after(wanted, before, cell->I);
    enum status status;
    if (b->k == 0 && wants_table(before, cell->I, net->kind->n_gates * net->H))
        status = build_table(b, cell, ih);
    else
        status = take_gate_matrix(b, "weight_ih", ih, cell->I, input, &cell->W);
    if (status != STATUS_OK) return status;
    if (net->kind->reset) return take_original(b, cell);
    status = take_gate_matrix(b, "weight_hh", hh, O, layer_precision(wanted, b->u_bounded, O), &cell->U);
    if (status == STATUS_OK && b->options->proj_size) status = take_projection(b, &cell->P);
    return status;
}

static enum status build_cell(const struct builder *b, struct cell *cell)
{
    float *ih, *hh;
    cell->I = b->k ? b->net->O * b->net->n_directions : (size_t)b->spec->values[INPUT_SIZE];
    enum status status = take_biases(b, &ih, &hh);
    if (status == STATUS_OK) status = take_matrices(b, cell, ih, hh);
    if (status == STATUS_OK) status = take_extras(b, cell);
    if (cell->table) cell->bias = ih;
    else memory_free(ih);
    memory_free(hh);
    return status;
}

static enum status build_cells(struct builder *b)
{
    struct recurrent *net = b->net;
    net->row = net->O * net->n_directions;
    for (b->k = 0; b->k < net->n_layers; b->k++)
        for (b->d = 0; b->d < net->n_directions; b->d++) {
            struct cell *cell = &net->cells[b->k * net->n_directions + b->d];
            enum status status = build_cell(b, cell);
            if (status != STATUS_OK) return status;
            if (cell->W && cell->I > net->row) net->row = cell->I;
            net->keeps_codes |= recurrent_reads_codes(cell->W) || recurrent_reads_codes(cell->U);
        }
    return STATUS_OK;
}

/* What the network sees of it. */
static struct layer describe(const struct recurrent *net, const struct layer_spec *spec,
                             const struct layer *before, bool bounded)
{
    struct layer layer = {.type = spec->type, .input_size = (size_t)spec->values[INPUT_SIZE],
                          .output_size = net->O * net->n_directions, .forward_size = net->O,
                          .whole = net->whole, .bounded = bounded};
    if (!net->whole) layer.state_floats = net->n_layers * net->layer_state + net->has_initial;
    if (wants_table(before, layer.input_size, net->kind->n_gates * net->H)) {
        layer.input_size = 0;
        layer.vocabulary_size = before->vocabulary_size;
    }
    return layer;
}

static enum status check_backwards(const struct layer_spec *spec, const struct cell_options *options,
                                   struct error *err)
{
    if (!options->is_backwards) return STATUS_OK;
    if (spec->values[BIDIRECTIONAL])
        return error_set(err, STATUS_BAD_VALUE,
                         "%s '%s': go_backwards and bidirectional are both true, expected one of them; a "
                         "bidirectional layer reads both ways by itself", spec->type->name, spec->prefix);
    if (spec->values[NUM_LAYERS] > 1)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s '%s': go_backwards with num_layers %ld, expected 1; list each layer by itself, "
                         "because each turns its input round", spec->type->name, spec->prefix,
                         spec->values[NUM_LAYERS]);
    return STATUS_OK;
}

static void fill(struct recurrent *net, const struct layer_spec *spec, const struct cell_options *options)
{
    const long *v = spec->values;
    net->kind = options->kind;
    net->kernels = kernels_active();
    net->gate = options->gate ? activation_named(options->gate) : NULL;
    net->squash = activation_named(options->squash);
    net->gate_slope = options->gate ? activation_slope_named(options->gate) : NULL;
    net->squash_slope = activation_slope_named(options->squash);
    bool is_plain = (!net->gate || net->gate == net->kernels->sigmoid) && !options->has_peepholes;
    bool is_tanh = net->squash == net->kernels->tanh;
    net->is_fused = net->kind->has_c && is_plain && is_tanh;
    net->H = (size_t)v[HIDDEN_SIZE];
    net->O = options->proj_size ? options->proj_size : net->H;
    net->n_layers = (size_t)v[NUM_LAYERS];
    net->n_directions = v[BIDIRECTIONAL] ? 2 : 1;
    net->is_backwards = options->is_backwards;
    net->whole = net->n_directions == 2 || net->is_backwards;
    net->has_initial = options->has_initial;
    net->layer_state = net->O + (net->kind->has_c ? net->H : 0);
}

enum status recurrent_build(const struct layer_spec *spec, const struct layer_context *context,
                            const struct cell_options *options, struct layer **out, struct error *err)
{
    enum status status = check_backwards(spec, options, err);
    if (status != STATUS_OK) return status;
    struct recurrent *net = memory_new(1, sizeof *net);
    if (!net) goto no_memory;
    fill(net, spec, options);
    net->precision = context->precision;
    struct builder b = {.net = net, .spec = spec, .context = context, .options = options, .err = err};
    b.h_bounded = !options->proj_size && activation_is_bounded(options->squash, false);
    b.u_bounded = b.h_bounded && !options->has_initial; /* which may hold any number */
    net->layer = describe(net, spec, context->before, b.h_bounded);
    net->cells = memory_new(net->n_layers * net->n_directions, sizeof *net->cells);
    if (!net->cells) goto no_memory;
    status = build_cells(&b);
    if (status == STATUS_OK) *out = &net->layer;
    else recurrent_free(&net->layer);
    return status;
no_memory:
    recurrent_free((struct layer *)net);
    return error_set(err, STATUS_NO_MEMORY, "%s '%s': no memory", spec->type->name, spec->prefix);
}
