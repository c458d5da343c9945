/* kept_series: what a state of forecasting keeps beside the network's floats.
 *
 * A series that goes on is read on the scale that its first part had, because what the network remembers is
 * on that scale. Beside it the state holds the last values, as far back as a step can look, and how many were
 * before them. A model of output type "candidates" reads a series anew each time; its state holds the values
 * themselves, up to context_length of them. Pure; any thread. */
#ifndef CAROUSEL_MODELS_KEPT_SERIES_H
#define CAROUSEL_MODELS_KEPT_SERIES_H

#include "models/jobs/rest.h"
#include "models/jobs/state.h"
#include "models/forecast/series.h"

struct kept_series {
    struct series_scale scale;
    uint64_t n_before; /* values before those that are kept */
    uint32_t n;
};

/* How many values a state keeps at most. */
size_t kept_series_span(const struct forecast_spec *spec);

/* Read the head of a state's rest. Return false, with one sentence in *err, unless it is one that a model of
 * this spec can have written. */
bool kept_series_read(const struct state *state, const struct forecast_spec *spec, struct kept_series *kept,
                      struct error *err);
/* Copy the values of a state that was read well: out[kept->n]. */
void kept_series_values(const struct state *state, double *out);

/* Make a state of these values[0..kept->n), and of floats[0..n_floats), NULL for zeros. The caller owns one
 * reference. STATUS_NO_MEMORY if there is none. */
enum status kept_series_write(const struct kept_series *kept, const double *values, uint64_t step,
                              const float *floats, size_t n_floats, struct state **out) MUST_CHECK;

#endif
