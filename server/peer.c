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

uint32_t peer_number(int descriptor)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t bytes = sizeof address;
    uint32_t number = 0;
    if (getpeername(descriptor, (struct sockaddr *)&address, &bytes)) address.ss_family = AF_UNSPEC;
    if (address.ss_family == AF_INET)
        number = hash((const unsigned char *)&((struct sockaddr_in *)&address)->sin_addr, 4);
    if (address.ss_family == AF_INET6) {
        const struct in6_addr *six = &((struct sockaddr_in6 *)&address)->sin6_addr;
        number = IN6_IS_ADDR_V4MAPPED(six) ? hash(six->s6_addr + 12, 4) : hash(six->s6_addr, 8);
    }
    return number | PEER_FIRST;
}
