/* Where and how the server listens: TLS and its certificates, a Unix socket, web pages of other origins. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "tls.h"

static struct server server;
static struct client client;
static struct reply reply;

#define FORECAST "{\"series\":[1,2,3],\"horizon\":2}"

/* A name that other processes of the tests do not use. */
static const char *own(const char *what)
{
    static char name[64];
    snprintf(name, sizeof name, "%s-%d", what, (int)getpid());
    return name;
}

/* TLS --------------------------------------------------------------------------------------- */

START_TEST(tls_serves_all_that_http_does)
{
    certificate_make(own("tls"), "first");
    server_start(&server, certificate_settings(own("tls"), NULL));
    ck_assert_int_eq(strncmp(server.url, "https://127.0.0.1:", 18), 0);
    ck_assert_str_eq(tls_name(&server), "first");
    expect_ok(ask(&server, "POST", "/v1/forecast", FORECAST));
    client_open(&client, &server);
    for (int i = 0; i < 20; i++) {
        client_post(&client, "/v1/completions",
                    "{'model':'tiny-characters','prompt':'ab','max_tokens':30,'stream':true}");
        ck_assert(client_read(&client, &reply));
        ck_assert(reply.complete);
        ck_assert_ptr_nonnull(strstr(reply.body, "data: [DONE]"));
    }
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(sighup_replaces_the_certificate_and_drops_nobody)
{
    certificate_make(own("reload"), "first");
    server_start(&server, certificate_settings(own("reload"), NULL));
    ck_assert_str_eq(tls_name(&server), "first");
    client_open(&client, &server);
    client_post(&client, "/v1/forecast", FORECAST);
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);

    certificate_make(own("reload"), "second");
    server_signal(&server, SIGHUP);
    AWAIT(strcmp(tls_name(&server), "second") == 0);
    client_post(&client, "/v1/forecast", FORECAST); /* on the old connection */
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);
    client_close(&client);

    /* A broken file, and a key of another certificate, change nothing. */
    char name[80];
    snprintf(name, sizeof name, "%s.pem", own("reload"));
    file_write(scratch_path(name), "nonsense", 8);
    server_signal(&server, SIGHUP);
    await_log(&server, "the certificate stays as it was: tls.certificate", 1);
    ck_assert_str_eq(tls_name(&server), "second");
    certificate_make(own("other"), "other");
    size_t bytes;
    char other[80];
    snprintf(other, sizeof other, "%s.pem", own("other"));
    char *text = file_read(scratch_path(other), &bytes);
    file_write(scratch_path(name), text, bytes);
    free(text);
    server_signal(&server, SIGHUP);
    await_log(&server, "is not that of the certificate", 1);
    ck_assert_str_eq(tls_name(&server), "second");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A stream whose reader leaves is noticed under TLS too. */
START_TEST(a_secure_client_who_leaves_is_noticed)
{
    certificate_make(own("leave"), "leave");
    const char *const more[] = {slow_setting(), NULL};
    server_start(&server, certificate_settings(own("leave"), more));
    for (int stream = 0; stream < 2; stream++) {
        client_open(&client, &server);
        client_post(&client, "/v1/completions",
                    stream ? "{'model':'slow','prompt':'a','max_tokens':16000,'stream':true}"
                           : "{'model':'slow','prompt':'a','max_tokens':16000}");
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
        client_close(&client);
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

static int connect_plain(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)server.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = patience_ms(15000) / 1000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

/* Until the server closes, whatever it says; false where it does not. */
static bool is_ended(int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

START_TEST(a_handshake_that_never_ends_is_ended)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    const char *const more[] = {"CAROUSEL_TIMEOUTS_HEADER_S=2", "CAROUSEL_LIMITS_CONNECTIONS=16", NULL};
    certificate_make(own("slow"), "slow");
    server_start(&server, certificate_settings(own("slow"), more));
    int silent = connect_plain(), half = connect_plain(), drip = connect_plain();
    ck_assert_int_eq(send(half, hello, sizeof hello - 1, MSG_NOSIGNAL), (ssize_t)sizeof hello - 1);
    double began = now_ms();
    /* one byte of a long record every 100 ms */
    send(drip, hello, sizeof hello - 1, MSG_NOSIGNAL);
    bool open = true;
    while (open && now_ms() - began < patience_ms(15000)) {
        sleep_ms(100);
        open = send(drip, "x", 1, MSG_NOSIGNAL) == 1 && recv(drip, (char[1]){0}, 1, MSG_DONTWAIT) != 0;
    }
    ck_assert_msg(!open, "a handshake that drips stays open");
    ck_assert(is_ended(silent));
    ck_assert(is_ended(half));
    close(silent);
    close(half);
    close(drip);
    expect_ok(ask(&server, "GET", "/v1/models", NULL));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(plain_http_gets_nothing_from_a_secure_server)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: t\r\n\r\n";
    char bytes[64] = "";
    certificate_make(own("plain"), "plain");
    server_start(&server, certificate_settings(own("plain"), NULL));
    int fd = connect_plain();
    send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    ssize_t n = recv(fd, bytes, sizeof bytes - 1, 0);
    ck_assert_msg(n <= 0 || strncmp(bytes, "HTTP", 4) != 0, "%s", bytes);
    close(fd);
    expect_ok(ask(&server, "GET", "/v1/models", NULL));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A public address -------------------------------------------------------------------------- */

START_TEST(on_a_public_address_one_client_has_a_quarter_of_the_connections)
{
    const char *const settings[] = {"CAROUSEL_SERVER_HOST=0.0.0.0", "CAROUSEL_LIMITS_CONNECTIONS=16",
                                    "CAROUSEL_SERVER_HTTP_THREADS=1", NULL};
    static struct client clients[5];
    server_start(&server, settings);
    await_log(&server, "any client that reaches http://0.0.0.0:", 1);
    for (int i = 0; i < 4; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/forecast", FORECAST);
        ck_assert(client_read(&clients[i], &reply));
        expect_ok(&reply);
    }
    client_open(&clients[4], &server);
    client_post(&clients[4], "/v1/forecast", FORECAST);
    ck_assert(!client_read(&clients[4], &reply));
    for (int i = 0; i < 5; i++)
        client_close(&clients[i]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A Unix socket ----------------------------------------------------------------------------- */

START_TEST(a_unix_socket_serves_and_is_removed)
{
    static char setting[600];
    struct stat made;
    const char *path = scratch_path(own("socket"));
    snprintf(setting, sizeof setting, "CAROUSEL_SERVER_UNIX_SOCKET=%s", path);
    const char *const settings[] = {setting, "CAROUSEL_SERVER_UNIX_MODE=600", NULL};
    for (int i = 0; i < 2; i++) {
        server_start(&server, settings);
        ck_assert_int_eq(strncmp(server.url, "unix:", 5), 0);
        ck_assert_str_eq(server.url + 5, path);
        ck_assert_int_eq(stat(path, &made), 0);
        ck_assert_uint_eq(made.st_mode & 0777, 0600);
        for (int k = 0; k < 40; k++)
            expect_ok(ask(&server, "POST", "/v1/forecast", FORECAST));
        if (i == 0) { /* killed: the second finds its socket left behind */
            server.may_fail = true;
            server_signal(&server, SIGKILL);
            ck_assert_int_eq(server_wait(&server), 128 + SIGKILL);
            ck_assert_int_eq(access(path, F_OK), 0);
        }
    }
    ck_assert_int_eq(server_stop(&server), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Web pages --------------------------------------------------------------------------------- */

static const char *const cors_settings[] = {
    "CAROUSEL_HTTP_CORS_ORIGINS=https://a.example, http://b.example:3000", NULL};
#define ORIGIN(origin) "Origin: " origin "\r\n"
#define ASKS                                                                                                 \
    "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-other\r\n"

/* The page of this origin may read the answer; "": no page may. Caches are told that it depends on the
 * origin. */
static void expect_readable(const struct reply *found, const char *origin)
{
    ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Origin"), origin);
    ck_assert_str_eq(reply_header(found, "Vary"), "Origin");
}

START_TEST(pages_of_listed_origins_may_read)
{
    server_start(&server, cors_settings);
    struct reply *found = ask_as(&server, ORIGIN("http://b.example:3000"), "POST", "/v1/forecast", FORECAST);
    expect_ok(found);
    expect_readable(found, "http://b.example:3000");
    ck_assert_ptr_nonnull(strstr(reply_header(found, "Access-Control-Expose-Headers"), "X-Request-Id"));
    ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Credentials"), "");
    /* errors as well, or the page would not learn what was wrong */
    found = ask_as(&server, ORIGIN("https://a.example"), "POST", "/v1/forecast", "{}");
    ck_assert_int_eq(found->status, 400);
    expect_readable(found, "https://a.example");
    static const char *const others[] = {"", ORIGIN("https://a.example:443"), ORIGIN("http://a.example"),
                                         ORIGIN("null"), ORIGIN("https://a.example, http://b.example:3000"),
                                         ORIGIN("*")};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        found = ask_as(&server, others[i], "GET", "/v1/models", NULL);
        expect_ok(found);
        expect_readable(found, "");
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* These are written past libmicrohttpd, while the body still comes. */
START_TEST(pages_may_read_why_a_body_was_cut_off)
{
    const char *const settings[] = {cors_settings[0], "CAROUSEL_LIMITS_BODY_BYTES=1024",
                                    "CAROUSEL_TIMEOUTS_BODY_S=1", NULL};
    static char block[1100];
    memset(block, ' ', sizeof block);
    server_start(&server, settings);
    for (int late = 0; late < 2; late++) {
        client_open(&client, &server);
        client_say(&client, "POST /v1/forecast HTTP/1.1\r\nHost: t\r\n" ORIGIN(
                                "https://a.example") "Transfer-Encoding: chunked\r\n\r\n");
        if (late) client_say(&client, "1\r\n{\r\n");
        else client_say(&client, "44c\r\n%.1100s\r\n", block);
        ck_assert(client_read(&client, &reply));
        if (late) expect_error(&reply, 408, "request_timeout", "");
        else expect_error(&reply, 413, "payload_too_large", "");
        ck_assert_str_eq(reply_header(&reply, "Access-Control-Allow-Origin"), "https://a.example");
        ck_assert_str_eq(reply_header(&reply, "Vary"), "Origin");
        ck_assert_str_eq(reply_header(&reply, "Connection"), "close");
        ck_assert_uint_gt(strlen(reply_header(&reply, "X-Request-Id")), 0);
        ck_assert_uint_gt(strlen(reply_header(&reply, "Server-Timing")), 0);
        client_close(&client);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_preflight_needs_no_key_and_asks_no_model)
{
    const char *const settings[] = {cors_settings[0], keys_setting(), NULL};
    server_start(&server, settings);
    struct reply *found = ask_as(&server, ORIGIN("https://a.example") ASKS, "OPTIONS", "/v1/completions",
                                 NULL);
    ck_assert_int_eq(found->status, 204);
    expect_readable(found, "https://a.example");
    ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Methods"), "POST");
    ck_assert_ptr_nonnull(strstr(reply_header(found, "Access-Control-Allow-Headers"), "Authorization"));
    ck_assert_int_gt(atoi(reply_header(found, "Access-Control-Max-Age")), 0);
    expect_error(ask_as(&server, ORIGIN("https://c.example") ASKS, "OPTIONS", "/v1/completions", NULL), 403,
                 "permission_denied", "");
    ck_assert_int_eq(ask_as(&server, ORIGIN("https://a.example") ASKS, "OPTIONS", "/nowhere", NULL)->status,
                     404);
    ck_assert_int_eq(ask_as(&server, ORIGIN("https://a.example"), "OPTIONS", "/v1/models", NULL)->status,
                     405);
    found = ask_as(&server, ORIGIN("https://a.example"), "POST", "/v1/forecast", FORECAST);
    expect_error(found, 401, "invalid_api_key", "");
    expect_readable(found, "https://a.example");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A browser sends a page's POST without asking first if it has no content type, or one of a form. */
START_TEST(pages_of_other_origins_ask_nothing_unasked)
{
#define SITE(site) "Sec-Fetch-Site: " site "\r\n"
#define TYPE(type) "Content-Type: " type "\r\n"
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"", 201},
        {ORIGIN("https://a.example"), 201},
        {ORIGIN("https://c.example") TYPE("application/json"), 201}, /* after a preflight, or by no browser */
        {ORIGIN("https://c.example"), 403},
        {ORIGIN("https://c.example") TYPE(""), 415},
        {ORIGIN("https://c.example") TYPE("multipart/form-data; boundary=b"), 415},
        {ORIGIN("null"), 403},
        {ORIGIN("https://c.example") SITE("cross-site"), 403},
        {ORIGIN("https://c.example") SITE("same-site"), 403},
        {ORIGIN("https://c.example") SITE("same-origin"), 201}, /* a proxy changed Host */
        {ORIGIN("http://test"), 201},
        {ORIGIN("http://test.example"), 403},
    };
    server_start(&server, cors_settings);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        client_open(&client, &server);
        client_say(&client, "POST /v1/sessions HTTP/1.1\r\nHost: test\r\n%sContent-Length: 22\r\n\r\n"
                            "{\"model\":\"tiny-bytes\"}", cases[i].headers);
        ck_assert(client_read(&client, &reply));
        ck_assert_msg(reply.status == cases[i].status, "%s: %d", cases[i].headers, reply.status);
        if (reply.status == 403) expect_error(&reply, 403, "permission_denied", "");
        client_close(&client);
    }
    client_open(&client, &server);
    client_say(&client, "POST /v1/caption HTTP/1.1\r\nHost: test\r\n" ORIGIN("https://c.example")
                        TYPE("Multipart/Form-Data;boundary=b") "Content-Length: 7\r\n\r\n--b--\r\n");
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 403, "permission_denied", "");
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(without_a_list_there_is_no_cors)
{
    server_start(&server, NULL);
    struct reply *found = ask_as(&server, ORIGIN("https://a.example"), "GET", "/v1/models", NULL);
    expect_ok(found);
    ck_assert_str_eq(reply_header(found, "Access-Control-Allow-Origin"), "");
    ck_assert_str_eq(reply_header(found, "Vary"), "");
    ck_assert_int_eq(ask_as(&server, ORIGIN("https://a.example") ASKS, "OPTIONS", "/v1/completions",
                            NULL)->status, 405);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *listen_suite(void);

Suite *listen_suite(void)
{
    Suite *suite = suite_create("listen");
    TCase *cases = tcase_create("listen");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, tls_serves_all_that_http_does);
    tcase_add_test(cases, sighup_replaces_the_certificate_and_drops_nobody);
    tcase_add_test(cases, a_secure_client_who_leaves_is_noticed);
    tcase_add_test(cases, a_handshake_that_never_ends_is_ended);
    tcase_add_test(cases, plain_http_gets_nothing_from_a_secure_server);
    tcase_add_test(cases, on_a_public_address_one_client_has_a_quarter_of_the_connections);
    tcase_add_test(cases, a_unix_socket_serves_and_is_removed);
    tcase_add_test(cases, pages_of_listed_origins_may_read);
    tcase_add_test(cases, pages_of_other_origins_ask_nothing_unasked);
    tcase_add_test(cases, pages_may_read_why_a_body_was_cut_off);
    tcase_add_test(cases, a_preflight_needs_no_key_and_asks_no_model);
    tcase_add_test(cases, without_a_list_there_is_no_cors);
    suite_add_tcase(suite, cases);
    return suite;
}
