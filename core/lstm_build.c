/* Loading an lstm: tensors into panels, biases added, and the table of a token network.
 *
 * The table. Where embedding or one_hot comes before, W x + b takes as many values as there are
 * tokens. That layer and the product make them all at load, the layer is dropped, and a turn only
 * gathers rows. Bits are those of the float32 product.
 *
 * int8. h lies in [-1,1] by construction, so codes stand for it, in U and in W of the layer
 * above. With a projection h is a sum of H products and can be any number; what reads it stays
 * float16, while P itself, which reads o * tanh(c), is int8. The same goes for W of the first layer,
 * unless what comes before is bounded. */
#include "core/lstm.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/throttle.h"

enum { INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS, HAS_BIAS, BIDIRECTIONAL, PROJ_SIZE }; /* keys' order */

enum {
    MAX_LAYERS = 64,
    TABLE_ROWS = 64, /* tokens taken at a time while the table is made */
    /* Bytes of a table beyond which W stays a matrix, unless the table is the smaller of the two.
     * It costs memory and, at load, V * 4H * I products (4M table entries of 256 inputs: about
     * 20 ms); it saves a turn I/O of the time of U h. */
    TABLE_MAX_BYTES = 16 << 20
};

const struct layer_key lstm_keys[] = {
    {.name = "input_size", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "hidden_size", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "num_layers", .kind = KEY_SIZE, .fallback = 1, .minimum = 1, .maximum = MAX_LAYERS},
    {.name = "bias", .kind = KEY_BOOLEAN, .fallback = 1},
    {.name = "bidirectional", .kind = KEY_BOOLEAN},
    {.name = "proj_size", .kind = KEY_SIZE, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

void lstm_free(struct layer *layer)
{
    struct lstm *lstm = (struct lstm *)layer;
    if (!lstm) return;
    for (size_t i = 0; lstm->cells && i < lstm->n_layers * lstm->n_directions; i++) {
        matrix_free(lstm->cells[i].W);
        matrix_free(lstm->cells[i].U);
        matrix_free(lstm->cells[i].P);
        memory_free(lstm->cells[i].table);
    }
    memory_free(lstm->cells);
    memory_free(lstm);
}

/* What every step of building a cell needs. */
struct builder {
    struct lstm *lstm;
    const struct layer_spec *spec;
    const struct layer_context *context;
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

/* The 4H rows of K floats, gate below gate, panel by panel: drawing above. Where the load is given up, as
 * many as there are by then: matrix_new will refuse them. */
static void regroup(size_t H, size_t K, const float *from, float *to)
{
    for (size_t first = 0; first < H && throttle_rest(); first += PANEL_UNITS) {
        size_t units = lstm_units(H, first / PANEL_UNITS);
        for (size_t gate = 0; gate < 4; gate++, to += units * K)
            memcpy(to, from + (gate * H + first) * K, units * K * sizeof *to);
    }
}

/* Take the gates' rows [4H,K], or [4H] where K is 0, panel by panel. */
static enum status take_gates(const struct builder *b, const char *stem, size_t K, float **out)
{
    size_t H = b->lstm->H, n = 4 * H * (K ? K : 1);
    float *rows, *panels = memory_new(n, sizeof *panels);
    if (!panels)
        return error_set(b->err, STATUS_NO_MEMORY, "lstm '%s': no memory for %zu weights",
                         b->spec->prefix, n);
    enum status status = take(b, stem, 4 * H, K, &rows);
    if (status != STATUS_OK) {
        memory_free(panels);
        return status;
    }
    regroup(H, K ? K : 1, rows, panels);
    memory_free(rows);
    *out = panels;
    return STATUS_OK;
}

/* Take the gates' rows [4H,K] and pack them with b (or NULL). */
static enum status take_gate_matrix(const struct builder *b, const char *stem, const float *bias,
                                    size_t K, enum precision precision, struct matrix **out)
{
    char name[NAME_BYTES];
    float *weight;
    enum status status = take_gates(b, stem, K, &weight);
    if (status != STATUS_OK) return status;
    status = layer_matrix(b->spec, tensor_name(b, stem, name), weight, bias, 4 * b->lstm->H, K,
                          precision, out, b->err);
    memory_free(weight);
    return status;
}

/* Take the projection [O,H], whose inputs lie in [-1,1], and pack it. */
static enum status take_projection(const struct builder *b, struct matrix **out)
{
    char name[NAME_BYTES];
    float *weight;
    size_t O = b->lstm->O, H = b->lstm->H;
    enum status status = take(b, "weight_hr", O, H, &weight);
    if (status != STATUS_OK) return status;
    status = layer_matrix(b->spec, tensor_name(b, "weight_hr", name), weight, NULL, O, H,
                          layer_precision(b->context->precision, true, H), out, b->err);
    memory_free(weight);
    return status;
}

/* bias_ih + bias_hh, or NULL where the layer has none. */
static enum status take_bias(const struct builder *b, float **out)
{
    size_t n = 4 * b->lstm->H;
    float *ih = NULL, *hh = NULL;
    *out = NULL;
    if (!b->spec->values[HAS_BIAS]) return STATUS_OK;
    enum status status = take_gates(b, "bias_ih", 0, &ih);
    if (status != STATUS_OK) return status;
    status = take_gates(b, "bias_hh", 0, &hh);
    if (status != STATUS_OK) {
        memory_free(ih);
        return status;
    }
    for (size_t i = 0; i < n; i++) ih[i] += hh[i];
    memory_free(hh);
    *out = ih;
    return STATUS_OK;
}

/* Whether cells of the first layer read a table instead of `before`'s rows. */
static bool wants_table(const struct layer *before, size_t I, size_t H)
{
    if (!before || before->input_size || before->output_size != I) return false;
    size_t V = before->vocabulary_size;
    return V <= I || V * 4 * H <= TABLE_MAX_BYTES / sizeof(float);
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
    size_t N = 4 * b->lstm->H, V = before->vocabulary_size;
    struct matrix *W = NULL;
    enum status status = take_gate_matrix(b, "weight_ih", bias, cell->I, PRECISION_FLOAT32, &W);
    if (status != STATUS_OK) return status;
    float *x = memory_new(TABLE_ROWS * cell->I, sizeof *x);
    cell->table = memory_new(V * N, sizeof *cell->table);
    if (x && cell->table) table_fill(before, W, x, cell->table);
    else status = error_set(b->err, STATUS_NO_MEMORY,
                            "lstm '%s': no memory for a table of %zu tokens x %zu gates",
                            b->spec->prefix, V, N);
    memory_free(x);
    matrix_free(W);
    return status;
}

static enum status build_cell(const struct builder *b, struct cell *cell)
{
    const struct lstm *lstm = b->lstm;
    const struct layer *before = b->context->before;
    enum precision wanted = b->context->precision;
    size_t H = lstm->H, O = lstm->O;
    bool h_bounded = !b->spec->values[PROJ_SIZE];
    bool x_bounded = b->k ? h_bounded : before && before->bounded;
    float *bias;
    cell->I = b->k ? O * lstm->n_directions : (size_t)b->spec->values[INPUT_SIZE];
    enum status status = take_bias(b, &bias);
    if (status != STATUS_OK) return status;
    if (b->k == 0 && wants_table(before, cell->I, H))
        status = build_table(b, cell, bias);
    else
        status = take_gate_matrix(b, "weight_ih", bias, cell->I,
                                  layer_precision(wanted, x_bounded, cell->I), &cell->W);
    memory_free(bias);
    if (status == STATUS_OK)
        status = take_gate_matrix(b, "weight_hh", NULL, O, layer_precision(wanted, h_bounded, O),
                                  &cell->U);
    if (status == STATUS_OK && b->spec->values[PROJ_SIZE]) status = take_projection(b, &cell->P);
    return status;
}

static enum status build_cells(struct builder *b)
{
    struct lstm *lstm = b->lstm;
    lstm->row = lstm->O * lstm->n_directions;
    for (b->k = 0; b->k < lstm->n_layers; b->k++)
        for (b->d = 0; b->d < lstm->n_directions; b->d++) {
            struct cell *cell = &lstm->cells[b->k * lstm->n_directions + b->d];
            enum status status = build_cell(b, cell);
            if (status != STATUS_OK) return status;
            if (cell->W && cell->I > lstm->row) lstm->row = cell->I;
            lstm->keeps_codes |= lstm_reads_codes(cell->W) || lstm_reads_codes(cell->U);
        }
    return STATUS_OK;
}

/* What the network sees of it. */
static struct layer describe(const struct lstm *lstm, const struct layer_spec *spec,
                             const struct layer *before)
{
    size_t O = lstm->O, H = lstm->H;
    bool whole = lstm->n_directions == 2;
    struct layer layer = {.type = spec->type, .input_size = (size_t)spec->values[INPUT_SIZE],
                          .output_size = O * lstm->n_directions, .forward_size = O,
                          .state_floats = whole ? 0 : lstm->n_layers * (O + H), .whole = whole,
                          .bounded = !spec->values[PROJ_SIZE]};
    if (wants_table(before, layer.input_size, H)) {
        layer.input_size = 0;
        layer.vocabulary_size = before->vocabulary_size;
    }
    return layer;
}

enum status lstm_build(const struct layer_spec *spec, const struct layer_context *context,
                       struct layer **out, struct error *err)
{
    const long *v = spec->values;
    if (v[PROJ_SIZE] >= v[HIDDEN_SIZE] && v[PROJ_SIZE])
        return error_set(err, STATUS_BAD_VALUE,
                         "lstm '%s': proj_size is %ld, expected less than hidden_size, which is %ld",
                         spec->prefix, v[PROJ_SIZE], v[HIDDEN_SIZE]);
    enum status status = STATUS_NO_MEMORY;
    struct lstm *lstm = memory_new(1, sizeof *lstm);
    if (!lstm) goto out;
    lstm->kernels = kernels_active();
    lstm->H = (size_t)v[HIDDEN_SIZE];
    lstm->O = (size_t)(v[PROJ_SIZE] ? v[PROJ_SIZE] : v[HIDDEN_SIZE]);
    lstm->n_layers = (size_t)v[NUM_LAYERS];
    lstm->n_directions = v[BIDIRECTIONAL] ? 2 : 1;
    lstm->layer = describe(lstm, spec, context->before);
    lstm->cells = memory_new(lstm->n_layers * lstm->n_directions, sizeof *lstm->cells);
    if (!lstm->cells) goto out;
    status = build_cells(&(struct builder){.lstm = lstm, .spec = spec, .context = context,
                                           .err = err});
out:
    if (status == STATUS_OK) *out = &lstm->layer;
    else {
        if (!lstm || !lstm->cells) error_set(err, status, "lstm '%s': no memory", spec->prefix);
        lstm_free((struct layer *)lstm);
    }
    return status;
}
