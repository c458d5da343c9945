/* GET /metrics adds up with what was asked, and the access log has one line a request. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

#define ANSWERS(route, code, model)                                                                          \
    metric(&server, "carousel_requests_total{route=\"" route "\",code=\"" code "\",model=\"" model "\"}")
#define SECONDS(what, route, model)                                                                          \
    metric(&server, "carousel_request_duration_seconds_" what "{route=\"" route "\",model=\"" model "\"}")

START_TEST(counters_add_up_with_the_requests)
{
    server_start(&server, NULL);
    for (int i = 0; i < 7; i++)
        expect_ok(post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':4}"));
    for (int i = 0; i < 5; i++)
        expect_ok(post(&server, "/v1/completions",
                       "{'model':'tiny-characters','prompt':'abc','max_tokens':10}"));
    for (int i = 0; i < 3; i++)
        expect_ok(post(&server, "/v1/classify", "{'model':'tiny-labels','input':'good film'}"));
    for (int i = 0; i < 4; i++)
        expect_error(post(&server, "/v1/completions", "{'model':'tiny-characters'}"), 400, "invalid_value",
                     "prompt");
    expect_ok(post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':'abc','max_tokens':100,'logit_bias':{'2':100},'stop':'aaa'}"));
    ask(&server, "GET", "/nothing", NULL);

    ck_assert_double_eq(ANSWERS("/v1/forecast", "200", "tiny-series"), 7);
    ck_assert_double_eq(ANSWERS("/v1/completions", "200", "tiny-characters"), 6);
    ck_assert_double_eq(ANSWERS("/v1/completions", "400", ""), 4);
    ck_assert_double_eq(ANSWERS("/v1/classify", "200", "tiny-labels"), 3);
    ck_assert_double_eq(metric(&server, "carousel_requests_finished_total{reason=\"length\"}"), 5);
    ck_assert_double_eq(metric(&server, "carousel_requests_finished_total{reason=\"stop\"}"), 1);
    ck_assert_double_eq(metric(&server, "carousel_requests_finished_total{reason=\"complete\"}"), 10);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 0));
    ck_assert_double_eq(metric(&server, "carousel_model_ready{model=\"tiny-series\",version=\"1\"}"), 1);
    ck_assert_double_gt(metric(&server, "carousel_model_memory_bytes{model=\"tiny-series\",version=\"1\"}"),
                        1000);
    /* 6 prompts of 3 characters, and at least as many for series and texts. */
    double prompt = metric(&server, "carousel_steps_total{phase=\"prompt\"}");
    double decode = metric(&server, "carousel_steps_total{phase=\"decode\"}");
    ck_assert_double_ge(prompt, 6 * 3 + 7 * 3 + 3 * 2);
    ck_assert_double_ge(decode, 5 * 9);
    double turns = metric(&server, "carousel_turns_total"), rows = metric(&server, "carousel_rows_total");
    ck_assert_double_ge(turns, 1);
    ck_assert_double_ge(rows, turns);
    ck_assert_double_eq(metric(&server, "carousel_batch_rows_count"), turns);
    ck_assert_double_eq(metric(&server, "carousel_batch_rows_sum"), rows);
    ck_assert_double_gt(metric(&server, "carousel_compute_seconds_total"), 0);
    ck_assert_double_ge(metric(&server, "carousel_workers"), 1);
    ck_assert_double_gt(metric(&server, "carousel_request_bytes_total"), 0);
    ck_assert_double_gt(metric(&server, "carousel_response_bytes_total"), 0);
    ck_assert_double_eq(metric(&server, "carousel_time_to_first_token_seconds_count"), 6);
    ck_assert_double_eq(metric(&server, "carousel_inter_token_seconds_count"), 6);
    ck_assert_double_eq(metric(&server, "carousel_queue_duration_seconds_count"), 7 + 6 + 3);
    ck_assert_double_eq(SECONDS("count", "/v1/forecast", "tiny-series"), 7);
    ck_assert_double_eq(SECONDS("count", "/v1/completions", "tiny-characters"), 6);
    ck_assert_double_eq(SECONDS("count", "/v1/completions", ""), 4);
    ck_assert_double_gt(SECONDS("sum", "/v1/completions", "tiny-characters"), 0);
    ck_assert_double_eq(ANSWERS("none", "404", ""), 1);
    ck_assert_double_gt(metric(&server, "carousel_resident_memory_bytes"), 1e6);
    ck_assert_double_gt(metric(&server, "carousel_start_time_seconds"), 1.7e9);
    ck_assert_ptr_nonnull(strstr(ask(&server, "GET", "/metrics", NULL)->body,
                                 "carousel_build_info{version=\""));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A wrong method and a browser's preflight belong to the path that was hit; only unknown paths are "none". */
START_TEST(every_path_counts_what_hit_it)
{
    static const struct {
        const char *method, *path;
    } routes[] = {
#define X(symbol, method, path, handler, scopes) {#method, path},
#include "server/request/routes.def"
    };
    const char *const settings[] = {"CAROUSEL_HTTP_CORS_ORIGINS=https://a.example", keys_setting(), NULL};
    static const char page[] = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n";
    enum { N = sizeof routes / sizeof *routes };
    char path[128];
    server_start(&server, settings);
    for (size_t i = 0; i < N; i++) {
        if (i && !strcmp(routes[i].path, routes[i - 1].path)) continue;
        char methods[64];
        const char *hole = strstr(routes[i].path, "{id}");
        snprintf(methods, sizeof methods, "%s%s", routes[i].method,
                 strcmp(routes[i].method, "GET") ? "" : ", HEAD");
        for (size_t j = i + 1; j < N && !strcmp(routes[i].path, routes[j].path); j++)
            snprintf(methods + strlen(methods), sizeof methods - strlen(methods), ", %s", routes[j].method);
        if (hole)
            snprintf(path, sizeof path, "%.*stiny-series%s", (int)(hole - routes[i].path), routes[i].path,
                     hole + 4);
        else snprintf(path, sizeof path, "%s", routes[i].path);
        char *version = strstr(path, "{version}");
        if (version) {
            *version = '1';
            memmove(version + 1, version + strlen("{version}"), strlen(version + strlen("{version}")) + 1);
        }
        struct reply *found = ask_as(&server, page, "OPTIONS", path, NULL);
        ck_assert_msg(found->status == 204 && !found->body_bytes, "OPTIONS %s: %d", path, found->status);
        ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Origin"), "https://a.example");
        ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Methods"), methods);
        ck_assert_int_eq(ask_as(&server, page, "PATCH", path, "{}")->status, 405);
    }
    ck_assert_int_eq(ask_as(&server, page, "OPTIONS", "/nowhere", NULL)->status, 404);
    char *text = strdup(ask_as(&server, BEARER("ck_metrics"), "GET", "/metrics", NULL)->body);
    for (size_t i = 0; i < N; i++)
        for (int code = 204; code <= 405; code += 405 - 204) {
            snprintf(path, sizeof path, "carousel_requests_total{route=\"%s\",code=\"%d\",model=\"\"} 1\n",
                     routes[i].path, code);
            ck_assert_msg(strstr(text, path) != NULL, "no %s", path);
        }
    ck_assert_ptr_nonnull(
        strstr(text, "carousel_requests_total{route=\"none\",code=\"404\",model=\"\"} 1\n"));
    ck_assert_ptr_null(strstr(text, "route=\"none\",code=\"405\""));
    free(text);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(histograms_are_cumulative_and_end_with_their_count)
{
    server_start(&server, NULL);
    for (int i = 0; i < 20; i++)
        expect_ok(post(&server, "/v1/completions",
                       "{'model':'tiny-characters','prompt':'abc','max_tokens':10}"));
    struct reply *reply = ask(&server, "GET", "/metrics", NULL);
    char name[128] = "", line_name[128];
    double last = 0;
    int histograms = 0;
    for (char *line = strtok(reply->body, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *bucket = strstr(line, "_bucket{");
        char *count = strstr(line, "_count");
        double value = strrchr(line, ' ') != NULL ? strtod(strrchr(line, ' '), NULL) : 0;
        if (*line == '#')
            continue;
        if (bucket != NULL) {
            snprintf(line_name, sizeof line_name, "%.*s", (int)(bucket - line), line);
            if (strcmp(line_name, name) != 0)
                last = 0;
            snprintf(name, sizeof name, "%s", line_name);
            ck_assert_msg(value >= last, "not cumulative: %s", line);
            last = value;
        } else if (count != NULL && (count[6] == ' ' || count[6] == '{')) {
            ck_assert_msg(value == last, "%s, but the last bucket has %g", line, last);
            histograms++;
        }
    }
    ck_assert_int_ge(histograms, 5);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(the_access_log_has_one_line_a_request_and_no_prompt)
{
    server_start(&server, NULL);
    expect_ok(post(&server, "/v1/completions",
                   "{'model':'tiny-characters','prompt':'secrets','max_tokens':10}"));
    expect_error(post(&server, "/v1/completions", "{'model':'secretmodel','prompt':'secrets'}"), 404,
                 "model_not_found", "model");
    ask(&server, "GET", "/health", NULL);
    ck_assert_double_eq(ANSWERS("/health", "200", ""), 1);
    await_log(&server, "\"route\":\"/health\"", 1);
    await_log(&server, "\"route\":\"/v1/completions\"", 2);
    int lines = 0;
    char *log = strdup(server_log(&server));
    ck_assert_ptr_nonnull(log);
    for (char *line = strtok(log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cJSON *json = *line == '{' ? cJSON_Parse(line) : NULL;
        cJSON *route = json_at(json, "route");
        ck_assert_ptr_null(strstr(line, "secrets"));
        if (cJSON_IsString(route) && strcmp(route->valuestring, "/v1/completions") == 0) {
            lines++;
            ck_assert(cJSON_IsNumber(json_at(json, "status")));
            ck_assert(cJSON_IsString(json_at(json, "request_id")));
            ck_assert(cJSON_IsNumber(json_at(json, "total_ms")));
            ck_assert(cJSON_IsNumber(json_at(json, "bytes_in")));
        }
        cJSON_Delete(json);
    }
    free(log);
    ck_assert_int_eq(lines, 2);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *counters_suite(void);

Suite *counters_suite(void)
{
    Suite *suite = suite_create("counters");
    TCase *cases = tcase_create("counters");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, counters_add_up_with_the_requests);
    tcase_add_test(cases, every_path_counts_what_hit_it);
    tcase_add_test(cases, histograms_are_cumulative_and_end_with_their_count);
    tcase_add_test(cases, the_access_log_has_one_line_a_request_and_no_prompt);
    suite_add_tcase(suite, cases);
    return suite;
}
