/* socket: the listening socket, and for the health check the other end.
 *
 * We open it ourselves, because then a failure can be told in a sentence that names host, port
 * and reason, and the port that was found for 0 is known before it is printed.
 *
 * A Unix socket is made under another name, given its permissions, and renamed, so that no client connects
 * too early. One that stands in its place is replaced only if it is a socket and no process listens there.
 *
 * main only; nothing is kept between calls. */
#ifndef CAROUSEL_SERVER_SOCKET_H
#define CAROUSEL_SERVER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/status.h"

enum { SOCKET_URL_BYTES = 300, SOCKET_PATH_BYTES = 108 };

struct listener {
    int descriptor;               /* non-blocking; the caller's; -1: none */
    char url[SOCKET_URL_BYTES];   /* "http://HOST:PORT" with the port that was found, or "unix:PATH" */
    bool is_public;               /* not a loopback address, nor a Unix socket */
    char path[SOCKET_PATH_BYTES]; /* of a Unix socket, else empty */
    dev_t device;                 /* which file that is */
    ino_t inode;
};

/* Listen on a name or address ("[::1]" may keep its brackets) and port (0: a free one). `scheme` begins the
 * url. */
MUST_CHECK enum status socket_listen(const char *scheme, const char *host, int64_t port, struct listener *out,
                                     struct error *err);
/* Listen on a path; mode is "660" or the like. */
MUST_CHECK enum status socket_listen_unix(const char *path, const char *mode, struct listener *out,
                                          struct error *err);
/* Remove the Unix socket's file, if it is still the one that was made. The descriptor is left alone. */
void socket_unlink(const struct listener *listener);

/* Connect to where socket_listen and socket_listen_unix would listen; every address of this machine (0.0.0.0,
 * ::) is the loopback one. The descriptor blocks for at most timeout_s at each call. */
MUST_CHECK enum status socket_connect(const char *host, int64_t port, unsigned timeout_s, int *descriptor,
                                      struct error *err);
MUST_CHECK enum status socket_connect_unix(const char *path, unsigned timeout_s, int *descriptor,
                                           struct error *err);

#endif
