/* lstm: torch.nn.LSTM over a packed batch.
 *
 * One step of one layer, H units, x the input, h and c what the sequence remembers:
 *
 *     i = sigmoid(W_i x + U_i h + b_i)     how much of the new is let in
 *     f = sigmoid(W_f x + U_f h + b_f)     how much of the old is kept
 *     g = tanh   (W_g x + U_g h + b_g)     the new
 *     o = sigmoid(W_o x + U_o h + b_o)     how much is shown
 *     c = f * c + i * g                    the constant error carousel
 *     h = o * tanh(c)                      with a projection, h = P (o * tanh(c))
 *
 * W [4H,I] and U [4H,O] hold the four gates one below the other in the order i, f, g, o; b is
 * PyTorch's bias_ih + bias_hh, added once at load. O, the outputs, is H, or proj_size.
 *
 * Only U waits for the step before. So a turn goes in blocks of whole steps: W x + b for all rows
 * of the block in one product; then step by step U h on top of it, over the sequences still alive,
 * and the fused gates. A block has some 256 rows: enough to use W fully from cache, few enough that
 * the gates written by the first product are still in L2 when the second one reads them.
 *
 * What is not copied. h of the step before is read where it was written, in the output rows, and c is
 * changed in place in each sequence's state. A layer overwrites its own input rows: a block
 * reads them before it writes them. Only at a turn's two ends h moves between states and rows.
 *
 * Directions. The reverse direction of sequence b at step t reads its step steps[b]-1-t; its input
 * rows are mirrored, it runs like the forward one, and its outputs are mirrored back into the right
 * half of the output rows. It starts from zero and keeps no state, so its sequences ride whole.
 *
 * int8. h lies in [-1,1] by construction, so codes stand for it: made once a step, read by U at
 * the next step and by W of the layer above. With a projection h is a sum of H products and can be
 * any number; what reads it stays float16, while P itself, which reads o * tanh(c), is int8. The same
 * goes for W of the first layer, unless what comes before is bounded.
 *
 * Tokens. Where embedding or one_hot comes before, W x + b takes as many values as there are
 * tokens: a table made at load by that layer and that product, and a turn gathers its rows.
 *
 * State of a sequence, one-directional: for each layer h [O], then c [H]. */
#include "core/layer.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"

enum { INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS, HAS_BIAS, BIDIRECTIONAL, PROJ_SIZE }; /* keys' order */

enum {
    MAX_LAYERS = 64,
    BLOCK_ROWS = 256,
    TABLE_ROWS = 64, /* tokens taken at a time while the table is made */
    /* Bytes of a table beyond which W stays a matrix, unless the table is the smaller of the two.
     * It costs memory and, at load, V * 4H * I products (4M table entries of 256 inputs: about
     * 10 ms); it saves a turn I/O of the time of U h. */
    TABLE_MAX_BYTES = 16 << 20
};

static const struct layer_key keys[] = {
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

/* One direction of one layer. */
struct cell {
    size_t I;         /* inputs of a step */
    struct matrix *W; /* [4H,I] and b; NULL where there is a table */
    struct matrix *U; /* [4H,O] */
    struct matrix *P; /* [O,H], or NULL */
    float *table;     /* [V,4H] W x + b of every token, or NULL */
};

struct lstm {
    struct layer layer;
    const struct kernels *kernels; /* the set active at load, as in the matrices */
    size_t H, O;
    size_t n_layers, n_directions;
    size_t row;          /* floats of a row while layers run: max(I of any layer, outputs) */
    bool keeps_codes;    /* some matrix reads codes of rows */
    struct cell *cells;  /* [n_layers * n_directions] owned */
};

/* Building ------------------------------------------------------------------------------- */

static void lstm_free(struct layer *layer)
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

/* Take [N,K] and pack it. */
static enum status take_matrix(const struct builder *b, const char *stem, const float *bias,
                               size_t N, size_t K, enum precision precision, struct matrix **out)
{
    char name[NAME_BYTES];
    float *weight;
    enum status status = take(b, stem, N, K, &weight);
    if (status != STATUS_OK) return status;
    status = layer_matrix(b->spec, tensor_name(b, stem, name), weight, bias, N, K, precision, out,
                          b->err);
    memory_free(weight);
    return status;
}

/* bias_ih + bias_hh, or NULL where the layer has none. */
static enum status take_bias(const struct builder *b, float **out)
{
    size_t n = 4 * b->lstm->H;
    float *ih, *hh;
    *out = NULL;
    if (!b->spec->values[HAS_BIAS]) return STATUS_OK;
    enum status status = take(b, "bias_ih", n, 0, &ih);
    if (status != STATUS_OK) return status;
    status = take(b, "bias_hh", n, 0, &hh);
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
    for (size_t v = 0; v < V; v += TABLE_ROWS) {
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
    enum status status = take_matrix(b, "weight_ih", bias, N, cell->I, PRECISION_FLOAT32, &W);
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
    bool h_bounded = O == H && !b->spec->values[PROJ_SIZE];
    bool x_bounded = b->k ? h_bounded : before && before->bounded;
    float *bias;
    cell->I = b->k ? O * lstm->n_directions : (size_t)b->spec->values[INPUT_SIZE];
    enum status status = take_bias(b, &bias);
    if (status != STATUS_OK) return status;
    if (b->k == 0 && wants_table(before, cell->I, H))
        status = build_table(b, cell, bias);
    else
        status = take_matrix(b, "weight_ih", bias, 4 * H, cell->I,
                             layer_precision(wanted, x_bounded, cell->I), &cell->W);
    memory_free(bias);
    if (status == STATUS_OK)
        status = take_matrix(b, "weight_hh", NULL, 4 * H, O,
                             layer_precision(wanted, h_bounded, O), &cell->U);
    if (status == STATUS_OK && b->spec->values[PROJ_SIZE])
        status = take_matrix(b, "weight_hr", NULL, O, H, layer_precision(wanted, true, H),
                             &cell->P);
    return status;
}

static bool reads_codes(const struct matrix *matrix)
{
    return matrix && matrix_precision(matrix) == PRECISION_INT8;
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
            lstm->keeps_codes |= reads_codes(cell->W) || reads_codes(cell->U);
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

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
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

static size_t bytes(const struct layer *layer)
{
    const struct lstm *lstm = (const struct lstm *)layer;
    size_t sum = 0;
    for (size_t i = 0; i < lstm->n_layers * lstm->n_directions; i++) {
        const struct cell *cell = &lstm->cells[i];
        if (cell->W) sum += matrix_bytes(cell->W);
        if (cell->table) sum += layer->vocabulary_size * 4 * lstm->H * sizeof(float);
        if (cell->P) sum += matrix_bytes(cell->P);
        sum += matrix_bytes(cell->U);
    }
    return sum;
}

/* Running -------------------------------------------------------------------------------- */

/* Rows as floats, as codes, or both; the two have strides of their own. */
struct rows {
    float *values;
    size_t stride;
    uint8_t *codes; /* NULL where nothing reads them */
    size_t codes_stride;
};

/* The parts of scratch. Sizes grow with R and B. */
struct scratch {
    float *gates;    /* [block_rows,4H] */
    float *h;        /* [B,O] h as the turn begins */
    float *c;        /* [B,H] of a reverse or forward direction that keeps no state */
    float *wide;     /* [B,H] o * tanh(c), before the projection */
    float *mirror;   /* [R,row] rows of the reverse direction */
    uint8_t *codes;  /* [R,row] of the rows in out */
    uint8_t *mirror_codes; /* [R,row] */
    uint8_t *h_codes;      /* [B,max(O,H)] of h or wide */
    size_t floats;   /* all together */
};

static size_t block_rows(size_t R, size_t B)
{
    size_t most = B > BLOCK_ROWS ? B : BLOCK_ROWS;
    return R < most ? R : most;
}

/* Cut a part of `floats` floats off the scratch block, or only count it where there is none. */
static float *cut(struct scratch *s, float *block, size_t floats)
{
    float *part = block ? block + s->floats : NULL;
    s->floats += layer_round(floats);
    return part;
}

static uint8_t *cut_codes(struct scratch *s, float *block, size_t bytes_wanted)
{
    return (uint8_t *)cut(s, block, bytes_wanted / sizeof(float) + 1);
}

static struct scratch scratch_cut(const struct lstm *lstm, size_t R, size_t B, float *block)
{
    bool whole = lstm->n_directions == 2, projects = lstm->cells[0].P;
    struct scratch s = {.floats = 0};
    s.gates = cut(&s, block, block_rows(R, B) * 4 * lstm->H);
    s.h = cut(&s, block, B * lstm->O);
    if (whole) s.c = cut(&s, block, B * lstm->H);
    if (projects) s.wide = cut(&s, block, B * lstm->H);
    if (whole) s.mirror = cut(&s, block, R * lstm->row);
    s.h_codes = cut_codes(&s, block, B * lstm->H);
    if (!lstm->keeps_codes) return s;
    s.codes = cut_codes(&s, block, R * lstm->row);
    if (whole) s.mirror_codes = cut_codes(&s, block, R * lstm->row);
    return s;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    return scratch_cut((const struct lstm *)layer, R, B, NULL).floats;
}

/* One direction of one layer over one turn. x and y may be the same rows. */
struct pass {
    const struct lstm *lstm;
    const struct cell *cell;
    const struct turn *turn;
    struct scratch *scratch;
    struct rows x, y;
    bool is_reverse;     /* x is mirrored already; tokens are not */
    size_t state_offset; /* of this layer's h; not used where n_directions is 2 */
};

/* The row that step t of sequence b has in the other direction. */
static size_t mirrored_row(const struct turn *turn, size_t t, size_t b)
{
    return turn->first[turn->steps[b] - 1 - t] + b;
}

/* to[row] = from[row mirrored], `n` bytes of each row; strides in bytes. */
static void mirror(const struct turn *turn, size_t n, const void *from, size_t from_stride,
                   void *to, size_t to_stride)
{
    for (size_t t = 0; t < turn->T; t++)
        for (size_t b = 0; b < turn->alive[t]; b++)
            memcpy((char *)to + (turn->first[t] + b) * to_stride,
                   (const char *)from + mirrored_row(turn, t, b) * from_stride, n);
}

static void rows_mirror(const struct turn *turn, size_t n, const struct rows *from,
                        const struct rows *to)
{
    if (from->values && to->values)
        mirror(turn, n * sizeof(float), from->values, from->stride * sizeof(float), to->values,
               to->stride * sizeof(float));
    if (from->codes && to->codes)
        mirror(turn, n, from->codes, from->codes_stride, to->codes, to->codes_stride);
}

/* The rows from `row` on, as a product reads them. */
static struct operand operand_at(const struct rows *rows, size_t row)
{
    return (struct operand){
        .values = rows->values ? rows->values + row * rows->stride : NULL,
        .values_stride = rows->stride,
        .codes = rows->codes ? rows->codes + row * rows->codes_stride : NULL,
        .codes_stride = rows->codes_stride,
    };
}

static size_t step_end(const struct turn *turn, size_t t)
{
    return turn->first[t] + turn->alive[t];
}

/* The first step after a block that begins at step t. */
static size_t block_end(const struct turn *turn, size_t t, size_t rows)
{
    size_t begin = turn->first[t];
    while (t < turn->T && step_end(turn, t) - begin <= rows) t++;
    return t;
}

/* gates = W x + b for the rows of steps t .. end-1. */
static void project_inputs(const struct pass *p, size_t t, size_t end)
{
    const struct turn *turn = p->turn;
    size_t N = 4 * p->lstm->H, begin = turn->first[t];
    float *gates = p->scratch->gates;
    if (p->cell->W) {
        struct operand x = operand_at(&p->x, begin);
        matrix_multiply(p->cell->W, step_end(turn, end - 1) - begin, &x,
                        &(struct target){.C = gates, .stride = N});
        return;
    }
    for (; t < end; t++)
        for (size_t b = 0; b < turn->alive[t]; b++, gates += N) {
            size_t row = p->is_reverse ? mirrored_row(turn, t, b) : turn->first[t] + b;
            memcpy(gates, p->cell->table + (size_t)turn->tokens[row] * N, N * sizeof *gates);
        }
}

/* c of sequence b: in its state, or in scratch for a sequence that rides whole. */
static float *cell_state(const struct pass *p, size_t b)
{
    if (p->scratch->c) return p->scratch->c + b * p->lstm->H;
    return p->turn->states[b] + p->state_offset + p->lstm->O;
}

/* The fused gates of n rows, one sequence at a time because c lives in each one's state. */
static void apply_gates(const struct pass *p, size_t n, const float *gates, float *h, size_t ldh)
{
    size_t H = p->lstm->H;
    for (size_t b = 0; b < n; b++) {
        struct gates g = {.R = 1, .H = H, .gates = gates + b * 4 * H, .ldg = 4 * H,
                          .c = cell_state(p, b), .ldc = H, .h = h + b * ldh, .ldh = ldh};
        p->lstm->kernels->lstm_gates(&g);
    }
}

/* Step t: `gates` holds W x + b of its rows, `before` the h that the step starts from. */
static void step(const struct pass *p, size_t t, float *gates, const struct operand *before)
{
    const struct scratch *s = p->scratch;
    size_t n = p->turn->alive[t], H = p->lstm->H, O = p->lstm->O, row = p->turn->first[t];
    const struct rows *y = &p->y;
    float *h = y->values + row * y->stride;
    matrix_multiply(p->cell->U, n, before,
                    &(struct target){.C = gates, .stride = 4 * H, .accumulate = true});
    if (p->cell->P) {
        apply_gates(p, n, gates, s->wide, H);
        if (reads_codes(p->cell->P)) matrix_quantize(n, H, s->wide, H, s->h_codes, H);
        struct operand wide = {.values = s->wide, .values_stride = H, .codes = s->h_codes,
                               .codes_stride = H};
        matrix_multiply(p->cell->P, n, &wide, &(struct target){.C = h, .stride = y->stride});
    } else {
        apply_gates(p, n, gates, h, y->stride);
    }
    if (y->codes)
        matrix_quantize(n, O, h, y->stride, y->codes + row * y->codes_stride, y->codes_stride);
}

/* h and c as the turn begins. */
static struct operand initial_h(const struct pass *p)
{
    const struct scratch *s = p->scratch;
    size_t B = p->turn->B, O = p->lstm->O;
    if (s->c) {
        memset(s->c, 0, B * p->lstm->H * sizeof *s->c);
        memset(s->h, 0, B * O * sizeof *s->h);
    } else {
        for (size_t b = 0; b < B; b++)
            memcpy(s->h + b * O, p->turn->states[b] + p->state_offset, O * sizeof *s->h);
    }
    if (reads_codes(p->cell->U)) matrix_quantize(B, O, s->h, O, s->h_codes, O);
    return (struct operand){.values = s->h, .values_stride = O, .codes = s->h_codes,
                            .codes_stride = O};
}

/* Each sequence's last h into its state. */
static void keep_h(const struct pass *p)
{
    size_t O = p->lstm->O;
    for (size_t b = 0; b < p->turn->B; b++) {
        size_t row = p->turn->first[p->turn->steps[b] - 1] + b;
        memcpy(p->turn->states[b] + p->state_offset, p->y.values + row * p->y.stride,
               O * sizeof(float));
    }
}

static void pass_run(const struct pass *p)
{
    const struct turn *turn = p->turn;
    size_t rows = block_rows(turn->R, turn->B);
    struct operand h = initial_h(p);
    for (size_t t = 0; t < turn->T;) {
        size_t end = block_end(turn, t, rows), begin = turn->first[t];
        project_inputs(p, t, end);
        for (; t < end; t++) {
            step(p, t, p->scratch->gates + (turn->first[t] - begin) * 4 * p->lstm->H, &h);
            h = operand_at(&p->y, turn->first[t]);
        }
    }
    if (!p->scratch->c) keep_h(p);
}

/* Layer k of a bidirectional LSTM, x -> y. The forward pass may overwrite x, so x is mirrored first. */
static void run_both(struct pass *p, const struct rows *x, const struct rows *y)
{
    const struct scratch *s = p->scratch;
    size_t O = p->lstm->O, row = p->lstm->row;
    struct rows mirrored = {s->mirror, row, s->mirror_codes, row};
    struct rows right = {y->values + O, y->stride, y->codes ? y->codes + O : NULL,
                         y->codes_stride};
    if (p->cell->W) rows_mirror(p->turn, p->cell->I, x, &mirrored);
    p->x = *x;
    p->y = *y;
    pass_run(p);
    p->cell++;
    p->is_reverse = true;
    p->x = p->y = mirrored;
    if (!y->codes) p->y.codes = NULL;
    pass_run(p);
    rows_mirror(p->turn, O, &mirrored, &right);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *block)
{
    const struct lstm *lstm = (const struct lstm *)layer;
    struct scratch s = scratch_cut(lstm, turn->R, turn->B, block);
    size_t I = lstm->cells[0].I, row = lstm->row;
    struct rows x = {(float *)in, I, s.codes, row}; /* only read */
    struct rows y = {out, layer->output_size, reads_codes(lstm->cells[0].U) ? s.codes : NULL, row};
    if (reads_codes(lstm->cells[0].W)) matrix_quantize(turn->R, I, in, I, s.codes, row);
    for (size_t k = 0; k < lstm->n_layers; k++, x = y) {
        struct pass p = {.lstm = lstm, .cell = &lstm->cells[k * lstm->n_directions], .turn = turn,
                         .scratch = &s, .x = x, .y = y,
                         .state_offset = layer->state_offset + k * (lstm->O + lstm->H)};
        if (lstm->n_directions == 2) run_both(&p, &x, &y);
        else pass_run(&p);
    }
}

const struct layer_type layer_lstm = {
    .name = "lstm",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = lstm_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
};
