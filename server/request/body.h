/* body: the bytes of one request while they arrive, and the limits on the memory of all bodies together, and
 * of all answers while they are sent.
 *
 * A body whose length was announced gets its memory at once and never more; another one grows as it comes.
 * Such a total is shared by all threads and locks itself. It is fair to clients: besides its first holding a
 * client may hold as much as is still free. So one client alone gets half of the total, and the first of
 * another one finds room. What is small always finds room, so that a server whose memory is held can still be
 * asked, and can still tell. */
#ifndef CAROUSEL_SERVER_BODY_H
#define CAROUSEL_SERVER_BODY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/errors.h"

/* What one request holds of a total. Its owner zeroes it except `client`; not to be moved while bytes > 0. */
struct holding {
    uint32_t client; /* the client: its key's number, or its address's (server/http/peer.h) */
    size_t bytes;
    struct holding *next;
};

enum { BODY_SMALL_BYTES = 65536, BODY_ROWS = 256 };

struct body_total {
    _Atomic int64_t bytes; /* held by all; any thread may read it */
    int64_t limit;
    const char *setting;   /* the limit's name */
    pthread_mutex_t _mu;   /* guards the rest, and writes of `bytes` */
    struct holding *_rows[BODY_ROWS]; /* those of bytes > 0, by their client */
};

void body_total_open(struct body_total *total, int64_t limit, const char *setting);
void body_total_close(struct body_total *total); /* nothing is held */

/* Let `holding` have `bytes` in all, no fewer than it has. false: that is over the client's part or the
 * limit; nothing has changed, and *problem is a 503. */
bool body_total_hold(struct body_total *total, struct holding *holding, size_t bytes,
                     struct problem *problem);
void body_total_give(struct body_total *total, struct holding *holding);

struct body {
    char *bytes; /* [n], owned */
    size_t n;
    struct holding room; /* set room.client before the first call */
};

/* Take memory for a body of `bytes`; and add `n` to it, for which it may grow. false if there is no memory or
 * no more may be held: the body is then as it was, and *problem is a 503. */
bool body_reserve(struct body *body, struct body_total *total, size_t bytes, struct problem *problem);
bool body_append(struct body *body, struct body_total *total, const char *bytes, size_t n,
                 struct problem *problem);
/* Move `from`, which is empty afterwards, to `to`, which is empty before. */
void body_move(struct body *to, struct body *from, struct body_total *total);
void body_release(struct body *body, struct body_total *total);

/* The most bytes of a body that are read. A body that is not wanted, because its request is refused or its
 * route reads none, is read away if it is small, so that the connection can go on. */
uint64_t body_most(int64_t limit, bool wanted);

/* The 413 of a body over so many bytes. Returns false. */
bool body_too_large(uint64_t most, struct problem *problem);

#endif
