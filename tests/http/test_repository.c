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
    snprintf(folder, sizeof folder, "repository-%d", (int)getpid());
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

/* Wait until the log says so. */
static bool says(const char *text)
{
    double end = now_ms() + patience_ms(10000);
    while (!strstr(server_log(&server), text) && now_ms() < end) sleep_ms(10);
    return strstr(server_log(&server), text) != NULL;
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
    expect_error(post(&server, "/v1/classify", "{'model':'goes','input':'good'}"), 404, "model_not_found", "model");
    ck_assert(says("model goes:1 is no longer served"));
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
    ck_assert(says("model m: a bundle is refused, what was served before still is: golden.json: "));
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
    ck_assert(says("the models stay as they are: cannot open folder '"));
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

/* A reader who does not read holds a stream up for as long as one likes: its events are more than the sockets' buffers
 * take. Meanwhile its model is replaced by another one. */
START_TEST(a_stream_finishes_on_the_model_it_began_with)
{
    enum { TOKENS = 12000 };
    static const char body[] = "{'model':'m','prompt':'ab','max_tokens':12000,'seed':5,'logprobs':20,'stream':true,"
                               "'stream_options':{'include_usage':true}}";
    const char *const settings[] = {folder_setting, "CAROUSEL_STREAM_CHUNK_MS=0", "CAROUSEL_LIMITS_UNREAD_TOKENS=16",
                                    "CAROUSEL_TIMEOUTS_WRITE_S=600", NULL};
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
    double end = now_ms() + patience_ms(10000);
    while (strcmp(text_at(ask(&server, "GET", "/v1/models/m", NULL), "tokenizer"), "words") && now_ms() < end) sleep_ms(10);
    ck_assert_str_eq(text_at(ask(&server, "GET", "/v1/models/m", NULL), "tokenizer"), "words");
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
    double end = now_ms() + patience_ms(10000);
    while (description("m")[0] != 't' && now_ms() < end) sleep_ms(10);
    ck_assert_int_eq(description("m")[0], 't');
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
    const char *const settings[] = {folder_setting, "CAROUSEL_MODELS_PRECISION=float32", NULL};
    char target[1024], cwd[512];
    put("tiny-series", "m");
    server_start(&server, settings);
    snprintf(target, sizeof target, "%s/%s/slow", getcwd(cwd, sizeof cwd), slow_folder());
    const char *slow = strstr(target, "//") ? strstr(target, "//") + 1 : target;
    ck_assert_int_eq(symlink(slow, in_folder("slow")), 0);
    double empty = 0, full = 0;
    for (int i = 0; i < 3; i++) {
        server_signal(&server, SIGHUP);
        ck_assert(is_ready("slow", "1", true));
        expect_ok(post(&server, "/v1/completions", "{'model':'slow','prompt':'ab','max_tokens':3}"));
        full = resident_mib();
        move("slow", ".slow");
        server_signal(&server, SIGHUP);
        ck_assert(is_ready("slow", "1", false));
        double end = now_ms() + 5000, now; /* the last reference goes a little later */
        while (((now = resident_mib()) > full - 30 || (i > 0 && now > empty + 4)) && now_ms() < end && !keeps_freed_memory())
            sleep_ms(10);
        if (i == 0) sleep_ms(200), empty = resident_mib();
        ck_assert_msg(keeps_freed_memory() || now < full - 30, "%.1f MiB with the model, %.1f without", full, now);
        ck_assert_msg(keeps_freed_memory() || now < empty + 4, "%.1f MiB after round %d, %.1f after the first", now, i, empty);
        move(".slow", "slow");
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *repository_suite(void);

Suite *repository_suite(void)
{
    Suite *suite = suite_create("repository");
    TCase *moves = tcase_create("moves");
    tcase_add_checked_fixture(moves, setup, NULL);
    tcase_set_timeout(moves, 60);
    tcase_add_test(moves, sighup_rereads_the_folders);
    tcase_add_test(moves, a_broken_change_leaves_what_was_served);
    tcase_add_test(moves, sighup_without_the_folder_changes_nothing);
    tcase_add_test(moves, polling_waits_for_the_whole_of_a_bundle);
    tcase_add_test(moves, a_stream_finishes_on_the_model_it_began_with);
    tcase_add_test(moves, no_request_fails_while_models_are_swapped);
    tcase_add_test(moves, memory_returns_when_a_model_goes);
    suite_add_tcase(suite, moves);
    return suite;
}
