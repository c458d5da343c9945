/* serve: the running server, from configuration to the last answer.
 *
 * Start: kernels -> metrics -> scheduler -> keys -> http, so that a fault of the settings or of the port is
 * told at once. Phase LOADING: the models are loaded, as many at a time as there are processors, and each is
 * served as soon as it has come. Then the loader starts, and the phase is READY. A signal that says stop ends
 * the load.
 *
 * Stop, after SIGTERM: phase LEAVING for server.drain_delay_s (readiness says 503, new work is served) ->
 * phase DRAINING (new work is refused) -> requests in flight finish, or are cancelled when the drain's time
 * is over -> the loader stops -> http stops -> scheduler -> models.
 * HTTP stops before the scheduler, because its threads may submit until then. It can, because no connection
 * is suspended once no request is in flight. */
#ifndef CAROUSEL_SERVER_SERVE_H
#define CAROUSEL_SERVER_SERVE_H

#include "server/request/server.h"

/* Everything but HTTP and the models themselves, as the command line needs it too; then the models that the
 * configuration names, of each of which `listener` hears, and before it is read `loading`, which may be NULL.
 * If server_open fails, what was started is stopped. */
MUST_CHECK enum status server_open(struct server *server, const struct config *config,
                                   repository_listener *listener, repository_loading *loading, void *context,
                                   struct error *err);
MUST_CHECK enum status server_load(struct server *server, struct error *err);
void server_close(struct server *server);

/* Serve until a signal says stop; returns the process's exit code. Blocks the signals it waits for. */
int server_run(const struct config *config);

#endif
