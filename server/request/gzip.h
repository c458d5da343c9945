/* gzip: bodies that arrive compressed, and answers that leave so (RFC 1952). This is the only part that knows
 * zlib.
 *
 * Both calls work in one pass on the caller's thread and keep nothing. zlib's own memory (44 KiB to unpack,
 * 268 KiB to pack) is freed before they return. Any thread. */
#ifndef CAROUSEL_SERVER_GZIP_H
#define CAROUSEL_SERVER_GZIP_H

#include "server/http/connection.h"
#include "server/base/config.h"
#include "server/request/body.h"
#include "server/request/request.h"

/* An answer below this many bytes fits one packet anyway, and is not packed. */
enum { GZIP_LEAST_BYTES = 1400 };

/* Unpack `packed` into the empty `out`, whose memory `total` counts. Return false with *problem filled: 400
 * if the bytes are not one whole gzip member, 413 as soon as they unpack to more than limits.body_bytes, 503
 * without memory. `out` is then still to be released. */
bool gzip_unpack(const struct body *packed, struct body *out, struct body_total *total,
                 const struct config *config, struct problem *problem);
/* Put what *body unpacks to in its place, if the request's Content-Encoding is gzip; an empty body is none.
 * The total is the server's. false as above. */
bool gzip_unpack_body(struct body *body, struct server *server, const struct connection *connection,
                      struct problem *problem);

/* Pack bytes[0..n) into a new block from malloc, which the caller owns. NULL if the result would not be
 * shorter, or without memory: the answer then goes as it is. */
char *gzip_pack(const char *bytes, size_t n, size_t *packed_bytes);
/* Pack the reply's body if it is worth it and the request accepts that. */
void gzip_pack_reply(struct reply *reply, const struct connection *connection);
/* Write the headers that tell of it; with a 415 for the Content-Encoding, which one is accepted. */
void gzip_write_head(const struct reply *reply, const struct connection *connection, struct head *head);

/* Return true if the value of a Content-Encoding header (NULL: none) names a coding that a body may have:
 * identity or gzip. */
bool gzip_is_known(const char *coding);
/* Return true if it names gzip. */
bool gzip_is_used(const char *coding);
/* Return true if the value of an Accept-Encoding header (NULL: none) allows gzip, by its name or by '*'. */
bool gzip_is_accepted(const char *header);

#endif
