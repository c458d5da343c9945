/* patched: series that are read in patches, of one row or several (docs/http-api.md, "rows"). Pure; any
 * thread. */
#ifndef CAROUSEL_MODELS_PATCHED_H
#define CAROUSEL_MODELS_PATCHED_H

#include "core/network/network.h"
#include "models/forecast/forecast_spec.h"
#include "models/forecast/patches.h"
#include "models/forecast/rows.h"

/* A seat of a series that is read in patches: a row, or the mirror of the row before it. */
struct patched {
    enum ride_role role;
    struct patch_reading reading; /* of a target */
    double *differences;          /* [values read] of a target, if the model knows trends; else NULL */
    float *features;              /* [steps, n_inputs] */
    float *state;                 /* NULL of the first, which has its sequence's */
};

/* Seats of a series: one a row, two of a covariate that is known ahead. rows may be NULL: one row. */
size_t patched_seats(const struct rows *rows);

/* Whether a covariate is known ahead, so that all seats ride through all of their steps in one turn. */
bool patched_rides_whole(const struct rows *rows);

/* Steps that each seat rides through, of a series of which n values are read. */
size_t patched_steps(const struct forecast_spec *spec, const struct rows *rows, size_t n, size_t horizon);

/* Why the last n values of the rows, and those of the horizon that are known, cannot be read, or NULL. */
const char *patched_judge(const struct forecast_spec *spec, const struct rows *rows, size_t n);

/* A series as it is read: its last n values and `steps` steps a seat. */
struct patched_series {
    const struct rows *rows; /* NULL: one row, `values` */
    const double *values;    /* [n] */
    size_t n, steps;
};

/* Fill the roles, readings and features of all seats, whose arrays are there. */
void patched_read(const struct forecast_spec *spec, const struct patched_series *series,
                  struct patched *seats);

#endif
