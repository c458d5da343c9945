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
#include "models/jobs/job_sequence.h"
#include "models/forecast/candidates.h"
#include "models/forecast/kept_series.h"
#include "models/forecast/patches.h"
#include "models/forecast/series.h"

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
    double *at;                   /* [horizon, n_levels] of the bundle's levels */
    double *mean;      /* [horizon] */
    double *samples;   /* [num_samples, horizon] */
    double *quantiles; /* [n_quantiles, horizon] */
    bool is_settled;   /* quantiles are there */
};

struct forecast {
    struct job job;
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

/* ---- what a request asks for ---- */

static const char series_empty[] = "the series is empty: expected at least one value";
static const char series_missing[] =
    "every value that is read is missing: expected at least one number";
static const char series_too_big[] =
    "a value is not finite or does not fit the model's scale: expected numbers that float can hold";
static const char path_too_big[] =
    "the forecast leaves the range of float: expected a shorter horizon or smaller values";
static const char path_unfinished[] = "the forecast was not finished";

static bool is_direct(const struct model *model)
{
    return forecast_is_direct(forecast_spec_of(model));
}

static bool has_patches(const struct model *model)
{
    return forecast_spec_of(model)->output == OUTPUT_PATCHES;
}

/* The part of a series that is read: its last values, or all that follow an earlier part. */
static struct forecast_series tail_of(const struct forecast *f, const struct forecast_series *series)
{
    size_t skipped = f->goes_on ? 0 : series_skipped(forecast_spec_of(f->job.model), series->n);
    return (struct forecast_series){.values = series->n ? series->values + skipped : NULL,
                                    .n = series->n - skipped};
}

/* Why a series cannot be forecast, or NULL; its scale. */
static const char *judge(const struct forecast *f, const struct forecast_series *series,
                         struct series_scale *scale)
{
    struct forecast_series tail = tail_of(f, series);
    if (tail.n == 0) return series_empty;
    size_t n_there = 0;
    for (size_t t = 0; t < tail.n; t++) {
        if (isinf(tail.values[t])) return series_too_big;
        if (!isnan(tail.values[t])) n_there++;
    }
    if (n_there == 0 && !f->goes_on) return series_missing;
    if (f->goes_on) *scale = f->kept.scale;
    else *scale = series_scale_of(forecast_spec_of(f->job.model), tail.values, tail.n);
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

static void lay_out_direct(const struct forecast *f, struct forecasted *series, struct arena *arena)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    if (has_patches(f->job.model)) {
        series->n_past = patches_read(spec, series->n) - 1;
        series->n_ahead = patches_ahead(spec, f->horizon);
    } else {
        series->n_past = series->n < spec->window ? series->n : spec->window;
        series->n_ahead = f->horizon;
        series->memory = arena_take(arena, candidates_bytes(series->n, f->horizon), 1);
    }
    series->features = arena_take(arena, series->n_past + series->n_ahead,
                                  series_n_inputs(spec) * sizeof(float));
    series->at = arena_take(arena, f->horizon, spec->n_levels * sizeof *series->at);
}

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
        series->n_before = f->goes_on ? f->kept.n : 0;
        series->z = arena_take(arena, series->n_before + series->n, sizeof *series->z);
        if (is_direct(f->job.model)) lay_out_direct(f, series, arena);
        else series->features = arena_take(arena, series->n, spec->n_inputs * sizeof(float));
        series->mean = arena_take(arena, f->horizon, sizeof *series->mean);
        series->samples = arena_take(arena, f->num_samples, f->horizon * sizeof(double));
        series->quantiles = arena_take(arena, f->n_quantiles, f->horizon * sizeof(double));
    }
    if (f->keeps && !is_direct(f->job.model))
        f->snapshot = arena_take(arena, network_state_floats(f->job.model->network), sizeof *f->snapshot);
    float *features = arena_take(arena, f->n_good * f->n_paths, spec->n_inputs * sizeof *features);
    for (size_t i = 0; f->paths && i < f->n_good * f->n_paths; i++)
        f->paths[i].features = features + i * spec->n_inputs;
}

static struct job_sequence *sequence_of(const struct forecast *f, size_t good, size_t number)
{
    if (number == 0) return &f->job._sequences[good];
    return &f->job._sequences[f->n_good + good * (f->n_paths - 1) + number - 1];
}

/* Note what a series needs. The candidates themselves are left to the worker: they take a millisecond. */
static void direct_init(struct forecast *f, const struct forecast_request *r, size_t i, size_t good)
{
    struct forecasted *series = &f->series[i];
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecast_series tail = tail_of(f, &r->series[i]);
    struct job_sequence *seq = sequence_of(f, good, 0);
    memcpy(series->z, tail.values, tail.n * sizeof *series->z);
    series->season = r->series[i].season;
    f->paths[seq->index].of = series;
    series->has_rule = spec->rules && !series_has_holes(tail.values, tail.n) &&
                       series_rule(&series->scale, series->z, series->n, &series->rule);
    seq->sequence.cost_steps = seq->sequence.least_steps = series->n_past + series->n_ahead;
    if (has_patches(f->job.model))
        patches_features(spec, &series->scale, tail.values, tail.n, series->n_ahead, series->features);
}

static void series_init(struct forecast *f, const struct forecast_request *r, size_t i, size_t good)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct forecasted *series = &f->series[i];
    struct forecast_series tail = tail_of(f, &r->series[i]);
    series_go_on(spec, &series->scale, f->kept.n_before, series->n_before, tail.values, series->n, series->z,
                 series->features);
    series->has_rule = spec->rules && !series_has_holes(tail.values, tail.n) &&
                       series_rule(&series->scale, series->z, series->n_before + series->n, &series->rule);
    for (size_t number = 0; number < f->n_paths; number++) {
        struct job_sequence *seq = sequence_of(f, good, number);
        struct path *path = &f->paths[seq->index];
        path->of = series;
        path->values = number == 0 ? series->mean : series->samples + (number - 1) * f->horizon;
        random_init(&path->random, r->seed, (uint64_t)i << 32 | number);
        seq->sequence.cost_steps = f->horizon - 1;
    }
    struct job_sequence *reader = sequence_of(f, good, 0);
    if (f->n_paths > 1) job_sequence_adopt(reader, sequence_of(f, good, 1), f->n_paths - 1);
    reader->sequence.cost_steps = series->n + f->n_paths * (f->horizon - 1);
    reader->sequence.least_steps = series->n + f->horizon - 1;
}

/* ---- the driver of a direct model ---- */

static struct path *path_of(const struct job_sequence *seq)
{
    return &((struct forecast *)seq->job)->paths[seq->index];
}

/* Values that one output tells of. */
static size_t leads_of(const struct forecast_spec *spec)
{
    return spec->output == OUTPUT_PATCHES ? spec->patch_length : 1;
}

static void feed_direct(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct job_sequence *seq = (const struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    struct path *path = path_of(seq);
    struct forecasted *series = path->of;
    if (!has_patches(f->job.model) && series->candidates.n == 0) {
        candidates_make(series->z, series->n, series->season, f->horizon, series->memory,
                        &series->candidates);
        candidates_features(&series->candidates, spec->window, series->features);
    }
    bool past = series->n_fed < series->n_past;
    size_t ahead = path->n / leads_of(spec), done = past ? series->n_fed : series->n_past + ahead;
    size_t left = past ? series->n_past - series->n_fed : series->n_ahead - ahead;
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
    if (spec->output == OUTPUT_PATCHES)
        patches_levels(spec, &series->scale, lead % spec->patch_length, outputs, at);
    else if (series->has_rule) {
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

/* Read what one output tells of, up to the horizon. false: a value leaves the range of float. */
static bool read_output(const struct forecast *f, struct path *path, const float *outputs)
{
    size_t leads = leads_of(forecast_spec_of(f->job.model));
    for (size_t i = 0; i < leads && path->n < f->horizon; i++, path->n++)
        if (!read_lead(f, path->of, path->n, outputs)) return false;
    return true;
}

static enum next receive_direct(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast *f = (const struct forecast *)seq->job;
    struct path *path = path_of(seq);
    struct forecasted *series = path->of;
    size_t n_outputs = series_n_outputs(forecast_spec_of(f->job.model));
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (series->n_fed < series->n_past) {
        series->n_fed += ride->n_steps;
        return STAY;
    }
    for (size_t i = 0; i < ride->n_steps; i++)
        if (!read_output(f, path, ride->output + i * n_outputs)) {
            atomic_store_explicit(&series->error, path_too_big, memory_order_relaxed);
            return LEAVE;
        }
    if (path->n < f->horizon) return STAY;
    atomic_fetch_add_explicit(&series->n_whole, 1, memory_order_relaxed);
    return LEAVE;
}

/* ---- the driver of a model that walks ---- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct forecast_spec *spec = forecast_spec_of(seq->job->model);
    const struct path *path = path_of(seq);
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
    const struct series_past past = {series->z, series->n_before + series->n, path->values, f->kept.n_before};
    struct series_distribution distribution;
    size_t t = past.first + past.n_read + path->n;
    series_distribution_read(spec, &past, t - 1, outputs, &distribution);
    if (series->has_rule)
        distribution.location = series_rule_next(&series->rule, &series->scale, &past, t);
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
    struct path *path = path_of(seq);
    struct forecasted *series = path->of;
    if (job_sequence_must_leave(seq)) return LEAVE;
    bool is_mean = path->values == series->mean;
    if (series->n_fed < series->n) {
        series->n_fed += ride->n_steps;
        if (series->n_fed < series->n) return STAY;
        if (f->snapshot)
            memcpy(f->snapshot, sequence->state, network_state_floats(sequence->network) * sizeof(float));
        for (size_t i = 0; i < seq->n_children; i++)
            if (path_advance(f, path_of(&seq->children[i]), false, ride->output))
                job_sequence_board(seq, &seq->children[i], worker);
    }
    return path_advance(f, path, is_mean, ride->output) ? STAY : LEAVE;
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
    static const struct driver walking = {feed, receive, job_sequence_finish};
    static const struct driver weighing = {feed_direct, receive_direct, job_sequence_finish};
    struct model *model = plan->job.model;
    bool direct = is_direct(model);
    enum status status = judge_all(plan, request, &plan->n_good, err);
    if (status != STATUS_OK) return status;
    job_plan(&plan->job, model, plan->n_good * plan->n_paths, plan->n_good);
    void *made;
    status = job_make(plan, sizeof *plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct forecast *f = made;
    job_init(&f->job, options, direct ? &weighing : &walking);
    f->job._keep = keep;
    if (f->n_quantiles > 0)
        memcpy(f->levels, request->quantiles, f->n_quantiles * sizeof *f->levels);
    if (f->goes_on) kept_series_values(options->from, f->series[0].z);
    for (size_t i = 0, good = 0; i < f->n_series; i++)
        if (!f->series[i].error) (direct ? direct_init : series_init)(f, request, i, good++);
    *out = f;
    return STATUS_OK;
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
    if (status == STATUS_OK) status = request_check_state(model, options, "series", request->n_series, err);
    if (status == STATUS_OK && from && !kept_series_read(from, forecast_spec_of(model), &plan.kept, err))
        status = STATUS_BAD_VALUE;
    if (status != STATUS_OK) return status;
    bool direct = is_direct(model);
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

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double value_at(const struct forecast *f, const struct forecasted *series, size_t t, double level)
{
    const struct forecast_spec *spec = forecast_spec_of(f->job.model);
    double value = series_level(spec->levels, series->at + t * spec->n_levels, spec->n_levels, level);
    return series->candidates.floor ? fmax(value, 0) : value;
}

/* Draw a path. One above the median tends to stay there: levels follow an autoregression of normal numbers.
 * */
static void draw_sample(const struct forecast *f, const struct forecasted *series, size_t number,
                        double *sample)
{
    const double kept = 0.9, fresh = sqrt(1 - kept * kept);
    struct random random;
    random_init(&random, f->seed, (uint64_t)(series - f->series) << 32 | (number + 1));
    double normal = random_normal(&random);
    for (size_t t = 0; t < f->horizon; t++) {
        sample[t] = value_at(f, series, t, 0.5 * erfc(-normal / sqrt(2.0)));
        normal = kept * normal + fresh * random_normal(&random);
    }
}

static void settle_direct(struct forecast *f, struct forecasted *series)
{
    for (size_t t = 0; t < f->horizon; t++) {
        series->mean[t] = value_at(f, series, t, 0.5);
        for (size_t q = 0; q < f->n_quantiles; q++)
            series->quantiles[q * f->horizon + t] = value_at(f, series, t, f->levels[q]);
    }
    for (size_t i = 0; i < f->num_samples; i++) draw_sample(f, series, i, series->samples + i * f->horizon);
    series->is_settled = true;
}

/* What is left to do when all paths are there: here, so that workers need not sort. */
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

void forecast_read(struct forecast *forecast, size_t series, struct forecast_result *out)
{
    struct forecasted *read = &forecast->series[series];
    if (!read->error && !read->is_settled) {
        if (read->n_whole == forecast->n_paths)
            (is_direct(forecast->job.model) ? settle_direct : settle)(forecast, read);
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
