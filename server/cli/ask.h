/* ask: a route's handler run without a socket, and its answer printed. main's thread. */
#ifndef CAROUSEL_SERVER_ASK_H
#define CAROUSEL_SERVER_ASK_H

#include <stddef.h>

#include "server/request/server.h"

/* Ask `path` of an open server with `body`, JSON of `bytes` bytes, by POST; by GET if body is NULL. Print the
 * answer to stdout, or the problem to stderr. Return the process's exit code. */
int ask(struct server *server, const char *path, const char *body, size_t bytes);

#endif
