/* POST /v1/predict: values or labels at every step of an input, or at its last step. */
#include <stdlib.h>

#include "core/base/memory.h"
#include "models/jobs/scores.h"
#include "models/tasks/prediction.h"
#include "server/api/answer.h"
#include "server/api/initial.h"
#include "server/api/readings.h"
#include "server/api/words.h"

struct predict {
    struct reading_work reading; /* first */
    size_t top_k;                /* 0: the route's default */
    bool all;
};

/* One row of an input, and the place of its token, which may be NULL. */
struct row {
    const float *values;
    const struct text_place *place;
};

static void put_values(struct writer *out, const float *values, size_t n)
{
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_float(out, values[i]);
    put_close(out, ']');
}

static void put_label(struct writer *out, const struct model *model, const struct label_rank *rank)
{
    put_named_string(out, "label", model->labels[rank->label]);
    put_name(out, "score");
    put_float(out, rank->score);
}

/* Labels [from, to) of the ranks, best first. */
static void put_ranked(struct writer *out, const struct model *model, const struct label_rank *ranks,
                       size_t from,
                       size_t to)
{
    put_open(out, '[');
    for (size_t k = from; k < to; k++) {
        put_open(out, '{');
        put_label(out, model, &ranks[k]);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void put_step(struct writer *out, const struct predict *task, const struct row *row,
                     struct label_rank *ranks)
{
    const struct model *model = task->reading.work.job->model;
    size_t n = prediction_n_values(model);
    if (!prediction_n_labels(model)) {
        put_values(out, row->values, n);
        return;
    }
    scores_rank(row->values, n, ranks);
    put_open(out, '{');
    put_label(out, model, ranks);
    if (row->place) {
        put_named_integer(out, "start", (int64_t)row->place->start);
        put_named_integer(out, "end", (int64_t)row->place->end);
    }
    if (task->top_k > 1) {
        put_name(out, "alternatives");
        put_ranked(out, model, ranks, 1, task->top_k < n ? task->top_k : n);
    }
    put_close(out, '}');
}

/* The rows of the input's own steps: bos and eos, which the model adds, are left out. */
static bool put_steps(struct writer *out, const struct predict *task, size_t i, struct label_rank *ranks)
{
    const struct model *model = task->reading.work.job->model;
    size_t width = prediction_n_values(model) + prediction_spec_of(model)->n_intents, n_rows, n_places = 0;
    const float *rows = reading_rows(task->reading.reading, i, &n_rows);
    struct text_place *places = NULL;
    if (model->tokenizer) {
        rows += task->reading.n_before * width;
        n_rows -= task->reading.n_before + input_puts_eos(model);
        if (!texts_places(&task->reading.texts, model->tokenizer, i, n_rows, &places, &n_places))
            return false;
    }
    put_name(out, prediction_n_labels(model) ? "labels" : "steps");
    put_open(out, '[');
    for (size_t t = 0; t < n_rows; t++) {
        const struct row row = {rows + t * width, t < n_places ? &places[t] : NULL};
        put_step(out, task, &row, ranks);
    }
    put_close(out, ']');
    memory_free(places);
    return true;
}

static void put_last(struct writer *out, const struct predict *task, size_t i, struct label_rank *ranks)
{
    const struct model *model = task->reading.work.job->model;
    size_t n = prediction_n_values(model), top_k = task->top_k && task->top_k < n ? task->top_k : n;
    const float *row = reading_rows(task->reading.reading, i, NULL);
    put_name(out, prediction_n_labels(model) ? "labels" : "values");
    if (!prediction_n_labels(model)) {
        put_values(out, row, n);
        return;
    }
    scores_rank(row, n, ranks);
    put_ranked(out, model, ranks, 0, top_k);
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct predict *task = (struct predict *)work;
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct label_rank *ranks = memory_new(prediction_n_values(work->job->model), sizeof *ranks);
    bool good = ranks != NULL;
    struct writer out;
    answer_open(&out, request, "pred-", "prediction", work->job->model);
    put_name(&out, "results");
    put_open(&out, '[');
    for (size_t i = 0; i < task->reading.n && good; i++) {
        put_open(&out, '{');
        if (task->all) good = put_steps(&out, task, i, ranks);
        else put_last(&out, task, i, ranks);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    memory_free(ranks);
    if (!good) writer_fail(&out);
    answer_close(&out, &usage, 1, work, reply);
}

static bool submit(struct call *call, const struct inputs *inputs, bool all, size_t top_k,
                   const float *initial)
{
    struct reading_want want =
        prediction_want(call->model, ABILITY_PREDICT, all ? READING_ALL : READING_LAST);
    want.initial = initial;
    struct predict *task = calloc(1, sizeof *task);
    if (task) task->all = all;
    if (task) task->top_k = top_k;
    return readings_submit(call, inputs, &want, true, (struct reading_work *)task, print);
}

static bool read_return(struct call *call, bool *all)
{
    *all = prediction_spec_of(call->model)->all;
    if (!choice_read(call, "return", "last", "all", all)) return false;
    return !*all || !network_has_pooling(call->model->network) ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "return",
                       "'return' is 'all'; model '%s' gives one result for a whole input, expected 'last'",
                       call->model->name);
}

void api_predict(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "return", "top_k", "initial_state", NULL};
    static const struct fields fields = {.known = known, .goes_on = true};
    struct call call;
    struct inputs inputs;
    bool all;
    size_t top_k = 0;
    float *initial = NULL;
    if (!call_open(&call, request, reply, &fields, ABILITY_PREDICT)) return;
    if (read_return(&call, &all) &&
        field_size(call.root, "top_k", 1, (size_t)1 << 20, &top_k, call.problem) &&
        initial_read(&call, &initial) && inputs_read(&call, "input", TEXTS_ONE | TEXTS_IDS, &inputs)) {
        call_record(&call, inputs.n_steps);
        submit(&call, &inputs, all, top_k, initial);
        inputs_free(&inputs);
    }
    memory_free(initial);
    call_close(&call);
}
