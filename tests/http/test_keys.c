/* API keys: who is let in, for what, how much; and that the file may change while the server runs. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

static struct server server;
static struct client client;
static struct reply reply;

#define FORECAST "{\"series\":[1,2,3],\"horizon\":2}"
/* ck_few: 3 requests a minute; ck_steps: 200 steps a minute. */
#define FEW                                                                                                  \
    "few sha256:08bcaba2cd7805f9d13062798b13a2baf692d7341e60fcaaba585bb89999d49c requests_per_minute=3\n"
#define STEPS                                                                                                \
    "steps sha256:8574a2a2cb1a6d055c8427aac011f9689a360c4b0255aaabfd81d22c3df6601e steps_per_minute=200\n"

static const char *keys_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, "keys-%d", (int)getpid());
    return name;
}

/* The file of this process; gives the setting that takes it. */
static const char *write_keys(const char *lines)
{
    return keys_file(keys_name(), lines);
}

static void start_with(const char *lines)
{
    const char *const settings[] = {write_keys(lines), NULL};
    server_start(&server, settings);
}

static int status_as(const char *headers, const char *path, const char *body)
{
    return ask_as(&server, headers, body ? "POST" : "GET", path, body)->status;
}

START_TEST(without_a_file_nobody_needs_a_key)
{
    server_start(&server, NULL);
    expect_ok(ask(&server, "POST", "/v1/forecast", FORECAST));
    expect_ok(ask_as(&server, BEARER("anything"), "POST", "/v1/forecast", FORECAST));
    ck_assert_int_eq(ask(&server, "GET", "/metrics", NULL)->status, 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(each_scope_opens_its_routes_and_no_others)
{
    static const struct {
        const char *path, *body;
        int infer, metrics, admin;
    } rows[] = {
        {"/v1/forecast", FORECAST, 200, 403, 403}, {"/metrics", NULL, 403, 200, 403},
        {"/v1/models", NULL, 200, 200, 200},       {"/v1/info", NULL, 200, 200, 200},
    };
    start_with(KEY_LINES);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(status_as(BEARER("ck_infer"), rows[i].path, rows[i].body), rows[i].infer);
        ck_assert_int_eq(status_as(BEARER("ck_metrics"), rows[i].path, rows[i].body), rows[i].metrics);
        ck_assert_int_eq(status_as(BEARER("ck_admin"), rows[i].path, rows[i].body), rows[i].admin);
        ck_assert_int_eq(status_as(BEARER("ck_all"), rows[i].path, rows[i].body), 200);
        ck_assert_int_eq(status_as("", rows[i].path, rows[i].body), 401);
    }
    expect_error(ask_as(&server, BEARER("ck_metrics"), "POST", "/v1/forecast", FORECAST), 403,
                 "permission_denied", "");
    expect_error(ask(&server, "GET", "/v1/nowhere", NULL), 404, "not_found", "");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(health_needs_no_key)
{
    start_with(KEY_LINES);
    expect_ok(ask(&server, "GET", "/health", NULL));
    expect_ok(ask(&server, "GET", "/livez", NULL));
    expect_ok(ask(&server, "GET", "/readyz", NULL));
    ck_assert_int_eq(ask_as(&server, BEARER("wrong"), "GET", "/health", NULL)->status, 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(what_is_no_known_key_is_a_401)
{
    static char long_key[3000];
    static const char *const headers[] = {
        "", BEARER("ck_inferx"), BEARER("ck_infe"), BEARER("CK_INFER"), BEARER(""),
        "Authorization: ck_infer\r\n", "Authorization: Basic Y2tfaW5mZXI=\r\n", BEARER("ck_infer ck_infer"),
        "Authorization:\r\n", BEARER("926411ae93c61212070fb58cf902ff74f49d687946bd99cb2dbc44bdf2d84905"),
        "X-Api-Key: ck_infer\r\n", long_key};
    snprintf(long_key, sizeof long_key, "Authorization: Bearer %02500d\r\n", 0);
    start_with(KEY_LINES);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct reply *found = ask_as(&server, headers[i], "POST", "/v1/forecast", FORECAST);
        expect_error(found, 401, "invalid_api_key", "");
        ck_assert_str_eq(text_at(found, "error.type"), "authentication_error");
        ck_assert_int_eq(strncmp(reply_header(found, "WWW-Authenticate"), "Bearer", 6), 0);
    }
    ck_assert_int_eq(status_as("authorization: bearer   ck_infer  \r\n", "/v1/forecast", FORECAST), 200);
    ck_assert_double_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_stranger_is_refused_before_his_body)
{
    start_with(KEY_LINES);
    client_open(&client, &server);
    client_say(&client, "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    ck_assert(client_read(&client, &reply)); /* without one byte of it */
    expect_error(&reply, 401, "invalid_api_key", "");
    client_close(&client);
    client_open(&client, &server);
    client_say(&client, "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n" BEARER(
                            "ck_metrics") "\r\n");
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 403, "permission_denied", "");
    client_close(&client);
    /* Without a body the connection goes on. */
    client_open(&client, &server);
    for (int i = 0; i < 3; i++) {
        client_say(&client, "GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n");
        ck_assert(client_read(&client, &reply));
        expect_error(&reply, 401, "invalid_api_key", "");
    }
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(requests_a_minute_are_bounded_for_each_key)
{
    start_with(FEW KEY_LINES);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(status_as(BEARER("ck_few"), "/v1/forecast", FORECAST), 200);
    struct reply *found = ask_as(&server, BEARER("ck_few"), "POST", "/v1/forecast", FORECAST);
    expect_error(found, 429, "rate_limited", "");
    /* one every 20 seconds */
    expect_retry_after(found, 20);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(status_as(BEARER("ck_few"), "/health", NULL), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(steps_a_minute_are_charged_and_what_is_not_used_comes_back)
{
    start_with(STEPS KEY_LINES);
    /* It may take 150 steps and stops after a few: the bias leaves only 'a', and 'aa' stops. */
    for (int i = 0; i < 5; i++)
        expect_ok(ask_as(&server, BEARER("ck_steps"), "POST", "/v1/completions",
                         "{\"model\":\"tiny-characters\",\"prompt\":\"a\",\"max_tokens\":150,\"stop\":\"aa\","
                         "\"logit_bias\":{\"2\":100}}"));
    /* What is computed is not given back. */
    ck_assert_int_eq(
        status_as(BEARER("ck_steps"), "/v1/completions",
                  "{\"model\":\"tiny-characters\",\"prompt\":\"a\",\"max_tokens\":140,\"stream\":true}"),
        200);
    struct reply *found = ask_as(&server, BEARER("ck_steps"), "POST", "/v1/completions",
                                 "{\"model\":\"tiny-characters\",\"prompt\":\"a\",\"max_tokens\":150}");
    expect_error(found, 429, "rate_limited", "");
    expect_retry_after(found, 60);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A step of a session that finds no quota is a line after those that were taken. */
START_TEST(steps_of_a_session_that_find_no_quota_leave_the_answers_before_them)
{
    start_with(STEPS KEY_LINES);
    ck_assert_int_eq(status_as(BEARER("ck_steps"), "/v1/sessions",
                               "{\"model\":\"tiny-characters\",\"id\":\"s\"}"), 201);
    struct reply *found = ask_as(&server, BEARER("ck_steps"), "POST", "/v1/sessions/s/steps",
                                 "[{\"prompt\":\"a\",\"max_tokens\":190},{\"max_tokens\":190}]");
    ck_assert_msg(found->status == 200, "%s", found->body);
    char *second = strchr(found->body, '\n');
    ck_assert_ptr_nonnull(second);
    ck_assert_msg(strstr(second, "rate_limited") != NULL, "%s", second);
    *second = '\0';
    ck_assert_msg(strstr(found->body, "\"step\":1") != NULL, "%s", found->body);
    found = ask_as(&server, BEARER("ck_steps"), "POST", "/v1/sessions/s/steps", "[{\"max_tokens\":190}]");
    expect_error(found, 429, "rate_limited", "");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Who may ask for which priority: with a ceiling of its own, below or above that of all others, and without
 * one. */
START_TEST(priority_ends_at_the_ceiling)
{
    static const struct {
        const char *key;
        int priority, status;
        const char *expected;
    } rows[] = {
        {"ck_few", 8, 200, NULL},
        {"ck_few", 9, 403, "'priority' is 9; this API key may ask for 8 at most"},
        {"ck_few", 11, 400, "an integer from -10 to 10"},
        {"ck_steps", -2, 200, NULL},
        {"ck_steps", -1, 403, "'priority' is -1; this API key may ask for -2 at most"},
        {"ck_infer", 3, 200, NULL},
        {"ck_infer", 4, 400, "an integer from -10 to 3"},
    };
    char name[64], headers[64], body[96];
    snprintf(name, sizeof name, "keys-%d", (int)getpid());
    const char *const settings[] = {
        keys_file(name, "few sha256:08bcaba2cd7805f9d13062798b13a2baf692d7341e60fcaaba585bb89999d49c "
                        "max_priority=8\nsteps "
                        "sha256:8574a2a2cb1a6d055c8427aac011f9689a360c4b0255aaabfd81d22c3df6601e "
                        "max_priority=-2\n" KEY_LINES),
        "CAROUSEL_LIMITS_MAX_PRIORITY=3", NULL};
    server_start(&server, settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(headers, sizeof headers, BEARER("%s"), rows[i].key);
        snprintf(body, sizeof body, "{\"series\":[1,2,3],\"horizon\":2,\"priority\":%d}", rows[i].priority);
        struct reply *found = ask_as(&server, headers, "POST", "/v1/forecast", body);
        if (rows[i].status == 200) {
            expect_ok(found);
            continue;
        }
        expect_error(found, rows[i].status, rows[i].status == 403 ? "permission_denied" : "invalid_value",
                     "priority");
        ck_assert_msg(strstr(text_at(found, "error.message"), rows[i].expected) != NULL, "%s", found->body);
    }
    /* names none, and has what it may */
    expect_ok(ask_as(&server, BEARER("ck_steps"), "POST", "/v1/forecast", FORECAST));
    ck_assert_double_eq(number_at(ask_as(&server, BEARER("ck_infer"), "GET", "/v1/info", NULL),
                                  "limits.max_priority"), 3);
    ck_assert_int_eq(server_stop(&server), 0);
    static const char *const lower[] = {"CAROUSEL_LIMITS_MAX_PRIORITY=-4", NULL};
    server_start(&server, lower);
    expect_ok(ask(&server, "POST", "/v1/forecast", FORECAST));
    expect_error(post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':2,'priority':0}"), 400,
                 "invalid_value", "priority");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(sighup_rereads_the_keys_and_keeps_what_was_used)
{
    start_with(FEW KEY_LINES);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(status_as(BEARER("ck_few"), "/v1/forecast", FORECAST), 200);
    /* One goes, one comes, and the quota does not begin anew. */
    write_keys("# changed\n" FEW STEPS);
    server_signal(&server, SIGHUP);
    await_log(&server, "API keys", 2);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 401);
    ck_assert_int_eq(status_as(BEARER("ck_steps"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(status_as(BEARER("ck_few"), "/v1/forecast", FORECAST), 429);
    /* A broken file changes nothing, and says where it is broken. */
    write_keys(KEY_LINES "broken\n");
    server_signal(&server, SIGHUP);
    await_log(&server, "stay as they were", 1);
    ck_assert_ptr_nonnull(strstr(server_log(&server), ":5: expected NAME sha256:HASH"));
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 401);
    ck_assert_int_eq(status_as(BEARER("ck_steps"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Rename a new file over this process's, so that no look finds half of it. */
static void replace_keys(const char *lines)
{
    static char path[600], aside[700];
    snprintf(path, sizeof path, "%s", scratch_path(keys_name()));
    snprintf(aside, sizeof aside, "%s.new", path);
    file_write(aside, lines, strlen(lines));
    ck_assert_int_eq(rename(aside, path), 0);
}

START_TEST(polling_rereads_changed_keys_without_a_signal)
{
    static char path[600];
    snprintf(path, sizeof path, "%s", write_keys(KEY_LINES));
    const char *const settings[] = {path, "CAROUSEL_MODELS_POLL_S=1", NULL};
    server_start(&server, settings);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    replace_keys(STEPS);
    await_log(&server, "1 API keys", 1);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 401);
    ck_assert_int_eq(status_as(BEARER("ck_steps"), "/v1/forecast", FORECAST), 200);
    /* A broken file changes nothing and is logged once, however often the server looks. */
    replace_keys(KEY_LINES "broken\n");
    await_log(&server, "stay as they were", 1);
    sleep(3);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 401);
    ck_assert_int_eq(status_as(BEARER("ck_steps"), "/v1/forecast", FORECAST), 200);
    ck_assert_ptr_null(strstr(strstr(server_log(&server), "stay as they were") + 1, "stay as they were"));
    replace_keys(STEPS KEY_LINES);
    await_log(&server, "5 API keys", 1);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A key that is taken away while its work runs. */
START_TEST(a_request_outlives_its_key)
{
    static char path[600];
    snprintf(path, sizeof path, "%s", write_keys(KEY_LINES));
    const char *const settings[] = {path, slow_setting(), NULL};
    server_start(&server, settings);
    client_open(&client, &server);
    static const char body[] = "{\"model\":\"slow\",\"prompt\":\"a\",\"max_tokens\":60}";
    client_say(
        &client,
        "POST /v1/completions HTTP/1.1\r\nHost: t\r\n" BEARER("ck_infer") "Content-Length: %zu\r\n\r\n%s",
        sizeof body - 1, body);
    AWAIT(
        strstr(ask_as(&server, BEARER("ck_metrics"), "GET", "/metrics", NULL)->body, "sequences_active 1\n"));
    write_keys(STEPS);
    for (int i = 2; i < 5; i++) {
        server_signal(&server, SIGHUP);
        await_log(&server, "API keys", i);
    }
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);
    client_close(&client);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 401);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(the_log_names_keys_and_never_shows_them)
{
    start_with(KEY_LINES);
    ck_assert_int_eq(status_as(BEARER("ck_infer"), "/v1/forecast", FORECAST), 200);
    ck_assert_int_eq(status_as(BEARER("ck_mistyped"), "/v1/forecast", FORECAST), 401);
    /* two connections, whose lines come in any order */
    await_log(&server, "\"key\":\"infer\"}", 1);
    await_log(&server, "\"key\":\"\"}", 1);
    ck_assert_ptr_null(strstr(server_log(&server), "ck_"));
    ck_assert_ptr_null(strstr(server_log(&server), "926411ae"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *keys_suite(void);

Suite *keys_suite(void)
{
    Suite *suite = suite_create("keys");
    TCase *cases = tcase_create("keys");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, without_a_file_nobody_needs_a_key);
    tcase_add_test(cases, each_scope_opens_its_routes_and_no_others);
    tcase_add_test(cases, health_needs_no_key);
    tcase_add_test(cases, what_is_no_known_key_is_a_401);
    tcase_add_test(cases, a_stranger_is_refused_before_his_body);
    tcase_add_test(cases, requests_a_minute_are_bounded_for_each_key);
    tcase_add_test(cases, steps_a_minute_are_charged_and_what_is_not_used_comes_back);
    tcase_add_test(cases, steps_of_a_session_that_find_no_quota_leave_the_answers_before_them);
    tcase_add_test(cases, priority_ends_at_the_ceiling);
    tcase_add_test(cases, sighup_rereads_the_keys_and_keeps_what_was_used);
    tcase_add_test(cases, polling_rereads_changed_keys_without_a_signal);
    tcase_add_test(cases, a_request_outlives_its_key);
    tcase_add_test(cases, the_log_names_keys_and_never_shows_them);
    suite_add_tcase(suite, cases);
    return suite;
}
