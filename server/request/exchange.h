/* exchange: one request and its answer, from complete headers to the last byte sent.
 *
 * server/http/http.c brings what arrives and ends it, by exchange_calls; in between the exchange finds the
 * route, checks what the headers tell, collects the body, calls the handler, and waits for its operation
 * (server/request/request.h). Its calls come on the connection's HTTP thread, in this order:
 *
 *   exchange_begin -> exchange_body* -> exchange_continue+ -> exchange_end
 *
 * The watcher's calls and the operation's (request_progressed, request_finished) come in between on other
 * threads. */
#ifndef CAROUSEL_SERVER_EXCHANGE_H
#define CAROUSEL_SERVER_EXCHANGE_H

#include "server/http/connection.h"
#include "server/http/http.h"
#include "server/request/body.h"
#include "server/request/server.h"

/* What all exchanges share. */
struct service {
    struct server *server;
    struct watcher *watcher;    /* the watcher; owned */
};

/* Check the settings that exchanges read, and start the watcher. `server` must outlive *service, which is the
 * caller's storage. */
MUST_CHECK enum status service_open(struct service *service, struct server *server, struct error *err);
/* Once http_stop has returned. A zeroed one is accepted. */
void service_close(struct service *service);

/* The headers are complete. `path` is unescaped and without its query. NULL without memory. *good is false
 * if the connection must be closed. */
struct exchange *exchange_begin(struct service *service, struct connection *connection, const char *method,
                                const char *path, bool *good);
/* A part of the body, and its end or a resumed connection. false: the connection must be closed. */
bool exchange_body(struct exchange *exchange, const char *bytes, size_t n);
bool exchange_continue(struct exchange *exchange);
/* The request is over; `well` if its answer has been sent. The exchange is given away: an operation that
 * still runs is cancelled, and the exchange freed when it has ended. */
void exchange_end(struct exchange *exchange, bool well);

/* The four calls, for http_start. */
extern const struct http_calls exchange_calls;

#endif
