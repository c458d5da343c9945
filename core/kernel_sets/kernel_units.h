/* What a kernel set does unit by unit: the gates of a cell, activations, codes. kernel_body.h includes it,
 * after its own macros; it compiles there only.
 *
 * exp(s x) = 2^n 2^r, n the integer nearest to y = x s / ln 2, |r| <= 1/2. n is found by adding 1.5 * 2^23,
 * after which the low bits of the float are n; r = y - n is exact; 2^r is 1 + r times a polynomial of
 * degree 4, fitted for the least relative error, 9.2e-8; n is added to the exponent.
 *
 * y is rounded once, so the relative error is 9.2e-8 + |s x| 2^-24 and two units in the last place.
 * It grows with x, and does no harm: sigmoid and tanh flatten faster. The derivative of sigmoid times
 * x is 0.23 at most, so of |x| 2^-24 at most 0.23 * 2^-24 arrives in a sigmoid.
 *
 * y is clamped to +-EXP_LIMIT / ln 2 first. At s x = 29 sigmoid is within 3e-13 of its limit and tanh
 * rounds to it, while three denominators of a gate multiply to less than 1e38. */
#define EXP_LIMIT 29.0f
#define LOG2_E    1.44269504088896341f

/* exp(s x), s a constant. */
INLINE vector vector_exp(vector x, const float s)
{
    const vector shift = vector_all(0x1.8p23f), limit = vector_all(EXP_LIMIT * LOG2_E);
    vector y = vector_multiply(x, vector_all(s * LOG2_E));
    y = vector_min(vector_max(y, vector_all(-EXP_LIMIT * LOG2_E)), limit);
    vector n = vector_add(y, shift);
    vector r = vector_subtract(y, vector_subtract(n, shift));
    vector p = vector_all(0x1.5bba14p-10f);
    p = vector_fma(p, r, vector_all(0x1.3cea88p-7f));
    p = vector_fma(p, r, vector_all(0x1.c6b752p-5f));
    p = vector_fma(p, r, vector_all(0x1.ebf9bcp-3f));
    p = vector_fma(p, r, vector_all(0x1.62e42ap-1f));
    p = vector_fma(p, r, vector_all(1));
    return vector_scale_by_power(p, n);
}

/* With e_x = exp(-x), e_g = exp(-2g), e_c = exp(-2c'), over common denominators, so that a unit
 * costs five exponentials and two divisions:
 *
 *          c (1 + e_i)(1 + e_g) + (1 - e_g)(1 + e_f)              1 - e_c
 *     c' = -----------------------------------------    h' = -------------------
 *              (1 + e_f) (1 + e_i)(1 + e_g)                  (1 + e_o)(1 + e_c)
 *
 * One after the other they are a chain of some 200 cycles, of which a processor holds two at a time. So
 * c' is made for a block of rows first, then h': chains half as long, and twice as many under way. */
enum { GATE_ROWS = 16 };

/* Vectors side by side in a strip of a matrix memory: enough chains of sums, few enough registers. */
enum { MEMORY_VECTORS = 4 };

INLINE vector vector_one_plus_exp(vector x, const float factor)
{
    return vector_add(vector_all(1), vector_exp(x, factor));
}

INLINE vector cell_of(vector i, vector f, vector g, vector c)
{
    vector f1 = vector_one_plus_exp(f, -1), i1 = vector_one_plus_exp(i, -1);
    vector eg = vector_exp(g, -2);
    vector ig = vector_multiply(i1, vector_add(vector_all(1), eg));
    vector sum = vector_fma(c, ig, vector_multiply(vector_subtract(vector_all(1), eg), f1));
    return vector_divide(sum, vector_multiply(f1, ig));
}

INLINE vector output_of(vector o, vector c)
{
    vector o1 = vector_one_plus_exp(o, -1);
    vector ec = vector_exp(c, -2);
    return vector_divide(vector_subtract(vector_all(1), ec),
                         vector_multiply(o1, vector_add(vector_all(1), ec)));
}

/* c of one row. */
INLINE void row_cells(const struct gates *p, size_t r)
{
    const float *i = p->gates + r * p->ldg, *f = i + p->H, *g = f + p->H;
    float *c = p->c + r * p->ldc;
    size_t j = 0, n = p->H % LANES;
    for (; j + LANES <= p->H; j += LANES)
        vector_store(c + j, cell_of(vector_load(i + j), vector_load(f + j), vector_load(g + j),
                                    vector_load(c + j)));
    if (n)
        vector_store_first(c + j,
                           cell_of(vector_load_first(i + j, n), vector_load_first(f + j, n),
                                   vector_load_first(g + j, n), vector_load_first(c + j, n)),
                           n);
}

/* h of one row, from its c. */
INLINE void row_outputs(const struct gates *p, size_t r)
{
    const float *o = p->gates + r * p->ldg + 3 * p->H, *c = p->c + r * p->ldc;
    float *h = p->h + r * p->ldh;
    size_t j = 0, n = p->H % LANES;
    for (; j + LANES <= p->H; j += LANES)
        vector_store(h + j, output_of(vector_load(o + j), vector_load(c + j)));
    if (n)
        vector_store_first(h + j,
                           output_of(vector_load_first(o + j, n), vector_load_first(c + j, n)), n);
}

static void lstm_gates(const struct gates *p)
{
    for (size_t row = 0, end; row < p->R; row = end) {
        end = minimum(row + GATE_ROWS, p->R);
        for (size_t r = row; r < end; r++)
            row_cells(p, r);
        for (size_t r = row; r < end; r++)
            row_outputs(p, r);
    }
}

INLINE vector vector_tanh(vector x)
{
    const vector one = vector_all(1);
    vector e = vector_exp(x, -2);
    return vector_divide(vector_subtract(one, e), vector_add(one, e));
}

INLINE vector vector_sigmoid(vector x)
{
    const vector one = vector_all(1);
    return vector_divide(one, vector_add(one, vector_exp(x, -1)));
}

/* log(1 + e) for e in [0, 1]: 2 artanh(s), s = e / (2 + e) <= 1/3; the relative error of seven terms is 2e-8.
 * */
INLINE vector vector_log1p(vector e)
{
    vector s = vector_divide(e, vector_add(vector_all(2), e)), s2 = vector_multiply(s, s);
    vector p = vector_all(1.0f / 13);
    p = vector_fma(p, s2, vector_all(1.0f / 11));
    p = vector_fma(p, s2, vector_all(1.0f / 9));
    p = vector_fma(p, s2, vector_all(1.0f / 7));
    p = vector_fma(p, s2, vector_all(1.0f / 5));
    p = vector_fma(p, s2, vector_all(1.0f / 3));
    p = vector_fma(p, s2, vector_all(1));
    return vector_multiply(vector_add(s, s), p);
}

INLINE vector vector_log_sigmoid(vector x)
{
    vector minus = vector_subtract(vector_all(0), x);
    vector e = vector_exp(vector_max(x, minus), -1);
    return vector_subtract(vector_min(x, vector_all(0)), vector_log1p(e));
}

struct slstm_unit {
    vector c, n, m, h;
};

/* n is at least 1, except before the first step: there `kept` is taken so far down that i is the maximum. */
INLINE struct slstm_unit slstm_step(vector i, vector f, vector z, vector o, struct slstm_unit u,
                                    bool forgets_exp)
{
    const vector one = vector_all(1);
    vector kept = vector_add(forgets_exp ? f : vector_log_sigmoid(f), u.m);
    kept = vector_fma(vector_subtract(vector_min(u.n, one), one), vector_all(1e38f), kept);
    u.m = vector_max(kept, i);
    vector in = vector_exp(vector_subtract(i, u.m), 1), keep = vector_exp(vector_subtract(kept, u.m), 1);
    u.c = vector_fma(keep, u.c, vector_multiply(in, vector_tanh(z)));
    u.n = vector_fma(keep, u.n, in);
    u.h = vector_divide(u.c, vector_multiply(u.n, vector_one_plus_exp(o, -1)));
    return u;
}

static void slstm_gates(const struct slstm_gates *p)
{
    const float *i = p->gates, *f = i + p->d, *z = f + p->d, *o = z + p->d;
    size_t j = 0, n = p->d % LANES;
    for (; j + LANES <= p->d; j += LANES) {
        struct slstm_unit u = {
            .c = vector_load(p->c + j), .n = vector_load(p->n + j), .m = vector_load(p->m + j)};
        u = slstm_step(vector_load(i + j), vector_load(f + j), vector_load(z + j), vector_load(o + j), u,
                       p->forgets_exp);
        vector_store(p->c + j, u.c);
        vector_store(p->n + j, u.n);
        vector_store(p->m + j, u.m);
        vector_store(p->h + j, u.h);
    }
    if (n) {
        struct slstm_unit u = {.c = vector_load_first(p->c + j, n), .n = vector_load_first(p->n + j, n),
                               .m = vector_load_first(p->m + j, n)};
        u = slstm_step(vector_load_first(i + j, n), vector_load_first(f + j, n), vector_load_first(z + j, n),
                       vector_load_first(o + j, n), u, p->forgets_exp);
        vector_store_first(p->c + j, u.c, n);
        vector_store_first(p->n + j, u.n, n);
        vector_store_first(p->m + j, u.m, n);
        vector_store_first(p->h + j, u.h, n);
    }
}

/* Columns of C from `u` on, WIDTH vectors of them. Their sums stay in registers while C passes once. */
INLINE void memory_strip(const struct mlstm_memory *p, size_t u, const size_t WIDTH)
{
    const vector keep = vector_all(p->keep);
    vector v[MEMORY_VECTORS], h[MEMORY_VECTORS];
    foreach (i, WIDTH) {
        v[i] = vector_load(p->v + u + i * LANES);
        h[i] = vector_all(0);
    }
    for (size_t j = 0; j < p->e; j++) {
        const vector q = vector_all(p->q[j]), add = vector_all(p->add[j]);
        float *C = p->C + j * p->d + u;
        foreach (i, WIDTH) {
            vector c = vector_fma(keep, vector_load(C + i * LANES), vector_multiply(add, v[i]));
            vector_store(C + i * LANES, c);
            h[i] = vector_fma(q, c, h[i]);
        }
    }
    foreach (i, WIDTH)
        vector_store(p->h + u + i * LANES, h[i]);
}

/* The last n < LANES columns. */
INLINE void memory_rest(const struct mlstm_memory *p, size_t u, size_t n)
{
    const vector keep = vector_all(p->keep), v = vector_load_first(p->v + u, n);
    vector h = vector_all(0);
    for (size_t j = 0; j < p->e; j++) {
        float *C = p->C + j * p->d + u;
        vector c = vector_fma(keep, vector_load_first(C, n), vector_multiply(vector_all(p->add[j]), v));
        vector_store_first(C, c, n);
        h = vector_fma(vector_all(p->q[j]), c, h);
    }
    vector_store_first(p->h + u, h, n);
}

static void mlstm_memory(const struct mlstm_memory *p)
{
    size_t u = 0;
    for (; u + MEMORY_VECTORS * LANES <= p->d; u += MEMORY_VECTORS * LANES)
        memory_strip(p, u, MEMORY_VECTORS);
    for (; u + LANES <= p->d; u += LANES)
        memory_strip(p, u, 1);
    if (u < p->d)
        memory_rest(p, u, p->d - u);
}

INLINE vector vector_relu(vector x)
{
    return vector_max(x, vector_all(0));
}

/* y = FUNCTION(x) over arrays, the tail in a partial vector. */
#define ELEMENTWISE(NAME, FUNCTION) \
    static void NAME(size_t n, const float *x, float *y) \
    { \
        size_t i = 0; \
        for (; i + LANES <= n; i += LANES) \
            vector_store(y + i, FUNCTION(vector_load(x + i))); \
        if (i < n) \
            vector_store_first(y + i, FUNCTION(vector_load_first(x + i, n - i)), n - i); \
    }

ELEMENTWISE(array_tanh, vector_tanh)
ELEMENTWISE(array_sigmoid, vector_sigmoid)
ELEMENTWISE(array_relu, vector_relu)

INLINE vector vector_within(vector x, float limit)
{
    return vector_min(vector_max(x, vector_all(-limit)), vector_all(limit));
}

/* Rounding happens once, in vector_store_codes, which also adds CODE_ZERO. */
INLINE void vector_store_int8(uint8_t *codes, vector x)
{
    vector_store_codes(codes, vector_within(vector_multiply(x, vector_all(CODE_SCALE)), CODE_SCALE));
}

INLINE void vector_store_bf16(uint16_t *codes, vector x)
{
    vector_store_bfloat16(codes, vector_within(x, BFLOAT16_LARGEST));
}

/* codes = the codes of x, the tail by way of a whole vector. */
#define ENCODE(NAME, CODE, STORE) \
    static void NAME(size_t n, const float *x, void *codes) \
    { \
        CODE *to = codes, last[LANES]; \
        size_t i = 0; \
        for (; i + LANES <= n; i += LANES) \
            STORE(to + i, vector_load(x + i)); \
        if (i < n) { \
            STORE(last, vector_load_first(x + i, n - i)); \
            memcpy(to + i, last, (n - i) * sizeof *to); \
        } \
    }

ENCODE(encode_bf16, uint16_t, vector_store_bf16)
ENCODE(encode_int8, uint8_t, vector_store_int8)
