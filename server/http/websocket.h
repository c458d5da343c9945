/* websocket: the frames of RFC 6455 as bytes in and bytes out; no socket is read or written here.
 *
 * What a client sends is read in whatever pieces it arrives. Payloads are unmasked where they lie and handed
 * on piece by piece, so nothing of a message is kept here; a frame's head and the payload of a control frame
 * are all that is held. A frame that the RFC forbids is a fault, which names the code to close with:
 *
 * - 1002: a frame without a mask, a reserved bit or opcode, a length that is not in its shortest form, a
 *   control frame in fragments or over 125 bytes, a continuation of nothing, a message within a message, a
 *   close code that no peer may send.
 * - 1007: a text, or the reason of a close, that is not UTF-8, found at its first bad byte.
 * - 1009: a message over the limit, found in the head that announces it.
 *
 * No extension is offered, so none is in use. Caller's storage; one thread at a time; pure. */
#ifndef CAROUSEL_SERVER_WEBSOCKET_H
#define CAROUSEL_SERVER_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEBSOCKET_CONTROL_BYTES = 125, /* of the payload of a control frame */
    WEBSOCKET_HEAD_BYTES = 10,     /* of a frame that a server sends */
    WEBSOCKET_ACCEPT_BYTES = 29
};

enum websocket_opcode { OPCODE_MORE = 0, OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8,
                        OPCODE_PING = 9, OPCODE_PONG = 10 };

/* The codes of closing (RFC 6455, 7.4.1, and IANA's registry) that the server sends or hears. */
enum websocket_code {
    CLOSE_NORMAL = 1000, CLOSE_GOING_AWAY = 1001, CLOSE_PROTOCOL = 1002, CLOSE_NO_CODE = 1005,
    CLOSE_BAD_TEXT = 1007, CLOSE_POLICY = 1008, CLOSE_TOO_BIG = 1009, CLOSE_INTERNAL = 1011,
    CLOSE_TRY_LATER = 1013
};

enum websocket_kind {
    WEBSOCKET_NOTHING, /* the bytes are used up */
    WEBSOCKET_PIECE,   /* a piece of a message; is_last: the message is whole */
    WEBSOCKET_PING, WEBSOCKET_PONG, /* with their payload */
    WEBSOCKET_CLOSE,   /* code, and its reason as the payload; what comes after it is dropped */
    WEBSOCKET_FAULT    /* code and reason; what comes after it is dropped */
};

struct websocket_event {
    enum websocket_kind kind;
    bool is_text, is_last; /* of a piece */
    const char *bytes;     /* [n], borrowed from the caller's bytes or the struct websocket */
    size_t n;
    enum websocket_code code;
    const char *reason;    /* of a fault: a literal of at most 123 bytes */
};

struct websocket {
    uint64_t limit;         /* bytes of a message */
    uint64_t had;           /* of the message under way, with what its frame has announced */
    uint64_t left;          /* of the payload of the frame under way */
    uint8_t head[14];
    unsigned n_head;        /* bytes of the head that have come */
    bool in_payload, is_dead;
    unsigned place;         /* in the mask */
    enum websocket_opcode message; /* OPCODE_MORE: no message is under way */
    unsigned n_control;
    char control[WEBSOCKET_CONTROL_BYTES];
    struct { unsigned left; uint8_t low, high; } utf8; /* of a text: what the next byte must be */
};

/* Begin a connection. `limit`: bytes of a message. */
void websocket_open(struct websocket *websocket, uint64_t limit);
/* Read from bytes[0..n), which are changed, up to the first event; returns how many were read. */
size_t websocket_read(struct websocket *websocket, char *bytes, size_t n, struct websocket_event *event);

/* Write the head of an unfragmented frame of n bytes; returns the head's length. */
size_t websocket_head(enum websocket_opcode opcode, uint64_t n, uint8_t out[WEBSOCKET_HEAD_BYTES]);
/* Write the payload of a close frame, the reason cut to fit; returns its length. */
size_t websocket_close_payload(enum websocket_code code, const char *reason,
                               char out[WEBSOCKET_CONTROL_BYTES]);

/* The answer to a Sec-WebSocket-Key; false if the key is not 16 bytes in base64. */
bool websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_BYTES]);
/* Whether a header that is a list with commas, such as Connection (NULL: none), has the word, in any case. */
bool websocket_list_has(const char *list, const char *word);

#endif
