/* Everything that can be wrong with a request's JSON, row by row: each is a 400 (or 422) that names the
 * field. One server answers all rows, and must still be well at the end. */
#include <check.h>
#include <math.h>
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
    {"/v1/completions", "{" TEXT ",'no_repeat_ngram_size':-1}", "no_repeat_ngram_size", 0, NULL},
    {"/v1/completions", "{" TEXT ",'no_repeat_ngram_size':1025}", "no_repeat_ngram_size", 0, NULL},
    {"/v1/completions", "{" TEXT ",'no_repeat_ngram_size':1.5}", "no_repeat_ngram_size", 0, NULL},
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
    {"/v1/completions", "{" TEXT ",'stop':['a','']}", "stop[1]", 0, NULL},
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
    {"/v1/score", "{'model':'tiny-characters','input':''}", "input", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':['ab','']}", "input[1]", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':'ab','choices':['c','']}", "choices[1]", 0, NULL},
    {"/v1/score", "{'model':'tiny-characters','input':['a','b'],'choices':['','c']}", "choices[0]", 0, NULL},
    {"/v1/tokenize", "{'model':'tiny-characters'}", "input", 0, NULL},
    {"/v1/tokenize", "{'model':'tiny-characters','input':[[1]]}", NULL, 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters'}", "tokens", 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':'ab'}", "tokens", 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':[36]}", NULL, 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':[0.5]}", NULL, 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters'}", "input", 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters','input':{}}", "input", 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters','input':[]}", "input", 0, NULL},
    {"/v1/embeddings", "{'model':'tiny-characters','input':[1,2]}", "input", 422, "unsupported_for_model"},
    {"/v1/embeddings", "{'model':'tiny-words','input':[[1],[2]]}", "input", 422, "unsupported_for_model"},
    {"/v1/embeddings", "{'model':'tiny-labels','input':[[1]]}", "input", 422, "unsupported_for_model"},
    {"/v1/embeddings", "{'model':'tiny-bytes','input':[256]}", "input[0]", 0, NULL},
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
    {"/v1/forecast", "{" SERIES "}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':null}", "horizon", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':0}", "h", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'prediction_length':'3'}", "prediction_length", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizon':1,'h':1}", "h", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'prediction_length':1}", NULL, 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'quantile_levels':0.5}", "quantile_levels", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'quantile_levels':[0.5,1]}", "quantile_levels[1]", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'quantiles':[0.5],'quantile_levels':[0.5]}", "quantile_levels", 0,
     NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'level':[80]}", "level", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'h':1,'freq':'D'}", "freq", 0, NULL},
    {"/v1/forecast", "{" SERIES ",'horizont':1}", "horizont", 0, NULL},
    {"/v1/forecast", "{'series':[{'target':[1],'item_id':7}],'horizon':1}", "series[0].item_id", 0, NULL},
    {"/v1/forecast", "{'series':[{'target':[1],'id':'a','unique_id':'b'}],'horizon':1}",
     "series[0].unique_id", 0, NULL},
    {"/v1/forecast", "{'series':[{'target':[1]},{'target':[1],'colour':1}],'horizon':1}", "series[1].colour",
     0, NULL},
#define DATED(start, freq) "{'series':[{'target':[1],'start':'" start "','freq':'" freq "'}],'horizon':2}"
    {"/v1/forecast", DATED("yesterday", "D"), "series[0].start", 0, NULL},
    {"/v1/forecast", DATED("2026-01-01", "BMS"), "series[0].freq", 0, NULL},
    {"/v1/forecast", DATED("9999-12-30", "D"), "series[0].start", 0, NULL},
    {"/v1/forecast", DATED("2026-01-01", "10000000D"), "series[0].freq", 0, NULL},
    /* fields that a route does not have */
    {"/v1/score", "{'model':'tiny-characters','input':'ab','colour':1}", "colour", 0, NULL},
    {"/v1/tokenize", "{'model':'tiny-characters','input':'ab','colour':1}", "colour", 0, NULL},
    {"/v1/detokenize", "{'model':'tiny-characters','tokens':[1],'colour':1}", "colour", 0, NULL},
    {"/v1/classify", "{'model':'tiny-labels','input':'good','colour':1}", "colour", 0, NULL},
    {"/v1/completions", "{" TEXT ",'suffix':'a'}", "suffix", 0, NULL},
    {"/v1/completions", "{" TEXT ",'suffix':{}}", "suffix", 0, NULL},
    {"/v1/completions", "{" TEXT ",'messages':[{'role':'user','content':'a'}]}", "messages", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_completion_tokens':3}", "max_completion_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'max_output_tokens':3}", "max_output_tokens", 0, NULL},
    {"/v1/completions", "{" TEXT ",'top_logprobs':3}", "top_logprobs", 0, NULL},
    {"/v1/completions", "{" TEXT ",'response_format':{'type':'json_object'}}", "response_format", 0, NULL},
    {"/v1/completions", "{" TEXT ",'tools':[{}]}", "tools", 0, NULL},
    {"/v1/completions", "{" TEXT ",'tool_choice':'auto'}", "tool_choice", 0, NULL},
    {"/v1/completions", "{" TEXT ",'functions':[{}]}", "functions", 0, NULL},
    {"/v1/completions", "{" TEXT ",'function_call':'auto'}", "function_call", 0, NULL},
    {"/v1/completions", "{" TEXT ",'reasoning_effort':'low'}", "reasoning_effort", 0, NULL},
    {"/v1/completions", "{" TEXT ",'verbosity':'low'}", "verbosity", 0, NULL},
    {"/v1/completions", "{" TEXT ",'modalities':['audio']}", "modalities", 0, NULL},
    {"/v1/completions", "{" TEXT ",'audio':{'voice':'a'}}", "audio", 0, NULL},
    {"/v1/completions", "{" TEXT ",'web_search_options':{'a':1}}", "web_search_options", 0, NULL},
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

START_TEST(openais_routes_ignore_unknown_fields_and_null_is_absent)
{
    expect_ok(post(&server, "/v1/completions", "{" TEXT ",'max_tokens':1,'colour':'red','deep':{'a':[1]}}"));
    expect_ok(post(&server, "/v1/embeddings", "{'model':'tiny-characters','input':'ab','colour':'red'}"));
    expect_ok(post(&server, "/v1/completions",
                   "{" TEXT ",'max_tokens':1,'suffix':'','tools':[],'audio':null}"));
    expect_ok(post(&server, "/v1/completions",
                   "{" TEXT ",'max_tokens':2,'stop':null,'logprobs':null,'seed':null,'n':null,'logit_bias':"
                            "null,'temperature':null,'user':null,'stream':null,'suffix':null}"));
}
END_TEST

/* Of a mean, a quantile or a sample near 1e9, seven digits would leave thousands. */
START_TEST(a_forecast_is_printed_with_all_its_digits)
{
    static const char *const paths[] = {"forecasts.0.mean.0", "forecasts.0.samples.0.1"};
    struct reply *reply = post(&server, "/v1/forecast", "{'model':'tiny-series','horizon':2,'seed':1,"
                               "'series':[1000000001,1000000002,1000000003,1000000004],"
                               "'quantiles':[0.5],'num_samples':3}");
    expect_ok(reply);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        ck_assert_double_gt(fabs(remainder(number_at(reply, paths[i]), 100)), 0);
    cJSON *quantile = cJSON_GetObjectItemCaseSensitive(reply_at(reply, "forecasts.0.quantiles"), "0.5");
    ck_assert_double_gt(fabs(remainder(cJSON_GetArrayItem(quantile, 0)->valuedouble, 100)), 0);
}
END_TEST

START_TEST(numbers_at_their_edges_are_taken)
{
    expect_ok(post(&server, "/v1/completions",
                   "{" TEXT
                   ",'max_tokens':1,'temperature':0.0,'top_p':1,'top_k':0,'min_p':1,'n':1.0,'best_of':16,'"
                   "logprobs':0,'presence_penalty':-2,'frequency_penalty':2,'repetition_penalty':1,'"
                   "no_repeat_ngram_size':1024}"));
    expect_ok(post(&server, "/v1/completions", "{" TEXT ",'max_tokens':1,'stop':''}"));
    expect_ok(post(&server, "/v1/completions", "{" TEXT ",'max_tokens':1,'stop':[]}"));
    struct reply *reply = post(&server, "/v1/detokenize", "{'model':'tiny-characters','tokens':[]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "text"), "");
    reply = post(&server, "/v1/detokenize", "{'model':'tiny-characters','tokens':[[],[2]]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "text.0"), "");
    ck_assert_str_eq(text_at(reply, "text.1"), "a");
    expect_ok(post(&server, "/v1/completions", "{" TEXT ",'max_tokens':1e0,'temperature':1E-3,'n':16}"));
    expect_ok(post(&server, "/v1/forecast", "{'series':[1e-300,1e30,-0.0],'horizon':1}"));
    expect_ok(post(&server, "/v1/forecast", "{'series':[0],'horizon':1,'quantiles':[0.001,0.999]}"));
}
END_TEST

START_TEST(a_synonym_means_the_same)
{
    static const char *const same[] = {
        "{'series':[{'target':[1,2,3],'id':'a'}],'horizon':2,'quantiles':[0.5],'seed':1}",
        "{'series':[{'target':[1,2,3],'item_id':'a'}],'h':2,'quantile_levels':[0.5],'seed':1}",
        "{'series':[{'target':[1,2,3],'unique_id':'a'}],'fh':2,'quantiles':[0.5],'seed':1}",
        "{'series':[{'target':[1,2,3],'id':'a'}],'prediction_length':2,'h':null,'quantiles':[0.5],'seed':1}",
        "{'series':[{'target':[1,2,3],'id':'a'}],'horizon_len':2,'quantiles':[0.5],'seed':1}",
        "{'series':[{'target':[1,2,3],'id':'a'}],'forecast_horizon':2,'quantiles':[0.5],'seed':1}"};
    char first[512] = "";
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct reply *reply = post(&server, "/v1/forecast", same[i]);
        expect_ok(reply);
        char *text = cJSON_PrintUnformatted(reply_at(reply, "forecasts"));
        if (!i) snprintf(first, sizeof first, "%s", text);
        ck_assert_str_eq(text, first);
        free(text);
    }
    ck_assert_ptr_nonnull(strstr(first, "\"id\":\"a\""));
}
END_TEST

/* 'a' is forced, whatever the model finds likeliest; with 'logprobs' 1 that one stands beside it. */
START_TEST(top_logprobs_hold_the_token_drawn)
{
    for (int k = 0; k < 2; k++) {
        struct reply *reply = postf(&server, "/v1/completions",
                                    "{" TEXT ",'max_tokens':20,'logit_bias':{'2':100},'logprobs':%d}", k);
        int n_likeliest = 0;
        char path[80];
        expect_ok(reply);
        ck_assert_int_eq(length_at(reply, "choices.0.logprobs.top_logprobs"), 20);
        for (int i = 0; i < 20; i++) {
            snprintf(path, sizeof path, "choices.0.logprobs.token_logprobs.%d", i);
            double drawn = number_at(reply, path);
            snprintf(path, sizeof path, "choices.0.logprobs.top_logprobs.%d.a", i);
            ck_assert_double_eq(number_at(reply, path), drawn);
            snprintf(path, sizeof path, "choices.0.logprobs.top_logprobs.%d", i);
            int n = cJSON_GetArraySize(reply_at(reply, path));
            n_likeliest += n == 1;
            ck_assert(n >= 1 && n <= k + 1);
        }
        ck_assert(k ? n_likeliest < 20 : n_likeliest == 20);
    }
}
END_TEST

START_TEST(embeddings_take_ids_if_the_bundle_says_so)
{
    char *first = NULL;
    static const char *const same[] = {"'ab'", "['ab']", "[97,98]", "[[97,98]]"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct reply *reply = postf(&server, "/v1/embeddings", "{'model':'tiny-bytes','input':%s}", same[i]);
        expect_ok(reply);
        char *text = cJSON_PrintUnformatted(reply_at(reply, "data.0.embedding"));
        if (first) ck_assert_str_eq(text, first);
        if (first) free(text);
        else first = text;
    }
    free(first);
    struct reply *reply = post(&server, "/v1/embeddings", "{'model':'tiny-characters','input':[1]}");
    ck_assert_msg(strstr(reply->body, "check_embedding_ctx_length=False") != NULL, "%s", reply->body);
    expect_ok(post(&server, "/v1/score", "{'model':'tiny-characters','input':[1,2]}"));
    expect_ok(post(&server, "/v1/completions", "{'model':'tiny-characters','prompt':[1,2],'max_tokens':1}"));
}
END_TEST

START_TEST(dates_are_those_of_pandas)
{
    static const char *const rows[][4] = {
        {"2026-01-04", "W-SUN", "2026-01-11", "2026-01-18"},
        {"2026-12-31", "QE-DEC", "2027-03-31", "2027-06-30"},
        {"2026-01-02", "B", "2026-01-05", "2026-01-06"},
        {"2026-01", "M", "2026-02", "2026-03"},
        {"2026Q4", "Q-DEC", "2027Q1", "2027Q2"},
        {"2026", "Y-DEC", "2027", "2028"},
        {"9999-12-29", "D", "9999-12-30", "9999-12-31"},
        {"2026-01-01T00:00:00.5+0100", "h", "2026-01-01T01:00:00.5+0100", "2026-01-01T02:00:00.5+0100"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply *reply = postf(&server, "/v1/forecast", DATED("%s", "%s"), rows[i][0], rows[i][1]);
        expect_ok(reply);
        ck_assert_str_eq(text_at(reply, "forecasts.0.timestamps.0"), rows[i][2]);
        ck_assert_str_eq(text_at(reply, "forecasts.0.timestamps.1"), rows[i][3]);
    }
    struct reply *reply = post(&server, "/v1/forecast", DATED("2026-01-01", "BMS"));
    ck_assert_msg(strstr(reply->body, "the nearest is 'MS'") != NULL, "%s", reply->body);
    reply = ask(&server, "POST", "/v1/forecast", "{\"series\":[1,NaN],\"horizon\":1}");
    ck_assert_msg(strstr(reply->body, "send null for a missing value") != NULL, "%s", reply->body);
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

START_TEST(strict_json_refuses_unknown_fields_on_openais_routes)
{
    static const char *const strict[] = {"CAROUSEL_HTTP_STRICT_JSON=true", NULL};
    struct server other;
    server_start(&other, strict);
    expect_error(post(&other, "/v1/completions", "{" TEXT ",'max_tokens':1,'colour':'red'}"), 400,
                 "invalid_value", "colour");
    expect_ok(post(&other, "/v1/completions", "{" TEXT ",'max_tokens':1}"));
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
        {"/v1/forecast", "{'series':[[1],[2]],'horizon':5,'num_samples':4,'quantiles':[0.1,0.9]}",
         "num_samples", 0, "input_too_long"},
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
    tcase_add_test(rows, openais_routes_ignore_unknown_fields_and_null_is_absent);
    tcase_add_test(rows, a_forecast_is_printed_with_all_its_digits);
    tcase_add_test(rows, numbers_at_their_edges_are_taken);
    tcase_add_test(rows, top_logprobs_hold_the_token_drawn);
    tcase_add_test(rows, embeddings_take_ids_if_the_bundle_says_so);
    tcase_add_test(rows, dates_are_those_of_pandas);
    tcase_add_test(rows, a_synonym_means_the_same);
    tcase_add_test(rows, huge_but_finite_values_give_no_bare_nan);
    suite_add_tcase(suite, rows);

    TCase *own = tcase_create("own server");
    tcase_add_test(own, strict_json_refuses_unknown_fields_on_openais_routes);
    tcase_add_test(own, limits_of_the_config_are_kept);
    suite_add_tcase(suite, own);
    return suite;
}
