/* Counters and their text; and the small pure parts of the server that need no socket: routes, dates,
 * events. */
#include "server/request/metrics.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/request/router.h"
#include "server/request/server.h"
#include "server/request/sse.h"

static struct metrics *metrics;
static char *text;

static void start(void)
{
    metrics = metrics_new();
    ck_assert_ptr_nonnull(metrics);
    text = NULL;
}

static void stop(void)
{
    metrics_free(metrics);
    free(text);
}

static void print(void)
{
    static const struct server server;
    struct writer out;
    size_t bytes;
    writer_init(&out, 1 << 20);
    metrics_print(metrics, &server, &out);
    free(text);
    text = writer_take(&out, &bytes);
    ck_assert_ptr_nonnull(text);
}

#define EXPECT(line) ck_assert_msg(strstr(text, line "\n") != NULL, "no line %s in\n%s", line, text)

START_TEST(counters_count)
{
    metrics_add(metrics, COUNTER_BYTES_IN, 5);
    metrics_add(metrics, COUNTER_BYTES_IN, 7);
    metrics_count_request(metrics, ROUTE_FORECAST, "tiny:1", 200, 0.01);
    metrics_count_request(metrics, ROUTE_FORECAST, "tiny:1", 200, 0.01);
    metrics_count_request(metrics, ROUTE_NONE, "", 404, 0.01);
    metrics_count_request(metrics, ROUTE_NONE, "", 9999, 0.01);
    metrics_count_end(metrics, END_CANCELLED);
    metrics_count_fault(metrics, FAULT_QUEUE_FULL);
    metrics_count_fault(metrics, FAULT_INVALID_VALUE);
    print();
    EXPECT("carousel_request_bytes_total 12");
    EXPECT("carousel_requests_total{route=\"/v1/forecast\",code=\"200\",model=\"tiny\"} 2");
    EXPECT("carousel_requests_total{route=\"none\",code=\"404\",model=\"\"} 1");
    EXPECT("carousel_requests_finished_total{reason=\"cancelled\"} 1");
    EXPECT("carousel_requests_finished_total{reason=\"stop\"} 0");
    EXPECT("carousel_rejected_total{reason=\"queue_full\"} 1");
    ck_assert_ptr_null(strstr(text, "invalid_value"));
}
END_TEST

START_TEST(histograms_are_cumulative)
{
    metrics_observe(metrics, HISTOGRAM_QUEUE, 0.0005); /* on a bound: inside */
    metrics_observe(metrics, HISTOGRAM_QUEUE, 0.002);
    metrics_observe(metrics, HISTOGRAM_QUEUE, 1000);
    metrics_observe(metrics, HISTOGRAM_QUEUE, -1);
    metrics_observe(metrics, HISTOGRAM_QUEUE, 0.0 / 0.0);
    print();
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"0.00025\"} 0");
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"0.0005\"} 1");
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"0.001\"} 1");
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"0.0025\"} 2");
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"60\"} 2");
    EXPECT("carousel_queue_duration_seconds_bucket{le=\"+Inf\"} 3");
    EXPECT("carousel_queue_duration_seconds_count 3");
    EXPECT("carousel_queue_duration_seconds_sum 1000.0025");
}
END_TEST

START_TEST(durations_are_kept_by_route)
{
    metrics_count_request(metrics, ROUTE_METRICS, "", 200, 0.001);
    metrics_count_request(metrics, ROUTE_FORECAST, "tiny:1", 200, 250);
    metrics_count_request(metrics, ROUTE_FORECAST, "tiny:1", 500, 0.25);
    print();
    EXPECT("carousel_request_duration_seconds_bucket{route=\"/metrics\",model=\"\",le=\"0.001\"} 1");
    EXPECT("carousel_request_duration_seconds_bucket{route=\"/v1/forecast\",model=\"tiny\",le=\"0.1\"} 0");
    EXPECT("carousel_request_duration_seconds_bucket{route=\"/v1/forecast\",model=\"tiny\",le=\"0.25\"} 1");
    EXPECT("carousel_request_duration_seconds_bucket{route=\"/v1/forecast\",model=\"tiny\",le=\"300\"} 2");
    EXPECT("carousel_request_duration_seconds_bucket{route=\"/v1/forecast\",model=\"tiny\",le=\"+Inf\"} 2");
    EXPECT("carousel_request_duration_seconds_count{route=\"/v1/forecast\",model=\"tiny\"} 2");
    EXPECT("carousel_request_duration_seconds_sum{route=\"/v1/forecast\",model=\"tiny\"} 250.25");
    ck_assert_ptr_null(strstr(text, "carousel_request_duration_seconds_count{route=\"/v1/score\""));
}
END_TEST

/* Versions share their model's counters, and no number of models makes more than there are places. */
START_TEST(models_are_counted_apart_up_to_a_number)
{
    char name[MODEL_NAME_BYTES];
    metrics_count_request(metrics, ROUTE_SCORE, "numbers:1", 200, 0.01);
    metrics_count_request(metrics, ROUTE_SCORE, "numbers:2", 200, 0.01);
    metrics_count_request(metrics, ROUTE_SCORE, "number", 200, 0.01);
    for (int i = 2; i < METRICS_MAX_MODELS + 3; i++) {
        snprintf(name, sizeof name, "m%d", i);
        metrics_count_request(metrics, ROUTE_SCORE, name, 200, 0.01);
    }
    print();
    EXPECT("carousel_requests_total{route=\"/v1/score\",code=\"200\",model=\"numbers\"} 2");
    EXPECT("carousel_requests_total{route=\"/v1/score\",code=\"200\",model=\"number\"} 1");
    EXPECT("carousel_requests_total{route=\"/v1/score\",code=\"200\",model=\"m63\"} 1");
    EXPECT("carousel_requests_total{route=\"/v1/score\",code=\"200\",model=\"\"} 3");
    EXPECT("carousel_request_duration_seconds_count{route=\"/v1/score\",model=\"\"} 3");
    ck_assert_ptr_null(strstr(text, "\"m64\""));
}
END_TEST

START_TEST(every_metric_has_help_and_type_once)
{
    print();
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, "# TYPE carousel_")); at++, n++) {
        char name[128];
        ck_assert_int_eq(sscanf(at, "# TYPE %127s", name), 1);
        ck_assert_ptr_null(strstr(at + 1, strcat(strcpy((char[160]){0}, "# TYPE "), strcat(name, " "))));
    }
    ck_assert_uint_gt(n, 15);
}
END_TEST

static void *add_many(void *context)
{
    for (int i = 0; i < 10000; i++) {
        metrics_add(context, COUNTER_BYTES_OUT, 1);
        metrics_observe(context, HISTOGRAM_QUEUE, 0.001);
        metrics_count_request(context, ROUTE_SCORE, i % 2 ? "one" : "two", 200, 0.001);
    }
    return NULL;
}

START_TEST(threads_lose_nothing)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, metrics), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    print();
    EXPECT("carousel_response_bytes_total 40000");
    EXPECT("carousel_queue_duration_seconds_count 40000");
}
END_TEST

/* ---- routes ---- */

static const struct {
    const char *method, *path, *tail;
    enum route_id route;
    bool has_method;
} paths[] = {
    {"GET", "/health", "", ROUTE_HEALTH, true},       {"HEAD", "/health", "", ROUTE_HEALTH, true},
    {"POST", "/health", "", ROUTE_HEALTH, false},     {"GET", "/v1/models", "", ROUTE_MODELS, true},
    {"GET", "/v1/models/a:1", "a:1", ROUTE_MODEL, true}, {"GET", "/v1/models/", "", ROUTE_NONE, false},
    {"GET", "/v1/modelsx", "", ROUTE_NONE, false},    {"GET", "/Health", "", ROUTE_NONE, false},
    {"GET", "", "", ROUTE_NONE, false},               {"get", "/health", "", ROUTE_HEALTH, false},
    {"POST", "/v1/completions", "", ROUTE_COMPLETIONS, true},
    {"OPTIONS", "/v1/completions", "", ROUTE_COMPLETIONS, false},
    {"GET", "/v1/models/a/reload", "a", ROUTE_RELOAD, false},
};

START_TEST(routes_are_found)
{
    struct match match;
    route_find(paths[_i].method, paths[_i].path, &match);
    ck_assert_int_eq(match.route, paths[_i].route);
    ck_assert_int_eq(match.has_method, paths[_i].has_method);
    if (match.route != ROUTE_NONE) ck_assert_str_eq(match.tail, paths[_i].tail);
}
END_TEST

START_TEST(a_long_id_is_no_path)
{
    char path[400] = "/v1/models/";
    struct match match;
    memset(path + strlen(path), 'a', 300);
    route_find("GET", path, &match);
    ck_assert_int_eq(match.route, ROUTE_NONE);
}
END_TEST

/* ---- events ---- */

START_TEST(events_are_framed_and_drained_in_any_pieces)
{
    struct sse sse;
    char found[200] = "";
    sse_init(&sse, 1000);
    sse_ping(&sse);
    for (int i = 0; i < 2; i++) {
        sse_begin(&sse);
        put_open(&sse.out, '{');
        put_named_string(&sse.out, "a", "line\nfeed");
        put_close(&sse.out, '}');
        sse_end(&sse);
    }
    sse_done(&sse);
    for (size_t n = 0; !sse_is_empty(&sse);) n += sse_drain(&sse, found + n, 3);
    ck_assert_str_eq(found, ": ping\n\ndata: {\"a\":\"line\\nfeed\"}\n\ndata: "
                            "{\"a\":\"line\\nfeed\"}\n\ndata: [DONE]\n\n");
    sse_release(&sse);
}
END_TEST

Suite *metrics_suite(void);

Suite *metrics_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *core = tcase_create("metrics");
    tcase_add_checked_fixture(core, start, stop);
    tcase_add_test(core, counters_count);
    tcase_add_test(core, histograms_are_cumulative);
    tcase_add_test(core, durations_are_kept_by_route);
    tcase_add_test(core, models_are_counted_apart_up_to_a_number);
    tcase_add_test(core, every_metric_has_help_and_type_once);
    tcase_add_test(core, threads_lose_nothing);
    suite_add_tcase(suite, core);
    TCase *parts = tcase_create("parts");
    tcase_add_loop_test(parts, routes_are_found, 0, (int)(sizeof paths / sizeof *paths));
    tcase_add_test(parts, a_long_id_is_no_path);
    tcase_add_test(parts, events_are_framed_and_drained_in_any_pieces);
    suite_add_tcase(suite, parts);
    return suite;
}
