/* recurrent_scratch: the room in which a turn of a recurrent layer runs, and how it is shared out. Private to
 * core/recurrent/recurrent.c. */
#ifndef CAROUSEL_CORE_RECURRENT_SCRATCH_H
#define CAROUSEL_CORE_RECURRENT_SCRATCH_H

#include "core/recurrent/recurrent.h"

enum {
    /* Measured at H = 512 on a core with 1 MiB of L2: gates of a group, gates of a run of steps. */
    GROUP_BYTES = 128 << 10,
    RUN_BYTES = 512 << 10,
    RUN_MIN_ROWS = 32
};

/* The parts of scratch. Sizes grow with R and B. */
struct scratch {
    float *gates;    /* rows of all gates of a run of steps, or a step's rows of a group's blocks */
    float *hidden;   /* a step's rows of U h, if the kind is separate */
    float *h;        /* [B,O] h as the turn begins */
    float *c;        /* [B,units] of the block at hand, more for a team; [B,H] if there is no state */
    float *wide;     /* [B,H] o * tanh(c), before the projection; r * h */
    float *between;  /* [R,row] outputs of every other layer, the last one's being `out` */
    float *mirror;         /* [R,row] inputs of the reverse direction */
    float *mirror_out;     /* [R,O] its outputs */
    uint8_t *codes;        /* [R,row] codes of whichever rows came last */
    uint8_t *mirror_codes; /* [R,row] */
    uint8_t *h_codes;      /* [B,H] of h or wide */
    size_t floats;   /* all together */
};

/* The parts of `block`, or of none to count the floats, for R rows of B sequences. */
struct scratch recurrent_cut(const struct recurrent *net, size_t R, size_t B, float *block);

static inline size_t n_blocks(const struct recurrent *net)
{
    size_t units = net->kind->block_units;
    return (net->H + units - 1) / units;
}

/* Columns of a block's gates. */
static inline size_t block_columns(const struct recurrent *net)
{
    return net->kind->block_panels * PANEL_COLUMNS;
}

/* Floats of a row of all gates. */
static inline size_t row_width(const struct recurrent *net)
{
    return n_blocks(net) * block_columns(net);
}

/* Whether a step makes all units' products before it moves any on. */
static inline bool makes_all(const struct recurrent *net)
{
    return net->kernels->layout == LAYOUT_ROWS || net->kind->reset;
}

/* Blocks in a group when n sequences are alive. */
static inline size_t group_blocks(const struct recurrent *net, size_t n)
{
    size_t blocks = n_blocks(net), most = GROUP_BYTES / (n * block_columns(net) * sizeof(float));
    if (most >= blocks || makes_all(net)) return blocks;
    return most ? most : 1;
}

/* Rows of a run of several steps. */
static inline size_t run_rows(const struct recurrent *net)
{
    size_t rows = RUN_BYTES / (row_width(net) * sizeof(float));
    return rows > RUN_MIN_ROWS ? rows : RUN_MIN_ROWS;
}

/* Bytes of the codes of n inputs. */
static inline size_t codes_bytes(const struct recurrent *net, size_t n)
{
    return n * precision_code_bytes(net->precision);
}

#endif
