/* forecast_job: the parts of a job of forecasting. Private to the files that implement one.
 *
 * forecasting.c checks a request, lays the job out and reads its results. What a series needs beside that,
 * and what moves it, is a way to forecast: one file and one struct forecast_way. */
#ifndef CAROUSEL_MODELS_FORECAST_JOB_H
#define CAROUSEL_MODELS_FORECAST_JOB_H

#include "models/forecast/candidates.h"
#include "models/forecast/forecasting.h"
#include "models/forecast/kept_series.h"
#include "models/forecast/patched.h"
#include "models/forecast/patches.h"
#include "models/forecast/series.h"
#include "models/jobs/job_sequence.h"

struct path {
    struct forecasted *of;
    struct random random;
    double *values;  /* [horizon] */
    size_t n;        /* so many are there */
    float *features; /* [n_inputs] of the step to feed */
};

/* One series. */
struct forecasted {
    _Atomic(const char *) error; /* NULL, or why there is no forecast */
    struct series_scale scale;
    size_t n, n_fed;
    size_t n_targets;  /* rows of target, each forecast */
    size_t n_before;   /* z of an earlier part, that stand before those of the n values */
    _Atomic size_t n_whole; /* paths that reached the horizon */
    double *z;         /* [n_before + n] */
    float *features;   /* [n, n_inputs] */
    bool has_rule;     /* that the series has followed so far, if the model goes by rules */
    struct rule rule;
    /* of a direct model, whose z holds the values themselves, NaN if missing */
    size_t season, n_past;        /* n_past: steps before those whose outputs are read */
    size_t n_ahead;               /* steps whose outputs are read */
    struct candidates candidates; /* made in `memory` by the first feed() */
    void *memory;
    struct patched *patched;      /* [n_seats] of patches */
    size_t n_run;                 /* steps that they have ridden, those ahead included */
    size_t n_seats;
    bool rides_whole;             /* a covariate is known ahead */
    double *at;                   /* [n_targets, horizon, n_levels] of the bundle's levels */
    /* of a model that reads several rows */
    struct series_columns columns; /* rows of n + horizon values */
    struct series_scale *scales;   /* [n_columns] */
    double *mean;      /* [n_targets, horizon] */
    double *samples;   /* [num_samples, n_targets, horizon] */
    double *quantiles; /* [n_quantiles, n_targets, horizon] */
    bool is_settled;   /* quantiles are there */
};

struct forecast {
    struct job job;
    const struct forecast_way *way;
    size_t n_series, n_good, horizon, num_samples, n_quantiles;
    size_t n_paths;            /* a series' ridden paths */
    uint64_t seed;
    bool goes_on;              /* from a state, with `kept` */
    struct kept_series kept;
    uint64_t step;             /* values read so far, those before a kept state included */
    float *snapshot;           /* [state_floats] after the last value, if it is kept and the model walks */
    bool keeps;
    double *levels;            /* [n_quantiles] */
    double *column;            /* [num_samples] scratch of forecast_read */
    struct forecasted *series; /* [n_series] */
    struct path *paths;        /* [n_sequences], each its sequence's */
};

/* A way to forecast. `from` is a series as the request has it, `tail` the part of it that is read. */
struct forecast_way {
    struct driver driver;
    /* Cut what the series needs beside what all have (job_lay_out says how often this is called). */
    void (*lay_out)(const struct forecast *f, const struct forecast_series *from, struct forecasted *series,
                    struct arena *arena);
    /* Copy the values of series i, the good-th good one, and prepare its sequences. */
    void (*begin)(struct forecast *f, const struct forecast_series *tail, size_t i, size_t good);
    /* Compute what is left to do when all paths are there: on the reader's thread, so that workers need not
     * sort. */
    void (*settle)(struct forecast *f, struct forecasted *series);
};
extern const struct forecast_way forecast_walking, forecast_direct, forecast_patched, forecast_horizons;

/* A settle() for models that give levels, or one value alone: quantiles by interpolation, and paths drawn
 * from them. */
void forecast_settle_levels(struct forecast *f, struct forecasted *series);

/* The error of a series whose values leave the range of float. */
extern const char forecast_too_big[];

/* The sequence of path `number` of the good-th good series. */
static inline struct job_sequence *forecast_sequence(const struct forecast *f, size_t good, size_t number)
{
    if (number == 0) return &f->job._sequences[good];
    return &f->job._sequences[f->n_good + good * (f->n_paths - 1) + number - 1];
}

static inline struct path *forecast_path(const struct job_sequence *seq)
{
    return &((struct forecast *)seq->job)->paths[seq->index];
}

#endif
