/* Pictures sent as server-sent events while they are drawn (server/api/events.h), in the shape of OpenAI's
 * image streams: gather() sends each picture that has new rows, conclude() all of them whole. */
#include <time.h>

#include "core/base/memory.h"
#include "server/media/images.h"
#include "server/request/server.h"

/* What has been sent of a picture. */
struct images_told {
    size_t n_sent; /* events */
    size_t share;  /* of n_partials + 1 shares of the rows to be drawn, how many have been shown */
};

bool images_stream_begin(struct images *task, const struct request *request)
{
    const struct drawing_spec *spec = drawing_spec_of(task->work.job->model);
    const size_t n_rows = task->n_drawn / (size_t)spec->width;
    task->told = memory_new(task->n, sizeof *task->told);
    if (!task->told) return false;
    if (task->n_partials + 1 > n_rows) task->n_partials = n_rows > 0 ? n_rows - 1 : 0;
    task->created_s = (int64_t)time(NULL);
    events_init(&task->events, (size_t)request->server->config->limits_reply_bytes);
    return true;
}

static void put_head(struct images *task, const char *type, size_t i)
{
    struct writer *out = &task->events.sse.out;
    sse_begin(&task->events.sse);
    put_open(out, '{');
    put_named_string(out, "type", type);
    put_named_integer(out, "created_at", task->created_s);
    put_named_string(out, "model", task->work.job->model->name);
    put_named_integer(out, "seed", task->seed);
    put_named_integer(out, "index", (int64_t)i);
    images_put_size(out, task);
}

static void put_partial(struct images *task, size_t i, size_t n_rows)
{
    struct writer *out = &task->events.sse.out;
    put_head(task, "image_generation.partial_image", i);
    put_named_integer(out, "partial_image_index", (int64_t)task->told[i].n_sent++);
    put_named_integer(out, "rows", (int64_t)n_rows);
    images_put_png(out, task, i, n_rows);
    put_close(out, '}');
    sse_end(&task->events.sse);
}

static bool gather(void *work)
{
    struct images *task = work;
    const size_t width = (size_t)drawing_spec_of(task->work.job->model)->width;
    const size_t begun = task->n_begun / width, all = task->n_drawn / width;
    bool any = false;
    for (size_t i = 0; i < task->n; i++) {
        struct images_told *told = &task->told[i];
        const size_t n_rows = drawing_rows(task->drawing, i);
        if (n_rows <= begun || n_rows >= begun + all) continue;
        const size_t share = (n_rows - begun) * (task->n_partials + 1) / all;
        if (share <= told->share) continue;
        told->share = share;
        put_partial(task, i, n_rows);
        any = true;
    }
    return any;
}

static bool conclude(void *work, struct request *request, struct problem *problem)
{
    struct images *task = work;
    struct writer *out = &task->events.sse.out;
    (void)problem;
    request->record.steps_out = task->n * task->n_drawn;
    for (size_t i = 0; i < task->n; i++) {
        put_head(task, "image_generation.completed", i);
        images_put_png(out, task, i, drawing_rows(task->drawing, i));
        images_put_log_probability(out, task, i);
        if (i + 1 < task->n) put_close(out, '}');
        else images_end(out, task, request);
        sse_end(&task->events.sse);
    }
    return true;
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    static const struct events_calls calls = {gather, conclude};
    struct images *task = work;
    return events_read(&task->events, &calls, work, request, out, room, n, due_us);
}

const struct operation images_stream = {
    .start = work_start, .cancel = work_cancel, .answer = events_answer, .read = read,
    .cost_steps = work_cost_steps, .free = work_free};
