/* forecasting: paths against a network run step by step, sequences that are continued exactly, sampled
 * paths against the distributions they come from, and series that cannot be forecast. */
#include "models/forecast/forecasting.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/forecast/series.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

/* ---- helpers ---- */

/* z[t + 1] = b . basis(z[t], z[t - 1], geometric, 1), no scaling. */
static struct model *basis_model(const float coefficients[4])
{
    const float W[4] = {0};
    struct model *model =
        jobs_model(TASK_FORECASTING, jobs_linear_network(1, 4, W, coefficients), NULL);
    *(struct forecast_spec *)model->spec = (struct forecast_spec){
        .context_length = 32, .n_inputs = 1, .n_basis = 4, .output = OUTPUT_MEAN};
    ((struct forecast_spec *)model->spec)->basis[1].lag = 1;
    ((struct forecast_spec *)model->spec)->basis[2].kind = BASIS_GEOMETRIC;
    ((struct forecast_spec *)model->spec)->basis[3].kind = BASIS_ONE;
    return model;
}

/* A random walk: z[t + 1] = z[t] + noise, whose raw scale is given. */
static struct model *walk_model(enum forecast_output output, float raw_scale, float raw_df)
{
    const float W[3] = {1, 0, 0}, b[3] = {0, raw_scale, raw_df};
    size_t n_outputs = output == OUTPUT_NORMAL ? 2 : 3;
    struct model *model =
        jobs_model(TASK_FORECASTING, jobs_linear_network(1, n_outputs, W, b), NULL);
    *(struct forecast_spec *)model->spec =
        (struct forecast_spec){.context_length = 32, .n_inputs = 1, .output = output};
    return model;
}

/* An LSTM that reads five features and gives a Student's t. */
static struct model *lstm_model(void)
{
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){5, 6}),
        tiny_layer("linear", "head", 2, (long[]){6, 3}),
    };
    struct network *network = NULL;
    ck_assert_int_eq(network_new(specs, 2, tiny_tensors(), PRECISION_FLOAT32, &network, NULL),
                     STATUS_OK);
    struct model *model = jobs_model(TASK_FORECASTING, network, NULL);
    *(struct forecast_spec *)model->spec = (struct forecast_spec){
        .context_length = 12, .scaling = {.type = SCALING_STANDARD, .minimum = 1e-6}, .n_inputs = 5,
        .output = OUTPUT_STUDENT_T, .residual_last = true};
    static const enum forecast_input kinds[] = {INPUT_VALUE, INPUT_MISSING, INPUT_DIFFERENCE,
                                                INPUT_POSITION, INPUT_LAG};
    for (size_t i = 0; i < 5; i++) ((struct forecast_spec *)model->spec)->inputs[i].kind = kinds[i];
    ((struct forecast_spec *)model->spec)->inputs[4].lag = 4;
    return model;
}

struct forecasting {
    struct jobs_witness witness;
    struct forecast *forecast;
    struct job *job;
};

static void forecast_make(struct forecasting *f, struct model *model,
                          const struct forecast_request *request)
{
    struct error err = {0};
    jobs_witness_init(&f->witness);
    struct job_options options = jobs_options(&f->witness);
    enum status status = forecast_new(model, request, &options, &f->forecast, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    f->job = forecast_job(f->forecast);
}

static void forecast_run(struct forecasting *f, struct model *model,
                         const struct forecast_request *request, struct scheduler *scheduler)
{
    forecast_make(f, model, request);
    ck_assert_int_eq(jobs_run(f->job, scheduler, &f->witness), STATUS_OK);
}

static struct forecast_result result_of(struct forecasting *f, size_t series)
{
    struct forecast_result result;
    forecast_read(f->forecast, series, &result);
    return result;
}

static void check_mean(struct forecasting *f, size_t series, const double *expected, size_t n)
{
    struct forecast_result result = result_of(f, series);
    ck_assert_msg(result.error == NULL, "%s", result.error);
    for (size_t i = 0; i < n; i++)
        ck_assert_double_eq_tol(result.mean[i], expected[i], 1e-6 * fabs(expected[i]) + 1e-9);
}

/* ---- paths ---- */

START_TEST(sequences_are_continued)
{
    struct scheduler *scheduler = jobs_scheduler(1, 2, 8);
    static const double rising[] = {6, 7, 8}, doubling[] = {2, 4, 8}, alternating[] = {5, -5, 5, -5};
    static const struct {
        float coefficients[4];
        struct forecast_series series;
        double expected[4];
    } cases[] = {
        {{2, -1, 0, 0}, {.values = rising, .n = 3}, {9, 10, 11, 12}},
        {{0, 0, 1, 0}, {.values = doubling, .n = 3}, {16, 32, 64, 128}},
        {{0, 1, 0, 0}, {.values = alternating, .n = 4}, {5, -5, 5, -5}},
        {{1, 0, 0, 2.5f}, {.values = rising, .n = 1}, {8.5, 11, 13.5, 16}},
        {{0, 0, 1, 1}, {.values = doubling, .n = 1}, {1, 1.5, 3.25, 8.041666666666666}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *model = basis_model(cases[i].coefficients);
        struct forecast_request request = {.series = &cases[i].series, .n_series = 1, .horizon = 4};
        struct forecasting f;
        forecast_run(&f, model, &request, scheduler);
        check_mean(&f, 0, cases[i].expected, 4);
        ck_assert_uint_eq(forecast_steps_in(f.forecast), cases[i].series.n);
        ck_assert_uint_eq(forecast_steps_out(f.forecast), 4);
        struct job_timings timings;
        job_timings(f.job, &timings);
        ck_assert_uint_eq(timings.steps, cases[i].series.n + 3);
        ck_assert_int_eq(f.witness.n_progress, 0);
        job_free(f.job);
        jobs_model_free(model);
    }
    scheduler_free(scheduler);
}
END_TEST

/* The mean path of the LSTM, step by step through a network of its own. */
static void reference_mean(const struct model *model, const double *values, size_t n,
                           size_t horizon, double *mean)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    struct workspace *workspace = NULL;
    float *state = memory_new(network_state_floats(model->network), sizeof *state);
    double all[64];
    if (n > spec->context_length) {
        values += n - spec->context_length;
        n = spec->context_length;
    }
    struct series_scale scale = series_scale_of(spec, values, n);
    series_scaled(&scale, values, n, all);
    ck_assert_int_eq(workspace_new(1, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, model->network), STATUS_OK);
    for (size_t t = 0; t + 1 < n + horizon; t++) {
        const struct series_past past = {.read = all, .n_read = 64};
        float features[5];
        series_step(spec, &scale, &past, t, t < n && isnan(values[t]), features);
        struct ride ride = {.n_steps = 1, .features = features, .state = state, .want = WANT_LAST};
        network_run(model->network, workspace, &ride, 1);
        if (t + 1 < n) continue;
        all[t + 1] = (double)ride.output[0] + all[t];
        mean[t + 1 - n] = all[t + 1] * scale.scale + scale.mean;
    }
    workspace_free(workspace);
    memory_free(state);
}

static const double wave[] = {3, 5, NAN, 8, 6, 4, 2, NAN, NAN, 7, 9, 10, 8, 6, 3, 2, 1, 4};
enum { N_WAVE = sizeof wave / sizeof *wave };

START_TEST(the_mean_path_is_that_of_the_network)
{
    struct model *model = lstm_model();
    struct scheduler *scheduler = jobs_scheduler(1, (size_t)_i + 1, 8);
    for (size_t n = 1; n <= N_WAVE; n++) { /* beyond 12, only the last 12 are read */
        const struct forecast_series series = {.values = wave, .n = n};
        struct forecast_request request = {
            .series = &series, .n_series = 1, .horizon = 20, .num_samples = 2};
        double expected[20];
        reference_mean(model, wave, n, 20, expected);
        struct forecasting f;
        forecast_run(&f, model, &request, scheduler);
        struct forecast_result result = result_of(&f, 0);
        ck_assert_mem_eq(result.mean, expected, sizeof expected);
        ck_assert_uint_eq(forecast_steps_in(f.forecast), n < 12 ? n : 12);
        ck_assert_uint_eq(forecast_steps_out(f.forecast), 60);
        job_free(f.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* ---- samples ---- */

START_TEST(samples_follow_the_distribution)
{
    enum { PATHS = 1000, HORIZON = 9 };
    struct scheduler *scheduler = jobs_scheduler(1, 8, 64);
    struct model *model = walk_model(OUTPUT_NORMAL, 0.541324855f, 0); /* softplus gives 1 */
    const double value = 10, levels[] = {0.1, 0.5, 0.975};
    const struct forecast_series series = {.values = &value, .n = 1};
    struct forecast_request request = {.series = &series, .n_series = 1, .horizon = HORIZON,
                                       .quantiles = levels, .n_quantiles = 3,
                                       .num_samples = PATHS, .seed = 3};
    struct forecasting f;
    forecast_run(&f, model, &request, scheduler);
    struct forecast_result result = result_of(&f, 0);
    for (size_t t = 0; t < HORIZON; t++) { /* a random walk: variance t + 1 */
        double sum = 0, squares = 0, sd = sqrt((double)t + 1);
        ck_assert_double_eq_tol(result.mean[t], 10, 1e-6);
        for (size_t i = 0; i < PATHS; i++) {
            double x = result.samples[i * HORIZON + t] - 10;
            sum += x;
            squares += x * x;
        }
        ck_assert_double_le(fabs(sum / PATHS), 5 * sd / sqrt(PATHS));
        ck_assert_double_le(fabs(squares / PATHS / (sd * sd) - 1), 5 * sqrt(2.0 / PATHS));
        for (size_t q = 0; q < 3; q++) {
            double expected = 10 + sd * normal_quantile(levels[q]);
            ck_assert_double_eq_tol(result.quantiles[q * HORIZON + t], expected, 0.25 * sd);
        }
    }
    job_free(f.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(quantiles_are_those_of_the_samples)
{
    struct scheduler *scheduler = jobs_scheduler(1, 8, 64);
    struct model *model = walk_model(OUTPUT_STUDENT_T, 0, 0);
    const double levels[] = {0.9, 0.05, 0.5}; /* in the order of the request */
    const struct forecast_series series = {.values = wave, .n = 2};
    struct forecast_request request = {.series = &series, .n_series = 1, .horizon = 3,
                                       .quantiles = levels, .n_quantiles = 3, .num_samples = 17};
    struct forecasting f;
    forecast_run(&f, model, &request, scheduler);
    struct forecast_result result = result_of(&f, 0);
    for (size_t t = 0; t < 3; t++) {
        double column[17];
        for (size_t i = 0; i < 17; i++) { /* an insertion sort */
            double moving = result.samples[i * 3 + t];
            size_t at = i;
            for (; at > 0 && column[at - 1] > moving; at--) column[at] = column[at - 1];
            column[at] = moving;
        }
        for (size_t q = 0; q < 3; q++)
            ck_assert_double_eq(result.quantiles[q * 3 + t], series_quantile(column, 17, levels[q]));
    }
    struct forecast_result again = result_of(&f, 0);
    ck_assert_mem_eq(&result, &again, sizeof result);
    job_free(f.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(samples_of_a_mean_all_equal_it)
{
    struct scheduler *scheduler = jobs_scheduler(1, 8, 64);
    struct model *model = basis_model((const float[]){2, -1, 0, 0});
    const double levels[] = {0.1, 0.9};
    const struct forecast_series series = {.values = (const double[]){1, 3, 5}, .n = 3};
    struct forecast_request request = {.series = &series, .n_series = 1, .horizon = 5,
                                       .quantiles = levels, .n_quantiles = 2, .num_samples = 7};
    struct forecasting f;
    forecast_run(&f, model, &request, scheduler);
    struct forecast_result result = result_of(&f, 0);
    for (size_t t = 0; t < 5; t++) {
        for (size_t i = 0; i < 7; i++)
            ck_assert_double_eq(result.samples[i * 5 + t], result.mean[t]);
        for (size_t q = 0; q < 2; q++)
            ck_assert_double_eq(result.quantiles[q * 5 + t], result.mean[t]);
    }
    ck_assert_uint_eq(forecast_steps_out(f.forecast), 5); /* the copies cost nothing */
    job_free(f.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_path_depends_on_seed_series_and_number)
{
    struct scheduler *scheduler = jobs_scheduler(1, 8, 64);
    struct model *model = lstm_model();
    const struct forecast_series series[] = {
        {.values = wave, .n = 9}, {.values = wave, .n = 9}, {.values = wave, .n = 14}};
    struct forecast_request request = {
        .series = series, .n_series = 3, .horizon = 6, .num_samples = 9, .seed = 5};
    struct forecasting many, few, other;
    forecast_run(&many, model, &request, scheduler);
    request.n_series = 2;
    request.num_samples = 4;
    forecast_run(&few, model, &request, scheduler);
    request.seed = 6;
    forecast_run(&other, model, &request, scheduler);
    for (size_t i = 0; i < 2; i++)
        ck_assert_mem_eq(result_of(&many, i).samples, result_of(&few, i).samples,
                         4 * 6 * sizeof(double));
    ck_assert_mem_eq(result_of(&few, 0).mean, result_of(&few, 1).mean, 6 * sizeof(double));
    for (size_t i = 0; i < 4; i++) {
        ck_assert_double_ne(result_of(&few, 0).samples[i * 6], result_of(&few, 1).samples[i * 6]);
        ck_assert_double_ne(result_of(&few, 0).samples[i * 6], result_of(&other, 0).samples[i * 6]);
        for (size_t j = 0; j < i; j++)
            ck_assert_double_ne(result_of(&few, 0).samples[i * 6], result_of(&few, 0).samples[j * 6]);
    }
    job_free(many.job);
    job_free(few.job);
    job_free(other.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 5}, {2, 5, 3}};
    enum { SERIES = 6, SAMPLES = 10, HORIZON = 7 };
    struct model *model = lstm_model();
    struct forecast_series series[SERIES];
    static double expected[SERIES][(SAMPLES + 1) * HORIZON];
    for (size_t i = 0; i < SERIES; i++) series[i] = (struct forecast_series){.values = wave, .n = 3 * i + 1};
    struct forecast_request request = {.series = series, .n_series = SERIES, .horizon = HORIZON,
                                       .num_samples = SAMPLES, .seed = 1};
    for (size_t way = 0; way < 4; way++) {
        struct scheduler *scheduler =
            jobs_scheduler(ways[way].workers, ways[way].chunk, ways[way].batch);
        struct forecasting f;
        forecast_run(&f, model, &request, scheduler);
        for (size_t i = 0; i < SERIES; i++) {
            struct forecast_result result = result_of(&f, i);
            double found[(SAMPLES + 1) * HORIZON];
            memcpy(found, result.mean, HORIZON * sizeof *found);
            memcpy(found + HORIZON, result.samples, SAMPLES * HORIZON * sizeof *found);
            if (way == 0) memcpy(expected[i], found, sizeof found);
            ck_assert_mem_eq(expected[i], found, sizeof found);
        }
        job_free(f.job);
        scheduler_free(scheduler);
    }
    jobs_model_free(model);
}
END_TEST

/* Many paths of one series: workers without riders are given some of them. */
START_TEST(paths_may_be_shared_out)
{
    enum { SAMPLES = 100, HORIZON = 60 };
    struct model *model = lstm_model();
    const struct forecast_series series = {.values = wave, .n = N_WAVE};
    struct forecast_request request = {.series = &series, .n_series = 1, .horizon = HORIZON,
                                       .num_samples = SAMPLES, .seed = 1};
    struct forecasting f[2];
    for (size_t i = 0; i < 2; i++) {
        struct scheduler *scheduler = jobs_scheduler(1 + 2 * i, 8, 16);
        forecast_run(&f[i], model, &request, scheduler);
        scheduler_free(scheduler);
    }
    ck_assert_mem_eq(result_of(&f[0], 0).samples, result_of(&f[1], 0).samples,
                     SAMPLES * HORIZON * sizeof(double));
    job_free(f[0].job);
    job_free(f[1].job);
    jobs_model_free(model);
}
END_TEST

/* ---- series that cannot be forecast ---- */

START_TEST(a_bad_series_does_not_spoil_the_others)
{
    static const double empty_tail[40] = {5, 6, 7, 0};
    double missing[40], infinite[] = {1, INFINITY}, huge[] = {1e300}, rising[] = {1, 2};
    memcpy(missing, empty_tail, sizeof missing);
    for (int i = 3; i < 40; i++) missing[i] = NAN; /* all that is read */
    const struct forecast_series series[] = {
        {.values = NULL}, {.values = rising, .n = 2}, {.values = missing, .n = 40},
        {.values = infinite, .n = 2}, {.values = huge, .n = 1}, {.values = rising, .n = 2}};
    struct scheduler *scheduler = jobs_scheduler(1, 8, 8);
    struct model *model = walk_model(OUTPUT_NORMAL, 0, 0);
    struct forecast_request request = {.series = series, .n_series = 6, .horizon = 3,
                                       .num_samples = 3};
    struct forecasting f;
    forecast_run(&f, model, &request, scheduler);
    for (size_t i = 0; i < 6; i++) {
        struct forecast_result result = result_of(&f, i);
        ck_assert((result.error == NULL) == (i == 1 || i == 5));
        ck_assert((result.mean != NULL) == (i == 1 || i == 5));
    }
    ck_assert_uint_eq(forecast_steps_in(f.forecast), 4);
    ck_assert_uint_eq(forecast_steps_out(f.forecast), 2 * 3 * 4);
    job_free(f.job);
    request.n_series = 1;
    struct job_options options = {0};
    struct forecast *forecast = NULL;
    struct error err;
    for (size_t i = 0; i < 5; i++) {
        request.series = series + i;
        if (i == 1) continue;
        ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
        ck_assert_str_eq(err.param, "series");
        ck_assert(strstr(err.message, "expected") != NULL);
    }
    request.series = series + 2;
    request.n_series = 3;
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "series[0]");
    ck_assert_ptr_null(forecast);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_path_may_leave_the_range_of_float)
{
    const struct forecast_series series[] = {
        {.values = (const double[]){1, 60}, .n = 2}, {.values = (const double[]){1, 1}, .n = 2}};
    struct scheduler *scheduler = jobs_scheduler(1, 8, 8);
    struct model *model = basis_model((const float[]){0, 0, 1, 0});
    struct forecast_request request = {.series = series, .n_series = 2, .horizon = 200};
    struct forecasting f;
    forecast_run(&f, model, &request, scheduler);
    ck_assert(strstr(result_of(&f, 0).error, "range") != NULL);
    ck_assert_ptr_null(result_of(&f, 1).error);
    ck_assert_double_eq(result_of(&f, 1).mean[199], 1);
    job_free(f.job);
    jobs_model_free(model);

    model = walk_model(OUTPUT_NORMAL, 1e38f, 0); /* some paths at their first step, in the fork */
    request.num_samples = 50;
    forecast_run(&f, model, &request, scheduler);
    ck_assert_ptr_nonnull(result_of(&f, 0).error);
    job_free(f.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(cancelled)
{
    struct scheduler *scheduler = jobs_scheduler(_i % 2 ? 2 : 1, 8, 8);
    struct model *model = lstm_model();
    const struct forecast_series series[] = {{.values = wave, .n = N_WAVE}, {.values = wave, .n = 3}};
    struct forecast_request request = {.series = series, .n_series = 2, .horizon = 4000,
                                       .num_samples = 50};
    struct forecasting f;
    forecast_make(&f, model, &request);
    ck_assert_int_eq(job_start(f.job, scheduler), STATUS_OK);
    struct scheduler_stats stats = {0};
    while (_i > 1 && stats.turns < (uint64_t)_i) scheduler_stats(scheduler, &stats);
    job_cancel(f.job);
    jobs_wait(&f.witness);
    ck_assert_int_eq(job_status(f.job), STATUS_CANCELLED);
    ck_assert_ptr_nonnull(result_of(&f, 0).error);
    job_free(f.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* ---- limits and errors ---- */

START_TEST(memory_is_taken_once_and_early)
{
    struct model *model = lstm_model();
    const double level = 0.5;
    const struct forecast_series series[] = {{.values = wave, .n = N_WAVE}, {.values = wave, .n = 0}};
    struct forecast_request request = {.series = series, .n_series = 2, .horizon = 9,
                                       .quantiles = &level, .n_quantiles = 1, .num_samples = 20};
    struct job_options options = {0};
    struct forecast *forecast = NULL;
    memory_fail_at(1);
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, NULL), STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_ptr_null(forecast);
    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct forecasting warm, f;
    forecast_run(&warm, model, &request, scheduler);
    uint64_t before = memory_allocations();
    forecast_run(&f, model, &request, scheduler);
    (void)result_of(&f, 0);
    ck_assert_uint_eq(memory_allocations(), before + 1);
    job_free(warm.job);
    job_free(f.job);
    scheduler_free(scheduler);

    struct forecast_series many[4096];
    for (size_t i = 0; i < 4096; i++) many[i] = series[0];
    request.series = many;
    request.n_series = 4096;
    request.horizon = 4096;
    request.num_samples = 1000;
    struct error err = {0};
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_TOO_LONG);
    jobs_model_free(model);
}
END_TEST

static const double zero = 0, one = 1, nan_level = NAN;

static const struct {
    size_t n_series, horizon, n_quantiles, num_samples;
    const double *quantiles;
    const char *param;
} broken[] = {
    {0, 1, 0, 0, NULL, "series"},
    {FORECAST_MAX_SERIES + 1, 1, 0, 0, NULL, "series"},
    {1, 0, 0, 0, NULL, "horizon"},
    {1, FORECAST_MAX_HORIZON + 1, 0, 0, NULL, "horizon"},
    {1, SIZE_MAX, 0, 0, NULL, "horizon"},
    {1, 1, 0, FORECAST_MAX_SAMPLES + 1, NULL, "num_samples"},
    {1, 1, 1, 0, &one, "num_samples"},
    {1, 1, 1, 10, &zero, "quantiles"},
    {1, 1, 1, 10, &one, "quantiles"},
    {1, 1, 1, 10, &nan_level, "quantiles"},
    {1, 1, FORECAST_MAX_QUANTILES + 1, 10, NULL, "quantiles"},
};

START_TEST(what_is_wrong_is_named)
{
    struct model *model = lstm_model();
    const struct forecast_series series = {.values = wave, .n = 3};
    struct forecast_request request = {
        .series = &series, .n_series = broken[_i].n_series, .horizon = broken[_i].horizon,
        .quantiles = broken[_i].quantiles, .n_quantiles = broken[_i].n_quantiles,
        .num_samples = broken[_i].num_samples};
    struct job_options options = {0};
    struct forecast *forecast = NULL;
    struct error err = {0};
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, broken[_i].param);
    request.n_series = request.horizon = 1;
    request.n_quantiles = request.num_samples = 0;
    model->task = task_of(TASK_TEXT_GENERATION);
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_UNSUPPORTED);
    ck_assert_ptr_null(forecast);
    jobs_model_free(model);
}
END_TEST

Suite *forecasting_suite(void);

Suite *forecasting_suite(void)
{
    Suite *suite = suite_create("forecasting");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 20);
    tcase_add_test(core, sequences_are_continued);
    tcase_add_loop_test(core, the_mean_path_is_that_of_the_network, 0, 13);
    tcase_add_test(core, samples_follow_the_distribution);
    tcase_add_test(core, quantiles_are_those_of_the_samples);
    tcase_add_test(core, samples_of_a_mean_all_equal_it);
    tcase_add_test(core, a_path_depends_on_seed_series_and_number);
    tcase_add_test(core, neither_cuts_nor_company_matter);
    tcase_add_test(core, paths_may_be_shared_out);
    suite_add_tcase(suite, core);
    TCase *bad = tcase_create("bad series");
    tcase_add_test(bad, a_bad_series_does_not_spoil_the_others);
    tcase_add_test(bad, a_path_may_leave_the_range_of_float);
    suite_add_tcase(suite, bad);
    TCase *ends = tcase_create("ends");
    tcase_add_loop_test(ends, cancelled, 0, 10);
    suite_add_tcase(suite, ends);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, memory_is_taken_once_and_early);
    tcase_add_loop_test(limits, what_is_wrong_is_named, 0, (int)(sizeof broken / sizeof *broken));
    suite_add_tcase(suite, limits);
    return suite;
}
