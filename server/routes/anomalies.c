/* POST /v1/anomalies: which values of a series its own past did not let expect.
 *
 * Each value that is judged is foretold from all values before it, by the model's forecast of one step. Its
 * score is how far it lies from the median, in halves of the interval that 80 % of ordinary values fall into.
 * Its rarity is how unusual that score is among the scores before it (models/forecast/rarity.h): those of the
 * same request, and before them those of earlier answers that the request gives back.
 *
 * A value is marked if it lies outside of an interval that leaves out the share `sensitivity` of ordinary
 * values. By the criterion "score" that is the 80 % interval, widened as for a normal distribution; by the
 * criterion "rarity" it is widened to where the scores of this series say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/forecast/forecasting.h"
#include "models/forecast/rarity.h"
#include "models/forecast/season.h"
#include "models/jobs/random.h"
#include "server/api/answer.h"
#include "server/api/codec.h"
#include "server/api/series.h"
#include "server/api/work.h"
#include "server/request/server.h"

enum { LEAST_PAST = 8, LOW = 0, HIGH, N_LEVELS }; /* values that must lie before one that is judged */

static const double levels[N_LEVELS] = {0.1, 0.9};
static const double MOST_SCORE = 1e9, LEAST_WIDTH = 1e-9; /* of the median, so that scores are finite */

enum criterion { BY_SCORE, BY_RARITY };

enum column { EXPECTED, LOWER, UPPER, SCORE, RARITY, N_COLUMNS };
static const char *const column_names[N_COLUMNS] = {"expected", "lower", "upper", "score", "rarity"};

struct judgement {
    double cells[N_COLUMNS]; /* NaN: there is none */
    bool is_anomaly;
};

struct judging {
    struct work work;
    struct forecast *job;
    double *values;         /* [first + n] */
    size_t first, n;        /* the first value that is judged, and how many */
    struct rarity *past;    /* the scores before the value that is judged next */
    struct judgement *made; /* [n] */
    enum criterion criterion;
    double threshold;       /* of the criterion: halves of the 80 % interval, or a rarity */
};

/* ---- judging -------------------------------------------------------------------------------- */

/* Judge value i, whose score the later ones are compared with. */
static void judge(const struct judging *task, size_t i, struct judgement *out)
{
    struct forecast_result result;
    double value = task->values[task->first + i], *cells = out->cells;
    for (size_t c = 0; c < N_COLUMNS; c++) cells[c] = NAN;
    forecast_read(task->job, i, &result);
    if (result.error) return;
    double median = *result.mean, least = fmax(LEAST_WIDTH * fabs(median), 1e-300);
    double below = fmax(median - result.quantiles[LOW], least);
    double above = fmax(result.quantiles[HIGH] - median, least);
    double reach = task->criterion == BY_SCORE ? task->threshold : rarity_reach(task->past, task->threshold);
    cells[EXPECTED] = median;
    cells[LOWER] = median - reach * below;
    cells[UPPER] = median + reach * above;
    if (isnan(value)) return;
    double score = fmin(value < median ? (median - value) / below : (value - median) / above, MOST_SCORE);
    cells[SCORE] = score;
    cells[RARITY] = rarity_of(task->past, score);
    out->is_anomaly = cells[task->criterion == BY_SCORE ? SCORE : RARITY] > task->threshold;
    rarity_add(task->past, score);
}

/* ---- printing ------------------------------------------------------------------------------- */

static void put_column(struct writer *out, const struct judging *task, enum column column)
{
    put_name(out, column_names[column]);
    put_open(out, '[');
    for (size_t i = 0; i < task->n; i++) {
        double cell = task->made[i].cells[column];
        if (isnan(cell)) put_null(out);
        else put_double(out, cell);
    }
    put_close(out, ']');
}

static void put_marks(struct writer *out, const struct judging *task)
{
    put_name(out, "is_anomaly");
    put_open(out, '[');
    for (size_t i = 0; i < task->n; i++) put_boolean(out, task->made[i].is_anomaly);
    put_close(out, ']');
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct judging *task = (struct judging *)work;
    struct writer out;
    request->record.steps_in = forecast_steps_in(task->job);
    request->record.steps_out = forecast_steps_out(task->job);
    const struct usage usage[] = {{"steps_in", request->record.steps_in},
                                  {"steps_out", request->record.steps_out}};
    for (size_t i = 0; i < task->n; i++) judge(task, i, &task->made[i]);
    answer_open(&out, request, "an-", "anomalies", work->job->model);
    put_named_integer(&out, "first", (int64_t)task->first);
    put_marks(&out, task);
    for (enum column column = 0; column < N_COLUMNS; column++) put_column(&out, task, column);
    put_name(&out, "threshold");
    put_double(&out, task->threshold);
    answer_close(&out, usage, 2, work, reply);
}

static void release(struct work *work)
{
    struct judging *task = (struct judging *)work;
    job_free(work->job);
    memory_free(task->values);
    memory_free(task->made);
    rarity_free(task->past);
    free(task);
}

/* ---- reading -------------------------------------------------------------------------------- */

static const char *const known[] = {"series", "season", "mode", "first", "sensitivity",
                                    "criterion", "past_scores", NULL};
static const struct synonym synonyms[] = {
    {"season_length", "season"}, {"seasonality", "season"}, {NULL, NULL}};
static const struct refusal refusals[] = {
    {"horizon", "each value is foretold from those before it, one step ahead", JSON_ABSENT},
    {"target", "send it as 'series'", JSON_ABSENT},
    {NULL, NULL, JSON_ABSENT}};
static const struct fields fields = {
    .known = known, .synonyms = synonyms, .refusals = refusals,
    .stateless = "a value is judged beside the whole series; 'past_scores' are what its rarity goes on from"};

static bool read_sensitivity(const struct call *call, struct judging *task)
{
    double share = 0.01;
    const char *criterion = "score";
    if (!field_number(call->root, "sensitivity", 1e-12, 0.5, &share, call->problem) ||
        !field_string(call->root, "criterion", 16, &criterion, call->problem))
        return false;
    task->criterion = strcmp(criterion, "rarity") ? BY_SCORE : BY_RARITY;
    if (task->criterion == BY_SCORE && strcmp(criterion, "score"))
        return field_word_expected(json_get(call->root, "criterion"), "criterion", "'score' or 'rarity'",
                                   call->problem);
    if (task->criterion == BY_RARITY) task->threshold = -log10(share);
    else task->threshold = normal_quantile(share / 2) / normal_quantile(levels[LOW]);
    return true;
}

/* The first value that is judged of n: the last one, the one that the request names, or as far back as
 * limits.series allows. */
static bool read_first(const struct call *call, size_t n, size_t *first)
{
    const char *mode = "series";
    size_t most = (size_t)call->config->limits_series, least = n - LEAST_PAST < most ? LEAST_PAST : n - most;
    if (!field_string(call->root, "mode", 16, &mode, call->problem)) return false;
    bool last = !strcmp(mode, "last");
    if (!last && strcmp(mode, "series"))
        return field_word_expected(json_get(call->root, "mode"), "mode", "'series' or 'last'", call->problem);
    *first = last ? n - 1 : least;
    return field_size(call->root, "first", last ? n - 1 : least, n - 1, first, call->problem);
}

static bool read_span(const struct call *call, size_t n, struct judging *task)
{
    if (n <= LEAST_PAST)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "series",
                           "'series' has %zu values; expected %d or more, of which the first %d are only "
                           "learned from", n, LEAST_PAST + 1, (int)LEAST_PAST);
    if (!read_first(call, n, &task->first)) return false;
    task->n = n - task->first;
    return true;
}

/* Read the scores of the values before the first that is judged: scores[n], as series_values() does, NULL if
 * the request has none. */
static bool read_scores(const struct call *call, double **scores, size_t *n)
{
    const struct json *field = json_get(call->root, "past_scores");
    char at[ERROR_PARAM_BYTES];
    if (!field || json_kind(field) == JSON_NULL) return true;
    if (json_kind(field) != JSON_ARRAY)
        return field_expected(field, "past_scores", "an array of scores", call->problem);
    if (!series_values(call, field, "past_scores", scores, n)) return false;
    for (size_t t = 0; t < *n; t++) {
        if (!((*scores)[t] < 0)) continue;
        snprintf(at, sizeof at, "past_scores[%zu]", t);
        return problem_set(call->problem, FAULT_INVALID_VALUE, at,
                           "'%s' is %g; expected a score, 0 or above, or null", at, (*scores)[t]);
    }
    return true;
}

/* Return how many of scores[0..n) are older than the last RARITY_PAST that are there. */
static size_t n_too_old(const double *scores, size_t n)
{
    size_t n_there = 0;
    while (n > 0 && n_there < RARITY_PAST)
        if (!isnan(scores[--n])) n_there++;
    return n;
}

static bool read_past(const struct call *call, struct judging *task)
{
    double *scores = NULL;
    size_t n = 0;
    bool good = read_scores(call, &scores, &n);
    size_t most = n + task->n < RARITY_PAST ? n + task->n : RARITY_PAST;
    if (good && !(task->past = rarity_new(most)))
        good = problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (size_t t = good ? n_too_old(scores, n) : n; t < n; t++)
        if (!isnan(scores[t])) rarity_add(task->past, scores[t]);
    memory_free(scores);
    return good;
}

static bool read_season(const struct call *call, int64_t *season)
{
    const char *name = field_written(call->root, &fields, "season");
    return field_integer(call->root, name, 1, SEASON_LONGEST, season, call->problem);
}

/* One forecast of one step for each value that is judged, all of the same numbers. */
static bool submit(struct call *call, struct judging *task, const struct forecast_series *series)
{
    struct error err = {0};
    const struct forecast_request request = {.series = series, .n_series = task->n, .horizon = 1,
                                             .quantiles = levels, .n_quantiles = N_LEVELS,
                                             .max_whole_steps =
                                                 scheduler_max_rows(call->request->server->scheduler)};
    enum status status = forecast_new(call->model, &request, &call->options, &task->job, &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "series");
    task->work.job = forecast_job(task->job);
    task->work.print = print;
    task->work.release = release;
    call_record(call, task->first + task->n);
    work_defer(&task->work, call->request);
    return true;
}

static bool read_all(struct call *call, struct judging *task)
{
    const struct json *field = json_get(call->root, "series");
    const struct forecast_spec *spec = forecast_spec_of(call->model);
    int64_t season = 0;
    size_t n;
    if (!forecast_is_direct(spec) || spec->n_levels == 0 || spec->n_columns > 1)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                           "model '%s' gives no intervals of one series in one pass; expected a model "
                           "of output type candidates, patches or horizons with levels", call->model->name);
    if (json_kind(field) != JSON_ARRAY || (json_first(field) && json_kind(json_first(field)) == JSON_ARRAY))
        return field_expected(field, "series", "one array of numbers", call->problem);
    if (!series_values(call, field, "series", &task->values, &n) || !read_span(call, n, task) ||
        !read_sensitivity(call, task) || !read_past(call, task) || !read_season(call, &season))
        return false;
    struct forecast_series *series = memory_new(task->n, sizeof *series);
    task->made = memory_new(task->n, sizeof *task->made);
    if (!series || !task->made) {
        memory_free(series);
        return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    }
    for (size_t i = 0; i < task->n; i++)
        series[i] = (struct forecast_series){.values = task->values, .n = task->first + i,
                                             .season = (size_t)season};
    bool good = submit(call, task, series);
    memory_free(series);
    return good;
}

void api_anomalies(struct request *request, struct reply *reply)
{
    struct call call;
    if (!call_open(&call, request, reply, &fields, ABILITY_FORECAST)) return;
    struct judging *task = calloc(1, sizeof *task);
    if (!task) problem_set(call.problem, FAULT_NO_MEMORY, NULL, NULL);
    if (task && !read_all(&call, task)) release(&task->work);
    call_close(&call);
}
