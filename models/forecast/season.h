/* season: find the rhythm of a series and the pattern that repeats. Pure arithmetic in double; any thread.
 *
 * docs/bundle-format.md, "candidates", says what is computed. Values are finite: holes are filled before. */
#ifndef CAROUSEL_MODELS_SEASON_H
#define CAROUSEL_MODELS_SEASON_H

#include <stddef.h>

enum { SEASON_N_PERIODS = 2, SEASON_LONGEST = 400 };

/* Ascending periods in steps, each a multiple of the one before; none: n_periods is 0. */
struct season {
    size_t n_periods;
    size_t periods[SEASON_N_PERIODS];
};

/* Return the doubles of scratch that either function needs for n values. */
size_t season_scratch(size_t n);

/* Find the periods in values[0..n). A period above 1 in `given` is the first one if two cycles are there; 1
 * means that there is no season, 0 that it is unknown. */
void season_find(const double *values, size_t n, size_t given, double *scratch, struct season *out);

/* Estimate the pattern of values[0..n) and continue it: pattern[0..n + horizon), with a mean of about 0. */
void season_pattern(const double *values, size_t n, const struct season *season, size_t horizon,
                    double *scratch, double *pattern);

#endif
