/* health: ask the server of this configuration whether it may be sent work, as a container's health check
 * does.
 *
 * By the same settings as the server's own: over server.unix_socket, else server.host and server.port, by TLS
 * if tls.certificate is set. The certificate is not looked at: the caller stands on the same machine, and
 * wants to know whether the server answers, not which server it is. */
#ifndef CAROUSEL_SERVER_HEALTH_H
#define CAROUSEL_SERVER_HEALTH_H

#include "server/base/config.h"

/* The exit code: 0 if GET /readyz says 200, 1 if not, with a sentence on stderr. Takes three seconds at
 * most for each step (to connect, to shake hands, to send, to hear). */
int health_run(const struct config *config);

#endif
