#include "server/api/bridge.h"

#include <stdlib.h>
#include <string.h>

#include "server/api/answer.h"
#include "server/request/server.h"
#include "server/request/sse.h"

enum { EVENT_BYTES = 8 << 20, PIECE_BYTES = 16384 };

struct bridge {
    const struct operation *inner; /* NULL: it has ended and freed itself */
    void *inner_work;
    const struct bridge_calls *calls;
    void *context;
    struct writer in, out; /* of a stream: the inner bytes that are no whole event yet, and what is to be sent
                            * */
    size_t sent;           /* of out */
};

static bool start(void *work, struct problem *problem)
{
    struct bridge *bridge = work;
    return bridge->inner->start(bridge->inner_work, problem);
}

static void cancel(void *work)
{
    struct bridge *bridge = work;
    bridge->inner->cancel(bridge->inner_work);
}

static uint64_t cost_steps(void *work, bool finished)
{
    struct bridge *bridge = work;
    return bridge->inner ? bridge->inner->cost_steps(bridge->inner_work, finished) : 0;
}

static void bridge_free(void *work)
{
    struct bridge *bridge = work;
    if (bridge->inner) bridge->inner->free(bridge->inner_work);
    bridge->calls->release(bridge->context);
    writer_release(&bridge->in);
    writer_release(&bridge->out);
    free(bridge);
}

static void wrap(struct request *request, struct bridge *bridge);

static void convert(const struct bridge_calls *calls, void *context, struct request *request,
                    struct reply *reply)
{
    if (reply->problem.fault == FAULT_NONE && reply->body && !reply->stream)
        calls->convert(context, request, reply);
}

/* The inner operation may leave another one in its place, as one that has waited for its session does. */
static void answer(void *work, struct request *request, struct reply *reply)
{
    struct bridge *bridge = work;
    const struct operation *outer = request->operation;
    request->operation = bridge->inner;
    request->work = bridge->inner_work;
    bridge->inner->answer(bridge->inner_work, request, reply);
    if (request->work == bridge->inner_work) {
        request->operation = outer;
        request->work = bridge;
        convert(bridge->calls, bridge->context, request, reply);
        return;
    }
    bridge->inner = NULL;
    struct bridge *next = request->operation ? malloc(sizeof *next) : NULL;
    if (next) {
        *next = *bridge;
        free(bridge);
        wrap(request, next);
        return;
    }
    if (request->operation) {
        request->operation->free(request->work);
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    }
    request->operation = outer;
    request->work = bridge;
    convert(bridge->calls, bridge->context, request, reply);
}

/* ---- streams -------------------------------------------------------------------------------- */

/* Write the inner event in[0..n) anew: "data: {...}", or a comment, which stays, or the end, which /v2 has
 * not. */
static void rewrite(struct bridge *bridge, const char *event, size_t n)
{
    static const char data[] = "data: ";
    if (n && *event == ':') {
        put_raw(&bridge->out, event, n);
        put_raw(&bridge->out, "\n\n", 2);
        return;
    }
    if (n <= sizeof data - 1 || memcmp(event, data, sizeof data - 1)) return;
    if (event[sizeof data - 1] != '{') {
        if (bridge->calls->keeps_done) put_raw(&bridge->out, event, n);
        if (bridge->calls->keeps_done) put_raw(&bridge->out, "\n\n", 2);
        return;
    }
    put_raw(&bridge->out, data, sizeof data - 1);
    bridge->out.need_comma = false;
    bridge->calls->event(bridge->context, event + sizeof data - 1, n - (sizeof data - 1), &bridge->out);
    bridge->out.need_comma = false;
    put_raw(&bridge->out, "\n\n", 2);
}

/* Take the whole events out of `in`. */
static void take_events(struct bridge *bridge)
{
    size_t at = 0, n;
    for (; (n = sse_event_bytes(bridge->in.text + at, bridge->in.n - at)) > 0; at += n)
        rewrite(bridge, bridge->in.text + at, n - 2);
    if (at) memmove(bridge->in.text, bridge->in.text + at, bridge->in.n - at);
    bridge->in.n -= at;
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    struct bridge *bridge = work;
    char piece[PIECE_BYTES];
    while (bridge->sent == bridge->out.n) {
        size_t got = 0;
        writer_clear(&bridge->out);
        bridge->sent = 0;
        enum stream_step step =
            bridge->inner->read(bridge->inner_work, request, piece, sizeof piece, &got, due_us);
        if (step != STREAM_DATA) return step;
        put_raw(&bridge->in, piece, got);
        if (!writer_failed(&bridge->in)) take_events(bridge);
        if (writer_failed(&bridge->in) || writer_failed(&bridge->out)) {
            request->closes = true;
            return STREAM_END;
        }
    }
    *n = bridge->out.n - bridge->sent < room ? bridge->out.n - bridge->sent : room;
    memcpy(out, bridge->out.text + bridge->sent, *n);
    bridge->sent += *n;
    return STREAM_DATA;
}

/* ---- */

/* The request's operation becomes the bridge's inner one. */
static void wrap(struct request *request, struct bridge *bridge)
{
    static const struct operation whole = {.start = start, .cancel = cancel, .answer = answer,
                                           .cost_steps = cost_steps, .free = bridge_free};
    static const struct operation streaming = {.start = start, .cancel = cancel, .answer = answer,
                                               .read = read, .cost_steps = cost_steps, .free = bridge_free};
    bridge->inner = request->operation;
    bridge->inner_work = request->work;
    request->operation = request->operation->read && bridge->calls->event ? &streaming : &whole;
    request->work = bridge;
}

void bridge_ask(struct request *request, struct reply *reply, request_handler *handler, struct writer *body,
                const struct bridge_calls *calls, void *context)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    size_t bytes = 0;
    char *text = writer_take(body, &bytes);
    if (!bridge || !text) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        calls->release(context);
        free(bridge);
        free(text);
        return;
    }
    *bridge = (struct bridge){.calls = calls, .context = context};
    writer_init(&bridge->in, EVENT_BYTES);
    writer_init(&bridge->out, EVENT_BYTES);
    request->again = handler;
    request->body = text;
    request->body_bytes = bytes;
    handler(request, reply);
    free(text);
    if (request->operation && reply->problem.fault == FAULT_NONE) {
        wrap(request, bridge);
        return;
    }
    convert(calls, context, request, reply);
    bridge_free(bridge);
}

/* ---- parts of answers ----------------------------------------------------------------------- */

struct json *bridge_parse(const char *json, size_t bytes, struct problem *problem)
{
    const struct json_limits limits = {.depth = 64, .values = SIZE_MAX};
    return document_parse(json, bytes, &limits, problem);
}

void bridge_replace(struct writer *out, struct reply *reply)
{
    free(reply->body);
    reply->body = NULL;
    answer_writer(out, reply);
}

void bridge_put_value(struct writer *out, const struct json *value)
{
    enum json_kind kind = json_kind(value);
    if (kind == JSON_NUMBER) put_double(out, json_number(value));
    else if (kind == JSON_STRING) put_string(out, json_string(value));
    else if (kind == JSON_BOOLEAN) put_boolean(out, json_boolean(value));
    else if (kind != JSON_ARRAY && kind != JSON_OBJECT) put_null(out);
    else {
        put_open(out, kind == JSON_ARRAY ? '[' : '{');
        for (const struct json *v = json_first(value); v; v = json_next(v)) {
            if (kind == JSON_OBJECT) put_name(out, json_key(v));
            bridge_put_value(out, v);
        }
        put_close(out, kind == JSON_ARRAY ? ']' : '}');
    }
}

void bridge_put_field(struct writer *out, const char *name, const struct json *value)
{
    put_name(out, name);
    bridge_put_value(out, value);
}
