/* cli: generate, forecast and classify without HTTP, through the same scheduler and jobs. main only. */
#ifndef CAROUSEL_SERVER_CLI_H
#define CAROUSEL_SERVER_CLI_H

#include "server/arguments.h"

/* Load the models, do what the command asks, print it to stdout. Returns the process's exit code; what
 * went wrong is told on stderr. */
int cli_run(const struct arguments *arguments, const struct config *config);

#endif
