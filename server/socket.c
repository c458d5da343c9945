#define _GNU_SOURCE /* NI_NUMERICSERV, struct iovec */
#include "server/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/access.h"

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

size_t socket_refuse(int descriptor, const struct problem *problem, const char *request_id, double total_ms)
{
    size_t bytes = 0;
    char *body = request_error_body(problem, request_id, &bytes), head[512];
    unsigned status = fault_http_status(problem->fault);
    if (!body) return 0;
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                     "X-Request-Id: %s\r\nServer-Timing: queue;dur=0, compute;dur=0, total;dur=%.3f\r\n"
                     "Connection: close\r\n\r\n",
                     status, status == 408 ? "Request Timeout" : "Content Too Large", bytes, request_id, total_ms);
    struct iovec parts[] = {{head, (size_t)n}, {body, bytes}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* a client that takes nothing is not told */
    free(body);
    return bytes;
}
