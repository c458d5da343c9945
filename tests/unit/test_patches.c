/* patches: values as steps, levels from outputs, and forecasts of a network whose numbers are known. */
#include "models/forecast/patches.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "models/forecast/forecasting.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

enum { P = 2, LEVELS = 3 };
static const double levels[LEVELS] = {0.1, 0.5, 0.9};

static void set_spec(struct model *model, size_t context_length, enum scaling_type scaling)
{
    struct forecast_spec *spec = (struct forecast_spec *)model->spec;
    *spec = (struct forecast_spec){.context_length = context_length, .scaling = {.type = scaling, .scale = 1,
                                               .minimum = 1e-6}, .output = OUTPUT_PATCHES, .patch_length = P,
                                   .n_levels = LEVELS};
    memcpy(spec->levels, levels, sizeof levels);
}

/* Says that the patch it reads comes again: its values less 1, as they are, and plus 2. Of a patch with
 * nothing there it says -1, 0, 2. The levels are given in another order, so that they cross. */
static struct model *repeating_model(void)
{
    enum { INPUTS = 2 * P, OUTPUTS = P * LEVELS };
    static const float offsets[LEVELS] = {2, -1, 0};
    float W[OUTPUTS * INPUTS] = {0}, b[OUTPUTS];
    for (size_t q = 0; q < LEVELS; q++)
        for (size_t i = 0; i < P; i++) {
            W[(q * P + i) * INPUTS + i] = 1;
            b[q * P + i] = offsets[q];
        }
    struct model *model = jobs_model(TASK_FORECASTING, jobs_linear_network(INPUTS, OUTPUTS, W, b), NULL);
    set_spec(model, 8, SCALING_NONE);
    return model;
}

static struct model *lstm_model(void)
{
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){2 * P, 6}),
        tiny_layer("linear", "head", 2, (long[]){6, P * LEVELS}),
    };
    struct network *network = NULL;
    ck_assert_int_eq(network_new(specs, 2, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
    struct model *model = jobs_model(TASK_FORECASTING, network, NULL);
    set_spec(model, 24, SCALING_STANDARD);
    return model;
}

/* Run a request; the caller frees the job. */
static struct forecast *run(struct model *model, const struct forecast_request *request, size_t workers,
                            size_t chunk, size_t batch)
{
    struct jobs_witness witness;
    struct forecast *forecast;
    struct error err = {0};
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    ck_assert_msg(forecast_new(model, request, &options, &forecast, &err) == STATUS_OK, "%s", err.message);
    struct scheduler *scheduler = jobs_scheduler(workers, chunk, batch);
    ck_assert_int_eq(jobs_run(forecast_job(forecast), scheduler, &witness), STATUS_OK);
    scheduler_free(scheduler);
    return forecast;
}

START_TEST(values_become_steps)
{
    struct forecast_spec spec = {.context_length = 8, .patch_length = 3, .output = OUTPUT_PATCHES};
    struct series_scale scale = {.mean = 10, .scale = 2};
    const double values[] = {12, (double)NAN, 8, 10};
    float steps[4 * 6];
    const float expected[4 * 6] = {0, 0, 1, 0, 0, 1, /**/ 0, -1, 0, 0, 1, 1};
    ck_assert_uint_eq(patches_read(&spec, 4), 2);
    ck_assert_uint_eq(patches_ahead(&spec, 7), 3);
    patches_features(&spec, &scale, values, 4, 3, steps);
    ck_assert_mem_eq(steps, expected, sizeof steps);
    spec.context_length = 12;
    spec.full_context = true;
    ck_assert_uint_eq(patches_read(&spec, 4), 4);
    patches_features(&spec, &scale, values, 4, 1, steps);
    ck_assert_mem_eq(steps + 12, expected, 12 * sizeof *steps);
    for (size_t i = 0; i < 12; i++) ck_assert(steps[i] == 0.0f);
}
END_TEST

START_TEST(a_horizon_of_several_patches_is_one_pass)
{
    enum { HORIZON = 5, QUANTILES = 4 };
    static const double values[] = {1, 2, 3, 4, 5}, quantiles[QUANTILES] = {0.1, 0.3, 0.5, 0.95};
    struct forecast_series series = {.values = values, .n = 5};
    struct model *model = repeating_model();
    const struct forecast_request request = {.series = &series, .n_series = 1, .horizon = HORIZON,
                                             .quantiles = quantiles, .n_quantiles = QUANTILES,
                                             .num_samples = 2, .seed = 1};
    struct forecast *forecast = run(model, &request, 1, 8, 8);
    struct forecast_result result;
    forecast_read(forecast, 0, &result);
    ck_assert_msg(result.error == NULL, "%s", result.error);
    static const double median[HORIZON] = {4, 5, 0, 0, 0};
    for (size_t t = 0; t < HORIZON; t++) {
        ck_assert_double_eq_tol(result.mean[t], median[t], 1e-6);
        ck_assert_double_eq_tol(result.quantiles[t], median[t] - 1, 1e-6);
        ck_assert_double_eq_tol(result.quantiles[HORIZON + t], median[t] - 0.5, 1e-6);   /* between */
        ck_assert_double_eq_tol(result.quantiles[3 * HORIZON + t], median[t] + 2.25, 1e-6); /* beyond */
    }
    ck_assert_uint_eq(forecast_steps_out(forecast), HORIZON);
    job_free(forecast_job(forecast));
    jobs_model_free(model);
}
END_TEST

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 5}, {2, 5, 3}};
    enum { SERIES = 6, HORIZON = 7 };
    static const double wave[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4};
    struct model *model = lstm_model();
    struct forecast_series series[SERIES];
    double expected[SERIES][2 * HORIZON];
    for (size_t i = 0; i < SERIES; i++)
        series[i] = (struct forecast_series){.values = wave, .n = 3 * i + 1};
    const double low = 0.2;
    const struct forecast_request request = {.series = series, .n_series = SERIES, .horizon = HORIZON,
                                             .quantiles = &low, .n_quantiles = 1};
    for (size_t way = 0; way < 4; way++) {
        struct forecast *forecast = run(model, &request, ways[way].workers, ways[way].chunk,
                                        ways[way].batch);
        for (size_t i = 0; i < SERIES; i++) {
            struct forecast_result result;
            forecast_read(forecast, i, &result);
            double found[2 * HORIZON];
            memcpy(found, result.mean, HORIZON * sizeof *found);
            memcpy(found + HORIZON, result.quantiles, HORIZON * sizeof *found);
            if (way == 0) memcpy(expected[i], found, sizeof found);
            ck_assert_mem_eq(expected[i], found, sizeof found);
        }
        job_free(forecast_job(forecast));
    }
    jobs_model_free(model);
}
END_TEST

Suite *patches_suite(void);

Suite *patches_suite(void)
{
    Suite *suite = suite_create("patches");
    TCase *cases = tcase_create("patches");
    tcase_add_test(cases, values_become_steps);
    tcase_add_test(cases, a_horizon_of_several_patches_is_one_pass);
    tcase_add_test(cases, neither_cuts_nor_company_matter);
    suite_add_tcase(suite, cases);
    return suite;
}
