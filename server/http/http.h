/* http: the listener, the parsing of HTTP, and the life of a connection. The only file that knows
 * libmicrohttpd, which runs the threads (a pool, each with its own epoll set).
 *
 * What a request is, it does not know: it is given the calls that make an exchange of what arrives
 * (server/request/exchange.h has them), and gives each exchange the wire (server/http/connection.h).
 *
 * http_stop may only be called when no request is in flight: libmicrohttpd cannot be stopped while a
 * connection is suspended. All functions are main's. */
#ifndef CAROUSEL_SERVER_HTTP_H
#define CAROUSEL_SERVER_HTTP_H

#include "server/base/config.h"

struct connection;
struct exchange; /* one request and its answer: the receiver's */
struct http;
struct service;  /* what all exchanges share: the receiver's */
struct watcher;

/* Where a request goes. All calls come on the connection's HTTP thread; for one request in this order:
 *
 *   begin -> body* -> proceed+ -> end
 */
struct http_calls {
    /* The headers are complete. `path` is unescaped and without its query. NULL without memory, and then
     * there is no other call. *good is false if the connection must be closed. */
    struct exchange *(*begin)(struct service *service, struct connection *connection, const char *method,
                              const char *path, bool *good);
    /* A part of the body. false: the connection must be closed. */
    bool (*body)(struct exchange *exchange, const char *bytes, size_t n);
    /* The body is complete, or the connection has been resumed. false: the connection must be closed. */
    bool (*proceed)(struct exchange *exchange);
    /* The request is over; `well` if its answer has been sent. The exchange is the receiver's from now on. */
    void (*end)(struct exchange *exchange, bool well);
};

/* All borrowed: they must outlive *out. */
struct http_options {
    const struct config *config;
    const struct http_calls *calls;
    struct service *service; /* for begin */
    struct watcher *watcher; /* has room for limits.connections and one connection more for each thread */
};

/* Listen, by TLS if tls.certificate is set, and serve. */
MUST_CHECK enum status http_start(const struct http_options *options, struct http **out, struct error *err);
/* "http://127.0.0.1:8080", "https://..." or "unix:PATH": the port is the one that was found if 0 was asked
 * for. */
const char *http_address(const struct http *http);
/* Read the certificate and its key again, if there is TLS. On failure the old ones stay. */
MUST_CHECK enum status http_reload(struct http *http, struct error *err);
/* Whether others than this machine's own processes can reach it. */
bool http_is_public(const struct http *http);
/* Call the watcher's hangup for every request under way, as if all clients had left. */
void http_cancel_all(struct http *http);
/* Accept no more connections, close all, free. Accepts NULL. */
void http_stop(struct http *http);

#endif
