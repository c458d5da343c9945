/* plain: answers of routes as lines of text, easy to cut. The commands of server/cli/cli.h print by them.
 *
 * Each function asks its route with `body`, JSON of `bytes` bytes, by POST (server/cli/ask.h). It prints the
 * answer to stdout, and its warnings, or the problem, to stderr. Returns the process's exit code. main's
 * thread. */
#ifndef CAROUSEL_SERVER_PLAIN_H
#define CAROUSEL_SERVER_PLAIN_H

#include <stddef.h>

#include "server/request/server.h"

/* POST /v1/completions, which `body` asks for a stream of `n` choices: the first choice as it comes, then
 * each other one after a line "----". */
int plain_completion(struct server *server, const char *body, size_t bytes, size_t n);

/* POST /v1/forecast of one series: a line a step, its mean and the quantiles of levels[0..n_levels), at most
 * FORECAST_MAX_QUANTILES, with tabs between. A line of names comes first if there are levels. */
int plain_forecast(struct server *server, const char *body, size_t bytes, const double *levels,
                   size_t n_levels);

/* POST /v1/classify: a line an input, its labels and scores, the best first, with tabs between. */
int plain_labels(struct server *server, const char *body, size_t bytes);

#endif
