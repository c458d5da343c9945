/* Any bytes as what a client sends on a WebSocket. However they are cut, the same is heard; a message is
 * within the limit, and a text is UTF-8; after a close or a fault nothing is heard; and what was heard, sent
 * again in one frame a message, is heard again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/utf8.h"
#include "server/http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 3000, MASK = 0x5a };

/* What was heard: for each whole message and each other event its kind, its length and its bytes; and the
 * same as frames of a client. */
struct heard {
    char *bytes, *frames;
    size_t n, n_frames, room, message; /* message: of the one that is coming in */
    bool is_over, is_cut;
};

static void put(struct heard *heard, const void *bytes, size_t n)
{
    assert(heard->n + n <= heard->room);
    if (n) memcpy(heard->bytes + heard->n, bytes, n);
    heard->n += n;
}

static void put_frame(struct heard *heard, enum websocket_opcode opcode, const char *bytes, size_t n)
{
    uint8_t head[WEBSOCKET_HEAD_BYTES];
    size_t n_head = websocket_head(opcode, n, head);
    assert(heard->n_frames + n_head + 4 + n <= heard->room);
    head[1] |= 0x80;
    memcpy(heard->frames + heard->n_frames, head, n_head);
    heard->n_frames += n_head;
    memset(heard->frames + heard->n_frames, MASK, 4);
    heard->n_frames += 4;
    for (size_t i = 0; i < n; i++) heard->frames[heard->n_frames++] = (char)(bytes[i] ^ MASK);
}

static void end_message(struct heard *heard, bool is_text)
{
    const char *message = heard->bytes + heard->n - heard->message;
    char kind = is_text ? 'T' : 'B';
    assert(heard->message <= LIMIT);
    assert(!is_text || utf8_is_valid(message, heard->message, NULL));
    put_frame(heard, is_text ? OPCODE_TEXT : OPCODE_BINARY, message, heard->message);
    put(heard, &heard->message, sizeof heard->message);
    put(heard, &kind, 1);
    heard->message = 0;
}

/* A control frame between the pieces of a message would stand among its bytes, so the pieces go aside. */
static void note_control(struct heard *heard, const struct websocket_event *event)
{
    char aside[LIMIT];
    size_t n = heard->message;
    heard->n -= n;
    memcpy(aside, heard->bytes + heard->n, n);
    assert(event->n <= WEBSOCKET_CONTROL_BYTES);
    put(heard, &event->kind, sizeof event->kind);
    put(heard, &event->code, sizeof event->code);
    put(heard, event->bytes, event->n);
    if (event->kind == WEBSOCKET_PING) put_frame(heard, OPCODE_PING, event->bytes, event->n);
    if (event->kind == WEBSOCKET_PONG) put_frame(heard, OPCODE_PONG, event->bytes, event->n);
    put(heard, aside, n);
}

static void note(struct heard *heard, const struct websocket_event *event)
{
    assert(!heard->is_over);
    if (event->kind == WEBSOCKET_PIECE) {
        assert(heard->message + event->n <= LIMIT);
        put(heard, event->bytes, event->n);
        heard->message += event->n;
        if (event->is_last) end_message(heard, event->is_text);
        return;
    }
    heard->is_over = event->kind == WEBSOCKET_CLOSE || event->kind == WEBSOCKET_FAULT;
    if (event->kind == WEBSOCKET_FAULT) assert(event->reason &&
                                               strlen(event->reason) <= WEBSOCKET_CONTROL_BYTES - 2);
    note_control(heard, event);
}

/* Pieces grow and shrink by the bytes themselves if `piece` is 0. */
static void hear(const char *bytes, size_t n, size_t piece, struct heard *heard)
{
    struct websocket websocket;
    *heard = (struct heard){.room = 40 * n + 256};
    heard->bytes = malloc(heard->room);
    heard->frames = malloc(heard->room);
    char *copy = malloc(n + 1);
    assert(heard->bytes && heard->frames && copy);
    if (n) memcpy(copy, bytes, n);
    websocket_open(&websocket, LIMIT);
    for (size_t at = 0, most; at < n; at += most) {
        size_t want = piece ? piece : 1 + (unsigned char)bytes[at] % 61u;
        most = n - at < want ? n - at : want;
        for (size_t used = 0; used < most;) {
            struct websocket_event event;
            size_t before = used;
            used += websocket_read(&websocket, copy + at + used, most - used, &event);
            assert(used <= most && (used > before || event.kind != WEBSOCKET_NOTHING));
            if (event.kind != WEBSOCKET_NOTHING) note(heard, &event);
        }
    }
    heard->is_cut = heard->message > 0 || heard->is_over;
    free(copy);
}

static void release(struct heard *heard)
{
    free(heard->bytes);
    free(heard->frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 0, 17};
    struct heard whole, other;
    hear((const char *)data, size, SIZE_MAX, &whole);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        hear((const char *)data, size, pieces[i], &other);
        if (!whole.is_over) assert(other.n == whole.n && !memcmp(other.bytes, whole.bytes, whole.n));
        assert(other.is_over == whole.is_over && other.n_frames == whole.n_frames);
        assert(!memcmp(other.frames, whole.frames, whole.n_frames));
        release(&other);
    }
    hear(whole.frames, whole.n_frames, SIZE_MAX, &other);
    assert(!other.is_over && !other.message);
    if (!whole.is_cut) assert(other.n == whole.n && !memcmp(other.bytes, whole.bytes, whole.n));
    release(&other);
    release(&whole);
    return 0;
}
