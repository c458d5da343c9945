/* peer: a number for the client at the other end of a connection, so that the queue can serve clients without
 * a key alike (core/scheduler/queue.h), and none of them can fill all connections.
 *
 * Clients with one IPv4 address, or in one /64 of IPv6, which is what one subscriber is given, have one
 * number. So have all clients that come through one proxy, and all of a Unix socket. Numbers are never those
 * of API keys, and a hash: two clients may have one by chance, and then share. What a client writes in a
 * header counts for nothing here. */
#ifndef CAROUSEL_SERVER_PEER_H
#define CAROUSEL_SERVER_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

enum { PEER_FIRST = 1 << 30 };

/* >= PEER_FIRST, for a connected socket, and for its peer's address. Any thread. */
uint32_t peer_number(int descriptor);
uint32_t peer_number_of(const struct sockaddr *address);

/* A connection, among those that its peer has open. The caller's, from begin to end. */
struct visit {
    uint32_t peer;
    struct visit *next;
};

enum { VISITS_ROWS = 1024 };

struct visits {
    size_t each;         /* visits that one peer may have at a time; 0: any number, uncounted */
    pthread_mutex_t _mu; /* guards the rest */
    struct visit *_rows[VISITS_ROWS];
};

void visits_open(struct visits *visits, size_t each);
void visits_close(struct visits *visits); /* all have ended */
/* false: the peer has as many as it may, and this one has not begun. Any thread. */
bool visit_begin(struct visits *visits, struct visit *visit, uint32_t peer);
void visit_end(struct visits *visits, struct visit *visit);

#endif
