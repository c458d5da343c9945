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
        {"{" MODEL "'input':''}", "invalid_value", "input", 400},
        {"{'model':'tiny-characters','input':'a'}", "unsupported_for_model", NULL, 422},
    };
    post_refused(&server, "/v1/translate", &rows[_i]);
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
    tcase_add_test(core, attention_is_shown_if_asked_for);
    tcase_add_test(core, greedy_is_the_default_of_a_bundle_that_says_nothing);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 8);
    tcase_add_test(core, a_model_of_two_networks_is_one_model);
    tcase_add_test(core, clients_that_leave_take_their_beams_with_them);
    suite_add_tcase(suite, core);
    return suite;
}
