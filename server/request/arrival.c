/* A request arrives: what its headers say, and whether they are wrong already. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/request/cors.h"
#include "server/request/exchange_parts.h"
#include "server/request/router.h"

bool exchange_check_headers(struct exchange *exchange, const char *path)
{
    const struct arrival arrival = {
        .method = exchange->method, .path = path,
        .content_type = connection_header(exchange->connection, "Content-Type"),
        .content_coding = connection_header(exchange->connection, "Content-Encoding")};
    exchange->in_doubt = connection_fault(exchange->connection, &exchange->early);
    if (exchange->in_doubt) return false;
    exchange->preflight = *exchange->service->server->config->http_cors_origins &&
                          exchange->match.route != ROUTE_NONE &&
                          cors_is_preflight(exchange->connection, exchange->method);
    if (exchange->preflight)
        return exchange->allowed_origin || problem_set(&exchange->early, FAULT_PERMISSION_DENIED, NULL,
                                                       "the origin %.100s is none of http.cors_origins",
                                                       connection_header(exchange->connection, "Origin"));
    if (!route_check(&exchange->match, &arrival, &exchange->early)) return false;
    if (cors_is_unasked(exchange->connection, exchange->method) && !exchange->allowed_origin &&
        !cors_is_own(exchange->connection))
        return problem_set(&exchange->early, FAULT_PERMISSION_DENIED, NULL,
                           "the origin %.100s is neither this server's nor one of http.cors_origins",
                           connection_header(exchange->connection, "Origin"));
    if (!keys_admit(exchange->service->server->keys, route_scopes(exchange->match.route),
                    connection_header(exchange->connection, "Authorization"), &exchange->account.client,
                    &exchange->early))
        return false;
    if (exchange->account.client) exchange->request.caller = client_caller(exchange->account.client);
    exchange->request.owner = client_name(exchange->account.client);
    bool administers = route_scopes(exchange->match.route) == SCOPES_ADMIN;
    return !route_is_post(exchange->match.route) ||
           server_accepts(exchange->service->server, administers, &exchange->early);
}

struct exchange *exchange_make(struct service *service, struct connection *connection, const char *method,
                               const char *path)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->magic = EXCHANGE_MAGIC;
    exchange->service = service;
    exchange->connection = connection;
    pthread_mutex_init(&exchange->mu, NULL);
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    access_take_id(connection_header(connection, "X-Request-Id"), exchange->id);
    access_take_trace(connection_header(connection, "traceparent"), exchange->trace_id);
    exchange->allowed_origin = cors_allow(service->server->config->http_cors_origins,
                                          connection_header(connection, "Origin"));
    route_find(method, path, &exchange->match);
    exchange->request = (struct request){.server = service->server, .route = exchange->match.route,
                                         .id = exchange->id, .tail = exchange->match.tail,
                                         .began_us = clock_us(), .owner = "", .session_step = -1,
                                         .method = exchange->method, .connection = connection,
                                         .if_match = connection_header(connection, "If-Match"),
                                         .if_none_match = connection_header(connection, "If-None-Match"),
                                         .accept = connection_header(connection, "Accept"),
                                         .content_type = connection_header(connection, "Content-Type"),
                                         .json_length = connection_header(
                                             connection, "Inference-Header-Content-Length"),
                                         .caller = {.client = connection_peer(connection),
                                                    .weight = 1}};
    const char *session = connection_header(connection, "X-Session-Id");
    exchange->request.session_is_bad = session && !access_session_is_valid(session);
    if (session && !exchange->request.session_is_bad) strcpy(exchange->request.session, session);
    exchange->working = exchange->match.has_method && route_is_post(exchange->match.route);
    if (exchange->working) atomic_fetch_add(&service->server->working, 1);
    return exchange;
}

uint64_t exchange_most_bytes(const struct exchange *exchange)
{
    return body_most(exchange->service->server->config->limits_body_bytes,
                     exchange->working && exchange->early.fault == FAULT_NONE);
}

bool exchange_is_unread(const struct exchange *exchange)
{
    enum fault fault = exchange->early.fault;
    const char *length = connection_header(exchange->connection, "Content-Length");
    bool has_body = (length && strcmp(length, "0")) ||
                    connection_header(exchange->connection, "Transfer-Encoding");
    return has_body && (fault == FAULT_INVALID_API_KEY || fault == FAULT_PERMISSION_DENIED);
}
