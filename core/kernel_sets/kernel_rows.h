/* What a kernel set does with whole rows: inner products, weighted sums, the greatest value, sums of
 * exponentials. kernel_body.h includes it behind kernel_units.h; it compiles there only.
 *
 * Sums along a row are kept in SUMS places side by side, value i in place i % SUMS, however wide a vector is,
 * and are added up at the end in one order. So all sets add the same numbers in the same order. */
enum {
    SUMS = 16,
    SUM_VECTORS = SUMS / LANES,
    DOT_ROWS = LANES == 4 ? 2 : 4, /* at a time: enough chains of sums, few enough registers */
    WEIGH_VECTORS = 8,             /* side by side in a strip of a weighted sum */
    EXP_STEPS = 16,                /* exponentials added in float32 before their sum joins the others */
};

/* Places k and k + 8, then k and k + 4, ... */
INLINE float places_total(const vector *sum)
{
    float part[SUMS];
    foreach (v, SUM_VECTORS)
        vector_store(part + v * LANES, sum[v]);
    for (size_t half = SUMS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) part[k] += part[k + half];
    return part[0];
}

/* ROWS rows from row r on. */
INLINE void dots_strip(const struct row_block *p, size_t r, const float *x, float *y, const size_t ROWS)
{
    const float *row = p->rows + r * p->stride;
    vector sum[DOT_ROWS][SUM_VECTORS];
    size_t i = 0;
    foreach (k, ROWS) {
        foreach (v, SUM_VECTORS)
            sum[k][v] = vector_all(0);
    }
    for (; i + SUMS <= p->n; i += SUMS) {
        foreach (v, SUM_VECTORS) {
            const vector a = vector_load(x + i + v * LANES);
            foreach (k, ROWS)
                sum[k][v] = vector_fma(a, vector_load(row + k * p->stride + i + v * LANES), sum[k][v]);
        }
    }
    foreach (v, SUM_VECTORS) {
        const size_t at = i + v * LANES;
        if (at < p->n) {
            const size_t left = minimum(p->n - at, LANES);
            const vector a = vector_load_first(x + at, left);
            foreach (k, ROWS)
                sum[k][v] = vector_fma(a, vector_load_first(row + k * p->stride + at, left), sum[k][v]);
        }
    }
    foreach (k, ROWS)
        y[r + k] = places_total(sum[k]);
}

static void rows_dots(const struct row_block *p, const float *x, float *y)
{
    size_t r = 0;
    for (; r + DOT_ROWS <= p->R; r += DOT_ROWS)
        dots_strip(p, r, x, y, DOT_ROWS);
    for (; r < p->R; r++)
        dots_strip(p, r, x, y, 1);
}

/* WIDTH vectors of columns from column u on. Their sums stay in registers while the rows pass. */
INLINE void weigh_strip(const struct row_block *p, size_t u, const float *weights, float keep, float *y,
                        const size_t WIDTH)
{
    vector sum[WEIGH_VECTORS];
    foreach (i, WIDTH)
        sum[i] = keep == 0 ? vector_all(0)
                           : vector_multiply(vector_all(keep), vector_load(y + u + i * LANES));
    for (size_t r = 0; r < p->R; r++) {
        const vector weight = vector_all(weights[r]);
        const float *row = p->rows + r * p->stride + u;
        foreach (i, WIDTH)
            sum[i] = vector_fma(weight, vector_load(row + i * LANES), sum[i]);
    }
    foreach (i, WIDTH)
        vector_store(y + u + i * LANES, sum[i]);
}

/* The last n < LANES columns. */
INLINE void weigh_rest(const struct row_block *p, size_t u, size_t n, const float *weights, float keep,
                       float *y)
{
    vector sum = vector_all(0);
    if (keep != 0)
        sum = vector_multiply(vector_all(keep), vector_load_first(y + u, n));
    for (size_t r = 0; r < p->R; r++)
        sum = vector_fma(vector_all(weights[r]), vector_load_first(p->rows + r * p->stride + u, n), sum);
    vector_store_first(y + u, sum, n);
}

static void rows_weigh(const struct row_block *p, const float *weights, float keep, float *y)
{
    size_t u = 0;
    for (; u + WEIGH_VECTORS * LANES <= p->n; u += WEIGH_VECTORS * LANES)
        weigh_strip(p, u, weights, keep, y, WEIGH_VECTORS);
    for (; u + LANES <= p->n; u += LANES)
        weigh_strip(p, u, weights, keep, y, 1);
    if (u < p->n)
        weigh_rest(p, u, p->n - u, weights, keep, y);
}

static float row_greatest(size_t n, const float *x)
{
    float lanes[LANES], most = x[0];
    if (n >= LANES) {
        vector v = vector_load(x + n - LANES);
        for (size_t i = 0; i + LANES <= n; i += LANES)
            v = vector_max(v, vector_load(x + i));
        vector_store(lanes, v);
        x = lanes;
        n = LANES;
    }
    for (size_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

/* The exponentials of a row that is shorter than SUMS, one in each place. */
INLINE void exp_rest(size_t n, const float *x, float offset, double total[SUMS])
{
    float padded[SUMS] = {0}, part[SUMS];
    memcpy(padded, x, n * sizeof *x);
    foreach (v, SUM_VECTORS)
        vector_store(part + v * LANES,
                     vector_exp(vector_subtract(vector_load(padded + v * LANES), vector_all(offset)), 1));
    for (size_t k = 0; k < n; k++) total[k] += (double)part[k];
}

static double row_exp_sum(size_t n, const float *x, float offset)
{
    const size_t whole = n - n % SUMS;
    double total[SUMS] = {0}, all = 0;
    float part[SUMS];
    for (size_t i = 0; i < whole;) {
        const size_t stop = minimum(i + EXP_STEPS * SUMS, whole);
        vector sum[SUM_VECTORS];
        foreach (v, SUM_VECTORS)
            sum[v] = vector_all(0);
        for (; i < stop; i += SUMS) {
            foreach (v, SUM_VECTORS) {
                const vector less = vector_subtract(vector_load(x + i + v * LANES), vector_all(offset));
                sum[v] = vector_add(sum[v], vector_exp(less, 1));
            }
        }
        foreach (v, SUM_VECTORS)
            vector_store(part + v * LANES, sum[v]);
        for (size_t k = 0; k < SUMS; k++) total[k] += (double)part[k];
    }
    if (whole < n)
        exp_rest(n - whole, x + whole, offset, total);
    for (size_t k = 0; k < SUMS; k++) all += total[k];
    return all;
}
