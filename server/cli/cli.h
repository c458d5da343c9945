/* cli: models, generate, forecast and classify without HTTP.
 *
 * They open the same server (kernels, scheduler, models) and run the same jobs as the routes do, so that the
 * same seed gives the same answer here and there. Results go to stdout, plain and easy to cut: text as it
 * comes, one forecast step a line with tabs between, one input's labels a line. Everything else goes to
 * stderr. Exit codes: 0 done, 1 it failed, 2 it was asked wrongly. main only. */
#ifndef CAROUSEL_SERVER_CLI_H
#define CAROUSEL_SERVER_CLI_H

#include "server/cli/arguments.h"

/* Load the models, do what the command asks, print it to stdout. Returns the process's exit code; what
 * went wrong is told on stderr. */
int cli_run(const struct arguments *arguments, const struct config *config);

#endif
