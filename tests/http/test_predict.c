/* POST /v1/predict, and POST /v1/classify on a model that tags: values, labels, entities and offsets. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    server_start(&server, (const char *const[]){"CAROUSEL_MODELS_BUNDLES=tags=tests/http/predict/tags:"
                                                "sensor=tests/http/predict/sensor:"
                                                "learned=tests/http/predict/learned:"
                                                "letters=tests/http/predict/letters:"
                                                "begun=tests/http/predict/begun:"
                                                "padded=tests/http/predict/padded", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

/* Each step of the golden case is PyTorch's own. */
START_TEST(values_are_pytorchs_at_every_step)
{
    size_t bytes;
    char *file = file_read("tests/http/predict/sensor/golden.json", &bytes), path[64];
    cJSON *golden = cJSON_Parse(file), *input = json_at(golden, "cases.2.input");
    cJSON *outputs = json_at(golden, "cases.2.outputs");
    char *text = cJSON_PrintUnformatted(input);
    size_t n = (size_t)cJSON_GetArraySize(outputs), room = strlen(text) + 100;
    char *body = malloc(room);
    for (int all = 0; all < 2; all++) {
        snprintf(body, room, "{\"model\":\"sensor\",\"input\":%s%s}", text, all ? ",\"return\":\"all\"" : "");
        struct reply *reply = ask(&server, "POST", "/v1/predict", body);
        expect_ok(reply);
        ck_assert_str_eq(text_at(reply, "object"), "prediction");
        ck_assert_double_eq(number_at(reply, "usage.steps_in"), (double)n);
        if (all) ck_assert_int_eq(length_at(reply, "results.0.steps"), (int)n);
        for (size_t t = all ? 0 : n - 1; t < n; t++)
            for (size_t i = 0; i < 3; i++) {
                if (all) snprintf(path, sizeof path, "results.0.steps.%zu.%zu", t, i);
                else snprintf(path, sizeof path, "results.0.values.%zu", i);
                double expected = cJSON_GetArrayItem(cJSON_GetArrayItem(outputs, (int)t),
                                                     (int)i)->valuedouble;
                ck_assert_double_eq_tol(number_at(reply, path), expected, 1e-5);
            }
    }
    free(body);
    cJSON_free(text);
    cJSON_Delete(golden);
    free(file);
}
END_TEST

/* What PyTorch gives for h_0 and c_0 (tests/http/predict/make_initial.py). */
START_TEST(a_request_may_begin_with_its_own_state)
{
    size_t bytes;
    char *file = file_read("tests/http/predict/initial.json", &bytes), path[64];
    cJSON *requests = cJSON_Parse(file), *row;
    ck_assert_int_eq(cJSON_GetArraySize(requests), 4);
    cJSON_ArrayForEach(row, requests) {
        char *body = cJSON_PrintUnformatted(json_at(row, "body"));
        struct reply *reply = ask(&server, "POST", "/v1/predict", body);
        expect_ok(reply);
        cJSON *results = json_at(row, "results"), *values;
        int i = 0;
        cJSON_ArrayForEach(values, results) {
            for (int k = 0; k < cJSON_GetArraySize(values); k++) {
                snprintf(path, sizeof path, "results.%d.values.%d", i, k);
                double due = cJSON_GetArrayItem(values, k)->valuedouble;
                ck_assert_double_eq_tol(number_at(reply, path), due, 1e-5);
            }
            i++;
        }
        cJSON_free(body);
    }
    cJSON_Delete(requests);
    free(file);
}
END_TEST

/* Texts of one length, as the model was trained; ids too, because the bundle accepts them. */
START_TEST(texts_are_padded_on_the_left)
{
    size_t bytes;
    char *file = file_read("tests/http/predict/padded.json", &bytes);
    cJSON *answers = cJSON_Parse(file), *row;
    ck_assert_int_eq(cJSON_GetArraySize(answers), 3);
    cJSON_ArrayForEach(row, answers) {
        const char *names[] = {"text", "ids"};
        for (size_t i = 0; i < 2; i++) {
            char *input = cJSON_PrintUnformatted(json_at(row, names[i])), body[200];
            snprintf(body, sizeof body, "{\"model\":\"padded\",\"input\":%s}", input);
            struct reply *reply = ask(&server, "POST", "/v1/classify", body);
            expect_ok(reply);
            bool good_first = !strcmp(text_at(reply, "results.0.0.label"), "good");
            double due = json_at(row, "score")->valuedouble;
            ck_assert_double_eq_tol(number_at(reply, "results.0.0.score"), good_first ? due : 1 - due, 1e-5);
            cJSON_free(input);
        }
    }
    cJSON_Delete(answers);
    free(file);
    expect_error(post(&server, "/v1/classify", "{'model':'tags','input':[1]}"), 400, "invalid_value", NULL);
}
END_TEST

#define BEGUN(state) "{'model':'begun','input':[[1,2,3]],'initial_state':" state "}"
#define H "'h':[[1,2,3,4],[1,2,3,4],[1,2,3,4,5]]"

START_TEST(a_wrong_state_is_refused)
{
    static const struct refused rows[] = {
        {BEGUN("[1]"), "invalid_value", "initial_state", 400},
        {BEGUN("{" H "}"), "invalid_value", "initial_state.c", 400},
        {BEGUN("{" H ",'c':[[1,2,3,4,5,6]]}"), "invalid_value", "initial_state.c", 400},
        {BEGUN("{" H ",'c':[[1,2,3,4,5,6],[1,2,3,4]]}"), "invalid_value", "initial_state.c[1]", 400},
        {BEGUN("{" H ",'c':[[1,2,3,4,5,6],[1,2,3,4,5,1e39]]}"), "invalid_value", "initial_state.c[1][5]",
         400},
        {BEGUN("{'h':[1,2],'c':[]}"), "invalid_value", "initial_state.h", 400},
        {BEGUN("{'h':5,'c':[]}"), "invalid_value", "initial_state.h", 400},
        {BEGUN("{'H':[]}"), "invalid_value", "H", 400},
        {"{'model':'tags','input':'a','initial_state':{'h':[]}}", "unsupported_for_model", "initial_state",
         422},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) post_refused(&server, "/v1/predict", &rows[i]);
}
END_TEST

START_TEST(many_inputs_are_many_results)
{
    struct reply *reply = post(&server, "/v1/predict", "{'model':'sensor','input':[[[1,2],[3,4]],[[5,6]]]}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results"), 2);
    ck_assert_int_eq(length_at(reply, "results.0.values"), 3);
    ck_assert_int_eq(length_at(reply, "results.1.values"), 3);
}
END_TEST

START_TEST(labels_have_offsets_in_code_points)
{
    struct reply *reply = post(&server, "/v1/predict",
                               "{'model':'letters','input':'\xc3\xa9\xf0\x9f\x98\x80 a'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.labels"), 4);
    for (int t = 0; t < 4; t++) {
        char path[64];
        snprintf(path, sizeof path, "results.0.labels.%d.start", t);
        ck_assert_double_eq(number_at(reply, path), t);
        snprintf(path, sizeof path, "results.0.labels.%d.end", t);
        ck_assert_double_eq(number_at(reply, path), t + 1);
    }
    ck_assert_ptr_null(reply_at(reply, "results.0.labels.0.alternatives"));
    reply = post(&server, "/v1/predict", "{'model':'letters','input':[1,2],'top_k':2}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.labels"), 2);
    ck_assert_int_eq(length_at(reply, "results.0.labels.1.alternatives"), 1);
    ck_assert_ptr_null(reply_at(reply, "results.0.labels.0.start"));
    reply = post(&server, "/v1/predict", "{'model':'letters','input':'ab','return':'last','top_k':2}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.labels"), 2);
    ck_assert_double_ge(number_at(reply, "results.0.labels.0.score"), number_at(reply,
                                                                                "results.0.labels.1.score"));
}
END_TEST

START_TEST(entities_have_offsets_in_both_counts)
{
    struct reply *reply = post(&server, "/v1/classify",
                               "{'model':'tags','input':['Fly from Rome to Rio de Janeiro on next Friday',"
                               "'\xf0\x9f\x98\x80 weather in Paris']}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "results.0.intent.label"), "travel");
    ck_assert_int_eq(length_at(reply, "results.0.entities"), 3);
    ck_assert_str_eq(text_at(reply, "results.0.entities.1.label"), "city");
    ck_assert_str_eq(text_at(reply, "results.0.entities.1.value"), "Rio de Janeiro");
    ck_assert_double_eq(number_at(reply, "results.0.entities.1.start"), 17);
    ck_assert_double_eq(number_at(reply, "results.0.entities.1.end"), 31);
    ck_assert_str_eq(text_at(reply, "results.0.entities.2.label"), "day");
    ck_assert_double_gt(number_at(reply, "results.0.entities.2.score"), 0.5);
    ck_assert_str_eq(text_at(reply, "results.1.intent.label"), "weather");
    ck_assert_str_eq(text_at(reply, "results.1.entities.0.value"), "Paris");
    ck_assert_double_eq(number_at(reply, "results.1.entities.0.start"), 13);
    ck_assert_double_eq(number_at(reply, "results.1.entities.0.start_utf16"), 14);
    ck_assert_double_eq(number_at(reply, "results.1.entities.0.end_utf16"), 19);
}
END_TEST

/* The network of `tags`, in which learned transitions let a city be two words, at the beginning of a text
 * only. */
START_TEST(learned_transitions_choose_the_labels)
{
    struct reply *reply = post(&server, "/v1/classify",
                               "{'model':'learned','input':['paris in rome on monday','rio de janeiro is it',"
                               "'fly to new york','book']}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.entities"), 1);
    ck_assert_str_eq(text_at(reply, "results.0.entities.0.value"), "paris in");
    ck_assert_str_eq(text_at(reply, "results.1.entities.0.value"), "rio de");
    ck_assert_int_eq(length_at(reply, "results.1.entities"), 1);
    ck_assert_str_eq(text_at(reply, "results.2.entities.0.value"), "fly to"); /* they outweigh the scores */
    ck_assert_int_eq(length_at(reply, "results.2.entities"), 1);
    ck_assert_str_eq(text_at(reply, "results.2.intent.label"), "travel");
    ck_assert_int_eq(length_at(reply, "results.3.entities"), 0); /* a city of one word may not end a text */
}
END_TEST

START_TEST(the_tokens_of_a_text_are_its_rows)
{
    struct reply *reply = post(&server, "/v1/predict", "{'model':'tags','input':'Rio de Janeiro'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.labels"), 3); /* and none for the eos that is read */
    ck_assert_str_eq(text_at(reply, "results.0.labels.0.label"), "B-city");
    ck_assert_str_eq(text_at(reply, "results.0.labels.2.label"), "I-city");
    ck_assert_double_eq(number_at(reply, "results.0.labels.2.end"), 14);
}
END_TEST

/* Rows that come in two parts have the numbers of the whole. */
START_TEST(a_sequence_goes_on)
{
    char whole[256], id[64], path[64];
    struct reply *reply = post(&server, "/v1/predict", "{'model':'sensor','input':[[1,2],[8,-1],[12,-3]]}");
    expect_ok(reply);
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "results.0.values.%d", i);
        n += (size_t)snprintf(whole + n, sizeof whole - n, "%.9g ", number_at(reply, path));
    }
    reply = post(&server, "/v1/predict", "{'model':'sensor','input':[[1,2],[8,-1]],'store':true}");
    expect_ok(reply);
    snprintf(id, sizeof id, "%s", text_at(reply, "id"));
    reply = postf(&server, "/v1/predict", "{'input':[[12,-3]],'return':'all','previous_response_id':'%s'}",
                  id);
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results.0.steps"), 1);
    char found[256];
    n = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "results.0.steps.0.%d", i);
        n += (size_t)snprintf(found + n, sizeof found - n, "%.9g ", number_at(reply, path));
    }
    ck_assert_str_eq(found, whole);
    expect_error(post(&server, "/v1/predict", "{'model':'letters','input':'a','store':true}"), 422,
                 "unsupported_for_model", NULL);
}
END_TEST

/* The lines of several steps of a session are the values of the whole sequence. */
START_TEST(a_session_takes_several_steps)
{
    static const char *const inputs[] = {"[[1,2]]", "[[1,2],[3,4]]"};
    double last[2];
    for (int i = 0; i < 2; i++)
        last[i] = number_at(postf(&server, "/v1/predict", "{'model':'sensor','input':%s,'return':'last'}",
                                  inputs[i]), "results.0.values.0");
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'sensor','id':'rows'}")->status, 201);
    struct reply *reply = post(&server, "/v1/sessions/rows/steps",
                               "[{'input':[[1,2]],'return':'last'},{'input':[[3,4]],'return':'last'}]");
    ck_assert_msg(reply->status == 200, "%s", reply->body);
    char *line = reply->body;
    for (int i = 0; i < 2; i++) {
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        cJSON *json = cJSON_Parse(line);
        ck_assert_msg(json_at(json, "results.0.values.0") != NULL, "%s", line);
        ck_assert_double_eq(json_at(json, "results.0.values.0")->valuedouble, last[i]);
        cJSON_Delete(json);
        line = end + 1;
    }
}
END_TEST

START_TEST(refusals_name_the_field)
{
    expect_error(post(&server, "/v1/predict", "{'model':'letters','input':'a','return':'some'}"), 400,
                 "invalid_value", "return");
    expect_error(post(&server, "/v1/predict", "{'model':'letters','input':'a','top_k':0}"), 400,
                 "invalid_value",
                 "top_k");
    expect_error(post(&server, "/v1/predict", "{'model':'letters','input':'xyz'}"), 400, "invalid_value",
                 "input");
    expect_error(post(&server, "/v1/predict", "{'model':'letters','input':''}"), 400, "invalid_value",
                 "input");
    expect_error(post(&server, "/v1/predict", "{'model':'sensor','input':'a'}"), 400, "invalid_value",
                 "input");
    expect_error(post(&server, "/v1/predict", "{'model':'sensor','input':[[1]]}"), 400, "invalid_value",
                 NULL);
    expect_error(post(&server, "/v1/predict", "{'model':'tiny-labels','input':'a'}"), 422,
                 "unsupported_for_model", "model");
    expect_error(post(&server, "/v1/classify", "{'model':'sensor','input':[[1,2]]}"), 422,
                 "unsupported_for_model",
                 "model");
    expect_error(post(&server, "/v1/predict", "{'model':'sensor','input':[[1,2]],'stream':true}"), 400,
                 "invalid_value", "stream");
}
END_TEST

START_TEST(models_say_what_they_give)
{
    struct reply *reply = ask(&server, "GET", "/v1/models/tags", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "task"), "token-classification");
    ck_assert_double_eq(number_at(reply, "num_intents"), 2);
    reply = ask(&server, "GET", "/v1/models/sensor", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "activation"), "none");
    expect_ok(post(&server, "/v1/embeddings", "{'model':'sensor','input':[[1,2],[3,4]]}"));
    reply = post(&server, "/v1/predict", "{'model':'letters','input':'ab','return':'last'}");
    expect_ok(reply);
    double score = number_at(reply, "results.0.labels.0.score");
    reply = post(&server, "/v1/explain", "{'model':'letters','input':'ab','what':['gradients']}");
    expect_ok(reply);
    ck_assert_double_eq_tol(number_at(reply, "target.score"), score, 1e-6);
    expect_ok(post(&server, "/v1/tokenize", "{'model':'tags','input':'fly to rome'}"));
}
END_TEST

Suite *predict_suite(void);

Suite *predict_suite(void)
{
    Suite *suite = suite_create("predict");
    TCase *cases = tcase_create("predict");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_add_test(cases, values_are_pytorchs_at_every_step);
    tcase_add_test(cases, a_request_may_begin_with_its_own_state);
    tcase_add_test(cases, a_wrong_state_is_refused);
    tcase_add_test(cases, texts_are_padded_on_the_left);
    tcase_add_test(cases, many_inputs_are_many_results);
    tcase_add_test(cases, labels_have_offsets_in_code_points);
    tcase_add_test(cases, entities_have_offsets_in_both_counts);
    tcase_add_test(cases, learned_transitions_choose_the_labels);
    tcase_add_test(cases, the_tokens_of_a_text_are_its_rows);
    tcase_add_test(cases, a_sequence_goes_on);
    tcase_add_test(cases, a_session_takes_several_steps);
    tcase_add_test(cases, refusals_name_the_field);
    tcase_add_test(cases, models_say_what_they_give);
    suite_add_tcase(suite, cases);
    return suite;
}
