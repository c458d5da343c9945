/* A frame's head is gathered until it is whole and then judged; its payload goes through as it comes. */
#include "server/http/websocket.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "models/text/base64.h"
#include "models/text/hash.h"
#include "models/text/utf8.h"

enum { BIT_FINAL = 0x80, BITS_RESERVED = 0x70, BIT_CONTROL = 0x08, BIT_MASK = 0x80, LENGTH_2 = 126,
       LENGTH_8 = 127, KEY_BYTES = 16, KEY_TEXT = 24 };

void websocket_open(struct websocket *websocket, uint64_t limit)
{
    *websocket = (struct websocket){.limit = limit};
}

static void fail(struct websocket *websocket, enum websocket_code code, const char *reason,
                 struct websocket_event *event)
{
    websocket->is_dead = true;
    *event = (struct websocket_event){.kind = WEBSOCKET_FAULT, .code = code, .reason = reason};
}

static enum websocket_opcode opcode_of(const struct websocket *websocket)
{
    return (enum websocket_opcode)(websocket->head[0] & 0x0f);
}

static bool is_final(const struct websocket *websocket)
{
    return websocket->head[0] & BIT_FINAL;
}

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

/* One more byte of a text (Unicode 15, table 3-7). */
static bool take_utf8(struct websocket *websocket, uint8_t c)
{
    if (websocket->utf8.left) {
        if (c < websocket->utf8.low || c > websocket->utf8.high) return false;
        websocket->utf8.left--;
    } else {
        if (c < 0x80) return true;
        if (c < 0xc2 || c > 0xf4) return false;
        websocket->utf8.left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0xe0 || c == 0xed || c == 0xf0 || c == 0xf4) {
            websocket->utf8.low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
            websocket->utf8.high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
            return true;
        }
    }
    websocket->utf8.low = 0x80;
    websocket->utf8.high = 0xbf;
    return true;
}

static bool is_good_text(struct websocket *websocket, const char *bytes, size_t n, bool ends)
{
    for (size_t i = 0; i < n; i++)
        if (!take_utf8(websocket, (uint8_t)bytes[i])) return false;
    return !ends || !websocket->utf8.left;
}

/* ---- heads ---------------------------------------------------------------------------------- */

/* The length of the whole head, as far as its first two bytes say. */
static unsigned head_bytes(const struct websocket *websocket)
{
    unsigned length = websocket->head[1] & 0x7f;
    return 2 + (length == LENGTH_2 ? 2 : length == LENGTH_8 ? 8 : 0) + 4;
}

/* What is wrong with the first two bytes; NULL: nothing. */
static const char *check_start(const struct websocket *websocket)
{
    unsigned opcode = websocket->head[0] & 0x0f, length = websocket->head[1] & 0x7f;
    if (websocket->head[0] & BITS_RESERVED) return "a reserved bit is set, but no extension was agreed on";
    if (opcode > OPCODE_PONG || (opcode > OPCODE_BINARY && opcode < OPCODE_CLOSE))
        return "the opcode is a reserved one";
    if (!(websocket->head[1] & BIT_MASK)) return "the frame is not masked, as a client's must be";
    if (opcode & BIT_CONTROL) {
        if (!is_final(websocket)) return "a control frame is fragmented";
        return length > WEBSOCKET_CONTROL_BYTES ? "a control frame is over 125 bytes" : NULL;
    }
    bool is_within = websocket->message != OPCODE_MORE;
    if (opcode == OPCODE_MORE && !is_within) return "a continuation frame continues nothing";
    return opcode != OPCODE_MORE && is_within ? "a message begins before the one before it has ended" : NULL;
}

/* Read the length of a whole head; false if it is not in its shortest form. */
static bool read_length(struct websocket *websocket)
{
    unsigned length = websocket->head[1] & 0x7f, n = length == LENGTH_2 ? 2 : length == LENGTH_8 ? 8 : 0;
    uint64_t long_length = 0;
    for (unsigned i = 0; i < n; i++) long_length = long_length << 8 | websocket->head[2 + i];
    websocket->left = n ? long_length : length;
    return n == 0 || (n == 2 && long_length > WEBSOCKET_CONTROL_BYTES) ||
           (n == 8 && long_length > UINT16_MAX && long_length >> 63 == 0);
}

/* The head is whole: begin its payload. false: a fault. */
static bool begin_payload(struct websocket *websocket, struct websocket_event *event)
{
    enum websocket_opcode opcode = opcode_of(websocket);
    if (!read_length(websocket)) {
        fail(websocket, CLOSE_PROTOCOL, "a length is not in its shortest form", event);
        return false;
    }
    websocket->in_payload = true;
    websocket->place = 0;
    websocket->n_control = 0;
    if (opcode & BIT_CONTROL) return true;
    if (opcode != OPCODE_MORE) {
        websocket->message = opcode;
        websocket->had = 0;
        websocket->utf8.left = 0;
    }
    if (websocket->left > websocket->limit - websocket->had) {
        fail(websocket, CLOSE_TOO_BIG, "the message is over stream.message_bytes", event);
        return false;
    }
    websocket->had += websocket->left;
    return true;
}

/* Gather the head; returns how many bytes were read. */
static size_t read_head(struct websocket *websocket, const char *bytes, size_t n,
                        struct websocket_event *event)
{
    size_t at = 0;
    while (at < n && !websocket->in_payload && !websocket->is_dead) {
        websocket->head[websocket->n_head++] = (uint8_t)bytes[at++];
        if (websocket->n_head < 2) continue;
        const char *reason = websocket->n_head == 2 ? check_start(websocket) : NULL;
        if (reason) fail(websocket, CLOSE_PROTOCOL, reason, event);
        else if (websocket->n_head == head_bytes(websocket)) begin_payload(websocket, event);
    }
    return at;
}

/* ---- payloads ------------------------------------------------------------------------------- */

static void unmask(struct websocket *websocket, char *bytes, size_t n)
{
    const uint8_t *mask = websocket->head + websocket->n_head - 4;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)((uint8_t)bytes[i] ^ mask[(websocket->place + i) & 3]);
    websocket->place = (websocket->place + (unsigned)(n & 3)) & 3;
}

static void end_frame(struct websocket *websocket)
{
    websocket->in_payload = false;
    websocket->n_head = 0;
}

/* Whether a peer may send this code. */
static bool is_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static void read_close(struct websocket *websocket, struct websocket_event *event)
{
    const char *payload = websocket->control;
    size_t n = websocket->n_control;
    unsigned code = n < 2 ? CLOSE_NO_CODE : (unsigned)(uint8_t)payload[0] << 8 | (uint8_t)payload[1];
    if (n == 1 || (n && !is_code(code))) {
        fail(websocket, CLOSE_PROTOCOL, "the code of the close frame is none that a client sends", event);
    } else if (n && !utf8_is_valid(payload + 2, n - 2, NULL)) {
        fail(websocket, CLOSE_BAD_TEXT, "the reason of the close frame is not UTF-8", event);
    } else {
        websocket->is_dead = true;
        *event = (struct websocket_event){.kind = WEBSOCKET_CLOSE, .code = (enum websocket_code)code,
                                          .bytes = n ? payload + 2 : payload, .n = n ? n - 2 : 0};
    }
}

static void end_control(struct websocket *websocket, struct websocket_event *event)
{
    enum websocket_opcode opcode = opcode_of(websocket);
    end_frame(websocket);
    if (opcode == OPCODE_CLOSE) {
        read_close(websocket, event);
        return;
    }
    *event = (struct websocket_event){.kind = opcode == OPCODE_PING ? WEBSOCKET_PING : WEBSOCKET_PONG,
                                      .bytes = websocket->control, .n = websocket->n_control};
}

/* Read from a payload, of which some bytes are there or none are missing. */
static size_t read_payload(struct websocket *websocket, char *bytes, size_t n, struct websocket_event *event)
{
    if (n > websocket->left) n = (size_t)websocket->left;
    unmask(websocket, bytes, n);
    websocket->left -= n;
    bool ends = !websocket->left;
    if (opcode_of(websocket) & BIT_CONTROL) {
        if (n) memcpy(websocket->control + websocket->n_control, bytes, n);
        websocket->n_control += (unsigned)n;
        if (ends) end_control(websocket, event);
        return n;
    }
    bool is_text = websocket->message == OPCODE_TEXT, is_last = ends && is_final(websocket);
    if (ends) end_frame(websocket);
    if (is_last) websocket->message = OPCODE_MORE;
    if (is_text && !is_good_text(websocket, bytes, n, is_last))
        fail(websocket, CLOSE_BAD_TEXT, "the text is not UTF-8", event);
    else if (n || is_last)
        *event = (struct websocket_event){.kind = WEBSOCKET_PIECE, .is_text = is_text, .is_last = is_last,
                                          .bytes = bytes, .n = n};
    return n;
}

size_t websocket_read(struct websocket *websocket, char *bytes, size_t n, struct websocket_event *event)
{
    size_t at = 0;
    *event = (struct websocket_event){.kind = WEBSOCKET_NOTHING};
    while (event->kind == WEBSOCKET_NOTHING) {
        if (websocket->is_dead) return n;
        if (websocket->in_payload && (at < n || !websocket->left))
            at += read_payload(websocket, bytes + at, n - at, event);
        else if (at < n) at += read_head(websocket, bytes + at, n - at, event);
        else break;
    }
    return at;
}

/* ---- what is sent --------------------------------------------------------------------------- */

size_t websocket_head(enum websocket_opcode opcode, uint64_t n, uint8_t out[WEBSOCKET_HEAD_BYTES])
{
    unsigned more = n <= WEBSOCKET_CONTROL_BYTES ? 0 : n <= UINT16_MAX ? 2 : 8;
    out[0] = (uint8_t)(BIT_FINAL | (unsigned)opcode);
    out[1] = more ? more == 2 ? LENGTH_2 : LENGTH_8 : (uint8_t)n;
    for (unsigned i = 0; i < more; i++) out[2 + i] = (uint8_t)(n >> (8 * (more - 1 - i)));
    return 2 + more;
}

size_t websocket_close_payload(enum websocket_code code, const char *reason,
                               char out[WEBSOCKET_CONTROL_BYTES])
{
    size_t n = strlen(reason);
    if (n > WEBSOCKET_CONTROL_BYTES - 2) n = WEBSOCKET_CONTROL_BYTES - 2;
    while (n && !utf8_is_valid(reason, n, NULL)) n--; /* not in the middle of a character */
    out[0] = (char)((unsigned)code >> 8);
    out[1] = (char)((unsigned)code & 0xff);
    memcpy(out + 2, reason, n);
    return n + 2;
}

/* ---- the handshake -------------------------------------------------------------------------- */

bool websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    uint8_t bytes[KEY_TEXT], digest[HASH_SHA1_BYTES];
    char text[KEY_TEXT + sizeof guid];
    size_t n = 0;
    if (strlen(key) != KEY_TEXT || !base64_read(key, KEY_TEXT, bytes, &n) || n != KEY_BYTES) return false;
    int length = snprintf(text, sizeof text, "%s%s", key, guid);
    hash_sha1(text, (size_t)length, digest);
    base64_write(digest, sizeof digest, out);
    return true;
}

bool websocket_list_has(const char *list, const char *word)
{
    static const char between[] = ", \t";
    size_t wanted = strlen(word);
    while (list && *(list += strspn(list, between))) {
        size_t n = strcspn(list, between);
        if (n == wanted && !strncasecmp(list, word, n)) return true;
        list += n;
    }
    return false;
}
