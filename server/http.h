/* http: sockets, parsing of HTTP, and the life of a connection. The only file that knows
 * libmicrohttpd, which runs the threads (a pool, each with its own epoll set).
 *
 * What arrives is checked here as far as it can be without knowing the task: route, method, content
 * type, length. A body is collected up to its limit; one that is longer is refused before it is read
 * where Content-Length tells. Handlers (server/request.h) do the rest. Every answer carries
 * X-Request-Id and Server-Timing.
 *
 * http_stop may only be called when no request is in flight (server->working is 0): libmicrohttpd cannot
 * be stopped while a connection is suspended. All functions are main's. */
#ifndef CAROUSEL_SERVER_HTTP_H
#define CAROUSEL_SERVER_HTTP_H

#include "server/serve.h"

struct http;

/* Listen and serve. `server` must outlive *out. */
MUST_CHECK enum status http_start(struct server *server, struct http **out, struct error *err);
/* "http://127.0.0.1:8080": the port is the one that was found where 0 was asked for. */
const char *http_address(const struct http *http);
/* Ask every running errand to end soon. */
void http_cancel_all(struct http *http);
/* Accept no more connections, close all, free. Takes NULL. */
void http_stop(struct http *http);

#endif
