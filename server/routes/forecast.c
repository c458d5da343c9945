/* POST /v1/forecast: series to their next values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/forecast/forecasting.h"
#include "models/forecast/season.h"
#include "models/text/number.h"
#include "models/text/sentence.h"
#include "server/request/access.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/calendar.h"
#include "server/api/codec.h"
#include "server/api/series.h"
#include "server/request/server.h"
#include "server/api/work.h"

enum { ID_BYTES = 128 };
#define MAX_SEED 9007199254740991

/* What a series says besides its values. */
struct label {
    char id[ID_BYTES + 1];
    bool has_dates;
    struct instant start;
    struct frequency frequency;
    size_t n; /* values before the forecast */
    bool has_rows; /* target was an array of rows, and so is the answer */
};

struct predict {
    struct work work;
    struct forecast *job;
    struct label *labels; /* [n] */
    double *quantiles;    /* [n_quantiles] */
    size_t n, horizon, n_quantiles, num_samples;
    size_t n_rows; /* rows of target of all series */
    int64_t seed;
};

/* The request while it is read. */
struct reading {
    struct call *call;
    struct predict *task;
    struct forecast_series *series; /* [n] */
    double **values;                /* [n] of those without rows */
    struct rows *rows;              /* [n] */
    int64_t season;                 /* of every series that does not say its own; 0: unknown */
};

/* ---- names ---------------------------------------------------------------------------------- */

static const char *const known[] = {"series", "horizon", "season", "quantiles", "num_samples", "seed", NULL};

/* Names of other forecasting services and libraries: Nixtla's, sktime's, Chronos' and TimesFM's. */
static const struct synonym synonyms[] = {
    {"h", "horizon"}, {"fh", "horizon"}, {"prediction_length", "horizon"}, {"horizon_len", "horizon"},
    {"forecast_horizon", "horizon"}, {"quantile_levels", "quantiles"}, {"season_length", "season"},
    {"seasonality", "season"}, {NULL, NULL}};

static const struct refusal refusals[] = {
    {"level", "send the ends of the interval as 'quantiles': a level of 80 is [0.1, 0.9]", JSON_ABSENT},
    {"freq", "it goes into each object of 'series', with 'start'", JSON_ABSENT},
    {"start", "it goes into each object of 'series', with 'freq'", JSON_ABSENT},
    {"target", "send it as 'series'", JSON_ABSENT},
    {"past_covariates", "they go into each object of 'series', beside 'target'", JSON_ABSENT},
    {"future_covariates", "they go into each object of 'series', beside 'target'", JSON_ABSENT},
    {"y", "send it as 'series'", JSON_ABSENT},
    {"inputs", "send them as 'series'", JSON_ABSENT},
    {"context", "send it as 'series'", JSON_ABSENT},
    {"instances", "send them as 'series'", JSON_ABSENT},
    {"parameters", "its members go beside 'series'", JSON_ABSENT},
    {"configuration", "its members go beside 'series'", JSON_ABSENT},
    {NULL, NULL, JSON_ABSENT}};

static const struct fields fields = {.known = known, .synonyms = synonyms, .refusals = refusals,
                                     .goes_on = true};

static const char *const series_known[] = {"id", "target", "past_covariates", "future_covariates", "start",
                                           "freq", "season", NULL};
static const struct synonym series_synonyms[] = {
    {"item_id", "id"}, {"unique_id", "id"}, {"season_length", "season"}, {"seasonality", "season"},
    {NULL, NULL}};
static const struct refusal series_refusals[] = {
    {"y", "send the values as 'target'", JSON_ABSENT},
    {"dynamic_feat", "send it as 'future_covariates'", JSON_ABSENT},
    {"cat", "these models read no categories: leave it out", JSON_ABSENT},
    {NULL, NULL, JSON_ABSENT}};
static const struct fields series_fields = {
    .known = series_known, .synonyms = series_synonyms, .refusals = series_refusals};

/* ---- printing ------------------------------------------------------------------------------- */

/* All digits: what the network computes in float32 is small beside the level of a series, which is added in
 * double. Fewer digits would cut off the part that was forecast. */
static void put_values(struct writer *out, const double *values, size_t n)
{
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_double(out, values[i]);
    put_close(out, ']');
}

/* The forecast of one row of target, or an array of those of all rows. */
static void put_rows(struct writer *out, const struct predict *task, const struct label *label,
                     const double *values, size_t n_targets)
{
    if (label->has_rows) put_open(out, '[');
    for (size_t i = 0; i < n_targets; i++) put_values(out, values + i * task->horizon, task->horizon);
    if (label->has_rows) put_close(out, ']');
}

static void put_quantiles(struct writer *out, const struct predict *task, const struct label *label,
                          const struct forecast_result *result)
{
    put_name(out, "quantiles");
    put_open(out, '{');
    for (size_t q = 0; q < task->n_quantiles; q++) {
        char name[NUMBER_BYTES];
        number_print(name, task->quantiles[q]);
        put_name(out, name);
        put_rows(out, task, label, result->quantiles + q * result->n_targets * task->horizon,
                 result->n_targets);
    }
    put_close(out, '}');
}

/* The levels asked for that the network does not give: their values lie on lines between those it gives. */
static void put_interpolated(struct writer *out, const struct predict *task, const struct forecast_spec *spec)
{
    double between[FORECAST_MAX_QUANTILES];
    size_t n = 0;
    for (size_t q = 0; q < task->n_quantiles && forecast_is_direct(spec); q++) {
        bool given = false;
        for (size_t i = 0; i < spec->n_levels; i++)
            given = given || fabs(spec->levels[i] - task->quantiles[q]) < 1e-9;
        if (!given) between[n++] = task->quantiles[q];
    }
    if (n == 0) return;
    put_name(out, "interpolated_quantiles");
    put_values(out, between, n);
}

static void put_timestamps(struct writer *out, const struct predict *task, const struct label *label)
{
    char text[CALENDAR_TEXT_BYTES];
    put_name(out, "timestamps");
    put_open(out, '[');
    for (size_t t = 0; t < task->horizon; t++)
        if (instant_print(&label->start, &label->frequency, (int64_t)(label->n + t), text))
            put_string(out, text);
    put_close(out, ']');
}

static void put_forecast(struct writer *out, const struct predict *task, size_t i)
{
    struct forecast_result result;
    const struct label *label = &task->labels[i];
    forecast_read(task->job, i, &result);
    put_open(out, '{');
    put_named_string(out, "id", label->id);
    if (result.error) put_named_string(out, "error", result.error);
    else {
        put_name(out, "mean");
        put_rows(out, task, label, result.mean, result.n_targets);
        if (task->n_quantiles) put_quantiles(out, task, label, &result);
        if (task->num_samples) {
            put_name(out, "samples");
            put_open(out, '[');
            for (size_t s = 0; s < task->num_samples; s++)
                put_rows(out, task, label, result.samples + s * result.n_targets * task->horizon,
                         result.n_targets);
            put_close(out, ']');
        }
        if (label->has_dates) put_timestamps(out, task, label);
    }
    put_close(out, '}');
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    struct predict *task = (struct predict *)work;
    struct writer out;
    request->record.steps_in = forecast_steps_in(task->job);
    request->record.steps_out = forecast_steps_out(task->job);
    const struct usage usage[] = {{"steps_in", request->record.steps_in},
                                  {"steps_out", request->record.steps_out}};
    answer_open(&out, request, "fc-", "forecast", work->job->model);
    put_named_integer(&out, "horizon", (int64_t)task->horizon);
    put_interpolated(&out, task, forecast_spec_of(work->job->model));
    put_name(&out, "forecasts");
    put_open(&out, '[');
    for (size_t i = 0; i < task->n; i++) put_forecast(&out, task, i);
    put_close(&out, ']');
    put_named_integer(&out, "seed", task->seed);
    answer_close(&out, usage, 2, work, reply);
}

static void release(struct work *work)
{
    struct predict *task = (struct predict *)work;
    job_free(work->job);
    memory_free(task->labels);
    memory_free(task->quantiles);
    free(task);
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool no_memory(struct reading *reading)
{
    return problem_set(reading->call->problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* The numbers of series i, null for missing. `param` names the array. */
static bool read_values(struct reading *reading, size_t i, const struct json *array, const char *param)
{
    size_t n;
    if (!series_values(reading->call, array, param, &reading->values[i], &n)) return false;
    reading->series[i] = (struct forecast_series){.values = reading->values[i], .n = n};
    return true;
}

static bool blame(struct reading *reading, size_t i, const char *name)
{
    char inner[ERROR_PARAM_BYTES];
    snprintf(inner, sizeof inner, "%s", reading->call->problem->param);
    snprintf(reading->call->problem->param, sizeof inner, "series[%zu].%.32s", i, *inner ? inner : name);
    return false;
}

static bool read_dates(struct reading *reading, size_t i, const struct json *object)
{
    struct problem *problem = reading->call->problem;
    struct label *label = &reading->task->labels[i];
    const char *start = NULL, *freq = NULL;
    char text[CALENDAR_TEXT_BYTES], shown[QUOTE_BYTES];
    if (!field_string(object, "start", 64, &start, problem)) return blame(reading, i, "start");
    if (!field_string(object, "freq", 16, &freq, problem)) return blame(reading, i, "freq");
    if (!start && !freq) return true;
    if (!start || !freq) {
        problem_set(problem, FAULT_INVALID_VALUE, NULL,
                    "series[%zu] has '%s' without '%s'; expected both or neither", i,
                    start ? "start" : "freq", start ? "freq" : "start");
        return blame(reading, i, start ? "freq" : "start");
    }
    if (!instant_parse(start, &label->start)) {
        problem_set(problem, FAULT_INVALID_VALUE, NULL,
                    "series[%zu].start is %s; expected a date of the form 2026-01-31, 2026-01-31T22:00:00Z, "
                    "2026-01, 2026Q1 or 2026", i, sentence_quote(shown, start, strlen(start)));
        return blame(reading, i, "start");
    }
    if (!frequency_parse(freq, &label->frequency)) {
        const char *nearest = frequency_nearest(freq);
        problem_set(problem, FAULT_INVALID_VALUE, NULL, "series[%zu].freq is %s; expected %s%s%s%s", i,
                    sentence_quote(shown, freq, strlen(freq)), frequency_names,
                    nearest ? "; the nearest is '" : "", nearest ? nearest : "", nearest ? "'" : "");
        return blame(reading, i, "freq");
    }
    label->n = reading->series[i].n;
    label->has_dates = true;
    int64_t last = (int64_t)(label->n + reading->task->horizon - 1);
    if (instant_print(&label->start, &label->frequency, last, text)) return true;
    problem_set(problem, FAULT_INVALID_VALUE, NULL, "series[%zu]: the forecast would end after the year 9999",
                i);
    return blame(reading, i, "start");
}

/* Read the field `season` of the request or of one series, if it is there. Only a model that looks for a
 * season has a use for it. */
static bool read_told_season(struct reading *reading, const struct json *object, const struct fields *names,
                             int64_t *season)
{
    struct call *call = reading->call;
    const char *name = field_written(object, names, "season");
    if (!json_get(object, name)) return true;
    if (forecast_spec_of(call->model)->output != OUTPUT_CANDIDATES)
        return problem_set(call->problem, FAULT_INVALID_VALUE, name,
                           "model '%s' does not look for a season; leave '%s' out", call->model->name, name);
    return field_integer(object, name, 1, SEASON_LONGEST, season, call->problem);
}

/* Set the steps in a cycle: what the series says, or what follows from its frequency, or what the request
 * says. */
static bool read_season(struct reading *reading, size_t i, const struct json *object)
{
    const struct label *label = &reading->task->labels[i];
    int64_t season = label->has_dates ? frequency_season(&label->frequency) : 0;
    if (season == 0 || season > SEASON_LONGEST) season = reading->season;
    if (object && !read_told_season(reading, object, &series_fields, &season))
        return blame(reading, i, "season");
    reading->series[i].season = (size_t)season;
    return true;
}

/* Whether the model reads, or the object has, more than the numbers of one row. */
static bool has_rows(const struct reading *reading, const struct json *object)
{
    return rows_are_there(object) || series_calendar_columns(forecast_spec_of(reading->call->model)) > 0;
}

/* Read several rows of target, and covariates. */
static bool read_rows(struct reading *reading, size_t i, const struct json *object)
{
    struct call *call = reading->call;
    struct rows *rows = &reading->rows[i];
    struct error err = {0};
    char place[ERROR_PARAM_BYTES];
    snprintf(place, sizeof place, "series[%zu]", i);
    enum status status = rows_read(object, place, reading->task->horizon,
                                   (size_t)call->config->limits_series_values,
                                   series_calendar_columns(forecast_spec_of(call->model)), rows, &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "series");
    reading->series[i] = (struct forecast_series){.values = rows->targets, .n = rows->n, .rows = rows};
    reading->task->labels[i].has_rows = rows->nested;
    reading->task->n_rows += rows->n_targets - 1;
    const struct label *label = &reading->task->labels[i];
    if (!read_dates(reading, i, object)) return false;
    if (label->has_dates)
        series_add_calendar(forecast_spec_of(call->model), &label->start, &label->frequency, rows);
    return true;
}

/* {"id", "target", "past_covariates", "future_covariates", "start", "freq", "season"} */
static bool read_object(struct reading *reading, size_t i, const struct json *object)
{
    struct call *call = reading->call;
    const struct json *target = json_get(object, "target");
    const char *id = NULL;
    char param[ERROR_PARAM_BYTES];
    if (!fields_check(object, &series_fields, NULL, true, call->problem) ||
        !field_string(object, field_written(object, &series_fields, "id"), ID_BYTES, &id, call->problem))
        return blame(reading, i, "id");
    if (id) snprintf(reading->task->labels[i].id, sizeof reading->task->labels[i].id, "%s", id);
    snprintf(param, sizeof param, "series[%zu].target", i);
    if (has_rows(reading, object)) return read_rows(reading, i, object) && read_season(reading, i, object);
    if (json_kind(target) != JSON_ARRAY)
        return field_expected(target, param, "an array of numbers", call->problem);
    return read_values(reading, i, target, param) && read_dates(reading, i, object) &&
           read_season(reading, i, object);
}

static bool read_element(struct reading *reading, size_t i, const struct json *element, enum json_kind kind)
{
    char param[ERROR_PARAM_BYTES];
    snprintf(param, sizeof param, "series[%zu]", i);
    if (json_kind(element) != kind)
        return field_expected(element, param,
                              kind == JSON_ARRAY ? "an array of numbers, as before it"
                                                 : "an object, as before it",
                              reading->call->problem);
    if (kind == JSON_OBJECT) return read_object(reading, i, element);
    return read_values(reading, i, element, param) && read_season(reading, i, NULL);
}

/* One array of numbers, an array of arrays, or an array of objects. */
static bool read_series(struct reading *reading)
{
    struct call *call = reading->call;
    struct predict *task = reading->task;
    const struct json *field = json_get(call->root, "series");
    const struct json *first = json_kind(field) == JSON_ARRAY ? json_first(field) : NULL;
    enum json_kind inner = json_kind(first);
    bool single = inner == JSON_NUMBER || inner == JSON_NULL;
    if (!single && inner != JSON_ARRAY && inner != JSON_OBJECT)
        return field_expected(
            field, "series",
            "an array of numbers, an array of such arrays, or an array of objects with 'target'",
            call->problem);
    size_t max = (size_t)call->config->limits_series, i = 0;
    task->n = single ? 1 : json_count(field);
    if (task->n > max)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "series",
                           "'series' has %zu series; expected at most %zu", task->n, max);
    task->labels = memory_new(task->n, sizeof *task->labels);
    reading->series = memory_new(task->n, sizeof *reading->series);
    reading->values = memory_new(task->n, sizeof *reading->values);
    reading->rows = memory_new(task->n, sizeof *reading->rows);
    task->n_rows = task->n;
    if (!task->labels || !reading->series || !reading->values || !reading->rows) return no_memory(reading);
    for (; i < task->n; i++) snprintf(task->labels[i].id, sizeof task->labels[i].id, "%zu", i);
    if (single) return read_values(reading, 0, field, "series") && read_season(reading, 0, NULL);
    i = 0;
    for (const struct json *child = first; child; child = json_next(child), i++)
        if (!read_element(reading, i, child, inner)) return false;
    return true;
}

static bool read_quantiles(struct reading *reading)
{
    struct call *call = reading->call;
    struct predict *task = reading->task;
    const char *name = field_written(call->root, &fields, "quantiles");
    const struct json *field = json_get(call->root, name);
    size_t max = (size_t)call->config->limits_quantiles, n = json_count(field);
    if (!field) return true;
    if (json_kind(field) != JSON_ARRAY)
        return field_expected(field, name, "an array of numbers between 0 and 1", call->problem);
    if (n > max)
        return problem_set(call->problem, FAULT_INVALID_VALUE, name,
                           "'%s' has %zu levels; expected at most %zu", name, n, max);
    task->quantiles = memory_new(n + 1, sizeof *task->quantiles);
    if (!task->quantiles) return no_memory(reading);
    for (const struct json *level = json_first(field); level; level = json_next(level)) {
        char param[ERROR_PARAM_BYTES];
        double number = json_kind(level) == JSON_NUMBER ? json_number(level) : NAN;
        snprintf(param, sizeof param, "%s[%zu]", name, task->n_quantiles);
        if (!(number > 0 && number < 1))
            return field_expected(level, param, "a number between 0 and 1, without these", call->problem);
        for (size_t i = 0; i < task->n_quantiles; i++)
            if (task->quantiles[i] == number)
                return field_expected(level, param, "each level once", call->problem);
        task->quantiles[task->n_quantiles++] = number;
    }
    return true;
}

/* A forecast without a length would be a guess. */
static bool read_horizon(struct reading *reading)
{
    struct call *call = reading->call;
    const char *name = field_written(call->root, &fields, "horizon");
    size_t max = (size_t)call->config->limits_horizon;
    char expected[64];
    if (json_get(call->root, name))
        return field_size(call->root, name, 1, max, &reading->task->horizon, call->problem);
    snprintf(expected, sizeof expected, "an integer from 1 to %zu", max);
    return field_expected(NULL, name, expected, call->problem);
}

static bool read_amounts(struct reading *reading)
{
    struct call *call = reading->call;
    struct predict *task = reading->task;
    const struct config *config = call->config;
    task->seed = call_random_seed();
    (void)branch_seed(call->branch, &task->seed);
    return read_horizon(reading) &&
           field_size(call->root, "num_samples", 0, (size_t)config->limits_num_samples, &task->num_samples,
                      call->problem) &&
           read_told_season(reading, call->root, &fields, &reading->season) &&
           field_integer(call->root, "seed", -MAX_SEED, MAX_SEED, &task->seed, call->problem) &&
           read_quantiles(reading);
}

/* Count the paths behind quantiles: as many as asked for, else the bundle's own number. Refuse a request
 * whose paths and quantiles are too many values to hold and to print. */
static bool count_paths(struct reading *reading, size_t *paths)
{
    const struct predict *task = reading->task;
    size_t max = (size_t)reading->call->config->limits_sample_values;
    *paths = task->num_samples   ? task->num_samples
             : task->n_quantiles ? forecast_spec_of(reading->call->model)->num_samples
                                 : 0;
    size_t rows = *paths + task->n_quantiles, each = rows ? rows : 1;
    if (task->n_rows <= max / task->horizon / each) return true;
    const char *param = *paths ? "num_samples" : task->n_quantiles ? "quantiles" : "horizon";
    return problem_set(reading->call->problem, FAULT_INPUT_TOO_LONG, param,
                       "%zu series x %zu paths and quantiles x %zu steps; expected at most %zu values "
                       "(limits.sample_values)",
                       task->n_rows, each, task->horizon, max);
}

static bool submit(struct reading *reading)
{
    struct call *call = reading->call;
    struct predict *task = reading->task;
    struct error err = {0};
    size_t paths, values = 0;
    if (!read_amounts(reading) || !read_series(reading) || !count_paths(reading, &paths)) return false;
    struct forecast_request request = {
        .series = reading->series, .n_series = task->n, .horizon = task->horizon,
        .quantiles = task->quantiles, .n_quantiles = task->n_quantiles, .num_samples = paths,
        .seed = (uint64_t)task->seed,
        .max_whole_steps = scheduler_max_rows(call->request->server->scheduler),
        .max_seats = scheduler_max_seats(call->request->server->scheduler)};
    enum status status = forecast_new(call->model, &request, &call->options, &task->job, &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "series");
    task->work.job = forecast_job(task->job);
    task->work.print = print;
    task->work.release = release;
    for (size_t i = 0; i < task->n; i++) values += reading->series[i].n;
    call_record(call, values);
    task->work.branch = call_take_branch(call);
    work_defer(&task->work, call->request);
    return true;
}

void api_forecast(struct request *request, struct reply *reply)
{
    struct call call;
    if (!call_open(&call, request, reply, &fields, ABILITY_FORECAST)) return;
    struct reading reading = {.call = &call, .task = calloc(1, sizeof(struct predict))};
    if (!reading.task) no_memory(&reading);
    bool good = reading.task && submit(&reading);
    for (size_t i = 0; reading.rows && reading.values && i < reading.task->n; i++) {
        memory_free(reading.values[i]);
        rows_free(&reading.rows[i]);
    }
    memory_free(reading.rows);
    memory_free(reading.values);
    memory_free(reading.series);
    if (!good && reading.task) release(&reading.task->work);
    call_close(&call);
}
