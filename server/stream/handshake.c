/* GET /v1/stream: the handshake of a WebSocket (RFC 6455, 4.2), and the way of its connection from and to
 * libmicrohttpd. On HTTP threads. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/api/branch.h"
#include "server/request/access.h"
#include "server/request/cors.h"
#include "server/stream/channel.h"

#define PROTOCOL "carousel.v1"

/* ---- the headers ---------------------------------------------------------------------------- */

static bool is_upgrade(const struct request *request)
{
    return !strcmp(request->method, "GET") && !connection_is_old(request->connection) &&
           websocket_list_has(connection_header(request->connection, "Upgrade"), "websocket") &&
           websocket_list_has(connection_header(request->connection, "Connection"), "upgrade");
}

/* A browser sends the page's origin, and asks no leave before. So a page may open a socket only if it is of
 * this server or of http.cors_origins. */
static bool is_origin_allowed(const struct request *request)
{
    return cors_is_own(request->connection) ||
           cors_allow(request->server->config->http_cors_origins,
                      connection_header(request->connection, "Origin"));
}

static bool check_headers(const struct request *request, char accept[WEBSOCKET_ACCEPT_BYTES],
                          struct problem *problem)
{
    const struct connection *connection = request->connection;
    const char *version = connection_header(connection, "Sec-WebSocket-Version");
    const char *key = connection_header(connection, "Sec-WebSocket-Key");
    const char *protocols = connection_header(connection, "Sec-WebSocket-Protocol");
    const char *length = connection_header(connection, "Content-Length");
    if (connection_is_secure(connection))
        return problem_set(problem, FAULT_UPGRADE_REQUIRED, NULL,
                           "this server's own TLS carries no WebSocket; expected a proxy before it that ends "
                           "TLS, to which clients connect by wss");
    if (!is_upgrade(request))
        return problem_set(problem, FAULT_UPGRADE_REQUIRED, NULL,
                           "the request asks for no WebSocket; expected GET of HTTP/1.1 with Upgrade: "
                           "websocket and Connection: Upgrade (a proxy in between must pass them on)");
    if (!version || strcmp(version, "13"))
        return problem_set(problem, FAULT_UPGRADE_REQUIRED, NULL,
                           "Sec-WebSocket-Version is '%.20s'; expected 13", version ? version : "");
    if (!key || !websocket_accept(key, accept))
        return problem_set(problem, FAULT_INVALID_HEADERS, NULL,
                           "Sec-WebSocket-Key is %s; expected 16 bytes in base64",
                           key ? "malformed" : "missing");
    if ((length && strcmp(length, "0")) || connection_header(connection, "Transfer-Encoding"))
        return problem_set(problem, FAULT_INVALID_HEADERS, NULL, "the handshake has a body; expected none");
    if (protocols && !websocket_list_has(protocols, PROTOCOL))
        return problem_set(problem, FAULT_INVALID_HEADERS, NULL,
                           "Sec-WebSocket-Protocol is '%.60s'; expected " PROTOCOL ", or no such header",
                           protocols);
    return is_origin_allowed(request) ||
           problem_set(problem, FAULT_PERMISSION_DENIED, NULL,
                       "the origin %.100s is neither this server's nor one of http.cors_origins",
                       connection_header(connection, "Origin"));
}

/* ---- the connection's way ------------------------------------------------------------------- */

static void begin(void *owner, struct connection *connection, bool is_early)
{
    struct channel *channel = owner;
    channel->connection = connection;
    channel->descriptor = connection_descriptor(connection);
    if (is_early) channel_close(channel, CLOSE_PROTOCOL, "a frame came before the handshake was answered");
    streams_begin(channel->streams, channel);
}

static void end(void *owner, uint64_t *bytes_in, uint64_t *bytes_out)
{
    struct channel *channel = owner;
    struct streams *streams = channel->streams;
    *bytes_in = channel->bytes_in;
    *bytes_out = channel->bytes_out;
    visit_end(&streams->visits, &channel->visit);
    channel_free(channel);
    atomic_fetch_sub(&streams->server->sockets, 1);
}

/* Count a channel among all and among its client's. */
static bool find_room(struct streams *streams, struct channel *channel, struct problem *problem)
{
    const struct config *config = streams->server->config;
    if (atomic_fetch_add(&streams->server->sockets, 1) >= config->stream_sockets)
        problem_set(problem, FAULT_NO_MEMORY, NULL,
                    "%lld WebSockets are open, as many as may be (stream.sockets); come back later",
                    (long long)config->stream_sockets);
    else if (!visit_begin(&streams->visits, &channel->visit, channel->client))
        problem_set(problem, FAULT_RATE_LIMITED, NULL,
                    "this client has %lld WebSockets open, as many as it may (stream.sockets_per_client)",
                    (long long)config->stream_sockets_per_client);
    else return true;
    atomic_fetch_sub(&streams->server->sockets, 1);
    return false;
}

static struct channel *make(const struct request *request, struct streams *streams)
{
    const char *authorization = connection_header(request->connection, "Authorization");
    struct channel *channel = channel_new(streams, (uint64_t)request->server->config->stream_message_bytes);
    if (!channel) return NULL;
    channel->client = channel->message.room.client = channel->out.room.client = request->caller.client;
    strcpy(channel->id, request->id);
    strcpy(channel->talk.session, request->session);
    channel->authorization = authorization ? strdup(authorization) : NULL;
    if (!authorization || channel->authorization) return channel;
    channel_free(channel);
    return NULL;
}

static void put_headers(struct channel *channel, const struct request *request, const char *accept)
{
    bool has_protocol = connection_header(request->connection, "Sec-WebSocket-Protocol") != NULL;
    const char **header = channel->headers;
    strcpy(channel->accept, accept);
    *header++ = "Upgrade";
    *header++ = "websocket";
    *header++ = "Sec-WebSocket-Accept";
    *header++ = channel->accept;
    if (!has_protocol) return;
    *header++ = "Sec-WebSocket-Protocol";
    *header++ = PROTOCOL;
}

void api_stream(struct request *request, struct reply *reply)
{
    static const struct takeover takeover = {begin, end};
    struct streams *streams = request->server->streams;
    struct problem *problem = &reply->problem;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    if (!streams) {
        problem_set(problem, FAULT_NOT_IMPLEMENTED, NULL,
                    "there is no connection that could become a WebSocket; ask a server that runs (carousel "
                    "serve)");
        return;
    }
    if (!check_headers(request, accept, problem) || !server_accepts(request->server, false, problem) ||
        !branch_header_is_good(request, problem))
        return;
    struct channel *channel = make(request, streams);
    if (!channel) {
        problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    if (!find_room(streams, channel, problem)) {
        channel_free(channel);
        return;
    }
    put_headers(channel, request, accept);
    reply->takeover = &takeover;
    reply->owner = channel;
    reply->headers = channel->headers;
}
