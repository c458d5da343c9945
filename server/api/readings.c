#include "server/api/readings.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "server/request/server.h"

static void release(struct work *work)
{
    struct reading_work *task = (struct reading_work *)work;
    texts_free(&task->texts);
    memory_free(task->kept);
    work_release(work);
}

bool readings_submit(struct call *call, const struct inputs *inputs, const struct reading_want *want,
                     bool keeps_texts, struct reading_work *task,
                     void (*print)(struct work *work, struct request *request, struct reply *reply))
{
    struct error err = {0};
    if (!task || (keeps_texts && !texts_keep(&inputs->texts, &task->texts))) {
        if (task) memory_free(task->kept);
        free(task);
        return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    }
    enum status status = reading_new(call->model, inputs->inputs, inputs->n, want,
                                     scheduler_max_rows(call->request->server->scheduler), &call->options,
                                     &task->reading, &err);
    if (status != STATUS_OK) {
        texts_free(&task->texts);
        memory_free(task->kept);
        free(task);
        return problem_from(call->problem, status, &err, want->field ? want->field : "input");
    }
    task->n = inputs->n;
    task->n_before = input_puts_bos(call->model) && !call->options.from;
    task->work.job = reading_job(task->reading);
    task->work.print = print;
    task->work.release = release;
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    return true;
}
