#include "server/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/socket.h"
#include "server/http/tls.h"

enum { STEP_S = 3, STATUS_LINE_BYTES = 12 };
static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/* "HTTP/1.1 200", as far as it comes. */
static enum status ask_plainly(int descriptor, char line[STATUS_LINE_BYTES + 1], struct error *err)
{
    size_t n = sizeof request - 1;
    errno = 0;
    if (send(descriptor, request, n, MSG_NOSIGNAL) == (ssize_t)n &&
        recv(descriptor, line, STATUS_LINE_BYTES, MSG_WAITALL) >= 0)
        return STATUS_OK;
    return error_set(err, STATUS_IO, "it does not answer: %s", strerror(errno));
}

static enum status ask(const struct config *config, char line[STATUS_LINE_BYTES + 1], struct error *err)
{
    int descriptor;
    bool is_unix = *config->server_unix_socket;
    if (!is_unix && !config->server_port)
        return error_set(err, STATUS_BAD_VALUE,
                         "server.port is 0: say by --port on which one the server listens");
    enum status status = is_unix ? socket_connect_unix(config->server_unix_socket, STEP_S, &descriptor, err)
                                 : socket_connect(config->server_host, config->server_port, STEP_S,
                                                  &descriptor, err);
    if (status != STATUS_OK) return status;
    status = *config->tls_certificate && !is_unix ? tls_ask(descriptor, request, line, STATUS_LINE_BYTES, err)
                                                  : ask_plainly(descriptor, line, err);
    close(descriptor);
    return status;
}

int health_run(const struct config *config)
{
    char line[STATUS_LINE_BYTES + 1] = "";
    struct error err;
    if (ask(config, line, &err) != STATUS_OK) {
        fprintf(stderr, "carousel: not healthy: %s\n", err.message);
        return 1;
    }
    if (!strcmp(line, "HTTP/1.1 200")) return 0;
    bool is_http = !strncmp(line, "HTTP/1.1 ", 9);
    fprintf(stderr, "carousel: not healthy: %s%s\n",
            is_http ? "GET /readyz says " : "what answers does not speak HTTP", is_http ? line + 9 : "");
    return 1;
}
