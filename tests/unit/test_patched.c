/* Series of several rows that a network reads in patches and mixes. The numbers of TiRex-2 itself are in
 * tests/golden (its layers) and tests/http/test_columns.c (its forecasts). */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/forecast/forecasting.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"
#include "tests/unit/allocations.h"

enum { P = 2, LEVELS = 3, D = 8, HORIZON = 5, LONGEST = 20 };

static struct model *mixing_model(void)
{
    struct layer_spec specs[] = {
        tiny_layer("linear", "in", 2, (long[]){2 * P, D}),
        tiny_layer("slstm", "slstm", 2, (long[]){D, 2}),
        tiny_layer("both_ways", "both", 1, (long[]){D}),
        tiny_layer("variate_mixer", "mixer", 3, (long[]){D, 2, 12}),
        tiny_layer("slstm", "slstm2", 2, (long[]){D, 2}),
        tiny_layer("both_ways", "both2", 1, (long[]){D}),
        tiny_layer("variate_mixer", "mixer2", 3, (long[]){D, 4, 5}),
        tiny_layer("linear", "out", 2, (long[]){D, P * LEVELS}),
    };
    struct network *network = NULL;
    ck_assert_int_eq(network_new(specs, 8, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
    ck_assert(network_mixes(network) && !network_is_whole(network));
    struct model *model = jobs_model(TASK_FORECASTING, network, NULL);
    struct forecast_spec *spec = (struct forecast_spec *)model->spec;
    *spec = (struct forecast_spec){
        .context_length = LONGEST, .output = OUTPUT_PATCHES, .patch_length = P, .n_levels = LEVELS,
        .levels = {0.1, 0.5, 0.9}, .trend = {1.68, 0.51}, .trend_r2 = 0.87,
        .scaling = {.type = SCALING_STANDARD, .scale = 1, .minimum = 1e-6}};
    return model;
}

/* A request of rows as a client writes it. */
struct sent {
    struct json *document;
    struct rows rows;
    struct forecast_series series;
};

static void wave(char *text, size_t size, size_t row, size_t n)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (size_t t = 0; t < n; t++) {
        bool misses = (t + row) % 7 == 5;
        double value = 10 * sin((double)((row + 1) * t)) + (row == 1 ? 9.0 * (double)t : 0);
        used += misses ? (size_t)snprintf(text + used, size - used, "%snull", t ? "," : "")
                       : (size_t)snprintf(text + used, size - used, "%s%.3f", t ? "," : "", value);
    }
    snprintf(text + used, size - used, "]");
}

/* Rows of n values: targets, past covariates, covariates that are known ahead. */
static void send(struct sent *sent, size_t n, const size_t counts[3])
{
    static const char *const names[] = {"target", "past_covariates", "future_covariates"};
    char text[8192], row[1024];
    size_t used = (size_t)snprintf(text, sizeof text, "{"), number = 0;
    for (size_t k = 0; k < 3; k++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\":[", k ? "," : "", names[k]);
        for (size_t i = 0; i < counts[k]; i++, number++) {
            wave(row, sizeof row, number, k == 2 ? n + HORIZON : n);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "," : "", row);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "]");
    }
    snprintf(text + used, sizeof text - used, "}");
    struct error err = {0};
    ck_assert_int_eq(json_parse(text, strlen(text), &sent->document, &err), STATUS_OK);
    ck_assert_msg(rows_read(sent->document, "series[0]", HORIZON, 100000, 0, &sent->rows, &err) ==
                  STATUS_OK, "%s", err.message);
    sent->series = (struct forecast_series){.values = sent->rows.targets, .n = n, .rows = &sent->rows};
}

static void sent_free(struct sent *sent)
{
    rows_free(&sent->rows);
    json_free(sent->document);
}

static const size_t shapes[][3] = {{1, 0, 0}, {2, 0, 0}, {3, 2, 0}, {1, 0, 1}, {2, 1, 2}, {1, 0, 0}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct forecast *run(struct model *model, const struct forecast_series *series, size_t n,
                            size_t workers, size_t chunk, size_t batch)
{
    struct jobs_witness witness;
    struct forecast *forecast;
    struct error err = {0};
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    const struct forecast_request request = {.series = series, .n_series = n, .horizon = HORIZON};
    ck_assert_msg(forecast_new(model, &request, &options, &forecast, &err) == STATUS_OK, "%s", err.message);
    struct scheduler *scheduler = jobs_scheduler(workers, chunk, batch);
    ck_assert_int_eq(jobs_run(forecast_job(forecast), scheduler, &witness), STATUS_OK);
    scheduler_free(scheduler);
    return forecast;
}

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 8}, {1, 64, 64}, {1, 3, 9}, {2, 5, 12}};
    struct model *model = mixing_model();
    struct sent sent[SHAPES];
    struct forecast_series series[SHAPES];
    struct forecast_result result;
    for (size_t i = 0; i < SHAPES; i++) {
        send(&sent[i], 5 + 3 * i, shapes[i]);
        series[i] = sent[i].series;
    }
    for (size_t way = 0; way < 4; way++) {
        struct forecast *all = run(model, series, SHAPES, ways[way].workers, ways[way].chunk,
                                   ways[way].batch);
        for (size_t i = 0; i < SHAPES; i++) {
            struct forecast *one = run(model, &series[i], 1, 1, 64, 64);
            forecast_read(one, 0, &result);
            ck_assert_msg(!result.error, "%s", result.error);
            const double *alone = result.mean;
            forecast_read(all, i, &result);
            ck_assert_uint_eq(result.n_targets, shapes[i][0]);
            ck_assert_mem_eq(alone, result.mean, result.n_targets * HORIZON * sizeof *alone);
            job_free(forecast_job(one));
        }
        job_free(forecast_job(all));
    }
    for (size_t i = 0; i < SHAPES; i++) sent_free(&sent[i]);
    jobs_model_free(model);
}
END_TEST

/* The mean of the first target among the given rows. */
static void first_mean(struct model *model, const size_t counts[3], double mean[HORIZON])
{
    struct sent sent;
    struct forecast_result result;
    send(&sent, 16, counts);
    struct forecast *forecast = run(model, &sent.series, 1, 1, 64, 64);
    forecast_read(forecast, 0, &result);
    memcpy(mean, result.mean, HORIZON * sizeof *mean);
    job_free(forecast_job(forecast));
    sent_free(&sent);
}

START_TEST(each_row_matters)
{
    struct model *model = mixing_model();
    double means[SHAPES][HORIZON];
    for (size_t i = 0; i < SHAPES; i++) first_mean(model, shapes[i], means[i]);
    for (size_t i = 0; i + 1 < SHAPES; i++)
        for (size_t k = 0; k < i; k++) ck_assert_int_ne(memcmp(means[i], means[k], sizeof *means), 0);
    ck_assert_mem_eq(means[0], means[SHAPES - 1], sizeof *means);
    jobs_model_free(model);
}
END_TEST

/* What is known ahead is read up to the bundle's future_length, and through a longer horizon. */
START_TEST(the_future_is_read_at_length)
{
    struct model *model = mixing_model();
    struct forecast_spec *spec = (struct forecast_spec *)model->spec;
    double plain[HORIZON], same[HORIZON], longer[HORIZON];
    const size_t known[] = {1, 0, 1}, past[] = {1, 1, 0};
    first_mean(model, known, plain);
    spec->future_length = 6; /* as many patches as the horizon has */
    first_mean(model, known, same);
    spec->future_length = 8;
    first_mean(model, known, longer);
    ck_assert_mem_eq(plain, same, sizeof plain);
    ck_assert_int_ne(memcmp(plain, longer, sizeof plain), 0);
    first_mean(model, past, longer);
    spec->future_length = 0;
    first_mean(model, past, plain);
    ck_assert_mem_eq(plain, longer, sizeof plain);
    jobs_model_free(model);
}
END_TEST

static void refused(struct model *model, struct forecast_request *request, struct job_options *options,
                    enum status status, const char *sentence)
{
    struct forecast *forecast;
    struct error err = {0};
    ck_assert_int_eq(forecast_new(model, request, options, &forecast, &err), status);
    ck_assert_msg(strstr(err.message, sentence), "%s", err.message);
}

START_TEST(what_does_not_fit_is_told)
{
    struct model *model = mixing_model();
    struct jobs_witness witness;
    struct sent sent;
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    send(&sent, 16, shapes[4]); /* 2 targets, 1 past covariate, 2 known ahead: 7 seats of 8 + 3 patches */
    struct forecast_request request = {.series = &sent.series, .n_series = 1, .horizon = HORIZON,
                                       .max_seats = 6, .max_whole_steps = 76};
    refused(model, &request, &options, STATUS_TOO_LONG,
            "series[0] has 7 rows, those of future_covariates counted twice; expected at most 6");
    request.max_seats = 7;
    refused(model, &request, &options, STATUS_TOO_LONG,
            "series[0] has 7 rows of 11 patches, those of future_covariates counted twice; expected at most "
            "76");
    request.max_whole_steps = 77;
    options.keeps = true;
    refused(model, &request, &options, STATUS_UNSUPPORTED, "a series of several rows keeps no state");
    options.keeps = false;
    double *targets = (double *)sent.rows.targets;
    for (size_t t = 0; t < 16; t++) targets[16 + t] = (double)NAN;
    refused(model, &request, &options, STATUS_BAD_VALUE,
            "every value of a row of target that is read is missing");
    targets[16] = 1;
    sent.rows.covariates[2].values[16] = (double)INFINITY;
    refused(model, &request, &options, STATUS_BAD_VALUE, "a value is not finite or does not fit");
    sent_free(&sent);
    jobs_model_free(model);
}
END_TEST

START_TEST(steps_allocate_nothing)
{
    struct model *model = mixing_model();
    struct workspace *workspace;
    size_t state = network_state_floats(model->network);
    float *states = memory_new(3 * state, sizeof *states), features[6 * 2 * P];
    struct ride rides[3];
    for (size_t i = 0; i < 6 * 2 * P; i++) features[i] = 0.1f * (float)i;
    ck_assert_int_eq(workspace_new(64, 4, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, model->network), STATUS_OK);
    for (size_t i = 0; i < 3; i++)
        rides[i] = (struct ride){.n_steps = 6, .features = features, .state = states + i * state,
                                 .want = WANT_ALL, .role = (enum ride_role)i};
    rides[0].n_group = 3;
    allocations_fail_at(1, true);
    network_run(model->network, workspace, rides, 3);
    ck_assert(!allocations_have_failed());
    workspace_free(workspace);
    memory_free(states);
    jobs_model_free(model);
}
END_TEST

Suite *patched_suite(void);

Suite *patched_suite(void)
{
    Suite *suite = suite_create("patched");
    TCase *cases = tcase_create("patched");
    tcase_add_test(cases, neither_cuts_nor_company_matter);
    tcase_add_test(cases, each_row_matters);
    tcase_add_test(cases, the_future_is_read_at_length);
    tcase_add_test(cases, what_does_not_fit_is_told);
    tcase_add_test(cases, steps_allocate_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}
