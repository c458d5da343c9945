/* See client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tls.h"

static int connect_tcp(const struct server *server, const char *from)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(from)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), at_once = 1;
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    int code = connect(fd, (struct sockaddr *)&address, sizeof address);
    ck_assert_msg(code == 0, "connect: %s", strerror(errno));
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int code = connect(fd, (struct sockaddr *)&address, sizeof address);
    ck_assert_msg(code == 0, "connect: %s", strerror(errno));
    return fd;
}

void client_open(struct client *client, const struct server *server)
{
    client_open_from(client, server, "127.0.0.1");
}

void client_occupy(struct client *client, const struct server *server)
{
    client_open(client, server);
    client_post(client, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
    ck_assert(metric_becomes(server, "carousel_sequences_active", 1));
}

void client_open_from(struct client *client, const struct server *server, const char *from)
{
    struct timeval limit = {.tv_sec = patience_ms(20000) / 1000};
    free(client->buffer);
    *client = (struct client){.fd = -1};
    client->fd = server->port > 0 ? connect_tcp(server, from) : connect_unix(server->url + 5);
    if (strncmp(server->url, "https:", 6) == 0)
        client->fd = tls_wrap(client->fd);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void client_close(struct client *client)
{
    close(client->fd);
    free(client->buffer);
    *client = (struct client){.fd = -1};
}

void client_abort(struct client *client)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    client_close(client);
}

bool client_send(struct client *client, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(client->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        ck_assert_msg(sent > 0, "send: %s", strerror(errno));
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool client_say(struct client *client, const char *format, ...)
{
    static char text[1 << 16];
    va_list values;
    va_start(values, format);
    int n = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    ck_assert_int_lt(n, (int)sizeof text);
    return client_send(client, text, (size_t)n);
}

bool client_fill(struct client *client, size_t n)
{
    while (client->n < n) {
        if (client->room < client->n + 65536) {
            client->room = 2 * client->room + 65536;
            client->buffer = realloc(client->buffer, client->room + 1);
            ck_assert_ptr_nonnull(client->buffer);
        }
        ssize_t got = recv(client->fd, client->buffer + client->n, client->room - client->n, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return false;
        ck_assert_msg(got > 0, "no answer: %s", strerror(errno));
        client->n += (size_t)got;
        client->buffer[client->n] = '\0';
    }
    return true;
}

bool client_is_closed(struct client *client, int ms)
{
    char bytes[4096];
    double end = now_ms() + ms;
    for (;;) {
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        int left = (int)(end - now_ms());
        if (left <= 0 || poll(&wait, 1, left) != 1)
            return false;
        if (recv(client->fd, bytes, sizeof bytes, 0) <= 0)
            return true;
    }
}

/* Take n bytes off the front of the buffer. */
static void take(struct client *client, size_t n)
{
    memmove(client->buffer, client->buffer + n, client->n - n);
    client->n -= n;
    client->buffer[client->n] = '\0';
}

/* The line that begins at `from`, once it has come: its length without CRLF. */
static bool find_line(struct client *client, size_t from, size_t *length)
{
    for (;;) {
        char *end = client->n > from ? memchr(client->buffer + from, '\n', client->n - from) : NULL;
        if (end != NULL) {
            ck_assert_msg(end > client->buffer + from && end[-1] == '\r', "a line ends without CR");
            *length = (size_t)(end - 1 - (client->buffer + from));
            return true;
        }
        if (!client_fill(client, client->n + 1))
            return false;
    }
}

static void append(struct reply *reply, const char *bytes, size_t n)
{
    reply->body = realloc(reply->body, reply->body_bytes + n + 1);
    ck_assert_ptr_nonnull(reply->body);
    memcpy(reply->body + reply->body_bytes, bytes, n);
    reply->body_bytes += n;
    reply->body[reply->body_bytes] = '\0';
}

static bool read_chunks(struct client *client, struct reply *reply)
{
    for (;;) {
        size_t length;
        if (!find_line(client, 0, &length))
            return false;
        char *end;
        size_t n = strtoul(client->buffer, &end, 16);
        ck_assert_msg(end > client->buffer && *end == '\r', "chunk size: %.20s", client->buffer);
        take(client, length + 2);
        if (!client_fill(client, n + 2))
            return false;
        ck_assert_int_eq(memcmp(client->buffer + n, "\r\n", 2), 0);
        append(reply, client->buffer, n);
        take(client, n + 2);
        if (n == 0)
            return true;
    }
}

static void clear(struct reply *reply)
{
    cJSON_Delete(reply->json);
    free(reply->head);
    free(reply->body);
    *reply = (struct reply){0};
}

/* Status line and headers into reply->head. */
static bool read_head(struct client *client, struct reply *reply)
{
    const char *end;
    clear(reply);
    while (client->n == 0 || (end = strstr(client->buffer, "\r\n\r\n")) == NULL)
        if (!client_fill(client, client->n + 1)) {
            ck_assert_msg(client->n == 0, "closed within the headers: %s", client->buffer);
            return false;
        }
    size_t n = (size_t)(end - client->buffer) + 4;
    reply->head = strndup(client->buffer, n - 2);
    ck_assert_ptr_nonnull(reply->head);
    take(client, n);
    ck_assert_msg(sscanf(reply->head, "HTTP/1.1 %d ", &reply->status) == 1, "status line: %s",
                  reply->head);
    return true;
}

bool client_read_head(struct client *client, struct reply *reply)
{
    bool is_there = read_head(client, reply);
    if (is_there)
        append(reply, "", 0);
    return is_there;
}

bool client_read(struct client *client, struct reply *reply)
{
    do {
        if (!read_head(client, reply))
            return false;
    } while (reply->status == 100);
    append(reply, "", 0);
    const char *length = reply_header(reply, "Content-Length");
    reply->chunked = strcasecmp(reply_header(reply, "Transfer-Encoding"), "chunked") == 0;
    if (reply->chunked) {
        reply->complete = read_chunks(client, reply);
    } else if (*length != '\0') {
        size_t n = strtoul(length, NULL, 10);
        reply->complete = client_fill(client, n);
        ck_assert_msg(reply->complete, "closed after %zu of %zu bytes", client->n, n);
        append(reply, client->buffer != NULL ? client->buffer : "", n);
        if (n > 0)
            take(client, n);
    } else {
        while (client_fill(client, client->n + 1))
            ;
        append(reply, client->n > 0 ? client->buffer : "", client->n);
        reply->complete = true;
    }
    return true;
}

const char *reply_header(const struct reply *reply, const char *name)
{
    static _Thread_local char values[4][512];
    static _Thread_local unsigned turn;
    char *value = values[turn++ % 4];
    size_t n = strlen(name);
    *value = '\0';
    for (const char *line = strstr(reply->head, "\r\n"); line != NULL;
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *from = line + 3 + n;
            from += strspn(from, " \t");
            snprintf(value, sizeof values[0], "%.*s", (int)strcspn(from, "\r"), from);
        }
    return value;
}

void client_post(struct client *client, const char *path, const char *body)
{
    char *text = strdup(body);
    ck_assert_ptr_nonnull(text);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    client_say(client,
               "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n",
               path, strlen(text));
    client_send(client, text, strlen(text));
    free(text);
}

struct reply *ask(const struct server *server, const char *method, const char *path,
                  const char *body)
{
    return ask_as(server, "", method, path, body);
}

struct reply *ask_as(const struct server *server, const char *headers, const char *method,
                     const char *path, const char *body)
{
    static struct reply reply;
    static struct client client;
    client_open(&client, server);
    client_say(&client, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s", method, path,
               headers);
    if (body != NULL) {
        client_say(&client, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   strlen(body));
        client_send(&client, body, strlen(body));
    } else {
        client_say(&client, "\r\n");
    }
    bool answered = strcmp(method, "HEAD") == 0 ? client_read_head(&client, &reply)
                                                : client_read(&client, &reply);
    ck_assert_msg(answered, "%s %s: closed without an answer", method, path);
    client_close(&client);
    return &reply;
}

struct reply *post(const struct server *server, const char *path, const char *body)
{
    char *text = strdup(body);
    ck_assert_ptr_nonnull(text);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    struct reply *reply = ask(server, "POST", path, text);
    free(text);
    return reply;
}

struct reply *postf(const struct server *server, const char *path, const char *format, ...)
{
    static char body[1 << 16];
    va_list values;
    va_start(values, format);
    int n = vsnprintf(body, sizeof body, format, values);
    va_end(values);
    ck_assert_int_lt(n, (int)sizeof body);
    return post(server, path, body);
}

/* What answers say -------------------------------------------------------------------------- */

cJSON *reply_json(struct reply *reply)
{
    if (reply->json == NULL)
        reply->json = cJSON_ParseWithLengthOpts(reply->body, reply->body_bytes + 1, NULL, 1);
    ck_assert_msg(reply->json != NULL, "not JSON: %s", reply->body);
    return reply->json;
}

cJSON *json_at(cJSON *json, const char *path)
{
    char name[64];
    while (json != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        ck_assert_uint_lt(n, sizeof name);
        memcpy(name, path, n);
        name[n] = '\0';
        path += n + (path[n] == '.');
        json = isdigit((unsigned char)*name) && cJSON_IsArray(json)
                   ? cJSON_GetArrayItem(json, atoi(name))
                   : cJSON_GetObjectItemCaseSensitive(json, name);
    }
    return json;
}

cJSON *reply_at(struct reply *reply, const char *path)
{
    return json_at(reply_json(reply), path);
}

const char *text_at(struct reply *reply, const char *path)
{
    cJSON *value = reply_at(reply, path);
    ck_assert_msg(cJSON_IsString(value), "%s is not a string in %s", path, reply->body);
    return value->valuestring;
}

double number_at(struct reply *reply, const char *path)
{
    cJSON *value = reply_at(reply, path);
    ck_assert_msg(cJSON_IsNumber(value), "%s is not a number in %s", path, reply->body);
    return value->valuedouble;
}

int length_at(struct reply *reply, const char *path)
{
    cJSON *value = reply_at(reply, path);
    ck_assert_msg(cJSON_IsArray(value), "%s is not an array in %s", path, reply->body);
    return cJSON_GetArraySize(value);
}

void expect_error(struct reply *reply, int status, const char *code, const char *param)
{
    ck_assert_msg(reply->status == status, "%d instead of %d: %s", reply->status, status, reply->body);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "application/json");
    ck_assert_str_eq(text_at(reply, "error.code"), code);
    ck_assert_uint_gt(strlen(text_at(reply, "error.message")), 5);
    ck_assert_uint_gt(strlen(text_at(reply, "error.type")), 5);
    ck_assert_str_eq(text_at(reply, "error.request_id"), reply_header(reply, "X-Request-Id"));
    cJSON *found = reply_at(reply, "error.param");
    ck_assert_msg(found != NULL, "no param in %s", reply->body);
    if (param != NULL && *param == '\0')
        ck_assert_msg(cJSON_IsNull(found), "param is not null in %s", reply->body);
    else if (param != NULL)
        ck_assert_msg(cJSON_IsString(found) && strcmp(found->valuestring, param) == 0,
                      "param is not '%s' in %s", param, reply->body);
}

void post_refused(struct server *server, const char *path, const struct refused *row)
{
    expect_error(post(server, path, row->body), row->status, row->code, row->param);
}

void expect_ok(struct reply *reply)
{
    ck_assert_msg(reply->status == 200, "%d: %s", reply->status, reply->body);
    reply_json(reply);
}

void expect_retry_after(const struct reply *reply, int most_s)
{
    const char *text = reply_header(reply, "Retry-After");
    ck_assert_msg(atoi(text) >= 1 && atoi(text) <= most_s, "Retry-After: '%s', expected 1 to %d", text,
                  most_s);
}
