/* socket: the listening socket.
 *
 * We open it ourselves, because then a failure can be told in a sentence that names host, port
 * and reason, and the port that was found for 0 is known before anybody is told.
 *
 * main only; nothing is kept between calls. */
#ifndef CAROUSEL_SERVER_SOCKET_H
#define CAROUSEL_SERVER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

enum { SOCKET_URL_BYTES = 300 };

struct listener {
    int descriptor;              /* non-blocking; the caller's */
    char url[SOCKET_URL_BYTES];  /* "http://HOST:PORT", with the port that was found */
    bool is_public;              /* not a loopback address */
};

/* Listen on a name or address ("[::1]" may keep its brackets) and port (0: a free one). */
MUST_CHECK enum status socket_listen(const char *host, int64_t port, struct listener *out, struct error *err);

#endif
