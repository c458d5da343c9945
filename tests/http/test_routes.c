/* Every route's happy path, and what is the same on all of them: identification, timing, methods. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    server_start(&server, NULL);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* Operations ------------------------------------------------------------------------------ */

START_TEST(health_livez_and_readyz_say_yes)
{
    static const char *const paths[] = {"/health", "/livez", "/readyz"};
    for (size_t i = 0; i < 3; i++) {
        struct reply *reply = ask(&server, "GET", paths[i], NULL);
        ck_assert_int_eq(reply->status, 200);
        ck_assert_uint_gt(reply->body_bytes, 0);
    }
}
END_TEST

START_TEST(models_are_listed_as_openai_does)
{
    struct reply *reply = ask(&server, "GET", "/v1/models", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "list");
    ck_assert_int_eq(length_at(reply, "data"), 6);
    ck_assert_str_eq(text_at(reply, "data.0.id"), "tiny-bytes");
    ck_assert_str_eq(text_at(reply, "data.0.object"), "model");
    ck_assert_double_gt(number_at(reply, "data.0.created"), 1e9);
    text_at(reply, "data.0.owned_by");
}
END_TEST

START_TEST(a_model_tells_what_it_is)
{
    struct reply *reply = ask(&server, "GET", "/v1/models/tiny-labels", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "id"), "tiny-labels");
    ck_assert_str_eq(text_at(reply, "task"), "text-classification");
    ck_assert_int_eq(length_at(reply, "labels"), 3);
    ck_assert_str_eq(text_at(reply, "labels.0"), "positive");
    ck_assert_str_eq(text_at(reply, "version"), "1");
    expect_ok(ask(&server, "GET", "/v1/models/tiny-labels:1", NULL));
    expect_error(ask(&server, "GET", "/v1/models/nobody", NULL), 404, "model_not_found", NULL);
    expect_error(ask(&server, "GET", "/v1/models/tiny-labels:2", NULL), 404, "model_not_found", NULL);
    expect_error(ask(&server, "GET", "/v1/models/..%2f..%2fetc", NULL), 404, "not_found", NULL);
}
END_TEST

START_TEST(info_publishes_the_limits)
{
    struct reply *reply = ask(&server, "GET", "/v1/info", NULL);
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "limits.body_bytes"), 4194304);
    ck_assert_double_eq(number_at(reply, "limits.max_tokens"), 16384);
    ck_assert_double_gt(number_at(reply, "limits.json_depth"), 1);
    ck_assert_uint_gt(strlen(text_at(reply, "version")), 0);
}
END_TEST

START_TEST(metrics_are_prometheus_text)
{
    struct reply *reply = ask(&server, "GET", "/metrics", NULL);
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    for (char *line = strtok(reply->body, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[256];
        double value;
        if (strncmp(line, "# HELP carousel_", 16) == 0 || strncmp(line, "# TYPE carousel_", 16) == 0)
            continue;
        ck_assert_msg(strncmp(line, "carousel_", 9) == 0, "line: %s", line);
        const char *space = strrchr(line, ' ');
        ck_assert_msg(space != NULL && sscanf(line, "%255[a-z_]", name) == 1, "line: %s", line);
        ck_assert_msg(sscanf(space, "%lf", &value) == 1 && isfinite(value), "line: %s", line);
    }
}
END_TEST

START_TEST(head_is_get_without_a_body)
{
    struct reply *reply = ask(&server, "HEAD", "/health", NULL);
    ck_assert_int_eq(reply->status, 200);
    expect_ok(ask(&server, "GET", "/v1/models", NULL));
}
END_TEST

/* Text -------------------------------------------------------------------------------------- */

START_TEST(a_completion_has_openais_shape)
{
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'hello','max_tokens':12,'seed':42}");
    expect_ok(reply);
    ck_assert_int_eq(strncmp(text_at(reply, "id"), "cmpl-", 5), 0);
    ck_assert_str_eq(text_at(reply, "object"), "text_completion");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-characters");
    ck_assert_double_gt(number_at(reply, "created"), 1.6e9);
    ck_assert_int_eq(length_at(reply, "choices"), 1);
    ck_assert_double_eq(number_at(reply, "choices.0.index"), 0);
    ck_assert_str_eq(text_at(reply, "choices.0.finish_reason"), "length");
    ck_assert(cJSON_IsNull(reply_at(reply, "choices.0.logprobs")));
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 5);
    ck_assert_double_eq(number_at(reply, "usage.completion_tokens"), 12);
    ck_assert_double_eq(number_at(reply, "usage.total_tokens"), 17);
    ck_assert_double_eq(number_at(reply, "seed"), 42);
    ck_assert_double_ge(number_at(reply, "timings.queue_ms"), 0);
    ck_assert_double_ge(number_at(reply, "timings.prompt_ms"), 0);
    ck_assert_double_ge(number_at(reply, "timings.decode_ms"), 0);
    ck_assert_double_gt(number_at(reply, "timings.tokens_per_second"), 0);
    ck_assert_double_ge(number_at(reply, "timings.mean_batch"), 1);
}
END_TEST

START_TEST(the_seed_used_is_returned_and_gives_the_same_text)
{
    char text[256];
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'a','max_tokens':40}");
    expect_ok(reply);
    double seed = number_at(reply, "seed");
    snprintf(text, sizeof text, "%s", text_at(reply, "choices.0.text"));
    reply = postf(&server, "/v1/completions",
                  "{'model':'tiny-characters','prompt':'a','max_tokens':40,'seed':%.0f}", seed);
    ck_assert_str_eq(text_at(reply, "choices.0.text"), text);
    reply = postf(&server, "/v1/completions",
                  "{'model':'tiny-characters','prompt':'a','max_tokens':40,'seed':%.0f}", seed + 1);
    ck_assert_str_ne(text_at(reply, "choices.0.text"), text);
}
END_TEST

START_TEST(max_tokens_left_out_is_the_bundles)
{
    struct reply *reply = post(&server, "/v1/completions",
                               /* never the end */
                               "{'model':'tiny-characters','prompt':'a','logit_bias':{'2':100}}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "usage.completion_tokens"), 256);
}
END_TEST

START_TEST(temperature_0_is_greedy_whatever_the_seed)
{
    char text[256];
    struct reply *reply = post(&server, "/v1/completions", "{'model':'tiny-characters','prompt':'a',"
                               "'max_tokens':40,'temperature':0,'seed':1}");
    expect_ok(reply);
    snprintf(text, sizeof text, "%s", text_at(reply, "choices.0.text"));
    reply = post(&server, "/v1/completions",
                 "{'model':'tiny-characters','prompt':'a','max_tokens':40,'temperature':0,'seed':2}");
    ck_assert_str_eq(text_at(reply, "choices.0.text"), text);
    reply = post(&server, "/v1/completions",
                 "{'model':'tiny-characters','prompt':'a','max_tokens':40,'top_k':1,'seed':3}");
    ck_assert_str_eq(text_at(reply, "choices.0.text"), text);
}
END_TEST

START_TEST(prompts_times_n_choices_come_in_order)
{
    struct reply *reply = post(&server, "/v1/completions", "{'model':'tiny-characters',"
                               "'prompt':['a','bb'],'n':3,'max_tokens':4,'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "choices"), 6);
    for (int i = 0; i < 6; i++) {
        char path[32];
        snprintf(path, sizeof path, "choices.%d.index", i);
        ck_assert_double_eq(number_at(reply, path), i);
    }
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 3);
    ck_assert_double_eq(number_at(reply, "usage.completion_tokens"), 24);
}
END_TEST

START_TEST(best_of_tries_more_than_it_returns)
{
    struct reply *reply = post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':'a','n':2,'best_of':5,'max_tokens':4,'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "choices"), 2);
    ck_assert_double_eq(number_at(reply, "usage.completion_tokens"), 20);
}
END_TEST

START_TEST(prompts_may_be_tokens)
{
    char text[256];
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'ab','max_tokens':20,'seed':1}");
    expect_ok(reply);
    snprintf(text, sizeof text, "%s", text_at(reply, "choices.0.text"));
    reply = post(&server, "/v1/completions",
                 "{'model':'tiny-characters','prompt':[2,3],'max_tokens':20,'seed':1}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "choices.0.text"), text);
    reply = post(&server, "/v1/completions",
                 "{'model':'tiny-characters','prompt':[[2,3],[2]],'max_tokens':20,'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "choices"), 2);
    ck_assert_str_eq(text_at(reply, "choices.0.text"), text);
}
END_TEST

START_TEST(a_stop_string_ends_the_text_and_is_not_in_it)
{
    char whole[512];
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'a','max_tokens':60,'seed':5}");
    expect_ok(reply);
    snprintf(whole, sizeof whole, "%s", text_at(reply, "choices.0.text"));
    /* Stop at two letters that stand side by side in it. */
    const char *at = whole + 20;
    while (*at != '\0' && !(at[0] >= 'a' && at[0] <= 'z' && at[1] >= 'a' && at[1] <= 'z'))
        at++;
    ck_assert_msg(*at != '\0', "no two letters in: %s", whole);
    char stop[3] = {at[0], at[1], '\0'};
    reply = postf(&server, "/v1/completions",
                  "{'model':'tiny-characters','prompt':'a','max_tokens':60,'seed':5,'stop':['%s','~~']}",
                  stop);
    expect_ok(reply);
    size_t n = (size_t)(strstr(whole, stop) - whole);
    ck_assert_uint_eq(strlen(text_at(reply, "choices.0.text")), n);
    ck_assert_int_eq(memcmp(text_at(reply, "choices.0.text"), whole, n), 0);
    ck_assert_str_eq(text_at(reply, "choices.0.finish_reason"), "stop");
}
END_TEST

START_TEST(the_token_that_ends_a_text_is_a_stop)
{
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'tiny-words','prompt':'the cat','max_tokens':200,'seed':1}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "choices.0.finish_reason"), "stop");
    ck_assert_ptr_null(strstr(text_at(reply, "choices.0.text"), "</s>"));
}
END_TEST

START_TEST(echo_puts_the_prompt_first)
{
    struct reply *reply = post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':'hello','max_tokens':3,'echo':true,'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(strncmp(text_at(reply, "choices.0.text"), "hello", 5), 0);
    reply = post(&server, "/v1/completions",
                 "{'model':'tiny-characters','prompt':'hello','max_tokens':0,'echo':true,'logprobs':2}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "choices.0.text"), "hello");
    ck_assert_int_eq(length_at(reply, "choices.0.logprobs.tokens"), 5);
    ck_assert(cJSON_IsNull(reply_at(reply, "choices.0.logprobs.token_logprobs.0")));
}
END_TEST

START_TEST(logprobs_are_of_the_tokens_chosen)
{
    struct reply *reply = post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':'a','max_tokens':4,'logprobs':3,'temperature':0}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "choices.0.logprobs.tokens"), 4);
    ck_assert_int_eq(length_at(reply, "choices.0.logprobs.token_logprobs"), 4);
    ck_assert_int_eq(length_at(reply, "choices.0.logprobs.top_logprobs"), 4);
    ck_assert_int_eq(length_at(reply, "choices.0.logprobs.text_offset"), 4);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "choices.0.logprobs.token_logprobs.%d", i);
        double chosen = number_at(reply, path);
        ck_assert_double_lt(chosen, 0);
        /* Greedy: the token is the likeliest, so it leads the alternatives. */
        snprintf(path, sizeof path, "choices.0.logprobs.top_logprobs.%d", i);
        cJSON *top = reply_at(reply, path);
        ck_assert_int_eq(cJSON_GetArraySize(top), 3);
        for (cJSON *other = top->child; other != NULL; other = other->next)
            ck_assert_double_le(other->valuedouble, chosen + 1e-9);
    }
}
END_TEST

START_TEST(logit_bias_forbids_and_forces)
{
    struct reply *reply = post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':'a','max_tokens':8,'logit_bias':{'2':100},'seed':1}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "choices.0.text"), "aaaaaaaa");
    reply = post(&server, "/v1/completions", "{'model':'tiny-characters','prompt':'a',"
                 "'max_tokens':200,'logit_bias':{'2':-100},'seed':1}");
    expect_ok(reply);
    ck_assert_ptr_null(strchr(text_at(reply, "choices.0.text"), 'a'));
}
END_TEST

START_TEST(a_model_of_bytes_answers_in_utf8_all_the_same)
{
    for (int seed = 0; seed < 8; seed++) {
        struct reply *reply = postf(&server, "/v1/completions",
                                    "{'model':'tiny-bytes','prompt':'a','max_tokens':64,'seed':%d}", seed);
        expect_ok(reply);
        const unsigned char *at = (const unsigned char *)reply->body;
        while (*at != '\0') {
            int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2
                     : *at >= 0xf0 && *at < 0xf5 ? 3 : -1;
            ck_assert_int_ge(more, 0);
            for (at++; more > 0; more--, at++)
                ck_assert_int_eq(*at & 0xc0, 0x80);
        }
    }
}
END_TEST

START_TEST(a_text_is_scored)
{
    struct reply *reply = post(&server, "/v1/score", "{'model':'tiny-characters','input':'hello'}");
    expect_ok(reply);
    struct reply copy = *reply;
    const char *found = strstr(copy.body, "log_likelihood");
    ck_assert_msg(found != NULL, "no log_likelihood in %s", copy.body);
    ck_assert_ptr_nonnull(strstr(copy.body, "perplexity"));
}
END_TEST

START_TEST(tokens_come_from_text_and_go_back)
{
    struct reply *reply = post(&server, "/v1/tokenize", "{'model':'tiny-characters','input':'ab é'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "tokens"), 4);
    ck_assert_double_eq(number_at(reply, "tokens.0"), 2);
    reply = post(&server, "/v1/detokenize", "{'model':'tiny-characters','tokens':[2,3,1,32]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "text"), "ab é");
}
END_TEST

START_TEST(embeddings_have_openais_shape)
{
    struct reply *reply = post(&server, "/v1/embeddings",
                               "{'model':'tiny-characters','input':['ab','hello']}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "list");
    ck_assert_int_eq(length_at(reply, "data"), 2);
    ck_assert_str_eq(text_at(reply, "data.1.object"), "embedding");
    ck_assert_double_eq(number_at(reply, "data.1.index"), 1);
    ck_assert_int_eq(length_at(reply, "data.0.embedding"), 16);
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 7);
}
END_TEST

/* Series and labels ------------------------------------------------------------------------- */

START_TEST(a_series_is_continued)
{
    struct reply *reply = post(&server, "/v1/forecast", "{'model':'tiny-series','series':[2,4,8],"
                               "'horizon':3,'seed':1,'quantiles':[0.1,0.5,0.9]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "forecast");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-series");
    ck_assert_double_eq(number_at(reply, "horizon"), 3);
    ck_assert_int_eq(length_at(reply, "forecasts"), 1);
    ck_assert_int_eq(length_at(reply, "forecasts.0.mean"), 3);
    cJSON *quantiles = reply_at(reply, "forecasts.0.quantiles");
    ck_assert_int_eq(cJSON_GetArraySize(quantiles), 3);
    cJSON *low = cJSON_GetObjectItemCaseSensitive(quantiles, "0.1");
    cJSON *high = cJSON_GetObjectItemCaseSensitive(quantiles, "0.9");
    for (int t = 0; t < 3; t++)
        ck_assert_double_lt(cJSON_GetArrayItem(low, t)->valuedouble,
                            cJSON_GetArrayItem(high, t)->valuedouble);
    ck_assert_double_ge(number_at(reply, "usage.steps_in"), 3);
    ck_assert_double_ge(number_at(reply, "usage.steps_out"), 3);
    /* One step from zero-weight arithmetic that make.py also does: scale 14/3, last value 8. */
    ck_assert_double_eq_tol(number_at(reply, "forecasts.0.mean.0"), 8 + -0.0553352 * 14 / 3, 1e-4);
}
END_TEST

START_TEST(many_series_of_different_length_are_continued)
{
    struct reply *reply = post(&server, "/v1/forecast", "{'series':[[1],[1,2,3],[5,4,3,2,1,0]],'horizon':2}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "forecasts"), 3);
    ck_assert_int_eq(length_at(reply, "forecasts.2.mean"), 2);
}
END_TEST

START_TEST(labelled_series_keep_their_names_and_dates)
{
    struct reply *reply = post(
        &server, "/v1/forecast",
        "{'series':[{'id':'a','target':[1,null,3],'start':'2026-01-31T22:00:00Z','freq':'H'},"
        "{'id':'b','target':[]},{'id':'c','target':[1,2]}],'horizon':2}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "forecasts.0.id"), "a");
    ck_assert_int_eq(length_at(reply, "forecasts.0.mean"), 2);
    ck_assert_str_eq(text_at(reply, "forecasts.0.timestamps.0"), "2026-02-01T01:00:00Z");
    ck_assert_str_eq(text_at(reply, "forecasts.1.id"), "b");
    ck_assert_ptr_nonnull(reply_at(reply, "forecasts.1.error"));
    ck_assert_ptr_null(reply_at(reply, "forecasts.1.mean"));
    ck_assert_int_eq(length_at(reply, "forecasts.2.mean"), 2);
}
END_TEST

START_TEST(samples_are_returned_where_asked)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               "{'series':[1,2,3],'horizon':4,'num_samples':7,'seed':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "forecasts.0.samples"), 7);
    ck_assert_int_eq(length_at(reply, "forecasts.0.samples.6"), 4);
}
END_TEST

START_TEST(a_text_is_labelled_best_first)
{
    struct reply *reply = post(&server, "/v1/classify", "{'model':'tiny-labels','input':'a very good film'}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "classification");
    ck_assert_int_eq(length_at(reply, "results"), 1);
    ck_assert_int_eq(length_at(reply, "results.0"), 3);
    double sum = 0, last = 1;
    for (int i = 0; i < 3; i++) {
        char path[32];
        snprintf(path, sizeof path, "results.0.%d.score", i);
        double score = number_at(reply, path);
        ck_assert_double_le(score, last);
        sum += last = score;
    }
    ck_assert_double_eq_tol(sum, 1, 1e-5);
}
END_TEST

START_TEST(texts_and_sequences_are_labelled)
{
    struct reply *reply = post(&server, "/v1/classify",
                               "{'model':'tiny-labels','input':['good','a bad film'],'top_k':1}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results"), 2);
    ck_assert_int_eq(length_at(reply, "results.1"), 1);
    reply = post(&server, "/v1/classify", "{'model':'tiny-gestures','input':[[1,0,-2],[3,0.5,1]],'top_k':2}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results"), 1);
    ck_assert_int_eq(length_at(reply, "results.0"), 2);
    reply = post(&server, "/v1/classify",
                 "{'model':'tiny-gestures','input':[[[1,0,-2]],[[3,0.5,1],[1,2,3]]]}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "results"), 2);
}
END_TEST

/* What all have in common ------------------------------------------------------------------- */

START_TEST(a_good_request_id_is_kept_and_a_bad_one_replaced)
{
    struct client client = {0};
    static struct reply reply;
    client_open(&client, &server);
    client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: a-b_c.1:2/3\r\n\r\n");
    ck_assert(client_read(&client, &reply));
    ck_assert_str_eq(reply_header(&reply, "X-Request-Id"), "a-b_c.1:2/3");
    client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: <script>\r\n\r\n");
    ck_assert(client_read(&client, &reply));
    ck_assert_str_ne(reply_header(&reply, "X-Request-Id"), "<script>");
    ck_assert_uint_gt(strlen(reply_header(&reply, "X-Request-Id")), 8);
    client_close(&client);
}
END_TEST

START_TEST(timing_is_told_in_a_header)
{
    double queue, compute, total;
    struct reply *reply = post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':4}");
    expect_ok(reply);
    ck_assert_int_eq(sscanf(reply_header(reply, "Server-Timing"),
                            "queue;dur=%lf, compute;dur=%lf, total;dur=%lf", &queue, &compute, &total), 3);
    ck_assert_double_ge(total + 0.01, queue + compute);
}
END_TEST

/* Method, path, and what the answer is. */
static const struct {
    const char *method, *path;
    int status;
    const char *code, *allow;
} wrong[] = {
    {"GET", "/nothing", 404, "not_found", ""},
    {"GET", "/v1", 404, "not_found", ""},
    {"GET", "/v1/modelsx", 404, "not_found", ""},
    {"GET", "//v1/models", 404, "not_found", ""},
    {"GET", "/v1/completions/x", 404, "not_found", ""},
    {"GET", "/../../etc/passwd", 404, "not_found", ""},
    {"POST", "/nothing", 404, "not_found", ""},
    {"GET", "/v1/completions", 405, "method_not_allowed", "POST"},
    {"PUT", "/v1/completions", 405, "method_not_allowed", "POST"},
    {"DELETE", "/v1/models/tiny-series", 405, "method_not_allowed", "GET, HEAD"},
    {"POST", "/health", 405, "method_not_allowed", "GET, HEAD"},
    {"OPTIONS", "/metrics", 405, "method_not_allowed", "GET, HEAD"},
    {"PATCH", "/v1/forecast", 405, "method_not_allowed", "POST"},
    {"BREW", "/v1/classify", 405, "method_not_allowed", "POST"},
};

START_TEST(unknown_paths_and_methods_are_told_so)
{
    struct reply *reply = ask(&server, wrong[_i].method, wrong[_i].path, NULL);
    expect_error(reply, wrong[_i].status, wrong[_i].code, "");
    ck_assert_str_eq(reply_header(reply, "Allow"), wrong[_i].allow);
}
END_TEST

START_TEST(the_content_type_must_be_json)
{
    static const struct {
        const char *type;
        int status;
    } rows[] = {{"text/plain", 415}, {"application/x-www-form-urlencoded", 415}, {"application/jsonx", 415},
                {"multipart/form-data; boundary=x", 415}, {"application/json", 200},
                {"APPLICATION/JSON", 200}, {"application/json; charset=utf-8", 200},
                {"application/json;charset=UTF-8", 200}};
    static const char body[] = "{\"series\":[1,2],\"horizon\":1}";
    static struct reply reply;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = {0};
        client_open(&client, &server);
        client_say(&client, "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: %s\r\n"
                   "Content-Length: %zu\r\n\r\n%s", rows[i].type, sizeof body - 1, body);
        ck_assert(client_read(&client, &reply));
        if (rows[i].status == 200)
            expect_ok(&reply);
        else
            expect_error(&reply, 415, "unsupported_media_type", "");
        client_close(&client);
    }
}
END_TEST

Suite *routes_suite(void);

Suite *routes_suite(void)
{
    Suite *suite = suite_create("routes");
    TCase *operations = tcase_create("operations");
    tcase_add_checked_fixture(operations, start, stop);
    tcase_add_test(operations, health_livez_and_readyz_say_yes);
    tcase_add_test(operations, models_are_listed_as_openai_does);
    tcase_add_test(operations, a_model_tells_what_it_is);
    tcase_add_test(operations, info_publishes_the_limits);
    tcase_add_test(operations, metrics_are_prometheus_text);
    tcase_add_test(operations, head_is_get_without_a_body);
    suite_add_tcase(suite, operations);

    TCase *text = tcase_create("text");
    tcase_add_checked_fixture(text, start, stop);
    tcase_add_test(text, a_completion_has_openais_shape);
    tcase_add_test(text, the_seed_used_is_returned_and_gives_the_same_text);
    tcase_add_test(text, max_tokens_left_out_is_the_bundles);
    tcase_add_test(text, temperature_0_is_greedy_whatever_the_seed);
    tcase_add_test(text, prompts_times_n_choices_come_in_order);
    tcase_add_test(text, best_of_tries_more_than_it_returns);
    tcase_add_test(text, prompts_may_be_tokens);
    tcase_add_test(text, a_stop_string_ends_the_text_and_is_not_in_it);
    tcase_add_test(text, the_token_that_ends_a_text_is_a_stop);
    tcase_add_test(text, echo_puts_the_prompt_first);
    tcase_add_test(text, logprobs_are_of_the_tokens_chosen);
    tcase_add_test(text, logit_bias_forbids_and_forces);
    tcase_add_test(text, a_model_of_bytes_answers_in_utf8_all_the_same);
    tcase_add_test(text, a_text_is_scored);
    tcase_add_test(text, tokens_come_from_text_and_go_back);
    tcase_add_test(text, embeddings_have_openais_shape);
    suite_add_tcase(suite, text);

    TCase *others = tcase_create("series and labels");
    tcase_add_checked_fixture(others, start, stop);
    tcase_add_test(others, a_series_is_continued);
    tcase_add_test(others, many_series_of_different_length_are_continued);
    tcase_add_test(others, labelled_series_keep_their_names_and_dates);
    tcase_add_test(others, samples_are_returned_where_asked);
    tcase_add_test(others, a_text_is_labelled_best_first);
    tcase_add_test(others, texts_and_sequences_are_labelled);
    suite_add_tcase(suite, others);

    TCase *common = tcase_create("common");
    tcase_add_checked_fixture(common, start, stop);
    tcase_add_test(common, a_good_request_id_is_kept_and_a_bad_one_replaced);
    tcase_add_test(common, timing_is_told_in_a_header);
    tcase_add_loop_test(common, unknown_paths_and_methods_are_told_so, 0,
                        (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(common, the_content_type_must_be_json);
    suite_add_tcase(suite, common);
    return suite;
}
