#define _GNU_SOURCE /* NI_NUMERICSERV */
#include "server/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
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

enum status socket_listen(const char *text, int64_t port, char url[SOCKET_URL_BYTES], int *out, struct error *err)
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
    snprintf(url, SOCKET_URL_BYTES, strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, service);
    *out = descriptor;
    return STATUS_OK;
}
