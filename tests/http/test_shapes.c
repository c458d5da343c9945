/* Forecasts in the shapes of SageMaker's DeepAR and of KServe. */
#include <check.h>
#include <string.h>

#include "client.h"

static struct server server;

static void setup(void)
{
    const char *const settings[] = {"CAROUSEL_HTTP_INVOCATIONS_HORIZON=5", NULL};
    server_start(&server, settings);
}

static void teardown(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(deepar_is_answered)
{
    double mean = number_at(post(&server, "/v1/forecast", "{'series':[1,2,null,4],'horizon':3}"),
                            "forecasts.0.mean.2");
    struct reply *reply = post(&server, "/invocations",
                               "{'instances':[{'start':'2009-11-01 00:00:00','target':[1,2,'NaN',4],"
                               "'cat':[0]},{'target':[5,6]}],"
                               "'configuration':{'num_samples':9,'prediction_length':3,"
                               "'output_types':['mean','quantiles','samples'],'quantiles':['0.1','0.9']}}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "predictions"), 2);
    ck_assert_double_eq(number_at(reply, "predictions.0.mean.2"), mean);
    ck_assert_int_eq(length_at(reply, "predictions.1.samples"), 9);
    ck_assert_ptr_nonnull(strstr(reply->body, "\"quantiles\":{\"0.1\":["));
    reply = post(&server, "/invocations",
                 "{'instances':[{'target':[1,2]}],'configuration':"
                                           "{'output_types':['mean']}}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "predictions.0.mean"), 5);
    ck_assert_ptr_null(strstr(reply->body, "quantiles"));
    reply = post(&server, "/invocations",
                 "{'instances':[{'target':[1,2]},{'target':[3]}],'parameters':{'prediction_length':2}}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "predictions.1.mean"), 2);
    expect_error(post(&server, "/invocations",
                      "{'instances':[{'target':[1]}],'parameters':{},'configuration':{}}"),
                 400, "invalid_value", "parameters");
    expect_error(post(&server, "/invocations", "{'instances':[{'target':[1]}],'parameters':[]}"), 400,
                 "invalid_value", "parameters");
    expect_error(post(&server, "/invocations", "{'instances':[]}"), 400, "invalid_value", "instances");
    expect_error(post(&server, "/invocations",
                      "{'instances':[{'target':[1]}],'configuration':"
                                           "{'output_types':['x']}}"),
                 400, "invalid_value", "configuration.output_types");
    static const char *const wrong[][2] = {{"'quantiles':[{}]", "configuration.quantiles"},
                                           {"'quantiles':'0.1'", "configuration.quantiles"},
                                           {"'num_samples':'9'", "num_samples"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_error(postf(&server, "/invocations",
                           "{'instances':[{'target':[1]}],'configuration':{'output_types':['mean'],%s}}",
                           wrong[i][0]), 400, "invalid_value", wrong[i][1]);
    expect_error(post(&server, "/invocations",
                      "{'instances':[{'target':[1]}],'configuration':{'output_types':'mean'}}"),
                 400, "invalid_value", "configuration.output_types");
    expect_error(post(&server, "/invocations", "{'instances':[{'target':['x']}]}"), 400, "invalid_value",
                 "series[0].target[0]");
    expect_error(post(&server, "/invocations", "{'instances':[{'target':[1],'cat':[1]}]}"), 422,
                 "unsupported_for_model", "instances");
    expect_error(post(&server, "/invocations",
                      "{'instances':[{'target':[1],'dynamic_feat':[[1,2,3,4,5,6]]}]}"),
                 422, "unsupported_for_model", "series[0].future_covariates");
    expect_ok(ask(&server, "GET", "/ping", NULL));
}
END_TEST

START_TEST(kserve_is_answered)
{
    double mean = number_at(post(&server, "/v1/forecast", "{'series':[1,2,4],'horizon':2}"),
                            "forecasts.0.mean.1");
    struct reply *reply = post(&server, "/v1/timeseries/forecast",
                               "{'model':'tiny-series','inputs':[{'type':'univariate_time_series',"
                               "'name':'sales',"
                               "'series':[1,2,4],'frequency':'day','start_timestamp':'2026-01-01'}],"
                               "'options':{'horizon':2,'quantiles':[0.5]}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "status"), "completed");
    ck_assert_str_eq(text_at(reply, "outputs.0.content.0.name"), "sales");
    ck_assert_double_eq(number_at(reply, "outputs.0.content.0.mean_forecast.1"), mean);
    ck_assert_int_eq(strncmp(text_at(reply, "outputs.0.content.0.start_timestamp"), "2026-01-04", 10), 0);
    expect_error(post(&server, "/v1/timeseries/forecast", "{'inputs':[{'series':[1]}]}"), 400,
                 "invalid_value",
                 "options");
    expect_error(post(&server, "/v1/timeseries/forecast",
                      "{'inputs':[{'series':[1],'type':'multivariate_time_series'}],"
                      "'options':{'horizon':1}}"),
                 422, "unsupported_for_model", "inputs");
}
END_TEST

Suite *shapes_suite(void);

Suite *shapes_suite(void)
{
    Suite *suite = suite_create("shapes");
    TCase *cases = tcase_create("shapes");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, deepar_is_answered);
    tcase_add_test(cases, kserve_is_answered);
    suite_add_tcase(suite, cases);
    return suite;
}
