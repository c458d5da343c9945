/* streams: the connections that GET /v1/stream has turned into WebSockets, and the one thread that serves
 * them.
 *
 * libmicrohttpd reads the handshake (server/stream/handshake.c) and hands the socket over. From then on the
 * streams' thread alone reads it, writes it and runs the handlers of its messages; workers only wake it.
 * A socket is a struct channel (server/stream/channel.h).
 *
 * Life: streams_new -> the server serves -> streams_drain (each socket is closed with 1001 as soon as its
 * message has been answered) -> streams_cancel (messages under way are cancelled) -> streams_stop (the rest
 * is closed, and the thread ends) -> http_stop, by which the last requests end -> streams_free. main's. */
#ifndef CAROUSEL_SERVER_STREAMS_H
#define CAROUSEL_SERVER_STREAMS_H

#include "server/request/server.h"

/* Starts the thread. `server` must outlive *out. */
MUST_CHECK enum status streams_new(struct server *server, struct streams **out, struct error *err);
/* These take NULL. */
void streams_drain(struct streams *streams);
void streams_cancel(struct streams *streams);
void streams_stop(struct streams *streams);
void streams_free(struct streams *streams);

#endif
