/* POST /v1/classify: texts or sequences of numbers to labels; on models that tag, server/api/tag.c. */
#include <stdlib.h>

#include "core/base/memory.h"
#include "models/jobs/scores.h"
#include "models/tasks/classification.h"
#include "server/api/answer.h"
#include "server/api/codec.h"
#include "server/api/readings.h"
#include "server/api/tag.h"

struct classify {
    struct reading_work reading; /* first */
    size_t top_k;
};

static bool write_results(struct writer *out, const struct classify *task)
{
    const struct model *model = task->reading.work.job->model;
    const float *scores = reading_rows(task->reading.reading, 0, NULL);
    struct label_rank *ranks = memory_new(model->n_labels, sizeof *ranks);
    if (!ranks) return false;
    put_name(out, "results");
    put_open(out, '[');
    for (size_t i = 0; i < task->reading.n; i++) {
        scores_rank(scores + i * model->n_labels, model->n_labels, ranks);
        put_open(out, '[');
        for (size_t k = 0; k < task->top_k; k++) {
            put_open(out, '{');
            put_named_string(out, "label", model->labels[ranks[k].label]);
            put_name(out, "score");
            put_float(out, ranks[k].score);
            put_close(out, '}');
        }
        put_close(out, ']');
    }
    put_close(out, ']');
    memory_free(ranks);
    return true;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct classify *task = (struct classify *)work;
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct writer out;
    answer_open(&out, request, "cls-", "classification", work->job->model);
    if (!write_results(&out, task)) writer_fail(&out);
    answer_close(&out, &usage, 1, work, reply);
}

static bool submit(struct call *call, const struct inputs *inputs, size_t top_k)
{
    const struct reading_want want = classification_want(call->model);
    struct classify *task = calloc(1, sizeof *task);
    if (task) task->top_k = top_k;
    return readings_submit(call, inputs, &want, false, (struct reading_work *)task, print);
}

void api_classify(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "top_k", NULL};
    static const struct fields fields = {.known = known, .goes_on = true};
    struct call call;
    struct inputs inputs;
    if (!call_open(&call, request, reply, &fields, ABILITY_CLASSIFY)) return;
    size_t top_k = call.model->n_labels;
    if (field_size(call.root, "top_k", 1, (size_t)1 << 20, &top_k, call.problem) &&
        inputs_read(&call, "input", call.model->accepts_token_ids ? TEXTS_ONE | TEXTS_IDS : TEXTS_ONE,
                    &inputs)) {
        call_record(&call, inputs.n_steps);
        if (task_can(call.model->task, ABILITY_TAG)) tag_submit(&call, &inputs);
        else submit(&call, &inputs, top_k < call.model->n_labels ? top_k : call.model->n_labels);
        inputs_free(&inputs);
    }
    call_close(&call);
}
