/* HTTP byte by byte: what slow, hasty, vague and hostile clients put on the wire. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "tls.h"

static struct server server;
static struct client client;
static struct reply reply;

/* Short limits, so that their ends can be waited for. */
static const char *const settings[] = {"CAROUSEL_LIMITS_BODY_BYTES=4096", "CAROUSEL_LIMITS_HEADER_BYTES=8192",
                                       "CAROUSEL_TIMEOUTS_HEADER_S=2", "CAROUSEL_TIMEOUTS_BODY_S=1",
                                       "CAROUSEL_TIMEOUTS_IDLE_S=2", NULL};

static void start(void)
{
    server_start(&server, settings);
    client_open(&client, &server);
}

/* The same server by TLS: what is refused, and when, must not differ. */
static void start_secure(void)
{
    certificate_make("wire", "wire");
    server_start(&server, certificate_settings("wire", settings));
    client_open(&client, &server);
}

static void stop(void)
{
    client_close(&client);
    expect_ok(ask(&server, "GET", "/v1/models", NULL)); /* it is still well */
    ck_assert_int_eq(server_stop(&server), 0);
}

#define BODY "{\"series\":[2,4,8],\"horizon\":1}"
#define HEAD "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"

/* One forecast, from whatever precedes. */
static void expect_forecast(void)
{
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);
    ck_assert_int_eq(length_at(&reply, "forecasts.0.mean"), 1);
}

START_TEST(keep_alive_serves_many_requests_on_one_connection)
{
    for (int i = 0; i < 50; i++) {
        client_post(&client, "/v1/forecast", BODY);
        expect_forecast();
    }
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    enum { N = 20 };
    for (int i = 0; i < N; i++)
        client_say(&client, HEAD "X-Request-Id: turn-%d\r\nContent-Length: %zu\r\n\r\n" BODY, i,
                   sizeof BODY - 1);
    for (int i = 0; i < N; i++) {
        char id[32];
        snprintf(id, sizeof id, "turn-%d", i);
        expect_forecast();
        ck_assert_str_eq(reply_header(&reply, "X-Request-Id"), id);
    }
}
END_TEST

START_TEST(connection_close_is_obeyed)
{
    client_say(&client, HEAD "Connection: close\r\nContent-Length: %zu\r\n\r\n" BODY, sizeof BODY - 1);
    expect_forecast();
    ck_assert_str_eq(reply_header(&reply, "Connection"), "close");
    ck_assert(client_is_closed(&client, patience_ms(10000)));
}
END_TEST

START_TEST(http_1_0_is_answered_and_closed)
{
    client_say(&client, "GET /health HTTP/1.0\r\n\r\n");
    ck_assert(client_fill(&client, 15));
    ck_assert_int_eq(strncmp(client.buffer, "HTTP/1.", 7), 0);
    ck_assert_int_eq(strncmp(client.buffer + 8, " 200", 4), 0);
    ck_assert(client_is_closed(&client, patience_ms(10000)));
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = HEAD "Content-Length: 30\r\n\r\n" BODY;
    ck_assert_uint_eq(sizeof BODY - 1, 30);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        client_send(&client, request + i, 1);
        if (i % 10 == 0)
            sleep_ms(1);
    }
    expect_forecast();
}
END_TEST

START_TEST(a_chunked_body_is_put_together)
{
    client_say(&client, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (const char *at = BODY; *at != '\0'; at++)
        client_say(&client, "1;note=x\r\n%c\r\n", *at);
    client_say(&client, "0\r\nX-Trailer: y\r\n\r\n");
    expect_forecast();
    client_say(&client, HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n" BODY "\r\n0\r\n\r\n",
               sizeof BODY - 1);
    expect_forecast();
}
END_TEST

START_TEST(an_expected_100_comes_before_the_body)
{
    client_say(&client, HEAD "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n", sizeof BODY - 1);
    ck_assert(client_fill(&client, 12));
    ck_assert_int_eq(strncmp(client.buffer, "HTTP/1.1 100", 12), 0);
    client_say(&client, "%s", BODY);
    expect_forecast();
}
END_TEST

START_TEST(a_request_behind_an_expect_without_a_body_is_answered)
{
    for (int i = 0; i < 2; i++)
        client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\r\n"
                   "GET /nothing HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        ck_assert(client_read(&client, &reply));
        ck_assert_int_eq(reply.status, i % 2 ? 404 : 200);
    }
}
END_TEST

/* 413 --------------------------------------------------------------------------------------- */

START_TEST(a_huge_content_length_is_refused_before_the_body)
{
    client_say(&client, HEAD "Content-Length: 1000000000000\r\n\r\n");
    ck_assert(client_read(&client, &reply)); /* without one byte of the body */
    expect_error(&reply, 413, "payload_too_large", "");
}
END_TEST

/* A long body that is not wanted is not read: the answer comes without one byte of it, or as soon as it is
 * seen to be long. A short one is read away, and the connection goes on. */
START_TEST(a_body_that_is_not_wanted_is_not_read)
{
    static const struct {
        const char *head;
        int status;
        const char *code;
        int short_status;
    } unwanted[] = {{"POST /v1/nowhere HTTP/1.1\r\nHost: t\r\n", 404, "not_found", 404},
                    {"DELETE /v1/forecast HTTP/1.1\r\nHost: t\r\n", 405, "method_not_allowed", 405},
                    {HEAD "Content-Encoding: br\r\n", 415, "unsupported_media_type", 415},
                    {"GET /health HTTP/1.1\r\nHost: t\r\n", 413, "payload_too_large", 200},
                    {"OPTIONS /v1/forecast HTTP/1.1\r\nHost: t\r\nOrigin: https://a.example\r\n"
                     "Access-Control-Request-Method: POST\r\n",
                     413, "payload_too_large", 204}};
    const char *const pages[] = {"CAROUSEL_HTTP_CORS_ORIGINS=https://a.example", NULL};
    static const char blanks[70000] = {0};
    server_start(&server, pages);
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            client_open(&client, &server);
            client_say(&client, "%s%s\r\n\r\n", unwanted[i].head,
                       chunked ? "Transfer-Encoding: chunked" : "Content-Length: 4000000");
            if (chunked) client_say(&client, "%zx\r\n", sizeof blanks);
            if (chunked) client_send(&client, blanks, sizeof blanks);
            ck_assert(client_read(&client, &reply));
            expect_error(&reply, unwanted[i].status, unwanted[i].code, "");
            ck_assert(client_is_closed(&client, patience_ms(10000)));
            client_close(&client);
        }
        client_open(&client, &server);
        client_say(&client, "%sContent-Length: 3\r\n\r\n{ }", unwanted[i].head);
        ck_assert(unwanted[i].short_status == 204 ? client_read_head(&client, &reply)
                                                  : client_read(&client, &reply));
        ck_assert_int_eq(reply.status, unwanted[i].short_status);
        client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
        ck_assert(client_read(&client, &reply));
        expect_ok(&reply);
        client_close(&client);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_huge_content_length_is_refused_in_place_of_a_100)
{
    client_say(&client, HEAD "Expect: 100-continue\r\nContent-Length: 4097\r\n\r\n");
    ck_assert(client_fill(&client, 12));
    ck_assert_int_eq(strncmp(client.buffer, "HTTP/1.1 413", 12), 0);
}
END_TEST

START_TEST(a_huge_body_is_refused_though_the_client_goes_on_sending)
{
    static char block[4096];
    memset(block, ' ', sizeof block);
    client_say(&client, HEAD "Content-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 244; i++)
        if (!client_send(&client, block, sizeof block))
            break;
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 413, "payload_too_large", "");
}
END_TEST

START_TEST(a_huge_chunked_body_is_refused_at_the_limit)
{
    static char block[1024];
    memset(block, ' ', sizeof block);
    client_say(&client, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        if (!client_say(&client, "400\r\n") || !client_send(&client, block, sizeof block) ||
            !client_say(&client, "\r\n"))
            break;
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 413, "payload_too_large", "");
}
END_TEST

START_TEST(a_body_at_the_limit_is_taken)
{
    static char body[4097];
    memset(body, ' ', 4096);
    memcpy(body, BODY, sizeof BODY - 1);
    client_say(&client, HEAD "Content-Length: 4096\r\n\r\n");
    client_send(&client, body, 4096);
    expect_forecast();
}
END_TEST

/* Time -------------------------------------------------------------------------------------- */

START_TEST(a_body_that_does_not_come_is_a_408)
{
    double began = now_ms();
    client_say(&client, HEAD "Content-Length: %zu\r\n\r\n{", sizeof BODY - 1);
    /* TLS cannot be written to by the thread that notices: it is closed only */
    if (strncmp(server.url, "https:", 6) != 0) {
        ck_assert(client_read(&client, &reply));
        expect_error(&reply, 408, "request_timeout", "");
        ck_assert_double_ge(now_ms() - began, 800);
    }
    ck_assert(client_is_closed(&client, patience_ms(10000)));
}
END_TEST

START_TEST(a_body_that_drips_is_a_408_too)
{
    client_say(&client, HEAD "Content-Length: 1000\r\n\r\n{");
    for (int i = 0; i < 20; i++) {
        if (!client_say(&client, " "))
            break;
        sleep_ms(100);
    }
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 408, "request_timeout", "");
}
END_TEST

START_TEST(headers_that_drip_end_the_connection)
{
    client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\nX-Slow: ");
    double began = now_ms();
    bool open = true;
    while (open && now_ms() - began < patience_ms(10000)) {
        open = client_say(&client, "x") && !client_is_closed(&client, 100);
    }
    ck_assert_msg(!open, "a connection that drips headers stays open");
    ck_assert_double_ge(now_ms() - began, 700);
}
END_TEST

/* Of a server that lets connections idle for an hour, so that only the time for headers can end it. */
START_TEST(each_head_has_its_time)
{
    static const char *const patient[] = {"CAROUSEL_TIMEOUTS_HEADER_S=2", "CAROUSEL_TIMEOUTS_IDLE_S=3600",
                                          NULL};
    struct server other;
    server_start(&other, patient);
    for (int pipelined = 0; pipelined < 2; pipelined++) {
        struct client slow = {0};
        client_open(&slow, &other);
        client_say(&slow, "GET /health HTTP/1.1\r\nHost: t\r\n\r\n%s", pipelined ? "GET /hea" : "");
        ck_assert(client_read(&slow, &reply));
        expect_ok(&reply);
        if (!pipelined) client_say(&slow, "GET /hea");
        ck_assert_msg(client_is_closed(&slow, patience_ms(20000)), "a second head may take its time");
        client_close(&slow);
    }
    ck_assert_int_eq(server_stop(&other), 0);
}
END_TEST

START_TEST(an_idle_connection_is_closed)
{
    for (;;) {
        client_post(&client, "/v1/forecast", BODY);
        expect_forecast();
        double began_ms = now_ms();
        sleep_ms(500);
        client_post(&client, "/v1/forecast", BODY);
        if (client_read(&client, &reply)) break;
        ck_assert_double_ge(now_ms() - began_ms, 1900); /* the machine slept through the limit: once more */
        client_close(&client);
        client_open(&client, &server);
    }
    expect_ok(&reply);
    ck_assert(client_is_closed(&client, patience_ms(60000)));
}
END_TEST

/* Half a connection, and half a request -------------------------------------------------------- */

START_TEST(a_half_closed_connection_ends_well)
{
    client_post(&client, "/v1/forecast", BODY);
    shutdown(client.fd, SHUT_WR);
    /* The side that went may have been the client: an answer or none, but the connection ends. */
    if (client_read(&client, &reply))
        ck_assert_msg(reply.status == 200 || reply.status == 499, "%d: %s", reply.status, reply.body);
    ck_assert(client_is_closed(&client, patience_ms(10000)));
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
}
END_TEST

START_TEST(a_body_cut_short_is_not_served)
{
    client_say(&client, HEAD "Content-Length: 1000\r\n\r\n" BODY);
    shutdown(client.fd, SHUT_WR);
    if (client_read(&client, &reply))
        ck_assert_int_ge(reply.status, 400);
    ck_assert(client_is_closed(&client, patience_ms(10000)));
}
END_TEST

START_TEST(clients_that_vanish_anywhere_do_no_harm)
{
    static const char request[] = HEAD "Content-Length: 30\r\n\r\n" BODY;
    for (size_t n = 0; n < sizeof request; n += 3)
        for (int reset = 0; reset < 2; reset++) {
            struct client other = {0};
            client_open(&other, &server);
            client_send(&other, request, n);
            if (reset)
                client_abort(&other);
            else
                client_close(&other);
        }
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    client_close(&client); /* it has been silent for longer than a second on a slow machine */
    client_open(&client, &server);
    client_post(&client, "/v1/forecast", BODY);
    expect_forecast();
}
END_TEST

/* Malformed HTTP: a 4xx, 5xx or a closed connection, never a 200. */
static const struct {
    const char *bytes;
    size_t n;
} malformed[] = {
#define ROW(text) {text, sizeof text - 1}
    ROW("GARBAGE\r\n\r\n"),
    ROW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), /* somebody speaks TLS */
    ROW("GET\r\n\r\n"),
    ROW("GET /health HTTP/9.9\r\nHost: t\r\n\r\n"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ROW(HEAD "Content-Length: abc\r\n\r\n" BODY),
    ROW(HEAD "Content-Length: -1\r\n\r\n" BODY),
    ROW(HEAD "Content-Length: 99999999999999999999999999\r\n\r\n" BODY),
    ROW(HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n" BODY "\r\n0\r\n\r\n"),
    ROW(HEAD "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" BODY),
#undef ROW
};

START_TEST(malformed_http_is_never_served)
{
    client_send(&client, malformed[_i].bytes, malformed[_i].n);
    shutdown(client.fd, SHUT_WR);
    if (client_fill(&client, 13))
        ck_assert_msg(client.buffer[9] >= '4', "%.60s", client.buffer);
}
END_TEST

START_TEST(too_long_headers_are_refused)
{
    client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\n");
    for (int i = 0; i < 200; i++)
        if (!client_say(&client, "X-%d: %0200d\r\n", i, i))
            break;
    client_say(&client, "\r\n");
    if (client_fill(&client, 13))
        ck_assert_int_eq(client.buffer[9], '4');
}
END_TEST

START_TEST(a_long_path_is_refused)
{
    client_say(&client, "GET /%06000d HTTP/1.1\r\nHost: t\r\n\r\n", 7);
    if (client_fill(&client, 13))
        ck_assert_int_eq(client.buffer[9], '4');
}
END_TEST

START_TEST(a_query_is_not_part_of_the_path)
{
    client_say(&client, "GET /v1/models?limit=3&x=%%00 HTTP/1.1\r\nHost: t\r\n\r\n");
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);
}
END_TEST

static const struct {
    const char *target;
    int status;
} targets[] = {
    {"/health", 200},
    {"/%68ealth", 200},
    {"http://t/health", 200},
    {"HTTPS://t:8443/health?x=y", 200},
    {"http://t", 200}, /* the page */
    {"ftp://t/health", 404},
    {"/http://t/health", 404},
    {"/health%00", 404},
    {"/health%00x", 404},
    {"/v1/models/tiny-series", 200},
    {"/v1/models/tiny-series%00", 404},
};

START_TEST(targets_mean_what_their_bytes_say)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        client_say(&client, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", targets[i].target);
        ck_assert(client_read(&client, &reply));
        ck_assert_msg(reply.status == targets[i].status, "%s: %d", targets[i].target, reply.status);
    }
}
END_TEST

START_TEST(a_refusal_leaves_the_connection_in_step)
{
    /* Bodies of refused requests must not be taken for the next request. */
    client_say(&client, "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
               "Content-Length: 34\r\n\r\nGET /health HTTP/1.1\r\nHost: smug\r\n");
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 404, "not_found", "");
    client_say(&client, "GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: second\r\n\r\n");
    if (client_read(&client, &reply)) { /* it may also close */
        ck_assert_int_eq(reply.status, 200);
        ck_assert_str_eq(reply_header(&reply, "X-Request-Id"), "second");
    }
}
END_TEST

Suite *wire_suite(void);

/* Each by TCP as it is, and by TLS. */
static void add_cases(Suite *suite, const char *name, void (*begin)(void), const TTest *const *tests,
                      size_t n)
{
    TCase *cases = tcase_create(name);
    tcase_add_checked_fixture(cases, begin, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
}

Suite *wire_suite(void)
{
    Suite *suite = suite_create("wire");
    const TTest *const good[] = {
        keep_alive_serves_many_requests_on_one_connection,
        pipelined_requests_are_answered_in_order,
        connection_close_is_obeyed,
        http_1_0_is_answered_and_closed,
        a_request_may_come_byte_by_byte,
        a_chunked_body_is_put_together,
        an_expected_100_comes_before_the_body,
        a_request_behind_an_expect_without_a_body_is_answered,
        a_query_is_not_part_of_the_path,
        targets_mean_what_their_bytes_say};
    const TTest *const large[] = {
        a_huge_content_length_is_refused_before_the_body,
        a_huge_content_length_is_refused_in_place_of_a_100,
        a_huge_body_is_refused_though_the_client_goes_on_sending,
        a_huge_chunked_body_is_refused_at_the_limit,
        a_body_at_the_limit_is_taken,
        too_long_headers_are_refused,
        a_long_path_is_refused};
    const TTest *const slow[] = {
        a_body_that_does_not_come_is_a_408,
        a_body_that_drips_is_a_408_too,
        headers_that_drip_end_the_connection,
        each_head_has_its_time,
        an_idle_connection_is_closed};
    const TTest *const broken[] = {
        a_half_closed_connection_ends_well,
        a_body_cut_short_is_not_served,
        clients_that_vanish_anywhere_do_no_harm,
        a_refusal_leaves_the_connection_in_step};
    add_cases(suite, "good", start, good, sizeof good / sizeof *good);
    add_cases(suite, "good, secure", start_secure, good, sizeof good / sizeof *good);
    add_cases(suite, "large", start, large, sizeof large / sizeof *large);
    add_cases(suite, "large, secure", start_secure, large, sizeof large / sizeof *large);
    add_cases(suite, "slow", start, slow, sizeof slow / sizeof *slow);
    add_cases(suite, "slow, secure", start_secure, slow, sizeof slow / sizeof *slow);
    add_cases(suite, "broken", start, broken, sizeof broken / sizeof *broken);
    add_cases(suite, "broken, secure", start_secure, broken, sizeof broken / sizeof *broken);
    TCase *nonsense = tcase_create("nonsense");
    tcase_add_checked_fixture(nonsense, start, stop);
    tcase_add_loop_test(nonsense, malformed_http_is_never_served, 0,
                        (int)(sizeof malformed / sizeof *malformed));
    suite_add_tcase(suite, nonsense);
    TCase *unwanted = tcase_create("unwanted");
    tcase_set_timeout(unwanted, TEST_TIMEOUT_S);
    tcase_add_test(unwanted, a_body_that_is_not_wanted_is_not_read);
    suite_add_tcase(suite, unwanted);
    return suite;
}
