/* access: what every request gets besides its answer: an id, the form of its errors, a line in the log.
 *
 * The id is the client's, if it sent one that is safe to print, so that its log and ours can be laid side
 * by side; else it is random. It stands in the header X-Request-Id, in the body of every error, and in the
 * line of the access log, which never holds a prompt, an input or an answer. The line's fields keep their
 * order and are always all there, so that tools may rely on them; what does not apply is 0 or empty.
 *
 * All functions may be called by any thread. */
#ifndef CAROUSEL_SERVER_ACCESS_H
#define CAROUSEL_SERVER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/http/connection.h"
#include "server/request/request.h"

enum { REQUEST_ID_BYTES = 129, TRACE_ID_BYTES = 33 };

/* prefix + 32 random hexadecimal digits; returns out. Any thread. */
const char *access_new_id(const char *prefix, char out[REQUEST_ID_BYTES]);
/* The client's id if it is one ([A-Za-z0-9._:/-], 1 to 128), else a new one. NULL is none. */
void access_take_id(const char *theirs, char out[REQUEST_ID_BYTES]);
/* Whether a text may be such an id. */
bool access_id_is_valid(const char *id);
/* Whether a text may be the name of a session: such an id without a slash, because /v1/sessions/{id} has none
 * in its {id}. */
bool access_session_is_valid(const char *name);
/* The trace id of a `traceparent` header (W3C Trace Context, level 1, section 3.2), or an empty text if it
 * is none: other lengths, capitals, the version ff and ids of zeros are not valid there. Of a version we do
 * not know the fields of version 00 are taken, as the specification asks. NULL is none. */
void access_take_trace(const char *traceparent, char out[TRACE_ID_BYTES]);

/* The body of an error answer, from malloc, or NULL without memory. plain: in the form of the routes of
 * /v2. */
char *request_error_body(const struct problem *problem, const char *request_id, bool plain, size_t *bytes);

/* A whole HTTP/1.1 answer, a 408 or 413 of this head and body, for a client whose own body has not ended;
 * from malloc, or NULL without memory. *bytes is its length. */
char *request_refusal(const struct head *head, const char *body, size_t body_bytes, size_t *bytes);

/* What the line tells beside the request's own record. Borrowed for the call; `status` 499 stands for a
 * client that left before there was an answer. Times are milliseconds from the arrival of the headers. */
struct access {
    const struct request *request;
    const char *trace_id, *method, *key; /* key: its name in the file of keys, or empty */
    unsigned status;
    uint64_t bytes_in, bytes_out;
    double total_ms;
};

/* One JSON line. Any thread. */
void access_write(const struct access *access);

#endif
