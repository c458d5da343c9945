/* POST /v1/anomalies with the bundled forecaster. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

enum { N = 120, ODD = 100, MISSING = 90, LEAST_PAST = 8 };

static void start(void)
{
    server_start(&server, (const char *const[]){"CAROUSEL_MODELS_BUNDLES=series=zoo/series", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

/* A day of 24 hours with some noise, one value that is far off, and one that is missing. */
static void print_days(char *out, size_t size, size_t n)
{
    size_t used = 0;
    for (size_t t = 0; t < n; t++) {
        double noise = (double)((uint32_t)t * 2654435761u >> 8) / 16777216.0 - 0.5;
        double value = 50 + 10 * sin(6.283185307179586 * (double)t / 24) + noise + (t == ODD ? 8 : 0);
        if (t == MISSING) used += (size_t)snprintf(out + used, size - used, ",null");
        else used += (size_t)snprintf(out + used, size - used, "%s%.4f", t ? "," : "", value);
    }
    ck_assert_uint_lt(used, size);
}

static cJSON *cell(struct reply *reply, const char *column, size_t t)
{
    size_t first = (size_t)number_at(reply, "first");
    ck_assert_uint_ge(t, first);
    return cJSON_GetArrayItem(reply_at(reply, column), (int)(t - first));
}

static struct reply *judge(size_t n, const char *more)
{
    static char series[4096], body[5000];
    print_days(series, sizeof series, n);
    snprintf(body, sizeof body, "{'model':'series','series':[%s]%s}", series, more);
    return post(&server, "/v1/anomalies", body);
}

START_TEST(the_value_that_is_far_off_is_marked)
{
    struct reply *reply = judge(N, "");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "anomalies");
    ck_assert_double_eq(number_at(reply, "first"), LEAST_PAST);
    double threshold = number_at(reply, "threshold");
    ck_assert_double_eq_tol(threshold, 2.5758293 / 1.2815516, 1e-6);
    int n_marked = 0;
    for (size_t t = LEAST_PAST; t < N; t++) {
        bool odd = cJSON_IsTrue(cell(reply, "is_anomaly", t));
        double low = cell(reply, "lower", t)->valuedouble, high = cell(reply, "upper", t)->valuedouble;
        double expected = cell(reply, "expected", t)->valuedouble;
        ck_assert(low < expected && expected < high);
        n_marked += odd;
        if (t == MISSING) {
            ck_assert(cJSON_IsNull(cell(reply, "score", t)) && !odd);
            continue;
        }
        double score = cell(reply, "score", t)->valuedouble;
        ck_assert(odd == (score > threshold));
        if (t == ODD) ck_assert(odd && score > 3);
    }
    ck_assert_int_le(n_marked, 10); /* the one, the next, and a few before the day is known */
    ck_assert_int_eq(length_at(reply, "score"), N - LEAST_PAST);
}
END_TEST

/* The last value alone is judged as it is among the others, and by as much as the request says. */
START_TEST(the_last_value_is_judged_alone)
{
    struct reply *reply = judge(ODD + 1, "");
    double score = cell(reply, "score", ODD)->valuedouble;
    reply = judge(ODD + 1, ",'mode':'last'");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "first"), ODD);
    ck_assert_int_eq(length_at(reply, "is_anomaly"), 1);
    ck_assert_double_eq_tol(number_at(reply, "score.0"), score, 1e-9 * score);
    ck_assert(cJSON_IsTrue(reply_at(reply, "is_anomaly.0")));
    reply = judge(ODD + 1, ",'mode':'last','sensitivity':1e-12");
    ck_assert(number_at(reply, "upper.0") > number_at(reply, "expected.0"));
    ck_assert_double_eq_tol(number_at(reply, "threshold"), 7.1305 / 1.2815516, 1e-3);
}
END_TEST

static const struct {
    const char *body, *param, *says;
} bad[] = {
    {"{'model':'series','series':[1,2,3,4,5,6,7,8]}", "series", "9 or more"},
    {"{'model':'series','series':[]}", "series", "9 or more"},
    {"{'model':'series'}", "series", "one array of numbers"},
    {"{'model':'series','series':[[1,2,3]]}", "series", "one array of numbers"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,'9']}", "series[8]", "null for a missing value"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'mode':'all'}", "mode", "'series' or 'last'"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'sensitivity':0.7}", "sensitivity", "0.5"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'season':401}", "season", "400"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'horizon':2}", "horizon", "one step ahead"},
    {"{'model':'series','series':[null,null,null,null,null,null,null,null,null,1],'mode':'last'}", "series",
     ""},
};

START_TEST(bad_requests_are_named)
{
    struct reply *reply = post(&server, "/v1/anomalies", bad[_i].body);
    expect_error(reply, 400, "invalid_value", bad[_i].param);
    ck_assert_msg(strstr(reply->body, bad[_i].says), "%s", reply->body);
}
END_TEST

START_TEST(a_model_of_another_kind_is_named)
{
    expect_error(post(&server, "/v1/anomalies", "{'model':'tiny-series','series':[1,2,3,4,5,6,7,8,9]}"), 422,
                 "unsupported_for_model", "model");
}
END_TEST

Suite *anomalies_suite(void);

Suite *anomalies_suite(void)
{
    Suite *suite = suite_create("anomalies");
    TCase *cases = tcase_create("http");
    tcase_set_timeout(cases, 60);
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_add_test(cases, the_value_that_is_far_off_is_marked);
    tcase_add_test(cases, the_last_value_is_judged_alone);
    tcase_add_loop_test(cases, bad_requests_are_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(cases, a_model_of_another_kind_is_named);
    suite_add_tcase(suite, cases);
    return suite;
}
