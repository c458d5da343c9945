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
 * W [4H,I] and U [4H,O] hold the four gates of 16 units a panel (drawing in core/lstm.h), b is
 * PyTorch's bias_ih + bias_hh, O, the outputs, is H or proj_size.
 *
 * A step of n sequences goes group by group of panels: W x + b, then U h on top of it, then the
 * fused gates of those units. A group is as many panels as keep the n rows of gates in the nearer
 * caches. Rows of the gates are then only as wide as a group: since panel k of a product begins at
 * column 64 k whatever the rows' stride, each group lies 64 floats a panel further along the buffer.
 *
 * Long turns. Only U waits for the step before. Where several steps together are still few rows,
 * W x + b is made for a block of them in one product, and W streams once for all.
 *
 * Two cores. Panels are independent within a step, so the members of a team take a share of them
 * each, from W x to the gates, and meet once a step.
 *
 * What is not copied. h of the step before is read where it was written, in the output rows; c stays
 * in each sequence's state, and the 16 units at hand pass through a cache line each. h moves
 * between states and rows at a turn's two ends only.
 *
 * int8. A row's codes are made once, and read by U at the next step and by W of the layer above.
 *
 * Directions. The reverse direction of sequence b at step t reads its step steps[b]-1-t; its input
 * rows are mirrored, it runs like the forward one, and its outputs are mirrored back into the right
 * half of the output rows. It starts from zero and keeps no state, so its sequences ride whole.
 *
 * State of a sequence, one-directional: for each layer h [O], then c [H]. */
#include "core/lstm.h"

#include <string.h>

enum {
    /* Measured at H = 512 on a core with 1 MiB of L2: gates of a group, gates of a block. */
    GROUP_BYTES = 128 << 10,
    BLOCK_BYTES = 512 << 10,
    BLOCK_MIN_ROWS = 32,
    /* Multiply-adds of a step below which a team gains nothing: a few microseconds of one core. */
    SHARED_WORK = 128 << 10
};

/* Rows as floats, as codes, or both; the two have strides of their own. */
struct rows {
    float *values;
    size_t stride;
    uint8_t *codes; /* NULL where nothing reads them */
    size_t codes_stride;
};

/* The parts of scratch. Sizes grow with R and B. */
struct scratch {
    float *gates;    /* a block's rows of 4H, or a step's rows of a group's panels */
    float *h;        /* [B,O] h as the turn begins */
    float *c;        /* [B,PANEL_UNITS] of the panel at hand, more for a team; [B,H] where there is
                        no state */
    float *wide;     /* [B,H] o * tanh(c), before the projection */
    float *between;  /* [R,row] outputs of every other layer, the last one's being `out` */
    float *mirror;         /* [R,row] inputs of the reverse direction */
    float *mirror_out;     /* [R,O] its outputs */
    uint8_t *codes;        /* [R,row] of whichever rows came last */
    uint8_t *mirror_codes; /* [R,row] */
    uint8_t *h_codes;      /* [B,H] of h or wide */
    size_t floats;   /* all together */
};

static size_t n_panels(const struct lstm *lstm)
{
    return (lstm->H + PANEL_UNITS - 1) / PANEL_UNITS;
}

/* Panels in a group when n sequences are alive. */
static size_t group_panels(const struct lstm *lstm, size_t n)
{
    size_t panels = n_panels(lstm), most = GROUP_BYTES / (n * PANEL_COLUMNS * sizeof(float));
    if (most >= panels || lstm->kernels->layout == LAYOUT_ROWS) return panels;
    return most ? most : 1;
}

/* Rows of a block of several steps. */
static size_t block_rows(const struct lstm *lstm)
{
    size_t rows = BLOCK_BYTES / (n_panels(lstm) * PANEL_COLUMNS * sizeof(float));
    return rows > BLOCK_MIN_ROWS ? rows : BLOCK_MIN_ROWS;
}

static size_t gates_floats(const struct lstm *lstm, size_t R, size_t B)
{
    size_t width = n_panels(lstm) * PANEL_COLUMNS, rows = block_rows(lstm);
    size_t block = (R < rows ? R : rows) * width;
    size_t step = lstm->kernels->layout == LAYOUT_ROWS
        ? B * width
        : GROUP_BYTES / sizeof(float) + (B + 1) * PANEL_COLUMNS + width;
    return block > step ? block : step;
}

/* Room for c of a panel's units; of every panel's, for the rows that a team may share. */
static size_t cells_floats(const struct lstm *lstm, size_t B)
{
    size_t rows = block_rows(lstm), shared = (B < rows ? B : rows) * n_panels(lstm);
    return (B > shared ? B : shared) * PANEL_UNITS;
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
    bool whole = lstm->n_directions == 2, stacked = lstm->n_layers > 1;
    size_t rows = R * lstm->row;
    struct scratch s = {.floats = 0};
    s.gates = cut(&s, block, gates_floats(lstm, R, B));
    s.h = cut(&s, block, B * lstm->O);
    s.c = cut(&s, block, whole ? B * lstm->H : cells_floats(lstm, B));
    s.h_codes = cut_codes(&s, block, B * lstm->H);
    if (lstm->cells[0].P) s.wide = cut(&s, block, B * lstm->H);
    if (stacked) s.between = cut(&s, block, rows);
    if (whole) s.mirror = cut(&s, block, rows);
    if (whole) s.mirror_out = cut(&s, block, R * lstm->O);
    if (lstm->keeps_codes) s.codes = cut_codes(&s, block, rows);
    if (lstm->keeps_codes && whole) s.mirror_codes = cut_codes(&s, block, rows);
    return s;
}

static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    return scratch_cut((const struct lstm *)layer, R, B, NULL).floats;
}

/* One direction of one layer over one turn. x and y do not overlap, but their codes may be the same:
 * those of a step are written when everything that reads them has been computed. */
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

/* The first step after a block that begins at step t: one step at least. */
static size_t block_end(const struct turn *turn, size_t t, size_t rows)
{
    size_t begin = turn->first[t];
    for (t++; t < turn->T && step_end(turn, t) - begin <= rows; t++) continue;
    return t;
}

/* Some rows of gates: those of `count` packed rows from row `begin` of the turn on, and of these the
 * panels [first, last). */
struct span {
    size_t begin, count, first, last;
    struct target to;
};

/* W x + b from the table: a copy. Rows lie step by step, and so do their places. */
static void gather_table(const struct pass *p, const struct span *span, size_t t)
{
    const struct turn *turn = p->turn;
    size_t N = 4 * p->lstm->H, from = span->first * PANEL_COLUMNS;
    size_t to = span->last * PANEL_COLUMNS < N ? span->last * PANEL_COLUMNS : N;
    float *gates = span->to.C + from;
    for (size_t row = span->begin; row < span->begin + span->count; t++)
        for (size_t b = 0; b < turn->alive[t]; b++, row++, gates += span->to.stride) {
            int32_t token = turn->tokens[p->is_reverse ? mirrored_row(turn, t, b) : row];
            memcpy(gates, p->cell->table + (size_t)token * N + from, (to - from) * sizeof *gates);
        }
}

/* W x + b of rows that begin at step t. */
static void project_inputs(const struct pass *p, const struct span *span, size_t t)
{
    struct operand x = operand_at(&p->x, span->begin);
    if (!p->cell->W) gather_table(p, span, t);
    else matrix_multiply_panels(p->cell->W, span->count, &x, &span->to, span->first, span->last);
}

/* The same for a block of steps, by the whole team. */
static void project_block(const struct pass *p, const struct span *span, size_t t)
{
    struct operand x = operand_at(&p->x, span->begin);
    if (!p->cell->W) gather_table(p, span, t);
    else team_multiply(p->turn->team, p->cell->W, span->count, &x, &span->to);
}

static void copy_units(float *to, const float *from, size_t units)
{
    if (units == PANEL_UNITS) memcpy(to, from, PANEL_UNITS * sizeof *to); /* inlined */
    else memcpy(to, from, units * sizeof *to);
}

/* One step, but for the projection: from h `before` to c and to o * tanh(c). */
struct step {
    const struct pass *pass;
    size_t t, n;
    const struct operand *before;
    float *gates;     /* rows of `stride` */
    size_t stride;
    size_t group;     /* panels made at a time */
    bool is_projected; /* gates hold W x + b already */
    bool is_shared;   /* by a team: each panel has room of its own for c */
    float *h;         /* [n,H] rows of ldh */
    size_t ldh;
};

/* The fused gates of one panel's units. */
static void panel_gates(const struct step *s, size_t panel)
{
    const struct pass *p = s->pass;
    const struct lstm *lstm = p->lstm;
    float *const *states = p->turn->states;
    size_t unit = panel * PANEL_UNITS, units = lstm_units(lstm->H, panel);
    size_t c_offset = p->state_offset + lstm->O + unit;
    bool whole = lstm->n_directions == 2;
    struct gates g = {.R = s->n, .H = units, .gates = s->gates + panel * PANEL_COLUMNS,
                      .ldg = s->stride, .c = p->scratch->c, .ldc = PANEL_UNITS,
                      .h = s->h + unit, .ldh = s->ldh};
    if (s->is_shared) g.c += panel * s->n * PANEL_UNITS;
    if (whole) {
        g.c = p->scratch->c + unit;
        g.ldc = lstm->H;
    }
    for (size_t b = 0; b < s->n && !whole; b++)
        copy_units(g.c + b * PANEL_UNITS, states[b] + c_offset, units);
    lstm->kernels->lstm_gates(&g);
    for (size_t b = 0; b < s->n && !whole; b++)
        copy_units(states[b] + c_offset, g.c + b * PANEL_UNITS, units);
}

/* Units of the panels [first, end), group by group; at every other step from the end, for there lies
 * what the step before left in the cache. */
static void step_panels(const struct step *s, size_t first, size_t end)
{
    const struct pass *p = s->pass;
    const struct target fresh = {.C = s->gates, .stride = s->stride, .backwards = s->t % 2};
    struct target onto = fresh;
    onto.accumulate = true;
    for (size_t done = 0, count; done < end - first; done += count) {
        count = s->group < end - first - done ? s->group : end - first - done;
        size_t begin = fresh.backwards ? end - done - count : first + done;
        struct span span = {.begin = p->turn->first[s->t], .count = s->n, .first = begin,
                            .last = begin + count, .to = fresh};
        if (!s->is_projected) project_inputs(p, &span, s->t);
        matrix_multiply_panels(p->cell->U, s->n, s->before, &onto, span.first, span.last);
        for (size_t panel = span.first; panel < span.last; panel++) panel_gates(s, panel);
    }
}

/* A team's task: this member's share of the panels. */
static void step_share(void *argument, size_t member, size_t n_members)
{
    const struct step *s = argument;
    size_t panels = n_panels(s->pass->lstm);
    step_panels(s, panels * member / n_members, panels * (member + 1) / n_members);
}

/* Step t into h. `block` holds W x + b already; where it is NULL that is made group by group. A team's
 * members need rows as wide as all panels, so as not to write over each other's groups. */
static void step_units(const struct pass *p, size_t t, float *block, const struct operand *before,
                       float *h, size_t ldh)
{
    const struct lstm *lstm = p->lstm;
    size_t panels = n_panels(lstm), n = p->turn->alive[t];
    size_t work = n * 4 * lstm->H * (lstm->O + (block || p->cell->table ? 0 : p->cell->I));
    struct step s = {.pass = p, .t = t, .n = n, .before = before, .h = h, .ldh = ldh,
                     .gates = block ? block : p->scratch->gates, .is_projected = block != NULL,
                     .group = group_panels(lstm, n)};
    s.is_shared = p->turn->team && n <= block_rows(lstm) && work >= SHARED_WORK && panels > 1;
    s.stride = (block || s.is_shared ? panels : s.group) * PANEL_COLUMNS;
    if (s.is_shared) team_run(p->turn->team, step_share, &s);
    else step_panels(&s, 0, panels);
}

/* Step t: h of its sequences into y, and its codes. */
static void step(const struct pass *p, size_t t, float *block, const struct operand *before)
{
    const struct scratch *s = p->scratch;
    size_t n = p->turn->alive[t], H = p->lstm->H, row = p->turn->first[t];
    const struct rows *y = &p->y;
    float *h = y->values + row * y->stride;
    if (p->cell->P) {
        step_units(p, t, block, before, s->wide, H);
        if (lstm_reads_codes(p->cell->P)) matrix_quantize(n, H, s->wide, H, s->h_codes, H);
        struct operand wide = {.values = s->wide, .values_stride = H, .codes = s->h_codes,
                               .codes_stride = H};
        team_multiply(p->turn->team, p->cell->P, n, &wide,
                      &(struct target){.C = h, .stride = y->stride});
    } else {
        step_units(p, t, block, before, h, y->stride);
    }
    if (y->codes)
        matrix_quantize(n, p->lstm->O, h, y->stride, y->codes + row * y->codes_stride,
                        y->codes_stride);
}

/* h as the turn begins, for the product that reads it; and c, where no state holds it. */
static struct operand initial_h(const struct pass *p)
{
    const struct scratch *s = p->scratch;
    size_t B = p->turn->B, O = p->lstm->O;
    bool whole = p->lstm->n_directions == 2, codes = lstm_reads_codes(p->cell->U);
    if (whole) {
        memset(s->c, 0, B * p->lstm->H * sizeof *s->c);
        memset(s->h, 0, O * sizeof *s->h);
    }
    for (size_t b = 0; b < B; b++) {
        const float *h = whole ? s->h : p->turn->states[b] + p->state_offset;
        if (codes) matrix_quantize(1, O, h, O, s->h_codes + b * O, O);
        else if (h != s->h + b * O) memcpy(s->h + b * O, h, O * sizeof *h);
    }
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
    size_t rows = block_rows(p->lstm), panels = n_panels(p->lstm);
    struct operand h = initial_h(p);
    for (size_t t = 0; t < turn->T;) {
        size_t end = block_end(turn, t, rows), begin = turn->first[t];
        struct span all = {.begin = begin, .count = step_end(turn, end - 1) - begin,
                           .last = panels,
                           .to = {.C = p->scratch->gates, .stride = panels * PANEL_COLUMNS}};
        bool is_block = end > t + 1;
        if (is_block) project_block(p, &all, t);
        for (; t < end; t++) {
            float *gates = all.to.C + (turn->first[t] - begin) * all.to.stride;
            step(p, t, is_block ? gates : NULL, &h);
            h = operand_at(&p->y, turn->first[t]);
        }
    }
    if (p->lstm->n_directions == 1) keep_h(p);
}

/* Layer k of a bidirectional LSTM, x -> y. Codes of y take the place of those of x, so x is mirrored
 * before anything runs. */
static void run_both(struct pass *p)
{
    const struct scratch *s = p->scratch;
    const struct rows y = p->y;
    size_t O = p->lstm->O, row = p->lstm->row;
    struct rows mirrored = {s->mirror, row, s->mirror_codes, row};
    struct rows reversed = {s->mirror_out, O, y.codes ? s->mirror_codes : NULL, row};
    struct rows right = {y.values + O, y.stride, y.codes ? y.codes + O : NULL, y.codes_stride};
    if (p->cell->W) rows_mirror(p->turn, p->cell->I, &p->x, &mirrored);
    pass_run(p);
    p->cell++;
    p->is_reverse = true;
    p->x = mirrored;
    p->y = reversed;
    pass_run(p);
    rows_mirror(p->turn, O, &reversed, &right);
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *block)
{
    const struct lstm *lstm = (const struct lstm *)layer;
    struct scratch s = scratch_cut(lstm, turn->R, turn->B, block);
    size_t I = lstm->cells[0].I, row = lstm->row;
    uint8_t *codes = lstm_reads_codes(lstm->cells[0].U) ? s.codes : NULL;
    struct rows x = {(float *)in, I, s.codes, row}; /* only read */
    if (lstm_reads_codes(lstm->cells[0].W)) matrix_quantize(turn->R, I, in, I, s.codes, row);
    for (size_t k = 0; k < lstm->n_layers; k++) {
        bool to_out = (lstm->n_layers - k) % 2 == 1;
        struct rows y = {to_out ? out : s.between, layer->output_size, codes, row};
        struct pass p = {.lstm = lstm, .cell = &lstm->cells[k * lstm->n_directions], .turn = turn,
                         .scratch = &s, .x = x, .y = y,
                         .state_offset = layer->state_offset + k * (lstm->O + lstm->H)};
        if (lstm->n_directions == 2) run_both(&p);
        else pass_run(&p);
        x = y;
    }
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

const struct layer_type layer_lstm = {
    .name = "lstm",
    .has_prefix = true,
    .keys = lstm_keys,
    .build = lstm_build,
    .free = lstm_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
};
