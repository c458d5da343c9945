/* The life of one request.
 *
 *   begin --body arrives--> BODY --complete--> HANDLING --reply--> sent
 *                            |                     `--operation--> WAITING --answer--> HANDLING or STREAMING
 *                            `--too slow, too long--> EXPIRED
 *
 * What was learnt of libmicrohttpd 0.9.75 and shapes this file:
 * - An answer can be queued on the first call (headers) or when the body is complete, not between. A body
 *   that is too long or too slow is refused by writing to the wire ourselves and closing.
 * - An answer on the first call closes the connection with the body unread; the kernel then resets it, and
 *   the client may never see the answer. So the descriptor lingers (watcher_linger).
 * - It may not notice that a client leaves in the middle of a body. The watcher does (on_hangup).
 * - Resuming a connection that is not suspended is undefined. `parked` says whether it is, under mu, and a
 *   wake that comes before the connection is suspended is remembered in wake_pending: then it is not
 *   suspended.
 * - After the resume the HTTP thread may end the request at once: exchange_free locks mu once more, until the
 *   waker has let go of it.
 *
 * mu is held while an operation is cancelled, which locks the scheduler's mutex inside: the one place where
 * two are held, always in this order (finish() is called without the scheduler's). */
#include "server/request/exchange_parts.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "models/text/number.h"
#include "server/request/access.h"
#include "server/request/account.h"
#include "server/request/cors.h"
#include "server/request/gzip.h"
#include "server/request/refusal.h"
#include "server/request/keys.h"
#include "server/request/metrics.h"
#include "server/http/peer.h"
#include "server/request/router.h"
#include "server/request/sse.h"
#include "server/http/socket.h"
#include "server/http/watcher.h"

enum { GRACE_US = 1000000 };

static struct exchange *exchange_of(struct request *request)
{
    struct exchange *exchange = (void *)((char *)request - offsetof(struct exchange, request));
    assert(exchange->magic == EXCHANGE_MAGIC);
    return exchange;
}

/* ---- parking and waking --------------------------------------------------------------------- */

/* mu held. */
static void wake_locked(struct exchange *exchange)
{
    if (exchange->parked) {
        exchange->parked = false;
        connection_resume(exchange->connection);
    } else exchange->wake_pending = true;
}

/* Suspend, on the connection's own thread; false if a wake has come. */
static bool park(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->mu);
    bool parks = !exchange->wake_pending;
    exchange->wake_pending = false;
    if (parks) {
        exchange->parked = true;
        connection_suspend(exchange->connection);
    }
    pthread_mutex_unlock(&exchange->mu);
    return parks;
}

static void progressed(void *request)
{
    struct exchange *exchange = exchange_of(request);
    if (!atomic_exchange(&exchange->request.wakes_on_progress, false)) return;
    pthread_mutex_lock(&exchange->mu);
    if (!exchange->detached) wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
}

static void finished(void *request)
{
    struct exchange *exchange = exchange_of(request);
    struct watcher *watcher = exchange->service->watcher;
    pthread_mutex_lock(&exchange->mu);
    exchange->finished = true;
    bool detached = exchange->detached;
    if (!detached) wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (detached) watcher_free_later(watcher, &exchange->free_later);
}

static bool is_finished(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    pthread_mutex_lock(&exchange->mu);
    bool is_finished = exchange->finished;
    pthread_mutex_unlock(&exchange->mu);
    return is_finished;
}

static const struct carrier carrier = {progressed, finished, is_finished};

/* mu held. */
static void cancel_locked(struct exchange *exchange)
{
    exchange->cancelled = true;
    if (exchange->started && !exchange->finished) exchange->request.operation->cancel(exchange->request.work);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void settle(struct exchange *exchange)
{
    account_settle(&exchange->account, &exchange->request, exchange->started);
}

static void exchange_free(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->mu); /* the last waker may still be leaving */
    pthread_mutex_unlock(&exchange->mu);
    settle(exchange);
    client_drop(exchange->account.client);
    if (exchange->request.operation) exchange->request.operation->free(exchange->request.work);
    body_release(&exchange->body, &exchange->service->server->bodies);
    pthread_mutex_destroy(&exchange->mu);
    exchange->magic = 0;
    free(exchange);
}

static void free_detached(struct free_later *item)
{
    exchange_free((void *)((char *)item - offsetof(struct exchange, free_later)));
}

/* Count the answer: when it is queued, or when the request ends without one or after a stream. */
static void count(struct exchange *exchange)
{
    const struct account_bytes bytes = {exchange->bytes_in, exchange->bytes_out};
    account_count(&exchange->account, &exchange->request, exchange->status, exchange->started, bytes);
}

/* ---- answers -------------------------------------------------------------------------------- */

struct texts { /* values that are made for one answer */
    char timing[160], retry_after[RETRY_AFTER_BYTES], tag[24], length[24];
};

/* The value of Server-Timing, with three places. printf needs a microsecond for it. */
static void write_timing(const struct record *record, double total_ms, char *out)
{
    const struct { const char *name; double ms; } parts[] = {
        {"queue;dur=", record->queue_ms}, {", compute;dur=", record->compute_ms}, {", total;dur=", total_ms}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        out = stpcpy(out, parts[i].name);
        out += number_print_thousandths(out, parts[i].ms);
    }
}

/* The head of every answer; the watcher writes one too (expire). */
static void write_head(const struct exchange *exchange, const struct reply *reply, bool closes,
                       struct texts *texts, struct head *head)
{
    const struct record *record = &exchange->request.record;
    const char *type = reply->content_type ? reply->content_type : "application/json";
    *head = (struct head){.status = exchange->status};
    if (exchange->status != 204) head_add(head, "Content-Type", type);
    head_add(head, "X-Request-Id", exchange->id);
    write_timing(record, clock_ms_since(exchange->request.began_us), texts->timing);
    head_add(head, "Server-Timing", texts->timing);
    if (*exchange->request.session) head_add(head, "X-Session-Id", exchange->request.session);
    if (exchange->request.session_step >= 0) {
        snprintf(texts->tag, sizeof texts->tag, "\"%lld\"", (long long)exchange->request.session_step);
        head_add(head, "ETag", texts->tag);
    }
    if (reply->json_bytes && reply->problem.fault == FAULT_NONE) {
        snprintf(texts->length, sizeof texts->length, "%zu", reply->json_bytes);
        head_add(head, "Inference-Header-Content-Length", texts->length);
    }
    refusal_write_head(head, exchange->match.allow, reply->problem.retry_after_s, texts->retry_after);
    if (*exchange->service->server->config->http_cors_origins)
        cors_write(head, exchange->allowed_origin, exchange->preflight ? exchange->match.allow : NULL);
    gzip_write_head(reply, exchange->connection, head);
    if (reply->tag) head_add(head, "ETag", reply->tag);
    for (size_t i = 0; reply->headers && reply->headers[i]; i += 2)
        head_add(head, reply->headers[i], reply->headers[i + 1]);
    if (reply->stream) sse_write_head(head);
    closes |= atomic_load(&exchange->service->server->phase) >= SERVER_LEAVING;
    if (closes || exchange->in_doubt) head_add(head, "Connection", "close");
}

/* The next bytes of a stream are wanted. */
static ssize_t read_stream(void *context, char *out, size_t room)
{
    struct exchange *exchange = context;
    struct request *request = &exchange->request;
    assert(exchange->magic == EXCHANGE_MAGIC);
    for (;;) {
        size_t n = 0;
        int64_t due_us = 0;
        switch (request->operation->read(request->work, request, out, room, &n, &due_us)) {
        case STREAM_DATA:
            exchange->bytes_out += n;
            return (ssize_t)n;
        case STREAM_END: settle(exchange); return -1;
        case STREAM_WAIT:
            watcher_due(exchange->service->watcher, connection_slot(exchange->connection), due_us);
            if (park(exchange)) return 0; /* else look again */
        }
    }
}

static void take_error_body(struct exchange *exchange, struct reply *reply)
{
    free(reply->body);
    reply->body = request_error_body(&reply->problem, exchange->id, exchange->match.is_v2,
                                     &reply->body_bytes);
    reply->content_type = reply->tag = NULL;
    reply->headers = NULL;
    reply->stream = false;
    reply->status = fault_http_status(reply->problem.fault);
    /* what had started is counted by its end; and a client that asks whether we are ready is told so, not
     * refused */
    enum route_id route = exchange->request.route;
    bool probe = route == ROUTE_READYZ || route == ROUTE_HEALTH || route == ROUTE_V2_READY ||
                 route == ROUTE_PING;
    if (!exchange->started && !probe)
        metrics_count_fault(exchange->service->server->metrics, reply->problem.fault);
}

static void begin_takeover(void *context, bool is_early)
{
    struct exchange *exchange = context;
    exchange->takeover->begin(exchange->owner, exchange->connection, is_early);
}

/* The watcher minds the connection no more; its new owner does. */
static bool hand_over(struct exchange *exchange, const struct reply *reply)
{
    struct head head = {.status = 101};
    exchange->takeover = reply->takeover;
    exchange->owner = reply->owner;
    exchange->status = head.status;
    head_add(&head, "X-Request-Id", exchange->id);
    if (*exchange->request.session) head_add(&head, "X-Session-Id", exchange->request.session);
    for (size_t i = 0; reply->headers[i]; i += 2) head_add(&head, reply->headers[i], reply->headers[i + 1]);
    connection_time_out(exchange->connection, exchange->service->server->config->timeouts_write_s);
    watcher_due(exchange->service->watcher, connection_slot(exchange->connection), 0);
    count(exchange);
    return connection_upgrade(exchange->connection, &head, begin_takeover, exchange);
}

/* Send the reply, which is taken. */
static bool respond(struct exchange *exchange, struct reply *reply)
{
    struct connection *connection = exchange->connection;
    struct server *server = exchange->service->server;
    struct head head;
    struct texts texts;
    if (reply->takeover) return hand_over(exchange, reply);
    gzip_pack_reply(reply, connection);
    if (reply->body && reply->problem.fault == FAULT_NONE)
        body_total_hold(&server->replies, &exchange->held, reply->body_bytes, &reply->problem);
    if (reply->problem.fault != FAULT_NONE) take_error_body(exchange, reply);
    exchange->status = reply->status ? reply->status : 200;
    settle(exchange);
    write_head(exchange, reply, false, &texts, &head);
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = reply->stream ? PHASE_STREAMING : PHASE_HANDLING;
    pthread_mutex_unlock(&exchange->mu);
    connection_time_out(connection, server->config->timeouts_write_s);
    if (reply->stream) return connection_stream(connection, &head, read_stream, exchange);
    exchange->bytes_out = reply->body ? reply->body_bytes : 0;
    watcher_due(exchange->service->watcher, connection_slot(connection), 0);
    count(exchange);
    return connection_answer(connection, &head, reply->body, exchange->bytes_out);
}

/* What was wrong with the headers. */
static bool respond_early(struct exchange *exchange)
{
    return respond(exchange, &(struct reply){.problem = exchange->early});
}

/* An answer while the body still comes; the caller closes. */
static void refuse(struct exchange *exchange, const struct problem *problem)
{
    struct reply reply = {.problem = *problem};
    struct head head;
    struct texts texts;
    size_t n = 0;
    take_error_body(exchange, &reply);
    exchange->status = reply.status;
    write_head(exchange, &reply, true, &texts, &head);
    char *answer = reply.body ? request_refusal(&head, reply.body, reply.body_bytes, &n) : NULL;
    if (answer) {
        connection_send_raw(exchange->connection, answer, n);
        exchange->bytes_out = reply.body_bytes;
    }
    free(answer);
    free(reply.body);
}

static void refuse_late(struct exchange *exchange)
{
    struct problem problem;
    problem_set(&problem, FAULT_REQUEST_TIMEOUT, NULL,
                "the body was not received within %lld s (timeouts.body_s)",
                (long long)exchange->service->server->config->timeouts_body_s);
    refuse(exchange, &problem);
}

/* ---- the watcher's calls ------------------------------------------------------------------ */

/* The body is late, or will not come any more. Under TLS only the connection's own thread may write: it tells
 * the client when its next byte comes; one that sends none until `again_us` is not told. */
static void expire(struct exchange *exchange, int64_t *again_us)
{
    bool tell = exchange->phase == PHASE_BODY && !exchange->cancelled;
    exchange->phase = PHASE_EXPIRED;
    if (tell && connection_is_secure(exchange->connection)) {
        *again_us = clock_us() + GRACE_US;
        return;
    }
    if (tell) refuse_late(exchange);
    shutdown(connection_descriptor(exchange->connection), SHUT_RDWR);
}

static void on_due(void *owner)
{
    struct exchange *exchange = owner;
    int64_t again_us = 0;
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    if (exchange->phase == PHASE_BODY || exchange->phase == PHASE_EXPIRED) expire(exchange, &again_us);
    else wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (again_us) watcher_due(exchange->service->watcher, connection_slot(exchange->connection), again_us);
}

static void on_hangup(void *owner)
{
    struct exchange *exchange = owner;
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    cancel_locked(exchange);
    exchange->request.has_left = true;
    if (exchange->phase == PHASE_STREAMING) wake_locked(exchange); /* a stream may not end by itself */
    bool in_body = exchange->phase == PHASE_BODY;
    pthread_mutex_unlock(&exchange->mu);
    /* what lies in the socket may be the rest of it */
    if (in_body)
        watcher_due(exchange->service->watcher, connection_slot(exchange->connection), clock_us() + GRACE_US);
}

/* ---- a request arrives ---------------------------------------------------------------------- */

struct exchange *exchange_begin(struct service *service, struct connection *connection, const char *method,
                                const char *path, bool *good)
{
    struct exchange *exchange = exchange_make(service, connection, method, path);
    const struct config *config = service->server->config;
    if (!exchange) return NULL;
    exchange->request.carrier = &carrier;
    exchange->free_later.free = free_detached;
    connection_time_out(connection, 0);
    bool fine = exchange_check_headers(exchange, path);
    exchange->body.room.client = exchange->held.client = exchange->request.caller.client;
    const char *length = connection_header(connection, "Content-Length");
    unsigned long long announced = length ? strtoull(length, NULL, 10) : 0;
    bool too_large = announced > exchange_most_bytes(exchange);
    if (fine && too_large) fine = body_too_large(exchange_most_bytes(exchange), &exchange->early);
    if (fine && exchange->working)
        fine = body_reserve(&exchange->body, &service->server->bodies, (size_t)announced, &exchange->early);
    watcher_assign(service->watcher, connection_slot(connection), exchange,
                   exchange->request.began_us + config->timeouts_body_s * 1000000);
    bool at_once = announced > exchange_most_bytes(exchange) || exchange_is_unread(exchange) ||
                   connection_header(connection, "Expect");
    if (!fine && at_once) watcher_linger(service->watcher, connection_descriptor(connection));
    *good = fine || !at_once || respond_early(exchange);
    return exchange;
}

bool exchange_body(struct exchange *exchange, const char *bytes, size_t n)
{
    struct service *service = exchange->service;
    assert(exchange->magic == EXCHANGE_MAGIC);
    exchange->bytes_in += n;
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    bool over = exchange->bytes_in > exchange_most_bytes(exchange);
    if (expired && !exchange->status && !exchange->cancelled) refuse_late(exchange);
    if (over) exchange->phase = PHASE_EXPIRED;
    pthread_mutex_unlock(&exchange->mu);
    if (over && !expired) { /* only without Content-Length */
        if (exchange->early.fault == FAULT_NONE)
            body_too_large(exchange_most_bytes(exchange), &exchange->early);
        watcher_linger(service->watcher, connection_descriptor(exchange->connection));
        refuse(exchange, &exchange->early);
    }
    if (expired || over) return false;
    if (exchange->early.fault == FAULT_NONE && exchange->working &&
        !body_append(&exchange->body, &service->server->bodies, bytes, n, &exchange->early))
        body_release(&exchange->body, &service->server->bodies);
    return true; /* a refused body is read away */
}

/* ---- a request is answered ------------------------------------------------------------------ */

static bool resume(struct exchange *exchange);

/* Begin an operation, and wait for its end or its first news. It may be over when start returns, if it is
 * short enough for this thread (job_start_here), or because a worker was fast: the answer follows at once.
 * The operations of a chain after the first are waited for in any case, with the connection suspended before
 * they start, so that a long chain of short ones leaves its turn to other connections. */
static bool defer(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct service *service = exchange->service;
    bool is_link = exchange->has_begun;
    exchange->has_begun = true;
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = PHASE_WAITING;
    request->record.end = END_CANCELLED; /* unless something else is heard */
    pthread_mutex_unlock(&exchange->mu);
    if (is_link) is_link = park(exchange);
    bool streams = request->operation->read != NULL;
    watcher_due(service->watcher, connection_slot(exchange->connection),
                streams ? clock_us() + service->server->config->stream_ping_s * 1000000 : 0);
    if (streams) atomic_store(&request->wakes_on_progress, true);
    bool started = request->operation->start(request->work, &exchange->early);
    pthread_mutex_lock(&exchange->mu);
    if (!started) {
        exchange->finished = true;
        wake_locked(exchange);
    } else {
        exchange->started = true;
        if (exchange->cancelled) cancel_locked(exchange);
    }
    pthread_mutex_unlock(&exchange->mu);
    return is_link || park(exchange) || resume(exchange);
}

/* What a handler left: a reply, or an operation that begins. */
static bool carry_on(struct exchange *exchange, struct reply *reply)
{
    if (exchange->request.operation && reply->problem.fault == FAULT_NONE &&
        account_charge(&exchange->account, &exchange->request, &reply->problem))
        return defer(exchange);
    account_refuse(&exchange->request, reply);
    return respond(exchange, reply);
}

/* The body is complete. */
static bool dispatch(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    if (!expired) exchange->phase = PHASE_HANDLING;
    pthread_mutex_unlock(&exchange->mu);
    if (expired) return false;
    if (!exchange->in_doubt) /* its chunks may be */
        exchange->in_doubt = connection_fault(exchange->connection, &exchange->early);
    if (exchange->preflight && exchange->early.fault == FAULT_NONE) reply.status = 204;
    else if (exchange->early.fault == FAULT_NONE &&
             gzip_unpack_body(&exchange->body, request->server, exchange->connection, &exchange->early)) {
        request->body = exchange->body.bytes ? exchange->body.bytes : "";
        request->body_bytes = exchange->body.n;
        route_handler(request->route)(request, &reply);
        request->body = NULL;
    }
    body_release(&exchange->body, &exchange->service->server->bodies);
    if (exchange->early.fault != FAULT_NONE) return respond_early(exchange);
    return carry_on(exchange, &reply);
}

/* Woken: the operation has ended, or a stream has its first news. */
static bool resume(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    const void *before = request->work;
    if (exchange->early.fault != FAULT_NONE) {
        reply.problem = exchange->early;
        account_refuse(request, &reply);
    } else if (!request->operation->read && !request_is_finished(request)) {
        if (park(exchange)) return true;
        return resume(exchange);
    } else {
        if (!request->operation->read) settle(exchange); /* it may leave another operation */
        request->operation->answer(request->work, request, &reply);
    }
    if (request->work == before) return respond(exchange, &reply);
    pthread_mutex_lock(&exchange->mu); /* that operation has ended; what it left begins */
    exchange->started = exchange->finished = false;
    exchange->phase = PHASE_HANDLING;
    pthread_mutex_unlock(&exchange->mu);
    return carry_on(exchange, &reply);
}

bool exchange_continue(struct exchange *exchange)
{
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    bool waits = exchange->phase == PHASE_WAITING;
    pthread_mutex_unlock(&exchange->mu);
    return waits ? resume(exchange) : dispatch(exchange);
}

void exchange_end(struct exchange *exchange, bool well)
{
    struct service *service = exchange->service;
    const struct config *config = service->server->config;
    assert(exchange->magic == EXCHANGE_MAGIC);
    watcher_release(service->watcher, connection_slot(exchange->connection),
                    clock_us() + config->timeouts_idle_s * 1000000);
    if (exchange->request.closes) shutdown(connection_descriptor(exchange->connection), SHUT_RDWR);
    if (exchange->takeover)
        exchange->takeover->end(exchange->owner, &exchange->bytes_in, &exchange->bytes_out);
    else if (well) connection_time_out(exchange->connection, 0); /* the watcher minds that */
    if (!exchange->status)
        exchange->status = fault_http_status(exchange->phase == PHASE_EXPIRED && !exchange->cancelled
                                                 ? FAULT_REQUEST_TIMEOUT
                                                 : FAULT_CLIENT_CLOSED_REQUEST);
    if (exchange->started && !request_is_finished(&exchange->request))
        exchange->request.record.finish = metrics_end_name(END_CANCELLED);
    count(exchange);
    const struct access access = {&exchange->request, exchange->trace_id, exchange->method,
                                  client_name(exchange->account.client), exchange->status, exchange->bytes_in,
                                  exchange->bytes_out, clock_ms_since(exchange->request.began_us)};
    if (config->log_access) access_write(&access);
    body_total_give(&service->server->replies, &exchange->held);
    if (exchange->working) atomic_fetch_sub(&service->server->working, 1);
    pthread_mutex_lock(&exchange->mu);
    bool running = exchange->started && !exchange->finished;
    exchange->detached = running;
    if (running) cancel_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (!running) exchange_free(exchange);
}

const struct http_calls exchange_calls = {
    .begin = exchange_begin, .body = exchange_body, .proceed = exchange_continue, .end = exchange_end};

/* ---- what all share ------------------------------------------------------------------------- */

enum status service_open(struct service *service, struct server *server, struct error *err)
{
    static const struct watcher_calls calls = {.due = on_due, .hangup = on_hangup};
    const struct config *config = server->config;
    *service = (struct service){.server = server};
    enum status status = cors_check(config->http_cors_origins, err);
    if (status != STATUS_OK) return status;
    /* libmicrohttpd divides limits.connections between its threads, and rounds up */
    return watcher_start((size_t)(config->limits_connections + config->server_http_threads), &calls,
                         &service->watcher, err);
}

void service_close(struct service *service)
{
    watcher_stop(service->watcher);
    service->watcher = NULL;
}
