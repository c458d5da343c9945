/* socket: the two things that are done to sockets without libmicrohttpd.
 *
 * We open the listening socket ourselves, because then a failure can be told in a sentence that names host, port
 * and reason, and the port that was found for 0 is known before anybody is told. And we write an answer
 * ourselves where libmicrohttpd cannot: a request whose body is not complete may get no answer from
 * it, but a client who is too slow or sends too much should hear why the connection closes.
 *
 * Any thread; nothing is kept between calls. */
#ifndef CAROUSEL_SERVER_SOCKET_H
#define CAROUSEL_SERVER_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "server/errors.h"

enum { SOCKET_URL_BYTES = 300 };

/* Listen on a name or address ("[::1]" may keep its brackets) and port (0: a free one). The caller owns the
 * non-blocking descriptor *out; url becomes "http://HOST:PORT" with the port that was found. */
MUST_CHECK enum status socket_listen(const char *host, int64_t port, char url[SOCKET_URL_BYTES], int *out,
                                     struct error *err);

/* Write a whole HTTP answer to a connection at once, as far as its buffer takes it: for where libmicrohttpd
 * cannot answer. Returns the bytes of the body. */
size_t socket_refuse(int descriptor, const struct problem *problem, const char *request_id, double total_ms);

#endif
