/* Starting with good and broken bundles, and stopping with work in flight. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct reply reply;

/* Stopping ---------------------------------------------------------------------------------- */

START_TEST(sigterm_lets_work_in_flight_finish)
{
    enum { N = 4 };
    const char *const settings[] = {slow_setting(), NULL};
    static struct client clients[N], idle;
    server_start(&server, settings);
    client_open(&idle, &server);
    for (int i = 0; i < N; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/completions",
                    i % 2 ? "{'model':'slow','prompt':'a','max_tokens':600,'stream':true}"
                          : "{'model':'slow','prompt':'a','max_tokens':600}");
    }
    ck_assert(metric_becomes(&server, "carousel_sequences_active", N));
    server_signal(&server, SIGTERM);
    /* Readiness says so while it drains, and new work is refused. */
    AWAIT(ask(&server, "GET", "/readyz", NULL)->status == 503);
    expect_ok(ask(&server, "GET", "/v1/models", NULL));
    ck_assert_int_eq(ask(&server, "GET", "/livez", NULL)->status, 200);
    struct reply *refused = post(&server, "/v1/forecast", "{'series':[1,2],'horizon':1}");
    expect_error(refused, 503, "draining", NULL);
    expect_retry_after(refused, 60);
    for (int i = 0; i < N; i++) {
        ck_assert(client_read(&clients[i], &reply));
        ck_assert_msg(reply.status == 200, "%d: %s", reply.status, reply.body);
        ck_assert(reply.complete);
        if (i % 2)
            ck_assert_ptr_nonnull(strstr(reply.body, "data: [DONE]\n\n"));
        else
            ck_assert_uint_eq(strlen(text_at(&reply, "choices.0.text")), 600);
        client_close(&clients[i]);
    }
    ck_assert_int_eq(server_wait(&server), 0);
    client_close(&idle);
}
END_TEST

/* Balancers ask for readiness only now and then. */
START_TEST(new_work_is_served_until_the_drain_begins)
{
    const char *const settings[] = {"CAROUSEL_SERVER_DRAIN_DELAY_S=3600", NULL};
    static struct client idle;
    server_start(&server, settings);
    client_open(&idle, &server);
    server_signal(&server, SIGTERM);
    AWAIT(ask(&server, "GET", "/readyz", NULL)->status == 503);
    expect_error(ask(&server, "GET", "/readyz", NULL), 503, "draining", NULL);
    ck_assert_int_eq(ask(&server, "GET", "/livez", NULL)->status, 200);
    client_post(&idle, "/v1/forecast", "{'series':[1,2],'horizon':1}");
    ck_assert(client_read(&idle, &reply));
    expect_ok(&reply);
    ck_assert_str_eq(reply_header(&reply, "Connection"), "close"); /* the next request goes elsewhere */
    client_close(&idle);
    server_signal(&server, SIGTERM);
    server.may_fail = true;
    ck_assert_int_eq(server_wait(&server), 1);
}
END_TEST

START_TEST(the_delay_of_a_drain_ends)
{
    const char *const settings[] = {"CAROUSEL_SERVER_DRAIN_DELAY_S=1", NULL};
    server_start(&server, settings);
    double began = now_ms();
    ck_assert_int_eq(server_stop(&server), 0);
    ck_assert_double_ge(now_ms() - began, 900);
}
END_TEST

START_TEST(a_drain_takes_no_longer_than_it_may)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SERVER_DRAIN_TIMEOUT_S=1", NULL};
    static struct client whole, stream;
    server_start(&server, settings);
    client_open(&whole, &server);
    client_post(&whole, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
    client_open(&stream, &server);
    client_post(&stream, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000,'stream':true}");
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 2));
    double began = now_ms();
    server_signal(&server, SIGTERM);
    ck_assert(client_read(&whole, &reply));
    expect_error(&reply, 503, "draining", NULL);
    ck_assert(client_read(&stream, &reply));
    ck_assert_ptr_null(strstr(reply.body, "[DONE]"));
    ck_assert_int_eq(server_wait(&server), 0);
    ck_assert_double_ge(now_ms() - began, 900);
    ck_assert_double_lt(now_ms() - began, patience_ms(20000));
    client_close(&whole);
    client_close(&stream);
}
END_TEST

START_TEST(a_second_sigterm_ends_it_now)
{
    const char *const settings[] = {slow_setting(), NULL};
    static struct client client;
    server_start(&server, settings);
    client_occupy(&client, &server);
    server_signal(&server, SIGTERM);
    await_log(&server, "draining", 1);
    server_signal(&server, SIGTERM);
    server.may_fail = true; /* it was told to break off */
    ck_assert_int_eq(server_wait(&server), 1);
    client_close(&client);
}
END_TEST

START_TEST(sigint_ends_an_idle_server)
{
    static struct client client;
    server_start(&server, NULL);
    client_open(&client, &server); /* an idle connection must not hold it up */
    client_post(&client, "/v1/forecast", "{'series':[1,2],'horizon':1}");
    ck_assert(client_read(&client, &reply));
    double began = now_ms();
    server_signal(&server, SIGINT);
    ck_assert_int_eq(server_wait(&server), 0);
    ck_assert_double_lt(now_ms() - began, patience_ms(15000));
    client_close(&client);
}
END_TEST

START_TEST(a_stop_in_the_middle_of_everything_is_clean)
{
    enum { N = 60 };
    static struct client clients[N];
    server_start(&server, NULL);
    for (int i = 0; i < N; i++) {
        client_open(&clients[i], &server);
        switch (i % 4) {
        case 0: client_say(&clients[i], "POST /v1/forecast HTTP/1.1\r\nHos"); break;
        case 1:
            client_say(&clients[i], "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: "
                                    "application/json\r\nContent-Length: 100\r\n\r\n{\"ser");
            break;
        case 2:
            client_post(&clients[i], "/v1/completions",
                        "{'model':'tiny-characters','prompt':'a','max_tokens':2000,'stream':true}");
            break;
        case 3:
            client_post(&clients[i], "/v1/forecast", "{'series':[1,2],'horizon':200,'num_samples':100}");
            break;
        }
    }
    server_signal(&server, SIGTERM);
    for (int i = 2; i < N; i += 4) /* streams are read to their end, or the drain would wait for us */
        client_read(&clients[i], &reply);
    for (int i = 0; i < N; i++)
        if (i % 4 < 2)
            client_close(&clients[i]);
    ck_assert_int_eq(server_wait(&server), 0);
    for (int i = 0; i < N; i++)
        if (i % 4 >= 2)
            client_close(&clients[i]);
}
END_TEST

/* Starting ---------------------------------------------------------------------------------- */

/* A copy of tiny-series under broken/NAME, ready to be broken. */
static const char *copy_bundle(const char *name)
{
    static char as[128];
    snprintf(as, sizeof as, "broken/%s", name);
    bundle_copy("tiny-series", as);
    return as;
}

/* In broken/NAME/FILE replace one text by another of any length. */
static void spoil(const char *name, const char *file, const char *what, const char *with)
{
    char path[512];
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", scratch_path(copy_bundle(name)), file);
    char *text = file_read(path, &bytes);
    char *at = NULL;
    for (size_t i = 0; at == NULL && i + strlen(what) <= bytes; i++)
        if (memcmp(text + i, what, strlen(what)) == 0)
            at = text + i;
    ck_assert_msg(at != NULL, "%s has no %s", path, what);
    size_t before = (size_t)(at - text), after = bytes - before - strlen(what);
    char *spoiled = malloc(bytes + strlen(with));
    ck_assert_ptr_nonnull(spoiled);
    memcpy(spoiled, text, before);
    memcpy(spoiled + before, with, strlen(with));
    memcpy(spoiled + before + strlen(with), at + strlen(what), after);
    file_write(path, spoiled, before + strlen(with) + after);
    free(spoiled);
    free(text);
}

/* Change the last bytes of the weights, or cut them off. */
static void spoil_weights(const char *name, const char *end, size_t n, size_t cut)
{
    char path[512];
    size_t bytes;
    snprintf(path, sizeof path, "%s/model.safetensors", scratch_path(copy_bundle(name)));
    char *text = file_read(path, &bytes);
    memcpy(text + bytes - n, end, n);
    file_write(path, text, bytes - cut);
    free(text);
}

START_TEST(broken_bundles_are_named_and_the_others_served)
{
    static const char *const broken[] = {"truncated", "nan",    "infinite", "shape",    "missing",
                                         "offsets",   "syntax", "task",     "misspelt", "golden",
                                         "empty",     "header", "deep",     "tokens",   "surplus"};
    char setting[600], deep[2000];
    spoil_weights("truncated", "", 0, 8);
    spoil_weights("nan", "\0\0\xc0\x7f", 4, 0);
    spoil_weights("infinite", "\0\0\x80\xff", 4, 0);
    spoil("shape", "model.safetensors", "[2,8]", "[8,2]");
    spoil("missing", "model.safetensors", "head.bias", "head.bins");
    spoil("offsets", "model.safetensors", "\"data_offsets\":[0,", "\"data_offsets\":[4,");
    spoil("syntax", "config.json", "}", "");
    spoil("task", "config.json", "forecasting", "fortune-telling");
    spoil("misspelt", "config.json", "\"context_length\"", "\"context_lenght\"");
    spoil("golden", "golden.json", "\"output\": [-0.05", "\"output\": [-0.06");
    spoil("tokens", "golden.json", "\"features\": [[0.4", "\"features\": [[0.5");
    spoil("surplus", "config.json", "\"in_features\": 8", "\"in_features\": 9");
    file_write(scratch_path("broken/empty/config.json"), "", 0);
    copy_bundle("header");
    file_write(scratch_path("broken/header/model.safetensors"), "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    memset(deep, '[', sizeof deep);
    copy_bundle("deep");
    file_write(scratch_path("broken/deep/config.json"), deep, sizeof deep);

    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s:%s", scratch_path("broken"), BUNDLES);
    const char *const settings[] = {setting, NULL};
    server_start(&server, settings);
    struct reply *models = ask(&server, "GET", "/v1/models", NULL);
    expect_ok(models);
    ck_assert_msg(length_at(models, "data") == 6, "served: %s", models->body);
    const char *log = server_log(&server);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        ck_assert_msg(strstr(log, broken[i]) != NULL, "nothing is said of '%s':\n%s", broken[i], log);
    expect_ok(post(&server, "/v1/forecast", "{'model':'tiny-series','series':[1,2],'horizon':1}"));
    expect_error(post(&server, "/v1/forecast", "{'model':'nan','series':[1,2],'horizon':1}"), 404,
                 "model_not_found", "model");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(versions_of_a_model_stand_side_by_side)
{
    char setting[600];
    bundle_copy("tiny-series", "versions/twins/1");
    bundle_copy("tiny-labels", "versions/twins/12");
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path("versions"));
    const char *const settings[] = {setting, NULL};
    server_start(&server, settings);
    expect_ok(post(&server, "/v1/classify", "{'model':'twins','input':'good'}"));
    expect_ok(post(&server, "/v1/classify", "{'model':'twins:12','input':'good'}"));
    expect_ok(post(&server, "/v1/forecast", "{'model':'twins:1','series':[1,2],'horizon':1}"));
    expect_error(post(&server, "/v1/forecast", "{'model':'twins:2','series':[1,2],'horizon':1}"), 404,
                 "model_not_found", "model");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_server_may_have_no_models)
{
    char setting[600];
    file_write(scratch_path("nothing/README"), "", 0);
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path("nothing"));
    const char *const settings[] = {setting, NULL};
    server_start(&server, settings);
    struct reply *models = ask(&server, "GET", "/v1/models", NULL);
    ck_assert_int_eq(length_at(models, "data"), 0);
    expect_error(post(&server, "/v1/forecast", "{'series':[1,2],'horizon':1}"), 404, "model_not_found",
                 "model");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(every_precision_and_kernel_set_serves)
{
    static const char *const choices[] = {
        "CAROUSEL_MODELS_PRECISION=float16", "CAROUSEL_MODELS_PRECISION=int8,tiny-characters=float16",
        "CAROUSEL_SCHEDULER_KERNELS=portable", "CAROUSEL_SCHEDULER_KERNELS=openblas"};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const char *const settings[] = {choices[i], NULL};
        server_start(&server, settings);
        expect_ok(post(&server, "/v1/completions",
                       "{'model':'tiny-characters','prompt':'ab','max_tokens':9}"));
        expect_ok(post(&server, "/v1/forecast", "{'series':[1,2],'horizon':3}"));
        expect_ok(post(&server, "/v1/classify", "{'model':'tiny-labels','input':'good'}"));
        ck_assert_int_eq(server_stop(&server), 0);
    }
}
END_TEST

START_TEST(single_models_may_have_a_precision_of_their_own)
{
    const char *const settings[] = {"CAROUSEL_MODELS_PRECISION=float16,tiny-labels=int8,tiny-lebals=int8",
                                    NULL};
    server_start(&server, settings);
    struct reply *model = ask(&server, "GET", "/v1/models/tiny-labels", NULL);
    ck_assert_str_eq(text_at(model, "precision"), "int8");
    ck_assert(cJSON_IsNull(reply_at(model, "recommended_precision")));
    ck_assert_str_eq(text_at(ask(&server, "GET", "/v1/models/tiny-series", NULL), "precision"), "float16");
    ck_assert_ptr_nonnull(strstr(server_log(&server),
                                 "models.precision names model 'tiny-lebals', which is not served"));
    ck_assert_ptr_null(strstr(server_log(&server), "'tiny-labels', which"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *lifecycle_suite(void);

Suite *lifecycle_suite(void)
{
    Suite *suite = suite_create("lifecycle");
    TCase *stopping = tcase_create("stopping");
    tcase_set_timeout(stopping, TEST_TIMEOUT_S);
    tcase_add_test(stopping, sigterm_lets_work_in_flight_finish);
    tcase_add_test(stopping, new_work_is_served_until_the_drain_begins);
    tcase_add_test(stopping, the_delay_of_a_drain_ends);
    tcase_add_test(stopping, a_drain_takes_no_longer_than_it_may);
    tcase_add_test(stopping, a_second_sigterm_ends_it_now);
    tcase_add_test(stopping, sigint_ends_an_idle_server);
    tcase_add_test(stopping, a_stop_in_the_middle_of_everything_is_clean);
    suite_add_tcase(suite, stopping);

    TCase *starting = tcase_create("starting");
    tcase_set_timeout(starting, TEST_TIMEOUT_S);
    tcase_add_test(starting, broken_bundles_are_named_and_the_others_served);
    tcase_add_test(starting, versions_of_a_model_stand_side_by_side);
    tcase_add_test(starting, a_server_may_have_no_models);
    tcase_add_test(starting, single_models_may_have_a_precision_of_their_own);
    tcase_add_test(starting, every_precision_and_kernel_set_serves);
    suite_add_tcase(suite, starting);
    return suite;
}
