/* Forecasting: one rider a series, which forks after its context.
 *
 * The rider that reads a series goes on as its mean path, path 0; the sampled paths 1 .. num_samples
 * board from its take(), each with a copy of its state and a random stream of its own. Paths of a series may
 * ride on different workers: what they read of it is written before they board, and what they write
 * to it (its error, how many are whole) is atomic. Where the output is a mean alone, sampled paths all
 * equal the mean path and none are ridden.
 *
 *   rider  0 .. n_good-1          path 0 of each good series (submitted)
 *          n_good ..              sampled paths of the first good series, of the second, ...
 *
 * A path's values stand where they will be read: as z while it rides, as x from its end on. */
#include "models/forecasting.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "models/request.h"
#include "models/rider.h"
#include "models/series.h"

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
    _Atomic size_t n_whole; /* paths that reached the horizon */
    double *z;         /* [n] */
    float *features;   /* [n, n_inputs] */
    double *mean;      /* [horizon] */
    double *samples;   /* [num_samples, horizon] */
    double *quantiles; /* [n_quantiles, horizon] */
    bool is_settled;   /* quantiles are there */
};

struct forecast {
    struct job job;
    size_t n_series, n_good, horizon, num_samples, n_quantiles;
    size_t n_paths;            /* a series' ridden paths */
    double *levels;            /* [n_quantiles] */
    double *column;            /* [num_samples] scratch of forecast_read */
    struct forecasted *series; /* [n_series] */
    struct path *paths;        /* [n_riders], each its rider's */
};

/* ---- what a request asks for ---- */

static const char series_empty[] = "the series is empty: expected at least one value";
static const char series_missing[] =
    "every value that is read is missing: expected at least one number";
static const char series_too_big[] =
    "a value is not finite or does not fit the model's scale: expected numbers that float can hold";
static const char path_too_big[] =
    "the forecast leaves the range of float: expected a shorter horizon or smaller values";
static const char path_unfinished[] = "the forecast was not finished";

static enum status check_size(const char *field, size_t value, size_t low, size_t high,
                              struct error *err)
{
    if (value >= low && value <= high) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, field, "%s is %zu, expected %zu to %zu", field,
                           value, low, high);
}

static enum status check(const struct model *model, const struct forecast_request *r,
                         struct error *err)
{
    enum status status = request_check_task(model, 1u << TASK_FORECASTING, "forecasts", err);
    if (status == STATUS_OK)
        status = check_size("series", r->n_series, 1, FORECAST_MAX_SERIES, err);
    if (status == STATUS_OK)
        status = check_size("horizon", r->horizon, 1, FORECAST_MAX_HORIZON, err);
    if (status == STATUS_OK)
        status = check_size("num_samples", r->num_samples, r->n_quantiles > 0 ? 1 : 0,
                            FORECAST_MAX_SAMPLES, err);
    if (status == STATUS_OK)
        status = check_size("quantiles", r->n_quantiles, 0, FORECAST_MAX_QUANTILES, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < r->n_quantiles; i++)
        if (!(r->quantiles[i] > 0 && r->quantiles[i] < 1))
            return error_set_param(err, STATUS_BAD_VALUE, "quantiles",
                                   "quantile %zu is %g, expected a number between 0 and 1", i,
                                   r->quantiles[i]);
    return STATUS_OK;
}

/* The part of a series that is read. */
static struct forecast_series tail_of(const struct forecast_spec *spec,
                                      const struct forecast_series *series)
{
    size_t skipped = series->n > spec->context_length ? series->n - spec->context_length : 0;
    return (struct forecast_series){.values = series->n ? series->values + skipped : NULL,
                                    .n = series->n - skipped};
}

/* Why a series cannot be forecast, or NULL; its scale. */
static const char *judge(const struct forecast_spec *spec, const struct forecast_series *series,
                         struct series_scale *scale)
{
    struct forecast_series tail = tail_of(spec, series);
    if (tail.n == 0) return series_empty;
    size_t n_there = 0;
    for (size_t t = 0; t < tail.n; t++) {
        if (isinf(tail.values[t])) return series_too_big;
        if (!isnan(tail.values[t])) n_there++;
    }
    if (n_there == 0) return series_missing;
    *scale = series_scale_of(spec, tail.values, tail.n);
    if (!isfinite(scale->mean) || !isfinite(scale->scale)) return series_too_big;
    for (size_t t = 0; t < tail.n; t++) {
        double z = (tail.values[t] - scale->mean) / scale->scale;
        if (!isnan(tail.values[t]) && !(fabs(z) <= FLT_MAX)) return series_too_big;
    }
    return NULL;
}

/* A bad series gets its own error, unless there is no good one: then it is the request's. */
static enum status judge_all(const struct forecast_spec *spec, const struct forecast_request *r,
                             size_t *n_good, struct error *err)
{
    const char *first = NULL;
    *n_good = 0;
    for (size_t i = 0; i < r->n_series; i++) {
        struct series_scale scale;
        const char *sentence = judge(spec, &r->series[i], &scale);
        if (!sentence) ++*n_good;
        if (!first) first = sentence;
    }
    if (*n_good > 0) return STATUS_OK;
    char field[ERROR_PARAM_BYTES];
    request_field(field, "series", 0, r->n_series);
    return error_set_param(err, STATUS_BAD_VALUE, field, "%s: %s", field, first);
}

/* ---- memory ---- */

static void lay_out(struct forecast *f, const struct forecast_request *r, struct arena *arena)
{
    const struct forecast_spec *spec = &f->job.model->forecast;
    job_lay_out(&f->job, arena);
    f->levels = arena_take(arena, f->n_quantiles, sizeof *f->levels);
    f->column = arena_take(arena, f->num_samples, sizeof *f->column);
    f->series = arena_take(arena, f->n_series, sizeof *f->series);
    f->paths = arena_take(arena, f->n_good * f->n_paths, sizeof *f->paths);
    for (size_t i = 0; i < f->n_series; i++) {
        struct forecasted measured, *series = f->series ? &f->series[i] : &measured;
        series->error = judge(spec, &r->series[i], &series->scale);
        if (series->error) continue;
        series->n = tail_of(spec, &r->series[i]).n;
        series->z = arena_take(arena, series->n, sizeof *series->z);
        series->features = arena_take(arena, series->n, spec->n_inputs * sizeof(float));
        series->mean = arena_take(arena, f->horizon, sizeof *series->mean);
        series->samples = arena_take(arena, f->num_samples, f->horizon * sizeof(double));
        series->quantiles = arena_take(arena, f->n_quantiles, f->horizon * sizeof(double));
    }
    float *features = arena_take(arena, f->n_good * f->n_paths, spec->n_inputs * sizeof *features);
    for (size_t i = 0; f->paths && i < f->n_good * f->n_paths; i++)
        f->paths[i].features = features + i * spec->n_inputs;
}

static struct rider *rider_of(const struct forecast *f, size_t good, size_t number)
{
    if (number == 0) return &f->job._riders[good];
    return &f->job._riders[f->n_good + good * (f->n_paths - 1) + number - 1];
}

static void series_init(struct forecast *f, const struct forecast_request *r, size_t i, size_t good)
{
    const struct forecast_spec *spec = &f->job.model->forecast;
    struct forecasted *series = &f->series[i];
    struct forecast_series tail = tail_of(spec, &r->series[i]);
    series_scaled(&series->scale, tail.values, tail.n, series->z);
    const struct series_past past = {.read = series->z, .n_read = series->n};
    for (size_t t = 0; t < series->n; t++)
        series_step(spec, &series->scale, &past, t, isnan(tail.values[t]),
                    series->features + t * spec->n_inputs);
    for (size_t number = 0; number < f->n_paths; number++) {
        struct rider *rider = rider_of(f, good, number);
        struct path *path = &f->paths[rider->index];
        path->of = series;
        path->values = number == 0 ? series->mean : series->samples + (number - 1) * f->horizon;
        random_init(&path->random, r->seed, (uint64_t)i << 32 | number);
        rider->sequence.cost_steps = f->horizon - 1;
    }
    struct rider *reader = rider_of(f, good, 0);
    if (f->n_paths > 1) rider_adopt(reader, rider_of(f, good, 1), f->n_paths - 1);
    reader->sequence.cost_steps = series->n + f->n_paths * (f->horizon - 1);
    reader->sequence.least_steps = series->n + f->horizon - 1;
}

/* ---- the driver ---- */

static struct path *path_of(const struct rider *rider)
{
    return &((struct forecast *)rider->job)->paths[rider->index];
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct rider *rider = (struct rider *)sequence;
    const struct forecast_spec *spec = &rider->job->model->forecast;
    const struct path *path = path_of(rider);
    const struct forecasted *series = path->of;
    if (path->n > 0) {
        ride->n_steps = 1;
        ride->features = path->features;
        ride->look = LOOK_LAST;
        return;
    }
    size_t left = series->n - series->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->features = series->features + series->n_fed * spec->n_inputs;
    ride->look = left <= room ? LOOK_LAST : LOOK_NONE;
}

/* One more value, and the step that feeds it back. true: the path goes on. */
static bool path_advance(const struct forecast *f, struct path *path, bool is_mean,
                         const float *outputs)
{
    const struct forecast_spec *spec = &f->job.model->forecast;
    struct forecasted *series = path->of;
    if (atomic_load_explicit(&series->error, memory_order_relaxed)) return false;
    const struct series_past past = {series->z, series->n, path->values};
    struct series_distribution distribution;
    size_t t = series->n + path->n;
    series_distribution_read(spec, &past, t - 1, outputs, &distribution);
    double z = is_mean ? series_distribution_mean(&distribution)
                       : series_distribution_draw(&distribution, &path->random);
    if (!(fabs(z) <= FLT_MAX) || !(fabs(z * series->scale.scale + series->scale.mean) <= FLT_MAX)) {
        atomic_store_explicit(&series->error, path_too_big, memory_order_relaxed);
        return false;
    }
    path->values[path->n++] = z;
    if (path->n < f->horizon) {
        series_step(spec, &series->scale, &past, t, false, path->features);
        return true;
    }
    atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    for (size_t i = 0; i < f->horizon; i++)
        path->values[i] = path->values[i] * series->scale.scale + series->scale.mean;
    return false;
}

static enum verdict take(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct rider *rider = (struct rider *)sequence;
    const struct forecast *f = (const struct forecast *)rider->job;
    struct path *path = path_of(rider);
    struct forecasted *series = path->of;
    if (rider_must_leave(rider)) return LEAVE;
    bool is_mean = path->values == series->mean;
    if (series->n_fed < series->n) {
        series->n_fed += ride->n_steps;
        if (series->n_fed < series->n) return RIDE_ON;
        for (size_t i = 0; i < rider->n_children; i++)
            if (path_advance(f, path_of(&rider->children[i]), false, ride->output))
                rider_board(rider, &rider->children[i], worker);
    }
    return path_advance(f, path, is_mean, ride->output) ? RIDE_ON : LEAVE;
}

enum status forecast_new(struct model *model, const struct forecast_request *request,
                         const struct job_options *options, struct forecast **out,
                         struct error *err)
{
    static const struct driver driver = {feed, take, rider_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    struct forecast plan = {.n_series = request->n_series, .horizon = request->horizon,
                            .num_samples = request->num_samples,
                            .n_quantiles = request->n_quantiles};
    plan.n_paths = model->forecast.output == OUTPUT_MEAN ? 1 : 1 + request->num_samples;
    status = judge_all(&model->forecast, request, &plan.n_good, err);
    if (status != STATUS_OK) return status;
    job_plan(&plan.job, model, plan.n_good * plan.n_paths, plan.n_good);
    struct arena arena = {0};
    (void)arena_take(&arena, 1, sizeof plan);
    lay_out(&plan, request, &arena);
    status = job_allocate(&arena, err);
    if (status != STATUS_OK) return status;
    struct forecast *f = arena_take(&arena, 1, sizeof *f);
    memcpy(f, &plan, sizeof *f);
    lay_out(f, request, &arena);
    job_init(&f->job, options, &driver);
    if (f->n_quantiles > 0)
        memcpy(f->levels, request->quantiles, f->n_quantiles * sizeof *f->levels);
    for (size_t i = 0, good = 0; i < f->n_series; i++)
        if (!f->series[i].error) series_init(f, request, i, good++);
    *out = f;
    return STATUS_OK;
}

/* ---- the reader ---- */

struct job *forecast_job(struct forecast *forecast)
{
    return &forecast->job;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What is left to do when all paths are there: here, so that workers need not sort. */
static void settle(struct forecast *f, struct forecasted *series)
{
    if (f->job.model->forecast.output == OUTPUT_MEAN)
        for (size_t i = 0; i < f->num_samples; i++)
            memcpy(series->samples + i * f->horizon, series->mean, f->horizon * sizeof(double));
    for (size_t t = 0; t < f->horizon && f->n_quantiles > 0; t++) {
        for (size_t i = 0; i < f->num_samples; i++)
            f->column[i] = series->samples[i * f->horizon + t];
        qsort(f->column, f->num_samples, sizeof *f->column, by_value);
        for (size_t q = 0; q < f->n_quantiles; q++)
            series->quantiles[q * f->horizon + t] =
                series_quantile(f->column, f->num_samples, f->levels[q]);
    }
    series->is_settled = true;
}

void forecast_read(struct forecast *forecast, size_t series, struct forecast_result *out)
{
    struct forecasted *read = &forecast->series[series];
    if (!read->error && !read->is_settled) {
        if (read->n_whole == forecast->n_paths)
            settle(forecast, read);
        else
            read->error = path_unfinished;
    }
    if (read->error)
        *out = (struct forecast_result){.error = read->error};
    else
        *out = (struct forecast_result){
            .mean = read->mean, .quantiles = read->quantiles, .samples = read->samples};
}

uint64_t forecast_steps_in(const struct forecast *forecast)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < forecast->n_series; i++) sum += forecast->series[i].n_fed;
    return sum;
}

uint64_t forecast_steps_out(const struct forecast *forecast)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < forecast->n_good * forecast->n_paths; i++) sum += forecast->paths[i].n;
    return sum;
}
