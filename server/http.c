/* One request inside libmicrohttpd, and the daemon around all of them.
 *
 *   begin --body arrives--> BODY --complete--> handler --reply--> REPLIED
 *                            |                    `--errand--> WAITING --answer--> REPLIED or STREAMING
 *                            `--too slow, too long--> EXPIRED
 *
 * What was learnt of libmicrohttpd 0.9.75 and shapes this file:
 * - An answer can be queued on the first call (headers) or when the body is complete, not between. A body
 *   that is too long or too slow is refused by writing to the socket ourselves and closing.
 * - An answer on the first call closes the connection with the body unread; the kernel then resets it, and
 *   the client may never see the answer. So the descriptor lingers (watch_linger).
 * - Resuming a connection that is not suspended is undefined. `parked` says whether it is, under mu, and a
 *   wake that comes too early is remembered in wake_pending.
 * - After the resume the HTTP thread may end the request at once: exchange_free takes mu once more, until the
 *   waker has let go of it.
 *
 * mu is held while an errand is cancelled, which takes the scheduler's lock inside: the one place where two
 * are held, always in this order (finish() is called without the scheduler's). */
#include "server/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "server/access.h"
#include "server/body.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/socket.h"
#include "server/watch.h"

enum { EXCHANGE_MAGIC = 0x0ca20531, STREAM_BLOCK = 16384 };
#define RETRY_AFTER_S "1"

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct body_total bodies;
    char address[SOCKET_URL_BYTES];
};

enum phase { PHASE_BODY, PHASE_WAITING, PHASE_STREAMING, PHASE_REPLIED, PHASE_EXPIRED };

struct exchange {
    uint32_t magic;
    struct request request;
    struct grave grave;
    struct http *http;
    struct MHD_Connection *connection;
    int descriptor, slot;
    char id[REQUEST_ID_BYTES], trace_id[TRACE_ID_BYTES], method[16];
    struct match match;
    struct problem early; /* found in the headers; told when the body has been read away */
    struct body body;
    unsigned status;      /* of the answer; 0: none yet */
    uint64_t bytes_in, bytes_out;
    bool working, counted;
    enum status start_status;
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
        MHD_resume_connection(exchange->connection);
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
        MHD_suspend_connection(exchange->connection);
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
    struct watch *watch = exchange->http->watch;
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

static void exchange_free(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->mu); /* the last waker may still be leaving */
    pthread_mutex_unlock(&exchange->mu);
    if (exchange->request.errand) exchange->request.errand->free(exchange->request.work);
    body_release(&exchange->body, &exchange->http->bodies);
    pthread_mutex_destroy(&exchange->mu);
    exchange->magic = 0;
    free(exchange);
}

static void free_buried(struct grave *grave)
{
    exchange_free((void *)((char *)grave - offsetof(struct exchange, grave)));
}

static double ms_since(int64_t began_us)
{
    return (double)(clock_us() - began_us) * 1e-3;
}

/* Count the answer, once: when it is queued, or when the request ends without one or after a stream. */
static void count(struct exchange *exchange)
{
    struct metrics *metrics = exchange->http->server->metrics;
    if (exchange->counted) return;
    exchange->counted = true;
    metrics_count_request(metrics, exchange->request.route, exchange->status);
    metrics_observe(metrics, HISTOGRAM_DURATION, ms_since(exchange->request.began_us) * 1e-3);
    metrics_add(metrics, COUNTER_BYTES_IN, exchange->bytes_in);
    metrics_add(metrics, COUNTER_BYTES_OUT, exchange->bytes_out);
    if (exchange->started) metrics_count_end(metrics, (enum end)exchange->request.record.end);
    if (exchange->request.record.first_ms > 0)
        metrics_observe(metrics, HISTOGRAM_FIRST_TOKEN, exchange->request.record.first_ms * 1e-3);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* The headers of every answer. */
static void add_headers(struct exchange *exchange, struct MHD_Response *response, const struct reply *reply)
{
    const struct record *record = &exchange->request.record;
    char text[160];
    MHD_add_response_header(response, "Content-Type", reply->content_type ? reply->content_type : "application/json");
    MHD_add_response_header(response, "X-Request-Id", exchange->id);
    snprintf(text, sizeof text, "queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f", record->queue_ms,
             record->compute_ms, ms_since(exchange->request.began_us));
    MHD_add_response_header(response, "Server-Timing", text);
    if (reply->allow) MHD_add_response_header(response, "Allow", reply->allow);
    if (exchange->status == 429 || exchange->status == 503)
        MHD_add_response_header(response, "Retry-After", RETRY_AFTER_S);
    if (reply->stream) MHD_add_response_header(response, "Cache-Control", "no-cache");
    if (reply->stream) MHD_add_response_header(response, "X-Accel-Buffering", "no");
    if (atomic_load(&exchange->http->server->phase) >= SERVER_DRAINING)
        MHD_add_response_header(response, "Connection", "close");
}

/* libmicrohttpd asks for the next bytes of a stream. */
static ssize_t on_stream(void *context, uint64_t position, char *out, size_t room)
{
    struct exchange *exchange = context;
    struct request *request = &exchange->request;
    (void)position;
    assert(exchange->magic == EXCHANGE_MAGIC);
    for (;;) {
        size_t n = 0;
        int64_t due_us = 0;
        switch (request->errand->read(request->work, request, out, room, &n, &due_us)) {
        case STREAM_DATA:
            exchange->bytes_out += n;
            return (ssize_t)n;
        case STREAM_END: return MHD_CONTENT_READER_END_OF_STREAM;
        case STREAM_WAIT:
            watch_due(exchange->http->watch, exchange->slot, due_us);
            if (park(exchange)) return 0; /* else look again */
        }
    }
}

static void take_error_body(struct exchange *exchange, struct reply *reply)
{
    free(reply->body);
    reply->body = request_error_body(&reply->problem, exchange->id, &reply->body_bytes);
    reply->content_type = NULL;
    reply->stream = false;
    reply->status = fault_http_status(reply->problem.fault);
    metrics_count_fault(exchange->http->server->metrics, reply->problem.fault);
}

/* Queue the reply, which is taken. */
static enum MHD_Result respond(struct exchange *exchange, struct reply *reply)
{
    if (reply->problem.fault != FAULT_NONE) take_error_body(exchange, reply);
    exchange->status = reply->status ? reply->status : 200;
    struct MHD_Response *response =
        reply->stream ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_stream, exchange, NULL)
                      : MHD_create_response_from_buffer(reply->body ? reply->body_bytes : 0, reply->body,
                                                        MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(reply->body);
        return MHD_NO;
    }
    add_headers(exchange, response, reply);
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = reply->stream ? PHASE_STREAMING : PHASE_REPLIED;
    pthread_mutex_unlock(&exchange->mu);
    if (!reply->stream) {
        exchange->bytes_out = reply->body_bytes;
        watch_due(exchange->http->watch, exchange->slot, 0);
        count(exchange);
    }
    MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)exchange->http->server->config->timeouts_write_s);
    enum MHD_Result result = MHD_queue_response(exchange->connection, exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

/* What was wrong with the headers. */
static enum MHD_Result respond_early(struct exchange *exchange)
{
    bool method = exchange->early.fault == FAULT_METHOD_NOT_ALLOWED;
    struct reply reply = {.problem = exchange->early, .allow = method ? exchange->match.allow : NULL};
    return respond(exchange, &reply);
}

/* An answer that libmicrohttpd will not send in this phase, straight to the socket; the caller closes. */
static void refuse(struct exchange *exchange, const struct problem *problem)
{
    exchange->status = fault_http_status(problem->fault);
    exchange->bytes_out =
        socket_refuse(exchange->descriptor, problem, exchange->id, ms_since(exchange->request.began_us));
    metrics_count_fault(exchange->http->server->metrics, problem->fault);
}

/* ---- the attendant's calls ------------------------------------------------------------------ */

static void on_due(void *owner)
{
    struct exchange *exchange = owner;
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    if (exchange->phase == PHASE_BODY) {
        struct problem problem;
        problem_set(&problem, FAULT_REQUEST_TIMEOUT, NULL,
                    "the body was not received within %lld s (timeouts.body_s)",
                    (long long)exchange->http->server->config->timeouts_body_s);
        exchange->phase = PHASE_EXPIRED;
        refuse(exchange, &problem);
        shutdown(exchange->descriptor, SHUT_RDWR);
    } else wake_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
}

static void on_hangup(void *owner)
{
    struct exchange *exchange = owner;
    assert(exchange->magic == EXCHANGE_MAGIC);
    pthread_mutex_lock(&exchange->mu);
    cancel_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
}

/* ---- a request arrives ---------------------------------------------------------------------- */

static int slot_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info && info->socket_context ? (int)(intptr_t)info->socket_context - 1 : WATCH_NONE;
}

static int descriptor_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* What the headers already show to be wrong. */
static bool check_headers(struct exchange *exchange, const char *path)
{
    const struct arrival arrival = {
        .method = exchange->method, .path = path, .content_type = header(exchange->connection, "Content-Type"),
        .content_coding = header(exchange->connection, "Content-Encoding")};
    if (!route_check(&exchange->match, &arrival, &exchange->early)) return false;
    if (!route_is_post(exchange->match.route) || atomic_load(&exchange->http->server->phase) == SERVER_READY) return true;
    return problem_set(&exchange->early, FAULT_DRAINING, NULL, NULL);
}

static struct exchange *exchange_new(struct http *http, struct MHD_Connection *connection,
                                     const char *method, const char *path)
{
    int slot = slot_of(connection);
    struct exchange *exchange = slot == WATCH_NONE ? NULL : calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->magic = EXCHANGE_MAGIC;
    exchange->http = http;
    exchange->connection = connection;
    exchange->grave.free = free_buried;
    exchange->slot = slot;
    exchange->descriptor = descriptor_of(connection);
    pthread_mutex_init(&exchange->mu, NULL);
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    access_take_id(header(connection, "X-Request-Id"), exchange->id);
    access_take_trace(header(connection, "traceparent"), exchange->trace_id);
    route_find(method, path, &exchange->match);
    exchange->request = (struct request){.server = http->server, .route = exchange->match.route, .id = exchange->id,
                                         .tail = exchange->match.tail, .began_us = clock_us()};
    exchange->working = route_is_post(exchange->match.route);
    if (exchange->working) atomic_fetch_add(&http->server->working, 1);
    return exchange;
}

static enum MHD_Result begin(struct http *http, struct MHD_Connection *connection, const char *method, const char *path,
                             void **state)
{
    struct exchange *exchange = exchange_new(http, connection, method, path);
    *state = exchange;
    if (!exchange) return MHD_NO;
    const struct config *config = http->server->config;
    watch_assign(http->watch, exchange->slot, exchange, exchange->request.began_us + config->timeouts_body_s * 1000000);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    bool good = check_headers(exchange, path);
    const char *length = header(connection, "Content-Length"), *expect = header(connection, "Expect");
    bool long_body = length && strtoull(length, NULL, 10) > (unsigned long long)config->limits_body_bytes;
    if (good && long_body) good = body_too_large(config, &exchange->early);
    if (good || !(long_body || expect)) return MHD_YES;
    watch_linger(http->watch, exchange->descriptor);
    return respond_early(exchange);
}

/* A part of the body. */
static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *n)
{
    size_t part = *n;
    *n = 0;
    exchange->bytes_in += part;
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    bool over = exchange->bytes_in > (uint64_t)exchange->http->server->config->limits_body_bytes;
    if (over && !expired) exchange->phase = PHASE_EXPIRED;
    pthread_mutex_unlock(&exchange->mu);
    if (expired) return MHD_NO;
    if (over) { /* only without Content-Length */
        struct problem problem;
        body_too_large(exchange->http->server->config, &problem);
        watch_linger(exchange->http->watch, exchange->descriptor);
        refuse(exchange, &problem);
        return MHD_NO;
    }
    if (exchange->early.fault != FAULT_NONE || !exchange->working ||
        body_append(&exchange->body, &exchange->http->bodies, bytes, part))
        return MHD_YES; /* a refused body is read away */
    problem_set(&exchange->early, FAULT_NO_MEMORY, NULL, NULL);
    return MHD_YES;
}

/* ---- a request is answered ------------------------------------------------------------------ */

/* Suspend, then start: never the reverse. */
static enum MHD_Result defer(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct http *http = exchange->http;
    pthread_mutex_lock(&exchange->mu);
    exchange->phase = PHASE_WAITING;
    request->record.end = END_CANCELLED; /* unless something else is heard */
    exchange->parked = true;
    MHD_suspend_connection(exchange->connection);
    pthread_mutex_unlock(&exchange->mu);
    bool streams = request->errand->read != NULL;
    watch_due(http->watch, exchange->slot,
              streams ? clock_us() + http->server->config->stream_ping_s * 1000000 : 0);
    watch_hangup(http->watch, exchange->slot);
    if (streams) atomic_store(&request->eager, true);
    enum status status = request->errand->start(request->work);
    pthread_mutex_lock(&exchange->mu);
    exchange->start_status = status;
    if (status != STATUS_OK) {
        exchange->finished = true;
        wake_locked(exchange);
    } else {
        exchange->started = true;
        if (exchange->cancelled) cancel_locked(exchange);
    }
    pthread_mutex_unlock(&exchange->mu);
    return MHD_YES;
}

/* The body is complete. */
static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    pthread_mutex_lock(&exchange->mu);
    bool expired = exchange->phase == PHASE_EXPIRED;
    if (!expired) exchange->phase = PHASE_REPLIED;
    pthread_mutex_unlock(&exchange->mu);
    if (expired) return MHD_NO;
    if (exchange->early.fault == FAULT_NONE) {
        request->body = exchange->body.bytes ? exchange->body.bytes : "";
        request->body_bytes = exchange->body.n;
        route_handler(request->route)(request, &reply);
        request->body = NULL;
    }
    body_release(&exchange->body, &exchange->http->bodies);
    if (exchange->early.fault != FAULT_NONE) return respond_early(exchange);
    if (request->errand && reply.problem.fault == FAULT_NONE) return defer(exchange);
    return respond(exchange, &reply);
}

/* Woken: the errand has ended, or a stream has its first news. */
static enum MHD_Result resume(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct reply reply = {0};
    if (exchange->start_status != STATUS_OK) problem_from(&reply.problem, exchange->start_status, NULL, NULL);
    else if (!request->errand->read && !request_is_finished(request)) {
        if (park(exchange)) return MHD_YES;
        return resume(exchange);
    } else request->errand->answer(request->work, request, &reply);
    return respond(exchange, &reply);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **state)
{
    struct exchange *exchange = *state;
    (void)version;
    if (!exchange) return begin(context, connection, method, path, state);
    assert(exchange->magic == EXCHANGE_MAGIC);
    if (*upload_bytes) return take_body(exchange, upload, upload_bytes);
    if (exchange->phase == PHASE_WAITING) return resume(exchange);
    return dispatch(exchange);
}

/* The request is over, however. An errand that still runs is cancelled; the exchange then waits for its end. */
static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *state;
    struct http *http = context;
    const struct config *config = http->server->config;
    if (!exchange) return;
    assert(exchange->magic == EXCHANGE_MAGIC);
    *state = NULL;
    int64_t next_us = (config->timeouts_idle_s + config->timeouts_header_s) * 1000000;
    watch_release(http->watch, exchange->slot, clock_us() + next_us);
    if (exchange->request.closes) shutdown(exchange->descriptor, SHUT_RDWR);
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)config->timeouts_idle_s);
    if (!exchange->status) exchange->status = fault_http_status(FAULT_CLIENT_CLOSED_REQUEST);
    if (exchange->started && !request_is_finished(&exchange->request))
        exchange->request.record.finish = metrics_end_name(END_CANCELLED);
    count(exchange);
    const struct access access = {&exchange->request, exchange->trace_id, exchange->method, exchange->status,
                                  exchange->bytes_in, exchange->bytes_out, ms_since(exchange->request.began_us)};
    if (config->log_access) access_write(&access);
    if (exchange->working) atomic_fetch_sub(&http->server->working, 1);
    pthread_mutex_lock(&exchange->mu);
    bool running = exchange->started && !exchange->finished;
    exchange->detached = running;
    if (running) cancel_locked(exchange);
    pthread_mutex_unlock(&exchange->mu);
    if (!running) exchange_free(exchange);
}

/* ---- the daemon ----------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int descriptor = descriptor_of(connection);
        int64_t due_us = clock_us() + http->server->config->timeouts_header_s * 1000000;
        int slot = watch_open(http->watch, descriptor, due_us);
        *socket_context = (void *)(intptr_t)(slot + 1);
        if (slot == WATCH_NONE) shutdown(descriptor, SHUT_RDWR);
        return;
    }
    int slot = (int)(intptr_t)*socket_context - 1;
    if (slot != WATCH_NONE) watch_close(http->watch, slot);
    *socket_context = NULL;
}

static void on_log(void *context, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *format, va_list args)
{
    (void)context;
    log_foreign("libmicrohttpd", format, args);
}

static struct MHD_Daemon *start_daemon(struct http *http, int descriptor)
{
    const struct config *config = http->server->config;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, descriptor, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->limits_connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)config->limits_connections_per_address, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)config->limits_header_bytes, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)config->timeouts_header_s, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        /* one thread runs without a pool, which is asked for from two on */
        {config->server_http_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
         (intptr_t)config->server_http_threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
                            NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

enum status http_start(struct server *server, struct http **out, struct error *err)
{
    static const struct watch_calls calls = {.due = on_due, .hangup = on_hangup};
    const struct config *config = server->config;
    struct http *http = calloc(1, sizeof *http);
    if (!http) return error_set(err, STATUS_NO_MEMORY, "no memory for the HTTP server");
    http->server = server;
    http->bodies.limit = config->limits_bodies_bytes;
    int descriptor = -1;
    enum status status = socket_listen(config->server_host, config->server_port, http->address, &descriptor, err);
    if (status == STATUS_OK)
        status = watch_start((size_t)(config->limits_connections + config->server_http_threads), &calls, &http->watch, err);
    if (status == STATUS_OK && !(http->daemon = start_daemon(http, descriptor)))
        status = error_set(err, STATUS_INTERNAL, "libmicrohttpd does not start: %s", strerror(errno));
    if (status == STATUS_OK) return *out = http, STATUS_OK;
    if (descriptor >= 0) close(descriptor);
    watch_stop(http->watch);
    free(http);
    return status;
}

const char *http_address(const struct http *http)
{
    return http->address;
}

void http_cancel_all(struct http *http)
{
    watch_cancel_all(http->watch);
}

void http_stop(struct http *http)
{
    if (!http) return;
    MHD_stop_daemon(http->daemon);
    watch_stop(http->watch);
    free(http);
}
