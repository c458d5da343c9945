/* POST /v1/answer: answers, the sentences that they rest on, several questions, words never seen, what is
 * refused. `places` has learned where two persons are (tests/http/answering/make.py). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    server_start(&server, (const char *const[]){"CAROUSEL_MODELS_BUNDLES=places=tests/http/answering/places:"
                                                "pooled=tests/http/answering/pooled:"
                                                "labels=" BUNDLES "/tiny-labels",
                                                "CAROUSEL_LIMITS_INPUTS=4", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

#define STORY "Ann went to the garden. Bob went to the office.\\nAnn went to the kitchen."

START_TEST(questions_are_answered_with_the_sentences_that_say_so)
{
    struct reply *reply = post(&server, "/v1/answer",
                               "{'model':'places','question':['Where is Ann?','where is bob ?'],"
                               "'context':'" STORY "'}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "answer");
    ck_assert_str_eq(text_at(reply, "model"), "places");
    ck_assert_int_eq(length_at(reply, "answers"), 2);
    ck_assert_str_eq(text_at(reply, "answers.0.question"), "Where is Ann?");
    ck_assert_str_eq(text_at(reply, "answers.0.answer"), "kitchen");
    ck_assert_str_eq(text_at(reply, "answers.1.answer"), "office");
    ck_assert_double_gt(number_at(reply, "answers.1.score"), 0.9);
    ck_assert_int_eq(length_at(reply, "answers.0.supporting"), 1);
    ck_assert_double_eq(number_at(reply, "answers.0.supporting.0"), 2);
    ck_assert_int_eq(length_at(reply, "answers.1.supporting"), 1);
    ck_assert_double_eq(number_at(reply, "answers.1.supporting.0"), 1);
    ck_assert_ptr_null(reply_at(reply, "answers.0.alternatives"));
    ck_assert_double_eq(number_at(reply, "usage.steps_in"), 2 * (4 + 18));
}
END_TEST

/* Offsets count code points, and UTF-16 units beside them; what lies between sentences is in none. */
START_TEST(sentences_have_their_places)
{
    struct reply *reply = post(&server, "/v1/answer",
                               "{'model':'places','question':'Where is Ann?','context':'  " STORY "'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "sentences"), 3);
    static const double places[] = {2, 25, 26, 49, 50, 74};
    for (int i = 0; i < 6; i++) {
        char path[64];
        snprintf(path, sizeof path, "sentences.%d.%s", i / 2, i % 2 ? "end" : "start");
        ck_assert_double_eq(number_at(reply, path), places[i]);
        snprintf(path, sizeof path, "sentences.%d.%s", i / 2, i % 2 ? "end_utf16" : "start_utf16");
        ck_assert_double_eq(number_at(reply, path), places[i]);
    }
    ck_assert_double_eq(number_at(reply, "answers.0.supporting.0"), 2);
}
END_TEST

START_TEST(n_answers_are_ranked_and_sum_to_one)
{
    static const char *const bodies[] = {
        "{'model':'places','n':9,'question':'Where is Bob?','context':'" STORY "'}",
        "{'model':'places','top_k':3,'question':'Where is Bob?','context':'" STORY "'}"};
    for (int k = 0; k < 2; k++) {
        struct reply *reply = post(&server, "/v1/answer", bodies[k]);
        expect_ok(reply);
        ck_assert_int_eq(length_at(reply, "answers.0.alternatives"), 2);
        double best = number_at(reply, "answers.0.score"),
               second = number_at(reply, "answers.0.alternatives.0.score"),
               third = number_at(reply, "answers.0.alternatives.1.score");
        ck_assert(best >= second && second >= third);
        ck_assert_double_eq_tol(best + second + third, 1, 1e-6);
    }
}
END_TEST

/* An answer is the same alone and beside other questions. */
START_TEST(company_changes_no_answer)
{
    static const char *const questions[] = {"'where is ann?'", "['where is bob?','where is ann?','is?']"};
    double scores[2];
    for (int k = 0; k < 2; k++) {
        char body[256];
        snprintf(body, sizeof body, "{'model':'places','question':%s,'context':'" STORY "'}", questions[k]);
        struct reply *reply = post(&server, "/v1/answer", body);
        expect_ok(reply);
        scores[k] = number_at(reply, k ? "answers.1.score" : "answers.0.score");
    }
    ck_assert_double_eq(scores[0], scores[1]);
}
END_TEST

/* Each number of the golden case is PyTorch's own: e^0.3 / (e^0.3 + e^0.2) and so on. */
START_TEST(a_model_that_pools_tells_nothing_of_sentences)
{
    size_t bytes;
    char *file = file_read("tests/http/answering/pooled/golden.json", &bytes);
    cJSON *golden = cJSON_Parse(file);
    struct reply *reply = post(&server, "/v1/answer",
                               "{'model':'pooled','n':2,'question':'is it green?','context':'it is.'}");
    expect_ok(reply);
    ck_assert_str_eq(json_at(golden, "cases.1.input.question")->valuestring, "is it green?");
    bool is_yes = !strcmp(text_at(reply, "answers.0.answer"), "yes");
    double difference = json_at(golden, "cases.1.output.1")->valuedouble -
                        json_at(golden, "cases.1.output.0")->valuedouble;
    ck_assert(is_yes == (difference > 0));
    double odds = number_at(reply, "answers.0.score") / number_at(reply, "answers.0.alternatives.0.score");
    double expected = 1, term = 1, x = is_yes ? difference : -difference;
    for (int i = 1; i < 30; i++) expected += term *= x / i; /* e^x */
    ck_assert_double_eq_tol(odds, expected, 1e-4);
    ck_assert_ptr_null(reply_at(reply, "answers.0.supporting"));
    ck_assert_ptr_null(reply_at(reply, "sentences"));
    cJSON_Delete(golden);
    free(file);
}
END_TEST

START_TEST(a_word_never_seen_is_named)
{
    struct reply *reply = post(&server, "/v1/answer",
                               "{'model':'places','question':'Where is Eve?','context':'" STORY "'}");
    expect_error(reply, 400, "invalid_value", "question");
    ck_assert_ptr_nonnull(strstr(reply->body, "word 'Eve' at byte 9 is not in the vocabulary"));
    reply = post(&server, "/v1/answer",
                 "{'model':'places','question':'Where is Ann?','context':'Ann went to the pub.'}");
    expect_error(reply, 400, "invalid_value", "context");
    ck_assert_ptr_nonnull(strstr(reply->body, "word 'pub'"));
}
END_TEST

/* It reads both directions, so the whole sequence must fit a turn. */
START_TEST(a_context_that_is_too_long_is_refused)
{
    enum { SENTENCES = 4000 };
    static const char sentence[] = "Ann went to the garden. ";
    const size_t room = SENTENCES * sizeof sentence + 200;
    char *body = malloc(room);
    size_t n = (size_t)snprintf(body, room, "{'model':'places','question':'Where is Ann?','context':'");
    for (int i = 0; i < SENTENCES; i++) n += (size_t)snprintf(body + n, room - n, "%s", sentence);
    snprintf(body + n, room - n, "'}");
    struct reply *reply = post(&server, "/v1/answer", body);
    expect_error(reply, 400, "input_too_long", "context");
    free(body);
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct refused rows[] = {
        {"{'model':'places','question':'is?'}", "invalid_value", "context", 400},
        {"{'model':'places','context':'Ann.'}", "invalid_value", "question", 400},
        {"{'model':'places','question':'','context':'Ann.'}", "invalid_value", "question", 400},
        {"{'model':'places','question':['is?',' '],'context':'Ann.'}", "invalid_value", "question", 400},
        {"{'model':'places','question':'is?','context':'  '}", "invalid_value", "context", 400},
        {"{'model':'places','question':'is?','context':['Ann.']}", "invalid_value", "context", 400},
        {"{'model':'places','question':7,'context':'Ann.'}", "invalid_value", "question", 400},
        {"{'model':'places','question':[],'context':'Ann.'}", "invalid_value", "question", 400},
        {"{'model':'places','question':['is','is','is','is','is'],'context':'Ann.'}", "input_too_long",
         "question", 400},
        {"{'model':'places','question':'is?','context':'Ann.','n':0}", "invalid_value", "n", 400},
        {"{'model':'places','question':'is?','context':'Ann.','top_k':'1'}", "invalid_value", "top_k", 400},
        {"{'model':'places','question':'is?','context':'Ann.','n':1,'top_k':1}", "invalid_value", "top_k",
         400},
        {"{'model':'places','questions':['is?'],'context':'Ann.'}", "invalid_value", "questions", 400},
        {"{'model':'places','question':'is?','context':'Ann.','store':true}", "unsupported_for_model",
         "store", 422},
        {"{'model':'labels','question':'is?','context':'Ann.'}", "unsupported_for_model", NULL, 422},
        {"{'question':'is?','context':'Ann.'}", "invalid_value", "model", 400}, /* two models answer */
    };
    ck_assert_uint_eq(sizeof rows / sizeof *rows, 16);
    post_refused(&server, "/v1/answer", &rows[_i]);
}
END_TEST

Suite *answer_suite(void);

Suite *answer_suite(void)
{
    Suite *suite = suite_create("answer");
    TCase *core = tcase_create("core");
    tcase_add_unchecked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, questions_are_answered_with_the_sentences_that_say_so);
    tcase_add_test(core, sentences_have_their_places);
    tcase_add_test(core, n_answers_are_ranked_and_sum_to_one);
    tcase_add_test(core, company_changes_no_answer);
    tcase_add_test(core, a_model_that_pools_tells_nothing_of_sentences);
    tcase_add_test(core, a_word_never_seen_is_named);
    tcase_add_test(core, a_context_that_is_too_long_is_refused);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 16);
    suite_add_tcase(suite, core);
    return suite;
}
