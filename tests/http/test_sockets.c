/* WebSockets beside each other and beside the server: pages, keys, limits, silence, and the end. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tls.h"
#include "websocket.h"

static struct server server;
static struct client client;
static struct frame frame;

enum { TEXT = 4096 };

START_TEST(pages_of_this_server_may_ask)
{
    static const char *const origins[] = {"http://test", "https://test", "http://page.example"};
    const char *const settings[] = {"CAROUSEL_HTTP_CORS_ORIGINS=http://page.example", NULL};
    server_start(&server, settings);
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        char headers[100];
        snprintf(headers, sizeof headers, "Origin: %s\r\n", origins[i]);
        ws_open(&client, &server, headers);
        ws_close(&client);
    }
    ck_assert_int_eq(ws_ask(&client, &server, "Origin: http://test.example\r\n")->status, 403);
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(tls_of_its_own_is_refused)
{
    certificate_make("ws-tls", "first");
    server_start(&server, certificate_settings("ws-tls", NULL));
    struct reply *reply = ws_ask(&client, &server, "");
    ck_assert_int_eq(reply->status, 426);
    ck_assert(client_fill(&client, 20));
    ck_assert_ptr_nonnull(strstr(client.buffer, "wss"));
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(each_message_needs_its_key)
{
    const char *const settings[] = {keys_file("keys-ws", KEY_LINES), NULL};
    server_start(&server, settings);
    struct reply *reply = ws_ask(&client, &server, "");
    ck_assert_int_eq(reply->status, 401);
    client_close(&client);
    ck_assert_int_eq(ws_ask(&client, &server, BEARER("ck_metrics"))->status, 403);
    client_close(&client);
    ws_open(&client, &server, BEARER("ck_infer"));
    ws_say(&client, "{'model':'tiny-characters','id':'mine'}");
    ws_hear(&client, &frame);
    expect_error(ask_as(&server, BEARER("ck_all"), "GET", "/v1/sessions/mine", NULL), 404,
                 "session_not_found", NULL);
    ws_say(&client, "{'prompt':'a','max_tokens':1}");
    ws_hear(&client, &frame);
    keys_file("keys-ws",
              "metrics sha256:afbbd63ec81ee1a0167f3afd62c81357e059a4a8fe5945a38fde0c5ba04d3b15 "
              "scopes=metrics\n");
    server_signal(&server, SIGHUP);
    await_log(&server, "API keys in", 2);
    ws_say(&client, "{'max_tokens':1}");
    ws_hear_error(&client, &frame, "invalid_api_key");
    ws_hear_close(&client, &frame, 1008);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* ---- limits --------------------------------------------------------------------------------- */

START_TEST(sockets_are_bounded)
{
    const char *const settings[] = {"CAROUSEL_STREAM_SOCKETS=3", "CAROUSEL_STREAM_SOCKETS_PER_CLIENT=2",
                                    NULL};
    struct client others[3] = {{0}};
    server_start(&server, settings);
    ws_open(&others[0], &server, "");
    ws_open(&others[1], &server, "");
    struct reply *reply = ws_ask(&client, &server, "");
    ck_assert_int_eq(reply->status, 429);
    expect_retry_after(reply, 1);
    client_close(&client);
    ck_assert_double_eq(metric(&server, "carousel_sockets_open"), 2);
    ws_close(&others[1]);
    ck_assert(metric_becomes(&server, "carousel_sockets_open", 1));
    ws_open(&others[1], &server, "");
    client_close(&others[0]);
    client_close(&others[1]);
    ck_assert(metric_becomes(&server, "carousel_sockets_open", 0));
    ck_assert_int_eq(server_stop(&server), 0);
    const char *const none[] = {"CAROUSEL_STREAM_SOCKETS=0", NULL};
    server_start(&server, none);
    ck_assert_int_eq(ws_ask(&client, &server, "")->status, 503);
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(silent_sockets_are_pinged_and_closed)
{
    const char *const settings[] = {"CAROUSEL_STREAM_IDLE_S=3", "CAROUSEL_STREAM_PING_S=1",
                                    "CAROUSEL_TIMEOUTS_WRITE_S=1", NULL};
    server_start(&server, settings);
    ws_open(&client, &server, "");
    ck_assert(client_fill(&client, 2)); /* a ping */
    ck_assert_int_eq((unsigned char)client.buffer[0], FINAL | FRAME_PING);
    ck_assert(client_is_closed(&client, patience_ms(10000))); /* it was not answered */
    client_close(&client);
    ws_open(&client, &server, "");
    for (int i = 0; i < 2; i++) {
        ck_assert(client_fill(&client, 2));
        ck_assert_int_eq((unsigned char)client.buffer[0], FINAL | FRAME_PING);
        client.n -= 2;
        memmove(client.buffer, client.buffer + 2, client.n);
        ws_frame(&client, FINAL | FRAME_PONG, "", 0);
    }
    do {
        ck_assert(client_fill(&client, 2));
        if ((unsigned char)client.buffer[0] != (FINAL | FRAME_PING))
            break;
        client.n = 0;
        ws_frame(&client, FINAL | FRAME_PONG, "", 0);
    } while (true);
    ws_hear_close(&client, &frame, 1001);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_reader_that_takes_nothing_pauses_and_is_dropped)
{
    static char fast[] = "CAROUSEL_LIMITS_UNREAD_TOKENS=50";
    const char *const settings[] = {fast, "CAROUSEL_TIMEOUTS_WRITE_S=2",
                                    "CAROUSEL_LIMITS_MAX_TOKENS=10000000",
                                    "CAROUSEL_STREAM_CHUNK_MS=0",
                                    "CAROUSEL_SCHEDULER_QUEUE_STEPS=100000000", NULL};
    int small = 4096;
    server_start(&server, settings);
    ws_open(&client, &server, "");
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ws_say(&client, "{'model':'tiny-characters'}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'prompt':'a','max_tokens':9000000,'stream':true,'timeout_ms':600000}");
    ws_hear(&client, &frame); /* it runs, and then nothing more is read */
    double made = 0, before = -1;
    while (made != before && metric(&server, "carousel_sockets_open") > 0) {
        before = made;
        sleep_ms(300);
        made = metric(&server, "carousel_steps_total{phase=\"decode\"}");
    }
    ck_assert_double_gt(made, 0);
    ck_assert_double_lt(made, 9000000); /* it has paused: what was made lies in the socket */
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert(metric_becomes(&server, "carousel_sockets_open", 0));
    client_close(&client);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(draining_answers_and_then_closes)
{
    struct client busy = {0}, idle = {0};
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_CHUNK_STEPS=1", NULL};
    server_start(&server, settings);
    ws_open(&busy, &server, "");
    ws_open(&idle, &server, "");
    ws_say(&busy, "{'model':'slow'}");
    ws_hear(&busy, &frame);
    ws_say(&busy, "{'prompt':'a','max_tokens':300}");
    ws_say(&busy, "{'max_tokens':300}"); /* one more, which does not begin */
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
    server_signal(&server, SIGTERM);
    ws_hear_close(&idle, &frame, 1001);
    ws_hear(&busy, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 1);
    ws_hear_close(&busy, &frame, 1001);
    ck_assert_int_eq(server_wait(&server), 0);
}
END_TEST

START_TEST(a_drain_ends_in_time)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SERVER_DRAIN_TIMEOUT_S=1", NULL};
    server_start(&server, settings);
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'slow'}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'prompt':'a','max_tokens':16000}");
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
    ck_assert_int_eq(server_stop(&server), 0);
    client_close(&client);
}
END_TEST

enum { MANY = 1000 };

START_TEST(a_thousand_sockets)
{
    const char *const settings[] = {"CAROUSEL_LIMITS_CONNECTIONS=1100", "CAROUSEL_STREAM_SOCKETS=1000",
                                    "CAROUSEL_STREAM_PING_S=60",
                                    "CAROUSEL_SCHEDULER_QUEUE_SEQUENCES=2000", NULL};
    static struct client many[MANY];
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_gt(limit.rlim_cur, 2 * MANY);
    server_start(&server, settings);
    for (int i = 0; i < MANY; i++)
        ws_open(&many[i], &server, "");
    ck_assert_int_eq(ws_ask(&client, &server, "")->status, 503);
    client_close(&client);
    ck_assert_double_eq(metric(&server, "carousel_sockets_open"), MANY);
    for (int i = 0; i < MANY; i++)
        ws_say(&many[i], "{'model':'tiny-characters','seed':%d}", i % 7);
    for (int step = 1; step <= 3; step++)
        for (int i = 0; i < MANY; i++)
            ws_say(&many[i], "{'prompt':'a','max_tokens':8}");
    char texts[7][TEXT];
    for (int i = 0; i < MANY; i++) {
        char all[TEXT] = "";
        ws_hear(&many[i], &frame);
        for (int step = 1; step <= 3; step++) {
            ws_hear(&many[i], &frame);
            ck_assert_int_eq((int)frame_number(&frame, "step"), step);
            strcat(all, frame_text(&frame, "choices.0.text"));
        }
        if (i < 7)
            strcpy(texts[i], all);
        ck_assert_str_eq(all, texts[i % 7]); /* whatever rides beside it */
    }
    for (int i = 0; i < MANY / 2; i++)
        ws_close(&many[i]);
    for (int i = MANY / 2; i < MANY; i++)
        client_close(&many[i]);
    ck_assert(metric_becomes(&server, "carousel_sockets_open", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *sockets_suite(void);

Suite *sockets_suite(void)
{
    Suite *suite = suite_create("sockets");
    TCase *cases = tcase_create("sockets");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, pages_of_this_server_may_ask);
    tcase_add_test(cases, tls_of_its_own_is_refused);
    tcase_add_test(cases, each_message_needs_its_key);
    tcase_add_test(cases, sockets_are_bounded);
    tcase_add_test(cases, silent_sockets_are_pinged_and_closed);
    tcase_add_test(cases, a_reader_that_takes_nothing_pauses_and_is_dropped);
    tcase_add_test(cases, draining_answers_and_then_closes);
    tcase_add_test(cases, a_drain_ends_in_time);
    tcase_add_test(cases, a_thousand_sockets);
    suite_add_tcase(suite, cases);
    return suite;
}
