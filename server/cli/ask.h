/* ask: a route's handler run without a socket. main's thread. */
#ifndef CAROUSEL_SERVER_ASK_H
#define CAROUSEL_SERVER_ASK_H

#include <stddef.h>

#include "server/request/server.h"

/* Receives an answer's bytes in pieces, as they come. */
typedef void ask_reader(void *context, const char *bytes, size_t n);

/* Ask `path` of an open server with `body`, JSON of `bytes` bytes, by POST; by GET if body is NULL. Give the
 * answer to `read`, or print the problem to stderr. Return the process's exit code. */
int ask_reading(struct server *server, const char *path, const char *body, size_t bytes, ask_reader *read,
                void *context);

/* The same, with the answer printed to stdout. */
int ask(struct server *server, const char *path, const char *body, size_t bytes);

#endif
