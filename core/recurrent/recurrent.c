/* recurrent: lstm, gru and rnn over a packed batch. Their equations stand in their own files.
 *
 * A step of n sequences goes group by group of blocks of units (drawing in core/recurrent/recurrent.h): first
 * W x + b, then U h on top of it (or beside it, for a gru), then what the type makes of those units. A group
 * is as many blocks as keep the n rows of gates in the nearer caches. Rows of the gates are then only as wide
 * as a group: since panel k of a product begins at column 64 k whatever the rows' stride, each group lies
 * further along the buffer by its panels.
 *
 * Long turns. Only U waits for the step before. If several steps together are still few rows,
 * W x + b is made for a block of them in one product, and W streams once for all.
 *
 * Two cores. Blocks are independent within a step, so the members of a team claim some of them
 * each, from W x to the gates, and meet once a step.
 *
 * What is not copied. h of the step before is read where it was written, in the output rows; c stays
 * in each sequence's state, and the units at hand pass through a cache line each. h moves
 * between states and rows at a turn's two ends only.
 *
 * int8, bfloat16. A row's codes are made once, and read by U at the next step and by W of the layer
 * above.
 *
 * Directions. The reverse direction of sequence b at step t reads its step steps[b]-1-t; its input
 * rows are mirrored, it runs like the forward one, and its outputs are mirrored back into the right
 * half of the output rows. Backwards is the reverse direction alone, and its outputs stay in the order in
 * which they were made, as Keras leaves them. Both keep no state, so their sequences ride whole.
 *
 * Initial state. A state of zeros is a sequence that has not begun. With initial h and c its last float says
 * whether it has. */
#include "core/recurrent/recurrent_scratch.h"

#include <string.h>

enum {
    /* Multiply-adds of a step below which a team gains nothing: a few microseconds of one core. */
    SHARED_WORK = 128 << 10
};

/* Rows as floats, as codes, or both; the two have strides of their own. */
struct rows {
    float *values;
    size_t stride;
    uint8_t *codes; /* NULL if nothing reads them */
    size_t codes_stride; /* bytes */
};

/* The panel of W and U with which a block begins, or behind which the last one ends. */
static size_t block_panel(const struct recurrent *net, size_t block)
{
    size_t panels = (net->kind->n_gates * net->H + PANEL_COLUMNS - 1) / PANEL_COLUMNS;
    size_t panel = block * net->kind->block_panels;
    return panel < panels ? panel : panels;
}

/* One direction of one layer over one turn. x and y do not overlap, but their codes may be the same:
 * those of a step are written when everything that reads them has been computed. */
struct pass {
    const struct recurrent *net;
    const struct cell *cell;
    const struct turn *turn;
    struct scratch *scratch;
    struct rows x, y;
    bool is_reverse;     /* x is mirrored already; tokens are not */
    size_t state_offset; /* of this layer's h; not used if the layer is whole */
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

static void rows_mirror(const struct pass *p, size_t n, const struct rows *from,
                        const struct rows *to)
{
    const struct turn *turn = p->turn;
    if (from->values && to->values)
        mirror(turn, n * sizeof(float), from->values, from->stride * sizeof(float), to->values,
               to->stride * sizeof(float));
    if (from->codes && to->codes)
        mirror(turn, codes_bytes(p->net, n), from->codes, from->codes_stride, to->codes,
               to->codes_stride);
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

/* The first step after a run that begins at step t: one step at least. */
static size_t run_end(const struct turn *turn, size_t t, size_t rows)
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
    size_t N = p->net->kind->n_gates * p->net->H, from = span->first * PANEL_COLUMNS;
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

/* The same for a run of steps, by the whole team. */
static void project_run(const struct pass *p, const struct span *span, size_t t)
{
    struct operand x = operand_at(&p->x, span->begin);
    if (!p->cell->W) gather_table(p, span, t);
    else team_multiply(p->turn->team, p->cell->W, span->count, &x, &span->to);
}

static void copy_units(float *to, const float *from, size_t units)
{
    enum { USUAL = PANEL_COLUMNS / 4 };
    if (units == USUAL) memcpy(to, from, USUAL * sizeof *to); /* inlined */
    else memcpy(to, from, units * sizeof *to);
}

/* One step, except for the projection: from h `before` to c and to h of the units. */
struct step {
    const struct pass *pass;
    size_t t, n;
    const struct operand *before;
    float *gates;     /* rows of `stride` */
    size_t stride;
    float *hidden;    /* U h, rows of `hidden_stride`; or NULL: on top of the gates */
    size_t hidden_stride;
    size_t group;     /* blocks made at a time */
    bool is_projected; /* gates hold W x + b already */
    bool is_shared;   /* by a team: each block has room of its own for c */
    float *h;         /* [n,H] rows of ldh */
    size_t ldh;
};

/* The units of one block, c not yet among them. */
static struct units block_of(const struct step *s, size_t block)
{
    const struct recurrent *net = s->pass->net;
    size_t unit = block * net->kind->block_units, column = block * block_columns(net);
    struct units units = {.R = s->n, .unit = unit, .n = recurrent_units(net->kind, net->H, block),
                          .cell = s->pass->cell, .gates = s->gates + column, .ldg = s->stride,
                          .h = s->h + unit, .ldh = s->ldh};
    if (!net->kind->is_separate) return units;
    units.hidden = s->hidden + column;
    units.ldu = s->hidden_stride;
    units.before = s->before->values + unit;
    units.ldb = s->before->values_stride;
    return units;
}

/* What the type makes of one block's units. */
static void block_step(const struct step *s, size_t block)
{
    const struct pass *p = s->pass;
    const struct recurrent *net = p->net;
    float *const *states = p->turn->states;
    struct units u = block_of(s, block);
    size_t c_offset = p->state_offset + net->O + u.unit;
    bool copies = net->kind->has_c && !net->whole;
    if (net->kind->has_c) {
        u.ldc = net->whole ? net->H : net->kind->block_units;
        u.c = p->scratch->c + (net->whole ? u.unit : s->is_shared ? block * s->n * u.ldc : 0);
    }
    for (size_t b = 0; b < s->n && copies; b++)
        copy_units(u.c + b * u.ldc, states[b] + c_offset, u.n);
    net->kind->step(net, &u);
    for (size_t b = 0; b < s->n && copies; b++)
        copy_units(states[b] + c_offset, u.c + b * u.ldc, u.n);
}

/* Of one sequence, whole blocks of an lstm lie as the rows of a batch do: gates, c and h at equal distances.
 * So if there are more of them than sequences, the kernel makes a sequence's blocks in one call: it has more
 * rows under way at a time, and finds c where it is kept. Return how many blocks were made. */
static size_t blocks_step(const struct step *s, size_t begin, size_t count)
{
    const struct pass *p = s->pass;
    const struct recurrent *net = p->net;
    size_t whole = net->H / net->kind->block_units, n = begin + count <= whole ? count : count - 1;
    if (!net->is_fused || n <= s->n) return 0;
    struct units u = block_of(s, begin);
    u.R = n;
    u.ldg = block_columns(net);
    u.ldc = u.ldh = u.n;
    for (size_t b = 0; b < s->n; b++, u.gates += s->stride, u.h += s->ldh) {
        u.c = net->whole ? p->scratch->c + b * net->H : p->turn->states[b] + p->state_offset + net->O;
        u.c += u.unit;
        net->kind->step(net, &u);
    }
    return n;
}

/* Units of the blocks [first, end), group by group; at every other step from the end, because there lies
 * what the step before left in the cache. */
static void step_blocks(const struct step *s, size_t first, size_t end)
{
    const struct pass *p = s->pass;
    const struct recurrent *net = p->net;
    const struct target fresh = {.C = s->gates, .stride = s->stride, .backwards = s->t % 2};
    struct target onto = fresh;
    if (s->hidden) onto.C = s->hidden, onto.stride = s->hidden_stride;
    else onto.accumulate = true;
    for (size_t done = 0, count; done < end - first; done += count) {
        count = s->group < end - first - done ? s->group : end - first - done;
        size_t begin = fresh.backwards ? end - done - count : first + done;
        struct span span = {.begin = p->turn->first[s->t], .count = s->n,
                            .first = block_panel(net, begin), .last = block_panel(net, begin + count),
                            .to = fresh};
        if (!s->is_projected) project_inputs(p, &span, s->t);
        matrix_multiply_panels(p->cell->U, s->n, s->before, &onto, span.first, span.last);
        for (size_t k = blocks_step(s, begin, count); k < count; k++) block_step(s, begin + k);
    }
}

/* A team's task. */
static void step_part(void *argument, size_t first, size_t end)
{
    step_blocks(argument, first, end);
}

/* A step of a gru that resets first: r and z of all units, r * h through N, then the rest. */
static void step_reset(const struct step *s)
{
    const struct pass *p = s->pass;
    const struct scratch *parts = p->scratch;
    const struct recurrent *net = p->net;
    struct team *team = p->turn->team;
    size_t H = net->H, row = p->turn->first[s->t], wide_bytes = codes_bytes(net, H);
    struct units u = block_of(s, 0);
    struct span all = {.begin = row, .count = s->n, .last = block_panel(net, n_blocks(net)),
                       .to = {.C = s->gates, .stride = s->stride}};
    const struct target hidden = {.C = s->hidden, .stride = s->hidden_stride};
    const struct operand wide = {.values = parts->wide, .values_stride = H, .codes = parts->h_codes,
                                 .codes_stride = wide_bytes};
    if (!s->is_projected) project_run(p, &all, s->t);
    team_multiply(team, p->cell->U, s->n, s->before, &hidden);
    u.n = H;
    u.h = parts->wide;
    u.ldh = H;
    net->kind->reset(net, &u);
    if (recurrent_reads_codes(p->cell->N)) /* the codes of h before have been read */
        matrix_encode(net->precision, s->n, H, parts->wide, H, parts->h_codes, wide_bytes);
    team_multiply(team, p->cell->N, s->n, &wide, &hidden);
    u.h = s->h;
    u.ldh = s->ldh;
    net->kind->step(net, &u);
}

/* Step t into h. `gates` holds W x + b already; if it is NULL, that is made group by group. A team's
 * members need rows as wide as all blocks, so as not to write over each other's groups. */
static void step_units(const struct pass *p, size_t t, float *gates, const struct operand *before,
                       float *h, size_t ldh)
{
    const struct recurrent *net = p->net;
    size_t blocks = n_blocks(net), n = p->turn->alive[t];
    size_t work = n * net->kind->n_gates * net->H
                  * (net->O + (gates || p->cell->table ? 0 : p->cell->I));
    struct step s = {.pass = p, .t = t, .n = n, .before = before, .h = h, .ldh = ldh,
                     .gates = gates ? gates : p->scratch->gates, .is_projected = gates != NULL,
                     .hidden = p->scratch->hidden, .group = group_blocks(net, n)};
    s.is_shared = p->turn->team && n <= run_rows(net) && work >= SHARED_WORK && blocks > 1;
    s.hidden_stride = (s.is_shared ? blocks : s.group) * block_columns(net);
    s.stride = gates ? row_width(net) : s.hidden_stride;
    if (net->kind->reset) step_reset(&s);
    else if (s.is_shared) team_run(p->turn->team, step_part, &s, blocks, t % 2);
    else step_blocks(&s, 0, blocks);
}

/* Step t: h of its sequences into y, and its codes. */
static void step(const struct pass *p, size_t t, float *gates, const struct operand *before)
{
    const struct scratch *s = p->scratch;
    const struct recurrent *net = p->net;
    size_t n = p->turn->alive[t], H = net->H, row = p->turn->first[t];
    size_t wide_bytes = codes_bytes(net, H);
    const struct rows *y = &p->y;
    float *h = y->values + row * y->stride;
    if (p->cell->P) {
        step_units(p, t, gates, before, s->wide, H);
        if (recurrent_reads_codes(p->cell->P))
            matrix_encode(net->precision, n, H, s->wide, H, s->h_codes, wide_bytes);
        struct operand wide = {.values = s->wide, .values_stride = H, .codes = s->h_codes,
                               .codes_stride = wide_bytes};
        team_multiply(p->turn->team, p->cell->P, n, &wide,
                      &(struct target){.C = h, .stride = y->stride});
    } else {
        step_units(p, t, gates, before, h, y->stride);
    }
    if (y->codes)
        matrix_encode(net->precision, n, net->O, h, y->stride, y->codes + row * y->codes_stride,
                      y->codes_stride);
}

/* h and c of a sequence that begins into its state, if they are not zero; then the mark that it has begun. */
static void begin_states(const struct recurrent *net, const struct turn *turn)
{
    for (size_t b = 0; b < turn->B; b++) {
        float *state = turn->states[b] + net->layer.state_offset;
        float *mark = state + net->layer.state_floats - 1;
        if (*mark != 0.0f) continue;
        for (size_t k = 0; k < net->n_layers; k++)
            memcpy(state + k * net->layer_state, net->cells[k].initial,
                   net->layer_state * sizeof *state);
        *mark = 1.0f;
    }
}

/* c as the sequences begin, if no state holds it. */
static void initial_c(const struct pass *p)
{
    size_t H = p->net->H, B = p->turn->B;
    float *c = p->scratch->c;
    for (size_t b = 0; b < B; b++, c += H)
        if (p->cell->initial) memcpy(c, p->cell->initial + p->net->O, H * sizeof *c);
        else memset(c, 0, H * sizeof *c);
}

/* h as the turn begins, for the product and for the kinds that read it; and c. */
static struct operand initial_h(const struct pass *p)
{
    const struct scratch *s = p->scratch;
    const struct recurrent *net = p->net;
    size_t B = p->turn->B, O = net->O, code_bytes = codes_bytes(net, O);
    if (net->whole && net->kind->has_c) initial_c(p);
    for (size_t b = 0; b < B; b++) {
        const float *from = net->whole ? p->cell->initial : p->turn->states[b] + p->state_offset;
        float *h = s->h + b * O;
        if (from) memcpy(h, from, O * sizeof *h);
        else memset(h, 0, O * sizeof *h);
    }
    if (recurrent_reads_codes(p->cell->U))
        matrix_encode(net->precision, B, O, s->h, O, s->h_codes, code_bytes);
    return (struct operand){.values = s->h, .values_stride = O, .codes = s->h_codes,
                            .codes_stride = code_bytes};
}

/* Each sequence's last h into its state. */
static void keep_h(const struct pass *p)
{
    size_t O = p->net->O;
    for (size_t b = 0; b < p->turn->B; b++) {
        size_t row = p->turn->first[p->turn->steps[b] - 1] + b;
        memcpy(p->turn->states[b] + p->state_offset, p->y.values + row * p->y.stride,
               O * sizeof(float));
    }
}

static void pass_run(const struct pass *p)
{
    const struct turn *turn = p->turn;
    size_t rows = run_rows(p->net);
    struct operand h = initial_h(p);
    for (size_t t = 0; t < turn->T;) {
        size_t end = run_end(turn, t, rows), begin = turn->first[t];
        struct span all = {.begin = begin, .count = step_end(turn, end - 1) - begin,
                           .last = block_panel(p->net, n_blocks(p->net)),
                           .to = {.C = p->scratch->gates, .stride = row_width(p->net)}};
        bool is_run = end > t + 1;
        if (is_run) project_run(p, &all, t);
        for (; t < end; t++) {
            float *gates = all.to.C + (turn->first[t] - begin) * all.to.stride;
            step(p, t, is_run ? gates : NULL, &h);
            h = operand_at(&p->y, turn->first[t]);
        }
    }
    if (!p->net->whole) keep_h(p);
}

/* Where x of the other direction lies. */
static struct rows mirrored_x(const struct pass *p)
{
    const struct recurrent *net = p->net;
    struct rows to = {p->scratch->mirror, net->row, p->scratch->mirror_codes, codes_bytes(net, net->row)};
    if (p->cell->W) rows_mirror(p, p->cell->I, &p->x, &to);
    return to;
}

/* The one direction, from the last step to the first; y in the order in which it is made. */
static void run_backwards(struct pass *p)
{
    p->x = mirrored_x(p);
    p->is_reverse = true;
    pass_run(p);
}

/* Layer k of both directions, x -> y. Codes of y take the place of those of x, so x is mirrored
 * before anything runs. */
static void run_both(struct pass *p)
{
    const struct scratch *s = p->scratch;
    const struct rows y = p->y;
    size_t O = p->net->O, row = p->net->row, codes_stride = codes_bytes(p->net, row);
    struct rows mirrored = mirrored_x(p);
    struct rows reversed = {s->mirror_out, O, y.codes ? s->mirror_codes : NULL, codes_stride};
    struct rows right = {y.values + O, y.stride,
                         y.codes ? y.codes + codes_bytes(p->net, O) : NULL, y.codes_stride};
    pass_run(p);
    p->cell++;
    p->is_reverse = true;
    p->x = mirrored;
    p->y = reversed;
    pass_run(p);
    rows_mirror(p, O, &reversed, &right);
}

void recurrent_run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                   float *block)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    struct scratch s = recurrent_cut(net, turn->R, turn->B, block);
    size_t I = net->cells[0].I, codes_stride = codes_bytes(net, net->row);
    bool above = net->n_layers > 1 && recurrent_reads_codes(net->cells[net->n_directions].W);
    uint8_t *codes = above || recurrent_reads_codes(net->cells[0].U) ? s.codes : NULL;
    struct rows x = {(float *)in, I, s.codes, codes_stride}; /* only read */
    if (net->has_initial && !net->whole) begin_states(net, turn);
    if (recurrent_reads_codes(net->cells[0].W))
        matrix_encode(net->precision, turn->R, I, in, I, s.codes, codes_stride);
    for (size_t k = 0; k < net->n_layers; k++) {
        bool to_out = (net->n_layers - k) % 2 == 1;
        struct rows y = {to_out ? out : s.between, layer->output_size, codes, codes_stride};
        struct pass p = {.net = net, .cell = &net->cells[k * net->n_directions], .turn = turn,
                         .scratch = &s, .x = x, .y = y,
                         .state_offset = layer->state_offset + k * net->layer_state};
        if (net->n_directions == 2) run_both(&p);
        else if (net->is_backwards) run_backwards(&p);
        else pass_run(&p);
        x = y;
    }
}

size_t recurrent_bytes(const struct layer *layer)
{
    const struct recurrent *net = (const struct recurrent *)layer;
    size_t sum = 0;
    for (size_t i = 0; i < net->n_layers * net->n_directions; i++) {
        const struct cell *cell = &net->cells[i];
        if (cell->W) sum += matrix_bytes(cell->W);
        if (cell->table) sum += layer->vocabulary_size * net->kind->n_gates * net->H * sizeof(float);
        if (cell->P) sum += matrix_bytes(cell->P);
        if (cell->N) sum += matrix_bytes(cell->N);
        sum += matrix_bytes(cell->U);
    }
    return sum;
}
