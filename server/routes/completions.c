/* POST /v1/completions: OpenAI's request and response. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "models/generation/ngrams.h"
#include "models/text/sentence.h"
#include "models/text/utf8.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/codec.h"
#include "server/routes/completion.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

enum { STREAM_BYTES = 4 << 20, PIECE_BYTES_TOLD = 16 };
#define MAX_SEED 9007199254740991

/* ---- printing ------------------------------------------------------------------------------- */

static size_t count_characters(const char *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* A piece that is no text by itself, as half of a character is, goes by its bytes, as OpenAI writes it: so
 * that no two pieces have one name. */
static void put_piece(struct writer *out, const struct completion *completion, int32_t id)
{
    size_t bytes, offset;
    const char *piece = tokenizer_piece(completion->work.job->model->tokenizer, id, &bytes);
    if (utf8_is_valid(piece, bytes, &offset)) {
        put_string_n(out, piece, bytes);
        return;
    }
    char name[6 + 4 * PIECE_BYTES_TOLD + 1] = "bytes:";
    for (size_t i = 0; i < bytes && i < PIECE_BYTES_TOLD; i++)
        snprintf(name + 6 + 4 * i, 5, "\\x%02x", (unsigned char)piece[i]);
    put_string_n(out, name, strlen(name));
}

static void put_alternative(struct writer *out, const struct completion *completion, int32_t id,
                            float logprob)
{
    put_piece(out, completion, id);
    put_raw(out, ":", 1);
    out->need_comma = false;
    put_float(out, logprob);
}

/* The likeliest tokens and, as OpenAI has it, the one that was drawn, if it is none of them. */
static void put_top(struct writer *out, const struct completion *completion,
                    const struct generation_choice *choice, size_t token)
{
    if (isnan(choice->logprobs[token])) {
        put_null(out);
        return;
    }
    put_open(out, '{');
    bool has_drawn = false;
    for (size_t k = 0; k < choice->n_top; k++) {
        const struct token_logprob *top = &choice->top[token * choice->n_top + k];
        if (isnan(top->logprob)) continue;
        put_alternative(out, completion, top->id, top->logprob);
        has_drawn |= top->id == choice->tokens[token];
    }
    if (!has_drawn) put_alternative(out, completion, choice->tokens[token], choice->logprobs[token]);
    put_close(out, '}');
}

/* Tokens sent->tokens .. choice->n_tokens, in OpenAI's four parallel arrays. */
static void put_logprobs(struct writer *out, const struct completion *completion,
                         const struct generation_choice *choice, const struct sent *sent)
{
    put_open(out, '{');
    put_name(out, "tokens");
    put_open(out, '[');
    for (size_t i = sent->tokens; i < choice->n_tokens; i++) put_piece(out, completion, choice->tokens[i]);
    put_close(out, ']');
    put_name(out, "token_logprobs");
    put_open(out, '[');
    for (size_t i = sent->tokens; i < choice->n_tokens; i++) put_float(out, choice->logprobs[i]);
    put_close(out, ']');
    put_name(out, "top_logprobs");
    put_open(out, '[');
    for (size_t i = sent->tokens; i < choice->n_tokens; i++) put_top(out, completion, choice, i);
    put_close(out, ']');
    put_name(out, "text_offset");
    put_open(out, '[');
    size_t at = sent->text, characters = sent->characters;
    for (size_t i = sent->tokens; i < choice->n_tokens; i++) {
        size_t offset = choice->text_offsets[i] < choice->n_text ? choice->text_offsets[i] : choice->n_text;
        if (offset > at) {
            characters += count_characters(choice->text + at, offset - at);
            at = offset;
        }
        put_integer(out, (int64_t)characters);
    }
    put_close(out, ']');
    put_close(out, '}');
}

void completion_put_choice(struct writer *out, const struct completion *completion, size_t index,
                           const struct generation_choice *choice, struct sent *sent)
{
    put_open(out, '{');
    put_name(out, "text");
    put_string_n(out, choice->text + sent->text, choice->n_text - sent->text);
    put_named_integer(out, "index", (int64_t)index);
    put_name(out, "logprobs");
    if (completion->logprobs >= 0) put_logprobs(out, completion, choice, sent);
    else put_null(out);
    put_name(out, "finish_reason");
    if (choice->finish == FINISH_NONE) put_null(out);
    else put_string(out, choice->finish == FINISH_STOP ? "stop" : "length");
    put_close(out, '}');
    sent->characters += count_characters(choice->text + sent->text, choice->n_text - sent->text);
    sent->text = choice->n_text;
    sent->tokens = choice->n_tokens;
    sent->finish = choice->finish != FINISH_NONE;
}

void completion_put_head(struct writer *out, const struct completion *completion)
{
    put_named_string(out, "id", completion->id);
    put_named_string(out, "object", "text_completion");
    put_named_integer(out, "created", completion->created_s);
    put_named_string(out, "model", completion->work.job->model->name);
}

void completion_put_usage(struct writer *out, const struct completion *completion)
{
    size_t prompt = generation_prompt_tokens(completion->job),
           made = generation_completion_tokens(completion->job);
    put_name(out, "usage");
    put_open(out, '{');
    put_named_integer(out, "prompt_tokens", (int64_t)prompt);
    put_named_integer(out, "completion_tokens", (int64_t)made);
    put_named_integer(out, "total_tokens", (int64_t)(prompt + made));
    if (completion->n_cached) {
        put_name(out, "prompt_tokens_details");
        put_open(out, '{');
        put_named_integer(out, "cached_tokens", (int64_t)completion->n_cached);
        put_close(out, '}');
    }
    put_close(out, '}');
}

static double tokens_per_second(const struct completion *completion)
{
    double ms = completion->work.timings.decode_ms;
    return ms > 0 ? (double)generation_completion_tokens(completion->job) * 1000 / ms : 0;
}

void completion_put_timings(struct writer *out, const struct completion *completion)
{
    const struct job_timings *timings = &completion->work.timings;
    put_named_integer(out, "seed", completion->seed);
    answer_warnings(out, &completion->work.warnings);
    put_name(out, "timings");
    put_open(out, '{');
    put_named_rounded(out, "queue_ms", timings->queue_ms);
    put_named_rounded(out, "prompt_ms", timings->prompt_ms);
    put_named_rounded(out, "decode_ms", timings->decode_ms);
    put_named_rounded(out, "tokens_per_second", tokens_per_second(completion));
    put_named_rounded(out, "mean_batch", timings->mean_batch);
    put_close(out, '}');
    branch_put(completion->work.branch, out);
}

void completion_record(struct completion *completion, struct request *request)
{
    struct generation_choice choice;
    bool any_length = false;
    completion_keep_prefixes(completion, request);
    size_t n = generation_n_choices(completion->job), made = generation_completion_tokens(completion->job);
    for (size_t i = 0; i < n; i++) {
        generation_read(completion->job, i, &choice);
        any_length |= choice.finish == FINISH_LENGTH;
    }
    enum end end = any_length ? END_LENGTH : END_STOP;
    request->record.end = (int)end;
    request->record.finish = metrics_end_name(end);
    request->record.steps_out = made;
    if (!(request->record.first_ms > 0)) /* not streamed */
        request->record.first_ms = completion->work.timings.queue_ms + completion->work.timings.prompt_ms;
    if (made > n)
        metrics_observe(request->server->metrics, HISTOGRAM_INTER_TOKEN,
                        completion->work.timings.decode_ms * 1e-3 * (double)n / (double)(made - n));
}

void completion_put_whole(struct writer *out, const struct completion *completion)
{
    put_open(out, '{');
    completion_put_head(out, completion);
    put_name(out, "choices");
    put_open(out, '[');
    for (size_t i = 0; i < generation_n_choices(completion->job); i++) {
        struct generation_choice choice;
        struct sent sent = {0};
        generation_read(completion->job, i, &choice);
        completion_put_choice(out, completion, i, &choice, &sent);
    }
    put_close(out, ']');
    completion_put_usage(out, completion);
    completion_put_timings(out, completion);
    put_close(out, '}');
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    struct completion *completion = (struct completion *)work;
    struct writer out;
    completion_record(completion, request);
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    completion_put_whole(&out, completion);
    answer_writer(&out, reply);
}

static void release(struct work *work)
{
    struct completion *completion = (struct completion *)work;
    events_release(&completion->events);
    job_free(work->job);
    memory_free(completion->sent);
    free(completion);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* An empty string alone asks for no stop, as an empty list does; in a list it is a mistake. */
static bool read_stop(struct call *call, struct generation_request *r)
{
    const struct json *stop = json_get(call->root, "stop");
    size_t max = (size_t)call->config->limits_stop_bytes;
    bool list = json_kind(stop) == JSON_ARRAY;
    char param[ERROR_PARAM_BYTES] = "stop";
    if (!stop || (json_kind(stop) == JSON_STRING && !json_string(stop)[0])) return true;
    if (list && json_count(stop) > GENERATION_MAX_STOPS)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "stop",
                           "'stop' has %zu strings; expected at most %d", json_count(stop),
                           GENERATION_MAX_STOPS);
    for (const struct json *item = list ? json_first(stop) : stop; item;
         item = list ? json_next(item) : NULL) {
        if (list) snprintf(param, sizeof param, "stop[%zu]", r->n_stops);
        if (json_kind(item) != JSON_STRING || !json_string(item)[0])
            return field_expected(item, param,
                                  list ? "a string that is not empty"
                                       : "a string, or an array of strings that are not empty",
                                  call->problem);
        size_t bytes = strlen(json_string(item));
        if (bytes > max)
            return problem_set(call->problem, FAULT_INVALID_VALUE, param,
                               "'%s' is %zu bytes long; expected at most %zu", param, bytes, max);
        r->stops[r->n_stops] = json_string(item);
        r->stop_bytes[r->n_stops++] = bytes;
    }
    return true;
}

/* A token id, as the decimal key of logit_bias. */
static bool parse_id(const char *key, size_t vocabulary, int32_t *id)
{
    char *end;
    if (*key < '0' || *key > '9' || strlen(key) > 9) return false;
    unsigned long value = strtoul(key, &end, 10);
    if (*end || value >= vocabulary) return false;
    *id = (int32_t)value;
    return true;
}

/* *biases is the caller's to memory_free. */
static bool read_biases(struct call *call, struct generation_request *r, struct logit_bias **biases)
{
    const struct json *field = json_get(call->root, "logit_bias");
    size_t vocabulary = tokenizer_size(call->model->tokenizer), n = json_count(field);
    if (!field) return true;
    if (json_kind(field) != JSON_OBJECT)
        return field_expected(field, "logit_bias", "an object of token ids and biases", call->problem);
    if (n > (size_t)call->config->limits_logit_biases)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "logit_bias",
                           "'logit_bias' has %zu entries; expected at most %lld", n,
                           (long long)call->config->limits_logit_biases);
    *biases = memory_new(n, sizeof **biases);
    if (!*biases) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (const struct json *item = json_first(field); item; item = json_next(item)) {
        struct logit_bias *bias = &(*biases)[r->n_biases];
        char shown[QUOTE_BYTES];
        double number = 0;
        if (!parse_id(json_key(item), vocabulary, &bias->id))
            return problem_set(call->problem, FAULT_INVALID_VALUE, "logit_bias",
                               "the key %s of 'logit_bias' is no token id from 0 to %zu",
                               sentence_quote(shown, json_key(item), strlen(json_key(item))),
                               vocabulary - 1);
        if (json_kind(item) == JSON_NUMBER) number = json_number(item);
        if (json_kind(item) != JSON_NUMBER || !(fabs(number) <= 100))
            return field_expected(item, "logit_bias", "numbers from -100 to 100", call->problem);
        bias->bias = (float)number;
        r->n_biases++;
    }
    r->biases = *biases;
    return true;
}

/* Numbers of the sampler; defaults are the bundle's. */
static bool read_sampling(struct call *call, struct generation_request *r)
{
    const struct generation_defaults *defaults = generation_defaults_of(call->model);
    r->temperature = defaults->temperature;
    r->top_p = defaults->top_p;
    r->min_p = defaults->min_p;
    r->repetition_penalty = defaults->repetition_penalty;
    r->top_k = (size_t)defaults->top_k;
    r->no_repeat_ngram_size = (size_t)defaults->no_repeat_ngram_size;
    return field_number(call->root, "temperature", 0, 2, &r->temperature, call->problem) &&
           field_number(call->root, "top_p", 0, 1, &r->top_p, call->problem) &&
           field_number(call->root, "min_p", 0, 1, &r->min_p, call->problem) &&
           field_size(call->root, "top_k", 0, (size_t)1 << 30, &r->top_k, call->problem) &&
           field_size(call->root, "no_repeat_ngram_size", 0, NGRAMS_WINDOW, &r->no_repeat_ngram_size,
                      call->problem) &&
           field_number(call->root, "repetition_penalty", 0.01, 10, &r->repetition_penalty, call->problem) &&
           field_number(call->root, "presence_penalty", -2, 2, &r->presence_penalty, call->problem) &&
           field_number(call->root, "frequency_penalty", -2, 2, &r->frequency_penalty, call->problem);
}

static bool read_amounts(struct call *call, struct generation_request *r, struct completion *completion)
{
    const struct config *config = call->config;
    size_t choices = (size_t)config->limits_choices, max_tokens = (size_t)config->limits_max_tokens;
    int64_t logprobs = -1;
    r->max_tokens = (size_t)generation_defaults_of(call->model)->max_tokens;
    if (r->max_tokens > max_tokens) r->max_tokens = max_tokens;
    r->n = 1;
    completion->seed = call_random_seed();
    if (call->options.from) completion->seed = generation_seed(call->options.from);
    else (void)branch_seed(call->branch, &completion->seed);
    if (!field_boolean(call->root, "echo", &r->echo, call->problem) ||
        !field_size(call->root, "max_tokens", r->echo || call->options.keeps ? 0 : 1, max_tokens,
                    &r->max_tokens,
                    call->problem) ||
        !field_size(call->root, "n", 1, choices, &r->n, call->problem))
        return false;
    r->best_of = r->n;
    if (!field_size(call->root, "best_of", r->n, choices, &r->best_of, call->problem) ||
        !field_integer(call->root, "seed", -MAX_SEED, MAX_SEED, &completion->seed, call->problem) ||
        !field_integer(call->root, "logprobs", 0, GENERATION_MAX_LOGPROBS, &logprobs, call->problem))
        return false;
    r->logprobs = completion->logprobs = (int)logprobs;
    r->seed = (uint64_t)completion->seed;
    completion->echo = r->echo;
    return true;
}

static bool read_stream(struct call *call, struct generation_request *r, struct completion *completion,
                        bool *stream)
{
    const struct json *options = json_get(call->root, "stream_options");
    if (!field_boolean(call->root, "stream", stream, call->problem)) return false;
    if (options && json_kind(options) != JSON_OBJECT)
        return field_expected(options, "stream_options", "an object", call->problem);
    if (options && !*stream)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "stream_options",
                           "'stream_options' goes with 'stream': true only");
    if (options && !field_boolean(options, "include_usage", &completion->include_usage, call->problem)) {
        snprintf(call->problem->param, sizeof call->problem->param, "stream_options.include_usage");
        return false;
    }
    if (*stream && r->best_of > r->n)
        return problem_set(
            call->problem, FAULT_INVALID_VALUE, "best_of",
            "'best_of' is %zu; expected %zu (n), for a stream cannot take back what it has told", r->best_of,
            r->n);
    if (*stream) r->max_unread = (size_t)call->config->limits_unread_tokens;
    return true;
}

/* The prompts are the last thing read, because they take the most work. */
static bool read_request(struct call *call, struct generation_request *r, struct completion *completion,
                         bool *stream, struct logit_bias **biases, struct spans *prompts)
{
    static const struct token_span nothing;
    if (!read_sampling(call, r) || !read_amounts(call, r, completion) ||
        !read_stream(call, r, completion, stream) || !read_stop(call, r) ||
        !read_biases(call, r, biases))
        return false;
    if (!json_get(call->root, "prompt") &&
        (call->options.from || tokenizer_bos(call->model->tokenizer) != TOKEN_NONE)) {
        r->prompts = &nothing;
        r->n_prompts = 1;
        return true;
    }
    if (!spans_read(call, "prompt", TEXTS_ONE | TEXTS_IDS, prompts)) return false;
    r->prompts = prompts->spans;
    r->n_prompts = prompts->n;
    size_t rides = r->best_of * r->n_prompts, max = (size_t)call->config->limits_inputs;
    return rides <= max || problem_set(call->problem, FAULT_INPUT_TOO_LONG, "prompt",
                                       "%zu prompts with %zu choices each; expected at most %zu together",
                                       r->n_prompts, r->best_of, max);
}

/* `completion` is taken if this succeeds. */
static bool submit(struct call *call, const struct generation_request *r, struct completion *completion,
                   bool stream)
{
    struct error err = {0};
    completion->created_s = (int64_t)time(NULL);
    access_new_id("cmpl-", completion->id);
    events_init(&completion->events, STREAM_BYTES);
    completion->sent = memory_new(r->n * r->n_prompts, sizeof *completion->sent);
    if (!completion->sent) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    struct generation_request request = *r;
    struct state *prefix;
    completion_find_prefix(completion, call->request, call->model, &call->options, &request, &prefix);
    enum status status = generation_new(call->model, &request, &call->options, &completion->job, &err);
    state_drop(prefix);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "prompt");
    completion->work.job = generation_job(completion->job);
    completion->work.print = print;
    completion->work.release = release;
    completion->work.branch = call_take_branch(call);
    branch_name(completion->work.branch, completion->id);
    call_record(call, generation_prompt_tokens(completion->job));
    call_defer(call, &completion->work);
    if (stream) call->request->operation = &completion_stream;
    return true;
}

static const char *const known[] = {
    "prompt", "max_tokens", "temperature", "top_p", "n", "best_of", "stop", "logit_bias", "logprobs", "echo",
    "presence_penalty", "frequency_penalty", "seed", "stream", "stream_options", "top_k", "min_p",
    "repetition_penalty", "no_repeat_ngram_size", NULL};

/* OpenAI's fields that would change the answer: of this route, and of chat completions, whose clients send
 * them here after a change of the path. */
static const struct refusal refusals[] = {
    {"suffix", "these models write forward only: leave it out", JSON_STRING},
    {"messages", "a text goes into 'prompt'", JSON_ABSENT},
    {"max_completion_tokens", "send 'max_tokens'", JSON_ABSENT},
    {"max_output_tokens", "send 'max_tokens'", JSON_ABSENT},
    {"top_logprobs", "send their number as 'logprobs'", JSON_ABSENT},
    {"response_format", "the text is not bound to a format: leave it out", JSON_ABSENT},
    {"tools", "these models call no tools: leave it out", JSON_ABSENT},
    {"tool_choice", "these models call no tools: leave it out", JSON_ABSENT},
    {"functions", "these models call no functions: leave it out", JSON_ABSENT},
    {"function_call", "these models call no functions: leave it out", JSON_ABSENT},
    {"reasoning_effort", "these models write without reasoning first: leave it out", JSON_ABSENT},
    {"verbosity", "the length is bound by 'max_tokens' and 'stop' only: leave it out", JSON_ABSENT},
    {"modalities", "these models write text only: leave it out", JSON_ABSENT},
    {"audio", "these models write text only: leave it out", JSON_ABSENT},
    {"web_search_options", "these models search nothing: leave it out", JSON_ABSENT},
    {NULL, NULL, JSON_ABSENT}};

static const struct fields fields = {.known = known, .refusals = refusals, .goes_on = true, .is_open = true};

void api_completions(struct request *request, struct reply *reply)
{
    struct call call;
    struct generation_request r = {0};
    struct logit_bias *biases = NULL;
    struct spans prompts = {0};
    bool stream = false, good;
    if (!call_open(&call, request, reply, &fields, ABILITY_COMPLETE)) return;
    struct completion *completion = calloc(1, sizeof *completion);
    if (!completion) good = problem_set(call.problem, FAULT_NO_MEMORY, NULL, NULL);
    else good = read_request(&call, &r, completion, &stream, &biases, &prompts) &&
                submit(&call, &r, completion, stream);
    if (!good && completion) release(&completion->work);
    memory_free(biases);
    spans_free(&prompts);
    call_close(&call);
}
