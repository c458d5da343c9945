/* The body of a kernel set, included by core/kernels_<set>.c after a vector vocabulary
 * (core/vector_*.h) and the definitions of KERNELS (the table) and KERNELS_NAME (its text).
 *
 * THE PRODUCT, for each row r and output n:
 *
 *     C[r,n] = base + A[r,0] W[n,0] + A[r,1] W[n,1] + ...      in this order, one accumulator
 *
 * PACKING. W lies in panels of 64 outputs (drawing in core/matrix.h), so a step of k reads 64
 * weights in a row. A tile is 1..6 rows of A by VECTORS vectors of a panel:
 *
 *                  panel row k:  [ w0 | w1 | w2 | w3 ]        loaded once, used by every row
 *                                   |    |    |    |
 *     A[0,k] broadcast ---------> acc00 acc01 acc02 acc03     acc[r][v] = fma(A[r,k], w[v], acc)
 *     A[1,k] broadcast ---------> acc10 acc11 acc12 acc13
 *       ...                                                   held in registers for all k
 *
 * REGISTERS. AVX-512: 6 x 4 accumulators + 4 weights + 1 activation = 29 of 32. AVX2: 6 x 2 + 2
 * + 1 = 15 of 16; with fewer rows a tile is wider, so that at least 8 chains of fma hide their
 * latency (table TILE_VECTORS of each vocabulary). Rows are split evenly: 16 = 6 + 5 + 5.
 *
 * LOOPS, outermost first: blocks of rows, so that their A stays in L2; panels; blocks of k, so
 * that their weights (16 KB) stay in L1 while the tiles of the row block pass over them, C
 * carrying the accumulators from one block of k to the next, which loses no bit; tiles. With few
 * rows each weight is read from beyond L2 once, and there is one block of k.
 *
 * Loops over constant bounds are unrolled by the compiler, so that acc[][] lives in registers;
 * every function that takes ROWS or VECTORS must be inlined into a call with constants. */
#include "core/kernels.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

enum { TILE_ROWS = 6, ROW_BLOCK = 120, INPUT_BLOCK = 64 };

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- float32 and float16 products ---- */

/* What a tile covers. Columns are counted inside the panel. */
struct tile {
    size_t row, panel, column;
    size_t first, last; /* inputs k */
    bool resumes;       /* C holds the accumulators of the inputs before `first` */
};

/* Up to LANES elements of C or of the bias: the accumulators' start. */
INLINE vector tile_base(const struct product *p, const struct tile *t, size_t row, size_t n)
{
    if (t->resumes || p->accumulate) {
        const float *c = p->C + row * p->ldc + n;
        if (n + LANES <= p->N) return vector_load(c);
        return n < p->N ? vector_load_first(c, p->N - n) : vector_all(0);
    }
    return p->bias ? vector_load(p->bias + n) : vector_all(0);
}

INLINE void tile_store(const struct product *p, size_t row, size_t n, vector v)
{
    float *c = p->C + row * p->ldc + n;
    if (n + LANES <= p->N) vector_store(c, v);
    else if (n < p->N) vector_store_first(c, v, p->N - n);
}

/* One tile of ROWS x VECTORS accumulators. HALF: weights are stored as float16. */
INLINE void tile_multiply(const struct product *p, const struct tile *t, const size_t ROWS,
                          const size_t VECTORS, const bool HALF)
{
    const size_t n = t->panel * PANEL_COLUMNS + t->column;
    const size_t w0 = (t->panel * p->K + t->first) * PANEL_COLUMNS + t->column;
    const float *w = (const float *)p->W + (HALF ? 0 : w0);
    const uint16_t *half = (const uint16_t *)p->W + (HALF ? w0 : 0);
    const float *a[TILE_ROWS];
    vector acc[TILE_ROWS][PANEL_COLUMNS / LANES];
    UNROLL for (size_t r = 0; r < ROWS; r++) {
        a[r] = (const float *)p->A + (t->row + r) * p->lda;
        UNROLL for (size_t v = 0; v < VECTORS; v++)
            acc[r][v] = tile_base(p, t, t->row + r, n + v * LANES);
    }
    for (size_t k = t->first; k < t->last; k++) {
        vector weight[PANEL_COLUMNS / LANES];
        UNROLL for (size_t v = 0; v < VECTORS; v++)
            weight[v] = HALF ? vector_load_half(half + v * LANES) : vector_load(w + v * LANES);
        UNROLL for (size_t r = 0; r < ROWS; r++) {
            vector activation = vector_all(a[r][k]);
            UNROLL for (size_t v = 0; v < VECTORS; v++)
                acc[r][v] = vector_fma(activation, weight[v], acc[r][v]);
        }
        if (HALF) half += PANEL_COLUMNS;
        else w += PANEL_COLUMNS;
    }
    UNROLL for (size_t r = 0; r < ROWS; r++) {
        UNROLL for (size_t v = 0; v < VECTORS; v++)
            tile_store(p, t->row + r, n + v * LANES, acc[r][v]);
    }
}

/* ROWS rows over the whole width of a panel, in strips of as many vectors as the registers hold. */
INLINE void panel_multiply(const struct product *p, struct tile *t, const size_t ROWS,
                           const bool HALF)
{
    const size_t vectors[TILE_ROWS] = TILE_VECTORS;
    const size_t strip = vectors[ROWS - 1] * LANES;
    for (t->column = 0; t->column < PANEL_COLUMNS; t->column += strip) {
        if (t->panel * PANEL_COLUMNS + t->column >= p->N) break;
        tile_multiply(p, t, ROWS, vectors[ROWS - 1], HALF);
    }
}

INLINE void rows_multiply(const struct product *p, struct tile *t, size_t rows, const bool HALF)
{
    switch (rows) {
    case 1: panel_multiply(p, t, 1, HALF); break;
    case 2: panel_multiply(p, t, 2, HALF); break;
    case 3: panel_multiply(p, t, 3, HALF); break;
    case 4: panel_multiply(p, t, 4, HALF); break;
    case 5: panel_multiply(p, t, 5, HALF); break;
    default: panel_multiply(p, t, TILE_ROWS, HALF); break;
    }
}

/* The rows of tile i of n that share `rows` evenly, larger ones first. */
static size_t share_of(size_t rows, size_t n, size_t i)
{
    return rows / n + (i < rows % n);
}

/* Rows [row, row + rows) against one panel. */
INLINE void block_multiply(const struct product *p, size_t panel, size_t row, size_t rows,
                           const bool HALF)
{
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t depth = rows > 4 * TILE_ROWS ? (size_t)INPUT_BLOCK : p->K;
    for (size_t k = 0; k < p->K; k += depth) {
        struct tile t = {.row = row, .panel = panel, .first = k,
                         .last = minimum(k + depth, p->K), .resumes = k > 0};
        for (size_t i = 0; i < tiles; i++) {
            size_t share = share_of(rows, tiles, i);
            rows_multiply(p, &t, share, HALF);
            t.row += share;
        }
    }
}

INLINE void product_float(const struct product *p, const bool HALF)
{
    for (size_t row = 0; row < p->R; row += ROW_BLOCK) {
        size_t rows = minimum(p->R - row, ROW_BLOCK);
        for (size_t panel = p->panel_first; panel < p->panel_last; panel++)
            block_multiply(p, panel, row, rows, HALF);
    }
}

static void product_f32(const struct product *p)
{
    product_float(p, false);
}

static void product_f16(const struct product *p)
{
    product_float(p, true);
}

/* ---- int8 product ----
 *
 * The same tiles, with four k a step: a quad is four codes of a row, broadcast; a 32-bit lane of
 * the panel holds the four weights of one output. Codes are a + 128, so the sum carries
 * 128 * sum_k w too much, which `correction` takes away before the one rounding to float. */

/* The last 1..3 codes of a row, zero-filled: the weights there are zero too. */
static uint32_t quad_tail(const uint8_t *codes, size_t n)
{
    uint32_t four = 0;
    memcpy(&four, codes, n);
    return four;
}

INLINE uint32_t quad_whole(const uint8_t *codes)
{
    uint32_t four;
    memcpy(&four, codes, sizeof four);
    return four;
}

INLINE void tile_multiply_int8(const struct product *p, const struct tile *t, const size_t ROWS,
                               const size_t VECTORS)
{
    const size_t n = t->panel * PANEL_COLUMNS + t->column;
    const size_t quads = p->K / 4, tail = p->K % 4, depth = quads + (tail != 0);
    const int8_t *w = (const int8_t *)p->W + (t->panel * depth * PANEL_COLUMNS + t->column) * 4;
    const uint8_t *a[TILE_ROWS];
    sums sum[TILE_ROWS][PANEL_COLUMNS / LANES];
    UNROLL for (size_t r = 0; r < ROWS; r++) {
        a[r] = (const uint8_t *)p->A + (t->row + r) * p->lda;
        UNROLL for (size_t v = 0; v < VECTORS; v++) sum[r][v] = sums_zero();
    }
    for (size_t q = 0; q < depth; q++) {
        quad_weights weight[PANEL_COLUMNS / LANES];
        UNROLL for (size_t v = 0; v < VECTORS; v++) weight[v] = quad_load(w + v * LANES * 4);
        UNROLL for (size_t r = 0; r < ROWS; r++) {
            quad codes = quad_all(q < quads ? quad_whole(a[r] + 4 * q)
                                            : quad_tail(a[r] + 4 * q, tail));
            UNROLL for (size_t v = 0; v < VECTORS; v++)
                sum[r][v] = sums_add(sum[r][v], codes, weight[v]);
        }
        w += PANEL_COLUMNS * 4;
    }
    UNROLL for (size_t r = 0; r < ROWS; r++) {
        UNROLL for (size_t v = 0; v < VECTORS; v++) {
            size_t at = n + v * LANES;
            integers exact = integers_subtract(sums_finish(sum[r][v]),
                                               integers_load(p->correction + at));
            vector base = tile_base(p, t, t->row + r, at);
            tile_store(p, t->row + r, at,
                       vector_fma(vector_load(p->scale + at), integers_to_vector(exact), base));
        }
    }
}

INLINE void panel_multiply_int8(const struct product *p, struct tile *t, const size_t ROWS)
{
    const size_t vectors[TILE_ROWS] = TILE_SUMS;
    const size_t strip = vectors[ROWS - 1] * LANES;
    for (t->column = 0; t->column < PANEL_COLUMNS; t->column += strip) {
        if (t->panel * PANEL_COLUMNS + t->column >= p->N) break;
        tile_multiply_int8(p, t, ROWS, vectors[ROWS - 1]);
    }
    t->row += ROWS;
}

static void product_int8(const struct product *p)
{
    const size_t tiles = (p->R + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t panel = p->panel_first; panel < p->panel_last; panel++) {
        struct tile t = {.panel = panel};
        for (size_t i = 0; i < tiles; i++) {
            switch (share_of(p->R, tiles, i)) {
            case 1: panel_multiply_int8(p, &t, 1); break;
            case 2: panel_multiply_int8(p, &t, 2); break;
            case 3: panel_multiply_int8(p, &t, 3); break;
            case 4: panel_multiply_int8(p, &t, 4); break;
            case 5: panel_multiply_int8(p, &t, 5); break;
            default: panel_multiply_int8(p, &t, TILE_ROWS); break;
            }
        }
    }
}

/* ---- exponential, gates, activations ----
 *
 * exp(x) = 2^n exp(r), n the integer nearest to x / ln 2, |r| <= ln(2) / 2. n is found by adding
 * 1.5 * 2^23, after which the low bits of the float are n; ln 2 is split in two so that r is
 * exact to the last bit; exp(r) is the polynomial of Cephes' expf; n is added to the exponent.
 * Relative error below 1.2e-7 + rounding (one unit in the last place).
 *
 * x is clamped to +-EXP_LIMIT first. At 29, sigmoid is within 3e-13 of its limit and tanh rounds
 * to it, while three denominators of a gate multiply to less than 1e38. */
#define EXP_LIMIT 29.0f

INLINE vector vector_exp(vector x)
{
    const vector shift = vector_all(0x1.8p23f);
    x = vector_min(vector_max(x, vector_all(-EXP_LIMIT)), vector_all(EXP_LIMIT));
    vector n = vector_fma(x, vector_all(1.44269504088896341f), shift);
    vector whole = vector_subtract(n, shift);
    vector r = vector_fma(whole, vector_all(-0.693359375f), x);
    r = vector_fma(whole, vector_all(2.12194440e-4f), r);
    vector y = vector_all(1.9875691500e-4f);
    y = vector_fma(y, r, vector_all(1.3981999507e-3f));
    y = vector_fma(y, r, vector_all(8.3334519073e-3f));
    y = vector_fma(y, r, vector_all(4.1665795894e-2f));
    y = vector_fma(y, r, vector_all(1.6666665459e-1f));
    y = vector_fma(y, r, vector_all(5.0000001201e-1f));
    y = vector_fma(vector_multiply(r, r), y, r);
    return vector_scale_by_power(vector_add(y, vector_all(1)), n);
}

/* With e_x = exp(-x), e_g = exp(-2g), e_c = exp(-2c'), over common denominators, so that a unit
 * costs five exponentials and two divisions:
 *
 *          c (1 + e_i)(1 + e_g) + (1 - e_g)(1 + e_f)              1 - e_c
 *     c' = -----------------------------------------    h' = -------------------
 *              (1 + e_f) (1 + e_i)(1 + e_g)                  (1 + e_o)(1 + e_c)      */
INLINE void gates_apply(vector i, vector f, vector g, vector o, vector *c, vector *h)
{
    const vector one = vector_all(1), minus_one = vector_all(-1), minus_two = vector_all(-2);
    vector f1 = vector_add(one, vector_exp(vector_multiply(f, minus_one)));
    vector i1 = vector_add(one, vector_exp(vector_multiply(i, minus_one)));
    vector eg = vector_exp(vector_multiply(g, minus_two));
    vector ig = vector_multiply(i1, vector_add(one, eg));
    vector sum = vector_fma(*c, ig, vector_multiply(vector_subtract(one, eg), f1));
    *c = vector_divide(sum, vector_multiply(f1, ig));
    vector o1 = vector_add(one, vector_exp(vector_multiply(o, minus_one)));
    vector ec = vector_exp(vector_multiply(*c, minus_two));
    *h = vector_divide(vector_subtract(one, ec), vector_multiply(o1, vector_add(one, ec)));
}

static void lstm_gates(const struct gates *p)
{
    for (size_t r = 0; r < p->R; r++) {
        const float *i = p->gates + r * p->ldg, *f = i + p->H, *g = f + p->H, *o = g + p->H;
        float *c = p->c + r * p->ldc, *h = p->h + r * p->ldh;
        size_t j = 0;
        for (; j + LANES <= p->H; j += LANES) {
            vector cell = vector_load(c + j), out;
            gates_apply(vector_load(i + j), vector_load(f + j), vector_load(g + j),
                        vector_load(o + j), &cell, &out);
            vector_store(c + j, cell);
            vector_store(h + j, out);
        }
        if (j < p->H) {
            size_t n = p->H - j;
            vector cell = vector_load_first(c + j, n), out;
            gates_apply(vector_load_first(i + j, n), vector_load_first(f + j, n),
                        vector_load_first(g + j, n), vector_load_first(o + j, n), &cell, &out);
            vector_store_first(c + j, cell, n);
            vector_store_first(h + j, out, n);
        }
    }
}

INLINE vector vector_tanh(vector x)
{
    const vector one = vector_all(1);
    vector e = vector_exp(vector_multiply(x, vector_all(-2)));
    return vector_divide(vector_subtract(one, e), vector_add(one, e));
}

INLINE vector vector_sigmoid(vector x)
{
    const vector one = vector_all(1);
    return vector_divide(one, vector_add(one, vector_exp(vector_multiply(x, vector_all(-1)))));
}

INLINE vector vector_relu(vector x)
{
    return vector_max(x, vector_all(0));
}

/* y = FUNCTION(x) over arrays, the tail in a partial vector. */
#define ELEMENTWISE(NAME, FUNCTION)                                                              \
    static void NAME(size_t n, const float *x, float *y)                                         \
    {                                                                                            \
        size_t i = 0;                                                                            \
        for (; i + LANES <= n; i += LANES) vector_store(y + i, FUNCTION(vector_load(x + i)));    \
        if (i < n) vector_store_first(y + i, FUNCTION(vector_load_first(x + i, n - i)), n - i);  \
    }

ELEMENTWISE(array_tanh, vector_tanh)
ELEMENTWISE(array_sigmoid, vector_sigmoid)
ELEMENTWISE(array_relu, vector_relu)

/* Rounding happens once, in vector_store_codes, which also adds CODE_ZERO. */
INLINE vector vector_code(vector x)
{
    const vector limit = vector_all(CODE_SCALE);
    x = vector_multiply(x, limit);
    return vector_min(vector_max(x, vector_all(-CODE_SCALE)), limit);
}

static void array_quantize(size_t n, const float *x, uint8_t *codes)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vector_store_codes(codes + i, vector_code(vector_load(x + i)));
    if (i < n) {
        uint8_t last[LANES];
        vector_store_codes(last, vector_code(vector_load_first(x + i, n - i)));
        memcpy(codes + i, last, n - i);
    }
}

const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .layout = LAYOUT_PANELS,
    .is_fused = KERNELS_FUSED,
    .batch_independent = true,
    .product = {[PRECISION_FLOAT32] = product_f32,
                [PRECISION_FLOAT16] = product_f16,
                [PRECISION_INT8] = product_int8},
    .quantize = array_quantize,
    .lstm_gates = lstm_gates,
    .tanh = array_tanh,
    .sigmoid = array_sigmoid,
    .relu = array_relu,
};
