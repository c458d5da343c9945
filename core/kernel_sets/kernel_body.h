/* The body of a kernel set, included by core/kernel_sets/<set>.c after a vector vocabulary
 * (vector_*.h) and the definitions of KERNELS (the table) and KERNELS_NAME (its text).
 *
 * THE PRODUCT, for each row r and output n:
 *
 *     C[r,n] = base + A[r,0] W[n,0] + A[r,1] W[n,1] + ...      in this order, one accumulator
 *
 * PACKING. W lies in panels of 64 outputs (drawing in core/network/matrix.h), so a step reads 64 weights
 * in a row. A tile is ROWS rows of A by VECTORS vectors of a panel:
 *
 *                  panel row k:  [ w0 | w1 | w2 | w3 ]        loaded once, used by every row
 *                                   |    |    |    |
 *     A[0,k] broadcast ---------> acc00 acc01 acc02 acc03     acc[r][v] = fma(A[r,k], w[v], acc)
 *     A[1,k] broadcast ---------> acc10 acc11 acc12 acc13
 *       ...                                                   held in registers for all k
 *
 * int8 is the same tile with four k a step: a quad is four codes of a row, broadcast, and a 32-bit
 * lane of the panel holds four weights of one output. bfloat16 computes two k a step in the same way.
 * A vocabulary may define SUM_ROWS, SUM_INPUTS and SUM_ZERO, for an instruction that multiplies a few rows
 * by a few outputs: its quad is SUM_INPUTS codes of each of SUM_ROWS rows.
 *
 * REGISTERS. AVX-512: 6 x 4 accumulators + 4 weights + 1 activation = 29 of 32, or 14 x 2 + 2 + 1.
 * AVX2: 6 x 2 + 2 + 1 = 15 of 16; with fewer rows a tile is wider, so that at least 8 chains of fma
 * hide their latency.
 * The vocabulary says how wide a tile of each height is: TILE_VECTORS, TILE_SUMS.
 *
 * LOOPS, outermost first: blocks of rows whose A fits in L2; panels; blocks of k whose weights
 * fit in L2, C carrying the accumulators from one to the next, which loses no bit; tiles.
 * Rows are split evenly among tiles (16 = 6 + 5 + 5). What the order has to hide is the way
 * of the weights:
 *   L2 to L1   a tile prefetches its own panel AHEAD_STEPS steps ahead;
 *   L3 to L2   the tiles of a panel together prefetch the next one, each an equal share, spread
 *              over its steps, never in a burst, which would hold up the tile's own lines. One
 *              line of a pair is asked for; the processor brings the other.
 *   few rows   up to TILE_ROWS_ALONE rows make one tile, narrow and high: each weight is read
 *              once, and arithmetic overlaps with streaming from wherever the weights are.
 *
 * Loops over constant bounds (foreach) are unrolled by the compiler, so that acc[][] lives in registers;
 * a function with the parameter ROWS, VECTORS or FORM must be inlined into a call with constants. */
#include "core/kernels/kernels.h"

#define INLINE            static inline __attribute__((always_inline))
#define OWN               __attribute__((noinline))
#define foreach(i, COUNT) _Pragma("GCC unroll 16") for (size_t i = 0; i < (COUNT); i++)

#ifndef SUM_ROWS
#define SUM_ROWS   1
#define SUM_INPUTS 4
#endif
#ifndef SUM_ZERO /* the code of zero, as the sums have it */
#define SUM_ZERO CODE_ZERO
#endif

enum {
    TILE_ROWS = 6, /* if several tiles share the rows */
    TILE_ROWS_MAX = 14,
    PANEL_VECTORS = PANEL_COLUMNS / LANES,
    ROW_BLOCK_BYTES = 352 << 10, /* of A: a third of the smallest L2 in use */
    BLOCK_STEPS = 1024,          /* of float weights: 256 KB */
    AHEAD_STEPS = 8,
    CHUNK_STEPS = 16, /* steps that share out some prefetches */
    LINE_PAIR_BYTES = 128,
};

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t quotient_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* The size of part i of n that share `whole` evenly, larger ones first. */
static size_t share_of(size_t whole, size_t n, size_t i)
{
    return whole / n + (i < whole % n);
}

/* What a tile covers: rows from `row`, columns of a panel from `column`, steps first .. last - 1
 * (of one k; of a pair for bfloat16, of SUM_INPUTS for int8). */
struct tile {
    size_t row, panel, column;
    size_t first, last;
    bool resumes;      /* C holds the accumulators of the steps before `first` */
    const char *ahead; /* next weights to bring to L2, up to ahead_end, `pairs` a chunk */
    const char *ahead_end;
    size_t pairs;
};

/* Bytes of an input in A. */
INLINE size_t input_bytes(const enum precision FORM)
{
    return FORM == PRECISION_INT8       ? sizeof(uint8_t)
           : FORM == PRECISION_BFLOAT16 ? sizeof(uint16_t)
                                        : sizeof(float);
}

/* Inputs of one step: those in four bytes, except for int8. */
INLINE size_t step_inputs(const enum precision FORM)
{
    return FORM == PRECISION_INT8 ? SUM_INPUTS : 4 / input_bytes(FORM);
}

/* Steps of a whole panel, and bytes of one step of it. */
INLINE size_t panel_steps(const struct product *p, const enum precision FORM)
{
    return quotient_up(p->K, step_inputs(FORM));
}

INLINE size_t step_bytes(const enum precision FORM)
{
    return PANEL_COLUMNS * (FORM == PRECISION_INT8      ? SUM_INPUTS
                            : FORM == PRECISION_FLOAT16 ? sizeof(uint16_t)
                                                        : sizeof(float));
}

/* ---- what the tiles of all precisions share ---- */

/* Where a tile's weights begin. */
INLINE const char *weights_at(const struct product *p, const struct tile *t,
                              const enum precision FORM)
{
    const size_t step = t->panel * panel_steps(p, FORM) + t->first;
    return (const char *)p->W + step * step_bytes(FORM) +
           t->column * step_bytes(FORM) / PANEL_COLUMNS;
}

/* LANES elements of base. Past N there is nothing to read. */
INLINE vector base_load(const struct product *p, bool from_c, size_t row, size_t n)
{
    const float *c = p->C + row * p->ldc + n;
    if (!from_c)
        return p->bias ? vector_load(p->bias + n) : vector_all(0);
    if (n + LANES <= p->N)
        return vector_load(c);
    return n < p->N ? vector_load_first(c, p->N - n) : vector_all(0);
}

INLINE void result_store(const struct product *p, size_t row, size_t n, vector v)
{
    float *c = p->C + row * p->ldc + n;
    if (n + LANES <= p->N)
        vector_store(c, v);
    else if (n < p->N)
        vector_store_first(c, v, p->N - n);
}

/* One prefetch of the next weights at a step, as long as the chunk has any left. */
INLINE const char *prefetch_pair(const char *ahead, const char *until)
{
    if (ahead == until)
        return ahead;
    __builtin_prefetch(ahead, 0, 2);
    return ahead + LINE_PAIR_BYTES;
}

/* The lines of this strip of the panel, AHEAD_STEPS further on. A single row has so little to do
 * that the processor runs further ahead than this by itself. */
INLINE void prefetch_step(const char *w, const size_t ROWS, const size_t VECTORS,
                          const enum precision FORM)
{
    if (ROWS == 1)
        return;
    const size_t strip = step_bytes(FORM) / PANEL_VECTORS * VECTORS;
    foreach (i, (strip + 63) / 64)
        __builtin_prefetch(w + AHEAD_STEPS * step_bytes(FORM) + i * 64, 0, 3);
}

/* The line or lines of C that a tile of few steps will want at its end. */
INLINE void prefetch_result(const struct product *p, size_t row, size_t n, const size_t VECTORS)
{
    foreach (i, (VECTORS * LANES + 15) / 16)
        __builtin_prefetch(p->C + row * p->ldc + n + i * 16, 1, 3);
}

/* The codes of one step of a row, or the last of them, zero-filled: the weights there are zero too. A call
 * of memcpy for these would leave few registers to the sums of the whole tile. */
INLINE uint64_t step_codes(const void *codes, size_t bytes, const size_t WHOLE)
{
    uint64_t word = 0;
    if (bytes == WHOLE)
        memcpy(&word, codes, WHOLE);
    else
        for (size_t i = 0; i < bytes; i++)
            word |= (uint64_t)((const uint8_t *)codes)[i] << 8 * i;
    return word;
}

/* ---- float32, float16 and bfloat16 tiles ---- */

INLINE vector weight_load(const char *w, size_t v, const enum precision FORM)
{
    return FORM == PRECISION_FLOAT16
               ? vector_load_half((const uint16_t *)(const void *)w + v * LANES)
               : vector_load((const float *)(const void *)w + v * LANES);
}

/* The four bytes of row r at a step; rows 0, 3, ... have a pointer, the others lie `lda` bytes and
 * twice that from them. */
INLINE const void *row_at(const char *const *a, size_t lda, size_t r)
{
    return a[r / 3] + r % 3 * lda;
}

/* One step: an input of each row against a row of the panel. */
INLINE void inputs_add(vector acc[][PANEL_VECTORS], const char *const *a, size_t lda, const char *w,
                       const size_t ROWS, const size_t VECTORS, const enum precision FORM)
{
    vector weight[PANEL_VECTORS];
    foreach (v, VECTORS)
        weight[v] = weight_load(w, v, FORM);
    foreach (r, ROWS) {
        vector activation = vector_all(*(const float *)row_at(a, lda, r));
        foreach (v, VECTORS)
            acc[r][v] = vector_fma(activation, weight[v], acc[r][v]);
    }
}

/* One step: two codes of each row, or the last one, against a row of the panel. */
INLINE void pairs_add(vector acc[][PANEL_VECTORS], const char *const *a, size_t lda, size_t bytes,
                      const char *w, const size_t ROWS, const size_t VECTORS)
{
    pair_weights weight[PANEL_VECTORS];
    foreach (v, VECTORS)
        weight[v] = pair_load(w, v);
    foreach (r, ROWS) {
        pair codes = pair_all((uint32_t)step_codes(row_at(a, lda, r), bytes, 4));
        foreach (v, VECTORS)
            acc[r][v] = pair_add(acc[r][v], codes, weight[v]);
    }
}

INLINE void tile_multiply_float(const struct product *p, struct tile *t, const size_t ROWS,
                                const size_t VECTORS, const enum precision FORM)
{
    const size_t n = t->panel * PANEL_COLUMNS + t->column;
    const size_t pairs = t->ahead < t->ahead_end ? t->pairs : 0;
    const size_t lda = p->lda * input_bytes(FORM);
    const size_t whole = minimum(t->last, p->K / step_inputs(FORM)); /* steps without a tail */
    const char *a[TILE_ROWS_MAX / 3 + 1];
    const char *ahead = t->ahead, *w = weights_at(p, t, FORM);
    vector acc[TILE_ROWS_MAX][PANEL_VECTORS];
    foreach (r, ROWS) {
        if (r % 3 == 0)
            a[r / 3] = (const char *)p->A + (t->row + r) * lda + t->first * 4;
        foreach (v, VECTORS)
            acc[r][v] = base_load(p, t->resumes || p->accumulate, t->row + r, n + v * LANES);
    }
    for (size_t k = t->first; k < whole;) {
        const size_t stop = minimum(k + CHUNK_STEPS, whole);
        const char *until = ahead + pairs * LINE_PAIR_BYTES;
        for (; k < stop; k++, w += step_bytes(FORM)) {
            ahead = prefetch_pair(ahead, until);
            prefetch_step(w, ROWS, VECTORS, FORM);
            if (FORM == PRECISION_BFLOAT16)
                pairs_add(acc, a, lda, 4, w, ROWS, VECTORS);
            else
                inputs_add(acc, a, lda, w, ROWS, VECTORS, FORM);
            foreach (g, (ROWS + 2) / 3)
                a[g] += 4;
        }
    }
    if (FORM == PRECISION_BFLOAT16 && whole < t->last)
        pairs_add(acc, a, lda, 2, w, ROWS, VECTORS);
    foreach (r, ROWS) {
        foreach (v, VECTORS)
            result_store(p, t->row + r, n + v * LANES, acc[r][v]);
    }
    t->ahead = ahead;
}

/* ---- int8 tiles ----
 *
 * Codes are 127 a + 128, so the sum carries 128 * sum_k w too much; `correction` subtracts that
 * before the one rounding to float. A vocabulary whose SUM_ZERO is 0 has subtracted 128 before. */

/* Codes of SUM_ROWS rows; the last of an odd tile stands for two. */
INLINE quad quad_at(const uint8_t *a, size_t lda, size_t bytes, const size_t r, const size_t ROWS)
{
    uint64_t codes[SUM_ROWS];
    foreach (i, SUM_ROWS)
        codes[i] = step_codes(a + (r + i < ROWS ? r + i : r) * lda, bytes, SUM_INPUTS);
    return quad_all(codes);
}

/* The sums of row r of a tile, from the sums of its SUM_ROWS rows. */
INLINE integers sums_of_row(sums sum, const size_t r)
{
#if SUM_ROWS == 2
    if (r % 2)
        return sums_finish_second(sum);
#endif
    (void)r;
    return sums_finish(sum);
}

/* One step: `bytes` codes of each row against a row of the panel. */
INLINE void quads_add(sums sum[][PANEL_VECTORS], const uint8_t *a, size_t lda, size_t bytes,
                      const char *w, const size_t ROWS, const size_t VECTORS)
{
    quad_weights weight[PANEL_VECTORS];
    foreach (v, VECTORS)
        weight[v] = quad_load(w, v);
    foreach (r, (ROWS + SUM_ROWS - 1) / SUM_ROWS) {
        quad codes = quad_at(a, lda, bytes, r * SUM_ROWS, ROWS);
        foreach (v, VECTORS)
            sum[r][v] = sums_add(sum[r][v], codes, weight[v]);
    }
}

INLINE void sums_store(const struct product *p, size_t row, size_t n, integers exact)
{
    if (SUM_ZERO)
        exact = integers_subtract(exact, integers_load(p->correction + n));
    vector base = base_load(p, p->accumulate, row, n);
    vector scale = vector_load(p->scale + n);
    result_store(p, row, n, vector_fma(scale, integers_to_vector(exact), base));
}

INLINE void tile_multiply_int8(const struct product *p, struct tile *t, const size_t ROWS,
                               const size_t VECTORS)
{
    const enum precision FORM = PRECISION_INT8;
    const size_t n = t->panel * PANEL_COLUMNS + t->column, lda = p->lda, tail = p->K % SUM_INPUTS;
    const size_t pairs = t->ahead < t->ahead_end ? t->pairs : 0;
    const uint8_t *a = (const uint8_t *)p->A + t->row * lda;
    const char *ahead = t->ahead, *w = weights_at(p, t, FORM);
    sums sum[TILE_ROWS_MAX][PANEL_VECTORS];
    foreach (r, ROWS) {
        foreach (v, VECTORS)
            sum[r / SUM_ROWS][v] = sums_zero();
        prefetch_result(p, t->row + r, n, VECTORS);
    }
    for (size_t k = 0; k + SUM_INPUTS <= p->K;) {
        const size_t stop = minimum(k + CHUNK_STEPS * SUM_INPUTS, p->K - tail);
        const char *until = ahead + pairs * LINE_PAIR_BYTES;
        for (; k < stop; k += SUM_INPUTS, w += step_bytes(FORM)) {
            ahead = prefetch_pair(ahead, until);
            prefetch_step(w, ROWS, VECTORS, FORM);
            quads_add(sum, a + k, lda, SUM_INPUTS, w, ROWS, VECTORS);
        }
    }
    if (tail)
        quads_add(sum, a + p->K - tail, lda, tail, w, ROWS, VECTORS);
    foreach (r, ROWS) {
        foreach (v, VECTORS)
            sums_store(p, t->row + r, n + v * LANES, sums_of_row(sum[r / SUM_ROWS][v], r));
    }
    t->ahead = ahead;
}

/* ---- the loops around a tile ---- */

INLINE size_t tile_width(size_t rows, const enum precision FORM)
{
    const size_t vectors[TILE_ROWS_MAX] = TILE_VECTORS, sums_wide[TILE_ROWS_MAX] = TILE_SUMS;
    return FORM == PRECISION_INT8 ? sums_wide[rows - 1] : vectors[rows - 1];
}

/* ROWS rows by the whole width of a panel, in strips as wide as a tile. */
INLINE void strips_multiply(const struct product *p, struct tile *t, const size_t ROWS,
                            const enum precision FORM)
{
    const size_t VECTORS = tile_width(ROWS, FORM);
    for (t->column = 0; t->column < PANEL_COLUMNS; t->column += VECTORS * LANES) {
        if (t->panel * PANEL_COLUMNS + t->column >= p->N)
            break;
        if (FORM == PRECISION_INT8)
            tile_multiply_int8(p, t, ROWS, VECTORS);
        else
            tile_multiply_float(p, t, ROWS, VECTORS, FORM);
    }
    t->row += ROWS;
}

/* One function for each height, so that each has the registers to itself. */
#define TILE(n) \
    static OWN void f32_rows_##n(const struct product *p, struct tile *t) \
    { \
        strips_multiply(p, t, n, PRECISION_FLOAT32); \
    } \
    static OWN void f16_rows_##n(const struct product *p, struct tile *t) \
    { \
        strips_multiply(p, t, n, PRECISION_FLOAT16); \
    } \
    static OWN void bf16_rows_##n(const struct product *p, struct tile *t) \
    { \
        strips_multiply(p, t, n, PRECISION_BFLOAT16); \
    } \
    static OWN void int8_rows_##n(const struct product *p, struct tile *t) \
    { \
        strips_multiply(p, t, n, PRECISION_INT8); \
    }
#if TILE_ROWS_ALONE == 14
#define HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
HEIGHTS(TILE)

static void (*const rows_multiply[N_PRECISIONS][TILE_ROWS_ALONE])(const struct product *,
                                                                  struct tile *) = {
#define F32(n)  f32_rows_##n,
#define F16(n)  f16_rows_##n,
#define BF16(n) bf16_rows_##n,
#define INT8(n) int8_rows_##n,
    [PRECISION_FLOAT32] = {HEIGHTS(F32)},
    [PRECISION_FLOAT16] = {HEIGHTS(F16)},
    [PRECISION_BFLOAT16] = {HEIGHTS(BF16)},
    [PRECISION_INT8] = {HEIGHTS(INT8)},
};

/* Panels in the order they are taken. */
INLINE size_t nth_panel(const struct product *p, size_t nth)
{
    return p->backwards ? p->panel_last - 1 - nth : p->panel_first + nth;
}

/* Rows of tile i of n. Those of int8 share the rows in whole sums, so that the last alone may be odd. */
INLINE size_t tile_rows(size_t rows, size_t n, size_t i, const enum precision FORM)
{
    if (FORM != PRECISION_INT8)
        return share_of(rows, n, i);
    const size_t share = share_of(quotient_up(rows, SUM_ROWS), n, i) * SUM_ROWS;
    return i + 1 == n ? share - quotient_up(rows, SUM_ROWS) * SUM_ROWS + rows : share;
}

/* Rows [row, row + rows) against the nth panel, prefetching the next (from the first again when
 * another block of rows follows). */
INLINE void panel_multiply(const struct product *p, size_t nth, size_t row, size_t rows,
                           const enum precision FORM)
{
    const size_t tiles = rows <= TILE_ROWS_ALONE ? 1 : quotient_up(rows, TILE_ROWS);
    const size_t steps = panel_steps(p, FORM);
    const size_t depth = FORM == PRECISION_INT8 ? steps : BLOCK_STEPS;
    const size_t strips = PANEL_VECTORS / tile_width(tile_rows(rows, tiles, 0, FORM), FORM);
    const size_t chunk = CHUNK_STEPS * step_bytes(FORM) / LINE_PAIR_BYTES;
    const size_t panel = nth_panel(p, nth);
    const bool is_last = nth + 1 == p->panel_last - p->panel_first;
    const size_t next_panel = nth_panel(p, is_last ? 0 : nth + 1);
    for (size_t k = 0; k < steps; k += depth) {
        const size_t last = minimum(k + depth, steps),
                     next = last == steps ? next_panel * steps : panel * steps + last;
        struct tile t = {.row = row,
                         .panel = panel,
                         .first = k,
                         .last = last,
                         .resumes = k > 0,
                         .ahead = (const char *)p->W + next * step_bytes(FORM),
                         .pairs = quotient_up(chunk, tiles * strips)};
        const bool useful = tiles > 1 && !(is_last && row + rows == p->R);
        t.ahead_end = t.ahead + (useful ? (last - k) * step_bytes(FORM) : 0);
        for (size_t i = 0; i < tiles; i++)
            rows_multiply[FORM][tile_rows(rows, tiles, i, FORM) - 1](p, &t);
    }
}

INLINE void product_multiply(const struct product *p, const enum precision FORM)
{
    const size_t row_bytes = p->K * input_bytes(FORM);
    const size_t most = ROW_BLOCK_BYTES / row_bytes + 4 * TILE_ROWS;
    const size_t blocks = quotient_up(p->R, most);
    size_t row = 0;
    for (size_t i = 0; i < blocks; i++) {
        const size_t rows = share_of(p->R, blocks, i);
        for (size_t nth = 0; nth < p->panel_last - p->panel_first; nth++)
            panel_multiply(p, nth, row, rows, FORM);
        row += rows;
    }
}

static void product_f32(const struct product *p)
{
    product_multiply(p, PRECISION_FLOAT32);
}

static void product_f16(const struct product *p)
{
    product_multiply(p, PRECISION_FLOAT16);
}

#ifdef __AMX_TILE__

#include "core/kernel_sets/kernel_amx.h"

#else

#define BFLOAT16_BLOCK 0

static void product_bf16(const struct product *p)
{
    product_multiply(p, PRECISION_BFLOAT16);
}

static void product_int8(const struct product *p)
{
    product_multiply(p, PRECISION_INT8);
}

#endif

#include "core/kernel_sets/kernel_units.h"
#include "core/kernel_sets/kernel_rows.h"

const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .layout = LAYOUT_PANELS,
    .int8_inputs = SUM_INPUTS,
    .bfloat16_block = BFLOAT16_BLOCK,
    .is_fused = KERNELS_FUSED,
    .batch_independent = true,
    .product = {[PRECISION_FLOAT32] = product_f32,
                [PRECISION_FLOAT16] = product_f16,
                [PRECISION_BFLOAT16] = product_bf16,
                [PRECISION_INT8] = product_int8},
    .encode = {[PRECISION_BFLOAT16] = encode_bf16, [PRECISION_INT8] = encode_int8},
    .lstm_gates = lstm_gates,
    .slstm_gates = slstm_gates,
    .mlstm_memory = mlstm_memory,
    .tanh = array_tanh,
    .sigmoid = array_sigmoid,
    .relu = array_relu,
    .dots = rows_dots,
    .weigh = rows_weigh,
    .greatest = row_greatest,
    .exp_sum = row_exp_sum,
};
