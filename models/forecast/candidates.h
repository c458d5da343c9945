/* candidates: what plain methods foretell of a series, and how well each has done on it so far. Pure
 * arithmetic in double; any thread. docs/bundle-format.md, "candidates", describes every number.
 *
 * A series is taken apart twice, as it is and as its logarithms: a season (models/forecast/season.h) and what
 * is left, which each method follows. The network of a bundle weighs the methods and says how far they
 * err. */
#ifndef CAROUSEL_MODELS_CANDIDATES_H
#define CAROUSEL_MODELS_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>

#include "models/forecast/season.h"

enum candidate_method {
    CANDIDATE_LAST, CANDIDATE_DRIFT, CANDIDATE_SMOOTH, CANDIDATE_THETA, CANDIDATE_DAMPED, CANDIDATE_TREND,
    CANDIDATE_MEAN, CANDIDATE_LINE, CANDIDATE_SEASON_AGO, N_CANDIDATE_METHODS
};
enum { N_CANDIDATES = 2 * N_CANDIDATE_METHODS }; /* of the values, then of their logarithms */

/* The inputs of the network: of a step, of a candidate, of the series as a whole. */
enum {
    CANDIDATE_STEP_INPUTS = 4, CANDIDATE_EACH_INPUTS = 2, CANDIDATE_WHOLE_INPUTS = 8,
    CANDIDATE_INPUTS = CANDIDATE_STEP_INPUTS + CANDIDATE_EACH_INPUTS * N_CANDIDATES + CANDIDATE_WHOLE_INPUTS
};

struct candidates {
    size_t n, horizon;
    struct season season;
    bool has_logarithms;  /* all values are above 0, and they are not just two; else the second
                           * half repeats the first */
    bool floor;           /* counts and demands: no value is below 0 and several are 0 */
    double level;         /* the last value without its season */
    double unit;          /* mean absolute step of the values without their season; above 0 */
    const double *values; /* [n], holes filled */
    const double *rest;   /* [n] values without their season */
    const bool *missing;  /* [n] */
    const double *paths;  /* [N_CANDIDATES, horizon] */
    const double *errors; /* [N_CANDIDATES, horizon] mean absolute error so far at that lead; above 0 */
    size_t n_exact;       /* how often the next value was foretold, if some method has never erred; else 0 */
};

/* Return the bytes of memory that candidates_make needs for n values. */
size_t candidates_bytes(size_t n, size_t horizon);

/* Take values[0..n) apart, n >= 1, NaN if missing, at least one not missing; `season` as in season_find().
 * The pointers of *out lead into `memory`, aligned for double. */
void candidates_make(const double *values, size_t n, size_t season, size_t horizon, void *memory,
                     struct candidates *out);

/* Fill in the network's inputs of the last `window` values (or n, if there are fewer) and of the horizon:
 * features [steps, CANDIDATE_INPUTS]. */
void candidates_features(const struct candidates *candidates, size_t window, float *features);

/* Turn the outputs [N_CANDIDATES + 1 + n_levels] of the step at `lead` (0 is the next value) into the value
 * at each of the ascending levels (in (0, 1), two at least): at[n_levels], ascending, in the series' own
 * units. A method that has never erred is followed alone. */
void candidates_read(const struct candidates *candidates, size_t lead, const float *outputs,
                     const double *levels, size_t n_levels, double *at);

/* Move the values of one step at ascending levels (in (0, 1), two at least) `factor` times as far from the
 * median, which lies on the line through its neighbours. Demands stay at 0 or above. */
void candidates_widen(const struct candidates *candidates, double factor, const double *levels,
                      size_t n_levels, double *at);

#endif
