#include "models/forecast/candidates.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { N_BUCKETS = 13, N_ORIGINS = 32, N_FIT = 10 }; /* leads 1, 2-3, 4-7, ... share a bucket */

static const double EXACT = 1e-7;  /* errors below this share of the unit count as this share */
static const double GROWTH = 1.4;  /* of an error from a bucket to the next if none was measured */
static const double SHRINK = 3;    /* an error of FEW tests falls at most to this part of the one before */
static const double FEW = 8;       /* tests */
static const double ALONE = 4;     /* sharpness with which an exact method is followed */

/* The line that a method draws from one origin: level + slope * (phi + phi^2 + ... + phi^lead). */
struct state {
    double level, slope;
};

struct method {
    double phi;                         /* damping: 1 is a straight line */
    struct state states[N_ORIGINS + 1]; /* at each origin; the first is the end of the series */
};

/* One way to see the series: its values or their logarithms. */
struct view {
    const double *values; /* [n] */
    double *pattern;      /* [n + horizon] season */
    double *rest;         /* [n] */
    struct method *methods; /* [N_CANDIDATE_METHODS] */
};

/* The steps after which the methods are asked: the last, and every stride-th before it down to `first`. */
struct origins {
    size_t n, first, stride;
    size_t count; /* without the last */
};

struct workspace {
    size_t n, horizon, period; /* period: the longest, 1 without a season */
    struct origins origins;
    bool *missing;
    double lowest, highest; /* of the logarithms */
    double *values, *logarithms, *scratch, *paths, *errors;
    struct view views[2];
};

/* Return the next `bytes` of memory, NULL while memory is only measured. */
static void *next(void *memory, size_t *used, size_t bytes)
{
    void *at = memory ? (char *)memory + *used : NULL;
    *used += (bytes + 15) / 16 * 16;
    return at;
}

static size_t lay_out(void *memory, size_t n, size_t horizon, struct workspace *w)
{
    size_t used = 0;
    *w = (struct workspace){.n = n, .horizon = horizon, .period = 1};
    w->values = next(memory, &used, n * sizeof(double));
    w->logarithms = next(memory, &used, n * sizeof(double));
    w->scratch = next(memory, &used, season_scratch(n) * sizeof(double));
    w->paths = next(memory, &used, N_CANDIDATES * horizon * sizeof(double));
    w->errors = next(memory, &used, N_CANDIDATES * horizon * sizeof(double));
    for (size_t v = 0; v < 2; v++) {
        struct view *view = &w->views[v];
        view->pattern = next(memory, &used, (n + horizon) * sizeof(double));
        view->rest = next(memory, &used, n * sizeof(double));
    }
    w->missing = next(memory, &used, n * sizeof(bool));
    return used;
}

size_t candidates_bytes(size_t n, size_t horizon)
{
    struct workspace w;
    return lay_out(NULL, n, horizon, &w);
}

/* ---- holes ---- */

/* Fill a hole with the straight line between its neighbours; at the ends with the nearest value. */
static void bridge(double *values, size_t n, const bool *missing)
{
    size_t before = n;
    for (size_t t = 0; t < n; t++) {
        if (missing[t]) continue;
        for (size_t hole = before == n ? 0 : before + 1; hole < t; hole++)
            values[hole] = before == n ? values[t]
                                       : values[before] + (values[t] - values[before]) *
                                                              (double)(hole - before) / (double)(t - before);
        before = t;
    }
    for (size_t hole = before + 1; hole < n; hole++) values[hole] = values[before];
}

/* ---- the methods: the state at each origin ---- */

static void choose_origins(struct workspace *w)
{
    size_t first = w->n < 12 ? 1 : w->n / 3;
    if (w->period > 1 && first < w->period) first = w->period;
    size_t n = w->n > first + 1 ? w->n - 1 - first : 0;
    size_t stride = n > N_ORIGINS ? (n + N_ORIGINS - 1) / N_ORIGINS : 1;
    w->origins = (struct origins){w->n, first, stride, (n + stride - 1) / stride};
}

static void keep(struct state *states, const struct origins *origins, size_t t, double level, double slope)
{
    size_t ago = origins->n - 1 - t;
    if (ago > 0 && (t < origins->first || (ago - 1) % origins->stride != 0)) return;
    states[ago > 0 ? 1 + (ago - 1) / origins->stride : 0] = (struct state){level, slope};
}

static void follow_last(const double *y, const struct origins *o, struct method *last, struct method *drift)
{
    for (size_t t = 0; t < o->n; t++) {
        keep(last->states, o, t, y[t], 0);
        keep(drift->states, o, t, y[t], t > 0 ? (y[t] - y[0]) / (double)t : 0);
    }
}

/* Follow the mean so far, and the line of least squares through all so far. */
static void follow_mean(const double *y, const struct origins *o, struct method *mean, struct method *line)
{
    double sum = 0, product = 0;
    for (size_t t = 0; t < o->n; t++) {
        double count = (double)t + 1, middle = (double)t / 2, spread = count * (count * count - 1) / 12;
        sum += y[t] - y[0], product += (double)t * (y[t] - y[0]);
        double slope = t > 0 ? (product - middle * sum) / spread : 0;
        keep(mean->states, o, t, y[0] + sum / count, 0);
        keep(line->states, o, t, y[0] + sum / count + slope * middle, slope);
    }
}

/* Follow Holt's level and slope, damped by phi; with beta 0 and no slope, simple exponential smoothing.
 * Returns the sum of squares of the errors one step ahead; states may be NULL. */
static double smooth(const double *y, const struct origins *o, double alpha, double beta, double phi,
                     double slope, struct state *states)
{
    double level = y[0], sum = 0;
    if (states) keep(states, o, 0, level, slope);
    for (size_t t = 1; t < o->n; t++) {
        double expected = level + phi * slope, error = y[t] - expected;
        level = expected + alpha * error;
        slope = phi * slope + alpha * beta * error;
        sum += error * error;
        if (states) keep(states, o, t, level, slope);
    }
    return sum;
}

static const double alphas[] = {0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
static const double betas[] = {0.01, 0.05, 0.15, 0.4};
enum { N_ALPHAS = sizeof alphas / sizeof *alphas, N_BETAS = sizeof betas / sizeof *betas };

/* Return the strength of smoothing that erred least. */
static double follow_smooth(const double *y, const struct origins *o, struct method *method)
{
    double least = INFINITY, best = 1;
    for (size_t i = 0; i < N_ALPHAS; i++) {
        double sum = smooth(y, o, alphas[i], 0, 1, 0, NULL);
        if (sum < least) least = sum, best = alphas[i];
    }
    (void)smooth(y, o, best, 0, 1, 0, method->states);
    return best;
}

static void follow_trend(const double *y, const struct origins *o, const double *phis, size_t n_phis,
                         struct method *method)
{
    size_t fit = o->n < N_FIT ? o->n : N_FIT;
    double slope = fit > 1 ? (y[fit - 1] - y[0]) / (double)(fit - 1) : 0, least = INFINITY;
    double alpha = 1, beta = betas[0];
    for (size_t p = 0; p < n_phis; p++)
        for (size_t i = 1; i < N_ALPHAS; i += 2)
            for (size_t j = 0; j < N_BETAS; j++) {
                double sum = smooth(y, o, alphas[i], betas[j], phis[p], slope, NULL);
                if (sum >= least) continue;
                least = sum, alpha = alphas[i], beta = betas[j], method->phi = phis[p];
            }
    (void)smooth(y, o, alpha, beta, method->phi, slope, method->states);
}

/* Join simple smoothing and half the slope of the line so far (Assimakopoulos and Nikolopoulos, 2000). */
static void follow_theta(const struct origins *o, double alpha, const struct method *smoothed,
                         const struct method *line, struct method *theta)
{
    for (size_t t = 0; t < o->n; t++) {
        size_t ago = o->n - 1 - t, slot = ago > 0 ? 1 + (ago - 1) / o->stride : 0;
        if (ago > 0 && (t < o->first || (ago - 1) % o->stride != 0)) continue;
        double half = line->states[slot].slope / 2;
        double behind = (1 - pow(1 - alpha, (double)t + 1)) / alpha - 1;
        theta->states[slot] = (struct state){smoothed->states[slot].level + half * behind, half};
    }
}

static void follow(struct view *view, const struct origins *origins)
{
    static const double damped[] = {0.8, 0.9, 0.97}, straight[] = {1};
    struct method *m = view->methods;
    follow_last(view->rest, origins, &m[CANDIDATE_LAST], &m[CANDIDATE_DRIFT]);
    follow_mean(view->rest, origins, &m[CANDIDATE_MEAN], &m[CANDIDATE_LINE]);
    double alpha = follow_smooth(view->rest, origins, &m[CANDIDATE_SMOOTH]);
    follow_theta(origins, alpha, &m[CANDIDATE_SMOOTH], &m[CANDIDATE_LINE], &m[CANDIDATE_THETA]);
    follow_trend(view->rest, origins, damped, 3, &m[CANDIDATE_DAMPED]);
    follow_trend(view->rest, origins, straight, 1, &m[CANDIDATE_TREND]);
}

/* ---- what they foretell ---- */

/* Return the value `lead` >= 1 after the origin in `slot`, in the view; `sum` is phi + ... + phi^lead. */
static double foretell(const struct workspace *w, const struct view *view, size_t method, size_t slot,
                       size_t lead, double sum)
{
    size_t t = w->n - 1 - (slot > 0 ? 1 + (slot - 1) * w->origins.stride : 0);
    if (method == CANDIDATE_SEASON_AGO) {
        size_t ago = (lead + w->period - 1) / w->period * w->period;
        return t + lead >= ago ? view->values[t + lead - ago] : view->values[t];
    }
    const struct state *state = &view->methods[method].states[slot];
    return state->level + state->slope * sum + view->pattern[t + lead];
}

/* Return a value of view `v` in the series' own units. Logarithms may leave the range seen so far by as much
 * as it is wide, and by the share of it that belongs to `lead`: growth goes on, but a bad slope cannot
 * explode. */
static double back(const struct workspace *w, size_t v, double value, size_t lead)
{
    if (v == 0) return value;
    double room = (w->highest - w->lowest) * (1 + (double)lead / (double)w->n);
    return exp(fmin(fmax(value, w->lowest - room), fmin(w->highest + room, 700)));
}

static size_t bucket_of(size_t lead)
{
    size_t bucket = 0;
    while (lead > 1 && bucket + 1 < N_BUCKETS) lead /= 2, bucket++;
    return bucket;
}

/* Return the way from 1, 2, 3, 4, 6, 8, 12, 16, ... to the next of them. */
static size_t middle_step(size_t lead)
{
    return lead < 2 ? 1 : ((size_t)1 << bucket_of(lead)) / 2;
}

/* phi + phi^2 + ... + phi^lead */
static double damped_sum(double phi, size_t lead)
{
    return phi < 1 ? phi * (1 - pow(phi, (double)lead)) / (1 - phi) : (double)lead;
}

/* Measure the mean absolute error of a method at the leads of each bucket, from origins spread over the later
 * part; a bucket is measured at its first lead and in its middle. */
static void test_method(const struct workspace *w, size_t v, size_t method, double floor, double *errors)
{
    double sums[N_BUCKETS] = {0}, counts[N_BUCKETS] = {0};
    const struct view *view = &w->views[v];
    const struct origins *o = &w->origins;
    for (size_t lead = 1; lead <= w->horizon && lead + o->first < w->n; lead += middle_step(lead)) {
        size_t bucket = bucket_of(lead);
        double sum = damped_sum(view->methods[method].phi, lead);
        for (size_t slot = 1, ago = 1; ago + o->first < w->n; slot++, ago += o->stride) {
            if (ago < lead) continue;
            double value = back(w, v, foretell(w, view, method, slot, lead, sum), lead);
            sums[bucket] += fabs(value - w->values[w->n - 1 - ago + lead]);
            counts[bucket] += 1;
        }
    }
    double error = counts[0] > 0 ? sums[0] / counts[0] : floor / EXACT;
    for (size_t lead = 1, bucket = 0; lead <= w->horizon; lead++) {
        size_t now = bucket_of(lead);
        if (now != bucket && counts[now] == 0) error *= GROWTH;
        if (now != bucket && counts[now] > 0)
            error = fmax(sums[now] / counts[now], counts[now] < FEW ? error / SHRINK : 0);
        bucket = now;
        errors[lead - 1] = fmin(fmax(error, floor), 1e300);
    }
}

/* Return whether a method has erred at no lead: what was not measured has grown from nothing. */
static bool is_exact(const double *errors, size_t horizon, double floor)
{
    for (size_t lead = 0; lead < horizon; lead++)
        if (errors[lead] > floor * pow(GROWTH, (double)bucket_of(lead + 1))) return false;
    return true;
}

static void draw(const struct workspace *w, size_t v, size_t method, double *path)
{
    const struct view *view = &w->views[v];
    for (size_t lead = 1; lead <= w->horizon; lead++) {
        double sum = damped_sum(view->methods[method].phi, lead);
        path[lead - 1] = back(w, v, foretell(w, view, method, 0, lead, sum), lead);
    }
}

/* ---- the whole ---- */

static void take_apart(struct workspace *w, size_t v, const struct season *season)
{
    struct view *view = &w->views[v];
    view->values = v ? w->logarithms : w->values;
    season_pattern(view->values, w->n, season, w->horizon, w->scratch, view->pattern);
    for (size_t t = 0; t < w->n; t++) view->rest[t] = view->values[t] - view->pattern[t];
    follow(view, &w->origins);
}

/* Fill the holes once more, now that the season is known: a line in what is left, plus the season. */
static void refill(struct workspace *w, const struct season *season)
{
    struct view *view = &w->views[0];
    season_pattern(w->values, w->n, season, w->horizon, w->scratch, view->pattern);
    for (size_t t = 0; t < w->n; t++) view->rest[t] = w->values[t] - view->pattern[t];
    bridge(view->rest, w->n, w->missing);
    for (size_t t = 0; t < w->n; t++)
        if (w->missing[t]) w->values[t] = view->rest[t] + view->pattern[t];
}

static void measure_unit(const struct workspace *w, struct candidates *out)
{
    const double *rest = w->views[0].rest;
    double sum = 0, largest = 0;
    for (size_t t = 1; t < w->n; t++) sum += fabs(rest[t] - rest[t - 1]);
    for (size_t t = 0; t < w->n; t++) largest = fmax(largest, fabs(w->values[t]));
    out->level = rest[w->n - 1];
    out->unit = w->n > 1 ? sum / (double)(w->n - 1) : 0.1 * largest;
    out->unit = fmax(out->unit, fmax(1e-9 * largest, 1e-250));
}

static void look_at(const struct workspace *w, struct candidates *out)
{
    size_t zeros = 0;
    out->floor = true;
    out->has_logarithms = w->n != 2; /* of two values any growth looks exact */
    for (size_t t = 0; t < w->n; t++) {
        if (w->values[t] < 0) out->floor = false;
        if (!(w->values[t] > 0)) out->has_logarithms = false;
        if (w->values[t] == 0) zeros++;
    }
    if (zeros < 2) out->floor = false;
}

static void take_logarithms(struct workspace *w)
{
    w->lowest = INFINITY, w->highest = -INFINITY;
    for (size_t t = 0; t < w->n; t++) {
        w->logarithms[t] = log(w->values[t]);
        w->lowest = fmin(w->lowest, w->logarithms[t]);
        w->highest = fmax(w->highest, w->logarithms[t]);
    }
}

void candidates_make(const double *values, size_t n, size_t season, size_t horizon, void *memory,
                     struct candidates *out)
{
    struct workspace w;
    struct method methods[2][N_CANDIDATE_METHODS]; /* 10 KB, of which a short series writes little */
    bool holes = false;
    (void)lay_out(memory, n, horizon, &w);
    for (size_t v = 0; v < 2; v++) {
        w.views[v].methods = methods[v];
        for (size_t k = 0; k < N_CANDIDATE_METHODS; k++) methods[v][k].phi = 1;
    }
    *out = (struct candidates){.n = n, .horizon = horizon};
    memcpy(w.values, values, n * sizeof *values);
    for (size_t t = 0; t < n; t++) holes |= w.missing[t] = isnan(values[t]);
    bridge(w.values, n, w.missing);
    look_at(&w, out);
    if (out->has_logarithms) take_logarithms(&w);
    season_find(out->has_logarithms ? w.logarithms : w.values, n, season, w.scratch, &out->season);
    if (holes && out->season.n_periods > 0) refill(&w, &out->season);
    if (out->season.n_periods > 0) w.period = out->season.periods[out->season.n_periods - 1];
    choose_origins(&w);
    look_at(&w, out);
    size_t n_views = out->has_logarithms ? 2 : 1, half = N_CANDIDATE_METHODS * horizon;
    if (n_views == 2) take_logarithms(&w);
    for (size_t v = 0; v < n_views; v++) take_apart(&w, v, &out->season);
    measure_unit(&w, out);
    for (size_t v = 0; v < n_views; v++)
        for (size_t k = 0; k < N_CANDIDATE_METHODS; k++) {
            size_t at = v * half + k * horizon;
            test_method(&w, v, k, EXACT * out->unit, w.errors + at);
            if (is_exact(w.errors + at, horizon, EXACT * out->unit)) out->n_exact = w.origins.count;
            draw(&w, v, k, w.paths + at);
        }
    if (n_views == 1) {
        memcpy(w.paths + half, w.paths, half * sizeof(double));
        memcpy(w.errors + half, w.errors, half * sizeof(double));
    }
    out->values = w.values, out->rest = w.views[0].rest, out->missing = w.missing;
    out->paths = w.paths, out->errors = w.errors;
}

/* ---- to and from the network ---- */

static double bounded(double value, double limit)
{
    return fmin(fmax(value, -limit), limit);
}

/* Fill in what is the same at every step. */
static void whole_inputs(const struct candidates *c, double *whole)
{
    size_t period = c->season.n_periods ? c->season.periods[c->season.n_periods - 1] : 1;
    double turns = 0, seasonal = 0;
    for (size_t t = 1; t < c->n; t++) {
        if (t > 1 && (c->rest[t] - c->rest[t - 1]) * (c->rest[t - 1] - c->rest[t - 2]) < 0) turns += 1;
        seasonal += fabs(c->values[t] - c->rest[t]);
    }
    double count = (double)(c->n > 1 ? c->n - 1 : 1);
    whole[0] = log((double)c->n) / 4 - 1;
    whole[1] = log((double)period) / 3;
    whole[2] = log((double)c->n / (double)period) / 3 - 0.5;
    whole[3] = turns / count;
    whole[4] = asinh(seasonal / count / c->unit) / 2;
    whole[5] = asinh((c->level - c->rest[0]) / c->unit / sqrt(count)) / 2;
    whole[6] = c->has_logarithms ? 1 : 0;
    whole[7] = asinh(fabs(c->level) / c->unit) / 4;
}

/* The smallest error at a lead. */
static double least_error(const struct candidates *c, size_t lead)
{
    double least = INFINITY;
    for (size_t k = 0; k < N_CANDIDATES; k++) least = fmin(least, c->errors[k * c->horizon + lead]);
    return least;
}

/* Fill in where each candidate is, against Theta, and how much worse than the best it has done. */
static void future_inputs(const struct candidates *c, size_t lead, float *row)
{
    double least = least_error(c, lead), centre = c->paths[CANDIDATE_THETA * c->horizon + lead];
    double typical = fmax(c->errors[CANDIDATE_THETA * c->horizon + lead], c->unit);
    row[0] = 1;
    row[1] = (float)(bounded(log(least / c->unit), 8) / 4);
    row[2] = (float)(log((double)lead + 1) / 4);
    row[3] = (float)(bounded(log(typical / c->unit), 8) / 4);
    for (size_t k = 0; k < N_CANDIDATES; k++) {
        double path = c->paths[k * c->horizon + lead], error = c->errors[k * c->horizon + lead];
        row[4 + k] = (float)asinh(bounded((path - centre) / typical, 1e6));
        row[4 + N_CANDIDATES + k] = (float)(fmin(log(error / least), 8) / 2);
    }
}

void candidates_features(const struct candidates *c, size_t window, float *features)
{
    size_t past = c->n < window ? c->n : window, steps = past + c->horizon;
    double whole[CANDIDATE_WHOLE_INPUTS];
    whole_inputs(c, whole);
    memset(features, 0, steps * CANDIDATE_INPUTS * sizeof *features);
    for (size_t i = 0; i < steps; i++) {
        float *row = features + i * CANDIDATE_INPUTS;
        size_t t = c->n - past + i;
        if (i < past) {
            row[1] = (float)asinh((c->rest[t] - c->level) / c->unit);
            row[2] = c->missing[t] ? 1 : 0;
            row[3] = (float)asinh((c->values[t] - c->rest[t]) / c->unit);
        } else {
            future_inputs(c, i - past, row);
        }
        for (size_t k = 0; k < CANDIDATE_WHOLE_INPUTS; k++)
            row[CANDIDATE_INPUTS - CANDIDATE_WHOLE_INPUTS + k] = (float)whole[k];
    }
}

/* A forecast before its levels: the value, and the mean error, both weighted over the candidates. */
struct mixture {
    double location, spread;
};

static struct mixture mix(const struct candidates *c, size_t lead, const float *outputs, double sharp)
{
    double logits[N_CANDIDATES], most = -INFINITY, sum = 0, least = least_error(c, lead);
    struct mixture mixture = {0};
    for (size_t k = 0; k < N_CANDIDATES; k++) {
        logits[k] = outputs[k] - sharp * log(c->errors[k * c->horizon + lead] / least);
        most = fmax(most, logits[k]);
    }
    for (size_t k = 0; k < N_CANDIDATES; k++) sum += logits[k] = exp(logits[k] - most);
    for (size_t k = 0; k < N_CANDIDATES; k++) {
        mixture.location += logits[k] / sum * c->paths[k * c->horizon + lead];
        mixture.spread += logits[k] / sum * c->errors[k * c->horizon + lead];
    }
    return mixture;
}

/* Return the median of values[n] at ascending levels: it lies on the line through its neighbours. */
static double median_of(const double *values, const double *levels, size_t n)
{
    size_t above = 1;
    while (above < n - 1 && levels[above] < 0.5) above++;
    double part = (0.5 - levels[above - 1]) / (levels[above] - levels[above - 1]);
    return values[above - 1] + part * (values[above] - values[above - 1]);
}

void candidates_read(const struct candidates *c, size_t lead, const float *outputs, const double *levels,
                     size_t n_levels, double *at)
{
    double raw = outputs[N_CANDIDATES], sharp = raw > 20 ? raw : log1p(exp(raw)), centre = 0;
    struct mixture mixture = mix(c, lead, outputs, sharp);
    for (size_t q = 0; q < n_levels; q++) at[q] = outputs[N_CANDIDATES + 1 + q];
    if (c->n_exact > 0) {
        /* The network has learned from noise, and far ahead it would leave what has never erred. Its spread
         * counts half as much with every further test that was passed. */
        struct mixture alone = mix(c, lead, outputs, fmax(sharp, ALONE));
        mixture.spread = alone.spread + ldexp(mixture.spread, 1 - (int)c->n_exact);
        mixture.location = alone.location;
        centre = median_of(at, levels, n_levels);
    }
    for (size_t q = 0; q < n_levels; q++) {
        double value = mixture.location + mixture.spread * (at[q] - centre);
        size_t i = q;
        if (c->floor) value = fmax(value, 0);
        for (; i > 0 && at[i - 1] > value; i--) at[i] = at[i - 1];
        at[i] = value;
    }
}

void candidates_widen(const struct candidates *c, double factor, const double *levels, size_t n_levels,
                      double *at)
{
    double median = median_of(at, levels, n_levels);
    for (size_t q = 0; q < n_levels; q++) {
        at[q] = median + factor * (at[q] - median);
        if (c->floor) at[q] = fmax(at[q], 0);
    }
}
