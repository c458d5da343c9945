/* body: the bytes of one request while they arrive, within what all bodies together may take; and the sum of
 * all answers while they are sent.
 *
 * Memory follows what has been received, never what was announced. The total is shared by all threads;
 * a body itself belongs to its request. Caller's storage, zeroed; body_release in the end. */
#ifndef CAROUSEL_SERVER_BODY_H
#define CAROUSEL_SERVER_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config.h"
#include "server/errors.h"

struct body_total {
    _Atomic int64_t bytes; /* taken by all bodies */
    int64_t limit;
};

/* An answer stays in memory until its reader has taken it, and readers take their time. The bytes that are
 * counted, which body_total_give takes off again, are added to *taken. Where the total would be over its
 * limit *problem is a 503; but a small answer always finds room, so that a server whose memory is held can
 * still tell. */
enum { BODY_SMALL_BYTES = 65536 };
bool body_total_take(struct body_total *total, size_t bytes, size_t *taken, struct problem *problem);
void body_total_give(struct body_total *total, size_t bytes);

struct body {
    char *bytes; /* [n], owned */
    size_t n, capacity;
};

/* false where there is no memory or the total is over its limit; the body is then as it was. */
bool body_append(struct body *body, struct body_total *total, const char *bytes, size_t n);
void body_release(struct body *body, struct body_total *total);

/* The 413. Returns false. */
bool body_too_large(const struct config *config, struct problem *problem);

#endif
