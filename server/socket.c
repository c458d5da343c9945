#define _GNU_SOURCE /* NI_NUMERICSERV */
#include "server/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static int listen_on(const struct addrinfo *info)
{
    int descriptor = socket(info->ai_family, SOCK_STREAM, 0), one = 1;
    if (descriptor < 0) return -1;
    bool good = fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 &&
                setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                bind(descriptor, info->ai_addr, info->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0;
    if (good) return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

enum status socket_listen(const char *text, int64_t port, struct listener *out, struct error *err)
{
    char service[16], host[SOCKET_URL_BYTES - 32];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    snprintf(host, sizeof host, "%.255s", *text == '[' ? text + 1 : text);
    if (*text == '[') host[strcspn(host, "]")] = '\0';
    snprintf(service, sizeof service, "%lld", (long long)port);
    int failure = getaddrinfo(host, service, &hints, &list);
    if (failure)
        return error_set_param(err, STATUS_BAD_VALUE, "server.host", "server.host is '%s': %s", host, gai_strerror(failure));
    int descriptor = -1;
    for (struct addrinfo *info = list; info && descriptor < 0; info = info->ai_next) descriptor = listen_on(info);
    freeaddrinfo(list);
    if (descriptor < 0)
        return error_set_param(err, STATUS_IO, "server.port", "cannot listen on %s port %s: %s", host, service, strerror(errno));
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    getsockname(descriptor, (struct sockaddr *)&address, &n);
    getnameinfo((struct sockaddr *)&address, n, NULL, 0, service, sizeof service, NI_NUMERICSERV);
    *out = (struct listener){.descriptor = descriptor, .is_public = !is_loopback(&address)};
    snprintf(out->url, sizeof out->url, strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, service);
    return STATUS_OK;
}
