/* patched: a model that reads and foretells patches (models/forecast/patches.h): output type "patches". A
 * series rides once, through the patches read and those to come.
 *
 * If the network mixes series, one may be several rows, each of which has a seat and a state of its own
 * (network.h, struct ride): targets, then covariates. A covariate that is known ahead has two, of which the
 * second is its mirror; such a group rides whole, and through the patches to come too. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "models/forecast/forecast_job.h"
#include "models/forecast/patched.h"
#include "models/forecast/trend.h"

/* Steps of a series in one turn. That of a model of 35 million weights takes some 50 ms then, and each turn
 * more would read all weights again. */
enum { TURN_STEPS = 128 };

static const char rows_empty[] =
    "every value of a row of target that is read is missing: expected at least one number";
static const char rows_too_big[] =
    "a value is not finite or does not fit the model's scale: expected numbers that float can hold";

/* ---- rows ---- */

size_t patched_seats(const struct rows *rows)
{
    size_t seats = rows ? rows->n_targets + rows->n_covariates : 1;
    for (size_t i = 0; rows && i < rows->n_covariates; i++) seats += rows->covariates[i].known;
    return seats;
}

bool patched_rides_whole(const struct rows *rows)
{
    return rows && patched_seats(rows) > rows->n_targets + rows->n_covariates;
}

size_t patched_steps(const struct forecast_spec *spec, const struct rows *rows, size_t n, size_t horizon)
{
    size_t past = patches_read(spec, n), ahead = patches_ahead(spec, horizon);
    if (!patched_rides_whole(rows)) return past + ahead - 1;
    size_t least = spec->future_length / spec->patch_length;
    return past + (ahead > least ? ahead : least);
}

static bool has_value(const double *values, size_t n)
{
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t])) return true;
    return false;
}

/* The scale of a covariate, which may have no value. */
static struct series_scale scale_of(const struct forecast_spec *spec, const double *values, size_t n)
{
    if (!has_value(values, n)) return (struct series_scale){.mean = 0, .scale = 1};
    return series_scale_of(spec, values, n);
}

/* The last n values of a row of target. */
static const double *target_of(const struct rows *rows, size_t i, size_t n)
{
    return rows->targets + i * rows->n + (rows->n - n);
}

const char *patched_judge(const struct forecast_spec *spec, const struct rows *rows, size_t n)
{
    for (size_t i = 0; i < rows->n_targets + rows->n_covariates; i++) {
        bool is_target = i < rows->n_targets;
        const struct row *row = is_target ? NULL : &rows->covariates[i - rows->n_targets];
        const double *values = is_target ? target_of(rows, i, n) : row->values + (rows->n - n);
        size_t all = n + (row && row->known ? rows->horizon : 0);
        if (is_target && !has_value(values, n)) return rows_empty;
        struct series_scale scale = scale_of(spec, values, all);
        bool good = isfinite(scale.mean) && isfinite(scale.scale);
        for (size_t t = 0; t < all && good; t++)
            good = isnan(values[t]) || fabs((values[t] - scale.mean) / scale.scale) <= (double)FLT_MAX;
        if (!good) return rows_too_big;
    }
    return NULL;
}

/* ---- what the seats read ---- */

static void read_target(const struct forecast_spec *spec, const struct patched_series *series,
                        const double *values, struct patched *seat)
{
    seat->role = RIDE_TARGET;
    seat->reading = patches_reading(spec, values, series->n, seat->differences);
    patches_steps(spec, &seat->reading.scale, seat->reading.trends ? seat->differences : values, series->n, 0,
                  series->steps, seat->features);
}

/* Fill the seat of a covariate, and that of its mirror if it is known ahead; return their number. */
static size_t read_covariate(const struct forecast_spec *spec, const struct patched_series *series,
                             const struct row *row, struct patched *seat)
{
    size_t steps = series->steps, width = series_n_inputs(spec);
    size_t n_known = row->known ? series->rows->horizon : 0;
    const double *values = row->values + (series->rows->n - series->n);
    struct series_scale scale = scale_of(spec, values, series->n + n_known);
    seat->role = RIDE_COVARIATE;
    patches_steps(spec, &scale, values, series->n, n_known, steps, seat->features);
    if (!row->known) return 1;
    seat[1].role = RIDE_MIRROR;
    for (size_t t = 0; t < steps; t++)
        memcpy(seat[1].features + t * width, seat->features + (steps - 1 - t) * width,
               width * sizeof *seat->features);
    return 2;
}

void patched_read(const struct forecast_spec *spec, const struct patched_series *series,
                  struct patched *seats)
{
    const struct rows *rows = series->rows;
    size_t seat = rows ? rows->n_targets : 1;
    for (size_t k = 0; k < seat; k++)
        read_target(spec, series, rows ? target_of(rows, k, series->n) : series->values, &seats[k]);
    for (size_t k = 0; rows && k < rows->n_covariates; k++)
        seat += read_covariate(spec, series, &rows->covariates[k], &seats[seat]);
}

/* ---- what a series needs ---- */

static void lay_out(const struct forecast *f, const struct forecast_series *from, struct forecasted *series,
                    struct arena *arena)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    size_t width = series_n_inputs(spec), state = network_state_floats(f->job.model->network);
    series->n_seats = patched_seats(from->rows);
    series->rides_whole = patched_rides_whole(from->rows);
    series->n_past = patches_read(spec, series->n) - 1;
    series->n_ahead = patched_steps(spec, from->rows, series->n, f->horizon) - series->n_past;
    series->patched = arena_take(arena, series->n_seats, sizeof *series->patched);
    for (size_t i = 0; i < series->n_seats; i++) {
        struct patched measured, *row = series->patched ? &series->patched[i] : &measured;
        bool trends = i < series->n_targets && spec->trend.scale > 0;
        row->features = arena_take(arena, series->n_past + series->n_ahead, width * sizeof(float));
        row->differences = trends ? arena_take(arena, series->n, sizeof(double)) : NULL;
        row->state = i ? arena_take(arena, state, sizeof(float)) : NULL;
    }
    series->at = arena_take(arena, series->n_targets * f->horizon, spec->n_levels * sizeof *series->at);
}

static void begin(struct forecast *f, const struct forecast_series *tail, size_t i, size_t good)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecasted *series = &f->series[i];
    struct sequence *sequence = &forecast_sequence(f, good, 0)->sequence;
    size_t steps = series->n_past + series->n_ahead;
    memcpy(series->z, tail->values, tail->n * sizeof *series->z);
    f->paths[forecast_sequence(f, good, 0)->index].of = series;
    patched_read(spec, &(struct patched_series){tail->rows, tail->values, series->n, steps}, series->patched);
    sequence->seats = (uint32_t)series->n_seats;
    sequence->rides_whole = series->rides_whole;
    sequence->turn_steps = steps < TURN_STEPS ? steps : TURN_STEPS;
    sequence->whole_steps = steps;
    sequence->cost_steps = steps * series->n_seats;
    sequence->least_steps = steps;
}

/* ---- the driver ---- */

static void feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    const struct job_sequence *seq = (const struct job_sequence *)sequence;
    const struct forecast_spec *spec = forecast_spec_of(seq->job->model);
    const struct forecasted *series = forecast_path(seq)->of;
    size_t left = series->n_past + series->n_ahead - series->n_run, n = left < room ? left : room;
    size_t end = series->n_run + n, from = series->n_run > series->n_past ? series->n_run : series->n_past;
    for (size_t i = 0; i < series->n_seats; i++) {
        const struct patched *row = &series->patched[i];
        if (row->state) rides[i].state = row->state;
        rides[i].n_steps = n;
        rides[i].features = row->features + series->n_run * series_n_inputs(spec);
        rides[i].want = end > from && row->role == RIDE_TARGET ? WANT_TAIL : WANT_NONE;
        rides[i].n_wanted = end > from ? end - from : 0;
        rides[i].role = row->role;
    }
    rides[0].n_group = series->n_seats;
}

/* Read what the output of one step tells of one row. Return false if a value leaves the range of float. */
static bool read_patch(const struct forecast *f, const struct path *path, size_t target, const float *outputs)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    const struct forecasted *series = path->of;
    for (size_t i = 0; i < spec->patch_length && path->n + i < f->horizon; i++) {
        double *at = series->at + (target * f->horizon + path->n + i) * spec->n_levels;
        patches_levels(spec, &series->patched[target].reading.scale, i, outputs, at);
        for (size_t q = 0; q < spec->n_levels; q++)
            if (!(fabs(at[q]) <= (double)FLT_MAX)) return false;
    }
    return true;
}

/* Read the outputs of all targets, up to the horizon. */
static bool read_outputs(const struct forecast *f, struct path *path, const struct ride *rides)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    for (size_t t = 0; t < rides[0].n_outputs && path->n < f->horizon; t++) {
        for (size_t k = 0; k < path->of->n_targets; k++)
            if (!read_patch(f, path, k, rides[k].output + t * series_n_outputs(spec))) return false;
        path->n += spec->patch_length;
        if (path->n > f->horizon) path->n = f->horizon;
    }
    return true;
}

/* What is left to do when all patches are there. Return false if a value leaves the range of float. */
static bool finish(const struct forecast *f, struct forecasted *series)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    size_t each = f->horizon * spec->n_levels;
    for (size_t k = 0; k < series->n_targets; k++) {
        const struct patch_reading *reading = &series->patched[k].reading;
        trend_finish(spec, reading->trends, reading->last, series->at + k * each, f->horizon);
    }
    for (size_t i = 0; i < series->n_targets * each; i++)
        if (!(fabs(series->at[i]) <= (double)FLT_MAX)) return false;
    return true;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *rides)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    struct path *path = forecast_path(seq);
    struct forecasted *series = path->of;
    if (job_sequence_must_leave(seq)) return LEAVE;
    series->n_run += rides[0].n_steps;
    series->n_fed = series->n_run < series->n_past ? series->n_run : series->n_past;
    bool good = read_outputs(f, path, rides);
    if (good && path->n < f->horizon) return STAY;
    if (good && finish(f, series)) atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    else atomic_store_explicit(&series->error, forecast_too_big, memory_order_relaxed);
    return LEAVE;
}

const struct forecast_way forecast_patched = {
    .driver = {feed, receive, job_sequence_finish}, .lay_out = lay_out, .begin = begin,
    .settle = forecast_settle_levels};
