/* libmicrohttpd: its daemon, its connections, its calls. */
#include "server/http/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "server/http/balance.h"
#include "server/http/connection.h"
#include "server/base/log.h"
#include "server/http/peer.h"
#include "server/http/socket.h"
#include "server/http/tls.h"
#include "server/http/watcher.h"
#include "server/http/wire.h"

/* The strictest reading that libmicrohttpd has; 1.0 has degrees of it. */
#if MHD_VERSION >= 0x01000000
#define STRICTNESS MHD_OPTION_CLIENT_DISCIPLINE_LVL, 3
#else
#define STRICTNESS MHD_OPTION_STRICT_FOR_CLIENT, 1
#endif

enum {
    STREAM_BLOCK = 16384,
    HEAD_ROOM = 8192,         /* of an answer */
    OTHER_DESCRIPTORS = 8192, /* files, and connections that are being closed */
    FIELD_BYTES = 96          /* what libmicrohttpd keeps for each header */
};

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
    struct listener listener;
    struct visits visits;
    bool is_secure;
};

struct connection {
    struct MHD_Connection *mhd;
    int descriptor, slot;
    uint32_t peer; /* its number */
    struct visit visit;
    struct wire wire;
    unsigned n_requests;     /* that have begun */
    bool is_busy;            /* a request is under way */
    bool is_old;             /* of HTTP/1.0 is the one under way */
    bool head_is_timed;      /* the time for the head that is coming in is running */
    struct http *http;
    void *session;           /* GnuTLS's; NULL: no TLS */
    connection_reader *read; /* of the stream under way */
    void *read_context;
    connection_upgraded *begin; /* of the connection that gives up HTTP */
    void *begin_context;
    struct MHD_UpgradeResponseHandle *upgrade;
};

/* ---- connections ---------------------------------------------------------------------------- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

const char *connection_header(const struct connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection->mhd, MHD_HEADER_KIND, name);
}

bool connection_fault(const struct connection *connection, struct problem *problem)
{
    if (!framing_fault(&connection->wire.framing, connection->n_requests, problem)) return false;
    watcher_linger(connection->http->options.watcher, connection->descriptor);
    return true;
}

int connection_descriptor(const struct connection *connection)
{
    return connection->descriptor;
}

uint32_t connection_peer(const struct connection *connection)
{
    return connection->peer;
}

int connection_slot(const struct connection *connection)
{
    return connection->slot;
}

bool connection_is_secure(const struct connection *connection)
{
    return connection->session != NULL;
}

bool connection_is_old(const struct connection *connection)
{
    return connection->is_old;
}

void connection_suspend(struct connection *connection)
{
    MHD_suspend_connection(connection->mhd);
}

void connection_resume(struct connection *connection)
{
    MHD_resume_connection(connection->mhd);
}

void connection_time_out(struct connection *connection, int64_t seconds)
{
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)seconds);
}

void connection_send_raw(struct connection *connection, const char *bytes, size_t n)
{
    if (connection->session) {
        tls_send(connection->session, bytes, n);
        return;
    }
    ssize_t sent = send(connection->descriptor, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* a client that reads nothing gets no answer */
}

void head_add(struct head *head, const char *name, const char *value)
{
    assert(head->n < HEAD_MAX_HEADERS);
    head->headers[head->n].name = name;
    head->headers[head->n++].value = value;
}

static bool queue(struct connection *connection, const struct head *head, struct MHD_Response *response)
{
    for (size_t i = 0; i < head->n; i++)
        MHD_add_response_header(response, head->headers[i].name, head->headers[i].value);
    enum MHD_Result result = MHD_queue_response(connection->mhd, head->status, response);
    MHD_destroy_response(response);
    return result == MHD_YES;
}

bool connection_answer(struct connection *connection, const struct head *head, char *body, size_t bytes)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_MUST_FREE);
    if (response) return queue(connection, head, response);
    free(body);
    return false;
}

static ssize_t on_stream(void *context, uint64_t position, char *out, size_t room)
{
    struct connection *connection = context;
    (void)position;
    ssize_t n = connection->read(connection->read_context, out, room);
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

bool connection_stream(struct connection *connection, const struct head *head, connection_reader *read,
                       void *context)
{
    connection->read = read;
    connection->read_context = context;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_stream, connection, NULL);
    return response && queue(connection, head, response);
}

static void on_upgrade(void *context, struct MHD_Connection *mhd, void *state, const char *early,
                       size_t n_early, MHD_socket descriptor, struct MHD_UpgradeResponseHandle *upgrade)
{
    struct connection *connection = context;
    (void)mhd, (void)state, (void)early, (void)descriptor;
    connection->upgrade = upgrade;
    connection->begin(connection->begin_context, n_early || framing_is_early(&connection->wire.framing));
}

bool connection_upgrade(struct connection *connection, const struct head *head, connection_upgraded *begin,
                        void *context)
{
    connection->begin = begin;
    connection->begin_context = context;
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, connection);
    return response && queue(connection, head, response);
}

void connection_leave(struct connection *connection)
{
    MHD_upgrade_action(connection->upgrade, MHD_UPGRADE_ACTION_CLOSE);
}

static void *session_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/* ---- what libmicrohttpd calls --------------------------------------------------------------- */

static int64_t head_due_us(const struct http *http)
{
    return clock_us() + http->options.config->timeouts_header_s * 1000000;
}

/* Give a head that has come in part its time, from its first byte on, or from the end of the request before
 * it. */
static void time_head(void *context)
{
    struct connection *connection = context;
    bool is_in_head = framing_is_in_head(&connection->wire.framing);
    if (!is_in_head || connection->is_busy || connection->head_is_timed) return;
    connection->head_is_timed = true;
    if (connection->n_requests) /* the first head's time began with the connection */
        watcher_due(connection->http->options.watcher, connection->slot, head_due_us(connection->http));
}

/* NULL: there is no memory, or the peer has as many as it may. */
static struct connection *connection_open(struct http *http, struct MHD_Connection *mhd, int descriptor)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) return NULL;
    *connection = (struct connection){
        .mhd = mhd, .descriptor = descriptor, .peer = peer_number(descriptor),
        .session = session_of(mhd), .http = http};
    connection->wire = (struct wire){
        .is_secure = connection->session != NULL, .received = time_head, .context = connection};
    framing_open(&connection->wire.framing, (size_t)http->options.config->limits_header_bytes);
    if (visit_begin(&http->visits, &connection->visit, connection->peer)) {
        connection->slot = watcher_open(http->options.watcher, descriptor, head_due_us(http));
        if (connection->slot != WATCHER_NONE && wire_attach(descriptor, &connection->wire)) return connection;
        if (connection->slot != WATCHER_NONE) watcher_close(http->options.watcher, connection->slot);
        visit_end(&http->visits, &connection->visit);
    }
    free(connection);
    return NULL;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    struct connection *connection = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int descriptor = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        balance_add();
        *socket_context = connection_open(http, mhd, descriptor);
        if (!*socket_context) shutdown(descriptor, SHUT_RDWR);
        return;
    }
    balance_remove();
    if (connection) {
        wire_detach(connection->descriptor);
        framing_close(&connection->wire.framing);
        watcher_close(http->options.watcher, connection->slot);
        visit_end(&http->visits, &connection->visit);
    }
    free(connection);
    *socket_context = NULL;
}

/* The path of a target that is a whole URI (RFC 9112, 3.2.2), else the target. */
static const char *path_of(const char *target)
{
    size_t scheme = !strncasecmp(target, "http://", 7) ? 7 : !strncasecmp(target, "https://", 8) ? 8 : 0;
    if (!scheme) return target;
    const char *path = strchr(target + scheme, '/');
    return path ? path : "/";
}

/* Begin a request of the connection. False: it has not passed the framing, so it must not be served. */
static bool begin_request(struct connection *connection)
{
    connection->is_busy = true;
    connection->head_is_timed = false;
    if (connection->n_requests++ < connection->wire.framing.n_heads) return true;
    log_line(LOG_ERROR, "a request was not checked before libmicrohttpd read it: this libmicrohttpd does not "
             "receive by recv or gnutls_record_recv; nothing is served");
    return false;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    const struct http_options *options = &((struct http *)context)->options;
    struct exchange *exchange = *state;
    if (!exchange) {
        struct connection *connection = connection_of(mhd);
        bool good = false;
        if (connection) connection->is_old = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
        if (connection && begin_request(connection))
            *state = options->calls->begin(options->service, connection, method, path_of(path), &good);
        return good ? MHD_YES : MHD_NO;
    }
    size_t n = *upload_bytes;
    *upload_bytes = 0;
    bool goes_on = n ? options->calls->body(exchange, upload, n) : options->calls->proceed(exchange);
    return goes_on ? MHD_YES : MHD_NO;
}

/* In place, as libmicrohttpd does it, but that a text with %00 stays as it is: cut there, it would be another
 * path than the one that stands in front of it has let through. */
static size_t unescape(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context, (void)mhd;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode code)
{
    const struct http *http = context;
    struct connection *connection = connection_of(mhd);
    if (*state) http->options.calls->end(*state, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *state = NULL;
    if (!connection) return;
    connection->is_busy = false;
    time_head(connection);
}

static void on_log(void *context, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *format, va_list args)
{
    (void)context;
    log_foreign("libmicrohttpd", format, args);
}

/* ---- the daemon ----------------------------------------------------------------------------- */

/* 0: any number. libmicrohttpd has such a limit too, by which a client with a /64 of IPv6 has 2^64 addresses.
 * */
static size_t connections_per_address(const struct http *http)
{
    const struct config *config = http->options.config;
    if (config->limits_connections_per_address >= 0) return (size_t)config->limits_connections_per_address;
    return http->listener.is_public ? (size_t)(config->limits_connections + 3) / 4 : 0;
}

/* libmicrohttpd uses half of it for what it has received. The headers' entries and the answer's head must
 * find room beside a whole request head. It is cleared before each request, so what is more than needed costs
 * every one of them. */
static intptr_t connection_memory(const struct config *config)
{
    return (intptr_t)(2 * config->limits_header_bytes + FRAMING_MAX_FIELDS * FIELD_BYTES + HEAD_ROOM);
}

static struct MHD_Daemon *start_daemon(struct http *http)
{
    const struct config *config = http->options.config;
    balance_open(http->listener.descriptor, (size_t)config->server_http_threads);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, http->listener.descriptor, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->limits_connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory(config), NULL},
        {STRICTNESS, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        /* one thread runs without a pool, which is asked for from two on */
        {config->server_http_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
         (intptr_t)config->server_http_threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(size_t)tls_priorities(config->tls_minimum_version)},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, tls_retriever()},
        {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (http->is_secure ? MHD_USE_TLS : MHD_ALLOW_UPGRADE);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, http,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_ARRAY, http->is_secure ? tls : &tls[2],
                            MHD_OPTION_END);
}

enum status http_reload(struct http *http, struct error *err)
{
    enum { WARN_S = 14 * 86400 };
    const struct config *config = http->options.config;
    int64_t expires_s;
    if (!http->is_secure) return STATUS_OK;
    enum status status = tls_load(config->tls_certificate, config->tls_private_key, &expires_s, err);
    if (status != STATUS_OK) return status;
    int64_t left_s = expires_s - (int64_t)time(NULL);
    log_line(left_s < WARN_S ? LOG_WARNING : LOG_INFO, "certificate %s: %s %lld days",
             config->tls_certificate, left_s < 0 ? "expired for" : "good for",
             (long long)((left_s < 0 ? -left_s : left_s) / 86400));
    return STATUS_OK;
}

static enum status open_listener(struct http *http, struct error *err)
{
    const struct config *config = http->options.config;
    http->is_secure = *config->tls_certificate || *config->tls_private_key;
    if (http->is_secure && *config->server_unix_socket)
        return error_set_param(err, STATUS_BAD_VALUE, "server.unix_socket",
                               "server.unix_socket and tls.certificate do not go together: leave one empty");
    enum status status = http_reload(http, err);
    if (status != STATUS_OK) return status;
    if (*config->server_unix_socket)
        return socket_listen_unix(config->server_unix_socket, config->server_unix_mode, &http->listener, err);
    return socket_listen(http->is_secure ? "https" : "http", config->server_host, config->server_port,
                         &http->listener, err);
}

/* All but the daemon, which has closed the socket. */
static void http_free(struct http *http)
{
    socket_unlink(&http->listener);
    visits_close(&http->visits);
    tls_unload();
    balance_close();
    wire_close();
    free(http);
}

enum status http_start(const struct http_options *options, struct http **out, struct error *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http) return error_set(err, STATUS_NO_MEMORY, "no memory for the HTTP server");
    http->options = *options;
    http->listener.descriptor = -1;
    enum status status = open_listener(http, err);
    visits_open(&http->visits, connections_per_address(http));
    if (status == STATUS_OK && !wire_open((size_t)options->config->limits_connections + OTHER_DESCRIPTORS))
        status = error_set(err, STATUS_NO_MEMORY, "no memory for the table of connections");
    if (status == STATUS_OK && !(http->daemon = start_daemon(http)))
        status = error_set(err, STATUS_INTERNAL, "libmicrohttpd does not start: %s", strerror(errno));
    if (status == STATUS_OK) return *out = http, STATUS_OK;
    if (http->listener.descriptor >= 0) close(http->listener.descriptor);
    http_free(http);
    return status;
}

const char *http_address(const struct http *http)
{
    return http->listener.url;
}

bool http_is_public(const struct http *http)
{
    return http->listener.is_public;
}

void http_cancel_all(struct http *http)
{
    watcher_cancel_all(http->options.watcher);
}

void http_stop(struct http *http)
{
    if (!http) return;
    MHD_stop_daemon(http->daemon);
    http_free(http);
}
