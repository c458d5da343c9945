/* request: one HTTP request as handlers see it. Nothing here is libmicrohttpd's.
 *
 * A handler reads top-down: parse, check, then either fill the reply or defer. To defer it leaves an
 * operation: work of its own with the calls below. An operation's answer may leave another operation in its
 * place, which then begins. server/request/exchange.c then suspends the connection and starts the operation
 * (in this order: a suspended connection may be resumed at once, one that is not may not), and asks it for
 * the answer when request_finished has been called. An operation that streams is asked at its first progress,
 * and read from then on:
 *
 *   handler -> PARKED, start() -ok-> running -request_progressed, request_finished-> answer()
 *                              -failed-> answer is the failure          (streams) -> read() ...
 *
 * All of an operation's calls come on the connection's HTTP thread, one at a time, except: cancel comes on
 * any thread, between start and request_finished only; free comes last, on any thread, once request_finished
 * has been called or if the operation was never started. */
#ifndef CAROUSEL_SERVER_REQUEST_H
#define CAROUSEL_SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/bundle/model.h"
#include "server/base/errors.h"

struct branch;
struct connection;
struct reply;
struct request;
struct server;

enum { SESSION_ID_BYTES = 129 };

enum route_id {
#define X(symbol, method, path, handler, scopes) ROUTE_##symbol,
#include "server/request/routes.def"
    ROUTE_NONE, /* no such path */
    N_ROUTES = ROUTE_NONE
};

/* What a key may be for, as a set of bits; and the columns of routes.def. */
enum scopes {
    SCOPES_OPEN = 0,
    SCOPES_INFER = 1,   /* ask the models */
    SCOPES_METRICS = 2, /* read GET /metrics */
    SCOPES_ADMIN = 4,   /* load and unload models */
    SCOPES_ANY = 7
};

/* The client of a request, as far as sharing goes. */
struct caller {
    uint32_t client; /* its number: of its API key, or else of its address (server/http/peer.h) */
    uint32_t weight; /* of the client, 1 if nothing else was said */
    bool has_max_priority; /* its key names the highest `priority`; else limits.max_priority holds */
    int max_priority;
};

/* What the access log and the metrics tell of a request. Filled by the handler and the operation. */
struct record {
    char model[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2]; /* "name:version", or empty */
    const char *task;                                       /* NULL: `model` may be a client's word */
    const char *finish;                                     /* "" */
    int end;                                                /* enum end of server/request/metrics.h */
    uint64_t steps_in, steps_out;
    double queue_ms, compute_ms, mean_batch;
    double first_ms;                                        /* to the first streamed text; 0: none */
};

/* What read() of a stream says. */
enum stream_step {
    STREAM_DATA, /* *n bytes are written, at least one */
    STREAM_WAIT, /* nothing now: ask again at *due_us, or at progress if request->wakes_on_progress is set */
    STREAM_END
};

struct operation {
    bool (*start)(void *work, struct problem *problem); /* false: *problem says why not */
    void (*cancel)(void *work);
    void (*answer)(void *work, struct request *request, struct reply *reply);
    /* It cannot begin, as reply->problem says: answer in another way. NULL: the problem is the answer. */
    void (*refuse)(void *work, struct request *request, struct reply *reply);
    enum stream_step (*read)(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us); /* NULL: never streams */
    /* The most steps that it may take, before start; those it took, once it has finished. */
    uint64_t (*cost_steps)(void *work, bool finished);
    void (*free)(void *work);
};

/* What brought a request and waits for it: the exchange, which has a connection, or the command line. As the
 * calls request_... below. */
struct carrier {
    void (*progressed)(void *request);
    void (*finished)(void *request);
    bool (*is_finished)(struct request *request);
};

struct request {
    struct server *server;
    const struct carrier *carrier;
    enum route_id route;
    const char *id;        /* X-Request-Id */
    const char *tail;      /* what stands for {id} in the route's path; "" */
    const char *body;      /* [body_bytes], borrowed until the handler returns */
    size_t body_bytes;
    int64_t began_us;
    struct caller caller;
    const char *owner;     /* the name of its API key; "" if no key is needed */
    const char *method;    /* "GET" */
    const struct connection *connection; /* for the headers that one route reads; NULL: it came without one
                                          * */
    const char *if_match, *if_none_match; /* the headers, or NULL */
    const char *accept;      /* the header, or NULL */
    const char *content_type; /* the header, or NULL */
    const char *json_length; /* the header Inference-Header-Content-Length, or NULL */
    char session[SESSION_ID_BYTES]; /* the header X-Session-Id, or the session of the body; told in the answer
                                     * */
    bool session_is_bad;   /* the header is no name of a session */
    int64_t session_step;  /* told in the answer as ETag; -1: none */
    struct branch *branch; /* where it goes on from (server/api/branch.h), borrowed from its work; or NULL */
    struct branch *waited; /* of a request that is handled once more, after it waited for its session */
    void (*again)(struct request *request, struct reply *reply); /* the handler for that; NULL: the route's */
    struct record record;
    const struct operation *operation; /* set by a handler that defers, which gives `work` away */
    void *work;
    bool closes;           /* set by a stream that failed: the connection is closed after it */
    _Atomic bool has_left; /* the client has closed its side of the connection */
    _Atomic bool wakes_on_progress;    /* an operation that streams wants to hear of progress */
};

/* Whether an answer is in gzip, which clients ask for. */
enum packing {
    PACKING_NONE, /* it never is: too small, a stream, or an error */
    PACKING_PLAIN, /* it could be */
    PACKING_GZIP
};

/* A reply that ends HTTP on its connection (RFC 9110, 7.8): the head of a 101, and then the connection is the
 * owner's, which reads and writes it on a thread of its own (connection_upgrade in server/http/connection.h).
 * Both calls come on the connection's HTTP thread. */
struct takeover {
    /* The head has been sent. is_early: the client has sent bytes before it could have it; they are lost. */
    void (*begin)(void *owner, struct connection *connection, bool is_early);
    /* The last call, whether it began or not: tell the bytes that were received and sent, and free. */
    void (*end)(void *owner, uint64_t *bytes_in, uint64_t *bytes_out);
};

/* Zeroed by the caller; filled by a handler or an operation. A problem wins over a body. */
struct reply {
    unsigned status;          /* 0: 200 */
    const char *content_type; /* NULL: application/json */
    char *body;               /* from malloc, given away */
    size_t body_bytes;
    const char *tag;          /* ETag, with its quotes; NULL: none */
    const char *const *headers; /* further ones: name, value, name ... NULL; or NULL. Not with a problem */
    size_t json_bytes;        /* of a body that is JSON and then bytes; 0: it is one thing */
    bool stream;              /* text/event-stream, by the operation's read */
    enum packing packing;     /* the exchange's */
    const struct takeover *takeover; /* with `headers`, and nothing else; NULL: it is an answer of HTTP */
    void *owner;
    struct problem problem;
};

/* An operation's work has news (wakes the connection if request->wakes_on_progress is set), or has ended
 * (the operation's last call; the request may be gone when it returns). Any thread; the parameter is a struct
 * request. */
void request_progressed(void *request);
void request_finished(void *request);
/* true once request_finished has been called. */
bool request_is_finished(struct request *request);

/* The handlers, one for each row of routes.def. */
typedef void request_handler(struct request *request, struct reply *reply);
#define X(symbol, method, path, handler, scopes) void handler(struct request *request, struct reply *reply);
#include "server/request/routes.def"

#endif
