/* The form of an error follows from the path, whatever went wrong: the Open Inference Protocol's under /v2,
 * ours elsewhere. A path that belongs to another server is answered with the one to use. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    char keys[512];
    snprintf(keys, sizeof keys, "%s", keys_setting());
    const char *const settings[] = {keys, "CAROUSEL_TIMEOUTS_BODY_S=1", "CAROUSEL_LIMITS_BODY_BYTES=4096",
                                    "CAROUSEL_HTTP_CORS_ORIGINS=https://example.org", NULL};
    server_start(&server, settings);
}

static void stop(void)
{
    if (server_stop(&server) != 0) abort(); /* check does not count failures of an unchecked teardown */
}

#define ADMIN BEARER("ck_admin")
#define JSON(n) "Content-Type: application/json\r\nContent-Length: " #n "\r\n"

/* Whole requests, without what every one has: the version, the Host and the empty line. */
static const struct {
    const char *line, *headers, *body;
    int status;
} requests[] = {
    {"GET /v2", "", "", 401},
    {"GET /v2/", "", "", 404},
    {"GET /v2?verbose=1", "", "", 401},
    {"GET /v2/health", "", "", 404},
    {"POST /v2/models/tiny-series/infer", JSON(2), "{}", 401},
    {"GET /v2/repository/index", "", "", 405},
    {"DELETE /v2/repository/models/m/load", "", "", 405},
    {"POST /v2/repository/index", JSON(2), "{}", 401},
    {"POST /v2/repository/index", JSON(0), "", 401},
    {"POST /v2/repository/index", BEARER("ck_infer") JSON(2), "{}", 403},
    {"OPTIONS /v2/repository/index",
     "Origin: https://example.com\r\nAccess-Control-Request-Method: POST\r\n", "", 403},
    {"POST /v2/repository/index", ADMIN "Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}", 415},
    {"POST /v2/repository/index", ADMIN JSON(2) "Content-Encoding: br\r\n", "{}", 415},
    {"POST /v2/repository/index", ADMIN JSON(1000000), "", 413},
    {"POST /v2/repository/index", ADMIN JSON(2) "Content-Length: 2\r\n", "{}", 400},
    {"POST /v2/repository/index", ADMIN JSON(1), "{", 400},
    {"POST /v2/repository/index", ADMIN JSON(11), "{\"ready\":1}", 400},
    {"POST /v2/repository/index", ADMIN JSON(2), "", 408},
    {"POST /v2/repository/models/nobody/unload", ADMIN JSON(2), "{}", 404},
    {"POST /v2/repository/models/m/load", ADMIN JSON(27), "{\"parameters\":{\"config\":0}}", 501},
};

START_TEST(under_v2_an_error_is_a_text)
{
    static struct reply reply;
    struct client client = {0};
    client_open(&client, &server);
    client_say(&client, "%s HTTP/1.1\r\nHost: t\r\n%s\r\n%s", requests[_i].line, requests[_i].headers,
               requests[_i].body);
    ck_assert(client_read(&client, &reply));
    ck_assert_msg(reply.status == requests[_i].status, "%s: %d %s", requests[_i].line, reply.status,
                  reply.body);
    ck_assert_str_eq(reply_header(&reply, "Content-Type"), "application/json");
    ck_assert_uint_gt(strlen(text_at(&reply, "error")), 0);
    ck_assert_int_eq(cJSON_GetArraySize(reply_json(&reply)), 1);
    client_close(&client);
}
END_TEST

static const struct {
    const char *path, *says;
} lost[] = {
    {"/v1/responses", "there is no route /v1/responses: these models complete texts"},
    {"/v1/responses", "LangChain: OpenAI instead of ChatOpenAI"},
    {"/chat/completions", "send 'prompt' to /v1/completions"},
    {"/v1/responses", "send 'prompt' to /v1/completions"},
    {"/api/generate", "send 'prompt' to /v1/completions"},
    {"/api/embeddings", "/v1/embeddings"},
    {"/completions", "did you mean /v1/completions?"},
    {"/models/tiny-series", "did you mean /v1/models/tiny-series?"},
    {"/v1/v1/completions", "did you mean /v1/completions?"},
    {"/v1/completions/", "did you mean /v1/completions?"},
    {"/v1/v1/embeddings//", "did you mean /v1/embeddings?"},
    {"/v21", "there is no route /v21"},
    {"/v1/nothing", "there is no route /v1/nothing"},
};

START_TEST(a_path_of_another_server_is_answered_with_the_one_to_use)
{
    struct reply *reply = post(&server, lost[_i].path, "{'messages':[]}");
    expect_error(reply, 404, "not_found", "");
    ck_assert_msg(strstr(text_at(reply, "error.message"), lost[_i].says) != NULL, "%s", reply->body);
}
END_TEST

START_TEST(a_path_that_nothing_is_near_gets_no_advice)
{
    static const char *const paths[] = {"/v1/nothing", "/v1/", "/v1/v1/v1/completions"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct reply *reply = ask(&server, "GET", paths[i], NULL);
        ck_assert_int_eq(reply->status, 404);
        ck_assert_msg(!strstr(reply->body, "did you mean"), "%s", reply->body);
    }
}
END_TEST

Suite *errors_suite(void);

Suite *errors_suite(void)
{
    Suite *suite = suite_create("errors");
    TCase *cases = tcase_create("forms");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_loop_test(cases, under_v2_an_error_is_a_text, 0, (int)(sizeof requests / sizeof *requests));
    tcase_add_loop_test(cases, a_path_of_another_server_is_answered_with_the_one_to_use, 0,
                        (int)(sizeof lost / sizeof *lost));
    tcase_add_test(cases, a_path_that_nothing_is_near_gets_no_advice);
    suite_add_tcase(suite, cases);
    return suite;
}
