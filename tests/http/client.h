/* client: a client of HTTP/1.1 that can also misbehave, byte by byte.
 *
 * Anything malformed in an answer fails the test. A struct reply is reused from answer to answer and keeps
 * what it owns within reach, so that nobody has to free it. */
#ifndef CAROUSEL_TESTS_HTTP_CLIENT_H
#define CAROUSEL_TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "harness.h"

struct client {
    int fd;
    char *buffer; /* received, not yet read */
    size_t n, room;
};

struct reply {
    int status;
    char *head;     /* status line and headers, zero-terminated */
    char *body;     /* chunks put together, zero-terminated */
    size_t body_bytes;
    bool chunked;
    bool complete;  /* false where the connection closed in mid-body */
    cJSON *json;    /* of the body, once reply_json was called */
};

/* Connect, by TLS where the server speaks it. Reads and writes give up after some patience, which fails the
 * test. */
void client_open(struct client *client, const struct server *server);
/* The same from another address of this machine, "127.0.0.2". */
void client_open_from(struct client *client, const struct server *server, const char *address);
/* client_open, and leave it with a long completion that is being computed; of a server with slow_setting(),
 * which has nothing else to do. */
void client_occupy(struct client *client, const struct server *server);
void client_close(struct client *client);
/* Close with a reset. */
void client_abort(struct client *client);
/* Send all of it; false where the server has closed. */
bool client_send(struct client *client, const char *bytes, size_t n);
bool client_say(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Read one answer (interim 100 answers are skipped); false where the server closed before its first byte. */
bool client_read(struct client *client, struct reply *reply);
/* The same for an answer without a body: to HEAD. */
bool client_read_head(struct client *client, struct reply *reply);
/* Read until at least n bytes lie in the buffer; false where the server closed before. */
bool client_fill(struct client *client, size_t n);
/* true where the server closes within ms, whatever it sends until then. */
bool client_is_closed(struct client *client, int ms);
/* Send a request with a JSON body (single quotes stand for double ones) and do not read the answer. */
void client_post(struct client *client, const char *path, const char *body);

/* One request on a connection of its own; body may be NULL. The reply is valid until the next ask or post. */
struct reply *ask(const struct server *server, const char *method, const char *path,
                  const char *body);
/* The same with more headers, each ended by \r\n. */
struct reply *ask_as(const struct server *server, const char *headers, const char *method,
                     const char *path, const char *body);
/* POST of JSON written with single quotes for double ones. */
struct reply *post(const struct server *server, const char *path, const char *body);
struct reply *postf(const struct server *server, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A header's value, "" where absent; valid until the fourth next call. */
const char *reply_header(const struct reply *reply, const char *name);

/* The body as JSON, which it must be; and a value in it by a path like "choices.0.text": NULL where
 * absent. */
cJSON *reply_json(struct reply *reply);
cJSON *reply_at(struct reply *reply, const char *path);
cJSON *json_at(cJSON *json, const char *path);
/* The same, which must be a text, a number or an array (its length). */
const char *text_at(struct reply *reply, const char *path);
double number_at(struct reply *reply, const char *path);
int length_at(struct reply *reply, const char *path);

/* The status is `status`, and the body is an error in the documented form with this code; param: "" where
 * it must be null, NULL where any will do. */
void expect_error(struct reply *reply, int status, const char *code, const char *param);

/* A body that a route must refuse, and how. */
struct refused {
    const char *body, *code, *param; /* param: NULL if no field is named */
    int status;
};
/* POST it to the path; fail the test if it is answered otherwise. */
void post_refused(struct server *server, const char *path, const struct refused *row);
/* The status is 200 and the body is JSON; else fails with the body. */
void expect_ok(struct reply *reply);
/* Retry-After is there and says 1 to most_s seconds. */
void expect_retry_after(const struct reply *reply, int most_s);

#endif
