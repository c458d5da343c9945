#include "server/peer.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/* FNV-1a (Fowler, Noll, Vo), 32 bits. */
static uint32_t hash(const unsigned char *bytes, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ bytes[i]) * 16777619u;
    return h;
}

uint32_t peer_number_of(const struct sockaddr *address)
{
    uint32_t number = 0;
    if (address->sa_family == AF_INET)
        number = hash((const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        number = IN6_IS_ADDR_V4MAPPED(six) ? hash(six->s6_addr + 12, 4) : hash(six->s6_addr, 8);
    }
    return number | PEER_FIRST;
}

uint32_t peer_number(int descriptor)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    if (getpeername(descriptor, (struct sockaddr *)&address, &bytes)) address.ss_family = AF_UNSPEC;
    return peer_number_of((const struct sockaddr *)&address);
}
