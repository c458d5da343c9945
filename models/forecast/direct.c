/* direct: a model whose network gives all quantiles of many steps to come in one pass: output type
 * "candidates". A series rides once. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "models/forecast/forecast_job.h"

static void lay_out(const struct forecast *f, const struct forecast_series *from, struct forecasted *series,
                    struct arena *arena)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    (void)from;
    series->n_past = series->n < spec->window ? series->n : spec->window;
    series->n_ahead = f->horizon;
    series->memory = arena_take(arena, candidates_bytes(series->n, f->horizon), 1);
    series->features = arena_take(arena, series->n_past + series->n_ahead,
                                  series_n_inputs(spec) * sizeof(float));
    series->at = arena_take(arena, f->horizon, spec->n_levels * sizeof *series->at);
}

/* Note what a series needs. The candidates themselves are left to the worker: they take a millisecond. */
static void begin(struct forecast *f, const struct forecast_series *tail, size_t i, size_t good)
{
    struct forecasted *series = &f->series[i];
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct job_sequence *seq = forecast_sequence(f, good, 0);
    memcpy(series->z, tail->values, tail->n * sizeof *series->z);
    series->season = tail->season;
    f->paths[seq->index].of = series;
    series->has_rule = spec->rules && !series_has_holes(tail->values, tail->n) &&
                       series_rule(&series->scale, series->z, series->n, &series->rule);
    seq->sequence.cost_steps = seq->sequence.least_steps = series->n_past + series->n_ahead;
}

/* ---- the driver ---- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct job_sequence *seq = (const struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct path *path = forecast_path(seq);
    struct forecasted *series = path->of;
    if (series->candidates.n == 0) {
        candidates_make(series->z, series->n, series->season, f->horizon, series->memory,
                        &series->candidates);
        candidates_features(&series->candidates, spec->window, series->features);
    }
    bool past = series->n_fed < series->n_past;
    size_t done = past ? series->n_fed : series->n_past + path->n;
    size_t left = past ? series->n_past - series->n_fed : series->n_ahead - path->n;
    ride->n_steps = left < room ? left : room;
    ride->features = series->features + done * series_n_inputs(spec);
    ride->want = past ? WANT_NONE : WANT_ALL;
}

/* The value at `lead` of a direct model's series that follows a rule. Those before it stand in `at`. */
static double follow_rule(const struct forecasted *series, size_t lead, size_t n_levels)
{
    double last[RULES_SPAN] = {0};
    for (size_t k = 0; k < rules_span(&series->rule) && k < series->n + lead; k++)
        last[k] = k < lead ? series->at[(lead - 1 - k) * n_levels]
                           : rules_round(series->z[series->n - 1 - (k - lead)]);
    return rules_round(rules_next(&series->rule, last));
}

/* Read the values at all levels of one step to come, from the output that tells of it. Return false if they
 * leave the range of float. */
static bool read_lead(const struct forecast *f, struct forecasted *series, size_t lead, const float *outputs)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    size_t n_levels = spec->n_levels;
    double *at = series->at + lead * n_levels;
    if (series->has_rule) {
        double value = follow_rule(series, lead, n_levels);
        for (size_t q = 0; q < n_levels; q++) at[q] = value;
    } else {
        candidates_read(&series->candidates, lead, outputs, spec->levels, n_levels, at);
        if (series->candidates.season.n_periods == 0)
            candidates_widen(&series->candidates, spec->unseasonal_width, spec->levels, n_levels, at);
    }
    for (size_t q = 0; q < n_levels; q++)
        if (!(fabs(at[q]) <= (double)FLT_MAX)) return false;
    return true;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    struct path *path = forecast_path(seq);
    struct forecasted *series = path->of;
    size_t n_outputs = series_n_outputs(forecast_spec_of(f->job.model));
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (series->n_fed < series->n_past) {
        series->n_fed += ride->n_steps;
        return STAY;
    }
    for (size_t i = 0; i < ride->n_steps; i++)
        if (!read_lead(f, series, path->n++, ride->output + i * n_outputs)) {
            atomic_store_explicit(&series->error, forecast_too_big, memory_order_relaxed);
            return LEAVE;
        }
    if (path->n < f->horizon) return STAY;
    atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    return LEAVE;
}

/* ---- the results ---- */

/* The value of step t of all rows' steps, one row behind the other. */
static double value_at(const struct forecast *f, const struct forecasted *series, size_t t, double level)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    if (spec->n_levels == 0) return series->mean[t];
    double value = series_level(spec->levels, series->at + t * spec->n_levels, spec->n_levels, level);
    return series->candidates.floor ? fmax(value, 0) : value;
}

/* Draw a path of each row. One above the median tends to stay there: levels follow an autoregression of
 * normal numbers. */
static void draw_sample(const struct forecast *f, const struct forecasted *series, size_t number,
                        double *sample)
{
    const double kept = 0.9, fresh = sqrt(1 - kept * kept);
    struct random random;
    random_init(&random, f->seed, (uint64_t)(series - f->series) << 32 | (number + 1));
    double normal = random_normal(&random);
    for (size_t t = 0; t < series->n_targets * f->horizon; t++) {
        sample[t] = value_at(f, series, t, 0.5 * erfc(-normal / sqrt(2.0)));
        normal = kept * normal + fresh * random_normal(&random);
    }
}

void forecast_settle_levels(struct forecast *f, struct forecasted *series)
{
    size_t each = series->n_targets * f->horizon;
    for (size_t t = 0; t < each; t++) {
        series->mean[t] = value_at(f, series, t, 0.5);
        for (size_t q = 0; q < f->n_quantiles; q++)
            series->quantiles[q * each + t] = value_at(f, series, t, f->levels[q]);
    }
    for (size_t i = 0; i < f->num_samples; i++) draw_sample(f, series, i, series->samples + i * each);
    series->is_settled = true;
}

const struct forecast_way forecast_direct = {
    .driver = {feed, receive, job_sequence_finish}, .lay_out = lay_out, .begin = begin,
    .settle = forecast_settle_levels};
