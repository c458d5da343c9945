/* sse: server-sent events (WHATWG HTML, 9.2), framed into a writer that a stream empties.
 *
 * Each event is exactly "data: {json}\n\n", after a line "id: N" if it has one. The buffer is filled with
 * whole events and drained in whatever pieces the socket has room for. Caller's storage, one thread. */
#ifndef CAROUSEL_SERVER_SSE_H
#define CAROUSEL_SERVER_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/errors.h"
#include "server/base/json_writer.h"
#include "server/http/connection.h"

struct sse {
    struct writer out; /* events to be sent */
    size_t sent;       /* of out's bytes */
};

/* The headers that keep proxies and browsers from collecting a stream. */
void sse_write_head(struct head *head);

/* At most `limit` bytes wait at one time. */
void sse_init(struct sse *sse, size_t limit);
void sse_release(struct sse *sse);

/* The id of the event that begins next: clients that connect again send the last one as Last-Event-ID. */
void sse_id(struct sse *sse, uint64_t id);
/* Begin and end an event; between them its JSON goes to sse->out. */
void sse_begin(struct sse *sse);
void sse_end(struct sse *sse);
void sse_ping(struct sse *sse);   /* a comment */
void sse_done(struct sse *sse);   /* "data: [DONE]" */
void sse_error(struct sse *sse, const struct problem *problem, const char *request_id);

/* The length of the first whole event of text[0..n), with the empty line that ends it; 0 if there is none. */
size_t sse_event_bytes(const char *text, size_t n);

bool sse_is_empty(const struct sse *sse);
/* Move up to `room` bytes to `to`; returns how many. */
size_t sse_drain(struct sse *sse, char *to, size_t room);

#endif
