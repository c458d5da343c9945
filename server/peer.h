/* peer: a number for whoever is at the other end of a connection, so that the queue can serve clients without
 * a key alike (core/queue.h).
 *
 * Clients with one IPv4 address, or in one /64 of IPv6, which is what one subscriber is given, have one
 * number. So have all who come through one proxy, and all of a Unix socket. Numbers are never those of API
 * keys, and a hash: two clients may have one by chance, and then share. What a client writes in a header
 * counts for nothing here. */
#ifndef CAROUSEL_SERVER_PEER_H
#define CAROUSEL_SERVER_PEER_H

#include <stdint.h>

struct sockaddr;

enum { PEER_FIRST = 1 << 30 };

/* >= PEER_FIRST, for a connected socket, and for its peer's address. Any thread. */
uint32_t peer_number(int descriptor);
uint32_t peer_number_of(const struct sockaddr *address);

#endif
