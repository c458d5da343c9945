/* A completion sent as server-sent events while it runs.
 *
 * Each time libmicrohttpd has room, read() gathers what every choice has new, one event a choice. After a
 * send it waits chunk_ms before the next, so that a fast model does not spend its time in system calls; the
 * first text and the end never wait. Nothing is gathered while the socket accepts nothing: the job sees that
 * its reader is behind (generation_consumed is not called) and pauses.
 *
 * A stream begins with the first text, so that a job which fails before it still gets a plain HTTP error. */
#include <string.h>

#include "core/base/clock.h"
#include "server/api/branch.h"
#include "server/routes/completion.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

static void put_event(struct completion *completion, size_t index, const struct generation_choice *choice,
                      bool last)
{
    struct writer *out = &completion->sse.out;
    sse_begin(&completion->sse);
    put_open(out, '{');
    completion_put_head(out, completion);
    put_name(out, "choices");
    put_open(out, '[');
    completion_put_choice(out, completion, index, choice, &completion->sent[index]);
    put_close(out, ']');
    if (completion->include_usage) {
        put_name(out, "usage");
        put_null(out);
    }
    if (last) completion_put_timings(out, completion);
    else put_named_integer(out, "seed", completion->seed);
    put_close(out, '}');
    sse_end(&completion->sse);
}

static void put_usage_event(struct completion *completion)
{
    struct writer *out = &completion->sse.out;
    sse_begin(&completion->sse);
    put_open(out, '{');
    completion_put_head(out, completion);
    put_name(out, "choices");
    put_open(out, '[');
    put_close(out, ']');
    completion_put_usage(out, completion);
    put_named_integer(out, "seed", completion->seed);
    put_close(out, '}');
    sse_end(&completion->sse);
}

/* Tell what is new of every choice; true if there was anything. `finished`: nothing more will come. */
static bool gather(struct completion *completion, bool finished)
{
    size_t n = generation_n_choices(completion->job), left = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) left += !completion->sent[i].finish;
    for (size_t i = 0; i < n; i++) {
        struct generation_choice choice;
        struct sent *sent = &completion->sent[i];
        if (sent->finish) continue;
        generation_read(completion->job, i, &choice);
        bool ends = choice.finish != FINISH_NONE;
        if (ends && left == 1 && !finished)
            ends = false; /* timings come with the last event: wait for finished */
        if (!finished)
            generation_consumed(completion->job, i, choice.n_tokens); /* also of tokens without text */
        if (choice.n_text == sent->text && !ends) continue;
        if (!ends) choice.finish = FINISH_NONE;
        left -= ends;
        put_event(completion, i, &choice, ends && !left);
        any = true;
    }
    return any;
}

/* The job has ended: the last events. */
static void conclude(struct completion *completion, struct request *request)
{
    struct problem problem;
    completion->over = true;
    if (!work_settle(&completion->work, request, &problem)) {
        sse_error(&completion->sse, &problem, request->id);
        request->closes = true;
        return;
    }
    completion_record(completion, request);
    if (!branch_keep(completion->work.branch, completion->work.job, &problem) ||
        !branch_finish(completion->work.branch, NULL, 0, &problem)) {
        sse_error(&completion->sse, &problem, request->id);
        request->closes = true;
        return;
    }
    gather(completion, true);
    if (completion->include_usage) put_usage_event(completion);
    sse_done(&completion->sse);
}

/* Fill the empty buffer with what there is to send; false if there is nothing yet. */
static bool refill(struct completion *completion, struct request *request, int64_t *due_us)
{
    const struct config *config = request->server->config;
    int64_t now = clock_us(), ping_us = config->stream_ping_s * 1000000;
    int64_t next_us = completion->last_us ? completion->last_us + config->stream_chunk_ms * 1000 : now;
    if (request_is_finished(request)) conclude(completion, request);
    else if (now < next_us) {
        *due_us = next_us; /* the end wakes us earlier, progress does not */
        return false;
    } else {
        request->wakes_on_progress = true; /* before looking, so that nothing slips between */
        if (!gather(completion, false)) {
            int64_t silent_since = completion->last_us ? completion->last_us : request->began_us;
            *due_us = silent_since + ping_us;
            if (now < *due_us) return false;
            sse_ping(&completion->sse);
        } else {
            request->wakes_on_progress = false;
            if (!(request->record.first_ms > 0))
                request->record.first_ms = (double)(now - request->began_us) * 1e-3;
        }
    }
    completion->last_us = now;
    return true;
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    struct completion *completion = work;
    struct problem problem;
    if (sse_is_empty(&completion->sse)) {
        if (completion->over) return STREAM_END;
        if (!refill(completion, request, due_us)) return STREAM_WAIT;
    }
    if (writer_failed(&completion->sse.out)) {
        writer_clear(&completion->sse.out);
        completion->sse.sent = 0;
        completion->over = true;
        problem_set(&problem, FAULT_NO_MEMORY, NULL, NULL);
        request->closes = true;
        sse_error(&completion->sse, &problem, request->id);
    }
    *n = sse_drain(&completion->sse, out, room);
    return *n ? STREAM_DATA : STREAM_END;
}

/* Woken for the first time, by text, by the end or by the silence. */
static void answer(void *work, struct request *request, struct reply *reply)
{
    struct completion *completion = work;
    if (request_is_finished(request) && job_status(completion->work.job) != STATUS_OK) {
        if (work_settle(&completion->work, request, &reply->problem))
            problem_set(&reply->problem, FAULT_INTERNAL, NULL, NULL);
        return;
    }
    reply->stream = true;
    reply->content_type = "text/event-stream";
}

const struct operation completion_stream = {
    .start = work_start, .cancel = work_cancel, .answer = answer, .read = read,
    .cost_steps = work_cost_steps, .free = work_free};
