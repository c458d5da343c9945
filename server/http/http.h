/* http: the listener, the parsing of HTTP, and the life of a connection. The only file that knows
 * libmicrohttpd, which runs the threads (a pool, each with its own epoll set).
 *
 * It brings what arrives to server/request/exchange.h, which says what a request is, and gives it the wire
 * (server/http/connection.h).
 *
 * http_stop may only be called when no request is in flight (server->working is 0): libmicrohttpd cannot
 * be stopped while a connection is suspended. All functions are main's. */
#ifndef CAROUSEL_SERVER_HTTP_H
#define CAROUSEL_SERVER_HTTP_H

#include "server/request/server.h"

struct http;

/* Listen, by TLS if tls.certificate is set, and serve. `server` must outlive *out. */
MUST_CHECK enum status http_start(struct server *server, struct http **out, struct error *err);
/* "http://127.0.0.1:8080", "https://..." or "unix:PATH": the port is the one that was found if 0 was asked
 * for. */
const char *http_address(const struct http *http);
/* Read the certificate and its key again, if there is TLS. On failure the old ones stay. */
MUST_CHECK enum status http_reload(struct http *http, struct error *err);
/* Whether others than this machine's own processes can reach it. */
_Bool http_is_public(const struct http *http);
/* Ask every running operation to end soon. */
void http_cancel_all(struct http *http);
/* Accept no more connections, close all, free. Takes NULL. */
void http_stop(struct http *http);

#endif
