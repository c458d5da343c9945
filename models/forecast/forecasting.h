/* forecasting: the next values of a univariate series. Task forecasting.
 *
 * docs/bundle-format.md, "forecast", says how values become steps and outputs a distribution. Each series
 * rides once to read its context; then a mean path and num_samples sampled paths go on from copies of that
 * state, feeding back their own values. A path's draws depend on (seed, series index, path index) alone.
 * Sampling by ancestral sampling as in DeepAR (Salinas et al. 2020).
 *
 * A model of output type "candidates" (models/forecast/candidates.h) or "patches" (models/forecast/patches.h)
 * needs no paths: its series ride once, through the last values and the steps to come, and give all quantiles
 * of all steps. Samples are drawn from these. One of output type "horizons" reads the values alone; it may
 * read several rows, and forecast several (models/forecast/columns.h).
 *
 * A series that goes on from a kept state stays on the scale of its first part, and the network reads the new
 * values alone. The state is the one after the last value, before the forecast. */
#ifndef CAROUSEL_MODELS_FORECASTING_H
#define CAROUSEL_MODELS_FORECASTING_H

#include "models/jobs/job.h"
#include "models/forecast/forecast_spec.h"
#include "models/forecast/rows.h"

/* More is refused; the server's limits may be lower. */
enum {
    FORECAST_MAX_SERIES = 4096, FORECAST_MAX_HORIZON = 4096, FORECAST_MAX_SAMPLES = 1000,
    FORECAST_MAX_QUANTILES = 100
};

struct forecast_series {
    const double *values; /* [n], NaN if missing; at least one of those read is not missing */
    size_t n;             /* >= 1; only the last context_length are read */
    size_t season;        /* steps in a cycle, 1: none, 0: to be found; read by candidates alone */
    const struct rows *rows; /* all of its rows, of which `values` is the first; NULL: there is no other */
};

struct forecast_request {
    const struct forecast_series *series;
    size_t n_series;
    size_t horizon;          /* >= 1 */
    const double *quantiles; /* [n_quantiles] in (0, 1) */
    size_t n_quantiles;
    size_t num_samples;      /* paths a series; 0 if neither quantiles nor samples are wanted, and if
                              * the model gives quantiles without samples */
    uint64_t seed;
    size_t max_whole_steps;  /* that a network which reads whole sequences can (scheduler_max_rows); 0: any */
    size_t max_seats;        /* of one sequence (scheduler_max_seats); 0: any */
};

/* One series' answer, once finished; pointers are the job's. A path whose values leave the range of float is
 * an error of its series. */
struct forecast_result {
    size_t n_targets;        /* rows of target */
    const double *mean;      /* [n_targets, horizon] */
    const double *quantiles; /* [n_quantiles, n_targets, horizon] */
    const double *samples;   /* [num_samples, n_targets, horizon] */
    const char *error;       /* NULL, or one sentence; then the others are NULL */
};

/* Check the numbers of a request, that the model forecasts, and that it reads the rows that are there. The
 * sentence names the field. */
enum status forecast_request_check(const struct model *model, const struct forecast_request *request,
                                   struct error *err) MUST_CHECK;

struct forecast;

/* A series that cannot be forecast (empty, all missing, out of range) gets its own error in its result;
 * if none can, forecast_new fails and names the first. */
enum status forecast_new(struct model *model, const struct forecast_request *request,
                         const struct job_options *options, struct forecast **out,
                         struct error *err) MUST_CHECK;
struct job *forecast_job(struct forecast *forecast);
/* Once finished. The first reading of a series computes its quantiles: one thread at a time. */
void forecast_read(struct forecast *forecast, size_t series, struct forecast_result *out);
uint64_t forecast_steps_in(const struct forecast *forecast);  /* values read */
uint64_t forecast_steps_out(const struct forecast *forecast); /* values predicted, sampled paths included */

#endif
