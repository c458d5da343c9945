/* server: what all handlers share, and whether the server may be sent work.
 *
 * struct server is set up before the server listens and read-only from then on, except `phase`, `working`,
 * `bodies` and `replies`, which are atomic or lock themselves, and `loader`, which is there when the phase is
 * READY, and which only routes that compute look at. It is main's, and outlives every request. */
#ifndef CAROUSEL_SERVER_SERVER_H
#define CAROUSEL_SERVER_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/scheduler/scheduler.h"
#include "models/repository/loader.h"
#include "server/base/config.h"
#include "server/request/body.h"

struct explainer;
struct keys;
struct metrics;
struct prefixes;
struct problem;
struct seal_ring;
struct store;
struct streams;

/* LEAVING: not ready any more, but new work is served until balancers have noticed (server.drain_delay_s). */
enum server_phase { SERVER_LOADING, SERVER_READY, SERVER_LEAVING, SERVER_DRAINING, SERVER_ENDING };

struct server {
    const struct config *config; /* with its limits of memory fitted to the machine */
    struct config _fitted;
    struct registry *registry;
    struct repository *repository;
    struct loader *loader;     /* of a server that is ready; NULL on the command line */
    struct scheduler *scheduler;
    struct explainer *explainer; /* NULL on the command line */
    struct metrics *metrics;
    struct keys *keys;         /* locks itself; NULL on the command line */
    struct store *store;       /* what is kept between requests, locks itself; NULL on the command line */
    struct seal_ring *seals;   /* the keys of states that clients carry; locks itself */
    struct prefixes *prefixes; /* states after the beginnings of prompts, locks itself; NULL on the command
                                * line */
    struct streams *streams;   /* the WebSockets; locks itself; NULL on the command line */
    size_t n_workers;
    int64_t started_s;         /* Unix seconds */
    _Atomic int phase;         /* enum server_phase */
    _Atomic bool has_page;     /* GET / gives the page: server.playground */
    struct body_total bodies, replies; /* being received, being sent */
    _Atomic long sockets;      /* WebSockets, from the answer to the handshake to the end of the connection */
    _Atomic long readers;      /* of sessions' events, from the answer's begin to its end */
    _Atomic long working;      /* requests on routes that compute, from headers to answer sent */
};

/* The program's version. */
const char *server_version(void);

/* Whether it may be sent work, as a load balancer asks: not while it leaves or drains, nor before the models
 * are served that models.required names. *problem then is `draining`, `loading` or `not_ready`, and says
 * which are missing and why. */
bool server_is_ready(const struct server *server, struct problem *problem);
/* Whether a request may be tried now: not while the server drains, nor, for one that administers models,
 * while the models load at the start. Else *problem is `draining` or `loading`. */
bool server_accepts(const struct server *server, bool administers, struct problem *problem);
/* Whether models are still being loaded at the start: one that is not there may come. *problem is `loading`
 * then, with the sentence that the format makes. */
bool server_is_loading(const struct server *server, struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether this process serves: it keeps what comes between requests, and changes its models. The command line
 * does neither: *problem is `not_implemented` then. */
bool server_serves(const struct server *server, struct problem *problem);

#endif
