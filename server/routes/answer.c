/* POST /v1/answer: questions about a text, and the sentences that the answers rest on. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/request.h"
#include "models/jobs/scores.h"
#include "models/tasks/answering.h"
#include "models/tokenizers/segments.h"
#include "server/api/answer.h"
#include "server/api/readings.h"
#include "server/request/server.h"

#define SUPPORTS 0.5f /* an answer rests on a sentence whose probability is at least this */

/* A sentence of the context, and one past its last token: that of the sentence before, if it has none. */
struct sentence {
    struct text_place place;
    size_t end_token;
};

/* What an answer needs of the context, if the model tells on which sentences it rests. */
struct context {
    size_t n_tokens, n_sentences;
    struct sentence sentences[];
};

struct answer {
    struct reading_work reading; /* first; its texts are the questions, and it keeps the context */
    size_t n_best;
};

static const struct context *context_of(const struct answer *task)
{
    return task->reading.kept;
}

/* ---- the answer ------------------------------------------------------------------------------- */

static void put_ranked(struct writer *out, const struct model *model, const struct label_rank *rank)
{
    put_named_string(out, "answer", model->labels[rank->label]);
    put_name(out, "score");
    put_float(out, rank->score);
}

/* Which sentences an answer rests on, by the rows of its question and the context. */
static void put_supporting(struct writer *out, const struct answer *task, const float *rows, size_t n_rows)
{
    const struct model *model = task->reading.work.job->model;
    const struct context *context = context_of(task);
    size_t first = n_rows - input_puts_eos(model) - context->n_tokens, begin = 0;
    put_name(out, "supporting");
    put_open(out, '[');
    for (size_t s = 0; s < context->n_sentences; s++) {
        size_t end = context->sentences[s].end_token;
        if (end > begin && answering_support(model, rows, first + end - 1) >= SUPPORTS)
            put_integer(out, (int64_t)s);
        begin = end;
    }
    put_close(out, ']');
}

static void put_answer(struct writer *out, const struct answer *task, size_t i, struct label_rank *ranks)
{
    const struct model *model = task->reading.work.job->model;
    size_t n_rows;
    const float *rows = reading_rows(task->reading.reading, i, &n_rows);
    scores_rank(answering_scores(model, rows, n_rows), model->n_labels, ranks);
    put_open(out, '{');
    put_named_string(out, "question", task->reading.texts.texts[i]);
    put_ranked(out, model, &ranks[0]);
    if (context_of(task)) put_supporting(out, task, rows, n_rows);
    if (task->n_best > 1) {
        put_name(out, "alternatives");
        put_open(out, '[');
        for (size_t k = 1; k < task->n_best; k++) {
            put_open(out, '{');
            put_ranked(out, model, &ranks[k]);
            put_close(out, '}');
        }
        put_close(out, ']');
    }
    put_close(out, '}');
}

/* The sentences of the context, by whose indexes "supporting" names them. */
static void put_sentences(struct writer *out, const struct context *context)
{
    put_name(out, "sentences");
    put_open(out, '[');
    for (size_t s = 0; s < context->n_sentences; s++) {
        const struct text_place *place = &context->sentences[s].place;
        put_open(out, '{');
        put_named_integer(out, "start", (int64_t)place->start);
        put_named_integer(out, "end", (int64_t)place->end);
        put_named_integer(out, "start_utf16", (int64_t)place->start_utf16);
        put_named_integer(out, "end_utf16", (int64_t)place->end_utf16);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct answer *task = (struct answer *)work;
    const struct model *model = work->job->model;
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct label_rank *ranks = memory_new(model->n_labels, sizeof *ranks);
    struct writer out;
    answer_open(&out, request, "ans-", "answer", model);
    put_name(&out, "answers");
    put_open(&out, '[');
    for (size_t i = 0; i < task->reading.n && ranks; i++) put_answer(&out, task, i, ranks);
    put_close(&out, ']');
    if (context_of(task)) put_sentences(&out, context_of(task));
    if (!ranks) writer_fail(&out);
    memory_free(ranks);
    answer_close(&out, &usage, 1, work, reply);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

/* What a request asks; the members are freed by asked_free. */
struct asked {
    struct spans context, questions;
    struct inputs inputs;     /* a question and the context each; their texts are the questions' */
    int32_t *ids;             /* of all inputs */
    size_t n_best;
};

static void asked_free(struct asked *asked)
{
    spans_free(&asked->context);
    spans_free(&asked->questions);
    memory_free(asked->inputs.inputs);
    memory_free(asked->ids);
}

static bool no_memory(struct call *call)
{
    return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* Find how far the tokens of each sentence reach; the places of the sentences are known. */
static bool find_tokens(const struct tokenizer *tokenizer, const char *text, struct context *context)
{
    struct text_span *tokens = memory_new(context->n_tokens + 1, sizeof *tokens);
    if (!tokens) return false;
    size_t n = tokenizer_places(tokenizer, text, strlen(text), tokens, context->n_tokens), token = 0;
    for (size_t s = 0; s < context->n_sentences; s++) {
        while (token < n && tokens[token].end <= context->sentences[s].place.end_byte) token++;
        context->sentences[s].end_token = token;
    }
    memory_free(tokens);
    return true;
}

/* Cut the context into its sentences. NULL: no memory. */
static struct context *context_new(const struct tokenizer *tokenizer, const char *text, size_t n_tokens)
{
    struct text_span sentence;
    size_t bytes = strlen(text), n = segments_count(text, bytes), at = 0;
    struct piece_of *pieces = memory_new(n + 1, sizeof *pieces);
    struct text_place *places = memory_new(n + 1, sizeof *places);
    struct context *context = memory_new(1, sizeof *context + n * sizeof *context->sentences);
    bool there = pieces && places && context;
    if (there) {
        for (size_t s = 0; s < n && segments_next(text, bytes, &at, &sentence); s++)
            pieces[s] = (struct piece_of){.start = sentence.start, .end = sentence.end};
        texts_pieces(text, pieces, n, places);
        context->n_tokens = n_tokens;
        context->n_sentences = n;
        for (size_t s = 0; s < n; s++) context->sentences[s].place = places[s];
        there = find_tokens(tokenizer, text, context);
    }
    memory_free(pieces);
    memory_free(places);
    if (there) return context;
    memory_free(context);
    return NULL;
}

/* Read the context and the questions, neither of which may be empty. */
static bool read_texts(struct call *call, struct asked *asked)
{
    const struct json *context = json_get(call->root, "context");
    if (json_kind(context) != JSON_STRING)
        return field_expected(context, "context", "a string", call->problem);
    if (!spans_read(call, "context", TEXTS_ONE, &asked->context) ||
        !spans_read(call, "question", TEXTS_ONE, &asked->questions))
        return false;
    if (asked->context.n_tokens == 0)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "context",
                           "'context' has no words; expected the text that is asked about");
    for (size_t i = 0; i < asked->questions.n; i++)
        if (asked->questions.spans[i].n == 0)
            return problem_set(call->problem, FAULT_INVALID_VALUE, "question",
                               "question %zu has no words; expected a question", i);
    return true;
}

/* One input a question: its tokens and those of the context. */
static bool join_texts(struct call *call, struct asked *asked)
{
    const struct spans *questions = &asked->questions;
    const struct token_span *context = &asked->context.spans[0];
    size_t n = questions->n, most = SIZE_MAX / sizeof(int32_t) / (n + 1);
    if (context->n >= most - questions->n_tokens) return no_memory(call);
    size_t n_ids = questions->n_tokens + n * context->n;
    asked->ids = memory_new(n_ids + 1, sizeof *asked->ids);
    asked->inputs = (struct inputs){.inputs = memory_new(n + 1, sizeof *asked->inputs.inputs), .n = n,
                                    .n_steps = n_ids, .texts = *questions};
    if (!asked->ids || !asked->inputs.inputs) return no_memory(call);
    int32_t *at = asked->ids;
    for (size_t i = 0; i < n; i++) {
        size_t length = questions->spans[i].n + context->n;
        answering_join(&questions->spans[i], context, at);
        asked->inputs.inputs[i] = (struct input){.tokens = {at, length}};
        at += length;
    }
    return true;
}

/* A network that reads whole sequences reads no longer ones than a turn has rows. */
static bool check_lengths(struct call *call, const struct asked *asked)
{
    const size_t most = scheduler_max_rows(call->request->server->scheduler);
    struct error err = {0};
    for (size_t i = 0; i < asked->inputs.n; i++) {
        size_t n = input_text_steps(call->model, asked->inputs.inputs[i].tokens.n);
        enum status status = request_check_length("context", call->model, n, most, &err);
        if (status != STATUS_OK) return problem_from(call->problem, status, &err, "context");
    }
    return true;
}

static bool submit(struct call *call, const struct asked *asked)
{
    const struct model *model = call->model;
    struct reading_want want = answering_want(model);
    want.field = "context";
    struct answer *task = calloc(1, sizeof *task);
    if (task) task->n_best = asked->n_best < model->n_labels ? asked->n_best : model->n_labels;
    if (task && answering_spec_of(model)->supporting &&
        !(task->reading.kept = context_new(model->tokenizer, asked->context.texts[0],
                                           asked->context.n_tokens))) {
        free(task);
        task = NULL;
    }
    return readings_submit(call, &asked->inputs, &want, true, (struct reading_work *)task, print);
}

void api_answer(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"context", "question", "n", NULL};
    static const struct synonym synonyms[] = {{"top_k", "n"}, {NULL, NULL}};
    static const struct fields fields = {
        .known = known, .synonyms = synonyms,
        .stateless = "a context is read together with its questions, and nothing comes after an answer"};
    struct call call;
    struct asked asked = {.n_best = 1};
    if (!call_open(&call, request, reply, &fields, ABILITY_ANSWER)) return;
    if (field_size(call.root, field_written(call.root, &fields, "n"), 1, (size_t)1 << 20, &asked.n_best,
                   call.problem) &&
        read_texts(&call, &asked) && join_texts(&call, &asked) && check_lengths(&call, &asked)) {
        call_record(&call, asked.inputs.n_steps);
        submit(&call, &asked);
    }
    asked_free(&asked);
    call_close(&call);
}
