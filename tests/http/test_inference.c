/* The Open Inference Protocol: tensors in JSON and in bytes, sequences, texts, errors and statistics. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct client client;
static struct reply answer;

static void setup(void)
{
    server_start(&server, NULL);
}

static void teardown(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

static void expect_refused(struct reply *reply, int status, const char *part)
{
    ck_assert_msg(reply->status == status, "%d %s", reply->status, reply->body);
    ck_assert_msg(strstr(text_at(reply, "error"), part) != NULL, "%s", reply->body);
}

START_TEST(metadata_say_what_there_is)
{
    struct reply *reply = ask(&server, "GET", "/v2", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "name"), "carousel");
    ck_assert_str_eq(ask(&server, "GET", "/v2/health/live", NULL)->body, "{\"live\":true}");
    ck_assert_str_eq(ask(&server, "GET", "/v2/health/ready", NULL)->body, "{\"ready\":true}");
    reply = ask(&server, "GET", "/v2/models/tiny-gestures/versions/1", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "versions.0"), "1");
    ck_assert_str_eq(text_at(reply, "inputs.0.name"), "features");
    ck_assert_int_eq((int)number_at(reply, "inputs.0.shape.2"), 3);
    ck_assert_str_eq(text_at(ask(&server, "GET", "/v2/models/tiny-labels", NULL), "inputs.0.datatype"),
                     "BYTES");
    ck_assert_str_eq(text_at(ask(&server, "GET", "/v2/models/tiny-series/config", NULL), "input.0.data_type"),
                     "TYPE_FP64");
    expect_ok(ask(&server, "GET", "/v2/models/tiny-series/ready", NULL));
    expect_refused(ask(&server, "GET", "/v2/models/nobody/ready", NULL), 404, "is not served");
    expect_refused(ask(&server, "GET", "/v2/models/tiny-series/versions/9", NULL), 404, "is not served");
    expect_refused(ask(&server, "POST", "/v2/models/tiny-series", "{}"), 405, "is not a method");
}
END_TEST

/* The same numbers as on the /v1 route. */
START_TEST(tensors_say_what_the_route_says)
{
    struct reply *reply = post(&server, "/v1/classify",
                               "{'model':'tiny-gestures','input':[[1,0,-2],[0,1,-1]],'top_k':1}");
    char label[64];
    snprintf(label, sizeof label, "%s", text_at(reply, "results.0.0.label"));
    double score = number_at(reply, "results.0.0.score");
    reply = post(&server, "/v2/models/tiny-gestures/infer",
                 "{'id':'x','inputs':[{'name':'features','datatype':'FP32','shape':[1,2,3],"
                 "'data':[[[1,0,-2],[0,1,-1]]]}]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "id"), "x");
    ck_assert_str_eq(text_at(reply, "outputs.1.data.0"), label);
    double best = 0;
    for (int i = 0; i < length_at(reply, "outputs.0.data"); i++) {
        char path[32];
        snprintf(path, sizeof path, "outputs.0.data.%d", i);
        if (number_at(reply, path) > best) best = number_at(reply, path);
    }
    ck_assert_double_eq(best, score);
    reply = post(&server, "/v1/forecast",
                 "{'series':[1,2,4],'horizon':3,'quantiles':[0.5],'num_samples':9,'seed':1}");
    double mean = number_at(reply, "forecasts.0.mean.2");
    reply = post(&server, "/v2/models/tiny-series/infer",
                 "{'inputs':[{'name':'series','datatype':'INT32','shape':[3],'data':[1,2,4]}],"
                 "'parameters':{'horizon':3,'quantiles':'0.5','num_samples':9,'seed':1}}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "outputs.0.data.2"), mean);
    ck_assert_int_eq(length_at(reply, "outputs.1.data"), 3);
    reply = post(&server, "/v2/models/tiny-labels/infer",
                 "{'inputs':[{'name':'text','datatype':'BYTES','shape':[2],'data':['good','bad']}],"
                 "'outputs':[{'name':'label'}]}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "outputs"), 1);
    ck_assert_int_eq(length_at(reply, "outputs.0.data"), 2);
}
END_TEST

/* POST a body of JSON and bytes, and read the answer. */
static void post_bytes(const char *path, const char *json, const void *bytes, size_t n)
{
    char head[512];
    client_open(&client, &server);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
             "Inference-Header-Content-Length: %zu\r\nContent-Length: %zu\r\n\r\n",
             path, strlen(json), strlen(json) + n);
    ck_assert(client_send(&client, head, strlen(head)) && client_send(&client, json, strlen(json)));
    ck_assert(client_send(&client, bytes, n));
    ck_assert(client_read(&client, &answer));
    client_close(&client);
}

START_TEST(tensors_travel_as_bytes)
{
    static const float features[] = {1, 0, -2, 0, 1, -1};
    struct reply *reply = post(&server, "/v2/models/tiny-gestures/infer",
                               "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,2,3],"
                               "'data':[1,0,-2,0,1,-1]}]}");
    double first = number_at(reply, "outputs.0.data.0");
    post_bytes("/v2/models/tiny-gestures/infer",
               "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"parameters\":"
               "{\"binary_data_size\":24}}],\"parameters\":{\"binary_data_output\":true}}",
               features, sizeof features);
    ck_assert_msg(answer.status == 200, "%s", answer.body);
    size_t n_json = (size_t)atoi(reply_header(&answer, "Inference-Header-Content-Length"));
    ck_assert_str_eq(reply_header(&answer, "Content-Type"), "application/octet-stream");
    ck_assert_uint_gt(n_json, 0);
    ck_assert_uint_lt(n_json, answer.body_bytes);
    float score;
    memcpy(&score, answer.body + n_json, sizeof score);
    ck_assert_double_eq((double)score, (double)(float)first);
    static const char text[] = "\x04\0\0\0good\x03\0\0\0" "bad";
    post_bytes("/v2/models/tiny-labels/infer",
               "{\"inputs\":[{\"name\":\"text\",\"datatype\":\"BYTES\",\"shape\":[2],\"parameters\":"
               "{\"binary_data_size\":15}}]}",
               text, sizeof text - 1);
    expect_ok(&answer);
    ck_assert_int_eq(length_at(&answer, "outputs.1.data"), 2);
    post_bytes("/v2/models/tiny-labels/infer",
               "{\"inputs\":[{\"name\":\"text\",\"datatype\":\"BYTES\",\"shape\":[2],\"parameters\":"
               "{\"binary_data_size\":14}}]}",
               text, sizeof text - 1);
    expect_refused(&answer, 400, "each after its length");
    post_bytes("/v2/models/tiny-gestures/infer",
               "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"parameters\":"
               "{\"binary_data_size\":28}}]}",
               features, sizeof features);
    expect_refused(&answer, 400, "more than follows");
}
END_TEST

/* Tensors of all datatypes that hold the same numbers give the same answer. */
START_TEST(every_datatype_is_read)
{
    static const struct { const char *name; size_t bytes; unsigned char data[24]; } rows[] = {
        {"INT8", 1, {1, 0, 2}}, {"UINT8", 1, {1, 0, 2}}, {"INT16", 2, {1, 0, 0, 0, 2, 0}},
        {"UINT16", 2, {1, 0, 0, 0, 2, 0}}, {"INT32", 4, {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}},
        {"UINT32", 4, {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}}, {"INT64", 8, {[0] = 1, [16] = 2}},
        {"UINT64", 8, {[0] = 1, [16] = 2}}, {"FP16", 2, {0, 0x3c, 0, 0, 0, 0x40}},
        {"BF16", 2, {0x80, 0x3f, 0, 0, 0, 0x40}}, {"FP32", 4, {[2] = 0x80, 0x3f, [11] = 0x40}},
        {"FP64", 8, {[6] = 0xf0, 0x3f, [23] = 0x40}}};
    struct reply *reply = post(&server, "/v2/models/tiny-gestures/infer",
                               "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],"
                               "'data':[1,0,2]}]}");
    double first = number_at(reply, "outputs.0.data.0");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"%s\",\"shape\":[1,1,3],\"parameters\":"
                 "{\"binary_data_size\":%zu}}]}", rows[i].name, 3 * rows[i].bytes);
        post_bytes("/v2/models/tiny-gestures/infer", json, rows[i].data, 3 * rows[i].bytes);
        ck_assert_msg(answer.status == 200, "%s: %s", rows[i].name, answer.body);
        ck_assert_double_eq(number_at(&answer, "outputs.0.data.0"), first);
    }
}
END_TEST

START_TEST(a_sequence_is_a_session)
{
    struct reply *reply = post(&server, "/v2/models/tiny-gestures/infer",
                               "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,2,3],"
                               "'data':[1,0,-2,0,1,-1]}]}");
    double whole = number_at(reply, "outputs.0.data.0");
    expect_refused(post(&server, "/v2/models/tiny-gestures/infer",
                        "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[1,0,-2]}],"
                        "'parameters':{'sequence_id':7}}"), 404, "nothing is kept");
    reply = post(&server, "/v2/models/tiny-gestures/infer",
                 "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[1,0,-2]}],"
                 "'parameters':{'sequence_id':7,'sequence_start':true}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "parameters.sequence_id"), "7");
    expect_ok(ask(&server, "GET", "/v1/sessions/tiny-gestures:7", NULL));
    reply = post(&server, "/v2/models/tiny-gestures/infer",
                 "{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[0,1,-1]}],"
                 "'parameters':{'sequence_id':'7','sequence_end':true}}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "outputs.0.data.0"), whole);
    ck_assert_int_eq((int)metric(&server, "carousel_sessions_active"), 0);
    expect_refused(post(&server, "/v2/models/tiny-labels/infer",
                        "{'inputs':[{'name':'text','datatype':'BYTES','shape':[1],'data':['a']}],"
                        "'parameters':{'sequence_id':1,'sequence_start':true}}"), 422, "takes no sequences");
}
END_TEST

START_TEST(texts_are_generated)
{
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'abc','max_tokens':60,'seed':5}");
    char whole[512], parts[512] = "";
    snprintf(whole, sizeof whole, "%s", text_at(reply, "choices.0.text"));
    reply = post(&server, "/v2/models/tiny-characters/generate",
                 "{'text_input':'abc','max_tokens':60,'parameters':{'seed':5}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "text_output"), whole);
    ck_assert_str_eq(text_at(reply, "model_name"), "tiny-characters");
    reply = post(&server, "/v2/models/tiny-characters/infer",
                 "{'inputs':[{'name':'text_input','datatype':'BYTES','shape':[1],'data':['abc']}],"
                 "'parameters':{'max_tokens':60,'seed':5}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "outputs.0.data.0"), whole);
    reply = post(&server, "/v2/models/tiny-characters/versions/1/generate_stream",
                 "{'text_input':'abc','max_tokens':60,'seed':5}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/event-stream");
    for (char *event = strtok(reply->body, "\n"); event; event = strtok(NULL, "\n")) {
        if (strncmp(event, "data: ", 6)) continue;
        cJSON *json = cJSON_Parse(event + 6);
        ck_assert_ptr_nonnull(json);
        strcat(parts, cJSON_GetObjectItem(json, "text_output")->valuestring);
        cJSON_Delete(json);
    }
    ck_assert_str_eq(parts, whole);
    expect_refused(post(&server, "/v2/models/tiny-series/generate", "{'text_input':'a'}"), 422, "cannot");
    expect_refused(post(&server, "/v2/models/tiny-characters/generate",
                        "{'text_input':'a','max_tokens':-1}"), 400,
                   "max_tokens");
    expect_refused(post(&server, "/v2/models/tiny-characters/generate",
                        "{'text_input':'a','parameters':[null]}"), 400, "'parameters' is an array");
    expect_refused(post(&server, "/v2/models/tiny-characters/generate",
                        "{'text_input':'a','parameters':{'stop':[1]}}"), 400, "stop");
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    static const struct { const char *body, *part; } rows[] = {
        {"{}", "'inputs' is missing"}, {"{'inputs':[]}", "an array of one tensor"},
        {"{'inputs':[{'name':'x','datatype':'FP32','shape':[3],'data':[1,2,3]}]}",
         "takes the input 'features'"},
        {"{'inputs':[{'name':'features','datatype':'FP99','shape':[3],'data':[1,2,3]}]}",
         "'datatype' is none"},
        {"{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[1,2]}]}",
         "as many numbers"},
        {"{'inputs':[{'name':'features','datatype':'FP32','shape':[0],'data':[]}]}", "at least 1"},
        {"{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,2],'data':[1,2]}]}",
         "expected the shape"},
        {"{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[1,2,3]}],"
         "'outputs':[{'name':'x'}]}",
         "gives the outputs"},
        {"{'inputs':[{'name':'features','datatype':'FP32','shape':[1,1,3],'data':[1,2,3]}],"
         "'parameters':{'topk':1}}",
         "did you mean 'top_k'?"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_refused(post(&server, "/v2/models/tiny-gestures/infer", rows[i].body), 400, rows[i].part);
    expect_refused(ask(&server, "POST", "/v2/models/tiny-gestures/infer", "{"), 400, "JSON");
    expect_refused(post(&server, "/v2/models/tiny-characters/infer",
                        "{'inputs':[{'name':'text_input','datatype':'BYTES','shape':[1],'data':['a']}],"
                        "'parameters':{'max_tokens':2,'stream':true}}"), 400, "generate_stream");
}
END_TEST

/* A session of the header may have a name that is shorter than the model's: it is not cut as a sequence's. */
START_TEST(a_session_of_the_header_is_no_sequence)
{
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'a'}")->status, 201);
    struct reply *reply = ask_as(&server, "X-Session-Id: a\r\n", "POST", "/v2/models/tiny-characters/infer",
                                 "{\"inputs\":[{\"name\":\"text_input\",\"datatype\":\"BYTES\",\"shape\":[1],"
                                 "\"data\":[\"abc\"]}],\"parameters\":{\"max_tokens\":2}}");
    expect_ok(reply);
    ck_assert_ptr_null(reply_at(reply, "parameters"));
    ck_assert_str_eq(reply_header(reply, "X-Session-Id"), "a");
    ck_assert_double_eq(number_at(ask(&server, "GET", "/v1/sessions/a", NULL), "step"), 1);
}
END_TEST

START_TEST(entities_are_no_tensors)
{
    const char *const settings[] = {"CAROUSEL_MODELS_BUNDLES=tags=tests/http/predict/tags", NULL};
    struct server tags;
    server_start(&tags, settings);
    expect_refused(post(&tags, "/v2/models/tags/infer",
                        "{'inputs':[{'name':'text','datatype':'BYTES','shape':[1],'data':['play jazz']}]}"),
                   422, "no form as tensors");
    ck_assert_int_eq(server_stop(&tags), 0);
}
END_TEST

START_TEST(statistics_count)
{
    for (int i = 0; i < 3; i++)
        expect_ok(post(&server, "/v2/models/tiny-series/infer",
                       "{'inputs':[{'name':'series','datatype':'FP64','shape':[3],'data':[1,2,3]}]}"));
    struct reply *reply = ask(&server, "GET", "/v2/models/tiny-series/stats", NULL);
    expect_ok(reply);
    ck_assert_int_eq((int)number_at(reply, "model_stats.0.inference_count"), 3);
    ck_assert_double_gt(number_at(reply, "model_stats.0.inference_stats.success.ns"), 0);
    ck_assert_int_eq((int)number_at(reply, "model_stats.0.batch_stats.0.batch_size"), 1);
    ck_assert_int_eq(length_at(ask(&server, "GET", "/v2/models/stats", NULL), "model_stats"), 6);
}
END_TEST

Suite *inference_suite(void);

Suite *inference_suite(void)
{
    Suite *suite = suite_create("inference");
    TCase *cases = tcase_create("inference");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, metadata_say_what_there_is);
    tcase_add_test(cases, tensors_say_what_the_route_says);
    tcase_add_test(cases, tensors_travel_as_bytes);
    tcase_add_test(cases, every_datatype_is_read);
    tcase_add_test(cases, a_sequence_is_a_session);
    tcase_add_test(cases, texts_are_generated);
    tcase_add_test(cases, what_is_wrong_is_said);
    tcase_add_test(cases, a_session_of_the_header_is_no_sequence);
    tcase_add_test(cases, entities_are_no_tensors);
    tcase_add_test(cases, statistics_count);
    suite_add_tcase(suite, cases);
    return suite;
}
