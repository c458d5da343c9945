/* POST /v1/translate: beams, alternatives, what is refused; a model with two networks beside the others. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles:" BUNDLES,
                                       "CAROUSEL_SCHEDULER_MAX_BATCH=8", NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

#define MODEL "'model':'tiny-translation',"

START_TEST(a_text_becomes_texts)
{
    struct reply *reply = post(&server, "/v1/translate",
                               "{" MODEL "'input':['bcd','a'],'num_beams':4,'alternatives':2,'max_tokens':9,"
                               "'length_penalty':0}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "translation");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-translation");
    ck_assert_int_eq(length_at(reply, "translations"), 2);
    ck_assert_int_eq(length_at(reply, "translations.0.alternatives"), 2);
    double best = number_at(reply, "translations.0.score");
    ck_assert_double_ge(best, number_at(reply, "translations.0.alternatives.0.score"));
    ck_assert_double_eq(best, number_at(reply, "translations.0.log_probability"));
    ck_assert_str_eq(text_at(reply, "translations.1.text"), "c"); /* tests/unit/bundles/beams.txt: 4 0 9 a */
    ck_assert_str_eq(text_at(reply, "translations.1.finish_reason"), "stop");
    ck_assert_str_eq(text_at(reply, "translations.1.alternatives.0.text"), "dc");
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 4);
}
END_TEST

/* What an answer says of its one translation, without numbers that are measured. */
static void result_of(struct reply *reply, char out[1024])
{
    expect_ok(reply);
    const char *from = strstr(reply->body, "\"translations\""), *to = strstr(reply->body, "\"usage\"");
    ck_assert(from && to && to - from < 1024);
    snprintf(out, 1024, "%.*s", (int)(to - from), from);
}

/* Cut after each token, gone on with, and branched: greedy, and drawn. */
START_TEST(a_translation_goes_on_and_is_branched)
{
    static const char *const ways[] = {"'num_beams':1", "'temperature':1.5,'seed':3",
                                       "'temperature':1.5,'seed':8"};
    char whole[1024], parts[1024], id[64];
    for (int way = 0; way < 3; way++) {
        struct reply *reply = postf(&server, "/v1/translate", "{" MODEL "'input':'bcd','max_tokens':9,%s}",
                                    ways[way]);
        result_of(reply, whole);
        for (int cut = 1; cut < 9; cut++) {
            reply = postf(&server, "/v1/translate",
                          "{" MODEL "'input':'bcd','max_tokens':%d,'store':true,%s}", cut, ways[way]);
            expect_ok(reply);
            snprintf(id, sizeof id, "%s", text_at(reply, "id"));
            const char *same = way ? way == 1 ? "'temperature':1.5,'top_p':1" : "'temperature':1.5" : ways[0];
            reply = postf(&server, "/v1/translate", "{'previous_response_id':'%s','max_tokens':9,%s}", id,
                          same);
            result_of(reply, parts);
            ck_assert_str_eq(parts, whole);
            reply = postf(&server, "/v1/translate",
                          "{'previous_response_id':'%s','max_tokens':9,'n':3,'temperature':1,'seed':4}", id);
            expect_ok(reply);
            ck_assert_int_eq(length_at(reply, "translations.0.alternatives"), 2);
            expect_ok(postf(&server, "/v1/translate",
                            "{'previous_response_id':'%s','max_tokens':9,'num_beams':4}", id));
        }
    }
    expect_error(postf(&server, "/v1/translate", "{'previous_response_id':'%s','input':'a'}", id), 400,
                 "invalid_value", "input");
    expect_error(post(&server, "/v1/translate", "{" MODEL "'input':['a','b'],'store':true}"), 400,
                 "invalid_value", "input");
    expect_error(post(&server, "/v1/translate", "{" MODEL "'input':'a','stream':true,'store':true}"), 400,
                 "invalid_value", "stream");
}
END_TEST

START_TEST(attention_is_shown_if_asked_for)
{
    struct reply *reply =
        post(&server, "/v1/translate", "{" MODEL "'input':'a','max_tokens':9,'length_penalty':0,"
                                       "'alternatives':1,'return_attention':true}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "translations.0.attention.source"), 3);
    ck_assert_str_eq(text_at(reply, "translations.0.attention.source.0"), "<s>");
    ck_assert_int_eq(length_at(reply, "translations.0.attention.target"), 2); /* "c" and the end */
    ck_assert_int_eq(length_at(reply, "translations.0.attention.weights"), 2);
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "translations.0.attention.weights.1.%d", i);
        sum += number_at(reply, path);
    }
    ck_assert_double_eq_tol(sum, 1, 1e-5);
    ck_assert_int_eq(length_at(reply, "translations.0.alternatives.0.attention.weights"), 3);
    expect_error(post(&server, "/v1/translate",
                      "{" MODEL "'input':'abcdefghijabcdefghijabcdefghijabc','max_tokens':16384,"
                      "'num_beams':8,'return_attention':true}"), 400, "input_too_long", "input");
    expect_error(post(&server, "/v1/translate",
                      "{'model':'tiny-pronunciation','input':'a','return_attention':true}"), 422,
                 "unsupported_for_model", "model");
}
END_TEST

START_TEST(greedy_is_the_default_of_a_bundle_that_says_nothing)
{
    struct reply *reply = post(&server, "/v1/translate", "{'model':'tiny-pronunciation','input':'bcd'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "translations"), 1);
    ck_assert_ptr_null(strstr(reply->body, "alternatives"));
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct refused rows[] = {
        {"{" MODEL "'input':'a','num_beams':17}", "invalid_value", "num_beams", 400},
        {"{" MODEL "'input':'a','num_beams':9}", "invalid_value", "num_beams", 400}, /* a turn has 8 seats */
        {"{" MODEL "'input':'a','num_beams':2,'alternatives':2}", "invalid_value", "alternatives", 400},
        {"{" MODEL "'input':'a','max_tokens':0}", "invalid_value", "max_tokens", 400},
        {"{" MODEL "'input':'a','length_penalty':-1}", "invalid_value", "length_penalty", 400},
        {"{" MODEL "'input':'a','beams':2}", "invalid_value", "beams", 400},
        {"{" MODEL "'input':'a','temperature':1,'num_beams':2}", "invalid_value", "num_beams", 400},
        {"{" MODEL "'input':'a','temperature':2.5}", "invalid_value", "temperature", 400},
        {"{" MODEL "'input':'a','temperature':1,'n':9}", "invalid_value", "n", 400},
        {"{" MODEL "'input':'a','n':2,'alternatives':1}", "invalid_value", "n", 400},
        {"{" MODEL "'input':'a','coverage_penalty':11}", "invalid_value", "coverage_penalty", 400},
        {"{" MODEL "'input':'a','stream':true,'num_beams':2}", "invalid_value", "num_beams", 400},
        {"{" MODEL "'input':'a','stream':true,'n':2}", "invalid_value", "n", 400},
        {"{" MODEL "'input':'a','stream':true,'return_attention':true}", "invalid_value", "return_attention",
         400},
        {"{'model':'tiny-pronunciation','input':'a','coverage_penalty':1}", "unsupported_for_model", "model",
         422},
        {"{" MODEL "'input':''}", "invalid_value", "input", 400},
        {"{'model':'tiny-characters','input':'a'}", "unsupported_for_model", NULL, 422},
    };
    post_refused(&server, "/v1/translate", &rows[_i]);
}
END_TEST

START_TEST(draws_have_a_seed)
{
    static const char body[] = "{" MODEL "'input':['bcd','a'],'temperature':1.2,'top_p':0.95,'n':3,'seed':5,"
                               "'max_tokens':9}";
    struct reply *reply = post(&server, "/v1/translate", body);
    expect_ok(reply);
    char first[4096];
    ck_assert_double_eq(number_at(reply, "seed"), 5);
    ck_assert_int_eq(length_at(reply, "translations.1.alternatives"), 2);
    snprintf(first, sizeof first, "%.200s", strstr(reply->body, "\"translations\""));
    reply = post(&server, "/v1/translate", body);
    ck_assert_int_eq(strncmp(first, strstr(reply->body, "\"translations\""), strlen(first)), 0);
    reply = post(&server, "/v1/translate", "{" MODEL "'input':'a'}"); /* a search has none */
    ck_assert_ptr_null(strstr(reply->body, "\"seed\""));
    expect_ok(post(&server, "/v1/translate", "{" MODEL "'input':'bcd','coverage_penalty':0.5,'n':2}"));
}
END_TEST

/* Read a stream of one text or several: put together what the events say of text `index`. */
static void read_events(struct reply *stream, int index, char *text, size_t room, char *finish)
{
    char *at = stream->body, *end;
    *text = *finish = '\0';
    for (; strncmp(at, "data: [DONE]\n\n", 14) != 0; at = end + 2) {
        end = strstr(at, "\n\n");
        ck_assert_ptr_nonnull(end);
        ck_assert_int_eq(strncmp(at, "data: ", 6), 0);
        cJSON *event = cJSON_ParseWithLength(at + 6, (size_t)(end - at - 6));
        ck_assert_ptr_nonnull(event);
        ck_assert_str_eq(json_at(event, "object")->valuestring, "translation.chunk");
        cJSON *one = json_at(event, "translations.0");
        if ((int)json_at(one, "index")->valuedouble == index) {
            cJSON *reason = cJSON_GetObjectItemCaseSensitive(one, "finish_reason");
            ck_assert_str_eq(finish, "");
            strncat(text, json_at(one, "text")->valuestring, room - strlen(text) - 1);
            if (reason) strcpy(finish, reason->valuestring);
        }
        bool is_last = strncmp(end + 2, "data: [DONE]", 12) == 0;
        ck_assert(is_last == (cJSON_GetObjectItemCaseSensitive(event, "usage") != NULL));
        cJSON_Delete(event);
    }
}

/* A stream says what the whole answer says: texts and their ends, and what lies between sentences. */
START_TEST(a_stream_is_the_answer_bit_by_bit)
{
    static const char *const asked[] = {
        MODEL "'input':['bcd','a','jjjjj'],'max_tokens':9",
        MODEL "'input':['bcd','a','jjjjj'],'max_tokens':2000,'temperature':1,'seed':4",
        "'model':'tiny-sentences','input':[' Abc.  Bad! Cafe? ','abc',' Ha.\\n\\nIda.'],'max_tokens':12"};
    static struct client client;
    static struct reply reply;
    char body[512], text[8192], finish[32], path[64];
    snprintf(body, sizeof body, "{%s%s}", asked[_i], _i == 1 ? "" : ",'num_beams':1");
    struct reply *whole = post(&server, "/v1/translate", body);
    expect_ok(whole);
    snprintf(body, sizeof body, "{%s,'stream':true}", asked[_i]);
    client_open(&client, &server);
    client_post(&client, "/v1/translate", body);
    ck_assert(client_read(&client, &reply));
    ck_assert_msg(reply.status == 200, "%s", reply.body);
    ck_assert_int_eq(strncmp(reply_header(&reply, "Content-Type"), "text/event-stream", 17), 0);
    ck_assert(reply.complete);
    for (int i = 0; i < length_at(whole, "translations"); i++) {
        read_events(&reply, i, text, sizeof text, finish);
        snprintf(path, sizeof path, "translations.%d.text", i);
        ck_assert_str_eq(text, text_at(whole, path));
        snprintf(path, sizeof path, "translations.%d.finish_reason", i);
        ck_assert_str_eq(finish, text_at(whole, path));
    }
    client_close(&client);
}
END_TEST

/* Other tasks do not take a model with a decoder, and its card says what it is. */
START_TEST(a_model_of_two_networks_is_one_model)
{
    expect_error(post(&server, "/v1/completions", "{" MODEL "'prompt':'a'}"), 422, "unsupported_for_model",
                 NULL);
    expect_error(post(&server, "/v1/embeddings", "{" MODEL "'input':'a'}"), 422, "unsupported_for_model",
                 NULL);
    expect_ok(post(&server, "/v1/tokenize", "{" MODEL "'input':'abc'}"));
    expect_ok(ask(&server, "GET", "/v1/models/tiny-translation", NULL));
    struct reply *reply = ask(&server, "GET", "/v1/models/tiny-translation", NULL);
    ck_assert_ptr_nonnull(strstr(reply->body, "\"task\":\"translation\""));
    ck_assert_ptr_nonnull(strstr(reply->body, "\"num_beams\":4"));
}
END_TEST

/* Long searches whose clients go: nothing stays behind. */
START_TEST(clients_that_leave_take_their_beams_with_them)
{
    static struct client clients[20];
    for (int i = 0; i < 20; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/translate",
                    "{" MODEL "'input':['abcdefghij','jihgfedcba'],'num_beams':8,'max_tokens':16000,"
                    "'length_penalty':0}");
    }
    for (int i = 0; i < 20; i++) client_close(&clients[i]);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert(metric_becomes(&server, "carousel_job_bytes", 0));
}
END_TEST

Suite *translate_suite(void);

Suite *translate_suite(void)
{
    Suite *suite = suite_create("translate");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, a_text_becomes_texts);
    tcase_add_test(core, a_translation_goes_on_and_is_branched);
    tcase_add_test(core, attention_is_shown_if_asked_for);
    tcase_add_test(core, greedy_is_the_default_of_a_bundle_that_says_nothing);
    tcase_add_test(core, draws_have_a_seed);
    tcase_add_loop_test(core, a_stream_is_the_answer_bit_by_bit, 0, 3);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 17);
    tcase_add_test(core, a_model_of_two_networks_is_one_model);
    tcase_add_test(core, clients_that_leave_take_their_beams_with_them);
    suite_add_tcase(suite, core);
    return suite;
}
