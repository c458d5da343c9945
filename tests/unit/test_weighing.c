/* forecasting by candidates: rules that are continued however the ride is cut, samples that follow the
 * levels, and series that cannot be forecast. */
#include "models/forecast/forecasting.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "models/forecast/candidates.h"
#include "tests/support/jobs.h"

/* Candidates weighed by their errors so far alone; 0.1, 0.5 and 0.9 are one error apart. */
static struct model *candidates_model(void)
{
    enum { OUTPUTS = N_CANDIDATES + 1 + 3 };
    static const float W[OUTPUTS * CANDIDATE_INPUTS];
    float b[OUTPUTS] = {[N_CANDIDATES] = 3, [N_CANDIDATES + 1] = -1, [N_CANDIDATES + 3] = 1};
    struct model *model =
        jobs_model(TASK_FORECASTING, jobs_linear_network(CANDIDATE_INPUTS, OUTPUTS, W, b), NULL);
    *(struct forecast_spec *)model->spec = (struct forecast_spec){
        .context_length = 64, .window = 8, .scaling.scale = 1, .output = OUTPUT_CANDIDATES, .n_levels = 3,
        .levels = {0.1, 0.5, 0.9}};
    return model;
}

struct weighing {
    struct jobs_witness witness;
    struct forecast *forecast;
};

static void weigh(struct weighing *f, struct model *model, const struct forecast_request *request,
                  struct scheduler *scheduler)
{
    struct error err = {0};
    jobs_witness_init(&f->witness);
    struct job_options options = jobs_options(&f->witness);
    enum status status = forecast_new(model, request, &options, &f->forecast, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(forecast_job(f->forecast), scheduler, &f->witness), STATUS_OK);
}

static struct forecast_result result_of(struct weighing *f, size_t series)
{
    struct forecast_result result;
    forecast_read(f->forecast, series, &result);
    return result;
}

START_TEST(a_rule_is_continued)
{
    static const double levels[] = {0.5, 0.1, 0.75};
    struct scheduler *scheduler = jobs_scheduler(1, (size_t)_i, 8);
    struct model *model = candidates_model();
    double line[90], cycle[90];
    for (size_t t = 0; t < 90; t++) line[t] = (double)t, cycle[t] = 50 + (double)(t % 12 * (t % 12));
    line[80] = cycle[71] = (double)NAN;
    const struct forecast_series series[] = {
        {.values = line, .n = 90}, {.values = cycle, .n = 90}, {.values = cycle, .n = 90, .season = 12},
        {.values = line, .n = 5}};
    struct forecast_request request = {.series = series, .n_series = 4, .horizon = 15, .quantiles = levels,
                                       .n_quantiles = 3};
    struct weighing f;
    weigh(&f, model, &request, scheduler);
    for (size_t t = 0; t < 15; t++) {
        double due = cycle[(t + 90) % 12];
        ck_assert_double_eq_tol(result_of(&f, 0).mean[t], 90 + (double)t, 0.01);
        ck_assert_double_eq_tol(result_of(&f, 1).mean[t], due, 0.5);
        ck_assert_double_eq_tol(result_of(&f, 2).mean[t], due, 0.5);
        ck_assert_double_eq_tol(result_of(&f, 3).mean[t], 5 + (double)t, 0.01);
        ck_assert_double_eq(result_of(&f, 0).quantiles[t], result_of(&f, 0).mean[t]);
        ck_assert_double_le(result_of(&f, 0).quantiles[15 + t], result_of(&f, 0).mean[t]);
        ck_assert_double_ge(result_of(&f, 0).quantiles[30 + t], result_of(&f, 0).mean[t]);
    }
    ck_assert_uint_eq(forecast_steps_in(f.forecast), 8 + 8 + 8 + 5);
    ck_assert_uint_eq(forecast_steps_out(f.forecast), 4 * 15);
    job_free(forecast_job(f.forecast));
    jobs_model_free(model);
    scheduler_free(scheduler);
}
END_TEST

/* A tenth of the samples lies below the level 0.1, and neighbours are alike. */
START_TEST(samples_follow_the_levels)
{
    enum { SAMPLES = 1000, STEPS = 6 };
    static const double level[] = {0.1};
    struct scheduler *scheduler = jobs_scheduler(1, 2, 8);
    struct model *model = candidates_model();
    const struct forecast_series series = {.values = (const double[]){5, 1, 4, 2, 6, 3, 5, 2, 4, 1}, .n = 10};
    struct forecast_request request = {.series = &series, .n_series = 1, .horizon = STEPS, .quantiles = level,
                                       .n_quantiles = 1, .num_samples = SAMPLES, .seed = 3};
    struct weighing f;
    weigh(&f, model, &request, scheduler);
    struct forecast_result result = result_of(&f, 0);
    for (size_t t = 0; t < STEPS; t++) {
        size_t below = 0, same_side = 0;
        for (size_t i = 0; i < SAMPLES; i++) {
            const double *sample = result.samples + i * STEPS;
            below += sample[t] < result.quantiles[t];
            same_side += t > 0 && (sample[t] < result.mean[t]) == (sample[t - 1] < result.mean[t - 1]);
        }
        ck_assert_uint_ge(below, 70);
        ck_assert_uint_le(below, 130);
        if (t > 0) ck_assert_uint_ge(same_side, 780);
    }
    job_free(forecast_job(f.forecast));
    jobs_model_free(model);
    scheduler_free(scheduler);
}
END_TEST

/* A value near the end of float's range has a trend that leaves it; its neighbour does not mind. */
START_TEST(a_forecast_may_leave_the_range_of_float)
{
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct model *model = candidates_model();
    const struct forecast_series series[] = {{.values = (const double[]){1e38, 2e38, 3e38}, .n = 3},
                                             {.values = (const double[]){1, 2, 3}, .n = 3},
                                             {.values = NULL}};
    struct forecast_request request = {.series = series, .n_series = 3, .horizon = 4};
    struct weighing f;
    weigh(&f, model, &request, scheduler);
    ck_assert_ptr_nonnull(strstr(result_of(&f, 0).error, "leaves the range of float"));
    ck_assert_double_eq_tol(result_of(&f, 1).mean[3], 7, 0.01);
    ck_assert_ptr_nonnull(strstr(result_of(&f, 2).error, "empty"));
    job_free(forecast_job(f.forecast));
    jobs_model_free(model);
    scheduler_free(scheduler);
}
END_TEST

Suite *weighing_suite(void);

Suite *weighing_suite(void)
{
    Suite *suite = suite_create("weighing");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 20);
    tcase_add_loop_test(core, a_rule_is_continued, 1, 13);
    tcase_add_test(core, samples_follow_the_levels);
    tcase_add_test(core, a_forecast_may_leave_the_range_of_float);
    suite_add_tcase(suite, core);
    return suite;
}
