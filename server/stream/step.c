/* A request whose carrier is a channel. The life of its operation is that of server/request/exchange.c,
 * without the connection that is suspended and resumed. */
#include "server/stream/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/request/metrics.h"
#include "server/request/router.h"
#include "server/request/sse.h"
#include "server/stream/channel.h"

enum { PIECE_BYTES = 16384, EVENT_BYTES = 8 << 20 };

/* ---- the carrier: any thread ---------------------------------------------------------------- */

static struct channel *channel_of(struct request *request)
{
    return (struct channel *)(void *)((char *)request - offsetof(struct channel, step));
}

/* Mark the step; after the mutex is released it may be gone, and with it the channel. */
static void mark(struct channel *channel, bool *what)
{
    struct streams *streams = channel->streams;
    pthread_mutex_lock(&streams->mu);
    *what = true;
    bool rings = streams_wake_locked(streams, channel);
    pthread_mutex_unlock(&streams->mu);
    if (rings) streams_ring(streams);
}

static void progressed(void *request)
{
    struct channel *channel = channel_of(request);
    struct step *step = &channel->step;
    if (atomic_exchange(&step->request.wakes_on_progress, false)) mark(channel, &step->has_progressed);
}

static void finished(void *request)
{
    struct channel *channel = channel_of(request);
    mark(channel, &channel->step.has_finished);
}

static bool is_finished(struct request *request)
{
    struct channel *channel = channel_of(request);
    pthread_mutex_lock(&channel->streams->mu);
    bool is = channel->step.has_finished;
    pthread_mutex_unlock(&channel->streams->mu);
    return is;
}

static const struct carrier carrier = {progressed, finished, is_finished};

/* ---- the end -------------------------------------------------------------------------------- */

static void write_access(struct channel *channel)
{
    struct step *step = &channel->step;
    const struct access access = {&step->request, "", "WS", client_name(step->account.client), step->status,
                                  step->bytes_in, step->bytes_out, clock_ms_since(step->request.began_us)};
    if (channel->streams->server->config->log_access) access_write(&access);
}

/* The step is over: count it, free what it held, and let the next one begin. */
static void end(struct channel *channel)
{
    struct step *step = &channel->step;
    struct request *request = &step->request;
    struct server *server = channel->streams->server;
    const struct account_bytes bytes = {step->bytes_in, step->bytes_out};
    account_settle(&step->account, request, step->has_started);
    if (!step->status) {
        step->status = fault_http_status(FAULT_CLIENT_CLOSED_REQUEST);
        request->record.finish = metrics_end_name(END_CANCELLED);
    }
    account_count(&step->account, request, step->status, step->has_started, bytes);
    write_access(channel);
    client_drop(step->account.client);
    if (request->operation) request->operation->free(request->work);
    writer_release(&step->events);
    atomic_fetch_sub(&server->working, 1);
    channel->asked_us = clock_us(); /* idle from now on */
    step->is_busy = false;
}

/* All has been said. An operation that still runs, as a stream may that could not be told, is cancelled and
 * awaited. */
static void conclude(struct channel *channel)
{
    struct step *step = &channel->step;
    step->is_told = true;
    step_cancel(channel);
    if (!step->has_started || is_finished(&step->request)) end(channel);
}

/* Answer with a reply, which is taken, and end. */
static void respond(struct channel *channel, struct reply *reply)
{
    struct step *step = &channel->step;
    account_settle(&step->account, &step->request, step->has_started);
    if (reply->problem.fault != FAULT_NONE) {
        step->status = fault_http_status(reply->problem.fault);
        if (!step->has_started) metrics_count_fault(channel->streams->server->metrics, reply->problem.fault);
    } else step->status = reply->status ? reply->status : 200;
    step->bytes_out += talk_answer(channel, reply);
    conclude(channel);
}

/* ---- operations -------------------------------------------------------------------------------- */

/* A handler or an operation has left a reply, or another operation, which begins. */
static void carry_on(struct channel *channel, struct reply *reply)
{
    struct step *step = &channel->step;
    struct request *request = &step->request;
    if (!request->operation || reply->problem.fault != FAULT_NONE ||
        !account_charge(&step->account, request, &reply->problem)) {
        account_refuse(request, reply);
        respond(channel, reply);
        return;
    }
    request->record.end = END_CANCELLED; /* unless something else is heard */
    if (request->operation->read) atomic_store(&request->wakes_on_progress, true);
    if (!request->operation->start(request->work, &reply->problem)) {
        account_refuse(request, reply);
        respond(channel, reply);
        return;
    }
    pthread_mutex_lock(&channel->streams->mu);
    step->has_started = true;
    pthread_mutex_unlock(&channel->streams->mu);
}

static void put_problem(struct channel *channel, enum fault fault)
{
    struct reply reply = {0};
    problem_set(&reply.problem, fault, NULL, NULL);
    channel->step.bytes_out += talk_answer(channel, &reply);
}

/* Send the whole events among the bytes that a stream has given. */
static void send_events(struct channel *channel)
{
    static const char data[] = "data: ";
    struct writer *events = &channel->step.events;
    size_t at = 0, n;
    while ((n = sse_event_bytes(events->text + at, events->n - at)) > 0) {
        const char *event = events->text + at;
        bool is_json = n > sizeof data && !memcmp(event, data, sizeof data - 1) &&
                       event[sizeof data - 1] == '{';
        if (is_json)
            channel->step.bytes_out += talk_event(channel, event + sizeof data - 1,
                                                  n - (sizeof data - 1) - 2);
        at += n;
    }
    if (at) memmove(events->text, events->text + at, events->n - at);
    events->n -= at;
}

/* Read a stream while the client takes what it says. true: something was read. */
static bool read_stream(struct channel *channel)
{
    struct step *step = &channel->step;
    struct request *request = &step->request;
    char piece[PIECE_BYTES];
    size_t n = 0;
    if (!channel_is_free(channel)) return false;
    step->due_us = 0;
    switch (request->operation->read(request->work, request, piece, sizeof piece, &n, &step->due_us)) {
    case STREAM_DATA:
        put_raw(&step->events, piece, n);
        if (!writer_failed(&step->events)) send_events(channel);
        else {
            put_problem(channel, FAULT_NO_MEMORY);
            conclude(channel);
        }
        return true;
    case STREAM_END: conclude(channel); return true;
    case STREAM_WAIT: return false;
    }
    return false;
}

/* The operation has ended, or a stream has its first news. */
static void advance(struct channel *channel)
{
    struct step *step = &channel->step;
    struct request *request = &step->request;
    struct reply reply = {0};
    const void *before = request->work;
    if (!request->operation->read) account_settle(&step->account, request, true);
    request->operation->answer(request->work, request, &reply);
    if (request->work != before) { /* that operation has ended; what it left begins */
        pthread_mutex_lock(&channel->streams->mu);
        step->has_started = step->has_finished = step->has_progressed = false;
        pthread_mutex_unlock(&channel->streams->mu);
        carry_on(channel, &reply);
    } else if (reply.stream && reply.problem.fault == FAULT_NONE) {
        step->is_streaming = true;
        step->status = 200;
    } else respond(channel, &reply);
}

bool step_go_on(struct channel *channel, int64_t now_us)
{
    struct step *step = &channel->step;
    if (!step->is_busy) return false;
    pthread_mutex_lock(&channel->streams->mu);
    bool has_finished = step->has_finished, has_progressed = step->has_progressed;
    step->has_progressed = false;
    pthread_mutex_unlock(&channel->streams->mu);
    if (step->is_told || channel->state != CHANNEL_OPEN) { /* nothing hears an answer, so nothing moves */
        if (has_finished) end(channel);
        return has_finished;
    }
    if (step->is_streaming) {
        bool is_due = !step->due_us || now_us >= step->due_us;
        return (has_finished || has_progressed || is_due) && read_stream(channel);
    }
    if (!has_finished && !(step->request.operation->read && has_progressed)) return false;
    advance(channel);
    return true;
}

void step_cancel(struct channel *channel)
{
    struct step *step = &channel->step;
    pthread_mutex_lock(&channel->streams->mu);
    bool cancels = step->is_busy && step->has_started && !step->has_finished && !step->is_cancelled;
    step->is_cancelled |= cancels;
    if (cancels) step->request.operation->cancel(step->request.work);
    pthread_mutex_unlock(&channel->streams->mu);
}

/* ---- the beginning -------------------------------------------------------------------------- */

void step_begin(struct channel *channel, enum route_id route, const char *tail, const char *session,
                const char *body, size_t n)
{
    struct step *step = &channel->step;
    struct server *server = channel->streams->server;
    struct reply reply = {0};
    bool is_post = route_is_post(route);
    uint64_t number = step->number + 1;
    *step = (struct step){.number = number, .is_busy = true, .bytes_in = n};
    step->request = (struct request){
        .server = server, .carrier = &carrier, .route = route, .id = step->id, .tail = tail,
        .body = body, .body_bytes = n, .began_us = clock_us(), .owner = "", .session_step = -1,
        .method = is_post ? "POST" : "GET", .caller = {.client = channel->client, .weight = 1}};
    writer_init(&step->events, EVENT_BYTES);
    snprintf(step->id, sizeof step->id, "%.100s/%llu", channel->id, (unsigned long long)number);
    snprintf(step->request.session, sizeof step->request.session, "%s", session);
    atomic_fetch_add(&server->working, 1);
    if (keys_admit(server->keys, route_scopes(route), channel->authorization, &step->account.client,
                   &reply.problem) &&
        server_accepts(server, false, &reply.problem)) {
        if (step->account.client) step->request.caller = client_caller(step->account.client);
        step->request.owner = client_name(step->account.client);
        route_handler(route)(&step->request, &reply);
    }
    step->request.body = NULL;
    step->request.tail = "";
    carry_on(channel, &reply);
}
