/* POST /v1/explain: what its answers hold, in JSON and as safetensors, and that its limits hold. The numbers
 * themselves are compared with PyTorch's by test_golden.c. */
#include <check.h>
#include <poll.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

Suite *explain_suite(void);

static struct server server;

static void start(void)
{
    static const char *const settings[] = {"CAROUSEL_LIMITS_EXPLAIN_VALUES=4096",
                                           "CAROUSEL_LIMITS_EXPLAIN_QUEUE=1",
                                           NULL};
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* A unit's row of a member of the first cell. */
static double cell_at(struct reply *reply, const char *member, int unit, int t)
{
    char path[64];
    snprintf(path, sizeof path, "cells.0.%s.%d.%d", member, unit, t);
    return number_at(reply, path);
}

START_TEST(a_text_is_explained)
{
    struct reply *reply = post(&server, "/v1/explain",
                               "{'model':'tiny-characters','input':'abab','units':3,'target':{'token':'b'}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "explanation");
    int T = (int)number_at(reply, "n_steps");
    ck_assert_int_ge(T, 4);
    ck_assert_int_eq(length_at(reply, "steps"), T);
    ck_assert_int_eq(length_at(reply, "gradients"), T);
    ck_assert_str_eq(text_at(reply, "target.token"), "b");
    ck_assert_double_lt(number_at(reply, "target.logprob"), 0);
    ck_assert_int_eq(length_at(reply, "cells.0.units"), 3);
    for (int u = 0; u < 3; u++)
        for (int t = 0; t < T; t++) {
            double old = t ? cell_at(reply, "c", u, t - 1) : 0, c = cell_at(reply, "c", u, t);
            double made = cell_at(reply, "f", u, t) * old + cell_at(reply, "i", u, t) * cell_at(reply, "g",
                                                                                                u, t);
            ck_assert_double_le(fabs(made - c), 1e-5);
            ck_assert_double_le(fabs(cell_at(reply, "o", u, t) * tanh(c) - cell_at(reply, "h", u, t)), 1e-5);
        }
}
END_TEST

/* The log-probability of the target is the one that scoring gives. */
START_TEST(the_target_is_what_is_served)
{
    double scored = number_at(post(&server, "/v1/completions",
                                   "{'model':'tiny-characters','prompt':'ab','max_tokens':1,'temperature':0,"
                                   "'logprobs':1}"), "choices.0.logprobs.token_logprobs.0");
    struct reply *reply = post(&server, "/v1/explain",
                               "{'model':'tiny-characters','input':'ab','what':['gradients']}");
    ck_assert_double_le(fabs(number_at(reply, "target.logprob") - scored), 1e-4);
    ck_assert_ptr_null(reply_at(reply, "cells"));
    double score = number_at(post(&server, "/v1/classify",
                                  "{'model':'tiny-labels','input':'good','top_k':1}"),
                             "results.0.0.score");
    reply = post(&server, "/v1/explain", "{'model':'tiny-labels','input':'good'}");
    ck_assert_double_le(fabs(number_at(reply, "target.score") - score), 1e-4);
}
END_TEST

START_TEST(numbers_and_series_are_explained)
{
    struct reply *reply = post(&server, "/v1/explain",
                               "{'model':'tiny-gestures','input':[[1,2,3],[4,5,6]],'layer':0}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "gradients"), 2);
    ck_assert_int_eq(length_at(reply, "gradients.0"), 3);
    reply = post(&server, "/v1/explain", "{'model':'tiny-series','input':[1,null,3,4],'what':['gates']}");
    expect_ok(reply);
    ck_assert_ptr_null(reply_at(reply, "gradients"));
    ck_assert_ptr_null(reply_at(reply, "cells.0.c"));
    ck_assert_int_eq(length_at(reply, "cells.0.f.0"), 4);
}
END_TEST

/* Models that label or predict each step: the target may be any step, and an intent is judged apart. */
START_TEST(steps_of_predictions_are_explained)
{
    struct server tags;
    const char *const settings[] = {"CAROUSEL_MODELS_BUNDLES=tags=tests/http/predict/tags"
                                    ":sensor=tests/http/predict/sensor",
                                    NULL};
    server_start(&tags, settings);
    struct reply *reply = post(&tags, "/v1/predict",
                               "{'model':'tags','input':'play jazz in rome','return':'all'}");
    expect_ok(reply);
    char label[64];
    snprintf(label, sizeof label, "%s", text_at(reply, "results.0.labels.1.label"));
    double score = number_at(reply, "results.0.labels.1.score");
    reply = post(&tags, "/v1/explain", "{'model':'tags','input':'play jazz in rome','target':{'step':1}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "target.label"), label);
    ck_assert_double_le(fabs(number_at(reply, "target.score") - score), 1e-3);
    reply = post(&tags, "/v1/explain",
                 "{'model':'sensor','input':[[10,-2],[11,-1]],'target':{'output':2,'step':0}}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "gradients.0"), 2);
    ck_assert_double_eq(number_at(reply, "gradients.1.0"), 0); /* the past owes nothing to what comes */
    ck_assert_int_eq(server_stop(&tags), 0);
}
END_TEST

/* A gru has gates of its own, and h is all that it remembers; an rnn has no gates at all. */
START_TEST(a_gru_and_an_rnn_are_explained)
{
    struct server gates;
    const char *const settings[] = {"CAROUSEL_MODELS_BUNDLES=gates=tests/http/predict/gates", NULL};
    server_start(&gates, settings);
    struct reply *reply = post(&gates, "/v1/explain",
                               "{'model':'gates','input':[[1,2],[0,1],[-2,1]],'layer':0}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "layers"), 2);
    ck_assert_int_eq(length_at(reply, "cells.0.half_life"), 6);
    ck_assert_ptr_null(reply_at(reply, "cells.0.c"));
    ck_assert_ptr_null(reply_at(reply, "cells.0.f"));
    for (int u = 0; u < 6; u++)
        for (int t = 0; t < 3; t++) {
            double old = t ? cell_at(reply, "h", u, t - 1) : 0, r = cell_at(reply, "r", u, t);
            double z = cell_at(reply, "z", u, t), n = cell_at(reply, "n", u, t);
            ck_assert_double_le(fabs((1 - z) * n + z * old - cell_at(reply, "h", u, t)), 1e-5);
            ck_assert(r > 0 && r < 1);
        }
    reply = post(&gates, "/v1/explain", "{'model':'gates','input':[[1,2],[0,1]],'follow':[0,1],'units':2}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "layer"), 1);
    ck_assert_int_eq(length_at(reply, "cells.0.h.0"), 2);
    ck_assert_int_eq(length_at(reply, "cells.0.correlation"), 2);
    ck_assert_ptr_null(reply_at(reply, "cells.0.half_life"));
    ck_assert_ptr_null(reply_at(reply, "cells.0.z"));
    ck_assert_double_ne(number_at(reply, "gradients.0.0"), 0);
    reply = post(&gates, "/v1/explain",
                 "{'model':'gates','input':[[1,2]],'layer':0,'units':[1],'format':'safetensors'}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_ptr_nonnull(strstr(reply->body + 8, "forward.z"));
    ck_assert_ptr_null(strstr(reply->body + 8, "forward.c\""));
    ck_assert_int_eq(server_stop(&gates), 0);
}
END_TEST

/* Models of every other task, whose inputs have forms of their own. */
START_TEST(every_task_is_explained)
{
    struct server tasks;
    const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles:tests/http/answering",
                                    "CAROUSEL_LIMITS_EXPLAIN_VALUES=65536", NULL};
    server_start(&tasks, settings);
    struct reply *reply = post(&tasks, "/v1/explain", "{'model':'tiny-music','input':'72 67 .'}");
    expect_ok(reply);
    ck_assert_double_lt(number_at(reply, "target.logprob"), 0);
    ck_assert_int_eq(length_at(reply, "gradients"), (int)number_at(reply, "n_steps"));
    reply = post(&tasks, "/v1/explain",
                 "{'model':'tiny-drawing','input':{'prompt':'b','pixels':[[0,0,1,0]]},'what':['gradients']}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "target.output"), 0);
    ck_assert_int_eq(length_at(reply, "gradients"), 4);
    reply = post(&tasks, "/v1/explain",
                 "{'model':'places','input':{'question':'where is ann?','context':'ann went to the garden.'},"
                 "'target':{'label':'garden'}}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "target.label"), "garden");
    double score = number_at(reply, "target.score");
    reply = post(&tasks, "/v1/answer", "{'model':'places','question':'where is ann?',"
                                       "'context':'ann went to the garden.','top_k':3}");
    expect_ok(reply);
    bool found = false;
    for (int i = 0; i < 3; i++) {
        char path[48];
        snprintf(path, sizeof path, "answers.%d.score", i);
        found = found || fabs(number_at(reply, path) - score) < 1e-4;
    }
    ck_assert(found);
    ck_assert_int_eq(server_stop(&tasks), 0);
}
END_TEST

/* A letter is explained at its spike: the step at which its score is highest. The blank has none, unless a
 * client asks for it. */
START_TEST(a_letter_is_explained_at_its_spike)
{
    static const char *const ink = "'model':'tiny-ink','input':[[[0,0],[30,45],[33,2]],[[50,50]],[[10,22],"
                                   "[60,20],[64,-14],[70,-3.5]]],'what':['gradients']";
    struct server pens;
    const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles", NULL};
    server_start(&pens, settings);
    struct reply *reply = postf(&pens, "/v1/explain", "{%s}", ink);
    expect_ok(reply);
    ck_assert_str_ne(text_at(reply, "target.label"), "<blank>");
    int T = (int)number_at(reply, "n_steps");
    ck_assert_int_eq(length_at(reply, "origin"), T + 1);
    ck_assert_double_eq(number_at(reply, "origin.0"), 0);
    reply = postf(&pens, "/v1/explain", "{%s,'target':{'label':'y'}}", ink);
    expect_ok(reply);
    double spike = number_at(reply, "target.score"), highest = 0;
    for (int t = 0; t < T; t++) {
        reply = postf(&pens, "/v1/explain", "{%s,'target':{'label':'y','step':%d}}", ink, t);
        expect_ok(reply);
        highest = fmax(highest, number_at(reply, "target.score"));
    }
    ck_assert_double_eq(highest, spike);
    expect_error(post(&pens, "/v1/explain", "{'model':'tiny-ink','input':'x'}"), 400, "invalid_value",
                 "input");
    ck_assert_int_eq(server_stop(&pens), 0);
}
END_TEST

/* Of an encoder and a decoder: the gradient by the encoder's input is what a small change of it brings. */
START_TEST(a_decoder_is_explained)
{
    enum { ROWS = 6, WIDTH = 110, AT = 3 * WIDTH + 17 };
    static const float step = 0.02f;
    static char input[ROWS * WIDTH * 12];
    struct server zoo;
    double log_probability[2], gradient = 0;
    const char *const settings[] = {"CAROUSEL_MODELS_BUNDLES=g2p=zoo/g2p:scenes=zoo/scenes", NULL};
    server_start(&zoo, settings);
    for (int sign = -1; sign <= 1; sign++) {
        size_t n = 0;
        for (int i = 0; i < ROWS * WIDTH; i++) {
            double x = 0.5 + 0.3 * (sin(i) + (i == AT ? (double)step * sign : 0)); /* scaled: sin(i) */
            const char *before = i % WIDTH ? "," : i ? ",[" : "[";
            const char *behind = i % WIDTH == WIDTH - 1 ? "]" : "";
            n += (size_t)snprintf(input + n, sizeof input - n, "%s%.7f%s", before, x, behind);
        }
        struct reply *reply = postf(&zoo, "/v1/explain",
                                    "{'model':'scenes','input':[%s],'output':'a red circle',"
                                    "'what':['gradients'],'target':{'step':1}}", input);
        expect_ok(reply);
        ck_assert_str_eq(text_at(reply, "target.token"), "red");
        if (sign) log_probability[sign > 0] = number_at(reply, "target.logprob");
        else gradient = number_at(reply, "gradients.3.17");
    }
    double change = (log_probability[1] - log_probability[0]) / (2 * (double)step);
    ck_assert_double_le(fabs(change - gradient), 0.02 * fabs(gradient) + 1e-4);
    struct reply *reply = post(&zoo, "/v1/explain",
                               "{'model':'g2p','input':'hi','output':'HH AY1','units':2}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "part"), "decoder");
    ck_assert_str_eq(text_at(reply, "output_steps.1"), "AY1");
    ck_assert_int_eq(length_at(reply, "cells.0.c.0"), length_at(reply, "output_steps"));
    ck_assert_int_eq(length_at(reply, "gradients"), length_at(reply, "steps"));
    reply = post(&zoo, "/v1/explain", "{'model':'g2p','input':'hi','output':[35,17],'layer':0,'units':2}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "part"), "encoder");
    ck_assert_int_eq(length_at(reply, "cells.1.c.0"), length_at(reply, "steps"));
    static const char *const wrong[][2] = {
        {"{'model':'g2p','input':'hi'}", "output"},
        {"{'model':'g2p','input':'hi','output':'HA'}", "output"},
        {"{'model':'g2p','input':'hi','output':[99]}", "output"},
        {"{'model':'g2p','input':'hi','output':['HH']}", "output"},
        {"{'model':'g2p','input':'hi','output':'HH','target':{'step':2}}", "target.step"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_error(post(&zoo, "/v1/explain", wrong[i][0]), 400, "invalid_value", wrong[i][1]);
    ck_assert_int_eq(server_stop(&zoo), 0);
}
END_TEST

/* Input feeding, and a decoder that begins with the encoder's state: the gradients are the differences that
 * tests/unit/bundles/make.py finds. */
START_TEST(decoders_of_every_kind_are_explained)
{
    const char *const settings[] = {"CAROUSEL_MODELS_BUNDLES="
                                    "tiny-translation=tests/unit/bundles/tiny-translation:"
                                    "tiny-pronunciation=tests/unit/bundles/tiny-pronunciation", NULL};
    FILE *file = fopen("tests/unit/bundles/gradients.txt", "r");
    struct server coders;
    char model[32], text[32], output[32], path[32];
    int n = 0, step;
    ck_assert_ptr_nonnull(file);
    server_start(&coders, settings);
    for (; fscanf(file, "%31s %31s %31s %d", model, text, output, &step) == 4; n++) {
        double expected;
        struct reply *reply = postf(&coders, "/v1/explain", "{'model':'%s','input':'%s','output':'%s',"
                                                            "'target':{'step':%d},'units':2}",
                                    model, text, output, step);
        expect_ok(reply);
        ck_assert_int_eq(fscanf(file, "%lf", &expected), 1);
        ck_assert_double_le(fabs(number_at(reply, "target.logprob") - expected), 1e-5);
        ck_assert_int_eq(length_at(reply, "gradients"), (int)strlen(text) + 2);
        for (int t = 0; t < length_at(reply, "gradients"); t++) {
            snprintf(path, sizeof path, "gradients.%d", t);
            ck_assert_int_eq(fscanf(file, "%lf", &expected), 1);
            ck_assert_msg(fabs(number_at(reply, path) - expected) <= 1e-4 * (0.1 + fabs(expected)),
                          "%s, %s, step %d, token %d: %.7f, expected %.7f", model, text, step, t,
                          number_at(reply, path), expected);
        }
    }
    ck_assert_int_eq(n, 8);
    fclose(file);
    ck_assert_int_eq(server_stop(&coders), 0);
}
END_TEST

/* Units that follow a signal come best first, and the signal may be a unit's own. */
START_TEST(units_follow_a_signal)
{
    char follow[2048] = "", number[40];
    struct reply *reply = post(&server, "/v1/explain",
                               "{'model':'tiny-characters','input':'abacabad','units':[2],'what':['cells']}");
    expect_ok(reply);
    int T = (int)number_at(reply, "n_steps");
    for (int t = 0; t < T; t++) {
        snprintf(number, sizeof number, "%s%.9g", t ? "," : "", tanh(cell_at(reply, "c", 0, t)));
        strcat(follow, number);
    }
    reply = postf(&server, "/v1/explain",
                  "{'model':'tiny-characters','input':'abacabad','units':2,'follow':[%s]}",
                  follow);
    expect_ok(reply);
    ck_assert_int_eq((int)number_at(reply, "cells.0.units.0"), 2);
    ck_assert_double_ge(number_at(reply, "cells.0.correlation.0"), 0.999);
}
END_TEST

/* The header and the bytes that it promises, and the same numbers as in JSON. */
START_TEST(safetensors_say_the_same)
{
    struct reply *reply = post(&server, "/v1/explain",
                               "{'model':'tiny-gestures','input':[[1,2,3],[4,5,6]],'units':[1]}");
    float c = (float)cell_at(reply, "c", 0, 1);
    reply = post(&server, "/v1/explain",
                 "{'model':'tiny-gestures','input':[[1,2,3],[4,5,6]],'units':[1],'format':'safetensors'}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "application/octet-stream");
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)reply->body[i];
    ck_assert_uint_lt(n + 8, reply->body_bytes);
    cJSON *header = cJSON_ParseWithLength(reply->body + 8, n);
    cJSON *c_entry = cJSON_GetObjectItemCaseSensitive(header, "forward.c");
    ck_assert_ptr_nonnull(json_at(header, "__metadata__.explanation"));
    ck_assert_ptr_nonnull(c_entry);
    size_t offset = (size_t)json_at(c_entry, "data_offsets.0")->valuedouble;
    float found;
    memcpy(&found, reply->body + 8 + n + offset + sizeof(float), sizeof found);
    ck_assert_float_eq(found, c);
    cJSON_Delete(header);
}
END_TEST

static const struct {
    const char *body, *param;
    int status;
    const char *code;
} refusals[] = {
    {"{'model':'tiny-labels'}", "input", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':['good','good']}", "input", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','what':['cell']}", "what", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','what':'cells'}", "what", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','layer':99}", "layer", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','units':[99999]}", "units", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','units':[1,1]}", "units", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','units':0}", "units", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','units':'all'}", "units", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','target':{'label':'nobody'}}", "target.label", 400,
        "invalid_value"},
    {"{'model':'tiny-labels','input':'good','target':{'token':'g'}}", "target", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','target':{'colour':1}}", "colour", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','output':'x'}", "output", 400, "invalid_value"},
    {"{'model':'tiny-labels','input':'good','target':{'step':99}}", "target.step", 400, "invalid_value"},
    {"{'model':'tiny-characters','input':'ab','target':{'token':'abc'}}", "target.token", 400,
        "invalid_value"},
    {"{'model':'tiny-characters','input':'ab','follow':[1]}", "follow", 400, "invalid_value"},
    {"{'model':'tiny-characters','input':'ab','follow':[1,'a']}", "follow[1]", 400, "invalid_value"},
    {"{'model':'tiny-characters','input':'ab','format':'xml'}", "format", 400, "invalid_value"},
    {"{'model':'tiny-series','input':[null]}", "input", 400, "invalid_value"},
    {"{'model':'tiny-series','input':['1']}", "input[0]", 400, "invalid_value"},
    {"{'model':'tiny-gestures','input':[[1,2]]}", NULL, 400, "invalid_value"},
};

START_TEST(a_wrong_request_is_refused)
{
    expect_error(post(&server, "/v1/explain", refusals[_i].body), refusals[_i].status, refusals[_i].code,
                 refusals[_i].param);
}
END_TEST

/* Steps x units are bounded, and so are the numbers of an answer. */
START_TEST(a_long_input_is_refused)
{
    char text[5001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    expect_error(postf(&server, "/v1/explain", "{'model':'tiny-characters','input':'%s'}", text), 400,
                 "input_too_long", "input");
}
END_TEST

/* Post an explanation that takes seconds, on a connection of its own. */
static void post_slow(struct client *client, const struct server *to, const char *more)
{
    enum { STEPS = 2000 };
    char text[STEPS + 1], body[STEPS + 200];
    memset(text, 'a', STEPS);
    text[STEPS] = '\0';
    snprintf(body, sizeof body, "{'model':'slow','input':'%s'%s}", text, more);
    client_open(client, to);
    client_post(client, "/v1/explain", body);
}

/* One is computed, one waits, the others are refused; those whose clients leave or whose time is over end at
 * their next step. */
START_TEST(explanations_wait_and_end)
{
    enum { N = 4 };
    struct server slow;
    static struct client clients[N], late;
    static struct reply reply;
    const char *const settings[] = {slow_setting(), "CAROUSEL_LIMITS_EXPLAIN_VALUES=67108864",
                                    "CAROUSEL_LIMITS_EXPLAIN_QUEUE=1", NULL};
    server_start(&slow, settings);
    struct pollfd fds[N];
    for (int i = 0; i < N; i++) {
        post_slow(&clients[i], &slow, "");
        fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    }
    int first = 0; /* to be answered: requests may arrive in another order */
    ck_assert_int_ge(poll(fds, N, 60000), 1);
    while (!fds[first].revents) first++;
    ck_assert(client_read(&clients[first], &reply));
    expect_error(&reply, 429, "queue_full", "");
    expect_retry_after(&reply, 60);
    for (int i = 0; i < N; i++) client_abort(&clients[i]);
    AWAIT(post(&slow, "/v1/explain", "{'model':'tiny-labels','input':'good'}")->status == 200);
    ck_assert_double_ge(metric(&slow, "carousel_requests_finished_total{reason=\"cancelled\"}"), 1);
    post_slow(&late, &slow, ",'timeout_ms':1");
    ck_assert(client_read(&late, &reply));
    expect_error(&reply, 504, "deadline_exceeded", NULL);
    client_close(&late);
    ck_assert_int_eq(server_stop(&slow), 0);
}
END_TEST

Suite *explain_suite(void)
{
    Suite *suite = suite_create("explain");
    TCase *all = tcase_create("explain");
    tcase_set_timeout(all, TEST_TIMEOUT_S);
    tcase_add_unchecked_fixture(all, start, stop);
    tcase_add_test(all, a_text_is_explained);
    tcase_add_test(all, the_target_is_what_is_served);
    tcase_add_test(all, numbers_and_series_are_explained);
    tcase_add_test(all, steps_of_predictions_are_explained);
    tcase_add_test(all, a_gru_and_an_rnn_are_explained);
    tcase_add_test(all, every_task_is_explained);
    tcase_add_test(all, a_letter_is_explained_at_its_spike);
    tcase_add_test(all, a_decoder_is_explained);
    tcase_add_test(all, decoders_of_every_kind_are_explained);
    tcase_add_test(all, units_follow_a_signal);
    tcase_add_test(all, safetensors_say_the_same);
    tcase_add_loop_test(all, a_wrong_request_is_refused, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(all, a_long_input_is_refused);
    suite_add_tcase(suite, all);
    TCase *slow = tcase_create("slow");
    tcase_set_timeout(slow, 2 * TEST_TIMEOUT_S);
    tcase_add_test(slow, explanations_wait_and_end);
    suite_add_tcase(suite, slow);
    return suite;
}
