/* The bundled forecaster over HTTP: the first series that people try, and the season that is told, follows
 * from a frequency, or is found. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    server_start(&server, (const char *const[]){"CAROUSEL_MODELS_BUNDLES=series=zoo/series", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

static double counting(size_t t) { return (double)t; }
static double wave(size_t t) { return sin(6.283185307179586 * (double)t / 24); }
static double pulse(size_t t) { return t % 24 == 7 ? 9 : 1; }
static double growth(size_t t) { return 100 * pow(1.05, (double)t); }
static double flat(size_t t) { return t > 1000 ? 0 : 4; }

/* A rule without noise; the forecast stays within `slack` of it, or of a share of it. */
static const struct {
    double (*at)(size_t t);
    size_t n, horizon;
    double slack, share;
} rules[] = {
    {counting, 50, 12, 0.01, 0}, {wave, 96, 24, 0.02, 0}, {pulse, 72, 24, 0.1, 0},
    {growth, 24, 12, 0, 0.03},   {flat, 3, 4, 0.01, 0},   {counting, 3, 12, 0.01, 0},
    {counting, 5, 12, 0.01, 0},  {counting, 10, 40, 0.01, 0}, {growth, 5, 12, 0, 0.001},
};

static void print_series(char *out, size_t size, double (*at)(size_t t), size_t n)
{
    size_t used = 0;
    for (size_t t = 0; t < n; t++)
        used += (size_t)snprintf(out + used, size - used, "%s%.6f", t ? "," : "", at(t));
    ck_assert_uint_lt(used, size);
}

START_TEST(a_rule_is_continued)
{
    char series[4096], body[5000], path[64];
    print_series(series, sizeof series, rules[_i].at, rules[_i].n);
    snprintf(body, sizeof body, "{'model':'series','series':[%s],'horizon':%zu}", series, rules[_i].horizon);
    struct reply *reply = post(&server, "/v1/forecast", body);
    expect_ok(reply);
    for (size_t t = 0; t < rules[_i].horizon; t++) {
        double due = rules[_i].at(rules[_i].n + t);
        snprintf(path, sizeof path, "forecasts.0.mean.%zu", t);
        ck_assert_double_eq_tol(number_at(reply, path), due, rules[_i].slack + rules[_i].share * fabs(due));
    }
}
END_TEST

START_TEST(five_numbers_go_on_upwards)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               "{'model':'series','series':[1,2,3,4,5],'horizon':3,'quantiles':[0.9]}");
    expect_ok(reply);
    double first = number_at(reply, "forecasts.0.mean.0"), last = number_at(reply, "forecasts.0.mean.2");
    ck_assert_double_gt(first, 5.5);
    ck_assert_double_gt(last, first + 0.5);
    cJSON *high = cJSON_GetObjectItemCaseSensitive(reply_at(reply, "forecasts.0.quantiles"), "0.9");
    ck_assert_double_ge(cJSON_GetArrayItem(high, 2)->valuedouble, last);
    ck_assert_ptr_null(strstr(reply->body, "interpolated_quantiles"));
}
END_TEST

/* Four steps after a spike the last value was right each time that this could be tested, by luck. The
 * interval must not vanish. */
START_TEST(a_spike_leaves_a_wide_interval)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               "{'model':'series','series':[5,5,5,5,50,5,5,5],'horizon':6,"
                               "'quantiles':[0.1,0.9]}");
    expect_ok(reply);
    for (int t = 0; t < 6; t++) {
        cJSON *quantiles = reply_at(reply, "forecasts.0.quantiles");
        double low = cJSON_GetArrayItem(cJSON_GetObjectItem(quantiles, "0.1"), t)->valuedouble;
        double high = cJSON_GetArrayItem(cJSON_GetObjectItem(quantiles, "0.9"), t)->valuedouble;
        ck_assert_double_gt(high - low, 3);
        ck_assert(low < 5.5 && high > 7);
    }
}
END_TEST

/* The bundle has the levels 0.1, 0.2, ... and 0.025, 0.975. */
START_TEST(levels_between_those_of_the_bundle_are_named)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               "{'model':'series','series':[1,2,3],'horizon':1,'quantiles':[0.1,0.25,0.99]}");
    expect_ok(reply);
    ck_assert_msg(strstr(reply->body, "\"interpolated_quantiles\":[0.25,0.99]") != NULL, "%s", reply->body);
}
END_TEST

/* Four weeks of a quiet day and six noisy ones: only a season of 7 sees the next quiet one. */
#define WEEKS "12,14,1,15,12,16,13, 15,12,1,13,16,12,14, 13,16,1,12,14,15,12, 16,13,1,14,12,13,15"

static double third_of(const char *body)
{
    struct reply *reply = post(&server, "/v1/forecast", body);
    expect_ok(reply);
    return number_at(reply, "forecasts.0.mean.2");
}

START_TEST(a_season_is_told_or_follows_from_the_frequency)
{
    double told = third_of("{'model':'series','series':[" WEEKS "],'horizon':3,'season':7}");
    ck_assert_double_lt(told, 4);
    ck_assert_double_eq(
        third_of("{'model':'series','series':[[" WEEKS "]],'horizon':3,'season_length':7}"), told);
    ck_assert_double_eq(third_of("{'model':'series','series':[{'target':[" WEEKS
                                 "],'season':7}],'horizon':3,'season':1}"), told);
    ck_assert_double_eq(third_of("{'model':'series','series':[{'target':[" WEEKS
                                 "],'start':'2026-01-05','freq':'D'}],'horizon':3}"), told);
    ck_assert_double_gt(third_of("{'model':'series','series':[" WEEKS "],'horizon':3,'season':1}"), 4);
    ck_assert_double_gt(third_of("{'model':'series','series':[{'target':[" WEEKS
                                 "],'start':'2026-01-05','freq':'B'}],'horizon':3}"), 4);
}
END_TEST

static const struct {
    const char *body, *param;
} bad[] = {
    {"{'model':'series','series':[1,2],'horizon':1,'season':0}", "season"},
    {"{'model':'series','series':[1,2],'horizon':1,'season':401}", "season"},
    {"{'model':'series','series':[1,2],'horizon':1,'season':'12'}", "season"},
    {"{'model':'series','series':[{'target':[1,2],'season':1.5}],'horizon':1}", "series[0].season"},
    {"{'model':'tiny-series','series':[1,2],'horizon':1,'season':2}", "season"},
    {"{'model':'tiny-series','series':[{'target':[1,2],'season':2}],'horizon':1}", "series[0].season"},
};

START_TEST(a_bad_season_is_named)
{
    expect_error(post(&server, "/v1/forecast", bad[_i].body), 400, "invalid_value", bad[_i].param);
}
END_TEST

/* This model draws no paths, so that only the levels make the answer long: 20 x 99 x 1024 > 2000000. */
START_TEST(too_many_quantiles_are_refused_before_they_are_computed)
{
    char levels[1000], body[2000];
    size_t used = 0;
    for (int level = 1; level < 100; level++)
        used += (size_t)snprintf(levels + used, sizeof levels - used, "%s0.%02d", level > 1 ? "," : "",
                                 level);
    ck_assert_uint_lt(used, sizeof levels);
    snprintf(body, sizeof body,
             "{'model':'series','horizon':1024,'quantiles':[%s],'series':[[1],[1],[1],[1],[1],[1],[1],[1],"
             "[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1]]}",
             levels);
    expect_error(post(&server, "/v1/forecast", body), 400, "input_too_long", "quantiles");
}
END_TEST

Suite *seasons_suite(void);

Suite *seasons_suite(void)
{
    Suite *suite = suite_create("seasons");
    TCase *cases = tcase_create("seasons");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_loop_test(cases, a_rule_is_continued, 0, (int)(sizeof rules / sizeof *rules));
    tcase_add_test(cases, five_numbers_go_on_upwards);
    tcase_add_test(cases, a_spike_leaves_a_wide_interval);
    tcase_add_test(cases, levels_between_those_of_the_bundle_are_named);
    tcase_add_test(cases, a_season_is_told_or_follows_from_the_frequency);
    tcase_add_loop_test(cases, a_bad_season_is_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(cases, too_many_quantiles_are_refused_before_they_are_computed);
    suite_add_tcase(suite, cases);
    return suite;
}
