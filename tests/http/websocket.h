/* websocket: a client of RFC 6455 on top of client.h, which can also misbehave, frame by frame.
 *
 * Anything malformed that the server sends fails the test. */
#ifndef CAROUSEL_TESTS_HTTP_WEBSOCKET_H
#define CAROUSEL_TESTS_HTTP_WEBSOCKET_H

#include "client.h"

enum { FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10, FINAL = 0x80 };

/* What the server sent last. */
struct frame {
    int opcode;
    char *text;   /* the payload, zero-terminated */
    size_t n;
    int code;     /* of a close; 0: none */
    cJSON *json;  /* of a text */
};

/* The handshake, with more headers, each ended by \r\n; returns the answer, which may be a refusal. The reply
 * is valid until the next one. */
struct reply *ws_ask(struct client *client, const struct server *server, const char *headers);
/* The same, which must be a 101. */
void ws_open(struct client *client, const struct server *server, const char *headers);
/* Send a frame: its first byte, and the payload, which is masked. false where the server has closed. */
bool ws_frame(struct client *client, int first, const void *payload, size_t n);
/* Send a text, written with single quotes for double ones. */
bool ws_say(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Read a frame, pings left out, which are answered; false where the server closed the connection. */
bool ws_read(struct client *client, struct frame *frame);
/* Read a text that is JSON and no error. */
void ws_hear(struct client *client, struct frame *frame);
/* Read a text that is an error with this code. */
void ws_hear_error(struct client *client, struct frame *frame, const char *code);
/* Read a close frame with this code, answer it, and see the end of the connection. */
void ws_hear_close(struct client *client, struct frame *frame, int code);
/* Close well. */
void ws_close(struct client *client);

/* A text or number of the frame's JSON. */
const char *frame_text(struct frame *frame, const char *path);
double frame_number(struct frame *frame, const char *path);

#endif
