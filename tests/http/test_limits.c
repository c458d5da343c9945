/* What the server refuses when it is full, late or beset: 429, 504, and limits on connections. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct reply reply;

START_TEST(a_full_queue_is_a_429_at_once)
{
    enum { N = 12 };
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1", "CAROUSEL_SCHEDULER_QUEUE_SEQUENCES=3",
                                    NULL};
    static struct client clients[N];
    server_start(&server, settings);
    client_occupy(&clients[0], &server);
    for (int i = 1; i < N; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
        if (i <= 3)
            ck_assert(metric_becomes(&server, "carousel_queue_depth", i));
    }
    for (int i = 4; i < N; i++) {
        double began = now_ms();
        ck_assert(client_read(&clients[i], &reply));
        expect_error(&reply, 429, "queue_full", NULL);
        expect_retry_after(&reply, 60);
        ck_assert_double_lt(now_ms() - began, patience_ms(10000));
    }
    ck_assert_double_eq(metric(&server, "carousel_rejected_total{reason=\"queue_full\"}"), N - 4);
    /* A refused client's connection serves on, and small requests still answer once there is room. */
    for (int i = 0; i < 4; i++)
        client_close(&clients[i]);
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 0));
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    client_post(&clients[N - 1], "/v1/forecast", "{'series':[1,2],'horizon':1}");
    ck_assert(client_read(&clients[N - 1], &reply));
    expect_ok(&reply);
    for (int i = 4; i < N; i++)
        client_close(&clients[i]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(steps_that_wait_are_bounded_too)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1", "CAROUSEL_SCHEDULER_QUEUE_STEPS=20000",
                                    NULL};
    static struct client one, two;
    server_start(&server, settings);
    client_occupy(&one, &server);
    client_open(&two, &server);
    client_post(&two, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 1));
    expect_error(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}"), 429,
                 "queue_full", NULL);
    client_close(&one);
    client_close(&two);
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Asking again would not help, so it is the client's to ask for less. */
START_TEST(an_answer_that_is_too_long_is_a_400)
{
    const char *const settings[] = {"CAROUSEL_LIMITS_REPLY_BYTES=64KiB", NULL};
    static char body[24000];
    server_start(&server, settings);
    for (int n = 1000; n <= 20000; n *= 20) {
        int at = snprintf(body, sizeof body, "{\"model\":\"tiny-characters\",\"input\":\"");
        memset(body + at, 'a', (size_t)n);
        snprintf(body + at + n, sizeof body - (size_t)(at + n), "\"}");
        struct reply *found = ask(&server, "POST", "/v1/tokenize", body);
        if (n == 1000) expect_ok(found);
        else expect_error(found, 400, "input_too_long", "");
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_deadline_that_passes_is_a_504)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1", NULL};
    static struct client aboard;
    server_start(&server, settings);
    /* computing */
    double began = now_ms();
    expect_error(post(&server, "/v1/completions",
                      "{'model':'slow','prompt':'a','max_tokens':16000,'timeout_ms':200}"),
                 504, "deadline_exceeded", NULL);
    ck_assert_double_ge(now_ms() - began, 199);
    ck_assert_double_lt(now_ms() - began, patience_ms(10000));
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    /* queued */
    client_occupy(&aboard, &server);
    began = now_ms();
    expect_error(post(&server, "/v1/completions",
                      "{'model':'slow','prompt':'a','max_tokens':5,'timeout_ms':200}"),
                 504, "deadline_exceeded", NULL);
    ck_assert_double_lt(now_ms() - began, patience_ms(10000));
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 0));
    ck_assert_double_eq(metric(&server, "carousel_requests_finished_total{reason=\"deadline\"}"), 2);
    client_close(&aboard);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(the_configured_deadline_holds_for_all)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_TIMEOUTS_REQUEST_MS=200",
                                    "CAROUSEL_TIMEOUTS_REQUEST_MAX_MS=1000", NULL};
    server_start(&server, settings);
    expect_error(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}"), 504,
                 "deadline_exceeded", NULL);
    expect_error(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','timeout_ms':1001}"), 400,
                 "invalid_value", "timeout_ms");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(hundreds_of_connections_are_served)
{
    enum { N = 400 };
    static struct client clients[N];
    server_start(&server, NULL);
    for (int i = 0; i < N; i++)
        client_open(&clients[i], &server);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            client_post(&clients[i], "/v1/forecast", "{'series':[1,2,3],'horizon':2}");
        for (int i = 0; i < N; i++) {
            ck_assert(client_read(&clients[i], &reply));
            expect_ok(&reply);
        }
    }
    for (int i = 0; i < N; i++)
        client_close(&clients[i]);
    ck_assert_double_eq(metric(&server, "carousel_requests_total"
                                        "{route=\"/v1/forecast\",code=\"200\",model=\"tiny-series\"}"),
                        3 * N);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(connections_over_the_limit_wait_their_turn)
{
    enum { LIMIT = 8, N = 12 };
    const char *const settings[] = {"CAROUSEL_LIMITS_CONNECTIONS=8", "CAROUSEL_SERVER_HTTP_THREADS=1", NULL};
    static struct client clients[N];
    server_start(&server, settings);
    for (int i = 0; i < N; i++) {
        client_open(&clients[i], &server);
        if (i < LIMIT) {
            client_post(&clients[i], "/v1/forecast", "{'series':[1,2,3],'horizon':2}");
            ck_assert(client_read(&clients[i], &reply));
            expect_ok(&reply);
        }
    }
    for (int i = LIMIT; i < N; i++)
        client_post(&clients[i], "/v1/forecast", "{'series':[1,2,3],'horizon':2}");
    for (int i = 0; i < LIMIT; i++)
        client_close(&clients[i]);
    for (int i = LIMIT; i < N; i++) {
        ck_assert(client_read(&clients[i], &reply));
        expect_ok(&reply);
        client_close(&clients[i]);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(one_address_cannot_take_all_connections)
{
    const char *const settings[] = {"CAROUSEL_LIMITS_CONNECTIONS_PER_ADDRESS=4", NULL};
    static struct client clients[5];
    server_start(&server, settings);
    for (int i = 0; i < 4; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/forecast", "{'series':[1,2,3],'horizon':2}");
        ck_assert(client_read(&clients[i], &reply));
        expect_ok(&reply);
    }
    client_open(&clients[4], &server);
    client_post(&clients[4], "/v1/forecast", "{'series':[1,2,3],'horizon':2}");
    ck_assert(!client_read(&clients[4], &reply));
    for (int i = 0; i < 5; i++)
        client_close(&clients[i]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(an_answer_over_its_limit_is_refused)
{
    const char *const settings[] = {"CAROUSEL_LIMITS_REPLY_BYTES=65536", NULL};
    server_start(&server, settings);
    struct reply *found = post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':500,'num_samples':500}");
    expect_error(found, 400, "input_too_long", "");
    expect_ok(post(&server, "/v1/forecast", "{'series':[1,2,3],'horizon':2}"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A request whose answer is seven times its size: {"input": ["aaa...", ...]}. */
static char *wordy_request(void)
{
    enum { TEXTS = 32, LETTERS = 65536 };
    char *body = malloc(TEXTS * (LETTERS + 3) + 64);
    ck_assert_ptr_nonnull(body);
    char *at = body + sprintf(body, "{\"model\":\"tiny-bytes\",\"input\":[");
    for (int i = 0; i < TEXTS; i++) {
        at += sprintf(at, "%s\"", i ? "," : "");
        memset(at, 'a', LETTERS);
        at += LETTERS;
        *at++ = '"';
    }
    strcpy(at, "]}");
    return body;
}

/* A client that asks for long answers and does not read them holds so much memory and no more; others get
 * their short answers all the same. It has an address of its own, because the one that asks for metrics also
 * holds answers. */
START_TEST(answers_that_nobody_reads_cannot_take_all_memory)
{
    enum { ANSWER_BYTES = 14 << 20 }; /* more than sockets hold */
    const char *const settings[] = {"CAROUSEL_LIMITS_REPLIES_BYTES=16MiB", NULL};
    static struct client idler;
    char *body = wordy_request();
    server_start(&server, settings);
    client_open_from(&idler, &server, "127.0.0.2");
    client_say(&idler, "POST /v1/tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    ck_assert(client_send(&idler, body, strlen(body)));
    AWAIT(metric(&server, "carousel_reply_bytes") > ANSWER_BYTES);
    expect_error(ask(&server, "POST", "/v1/tokenize", body), 503, "no_memory", "");
    expect_ok(post(&server, "/v1/tokenize", "{'model':'tiny-bytes','input':'abc'}"));
    client_close(&idler);
    ck_assert(metric_becomes(&server, "carousel_reply_bytes", 0));
    expect_ok(ask(&server, "POST", "/v1/tokenize", body));
    ck_assert_int_eq(server_stop(&server), 0);
    free(body);
}
END_TEST

/* Says that a body of so many bytes comes, and sends half of it. */
static void begin_body(struct client *client, const char *address, int bytes)
{
    static char half[1 << 20];
    client_open_from(client, &server, address);
    client_say(client, "POST /v1/tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", bytes);
    memset(half, ' ', sizeof half);
    ck_assert(client_send(client, half, (size_t)bytes / 2));
}

/* A client that begins long bodies and does not end them holds the bytes that it announced, and at most half
 * of the memory for bodies. Another client's long body is received all the same, and so are its own small
 * ones. */
START_TEST(bodies_that_do_not_end_cannot_take_all_memory)
{
    enum { LONG = 300 << 10, LETTERS = 30 << 10, OTHERS = LONG - LETTERS };
    const char *const settings[] = {"CAROUSEL_LIMITS_BODIES_BYTES=1MiB", NULL};
    static struct client first, second, other;
    static char letters[LETTERS + 1], blanks[OTHERS];
    server_start(&server, settings);
    begin_body(&first, "127.0.0.1", LONG);
    ck_assert(metric_becomes(&server, "carousel_body_bytes", LONG));
    begin_body(&second, "127.0.0.1", LONG);
    memset(blanks, ' ', sizeof blanks);
    ck_assert(client_send(&second, blanks, LONG - LONG / 2 > OTHERS ? OTHERS : LONG - LONG / 2));
    ck_assert(client_read(&second, &reply));
    expect_error(&reply, 503, "no_memory", NULL);
    ck_assert_ptr_nonnull(strstr(reply.body, "limits.bodies_bytes"));
    expect_ok(post(&server, "/v1/tokenize", "{'model':'tiny-bytes','input':'abc'}"));
    memset(letters, 'a', LETTERS);
    client_open_from(&other, &server, "127.0.0.2");
    client_say(&other, "POST /v1/tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
               (int)strlen("{\"model\":\"tiny-bytes\",\"input\":\"\"}") + LETTERS + OTHERS);
    ck_assert(client_send(&other, blanks, OTHERS));
    client_say(&other, "{\"model\":\"tiny-bytes\",\"input\":\"%s\"}", letters);
    ck_assert(client_read(&other, &reply));
    expect_ok(&reply);
    client_close(&first);
    client_close(&second);
    client_close(&other);
    ck_assert(metric_becomes(&server, "carousel_body_bytes", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *limits_suite(void);

Suite *limits_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *cases = tcase_create("limits");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, a_full_queue_is_a_429_at_once);
    tcase_add_test(cases, steps_that_wait_are_bounded_too);
    tcase_add_test(cases, an_answer_that_is_too_long_is_a_400);
    tcase_add_test(cases, a_deadline_that_passes_is_a_504);
    tcase_add_test(cases, the_configured_deadline_holds_for_all);
    tcase_add_test(cases, hundreds_of_connections_are_served);
    tcase_add_test(cases, connections_over_the_limit_wait_their_turn);
    tcase_add_test(cases, one_address_cannot_take_all_connections);
    tcase_add_test(cases, an_answer_over_its_limit_is_refused);
    tcase_add_test(cases, bodies_that_do_not_end_cannot_take_all_memory);
    tcase_add_test(cases, answers_that_nobody_reads_cannot_take_all_memory);
    suite_add_tcase(suite, cases);
    return suite;
}
