/* channel: one WebSocket, from its handshake to its close. Private to server/stream/.
 *
 *   handshake (HTTP thread) -> begin -> OPEN -> CLOSING -> GONE -> end (HTTP thread), which frees it
 *
 * OPEN: a message is read, handled (server/stream/talk.h) and answered before the next one is. While it is
 * handled, the next one may come in; beyond it nothing is read, so that a client that sends faster than it is
 * answered waits in its own socket. While an answer has not been sent, no message begins and no stream of
 * events is read, so that a client that does not read pauses its own sequence. Pings are answered between.
 * CLOSING: a close frame is being sent or has been; what still comes is dropped, until the client's close
 * frame or the end of its time.
 * GONE: nothing is read or written; the message under way is cancelled, and awaited.
 *
 * What is held for a client: one message (of server->bodies), one answer (of server->replies), the rest of
 * one reading, and the payload of its last ping. All functions are for the streams' thread, except those that
 * say otherwise. */
#ifndef CAROUSEL_SERVER_CHANNEL_H
#define CAROUSEL_SERVER_CHANNEL_H

#include <pthread.h>
#include <sys/epoll.h>

#include "server/http/connection.h"
#include "server/http/peer.h"
#include "server/http/websocket.h"
#include "server/request/body.h"
#include "server/stream/step.h"
#include "server/stream/streams.h"
#include "server/stream/talk.h"

enum { CHANNEL_READ_BYTES = 16384 };

enum channel_state { CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_GONE };

struct channel {
    struct streams *streams;
    struct connection *connection;
    int descriptor;
    uint32_t client;      /* its number */
    struct visit visit;   /* among the client's sockets */
    char id[REQUEST_ID_BYTES]; /* of the handshake; a message's is this, a slash and its number */
    char accept[WEBSOCKET_ACCEPT_BYTES];
    const char *headers[7]; /* of the handshake's answer: name, value ... NULL */
    char *authorization;  /* the header, owned, for each message is admitted by it; NULL: none */

    enum channel_state state;
    bool has_left;        /* the client has closed its side */
    bool is_read_out;     /* ... and all it sent has been read */
    bool close_is_sent, close_is_heard;
    uint32_t events;      /* that epoll waits for */
    int64_t heard_us, pinged_us, unanswered_us; /* last byte; last ping sent; first ping without a byte since,
                                                 * or 0 */
    int64_t asked_us;     /* the last message, or the end of its answer */
    int64_t closing_us;   /* since when it is CLOSING */
    int64_t progress_us;  /* last byte that the client took, or since when bytes wait for it */

    struct websocket websocket;
    struct body message;  /* that comes in, or has come in */
    bool is_whole, is_text; /* of the message */
    char *rest;           /* read and not yet looked at: rest[rest_at, rest_n), owned; NULL: none */
    size_t rest_at, rest_n;
    struct body out;      /* frames to be sent, from `sent` on */
    size_t sent;
    bool has_pong;
    size_t n_pong;
    char pong[WEBSOCKET_CONTROL_BYTES];
    uint64_t bytes_in, bytes_out;

    struct talk talk;
    struct step step;
    bool is_woken;        /* streams' mutex: stands in its list of woken channels */
    struct channel *next_woken, *next_new, *next, *previous;
};

/* Any thread: a new one, which channel_free frees; NULL without memory. */
struct channel *channel_new(struct streams *streams, uint64_t message_bytes);
void channel_free(struct channel *channel);

/* Do all that can be done now, after `events` of epoll (0: none). */
void channel_turn(struct channel *channel, uint32_t events);
/* When it must be looked at again if nothing happens; monotonic microseconds. */
int64_t channel_due(const struct channel *channel);
/* Whether it is GONE and nothing of it runs any more: it can be given back. */
bool channel_is_over(const struct channel *channel);
/* Begin to close with a code and a reason. */
void channel_close(struct channel *channel, enum websocket_code code, const char *reason);
/* Be GONE at once. */
void channel_drop(struct channel *channel);

/* Send a message, after what waits already. false: no memory; nothing was added. */
bool channel_send(struct channel *channel, const char *text, size_t n);
/* Whether nothing waits to be sent, so that the next message may be made. */
bool channel_is_free(const struct channel *channel);

/* ---- what all channels share: server/stream/streams.c ---- */

enum streams_phase { STREAMS_OPEN, STREAMS_DRAINING, STREAMS_CANCELLING, STREAMS_STOPPING };

struct streams {
    struct server *server;
    struct visits visits;
    _Atomic int phase;          /* enum streams_phase */
    int epoll, bell;
    pthread_t thread;
    pthread_mutex_t mu;         /* guards what follows, and the marks of a step's operation */
    bool is_over;               /* the thread has ended, or never was */
    bool has_rung;
    struct channel *arrived, *woken;
    struct channel *first;      /* the thread's: all that have begun */
    int64_t next_us;            /* the thread's: no channel is due before */
    char buffer[CHANNEL_READ_BYTES]; /* the thread's, for one reading */
};

/* Any thread: let the thread look at the channel. The mutex is not held. */
void streams_begin(struct streams *streams, struct channel *channel);
/* Any thread, mutex held: put it on the list; true: ring the bell when the mutex is released. */
bool streams_wake_locked(struct streams *streams, struct channel *channel);
void streams_ring(struct streams *streams);

#endif
