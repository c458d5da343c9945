/* socket: the listening socket.
 *
 * We open it ourselves, because then a failure can be told in a sentence that names host, port
 * and reason, and the port that was found for 0 is known before anybody is told.
 *
 * main only; nothing is kept between calls. */
#ifndef CAROUSEL_SERVER_SOCKET_H
#define CAROUSEL_SERVER_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { SOCKET_URL_BYTES = 300 };

/* Listen on a name or address ("[::1]" may keep its brackets) and port (0: a free one). The caller owns the
 * non-blocking descriptor *out; url becomes "http://HOST:PORT" with the port that was found. */
MUST_CHECK enum status socket_listen(const char *host, int64_t port, char url[SOCKET_URL_BYTES], int *out,
                                     struct error *err);

#endif
