/* health: ask the server of this configuration whether it may be sent work, as a container's health check
 * does.
 *
 * By the same settings as the server's own: over server.unix_socket, else server.host and server.port, by TLS
 * where tls.certificate is set. The certificate is not looked at: who asks stands on the same machine, and
 * wants to know whether it answers, not who it is. */
#ifndef CAROUSEL_SERVER_HEALTH_H
#define CAROUSEL_SERVER_HEALTH_H

#include "server/config.h"

/* The exit code: 0 where GET /readyz says 200, 1 where not, with a sentence on stderr. Takes three seconds at
 * most for each step (to connect, to shake hands, to send, to hear). */
int health_run(const struct config *config);

#endif
