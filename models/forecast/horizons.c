/* horizons: a model whose output, after the values read, tells of many steps to come, for one row of target
 * or several: output type "horizons". A series rides once.
 *
 * A longer horizon, if the bundle allows it, goes on from the state: the network reads the values that it
 * told, as it read those before them, and tells the next ones. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "models/forecast/columns.h"
#include "models/forecast/forecast_job.h"

/* ---- what a series needs ---- */

static void lay_out(const struct forecast *f, const struct forecast_series *from, struct forecasted *series,
                    struct arena *arena)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    (void)from;
    size_t width = series->n + f->horizon;
    series->columns.width = width;
    series->columns.z = arena_take(arena, spec->n_columns, width * sizeof(double));
    series->columns.missing = arena_take(arena, spec->n_columns, width * sizeof(bool));
    series->scales = arena_take(arena, spec->n_columns, sizeof *series->scales);
    series->features = arena_take(arena, width, spec->n_inputs * sizeof(float));
    if (spec->n_levels)
        series->at = arena_take(arena, series->n_targets * f->horizon, spec->n_levels * sizeof(double));
}

/* The column of the row-th row of target. */
static size_t target_column(const struct forecast_spec *spec, size_t row)
{
    size_t i = 0;
    for (size_t seen = 0; i < spec->n_columns; i++)
        if (spec->columns[i].role == COLUMN_TARGET && seen++ == row) break;
    return i;
}

/* Make the steps [from, to), whose values are there. */
static void make_steps(const struct forecast_spec *spec, struct forecasted *series, size_t from, size_t to)
{
    size_t first = target_column(spec, 0);
    const struct series_past past = {.read = series->columns.z + first * series->columns.width,
                                     .n_read = series->columns.width, .columns = &series->columns};
    for (size_t t = from; t < to; t++)
        series_step(spec, &series->scales[first], &past, t,
                    series->columns.missing[first * series->columns.width + t],
                    series->features + t * spec->n_inputs);
}

static void begin(struct forecast *f, const struct forecast_series *tail, size_t i, size_t good)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecasted *series = &f->series[i];
    struct job_sequence *seq = forecast_sequence(f, good, 0);
    size_t passes = (f->horizon + spec->horizon - 1) / spec->horizon;
    memcpy(series->z, tail->values, tail->n * sizeof *series->z);
    columns_scale(spec, tail->rows, tail->values, series->n, f->horizon, series->columns.z,
                  series->columns.missing, series->scales);
    make_steps(spec, series, 0, series->n);
    f->paths[seq->index].of = series;
    seq->sequence.cost_steps = seq->sequence.least_steps = series->n + (passes - 1) * spec->horizon;
}

/* ---- the driver ---- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct job_sequence *seq = (const struct job_sequence *)sequence;
    const struct forecast_spec *spec = forecast_spec_of(seq->job->model);
    const struct path *path = forecast_path(seq);
    const struct forecasted *series = path->of;
    size_t left = series->n + path->n - series->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->features = series->features + series->n_fed * spec->n_inputs;
    ride->want = left <= room ? WANT_LAST : WANT_NONE;
}

/* Write the value of one step at each level, ascending, or the one value if there are no levels. */
static void read_levels(const struct forecast_spec *spec, const struct series_scale *scale, double residual,
                        const float *outputs, double *at)
{
    for (size_t q = 0; q == 0 || q < spec->n_levels; q++) {
        double value = ((double)outputs[q * spec->strides[2]] + residual) * scale->scale + scale->mean;
        size_t place = q; /* levels may cross: the smaller value belongs to the lower one */
        for (; place > 0 && at[place - 1] > value; place--) at[place] = at[place - 1];
        at[place] = value;
    }
}

/* Read what an output tells of one row, from step path->n of the horizon on. Return false if a value leaves
 * the range of float. */
static bool read_row(const struct forecast *f, const struct path *path, size_t row, const float *outputs)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    const struct forecasted *series = path->of;
    size_t column = target_column(spec, row), n_levels = spec->n_levels;
    const struct series_scale *scale = &series->scales[column];
    double *z = series->columns.z + column * series->columns.width + series->n + path->n;
    double residual = spec->residual_last ? z[-1] : 0, one;
    for (size_t h = 0; h < spec->horizon && path->n + h < f->horizon; h++) {
        size_t lead = row * f->horizon + path->n + h;
        double *at = n_levels ? series->at + lead * n_levels : &one;
        read_levels(spec, scale, residual, outputs + h * spec->strides[0] + row * spec->strides[1], at);
        for (size_t q = 0; q == 0 || q < n_levels; q++)
            if (!(fabs(at[q]) <= (double)FLT_MAX)) return false;
        series->mean[lead] = n_levels ? series_level(spec->levels, at, n_levels, 0.5) : one;
        z[h] = (series->mean[lead] - scale->mean) / scale->scale;
    }
    return true;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct path *path = forecast_path(seq);
    struct forecasted *series = path->of;
    if (job_sequence_must_leave(seq)) return LEAVE;
    series->n_fed += ride->n_steps;
    if (series->n_fed < series->n + path->n) return STAY;
    for (size_t row = 0; row < series->n_targets; row++)
        if (!read_row(f, path, row, ride->output)) {
            atomic_store_explicit(&series->error, forecast_too_big, memory_order_relaxed);
            return LEAVE;
        }
    size_t before = path->n;
    path->n = before + spec->horizon < f->horizon ? before + spec->horizon : f->horizon;
    if (path->n < f->horizon) {
        make_steps(spec, series, series->n + before, series->n + path->n);
        return STAY;
    }
    atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    return LEAVE;
}

const struct forecast_way forecast_horizons = {
    .driver = {feed, receive, job_sequence_finish}, .lay_out = lay_out, .begin = begin,
    .settle = forecast_settle_levels};
