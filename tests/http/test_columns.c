/* Forecasts of several rows, and covariates. */
#include <check.h>
#include <string.h>

#include "client.h"

static struct server server;

static void setup(void)
{
    server_start(&server, NULL);
}

static void teardown(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

#define FORECAST "{'model':'tiny-series','horizon':2,'quantiles':[0.5],'num_samples':1,'seed':7,"

START_TEST(a_model_of_one_series_refuses_further_rows)
{
    static const struct refused rows[] = {
        {FORECAST "'series':[{'target':[[1,2],[3,4]]}]}", "unsupported_for_model", "series[0].target", 422},
        {FORECAST "'series':[{'target':[1]},{'target':[1,2],'past_covariates':{'a':[3,4]}}]}",
         "unsupported_for_model", "series[1].past_covariates", 422},
        {FORECAST "'series':[{'target':[1,2],'future_covariates':[[1,2,3,4]]}]}", "unsupported_for_model",
         "series[0].future_covariates", 422},
        {FORECAST "'series':[{'target':[1,2],'future_covariates':[[1,2]]}]}", "invalid_value",
         "series[0].future_covariates", 400},
        {FORECAST "'series':[1],'past_covariates':{'a':[1]}}", "invalid_value", "past_covariates", 400},
        {FORECAST "'series':[{'target':[1],'dynamic_feat':[[1]]}]}", "invalid_value",
         "series[0].dynamic_feat", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) post_refused(&server, "/v1/forecast", &rows[i]);
}
END_TEST

/* The shape of the answer is that of the target. */
START_TEST(one_row_in_an_array_is_answered_in_an_array)
{
    struct reply *reply = post(&server, "/v1/forecast", FORECAST "'series':[{'target':[1,2,4]}]}");
    expect_ok(reply);
    double mean = number_at(reply, "forecasts.0.mean.1"), drawn = number_at(reply, "forecasts.0.samples.0.1");
    reply = post(&server, "/v1/forecast", FORECAST "'series':[{'target':[[1,2,4]],'past_covariates':null}]}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "forecasts.0.mean.0.1"), mean);
    ck_assert_double_eq(number_at(reply, "forecasts.0.samples.0.0.1"), drawn);
    cJSON *median = cJSON_GetObjectItemCaseSensitive(reply_at(reply, "forecasts.0.quantiles"), "0.5");
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetArrayItem(median, 0)), 2);
}
END_TEST

Suite *columns_suite(void);

Suite *columns_suite(void)
{
    Suite *suite = suite_create("columns");
    TCase *cases = tcase_create("columns");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_model_of_one_series_refuses_further_rows);
    tcase_add_test(cases, one_row_in_an_array_is_answered_in_an_array);
    suite_add_tcase(suite, cases);
    return suite;
}
