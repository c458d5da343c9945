/* POST /v1/anomalies with the bundled forecaster. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

enum { N = 120, ODD = 100, MISSING = 90, LEAST_PAST = 8, RARITY_LEAST = 50 };

static void start(void)
{
    server_start(&server, (const char *const[]){"CAROUSEL_MODELS_BUNDLES=series=zoo/series", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

static double noise(size_t t)
{
    return (double)((uint32_t)t * 2654435761u >> 8) / 16777216.0 - 0.5;
}

static double value_at(size_t t)
{
    return 50 + 10 * sin(6.283185307179586 * (double)t / 24) + noise(t) + (t == ODD ? 8 : 0);
}

/* A day of 24 hours with some noise, one value that is far off, and one that is missing. */
static void print_days(char *out, size_t size, size_t n)
{
    size_t used = 0;
    for (size_t t = 0; t < n; t++) {
        if (t == MISSING) used += (size_t)snprintf(out + used, size - used, ",null");
        else used += (size_t)snprintf(out + used, size - used, "%s%.4f", t ? "," : "", value_at(t));
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

/* Nothing is rare before 50 scores are known; then the values are judged by how rare their scores are. */
START_TEST(the_past_of_the_series_itself_may_decide)
{
    struct reply *reply = judge(N, ",'criterion':'rarity','sensitivity':0.002");
    expect_ok(reply);
    double threshold = number_at(reply, "threshold");
    ck_assert_double_eq_tol(threshold, 2.69897, 1e-5);
    size_t n_scores = 0;
    for (size_t t = LEAST_PAST; t < N; t++) {
        const cJSON *rarity = cell(reply, "rarity", t), *score = cell(reply, "score", t);
        bool odd = cJSON_IsTrue(cell(reply, "is_anomaly", t)), known = n_scores >= RARITY_LEAST;
        ck_assert(cJSON_IsNull(rarity) == (t == MISSING || !known));
        ck_assert(cJSON_IsNull(cell(reply, "lower", t)) == !known);
        ck_assert(cJSON_IsNumber(cell(reply, "expected", t)));
        ck_assert(odd == (t == ODD)); /* this one alone, from the beginning on */
        ck_assert(odd == (cJSON_IsNumber(rarity) && rarity->valuedouble > threshold));
        if (known && t != MISSING) {
            double value = value_at(t);
            ck_assert(odd == (value < cell(reply, "lower", t)->valuedouble ||
                              value > cell(reply, "upper", t)->valuedouble));
        }
        if (cJSON_IsNumber(score)) n_scores++;
    }
}
END_TEST

/* Values judged in parts, with the scores so far given back, have the scores and rarities of the whole. */
START_TEST(parts_are_the_whole)
{
    enum { CUT = 95 };
    double scores[N], rarities[N];
    static char past[4096], more[4200];
    struct reply *reply = judge(N, "");
    expect_ok(reply);
    size_t used = 0;
    for (size_t t = LEAST_PAST; t < N; t++) {
        const cJSON *score = cell(reply, "score", t), *rarity = cell(reply, "rarity", t);
        scores[t] = score->valuedouble;
        rarities[t] = rarity->valuedouble;
        if (t >= CUT) continue;
        const char *between = t > LEAST_PAST ? "," : "";
        if (cJSON_IsNull(score)) used += (size_t)snprintf(past + used, sizeof past - used, "%snull", between);
        else used += (size_t)snprintf(past + used, sizeof past - used, "%s%.17g", between, scores[t]);
    }
    snprintf(more, sizeof more, ",'first':%d,'past_scores':[%s]", CUT, past);
    reply = judge(N, more);
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "first"), CUT);
    ck_assert_int_eq(length_at(reply, "rarity"), N - CUT);
    for (size_t t = CUT; t < N; t++) {
        ck_assert_double_eq(cell(reply, "score", t)->valuedouble, scores[t]);
        ck_assert_double_eq(cell(reply, "rarity", t)->valuedouble, rarities[t]);
    }
    ck_assert_double_gt(rarities[ODD], 2);
}
END_TEST

/* Only the last 2,048 scores count, and missing ones are none of them. */
START_TEST(old_scores_are_forgotten)
{
    enum { OLD = 1000, KEPT = 2048, MISSES = 100, SIZE = 64 * 1024 };
    static char body[2][SIZE];
    double rarities[2];
    for (int with_old = 0; with_old < 2; with_old++) {
        char *out = body[with_old];
        size_t used = (size_t)snprintf(out, SIZE, "{'model':'series','mode':'last',"
                                                  "'series':[3,1,4,1,5,9,2,6,5,3,60],'past_scores':[");
        for (size_t i = with_old ? 0 : OLD; i < OLD + MISSES + KEPT; i++) {
            double score = i < OLD ? 9.5 : (double)(i % 101) / 100;
            if (i >= OLD && i < OLD + MISSES) used += (size_t)snprintf(out + used, SIZE - used, "null,");
            else used += (size_t)snprintf(out + used, SIZE - used, "%.2f,", score);
        }
        snprintf(out + used - 1, SIZE - used, "]}");
        struct reply *reply = post(&server, "/v1/anomalies", out);
        expect_ok(reply);
        rarities[with_old] = number_at(reply, "rarity.0");
        double score = number_at(reply, "score.0");
        ck_assert_double_gt(score, 1);
        ck_assert_double_eq_tol(rarities[with_old], log10(KEPT / 2.0) + 3 * log10(score), 1e-12);
    }
    ck_assert_double_eq(rarities[0], rarities[1]);
}
END_TEST

/* Errors with heavy tails, and a level that jumps once. By its own past the series has one anomaly, at the
 * jump, and neither the first values nor those of the new level; by the interval it has many. */
START_TEST(a_restless_series_with_a_new_level)
{
    enum { LENGTH = 240, JUMP = 180 };
    static char series[4096], body[5000];
    size_t used = 0, marked[2] = {0, 0};
    uint32_t x = 1;
    for (size_t t = 0; t < LENGTH; t++) {
        x = x * 1664525u + 1013904223u;
        double v = 2 * ((double)(x >> 8) + 0.5) / 16777216.0 - 1;
        used += (size_t)snprintf(series + used, sizeof series - used, "%s%.3f", t ? "," : "",
                                 100 + copysign(1 / sqrt(1 - fabs(v)) - 1, v) + (t < JUMP ? 0 : 60));
    }
    for (int by_rarity = 0; by_rarity < 2; by_rarity++) {
        snprintf(body, sizeof body, "{'model':'series','series':[%s],'sensitivity':0.001,'criterion':'%s'}",
                 series, by_rarity ? "rarity" : "score");
        struct reply *reply = post(&server, "/v1/anomalies", body);
        expect_ok(reply);
        ck_assert(cJSON_IsTrue(cell(reply, "is_anomaly", JUMP)));
        for (size_t t = LEAST_PAST; t < LENGTH; t++)
            if (cJSON_IsTrue(cell(reply, "is_anomaly", t))) marked[by_rarity]++;
    }
    ck_assert_uint_ge(marked[0], 8);
    ck_assert_uint_eq(marked[1], 1);
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
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9,10],'first':7}", "first", "8"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9,10],'first':10}", "first", "9"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9,10],'first':8,'mode':'last'}", "first", "9"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'criterion':'both'}", "criterion",
     "'score' or 'rarity'"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'past_scores':3}", "past_scores", "an array of scores"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'past_scores':[1,-2]}", "past_scores[1]",
     "0 or above"},
    {"{'model':'series','series':[1,2,3,4,5,6,7,8,9],'past_scores':['a']}", "past_scores[0]",
     "finite number"},
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
    tcase_add_test(cases, the_past_of_the_series_itself_may_decide);
    tcase_add_test(cases, parts_are_the_whole);
    tcase_add_test(cases, old_scores_are_forgotten);
    tcase_add_test(cases, a_restless_series_with_a_new_level);
    tcase_add_test(cases, the_last_value_is_judged_alone);
    tcase_add_loop_test(cases, bad_requests_are_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(cases, a_model_of_another_kind_is_named);
    suite_add_tcase(suite, cases);
    return suite;
}
