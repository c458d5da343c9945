/* A translation sent as server-sent events while it is written (server/api/events.h): gather() collects what
 * each text has new, one event a text. The sentences of a text are written at the same time and sent one
 * after the other, with what lies between them. */
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/request/server.h"
#include "server/routes/translate.h"

bool translate_stream_begin(struct translate *task, const struct request *request)
{
    task->told = memory_new(task->n_texts, sizeof *task->told);
    if (!task->told) return false;
    for (size_t text = 0, first = 0; text < task->n_texts; text++) {
        size_t end = translate_end(task, first);
        task->told[text] = (struct told){.first = first, .end = end, .at = first};
        first = end;
    }
    task->created_s = (int64_t)time(NULL);
    access_new_id("trans-", task->id);
    events_init(&task->events, (size_t)request->server->config->limits_reply_bytes);
    return true;
}

/* What lies in the source before input i, or at its end behind the last: nothing, unless the text was cut. */
static void add_gap(const struct translate *task, const struct told *told, size_t i, struct writer *news)
{
    if (told->end - told->first < 2) return;
    const char *text = task->texts.texts[task->pieces[told->first].text];
    size_t from = i > told->first ? task->pieces[i - 1].end : 0;
    size_t to = i < told->end ? task->pieces[i].start : strlen(text);
    put_raw(news, text + from, to - from);
}

/* Add what is new of a text to `news`, and note that it has been sent. true if the text is at its end. */
static bool read_on(const struct translate *task, struct told *told, struct writer *news)
{
    while (told->at < told->end) {
        struct translation_text written;
        translation_written(task->translation, told->at, &written);
        if (written.n > told->bytes) {
            if (told->bytes == 0) add_gap(task, told, told->at, news);
            put_raw(news, written.text + told->bytes, written.n - told->bytes);
            told->bytes = written.n;
        }
        if (!written.has_ended) return false;
        if (told->bytes == 0) add_gap(task, told, told->at, news);
        told->bytes = 0;
        if (++told->at == told->end) add_gap(task, told, told->end, news);
    }
    return true;
}

/* One event; ends: with the result. request: of the last event, with what it cost. */
static void put_event(struct translate *task, size_t text, const char *news, size_t bytes, bool ends,
                      const struct request *request)
{
    struct writer *out = &task->events.sse.out;
    const struct told *told = &task->told[text];
    sse_begin(&task->events.sse);
    put_open(out, '{');
    put_named_string(out, "id", task->id);
    put_named_string(out, "object", "translation.chunk");
    put_named_integer(out, "created", task->created_s);
    put_named_string(out, "model", task->work.job->model->name);
    put_name(out, "translations");
    put_open(out, '[');
    put_open(out, '{');
    put_named_integer(out, "index", (int64_t)text);
    put_name(out, "text");
    put_string_n(out, bytes ? news : "", bytes);
    if (ends) {
        const struct translation_result whole = translate_whole(task, told->first, told->end);
        beams_put(out, &whole);
    }
    put_close(out, '}');
    put_close(out, ']');
    beams_put_seed(out, task->translation);
    if (request) beams_end(out, &task->work, request); /* closes the object */
    else put_close(out, '}');
    sse_end(&task->events.sse);
}

/* Send what is new of every text; true if there was anything. request: all have ended, and this is the
 * end. */
static bool gather(struct translate *task, const struct request *request)
{
    size_t left = 0;
    bool any = false;
    for (size_t i = 0; i < task->n_texts; i++) left += !task->told[i].is_over;
    for (size_t i = 0; i < task->n_texts; i++) {
        struct told *told = &task->told[i];
        struct writer news;
        if (told->is_over) continue;
        writer_init(&news, task->events.sse.out.limit);
        bool ends = read_on(task, told, &news) && (left > 1 || request); /* the last one waits for the end */
        if (news.n || ends) put_event(task, i, news.text, news.n, ends, left == 1 ? request : NULL);
        if (writer_failed(&news)) writer_fail(&task->events.sse.out);
        any |= news.n || ends;
        told->is_over = ends;
        left -= ends;
        writer_release(&news);
    }
    return any;
}

static bool gather_more(void *work)
{
    return gather(work, NULL);
}

static bool conclude(void *work, struct request *request, struct problem *problem)
{
    (void)problem;
    translate_record(work, request);
    gather(work, request);
    return true;
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    static const struct events_calls calls = {gather_more, conclude};
    struct translate *task = work;
    return events_read(&task->events, &calls, work, request, out, room, n, due_us);
}

const struct operation translate_stream = {
    .start = work_start, .cancel = work_cancel, .answer = events_answer, .read = read,
    .cost_steps = work_cost_steps, .free = work_free};
