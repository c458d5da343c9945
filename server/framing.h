/* framing: whether a request's headers leave no doubt where it ends and whom it is for.
 *
 * Where a proxy before us reads them otherwise than we do, it takes part of one request for another one.
 * libmicrohttpd goes by the first of two lengths, by Transfer-Encoding where there is a Content-Length too,
 * and past names that are none. So such a request is refused, and its connection closed (RFC
 * 9112, 3.2, 5.1, 6.1 and 6.3; RFC 9110, 5.5).
 *
 * Caller's storage, zeroed; any thread. */
#ifndef CAROUSEL_SERVER_FRAMING_H
#define CAROUSEL_SERVER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

struct framing {
    unsigned n_hosts, n_lengths, n_codings;
    const char *fault;
};

/* One header; neither text need end with a zero byte. */
void framing_take(struct framing *framing, const char *name, size_t name_bytes, const char *value,
                  size_t value_bytes);
/* After the last: NULL, or a sentence that says what is wrong. `old`: the request is of HTTP/1.0. */
const char *framing_fault(const struct framing *framing, bool old);

#endif
