/* GET /v1/stream: what is said on a WebSocket is what HTTP would have answered; its frames; its handshake. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "websocket.h"

static struct server server;
static struct client client;
static struct frame frame;

enum { TEXT = 4096 };

#define ANSWERS(route, code, model)                                                                          \
    metric(&server, "carousel_requests_total{route=\"" route "\",code=\"" code "\",model=\"" model "\"}")

static void start(void)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_TIMEOUTS_WRITE_S=1", "CAROUSEL_STREAM_PING_S=1",
                                    "CAROUSEL_SCHEDULER_CHUNK_STEPS=1",
                                    "CAROUSEL_STREAM_MESSAGE_BYTES=100000", NULL};
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}

/* ---- what is said ---------------------------------------------------------------------------- */

START_TEST(a_stream_says_what_steps_of_a_session_say)
{
    char texts[3][TEXT], id[200];
    const char *const steps[] = {"'prompt':'abc','max_tokens':7", "'max_tokens':9",
                                 "'prompt':'d','max_tokens':5"};
    expect_error(post(&server, "/v1/sessions/none/steps", "[{}]"), 404, "session_not_found", NULL);
    struct reply *made = post(&server, "/v1/sessions", "{'model':'tiny-characters','seed':5}");
    ck_assert_int_eq(made->status, 201);
    snprintf(id, sizeof id, "%s", text_at(made, "id"));
    for (int i = 0; i < 3; i++)
        snprintf(texts[i], TEXT, "%s",
                 text_at(postf(&server, "/v1/completions", "{'session':'%s',%s}", id, steps[i]),
                         "choices.0.text"));
    ws_open(&client, &server, "Sec-WebSocket-Protocol: other, carousel.v1\r\n");
    ws_say(&client, "{'model':'tiny-characters','seed':5,'task':'text-generation'}");
    ws_hear(&client, &frame);
    ck_assert_str_eq(frame_text(&frame, "object"), "session");
    ck_assert_str_eq(frame_text(&frame, "model"), "tiny-characters");
    ck_assert_int_eq((int)frame_number(&frame, "step"), 0);
    snprintf(id, sizeof id, "%s", frame_text(&frame, "id"));
    for (int i = 0; i < 3; i++) {
        ws_say(&client, "{%s}", steps[i]);
        ws_hear(&client, &frame);
        ck_assert_str_eq(frame_text(&frame, "choices.0.text"), texts[i]);
        ck_assert_str_eq(frame_text(&frame, "session"), id);
        ck_assert_int_eq((int)frame_number(&frame, "step"), i + 1);
    }
    ws_close(&client);
    /* the session is there for whoever goes on */
    char path[300];
    snprintf(path, sizeof path, "/v1/sessions/%s", id);
    ck_assert_int_eq((int)number_at(ask(&server, "GET", path, NULL), "step"), 3);
    ck_assert_double_eq(ANSWERS("/v1/stream", "101", ""), 1);
    ck_assert_double_eq(ANSWERS("/v1/completions", "200", "tiny-characters"), 6);
}
END_TEST

START_TEST(the_end_gives_the_state_an_id)
{
    char whole[TEXT], parts[TEXT], id[200];
    snprintf(whole, TEXT, "%s",
             text_at(post(&server, "/v1/completions",
                          "{'model':'tiny-characters','prompt':'abc','max_tokens':12,'seed':5}"),
                     "choices.0.text"));
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'tiny-characters','seed':5}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'end':true}"); /* nothing was asked: there is no state */
    ws_hear(&client, &frame);
    ck_assert_str_eq(frame_text(&frame, "object"), "stream.end");
    ck_assert(cJSON_IsNull(json_at(frame.json, "id")) && cJSON_IsNull(json_at(frame.json, "last")));
    ws_say(&client, "{'model':'tiny-characters','seed':5}"); /* another one on the same socket */
    ws_hear(&client, &frame);
    char session[200];
    snprintf(session, sizeof session, "/v1/sessions/%s", frame_text(&frame, "id"));
    ws_say(&client, "{'prompt':'abc','max_tokens':5}");
    ws_hear(&client, &frame);
    snprintf(parts, TEXT, "%s", frame_text(&frame, "choices.0.text"));
    ws_say(&client, " {\n'end' : true }");
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 1);
    snprintf(id, sizeof id, "%s", frame_text(&frame, "id"));
    expect_error(ask(&server, "GET", session, NULL), 404, "session_not_found", NULL); /* it had no name */
    size_t first = strlen(parts);
    strcat(parts, text_at(postf(&server, "/v1/completions", "{'previous_response_id':'%s','max_tokens':7}",
                                id),
                          "choices.0.text"));
    ck_assert_str_eq(parts, whole);
    ws_say(&client, "{'previous_response_id':'%s','seed':5}", id);
    ws_hear(&client, &frame);
    ws_say(&client, "{'max_tokens':7}");
    ws_hear(&client, &frame);
    ck_assert_str_eq(frame_text(&frame, "choices.0.text"), parts + first);
    ws_close(&client);
}
END_TEST

START_TEST(a_session_goes_on_by_its_name)
{
    ws_open(&client, &server, "X-Session-Id: mine\r\n");
    ws_say(&client, "{'max_tokens':3}"); /* a body, and no first message */
    ws_hear_error(&client, &frame, "invalid_value");
    ws_say(&client, "{'every':1}");
    ws_hear_error(&client, &frame, "session_not_found");
    ws_say(&client, "{'model':'tiny-characters','seed':3}"); /* it takes the name of the header */
    ws_hear(&client, &frame);
    ck_assert_str_eq(frame_text(&frame, "id"), "mine");
    ws_say(&client, "{'prompt':'a','max_tokens':3,'step':0}");
    ws_hear(&client, &frame);
    char answer[TEXT];
    snprintf(answer, TEXT, "%s", frame.text);
    /* the same step is the same step by HTTP */
    struct reply *again = ask_as(&server, "X-Session-Id: mine\r\n", "POST", "/v1/completions",
                                 "{\"prompt\":\"a\",\"max_tokens\":3,\"step\":0}");
    expect_ok(again);
    ck_assert_str_eq(again->body, answer);
    ws_say(&client, "{'max_tokens':3,'step':0}");
    ws_hear_error(&client, &frame, "step_mismatch");
    ws_say(&client, "{'max_tokens':3,'session':'other'}");
    ws_hear_error(&client, &frame, "invalid_value");
    ws_close(&client);
    ws_open(&client, &server, "");
    ws_say(&client, "{'session':'mine','model':'tiny-words'}");
    ws_hear_error(&client, &frame, "invalid_value");
    ws_say(&client, "{'session':'mine','model':'tiny-characters:1'}");
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 1);
    ws_say(&client, "{'end':true}");
    ws_hear(&client, &frame);
    ws_close(&client);
    ck_assert_int_eq((int)number_at(ask(&server, "GET", "/v1/sessions/mine", NULL), "step"), 1);
}
END_TEST

/* A client that loses its socket sends the step again on another one, not knowing whether it was taken. */
START_TEST(a_step_is_tried_again_on_another_socket)
{
    enum { STEPS = 40 };
    char whole[TEXT] = "", parts[TEXT] = "";
    post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'calm','seed':5}");
    post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'rough','seed':5}");
    for (int i = 0; i < STEPS; i++)
        strcat(whole, text_at(postf(&server, "/v1/completions",
                                    "{'session':'calm','prompt':'a','max_tokens':3,'step':%d}", i),
                              "choices.0.text"));
    ws_open(&client, &server, "");
    ws_say(&client, "{'session':'rough'}");
    ws_hear(&client, &frame);
    for (int i = 0; i < STEPS; i++) {
        for (int again = 0; again < i % 3; again++) {
            ws_say(&client, "{'prompt':'a','max_tokens':3,'step':%d}", i);
            if (i & 1)
                sleep_ms(i % 5); /* the answer may be there already, or on its way */
            if (i & 2)
                client_abort(&client);
            else
                client_close(&client);
            ws_open(&client, &server, "");
            ws_say(&client, "{'session':'rough'}");
            ws_hear(&client, &frame);
        }
        ws_say(&client, "{'prompt':'a','max_tokens':3,'step':%d}", i);
        ws_hear(&client, &frame);
        ck_assert_int_eq((int)frame_number(&frame, "step"), i + 1);
        strcat(parts, frame_text(&frame, "choices.0.text"));
    }
    ck_assert_str_eq(parts, whole);
    ws_close(&client);
}
END_TEST

START_TEST(two_sockets_take_steps_of_one_session_in_turn)
{
    struct client other = {0};
    bool seen[21] = {false};
    post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'shared'}");
    ws_open(&client, &server, "");
    ws_open(&other, &server, "");
    ws_say(&client, "{'session':'shared'}");
    ws_say(&other, "{'session':'shared'}");
    ws_hear(&client, &frame);
    ws_hear(&other, &frame);
    for (int i = 0; i < 10; i++) {
        ws_say(&client, "{'prompt':'a','max_tokens':30}");
        ws_say(&other, "{'prompt':'a','max_tokens':30}");
    }
    for (int i = 0; i < 20; i++) {
        ws_hear(i & 1 ? &other : &client, &frame);
        int step = (int)frame_number(&frame, "step");
        ck_assert(step >= 1 && step <= 20 && !seen[step]);
        seen[step] = true;
    }
    ws_close(&client);
    ws_close(&other);
}
END_TEST

START_TEST(first_messages_that_are_refused)
{
    static const struct { const char *message, *code, *param; } cases[] = {
        {"nothing", "invalid_json", NULL}, {"[]", "invalid_json", NULL}, {"{}", "invalid_value", "model"},
        {"{'model':'none'}", "model_not_found", "model"}, {"{'session':'none'}", "session_not_found", NULL},
        {"{'model':'tiny-characters','evry':2}", "invalid_value", "evry"},
        {"{'model':'tiny-characters','every':0}", "invalid_value", "every"},
        {"{'model':'tiny-characters','options':3}", "invalid_value", "options"},
        {"{'model':'tiny-characters','task':'forecast'}", "unsupported_for_model", "task"},
        {"{'model':'tiny-labels'}", "unsupported_for_model", "model"},
        {"{'session':'a','previous_response_id':'b'}", "invalid_value", "previous_response_id"},
        {"{'session':'a','id':'b'}", "invalid_value", "id"},
        {"{'model':'tiny-characters','id':'no name'}", "invalid_value", "id"},
        {"{'previous_response_id':'none'}", "session_not_found", NULL}};
    ws_open(&client, &server, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_say(&client, "%s", cases[i].message);
        ck_assert(ws_read(&client, &frame));
        ck_assert_msg(json_at(frame.json, "error.code") != NULL, "%s: %s", cases[i].message, frame.text);
        ck_assert_msg(!strcmp(frame_text(&frame, "error.code"), cases[i].code), "%s: %s", cases[i].message,
                      frame.text);
        if (cases[i].param)
            ck_assert_str_eq(frame_text(&frame, "error.param"), cases[i].param);
    }
    ws_frame(&client, FINAL | FRAME_BINARY, "abcd", 4);
    ws_hear_error(&client, &frame, "invalid_value");
    ws_say(&client, "{'model':'tiny-characters'}"); /* the socket is none the worse */
    ws_hear(&client, &frame);
    ws_frame(&client, FINAL | FRAME_BINARY, "abcd", 4); /* a model that reads text */
    ws_hear_error(&client, &frame, "unsupported_for_model");
    ws_close(&client);
    ck_assert_double_eq(metric(&server, "carousel_sessions_active"), 1);
}
END_TEST

/* Rows as a client on a little-endian machine has them. */
static void send_rows(const float *values, size_t n)
{
    ws_frame(&client, FINAL | FRAME_BINARY, values, n * sizeof *values);
}

static void print(cJSON *json, char out[TEXT])
{
    ck_assert_ptr_nonnull(json);
    ck_assert(cJSON_PrintPreallocated(json, out, TEXT, false));
}

START_TEST(rows_of_floats_are_steps)
{
    static const float rows[] = {1, 0, -2, 0, 1, -1, 3, 3, 3};
    char scores[TEXT], found[TEXT];
    struct reply *whole = post(&server, "/v1/classify",
                               "{'model':'tiny-gestures','input':[[1,0,-2],[0,1,-1],[3,3,3]]}");
    expect_ok(whole);
    print(reply_at(whole, "results"), scores);
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'tiny-gestures','every':2}");
    ws_hear(&client, &frame);
    send_rows(rows, 3);
    send_rows(rows + 3, 6); /* the first one is not answered */
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 2);
    print(json_at(frame.json, "results"), found);
    ck_assert_str_eq(found, scores);
    send_rows(rows, 4);
    ws_hear_error(&client, &frame, "invalid_value");
    ws_frame(&client, FINAL | FRAME_BINARY, "", 0);
    ws_hear_error(&client, &frame, "invalid_value");
    static const float bad[] = {1, NAN, 0};
    send_rows(bad, 3);
    ws_hear_error(&client, &frame, "invalid_value");
    send_rows(rows, 3);
    ws_say(&client, "{'end':true}"); /* which tells what was not */
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 3);
    ck_assert_int_eq((int)frame_number(&frame, "last.step"), 3);
    ck_assert_str_ne(frame_text(&frame, "id"), "");
    ws_close(&client);
}
END_TEST

START_TEST(values_of_a_series_are_steps)
{
    static const float values[] = {1, 2, 4, 7, 11, NAN, 22};
    post(&server, "/v1/sessions", "{'model':'tiny-series','id':'told'}");
    expect_ok(post(&server, "/v1/forecast", "{'session':'told','series':[1,2,4,7],'horizon':2}"));
    struct reply *second = post(&server, "/v1/forecast",
                                "{'session':'told','series':[11,null,22],'horizon':2}");
    expect_ok(second);
    double expected = number_at(second, "forecasts.0.mean.1");
    ws_open(&client, &server, "");
    ws_say(&client,
           "{'model':'tiny-series','task':'forecast','options':{'horizon':2,'quantiles':[0.5],'seed':3}}");
    ws_hear(&client, &frame);
    send_rows(values, 4);
    ws_hear(&client, &frame);
    send_rows(values + 4, 3);
    ws_hear(&client, &frame);
    ck_assert_double_eq(frame_number(&frame, "forecasts.0.mean.1"), expected);
    ws_say(&client, "{'end':true}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'model':'tiny-series','options':{'series':[1]}}"); /* twice the same name */
    ws_hear(&client, &frame);
    send_rows(values, 1);
    ws_hear_error(&client, &frame, "invalid_json");
    ws_close(&client);
}
END_TEST

START_TEST(a_streamed_step_comes_in_parts)
{
    char whole[TEXT], parts[TEXT] = "";
    snprintf(whole, TEXT, "%s",
             text_at(post(&server, "/v1/completions",
                          "{'model':'tiny-characters','prompt':'ab','max_tokens':400,'seed':9}"),
                     "choices.0.text"));
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'tiny-characters','seed':9}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'prompt':'ab','max_tokens':400,'stream':true}");
    do {
        ws_hear(&client, &frame);
        strcat(parts, frame_text(&frame, "choices.0.text"));
    } while (cJSON_IsNull(json_at(frame.json, "choices.0.finish_reason")));
    ck_assert_str_eq(parts, whole);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 1);
    ws_say(&client, "{'max_tokens':0}"); /* and nothing lies between it and the next answer */
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 2);
    ws_close(&client);
}
END_TEST

/* The deadline does not grow with the slowness of sanitizers, because the kernels are as fast as ever: the
 * text would be whole in time. */
START_TEST(an_error_in_a_stream_leaves_the_socket_open)
{
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'slow'}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'prompt':'a','max_tokens':16000,'stream':true,'timeout_ms':500}");
    while (ws_read(&client, &frame) && json_at(frame.json, "error") == NULL) {
        ck_assert_msg(frame.opcode == FRAME_TEXT, "%d, %d %s", frame.opcode, frame.code, frame.text);
        ck_assert(cJSON_IsNull(json_at(frame.json, "choices.0.finish_reason")));
    }
    ck_assert_str_eq(frame_text(&frame, "error.code"), "deadline_exceeded");
    ws_say(&client, "{'prompt':'a','max_tokens':1}");
    ws_hear(&client, &frame);
    ck_assert_int_eq((int)frame_number(&frame, "step"), 1); /* the failed one has moved nothing */
    ws_close(&client);
}
END_TEST

/* ---- frames --------------------------------------------------------------------------------- */

START_TEST(messages_may_come_in_fragments_and_at_once)
{
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'tiny-characters'}");
    ws_frame(&client, FRAME_TEXT, "{\"prompt\":\"a\",\"max_", 18);
    ws_frame(&client, FINAL | FRAME_PING, "now", 3);
    ws_frame(&client, 0, "tokens\"", 7);
    ws_frame(&client, FINAL, ":2}", 3);
    for (int i = 0; i < 50; i++)
        ws_say(&client, "{'max_tokens':1}");
    int pongs = 0;
    for (int i = 0; i < 52; i++) {
        ck_assert(ws_read(&client, &frame));
        if (frame.opcode == FRAME_PONG) {
            ck_assert_str_eq(frame.text, "now");
            pongs++;
            i--;
            continue;
        }
        ck_assert_int_eq((int)frame_number(&frame, "step"), i);
    }
    if (pongs == 0) {
        ck_assert(ws_read(&client, &frame));
        ck_assert_int_eq(frame.opcode, FRAME_PONG);
    }
    ws_close(&client);
}
END_TEST

START_TEST(bad_frames_close_the_socket)
{
    static const struct { const char *bytes; size_t n; int code; } cases[] = {
        {"\x81\x05Hello", 7, 1002},
        {"\xc1\x80\0\0\0\0", 6, 1002},
        {"\x83\x80\0\0\0\0", 6, 1002},
        {"\x80\x80\0\0\0\0", 6, 1002},
        {"\x81\x81\0\0\0\0\xff", 7, 1007},
        {"\x88\x82\0\0\0\0\x03\xec", 8, 1002},
        {"\x82\xff\0\0\0\0\0\1\x86\xa1\0\0\0\0", 14, 1009}}; /* 100001 bytes */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_open(&client, &server, "");
        client_send(&client, cases[i].bytes, cases[i].n);
        client_send(&client, "what comes after it does not count", 34);
        ws_hear_close(&client, &frame, cases[i].code);
        ck_assert_uint_gt(frame.n, 2); /* it says why */
    }
}
END_TEST

START_TEST(a_message_of_the_limit_is_read)
{
    char *text = malloc(100000);
    memset(text, ' ', 100000);
    memcpy(text, "{\"model\":\"tiny-characters\"}", 27);
    ws_open(&client, &server, "");
    ws_frame(&client, FINAL | FRAME_TEXT, text, 100000);
    ws_hear(&client, &frame);
    ws_close(&client);
    free(text);
}
END_TEST

START_TEST(closing)
{
    ws_open(&client, &server, "");
    ws_frame(&client, FINAL | FRAME_CLOSE, "", 0);
    ws_hear_close(&client, &frame, 0);
    ws_open(&client, &server, "");
    ws_frame(&client, FINAL | FRAME_CLOSE, "\x0f\xa0" "why", 5);
    ws_hear_close(&client, &frame, 4000);
    ws_open(&client, &server, "");
    shutdown(client.fd, SHUT_WR); /* without a word */
    ck_assert(client_is_closed(&client, patience_ms(10000)));
    client_close(&client);
    ws_open(&client, &server, "");
    client_abort(&client);
    /* a frame before the handshake is answered */
    client_open(&client, &server);
    client_say(&client,
               "GET /v1/stream HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly");
    static struct reply reply;
    ck_assert(client_read_head(&client, &reply));
    ck_assert_int_eq(reply.status, 101);
    ws_hear_close(&client, &frame, 1002);
    ck_assert(metric_becomes(&server, "carousel_sockets_open", 0));
}
END_TEST

/* ---- the handshake -------------------------------------------------------------------------- */

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"

START_TEST(handshakes_that_are_refused)
{
    static const struct { const char *line, *headers; int status; const char *code; } cases[] = {
        {"GET /v1/stream HTTP/1.1", "", 426, "upgrade_required"},
        {"GET /v1/stream HTTP/1.1", "Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION KEY, 426,
         "upgrade_required"},
        {"GET /v1/stream HTTP/1.1", "Upgrade: websocket\r\nConnection: close\r\n" VERSION KEY, 426,
         "upgrade_required"},
        {"GET /v1/stream HTTP/1.1", UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY, 426, "upgrade_required"},
        {"GET /v1/stream HTTP/1.1", UPGRADE KEY, 426, "upgrade_required"},
        {"GET /v1/stream HTTP/1.0", UPGRADE VERSION KEY, 426, "upgrade_required"},
        {"HEAD /v1/stream HTTP/1.1", UPGRADE VERSION KEY, 426, ""},
        {"POST /v1/stream HTTP/1.1", UPGRADE VERSION KEY "Content-Length: 0\r\n", 405, "method_not_allowed"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION, 400, "invalid_headers"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key: short\r\n", 400, "invalid_headers"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION KEY "Sec-WebSocket-Protocol: mqtt\r\n", 400,
         "invalid_headers"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION KEY "X-Session-Id: no name\r\n", 400, "invalid_value"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION KEY "Content-Length: 2\r\n", 400, "invalid_headers"},
        {"GET /v1/stream HTTP/1.1", UPGRADE VERSION KEY "Origin: https://example.org\r\n", 403,
         "permission_denied"}};
    static struct reply reply;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_head = *cases[i].code == '\0', has_body = strstr(cases[i].headers, "Length: 2") != NULL;
        client_open(&client, &server);
        client_say(&client, "%s\r\nHost: test\r\n%s\r\n%s", cases[i].line, cases[i].headers,
                   has_body ? "ab" : "");
        ck_assert(is_head ? client_read_head(&client, &reply) : client_read(&client, &reply));
        ck_assert_msg(reply.status == cases[i].status, "case %zu: %s %s", i, reply.head, reply.body);
        if (!is_head)
            expect_error(&reply, cases[i].status, cases[i].code, NULL);
        if (cases[i].status == 426) {
            ck_assert_str_eq(reply_header(&reply, "Upgrade"), "websocket");
            ck_assert_str_eq(reply_header(&reply, "Sec-WebSocket-Version"), "13");
        }
        client_close(&client);
    }
}
END_TEST

START_TEST(a_client_that_leaves_frees_its_row)
{
    for (int i = 0; i < 4; i++) {
        ws_open(&client, &server, "");
        ws_say(&client, "{'model':'slow','id':'left-%d'}", i);
        ws_hear(&client, &frame);
        ws_say(&client, "{'prompt':'a','max_tokens':16000,'stream':%s}", i & 1 ? "true" : "false");
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
        if (i == 0)
            client_abort(&client);
        else if (i == 1)
            client_close(&client);
        else {
            ws_frame(&client, FINAL | FRAME_CLOSE, "\x03\xe8", 2); /* in order, but in the middle */
            while (ws_read(&client, &frame) && frame.opcode != FRAME_CLOSE)
                ;
            client_close(&client);
        }
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
        ck_assert(metric_becomes(&server, "carousel_sockets_open", 0));
        char path[100];
        snprintf(path, sizeof path, "/v1/sessions/left-%d", i);
        ck_assert_int_eq((int)number_at(ask(&server, "GET", path, NULL), "step"), 0);
    }
    ck_assert(metric_becomes(&server, "carousel_requests_finished_total{reason=\"cancelled\"}", 4));
}
END_TEST

Suite *websocket_suite(void);

Suite *websocket_suite(void)
{
    Suite *suite = suite_create("websocket");
    TCase *said = tcase_create("said");
    tcase_set_timeout(said, TEST_TIMEOUT_S);
    tcase_add_checked_fixture(said, start, stop);
    tcase_add_test(said, a_stream_says_what_steps_of_a_session_say);
    tcase_add_test(said, the_end_gives_the_state_an_id);
    tcase_add_test(said, a_session_goes_on_by_its_name);
    tcase_add_test(said, a_step_is_tried_again_on_another_socket);
    tcase_add_test(said, two_sockets_take_steps_of_one_session_in_turn);
    tcase_add_test(said, first_messages_that_are_refused);
    tcase_add_test(said, rows_of_floats_are_steps);
    tcase_add_test(said, values_of_a_series_are_steps);
    tcase_add_test(said, a_streamed_step_comes_in_parts);
    tcase_add_test(said, an_error_in_a_stream_leaves_the_socket_open);
    tcase_add_test(said, messages_may_come_in_fragments_and_at_once);
    tcase_add_test(said, bad_frames_close_the_socket);
    tcase_add_test(said, a_message_of_the_limit_is_read);
    tcase_add_test(said, closing);
    tcase_add_test(said, handshakes_that_are_refused);
    tcase_add_test(said, a_client_that_leaves_frees_its_row);
    suite_add_tcase(suite, said);
    return suite;
}
