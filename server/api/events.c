#include "server/api/events.h"

#include "core/base/clock.h"
#include "server/request/server.h"

void events_init(struct events *events, size_t limit)
{
    sse_init(&events->sse, limit);
}

void events_release(struct events *events)
{
    sse_release(&events->sse);
}

static void fail(struct events *events, struct request *request, const struct problem *problem)
{
    sse_error(&events->sse, problem, request->id);
    request->closes = true;
}

static void conclude(struct events *events, const struct events_calls *calls, struct work *work,
                     struct request *request)
{
    struct problem problem;
    events->over = true;
    if (work_settle(work, request, &problem) && calls->conclude(work, request, &problem))
        sse_done(&events->sse);
    else fail(events, request, &problem);
}

/* Fill the empty buffer with what there is to send; false if there is nothing yet. */
static bool refill(struct events *events, const struct events_calls *calls, struct work *work,
                   struct request *request, int64_t *due_us)
{
    const struct config *config = request->server->config;
    int64_t now = clock_us(), ping_us = config->stream_ping_s * 1000000;
    int64_t next_us = events->last_us ? events->last_us + config->stream_chunk_ms * 1000 : now;
    if (request_is_finished(request)) conclude(events, calls, work, request);
    else if (now < next_us) {
        *due_us = next_us; /* the end wakes us earlier, progress does not */
        return false;
    } else {
        request->wakes_on_progress = true; /* before looking, so that nothing slips between */
        if (!calls->gather(work)) {
            int64_t silent_since = events->last_us ? events->last_us : request->began_us;
            *due_us = silent_since + ping_us;
            if (now < *due_us) return false;
            sse_ping(&events->sse);
        } else {
            request->wakes_on_progress = false;
            if (!(request->record.first_ms > 0))
                request->record.first_ms = (double)(now - request->began_us) * 1e-3;
        }
    }
    events->last_us = now;
    return true;
}

enum stream_step events_read(struct events *events, const struct events_calls *calls, struct work *work,
                             struct request *request, char *out, size_t room, size_t *n, int64_t *due_us)
{
    struct problem problem;
    if (sse_is_empty(&events->sse)) {
        if (events->over) return STREAM_END;
        if (!refill(events, calls, work, request, due_us)) return STREAM_WAIT;
    }
    if (writer_failed(&events->sse.out)) {
        writer_clear(&events->sse.out);
        events->sse.sent = 0;
        events->over = true;
        problem_set(&problem, FAULT_NO_MEMORY, NULL, NULL);
        fail(events, request, &problem);
    }
    *n = sse_drain(&events->sse, out, room);
    return *n ? STREAM_DATA : STREAM_END;
}

void events_answer(void *context, struct request *request, struct reply *reply)
{
    struct work *work = context;
    if (request_is_finished(request) && job_status(work->job) != STATUS_OK) {
        if (work_settle(work, request, &reply->problem))
            problem_set(&reply->problem, FAULT_INTERNAL, NULL, NULL);
        return;
    }
    reply->stream = true;
    reply->content_type = "text/event-stream";
}
