/* serve: the running server, from configuration to the last answer.
 *
 * struct server is what handlers share: set up before the server listens and read-only from then on, except
 * `phase`, `working`, `bodies` and `replies`, which are atomic, and `loader`, which is there when the phase
 * is READY, and which only routes that compute look at. It is main's, and outlives every request.
 *
 * Start: kernels -> metrics -> scheduler -> keys -> http, so that what is wrong with the settings or the port
 * is told at once; phase LOADING -> models, on main -> loader -> phase READY. While it loads it answers what
 * needs no model, and refuses all work, for models that have come too: a request that names no model could
 * mean another one a moment later. A signal that says stop ends the load. Stop, after SIGTERM: phase DRAINING
 * (readiness says 503, new work is refused) -> requests in flight finish, or are cancelled when the drain's
 * time is over -> the loader stops -> http stops -> scheduler -> models. HTTP stops before the scheduler
 * because its threads may submit until then; it can, because nothing is parked any more once no request is in
 * flight. */
#ifndef CAROUSEL_SERVER_SERVE_H
#define CAROUSEL_SERVER_SERVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/scheduler.h"
#include "models/loader.h"
#include "server/body.h"
#include "server/config.h"

struct keys;
struct metrics;
struct problem;

enum server_phase { SERVER_LOADING, SERVER_READY, SERVER_DRAINING, SERVER_ENDING };

struct server {
    const struct config *config;
    struct registry *registry;
    struct repository *repository;
    struct loader *loader;     /* of a server that is ready; NULL on the command line */
    struct scheduler *scheduler;
    struct metrics *metrics;
    struct keys *keys;         /* locks itself; NULL on the command line */
    size_t n_workers;
    int64_t started_s;         /* Unix seconds */
    _Atomic int phase;         /* enum server_phase */
    struct body_total bodies, replies; /* being received, being sent */
    _Atomic long working;      /* requests on routes that compute, from headers to answer sent */
};

/* The program's version. */
const char *server_version(void);

/* Everything but HTTP and the models themselves, as the command line needs it too; then the models that the
 * configuration names, of each of which `listener` hears. Where server_open fails, what was started is
 * stopped. */
MUST_CHECK enum status server_open(struct server *server, const struct config *config,
                                   repository_listener *listener, void *context, struct error *err);
MUST_CHECK enum status server_load(struct server *server, struct error *err);
void server_close(struct server *server);

/* Whether it may be sent work; else *problem is `loading` or `draining`. */
bool server_is_ready(const struct server *server, struct problem *problem);

/* Serve until a signal says stop; returns the process's exit code. Blocks the signals it waits for. */
int server_run(const struct config *config);

/* Processors that affinity and the cgroup's quota leave us, at least 1. */
size_t server_processors(void);

#endif
