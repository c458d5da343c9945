#include "server/http/peer.h"

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
        number = hash((const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr,
                      4);
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

void visits_open(struct visits *visits, size_t each)
{
    *visits = (struct visits){.each = each};
    pthread_mutex_init(&visits->_mu, NULL);
}

void visits_close(struct visits *visits)
{
    pthread_mutex_destroy(&visits->_mu);
}

bool visit_begin(struct visits *visits, struct visit *visit, uint32_t peer)
{
    struct visit **row = &visits->_rows[peer % VISITS_ROWS];
    size_t n = 0;
    if (!visits->each) return true;
    pthread_mutex_lock(&visits->_mu);
    for (const struct visit *other = *row; other; other = other->next) n += other->peer == peer;
    bool good = n < visits->each;
    if (good) {
        *visit = (struct visit){.peer = peer, .next = *row};
        *row = visit;
    }
    pthread_mutex_unlock(&visits->_mu);
    return good;
}

void visit_end(struct visits *visits, struct visit *visit)
{
    if (!visits->each) return;
    pthread_mutex_lock(&visits->_mu);
    struct visit **at = &visits->_rows[visit->peer % VISITS_ROWS];
    while (*at != visit) at = &(*at)->next;
    *at = visit->next;
    pthread_mutex_unlock(&visits->_mu);
}
