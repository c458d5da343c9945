/* patches: values as steps, levels from outputs, and forecasts of a network whose numbers are known. */
#include "models/forecast/patches.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "models/forecast/forecasting.h"
#include "models/forecast/trend.h"
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

/* ---- what TiRex-2 does around its network; numbers computed once by PyPI's tirex-2 ---- */

enum { H = 4 };
static const struct forecast_spec around = {
    .context_length = 8, .patch_length = 2, .output = OUTPUT_PATCHES, .n_levels = LEVELS,
    .levels = {0.1, 0.5, 0.9}, .band = {0.9, 0.52}, .trend = {1.68, 0.51}, .trend_r2 = 0.87,
    .scaling = {.type = SCALING_STANDARD, .minimum = 1e-8, .squashes = true, .spares_binary = true}};
static const double rising[] = {1, 2.5, (double)NAN, 4, 5.25, 6, 7.5}, flat[] = {3, -1, 4, 1, -5, 9, 2};

static void check_levels(bool trends, double last, const double *expected)
{
    double at[H * LEVELS] = {-1, 0.5, 2, /**/ 0.5, 0.25, 1, /**/ -2, 1, 0.5, /**/ -1, -1, 3};
    trend_finish(&around, trends, last, at, H);
    for (size_t i = 0; i < H * LEVELS; i++) ck_assert_double_eq_tol(at[i], expected[i], 2e-6);
}

START_TEST(a_series_with_a_trend_is_read_as_differences)
{
    static const float expected[] = {-1.3279380f, 0.7917167f, 0, 0, 0.4255666f, -0.4255666f, 0.7917167f};
    double differences[7];
    float steps[4 * 2 * P];
    struct patch_reading reading = patches_reading(&around, rising, 7, differences);
    ck_assert(reading.trends && reading.scale.squashes);
    ck_assert_double_eq_tol(reading.last, 7.5, 1e-15);
    ck_assert_double_eq_tol(reading.scale.mean, 1, 1e-12);
    ck_assert_double_eq_tol(reading.scale.scale, 0.570087730884552, 1e-7);
    patches_features(&around, &reading.scale, differences, 7, 1, steps);
    for (size_t i = 0; i < 7; i++) /* the first of eight places is empty */
        ck_assert_float_eq_tol(steps[(i + 1) / P * 2 * P + (i + 1) % P], expected[i], 1e-6f);
    check_levels(true, 7.5, (double[]){6.055778, 8, 9.944222, 6.26525, 8.25, 10.438826, 4.84237, 9.25,
                                       11.543316, 3.829671, 8.25, 13.988062});
}
END_TEST

START_TEST(a_series_without_a_trend_is_not)
{
    static const double four[] = {0, (double)NAN, 1, (double)NAN, 2, (double)NAN, 3};
    double differences[7], tiny[6], still[6];
    struct patch_reading reading = patches_reading(&around, flat, 7, differences);
    ck_assert(!reading.trends && reading.scale.squashes);
    ck_assert_double_eq_tol(reading.scale.scale, 4.015276908874512, 1e-6);
    /* levels that cross are sorted, as the package does not */
    check_levels(false, 0, (double[]){-0.923025, 0.5, 1.923025, 0.25, 0.490482, 0.971445, -1.909276, 0.515121,
                                      1, -1, -1, 2.901418});
    ck_assert(trend_is_there(&around, four, 7) && !trend_is_there(&around, four, 5)); /* four values, three */
    for (size_t i = 0; i < 6; i++) {
        tiny[i] = (double)i * 1e-13;
        still[i] = 0.1;
    }
    ck_assert(!trend_is_there(&around, tiny, 6) && !trend_is_there(&around, still, 6));
}
END_TEST

START_TEST(a_trend_goes_on)
{
    enum { HORIZON = 3 };
    static const double values[] = {1, 2, 3, 4, 5, 6, 7, 8}, low = 0.1;
    static const double middle[HORIZON] = {9, 9.4142136, 8.7320508}, lowest[HORIZON] = {8, 8, 7};
    struct forecast_series series = {.values = values, .n = 8};
    struct model *model = repeating_model();
    struct forecast_spec *spec = (struct forecast_spec *)model->spec;
    spec->trend = (struct width){1, 0.5};
    spec->trend_r2 = 0.87;
    const struct forecast_request request = {.series = &series, .n_series = 1, .horizon = HORIZON,
                                             .quantiles = &low, .n_quantiles = 1};
    struct forecast *forecast = run(model, &request, 1, 8, 8);
    struct forecast_result result;
    forecast_read(forecast, 0, &result);
    ck_assert_msg(result.error == NULL, "%s", result.error);
    /* medians 0, 0, -1; the other levels 3 and 1 above them */
    for (size_t t = 0; t < HORIZON; t++) {
        ck_assert_double_eq_tol(result.mean[t], middle[t], 1e-6);
        ck_assert_double_eq_tol(result.quantiles[t], lowest[t], 1e-6);
    }
    job_free(forecast_job(forecast));
    jobs_model_free(model);
}
END_TEST

START_TEST(zeros_and_ones_are_left_alone)
{
    static const double binary[] = {0, 1, (double)NAN, 1, 0}, constant[] = {5, (double)NAN, 5};
    struct forecast_spec spec = around;
    double differences[5], at[LEVELS];
    struct patch_reading reading = patches_reading(&spec, binary, 5, differences);
    ck_assert(!reading.trends && !reading.scale.squashes);
    ck_assert_double_eq_tol(reading.scale.scale, 1, 1e-15);
    ck_assert_double_eq_tol(reading.scale.mean, 0, 1e-15);
    reading = patches_reading(&spec, constant, 3, differences);
    ck_assert_double_eq_tol(reading.scale.scale, 1e-8, 1e-15);
    spec.scaling.constant = 0.25;
    reading = patches_reading(&spec, constant, 3, differences);
    ck_assert_double_eq_tol(reading.scale.scale, 5.25, 1e-15);
    /* outputs come back by sinh, and do not overflow */
    patches_levels(&spec, &(struct series_scale){.mean = 4.75, .scale = 3.1124749, .squashes = true}, 0,
                   (float[]){0.5f, 0, 25, 0, -30, 0}, at);
    ck_assert_double_eq_tol(at[0], 6.3718959, 1e-5);
    ck_assert_double_eq_tol(at[1], 755032256, 100);
    ck_assert_double_eq_tol(at[2], -755032256, 100);
}
END_TEST

Suite *patches_suite(void);

Suite *patches_suite(void)
{
    Suite *suite = suite_create("patches");
    TCase *cases = tcase_create("patches");
    tcase_add_test(cases, values_become_steps);
    tcase_add_test(cases, a_horizon_of_several_patches_is_one_pass);
    tcase_add_test(cases, a_series_with_a_trend_is_read_as_differences);
    tcase_add_test(cases, a_series_without_a_trend_is_not);
    tcase_add_test(cases, a_trend_goes_on);
    tcase_add_test(cases, zeros_and_ones_are_left_alone);
    tcase_add_test(cases, neither_cuts_nor_company_matter);
    suite_add_tcase(suite, cases);
    return suite;
}
