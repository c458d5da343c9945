/* The life of one request.
 *
 *   begin --body arrives--> BODY --complete--> handler --reply--> REPLIED
 *                            |                    `--errand--> WAITING --answer--> REPLIED or STREAMING
 *                            `--too slow, too long--> EXPIRED
 *
 * What was learnt of libmicrohttpd 0.9.75 and shapes this file:
 * - An answer can be queued on the first call (headers) or when the body is complete, not between. A body
 *   that is too long or too slow is refused by writing to the wire ourselves and closing.
 * - An answer on the first call closes the connection with the body unread; the kernel then resets it, and
 *   the client may never see the answer. So the descriptor lingers (watch_linger).
 * - It may not notice that a client leaves in the middle of a body. The attendant does (on_hangup).
 * - Resuming a connection that is not suspended is undefined. `parked` says whether it is, under mu, and a
 *   wake that comes too early is remembered in wake_pending.
 * - After the resume the HTTP thread may end the request at once: exchange_free takes mu once more, until the
 *   waker has let go of it.
 *
 * mu is held while an errand is cancelled, which takes the scheduler's lock inside: the one place where two
 * are held, always in this order (finish() is called without the scheduler's). */
#include "server/exchange.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "server/access.h"
#include "server/cors.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/peer.h"
#include "server/router.h"
#include "server/socket.h"
#include "server/watch.h"

enum { EXCHANGE_MAGIC = 0x0ca20531, GRACE_US = 1000000 };

enum phase { PHASE_BODY, PHASE_WAITING, PHASE_STREAMING, PHASE_REPLIED, PHASE_EXPIRED };

struct exchange {
    uint32_t magic;
    struct request request;
    struct grave grave;
    struct service *service;
    struct connection *connection;
    char id[REQUEST_ID_BYTES], trace_id[TRACE_ID_BYTES], method[16];
    struct match match;
    struct problem early; /* found before any work was done; told when the body has been read away */
    struct body body;
    const char *page;     /* the origin whose pages may read the answer, or "*"; NULL: none, or it may not */
    bool preflight;       /* a browser asks whether a page may ask */
    struct client *client; /* whose key it came with, acquired; NULL: no key is needed */
    uint64_t charged_steps;
    size_t held_bytes;    /* of the answer, as the total of answers counts it */
    unsigned status;      /* of the answer; 0: none yet */
    uint64_t bytes_in, bytes_out;
    bool working, counted;
    pthread_mutex_t mu;   /* guards the rest, and phase's way out of BODY */
    enum phase phase;
    bool parked, wake_pending, started, finished, cancelled, detached;
};

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

/* Suspend, on the connection's own thread; false where a wake has come. */
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

void request_progressed(void *request)
{
    struct exchange *exchange = exchange_of(request);
    if (!atomic_exchange(&exchange->request.eager, false)) return;
    pthread_mutex_lock(&exchange->mu);
    if (!exchange->detached) wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
}

void request_finished(void *request)
{
    struct exchange *exchange = exchange_of(request);
    struct watch *watch = exchange->service->watch;
    pthread_mutex_lock(&exchange->mu);
    exchange->finished = true;
    bool buried = exchange->detached;
    if (!buried) wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (buried) watch_bury(watch, &exchange->grave);
}

bool request_is_finished(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    pthread_mutex_lock(&exchange->mu);
    bool finished = exchange->finished;
    pthread_mutex_unlock(&exchange->mu);
    return finished;
}

/* mu held. */
static void cancel_locked(struct exchange *exchange)
{
    exchange->cancelled = true;
    if (exchange->started && !exchange->finished) exchange->request.errand->cancel(exchange->request.work);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* What was charged and has not been computed is given back, once the errand has finished: if possible before
 * the client has his answer, so that he finds it given back. */
static void settle_steps(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    if (!exchange->charged_steps || (exchange->started && !request_is_finished(request))) return;
    uint64_t used = exchange->started ? request->errand->cost_steps(request->work, true) : 0;
    if (used < exchange->charged_steps) client_give_back(exchange->client, exchange->charged_steps - used);
    exchange->charged_steps = 0;
}

static void exchange_free(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->mu); /* the last waker may still be leaving */
    pthread_mutex_unlock(&exchange->mu);
    settle_steps(exchange);
    client_drop(exchange->client);
    if (exchange->request.errand) exchange->request.errand->free(exchange->request.work);
    body_release(&exchange->body, &exchange->service->server->bodies);
    pthread_mutex_destroy(&exchange->mu);
    exchange->magic = 0;
    free(exchange);
}

static void free_buried(struct grave *grave)
{
    exchange_free((void *)((char *)grave - offsetof(struct exchange, grave)));
}

/* Count the answer, once: when it is queued, or when the request ends without one or after a stream. */
static void count(struct exchange *exchange)
{
    struct metrics *metrics = exchange->service->server->metrics;
    if (exchange->counted) return;
    exchange->counted = true;
    metrics_count_request(metrics, exchange->request.route, exchange->status,
                          clock_ms_since(exchange->request.began_us) * 1e-3);
    metrics_add(metrics, COUNTER_BYTES_IN, exchange->bytes_in);
    metrics_add(metrics, COUNTER_BYTES_OUT, exchange->bytes_out);
    if (exchange->started) metrics_count_end(metrics, (enum end)exchange->request.record.end);
    if (exchange->request.record.first_ms > 0)
        metrics_observe(metrics, HISTOGRAM_FIRST_TOKEN, exchange->request.record.first_ms * 1e-3);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Room for the values that are made for one answer. */
struct texts {
    char timing[160], retry_after[16];
};

/* The head of every answer; the attendant writes one too (expire). */
static void write_head(const struct exchange *exchange, const struct reply *reply, bool closes,
                       struct texts *texts, struct head *head)
{
    const struct record *record = &exchange->request.record;
    *head = (struct head){.status = exchange->status};
    if (exchange->status != 204)
        head_add(head, "Content-Type", reply->content_type ? reply->content_type : "application/json");
    head_add(head, "X-Request-Id", exchange->id);
    snprintf(texts->timing, sizeof texts->timing, "queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f",
             record->queue_ms, record->compute_ms, clock_ms_since(exchange->request.began_us));
    head_add(head, "Server-Timing", texts->timing);
    if (reply->allow) head_add(head, "Allow", reply->allow);
    if (exchange->status == 429 || exchange->status == 503) {
        unsigned retry_after_s = reply->problem.retry_after_s;
        snprintf(texts->retry_after, sizeof texts->retry_after, "%u", retry_after_s ? retry_after_s : 1);
        head_add(head, "Retry-After", texts->retry_after);
    }
    if (exchange->status == 401) head_add(head, "WWW-Authenticate", "Bearer realm=\"carousel\"");
    if (*exchange->service->server->config->http_cors_origins)
        cors_write(head, exchange->page, exchange->preflight ? exchange->match.allow : NULL);
    if (reply->stream) head_add(head, "Cache-Control", "no-cache");
    if (reply->stream) head_add(head, "X-Accel-Buffering", "no");
    closes |= atomic_load(&exchange->service->server->phase) >= SERVER_DRAINING;
    if (closes || exchange->early.fault == FAULT_INVALID_HEADERS) head_add(head, "Connection", "close");
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
        switch (request->errand->read(request->work, request, out, room, &n, &due_us)) {
        case STREAM_DATA:
            exchange->bytes_out += n;
            return (ssize_t)n;
        case STREAM_END: settle_steps(exchange); return -1;
        case STREAM_WAIT:
            watch_due(exchange->service->watch, connection_slot(exchange->connection), due_us);
            if (park(exchange)) return 0; /* else look again */
        }
    }
}

static void take_error_body(struct exchange *exchange, struct reply *reply)
{
    free(reply->body);
    reply->body = request_error_body(&reply->problem, exchange->id, exchange->match.is_v2,
                                     &reply->body_bytes);
    reply->content_type = NULL;
    reply->stream = false;
    reply->status = fault_http_status(reply->problem.fault);
    /* what had started is counted by its end; and who asks whether we are ready is told so, not refused */
    bool probe = exchange->request.route == ROUTE_READYZ || exchange->request.route == ROUTE_HEALTH;
    if (!exchange->started && !probe)
        metrics_count_fault(exchange->service->server->metrics, reply->problem.fault);
}

/* Send the reply, which is taken. */
static bool respond(struct exchange *exchange, struct reply *reply)
{
    struct connection *connection = exchange->connection;
    struct server *server = exchange->service->server;
    struct head head;
    struct texts texts;
    if (reply->body && reply->problem.fault == FAULT_NONE)
        body_total_take(&server->replies, reply->body_bytes, &exchange->held_bytes, &reply->problem);
    if (reply->problem.fault != FAULT_NONE) take_error_body(exchange, reply);
    exchange->status = reply->status ? reply->status : 200;
    settle_steps(exchange);
    write_head(exchange, reply, false, &texts, &head);
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = reply->stream ? PHASE_STREAMING : PHASE_REPLIED;
    pthread_mutex_unlock(&exchange->mu);
    connection_time_out(connection, server->config->timeouts_write_s);
    if (reply->stream) return connection_stream(connection, &head, read_stream, exchange);
    exchange->bytes_out = reply->body ? reply->body_bytes : 0;
    watch_due(exchange->service->watch, connection_slot(connection), 0);
    count(exchange);
    return connection_answer(connection, &head, reply->body, exchange->bytes_out);
}

/* What was wrong with the headers. */
static bool respond_early(struct exchange *exchange)
{
    bool method = exchange->early.fault == FAULT_METHOD_NOT_ALLOWED;
    struct reply reply = {.problem = exchange->early, .allow = method ? exchange->match.allow : NULL};
    return respond(exchange, &reply);
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
        connection_blurt(exchange->connection, answer, n);
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

/* ---- the attendant's calls ------------------------------------------------------------------ */

/* The body is late, or will not come any more. Under TLS only the connection's own thread may write: it tells
 * the client when his next byte comes; one who sends none until `again_us` is not told. */
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
    if (again_us) watch_due(exchange->service->watch, connection_slot(exchange->connection), again_us);
}

static void on_hangup(void *owner)
{
    struct exchange *exchange = owner;
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    cancel_locked(exchange);
    bool in_body = exchange->phase == PHASE_BODY;
    pthread_mutex_unlock(&exchange->mu);
    /* what lies in the socket may be the rest of it */
    if (in_body)
        watch_due(exchange->service->watch, connection_slot(exchange->connection), clock_us() + GRACE_US);
}

/* ---- a request arrives ---------------------------------------------------------------------- */

/* What the headers already show to be wrong. */
static bool check_headers(struct exchange *exchange, const char *path)
{
    const struct arrival arrival = {
        .method = exchange->method, .path = path,
        .content_type = connection_header(exchange->connection, "Content-Type"),
        .content_coding = connection_header(exchange->connection, "Content-Encoding")};
    const char *fault = connection_fault(exchange->connection);
    if (fault) return problem_set(&exchange->early, FAULT_INVALID_HEADERS, NULL, "%s", fault);
    exchange->preflight = *exchange->service->server->config->http_cors_origins &&
                          exchange->match.route != ROUTE_NONE &&
                          cors_is_preflight(exchange->connection, exchange->method);
    if (exchange->preflight)
        return exchange->page || problem_set(&exchange->early, FAULT_PERMISSION_DENIED, NULL,
                                             "the origin %.100s is none of http.cors_origins",
                                             connection_header(exchange->connection, "Origin"));
    if (!route_check(&exchange->match, &arrival, &exchange->early)) return false;
    if (!keys_admit(exchange->service->server->keys, route_scopes(exchange->match.route),
                    connection_header(exchange->connection, "Authorization"), &exchange->client,
                    &exchange->early))
        return false;
    exchange->request.caller = client_caller(exchange->client);
    return !route_is_post(exchange->match.route) ||
           server_is_ready(exchange->service->server, &exchange->early);
}

static struct exchange *exchange_new(struct service *service, struct connection *connection,
                                     const char *method, const char *path)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->magic = EXCHANGE_MAGIC;
    exchange->service = service;
    exchange->connection = connection;
    exchange->grave.free = free_buried;
    pthread_mutex_init(&exchange->mu, NULL);
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    access_take_id(connection_header(connection, "X-Request-Id"), exchange->id);
    access_take_trace(connection_header(connection, "traceparent"), exchange->trace_id);
    exchange->page = cors_allow(service->server->config->http_cors_origins,
                                connection_header(connection, "Origin"));
    route_find(method, path, &exchange->match);
    exchange->request = (struct request){.server = service->server, .route = exchange->match.route,
                                         .id = exchange->id, .tail = exchange->match.tail,
                                         .began_us = clock_us(),
                                         .caller = {.weight = 1},
                                         .peer = peer_number(connection_descriptor(connection))};
    exchange->working = exchange->match.has_method && route_is_post(exchange->match.route);
    if (exchange->working) atomic_fetch_add(&service->server->working, 1);
    return exchange;
}

/* Without a key, or without one that may, nothing that he sends is read; nor what ends nobody knows where. */
static bool is_unread(const struct exchange *exchange)
{
    enum fault fault = exchange->early.fault;
    return fault == FAULT_INVALID_API_KEY || fault == FAULT_PERMISSION_DENIED ||
           fault == FAULT_INVALID_HEADERS;
}

static bool has_body(const struct connection *connection)
{
    const char *length = connection_header(connection, "Content-Length");
    return (length && strcmp(length, "0")) || connection_header(connection, "Transfer-Encoding");
}

struct exchange *exchange_begin(struct service *service, struct connection *connection, const char *method,
                                const char *path, bool *good)
{
    struct exchange *exchange = exchange_new(service, connection, method, path);
    const struct config *config = service->server->config;
    if (!exchange) return NULL;
    watch_assign(service->watch, connection_slot(connection), exchange,
                 exchange->request.began_us + config->timeouts_body_s * 1000000);
    connection_time_out(connection, 0);
    bool fine = check_headers(exchange, path);
    const char *length = connection_header(connection, "Content-Length");
    bool long_body = length && strtoull(length, NULL, 10) > (unsigned long long)config->limits_body_bytes;
    if (fine && long_body) fine = body_too_large(config, &exchange->early);
    *good = true;
    bool at_once = long_body || connection_header(connection, "Expect") ||
                   (is_unread(exchange) && has_body(connection));
    if (fine || !at_once) return exchange;
    watch_linger(service->watch, connection_descriptor(connection));
    *good = respond_early(exchange);
    return exchange;
}

bool exchange_take(struct exchange *exchange, const char *bytes, size_t n)
{
    struct service *service = exchange->service;
    assert(exchange->magic == EXCHANGE_MAGIC);
    exchange->bytes_in += n;
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    bool over = exchange->bytes_in > (uint64_t)service->server->config->limits_body_bytes;
    if (expired && !exchange->status && !exchange->cancelled) refuse_late(exchange);
    if (over) exchange->phase = PHASE_EXPIRED;
    pthread_mutex_unlock(&exchange->mu);
    if (expired) return false;
    if (over) { /* only without Content-Length */
        struct problem problem;
        body_too_large(service->server->config, &problem);
        watch_linger(service->watch, connection_descriptor(exchange->connection));
        refuse(exchange, &problem);
        return false;
    }
    if (exchange->early.fault == FAULT_NONE && exchange->working &&
        !body_append(&exchange->body, &service->server->bodies, bytes, n))
        problem_set(&exchange->early, FAULT_NO_MEMORY, NULL, NULL);
    return true; /* a refused body is read away */
}

/* ---- a request is answered ------------------------------------------------------------------ */

/* Suspend, then start: never the reverse. */
static bool defer(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct service *service = exchange->service;
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = PHASE_WAITING;
    request->record.end = END_CANCELLED; /* unless something else is heard */
    exchange->parked = true;
    connection_suspend(exchange->connection);
    pthread_mutex_unlock(&exchange->mu);
    bool streams = request->errand->read != NULL;
    watch_due(service->watch, connection_slot(exchange->connection),
              streams ? clock_us() + service->server->config->stream_ping_s * 1000000 : 0);
    if (streams) atomic_store(&request->eager, true);
    bool started = request->errand->start(request->work, &exchange->early);
    pthread_mutex_lock(&exchange->mu);
    if (!started) {
        exchange->finished = true;
        wake_locked(exchange);
    } else {
        exchange->started = true;
        if (exchange->cancelled) cancel_locked(exchange);
    }
    pthread_mutex_unlock(&exchange->mu);
    return true;
}

static bool charge_steps(struct exchange *exchange, struct problem *problem)
{
    struct request *request = &exchange->request;
    if (!exchange->client) return true;
    uint64_t steps = request->errand->cost_steps(request->work, false);
    if (!client_charge(exchange->client, steps, problem)) return false;
    exchange->charged_steps = steps;
    return true;
}

/* The body is complete. */
static bool dispatch(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    if (!expired) exchange->phase = PHASE_REPLIED;
    pthread_mutex_unlock(&exchange->mu);
    if (expired) return false;
    if (exchange->preflight && exchange->early.fault == FAULT_NONE) reply.status = 204;
    else if (exchange->early.fault == FAULT_NONE) {
        request->body = exchange->body.bytes ? exchange->body.bytes : "";
        request->body_bytes = exchange->body.n;
        route_handler(request->route)(request, &reply);
        request->body = NULL;
    }
    body_release(&exchange->body, &exchange->service->server->bodies);
    if (exchange->early.fault != FAULT_NONE) return respond_early(exchange);
    if (request->errand && reply.problem.fault == FAULT_NONE && charge_steps(exchange, &reply.problem))
        return defer(exchange);
    return respond(exchange, &reply);
}

/* Woken: the errand has ended, or a stream has its first news. */
static bool resume(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    if (exchange->early.fault != FAULT_NONE) reply.problem = exchange->early;
    else if (!request->errand->read && !request_is_finished(request)) {
        if (park(exchange)) return true;
        return resume(exchange);
    } else request->errand->answer(request->work, request, &reply);
    return respond(exchange, &reply);
}

bool exchange_go(struct exchange *exchange)
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
    int64_t next_us = (config->timeouts_idle_s + config->timeouts_header_s) * 1000000;
    watch_release(service->watch, connection_slot(exchange->connection), clock_us() + next_us);
    if (exchange->request.closes) shutdown(connection_descriptor(exchange->connection), SHUT_RDWR);
    if (well) connection_time_out(exchange->connection, config->timeouts_idle_s);
    if (!exchange->status)
        exchange->status = fault_http_status(exchange->phase == PHASE_EXPIRED && !exchange->cancelled
                                                 ? FAULT_REQUEST_TIMEOUT
                                                 : FAULT_CLIENT_CLOSED_REQUEST);
    if (exchange->started && !request_is_finished(&exchange->request))
        exchange->request.record.finish = metrics_end_name(END_CANCELLED);
    count(exchange);
    const struct access access = {&exchange->request, exchange->trace_id, exchange->method,
                                  client_name(exchange->client), exchange->status, exchange->bytes_in,
                                  exchange->bytes_out, clock_ms_since(exchange->request.began_us)};
    if (config->log_access) access_write(&access);
    body_total_give(&service->server->replies, exchange->held_bytes);
    if (exchange->working) atomic_fetch_sub(&service->server->working, 1);
    pthread_mutex_lock(&exchange->mu);
    bool running = exchange->started && !exchange->finished;
    exchange->detached = running;
    if (running) cancel_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (!running) exchange_free(exchange);
}

/* ---- what all share ------------------------------------------------------------------------- */

enum status service_open(struct service *service, struct server *server, struct error *err)
{
    static const struct watch_calls calls = {.due = on_due, .hangup = on_hangup};
    const struct config *config = server->config;
    *service = (struct service){.server = server};
    /* libmicrohttpd divides limits.connections between its threads, and rounds up */
    return watch_start((size_t)(config->limits_connections + config->server_http_threads), &calls,
                       &service->watch, err);
}

void service_close(struct service *service)
{
    watch_stop(service->watch);
    service->watch = NULL;
}
