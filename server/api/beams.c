#include "server/api/beams.h"

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/request/server.h"

#define MAX_SEED 9007199254740991 /* 2^53 - 1: every reader of JSON has these integers */

struct translation_request beams_request(const struct call *call, enum ability ability)
{
    const struct translation_spec *spec = translation_spec_of(call->model);
    const struct scheduler *scheduler = call->request->server->scheduler;
    return (struct translation_request){.ability = ability, .num_beams = (size_t)spec->num_beams, .n_best = 1,
                                        .max_tokens = (size_t)spec->max_tokens,
                                        .length_penalty = spec->length_penalty,
                                        .coverage_penalty = spec->coverage_penalty,
                                        .max_whole_steps = scheduler_max_rows(scheduler),
                                        .max_seats = scheduler_max_seats(scheduler)};
}

/* With a temperature above 0 as many are drawn as there are results. */
static bool read_draws(const struct call *call, struct translation_request *request)
{
    size_t beams = 1;
    int64_t seed = call_random_seed();
    request->top_p = 1;
    if (!field_number(call->root, "temperature", 0, 2, &request->temperature, call->problem) ||
        !field_number(call->root, "top_p", 0, 1, &request->top_p, call->problem) ||
        !field_integer(call->root, "seed", 0, MAX_SEED, &seed, call->problem))
        return false;
    request->seed = (uint64_t)seed;
    if (!(request->temperature > 0)) return true;
    if (!field_size(call->root, "num_beams", 1, TRANSLATION_MAX_BEAMS, &beams, call->problem)) return false;
    request->num_beams = request->n_best;
    return beams == 1 || problem_set(call->problem, FAULT_INVALID_VALUE, "num_beams",
                                     "'num_beams' is %zu, but with a 'temperature' above 0 nothing is "
                                     "searched: leave one of them out", beams);
}

bool beams_read(const struct call *call, struct translation_request *request)
{
    if (request->num_beams < request->n_best) request->num_beams = request->n_best;
    return field_size(call->root, "num_beams", 1, TRANSLATION_MAX_BEAMS, &request->num_beams,
                      call->problem) &&
           field_size(call->root, "max_tokens", 1, TRANSLATION_MAX_TOKENS, &request->max_tokens,
                      call->problem) &&
           field_number(call->root, "length_penalty", 0, 10, &request->length_penalty, call->problem) &&
           field_number(call->root, "coverage_penalty", 0, 10, &request->coverage_penalty, call->problem) &&
           field_boolean(call->root, "return_attention", &request->keeps_attention, call->problem) &&
           read_draws(call, request);
}

void beams_put(struct writer *out, const struct translation_result *result)
{
    put_name(out, "score");
    put_double(out, result->score);
    put_name(out, "log_probability");
    put_double(out, result->log_probability);
    put_named_string(out, "finish_reason", result->has_ended ? "stop" : "length");
}

/* The names of tokens. */
static void put_tokens(struct writer *out, const char *name, const struct tokenizer *tokenizer,
                       const int32_t *ids, size_t n, bool has_ended)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t i = 0; i < n + has_ended; i++) {
        size_t bytes;
        const char *piece = tokenizer_piece(tokenizer, i < n ? ids[i] : tokenizer_eos(tokenizer), &bytes);
        put_string_n(out, piece, bytes);
    }
    put_close(out, ']');
}

bool beams_put_attention(struct writer *out, const struct translation *translation, size_t i,
                         const struct translation_result *result)
{
    size_t S, rows = result->n + result->has_ended;
    const struct model *model = translation_model(translation);
    const int32_t *source = translation_source(translation, i, &S);
    float *weights = memory_new(rows * S + 1, sizeof *weights);
    if (!weights) return false;
    if (translation_attention(translation, i, result, weights)) {
        put_name(out, "attention");
        put_open(out, '{');
        if (source) put_tokens(out, "source", model->tokenizer, source, S, false);
        put_tokens(out, "target", model->target, result->tokens, result->n, result->has_ended);
        put_name(out, "weights");
        put_open(out, '[');
        for (size_t r = 0; r < rows; r++) {
            put_open(out, '[');
            for (size_t s = 0; s < S; s++) put_float(out, weights[r * S + s]);
            put_close(out, ']');
        }
        put_close(out, ']');
        put_close(out, '}');
    }
    memory_free(weights);
    return true;
}

bool beams_read_n(const struct call *call, struct translation_request *request)
{
    if (!field_size(call->root, "n", 1, TRANSLATION_MAX_BEAMS, &request->n_best, call->problem) ||
        !beams_read(call, request))
        return false;
    if (request->n_best <= request->num_beams) return true;
    return problem_set(call->problem, FAULT_INVALID_VALUE, "n",
                       "'n' is %zu, expected at most num_beams, which is %zu", request->n_best,
                       request->num_beams);
}

char *beams_text(const struct tokenizer *tokenizer, const struct translation_result *result)
{
    size_t bytes = 0;
    char *text = memory_new(result->n * tokenizer_max_piece(tokenizer) + 1, 1);
    for (size_t i = 0; text && i < result->n; i++)
        bytes += tokenizer_append(tokenizer, i ? result->tokens[i - 1] : TOKEN_NONE, result->tokens[i],
                                  text + bytes);
    if (text) text[bytes] = '\0';
    return text;
}

bool beams_put_text(struct writer *out, const struct tokenizer *tokenizer,
                    const struct translation_result *result)
{
    char *text = beams_text(tokenizer, result);
    if (text) put_named_string(out, "text", text);
    memory_free(text);
    return text != NULL;
}

void beams_put_seed(struct writer *out, const struct translation *translation)
{
    const uint64_t *seed = translation_seed(translation);
    if (seed) put_named_integer(out, "seed", (int64_t)*seed);
}

void beams_end(struct writer *out, const struct work *work, const struct request *request)
{
    const struct usage usage[] = {{"prompt_tokens", request->record.steps_in},
                                  {"completion_tokens", request->record.steps_out},
                                  {"total_tokens", request->record.steps_in + request->record.steps_out}};
    answer_end(out, usage, 3, work);
}

void beams_close(struct writer *out, struct work *work, struct request *request, struct reply *reply)
{
    beams_end(out, work, request);
    answer_writer(out, reply);
}
