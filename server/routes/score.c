/* POST /v1/score: how likely a model finds a text; with choices, which of them it would rather go on with. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/generation/scoring.h"
#include "server/api/answer.h"
#include "server/api/codec.h"
#include "server/request/server.h"
#include "server/api/work.h"

/* Of a scored text, as the tokens themselves are not kept. */
struct length {
    size_t tokens, characters;
    size_t first; /* characters of the first token, which is not scored if nothing is before it */
};

struct score {
    struct work work;
    struct scoring *job;
    size_t n_inputs, n_choices; /* n_choices 0: the inputs themselves are scored */
    struct length *lengths;     /* [n_inputs * max(n_choices, 1)] */
};

struct ranked {
    size_t choice;
    double log_likelihood;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->log_likelihood != y->log_likelihood) return x->log_likelihood < y->log_likelihood ? 1 : -1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static size_t count_characters(const char *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* In code points of the text that was sent, so that what is not in the vocabulary counts as what it is. */
static struct length measure_text(const struct tokenizer *tokenizer, const struct token_span *span,
                                  const char *text)
{
    size_t bytes = strlen(text);
    return (struct length){.tokens = span->n, .characters = count_characters(text, bytes),
                           .first = count_characters(text, tokenizer_first_bytes(tokenizer, text, bytes))};
}

/* In code points of the text that the tokens make; an unknown token stands for one at least. */
static struct length measure_ids(const struct tokenizer *tokenizer, const struct token_span *span,
                                 char *piece)
{
    struct length length = {.tokens = span->n};
    for (size_t i = 0; i < span->n; i++) {
        size_t bytes = tokenizer_append(tokenizer, i ? span->ids[i - 1] : TOKEN_NONE, span->ids[i], piece);
        length.characters += span->ids[i] == tokenizer_unk(tokenizer) ? 1 : count_characters(piece, bytes);
        if (!i) length.first = length.characters;
    }
    return length;
}

static void put_result(struct writer *out, const struct score *task, size_t item, size_t choice)
{
    const struct scoring_result *result = &scoring_results(task->job)[item];
    const struct length *length = &task->lengths[item];
    double characters = (double)(length->characters -
                                 (result->n_scored < length->tokens ? length->first : 0));
    put_open(out, '{');
    if (task->n_choices) put_named_integer(out, "choice", (int64_t)choice);
    put_name(out, "log_likelihood");
    put_double(out, result->log_likelihood);
    put_named_integer(out, "tokens_scored", (int64_t)result->n_scored);
    put_name(out, "perplexity");
    put_double(out, exp(-result->log_likelihood / (double)result->n_scored));
    put_name(out, "bits_per_character");
    put_double(out, -result->log_likelihood / log(2) / characters);
    put_close(out, '}');
}

static bool put_ranking(struct writer *out, const struct score *task, size_t input)
{
    const struct scoring_result *results = scoring_results(task->job) + input * task->n_choices;
    struct ranked *ranked = memory_new(task->n_choices, sizeof *ranked);
    if (!ranked) return false;
    for (size_t k = 0; k < task->n_choices; k++) ranked[k] = (struct ranked){k, results[k].log_likelihood};
    qsort(ranked, task->n_choices, sizeof *ranked, compare_ranked);
    put_open(out, '[');
    for (size_t k = 0; k < task->n_choices; k++)
        put_result(out, task, input * task->n_choices + ranked[k].choice, ranked[k].choice);
    put_close(out, ']');
    memory_free(ranked);
    return true;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    struct score *task = (struct score *)work;
    const struct usage usage[] = {{"prompt_tokens", request->record.steps_in},
                                  {"total_tokens", request->record.steps_in}};
    struct writer out;
    bool good = true;
    answer_open(&out, request, "score-", "score", work->job->model);
    put_name(&out, "results");
    put_open(&out, '[');
    for (size_t i = 0; i < task->n_inputs && good; i++)
        if (task->n_choices) good = put_ranking(&out, task, i);
        else put_result(&out, task, i, 0);
    put_close(&out, ']');
    if (!good) writer_fail(&out);
    answer_close(&out, usage, 2, work, reply);
}

static void release(struct work *work)
{
    struct score *task = (struct score *)work;
    job_free(work->job);
    memory_free(task->lengths);
    free(task);
}

/* `scored` are the spans whose tokens are scored: the n items go through them again and again. */
static bool measure(struct score *task, const struct model *model, const struct spans *scored, size_t n)
{
    char *piece = memory_new(tokenizer_max_piece(model->tokenizer) + 1, 1);
    task->lengths = memory_new(n, sizeof *task->lengths);
    bool good = piece && task->lengths;
    for (size_t i = 0; i < n && good; i++)
        task->lengths[i] =
            scored->texts[i % scored->n]
                ? measure_text(model->tokenizer, &scored->spans[i % scored->n], scored->texts[i % scored->n])
                : measure_ids(model->tokenizer, &scored->spans[i % scored->n], piece);
    memory_free(piece);
    return good;
}

static bool submit(struct call *call, const struct scoring_item *items, const struct spans *scored,
                   size_t n_inputs, size_t n_choices)
{
    struct error err = {0};
    size_t n = n_inputs * (n_choices ? n_choices : 1);
    struct score *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    task->n_inputs = n_inputs;
    task->n_choices = n_choices;
    task->work.print = print;
    task->work.release = release;
    enum status status = STATUS_NO_MEMORY;
    if (measure(task, call->model, scored, n))
        status = scoring_new(call->model, items, n, n_choices, &call->options, &task->job, &err);
    if (status != STATUS_OK) {
        release(&task->work);
        return problem_from(call->problem, status, &err, n_choices ? "choices" : "input");
    }
    task->work.job = scoring_job(task->job);
    call_defer(call, &task->work);
    return true;
}

/* Each input before each choice. */
static bool submit_all(struct call *call, const struct spans *inputs, const struct spans *choices)
{
    size_t each = choices->n ? choices->n : 1, max = (size_t)call->config->limits_inputs;
    if (inputs->n > max / each)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "choices",
                           "%zu inputs with %zu choices each; expected at most %zu together", inputs->n, each,
                           max);
    struct scoring_item *items = memory_new(inputs->n * each, sizeof *items);
    if (!items) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    size_t steps = 0;
    for (size_t i = 0; i < inputs->n * each; i++) {
        struct token_span input = inputs->spans[i / each];
        items[i] = choices->n ? (struct scoring_item){.context = input, .text = choices->spans[i % each]}
                              : (struct scoring_item){.text = input};
        steps += items[i].context.n + items[i].text.n;
    }
    call_record(call, steps);
    bool good = submit(call, items, choices->n ? choices : inputs, inputs->n, choices->n);
    memory_free(items);
    return good;
}

void api_score(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "choices", NULL};
    static const struct fields fields = {
        .known = known, .begins_from = true,
        .stateless = "a score leaves no state behind; it begins from one by previous_response_id or state"};
    struct call call;
    struct spans inputs = {0}, choices = {0};
    if (!call_open(&call, request, reply, &fields, ABILITY_SCORE)) return;
    bool good = spans_read(&call, "input", TEXTS_ONE | TEXTS_IDS, &inputs);
    if (good && json_get(call.root, "choices")) good = spans_read(&call, "choices", TEXTS_LIST, &choices);
    if (good) submit_all(&call, &inputs, &choices);
    spans_free(&inputs);
    spans_free(&choices);
    call_close(&call);
}
