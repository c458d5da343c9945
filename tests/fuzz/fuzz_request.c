/* Any bytes as a whole request: "METHOD path", headers, an empty line, the body, through everything between
 * the HTTP library and the workers. This program is the HTTP library (server/http/connection.h): the linker
 * gives it the exchange's calls, --wrap in the Makefile. A header "Leave: x" is a client that goes once the
 * work has begun; "Doubt: x" makes the request one in doubt.
 *
 * Each request must be answered once, with a documented status that is not our own fault, and with JSON where
 * the head says so; a stream must end with [DONE] or an error; and afterwards nothing may be held. */
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "models/jobs/job.h"
#include "server/request/exchange.h"
#include "server/serve.h"
#include "server/api/document.h"
#include "server/request/keys.h"
#include "server/base/log.h"
#include "server/http/watcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_HEADERS = 16, STREAM_ROOM = 512, PATIENCE_US = 20000000 };

struct connection {
    const char *names[MAX_HEADERS], *values[MAX_HEADERS];
    size_t n_headers;
    int ends[2], slot;  /* ours and the client's */
    pthread_mutex_t mu; /* guards the next */
    pthread_cond_t resumed;
    bool suspended;
    unsigned status;    /* 0: not answered */
    bool json, sent_raw;
    connection_reader *read;
    void *context;
};

/* ---- the wire, as the exchange sees it ------------------------------------------------------ */

#define WIRE(name) __wrap_connection_##name
const char *WIRE(header)(const struct connection *connection, const char *name);
bool WIRE(fault)(const struct connection *connection, struct problem *problem);
int WIRE(descriptor)(const struct connection *connection);
int WIRE(slot)(const struct connection *connection);
bool WIRE(is_secure)(const struct connection *connection);
void WIRE(suspend)(struct connection *connection);
void WIRE(resume)(struct connection *connection);
void WIRE(time_out)(struct connection *connection, int64_t seconds);
void WIRE(send_raw)(struct connection *connection, const char *bytes, size_t n);
bool WIRE(answer)(struct connection *connection, const struct head *head, char *body, size_t bytes);
bool WIRE(stream)(struct connection *connection, const struct head *head, connection_reader *read,
                  void *context);

const char *WIRE(header)(const struct connection *connection, const char *name)
{
    for (size_t i = 0; i < connection->n_headers; i++)
        if (!strcasecmp(connection->names[i], name)) return connection->values[i];
    return NULL;
}

/* A header "Doubt: x" is a request in doubt. */
bool WIRE(fault)(const struct connection *connection, struct problem *problem)
{
    const char *doubt = WIRE(header)(connection, "Doubt");
    if (doubt) problem_set(problem, FAULT_INVALID_HEADERS, NULL, "%s", doubt);
    return doubt != NULL;
}

int WIRE(descriptor)(const struct connection *connection)
{
    return connection->ends[0];
}

int WIRE(slot)(const struct connection *connection)
{
    return connection->slot;
}

bool WIRE(is_secure)(const struct connection *connection)
{
    (void)connection;
    return false;
}

static void set_suspended(struct connection *connection, bool suspended)
{
    pthread_mutex_lock(&connection->mu);
    assert(connection->suspended != suspended);
    connection->suspended = suspended;
    pthread_cond_signal(&connection->resumed);
    pthread_mutex_unlock(&connection->mu);
}

void WIRE(suspend)(struct connection *connection)
{
    set_suspended(connection, true);
}

void WIRE(resume)(struct connection *connection)
{
    set_suspended(connection, false);
}

void WIRE(time_out)(struct connection *connection, int64_t seconds)
{
    (void)connection;
    assert(seconds >= 0);
}

void WIRE(send_raw)(struct connection *connection, const char *bytes, size_t n)
{
    assert(!connection->status && n > 12 && !memcmp(bytes, "HTTP/1.1 4", 10));
    connection->sent_raw = true;
}

/* Our parser refuses \u0000, which a model of bytes may write. */
static void check_json(char *body, size_t bytes)
{
    static const char zero[] = "\\u0000";
    const struct json_limits limits = {.depth = 64, .values = 1000000};
    struct problem problem = {0};
    for (size_t i = 0; i + sizeof zero - 1 <= bytes; i++)
        if (!memcmp(body + i, zero, sizeof zero - 1)) body[i + sizeof zero - 2] = '1';
    struct json *document = document_parse(body, bytes, &limits, &problem);
    if (!document) fprintf(stderr, "%s: %.*s\n", problem.message, (int)bytes, body);
    assert(document);
    json_free(document);
}

/* Nothing in a header may end it. */
static void check_head(struct connection *connection, const struct head *head)
{
    assert(!connection->status && !connection->sent_raw && head->status >= 200 && head->status != 500 &&
           head->status <= 504);
    connection->status = head->status;
    for (size_t i = 0; i < head->n; i++) {
        assert(head->headers[i].value && !strpbrk(head->headers[i].value, "\r\n"));
        if (!strcmp(head->headers[i].name, "Content-Type"))
            connection->json = !strcmp(head->headers[i].value, "application/json");
    }
}

bool WIRE(answer)(struct connection *connection, const struct head *head, char *body, size_t bytes)
{
    check_head(connection, head);
    assert(body || !bytes);
    if (connection->json) check_json(body, bytes);
    free(body);
    return true;
}

bool WIRE(stream)(struct connection *connection, const struct head *head, connection_reader *read,
                  void *context)
{
    check_head(connection, head);
    assert(head->status == 200);
    connection->read = read;
    connection->context = context;
    return true;
}

/* ---- the server ----------------------------------------------------------------------------- */

static struct config config;
static struct server server;
static struct service service;

static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    (void)context, (void)name, (void)model;
    if (event == REPOSITORY_REFUSED) fprintf(stderr, "%s\n", err->message);
}

static void start(void)
{
    static const char *const settings[][3] = {
        {"models", "folders",
         "tests/http/bundles:tests/http/predict:tests/http/answering:tests/unit/bundles"},
        {"limits", "max_tokens", "40"},
        {"limits", "horizon", "20"}, {"limits", "choices", "4"}, {"limits", "inputs", "16"},
        {"limits", "num_samples", "8"}, {"limits", "sample_values", "500"}, {"limits", "body_bytes", "4096"},
        {"log", "access", "false"}, {"http", "cors_origins", "https://a.example"},
        {"scheduler", "workers", "1"}};
    struct error err = {.message = ""};
    enum status status = STATUS_OK;
    if (server.config) return;
    log_start("error");
    config_defaults(&config);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && status == STATUS_OK; i++)
        status = config_set(&config, settings[i][0], settings[i][1], settings[i][2], &err);
    if (status == STATUS_OK) status = server_open(&server, &config, on_model, NULL, NULL, &err);
    if (status == STATUS_OK) status = server_load(&server, &err);
    if (status == STATUS_OK) status = keys_open("", &server.keys, &(size_t){0}, &err);
    if (status == STATUS_OK) status = service_open(&service, &server, &err);
    if (status != STATUS_OK) fprintf(stderr, "%s\n", err.message);
    assert(status == STATUS_OK);
    atomic_store(&server.phase, SERVER_READY);
}

/* ---- one request ---------------------------------------------------------------------------- */

static void wait_resumed(struct connection *connection)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_US / 1000000;
    pthread_mutex_lock(&connection->mu);
    while (connection->suspended) {
        int reason = pthread_cond_timedwait(&connection->resumed, &connection->mu, &until);
        assert(!reason);
    }
    pthread_mutex_unlock(&connection->mu);
}

static void read_stream(struct connection *connection)
{
    char text[STREAM_ROOM], last[2 * STREAM_ROOM] = "";
    ssize_t n;
    size_t kept = 0;
    while ((n = connection->read(connection->context, text, sizeof text)) >= 0) {
        assert((size_t)n <= sizeof text);
        if (!n) wait_resumed(connection);
        if (kept > STREAM_ROOM) {
            memmove(last, last + kept - STREAM_ROOM, STREAM_ROOM);
            kept = STREAM_ROOM;
        }
        if (n) memcpy(last + kept, text, (size_t)n);
        kept += (size_t)n;
    }
    assert(kept >= 2 && !memcmp(last + kept - 2, "\n\n", 2));
}

static void leave(struct connection *connection)
{
    if (connection->ends[1] >= 0) close(connection->ends[1]);
    connection->ends[1] = -1;
}

/* As server/http/http.c does: the body in two parts, the end of the body, and again after each resume. */
static void serve(struct connection *connection, const char *method, const char *path, const char *body,
                  size_t bytes)
{
    bool good = false;
    struct exchange *exchange = exchange_begin(&service, connection, method, path, &good);
    assert(exchange);
    if (good && !connection->status && bytes) good = exchange_body(exchange, body, bytes / 2);
    if (good && !connection->status && bytes)
        good = exchange_body(exchange, body + bytes / 2, bytes - bytes / 2);
    while (good && !connection->status) {
        good = exchange_continue(exchange);
        if (WIRE(header)(connection, "Leave")) leave(connection);
        wait_resumed(connection);
    }
    assert(connection->status || connection->sent_raw);
    if (good && connection->read) read_stream(connection);
    exchange_end(exchange, good);
}

/* The line at *at, which moves behind it; its end becomes zero. */
static char *take_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    *at = end ? end + 1 : line + strlen(line);
    if (end) *end = '\0';
    return line;
}

static void take_headers(struct connection *connection, char **at)
{
    while (**at) {
        char *line = take_line(at), *colon = strchr(line, ':');
        if (!*line) return;
        if (!colon || connection->n_headers == MAX_HEADERS) continue;
        *colon++ = '\0';
        connection->names[connection->n_headers] = line;
        connection->values[connection->n_headers++] = colon + strspn(colon, " ");
    }
}

/* Who left may still be aboard for a turn. */
static void check_idle(void)
{
    struct scheduler_stats stats;
    int64_t until_us = clock_us() + PATIENCE_US;
    do {
        scheduler_stats(server.scheduler, &stats);
        assert(clock_us() < until_us);
    } while (stats.queued || stats.aboard || stats.parked || job_total_bytes());
    assert(!atomic_load(&server.bodies.bytes) && !atomic_load(&server.replies.bytes) &&
           !atomic_load(&server.working));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connection connection = {.mu = PTHREAD_MUTEX_INITIALIZER, .resumed = PTHREAD_COND_INITIALIZER};
    char *text = malloc(size + 1), *at = text;
    if (!text) return 0;
    start();
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    char *method = take_line(&at), *path = strchr(method, ' ');
    take_headers(&connection, &at);
    if (path && *method && !socketpair(AF_UNIX, SOCK_STREAM, 0, connection.ends)) {
        *path++ = '\0';
        connection.slot = watcher_open(service.watcher, connection.ends[0], 0);
        assert(connection.slot != WATCHER_NONE);
        serve(&connection, method, path, at, size - (size_t)(at - text));
        watcher_close(service.watcher, connection.slot);
        leave(&connection);
        close(connection.ends[0]);
        check_idle();
    }
    free(text);
    return 0;
}
