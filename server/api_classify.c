/* POST /v1/classify: texts or sequences of numbers to labels. */
#include <stdlib.h>
#include <time.h>

#include "core/memory.h"
#include "models/classification.h"
#include "server/access.h"
#include "server/answer.h"
#include "server/codec.h"
#include "server/serve.h"
#include "server/work.h"

struct classify {
    struct work work;
    struct classification *job;
    size_t n, top_k;
};

struct ranked {
    size_t label;
    float score;
};

/* Best first; equal scores in the order of the labels. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

static bool write_results(struct writer *out, const struct classify *task)
{
    const struct model *model = task->work.job->model;
    const float *scores = classification_scores(task->job);
    struct ranked *ranked = memory_new(model->n_labels, sizeof *ranked);
    if (!ranked) return false;
    put_name(out, "results");
    put_open(out, '[');
    for (size_t i = 0; i < task->n; i++) {
        for (size_t k = 0; k < model->n_labels; k++)
            ranked[k] = (struct ranked){k, scores[i * model->n_labels + k]};
        qsort(ranked, model->n_labels, sizeof *ranked, compare_ranked);
        put_open(out, '[');
        for (size_t k = 0; k < task->top_k; k++) {
            put_open(out, '{');
            put_named_string(out, "label", model->labels[ranked[k].label]);
            put_name(out, "score");
            put_float(out, ranked[k].score);
            put_close(out, '}');
        }
        put_close(out, ']');
    }
    put_close(out, ']');
    memory_free(ranked);
    return true;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    struct classify *task = (struct classify *)work;
    char id[REQUEST_ID_BYTES];
    struct writer out;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    put_named_string(&out, "id", access_new_id("cls-", id));
    put_named_string(&out, "object", "classification");
    put_named_integer(&out, "created", (int64_t)time(NULL));
    put_named_string(&out, "model", work->job->model->name);
    if (!write_results(&out, task)) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    put_name(&out, "usage");
    put_open(&out, '{');
    put_named_integer(&out, "steps_in", (int64_t)request->record.steps_in);
    put_close(&out, '}');
    answer_timings(&out, &work->timings);
    put_close(&out, '}');
    answer_writer(&out, reply);
}

static void release(struct work *work)
{
    job_free(work->job);
    free(work);
}

static bool submit(struct call *call, const struct inputs *inputs, size_t top_k)
{
    struct server *server = call->request->server;
    struct error err = {0};
    struct classify *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    enum status status = classification_new(call->model, inputs->inputs, inputs->n,
                                            scheduler_max_rows(server->scheduler), &call->options, &task->job,
                                            &err);
    if (status != STATUS_OK) {
        free(task);
        return problem_from(call->problem, status, &err, "input");
    }
    task->work.job = classification_job(task->job);
    task->work.print = print;
    task->work.release = release;
    task->n = inputs->n;
    task->top_k = top_k;
    work_defer(&task->work, call->request);
    return true;
}

void api_classify(struct request *request, struct reply *reply)
{
    static const char *const fields[] = {"input", "top_k", NULL};
    const unsigned tasks = TASK_BIT(TEXT_CLASSIFICATION) | TASK_BIT(SEQUENCE_CLASSIFICATION);
    struct call call;
    struct inputs inputs;
    if (!call_open(&call, request, reply, fields, tasks, "classify")) return;
    size_t top_k = call.model->n_labels;
    if (field_size(call.root, "top_k", 1, (size_t)1 << 20, &top_k, call.problem) &&
        inputs_read(&call, "input", TEXTS_ONE, &inputs)) {
        call_record(&call, inputs.n_steps);
        submit(&call, &inputs, top_k < call.model->n_labels ? top_k : call.model->n_labels);
        inputs_free(&inputs);
    }
    call_close(&call);
}
