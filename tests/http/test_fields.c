/* Everything that can be wrong with a request's JSON, row by row: each is a 400 (or 422) that names the
 * field. One server answers all rows, and must still be well at the end. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    server_start(&server, NULL);
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

#define TEXT "'model':'tiny-characters','prompt':'ab'"
#define SERIES "'series':[1,2,3]"

struct row {
    const char *path, *body, *param; /* param NULL: any */
    int status;                      /* 0: 400 */
    const char *code;                /* NULL: invalid_value */
};

static const struct row fields[] = {
    /* model */
    {"/v1/completions", "{'prompt':'ab'}", "model", 0, NULL}, /* three could be meant */
    {"/v1/completions", "{'model':7,'prompt':'ab'}", "model", 0, NULL},
    {"/v1/completions", "{'model':'nobody','prompt':'ab'}", "model", 404, "model_not_found"},
    {"/v1/completions", "{'model':'','prompt':'ab'}", "model", 404, "model_not_found"},
    {"/v1/completions", "{'model':'../tiny-characters','prompt':'ab'}", "model", 404, "model_not_found"},
    {"/v1/completions", "{'model':'tiny-series','prompt':'ab'}", "model", 422, "unsupported_for_model"},
    {"/v1/forecast", "{'model':'tiny-labels'," SERIES "}", "model", 422, "unsupported_for_model"},
    {"/v1/classify", "{'model':'tiny-series','input':'good'}", "model", 422, "unsupported_for_model"},
    {"/v1/tokenize", "{'model':'tiny-gestures','input':'good'}", "model", 422, "unsupported_for_model"},
    /* prompt */
    {"/v1/completions", "{'model':'tiny-characters'}", "prompt", 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':7}", "prompt", 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':true}", "prompt", 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':{}}", "prompt", 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[]}", "prompt", 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':['a',7]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[1,'a']}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[1,2.5]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[-1]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[36]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[4294967297]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[[1],'a']}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':[[]]}", NULL, 0, NULL},
    {"/v1/completions", "{'model':'tiny-characters','prompt':''}", NULL, 0, NULL}, /* nothing to start from */
    {"/v1/completions", "{'model':'tiny-characters','prompt':'Q'}", NULL, 0,
     NULL}, /* not in the vocabulary */
    {"/v1/completions", "{'model':'tiny-words','prompt':'the zebra'}", NULL, 0, NULL},
    /* numbers of a completion */
    {"/v1/completions", "{" TEXT ",'max_tokens':'7'}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':-1}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':0}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':1.5}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':1e300}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':99999999}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_tokens':[]}", "max_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'temperature':-0.1}", "temperature", 0, NULL},
    {"/v1/completions", "{" TEXT ",'temperature':1e30}", "temperature", 0, NULL},
    {"/v1/completions", "{" TEXT ",'temperature':1e999}", "temperature", 0, NULL},
    {"/v1/completions", "{" TEXT ",'temperature':'hot'}", "temperature", 0, NULL},
    {"/v1/completions", "{" TEXT ",'temperature':true}", "temperature", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_p':-0.1}", "top_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_p':1.1}", "top_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_p':'1'}", "top_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_k':-1}", "top_k", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_k':0.5}", "top_k", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_k':'all'}", "top_k", 0, NULL},
    {"/v1/completions", "{" TEXT ",'min_p':-0.1}", "min_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'min_p':1.5}", "min_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'min_p':{}}", "min_p", 0, NULL},
    {"/v1/completions", "{" TEXT ",'repetition_penalty':0}", "repetition_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'repetition_penalty':-1}", "repetition_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'repetition_penalty':'1'}", "repetition_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'presence_penalty':2.1}", "presence_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'presence_penalty':[0]}", "presence_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'frequency_penalty':-2.1}", "frequency_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'frequency_penalty':'0'}", "frequency_penalty", 0, NULL},
    {"/v1/completions", "{" TEXT ",'n':0}", "n", 0, NULL},
    {"/v1/completions", "{" TEXT ",'n':17}", "n", 0, NULL},
    {"/v1/completions", "{" TEXT ",'n':'2'}", "n", 0, NULL},
    {"/v1/completions", "{" TEXT ",'n':2,'best_of':1}", "best_of", 0, NULL},
    {"/v1/completions", "{" TEXT ",'best_of':17}", "best_of", 0, NULL},
    {"/v1/completions", "{" TEXT ",'best_of':false}", "best_of", 0, NULL},
    {"/v1/completions", "{" TEXT ",'best_of':3,'stream':true}", "best_of", 0, NULL},
    {"/v1/completions", "{" TEXT ",'seed':'lucky'}", "seed", 0, NULL},
    {"/v1/completions", "{" TEXT ",'seed':1.5}", "seed", 0, NULL},
    {"/v1/completions", "{" TEXT ",'seed':1e30}", "seed", 0, NULL},
    {"/v1/completions", "{" TEXT ",'logprobs':21}", "logprobs", 0, NULL},
    {"/v1/completions", "{" TEXT ",'logprobs':-1}", "logprobs", 0, NULL},
    {"/v1/completions", "{" TEXT ",'logprobs':'3'}", "logprobs", 0, NULL},
    {"/v1/completions", "{" TEXT ",'timeout_ms':-5}", "timeout_ms", 0, NULL},
    {"/v1/completions", "{" TEXT ",'timeout_ms':'5s'}", "timeout_ms", 0, NULL},
    {"/v1/completions", "{" TEXT ",'priority':'high'}", "priority", 0, NULL},
    /* the rest of a completion */
    {"/v1/completions", "{" TEXT ",'echo':1}", "echo", 0, NULL},
    {"/v1/completions", "{" TEXT ",'echo':'true'}", "echo", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stream':'yes'}", "stream", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stream':1}", "stream", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stream':true,'stream_options':true}", "stream_options", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stream':true,'stream_options':{'include_usage':1}}",
     "stream_options.include_usage", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stream_options':{'include_usage':true}}", "stream_options", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stop':7}", "stop", 0, NULL},
    {"/v1/completions", "{" TEXT ",'stop':['a',7]}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'stop':''}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'stop':['1','2','3','4','5','6','7','8','9']}", "stop", 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':[]}", "logit_bias", 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':{'x':1}}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':{'36':1}}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':{'-1':1}}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':{'2':101}}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'logit_bias':{'2':'1'}}", NULL, 0, NULL},
    {"/v1/completions", "{" TEXT ",'user':7}", "user", 0, NULL},
    /* score, tokenize, detokenize, embeddings */
    {"/v1/score", "{'model':'tiny-characters'}", "input", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':7}", "input", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':'ab','choices':'c'}", "choices", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':'ab','choices':[7]}", NULL, 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':'QQ'}", NULL, 0, NULL},
    {"/v1/tokenize", "{'model':'tiny-characters'}", "input", 0, NULL},
    {"/v1/tokenize", "{'model':'tiny-characters','input':[[1]]}", NULL, 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters'}", "tokens", 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':'ab'}", "tokens", 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':[36]}", NULL, 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':[0.5]}", NULL, 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters'}", "input", 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters','input':{}}", "input", 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters','input':[]}", "input", 0, NULL},
    /* forecast */
    {"/v1/forecast", "{'horizon':1}", "series", 0, NULL},
    {"/v1/forecast", "{'series':7,'horizon':1}", "series", 0, NULL},
    {"/v1/forecast", "{'series':'1,2','horizon':1}", "series", 0, NULL},
    {"/v1/forecast", "{'series':[],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{'series':[1,'2'],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{'series':[1,true],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{'series':[1,[2]],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{'series':[1,1e999],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{'series':[null,null],'horizon':1}", NULL, 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':0}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':-1}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1.5}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':'3'}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':99999}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'quantiles':0.5}", "quantiles", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'quantiles':[0]}", NULL, 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'quantiles':[1]}", NULL, 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'quantiles':['0.5']}", NULL, 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'num_samples':-1}", "num_samples", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'num_samples':1001}", "num_samples", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'num_samples':'7'}", "num_samples", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'seed':[]}", "seed", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'timeout_ms':{}}", "timeout_ms", 0, NULL},
    /* classify */
    {"/v1/classify", "{'model':'tiny-labels'}", "input", 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':7}", "input", 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':[]}", "input", 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':['a',7]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':[[1,2,3]]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':'good','top_k':0}", "top_k", 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':'good','top_k':'1'}", "top_k", 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':'good'}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[1,2]]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[1,2,3],[1,2]]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[1,2,null]]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[1,2,'3']]}", NULL, 0, NULL},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[]]}", NULL, 0, NULL},
};

START_TEST(a_wrong_field_is_named)
{
    const struct row *row = &fields[_i];
    struct reply *reply = post(&server, row->path, row->body);
    ck_assert_msg(reply->status == (row->status ? row->status : 400), "%s %s: %d %s", row->path, row->body,
                  reply->status, reply->body);
    expect_error(reply, row->status ? row->status : 400, row->code ? row->code : "invalid_value", row->param);
}
END_TEST

/* Bodies that are not JSON, or not an object. */
static const struct {
    const char *body;
    const char *code;
} bodies[] = {
    {"", "invalid_json"},
    {" ", "invalid_json"},
    {"{", "invalid_json"},
    {"}", "invalid_json"},
    {"{\"series\":[1,2],\"horizon\":1", "invalid_json"},
    {"{\"series\":[1,2],\"horizon\":1}}", "invalid_json"},
    {"{\"series\":[1,2],\"horizon\":1} x", "invalid_json"},
    {"{\"series\":[1,2,],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1,2],\"horizon\":1,}", "invalid_json"},
    {"{'series':[1,2],'horizon':1}", "invalid_json"},
    {"{series:[1,2],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1,NaN],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1,nan],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1,Infinity],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1,-Infinity],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[01],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[+1],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[.5],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1.],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[0x10],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1e],\"horizon\":1}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\\x\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\\ud800\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\\u12\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\\u0000\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"a\nb\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\xff\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\xc0\xaf\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\xed\xa0\x80\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\xf4\x90\x80\x80\"}", "invalid_json"},
    {"{\"series\":[1],\"horizon\":1,\"id\":\"\xe2\x82\"}", "invalid_json"},
    {"{\"series\":[1],\"series\":[2],\"horizon\":1}", "invalid_json"},
    {"\xef\xbb\xbf{\"series\":[1],\"horizon\":1}", "invalid_json"},
    {"// a comment\n{\"series\":[1],\"horizon\":1}", "invalid_json"},
    {"[1,2]", NULL},
    {"7", NULL},
    {"null", NULL},
    {"\"series\"", NULL},
    {"true", NULL},
};

START_TEST(what_is_not_a_json_object_is_refused)
{
    struct reply *reply = ask(&server, "POST", "/v1/forecast", bodies[_i].body);
    ck_assert_msg(reply->status == 400, "%s: %d %s", bodies[_i].body, reply->status, reply->body);
    if (bodies[_i].code != NULL)
        expect_error(reply, 400, bodies[_i].code, NULL);
    else
        text_at(reply, "error.message");
}
END_TEST

START_TEST(a_zero_byte_does_not_hide_what_follows)
{
    static const char body[] = "{\"series\":[1],\"horizon\":1}\0{\"x\":";
    static struct reply reply;
    struct client client = {0};
    client_open(&client, &server);
    client_say(&client, "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n", sizeof body - 1);
    client_send(&client, body, sizeof body - 1);
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 400, "invalid_json", "");
    client_close(&client);
}
END_TEST

START_TEST(deep_json_is_refused)
{
    static const char *const frames[][2] = {{"[", "]"}, {"{\"a\":", "}"}};
    enum { DEPTH = 100000 };
    char *body = malloc(DEPTH * 6 + 64);
    ck_assert_ptr_nonnull(body);
    for (size_t kind = 0; kind < 2; kind++)
        for (int closed = 0; closed < 2; closed++) {
            char *at = body;
            at += sprintf(at, "{\"series\":");
            for (int i = 0; i < DEPTH; i++)
                at += sprintf(at, "%s", frames[kind][0]);
            at += sprintf(at, "1");
            for (int i = 0; closed && i < DEPTH; i++)
                at += sprintf(at, "%s", frames[kind][1]);
            if (closed)
                sprintf(at, ",\"horizon\":1}");
            expect_error(ask(&server, "POST", "/v1/forecast", body), 400, "invalid_json", "");
        }
    free(body);
}
END_TEST

START_TEST(unknown_fields_are_ignored_and_null_is_absent)
{
    expect_ok(post(&server, "/v1/forecast", "{" SERIES ",'horizon':1,'colour':'red','deep':{'a':[1]}}"));
    expect_ok(post(&server, "/v1/completions",
                   "{" TEXT ",'max_tokens':2,'stop':null,'logprobs':null,'seed':null,'n':null,'logit_bias':"
                            "null,'temperature':null,'user':null,'stream':null,'suffix':null}"));
}
END_TEST

START_TEST(numbers_at_their_edges_are_taken)
{
    expect_ok(post(&server, "/v1/completions",
                   "{" TEXT
                   ",'max_tokens':1,'temperature':0.0,'top_p':1,'top_k':0,'min_p':1,'n':1.0,'best_of':16,'"
                   "logprobs':0,'presence_penalty':-2,'frequency_penalty':2,'repetition_penalty':1}"));
    expect_ok(post(&server, "/v1/completions", "{" TEXT ",'max_tokens':1e0,'temperature':1E-3,'n':16}"));
    expect_ok(post(&server, "/v1/forecast", "{'series':[1e-300,1e30,-0.0],'horizon':1}"));
    expect_ok(post(&server, "/v1/forecast", "{'series':[0],'horizon':1,'quantiles':[0.001,0.999]}"));
}
END_TEST

START_TEST(huge_but_finite_values_give_no_bare_nan)
{
    struct reply *reply = post(&server, "/v1/forecast", "{'series':[1e308,-1e308,1e308],'horizon':3}");
    reply_json(reply); /* a refusal or numbers, but JSON */
    ck_assert_ptr_null(strstr(reply->body, "nan"));
    ck_assert_ptr_null(strstr(reply->body, "inf,"));
    reply = post(&server, "/v1/classify", "{'model':'tiny-gestures','input':[[1e308,-1e308,1e308]]}");
    reply_json(reply);
    ck_assert_ptr_null(strstr(reply->body, "nan"));
}
END_TEST

START_TEST(strict_json_refuses_unknown_fields)
{
    static const char *const strict[] = {"CAROUSEL_HTTP_STRICT_JSON=true", NULL};
    struct server other;
    server_start(&other, strict);
    expect_error(post(&other, "/v1/forecast", "{" SERIES ",'horizon':1,'colour':'red'}"), 400,
                 "invalid_value", "colour");
    expect_ok(post(&other, "/v1/forecast", "{" SERIES ",'horizon':1}"));
    ck_assert_int_eq(server_stop(&other), 0);
}
END_TEST

START_TEST(limits_of_the_config_are_kept)
{
    static const char *const settings[] = {
        "CAROUSEL_LIMITS_PROMPT_TOKENS=8", "CAROUSEL_LIMITS_MAX_TOKENS=16", "CAROUSEL_LIMITS_CHOICES=2",
        "CAROUSEL_LIMITS_STOP_BYTES=4", "CAROUSEL_LIMITS_INPUTS=3", "CAROUSEL_LIMITS_SERIES=2",
        "CAROUSEL_LIMITS_SERIES_VALUES=4", "CAROUSEL_LIMITS_HORIZON=5", "CAROUSEL_LIMITS_NUM_SAMPLES=9",
        "CAROUSEL_LIMITS_QUANTILES=2", "CAROUSEL_LIMITS_SAMPLE_VALUES=50",
        "CAROUSEL_LIMITS_SEQUENCE_VALUES=6", "CAROUSEL_LIMITS_LOGIT_BIASES=1",
        "CAROUSEL_LIMITS_JSON_VALUES=64", NULL};
    static const struct row rows[] = {
        {"/v1/completions", "{'model':'tiny-characters','prompt':'abcdefghi'}", "prompt", 0,
         "input_too_long"},
        {"/v1/completions", "{" TEXT ",'max_tokens':17}", "max_tokens", 0, NULL},
        {"/v1/completions", "{" TEXT ",'n':3}", "n", 0, NULL},
        {"/v1/completions", "{" TEXT ",'stop':'abcde'}", NULL, 0, NULL},
        {"/v1/completions", "{'model':'tiny-characters','prompt':['a','b','c','d']}", "prompt", 0, NULL},
        {"/v1/completions", "{" TEXT ",'logit_bias':{'1':1,'2':1}}", "logit_bias", 0, NULL},
        {"/v1/score", "{'model':'tiny-characters','input':'abcdefghi'}", "input", 0, "input_too_long"},
        {"/v1/embeddings", "{'model':'tiny-characters','input':['a','b','c','d']}", "input", 0, NULL},
        {"/v1/classify", "{'model':'tiny-labels','input':['a','b','c','d']}", "input", 0, NULL},
        {"/v1/classify", "{'model':'tiny-gestures','input':[[1,2,3],[1,2,3],[1,2,3]]}", NULL, 0, NULL},
        {"/v1/forecast", "{'series':[[1],[2],[3]],'horizon':1}", "series", 0, NULL},
        {"/v1/forecast", "{'series':[1,2,3,4,5],'horizon':1}", NULL, 0, NULL},
        {"/v1/forecast", "{'series':[1],'horizon':6}", "horizon", 0, NULL},
        {"/v1/forecast", "{'series':[1],'horizon':1,'num_samples':10}", "num_samples", 0, NULL},
        {"/v1/forecast", "{'series':[1],'horizon':1,'quantiles':[0.1,0.5,0.9]}", "quantiles", 0, NULL},
        {"/v1/forecast", "{'series':[[1],[2]],'horizon':5,'num_samples':9}", NULL, 0, NULL},
        {"/v1/forecast",
         "{'series':[1],'horizon':1,'x':[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
         "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}",
         "", 0, "invalid_json"},
    };
    struct server other;
    server_start(&other, settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply *reply = post(&other, rows[i].path, rows[i].body);
        ck_assert_msg(reply->status == 400, "%s: %d %s", rows[i].body, reply->status, reply->body);
        const char *code = text_at(reply, "error.code");
        ck_assert_msg(rows[i].code != NULL
                          ? strcmp(code, rows[i].code) == 0
                          : strcmp(code, "invalid_value") == 0 || strcmp(code, "input_too_long") == 0,
                      "%s: %s", rows[i].body, reply->body);
        expect_error(reply, 400, code, rows[i].param);
    }
    expect_ok(post(&other, "/v1/completions",
                   "{'model':'tiny-characters','prompt':'abcdefgh','max_tokens':16,'n':2}"));
    ck_assert_int_eq(server_stop(&other), 0);
}
END_TEST

Suite *fields_suite(void);

Suite *fields_suite(void)
{
    Suite *suite = suite_create("fields");
    TCase *rows = tcase_create("rows");
    tcase_add_unchecked_fixture(rows, start, stop);
    tcase_add_loop_test(rows, a_wrong_field_is_named, 0, (int)(sizeof fields / sizeof *fields));
    tcase_add_loop_test(rows, what_is_not_a_json_object_is_refused, 0, (int)(sizeof bodies / sizeof *bodies));
    tcase_add_test(rows, a_zero_byte_does_not_hide_what_follows);
    tcase_add_test(rows, deep_json_is_refused);
    tcase_add_test(rows, unknown_fields_are_ignored_and_null_is_absent);
    tcase_add_test(rows, numbers_at_their_edges_are_taken);
    tcase_add_test(rows, huge_but_finite_values_give_no_bare_nan);
    suite_add_tcase(suite, rows);

    TCase *own = tcase_create("own server");
    tcase_add_test(own, strict_json_refuses_unknown_fields);
    tcase_add_test(own, limits_of_the_config_are_kept);
    suite_add_tcase(suite, own);
    return suite;
}
