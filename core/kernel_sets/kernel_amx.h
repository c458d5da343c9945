/* The int8 and bfloat16 products of a kernel set with AMX (Intel, Architecture Instruction Set Extensions
 * Programming Reference, chapter 3). kernel_body.h includes it in place of its own loops for these.
 *
 * A tile register holds 16 rows of 64 bytes. One instruction multiplies 16 rows of A, 64 bytes of codes of
 * each, by 16 outputs, and adds the products to 16 x 16 sums. Its tile of weights has 16 rows: a row holds
 * four bytes of each of 16 outputs. A panel has these rows already, a step apart:
 *
 *      step s       [ 16 outputs | 16 | 16 | 16 ]         256 bytes
 *      step s + 1   [ 16 outputs | 16 | 16 | 16 ]
 *      ...                                                a tile is a quarter of 16 steps
 *
 * A block of C is four tiles of sums, which take turns, so that no instruction waits for the one before it:
 * two tiles of rows by two of outputs, or, for the last 16 rows or fewer, one by four.
 *
 *                 weights 0   weights 1                          weights 0  1  2  3
 *      codes 0     sums 0      sums 1                  codes 0      sums 0  1  2  3
 *      codes 1     sums 2      sums 3
 *
 * Sums of int8 are exact, so these are the bits of all other sets. Sums of bfloat16 have an order of their
 * own: promise 4 of kernels.h.
 *
 * Tile registers belong to the thread. A switch of threads that finds them in use saves 8 KB of them, so a
 * product sets them up when it begins and releases them when it ends. */
#include <stdalign.h>

enum {
    TILE_STEPS = 16, /* rows of a tile, outputs of it, and steps of a panel in it */
    TILE_BYTES = 64, /* of a row of a tile */
    BLOCK_TILES = 4,
    INT8_TILE_ROWS = 8, /* fewer have too little to do for the tiles */
    PART_ROWS = 256, /* of A, at most, that all panels are multiplied by in turn */
    N_TILES = 8,
    /* The registers: four of sums, two of codes, two of weights. */
    CODES_TILE = 4,
    WEIGHTS_TILE = 6,
};

/* What LDTILECFG reads. */
struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Tiles of sums on their way from or to C, and the tail: the inputs after the last TILE_BYTES of a row, with
 * zeros behind them, of all rows of a part and of one panel. */
struct tile_room {
    alignas(64) int32_t sums[BLOCK_TILES][TILE_STEPS][TILE_STEPS];
    alignas(64) char codes[PART_ROWS][TILE_BYTES];
    alignas(64) char weights[PANEL_COLUMNS / TILE_STEPS][TILE_STEPS][TILE_BYTES];
};

/* `rows` rows from `row` on, 32 at most; tiles of outputs from n on, whose weights begin at `weights`. */
struct tile_block {
    size_t row, rows, n;
    const char *weights, *tail_codes, *tail_weights;
};

/* The compiler does not know what the instructions on tiles read. */
#define TILES_READ_MEMORY() __asm__ volatile("" ::: "memory")

/* The instructions have the numbers of their tiles in them: CALL(n) for the n that is TILE. */
#define TILE_CASE(n, CALL) \
    case n: \
        CALL(n); \
        break;
#define TILE_SWITCH(TILE, CALL) \
    switch (TILE) { \
        TILE_CASE(0, CALL) TILE_CASE(1, CALL) TILE_CASE(2, CALL) TILE_CASE(3, CALL) \
        TILE_CASE(4, CALL) TILE_CASE(5, CALL) TILE_CASE(6, CALL) TILE_CASE(7, CALL) \
    }

INLINE void tile_zero(const size_t TILE)
{
    TILE_SWITCH(TILE, _tile_zero)
}

INLINE void tile_load(const size_t TILE, const void *from, size_t stride)
{
#define LOAD(n) _tile_loadd(n, from, stride)
    TILE_SWITCH(TILE, LOAD)
#undef LOAD
}

INLINE void tile_store(const size_t TILE, void *to, size_t stride)
{
#define STORE(n) _tile_stored(n, to, stride)
    TILE_SWITCH(TILE, STORE)
#undef STORE
}

/* Two tiles of sums += a tile of codes * both tiles of weights. */
#define TILES_MULTIPLY(instruction, first, second, codes) \
    do { \
        instruction(first, codes, 6); \
        instruction(second, codes, 7); \
    } while (0)

/* Tiles of outputs in a block of M tiles of rows. */
INLINE size_t block_width(const size_t M)
{
    return BLOCK_TILES / M;
}

/* The two tiles of weights, by all codes: the outputs 2 half and 2 half + 1 of the block. */
INLINE void tiles_multiply(const size_t M, const size_t half, const enum precision FORM)
{
    if (FORM == PRECISION_INT8) {
        if (half)
            TILES_MULTIPLY(_tile_dpbusd, 2, 3, 4);
        else
            TILES_MULTIPLY(_tile_dpbusd, 0, 1, 4);
        if (M == 2)
            TILES_MULTIPLY(_tile_dpbusd, 2, 3, 5);
    } else {
        if (half)
            TILES_MULTIPLY(_tile_dpbf16ps, 2, 3, 4);
        else
            TILES_MULTIPLY(_tile_dpbf16ps, 0, 1, 4);
        if (M == 2)
            TILES_MULTIPLY(_tile_dpbf16ps, 2, 3, 5);
    }
}

/* One step of TILE_BYTES: all tiles of codes by all tiles of weights. */
INLINE void block_add(const char *codes, size_t lda, const char *weights, size_t across, size_t stride,
                      const size_t M, const enum precision FORM)
{
    foreach (m, M)
        tile_load(CODES_TILE + m, codes + m * TILE_STEPS * lda, lda);
    foreach (half, 2 / M) {
        foreach (v, 2)
            tile_load(WEIGHTS_TILE + v, weights + (2 * half + v) * across, stride);
        tiles_multiply(M, half, FORM);
    }
}

/* Rows of tile m of codes. */
INLINE size_t tile_height(size_t rows, size_t m)
{
    return minimum(rows - minimum(rows, m * TILE_STEPS), TILE_STEPS);
}

static void tiles_shape(size_t rows, const size_t M)
{
    struct tile_shapes shapes = {.palette = 1};
    for (size_t i = 0; i < N_TILES; i++) {
        const size_t m = i < BLOCK_TILES ? i / block_width(M) : i - CODES_TILE;
        shapes.rows[i] = (uint8_t)(i >= WEIGHTS_TILE ? TILE_STEPS : tile_height(rows, m));
        shapes.row_bytes[i] = shapes.rows[i] ? TILE_BYTES : 0;
    }
    TILES_READ_MEMORY();
    _tile_loadconfig(&shapes);
}

/* Whether C has all columns of a tile from n on. */
INLINE bool is_whole(const struct product *p, size_t n)
{
    return n + TILE_STEPS <= p->N;
}

/* Sums of bfloat16 begin with the base, those of int8 with zero. */
INLINE void sums_begin(const struct product *p, const struct tile_block *b, struct tile_room *room,
                       const size_t i, const size_t M, const enum precision FORM)
{
    const size_t m = i / block_width(M), n = b->n + i % block_width(M) * TILE_STEPS;
    const size_t row = b->row + m * TILE_STEPS;
    if (FORM == PRECISION_INT8 || !(p->accumulate || p->bias)) {
        tile_zero(i);
    } else if (!p->accumulate) {
        tile_load(i, p->bias + n, 0);
    } else if (is_whole(p, n)) {
        tile_load(i, p->C + row * p->ldc + n, p->ldc * sizeof(float));
    } else {
        for (size_t r = 0; r < tile_height(b->rows, m); r++)
            vector_store((float *)(void *)room->sums[i][r], base_load(p, true, row + r, n));
        TILES_READ_MEMORY();
        tile_load(i, room->sums[i], TILE_BYTES);
    }
}

INLINE void sums_end(const struct product *p, const struct tile_block *b, struct tile_room *room,
                     const size_t i, const size_t M, const enum precision FORM)
{
    const size_t m = i / block_width(M), n = b->n + i % block_width(M) * TILE_STEPS;
    const size_t row = b->row + m * TILE_STEPS;
    if (FORM == PRECISION_BFLOAT16 && is_whole(p, n))
        tile_store(i, p->C + row * p->ldc + n, p->ldc * sizeof(float));
    else
        tile_store(i, room->sums[i], TILE_BYTES);
}

/* The same as sums_store, for all rows of a tile. As far as the compiler knows, a store to C may change *p:
 * so the loop reads nothing of it. */
INLINE void int8_sums_store(const struct product *p, const integers *sums_of, size_t row, size_t rows,
                            size_t n)
{
    const integers correction = integers_load(p->correction + n);
    const vector scale = vector_load(p->scale + n), bias = base_load(p, false, row, n);
    const bool accumulate = p->accumulate;
    const size_t ldc = p->ldc;
    float *c = p->C + row * ldc + n;
    for (size_t r = 0; r < rows; r++, c += ldc) {
        const vector sum = integers_to_vector(integers_subtract(sums_of[r], correction));
        vector_store(c, vector_fma(scale, sum, accumulate ? vector_load(c) : bias));
    }
}

/* The sums of a tile, left in the room, to C. */
INLINE void room_empty(const struct product *p, const struct tile_block *b, const struct tile_room *room,
                       const size_t i, const size_t M, const enum precision FORM)
{
    const size_t m = i / block_width(M), n = b->n + i % block_width(M) * TILE_STEPS;
    const size_t row = b->row + m * TILE_STEPS, rows = tile_height(b->rows, m);
    if (is_whole(p, n)) {
        if (FORM == PRECISION_INT8)
            int8_sums_store(p, (const integers *)(const void *)room->sums[i], row, rows, n);
        return;
    }
    for (size_t r = 0; r < rows && n < p->N; r++) {
        if (FORM == PRECISION_INT8)
            sums_store(p, row + r, n, integers_load(room->sums[i][r]));
        else
            result_store(p, row + r, n, vector_load((const float *)(const void *)room->sums[i][r]));
    }
}

INLINE void block_multiply(const struct product *p, const struct tile_block *b, struct tile_room *room,
                           const size_t M, const enum precision FORM)
{
    const size_t lda = p->lda * input_bytes(FORM), row_bytes = p->K * input_bytes(FORM);
    const size_t tail = row_bytes % TILE_BYTES;
    const char *codes = (const char *)p->A + b->row * lda;
    foreach (i, BLOCK_TILES)
        sums_begin(p, b, room, i, M, FORM);
    for (size_t k = 0; k < row_bytes - tail; k += TILE_BYTES)
        block_add(codes + k, lda, b->weights + k * PANEL_COLUMNS, TILE_BYTES, step_bytes(FORM), M, FORM);
    if (tail)
        block_add(b->tail_codes, TILE_BYTES, b->tail_weights, sizeof room->weights[0], TILE_BYTES, M, FORM);
    foreach (i, BLOCK_TILES)
        sums_end(p, b, room, i, M, FORM);
    foreach (i, BLOCK_TILES)
        room_empty(p, b, room, i, M, FORM);
}

static OWN void tail_codes_copy(const struct product *p, size_t row, size_t rows, struct tile_room *room,
                                const enum precision FORM)
{
    const size_t row_bytes = p->K * input_bytes(FORM), tail = row_bytes % TILE_BYTES;
    memset(room->codes, 0, rows * TILE_BYTES);
    for (size_t r = 0; r < rows; r++)
        memcpy(room->codes[r],
               (const char *)p->A + (row + r) * p->lda * input_bytes(FORM) + row_bytes - tail, tail);
}

/* `steps` steps of a panel, with zeros behind. */
static OWN void tail_weights_copy(const char *weights, size_t steps, struct tile_room *room)
{
    memset(room->weights, 0, sizeof room->weights);
    for (size_t s = 0; s < steps; s++) {
        foreach (v, PANEL_COLUMNS / TILE_STEPS)
            memcpy(room->weights[v][s], weights + (s * PANEL_COLUMNS + v * TILE_STEPS) * 4, TILE_BYTES);
    }
}

/* Rows [row, row + rows), of a part that begins at `first`, against a panel. */
INLINE void panel_by_tiles(const struct product *p, size_t panel, size_t first, size_t row, size_t rows,
                           struct tile_room *room, const enum precision FORM)
{
    const char *weights = (const char *)p->W + panel * panel_steps(p, FORM) * step_bytes(FORM);
    const size_t width = TILE_STEPS * (rows > TILE_STEPS ? block_width(2) : block_width(1));
    const size_t outputs = minimum(p->N - panel * PANEL_COLUMNS, PANEL_COLUMNS);
    for (size_t column = 0; column < outputs; column += width) {
        const struct tile_block b = {.row = row,
                                     .rows = rows,
                                     .n = panel * PANEL_COLUMNS + column,
                                     .weights = weights + column * 4,
                                     .tail_codes = room->codes[row - first],
                                     .tail_weights = room->weights[column / TILE_STEPS][0]};
        if (rows > TILE_STEPS)
            block_multiply(p, &b, room, 2, FORM);
        else
            block_multiply(p, &b, room, 1, FORM);
    }
}

/* Rows [first, last) against all panels. */
INLINE void part_by_tiles(const struct product *p, size_t first, size_t last, struct tile_room *room,
                          const enum precision FORM)
{
    const size_t high = 2 * TILE_STEPS, tail = p->K * input_bytes(FORM) % TILE_BYTES;
    const size_t steps = panel_steps(p, FORM), tail_steps = quotient_up(tail, 4);
    size_t shaped = 0;
    if (tail)
        tail_codes_copy(p, first, last - first, room, FORM);
    for (size_t nth = 0; nth < p->panel_last - p->panel_first; nth++) {
        const size_t panel = nth_panel(p, nth);
        if (tail)
            tail_weights_copy((const char *)p->W + ((panel + 1) * steps - tail_steps) * step_bytes(FORM),
                              tail_steps, room);
        TILES_READ_MEMORY();
        for (size_t row = first; row < last; row += high) {
            const size_t rows = minimum(last - row, high);
            if (rows != shaped)
                tiles_shape(rows, rows > TILE_STEPS ? 2 : 1);
            shaped = rows;
            panel_by_tiles(p, panel, first, row, rows, room, FORM);
        }
    }
}

INLINE void product_by_tiles(const struct product *p, const enum precision FORM)
{
    struct tile_room room;
    for (size_t row = 0; row < p->R; row += PART_ROWS)
        part_by_tiles(p, row, minimum(row + PART_ROWS, p->R), &room, FORM);
    _tile_release();
}

#define BFLOAT16_BLOCK 32

static void product_bf16(const struct product *p)
{
    product_by_tiles(p, PRECISION_BFLOAT16);
}

static void product_int8(const struct product *p)
{
    if (p->R < INT8_TILE_ROWS || p->K < TILE_BYTES)
        product_multiply(p, PRECISION_INT8);
    else
        product_by_tiles(p, PRECISION_INT8);
}
