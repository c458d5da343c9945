#define _GNU_SOURCE /* NI_NUMERICSERV */
#include "server/http/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

enum { HOST_BYTES = SOCKET_URL_BYTES - 32, SERVICE_BYTES = 16 };

/* The addresses of server.host, from getaddrinfo; and both as they are printed, without brackets. */
static enum status look_up(const char *text, int64_t port, char host[HOST_BYTES], char service[SERVICE_BYTES],
                           struct addrinfo **list, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(host, HOST_BYTES, "%.255s", *text == '[' ? text + 1 : text);
    if (*text == '[') host[strcspn(host, "]")] = '\0';
    snprintf(service, SERVICE_BYTES, "%lld", (long long)port);
    int failure = getaddrinfo(host, service, &hints, list);
    if (!failure) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, "server.host", "server.host is '%s': %s", host,
                           gai_strerror(failure));
}

enum status socket_listen(const char *scheme, const char *text, int64_t port, struct listener *out,
                          struct error *err)
{
    char service[SERVICE_BYTES], host[HOST_BYTES];
    struct addrinfo *list;
    enum status status = look_up(text, port, host, service, &list, err);
    if (status != STATUS_OK) return status;
    int descriptor = -1;
    for (struct addrinfo *info = list; info && descriptor < 0; info = info->ai_next)
        descriptor = listen_on(info);
    freeaddrinfo(list);
    if (descriptor < 0)
        return error_set_param(err, STATUS_IO, "server.port", "cannot listen on %s port %s: %s", host,
                               service, strerror(errno));
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    getsockname(descriptor, (struct sockaddr *)&address, &n);
    getnameinfo((struct sockaddr *)&address, n, NULL, 0, service, sizeof service, NI_NUMERICSERV);
    *out = (struct listener){.descriptor = descriptor, .is_public = !is_loopback(&address)};
    snprintf(out->url, sizeof out->url, strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", scheme, host,
             service);
    return STATUS_OK;
}

/* ---- a Unix socket -------------------------------------------------------------------------- */

static enum status refuse_path(const char *path, const char *why, struct error *err)
{
    return error_set_param(err, STATUS_IO, "server.unix_socket", "cannot listen on server.unix_socket %s: %s",
                           path, why);
}

/* Whether the path may be taken: nothing is there, or a socket on which no process listens. */
static enum status check_path(const struct sockaddr_un *address, struct error *err)
{
    struct stat found;
    const char *path = address->sun_path;
    if (lstat(path, &found)) return errno == ENOENT ? STATUS_OK : refuse_path(path, strerror(errno), err);
    if (!S_ISSOCK(found.st_mode)) return refuse_path(path, "a file that is no socket is in its place", err);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return refuse_path(path, strerror(errno), err);
    bool stale = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
                 errno == ECONNREFUSED;
    close(probe);
    return stale ? STATUS_OK : refuse_path(path, "another process listens there", err);
}

/* Made, permitted, listened on, and only then renamed. */
static bool open_unix(const char *path, mode_t mode, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s.%d", path, (int)getpid() % 1000000);
    if (n >= (int)sizeof address.sun_path) return false;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    bool made = bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    if (made && chmod(address.sun_path, mode) == 0 && listen(descriptor, BACKLOG) == 0 &&
        rename(address.sun_path, path) == 0)
        return *out = descriptor, true;
    int reason = errno;
    if (made) unlink(address.sun_path);
    close(descriptor);
    errno = reason;
    return false;
}

enum status socket_listen_unix(const char *path, const char *mode, struct listener *out, struct error *err)
{
    enum { SUFFIX_BYTES = 8 };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat made;
    if (strlen(path) + SUFFIX_BYTES > sizeof address.sun_path)
        return error_set_param(err, STATUS_TOO_LONG, "server.unix_socket",
                               "server.unix_socket is longer than %zu bytes",
                               sizeof address.sun_path - SUFFIX_BYTES);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    enum status status = check_path(&address, err);
    if (status != STATUS_OK) return status;
    *out = (struct listener){.descriptor = -1};
    if (!open_unix(path, (mode_t)strtoul(mode, NULL, 8), &out->descriptor))
        return refuse_path(path, strerror(errno), err);
    snprintf(out->url, sizeof out->url, "unix:%s", path);
    snprintf(out->path, sizeof out->path, "%s", path);
    if (lstat(path, &made) == 0) out->device = made.st_dev, out->inode = made.st_ino;
    return STATUS_OK;
}

void socket_unlink(const struct listener *listener)
{
    struct stat found;
    if (*listener->path && lstat(listener->path, &found) == 0 && found.st_dev == listener->device &&
        found.st_ino == listener->inode)
        unlink(listener->path);
}

/* ---- the other end -------------------------------------------------------------------------- */

static int connect_to(int family, const struct sockaddr *address, socklen_t n, unsigned timeout_s)
{
    struct timeval limit = {.tv_sec = (time_t)timeout_s};
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(descriptor, address, n) == 0)
        return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

/* On Linux a connection to the address of no interface (0.0.0.0, ::) goes to the loopback one. */
enum status socket_connect(const char *text, int64_t port, unsigned timeout_s, int *descriptor,
                           struct error *err)
{
    char service[SERVICE_BYTES], host[HOST_BYTES];
    struct addrinfo *list;
    enum status status = look_up(text, port, host, service, &list, err);
    if (status != STATUS_OK) return status;
    *descriptor = -1;
    for (struct addrinfo *info = list; info && *descriptor < 0; info = info->ai_next)
        *descriptor = connect_to(info->ai_family, info->ai_addr, info->ai_addrlen, timeout_s);
    freeaddrinfo(list);
    if (*descriptor >= 0) return STATUS_OK;
    return error_set(err, STATUS_IO, "cannot connect to %s port %s: %s", host, service, strerror(errno));
}

enum status socket_connect_unix(const char *path, unsigned timeout_s, int *descriptor, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    *descriptor = connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof address, timeout_s);
    if (*descriptor >= 0) return STATUS_OK;
    return error_set(err, STATUS_IO, "cannot connect to %s: %s", path, strerror(errno));
}
