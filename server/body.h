/* body: the bytes of one request while they arrive, within what all bodies together may take.
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
