/* Forecasting: one sequence a series, which forks after its context.
 *
 * The sequence that reads a series goes on as its mean path, path 0; the sampled paths 1 .. num_samples
 * board from its receive(), each with a copy of its state and a random stream of its own. Paths of a series
 * may ride on different workers: what they read of it is written before they board, and what they write
 * to it (its error, how many are whole) is atomic. If the output is a mean alone, sampled paths all
 * equal the mean path and none are ridden.
 *
 *   sequence  0 .. n_good-1       path 0 of each good series (submitted)
 *             n_good ..           sampled paths of the first good series, of the second, ...
 *
 * A path's values stand where they will be read: as z while it rides, as x from its end on. */
#include "models/forecast/forecasting.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/request.h"
#include "models/forecast/columns.h"
#include "models/forecast/forecast_job.h"
#include "models/forecast/patched.h"

/* ---- what a request asks for ---- */

static const char series_empty[] = "the series is empty: expected at least one value";
static const char series_missing[] =
    "every value that is read is missing: expected at least one number";
static const char series_too_big[] =
    "a value is not finite or does not fit the model's scale: expected numbers that float can hold";
const char forecast_too_big[] =
    "the forecast leaves the range of float: expected a shorter horizon or smaller values";
static const char path_unfinished[] = "the forecast was not finished";

static bool is_direct(const struct model *model)
{
    return forecast_is_direct(forecast_spec_of(model));
}

/* The part of a series that is read: its last values, or all that follow an earlier part. */
static struct forecast_series tail_of(const struct forecast *f, const struct forecast_series *series)
{
    size_t skipped = f->goes_on ? 0 : series_skipped(forecast_spec_of(f->job.model), series->n);
    return (struct forecast_series){.values = series->n ? series->values + skipped : NULL,
                                    .n = series->n - skipped, .season = series->season,
                                    .rows = series->rows};
}

/* Why a series cannot be forecast, or NULL; its scale. */
static const char *judge(const struct forecast *f, const struct forecast_series *series,
                         struct series_scale *scale)
{
    struct forecast_series tail = tail_of(f, series);
    if (tail.n == 0) return series_empty;
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    const char *sentence = spec->n_columns ? columns_judge(spec, tail.rows, tail.values, tail.n)
                           : tail.rows     ? patched_judge(spec, tail.rows, tail.n)
                                           : NULL;
    if (sentence) return sentence;
    size_t n_there = 0;
    for (size_t t = 0; t < tail.n; t++) {
        if (isinf(tail.values[t])) return series_too_big;
        if (!isnan(tail.values[t])) n_there++;
    }
    if (n_there == 0 && !f->goes_on) return series_missing;
    if (f->goes_on) *scale = f->kept.scale;
    else *scale = series_scale_of(spec, tail.values, tail.n);
    if (!isfinite(scale->mean) || !isfinite(scale->scale)) return series_too_big;
    for (size_t t = 0; t < tail.n; t++) {
        double z = (tail.values[t] - scale->mean) / scale->scale;
        if (!isnan(tail.values[t]) && !(fabs(z) <= FLT_MAX)) return series_too_big;
    }
    return NULL;
}

/* A bad series gets its own error, unless there is no good one: then it is the request's. */
static enum status judge_all(const struct forecast *f, const struct forecast_request *r,
                             size_t *n_good, struct error *err)
{
    const char *first = NULL;
    *n_good = 0;
    for (size_t i = 0; i < r->n_series; i++) {
        struct series_scale scale;
        const char *sentence = judge(f, &r->series[i], &scale);
        if (!sentence) ++*n_good;
        if (!first) first = sentence;
    }
    if (*n_good > 0) return STATUS_OK;
    char field[ERROR_PARAM_BYTES];
    request_field(field, "series", 0, r->n_series);
    return error_set_param(err, STATUS_BAD_VALUE, field, "%s: %s", field, first);
}

/* ---- memory ---- */

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct forecast *f = job;
    const struct forecast_request *r = request;
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    job_lay_out(&f->job, arena);
    f->levels = arena_take(arena, f->n_quantiles, sizeof *f->levels);
    f->column = arena_take(arena, f->num_samples, sizeof *f->column);
    f->series = arena_take(arena, f->n_series, sizeof *f->series);
    f->paths = arena_take(arena, f->n_good * f->n_paths, sizeof *f->paths);
    for (size_t i = 0; i < f->n_series; i++) {
        struct forecasted measured, *series = f->series ? &f->series[i] : &measured;
        series->error = judge(f, &r->series[i], &series->scale);
        if (series->error) continue;
        series->n = tail_of(f, &r->series[i]).n;
        series->n_targets = r->series[i].rows ? r->series[i].rows->n_targets : 1;
        series->n_before = f->goes_on ? f->kept.n : 0;
        series->z = arena_take(arena, series->n_before + series->n, sizeof *series->z);
        f->way->lay_out(f, &r->series[i], series, arena);
        size_t each = series->n_targets * f->horizon;
        series->mean = arena_take(arena, each, sizeof *series->mean);
        series->samples = arena_take(arena, f->num_samples, each * sizeof(double));
        series->quantiles = arena_take(arena, f->n_quantiles, each * sizeof(double));
    }
    if (f->keeps && !is_direct(f->job.model))
        f->snapshot = arena_take(arena, network_state_floats(f->job.model->network), sizeof *f->snapshot);
    float *features = arena_take(arena, f->n_good * f->n_paths, spec->n_inputs * sizeof *features);
    for (size_t i = 0; f->paths && i < f->n_good * f->n_paths; i++)
        f->paths[i].features = features + i * spec->n_inputs;
}

static enum status keep(struct job *job, struct state **out)
{
    const struct forecast *f = (struct forecast *)job;
    const struct forecasted *series = &f->series[0];
    bool direct = is_direct(f->job.model);
    size_t span = kept_series_span(forecast_spec_of(f->job.model)), n = series->n_before + series->n;
    size_t dropped = n > span ? n - span : 0;
    const struct kept_series kept = {.scale = series->scale, .n_before = f->kept.n_before + dropped,
                                     .n = (uint32_t)(n - dropped)};
    return kept_series_write(&kept, series->z + dropped, f->step, direct ? NULL : f->snapshot,
                             network_state_floats(f->job.model->network), out);
}

/* A series whose earlier values are kept, as one: the last context_length are read as ever. */
static enum status join(const struct state *from, const struct kept_series *kept,
                        const struct forecast_series *series, double **out, struct error *err)
{
    *out = memory_new(kept->n + series->n, sizeof **out);
    if (!*out) return error_set(err, STATUS_NO_MEMORY, "no memory for the request");
    kept_series_values(from, *out);
    if (series->n) memcpy(*out + kept->n, series->values, series->n * sizeof **out);
    return STATUS_OK;
}

static enum status make(struct forecast *plan, const struct forecast_request *request,
                        const struct job_options *options, struct forecast **out, struct error *err)
{
    struct model *model = plan->job.model;
    enum status status = judge_all(plan, request, &plan->n_good, err);
    if (status != STATUS_OK) return status;
    job_plan(&plan->job, model, plan->n_good * plan->n_paths, plan->n_good);
    void *made;
    status = job_make(plan, sizeof *plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct forecast *f = made;
    job_init(&f->job, options, &f->way->driver);
    f->job._keep = keep;
    if (f->n_quantiles > 0)
        memcpy(f->levels, request->quantiles, f->n_quantiles * sizeof *f->levels);
    if (f->goes_on) kept_series_values(options->from, f->series[0].z);
    for (size_t i = 0, good = 0; i < f->n_series; i++)
        if (!f->series[i].error) {
            const struct forecast_series tail = tail_of(f, &request->series[i]);
            f->way->begin(f, &tail, i, good++);
        }
    *out = f;
    return STATUS_OK;
}

static const struct forecast_way *way_of(const struct forecast_spec *spec)
{
    if (spec->output == OUTPUT_HORIZONS) return &forecast_horizons;
    if (spec->output == OUTPUT_PATCHES) return &forecast_patched;
    return forecast_is_direct(spec) ? &forecast_direct : &forecast_walking;
}

/* A state holds the values of one row. */
static enum status check_state(const struct model *model, const struct job_options *options,
                               const struct forecast_request *request, struct error *err)
{
    if ((options->from || options->keeps) && !forecast_spec_of(model)->n_columns &&
        patched_seats(request->series[0].rows) > 1)
        return error_set_param(err, STATUS_UNSUPPORTED, "series",
                               "a series of several rows keeps no state; send all values each time, or one "
                               "row of target without covariates");
    if ((options->from || options->keeps) && forecast_spec_of(model)->n_columns > 1)
        return error_set(err, STATUS_UNSUPPORTED,
                         "model '%s' reads several rows and keeps no state; send all values each time",
                         model->name);
    return request_check_state(model, options, "series", request->n_series, err);
}

enum status forecast_new(struct model *model, const struct forecast_request *request,
                         const struct job_options *options, struct forecast **out,
                         struct error *err)
{
    const struct state *from = options->from;
    struct forecast plan = {.job.model = model, .n_series = request->n_series, .horizon = request->horizon,
                            .num_samples = request->num_samples, .keeps = options->keeps,
                            .n_quantiles = request->n_quantiles, .seed = request->seed};
    struct forecast_request joined = *request;
    struct forecast_series whole;
    double *values = NULL;
    enum status status = forecast_request_check(model, request, err);
    if (status == STATUS_OK) status = check_state(model, options, request, err);
    if (status == STATUS_OK && from && !kept_series_read(from, forecast_spec_of(model), &plan.kept, err))
        status = STATUS_BAD_VALUE;
    if (status != STATUS_OK) return status;
    bool direct = is_direct(model);
    plan.way = way_of(forecast_spec_of(model));
    plan.n_paths = direct || forecast_spec_of(model)->output == OUTPUT_MEAN ? 1 : 1 + request->num_samples;
    plan.goes_on = from && !direct;
    plan.step = (from ? from->step : 0) + request->series[0].n;
    if (from && direct) {
        whole = (struct forecast_series){.n = plan.kept.n + request->series[0].n,
                                         .season = request->series[0].season};
        status = join(from, &plan.kept, &request->series[0], &values, err);
        whole.values = values;
        joined.series = &whole;
        plan.kept = (struct kept_series){0};
    }
    if (status == STATUS_OK) status = make(&plan, &joined, options, out, err);
    memory_free(values);
    return status;
}

/* ---- the reader ---- */

struct job *forecast_job(struct forecast *forecast)
{
    return &forecast->job;
}

void forecast_read(struct forecast *forecast, size_t series, struct forecast_result *out)
{
    struct forecasted *read = &forecast->series[series];
    if (!read->error && !read->is_settled) {
        if (read->n_whole == forecast->n_paths)
            forecast->way->settle(forecast, read);
        else
            read->error = path_unfinished;
    }
    if (read->error)
        *out = (struct forecast_result){.error = read->error};
    else
        *out = (struct forecast_result){.n_targets = read->n_targets, .mean = read->mean,
                                        .quantiles = read->quantiles, .samples = read->samples};
}

uint64_t forecast_steps_in(const struct forecast *forecast)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < forecast->n_series; i++) {
        const struct forecasted *series = &forecast->series[i]; /* what it told and read again is not sent */
        sum += series->n_fed < series->n ? series->n_fed : series->n;
    }
    return sum;
}

uint64_t forecast_steps_out(const struct forecast *forecast)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < forecast->n_good * forecast->n_paths; i++) sum += forecast->paths[i].n;
    return sum;
}
