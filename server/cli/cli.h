/* cli: the commands that load models: generate, forecast, classify and the others.
 *
 * They open the same server (kernels, scheduler, models) and run its handlers without a socket, so that the
 * same seed gives the same answer here and there, within the same limits. Results go to stdout: of generate,
 * forecast and classify plain and easy to cut (server/cli/plain.h), of the others as JSON. Everything else
 * goes to stderr. Exit codes: 0 done, 1 it failed, 2 it was asked wrongly. main only. */
#ifndef CAROUSEL_SERVER_CLI_H
#define CAROUSEL_SERVER_CLI_H

#include "server/cli/arguments.h"

/* Load the models, do what the command asks, print it to stdout. Returns the process's exit code; what
 * went wrong is told on stderr. */
int cli_run(const struct arguments *arguments, const struct config *config);

#endif
