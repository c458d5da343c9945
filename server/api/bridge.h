/* bridge: a route that is another one in other clothes. The request is written as a body of a /v1 route, that
 * route's handler answers it, and its answer is written anew. So each check, limit and result is the same on
 * both.
 *
 * A bridge wraps the operation that the inner handler leaves. The context is the outer route's own; it is
 * released when the request ends, whatever becomes of it. On the request's thread, as an operation is. */
#ifndef CAROUSEL_SERVER_BRIDGE_H
#define CAROUSEL_SERVER_BRIDGE_H

#include "server/api/document.h"
#include "server/base/json_writer.h"
#include "server/request/request.h"

struct bridge_calls {
    /* The inner answer is good: write reply->body (JSON, from malloc) anew, or set reply->problem. */
    void (*convert)(void *context, struct request *request, struct reply *reply);
    /* The same for one event of a stream, its JSON without "data: "; NULL: the route does not stream. What is
     * put into `out` is sent as one event. */
    void (*event)(void *context, const char *json, size_t bytes, struct writer *out);
    void (*release)(void *context);
    bool keeps_done; /* a stream ends with "data: [DONE]" here too */
};

/* Ask `handler` with this body, which is released. The context is taken. */
void bridge_ask(struct request *request, struct reply *reply, request_handler *handler, struct writer *body,
                const struct bridge_calls *calls, void *context);

/* An inner answer or event; NULL with *problem without memory. The caller owns it. */
struct json *bridge_parse(const char *json, size_t bytes, struct problem *problem);
/* What was written replaces the reply's body; the writer is released. */
void bridge_replace(struct writer *out, struct reply *reply);
/* A value as it stands; NULL is null. The same with its name. */
void bridge_put_value(struct writer *out, const struct json *value);
void bridge_put_field(struct writer *out, const char *name, const struct json *value);

#endif
