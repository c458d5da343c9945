#include "core/recurrent/recurrent_scratch.h"

/* Room for the gates of one step of B sequences. */
static size_t step_floats(const struct recurrent *net, size_t B)
{
    size_t width = row_width(net);
    if (makes_all(net)) return B * width;
    return GROUP_BYTES / sizeof(float) + (B + 1) * block_columns(net) + width;
}

static size_t gates_floats(const struct recurrent *net, size_t R, size_t B)
{
    size_t rows = run_rows(net), whole = (R < rows ? R : rows) * row_width(net);
    size_t step = step_floats(net, B);
    return whole > step ? whole : step;
}

/* Room for U h of one step: as wide as its gates, also if a team shares them. */
static size_t hidden_floats(const struct recurrent *net, size_t B)
{
    size_t rows = run_rows(net), shared = (B < rows ? B : rows) * row_width(net);
    size_t step = step_floats(net, B);
    return shared > step ? shared : step;
}

/* Room for c of a block's units; of every block's, for the rows that a team may share. */
static size_t cells_floats(const struct recurrent *net, size_t B)
{
    size_t rows = run_rows(net), shared = (B < rows ? B : rows) * n_blocks(net);
    return (B > shared ? B : shared) * net->kind->block_units;
}

/* Cut a part of `floats` floats off the scratch block, or only count it if there is none. */
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

struct scratch recurrent_cut(const struct recurrent *net, size_t R, size_t B, float *block)
{
    const struct cell_kind *kind = net->kind;
    bool whole = net->whole, stacked = net->n_layers > 1;
    size_t rows = R * net->row, code_bytes = codes_bytes(net, rows);
    struct scratch s = {.floats = 0};
    s.gates = cut(&s, block, gates_floats(net, R, B));
    s.h = cut(&s, block, B * net->O);
    if (kind->is_separate) s.hidden = cut(&s, block, hidden_floats(net, B));
    if (kind->has_c) s.c = cut(&s, block, whole ? B * net->H : cells_floats(net, B));
    s.h_codes = cut_codes(&s, block, codes_bytes(net, B * net->H));
    if (net->cells[0].P || net->cells[0].N) s.wide = cut(&s, block, B * net->H);
    if (stacked) s.between = cut(&s, block, rows);
    if (whole) s.mirror = cut(&s, block, rows);
    if (net->n_directions == 2) s.mirror_out = cut(&s, block, R * net->O);
    if (net->keeps_codes) s.codes = cut_codes(&s, block, code_bytes);
    if (net->keeps_codes && whole) s.mirror_codes = cut_codes(&s, block, code_bytes);
    return s;
}

size_t recurrent_scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    return recurrent_cut((const struct recurrent *)layer, R, B, NULL).floats;
}
