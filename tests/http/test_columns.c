/* Forecasts of several rows, and covariates. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void setup(void)
{
    server_start(&server, (const char *const[]){
                              "CAROUSEL_MODELS_BUNDLES=tiny-series=tests/http/bundles/tiny-series:"
                              "weather=tests/http/columns/weather:twins=tests/http/columns/twins:"
                              "walker=tests/http/columns/walker:both=tests/http/columns/both:"
                              "group=tests/http/columns/group", NULL});
}

static void teardown(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* Compare numbers, and arrays of them to any depth. */
static void expect_close(const cJSON *found, const cJSON *due)
{
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(cJSON_IsArray(found), cJSON_IsArray(due));
    ck_assert_int_eq(cJSON_GetArraySize(found), cJSON_GetArraySize(due));
    if (!cJSON_IsArray(due))
        ck_assert_double_eq_tol(found->valuedouble, due->valuedouble, 1e-5 * fmax(1, fabs(due->valuedouble)));
    for (int i = 0; i < cJSON_GetArraySize(due); i++)
        expect_close(cJSON_GetArrayItem(found, i), cJSON_GetArrayItem(due, i));
}

/* The scripts beside the files say what each request is. */
static const struct {
    const char *file;
    int least; /* requests */
} files[] = {{"tests/http/columns/requests.json", 13}, {"tests/http/columns/group.json", 5}};
enum { FILES = sizeof files / sizeof *files };

START_TEST(forecasts_are_pytorchs)
{
    size_t bytes;
    char *file = file_read(files[_i].file, &bytes);
    cJSON *requests = cJSON_Parse(file), *row;
    ck_assert_int_ge(cJSON_GetArraySize(requests), files[_i].least);
    cJSON_ArrayForEach(row, requests) {
        char *body = cJSON_PrintUnformatted(json_at(row, "body"));
        struct reply *reply = ask(&server, "POST", "/v1/forecast", body);
        expect_ok(reply);
        expect_close(reply_at(reply, "forecasts.0.mean"), json_at(row, "mean"));
        cJSON *level, *quantiles = reply_at(reply, "forecasts.0.quantiles");
        cJSON_ArrayForEach(level, json_at(row, "quantiles"))
            expect_close(cJSON_GetObjectItemCaseSensitive(quantiles, level->string), level);
        cJSON_free(body);
    }
    cJSON_Delete(requests);
    free(file);
}
END_TEST

#define W "{'model':'weather','series':[{'target':[1,2],"
#define HOURS "'start':'2026-01-01T00:00','freq':'h'}],"
#define G "{'model':'group','horizon':3,'series':[{'target':"
#define T "{'model':'twins','horizon':3,'series':[{'target':"

/* What is wrong with the rows of a request, and the sentence that tells. */
static const struct {
    const char *body, *param, *sentence;
    int status;
} wrong[] = {
    {W "'past_covariates':{'price':[1,2]}," HOURS "'horizon':2}", "series[0].future_covariates",
     "has no 'temperature', which model 'weather' reads; send it", 400},
    {W "'past_covariates':{'price':[1,2]},'future_covariates':{'temperature':[1,2,3]}}],'horizon':1}",
     "series[0].future_covariates", "has no 'hour_sin', which model 'weather' reads; send it, or 'start' and",
     400},
    {W "'past_covariates':{'price':[1,2],'temperature':[1,2]}," HOURS "'horizon':1}",
     "series[0].future_covariates", "has no 'temperature', whose values of the horizon", 400},
    {W "'past_covariates':{'prize':[1,2]}," HOURS "'horizon':2}", "series[0].past_covariates",
     "has 'prize', which model 'weather' does not read; expected 'price'; did you mean 'price'?", 400},
    {W "'past_covariates':[[1,2],[3,4]],'future_covariates':[[1,2,3]]," HOURS "'horizon':1}",
     "series[0].past_covariates", "has more rows than model 'weather' reads; expected 1: 'price'", 400},
    {W HOURS "'horizon':25}", "horizon", "was trained to tell of 24 steps; expected at most 24", 422},
    {"{'model':'weather','series':[1,2],'horizon':2}", "series[0].past_covariates", "has no 'price'", 400},
    {T "[1,2],'future_covariates':[[1,2,3,4,5]]}]}", "series[0].target",
     "has 1 row, but model 'twins' reads 2: 'a', 'b'", 400},
    {T "[[1,2],[null,null]],'future_covariates':[[1,2,3,4,5]]}]}", "series",
     "every value of a row of target that is read is missing", 400},
    {T "[[1,2],[1,2]],'future_covariates':[[1,2,3,4,1e300]]}]}", "series", "does not fit the model's", 400},
    {"{'model':'twins','horizon':7,'series':[{'target':[[1],[2]]}]}", "horizon",
     "reads what is known of them all; expected 9", 400},
    {T "[[1],[2]],'future_covariates':[[1,2,3,4]]}],'store':true}", NULL, "keeps no state; send all", 422},
    {G "[[1,2],[3]]}]}", "series[0].target", "target[1] has 1 values; expected 2, as many as the first row",
     400},
    {G "[1,2],'past_covariates':{'a':[1]}}]}", "series[0].past_covariates", "expected 2, as many as 'target'",
     400},
    {G "[1,2],'future_covariates':{'a':[1,2]}}]}", "series[0].future_covariates",
     "expected 5, as many as 'target' and the horizon together", 400},
    {G "[[1,2],[null,null]]}]}", "series", "every value of a row of target that is read is missing", 400},
    {G "[[1,2],[3,5]]}],'store':true}", "series", "a series of several rows keeps no state; send all", 422},
};

START_TEST(what_is_wrong_with_rows_is_told)
{
    struct reply *reply = post(&server, "/v1/forecast", wrong[_i].body);
    expect_error(reply, wrong[_i].status, wrong[_i].status == 400 ? "invalid_value" : "unsupported_for_model",
                 wrong[_i].param);
    ck_assert_msg(strstr(text_at(reply, "error.message"), wrong[_i].sentence), "%s", reply->body);
}
END_TEST

/* Samples of a model with levels are drawn from them; without levels all paths are the mean. */
START_TEST(samples_have_the_shape_of_the_target)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               T "[[1,3,5],[2,1,2]],'future_covariates':[[1,2,3,4,5,6]]}],"
                                 "'num_samples':2,'quantiles':[0.3],'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "forecasts.0.samples"), 2);
    ck_assert_int_eq(length_at(reply, "forecasts.0.samples.1"), 2);
    ck_assert_int_eq(length_at(reply, "forecasts.0.samples.1.1"), 3);
    ck_assert_double_eq(number_at(reply, "interpolated_quantiles.0"), 0.3);
    ck_assert_double_ne(number_at(reply, "forecasts.0.samples.0.1.2"),
                        number_at(reply, "forecasts.0.samples.1.1.2"));
    reply = post(&server, "/v1/forecast", "{'model':'both','series':[1,3,2],'horizon':2,'num_samples':2}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "forecasts.0.samples.1.1"), number_at(reply, "forecasts.0.mean.1"));
}
END_TEST

START_TEST(other_routes_know_columns)
{
    struct reply *reply = ask(&server, "GET", "/v1/models/weather", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "columns.2.name"), "temperature");
    ck_assert_str_eq(text_at(reply, "columns.2.role"), "future");
    ck_assert_double_eq(number_at(reply, "horizon"), 24);
    reply = post(&server, "/invocations",
                 "{'model':'walker','instances':[{'target':[3,4,'NaN',5],'dynamic_feat':[[0,1,0,0,1,0]]}],"
                 "'configuration':{'output_types':['mean'],'prediction_length':2}}");
    expect_ok(reply);
    double mean = number_at(reply, "predictions.0.mean.1");
    reply = post(&server, "/v1/forecast", "{'model':'walker','horizon':2,'series':[{'target':[3,4,null,5],"
                                          "'future_covariates':{'holiday':[0,1,0,0,1,0]}}]}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "forecasts.0.mean.1"), mean);
    expect_error(post(&server, "/v1/anomalies", "{'model':'twins','series':[1,2,3,4,5,6,7,8,9]}"), 422,
                 "unsupported_for_model", "model");
    expect_error(post(&server, "/v1/explain", "{'model':'twins','input':[1,2]}"), 422,
                 "unsupported_for_model", "input");
}
END_TEST

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
    tcase_add_loop_test(cases, forecasts_are_pytorchs, 0, FILES);
    tcase_add_loop_test(cases, what_is_wrong_with_rows_is_told, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(cases, samples_have_the_shape_of_the_target);
    tcase_add_test(cases, other_routes_know_columns);
    tcase_add_test(cases, a_model_of_one_series_refuses_further_rows);
    tcase_add_test(cases, one_row_in_an_array_is_answered_in_an_array);
    suite_add_tcase(suite, cases);
    return suite;
}
