/* Models that come, change and go while the server runs: by SIGHUP, by polling and by the routes for it. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"

static struct server server;
static struct client client;
static struct reply reply;

/* A folder of this test's own, which the server serves. */
static char folder[128], folder_setting[700];

static const char *in_folder(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return scratch_path(path);
}

static void setup(void)
{
    /* numbers of processes come again */
    snprintf(folder, sizeof folder, "repository-%d-%.0f", (int)getpid(), now_ms());
    snprintf(folder_setting, sizeof folder_setting, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path(folder));
    file_write(in_folder("README"), "", 0);
}

static void put(const char *bundle, const char *name)
{
    char to[300];
    snprintf(to, sizeof to, "%s/%s", folder, name);
    bundle_copy(bundle, to);
}

/* A bundle comes whole, in one step, or goes so: names that begin with a dot are not looked at. */
static void move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(in_folder(from), in_folder(to)), 0);
}

/* Replace one text of NAME/FILE by another, by a new file that takes the old one's name. */
static void edit(const char *name, const char *file, const char *what, const char *with)
{
    char path[512], edited[600];
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", in_folder(name), file);
    snprintf(edited, sizeof edited, "%s/.edited", in_folder(name));
    char *text = file_read(path, &bytes), *at = strstr(text, what);
    ck_assert_ptr_nonnull(at);
    char *out = calloc(bytes + strlen(with) + 1, 1);
    size_t before = (size_t)(at - text), n = bytes - strlen(what) + strlen(with);
    memcpy(out, text, before);
    memcpy(out + before, with, strlen(with));
    memcpy(out + before + strlen(with), at + strlen(what), bytes - before - strlen(what));
    file_write(edited, out, n);
    ck_assert_int_eq(rename(edited, path), 0);
    free(out);
    free(text);
}

static bool is_ready(const char *name, const char *version, bool ready)
{
    char line[200];
    snprintf(line, sizeof line, "carousel_model_ready{model=\"%s\",version=\"%s\"}", name, version);
    return metric_becomes(&server, line, ready);
}

static const char *description(const char *id)
{
    char path[200];
    snprintf(path, sizeof path, "/v1/models/%s", id);
    struct reply *model = ask(&server, "GET", path, NULL);
    expect_ok(model);
    return text_at(model, "description");
}

START_TEST(sighup_rereads_the_folders)
{
    const char *const settings[] = {folder_setting, NULL};
    put("tiny-series", "same");
    put("tiny-series", "changes");
    put("tiny-labels", "goes");
    put("tiny-words", ".comes");
    server_start(&server, settings);
    edit("changes", "config.json", "\"description\": \"", "\"description\": \"Anew: ");
    move("goes", ".goes");
    move(".comes", "comes");
    ck_assert(!strstr(server_log(&server), "comes"));
    server_signal(&server, SIGHUP);
    ck_assert(is_ready("comes", "1", true));
    ck_assert(is_ready("goes", "1", false));
    ck_assert(is_ready("changes", "1", true));
    ck_assert_int_eq(strncmp(description("changes"), "Anew: ", 6), 0);
    ck_assert_int_ne(strncmp(description("same"), "Anew: ", 6), 0);
    expect_ok(post(&server, "/v1/completions", "{'model':'comes','prompt':'the','max_tokens':3}"));
    expect_error(post(&server, "/v1/classify", "{'model':'goes','input':'good'}"), 404, "model_not_found",
                 "model");
    await_log(&server, "model goes:1 is no longer served", 1);
    ck_assert_ptr_null(strstr(strstr(server_log(&server), "SIGHUP"), "model same:1"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_broken_change_leaves_what_was_served)
{
    const char *const settings[] = {folder_setting, NULL};
    put("tiny-series", "m");
    server_start(&server, settings);
    edit("m", "golden.json", "\"output\": [", "\"output\": [9");
    server_signal(&server, SIGHUP);
    await_log(&server, "model m: a bundle is refused, what was served before still is: golden.json: ", 1);
    expect_ok(post(&server, "/v1/forecast", "{'model':'m','series':[1,2],'horizon':1}"));
    ck_assert(is_ready("m", "1", true));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(sighup_without_the_folder_changes_nothing)
{
    char away[600];
    const char *const settings[] = {folder_setting, NULL};
    put("tiny-series", "m");
    server_start(&server, settings);
    snprintf(away, sizeof away, "%s-away", scratch_path(folder));
    ck_assert_int_eq(rename(scratch_path(folder), away), 0);
    server_signal(&server, SIGHUP);
    await_log(&server, "the models stay as they are: cannot open folder '", 1);
    expect_ok(post(&server, "/v1/forecast", "{'model':'m','series':[1,2],'horizon':1}"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A second file of the weights arrives by and by, as a copy over a network does. */
START_TEST(polling_waits_for_the_whole_of_a_bundle)
{
    size_t bytes;
    char path[600];
    const char *const settings[] = {folder_setting, "CAROUSEL_MODELS_POLL_S=1", NULL};
    put("tiny-series", "m");
    server_start(&server, settings);
    put("tiny-labels", ".whole");
    put("tiny-labels", ".part");
    snprintf(path, sizeof path, "%s", in_folder(".part/model.safetensors"));
    char *weights = file_read(path, &bytes);
    ck_assert_int_eq(truncate(path, (off_t)bytes / 2), 0);
    move(".part", "part");
    move(".whole", "whole");
    /* Two looks found the one that is whole; they have seen the other one too. */
    ck_assert(is_ready("whole", "1", true));
    ck_assert(is_ready("part", "1", false));
    ck_assert_ptr_null(strstr(server_log(&server), "part"));
    snprintf(path, sizeof path, "%s", in_folder("part/model.safetensors"));
    file_write(path, weights, bytes);
    ck_assert(is_ready("part", "1", true));
    move("whole", ".whole");
    ck_assert(is_ready("whole", "1", false));
    ck_assert(is_ready("m", "1", true));
    ck_assert_int_eq(server_stop(&server), 0);
    free(weights);
}
END_TEST

/* A reader who does not read holds a stream up for as long as one likes: its events are more than the
 * sockets' buffers take. Meanwhile its model is replaced by another one. */
START_TEST(a_stream_finishes_on_the_model_it_began_with)
{
    enum { TOKENS = 12000 };
    static const char body[] = "{'model':'m','prompt':'ab','max_tokens':12000,'seed':5,'logprobs':20,'stream'"
                               ":true,'stream_options':{'include_usage':true}}";
    const char *const settings[] = {folder_setting, "CAROUSEL_STREAM_CHUNK_MS=0",
                                    "CAROUSEL_LIMITS_UNREAD_TOKENS=16", "CAROUSEL_TIMEOUTS_WRITE_S=600",
                                    NULL};
    put("tiny-characters", "m");
    put("tiny-words", ".new");
    server_start(&server, settings);
    client_open(&client, &server);
    client_post(&client, "/v1/completions", body);
    ck_assert(client_fill(&client, 1000));
    ck_assert_double_eq(number_at(ask(&server, "GET", "/v1/models/m", NULL), "vocabulary_size"), 36);
    move("m", ".old");
    move(".new", "m");
    server_signal(&server, SIGHUP);
    AWAIT(strcmp(text_at(ask(&server, "GET", "/v1/models/m", NULL), "tokenizer"), "words") == 0);
    ck_assert(metric(&server, "carousel_sequences_active") == 1);
    expect_ok(post(&server, "/v1/completions", "{'model':'m','prompt':'the','max_tokens':3}"));
    ck_assert(client_read(&client, &reply));
    ck_assert_int_eq(reply.status, 200);
    ck_assert_ptr_nonnull(strstr(reply.body, "\"completion_tokens\":12000,"));
    ck_assert_ptr_nonnull(strstr(reply.body, "data: [DONE]"));
    client_close(&client);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(no_request_fails_while_models_are_swapped)
{
    const char *const settings[] = {folder_setting, NULL};
    char with[64];
    put("tiny-series", "m");
    server_start(&server, settings);
    for (int i = 0; i < 20; i++) {
        snprintf(with, sizeof with, "\"description\": \"%c", 'a' + i);
        edit("m", "config.json", "\"description\": \"", with);
        server_signal(&server, SIGHUP);
        for (int k = 0; k < 10; k++)
            expect_ok(post(&server, "/v1/forecast", "{'model':'m','series':[1,2],'horizon':2}"));
    }
    AWAIT(description("m")[0] == 't');
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* The lowest bit of the last weight, in a new file that takes the old one's name. */
static void flip(const char *name)
{
    char path[512], flipped[600];
    size_t bytes;
    snprintf(path, sizeof path, "%s/model.safetensors", in_folder(name));
    snprintf(flipped, sizeof flipped, "%s/.flipped", in_folder(name));
    char *weights = file_read(path, &bytes);
    weights[bytes - 4] ^= 1;
    file_write(flipped, weights, bytes);
    ck_assert_int_eq(rename(flipped, path), 0);
    free(weights);
}

static const char *sum_of(const char *id)
{
    char path[200];
    snprintf(path, sizeof path, "/v1/models/%s", id);
    return text_at(ask(&server, "GET", path, NULL), "sha256");
}

/* In int8, which hides it from the golden vectors: by polling, by SIGHUP and at the start. */
START_TEST(weights_of_another_sum_are_not_served)
{
    const char *const settings[] = {folder_setting, "CAROUSEL_MODELS_PRECISION=int8",
                                    "CAROUSEL_MODELS_POLL_S=1", NULL};
    char sum[65], named[128];
    put("tiny-series", "m");
    put("tiny-series", "without");
    server_start(&server, settings);
    snprintf(sum, sizeof sum, "%s", sum_of("m"));
    snprintf(named, sizeof named, "\"sha256\": \"%s\", \"task\"", sum);
    edit("m", "config.json", "\"task\"", named);
    flip("m");
    flip("without");
    AWAIT(strcmp(sum_of("without"), sum) != 0);
    await_log(
        &server,
        "model m: a bundle is refused, what was served before still is: model.safetensors: its sha256 is ",
        1);
    server_signal(&server, SIGHUP);
    await_log(
        &server,
        "model m: a bundle is refused, what was served before still is: model.safetensors: its sha256 is ",
        2);
    ck_assert_str_eq(sum_of("m"), sum);
    expect_ok(post(&server, "/v1/forecast", "{'model':'m','series':[1,2],'horizon':1}"));
    ck_assert_int_eq(server_stop(&server), 0);
    server_start(&server, settings);
    expect_ok(post(&server, "/v1/forecast", "{'model':'without','series':[1,2],'horizon':1}"));
    expect_error(post(&server, "/v1/forecast", "{'model':'m','series':[1,2],'horizon':1}"), 404,
                 "model_not_found", "model");
    flip("m"); /* back */
    ck_assert(is_ready("m", "1", true));
    ck_assert_str_eq(sum_of("m"), sum);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

static double resident_mib(void)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)server.pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return (double)kib / 1024;
}

/* Sanitizers keep what is freed, to find who uses it. */
static bool keeps_freed_memory(void)
{
    return patience_ms(1) > 1;
}

START_TEST(memory_returns_when_a_model_goes)
{
    const char *const settings[] = {folder_setting, "CAROUSEL_MODELS_PRECISION=float32",
                                    "CAROUSEL_MODELS_LOAD_PERCENT=100", NULL};
    char target[1024], cwd[512];
    put("tiny-series", "m");
    server_start(&server, settings);
    snprintf(target, sizeof target, "%s/%s/slow", getcwd(cwd, sizeof cwd), slow_folder());
    const char *slow = strstr(target, "//") ? strstr(target, "//") + 1 : target;
    ck_assert_int_eq(mkdir(in_folder("slow"), 0700), 0);
    static const char *const files[] = {"config.json", "model.safetensors", "golden.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[1100], to[64];
        snprintf(from, sizeof from, "%s/%s", slow, files[i]);
        snprintf(to, sizeof to, "slow/%s", files[i]);
        ck_assert_int_eq(link(from, in_folder(to)), 0);
    }
    double empty = 0, full = 0;
    for (int i = 0; i < 3; i++) {
        server_signal(&server, SIGHUP);
        ck_assert(is_ready("slow", "1", true));
        expect_ok(post(&server, "/v1/completions", "{'model':'slow','prompt':'ab','max_tokens':3}"));
        full = resident_mib();
        move("slow", ".slow");
        server_signal(&server, SIGHUP);
        ck_assert(is_ready("slow", "1", false));
        double end = now_ms() + patience_ms(AWAIT_MS), now; /* the last reference goes a little later */
        while (((now = resident_mib()) > full - 30 || (i > 0 && now > empty + 4)) && now_ms() < end &&
               !keeps_freed_memory())
            sleep_ms(10);
        if (i == 0) sleep_ms(200), now = empty = resident_mib();
        ck_assert_msg(keeps_freed_memory() || now < full - 30, "%.1f MiB with the model, %.1f without", full,
                      now);
        ck_assert_msg(keeps_freed_memory() || now < empty + 4,
                      "%.1f MiB after round %d, %.1f after the first", now, i, empty);
        move(".slow", "slow");
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * The routes */

/* With keys of every scope, and what else is wanted. */
static void start_with_keys(const char *more)
{
    const char *const settings[] = {folder_setting, keys_setting(), more, NULL};
    server_start(&server, settings);
}

static struct reply *admin(const char *path, const char *body)
{
    return ask_as(&server, BEARER("ck_admin"), "POST", path, body);
}

/* The state of a model in an index, "" where it is not there; *reason may be NULL. */
static const char *state_in(struct reply *index, const char *name, const char *version, const char **reason)
{
    cJSON *entry;
    expect_ok(index);
    cJSON_ArrayForEach(entry, reply_json(index)) {
        if (strcmp(json_at(entry, "name")->valuestring, name) ||
            strcmp(json_at(entry, "version")->valuestring, version))
            continue;
        if (reason) *reason = json_at(entry, "reason")->valuestring;
        return json_at(entry, "state")->valuestring;
    }
    return "";
}

/* The same in the index as it is now. */
static const char *state_of(const char *name, const char *version, const char **reason)
{
    return state_in(admin("/v2/repository/index", NULL), name, version, reason);
}

static void expect_plain(struct reply *answer, int status, const char *part)
{
    ck_assert_msg(answer->status == status, "%d: %s", answer->status, answer->body);
    ck_assert_msg(strstr(text_at(answer, "error"), part) != NULL, "%s", answer->body);
}

#define FORECAST(name) "{\"model\":\"" name "\",\"series\":[1,2],\"horizon\":1}"

static int forecasts(const char *body)
{
    return ask_as(&server, BEARER("ck_infer"), "POST", "/v1/forecast", body)->status;
}

START_TEST(administration_needs_an_admin_key)
{
    static const char *const paths[] = {"/v2/repository/index", "/v2/repository/models/m/load",
                                        "/v2/repository/models/m/unload", "/v1/models/m/reload"};
    const char *const settings[] = {folder_setting, NULL};
    put("tiny-series", "m");
    server_start(&server, settings);
    for (size_t i = 0; i < 3; i++) expect_plain(ask(&server, "POST", paths[i], "{}"), 403, "");
    expect_error(ask(&server, "POST", paths[3], "{}"), 403, "permission_denied", NULL);
    ck_assert_int_eq(server_stop(&server), 0);

    start_with_keys(NULL);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(ask(&server, "POST", paths[i], "{}")->status, 401);
        ck_assert_int_eq(ask_as(&server, BEARER("ck_infer"), "POST", paths[i], "{}")->status, 403);
        ck_assert_int_eq(ask_as(&server, BEARER("ck_metrics"), "POST", paths[i], "{}")->status, 403);
    }
    ck_assert_int_eq(forecasts(FORECAST("m")), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(models_are_loaded_and_unloaded_by_request)
{
    const char *reason;
    put("tiny-series", "m");
    start_with_keys(NULL);
    put("tiny-series", ".n");
    move(".n", "n");
    ck_assert_str_eq(state_of("m", "1", NULL), "READY");
    ck_assert_str_eq(state_of("n", "1", NULL), ""); /* nobody has looked */
    ck_assert_int_eq(forecasts(FORECAST("n")), 404);

    struct reply *loaded = admin("/v2/repository/models/n/load", "{}");
    ck_assert_str_eq(state_in(loaded, "n", "1", &reason), "READY");
    ck_assert_str_eq(reason, "");
    ck_assert_int_eq(length_at(loaded, ""), 1);
    ck_assert_int_eq(forecasts(FORECAST("n")), 200);

    ck_assert_str_eq(state_in(admin("/v2/repository/models/m/unload",
                                    "{\"parameters\":{\"unload_dependents\":false}}"),
                              "m", "1", &reason), "UNAVAILABLE");
    ck_assert_str_eq(reason, "unloaded by request");
    ck_assert_int_eq(forecasts(FORECAST("m")), 404);
    server_signal(&server, SIGHUP);
    await_log(&server, "SIGHUP", 1);
    /* after the SIGHUP */
    ck_assert_str_eq(state_in(admin("/v2/repository/models/n/load", NULL), "n", "1", NULL),
                     "READY");
    ck_assert_int_eq(forecasts(FORECAST("m")), 404); /* a SIGHUP does not bring it back */
    struct reply *index = admin("/v2/repository/index", "{\"ready\":true}");
    ck_assert_str_eq(state_in(index, "m", "1", NULL), "");
    ck_assert_str_eq(state_in(index, "n", "1", NULL), "READY");
    ck_assert_str_eq(state_in(admin("/v2/repository/models/m/load", NULL), "m", "1", NULL), "READY");
    ck_assert_int_eq(forecasts(FORECAST("m")), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_reload_answers_with_the_new_model_or_the_fault)
{
    const char *reason;
    put("tiny-series", "m");
    start_with_keys(NULL);
    edit("m", "config.json", "\"description\": \"", "\"description\": \"Anew: ");
    struct reply *anew = admin("/v1/models/m/reload", NULL);
    expect_ok(anew);
    ck_assert_str_eq(text_at(anew, "id"), "m");
    ck_assert_int_eq(strncmp(text_at(anew, "description"), "Anew: ", 6), 0);

    edit("m", "config.json", "context_length", "context_lenght");
    struct reply *refused = admin("/v1/models/m/reload", NULL);
    expect_error(refused, 422, "bundle_refused", NULL);
    ck_assert_ptr_nonnull(strstr(text_at(refused, "error.message"), "config.json: forecast: "));
    expect_plain(admin("/v2/repository/models/m/load", NULL), 422, "config.json: forecast: ");
    ck_assert_str_eq(state_of("m", "1", &reason), "READY");
    ck_assert_ptr_nonnull(strstr(reason, "context_lenght"));
    ck_assert_int_eq(forecasts(FORECAST("m")), 200);

    edit("m", "config.json", "context_lenght", "context_length");
    edit("m", "config.json", "\"task\"",
         "\"sha256\": \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"task\"");
    refused = admin("/v1/models/m/reload", NULL);
    expect_error(refused, 422, "bundle_refused", NULL);
    ck_assert_ptr_nonnull(strstr(text_at(refused, "error.message"),
                                 " expects 0123456789abcdef0123456789abcdef01"));
    ck_assert_ptr_nonnull(strstr(text_at(refused, "error.message"), ": the file is damaged, incomplete or "));
    edit("m", "config.json", "\"sha256\": \"01", "\"_sha256\": \"01");
    expect_ok(admin("/v1/models/m/reload", NULL));
    ck_assert_str_eq(state_of("m", "1", &reason), "READY");
    ck_assert_str_eq(reason, "");

    expect_error(admin("/v1/models/nobody/reload", NULL), 404, "model_not_found", NULL);
    expect_plain(admin("/v2/repository/models/nobody/load", NULL), 404, "there is no bundle 'nobody'");
    expect_plain(admin("/v2/repository/models/nobody/unload", NULL), 404, "there is no model 'nobody'");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(requests_that_mean_something_else_are_refused)
{
    char path[300];
    put("tiny-series", "m");
    start_with_keys(NULL);
    expect_plain(admin("/v2/repository/models/m/load", "{\"parameters\":{\"config\":\"{}\"}}"), 501,
                 "parameter 'config'");
    expect_plain(admin("/v2/repository/models/m/load", "{\"parameters\":7}"), 400,
                 "'parameters' is not an object");
    expect_plain(admin("/v2/repository/models/m/load", "[]"), 400, "not a JSON object");
    expect_plain(admin("/v2/repository/models/m/load", "{"), 400, "");
    expect_plain(admin("/v2/repository/index", "{\"ready\":1}"), 400, "'ready'");
    expect_plain(ask_as(&server, BEARER("ck_admin"), "GET", "/v2/repository/index", NULL), 405, "POST");
    snprintf(path, sizeof path, "/v2/repository/models/%0150d/load", 1);
    expect_plain(admin(path, NULL), 404, "there is no bundle");
    expect_plain(admin("/v2/repository/models/m", NULL), 404, "there is no route");
    expect_plain(admin("/v2/repository/models//load", NULL), 404, "there is no route");
    expect_plain(admin("/v2/repository/models/m/n/load", NULL), 404, "there is no route");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(versions_are_pinned_or_the_latest)
{
    put("tiny-series", "m/1");
    put("tiny-series", "m/2");
    edit("m/2", "config.json", "\"description\": \"", "\"description\": \"Two: ");
    start_with_keys("CAROUSEL_MODELS_VERSIONS=all");
    ck_assert_int_eq(forecasts(FORECAST("m:1")), 200);
    ck_assert_int_eq(forecasts(FORECAST("m:2")), 200);
    ck_assert_int_eq(forecasts(FORECAST("m:latest")), 200);
    struct reply *model = ask_as(&server, BEARER("ck_infer"), "GET", "/v1/models/m", NULL);
    ck_assert_str_eq(text_at(model, "version"), "2");
    struct reply *models = ask_as(&server, BEARER("ck_infer"), "GET", "/v1/models", NULL);
    ck_assert_int_eq(length_at(models, "data"), 2);
    ck_assert_str_eq(text_at(models, "data.0.id"), "m:1");
    ck_assert_str_eq(text_at(models, "data.1.id"), "m");
    put("tiny-series", "m/.10");
    move("m/.10", "m/10");
    expect_ok(admin("/v1/models/m:10/reload", NULL));
    ck_assert_str_eq(text_at(ask_as(&server, BEARER("ck_infer"), "GET", "/v1/models/m", NULL), "version"),
                     "10");
    ck_assert_int_eq(forecasts(FORECAST("m:2")), 200);
    ck_assert_int_eq(server_stop(&server), 0);

    start_with_keys("CAROUSEL_MODELS_VERSIONS=latest");
    struct reply *index = admin("/v2/repository/index", NULL);
    ck_assert_str_eq(state_in(index, "m", "10", NULL), "READY");
    ck_assert_str_eq(state_in(index, "m", "2", NULL), "UNAVAILABLE");
    ck_assert_int_eq(forecasts(FORECAST("m:2")), 404);
    ck_assert_int_eq(forecasts(FORECAST("m:10")), 200);
    expect_plain(admin("/v2/repository/models/m:2/load", NULL), 422,
                 "models.versions keeps the latest alone");
    move("m/10", "m/.10");
    ck_assert_str_eq(state_in(admin("/v2/repository/models/m/load", NULL), "m", "2", NULL), "READY");
    ck_assert_int_eq(forecasts(FORECAST("m:2")), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* What leaves while its load waits or runs is not answered, and the load is done. */
START_TEST(who_asks_for_a_load_may_leave)
{
    put("tiny-series", "m");
    start_with_keys("CAROUSEL_MODELS_QUEUE=100");
    put("tiny-series", ".n");
    move(".n", "n");
    for (int i = 0; i < 10; i++) {
        client_open(&client, &server);
        client_say(&client,
                   "POST /v2/repository/models/%s/load HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n%s\r\n",
                   i == 9 ? "n" : "m", BEARER("ck_admin"));
        if (i % 2) client_abort(&client);
        else client_close(&client);
    }
    double end = now_ms() + patience_ms(10000);
    while (strcmp(state_of("n", "1", NULL), "READY") && now_ms() < end) {
        expect_ok(admin("/v2/repository/models/m/load", NULL));
        admin("/v2/repository/models/n/load", NULL);
    }
    ck_assert_int_eq(forecasts(FORECAST("n")), 200);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *repository_suite(void);

Suite *repository_suite(void)
{
    Suite *suite = suite_create("repository");
    TCase *moves = tcase_create("moves");
    tcase_add_checked_fixture(moves, setup, NULL);
    tcase_set_timeout(moves, TEST_TIMEOUT_S);
    tcase_add_test(moves, sighup_rereads_the_folders);
    tcase_add_test(moves, a_broken_change_leaves_what_was_served);
    tcase_add_test(moves, sighup_without_the_folder_changes_nothing);
    tcase_add_test(moves, polling_waits_for_the_whole_of_a_bundle);
    tcase_add_test(moves, weights_of_another_sum_are_not_served);
    tcase_add_test(moves, a_stream_finishes_on_the_model_it_began_with);
    tcase_add_test(moves, no_request_fails_while_models_are_swapped);
    tcase_add_test(moves, memory_returns_when_a_model_goes);
    suite_add_tcase(suite, moves);

    TCase *routes = tcase_create("routes");
    tcase_add_checked_fixture(routes, setup, NULL);
    tcase_set_timeout(routes, TEST_TIMEOUT_S);
    tcase_add_test(routes, administration_needs_an_admin_key);
    tcase_add_test(routes, models_are_loaded_and_unloaded_by_request);
    tcase_add_test(routes, a_reload_answers_with_the_new_model_or_the_fault);
    tcase_add_test(routes, requests_that_mean_something_else_are_refused);
    tcase_add_test(routes, versions_are_pinned_or_the_latest);
    tcase_add_test(routes, who_asks_for_a_load_may_leave);
    suite_add_tcase(suite, routes);
    return suite;
}
