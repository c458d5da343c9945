#include "websocket.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reply *ws_ask(struct client *client, const struct server *server, const char *headers)
{
    static struct reply reply;
    client_open(client, server);
    client_say(client,
               "GET /v1/stream HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", headers);
    ck_assert(client_read_head(client, &reply));
    return &reply;
}

void ws_open(struct client *client, const struct server *server, const char *headers)
{
    struct reply *reply = ws_ask(client, server, headers);
    ck_assert_msg(reply->status == 101, "%s", reply->head);
    ck_assert_str_eq(reply_header(reply, "Upgrade"), "websocket");
    ck_assert_str_eq(reply_header(reply, "Connection"), "Upgrade");
    ck_assert_str_eq(reply_header(reply, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert_str_ne(reply_header(reply, "X-Request-Id"), "");
}

bool ws_frame(struct client *client, int first, const void *payload, size_t n)
{
    static const char mask[4] = {0x37, (char)0xfa, 0x21, 0x3d};
    char *bytes = malloc(n + 14);
    size_t at = 2;
    ck_assert_ptr_nonnull(bytes);
    size_t more = n < 126 ? 0 : n < 65536 ? 2 : 8;
    bytes[0] = (char)first;
    bytes[1] = (char)(0x80 | (more == 0 ? n : more == 2 ? 126 : 127));
    for (size_t i = 0; i < more; i++)
        bytes[at++] = (char)(n >> (8 * (more - 1 - i)));
    memcpy(bytes + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++)
        bytes[at++] = (char)(((const char *)payload)[i] ^ mask[i & 3]);
    bool sent = client_send(client, bytes, at);
    free(bytes);
    return sent;
}

bool ws_say(struct client *client, const char *format, ...)
{
    char text[4096];
    va_list values;
    va_start(values, format);
    int n = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    ck_assert_int_lt(n, (int)sizeof text);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    return ws_frame(client, FINAL | FRAME_TEXT, text, (size_t)n);
}

static void clear(struct frame *frame)
{
    cJSON_Delete(frame->json);
    free(frame->text);
    *frame = (struct frame){0};
}

static bool read_frame(struct client *client, struct frame *frame)
{
    clear(frame);
    if (!client_fill(client, 2))
        return false;
    unsigned first = (unsigned char)client->buffer[0], second = (unsigned char)client->buffer[1];
    ck_assert_msg((first & 0xf0) == FINAL && second < 0x80, "a frame begins with %02x %02x", first, second);
    size_t more = second < 126 ? 0 : second == 126 ? 2 : 8, n = second;
    ck_assert(client_fill(client, 2 + more));
    for (size_t i = 0; i < more; i++)
        n = (i == 0 ? 0 : n << 8) | (unsigned char)client->buffer[2 + i];
    ck_assert(client_fill(client, 2 + more + n));
    frame->opcode = (int)first & 15;
    frame->n = n;
    frame->text = malloc(n + 1);
    ck_assert_ptr_nonnull(frame->text);
    memcpy(frame->text, client->buffer + 2 + more, n);
    frame->text[n] = '\0';
    client->n -= 2 + more + n;
    memmove(client->buffer, client->buffer + 2 + more + n, client->n);
    return true;
}

bool ws_read(struct client *client, struct frame *frame)
{
    while (read_frame(client, frame) && frame->opcode == FRAME_PING)
        ws_frame(client, FINAL | FRAME_PONG, frame->text, frame->n);
    if (frame->text == NULL)
        return false;
    if (frame->opcode == FRAME_CLOSE && frame->n >= 2)
        frame->code = (unsigned char)frame->text[0] << 8 | (unsigned char)frame->text[1];
    if (frame->opcode == FRAME_TEXT) {
        frame->json = cJSON_ParseWithLength(frame->text, frame->n);
        ck_assert_msg(frame->json != NULL, "no JSON: %.200s", frame->text);
    }
    return true;
}

void ws_hear(struct client *client, struct frame *frame)
{
    ck_assert_msg(ws_read(client, frame), "the server closed the connection");
    ck_assert_msg(frame->opcode == FRAME_TEXT, "opcode %d, %d %s", frame->opcode, frame->code,
                  frame->n > 2 ? frame->text + 2 : "");
    ck_assert_msg(json_at(frame->json, "error") == NULL, "%.400s", frame->text);
}

void ws_hear_error(struct client *client, struct frame *frame, const char *code)
{
    ck_assert_msg(ws_read(client, frame), "the server closed the connection");
    ck_assert_msg(frame->opcode == FRAME_TEXT, "opcode %d, %d", frame->opcode, frame->code);
    ck_assert_msg(json_at(frame->json, "error.code") != NULL, "%.400s", frame->text);
    ck_assert_str_eq(frame_text(frame, "error.code"), code);
    ck_assert_str_ne(frame_text(frame, "error.message"), "");
    ck_assert_str_ne(frame_text(frame, "error.request_id"), "");
}

void ws_hear_close(struct client *client, struct frame *frame, int code)
{
    ck_assert_msg(ws_read(client, frame), "closed without a close frame");
    ck_assert_msg(frame->opcode == FRAME_CLOSE, "opcode %d: %.200s", frame->opcode, frame->text);
    ck_assert_msg(frame->code == code, "closed with %d %s, expected %d", frame->code,
                  frame->n > 2 ? frame->text + 2 : "", code);
    ws_frame(client, FINAL | FRAME_CLOSE, frame->text, frame->n > 2 ? 2 : frame->n);
    ck_assert(client_is_closed(client, patience_ms(10000)));
    client_close(client);
}

void ws_close(struct client *client)
{
    struct frame frame = {0};
    ws_frame(client, FINAL | FRAME_CLOSE, "\x03\xe8", 2);
    while (ws_read(client, &frame) && frame.opcode != FRAME_CLOSE)
        ;
    ck_assert_int_eq(frame.code, 1000);
    ck_assert(client_is_closed(client, patience_ms(10000)));
    clear(&frame);
    client_close(client);
}

const char *frame_text(struct frame *frame, const char *path)
{
    cJSON *value = json_at(frame->json, path);
    ck_assert_msg(cJSON_IsString(value), "no text %s: %.400s", path, frame->text);
    return value->valuestring;
}

double frame_number(struct frame *frame, const char *path)
{
    cJSON *value = json_at(frame->json, path);
    ck_assert_msg(cJSON_IsNumber(value), "no number %s: %.400s", path, frame->text);
    return value->valuedouble;
}
