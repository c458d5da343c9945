/* A whole server in this process, whose every allocation fails once: each request is repeated with its first,
 * its second, ... its last allocation failing. It must be answered with an error, in the form of all errors,
 * or served all the same, or find its connection closed; the next one must be served; and nothing may be
 * held. (Leaks are the sanitizer's and valgrind's to find.) */
#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "allocations.h"
#include "models/jobs/job.h"
#include "server/http/http.h"
#include "server/api/document.h"
#include "server/request/exchange.h"
#include "server/request/keys.h"
#include "server/base/log.h"
#include "server/serve.h"
#include "server/sessions/store.h"
#include "server/stream/streams.h"
#include "tests/support/tmp.h"

enum { ANSWER_BYTES = 1 << 20, PATIENCE_S = 60, TRIES_MAX = 3000 };

#define KEY "ck_all"
#define KEY_LINE                                                                                             \
    "all sha256:255e55b3b533765ecdb96d61469c8d64faaaba4e9768f01e06653726d57bf47b "                           \
    "scopes=infer,metrics,admin\n"

static const struct {
    const char *what, *method, *path, *body;
} requests[] = {
    {"completion", "POST", "/v1/completions",
     "{\"model\":\"tiny-characters\",\"prompt\":[\"abc\",\"d\"],\"n\":2,\"max_tokens\":9,\"logprobs\":2,"
     "\"echo\":true,\"stop\":[\"zzz\"],\"logit_bias\":{\"2\":1},\"seed\":1}"},
    {"stream", "POST", "/v1/completions",
     "{\"model\":\"tiny-words\",\"prompt\":\"the "
     "cat\",\"max_tokens\":30,\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"score", "POST", "/v1/score",
     "{\"model\":\"tiny-characters\",\"input\":[\"ab\",\"cd\"],\"choices\":[\"e\",\"f\"]}"},
    {"forecast", "POST", "/v1/forecast",
     "{\"model\":\"tiny-series\",\"series\":[{\"id\":\"a\",\"target\":[1,2,null,3],\"start\":\"2026-01-31\","
     "\"freq\":\"M\"},{\"target\":[4,5]}],\"horizon\":3,\"quantiles\":[0.1,0.9],\"num_samples\":4}"},
    {"classify texts", "POST", "/v1/classify",
     "{\"model\":\"tiny-labels\",\"input\":[\"good film\",\"bad\"]}"},
    {"embeddings", "POST", "/v1/embeddings",
     "{\"model\":\"tiny-characters\",\"input\":[\"abc\",\"d\"],\"encoding_format\":\"base64\",\"pooling\":"
     "\"mean\"}"},
    {"tokenize", "POST", "/v1/tokenize", "{\"model\":\"tiny-words\",\"input\":[\"the dog\",\"ran\"]}"},
    {"detokenize", "POST", "/v1/detokenize", "{\"model\":\"tiny-characters\",\"tokens\":[[1,2],[3]]}"},
    {"models", "GET", "/v1/models", NULL},
    {"model", "GET", "/v1/models/tiny-labels", NULL},
    {"info", "GET", "/v1/info", NULL},
    {"metrics", "GET", "/metrics", NULL},
    {"health", "GET", "/health", NULL},
    {"description", "GET", "/openapi.json", NULL},
    {"index", "POST", "/v2/repository/index", "{}"},
    {"kept", "POST", "/v1/completions",
     "{\"model\":\"tiny-characters\",\"prompt\":\"abc\",\"max_tokens\":2,\"store\":true}"},
    {"reload", "POST", "/v1/models/tiny-series/reload", "{}"},
    {"load", "POST", "/v2/repository/models/tiny-labels/load", ""},
};
enum { N_REQUESTS = sizeof requests / sizeof *requests };

static struct tmp tmp;
static struct config config;
static struct server server;
static struct service service;
static struct http *http;
static char answer[ANSWER_BYTES];

/* ---- the server ----------------------------------------------------------------------------- */

static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    (void)context, (void)event, (void)name, (void)model, (void)err;
}

static void on_unreadable(void *context, const struct error *err)
{
    (void)context, (void)err;
}

static void set(const char *section, const char *key, const char *value)
{
    struct error err;
    ck_assert_msg(config_set(&config, section, key, value, &err) == STATUS_OK, "%s", err.message);
}

static int64_t unix_s(void)
{
    return (int64_t)time(NULL);
}

static void open_store(void)
{
    const struct store_options options = {.entries = 4, .bytes = 1 << 16, .owner_percent = 100, .waiting = 1,
                                          .reply_bytes = 1024, .now_s = unix_s, .registry = server.registry};
    ck_assert_int_eq(store_new(&options, &server.store), STATUS_OK);
}

static void start(void)
{
    char path[TMP_PATH_BYTES];
    struct error err = {.message = ""};
    size_t n_keys;
    signal(SIGPIPE, SIG_IGN);
    log_start("error");
    tmp_make(&tmp);
    tmp_write_text(&tmp, "keys", KEY_LINE);
    config_defaults(&config);
    set("models", "folders", "tests/http/bundles");
    set("models", "load_percent", "100");
    set("server", "port", "0");
    set("auth", "keys_file", tmp_path(&tmp, "keys", path));
    set("http", "cors_origins", "*");
    /* its lines are written by an exchange that has ended, for which nobody here waits */
    set("log", "access", "false");
    ck_assert_msg(server_open(&server, &config, on_model, NULL, NULL, &err) == STATUS_OK, "%s", err.message);
    ck_assert_msg(server_load(&server, &err) == STATUS_OK, "%s", err.message);
    open_store();
    const struct loader_options options = {
        .repository = server.repository, .queue = 4, .percent = 100, .failed = on_unreadable};
    ck_assert_int_eq(keys_open(config.auth_keys_file, &server.keys, &n_keys, &err), STATUS_OK);
    ck_assert_int_eq(loader_start(&options, &server.loader, &err), STATUS_OK);
    ck_assert_msg(service_open(&service, &server, &err) == STATUS_OK, "%s", err.message);
    ck_assert_msg(streams_new(&server, &server.streams, &err) == STATUS_OK, "%s", err.message);
    const struct http_options wire = {
        .config = server.config, .calls = &exchange_calls, .service = &service, .watcher = service.watcher};
    ck_assert_msg(http_start(&wire, &http, &err) == STATUS_OK, "%s", err.message);
    atomic_store(&server.phase, SERVER_READY);
    allocations_spare_me();
}

static void stop(void)
{
    scheduler_drain(server.scheduler);
    ck_assert(scheduler_wait_idle(server.scheduler, PATIENCE_S * 1000));
    loader_stop(server.loader);
    streams_stop(server.streams);
    http_stop(http);
    service_close(&service);
    server_close(&server);
    tmp_remove(&tmp);
}

/* ---- the client ----------------------------------------------------------------------------- */

static int dial(void)
{
    const char *port = strrchr(http_address(http), ':') + 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Send request i and read all until the end: the status, or 0 where the connection was closed. */
static int ask(size_t i)
{
    char text[2048];
    const char *body = requests[i].body ? requests[i].body : "";
    int fd = dial();
    int length = snprintf(
        text, sizeof text,
        "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " KEY
        "\r\nContent-Length: %zu\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n%s",
        requests[i].method, requests[i].path, strlen(body), body);
    ck_assert_int_lt(length, (int)sizeof text);
    size_t n = 0;
    ssize_t got = send(fd, text, (size_t)length,
                       MSG_NOSIGNAL); /* one that is closed at once may take nothing */
    while ((got = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0)) > 0) n += (size_t)got;
    ck_assert_msg(got == 0 || n == 0, "no end of the answer to %s", requests[i].what);
    close(fd);
    answer[n] = '\0';
    return n ? atoi(answer + strlen("HTTP/1.1 ")) : 0;
}

/* Read into the answer from byte n on, until the text has come or, without one, to the end; returns its
 * length. */
static size_t read_until(int fd, size_t n, const char *text)
{
    ssize_t got = 1;
    answer[n] = '\0';
    while (!(text && strstr(answer, text)) && (got = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0)) > 0) {
        n += (size_t)got;
        answer[n] = '\0';
    }
    return n;
}

/* Send a frame, whose mask of zeros changes nothing. */
static void send_frame(int fd, int first, const char *payload)
{
    char frame[6 + 125] = {(char)first, (char)(0x80 | strlen(payload))};
    memcpy(frame + 6, payload, strlen(payload));
    send(fd, frame, 6 + strlen(payload), MSG_NOSIGNAL);
}

/* Open a WebSocket, say all that one can say, and close it: the status of the handshake, or 0. What was said
 * after it begins at *frames, and *bytes there are. */
static int converse(const char **frames, size_t *bytes)
{
    static const char handshake[] =
        "GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " KEY "\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int fd = dial();
    send(fd, handshake, sizeof handshake - 1, MSG_NOSIGNAL);
    size_t n = read_until(fd, 0, "\r\n\r\n"), head = n;
    int status = n ? atoi(answer + strlen("HTTP/1.1 ")) : 0;
    if (status == 101) {
        head = (size_t)(strstr(answer, "\r\n\r\n") + 4 - answer);
        send_frame(fd, 0x81, "{\"model\":\"tiny-gestures\",\"options\":{\"top_k\":1}}");
        send_frame(fd, 0x02, "abcdefgh");
        send_frame(fd, 0x89, "ping");
        send_frame(fd, 0x80, "ijkl");
        send_frame(fd, 0x81, "{\"end\":true}");
        send_frame(fd, 0x81, "{\"model\":\"tiny-characters\",\"every\":2}");
        send_frame(fd, 0x81, "{\"prompt\":\"a\",\"max_tokens\":3,\"stream\":true}");
        send_frame(fd, 0x81, "{\"prompt\":\"a\",\"max_tokens\":3}");
        send_frame(fd, 0x81, "{\"end\":true}");
        send_frame(fd, 0x88, "\x03\xe8");
    }
    n = read_until(fd, n, status == 101 ? NULL : "}}");
    close(fd);
    *frames = answer + head;
    *bytes = n - head;
    return status;
}

/* ---- what must hold ------------------------------------------------------------------------- */

/* An error in its form: JSON whose `error` is an object with a code, or, on the routes of /v2, a sentence. */
static void check_error(size_t i, uint64_t nth, int status)
{
    const struct json_limits limits = {.depth = 4, .values = 100};
    struct problem problem;
    const char *body = strstr(answer, "\r\n\r\n");
    ck_assert_msg(status == 503, "%s, allocation %d: %s", requests[i].what, (int)nth, answer);
    ck_assert_ptr_nonnull(strstr(answer, "Retry-After: "));
    struct json *document = body ? document_parse(body + 4, strlen(body + 4), &limits, &problem) : NULL;
    ck_assert_msg(document != NULL, "%s, allocation %d: %s", requests[i].what, (int)nth, answer);
    const struct json *error = json_get(document, "error");
    if (json_kind(error) == JSON_OBJECT) ck_assert_str_eq(json_string(json_get(error, "code")), "no_memory");
    else ck_assert(json_kind(error) == JSON_STRING && !strncmp(requests[i].path, "/v2/", 4));
    json_free(document);
}

/* A stream that has begun tells its error as an event, and does not end as if all were well. */
static bool tells_error_late(void)
{
    return strstr(answer, "\ndata: {\"error\":{") && strstr(answer, "\"code\":\"no_memory\"") &&
           !strstr(answer, "[DONE]");
}

static bool is_cut_off(void)
{
    return strstr(answer, "text/event-stream") && !strstr(answer, "[DONE]");
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static bool is_idle(void)
{
    struct scheduler_stats stats;
    scheduler_stats(server.scheduler, &stats);
    return !stats.queued && !stats.aboard && !stats.parked && !stats.queued_steps && !job_total_bytes() &&
           !atomic_load(&server.bodies.bytes) && !atomic_load(&server.replies.bytes) &&
           !atomic_load(&server.working);
}

static void check_idle(const char *what)
{
    for (int ms = 0; !is_idle(); ms += 10) {
        ck_assert_msg(ms < PATIENCE_S * 1000, "after %s something is held", what);
        pause_ms(10);
    }
}

static int descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    while (readdir(folder)) n++;
    closedir(folder);
    return n;
}

/* One request while memory fails: whether allocation `nth` was still made. Errors told and connections closed
 * are counted. */
static bool starve(size_t i, uint64_t nth, bool for_good, int *n_errors, int *n_closed)
{
    allocations_fail_at(nth, for_good);
    int status = ask(i);
    check_idle(requests[i].what);
    if (!allocations_have_failed()) {
        ck_assert_msg(status == 200, "%s: %s", requests[i].what, answer);
        return false;
    }
    if (for_good) ck_assert_msg(!status || status == 503 || is_cut_off(), "%s, allocations from %d on: %s",
                                requests[i].what, (int)nth, answer);
    else if (status == 200) ck_assert_msg(tells_error_late(), "%s, allocation %d: nothing is missed: %s",
                                          requests[i].what, (int)nth, answer);
    else if (status) check_error(i, nth, status);
    *n_errors += status != 0;
    *n_closed += status == 0;
    status = ask(i);
    ck_assert_msg(status == 200, "%s after allocation %d failed: %s", requests[i].what, (int)nth, answer);
    return true;
}

static void starve_everywhere(size_t i, bool for_good)
{
    int n_errors = 0, n_closed = 0, before;
    uint64_t nth = 1;
    start();
    before = descriptors();
    while (starve(i, nth, for_good, &n_errors, &n_closed)) ck_assert_int_lt((int)++nth, TRIES_MAX);
    ck_assert_int_ge((int)nth, 4); /* the connection, the exchange, the answer */
    for (int ms = 0; descriptors() > before; ms += 10) {
        ck_assert_msg(ms < PATIENCE_S * 1000, "%s leaves descriptors open", requests[i].what);
        pause_ms(10);
    }
    ck_assert_int_gt(n_errors, 0);
    ck_assert_int_gt(n_closed, 0); /* without the connection's own memory */
    stop();
}

/* Whether a conversation went as it should: both streams were ended, and the socket was closed. */
static bool is_whole(int status, const char *frames, size_t bytes)
{
    size_t ends = 0;
    for (size_t i = 0; i + 10 < bytes; i++) ends += !memcmp(frames + i, "stream.end", 10);
    return status == 101 && ends == 2 && bytes > 4 && !memcmp(frames + bytes - 4, "\x88\x02\x03\xe8", 4);
}

static void starve_sockets(bool for_good)
{
    const char *frames;
    size_t bytes;
    int n_refused = 0, n_hurt = 0, status;
    bool fails = true;
    start();
    for (uint64_t nth = 1; fails; nth++) {
        ck_assert_int_lt((int)nth, TRIES_MAX);
        allocations_fail_at(nth, for_good);
        status = converse(&frames, &bytes);
        for (int ms = 0; atomic_load(&server.sockets); ms += 10) {
            ck_assert_msg(ms < PATIENCE_S * 1000, "a socket stays open after allocation %d", (int)nth);
            pause_ms(10);
        }
        check_idle("a conversation");
        fails = allocations_have_failed();
        ck_assert_msg(!status || status == 101 || status == 503, "allocation %d: %s", (int)nth, answer);
        n_refused += status == 503;
        n_hurt += status == 101 && !is_whole(status, frames, bytes);
        status = converse(&frames, &bytes);
        ck_assert_msg(is_whole(status, frames, bytes), "after allocation %d failed: %d %.*s", (int)nth,
                      status,
                      (int)bytes, frames);
    }
    ck_assert_int_gt(n_refused, 0);
    ck_assert_int_gt(n_hurt, 0);
    stop();
}

START_TEST(one_failed_allocation_costs_one_socket)
{
    starve_sockets(false);
}
END_TEST

START_TEST(no_memory_at_all_costs_one_socket)
{
    starve_sockets(true);
}
END_TEST

START_TEST(one_failed_allocation_costs_one_request)
{
    starve_everywhere((size_t)_i, false);
}
END_TEST

START_TEST(no_memory_at_all_costs_one_request)
{
    starve_everywhere((size_t)_i, true);
}
END_TEST

Suite *scarcity_suite(void);

Suite *scarcity_suite(void)
{
    Suite *suite = suite_create("scarcity");
    TCase *tests = tcase_create("requests");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, one_failed_allocation_costs_one_request, 0, N_REQUESTS);
    tcase_add_loop_test(tests, no_memory_at_all_costs_one_request, 0, N_REQUESTS);
    tcase_add_test(tests, one_failed_allocation_costs_one_socket);
    tcase_add_test(tests, no_memory_at_all_costs_one_socket);
    suite_add_tcase(suite, tests);
    return suite;
}
