/* GET /v1/sessions/{id}/events: what a session does, as server-sent events for clients that do not move it.
 *
 * The first event is the session. Then comes one event a step, with the step as its id and the answer in it,
 * and at the end one that says why. The operation has finished when it begins, because it computes nothing:
 * what follows is only read (server/sessions/readers.h), and a client that leaves ends it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/api/branch.h"
#include "server/http/connection.h"
#include "server/request/access.h"
#include "server/request/metrics.h"
#include "server/request/server.h"
#include "server/request/sse.h"
#include "server/routes/sessions.h"
#include "server/sessions/readers.h"

/* What an event has beside an answer. */
enum { EVENT_BYTES = 4096 };

struct following {
    struct server *server;
    struct request *request;
    struct reader *reader;
    struct sse sse;
    int64_t last_us; /* when something was last sent */
    bool is_over;    /* the last event is in the buffer */
};

/* ---- events --------------------------------------------------------------------------------- */

static void put_step(struct sse *sse, const struct request *request, const struct told *told)
{
    struct writer *out = &sse->out;
    sse_id(sse, told->step);
    sse_begin(sse);
    put_open(out, '{');
    put_named_string(out, "object", "session.step");
    put_named_string(out, "session", request->session);
    put_named_integer(out, "step", (int64_t)told->step);
    put_name(out, "answer");
    if (told->has_answer) put_raw(out, told->answer, told->bytes);
    else put_null(out);
    put_close(out, '}');
    sse_end(sse);
}

static void put_end(struct sse *sse, const struct request *request, enum store_found found)
{
    struct writer *out = &sse->out;
    sse_begin(sse);
    put_open(out, '{');
    put_named_string(out, "object", "session.end");
    put_named_string(out, "session", request->session);
    put_named_string(out, "reason", found == STORE_EXPIRED    ? "expired"
                                    : found == STORE_REPLACED ? "model_replaced"
                                                              : "deleted");
    put_close(out, '}');
    sse_end(sse);
    sse_done(sse);
}

static void fail(struct following *following, struct request *request, const struct problem *problem)
{
    sse_error(&following->sse, problem, request->id);
    following->is_over = true;
    request->closes = true;
}

/* What the reader has next, into the empty buffer; false if that is nothing. */
static bool put_news(struct following *following, struct request *request)
{
    struct problem problem;
    struct told *told;
    enum store_found found;
    switch (reader_next(following->reader, &told, &found)) {
    case READER_NOTHING: return false;
    case READER_STEP: put_step(&following->sse, request, told); break;
    case READER_TOO_SLOW:
        problem_set(&problem, FAULT_READER_TOO_SLOW, NULL,
                    "the client fell more than %d steps or %d bytes behind the session, and those were "
                    "dropped; ask for the events again", READER_BEHIND_MAX, READER_BEHIND_BYTES);
        fail(following, request, &problem);
        break;
    case READER_ENDED:
        put_end(&following->sse, request, found);
        following->is_over = true;
        break;
    }
    told_drop(told);
    return true;
}

/* Fill the empty buffer; false if there is nothing to send until *due_us. */
static bool refill(struct following *following, struct request *request, int64_t *due_us)
{
    int64_t now = clock_us(), ping_us = following->server->config->stream_ping_s * 1000000;
    struct problem problem;
    request->wakes_on_progress = true; /* before looking, so that nothing slips between */
    if (request->has_left) {
        following->is_over = true;
        return true;
    }
    if (!server_accepts(following->server, false, &problem)) {
        fail(following, request, &problem);
        return true;
    }
    if (!put_news(following, request)) {
        *due_us = following->last_us + ping_us;
        if (now < *due_us) return false;
        reader_look(following->reader); /* another server may have moved the session, or time ended it */
        if (!put_news(following, request)) sse_ping(&following->sse);
    }
    following->last_us = now;
    return true;
}

/* ---- the operation -------------------------------------------------------------------------- */

static bool start(void *work, struct problem *problem)
{
    struct following *following = work;
    (void)problem;
    request_finished(following->request);
    return true;
}

static void cancel(void *work)
{
    (void)work; /* it is never under way */
}

static uint64_t cost_steps(void *work, bool finished)
{
    (void)work;
    (void)finished;
    return 0;
}

static void answer(void *work, struct request *request, struct reply *reply)
{
    (void)work;
    request->record.end = END_COMPLETE;
    request->record.finish = metrics_end_name(END_COMPLETE);
    reply->stream = true;
    reply->content_type = "text/event-stream";
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    struct following *following = work;
    struct sse *sse = &following->sse;
    if (sse_is_empty(sse)) {
        if (following->is_over) return STREAM_END;
        if (!refill(following, request, due_us)) return STREAM_WAIT;
    }
    if (writer_failed(&sse->out)) { /* no memory */
        request->closes = true;
        return STREAM_END;
    }
    *n = sse_drain(sse, out, room);
    return *n ? STREAM_DATA : STREAM_END;
}

static void following_free(void *work)
{
    struct following *following = work;
    reader_close(following->reader);
    sse_release(&following->sse);
    atomic_fetch_sub(&following->server->readers, 1);
    free(following);
}

static const struct operation operation = {.start = start, .cancel = cancel, .answer = answer, .read = read,
                                           .cost_steps = cost_steps, .free = following_free};

/* ---- the route ------------------------------------------------------------------------------ */

/* The step that the client has heard of, as EventSource says when it connects again. */
static bool read_seen(const struct request *request, uint64_t *seen, bool *has_seen, struct problem *problem)
{
    const char *text = connection_header(request->connection, "Last-Event-ID");
    *has_seen = text && *text;
    if (!*has_seen) return true;
    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 16)
        return problem_set(problem, FAULT_INVALID_VALUE, "Last-Event-ID",
                           "the header Last-Event-ID is '%.40s'; expected the step of an event, or no such "
                           "header", text);
    *seen = strtoull(text, NULL, 10);
    return true;
}

static bool refuse(const struct request *request, enum reader_opened opened, enum store_found found,
                   struct problem *problem)
{
    const struct config *config = request->server->config;
    switch (opened) {
    case READER_OPENED: return true;
    case READER_GONE:
        return !session_is_early(request, found, problem) &&
               branch_missing(found, NULL, request->session, problem);
    case READER_SESSION_FULL:
        return problem_set(problem, FAULT_RATE_LIMITED, NULL,
                           "session '%s' has %lld readers, as many as may be (sessions.readers)",
                           request->session, (long long)config->sessions_readers);
    case READER_OWNER_FULL:
        return problem_set(problem, FAULT_RATE_LIMITED, NULL,
                           "this API key reads the events of %lld sessions, as many as may be "
                           "(sessions.key_readers)", (long long)config->sessions_key_readers);
    case READER_NO_MEMORY: break;
    }
    return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* Open the reader, and put the first event into the buffer. */
static bool open_reader(struct following *following, struct request *request, struct problem *problem)
{
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    struct store_view view;
    enum store_found found;
    uint64_t seen;
    bool has_seen;
    if (!read_seen(request, &seen, &has_seen, problem)) return false;
    const struct reader_call call = {request_progressed, request, has_seen ? &seen : NULL};
    enum reader_opened opened =
        reader_open(following->server->store, &key, &call, &following->reader, &view, &found);
    if (view.model) {
        request->session_step = (int64_t)view.step;
        sse_begin(&following->sse);
        session_put(&following->sse.out, request, &view);
        sse_end(&following->sse);
    }
    store_view_release(&view);
    return refuse(request, opened, found, problem);
}

void api_session_events(struct request *request, struct reply *reply)
{
    struct server *server = request->server;
    if (!server_serves(server, &reply->problem) || !server_accepts(server, false, &reply->problem)) return;
    if (!access_session_is_valid(request->tail)) {
        branch_missing(STORE_NEVER, NULL, request->tail, &reply->problem);
        return;
    }
    strcpy(request->session, request->tail);
    struct following *following = calloc(1, sizeof *following);
    if (!following) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    following->server = server;
    following->request = request;
    following->last_us = clock_us();
    sse_init(&following->sse, (size_t)server->config->sessions_reply_bytes + EVENT_BYTES);
    atomic_fetch_add(&server->readers, 1);
    bool good = open_reader(following, request, &reply->problem);
    if (good && strcmp(request->method, "HEAD")) {
        request->operation = &operation;
        request->work = following;
        return;
    }
    if (good) reply->content_type = "text/event-stream";
    following_free(following);
}
