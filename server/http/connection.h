/* connection: what a request may do with the wire it came by. Implemented by server/http/http.c over
 * libmicrohttpd.
 *
 * A struct connection lives from accept to close and carries one request after another. All functions but
 * connection_resume are for the connection's own HTTP thread. What is returned is borrowed until the request
 * ends. */
#ifndef CAROUSEL_SERVER_CONNECTION_H
#define CAROUSEL_SERVER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/errors.h"

struct connection;

/* The value of a request's header, or NULL. Names are compared without regard to case. */
const char *connection_header(const struct connection *connection, const char *name);
/* Return whether the request is in doubt (server/http/framing.h), so that it must be refused and the
 * connection closed; *problem then says why, and what lies in the socket is read away, so that no reset
 * overtakes the answer. It may become so until its body is complete. */
bool connection_fault(const struct connection *connection, struct problem *problem);
int connection_descriptor(const struct connection *connection);
/* The number of its peer (server/http/peer.h). */
uint32_t connection_peer(const struct connection *connection);
/* Its slot with the watcher (server/http/watcher.h). */
int connection_slot(const struct connection *connection);

/* Whether it speaks TLS: bytes may then not be put on the socket directly. Any thread. */
bool connection_is_secure(const struct connection *connection);

/* Whether the request is of HTTP/1.0, which knows no upgrade. */
bool connection_is_old(const struct connection *connection);

/* Suspended, a connection is neither read nor written nor timed. Resuming one that is not suspended is
 * undefined. Resume: any thread. */
void connection_suspend(struct connection *connection);
void connection_resume(struct connection *connection);
/* Close it after so long without a byte in either direction; 0: never. */
void connection_time_out(struct connection *connection, int64_t seconds);

/* If libmicrohttpd cannot answer, because the body has not ended: send these bytes at once, as far as the
 * buffer has room. Under TLS on the connection's own thread only, else on any. */
void connection_send_raw(struct connection *connection, const char *bytes, size_t n);

/* An answer's head. Names and values are borrowed for the call that sends it. */
enum { HEAD_MAX_HEADERS = 24 };
struct head {
    unsigned status;
    size_t n;
    struct { const char *name, *value; } headers[HEAD_MAX_HEADERS];
};
void head_add(struct head *head, const char *name, const char *value);

/* Answer: `body` is from malloc and taken. false: the connection must be closed. */
bool connection_answer(struct connection *connection, const struct head *head, char *body, size_t bytes);
/* Answer with what `read` gives: bytes written (at least 1), 0 if the connection has been suspended, -1 at
 * the end. It is called on the connection's thread, until the request ends. */
typedef ssize_t connection_reader(void *context, char *out, size_t room);
bool connection_stream(struct connection *connection, const struct head *head, connection_reader *read,
                       void *context);

/* Answer with the head of a 101, after which the connection carries no HTTP (RFC 9110, 7.8). `begin` is
 * called once the head has been sent: from then on the descriptor is its context's to read and write, with
 * flags, until it calls connection_leave. is_early: the client has sent bytes that belong behind the answer
 * before it could have it; they are lost. If the client leaves before, the request ends without the call. Not
 * under TLS: libmicrohttpd 0.9.75 then passes the bytes on in records of 4 bytes. false: the connection must
 * be closed. */
typedef void connection_upgraded(void *context, bool is_early);
bool connection_upgrade(struct connection *connection, const struct head *head, connection_upgraded *begin,
                        void *context);
/* Close a connection that was upgraded. The request ends then, perhaps before the call returns. Any thread.
 * */
void connection_leave(struct connection *connection);

#endif
