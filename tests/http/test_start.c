/* The load at the start: what a server answers meanwhile, and how it is interrupted. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

static struct server server;

/* Minutes, and nearly as much as golden vectors may cost: a test that waits for its end fails. */
enum { MANY_CASES = 64, MANY_STEPS = 1700 };

static void start_endless(const char *setting)
{
    const char *const settings[] = {slow_start_setting(MANY_CASES, MANY_STEPS), setting, NULL};
    server_start_loading(&server, settings);
}

/* The small bundles have come, zz-slow is being proved. */
static void await_small(const char *key)
{
    AWAIT(length_at(ask_as(&server, key, "GET", "/v1/models", NULL), "data") == 6);
}

/* What it was told ends it at once, and not after the load. */
static void expect_stop(int code)
{
    double began = now_ms();
    ck_assert_int_eq(server_wait(&server), code);
    ck_assert_double_lt(now_ms() - began, patience_ms(15000));
}

static const struct {
    const char *method, *path;
} routes[] = {
#define X(symbol, method, path, handler, scopes) {#method, path},
#include "server/request/routes.def"
};
enum { N = sizeof routes / sizeof *routes };

/* With `id` for what is open in it. */
static const char *path_of(const char *route, const char *id)
{
    static char path[128];
    const char *hole = strstr(route, "{id}");
    if (hole == NULL)
        return route;
    const char *rest = hole + strlen("{id}"), *version = strstr(rest, "{version}");
    snprintf(path, sizeof path, "%.*s%s%.*s%s%s", (int)(hole - route), route, id,
             version ? (int)(version - rest) : 0, rest, version ? "1" : "",
             version ? version + strlen("{version}") : rest);
    return path;
}

/* These refuse the body {} before they ask for a model. */
static bool refuses_empty(const char *path)
{
    return !strcmp(path, "/v1/audio/transcriptions") || !strcmp(path, "/translate");
}

static void expect_loading(const char *method, const char *path)
{
    struct reply *reply = ask_as(&server, BEARER("ck_all"), method, path,
                                 strcmp(method, "POST") ? NULL : "{}");
    ck_assert_msg(reply->status == 503, "%s %s: %d %s", method, path, reply->status, reply->body);
    expect_retry_after(reply, 60);
    if (strncmp(path, "/v2/", 4) == 0)
        ck_assert_msg(strstr(text_at(reply, "error"), "starting") || strstr(text_at(reply, "error"),
                                                                            "loaded"),
                      "%s", reply->body);
    else
        expect_error(reply, 503, "loading", "");
}

/* What administers models is refused, and what names no model, which could mean another one a moment later.
 * What needs no model is answered. */
START_TEST(every_route_answers_while_models_load)
{
    int n_refused = 0;
    start_endless(keys_setting());
    await_small(BEARER("ck_all"));
    for (int i = 0; i < N; i++) {
        bool probe = strcmp(routes[i].path, "/readyz") == 0 || strcmp(routes[i].path, "/health") == 0 ||
                     strcmp(routes[i].path, "/v2/health/ready") == 0 || strcmp(routes[i].path, "/ping") == 0;
        bool keeps = strncmp(routes[i].path, "/v1/sessions/", 13) == 0; /* perhaps of a model that comes */
        bool names_model = strncmp(routes[i].path, "/v2/models/{id}/", 16) == 0; /* one that is served */
        if (names_model && strcmp(routes[i].method, "POST") == 0)
            ck_assert_int_eq(ask_as(&server, BEARER("ck_all"), "POST", path_of(routes[i].path, "tiny-series"),
                                    "{}")->status, 400);
        else if (refuses_empty(routes[i].path)) continue;
        else if (probe || keeps || strcmp(routes[i].method, "POST") == 0) {
            expect_loading(routes[i].method, path_of(routes[i].path, "tiny-series"));
            n_refused += !probe;
        } else {
            const char *path = path_of(routes[i].path, "tiny-series");
            struct reply *reply = ask_as(&server, BEARER("ck_all"), routes[i].method, path, NULL);
            bool absent = strncmp(path, "/playground/", 12) == 0;
            bool upgrades = strcmp(path, "/v1/stream") == 0;
            ck_assert_msg(reply->status == (absent ? 404 : upgrades ? 426 : 200), "%s: %d %s", path,
                          reply->status, reply->body);
        }
    }
    expect_loading("GET", "/v1/models/zz-slow");
    ck_assert_str_eq(text_at(ask(&server, "GET", "/livez", NULL), "status"), "loading");
    struct reply *metrics = ask_as(&server, BEARER("ck_all"), "GET", "/metrics", NULL);
    char line[80];
    snprintf(line, sizeof line, "\ncarousel_rejected_total{reason=\"loading\"} %d\n", n_refused + 1);
    ck_assert_msg(strstr(metrics->body, line) != NULL, "no %s", line);
    ck_assert_ptr_nonnull(strstr(metrics->body,
                                 "\ncarousel_model_ready{model=\"tiny-series\",version=\"1\"} 1\n"));
    ck_assert_ptr_null(strstr(metrics->body, "zz-slow"));
    server_signal(&server, SIGTERM);
    expect_stop(0);
}
END_TEST

/* A model serves as soon as it has been loaded, whatever the others do. */
START_TEST(a_model_that_has_come_is_served_while_others_load)
{
    start_endless("CAROUSEL_MODELS_REQUIRED=tiny-series, tiny-words");
    await_small("");
    expect_ok(post(&server, "/v1/forecast", "{'model':'tiny-series','series':[1,2,3],'horizon':2}"));
    expect_error(post(&server, "/v1/completions", "{'model':'zz-slow','prompt':'a'}"), 503, "loading", "");
    expect_ok(ask(&server, "GET", "/readyz", NULL));
    server_signal(&server, SIGTERM);
    expect_stop(0);
}
END_TEST

/* What GET /readyz says with a setting of models.required, of two bundles of which one is broken. */
static const struct {
    const char *required, *sentence; /* NULL: it is ready */
} readiness[] = {
    {"", NULL},
    {"good", NULL},
    {"good,bad", "model 'bad' is not served: config.json: line 1: not JSON"},
    {"good, absent", "model 'absent' is not served: there is no such bundle"},
    {"all", "model 'bad' is not served: config.json: line 1: not JSON"},
};

START_TEST(readiness_waits_for_what_is_required)
{
    char folder[600], required[100];
    bundle_copy("tiny-series", "required/good");
    bundle_copy("tiny-series", "required/bad");
    file_write(scratch_path("required/bad/config.json"), "?", 1);
    snprintf(folder, sizeof folder, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path("required"));
    snprintf(required, sizeof required, "CAROUSEL_MODELS_REQUIRED=%s", readiness[_i].required);
    const char *const settings[] = {folder, required, NULL};
    server_start(&server, settings);
    struct reply *reply = ask(&server, "GET", "/readyz", NULL);
    if (readiness[_i].sentence) {
        expect_error(reply, 503, "not_ready", "");
        ck_assert_msg(strstr(reply->body, readiness[_i].sentence) != NULL, "%s", reply->body);
    } else expect_ok(reply);
    expect_ok(post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':2}"));
    ck_assert_ptr_nonnull(strstr(server_log(&server), "loading good ("));
    ck_assert_ptr_nonnull(strstr(server_log(&server), " of 2), "));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A rollout of nothing but broken bundles, or of an empty folder, does not turn green. */
START_TEST(a_server_that_serves_nothing_is_not_ready)
{
    static const char *const sentences[] = {"no model is served",
                                            "holds model.safetensors but no config.json"};
    char folder[600], name[64];
    snprintf(name, sizeof name, "nothing-%d", _i);
    snprintf(folder, sizeof folder, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path(name));
    const char *const settings[] = {folder, NULL};
    snprintf(name, sizeof name, "nothing-%d/%s", _i, _i ? "m/model.safetensors" : "README");
    file_write(scratch_path(name), "x", 1);
    server_start(&server, settings);
    struct reply *reply = ask(&server, "GET", "/readyz", NULL);
    expect_error(reply, 503, "not_ready", "");
    ck_assert_msg(strstr(reply->body, sentences[_i]) != NULL, "%s", reply->body);
    ck_assert_ptr_nonnull(strstr(server_log(&server), sentences[_i]));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_stop_interrupts_the_load)
{
    static struct client idle;
    start_endless(NULL);
    if (_i == 1) {
        await_small("");
        client_open(&idle, &server);
    }
    server_signal(&server, _i ? SIGINT : SIGTERM);
    expect_stop(0);
    if (_i == 1)
        client_close(&idle);
}
END_TEST

/* Both lie there when it goes on. */
START_TEST(a_second_stop_ends_it_now)
{
    start_endless(NULL);
    server_signal(&server, SIGSTOP);
    server_signal(&server, SIGTERM);
    server_signal(&server, SIGINT);
    server_signal(&server, SIGCONT);
    server.may_fail = true; /* it was told to break off */
    expect_stop(1);
}
END_TEST

START_TEST(who_says_reload_too_early_is_heard_later)
{
    const char *const settings[] = {slow_start_setting(1, 100), NULL};
    server_start_loading(&server, settings);
    server_signal(&server, SIGHUP);
    server_await_ready(&server);
    await_log(&server, "SIGHUP: rereading", 1);
    expect_ok(ask(&server, "GET", "/readyz", NULL));
    expect_ok(post(&server, "/v1/completions", "{'model':'zz-slow','prompt':'a','max_tokens':1}"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* An address that cannot be had is told before the load, not after it. */
START_TEST(a_taken_address_is_told_at_once)
{
    char socket[600];
    file_write(scratch_path("start-taken"), "", 0);
    snprintf(socket, sizeof socket, "CAROUSEL_SERVER_UNIX_SOCKET=%s", scratch_path("start-taken"));
    const char *const settings[] = {slow_start_setting(MANY_CASES, MANY_STEPS), socket, NULL};
    server_launch(&server, settings);
    server.may_fail = true;
    await_log(&server, "start-taken", 1);
    ck_assert_ptr_null(strstr(server_log(&server), "loading the models"));
    expect_stop(1);
}
END_TEST

/* Its socket is there while it looks for the folder, and gone when it has ended. */
START_TEST(a_start_that_fails_closes_what_it_opened)
{
    char socket[600], folder[600];
    const char *path = scratch_path("start.socket");
    snprintf(socket, sizeof socket, "CAROUSEL_SERVER_UNIX_SOCKET=%s", path);
    snprintf(folder, sizeof folder, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path("start/nowhere"));
    const char *const settings[] = {socket, folder, NULL};
    server_launch(&server, settings);
    server.may_fail = true;
    await_log(&server, "name a folder of bundles by --models DIR", 1);
    ck_assert_int_eq(server_wait(&server), 1);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

Suite *start_suite(void);

Suite *start_suite(void)
{
    Suite *suite = suite_create("start");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, every_route_answers_while_models_load);
    tcase_add_test(core, a_model_that_has_come_is_served_while_others_load);
    tcase_add_loop_test(core, readiness_waits_for_what_is_required, 0, sizeof readiness / sizeof *readiness);
    tcase_add_loop_test(core, a_server_that_serves_nothing_is_not_ready, 0, 2);
    tcase_add_loop_test(core, a_stop_interrupts_the_load, 0, 2);
    tcase_add_test(core, a_second_stop_ends_it_now);
    tcase_add_test(core, who_says_reload_too_early_is_heard_later);
    tcase_add_test(core, a_taken_address_is_told_at_once);
    tcase_add_test(core, a_start_that_fails_closes_what_it_opened);
    suite_add_tcase(suite, core);
    return suite;
}
