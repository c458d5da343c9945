/* walking: a model that foretells the next value, and reads it as its next input. A mean path and sampled
 * paths go on from copies of the state after the values read. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/forecast/columns.h"
#include "models/forecast/forecast_job.h"

static void lay_out(const struct forecast *f, const struct forecast_series *from, struct forecasted *series,
                    struct arena *arena)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    (void)from;
    series->features = arena_take(arena, series->n, spec->n_inputs * sizeof(float));
    if (!spec->n_columns) return;
    series->columns.width = series->n + f->horizon;
    series->columns.z = arena_take(arena, spec->n_columns, series->columns.width * sizeof(double));
    series->columns.missing = arena_take(arena, spec->n_columns, series->columns.width * sizeof(bool));
    series->scales = arena_take(arena, spec->n_columns, sizeof *series->scales);
}

static void begin(struct forecast *f, const struct forecast_series *tail, size_t i, size_t good)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecasted *series = &f->series[i];
    if (spec->n_columns)
        columns_scale(spec, tail->rows, tail->values, series->n, f->horizon, series->columns.z,
                      series->columns.missing, series->scales);
    series_go_on(spec, &series->scale, f->kept.n_before, series->n_before, tail->values, series->n,
                 &series->columns, series->z, series->features);
    series->has_rule = spec->rules && !series_has_holes(tail->values, tail->n) &&
                       series_rule(&series->scale, series->z, series->n_before + series->n, &series->rule);
    for (size_t number = 0; number < f->n_paths; number++) {
        struct job_sequence *seq = forecast_sequence(f, good, number);
        struct path *path = &f->paths[seq->index];
        path->of = series;
        path->values = number == 0 ? series->mean : series->samples + (number - 1) * f->horizon;
        random_init(&path->random, f->seed, (uint64_t)i << 32 | number);
        seq->sequence.cost_steps = f->horizon - 1;
    }
    struct job_sequence *reader = forecast_sequence(f, good, 0);
    if (f->n_paths > 1) job_sequence_adopt(reader, forecast_sequence(f, good, 1), f->n_paths - 1);
    reader->sequence.cost_steps = series->n + f->n_paths * (f->horizon - 1);
    reader->sequence.least_steps = series->n + f->horizon - 1;
}

/* ---- the driver ---- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast_spec *spec = forecast_spec_of(seq->job->model);
    const struct path *path = forecast_path(seq);
    const struct forecasted *series = path->of;
    if (path->n > 0) {
        ride->n_steps = 1;
        ride->features = path->features;
        ride->want = WANT_LAST;
        return;
    }
    size_t left = series->n - series->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->features = series->features + series->n_fed * spec->n_inputs;
    ride->want = left <= room ? WANT_LAST : WANT_NONE;
}

/* One more value, and the step that feeds it back. true: the path goes on. */
static bool path_advance(const struct forecast *f, struct path *path, bool is_mean,
                         const float *outputs)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecasted *series = path->of;
    if (atomic_load_explicit(&series->error, memory_order_relaxed)) return false;
    const struct series_past past = {series->z, series->n_before + series->n, path->values, f->kept.n_before,
                                     &series->columns};
    struct series_distribution distribution;
    size_t t = past.first + past.n_read + path->n;
    series_distribution_read(spec, &past, t - 1, outputs, &distribution);
    if (series->has_rule)
        distribution.location = series_rule_next(&series->rule, &series->scale, &past, t);
    double z = is_mean ? series_distribution_mean(&distribution)
                       : series_distribution_draw(&distribution, &path->random);
    if (!(fabs(z) <= FLT_MAX) || !(fabs(z * series->scale.scale + series->scale.mean) <= FLT_MAX)) {
        atomic_store_explicit(&series->error, forecast_too_big, memory_order_relaxed);
        return false;
    }
    path->values[path->n++] = z;
    if (path->n < f->horizon) {
        series_step(spec, &series->scale, &past, t, false, path->features);
        return true;
    }
    atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    for (size_t i = 0; i < f->horizon; i++) {
        double x = path->values[i] * series->scale.scale + series->scale.mean;
        path->values[i] = series->has_rule ? rules_round(x) : x;
    }
    return false;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    struct path *path = forecast_path(seq);
    struct forecasted *series = path->of;
    if (job_sequence_must_leave(seq)) return LEAVE;
    bool is_mean = path->values == series->mean;
    if (series->n_fed < series->n) {
        series->n_fed += ride->n_steps;
        if (series->n_fed < series->n) return STAY;
        if (f->snapshot)
            memcpy(f->snapshot, sequence->state, network_state_floats(sequence->network) * sizeof(float));
        for (size_t i = 0; i < seq->n_children; i++)
            if (path_advance(f, forecast_path(&seq->children[i]), false, ride->output))
                job_sequence_board(seq, &seq->children[i], worker);
    }
    return path_advance(f, path, is_mean, ride->output) ? STAY : LEAVE;
}

/* ---- the results ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void settle(struct forecast *f, struct forecasted *series)
{
    if (forecast_spec_of(f->job.model)->output == OUTPUT_MEAN)
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

const struct forecast_way forecast_walking = {
    .driver = {feed, receive, job_sequence_finish}, .lay_out = lay_out, .begin = begin, .settle = settle};
