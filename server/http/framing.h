/* framing: where each request on a connection ends, decided before libmicrohttpd sees a byte of it.
 *
 * If a proxy in front reads a request otherwise than this server, it reads part of one request as another.
 * libmicrohttpd 0.9.75 leaves room for that: it reads a bare LF as the end of a line, appends a folded line
 * to the header's name, measures values up to their first zero byte, and reads many spellings of a chunk.
 * So the bytes of a connection pass through here first (server/http/wire.h). What goes on is one canonical
 * form of HTTP/1.1 (RFC 9112):
 *
 * - Each head goes on whole or not at all. It has CRLF at the end of each line, no folded line, names that
 *   are tokens, values without control characters, one Host, and at most one Content-Length of digits or
 *   one Transfer-Encoding, which is "chunked".
 * - Chunks go on without their extensions and without the trailer, which nothing here reads.
 * - Cookie does not go on, because nothing here reads it and libmicrohttpd would copy it; nor does an Expect
 *   that no body follows, because libmicrohttpd would wait for the body.
 *
 * A request in doubt is the last one of its connection. A short head, or the end of its chunks, replaces
 * what is in doubt, so that it becomes a request that can be answered: framing_fault then says how.
 * No byte after it goes on.
 *
 * Caller's storage; one thread at a time. Nothing here reads or writes a socket. */
#ifndef CAROUSEL_SERVER_FRAMING_H
#define CAROUSEL_SERVER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/errors.h"

enum {
    FRAMING_MAX_FIELDS = 256, /* headers and parameters of the query, together */
    FRAMING_CHUNK_LINE = 1024 /* bytes of a chunk's size with its extensions */
};

enum framing_state {
    FRAMING_HEAD, FRAMING_BODY, FRAMING_CHUNK_SIZE, FRAMING_CHUNK, FRAMING_CHUNK_END, FRAMING_TRAILER,
    FRAMING_DEAD /* a fault was found: whatever comes is dropped */
};

struct framing {
    size_t limit;           /* bytes of a head, and of a trailer */
    char *bytes;            /* owned; NULL: nothing is held */
    size_t given, ready;    /* bytes[given, ready) may go on */
    size_t raw, n;          /* bytes[raw, n) are not judged yet */
    size_t seen, line;      /* of those: no end of the head in so many; where the last line begins */
    enum framing_state state;
    uint64_t left;          /* bytes of the body or chunk that are still to come; of the trailer, had */
    bool skipped;           /* the one empty line that may precede a head has been */
    unsigned n_heads;       /* that went on */
    enum fault fault;       /* of the last one */
    const char *reason;
};

/* Begin a connection. `limit`: bytes of a head, at least 64. */
void framing_open(struct framing *framing, size_t limit);
void framing_close(struct framing *framing);

/* Room for what is received, *bytes of it (at least 1 after framing_give has left nothing); NULL without
 * memory. */
char *framing_room(struct framing *framing, size_t *bytes);
/* So many bytes have been put there. */
void framing_take(struct framing *framing, size_t n);
/* Copy what may go on; returns the number of bytes. */
size_t framing_give(struct framing *framing, char *out, size_t room);

/* How many of `room` bytes would be nothing but body, so that they may be received past this module; then
 * the number that has been. */
size_t framing_direct(const struct framing *framing, size_t room);
void framing_pass(struct framing *framing, size_t n);

/* Whether part of a head has come. */
bool framing_is_in_head(const struct framing *framing);
/* Whether bytes have come that did not go on, or a fault was found. */
bool framing_is_early(const struct framing *framing);
/* Whether request number `request` of the connection, from 1, is the one in doubt; then *problem says why. */
bool framing_fault(const struct framing *framing, unsigned request, struct problem *problem);

#endif
